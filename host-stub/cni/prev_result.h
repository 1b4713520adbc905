// SPDX-License-Identifier: BSD-3-Clause
//
// prevResult: what an earlier plugin of the chain made (ADD), or what ADD as a whole did (CHECK).
// The shapes of 0.3.0 to 1.1.0 differ in optional keys only, so one parser reads all.

#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "cni/cni_error.h"
#include "libpodport/podport.h"
#include "proto/message.h"

struct prev_interface {
	const char *name;
	const char *sandbox; // "": on the host
	bool has_mac;
	struct mac mac;
	uint32_t mtu;            // 0: not said, as before 1.1.0
	const char *socket_path; // "": not said, likewise
};

struct prev_ip {
	int family;
	uint8_t address[16];
	int64_t interface; // index into the interfaces, -1: not said
};

// Borrows the strings of the JSON that it was made of.
struct prev_result {
	struct prev_interface *interfaces;
	size_t interface_count;
	struct prev_ip *ips;
	size_t ip_count;
};

// Errors: CNI_INVALID_CONFIG with the key in full.
int prev_result_parse(const json_t *json, struct prev_result *ret_result, struct cni_error *error);
void prev_result_clear(struct prev_result *result);

// The MTU that the runtime was told of the pod's interface; 0: none. A later plugin of the chain (tuning)
// may have changed it.
uint32_t prev_result_mtu(const struct prev_result *result, const char *ifname, const char *netns);

// CHECK: is the attachment, as the agent has it, still what the runtime was told? Interfaces,
// addresses and routes that others of the chain added are theirs. Errors: that of CODE_MISMATCH.
int prev_result_compare(const struct prev_result *result, const char *netns,
			const struct podport_attachment *attachment, struct cni_error *error);
