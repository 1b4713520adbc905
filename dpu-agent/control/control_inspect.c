// SPDX-License-Identifier: BSD-3-Clause
//
// The calls that only look: List, GetStatus, ListPorts, GetIpam.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/control_private.h"
#include "datapath/datapath.h"

static bool is_listed(const struct list_request *wanted, const char *host_id, const struct pod *pod)
{
	return pod->record.state == STORE_ATTACHED && host_owns(host_id, pod) &&
	       (wanted->network[0] == '\0' ||
		strcmp(pod->record.attachment.key.network, wanted->network) == 0);
}

void list_call(struct control *control, struct control_call *call)
{
	const struct list_request *wanted = &call->request->body.list;
	const struct pods *pods = control->pods;
	struct reply reply = {.call = CALL_LIST};
	struct list_reply *list = &reply.body.list;
	const char *host_id = call_host(control, call);
	size_t i = wanted->has_after ? pods_index_after(pods, &wanted->after) : 0;

	list->items = calloc(wanted->limit, sizeof(*list->items));
	if (list->items == NULL) {
		answer_no_memory(control, call);
		return;
	}
	for (; i < pods->count && list->count < wanted->limit; i++) {
		struct list_item *item = &list->items[list->count];

		if (!is_listed(wanted, host_id, pods->sorted[i]))
			continue;
		item->attachment = pods->sorted[i]->record.attachment;
		item->has_offload = true;
		rules_describe_pod(control, pods->sorted[i], &item->offload);
		list->count++;
	}
	while (i < pods->count && !is_listed(wanted, host_id, pods->sorted[i]))
		i++;
	list->more = i < pods->count;
	answer(control, call, &reply);
	reply_clear(&reply);
}

static uint64_t uptime_ms(const struct control *control)
{
	return (uint64_t)(control_now_ms() - control->started_ms);
}

static uint32_t free_of(const struct ipam *ipam)
{
	return ipam->pool.size - ipam->pool.taken;
}

static void describe_virtio(const struct pods *pods, struct agent_status *agent)
{
	struct error why;

	agent->virtio_ports = pods->virtios.size;
	agent->virtio_ports_used = pods->virtios.taken;
	if (agent->virtio_ports > 0 && virtio_user_look(&why) < 0)
		snprintf(agent->virtio_error, sizeof(agent->virtio_error), "%.*s", LIMIT_TEXT,
			 why.message);
}

void status_call(struct control *control, struct control_call *call)
{
	const struct pods *pods = control->pods;
	struct reply reply = {.call = CALL_GET_STATUS};
	struct agent_status *agent = &reply.body.status.agent;

	reply.body.status.has_agent = true;
	snprintf(agent->software_version, sizeof(agent->software_version), "%s", PODPORT_VERSION);
	snprintf(agent->instance_id, sizeof(agent->instance_id), "%s", control->config.instance_id);
	agent->uptime_ms = uptime_ms(control);
	agent->ready = pods->has_network;
	control_notice(control, agent->notice);
	if (!agent->ready)
		snprintf(agent->not_ready_reason, sizeof(agent->not_ready_reason),
			 "no pod network yet: the agent's configuration has no pod_network, and "
			 "none was set ('podportctl network set')");
	snprintf(agent->nic_device, sizeof(agent->nic_device), "%s", control->config.nic_device);
	snprintf(agent->nic_driver, sizeof(agent->nic_driver), "%s",
		 nic_driver_name(control->config.nic));
	agent->functions = nic_function_count(control->config.nic);
	agent->functions_used = pods->functions.taken;
	agent->vhost_ports = pods->vhosts.size;
	agent->vhost_ports_used = pods->vhosts.taken;
	describe_virtio(pods, agent);
	agent->attachments = (uint32_t)pods->count;
	for (size_t i = 0; i < pods->count; i++)
		agent->attachments_without_port +=
			pods->sorted[i]->record.state == STORE_ATTACHED &&
			!pods->sorted[i]->port_started;
	if (control->uplink_error.code != CODE_OK)
		snprintf(agent->uplink_error, sizeof(agent->uplink_error), "%s",
			 control->uplink_error.message);
	agent->workers = control->config.workers;
	agent->has_pod_network = pods->has_network;
	agent->pod_network = pods->network.common;
	agent->ipv4_free = free_of(&pods->ipv4);
	agent->ipv6_free = free_of(&pods->ipv6);
	agent->has_uplink = wire_describe(control, &agent->uplink);
	agent->has_offload = true;
	rules_describe(control, &agent->offload);
	answer(control, call, &reply);
}

