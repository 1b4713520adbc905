// SPDX-License-Identifier: BSD-3-Clause
//
// See pod.h.

#include "pod/pod.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int pods_new(const struct pods_ports *ports, struct pods **ret_pods)
{
	struct pods *pods = calloc(1, sizeof(*pods));

	if (pods == NULL)
		return -ENOMEM;
	pods->by_function = calloc((size_t)ports->functions + 1, sizeof(struct pod *));
	if (pods->by_function == NULL || lru_pool_init(&pods->functions, ports->functions) < 0 ||
	    lru_pool_init(&pods->vhosts, ports->vhosts) < 0 ||
	    lru_pool_init(&pods->virtios, ports->virtios) < 0) {
		pods_free(pods);
		return -ENOMEM;
	}
	*ret_pods = pods;
	return 0;
}

void pods_free(struct pods *pods)
{
	if (pods == NULL)
		return;
	for (size_t i = 0; i < pods->count; i++)
		free(pods->sorted[i]);
	ipam_destroy(&pods->ipv4);
	ipam_destroy(&pods->ipv6);
	lru_pool_destroy(&pods->functions);
	lru_pool_destroy(&pods->vhosts);
	lru_pool_destroy(&pods->virtios);
	free(pods->by_function);
	free(pods->sorted);
	free(pods);
}

// The pool of `prefix`, in which what pods hold is taken and what `old` says was released is so.
static int make_pool(const struct pods *pods, const struct ipam *old,
		     const struct ipam_prefix *prefix, struct ipam *ret_pool)
{
	bool is_ipv4 = prefix->family == AF_INET;
	uint32_t cursor = LRU_POOL_NONE;
	struct lru_pool_undo ignored;
	uint8_t address[16];
	int r = ipam_init(ret_pool, prefix);

	if (r < 0)
		return r;
	for (size_t i = 0; i < pods->count; i++) {
		const struct attachment *a = &pods->sorted[i]->record.attachment;

		if (is_ipv4 ? !a->has_ipv4 : !a->has_ipv6)
			continue;
		r = ipam_alloc_requested(ret_pool, is_ipv4 ? (const void *)&a->ipv4 : &a->ipv6,
					 &ignored, NULL);
		assert(r == 0);
	}
	while (ipam_next_released(old, &cursor, address))
		if (ipam_check(prefix, address, NULL) == 0 && ipam_in_pool(prefix, address) &&
		    !ipam_is_allocated(ret_pool, address))
			ipam_mark_released(ret_pool, address);
	return 0;
}

int pods_plan_network(const struct pods *pods, const struct network *network,
		      struct pods_network_plan *ret_plan)
{
	struct pods_network_plan plan = {.network = *network};
	struct ipam_prefix prefix;
	int r = 0;

	if (network->common.has_ipv4) {
		prefix = network_ipv4_prefix(network);
		r = make_pool(pods, &pods->ipv4, &prefix, &plan.ipv4);
	}
	if (r == 0 && network->common.has_ipv6) {
		prefix = network_ipv6_prefix(network);
		r = make_pool(pods, &pods->ipv6, &prefix, &plan.ipv6);
	}
	if (r < 0) {
		pods_drop_network(&plan);
		return r;
	}
	*ret_plan = plan;
	return 0;
}

void pods_take_network(struct pods *pods, const struct pods_network_plan *plan)
{
	ipam_destroy(&pods->ipv4);
	ipam_destroy(&pods->ipv6);
	pods->ipv4 = plan->ipv4;
	pods->ipv6 = plan->ipv6;
	pods->network = plan->network;
	pods->has_network = true;
}

void pods_drop_network(struct pods_network_plan *plan)
{
	ipam_destroy(&plan->ipv4);
	ipam_destroy(&plan->ipv6);
}

int pods_set_network(struct pods *pods, const struct network *network)
{
	struct pods_network_plan plan;
	int r = pods_plan_network(pods, network, &plan);

	if (r == 0)
		pods_take_network(pods, &plan);
	return r;
}

// ---- finding ---------------------------------------------------------------------------------------

