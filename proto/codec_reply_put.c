// SPDX-License-Identifier: BSD-3-Clause
//
// Replies, into a message: generated structs that point into the plain reply, packed at the end.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/text.h"
#include "proto/codec_private.h"

struct port_wire {
	Podport__Wire__Port message; // points at the others
	Podport__Wire__Function function;
	Podport__Wire__Key key;
	Podport__Wire__Drop drops[LIMIT_DROPS];
	Podport__Wire__Drop *drop_pointers[LIMIT_DROPS];
	Podport__Wire__Meter ingress, egress;
};

// What a list points at: too large for the stacks of nng's threads to be left unmentioned.
union page_wire {
	struct {
		Podport__Wire__Attachment *pointers[LIMIT_PAGE];
		struct attachment_wire items[LIMIT_PAGE];
		Podport__Wire__AttachmentOffload offloads[LIMIT_PAGE];
	} attachments;
	struct {
		Podport__Wire__Port *pointers[LIMIT_PORTS_PAGE];
		struct port_wire items[LIMIT_PORTS_PAGE];
	} ports;
	struct {
		Podport__Wire__Flow *pointers[LIMIT_FLOWS_PAGE];
		struct flow_wire items[LIMIT_FLOWS_PAGE];
	} flows;
	struct {
		Podport__Wire__Neighbour *pointers[LIMIT_NEIGHBOURS_PAGE];
		Podport__Wire__Neighbour items[LIMIT_NEIGHBOURS_PAGE];
	} neighbours;
	struct {
		Podport__Wire__Connection *pointers[LIMIT_CONNECTIONS_PAGE];
		Podport__Wire__Connection items[LIMIT_CONNECTIONS_PAGE];
	} connections;
	struct {
		Podport__Wire__PublishedPort *pointers[LIMIT_NAT_PAGE];
		Podport__Wire__PublishedPort items[LIMIT_NAT_PAGE];
		struct nat_summary_wire summary;
	} nat;
	struct {
		Podport__Wire__Capability *pointers[LIMIT_CAPABILITIES];
		Podport__Wire__Capability items[LIMIT_CAPABILITIES];
	} capabilities;
	struct watch_page_wire watch;
};

// What a reply's message points at.
struct reply_wire {
	Podport__Wire__Reply message;
	char text[LIMIT_TEXT + 1];
	union {
		Podport__Wire__HelloReply hello;
		Podport__Wire__AttachReply attach;
		Podport__Wire__DetachReply detach;
		Podport__Wire__CheckReply check;
		Podport__Wire__ListReply list;
		Podport__Wire__StatusReply status;
		Podport__Wire__ListPortsReply ports;
		Podport__Wire__GetIpamReply ipam;
		Podport__Wire__ListFlowsReply flows;
		Podport__Wire__ListNeighboursReply neighbours;
		Podport__Wire__ListConnectionsReply connections;
		Podport__Wire__ListNatReply nat;
		Podport__Wire__GetOffloadReply offload;
		Podport__Wire__SetPodNetworkReply set_pod_network;
		Podport__Wire__ReconcileReply reconcile;
		struct gc_reply_wire gc;
		Podport__Wire__WatchReply watch;
		Podport__Wire__ReadWatchReply read_watch;
	} body;
	struct attachment_wire attachment;
	Podport__Wire__Function function;
	Podport__Wire__PodNetwork pod_network;
	Podport__Wire__HostStatus host;
	Podport__Wire__AgentStatus agent;
	Podport__Wire__OffloadSummary summary;
	Podport__Wire__ConnectionsOffload connections_offload;
	Podport__Wire__Uplink uplink;
	Podport__Wire__Ipam ipv4, ipv6;
	union page_wire *page; // heap
};

static void put_pod_network(Podport__Wire__PodNetwork *to, const struct pod_network *from)
{
	podport__wire__pod_network__init(to);
	to->ipv4 = put_bytes(from->has_ipv4, &from->ipv4, sizeof(from->ipv4));
	to->gateway_ipv4 =
		put_bytes(from->has_ipv4, &from->gateway_ipv4, sizeof(from->gateway_ipv4));
	to->ipv4_prefix_length = from->has_ipv4 ? from->ipv4_prefix_length : 0;
	to->ipv6 = put_bytes(from->has_ipv6, &from->ipv6, sizeof(from->ipv6));
	to->gateway_ipv6 =
		put_bytes(from->has_ipv6, &from->gateway_ipv6, sizeof(from->gateway_ipv6));
	to->ipv6_prefix_length = from->has_ipv6 ? from->ipv6_prefix_length : 0;
	to->router_mac = put_mac(&from->router_mac);
	to->mtu = from->mtu;
}

