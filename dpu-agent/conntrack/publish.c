// SPDX-License-Identifier: BSD-3-Clause
//
// Published ports: which there are, and what is behind them. A list is replaced as a whole; what is in both
// the old and the new one keeps its place, and so its connections and counters.

#include "conntrack/conntrack_private.h"

#include <stdlib.h>

bool publish_new(struct conntrack *table)
{
	uint32_t most = table->config.published;

	table->published = calloc(most, sizeof(*table->published));
	table->by_port = calloc(most, sizeof(*table->by_port));
	table->by_port_next = calloc(most, sizeof(*table->by_port_next));
	table->by_endpoint = calloc(most, sizeof(*table->by_endpoint));
	if (table->published == NULL || table->by_port == NULL || table->by_port_next == NULL ||
	    table->by_endpoint == NULL)
		return false;
	for (uint16_t i = 0; i < most; i++)
		table->published[i].next_free = (uint16_t)(i + 1);
	table->published[most - 1].next_free = PUBLISHED_NONE;
	table->published_free = 0;
	return true;
}

void publish_free(struct conntrack *table)
{
	free(table->published);
	free(table->by_port);
	free(table->by_port_next);
	free(table->by_endpoint);
}

// ---- the list ------------------------------------------------------------------------------------

static struct port_space *space_of(struct conntrack *table,
				   const struct conntrack_publication *what)
{
	return table->pools[what->pool].spaces[protocol_index(what->protocol)];
}

static void withdraw(struct conntrack *table, uint16_t place)
{
	struct published *published = &table->published[place];

	port_space_unreserve(space_of(table, &published->what), published->what.port);
	table->pods[published->what.pod].published--;
	*published = (struct published){
		.epoch = published->epoch + 1,
		.next_free = table->published_free,
	};
	table->published_free = place;
}

static uint16_t add(struct conntrack *table, const struct conntrack_publication *what)
{
	uint16_t place = table->published_free;
	struct published *published = &table->published[place];

	table->published_free = published->next_free;
	published->what = *what;
	published->next_free = PUBLISHED_NONE;
	table->pods[what->pod].published++;
	port_space_reserve(space_of(table, what), what->port);
	return place;
}

static int compare_ports(const struct conntrack_publication *a,
			 const struct conntrack_publication *b)
{
	if (a->pool != b->pool)
		return a->pool < b->pool ? -1 : 1;
	if (a->protocol != b->protocol)
		return a->protocol < b->protocol ? -1 : 1;
	return (a->port > b->port) - (a->port < b->port);
}

static int compare_endpoints(const struct conntrack_publication *a,
			     const struct conntrack_publication *b)
{
	if (a->pod != b->pod)
		return a->pod < b->pod ? -1 : 1;
	if (a->pool != b->pool)
		return a->pool < b->pool ? -1 : 1;
	if (a->protocol != b->protocol)
		return a->protocol < b->protocol ? -1 : 1;
	return (a->pod_port > b->pod_port) - (a->pod_port < b->pod_port);
}

static bool is_same(const struct conntrack_publication *a, const struct conntrack_publication *b)
{
	return compare_ports(a, b) == 0 && a->owner == b->owner && a->pod == b->pod &&
	       a->pod_port == b->pod_port &&
	       conntrack_address_equal(&a->pod_address, &b->pod_address);
}

static int order_ports(const void *left, const void *right)
{
	return compare_ports(left, right);
}

static int order_endpoints(const void *left, const void *right, void *list)
{
	const struct conntrack_publication *all = list;
	const struct conntrack_publication *a = &all[*(const uint16_t *)left];
	const struct conntrack_publication *b = &all[*(const uint16_t *)right];
	int r = compare_endpoints(a, b);

	return r != 0 ? r : (a->port > b->port) - (a->port < b->port);
}

void conntrack_sort_publications(struct conntrack_publication *list, uint16_t *ret_by_endpoint,
				 uint32_t count)
{
	qsort(list, count, sizeof(*list), order_ports);
	for (uint32_t i = 0; i < count; i++)
		ret_by_endpoint[i] = (uint16_t)i;
	qsort_r(ret_by_endpoint, count, sizeof(*ret_by_endpoint), order_endpoints, list);
}

