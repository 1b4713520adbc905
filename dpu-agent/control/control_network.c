// SPDX-License-Identifier: BSD-3-Clause
//
// SetPodNetwork: the pod network arrives, or changes, while the agent runs. It is in the store before
// anything is started for it. Pods that are there go on as they are, or it is refused.

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/control_private.h"
#include "proto/base/log.h"

// What is asked for, checked as the configuration's is; the rest as it is, or as configured.
static int parse(const struct set_pod_network_request *wanted, const struct network *base,
		 struct network *ret_network, struct error *err)
{
	struct network network = {.link_group = base->link_group};
	char address[INET6_ADDRSTRLEN], text[NETWORK_TEXT_SIZE];
	int r = 0;

	network.common.router_mac = base->common.router_mac;
	network.common.mtu = wanted->mtu != 0 ? wanted->mtu : base->common.mtu;
	if (wanted->has_ipv4) {
		inet_ntop(AF_INET, &wanted->ipv4, address, sizeof(address));
		snprintf(text, sizeof(text), "%s/%u", address, wanted->ipv4_prefix_length);
		r = network_parse_ipv4(text, &network, err);
		if (r < 0)
			error_prefix(err, "set_pod_network.ipv4");
	}
	if (r == 0 && wanted->has_ipv6) {
		inet_ntop(AF_INET6, &wanted->ipv6, address, sizeof(address));
		snprintf(text, sizeof(text), "%s/%u", address, wanted->ipv6_prefix_length);
		r = network_parse_ipv6(text, &network, err);
		if (r < 0)
			error_prefix(err, "set_pod_network.ipv6");
	}
	if (r == 0)
		*ret_network = network;
	return r;
}

// Who cannot live in it? Of other hosts' attachments only how many.
static int look_for_blockers(const struct control *control, const struct control_call *call,
			     const struct network *network, struct error *err)
{
	const char *host_id = call_host(control, call);
	char text[2 * NETWORK_TEXT_SIZE], list[LIMIT_TEXT / 2] = "";
	size_t blockers = 0;

	for (size_t i = 0; i < control->pods->count; i++) {
		const struct pod *pod = control->pods->sorted[i];
		struct error why = {0};

		// One that is leaving holds its addresses until that is on the disk.
		if (network_suits(network, &pod->record.attachment, &why) == 0)
			continue;
		blockers++;
		if (host_owns(host_id, pod))
			network_list_blocker(list, sizeof(list), &pod->record.attachment.key, &why);
	}
	if (blockers == 0)
		return 0;
	network_text(network, text);
	return error_set(
		err, EBUSY, CODE_CONFLICT,
		"the pod network %s is not taken: %zu attachments are in the way: %s. Delete "
		"these pods first",
		text, blockers, list[0] != '\0' ? list : "all of other hosts");
}

// The order of releases that the new pools do not have.
static int forget_released(struct store *store, const struct ipam *old, const struct ipam *new,
			   struct error *err)
{
	uint32_t cursor = LRU_POOL_NONE;
	uint8_t address[16];
	int r = 0;

	while (r == 0 && ipam_next_released(old, &cursor, address)) {
		struct store_released released = {0};

		if (new->pool.size > 0 && ipam_check(&new->prefix, address, NULL) == 0 &&
		    ipam_in_pool(&new->prefix, address))
			continue;
		if (old->prefix.family == AF_INET) {
			released.pool = STORE_POOL_IPV4;
			memcpy(&released.ipv4, address, sizeof(released.ipv4));
		} else {
			released.pool = STORE_POOL_IPV6;
			memcpy(&released.ipv6, address, sizeof(released.ipv6));
		}
		r = store_delete_released(store, &released, err);
	}
	return r;
}

static int write_network(struct control *control, const struct pods_network_plan *plan,
			 struct error *err)
{
	struct store *store = control->config.store;
	int r = store_begin(store, err);

	if (r == 0)
		r = store_put_network(store, &plan->network, err);
	if (r == 0)
		r = store_put_network_origin(store, true, control->config.network, err);
	if (r == 0)
		r = forget_released(store, &control->pods->ipv4, &plan->ipv4, err);
	if (r == 0)
		r = forget_released(store, &control->pods->ipv6, &plan->ipv6, err);
	if (r == 0)
		r = store_commit(store, err);
	if (r < 0)
		store_rollback(store);
	return r;
}

static int set_network(struct control *control, const struct control_call *call,
		       const struct network *network, struct error *err)
{
	const struct pod_network before = control->pods->network.common;
	bool had_network = control->pods->has_network;
	struct pods_network_plan plan;
	char text[2 * NETWORK_TEXT_SIZE];
	int r = batch_finish_leaving(control, err);

	if (r == 0)
		r = look_for_blockers(control, call, network, err);
	if (r == 0)
		r = uplink_suits_network(&control->uplink, &network->common, err);
	if (r < 0)
		return r;
	if (pods_plan_network(control->pods, network, &plan) < 0)
		return error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
	r = write_network(control, &plan, err);
	if (r < 0) {
		pods_drop_network(&plan);
		return r;
	}
	pods_take_network(control->pods, &plan);
	// What it was about is over: the operator has decided.
	control->restore_notice = (struct error){0};
	if (had_network)
		ports_change_network(control, &before);
	else
		ports_start(control);
	network_text(network, text);
	log_info("pod network set", "network=\"%s\" mtu=%u", text, network->common.mtu);
	return 0;
}

void set_pod_network_call(struct control *control, struct control_call *call)
{
	const struct pods *pods = control->pods;
	struct reply reply = {.call = CALL_SET_POD_NETWORK};
	struct network network;
	struct error err;
	int r = parse(&call->request->body.set_pod_network,
		      pods->has_network ? &pods->network : control->config.network, &network, &err);

	if (r == 0 && !(pods->has_network && network_equal(&network, &pods->network)))
		r = set_network(control, call, &network, &err);
	if (r < 0) {
		answer_error(control, call, &err);
		return;
	}
	reply.body.set_pod_network = control->pods->network.common;
	answer(control, call, &reply);
}
