// SPDX-License-Identifier: BSD-3-Clause
//
// The object: how it comes to an engine, which pods are wanted, and what is tried again when.

#include "offload/offload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_ethdev.h>

#include "offload/offload_private.h"
#include "port/port_dpdk.h"
#include "proto/base/log.h"

enum {
	// The control thread has calls to answer: how long it may be kept by rules that are slow to go in.
	ADD_BUDGET_MS = 1000,
	RETRY_BUDGET_MS = 100,
	RETRY_FAILURES_MAX = 8, // pods that fail again in one retry
};

int64_t offload_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool offload_usable(const struct offload *offload)
{
	const struct rule_set *shared = &offload->shared;

	return offload->engine != NULL && shared->count > 0 && shared->installed == shared->count &&
	       !shared->outdated;
}

bool offload_off(const struct offload *offload)
{
	return !offload->enabled ||
	       (offload->begun && offload->engine == NULL && !offload->passing);
}

bool rule_set_missing(const struct rule_set *set)
{
	return set->wanted &&
	       (set->fresh || set->outdated || set->count == 0 || set->installed < set->count);
}

// ---- the pods' rules ---------------------------------------------------------------------------------------

// Somebody's rule that the NIC would not remove, and that a frame for `set` could meet.
static bool meets_remains(const struct offload *offload, const struct rule_set *set)
{
	for (uint32_t slot = 0; slot < OFFLOAD_SLOTS; slot++) {
		const struct rule_set *other = &offload->pods[slot];

		if (other->wanted || other->installed == 0)
			continue;
		for (size_t i = 0; i < other->count; i++) {
			for (size_t j = 0; other->rules[i].flow != NULL && j < set->count; j++) {
				if (rule_same_match(&other->rules[i].rule, &set->rules[j].rule))
					return true;
			}
		}
	}
	return false;
}

// Write down the set's rules. False: they cannot be installed now, and why is noted.
static bool program(struct offload *offload, struct rule_set *set)
{
	struct rule rules[PROGRAM_RULES_MAX];

	set->error = -EBUSY;
	if (set->installed > 0) {
		snprintf(set->reason, sizeof(set->reason),
			 "the NIC does not remove the rules from before");
		return false;
	}
	if (set->fresh)
		set->received = set->sent = (struct engine_count){0};
	set->fresh = set->outdated = false;
	set->count = program_pod(&set->pod, &offload->router, port_ethdev_id(set->pod.port),
				 offload->vf_of_slot[set->slot], rules);
	for (size_t i = 0; i < set->count; i++)
		set->rules[i] = (struct installed){.rule = rules[i]};
	if (meets_remains(offload, set)) {
		snprintf(set->reason, sizeof(set->reason),
			 "the NIC does not remove a rule of a pod that has left");
		return false;
	}
	set->error = 0;
	return true;
}

// Make the rules of these sets, at most BATCH_SETS, anew. Returns how many are in.
static size_t renew(struct offload *offload, struct rule_set **sets, size_t count)
{
	struct rule_set *ready[BATCH_SETS], *old[BATCH_SETS];
	size_t ready_count = 0, old_count = 0;

	for (size_t i = 0; i < count; i++) {
		if (sets[i]->installed > 0)
			old[old_count++] = sets[i];
	}
	transaction_remove(offload, old, old_count);
	for (size_t i = 0; i < count; i++) {
		if (program(offload, sets[i]))
			ready[ready_count++] = sets[i];
	}
	return transaction_install(offload, ready, ready_count);
}

// How many pods to do at once.
static size_t batch_size(const struct offload *offload)
{
	return offload->engine->ops->bulk ? BATCH_SETS : 1;
}

// Go on from `*cursor` with what is missing: at most `size` sets. Returns how many.
static size_t collect_missing(struct offload *offload, uint32_t *cursor, uint32_t *left,
			      struct rule_set **ret_sets, size_t size)
{
	size_t count = 0;

	for (; *left > 0 && count < size; (*left)--) {
		struct rule_set *set = &offload->pods[*cursor];

		*cursor = (*cursor + 1) % OFFLOAD_SLOTS;
		if (rule_set_missing(set))
			ret_sets[count++] = set;
	}
	return count;
}

// Install what is missing, a batch after the other, until `deadline_ms`.
static void fill(struct offload *offload, int64_t deadline_ms)
{
	struct rule_set *sets[BATCH_SETS];
	uint32_t left = OFFLOAD_SLOTS;
	size_t count;

	while (offload_now_ms() < deadline_ms &&
	       (count = collect_missing(offload, &offload->cursor, &left, sets,
					batch_size(offload))) > 0)
		renew(offload, sets, count);
}

