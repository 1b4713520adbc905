// SPDX-License-Identifier: BSD-3-Clause
//
// Which connections are carried by the e-switch: what is asked of an offer, and what sends them back.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "control/fake_connections.h"
#include "control/test_agent.h"

static struct test_agent agent;
static struct attachment pod;

static int setup(void **state)
{
	struct error err;

	fake_connections_reset();
	test_agent_init(&agent, 4, "10.88.0.0/16", "fd00::/64");
	test_agent_stop(&agent);
	assert_int_equal(0, uplink_parse_ipv4("192.0.2.10/24", &agent.uplink, &err));
	test_agent_start(&agent);
	pod = test_must_attach(&agent, "one");
	return 0;
}

static int teardown(void **state)
{
	test_agent_destroy(&agent);
	return 0;
}

static struct carry_event offer(uint32_t place)
{
	struct carry_event event = {
		.place = place,
		.kind = CARRY_OFFERED,
		.protocol = IPPROTO_TCP,
		.slots = {(uint16_t)pod.function.vf, CARRY_WIRE},
		.wire = fake_connections.wire,
		.sent = {{.source_port_be = htons(4000), .destination_port_be = htons(80)},
			 {.source_port_be = htons(80), .destination_port_be = htons(50000)}},
		.next_hop = {192, 0, 2, 1},
	};

	memcpy(event.sent[0].source, &pod.ipv4, 4);
	return event;
}

static void tell(const struct carry_event *event)
{
	fake_connections.events[fake_connections.event_count++] = *event;
	fake_connections.answer_count = 0;
	control_connections_run(agent.control);
}

// Told, and refused: it goes on in software.
static void expect_refused(const struct carry_event *event)
{
	const size_t adds = fake_connections.add_count;

	tell(event);
	assert_int_equal(fake_connections.add_count, adds);
	assert_int_equal(fake_connections.answer_count, 1);
	assert_int_equal(fake_connections.answers[0].place, event->place);
	assert_int_equal(fake_connections.answers[0].kind, CARRY_ENDED);
	assert_true(fake_connections.answers[0].pause_s > 0);
}

static void expect_added(const struct carry_event *event)
{
	const size_t adds = fake_connections.add_count;

	tell(event);
	assert_int_equal(fake_connections.add_count, adds + 1);
	assert_int_equal(fake_connections.added_place, event->place);
	assert_int_equal(fake_connections.answer_count, 0);
}

static void an_offer_is_made_a_connection_of_the_pod_by_its_next_hop(void **state)
{
	const struct carry_event event = offer(12);

	assert_true(fake_connections.accepting);
	expect_added(&event);
	const struct offload_connection *added = &fake_connections.added;
	assert_int_equal(added->ends[0].slot, pod.function.vf);
	assert_int_equal(added->next_hop, fake_connections.hop);
	assert_true(added->protocol == IPPROTO_TCP && !added->is_ipv6);
	assert_memory_equal(&added->ends[1].mac, &fake_connections.hop_mac, 6);
	assert_memory_equal(&added->ends[0].mac, &pod.mac, 6);
	assert_int_equal(added->ends[1].sent.destination_port_be, htons(50000));
	assert_memory_equal(added->ends[0].sent.source, &pod.ipv4, 4);
}

static void a_ping_is_made_a_connection_as_any_other(void **state)
{
	struct carry_event event = offer(12);

	event.protocol = IPPROTO_ICMP;
	event.sent[0].source_port_be = event.sent[1].destination_port_be = htons(77);
	event.sent[0].destination_port_be = event.sent[1].source_port_be = 0;
	expect_added(&event);
	const struct offload_connection *added = &fake_connections.added;
	assert_int_equal(added->protocol, IPPROTO_ICMP);
	assert_int_equal(added->ends[0].sent.source_port_be, htons(77));
	assert_int_equal(added->ends[1].sent.destination_port_be, htons(77));
	event.protocol = IPPROTO_ICMPV6;
	event.is_ipv6 = true;
	event.place++;
	memcpy(event.sent[0].source, &pod.ipv6, 16);
	expect_added(&event);
	assert_int_equal(added->protocol, IPPROTO_ICMPV6);
	// The NIC has none of its family.
	event.place++;
	fake_connections.add_error = -ENOTSUP;
	expect_refused(&event);
}

