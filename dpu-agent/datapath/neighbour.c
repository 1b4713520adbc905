// SPDX-License-Identifier: BSD-3-Clause
//
// The neighbours' states: see neighbour.h. Control thread.
//
//                    asked 3 times                     3 probes unanswered: forgotten
//     INCOMPLETE ───────────────────► FAILED               ▲
//         │ answer                      │ 3 s: forgotten    │
//         ▼         15..45 s            │     used     5 s  │
//     REACHABLE ───────────► STALE ─────┼──────► DELAY ──► PROBE
//         ▲                    │ 300 s: forgotten            │
//         └────────────────────┴───── answer ────────────────┘

#include "datapath/neighbour_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_jhash.h>
#include <rte_malloc.h>
#include <rte_random.h>

#include "datapath/datapath_private.h"

enum {
	EVENTS_MAX = 1024, // from all workers; one that does not fit is told again
	FOREVER = -1,
};

struct neighbour {
	struct neighbour_key key;
	enum neighbour_state state;
	uint8_t mac[6];
	uint8_t tries;
	uint64_t since_ms; // it is in this state
	uint64_t due_ms;   // when that ends
};

static struct {
	struct neighbours *shared;
	struct neighbour entries[NEIGHBOURS_MAX];
	uint64_t now_ms; // of the run under way
	unsigned int announcements_left;
	uint64_t announce_ms; // when the next is due
} table;

const char *neighbour_state_name(enum neighbour_state state)
{
	static const char *const names[] = {"none",  "incomplete", "reachable", "stale",
					    "delay", "probe",      "failed"};

	return names[state];
}

int neighbours_event_fd(void)
{
	return table.shared->event_fd;
}

// ---- states --------------------------------------------------------------------------------------

static uint32_t index_of(const struct neighbour *n)
{
	return (uint32_t)(n - table.entries);
}

// Who waits may look again.
static void let_waiting_look(void)
{
	atomic_fetch_add(&table.shared->epoch, 1);
	datapath_wake_workers();
}

static void publish_link(const struct neighbour *n, uint64_t flags)
{
	uint64_t link = 0;

	memcpy(&link, n->mac, sizeof(n->mac));
	atomic_store(&table.shared->used[index_of(n)], false);
	atomic_store(&table.shared->links[index_of(n)], link | flags);
}

static void enter(struct neighbour *n, enum neighbour_state state, uint64_t duration_ms)
{
	static const uint64_t flags[] = {
		[NEIGHBOUR_INCOMPLETE] = 0,
		[NEIGHBOUR_REACHABLE] = LINK_USABLE | LINK_REACHABLE,
		[NEIGHBOUR_STALE] = LINK_USABLE | LINK_STALE,
		[NEIGHBOUR_DELAY] = LINK_USABLE,
		[NEIGHBOUR_PROBE] = LINK_USABLE,
		[NEIGHBOUR_FAILED] = LINK_FAILED,
	};
	bool waited_for = n->state == NEIGHBOUR_INCOMPLETE;

	n->state = state;
	n->since_ms = table.now_ms;
	n->due_ms = table.now_ms + duration_ms;
	publish_link(n, flags[state]);
	if (waited_for)
		let_waiting_look();
}

static void enter_reachable(struct neighbour *n)
{
	enter(n, NEIGHBOUR_REACHABLE,
	      NEIGHBOUR_REACHABLE_MS / 2 + rte_rand_max(NEIGHBOUR_REACHABLE_MS));
}

static void enter_stale(struct neighbour *n)
{
	enter(n, NEIGHBOUR_STALE, NEIGHBOUR_STALE_MS);
}

static void forget(struct neighbour *n)
{
	bool waited_for = n->state == NEIGHBOUR_INCOMPLETE;

	rte_hash_del_key(table.shared->by_key, &n->key); // when it returns, no worker holds it
	atomic_store(&table.shared->links[index_of(n)], 0);
	*n = (struct neighbour){0};
	if (waited_for)
		let_waiting_look();
}

static void ask(struct neighbour *n)
{
	neighbour_ask(&n->key, n->state == NEIGHBOUR_PROBE ? n->mac : NULL);
	n->tries++;
	n->due_ms = table.now_ms + NEIGHBOUR_RETRY_MS;
}

// ---- the table -----------------------------------------------------------------------------------

static struct neighbour *find(const struct neighbour_key *key)
{
	void *index;

	if (rte_hash_lookup_data(table.shared->by_key, key, &index) < 0)
		return NULL;
	return &table.entries[(uintptr_t)index];
}

// A free entry; if there is none, that of who has been of no use for longest. NULL: all are in use.
static struct neighbour *make_room(void)
{
	struct neighbour *oldest = NULL;

	for (uint32_t i = 0; i < NEIGHBOURS_MAX; i++) {
		struct neighbour *n = &table.entries[i];

		if (n->state == NEIGHBOUR_NONE)
			return n;
		if ((n->state == NEIGHBOUR_STALE || n->state == NEIGHBOUR_FAILED) &&
		    (oldest == NULL || n->since_ms < oldest->since_ms))
			oldest = n;
	}
	if (oldest != NULL)
		forget(oldest);
	return oldest;
}

