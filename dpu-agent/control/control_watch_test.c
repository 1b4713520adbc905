// SPDX-License-Identifier: BSD-3-Clause
//
// Watch and ReadWatch: who may look at what, what is told, and that nothing stays behind.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "control/fake_offload.h"
#include "control/fake_trace.h"
#include "control/test_agent.h"

static struct test_agent agent;
static struct test_call call;

// Time, for control: what the tests say.
static int64_t later_ms;
int __real_clock_gettime(clockid_t id, struct timespec *time);
int __wrap_clock_gettime(clockid_t id, struct timespec *time);

int __wrap_clock_gettime(clockid_t id, struct timespec *time)
{
	int r = __real_clock_gettime(id, time);

	if (id == CLOCK_MONOTONIC)
		time->tv_sec += later_ms / 1000;
	return r;
}

static void attach(const char *container_id)
{
	test_attach(&call, container_id);
	test_run(&agent, &call, 1);
	assert_int_equal(CODE_OK, call.reply.code);
}

static int set_up(void **state)
{
	memset(&fake_traces, 0, sizeof(fake_traces));
	later_ms = 0;
	test_agent_init(&agent, 4, "10.88.0.0/16", NULL);
	attach("a");
	return 0;
}

static int tear_down(void **state)
{
	test_agent_destroy(&agent);
	assert_int_equal(0, fake_trace_open_count());
	return 0;
}

static void ask_watch(const char *container_id, bool withdraw)
{
	test_simple(&call, CALL_WATCH);
	struct watch_request *wanted = &call.request.body.watch;
	strcpy(wanted->key.network, "podport");
	strcpy(wanted->key.container_id, container_id);
	strcpy(wanted->key.ifname, "eth0");
	wanted->withdraw = withdraw;
	wanted->path = true;
	wanted->packets = 100;
	wanted->bytes = 100000;
	wanted->seconds = 60;
	wanted->frame_bytes = 1000;
	test_run(&agent, &call, 1);
}

static uint64_t begin(bool withdraw)
{
	ask_watch("a", withdraw);
	assert_int_equal(CODE_OK, call.reply.code);
	return call.reply.body.watch.id;
}

static const struct read_watch_reply *read_on(uint64_t id, uint64_t after, bool end)
{
	static struct watch_page page;
	static struct read_watch_reply reply;

	test_simple(&call, CALL_READ_WATCH);
	call.request.body.read_watch = (struct read_watch_request){id, after, end};
	test_run(&agent, &call, 1);
	assert_int_equal(CODE_OK, call.reply.code);
	page = *call.reply.body.read_watch.page;
	reply = call.reply.body.read_watch;
	reply.page = &page;
	reply_clear(&call.reply);
	return &reply;
}

static void assert_gone(uint64_t id)
{
	test_simple(&call, CALL_READ_WATCH);
	call.request.body.read_watch.id = id;
	test_run(&agent, &call, 1);
	assert_int_equal(CODE_NOT_FOUND, call.reply.code);
}

static const uint8_t frame[1000] = {1, 2, 3};
static const struct trace_step steps[2] = {{.family = TRACE_IPV4}, {.family = TRACE_IPV4}};
static const struct trace_record record = {
	.unix_ns = 7,
	.length = 1500,
	.frame_bytes = 1000,
	.frame = frame,
	.dropped = true,
	.reason = 1,
	.step_count = 2,
	.steps = steps,
};

static void add(unsigned int count)
{
	while (count-- > 0)
		fake_trace_add(0, &record);
}

// ---- tests ---------------------------------------------------------------------------------------

static void what_was_seen_is_told_until_it_is_asked_behind(void **state)
{
	uint64_t id = begin(false);
	const struct read_watch_reply *reply;

	assert_string_equal("pf0vf0", call.reply.body.watch.port);
	assert_int_equal(0, read_on(id, 0, false)->page->count);
	add(3);
	for (int i = 0; i < 2; i++) { // the first answer may have been lost
		reply = read_on(id, 0, false);
		assert_int_equal(3, reply->page->count);
		assert_int_equal(3, reply->taken);
		assert_false(reply->more);
		assert_false(reply->ended);
		for (uint32_t j = 0; j < 3; j++) {
			const struct watch_packet *packet = &reply->page->packets[j];

			assert_int_equal(j + 1, packet->number);
			assert_int_equal(1500, packet->length);
			assert_int_equal(1000, packet->byte_count);
			assert_memory_equal(frame, reply->page->bytes + packet->first_byte, 1000);
			assert_int_equal(2, packet->step_count);
			assert_string_equal("no-route", packet->drop);
		}
	}
	assert_int_equal(0, fake_traces.traces[0].released);
	reply = read_on(id, 2, false);
	assert_int_equal(1, reply->page->count);
	assert_int_equal(3, reply->page->packets[0].number);
	assert_int_equal(2, fake_traces.traces[0].released);
	assert_int_equal(0, read_on(id, 3, false)->page->count);
	assert_int_equal(3, fake_traces.traces[0].released);
}

