// SPDX-License-Identifier: BSD-3-Clause
//
// What the tests of offload/ share: an offload on the fake NIC, for tests that are run with both
// APIs.

#pragma once

#include "offload/connections.h"
#include "offload/fake_flow.h"

enum {
	// With the ICMPv6 type: 4 for TTL and hop limit, 5 for discovery, 2 for DHCP, 1 at the entry.
	SHARED_RULES = 12,
	POD_RULES = 6,
	FAMILY_RULES = POD_RULES / 2,
};

extern struct offload *offload;
extern uint32_t test_places, test_connections;       // of the next one; end() makes them 0
extern bool test_loopback, test_icmp6, test_no_host; // likewise, false

// Group set-up: the tests use that API.
int use_synchronous(void **state);
int use_asynchronous(void **state);
bool is_asynchronous(void);

// A NIC with so many functions that does everything, its uplink started, offload begun.
void begin(uint32_t functions);
// The same of a NIC that the test has prepared after prepare().
void prepare(uint32_t functions);
void begin_prepared(void);
// Teardown: offload_free leaves nothing in the NIC.
int end(void **state);

void add(uint32_t vf);
void add_pod(const struct offload_pod *pod);
void remove_pod(uint32_t vf);
struct offload_pod_status status_of(uint32_t vf);
struct offload_summary summary(void);
// The preflight's row of this name; NULL: there is none.
const struct offload_capability *capability(const char *name);
// Its status, and the NIC's list, say so.
void expect_full(uint32_t vf);
void expect_none(uint32_t vf, const char *reason);
// The rules of one address family, and none of the other's.
void expect_one_family(uint32_t vf, const char *reason);
// The NIC's rules for this pod, by its addresses and ethdev.
size_t rules_of(uint32_t vf);
// Of one family.
size_t rules_of_family(uint32_t vf, int family);

// A round of work on connections, and what was told in it.
enum { ROUND_US = 1000, ANSWERS_MAX = 1000 };
extern struct offload_answer answers[ANSWERS_MAX];
extern size_t answer_count;
void take_answer(void *context, const struct offload_answer *answer);
int64_t run_connections(void);
void run_until_done(void);
// Their rules in the NIC.
size_t connection_rules(void);
// The pod `from` has called port 8080 of the node's address, 203.0.113.10 or 2001:db8::10, behind which `to` has port 80.
struct offload_connection call(uint32_t from, uint32_t to, bool is_ipv6, bool is_tcp,
			       uint16_t port);

// The same behind the wire: it has called port 8080 of 198.51.100.7, which has its own port for that.
struct offload_connection call_to_wire(uint32_t from, uint16_t port);
// Of a pod with the wire, which knows it by the same addresses as above: the addresses of both ends, by next hop `hop`.
void set_masqueraded(struct offload_connection *c, uint32_t vf, uint32_t hop);

// Where in the history of the NIC's list the only line is that begins so.
size_t step(const char *beginning);

#define TEST(name) cmocka_unit_test_teardown(name, end)
