// SPDX-License-Identifier: BSD-3-Clause
//
// The states and windows of TCP, packet by packet. Expectations are RFC 9293's and RFC 5961's, written
// down here, not what the code does.

#include "conntrack/fixture_test.h"

#include <rte_common.h>

#include "conntrack/tcp_track.h"

enum { C, S };               // client and server
enum { X = 1000, Y = 5000 }; // what they begin with

#define SA (TCP_SYN | TCP_ACK)
#define FA (TCP_FIN | TCP_ACK)
#define RA (TCP_RST | TCP_ACK)

static struct tcp_track track;
static bool opened;

struct step {
	unsigned int from;
	uint8_t flags;
	uint32_t sequence, acknowledgement, payload;
	enum tcp_verdict verdict;
	enum tcp_state state; // afterwards
};

static struct conntrack_packet make(uint8_t flags, uint32_t sequence, uint32_t acknowledgement,
				    uint32_t payload, uint16_t window)
{
	return (struct conntrack_packet){
		.kind = CONNTRACK_KIND_TCP,
		.tcp = {.flags = flags,
			.sequence = sequence,
			.acknowledgement = acknowledgement,
			.payload = payload,
			.window = window},
	};
}

static void run(const struct step *steps, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		const struct step *s = &steps[i];
		struct conntrack_packet packet =
			make(s->flags, s->sequence, s->acknowledgement, s->payload, 10000);
		enum tcp_verdict verdict = TCP_VERDICT_PASS;

		if (!opened)
			assert_true(opened = tcp_track_open(&track, &packet, true));
		else
			verdict = tcp_track(&track, s->from, &packet);
		if (verdict != s->verdict || track.state != s->state)
			print_error("step %u: verdict %d, state %s\n", i, verdict,
				    tcp_state_name(track.state));
		assert_int_equal(s->verdict, verdict);
		assert_int_equal(s->state, track.state);
	}
}
#define RUN(...)                                                                                   \
	do {                                                                                       \
		const struct step steps[] = {__VA_ARGS__};                                         \
		run(steps, RTE_DIM(steps));                                                        \
	} while (0)

#define PASS    TCP_VERDICT_PASS
#define KEEP    TCP_VERDICT_KEEP
#define INVALID TCP_VERDICT_INVALID

#define HANDSHAKE                                                                                  \
	{C, TCP_SYN, X, 0, 0, PASS, TCP_STATE_SYN_SENT},                                           \
		{S, SA, Y, X + 1, 0, PASS, TCP_STATE_SYN_RECV},                                    \
	{                                                                                          \
		C, TCP_ACK, X + 1, Y + 1, 0, PASS, TCP_STATE_ESTABLISHED                           \
	}

static int reset(void **state)
{
	opened = false;
	return 0;
}

static void a_connection_opens_and_closes(void **state)
{
	RUN(HANDSHAKE, {C, TCP_ACK, X + 1, Y + 1, 100, PASS, TCP_STATE_ESTABLISHED},
	    {S, TCP_ACK, Y + 1, X + 101, 200, PASS, TCP_STATE_ESTABLISHED},
	    {C, FA, X + 101, Y + 201, 0, PASS, TCP_STATE_FIN_WAIT},
	    {S, TCP_ACK, Y + 201, X + 102, 0, PASS, TCP_STATE_CLOSE_WAIT},
	    {S, TCP_ACK, Y + 201, X + 102, 50, PASS, TCP_STATE_CLOSE_WAIT},
	    {C, TCP_ACK, X + 102, Y + 251, 0, PASS, TCP_STATE_CLOSE_WAIT},
	    {S, FA, Y + 251, X + 102, 0, PASS, TCP_STATE_LAST_ACK},
	    {C, TCP_ACK, X + 102, Y + 252, 0, PASS, TCP_STATE_TIME_WAIT},
	    {S, FA, Y + 251, X + 102, 0, PASS, TCP_STATE_TIME_WAIT});
}

static void the_server_may_close_first(void **state)
{
	RUN(HANDSHAKE, {S, FA, Y + 1, X + 1, 0, PASS, TCP_STATE_FIN_WAIT},
	    {C, FA, X + 1, Y + 2, 0, PASS, TCP_STATE_LAST_ACK},
	    {S, TCP_ACK, Y + 2, X + 2, 0, PASS, TCP_STATE_TIME_WAIT});
}

