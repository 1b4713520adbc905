// SPDX-License-Identifier: BSD-3-Clause
//
// Replies, out of a message: one decode_ function per message, which checks what it copies.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec_private.h"

static int decode_pod_network(const Podport__Wire__PodNetwork *from, const struct where *at,
			      struct pod_network *to, struct error *err)
{
	int r;

	if ((r = take_ipv4(from->ipv4, at, "ipv4", &to->has_ipv4, &to->ipv4, err)) < 0 ||
	    (r = take_ipv6(from->ipv6, at, "ipv6", &to->has_ipv6, &to->ipv6, err)) < 0)
		return r;
	if (!to->has_ipv4 && !to->has_ipv6)
		return bad_field(err, CODE_BAD_REQUEST, at, NULL, "has neither ipv4 nor ipv6");
	if (to->has_ipv4 &&
	    ((r = take_range(from->ipv4_prefix_length, 8, 30, at, "ipv4_prefix_length", err)) < 0 ||
	     (r = take_ipv4(from->gateway_ipv4, at, "gateway_ipv4", NULL, &to->gateway_ipv4, err)) <
		     0))
		return r;
	if (to->has_ipv6 &&
	    ((r = take_range(from->ipv6_prefix_length, 48, 126, at, "ipv6_prefix_length", err)) <
		     0 ||
	     (r = take_ipv6(from->gateway_ipv6, at, "gateway_ipv6", NULL, &to->gateway_ipv6, err)) <
		     0))
		return r;
	if ((r = take_mac(from->router_mac, at, "router_mac", NULL, &to->router_mac, err)) < 0 ||
	    (r = take_range(from->mtu, MTU_MIN, MTU_MAX, at, "mtu", err)) < 0)
		return r;
	to->ipv4_prefix_length = to->has_ipv4 ? (uint8_t)from->ipv4_prefix_length : 0;
	to->ipv6_prefix_length = to->has_ipv6 ? (uint8_t)from->ipv6_prefix_length : 0;
	to->mtu = from->mtu;
	return 0;
}

static int decode_hello(const Podport__Wire__HelloReply *from, const struct where *at,
			struct hello_reply *to, struct error *err)
{
	int r = take_text(from->software_version, at, "software_version", LIMIT_ID,
			  to->software_version, err);

	if (r == 0)
		r = take_ipv4(from->uplink_ipv4, at, "uplink_ipv4", &to->has_uplink_ipv4,
			      &to->uplink_ipv4, err);
	if (r == 0)
		r = take_ipv6(from->uplink_ipv6, at, "uplink_ipv6", &to->has_uplink_ipv6,
			      &to->uplink_ipv6, err);
	if (r < 0)
		return r;
	to->protocol_version = from->protocol_version;
	to->host_port = from->host_port;
	to->has_pod_network = from->pod_network != NULL;
	if (!to->has_pod_network)
		return 0;
	return decode_pod_network(from->pod_network, &WHERE(at, "pod_network"), &to->pod_network,
				  err);
}

static int decode_detach(const Podport__Wire__DetachReply *from, const struct where *at,
			 struct detach_reply *to, struct error *err)
{
	to->existed = from->existed;
	if (!to->existed)
		return 0;
	return decode_function(from->function, &WHERE(at, "function"), &to->function, err);
}

static int decode_item(const Podport__Wire__Attachment *from, const struct where *at,
		       struct list_item *to, struct error *err)
{
	int r = decode_attachment(from, at, false, &to->attachment, err);

	if (r < 0)
		return r;
	to->has_offload = from->offload != NULL;
	if (!to->has_offload)
		return 0;
	return decode_attachment_offload(from->offload, &WHERE(at, "offload"), &to->offload, err);
}

