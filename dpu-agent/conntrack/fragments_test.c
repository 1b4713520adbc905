// SPDX-License-Identifier: BSD-3-Clause
//
// Packets in pieces: in order, out of order, incomplete, and too many of them.

#include "conntrack/fixture_test.h"

#include <rte_common.h>

#define EXTERNAL ((struct test_end){EXTERNAL4, 0})

static const struct test_end pod = {"10.0.0.1", 4000}, peer = {"198.51.100.7", 80};
static const struct test_end pod6 = {"fd00::1", 4000}, peer6 = {"2001:db8:5::7", 80};
static struct test_packet whole, pieces[3];
static struct conntrack_packet parsed;

static void cut(const struct test_end *from, const struct test_end *to, uint32_t id)
{
	make_udp(&whole, *from, *to, 292);
	for (uint32_t i = 0; i < 3; i++)
		make_fragment(&pieces[i], &whole, id, i * 96, i < 2 ? 96 : 108);
}

// As the graph does it: held pieces come again after the first one.
static enum conntrack_verdict send_piece_of(uint32_t sender, bool out, struct test_packet *piece,
					    bool *ret_release)
{
	struct conntrack_rewrite rewrite;
	enum conntrack_verdict verdict;

	assert_int_equal(0,
			 conntrack_packet_parse(piece->bytes, piece->size, piece->size, &parsed));
	if (out)
		verdict = conntrack_out(table, sender, parsed.tuple.family == 4 ? 0 : 1, &parsed,
					&rewrite);
	else
		verdict = conntrack_in(table, &parsed, &rewrite);
	if (verdict == CONNTRACK_PASS) {
		conntrack_packet_rewrite(piece->bytes, &parsed, &rewrite.to, NULL, false);
		if (rewrite.renumber)
			conntrack_packet_renumber(piece->bytes, rewrite.id);
		*ret_release = rewrite.release;
	}
	return verdict;
}

static enum conntrack_verdict send_piece(bool out, struct test_packet *piece, bool *ret_release)
{
	return send_piece_of(0, out, piece, ret_release);
}

static uint32_t id_of(const struct test_packet *piece)
{
	return (uint32_t)piece->bytes[4] << 8 | piece->bytes[5];
}

// The pieces, put together, are the packet as it would have been translated in one.
static void assert_whole(const struct test_end *from, const struct test_end *to)
{
	bool ipv4 = pieces[0].bytes[0] >> 4 == 4;
	uint32_t base = ipv4 ? 20 : 40, header = ipv4 ? 20 : 48;
	struct test_packet expected;

	make_udp(&expected, *from, *to, 292);
	for (uint32_t i = 0; i < 3; i++) {
		assert_checksums(&pieces[i]);
		assert_memory_equal(expected.bytes + base + i * 96, pieces[i].bytes + header,
				    i < 2 ? 96 : 108);
	}
	assert_ends(&pieces[2], (struct test_end){from->address, 0},
		    (struct test_end){to->address, 0});
}

static void pieces_of_two_pods_with_the_same_number_have_different_ones_outside(void **state)
{
	static const struct test_end other = {"10.0.0.2", 4000};
	uint32_t first;
	bool release;

	speak_udp(0, 4000, peer);
	speak_udp(1, 4000, peer);
	cut(&pod, &peer, 7);
	for (unsigned int i = 0; i < 3; i++) // the last ones have come too early
		assert_int_equal(i == 0 ? CONNTRACK_HOLD : CONNTRACK_PASS,
				 send_piece(true, &pieces[i == 0 ? 2 : i - 1], &release));
	first = id_of(&pieces[0]);
	assert_int_equal(CONNTRACK_PASS, send_piece(true, &pieces[2], &release));
	assert_true(id_of(&pieces[1]) == first && id_of(&pieces[2]) == first);
	cut(&other, &peer, 7);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(CONNTRACK_PASS, send_piece_of(1, true, &pieces[i], &release));
		assert_checksums(&pieces[i]);
		assert_int_equal((first + 1) & 0xffff, id_of(&pieces[i]));
	}
}

static void pieces_from_outside_keep_their_number(void **state)
{
	uint16_t port = speak_udp(0, 4000, peer);
	bool release;

	cut(&peer, &(struct test_end){EXTERNAL4, port}, 7);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(CONNTRACK_PASS, send_piece(false, &pieces[i], &release));
		assert_int_equal(7, id_of(&pieces[i]));
	}
}

static void pieces_in_order_go_out_and_come_in(void **state)
{
	const struct test_end *ends[2][2] = {{&pod, &peer}, {&pod6, &peer6}};
	bool release;

	for (unsigned int f = 0; f < 2; f++) {
		const char *external = f == 0 ? EXTERNAL4 : EXTERNAL6;
		uint16_t port = speak_udp(0, 4000, *ends[f][1]);

		cut(ends[f][0], ends[f][1], 7);
		for (unsigned int i = 0; i < 3; i++) {
			assert_int_equal(CONNTRACK_PASS, send_piece(true, &pieces[i], &release));
			assert_false(release);
		}
		assert_whole(&(struct test_end){external, port}, ends[f][1]);
		cut(ends[f][1], &(struct test_end){external, port}, 8);
		for (unsigned int i = 0; i < 3; i++)
			assert_int_equal(CONNTRACK_PASS, send_piece(false, &pieces[i], &release));
		assert_whole(ends[f][1], ends[f][0]);
	}
}

