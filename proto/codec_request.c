// SPDX-License-Identifier: BSD-3-Clause
//
// Requests: one decode_ function per message, which checks what it copies, and its put side.

#include <errno.h>
#include <string.h>

#include "proto/codec_private.h"

// ---- out of a message ----------------------------------------------------------------------------

static int decode_hello(const Podport__Wire__Hello *from, const struct where *at,
			struct hello_request *to, struct error *err)
{
	int r;

	to->protocol_version = from->protocol_version;
	if ((r = take_text(from->host_id, at, "host_id", LIMIT_ID, to->host_id, err)) < 0 ||
	    (r = take_text(from->boot_id, at, "boot_id", LIMIT_ID, to->boot_id, err)) < 0 ||
	    (r = take_text(from->software_version, at, "software_version", LIMIT_ID,
			   to->software_version, err)) < 0)
		return r;
	// The agent reclaims what an older boot left; an empty ID would be one more boot.
	if (to->boot_id[0] == '\0')
		return bad_field(err, CODE_BAD_REQUEST, at, "boot_id", "missing");
	return 0;
}

static int decode_attach(const Podport__Wire__Attach *from, const struct where *at,
			 struct attach_request *to, struct error *err)
{
	int r;

	if ((r = decode_key(from->key, &WHERE(at, "key"), &to->key, err)) < 0 ||
	    (r = decode_sandbox(from->sandbox, &WHERE(at, "sandbox"), &to->sandbox, err)) < 0 ||
	    (r = decode_pod(from->pod, &WHERE(at, "pod"), &to->pod, err)) < 0 ||
	    (r = take_ipv4(from->requested_ipv4, at, "requested_ipv4", &to->wants_ipv4,
			   &to->requested_ipv4, err)) < 0 ||
	    (r = take_ipv6(from->requested_ipv6, at, "requested_ipv6", &to->wants_ipv6,
			   &to->requested_ipv6, err)) < 0 ||
	    (r = take_mac(from->requested_mac, at, "requested_mac", &to->wants_mac,
			  &to->requested_mac, err)) < 0)
		return r;
	if (from->requested_mtu != 0 &&
	    (r = take_range(from->requested_mtu, MTU_MIN, MTU_MAX, at, "requested_mtu", err)) < 0)
		return r;
	to->requested_mtu = from->requested_mtu;
	r = take_range(from->port_kind, 0, PORT_CHOICE_COUNT - 1, at, "port_kind", err);
	if (r < 0)
		return r;
	to->port = (enum port_choice)from->port_kind;
	r = decode_bandwidth(from->bandwidth, &WHERE(at, "bandwidth"), &to->bandwidth, err);
	if (r < 0)
		return r;
	return decode_port_mappings(from->port_mappings, from->n_port_mappings, at,
				    &to->port_mappings, err);
}

static int decode_detach(const Podport__Wire__Detach *from, const struct where *at,
			 struct detach_request *to, struct error *err)
{
	int r = decode_key(from->key, &WHERE(at, "key"), &to->key, err);

	if (r < 0)
		return r;
	to->created_unix_ms = from->created_unix_ms;
	return decode_sandbox(from->sandbox, &WHERE(at, "sandbox"), &to->sandbox, err);
}

static int decode_check(const Podport__Wire__Check *from, const struct where *at,
			struct check_request *to, struct error *err)
{
	int r;

	if ((r = decode_key(from->key, &WHERE(at, "key"), &to->key, err)) < 0 ||
	    (r = decode_sandbox(from->sandbox, &WHERE(at, "sandbox"), &to->sandbox, err)) < 0)
		return r;
	to->has_expected = from->expected != NULL;
	if (!to->has_expected)
		return 0;
	return decode_attachment(from->expected, &WHERE(at, "expected"), true, &to->expected, err);
}

