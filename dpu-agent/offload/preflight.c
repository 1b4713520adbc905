// SPDX-License-Identifier: BSD-3-Clause
//
// The table of questions. Each is a rule with only the part in question and what carries it.

#include "offload/preflight.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_mtr.h>

#include "offload/flow_table.h"
#include "offload/offload_private.h"
#include "offload/program.h"

// No pod's.
enum {
	SAMPLE_METER = 1 + OFFLOAD_SLOTS * BANDWIDTH_DIRECTIONS,
	SAMPLE_VLAN = 100,
	SAMPLE_MTU = MTU_MIN
};

struct question {
	const char *name;
	struct rule_shape shape;
	// NULL: it is needed. Else the row is about form.*has, and this is what becomes of it
	// without.
	const char *without;
	size_t has; // offset of the bool in struct flow_form
};

#define TO_NEXT .actions = ACTION_JUMP, .jump = RULE_GROUP_SOURCE

// clang-format off
static const struct question questions[] = {
	{"jump to a group",
	 {.match = MATCH_ANY_FUNCTION, .actions = ACTION_JUMP, .jump = RULE_GROUP_DESTINATION},
	 NULL, 0},
	{"match the function a frame is from",
	 {.group = 1, .match = MATCH_FUNCTION, TO_NEXT}, NULL, 0},
	{"match Ethernet addresses",
	 {.group = 1, .family = RULE_IPV4, .match = MATCH_ETH_SRC | MATCH_ETH_DST, TO_NEXT}, NULL, 0},
	{"match untagged frames only",
	 {.group = 1, .family = RULE_IPV4, .match = MATCH_ETH_DST | MATCH_UNTAGGED, TO_NEXT},
	 "if the NIC looks behind VLAN tags it forwards tagged frames, tag and all",
	 offsetof(struct flow_form, untagged)},
	{"match IPv4 destination, without options",
	 {.group = 1, .family = RULE_IPV4, .match = MATCH_NO_OPTIONS | MATCH_IP_DST, TO_NEXT},
	 NULL, 0},
	{"match IPv4 source",
	 {.group = 1, .family = RULE_IPV4, .match = MATCH_IP_SRC, TO_NEXT}, NULL, 0},
	{"match IPv4 TTL",
	 {.group = 1, .family = RULE_IPV4, .match = MATCH_HOP_LIMIT, TO_NEXT}, NULL, 0},
	{"match IPv6 destination",
	 {.group = 1, .family = RULE_IPV6, .match = MATCH_IP_DST, TO_NEXT}, NULL, 0},
	{"match IPv6 source",
	 {.group = 1, .family = RULE_IPV6, .match = MATCH_IP_SRC, TO_NEXT}, NULL, 0},
	{"match IPv6 hop limit",
	 {.group = 1, .family = RULE_IPV6, .match = MATCH_HOP_LIMIT, TO_NEXT}, NULL, 0},
	{"match ICMPv6 type",
	 {.group = 1, .family = RULE_IPV6, .match = MATCH_ICMP6_TYPE, TO_NEXT},
	 "all ICMPv6 takes the slow path", offsetof(struct flow_form, icmp6_type)},
	{"match UDP ports",
	 {.group = 1, .family = RULE_IPV4, .match = MATCH_UDP_PORTS, TO_NEXT},
	 "the NIC forwards what DHCP servers in pods answer", offsetof(struct flow_form, udp_ports)},
	{"match the IP header's integrity",
	 {.group = 1, .family = RULE_IPV4, .match = MATCH_INTACT, TO_NEXT},
	 "bad IPv4 header checksums are not dropped by the NIC", offsetof(struct flow_form, intact)},
	{"count",
	 {.group = 1, .family = RULE_IPV4, .actions = ACTION_COUNT | ACTION_JUMP, .jump = 2}, NULL, 0},
	{"forward to a function",
	 {.group = 1, .family = RULE_IPV4, .match = MATCH_IP_DST, .actions = ACTION_TO_FUNCTION},
	 NULL, 0},
};

static const struct rule_shape rewrite_macs =
	{.group = 1, .family = RULE_IPV4, .actions = ACTION_REWRITE_MACS | ACTION_TO_FUNCTION};
static const struct rule_shape decrement[2] = {
	{.group = 1, .family = RULE_IPV4, .actions = ACTION_DECREMENT_HOP_LIMIT | ACTION_TO_FUNCTION},
	{.group = 1, .family = RULE_IPV6, .actions = ACTION_DECREMENT_HOP_LIMIT | ACTION_TO_FUNCTION},
};
// What the informative questions match.
static const struct rule_shape some_ipv4 = {.group = 1, .family = RULE_IPV4, .match = MATCH_IP_DST};
// clang-format on

