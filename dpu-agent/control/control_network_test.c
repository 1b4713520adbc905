// SPDX-License-Identifier: BSD-3-Clause
//
// A pod network that arrives or changes while the agent runs.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "control/control_private.h"
#include "control/test_agent.h"
#include "pod/fault_vfs.h"

enum { FUNCTIONS = 8 };

static struct test_agent agent;

static int setup(void **state)
{
	fault_vfs_clear();
	test_agent_init(&agent, FUNCTIONS, "10.88.0.0/24", "fd00:88::/64");
	return 0;
}

static int setup_without(void **state)
{
	fault_vfs_clear();
	test_agent_init(&agent, FUNCTIONS, NULL, NULL);
	return 0;
}

static int teardown(void **state)
{
	fault_vfs_clear();
	test_agent_destroy(&agent);
	return 0;
}

// ipv4: "10.99.0.0/24", ipv6 likewise; NULL: none.
static struct test_call set_call(const char *ipv4, const char *ipv6, uint32_t mtu)
{
	struct set_pod_network_request *set;
	struct test_call call;
	char address[64];
	int length;

	test_simple(&call, CALL_SET_POD_NETWORK);
	set = &call.request.body.set_pod_network;
	if (ipv4 != NULL) {
		assert_int_equal(2, sscanf(ipv4, "%63[^/]/%d", address, &length));
		assert_int_equal(1, inet_pton(AF_INET, address, &set->ipv4));
		set->has_ipv4 = true;
		set->ipv4_prefix_length = (uint8_t)length;
	}
	if (ipv6 != NULL) {
		assert_int_equal(2, sscanf(ipv6, "%63[^/]/%d", address, &length));
		assert_int_equal(1, inet_pton(AF_INET6, address, &set->ipv6));
		set->has_ipv6 = true;
		set->ipv6_prefix_length = (uint8_t)length;
	}
	set->mtu = mtu;
	return call;
}

static void must_set(const char *ipv4, const char *ipv6, uint32_t mtu)
{
	struct test_call call = set_call(ipv4, ipv6, mtu);

	// It has moved: the call points into itself.
	call.base.request = &call.request;
	test_must_run(&agent, &call);
}

static void must_refuse(const char *ipv4, const char *ipv6, enum code code, const char *says)
{
	struct test_call call = set_call(ipv4, ipv6, 0);

	call.base.request = &call.request;
	test_must_fail(&agent, &call, code, says);
}

static const struct agent_status *status(void)
{
	static struct test_call call;

	test_simple(&call, CALL_GET_STATUS);
	test_must_run(&agent, &call);
	return &call.reply.body.status.agent;
}

static bool address_is(struct in_addr address, const char *text)
{
	return address.s_addr == inet_addr(text);
}

static void pods_can_be_attached_as_soon_as_the_network_is_known(void **state)
{
	struct test_call call;

	assert_false(status()->ready);
	assert_non_null(strstr(status()->not_ready_reason, "no pod network"));
	test_attach(&call, "web");
	test_must_fail(&agent, &call, CODE_NOT_READY, "no pod network");
	assert_false(fake_nic.ports[FAKE_FUNCTIONS_MAX].started);

	must_set("10.99.0.0/24", NULL, 0);
	assert_true(status()->ready);
	assert_int_equal(1500, status()->pod_network.mtu);
	assert_true(fake_nic.ports[FAKE_FUNCTIONS_MAX].started);
	assert_true(fake_nic.ports[FAKE_FUNCTIONS_MAX + 1].started);
	assert_true(address_is(fake_nic.router.gateway_ipv4, "10.99.0.1"));
	assert_true(address_is(test_must_attach(&agent, "web").ipv4, "10.99.0.2"));
	test_assert_consistent(&agent, true);
}

static void a_network_that_was_set_is_there_after_a_restart(void **state)
{
	must_set("10.99.0.0/24", "fd00:99::/64", 9000);
	test_agent_restart(&agent);
	assert_true(status()->ready);
	assert_int_equal(9000, status()->pod_network.mtu);
	assert_true(address_is(test_must_attach(&agent, "web").ipv4, "10.99.0.2"));
	test_agent_restart(&agent);
	assert_int_equal(1, agent.control->pods->count);
	test_assert_consistent(&agent, true);
}