static int decode_list(const Podport__Wire__List *from, const struct where *at,
		       struct list_request *to, struct error *err)
{
	int r = take_range(from->limit, 0, LIMIT_PAGE_ASKED, at, "limit", err);

	if (r < 0)
		return r;
	to->limit = from->limit == 0 || from->limit > LIMIT_PAGE ? LIMIT_PAGE : from->limit;
	if (from->network[0] != '\0' &&
	    (r = take_name(from->network, at, "network", to->network, err)) < 0)
		return r;
	to->has_after = from->after != NULL;
	return to->has_after ? decode_key(from->after, &WHERE(at, "after"), &to->after, err) : 0;
}

static int decode_list_ports(const Podport__Wire__ListPorts *from, const struct where *at,
			     struct list_ports_request *to, struct error *err)
{
	int r = take_range(from->limit, 0, LIMIT_PORTS_PAGE, at, "limit", err);

	if (r < 0)
		return r;
	to->limit = from->limit == 0 ? LIMIT_PORTS_PAGE : from->limit;
	to->after = from->after;
	return 0;
}

static int decode_list_flows(const Podport__Wire__ListFlows *from, const struct where *at,
			     struct list_flows_request *to, struct error *err)
{
	int r = take_range(from->limit, 0, LIMIT_FLOWS_PAGE, at, "limit", err);

	if (r < 0)
		return r;
	to->limit = from->limit == 0 ? LIMIT_FLOWS_PAGE : from->limit;
	to->after = from->after;
	return 0;
}

static int decode_list_connections(const Podport__Wire__ListConnections *from,
				   const struct where *at, struct list_connections_request *to,
				   struct error *err)
{
	int r = take_range(from->limit, 0, LIMIT_CONNECTIONS_PAGE, at, "limit", err);

	if (r < 0)
		return r;
	to->limit = from->limit == 0 ? LIMIT_CONNECTIONS_PAGE : from->limit;
	to->after = from->after;
	return 0;
}

static int decode_list_neighbours(const Podport__Wire__ListNeighbours *from, const struct where *at,
				  struct list_neighbours_request *to, struct error *err)
{
	int r = take_range(from->limit, 0, LIMIT_NEIGHBOURS_PAGE, at, "limit", err);

	if (r < 0)
		return r;
	to->limit = from->limit == 0 ? LIMIT_NEIGHBOURS_PAGE : from->limit;
	to->after = from->after;
	return 0;
}

static int decode_set_pod_network(const Podport__Wire__SetPodNetwork *from, const struct where *at,
				  struct set_pod_network_request *to, struct error *err)
{
	int r;

	if ((r = take_ipv4(from->ipv4, at, "ipv4", &to->has_ipv4, &to->ipv4, err)) < 0 ||
	    (r = take_ipv6(from->ipv6, at, "ipv6", &to->has_ipv6, &to->ipv6, err)) < 0)
		return r;
	if (!to->has_ipv4 && !to->has_ipv6)
		return bad_field(err, CODE_BAD_REQUEST, at, NULL, "has neither ipv4 nor ipv6");
	if (to->has_ipv4 &&
	    (r = take_range(from->ipv4_prefix_length, 8, 30, at, "ipv4_prefix_length", err)) < 0)
		return r;
	if (to->has_ipv6 &&
	    (r = take_range(from->ipv6_prefix_length, 48, 126, at, "ipv6_prefix_length", err)) < 0)
		return r;
	if (from->mtu != 0 && (r = take_range(from->mtu, MTU_MIN, MTU_MAX, at, "mtu", err)) < 0)
		return r;
	to->ipv4_prefix_length = to->has_ipv4 ? (uint8_t)from->ipv4_prefix_length : 0;
	to->ipv6_prefix_length = to->has_ipv6 ? (uint8_t)from->ipv6_prefix_length : 0;
	to->mtu = from->mtu;
	return 0;
}

