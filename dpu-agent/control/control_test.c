// SPDX-License-Identifier: BSD-3-Clause
//
// What each call does, and what it leaves when something fails.

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
	test_run(&agent, call, 1);
	if (call->reply.code != CODE_OK)
		fail_msg("%s: %s", call_name(call->request.call), call->reply.message);
}

// ---- attach ----------------------------------------------------------------------------------------

static void an_attach_gives_a_pod_all_it_needs(void **state)
{
	struct attachment a = test_must_attach(&agent, "web");
	char text[INET6_ADDRSTRLEN];

	assert_string_equal("web", a.key.container_id);
	assert_true(a.has_ipv4 && a.has_ipv6);
	assert_string_equal("10.88.0.2", inet_ntop(AF_INET, &a.ipv4, text, sizeof(text)));
	assert_string_equal("10.88.0.1", inet_ntop(AF_INET, &a.gateway_ipv4, text, sizeof(text)));
	assert_string_equal("fd00:88::2", inet_ntop(AF_INET6, &a.ipv6, text, sizeof(text)));
	assert_string_equal("fd00:88::1", inet_ntop(AF_INET6, &a.gateway_ipv6, text, sizeof(text)));
	assert_int_equal(0x02, a.mac.bytes[0]);
	assert_memory_equal(&agent.network.common.router_mac, &a.gateway_mac, 6);
	assert_int_equal(1500, a.mtu);
	assert_int_equal(0, a.function.vf);
	assert_true(a.created_unix_ms > 1700000000000);
	assert_int_equal(1, fake_nic.ports[0].clears); // the counters are this pod's
	test_assert_consistent(&agent, true);
}

static void a_repeated_attach_returns_the_same(void **state)
{
	struct attachment first = test_must_attach(&agent, "web"), again;
	struct test_call call;

	again = test_must_attach(&agent, "web");
	assert_memory_equal(&first, &again, sizeof(first));
	assert_int_equal(1, fake_nic.ports[0].starts);
	// Asking for what it has is no difference.
	test_attach(&call, "web");
	call.request.body.attach.wants_ipv4 = true;
	call.request.body.attach.requested_ipv4 = first.ipv4;
	call.request.body.attach.requested_mtu = first.mtu;
	must_run(&call);
	assert_memory_equal(&first, &call.reply.body.attach, sizeof(first));
	test_assert_consistent(&agent, true);
}

static void a_repeated_attach_brings_the_newest_sandbox(void **state)
{
	struct test_call call;

	test_must_attach(&agent, "web");
	test_attach(&call, "web");
	strcpy(call.request.body.attach.sandbox.path, "/run/netns/moved");
	strcpy(call.request.body.attach.pod.name, "web-0");
	must_run(&call);
	assert_string_equal("/run/netns/moved", call.reply.body.attach.sandbox.path);
	test_assert_consistent(&agent, true);
	test_agent_restart(&agent);
	test_attach(&call, "web");
	call.request.body.attach.sandbox = (struct sandbox){0}; // not known: keeps what is
	must_run(&call);
	assert_string_equal("/run/netns/moved", call.reply.body.attach.sandbox.path);
	assert_string_equal("web-0", call.reply.body.attach.pod.name);
}

static void an_attach_that_differs_is_a_conflict_that_names_the_field(void **state)
{
	struct attach_request *attach;
	struct test_call call;

	test_attach(&call, "web");
	strcpy(call.request.body.attach.pod.name, "web-0");
	must_run(&call);
	for (int what = 0; what < 5; what++) {
		static const char *const sentences[] = {
			"requested_ipv4: the attachment podport/web/eth0 exists and differs: it "
			"has "
			"10.88.0.2, not 10.88.0.9",
			"requested_ipv6: ", "requested_mac: ", "requested_mtu: ", "pod.name: "};

		test_attach(&call, "web");
		attach = &call.request.body.attach;
		attach->wants_ipv4 = what == 0;
		attach->wants_ipv6 = what == 1;
		attach->wants_mac = what == 2;
		inet_pton(AF_INET, "10.88.0.9", &attach->requested_ipv4);
		inet_pton(AF_INET6, "fd00:88::9", &attach->requested_ipv6);
		attach->requested_mac = (struct mac){{2, 1, 2, 3, 4, 5}};
		attach->requested_mtu = what == 3 ? 1400 : 0;
		if (what == 4)
			strcpy(attach->pod.name, "db-0");
		test_must_fail(&agent, &call, CODE_CONFLICT, sentences[what]);
	}
	test_assert_consistent(&agent, true);
}

