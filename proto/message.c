// SPDX-License-Identifier: BSD-3-Clause
//
// What the plain messages need besides their fields: names of calls, release, errors to replies and
// back, the order of keys.

#include "proto/message.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *call_name(unsigned int call)
{
	static const char *const names[CALL_COUNT] = {
		[CALL_NONE] = "none",
		[CALL_HELLO] = "hello",
		[CALL_ATTACH] = "attach",
		[CALL_DETACH] = "detach",
		[CALL_CHECK] = "check",
		[CALL_LIST] = "list",
		[CALL_GET_STATUS] = "get-status",
		[CALL_LIST_PORTS] = "list-ports",
		[CALL_GET_IPAM] = "get-ipam",
		[CALL_LIST_FLOWS] = "list-flows",
		[CALL_GET_OFFLOAD] = "get-offload",
		[CALL_SET_POD_NETWORK] = "set-pod-network",
		[CALL_RECONCILE] = "reconcile",
		[CALL_GC] = "gc",
		[CALL_LIST_NEIGHBOURS] = "list-neighbours",
		[CALL_LIST_CONNECTIONS] = "list-connections",
		[CALL_LIST_NAT] = "list-nat",
		[CALL_WATCH] = "watch",
		[CALL_READ_WATCH] = "read-watch",
	};

	if (call >= CALL_COUNT || names[call] == NULL)
		return "unknown";
	return names[call];
}

static const char *const port_choice_names[PORT_CHOICE_COUNT] = {
	[PORT_CHOICE_FUNCTION] = "function",
	[PORT_CHOICE_VHOST_USER] = "vhost-user",
	[PORT_CHOICE_VIRTIO_USER] = "virtio-user",
};

const char *port_choice_name(enum port_choice choice)
{
	return (unsigned int)choice < PORT_CHOICE_COUNT ? port_choice_names[choice] : "unknown";
}

bool port_choice_parse(const char *name, enum port_choice *ret_choice)
{
	for (int i = 0; i < PORT_CHOICE_COUNT; i++) {
		if (strcmp(name, port_choice_names[i]) == 0) {
			*ret_choice = (enum port_choice)i;
			return true;
		}
	}
	return false;
}

bool port_choice_has_netdev(enum port_choice choice)
{
	return choice == PORT_CHOICE_FUNCTION || choice == PORT_CHOICE_VIRTIO_USER;
}

void virtio_netdev_name(const struct mac *mac, char ret_name[VIRTIO_NETDEV_SIZE])
{
	const uint8_t *b = mac->bytes;

	snprintf(ret_name, VIRTIO_NETDEV_SIZE, "ppv%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
		 b[3], b[4], b[5]);
}

bool virtio_netdev_parse(const char *name, struct mac *ret_mac)
{
	char again[VIRTIO_NETDEV_SIZE];
	unsigned long long number;
	struct mac mac;

	if (strncmp(name, "ppv", 3) != 0)
		return false;
	number = strtoull(name + 3, NULL, 16);
	for (size_t i = 0; i < sizeof(mac.bytes); i++)
		mac.bytes[i] = (uint8_t)(number >> 8 * (sizeof(mac.bytes) - 1 - i));
	virtio_netdev_name(&mac, again);
	if (strcmp(name, again) != 0)
		return false;
	*ret_mac = mac;
	return true;
}

bool bandwidth_is_limited(const struct bandwidth *bandwidth)
{
	return bandwidth->ingress_rate_bps != 0 || bandwidth->egress_rate_bps != 0;
}

bool bandwidth_equal(const struct bandwidth *a, const struct bandwidth *b)
{
	return a->ingress_rate_bps == b->ingress_rate_bps &&
	       a->ingress_burst_bits == b->ingress_burst_bits &&
	       a->egress_rate_bps == b->egress_rate_bps &&
	       a->egress_burst_bits == b->egress_burst_bits;
}

// Do both claim the same of the host?
static bool same_host_port(const struct port_mapping *a, const struct port_mapping *b)
{
	return a->protocol == b->protocol && a->host_port == b->host_port &&
	       a->host_family == b->host_family &&
	       memcmp(a->host_ip, b->host_ip, sizeof(a->host_ip)) == 0;
}

