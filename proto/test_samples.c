// SPDX-License-Identifier: BSD-3-Clause
//
// The samples. All are made in zeroed memory, so that they can be compared as memory.

#include "proto/test_samples.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fill(char *text, size_t limit, enum sample sample, const char *typical)
{
	if (sample == SAMPLE_LARGEST) {
		memset(text, 'x', limit);
		text[limit] = '\0';
	} else if (sample == SAMPLE_TYPICAL) {
		snprintf(text, limit + 1, "%s", typical);
	}
}

static uint64_t number64(enum sample sample, uint64_t typical)
{
	return sample == SAMPLE_LARGEST ? UINT64_MAX : sample == SAMPLE_TYPICAL ? typical : 0;
}

static uint32_t number32(enum sample sample, uint32_t typical)
{
	return sample == SAMPLE_LARGEST ? UINT32_MAX : sample == SAMPLE_TYPICAL ? typical : 0;
}

static void fill_key(struct attachment_key *key, enum sample sample)
{
	if (sample == SAMPLE_SMALLEST) {
		strcpy(key->network, "n");
		strcpy(key->container_id, "c");
		strcpy(key->ifname, "e");
		return;
	}
	fill(key->network, LIMIT_NAME, sample, "pod-network");
	fill(key->container_id, LIMIT_NAME, sample, "0123456789abcdef0123456789abcdef");
	fill(key->ifname, LIMIT_IFNAME, sample, "eth0");
}

static void fill_sandbox(struct sandbox *sandbox, enum sample sample)
{
	fill(sandbox->path, LIMIT_PATH, sample, "/var/run/netns/cni-1234");
	sandbox->inode = number64(sample, 4026532208);
	sandbox->cookie = number64(sample, 177884);
}

static void fill_pod(struct pod_name *pod, enum sample sample)
{
	fill(pod->namespace_, sizeof(pod->namespace_) - 1, sample, "default");
	fill(pod->name, LIMIT_POD_NAME, sample, "web-0");
	fill(pod->uid, LIMIT_ID, sample, "6f9d1c2e-7b1a-4c55-9f0e-2d3c4b5a6978");
}

static void fill_mac(struct mac *mac, enum sample sample)
{
	static const struct mac typical = {{0x02, 0x00, 0x5e, 0x10, 0x20, 0x30}};
	static const struct mac largest = {{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff}};

	*mac = sample == SAMPLE_LARGEST ? largest : typical;
}

static void fill_ipv4(struct in_addr *address, const char *text)
{
	inet_pton(AF_INET, text, address);
}

static void fill_ipv6(struct in6_addr *address, const char *text)
{
	inet_pton(AF_INET6, text, address);
}

static void fill_function(struct function_id *function, enum sample sample)
{
	function->pf = (uint16_t)number32(sample, 1);
	function->vf = (uint16_t)number32(sample, 7);
}

static void fill_bandwidth(struct bandwidth *bandwidth, enum sample sample)
{
	if (sample == SAMPLE_SMALLEST)
		return;
	bandwidth->ingress_rate_bps = sample == SAMPLE_LARGEST ? RATE_MAX_BPS : 50000000;
	bandwidth->ingress_burst_bits = sample == SAMPLE_LARGEST ? BURST_MAX_BITS : 1000000;
	bandwidth->egress_rate_bps = sample == SAMPLE_LARGEST ? RATE_MAX_BPS : 20000000;
	bandwidth->egress_burst_bits = sample == SAMPLE_LARGEST ? BURST_MAX_BITS : 0;
}

static void fill_mappings(struct port_mappings *mappings, enum sample sample)
{
	mappings->count = sample == SAMPLE_LARGEST   ? LIMIT_PORT_MAPPINGS
			  : sample == SAMPLE_TYPICAL ? 2
						     : 0;
	for (uint32_t i = 0; i < mappings->count; i++) {
		struct port_mapping *mapping = &mappings->items[i];

		mapping->protocol = i % 2 == 0 ? IPPROTO_TCP : IPPROTO_UDP;
		mapping->host_port =
			(uint16_t)(sample == SAMPLE_LARGEST ? UINT16_MAX - i : 8080 + i);
		mapping->container_port = sample == SAMPLE_LARGEST ? UINT16_MAX : 80;
		mapping->host_family = sample == SAMPLE_LARGEST ? 6 : i == 0 ? 0 : 4;
		if (mapping->host_family == 4)
			inet_pton(AF_INET, "192.0.2.1", mapping->host_ip);
		else if (mapping->host_family == 6)
			inet_pton(AF_INET6, "2001:db8::1", mapping->host_ip);
	}
}

