// SPDX-License-Identifier: BSD-3-Clause

#include "conntrack/ports.h"

#include <stdlib.h>

#include "conntrack/share.h"

enum { NONE = UINT16_MAX }; // no index: there are at most 65535 ports

struct port {
	uint32_t users : 31; // connections; 0: free
	uint32_t reserved : 1;
	uint32_t epoch; // the pod's, when the port was taken
	uint16_t pod;
	uint16_t next, previous; // in the ring of the pod's ports
	uint16_t place;          // in `order`
};
_Static_assert(sizeof(struct port) == 16, "there are some hundred thousand of them");

struct pod_ports {
	uint32_t epoch; // of ports that are this pod's; older ones were its predecessor's
	uint32_t held;
	uint16_t current; // one of its ring
};

struct port_space {
	uint16_t first;
	uint32_t size, available; // that nobody has, and anybody may have
	uint32_t used, reserved;
	uint16_t *order; // indices of ports: those that are available come first
	struct port *ports;
	struct pod_ports *pods;
};

struct port_space *port_space_new(uint16_t first, uint16_t last, uint32_t pods)
{
	struct port_space *space = calloc(1, sizeof(*space));

	if (space == NULL)
		return NULL;
	space->first = first;
	space->size = space->available = (uint32_t)last - first + 1;
	space->order = calloc(space->size, sizeof(*space->order));
	space->ports = calloc(space->size, sizeof(*space->ports));
	space->pods = calloc(pods, sizeof(*space->pods));
	if (space->order == NULL || space->ports == NULL || space->pods == NULL) {
		port_space_free(space);
		return NULL;
	}
	for (uint32_t i = 0; i < space->size; i++)
		space->order[i] = space->ports[i].place = (uint16_t)i;
	for (uint32_t i = 0; i < pods; i++)
		space->pods[i].current = NONE;
	return space;
}

void port_space_free(struct port_space *space)
{
	if (space == NULL)
		return;
	free(space->order);
	free(space->ports);
	free(space->pods);
	free(space);
}

static void move(struct port_space *space, uint16_t index, uint16_t place)
{
	uint16_t other = space->order[place], from = space->ports[index].place;

	space->order[from] = other;
	space->ports[other].place = from;
	space->order[place] = index;
	space->ports[index].place = place;
}

static void ring_add(struct port_space *space, struct pod_ports *pod, uint16_t index)
{
	struct port *port = &space->ports[index];

	if (pod->current == NONE) {
		pod->current = port->next = port->previous = index;
		return;
	}
	struct port *current = &space->ports[pod->current];
	port->next = pod->current;
	port->previous = current->previous;
	space->ports[current->previous].next = index;
	current->previous = index;
}

static void ring_remove(struct port_space *space, struct pod_ports *pod, uint16_t index)
{
	struct port *port = &space->ports[index];

	space->ports[port->previous].next = port->next;
	space->ports[port->next].previous = port->previous;
	if (pod->current == index)
		pod->current = port->next == index ? NONE : port->next;
}

// Give a port that nobody has to the pod, if it may have it.
static bool give(struct port_space *space, uint32_t number, uint16_t index)
{
	struct pod_ports *pod = &space->pods[number];
	struct port *port = &space->ports[index];

	if (!share_allows(pod->held, space->available, PORTS_SHARE))
		return false;
	move(space, index, (uint16_t)--space->available);
	port->users = 1;
	port->pod = (uint16_t)number;
	port->epoch = pod->epoch;
	pod->held++;
	space->used++;
	ring_add(space, pod, index);
	return true;
}

bool port_space_take(struct port_space *space, uint32_t pod, uint64_t random, uint16_t *ret_port)
{
	if (space->available == 0)
		return false;
	// Multiplied instead of divided: as even, and cheaper (Lemire, 2019).
	uint32_t place = (uint32_t)(((random & UINT32_MAX) * space->available) >> 32);
	uint16_t index = space->order[place];
	if (!give(space, pod, index))
		return false;
	*ret_port = (uint16_t)(space->first + index);
	return true;
}

static struct port *find(struct port_space *space, uint16_t number)
{
	uint32_t index = (uint32_t)number - space->first;

	return number >= space->first && index < space->size ? &space->ports[index] : NULL;
}

bool port_space_take_this(struct port_space *space, uint32_t pod, uint16_t number)
{
	const struct port *port = find(space, number);

	return port != NULL && port->users == 0 && !port->reserved &&
	       give(space, pod, (uint16_t)(port - space->ports));
}

bool port_space_next_own(struct port_space *space, uint32_t pod, uint16_t *ret_port)
{
	uint16_t index = space->pods[pod].current;

	if (index == NONE)
		return false;
	space->pods[pod].current = space->ports[index].next;
	*ret_port = (uint16_t)(space->first + index);
	return true;
}

bool port_space_use(struct port_space *space, uint32_t pod, uint16_t number)
{
	struct port *port = find(space, number);

	if (port == NULL || port->reserved)
		return false;
	if (port->users == 0)
		return give(space, pod, (uint16_t)(port - space->ports));
	if (port->pod != pod || port->epoch != space->pods[pod].epoch)
		return false;
	port->users++;
	return true;
}

void port_space_reserve(struct port_space *space, uint16_t number)
{
	struct port *port = find(space, number);

	if (port == NULL || port->reserved)
		return;
	port->reserved = true;
	space->reserved++;
	if (port->users == 0)
		move(space, (uint16_t)(port - space->ports), (uint16_t)--space->available);
}

void port_space_unreserve(struct port_space *space, uint16_t number)
{
	struct port *port = find(space, number);

	if (port == NULL || !port->reserved)
		return;
	port->reserved = false;
	space->reserved--;
	if (port->users == 0)
		move(space, (uint16_t)(port - space->ports), (uint16_t)space->available++);
}

void port_space_release(struct port_space *space, uint16_t number)
{
	uint16_t index = (uint16_t)(number - space->first);
	struct port *port = &space->ports[index];
	struct pod_ports *pod = &space->pods[port->pod];

	if (--port->users > 0)
		return;
	if (port->epoch == pod->epoch) {
		ring_remove(space, pod, index);
		pod->held--;
	}
	space->used--;
	if (!port->reserved)
		move(space, index, (uint16_t)space->available++);
}

void port_space_forget(struct port_space *space, uint32_t pod)
{
	space->pods[pod].epoch++;
	space->pods[pod].held = 0;
	space->pods[pod].current = NONE;
}

uint32_t port_space_held(const struct port_space *space, uint32_t pod)
{
	return space->pods[pod].held;
}

uint32_t port_space_size(const struct port_space *space)
{
	return space->size;
}

uint32_t port_space_available(const struct port_space *space)
{
	return space->available;
}

uint32_t port_space_used(const struct port_space *space)
{
	return space->used;
}

uint32_t port_space_reserved(const struct port_space *space)
{
	return space->reserved;
}
