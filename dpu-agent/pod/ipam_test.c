// SPDX-License-Identifier: BSD-3-Clause
//
// IPAM and the pool under it.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pod/ipam.h"
#include "pod/network.h"

static struct ipam make(const char *text)
{
	int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	struct network network = {0};
	struct ipam_prefix prefix;
	struct ipam ipam;

	assert_int_equal(0, family == AF_INET ? network_parse_ipv4(text, &network, NULL)
					      : network_parse_ipv6(text, &network, NULL));
	prefix = family == AF_INET ? network_ipv4_prefix(&network) : network_ipv6_prefix(&network);
	assert_int_equal(0, ipam_init(&ipam, &prefix));
	return ipam;
}

static void assert_next(struct ipam *ipam, const char *expected)
{
	struct lru_pool_undo undo;
	char text[INET6_ADDRSTRLEN];
	uint8_t next[16], address[16];

	assert_true(ipam_next(ipam, next));
	assert_int_equal(0, ipam_alloc(ipam, address, &undo, NULL));
	assert_memory_equal(next, address, ipam_address_size(&ipam->prefix));
	inet_ntop(ipam->prefix.family, address, text, sizeof(text));
	assert_string_equal(expected, text);
}

static void release(struct ipam *ipam, const char *text)
{
	uint8_t address[16];

	assert_int_equal(1, inet_pton(ipam->prefix.family, text, address));
	ipam_release(ipam, address);
}

static int request(struct ipam *ipam, const char *text, struct error *err)
{
	struct lru_pool_undo undo;
	uint8_t address[16];

	assert_int_equal(1, inet_pton(ipam->prefix.family, text, address));
	return ipam_alloc_requested(ipam, address, &undo, err);
}

static void addresses_come_in_order_and_a_released_one_comes_last(void **state)
{
	struct ipam ipam = make("10.88.0.0/29"); // .2 to .6

	assert_next(&ipam, "10.88.0.2");
	assert_next(&ipam, "10.88.0.3");
	release(&ipam, "10.88.0.3");
	release(&ipam, "10.88.0.2");
	assert_int_equal(2, ipam.pool.released);
	assert_next(&ipam, "10.88.0.4");
	assert_next(&ipam, "10.88.0.5");
	assert_next(&ipam, "10.88.0.6");
	assert_next(&ipam, "10.88.0.3"); // released first
	assert_next(&ipam, "10.88.0.2");
	assert_int_equal(0, ipam.pool.released);
	ipam_destroy(&ipam);
}

static void an_exhausted_pool_says_its_numbers(void **state)
{
	struct ipam ipam = make("10.88.0.0/24");
	struct lru_pool_undo undo;
	struct error err;
	struct in_addr address;

	for (int i = 0; i < 253; i++)
		assert_int_equal(0, ipam_alloc(&ipam, &address, &undo, NULL));
	assert_int_equal(-ENOSPC, ipam_alloc(&ipam, &address, &undo, &err));
	assert_int_equal(CODE_NO_ADDRESS, err.code);
	assert_non_null(strstr(err.message, "10.88.0.0/24: 253 of 253 in use"));
	assert_false(ipam_next(&ipam, &address));
	release(&ipam, "10.88.0.77");
	assert_next(&ipam, "10.88.0.77");
	ipam_destroy(&ipam);
}

static void the_smallest_prefixes_have_what_is_left_of_them(void **state)
{
	struct ipam four = make("10.88.0.4/30"), six = make("fd00::4/126");

	assert_int_equal(1, four.pool.size);
	assert_next(&four, "10.88.0.6");
	assert_int_equal(2, six.pool.size);
	assert_next(&six, "fd00::6");
	assert_next(&six, "fd00::7"); // IPv6 has no broadcast address
	ipam_destroy(&four);
	ipam_destroy(&six);
}

static void a_large_prefix_gives_out_its_first_65536(void **state)
{
	static const char *const prefixes[] = {"10.0.0.0/8", "fd00:88::/64", "fd00:88::/48"};
	static const char *const last[] = {"10.1.0.1", "fd00:88::1:1", "fd00:88::1:1"};
	struct lru_pool_undo undo;

	for (size_t i = 0; i < 3; i++) {
		struct ipam ipam = make(prefixes[i]);
		uint8_t address[16];

		assert_int_equal(65536, ipam.pool.size);
		for (int n = 0; n < 65535; n++)
			assert_int_equal(0, ipam_alloc(&ipam, address, &undo, NULL));
		assert_next(&ipam, last[i]);
		assert_int_equal(-ENOSPC, ipam_alloc(&ipam, address, &undo, NULL));
		ipam_destroy(&ipam);
	}
	struct ipam exact = make("10.88.0.0/16");
	assert_int_equal(65533, exact.pool.size);
	ipam_destroy(&exact);
}