static void put_hello(struct reply_wire *wire, const struct hello_reply *from)
{
	Podport__Wire__HelloReply *to = &wire->body.hello;

	podport__wire__hello_reply__init(to);
	to->protocol_version = from->protocol_version;
	to->software_version = put_text(from->software_version);
	to->host_port = from->host_port;
	to->uplink_ipv4 = put_bytes(from->has_uplink_ipv4, &from->uplink_ipv4, 4);
	to->uplink_ipv6 = put_bytes(from->has_uplink_ipv6, &from->uplink_ipv6, 16);
	if (from->has_pod_network) {
		put_pod_network(&wire->pod_network, &from->pod_network);
		to->pod_network = &wire->pod_network;
	}
	wire->message.body_case = PODPORT__WIRE__REPLY__BODY_HELLO;
	wire->message.hello = to;
}

static void put_attach(struct reply_wire *wire, const struct attachment *from, bool repeated)
{
	Podport__Wire__AttachReply *to = &wire->body.attach;

	podport__wire__attach_reply__init(to);
	put_attachment(&wire->attachment, from);
	to->attachment = &wire->attachment.message;
	to->repeated = repeated;
	wire->message.body_case = PODPORT__WIRE__REPLY__BODY_ATTACH;
	wire->message.attach = to;
}

static void put_check(struct reply_wire *wire, const struct attachment *from)
{
	Podport__Wire__CheckReply *to = &wire->body.check;

	podport__wire__check_reply__init(to);
	put_attachment(&wire->attachment, from);
	to->attachment = &wire->attachment.message;
	wire->message.body_case = PODPORT__WIRE__REPLY__BODY_CHECK;
	wire->message.check = to;
}

static void put_detach(struct reply_wire *wire, const struct detach_reply *from)
{
	Podport__Wire__DetachReply *to = &wire->body.detach;

	podport__wire__detach_reply__init(to);
	to->existed = from->existed;
	if (from->existed) {
		put_function(&wire->function, &from->function);
		to->function = &wire->function;
	}
	wire->message.body_case = PODPORT__WIRE__REPLY__BODY_DETACH;
	wire->message.detach = to;
}

static int put_list(struct reply_wire *wire, const struct list_reply *from, struct error *err)
{
	Podport__Wire__ListReply *to = &wire->body.list;

	if (from->count > LIMIT_PAGE)
		return error_set(err, EMSGSIZE, CODE_INTERNAL,
				 "list: %zu attachments are more than %d", from->count,
				 (int)LIMIT_PAGE);
	for (size_t i = 0; i < from->count; i++) {
		struct attachment_wire *item = &wire->page->attachments.items[i];

		put_attachment(item, &from->items[i].attachment);
		if (from->items[i].has_offload) {
			item->message.offload = &wire->page->attachments.offloads[i];
			put_attachment_offload(item->message.offload, &from->items[i].offload);
		}
		wire->page->attachments.pointers[i] = &item->message;
	}
	podport__wire__list_reply__init(to);
	to->attachments = wire->page->attachments.pointers;
	to->n_attachments = from->count;
	to->more = from->more;
	wire->message.body_case = PODPORT__WIRE__REPLY__BODY_LIST;
	wire->message.list = to;
	return 0;
}

static void put_host_status(Podport__Wire__HostStatus *to, const struct host_status *from)
{
	podport__wire__host_status__init(to);
	to->software_version = put_text(from->software_version);
	to->agent_url = put_text(from->agent_url);
	to->link_up = from->link_up;
	to->link_changed_ms_ago = from->link_changed_ms_ago;
	to->link_error = put_text(from->link_error);
	to->queued_deletes = from->queued_deletes;
	to->calls_in_flight = from->calls_in_flight;
	to->host_port = put_text(from->host_port);
	to->host_port_ready = from->host_port_ready;
	to->host_port_error = put_text(from->host_port_error);
}

