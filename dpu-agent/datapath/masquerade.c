// SPDX-License-Identifier: BSD-3-Clause
//
// Between the graph's packets and the table of connections.

#include <errno.h>

#include <rte_cycles.h>
#include <rte_errno.h>

#include "datapath/datapath_private.h"
#include "datapath/masquerade_private.h"
#include "datapath/trace_worker.h"

enum {
	EXPIRE_BUDGET = 64, // connections looked at in one walk, for their end
	FRAGMENTED = 1024,  // packets in pieces under way
	HELD = 256,         // fragments that wait for their first: of the ports' buffers
	HANDOVER = 4096,    // packets between two workers
};

// ---- life ----------------------------------------------------------------------------------------

static void discard(void *packet)
{
	struct rte_mbuf *m = packet;

	if (worker_self != NULL)
		count_drop(worker_self, packet_meta(m)->in_slot, DROP_NAT_FRAGMENT_LOST);
	rte_pktmbuf_free(m);
}

static uint32_t clock_s(void)
{
	return (uint32_t)(rte_rdtsc() / rte_get_tsc_hz());
}

int masquerade_new(const struct masquerade_config *config, struct carry *carry,
		   struct worker **workers, uint32_t count, struct masquerade **ret_masquerade,
		   struct error *err)
{
	struct masquerade *masquerade;

	masquerade = calloc(1, sizeof(*masquerade));
	if (masquerade == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "masquerade: out of memory");
	masquerade->carry = carry;
	masquerade->workers = workers;
	masquerade->worker_count = count;
	masquerade->now_s = clock_s();
	masquerade->table = conntrack_new(
		&(struct conntrack_config){
			.connections = config->connections,
			.pods = DATAPATH_PORTS_MAX,
			.first_port = config->first_port,
			.last_port = config->last_port,
			.first_identifier = config->first_identifier,
			.last_identifier = config->last_identifier,
			.pick_up = config->pick_up,
			.timeouts = config->timeouts,
			.fragmented = FRAGMENTED,
			.held = HELD,
			.discard = discard,
			.recall = carry_recall,
			.context = masquerade,
		},
		SOCKET_ID_ANY, masquerade->now_s);
	if (count > 1)
		masquerade->handover =
			rte_ring_create("masquerade", HANDOVER, SOCKET_ID_ANY, RING_F_SC_DEQ);
	if (masquerade->table == NULL || (count > 1 && masquerade->handover == NULL)) {
		masquerade_free(masquerade);
		return error_set(err, ENOMEM, CODE_INTERNAL,
				 "masquerade: no memory for %u connections (dpdk.memory_mb, "
				 "masquerade.connections): %s",
				 config->connections, rte_strerror(rte_errno));
	}
	*ret_masquerade = masquerade;
	return 0;
}

