// SPDX-License-Identifier: BSD-3-Clause
//
// Attach, Detach, Check: the calls on one attachment. Planning decides and changes memory only;
// batch.c records and applies.

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "control/control_private.h"

static uint64_t unix_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

// ---- a new attachment ------------------------------------------------------------------------------

// A MAC of ours for good: random, locally administered, nobody else's on this node.
static int choose_mac(const struct control *control, struct mac *ret_mac, struct error *err)
{
	struct mac mac;

	do {
		if (getrandom(mac.bytes, sizeof(mac.bytes), 0) != (ssize_t)sizeof(mac.bytes))
			return error_set(err, EIO, CODE_INTERNAL, "no random number for a MAC: %s",
					 strerror(errno));
		mac.bytes[0] = 0x02;
	} while (mac_equal(&mac, &control->pods->network.common.router_mac) ||
		 pods_find_mac(control->pods, &mac) != NULL);
	*ret_mac = mac;
	return 0;
}

static int take_mac(const struct control *control, const struct mac *mac, struct error *err)
{
	const struct pod *holder = pods_find_mac(control->pods, mac);
	char text[MAC_TEXT_SIZE];

	mac_text(mac, text);
	if (mac_equal(mac, &control->pods->network.common.router_mac))
		return error_set(err, EADDRINUSE, CODE_CONFLICT,
				 "requested_mac: %s is the router's", text);
	if (holder != NULL)
		return error_set(err, EADDRINUSE, CODE_CONFLICT,
				 "requested_mac: %s is taken by %s/%s/%s", text,
				 holder->record.attachment.key.network,
				 holder->record.attachment.key.container_id,
				 holder->record.attachment.key.ifname);
	return 0;
}

// ---- what kind of port -----------------------------------------------------------------------------

// A name that says nothing and that nobody guesses: who may use the folder cannot prepare for a pod to come.
static int choose_socket(const struct control *control, const struct attach_request *wanted,
			 char ret_path[SOCKET_PATH_SIZE], struct error *err)
{
	const char *folder = control->config.vhost_socket_dir;
	uint64_t random;

	if (wanted->port != PORT_CHOICE_VHOST_USER || folder == NULL)
		return 0;
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return error_set(err, EIO, CODE_INTERNAL, "no random number for a socket: %s",
				 strerror(errno));
	if (snprintf(ret_path, SOCKET_PATH_SIZE, "%s/%016llx.sock", folder,
		     (unsigned long long)random) >= SOCKET_PATH_SIZE)
		return error_set(err, ENAMETOOLONG, CODE_INTERNAL,
				 "the path of a socket in %.100s is too long", folder);
	return 0;
}

static int check_port(const struct attach_request *wanted, struct error *err)
{
	int r = wanted->port == PORT_CHOICE_VIRTIO_USER ? virtio_user_probe(err) : 0;

	if (r < 0)
		error_prefix(err, "port_kind");
	return r;
}

static void set_host(const struct control *control, const char *host_id,
		     struct store_record *record)
{
	const struct store_host *host = host_find(control, host_id);

	snprintf(record->host_id, sizeof(record->host_id), "%s", host_id);
	snprintf(record->boot_id, sizeof(record->boot_id), "%s", host != NULL ? host->boot_id : "");
}