static void fill_attachment(struct attachment *attachment, enum sample sample)
{
	fill_key(&attachment->key, sample);
	fill_sandbox(&attachment->sandbox, sample);
	fill_pod(&attachment->pod, sample);
	fill_function(&attachment->function, sample);
	if (sample == SAMPLE_LARGEST) { // a function is smaller than a path
		attachment->port = PORT_CHOICE_VHOST_USER;
		attachment->function = (struct function_id){0};
		fill(attachment->socket_path, SOCKET_PATH_SIZE - 1, sample, "");
		attachment->socket_path[0] = '/';
	}
	fill_mac(&attachment->mac, sample);
	fill_mac(&attachment->gateway_mac, sample);
	attachment->has_ipv4 = sample != SAMPLE_SMALLEST;
	attachment->has_ipv6 = true;
	if (attachment->has_ipv4) {
		fill_ipv4(&attachment->ipv4, "10.88.0.2");
		fill_ipv4(&attachment->gateway_ipv4, "10.88.0.1");
	}
	fill_ipv6(&attachment->ipv6, "fd00:88::2");
	fill_ipv6(&attachment->gateway_ipv6, "fd00:88::1");
	attachment->mtu = sample == SAMPLE_SMALLEST  ? MTU_MIN
			  : sample == SAMPLE_LARGEST ? MTU_MAX
						     : 1500;
	attachment->link_group = number32(sample, 42);
	attachment->created_unix_ms = number64(sample, 1795900000000);
	fill_bandwidth(&attachment->bandwidth, sample);
	fill_mappings(&attachment->port_mappings, sample);
}

static void fill_pod_network(struct pod_network *network, enum sample sample)
{
	network->has_ipv4 = true;
	network->has_ipv6 = sample != SAMPLE_SMALLEST;
	fill_ipv4(&network->ipv4, "10.88.0.0");
	fill_ipv4(&network->gateway_ipv4, "10.88.0.1");
	network->ipv4_prefix_length = 24;
	if (network->has_ipv6) {
		fill_ipv6(&network->ipv6, "fd00:88::");
		fill_ipv6(&network->gateway_ipv6, "fd00:88::1");
		network->ipv6_prefix_length = 64;
	}
	fill_mac(&network->router_mac, sample);
	network->mtu = sample == SAMPLE_LARGEST ? MTU_MAX : 1500;
}

static void fill_attach(struct attach_request *attach, enum sample sample)
{
	fill_key(&attach->key, sample);
	fill_sandbox(&attach->sandbox, sample);
	fill_pod(&attach->pod, sample);
	if (sample == SAMPLE_SMALLEST)
		return;
	attach->wants_ipv4 = attach->wants_ipv6 = attach->wants_mac = true;
	fill_ipv4(&attach->requested_ipv4, "10.88.0.77");
	fill_ipv6(&attach->requested_ipv6, "fd00:88::77");
	fill_mac(&attach->requested_mac, sample);
	attach->requested_mtu = sample == SAMPLE_LARGEST ? MTU_MAX : 1400;
	fill_bandwidth(&attach->bandwidth, sample);
	fill_mappings(&attach->port_mappings, sample);
	attach->port = sample == SAMPLE_LARGEST ? PORT_CHOICE_VHOST_USER : PORT_CHOICE_FUNCTION;
}

static void fill_set_pod_network(struct set_pod_network_request *to, enum sample sample)
{
	struct pod_network network = {0};

	fill_pod_network(&network, sample);
	to->has_ipv4 = network.has_ipv4;
	to->has_ipv6 = network.has_ipv6;
	to->ipv4 = network.ipv4;
	to->ipv4_prefix_length = network.ipv4_prefix_length;
	to->ipv6 = network.ipv6;
	to->ipv6_prefix_length = network.ipv6_prefix_length;
	to->mtu = sample == SAMPLE_SMALLEST ? 0 : network.mtu;
}

// `rank` makes them ascend.
static void fill_endpoint(struct endpoint *endpoint, enum sample sample, size_t rank)
{
	struct attachment_key key = {0};

	fill_key(&key, sample);
	key.container_id[strlen(key.container_id) - 1] = (char)('a' + rank);
	strcpy(endpoint->container_id, key.container_id);
	strcpy(endpoint->ifname, key.ifname);
}

static void fill_gc(struct gc_request *gc, enum sample sample)
{
	struct attachment_key key = {0};

	fill_key(&key, sample);
	strcpy(gc->network, key.network);
	gc->has_after = gc->more = sample != SAMPLE_SMALLEST;
	if (gc->has_after)
		fill_endpoint(&gc->after, sample, 0);
	gc->count = sample == SAMPLE_LARGEST ? LIMIT_VALID : sample == SAMPLE_TYPICAL ? 3 : 0;
	for (size_t i = 0; i < gc->count; i++)
		fill_endpoint(&gc->valid[i], sample, i + 1);
}

static void fill_gc_reply(struct gc_reply *gc, enum sample sample)
{
	gc->released = number32(sample, 4);
	gc->failure_count = sample == SAMPLE_LARGEST   ? LIMIT_FAILURES
			    : sample == SAMPLE_TYPICAL ? 1
						       : 0;
	for (size_t i = 0; i < gc->failure_count; i++) {
		fill_key(&gc->failures[i].key, sample);
		gc->failures[i].code = CODE_WIRING;
		fill(gc->failures[i].message, LIMIT_TEXT, sample, "move eth0: busy");
	}
	gc->has_next = sample != SAMPLE_SMALLEST;
	if (gc->has_next)
		fill_endpoint(&gc->next, sample, 0);
}