// ---- asking -------------------------------------------------------------------------------------

static int ask_words(const struct preflight *p, const struct flow_words *words,
		     char ret_why[ENGINE_WHY_SIZE])
{
	struct rte_flow_error error = {0};
	struct flow_table table;
	int r;

	if (p->async) {
		r = flow_table_create(p->proxy, words, 1, &table, ret_why);
		if (r == 0)
			flow_table_destroy(p->proxy, &table);
		return r;
	}
	r = rte_flow_validate(p->proxy, &words->attr, words->items, words->actions, &error);
	return r < 0 ? flow_explain(-r, &error, ret_why, ENGINE_WHY_SIZE) : 0;
}

static struct rule sample(const struct preflight *p)
{
	return (struct rule){
		.port_id = p->port_id,
		.meter = SAMPLE_METER,
		.mac = {{0x02, 0, 0, 0, 0, 1}},
		.router = {{0x02, 0, 0, 0, 0, 2}},
		.ipv4 = {htonl(0xc0000201)}, // 192.0.2.1 (RFC 5737), 2001:db8:: (RFC 3849)
		.ipv6 = {{{0x20, 0x01, 0x0d, 0xb8, [15] = 1}}},
		.prefix_length = 24,
		.source_port = 80,
	};
}

// What the item behind layer 3 is of: drivers refuse another one in front of it.
static uint8_t protocol_of(const struct rule_shape *shape)
{
	return shape->match & MATCH_UDP_SOURCE  ? IPPROTO_UDP
	       : shape->match & MATCH_ICMP_TYPE ? IPPROTO_ICMP
						: IPPROTO_TCP;
}

static int ask(const struct preflight *p, const struct rule_shape *shape,
	       char ret_why[ENGINE_WHY_SIZE])
{
	const struct rule rule = sample(p);
	struct flow_words words;

	flow_say(shape, &rule, &p->form, &words);
	return ask_words(p, &words, ret_why);
}

static struct offload_capability *add_row(struct preflight *p, const char *name, bool supported,
					  bool needed)
{
	struct offload_capability *row = &p->rows[p->count++];

	*row = (struct offload_capability){.supported = supported, .needed = needed};
	snprintf(row->name, sizeof(row->name), "%s", name);
	return row;
}

void preflight_note(struct preflight *preflight, const char *name, bool supported,
		    const char *remark)
{
	struct offload_capability *row = add_row(preflight, name, supported, false);

	snprintf(row->remark, sizeof(row->remark), "%s", remark);
}

bool preflight_may_pass(int r)
{
	return r == -ENOSPC || r == -ENOMEM || r == -EBUSY || r == -EAGAIN || r == -EIO ||
	       r == -ETIMEDOUT;
}

// A row that must be there. r: what was answered.
static void need(struct preflight *p, const char *name, int r, const char *remark)
{
	struct offload_capability *row = add_row(p, name, r == 0, true);

	snprintf(row->remark, sizeof(row->remark), "%s", remark);
	if (r == 0)
		return;
	if (p->usable) {
		snprintf(p->why_not, sizeof(p->why_not), "the NIC cannot %s: %s", name, remark);
		p->passing = preflight_may_pass(r);
	}
	p->usable = false;
}

// ---- what the program is made of ----------------------------------------------------------------

static void ask_question(struct preflight *p, const struct question *question)
{
	char why[ENGINE_WHY_SIZE] = "";
	bool *has;
	int r;

	if (question->without == NULL) {
		r = ask(p, &question->shape, why);
		need(p, question->name, r, why);
		return;
	}
	has = (bool *)((char *)&p->form + question->has);
	*has = true;
	r = ask(p, &question->shape, why);
	if (r == 0 && question->shape.family == RULE_IPV4) {
		struct rule_shape other = question->shape; // the rules of both families have it

		other.family = RULE_IPV6;
		r = ask(p, &other, why);
	}
	*has = r == 0;
	struct offload_capability *row = add_row(p, question->name, r == 0, false);
	if (r < 0)
		snprintf(row->remark, sizeof(row->remark), "%s; without: %s", why,
			 question->without);
}

static void ask_macs(struct preflight *p)
{
	static const char *const names[] = {"by SET_MAC_SRC and SET_MAC_DST", "by MODIFY_FIELD"};
	char why[ENGINE_WHY_SIZE] = "";
	int r = -1;

	for (int form = FLOW_MACS_SET; r < 0 && form <= FLOW_MACS_MODIFY; form++) {
		p->form.macs = form;
		r = ask(p, &rewrite_macs, why);
	}
	need(p, "rewrite MAC addresses", r, r == 0 ? names[p->form.macs] : why);
}

