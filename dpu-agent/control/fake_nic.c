// SPDX-License-Identifier: BSD-3-Clause
//
// See fake_nic.h. struct port and struct nic are never defined: a port is its index, a nic is the
// one there is.

#include "control/fake_nic.h"
#include "control/fake_connections.h"

#include "control/fake_offload.h"

#include "datapath/neighbour.h"
#include "datapath/uplink.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	HOST = FAKE_FUNCTIONS_MAX,
	UPLINK = FAKE_FUNCTIONS_MAX + 1,
};

struct fake_nic fake_nic;

void fake_nic_reset(uint32_t functions)
{
	fake_connections_reset();
	memset(&fake_nic, 0, sizeof(fake_nic));
	fake_nic.functions = functions;
	fake_nic.host_port = true;
}

struct nic *fake_nic_handle(void)
{
	return (struct nic *)&fake_nic;
}

size_t fake_nic_started_functions(void)
{
	size_t started = 0;

	for (uint32_t vf = 0; vf < FAKE_FUNCTIONS_MAX; vf++)
		started += fake_nic.ports[vf].started;
	return started;
}

static uint32_t index_of(const struct port *port)
{
	return (uint32_t)((const struct fake_port *)port - fake_nic.ports);
}

const char *nic_driver_name(const struct nic *nic)
{
	return "net_fake";
}

uint32_t nic_function_count(const struct nic *nic)
{
	return fake_nic.functions;
}

uint32_t nic_vhost_count(const struct nic *nic)
{
	return fake_nic.vhosts;
}

uint32_t nic_virtio_count(const struct nic *nic)
{
	return fake_nic.virtios;
}

int virtio_user_probe(struct error *err)
{
	return fake_nic.no_vhost_net ? error_set(err, ENOENT, CODE_UNSUPPORTED,
						 "cannot open /dev/vhost-net: modprobe vhost_net")
				     : 0;
}

int virtio_user_look(struct error *err)
{
	return virtio_user_probe(err);
}

struct port *nic_port(struct nic *nic, enum port_kind kind, uint32_t index)
{
	if (kind == PORT_FUNCTION && index < fake_nic.functions)
		return (struct port *)&fake_nic.ports[index];
	if (kind == PORT_HOST && fake_nic.host_port)
		return (struct port *)&fake_nic.ports[HOST];
	if (kind == PORT_UPLINK)
		return (struct port *)&fake_nic.ports[UPLINK];
	if (kind == PORT_VHOST && index < fake_nic.vhosts)
		return (struct port *)&fake_nic.ports[FAKE_VHOST + index];
	if (kind == PORT_VIRTIO && index < fake_nic.virtios)
		return (struct port *)&fake_nic.ports[FAKE_VIRTIO + index];
	return NULL;
}

int port_start(struct port *port, const struct port_config *config, struct error *err)
{
	struct fake_port *fake = (struct fake_port *)port;

	if (fake_nic.on_change != NULL)
		fake_nic.on_change();
	if (fake->started)
		return error_set(err, EALREADY, CODE_INTERNAL, "port %u is started already",
				 index_of(port));
	if (fake_nic.fail_all_starts ||
	    (fake_nic.fail_start_in > 0 && --fake_nic.fail_start_in == 0))
		return error_set(err, EIO, CODE_NIC, "port %u refuses to start", index_of(port));
	if (index_of(port) == HOST)
		fake_connections.host_heard = false; // a new port has to learn
	fake->started = true;
	fake->lost = false;
	fake->config = *config;
	fake->starts++;
	return 0;
}

void port_stop(struct port *port)
{
	struct fake_port *fake = (struct fake_port *)port;

	if (fake_nic.on_change != NULL)
		fake_nic.on_change();
	fake_offload_port_stops(index_of(port));
	if (fake->started)
		fake->stops++;
	fake->started = false;
}

bool port_is_lost(const struct port *port)
{
	return ((const struct fake_port *)port)->started && ((const struct fake_port *)port)->lost;
}

enum port_kind port_kind_of(const struct port *port)
{
	uint32_t index = index_of(port);

	if (index == HOST)
		return PORT_HOST;
	if (index >= FAKE_VHOST)
		return index >= FAKE_VIRTIO ? PORT_VIRTIO : PORT_VHOST;
	return index == UPLINK ? PORT_UPLINK : PORT_FUNCTION;
}

const char *port_kind_name(enum port_kind kind)
{
	static const char *const names[] = {"host", "function", "uplink", "vhost-user",
					    "virtio-user"};

	return names[kind];
}

uint32_t port_slot(const struct port *port)
{
	return index_of(port);
}

void port_read_state(const struct port *port, struct port_state *ret_state)
{
	const struct fake_port *fake = (const struct fake_port *)port;

	*ret_state = (struct port_state){
		.started = fake->started,
		.link_up = fake->started && !fake->link_down,
		.queue_pairs = fake->queue_pairs,
		.mtu = fake->config.mtu,
		.mac = fake->config.mac,
	};
	snprintf(ret_state->name, sizeof(ret_state->name), "fake%u", index_of(port));
}

