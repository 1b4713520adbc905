// SPDX-License-Identifier: BSD-3-Clause
//
// The control thread's side of the graph: what is published to the workers, and their lives.
//
// Adding and removing a port: a snapshot with or without it and its addresses, then wait until no worker
// can hold the old one.

#include "datapath/datapath_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#include "datapath/graph_stats.h"
#include "datapath/masquerade_private.h"
#include "datapath/meter.h"
#include "datapath/neighbour_private.h"
#include "proto/base/log.h"

enum { CONTROL_OUTPUT = 256 }; // packets of the control thread that a worker has yet to send

static struct {
	struct publication publication;
	struct neighbours *neighbours;
	struct rte_ring *control_output; // to the first worker
	bool has_masquerade_config;
	struct masquerade_config masquerade_config;
	struct carry *carry;
	struct masquerade *masquerade;
	uint64_t serial;
	struct worker **workers;
	struct worker_start *starts;
	uint32_t worker_count;
	uint32_t generation; // of the port added last
	// Counters are never zeroed under a worker's hands: what a cleared slot had counts from here.
	struct datapath_counters base[DATAPATH_PORTS_MAX];
} dp;

static const char *const reason_names[] = {
#define X(name, text) text,
	DROP_REASONS(X)
#undef X
};

size_t datapath_drop_reason_count(void)
{
	return DROP_REASON_COUNT;
}

const char *datapath_drop_reason_name(size_t reason)
{
	return reason < DROP_REASON_COUNT ? reason_names[reason] : "unknown";
}

size_t datapath_bandwidth_drop_reason(unsigned int direction)
{
	return direction == BANDWIDTH_EGRESS ? DROP_EGRESS_BANDWIDTH : DROP_INGRESS_BANDWIDTH;
}

// ---- publishing ----------------------------------------------------------------------------------

static struct snapshot *current(void)
{
	return atomic_load_explicit(&dp.publication.snapshot, memory_order_relaxed);
}

static struct snapshot *copy_snapshot(void)
{
	struct snapshot *copy = malloc(sizeof(*copy));

	if (copy != NULL)
		memcpy(copy, current(), sizeof(*copy));
	return copy;
}

// After this no worker sees what was published before. A worker that sleeps is offline and holds nothing.
static void wait_for_workers(void)
{
	rte_rcu_qsbr_synchronize(dp.publication.qsbr, RTE_QSBR_THRID_INVALID);
}

static void publish(struct snapshot *snapshot)
{
	snapshot->serial = ++dp.serial;
	struct snapshot *old = atomic_exchange(&dp.publication.snapshot, snapshot);

	wait_for_workers();
	if (old->addresses != snapshot->addresses)
		free((void *)(uintptr_t)old->addresses);
	free(old);
	datapath_wake_workers(); // there may be a port to arm or to poll
}

const struct snapshot *datapath_current(void)
{
	return current();
}

struct snapshot *datapath_copy_snapshot(void)
{
	return copy_snapshot();
}

void datapath_publish(struct snapshot *snapshot)
{
	publish(snapshot);
}

uint32_t datapath_worker_count(void)
{
	return dp.worker_count;
}

void datapath_set_traces(const struct trace_set *set)
{
	struct snapshot *s = copy_snapshot();

	if (s != NULL) {
		s->traces = set;
		publish(s);
		return;
	}
	// As datapath_port_remove() does without memory.
	log_error("traces changed in place", "error=\"out of memory\"");
	current()->traces = set;
	wait_for_workers();
}

struct carry *datapath_carry(void)
{
	return dp.carry;
}

struct masquerade *datapath_masquerade(void)
{
	return dp.masquerade;
}

int datapath_make_masquerade(struct error *err)
{
	if (dp.masquerade != NULL)
		return 0;
	if (!dp.has_masquerade_config)
		return error_set(err, EINVAL, CODE_INTERNAL, "nothing is said of connections");
	return masquerade_new(&dp.masquerade_config, dp.carry, dp.workers, dp.worker_count,
			      &dp.masquerade, err);
}

struct masquerade_config *datapath_masquerade_config(void)
{
	dp.has_masquerade_config = true;
	return &dp.masquerade_config;
}

const struct masquerade_config *masquerade_configuration(void)
{
	return dp.has_masquerade_config ? &dp.masquerade_config : NULL;
}

void datapath_wake_workers(void)
{
	for (uint32_t i = 0; i < dp.worker_count; i++)
		worker_wake(dp.workers[i]);
}