static void fill_reconcile(struct reconcile_reply *reconcile, enum sample sample)
{
	reconcile->attachments = number32(sample, 12);
	reconcile->without_port = number32(sample, 1);
	reconcile->leaving = number32(sample, 2);
	reconcile->rules_missing = number32(sample, 3);
	reconcile->suspects = number32(sample, 4);
	reconcile->reclaimed = number32(sample, 5);
	reconcile->strays = number32(sample, 6);
	reconcile->queued_deletes = number32(sample, 7);
}

static void fill_watch(struct watch_request *watch, enum sample sample)
{
	fill_key(&watch->key, sample);
	watch->path = watch->withdraw = sample != SAMPLE_SMALLEST;
	watch->frame_bytes = sample == SAMPLE_LARGEST ? LIMIT_FRAME : 0;
	watch->packets = sample == SAMPLE_SMALLEST ? 1 : number64(sample, 10);
	watch->bytes = sample == SAMPLE_SMALLEST ? 1 : number64(sample, 1000000);
	watch->seconds = sample == SAMPLE_LARGEST ? WATCH_SECONDS_MAX : 1;
	watch->filter_size = sample == SAMPLE_LARGEST   ? LIMIT_FILTER
			     : sample == SAMPLE_TYPICAL ? 4
							: 0;
	for (uint32_t i = 0; i < watch->filter_size; i++)
		watch->filter[i] = (struct filter_instruction){0x15, 1, 2, 0xfffffffeu - i};
}

void sample_request(enum call call, enum sample sample, struct request *ret_request)
{
	struct request *request = ret_request;

	memset(request, 0, sizeof(*request));
	request->call = call;
	request->timeout_ms = sample == SAMPLE_LARGEST ? TIMEOUT_MAX_MS : 5000;
	fill(request->instance_id, LIMIT_ID, sample, "3f2504e0-4f89-11d3-9a0c-0305e82c3301");
	fill(request->host_id, LIMIT_ID, sample, "host-1");
	switch (call) {
	case CALL_HELLO:
		request->body.hello.protocol_version = PROTOCOL_VERSION;
		fill(request->body.hello.host_id, LIMIT_ID, sample, "host-1");
		fill(request->body.hello.boot_id, LIMIT_ID, SAMPLE_TYPICAL, "boot-1");
		fill(request->body.hello.boot_id, LIMIT_ID, sample, "boot-1");
		fill(request->body.hello.software_version, LIMIT_ID, sample, "0.1.0");
		break;
	case CALL_ATTACH:
		fill_attach(&request->body.attach, sample);
		break;
	case CALL_DETACH:
		fill_key(&request->body.detach.key, sample);
		fill_sandbox(&request->body.detach.sandbox, sample);
		request->body.detach.created_unix_ms = number64(sample, 1795900000000);
		break;
	case CALL_CHECK:
		fill_key(&request->body.check.key, sample);
		fill_sandbox(&request->body.check.sandbox, sample);
		request->body.check.has_expected = sample != SAMPLE_SMALLEST;
		if (request->body.check.has_expected)
			fill_attachment(&request->body.check.expected, sample);
		break;
	case CALL_LIST:
		request->body.list.has_after = sample != SAMPLE_SMALLEST;
		if (request->body.list.has_after)
			fill_key(&request->body.list.after, sample);
		fill(request->body.list.network, LIMIT_NAME, sample, "pod-network");
		request->body.list.limit = sample == SAMPLE_SMALLEST ? 1 : LIMIT_PAGE;
		break;
	case CALL_LIST_PORTS:
		request->body.list_ports.after = number32(sample, 12);
		request->body.list_ports.limit = sample == SAMPLE_SMALLEST ? 1 : LIMIT_PORTS_PAGE;
		break;
	case CALL_LIST_FLOWS:
		request->body.list_flows.after = number64(sample, 12);
		request->body.list_flows.limit = sample == SAMPLE_SMALLEST ? 1 : LIMIT_FLOWS_PAGE;
		break;
	case CALL_LIST_NAT:
		request->body.list_nat.after = number32(sample, 12);
		request->body.list_nat.limit = sample == SAMPLE_SMALLEST ? 1 : LIMIT_NAT_PAGE;
		break;
	case CALL_LIST_CONNECTIONS:
		request->body.list_connections.after = number32(sample, 12);
		request->body.list_connections.limit =
			sample == SAMPLE_SMALLEST ? 1 : LIMIT_CONNECTIONS_PAGE;
		break;
	case CALL_LIST_NEIGHBOURS:
		request->body.list_neighbours.after = number32(sample, 12);
		request->body.list_neighbours.limit =
			sample == SAMPLE_SMALLEST ? 1 : LIMIT_NEIGHBOURS_PAGE;
		break;
	case CALL_SET_POD_NETWORK:
		fill_set_pod_network(&request->body.set_pod_network, sample);
		break;
	case CALL_GC:
		fill_gc(&request->body.gc, sample);
		break;
	case CALL_WATCH:
		fill_watch(&request->body.watch, sample);
		break;
	case CALL_READ_WATCH:
		request->body.read_watch.id = sample == SAMPLE_SMALLEST ? 1 : number64(sample, 17);
		request->body.read_watch.after = number64(sample, 12);
		request->body.read_watch.end = sample != SAMPLE_SMALLEST;
		break;
	default:
		break;
	}
}

