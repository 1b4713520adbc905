// SPDX-License-Identifier: BSD-3-Clause
//
// The public calls: check what the caller gave, ask, make an object of the answer.

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "libpodport/client_private.h"
#include "proto/base/text.h"
#include "proto/codec.h"

// The public codes are the wire's.
#define SAME(name) _Static_assert((int)PODPORT_##name == (int)CODE_##name, #name " differs")
SAME(OK);
SAME(INTERNAL);
SAME(BAD_REQUEST);
SAME(UNSUPPORTED);
SAME(AGENT_AWAY);
SAME(NOT_READY);
SAME(NOT_FOUND);
SAME(CONFLICT);
SAME(NO_ADDRESS);
SAME(NO_FUNCTION);
SAME(STORE);
SAME(NIC);
SAME(NETNS);
SAME(WIRING);
SAME(INTERFACE_EXISTS);
SAME(MISMATCH);
SAME(LATE);
SAME(PERMISSION);
SAME(BUSY);
SAME(HOSTD_AWAY);
_Static_assert(CODE_COUNT == CODE_HOSTD_AWAY + 1, "a new code is missing in podport.h");
_Static_assert(PODPORT_TIMEOUT_MAX_MS == TIMEOUT_MAX_MS, "limits differ");

int take_request(void *to, size_t to_size, const void *from, struct error *err)
{
	size_t size;

	if (from == NULL)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "request: NULL");
	memcpy(&size, from, sizeof(size));
	if (size < sizeof(size))
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "request.size: %zu; start from the _REQUEST_INIT macro", size);
	memset(to, 0, to_size);
	memcpy(to, from, size < to_size ? size : to_size);
	return 0;
}

static int take_text(const char *field, const char *from, char *to, size_t to_size,
		     struct error *err)
{
	if (from == NULL)
		from = "";
	if (strlen(from) >= to_size)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "%s: longer than %zu bytes", field,
				 to_size - 1);
	if (!text_is_printable(from))
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "%s: has control characters or broken UTF-8", field);
	strcpy(to, from);
	return 0;
}

static int take_key(const struct podport_key *from, struct attachment_key *to, struct error *err)
{
	const char *network = from->network != NULL ? from->network : "";
	const char *container_id = from->container_id != NULL ? from->container_id : "";
	const char *ifname = from->ifname != NULL ? from->ifname : "";
	int r;

	if ((r = check_name("network", network, err)) < 0 ||
	    (r = check_name("container_id", container_id, err)) < 0 ||
	    (r = check_ifname("ifname", ifname, err)) < 0)
		return r;
	strcpy(to->network, network);
	strcpy(to->container_id, container_id);
	strcpy(to->ifname, ifname);
	return 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define _cleanup_fd_ __attribute__((cleanup(close_fd)))

// ---- attachments ---------------------------------------------------------------------------------

static int take_limits(const struct podport_add_request *from, struct attach_request *to,
		       struct error *err)
{
	const struct podport_bandwidth *bandwidth = from->bandwidth;
	int r;

	if (bandwidth != NULL) {
		to->bandwidth = (struct bandwidth){
			bandwidth->ingress_rate_bps, bandwidth->ingress_burst_bits,
			bandwidth->egress_rate_bps, bandwidth->egress_burst_bits};
		r = check_bandwidth("bandwidth", &to->bandwidth, err);
		if (r < 0)
			return r;
	}
	if (from->port_mapping_count > LIMIT_PORT_MAPPINGS)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "port_mappings: %zu are more than %d", from->port_mapping_count,
				 (int)LIMIT_PORT_MAPPINGS);
	for (size_t i = 0; i < from->port_mapping_count; i++) {
		const struct podport_port_mapping *mapping = &from->port_mappings[i];
		struct port_mapping *copy = &to->port_mappings.items[i];

		*copy = (struct port_mapping){.host_port = mapping->host_port,
					      .container_port = mapping->container_port,
					      .protocol = mapping->protocol,
					      .host_family = mapping->host_family};
		memcpy(copy->host_ip, mapping->host_ip, sizeof(copy->host_ip));
	}
	to->port_mappings.count = (uint32_t)from->port_mapping_count;
	return check_port_mappings("port_mappings", &to->port_mappings, err);
}

