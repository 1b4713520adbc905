// SPDX-License-Identifier: BSD-3-Clause
//
// What libpodport hands out. Each object is one allocation that holds the public struct and, behind
// it, the message it was made of, into which the public struct's strings point.

#include <stdlib.h>
#include <string.h>

#include "libpodport/client_private.h"

#define CONTAINER_OF(pointer, type, member)                                                        \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

// ---- attachments ---------------------------------------------------------------------------------

struct attachment_object {
	struct podport_attachment public;
	struct attachment wire;
	struct attachment_offload offload;
	struct podport_port_mapping port_mappings[LIMIT_PORT_MAPPINGS];
};

_Static_assert((int)PODPORT_PORT_MAPPINGS_MAX == (int)LIMIT_PORT_MAPPINGS, "podport.h says so");

struct podport_key object_key(const struct attachment_key *key)
{
	return (struct podport_key){key->network, key->container_id, key->ifname};
}

// offload: NULL: was not told.
static struct podport_attachment *make_attachment(const struct attachment *from,
						  const struct attachment_offload *offload)
{
	struct attachment_object *object = calloc(1, sizeof(*object));

	if (object == NULL)
		return NULL;
	object->wire = *from;
	if (offload != NULL)
		object->offload = *offload;

	const struct attachment *wire = &object->wire;
	object->public = (struct podport_attachment){
		.key = object_key(&wire->key),
		.netns = wire->sandbox.path,
		.netns_inode = wire->sandbox.inode,
		.pod_namespace = wire->pod.namespace_,
		.pod_name = wire->pod.name,
		.pod_uid = wire->pod.uid,
		.pf = wire->function.pf,
		.vf = wire->function.vf,
		.has_ipv4 = wire->has_ipv4,
		.has_ipv6 = wire->has_ipv6,
		.ipv4 = wire->ipv4,
		.gateway_ipv4 = wire->gateway_ipv4,
		.ipv6 = wire->ipv6,
		.gateway_ipv6 = wire->gateway_ipv6,
		.mtu = wire->mtu,
		.link_group = wire->link_group,
		.created_unix_ms = wire->created_unix_ms,
		.offload = object->offload.state,
		.offload_reason = object->offload.reason,
		.port_kind = port_choice_name(wire->port),
		.socket_path = wire->socket_path,
	};
	object->public.bandwidth = (struct podport_bandwidth){
		wire->bandwidth.ingress_rate_bps, wire->bandwidth.ingress_burst_bits,
		wire->bandwidth.egress_rate_bps, wire->bandwidth.egress_burst_bits};
	for (uint32_t i = 0; i < wire->port_mappings.count; i++) {
		const struct port_mapping *mapping = &wire->port_mappings.items[i];
		struct podport_port_mapping *copy = &object->port_mappings[i];

		*copy = (struct podport_port_mapping){.host_port = mapping->host_port,
						      .container_port = mapping->container_port,
						      .protocol = mapping->protocol,
						      .host_family = mapping->host_family};
		memcpy(copy->host_ip, mapping->host_ip, sizeof(copy->host_ip));
	}
	object->public.port_mappings = object->port_mappings;
	object->public.port_mapping_count = wire->port_mappings.count;
	memcpy(object->public.mac, wire->mac.bytes, sizeof(object->public.mac));
	memcpy(object->public.gateway_mac, wire->gateway_mac.bytes,
	       sizeof(object->public.gateway_mac));
	return &object->public;
}

struct podport_attachment *object_attachment(const struct attachment *from)
{
	return make_attachment(from, NULL);
}

void podport_attachment_free(struct podport_attachment *attachment)
{
	if (attachment != NULL)
		free(CONTAINER_OF(attachment, struct attachment_object, public));
}

// ---- lists ---------------------------------------------------------------------------------------

struct podport_pods {
	struct podport_attachment **items;
	size_t count;
};

struct podport_pods *object_pods(void)
{
	return calloc(1, sizeof(struct podport_pods));
}

int object_pods_append(struct podport_pods *pods, const struct list_reply *from)
{
	size_t count = pods->count;
	struct podport_attachment **items =
		reallocarray(pods->items, count + from->count + 1, sizeof(*items));

	if (items == NULL)
		return -1;
	pods->items = items;
	for (size_t i = 0; i < from->count; i++) {
		const struct list_item *item = &from->items[i];

		items[count + i] = make_attachment(&item->attachment,
						   item->has_offload ? &item->offload : NULL);
		if (items[count + i] == NULL) {
			while (i-- > 0)
				podport_attachment_free(items[count + i]);
			return -1;
		}
	}
	pods->count = count + from->count;
	return 0;
}

size_t podport_pods_count(const struct podport_pods *pods)
{
	return pods->count;
}