static void fill_watch_page(struct watch_page *page, enum sample sample)
{
	bool largest = sample == SAMPLE_LARGEST;

	page->count = largest ? LIMIT_WATCH_PAGE : 2;
	for (size_t i = 0; i < page->count; i++) {
		struct watch_packet *packet = &page->packets[i];

		packet->number = largest ? UINT64_MAX : i + 1;
		packet->unix_ns = number64(sample, 1795900000000000000);
		packet->to_pod = i == 1;
		packet->length = number32(sample, 98);
		fill(packet->drop, LIMIT_ID, sample, i == 1 ? "no-route" : "");
		fill(packet->summary, LIMIT_STEP_TEXT, sample, "10.88.0.2 > 10.88.0.3 icmp");
		packet->first_byte = (uint32_t)page->byte_count;
		packet->byte_count = largest ? LIMIT_WATCH_BYTES / LIMIT_WATCH_PAGE : 14;
		memset(page->bytes + page->byte_count, 0x5a, packet->byte_count);
		page->byte_count += packet->byte_count;
		packet->first_step = (uint32_t)page->step_count;
		packet->step_count = largest ? LIMIT_STEPS : 2;
		if (page->step_count + packet->step_count > LIMIT_WATCH_STEPS)
			packet->step_count = LIMIT_WATCH_STEPS - (uint32_t)page->step_count;
		for (uint32_t j = 0; j < packet->step_count; j++) {
			struct watch_step *step = &page->steps[page->step_count++];

			fill(step->node, LIMIT_ID, sample, "ip4_input");
			fill(step->text, LIMIT_STEP_TEXT, sample, "source check passed");
		}
	}
}

static void fill_read_watch(struct read_watch_reply *read, enum sample sample)
{
	read->more = read->ended = sample != SAMPLE_SMALLEST;
	read->taken = number64(sample, 12);
	read->lost = number64(sample, 2);
	read->offloaded = number64(sample, 1000);
	fill(read->reason, LIMIT_TEXT, sample, "10 packets were seen");
	if (sample == SAMPLE_SMALLEST)
		return;
	read->page = calloc(1, sizeof(*read->page));
	fill_watch_page(read->page, sample);
}

static size_t page_size(enum sample sample, size_t limit)
{
	return sample == SAMPLE_LARGEST ? limit : sample == SAMPLE_TYPICAL ? 3 : 0;
}

static void fill_list(struct list_reply *list, enum sample sample)
{
	list->count = page_size(sample, LIMIT_PAGE);
	list->more = sample != SAMPLE_SMALLEST;
	if (list->count > 0)
		list->items = calloc(list->count, sizeof(*list->items));
	for (size_t i = 0; i < list->count; i++) {
		fill_attachment(&list->items[i].attachment, sample);
		list->items[i].has_offload = true;
		fill(list->items[i].offload.state, LIMIT_ID, sample, "partial");
		fill(list->items[i].offload.reason, LIMIT_TEXT, sample, "table full");
	}
}

static void fill_meter(struct meter_info *meter, enum sample sample)
{
	if (sample == SAMPLE_SMALLEST)
		return;
	meter->rate_bps = number64(sample, 20000000);
	meter->burst_bits = number64(sample, 4000000);
	meter->passed_packets = number64(sample, 1000);
	meter->passed_bytes = number64(sample, 1514000);
	meter->dropped_packets = number64(sample, 10);
	meter->dropped_bytes = number64(sample, 15140);
	meter->by_nic = true;
}

static void fill_port(struct port_info *port, enum sample sample)
{
	port->slot = number32(sample, 3);
	fill(port->kind, LIMIT_ID, sample, "function");
	fill(port->name, LIMIT_ID, sample, "net_simnic0_representor_3");
	fill_function(&port->function, sample);
	port->has_key = sample != SAMPLE_SMALLEST;
	if (port->has_key)
		fill_key(&port->key, sample);
	port->link_up = sample != SAMPLE_SMALLEST;
	port->mtu = number32(sample, 1500);
	fill_mac(&port->mac, sample);
	port->rx_packets = number64(sample, 1000);
	port->rx_bytes = number64(sample, 64000);
	port->tx_packets = number64(sample, 2000);
	port->tx_bytes = number64(sample, 128000);
	port->offloaded_rx_packets = number64(sample, 900);
	port->offloaded_rx_bytes = number64(sample, 57600);
	port->offloaded_tx_packets = number64(sample, 1500);
	port->offloaded_tx_bytes = number64(sample, 96000);
	port->tx_full_packets = number64(sample, 7);
	port->queue_pairs = number32(sample, 2);
	fill_meter(&port->ingress, sample);
	fill_meter(&port->egress, sample);
	port->drop_count = page_size(sample, LIMIT_DROPS);
	for (size_t i = 0; i < port->drop_count; i++) {
		fill(port->drops[i].reason, LIMIT_ID, sample, "ipv4-source");
		port->drops[i].packets = number64(sample, 5);
	}
}

