// SPDX-License-Identifier: BSD-3-Clause
//
// Thousands of random calls, restarts, refusing ports and failing disks against the plainest model
// of what should be there: a table of who has what, and three lists in the order of release.
//
//     model_test [SEED [STEPS]]

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

enum {
	FUNCTIONS = 12,
	IPV4_COUNT = 13, // 10.88.0.0/28
	IPV6_COUNT = 14, // fd00:88::/124
	NAMES = 18,
	CONSISTENCY_STEP = 7,
};

struct list {
	uint32_t numbers[16];
	size_t count;
};

struct model {
	struct {
		bool attached;
		struct attachment attachment;
	} pods[NAMES];
	struct list functions, ipv4, ipv6; // free, next first
};

static struct test_agent agent;
static struct model model;
static unsigned int seed = 20261123;
static unsigned int steps = 6000;

static unsigned int pick(unsigned int below)
{
	return (unsigned int)rand_r(&seed) % below;
}

static void list_fill(struct list *list, size_t count)
{
	list->count = count;
	for (uint32_t i = 0; i < count; i++)
		list->numbers[i] = i;
}

static void list_remove(struct list *list, uint32_t number)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->numbers[i] == number) {
			list->count--;
			memmove(&list->numbers[i], &list->numbers[i + 1],
				(list->count - i) * sizeof(list->numbers[0]));
			return;
		}
	}
	fail_msg("%u is not free", number);
}

static void list_append(struct list *list, uint32_t number)
{
	list->numbers[list->count++] = number;
}

static bool list_has(const struct list *list, uint32_t number)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->numbers[i] == number)
			return true;
	return false;
}

static uint32_t ipv4_number(const struct attachment *a)
{
	return ntohl(a->ipv4.s_addr) - 0x0a580002;
}

static uint32_t ipv6_number(const struct attachment *a)
{
	return a->ipv6.s6_addr[15] - 2u;
}

// ---- what each call does to the model --------------------------------------------------------------

static void model_take(unsigned int name, const struct attachment *a)
{
	model.pods[name].attached = true;
	model.pods[name].attachment = *a;
	list_remove(&model.functions, a->function.vf);
	list_remove(&model.ipv4, ipv4_number(a));
	list_remove(&model.ipv6, ipv6_number(a));
}

static void model_give_back(unsigned int name)
{
	const struct attachment *a = &model.pods[name].attachment;

	model.pods[name].attached = false;
	list_append(&model.functions, a->function.vf);
	list_append(&model.ipv4, ipv4_number(a));
	list_append(&model.ipv6, ipv6_number(a));
}

static void name_text(unsigned int name, char ret_text[16])
{
	snprintf(ret_text, 16, "pod%u", name);
}

static void expect_attach(unsigned int name, const struct test_call *call, uint32_t ipv4,
			  bool ipv4_free)
{
	const struct attach_request *wanted = &call->request.body.attach;
	const struct attachment *a = &call->reply.body.attach;

	if (model.pods[name].attached) {
		const struct attachment *have = &model.pods[name].attachment;

		if (wanted->wants_ipv4 && ipv4_number(have) != ipv4) {
			assert_int_equal(CODE_CONFLICT, call->reply.code);
			return;
		}
		assert_int_equal(CODE_OK, call->reply.code);
		assert_memory_equal(have, a, sizeof(*a));
		return;
	}
	if (wanted->wants_ipv4 && !ipv4_free) {
		assert_int_equal(CODE_CONFLICT, call->reply.code);
		return;
	}
	if (model.ipv4.count == 0 || model.ipv6.count == 0) {
		assert_int_equal(CODE_NO_ADDRESS, call->reply.code);
		return;
	}
	if (model.functions.count == 0) {
		assert_int_equal(CODE_NO_FUNCTION, call->reply.code);
		return;
	}
	struct attachment expected = {.function.vf = (uint16_t)model.functions.numbers[0]};
	expected.ipv4.s_addr =
		htonl(0x0a580002 + (wanted->wants_ipv4 ? ipv4 : model.ipv4.numbers[0]));
	expected.ipv6.s6_addr[15] = (uint8_t)(model.ipv6.numbers[0] + 2);
	if (call->reply.code == CODE_STORE)
		return; // nothing was changed
	model_take(name, &expected);
	if (call->reply.code == CODE_NIC) {
		model_give_back(name);
		return;
	}
	assert_int_equal(CODE_OK, call->reply.code);
	assert_int_equal(expected.function.vf, a->function.vf);
	assert_int_equal(expected.ipv4.s_addr, a->ipv4.s_addr);
	assert_int_equal(expected.ipv6.s6_addr[15], a->ipv6.s6_addr[15]);
	model.pods[name].attachment = *a;
}

