// SPDX-License-Identifier: BSD-3-Clause
//
// Values as people read them. Each writes into a buffer of the caller's and returns it.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libpodport/podport.h"

enum { FORMAT_SIZE = 512 };

struct text {
	char text[FORMAT_SIZE];
};

// Two units at most: "850 ms", "12s", "3m 20s", "2h 5m", "4d 1h".
const char *format_duration(struct text *text, uint64_t ms);
// "0%", "<1%", "97%", "100%": cut, so that 100% is all. "-" of nothing.
const char *format_share(struct text *text, uint64_t part, uint64_t whole);
// "999", "12.3k", "4.56M", "1.2G"
const char *format_count(struct text *text, uint64_t count);
// "512 B", "1.5 KiB", "23 MiB"
const char *format_bytes(struct text *text, uint64_t bytes);
// "02:00:00:00:00:01"
const char *format_mac(struct text *text, const uint8_t mac[6]);
// Of AF_INET (4 bytes) or AF_INET6 (16).
const char *format_address(struct text *text, int family, const void *address);
// "10.88.0.0/16"
const char *format_prefix(struct text *text, int family, const void *address, unsigned int length);
// "pf0vf3"
const char *format_function(struct text *text, unsigned int pf, unsigned int vf);
// "namespace/name", "name", or the container ID as format_container has it.
const char *format_pod(struct text *text, const struct podport_attachment *attachment);
// The container ID as people know it from other tools: the first 12 characters of a long hexadecimal
// one, others whole ("default-web").
const char *format_container(struct text *text, const char *container_id);
// Of the e-switch in a few words: "on, 74 rules", "on, 70 rules, 4 missing: table full", "off".
const char *format_offload(struct text *text, const struct podport_offload_summary *summary);
