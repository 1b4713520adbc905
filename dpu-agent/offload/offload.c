// SPDX-License-Identifier: BSD-3-Clause
//
// The object: its life, and how it comes to an engine. What becomes of the pods' rules is in
// pods.c.

#include "offload/offload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_ethdev.h>

#include "offload/connections_private.h"
#include "offload/routes_private.h"
#include "port/port_dpdk.h"
#include "proto/base/log.h"

enum { ROUTES_BUDGET_US = 200 * 1000 }; // of all, when the rules begin

int64_t offload_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
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

// ---- the engine ---------------------------------------------------------------------------------

// Every rule, the shared ones last: they lead to the others, but to no frame's harm.
static void remove_all(struct offload *offload)
{
	struct rule_set *shared = &offload->shared;
	struct rule_set *sets[BATCH_SETS];
	size_t count = 0;

	if (offload->engine == NULL)
		return;
	transaction_remove(offload, &shared, 1);
	connections_remove_all(offload);
	routes_remove_all(offload);
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
	connections_forget(offload);
	routes_forget(offload);
	transaction_forget(offload, &offload->shared);
	for (uint32_t slot = 0; slot < OFFLOAD_SLOTS; slot++)
		transaction_forget(offload, &offload->pods[slot]);
	if (offload->engine->form.meter)
		meter_policy_give_back(offload->engine->port_id);
	offload->engine->ops->free(offload->engine);
	offload->engine = NULL;
}

// Pods', and the host's.
static uint32_t function_count(const struct offload *offload)
{
	return nic_function_count(offload->nic) + (offload->host_slot != NO_SLOT);
}

// The uplink is configured: for the first time, or again after a stop, which ends its rules unless
// the device keeps them.
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
		engine_async_configure(proxy, function_count(offload), offload->most_connections,
				       &offload->queue, offload->queue_why);
}

// The rules it would take, but there are no tables for them.
static void note_missing_room(struct offload *offload)
{
	struct preflight *preflight = &offload->preflight;
	const struct flow_form *form = &preflight->form;
	const struct engine *engine = offload->engine;
	const char *why = offload->queue_why;

	if (offload->queue.connections == 0)
		return;
	if (form->hairpin && !engine->hairpin)
		preflight_note(preflight, "room for connections within the node", false, why);
	if (form->echo_ipv4 && !engine->echo[0])
		preflight_note(preflight, "room for masqueraded pings over IPv4", false, why);
	if (form->echo_ipv6 && !engine->echo[1])
		preflight_note(preflight, "room for masqueraded pings over IPv6", false, why);
}

// True: it was refused for a reason that may pass.
static bool choose_async(struct offload *offload)
{
	struct preflight *preflight = &offload->preflight;

	if (offload->queue.size == 0)
		return false;
	preflight_run(preflight, offload->uplink, offload->first_function, true,
		      offload->router.vlan, offload->icmp6);
	if (!preflight->usable) {
		snprintf(offload->queue_why, sizeof(offload->queue_why), "%.*s",
			 ENGINE_WHY_SIZE - 1, preflight->why_not);
		return preflight->passing;
	}
	offload->queue_why[0] = '\0';
	int r = engine_async_new(preflight->proxy, &preflight->form, &offload->queue,
				 function_count(offload), &offload->engine, offload->queue_why);
	if (r == 0 && !offload->engine->connections)
		snprintf(offload->connections_why, sizeof(offload->connections_why),
			 "the NIC has no room for rules of connections: %.64s", offload->queue_why);
	else if (r == 0)
		note_missing_room(offload);
	if (r == 0)
		offload->queue_why[0] = '\0';
	return preflight_may_pass(r);
}

