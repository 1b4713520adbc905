// SPDX-License-Identifier: BSD-3-Clause
//
// Pods that ask for a vhost-user port: what they get, hold and leave, beside those with functions.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <stdio.h>
#include <string.h>

#include "control/test_agent.h"

static struct test_agent agent;

static int set_up(void **state)
{
	test_agent_init(&agent, 2, "10.88.0.0/24", "fd00:88::/64");
	agent.vhosts = FAKE_VHOSTS_MAX;
	test_agent_restart(&agent);
	return 0;
}

static int tear_down(void **state)
{
	test_agent_destroy(&agent);
	return 0;
}

static void ask_for_vhost(struct test_call *call, const char *container_id)
{
	test_attach(call, container_id);
	call->request.body.attach.port = PORT_CHOICE_VHOST_USER;
}

static struct attachment attach_vhost(const char *container_id)
{
	struct test_call call;
	struct attachment attachment;

	ask_for_vhost(&call, container_id);
	test_must_run(&agent, &call);
	attachment = call.reply.body.attach;
	test_call_clear(&call);
	return attachment;
}

// The fake port that listens there; NULL: none.
static const struct fake_port *listening(const char *socket_path)
{
	for (size_t i = FAKE_VHOST; i < FAKE_VHOST + FAKE_VHOSTS_MAX; i++)
		if (fake_nic.ports[i].started &&
		    strcmp(fake_nic.ports[i].config.socket_path, socket_path) == 0)
			return &fake_nic.ports[i];
	return NULL;
}

static void a_pod_gets_a_socket_of_its_own_and_no_function(void **state)
{
	struct attachment one = attach_vhost("one"), two = attach_vhost("two");
	const struct fake_port *port = listening(one.socket_path);

	assert_int_equal(PORT_CHOICE_VHOST_USER, one.port);
	assert_int_equal(0, strncmp(one.socket_path, "/run/vhost/", strlen("/run/vhost/")));
	assert_string_not_equal(one.socket_path, two.socket_path);
	assert_non_null(port);
	assert_int_equal(one.ipv4.s_addr, port->config.ipv4.s_addr);
	assert_memory_equal(&one.mac, &port->config.mac, sizeof(one.mac));
	assert_int_equal(0, fake_nic_started_functions());
	// Both functions are there for others.
	test_must_attach(&agent, "three");
	test_must_attach(&agent, "four");
	test_assert_consistent(&agent, true);
	test_must_detach(&agent, "one");
	assert_null(listening(one.socket_path));
	test_assert_consistent(&agent, true);
}

static void the_same_again_is_the_same_and_another_kind_is_a_conflict(void **state)
{
	struct attachment one = attach_vhost("one"), again = attach_vhost("one");
	struct test_call call;

	assert_string_equal(one.socket_path, again.socket_path);
	test_attach(&call, "one");
	test_must_fail(&agent, &call, CODE_CONFLICT, "port_kind");
	test_must_attach(&agent, "two");
	ask_for_vhost(&call, "two");
	test_must_fail(&agent, &call, CODE_CONFLICT, "it is a function, not a vhost-user");
}

static void a_pod_keeps_its_socket_over_a_restart(void **state)
{
	struct attachment one = attach_vhost("one"), two = attach_vhost("two");
	struct attachment function = test_must_attach(&agent, "three");
	struct attachment again;

	test_must_detach(&agent, "one");
	test_agent_restart(&agent);
	test_assert_consistent(&agent, true);
	assert_non_null(listening(two.socket_path));
	assert_null(listening(one.socket_path));
	again = attach_vhost("two");
	assert_memory_equal(&two, &again, sizeof(two));
	again = test_must_attach(&agent, "three");
	assert_memory_equal(&function, &again, sizeof(function));
}

static void a_pod_beyond_the_ports_that_there_are_is_refused(void **state)
{
	char name[16];
	struct test_call call;

	for (unsigned int i = 0; i < FAKE_VHOSTS_MAX; i++) {
		snprintf(name, sizeof(name), "pod%u", i);
		attach_vhost(name);
	}
	ask_for_vhost(&call, "more");
	test_must_fail(&agent, &call, CODE_NO_FUNCTION, "no vhost-user port is left: 16 of 16");
	test_assert_consistent(&agent, true);
	test_must_detach(&agent, "pod3");
	attach_vhost("more");

	// An agent that is given fewer serves those that fit, and says so of the rest.
	agent.vhosts = 10;
	test_agent_restart(&agent);
	char notice[LIMIT_TEXT + 1];
	control_notice(agent.control, notice);
	assert_non_null(strstr(notice, "6 attachments have no port"));
	assert_non_null(strstr(notice, "vhost.ports"));
	test_must_detach(&agent, "more");
	agent.vhosts = FAKE_VHOSTS_MAX;
	test_agent_restart(&agent);
	test_assert_consistent(&agent, true);
}

static void an_agent_without_such_ports_says_what_it_takes(void **state)
{
	struct test_call call;

	agent.vhosts = 0;
	test_agent_restart(&agent);
	ask_for_vhost(&call, "one");
	test_must_fail(&agent, &call, CODE_UNSUPPORTED, "vhost.socket_dir");
	test_assert_consistent(&agent, true);
}

static void a_port_that_does_not_start_leaves_nothing(void **state)
{
	struct test_call call;

	test_quiet(true);
	fake_nic.fail_start_in = 1;
	ask_for_vhost(&call, "one");
	test_must_fail(&agent, &call, CODE_NIC, "refuses to start");
	test_quiet(false);
	test_assert_consistent(&agent, true);
	attach_vhost("one");
}

static void no_rules_are_made_for_it_and_it_is_told_why(void **state)
{
	struct test_call call;

	attach_vhost("one");
	test_must_attach(&agent, "two");
	test_assert_consistent(&agent, true); // rules: of the started functions and no others
	test_simple(&call, CALL_LIST);
	call.request.body.list.limit = LIMIT_PAGE;
	test_run(&agent, &call, 1);
	assert_int_equal(2, call.reply.body.list.count);
	assert_string_equal("none", call.reply.body.list.items[0].offload.state);
	assert_non_null(strstr(call.reply.body.list.items[0].offload.reason, "vhost-user port"));
	test_call_clear(&call);

	test_simple(&call, CALL_LIST_PORTS);
	call.request.body.list_ports.limit = LIMIT_PORTS_PAGE;
	test_run(&agent, &call, 1);
	assert_int_equal(
		5, call.reply.body.ports.count); // two functions, host, uplink and one of these
	assert_string_equal("vhost-user", call.reply.body.ports.ports[4].kind);
	assert_string_equal("one", call.reply.body.ports.ports[4].key.container_id);
	test_call_clear(&call);

	test_simple(&call, CALL_GET_STATUS);
	test_run(&agent, &call, 1);
	assert_int_equal(1, call.reply.body.status.agent.vhost_ports_used);
	assert_int_equal(FAKE_VHOSTS_MAX, call.reply.body.status.agent.vhost_ports);
	assert_int_equal(1, call.reply.body.status.agent.functions_used);
	test_call_clear(&call);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_pod_gets_a_socket_of_its_own_and_no_function),
		TEST(the_same_again_is_the_same_and_another_kind_is_a_conflict),
		TEST(a_pod_keeps_its_socket_over_a_restart),
		TEST(a_pod_beyond_the_ports_that_there_are_is_refused),
		TEST(an_agent_without_such_ports_says_what_it_takes),
		TEST(a_port_that_does_not_start_leaves_nothing),
		TEST(no_rules_are_made_for_it_and_it_is_told_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
