// SPDX-License-Identifier: BSD-3-Clause
//
// Which rules there are to be for a wire and its routes; routes_run.c has them in the NIC.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "offload/routes_private.h"
#include "port/port_dpdk.h"
#include "proto/base/log.h"

enum {
	BUDGET_US = 50 * 1000,           // calls wait meanwhile
	ICMP6_ROUTER_SOLICITATION = 133, // RFC 4861 section 4
	ICMP6_REDIRECT = 137,
	ICMP_REQUEST = 8, // RFC 792
	ICMP_REPLY = 0,
	ICMP6_REQUEST = 128, // RFC 4443 section 4
	ICMP6_REPLY = 129,
};

// ---- life ---------------------------------------------------------------------------------------

int routes_new(struct routes **ret_routes, struct error *err)
{
	struct routes *routes = calloc(1, sizeof(*routes));

	if (routes == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "offload: no memory for routes");
	routes->set.slot = NO_SLOT;
	for (size_t i = 0; i < ROUTE_NODES_MAX; i++)
		routes->unused[routes->unused_count++] = &routes->nodes[i];
	*ret_routes = routes;
	return 0;
}

void routes_free(struct routes *routes)
{
	free(routes);
}

const struct offload_wire *routes_wire(const struct offload *offload)
{
	const struct routes *routes = offload->routes;

	if (routes == NULL || !routes->has_wire || offload->engine == NULL)
		return NULL;
	const struct flow_form *form = &offload->engine->form;
	return (routes->wire.vlan != 0 ? form->tagged_routes : form->routes) ? &routes->wire : NULL;
}

uint32_t routes_mtu(const struct offload *offload)
{
	return offload->routes != NULL && offload->routes->has_wire ? offload->routes->wire.mtu : 0;
}

// ---- what is wanted -------------------------------------------------------------------------------

static struct rule *want(struct routes *routes, enum rule_kind kind)
{
	size_t i = routes->wanted_count++;

	memset(&routes->wanted[i], 0, sizeof(routes->wanted[i]));
	routes->wanted[i].rule.kind = kind;
	if (rule_shapes[kind].match & MATCH_WIRE_TAG)
		routes->wanted[i].rule.vlan = routes->wire.vlan;
	return &routes->wanted[i].rule;
}

static struct rule *want_prefix(struct routes *routes, enum rule_kind ipv4, enum rule_kind ipv6,
				const struct offload_prefix *prefix)
{
	struct rule *rule = want(routes, prefix->is_ipv6 ? ipv6 : ipv4);

	rule->prefix_length = prefix->length;
	if (prefix->is_ipv6)
		memcpy(&rule->ipv6, prefix->address, sizeof(rule->ipv6));
	else
		memcpy(&rule->ipv4, prefix->address, sizeof(rule->ipv4));
	return rule;
}

// What group 1 has for frames without a tag.
static void want_tagged_guards(struct routes *routes, const struct flow_form *form)
{
	if (routes->wire.vlan == 0)
		return;
	for (uint8_t limit = 0; limit <= 1; limit++) {
		want(routes, RULE_WIRE_EXPIRING_IPV4)->number = limit;
		want(routes, RULE_WIRE_EXPIRING_IPV6)->number = limit;
	}
	if (!form->icmp6_type)
		want(routes, RULE_WIRE_ICMP6);
	for (uint8_t type = ICMP6_ROUTER_SOLICITATION; form->icmp6_type && type <= ICMP6_REDIRECT;
	     type++)
		want(routes, RULE_WIRE_NEIGHBOUR)->number = type;
}