static void step_attach(void)
{
	unsigned int name = pick(NAMES);
	uint32_t ipv4 = pick(IPV4_COUNT);
	struct test_call call;
	bool ipv4_free = list_has(&model.ipv4, ipv4), faulty = pick(6) == 0;
	char text[16];

	name_text(name, text);
	test_attach(&call, text);
	if (pick(4) == 0) {
		call.request.body.attach.wants_ipv4 = true;
		call.request.body.attach.requested_ipv4.s_addr = htonl(0x0a580002 + ipv4);
	}
	if (pick(8) == 0)
		fake_nic.fail_start_in = 1;
	if (faulty)
		fault_vfs_set(pick(2) == 0 ? FAULT_WRITE_FULL : FAULT_IO, 1 + pick(12), true);
	test_run(&agent, &call, 1);
	fault_vfs_clear();
	fake_nic.fail_start_in = 0;
	control_retry(agent.control);
	if (!faulty)
		assert_int_not_equal(CODE_STORE, call.reply.code);
	expect_attach(name, &call, ipv4, ipv4_free);
}

static void step_detach(void)
{
	unsigned int name = pick(NAMES);
	bool attached = model.pods[name].attached, faulty = pick(6) == 0;
	struct test_call call;
	char text[16];

	name_text(name, text);
	test_detach(&call, text);
	if (faulty)
		fault_vfs_set(pick(2) == 0 ? FAULT_WRITE_FULL : FAULT_IO, 1 + pick(12), true);
	test_run(&agent, &call, 1);
	fault_vfs_clear();
	control_retry(agent.control);
	if (call.reply.code == CODE_OK) {
		assert_int_equal(attached, call.reply.body.detach.existed);
		if (attached)
			model_give_back(name);
		return;
	}
	assert_true(faulty && attached);
	assert_int_equal(CODE_STORE, call.reply.code);
	// Either nothing was changed, or the release was decided and the retry has finished it.
	if (pods_find(agent.control->pods, &call.request.body.detach.key) == NULL)
		model_give_back(name);
}

// Several attaches of new pods at once: each as if it were alone, in order.
static void step_batch(void)
{
	struct test_call calls[4];
	unsigned int names[4];
	size_t count = 0;
	char text[16];

	for (unsigned int name = 0; name < NAMES && count < 4; name++) {
		if (model.pods[name].attached || pick(2) == 0)
			continue;
		name_text(name, text);
		test_attach(&calls[count], text);
		if (pick(5) == 0)
			calls[count].patience = 2;
		names[count++] = name;
	}
	test_run(&agent, calls, count);
	for (size_t i = 0; i < count; i++) {
		if (calls[i].reply.code == CODE_LATE)
			continue;
		// What ran out while a late one still held its own: its commit was not to be.
		if (calls[i].reply.code == CODE_NO_ADDRESS ||
		    calls[i].reply.code == CODE_NO_FUNCTION)
			continue;
		expect_attach(names[i], &calls[i], 0, true);
	}
}

static void step(unsigned int number)
{
	// The e-switch becomes smaller or larger; nobody but its rules may notice.
	if (pick(20) == 0)
		fake_offload.rules_max = pick(3) == 0 ? 0 : 1 + pick(NAMES * FAKE_POD_RULES);
	switch (pick(10)) {
	case 0:
		if (pick(4) == 0)
			test_agent_restart(&agent);
		break;
	case 1:
		step_batch();
		break;
	case 2:
	case 3:
	case 4:
	case 5:
		step_detach();
		break;
	default:
		step_attach();
	}
	if (number % CONSISTENCY_STEP == 0) {
		size_t attached = 0;

		test_assert_consistent(&agent, true);
		for (unsigned int name = 0; name < NAMES; name++)
			attached += model.pods[name].attached;
		assert_int_equal(attached, agent.control->pods->count);
	}
}

static void the_agent_does_as_the_model_does(void **state)
{
	print_message("seed %u, %u steps\n", seed, steps);
	test_agent_init(&agent, FUNCTIONS, "10.88.0.0/28", "fd00:88::/124");
	list_fill(&model.functions, FUNCTIONS);
	list_fill(&model.ipv4, IPV4_COUNT);
	list_fill(&model.ipv6, IPV6_COUNT);
	for (unsigned int i = 0; i < steps; i++)
		step(i);
	test_assert_consistent(&agent, true);
	// With room for all, all are there, without anyone asking.
	fake_offload.rules_max = 0;
	control_retry(agent.control);
	for (uint32_t vf = 0; vf < FUNCTIONS; vf++)
		assert_int_equal(fake_offload.slots[vf].rules_wanted, fake_offload.slots[vf].rules);
	test_agent_destroy(&agent);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(the_agent_does_as_the_model_does)};

	if (argc > 1)
		seed = (unsigned int)strtoul(argv[1], NULL, 10);
	if (argc > 2)
		steps = (unsigned int)strtoul(argv[2], NULL, 10);
	test_quiet(true);
	fault_vfs_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
