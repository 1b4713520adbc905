// SPDX-License-Identifier: BSD-3-Clause
//
// An address with a prefix length, "10.88.0.1/16", as people write it in the configuration and in commands: the one
// place that reads it. Whether it is a network's address or a host's is for the caller to ask.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/error.h"

struct prefix {
	int family;          // AF_INET, AF_INET6
	uint8_t address[16]; // network order; of IPv4 the first 4 bytes, the others 0
	uint8_t length;
};

// Of this family; AF_UNSPEC: of either. `alone`: an address without a length is a prefix of its own. Errors: -EINVAL
// with CODE_BAD_REQUEST, the text, and what is wrong with it.
int prefix_parse(int family, const char *text, bool alone, struct prefix *ret_prefix,
		 struct error *err);

// Is anything set behind the length?
bool prefix_has_host_bits(const struct prefix *prefix);

// Do the first `length` bits of two addresses agree?
bool prefix_bits_equal(const uint8_t *a, const uint8_t *b, unsigned int length);