static void both_may_close_at_once(void **state)
{
	RUN(HANDSHAKE, {C, FA, X + 1, Y + 1, 0, PASS, TCP_STATE_FIN_WAIT},
	    {S, FA, Y + 1, X + 1, 0, PASS, TCP_STATE_LAST_ACK},
	    {C, TCP_ACK, X + 2, Y + 2, 0, PASS, TCP_STATE_LAST_ACK},
	    {S, TCP_ACK, Y + 2, X + 2, 0, PASS, TCP_STATE_TIME_WAIT});
}

// RFC 9293 section 3.5, figure 7.
static void both_may_open_at_once(void **state)
{
	RUN({C, TCP_SYN, X, 0, 0, PASS, TCP_STATE_SYN_SENT},
	    {S, TCP_SYN, Y, 0, 0, PASS, TCP_STATE_SYN_SENT2},
	    {C, SA, X, Y + 1, 0, PASS, TCP_STATE_SYN_RECV},
	    {S, SA, Y, X + 1, 0, PASS, TCP_STATE_ESTABLISHED},
	    {C, TCP_ACK, X + 1, Y + 1, 10, PASS, TCP_STATE_ESTABLISHED},
	    {S, TCP_ACK, Y + 1, X + 11, 0, PASS, TCP_STATE_ESTABLISHED});
}

static void what_is_sent_again_changes_nothing(void **state)
{
	RUN({C, TCP_SYN, X, 0, 0, PASS, TCP_STATE_SYN_SENT},
	    {C, TCP_SYN, X, 0, 0, PASS, TCP_STATE_SYN_SENT},
	    {S, SA, Y, X + 1, 0, PASS, TCP_STATE_SYN_RECV},
	    {C, TCP_SYN, X, 0, 0, KEEP, TCP_STATE_SYN_RECV},
	    {S, SA, Y, X + 1, 0, KEEP, TCP_STATE_SYN_RECV},
	    {S, TCP_ACK, Y + 1, X + 1, 10, PASS, TCP_STATE_SYN_RECV}, // early data
	    {C, TCP_ACK, X + 1, Y + 1, 0, PASS, TCP_STATE_ESTABLISHED},
	    {S, SA, Y, X + 1, 0, KEEP, TCP_STATE_ESTABLISHED},
	    {C, TCP_ACK, X + 1, Y + 1, 100, PASS, TCP_STATE_ESTABLISHED},
	    {C, TCP_ACK, X + 1, Y + 1, 100, PASS, TCP_STATE_ESTABLISHED},
	    {C, TCP_ACK, X, Y + 1, 1, PASS, TCP_STATE_ESTABLISHED}); // keep-alive
}

static void only_the_answer_to_the_syn_is_an_answer(void **state)
{
	RUN({C, TCP_SYN, X, 0, 0, PASS, TCP_STATE_SYN_SENT},
	    {S, SA, Y, X, 0, INVALID, TCP_STATE_SYN_SENT},
	    {S, SA, Y, X + 2, 0, INVALID, TCP_STATE_SYN_SENT},
	    {S, RA, 0, X + 2, 0, INVALID, TCP_STATE_SYN_SENT},
	    {S, TCP_RST, 0, 0, 0, INVALID, TCP_STATE_SYN_SENT},
	    {C, TCP_ACK, X + 1, Y + 1, 0, INVALID, TCP_STATE_SYN_SENT},
	    {C, SA, X, Y + 1, 0, INVALID, TCP_STATE_SYN_SENT},
	    {S, RA, 0, X + 1, 0, PASS, TCP_STATE_CLOSE});
}

static void what_is_outside_of_the_windows_is_invalid(void **state)
{
	RUN(HANDSHAKE, {S, TCP_ACK, Y + 1, X + 1, 1000, PASS, TCP_STATE_ESTABLISHED},
	    {S, TCP_ACK, Y + 20002, X + 1, 10, INVALID, TCP_STATE_ESTABLISHED},
	    {S, TCP_ACK, Y + 1001 - 10002, X + 1, 0, KEEP, TCP_STATE_ESTABLISHED},
	    {S, TCP_ACK, Y + 1001, X + 2, 0, INVALID, TCP_STATE_ESTABLISHED}, // nothing sent so far
	    {C, TCP_ACK, X + 1, Y + 1002, 0, INVALID, TCP_STATE_ESTABLISHED},
	    {C, TCP_ACK, X + 1, Y + 1001 - 66001, 0, KEEP, TCP_STATE_ESTABLISHED},
	    {C, TCP_ACK, X + 1, Y + 1001, 0, PASS, TCP_STATE_ESTABLISHED},
	    // The last byte of the window, and the one behind it.
	    {C, TCP_ACK, X + 1 + 10001, Y + 1001, 10, INVALID, TCP_STATE_ESTABLISHED},
	    {C, TCP_ACK, X + 1 + 10000, Y + 1001, 0, PASS, TCP_STATE_ESTABLISHED});
}