static void what_is_not_as_it_was_when_it_was_offered_is_refused(void **state)
{
	struct carry_event event = offer(1);

	event.wire++; // routed by an uplink that is not there any more
	expect_refused(&event);
	event = offer(2);
	event.sent[0].source[3]++; // another pod's
	expect_refused(&event);
	event = offer(3);
	event.slots[0]++; // nobody's
	expect_refused(&event);
	event = offer(4);
	fake_connections.hop = 0; // not known any more
	expect_refused(&event);
	fake_connections.hop = 3;
	expect_added(&event);
}

// What may be too large is offload/'s to keep from the rules.
static void the_mtus_of_both_ends_go_with_it(void **state)
{
	const struct carry_event event = offer(1);
	struct uplink uplink = agent.uplink;
	struct error err;

	uplink.mtu = pod.mtu - 100;
	assert_int_equal(0, control_set_uplink(agent.control, &uplink, &err));
	expect_added(&event);
	assert_int_equal(fake_connections.added.mtus[0], pod.mtu);
	assert_int_equal(fake_connections.added.mtus[1], pod.mtu - 100);
}

static void what_the_nic_cannot_tell_apart_is_refused(void **state)
{
	const struct carry_event event = offer(1);

	fake_connections.add_error = -ENOTSUP;
	tell(&event);
	assert_int_equal(fake_connections.answer_count, 1);
	assert_int_equal(fake_connections.answers[0].kind, CARRY_ENDED);
	assert_true(fake_connections.answers[0].pause_s > 1);
}

// If the NIC can limit them, which is not asked here.
static void connections_of_a_pod_with_a_limit_are_carried_as_any_others(void **state)
{
	static const struct bandwidth limits[] = {{.ingress_rate_bps = 1000000},
						  {.egress_rate_bps = 1000000}};
	struct carry_event event;
	struct test_call call;

	for (uint32_t i = 0; i < 2; i++) {
		test_attach(&call, i == 0 ? "receives" : "sends");
		call.request.body.attach.bandwidth = limits[i];
		test_must_run(&agent, &call);
		event = offer(i);
		event.slots[0] = (uint16_t)call.reply.body.attach.function.vf;
		memcpy(event.sent[0].source, &call.reply.body.attach.ipv4, 4);
		expect_added(&event);
		assert_memory_equal(&fake_connections.added.ends[0].mac,
				    &call.reply.body.attach.mac, 6);
		test_call_clear(&call);
	}
}

static void nothing_is_asked_for_while_it_could_not_be_carried(void **state)
{
	const struct carry_event event = offer(1); // that was on its way

	fake_connections.unusable = "the NIC cannot";
	control_retry(agent.control);
	assert_false(fake_connections.accepting);
	expect_refused(&event);
	fake_connections.unusable = NULL;
	control_retry(agent.control);
	assert_true(fake_connections.accepting);
	fake_connections.add_error = -ENOSPC;
	expect_refused(&event);
}

static void the_e_switch_is_told_what_vlan_the_wire_is_on(void **state)
{
	struct uplink uplink = agent.uplink;
	const struct carry_event event = offer(1);
	struct error err;

	assert_int_equal(fake_offload.router.vlan, 0);
	uplink.vlan = 7;
	assert_int_equal(0, control_set_uplink(agent.control, &uplink, &err));
	assert_int_equal(fake_offload.router.vlan, 7);
	assert_true(fake_connections.accepting);
	expect_added(&event);
	assert_int_equal(0, control_set_uplink(agent.control, &agent.uplink, &err));
	assert_int_equal(fake_offload.router.vlan, 0);
}

// ---- between pods --------------------------------------------------------------------------------

