// SPDX-License-Identifier: BSD-3-Clause
//
// The NIC as the attachments want it: which ports are started and how. Used when a call changes an
// attachment, and as a whole at start-up.

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/control_private.h"
#include "datapath/datapath.h"
#include "proto/base/crash_point.h"
#include "proto/base/log.h"

enum { RETRY_MAX = 8 }; // ports to try again at once: a driver that refuses may take long about it

// The slot's next attachment begins at zero; the sum of all does not go back.
static void clear_counters(struct control *control, uint32_t slot)
{
	struct datapath_counters counters = {0};

	datapath_read_counters(slot, &counters);
	for (size_t reason = 0; reason < LIMIT_DROPS; reason++)
		control->counts.drops[reason] += counters.drops[reason];
	datapath_clear_counters(slot);
}

// What its meters in the NIC have dropped is in the sum of all, also when they are no more.
static void keep_nic_drops(struct control *control, uint32_t slot)
{
	struct offload_pod_status status = {0};

	offload_read_pod(control->config.offload, slot, &status);
	for (unsigned int direction = 0; direction < BANDWIDTH_DIRECTIONS; direction++)
		control->counts.drops[datapath_bandwidth_drop_reason(direction)] +=
			status.meters[direction].dropped_packets;
}

struct port *pod_port(const struct control *control, const struct pod *pod)
{
	const struct attachment *a = &pod->record.attachment;

	switch (a->port) {
	case PORT_CHOICE_FUNCTION:
		return nic_port(control->config.nic, PORT_FUNCTION, a->function.vf);
	case PORT_CHOICE_VHOST_USER:
	case PORT_CHOICE_VIRTIO_USER:
		return pod->vhost == LRU_POOL_NONE
			       ? NULL
			       : nic_port(control->config.nic,
					  a->port == PORT_CHOICE_VHOST_USER ? PORT_VHOST
									    : PORT_VIRTIO,
					  pod->vhost);
	case PORT_CHOICE_COUNT:
		break;
	}
	return NULL;
}

const struct pod *port_pod(const struct control *control, enum port_kind kind, uint32_t index)
{
	const struct pods *pods = control->pods;
	const enum port_choice choice =
		kind == PORT_VHOST ? PORT_CHOICE_VHOST_USER : PORT_CHOICE_VIRTIO_USER;

	if (kind == PORT_FUNCTION)
		return index < pods->functions.size ? pods->by_function[index] : NULL;
	if (!port_kind_is_beside(kind))
		return NULL;
	for (size_t i = 0; i < pods->count; i++)
		if (pods->sorted[i]->record.attachment.port == choice &&
		    pods->sorted[i]->vhost == index)
			return pods->sorted[i];
	return NULL;
}

bool port_kind_is_beside(enum port_kind kind)
{
	return kind == PORT_VHOST || kind == PORT_VIRTIO;
}

struct port *next_port(const struct control *control, uint32_t *cursor, uint32_t *ret_index)
{
	struct nic *nic = control->config.nic;
	const struct {
		enum port_kind kind;
		uint32_t count;
	} kinds[] = {{PORT_HOST, 1},
		     {PORT_UPLINK, 1},
		     {PORT_FUNCTION, nic_function_count(nic)},
		     {PORT_VHOST, nic_vhost_count(nic)},
		     {PORT_VIRTIO, nic_virtio_count(nic)}};
	struct port *port = NULL;
	uint32_t first = 0;

	for (size_t i = 0; port == NULL && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		for (; port == NULL && *cursor - first < kinds[i].count; (*cursor)++) {
			*ret_index = *cursor - first;
			port = nic_port(nic, kinds[i].kind, *ret_index);
		}
		first += kinds[i].count;
	}
	return port;
}

static int fail_no_port(const struct control *control, const struct pod *pod, struct error *err)
{
	const struct attachment *a = &pod->record.attachment;

	if (a->port == PORT_CHOICE_FUNCTION)
		return error_set(err, ENODEV, CODE_NIC, "the NIC has no function %u",
				 a->function.vf);
	if (a->port == PORT_CHOICE_VIRTIO_USER)
		return error_set(err, ENODEV, CODE_NIC,
				 "the agent has %u virtio-user ports, one too few for this pod "
				 "(virtio_user.ports)",
				 nic_virtio_count(control->config.nic));
	return error_set(err, ENODEV, CODE_NIC,
			 "the agent has %u vhost-user ports, one too few for %s (vhost.ports)",
			 nic_vhost_count(control->config.nic), a->socket_path);
}

