// SPDX-License-Identifier: BSD-3-Clause
//
// Calls that come together, and what they leave when the disk fails.

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

// ---- batches ------------------------------------------------------------------------------------

static void calls_that_come_together_share_one_commit(void **state)
{
	enum { COUNT = 8 };
	struct test_call calls[COUNT];
	char name[16];

	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "pod%d", i);
		test_attach(&calls[i], name);
	}
	fault_vfs_clear();
	test_run(&agent, calls, COUNT);
	assert_int_equal(1, fault_vfs_syncs());
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(CODE_OK, calls[i].reply.code);
	test_assert_consistent(&agent, true);
}

static void calls_for_one_key_keep_their_order(void **state)
{
	struct test_call calls[6];

	test_attach(&calls[0], "web");
	test_detach(&calls[1], "web");
	test_attach(&calls[2], "web");
	test_attach(&calls[3], "db");
	test_attach(&calls[4], "web");
	test_detach(&calls[5], "db");
	test_run(&agent, calls, 6);
	for (int i = 0; i < 6; i++)
		assert_int_equal(CODE_OK, calls[i].reply.code);
	assert_true(calls[1].reply.body.detach.existed);
	assert_memory_equal(&calls[2].reply.body.attach, &calls[4].reply.body.attach,
			    sizeof(struct attachment));
	assert_int_not_equal(calls[0].reply.body.attach.ipv4.s_addr,
			     calls[2].reply.body.attach.ipv4.s_addr);
	assert_true(calls[5].reply.body.detach.existed);
	assert_int_equal(1, agent.control->pods->count);
	test_assert_consistent(&agent, true);
}

static void more_calls_than_a_batch_are_all_answered(void **state)
{
	enum { COUNT = 200 };
	struct test_call *calls = calloc(COUNT, sizeof(*calls));
	size_t attached = 0;
	char name[16];

	assert_non_null(calls);
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "pod%d", i);
		test_attach(&calls[i], name);
	}
	test_run(&agent, calls, COUNT);
	for (int i = 0; i < COUNT; i++) {
		assert_true(calls[i].reply.code == CODE_OK ||
			    calls[i].reply.code == CODE_NO_FUNCTION);
		attached += calls[i].reply.code == CODE_OK;
	}
	assert_int_equal(8, attached);
	test_assert_consistent(&agent, true);
	free(calls);
}

static void one_that_fails_does_not_take_the_others_with_it(void **state)
{
	struct test_call calls[4];

	for (int i = 0; i < 4; i++) {
		char name[16];

		snprintf(name, sizeof(name), "pod%d", i);
		test_attach(&calls[i], name);
	}
	calls[0].request.body.attach.wants_ipv4 = true; // 0.0.0.0
	fake_nic.fail_start_in = 2;                     // pod2's
	test_run(&agent, calls, 4);
	assert_int_equal(CODE_BAD_REQUEST, calls[0].reply.code);
	assert_int_equal(CODE_OK, calls[1].reply.code);
	assert_int_equal(CODE_NIC, calls[2].reply.code);
	assert_int_equal(CODE_OK, calls[3].reply.code);
	test_assert_consistent(&agent, true);
}

static void what_is_late_is_not_begun(void **state)
{
	struct test_call calls[3];
	struct test_call call;

	test_attach(&call, "web");
	call.remaining_ms = 0;
	test_must_fail(&agent, &call, CODE_LATE, "not begun");
	assert_int_equal(0, agent.control->pods->count);

	// Late only at the second look, right before the commit; its neighbours go on.
	for (int i = 0; i < 3; i++) {
		char name[16];

		snprintf(name, sizeof(name), "pod%d", i);
		test_attach(&calls[i], name);
	}
	calls[1].patience = 2;
	test_run(&agent, calls, 3);
	assert_int_equal(CODE_OK, calls[0].reply.code);
	assert_int_equal(CODE_LATE, calls[1].reply.code);
	assert_int_equal(CODE_OK, calls[2].reply.code);
	assert_int_equal(2, agent.control->pods->count);
	// The address it was planned to have went to the next.
	assert_int_equal(htonl(0x0a580003), calls[2].reply.body.attach.ipv4.s_addr);
	test_assert_consistent(&agent, true);

	test_detach(&call, "pod0");
	call.patience = 2;
	test_must_fail(&agent, &call, CODE_LATE, "nothing was changed");
	assert_int_equal(2, agent.control->pods->count);
	test_assert_consistent(&agent, true);
}

static void a_change_meant_for_the_instance_before_is_refused(void **state)
{
	struct test_call call;

	test_attach(&call, "web");
	strcpy(call.request.instance_id, "another");
	test_must_fail(&agent, &call, CODE_NOT_READY, "say Hello first");
	strcpy(call.request.instance_id, agent.instance_id);
	must_run(&call);
}

// ---- a disk that fails --------------------------------------------------------------------------