// ---- ports -----------------------------------------------------------------------------------------

// The graph's share and the NIC's: of a limited pod's packets each is metered by one of them.
static void describe_meter(const struct bandwidth_limit *limit, const struct bandwidth_count *graph,
			   const struct bandwidth_count *nic, bool by_nic,
			   struct meter_info *ret_info)
{
	struct bandwidth_count count = *graph;

	if (limit->bytes_per_s == 0)
		return;
	bandwidth_count_add(&count, nic);
	*ret_info = (struct meter_info){
		.rate_bps = limit->bytes_per_s * 8,
		.burst_bits = limit->burst_bytes * 8,
		.passed_packets = count.passed_packets,
		.passed_bytes = count.passed_bytes,
		.dropped_packets = count.dropped_packets,
		.dropped_bytes = count.dropped_bytes,
		.by_nic = by_nic,
	};
}

// What the NIC's meters have dropped is as if the graph had: received from the pod, and dropped.
static void add_nic_drops(const struct offload_pod_status *offload,
			  struct datapath_counters *counters)
{
	const struct bandwidth_count *egress = &offload->meters[BANDWIDTH_EGRESS];

	counters->rx_packets += egress->dropped_packets;
	counters->rx_bytes += egress->dropped_bytes;
	counters->drops[datapath_bandwidth_drop_reason(BANDWIDTH_EGRESS)] +=
		egress->dropped_packets;
	counters->drops[datapath_bandwidth_drop_reason(BANDWIDTH_INGRESS)] +=
		offload->meters[BANDWIDTH_INGRESS].dropped_packets;
}

static void describe_limits(const struct pod *pod, const struct datapath_counters *counters,
			    const struct offload_pod_status *offload, struct port_info *ret_info)
{
	struct bandwidth_limit limits[BANDWIDTH_DIRECTIONS];

	limits_of(&pod->record.attachment, limits);
	describe_meter(&limits[BANDWIDTH_INGRESS], &counters->metered[BANDWIDTH_INGRESS],
		       &offload->meters[BANDWIDTH_INGRESS], offload->metered, &ret_info->ingress);
	describe_meter(&limits[BANDWIDTH_EGRESS], &counters->metered[BANDWIDTH_EGRESS],
		       &offload->meters[BANDWIDTH_EGRESS], offload->metered, &ret_info->egress);
}

static void describe_port(const struct control *control, const char *host_id,
			  const struct port *port, uint32_t index, struct port_info *ret_info)
{
	struct datapath_counters counters = {0};
	struct offload_pod_status offload = {0};
	struct port_state state = {0};
	const struct pod *pod = port_pod(control, port_kind_of(port), index);

	port_read_state(port, &state);
	datapath_read_counters(port_slot(port), &counters);
	offload_read_pod(control->config.offload, port_slot(port), &offload);
	add_nic_drops(&offload, &counters);

	ret_info->slot = port_slot(port);
	snprintf(ret_info->kind, sizeof(ret_info->kind), "%s", port_kind_name(port_kind_of(port)));
	snprintf(ret_info->name, sizeof(ret_info->name), "%s", state.name);
	if (port_kind_of(port) == PORT_FUNCTION)
		ret_info->function = (struct function_id){.pf = 0, .vf = (uint16_t)index};
	ret_info->has_key = pod != NULL && host_owns(host_id, pod);
	if (ret_info->has_key)
		ret_info->key = pod->record.attachment.key;
	if (pod != NULL)
		describe_limits(pod, &counters, &offload, ret_info);
	ret_info->link_up = state.link_up;
	ret_info->mtu = state.mtu;
	ret_info->mac = state.mac;
	// A frame goes by the e-switch or by the graph, never by both.
	ret_info->rx_packets = counters.rx_packets + offload.rx_packets;
	ret_info->rx_bytes = counters.rx_bytes + offload.rx_bytes;
	ret_info->tx_packets = counters.tx_packets + offload.tx_packets;
	ret_info->tx_bytes = counters.tx_bytes + offload.tx_bytes;
	ret_info->tx_full_packets = counters.tx_full;
	ret_info->queue_pairs = state.queue_pairs;
	ret_info->offloaded_rx_packets = offload.rx_packets;
	ret_info->offloaded_rx_bytes = offload.rx_bytes;
	ret_info->offloaded_tx_packets = offload.tx_packets;
	ret_info->offloaded_tx_bytes = offload.tx_bytes;
	for (size_t reason = 0; reason < datapath_drop_reason_count() && reason < LIMIT_DROPS;
	     reason++) {
		struct drop_count *drop = &ret_info->drops[ret_info->drop_count];

		if (counters.drops[reason] == 0)
			continue;
		snprintf(drop->reason, sizeof(drop->reason), "%s",
			 datapath_drop_reason_name(reason));
		drop->packets = counters.drops[reason];
		ret_info->drop_count++;
	}
}