static void put_agent_status(struct reply_wire *wire, const struct agent_status *from)
{
	Podport__Wire__AgentStatus *to = &wire->agent;

	podport__wire__agent_status__init(to);
	to->software_version = put_text(from->software_version);
	to->instance_id = put_text(from->instance_id);
	to->uptime_ms = from->uptime_ms;
	to->ready = from->ready;
	to->not_ready_reason = put_text(from->not_ready_reason);
	to->notice = put_text(from->notice);
	to->nic_device = put_text(from->nic_device);
	to->nic_driver = put_text(from->nic_driver);
	to->functions = from->functions;
	to->functions_used = from->functions_used;
	to->attachments = from->attachments;
	to->attachments_without_port = from->attachments_without_port;
	to->vhost_ports = from->vhost_ports;
	to->vhost_ports_used = from->vhost_ports_used;
	to->virtio_ports = from->virtio_ports;
	to->virtio_ports_used = from->virtio_ports_used;
	to->virtio_error = put_text(from->virtio_error);
	to->uplink_error = put_text(from->uplink_error);
	to->workers = from->workers;
	to->ipv4_free = from->ipv4_free;
	to->ipv6_free = from->ipv6_free;
	if (from->has_offload) {
		put_offload_summary(&wire->summary, &from->offload);
		to->offload = &wire->summary;
	}
	if (from->has_uplink) {
		put_uplink(&wire->uplink, &from->uplink);
		to->uplink = &wire->uplink;
	}
	if (from->has_pod_network) {
		put_pod_network(&wire->pod_network, &from->pod_network);
		to->pod_network = &wire->pod_network;
	}
}

static void put_status(struct reply_wire *wire, const struct status_reply *from)
{
	Podport__Wire__StatusReply *to = &wire->body.status;

	podport__wire__status_reply__init(to);
	if (from->has_host) {
		put_host_status(&wire->host, &from->host);
		to->host = &wire->host;
	}
	if (from->has_agent) {
		put_agent_status(wire, &from->agent);
		to->agent = &wire->agent;
	}
	wire->message.body_case = PODPORT__WIRE__REPLY__BODY_STATUS;
	wire->message.status = to;
}

static Podport__Wire__Meter *put_meter(Podport__Wire__Meter *to, const struct meter_info *from)
{
	if (from->rate_bps == 0)
		return NULL;
	podport__wire__meter__init(to);
	to->rate_bps = from->rate_bps;
	to->burst_bits = from->burst_bits;
	to->passed_packets = from->passed_packets;
	to->passed_bytes = from->passed_bytes;
	to->dropped_packets = from->dropped_packets;
	to->dropped_bytes = from->dropped_bytes;
	to->by_nic = from->by_nic;
	return to;
}

static void put_port(struct port_wire *wire, const struct port_info *from)
{
	Podport__Wire__Port *to = &wire->message;

	podport__wire__port__init(to);
	put_function(&wire->function, &from->function);
	to->slot = from->slot;
	to->kind = put_text(from->kind);
	to->name = put_text(from->name);
	to->function = &wire->function;
	if (from->has_key) {
		put_key(&wire->key, &from->key);
		to->key = &wire->key;
	}
	to->link_up = from->link_up;
	to->mtu = from->mtu;
	to->mac = put_mac(&from->mac);
	to->rx_packets = from->rx_packets;
	to->rx_bytes = from->rx_bytes;
	to->tx_packets = from->tx_packets;
	to->tx_bytes = from->tx_bytes;
	to->offloaded_rx_packets = from->offloaded_rx_packets;
	to->offloaded_rx_bytes = from->offloaded_rx_bytes;
	to->offloaded_tx_packets = from->offloaded_tx_packets;
	to->offloaded_tx_bytes = from->offloaded_tx_bytes;
	to->tx_full_packets = from->tx_full_packets;
	to->queue_pairs = from->queue_pairs;
	for (size_t i = 0; i < from->drop_count; i++) {
		podport__wire__drop__init(&wire->drops[i]);
		wire->drops[i].reason = put_text(from->drops[i].reason);
		wire->drops[i].packets = from->drops[i].packets;
		wire->drop_pointers[i] = &wire->drops[i];
	}
	to->ingress = put_meter(&wire->ingress, &from->ingress);
	to->egress = put_meter(&wire->egress, &from->egress);
	to->drops = wire->drop_pointers;
	to->n_drops = from->drop_count;
}

