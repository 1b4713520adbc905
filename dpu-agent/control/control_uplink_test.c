// SPDX-License-Identifier: BSD-3-Clause
//
// The uplink as control serves it: from the start, with a pod network that comes later, and changed.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <arpa/inet.h>
#include <string.h>

#include "control/test_agent.h"

static struct uplink make_uplink(const char *ipv4)
{
	struct uplink uplink = {0};
	struct error err;

	assert_int_equal(0, uplink_parse_ipv4(ipv4, &uplink, &err));
	return uplink;
}

static void start(struct test_agent *agent, const char *pods, const char *ipv4)
{
	test_agent_init(agent, 4, pods, NULL);
	test_agent_stop(agent);
	agent->uplink = make_uplink(ipv4);
	test_agent_start(agent);
}

static struct fake_port *uplink_port(void)
{
	return &fake_nic.ports[FAKE_FUNCTIONS_MAX + 1];
}

static void set_pod_network(struct test_agent *agent, const char *prefix, enum code code)
{
	struct test_call call;

	test_simple(&call, CALL_SET_POD_NETWORK);
	call.request.body.set_pod_network.has_ipv4 = true;
	call.request.body.set_pod_network.ipv4.s_addr = inet_addr(prefix);
	call.request.body.set_pod_network.ipv4_prefix_length = 24;
	if (code == CODE_OK)
		test_must_run(agent, &call);
	else
		test_must_fail(agent, &call, code, "overlap");
	test_call_clear(&call);
}

static const char *notice(const struct test_agent *agent)
{
	static char text[LIMIT_TEXT + 1];

	control_notice(agent->control, text);
	return text;
}

static void the_uplink_of_the_configuration_is_served(void **state)
{
	struct test_agent agent;

	start(&agent, "10.88.0.0/16", "192.0.2.10/24");
	assert_true(fake_nic.has_uplink);
	assert_true(uplink_equal(&agent.uplink, &fake_nic.uplink));
	assert_string_equal("", notice(&agent));
	test_agent_destroy(&agent);
}

static void the_addresses_are_announced_when_the_cable_is_in_again(void **state)
{
	struct test_agent agent;

	start(&agent, "10.88.0.0/16", "192.0.2.10/24");
	control_retry(agent.control);
	control_retry(agent.control);
	assert_int_equal(0, fake_nic.announcements);
	for (unsigned int again = 1; again <= 2; again++) {
		uplink_port()->link_down = true;
		control_retry(agent.control);
		control_retry(agent.control);
		assert_int_equal(again - 1, fake_nic.announcements);
		assert_string_equal("uplink: its link is down", notice(&agent));
		uplink_port()->link_down = false;
		control_retry(agent.control);
		control_retry(agent.control);
		assert_int_equal(again, fake_nic.announcements);
		assert_string_equal("", notice(&agent));
	}
	test_agent_destroy(&agent);
}

static void an_agent_without_uplink_leaves_the_wire_alone(void **state)
{
	struct test_agent agent;

	test_agent_init(&agent, 4, "10.88.0.0/16", NULL);
	assert_false(fake_nic.has_uplink);
	assert_string_equal("", notice(&agent));
	test_agent_destroy(&agent);
}

static void it_is_served_when_the_pod_network_comes(void **state)
{
	struct test_agent agent;

	start(&agent, NULL, "192.0.2.10/24");
	assert_false(fake_nic.has_uplink);
	set_pod_network(&agent, "10.88.0.0", CODE_OK);
	assert_true(fake_nic.has_uplink);
	test_agent_destroy(&agent);
}

static void a_pod_network_on_the_wires_prefix_is_refused(void **state)
{
	struct test_agent agent;

	start(&agent, "10.88.0.0/24", "192.0.2.10/24");
	set_pod_network(&agent, "192.0.2.0", CODE_CONFLICT);
	assert_true(fake_nic.has_uplink);
	assert_string_equal("", notice(&agent));
	test_agent_destroy(&agent);
}

// The file was changed so that it does not go with the network that was set by a call.
static void an_uplink_that_overlaps_the_pod_network_at_start_is_told_and_not_served(void **state)
{
	struct test_agent agent;

	test_quiet(true);
	start(&agent, "10.88.0.0/16", "10.88.3.10/24");
	test_quiet(false);
	assert_false(fake_nic.has_uplink);
	assert_non_null(strstr(notice(&agent), "overlap"));
	test_agent_destroy(&agent);
}

static void it_changes_while_pods_run(void **state)
{
	struct uplink next = make_uplink("192.0.2.11/24");
	struct test_agent agent;
	unsigned int starts;
	struct error err;

	start(&agent, "10.88.0.0/16", "192.0.2.10/24");
	starts = uplink_port()->starts;
	test_must_attach(&agent, "a");
	assert_int_equal(0, control_set_uplink(agent.control, &next, &err));
	assert_true(uplink_equal(&next, &fake_nic.uplink));
	assert_int_equal(starts, uplink_port()->starts);
	next.mtu = 1400; // of the port itself
	assert_int_equal(0, control_set_uplink(agent.control, &next, &err));
	assert_int_equal(starts + 1, uplink_port()->starts);
	assert_int_equal(1400, uplink_port()->config.mtu);
	test_assert_consistent(&agent, true);
	next = (struct uplink){0};
	assert_int_equal(0, control_set_uplink(agent.control, &next, &err));
	assert_false(fake_nic.has_uplink);
	test_assert_consistent(&agent, true);
	test_agent_destroy(&agent);
}