static void ask_hop_limit(struct preflight *p)
{
	static const char *const names[] = {"by DEC_TTL", "by MODIFY_FIELD, subtract 1",
					    "by MODIFY_FIELD, add 255"};
	char why[ENGINE_WHY_SIZE] = "";
	int r = -1;

	for (int form = FLOW_TTL_DECREMENT; r < 0 && form <= FLOW_TTL_ADD_255; form++) {
		p->form.ttl = form;
		r = ask(p, &decrement[0], why);
		if (r == 0)
			r = ask(p, &decrement[1], why);
	}
	need(p, "decrement TTL and hop limit", r, r == 0 ? names[p->form.ttl] : why);
}

// Would it take all of these kinds that it is to have, by a wire on this VLAN (0: untagged)? Else what it answered to the first
// that it does not take, which *ret_remark says, with what follows from that.
static int ask_kinds(const struct preflight *p, int first, int end, uint16_t vlan,
		     const char *consequence, char ret_remark[LIMIT_TEXT + 1])
{
	char why[ENGINE_WHY_SIZE] = "";
	struct rule rule = sample(p);
	struct flow_words words;
	int r = 0;

	rule.vlan = vlan;
	ret_remark[0] = '\0';
	for (int kind = first; r == 0 && kind < end; kind++) {
		// Connections of limited pods are asked with the meter.
		if (kind == RULE_LIMITED_RECEIVER || !flow_has_kind(&p->form, kind))
			continue;
		rule.protocol = protocol_of(&rule_shapes[kind]);
		flow_say(&rule_shapes[kind], &rule, &p->form, &words);
		r = ask_words(p, &words, why);
		if (r < 0)
			snprintf(ret_remark, LIMIT_TEXT + 1, "%s: %s%s", rule_shapes[kind].name,
				 why, consequence);
	}
	return r;
}

// Parts that are taken one by one may still be refused together.
static void ask_shapes(struct preflight *p)
{
	char remark[LIMIT_TEXT + 1];
	int r = ask_kinds(p, 0, RULE_CONNECTION_FIRST, 0, "", remark);

	need(p, "take the rules as a whole", r, remark);
}

// Asked when those of connections with the wire are known: with the form that these have.
static void ask_hairpin(struct preflight *p)
{
	char remark[LIMIT_TEXT + 1];

	p->form.hairpin = ask_kinds(p, RULE_HAIRPIN_FIRST, RULE_ROUTE_FIRST, 0,
				    "; without: these take the slow path", remark) == 0;
	preflight_note(p, "carry connections within the node", p->form.hairpin, remark);
}

// Masqueraded pings, likewise. What else they need of a NIC is said in `why_not`; "": nothing.
static void ask_echo(struct preflight *p, bool *has, int first, int end, const char *name,
		     const char *why_not)
{
	static const char without[] = "; without: these take the slow path";
	char remark[LIMIT_TEXT + 1];

	*has = true; // as those that it is to have
	*has = ask_kinds(p, first, end, 0, without, remark) == 0;
	if (*has && why_not[0] != '\0') {
		snprintf(remark, sizeof(remark), "%s%s", why_not, without);
		*has = false;
	}
	preflight_note(p, name, *has, remark);
}

static void ask_echoes(struct preflight *p, bool corrects_icmp6)
{
	ask_echo(p, &p->form.echo_ipv4, RULE_ECHO_FIRST, RULE_ECHO_IPV6_FIRST,
		 "carry masqueraded pings over IPv4", "");
	// Their checksum covers the addresses.
	ask_echo(p, &p->form.echo_ipv6, RULE_ECHO_IPV6_FIRST, RULE_HAIRPIN_FIRST,
		 "carry masqueraded pings over IPv6",
		 !p->form.icmp6_type ? "all ICMPv6 takes the slow path"
		 : !corrects_icmp6   ? "whether the NIC corrects their checksums it does not tell "
				       "(nic.offload_icmp6)"
				     : "");
}

// Connections to the wire are carried if all of it is there.
static void ask_connections(struct preflight *p, bool corrects_icmp6)
{
	char remark[LIMIT_TEXT + 1];
	int r = -1;

	for (int form = FLOW_NAT_SET; r < 0 && form <= FLOW_NAT_MODIFY; form++) {
		p->form.nat = form;
		r = ask_kinds(p, RULE_CONNECTION_FIRST, RULE_ECHO_FIRST, 0,
			      "; without: all of them take the slow path", remark);
	}
	p->form.connections = r == 0;
	preflight_note(p, "carry masqueraded connections", r == 0, remark);
	if (r == 0) {
		ask_hairpin(p);
		ask_echoes(p, corrects_icmp6);
	}
}

