// SPDX-License-Identifier: BSD-3-Clause
//
// hostd.yaml: defaults, the example in packaging/, and what each wrong value is told. Argument: the
// example.

#include "hostd/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostd/test_cmocka.h"

static const char *example;

static int load(const char *text, struct hostd_config *config, struct error *err)
{
	char path[] = "/tmp/hostd-config-test-XXXXXX";
	int fd = mkstemp(path), r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	r = hostd_config_load(path, config, err);
	unlink(path);
	return r;
}

static void two_keys_are_enough(void **state)
{
	struct hostd_config config;
	struct error error = {0};

	assert_int_equal(load("agent: ipc:///a\nfunction_netdev: enp3s0f0v%u\n", &config, &error),
			 0);
	assert_string_equal(config.agent, "ipc:///a");
	assert_string_equal(config.listen, "/run/podport/hostd.sock");
	assert_string_equal(config.state_dir, "/var/lib/podport/hostd");
	assert_string_equal(config.host_port, "podport0");
	assert_string_equal(config.boot_id_path, "/proc/sys/kernel/random/boot_id");
	assert_string_equal(config.host_id_path, "/etc/machine-id");
	assert_int_equal(config.timeout_ms, 5000);
	assert_int_equal(config.reclaim_grace_s, 30);
	assert_int_equal(config.allowed_uids.count, 1);
	assert_int_equal(config.allowed_uids.uids[0], 0);
	assert_false(config.insecure);
}

static void every_key_is_taken(void **state)
{
	static const char text[] = "agent: tls+tcp://192.0.2.1:7070\n"
				   "insecure: true\n"
				   "tls: {ca: /ca, certificate: /cert, key: /key}\n"
				   "listen: /x/y.sock\n"
				   "allowed_uids: [0, 1000]\n"
				   "state_dir: /s\n"
				   "timeout_ms: 700\n"
				   "host_port: ''\n"
				   "function_netdev: v%un\n"
				   "reclaim_grace_s: 5\n"
				   "boot_id_path: /b\n"
				   "host_id_path: /h\n"
				   "log_level: debug\n";
	struct hostd_config config;
	struct error error = {0};

	assert_int_equal(load(text, &config, &error), 0);
	assert_true(config.insecure);
	assert_string_equal(config.tls_key, "/key");
	assert_string_equal(config.host_id_path, "/h");
	assert_string_equal(config.listen, "/x/y.sock");
	assert_int_equal(config.allowed_uids.count, 2);
	assert_int_equal(config.allowed_uids.uids[1], 1000);
	assert_int_equal(config.timeout_ms, 700);
	assert_string_equal(config.host_port, "");
	assert_int_equal(config.log_level, LOG_LEVEL_DEBUG);
}

static void a_wrong_value_is_told_with_line_and_key(void **state)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
		{"timeout_ms: 0", ":3: timeout_ms: 0 is not in 100.."},
		{"timeout_ms: -1", ":3: timeout_ms: "},
		{"timeout_ms: 4294967296", ":3: timeout_ms: "},
		{"timeout_ms: [1]", ":3: timeout_ms: "},
		{"listen: relative", ":3: listen: relative: must begin with /"},
		{"state_dir: relative", ":3: state_dir: relative: must begin with /"},
		{"host_port: a/b", ":3: host_port: "},
		{"host_port: sixteenletters00", ":3: host_port: "},
		{"allowed_uids: [root]", ":3: allowed_uids"},
		{"allowed_uids: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", ":3: allowed_uids"},
		{"tls: {ca: /x}", ":3: tls: ca, certificate and key must be given together"},
		{"log_level: loud", ":3: log_level: "},
		{"reclaim_grace_s: soon", ":3: reclaim_grace_s: "},
		{"bogus: 1", ":3: bogus"},
	};
	struct hostd_config config;
	char text[512];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct error error = {0};

		snprintf(text, sizeof(text), "agent: ipc:///a\nfunction_netdev: v%%u\n%s\n",
			 cases[i].line);
		assert_int_equal(load(text, &config, &error), -EINVAL);
		assert_int_equal(error.code, CODE_BAD_REQUEST);
		if (strstr(error.message, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].line, error.message);
	}
}

static void what_must_be_there_is_missed(void **state)
{
	struct hostd_config config;
	struct error error = {0};

	assert_int_equal(load("function_netdev: v%u\n", &config, &error), -EINVAL);
	assert_non_null(strstr(error.message, "agent"));
	assert_int_equal(load("agent: ipc:///a\n", &config, &error), -EINVAL);
	assert_non_null(strstr(error.message, "function_netdev"));
	assert_int_equal(load("agent: ipc:///a\nfunction_netdev: eth0\n", &config, &error),
			 -EINVAL);
	assert_non_null(strstr(error.message, ":2: function_netdev: eth0: must hold %u once"));
}

static void a_very_long_socket_path_is_refused(void **state)
{
	char text[400] = "agent: ipc:///a\nfunction_netdev: v%u\nlisten: /";
	struct hostd_config config;
	struct error error = {0};

	memset(text + strlen(text), 'x', 120);
	assert_int_equal(load(text, &config, &error), -EINVAL);
	assert_non_null(
		strstr(error.message, ":3: listen: 121 bytes: a socket's path has at most 107"));
}

static void the_example_is_good(void **state)
{
	struct hostd_config config;
	struct error error = {0};

	if (hostd_config_load(example, &config, &error) < 0)
		fail_msg("%s", error.message);
}

// What is commented out in the example is the default, or at least a value that is taken.
static void every_line_of_the_example_is_good(void **state)
{
	static char text[16384];
	struct hostd_config config;
	struct error error = {0};
	FILE *file = fopen(example, "r");
	char line[256];

	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		const char *rest = line;

		if (line[0] == '#' && (line[1] != ' ' || line[2] == ' ') && line[1] != '\n')
			rest++;
		strncat(text, rest, sizeof(text) - strlen(text) - 1);
	}
	fclose(file);
	if (load(text, &config, &error) < 0)
		fail_msg("%s", error.message);
	assert_true(config.tls_ca[0] != '\0'); // they were really switched on
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_keys_are_enough),
		cmocka_unit_test(every_key_is_taken),
		cmocka_unit_test(a_wrong_value_is_told_with_line_and_key),
		cmocka_unit_test(what_must_be_there_is_missed),
		cmocka_unit_test(a_very_long_socket_path_is_refused),
		cmocka_unit_test(the_example_is_good),
		cmocka_unit_test(every_line_of_the_example_is_good),
	};

	if (argc != 2)
		return 2;
	example = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
