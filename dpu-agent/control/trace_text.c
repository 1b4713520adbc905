// SPDX-License-Identifier: BSD-3-Clause

#include "control/trace_text.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "datapath/datapath.h"
#include "proto/base/drop_reason.h"
#include "proto/base/text.h"

// ---- values --------------------------------------------------------------------------------------

struct words {
	char *text;
	size_t length; // of LIMIT_STEP_TEXT
};

__attribute__((format(printf, 2, 3))) static void say(struct words *words, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(words->text + words->length, LIMIT_STEP_TEXT + 1 - words->length, format,
		      args);
	va_end(args);
	words->length += n < 0 ? 0 : (size_t)n;
	if (words->length > LIMIT_STEP_TEXT)
		words->length = LIMIT_STEP_TEXT;
}

static void say_address(struct words *words, uint8_t family, const uint8_t *address)
{
	char text[INET6_ADDRSTRLEN] = "?";

	inet_ntop(family == TRACE_IPV6 ? AF_INET6 : AF_INET, address, text, sizeof(text));
	say(words, "%s", text);
}

static bool has_ports(const struct trace_step *step)
{
	return !step->later_piece &&
	       (step->protocol == IPPROTO_TCP || step->protocol == IPPROTO_UDP);
}

static void say_end(struct words *words, const struct trace_step *step, bool source)
{
	bool brackets = has_ports(step) && step->family == TRACE_IPV6;

	say(words, "%s", brackets ? "[" : "");
	say_address(words, step->family, source ? step->source : step->destination);
	say(words, "%s", brackets ? "]" : "");
	if (has_ports(step))
		say(words, ":%u", source ? step->source_port : step->destination_port);
}

static void say_ends(struct words *words, const struct trace_step *step)
{
	say_end(words, step, true);
	say(words, " > ");
	say_end(words, step, false);
}

static void say_mac(struct words *words, const uint8_t *mac)
{
	say(words, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static void say_tcp(struct words *words, uint8_t flags)
{
	static const char *const names[] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG"};

	say(words, " TCP");
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((flags & (1u << i)) != 0)
			say(words, " %s", names[i]);
	}
}

// RFC 792, 1191, 1812; RFC 4443, 4861. "type 3 code 13" where it has no name here.
static void say_icmp_kind(struct words *words, bool ipv6, uint8_t type, uint8_t code)
{
	enum { ANY = 255 };
	static const struct {
		bool ipv6;
		uint8_t type, code;
		const char *name;
	} kinds[] = {
		{false, 3, 0, "network unreachable"},
		{false, 3, 1, "host unreachable"},
		{false, 3, 2, "protocol unreachable"},
		{false, 3, 3, "port unreachable"},
		{false, 3, 4, "fragmentation needed"},
		{false, 5, ANY, "redirect"},
		{false, 11, 0, "time to live exceeded"},
		{true, 1, 0, "no route"},
		{true, 1, 3, "address unreachable"},
		{true, 1, 4, "port unreachable"},
		{true, 2, ANY, "packet too big"},
		{true, 3, 0, "hop limit exceeded"},
		{true, 133, ANY, "router solicitation"},
		{true, 134, ANY, "router advertisement"},
		{true, 135, ANY, "neighbour solicitation"},
		{true, 136, ANY, "neighbour advertisement"},
		{true, 137, ANY, "redirect"},
	};

	say(words, "%s ", ipv6 ? "ICMPv6" : "ICMP");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i].ipv6 == ipv6 && kinds[i].type == type &&
		    (kinds[i].code == code || kinds[i].code == ANY)) {
			say(words, "%s", kinds[i].name);
			return;
		}
	}
	say(words, "type %u code %u", type, code);
}

static void say_icmp(struct words *words, const struct trace_step *step)
{
	bool ipv6 = step->protocol == IPPROTO_ICMPV6;

	if (step->type == (ipv6 ? 128 : 8))
		say(words, " ping, identifier %u", step->source_port);
	else if (step->type == (ipv6 ? 129 : 0))
		say(words, " answer to a ping, identifier %u", step->source_port);
	else {
		say(words, " ");
		say_icmp_kind(words, ipv6, step->type, step->code);
	}
}

