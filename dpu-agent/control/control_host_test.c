// SPDX-License-Identifier: BSD-3-Clause
//
// Several hosts of one agent: each sees and releases what is its own, and nothing else.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <stdio.h>
#include <string.h>

#include "control/control_private.h"
#include "control/test_agent.h"
#include "pod/fault_vfs.h"

static struct test_agent agent;

static int setup(void **state)
{
	fault_vfs_clear();
	test_agent_init(&agent, 32, "10.88.0.0/24", NULL);
	return 0;
}

static int teardown(void **state)
{
	fault_vfs_clear();
	test_agent_destroy(&agent);
	return 0;
}

static void hello(const char *host_id, const char *boot_id)
{
	struct test_call call;

	test_hello(&call, host_id, boot_id);
	test_must_run(&agent, &call);
}

static void attach_as(const char *host_id, const char *container_id)
{
	struct test_call call;

	test_attach(&call, container_id);
	strcpy(call.request.host_id, host_id);
	test_must_run(&agent, &call);
}

static struct test_call ask_as(const char *host_id, enum call which)
{
	struct test_call call;

	test_simple(&call, which);
	strcpy(call.request.host_id, host_id);
	test_must_run(&agent, &call);
	return call;
}

// Two hosts with a pod each.
static void two_hosts(void)
{
	hello("north", "boot1");
	hello("south", "boot5");
	attach_as("north", "web");
	attach_as("south", "db");
}

static void a_host_is_shown_its_own_attachments_only(void **state)
{
	struct test_call call;

	two_hosts();
	call = ask_as("north", CALL_LIST);
	assert_int_equal(1, call.reply.body.list.count);
	assert_false(call.reply.body.list.more);
	assert_string_equal("web", call.reply.body.list.items[0].attachment.key.container_id);
	test_call_clear(&call);
	call = ask_as("south", CALL_LIST);
	assert_int_equal(1, call.reply.body.list.count);
	assert_string_equal("db", call.reply.body.list.items[0].attachment.key.container_id);
	test_call_clear(&call);
	call = ask_as("west", CALL_LIST);
	assert_int_equal(0, call.reply.body.list.count);
	test_call_clear(&call);

	// A page that is full says "more" only if there is more for this host.
	test_simple(&call, CALL_LIST);
	strcpy(call.request.host_id, "south");
	call.request.body.list.limit = 1;
	test_must_run(&agent, &call);
	assert_int_equal(1, call.reply.body.list.count);
	assert_false(call.reply.body.list.more);
	test_call_clear(&call);
}

static void the_ports_of_others_pods_are_shown_without_whose_they_are(void **state)
{
	struct test_call call;
	unsigned int named = 0;

	two_hosts();
	call = ask_as("north", CALL_LIST_PORTS);
	for (size_t i = 0; i < call.reply.body.ports.count; i++) {
		const struct port_info *port = &call.reply.body.ports.ports[i];

		if (!port->has_key)
			continue;
		named++;
		assert_string_equal("web", port->key.container_id);
	}
	assert_int_equal(1, named);
	test_call_clear(&call);
}

static void a_host_cannot_release_what_another_has_attached(void **state)
{
	struct test_call call;

	two_hosts();
	test_detach(&call, "db");
	strcpy(call.request.host_id, "north");
	test_must_run(&agent, &call);
	assert_false(call.reply.body.detach.existed);
	assert_int_equal(2, agent.control->pods->count);
	assert_int_equal(2, fake_nic_started_functions());
	test_assert_consistent(&agent, true);
	strcpy(call.request.host_id, "south");
	test_must_run(&agent, &call);
	assert_true(call.reply.body.detach.existed);
	assert_int_equal(1, agent.control->pods->count);
}