static void want_sources(struct routes *routes, const struct flow_form *form)
{
	want(routes, RULE_NOBODY_GROUP);
	want(routes, RULE_NOBODY); // all zeros
	want(routes, RULE_NOBODY)->mac = routes->wire.mac;
	want_tagged_guards(routes, form);
	for (uint32_t i = 0; i < routes->wire.source_count; i++) {
		const struct offload_source *source = &routes->wire.sources[i];

		if (source->forward)
			want_prefix(routes, RULE_WIRE_SOURCE_IPV4, RULE_WIRE_SOURCE_IPV6,
				    &source->from);
		else
			want_prefix(routes, RULE_NO_WIRE_SOURCE_IPV4, RULE_NO_WIRE_SOURCE_IPV6,
				    &source->from);
	}
}

static void want_route(const struct offload *offload, const struct offload_route *route)
{
	struct routes *routes = offload->routes;

	if (!(route->to.is_ipv6 ? routes->wire.ipv6 : routes->wire.ipv4))
		return;
	want_prefix(routes, RULE_NO_ROUTE_IPV4, RULE_NO_ROUTE_IPV6, &route->to);
	if (!route->forward)
		return;
	// With the MAC address and port, though it does not look at them: it goes with its output when these change.
	struct rule *to = want_prefix(routes, RULE_ROUTE_IPV4, RULE_ROUTE_IPV6, &route->to);
	to->mac = route->next_hop_mac;
	to->port_id = offload->uplink;
	struct rule *out = want_prefix(routes, RULE_TO_WIRE_IPV4, RULE_TO_WIRE_IPV6, &route->to);
	out->port_id = offload->uplink;
	out->router = routes->wire.mac;
	out->mac = route->next_hop_mac;
	out->vlan = routes->wire.vlan;
	routes->wanted[routes->wanted_count - 1].next_hop = route->next_hop;
}

static void want_entry(const struct offload *offload, enum rule_kind kind)
{
	const uint32_t mtu = routes_mtu(offload);
	struct rule *rule = want(offload->routes, kind);

	rule->router = offload->router.mac;
	rule->mtu = mtu < pods_largest(offload) ? (uint16_t)mtu : 0;
}

// Of pods with connections all that is for no pod is looked up there first.
static void want_entries(const struct offload *offload, enum rule_kind routes,
			 enum rule_kind connected)
{
	want_entry(offload, routes);
	if (offload->connections != NULL && offload->engine->connections)
		want_entry(offload, connected);
}

// Of pods that publish ports.
static void want_no_answers(struct routes *routes)
{
	static const uint8_t types[2][2] = {{ICMP_REQUEST, ICMP_REPLY},
					    {ICMP6_REQUEST, ICMP6_REPLY}};

	for (unsigned int family = 0; family < 2; family++) {
		want(routes, RULE_NO_ANSWER_IPV4 + family)->protocol = IPPROTO_TCP;
		want(routes, RULE_NO_ANSWER_IPV4 + family)->protocol = IPPROTO_UDP;
		for (unsigned int i = 0; i < 2; i++) {
			struct rule *rule = want(routes, RULE_NO_ANSWER_PING_IPV4 + family);

			rule->protocol = family == 0 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
			rule->number = types[family][i];
		}
	}
}

static void write_down(struct offload *offload)
{
	struct routes *routes = offload->routes;
	const struct offload_wire *wire = routes_wire(offload);

	routes->wanted_count = 0;
	if (wire == NULL || !(wire->ipv4 || wire->ipv6))
		return;
	want_sources(routes, &offload->engine->form);
	// A pod of the pod network's MTU may send so much.
	if (pods_largest(offload) == 0 && wire->mtu < offload->router.mtu)
		return;
	if (offload->engine->form.publishers)
		want_no_answers(routes);
	if (wire->ipv4)
		want_entries(offload, RULE_ROUTES_IPV4, RULE_CONNECTED_IPV4);
	if (wire->ipv6)
		want_entries(offload, RULE_ROUTES_IPV6, RULE_CONNECTED_IPV6);
	for (size_t i = 0; i < routes->list_count; i++)
		want_route(offload, &routes->list[i]);
}

// ---- what is there, and what is wanted ------------------------------------------------------------

