// SPDX-License-Identifier: BSD-3-Clause
//
// The uplink as people write it: what is good is taken, what is not is refused by what is wrong with it.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "pod/uplink.h"

static struct uplink example(void)
{
	struct uplink uplink = {0};
	struct error err;

	assert_int_equal(0, uplink_parse_ipv4("192.0.2.10/24", &uplink, &err));
	assert_int_equal(0, uplink_parse_ipv6("2001:db8::10/64", &uplink, &err));
	assert_int_equal(0, uplink_parse_route("default via 192.0.2.1", &uplink, &err));
	assert_int_equal(0, uplink_parse_route("198.51.100.0/25 via 192.0.2.7", &uplink, &err));
	assert_int_equal(0, uplink_parse_route("default via fe80::1", &uplink, &err));
	assert_int_equal(0, uplink_parse_route("2001:db8:5::/48 via 2001:db8::7", &uplink, &err));
	return uplink;
}

static void addresses_and_routes_are_read_as_they_are_written(void **state)
{
	static const char *const routes[] = {"default via 192.0.2.1",
					     "198.51.100.0/25 via 192.0.2.7", "default via fe80::1",
					     "2001:db8:5::/48 via 2001:db8::7"};
	struct uplink uplink = example();
	char text[ROUTE_TEXT_SIZE];
	struct error err;

	assert_int_equal(inet_addr("192.0.2.10"), uplink.ipv4.s_addr);
	assert_int_equal(24, uplink.ipv4_prefix_length);
	assert_int_equal(64, uplink.ipv6_prefix_length);
	assert_int_equal(4, uplink.route_count);
	for (uint32_t i = 0; i < 4; i++) {
		uplink_route_text(&uplink.routes[i], text);
		assert_string_equal(routes[i], text);
	}
	assert_int_equal(0, uplink_check(&uplink, &err));
}

static void an_address_that_no_router_can_have_is_refused(void **state)
{
	static const char *const bad4[] = {
		"192.0.2.10",   "192.0.2.10/",    "192.0.2.10/33", "192.0.2/24",     "127.0.0.1/8",
		"224.0.0.1/24", "169.254.1.1/16", "192.0.2.0/24",  "192.0.2.255/24", "192.0.2.1/32",
		"192.0.2.1/0",  "2001:db8::1/64", "192.0.2.1/24x", "0.0.0.1/24",     ""};
	static const char *const bad6[] = {
		"2001:db8::10", "2001:db8::10/129", "fe80::1/64",   "ff02::1/64",       "::1/64",
		"::/64",        "2001:db8::10/128", "192.0.2.1/24", "::ffff:1.2.3.4/64"};
	struct uplink uplink = {0};
	struct error err;

	for (size_t i = 0; i < sizeof(bad4) / sizeof(bad4[0]); i++)
		if (uplink_parse_ipv4(bad4[i], &uplink, &err) == 0)
			fail_msg("'%s' was taken", bad4[i]);
	for (size_t i = 0; i < sizeof(bad6) / sizeof(bad6[0]); i++)
		if (uplink_parse_ipv6(bad6[i], &uplink, &err) == 0)
			fail_msg("'%s' was taken", bad6[i]);
	assert_false(uplink_is_configured(&uplink));
	// Two routers on one cable (RFC 3021).
	assert_int_equal(0, uplink_parse_ipv4("192.0.2.0/31", &uplink, &err));
}

static void a_route_that_makes_no_sense_is_refused(void **state)
{
	static const char *const bad[] = {
		"192.0.2.1",
		"default",
		"default via",
		"default 192.0.2.1",
		"default via 192.0.2.1 x",
		"198.51.100.0 via 192.0.2.1",
		"198.51.100.1/24 via 192.0.2.1",
		"2001:db8:5::/48 via 192.0.2.1",
		"2001:db8:5::1/48 via 2001:db8::1",
		"198.51.100.0/24 via 224.0.0.1",
		"default via ff02::1",
		"198.51.100.0/25 via 192.0.2.9", // has one
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct uplink uplink = example();
		struct error err;

		if (uplink_parse_route(bad[i], &uplink, &err) == 0)
			fail_msg("'%s' was taken", bad[i]);
		assert_int_equal(4, uplink.route_count);
	}
}

