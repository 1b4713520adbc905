// SPDX-License-Identifier: BSD-3-Clause

#include "datapath/poll.h"

#include <rte_ethdev.h>

enum {
	POLLED_ANYHOW = 8, // ports: a worker with no more than these lets none rest
	REST_AFTER = 1000, // empty polls one after the other
	REST_ASLEEP_AFTER =
		64, // the same of a worker that falls asleep: it has rung for others so often
};

void poll_look(struct worker *w, const struct snapshot *s)
{
	if (likely(w->polled_serial == s->serial))
		return;
	w->polled_serial = s->serial;
	w->polled_count = w->resting_count = 0;
	for (uint16_t i = 0; i < s->poll_count; i++) {
		uint16_t slot = s->poll[i];

		if (slot % w->stride != w->index)
			continue;
		if (w->resting[slot] == s->ports[slot]->generation)
			w->resting_count++;
		else
			w->polled[w->polled_count++] = slot;
	}
}

// ---- one port ------------------------------------------------------------------------------------

static uint16_t receive(const struct graph_port *port, struct rte_mbuf **packets, uint16_t count)
{
	return port->config.ops == NULL
		       ? rte_eth_rx_burst(port->config.port_id, 0, packets, count)
		       : port->config.ops->receive(port->config.device, packets, count);
}

// Interrupts stay armed until they ring or a packet is polled, so this costs little for ports that
// are idle for long. False: it cannot ring.
static bool arm(struct worker *w, const struct graph_port *port)
{
	uint32_t slot = port->config.slot;
	bool rings;

	if (port->config.ops != NULL) // which knows best whether it still is
		rings = port->config.ops->arm(port->config.device);
	else if (port->interrupt_fd < 0)
		rings = false;
	else
		rings = w->armed[slot] == port->generation ||
			rte_eth_dev_rx_intr_enable(port->config.port_id, 0) == 0;
	w->armed[slot] = rings ? port->generation : 0;
	return rings;
}

static void disarm(struct worker *w, const struct graph_port *port)
{
	uint32_t slot = port->config.slot;

	if (port->config.ops != NULL)
		port->config.ops->disarm(port->config.device);
	else if (w->armed[slot] == port->generation)
		rte_eth_dev_rx_intr_disable(port->config.port_id, 0);
	w->armed[slot] = 0;
}

// ---- polling -------------------------------------------------------------------------------------

// An armed port leaves the list; the others keep their turns.
static void rest(struct worker *w, const struct graph_port *port, uint16_t place)
{
	uint16_t slot = w->polled[place];

	w->polled_count--;
	memmove(&w->polled[place], &w->polled[place + 1],
		(size_t)(w->polled_count - place) * sizeof(w->polled[0]));
	w->empty_polls[slot] = 0;
	w->resting[slot] = port->generation;
	w->resting_count++;
}

// Empty for long. What came before it could ring is looked for once more; with that it goes on.
static uint16_t try_rest(struct worker *w, const struct graph_port *port, struct rte_mbuf **packets,
			 uint16_t size)
{
	w->empty_polls[port->config.slot] = 0;
	if (w->polled_count <= POLLED_ANYHOW || !arm(w, port))
		return 0;
	uint16_t count = receive(port, packets, size);
	if (count == 0)
		rest(w, port, w->poll_next);
	return count;
}

uint16_t poll_next(struct worker *w, const struct snapshot *s, struct rte_mbuf **packets,
		   uint16_t size, const struct graph_port **ret_port)
{
	if (w->poll_next >= w->polled_count)
		w->poll_next = 0;
	uint16_t slot = w->polled[w->poll_next];
	const struct graph_port *port = s->ports[slot];
	uint16_t before = w->polled_count, count = receive(port, packets, size);

	*ret_port = port;
	if (count == 0 && unlikely(++w->empty_polls[slot] >= REST_AFTER))
		count = try_rest(w, port, packets, size);
	if (w->polled_count == before)
		w->poll_next++;
	if (count == 0)
		return 0;
	w->empty_polls[slot] = 0;
	// From now on it is polled, and an interrupt would be for nothing.
	if (unlikely(w->armed[slot] != 0))
		disarm(w, port);
	return count;
}

// ---- ringing -------------------------------------------------------------------------------------

bool poll_arm(struct worker *w, const struct snapshot *s)
{
	bool all = true;

	poll_look(w, s);
	for (uint16_t i = 0; i < w->polled_count; i++)
		all = arm(w, s->ports[w->polled[i]]) && all;
	return all;
}

void poll_rest(struct worker *w, const struct snapshot *s)
{
	if (w->polled_serial !=
	    s->serial) // another one since the walk, and that will wake the worker
		return;
	for (uint16_t i = w->polled_count; i > 0 && w->polled_count > POLLED_ANYHOW; i--) {
		uint16_t slot = w->polled[i - 1];
		const struct graph_port *port = s->ports[slot];

		if (w->empty_polls[slot] >= REST_ASLEEP_AFTER && w->armed[slot] == port->generation)
			rest(w, port, (uint16_t)(i - 1));
	}
}

static void wake_up(struct worker *w, uint32_t slot)
{
	if (w->resting[slot] == 0)
		return;
	w->resting[slot] = 0;
	w->polled_serial = 0; // the list is made anew: no snapshot with ports has this number
}

void poll_rang(struct worker *w, const struct snapshot *s, uint32_t slot)
{
	const struct graph_port *port = s->ports[slot];

	// The port may have gone, or another come in its place, while its interrupt rang.
	if (port != NULL)
		disarm(w, port);
	w->armed[slot] = 0;
	wake_up(w, slot);
}

void poll_look_again(struct worker *w, const struct snapshot *s)
{
	for (uint16_t i = 0; w->resting_count > 0 && i < s->poll_count; i++) {
		uint16_t slot = s->poll[i];

		if (s->ports[slot]->config.ops != NULL && slot % w->stride == w->index)
			wake_up(w, slot);
	}
}