int routes_compare(const struct rule *a, const struct rule *b)
{
	int r = (int)a->kind - (int)b->kind;

	if (r == 0)
		r = (int)a->prefix_length - (int)b->prefix_length;
	if (r == 0)
		r = memcmp(&a->ipv4, &b->ipv4, sizeof(a->ipv4));
	if (r == 0)
		r = memcmp(&a->ipv6, &b->ipv6, sizeof(a->ipv6));
	if (r == 0)
		r = memcmp(&a->mac, &b->mac, sizeof(a->mac));
	if (r == 0)
		r = memcmp(&a->router, &b->router, sizeof(a->router));
	if (r == 0)
		r = (int)a->vlan - (int)b->vlan;
	if (r == 0)
		r = (int)a->number - (int)b->number;
	if (r == 0)
		r = (int)a->protocol - (int)b->protocol;
	if (r == 0)
		r = (int)a->mtu - (int)b->mtu;
	return r != 0 ? r : (int)a->port_id - (int)b->port_id;
}

static int compare_wanted(const void *a, const void *b)
{
	return routes_compare(a, b); // the rule is its first member
}

static enum route_stage stage_of(enum rule_kind kind)
{
	switch (kind) {
	case RULE_TO_WIRE_IPV4:
	case RULE_TO_WIRE_IPV6:
		return STAGE_OUTPUT;
	case RULE_ROUTE_IPV4:
	case RULE_ROUTE_IPV6:
		return STAGE_ROUTE;
	case RULE_ROUTES_IPV4:
	case RULE_ROUTES_IPV6:
	case RULE_CONNECTED_IPV4:
	case RULE_CONNECTED_IPV6:
	case RULE_NO_ANSWER_IPV4:
	case RULE_NO_ANSWER_IPV6:
	case RULE_NO_ANSWER_PING_IPV4:
	case RULE_NO_ANSWER_PING_IPV6:
	case RULE_WIRE_SOURCE_IPV4:
	case RULE_WIRE_SOURCE_IPV6:
		return STAGE_OPEN;
	default:
		return STAGE_GUARD;
	}
}

static uint8_t half_of(enum rule_kind kind)
{
	const struct rule_shape *shape = &rule_shapes[kind];

	return (uint8_t)((shape->group == RULE_GROUP_WIRE_SOURCE ? HALF_FROM_WIRE : HALF_TO_WIRE) +
			 (shape->family == RULE_IPV6));
}

static struct route_rule *take_node(struct routes *routes, const struct rule *rule)
{
	if (routes->unused_count == 0)
		return NULL;
	struct route_rule *node = routes->unused[--routes->unused_count];

	*node = (struct route_rule){.installed = {.rule = *rule},
				    .stage = stage_of(rule->kind),
				    .half = half_of(rule->kind)};
	return node;
}

// Both in order; the list afterwards has the wanted ones, and the others that are installed still.
static void merge(struct routes *routes)
{
	size_t count = 0, i = 0, j = 0;

	while (i < routes->count || j < routes->wanted_count) {
		struct route_rule *node = i < routes->count ? routes->in_order[i] : NULL;
		const struct rule *rule = j < routes->wanted_count ? &routes->wanted[j].rule : NULL;
		int r = node == NULL   ? 1
			: rule == NULL ? -1
				       : routes_compare(&node->installed.rule, rule);

		if (r > 0)
			node = take_node(routes, rule);
		i += r <= 0;
		j += r >= 0;
		if (node == NULL)
			continue; // the NIC lets go of nothing: no room, and none is missed
		node->wanted = r >= 0;
		if (r >= 0)
			node->next_hop = routes->wanted[j - 1].next_hop;
		if (node->wanted || node->installed.flow != NULL)
			routes->work[count++] = node;
		else
			routes->unused[routes->unused_count++] = node;
	}
	memcpy(routes->in_order, routes->work, count * sizeof(routes->work[0]));
	routes->count = count;
}