static struct attachment other;

// `pod` has called a port that `other` publishes.
static struct carry_event offer_within(uint32_t place)
{
	struct carry_event event = offer(place);

	event.slots[1] = (uint16_t)other.function.vf;
	memset(event.next_hop, 0, sizeof(event.next_hop));
	memcpy(event.sent[1].source, &other.ipv4, 4);
	return event;
}

static void an_offer_between_pods_is_made_a_connection_of_both_without_a_next_hop(void **state)
{
	other = test_must_attach(&agent, "other");
	const struct carry_event event = offer_within(12);

	fake_connections.hop = 0; // the wire does not matter
	expect_added(&event);
	const struct offload_connection *added = &fake_connections.added;
	assert_int_equal(added->ends[0].slot, pod.function.vf);
	assert_int_equal(added->ends[1].slot, other.function.vf);
	assert_memory_equal(&added->ends[0].mac, &pod.mac, 6);
	assert_memory_equal(&added->ends[1].mac, &other.mac, 6);
	assert_memory_equal(added->ends[1].sent.source, &other.ipv4, 4);
	assert_int_equal(added->ends[1].sent.destination_port_be, htons(50000));
	assert_int_equal(added->next_hop, 0);
}

static void what_of_either_pod_is_not_as_it_was_is_refused(void **state)
{
	other = test_must_attach(&agent, "other");
	for (unsigned int end = 0; end < 2; end++) {
		struct carry_event event = offer_within(1);

		event.sent[end].source[3] ^= 0x40; // somebody else's address
		expect_refused(&event);
		event = offer_within(2);
		event.slots[end] += 2; // nobody's port, or the host's
		expect_refused(&event);
	}
	struct carry_event event = offer_within(3);
	event.wire++; // the address that they met by is another one
	expect_refused(&event);
	event = offer_within(4);
	expect_added(&event);
}

static void within_the_node_they_are_the_pods_and_the_wires_does_not_matter(void **state)
{
	struct uplink uplink = agent.uplink;
	struct test_call call;
	struct error err;

	test_attach(&call, "smaller");
	call.request.body.attach.requested_mtu = pod.mtu - 100;
	test_must_run(&agent, &call);
	other = call.reply.body.attach;
	assert_int_equal(other.mtu, pod.mtu - 100);
	uplink.mtu = pod.mtu - 200;
	assert_int_equal(0, control_set_uplink(agent.control, &uplink, &err));
	struct carry_event event = offer_within(1);
	expect_added(&event);
	assert_int_equal(fake_connections.added.mtus[0], pod.mtu);
	assert_int_equal(fake_connections.added.mtus[1], pod.mtu - 100);
	test_call_clear(&call);
}

// ---- with the host -------------------------------------------------------------------------------

static const struct fake_offload_slot *host_rules(void)
{
	return &fake_offload.slots[FAKE_FUNCTIONS_MAX];
}

// The host has called a port that `pod` publishes.
static struct carry_event offer_of_host(uint32_t place)
{
	struct carry_event event = offer(place);
	struct in_addr gateway = {htonl(0x0a580001)};

	event.slots[0] = FAKE_FUNCTIONS_MAX;
	event.slots[1] = (uint16_t)pod.function.vf;
	memset(event.next_hop, 0, sizeof(event.next_hop));
	memcpy(event.sent[0].source, &gateway, sizeof(gateway));
	memcpy(event.sent[1].source, &pod.ipv4, 4);
	return event;
}

static void the_host_is_an_end_by_what_it_has_sent_from(void **state)
{
	const struct carry_event event = offer_of_host(12);

	fake_connections.hop = 0; // the wire does not matter
	expect_refused(&event);   // how would the e-switch address it?
	assert_false(host_rules()->present);
	fake_connections.host_heard = true;
	expect_added(&event);
	const struct offload_connection *added = &fake_connections.added;
	assert_int_equal(added->ends[0].slot, FAKE_FUNCTIONS_MAX);
	assert_int_equal(added->ends[1].slot, pod.function.vf);
	assert_memory_equal(&added->ends[0].mac, &fake_connections.host_mac, 6);
	assert_memory_equal(&added->ends[1].mac, &pod.mac, 6);
	assert_true(host_rules()->present);
	assert_memory_equal(&host_rules()->pod.mac, &fake_connections.host_mac, 6);
}

