// SPDX-License-Identifier: BSD-3-Clause
//
// A packet's way in words: what the operator reads, word by word.

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/fake_nic.h"
#include "control/fake_trace.h"
#include "control/trace_text.h"

static void name_port(const void *arg, uint32_t slot, char *ret_text, size_t size)
{
	snprintf(ret_text, size, "port %u", slot);
}
static const struct trace_names names = {name_port, NULL};

static struct trace_step steps[3];
static struct trace_record record;
static char text[LIMIT_STEP_TEXT + 1];

static void ends(struct trace_step *step, const char *source, uint16_t source_port,
		 const char *destination, uint16_t destination_port)
{
	bool ipv6 = strchr(source, ':') != NULL;

	*step = (struct trace_step){
		.family = ipv6 ? TRACE_IPV6 : TRACE_IPV4,
		.protocol = IPPROTO_TCP,
		.source_port = source_port,
		.destination_port = destination_port,
		.hops = 64,
	};
	assert_int_equal(1, inet_pton(ipv6 ? AF_INET6 : AF_INET, source, step->source));
	assert_int_equal(1, inet_pton(ipv6 ? AF_INET6 : AF_INET, destination, step->destination));
}

// From the first node to the second.
static const char *explain(const char *node, const char *next)
{
	const char *const nodes[] = {node, next};

	fake_traces.nodes = nodes;
	steps[0].node = 0;
	steps[1].node = 1;
	record.steps = steps;
	record.step_count = next != NULL ? 2 : 1;
	trace_text_step(&record, 0, &names, text);
	fake_traces.nodes = NULL;
	return text;
}

static int set_up(void **state)
{
	fake_nic_reset(4); // the reasons are its
	record = (struct trace_record){.length = 74, .in_slot = 3};
	ends(&steps[0], "10.88.0.2", 4000, "10.88.0.3", 80);
	steps[1] = steps[0];
	return 0;
}

static const char *summary(void)
{
	record.steps = steps;
	record.step_count = 1;
	trace_text_summary(&record, text);
	return text;
}

static void a_packet_is_told_in_one_line(void **state)
{
	steps[0].type = 0x12;
	assert_string_equal("10.88.0.2:4000 > 10.88.0.3:80 TCP SYN ACK, 74 bytes", summary());
	ends(&steps[0], "fd00::2", 53, "2001:db8::1", 5353);
	steps[0].protocol = IPPROTO_UDP;
	assert_string_equal("[fd00::2]:53 > [2001:db8::1]:5353 UDP, 74 bytes", summary());
	steps[0].later_piece = true;
	assert_string_equal("fd00::2 > 2001:db8::1 fragment of protocol 17, 74 bytes", summary());
	ends(&steps[0], "10.88.0.2", 77, "10.88.0.3", 0);
	steps[0].protocol = IPPROTO_ICMP;
	steps[0].type = 8;
	assert_string_equal("10.88.0.2 > 10.88.0.3 ping, identifier 77, 74 bytes", summary());
	steps[0].type = 3;
	steps[0].code = 1;
	record.continued = true;
	assert_string_equal("10.88.0.2 > 10.88.0.3 ICMP host unreachable, 74 bytes, seen before",
			    summary());
	steps[0].code = 13;
	record.continued = false;
	assert_string_equal("10.88.0.2 > 10.88.0.3 ICMP type 3 code 13, 74 bytes", summary());
	ends(&steps[0], "fd00::2", 0, "ff02::1:ff00:3", 0);
	steps[0].protocol = IPPROTO_ICMPV6;
	steps[0].type = 135;
	assert_string_equal("fd00::2 > ff02::1:ff00:3 ICMPv6 neighbour solicitation, 74 bytes",
			    summary());
	ends(&steps[0], "10.88.0.2", 0, "10.88.0.3", 0);
	steps[0].family = TRACE_ARP;
	steps[0].type = 1;
	assert_string_equal("ARP question of 10.88.0.2 about 10.88.0.3, 74 bytes", summary());
	steps[0].family = TRACE_OTHER;
	assert_string_equal("neither ARP nor IP, 74 bytes", summary());
}