// The same of what is routed to the wire and from there; `vlan`: that it is on, 0: none.
static bool ask_route_shapes(struct preflight *p, const char *name, uint16_t vlan)
{
	char remark[LIMIT_TEXT + 1];
	int r = ask_kinds(p, RULE_ROUTE_FIRST, RULE_PUBLISHER_FIRST, vlan,
			  "; without: all of that takes the slow path", remark);

	preflight_note(p, name, r == 0, remark);
	return r == 0;
}

// Of pods that publish ports, what is no answer.
static bool ask_publishers(struct preflight *p)
{
	char remark[LIMIT_TEXT + 1];
	int r = ask_kinds(p, RULE_PUBLISHER_FIRST, RULE_KINDS, 0,
			  "; without: what they send to the wire takes the slow path", remark);

	preflight_note(p, "route for pods that publish ports", r == 0, remark);
	return r == 0;
}

static void ask_routes(struct preflight *p)
{
	p->form.routes = ask_route_shapes(p, "route to the wire", 0);
	p->form.tagged_routes =
		p->form.routes && ask_route_shapes(p, "route to a wire on a VLAN", SAMPLE_VLAN);
	p->form.publishers = p->form.routes && ask_publishers(p);
}

static bool is_taken(const struct flow_form *form, int kind)
{
	if (kind < RULE_CONNECTION_FIRST)
		return true;
	if (kind < RULE_HAIRPIN_FIRST)
		return form->connections && flow_has_kind(form, kind);
	if (kind < RULE_ROUTE_FIRST)
		return form->hairpin;
	return kind < RULE_PUBLISHER_FIRST ? form->routes : form->publishers;
}

// Of the shapes that this NIC takes all those that may be of packets of some lengths only.
static void ask_lengths(struct preflight *p)
{
	char why[ENGINE_WHY_SIZE] = "";
	struct rule rule = sample(p);
	struct flow_words words;
	int r = 0;

	rule.vlan = p->form.vlan;
	rule.mtu = SAMPLE_MTU;
	for (int kind = 0; r == 0 && kind < RULE_KINDS; kind++) {
		if (!(rule_shapes[kind].match & MATCH_FITS) || !is_taken(&p->form, kind))
			continue;
		flow_say(&rule_shapes[kind], &rule, &p->form, &words);
		r = ask_words(p, &words, why);
	}
	p->form.lengths = r == 0;
	struct offload_capability *row = add_row(p, "match a packet's length", r == 0, false);
	if (r < 0)
		snprintf(row->remark, sizeof(row->remark),
			 "%s; without: what is between ends of different MTU takes the slow path",
			 why);
}

// ---- what will be needed later ------------------------------------------------------------------

static void note_words(struct preflight *p, const char *name, const struct flow_words *words)
{
	char why[ENGINE_WHY_SIZE] = "";
	int r = ask_words(p, words, why);

	preflight_note(p, name, r == 0, why);
}

static void add_output(const struct preflight *p, struct flow_words *words)
{
	words->to.port_id = p->port_id;
	flow_add_action(words, RTE_FLOW_ACTION_TYPE_REPRESENTED_PORT, &words->to, &words->to_mask);
}

static void note_age(struct preflight *p)
{
	const struct rte_flow_action_age age = {.timeout = 30};
	const struct rule rule = sample(p);
	struct flow_words words;

	flow_say(&some_ipv4, &rule, &p->form, &words);
	flow_add_action(&words, RTE_FLOW_ACTION_TYPE_AGE, &age, &age);
	add_output(p, &words);
	note_words(p, "age", &words);
}

