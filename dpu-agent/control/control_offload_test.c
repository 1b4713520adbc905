// SPDX-License-Identifier: BSD-3-Clause
//
// Offload as control asks for it: when, for whom, and what an operator is told.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/control_private.h"
#include "control/fake_connections.h"
#include "control/test_agent.h"
#include "pod/fault_vfs.h"

enum { FUNCTIONS = 8, POD_RULES = 2 * FAKE_POD_RULES };

static struct test_agent agent;

static int setup(void **state)
{
	fault_vfs_clear();
	test_agent_init(&agent, FUNCTIONS, "10.88.0.0/24", "fd00:88::/64");
	return 0;
}

static int teardown(void **state)
{
	fault_vfs_clear();
	test_agent_destroy(&agent);
	return 0;
}

// ---- rules come and go --------------------------------------------------------------------------

static size_t offloaded_at_answer; // pods that had their rules when the last call was answered

static void look_at_answer(const struct test_call *call)
{
	offloaded_at_answer = fake_offload_pod_count();
}

static void a_batch_of_attaches_is_offloaded_at_once_before_anybody_is_answered(void **state)
{
	struct test_call calls[5];
	char name[16];

	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "pod%d", i);
		test_attach(&calls[i], name);
	}
	offloaded_at_answer = 0;
	test_on_answer = look_at_answer;
	test_run(&agent, calls, 1);
	assert_int_equal(1, offloaded_at_answer);
	test_run(&agent, calls + 1, 4);
	test_on_answer = NULL;
	assert_int_equal(5, offloaded_at_answer);
	assert_int_equal(2, fake_offload.adds); // a call each time, for one and for four
	assert_int_equal(4, fake_offload.last_add);
	assert_memory_equal(&agent.network.common.router_mac, &fake_offload.router.mac, 6);
	assert_int_equal(1500, fake_offload.router.mtu);
	test_assert_consistent(&agent, true);
}

// It has the gateway's addresses, and is heard of some time after its port has started, if ever.
static void the_host_is_offloaded_as_a_pod_when_it_is_heard(void **state)
{
	const struct pod_network *network = &agent.network.common;
	const struct fake_offload_slot *host = &fake_offload.slots[FAKE_FUNCTIONS_MAX];

	control_neighbours_changed(agent.control);
	control_retry(agent.control);
	assert_false(host->present);
	fake_connections.host_heard = true;
	control_neighbours_changed(agent.control);
	assert_true(host->present);
	assert_memory_equal(&host->pod.mac, &fake_connections.host_mac, 6);
	assert_int_equal(host->pod.mtu, 1500);
	assert_true(host->pod.has_ipv4 && host->pod.has_ipv6 && host->pod.published_count == 0);
	assert_int_equal(host->pod.ipv4.s_addr, network->gateway_ipv4.s_addr);
	assert_memory_equal(&host->pod.ipv6, &network->gateway_ipv6, 16);
	const unsigned int adds = fake_offload.adds;
	control_neighbours_changed(agent.control);
	control_retry(agent.control);
	assert_int_equal(fake_offload.adds, adds);
	// A restarted agent knows nothing of it.
	fake_connections.host_heard = false;
	test_agent_restart(&agent);
	assert_false(host->present);
	fake_connections.host_heard = true; // where nobody rings, it is found a little later
	control_retry(agent.control);
	assert_true(host->present);
	test_assert_consistent(&agent, true);
}

static void move_host(void)
{
	fake_connections.host_mac.bytes[5]++;
	control_neighbours_changed(agent.control);
}

static void wait_for_host_rules(void)
{
	for (unsigned int i = 0; i < 1000 && fake_offload.slots[FAKE_FUNCTIONS_MAX].rules == 0;
	     i++) {
		usleep(10000);
		control_retry(agent.control);
	}
	assert_int_equal(fake_offload.slots[FAKE_FUNCTIONS_MAX].rules, 2 * FAKE_POD_RULES);
}

static void a_host_at_another_address_is_followed_at_once(void **state)
{
	const struct fake_offload_slot *host = &fake_offload.slots[FAKE_FUNCTIONS_MAX];

	fake_connections.host_heard = true;
	control_neighbours_changed(agent.control);
	usleep(1100000);
	move_host();
	assert_memory_equal(&host->pod.mac, &fake_connections.host_mac, 6);
	assert_int_equal(host->rules, 2 * FAKE_POD_RULES);
	assert_int_equal(fake_connections.host_asked, 2); // since it may have been somebody else
}