void trace_text_summary(const struct trace_record *record, char ret_text[LIMIT_STEP_TEXT + 1])
{
	static const struct trace_step nothing;
	const struct trace_step *step = record->step_count > 0 ? &record->steps[0] : &nothing;
	struct words words = {.text = ret_text};

	ret_text[0] = '\0';
	if (step->family == TRACE_ARP) {
		say(&words, "ARP %s of ",
		    step->type == 1   ? "question"
		    : step->type == 2 ? "answer"
				      : "something");
		say_address(&words, TRACE_IPV4, step->source);
		say(&words, " about ");
		say_address(&words, TRACE_IPV4, step->destination);
	} else if (step->family == TRACE_OTHER) {
		say(&words, "neither ARP nor IP");
	} else {
		say_ends(&words, step);
		if (step->later_piece)
			say(&words, " fragment of protocol %u", step->protocol);
		else if (step->protocol == IPPROTO_TCP)
			say_tcp(&words, step->type);
		else if (step->protocol == IPPROTO_UDP)
			say(&words, " UDP");
		else if (step->protocol == IPPROTO_ICMP || step->protocol == IPPROTO_ICMPV6)
			say_icmp(&words, step);
		else
			say(&words, " protocol %u", step->protocol);
	}
	say(&words, ", %u bytes%s", record->length, record->continued ? ", seen before" : "");
	text_clean(ret_text);
}

// ---- decisions -----------------------------------------------------------------------------------

struct scene {
	const struct trace_record *record;
	const struct trace_step *step, *next; // NULL: it is the last one
	const char *next_node;                // "": the same
	const struct trace_names *names;
	struct words words;
};

static void say_port(struct scene *scene, uint32_t slot)
{
	char name[LIMIT_STEP_TEXT + 1] = "?";

	scene->names->port(scene->names->arg, slot, name, sizeof(name));
	say(&scene->words, "%.100s", name);
}

static void say_reason(struct scene *scene, uint8_t reason)
{
	const char *name = datapath_drop_reason_name(reason), *why = drop_reason_text(name);

	say(&scene->words, "%s%s%s", name, why[0] != '\0' ? ": " : "", why);
}

static bool is_next(const struct scene *scene, const char *node)
{
	return strcmp(scene->next_node, node) == 0;
}

// Another address or port than before.
static bool is_rewritten(const struct trace_step *a, const struct trace_step *b)
{
	return a->family == b->family && (a->family == TRACE_IPV4 || a->family == TRACE_IPV6) &&
	       (memcmp(a->source, b->source, sizeof(a->source)) != 0 ||
		memcmp(a->destination, b->destination, sizeof(a->destination)) != 0 ||
		a->source_port != b->source_port || a->destination_port != b->destination_port);
}

static void say_rewritten(struct scene *scene)
{
	say_ends(&scene->words, scene->step);
	if (scene->step->protocol == IPPROTO_ICMP || scene->step->protocol == IPPROTO_ICMPV6)
		say(&scene->words, " identifier %u", scene->step->source_port);
	say(&scene->words, " becomes ");
	say_ends(&scene->words, scene->next);
	if (scene->step->protocol == IPPROTO_ICMP || scene->step->protocol == IPPROTO_ICMPV6)
		say(&scene->words, " identifier %u", scene->next->source_port);
}

static void explain_classify(struct scene *scene)
{
	say(&scene->words, "from ");
	say_port(scene, scene->record->in_slot);
	say(&scene->words, ", its MAC addresses are right, inside is %s",
	    is_next(scene, "arp_input")   ? "ARP"
	    : is_next(scene, "ip4_input") ? "IPv4"
	    : is_next(scene, "ip6_input") ? "IPv6"
					  : "something else");
}