// What it sends from elsewhere has its answers there.
static void the_host_by_another_address_than_the_gateways_is_refused(void **state)
{
	struct carry_event event = offer_of_host(1);

	fake_connections.host_heard = true;
	event.sent[0].source[3]++;
	expect_refused(&event);
	event = offer_of_host(2);
	event.is_ipv6 = true; // the gateway's is fd00::1
	expect_refused(&event);
	memset(event.sent, 0, sizeof(event.sent));
	event.sent[0].source[0] = 0xfd;
	event.sent[0].source[15] = 1;
	memcpy(event.sent[1].source, &pod.ipv6, 16);
	expect_added(&event);
}

// Its rules are gone before its port is stopped: fake_offload.c looks.
static void another_gateway_has_the_host_leave(void **state)
{
	const struct carry_event event = offer_of_host(1);
	struct set_pod_network_request *set;
	struct test_call call;

	fake_connections.host_heard = true;
	expect_added(&event);
	assert_int_equal(host_rules()->rules, 2 * FAKE_POD_RULES);
	test_simple(&call, CALL_SET_POD_NETWORK);
	set = &call.request.body.set_pod_network;
	set->has_ipv4 = true;
	set->ipv4.s_addr = htonl(0x0a580000);
	set->ipv4_prefix_length = 16;
	set->has_ipv6 = true;
	set->ipv6.s6_addr[0] = 0xfd;
	set->ipv6_prefix_length = 64;
	set->mtu = 1400;
	test_must_run(&agent, &call);
	test_call_clear(&call);
	assert_int_equal(fake_nic.ports[FAKE_FUNCTIONS_MAX].config.mtu, 1400);
	assert_int_equal(host_rules()->rules, 0);
	fake_connections.host_heard = true;
	control_neighbours_changed(agent.control);
	assert_int_equal(host_rules()->rules, 2 * FAKE_POD_RULES);
	assert_int_equal(host_rules()->pod.mtu, 1400);
}

static void another_uplink_sends_all_of_them_back(void **state)
{
	const struct carry_event event = offer(1);
	struct uplink uplink = agent.uplink;
	struct error err;

	expect_added(&event);
	const size_t before = fake_connections.leave_all_count;
	uplink.ipv4.s_addr = inet_addr("192.0.2.11");
	assert_int_equal(0, control_set_uplink(agent.control, &uplink, &err));
	assert_true(fake_connections.leave_all_count > before);
}

static void other_rules_of_masquerade_send_back_what_is_carried_and_what_was_offered(void **state)
{
	const struct carry_event before = offer(1), late = offer(2), again = offer(3);
	const size_t adds = fake_connections.add_count;
	const size_t left = fake_connections.leave_all_count;

	expect_added(&before);
	fake_connections.events[fake_connections.event_count++] = late;
	fake_connections.answer_count = 0;
	control_connections_reconsider(agent.control);
	assert_int_equal(fake_connections.leave_all_count, left + 1);
	assert_int_equal(fake_connections.add_count, adds + 1);
	assert_int_equal(fake_connections.answer_count, 1);
	assert_int_equal(fake_connections.answers[0].place, 2);
	assert_int_equal(fake_connections.answers[0].kind, CARRY_ENDED);
	expect_added(&again);
}

static void wait_for_next_look(void)
{
	for (unsigned int i = 0;
	     i < 1000 && fake_connections.used_hop == 0 && fake_connections.left_hop == 0; i++) {
		usleep(10000);
		control_connections_run(agent.control);
	}
}