static int plan_new(struct control *control, const struct attach_request *wanted,
		    const char *host_id, struct operation *op, struct error *err)
{
	struct store_record record = {.state = STORE_ATTACHED};
	struct attachment *attachment = &record.attachment;
	const struct network *network = &control->pods->network;
	int r;

	if (!control->pods->has_network)
		return error_set(err, EAGAIN, CODE_NOT_READY,
				 "the agent has no pod network yet (pod_network in its "
				 "configuration, or 'podportctl network set')");
	// Its boot would not be known, by which what it leaves behind is told from what it has.
	if (host_id[0] != '\0' && host_find(control, host_id) == NULL)
		return error_set(err, EAGAIN, CODE_NOT_READY,
				 "the host %s has not said Hello to this agent yet", host_id);
	r = check_port(wanted, err);
	if (r < 0)
		return r;
	attachment->key = wanted->key;
	attachment->sandbox = wanted->sandbox;
	attachment->pod = wanted->pod;
	attachment->bandwidth = wanted->bandwidth;
	attachment->port_mappings = wanted->port_mappings;
	attachment->gateway_mac = network->common.router_mac;
	attachment->mtu = wanted->requested_mtu != 0 ? wanted->requested_mtu : network->common.mtu;
	attachment->link_group = network->link_group;
	attachment->created_unix_ms = unix_ms();
	set_host(control, host_id, &record);
	if (wanted->wants_mac) {
		attachment->mac = wanted->requested_mac;
		r = take_mac(control, &wanted->requested_mac, err);
	} else {
		r = choose_mac(control, &attachment->mac, err);
	}
	if (r == 0)
		r = choose_socket(control, wanted, attachment->socket_path, err);
	if (r < 0)
		return r;
	r = pods_reserve(control->pods, wanted, attachment, &op->undo, err);
	if (r < 0)
		return r;
	r = publish_check(control, host_id, attachment, err);
	if (r < 0) {
		pods_unreserve(control->pods, &op->undo);
		return r;
	}
	op->kind = OPERATION_ATTACH;
	op->pod = pods_add(control->pods, &record,
			   op->undo.vhost != NULL ? op->undo.vhost_undo.index : LRU_POOL_NONE);
	if (op->pod == NULL) {
		pods_unreserve(control->pods, &op->undo);
		return error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
	}
	return 0;
}

// ---- a repeated Attach -----------------------------------------------------------------------------

__attribute__((format(printf, 4, 5))) static int differs(const struct attachment *have,
							 struct error *err, const char *field,
							 const char *format, ...)
{
	char detail[192];
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	return error_set(err, EEXIST, CODE_CONFLICT,
			 "%s: the attachment %s/%s/%s exists and differs: %s", field,
			 have->key.network, have->key.container_id, have->key.ifname, detail);
}

static int compare_address(const struct attachment *have, const char *field, int family,
			   bool has_address, const void *address, const void *wanted,
			   struct error *err)
{
	char has_text[INET6_ADDRSTRLEN] = "none", wanted_text[INET6_ADDRSTRLEN];

	if (has_address && memcmp(address, wanted, family == AF_INET ? 4 : 16) == 0)
		return 0;
	if (has_address)
		inet_ntop(family, address, has_text, sizeof(has_text));
	inet_ntop(family, wanted, wanted_text, sizeof(wanted_text));
	return differs(have, err, field, "it has %s, not %s", has_text, wanted_text);
}

// Of two texts that say who the pod is: do they contradict each other?
static bool contradicts(const char *a, const char *b)
{
	return a[0] != '\0' && b[0] != '\0' && strcmp(a, b) != 0;
}

// Does the request ask for what the attachment is? What it leaves open fits anything.
static int compare(const struct attachment *have, const struct attach_request *wanted,
		   struct error *err)
{
	char has_mac[MAC_TEXT_SIZE], wanted_mac[MAC_TEXT_SIZE];
	int r = 0;