void masquerade_free(struct masquerade *masquerade)
{
	void *m;

	if (masquerade == NULL)
		return;
	while (masquerade->handover != NULL && rte_ring_dequeue(masquerade->handover, &m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(masquerade->handover);
	conntrack_free(masquerade->table);
	free(masquerade);
}

// ---- following the control thread ----------------------------------------------------------------

static void follow_pods(struct masquerade *masquerade, const struct snapshot *s)
{
	for (uint16_t slot = 0; slot < DATAPATH_PORTS_MAX; slot++) {
		const struct graph_port *port = s->ports[slot];
		uint32_t generation = port != NULL && port->config.role != DATAPATH_ROLE_UPLINK
					      ? port->generation
					      : 0;

		if (masquerade->generations[slot] == generation)
			continue;
		if (masquerade->generations[slot] != 0)
			conntrack_forget_pod(masquerade->table, slot);
		masquerade->generations[slot] = generation;
	}
}

static void follow_addresses(struct masquerade *masquerade, const struct wire *wire)
{
	union conntrack_address ipv4 = {0}, ipv6 = {0};
	bool has_ipv4 = wire != NULL && wire->config.has_ipv4;
	bool has_ipv6 = wire != NULL && wire->config.has_ipv6;

	if (has_ipv4)
		ipv4.ipv4_be = wire->config.ipv4.s_addr;
	if (has_ipv6)
		memcpy(&ipv6, &wire->config.ipv6, sizeof(ipv6));
	conntrack_set_address(masquerade->table, MASQUERADE_POOL_IPV4, 4, has_ipv4 ? &ipv4 : NULL);
	conntrack_set_address(masquerade->table, MASQUERADE_POOL_IPV6, 6, has_ipv6 ? &ipv6 : NULL);
}

static void follow_published(struct masquerade *masquerade, const struct published_ports *published)
{
	static const struct published_ports none;

	if (published == NULL)
		published = &none;
	if (masquerade->published == published->serial)
		return;
	conntrack_publish(masquerade->table, published->list, published->by_endpoint,
			  published->count);
	masquerade->published = published->serial;
}

void masquerade_follow(struct masquerade *masquerade, const struct snapshot *s)
{
	uint32_t now_s = clock_s();

	if (unlikely(masquerade->serial != s->serial)) {
		follow_pods(masquerade, s);
		follow_addresses(masquerade, s->wire);
		conntrack_set_timeouts(masquerade->table, &s->masquerading.timeouts,
				       s->masquerading.pick_up);
		conntrack_set_pod_connections(masquerade->table, s->limits.connections);
		follow_published(masquerade, s->published);
		masquerade->serial = s->serial;
		masquerade->busy = true;
	}
	if (unlikely(masquerade->busy || masquerade->now_s != now_s))
		masquerade->busy = conntrack_advance(masquerade->table, now_s, EXPIRE_BUDGET);
	carry_follow(masquerade);
	masquerade->now_s = now_s;
}

// ---- packets -------------------------------------------------------------------------------------

bool masquerade_hand_over(struct worker *w, struct rte_mbuf *m)
{
	const struct masquerade *masquerade = w->masquerade;
	uint32_t trace = packet_meta(m)->trace;

	if (w->snapshot->uplink_slot == NO_SLOT ||
	    rte_ring_mp_enqueue(masquerade->handover, m) != 0)
		return false;
	trace_note_handover(w, trace); // the packet itself is not ours to look at any more
	worker_wake(masquerade->workers[w->snapshot->uplink_slot % w->stride]);
	return true;
}

static bool prefix_holds(const struct masquerade_prefix *prefix, const uint8_t *address)
{
	unsigned int bytes = prefix->length / 8u, bits = prefix->length % 8u;

	if (memcmp(prefix->prefix, address, bytes) != 0)
		return false;
	return bits == 0 ||
	       ((prefix->prefix[bytes] ^ address[bytes]) & (0xff << (8 - bits)) & 0xff) == 0;
}

bool masquerade_reaches(const struct snapshot *s, bool ipv4, const void *peer)
{
	const struct masquerade_config *config = &s->masquerading;

	if (!(ipv4 ? config->ipv4 : config->ipv6))
		return false;
	for (uint32_t i = 0; i < config->excluded_count; i++) {
		if (config->excluded[i].is_ipv6 != ipv4 && prefix_holds(&config->excluded[i], peer))
			return false;
	}
	return true;
}

static enum conntrack_verdict decide(struct conntrack *table, const struct rte_mbuf *m,
				     enum masquerade_way way, const struct conntrack_packet *packet,
				     struct conntrack_rewrite *ret_rewrite)
{
	uint32_t pool = packet->tuple.family == 4 ? MASQUERADE_POOL_IPV4 : MASQUERADE_POOL_IPV6;

	switch (way) {
	case MASQUERADE_OUT:
		return conntrack_out(table, packet_meta(m)->in_slot, pool, packet, ret_rewrite);
	case MASQUERADE_OUT_OWN:
		return packet->kind == CONNTRACK_KIND_ERROR
			       ? conntrack_out(table, CONNTRACK_POD_ANY, pool, packet, ret_rewrite)
			       : CONNTRACK_UNKNOWN;
	case MASQUERADE_REPLY:
		return conntrack_reply(table, packet_meta(m)->in_slot, packet, ret_rewrite);
	case MASQUERADE_HAIRPIN:
		return conntrack_hairpin(table, packet_meta(m)->in_slot, packet, ret_rewrite);
	case MASQUERADE_HAIRPIN_OWN:
		return conntrack_hairpin(table, CONNTRACK_POD_ANY, packet, ret_rewrite);
	case MASQUERADE_IN:
	default:
		return conntrack_in(table, packet, ret_rewrite);
	}
}

enum conntrack_verdict masquerade_translate(struct masquerade *masquerade, struct rte_mbuf *m,
					    enum masquerade_way way, bool *ret_release)
{
	uint32_t length = rte_pktmbuf_pkt_len(m);
	struct conntrack_rewrite rewrite;
	struct conntrack_packet packet;

	*ret_release = false;
	// What is not contiguous and cannot be made so is not there for the parser.
	(void)packet_pullup(m, RTE_MIN(length, (uint32_t)CONNTRACK_HEADERS_MAX));
	if (conntrack_packet_parse(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, length,
				   &packet) < 0)
		return way == MASQUERADE_OUT || way == MASQUERADE_OUT_OWN ? CONNTRACK_INVALID
									  : CONNTRACK_UNKNOWN;
	enum conntrack_verdict verdict = decide(masquerade->table, m, way, &packet, &rewrite);
	if (verdict == CONNTRACK_PASS) {
		conntrack_packet_rewrite(rte_pktmbuf_mtod(m, uint8_t *), &packet, &rewrite.to,
					 &rewrite.quote, packet_meta(m)->offload != OFFLOAD_NONE);
		if (unlikely(rewrite.renumber))
			conntrack_packet_renumber(rte_pktmbuf_mtod(m, uint8_t *), rewrite.id);
		*ret_release = rewrite.release;
		if (unlikely(rewrite.steady) && way != MASQUERADE_IN)
			carry_offer(masquerade,
				    way == MASQUERADE_HAIRPIN ? NULL : packet_meta(m)->next_hop,
				    rewrite.place);
	}
	if (verdict == CONNTRACK_HOLD && !conntrack_hold(masquerade->table, m))
		return CONNTRACK_FRAGMENT_LOST;
	return verdict;
}

enum drop_reason masquerade_drop_reason(enum conntrack_verdict verdict)
{
	switch (verdict) {
	case CONNTRACK_UNSUPPORTED:
		return DROP_NAT_UNSUPPORTED;
	case CONNTRACK_NO_ADDRESS:
		return DROP_NO_ROUTE;
	case CONNTRACK_FULL:
		return DROP_NAT_FULL;
	case CONNTRACK_NO_PORT:
		return DROP_NAT_NO_PORT;
	case CONNTRACK_LIMITED:
		return DROP_NAT_LIMIT;
	case CONNTRACK_FRAGMENT_LOST:
		return DROP_NAT_FRAGMENT_LOST;
	default:
		return DROP_NAT_INVALID;
	}
}