// RFC 5961 section 3.2.
static void only_an_exact_reset_resets(void **state)
{
	RUN(HANDSHAKE, {S, TCP_ACK, Y + 1, X + 1, 1000, PASS, TCP_STATE_ESTABLISHED},
	    {C, TCP_ACK, X + 1, Y + 501, 0, PASS, TCP_STATE_ESTABLISHED},
	    {S, TCP_RST, Y + 30000, 0, 0, INVALID, TCP_STATE_ESTABLISHED},
	    {S, TCP_RST, Y + 1 - 20000, 0, 0, INVALID, TCP_STATE_ESTABLISHED},
	    {S, TCP_RST, Y + 700, 0, 0, KEEP, TCP_STATE_ESTABLISHED},
	    {S, RA, Y + 501, X + 90000, 0, INVALID, TCP_STATE_ESTABLISHED},
	    {S, TCP_RST, Y + 501, 0, 0, PASS, TCP_STATE_CLOSE}, // what the client expects next
	    {C, TCP_ACK, X + 1, Y + 501, 5, KEEP, TCP_STATE_CLOSE});
}

static void a_reset_behind_data_resets(void **state)
{
	RUN(HANDSHAKE, {S, TCP_ACK, Y + 1, X + 1, 1000, PASS, TCP_STATE_ESTABLISHED},
	    {S, RA, Y + 1001, X + 1, 0, PASS, TCP_STATE_CLOSE});
}

static void ports_are_used_again_after_the_end(void **state)
{
	RUN(HANDSHAKE, {C, FA, X + 1, Y + 1, 0, PASS, TCP_STATE_FIN_WAIT},
	    {S, FA, Y + 1, X + 2, 0, PASS, TCP_STATE_LAST_ACK},
	    {C, TCP_ACK, X + 2, Y + 2, 0, PASS, TCP_STATE_TIME_WAIT},
	    {S, TCP_SYN, Y + 99999, 0, 0, INVALID, TCP_STATE_TIME_WAIT},
	    {C, TCP_SYN, X + 99999, 0, 0, TCP_VERDICT_REOPEN, TCP_STATE_TIME_WAIT});
}

// RFC 9293 section 3.5.1: the server still has the connection, the client does not.
static void a_client_that_lost_its_memory_can_begin_again(void **state)
{
	RUN(HANDSHAKE, {C, TCP_SYN, X + 500000, 0, 0, KEEP, TCP_STATE_ESTABLISHED},
	    {S, TCP_ACK, Y + 1, X + 1, 0, PASS, TCP_STATE_ESTABLISHED},
	    {C, TCP_RST, X + 1, 0, 0, PASS, TCP_STATE_CLOSE},
	    {C, TCP_SYN, X + 500000, 0, 0, TCP_VERDICT_REOPEN, TCP_STATE_CLOSE});
}

static void both_may_lose_their_memory(void **state)
{
	RUN(HANDSHAKE, {S, TCP_ACK, Y + 1, X + 1, 1000, PASS, TCP_STATE_ESTABLISHED},
	    {C, TCP_SYN, X + 500000, 0, 0, KEEP, TCP_STATE_ESTABLISHED},
	    {S, SA, Y + 900000, X + 500002, 0, INVALID, TCP_STATE_ESTABLISHED}, // forged
	    {S, SA, Y + 900000, X + 500001, 0, PASS, TCP_STATE_SYN_RECV},
	    {C, TCP_ACK, X + 500001, Y + 900001, 0, PASS, TCP_STATE_ESTABLISHED});
}

static void a_server_that_lost_its_memory_can_say_so(void **state)
{
	RUN(HANDSHAKE, {C, TCP_SYN, X + 500000, 0, 0, KEEP, TCP_STATE_ESTABLISHED},
	    {S, RA, 0, X + 500001, 0, PASS, TCP_STATE_CLOSE});
}