static void note_vxlan(struct preflight *p)
{
	struct rte_flow_item_eth eth = {.hdr.ether_type = htons(RTE_ETHER_TYPE_IPV4)};
	struct rte_flow_item_ipv4 ipv4 = {
		.hdr = {.version_ihl = 0x45, .time_to_live = 64, .next_proto_id = IPPROTO_UDP}};
	struct rte_flow_item_udp udp = {.hdr.dst_port = htons(4789)}; // RFC 7348
	struct rte_flow_item_vxlan vxlan = {.vni = {0, 0, 1}};
	struct rte_flow_item headers[] = {
		{.type = RTE_FLOW_ITEM_TYPE_ETH, .spec = &eth, .mask = &rte_flow_item_eth_mask},
		{.type = RTE_FLOW_ITEM_TYPE_IPV4, .spec = &ipv4, .mask = &rte_flow_item_ipv4_mask},
		{.type = RTE_FLOW_ITEM_TYPE_UDP, .spec = &udp, .mask = &rte_flow_item_udp_mask},
		{.type = RTE_FLOW_ITEM_TYPE_VXLAN,
		 .spec = &vxlan,
		 .mask = &rte_flow_item_vxlan_mask},
		{.type = RTE_FLOW_ITEM_TYPE_END},
	};
	const struct rte_flow_action_vxlan_encap encap = {.definition = headers};
	const struct rule rule = sample(p);
	struct flow_words words;

	flow_say(&some_ipv4, &rule, &p->form, &words);
	flow_add_action(&words, RTE_FLOW_ACTION_TYPE_VXLAN_ENCAP, &encap, &encap);
	add_output(p, &words);
	note_words(p, "VXLAN encapsulation", &words);
}

static void note_shared_counter(struct preflight *p)
{
	const struct rte_flow_indir_action_conf conf = {.transfer = 1};
	const struct rte_flow_action count = {.type = RTE_FLOW_ACTION_TYPE_COUNT};
	struct rte_flow_error error = {0};
	char why[ENGINE_WHY_SIZE] = "";

	rte_errno = 0;
	struct rte_flow_action_handle *handle =
		rte_flow_action_handle_create(p->proxy, &conf, &count, &error);
	if (handle != NULL)
		rte_flow_action_handle_destroy(p->proxy, handle, &error);
	else
		flow_explain(rte_errno, &error, why, sizeof(why));
	preflight_note(p, "shared counter", handle != NULL, why);
}

// All that a pod's limit is made of, on a meter that is made for the question.
static int ask_limited_shapes(struct preflight *p, char ret_why[ENGINE_WHY_SIZE])
{
	const struct bandwidth_limit limit = {.bytes_per_s = 125000, .burst_bytes = 25000};
	char ignored[ENGINE_WHY_SIZE];
	int r = meter_policy_make(p->proxy, ret_why);

	if (r < 0)
		return r;
	r = meter_make(p->proxy, SAMPLE_METER, &limit, ret_why);
	for (int kind = RULE_LIMITED_FIRST; r == 0 && kind < RULE_CONNECTION_FIRST; kind++)
		r = ask(p, &rule_shapes[kind], ret_why);
	p->form.limited_connections =
		r == 0 && ask(p, &rule_shapes[RULE_LIMITED_RECEIVER], ignored) == 0;
	meter_give_back(p->proxy, SAMPLE_METER);
	meter_policy_give_back(p->proxy);
	return r;
}

static void ask_meter(struct preflight *p)
{
	struct rte_mtr_capabilities capabilities = {0};
	struct rte_mtr_error error = {0};
	char why[ENGINE_WHY_SIZE] = "";
	int r = rte_mtr_capabilities_get(p->proxy, &capabilities, &error);

	if (r < 0)
		meters_explain(r, &error, why, sizeof(why));
	else if (capabilities.n_max == 0)
		snprintf(why, sizeof(why), "there is none");
	else
		r = ask_limited_shapes(p, why);
	p->form.meter = r == 0 && capabilities.n_max > 0;
	struct offload_capability *row = add_row(p, "meter", p->form.meter, false);
	if (p->form.meter)
		snprintf(row->remark, sizeof(row->remark), "up to %u", capabilities.n_max);
	else
		snprintf(row->remark, sizeof(row->remark),
			 "%s; without: pods with a limit take the slow path", why);
}

void preflight_run(struct preflight *ret_preflight, uint16_t uplink, uint16_t function, bool async,
		   uint16_t vlan, bool corrects_icmp6)
{
	struct preflight *p = ret_preflight;
	struct rte_flow_error error = {0};
	char why[ENGINE_WHY_SIZE] = "";

	memset(p, 0, sizeof(*p));
	p->usable = true;
	p->async = async;
	p->port_id = function;
	p->form.vlan = vlan;
	int r = rte_flow_pick_transfer_proxy(uplink, &p->proxy, &error);
	if (r < 0)
		flow_explain(-r, &error, why, sizeof(why));
	need(p, "take transfer rules", r, why);
	if (r < 0)
		return;
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
		ask_question(p, &questions[i]);
	ask_macs(p);
	ask_hop_limit(p);
	ask_shapes(p);
	ask_meter(p);
	ask_connections(p, corrects_icmp6);
	ask_routes(p);
	ask_lengths(p);
	note_age(p);
	note_shared_counter(p);
	note_vxlan(p);
}
