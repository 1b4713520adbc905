// SPDX-License-Identifier: BSD-3-Clause
//
// Published ports: which mapping of which pod leads where, at each moment. It follows from the pods'
// records and the uplink alone, and is given to the datapath anew whenever one of these has changed; so
// there is nothing to restore, and nothing to undo.
//
// An address of the uplink is one for each family, so a mapping stands for at most two published ports.
// Two mappings that could ever stand for the same one are in each other's way, whatever the uplink is now.

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/control_private.h"
#include "datapath/masquerade.h"
#include "proto/base/log.h"

enum { IPV4 = 1, IPV6 = 2 }; // bits

static const char *protocol_name(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? "tcp" : "udp";
}

// By addresses of which families?
static unsigned int families_of(const struct port_mapping *mapping)
{
	return mapping->host_family == 4 ? IPV4 : mapping->host_family == 6 ? IPV6 : IPV4 | IPV6;
}

static bool has_address(const struct port_mapping *mapping)
{
	static const uint8_t any[16];

	return memcmp(mapping->host_ip, any, sizeof(any)) != 0;
}

// Is one of the uplink's addresses the mapping's own, where it names one?
static bool is_own(const struct uplink *uplink, const struct port_mapping *mapping)
{
	if (!has_address(mapping))
		return true;
	if (mapping->host_family == 4)
		return uplink->has_ipv4 && memcmp(mapping->host_ip, &uplink->ipv4, 4) == 0;
	return uplink->has_ipv6 && memcmp(mapping->host_ip, &uplink->ipv6, 16) == 0;
}

static unsigned int families_served(const struct control *control, const struct attachment *a,
				    const struct port_mapping *mapping)
{
	const struct uplink *uplink = &control->uplink;
	unsigned int families = families_of(mapping);

	if (control->wire_error.code != CODE_OK || !is_own(uplink, mapping))
		return 0;
	if (!uplink->has_ipv4 || !a->has_ipv4)
		families &= ~(unsigned int)IPV4;
	if (!uplink->has_ipv6 || !a->has_ipv6)
		families &= ~(unsigned int)IPV6;
	return families;
}

bool publish_is_served(const struct control *control, const struct attachment *a,
		       const struct port_mapping *mapping, bool ipv6)
{
	return (families_served(control, a, mapping) & (ipv6 ? IPV6 : IPV4)) != 0;
}

// ---- may it be? ----------------------------------------------------------------------------------

static bool collide(const struct port_mapping *a, const struct port_mapping *b)
{
	return a->host_port == b->host_port && a->protocol == b->protocol &&
	       (families_of(a) & families_of(b)) != 0;
}

static void name_holder(const struct attachment *a, char *ret_name, size_t size)
{
	if (a->pod.namespace_[0] != '\0' && a->pod.name[0] != '\0')
		snprintf(ret_name, size, "%s/%s", a->pod.namespace_, a->pod.name);
	else
		snprintf(ret_name, size, "%s", a->key.container_id);
}

// Another pod's that is in the way; NULL: none.
static const struct pod *find_holder(const struct control *control,
				     const struct attachment_key *key,
				     const struct port_mapping *wanted)
{
	for (size_t i = 0; i < control->pods->count; i++) {
		const struct pod *pod = control->pods->sorted[i];
		const struct port_mappings *mappings = &pod->record.attachment.port_mappings;

		if (pod->record.state != STORE_ATTACHED ||
		    attachment_key_equal(&pod->record.attachment.key, key))
			continue;
		for (uint32_t j = 0; j < mappings->count; j++)
			if (collide(&mappings->items[j], wanted))
				return pod;
	}
	return NULL;
}

// Of the same pod; what leads to the same port is but said twice.
static bool is_ambiguous(const struct port_mappings *mappings, uint32_t index)
{
	for (uint32_t i = 0; i < index; i++)
		if (collide(&mappings->items[i], &mappings->items[index]) &&
		    mappings->items[i].container_port != mappings->items[index].container_port)
			return true;
	return false;
}

static int fail_holder(const struct control *control, const char *host_id, uint32_t index,
		       const struct port_mapping *mapping, const struct pod *holder,
		       struct error *err)
{
	char name[LIMIT_TEXT + 1] = "a pod of another host";

	if (host_owns(host_id, holder))
		name_holder(&holder->record.attachment, name, sizeof(name));
	return error_set(err, EADDRINUSE, CODE_CONFLICT,
			 "port_mappings[%u].host_port: %u/%s is taken by %s", index,
			 mapping->host_port, protocol_name(mapping->protocol), name);
}

static int fail_address(const struct uplink *uplink, uint32_t index,
			const struct port_mapping *mapping, struct error *err)
{
	char wanted[INET6_ADDRSTRLEN], ipv4[INET_ADDRSTRLEN] = "", ipv6[INET6_ADDRSTRLEN] = "";

	inet_ntop(mapping->host_family == 4 ? AF_INET : AF_INET6, mapping->host_ip, wanted,
		  sizeof(wanted));
	if (uplink->has_ipv4)
		inet_ntop(AF_INET, &uplink->ipv4, ipv4, sizeof(ipv4));
	if (uplink->has_ipv6)
		inet_ntop(AF_INET6, &uplink->ipv6, ipv6, sizeof(ipv6));
	return error_set(err, EADDRNOTAVAIL, CODE_BAD_REQUEST,
			 "port_mappings[%u].host_ip: %s is not the agent's: on the wire it has "
			 "%s%s%s",
			 index, wanted, ipv4, ipv4[0] != '\0' && ipv6[0] != '\0' ? " and " : "",
			 ipv6);
}

