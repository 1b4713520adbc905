// SPDX-License-Identifier: BSD-3-Clause
//
// The runtime's environment, good and bad.

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cni/environment.h"

static char x128[129], x129[130], x254[255 + sizeof("K8S_POD_NAME=")], x512[513];

// What a runtime sets, with one variable changed; NULL: not set.
static void set_environment(const char *changed, const char *value)
{
	static const char *const good[][2] = {
		{"CNI_COMMAND", "ADD"},
		{"CNI_CONTAINERID", "c0ffee"},
		{"CNI_NETNS", "/run/netns/blue"},
		{"CNI_IFNAME", "eth0"},
		{"CNI_ARGS", NULL},
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		const char *text =
			changed != NULL && strcmp(good[i][0], changed) == 0 ? value : good[i][1];
		if (text != NULL)
			setenv(good[i][0], text, 1);
		else
			unsetenv(good[i][0]);
	}
}

static int set_up(void **state)
{
	memset(x128, 'x', 128);
	memset(x129, 'x', 129);
	memset(x512, 'x', 512);
	strcpy(x254, "K8S_POD_NAME=");
	memset(x254 + strlen(x254), 'x', 254);
	return 0;
}

static void what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *variable, *value, *named;
	} cases[] = {
		{"CNI_CONTAINERID", NULL, "CNI_CONTAINERID"},
		{"CNI_CONTAINERID", "", "CNI_CONTAINERID"},
		{"CNI_CONTAINERID", "-x", "CNI_CONTAINERID"},
		{"CNI_CONTAINERID", "../etc", "CNI_CONTAINERID"},
		{"CNI_CONTAINERID", "a b", "CNI_CONTAINERID"},
		{"CNI_CONTAINERID", "\xff", "CNI_CONTAINERID"},
		{"CNI_CONTAINERID", x129, "CNI_CONTAINERID"},
		{"CNI_NETNS", NULL, "CNI_NETNS"},
		{"CNI_NETNS", "", "CNI_NETNS"},
		{"CNI_NETNS", "/run/\x01", "CNI_NETNS"},
		{"CNI_NETNS", "/run/\xc0\x80", "CNI_NETNS"},
		{"CNI_NETNS", x512, "CNI_NETNS"},
		{"CNI_IFNAME", NULL, "CNI_IFNAME"},
		{"CNI_IFNAME", "", "CNI_IFNAME"},
		{"CNI_IFNAME", "sixteen-letters-", "CNI_IFNAME"},
		{"CNI_IFNAME", ".", "CNI_IFNAME"},
		{"CNI_IFNAME", "..", "CNI_IFNAME"},
		{"CNI_IFNAME", "a/b", "CNI_IFNAME"},
		{"CNI_IFNAME", "a:b", "CNI_IFNAME"},
		{"CNI_IFNAME", "a b", "CNI_IFNAME"},
		{"CNI_ARGS", "nonsense", "CNI_ARGS"},
		{"CNI_ARGS", "=x", "CNI_ARGS"},
		{"CNI_ARGS", ";", "CNI_ARGS"},
		{"CNI_ARGS", "IgnoreUnknown=1;;IP=10.0.0.1", "CNI_ARGS"},
		{"CNI_ARGS", "IgnoreUnknown=1;", "CNI_ARGS"},
		{"CNI_ARGS", "IgnoreUnknown=perhaps", "IgnoreUnknown"},
		{"CNI_ARGS", "COLOUR=blue", "COLOUR"},
		{"CNI_ARGS", "COLOUR=blue;IgnoreUnknown=0", "COLOUR"},
		{"CNI_ARGS", "IP=", "CNI_ARGS: IP"},
		{"CNI_ARGS", "IP=300.0.0.1", "CNI_ARGS: IP: '300.0.0.1'"},
		{"CNI_ARGS", "IP=10.0.0.1/33", "CNI_ARGS: IP: '10.0.0.1/33'"},
		{"CNI_ARGS", "IP=10.0.0.1/", "CNI_ARGS: IP"},
		{"CNI_ARGS", "IP=10.0.0.1/-1", "CNI_ARGS: IP"},
		{"CNI_ARGS", "IP=fd00::1/129", "CNI_ARGS: IP"},
		{"CNI_ARGS", "IP=10.0.0.1,10.0.0.2", "10.0.0.2"},
		{"CNI_ARGS", "MAC=", "CNI_ARGS: MAC"},
		{"CNI_ARGS", "MAC=02:00:00:00:00", "CNI_ARGS: MAC"},
		{"CNI_ARGS", "MAC=02:00:00:00:00:0g", "CNI_ARGS: MAC"},
		{"CNI_ARGS", "MAC=02:00-00:00:00:01", "CNI_ARGS: MAC"},
		{"CNI_ARGS", "MAC=02000000000001", "CNI_ARGS: MAC"},
		{"CNI_ARGS", "MAC=01:00:5e:00:00:01", "CNI_ARGS: MAC"}, // multicast
		{"CNI_ARGS", "MAC=00:00:00:00:00:00", "CNI_ARGS: MAC"},
		{"CNI_ARGS", "K8S_POD_NAME=a\nb", "K8S_POD_NAME"},
		{"CNI_ARGS", "K8S_POD_UID=\x7f", "K8S_POD_UID"},
		{"CNI_ARGS", x254, "K8S_POD_NAME"},
	};
	struct environment environment;
	struct cni_error error;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set_environment(cases[i].variable, cases[i].value);
		if (environment_parse(CNI_COMMAND_ADD, &environment, &error) == 0)
			fail_msg("case %zu (%s=%s) is accepted", i, cases[i].variable,
				 cases[i].value);
		assert_int_equal(error.code, CNI_INVALID_ENVIRONMENT);
		if (strstr(error.message, cases[i].named) == NULL ||
		    strstr(error.message, cases[i].variable) == NULL)
			fail_msg("case %zu: '%s' does not name %s and %s", i, error.message,
				 cases[i].variable, cases[i].named);
	}
}