struct slot_port {
	const struct port *port;
	uint32_t slot, index;
};

static int compare_slots(const void *a, const void *b)
{
	uint32_t x = ((const struct slot_port *)a)->slot, y = ((const struct slot_port *)b)->slot;

	return (x > y) - (x < y);
}

// One beside the NIC that nobody has is only a number.
static bool is_there(const struct control *control, const struct port *port, uint32_t index)
{
	enum port_kind kind = port_kind_of(port);

	return !port_kind_is_beside(kind) || port_pod(control, kind, index) != NULL;
}

// The ports whose slot is at least `after`, by slot. Returns how many.
static size_t collect_ports(const struct control *control, uint32_t after, struct slot_port *ports)
{
	uint32_t cursor = 0, index;
	const struct port *port;
	size_t count = 0;

	while ((port = next_port(control, &cursor, &index)) != NULL)
		if (port_slot(port) >= after && is_there(control, port, index))
			ports[count++] = (struct slot_port){port, port_slot(port), index};
	qsort(ports, count, sizeof(*ports), compare_slots);
	return count;
}

void list_ports_call(struct control *control, struct control_call *call)
{
	const struct list_ports_request *wanted = &call->request->body.list_ports;
	struct reply reply = {.call = CALL_LIST_PORTS};
	struct ports_reply *body = &reply.body.ports;
	struct slot_port *ports;
	size_t count;

	ports = calloc((size_t)nic_function_count(control->config.nic) +
			       nic_vhost_count(control->config.nic) +
			       nic_virtio_count(control->config.nic) + 2,
		       sizeof(*ports));
	body->ports = calloc(wanted->limit, sizeof(*body->ports));
	if (ports == NULL || body->ports == NULL) {
		free(ports);
		reply_clear(&reply);
		answer_no_memory(control, call);
		return;
	}
	count = collect_ports(control, wanted->after, ports);
	for (; body->count < count && body->count < wanted->limit; body->count++)
		describe_port(control, call_host(control, call), ports[body->count].port,
			      ports[body->count].index, &body->ports[body->count]);
	body->more = body->count < count;
	free(ports);
	answer(control, call, &reply);
	reply_clear(&reply);
}

// ---- addresses -------------------------------------------------------------------------------------

static void describe_ipam(const struct ipam *ipam, struct ipam_info *ret_info)
{
	const struct lru_pool *pool = &ipam->pool;
	size_t size;

	if (pool->size == 0)
		return;
	size = ipam_address_size(&ipam->prefix);
	ret_info->present = true;
	ret_info->prefix_length = ipam->prefix.length;
	memcpy(&ret_info->network, ipam->prefix.network, size);
	ipam_gateway(&ipam->prefix, &ret_info->gateway);
	ret_info->total = pool->size;
	ret_info->allocated = pool->taken;
	ret_info->released = pool->released;
	ret_info->never_used = pool->size - pool->taken - pool->released;
	ret_info->has_next = ipam_next(ipam, &ret_info->next);
}

void ipam_call(struct control *control, struct control_call *call)
{
	struct reply reply = {.call = CALL_GET_IPAM};

	describe_ipam(&control->pods->ipv4, &reply.body.ipam.ipv4);
	describe_ipam(&control->pods->ipv6, &reply.body.ipam.ipv6);
	answer(control, call, &reply);
}

// ---- counts ----------------------------------------------------------------------------------------

void control_read_counts(const struct control *control, struct control_counts *ret_counts)
{
	struct datapath_counters counters = {0};
	struct offload_pod_status offload = {0};
	uint32_t cursor = 0, index;
	const struct port *port;

	*ret_counts = control->counts;
	connections_read_counts(control, ret_counts);
	while ((port = next_port(control, &cursor, &index)) != NULL) {
		datapath_read_counters(port_slot(port), &counters);
		offload_read_pod(control->config.offload, port_slot(port), &offload);
		add_nic_drops(&offload, &counters);
		for (size_t count = 0; count < LIMIT_DROPS; count++)
			ret_counts->drops[count] += counters.drops[count];
	}
}