static void fill_ports(struct ports_reply *ports, enum sample sample)
{
	ports->count = page_size(sample, LIMIT_PORTS_PAGE);
	ports->more = sample != SAMPLE_SMALLEST;
	if (ports->count > 0)
		ports->ports = calloc(ports->count, sizeof(*ports->ports));
	for (size_t i = 0; i < ports->count; i++)
		fill_port(&ports->ports[i], sample);
}

static void fill_uplink(struct uplink_status *uplink, enum sample sample)
{
	uplink->has_ipv4 = uplink->has_ipv6 = true;
	fill_ipv4(&uplink->ipv4, "192.0.2.10");
	fill_ipv6(&uplink->ipv6, "2001:db8::10");
	uplink->ipv4_prefix_length = 24;
	uplink->ipv6_prefix_length = 64;
	uplink->vlan = sample == SAMPLE_LARGEST ? 4094 : 42;
	uplink->mtu = number32(sample, 1500);
	fill_mac(&uplink->mac, sample);
	uplink->link_up = true;
	uplink->routes = number32(sample, 3);
	uplink->neighbours = number32(sample, 2);
}

static void fill_connections(struct connections_reply *connections, enum sample sample)
{
	connections->count = page_size(sample, LIMIT_CONNECTIONS_PAGE);
	connections->more = sample != SAMPLE_SMALLEST;
	connections->total = number32(sample, 3);
	connections->most = number32(sample, 1000);
	connections->refused_full = number64(sample, 4);
	connections->refused_ports = number64(sample, 5);
	connections->offload.carried = number32(sample, 2);
	connections->offload.most = number32(sample, 500);
	connections->offload.refused_full = number64(sample, 6);
	connections->offload.refused_nic = number64(sample, 7);
	fill(connections->offload.why_not, LIMIT_TEXT, sample, "the uplink is on VLAN 7");
	if (connections->count > 0)
		connections->connections =
			calloc(connections->count, sizeof(*connections->connections));
	for (size_t i = 0; i < connections->count; i++) {
		struct connection_row *row = &connections->connections[i];

		row->number = sample == SAMPLE_LARGEST ? UINT32_MAX : (uint32_t)i + 1;
		row->kind = (enum connection_kind)(i % CONNECTION_KIND_COUNT);
		row->is_ipv6 = sample == SAMPLE_LARGEST || i == 1;
		row->protocol = i == 1 ? 17 : 6;
		memset(row->pod, 0x0a, row->is_ipv6 ? 16 : 4);
		memset(row->peer, 0x0b, row->is_ipv6 ? 16 : 4);
		memset(row->external, 0x0c, row->is_ipv6 ? 16 : 4);
		row->pod_port = sample == SAMPLE_LARGEST ? UINT16_MAX : 4000;
		row->peer_port = sample == SAMPLE_LARGEST ? UINT16_MAX : 443;
		row->external_port = sample == SAMPLE_LARGEST ? UINT16_MAX : 50000;
		if (i != 1)
			fill(row->state, LIMIT_ID, sample, "ESTABLISHED");
		row->offloaded = sample != SAMPLE_SMALLEST;
		row->answered = true;
		row->expires_s = number32(sample, 299);
		row->packets_sent = number64(sample, 10);
		row->bytes_sent = number64(sample, 1000);
		row->packets_received = number64(sample, 20);
		row->bytes_received = number64(sample, 2000);
	}
}

static void fill_nat_summary(struct nat_summary *summary, enum sample sample)
{
	if (sample == SAMPLE_SMALLEST)
		return;
	summary->has_ipv4 = summary->has_ipv6 = true;
	fill_ipv4(&summary->ipv4, "192.0.2.10");
	fill_ipv6(&summary->ipv6, "2001:db8::10");
	summary->masquerade_ipv4 = true;
	summary->masquerade_ipv6 = sample == SAMPLE_LARGEST;
	summary->excluded_count = sample == SAMPLE_LARGEST ? LIMIT_NAT_EXCLUDED : 2;
	for (size_t i = 0; i < summary->excluded_count; i++)
		fill(summary->excluded[i].text, LIMIT_PREFIX, sample, "198.51.100.0/24");
	summary->first_port = 32768;
	summary->last_port = UINT16_MAX;
	summary->first_identifier = 1;
	summary->last_identifier = UINT16_MAX;
	summary->ports_count = sample == SAMPLE_LARGEST ? LIMIT_NAT_PORTS : 1;
	for (size_t i = 0; i < summary->ports_count; i++) {
		summary->ports[i].protocol = 6;
		summary->ports[i].is_ipv6 = sample == SAMPLE_LARGEST;
		summary->ports[i].size = number32(sample, 32768);
		summary->ports[i].used = number32(sample, 100);
		summary->ports[i].published = number32(sample, 2);
	}
	summary->connections = number32(sample, 3);
	summary->most = number32(sample, 1000);
	summary->refused_full = number64(sample, 4);
	summary->refused_ports = number64(sample, 5);
}