static void with_a_full_disk_nothing_is_half_done(void **state)
{
	struct test_call call, calls[2];

	test_must_attach(&agent, "web");
	fault_vfs_set(FAULT_WRITE_FULL, 1, true);
	test_attach(&calls[0], "db");
	test_detach(&calls[1], "web");
	test_run(&agent, calls, 2);
	assert_int_equal(CODE_STORE, calls[0].reply.code);
	assert_int_equal(CODE_STORE, calls[1].reply.code);
	assert_non_null(strstr(calls[0].reply.message, "is full; nothing was changed"));
	assert_int_equal(1, fake_nic_started_functions()); // web runs on
	test_assert_consistent(&agent, true);
	// What needs no disk works.
	test_attach(&call, "web");
	must_run(&call);
	test_detach(&call, "nobody");
	must_run(&call);
	fault_vfs_clear();
	assert_int_equal(1, test_must_attach(&agent, "db").function.vf);
	test_must_detach(&agent, "web");
	test_assert_consistent(&agent, true);
}

// Every write and sync in an attach, a failing attach and a detach fails once, or from then on.
static void whatever_write_fails_the_agent_stays_consistent(void **state)
{
	static const enum fault_kind kinds[] = {FAULT_WRITE_FULL, FAULT_IO};

	for (int round = 0; round < 4; round++) {
		bool hit = true;

		for (unsigned int nth = 1; hit; nth++) {
			struct test_call calls[3];

			test_agent_destroy(&agent);
			test_agent_init(&agent, 8, "10.88.0.0/24", "fd00:88::/64");
			test_must_attach(&agent, "old");
			test_attach(&calls[0], "new");
			test_detach(&calls[1], "old");
			test_attach(&calls[2], "refused");
			fake_nic.fail_start_in = 2;
			fault_vfs_set(kinds[round % 2], nth, round >= 2);
			test_run(&agent, calls, 3);
			hit = fault_vfs_hit();
			fault_vfs_clear();
			fake_nic.fail_start_in = 0;

			control_retry(agent.control); // what could not be recorded is now
			assert_true(TAILQ_EMPTY(&agent.control->leaving));
			test_assert_consistent(&agent, true);
			// Answered with success means done; and a failed detach left the pod, or
			// was done by the retry.
			assert_int_equal(calls[0].reply.code == CODE_OK,
					 pods_find(agent.control->pods,
						   &calls[0].request.body.attach.key) != NULL);
			if (calls[1].reply.code == CODE_OK)
				assert_null(pods_find(agent.control->pods,
						      &calls[1].request.body.detach.key));
			assert_int_not_equal(CODE_OK, calls[2].reply.code);
			assert_null(
				pods_find(agent.control->pods, &calls[2].request.body.attach.key));
			test_agent_restart(&agent);
			test_assert_consistent(&agent, true);
		}
	}
}

// The disk fills between the two commits of a detach.
static void a_release_that_cannot_be_recorded_holds_on_and_is_finished_later(void **state)
{
	struct attachment db;
	struct test_call call;
	unsigned int nth = 0;

	test_must_attach(&agent, "web");
	db = test_must_attach(&agent, "db");
	do {
		fault_vfs_clear();
		control_retry(agent.control);
		test_must_attach(&agent, "db");
		fault_vfs_set(FAULT_WRITE_FULL, ++nth, true);
		test_detach(&call, "db");
		test_run(&agent, &call, 1);
		assert_int_equal(CODE_STORE, call.reply.code);
	} while (TAILQ_EMPTY(&agent.control->leaving));

	assert_int_equal(1, fake_nic_started_functions());
	test_attach(&call, "db");
	test_must_fail(&agent, &call, CODE_BUSY, "is not recorded yet");
	test_simple(&call, CALL_CHECK);
	call.request.body.check.key = db.key;
	test_must_fail(&agent, &call, CODE_NOT_FOUND, "podport/db/eth0");
	test_simple(&call, CALL_LIST);
	must_run(&call);
	assert_int_equal(1, call.reply.body.list.count);
	test_call_clear(&call);
	test_simple(&call, CALL_GET_STATUS);
	must_run(&call);
	assert_non_null(
		strstr(call.reply.body.status.agent.notice, "1 releases wait for the disk"));
	test_attach(&call, "thief"); // what it holds it holds
	call.request.body.attach.wants_ipv4 = true;
	call.request.body.attach.requested_ipv4 = db.ipv4;
	test_must_fail(&agent, &call, CODE_CONFLICT, "is taken by podport/db/eth0");
	test_detach(&call, "db");
	test_must_fail(&agent, &call, CODE_STORE, "is full");

	fault_vfs_clear();
	test_must_attach(&agent, "db"); // which finishes it first
	assert_true(TAILQ_EMPTY(&agent.control->leaving));
	test_assert_consistent(&agent, true);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(calls_that_come_together_share_one_commit),
		TEST(calls_for_one_key_keep_their_order),
		TEST(more_calls_than_a_batch_are_all_answered),
		TEST(one_that_fails_does_not_take_the_others_with_it),
		TEST(what_is_late_is_not_begun),
		TEST(a_change_meant_for_the_instance_before_is_refused),
		TEST(with_a_full_disk_nothing_is_half_done),
		TEST(whatever_write_fails_the_agent_stays_consistent),
		TEST(a_release_that_cannot_be_recorded_holds_on_and_is_finished_later),
	};

	test_quiet(true);
	fault_vfs_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
