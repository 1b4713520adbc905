// SPDX-License-Identifier: BSD-3-Clause
//
// Reads and writes of the functions' descriptors, a burst at once: one system call for all of them by io_uring(7), where the
// kernel has it and lets us, or one for each. What comes out is the same. One thread, the pipeline's, does all.
//
// io_uring's interface is three system calls and two rings, spoken here without liburing: the driver is loaded into programs
// that should not need a library for it.

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

enum { BATCH_MAX = 32 };

struct batch_call {
	int fd; // non-blocking
	bool write;
	const struct iovec *iov;
	int parts;
	// Set by batch_run(): as readv(2) and writev(2) return it, or a negative errno.
	int result;
};

struct uring;

struct batch {
	struct uring *uring;   // NULL: one call for each
	uint64_t system_calls; // made so far; read by all
};

// Look for io_uring, if it is wanted, and log what was found. In the thread that will call batch_run().
void batch_init(struct batch *batch, bool uring);
void batch_fini(struct batch *batch);
// Whether a burst is one system call.
static inline bool batch_by_uring(const struct batch *batch)
{
	return __atomic_load_n(&batch->uring, __ATOMIC_RELAXED) != NULL;
}

// Make these calls, at most BATCH_MAX, in this order; none of them waits. After a read that found nothing (-EAGAIN) those of
// the same descriptor right behind it may not be made; they say the same.
void batch_run(struct batch *batch, struct batch_call *calls, unsigned int count);
