// SPDX-License-Identifier: BSD-3-Clause
//
// The agent dies at every write, sync, port start and port stop there is in a scenario, each in its
// turn, and is started again. What was answered holds, nothing leaks, and the calls whose answer
// was lost can be repeated.

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
#include <sys/wait.h>
#include <unistd.h>

#include "control/control_private.h"
#include "control/test_agent.h"
#include "pod/fault_vfs.h"

enum { CALLS_MAX = 8 };

struct scenario {
	void (*before)(struct test_agent *agent);
	size_t (*calls)(struct test_call calls[CALLS_MAX]); // these run when the agent may die
	unsigned int fail_start_in;
	// answers: of those calls that were answered before the crash
	void (*after)(struct test_agent *agent, const struct reply *const answers[CALLS_MAX]);
};

static struct test_agent agent;

// ---- dying -----------------------------------------------------------------------------------------

static unsigned int nic_changes_left; // 0: the NIC does not kill
static int report_fd;
static struct test_call *first_call;

static void die_at_nic_change(void)
{
	if (nic_changes_left > 0 && --nic_changes_left == 0)
		_exit(FAULT_EXIT_STATUS);
}

static void report_answer(const struct test_call *call)
{
	uint8_t index = (uint8_t)(call - first_call);

	if (write(report_fd, &index, 1) != 1 ||
	    write(report_fd, &call->reply, sizeof(call->reply)) != (ssize_t)sizeof(call->reply))
		_exit(1);
}

// In the child: start, run the calls, stop; die on the way if told to. disk, nic: at which
// operation, 0: never.
static void live(const struct scenario *scenario, unsigned int disk, unsigned int nic)
{
	struct test_call calls[CALLS_MAX];
	size_t count = scenario->calls(calls);

	fault_vfs_set(disk > 0 ? FAULT_EXIT : FAULT_NONE, disk, false);
	nic_changes_left = nic;
	fake_nic_reset(agent.functions);
	fake_nic.on_change = die_at_nic_change;
	test_agent_start(&agent);
	fake_nic.fail_start_in = scenario->fail_start_in;
	first_call = calls;
	test_on_answer = report_answer;
	test_run(&agent, calls, count);
	test_agent_stop(&agent);
	_exit(0);
}

// Answers that a child sent before it ended; heap or NULL.
static void take_answers(int fd, struct reply *answers[CALLS_MAX])
{
	uint8_t index;

	while (read(fd, &index, 1) == 1) {
		size_t got = 0;

		answers[index] = calloc(1, sizeof(struct reply));
		while (got < sizeof(struct reply)) {
			ssize_t n =
				read(fd, (char *)answers[index] + got, sizeof(struct reply) - got);

			assert_true(n > 0);
			got += (size_t)n;
		}
	}
}

// Returns false if the child lived to its end.
static bool crash_once(const struct scenario *scenario, unsigned int disk, unsigned int nic)
{
	struct reply *answers[CALLS_MAX] = {0};
	int report[2], status;
	pid_t child;

	test_agent_init(&agent, 8, "10.88.0.0/24", "fd00:88::/64");
	scenario->before(&agent);
	test_agent_stop(&agent);
	assert_int_equal(0, pipe(report));
	child = fork();
	if (child == 0) {
		report_fd = report[1];
		live(scenario, disk, nic);
	}
	close(report[1]);
	take_answers(report[0], answers);
	close(report[0]);
	assert_int_equal(child, waitpid(child, &status, 0));
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == FAULT_EXIT_STATUS || WEXITSTATUS(status) == 0);

	fake_nic_reset(agent.functions); // of a NIC, nothing survives its driver
	test_agent_start(&agent);
	test_assert_consistent(&agent, true);
	scenario->after(&agent, (const struct reply *const *)answers);
	test_assert_consistent(&agent, true);
	test_agent_destroy(&agent);
	for (size_t i = 0; i < CALLS_MAX; i++)
		free(answers[i]);
	return WEXITSTATUS(status) != 0;
}

static void crash_everywhere(const struct scenario *scenario)
{
	unsigned int disk = 1, nic = 1;

	while (crash_once(scenario, disk, 0))
		disk++;
	while (crash_once(scenario, 0, nic))
		nic++;
	assert_true(disk > 5);
	assert_true(nic > 3);
}

static bool attached(const char *container_id)
{
	struct attachment_key key = {.network = "podport", .ifname = "eth0"};

	strcpy(key.container_id, container_id);
	return pods_find(agent.control->pods, &key) != NULL;
}

// ---- attach and detach -----------------------------------------------------------------------------