static int put_ports(struct reply_wire *wire, const struct ports_reply *from, struct error *err)
{
	Podport__Wire__ListPortsReply *to = &wire->body.ports;

	if (from->count > LIMIT_PORTS_PAGE)
		return error_set(err, EMSGSIZE, CODE_INTERNAL, "ports: %zu are more than %d",
				 from->count, (int)LIMIT_PORTS_PAGE);
	for (size_t i = 0; i < from->count; i++) {
		if (from->ports[i].drop_count > LIMIT_DROPS)
			return error_set(err, EMSGSIZE, CODE_INTERNAL,
					 "ports[%zu].drops: %zu are more than %d", i,
					 from->ports[i].drop_count, (int)LIMIT_DROPS);
		put_port(&wire->page->ports.items[i], &from->ports[i]);
		wire->page->ports.pointers[i] = &wire->page->ports.items[i].message;
	}
	podport__wire__list_ports_reply__init(to);
	to->ports = wire->page->ports.pointers;
	to->n_ports = from->count;
	to->more = from->more;
	wire->message.body_case = PODPORT__WIRE__REPLY__BODY_PORTS;
	wire->message.ports = to;
	return 0;
}

// An IPv4 address is in the first 4 bytes of the in6_addr.
static void put_pool(Podport__Wire__Ipam *to, const struct ipam_info *from, bool is_ipv6)
{
	size_t size = is_ipv6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);

	podport__wire__ipam__init(to);
	to->prefix_length = from->prefix_length;
	to->network = put_bytes(true, &from->network, size);
	to->gateway = put_bytes(true, &from->gateway, size);
	to->next = put_bytes(from->has_next, &from->next, size);
	to->total = from->total;
	to->allocated = from->allocated;
	to->never_used = from->never_used;
	to->released = from->released;
}

static void put_ipam(struct reply_wire *wire, const struct ipam_reply *from)
{
	Podport__Wire__GetIpamReply *to = &wire->body.ipam;

	podport__wire__get_ipam_reply__init(to);
	if (from->ipv4.present) {
		put_pool(&wire->ipv4, &from->ipv4, false);
		to->ipv4 = &wire->ipv4;
	}
	if (from->ipv6.present) {
		put_pool(&wire->ipv6, &from->ipv6, true);
		to->ipv6 = &wire->ipv6;
	}
	wire->message.body_case = PODPORT__WIRE__REPLY__BODY_IPAM;
	wire->message.ipam = to;
}

static int put_flows(struct reply_wire *wire, const struct flows_reply *from, struct error *err)
{
	Podport__Wire__ListFlowsReply *to = &wire->body.flows;

	if (from->count > LIMIT_FLOWS_PAGE)
		return error_set(err, EMSGSIZE, CODE_INTERNAL, "flows: %zu are more than %d",
				 from->count, (int)LIMIT_FLOWS_PAGE);
	for (size_t i = 0; i < from->count; i++) {
		put_flow(&wire->page->flows.items[i], &from->flows[i]);
		wire->page->flows.pointers[i] = &wire->page->flows.items[i].message;
	}
	podport__wire__list_flows_reply__init(to);
	to->flows = wire->page->flows.pointers;
	to->n_flows = from->count;
	to->more = from->more;
	wire->message.body_case = PODPORT__WIRE__REPLY__BODY_FLOWS;
	wire->message.flows = to;
	return 0;
}

static int put_offload(struct reply_wire *wire, const struct offload_reply *from, struct error *err)
{
	Podport__Wire__GetOffloadReply *to = &wire->body.offload;

	if (from->count > LIMIT_CAPABILITIES)
		return error_set(err, EMSGSIZE, CODE_INTERNAL,
				 "offload.capabilities: %zu are more than %d", from->count,
				 (int)LIMIT_CAPABILITIES);
	for (size_t i = 0; i < from->count; i++) {
		put_capability(&wire->page->capabilities.items[i], &from->capabilities[i]);
		wire->page->capabilities.pointers[i] = &wire->page->capabilities.items[i];
	}
	podport__wire__get_offload_reply__init(to);
	put_offload_summary(&wire->summary, &from->summary);
	to->summary = &wire->summary;
	to->capabilities = wire->page->capabilities.pointers;
	to->n_capabilities = from->count;
	wire->message.body_case = PODPORT__WIRE__REPLY__BODY_OFFLOAD;
	wire->message.offload = to;
	return 0;
}