// Or packets to it went where it no longer is, until it is looked at the next time. Nor has anybody the NIC changed a thousand
// times a second.
static void a_host_at_several_addresses_in_turn_has_no_rules(void **state)
{
	const struct fake_offload_slot *host = &fake_offload.slots[FAKE_FUNCTIONS_MAX];
	const int64_t start_ms = control_now_ms();

	fake_connections.host_heard = true;
	control_neighbours_changed(agent.control);
	const unsigned int adds = fake_offload.adds;
	for (unsigned int i = 0; i < 100; i++) {
		move_host();
		control_retry(agent.control);
		if (control_now_ms() - start_ms >= 500)
			return; // the machine is too slow to tell
		assert_int_equal(host->rules, 0);
	}
	assert_int_equal(fake_offload.adds, adds);
	wait_for_host_rules();
	assert_memory_equal(&host->pod.mac, &fake_connections.host_mac, 6);
	assert_int_equal(fake_offload.adds, adds + 1);
}

// The pod has its network all the same.
static void check_does_not_mind_what_the_nic_did_not_take(void **state)
{
	struct test_call call;

	fake_offload.rules_max = 1;
	test_must_attach(&agent, "web");
	test_simple(&call, CALL_RECONCILE);
	test_must_run(&agent, &call);
	assert_true(call.reply.body.reconcile.rules_missing > 0);
	test_simple(&call, CALL_CHECK);
	strcpy(call.request.body.check.key.network, "podport");
	strcpy(call.request.body.check.key.container_id, "web");
	strcpy(call.request.body.check.key.ifname, "eth0");
	test_must_run(&agent, &call);
	fake_offload.rules_max = 0;
	control_retry(agent.control);
	test_assert_consistent(&agent, true);
}

static void a_restart_offloads_all_pods_in_one_call(void **state)
{
	char name[16];

	for (int i = 0; i < FUNCTIONS; i++) {
		snprintf(name, sizeof(name), "pod%d", i);
		test_must_attach(&agent, name);
	}
	test_agent_restart(&agent);
	assert_int_equal(1, fake_offload.adds);
	assert_int_equal(FUNCTIONS, fake_offload.last_add);
	test_assert_consistent(&agent, true);
}

static void a_detached_pod_has_no_rules_and_the_next_one_begins_at_zero(void **state)
{
	struct attachment a = test_must_attach(&agent, "web");
	struct fake_offload_slot *slot = &fake_offload.slots[a.function.vf];

	slot->rx_packets = 7;
	test_must_detach(&agent, "web"); // fake_offload sees that the rules go before the port
	assert_false(slot->present);
	assert_int_equal(0, fake_offload.rules);
	test_assert_consistent(&agent, true);
	assert_int_equal(0, slot->rx_packets);
}

static void pods_of_an_older_boot_lose_their_rules(void **state)
{
	struct test_call call;

	test_hello(&call, "host", "boot1");
	test_must_run(&agent, &call);
	test_must_attach(&agent, "web");
	test_hello(&call, "host", "boot2");
	test_must_run(&agent, &call);
	assert_int_equal(0, fake_offload_pod_count());
	test_assert_consistent(&agent, true);
}

static void a_port_that_starts_at_last_is_offloaded_then(void **state)
{
	test_must_attach(&agent, "web");
	test_must_attach(&agent, "db");
	test_agent_stop(&agent);
	fake_nic_reset(FUNCTIONS);
	fake_nic.fail_start_in = 3; // uplink, host, the first pod
	test_agent_start(&agent);
	assert_int_equal(1, fake_offload.last_add);
	test_assert_consistent(&agent, false);
	control_retry(agent.control);
	assert_int_equal(2, fake_offload.adds);
	assert_int_equal(2, fake_offload_pod_count());
	test_assert_consistent(&agent, true);
	control_retry(agent.control);
	assert_int_equal(2, fake_offload.adds);
}

static void a_repeated_attach_that_starts_the_port_offloads_it(void **state)
{
	test_must_attach(&agent, "web");
	test_agent_stop(&agent);
	fake_nic_reset(FUNCTIONS);
	fake_nic.fail_start_in = 3;
	test_agent_start(&agent);
	assert_int_equal(0, fake_offload_pod_count());
	test_must_attach(&agent, "web");
	assert_int_equal(1, fake_offload_pod_count());
	test_must_attach(&agent, "web"); // and once more is nothing
	assert_int_equal(1, fake_offload.adds);
	test_assert_consistent(&agent, true);
}