static void commands_are_known_by_name(void **state)
{
	static const struct {
		const char *name;
		enum cni_command command;
	} cases[] = {
		{"ADD", CNI_COMMAND_ADD},         {"DEL", CNI_COMMAND_DEL},
		{"CHECK", CNI_COMMAND_CHECK},     {"STATUS", CNI_COMMAND_STATUS},
		{"VERSION", CNI_COMMAND_VERSION}, {"GC", CNI_COMMAND_GC},
	};
	static const char *const bad[] = {NULL, "", "add", "FETCH", "ADD "};
	enum cni_command command;
	struct cni_error error;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set_environment("CNI_COMMAND", cases[i].name);
		assert_int_equal(environment_command(&command, &error), 0);
		assert_int_equal(command, cases[i].command);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		set_environment("CNI_COMMAND", bad[i]);
		assert_int_equal(environment_command(&command, &error), -1);
		assert_int_equal(error.code, CNI_INVALID_ENVIRONMENT);
		assert_non_null(strstr(error.message, "CNI_COMMAND"));
	}
}

static void the_longest_names_are_accepted(void **state)
{
	struct environment environment;
	struct cni_error error;

	set_environment("CNI_CONTAINERID", x128);
	assert_int_equal(environment_parse(CNI_COMMAND_ADD, &environment, &error), 0);
	set_environment("CNI_IFNAME", "fifteen-letters");
	assert_int_equal(environment_parse(CNI_COMMAND_ADD, &environment, &error), 0);
	x254[strlen(x254) - 1] = '\0';
	set_environment("CNI_ARGS", x254);
	assert_int_equal(environment_parse(CNI_COMMAND_ADD, &environment, &error), 0);
	assert_int_equal(strlen(environment.pod.name), 253);
}

static void what_containerd_sends_is_understood(void **state)
{
	struct environment environment;
	struct cni_error error;

	set_environment("CNI_ARGS", "K8S_POD_INFRA_CONTAINER_ID=c0ffee;K8S_POD_UID=9-a;"
				    "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=till-7;"
				    "COLOUR=a=b");
	if (environment_parse(CNI_COMMAND_ADD, &environment, &error) < 0)
		fail_msg("%s", error.message);
	assert_string_equal(environment.container_id, "c0ffee");
	assert_string_equal(environment.netns, "/run/netns/blue");
	assert_string_equal(environment.ifname, "eth0");
	assert_string_equal(environment.pod.namespace_, "shop");
	assert_string_equal(environment.pod.name, "till-7");
	assert_false(environment.wishes.has_ipv4 || environment.wishes.has_mac);
}

static void addresses_can_be_asked_for(void **state)
{
	struct environment environment;
	struct cni_error error;
	struct in6_addr ipv6;

	set_environment("CNI_ARGS", "IP=10.88.0.7/16,fd00::7;MAC=02-00-5E-10-00-0a");
	if (environment_parse(CNI_COMMAND_ADD, &environment, &error) < 0)
		fail_msg("%s", error.message);
	assert_true(environment.wishes.has_ipv4 && environment.wishes.has_ipv6);
	assert_int_equal(environment.wishes.ipv4.s_addr, inet_addr("10.88.0.7"));
	inet_pton(AF_INET6, "fd00::7", &ipv6);
	assert_memory_equal(&environment.wishes.ipv6, &ipv6, sizeof(ipv6));
	assert_true(environment.wishes.has_mac);
	assert_memory_equal(environment.wishes.mac.bytes, "\x02\x00\x5e\x10\x00\x0a", 6);
}

static void del_does_with_what_there_is(void **state)
{
	static const char *const netns[] = {NULL, "", "/run/\x01", x512};
	struct environment environment;
	struct cni_error error;

	for (size_t i = 0; i < sizeof(netns) / sizeof(netns[0]); i++) {
		set_environment("CNI_NETNS", netns[i]);
		assert_int_equal(environment_parse(CNI_COMMAND_DEL, &environment, &error), 0);
		assert_string_equal(environment.netns, "");
	}
	set_environment("CNI_ARGS", "nonsense");
	assert_int_equal(environment_parse(CNI_COMMAND_DEL, &environment, &error), 0);
	assert_string_equal(environment.netns, "/run/netns/blue");
	set_environment("CNI_CONTAINERID", NULL);
	assert_int_equal(environment_parse(CNI_COMMAND_DEL, &environment, &error), -1);
	// CHECK is as strict as ADD.
	set_environment("CNI_NETNS", NULL);
	assert_int_equal(environment_parse(CNI_COMMAND_CHECK, &environment, &error), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(commands_are_known_by_name),
		cmocka_unit_test(the_longest_names_are_accepted),
		cmocka_unit_test(what_containerd_sends_is_understood),
		cmocka_unit_test(addresses_can_be_asked_for),
		cmocka_unit_test(del_does_with_what_there_is),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