static void a_next_hop_must_be_on_the_wire(void **state)
{
	static const struct {
		const char *route, *why;
	} bad[] = {
		{"203.0.113.0/24 via 192.0.3.1", "not in the prefix"},
		{"203.0.113.0/24 via 192.0.2.10", "agent's own"},
		{"2001:db8:6::/48 via 2001:db8:1::1", "not in the prefix"},
		{"2001:db8:6::/48 via 2001:db8::10", "agent's own"},
	};
	struct error err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct uplink uplink = example();

		assert_int_equal(0, uplink_parse_route(bad[i].route, &uplink, &err));
		assert_true(uplink_check(&uplink, &err) < 0);
		assert_non_null(strstr(err.message, bad[i].route));
		assert_non_null(strstr(err.message, bad[i].why));
	}
	struct uplink only4 = example();
	only4.has_ipv6 = false;
	assert_true(uplink_check(&only4, &err) < 0);
	assert_non_null(strstr(err.message, "needs uplink.ipv6"));
}

static void there_is_a_limit_to_routes(void **state)
{
	struct uplink uplink = {0};
	char text[64];
	struct error err;

	for (int i = 0; i < LIMIT_ROUTES; i++) {
		snprintf(text, sizeof(text), "10.%d.0.0/16 via 192.0.2.1", i);
		assert_int_equal(0, uplink_parse_route(text, &uplink, &err));
	}
	assert_true(uplink_parse_route("default via 192.0.2.1", &uplink, &err) < 0);
	assert_non_null(strstr(err.message, "more than 64 routes"));
}

static void the_wire_and_the_pods_do_not_share_a_prefix(void **state)
{
	struct pod_network network = {.has_ipv4 = true, .ipv4_prefix_length = 16};
	struct uplink uplink = example();
	struct error err;

	network.ipv4.s_addr = inet_addr("10.88.0.0");
	assert_int_equal(0, uplink_suits_network(&uplink, &network, &err));
	network.ipv4.s_addr = inet_addr("192.0.0.0");
	assert_true(uplink_suits_network(&uplink, &network, &err) < 0);
	assert_non_null(strstr(err.message, "192.0.2.10/24"));
	network = (struct pod_network){.has_ipv6 = true, .ipv6_prefix_length = 80};
	inet_pton(AF_INET6, "2001:db8::", &network.ipv6);
	assert_true(uplink_suits_network(&uplink, &network, &err) < 0);
	inet_pton(AF_INET6, "2001:db8:1::", &network.ipv6);
	assert_int_equal(0, uplink_suits_network(&uplink, &network, &err));
}

static void any_difference_is_seen(void **state)
{
	struct uplink a = example(), b = example();
	struct error err;

	assert_true(uplink_equal(&a, &b));
	b.vlan = 5;
	assert_false(uplink_equal(&a, &b));
	b = example();
	b.routes[3].next_hop[15]++;
	assert_false(uplink_equal(&a, &b));
	b = example();
	assert_int_equal(0, uplink_parse_ipv4("192.0.2.11/24", &b, &err));
	assert_false(uplink_equal(&a, &b));
	b = example();
	b.ipv6_prefix_length = 63;
	assert_false(uplink_equal(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_and_routes_are_read_as_they_are_written),
		cmocka_unit_test(an_address_that_no_router_can_have_is_refused),
		cmocka_unit_test(a_route_that_makes_no_sense_is_refused),
		cmocka_unit_test(a_next_hop_must_be_on_the_wire),
		cmocka_unit_test(there_is_a_limit_to_routes),
		cmocka_unit_test(the_wire_and_the_pods_do_not_share_a_prefix),
		cmocka_unit_test(any_difference_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
