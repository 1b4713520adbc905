// SPDX-License-Identifier: BSD-3-Clause
//
// Numbers that nobody outside can predict, at the price of a few cycles: SipHash-2-4 (Aumasson and
// Bernstein, 2012) of a counter under a secret key. For ports (RFC 6056 section 3.3); DPDK's rte_rand()
// can be computed from what it gave before.

#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

struct random {
	uint64_t key[2];
	uint64_t counter;
};

// From the kernel; not for workers.
static inline uint64_t random_seed(void)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		abort(); // not since the kernel has it
	return seed;
}

static inline uint64_t random_rotate(uint64_t value, unsigned int bits)
{
	return value << bits | value >> (64 - bits);
}

static inline void random_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = random_rotate(v[1], 13) ^ v[0];
	v[0] = random_rotate(v[0], 32);
	v[2] += v[3];
	v[3] = random_rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = random_rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = random_rotate(v[1], 17) ^ v[2];
	v[2] = random_rotate(v[2], 32);
}

static inline uint64_t random_next(struct random *random)
{
	uint64_t v[4] = {random->key[0] ^ 0x736f6d6570736575, random->key[1] ^ 0x646f72616e646f6d,
			 random->key[0] ^ 0x6c7967656e657261, random->key[1] ^ 0x7465646279746573};
	uint64_t words[2] = {random->counter++, 8ull << 56};

	for (unsigned int i = 0; i < 2; i++) {
		v[3] ^= words[i];
		random_round(v);
		random_round(v);
		v[0] ^= words[i];
	}
	v[2] ^= 0xff;
	for (unsigned int i = 0; i < 4; i++)
		random_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