static int decode_body(const Podport__Wire__Request *from, struct request *to, struct error *err)
{
	switch (from->body_case) {
	case PODPORT__WIRE__REQUEST__BODY_HELLO:
		to->call = CALL_HELLO;
		return decode_hello(from->hello, &WHERE(NULL, "hello"), &to->body.hello, err);
	case PODPORT__WIRE__REQUEST__BODY_ATTACH:
		to->call = CALL_ATTACH;
		return decode_attach(from->attach, &WHERE(NULL, "attach"), &to->body.attach, err);
	case PODPORT__WIRE__REQUEST__BODY_DETACH:
		to->call = CALL_DETACH;
		return decode_detach(from->detach, &WHERE(NULL, "detach"), &to->body.detach, err);
	case PODPORT__WIRE__REQUEST__BODY_CHECK:
		to->call = CALL_CHECK;
		return decode_check(from->check, &WHERE(NULL, "check"), &to->body.check, err);
	case PODPORT__WIRE__REQUEST__BODY_LIST:
		to->call = CALL_LIST;
		return decode_list(from->list, &WHERE(NULL, "list"), &to->body.list, err);
	case PODPORT__WIRE__REQUEST__BODY_GET_STATUS:
		to->call = CALL_GET_STATUS;
		return 0;
	case PODPORT__WIRE__REQUEST__BODY_LIST_PORTS:
		to->call = CALL_LIST_PORTS;
		return decode_list_ports(from->list_ports, &WHERE(NULL, "list_ports"),
					 &to->body.list_ports, err);
	case PODPORT__WIRE__REQUEST__BODY_GET_IPAM:
		to->call = CALL_GET_IPAM;
		return 0;
	case PODPORT__WIRE__REQUEST__BODY_LIST_FLOWS:
		to->call = CALL_LIST_FLOWS;
		return decode_list_flows(from->list_flows, &WHERE(NULL, "list_flows"),
					 &to->body.list_flows, err);
	case PODPORT__WIRE__REQUEST__BODY_LIST_CONNECTIONS:
		to->call = CALL_LIST_CONNECTIONS;
		return decode_list_connections(from->list_connections,
					       &WHERE(NULL, "list_connections"),
					       &to->body.list_connections, err);
	case PODPORT__WIRE__REQUEST__BODY_LIST_NEIGHBOURS:
		to->call = CALL_LIST_NEIGHBOURS;
		return decode_list_neighbours(from->list_neighbours,
					      &WHERE(NULL, "list_neighbours"),
					      &to->body.list_neighbours, err);
	case PODPORT__WIRE__REQUEST__BODY_GET_OFFLOAD:
		to->call = CALL_GET_OFFLOAD;
		return 0;
	case PODPORT__WIRE__REQUEST__BODY_SET_POD_NETWORK:
		to->call = CALL_SET_POD_NETWORK;
		return decode_set_pod_network(from->set_pod_network,
					      &WHERE(NULL, "set_pod_network"),
					      &to->body.set_pod_network, err);
	case PODPORT__WIRE__REQUEST__BODY_RECONCILE:
		to->call = CALL_RECONCILE;
		return 0;
	case PODPORT__WIRE__REQUEST__BODY_GC:
		to->call = CALL_GC;
		return decode_gc(from->gc, &WHERE(NULL, "gc"), &to->body.gc, err);
	case PODPORT__WIRE__REQUEST__BODY_WATCH:
		to->call = CALL_WATCH;
		return decode_watch(from->watch, &WHERE(NULL, "watch"), &to->body.watch, err);
	case PODPORT__WIRE__REQUEST__BODY_READ_WATCH:
		to->call = CALL_READ_WATCH;
		return decode_read_watch(from->read_watch, &WHERE(NULL, "read_watch"),
					 &to->body.read_watch, err);
	default:
		return bad_body(&from->base, err);
	}
}

int decode_request(const Podport__Wire__Request *from, struct request *ret_request,
		   struct error *err)
{
	struct request to = {0};
	int r;

