// SPDX-License-Identifier: BSD-3-Clause
//
// The configuration loader: what a person who wrote a wrong file is told.

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/config.h"
#include "proto/base/log.h"
#include "proto/message.h"

struct uids {
	uint32_t values[4];
	size_t count;
};

struct example {
	char listen[LIMIT_PATH + 1];
	char ca[LIMIT_PATH + 1];
	char key[LIMIT_PATH + 1];
	uint32_t mtu;
	bool insecure;
	enum log_level log_level;
	struct uids uids;
};

static int parse_uid(const char *text, void *target, struct error *err)
{
	struct uids *uids = target;

	if (uids->count == 4)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "more than 4");
	int r = config_parse_uint32(text, &uids->values[uids->count], err);
	if (r == 0)
		uids->count++;
	return r;
}

static const struct config_key keys[] = {
	{.path = "listen",
	 .parse = config_parse_path,
	 .offset = offsetof(struct example, listen),
	 .required = true},
	{.path = "insecure",
	 .parse = config_parse_bool,
	 .offset = offsetof(struct example, insecure)},
	{.path = "log_level",
	 .parse = config_parse_log_level,
	 .offset = offsetof(struct example, log_level)},
	{.path = "tls.ca", .parse = config_parse_path, .offset = offsetof(struct example, ca)},
	{.path = "tls.deeper.key",
	 .parse = config_parse_path,
	 .offset = offsetof(struct example, key)},
	{.path = "pod_network.mtu",
	 .parse = config_parse_uint32,
	 .offset = offsetof(struct example, mtu)},
	{.path = "allowed_uids",
	 .parse = parse_uid,
	 .offset = offsetof(struct example, uids),
	 .list = true},
	{0},
};

static struct example config;

static int load(const char *text, struct error *err)
{
	memset(&config, 0, sizeof(config));
	memset(err, 0, sizeof(*err));
	return config_load_text("f.yaml", text, strlen(text), keys, &config, err);
}