	if (wanted->port != have->port)
		return differs(have, err, "port_kind", "it is a %s, not a %s",
			       port_choice_name(have->port), port_choice_name(wanted->port));
	if (wanted->wants_ipv4)
		r = compare_address(have, "requested_ipv4", AF_INET, have->has_ipv4, &have->ipv4,
				    &wanted->requested_ipv4, err);
	if (r == 0 && wanted->wants_ipv6)
		r = compare_address(have, "requested_ipv6", AF_INET6, have->has_ipv6, &have->ipv6,
				    &wanted->requested_ipv6, err);
	if (r < 0)
		return r;
	if (wanted->wants_mac && !mac_equal(&wanted->requested_mac, &have->mac)) {
		mac_text(&have->mac, has_mac);
		mac_text(&wanted->requested_mac, wanted_mac);
		return differs(have, err, "requested_mac", "it has %s, not %s", has_mac,
			       wanted_mac);
	}
	if (wanted->requested_mtu != 0 && wanted->requested_mtu != have->mtu)
		return differs(have, err, "requested_mtu", "it has %u, not %u", have->mtu,
			       wanted->requested_mtu);
	if (bandwidth_is_limited(&wanted->bandwidth) &&
	    !bandwidth_equal(&wanted->bandwidth, &have->bandwidth))
		return differs(have, err, "bandwidth",
			       "it has %" PRIu64 " bit/s ingress and %" PRIu64
			       " bit/s egress (0: unlimited), not %" PRIu64 " and %" PRIu64
			       ", or another burst",
			       have->bandwidth.ingress_rate_bps, have->bandwidth.egress_rate_bps,
			       wanted->bandwidth.ingress_rate_bps,
			       wanted->bandwidth.egress_rate_bps);
	if (wanted->port_mappings.count > 0 &&
	    !port_mappings_equal(&wanted->port_mappings, &have->port_mappings))
		return differs(have, err, "port_mappings", "it has %u, or other ones",
			       have->port_mappings.count);
	if (contradicts(wanted->pod.namespace_, have->pod.namespace_))
		return differs(have, err, "pod.namespace", "it is %s's", have->pod.namespace_);
	if (contradicts(wanted->pod.name, have->pod.name))
		return differs(have, err, "pod.name", "it is %s's", have->pod.name);
	if (contradicts(wanted->pod.uid, have->pod.uid))
		return differs(have, err, "pod.uid", "it is that of %s", have->pod.uid);
	return 0;
}

// The record with what the request knows better. Returns false if that is nothing.
static bool refresh(const struct control *control, const struct attach_request *wanted,
		    const char *host_id, struct store_record *record)
{
	const struct store_host *host = host_find(control, host_id);
	struct attachment *a = &record->attachment;
	bool changed = false;

	if (wanted->sandbox.path[0] != '\0' &&
	    (strcmp(wanted->sandbox.path, a->sandbox.path) != 0 ||
	     wanted->sandbox.inode != a->sandbox.inode ||
	     wanted->sandbox.cookie != a->sandbox.cookie)) {
		a->sandbox = wanted->sandbox;
		changed = true;
	}
	if ((a->pod.namespace_[0] == '\0' && wanted->pod.namespace_[0] != '\0') ||
	    (a->pod.name[0] == '\0' && wanted->pod.name[0] != '\0') ||
	    (a->pod.uid[0] == '\0' && wanted->pod.uid[0] != '\0')) {
		a->pod = wanted->pod;
		changed = true;
	}
	if (host != NULL && (strcmp(record->boot_id, host->boot_id) != 0 ||
			     strcmp(record->host_id, host->host_id) != 0)) {
		set_host(control, host_id, record);
		changed = true;
	}
	return changed;
}

static int fail_leaving(const struct pod *pod, struct error *err)
{
	const struct attachment_key *key = &pod->record.attachment.key;

	return error_set(err, EBUSY, CODE_BUSY,
			 "the release of %s/%s/%s is not recorded yet; try again", key->network,
			 key->container_id, key->ifname);
}

static int plan_repeated(struct control *control, const struct attach_request *wanted,
			 const char *host_id, struct pod *pod, struct operation *op,
			 struct error *err)
{
	struct store_record *updated;
	int r;

