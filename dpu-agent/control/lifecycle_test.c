// SPDX-License-Identifier: BSD-3-Clause
//
// The host boots, the agent restarts, the configuration changes: what becomes of the pods.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/control_private.h"
#include "control/test_agent.h"
#include "pod/fault_vfs.h"

static struct test_agent agent;

static int setup(void **state)
{
	fault_vfs_clear();
	test_agent_init(&agent, 8, "10.88.0.0/24", "fd00:88::/64");
	return 0;
}

static int teardown(void **state)
{
	fault_vfs_clear();
	test_agent_destroy(&agent);
	return 0;
}

static void must_run(struct test_call *call)
{
	test_must_run(&agent, call);
}

// ---- hello --------------------------------------------------------------------------------------

static void hello_tells_who_the_agent_is(void **state)
{
	struct hello_reply *body;
	struct test_call call;

	test_hello(&call, "host", "boot1");
	must_run(&call);
	body = &call.reply.body.hello;
	assert_int_equal(PROTOCOL_VERSION, body->protocol_version);
	assert_true(body->has_pod_network);
	assert_true(body->host_port);
	assert_memory_equal(&agent.network.common, &body->pod_network, sizeof(body->pod_network));
	// The host port is up, and who it is.
	assert_true(fake_nic.ports[FAKE_FUNCTIONS_MAX].started);
	assert_memory_equal(&agent.network.common.gateway_ipv4,
			    &fake_nic.ports[FAKE_FUNCTIONS_MAX].config.ipv4, 4);
	assert_true(fake_nic.ports[FAKE_FUNCTIONS_MAX + 1].started);
	assert_memory_equal(&agent.network.common.router_mac, &fake_nic.router.mac, 6);

	test_hello(&call, "host", "boot1");
	call.request.body.hello.protocol_version = 99;
	test_must_fail(&agent, &call, CODE_UNSUPPORTED, "protocol version 99");
}

static void a_host_that_booted_anew_has_none_of_its_old_pods(void **state)
{
	struct test_call call;

	test_hello(&call, "host", "boot1");
	must_run(&call);
	test_must_attach(&agent, "web");
	test_must_attach(&agent, "db");
	must_run(&call); // the same boot: nothing happens
	assert_int_equal(2, agent.control->pods->count);
	test_agent_restart(&agent); // which the agent does not forget
	must_run(&call);
	assert_int_equal(2, agent.control->pods->count);
	test_agent_restart(&agent);
	test_hello(&call, "host", "boot2");
	must_run(&call);
	assert_int_equal(0, agent.control->pods->count);
	assert_int_equal(0, fake_nic_started_functions());
	test_assert_consistent(&agent, true);
	test_must_attach(&agent, "web");
	must_run(&call);
	assert_int_equal(1, agent.control->pods->count);
}

static void another_hosts_pods_are_not_reclaimed(void **state)
{
	struct test_call call;

	test_hello(&call, "host", "boot1");
	must_run(&call);
	test_must_attach(&agent, "web");
	test_hello(&call, "other", "boot9");
	must_run(&call);
	test_hello(&call, "host", "boot1");
	must_run(&call);
	assert_int_equal(1, agent.control->pods->count);
	test_assert_consistent(&agent, true);
}

