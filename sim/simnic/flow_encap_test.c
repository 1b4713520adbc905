// SPDX-License-Identifier: BSD-3-Clause
//
// Tunnels and tags: what comes in front of frames is what the definition says, with lengths and checksums as one would
// compute them; what goes leaves the frame that was inside.

#include <errno.h>
#include <stdlib.h>

#include <rte_errno.h>
#include <rte_udp.h>
#include <rte_vxlan.h>

#include "sim/simnic/compat.h"
#include "sim/simnic/test_rewrite.h"

#define ITEM(kind, ...)                                                                            \
	{                                                                                          \
		.type = RTE_FLOW_ITEM_TYPE_##kind, ##__VA_ARGS__                                   \
	}
#define END ITEM(END)
#define ACTION(kind, ...)                                                                          \
	((struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_##kind, ##__VA_ARGS__})

static uint8_t flat[SIMNIC_FRAME_MAX + 1];

// The frame in one piece; its length.
static uint32_t flatten(void)
{
	const struct frame *frame = &buffer->frame;
	uint32_t at = 0;

	for (unsigned int i = 1; i < frame->parts; i++) {
		assert_true(at + frame->iov[i].iov_len <= sizeof(flat));
		memcpy(flat + at, frame->iov[i].iov_base, frame->iov[i].iov_len);
		at += frame->iov[i].iov_len;
	}
	assert_int_equal(at, frame->length);
	return at;
}

// A frame of the packet, by a function or a port, and the mbufs to be freed.
static struct rte_mbuf *make(bool by_port, enum checksum checksum)
{
	if (by_port)
		return send_by_port(checksum);
	receive_from_function(checksum);
	return NULL;
}

// ---- tunnels --------------------------------------------------------------------------------------------

static const struct rte_flow_item_eth outer_eth = {
	.hdr = {.dst_addr = {{2, 1, 1, 1, 1, 1}}, .src_addr = {{2, 2, 2, 2, 2, 2}}}};
static const struct rte_flow_item_vlan outer_vlan = {.hdr.vlan_tci = RTE_BE16(0x2064)};
static const struct rte_flow_item_ipv4 outer_ipv4 = {.hdr = {.src_addr = RTE_BE32(0xc0000201),
							     .dst_addr = RTE_BE32(0xc0000202),
							     .type_of_service = 0xb8}};
static const struct rte_flow_item_ipv6 outer_ipv6 = {.hdr = {.src_addr = IPV6(0x20, 1, [15] = 1),
							     .dst_addr = IPV6(0x20, 1, [15] = 2),
							     .hop_limits = 9}};
static const struct rte_flow_item_udp outer_udp = {.hdr.dst_port = 0},
				      outer_udp_ports = {.hdr = {.src_port = RTE_BE16(5000),
								 .dst_port = RTE_BE16(4789)}};
static const struct rte_flow_item_vxlan outer_vxlan = {.hdr.vx_vni = RTE_BE32(0x12345600)};

static const struct rte_flow_item
	over_ipv4[] = {ITEM(ETH, .spec = &outer_eth), ITEM(IPV4, .spec = &outer_ipv4),
		       ITEM(UDP, .spec = &outer_udp), ITEM(VXLAN, .spec = &outer_vxlan), END},
	over_ipv6[] = {ITEM(ETH, .spec = &outer_eth),     ITEM(VOID),
		       ITEM(IPV6, .spec = &outer_ipv6),   ITEM(UDP, .spec = &outer_udp),
		       ITEM(VXLAN, .spec = &outer_vxlan), END},
	over_vlan[] = {ITEM(ETH, .spec = &outer_eth),     ITEM(VLAN, .spec = &outer_vlan),
		       ITEM(IPV4, .spec = &outer_ipv4),   ITEM(UDP, .spec = &outer_udp_ports),
		       ITEM(VXLAN, .spec = &outer_vxlan), END};
static const struct rte_flow_item *const definitions[] = {over_ipv4, over_ipv6, over_vlan};

static uint16_t sum_by_the_book(const uint8_t *data, uint32_t size, uint32_t sum)
{
	for (uint32_t i = 0; i < size; i++)
		sum += i % 2 == 0 ? data[i] << 8 : data[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

// The headers in flat are definition `which`'s, and belong to what follows them; returns their size.
static uint32_t check_outer(unsigned int which, uint32_t length, uint16_t *ret_source_port)
{
	uint32_t at = 14, udp_length;
	bool ipv6 = which == 1;

	assert_memory_equal(flat, &outer_eth, 12);
	if (which == 2) {
		assert_memory_equal(flat + 12, "\x81\x00\x20\x64", 4);
		at += 4;
	}
	assert_memory_equal(flat + at - 2, ipv6 ? "\x86\xdd" : "\x08\x00", 2);
	if (ipv6) {
		const struct rte_ipv6_hdr *ip = (void *)(flat + at);

		assert_int_equal(ip->vtc_flow, RTE_BE32(0x60000000));
		assert_int_equal(ip->proto, IPPROTO_UDP);
		assert_int_equal(ip->hop_limits, 9);
		assert_int_equal(ntohs(ip->payload_len), length - at - 40);
		assert_memory_equal(&ip->src_addr, &outer_ipv6.hdr.src_addr, 32);
		at += 40;
		udp_length = length - at;
		assert_int_equal(
			sum_by_the_book(flat + at - 32, udp_length + 32, IPPROTO_UDP + udp_length),
			0xffff);
		assert_memory_not_equal(flat + at + 6, "\0\0", 2);
	} else {
		const struct rte_ipv4_hdr *ip = (void *)(flat + at);

		assert_int_equal(ip->version_ihl, 0x45);
		assert_int_equal(ip->type_of_service, 0xb8);
		assert_int_equal(ip->time_to_live, 64);
		assert_int_equal(ip->next_proto_id, IPPROTO_UDP);
		assert_int_equal(ntohs(ip->total_length), length - at);
		assert_int_equal(sum_by_the_book(flat + at, 20, 0), 0xffff);
		assert_memory_equal(&ip->src_addr, &outer_ipv4.hdr.src_addr, 8);
		at += 20;
		udp_length = length - at;
		assert_memory_equal(flat + at + 6, "\0\0", 2);
	}
	*ret_source_port = flat[at] << 8 | flat[at + 1];
	assert_int_equal(flat[at + 2] << 8 | flat[at + 3], 4789);
	assert_int_equal(flat[at + 4] << 8 | flat[at + 5], udp_length);
	assert_memory_equal(flat + at + 8, "\x08\0\0\0\x12\x34\x56\0", 8);
	return at + 16;
}

// The packet with its checksums finished.
static void finish_packet(enum checksum checksum, enum fragment fragment)
{
	finish_ipv4();
	if (has_checksum(fragment))
		finish_l4(checksum == PARTIAL ? WHOLE : checksum);
}

static void vxlan_goes_around_a_frame_and_off_again(void **state)
{
	for (unsigned int i = 0; i < 6000; i++) {
		struct rte_flow_action_vxlan_encap encap = {
			.definition = (void *)(uintptr_t)definitions[i % 3]};
		struct flow_packet run;
		enum checksum checksum;
		enum fragment fragment;
		struct rte_mbuf *mbuf;
		uint32_t outer, length;
		uint16_t port;

		build_random(&checksum, &fragment);
		if (checksum == SEGMENTED)
			continue;
		finish_ipv4();
		if (has_checksum(fragment))
			finish_l4(checksum);
		mbuf = make(i & 1, checksum);
		finish_packet(checksum, fragment);
		set_list(RTE_FLOW_ACTION_TYPE_VXLAN_ENCAP, &encap);
		run_list(&run);
		length = flatten();
		outer = check_outer(i % 3, length, &port);
		assert_int_equal(length, outer + packet.length);
		assert_memory_equal(flat + outer, packet.data, packet.length);
		assert_int_equal(run.key.tunnel, FLOW_TUNNEL_VXLAN);
		if (i % 3 == 2)
			assert_int_equal(port, 5000);
		else
			assert_true(port >= 49152);

		set_list(RTE_FLOW_ACTION_TYPE_VXLAN_DECAP, NULL);
		run_list(&run);
		assert_frame_is_packet();
		assert_int_equal(run.key.tunnel, FLOW_TUNNEL_NONE);
		rte_pktmbuf_free(mbuf);
	}
}

static void a_flow_has_one_source_port_and_flows_have_many(void **state)
{
	struct rte_flow_action_vxlan_encap encap = {.definition = (void *)(uintptr_t)over_ipv4};
	uint16_t ports[64];
	unsigned int different = 0;

	for (unsigned int i = 0; i < 128; i++) {
		struct flow_packet run;
		uint16_t port;

		build(IPPROTO_TCP, i, 0); // another length, the same flow
		packet.data[packet.l4 + 1] = i / 2;
		packet.data[packet.l3 + 5] = i; // IP ID
		finish_ipv4();
		finish_l4(WHOLE);
		receive_from_function(WHOLE);
		set_list(RTE_FLOW_ACTION_TYPE_VXLAN_ENCAP, &encap);
		run_list(&run);
		check_outer(0, flatten(), &port);
		if (i % 2 == 1)
			assert_int_equal(port, ports[i / 2]);
		ports[i / 2] = port;
	}
	for (unsigned int i = 0; i < 64; i++)
		for (unsigned int j = 0; j < i; j++)
			different += ports[i] != ports[j];
	assert_true(different > 64 * 63 / 2 - 10);
}

static void raw_headers_do_the_same(void **state)
{
	for (unsigned int i = 0; i < 3; i++) {
		struct rte_flow_action_vxlan_encap encap = {
			.definition = (void *)(uintptr_t)definitions[i]};
		struct flow_encap *bytes;
		struct rte_flow_action_raw_encap raw = {0};
		struct rte_flow_action_raw_decap decap;
		struct flow_packet run;
		static uint8_t expected[4096];
		uint32_t length;

		build(IPPROTO_UDP, 200, 0);
		finish_l4(WHOLE);
		receive_from_function(WHOLE);
		set_list(RTE_FLOW_ACTION_TYPE_VXLAN_ENCAP, &encap);
		run_list(&run);
		length = flatten();
		memcpy(expected, flat, length);

		assert_int_equal(flow_encap_vxlan(definitions[i], &bytes), 0);
		raw.data = bytes->data;
		raw.size = bytes->size;
		receive_from_function(WHOLE);
		set_list(RTE_FLOW_ACTION_TYPE_RAW_ENCAP, &raw);
		run_list(&run);
		assert_int_equal(flatten(), length);
		assert_memory_equal(flat, expected, length);

		decap = (struct rte_flow_action_raw_decap){.data = bytes->data,
							   .size = bytes->size};
		set_list(RTE_FLOW_ACTION_TYPE_RAW_DECAP, &decap);
		run_list(&run);
		assert_frame_is_packet();
		free(bytes);
	}
}

static void an_ethernet_header_is_exchanged_for_another(void **state)
{
	static uint8_t old[14],
		new[] = {2, 9, 9, 9, 9, 9, 2, 8, 8, 8, 8, 8, 0x81, 0x00, 0x00, 0x07, 0x08, 0x00};
	const struct rte_flow_action_raw_decap decap = {.data = old, .size = sizeof(old)};
	const struct rte_flow_action_raw_encap encap = {.data = new, .size = sizeof(new)};

	for (unsigned int i = 0; i < 200; i++) {
		struct flow_packet run;
		struct rte_mbuf *mbuf;

		build(IPPROTO_TCP, random_below(1000), 0);
		finish_l4(WHOLE);
		mbuf = make(i & 1, WHOLE);
		list[0] = ACTION(RAW_DECAP, .conf = &decap);
		list[1] = ACTION(RAW_ENCAP, .conf = &encap);
		list[2] = ACTION(DROP);
		list[3] = ACTION(END);
		run_list(&run);
		memmove(packet.data + sizeof(new), packet.data + sizeof(old), packet.length);
		memcpy(packet.data, new, sizeof(new));
		packet.length += sizeof(new) - sizeof(old);
		assert_frame_is_packet();
		rte_pktmbuf_free(mbuf);
	}
}

static void a_frame_to_be_segmented_does_not_fit_into_a_tunnel(void **state)
{
	struct rte_flow_action_vxlan_encap encap = {.definition = (void *)(uintptr_t)over_ipv4};
	struct flow_packet run;

	build(IPPROTO_TCP, 20000, 0);
	finish_l4(SEGMENTED);
	receive_from_function(SEGMENTED);
	set_list(RTE_FLOW_ACTION_TYPE_VXLAN_ENCAP, &encap);
	assert_false(try_list(&run));
	// Nor does one that would be longer than IP can say, nor does the buffer run over.
	build(IPPROTO_UDP, 65535 - 28, 0);
	receive_from_function(WHOLE);
	assert_false(try_list(&run));
	build(IPPROTO_UDP, 100, 0);
	receive_from_function(WHOLE);
	for (unsigned int i = 0; i < 30; i++)
		if (!try_list(&run))
			return;
	fail_msg("there is no end to the room in front of a frame");
}

static void a_tunnel_without_a_frame_inside_is_not_opened(void **state)
{
	struct flow_packet run;

	build(IPPROTO_UDP, 8 + 13, 0); // a byte less than an Ethernet header
	put16(packet.l4 + 2, 4789);
	memset(packet.data + packet.l4 + 8, 0, 21);
	packet.data[packet.l4 + 8] = 0x08;
	receive_from_function(WHOLE);
	set_list(RTE_FLOW_ACTION_TYPE_VXLAN_DECAP, NULL);
	assert_false(try_list(&run));
}

// ---- VLAN -----------------------------------------------------------------------------------------------

static void insert_tag(uint16_t type, uint16_t tci)
{
	memmove(packet.data + 16, packet.data + 12, packet.length - 12);
	put16(12, type);
	put16(14, tci);
	packet.length += 4;
	packet.l3 += 4;
	packet.l4 += 4;
}

static void remove_tag(void)
{
	memmove(packet.data + 12, packet.data + 16, packet.length - 16);
	packet.length -= 4;
	packet.l3 -= 4;
	packet.l4 -= 4;
}

static void tags_are_pushed_set_and_popped_and_offloads_move_along(void **state)
{
	const struct rte_flow_action_of_push_vlan push = {RTE_BE16(0x88a8)};
	const struct rte_flow_action_of_set_vlan_vid vid = {RTE_BE16(0x123)};
	const struct rte_flow_action_of_set_vlan_pcp pcp = {5};

	for (unsigned int i = 0; i < 6000; i++) {
		const struct frame *frame = &buffer->frame;
		struct flow_packet run;
		enum checksum checksum;
		enum fragment fragment;
		struct rte_mbuf *mbuf;
		bool tagged;

		build_random(&checksum, &fragment);
		tagged = packet.l3 == 18;
		finish_ipv4();
		if (has_checksum(fragment))
			finish_l4(checksum);
		mbuf = make(i & 1, checksum);
		list[0] = ACTION(OF_PUSH_VLAN, .conf = &push);
		list[1] = ACTION(OF_SET_VLAN_PCP, .conf = &pcp);
		list[2] = i % 3 == 0 ? ACTION(VOID) : ACTION(OF_SET_VLAN_VID, .conf = &vid);
		list[3] = ACTION(DROP);
		list[4] = ACTION(END);
		run_list(&run);
		insert_tag(0x88a8, 0xa000 | (i % 3 != 0 ? 0x123 : tagged ? 0x005 : 0));
		assert_frame_is_packet();
		if (checksum == PARTIAL || checksum == SEGMENTED)
			assert_int_equal(
				((struct virtio_net_hdr *)frame->iov[0].iov_base)->csum_start,
				packet.l4);
		if (i % 2 == 0) {
			set_list(RTE_FLOW_ACTION_TYPE_OF_POP_VLAN, NULL);
			run_list(&run);
			remove_tag();
			assert_frame_is_packet();
		}
		// The stack's work can still be done.
		if (checksum == PARTIAL) {
			assert_true(frame_finish_checksum(buffer));
			finish_l4(WHOLE);
			assert_frame_is_packet();
		}
		rte_pktmbuf_free(mbuf);
	}
}

// ---- refusals -------------------------------------------------------------------------------------------

static void check_list(const char *what, const struct flow_match *match,
		       const struct rte_flow_action *actions, unsigned int bad, int code,
		       enum rte_flow_error_type type)
{
	struct flow_actions *compiled;
	struct rte_flow_error error = {0};
	int result = flow_actions_compile(&device, match, 0, actions, &compiled, &error);

	if (result != -code || rte_errno != code || error.type != type ||
	    error.cause != &actions[bad] || error.message == NULL)
		fail_msg("%s: result %d, rte_errno %d, type %d, message %s", what, result,
			 rte_errno, error.type, error.message ?: "(none)");
}

#define ACTIONS(...) ((const struct rte_flow_action[]){__VA_ARGS__, ACTION(END)})
#define TYPE_ACTION  RTE_FLOW_ERROR_TYPE_ACTION
#define TYPE_CONF    RTE_FLOW_ERROR_TYPE_ACTION_CONF

static void actions_on_headers_that_make_no_sense_are_refused(void **state)
{
	static uint8_t bytes[300] = {[12] = 0x12, 0x34}, some[14] = {1};
	const struct rte_flow_item no_udp[] = {ITEM(ETH, .spec = &outer_eth),
					       ITEM(IPV4, .spec = &outer_ipv4),
					       ITEM(VXLAN, .spec = &outer_vxlan), END},
				   no_end[] = {ITEM(ETH, .spec = &outer_eth),
					       ITEM(IPV4, .spec = &outer_ipv4),
					       ITEM(UDP, .spec = &outer_udp), END},
				   no_spec[] = {ITEM(ETH), ITEM(IPV4, .spec = &outer_ipv4), END};
	const struct rte_flow_item *const wrong[] = {no_udp, no_end, no_spec, over_ipv4 + 1};
	const struct rte_flow_action drop = ACTION(DROP);
	const struct rte_flow_action_of_push_vlan push = {RTE_BE16(0x0800)};
	const struct rte_flow_action_of_set_vlan_vid vid = {RTE_BE16(0x1000)};
	const struct rte_flow_action_of_set_vlan_pcp pcp = {8};
	const struct rte_flow_action_raw_encap too_short = {.data = bytes, .size = 13},
					       too_long = {.data = bytes, .size = 257},
					       kept = {.data = bytes, .preserve = some, .size = 14},
					       nothing = {.size = 14},
					       good = {.data = bytes, .size = 14};
	const struct rte_flow_action_raw_decap l2 = {.data = bytes, .size = 14},
					       more = {.data = bytes, .size = 30},
					       none = {.size = 14};
	struct flow_match plain = {0}, tagged = {0};

	plain.mask.outer.layers = plain.value.outer.layers =
		FLOW_HAS_ETH | FLOW_HAS_IPV4 | FLOW_HAS_UDP;
	tagged.mask.outer.layers = tagged.value.outer.layers = FLOW_HAS_ETH | FLOW_HAS_VLAN;
	for (unsigned int i = 0; i < RTE_DIM(wrong); i++) {
		const struct rte_flow_action_vxlan_encap encap = {
			.definition = (void *)(uintptr_t)wrong[i]};

		check_list("a wrong definition", &plain,
			   ACTIONS(ACTION(VXLAN_ENCAP, .conf = &encap), drop), 0, EINVAL,
			   TYPE_CONF);
	}
	check_list("no definition", &plain,
		   ACTIONS(ACTION(VXLAN_ENCAP, .conf = &(struct rte_flow_action_vxlan_encap){0}),
			   drop),
		   0, EINVAL, TYPE_CONF);
	check_list("no conf", &plain, ACTIONS(ACTION(VXLAN_ENCAP), drop), 0, EINVAL, TYPE_CONF);
	check_list("no tunnel", &plain, ACTIONS(ACTION(VXLAN_DECAP), drop), 0, EINVAL, TYPE_ACTION);
	check_list("too short", &plain, ACTIONS(ACTION(RAW_ENCAP, .conf = &too_short), drop), 0,
		   EINVAL, TYPE_CONF);
	check_list("too long", &plain, ACTIONS(ACTION(RAW_ENCAP, .conf = &too_long), drop), 0,
		   ENOTSUP, TYPE_CONF);
	check_list("preserved", &plain, ACTIONS(ACTION(RAW_ENCAP, .conf = &kept), drop), 0, ENOTSUP,
		   TYPE_CONF);
	check_list("no data", &plain, ACTIONS(ACTION(RAW_ENCAP, .conf = &nothing), drop), 0, EINVAL,
		   TYPE_CONF);
	check_list("no header again", &plain, ACTIONS(ACTION(RAW_DECAP, .conf = &l2), drop), 2,
		   EINVAL, TYPE_ACTION);
	check_list("a tag in front of nothing", &plain,
		   ACTIONS(ACTION(RAW_DECAP, .conf = &l2),
			   ACTION(OF_PUSH_VLAN,
				  .conf = &(struct rte_flow_action_of_push_vlan){RTE_BE16(0x8100)}),
			   drop),
		   1, EINVAL, TYPE_ACTION);
	check_list("something else", &plain, ACTIONS(ACTION(RAW_DECAP, .conf = &more), drop), 0,
		   ENOTSUP, TYPE_CONF);
	check_list("nothing", &plain, ACTIONS(ACTION(RAW_DECAP, .conf = &none), drop), 0, EINVAL,
		   TYPE_CONF);
	check_list("what is not there any more", &plain,
		   ACTIONS(ACTION(RAW_ENCAP, .conf = &good), ACTION(DEC_TTL), drop), 1, EINVAL,
		   TYPE_ACTION);
	check_list("no tag", &plain, ACTIONS(ACTION(OF_POP_VLAN), drop), 0, EINVAL, TYPE_ACTION);
	check_list("no tag to set", &plain, ACTIONS(ACTION(OF_SET_VLAN_VID, .conf = &vid), drop), 0,
		   EINVAL, TYPE_ACTION);
	check_list("a second tag nobody asked for", &tagged,
		   ACTIONS(ACTION(OF_POP_VLAN), ACTION(OF_POP_VLAN), drop), 1, EINVAL, TYPE_ACTION);
	check_list("another type", &plain, ACTIONS(ACTION(OF_PUSH_VLAN, .conf = &push), drop), 0,
		   EINVAL, TYPE_CONF);
	check_list("a long ID", &tagged, ACTIONS(ACTION(OF_SET_VLAN_VID, .conf = &vid), drop), 0,
		   EINVAL, TYPE_CONF);
	check_list("a long priority", &tagged, ACTIONS(ACTION(OF_SET_VLAN_PCP, .conf = &pcp), drop),
		   0, EINVAL, TYPE_CONF);
	check_list("an encapsulation, and then an error", &plain,
		   ACTIONS(ACTION(RAW_ENCAP, .conf = &good), drop, drop), 2, EINVAL, TYPE_ACTION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(vxlan_goes_around_a_frame_and_off_again),
		TEST(a_flow_has_one_source_port_and_flows_have_many),
		TEST(raw_headers_do_the_same),
		TEST(an_ethernet_header_is_exchanged_for_another),
		TEST(a_frame_to_be_segmented_does_not_fit_into_a_tunnel),
		TEST(a_tunnel_without_a_frame_inside_is_not_opened),
		TEST(tags_are_pushed_set_and_popped_and_offloads_move_along),
		TEST(actions_on_headers_that_make_no_sense_are_refused),
	};

	return frame_tests_run(tests, RTE_DIM(tests));
}
