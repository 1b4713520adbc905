// SPDX-License-Identifier: BSD-3-Clause
//
// The part of a port that all backends share: its state machine. Control thread.

#include "port/port_private.h"

#include <errno.h>
#include <string.h>

#include "datapath/datapath_port.h"
#include "proto/base/log.h"

const char *port_kind_name(enum port_kind kind)
{
	switch (kind) {
	case PORT_HOST:
		return "host";
	case PORT_FUNCTION:
		return "function";
	case PORT_UPLINK:
		return "uplink";
	case PORT_VHOST:
		return "vhost-user";
	case PORT_VIRTIO:
		return "virtio-user";
	}
	return "unknown";
}

void port_describe(const struct port_config *config, struct datapath_port *ret_port)
{
	ret_port->mac = config->mac;
	ret_port->mtu = config->mtu;
	ret_port->has_ipv4 = config->has_ipv4;
	ret_port->has_ipv6 = config->has_ipv6;
	ret_port->ipv4 = config->ipv4;
	ret_port->ipv6 = config->ipv6;
	memcpy(ret_port->limits, config->limits, sizeof(ret_port->limits));
}

int port_start(struct port *port, const struct port_config *config, struct error *err)
{
	if (port->started)
		return error_set(err, EALREADY, CODE_INTERNAL, "port in slot %u is started already",
				 port->slot);
	int r = port->ops->start(port, config, err);
	if (r < 0)
		return r;
	port->config = *config;
	port->started = true;
	log_debug("port started", "slot=%u kind=%s backend=%s", port->slot,
		  port_kind_name(port->kind), port->ops->name);
	return 0;
}

void port_stop(struct port *port)
{
	if (!port->started)
		return;
	port->ops->stop(port);
	port->started = false;
	log_debug("port stopped", "slot=%u kind=%s", port->slot, port_kind_name(port->kind));
}

bool port_is_lost(const struct port *port)
{
	return port->started && port->ops->is_lost != NULL && port->ops->is_lost(port);
}

enum port_kind port_kind_of(const struct port *port)
{
	return port->kind;
}

uint32_t port_slot(const struct port *port)
{
	return port->slot;
}

void port_read_state(const struct port *port, struct port_state *ret_state)
{
	struct port_state state = {.started = port->started};

	port->ops->read_state(port, &state);
	*ret_state = state;
}