static void a_long_list_comes_in_pages_without_gap_or_repetition(void **state)
{
	uint64_t id = begin(false), after = 0;
	const struct read_watch_reply *reply;
	unsigned int pages = 0;

	add(200);
	do {
		reply = read_on(id, after, false);
		assert_true(reply->page->count > 0);
		assert_true(reply->page->byte_count <= LIMIT_WATCH_BYTES);
		assert_true(reply->page->step_count <= LIMIT_WATCH_STEPS);
		for (size_t i = 0; i < reply->page->count; i++)
			assert_int_equal(++after, reply->page->packets[i].number);
		pages++;
	} while (reply->more);
	assert_int_equal(200, after);
	assert_in_range(pages, 5, 20);
}

static void the_end_that_is_asked_for_comes_after_the_last_page(void **state)
{
	uint64_t id = begin(true);
	const struct read_watch_reply *reply;

	add(2);
	reply = read_on(id, 0, true);
	assert_true(fake_traces.traces[0].stopped);
	assert_int_equal(FAKE_POD_RULES, fake_offload.rules);
	assert_true(reply->ended);
	assert_int_equal(2, reply->page->count);
	reply = read_on(id, 2, true);
	assert_int_equal(0, reply->page->count);
	assert_true(reply->ended);
	assert_gone(id);
	assert_int_equal(0, fake_trace_open_count());
}

static void an_end_waits_a_little_for_what_is_under_way(void **state)
{
	uint64_t id = begin(true);

	fake_traces.traces[0].figures.taken = 1;
	assert_false(read_on(id, 0, true)->ended);
	assert_true(fake_traces.traces[0].ending);
	assert_false(fake_traces.traces[0].stopped);
	assert_false(read_on(id, 0, true)->ended);
	fake_traces.traces[0].figures.taken = 0;
	add(1);
	const struct read_watch_reply *reply = read_on(id, 0, true);
	assert_true(reply->ended);
	assert_int_equal(1, reply->page->count);
	assert_string_equal("it was ended", reply->reason);
	assert_false(fake_offload.slots[0].withdrawn);

	id = begin(true); // a worker that is stuck holds nothing up
	fake_traces.traces[1].figures.taken = 1;
	assert_false(read_on(id, 0, true)->ended);
	later_ms = 3000;
	assert_true(read_on(id, 0, true)->ended);
}

static void a_watch_that_nobody_reads_ends_and_gives_the_rules_back(void **state)
{
	uint64_t id = begin(true);

	assert_true(call.reply.body.watch.withdrawn);
	assert_true(fake_offload.slots[0].withdrawn);
	assert_int_equal(0, fake_offload.rules);
	later_ms = 4000;
	control_retry(agent.control);
	assert_true(fake_offload.slots[0].withdrawn);
	read_on(id, 0, false);
	later_ms = 8000;
	control_retry(agent.control);
	assert_true(fake_offload.slots[0].withdrawn);
	later_ms = 14000;
	control_retry(agent.control);
	assert_false(fake_offload.slots[0].withdrawn);
	assert_int_equal(FAKE_POD_RULES, fake_offload.rules);
	assert_int_equal(0, fake_trace_open_count());
	assert_gone(id);
}

static void of_two_that_withdraw_the_last_gives_the_rules_back(void **state)
{
	uint64_t first = begin(true), second = begin(true);

	read_on(first, 0, true);
	assert_true(fake_offload.slots[0].withdrawn);
	read_on(second, 0, true);
	assert_false(fake_offload.slots[0].withdrawn);
	assert_int_equal(FAKE_POD_RULES, fake_offload.rules);
}