static void what_a_pod_asks_for_it_gets(void **state)
{
	struct attach_request *attach;
	struct test_call call;

	test_attach(&call, "web");
	attach = &call.request.body.attach;
	attach->wants_ipv4 = attach->wants_ipv6 = attach->wants_mac = true;
	inet_pton(AF_INET, "10.88.0.200", &attach->requested_ipv4);
	inet_pton(AF_INET6, "fd00:88::5:0:0:1", &attach->requested_ipv6); // beyond the pool
	attach->requested_mac = (struct mac){{0x0a, 1, 2, 3, 4, 5}};
	attach->requested_mtu = 9000;
	must_run(&call);
	assert_memory_equal(&attach->requested_ipv4, &call.reply.body.attach.ipv4, 4);
	assert_memory_equal(&attach->requested_ipv6, &call.reply.body.attach.ipv6, 16);
	assert_memory_equal(&attach->requested_mac, &call.reply.body.attach.mac, 6);
	assert_int_equal(9000, call.reply.body.attach.mtu);

	// And nobody else does, also not after a restart.
	for (int round = 0; round < 2; round++) {
		test_attach(&call, "db");
		attach = &call.request.body.attach;
		attach->wants_ipv6 = true;
		inet_pton(AF_INET6, "fd00:88::5:0:0:1", &attach->requested_ipv6);
		test_must_fail(&agent, &call, CODE_CONFLICT,
			       "requested_ipv6: fd00:88::5:0:0:1 is taken by podport/web/eth0");
		test_attach(&call, "db");
		attach = &call.request.body.attach;
		attach->wants_ipv4 = true;
		inet_pton(AF_INET, "10.88.0.200", &attach->requested_ipv4);
		test_must_fail(&agent, &call, CODE_CONFLICT,
			       "requested_ipv4: 10.88.0.200 is taken by podport/web/eth0");
		test_attach(&call, "db");
		attach = &call.request.body.attach;
		attach->wants_mac = true;
		attach->requested_mac = (struct mac){{0x0a, 1, 2, 3, 4, 5}};
		test_must_fail(&agent, &call, CODE_CONFLICT, "is taken by podport/web/eth0");
		test_agent_restart(&agent);
	}
	test_must_detach(&agent, "web");
	test_attach(&call, "db");
	call.request.body.attach.wants_ipv6 = true;
	inet_pton(AF_INET6, "fd00:88::5:0:0:1", &call.request.body.attach.requested_ipv6);
	must_run(&call);
}

static void what_no_pod_can_have_is_refused(void **state)
{
	struct test_call call;

	test_attach(&call, "web");
	call.request.body.attach.wants_ipv4 = true;
	inet_pton(AF_INET, "10.88.0.1", &call.request.body.attach.requested_ipv4);
	test_must_fail(&agent, &call, CODE_BAD_REQUEST,
		       "requested_ipv4: 10.88.0.1 is the gateway of the pod network 10.88.0.0/24");
	test_attach(&call, "web");
	call.request.body.attach.wants_ipv6 = true;
	inet_pton(AF_INET6, "fd00:99::5", &call.request.body.attach.requested_ipv6);
	test_must_fail(&agent, &call, CODE_BAD_REQUEST, "requested_ipv6: fd00:99::5 is outside");
	test_attach(&call, "web");
	call.request.body.attach.wants_mac = true;
	call.request.body.attach.requested_mac = agent.network.common.router_mac;
	test_must_fail(&agent, &call, CODE_CONFLICT, "is the router's");
	test_assert_consistent(&agent, true);
	assert_int_equal(0, fake_nic_started_functions());
}

static void one_family_is_enough(void **state)
{
	struct test_call call;
	struct attachment a;

	test_agent_destroy(&agent);
	test_agent_init(&agent, 4, NULL, "fd00:88::/64");
	a = test_must_attach(&agent, "web");
	assert_true(!a.has_ipv4 && a.has_ipv6);
	test_attach(&call, "db");
	call.request.body.attach.wants_ipv4 = true;
	test_must_fail(&agent, &call, CODE_BAD_REQUEST,
		       "requested_ipv4: the pod network has no IPv4");
	test_agent_restart(&agent);
	test_assert_consistent(&agent, true);
}

static void without_a_pod_network_attach_says_so(void **state)
{
	struct test_call call;

	test_agent_destroy(&agent);
	test_agent_init(&agent, 4, NULL, NULL);
	test_attach(&call, "web");
	test_must_fail(&agent, &call, CODE_NOT_READY, "no pod network");
	test_simple(&call, CALL_GET_STATUS);
	must_run(&call);
	assert_false(call.reply.body.status.agent.ready);
	assert_non_null(strstr(call.reply.body.status.agent.not_ready_reason, "no pod network"));
	test_detach(&call, "web");
	must_run(&call);
}

