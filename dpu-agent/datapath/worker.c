// SPDX-License-Identifier: BSD-3-Clause
//
// A worker: an EAL lcore that walks the graph as long as there is something to do, and sleeps when
// there is not.
//
//     walk ── packets ──► walk …
//      │ nothing for IDLE_US
//      ▼
//     arm the ports' Rx interrupts ──► walk once more ── packets ──► go on
//                                          │ nothing: whatever comes now, rings
//                                          ▼
//                              RCU offline, epoll, RCU online, go on
//
// Ports without Rx interrupts are polled between short sleeps. A busy worker makes no system call of its own, but
// to hear of ports that rest (poll.h), if there are any.

#include "datapath/datapath_private.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include "datapath/poll.h"
#include "datapath/trace_worker.h"

enum {
	IDLE_US = 20, // looked for packets in vain this long: go to sleep
	POLL_SLEEP_MIN_US =
		50, // of a worker with a port that cannot wake it, and what this doubles up to
	POLL_SLEEP_MAX_US = 2000,
	HEAR_US = 50,     // a port that rests is heard so soon while others keep the worker awake
	TICK_US = 500000, // while connections are to expire, and fragments wait
	EVENTS_MAX = 64,
	WAKE_EVENT = DATAPATH_PORTS_MAX, // in the place of a slot
	ICMP_RATE = 100, // errors per second and port; a pod's traceroute needs 3 at once
	ICMP_BURST = 50,
};

__thread struct worker *worker_self;

bool icmp_error_allowed(struct worker *w, uint16_t slot)
{
	struct icmp_budget *budget = &w->icmp[slot];
	uint64_t now = rte_rdtsc(), per_token = rte_get_tsc_hz() / ICMP_RATE;
	uint64_t earned = (now - budget->refilled_tsc) / per_token;

	if (budget->tokens + earned >= ICMP_BURST) {
		budget->tokens = ICMP_BURST;
		budget->refilled_tsc = now;
	} else {
		budget->tokens += (uint32_t)earned;
		budget->refilled_tsc += earned * per_token;
	}
	if (budget->tokens == 0)
		return false;
	budget->tokens--;
	return true;
}

static const struct snapshot *load_snapshot(struct publication *publication)
{
	return atomic_load_explicit(&publication->snapshot, memory_order_acquire);
}

uint64_t worker_walk(struct worker *w, struct publication *publication)
{
	worker_self = w;
	w->snapshot = load_snapshot(publication);
	w->masquerade = w->snapshot->masquerade;
	w->walk_packets = 0;
	poll_look(w, w->snapshot);
	trace_before_walk(w);
	rte_graph_walk(w->graph);
	w->snapshot = NULL; // may be freed from now on
	rte_rcu_qsbr_quiescent(publication->qsbr, w->thread_id);
	return w->walk_packets;
}

// ---- sleeping ------------------------------------------------------------------------------------

static void take_events(struct worker *w, struct publication *publication,
			const struct epoll_event *events, int count)
{
	const struct snapshot *s = load_snapshot(publication);

	for (int i = 0; i < count; i++) {
		uint64_t wakes;

		if (events[i].data.u32 != WAKE_EVENT) {
			poll_rang(w, s, events[i].data.u32);
			continue;
		}
		(void)!read(w->wake_fd, &wakes, sizeof(wakes));
		poll_look_again(w, s);
	}
}

// timeout_us: 0 for as long as it takes. Returns true if something rang.
static bool wait_for_event(struct worker *w, struct publication *publication, uint32_t timeout_us)
{
	struct timespec timeout = {.tv_nsec = timeout_us * 1000L};
	struct epoll_event events[EVENTS_MAX];

	rte_rcu_qsbr_thread_offline(publication->qsbr, w->thread_id);
	int count = epoll_pwait2(w->epoll_fd, events, EVENTS_MAX, timeout_us > 0 ? &timeout : NULL,
				 NULL);
	rte_rcu_qsbr_thread_online(publication->qsbr, w->thread_id);
	take_events(w, publication, events, count);
	return count > 0;
}

// Between two walks.
static void hear(struct worker *w, struct publication *publication)
{
	struct epoll_event events[EVENTS_MAX];

	w->heard_tsc = rte_rdtsc();
	take_events(w, publication, events, epoll_wait(w->epoll_fd, events, EVENTS_MAX, 0));
}

// Returns true if there may be packets: some were found, or something rang.
static bool sleep_until_something(struct worker *w, struct publication *publication,
				  uint32_t poll_sleep_us)
{
	bool all_ring = poll_arm(w, load_snapshot(publication));

	if (worker_walk(w, publication) > 0)
		return true;
	poll_rest(w, load_snapshot(publication));
	// Nothing rings when another worker hears from the host, nor when a packet has waited long enough.
	if (!all_ring || w->waiting.count > 0)
		return wait_for_event(w, publication, poll_sleep_us);
	return wait_for_event(w, publication, w->ticking ? TICK_US : 0);
}

int worker_main(void *start)
{
	struct worker *w = ((struct worker_start *)start)->worker;
	struct publication *publication = ((struct worker_start *)start)->publication;
	uint64_t idle_cycles = rte_get_tsc_hz() / 1000000 * IDLE_US;
	uint64_t hear_cycles = rte_get_tsc_hz() / 1000000 * HEAR_US;
	uint32_t poll_sleep_us = POLL_SLEEP_MIN_US;

	rte_rcu_qsbr_thread_online(publication->qsbr, w->thread_id);
	uint64_t last_packet = rte_rdtsc();
	while (!atomic_load_explicit(&w->leave, memory_order_acquire)) {
		if (worker_walk(w, publication) > 0) {
			last_packet = rte_rdtsc();
			if (w->resting_count > 0 && last_packet - w->heard_tsc > hear_cycles)
				hear(w, publication);
			poll_sleep_us = POLL_SLEEP_MIN_US;
		} else if (rte_rdtsc() - last_packet > idle_cycles) {
			if (sleep_until_something(w, publication, poll_sleep_us))
				last_packet = rte_rdtsc();
			else
				poll_sleep_us = RTE_MIN(poll_sleep_us * 2, POLL_SLEEP_MAX_US);
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

// Edge-triggered, so that the device's fd need not be read; and with the slot alone in the kernel's
// hands, so that an event that comes late, when the port has gone, can do no harm (rte_epoll_wait()
// would follow a pointer).
int worker_watch(struct worker *w, uint32_t slot, int interrupt_fd)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = slot};

	return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, interrupt_fd, &event) < 0 ? -errno : 0;
}

void worker_unwatch(struct worker *w, int interrupt_fd)
{
	epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, interrupt_fd, NULL);
}

int worker_open(struct worker *w, struct error *err)
{
	static const char *const sources[] = {
		NODE("port_rx"), NODE("neighbour_release"), NODE("control_output"),
		NODE("masquerade_clock")}; // what they lead to comes along
	struct rte_graph_param param = {
		.socket_id = SOCKET_ID_ANY,
		.nb_node_patterns = RTE_DIM(sources),
		.node_patterns = (const char **)(uintptr_t)sources,
	};
	char name[RTE_GRAPH_NAMESIZE];

	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = WAKE_EVENT};
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
	for (uint16_t i = 0; i < w->waiting.count; i++)
		rte_pktmbuf_free(w->waiting.packets[i].m);
	w->waiting.count = 0;
	if (w->epoll_fd > 0)
		close(w->epoll_fd);
	if (w->wake_fd > 0)
		close(w->wake_fd);
	w->epoll_fd = w->wake_fd = 0;
}