// The same with a careful beginning, since most likely it fails as it did before: pod by pod while pods
// fail, not at all while the table is full.
static void fill_again(struct offload *offload, int64_t deadline_ms)
{
	struct rule_set *sets[BATCH_SETS];
	uint32_t left = OFFLOAD_SLOTS;
	size_t failures = 0, size = 1, count;

	while (offload_now_ms() < deadline_ms && failures < RETRY_FAILURES_MAX &&
	       (count = collect_missing(offload, &offload->cursor, &left, sets, size)) > 0) {
		size_t good = renew(offload, sets, count);

		failures += count - good;
		size = good == count ? batch_size(offload) : 1;
		for (size_t i = 0; i < count; i++) {
			if (sets[i]->error == -ENOSPC)
				return;
		}
	}
}

// One line when rules begin to be missing, one when none is any more.
static void tell(struct offload *offload)
{
	struct offload_summary summary;

	offload_read_summary(offload, &summary);
	if (summary.rules_missing > 0 && !offload->told_missing)
		log_warning("rules missing, the slow path forwards instead",
			    "rules=%u pods=%u reason=\"%s\"", summary.rules_missing,
			    summary.pods_none, summary.missing_reason);
	else if (summary.rules_missing == 0 && offload->told_missing)
		log_info("all rules in place", "rules=%u", summary.rules);
	offload->told_missing = summary.rules_missing > 0;
}

static bool same_pod(const struct offload_pod *a, const struct offload_pod *b)
{
	return a->port == b->port && memcmp(&a->mac, &b->mac, sizeof(a->mac)) == 0 &&
	       a->mtu == b->mtu && a->has_ipv4 == b->has_ipv4 && a->has_ipv6 == b->has_ipv6 &&
	       (!a->has_ipv4 || a->ipv4.s_addr == b->ipv4.s_addr) &&
	       (!a->has_ipv6 || memcmp(&a->ipv6, &b->ipv6, sizeof(a->ipv6)) == 0);
}

static void want(struct rule_set *set, const struct offload_pod *pod)
{
	if (!set->wanted) {
		set->fresh = true;
	} else {
		if (same_pod(&set->pod, pod))
			return;
		set->outdated = true;
	}
	set->wanted = true;
	set->pod = *pod;
	set->error = 0;
	snprintf(set->reason, sizeof(set->reason), "not yet installed");
}

void offload_add(struct offload *offload, const struct offload_pod *pods, size_t count)
{
	const int64_t deadline_ms = offload_now_ms() + ADD_BUDGET_MS;
	struct rule_set *sets[BATCH_SETS];

	if (!offload->enabled)
		return;
	for (size_t i = 0; i < count; i++)
		want(&offload->pods[pods[i].slot], &pods[i]);
	for (size_t i = 0; i < count && offload_usable(offload);) {
		size_t n = 0;

		for (; i < count && n < batch_size(offload); i++) {
			if (rule_set_missing(&offload->pods[pods[i].slot]))
				sets[n++] = &offload->pods[pods[i].slot];
		}
		// What changed must go also when time is up: its rules are no longer true.
		if (offload_now_ms() < deadline_ms)
			renew(offload, sets, n);
		else
			transaction_remove(offload, sets, n);
	}
	for (size_t i = 0; i < count && !offload->told_missing; i++) {
		if (rule_set_missing(&offload->pods[pods[i].slot]))
			tell(offload);
	}
}

void offload_remove(struct offload *offload, uint32_t slot)
{
	struct rule_set *set = &offload->pods[slot];

	if (!set->wanted)
		return;
	set->wanted = false;
	if (set->installed > 0)
		transaction_remove(offload, &set, 1);
}

// ---- the engine --------------------------------------------------------------------------------------------

// Every rule, the shared ones last: they lead to the others, but to no frame's harm.
static void remove_all(struct offload *offload)
{
	struct rule_set *shared = &offload->shared;
	struct rule_set *sets[BATCH_SETS];
	size_t count = 0;

	if (offload->engine == NULL)
		return;
	transaction_remove(offload, &shared, 1);
	for (uint32_t slot = 0; slot < OFFLOAD_SLOTS; slot++) {
		if (offload->pods[slot].installed > 0)
			sets[count++] = &offload->pods[slot];
		if (count == BATCH_SETS || slot == OFFLOAD_SLOTS - 1) {
			transaction_remove(offload, sets, count);
			count = 0;
		}
	}
}