static void what_the_e_switch_has_forwarded_is_told(void **state)
{
	uint64_t id;

	fake_offload.slots[0].rx_packets = 100;
	id = begin(false);
	assert_int_equal(0, read_on(id, 0, false)->offloaded);
	fake_offload.slots[0].rx_packets = 103;
	fake_offload.slots[0].tx_packets = 2;
	assert_int_equal(5, read_on(id, 0, false)->offloaded);
	assert_int_equal(FAKE_POD_RULES, fake_offload.rules); // it was not told to withdraw them
}

static void a_watch_ends_when_its_time_is_over(void **state)
{
	uint64_t id = begin(true);

	add(1);
	for (later_ms = 0; later_ms < 60000; later_ms += 4000)
		read_on(id, 0, false);
	const struct read_watch_reply *reply = read_on(id, 0, false);
	assert_true(reply->ended);
	assert_string_equal("60 s are over", reply->reason);
	assert_int_equal(1, reply->page->count);
	assert_false(fake_offload.slots[0].withdrawn);
}

static void a_watch_ends_when_it_has_what_it_wanted(void **state)
{
	uint64_t id = begin(true);

	add(1);
	fake_traces.traces[0].figures.full = true;
	fake_traces.traces[0].figures.taken = 2; // one is under way
	assert_false(read_on(id, 0, false)->ended);
	later_ms = 4000;
	assert_false(read_on(id, 0, false)->ended);
	later_ms = 8000; // it does not come any more
	assert_true(read_on(id, 0, false)->ended);
	assert_false(fake_offload.slots[0].withdrawn);
}

static void a_watch_ends_with_the_pod(void **state)
{
	uint64_t id = begin(true);

	add(1);
	test_detach(&call, "a");
	test_run(&agent, &call, 1);
	assert_int_equal(CODE_OK, call.reply.code);
	const struct read_watch_reply *reply = read_on(id, 0, false);
	assert_true(reply->ended);
	assert_string_equal("the pod's port was stopped", reply->reason);
	assert_int_equal(1, reply->page->count);
	assert_false(fake_offload.slots[0].withdrawn);
}

static void what_cannot_be_is_refused_and_nothing_is_left(void **state)
{
	ask_watch("nobody", true);
	assert_int_equal(CODE_NOT_FOUND, call.reply.code);
	fake_traces.fail = true;
	ask_watch("a", true);
	assert_int_equal(CODE_BAD_REQUEST, call.reply.code);
	assert_int_equal(FAKE_POD_RULES, fake_offload.rules);
	fake_traces.fail = false;
	for (int i = 0; i < TRACES_MAX; i++)
		begin(true);
	ask_watch("a", true);
	assert_int_equal(CODE_BUSY, call.reply.code);
	later_ms = 6000; // nobody reads them
	ask_watch("a", true);
	assert_int_equal(CODE_OK, call.reply.code);
	assert_int_equal(1, fake_trace_open_count());
}

static void no_host_sees_anothers_pods(void **state)
{
	uint64_t id;

	test_hello(&call, "one", "boot");
	test_run(&agent, &call, 1);
	attach("b");
	ask_watch("b", false);
	assert_int_equal(CODE_OK, call.reply.code);
	id = call.reply.body.watch.id;
	test_hello(&call, "two", "boot");
	test_run(&agent, &call, 1);
	ask_watch("b", false);
	assert_int_equal(CODE_NOT_FOUND, call.reply.code);
	assert_gone(id);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_seen_is_told_until_it_is_asked_behind),
		TEST(a_long_list_comes_in_pages_without_gap_or_repetition),
		TEST(the_end_that_is_asked_for_comes_after_the_last_page),
		TEST(an_end_waits_a_little_for_what_is_under_way),
		TEST(a_watch_that_nobody_reads_ends_and_gives_the_rules_back),
		TEST(of_two_that_withdraw_the_last_gives_the_rules_back),
		TEST(what_the_e_switch_has_forwarded_is_told),
		TEST(a_watch_ends_when_its_time_is_over),
		TEST(a_watch_ends_when_it_has_what_it_wanted),
		TEST(a_watch_ends_with_the_pod),
		TEST(what_cannot_be_is_refused_and_nothing_is_left),
		TEST(no_host_sees_anothers_pods),
	};

	return cmocka_run_group_tests_name("control, watch", tests, NULL, NULL);
}