// The first index whose key is >= key (or > key).
static size_t bound(const struct pods *pods, const struct attachment_key *key, bool greater)
{
	size_t low = 0, high = pods->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order =
			attachment_key_compare(&pods->sorted[middle]->record.attachment.key, key);

		if (order < 0 || (greater && order == 0))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct pod *pods_find(const struct pods *pods, const struct attachment_key *key)
{
	size_t i = bound(pods, key, false);

	if (i < pods->count && attachment_key_equal(&pods->sorted[i]->record.attachment.key, key))
		return pods->sorted[i];
	return NULL;
}

size_t pods_index_after(const struct pods *pods, const struct attachment_key *key)
{
	return bound(pods, key, true);
}

struct pod *pods_find_ipv4(const struct pods *pods, struct in_addr ipv4)
{
	for (size_t i = 0; i < pods->count; i++) {
		const struct attachment *a = &pods->sorted[i]->record.attachment;

		if (a->has_ipv4 && a->ipv4.s_addr == ipv4.s_addr)
			return pods->sorted[i];
	}
	return NULL;
}

struct pod *pods_find_ipv6(const struct pods *pods, const struct in6_addr *ipv6)
{
	for (size_t i = 0; i < pods->count; i++) {
		const struct attachment *a = &pods->sorted[i]->record.attachment;

		if (a->has_ipv6 && IN6_ARE_ADDR_EQUAL(&a->ipv6, ipv6))
			return pods->sorted[i];
	}
	return NULL;
}

struct pod *pods_find_mac(const struct pods *pods, const struct mac *mac)
{
	for (size_t i = 0; i < pods->count; i++)
		if (mac_equal(&pods->sorted[i]->record.attachment.mac, mac))
			return pods->sorted[i];
	return NULL;
}

// ---- reserving -------------------------------------------------------------------------------------

static int fail_taken(struct error *err, const char *field, int family, const void *address,
		      const struct pod *holder)
{
	const struct attachment_key *key = &holder->record.attachment.key;
	char text[INET6_ADDRSTRLEN];

	inet_ntop(family, address, text, sizeof(text));
	return error_set(err, EADDRINUSE, CODE_CONFLICT, "%s: %s is taken by %s/%s/%s", field, text,
			 key->network, key->container_id, key->ifname);
}

static int reserve_ipv4(struct pods *pods, const struct attach_request *wanted,
			struct attachment *attachment, struct pods_undo *undo, struct error *err)
{
	static const char field[] = "requested_ipv4";
	const struct pod *holder;
	int r;

	if (!pods->network.common.has_ipv4)
		return wanted->wants_ipv4 ? error_set(err, EINVAL, CODE_BAD_REQUEST,
						      "%s: the pod network has no IPv4", field)
					  : 0;
	if (wanted->wants_ipv4) {
		holder = pods_find_ipv4(pods, wanted->requested_ipv4);
		if (holder != NULL)
			return fail_taken(err, field, AF_INET, &wanted->requested_ipv4, holder);
		r = ipam_alloc_requested(&pods->ipv4, &wanted->requested_ipv4, &undo->ipv4_undo,
					 err);
		if (r < 0) {
			error_prefix(err, "%s", field);
			return r;
		}
		attachment->ipv4 = wanted->requested_ipv4;
	} else {
		r = ipam_alloc(&pods->ipv4, &attachment->ipv4, &undo->ipv4_undo, err);
		if (r < 0)
			return r;
	}
	undo->ipv4 = attachment->has_ipv4 = true;
	attachment->gateway_ipv4 = pods->network.common.gateway_ipv4;
	return 0;
}

static int reserve_ipv6(struct pods *pods, const struct attach_request *wanted,
			struct attachment *attachment, struct pods_undo *undo, struct error *err)
{
	static const char field[] = "requested_ipv6";
	const struct pod *holder;
	int r;

	if (!pods->network.common.has_ipv6)
		return wanted->wants_ipv6 ? error_set(err, EINVAL, CODE_BAD_REQUEST,
						      "%s: the pod network has no IPv6", field)
					  : 0;
	if (wanted->wants_ipv6) {
		holder = pods_find_ipv6(pods, &wanted->requested_ipv6);
		if (holder != NULL)
			return fail_taken(err, field, AF_INET6, &wanted->requested_ipv6, holder);
		r = ipam_alloc_requested(&pods->ipv6, &wanted->requested_ipv6, &undo->ipv6_undo,
					 err);
		if (r < 0) {
			error_prefix(err, "%s", field);
			return r;
		}
		attachment->ipv6 = wanted->requested_ipv6;
	} else {
		r = ipam_alloc(&pods->ipv6, &attachment->ipv6, &undo->ipv6_undo, err);
		if (r < 0)
			return r;
	}
	undo->ipv6 = attachment->has_ipv6 = true;
	attachment->gateway_ipv6 = pods->network.common.gateway_ipv6;
	return 0;
}

static int reserve_function(struct pods *pods, struct attachment *attachment,
			    struct pods_undo *undo, struct error *err)
{
	uint32_t vf = lru_pool_head(&pods->functions);

	if (vf == LRU_POOL_NONE)
		return error_set(err, ENOSPC, CODE_NO_FUNCTION,
				 "no function of the NIC is left: %u of %u in use",
				 pods->functions.taken, pods->functions.size);
	undo->function_undo = lru_pool_take(&pods->functions, vf);
	undo->function = true;
	attachment->function = (struct function_id){.pf = 0, .vf = (uint16_t)vf};
	return 0;
}

struct lru_pool *pods_vhost_pool(struct pods *pods, enum port_choice choice)
{
	switch (choice) {
	case PORT_CHOICE_VHOST_USER:
		return &pods->vhosts;
	case PORT_CHOICE_VIRTIO_USER:
		return &pods->virtios;
	case PORT_CHOICE_FUNCTION:
	case PORT_CHOICE_COUNT:
		break;
	}
	return NULL;
}

static int reserve_vhost(struct pods *pods, enum port_choice choice, struct pods_undo *undo,
			 struct error *err)
{
	struct lru_pool *pool = pods_vhost_pool(pods, choice);
	bool socket = choice == PORT_CHOICE_VHOST_USER;
	uint32_t vhost = lru_pool_head(pool);

	if (pool->size == 0)
		return error_set(
			err, EOPNOTSUPP, CODE_UNSUPPORTED,
			"port_kind: this agent has no %s ports; %s of its configuration gives it "
			"some",
			port_choice_name(choice),
			socket ? "vhost.socket_dir" : "virtio_user.ports");
	if (vhost == LRU_POOL_NONE)
		return error_set(err, ENOSPC, CODE_NO_FUNCTION,
				 "no %s port is left: %u of %u in use (%s.ports)",
				 port_choice_name(choice), pool->taken, pool->size,
				 socket ? "vhost" : "virtio_user");
	undo->vhost_undo = lru_pool_take(pool, vhost);
	undo->vhost = pool;
	return 0;
}

int pods_reserve(struct pods *pods, const struct attach_request *wanted,
		 struct attachment *attachment, struct pods_undo *ret_undo, struct error *err)
{
	struct pods_undo undo = {0};
	int r;

	r = reserve_ipv4(pods, wanted, attachment, &undo, err);
	if (r == 0)
		r = reserve_ipv6(pods, wanted, attachment, &undo, err);
	if (r == 0)
		r = wanted->port == PORT_CHOICE_FUNCTION
			    ? reserve_function(pods, attachment, &undo, err)
			    : reserve_vhost(pods, wanted->port, &undo, err);
	if (r < 0) {
		pods_unreserve(pods, &undo);
		return r;
	}
	attachment->port = wanted->port;
	*ret_undo = undo;
	return 0;
}

void pods_unreserve(struct pods *pods, const struct pods_undo *undo)
{
	if (undo->vhost != NULL)
		lru_pool_untake(undo->vhost, &undo->vhost_undo);
	if (undo->function)
		lru_pool_untake(&pods->functions, &undo->function_undo);
	if (undo->ipv6)
		ipam_undo(&pods->ipv6, &undo->ipv6_undo);
	if (undo->ipv4)
		ipam_undo(&pods->ipv4, &undo->ipv4_undo);
}

// ---- the set ---------------------------------------------------------------------------------------

static int grow(struct pods *pods)
{
	size_t capacity = pods->capacity == 0 ? 64 : pods->capacity * 2;
	struct pod **sorted = realloc(pods->sorted, capacity * sizeof(struct pod *));

	if (sorted == NULL)
		return -ENOMEM;
	pods->sorted = sorted;
	pods->capacity = capacity;
	return 0;
}

// The VF of an attachment, NO_FUNCTION if it has none that the NIC has. (A restored record may name one that the
// NIC no longer has.)
enum { NO_FUNCTION = UINT16_MAX };

static uint16_t function_of(const struct pods *pods, const struct attachment *attachment)
{
	uint16_t vf = attachment->function.vf;

	return attachment->port == PORT_CHOICE_FUNCTION && vf < pods->functions.size
		       ? vf
		       : (uint16_t)NO_FUNCTION;
}

struct pod *pods_add(struct pods *pods, const struct store_record *record, uint32_t vhost)
{
	const struct attachment *attachment = &record->attachment;
	size_t i = bound(pods, &attachment->key, false);
	uint16_t vf = function_of(pods, attachment);
	static uint64_t last_number;
	struct pod *pod;

	assert(pods_find(pods, &attachment->key) == NULL);
	assert(pods_find_mac(pods, &attachment->mac) == NULL);
	assert(!attachment->has_ipv4 || pods_find_ipv4(pods, attachment->ipv4) == NULL);
	assert(!attachment->has_ipv6 || pods_find_ipv6(pods, &attachment->ipv6) == NULL);
	if (pods->count == pods->capacity && grow(pods) < 0)
		return NULL;
	pod = calloc(1, sizeof(*pod));
	if (pod == NULL)
		return NULL;
	pod->record = *record;
	pod->number = ++last_number;
	pod->vhost = vhost;
	if (vf != NO_FUNCTION) {
		assert(pods->by_function[vf] == NULL);
		pods->by_function[vf] = pod;
	}
	memmove(&pods->sorted[i + 1], &pods->sorted[i], (pods->count - i) * sizeof(struct pod *));
	pods->sorted[i] = pod;
	pods->count++;
	return pod;
}

void pods_remove(struct pods *pods, struct pod *pod)
{
	size_t i = bound(pods, &pod->record.attachment.key, false);
	uint16_t vf = function_of(pods, &pod->record.attachment);

	assert(i < pods->count && pods->sorted[i] == pod);
	pods->count--;
	memmove(&pods->sorted[i], &pods->sorted[i + 1], (pods->count - i) * sizeof(struct pod *));
	if (vf != NO_FUNCTION)
		pods->by_function[vf] = NULL;
	free(pod);
}

void pods_release(struct pods *pods, struct pod *pod)
{
	const struct attachment attachment = pod->record.attachment;
	uint16_t vf = function_of(pods, &attachment);
	uint32_t vhost = pod->vhost;

	pods_remove(pods, pod);
	if (attachment.has_ipv4)
		ipam_release(&pods->ipv4, &attachment.ipv4);
	if (attachment.has_ipv6)
		ipam_release(&pods->ipv6, &attachment.ipv6);
	if (vf != NO_FUNCTION)
		lru_pool_release(&pods->functions, vf);
	if (vhost != LRU_POOL_NONE)
		lru_pool_release(pods_vhost_pool(pods, attachment.port), vhost);
}

bool pods_ipv4_in_pool(const struct pods *pods, struct in_addr ipv4)
{
	return pods->ipv4.prefix.usable != 0 && ipam_in_pool(&pods->ipv4.prefix, &ipv4);
}

bool pods_ipv6_in_pool(const struct pods *pods, const struct in6_addr *ipv6)
{
	return pods->ipv6.prefix.usable != 0 && ipam_in_pool(&pods->ipv6.prefix, ipv6);
}
