// SPDX-License-Identifier: BSD-3-Clause
//
// The messages that occur in requests and in replies: both ways.

#include <errno.h>
#include <string.h>

#include "proto/codec_private.h"

// ---- out of a message ----------------------------------------------------------------------------

int decode_key(const Podport__Wire__Key *from, const struct where *at,
	       struct attachment_key *ret_key, struct error *err)
{
	int r;

	if (from == NULL)
		return bad_field(err, CODE_BAD_REQUEST, at, NULL, "missing");
	if ((r = take_name(from->network, at, "network", ret_key->network, err)) < 0 ||
	    (r = take_name(from->container_id, at, "container_id", ret_key->container_id, err)) <
		    0 ||
	    (r = take_ifname(from->ifname, at, "ifname", ret_key->ifname, err)) < 0)
		return r;
	return 0;
}

int decode_sandbox(const Podport__Wire__Sandbox *from, const struct where *at,
		   struct sandbox *ret_sandbox, struct error *err)
{
	memset(ret_sandbox, 0, sizeof(*ret_sandbox));
	if (from == NULL)
		return 0;
	ret_sandbox->inode = from->inode;
	ret_sandbox->cookie = from->cookie;
	return take_text(from->path, at, "path", LIMIT_PATH, ret_sandbox->path, err);
}

int decode_pod(const Podport__Wire__Pod *from, const struct where *at, struct pod_name *ret_pod,
	       struct error *err)
{
	int r;

	memset(ret_pod, 0, sizeof(*ret_pod));
	if (from == NULL)
		return 0;
	r = take_text(from->namespace_, at, "namespace", sizeof(ret_pod->namespace_) - 1,
		      ret_pod->namespace_, err);
	if (r < 0)
		return r;
	r = take_text(from->name, at, "name", LIMIT_POD_NAME, ret_pod->name, err);
	if (r < 0)
		return r;
	return take_text(from->uid, at, "uid", LIMIT_ID, ret_pod->uid, err);
}

int decode_function(const Podport__Wire__Function *from, const struct where *at,
		    struct function_id *ret_function, struct error *err)
{
	int r;

	if (from == NULL)
		return bad_field(err, CODE_BAD_REQUEST, at, NULL, "missing");
	if ((r = take_range(from->pf, 0, UINT16_MAX, at, "pf", err)) < 0 ||
	    (r = take_range(from->vf, 0, UINT16_MAX, at, "vf", err)) < 0)
		return r;
	ret_function->pf = (uint16_t)from->pf;
	ret_function->vf = (uint16_t)from->vf;
	return 0;
}

// The pod's addresses, and of each family that it has the gateway's.
static int decode_addresses(const Podport__Wire__Attachment *from, const struct where *at,
			    bool partial, struct attachment *to, struct error *err)
{
	bool has_gateway_ipv4 = true, has_gateway_ipv6 = true;
	int r;

	if ((r = take_ipv4(from->ipv4, at, "ipv4", &to->has_ipv4, &to->ipv4, err)) < 0 ||
	    (r = take_ipv6(from->ipv6, at, "ipv6", &to->has_ipv6, &to->ipv6, err)) < 0)
		return r;
	if (!partial && !to->has_ipv4 && !to->has_ipv6)
		return bad_field(err, CODE_BAD_REQUEST, at, NULL, "has neither ipv4 nor ipv6");
	r = take_ipv4(from->gateway_ipv4, at, "gateway_ipv4",
		      to->has_ipv4 && !partial ? NULL : &has_gateway_ipv4, &to->gateway_ipv4, err);
	if (r < 0)
		return r;
	r = take_ipv6(from->gateway_ipv6, at, "gateway_ipv6",
		      to->has_ipv6 && !partial ? NULL : &has_gateway_ipv6, &to->gateway_ipv6, err);
	if (r < 0)
		return r;
	if (has_gateway_ipv4 && !to->has_ipv4)
		return bad_field(err, CODE_BAD_REQUEST, at, "gateway_ipv4", "without ipv4");
	if (has_gateway_ipv6 && !to->has_ipv6)
		return bad_field(err, CODE_BAD_REQUEST, at, "gateway_ipv6", "without ipv6");
	return 0;
}

// The kind of port and what comes with it.
static int decode_port(const Podport__Wire__Attachment *from, const struct where *at, bool partial,
		       struct attachment *to, struct error *err)
{
	bool vhost;
	int r = take_range(from->port_kind, 0, PORT_CHOICE_COUNT - 1, at, "port_kind", err);

	if (r < 0)
		return r;
	to->port = (enum port_choice)from->port_kind;
	vhost = to->port == PORT_CHOICE_VHOST_USER;
	if (from->function != NULL && to->port != PORT_CHOICE_FUNCTION)
		return bad_field(err, CODE_BAD_REQUEST, at, "function", "beside port_kind %s",
				 port_choice_name(to->port));
	if (from->function != NULL || (!partial && to->port == PORT_CHOICE_FUNCTION))
		if ((r = decode_function(from->function, &WHERE(at, "function"), &to->function,
					 err)) < 0)
			return r;
	r = take_text(from->socket_path, at, "socket_path", SOCKET_PATH_SIZE - 1, to->socket_path,
		      err);
	if (r < 0)
		return r;
	if (to->socket_path[0] != '\0' && (!vhost || to->socket_path[0] != '/'))
		return bad_field(err, CODE_BAD_REQUEST, at, "socket_path",
				 vhost ? "is not an absolute path" : "beside port_kind %s",
				 port_choice_name(to->port));
	if (to->socket_path[0] == '\0' && vhost && !partial)
		return bad_field(err, CODE_BAD_REQUEST, at, "socket_path", "missing");
	return 0;
}

