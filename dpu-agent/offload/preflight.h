// SPDX-License-Identifier: BSD-3-Clause
//
// What can this NIC do: asked by rte_flow_validate, or, for the asynchronous API, by making the
// template table and taking it away again. Nothing is left behind. Control thread.

#pragma once

#include "offload/flow.h"
#include "offload/offload.h"

enum { PREFLIGHT_ROWS_MAX = 40 };

struct preflight {
	uint16_t proxy;   // the port that takes transfer rules
	uint16_t port_id; // of some function, to ask with
	bool async;

	// The answers.
	struct offload_capability rows[PREFLIGHT_ROWS_MAX];
	size_t count;
	struct flow_form form; // how this NIC wants it
	bool usable;           // all that is needed is there
	bool passing;          // it is not, for a reason that may pass: table full, busy
	char why_not[LIMIT_TEXT + 1];
};

// `uplink`: the ethdev whose proxy is used. `vlan`: that the wire is on, 0: none. `corrects_icmp6`: the NIC is known to
// correct the checksum of ICMPv6 when it writes an address. Fills *ret_preflight.
void preflight_run(struct preflight *ret_preflight, uint16_t uplink, uint16_t function, bool async,
		   uint16_t vlan, bool corrects_icmp6);

// Was `r`, a negative errno, answered not for what the NIC is but for the state it is in?
bool preflight_may_pass(int r);

// Append a row that was found out elsewhere, for information.
void preflight_note(struct preflight *preflight, const char *name, bool supported,
		    const char *remark);