static void half_open_is_reset_by_the_client(void **state)
{
	RUN({C, TCP_SYN, X, 0, 0, PASS, TCP_STATE_SYN_SENT},
	    {S, TCP_ACK, Y + 777, X - 50000, 0, KEEP, TCP_STATE_SYN_SENT},
	    {C, TCP_RST, X - 50000, 0, 0, PASS, TCP_STATE_CLOSE},
	    {C, TCP_SYN, X, 0, 0, TCP_VERDICT_REOPEN, TCP_STATE_CLOSE});
}

static void a_connection_is_taken_up_in_its_middle(void **state)
{
	struct conntrack_packet packet = make(TCP_ACK, X, Y, 100, 10);

	assert_false(tcp_track_open(&track, &packet, false));
	RUN({C, TCP_ACK, X, Y, 100, PASS, TCP_STATE_ESTABLISHED},
	    {S, TCP_ACK, Y, X + 100, 60000, PASS,
	     TCP_STATE_ESTABLISHED}, // by a scale we do not know
	    {S, TCP_RST, Y + 70000, 0, 0, KEEP, TCP_STATE_ESTABLISHED},
	    {S, TCP_RST, Y + 60000, 0, 0, PASS, TCP_STATE_CLOSE});
}

static void the_answer_to_an_unknown_connection_closes_it(void **state)
{
	RUN({C, TCP_ACK, X, Y, 100, PASS, TCP_STATE_ESTABLISHED},
	    {S, TCP_RST, Y + 1, 0, 0, KEEP, TCP_STATE_ESTABLISHED},
	    {S, TCP_RST, Y, 0, 0, PASS, TCP_STATE_CLOSE});
}

static void nothing_else_opens_a_connection(void **state)
{
	static const uint8_t flags[] = {SA, FA, RA, TCP_RST};

	for (unsigned int i = 0; i < RTE_DIM(flags); i++) {
		struct conntrack_packet packet = make(flags[i], X, Y, 0, 10);

		assert_false(tcp_track_open(&track, &packet, true));
	}
}

static void sequence_numbers_wrap(void **state)
{
	uint32_t x = UINT32_MAX - 50, y = UINT32_MAX;

	RUN({C, TCP_SYN, x, 0, 0, PASS, TCP_STATE_SYN_SENT},
	    {S, SA, y, x + 1, 0, PASS, TCP_STATE_SYN_RECV},
	    {C, TCP_ACK, x + 1, y + 1, 100, PASS, TCP_STATE_ESTABLISHED},
	    {S, TCP_ACK, y + 1, x + 101, 1000, PASS, TCP_STATE_ESTABLISHED},
	    {C, TCP_ACK, x + 101, y + 1002, 0, INVALID, TCP_STATE_ESTABLISHED},
	    {C, FA, x + 101, y + 1001, 0, PASS, TCP_STATE_FIN_WAIT},
	    {S, FA, y + 1001, x + 102, 0, PASS, TCP_STATE_LAST_ACK},
	    {C, TCP_ACK, x + 102, y + 1002, 0, PASS, TCP_STATE_TIME_WAIT});
}

static void windows_are_scaled_if_both_want_it(void **state)
{
	for (unsigned int wanted = 0; wanted < 4; wanted++) {
		struct conntrack_packet syn = make(TCP_SYN, X, 0, 0, 1000);
		struct conntrack_packet syn_ack = make(SA, Y, X + 1, 0, 1000);
		struct conntrack_packet ack = make(TCP_ACK, X + 1, Y + 1, 0, 1000);
		// What fits into a window of 1000 * 4, and not into one of 1000.
		struct conntrack_packet data = make(TCP_ACK, Y + 1 + 3000, X + 1, 1000, 1000);

		syn.tcp.has_scale = wanted & 1;
		syn.tcp.scale = syn.tcp.has_scale ? 2 : 0;
		syn_ack.tcp.has_scale = (wanted & 2) != 0;
		syn_ack.tcp.scale = syn_ack.tcp.has_scale ? 5 : 0;
		assert_true(tcp_track_open(&track, &syn, false));
		assert_int_equal(PASS, tcp_track(&track, S, &syn_ack));
		assert_int_equal(PASS, tcp_track(&track, C, &ack));
		assert_int_equal(wanted == 3 ? PASS : INVALID, tcp_track(&track, S, &data));
	}
}