static void choose_engine(struct offload *offload)
{
	struct preflight *preflight = &offload->preflight;
	const bool async_may_pass = choose_async(offload);
	char why[ENGINE_WHY_SIZE];

	if (offload->engine == NULL) {
		preflight_run(preflight, offload->uplink, offload->first_function, false,
			      offload->router.vlan, offload->icmp6);
		if (preflight->usable &&
		    engine_sync_new(preflight->proxy, &preflight->form, &offload->engine) < 0)
			snprintf(preflight->why_not, sizeof(preflight->why_not), "out of memory");
	}
	if (offload->engine != NULL && offload->engine->form.meter &&
	    meter_policy_make(offload->engine->port_id, why) < 0) {
		log_warning("no meters", "error=\"%s\"", why);
		offload->engine->form.meter = false;
	}
	preflight_note(preflight, "asynchronous API",
		       offload->engine != NULL && offload->engine->ops->bulk, offload->queue_why);
	if (!preflight->form.connections)
		snprintf(offload->connections_why, sizeof(offload->connections_why),
			 "the NIC does not take the rules of connections (podportctl offload)");
	snprintf(offload->why_not, sizeof(offload->why_not), "%s", preflight->why_not);
	offload->passing = preflight->passing || async_may_pass;
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
	const struct flow_form *form = &offload->engine->form;
	const struct program_wire wire = {offload->uplink, offload->router.vlan};
	const bool connections = offload->connections != NULL && offload->engine->connections;
	shared->count = program_shared(form->icmp6_type, form->udp_ports,
				       connections ? &wire : NULL, rules);
	for (size_t i = 0; i < shared->count; i++)
		shared->rules[i] = (struct installed){.rule = rules[i]};
	transaction_install(offload, &shared, 1, INT64_MAX); // without them there is nothing
	snprintf(offload->why_not, sizeof(offload->why_not), "%s", shared->reason);
}

void offload_set_up(struct offload *offload)
{
	const bool told = offload->why_not[0] != '\0';

	if (offload->engine == NULL)
		choose_engine(offload);
	for (uint32_t slot = 0; slot < OFFLOAD_SLOTS; slot++)
		pods_judge(offload, &offload->pods[slot]);
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
	pods_measure(offload);
	offload_set_up(offload);
	if (offload_usable(offload))
		pods_fill(offload);
	routes_fill(offload, offload_now_us() + ROUTES_BUDGET_US);
	pods_tell(offload);
}

void offload_end(struct offload *offload)
{
	if (!offload->begun)
		return;
	remove_all(offload);
	drop_engine(offload);
	offload->begun = false;
}

// ---- life ---------------------------------------------------------------------------------------

// EAL's interrupt thread.
static int on_event(uint16_t port_id, enum rte_eth_event_type type, void *argument, void *ret_param)
{
	struct offload *offload = argument;
	uint32_t slot = offload->slot_of_port[port_id];

	if (slot == NO_SLOT)
		return 0;
	// Its meters are gone with its rules; of the uplink's, all.
	for (uint32_t i = 0; i < OFFLOAD_SLOTS; i++) {
		if (i == slot || slot == offload->uplink_slot)
			datapath_meter_in_nic(i, false);
	}
	atomic_store(&offload->event[slot], true);
	atomic_store(&offload->any_event, true);
	return 0;
}

static const enum rte_eth_event_type watched[] = {RTE_ETH_EVENT_INTR_RESET, RTE_ETH_EVENT_INTR_RMV};

static void know_port(struct offload *offload, const struct port *port, uint16_t vf)
{
	offload->slot_of_port[port_ethdev_id(port)] = port_slot(port);
	offload->ethdev_of_slot[port_slot(port)] = port_ethdev_id(port);
	offload->vf_of_slot[port_slot(port)] = vf;
}

static void find_ports(struct offload *offload)
{
	const struct port *uplink = nic_port(offload->nic, PORT_UPLINK, 0);
	const struct port *host = nic_port(offload->nic, PORT_HOST, 0);

	for (uint32_t port_id = 0; port_id < RTE_MAX_ETHPORTS; port_id++)
		offload->slot_of_port[port_id] = NO_SLOT;
	offload->uplink = port_ethdev_id(uplink);
	offload->uplink_slot = port_slot(uplink);
	offload->slot_of_port[offload->uplink] = offload->uplink_slot;
	for (uint32_t vf = 0; vf < nic_function_count(offload->nic); vf++)
		know_port(offload, nic_port(offload->nic, PORT_FUNCTION, vf), (uint16_t)vf);
	if (host != NULL) {
		offload->host_slot = port_slot(host);
		know_port(offload, host, RULE_HOST);
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
	offload->loopback = config->loopback;
	offload->icmp6 = config->icmp6;
	offload->host_slot = NO_SLOT;
	offload->shared.slot = NO_SLOT;
	for (uint32_t slot = 0; slot < OFFLOAD_SLOTS; slot++)
		offload->pods[slot].slot = slot;
	if (offload->enabled && config->places > 0 && config->connections > 0) {
		int r = connections_new(config->places, config->connections, &offload->connections,
					err);

		if (r < 0) {
			free(offload);
			return r;
		}
		offload->most_connections = RTE_MIN(config->places, config->connections);
	}
	if (offload->enabled) {
		int r = routes_new(&offload->routes, err);

		if (r < 0) {
			connections_free(offload->connections);
			free(offload);
			return r;
		}
	}
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
	connections_free(offload->connections);
	routes_free(offload->routes);
	free(offload);
}