static void each_decision_is_told_with_its_reason(void **state)
{
	assert_string_equal("from port 3, its MAC addresses are right, inside is IPv4",
			    explain("eth_classify", "ip4_input"));
	assert_string_equal("header good, source check passed: 10.88.0.2 may send here",
			    explain("ip4_input", "ip4_lookup"));
	steps[1].out_slot = 5;
	assert_string_equal("10.88.0.3 is behind port 5", explain("ip4_lookup", "ip4_forward"));
	assert_string_equal("10.88.0.3 is not of the pod network: to the routes",
			    explain("ip4_lookup", "route4"));
	memcpy(steps[1].next_hop, (uint8_t[]){192, 0, 2, 1}, 4);
	assert_string_equal("route: next hop 192.0.2.1 by port 5",
			    explain("route4", "ip4_forward"));
	assert_string_equal("it is the agent's own address on the wire",
			    explain("route4", "masquerade_hairpin"));
	steps[1].hops = 63;
	assert_string_equal("time to live 64 becomes 63", explain("ip4_forward", "port_tx"));
	memcpy(steps[1].wire_mac, (uint8_t[]){2, 0, 0, 0, 0, 1}, 6);
	assert_string_equal("time to live 64 becomes 63, the neighbour's MAC address is "
			    "02:00:00:00:00:01",
			    explain("ip4_forward", "masquerade_output"));
	assert_string_equal("the MAC address of 192.0.2.1 is not known: it is asked for, and the "
			    "packet waits",
			    explain("ip4_forward", "neighbour_resolve"));
	steps[0].out_slot = 5;
	assert_string_equal("sent to port 5", explain("port_tx", NULL));
}

static void a_translation_is_told_with_both_ends(void **state)
{
	static const char *const translating[] = {"masquerade_output", "masquerade_input",
						  "masquerade_hairpin"};

	assert_string_equal("not masqueraded: nothing is towards there, or it is the agent's own",
			    explain("masquerade_output", "wire_output"));
	assert_string_equal("neither a connection's nor for a published port: for the agent itself",
			    explain("masquerade_hairpin", "icmp4_local"));
	assert_string_equal("neither a connection's nor for a published port: for the agent itself",
			    explain("masquerade_input", "icmp4_local"));
	ends(&steps[1], "192.0.2.10", 52011, "10.88.0.3", 80);
	// Of a connection to a published port the first packet comes in, and its answer goes out.
	for (size_t i = 0; i < sizeof(translating) / sizeof(translating[0]); i++)
		assert_string_equal("translated: 10.88.0.2:4000 > 10.88.0.3:80 becomes "
				    "192.0.2.10:52011 > 10.88.0.3:80",
				    explain(translating[i], "wire_output"));
	// A node that this file knows nothing of.
	assert_string_equal("10.88.0.2:4000 > 10.88.0.3:80 becomes 192.0.2.10:52011 > 10.88.0.3:80",
			    explain("some_new_node", "wire_output"));
	steps[1] = steps[0];
	assert_string_equal("goes on to wire_output", explain("some_new_node", "wire_output"));
}

static void a_drop_is_told_with_its_reason(void **state)
{
	steps[1].reason = 1; // "no-route", in the fake
	assert_string_equal("no-route: no route leads there", explain("ip4_input", "drop"));
	assert_string_equal("no-route: no route leads there", explain("route4", "icmp4_error"));
	steps[0].error_type = 3;
	steps[0].error_code = 4;
	steps[0].error_value = 1400;
	assert_string_equal(
		"tells the sender by ICMP fragmentation needed, if an error may be sent for "
		"such a packet and not too many were; MTU 1400",
		explain("icmp4_error", "drop"));
	record.dropped = true;
	record.reason = 1;
	assert_string_equal("dropped: no-route: no route leads there", explain("drop", NULL));
	assert_string_equal("dropped: no-route: no route leads there", explain("port_tx", NULL));
}

static void what_was_not_seen_to_its_end_says_so(void **state)
{
	record.unfinished = true;
	assert_string_equal("it waits for the neighbour's MAC address",
			    explain("neighbour_resolve", NULL));
	assert_string_equal("here it was seen last: it waits, was taken over by another worker, or "
			    "went in pieces",
			    explain("masquerade_output", NULL));
	record.steps_left_out = 7;
	assert_string_equal("and 7 steps more", explain("ip4_forward", NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_packet_is_told_in_one_line, set_up),
		cmocka_unit_test_setup(each_decision_is_told_with_its_reason, set_up),
		cmocka_unit_test_setup(a_translation_is_told_with_both_ends, set_up),
		cmocka_unit_test_setup(a_drop_is_told_with_its_reason, set_up),
		cmocka_unit_test_setup(what_was_not_seen_to_its_end_says_so, set_up),
	};

	return cmocka_run_group_tests_name("trace, text", tests, NULL, NULL);
}
