// SPDX-License-Identifier: BSD-3-Clause
//
// CHECK against sandboxes that were tampered with, and the names of functions. As wiring_test.

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "hostd/clock.h"
#include "hostd/test_cmocka.h"
#include "hostd/test_netns.h"
#include "hostd/wiring.h"

static struct wiring wiring;

static int dress(int sandbox, const struct attachment *attachment, struct error *err)
{
	bool created;

	return wiring_dress(&wiring, sandbox, attachment, clock_ms() + 200, &created, err);
}

static void assert_dressed(int sandbox, const struct attachment *attachment)
{
	struct error error = {0};

	if (wiring_check(&wiring, sandbox, attachment, &error) < 0)
		fail_msg("%s", error.message);
}

// ---- checking ------------------------------------------------------------------------------------

static void check_says_what_differs(void **state)
{
	static const struct {
		const char *spoil, *says;
	} cases[] = {
		{"ip link set eth0 mtu 1300", "MTU is 1300, should be 1400"},
		{"ip link set eth0 address 02:aa:00:00:00:01", "MAC is 02:aa:00:00:00:01"},
		{"ip link set eth0 down", "is down"},
		{"ip addr del 10.88.0.26/32 dev eth0", "address 10.88.0.26 is missing"},
		{"ip addr del fd88::1a/128 dev eth0", "address fd88::1a is missing"},
		{"ip route del default", "default route via 10.88.0.1 is missing"},
		{"ip route del 10.88.0.1", "route to the gateway 10.88.0.1 is missing"},
		{"ip -6 route del default", "default route via fd88::1 is missing"},
		{"ip neigh del 10.88.0.1 dev eth0", "neighbour entry of the gateway 10.88.0.1"},
		{"ip neigh replace fd88::1 dev eth0 lladdr 02:00:00:00:00:09", "gateway fd88::1"},
		{"ip link set eth0 alias other", "not podport's interface"},
		{"ip link set eth0 down; ip link set eth0 name x", "no interface eth0"},
	};
	struct attachment attachment = test_attachment(21);
	struct error error;

	test_function_new(21);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int sandbox = test_sandbox_new();

		memset(&error, 0, sizeof(error));
		assert_int_equal(dress(sandbox, &attachment, &error), 0);
		assert_dressed(sandbox, &attachment);
		assert_int_equal(test_run_in(sandbox, "%s", cases[i].spoil), 0);
		assert_int_equal(wiring_check(&wiring, sandbox, &attachment, &error), -ESTALE);
		assert_int_equal(error.code, CODE_MISMATCH);
		if (strstr(error.message, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].spoil, error.message);
		test_run_in(sandbox,
			    "ip link set eth0 alias podport:tfn0v21:pods/c21/eth0 2>/dev/null");
		assert_int_equal(wiring_undress(&wiring, sandbox, &attachment.key, &error), 0);
		close(sandbox);
	}
}

static void check_tolerates_what_chained_plugins_add(void **state)
{
	struct attachment attachment = test_attachment(22);
	int sandbox = test_sandbox_new();
	struct error error = {0};

	test_function_new(22);
	assert_int_equal(dress(sandbox, &attachment, &error), 0);
	test_run_in(sandbox, "ip addr add 192.0.2.1/24 dev eth0; ip route add 198.51.100.0/24 via "
			     "10.88.0.1; ip -6 addr add 2001:db8::1/64 dev eth0 nodad");
	assert_dressed(sandbox, &attachment);
	close(sandbox);
}

// ---- names ---------------------------------------------------------------------------------------

static void a_pattern_that_names_no_interface_is_refused(void **state)
{
	static const char *const bad[] = {
		"",     "simnic0v", "%u",   "a%ub%u",         "a%d", "a%", "%s%u",
		"a%u%", "a b%u",    "a/%u", "abcdefghijklm%u"};
	struct wiring parsed;
	struct error error = {0};
	struct function_id function = {.vf = 17}, other_pf = {.pf = 1};
	char name[IFNAMSIZ];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (wiring_parse_pattern(bad[i], &parsed, &error) == 0)
			fail_msg("%s", bad[i]);
	assert_int_equal(wiring_parse_pattern("enp3s0f0v%u", &parsed, &error), 0);
	assert_int_equal(wiring_function_name(&parsed, &function, name, &error), 0);
	assert_string_equal(name, "enp3s0f0v17");
	assert_true(wiring_function_name(&parsed, &other_pf, name, &error) < 0);
	assert_int_equal(wiring_parse_pattern("eth%unp0", &parsed, &error), 0);
	assert_int_equal(wiring_function_name(&parsed, &function, name, &error), 0);
	assert_string_equal(name, "eth17np0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_says_what_differs),
		cmocka_unit_test(check_tolerates_what_chained_plugins_add),
		cmocka_unit_test(a_pattern_that_names_no_interface_is_refused),
	};
	struct error error;

	test_host_enter();
	if (wiring_open(TEST_PATTERN, &wiring, &error) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