static int put_nat(struct reply_wire *wire, const struct nat_reply *from, struct error *err)
{
	Podport__Wire__ListNatReply *to = &wire->body.nat;

	if (from->count > LIMIT_NAT_PAGE)
		return error_set(err, EMSGSIZE, CODE_INTERNAL, "nat: %zu are more than %d",
				 from->count, LIMIT_NAT_PAGE);
	for (size_t i = 0; i < from->count; i++) {
		put_published(&wire->page->nat.items[i], &from->ports[i]);
		wire->page->nat.pointers[i] = &wire->page->nat.items[i];
	}
	put_nat_summary(&wire->page->nat.summary, &from->summary);
	podport__wire__list_nat_reply__init(to);
	to->ports = wire->page->nat.pointers;
	to->n_ports = from->count;
	to->more = from->more;
	to->summary = &wire->page->nat.summary.message;
	wire->message.body_case = PODPORT__WIRE__REPLY__BODY_NAT;
	wire->message.nat = to;
	return 0;
}

static int put_connections(struct reply_wire *wire, const struct connections_reply *from,
			   struct error *err)
{
	Podport__Wire__ListConnectionsReply *to = &wire->body.connections;

	if (from->count > LIMIT_CONNECTIONS_PAGE)
		return error_set(err, EMSGSIZE, CODE_INTERNAL, "connections: %zu are more than %d",
				 from->count, LIMIT_CONNECTIONS_PAGE);
	for (size_t i = 0; i < from->count; i++) {
		put_connection(&wire->page->connections.items[i], &from->connections[i]);
		wire->page->connections.pointers[i] = &wire->page->connections.items[i];
	}
	podport__wire__list_connections_reply__init(to);
	to->connections = wire->page->connections.pointers;
	to->n_connections = from->count;
	to->more = from->more;
	to->total = from->total;
	to->most = from->most;
	to->refused_full = from->refused_full;
	to->refused_ports = from->refused_ports;
	put_connections_offload(&wire->connections_offload, &from->offload);
	to->offload = &wire->connections_offload;
	wire->message.body_case = PODPORT__WIRE__REPLY__BODY_CONNECTIONS;
	wire->message.connections = to;
	return 0;
}

static int put_neighbours(struct reply_wire *wire, const struct neighbours_reply *from,
			  struct error *err)
{
	Podport__Wire__ListNeighboursReply *to = &wire->body.neighbours;

	if (from->count > LIMIT_NEIGHBOURS_PAGE)
		return error_set(err, EMSGSIZE, CODE_INTERNAL, "neighbours: %zu are more than %d",
				 from->count, LIMIT_NEIGHBOURS_PAGE);
	for (size_t i = 0; i < from->count; i++) {
		put_neighbour(&wire->page->neighbours.items[i], &from->neighbours[i]);
		wire->page->neighbours.pointers[i] = &wire->page->neighbours.items[i];
	}
	podport__wire__list_neighbours_reply__init(to);
	to->neighbours = wire->page->neighbours.pointers;
	to->n_neighbours = from->count;
	to->more = from->more;
	wire->message.body_case = PODPORT__WIRE__REPLY__BODY_NEIGHBOURS;
	wire->message.neighbours = to;
	return 0;
}

static void put_set_pod_network(struct reply_wire *wire, const struct pod_network *from)
{
	Podport__Wire__SetPodNetworkReply *to = &wire->body.set_pod_network;

	podport__wire__set_pod_network_reply__init(to);
	put_pod_network(&wire->pod_network, from);
	to->pod_network = &wire->pod_network;
	wire->message.body_case = PODPORT__WIRE__REPLY__BODY_SET_POD_NETWORK;
	wire->message.set_pod_network = to;
}

static void put_reconcile(struct reply_wire *wire, const struct reconcile_reply *from)
{
	Podport__Wire__ReconcileReply *to = &wire->body.reconcile;

	podport__wire__reconcile_reply__init(to);
	to->attachments = from->attachments;
	to->without_port = from->without_port;
	to->leaving = from->leaving;
	to->rules_missing = from->rules_missing;
	to->suspects = from->suspects;
	to->reclaimed = from->reclaimed;
	to->strays = from->strays;
	to->queued_deletes = from->queued_deletes;
	wire->message.body_case = PODPORT__WIRE__REPLY__BODY_RECONCILE;
	wire->message.reconcile = to;
}

