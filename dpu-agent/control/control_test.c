// SPDX-License-Identifier: BSD-3-Clause
//
// The calls of one attachment, and those that look: what each does.

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

// ---- attach -------------------------------------------------------------------------------------

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
	assert_true(call.reply.repeated);
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
	assert_true(call.reply.repeated);
	assert_string_equal("/run/netns/moved", call.reply.body.attach.sandbox.path);
	test_assert_consistent(&agent, true);
	test_agent_restart(&agent);
	test_attach(&call, "web");
	call.request.body.attach.sandbox = (struct sandbox){0}; // not known: keeps what is
	must_run(&call);
	assert_string_equal("/run/netns/moved", call.reply.body.attach.sandbox.path);
	assert_string_equal("web-0", call.reply.body.attach.pod.name);
	// Another netns at the same path, to which the kernel gave the same inode.
	test_attach(&call, "web");
	strcpy(call.request.body.attach.sandbox.path, "/run/netns/moved");
	call.request.body.attach.sandbox.cookie = 17;
	must_run(&call);
	assert_int_equal(17, call.reply.body.attach.sandbox.cookie);
	test_agent_restart(&agent);
	// And to a hostd, or a kernel, that knows no cookies: the recorded one may be another's by now.
	call.request.body.attach.sandbox.cookie = 0;
	must_run(&call);
	assert_true(call.reply.repeated);
	assert_int_equal(0, call.reply.body.attach.sandbox.cookie);
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

static void a_limit_is_the_ports_and_the_attachments_for_its_life(void **state)
{
	const struct bandwidth asked = {.egress_rate_bps = 8000000, .egress_burst_bits = 800000};
	struct test_call call;

	for (int round = 0; round < 2; round++) {
		test_attach(&call, "web");
		call.request.body.attach.bandwidth = asked;
		must_run(&call);
		assert_true(bandwidth_equal(&asked, &call.reply.body.attach.bandwidth));
		assert_int_equal(1000000,
				 fake_nic.ports[0].config.limits[BANDWIDTH_EGRESS].bytes_per_s);
		assert_int_equal(100000,
				 fake_nic.ports[0].config.limits[BANDWIDTH_EGRESS].burst_bytes);
		assert_int_equal(0, fake_nic.ports[0].config.limits[BANDWIDTH_INGRESS].bytes_per_s);
		test_simple(&call, CALL_LIST_PORTS);
		must_run(&call);
		for (size_t i = 0; i < call.reply.body.ports.count; i++) {
			const struct port_info *port = &call.reply.body.ports.ports[i];

			assert_int_equal(port->has_key ? 8000000 : 0, port->egress.rate_bps);
			assert_int_equal(port->has_key ? 800000 : 0, port->egress.burst_bits);
			assert_int_equal(0, port->ingress.rate_bps);
		}
		test_call_clear(&call);
		// Who does not say fits any; who says another does not.
		test_must_attach(&agent, "web");
		test_attach(&call, "web");
		call.request.body.attach.bandwidth = asked;
		call.request.body.attach.bandwidth.egress_burst_bits++;
		test_must_fail(&agent, &call, CODE_CONFLICT,
			       "bandwidth: the attachment podport/web/eth0 exists and differs: it "
			       "has 0 bit/s ingress and 8000000 bit/s egress");
		test_agent_restart(&agent);
	}
	test_assert_consistent(&agent, true);
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

// ---- detach, check ------------------------------------------------------------------------------

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
	call.request.body.check.expected.mtu = 9000;
	test_must_fail(&agent, &call, CODE_MISMATCH, "mtu: ");
	strcpy(call.request.body.check.key.container_id, "nobody");
	test_must_fail(&agent, &call, CODE_NOT_FOUND, "podport/nobody/eth0");
}

// ---- looking ------------------------------------------------------------------------------------

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
			assert_string_equal(name, list->items[i].attachment.key.container_id);
		}
		call.request.body.list.has_after = true;
		call.request.body.list.after = list->items[list->count - 1].attachment.key;
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

static void drops_in_all_are_never_fewer_than_before(void **state)
{
	struct control_counts before, after;

	control_read_counts(agent.control, &before);
	// fake_nic: as many as the slot's number, until they are cleared.
	assert_int_equal(0 + 1 + 2 + 3 + 4 + 5 + 6 + 7 + 1000 + 1001, before.drops[1]);
	test_must_attach(&agent, "web");
	test_must_attach(&agent, "db");
	assert_int_equal(1, fake_nic.ports[1].clears);
	control_read_counts(agent.control, &after);
	assert_memory_equal(&before, &after, sizeof(before));
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
		TEST(a_limit_is_the_ports_and_the_attachments_for_its_life),
		TEST(one_family_is_enough),
		TEST(without_a_pod_network_attach_says_so),
		TEST(exhaustion_is_told_with_the_numbers),
		TEST(a_port_that_refuses_leaves_nothing_behind),
		TEST(a_detach_frees_and_a_repeated_one_succeeds),
		TEST(a_released_address_and_function_come_last_also_after_a_restart),
		TEST(check_tells_what_differs),
		TEST(lists_come_in_pages_and_in_order),
		TEST(ports_come_in_pages_with_their_pods_and_drops),
		TEST(drops_in_all_are_never_fewer_than_before),
		TEST(ipam_counts_what_is_there),
	};

	test_quiet(true);
	fault_vfs_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