void conntrack_publish(struct conntrack *table, const struct conntrack_publication *list,
		       const uint16_t *by_endpoint, uint32_t count)
{
	uint16_t *next = table->by_port_next;
	uint32_t old = 0;

	// All that goes, goes before what is new, so that there is room for it.
	for (uint32_t i = 0; i < count; i++) {
		const struct conntrack_publication *what;

		for (next[i] = PUBLISHED_NONE; old < table->published_count; old++) {
			what = &table->published[table->by_port[old]].what;
			if (compare_ports(what, &list[i]) > 0)
				break;
			if (is_same(what, &list[i]))
				next[i] = table->by_port[old];
			else
				withdraw(table, table->by_port[old]);
		}
	}
	for (; old < table->published_count; old++)
		withdraw(table, table->by_port[old]);
	for (uint32_t i = 0; i < count; i++) {
		if (next[i] == PUBLISHED_NONE)
			next[i] = add(table, &list[i]);
	}
	for (uint32_t i = 0; i < count; i++)
		table->by_endpoint[i] = next[by_endpoint[i]];
	table->by_port_next = table->by_port;
	table->by_port = next;
	table->published_count = count;
	table->sweep_left = table->config.connections; // for those whose port is gone
}

// ---- looking it up -------------------------------------------------------------------------------

typedef int (*compare_function)(const struct conntrack_publication *a,
				const struct conntrack_publication *b);

// The first that is not less than `wanted`, if it is equal to it.
static uint16_t find(const struct conntrack *table, const uint16_t *order,
		     const struct conntrack_publication *wanted, compare_function compare)
{
	uint32_t low = 0, high = table->published_count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (compare(&table->published[order[middle]].what, wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == table->published_count ||
	    compare(&table->published[order[low]].what, wanted) != 0)
		return PUBLISHED_NONE;
	return order[low];
}

uint16_t publish_find(const struct conntrack *table, uint32_t pool,
		      const struct conntrack_tuple *tuple)
{
	struct conntrack_publication wanted = {
		.pool = pool,
		.protocol = tuple->protocol,
		.port = rte_be_to_cpu_16(tuple->destination_port),
	};

	return find(table, table->by_port, &wanted, compare_ports);
}

uint16_t publish_find_endpoint(const struct conntrack *table, uint32_t pod,
			       const struct conntrack_tuple *original)
{
	struct conntrack_publication wanted = {
		.pod = pod,
		.protocol = original->protocol,
		.pod_port = rte_be_to_cpu_16(original->source_port),
	};

	if (likely(table->pods[pod].published == 0))
		return PUBLISHED_NONE;
	while (table->pools[wanted.pool].family != original->family) {
		if (++wanted.pool == CONNTRACK_POOLS_MAX)
			return PUBLISHED_NONE;
	}
	return find(table, table->by_endpoint, &wanted, compare_endpoints);
}

// ---- counting ------------------------------------------------------------------------------------

void publish_count(struct conntrack *table, const struct connection *c, unsigned int direction,
		   uint64_t packets, uint64_t bytes)
{
	struct published *published = &table->published[c->published];

	published->packets[direction] += packets;
	published->bytes[direction] += bytes;
}

bool conntrack_published_figures(const struct conntrack *table, uint32_t pool, uint8_t protocol,
				 uint16_t port, struct conntrack_published_figures *ret_figures)
{
	struct conntrack_publication wanted = {.pool = pool, .protocol = protocol, .port = port};
	uint16_t place = find(table, table->by_port, &wanted, compare_ports);

	if (place == PUBLISHED_NONE)
		return false;
	const struct published *published = &table->published[place];
	*ret_figures = (struct conntrack_published_figures){
		.connections = published->connections,
		.opened = published->opened,
		.packets_in = published->packets[ORIGINAL],
		.bytes_in = published->bytes[ORIGINAL],
		.packets_out = published->packets[REPLY],
		.bytes_out = published->bytes[REPLY],
	};
	return true;
}
