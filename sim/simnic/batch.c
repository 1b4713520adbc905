// SPDX-License-Identifier: BSD-3-Clause
//
// See batch.h. A call is RWF_NOWAIT, so that it is done, or failed, when io_uring_enter(2) returns: nothing is ever on its
// way behind our back, and a descriptor may be closed right after. TAPs take that since Linux 6.4; io_uring is switched off
// by seccomp in many containers. In both cases, and in any that nobody has thought of, single calls are made.

#include <errno.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sim/simnic/batch.h"
#include "sim/simnic/simnic.h"

struct uring {
	int fd;
	void *rings; // both, in one mapping
	size_t rings_size;
	struct io_uring_sqe *sqes;
	size_t sqes_size;
	uint32_t *sq_tail, *cq_head, *cq_tail;
	uint32_t sq_mask, cq_mask;
	const struct io_uring_cqe *cqes;
};

enum { NOT_DONE = INT32_MIN };

// ---- the ring -------------------------------------------------------------------------------------------

static void uring_free(struct uring *uring)
{
	if (uring == NULL)
		return;
	if (uring->sqes != NULL)
		munmap(uring->sqes, uring->sqes_size);
	if (uring->rings != NULL)
		munmap(uring->rings, uring->rings_size);
	if (uring->fd >= 0)
		close(uring->fd);
	free(uring);
}

static void *map(int fd, size_t size, off_t what)
{
	void *memory =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, what);

	return memory == MAP_FAILED ? NULL : memory;
}

static int uring_map(struct uring *uring, const struct io_uring_params *params)
{
	size_t sq_size = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
	size_t cq_size = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
	uint32_t *indices;
	uint8_t *rings;

	uring->rings_size = RTE_MAX(sq_size, cq_size);
	uring->sqes_size = params->sq_entries * sizeof(struct io_uring_sqe);
	uring->rings = map(uring->fd, uring->rings_size, IORING_OFF_SQ_RING);
	uring->sqes = map(uring->fd, uring->sqes_size, IORING_OFF_SQES);
	if (uring->rings == NULL || uring->sqes == NULL)
		return -ENOMEM;
	rings = uring->rings;
	uring->sq_tail = (uint32_t *)(rings + params->sq_off.tail);
	uring->sq_mask = *(uint32_t *)(rings + params->sq_off.ring_mask);
	uring->cq_head = (uint32_t *)(rings + params->cq_off.head);
	uring->cq_tail = (uint32_t *)(rings + params->cq_off.tail);
	uring->cq_mask = *(uint32_t *)(rings + params->cq_off.ring_mask);
	uring->cqes = (const struct io_uring_cqe *)(rings + params->cq_off.cqes);
	indices = (uint32_t *)(rings + params->sq_off.array);
	for (uint32_t i = 0; i < params->sq_entries; i++)
		indices[i] = i; // entries are used in the order of the ring
	return 0;
}

static int uring_new(struct uring **ret_uring)
{
	struct io_uring_params params = {0};
	struct uring *uring = calloc(1, sizeof(*uring));
	int error;

	if (uring == NULL)
		return -ENOMEM;
	uring->fd = syscall(SYS_io_uring_setup, BATCH_MAX, &params);
	error = uring->fd < 0 ? -errno : 0;
	if (error == 0 && !(params.features & IORING_FEAT_RW_CUR_POS))
		error = -ENOSYS; // before Linux 5.6, it has neither one mapping nor READ
	if (error == 0)
		error = uring_map(uring, &params);
	if (error < 0) {
		uring_free(uring);
		return error;
	}
	*ret_uring = uring;
	return 0;
}

static void submit(struct uring *uring, const struct batch_call *calls, unsigned int count)
{
	uint32_t tail = *uring->sq_tail;

	for (unsigned int i = 0; i < count; i++, tail++) {
		const struct batch_call *call = &calls[i];
		struct io_uring_sqe *sqe = &uring->sqes[tail & uring->sq_mask];
		bool one = call->parts == 1;

		memset(sqe, 0, sizeof(*sqe));
		if (call->write)
			sqe->opcode = one ? IORING_OP_WRITE : IORING_OP_WRITEV;
		else
			sqe->opcode = one ? IORING_OP_READ : IORING_OP_READV;
		sqe->fd = call->fd;
		sqe->addr = one ? (uintptr_t)call->iov[0].iov_base : (uintptr_t)call->iov;
		sqe->len = one ? call->iov[0].iov_len : (size_t)call->parts;
		sqe->rw_flags = RWF_NOWAIT;
		sqe->off = UINT64_MAX; // a stream has no position
		sqe->user_data = i;
	}
	__atomic_store_n(uring->sq_tail, tail, __ATOMIC_RELEASE);
}