static void a_hello_among_other_calls_keeps_its_place(void **state)
{
	struct test_call calls[3];

	test_hello(&calls[0], "host", "boot1");
	must_run(&calls[0]);
	test_attach(&calls[0], "old");
	test_hello(&calls[1], "host", "boot2");
	test_attach(&calls[2], "new");
	test_run(&agent, calls, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(CODE_OK, calls[i].reply.code);
	assert_int_equal(1, agent.control->pods->count);
	assert_non_null(pods_find(agent.control->pods, &calls[2].request.body.attach.key));
	test_assert_consistent(&agent, true);
}

static void pods_attached_before_the_first_hello_are_its_hosts(void **state)
{
	struct test_call call;

	test_must_attach(&agent, "web");
	test_hello(&call, "host", "boot1");
	must_run(&call);
	assert_int_equal(1, agent.control->pods->count);
	test_assert_consistent(&agent, true);
	test_hello(&call, "host", "boot2");
	must_run(&call);
	assert_int_equal(0, agent.control->pods->count);
}

static void a_hello_that_cannot_be_recorded_changes_nothing(void **state)
{
	struct test_call call;

	test_hello(&call, "host", "boot1");
	must_run(&call);
	test_must_attach(&agent, "web");
	test_hello(&call, "host", "boot2");
	fault_vfs_set(FAULT_WRITE_FULL, 1, true);
	test_must_fail(&agent, &call, CODE_STORE, "is full");
	assert_int_equal(1, fake_nic_started_functions());
	test_assert_consistent(&agent, true);
	// The host that is known needs no disk to be greeted.
	test_hello(&call, "host", "boot1");
	must_run(&call);
	fault_vfs_clear();
	test_hello(&call, "host", "boot2");
	must_run(&call);
	assert_int_equal(0, agent.control->pods->count);
	test_assert_consistent(&agent, true);
}

// ---- restart ------------------------------------------------------------------------------------

static void a_restart_brings_every_pods_port_back(void **state)
{
	struct attachment before[5], after;
	char name[16];

	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "pod%d", i);
		before[i] = test_must_attach(&agent, name);
	}
	test_must_detach(&agent, "pod2");
	test_agent_restart(&agent);
	assert_int_equal(4, fake_nic_started_functions());
	assert_int_equal(0, fake_nic.ports[0].clears);
	test_assert_consistent(&agent, true);
	after = test_must_attach(&agent, "pod3");
	assert_memory_equal(&before[3], &after, sizeof(after));
}

static void a_port_that_does_not_come_back_keeps_its_attachment_and_is_told(void **state)
{
	struct attachment a = test_must_attach(&agent, "web");
	struct test_call call;

	test_agent_stop(&agent);
	fake_nic_reset(8);
	fake_nic.fail_all_starts = true;
	test_agent_start(&agent);
	assert_int_equal(1, agent.control->pods->count);
	test_simple(&call, CALL_GET_STATUS);
	must_run(&call);
	assert_true(call.reply.body.status.agent.ready);
	assert_non_null(strstr(call.reply.body.status.agent.notice,
			       "1 attachments have no port, first web/eth0: port 0 refuses"));
	assert_non_null(strstr(call.reply.body.status.agent.notice, "host port: "));
	assert_int_equal(1, call.reply.body.status.agent.attachments_without_port);
	assert_string_not_equal("", call.reply.body.status.agent.uplink_error);
	test_hello(&call, "host", "boot");
	must_run(&call);
	assert_false(call.reply.body.hello.host_port);
	test_simple(&call, CALL_CHECK);
	call.request.body.check.key = a.key;
	test_must_fail(&agent, &call, CODE_MISMATCH, "has no port");
	test_attach(&call, "web");
	test_must_fail(&agent, &call, CODE_NIC, "refuses");
	assert_int_equal(1, agent.control->pods->count);

	fake_nic.fail_all_starts = false;
	control_retry(agent.control);
	test_assert_consistent(&agent, true);
	assert_true(host_port_ready(agent.control));
	test_simple(&call, CALL_GET_STATUS);
	must_run(&call);
	assert_string_equal("", call.reply.body.status.agent.notice);
}

static void a_nic_with_fewer_functions_keeps_the_records(void **state)
{
	struct test_call call;
	char name[16];

	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "pod%d", i);
		test_must_attach(&agent, name);
	}
	test_agent_stop(&agent);
	agent.functions = 2;
	fake_nic_reset(2);
	test_agent_start(&agent);
	assert_int_equal(4, agent.control->pods->count);
	assert_int_equal(2, fake_nic_started_functions());
	test_attach(&call, "more");
	test_must_fail(&agent, &call, CODE_NO_FUNCTION, "2 of 2 in use");
	test_must_detach(&agent, "pod3");
	test_agent_stop(&agent);
	agent.functions = 8;
	fake_nic_reset(8);
	test_agent_start(&agent);
	assert_int_equal(3, fake_nic_started_functions());
	assert_int_equal(3, agent.control->pods->count);
}