static void fill_nat(struct nat_reply *nat, enum sample sample)
{
	nat->count = page_size(sample, LIMIT_NAT_PAGE);
	nat->more = sample != SAMPLE_SMALLEST;
	fill_nat_summary(&nat->summary, sample);
	if (nat->count > 0)
		nat->ports = calloc(nat->count, sizeof(*nat->ports));
	for (size_t i = 0; i < nat->count; i++) {
		struct published_row *row = &nat->ports[i];

		row->number = sample == SAMPLE_LARGEST ? UINT32_MAX : (uint32_t)i + 1;
		row->is_ipv6 = sample == SAMPLE_LARGEST || i == 1;
		row->protocol = i == 1 ? 17 : 6;
		row->served = i != 2;
		if (row->served)
			memset(row->host, 0x0c, row->is_ipv6 ? 16 : 4);
		memset(row->pod, 0x0a, row->is_ipv6 ? 16 : 4);
		row->host_port = sample == SAMPLE_LARGEST ? UINT16_MAX : 8080;
		row->container_port = sample == SAMPLE_LARGEST ? UINT16_MAX : 80;
		row->connections = number32(sample, 7);
		row->opened = number64(sample, 12);
		row->packets_in = number64(sample, 10);
		row->bytes_in = number64(sample, 1000);
		row->packets_out = number64(sample, 20);
		row->bytes_out = number64(sample, 2000);
	}
}

static void fill_neighbours(struct neighbours_reply *neighbours, enum sample sample)
{
	neighbours->count = page_size(sample, LIMIT_NEIGHBOURS_PAGE);
	neighbours->more = sample != SAMPLE_SMALLEST;
	if (neighbours->count > 0)
		neighbours->neighbours = calloc(neighbours->count, sizeof(*neighbours->neighbours));
	for (size_t i = 0; i < neighbours->count; i++) {
		struct neighbour_row *row = &neighbours->neighbours[i];

		row->number = sample == SAMPLE_LARGEST ? UINT32_MAX : (uint32_t)i + 1;
		fill(row->port, LIMIT_ID, sample, "uplink");
		fill(row->state, LIMIT_ID, sample, "reachable");
		row->has_ipv4 = i % 2 == 0;
		row->has_ipv6 = !row->has_ipv4;
		if (row->has_ipv4)
			fill_ipv4(&row->ipv4, "192.0.2.1");
		else
			fill_ipv6(&row->ipv6, "2001:db8::1");
		row->has_mac = sample == SAMPLE_LARGEST || i != 1;
		if (row->has_mac)
			fill_mac(&row->mac, sample);
		row->age_ms = number64(sample, 1234);
	}
}

static void fill_offload_info(struct offload_info *info, enum sample sample)
{
	info->enabled = info->usable = sample != SAMPLE_SMALLEST;
	fill(info->why_not, LIMIT_TEXT, sample, "the NIC cannot match ethernet");
	fill(info->api, LIMIT_ID, sample, "asynchronous");
	info->rules = number32(sample, 74);
	info->rules_missing = number32(sample, 2);
	fill(info->missing_reason, LIMIT_TEXT, sample, "table full");
	info->pods_full = number32(sample, 11);
	info->pods_partial = number32(sample, 1);
	info->pods_none = number32(sample, 3);
	info->inserted = number64(sample, 80);
	info->removed = number64(sample, 6);
	info->failed = number64(sample, 4);
}

static void fill_flows(struct flows_reply *flows, enum sample sample)
{
	flows->count = page_size(sample, LIMIT_FLOWS_PAGE);
	flows->more = sample != SAMPLE_SMALLEST;
	if (flows->count > 0)
		flows->flows = calloc(flows->count, sizeof(*flows->flows));
	for (size_t i = 0; i < flows->count; i++) {
		struct flow_info *flow = &flows->flows[i];

		flow->id = number64(sample, 1000 + i);
		flow->group = number32(sample, 2);
		flow->priority = number32(sample, 1);
		fill(flow->match, LIMIT_TEXT, sample, "from pf0vf7 ipv4 src 10.88.0.2");
		fill(flow->actions, LIMIT_TEXT, sample, "count, jump 3");
		flow->counted = flow->has_function = flow->has_key = true;
		flow->of_host = sample == SAMPLE_LARGEST;
		flow->packets = number64(sample, 1500);
		flow->bytes = number64(sample, 126000);
		flow->age_ms = number64(sample, 61000);
		fill_function(&flow->function, sample);
		fill_key(&flow->key, sample);
	}
}

static void fill_offload(struct offload_reply *offload, enum sample sample)
{
	fill_offload_info(&offload->summary, sample);
	offload->count = page_size(sample, LIMIT_CAPABILITIES);
	if (offload->count > 0)
		offload->capabilities = calloc(offload->count, sizeof(*offload->capabilities));
	for (size_t i = 0; i < offload->count; i++) {
		struct capability_info *capability = &offload->capabilities[i];

		fill(capability->name, LIMIT_ID, sample, "decrement TTL");
		capability->supported = capability->needed = true;
		fill(capability->remark, LIMIT_TEXT, sample, "by MODIFY_FIELD");
	}
}