static void a_change_that_cannot_be_leaves_all_as_it_was(void **state)
{
	struct uplink bad = make_uplink("10.88.0.77/24"), next = make_uplink("192.0.2.11/24");
	struct test_agent agent;
	struct error err;

	start(&agent, "10.88.0.0/16", "192.0.2.10/24");
	assert_true(control_set_uplink(agent.control, &bad, &err) < 0);
	assert_int_equal(CODE_CONFLICT, err.code);
	fake_nic.fail_uplink = true;
	assert_true(control_set_uplink(agent.control, &next, &err) < 0);
	fake_nic.fail_uplink = false;
	assert_true(uplink_equal(&agent.uplink, &fake_nic.uplink));
	assert_string_equal("", notice(&agent));
	test_agent_destroy(&agent);
}

static void status_tells_who_the_agent_is_there(void **state)
{
	const struct uplink_status *status;
	struct test_agent agent;
	struct test_call call;

	start(&agent, "10.88.0.0/16", "192.0.2.10/24");
	fake_nic.neighbours = 5;
	test_simple(&call, CALL_GET_STATUS);
	test_must_run(&agent, &call);
	status = &call.reply.body.status.agent.uplink;
	assert_true(call.reply.body.status.agent.has_uplink);
	assert_int_equal(inet_addr("192.0.2.10"), status->ipv4.s_addr);
	assert_int_equal(24, status->ipv4_prefix_length);
	assert_false(status->has_ipv6);
	assert_int_equal(1500, status->mtu);
	assert_int_equal(5, status->neighbours);
	test_call_clear(&call);
	test_agent_destroy(&agent);
}

static void neighbours_are_listed_in_pages(void **state)
{
	struct test_agent agent;
	struct test_call call;
	uint32_t after = 0;
	size_t pages = 0;
	bool more = true;

	start(&agent, "10.88.0.0/16", "192.0.2.10/24");
	fake_nic.neighbours = 300;
	for (; more; pages++) {
		const struct neighbours_reply *reply = &call.reply.body.neighbours;

		test_simple(&call, CALL_LIST_NEIGHBOURS);
		call.request.body.list_neighbours.after = after;
		test_must_run(&agent, &call);
		for (size_t i = 0; i < reply->count; i++) {
			const struct neighbour_row *row = &reply->neighbours[i];

			assert_int_equal(++after, row->number);
			assert_string_equal("uplink", row->port);
			assert_true(row->has_ipv4 && !row->has_ipv6);
			assert_int_equal(after % 2 == 1, row->has_mac);
			assert_string_equal(row->has_mac ? "reachable" : "incomplete", row->state);
		}
		more = reply->more;
		test_call_clear(&call);
	}
	assert_int_equal(300, after);
	assert_int_equal(3, pages);
	test_agent_destroy(&agent);
}

static void connections_are_listed_in_pages(void **state)
{
	struct test_agent agent;
	struct test_call call;
	uint32_t after = 0;
	size_t pages = 0;
	bool more = true;

	start(&agent, "10.88.0.0/16", "192.0.2.10/24");
	fake_nic.connections = 250;
	for (; more; pages++) {
		const struct connections_reply *reply = &call.reply.body.connections;

		test_simple(&call, CALL_LIST_CONNECTIONS);
		call.request.body.list_connections.after = after;
		test_must_run(&agent, &call);
		for (size_t i = 0; i < reply->count; i++) {
			assert_int_equal(++after, reply->connections[i].number);
			assert_int_equal(after, reply->connections[i].pod_port);
			assert_string_equal("ESTABLISHED", reply->connections[i].state);
		}
		assert_int_equal(250, reply->total);
		assert_int_equal(1000, reply->most);
		more = reply->more;
		test_call_clear(&call);
	}
	assert_int_equal(250, after);
	assert_int_equal(3, pages);
	fake_nic.connections_fail = true;
	test_simple(&call, CALL_LIST_CONNECTIONS);
	test_must_fail(&agent, &call, CODE_INTERNAL, "it does not answer");
	test_call_clear(&call);
	test_agent_destroy(&agent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_uplink_of_the_configuration_is_served),
		cmocka_unit_test(the_addresses_are_announced_when_the_cable_is_in_again),
		cmocka_unit_test(an_agent_without_uplink_leaves_the_wire_alone),
		cmocka_unit_test(it_is_served_when_the_pod_network_comes),
		cmocka_unit_test(a_pod_network_on_the_wires_prefix_is_refused),
		cmocka_unit_test(
			an_uplink_that_overlaps_the_pod_network_at_start_is_told_and_not_served),
		cmocka_unit_test(it_changes_while_pods_run),
		cmocka_unit_test(status_tells_who_the_agent_is_there),
		cmocka_unit_test(neighbours_are_listed_in_pages),
		cmocka_unit_test(connections_are_listed_in_pages),
		cmocka_unit_test(a_change_that_cannot_be_leaves_all_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