static void two_pods(struct test_agent *a)
{
	struct test_call call;

	test_hello(&call, "host", "boot1");
	test_run(a, &call, 1);
	test_must_attach(a, "stays");
	test_must_attach(a, "goes");
}

static size_t mixed_calls(struct test_call calls[CALLS_MAX])
{
	test_attach(&calls[0], "comes");
	test_detach(&calls[1], "goes");
	test_attach(&calls[2], "refused");
	test_attach(&calls[3], "stays");
	strcpy(calls[3].request.body.attach.sandbox.path, "/run/netns/moved");
	return 4;
}

static void mixed_after(struct test_agent *a, const struct reply *const answers[CALLS_MAX])
{
	struct attachment again;
	struct test_call call;

	assert_true(attached("stays"));
	if (answers[1] != NULL && answers[1]->code == CODE_OK)
		assert_false(attached("goes"));
	if (answers[2] != NULL)
		assert_false(attached("refused"));
	again = test_must_attach(a, "comes");
	if (answers[0] != NULL) {
		assert_int_equal(CODE_OK, answers[0]->code);
		again.sandbox = answers[0]->body.attach.sandbox;
		assert_memory_equal(&answers[0]->body.attach, &again, sizeof(again));
	}
	test_detach(&call, "goes");
	test_run(a, &call, 1);
	assert_int_equal(CODE_OK, call.reply.code);
	assert_false(attached("goes"));
	again = test_must_attach(a, "stays");
	// Released things come last: nobody gets what was just given back.
	assert_int_not_equal(1, test_must_attach(a, "next").function.vf);
}

static void a_crash_in_attach_or_detach_loses_and_leaks_nothing(void **state)
{
	const struct scenario scenario = {two_pods, mixed_calls, 2, mixed_after};

	crash_everywhere(&scenario);
}

// ---- hello -----------------------------------------------------------------------------------------

static size_t hello_of_the_next_boot(struct test_call calls[CALLS_MAX])
{
	test_hello(&calls[0], "host", "boot2");
	test_attach(&calls[1], "new");
	return 2;
}

static void hello_after(struct test_agent *a, const struct reply *const answers[CALLS_MAX])
{
	struct test_call call;

	if (answers[0] != NULL) {
		assert_int_equal(CODE_OK, answers[0]->code);
		assert_false(attached("stays") || attached("goes"));
	}
	if (answers[1] != NULL)
		assert_true(attached("new"));
	test_hello(&call, "host", "boot2");
	test_run(a, &call, 1);
	assert_int_equal(CODE_OK, call.reply.code);
	assert_false(attached("stays") || attached("goes"));
	if (answers[1] != NULL)
		assert_true(attached("new"));
	test_must_attach(a, "new");
	assert_int_equal(1, a->control->pods->count);
}

static void a_crash_while_an_old_boot_is_reclaimed_loses_and_leaks_nothing(void **state)
{
	const struct scenario scenario = {two_pods, hello_of_the_next_boot, 0, hello_after};

	crash_everywhere(&scenario);
}

// ---- restore ---------------------------------------------------------------------------------------

// Leaves a pod whose release is decided and not finished.
static void pods_and_one_half_released(struct test_agent *a)
{
	unsigned int nth = 0;
	struct test_call call;

	two_pods(a);
	do {
		fault_vfs_set(FAULT_WRITE_FULL, ++nth, true);
		test_detach(&call, "goes");
		test_run(a, &call, 1);
	} while (TAILQ_EMPTY(&a->control->leaving));
	// Stopping does not finish it: the disk is still full.
	test_agent_stop(a);
	fault_vfs_clear();
	test_agent_start(a);
	assert_false(attached("goes"));
}

static size_t status_only(struct test_call calls[CALLS_MAX])
{
	test_simple(&calls[0], CALL_GET_STATUS);
	return 1;
}

static void restore_after(struct test_agent *a, const struct reply *const answers[CALLS_MAX])
{
	assert_true(attached("stays"));
	assert_false(attached("goes"));
	assert_int_equal(2, test_must_attach(a, "next").function.vf);
}

static void a_crash_while_restoring_loses_and_leaks_nothing(void **state)
{
	const struct scenario scenario = {pods_and_one_half_released, status_only, 0,
					  restore_after};
	unsigned int disk = 1, nic = 1;

	while (crash_once(&scenario, disk, 0))
		disk++;
	while (crash_once(&scenario, 0, nic))
		nic++;
	assert_true(nic > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_crash_in_attach_or_detach_loses_and_leaks_nothing),
		cmocka_unit_test(a_crash_while_an_old_boot_is_reclaimed_loses_and_leaks_nothing),
		cmocka_unit_test(a_crash_while_restoring_loses_and_leaks_nothing),
	};

	test_quiet(true);
	fault_vfs_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