static void drop_engine(struct offload *offload)
{
	if (offload->engine == NULL)
		return;
	// What was not removed goes with the NIC's configuration.
	transaction_forget(offload, &offload->shared);
	for (uint32_t slot = 0; slot < OFFLOAD_SLOTS; slot++)
		transaction_forget(offload, &offload->pods[slot]);
	offload->engine->ops->free(offload->engine);
	offload->engine = NULL;
}

// The uplink is configured: for the first time, or again after a stop, which ends its rules unless the device keeps them.
static void on_uplink_configured(void *argument)
{
	struct offload *offload = argument;
	struct rte_eth_dev_info info;
	struct rte_flow_error error = {0};
	uint16_t proxy;

	if (rte_eth_dev_info_get(offload->uplink, &info) == 0 &&
	    (info.dev_capa & RTE_ETH_DEV_CAPA_FLOW_RULE_KEEP))
		remove_all(offload);
	drop_engine(offload);
	offload->begun = false;
	offload->queue = (struct engine_queue){0};
	int r = rte_flow_pick_transfer_proxy(offload->uplink, &proxy, &error);
	if (r < 0)
		flow_explain(-r, &error, offload->queue_why, sizeof(offload->queue_why));
	else if (proxy != offload->uplink)
		snprintf(offload->queue_why, sizeof(offload->queue_why),
			 "the transfer proxy is not the uplink but port %u", proxy);
	else
		engine_async_configure(proxy, nic_function_count(offload->nic), &offload->queue,
				       offload->queue_why);
}

static void choose_async(struct offload *offload)
{
	struct preflight *preflight = &offload->preflight;

	if (offload->queue.size == 0)
		return;
	preflight_run(preflight, offload->uplink, offload->first_function, true);
	if (preflight->usable)
		engine_async_new(preflight->proxy, &preflight->form, &offload->queue,
				 nic_function_count(offload->nic), &offload->engine,
				 offload->queue_why);
	else
		snprintf(offload->queue_why, sizeof(offload->queue_why), "%.*s",
			 ENGINE_WHY_SIZE - 1, preflight->why_not);
}

static void choose_engine(struct offload *offload)
{
	struct preflight *preflight = &offload->preflight;

	choose_async(offload);
	if (offload->engine == NULL) {
		preflight_run(preflight, offload->uplink, offload->first_function, false);
		if (preflight->usable &&
		    engine_sync_new(preflight->proxy, &preflight->form, &offload->engine) < 0)
			snprintf(preflight->why_not, sizeof(preflight->why_not), "out of memory");
	}
	preflight_note(preflight, "asynchronous API",
		       offload->engine != NULL && offload->engine->ops->bulk, offload->queue_why);
	snprintf(offload->why_not, sizeof(offload->why_not), "%s", preflight->why_not);
	offload->passing = preflight->passing;
}

static void install_shared(struct offload *offload)
{
	struct rule_set *shared = &offload->shared;
	struct rule rules[PROGRAM_RULES_MAX];

	if (shared->installed > 0)
		transaction_remove(offload, &shared, 1);
	if (shared->installed > 0) {
		snprintf(offload->why_not, sizeof(offload->why_not),
			 "the NIC does not remove the shared rules from before");
		return;
	}
	shared->outdated = false;
	shared->count = program_shared(offload->engine->form.icmp6_type, rules);
	for (size_t i = 0; i < shared->count; i++)
		shared->rules[i] = (struct installed){.rule = rules[i]};
	transaction_install(offload, &shared, 1);
	snprintf(offload->why_not, sizeof(offload->why_not), "%s", shared->reason);
}

static void set_up(struct offload *offload)
{
	const bool told = offload->why_not[0] != '\0';

	if (offload->engine == NULL)
		choose_engine(offload);
	if (offload->engine != NULL)
		install_shared(offload);
	if (offload_usable(offload))
		log_info("offload ready", "api=%s", offload->engine->ops->name);
	else if (!told)
		log_warning("no offload, the slow path forwards everything", "reason=\"%s\"",
			    offload->why_not);
}

void offload_begin(struct offload *offload, const struct offload_router *router)
{
	if (!offload->enabled)
		return;
	if (offload->begun) {
		remove_all(offload);
		drop_engine(offload);
	}
	offload->router = *router;
	offload->begun = true;
	offload->why_not[0] = '\0';
	set_up(offload);
	if (offload_usable(offload))
		fill(offload, offload_now_ms() + ADD_BUDGET_MS);
	tell(offload);
}

// ---- events and retry --------------------------------------------------------------------------------------