static void fill_status(struct status_reply *status, enum sample sample)
{
	struct host_status *host = &status->host;
	struct agent_status *agent = &status->agent;

	if (sample == SAMPLE_SMALLEST)
		return;
	status->has_host = status->has_agent = true;
	fill(host->software_version, LIMIT_ID, sample, "0.1.0");
	fill(host->agent_url, LIMIT_PATH, sample, "ipc:///run/podport/agent.sock");
	host->link_up = true;
	host->link_changed_ms_ago = number64(sample, 12345);
	fill(host->link_error, LIMIT_TEXT, sample, "refused");
	host->queued_deletes = number32(sample, 2);
	host->calls_in_flight = number32(sample, 1);
	fill(host->host_port, LIMIT_IFNAME, sample, "podport0");
	host->host_port_ready = true;
	fill(host->host_port_error, LIMIT_TEXT, sample, "no such interface");
	fill(agent->software_version, LIMIT_ID, sample, "0.1.0");
	fill(agent->instance_id, LIMIT_ID, sample, "3f2504e0");
	agent->uptime_ms = number64(sample, 777);
	agent->ready = true;
	fill(agent->not_ready_reason, LIMIT_TEXT, sample, "no pod network");
	fill(agent->notice, LIMIT_TEXT, sample, "2 attachments have no port");
	fill(agent->nic_device, LIMIT_TEXT, sample, "net_simnic0,card=/run/podport/card.sock");
	fill(agent->nic_driver, LIMIT_ID, sample, "net_simnic");
	agent->functions = number32(sample, 256);
	agent->functions_used = number32(sample, 12);
	agent->attachments = number32(sample, 12);
	agent->attachments_without_port = number32(sample, 0);
	agent->vhost_ports = number32(sample, 64);
	agent->vhost_ports_used = number32(sample, 2);
	agent->virtio_ports = number32(sample, 16);
	agent->virtio_ports_used = number32(sample, 1);
	if (sample == SAMPLE_LARGEST)
		fill(agent->virtio_error, LIMIT_TEXT, sample, "");
	if (sample == SAMPLE_LARGEST)
		fill(agent->uplink_error, LIMIT_TEXT, sample, "");
	agent->workers = number32(sample, 2);
	agent->has_pod_network = true;
	fill_pod_network(&agent->pod_network, sample);
	agent->ipv4_free = number32(sample, 241);
	agent->ipv6_free = number32(sample, 65000);
	agent->has_offload = true;
	fill_offload_info(&agent->offload, sample);
	agent->has_uplink = true;
	fill_uplink(&agent->uplink, sample);
}

static void fill_ipam(struct ipam_reply *ipam, enum sample sample)
{
	struct in_addr address;

	if (sample == SAMPLE_SMALLEST)
		return;
	ipam->ipv4.present = ipam->ipv6.present = true;
	ipam->ipv4.has_next = ipam->ipv6.has_next = true;
	ipam->ipv4.prefix_length = 24;
	ipam->ipv6.prefix_length = 64;
	fill_ipv4(&address, "10.88.0.0");
	memcpy(&ipam->ipv4.network, &address, sizeof(address));
	fill_ipv4(&address, "10.88.0.1");
	memcpy(&ipam->ipv4.gateway, &address, sizeof(address));
	fill_ipv4(&address, "10.88.0.9");
	memcpy(&ipam->ipv4.next, &address, sizeof(address));
	fill_ipv6(&ipam->ipv6.network, "fd00:88::");
	fill_ipv6(&ipam->ipv6.gateway, "fd00:88::1");
	fill_ipv6(&ipam->ipv6.next, "fd00:88::9");
	ipam->ipv4.total = ipam->ipv6.total = number32(sample, 253);
	ipam->ipv4.allocated = ipam->ipv6.allocated = number32(sample, 11);
	ipam->ipv4.never_used = ipam->ipv6.never_used = number32(sample, 200);
	ipam->ipv4.released = ipam->ipv6.released = number32(sample, 42);
}

