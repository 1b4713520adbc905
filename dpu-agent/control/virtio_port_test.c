// SPDX-License-Identifier: BSD-3-Clause
//
// Pods that ask for a virtio-user port: what they get, what is refused, and what follows when its netdev ends.

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

static struct test_agent agent;

static int set_up(void **state)
{
	test_agent_init(&agent, 2, "10.88.0.0/24", "fd00:88::/64");
	agent.vhosts = 2;
	agent.virtios = FAKE_VIRTIOS_MAX;
	test_agent_restart(&agent);
	return 0;
}

static int tear_down(void **state)
{
	test_agent_destroy(&agent);
	return 0;
}

static void ask_for(struct test_call *call, const char *container_id, enum port_choice port)
{
	test_attach(call, container_id);
	call->request.body.attach.port = port;
}

static struct attachment attach(const char *container_id, enum port_choice port)
{
	struct test_call call;
	struct attachment attachment;

	ask_for(&call, container_id, port);
	test_must_run(&agent, &call);
	attachment = call.reply.body.attach;
	test_call_clear(&call);
	return attachment;
}

// The fake port whose netdev is that pod's; NULL: none.
static struct fake_port *port_of(const struct attachment *attachment)
{
	for (size_t i = FAKE_VIRTIO; i < FAKE_VIRTIO + FAKE_VIRTIOS_MAX; i++)
		if (fake_nic.ports[i].started &&
		    mac_equal(&fake_nic.ports[i].config.mac, &attachment->mac))
			return &fake_nic.ports[i];
	return NULL;
}

static void check(const struct attachment *attachment, enum code code)
{
	struct test_call call;

	test_simple(&call, CALL_CHECK);
	call.request.body.check.key = attachment->key;
	test_run(&agent, &call, 1);
	assert_int_equal(code, call.reply.code);
	test_call_clear(&call);
}

static void it_takes_neither_function_nor_socket(void **state)
{
	struct attachment one = attach("one", PORT_CHOICE_VIRTIO_USER);
	struct attachment two = attach("two", PORT_CHOICE_VHOST_USER);

	assert_int_equal(PORT_CHOICE_VIRTIO_USER, one.port);
	assert_string_equal("", one.socket_path);
	assert_non_null(port_of(&one));
	assert_null(port_of(&two));
	test_must_attach(&agent, "three");
	test_must_attach(&agent, "four");
	attach("five", PORT_CHOICE_VHOST_USER);
	test_assert_consistent(&agent, true);
	test_must_detach(&agent, "one");
	assert_null(port_of(&one));
	test_assert_consistent(&agent, true);
}

static void without_vhost_net_it_is_refused_and_nothing_is_held(void **state)
{
	struct test_call call;

	fake_nic.no_vhost_net = true;
	ask_for(&call, "one", PORT_CHOICE_VIRTIO_USER);
	test_must_fail(&agent, &call, CODE_UNSUPPORTED,
		       "port_kind: cannot open /dev/vhost-net: modprobe vhost_net");
	test_assert_consistent(&agent, true);
	assert_int_equal(0, agent.control->pods->count);
	// Others do not need it.
	test_must_attach(&agent, "two");
	attach("three", PORT_CHOICE_VHOST_USER);
}

static void status_says_how_many_there_are_and_what_is_in_the_way(void **state)
{
	const struct agent_status *status;
	struct test_call call;

	attach("one", PORT_CHOICE_VIRTIO_USER);
	for (int round = 0; round < 2; round++) {
		fake_nic.no_vhost_net = round == 1;
		test_simple(&call, CALL_GET_STATUS);
		test_must_run(&agent, &call);
		status = &call.reply.body.status.agent;
		assert_int_equal(FAKE_VIRTIOS_MAX, status->virtio_ports);
		assert_int_equal(1, status->virtio_ports_used);
		assert_int_equal(0, status->vhost_ports_used);
		assert_string_equal(round == 0 ? ""
					       : "cannot open /dev/vhost-net: modprobe vhost_net",
				    status->virtio_error);
		test_call_clear(&call);
	}
}

