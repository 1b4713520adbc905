// SPDX-License-Identifier: BSD-3-Clause
//
// Numbers and names as an operator reads them.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ctl/format.h"

static void durations_have_two_units_at_most(void **state)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} cases[] = {
		{0, "0 ms"},
		{999, "999 ms"},
		{1000, "1s"},
		{59999, "59s"},
		{60000, "1m"},
		{61000, "1m 1s"},
		{3599999, "59m 59s"},
		{3600000, "1h"},
		{2 * 3600000 + 59000, "2h"},
		{2 * 3600000 + 300000, "2h 5m"},
		{86400000, "1d"},
		{UINT64_C(400) * 86400000 + 3600000, "400d 1h"},
		{UINT64_MAX, "213503982334d 14h"},
	};
	struct text text;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(format_duration(&text, cases[i].ms), cases[i].text);
}

static void counts_and_bytes_are_never_rounded_up(void **state)
{
	static const struct {
		uint64_t value;
		const char *count, *bytes;
	} cases[] = {
		{0, "0", "0 B"},
		{999, "999", "999 B"},
		{1000, "1.00k", "1000 B"},
		{1023, "1.02k", "1023 B"},
		{1024, "1.02k", "1.00 KiB"},
		{1536, "1.53k", "1.50 KiB"},
		{12345, "12.3k", "12.0 KiB"},
		{999999, "999k", "976 KiB"},
		{1000000, "1.00M", "976 KiB"},
		{1048576, "1.04M", "1.00 MiB"},
		{UINT64_MAX, "18.4E", "15.9 EiB"},
	};
	struct text text;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_string_equal(format_count(&text, cases[i].value), cases[i].count);
		assert_string_equal(format_bytes(&text, cases[i].value), cases[i].bytes);
	}
}

static void a_pod_is_called_what_people_call_it(void **state)
{
	struct podport_attachment pod = {
		.key = {"pods", "0123456789abcdef0123456789abcdef", "eth0"},
		.pod_namespace = "shop",
		.pod_name = "till-7",
	};
	struct text text;

	assert_string_equal(format_pod(&text, &pod), "shop/till-7");
	pod.pod_namespace = "";
	assert_string_equal(format_pod(&text, &pod), "till-7");
	pod.pod_name = "";
	assert_string_equal(format_pod(&text, &pod), "0123456789ab");
	pod.key.container_id = "c0ffee";
	assert_string_equal(format_pod(&text, &pod), "c0ffee");
	// As ctr names them: cut, they would be one.
	pod.key.container_id = "default-web-frontend-1";
	assert_string_equal(format_pod(&text, &pod), "default-web-frontend-1");
}

static void addresses_are_written_as_usual(void **state)
{
	const uint8_t mac[6] = {2, 0, 0x5e, 0x10, 0xab, 7};
	const uint8_t ipv4[4] = {10, 88, 0, 0};
	const uint8_t ipv6[16] = {0xfd, 0, 0, 0x88};
	struct text text;

	assert_string_equal(format_mac(&text, mac), "02:00:5e:10:ab:07");
	assert_string_equal(format_address(&text, AF_INET, ipv4), "10.88.0.0");
	assert_string_equal(format_prefix(&text, AF_INET, ipv4, 16), "10.88.0.0/16");
	assert_string_equal(format_prefix(&text, AF_INET6, ipv6, 64), "fd00:88::/64");
	assert_string_equal(format_function(&text, 0, 255), "pf0vf255");
}

static void a_share_is_all_only_if_it_is(void **state)
{
	struct text text;

	assert_string_equal(format_share(&text, 0, 0), "-");
	assert_string_equal(format_share(&text, 0, 10), "0%");
	assert_string_equal(format_share(&text, 1, 1000), "<1%");
	assert_string_equal(format_share(&text, 999, 1000), "99%");
	assert_string_equal(format_share(&text, UINT64_MAX - 1, UINT64_MAX), "99%");
	assert_string_equal(format_share(&text, UINT64_MAX / 2, UINT64_MAX), "50%");
	assert_string_equal(format_share(&text, 10, 10), "100%");
}

static void offload_is_one_line_that_says_what_is_wrong(void **state)
{
	struct podport_offload_summary summary = {
		.why_not = "no e-switch", .rules = 70, .missing_reason = "table full"};
	struct text text;

	assert_string_equal(format_offload(&text, &summary),
			    "off (nic.offload of the agent's configuration)");
	summary.enabled = true;
	assert_string_equal(format_offload(&text, &summary), "NOT usable: no e-switch");
	summary.usable = true;
	assert_string_equal(format_offload(&text, &summary), "on, 70 rules");
	summary.rules_missing = 4;
	assert_string_equal(format_offload(&text, &summary), "on, 70 rules, 4 missing: table full");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_have_two_units_at_most),
		cmocka_unit_test(counts_and_bytes_are_never_rounded_up),
		cmocka_unit_test(a_pod_is_called_what_people_call_it),
		cmocka_unit_test(addresses_are_written_as_usual),
		cmocka_unit_test(a_share_is_all_only_if_it_is),
		cmocka_unit_test(offload_is_one_line_that_says_what_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