int decode_attachment(const Podport__Wire__Attachment *from, const struct where *at, bool partial,
		      struct attachment *ret_attachment, struct error *err)
{
	struct attachment to = {0};
	bool has; // of no interest: zero says it
	bool *absent_fine = partial ? &has : NULL;
	int r;

	if (from == NULL)
		return bad_field(err, CODE_BAD_REQUEST, at, NULL, "missing");
	if (from->key != NULL || !partial)
		if ((r = decode_key(from->key, &WHERE(at, "key"), &to.key, err)) < 0)
			return r;
	if ((r = decode_port(from, at, partial, &to, err)) < 0 ||
	    (r = decode_sandbox(from->sandbox, &WHERE(at, "sandbox"), &to.sandbox, err)) < 0 ||
	    (r = decode_pod(from->pod, &WHERE(at, "pod"), &to.pod, err)) < 0 ||
	    (r = take_mac(from->mac, at, "mac", absent_fine, &to.mac, err)) < 0 ||
	    (r = decode_addresses(from, at, partial, &to, err)) < 0 ||
	    (r = take_mac(from->gateway_mac, at, "gateway_mac", absent_fine, &to.gateway_mac,
			  err)) < 0 ||
	    (r = decode_bandwidth(from->bandwidth, &WHERE(at, "bandwidth"), &to.bandwidth, err)) <
		    0 ||
	    (r = decode_port_mappings(from->port_mappings, from->n_port_mappings, at,
				      &to.port_mappings, err)) < 0)
		return r;
	if (from->mtu != 0 || !partial)
		if ((r = take_range(from->mtu, MTU_MIN, MTU_MAX, at, "mtu", err)) < 0)
			return r;
	to.mtu = from->mtu;
	to.link_group = from->link_group;
	to.created_unix_ms = from->created_unix_ms;
	*ret_attachment = to;
	return 0;
}

// ---- into a message ------------------------------------------------------------------------------

void put_key(Podport__Wire__Key *to, const struct attachment_key *from)
{
	podport__wire__key__init(to);
	to->network = put_text(from->network);
	to->container_id = put_text(from->container_id);
	to->ifname = put_text(from->ifname);
}

void put_sandbox(Podport__Wire__Sandbox *to, const struct sandbox *from)
{
	podport__wire__sandbox__init(to);
	to->path = put_text(from->path);
	to->inode = from->inode;
	to->cookie = from->cookie;
}

void put_pod(Podport__Wire__Pod *to, const struct pod_name *from)
{
	podport__wire__pod__init(to);
	to->namespace_ = put_text(from->namespace_);
	to->name = put_text(from->name);
	to->uid = put_text(from->uid);
}

void put_function(Podport__Wire__Function *to, const struct function_id *from)
{
	podport__wire__function__init(to);
	to->pf = from->pf;
	to->vf = from->vf;
}

void put_attachment(struct attachment_wire *to, const struct attachment *from)
{
	Podport__Wire__Attachment *message = &to->message;
	static const struct attachment_key no_key;
	static const struct in_addr no_ipv4;

	podport__wire__attachment__init(message);
	put_key(&to->key, &from->key);
	put_sandbox(&to->sandbox, &from->sandbox);
	put_pod(&to->pod, &from->pod);
	message->port_kind = from->port;
	if (from->port == PORT_CHOICE_FUNCTION) {
		put_function(&to->function, &from->function);
		message->function = &to->function;
	}
	message->socket_path = put_text(from->socket_path);
	if (!attachment_key_equal(&from->key, &no_key)) // empty only in a partial one
		message->key = &to->key;
	message->sandbox = &to->sandbox;
	message->pod = &to->pod;
	message->mac = put_mac(&from->mac);
	message->ipv4 = put_bytes(from->has_ipv4, &from->ipv4, sizeof(from->ipv4));
	message->ipv6 = put_bytes(from->has_ipv6, &from->ipv6, sizeof(from->ipv6));
	message->gateway_ipv4 =
		put_bytes(from->has_ipv4 && from->gateway_ipv4.s_addr != no_ipv4.s_addr,
			  &from->gateway_ipv4, sizeof(from->gateway_ipv4));
	message->gateway_ipv6 =
		put_bytes(from->has_ipv6 && !IN6_IS_ADDR_UNSPECIFIED(&from->gateway_ipv6),
			  &from->gateway_ipv6, sizeof(from->gateway_ipv6));
	message->gateway_mac = put_mac(&from->gateway_mac);
	message->mtu = from->mtu;
	message->link_group = from->link_group;
	message->created_unix_ms = from->created_unix_ms;
	message->bandwidth = put_bandwidth(&to->bandwidth, &from->bandwidth);
	message->n_port_mappings = put_port_mappings(&to->port_mappings, &from->port_mappings);
	message->port_mappings = to->port_mappings.pointers;
}
