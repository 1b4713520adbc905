// SPDX-License-Identifier: BSD-3-Clause
//
// See fixture_test.h.

#include "offload/fixture_test.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

struct offload *offload;
uint32_t test_places, test_connections;
bool test_loopback, test_icmp6, test_no_host;
static bool asynchronous;

int use_synchronous(void **state)
{
	asynchronous = false;
	return 0;
}

int use_asynchronous(void **state)
{
	asynchronous = true;
	return 0;
}

bool is_asynchronous(void)
{
	return asynchronous;
}

void prepare(uint32_t functions)
{
	const struct offload_config config = {
		.nic = fake_handle(),
		.enabled = true,
		.places = test_places,
		.connections = test_connections,
		.loopback = test_loopback,
		.icmp6 = test_icmp6,
	};
	struct error err = {0};

	fake_reset(functions, asynchronous);
	fake.no_host = test_no_host;
	assert_int_equal(offload_new(&config, &offload, &err), 0);
}

void begin_prepared(void)
{
	fake_start_uplink();
	offload_begin(offload, &fake_router);
}

void begin(uint32_t functions)
{
	prepare(functions);
	begin_prepared();
	assert_true(summary().usable);
	assert_string_equal(summary().api, asynchronous ? "asynchronous" : "synchronous");
	fake_forget_history();
	fake.inserts = fake.removals = 0;
}

int end(void **state)
{
	fake.fail_removals = fake.fail_all = fake.silent = false;
	fake.stuck = NULL;
	fake.fail_insert = 0;
	offload_free(offload);
	offload = NULL;
	test_places = test_connections = 0;
	test_loopback = test_icmp6 = test_no_host = false;
	assert_int_equal(fake_rule_count(), 0);
	assert_int_equal(fake.templates, 0);
	assert_int_equal(fake.handles, 0);
	assert_int_equal(fake_meter_count(), 0);
	assert_int_equal(fake_listeners(), 0);
	assert_false(fake_hooked());
	return 0;
}

void add_pod(const struct offload_pod *pod)
{
	offload_add(offload, pod, 1);
}

void add(uint32_t vf)
{
	const struct offload_pod pod = fake_pod(vf);

	add_pod(&pod);
}

void remove_pod(uint32_t vf)
{
	offload_remove(offload, FAKE_FIRST_SLOT + vf);
}

struct offload_pod_status status_of(uint32_t vf)
{
	struct offload_pod_status status;

	offload_read_pod(offload, FAKE_FIRST_SLOT + vf, &status);
	return status;
}

struct offload_summary summary(void)
{
	struct offload_summary result;

	offload_read_summary(offload, &result);
	return result;
}

const struct offload_capability *capability(const char *name)
{
	for (size_t i = 0; i < offload_capability_count(offload); i++) {
		if (strcmp(offload_capability(offload, i)->name, name) == 0)
			return offload_capability(offload, i);
	}
	return NULL;
}

// Its address is in three rules: one leads to it, one is for what it sends, one sends to it.
size_t rules_of_family(uint32_t vf, int family)
{
	const unsigned int host = vf + 2;
	char source[64], destination[64];

	if (family == 4) {
		snprintf(source, sizeof(source), "ip.src=10.88.%u.%u ", host >> 8, host & 0xff);
		snprintf(destination, sizeof(destination), "ip.dst=10.88.%u.%u ", host >> 8,
			 host & 0xff);
	} else {
		snprintf(source, sizeof(source), "ip.src=fd00::%x ", host);
		snprintf(destination, sizeof(destination), "ip.dst=fd00::%x ", host);
	}
	return fake_rules_with(source) + fake_rules_with(destination);
}

size_t rules_of(uint32_t vf)
{
	return rules_of_family(vf, 4) + rules_of_family(vf, 6);
}

void expect_full(uint32_t vf)
{
	struct offload_pod_status status = status_of(vf);

	assert_string_equal(status.reason, "");
	assert_int_equal(status.state, OFFLOAD_FULL);
	assert_int_equal(status.rules, POD_RULES);
	assert_int_equal(status.rules_wanted, POD_RULES);
	assert_int_equal(rules_of(vf), POD_RULES);
}

void expect_none(uint32_t vf, const char *reason)
{
	struct offload_pod_status status = status_of(vf);

	assert_string_equal(status.reason, reason);
	assert_int_equal(status.state, OFFLOAD_NONE);
	assert_int_equal(status.rules, 0);
	assert_int_equal(status.rules_wanted, POD_RULES);
	assert_int_equal(rules_of(vf), 0);
}