static void a_closed_window_may_be_probed(void **state)
{
	struct conntrack_packet packet;

	RUN(HANDSHAKE);
	packet = make(TCP_ACK, Y + 1, X + 10001, 0, 0);
	RUN({C, TCP_ACK, X + 1, Y + 1, 10000, PASS, TCP_STATE_ESTABLISHED});
	assert_int_equal(PASS, tcp_track(&track, S, &packet));
	RUN({C, TCP_ACK, X + 10001, Y + 1, 1, PASS, TCP_STATE_ESTABLISHED});
}

static void data_on_a_syn_is_counted(void **state) // RFC 7413
{
	RUN({C, TCP_SYN, X, 0, 100, PASS, TCP_STATE_SYN_SENT},
	    {C, TCP_SYN, X, 0, 0, PASS, TCP_STATE_SYN_SENT}, // again, without it
	    {S, SA, Y, X + 101, 0, PASS, TCP_STATE_SYN_RECV},
	    {C, TCP_ACK, X + 101, Y + 1, 0, PASS, TCP_STATE_ESTABLISHED});
	opened = false;
	RUN({C, TCP_SYN, X, 0, 100, PASS, TCP_STATE_SYN_SENT},
	    {S, SA, Y, X + 1, 0, PASS, TCP_STATE_SYN_RECV}, // the server did not take it
	    {C, TCP_ACK, X + 1, Y + 1, 100, PASS, TCP_STATE_ESTABLISHED});
}

static void a_fragmented_segment_does_not_end_what_follows(void **state)
{
	struct conntrack_packet packet = make(TCP_ACK, X + 1, Y + 1, 500, 10000);

	RUN(HANDSHAKE);
	packet.fragment = true; // the first 500 bytes of 3000
	assert_int_equal(PASS, tcp_track(&track, C, &packet));
	RUN({S, TCP_ACK, Y + 1, X + 3001, 0, PASS, TCP_STATE_ESTABLISHED},
	    {C, FA, X + 3001, Y + 1, 0, PASS, TCP_STATE_FIN_WAIT},
	    {S, FA, Y + 1, X + 3002, 0, PASS, TCP_STATE_LAST_ACK});
}

static void only_what_is_under_way_can_be_complained_about(void **state)
{
	RUN(HANDSHAKE, {C, TCP_ACK, X + 1, Y + 1, 1000, PASS, TCP_STATE_ESTABLISHED});
	assert_true(tcp_track_in_flight(&track, C, X + 1));
	assert_true(tcp_track_in_flight(&track, C, X + 1000));
	assert_false(tcp_track_in_flight(&track, C, X + 1001));
	assert_false(tcp_track_in_flight(&track, C, X - 70000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_connection_opens_and_closes, reset),
		cmocka_unit_test_setup(the_server_may_close_first, reset),
		cmocka_unit_test_setup(both_may_close_at_once, reset),
		cmocka_unit_test_setup(both_may_open_at_once, reset),
		cmocka_unit_test_setup(what_is_sent_again_changes_nothing, reset),
		cmocka_unit_test_setup(only_the_answer_to_the_syn_is_an_answer, reset),
		cmocka_unit_test_setup(what_is_outside_of_the_windows_is_invalid, reset),
		cmocka_unit_test_setup(only_an_exact_reset_resets, reset),
		cmocka_unit_test_setup(a_reset_behind_data_resets, reset),
		cmocka_unit_test_setup(ports_are_used_again_after_the_end, reset),
		cmocka_unit_test_setup(a_client_that_lost_its_memory_can_begin_again, reset),
		cmocka_unit_test_setup(both_may_lose_their_memory, reset),
		cmocka_unit_test_setup(a_server_that_lost_its_memory_can_say_so, reset),
		cmocka_unit_test_setup(half_open_is_reset_by_the_client, reset),
		cmocka_unit_test_setup(a_connection_is_taken_up_in_its_middle, reset),
		cmocka_unit_test_setup(the_answer_to_an_unknown_connection_closes_it, reset),
		cmocka_unit_test_setup(nothing_else_opens_a_connection, reset),
		cmocka_unit_test_setup(sequence_numbers_wrap, reset),
		cmocka_unit_test_setup(windows_are_scaled_if_both_want_it, reset),
		cmocka_unit_test_setup(a_closed_window_may_be_probed, reset),
		cmocka_unit_test_setup(data_on_a_syn_is_counted, reset),
		cmocka_unit_test_setup(a_fragmented_segment_does_not_end_what_follows, reset),
		cmocka_unit_test_setup(only_what_is_under_way_can_be_complained_about, reset),
	};

	return cmocka_run_group_tests_name("TCP tracking", tests, NULL, NULL);
}
