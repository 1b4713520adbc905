// SPDX-License-Identifier: BSD-3-Clause
//
// See restore.h. Read everything, decide on the pod network, write what follows from it in one
// transaction, then build the sets.

#include "pod/restore.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/log.h"

// What is in the store.
struct contents {
	struct store_header header;
	struct store_record *records;
	size_t record_count;
	struct store_released *released;
	size_t released_count;
};

static void contents_clear(struct contents *contents)
{
	free(contents->records);
	free(contents->released);
}

// Room for one more; the array doubles at each power of two.
static void *grow(void *array, size_t count, size_t size)
{
	if ((count & (count - 1)) != 0)
		return array;
	return reallocarray(array, count == 0 ? 1 : count * 2, size);
}

static int visit_record(const struct store_record *record, void *arg, struct error *err)
{
	struct contents *contents = arg;
	void *grown = grow(contents->records, contents->record_count, sizeof(*record));

	if (grown == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
	contents->records = grown;
	contents->records[contents->record_count++] = *record;
	return 0;
}

static int visit_released(const struct store_released *released, void *arg, struct error *err)
{
	struct contents *contents = arg;
	void *grown = grow(contents->released, contents->released_count, sizeof(*released));

	if (grown == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
	contents->released = grown;
	contents->released[contents->released_count++] = *released;
	return 0;
}

static int read_contents(struct store *store, struct contents *contents, struct error *err)
{
	int r = store_read_header(store, &contents->header, err);

	if (r == 0)
		r = store_each_record(store, visit_record, contents, err);
	if (r == 0)
		r = store_each_released(store, visit_released, contents, err);
	return r;
}

// ---- the pod network -------------------------------------------------------------------------------

// The attachments that cannot live in `configured`, as a list for people into `list`, cut to its
// size. Returns how many there are.
static size_t list_blockers(const struct contents *contents, const struct network *configured,
			    char *list, size_t size)
{
	size_t blockers = 0;

	list[0] = '\0';
	for (size_t i = 0; i < contents->record_count; i++) {
		const struct store_record *record = &contents->records[i];
		const struct attachment_key *key = &record->attachment.key;
		struct error why = {0};

		if (record->state != STORE_ATTACHED ||
		    network_suits(configured, &record->attachment, &why) == 0)
			continue;
		log_error("pod network: an attachment is in the way of the configured one",
			  "network=%s container=%s ifname=%s reason=\"%s\"", key->network,
			  key->container_id, key->ifname, why.message);
		network_list_blocker(list, size, key, &why);
		blockers++;
	}
	return blockers;
}

static size_t count_live(const struct contents *contents)
{
	size_t live = 0;

	for (size_t i = 0; i < contents->record_count; i++)
		live += contents->records[i].state == STORE_ATTACHED;
	return live;
}

// Was the stored pod network set by a call, and has nobody changed the configuration since?
static bool was_set_over(const struct store_header *header, const struct network *configured)
{
	char text[2 * NETWORK_TEXT_SIZE] = "";

	if (configured != NULL)
		network_text(configured, text);
	return header->has_network && header->network_was_set &&
	       strcmp(text, header->network_set_over) == 0;
}

// The pod network to go on with; NULL: none. A notice is for the operator, as in struct restored.
static const struct network *choose_network(const struct contents *contents,
					    const struct network *configured,
					    struct error *ret_notice)
{
	const struct network *stored =
		contents->header.has_network ? &contents->header.network : NULL;
	char old[2 * NETWORK_TEXT_SIZE], new[2 * NETWORK_TEXT_SIZE], list[LIMIT_TEXT / 2];
	size_t blockers, live = count_live(contents);

	if (was_set_over(&contents->header, configured))
		return stored;
	if (stored == NULL || live == 0)
		return configured;
	network_text(stored, old);
	if (configured == NULL) {
		error_set(ret_notice, EBUSY, CODE_CONFLICT,
			  "the configuration has no pod_network; going on with %s, which %zu "
			  "attachments have addresses of",
			  old, live);
		return stored;
	}
	blockers = list_blockers(contents, configured, list, sizeof(list));
	if (blockers == 0)
		return configured;
	network_text(configured, new);
	error_set(
		ret_notice, EBUSY, CODE_CONFLICT,
		"the configured pod network %s is not taken, going on with %s: %zu attachments are "
		"in the way: %s. Delete these pods, then restart the agent",
		new, old, blockers, list);
	return stored;
}

// ---- what follows, written -------------------------------------------------------------------------

// Under `network`, is the release order of this to be known?
static bool released_is_kept(const struct network *network, uint32_t functions,
			     const struct store_released *released)
{
	struct ipam_prefix prefix;

	switch (released->pool) {
	case STORE_POOL_IPV4:
		if (!network->common.has_ipv4)
			return false;
		prefix = network_ipv4_prefix(network);
		return ipam_check(&prefix, &released->ipv4, NULL) == 0 &&
		       ipam_in_pool(&prefix, &released->ipv4);
	case STORE_POOL_IPV6:
		if (!network->common.has_ipv6)
			return false;
		prefix = network_ipv6_prefix(network);
		return ipam_check(&prefix, &released->ipv6, NULL) == 0 &&
		       ipam_in_pool(&prefix, &released->ipv6);
	case STORE_POOL_FUNCTION:
		break;
	}
	return released->vf < functions;
}

// A release that was decided, but not finished.
static int finish_release(struct store *store, struct contents *contents,
			  const struct attachment *attachment, const struct network *network,
			  uint32_t functions, struct error *err)
{
	const struct store_released released[] = {
		{.pool = STORE_POOL_FUNCTION, .vf = attachment->function.vf},
		{.pool = STORE_POOL_IPV4, .ipv4 = attachment->ipv4},
		{.pool = STORE_POOL_IPV6, .ipv6 = attachment->ipv6},
	};
	const bool held[] = {attachment->port == PORT_CHOICE_FUNCTION, attachment->has_ipv4,
			     attachment->has_ipv6};
	int r = store_delete(store, &attachment->key, err);

	for (size_t i = 0; r == 0 && i < sizeof(held) / sizeof(held[0]); i++) {
		if (!held[i] || !released_is_kept(network, functions, &released[i]))
			continue;
		r = store_put_released(store, &released[i], err);
		if (r == 0)
			r = visit_released(&released[i], contents, err);
	}
	if (r == 0)
		log_info("restore: finished a release", "network=%s container=%s ifname=%s",
			 attachment->key.network, attachment->key.container_id,
			 attachment->key.ifname);
	return r;
}

static int write_decisions(struct store *store, struct contents *contents,
			   const struct network *network, uint32_t functions, struct error *err)
{
	const struct store_header *header = &contents->header;
	int r = 0;

	if (!header->has_network || !network_equal(network, &header->network))
		r = store_put_network(store, network, err);
	// From now on it is the configuration's again.
	if (r == 0 && header->network_was_set && network != &header->network)
		r = store_put_network_origin(store, false, NULL, err);
	for (size_t i = 0; r == 0 && i < contents->released_count; i++)
		if (!released_is_kept(network, functions, &contents->released[i]))
			r = store_delete_released(store, &contents->released[i], err);
	for (size_t i = 0; r == 0 && i < contents->record_count; i++)
		if (contents->records[i].state == STORE_DETACHING)
			r = finish_release(store, contents, &contents->records[i].attachment,
					   network, functions, err);
	return r;
}

// ---- the sets --------------------------------------------------------------------------------------

// A live record back into the sets. Whatever does not fit was not written by us.
static int add_record(struct pods *pods, const struct store_record *record, struct error *err)
{
	const struct attachment *a = &record->attachment;
	struct lru_pool *pool = pods_vhost_pool(pods, a->port);
	uint32_t vhost = LRU_POOL_NONE;
	struct lru_pool_undo undo;
	int r;

	r = network_suits(&pods->network, a, err);
	if (r == 0 && a->has_ipv4)
		r = ipam_alloc_requested(&pods->ipv4, &a->ipv4, &undo, err);
	if (r == 0 && a->has_ipv6)
		r = ipam_alloc_requested(&pods->ipv6, &a->ipv6, &undo, err);
	if (r < 0) {
		error_prefix(err, "attachment %s/%s/%s in the store", a->key.network,
			     a->key.container_id, a->key.ifname);
		return r;
	}
	if (a->port == PORT_CHOICE_FUNCTION && a->function.vf < pods->functions.size)
		lru_pool_take(&pods->functions, a->function.vf);
	// Any will do: its number is seen by nobody. None, if the configuration has fewer than before.
	if (pool != NULL)
		vhost = lru_pool_head(pool);
	if (vhost != LRU_POOL_NONE)
		lru_pool_take(pool, vhost);
	if (pods_add(pods, record, vhost) == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
	return 0;
}

static void mark_released(struct pods *pods, uint32_t functions,
			  const struct store_released *released)
{
	if (!released_is_kept(&pods->network, functions, released))
		return;
	switch (released->pool) {
	case STORE_POOL_IPV4:
		if (!ipam_is_allocated(&pods->ipv4, &released->ipv4))
			ipam_mark_released(&pods->ipv4, &released->ipv4);
		break;
	case STORE_POOL_IPV6:
		if (!ipam_is_allocated(&pods->ipv6, &released->ipv6))
			ipam_mark_released(&pods->ipv6, &released->ipv6);
		break;
	case STORE_POOL_FUNCTION:
		if (!lru_pool_is_taken(&pods->functions, released->vf))
			lru_pool_mark_released(&pods->functions, released->vf);
		break;
	}
}

static int build(const struct contents *contents, const struct network *network,
		 const struct pods_ports *ports, struct pods **ret_pods, struct error *err)
{
	struct pods *pods = NULL;
	int r;

	r = pods_new(ports, &pods);
	if (r == 0 && network != NULL)
		r = pods_set_network(pods, network);
	if (r < 0) {
		pods_free(pods);
		return error_set(err, -r, CODE_INTERNAL, "out of memory");
	}
	for (size_t i = 0; r == 0 && i < contents->record_count; i++)
		if (contents->records[i].state == STORE_ATTACHED)
			r = add_record(pods, &contents->records[i], err);
	if (r < 0) {
		pods_free(pods);
		return r;
	}
	for (size_t i = 0; i < contents->released_count; i++)
		mark_released(pods, ports->functions, &contents->released[i]);
	*ret_pods = pods;
	return 0;
}

int restore(struct store *store, const struct pods_ports *ports, const struct network *configured,
	    struct restored *ret_restored, struct error *err)
{
	struct contents contents = {0};
	struct restored restored = {0};
	const struct network *network;
	int r;

	r = read_contents(store, &contents, err);
	if (r < 0)
		goto out;
	network = choose_network(&contents, configured, &restored.notice);
	if (network != NULL) {
		r = store_begin(store, err);
		if (r == 0)
			r = write_decisions(store, &contents, network, ports->functions, err);
		if (r == 0)
			r = store_commit(store, err);
		if (r < 0) {
			store_rollback(store);
			goto out;
		}
	}
	r = build(&contents, network, ports, &restored.pods, err);
	if (r < 0)
		goto out;
	memcpy(restored.hosts, contents.header.hosts, sizeof(restored.hosts));
	restored.host_count = contents.header.host_count;
	*ret_restored = restored;
out:
	contents_clear(&contents);
	return r;
}