size_t datapath_drop_reason_count(void)
{
	return 4;
}

const char *datapath_drop_reason_name(size_t reason)
{
	static const char *const names[] = {"spoofed", "no-route", "ingress-bandwidth",
					    "egress-bandwidth"};

	return names[reason];
}

size_t datapath_bandwidth_drop_reason(unsigned int direction)
{
	return 2 + direction;
}

void datapath_set_router(const struct datapath_router *router)
{
	fake_nic.router = *router;
}

void datapath_announce(void)
{
	fake_nic.announcements++;
}

int datapath_set_uplink(const struct uplink *uplink, struct error *err)
{
	if (fake_nic.fail_uplink && uplink != NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
	fake_nic.has_uplink = uplink != NULL;
	if (uplink != NULL)
		fake_nic.uplink = *uplink;
	return 0;
}

int masquerade_list(uint32_t after, struct masquerade_connection *ret_connections, size_t size,
		    size_t *ret_count, bool *ret_more, struct masquerade_figures *ret_figures,
		    struct error *err)
{
	size_t count = 0;

	if (fake_nic.connections_fail)
		return error_set(err, ETIMEDOUT, CODE_INTERNAL, "it does not answer");
	for (; after + count < fake_nic.connections && count < size; count++) {
		uint32_t number = after + 1 + (uint32_t)count;

		ret_connections[count] = (struct masquerade_connection){
			.number = number,
			.protocol = 6,
			.pod = {10, 88, 0, 2},
			.pod_port = (uint16_t)number,
			.state = "ESTABLISHED",
		};
	}
	*ret_count = count;
	*ret_more = after + count < fake_nic.connections;
	*ret_figures =
		(struct masquerade_figures){.connections = fake_nic.connections, .most = 1000};
	return 0;
}

int masquerade_look(struct masquerade_published *published, size_t count,
		    struct masquerade_figures *ret_figures, struct error *err)
{
	if (fake_nic.connections_fail)
		return error_set(err, ETIMEDOUT, CODE_INTERNAL, "it does not answer");
	for (size_t i = 0; i < count; i++)
		published[i].connections = published[i].port;
	*ret_figures = (struct masquerade_figures){
		.connections = 7,
		.most = 1000,
		.refused_full = 1,
		.refused_ports = 2,
		.refused_limit = 3,
		.opened = 20,
		.ended = 13,
		.fragments_held = 4,
		.state_count = 2,
		.states = {{"tcp", "ESTABLISHED", 5}, {"udp", "answered", 2}},
	};
	ret_figures->ports[0][1] = (struct masquerade_ports){.size = 100, .used = 3};
	return 0;
}

const struct masquerade_config *masquerade_configuration(void)
{
	static const struct masquerade_config config = {
		.ipv4 = true,
		.excluded_count = 1,
		.excluded = {{.length = 24, .prefix = {198, 51, 100}}},
		.first_port = 32768,
		.last_port = 65535,
		.first_identifier = 1,
		.last_identifier = 65535,
	};

	return &config;
}

// The real one counts on it that no port is there twice.
int masquerade_publish(const struct masquerade_publication *list, size_t count, struct error *err)
{
	fake_nic.publish_calls++;
	if (fake_nic.fail_publish && count > fake_nic.published_count)
		return error_set(err, ENOMEM, CODE_INTERNAL, "no memory for it");
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++)
			assert(list[i].is_ipv6 != list[j].is_ipv6 ||
			       list[i].protocol != list[j].protocol ||
			       list[i].port != list[j].port);
	if (count > 0)
		memcpy(fake_nic.published, list, count * sizeof(*list));
	fake_nic.published_count = count;
	return 0;
}

const char *neighbour_state_name(enum neighbour_state state)
{
	return state == NEIGHBOUR_REACHABLE ? "reachable" : "incomplete";
}

size_t neighbours_list(uint32_t after, uint64_t now_ms, struct neighbour_info *ret_infos,
		       size_t size)
{
	size_t count = 0;

	for (uint32_t i = after; i < fake_nic.neighbours && count < size; i++)
		ret_infos[count++] = (struct neighbour_info){
			.number = i + 1,
			.slot = UPLINK,
			.address = {192, 0, (uint8_t)(2 + i / 256), (uint8_t)(i + 1)},
			.has_mac = i % 2 == 0,
			.mac = {{2, 0, 0, 0, 0, 7}},
			.state = i % 2 == 0 ? NEIGHBOUR_REACHABLE : NEIGHBOUR_INCOMPLETE,
		};
	return count;
}

void datapath_read_counters(uint32_t slot, struct datapath_counters *ret_counters)
{
	*ret_counters = (struct datapath_counters){
		.rx_packets = slot + 1,
		.tx_full = fake_nic.ports[slot].tx_full,
		.drops = {[1] = fake_nic.ports[slot].clears > 0 ? 0 : slot},
	};
}

void datapath_clear_counters(uint32_t slot)
{
	fake_nic.ports[slot].clears++;
}