// Take the results that are there; how many.
static unsigned int reap(struct uring *uring, struct batch_call *calls, unsigned int count)
{
	uint32_t head = *uring->cq_head, tail = __atomic_load_n(uring->cq_tail, __ATOMIC_ACQUIRE);
	unsigned int done = tail - head;

	for (; head != tail; head++) {
		const struct io_uring_cqe *cqe = &uring->cqes[head & uring->cq_mask];

		if (cqe->user_data < count)
			calls[cqe->user_data].result = cqe->res;
	}
	__atomic_store_n(uring->cq_head, head, __ATOMIC_RELEASE);
	return done;
}

// 0, or a negative errno: the ring is of no more use, and calls with result NOT_DONE were not made.
static int uring_run(struct batch *batch, struct batch_call *calls, unsigned int count)
{
	unsigned int submitted = 0, done = 0;

	submit(batch->uring, calls, count);
	while (done < count) {
		int result = syscall(SYS_io_uring_enter, batch->uring->fd, count - submitted,
				     count - done, IORING_ENTER_GETEVENTS, NULL, 0);

		counter_add(&batch->system_calls, 1);
		if (result < 0 && errno != EINTR)
			return -errno;
		submitted += result > 0 ? (unsigned int)result : 0;
		done += reap(batch->uring, calls, count);
	}
	return 0;
}

// ---- single calls ---------------------------------------------------------------------------------------

static void run_one(struct batch *batch, struct batch_call *call)
{
	const struct iovec *iov = call->iov;
	ssize_t result;

	if (call->write)
		result = call->parts == 1 ? write(call->fd, iov->iov_base, iov->iov_len)
					  : writev(call->fd, iov, call->parts);
	else
		result = call->parts == 1 ? read(call->fd, iov->iov_base, iov->iov_len)
					  : readv(call->fd, iov, call->parts);
	counter_add(&batch->system_calls, 1);
	call->result = result < 0 ? -errno : (int)result;
}

static void run_each(struct batch *batch, struct batch_call *calls, unsigned int count)
{
	const struct batch_call *empty = NULL;

	for (unsigned int i = 0; i < count; i++) {
		struct batch_call *call = &calls[i];

		if (call->result != NOT_DONE)
			continue;
		if (empty != NULL && !call->write && call->fd == empty->fd) {
			call->result = -EAGAIN;
			continue;
		}
		run_one(batch, call);
		empty = !call->write && call->result == -EAGAIN ? call : NULL;
	}
}

// ---- the batch ------------------------------------------------------------------------------------------

static void do_without(struct batch *batch, int error)
{
	struct uring *uring = batch->uring;

	SIMNIC_LOG(NOTICE, "no io_uring for the functions' frames, a system call for each: %s",
		   strerror(-error));
	__atomic_store_n(&batch->uring, NULL, __ATOMIC_RELAXED);
	uring_free(uring);
}

void batch_init(struct batch *batch, bool uring)
{
	struct uring *made = NULL;
	int error = uring ? uring_new(&made) : 0;

	__atomic_store_n(&batch->uring, made, __ATOMIC_RELAXED);
	if (error < 0)
		do_without(batch, error);
}

void batch_fini(struct batch *batch)
{
	uring_free(batch->uring);
	batch->uring = NULL;
}

void batch_run(struct batch *batch, struct batch_call *calls, unsigned int count)
{
	int error = 0;

	for (unsigned int i = 0; i < count; i++)
		calls[i].result = NOT_DONE;
	if (batch->uring != NULL && count > 1)
		error = uring_run(batch, calls, count);
	// A kernel whose TAPs do not know RWF_NOWAIT has done nothing.
	for (unsigned int i = 0; i < count && error == 0; i++)
		if (calls[i].result == -EOPNOTSUPP)
			error = -EOPNOTSUPP;
	if (error < 0)
		do_without(batch, error);
	for (unsigned int i = 0; i < count; i++)
		if (calls[i].result == -EOPNOTSUPP)
			calls[i].result = NOT_DONE;
	if (batch->uring == NULL || count == 1)
		run_each(batch, calls, count);
}