static void beyond_those_that_there_are_it_is_refused_with_the_key(void **state)
{
	struct test_call call;
	char name[16];

	for (unsigned int i = 0; i < FAKE_VIRTIOS_MAX; i++) {
		snprintf(name, sizeof(name), "pod%u", i);
		attach(name, PORT_CHOICE_VIRTIO_USER);
	}
	ask_for(&call, "more", PORT_CHOICE_VIRTIO_USER);
	test_must_fail(&agent, &call, CODE_NO_FUNCTION,
		       "no virtio-user port is left: 4 of 4 in use (virtio_user.ports)");
	test_must_detach(&agent, "pod2");
	attach("more", PORT_CHOICE_VIRTIO_USER);
	test_assert_consistent(&agent, true);

	agent.virtios = 0;
	test_agent_restart(&agent);
	ask_for(&call, "none", PORT_CHOICE_VIRTIO_USER);
	test_must_fail(&agent, &call, CODE_UNSUPPORTED,
		       "no virtio-user ports; virtio_user.ports of its configuration");
	agent.virtios = FAKE_VIRTIOS_MAX;
	test_agent_restart(&agent);
	test_assert_consistent(&agent, true);
}

static void a_restart_makes_it_again_under_the_same_name(void **state)
{
	struct attachment one = attach("one", PORT_CHOICE_VIRTIO_USER);
	struct attachment two = attach("two", PORT_CHOICE_VHOST_USER);
	struct attachment again;

	test_agent_restart(&agent);
	test_assert_consistent(&agent, true);
	assert_non_null(port_of(&one)); // the name is the MAC address
	again = attach("one", PORT_CHOICE_VIRTIO_USER);
	assert_memory_equal(&one, &again, sizeof(one));
	again = attach("two", PORT_CHOICE_VHOST_USER);
	assert_memory_equal(&two, &again, sizeof(two));
}

// Its netdev went with the sandbox it was in. The pod may come again in another one.
static void one_whose_netdev_has_ended_is_made_anew(void **state)
{
	struct attachment one = attach("one", PORT_CHOICE_VIRTIO_USER);
	struct attachment two = attach("two", PORT_CHOICE_VIRTIO_USER);
	struct fake_port *port = port_of(&one), *other = port_of(&two);

	port->lost = true;
	control_retry(agent.control);
	assert_true(port->started);
	assert_int_equal(2, port->starts);
	assert_int_equal(1, port->stops);
	assert_int_equal(1, other->starts);
	check(&one, CODE_OK);
	test_assert_consistent(&agent, true);
}

static void while_it_cannot_be_made_anew_check_says_so(void **state)
{
	struct attachment one = attach("one", PORT_CHOICE_VIRTIO_USER);
	struct fake_port *port = port_of(&one);

	port->lost = true;
	fake_nic.fail_all_starts = true;
	control_retry(agent.control);
	assert_false(port->started);
	check(&one, CODE_MISMATCH);
	fake_nic.fail_all_starts = false;
	control_retry(agent.control);
	assert_true(port->started);
	check(&one, CODE_OK);
}

static void a_repeated_attach_does_not_answer_with_a_netdev_that_has_ended(void **state)
{
	struct attachment one = attach("one", PORT_CHOICE_VIRTIO_USER);
	struct fake_port *port = port_of(&one);

	port->lost = true;
	attach("one", PORT_CHOICE_VIRTIO_USER);
	assert_true(port->started && !port->lost);
	assert_int_equal(2, port->starts);
	test_assert_consistent(&agent, true);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(it_takes_neither_function_nor_socket),
		TEST(without_vhost_net_it_is_refused_and_nothing_is_held),
		TEST(status_says_how_many_there_are_and_what_is_in_the_way),
		TEST(beyond_those_that_there_are_it_is_refused_with_the_key),
		TEST(a_restart_makes_it_again_under_the_same_name),
		TEST(one_whose_netdev_has_ended_is_made_anew),
		TEST(while_it_cannot_be_made_anew_check_says_so),
		TEST(a_repeated_attach_does_not_answer_with_a_netdev_that_has_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
