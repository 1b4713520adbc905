// SPDX-License-Identifier: BSD-3-Clause
//
// Lists: pods, ports, rules, neighbours, connections. They come in pages, and differ in what a page holds and in what the next one
// begins after.

#include <errno.h>

#include "libpodport/client_private.h"

struct list_kind {
	// Add the page to the list. 0 or -ENOMEM.
	int (*append)(void *list, const struct reply *page);
	bool (*more)(const struct reply *page);
	// Ask for what is after this page. false: that is not after what this one was asked for.
	bool (*advance)(struct request *request, const struct reply *page);
};

static int fetch(struct podport_client *client, struct request *request,
		 const struct list_kind *kind, void *list, struct error *err)
{
	bool more = true;
	int r = 0;

	while (more && r == 0) {
		struct reply page;

		r = client_call(client, request, -1, &page, err);
		if (r < 0)
			break;
		more = kind->more(&page);
		if (kind->append(list, &page) < 0)
			r = error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
		// A peer that says "more" must move forward, or this would never end.
		else if (more && !kind->advance(request, &page))
			r = error_set(err, EBADMSG, CODE_INTERNAL,
				      "podport-hostd answered with a page that does not follow the "
				      "last one");
		reply_clear(&page);
	}
	return r;
}

// `list` is NULL if there was no memory for it.
static int fetch_list(struct podport_client *client, struct request *request,
		      const struct list_kind *kind, void *list, struct podport_error *error)
{
	struct error err = {.code = CODE_INTERNAL, .message = "out of memory"};
	int r = list == NULL ? -ENOMEM : fetch(client, request, kind, list, &err);

	return r < 0 ? client_error(error, &err, r) : 0;
}

// ---- pods: after a key ---------------------------------------------------------------------------

static int append_pods(void *list, const struct reply *page)
{
	return object_pods_append(list, &page->body.list);
}

static bool more_pods(const struct reply *page)
{
	return page->body.list.more;
}

static bool advance_pods(struct request *request, const struct reply *page)
{
	struct list_request *asked = &request->body.list;
	const struct list_reply *pods = &page->body.list;
	const struct attachment_key *last;

	if (pods->count == 0)
		return false;
	last = &pods->items[pods->count - 1].attachment.key;
	if (asked->has_after && attachment_key_compare(last, &asked->after) <= 0)
		return false;
	asked->after = *last;
	asked->has_after = true;
	return true;
}

int podport_list_pods(struct podport_client *client, struct podport_pods **ret_pods,
		      struct podport_error *error)
{
	static const struct list_kind kind = {append_pods, more_pods, advance_pods};
	struct request request = {.call = CALL_LIST, .body.list.limit = LIMIT_PAGE};
	struct podport_pods *pods = object_pods();
	int r = fetch_list(client, &request, &kind, pods, error);

	if (r < 0)
		podport_pods_free(pods);
	else
		*ret_pods = pods;
	return r;
}

// ---- ports: from a slot on -----------------------------------------------------------------------

static int append_ports(void *list, const struct reply *page)
{
	return object_ports_append(list, &page->body.ports);
}

static bool more_ports(const struct reply *page)
{
	return page->body.ports.more;
}

static bool advance_ports(struct request *request, const struct reply *page)
{
	struct list_ports_request *asked = &request->body.list_ports;
	const struct ports_reply *ports = &page->body.ports;
	uint32_t after = ports->count > 0 ? ports->ports[ports->count - 1].slot + 1 : 0;

	if (after <= asked->after)
		return false;
	asked->after = after;
	return true;
}

int podport_list_ports(struct podport_client *client, struct podport_ports **ret_ports,
		       struct podport_error *error)
{
	static const struct list_kind kind = {append_ports, more_ports, advance_ports};
	struct request request = {.call = CALL_LIST_PORTS,
				  .body.list_ports.limit = LIMIT_PORTS_PAGE};
	struct podport_ports *ports = object_ports();
	int r = fetch_list(client, &request, &kind, ports, error);

	if (r < 0)
		podport_ports_free(ports);
	else
		*ret_ports = ports;
	return r;
}

// ---- rules: after an ID --------------------------------------------------------------------------

static int append_flows(void *list, const struct reply *page)
{
	return object_flows_append(list, &page->body.flows);
}

static bool more_flows(const struct reply *page)
{
	return page->body.flows.more;
}

