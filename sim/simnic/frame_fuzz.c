// SPDX-License-Identifier: BSD-3-Clause
//
// libFuzzer: bytes into the packet parser, the lookup and the actions, as a function's netdev or a port would bring them:
//
//     how it came | actions of group 0 | of group 1 | virtio-net header or mbuf fields | frame
//
// Whatever the frame is, the key is afterwards what one would read from the frame as it is then, its parts add up to its
// length, and what is counted is what one would count.

#include <stdlib.h>
#include <string.h>

#include <rte_flow.h>
#include <rte_mbuf.h>

#include "sim/simnic/eswitch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEGMENTS = 5, LISTS = 2, LIST_SIZE = 6 };

struct input {
	const uint8_t *data;
	size_t size;
};

static struct frame_buffer *buffer;
static struct device device;
static struct function function = {.device = &device, .index = 2, .port.mtu = 9000};

static void check(bool good)
{
	if (!good)
		abort();
}

static uint8_t take(struct input *input)
{
	if (input->size == 0)
		return 0;
	input->size--;
	return *input->data++;
}

static uint16_t take_u16(struct input *input)
{
	uint16_t high = take(input);

	return high << 8 | take(input);
}

// ---- frames ---------------------------------------------------------------------------------------------

static bool from_netdev(struct input *input)
{
	size_t size;

	for (unsigned int i = 0; i < CARD_VNET_HEADER_SIZE; i++)
		buffer->received.vnet[i] = take(input);
	size = RTE_MIN(input->size, sizeof(buffer->received.data));
	memcpy(buffer->received.data, input->data, size);
	return frame_from_netdev(buffer, &function, size + CARD_VNET_HEADER_SIZE) == FRAME_OK;
}

// A chain over copies of the bytes, each as long as it is.
static bool from_mbufs(struct input *input, struct rte_mbuf mbufs[SEGMENTS],
		       uint8_t *memory[SEGMENTS])
{
	static const uint64_t flags[] = {RTE_MBUF_F_TX_IPV4,      RTE_MBUF_F_TX_IPV6,
					 RTE_MBUF_F_TX_IP_CKSUM,  RTE_MBUF_F_TX_TCP_CKSUM,
					 RTE_MBUF_F_TX_UDP_CKSUM, RTE_MBUF_F_TX_TCP_SEG};
	struct rte_mbuf *first = &mbufs[0];
	uint8_t wanted = take(input);
	uint16_t sizes[SEGMENTS];

	for (unsigned int i = 0; i < RTE_DIM(flags); i++)
		first->ol_flags |= wanted & 1 << i ? flags[i] : 0;
	first->l2_len = take(input);
	first->l3_len = take_u16(input);
	first->l4_len = take(input);
	first->tso_segsz = take_u16(input);
	for (unsigned int i = 0; i + 1 < SEGMENTS; i++)
		sizes[i] = take_u16(input) % 2048;
	sizes[SEGMENTS - 1] = UINT16_MAX;
	first->pkt_len = RTE_MIN(input->size, (size_t)UINT16_MAX);
	for (unsigned int i = 0; i < SEGMENTS; i++) {
		size_t size = RTE_MIN(input->size, (size_t)sizes[i]);

		memory[i] = malloc(size > 0 ? size : 1);
		check(memory[i] != NULL);
		memcpy(memory[i], input->data, size);
		input->data += size;
		input->size -= size;
		mbufs[i].buf_addr = memory[i];
		mbufs[i].data_len = size;
		mbufs[i].next = i + 1 < SEGMENTS ? &mbufs[i + 1] : NULL;
	}
	first->nb_segs = SEGMENTS;
	return frame_from_mbuf(buffer, &function, first) == FRAME_OK;
}

// ---- rules ----------------------------------------------------------------------------------------------

static uint8_t bytes[FLOW_ENCAP_MAX];
static const struct rte_flow_action_of_push_vlan push = {RTE_BE16(RTE_ETHER_TYPE_VLAN)};
static const struct rte_flow_action_of_set_vlan_vid vid = {RTE_BE16(7)};
static const struct rte_flow_action_set_tag tag = {.data = 1, .mask = 3, .index = 1};
static const struct rte_flow_action_set_tp vxlan_port = {RTE_BE16(4789)};
// Ethernet, IPv4 or IPv6, UDP, VXLAN.
static uint8_t over_ipv4[50] =
	{[12] = 0x08, [14] = 0x45, [23] = 17, [36] = 0x12, 0xb5, [42] = 0x08},
	       over_ipv6[70] = {[12] = 0x86, 0xdd, 0x60, [20] = 17, [56] = 0x12, 0xb5, [62] = 0x08};
static const struct rte_flow_action_raw_encap encap4 = {.data = over_ipv4,
							.size = sizeof(over_ipv4)},
					      encap6 = {.data = over_ipv6,
							.size = sizeof(over_ipv6)},
					      l2 = {.data = bytes, .size = 14};
static const struct rte_flow_action_raw_decap decap = {.data = over_ipv4,
						       .size = sizeof(over_ipv4)},
					      cut = {.data = bytes, .size = 14};

#define ACTION(kind, ...)                                                                          \
	{                                                                                          \
		.type = RTE_FLOW_ACTION_TYPE_##kind, ##__VA_ARGS__                                 \
	}
