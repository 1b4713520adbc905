// SPDX-License-Identifier: BSD-3-Clause

#include "datapath/addresses.h"

#include <stdlib.h>

#include "datapath/worker.h"

static void add4(struct addresses *table, rte_be32_t address, uint16_t slot)
{
	uint32_t place = address4_place(address);
	uint16_t owner;

	if (address4_find(table, address, &owner))
		return;
	while (table->ipv4[place].slot != ADDRESS_NONE)
		place = (place + 1) % ADDRESS_PLACES;
	table->ipv4[place] = (struct address4){.address = address, .slot = slot};
}

static void add6(struct addresses *table, const struct in6_addr *address, uint16_t slot)
{
	struct address6 entry = {.slot = slot};
	uint16_t owner;

	if (address6_find(table, address, &owner))
		return;
	memcpy(entry.address, address, sizeof(entry.address));
	uint32_t place = address6_place(entry.address);
	while (table->ipv6[place].slot != ADDRESS_NONE)
		place = (place + 1) % ADDRESS_PLACES;
	table->ipv6[place] = entry;
}

struct addresses *addresses_new(struct graph_port *const ports[DATAPATH_PORTS_MAX])
{
	struct addresses *table = malloc(sizeof(*table));

	if (table == NULL)
		return NULL;
	memset(table, UINT8_MAX, sizeof(*table)); // every slot is ADDRESS_NONE
	for (uint16_t slot = 0; slot < DATAPATH_PORTS_MAX; slot++) {
		if (ports[slot] == NULL)
			continue;
		const struct datapath_port *port = &ports[slot]->config;

		if (port->has_ipv4)
			add4(table, port->ipv4.s_addr, slot);
		if (port->has_ipv6)
			add6(table, &port->ipv6, slot);
	}
	return table;
}