	// The body first: a call of a newer peer should be called that.
	if ((r = decode_body(from, &to, err)) < 0 ||
	    (r = take_range(from->timeout_ms, 1, TIMEOUT_MAX_MS, NULL, "timeout_ms", err)) < 0 ||
	    (r = take_text(from->instance_id, NULL, "instance_id", LIMIT_ID, to.instance_id, err)) <
		    0 ||
	    (r = take_text(from->host_id, NULL, "host_id", LIMIT_ID, to.host_id, err)) < 0)
		return r;
	to.timeout_ms = from->timeout_ms;
	*ret_request = to;
	return 0;
}

// ---- into a message ------------------------------------------------------------------------------

// What a request's message points at.
struct request_wire {
	Podport__Wire__Request message;
	union {
		Podport__Wire__Hello hello;
		Podport__Wire__Attach attach;
		Podport__Wire__Detach detach;
		Podport__Wire__Check check;
		Podport__Wire__List list;
		Podport__Wire__GetStatus get_status;
		Podport__Wire__ListPorts list_ports;
		Podport__Wire__GetIpam get_ipam;
		Podport__Wire__ListFlows list_flows;
		Podport__Wire__ListNeighbours list_neighbours;
		Podport__Wire__ListConnections list_connections;
		Podport__Wire__GetOffload get_offload;
		Podport__Wire__SetPodNetwork set_pod_network;
		Podport__Wire__Reconcile reconcile;
		struct gc_wire gc;
		struct watch_wire watch;
		Podport__Wire__ReadWatch read_watch;
	} body;
	Podport__Wire__Key key;
	Podport__Wire__Sandbox sandbox;
	Podport__Wire__Pod pod;
	Podport__Wire__Bandwidth bandwidth;
	struct port_mappings_wire port_mappings;
	struct attachment_wire expected;
};

static void put_hello(struct request_wire *wire, const struct hello_request *from)
{
	Podport__Wire__Hello *to = &wire->body.hello;

	podport__wire__hello__init(to);
	to->protocol_version = from->protocol_version;
	to->host_id = put_text(from->host_id);
	to->boot_id = put_text(from->boot_id);
	to->software_version = put_text(from->software_version);
	wire->message.body_case = PODPORT__WIRE__REQUEST__BODY_HELLO;
	wire->message.hello = to;
}

static void put_attach(struct request_wire *wire, const struct attach_request *from)
{
	Podport__Wire__Attach *to = &wire->body.attach;

	podport__wire__attach__init(to);
	put_key(&wire->key, &from->key);
	put_sandbox(&wire->sandbox, &from->sandbox);
	put_pod(&wire->pod, &from->pod);
	to->key = &wire->key;
	to->sandbox = &wire->sandbox;
	to->pod = &wire->pod;
	to->requested_ipv4 =
		put_bytes(from->wants_ipv4, &from->requested_ipv4, sizeof(from->requested_ipv4));
	to->requested_ipv6 =
		put_bytes(from->wants_ipv6, &from->requested_ipv6, sizeof(from->requested_ipv6));
	to->requested_mac =
		put_bytes(from->wants_mac, &from->requested_mac, sizeof(from->requested_mac));
	to->requested_mtu = from->requested_mtu;
	to->port_kind = from->port;
	to->bandwidth = put_bandwidth(&wire->bandwidth, &from->bandwidth);
	to->n_port_mappings = put_port_mappings(&wire->port_mappings, &from->port_mappings);
	to->port_mappings = wire->port_mappings.pointers;
	wire->message.body_case = PODPORT__WIRE__REQUEST__BODY_ATTACH;
	wire->message.attach = to;
}

