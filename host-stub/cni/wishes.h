// SPDX-License-Identifier: BSD-3-Clause
//
// What the runtime asks an interface to be: addresses, MAC, kind of port, bandwidth, mapped
// ports. They come several ways (the
// configuration, runtimeConfig, args.cni, CNI_ARGS), in the same notations.

#pragma once

#include <netinet/in.h>
#include <stdbool.h>

#include "proto/message.h"

struct wishes {
	bool has_ipv4, has_ipv6, has_mac;
	struct in_addr ipv4;
	struct in6_addr ipv6;
	struct mac mac;
	bool has_port;
	enum port_choice port;
	struct bandwidth bandwidth;
	struct port_mappings port_mappings;
};

// An address as IP or IP/LENGTH ("10.2.2.42/24", "2001:db8::5"). ret_family: AF_INET, AF_INET6;
// ret_address: 4 or 16 bytes; ret_length: 32 or 128 if there was none. Returns 0, or -1 with *ret_why
// saying what is wrong with it.
int address_parse(const char *text, int *ret_family, uint8_t ret_address[16],
		  unsigned int *ret_length, const char **ret_why);

// "c2:11:22:33:44:55", also with '-'. Returns 0 or -1.
int mac_parse(const char *text, struct mac *ret_mac);

// Add one. The length of an address is checked and forgotten: a pod's is /32 or /128. Errors: -EINVAL
// with CODE_BAD_REQUEST and a sentence that begins with `field`.
int wishes_add_ip(struct wishes *wishes, const char *field, const char *text, struct error *err);
int wishes_add_mac(struct wishes *wishes, const char *field, const char *text, struct error *err);
int wishes_add_port(struct wishes *wishes, const char *field, const char *text, struct error *err);