static int decode_list(const Podport__Wire__ListReply *from, const struct where *at,
		       struct list_reply *to, struct error *err)
{
	to->more = from->more;
	if (from->n_attachments == 0)
		return 0;
	struct list_item *items = calloc(from->n_attachments, sizeof(*items));
	if (items == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "list: out of memory");
	for (size_t i = 0; i < from->n_attachments; i++) {
		int r = decode_item(from->attachments[i], &WHERE_ITEM(at, "attachments", i),
				    &items[i], err);

		if (r < 0) {
			free(items);
			return r;
		}
	}
	to->items = items;
	to->count = from->n_attachments;
	return 0;
}

static int decode_host_status(const Podport__Wire__HostStatus *from, const struct where *at,
			      struct host_status *to, struct error *err)
{
	int r;

	if ((r = take_text(from->software_version, at, "software_version", LIMIT_ID,
			   to->software_version, err)) < 0 ||
	    (r = take_text(from->agent_url, at, "agent_url", LIMIT_PATH, to->agent_url, err)) < 0 ||
	    (r = take_text(from->link_error, at, "link_error", LIMIT_TEXT, to->link_error, err)) <
		    0 ||
	    (r = take_text(from->host_port, at, "host_port", LIMIT_IFNAME, to->host_port, err)) <
		    0 ||
	    (r = take_text(from->host_port_error, at, "host_port_error", LIMIT_TEXT,
			   to->host_port_error, err)) < 0)
		return r;
	to->link_up = from->link_up;
	to->link_changed_ms_ago = from->link_changed_ms_ago;
	to->queued_deletes = from->queued_deletes;
	to->calls_in_flight = from->calls_in_flight;
	to->host_port_ready = from->host_port_ready;
	return 0;
}

static int decode_agent_status(const Podport__Wire__AgentStatus *from, const struct where *at,
			       struct agent_status *to, struct error *err)
{
	int r;

	if ((r = take_text(from->software_version, at, "software_version", LIMIT_ID,
			   to->software_version, err)) < 0 ||
	    (r = take_text(from->instance_id, at, "instance_id", LIMIT_ID, to->instance_id, err)) <
		    0 ||
	    (r = take_text(from->not_ready_reason, at, "not_ready_reason", LIMIT_TEXT,
			   to->not_ready_reason, err)) < 0 ||
	    (r = take_text(from->notice, at, "notice", LIMIT_TEXT, to->notice, err)) < 0 ||
	    (r = take_text(from->nic_device, at, "nic_device", LIMIT_TEXT, to->nic_device, err)) <
		    0 ||
	    (r = take_text(from->nic_driver, at, "nic_driver", LIMIT_ID, to->nic_driver, err)) <
		    0 ||
	    (r = take_text(from->uplink_error, at, "uplink_error", LIMIT_TEXT, to->uplink_error,
			   err)) < 0 ||
	    (r = take_text(from->virtio_error, at, "virtio_error", LIMIT_TEXT, to->virtio_error,
			   err)) < 0)
		return r;
	to->uptime_ms = from->uptime_ms;
	to->ready = from->ready;
	to->functions = from->functions;
	to->functions_used = from->functions_used;
	to->attachments = from->attachments;
	to->attachments_without_port = from->attachments_without_port;
	to->vhost_ports = from->vhost_ports;
	to->vhost_ports_used = from->vhost_ports_used;
	to->virtio_ports = from->virtio_ports;
	to->virtio_ports_used = from->virtio_ports_used;
	to->workers = from->workers;
	to->ipv4_free = from->ipv4_free;
	to->ipv6_free = from->ipv6_free;
	to->has_offload = from->offload != NULL;
	if (to->has_offload && (r = decode_offload_summary(from->offload, &WHERE(at, "offload"),
							   &to->offload, err)) < 0)
		return r;
	to->has_uplink = from->uplink != NULL;
	if (to->has_uplink &&
	    (r = decode_uplink(from->uplink, &WHERE(at, "uplink"), &to->uplink, err)) < 0)
		return r;
	to->has_pod_network = from->pod_network != NULL;
	if (!to->has_pod_network)
		return 0;
	return decode_pod_network(from->pod_network, &WHERE(at, "pod_network"), &to->pod_network,
				  err);
}

