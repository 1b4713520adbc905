// SPDX-License-Identifier: BSD-3-Clause
//
// A pcapng file (draft-ietf-opsawg-pcapng) of one interface. DPDK's rte_pcapng is where the packets
// are, not where the file is to be: here there is no DPDK.

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct pcapng_interface {
	const char *name;        // "pf0vf3"
	const char *description; // "pod web-0, eth0"
	const char *filter;      // as the operator gave it; NULL: none
	const char *application; // "podportctl 0.1.0"
	uint32_t snap;           // bytes kept of each frame
};

// Section header and interface. Each of these returns 0, or -errno of the first write that failed.
int pcapng_begin(FILE *file, const struct pcapng_interface *interface);

struct pcapng_packet {
	uint64_t unix_ns;
	bool inbound; // the interface received it, else it sent it
	uint32_t length, captured;
	const uint8_t *frame;
	const char *comment; // NULL: none
};
int pcapng_put(FILE *file, const struct pcapng_packet *packet);

// Statistics of the interface. unix_ns: now.
int pcapng_end(FILE *file, uint64_t unix_ns, uint64_t received, uint64_t lost);
