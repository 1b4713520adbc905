// SPDX-License-Identifier: BSD-3-Clause
//
// podport_watch_...(): what is asked, and what is made of the answers.

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libpodport/client_test_helpers.h"

static struct watch_request begun;
static struct read_watch_request read_last;
static bool lose_the_next, repeat;

static enum fake_answer agent(const struct fake_call *call, struct reply *reply, void *arg)
{
	struct watch_page *page;

	if (call->request.call == CALL_WATCH) {
		begun = call->request.body.watch;
		return FAKE_REPLY;
	}
	read_last = call->request.body.read_watch;
	page = reply->body.read_watch.page;
	for (size_t i = 0; i < page->count && !repeat; i++)
		page->packets[i].number = read_last.after + 1 + i;
	reply->body.read_watch.ended = read_last.end;
	if (lose_the_next) {
		lose_the_next = false;
		return FAKE_HANG_UP;
	}
	return FAKE_REPLY;
}

static struct fake_hostd *fake;
static struct podport_client *client;
static struct podport_error error;

static int set_up(void **state)
{
	fake = fake_hostd_start(NULL, agent, NULL);
	client = connect_to(fake, 0);
	lose_the_next = repeat = false;
	return 0;
}

static int tear_down(void **state)
{
	podport_free(client);
	fake_hostd_stop(fake);
	return 0;
}

static struct podport_watch_request some_request(void)
{
	struct podport_watch_request request = PODPORT_WATCH_REQUEST_INIT;

	request.key.network = "pods";
	request.key.container_id = "c0ffee";
	request.key.ifname = "eth0";
	return request;
}

static struct podport_watch *begin(void)
{
	struct podport_watch_request request = some_request();
	struct podport_watch *watch;

	if (podport_watch_begin(client, &request, &watch, &error) < 0)
		fail_msg("%s", error.message);
	return watch;
}

static struct podport_packets *read_on(struct podport_watch *watch, bool end)
{
	struct podport_packets *packets;

	if (podport_watch_read(client, watch, end, &packets, &error) < 0)
		fail_msg("%s", error.message);
	return packets;
}

static void what_is_wanted_is_asked(void **state)
{
	const struct podport_filter_instruction filter[] = {{0x28, 1, 2, 12}, {6, 0, 0, 1}};
	struct podport_watch_request request = some_request();
	struct podport_watch *watch;

	request.path = request.withdraw = true;
	request.frame_bytes = 100;
	request.packets = 10;
	request.bytes = 1000;
	request.seconds = 60;
	request.filter = filter;
	request.filter_count = 2;
	assert_int_equal(0, podport_watch_begin(client, &request, &watch, &error));
	assert_string_equal("c0ffee", begun.key.container_id);
	assert_true(begun.path && begun.withdraw);
	assert_int_equal(100, begun.frame_bytes);
	assert_int_equal(10, begun.packets);
	assert_int_equal(1000, begun.bytes);
	assert_int_equal(60, begun.seconds);
	assert_int_equal(2, begun.filter_size);
	assert_int_equal(0x28, begun.filter[0].code);
	assert_int_equal(1, begun.filter[0].jump_true);
	assert_int_equal(2, begun.filter[0].jump_false);
	assert_int_equal(12, begun.filter[0].value);
	assert_string_equal("pf0vf3", podport_watch_info(watch)->port);
	assert_true(podport_watch_info(watch)->withdrawn);
	podport_watch_free(watch);
	podport_watch_free(begin());
	assert_true(begun.packets == UINT64_MAX && begun.bytes == UINT64_MAX);
	assert_int_equal(3600, begun.seconds);
}

static void what_cannot_be_is_not_asked(void **state)
{
	static const struct podport_filter_instruction filter[257];
	struct podport_watch_request request = some_request();
	struct podport_watch *watch;

	request.filter = filter;
	request.filter_count = 257;
	assert_int_equal(-EINVAL, podport_watch_begin(client, &request, &watch, &error));
	assert_int_equal(PODPORT_BAD_REQUEST, error.code);
	request = some_request();
	request.frame_bytes = 9217;
	assert_int_equal(-EINVAL, podport_watch_begin(client, &request, &watch, &error));
	request = some_request();
	request.seconds = 3601;
	assert_int_equal(-EINVAL, podport_watch_begin(client, &request, &watch, &error));
	request = some_request();
	request.key.container_id = NULL;
	assert_int_equal(-EINVAL, podport_watch_begin(client, &request, &watch, &error));
	assert_int_equal(0, fake_hostd_calls(fake, NULL));
}

static void packets_are_told_as_the_agent_has_them_and_each_once(void **state)
{
	struct podport_watch *watch = begin();
	struct podport_packets *packets = read_on(watch, false);

	assert_int_equal(17, read_last.id);
	assert_int_equal(0, read_last.after);
	assert_int_equal(2, podport_packets_count(packets));
	const struct podport_packet *packet = podport_packets_get(packets, 1);
	assert_int_equal(2, packet->number);
	assert_true(packet->to_pod);
	assert_int_equal(98, packet->length);
	assert_int_equal(14, packet->frame_bytes);
	assert_int_equal(0x5a, packet->frame[13]);
	assert_string_equal("no-route", packet->drop);
	assert_string_equal("10.88.0.2 > 10.88.0.3 icmp", packet->summary);
	assert_int_equal(2, packet->step_count);
	assert_string_equal("ip4_input", packet->steps[1].node);
	assert_string_equal("source check passed", packet->steps[1].text);
	assert_null(podport_packets_get(packets, 2));
	assert_int_equal(2, podport_packets_summary(packets)->lost);
	assert_int_equal(1000, podport_packets_summary(packets)->offloaded);
	assert_false(podport_packets_summary(packets)->ended);
	podport_packets_free(packets);
	packets = read_on(watch, true);
	assert_int_equal(2, read_last.after);
	assert_true(read_last.end);
	assert_true(podport_packets_summary(packets)->ended);
	podport_packets_free(packets);
	podport_watch_free(watch);
}

static void an_answer_that_was_lost_is_asked_for_again(void **state)
{
	struct podport_watch *watch = begin();
	struct podport_packets *packets;

	lose_the_next = true;
	assert_true(podport_watch_read(client, watch, false, &packets, &error) < 0);
	assert_int_equal(PODPORT_HOSTD_AWAY, error.code);
	packets = read_on(watch, false);
	assert_int_equal(0, read_last.after);
	assert_int_equal(2, podport_packets_count(packets));
	podport_packets_free(packets);
	podport_watch_free(watch);
}

static void packets_that_were_told_already_are_refused(void **state)
{
	struct podport_watch *watch = begin();
	struct podport_packets *packets;

	podport_packets_free(read_on(watch, false));
	repeat = true;
	assert_int_equal(-EBADMSG, podport_watch_read(client, watch, false, &packets, &error));
	assert_int_equal(PODPORT_INTERNAL, error.code);
	podport_watch_free(watch);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_wanted_is_asked),
		TEST(what_cannot_be_is_not_asked),
		TEST(packets_are_told_as_the_agent_has_them_and_each_once),
		TEST(an_answer_that_was_lost_is_asked_for_again),
		TEST(packets_that_were_told_already_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