static void a_requested_address_is_given_or_refused_with_the_reason(void **state)
{
	static const struct {
		const char *prefix, *address, *reason;
	} refused[] = {
		{"10.88.0.0/24", "10.88.1.2", "outside of the pod network 10.88.0.0/24"},
		{"10.88.0.0/24", "10.88.0.0", "is the network address"},
		{"10.88.0.0/24", "10.88.0.1", "is the gateway"},
		{"10.88.0.0/24", "10.88.0.255", "is the last (broadcast) address"},
		{"10.0.0.0/8", "10.255.255.255", "is the last (broadcast) address"},
		{"10.88.0.4/30", "10.88.0.3", "outside"},
		{"10.88.0.4/30", "10.88.0.8", "outside"},
		{"fd00:88::/64", "fd00:88:0:1::2", "outside of the pod network fd00:88::/64"},
		{"fd00:88::/64", "fd00:88::", "is the network address"},
		{"fd00:88::/64", "fd00:88::1", "is the gateway"},
		{"fd00:88::/65", "fd00:88::8000:0:0:2", "outside"},
	};
	static const struct {
		const char *prefix, *address;
	} given[] = {
		{"10.88.0.0/24", "10.88.0.254"},      {"fd00::4/126", "fd00::7"},
		{"fd00:88::/120", "fd00:88::ff"},     {"10.0.0.0/8", "10.1.0.1"},
		{"10.0.0.0/8", "10.200.1.255"}, // beyond the pool
		{"fd00:88::/64", "fd00:88::1:2:3:4"},
	};
	struct error err;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct ipam ipam = make(refused[i].prefix);

		memset(&err, 0, sizeof(err));
		assert_int_equal(-EINVAL, request(&ipam, refused[i].address, &err));
		assert_int_equal(CODE_BAD_REQUEST, err.code);
		assert_non_null(strstr(err.message, refused[i].reason));
		assert_int_equal(0, ipam.pool.taken);
		ipam_destroy(&ipam);
	}
	for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
		struct ipam ipam = make(given[i].prefix);

		assert_int_equal(0, request(&ipam, given[i].address, NULL));
		release(&ipam, given[i].address);
		ipam_destroy(&ipam);
	}
}

static void a_taken_address_is_a_conflict_and_is_not_given_out_unasked(void **state)
{
	struct ipam ipam = make("10.88.0.0/29");
	struct error err;

	assert_int_equal(0, request(&ipam, "10.88.0.3", NULL));
	assert_int_equal(-EADDRINUSE, request(&ipam, "10.88.0.3", &err));
	assert_int_equal(CODE_CONFLICT, err.code);
	assert_next(&ipam, "10.88.0.2");
	assert_next(&ipam, "10.88.0.4");
	ipam_destroy(&ipam);
}

static void undone_allocations_leave_the_order_as_it_was(void **state)
{
	struct ipam ipam = make("10.88.0.0/28");
	struct lru_pool_undo undo[6];
	struct in_addr address;

	assert_next(&ipam, "10.88.0.2");
	assert_next(&ipam, "10.88.0.3");
	release(&ipam, "10.88.0.2"); // order now: 4..14, 2
	for (int round = 0; round < 3; round++) {
		struct in_addr wanted = {inet_addr("10.88.0.9")}, again = {inet_addr("10.88.0.2")};

		assert_int_equal(0, ipam_alloc(&ipam, &address, &undo[0], NULL));
		assert_int_equal(0, ipam_alloc_requested(&ipam, &wanted, &undo[1], NULL));
		assert_int_equal(0, ipam_alloc(&ipam, &address, &undo[2], NULL));
		assert_int_equal(0, ipam_alloc_requested(&ipam, &again, &undo[3], NULL));
		assert_int_equal(0, ipam.pool.released);
		for (int i = 3; i >= 0; i--)
			ipam_undo(&ipam, &undo[i]);
		assert_int_equal(1, ipam.pool.taken);
		assert_int_equal(1, ipam.pool.released);
	}
	for (int i = 4; i <= 14; i++) {
		char text[32];

		snprintf(text, sizeof(text), "10.88.0.%d", i);
		assert_next(&ipam, text);
	}
	assert_next(&ipam, "10.88.0.2");
	ipam_destroy(&ipam);
}

static void restore_gives_the_released_order_back(void **state)
{
	struct ipam ipam = make("fd00::/125"); // ::2 to ::7
	struct in6_addr address;

	assert_int_equal(0, request(&ipam, "fd00::3", NULL));
	inet_pton(AF_INET6, "fd00::5", &address);
	ipam_mark_released(&ipam, &address);
	inet_pton(AF_INET6, "fd00::2", &address);
	ipam_mark_released(&ipam, &address);
	assert_int_equal(2, ipam.pool.released);
	assert_next(&ipam, "fd00::4");
	assert_next(&ipam, "fd00::6");
	assert_next(&ipam, "fd00::7");
	assert_next(&ipam, "fd00::5");
	assert_next(&ipam, "fd00::2");
	ipam_destroy(&ipam);
}

