// SPDX-License-Identifier: BSD-3-Clause
//
// Neighbours as workers see them: looking one up, and what is told to the control thread. Workers only.

#include <unistd.h>

#include <rte_hash.h>

#include "datapath/neighbour_private.h"

static struct neighbour_key key_of(const struct rte_mbuf *m)
{
	const struct packet_meta *meta = packet_meta(m);
	struct neighbour_key key = {.slot = meta->out_slot, .is_ipv6 = !packet_is_ipv4(m)};

	memcpy(key.address, meta->next_hop, sizeof(key.address));
	return key;
}

// The event ring is read all at once, so it is rung only when nobody has since it was.
static void ring(struct neighbours *neighbours)
{
	uint64_t one = 1;

	if (!atomic_exchange(&neighbours->rung, true))
		(void)!write(neighbours->event_fd, &one, sizeof(one));
}

static bool tell(struct neighbours *neighbours, struct neighbour_event *event)
{
	if (rte_ring_mp_enqueue_elem(neighbours->events, event, sizeof(*event)) != 0)
		return false;
	ring(neighbours);
	return true;
}

void neighbour_host_moved(struct worker *w)
{
	ring(w->neighbours);
}

// The host is asked for by the gateway's address, which is its own.
static void take_host_for_next_hop(const struct snapshot *s, struct rte_mbuf *m)
{
	struct packet_meta *meta = packet_meta(m);

	memset(meta->next_hop, 0, sizeof(meta->next_hop));
	if (packet_is_ipv4(m))
		memcpy(meta->next_hop, &s->router.gateway_ipv4, 4);
	else
		memcpy(meta->next_hop, &s->router.gateway_ipv6, 16);
}

static bool find_link(const struct neighbours *neighbours, const struct neighbour_key *key,
		      uint32_t *ret_index, uint64_t *ret_link)
{
	void *index;

	if (rte_hash_lookup_data(neighbours->by_key, key, &index) < 0)
		return false;
	*ret_index = (uint32_t)(uintptr_t)index;
	*ret_link = atomic_load_explicit(&neighbours->links[*ret_index], memory_order_relaxed);
	return true;
}

enum neighbour_answer neighbour_look_up(struct worker *w, struct rte_mbuf *m,
					const struct graph_port *out)
{
	struct neighbours *neighbours = w->neighbours;
	struct neighbour_key key;
	uint32_t index;
	uint64_t link;

	if (out->config.role == DATAPATH_ROLE_HOST)
		take_host_for_next_hop(w->snapshot, m);
	key = key_of(m);
	if (!find_link(neighbours, &key, &index, &link))
		return ANSWER_WAIT;
	if (unlikely(!(link & LINK_USABLE)))
		return link & LINK_FAILED ? ANSWER_UNREACHABLE : ANSWER_WAIT;
	memcpy(&packet_meta(m)->wire_mac, &link, sizeof(packet_meta(m)->wire_mac));
	if (unlikely(link & LINK_STALE) && !atomic_exchange(&neighbours->used[index], true)) {
		struct neighbour_event event = {.key = key, .kind = EVENT_USED};

		if (!tell(neighbours, &event)) // the next packet will
			atomic_store(&neighbours->used[index], false);
	}
	return ANSWER_KNOWN;
}

bool neighbour_want(struct worker *w, const struct rte_mbuf *m)
{
	struct neighbour_event event = {.key = key_of(m), .kind = EVENT_WANTED};

	return tell(w->neighbours, &event);
}

// Is it nothing new? So that who talks much does not keep the control thread busy.
static bool is_known(uint64_t link, const uint8_t *mac, uint8_t flags)
{
	if (!(link & LINK_USABLE) || (mac != NULL && memcmp(&link, mac, RTE_ETHER_ADDR_LEN) != 0))
		return false;
	return (link & LINK_REACHABLE) || !(flags & HEARD_SOLICITED);
}

void neighbour_heard(struct worker *w, const struct rte_mbuf *m, bool is_ipv6, const void *address,
		     const uint8_t *mac, uint8_t flags)
{
	struct neighbour_event event = {
		.key = {.slot = packet_meta(m)->in_slot, .is_ipv6 = is_ipv6},
		.kind = EVENT_HEARD,
		.flags = flags,
	};
	uint32_t index;
	uint64_t link;

	memcpy(event.key.address, address, is_ipv6 ? 16 : 4);
	if (!find_link(w->neighbours, &event.key, &index, &link) || is_known(link, mac, flags))
		return;
	if (mac != NULL) {
		memcpy(event.mac, mac, sizeof(event.mac));
		event.flags |= HEARD_MAC;
	}
	tell(w->neighbours, &event); // full: it will be asked again
}
