// SPDX-License-Identifier: BSD-3-Clause
//
// The network configuration of standard input as checked values (SPEC 1.1.0, sections 1 and 3;
// CONVENTIONS). Keys of podport's own:
//
//     socket       podport-hostd's socket; default /run/podport/hostd.sock
//     mtu          of the pod's interface, 1280..9000; default the pod network's
//     timeout_ms   for the whole call, 1..600000; default 10000
//     portKind     function, vhost-user or virtio-user; default function; also in args.cni
//
// Of the convention's: dns, args.cni.ips, args.cni.mac, and what runtime_config.h says.
// Keys that nobody knows are ignored, as the specification has it.

#pragma once

#include <jansson.h>

#include "cni/cni_error.h"
#include "cni/environment.h"
#include "cni/prev_result.h"
#include "cni/valid.h"
#include "cni/wishes.h"

enum cni_version {
	CNI_0_3_0,
	CNI_0_3_1,
	CNI_0_4_0,
	CNI_1_0_0,
	CNI_1_1_0,
	CNI_VERSION_COUNT,
	CNI_VERSION_NEWEST = CNI_VERSION_COUNT - 1,
};

// "1.1.0"
const char *cni_version_name(enum cni_version version);

enum {
	// libcni's own results are some hundred bytes; a chain of plugins adds to prevResult.
	NETCONF_BYTES_MAX = 1024 * 1024,
};

// Everything borrowed is of `root`.
struct netconf {
	json_t *root;             // owned
	enum cni_version version; // that of input and output
	const char *name;
	const char *socket;  // NULL: the default
	uint32_t timeout_ms; // 0: the default
	uint32_t mtu;        // 0: the pod network's
	struct wishes wishes;
	json_t *dns;                    // owned; NULL: none
	const json_t *prev_result;      // NULL: none
	struct prev_result checked;     // what is in it
	struct valid_attachments valid; // GC's
};

// Parse and check what `command` needs, and only that: a DEL must not fail for a key that it has no
// use for. Errors: CNI_DECODING_FAILURE with line and column, CNI_INCOMPATIBLE_VERSION,
// CNI_INVALID_CONFIG and CNI_UNSUPPORTED_FIELD with the key.
//
// ret_netconf is written on failure too, for its version: what it was if it was understood, else the
// newest. netconf_clear it in any case.
int netconf_parse(const char *text, size_t size, enum cni_command command,
		  struct netconf *ret_netconf, struct cni_error *error);

// For VERSION: the configuration's cniVersion, whatever it is. Nothing at all is fine: the newest.
// ret_root owns the string.
int netconf_parse_version(const char *text, size_t size, json_t **ret_root,
			  const char **ret_version, struct cni_error *error);

void netconf_clear(struct netconf *netconf);