static void an_uplink_that_starts_at_last_offloads_all_pods(void **state)
{
	struct test_call call;

	test_must_attach(&agent, "web");
	test_agent_stop(&agent);
	fake_nic_reset(FUNCTIONS);
	fake_nic.fail_start_in = 1;
	test_agent_start(&agent);
	test_must_attach(&agent, "db");
	assert_int_equal(0, fake_offload.adds);
	assert_int_equal(0, fake_offload.retries);

	// Meanwhile everything works, and says what it is.
	test_simple(&call, CALL_GET_OFFLOAD);
	test_must_run(&agent, &call);
	assert_string_equal("the uplink port is not started",
			    call.reply.body.offload.summary.why_not);
	test_call_clear(&call);
	test_simple(&call, CALL_LIST_FLOWS);
	test_must_run(&agent, &call);
	assert_int_equal(0, call.reply.body.flows.count);
	test_call_clear(&call);

	control_retry(agent.control);
	assert_int_equal(1, fake_offload.adds);
	assert_int_equal(2, fake_offload.last_add);
	test_assert_consistent(&agent, true);
}

// ---- what the operator is told ------------------------------------------------------------------

// Of the list's item `index`: "full", "partial (table?full)".
static const char *listed(size_t index)
{
	static char text[LIMIT_ID + LIMIT_TEXT + 4];
	struct test_call call;

	test_simple(&call, CALL_LIST);
	test_must_run(&agent, &call);
	const struct list_item *item = &call.reply.body.list.items[index];
	assert_true(index < call.reply.body.list.count && item->has_offload);
	snprintf(text, sizeof(text), item->offload.reason[0] != '\0' ? "%s (%s)" : "%s%s",
		 item->offload.state, item->offload.reason);
	test_call_clear(&call);
	return text;
}

static const char *notice(void)
{
	static char text[LIMIT_TEXT + 1];

	control_notice(agent.control, text);
	return text;
}

static void a_full_table_fails_nobody_and_is_told_until_there_is_room(void **state)
{
	struct test_call call;

	fake_offload.rules_max = POD_RULES + 2;
	test_must_attach(&agent, "a");
	assert_string_equal("", notice());
	test_must_attach(&agent, "b");
	test_must_attach(&agent, "c");
	assert_string_equal("full", listed(0));
	assert_string_equal("partial (table?full)", listed(1));
	assert_string_equal("none (table?full)", listed(2));
	assert_string_equal("offload: 10 rules are missing: table full", notice());

	test_simple(&call, CALL_GET_STATUS);
	test_must_run(&agent, &call);
	const struct offload_info *info = &call.reply.body.status.agent.offload;
	assert_true(call.reply.body.status.agent.has_offload && info->enabled && info->usable);
	assert_int_equal(10, info->rules_missing);
	assert_int_equal(FAKE_SHARED_RULES + POD_RULES + 2, info->rules);
	assert_string_equal("table full", info->missing_reason);
	assert_string_equal("synchronous", info->api);
	assert_true(info->pods_full == 1 && info->pods_partial == 1 && info->pods_none == 1);
	assert_true(info->failed == 10 && info->inserted == info->rules);

	fake_offload.rules_max = 0;
	control_retry(agent.control);
	assert_string_equal("full", listed(2));
	assert_string_equal("", notice());

	struct control_counts counts;
	control_retry(agent.control); // nothing is missing any more
	control_read_counts(agent.control, &counts);
	assert_int_equal(1, counts.offload_retries);
}

static void a_nic_that_cannot_is_told_and_one_that_need_not_is_not(void **state)
{
	test_must_attach(&agent, "web");
	fake_offload.unusable = true;
	test_agent_restart(&agent);
	assert_string_equal("off", listed(0));
	assert_string_equal("offload: the NIC forwards nothing by itself: no e-switch", notice());
	fake_offload.unusable = false;
	fake_offload.disabled = true;
	test_agent_restart(&agent);
	assert_string_equal("off", listed(0));
	assert_string_equal("", notice());
}

static void a_port_counts_what_went_by_either_path(void **state)
{
	struct attachment a = test_must_attach(&agent, "web");
	struct test_call call;

	fake_offload.slots[a.function.vf].rx_packets = 1000;
	fake_offload.slots[a.function.vf].tx_packets = 3000;
	test_simple(&call, CALL_LIST_PORTS);
	test_must_run(&agent, &call);
	const struct port_info *port = &call.reply.body.ports.ports[0];
	assert_int_equal(1000 + port->slot + 1, port->rx_packets); // fake_nic's graph: slot + 1
	assert_int_equal(100000, port->rx_bytes);
	assert_int_equal(3000, port->tx_packets);
	assert_int_equal(300000, port->tx_bytes);
	assert_int_equal(1000, port->offloaded_rx_packets);
	assert_int_equal(100000, port->offloaded_rx_bytes);
	assert_int_equal(3000, port->offloaded_tx_packets);
	assert_int_equal(300000, port->offloaded_tx_bytes);
	assert_int_equal(0, call.reply.body.ports.ports[1].offloaded_rx_packets);
	test_call_clear(&call);
}