// Who wins at the next start is who spoke last.
static void a_configuration_that_changes_later_is_stronger_than_what_was_set(void **state)
{
	must_set("10.99.0.0/24", NULL, 0);
	test_agent_restart(&agent); // the configuration still says 10.88.0.0/24
	assert_true(address_is(status()->pod_network.ipv4, "10.99.0.0"));
	assert_int_equal(0, network_parse_ipv4("10.77.0.0/24", &agent.network, NULL));
	test_agent_restart(&agent);
	assert_true(address_is(status()->pod_network.ipv4, "10.77.0.0"));
	// And that is not undone by going back.
	assert_int_equal(0, network_parse_ipv4("10.88.0.0/24", &agent.network, NULL));
	test_agent_restart(&agent);
	assert_true(address_is(status()->pod_network.ipv4, "10.88.0.0"));
}

static void pods_in_the_way_are_named_and_nothing_changes(void **state)
{
	test_must_attach(&agent, "web");
	test_must_attach(&agent, "db");
	must_refuse("10.99.0.0/24", "fd00:88::/64", CODE_CONFLICT,
		    "the pod network 10.99.0.0/24 fd00:88::/64 is not taken: 2 attachments are in "
		    "the way: db/eth0 (has the address 10.88.0.3), web/eth0 (has the address "
		    "10.88.0.2)");
	must_refuse("10.88.0.0/24", NULL, CODE_CONFLICT, "has the address fd00:88::");
	assert_true(address_is(status()->pod_network.ipv4, "10.88.0.0"));
	test_assert_consistent(&agent, true);
	test_agent_restart(&agent);
	test_assert_consistent(&agent, true);
	test_must_detach(&agent, "web");
	test_must_detach(&agent, "db");
	must_set("10.99.0.0/24", NULL, 0);
	assert_false(status()->pod_network.has_ipv6);
	assert_true(address_is(test_must_attach(&agent, "web").ipv4, "10.99.0.2"));
	test_assert_consistent(&agent, true);
}

static void of_other_hosts_pods_in_the_way_only_the_number_is_told(void **state)
{
	struct test_call call;

	test_hello(&call, "north", "boot1");
	test_must_run(&agent, &call);
	test_must_attach(&agent, "web");
	call = set_call("10.99.0.0/24", NULL, 0);
	call.base.request = &call.request;
	strcpy(call.request.host_id, "south");
	test_must_fail(&agent, &call, CODE_CONFLICT, "1 attachments are in the way: all of other");
}

static void a_network_that_grows_around_its_pods_keeps_them_and_the_order_of_releases(void **state)
{
	struct attachment web = test_must_attach(&agent, "web"), again;
	unsigned int starts = fake_nic.ports[web.function.vf].starts;
	uint32_t cursor = LRU_POOL_NONE;
	struct in_addr released;

	test_must_attach(&agent, "a");
	test_must_attach(&agent, "b");
	test_must_detach(&agent, "b"); // 10.88.0.4
	test_must_detach(&agent, "a"); // 10.88.0.3
	for (int round = 0; round < 2; round++) {
		if (round == 0)
			must_set("10.88.0.0/16", "fd00:88::/64", 0);
		else
			test_agent_restart(&agent);
		again = test_must_attach(&agent, "web");
		assert_memory_equal(&web, &again, sizeof(web));
		assert_int_equal(2, agent.control->pods->ipv4.pool.released);
		cursor = LRU_POOL_NONE;
		assert_true(ipam_next_released(&agent.control->pods->ipv4, &cursor, &released));
		assert_true(address_is(released, "10.88.0.4"));
		assert_true(ipam_next_released(&agent.control->pods->ipv4, &cursor, &released));
		assert_true(address_is(released, "10.88.0.3"));
		assert_false(ipam_next_released(&agent.control->pods->ipv4, &cursor, &released));
		if (round == 0)
			assert_int_equal(starts, fake_nic.ports[web.function.vf].starts);
		test_assert_consistent(&agent, true);
	}
	// What the smaller one has not is forgotten; what it has is not.
	must_set("10.88.0.0/30", "fd00:88::/64", 0);
	assert_int_equal(0, agent.control->pods->ipv4.pool.released);
	assert_true(address_is(test_must_attach(&agent, "web").ipv4, "10.88.0.2"));
	test_assert_consistent(&agent, true);
	test_agent_restart(&agent);
	test_assert_consistent(&agent, true);
}