void expect_one_family(uint32_t vf, const char *reason)
{
	struct offload_pod_status status = status_of(vf);

	assert_string_equal(status.reason, reason);
	assert_int_equal(status.state, OFFLOAD_PARTIAL);
	assert_int_equal(status.rules, FAMILY_RULES);
	assert_int_equal(status.rules_wanted, POD_RULES);
	assert_int_equal(rules_of(vf), FAMILY_RULES);
	assert_true(rules_of_family(vf, 4) == 0 || rules_of_family(vf, 6) == 0);
}

// ---- connections ----------------------------------------------------------------------------------

struct offload_answer answers[ANSWERS_MAX];
size_t answer_count;

void take_answer(void *context, const struct offload_answer *answer)
{
	assert_true(answer_count < ANSWERS_MAX);
	answers[answer_count++] = *answer;
}

int64_t run_connections(void)
{
	answer_count = 0;
	return offload_connections_run(offload, ROUND_US, ANSWERS_MAX, take_answer, NULL);
}

void run_until_done(void)
{
	while (run_connections() == 5)
		;
}

size_t connection_rules(void)
{
	return fake_rules_with("g5 ");
}

// The address as which pods reach each other: the node's.
static void set_addresses(struct offload_tuple *tuple, uint32_t vf, bool is_ipv6)
{
	const struct offload_pod pod = fake_pod(vf);

	if (is_ipv6) {
		memcpy(tuple->source, &pod.ipv6, 16);
		inet_pton(AF_INET6, "2001:db8::10", tuple->destination);
	} else {
		memcpy(tuple->source, &pod.ipv4, 4);
		inet_pton(AF_INET, "203.0.113.10", tuple->destination);
	}
}

struct offload_connection call(uint32_t from, uint32_t to, bool is_ipv6, bool is_tcp, uint16_t port)
{
	struct offload_connection c = {
		.ends = {{.slot = FAKE_FIRST_SLOT + from,
			  .sent = {.source_port_be = htons(port),
				   .destination_port_be = htons(8080)},
			  .mac = fake_pod(from).mac},
			 {.slot = FAKE_FIRST_SLOT + to,
			  .sent = {.source_port_be = htons(80),
				   .destination_port_be = htons((uint16_t)(46000 + port))},
			  .mac = fake_pod(to).mac}},
		.is_ipv6 = is_ipv6,
		.protocol = is_tcp ? IPPROTO_TCP : IPPROTO_UDP,
	};

	set_addresses(&c.ends[0].sent, from, is_ipv6);
	set_addresses(&c.ends[1].sent, to, is_ipv6);
	return c;
}

struct offload_connection call_to_wire(uint32_t from, uint16_t port)
{
	struct offload_connection c = call(from, 3, false, true, port);

	c.ends[1].slot = OFFLOAD_WIRE;
	inet_pton(AF_INET, "198.51.100.7", c.ends[0].sent.destination);
	memcpy(c.ends[1].sent.source, c.ends[0].sent.destination, 4);
	c.next_hop = 1;
	return c;
}

void set_masqueraded(struct offload_connection *c, uint32_t vf, uint32_t hop)
{
	const struct offload_pod pod = fake_pod(vf);
	struct offload_tuple *inside = &c->ends[0].sent, *outside = &c->ends[1].sent;

	c->ends[0].slot = FAKE_FIRST_SLOT + vf;
	c->ends[0].mac = pod.mac;
	c->ends[1].slot = OFFLOAD_WIRE;
	c->ends[1].mac = (struct mac){{2, 0, 0, 0, 2, 0}};
	c->next_hop = hop;
	c->wire_mac = (struct mac){{2, 0, 0, 0, 1, 0}};
	if (c->is_ipv6) {
		memcpy(inside->source, &pod.ipv6, 16);
		inet_pton(AF_INET6, "2001:db8::7", inside->destination);
		inet_pton(AF_INET6, "2001:db8::10", outside->destination);
	} else {
		memcpy(inside->source, &pod.ipv4, 4);
		inet_pton(AF_INET, "198.51.100.7", inside->destination);
		inet_pton(AF_INET, "203.0.113.10", outside->destination);
	}
	memcpy(outside->source, inside->destination, 16);
}

// ---- history --------------------------------------------------------------------------------------

size_t step(const char *beginning)
{
	size_t found = SIZE_MAX;

	for (size_t i = 0; i < fake_history_count(); i++) {
		if (strncmp(fake_history(i), beginning, strlen(beginning)) != 0)
			continue;
		if (found != SIZE_MAX)
			fail_msg("\"%s\" twice", beginning);
		found = i;
	}
	if (found == SIZE_MAX)
		fail_msg("no \"%s\"", beginning);
	return found;
}
