// SPDX-License-Identifier: BSD-3-Clause
//
// What libpodport hands out about neighbours; made as objects.c makes the others.

#include <stdlib.h>
#include <string.h>

#include "libpodport/client_private.h"

struct neighbour_object {
	struct podport_neighbour public;
	char port[LIMIT_ID + 1];
	char state[LIMIT_ID + 1];
};

struct podport_neighbours {
	struct neighbour_object **items;
	size_t count;
};

static struct neighbour_object *make_object(const struct neighbour_row *from)
{
	struct neighbour_object *object = calloc(1, sizeof(*object));

	if (object == NULL)
		return NULL;
	memcpy(object->port, from->port, sizeof(object->port));
	memcpy(object->state, from->state, sizeof(object->state));
	object->public = (struct podport_neighbour){
		.port = object->port,
		.family = from->has_ipv4 ? AF_INET : AF_INET6,
		.has_mac = from->has_mac,
		.state = object->state,
		.age_ms = from->age_ms,
	};
	if (from->has_ipv4)
		memcpy(object->public.address, &from->ipv4, sizeof(from->ipv4));
	else
		memcpy(object->public.address, &from->ipv6, sizeof(from->ipv6));
	memcpy(object->public.mac, from->mac.bytes, sizeof(object->public.mac));
	return object;
}

struct podport_neighbours *object_neighbours(void)
{
	return calloc(1, sizeof(struct podport_neighbours));
}

int object_neighbours_append(struct podport_neighbours *neighbours,
			     const struct neighbours_reply *from)
{
	size_t count = neighbours->count;
	struct neighbour_object **items =
		reallocarray(neighbours->items, count + from->count + 1, sizeof(*items));

	if (items == NULL)
		return -1;
	neighbours->items = items;
	for (size_t i = 0; i < from->count; i++) {
		items[count + i] = make_object(&from->neighbours[i]);
		if (items[count + i] == NULL) {
			while (i-- > 0)
				free(items[count + i]);
			return -1;
		}
	}
	neighbours->count = count + from->count;
	return 0;
}

size_t podport_neighbours_count(const struct podport_neighbours *neighbours)
{
	return neighbours->count;
}

const struct podport_neighbour *podport_neighbours_get(const struct podport_neighbours *neighbours,
						       size_t index)
{
	return index < neighbours->count ? &neighbours->items[index]->public : NULL;
}

void podport_neighbours_free(struct podport_neighbours *neighbours)
{
	if (neighbours == NULL)
		return;
	for (size_t i = 0; i < neighbours->count; i++)
		free(neighbours->items[i]);
	free(neighbours->items);
	free(neighbours);
}