static void exhaustion_is_told_with_the_numbers(void **state)
{
	struct test_call call;
	char name[16];

	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "pod%d", i);
		test_must_attach(&agent, name);
	}
	test_attach(&call, "more");
	test_must_fail(&agent, &call, CODE_NO_FUNCTION, "8 of 8 in use");
	test_assert_consistent(&agent, true);

	test_agent_destroy(&agent);
	test_agent_init(&agent, 8, "10.88.0.0/29", "fd00:88::/64");
	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "pod%d", i);
		test_must_attach(&agent, name);
	}
	test_attach(&call, "more");
	test_must_fail(&agent, &call, CODE_NO_ADDRESS, "10.88.0.0/29: 5 of 5 in use");
	test_assert_consistent(&agent, true);
	test_simple(&call, CALL_GET_STATUS);
	must_run(&call);
	assert_int_equal(0, call.reply.body.status.agent.ipv4_free);
	assert_int_equal(3, call.reply.body.status.agent.functions -
				    call.reply.body.status.agent.functions_used);
}

static void a_port_that_refuses_leaves_nothing_behind(void **state)
{
	struct test_call call;
	struct attachment a;

	fake_nic.fail_start_in = 1;
	test_attach(&call, "web");
	test_must_fail(&agent, &call, CODE_NIC, "port 0 refuses to start");
	assert_int_equal(0, agent.control->pods->count);
	test_assert_consistent(&agent, true);
	// The next one is not sent to the function that refused.
	a = test_must_attach(&agent, "web");
	assert_int_equal(1, a.function.vf);
	test_agent_restart(&agent);
	assert_int_equal(1, agent.control->pods->count);
	test_assert_consistent(&agent, true);
}

// ---- detach, check ---------------------------------------------------------------------------------

static void a_detach_frees_and_a_repeated_one_succeeds(void **state)
{
	struct test_call call;

	test_must_attach(&agent, "web");
	test_must_attach(&agent, "db");
	test_detach(&call, "db");
	must_run(&call);
	assert_true(call.reply.body.detach.existed);
	assert_int_equal(1, call.reply.body.detach.function.vf);
	assert_false(fake_nic.ports[1].started);
	test_assert_consistent(&agent, true);
	test_detach(&call, "db");
	must_run(&call);
	assert_false(call.reply.body.detach.existed);
}

static void a_released_address_and_function_come_last_also_after_a_restart(void **state)
{
	struct attachment first = test_must_attach(&agent, "web"), a;
	char name[16];

	test_must_attach(&agent, "db");
	test_must_detach(&agent, "db");
	test_must_detach(&agent, "web");
	test_agent_restart(&agent);
	for (int i = 0; i < 6; i++) { // never used: .4 to .9, functions 2 to 7
		snprintf(name, sizeof(name), "pod%d", i);
		a = test_must_attach(&agent, name);
		assert_int_equal(htonl(0x0a580004 + (uint32_t)i), a.ipv4.s_addr);
		assert_int_equal(2 + i, a.function.vf);
	}
	test_agent_restart(&agent);
	assert_int_equal(1, test_must_attach(&agent, "again").function.vf); // db's, released first
	assert_int_equal(first.function.vf, test_must_attach(&agent, "last").function.vf);
	test_assert_consistent(&agent, true);
}

static void check_tells_what_differs(void **state)
{
	struct attachment a = test_must_attach(&agent, "web");
	struct test_call call;

	test_simple(&call, CALL_CHECK);
	call.request.body.check.key = a.key;
	must_run(&call);
	assert_memory_equal(&a, &call.reply.body.check, sizeof(a));
	call.request.body.check.has_expected = true; // of which nothing is told
	must_run(&call);
	call.request.body.check.expected = a;
	must_run(&call);
	call.request.body.check.expected.ipv4.s_addr ^= htonl(1);
	test_must_fail(&agent, &call, CODE_MISMATCH, "ipv4: ");
	call.request.body.check.expected = a;
	call.request.body.check.expected.mac.bytes[5] ^= 1;
	test_must_fail(&agent, &call, CODE_MISMATCH, "mac: ");
	call.request.body.check.expected = a;
	call.request.body.check.expected.ipv6.s6_addr[15] ^= 1;
	test_must_fail(&agent, &call, CODE_MISMATCH, "ipv6: ");
	call.request.body.check.expected = a;
	call.request.body.check.expected.mtu = 1400;
	test_must_fail(&agent, &call, CODE_MISMATCH, "mtu: ");
	strcpy(call.request.body.check.key.container_id, "nobody");
	test_must_fail(&agent, &call, CODE_NOT_FOUND, "podport/nobody/eth0");
}

// ---- batches ---------------------------------------------------------------------------------------

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

// ---- a disk that fails -----------------------------------------------------------------------------

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

// ---- hello -----------------------------------------------------------------------------------------

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

// ---- restart ---------------------------------------------------------------------------------------

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

// ---- looking ---------------------------------------------------------------------------------------