static void a_host_cannot_check_or_take_over_what_another_has_attached(void **state)
{
	struct test_call call;

	two_hosts();
	test_simple(&call, CALL_CHECK);
	strcpy(call.request.body.check.key.network, "podport");
	strcpy(call.request.body.check.key.container_id, "db");
	strcpy(call.request.body.check.key.ifname, "eth0");
	strcpy(call.request.host_id, "north");
	test_must_fail(&agent, &call, CODE_NOT_FOUND, "podport/db/eth0");
	strcpy(call.request.host_id, "south");
	test_must_run(&agent, &call);
	test_attach(&call, "db");
	strcpy(call.request.host_id, "north");
	test_must_fail(&agent, &call, CODE_CONFLICT, "another host");
	test_assert_consistent(&agent, true);
}

static void a_boot_of_one_host_ends_its_own_pods_also_after_a_restart(void **state)
{
	two_hosts();
	test_agent_restart(&agent);
	hello("north", "boot1"); // both are remembered: nothing happens
	hello("south", "boot5");
	assert_int_equal(2, agent.control->pods->count);
	hello("north", "boot2");
	assert_int_equal(1, agent.control->pods->count);
	assert_string_equal("db",
			    agent.control->pods->sorted[0]->record.attachment.key.container_id);
	test_assert_consistent(&agent, true);
	attach_as("north", "web");
	test_agent_restart(&agent);
	hello("north", "boot2");
	assert_int_equal(2, agent.control->pods->count);
}

static void hosts_that_take_turns_cost_no_disk(void **state)
{
	two_hosts();
	fault_vfs_clear();
	for (int i = 0; i < 10; i++) {
		hello("north", "boot1");
		hello("south", "boot5");
	}
	assert_int_equal(0, fault_vfs_operations());
}

static void a_host_that_has_not_said_hello_attaches_nothing(void **state)
{
	struct test_call call;

	hello("north", "boot1");
	test_attach(&call, "web");
	strcpy(call.request.host_id, "west");
	test_must_fail(&agent, &call, CODE_NOT_READY, "west has not said Hello");
	assert_int_equal(0, agent.control->pods->count);
}

// A hostd of before there was a host_id in each call.
static void a_call_without_a_host_is_that_of_the_one_that_said_hello_last(void **state)
{
	struct test_call call;

	two_hosts();
	hello("north", "boot1");
	test_attach(&call, "cache");
	test_must_run(&agent, &call);
	call = ask_as("", CALL_LIST);
	assert_int_equal(2, call.reply.body.list.count);
	test_call_clear(&call);
	call = ask_as("south", CALL_LIST);
	assert_int_equal(1, call.reply.body.list.count);
	test_call_clear(&call);
}

static void the_number_of_hosts_is_bounded(void **state)
{
	struct test_call call;
	char name[32];

	for (int i = 0; i < STORE_HOSTS_MAX; i++) {
		snprintf(name, sizeof(name), "host%d", i);
		hello(name, "boot");
		if (i != 3)
			attach_as(name, name);
	}
	// Who has nothing attached makes room.
	hello("new", "boot");
	attach_as("new", "new");
	assert_null(host_find(agent.control, "host3"));
	test_hello(&call, "more", "boot");
	test_must_fail(&agent, &call, CODE_CONFLICT, "16 hosts");
	test_agent_restart(&agent);
	assert_int_equal(STORE_HOSTS_MAX, agent.control->host_count);
	assert_non_null(host_find(agent.control, "new"));
	hello("host0", "boot");
	assert_int_equal(STORE_HOSTS_MAX, agent.control->pods->count);
}