bool datapath_host_mac(uint32_t slot, struct mac *ret_mac)
{
	const struct graph_port *port = current()->ports[slot];
	uint64_t learned = 0;

	if (port != NULL && port->config.role == DATAPATH_ROLE_HOST)
		learned = atomic_load_explicit(&port->learned_mac, memory_order_relaxed);
	memcpy(ret_mac->bytes, &learned, sizeof(ret_mac->bytes));
	return learned != 0;
}

void datapath_send(struct rte_mbuf *m)
{
	if (rte_ring_sp_enqueue(dp.control_output, m) == 0)
		worker_wake(dp.workers[0]);
	else
		rte_pktmbuf_free(m);
}

static void list_ports_to_poll(struct snapshot *s)
{
	s->poll_count = 0;
	s->uplink_slot = NO_SLOT;
	for (uint16_t slot = 0; slot < DATAPATH_PORTS_MAX; slot++) {
		if (s->ports[slot] == NULL)
			continue;
		s->poll[s->poll_count++] = slot;
		if (s->ports[slot]->config.role == DATAPATH_ROLE_UPLINK)
			s->uplink_slot = slot;
	}
}

void datapath_set_router(const struct datapath_router *router)
{
	struct snapshot *s = copy_snapshot();

	if (s == NULL) {
		log_error("router not changed", "error=\"out of memory\"");
		return;
	}
	s->router = *router;
	memcpy(s->router_mac.addr_bytes, router->mac.bytes, sizeof(s->router_mac.addr_bytes));
	s->mask_ipv4.s_addr = router->ipv4_prefix_length == 0
				      ? 0
				      : htonl(UINT32_MAX << (32 - router->ipv4_prefix_length));
	s->router.network_ipv4.s_addr &= s->mask_ipv4.s_addr;
	publish(s);
}

// ---- ports ---------------------------------------------------------------------------------------

static struct worker *worker_of(uint32_t slot)
{
	return dp.workers[slot % dp.worker_count];
}

static bool is_taken4(const struct snapshot *s, const struct datapath_port *port,
		      uint16_t *ret_owner)
{
	return port->has_ipv4 && address4_find(s->addresses, port->ipv4.s_addr, ret_owner) &&
	       s->ports[*ret_owner] != NULL;
}

static bool is_taken6(const struct snapshot *s, const struct datapath_port *port,
		      uint16_t *ret_owner)
{
	return port->has_ipv6 && address6_find(s->addresses, &port->ipv6, ret_owner) &&
	       s->ports[*ret_owner] != NULL;
}

static int check_free(const struct datapath_port *port, struct error *err)
{
	const struct snapshot *s = current();
	uint16_t owner;

	if (port->slot >= DATAPATH_PORTS_MAX || s->ports[port->slot] != NULL)
		return error_set(err, EEXIST, CODE_INTERNAL, "datapath slot %u is in use",
				 port->slot);
	if (is_taken4(s, port, &owner) || is_taken6(s, port, &owner))
		return error_set(err, EEXIST, CODE_INTERNAL,
				 "an address of datapath slot %u is datapath slot %u's", port->slot,
				 owner);
	return 0;
}

// The addresses of a snapshot that is not published yet, after a change of its ports. False: out of memory.
static bool renew_addresses(struct snapshot *s)
{
	struct addresses *addresses = addresses_new(s->ports);

	if (addresses == NULL)
		return false;
	s->addresses = addresses;
	return true;
}

// -1: the port can only be polled.
static int watch(const struct datapath_port *port)
{
	int fd = port->rx_interrupts && port->ops == NULL
			 ? rte_eth_dev_rx_intr_ctl_q_get_fd(port->port_id, 0)
			 : -1;

	return fd >= 0 && worker_watch(worker_of(port->slot), port->slot, fd) == 0 ? fd : -1;
}

static void free_port(struct graph_port *port)
{
	if (port != NULL)
		meters_free(port->meters);
	free(port);
}

int datapath_port_add(const struct datapath_port *port, struct error *err)
{
	int r = check_free(port, err);

	if (r < 0)
		return r;
	struct snapshot *s = copy_snapshot();
	struct graph_port *graph_port = calloc(1, sizeof(*graph_port));
	if (s == NULL || graph_port == NULL) {
		r = error_set(err, ENOMEM, CODE_INTERNAL, "datapath: out of memory");
		goto fail;
	}
	r = meters_new(port->limits, graph_port->meters, err);
	if (r < 0)
		goto fail;
	graph_port->config = *port;
	memcpy(graph_port->mac.addr_bytes, port->mac.bytes, sizeof(graph_port->mac.addr_bytes));
	uint64_t learned = 0;
	memcpy(&learned, port->mac.bytes, sizeof(port->mac.bytes));
	atomic_init(&graph_port->learned_mac, learned);
	graph_port->generation = ++dp.generation;
	s->ports[port->slot] = graph_port;
	if (!renew_addresses(s)) {
		r = error_set(err, ENOMEM, CODE_INTERNAL, "datapath: out of memory");
		goto fail;
	}
	graph_port->interrupt_fd = watch(port);
	list_ports_to_poll(s);
	publish(s);
	if (port->role == DATAPATH_ROLE_UPLINK)
		neighbours_announce();
	return 0;

fail:
	free(s);
	free_port(graph_port);
	return r;
}

