// SPDX-License-Identifier: BSD-3-Clause
//
// "address/length" as people write it.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <arpa/inet.h>
#include <string.h>

#include "pod/prefix.h"

static void what_is_written_right_is_read(void **state)
{
	static const struct {
		int family;
		const char *text;
		bool alone;
		int is;
		const char *address;
		uint8_t length;
		bool host_bits;
	} cases[] = {
		{AF_INET, "10.88.0.0/16", false, AF_INET, "10.88.0.0", 16, false},
		{AF_INET, "10.88.0.1/16", false, AF_INET, "10.88.0.1", 16, true},
		{AF_INET, "0.0.0.0/0", false, AF_INET, "0.0.0.0", 0, false},
		{AF_INET, "255.255.255.255/32", false, AF_INET, "255.255.255.255", 32, false},
		{AF_INET, "128.0.0.0/1", false, AF_INET, "128.0.0.0", 1, false},
		{AF_INET, "0.0.0.1/31", false, AF_INET, "0.0.0.1", 31, true},
		{AF_INET, "10.88.0.0/016", false, AF_INET, "10.88.0.0", 16, false},
		{AF_INET6, "fd00:88::/64", false, AF_INET6, "fd00:88::", 64, false},
		{AF_INET6, "fd00:88::1/64", false, AF_INET6, "fd00:88::1", 64, true},
		{AF_INET6, "::/0", false, AF_INET6, "::", 0, false},
		{AF_INET6, "::1/128", false, AF_INET6, "::1", 128, false},
		{AF_INET6, "2001:0db8:0000:0000:0000:0000:255.255.255.255/9", false, AF_INET6,
		 "2001:db8::255.255.255.255", 9, true},
		{AF_UNSPEC, "192.0.2.0/24", true, AF_INET, "192.0.2.0", 24, false},
		{AF_UNSPEC, "192.0.2.7", true, AF_INET, "192.0.2.7", 32, false},
		{AF_UNSPEC, "2001:db8::/32", true, AF_INET6, "2001:db8::", 32, false},
		{AF_UNSPEC, "2001:db8::7", true, AF_INET6, "2001:db8::7", 128, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct prefix prefix;
		uint8_t address[16] = {0};
		struct error err;

		if (prefix_parse(cases[i].family, cases[i].text, cases[i].alone, &prefix, &err) < 0)
			fail_msg("%s", err.message);
		assert_int_equal(1, inet_pton(cases[i].is, cases[i].address, address));
		assert_int_equal(cases[i].is, prefix.family);
		assert_memory_equal(address, prefix.address, sizeof(address));
		assert_int_equal(cases[i].length, prefix.length);
		assert_int_equal(cases[i].host_bits, prefix_has_host_bits(&prefix));
	}
}

static void what_is_written_wrong_is_refused_and_says_why(void **state)
{
	static const struct {
		int family;
		const char *text;
		bool alone;
		const char *why;
	} cases[] = {
		{AF_INET, "", false, "IPv4 address with a prefix length: there is no such address"},
		{AF_INET, "/", false, "there is no such address"},
		{AF_INET, "/24", false, "there is no such address"},
		{AF_INET, "10.88.0/16", false, "there is no such address"},
		{AF_INET, "10.88.0.256/16", false, "there is no such address"},
		{AF_INET, " 10.88.0.0/16", false, "there is no such address"},
		{AF_INET, "fd00::/64", false, "IPv4 address with a prefix length: there is no"},
		{AF_INET6, "10.88.0.0/16", false, "IPv6 address with a prefix length: there is no"},
		{AF_INET, "10.88.0.0", false, "it has no length (address/length)"},
		{AF_INET, "10.88.0.0/", false, "what follows the '/' is no number"},
		{AF_INET, "10.88.0.0/x", false, "what follows the '/' is no number"},
		{AF_INET, "10.88.0.0/8x", false, "what follows the '/' is no number"},
		{AF_INET, "10.88.0.0/ 8", false, "what follows the '/' is no number"},
		{AF_INET, "10.88.0.0/-8", false, "what follows the '/' is no number"},
		{AF_INET, "10.88.0.0/+8", false, "what follows the '/' is no number"},
		{AF_INET, "10.88.0.0/8/8", false, "what follows the '/' is no number"},
		{AF_INET, "10.88.0.0/33", false, "the length is not in 0..32"},
		{AF_INET, "10.88.0.0/4294967312", false, "the length is not in 0..32"},
		{AF_INET6, "fd00::/129", false, "the length is not in 0..128"},
		{AF_INET6, "fd00::/18446744073709551680", false, "the length is not in 0..128"},
		{AF_UNSPEC, "all", true, "there is no such address"},
		{AF_UNSPEC, "192.0.2.0/33", true, "IPv4 address with a prefix length: the length"},
		{AF_UNSPEC, "2001:db8::/129", true,
		 "IPv6 address with a prefix length: the length"},
		{AF_UNSPEC, "192.0.2.0/", true, "what follows the '/' is no number"},
		{AF_INET6,
		 "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/64",
		 false, "there is no such address"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct prefix prefix;
		struct error err = {0};

		if (prefix_parse(cases[i].family, cases[i].text, cases[i].alone, &prefix, &err) >=
		    0)
			fail_msg("'%s' is taken", cases[i].text);
		assert_int_equal(CODE_BAD_REQUEST, err.code);
		if (strstr(err.message, cases[i].why) == NULL ||
		    strstr(err.message, cases[i].text) == NULL)
			fail_msg("'%s': %s", cases[i].text, err.message);
	}
}

static void bits_are_compared_up_to_the_length(void **state)
{
	static const uint8_t a[4] = {10, 88, 0x80, 0}, b[4] = {10, 88, 0xc0, 0};

	for (unsigned int length = 0; length <= 32; length++)
		assert_int_equal(length <= 17, prefix_bits_equal(a, b, length));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_right_is_read),
		cmocka_unit_test(what_is_written_wrong_is_refused_and_says_why),
		cmocka_unit_test(bits_are_compared_up_to_the_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