	if (!host_owns(host_id, pod))
		return error_set(err, EEXIST, CODE_CONFLICT,
				 "key: another host of this agent has an attachment %s/%s/%s",
				 wanted->key.network, wanted->key.container_id, wanted->key.ifname);
	if (pod->record.state != STORE_ATTACHED)
		return fail_leaving(pod, err);
	r = compare(&pod->record.attachment, wanted, err);
	if (r < 0)
		return r;
	updated = malloc(sizeof(*updated));
	if (updated == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
	*updated = pod->record;
	if (!refresh(control, wanted, host_id, updated) && pod_port_is_well(control, pod)) {
		free(updated);
		return 0;
	}
	op->kind = OPERATION_REFRESH;
	op->pod = pod;
	op->updated = updated;
	return 0;
}

bool attach_plan(struct control *control, struct control_call *call, struct operation *ret_op)
{
	const struct attach_request *wanted = &call->request->body.attach;
	struct pod *pod = pods_find(control->pods, &wanted->key);
	const char *host_id = call_host(control, call);
	struct reply reply = {0};
	struct error err;
	int r;

	ret_op->call = call;
	r = pod == NULL ? plan_new(control, wanted, host_id, ret_op, &err)
			: plan_repeated(control, wanted, host_id, pod, ret_op, &err);
	if (r < 0) {
		answer_error(control, call, &err);
		return false;
	}
	if (ret_op->pod != NULL)
		return true;
	reply.call = CALL_ATTACH;
	reply.repeated = true;
	reply.body.attach = pod->record.attachment;
	answer(control, call, &reply);
	return false;
}

// ---- Detach ----------------------------------------------------------------------------------------

bool detach_plan(struct control *control, struct control_call *call, struct operation *ret_op)
{
	const struct detach_request *wanted = &call->request->body.detach;
	struct reply reply = {.call = CALL_DETACH};

	ret_op->call = call;
	ret_op->kind = OPERATION_DETACH;
	ret_op->pod = pods_find(control->pods, &wanted->key);
	if (ret_op->pod != NULL && host_owns(call_host(control, call), ret_op->pod) &&
	    (wanted->created_unix_ms == 0 ||
	     wanted->created_unix_ms == ret_op->pod->record.attachment.created_unix_ms))
		return true;
	ret_op->pod = NULL;
	// Gone already, or never this host's: what Detach is for. CNI SPEC, DEL: "should complete without error even if
	// some resources are missing".
	answer(control, call, &reply);
	return false;
}

// ---- Check -----------------------------------------------------------------------------------------

static int mismatch(struct error *err, const char *field)
{
	return error_set(err, ESTALE, CODE_MISMATCH,
			 "%s: the attachment has another than the runtime believes", field);
}

// What the runtime told of the attachment (zero: it did not tell) against what it is.
static int compare_expected(const struct attachment *have, const struct attachment *expected,
			    struct error *err)
{
	static const struct mac unknown;

	if (expected->has_ipv4 && (!have->has_ipv4 || have->ipv4.s_addr != expected->ipv4.s_addr))
		return mismatch(err, "ipv4");
	if (expected->has_ipv6 &&
	    (!have->has_ipv6 || !IN6_ARE_ADDR_EQUAL(&have->ipv6, &expected->ipv6)))
		return mismatch(err, "ipv6");
	if (!mac_equal(&expected->mac, &unknown) && !mac_equal(&expected->mac, &have->mac))
		return mismatch(err, "mac");
	// A later plugin of the chain may have lowered it.
	if (expected->mtu > have->mtu)
		return mismatch(err, "mtu");
	return 0;
}

void check_call(struct control *control, struct control_call *call)
{
	const struct check_request *wanted = &call->request->body.check;
	const struct pod *pod = pods_find(control->pods, &wanted->key);
	struct reply reply = {.call = CALL_CHECK};
	struct error err;
	int r = 0;

	if (pod == NULL || pod->record.state != STORE_ATTACHED ||
	    !host_owns(call_host(control, call), pod))
		r = error_set(&err, ENOENT, CODE_NOT_FOUND, "there is no attachment %s/%s/%s",
			      wanted->key.network, wanted->key.container_id, wanted->key.ifname);
	else if (!pod->port_started)
		r = error_set(&err, EIO, CODE_MISMATCH, "the attachment has no port: %.300s",
			      pod->port_error.message);
	else if (wanted->has_expected)
		r = compare_expected(&pod->record.attachment, &wanted->expected, &err);
	if (r == 0)
		r = rules_check(control, pod, &err);
	if (r < 0) {
		answer_error(control, call, &err);
		return;
	}
	reply.body.check = pod->record.attachment;
	answer(control, call, &reply);
}