static int decode_status(const Podport__Wire__StatusReply *from, const struct where *at,
			 struct status_reply *to, struct error *err)
{
	int r;

	to->has_host = from->host != NULL;
	to->has_agent = from->agent != NULL;
	if (to->has_host &&
	    (r = decode_host_status(from->host, &WHERE(at, "host"), &to->host, err)) < 0)
		return r;
	if (to->has_agent &&
	    (r = decode_agent_status(from->agent, &WHERE(at, "agent"), &to->agent, err)) < 0)
		return r;
	return 0;
}

static void decode_meter(const Podport__Wire__Meter *from, struct meter_info *to)
{
	if (from == NULL || from->rate_bps == 0)
		return;
	*to = (struct meter_info){
		.rate_bps = from->rate_bps,
		.burst_bits = from->burst_bits,
		.passed_packets = from->passed_packets,
		.passed_bytes = from->passed_bytes,
		.dropped_packets = from->dropped_packets,
		.dropped_bytes = from->dropped_bytes,
		.by_nic = from->by_nic,
	};
}

static int decode_port(const Podport__Wire__Port *from, const struct where *at,
		       struct port_info *to, struct error *err)
{
	bool has_mac; // zero if the device is gone
	int r;

	if ((r = take_text(from->kind, at, "kind", LIMIT_ID, to->kind, err)) < 0 ||
	    (r = take_text(from->name, at, "name", LIMIT_ID, to->name, err)) < 0 ||
	    (r = decode_function(from->function, &WHERE(at, "function"), &to->function, err)) < 0 ||
	    (r = take_mac(from->mac, at, "mac", &has_mac, &to->mac, err)) < 0)
		return r;
	to->has_key = from->key != NULL;
	if (to->has_key && (r = decode_key(from->key, &WHERE(at, "key"), &to->key, err)) < 0)
		return r;
	to->slot = from->slot;
	to->link_up = from->link_up;
	to->mtu = from->mtu;
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
	for (size_t i = 0; i < from->n_drops; i++) { // the scan has counted them: LIMIT_DROPS
		r = take_text(from->drops[i]->reason, &WHERE_ITEM(at, "drops", i), "reason",
			      LIMIT_ID, to->drops[i].reason, err);
		if (r < 0)
			return r;
		to->drops[i].packets = from->drops[i]->packets;
	}
	to->drop_count = from->n_drops;
	decode_meter(from->ingress, &to->ingress);
	decode_meter(from->egress, &to->egress);
	return 0;
}

static int decode_ports(const Podport__Wire__ListPortsReply *from, const struct where *at,
			struct ports_reply *to, struct error *err)
{
	to->more = from->more;
	if (from->n_ports == 0)
		return 0;
	struct port_info *ports = calloc(from->n_ports, sizeof(*ports));
	if (ports == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "ports: out of memory");
	for (size_t i = 0; i < from->n_ports; i++) {
		int r = decode_port(from->ports[i], &WHERE_ITEM(at, "ports", i), &ports[i], err);

		if (r < 0) {
			free(ports);
			return r;
		}
	}
	to->ports = ports;
	to->count = from->n_ports;
	return 0;
}

static int decode_pool(const Podport__Wire__Ipam *from, const struct where *at, bool is_ipv6,
		       struct ipam_info *to, struct error *err)
{
	int r;

	to->present = from != NULL;
	if (!to->present)
		return 0;
	if (is_ipv6) {
		if ((r = take_ipv6(from->network, at, "network", NULL, &to->network, err)) < 0 ||
		    (r = take_ipv6(from->gateway, at, "gateway", NULL, &to->gateway, err)) < 0 ||
		    (r = take_ipv6(from->next, at, "next", &to->has_next, &to->next, err)) < 0)
			return r;
	} else {
		struct in_addr network, gateway, next;

		if ((r = take_ipv4(from->network, at, "network", NULL, &network, err)) < 0 ||
		    (r = take_ipv4(from->gateway, at, "gateway", NULL, &gateway, err)) < 0 ||
		    (r = take_ipv4(from->next, at, "next", &to->has_next, &next, err)) < 0)
			return r;
		memcpy(&to->network, &network, sizeof(network));
		memcpy(&to->gateway, &gateway, sizeof(gateway));
		if (to->has_next)
			memcpy(&to->next, &next, sizeof(next));
	}
	r = take_range(from->prefix_length, is_ipv6 ? 48 : 8, is_ipv6 ? 126 : 30, at,
		       "prefix_length", err);
	if (r < 0)
		return r;
	to->prefix_length = (uint8_t)from->prefix_length;
	to->total = from->total;
	to->allocated = from->allocated;
	to->never_used = from->never_used;
	to->released = from->released;
	return 0;
}