static void explain_arp(struct scene *scene)
{
	if (is_next(scene, "consume")) {
		say(&scene->words, "the answer of a neighbour, noted");
		return;
	}
	say(&scene->words, "answers for ");
	say_address(&scene->words, TRACE_IPV4, scene->step->destination);
}

static void explain_input(struct scene *scene)
{
	say(&scene->words, "header good, source check passed: ");
	say_address(&scene->words, scene->step->family, scene->step->source);
	say(&scene->words, " may send here%s",
	    is_next(scene, "icmp4_local") || is_next(scene, "icmp6_local")
		    ? "; it is for the router itself"
		    : "");
}

static void explain_lookup(struct scene *scene)
{
	say_address(&scene->words, scene->step->family, scene->step->destination);
	if (is_next(scene, "route4") || is_next(scene, "route6")) {
		say(&scene->words, " is not of the pod network: to the routes");
	} else if (is_next(scene, "ip4_forward") || is_next(scene, "ip6_forward")) {
		say(&scene->words, " is behind ");
		say_port(scene, scene->next->out_slot);
	} else {
		say(&scene->words, " is the router's own, for want of a host port");
	}
}

static void explain_route(struct scene *scene)
{
	if (is_next(scene, "icmp4_local") || is_next(scene, "icmp6_local") ||
	    is_next(scene, "masquerade_hairpin")) {
		say(&scene->words, "it is the agent's own address on the wire");
		return;
	}
	say(&scene->words, "route: next hop ");
	say_address(&scene->words, scene->step->family, scene->next->next_hop);
	say(&scene->words, " by ");
	say_port(scene, scene->next->out_slot);
}

static void explain_forward(struct scene *scene)
{
	static const uint8_t none[6];
	const struct trace_step *next = scene->next;

	if (is_next(scene, "neighbour_resolve")) {
		say(&scene->words, "the MAC address of ");
		say_address(&scene->words, next->family, next->next_hop);
		say(&scene->words, " is not known: it is asked for, and the packet waits");
		return;
	}
	say(&scene->words, "time to live %u becomes %u", scene->step->hops, next->hops);
	if (!is_next(scene, "port_tx") && memcmp(next->wire_mac, none, sizeof(none)) != 0) {
		say(&scene->words, ", the neighbour's MAC address is ");
		say_mac(&scene->words, next->wire_mac);
	}
	if (is_next(scene, "ip4_fragment"))
		say(&scene->words, "; larger than the MTU of the next link: it is cut");
}

static void explain_resolve(struct scene *scene)
{
	say(&scene->words, "it has waited, and goes on: there is an answer about the next hop");
}

// Whether masquerade or a published port began the connection is not seen here.
static void explain_masquerade(struct scene *scene)
{
	const char *node = trace_node_name(scene->step->node);

	if (is_rewritten(scene->step, scene->next)) {
		say(&scene->words, "translated: ");
		say_rewritten(scene);
	} else {
		say(&scene->words, "%s",
		    strcmp(node, "masquerade_output") == 0
			    ? "not masqueraded: nothing is towards there, or it is the agent's own"
			    : "neither a connection's nor for a published port: for the agent "
			      "itself");
	}
}

static void explain_wire_input(struct scene *scene)
{
	say_address(&scene->words, scene->step->family, scene->step->destination);
	say(&scene->words, "%s",
	    is_next(scene, "masquerade_input") || is_next(scene, "icmp4_local") ||
			    is_next(scene, "icmp6_local")
		    ? " is the agent's address on the wire"
		    : " is of the pod network, which is reached by routing");
}

static void explain_wire_output(struct scene *scene)
{
	say(&scene->words, "%s",
	    is_next(scene, "ip4_fragment") ? "larger than the uplink's MTU: it is cut"
					   : "fits the uplink's MTU");
}

static void explain_local(struct scene *scene)
{
	say(&scene->words, "%s",
	    scene->next != NULL && is_rewritten(scene->step, scene->next) ? "the router answers"
									  : "the router takes it");
}