static void a_changed_pod_network_waits_for_the_pods_of_the_old_one(void **state)
{
	struct test_call call;

	test_must_attach(&agent, "web");
	test_must_attach(&agent, "db");
	assert_int_equal(0, network_parse_ipv4("10.99.0.0/24", &agent.network, NULL));
	test_agent_restart(&agent);
	test_simple(&call, CALL_GET_STATUS);
	must_run(&call);
	assert_true(call.reply.body.status.agent.ready);
	assert_int_equal(inet_addr("10.88.0.0"),
			 call.reply.body.status.agent.pod_network.ipv4.s_addr);
	assert_non_null(
		strstr(call.reply.body.status.agent.notice,
		       "the configured pod network 10.99.0.0/24 fd00:88::/64 is not taken, "
		       "going on with 10.88.0.0/24 fd00:88::/64: 2 attachments are in the "
		       "way: db/eth0 (has the address 10.88.0.3), web/eth0 (has the address "
		       "10.88.0.2)"));
	test_assert_consistent(&agent, true);
	test_must_detach(&agent, "web");
	test_must_detach(&agent, "db");
	test_agent_restart(&agent);
	assert_int_equal(htonl(0x0a630002), test_must_attach(&agent, "web").ipv4.s_addr);
	test_simple(&call, CALL_GET_STATUS);
	must_run(&call);
	assert_string_equal("", call.reply.body.status.agent.notice);
	test_assert_consistent(&agent, true);
}

static void a_pod_network_that_grows_around_its_pods_is_taken(void **state)
{
	struct attachment a = test_must_attach(&agent, "web"), again;
	struct test_call call;

	test_must_attach(&agent, "db");
	test_must_detach(&agent, "db");
	assert_int_equal(0, network_parse_ipv4("10.88.0.0/16", &agent.network, NULL));
	agent.network.common.mtu = 9000;
	test_agent_restart(&agent);
	again = test_must_attach(&agent, "web");
	assert_memory_equal(&a, &again, sizeof(a)); // its MTU as well
	assert_int_equal(9000, test_must_attach(&agent, "new").mtu);
	test_simple(&call, CALL_GET_IPAM);
	must_run(&call);
	assert_int_equal(65533, call.reply.body.ipam.ipv4.total);
	assert_int_equal(1, call.reply.body.ipam.ipv4.released);
	test_assert_consistent(&agent, true);
}

static void a_pod_network_taken_from_the_configuration_stays_for_its_pods(void **state)
{
	struct test_call call;

	test_must_attach(&agent, "web");
	agent.has_network = false;
	test_agent_restart(&agent);
	test_assert_consistent(&agent, true);
	test_simple(&call, CALL_GET_STATUS);
	must_run(&call);
	assert_non_null(strstr(call.reply.body.status.agent.notice,
			       "the configuration has no pod_network"));
	test_must_detach(&agent, "web");
	test_agent_restart(&agent);
	test_attach(&call, "web");
	test_must_fail(&agent, &call, CODE_NOT_READY, "no pod network");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(hello_tells_who_the_agent_is),
		TEST(a_host_that_booted_anew_has_none_of_its_old_pods),
		TEST(another_hosts_pods_are_not_reclaimed),
		TEST(a_hello_among_other_calls_keeps_its_place),
		TEST(pods_attached_before_the_first_hello_are_its_hosts),
		TEST(a_hello_that_cannot_be_recorded_changes_nothing),
		TEST(a_restart_brings_every_pods_port_back),
		TEST(a_port_that_does_not_come_back_keeps_its_attachment_and_is_told),
		TEST(a_nic_with_fewer_functions_keeps_the_records),
		TEST(a_changed_pod_network_waits_for_the_pods_of_the_old_one),
		TEST(a_pod_network_that_grows_around_its_pods_is_taken),
		TEST(a_pod_network_taken_from_the_configuration_stays_for_its_pods),
	};

	test_quiet(true);
	fault_vfs_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
