// SPDX-License-Identifier: BSD-3-Clause
//
// What the e-switch may route: a longest prefix match in the plan decides as the graph does, for any address.

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "control/route_plan.h"
#include "pod/prefix.h"
#include "pod/uplink.h"

static struct uplink uplink;
static struct pod_network network;
static struct masquerade_config masquerade;
static struct neighbour_info neighbours[NEIGHBOURS_MAX];
static size_t neighbour_count;
static struct route_plan plan;

static int prepare(void **state)
{
	struct error err;

	memset(&uplink, 0, sizeof(uplink));
	memset(&masquerade, 0, sizeof(masquerade));
	network = (struct pod_network){.has_ipv4 = true,
				       .has_ipv6 = true,
				       .ipv4_prefix_length = 16,
				       .ipv6_prefix_length = 64};
	inet_pton(AF_INET, "10.88.0.0", &network.ipv4);
	inet_pton(AF_INET6, "fd00:10:88::", &network.ipv6);
	assert_int_equal(uplink_parse_ipv4("203.0.113.10/24", &uplink, &err), 0);
	assert_int_equal(uplink_parse_ipv6("2001:db8:1::10/64", &uplink, &err), 0);
	neighbour_count = 0;
	return 0;
}

static void route(const char *text)
{
	struct error err;

	assert_int_equal(uplink_parse_route(text, &uplink, &err), 0);
}

static void neighbour(const char *address)
{
	struct neighbour_info *n = &neighbours[neighbour_count++];

	*n = (struct neighbour_info){.number = (uint32_t)neighbour_count,
				     .is_ipv6 = strchr(address, ':') != NULL,
				     .has_mac = true,
				     .mac = {{2, 0, 0, 0, 0, (uint8_t)neighbour_count}}};
	inet_pton(n->is_ipv6 ? AF_INET6 : AF_INET, address, n->address);
}

static void exclude(const char *text)
{
	struct masquerade_prefix *to = &masquerade.excluded[masquerade.excluded_count++];
	struct prefix prefix;
	struct error err;

	assert_int_equal(prefix_parse(AF_UNSPEC, text, true, &prefix, &err), 0);
	to->is_ipv6 = prefix.family == AF_INET6;
	to->length = prefix.length;
	memcpy(to->prefix, prefix.address, sizeof(to->prefix));
}

static void make(void)
{
	route_plan_make(&uplink, &network, &masquerade, neighbours, neighbour_count, &plan);
}

static bool holds(const struct offload_prefix *prefix, bool is_ipv6, const uint8_t address[16])
{
	return prefix->is_ipv6 == is_ipv6 &&
	       prefix_bits_equal(prefix->address, address, prefix->length);
}

// The number of the neighbour that a packet to this address goes to; 0: the slow path has it.
static uint32_t next_hop(const char *text)
{
	const struct offload_route *best = NULL;
	bool is_ipv6 = strchr(text, ':') != NULL;
	uint8_t address[16] = {0};

	inet_pton(is_ipv6 ? AF_INET6 : AF_INET, text, address);
	for (size_t i = 0; i < plan.count; i++) {
		if (!holds(&plan.routes[i].to, is_ipv6, address))
			continue;
		if (best != NULL)
			assert_int_not_equal(best->to.length, plan.routes[i].to.length);
		if (best == NULL || plan.routes[i].to.length > best->to.length)
			best = &plan.routes[i];
	}
	if (best == NULL || !best->forward)
		return 0;
	assert_int_equal(best->next_hop_mac.bytes[5], best->next_hop);
	return best->next_hop;
}

static bool may_speak(const char *text)
{
	const struct offload_source *best = NULL;
	bool is_ipv6 = strchr(text, ':') != NULL;
	uint8_t address[16] = {0};

	inet_pton(is_ipv6 ? AF_INET6 : AF_INET, text, address);
	for (uint32_t i = 0; i < plan.wire.source_count; i++) {
		const struct offload_source *source = &plan.wire.sources[i];

		if (holds(&source->from, is_ipv6, address) &&
		    (best == NULL || source->from.length > best->from.length))
			best = source;
	}
	return best != NULL && best->forward;
}

static void the_longest_prefix_decides_and_neighbours_are_on_the_link(void **state)
{
	route("default via 203.0.113.1");
	route("198.51.100.0/24 via 203.0.113.20");
	route("198.51.100.128/25 via 203.0.113.77");
	route("default via 2001:db8:1::1");
	neighbour("203.0.113.1");    // 1
	neighbour("203.0.113.20");   // 2
	neighbour("2001:db8:1::1");  // 3
	neighbour("2001:db8:1::20"); // 4
	make();
	assert_true(plan.wire.ipv4 && plan.wire.ipv6);
	assert_int_equal(next_hop("192.0.2.99"), 1);
	assert_int_equal(next_hop("198.51.100.7"), 2);
	assert_int_equal(next_hop("198.51.100.200"),
			 0); // its next hop is not there, and no other takes its place
	assert_int_equal(next_hop("203.0.113.1"), 1);
	assert_int_equal(next_hop("203.0.113.20"), 2);
	assert_int_equal(next_hop("203.0.113.21"), 0); // nobody who is known
	assert_int_equal(next_hop("2001:db8:f::7"), 3);
	assert_int_equal(next_hop("2001:db8:1::20"), 4);
	assert_int_equal(next_hop("2001:db8:1::21"), 0);
}