static void a_file_sets_what_it_names_and_nothing_else(void **state)
{
	struct error err;
	int r = load("# a comment\n"
		     "listen: ipc:///run/a.sock\n"
		     "insecure: yes\n"
		     "log_level: debug\n"
		     "\n"
		     "tls:\n"
		     "  ca: \"/etc/ca.pem\"\n"
		     "  deeper: {key: /etc/key.pem}\n"
		     "allowed_uids: [0, 1000,\n"
		     "  1001]\n",
		     &err);

	if (r < 0)
		fail_msg("%s", err.message);
	assert_string_equal(config.listen, "ipc:///run/a.sock");
	assert_true(config.insecure);
	assert_int_equal(config.log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(config.ca, "/etc/ca.pem");
	assert_string_equal(config.key, "/etc/key.pem");
	assert_int_equal(config.mtu, 0);
	assert_int_equal(config.uids.count, 3);
	assert_int_equal(config.uids.values[2], 1001);
	assert_int_equal(config_line("listen"), 2);
	assert_int_equal(config_line("tls"), 6);
	assert_int_equal(config_line("tls.ca"), 7);
	assert_int_equal(config_line("tls.deeper.key"), 8);
	assert_int_equal(config_line("allowed_uids"), 9);
	assert_int_equal(config_line("pod_network.mtu"), 0);

	assert_int_equal(config_error("f.yaml", "tls.ca", &err, "%s is gone", "it"), -EINVAL);
	assert_string_equal(err.message, "f.yaml:7: tls.ca: it is gone");
	assert_int_equal(err.code, CODE_BAD_REQUEST);
}

static void empty_sections_lists_and_single_items_are_fine(void **state)
{
	struct error err;

	assert_int_equal(load("listen: a\ntls:\npod_network: {}\nallowed_uids: []\n", &err), 0);
	assert_int_equal(config.uids.count, 0);
	assert_int_equal(config_line("allowed_uids"), 4);
	assert_int_equal(load("listen: a\nallowed_uids: 7\n", &err), 0);
	assert_int_equal(config.uids.count, 1);
	assert_int_equal(config.uids.values[0], 7);
	// JSON is YAML; an anchor that nobody refers to does no harm.
	assert_int_equal(load("{\"listen\": \"a\", \"pod_network\": {\"mtu\": 1500}}", &err), 0);
	assert_int_equal(config.mtu, 1500);
	assert_int_equal(load("listen: &name a\n", &err), 0);
}

static void nothing_required_nothing_needed(void **state)
{
	static const struct config_key none_required[] = {
		{.path = "insecure",
		 .parse = config_parse_bool,
		 .offset = offsetof(struct example, insecure)},
		{0},
	};
	struct error err;

	assert_int_equal(config_load_text("f.yaml", "", 0, none_required, &config, &err), 0);
	assert_int_equal(config_load_text("f.yaml", "# a\n", 4, none_required, &config, &err), 0);
	assert_int_equal(config_load_text("f.yaml", "---\n", 4, none_required, &config, &err), 0);
}

static const struct {
	const char *text;
	const char *message;
} wrong[] = {
	{"", "f.yaml:1: listen: required, but not set"},
	{"insecure: true\n", "f.yaml:1: listen: required, but not set"},
	// Keys.
	{"listen: a\nmtu: 5\n", "f.yaml:2: mtu: unknown key"},
	{"listen: a\nlog_levle: debug\n",
	 "f.yaml:2: log_levle: unknown key; did you mean log_level?"},
	{"listen: a\nlog-level: debug\n",
	 "f.yaml:2: log-level: unknown key; did you mean log_level?"},
	{"listen: a\ntls:\n  cert: b\n  caa: c\n", "f.yaml:3: tls.cert: unknown key"},
	{"listen: a\ntls:\n  caa: c\n", "f.yaml:3: tls.caa: unknown key; did you mean tls.ca?"},
	{"listen: a\npodnetwork:\n  mtu: 5\n",
	 "f.yaml:2: podnetwork: unknown key; did you mean pod_network.mtu?"},
	{"listen: a\ntls.ca: b\n", "f.yaml:2: tls.ca: unknown key; did you mean tls.ca?"},
	{"listen: a\n? [x, y]\n: b\n", "f.yaml:2: a key must be a plain word"},
	{"listen: a\ntls:\n  ? {x: y}\n  : b\n", "f.yaml:3: tls: a key must be a plain word"},
	// Twice.
	{"listen: a\ninsecure: no\nlisten: b\n",
	 "f.yaml:3: listen: set a second time; the first is in line 1"},
	{"listen: a\ntls:\n  ca: b\ntls:\n  ca: c\n",
	 "f.yaml:4: tls: set a second time; the first is in line 2"},
	{"listen: a\ntls: {ca: b, ca: c}\n",
	 "f.yaml:2: tls.ca: set a second time; the first is in line 2"},
	// Another kind of node.
	{"listen:\n  a: b\n", "f.yaml:2: listen: a value is expected here, not a section"},
	{"listen: [a, b]\n", "f.yaml:1: listen: a value is expected here, not a list"},
	{"listen: a\ntls: b\n", "f.yaml:2: tls: a section of keys is expected here"},
	{"listen: a\ntls: [b]\n", "f.yaml:2: tls: a section of keys is expected here"},
	{"listen: a\ntls: \"\"\n", "f.yaml:2: tls: a section of keys is expected here"},
	{"listen: a\nallowed_uids: {b: c}\n",
	 "f.yaml:2: allowed_uids: a list is expected here, not a section"},
	{"listen: a\nallowed_uids:\n- 1\n- [2]\n",
	 "f.yaml:4: allowed_uids: the items of this list must be plain values"},
	{"just text\n", "f.yaml:1: the file must consist of \"key: value\" lines"},
	{"\n- a\n- b\n", "f.yaml:2: the file must consist of \"key: value\" lines"},
	// Values.
	{"listen:\n", "f.yaml:1: listen: is empty"},
	{"listen: \"\"\n", "f.yaml:1: listen: is empty"},
	{"listen: \"a\\0b\"\n", "f.yaml:1: listen: contains a NUL character"},
	{"listen: a\ninsecure: maybe\n", "f.yaml:2: insecure: \"maybe\" is neither true nor false"},
	{"listen: a\nlog_level: loud\n",
	 "f.yaml:2: log_level: \"loud\" is none of error, warning, info, debug"},
	{"listen: a\npod_network:\n  mtu: 1,500\n",
	 "f.yaml:3: pod_network.mtu: \"1,500\" is not a whole number"},
	{"listen: a\npod_network:\n  mtu: -1\n",
	 "f.yaml:3: pod_network.mtu: \"-1\" is not a whole number"},
	{"listen: a\npod_network:\n  mtu:\n",
	 "f.yaml:3: pod_network.mtu: \"\" is not a whole number"},
	{"listen: a\npod_network:\n  mtu: 4294967296\n",
	 "f.yaml:3: pod_network.mtu: 4294967296 is larger than 4294967295"},
	{"listen: a\nallowed_uids: [0, 1, x]\n",
	 "f.yaml:2: allowed_uids: \"x\" is not a whole number"},
	{"listen: a\nallowed_uids:\n- 0\n- 1\n- 2\n- 3\n- 4\n",
	 "f.yaml:7: allowed_uids: more than 4"},
	// YAML itself.
	{"listen: a\ntls:\n\tca: b\n",
	 "f.yaml:3: YAML syntax: found character that cannot start any token while scanning for "
	 "the next token"},
	{"listen: [a\n", "f.yaml:2: YAML syntax: did not find expected ',' or ']' while parsing a "
			 "flow sequence"},
	{"listen: \"a\n", "f.yaml:2: YAML syntax: found unexpected end of stream while scanning a "
			  "quoted scalar"},
	{"listen: a\n insecure: b\n",
	 "f.yaml:2: YAML syntax: mapping values are not allowed in this context"},
	{"listen: *x\n", "f.yaml:1: YAML syntax: found undefined alias"},
	{"listen: &x a\ntls:\n  ca: *x\n",
	 "f.yaml:3: tls.ca: YAML aliases (*name) are not supported"},
	{"tls: &x\n  deeper: *x\n", "f.yaml:2: tls.deeper: YAML aliases (*name) are not supported"},
	{"listen: a\nallowed_uids: [&x 1, *x]\n",
	 "f.yaml:2: allowed_uids: YAML aliases (*name) are not supported"},
	{"listen: a\n---\nlisten: b\n",
	 "f.yaml:3: a second YAML document begins here; only one is allowed"},
	{"listen: a\n...\n}\n", "f.yaml:3: YAML syntax: did not find expected <document start>"},
	{"listen: \xff\n", "f.yaml:1: not UTF-8 text: invalid leading UTF-8 octet at byte 8"},
	{"listen: \x01\n",
	 "f.yaml:1: not UTF-8 text: control characters are not allowed at byte 8"},
};

static void every_mistake_is_told_with_line_and_key(void **state)
{
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct error err;

		if (load(wrong[i].text, &err) != -EINVAL)
			fail_msg("%zu: let through, not: %s", i, wrong[i].message);
		if (strcmp(err.message, wrong[i].message) != 0)
			fail_msg("%zu: \"%s\", not \"%s\"", i, err.message, wrong[i].message);
		assert_int_equal(err.code, CODE_BAD_REQUEST);
	}
}