static void put_detach(struct request_wire *wire, const struct detach_request *from)
{
	Podport__Wire__Detach *to = &wire->body.detach;

	podport__wire__detach__init(to);
	put_key(&wire->key, &from->key);
	put_sandbox(&wire->sandbox, &from->sandbox);
	to->key = &wire->key;
	to->sandbox = &wire->sandbox;
	to->created_unix_ms = from->created_unix_ms;
	wire->message.body_case = PODPORT__WIRE__REQUEST__BODY_DETACH;
	wire->message.detach = to;
}

static void put_check(struct request_wire *wire, const struct check_request *from)
{
	Podport__Wire__Check *to = &wire->body.check;

	podport__wire__check__init(to);
	put_key(&wire->key, &from->key);
	put_sandbox(&wire->sandbox, &from->sandbox);
	to->key = &wire->key;
	to->sandbox = &wire->sandbox;
	if (from->has_expected) {
		put_attachment(&wire->expected, &from->expected);
		to->expected = &wire->expected.message;
	}
	wire->message.body_case = PODPORT__WIRE__REQUEST__BODY_CHECK;
	wire->message.check = to;
}

static void put_list(struct request_wire *wire, const struct list_request *from)
{
	Podport__Wire__List *to = &wire->body.list;

	podport__wire__list__init(to);
	if (from->has_after) {
		put_key(&wire->key, &from->after);
		to->after = &wire->key;
	}
	to->limit = from->limit;
	to->network = put_text(from->network);
	wire->message.body_case = PODPORT__WIRE__REQUEST__BODY_LIST;
	wire->message.list = to;
}

static void put_list_ports(struct request_wire *wire, const struct list_ports_request *from)
{
	Podport__Wire__ListPorts *to = &wire->body.list_ports;

	podport__wire__list_ports__init(to);
	to->after = from->after;
	to->limit = from->limit;
	wire->message.body_case = PODPORT__WIRE__REQUEST__BODY_LIST_PORTS;
	wire->message.list_ports = to;
}

static void put_list_flows(struct request_wire *wire, const struct list_flows_request *from)
{
	Podport__Wire__ListFlows *to = &wire->body.list_flows;

	podport__wire__list_flows__init(to);
	to->after = from->after;
	to->limit = from->limit;
	wire->message.body_case = PODPORT__WIRE__REQUEST__BODY_LIST_FLOWS;
	wire->message.list_flows = to;
}

static void put_list_connections(struct request_wire *wire,
				 const struct list_connections_request *from)
{
	Podport__Wire__ListConnections *to = &wire->body.list_connections;

	podport__wire__list_connections__init(to);
	to->after = from->after;
	to->limit = from->limit;
	wire->message.body_case = PODPORT__WIRE__REQUEST__BODY_LIST_CONNECTIONS;
	wire->message.list_connections = to;
}

static void put_list_neighbours(struct request_wire *wire,
				const struct list_neighbours_request *from)
{
	Podport__Wire__ListNeighbours *to = &wire->body.list_neighbours;

	podport__wire__list_neighbours__init(to);
	to->after = from->after;
	to->limit = from->limit;
	wire->message.body_case = PODPORT__WIRE__REQUEST__BODY_LIST_NEIGHBOURS;
	wire->message.list_neighbours = to;
}

static void put_set_pod_network(struct request_wire *wire,
				const struct set_pod_network_request *from)
{
	Podport__Wire__SetPodNetwork *to = &wire->body.set_pod_network;

	podport__wire__set_pod_network__init(to);
	to->ipv4 = put_bytes(from->has_ipv4, &from->ipv4, sizeof(from->ipv4));
	to->ipv4_prefix_length = from->has_ipv4 ? from->ipv4_prefix_length : 0;
	to->ipv6 = put_bytes(from->has_ipv6, &from->ipv6, sizeof(from->ipv6));
	to->ipv6_prefix_length = from->has_ipv6 ? from->ipv6_prefix_length : 0;
	to->mtu = from->mtu;
	wire->message.body_case = PODPORT__WIRE__REQUEST__BODY_SET_POD_NETWORK;
	wire->message.set_pod_network = to;
}