static void a_list_of_one_network_has_no_other_in_it(void **state)
{
	struct test_call call;

	hello("north", "boot1");
	for (int i = 0; i < 3; i++) {
		char name[16];

		snprintf(name, sizeof(name), "pod%d", i);
		test_attach(&call, name);
		strcpy(call.request.body.attach.key.network, i == 1 ? "blue" : "red");
		test_must_run(&agent, &call);
	}
	test_simple(&call, CALL_LIST);
	strcpy(call.request.body.list.network, "blue");
	test_must_run(&agent, &call);
	assert_int_equal(1, call.reply.body.list.count);
	assert_false(call.reply.body.list.more);
	assert_string_equal("pod1", call.reply.body.list.items[0].attachment.key.container_id);
	test_call_clear(&call);
	strcpy(call.request.body.list.network, "green");
	test_must_run(&agent, &call);
	assert_int_equal(0, call.reply.body.list.count);
	test_call_clear(&call);
}

static void a_release_of_an_earlier_attachment_does_not_hit_a_later_one(void **state)
{
	struct attachment first = test_must_attach(&agent, "web");
	struct test_call call;

	test_detach(&call, "web");
	call.request.body.detach.created_unix_ms = first.created_unix_ms - 1;
	test_must_run(&agent, &call);
	assert_false(call.reply.body.detach.existed);
	assert_int_equal(1, agent.control->pods->count);
	call.request.body.detach.created_unix_ms = first.created_unix_ms;
	test_must_run(&agent, &call);
	assert_true(call.reply.body.detach.existed);
	assert_int_equal(0, agent.control->pods->count);
	test_assert_consistent(&agent, true);
}

static void reconcile_starts_what_was_not_and_tells_what_is_left(void **state)
{
	struct test_call call;

	two_hosts();
	test_agent_stop(&agent);
	fake_nic_reset(32);
	fake_nic.fail_all_starts = true;
	test_agent_start(&agent);
	call = ask_as("north", CALL_RECONCILE);
	assert_int_equal(1, call.reply.body.reconcile.attachments);
	assert_int_equal(1, call.reply.body.reconcile.without_port);
	fake_nic.fail_all_starts = false;
	call = ask_as("north", CALL_RECONCILE);
	assert_int_equal(1, call.reply.body.reconcile.attachments);
	assert_int_equal(0, call.reply.body.reconcile.without_port);
	test_assert_consistent(&agent, true);
}

static void the_uid_of_a_pod_is_kept(void **state)
{
	struct attachment attachment;
	struct test_call call;

	test_attach(&call, "web");
	test_must_run(&agent, &call); // as a runtime that does not tell
	strcpy(call.request.body.attach.pod.uid, "6f9d1c2e-7b1a-4c55-9f0e-2d3c4b5a6978");
	test_must_run(&agent, &call);
	assert_string_equal("6f9d1c2e-7b1a-4c55-9f0e-2d3c4b5a6978", call.reply.body.attach.pod.uid);
	test_agent_restart(&agent);
	attachment = test_must_attach(&agent, "web");
	assert_string_equal("6f9d1c2e-7b1a-4c55-9f0e-2d3c4b5a6978", attachment.pod.uid);
	test_attach(&call, "web");
	strcpy(call.request.body.attach.pod.uid, "another");
	test_must_fail(&agent, &call, CODE_CONFLICT, "pod.uid");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_host_is_shown_its_own_attachments_only),
		TEST(the_ports_of_others_pods_are_shown_without_whose_they_are),
		TEST(a_host_cannot_release_what_another_has_attached),
		TEST(a_host_cannot_check_or_take_over_what_another_has_attached),
		TEST(a_boot_of_one_host_ends_its_own_pods_also_after_a_restart),
		TEST(hosts_that_take_turns_cost_no_disk),
		TEST(a_host_that_has_not_said_hello_attaches_nothing),
		TEST(a_call_without_a_host_is_that_of_the_one_that_said_hello_last),
		TEST(the_number_of_hosts_is_bounded),
		TEST(a_list_of_one_network_has_no_other_in_it),
		TEST(a_release_of_an_earlier_attachment_does_not_hit_a_later_one),
		TEST(reconcile_starts_what_was_not_and_tells_what_is_left),
		TEST(the_uid_of_a_pod_is_kept),
	};

	test_quiet(true);
	fault_vfs_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