static bool host_is_known(uint32_t slot)
{
	struct mac ignored;

	return datapath_host_mac(slot, &ignored);
}

static void wanted(const struct neighbour_key *key)
{
	struct neighbour *n;

	if (find(key) != NULL || host_is_known(key->slot)) {
		let_waiting_look(); // it came while the event was on its way
		return;
	}
	n = make_room();
	if (n == NULL ||
	    rte_hash_add_key_data(table.shared->by_key, key, (void *)(uintptr_t)index_of(n)) != 0)
		return; // the packet waits in vain
	n->key = *key;
	enter(n, NEIGHBOUR_INCOMPLETE, 0);
	ask(n);
}

// RFC 4861 sections 7.2.3 and 7.2.5.
static void heard(struct neighbour *n, const struct neighbour_event *event)
{
	bool has_mac = event->flags & HEARD_MAC, solicited = event->flags & HEARD_SOLICITED;
	bool unknown = n->state == NEIGHBOUR_INCOMPLETE || n->state == NEIGHBOUR_FAILED;
	bool differs = has_mac && memcmp(n->mac, event->mac, sizeof(n->mac)) != 0;

	if (unknown && !has_mac)
		return;
	if (!unknown && differs && !(event->flags & HEARD_OVERRIDE)) {
		if (n->state == NEIGHBOUR_REACHABLE)
			enter_stale(n);
		return;
	}
	if (has_mac)
		memcpy(n->mac, event->mac, sizeof(n->mac));
	if (solicited)
		enter_reachable(n);
	else if (unknown || differs)
		enter_stale(n);
}

static void take_event(const struct neighbour_event *event)
{
	struct neighbour *n;

	if (event->kind == EVENT_WANTED) {
		wanted(&event->key);
		return;
	}
	n = find(&event->key);
	if (n == NULL)
		return;
	if (event->kind == EVENT_HEARD)
		heard(n, event);
	else if (n->state == NEIGHBOUR_STALE)
		enter(n, NEIGHBOUR_DELAY, NEIGHBOUR_DELAY_MS);
}

// ---- time ----------------------------------------------------------------------------------------

static void time_is_up(struct neighbour *n)
{
	switch (n->state) {
	case NEIGHBOUR_INCOMPLETE:
		if (host_is_known(n->key.slot))
			forget(n);
		else if (n->tries < NEIGHBOUR_TRIES)
			ask(n);
		else
			enter(n, NEIGHBOUR_FAILED, NEIGHBOUR_FAILED_MS);
		break;
	case NEIGHBOUR_REACHABLE:
		enter_stale(n);
		break;
	case NEIGHBOUR_DELAY:
		n->tries = 0;
		enter(n, NEIGHBOUR_PROBE, 0);
		ask(n);
		break;
	case NEIGHBOUR_PROBE:
		if (n->tries < NEIGHBOUR_TRIES)
			ask(n);
		else
			forget(n);
		break;
	case NEIGHBOUR_STALE:
	case NEIGHBOUR_FAILED:
		forget(n);
		break;
	case NEIGHBOUR_NONE:
		break;
	}
}

static int64_t run_timers(void)
{
	uint64_t next_ms = UINT64_MAX;

	for (uint32_t i = 0; i < NEIGHBOURS_MAX; i++) {
		struct neighbour *n = &table.entries[i];

		if (n->state != NEIGHBOUR_NONE && n->due_ms <= table.now_ms)
			time_is_up(n);
		if (n->state != NEIGHBOUR_NONE)
			next_ms = RTE_MIN(next_ms, n->due_ms);
	}
	if (table.announcements_left > 0 && table.announce_ms <= table.now_ms) {
		neighbour_send_announcements();
		table.announcements_left--;
		table.announce_ms = table.now_ms + NEIGHBOUR_RETRY_MS;
	}
	if (table.announcements_left > 0)
		next_ms = RTE_MIN(next_ms, table.announce_ms);
	return next_ms == UINT64_MAX ? FOREVER : (int64_t)(next_ms - table.now_ms);
}

int64_t neighbours_run(uint64_t now_ms)
{
	struct neighbours *shared = table.shared;
	struct neighbour_event event;
	uint64_t rings;

	table.now_ms = now_ms;
	(void)!read(shared->event_fd, &rings, sizeof(rings));
	atomic_exchange(&shared->rung, false); // and see what was told before it was set
	// As many as there is room for: what comes meanwhile rings again.
	for (unsigned int i = 0; i < EVENTS_MAX; i++) {
		if (rte_ring_sc_dequeue_elem(shared->events, &event, sizeof(event)) != 0)
			break;
		take_event(&event);
	}
	return run_timers();
}