static void a_next_hop_is_kept_confirmed_and_followed(void **state)
{
	const struct carry_event event = offer(1), later = offer(2);

	expect_added(&event);
	wait_for_next_look();
	assert_int_equal(fake_connections.used_hop, 3);
	assert_int_equal(fake_connections.left_hop, 0);
	// It is at another address now. Until those of the old one have left, none is added.
	fake_connections.used_hop = 0;
	fake_connections.hop_mac.bytes[5]++;
	wait_for_next_look();
	assert_int_equal(fake_connections.left_hop, 3);
	expect_added(&later);
	assert_memory_equal(&fake_connections.added.ends[1].mac, &fake_connections.hop_mac, 6);
	// And now it is gone.
	fake_connections.used_hop = fake_connections.left_hop = 0;
	fake_connections.hop = 0;
	wait_for_next_look();
	assert_int_equal(fake_connections.left_hop, 3);
}

static void what_the_e_switch_says_is_passed_on(void **state)
{
	fake_connections.to_tell[0] = (struct offload_answer){.place = 1, .kind = OFFLOAD_BEGUN};
	fake_connections.to_tell[1] = (struct offload_answer){
		.place = 2, .kind = OFFLOAD_NOTED, .packets = {3}, .bytes = {0, 400}};
	fake_connections.to_tell[2] = (struct offload_answer){.place = 3, .kind = OFFLOAD_ENDED};
	fake_connections.to_tell[3] =
		(struct offload_answer){.place = 4, .kind = OFFLOAD_ENDED, .refused = true};
	fake_connections.to_tell_count = 4;
	control_connections_run(agent.control);
	const struct carry_answer *answers = fake_connections.answers;
	assert_int_equal(fake_connections.answer_count, 4);
	assert_int_equal(answers[0].kind, CARRY_BEGUN);
	assert_int_equal(answers[1].kind, CARRY_NOTED);
	assert_int_equal(answers[1].packets[0], 3);
	assert_int_equal(answers[1].bytes[1], 400);
	assert_int_equal(answers[2].kind, CARRY_ENDED);
	assert_true(answers[3].pause_s > answers[2].pause_s);
}

static void who_has_no_room_for_answers_is_not_asked_for_more(void **state)
{
	struct carry_event event = offer(1);

	fake_connections.room = 0;
	tell(&event);
	assert_int_equal(fake_connections.event_count, 1);
	fake_connections.room = FAKE_EVENTS_MAX;
	event = (struct carry_event){.kind = CARRY_RECALL, .place = 1};
	tell(&event);
	assert_int_equal(fake_connections.event_count, 0);
	assert_int_equal(fake_connections.leave_count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(an_offer_is_made_a_connection_of_the_pod_by_its_next_hop),
		TEST(a_ping_is_made_a_connection_as_any_other),
		TEST(what_is_not_as_it_was_when_it_was_offered_is_refused),
		TEST(the_mtus_of_both_ends_go_with_it),
		TEST(what_the_nic_cannot_tell_apart_is_refused),
		TEST(connections_of_a_pod_with_a_limit_are_carried_as_any_others),
		TEST(nothing_is_asked_for_while_it_could_not_be_carried),
		TEST(the_e_switch_is_told_what_vlan_the_wire_is_on),
		TEST(an_offer_between_pods_is_made_a_connection_of_both_without_a_next_hop),
		TEST(what_of_either_pod_is_not_as_it_was_is_refused),
		TEST(within_the_node_they_are_the_pods_and_the_wires_does_not_matter),
		TEST(the_host_is_an_end_by_what_it_has_sent_from),
		TEST(the_host_by_another_address_than_the_gateways_is_refused),
		TEST(another_gateway_has_the_host_leave),
		TEST(another_uplink_sends_all_of_them_back),
		TEST(other_rules_of_masquerade_send_back_what_is_carried_and_what_was_offered),
		TEST(a_next_hop_is_kept_confirmed_and_followed),
		TEST(what_the_e_switch_says_is_passed_on),
		TEST(who_has_no_room_for_answers_is_not_asked_for_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