// Whether an error was sent is not seen here: it is a packet of its own.
static void explain_error(struct scene *scene)
{
	say(&scene->words, "tells the sender by ");
	say_icmp_kind(&scene->words, scene->step->family == TRACE_IPV6, scene->step->error_type,
		      scene->step->error_code);
	say(&scene->words, ", if an error may be sent for such a packet and not too many were");
	if (scene->step->error_value != 0)
		say(&scene->words, "; MTU %u", scene->step->error_value);
}

static void explain_end(struct scene *scene)
{
	const char *node = trace_node_name(scene->step->node);

	if (strcmp(node, "drop") == 0 || scene->record->dropped) {
		say(&scene->words, "dropped: ");
		say_reason(scene, scene->record->reason);
	} else if (strcmp(node, "port_tx") == 0) {
		say(&scene->words, "sent to ");
		say_port(scene, scene->step->out_slot);
	} else if (strcmp(node, "consume") == 0) {
		say(&scene->words, "it has done what it came for");
	} else if (scene->record->steps_left_out > 0) {
		say(&scene->words, "and %u steps more", scene->record->steps_left_out);
	} else if (strcmp(node, "neighbour_resolve") == 0) {
		say(&scene->words, "it waits for the neighbour's MAC address");
	} else {
		say(&scene->words, "here it was seen last: it waits, was taken over by another "
				   "worker, or went in pieces");
	}
}

static void explain_other(struct scene *scene)
{
	if (is_rewritten(scene->step, scene->next)) {
		say_rewritten(scene);
		return;
	}
	say(&scene->words, "goes on to %s", scene->next_node);
}

static const struct {
	const char *node;
	void (*explain)(struct scene *scene);
} explanations[] = {
	{"eth_classify", explain_classify},
	{"arp_input", explain_arp},
	{"ip4_input", explain_input},
	{"ip6_input", explain_input},
	{"ip4_lookup", explain_lookup},
	{"ip6_lookup", explain_lookup},
	{"route4", explain_route},
	{"route6", explain_route},
	{"ip4_forward", explain_forward},
	{"ip6_forward", explain_forward},
	{"neighbour_resolve", explain_resolve},
	{"masquerade_output", explain_masquerade},
	{"masquerade_input", explain_masquerade},
	{"masquerade_hairpin", explain_masquerade},
	{"wire_input", explain_wire_input},
	{"wire_output", explain_wire_output},
	{"icmp4_local", explain_local},
	{"icmp6_local", explain_local},
	{"icmp4_error", explain_error},
	{"icmp6_error", explain_error},
};

static void explain(struct scene *scene)
{
	const char *node = trace_node_name(scene->step->node);
	bool is_error = strcmp(node, "icmp4_error") == 0 || strcmp(node, "icmp6_error") == 0;

	if (scene->next == NULL) {
		explain_end(scene);
		return;
	}
	if (!is_error && is_next(scene, "drop")) {
		say_reason(scene, scene->next->reason);
		return;
	}
	if (is_next(scene, "icmp4_error") || is_next(scene, "icmp6_error")) {
		say_reason(scene, scene->next->reason);
		return;
	}
	for (size_t i = 0; i < sizeof(explanations) / sizeof(explanations[0]); i++) {
		if (strcmp(explanations[i].node, node) == 0) {
			explanations[i].explain(scene);
			return;
		}
	}
	explain_other(scene);
}

void trace_text_step(const struct trace_record *record, uint32_t index,
		     const struct trace_names *names, char ret_text[LIMIT_STEP_TEXT + 1])
{
	bool last = index + 1 == record->step_count;
	struct scene scene = {
		.record = record,
		.step = &record->steps[index],
		.next = last ? NULL : &record->steps[index + 1],
		.next_node = last ? "" : trace_node_name(record->steps[index + 1].node),
		.names = names,
		.words = {.text = ret_text},
	};

	ret_text[0] = '\0';
	explain(&scene);
	text_clean(ret_text);
}