// The calls that say nothing but their name.
static void put_question(struct request_wire *wire, enum call call)
{
	if (call == CALL_GET_STATUS) {
		podport__wire__get_status__init(&wire->body.get_status);
		wire->message.body_case = PODPORT__WIRE__REQUEST__BODY_GET_STATUS;
		wire->message.get_status = &wire->body.get_status;
	} else if (call == CALL_GET_IPAM) {
		podport__wire__get_ipam__init(&wire->body.get_ipam);
		wire->message.body_case = PODPORT__WIRE__REQUEST__BODY_GET_IPAM;
		wire->message.get_ipam = &wire->body.get_ipam;
	} else if (call == CALL_RECONCILE) {
		podport__wire__reconcile__init(&wire->body.reconcile);
		wire->message.body_case = PODPORT__WIRE__REQUEST__BODY_RECONCILE;
		wire->message.reconcile = &wire->body.reconcile;
	} else {
		podport__wire__get_offload__init(&wire->body.get_offload);
		wire->message.body_case = PODPORT__WIRE__REQUEST__BODY_GET_OFFLOAD;
		wire->message.get_offload = &wire->body.get_offload;
	}
}

int codec_encode_request(const struct request *request, struct encoded *ret_encoded,
			 struct error *err)
{
	struct request_wire wire;
	int r = 0;

	podport__wire__request__init(&wire.message);
	wire.message.timeout_ms = request->timeout_ms;
	wire.message.instance_id = put_text(request->instance_id);
	wire.message.host_id = put_text(request->host_id);
	switch (request->call) {
	case CALL_HELLO:
		put_hello(&wire, &request->body.hello);
		break;
	case CALL_ATTACH:
		put_attach(&wire, &request->body.attach);
		break;
	case CALL_DETACH:
		put_detach(&wire, &request->body.detach);
		break;
	case CALL_CHECK:
		put_check(&wire, &request->body.check);
		break;
	case CALL_LIST:
		put_list(&wire, &request->body.list);
		break;
	case CALL_LIST_PORTS:
		put_list_ports(&wire, &request->body.list_ports);
		break;
	case CALL_LIST_FLOWS:
		put_list_flows(&wire, &request->body.list_flows);
		break;
	case CALL_LIST_CONNECTIONS:
		put_list_connections(&wire, &request->body.list_connections);
		break;
	case CALL_LIST_NEIGHBOURS:
		put_list_neighbours(&wire, &request->body.list_neighbours);
		break;
	case CALL_GET_STATUS:
	case CALL_GET_IPAM:
	case CALL_GET_OFFLOAD:
	case CALL_RECONCILE:
		put_question(&wire, request->call);
		break;
	case CALL_SET_POD_NETWORK:
		put_set_pod_network(&wire, &request->body.set_pod_network);
		break;
	case CALL_GC:
		r = put_gc(&wire.body.gc, &request->body.gc, err);
		wire.message.body_case = PODPORT__WIRE__REQUEST__BODY_GC;
		wire.message.gc = &wire.body.gc.message;
		break;
	case CALL_WATCH:
		r = put_watch(&wire.body.watch, &request->body.watch, err);
		wire.message.body_case = PODPORT__WIRE__REQUEST__BODY_WATCH;
		wire.message.watch = &wire.body.watch.message;
		break;
	case CALL_READ_WATCH:
		put_read_watch(&wire.body.read_watch, &request->body.read_watch);
		wire.message.body_case = PODPORT__WIRE__REQUEST__BODY_READ_WATCH;
		wire.message.read_watch = &wire.body.read_watch;
		break;
	default:
		return error_set(err, EINVAL, CODE_INTERNAL, "request of call %d",
				 (int)request->call);
	}
	if (r < 0)
		return r;
	return pack_message(&wire.message.base, call_name(request->call), ret_encoded, err);
}
