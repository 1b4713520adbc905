// SPDX-License-Identifier: BSD-3-Clause
//
// The control thread's side of published ports: a list is put into the orders that the table wants, and
// published whole. The worker that has the table takes it over before the packets of its next walk.

#include <errno.h>
#include <stdlib.h>

#include "datapath/datapath_private.h"
#include "datapath/masquerade_private.h"

_Static_assert((int)MASQUERADE_PUBLISHED_MAX == (int)CONNTRACK_PUBLISHED_MAX, "the table has room");

void published_ports_free(const struct published_ports *published)
{
	if (published == NULL)
		return;
	free(published->list);
	free(published->by_endpoint);
	free((void *)(uintptr_t)published);
}

static void take(const struct masquerade_publication *from, struct conntrack_publication *to)
{
	*to = (struct conntrack_publication){
		.owner = from->owner,
		.pool = from->is_ipv6 ? MASQUERADE_POOL_IPV6 : MASQUERADE_POOL_IPV4,
		.protocol = from->protocol,
		.port = from->port,
		.pod = from->slot,
		.pod_port = from->pod_port,
	};
	memcpy(&to->pod_address, from->pod, from->is_ipv6 ? 16 : 4);
}

static struct published_ports *make(const struct masquerade_publication *list, size_t count)
{
	static uint64_t serial; // never 0
	struct published_ports *published = calloc(1, sizeof(*published));

	if (published == NULL)
		return NULL;
	published->serial = ++serial;
	published->count = (uint32_t)count;
	published->list = calloc(count, sizeof(*published->list));
	published->by_endpoint = calloc(count, sizeof(*published->by_endpoint));
	if (published->list == NULL || published->by_endpoint == NULL) {
		published_ports_free(published);
		return NULL;
	}
	for (size_t i = 0; i < count; i++) {
		take(&list[i], &published->list[i]);
		published->slots[list[i].slot] = true;
	}
	conntrack_sort_publications(published->list, published->by_endpoint, published->count);
	return published;
}

int masquerade_publish(const struct masquerade_publication *list, size_t count, struct error *err)
{
	const struct published_ports *old = datapath_current()->published;
	struct published_ports *published = NULL;

	if (count == 0 && old == NULL)
		return 0;
	int r = count > 0 ? datapath_make_masquerade(err) : 0;
	if (r < 0)
		return r;
	struct snapshot *s = datapath_copy_snapshot();
	if (count > 0)
		published = make(list, count);
	if (s == NULL || (count > 0 && published == NULL)) {
		free(s);
		published_ports_free(published);
		return error_set(err, ENOMEM, CODE_INTERNAL, "published ports: out of memory");
	}
	s->published = published;
	s->masquerade = datapath_masquerade();
	datapath_publish(s);
	published_ports_free(old);
	return 0;
}