void limits_of(const struct attachment *attachment,
	       struct bandwidth_limit ret_limits[BANDWIDTH_DIRECTIONS])
{
	const struct bandwidth *b = &attachment->bandwidth;

	ret_limits[BANDWIDTH_INGRESS] =
		bandwidth_limit_of(b->ingress_rate_bps, b->ingress_burst_bits, attachment->mtu);
	ret_limits[BANDWIDTH_EGRESS] =
		bandwidth_limit_of(b->egress_rate_bps, b->egress_burst_bits, attachment->mtu);
}

int pod_port_start(struct control *control, struct pod *pod, bool fresh, struct error *err)
{
	const struct attachment *a = &pod->record.attachment;
	struct port *port = pod_port(control, pod);
	struct port_config config = {
		.mac = a->mac,
		.mtu = a->mtu,
		.has_ipv4 = a->has_ipv4,
		.has_ipv6 = a->has_ipv6,
		.ipv4 = a->ipv4,
		.ipv6 = a->ipv6,
	};
	struct error why = {0};
	int r;

	limits_of(a, config.limits);
	snprintf(config.socket_path, sizeof(config.socket_path), "%s", a->socket_path);
	if (port == NULL) {
		r = fail_no_port(control, pod, &why);
	} else {
		if (fresh)
			clear_counters(control, port_slot(port));
		r = port_start(port, &config, &why);
	}
	pod->port_started = r == 0;
	pod->port_error = why;
	if (r < 0)
		*err = why;
	return r;
}

void pod_port_stop(struct control *control, struct pod *pod)
{
	struct port *port = pod_port(control, pod);

	if (port != NULL) {
		if (pod->record.attachment.port == PORT_CHOICE_FUNCTION) { // others have no rules
			keep_nic_drops(control, port_slot(port));
			offload_remove(control->config.offload, port_slot(port));
		}
		watches_port_stops(control, port_slot(port));
		crash_point("agent:del:unoffloaded");
		port_stop(port);
	}
	pod->port_started = false;
}

static void set_router(const struct pod_network *network)
{
	const struct datapath_router router = {
		.mac = network->router_mac,
		.has_ipv4 = network->has_ipv4,
		.has_ipv6 = network->has_ipv6,
		.gateway_ipv4 = network->gateway_ipv4,
		.gateway_ipv6 = network->gateway_ipv6,
		.network_ipv4 = network->ipv4,
		.ipv4_prefix_length = network->ipv4_prefix_length,
		.network_ipv6 = network->ipv6,
		.ipv6_prefix_length = network->ipv6_prefix_length,
	};

	datapath_set_router(&router);
}

// Host port or uplink. *ret_error is cleared on success.
static void start_fixed(struct control *control, enum port_kind kind, struct error *ret_error)
{
	const struct pod_network *network = &control->pods->network.common;
	struct port *port = nic_port(control->config.nic, kind, 0);
	struct port_config config = {.mtu = network->mtu};
	struct error err = {0};
	int r;

	if (kind == PORT_UPLINK && control->uplink.mtu != 0)
		config.mtu = control->uplink.mtu;
	if (kind == PORT_HOST) {
		config.has_ipv4 = network->has_ipv4;
		config.has_ipv6 = network->has_ipv6;
		config.ipv4 = network->gateway_ipv4;
		config.ipv6 = network->gateway_ipv6;
	}
	r = port == NULL ? error_set(&err, ENODEV, CODE_NIC, "the NIC has none")
			 : port_start(port, &config, &err);
	if (r < 0 && ret_error->code == CODE_OK)
		log_error("port not started", "kind=%s error=\"%s\"", port_kind_name(kind),
			  err.message);
	else if (r == 0 && ret_error->code != CODE_OK)
		log_info("port started at last", "kind=%s", port_kind_name(kind));
	*ret_error = err;
}

bool host_port_ready(const struct control *control)
{
	return control->config.host_port && control->pods->has_network &&
	       control->host_port_error.code == CODE_OK;
}

static void stop_fixed(struct control *control, enum port_kind kind)
{
	struct port *port = nic_port(control->config.nic, kind, 0);

	if (port != NULL)
		port_stop(port);
}

static void start_pods(struct control *control)
{
	size_t started = 0, failed = 0;
	struct error err;

	for (size_t i = 0; i < control->pods->count; i++) {
		struct pod *pod = control->pods->sorted[i];
		const struct attachment_key *key = &pod->record.attachment.key;

		if (pod_port_start(control, pod, false, &err) == 0) {
			started++;
			continue;
		}
		failed++;
		log_error("port not started, the attachment stays",
			  "network=%s container=%s ifname=%s error=\"%s\"", key->network,
			  key->container_id, key->ifname, err.message);
	}
	if (started + failed > 0)
		log_info("attachments restored", "started=%zu failed=%zu", started, failed);
}