static void lists_come_in_pages_and_in_order(void **state)
{
	struct test_call call;
	char name[16];

	for (int i = 7; i >= 0; i--) {
		snprintf(name, sizeof(name), "pod%d", i);
		test_must_attach(&agent, name);
	}
	test_simple(&call, CALL_LIST);
	for (int page = 0; page < 3; page++) {
		struct list_reply *list = &call.reply.body.list;

		call.request.body.list.limit = 3;
		must_run(&call);
		assert_int_equal(page < 2 ? 3 : 2, list->count);
		assert_int_equal(page < 2, list->more);
		for (size_t i = 0; i < list->count; i++) {
			snprintf(name, sizeof(name), "pod%zu", (size_t)page * 3 + i);
			assert_string_equal(name, list->attachments[i].key.container_id);
		}
		call.request.body.list.has_after = true;
		call.request.body.list.after = list->attachments[list->count - 1].key;
		test_call_clear(&call);
	}
	must_run(&call); // after the last
	assert_int_equal(0, call.reply.body.list.count);
	assert_false(call.reply.body.list.more);
	test_call_clear(&call);
}

static void ports_come_in_pages_with_their_pods_and_drops(void **state)
{
	struct ports_reply *body;
	struct test_call call;
	size_t seen = 0, functions = 0;
	bool more = true;

	test_must_attach(&agent, "web");
	test_simple(&call, CALL_LIST_PORTS);
	body = &call.reply.body.ports;
	while (more) {
		call.request.body.list_ports.limit = 4;
		must_run(&call);
		more = body->more;
		for (size_t i = 0; i < body->count; i++) {
			const struct port_info *port = &body->ports[i];

			if (strcmp(port->kind, "function") == 0) {
				assert_int_equal(functions, port->function.vf);
				assert_int_equal(functions == 0, port->has_key);
				assert_int_equal(functions == 0, port->link_up);
				assert_int_equal(functions == 0 ? 0 : 1, port->drop_count);
				functions++;
			}
			assert_int_equal(port->slot + 1, port->rx_packets);
			call.request.body.list_ports.after = port->slot + 1;
			seen++;
		}
		test_call_clear(&call);
	}
	assert_int_equal(10, seen);
	assert_int_equal(8, functions);
}

static void ipam_counts_what_is_there(void **state)
{
	struct ipam_info *ipv4, *ipv6;
	struct test_call call;
	char text[INET6_ADDRSTRLEN];

	test_must_attach(&agent, "web");
	test_must_attach(&agent, "db");
	test_must_detach(&agent, "web");
	test_simple(&call, CALL_GET_IPAM);
	must_run(&call);
	ipv4 = &call.reply.body.ipam.ipv4;
	ipv6 = &call.reply.body.ipam.ipv6;
	assert_true(ipv4->present && ipv6->present && ipv4->has_next && ipv6->has_next);
	assert_int_equal(253, ipv4->total);
	assert_int_equal(1, ipv4->allocated);
	assert_int_equal(1, ipv4->released);
	assert_int_equal(251, ipv4->never_used);
	assert_int_equal(65536, ipv6->total);
	assert_string_equal("10.88.0.4", inet_ntop(AF_INET, &ipv4->next, text, sizeof(text)));
	assert_string_equal("fd00:88::1", inet_ntop(AF_INET6, &ipv6->gateway, text, sizeof(text)));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_attach_gives_a_pod_all_it_needs),
		TEST(a_repeated_attach_returns_the_same),
		TEST(a_repeated_attach_brings_the_newest_sandbox),
		TEST(an_attach_that_differs_is_a_conflict_that_names_the_field),
		TEST(what_a_pod_asks_for_it_gets),
		TEST(what_no_pod_can_have_is_refused),
		TEST(one_family_is_enough),
		TEST(without_a_pod_network_attach_says_so),
		TEST(exhaustion_is_told_with_the_numbers),
		TEST(a_port_that_refuses_leaves_nothing_behind),
		TEST(a_detach_frees_and_a_repeated_one_succeeds),
		TEST(a_released_address_and_function_come_last_also_after_a_restart),
		TEST(check_tells_what_differs),
		TEST(calls_that_come_together_share_one_commit),
		TEST(calls_for_one_key_keep_their_order),
		TEST(more_calls_than_a_batch_are_all_answered),
		TEST(one_that_fails_does_not_take_the_others_with_it),
		TEST(what_is_late_is_not_begun),
		TEST(a_change_meant_for_the_instance_before_is_refused),
		TEST(with_a_full_disk_nothing_is_half_done),
		TEST(whatever_write_fails_the_agent_stays_consistent),
		TEST(a_release_that_cannot_be_recorded_holds_on_and_is_finished_later),
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
		TEST(lists_come_in_pages_and_in_order),
		TEST(ports_come_in_pages_with_their_pods_and_drops),
		TEST(ipam_counts_what_is_there),
	};

	test_quiet(true);
	fault_vfs_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