const struct podport_attachment *podport_pods_get(const struct podport_pods *pods, size_t index)
{
	return index < pods->count ? pods->items[index] : NULL;
}

void podport_pods_free(struct podport_pods *pods)
{
	if (pods == NULL)
		return;
	for (size_t i = 0; i < pods->count; i++)
		podport_attachment_free(pods->items[i]);
	free(pods->items);
	free(pods);
}

struct port_object {
	struct podport_port public;
	struct podport_drop drops[LIMIT_DROPS];
	struct podport_meter ingress, egress;
	struct port_info wire;
};

// NULL: unlimited.
static const struct podport_meter *make_meter(struct podport_meter *to,
					      const struct meter_info *from)
{
	if (from->rate_bps == 0)
		return NULL;
	*to = (struct podport_meter){
		.rate_bps = from->rate_bps,
		.burst_bits = from->burst_bits,
		.passed_packets = from->passed_packets,
		.passed_bytes = from->passed_bytes,
		.dropped_packets = from->dropped_packets,
		.dropped_bytes = from->dropped_bytes,
		.by_nic = from->by_nic,
	};
	return to;
}

static struct port_object *object_port(const struct port_info *from)
{
	struct port_object *object = calloc(1, sizeof(*object));

	if (object == NULL)
		return NULL;
	object->wire = *from;

	const struct port_info *wire = &object->wire;
	object->public = (struct podport_port){
		.slot = wire->slot,
		.kind = wire->kind,
		.name = wire->name,
		.pf = wire->function.pf,
		.vf = wire->function.vf,
		.has_key = wire->has_key,
		.key = object_key(&wire->key),
		.link_up = wire->link_up,
		.mtu = wire->mtu,
		.rx_packets = wire->rx_packets,
		.rx_bytes = wire->rx_bytes,
		.tx_packets = wire->tx_packets,
		.tx_bytes = wire->tx_bytes,
		.drop_count = wire->drop_count,
		.drops = object->drops,
		.offloaded_rx_packets = wire->offloaded_rx_packets,
		.offloaded_rx_bytes = wire->offloaded_rx_bytes,
		.offloaded_tx_packets = wire->offloaded_tx_packets,
		.offloaded_tx_bytes = wire->offloaded_tx_bytes,
		.tx_full_packets = wire->tx_full_packets,
		.queue_pairs = wire->queue_pairs,
	};
	object->public.ingress = make_meter(&object->ingress, &wire->ingress);
	object->public.egress = make_meter(&object->egress, &wire->egress);
	memcpy(object->public.mac, wire->mac.bytes, sizeof(object->public.mac));
	for (size_t i = 0; i < wire->drop_count; i++)
		object->drops[i] =
			(struct podport_drop){wire->drops[i].reason, wire->drops[i].packets};
	return object;
}

struct podport_ports {
	struct port_object **items;
	size_t count;
};

struct podport_ports *object_ports(void)
{
	return calloc(1, sizeof(struct podport_ports));
}

int object_ports_append(struct podport_ports *ports, const struct ports_reply *from)
{
	size_t count = ports->count;
	struct port_object **items =
		reallocarray(ports->items, count + from->count + 1, sizeof(*items));

	if (items == NULL)
		return -1;
	ports->items = items;
	for (size_t i = 0; i < from->count; i++) {
		items[count + i] = object_port(&from->ports[i]);
		if (items[count + i] == NULL) {
			while (i-- > 0)
				free(items[count + i]);
			return -1;
		}
	}
	ports->count = count + from->count;
	return 0;
}

size_t podport_ports_count(const struct podport_ports *ports)
{
	return ports->count;
}

const struct podport_port *podport_ports_get(const struct podport_ports *ports, size_t index)
{
	return index < ports->count ? &ports->items[index]->public : NULL;
}

void podport_ports_free(struct podport_ports *ports)
{
	if (ports == NULL)
		return;
	for (size_t i = 0; i < ports->count; i++)
		free(ports->items[i]);
	free(ports->items);
	free(ports);
}

// ---- status --------------------------------------------------------------------------------------

struct status_object {
	struct podport_status public;
	struct podport_host_status host;
	struct podport_agent_status agent;
	struct podport_pod_network pod_network;
	struct podport_offload_summary offload;
	struct podport_uplink uplink;
	struct status_reply wire;
};

static void fill_host(struct podport_host_status *to, const struct host_status *from)
{
	*to = (struct podport_host_status){
		.version = from->software_version,
		.agent_url = from->agent_url,
		.link_up = from->link_up,
		.link_changed_ms_ago = from->link_changed_ms_ago,
		.link_error = from->link_error,
		.queued_deletes = from->queued_deletes,
		.calls_in_flight = from->calls_in_flight,
		.host_port = from->host_port,
		.host_port_ready = from->host_port_ready,
		.host_port_error = from->host_port_error,
	};
}

