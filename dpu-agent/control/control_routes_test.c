// SPDX-License-Identifier: BSD-3-Clause
//
// The e-switch hears what is routed to the wire: with the rules' begin, and whenever the uplink or a neighbour has changed.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <arpa/inet.h>
#include <string.h>

#include "control/fake_connections.h"
#include "control/test_agent.h"

static struct uplink make_uplink(const char *ipv4, const char *route)
{
	struct uplink uplink = {0};
	struct error err;

	assert_int_equal(0, uplink_parse_ipv4(ipv4, &uplink, &err));
	if (route != NULL)
		assert_int_equal(0, uplink_parse_route(route, &uplink, &err));
	return uplink;
}

// Who is not masqueraded towards is 198.51.100.0/24, and a neighbour is 192.0.2.1: see fake_nic.c.
static void start(struct test_agent *agent)
{
	test_agent_init(agent, 4, "10.88.0.0/16", NULL);
	test_agent_stop(agent);
	fake_connections_reset();
	agent->uplink = make_uplink("192.0.2.10/24", "default via 192.0.2.1");
	fake_nic.neighbours = 0;
	test_agent_start(agent);
}

static const struct offload_route *route_to(const char *address, uint8_t length)
{
	const in_addr_t wanted = inet_addr(address);

	for (size_t i = 0; i < fake_offload.route_count; i++) {
		const struct offload_route *route = &fake_offload.routes[i];

		if (!route->to.is_ipv6 && route->to.length == length &&
		    memcmp(route->to.address, &wanted, sizeof(wanted)) == 0)
			return route;
	}
	return NULL;
}

static void routes_are_known_with_the_first_rules_and_go_by_neighbours(void **state)
{
	static const struct mac next_hop = {{2, 0, 0, 0, 0, 7}};
	struct test_agent agent;
	unsigned int told;

	start(&agent);
	assert_true(fake_offload.has_wire && fake_offload.wire.ipv4);
	assert_false(fake_offload.wire.ipv6);
	assert_int_equal(fake_offload.wire.mtu, 1500);
	assert_non_null(route_to("198.51.100.0", 24));
	assert_false(route_to("198.51.100.0", 24)->forward);

	told = fake_offload.route_lists;
	fake_nic.neighbours = 3; // the second of them has no MAC address
	control_neighbours_changed(agent.control);
	assert_int_equal(fake_offload.route_lists, told + 1);
	assert_true(route_to("198.51.100.0", 24)->forward);
	assert_int_equal(route_to("198.51.100.0", 24)->next_hop, 1);
	assert_memory_equal(&route_to("198.51.100.0", 24)->next_hop_mac, &next_hop,
			    sizeof(next_hop));
	assert_false(route_to("0.0.0.0", 0)->forward); // masqueraded

	control_neighbours_changed(agent.control);
	assert_int_equal(fake_offload.route_lists, told + 1); // nothing new, nothing said

	fake_nic.neighbours = 0;
	control_neighbours_changed(agent.control);
	assert_false(route_to("198.51.100.0", 24)->forward);
	test_agent_destroy(&agent);
}

static void another_uplink_has_other_routes_and_none_has_none(void **state)
{
	struct uplink other = make_uplink("192.0.2.30/24", "198.51.100.128/25 via 192.0.2.3");
	const struct uplink none = {0};
	struct test_agent agent;
	struct error err;

	start(&agent);
	other.vlan = 77;
	assert_int_equal(control_set_uplink(agent.control, &other, &err), 0);
	assert_int_equal(fake_offload.wire.vlan, 77);
	assert_non_null(route_to("198.51.100.128", 25));
	assert_non_null(route_to("192.0.2.30", 32));
	assert_null(route_to("0.0.0.0", 0));
	assert_int_equal(control_set_uplink(agent.control, &none, &err), 0);
	assert_false(fake_offload.has_wire);
	assert_int_equal(fake_offload.route_count, 0);
	test_agent_destroy(&agent);
}

static void next_hops_that_the_e_switch_sends_to_are_in_use(void **state)
{
	struct test_agent agent;

	start(&agent);
	control_retry(agent.control);
	assert_int_equal(fake_connections.used_hop, 0);
	fake_offload.used_next_hop = 5;
	control_retry(agent.control);
	assert_int_equal(fake_connections.used_hop, 5);
	test_agent_destroy(&agent);
}

static void a_pod_that_maps_ports_says_so_to_the_e_switch(void **state)
{
	struct test_agent agent;
	struct test_call call;

	start(&agent);
	test_attach(&call, "web");
	struct port_mappings *mappings = &call.request.body.attach.port_mappings;
	mappings->count = 3;
	mappings->items[0] = (struct port_mapping){
		.protocol = IPPROTO_TCP, .host_port = 8080, .container_port = 80};
	mappings->items[1] = (struct port_mapping){
		.protocol = IPPROTO_UDP, .host_port = 8080, .container_port = 80};
	mappings->items[2] = (struct port_mapping){// the same endpoint once more
						   .protocol = IPPROTO_TCP,
						   .host_port = 8081,
						   .container_port = 80};
	test_must_run(&agent, &call);
	const struct offload_pod *wanted =
		&fake_offload.slots[call.reply.body.attach.function.vf].pod;
	assert_int_equal(wanted->published_count, 2);
	assert_int_equal(wanted->published[0].protocol, IPPROTO_TCP);
	assert_int_equal(wanted->published[0].port, 80);
	assert_int_equal(wanted->published[1].protocol, IPPROTO_UDP);
	test_call_clear(&call);
	const struct attachment other = test_must_attach(&agent, "other");
	assert_int_equal(fake_offload.slots[other.function.vf].pod.published_count, 0);
	test_agent_destroy(&agent);
}

static void of_one_that_maps_more_than_rules_can_tell_it_says_that(void **state)
{
	struct test_agent agent;
	struct test_call call;

	start(&agent);
	test_attach(&call, "web");
	struct port_mappings *mappings = &call.request.body.attach.port_mappings;
	mappings->count = OFFLOAD_PUBLISHED_MAX + 3;
	for (uint32_t i = 0; i < mappings->count; i++)
		mappings->items[i] = (struct port_mapping){.protocol = IPPROTO_TCP,
							   .host_port = (uint16_t)(8000 + i),
							   .container_port = (uint16_t)(80 + i)};
	test_must_run(&agent, &call);
	assert_int_equal(fake_offload.slots[call.reply.body.attach.function.vf].pod.published_count,
			 OFFLOAD_PUBLISHED_MAX + 1);
	test_call_clear(&call);
	test_agent_destroy(&agent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_are_known_with_the_first_rules_and_go_by_neighbours),
		cmocka_unit_test(another_uplink_has_other_routes_and_none_has_none),
		cmocka_unit_test(next_hops_that_the_e_switch_sends_to_are_in_use),
		cmocka_unit_test(a_pod_that_maps_ports_says_so_to_the_e_switch),
		cmocka_unit_test(of_one_that_maps_more_than_rules_can_tell_it_says_that),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