static int take_wishes(const struct podport_add_request *from, struct attach_request *to,
		       struct error *err)
{
	int r;

	if (from->ipv4 != NULL) {
		to->wants_ipv4 = true;
		to->requested_ipv4 = *from->ipv4;
	}
	if (from->ipv6 != NULL) {
		to->wants_ipv6 = true;
		to->requested_ipv6 = *from->ipv6;
	}
	if (from->mac != NULL) {
		to->wants_mac = true;
		memcpy(to->requested_mac.bytes, from->mac, sizeof(to->requested_mac.bytes));
		r = check_mac("mac", &to->requested_mac, err);
		if (r < 0)
			return r;
	}
	if (from->mtu != 0) {
		r = check_mtu("mtu", from->mtu, err);
		if (r < 0)
			return r;
		to->requested_mtu = from->mtu;
	}
	if (from->port_kind != NULL && from->port_kind[0] != '\0' &&
	    !port_choice_parse(from->port_kind, &to->port))
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "port_kind: '%.32s' is none of function, vhost-user, virtio-user",
				 from->port_kind);
	return take_limits(from, to, err);
}

// The answer of a call whose body is an attachment.
static int ask_attachment(struct podport_client *client, struct request *request, int netns_fd,
			  struct podport_attachment **ret_attachment, struct error *err)
{
	struct podport_attachment *attachment;
	struct reply reply;
	int r = client_call(client, request, netns_fd, &reply, err);

	if (r < 0)
		return r;
	attachment = object_attachment(reply.call == CALL_ATTACH ? &reply.body.attach
								 : &reply.body.check);
	reply_clear(&reply);
	if (attachment == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
	*ret_attachment = attachment;
	return 0;
}

static int add(struct podport_client *client, const struct podport_add_request *caller_request,
	       struct podport_attachment **ret_attachment, struct error *err)
{
	struct request request = {.call = CALL_ATTACH};
	struct attach_request *attach = &request.body.attach;
	struct podport_add_request from;
	_cleanup_fd_ int netns_fd = -1;
	int r;

	if ((r = take_request(&from, sizeof(from), caller_request, err)) < 0 ||
	    (r = take_key(&from.key, &attach->key, err)) < 0 ||
	    (r = take_text("pod_namespace", from.pod_namespace, attach->pod.namespace_,
			   sizeof(attach->pod.namespace_), err)) < 0 ||
	    (r = take_text("pod_name", from.pod_name, attach->pod.name, sizeof(attach->pod.name),
			   err)) < 0 ||
	    (r = take_text("pod_uid", from.pod_uid, attach->pod.uid, sizeof(attach->pod.uid),
			   err)) < 0 ||
	    (r = take_wishes(&from, attach, err)) < 0 ||
	    (r = take_text("netns", from.netns, attach->sandbox.path, sizeof(attach->sandbox.path),
			   err)) < 0 ||
	    (r = sandbox_open(&attach->sandbox, &netns_fd, err)) < 0)
		return r;
	return ask_attachment(client, &request, netns_fd, ret_attachment, err);
}

int podport_add(struct podport_client *client, const struct podport_add_request *request,
		struct podport_attachment **ret_attachment, struct podport_error *error)
{
	struct error err;
	int r = add(client, request, ret_attachment, &err);

	return r < 0 ? client_error(error, &err, r) : 0;
}

static int del(struct podport_client *client, const struct podport_del_request *caller_request,
	       struct error *err)
{
	struct request request = {.call = CALL_DETACH};
	struct detach_request *detach = &request.body.detach;
	struct podport_del_request from;
	_cleanup_fd_ int netns_fd = -1;
	struct reply reply;
	struct error ignored;
	int r;