static void fill_agent(struct podport_agent_status *to, const struct agent_status *from)
{
	*to = (struct podport_agent_status){
		.version = from->software_version,
		.instance_id = from->instance_id,
		.uptime_ms = from->uptime_ms,
		.ready = from->ready,
		.not_ready_reason = from->not_ready_reason,
		.notice = from->notice,
		.nic_device = from->nic_device,
		.nic_driver = from->nic_driver,
		.functions = from->functions,
		.functions_used = from->functions_used,
		.attachments = from->attachments,
		.workers = from->workers,
		.ipv4_free = from->ipv4_free,
		.ipv6_free = from->ipv6_free,
		.attachments_without_port = from->attachments_without_port,
		.uplink_error = from->uplink_error,
		.vhost_ports = from->vhost_ports,
		.vhost_ports_used = from->vhost_ports_used,
		.virtio_ports = from->virtio_ports,
		.virtio_ports_used = from->virtio_ports_used,
		.virtio_error = from->virtio_error,
	};
}

void object_fill_network(struct podport_pod_network *to, const struct pod_network *from)
{
	*to = (struct podport_pod_network){
		.has_ipv4 = from->has_ipv4,
		.has_ipv6 = from->has_ipv6,
		.ipv4 = from->ipv4,
		.gateway_ipv4 = from->gateway_ipv4,
		.ipv4_prefix_length = from->ipv4_prefix_length,
		.ipv6 = from->ipv6,
		.gateway_ipv6 = from->gateway_ipv6,
		.ipv6_prefix_length = from->ipv6_prefix_length,
		.mtu = from->mtu,
	};
	memcpy(to->router_mac, from->router_mac.bytes, sizeof(to->router_mac));
}

static void fill_uplink(struct podport_uplink *to, const struct uplink_status *from)
{
	*to = (struct podport_uplink){
		.has_ipv4 = from->has_ipv4,
		.has_ipv6 = from->has_ipv6,
		.ipv4 = from->ipv4,
		.ipv4_prefix_length = from->ipv4_prefix_length,
		.ipv6 = from->ipv6,
		.ipv6_prefix_length = from->ipv6_prefix_length,
		.vlan = from->vlan,
		.mtu = from->mtu,
		.link_up = from->link_up,
		.routes = from->routes,
		.neighbours = from->neighbours,
	};
	memcpy(to->mac, from->mac.bytes, sizeof(to->mac));
}

struct podport_status *object_status(const struct status_reply *from)
{
	struct status_object *object = calloc(1, sizeof(*object));

	if (object == NULL)
		return NULL;
	object->wire = *from;
	fill_host(&object->host, &object->wire.host);
	object->public.host = &object->host;
	if (from->has_agent) {
		fill_agent(&object->agent, &object->wire.agent);
		object->public.agent = &object->agent;
		if (from->agent.has_pod_network) {
			object_fill_network(&object->pod_network, &object->wire.agent.pod_network);
			object->agent.pod_network = &object->pod_network;
		}
		if (from->agent.has_uplink) {
			fill_uplink(&object->uplink, &object->wire.agent.uplink);
			object->agent.uplink = &object->uplink;
		}
		if (from->agent.has_offload) {
			object_fill_offload(&object->offload, &object->wire.agent.offload);
			object->agent.offload = &object->offload;
		}
	}
	return &object->public;
}

void podport_status_free(struct podport_status *status)
{
	if (status != NULL)
		free(CONTAINER_OF(status, struct status_object, public));
}

// ---- addresses -----------------------------------------------------------------------------------

struct ipam_object {
	struct podport_ipam public;
	struct podport_pool ipv4, ipv6;
};

static const struct podport_pool *fill_pool(struct podport_pool *to, int family,
					    const struct ipam_info *from)
{
	if (!from->present)
		return NULL;
	*to = (struct podport_pool){
		.family = family,
		.prefix_length = from->prefix_length,
		.total = from->total,
		.allocated = from->allocated,
		.never_used = from->never_used,
		.released = from->released,
		.has_next = from->has_next,
	};
	memcpy(to->network, &from->network, sizeof(to->network));
	memcpy(to->gateway, &from->gateway, sizeof(to->gateway));
	memcpy(to->next, &from->next, sizeof(to->next));
	return to;
}

struct podport_ipam *object_ipam(const struct ipam_reply *from)
{
	struct ipam_object *object = calloc(1, sizeof(*object));

	if (object == NULL)
		return NULL;
	object->public.ipv4 = fill_pool(&object->ipv4, AF_INET, &from->ipv4);
	object->public.ipv6 = fill_pool(&object->ipv6, AF_INET6, &from->ipv6);
	return &object->public;
}

void podport_ipam_free(struct podport_ipam *ipam)
{
	if (ipam != NULL)
		free(CONTAINER_OF(ipam, struct ipam_object, public));
}