void datapath_port_remove(uint32_t slot)
{
	struct graph_port *port = slot < DATAPATH_PORTS_MAX ? current()->ports[slot] : NULL;
	struct snapshot *s;

	if (port == NULL)
		return;
	s = copy_snapshot();
	if (s != NULL)
		s->ports[slot] = NULL;
	if (s != NULL && renew_addresses(s)) {
		list_ports_to_poll(s);
		publish(s);
	} else {
		// Without memory for a new snapshot the old one is changed in place, with no worker in it. The
		// addresses stay until the next change, and who sends to them counts port-gone.
		free(s);
		log_error("port removed in place", "slot=%u error=\"out of memory\"", slot);
		current()->ports[slot] = NULL;
		wait_for_workers();
		list_ports_to_poll(current());
		current()->serial = ++dp.serial;
	}
	if (port->interrupt_fd >= 0)
		worker_unwatch(worker_of(slot), port->interrupt_fd);
	if (port->config.role != DATAPATH_ROLE_POD)
		neighbours_forget(slot);
	free_port(port);
}

// ---- ports with ops --------------------------------------------------------------------------------

// Workers come before the first port and go after the last, so that these need no lock.

int datapath_port_watch(uint32_t slot, int fd)
{
	return worker_watch(worker_of(slot), slot, fd);
}

void datapath_port_unwatch(uint32_t slot, int fd)
{
	worker_unwatch(worker_of(slot), fd);
}

void datapath_port_wake(uint32_t slot)
{
	worker_wake(worker_of(slot));
}

void datapath_wait(void)
{
	wait_for_workers();
}

// ---- counters ------------------------------------------------------------------------------------

static void sum_counters(uint32_t slot, struct datapath_counters *ret_sum)
{
	*ret_sum = (struct datapath_counters){0};
	for (uint32_t i = 0; i < dp.worker_count; i++) {
		const volatile struct port_counters *c = &dp.workers[i]->counters[slot];

		ret_sum->rx_packets += c->rx_packets;
		ret_sum->rx_bytes += c->rx_bytes;
		ret_sum->tx_packets += c->tx_packets;
		ret_sum->tx_bytes += c->tx_bytes;
		ret_sum->tx_full += c->tx_full;
		for (size_t reason = 0; reason < DROP_REASON_COUNT; reason++)
			ret_sum->drops[reason] += c->drops[reason];
		for (int direction = 0; direction < BANDWIDTH_DIRECTIONS; direction++) {
			const struct bandwidth_count count = c->metered[direction];

			bandwidth_count_add(&ret_sum->metered[direction], &count);
		}
	}
}

void datapath_read_counters(uint32_t slot, struct datapath_counters *ret_counters)
{
	const struct datapath_counters *base = &dp.base[slot];

	sum_counters(slot, ret_counters);
	ret_counters->rx_packets -= base->rx_packets;
	ret_counters->rx_bytes -= base->rx_bytes;
	ret_counters->tx_packets -= base->tx_packets;
	ret_counters->tx_bytes -= base->tx_bytes;
	ret_counters->tx_full -= base->tx_full;
	for (size_t reason = 0; reason < DROP_REASON_COUNT; reason++)
		ret_counters->drops[reason] -= base->drops[reason];
	for (int direction = 0; direction < BANDWIDTH_DIRECTIONS; direction++)
		bandwidth_count_subtract(&ret_counters->metered[direction],
					 &base->metered[direction]);
}

void datapath_clear_counters(uint32_t slot)
{
	sum_counters(slot, &dp.base[slot]);
}

// ---- start and stop ------------------------------------------------------------------------------