_Static_assert((int)ROUTE_NODES_MAX <= (int)LEDGER_ROUTES, "the ledger has room for them");

void routes_plan(struct offload *offload)
{
	struct routes *routes = offload->routes;

	routes->planned = true;
	write_down(offload);
	qsort(routes->wanted, routes->wanted_count, sizeof(routes->wanted[0]), compare_wanted);
	merge(routes);
}

// ---- asking ---------------------------------------------------------------------------------------

void offload_set_routes(struct offload *offload, const struct offload_route *list, size_t count)
{
	struct routes *routes = offload->routes;

	if (routes == NULL)
		return;
	routes->list_count = RTE_MIN(count, (size_t)OFFLOAD_ROUTES_MAX);
	memcpy(routes->list, list, routes->list_count * sizeof(list[0]));
	routes->planned = false;
	if (!offload_usable(offload))
		return;
	routes_fill(offload, offload_now_us() + BUDGET_US);
	pods_tell(offload);
}

static bool same_sources(const struct offload_wire *a, const struct offload_wire *b)
{
	if (a->source_count != b->source_count)
		return false;
	for (uint32_t i = 0; i < a->source_count; i++) {
		if (a->sources[i].forward != b->sources[i].forward ||
		    !offload_prefix_equal(&a->sources[i].from, &b->sources[i].from))
			return false;
	}
	return true;
}

// As far as pods' rules depend on it.
static bool same_for_pods(const struct offload_wire *a, const struct offload_wire *b)
{
	return a->ipv4 == b->ipv4 && a->ipv6 == b->ipv6 && a->vlan == b->vlan && a->mtu == b->mtu &&
	       memcmp(&a->mac, &b->mac, sizeof(a->mac)) == 0;
}

// A pod's old rules must not meet the new wire.
static void remove_pods(struct offload *offload)
{
	for (uint32_t slot = 0; slot < OFFLOAD_SLOTS; slot++) {
		struct rule_set *set = &offload->pods[slot];

		if (!set->wanted || set->installed == 0)
			continue;
		set->outdated = true;
		if (offload->engine != NULL)
			transaction_remove(offload, &set, 1);
	}
}

void routes_grow(struct offload *offload, uint32_t before)
{
	struct routes *routes = offload->routes;

	if (routes_mtu(offload) < before || routes_mtu(offload) >= offload->largest)
		return;
	routes_remove_all(offload);
	routes->planned = false;
	routes_fill(offload, offload_now_us() + BUDGET_US);
}

bool routes_lead_more(const struct offload *offload, uint32_t mtu)
{
	const struct routes *routes = offload->routes;

	if (routes == NULL || !routes->has_wire || mtu <= routes->wire.mtu)
		return false;
	for (size_t i = 0; i < routes->count; i++) {
		const struct installed *installed = &routes->in_order[i]->installed;

		if (installed->flow != NULL && rule_leads_all(&installed->rule))
			return true;
	}
	return false;
}

void offload_set_wire(struct offload *offload, const struct offload_wire *wire)
{
	static const struct offload_wire none;
	const struct offload_wire *now = wire != NULL ? wire : &none;
	struct routes *routes = offload->routes;

	if (routes == NULL)
		return;
	const struct offload_wire *before = routes->has_wire ? &routes->wire : &none;
	const bool for_pods = !same_for_pods(before, now);
	if (routes->has_wire == (wire != NULL) && !for_pods && same_sources(before, now))
		return;
	routes_remove_all(offload);
	if (for_pods)
		remove_pods(offload);
	routes->has_wire = wire != NULL;
	routes->wire = *now;
	routes->planned = false;
	pods_measure(offload);
	if (!offload_usable(offload))
		return;
	if (for_pods)
		pods_fill(offload);
	routes_fill(offload, offload_now_us() + BUDGET_US);
	pods_tell(offload);
}