// EAL's interrupt thread.
static int on_event(uint16_t port_id, enum rte_eth_event_type type, void *argument, void *ret_param)
{
	struct offload *offload = argument;
	uint32_t slot = offload->slot_of_port[port_id];

	if (slot == NO_SLOT)
		return 0;
	atomic_store(&offload->event[slot], true);
	atomic_store(&offload->any_event, true);
	return 0;
}

// A function that was reset has lost its rules, or what they act on; with the uplink, all have.
static void take_events(struct offload *offload)
{
	if (!atomic_exchange(&offload->any_event, false))
		return;
	const bool all = atomic_exchange(&offload->event[offload->uplink_slot], false);
	uint32_t reset = 0;

	for (uint32_t slot = 0; slot < OFFLOAD_SLOTS; slot++) {
		struct rule_set *set = &offload->pods[slot];

		if (!atomic_exchange(&offload->event[slot], false) && !all)
			continue;
		if (!set->wanted || set->installed == 0)
			continue;
		set->outdated = true;
		reset++;
	}
	offload->shared.outdated = offload->shared.outdated || all;
	if (reset == 0 && !all)
		return;
	log_info("reset, rules are made again", "pods=%u shared=%s", reset, all ? "yes" : "no");
}

// Rules that are there and should not be: those of a function that was reset, and those the NIC would not remove.
static void clear(struct offload *offload, int64_t deadline_ms)
{
	for (uint32_t slot = 0; slot < OFFLOAD_SLOTS && offload_now_ms() < deadline_ms; slot++) {
		struct rule_set *set = &offload->pods[slot];

		if (set->installed > 0 && (!set->wanted || rule_set_missing(set)))
			transaction_remove(offload, &set, 1);
	}
}

void offload_retry(struct offload *offload)
{
	const int64_t deadline_ms = offload_now_ms() + RETRY_BUDGET_MS;

	if (!offload->begun || offload_off(offload))
		return;
	take_events(offload);
	if (!offload_usable(offload))
		set_up(offload);
	if (!offload_usable(offload))
		return;
	clear(offload, deadline_ms);
	fill_again(offload, deadline_ms);
	tell(offload);
}

// ---- life --------------------------------------------------------------------------------------------------

static const enum rte_eth_event_type watched[] = {RTE_ETH_EVENT_INTR_RESET, RTE_ETH_EVENT_INTR_RMV};

static void find_ports(struct offload *offload)
{
	const struct port *uplink = nic_port(offload->nic, PORT_UPLINK, 0);

	for (uint32_t port_id = 0; port_id < RTE_MAX_ETHPORTS; port_id++)
		offload->slot_of_port[port_id] = NO_SLOT;
	offload->uplink = port_ethdev_id(uplink);
	offload->uplink_slot = port_slot(uplink);
	offload->slot_of_port[offload->uplink] = offload->uplink_slot;
	for (uint32_t vf = 0; vf < nic_function_count(offload->nic); vf++) {
		const struct port *port = nic_port(offload->nic, PORT_FUNCTION, vf);

		offload->slot_of_port[port_ethdev_id(port)] = port_slot(port);
		offload->vf_of_slot[port_slot(port)] = (uint16_t)vf;
	}
	offload->first_function = port_ethdev_id(nic_port(offload->nic, PORT_FUNCTION, 0));
}

int offload_new(const struct offload_config *config, struct offload **ret_offload,
		struct error *err)
{
	struct offload *offload = calloc(1, sizeof(*offload));

	if (offload == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "offload: out of memory");
	offload->nic = config->nic;
	offload->enabled = config->enabled;
	offload->shared.slot = NO_SLOT;
	for (uint32_t slot = 0; slot < OFFLOAD_SLOTS; slot++)
		offload->pods[slot].slot = slot;
	*ret_offload = offload;
	if (!offload->enabled)
		return 0;
	find_ports(offload);
	nic_set_uplink_hook(offload->nic, on_uplink_configured, offload);
	for (size_t i = 0; i < RTE_DIM(watched); i++)
		rte_eth_dev_callback_register(RTE_ETH_ALL, watched[i], on_event, offload);
	return 0;
}

void offload_free(struct offload *offload)
{
	if (offload == NULL)
		return;
	if (offload->enabled) {
		nic_set_uplink_hook(offload->nic, NULL, NULL);
		for (size_t i = 0; i < RTE_DIM(watched); i++) {
			// -EAGAIN: it is running on the interrupt thread.
			while (rte_eth_dev_callback_unregister(RTE_ETH_ALL, watched[i], on_event,
							       offload) == -EAGAIN)
				;
		}
		remove_all(offload);
		drop_engine(offload);
	}
	free(offload);
}