static void prefixes_that_are_none_are_refused(void **state)
{
	static const char *const bad4[] = {"10.88.0.0",
					   "10.88.0.0/",
					   "10.88.0.0/33",
					   "10.88.0.0/31",
					   "10.0.0.0/7",
					   "10.88.0.1/24",
					   "10.88.0.0/2x",
					   "10.88.0/16",
					   "fd00::/64",
					   "",
					   "10.88.0.0/-16",
					   "127.0.0.0/8",
					   "224.0.0.0/8",
					   "169.254.0.0/16",
					   "0.0.0.0/8",
					   "10.88.0.0/ 16",
					   "/16",
					   "10.88.0.0//16",
					   "10.88.0.0/4294967312"};
	static const char *const bad6[] = {"fd00::/47",  "fd00::/127", "fd00::/129",
					   "fe80::/64",  "ff02::/64",  "::/64",
					   "fd00::1/64", "10.0.0.0/8", "fd00:::1/64",
					   "fd00::/6 4", "/64",        "::ffff:0:0/96"};
	struct network network = {0};
	struct error err;

	for (size_t i = 0; i < sizeof(bad4) / sizeof(bad4[0]); i++) {
		assert_int_equal(-EINVAL, network_parse_ipv4(bad4[i], &network, &err));
		assert_non_null(strstr(err.message, bad4[i]));
	}
	for (size_t i = 0; i < sizeof(bad6) / sizeof(bad6[0]); i++) {
		assert_int_equal(-EINVAL, network_parse_ipv6(bad6[i], &network, &err));
		assert_non_null(strstr(err.message, bad6[i]));
	}
	assert_false(network.common.has_ipv4 || network.common.has_ipv6);
}

static void macs_that_are_none_are_refused(void **state)
{
	static const char *const bad[] = {"",
					  "02:00:00:00:00",
					  "02:00:00:00:00:0g",
					  "02-00-00-00-00-01",
					  "01:00:00:00:00:01",
					  "00:00:00:00:00:00",
					  "02:00:00:00:00:01 ",
					  "2:000:00:00:00:01",
					  "02:00:00:00:00:1:"};
	char text[MAC_TEXT_SIZE];
	struct mac mac;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(-EINVAL, mac_parse(bad[i], &mac, NULL));
	assert_int_equal(0, mac_parse("02:AB:cd:00:00:01", &mac, NULL));
	mac_text(&mac, text);
	assert_string_equal("02:ab:cd:00:00:01", text);
}

// The pool against the plainest model there is: an array in order.
static void the_pool_does_as_a_plain_list_does(void **state)
{
	enum { SIZE = 23, STEPS = 20000 };
	uint32_t order[SIZE], count = SIZE, taken[SIZE], taken_count = 0;
	struct lru_pool pool;

	srand(7);
	assert_int_equal(0, lru_pool_init(&pool, SIZE));
	for (uint32_t i = 0; i < SIZE; i++)
		order[i] = i;
	for (int step = 0; step < STEPS; step++) {
		assert_int_equal(count == 0 ? LRU_POOL_NONE : order[0], lru_pool_head(&pool));
		assert_int_equal(taken_count, pool.taken);
		if (count > 0 && (taken_count == 0 || rand() % 2 == 0)) {
			uint32_t at = rand() % 3 == 0 ? (uint32_t)rand() % count : 0;
			struct lru_pool_undo undo = lru_pool_take(&pool, order[at]);

			if (rand() % 4 == 0) {
				lru_pool_untake(&pool, &undo);
				continue;
			}
			taken[taken_count++] = order[at];
			memmove(&order[at], &order[at + 1], (--count - at) * sizeof(order[0]));
		} else {
			uint32_t at = (uint32_t)rand() % taken_count;

			lru_pool_release(&pool, taken[at]);
			order[count++] = taken[at];
			taken[at] = taken[--taken_count];
		}
	}
	lru_pool_destroy(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_come_in_order_and_a_released_one_comes_last),
		cmocka_unit_test(an_exhausted_pool_says_its_numbers),
		cmocka_unit_test(the_smallest_prefixes_have_what_is_left_of_them),
		cmocka_unit_test(a_large_prefix_gives_out_its_first_65536),
		cmocka_unit_test(a_requested_address_is_given_or_refused_with_the_reason),
		cmocka_unit_test(a_taken_address_is_a_conflict_and_is_not_given_out_unasked),
		cmocka_unit_test(undone_allocations_leave_the_order_as_it_was),
		cmocka_unit_test(restore_gives_the_released_order_back),
		cmocka_unit_test(prefixes_that_are_none_are_refused),
		cmocka_unit_test(macs_that_are_none_are_refused),
		cmocka_unit_test(the_pool_does_as_a_plain_list_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