static bool advance_flows(struct request *request, const struct reply *page)
{
	struct list_flows_request *asked = &request->body.list_flows;
	const struct flows_reply *flows = &page->body.flows;
	uint64_t after = flows->count > 0 ? flows->flows[flows->count - 1].id : 0;

	if (after <= asked->after)
		return false;
	asked->after = after;
	return true;
}

int podport_list_flows(struct podport_client *client, struct podport_flows **ret_flows,
		       struct podport_error *error)
{
	static const struct list_kind kind = {append_flows, more_flows, advance_flows};
	struct request request = {.call = CALL_LIST_FLOWS,
				  .body.list_flows.limit = LIMIT_FLOWS_PAGE};
	struct podport_flows *flows = object_flows();
	int r = fetch_list(client, &request, &kind, flows, error);

	if (r < 0)
		podport_flows_free(flows);
	else
		*ret_flows = flows;
	return r;
}

// ---- neighbours: after a number ------------------------------------------------------------------

static int append_neighbours(void *list, const struct reply *page)
{
	return object_neighbours_append(list, &page->body.neighbours);
}

static bool more_neighbours(const struct reply *page)
{
	return page->body.neighbours.more;
}

static bool advance_neighbours(struct request *request, const struct reply *page)
{
	struct list_neighbours_request *asked = &request->body.list_neighbours;
	const struct neighbours_reply *rows = &page->body.neighbours;
	uint32_t after = rows->count > 0 ? rows->neighbours[rows->count - 1].number : 0;

	if (after <= asked->after)
		return false;
	asked->after = after;
	return true;
}

int podport_list_neighbours(struct podport_client *client,
			    struct podport_neighbours **ret_neighbours, struct podport_error *error)
{
	static const struct list_kind kind = {append_neighbours, more_neighbours,
					      advance_neighbours};
	struct request request = {.call = CALL_LIST_NEIGHBOURS,
				  .body.list_neighbours.limit = LIMIT_NEIGHBOURS_PAGE};
	struct podport_neighbours *neighbours = object_neighbours();
	int r = fetch_list(client, &request, &kind, neighbours, error);

	if (r < 0)
		podport_neighbours_free(neighbours);
	else
		*ret_neighbours = neighbours;
	return r;
}

// ---- nat: after a number -------------------------------------------------------------------------

static int append_nat(void *list, const struct reply *page)
{
	return object_nat_append(list, &page->body.nat);
}

static bool more_nat(const struct reply *page)
{
	return page->body.nat.more;
}

static bool advance_nat(struct request *request, const struct reply *page)
{
	struct list_nat_request *asked = &request->body.list_nat;
	const struct nat_reply *rows = &page->body.nat;
	uint32_t after = rows->count > 0 ? rows->ports[rows->count - 1].number : 0;

	if (after <= asked->after)
		return false;
	asked->after = after;
	return true;
}

int podport_list_nat(struct podport_client *client, struct podport_nat **ret_nat,
		     struct podport_error *error)
{
	static const struct list_kind kind = {append_nat, more_nat, advance_nat};
	struct request request = {.call = CALL_LIST_NAT, .body.list_nat.limit = LIMIT_NAT_PAGE};
	struct podport_nat *nat = object_nat();
	int r = fetch_list(client, &request, &kind, nat, error);

	if (r < 0)
		podport_nat_free(nat);
	else
		*ret_nat = nat;
	return r;
}

// ---- connections: after a number -----------------------------------------------------------------

static int append_connections(void *list, const struct reply *page)
{
	return object_connections_append(list, &page->body.connections);
}

static bool more_connections(const struct reply *page)
{
	return page->body.connections.more;
}

static bool advance_connections(struct request *request, const struct reply *page)
{
	struct list_connections_request *asked = &request->body.list_connections;
	const struct connections_reply *rows = &page->body.connections;
	uint32_t after = rows->count > 0 ? rows->connections[rows->count - 1].number : 0;

	if (after <= asked->after)
		return false;
	asked->after = after;
	return true;
}

int podport_list_connections(struct podport_client *client,
			     struct podport_connections **ret_connections,
			     struct podport_error *error)
{
	static const struct list_kind kind = {append_connections, more_connections,
					      advance_connections};
	struct request request = {.call = CALL_LIST_CONNECTIONS,
				  .body.list_connections.limit = LIMIT_CONNECTIONS_PAGE};
	struct podport_connections *connections = object_connections();
	int r = fetch_list(client, &request, &kind, connections, error);

	if (r < 0)
		podport_connections_free(connections);
	else
		*ret_connections = connections;
	return r;
}