static int decode_ipam(const Podport__Wire__GetIpamReply *from, const struct where *at,
		       struct ipam_reply *to, struct error *err)
{
	int r = decode_pool(from->ipv4, &WHERE(at, "ipv4"), false, &to->ipv4, err);

	if (r < 0)
		return r;
	return decode_pool(from->ipv6, &WHERE(at, "ipv6"), true, &to->ipv6, err);
}

static int decode_set_pod_network(const Podport__Wire__SetPodNetworkReply *from,
				  const struct where *at, struct pod_network *to, struct error *err)
{
	const struct where network = WHERE(at, "pod_network");

	if (from->pod_network == NULL)
		return bad_field(err, CODE_BAD_REQUEST, &network, NULL, "missing");
	return decode_pod_network(from->pod_network, &network, to, err);
}

static void decode_reconcile(const Podport__Wire__ReconcileReply *from, struct reconcile_reply *to)
{
	to->attachments = from->attachments;
	to->without_port = from->without_port;
	to->leaving = from->leaving;
	to->rules_missing = from->rules_missing;
	to->suspects = from->suspects;
	to->reclaimed = from->reclaimed;
	to->strays = from->strays;
	to->queued_deletes = from->queued_deletes;
}

static int decode_body(const Podport__Wire__Reply *from, struct reply *to, struct error *err)
{
	switch (from->body_case) {
	case PODPORT__WIRE__REPLY__BODY_HELLO:
		to->call = CALL_HELLO;
		return decode_hello(from->hello, &WHERE(NULL, "hello"), &to->body.hello, err);
	case PODPORT__WIRE__REPLY__BODY_ATTACH:
		to->call = CALL_ATTACH;
		to->repeated = from->attach->repeated;
		return decode_attachment(from->attach->attachment,
					 &WHERE(&WHERE(NULL, "attach"), "attachment"), false,
					 &to->body.attach, err);
	case PODPORT__WIRE__REPLY__BODY_DETACH:
		to->call = CALL_DETACH;
		return decode_detach(from->detach, &WHERE(NULL, "detach"), &to->body.detach, err);
	case PODPORT__WIRE__REPLY__BODY_CHECK:
		to->call = CALL_CHECK;
		return decode_attachment(from->check->attachment,
					 &WHERE(&WHERE(NULL, "check"), "attachment"), false,
					 &to->body.check, err);
	case PODPORT__WIRE__REPLY__BODY_LIST:
		to->call = CALL_LIST;
		return decode_list(from->list, &WHERE(NULL, "list"), &to->body.list, err);
	case PODPORT__WIRE__REPLY__BODY_STATUS:
		to->call = CALL_GET_STATUS;
		return decode_status(from->status, &WHERE(NULL, "status"), &to->body.status, err);
	case PODPORT__WIRE__REPLY__BODY_PORTS:
		to->call = CALL_LIST_PORTS;
		return decode_ports(from->ports, &WHERE(NULL, "ports"), &to->body.ports, err);
	case PODPORT__WIRE__REPLY__BODY_IPAM:
		to->call = CALL_GET_IPAM;
		return decode_ipam(from->ipam, &WHERE(NULL, "ipam"), &to->body.ipam, err);
	case PODPORT__WIRE__REPLY__BODY_FLOWS:
		to->call = CALL_LIST_FLOWS;
		return decode_flows(from->flows, &WHERE(NULL, "flows"), &to->body.flows, err);
	case PODPORT__WIRE__REPLY__BODY_NAT:
		to->call = CALL_LIST_NAT;
		return decode_nat(from->nat, &WHERE(NULL, "nat"), &to->body.nat, err);
	case PODPORT__WIRE__REPLY__BODY_CONNECTIONS:
		to->call = CALL_LIST_CONNECTIONS;
		return decode_connections(from->connections, &WHERE(NULL, "connections"),
					  &to->body.connections, err);
	case PODPORT__WIRE__REPLY__BODY_NEIGHBOURS:
		to->call = CALL_LIST_NEIGHBOURS;
		return decode_neighbours(from->neighbours, &WHERE(NULL, "neighbours"),
					 &to->body.neighbours, err);
	case PODPORT__WIRE__REPLY__BODY_OFFLOAD:
		to->call = CALL_GET_OFFLOAD;
		return decode_offload(from->offload, &WHERE(NULL, "offload"), &to->body.offload,
				      err);
	case PODPORT__WIRE__REPLY__BODY_SET_POD_NETWORK:
		to->call = CALL_SET_POD_NETWORK;
		return decode_set_pod_network(from->set_pod_network,
					      &WHERE(NULL, "set_pod_network"),
					      &to->body.set_pod_network, err);
	case PODPORT__WIRE__REPLY__BODY_RECONCILE:
		to->call = CALL_RECONCILE;
		decode_reconcile(from->reconcile, &to->body.reconcile);
		return 0;
	case PODPORT__WIRE__REPLY__BODY_GC:
		to->call = CALL_GC;
		return decode_gc_reply(from->gc, &WHERE(NULL, "gc"), &to->body.gc, err);
	case PODPORT__WIRE__REPLY__BODY_WATCH:
		to->call = CALL_WATCH;
		return decode_watch_reply(from->watch, &WHERE(NULL, "watch"), &to->body.watch, err);
	case PODPORT__WIRE__REPLY__BODY_READ_WATCH:
		to->call = CALL_READ_WATCH;
		return decode_read_watch_reply(from->read_watch, &WHERE(NULL, "read_watch"),
					       &to->body.read_watch, err);
	default:
		return bad_body(&from->base, err);
	}
}

