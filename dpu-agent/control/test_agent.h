// SPDX-License-Identifier: BSD-3-Clause
//
// For tests: an agent without wire and NIC: control over a store in a folder of its own and over
// fake_nic. It can be restarted, in order or as after a crash.

#pragma once

#include "control/control.h"
#include "control/fake_nic.h"
#include "control/fake_offload.h"

struct test_agent {
	char dir[64];
	uint32_t functions, vhosts, virtios;
	bool has_network;
	struct network network;    // of the configuration
	struct network configured; // the same, as control is told
	struct uplink uplink;      // of the configuration
	char instance_id[32];
	struct store *store;
	struct control *control;
};

// A fresh folder, `functions` functions, the prefixes (NULL: none of that family); started.
void test_agent_init(struct test_agent *agent, uint32_t functions, const char *ipv4,
		     const char *ipv6);
void test_agent_start(struct test_agent *agent);
int test_agent_try_start(struct test_agent *agent, struct error *err);
void test_agent_stop(struct test_agent *agent);
// Stop and start; the NIC forgets its ports meanwhile.
void test_agent_restart(struct test_agent *agent);
void test_agent_destroy(struct test_agent *agent); // and its folder

// One call, in a form that tests can hold and look at.
struct test_call {
	struct control_call base;
	struct request request;
	struct reply reply; // test_call_clear frees
	unsigned int answers;
	int64_t remaining_ms;
	unsigned int patience; // late after so many looks at the clock; 0: never
};

// Called at each answer, at once; may be NULL.
extern void (*test_on_answer)(const struct test_call *call);

void test_attach(struct test_call *call, const char *container_id);
void test_detach(struct test_call *call, const char *container_id);
void test_hello(struct test_call *call, const char *host_id, const char *boot_id);
void test_simple(struct test_call *call, enum call which); // no arguments
void test_call_clear(struct test_call *call);

// Process these together, and see that each is answered exactly once.
void test_run(struct test_agent *agent, struct test_call *calls, size_t count);

// One call, which must have this outcome.
void test_must_run(struct test_agent *agent, struct test_call *call); // success
struct attachment test_must_attach(struct test_agent *agent, const char *container_id);
void test_must_detach(struct test_agent *agent, const char *container_id);
void test_must_fail(struct test_agent *agent, struct test_call *call, enum code code,
		    const char *sentence_part);

// Failures that are meant are not logged until this is called with false.
void test_quiet(bool quiet);

// What must hold between any two calls: DESIGN's invariants 1 and 2, and that memory, store and
// NIC say the same. ports: also that each attachment's port is started. Rules: those of the started
// ports and no others, if there is an uplink.
void test_assert_consistent(struct test_agent *agent, bool ports);