static int check_mapping(const struct control *control, const char *host_id,
			 const struct attachment *a, uint32_t index, struct error *err)
{
	const struct port_mapping *mapping = &a->port_mappings.items[index];
	const struct pod *holder;

	if (!is_own(&control->uplink, mapping))
		return fail_address(&control->uplink, index, mapping, err);
	if (families_served(control, a, mapping) == 0)
		return error_set(err, EAFNOSUPPORT, CODE_BAD_REQUEST,
				 "port_mappings[%u]: the agent's addresses on the wire, the pod's "
				 "and host_ip have no family in common",
				 index);
	if (is_ambiguous(&a->port_mappings, index))
		return error_set(err, EEXIST, CODE_BAD_REQUEST,
				 "port_mappings[%u].host_port: %u/%s is given twice", index,
				 mapping->host_port, protocol_name(mapping->protocol));
	holder = find_holder(control, &a->key, mapping);
	return holder != NULL ? fail_holder(control, host_id, index, mapping, holder, err) : 0;
}

static size_t count_all(const struct control *control)
{
	size_t count = 0;

	for (size_t i = 0; i < control->pods->count; i++)
		count += control->pods->sorted[i]->record.attachment.port_mappings.count;
	return count;
}

int publish_check(const struct control *control, const char *host_id, const struct attachment *a,
		  struct error *err)
{
	int r = 0;

	if (a->port_mappings.count == 0)
		return 0;
	if (!uplink_is_configured(&control->uplink))
		return error_set(err, EADDRNOTAVAIL, CODE_BAD_REQUEST,
				 "port_mappings: the agent has no address on the wire whose ports "
				 "could lead to a pod (section uplink of its configuration)");
	if (control->wire_error.code != CODE_OK)
		return error_set(err, EADDRNOTAVAIL, CODE_NOT_READY,
				 "port_mappings: the agent does not serve the wire: %.300s",
				 control->wire_error.message);
	if (2 * (count_all(control) + a->port_mappings.count) > MASQUERADE_PUBLISHED_MAX)
		return error_set(err, ENOSPC, CODE_CONFLICT,
				 "port_mappings: the agent maps %zu ports already, and %d at most",
				 count_all(control), MASQUERADE_PUBLISHED_MAX / 2);
	for (uint32_t i = 0; r == 0 && i < a->port_mappings.count; i++)
		r = check_mapping(control, host_id, a, i, err);
	return r;
}

// ---- what is -------------------------------------------------------------------------------------

static bool is_in(const struct masquerade_publication *list, size_t count,
		  const struct masquerade_publication *wanted)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].is_ipv6 == wanted->is_ipv6 && list[i].protocol == wanted->protocol &&
		    list[i].port == wanted->port)
			return true;
	return false;
}

// What the pod publishes, to the end of the list.
static void add_pod(const struct control *control, const struct pod *pod,
		    struct masquerade_publication *list, size_t *count)
{
	const struct attachment *a = &pod->record.attachment;
	const struct port *port = pod_port(control, pod);
	size_t first = *count;

	if (port == NULL)
		return;
	for (uint32_t i = 0; i < a->port_mappings.count; i++) {
		const struct port_mapping *mapping = &a->port_mappings.items[i];

		for (unsigned int ipv6 = 0; ipv6 < 2; ipv6++) {
			struct masquerade_publication *new = &list[*count];

			if (!publish_is_served(control, a, mapping, ipv6))
				continue;
			*new = (struct masquerade_publication){
				.owner = pod->number,
				.is_ipv6 = ipv6,
				.protocol = mapping->protocol,
				.port = mapping->host_port,
				.slot = port_slot(port),
				.pod_port = mapping->container_port,
			};
			memcpy(new->pod, ipv6 ? (const void *)&a->ipv6 : &a->ipv4, ipv6 ? 16 : 4);
			// Said twice, by an address and without.
			*count += !is_in(&list[first], *count - first, new);
		}
	}
}

static int publish_all(const struct control *control, struct error *err)
{
	struct masquerade_publication *list = NULL;
	size_t room = 2 * count_all(control), count = 0;

	if (room > 0) {
		list = calloc(room, sizeof(*list));
		if (list == NULL)
			return error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
		for (size_t i = 0; i < control->pods->count; i++) {
			const struct pod *pod = control->pods->sorted[i];

			if (pod->record.state == STORE_ATTACHED)
				add_pod(control, pod, list, &count);
		}
	}
	int r = masquerade_publish(list, count, err);
	free(list);
	return r;
}

int publish_apply(struct control *control, struct error *err)
{
	struct error why = {0};
	int r = publish_all(control, &why);

	if (r < 0 && control->publish_error.code == CODE_OK)
		log_error("published ports are not as they should be", "error=\"%s\"", why.message);
	control->publish_error = why;
	if (r < 0 && err != NULL)
		*err = why;
	return r;
}

void publish_retry(struct control *control)
{
	if (control->publish_error.code != CODE_OK)
		publish_apply(control, NULL);
}