static void what_is_the_agents_own_or_nobodys_stays_in_software(void **state)
{
	static const char *const apart[] = {
		"203.0.113.10", "203.0.113.0",    "203.0.113.255", "10.88.0.2", "10.88.200.200",
		"0.1.2.3",      "127.0.0.1",      "169.254.1.1",   "224.0.0.5", "255.255.255.255",
		"240.0.0.1",    "2001:db8:1::10", "fd00:10:88::2", "::",        "::1",
		"fe80::1",      "ff02::1",
	};

	route("default via 203.0.113.1");
	route("default via 2001:db8:1::1");
	route("127.1.0.0/16 via 203.0.113.1"); // whatever the operator may think
	neighbour("203.0.113.1");
	neighbour("2001:db8:1::1");
	make();
	for (size_t i = 0; i < sizeof(apart) / sizeof(apart[0]); i++) {
		assert_int_equal(next_hop(apart[i]), 0);
		if (strncmp(apart[i], "203.0.113.0", 11) != 0 &&
		    strcmp(apart[i], "203.0.113.255") != 0)
			assert_false(may_speak(apart[i]));
	}
	assert_int_equal(next_hop("127.1.2.3"), 0);
	assert_int_equal(next_hop("10.89.0.2"), 1);
	assert_true(may_speak("192.0.2.99") && may_speak("203.0.113.20") &&
		    may_speak("2001:db8::9"));
}

static void a_neighbour_behind_a_longer_route_goes_by_that(void **state)
{
	route("203.0.113.128/25 via 203.0.113.1");
	route("203.0.113.30/32 via 203.0.113.1");
	neighbour("203.0.113.1");
	neighbour("203.0.113.200");
	neighbour("203.0.113.30");
	make();
	assert_int_equal(next_hop("203.0.113.200"), 1);
	assert_int_equal(next_hop("203.0.113.30"), 1);
	assert_int_equal(next_hop("203.0.113.1"), 1);
}

static void only_who_is_excluded_from_masquerade_is_routed(void **state)
{
	route("default via 203.0.113.1");
	route("198.51.0.0/16 via 203.0.113.20");
	route("default via 2001:db8:1::1");
	neighbour("203.0.113.1");
	neighbour("203.0.113.20");
	neighbour("203.0.113.77");
	neighbour("2001:db8:1::1");
	masquerade.ipv4 = masquerade.ipv6 = true;
	exclude("198.51.100.0/24");
	exclude("203.0.113.77");
	exclude("10.0.0.0/8");
	make();
	assert_true(plan.wire.ipv4);
	assert_false(plan.wire.ipv6); // nobody there is excluded
	assert_int_equal(next_hop("192.0.2.99"), 0);
	assert_int_equal(next_hop("198.51.100.7"), 2);
	assert_int_equal(next_hop("198.51.99.7"), 0);
	assert_int_equal(next_hop("203.0.113.77"), 3);
	assert_int_equal(next_hop("203.0.113.20"), 0);
	assert_int_equal(next_hop("10.1.2.3"), 1);
	assert_int_equal(next_hop("10.88.0.9"), 0);
	assert_int_equal(next_hop("2001:db8:f::7"), 0);
	assert_true(may_speak("198.51.100.7") && may_speak("203.0.113.77") &&
		    may_speak("10.1.2.3"));
	assert_false(may_speak("192.0.2.99") || may_speak("10.88.0.9") || may_speak("2001:db8::9"));
}

static void a_family_that_one_of_both_has_not_is_not_routed(void **state)
{
	network.has_ipv6 = false;
	make();
	assert_true(plan.wire.ipv4 && !plan.wire.ipv6);
	network.has_ipv6 = true;
	uplink.has_ipv4 = false;
	make();
	assert_true(!plan.wire.ipv4 && plan.wire.ipv6);
	for (size_t i = 0; i < plan.count; i++)
		assert_true(plan.routes[i].to.is_ipv6);
}

static void all_that_the_agent_can_know_has_room(void **state)
{
	char text[64];

	masquerade.ipv4 = masquerade.ipv6 = true;
	for (unsigned int i = 0; i < MASQUERADE_EXCLUDED_MAX / 2; i++) {
		snprintf(text, sizeof(text), "%u.0.0.0/7", 128 + 2 * i);
		exclude(text);
		snprintf(text, sizeof(text), "2001:%x::/32", i);
		exclude(text);
	}

	masquerade.excluded_count = MASQUERADE_EXCLUDED_MAX;
	masquerade.excluded[0] = (struct masquerade_prefix){.length = 0}; // of IPv4, all
	for (unsigned int i = 0; i < LIMIT_ROUTES; i++) {
		snprintf(text, sizeof(text), "100.%u.0.0/16 via 203.0.113.1", i);
		route(text);
	}
	for (unsigned int i = 0; i < NEIGHBOURS_MAX; i++) {
		snprintf(text, sizeof(text), "203.0.%u.%u", 113 + i / 200, 20 + i % 200);
		neighbour(text);
	}
	uplink.ipv4_prefix_length = 16;
	make();
	assert_in_range(plan.count, NEIGHBOURS_MAX - 8 + LIMIT_ROUTES, OFFLOAD_ROUTES_MAX);
	assert_in_range(plan.wire.source_count, 30, OFFLOAD_SOURCES_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_longest_prefix_decides_and_neighbours_are_on_the_link,
				       prepare),
		cmocka_unit_test_setup(what_is_the_agents_own_or_nobodys_stays_in_software,
				       prepare),
		cmocka_unit_test_setup(a_neighbour_behind_a_longer_route_goes_by_that, prepare),
		cmocka_unit_test_setup(only_who_is_excluded_from_masquerade_is_routed, prepare),
		cmocka_unit_test_setup(a_family_that_one_of_both_has_not_is_not_routed, prepare),
		cmocka_unit_test_setup(all_that_the_agent_can_know_has_room, prepare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