static void what_no_network_can_be_is_refused_by_name(void **state)
{
	must_refuse("10.88.0.1/24", NULL, CODE_BAD_REQUEST, "set_pod_network.ipv4: ");
	must_refuse("127.0.0.0/24", NULL, CODE_BAD_REQUEST, "loopback");
	must_refuse(NULL, "fe80::/64", CODE_BAD_REQUEST, "set_pod_network.ipv6: ");
	assert_true(address_is(status()->pod_network.ipv4, "10.88.0.0"));
}

static void what_cannot_be_recorded_is_not_taken(void **state)
{
	fault_vfs_set(FAULT_WRITE_FULL, 1, true);
	must_refuse("10.99.0.0/24", NULL, CODE_STORE, "is full");
	fault_vfs_clear();
	assert_true(address_is(status()->pod_network.ipv4, "10.88.0.0"));
	assert_true(address_is(fake_nic.router.gateway_ipv4, "10.88.0.1"));
	test_assert_consistent(&agent, true);
	test_agent_restart(&agent);
	assert_true(address_is(status()->pod_network.ipv4, "10.88.0.0"));
}

static void the_same_network_again_costs_nothing(void **state)
{
	unsigned int starts = fake_nic.ports[FAKE_FUNCTIONS_MAX].starts;

	fault_vfs_clear();
	must_set("10.88.0.0/24", "fd00:88::/64", 0);
	assert_int_equal(0, fault_vfs_operations());
	assert_int_equal(starts, fake_nic.ports[FAKE_FUNCTIONS_MAX].starts);
}

static void a_new_mtu_is_that_of_the_uplink_and_of_new_pods(void **state)
{
	struct attachment web = test_must_attach(&agent, "web");
	unsigned int starts = fake_nic.ports[web.function.vf].starts;

	must_set("10.88.0.0/24", "fd00:88::/64", 9000);
	assert_int_equal(9000, fake_nic.ports[FAKE_FUNCTIONS_MAX].config.mtu);
	assert_int_equal(9000, fake_nic.ports[FAKE_FUNCTIONS_MAX + 1].config.mtu);
	assert_int_equal(9000, test_must_attach(&agent, "db").mtu);
	// The pod that was there has seen nothing of it.
	assert_int_equal(1500, test_must_attach(&agent, "web").mtu);
	assert_int_equal(starts, fake_nic.ports[web.function.vf].starts);
	test_assert_consistent(&agent, true);
}

int main(void)
{
#define TEST(name)    cmocka_unit_test_setup_teardown(name, setup, teardown)
#define WITHOUT(name) cmocka_unit_test_setup_teardown(name, setup_without, teardown)
	const struct CMUnitTest tests[] = {
		WITHOUT(pods_can_be_attached_as_soon_as_the_network_is_known),
		WITHOUT(a_network_that_was_set_is_there_after_a_restart),
		TEST(a_configuration_that_changes_later_is_stronger_than_what_was_set),
		TEST(pods_in_the_way_are_named_and_nothing_changes),
		TEST(of_other_hosts_pods_in_the_way_only_the_number_is_told),
		TEST(a_network_that_grows_around_its_pods_keeps_them_and_the_order_of_releases),
		TEST(what_no_network_can_be_is_refused_by_name),
		TEST(what_cannot_be_recorded_is_not_taken),
		TEST(the_same_network_again_costs_nothing),
		TEST(a_new_mtu_is_that_of_the_uplink_and_of_new_pods),
	};

	test_quiet(true);
	fault_vfs_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