void sample_reply(enum call call, enum sample sample, struct reply *ret_reply)
{
	struct reply *reply = ret_reply;

	memset(reply, 0, sizeof(*reply));
	reply->call = call;
	fill(reply->instance_id, LIMIT_ID, sample, "3f2504e0-4f89-11d3-9a0c-0305e82c3301");
	switch (call) {
	case CALL_HELLO:
		reply->body.hello.protocol_version = number32(sample, PROTOCOL_VERSION);
		fill(reply->body.hello.software_version, LIMIT_ID, sample, "0.1.0");
		reply->body.hello.host_port = sample != SAMPLE_SMALLEST;
		reply->body.hello.has_uplink_ipv4 = reply->body.hello.has_uplink_ipv6 =
			sample != SAMPLE_SMALLEST;
		if (reply->body.hello.has_uplink_ipv4) {
			fill_ipv4(&reply->body.hello.uplink_ipv4, "192.0.2.10");
			fill_ipv6(&reply->body.hello.uplink_ipv6, "2001:db8::10");
		}
		reply->body.hello.has_pod_network = sample != SAMPLE_SMALLEST;
		if (reply->body.hello.has_pod_network)
			fill_pod_network(&reply->body.hello.pod_network, sample);
		break;
	case CALL_ATTACH:
		reply->repeated = sample != SAMPLE_SMALLEST;
		fill_attachment(&reply->body.attach, sample);
		break;
	case CALL_DETACH:
		reply->body.detach.existed = sample != SAMPLE_SMALLEST;
		if (reply->body.detach.existed)
			fill_function(&reply->body.detach.function, sample);
		break;
	case CALL_CHECK:
		fill_attachment(&reply->body.check, sample);
		// The other kind of port.
		if (sample == SAMPLE_LARGEST) {
			reply->body.check.port = PORT_CHOICE_FUNCTION;
			fill_function(&reply->body.check.function, sample);
			memset(reply->body.check.socket_path, 0,
			       sizeof(reply->body.check.socket_path));
		}
		break;
	case CALL_LIST:
		fill_list(&reply->body.list, sample);
		break;
	case CALL_GET_STATUS:
		fill_status(&reply->body.status, sample);
		break;
	case CALL_LIST_PORTS:
		fill_ports(&reply->body.ports, sample);
		break;
	case CALL_GET_IPAM:
		fill_ipam(&reply->body.ipam, sample);
		break;
	case CALL_LIST_FLOWS:
		fill_flows(&reply->body.flows, sample);
		break;
	case CALL_LIST_NAT:
		fill_nat(&reply->body.nat, sample);
		break;
	case CALL_LIST_CONNECTIONS:
		fill_connections(&reply->body.connections, sample);
		break;
	case CALL_LIST_NEIGHBOURS:
		fill_neighbours(&reply->body.neighbours, sample);
		break;
	case CALL_GET_OFFLOAD:
		fill_offload(&reply->body.offload, sample);
		break;
	case CALL_SET_POD_NETWORK:
		fill_pod_network(&reply->body.set_pod_network, sample);
		break;
	case CALL_RECONCILE:
		fill_reconcile(&reply->body.reconcile, sample);
		break;
	case CALL_GC:
		fill_gc_reply(&reply->body.gc, sample);
		break;
	case CALL_WATCH:
		reply->body.watch.id = sample == SAMPLE_SMALLEST ? 1 : number64(sample, 17);
		fill(reply->body.watch.port, LIMIT_ID, sample, "pf0vf3");
		reply->body.watch.withdrawn = sample != SAMPLE_SMALLEST;
		break;
	case CALL_READ_WATCH:
		fill_read_watch(&reply->body.read_watch, sample);
		break;
	default:
		break;
	}
}

void sample_error_reply(enum code code, enum sample sample, struct reply *ret_reply)
{
	memset(ret_reply, 0, sizeof(*ret_reply));
	ret_reply->code = code;
	strcpy(ret_reply->message, "x");
	fill(ret_reply->message, LIMIT_TEXT, sample,
	     "all 253 addresses of 10.88.0.0/24 are in use");
	fill(ret_reply->instance_id, LIMIT_ID, sample, "3f2504e0");
}

// What a reply has on the heap; the pointer in it becomes NULL.
static void *cut_array(struct reply *reply, size_t *ret_size)
{
	void *array = NULL;

	*ret_size = 0;
#define CUT(list, pointer)                                                                         \
	{                                                                                          \
		array = reply->body.list.pointer;                                                  \
		*ret_size = reply->body.list.count * sizeof(*reply->body.list.pointer);            \
		reply->body.list.pointer = NULL;                                                   \
	}
	if (reply->call == CALL_LIST)
		CUT(list, items)
	else if (reply->call == CALL_LIST_PORTS)
		CUT(ports, ports)
	else if (reply->call == CALL_LIST_FLOWS)
		CUT(flows, flows)
	else if (reply->call == CALL_LIST_NEIGHBOURS)
		CUT(neighbours, neighbours)
	else if (reply->call == CALL_LIST_CONNECTIONS)
		CUT(connections, connections)
	else if (reply->call == CALL_LIST_NAT)
		CUT(nat, ports)
	else if (reply->call == CALL_GET_OFFLOAD)
		CUT(offload, capabilities)
#undef CUT
	if (reply->call == CALL_READ_WATCH && reply->body.read_watch.page != NULL) {
		array = reply->body.read_watch.page;
		*ret_size = sizeof(*reply->body.read_watch.page);
		reply->body.read_watch.page = NULL;
	}
	return array;
}

bool reply_equal(const struct reply *a, const struct reply *b)
{
	struct reply flat_a = *a, flat_b = *b;
	size_t size_a, size_b;
	const void *array_a = cut_array(&flat_a, &size_a), *array_b = cut_array(&flat_b, &size_b);

	if (a->call != b->call || size_a != size_b)
		return false;
	if (size_a > 0 && memcmp(array_a, array_b, size_a) != 0)
		return false;
	return memcmp(&flat_a, &flat_b, sizeof(flat_a)) == 0;
}