void neighbours_announce(void)
{
	table.announcements_left = ANNOUNCE_TIMES;
	table.announce_ms = 0;
	// The loop is to ask when to call again.
	uint64_t one = 1;
	(void)!write(table.shared->event_fd, &one, sizeof(one));
}

void neighbours_forget(uint32_t slot)
{
	for (uint32_t i = 0; i < NEIGHBOURS_MAX; i++) {
		struct neighbour *n = &table.entries[i];

		if (n->state != NEIGHBOUR_NONE && n->key.slot == slot)
			forget(n);
	}
}

size_t neighbours_list(uint32_t after, uint64_t now_ms, struct neighbour_info *ret_infos,
		       size_t size)
{
	size_t count = 0;

	for (uint32_t i = after; i < NEIGHBOURS_MAX && count < size; i++) {
		const struct neighbour *n = &table.entries[i];
		struct neighbour_info *info = &ret_infos[count];

		if (n->state == NEIGHBOUR_NONE)
			continue;
		*info = (struct neighbour_info){
			.number = i + 1,
			.slot = n->key.slot,
			.is_ipv6 = n->key.is_ipv6,
			.has_mac = n->state != NEIGHBOUR_INCOMPLETE && n->state != NEIGHBOUR_FAILED,
			.state = n->state,
			.age_ms = now_ms > n->since_ms ? now_ms - n->since_ms : 0,
		};
		memcpy(info->address, n->key.address, sizeof(info->address));
		memcpy(info->mac.bytes, n->mac, sizeof(info->mac.bytes));
		count++;
	}
	return count;
}

uint32_t neighbours_find(uint32_t slot, bool is_ipv6, const uint8_t address[16],
			 struct mac *ret_mac)
{
	struct neighbour_key key = {.slot = (uint16_t)slot, .is_ipv6 = is_ipv6};
	const struct neighbour *n;

	memcpy(key.address, address, is_ipv6 ? 16 : 4);
	n = find(&key);
	if (n == NULL || n->state == NEIGHBOUR_INCOMPLETE || n->state == NEIGHBOUR_FAILED)
		return 0;
	memcpy(ret_mac->bytes, n->mac, sizeof(ret_mac->bytes));
	return index_of(n) + 1;
}

void neighbours_use(uint32_t number)
{
	struct neighbour *n = &table.entries[number - 1];
	uint64_t one = 1;

	if (n->state != NEIGHBOUR_STALE)
		return;
	enter(n, NEIGHBOUR_DELAY, NEIGHBOUR_DELAY_MS);
	(void)!write(table.shared->event_fd, &one,
		     sizeof(one)); // the loop is to ask when to call again
}

// ---- start and stop ------------------------------------------------------------------------------

static struct rte_hash *make_index(struct rte_rcu_qsbr *qsbr)
{
	struct rte_hash_parameters parameters = {
		.name = "neighbours",
		.entries = 2 * NEIGHBOURS_MAX,
		.key_len = sizeof(struct neighbour_key),
		.hash_func = rte_jhash,
		.socket_id = SOCKET_ID_ANY,
		.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF,
	};
	struct rte_hash_rcu_config rcu = {.v = qsbr, .mode = RTE_HASH_QSBR_MODE_SYNC};
	struct rte_hash *hash = rte_hash_create(&parameters);

	if (hash != NULL && rte_hash_rcu_qsbr_add(hash, &rcu) != 0) {
		rte_hash_free(hash);
		return NULL;
	}
	return hash;
}

int neighbours_start(struct rte_rcu_qsbr *qsbr, struct neighbours **ret_neighbours,
		     struct error *err)
{
	struct neighbours *shared = rte_zmalloc("podport_neighbours", sizeof(*shared), 0);

	if (shared == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "neighbours: out of memory");
	memset(&table, 0, sizeof(table));
	table.shared = shared;
	shared->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	shared->by_key = make_index(qsbr);
	shared->events = rte_ring_create_elem("neighbour_events", sizeof(struct neighbour_event),
					      EVENTS_MAX, SOCKET_ID_ANY, RING_F_SC_DEQ);
	if (shared->event_fd < 0 || shared->by_key == NULL || shared->events == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "neighbours: %s",
				 shared->event_fd < 0 ? strerror(errno) : rte_strerror(rte_errno));
	*ret_neighbours = shared;
	return 0;
}

void neighbours_stop(void)
{
	struct neighbours *shared = table.shared;

	if (shared == NULL)
		return;
	if (shared->event_fd >= 0)
		close(shared->event_fd);
	rte_hash_free(shared->by_key);
	rte_ring_free(shared->events);
	rte_free(shared);
	table.shared = NULL;
}

void neighbours_ask_host(uint32_t slot)
{
	const struct datapath_router *router = &datapath_current()->router;
	struct neighbour_key key = {.slot = (uint16_t)slot, .is_ipv6 = !router->has_ipv4};

	if (key.is_ipv6)
		memcpy(key.address, &router->gateway_ipv6, 16);
	else
		memcpy(key.address, &router->gateway_ipv4, 4);
	neighbour_ask(&key, NULL);
}