	if ((r = take_request(&from, sizeof(from), caller_request, err)) < 0 ||
	    (r = take_key(&from.key, &detach->key, err)) < 0 ||
	    (r = take_text("netns", from.netns, detach->sandbox.path, sizeof(detach->sandbox.path),
			   err)) < 0)
		return r;
	// A sandbox that is gone has nothing to be cleaned; its path is still a hint.
	if (detach->sandbox.path[0] != '\0')
		sandbox_open(&detach->sandbox, &netns_fd, &ignored);
	r = client_call(client, &request, netns_fd, &reply, err);
	if (r < 0)
		return r;
	reply_clear(&reply);
	return 0;
}

int podport_del(struct podport_client *client, const struct podport_del_request *request,
		struct podport_error *error)
{
	struct error err;
	int r = del(client, request, &err);

	return r < 0 ? client_error(error, &err, r) : 0;
}

static int check(struct podport_client *client, const struct podport_check_request *caller_request,
		 struct podport_attachment **ret_attachment, struct error *err)
{
	struct request request = {.call = CALL_CHECK};
	struct check_request *check_request = &request.body.check;
	struct podport_check_request from;
	_cleanup_fd_ int netns_fd = -1;
	int r;

	if ((r = take_request(&from, sizeof(from), caller_request, err)) < 0 ||
	    (r = take_key(&from.key, &check_request->key, err)) < 0 ||
	    (r = take_text("netns", from.netns, check_request->sandbox.path,
			   sizeof(check_request->sandbox.path), err)) < 0 ||
	    (r = sandbox_open(&check_request->sandbox, &netns_fd, err)) < 0)
		return r;
	check_request->has_expected = from.mtu != 0;
	check_request->expected.mtu = from.mtu;
	if (from.mtu != 0 && (r = check_mtu("mtu", from.mtu, err)) < 0)
		return r;
	return ask_attachment(client, &request, netns_fd, ret_attachment, err);
}

int podport_check(struct podport_client *client, const struct podport_check_request *request,
		  struct podport_attachment **ret_attachment, struct podport_error *error)
{
	struct error err;
	int r = check(client, request, ret_attachment, &err);

	return r < 0 ? client_error(error, &err, r) : 0;
}

// ---- status and addresses ------------------------------------------------------------------------

int podport_get_status(struct podport_client *client, struct podport_status **ret_status,
		       struct podport_error *error)
{
	struct request request = {.call = CALL_GET_STATUS};
	struct podport_status *status;
	struct reply reply;
	struct error err;
	int r = client_call(client, &request, -1, &reply, &err);

	if (r < 0)
		return client_error(error, &err, r);
	if (!reply.body.status.has_host) {
		r = error_set(&err, EBADMSG, CODE_INTERNAL,
			      "podport-hostd answered without its own status");
		reply_clear(&reply);
		return client_error(error, &err, r);
	}
	status = object_status(&reply.body.status);
	reply_clear(&reply);
	if (status == NULL) {
		r = error_set(&err, ENOMEM, CODE_INTERNAL, "out of memory");
		return client_error(error, &err, r);
	}
	*ret_status = status;
	return 0;
}

int podport_get_ipam(struct podport_client *client, struct podport_ipam **ret_ipam,
		     struct podport_error *error)
{
	struct request request = {.call = CALL_GET_IPAM};
	struct podport_ipam *ipam;
	struct reply reply;
	struct error err;
	int r = client_call(client, &request, -1, &reply, &err);

	if (r < 0)
		return client_error(error, &err, r);
	ipam = object_ipam(&reply.body.ipam);
	reply_clear(&reply);
	if (ipam == NULL) {
		r = error_set(&err, ENOMEM, CODE_INTERNAL, "out of memory");
		return client_error(error, &err, r);
	}
	*ret_ipam = ipam;
	return 0;
}

int podport_get_offload(struct podport_client *client, struct podport_offload **ret_offload,
			struct podport_error *error)
{
	struct request request = {.call = CALL_GET_OFFLOAD};
	struct podport_offload *offload;
	struct reply reply;
	struct error err;
	int r = client_call(client, &request, -1, &reply, &err);

	if (r < 0)
		return client_error(error, &err, r);
	offload = object_offload(&reply.body.offload);
	reply_clear(&reply);
	if (offload == NULL) {
		r = error_set(&err, ENOMEM, CODE_INTERNAL, "out of memory");
		return client_error(error, &err, r);
	}
	*ret_offload = offload;
	return 0;
}
