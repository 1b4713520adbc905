// SPDX-License-Identifier: BSD-3-Clause
//
// Mapped ports: what is published of which pod, and when; and who is refused, with which words.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "control/test_agent.h"

#define WIRE4 "192.0.2.10"
#define WIRE6 "2001:db8::10"

static struct test_agent agent;

static struct uplink make_uplink(const char *ipv4, const char *ipv6)
{
	struct uplink uplink = {0};
	struct error err;

	if (ipv4 != NULL)
		assert_int_equal(0, uplink_parse_ipv4(ipv4, &uplink, &err));
	if (ipv6 != NULL)
		assert_int_equal(0, uplink_parse_ipv6(ipv6, &uplink, &err));
	return uplink;
}

static int set_up(void **state)
{
	test_agent_init(&agent, 8, "10.88.0.0/16", "fd00:88::/64");
	test_agent_stop(&agent);
	agent.uplink = make_uplink(WIRE4 "/24", WIRE6 "/64");
	test_agent_start(&agent);
	return 0;
}

static int tear_down(void **state)
{
	test_assert_consistent(&agent, true);
	test_agent_destroy(&agent);
	return 0;
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

// TCP, by all addresses unless the caller says otherwise.
static struct port_mapping *add_mapping(struct test_call *call, uint16_t host_port)
{
	struct port_mappings *mappings = &call->request.body.attach.port_mappings;
	struct port_mapping *mapping = &mappings->items[mappings->count++];

	*mapping = (struct port_mapping){
		.protocol = IPPROTO_TCP, .host_port = host_port, .container_port = 80};
	return mapping;
}

static void by_address(struct port_mapping *mapping, const char *address)
{
	mapping->host_family = strchr(address, ':') != NULL ? 6 : 4;
	assert_int_equal(1, inet_pton(mapping->host_family == 4 ? AF_INET : AF_INET6, address,
				      mapping->host_ip));
}

static struct attachment attach(const char *name, uint16_t host_port)
{
	struct test_call call;

	test_attach(&call, name);
	add_mapping(&call, host_port);
	test_must_run(&agent, &call);
	return call.reply.body.attach;
}

static void refuse(const char *name, uint16_t host_port, enum code code, const char *sentence)
{
	struct test_call call;

	test_attach(&call, name);
	add_mapping(&call, host_port);
	test_must_fail(&agent, &call, code, sentence);
	assert_int_equal(0, fake_nic.published_count);
}

static const struct masquerade_publication *published(uint16_t port, bool ipv6)
{
	for (size_t i = 0; i < fake_nic.published_count; i++)
		if (fake_nic.published[i].port == port && fake_nic.published[i].is_ipv6 == ipv6)
			return &fake_nic.published[i];
	return NULL;
}

static void assert_published(const struct attachment *a, uint16_t port)
{
	const struct masquerade_publication *ipv4 = published(port, false);
	const struct masquerade_publication *ipv6 = published(port, true);

	assert_non_null(ipv4);
	assert_non_null(ipv6);
	assert_memory_equal(&a->ipv4, ipv4->pod, 4);
	assert_memory_equal(&a->ipv6, ipv6->pod, 16);
	assert_int_equal(80, ipv4->pod_port);
	assert_int_equal(IPPROTO_TCP, ipv6->protocol);
	assert_int_equal(a->function.vf, ipv4->slot);
}

static void a_mapped_port_is_published_in_both_families_until_the_pod_goes(void **state)
{
	struct attachment web = attach("web", 8080), db = attach("db", 8081);

	assert_int_equal(4, fake_nic.published_count);
	assert_published(&web, 8080);
	assert_published(&db, 8081);
	test_must_detach(&agent, "web");
	assert_int_equal(2, fake_nic.published_count);
	assert_published(&db, 8081);
	// Free for the next one; which is another.
	uint64_t owner = published(8081, false)->owner;
	test_must_detach(&agent, "db");
	assert_int_equal(0, fake_nic.published_count);
	db = attach("db", 8081);
	assert_int_not_equal(owner, published(8081, false)->owner);
}

static void pods_without_mapped_ports_publish_nothing_anew(void **state)
{
	unsigned int before = fake_nic.publish_calls;

	test_must_attach(&agent, "web");
	test_must_detach(&agent, "web");
	assert_int_equal(before, fake_nic.publish_calls);
}

static void a_repeated_attach_changes_nothing(void **state)
{
	struct attachment web = attach("web", 8080), again = attach("web", 8080);
	struct test_call call;

	assert_memory_equal(&web.ipv4, &again.ipv4, 4);
	assert_int_equal(2, fake_nic.published_count);
	assert_published(&web, 8080);
	test_attach(&call, "web");
	add_mapping(&call, 8081);
	test_must_fail(&agent, &call, CODE_CONFLICT, "port_mappings: the attachment");
	assert_int_equal(2, fake_nic.published_count);
}

static void it_is_there_again_after_a_restart(void **state)
{
	struct attachment web = attach("web", 8080);

	test_agent_restart(&agent);
	assert_int_equal(2, fake_nic.published_count);
	assert_published(&web, 8080);
}

static void a_port_that_is_taken_is_refused_with_its_holders_name(void **state)
{
	struct test_call call;

	test_attach(&call, "web");
	add_mapping(&call, 8080);
	strcpy(call.request.body.attach.pod.namespace_, "shop");
	strcpy(call.request.body.attach.pod.name, "front");
	test_must_run(&agent, &call);
	attach("bare", 8081);
	for (unsigned int i = 0; i < 4; i++) {
		static const char *const sentences[] = {
			"port_mappings[1].host_port: 8080/tcp is taken by shop/front",
			"port_mappings[1].host_port: 8081/tcp is taken by bare",
			"port_mappings[1].host_port: 8080/tcp is taken by shop/front",
			"port_mappings[1].host_port: 8080/tcp is taken by shop/front"};

		test_attach(&call, "other");
		add_mapping(&call, 9000);
		struct port_mapping *mapping = add_mapping(&call, i == 1 ? 8081 : 8080);
		if (i == 2)
			by_address(mapping, WIRE6);
		if (i == 3)
			by_address(mapping, "0.0.0.0");
		test_must_fail(&agent, &call, CODE_CONFLICT, sentences[i]);
	}
	assert_int_equal(4, fake_nic.published_count);
	// Nothing is left of it: the same pod without it, and the port with another protocol.
	test_attach(&call, "other");
	add_mapping(&call, 8080)->protocol = IPPROTO_UDP;
	test_must_run(&agent, &call);
}

static void two_at_once_do_not_both_get_it(void **state)
{
	struct test_call calls[2];

	for (unsigned int i = 0; i < 2; i++) {
		test_attach(&calls[i], i == 0 ? "one" : "two");
		add_mapping(&calls[i], 8080);
	}
	test_run(&agent, calls, 2);
	assert_int_equal(CODE_OK, calls[0].reply.code);
	assert_int_equal(CODE_CONFLICT, calls[1].reply.code);
	assert_published(&calls[0].reply.body.attach, 8080);
	test_call_clear(&calls[1]);
}

static void each_family_may_lead_elsewhere(void **state)
{
	struct test_call call;

	test_attach(&call, "four");
	by_address(add_mapping(&call, 8080), WIRE4);
	test_must_run(&agent, &call);
	test_attach(&call, "six");
	add_mapping(&call, 8080)->host_family = 6; // ::
	test_must_run(&agent, &call);
	assert_int_equal(2, fake_nic.published_count);
	assert_int_not_equal(published(8080, false)->slot, published(8080, true)->slot);
}

static void what_is_said_twice_is_one_and_what_contradicts_itself_is_refused(void **state)
{
	struct test_call call;

	test_attach(&call, "web");
	add_mapping(&call, 8080);
	by_address(add_mapping(&call, 8080), WIRE4);
	test_must_run(&agent, &call);
	assert_published(&call.reply.body.attach, 8080);
	assert_int_equal(2, fake_nic.published_count);
	test_attach(&call, "other");
	add_mapping(&call, 9000);
	struct port_mapping *second = add_mapping(&call, 9000);
	by_address(second, WIRE4);
	second->container_port = 81;
	test_must_fail(&agent, &call, CODE_BAD_REQUEST,
		       "port_mappings[1].host_port: 9000/tcp is given twice");
}

static void an_address_that_is_not_the_agents_is_refused(void **state)
{
	struct test_call call;

	test_attach(&call, "web");
	by_address(add_mapping(&call, 8080), "192.0.2.11");
	test_must_fail(&agent, &call, CODE_BAD_REQUEST,
		       "port_mappings[0].host_ip: 192.0.2.11 is not the agent's: on the wire it "
		       "has " WIRE4 " and " WIRE6);
}

static void without_an_uplink_there_is_nothing_to_publish_by(void **state)
{
	struct uplink uplink = {0};
	struct error err;

	assert_int_equal(0, control_set_uplink(agent.control, &uplink, &err));
	refuse("web", 8080, CODE_BAD_REQUEST,
	       "port_mappings: the agent has no address on the wire");
	uplink = make_uplink(NULL, WIRE6 "/64");
	assert_int_equal(0, control_set_uplink(agent.control, &uplink, &err));
	struct test_call call;
	test_attach(&call, "web");
	add_mapping(&call, 8080)->host_family = 4;
	test_must_fail(&agent, &call, CODE_BAD_REQUEST, "have no family in common");
	attach("web", 8080);
	assert_int_equal(1, fake_nic.published_count);
	assert_non_null(published(8080, true));
}

static void mappings_follow_the_uplinks_addresses(void **state)
{
	struct uplink none = {0}, one = make_uplink("198.51.100.1/24", NULL);
	struct uplink both = make_uplink(WIRE4 "/24", WIRE6 "/64");
	struct attachment web = attach("web", 8080);
	struct test_call call;
	struct error err;

	test_attach(&call, "by-address");
	by_address(add_mapping(&call, 8081), WIRE4);
	test_must_run(&agent, &call);
	assert_int_equal(0, control_set_uplink(agent.control, &one, &err));
	assert_int_equal(1, fake_nic.published_count);
	assert_non_null(published(8080, false));
	assert_int_equal(0, control_set_uplink(agent.control, &none, &err));
	assert_int_equal(0, fake_nic.published_count);
	assert_int_equal(0, control_set_uplink(agent.control, &both, &err));
	assert_int_equal(3, fake_nic.published_count);
	assert_published(&web, 8080);
	assert_non_null(published(8081, false));
}

static void all_are_listed_in_pages_also_those_that_are_not_served(void **state)
{
	struct uplink one = make_uplink("198.51.100.1/24", NULL);
	uint32_t after = 0;
	struct test_call call;
	size_t rows = 0, served = 0;
	struct error err;

	attach("web", 8080);
	test_attach(&call, "db");
	by_address(add_mapping(&call, 8081), WIRE4);
	add_mapping(&call, 8081)->host_family = 4; // the same, said twice
	add_mapping(&call, 8080)->protocol = IPPROTO_UDP;
	test_must_run(&agent, &call);
	assert_int_equal(0, control_set_uplink(agent.control, &one, &err));
	do {
		test_simple(&call, CALL_LIST_NAT);
		call.request.body.list_nat.after = after;
		call.request.body.list_nat.limit = 2;
		test_must_run(&agent, &call);
		const struct nat_reply *nat = &call.reply.body.nat;
		assert_in_range(nat->count, 1, 2);
		for (size_t i = 0; i < nat->count; i++) {
			const struct published_row *row = &nat->ports[i];

			assert_true(row->number > after);
			after = row->number;
			rows++;
			served += row->served;
			assert_int_equal(row->served, !row->is_ipv6);
			assert_int_equal(row->served ? row->host_port : 0, row->connections);
		}
		assert_true(nat->summary.masquerade_ipv4 && nat->summary.has_ipv4);
		assert_string_equal("198.51.100.0/24", nat->summary.excluded[0].text);
		assert_int_equal(1, nat->summary.ports_count);
		assert_int_equal(IPPROTO_UDP, nat->summary.ports[0].protocol);
		assert_int_equal(3, nat->summary.ports[0].used);
		assert_int_equal(1000, nat->summary.most);
		bool more = nat->more;
		test_call_clear(&call);
		if (!more)
			break;
	} while (true);
	assert_int_equal(5, rows);
	assert_int_equal(3, served);
	// A worker that does not answer is told of.
	fake_nic.connections_fail = true;
	test_simple(&call, CALL_LIST_NAT);
	call.request.body.list_nat.limit = 2;
	test_must_fail(&agent, &call, CODE_INTERNAL, "it does not answer");
	fake_nic.connections_fail = false;
}

static void a_pod_whose_ports_cannot_be_published_is_not_attached(void **state)
{
	char notice[LIMIT_TEXT + 1];

	test_quiet(true);
	fake_nic.fail_publish = true;
	refuse("web", 8080, CODE_INTERNAL, "no memory for it");
	fake_nic.fail_publish = false;
	test_quiet(false);
	control_notice(agent.control, notice);
	assert_non_null(strstr(notice, "published ports: no memory for it"));
	control_retry(agent.control);
	control_notice(agent.control, notice);
	assert_string_equal("", notice);
	assert_int_equal(0, fake_nic.published_count);
	attach("web", 8080);
}

static void a_host_that_has_booted_takes_its_ports_back(void **state)
{
	struct test_call call;

	test_hello(&call, "host", "boot-1");
	test_must_run(&agent, &call);
	attach("web", 8080);
	test_hello(&call, "host", "boot-2");
	test_must_run(&agent, &call);
	assert_int_equal(0, fake_nic.published_count);
	attach("web", 8080);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_mapped_port_is_published_in_both_families_until_the_pod_goes),
		TEST(pods_without_mapped_ports_publish_nothing_anew),
		TEST(a_repeated_attach_changes_nothing),
		TEST(it_is_there_again_after_a_restart),
		TEST(a_port_that_is_taken_is_refused_with_its_holders_name),
		TEST(two_at_once_do_not_both_get_it),
		TEST(each_family_may_lead_elsewhere),
		TEST(what_is_said_twice_is_one_and_what_contradicts_itself_is_refused),
		TEST(an_address_that_is_not_the_agents_is_refused),
		TEST(without_an_uplink_there_is_nothing_to_publish_by),
		TEST(mappings_follow_the_uplinks_addresses),
		TEST(all_are_listed_in_pages_also_those_that_are_not_served),
		TEST(a_pod_whose_ports_cannot_be_published_is_not_attached),
		TEST(a_host_that_has_booted_takes_its_ports_back),
	};

	return cmocka_run_group_tests_name("published ports", tests, NULL, NULL);
}