static void a_required_key_is_missed_in_its_section(void **state)
{
	static const struct config_key deep[] = {
		{.path = "listen",
		 .parse = config_parse_path,
		 .offset = offsetof(struct example, listen)},
		{.path = "tls.deeper.key",
		 .parse = config_parse_path,
		 .offset = offsetof(struct example, key),
		 .required = true},
		{0},
	};
	const char *text = "listen: a\n\ntls:\n  deeper:\n";
	struct error err;

	assert_int_equal(config_load_text("f.yaml", text, strlen(text), deep, &config, &err),
			 -EINVAL);
	assert_string_equal(err.message, "f.yaml:4: tls.deeper.key: required, but not set");
	assert_int_equal(config_load_text("f.yaml", text, strlen("listen: a\n\ntls:\n"), deep,
					  &config, &err),
			 -EINVAL);
	assert_string_equal(err.message, "f.yaml:3: tls.deeper.key: required, but not set");
}

static void a_path_may_have_511_bytes(void **state)
{
	char text[LIMIT_PATH + 32] = "listen: ";
	struct error err;

	memset(text + 8, 'a', LIMIT_PATH);
	assert_int_equal(load(text, &err), 0);
	assert_int_equal(strlen(config.listen), LIMIT_PATH);
	text[8 + LIMIT_PATH] = 'a';
	assert_int_equal(load(text, &err), -EINVAL);
	assert_string_equal(err.message, "f.yaml:1: listen: 512 bytes are more than 511");
}

static void deep_and_wide_nonsense_does_no_harm(void **state)
{
	enum { SIZE = 64 * 1024 };
	char *text = malloc(SIZE + 1);
	struct error err;

	memset(text, '[', SIZE);
	text[SIZE] = '\0';
	assert_int_equal(load(text, &err), -EINVAL);
	assert_string_equal(err.message, "f.yaml:1: more than 1024 brackets");
	text[1024] = '\0';
	assert_int_equal(load(text, &err), -EINVAL);
	text[1024] = '[';
	memset(text, '{', SIZE);
	assert_int_equal(load(text, &err), -EINVAL);
	for (size_t i = 0; i + 2 <= SIZE; i += 2)
		memcpy(text + i, "- ", 2);
	assert_int_equal(load(text, &err), -EINVAL);
	memset(text, 'a', SIZE);
	memcpy(text + SIZE - 4, ": b\n", 4);
	assert_int_equal(load(text, &err), -EINVAL);
	free(text);
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
	char path[] = "/tmp/podport-config-test-XXXXXX";
	struct error err = {0};
	char expected[128];
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "listen: a\n", 10), 10);
	assert_int_equal(config_load(path, keys, &config, &err), 0);
	assert_string_equal(config.listen, "a");

	assert_int_equal(ftruncate(fd, 64 * 1024 + 1), 0);
	assert_int_equal(config_load(path, keys, &config, &err), -EFBIG);
	snprintf(expected, sizeof(expected), "%s: larger than 64 KB", path);
	assert_string_equal(err.message, expected);
	close(fd);
	unlink(path);

	assert_int_equal(config_load(path, keys, &config, &err), -ENOENT);
	snprintf(expected, sizeof(expected), "%s: cannot be read: No such file or directory", path);
	assert_string_equal(err.message, expected);
	assert_int_equal(config_load("/tmp", keys, &config, &err), -EISDIR);
	assert_string_equal(err.message, "/tmp: cannot be read: Is a directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_sets_what_it_names_and_nothing_else),
		cmocka_unit_test(empty_sections_lists_and_single_items_are_fine),
		cmocka_unit_test(nothing_required_nothing_needed),
		cmocka_unit_test(every_mistake_is_told_with_line_and_key),
		cmocka_unit_test(a_required_key_is_missed_in_its_section),
		cmocka_unit_test(a_path_may_have_511_bytes),
		cmocka_unit_test(deep_and_wide_nonsense_does_no_harm),
		cmocka_unit_test(a_file_that_cannot_be_read_is_named),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