void ports_start(struct control *control)
{
	if (!control->pods->has_network) {
		log_warning("no pod network: pods cannot be attached",
			    "reason=\"the configuration has no pod_network, and none was set\"");
		return;
	}
	set_router(&control->pods->network.common);
	wire_apply(control);
	start_fixed(control, PORT_UPLINK, &control->uplink_error);
	if (control->config.host_port)
		start_fixed(control, PORT_HOST, &control->host_port_error);
	start_pods(control);
	publish_apply(control, NULL);
	// After the pods' ports, so that after a restart all rules go to the NIC at once.
	if (control->uplink_error.code == CODE_OK)
		rules_begin(control);
}

void uplink_port_restart(struct control *control)
{
	rules_end(control);
	stop_fixed(control, PORT_UPLINK);
	start_fixed(control, PORT_UPLINK, &control->uplink_error);
	if (control->uplink_error.code == CODE_OK)
		rules_begin(control);
}

void ports_change_network(struct control *control, const struct pod_network *before)
{
	const struct pod_network *now = &control->pods->network.common;
	bool mtu_differs = now->mtu != before->mtu;
	bool gateway_differs =
		now->has_ipv4 != before->has_ipv4 || now->has_ipv6 != before->has_ipv6 ||
		(now->has_ipv4 && now->gateway_ipv4.s_addr != before->gateway_ipv4.s_addr) ||
		(now->has_ipv6 && !IN6_ARE_ADDR_EQUAL(&now->gateway_ipv6, &before->gateway_ipv6));

	set_router(now);
	wire_apply(control);
	publish_apply(control, NULL);
	if (control->config.host_port && (mtu_differs || gateway_differs)) {
		rules_leave_host(control);
		stop_fixed(control, PORT_HOST);
		start_fixed(control, PORT_HOST, &control->host_port_error);
	}
	if (mtu_differs)
		uplink_port_restart(control);
}

void ports_stop(struct control *control)
{
	uint32_t cursor = 0, index;
	struct port *port;

	while ((port = next_port(control, &cursor, &index)) != NULL)
		if (port_kind_of(port) == PORT_FUNCTION || port_kind_is_beside(port_kind_of(port)))
			port_stop(port);
	stop_fixed(control, PORT_HOST);
	stop_fixed(control, PORT_UPLINK);
}

bool pod_port_is_well(const struct control *control, const struct pod *pod)
{
	const struct port *port = pod_port(control, pod);

	return pod->port_started && port != NULL && !port_is_lost(port);
}

// One whose device has ended is to be made anew, which is then hostd's to bring to the pod again.
void pod_port_drop_lost(struct control *control, struct pod *pod)
{
	const struct attachment_key *key = &pod->record.attachment.key;
	struct port *port = pod_port(control, pod);

	if (!pod->port_started || port == NULL || !port_is_lost(port))
		return;
	log_warning("a pod's port has ended and is made anew",
		    "network=%s container=%s ifname=%s kind=%s", key->network, key->container_id,
		    key->ifname, port_kind_name(port_kind_of(port)));
	watches_port_stops(control, port_slot(port));
	port_stop(port);
	pod->port_started = false;
	error_set(&pod->port_error, ENODEV, CODE_NIC, "its %s port has ended",
		  port_kind_name(port_kind_of(port)));
}

void ports_retry(struct control *control)
{
	struct pod *started[RETRY_MAX];
	struct pods *pods = control->pods;
	size_t tried = 0, count = 0;
	struct error err;

	if (!pods->has_network)
		return;
	if (control->uplink_error.code != CODE_OK) {
		start_fixed(control, PORT_UPLINK, &control->uplink_error);
		if (control->uplink_error.code == CODE_OK)
			rules_begin(control);
	}
	if (control->host_port_error.code != CODE_OK)
		start_fixed(control, PORT_HOST, &control->host_port_error);
	for (size_t looked = 0; looked < pods->count && tried < RETRY_MAX; looked++) {
		struct pod *pod = pods->sorted[control->retry_cursor++ % pods->count];
		const struct attachment_key *key = &pod->record.attachment.key;

		pod_port_drop_lost(control, pod);
		if (pod->port_started || pod->record.state != STORE_ATTACHED)
			continue;
		tried++;
		if (pod_port_start(control, pod, false, &err) < 0)
			continue;
		started[count++] = pod;
		log_info("port started at last", "network=%s container=%s ifname=%s", key->network,
			 key->container_id, key->ifname);
	}
	rules_add(control, started, count);
}
