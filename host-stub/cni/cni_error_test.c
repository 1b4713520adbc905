// SPDX-License-Identifier: BSD-3-Clause
//
// What a runtime decides by: the number of an error.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "cni/cni_error.h"

static void every_code_has_a_number_that_the_specification_allows(void **state)
{
	for (unsigned int code = CODE_OK + 1; code < CODE_COUNT; code++) {
		unsigned int number = cni_error_number((enum code)code);
		struct cni_error error;

		if (number == 0)
			fail_msg("%s has no number: add it to the table in cni_error.c",
				 code_name(code));
		// Of the reserved ones (0..99), those that SPEC defines.
		if (number < CNI_OWN_FIRST)
			assert_true((number >= 1 && number <= 7) || number == 11);
		else
			assert_int_equal(number, CNI_OWN_FIRST + code);
		assert_int_equal(cni_error_from(&error, (enum code)code, "why"), -1);
		assert_int_equal(error.code, number);
		assert_non_null(strstr(error.message, "why"));
	}
}

static void a_runtime_may_retry_what_passes(void **state)
{
	const enum code passing[] = {CODE_AGENT_AWAY, CODE_NOT_READY, CODE_LATE, CODE_BUSY,
				     CODE_HOSTD_AWAY};

	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		assert_int_equal(cni_error_number(passing[i]), CNI_TRY_AGAIN_LATER);
	// And must not what stays.
	assert_int_not_equal(cni_error_number(CODE_NO_ADDRESS), CNI_TRY_AGAIN_LATER);
	assert_int_not_equal(cni_error_number(CODE_CONFLICT), CNI_TRY_AGAIN_LATER);
}

static void a_bad_sandbox_names_the_variable(void **state)
{
	struct cni_error error;

	cni_error_from(&error, CODE_NETNS, "/x: no such file");
	assert_int_equal(error.code, CNI_INVALID_ENVIRONMENT);
	assert_string_equal(error.message, "CNI_NETNS: /x: no such file");
}

static void a_code_of_a_newer_hostd_is_passed_on(void **state)
{
	struct cni_error error;

	cni_error_from(&error, (enum code)777, "something new");
	assert_int_equal(error.code, CNI_OWN_FIRST + CODE_INTERNAL);
	assert_string_equal(error.message, "something new");
}

static void an_error_is_json_as_the_specification_has_it(void **state)
{
	struct cni_error error;
	const char *version, *message, *details;
	json_t *json;
	int code;

	cni_error_from(&error, CODE_AGENT_AWAY, "the agent is \"away\"\n");
	json = cni_error_json(&error, "1.0.0");
	assert_int_equal(json_unpack(json, "{s:s, s:i, s:s, s:s !}", "cniVersion", &version, "code",
				     &code, "msg", &message, "details", &details),
			 0);
	assert_string_equal(version, "1.0.0");
	assert_int_equal(code, 11);
	assert_string_equal(message, "the agent is \"away\"?");
	assert_true(details[0] != '\0');
	json_decref(json);

	// Whatever bytes are quoted in it: it must come out as JSON.
	cni_error_set(&error, CNI_INVALID_CONFIG, "name: '\xff\xfe\x01'");
	json = cni_error_json(&error, "1.1.0");
	assert_non_null(json);
	assert_null(json_object_get(json, "details"));
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_a_number_that_the_specification_allows),
		cmocka_unit_test(a_runtime_may_retry_what_passes),
		cmocka_unit_test(a_bad_sandbox_names_the_variable),
		cmocka_unit_test(a_code_of_a_newer_hostd_is_passed_on),
		cmocka_unit_test(an_error_is_json_as_the_specification_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