uint32_t port_mappings_twice(const struct port_mappings *mappings)
{
	for (uint32_t i = 1; i < mappings->count; i++)
		for (uint32_t before = 0; before < i; before++)
			if (same_host_port(&mappings->items[before], &mappings->items[i]))
				return i;
	return mappings->count;
}

bool port_mappings_equal(const struct port_mappings *a, const struct port_mappings *b)
{
	if (a->count != b->count)
		return false;
	// None is in either of them twice, so each of a's in b is all of b's.
	for (uint32_t i = 0; i < a->count; i++) {
		uint32_t k = 0;

		while (k < b->count && !(same_host_port(&a->items[i], &b->items[k]) &&
					 a->items[i].container_port == b->items[k].container_port))
			k++;
		if (k == b->count)
			return false;
	}
	return true;
}

void reply_clear(struct reply *reply)
{
	switch (reply->call) {
	case CALL_LIST:
		free(reply->body.list.items);
		break;
	case CALL_LIST_PORTS:
		free(reply->body.ports.ports);
		break;
	case CALL_LIST_FLOWS:
		free(reply->body.flows.flows);
		break;
	case CALL_LIST_NEIGHBOURS:
		free(reply->body.neighbours.neighbours);
		break;
	case CALL_LIST_CONNECTIONS:
		free(reply->body.connections.connections);
		break;
	case CALL_LIST_NAT:
		free(reply->body.nat.ports);
		break;
	case CALL_READ_WATCH:
		free(reply->body.read_watch.page);
		break;
	case CALL_GET_OFFLOAD:
		free(reply->body.offload.capabilities);
		break;
	default:
		break;
	}
	memset(reply, 0, sizeof(*reply));
}

void reply_from_error(struct reply *ret_reply, const struct error *err)
{
	memset(ret_reply, 0, sizeof(*ret_reply));
	ret_reply->code = err->code == CODE_OK ? CODE_INTERNAL : err->code; // never a success
	snprintf(ret_reply->message, sizeof(ret_reply->message), "%s", err->message);
}

int reply_to_error(const struct reply *reply, struct error *err)
{
	static const int errno_values[CODE_COUNT] = {
		[CODE_OK] = EPROTO, // the caller's mistake: this is no error reply
		[CODE_INTERNAL] = EIO,
		[CODE_BAD_REQUEST] = EINVAL,
		[CODE_UNSUPPORTED] = EOPNOTSUPP,
		[CODE_AGENT_AWAY] = EHOSTUNREACH,
		[CODE_NOT_READY] = EAGAIN,
		[CODE_NOT_FOUND] = ENOENT,
		[CODE_CONFLICT] = EEXIST,
		[CODE_NO_ADDRESS] = EADDRNOTAVAIL,
		[CODE_NO_FUNCTION] = ENOSPC,
		[CODE_STORE] = EIO,
		[CODE_NIC] = EIO,
		[CODE_NETNS] = ENXIO,
		[CODE_WIRING] = EIO,
		[CODE_INTERFACE_EXISTS] = EEXIST,
		[CODE_MISMATCH] = ESTALE,
		[CODE_LATE] = ETIME,
		[CODE_PERMISSION] = EPERM,
		[CODE_BUSY] = EBUSY,
		[CODE_HOSTD_AWAY] = ECONNREFUSED,
	};
	int value = (unsigned int)reply->code < CODE_COUNT ? errno_values[reply->code] : EPROTO;

	return error_set(err, value, reply->code, "%s", reply->message);
}

bool attachment_key_equal(const struct attachment_key *a, const struct attachment_key *b)
{
	return attachment_key_compare(a, b) == 0;
}

int attachment_key_compare(const struct attachment_key *a, const struct attachment_key *b)
{
	int r = strcmp(a->network, b->network);

	if (r == 0)
		r = strcmp(a->container_id, b->container_id);
	if (r == 0)
		r = strcmp(a->ifname, b->ifname);
	return r;
}

int endpoint_compare(const struct endpoint *a, const struct endpoint *b)
{
	int r = strcmp(a->container_id, b->container_id);

	return r != 0 ? r : strcmp(a->ifname, b->ifname);
}