static void pieces_before_the_first_wait_for_it(void **state)
{
	uint16_t port = speak_udp(0, 4000, peer);
	struct test_end external = {EXTERNAL4, port};
	struct conntrack_figures figures;
	void *released[4];
	bool release = false;

	cut(&peer, &external, 8);
	for (unsigned int i = 2; i > 0; i--) {
		assert_int_equal(CONNTRACK_HOLD, send_piece(false, &pieces[i], &release));
		assert_true(conntrack_hold(table, &pieces[i]));
	}
	conntrack_figures(table, &figures);
	assert_int_equal(2, figures.fragments_held);
	assert_int_equal(0, conntrack_released(table, released, RTE_DIM(released)));
	assert_int_equal(CONNTRACK_PASS, send_piece(false, &pieces[0], &release));
	assert_true(release);
	assert_int_equal(2, conntrack_released(table, released, RTE_DIM(released)));
	assert_int_equal(0, conntrack_released(table, released + 2, 2));
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(CONNTRACK_PASS, send_piece(false, released[i], &release));
	assert_whole(&peer, &pod);
	assert_int_equal(0, discarded);
}

static void pieces_whose_first_never_comes_are_given_back(void **state)
{
	struct conntrack_figures figures;
	bool release;

	cut(&pod, &peer, 8);
	assert_int_equal(CONNTRACK_HOLD, send_piece(true, &pieces[1], &release));
	assert_true(conntrack_hold(table, &pieces[1]));
	pass_time(2);
	assert_int_equal(0, discarded);
	pass_time(1);
	assert_int_equal(1, discarded);
	conntrack_figures(table, &figures);
	assert_int_equal(0, figures.fragments_held);
}

static void what_is_held_at_the_end_is_given_back(void **state)
{
	bool release;

	cut(&pod, &peer, 8);
	for (unsigned int i = 1; i < 3; i++) {
		assert_int_equal(CONNTRACK_HOLD, send_piece(true, &pieces[i], &release));
		assert_true(conntrack_hold(table, &pieces[i]));
	}
	conntrack_free(table);
	table = NULL;
	assert_int_equal(2, discarded);
	new_table();
}

static void nobody_can_hold_everything(void **state)
{
	unsigned int held = 0;
	bool release;

	for (uint32_t id = 0; id < 100; id++) {
		cut(&pod, &peer, id);
		assert_int_equal(CONNTRACK_HOLD, send_piece(true, &pieces[1], &release));
		held += conntrack_hold(table, &pieces[1]);
	}
	assert_in_range(held, 7, 8); // half of 16
	// Others still can.
	cut(&peer, &EXTERNAL, 1);
	assert_int_equal(CONNTRACK_HOLD, send_piece(false, &pieces[1], &release));
	assert_true(conntrack_hold(table, &pieces[1]));
}

// A packet whose pieces have all been seen is forgotten at once: or a busy pod would fill the table.
static void whole_packets_take_no_room(void **state)
{
	bool release;

	for (uint32_t id = 0; id < 1000; id++) {
		cut(&pod, &peer, id);
		for (unsigned int i = 0; i < 3; i++)
			assert_int_equal(CONNTRACK_PASS, send_piece(true, &pieces[i], &release));
	}
	for (uint32_t id = 0; id < 100; id++) { // incomplete ones do
		cut(&pod, &peer, id);
		assert_int_equal(CONNTRACK_PASS, send_piece(true, &pieces[0], &release));
	}
	cut(&pod, &peer, 99);
	assert_int_equal(CONNTRACK_HOLD, send_piece(true, &pieces[1], &release));
	pass_time(31);
	cut(&pod, &peer, 99);
	assert_int_equal(CONNTRACK_PASS, send_piece(true, &pieces[0], &release));
	assert_int_equal(CONNTRACK_PASS, send_piece(true, &pieces[1], &release));
}

static void pieces_do_not_outlive_their_pod(void **state)
{
	bool release;

	cut(&pod, &peer, 8);
	assert_int_equal(CONNTRACK_PASS, send_piece(true, &pieces[0], &release));
	conntrack_forget_pod(table, 0);
	assert_int_equal(CONNTRACK_FRAGMENT_LOST, send_piece(true, &pieces[1], &release));
}

static void two_packets_with_different_ids_are_not_mixed_up(void **state)
{
	uint16_t port = speak_udp(0, 4000, peer);
	struct test_end external = {EXTERNAL4, port};
	bool release;

	cut(&peer, &external, 8);
	assert_int_equal(CONNTRACK_PASS, send_piece(false, &pieces[0], &release));
	cut(&peer, &external, 9);
	assert_int_equal(CONNTRACK_HOLD, send_piece(false, &pieces[1], &release));
	cut(&peer, &external, 8);
	assert_int_equal(CONNTRACK_PASS, send_piece(false, &pieces[1], &release));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, table_setup, table_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pieces_in_order_go_out_and_come_in),
		TEST(pieces_of_two_pods_with_the_same_number_have_different_ones_outside),
		TEST(pieces_from_outside_keep_their_number),
		TEST(pieces_before_the_first_wait_for_it),
		TEST(pieces_whose_first_never_comes_are_given_back),
		TEST(what_is_held_at_the_end_is_given_back),
		TEST(nobody_can_hold_everything),
		TEST(whole_packets_take_no_room),
		TEST(pieces_do_not_outlive_their_pod),
		TEST(two_packets_with_different_ids_are_not_mixed_up),
	};

	return cmocka_run_group_tests_name("fragments", tests, eal_setup, eal_teardown);
}