static int put_body(struct reply_wire *wire, const struct reply *reply, struct error *err)
{
	switch (reply->call) {
	case CALL_HELLO:
		put_hello(wire, &reply->body.hello);
		return 0;
	case CALL_ATTACH:
		put_attach(wire, &reply->body.attach, reply->repeated);
		return 0;
	case CALL_DETACH:
		put_detach(wire, &reply->body.detach);
		return 0;
	case CALL_CHECK:
		put_check(wire, &reply->body.check);
		return 0;
	case CALL_LIST:
		return put_list(wire, &reply->body.list, err);
	case CALL_GET_STATUS:
		put_status(wire, &reply->body.status);
		return 0;
	case CALL_LIST_PORTS:
		return put_ports(wire, &reply->body.ports, err);
	case CALL_GET_IPAM:
		put_ipam(wire, &reply->body.ipam);
		return 0;
	case CALL_LIST_FLOWS:
		return put_flows(wire, &reply->body.flows, err);
	case CALL_LIST_NAT:
		return put_nat(wire, &reply->body.nat, err);
	case CALL_LIST_CONNECTIONS:
		return put_connections(wire, &reply->body.connections, err);
	case CALL_LIST_NEIGHBOURS:
		return put_neighbours(wire, &reply->body.neighbours, err);
	case CALL_GET_OFFLOAD:
		return put_offload(wire, &reply->body.offload, err);
	case CALL_SET_POD_NETWORK:
		put_set_pod_network(wire, &reply->body.set_pod_network);
		return 0;
	case CALL_RECONCILE:
		put_reconcile(wire, &reply->body.reconcile);
		return 0;
	case CALL_GC:
		wire->message.body_case = PODPORT__WIRE__REPLY__BODY_GC;
		wire->message.gc = &wire->body.gc.message;
		return put_gc_reply(&wire->body.gc, &reply->body.gc, err);
	case CALL_WATCH:
		put_watch_reply(&wire->body.watch, &reply->body.watch);
		wire->message.body_case = PODPORT__WIRE__REPLY__BODY_WATCH;
		wire->message.watch = &wire->body.watch;
		return 0;
	case CALL_READ_WATCH:
		wire->message.body_case = PODPORT__WIRE__REPLY__BODY_READ_WATCH;
		wire->message.read_watch = &wire->body.read_watch;
		return put_read_watch_reply(&wire->body.read_watch, &wire->page->watch,
					    &reply->body.read_watch, err);
	default:
		return error_set(err, EINVAL, CODE_INTERNAL, "reply to call %d", (int)reply->call);
	}
}

// An error must arrive whatever is in its text, and a code without a sentence is no help.
static void put_error(struct reply_wire *wire, const struct reply *reply)
{
	memcpy(wire->text, reply->message, sizeof(wire->text));
	wire->text[LIMIT_TEXT] = '\0';
	text_clean(wire->text);
	wire->message.message =
		wire->text[0] != '\0' ? wire->text : put_text(code_name(reply->code));
}

int codec_encode_reply(const struct reply *reply, struct encoded *ret_encoded, struct error *err)
{
	struct reply_wire wire;
	bool is_page = reply->call == CALL_LIST || reply->call == CALL_LIST_PORTS ||
		       reply->call == CALL_LIST_FLOWS || reply->call == CALL_GET_OFFLOAD ||
		       reply->call == CALL_LIST_NEIGHBOURS ||
		       reply->call == CALL_LIST_CONNECTIONS || reply->call == CALL_LIST_NAT ||
		       reply->call == CALL_READ_WATCH;
	int r = 0;

	podport__wire__reply__init(&wire.message);
	wire.message.code = reply->code;
	wire.message.instance_id = put_text(reply->instance_id);
	wire.page = NULL;
	if (reply->code != CODE_OK) {
		put_error(&wire, reply);
	} else {
		if (is_page && (wire.page = malloc(sizeof(*wire.page))) == NULL)
			return error_set(err, ENOMEM, CODE_INTERNAL, "%s: out of memory",
					 call_name(reply->call));
		r = put_body(&wire, reply, err);
	}
	if (r == 0)
		r = pack_message(&wire.message.base, call_name(reply->call), ret_encoded, err);
	free(wire.page);
	return r;
}