static const struct rte_flow_action catalogue[] = {
	ACTION(SET_MAC_SRC, .conf = bytes),
	ACTION(SET_MAC_DST, .conf = bytes),
	ACTION(SET_IPV4_SRC, .conf = bytes),
	ACTION(SET_IPV4_DST, .conf = bytes),
	ACTION(SET_IPV6_SRC, .conf = bytes),
	ACTION(SET_IPV6_DST, .conf = bytes),
	ACTION(SET_TP_SRC, .conf = bytes),
	ACTION(SET_TP_DST, .conf = bytes),
	ACTION(SET_TP_DST, .conf = &vxlan_port),
	ACTION(DEC_TTL),
	ACTION(SET_TTL, .conf = bytes),
	ACTION(OF_PUSH_VLAN, .conf = &push),
	ACTION(OF_POP_VLAN),
	ACTION(OF_SET_VLAN_VID, .conf = &vid),
	ACTION(RAW_ENCAP, .conf = &encap4),
	ACTION(RAW_ENCAP, .conf = &encap6),
	ACTION(RAW_ENCAP, .conf = &l2),
	ACTION(RAW_DECAP, .conf = &decap),
	ACTION(RAW_DECAP, .conf = &cut),
	ACTION(VXLAN_DECAP),
	ACTION(SET_TAG, .conf = &tag),
	ACTION(VOID),
};

struct list {
	struct rte_flow_action actions[LIST_SIZE + 2];
};

static void take_list(struct input *input, struct list *list)
{
	for (unsigned int i = 0; i < LIST_SIZE; i++)
		list->actions[i] = catalogue[take(input) % RTE_DIM(catalogue)];
	list->actions[LIST_SIZE] = (struct rte_flow_action)ACTION(DROP);
	list->actions[LIST_SIZE + 1] = (struct rte_flow_action)ACTION(END);
}

// As a rule that asks for all that the frame has. NULL: the list makes no sense for it.
static struct flow_actions *compile(const struct list *list, const struct flow_packet *packet)
{
	struct flow_match match = {0};
	struct flow_actions *actions;
	struct rte_flow_error error;

	match.mask.outer.layers = match.value.outer.layers = packet->key.outer.layers;
	match.mask.inner.layers = match.value.inner.layers = packet->key.inner.layers;
	match.mask.tunnel = UINT8_MAX;
	match.value.tunnel = packet->key.tunnel;
	return flow_actions_compile(&device, &match, 0, list->actions, &actions, &error) == 0
		       ? actions
		       : NULL;
}

// ---- what holds -----------------------------------------------------------------------------------------

static void check_parts(const struct frame *frame)
{
	volatile uint8_t last;
	size_t total = 0;

	check(frame->parts >= 2 && frame->parts <= RTE_DIM(frame->iov));
	for (unsigned int i = 1; i < frame->parts; i++) {
		const uint8_t *data = frame->iov[i].iov_base;

		total += frame->iov[i].iov_len;
		for (size_t j = 0; j < frame->iov[i].iov_len; j++)
			last = data[j];
	}
	(void)last;
	check(total == frame->length);
}

static void check_key(const struct flow_packet *packet)
{
	struct flow_offsets offsets;
	struct flow_key key;

	flow_key_read(&packet->buffer->frame, packet->on_wire.longest, &key, &offsets);
	key.metadata = packet->key.metadata;
	memcpy(key.tags, packet->key.tags, sizeof(key.tags));
	check(memcmp(&key, &packet->key, sizeof(key)) == 0);
	check(memcmp(&offsets, &packet->offsets, sizeof(offsets)) == 0);
}

static void check_counts(const struct flow_packet *packet)
{
	const struct frame *frame = &packet->buffer->frame;

	if (frame->vnet.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return; // headers may have become others for the one that segments it
	check(packet->on_wire.bytes == frame->length && packet->on_wire.longest == frame->length);
}

static void run_lists(const struct list lists[LISTS])
{
	struct flow_packet packet = {.buffer = buffer};

	if (frame_measure(&buffer->frame, &packet.on_wire) != FRAME_OK)
		return;
	flow_key_read(&buffer->frame, packet.on_wire.longest, &packet.key, &packet.offsets);
	for (unsigned int i = 0; i < LISTS; i++) {
		struct flow_actions *actions = compile(&lists[i], &packet);
		bool done;

		if (actions == NULL)
			continue;
		done = flow_actions_run(actions, &packet) != NULL;
		flow_actions_free(actions);
		check_parts(&buffer->frame);
		if (!done)
			return;
		flow_packet_refresh(&packet);
		check_key(&packet);
		check_counts(&packet);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	struct rte_mbuf mbufs[SEGMENTS];
	uint8_t *memory[SEGMENTS] = {NULL};
	struct list lists[LISTS];
	uint8_t how;

	if (buffer == NULL &&
	    posix_memalign((void **)&buffer, RTE_CACHE_LINE_SIZE, sizeof(*buffer)) != 0)
		return 0;
	memset(&buffer->frame, 0, sizeof(buffer->frame));
	memset(mbufs, 0, sizeof(mbufs));
	how = take(&input);
	for (unsigned int i = 0; i < RTE_DIM(bytes); i++)
		bytes[i] = how >> 1;
	for (unsigned int i = 0; i < LISTS; i++)
		take_list(&input, &lists[i]);
	if (how & 1 ? from_mbufs(&input, mbufs, memory) : from_netdev(&input)) {
		check_parts(&buffer->frame);
		run_lists(lists);
	}
	for (unsigned int i = 0; i < SEGMENTS; i++)
		free(memory[i]);
	return 0;
}
