// SPDX-License-Identifier: BSD-3-Clause
//
// A worker: an EAL lcore that walks the graph as long as there is something to do, and sleeps when there is not.
//
//     walk ── packets ──► walk …
//      │ nothing for IDLE_US
//      ▼
//     arm the ports' Rx interrupts ──► walk once more ── packets ──► disarm, go on
//                                          │ nothing: whatever comes now, interrupts
//                                          ▼
//                              RCU offline, epoll, RCU online, disarm, go on
//
// Busy workers never make a system call of their own.

#include "datapath/datapath_private.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_interrupts.h>
#include <rte_lcore.h>

enum {
	IDLE_US = 20,      // looked for packets in vain this long: go to sleep
	POLL_SLEEP_MS = 1, // of a worker with a port that cannot wake it
	EVENTS_MAX = 64,
	ICMP_RATE = 100, // errors per second and port; a pod's traceroute needs 3 at once
	ICMP_BURST = 50,
};

__thread struct worker *worker_self;

bool icmp_error_allowed(struct worker *w, uint16_t slot)
{
	struct icmp_budget *budget = &w->icmp[slot];
	uint64_t now = rte_get_tsc_cycles(), per_token = rte_get_tsc_hz() / ICMP_RATE;
	uint64_t earned = (now - budget->refilled_tsc) / per_token;

	if (earned > 0) {
		budget->tokens = (uint32_t)RTE_MIN(budget->tokens + earned, (uint64_t)ICMP_BURST);
		budget->refilled_tsc = now;
	}
	if (budget->tokens == 0)
		return false;
	budget->tokens--;
	return true;
}

uint64_t worker_walk(struct worker *w, struct publication *publication)
{
	worker_self = w;
	w->snapshot = atomic_load_explicit(&publication->snapshot, memory_order_acquire);
	w->walk_packets = 0;
	rte_graph_walk(w->graph);
	rte_rcu_qsbr_quiescent(publication->qsbr, w->thread_id);
	return w->walk_packets;
}

static void arm(struct worker *w, struct publication *publication)
{
	const struct snapshot *s =
		atomic_load_explicit(&publication->snapshot, memory_order_acquire);

	for (uint16_t i = 0; i < s->poll_count; i++) {
		const struct datapath_port *port = &s->ports[s->poll[i]]->config;

		if (port->rx_interrupts && port->slot % w->stride == w->index)
			rte_eth_dev_rx_intr_enable(port->port_id, 0);
	}
}

static void disarm(struct worker *w, struct publication *publication)
{
	const struct snapshot *s =
		atomic_load_explicit(&publication->snapshot, memory_order_acquire);

	for (uint16_t i = 0; i < s->poll_count; i++) {
		const struct datapath_port *port = &s->ports[s->poll[i]]->config;

		if (port->rx_interrupts && port->slot % w->stride == w->index)
			rte_eth_dev_rx_intr_disable(port->port_id, 0);
	}
}

// Online when called and when it returns.
static void sleep_until_something(struct worker *w, struct publication *publication)
{
	struct rte_epoll_event events[EVENTS_MAX];
	uint64_t count;

	arm(w, publication);
	if (worker_walk(w, publication) == 0 && !atomic_load(&w->leave)) {
		bool all_interrupt = w->snapshot->all_interrupt;

		rte_rcu_qsbr_thread_offline(publication->qsbr, w->thread_id);
		rte_epoll_wait(w->epoll_fd, events, EVENTS_MAX, all_interrupt ? -1 : POLL_SLEEP_MS);
		rte_rcu_qsbr_thread_online(publication->qsbr, w->thread_id);
		while (read(w->wake_fd, &count, sizeof(count)) > 0)
			;
	}
	disarm(w, publication);
}

int worker_main(void *start)
{
	struct worker *w = ((struct worker_start *)start)->worker;
	struct publication *publication = ((struct worker_start *)start)->publication;
	uint64_t idle_cycles = rte_get_tsc_hz() / 1000000 * IDLE_US;

	rte_rcu_qsbr_thread_online(publication->qsbr, w->thread_id);
	uint64_t last_packet = rte_rdtsc();
	while (!atomic_load_explicit(&w->leave, memory_order_relaxed)) {
		if (worker_walk(w, publication) > 0) {
			last_packet = rte_rdtsc();
		} else if (rte_rdtsc() - last_packet > idle_cycles) {
			sleep_until_something(w, publication);
			last_packet = rte_rdtsc();
		}
	}
	rte_rcu_qsbr_thread_offline(publication->qsbr, w->thread_id);
	worker_self = NULL;
	return 0;
}

void worker_wake(struct worker *w)
{
	uint64_t one = 1;
	ssize_t n = write(w->wake_fd, &one, sizeof(one));

	(void)n; // EAGAIN: it is being woken already
}

int worker_watch(struct worker *w, uint16_t port_id)
{
	return rte_eth_dev_rx_intr_ctl_q(port_id, 0, w->epoll_fd, RTE_INTR_EVENT_ADD, NULL);
}

void worker_unwatch(struct worker *w, uint16_t port_id)
{
	rte_eth_dev_rx_intr_ctl_q(port_id, 0, w->epoll_fd, RTE_INTR_EVENT_DEL, NULL);
}

int worker_open(struct worker *w, struct error *err)
{
	static const char *const sources[] = {NODE("port_rx")}; // what they lead to comes along
	struct rte_graph_param param = {
		.socket_id = SOCKET_ID_ANY,
		.nb_node_patterns = RTE_DIM(sources),
		.node_patterns = (const char **)(uintptr_t)sources,
	};
	char name[RTE_GRAPH_NAMESIZE];

	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	// No data: DPDK skips the event, which only has to end the wait.
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	if (w->epoll_fd < 0 || w->wake_fd < 0 ||
	    epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->wake_fd, &event) < 0)
		return error_set(err, errno, CODE_INTERNAL, "worker %u: epoll: %s", w->index,
				 strerror(errno));

	snprintf(name, sizeof(name), "worker%u", w->index);
	rte_graph_t id = rte_graph_create(name, &param);
	if (id == RTE_GRAPH_ID_INVALID)
		return error_set(err, rte_errno, CODE_INTERNAL, "worker %u: graph: %s", w->index,
				 rte_strerror(rte_errno));
	w->graph = rte_graph_lookup(name);
	return 0;
}

void worker_close(struct worker *w)
{
	if (w->graph != NULL)
		rte_graph_destroy(w->graph->id);
	w->graph = NULL;
	if (w->epoll_fd > 0)
		close(w->epoll_fd);
	if (w->wake_fd > 0)
		close(w->wake_fd);
	w->epoll_fd = w->wake_fd = 0;
}