static int make_tables(uint32_t worker_count, struct error *err)
{
	size_t size = rte_rcu_qsbr_get_memsize(worker_count);

	dp.publication.qsbr = rte_zmalloc("podport_qsbr", size, RTE_CACHE_LINE_SIZE);
	struct snapshot *s = calloc(1, sizeof(*s));
	if (dp.publication.qsbr == NULL || s == NULL || !renew_addresses(s)) {
		free(s);
		return error_set(err, ENOMEM, CODE_INTERNAL, "datapath: out of memory");
	}
	s->uplink_slot = NO_SLOT;
	atomic_store(&dp.publication.snapshot, s);
	rte_rcu_qsbr_init(dp.publication.qsbr, worker_count);
	dp.control_output = rte_ring_create("control_output", CONTROL_OUTPUT, SOCKET_ID_ANY,
					    RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (dp.control_output == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "datapath: ring: %s",
				 rte_strerror(rte_errno));
	int r = carry_new(&dp.carry, err);
	return r < 0 ? r : neighbours_start(dp.publication.qsbr, &dp.neighbours, err);
}

static int make_worker(uint32_t index, unsigned int lcore, uint32_t count, struct error *err)
{
	struct worker *w = rte_zmalloc("podport_worker", sizeof(*w), RTE_CACHE_LINE_SIZE);

	if (w == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "worker %u: out of memory", index);
	dp.workers[index] = w;
	w->index = index;
	w->thread_id = index;
	w->stride = count;
	w->lcore = lcore;
	w->neighbours = dp.neighbours;
	w->control_output = index == 0 ? dp.control_output : NULL;
	if (rte_rcu_qsbr_thread_register(dp.publication.qsbr, w->thread_id) != 0)
		return error_set(err, EINVAL, CODE_INTERNAL, "worker %u: RCU", index);
	return worker_open(w, err);
}

// Only what masquerades needs the table of connections from the beginning.
static int start_masquerade(const struct masquerade_config *config, struct error *err)
{
	dp.has_masquerade_config = config != NULL;
	if (config == NULL)
		return 0;
	dp.masquerade_config = current()->masquerading = *config;
	if (!masquerade_is_configured(config))
		return 0;
	int r = datapath_make_masquerade(err);
	current()->masquerade = dp.masquerade;
	return r;
}

static int make_workers(const struct datapath_config *config, struct error *err)
{
	unsigned int lcore = rte_get_next_lcore(-1, 1, 0);
	uint32_t count = config->workers;

	dp.workers = calloc(count, sizeof(struct worker *));
	dp.starts = calloc(count, sizeof(struct worker_start));
	if (dp.workers == NULL || dp.starts == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "datapath: out of memory");
	dp.worker_count = count;
	int r = start_masquerade(config->masquerade, err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < count; i++) {
		if (lcore >= RTE_MAX_LCORE)
			return error_set(err, EINVAL, CODE_INTERNAL,
					 "%u workers, but EAL has %u worker lcores", count, i);
		r = make_worker(i, lcore, count, err);
		if (r < 0)
			return r;
		lcore = rte_get_next_lcore(lcore, 1, 0);
	}
	return 0;
}

int datapath_start(const struct datapath_config *config, struct error *err)
{
	int r = make_tables(config->workers, err);

	if (r == 0)
		r = make_workers(config, err);
	if (r < 0) {
		datapath_stop();
		return r;
	}
	for (uint32_t i = 0; i < dp.worker_count; i++) {
		dp.starts[i] = (struct worker_start){dp.workers[i], &dp.publication};
		r = rte_eal_remote_launch(worker_main, &dp.starts[i], dp.workers[i]->lcore);
		if (r < 0) {
			datapath_stop();
			return error_set(err, -r, CODE_INTERNAL, "worker %u: launch: %s", i,
					 rte_strerror(-r));
		}
	}
	graph_stats_begin(dp.workers, dp.worker_count);
	return 0;
}

static void free_control_output(void)
{
	void *m;

	while (dp.control_output != NULL && rte_ring_dequeue(dp.control_output, &m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(dp.control_output);
}

void datapath_stop(void)
{
	struct snapshot *last = atomic_load(&dp.publication.snapshot);

	graph_stats_end();
	for (uint32_t i = 0; i < dp.worker_count; i++) {
		struct worker *w = dp.workers[i];

		if (w == NULL)
			continue;
		atomic_store(&w->leave, true);
		if (w->wake_fd > 0)
			worker_wake(w);
		rte_eal_wait_lcore(w->lcore);
		worker_close(w);
		rte_free(w);
	}
	worker_self = NULL; // of a test, which walks on this thread
	masquerade_free(dp.masquerade);
	carry_free(dp.carry);
	free(dp.workers);
	free(dp.starts);
	free_control_output();
	neighbours_stop();
	rte_free(dp.publication.qsbr);
	if (last != NULL) {
		wire_free(last->wire);
		published_ports_free(last->published);
		free((void *)(uintptr_t)last->addresses);
	}
	free(last);
	memset(&dp, 0, sizeof(dp));
}