static void rules_come_in_pages_with_the_pods_they_serve(void **state)
{
	struct test_call call;
	size_t seen = 0, shared = 0, of_db = 0;
	bool more = true;

	test_must_attach(&agent, "web");
	test_must_attach(&agent, "db");
	fake_offload.slots[1].rx_packets = 5;
	test_simple(&call, CALL_LIST_FLOWS);
	call.request.body.list_flows.limit = POD_RULES - 1;
	for (unsigned int pages = 1; more; pages++) {
		struct flows_reply *page = &call.reply.body.flows;

		test_must_run(&agent, &call);
		more = page->more;
		assert_int_equal(pages < 3, more);
		for (size_t i = 0; i < page->count; i++) {
			const struct flow_info *flow = &page->flows[i];

			assert_true(flow->id > call.request.body.list_flows.after);
			call.request.body.list_flows.after = flow->id;
			assert_int_equal(flow->has_function, flow->has_key);
			seen++;
			shared += !flow->has_key;
			if (!flow->has_key || strcmp(flow->key.container_id, "db") != 0)
				continue;
			of_db++;
			assert_int_equal(1, flow->function.vf);
			assert_string_equal("from slot 1", flow->match);
			assert_string_equal("count, jump 3", flow->actions);
			assert_true(flow->counted && flow->packets == 5 && flow->bytes == 500);
			assert_int_equal(5000, flow->age_ms);
			assert_true(flow->group == 2 && flow->priority == 1);
		}
		test_call_clear(&call);
	}
	assert_int_equal(FAKE_SHARED_RULES + 2 * POD_RULES, seen);
	assert_int_equal(FAKE_SHARED_RULES, shared);
	assert_int_equal(POD_RULES, of_db);
}

static void a_page_that_ends_with_the_last_rule_says_that_there_is_no_more(void **state)
{
	struct test_call call;

	test_must_attach(&agent, "web");
	test_simple(&call, CALL_LIST_FLOWS);
	call.request.body.list_flows.limit = FAKE_SHARED_RULES + POD_RULES;
	test_must_run(&agent, &call);
	assert_int_equal(FAKE_SHARED_RULES + POD_RULES, call.reply.body.flows.count);
	assert_false(call.reply.body.flows.more);
	test_call_clear(&call);
}

static void what_the_nic_can_do_is_told_in_words_that_can_be_printed(void **state)
{
	struct test_call call;

	test_simple(&call, CALL_GET_OFFLOAD);
	test_must_run(&agent, &call);
	const struct offload_reply *offload = &call.reply.body.offload;
	assert_int_equal(2, offload->count);
	assert_string_equal("match IPv4 destination", offload->capabilities[0].name);
	assert_true(offload->capabilities[0].supported && offload->capabilities[0].needed);
	assert_false(offload->capabilities[1].supported);
	assert_string_equal("not?supported", offload->capabilities[1].remark);
	test_call_clear(&call);
}

static void check_tells_of_rules_that_the_nic_has_lost_and_has_them_made_again(void **state)
{
	struct attachment a = test_must_attach(&agent, "web");
	struct test_call call;

	test_simple(&call, CALL_CHECK);
	call.request.body.check.key = a.key;
	test_must_run(&agent, &call);
	fake_offload.slots[a.function.vf].lost = true;
	test_must_fail(&agent, &call, CODE_MISMATCH, "rules: the NIC has?forgotten them");
	control_retry(agent.control);
	test_must_run(&agent, &call);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_batch_of_attaches_is_offloaded_at_once_before_anybody_is_answered),
		TEST(the_host_is_offloaded_as_a_pod_when_it_is_heard),
		TEST(a_host_at_another_address_is_followed_at_once),
		TEST(a_host_at_several_addresses_in_turn_has_no_rules),
		TEST(check_does_not_mind_what_the_nic_did_not_take),
		TEST(check_tells_of_rules_that_the_nic_has_lost_and_has_them_made_again),
		TEST(a_restart_offloads_all_pods_in_one_call),
		TEST(a_detached_pod_has_no_rules_and_the_next_one_begins_at_zero),
		TEST(pods_of_an_older_boot_lose_their_rules),
		TEST(a_port_that_starts_at_last_is_offloaded_then),
		TEST(a_repeated_attach_that_starts_the_port_offloads_it),
		TEST(an_uplink_that_starts_at_last_offloads_all_pods),
		TEST(a_full_table_fails_nobody_and_is_told_until_there_is_room),
		TEST(a_nic_that_cannot_is_told_and_one_that_need_not_is_not),
		TEST(a_port_counts_what_went_by_either_path),
		TEST(rules_come_in_pages_with_the_pods_they_serve),
		TEST(a_page_that_ends_with_the_last_rule_says_that_there_is_no_more),
		TEST(what_the_nic_can_do_is_told_in_words_that_can_be_printed),
	};

	test_quiet(true);
	fault_vfs_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