// Code and message, and that they go with each other and with the body.
static int decode_code(const Podport__Wire__Reply *from, struct reply *to, struct error *err)
{
	int r;

	if ((r = take_text(from->message, NULL, "message", LIMIT_TEXT, to->message, err)) < 0 ||
	    (r = take_text(from->instance_id, NULL, "instance_id", LIMIT_ID, to->instance_id,
			   err)) < 0)
		return r;
	if (from->code >= CODE_COUNT)
		return bad_field(err, CODE_UNSUPPORTED, NULL, "code",
				 "%u is not known here; it says: %s", from->code, to->message);
	to->code = (enum code)from->code;
	if (to->code == CODE_OK && to->message[0] != '\0')
		return bad_field(err, CODE_BAD_REQUEST, NULL, "message", "without an error code");
	if (to->code != CODE_OK && to->message[0] == '\0')
		return bad_field(err, CODE_BAD_REQUEST, NULL, "message", "missing for code %s",
				 code_name(to->code));
	if (to->code != CODE_OK && from->body_case != PODPORT__WIRE__REPLY__BODY__NOT_SET)
		return bad_field(err, CODE_BAD_REQUEST, NULL, "body", "beside error code %s",
				 code_name(to->code));
	return 0;
}

int decode_reply(const Podport__Wire__Reply *from, struct reply *ret_reply, struct error *err)
{
	struct reply to = {0};
	int r = decode_code(from, &to, err);

	// decode_body comes last: it is the one that may leave something on the heap.
	if (r == 0 && to.code == CODE_OK)
		r = decode_body(from, &to, err);
	if (r < 0)
		return r;
	*ret_reply = to;
	return 0;
}
