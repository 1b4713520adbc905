// SPDX-License-Identifier: BSD-3-Clause
//
// Lists: pods, ports and rules, whole however many pages they come in. And what one of them tells.

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "libpodport/client_test_helpers.h"

enum { MANY = 2 * LIMIT_PAGE + 5 };

// MANY attachments or ports in pages, as the agent pages them.
static enum fake_answer many(const struct fake_call *call, struct reply *reply, void *arg)
{
	const struct request *request = &call->request;

	if (request->call == CALL_LIST) {
		struct list_reply *list = &reply->body.list;
		const struct list_request *asked = &request->body.list;
		unsigned int first =
			asked->has_after ? (unsigned int)atoi(asked->after.container_id) + 1 : 0;
		struct list_item model = list->items[0];

		free(list->items);
		list->items = calloc(asked->limit, sizeof(model));
		list->count = 0;
		for (unsigned int i = first; i < MANY && list->count < asked->limit; i++) {
			struct attachment_key *key = &model.attachment.key;

			snprintf(key->container_id, sizeof(key->container_id), "%04u", i);
			list->items[list->count++] = model;
		}
		list->more = first + list->count < MANY;
	} else if (request->call == CALL_LIST_FLOWS) {
		struct flows_reply *flows = &reply->body.flows;
		const struct list_flows_request *asked = &request->body.list_flows;
		struct flow_info model = flows->flows[0];

		free(flows->flows);
		flows->flows = calloc(asked->limit, sizeof(model));
		flows->count = 0;
		// IDs have gaps where rules were removed: 10, 20, 30 ...
		for (model.id = (asked->after / 10 + 1) * 10;
		     model.id <= MANY * 10 && flows->count < asked->limit; model.id += 10)
			flows->flows[flows->count++] = model;
		flows->more = model.id <= MANY * 10;
	} else {
		struct ports_reply *ports = &reply->body.ports;
		const struct list_ports_request *asked = &request->body.list_ports;
		struct port_info model = ports->ports[0];

		free(ports->ports);
		ports->ports = calloc(asked->limit, sizeof(model));
		ports->count = 0;
		for (uint32_t slot = asked->after; slot < MANY && ports->count < asked->limit;
		     slot++) {
			model.slot = slot;
			ports->ports[ports->count++] = model;
		}
		ports->more = asked->after + ports->count < MANY;
	}
	return FAKE_REPLY;
}

static void lists_of_several_pages_are_whole(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, many, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_ports *ports;
	struct podport_flows *flows;
	struct podport_pods *pods;
	struct podport_error error;

	if (podport_list_pods(client, &pods, &error) < 0)
		fail_msg("%s", error.message);
	assert_int_equal(podport_pods_count(pods), MANY);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(atoi(podport_pods_get(pods, i)->key.container_id), i);
	assert_null(podport_pods_get(pods, MANY));
	podport_pods_free(pods);
	if (podport_list_ports(client, &ports, &error) < 0)
		fail_msg("%s", error.message);
	assert_int_equal(podport_ports_count(ports), MANY);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(podport_ports_get(ports, i)->slot, i);
	assert_null(podport_ports_get(ports, MANY));
	podport_ports_free(ports);
	if (podport_list_flows(client, &flows, &error) < 0)
		fail_msg("%s", error.message);
	assert_int_equal(podport_flows_count(flows), MANY);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(podport_flows_get(flows, i)->id, (i + 1) * 10);
	assert_null(podport_flows_get(flows, MANY));
	podport_flows_free(flows);
	podport_free(client);
	fake_hostd_stop(fake);
}

static enum fake_answer nothing_and_more(const struct fake_call *call, struct reply *reply,
					 void *arg)
{
	if (call->request.call == CALL_LIST)
		reply->body.list.more = true;
	else if (call->request.call == CALL_LIST_FLOWS)
		reply->body.flows.more = true;
	else
		reply->body.ports.more = true;
	return FAKE_REPLY;
}

static void a_list_that_does_not_move_on_ends(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, nothing_and_more, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_ports *ports;
	struct podport_flows *flows;
	struct podport_pods *pods;
	struct podport_error error;

	assert_int_equal(podport_list_pods(client, &pods, &error), -EBADMSG);
	assert_int_equal(error.code, PODPORT_INTERNAL);
	assert_int_equal(podport_list_ports(client, &ports, &error), -EBADMSG);
	assert_int_equal(podport_list_flows(client, &flows, &error), -EBADMSG);
	assert_int_equal(fake_hostd_calls(fake, NULL), 6); // two pages each
	podport_free(client);
	fake_hostd_stop(fake);
}

static void a_port_tells_whom_it_serves_and_what_it_dropped(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_ports *ports;

	assert_int_equal(podport_list_ports(client, &ports, NULL), 0);
	assert_int_equal(podport_ports_count(ports), 3);
	const struct podport_port *port = podport_ports_get(ports, 1);
	assert_int_equal(port->slot, 1);
	assert_string_equal(port->kind, "function");
	assert_string_equal(port->name, "net_simnic0_representor_3");
	assert_int_equal(port->pf, 1);
	assert_int_equal(port->vf, 7);
	assert_true(port->has_key && port->link_up);
	assert_string_equal(port->key.container_id, "c1");
	assert_int_equal(port->mtu, 1500);
	assert_memory_equal(port->mac, "\x02\x00\x5e\x10\x20\x30", 6);
	assert_int_equal(port->rx_packets, 1000);
	assert_int_equal(port->rx_bytes, 64000);
	assert_int_equal(port->tx_packets, 2000);
	assert_int_equal(port->tx_bytes, 128000);
	assert_int_equal(port->offloaded_rx_packets, 900);
	assert_int_equal(port->offloaded_rx_bytes, 57600);
	assert_int_equal(port->offloaded_tx_packets, 1500);
	assert_int_equal(port->offloaded_tx_bytes, 96000);
	assert_int_equal(port->drop_count, 3);
	assert_string_equal(port->drops[2].reason, "ipv4-source");
	assert_int_equal(port->drops[2].packets, 5);
	podport_ports_free(ports);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void a_rule_tells_what_it_does_and_for_whom(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_flows *flows;

	assert_int_equal(podport_list_flows(client, &flows, NULL), 0);
	assert_int_equal(podport_flows_count(flows), 3);
	const struct podport_flow *flow = podport_flows_get(flows, 2);
	assert_int_equal(flow->id, 1002);
	assert_int_equal(flow->group, 2);
	assert_int_equal(flow->priority, 1);
	assert_string_equal(flow->match, "from pf0vf7 ipv4 src 10.88.0.2");
	assert_string_equal(flow->actions, "count, jump 3");
	assert_true(flow->counted && flow->has_function && flow->has_key);
	assert_int_equal(flow->packets, 1500);
	assert_int_equal(flow->bytes, 126000);
	assert_int_equal(flow->age_ms, 61000);
	assert_int_equal(flow->pf, 1);
	assert_int_equal(flow->vf, 7);
	assert_string_equal(flow->key.container_id, "c2");
	podport_flows_free(flows);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void offload_has_the_summary_and_what_the_nic_can_do(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_offload *offload;

	assert_int_equal(podport_get_offload(client, &offload, NULL), 0);
	assert_summary(offload->summary);
	assert_int_equal(offload->capability_count, 3);
	assert_string_equal(offload->capabilities[2].name, "decrement TTL");
	assert_string_equal(offload->capabilities[2].remark, "by MODIFY_FIELD");
	assert_true(offload->capabilities[2].supported && offload->capabilities[2].needed);
	podport_offload_free(offload);
	podport_free(client);
	fake_hostd_stop(fake);
}

static enum fake_answer older(const struct fake_call *call, struct reply *reply, void *arg)
{
	if (call->request.call == CALL_LIST) {
		reply->body.list.items[0].has_offload = false;
		memset(&reply->body.list.items[0].offload, 0,
		       sizeof(reply->body.list.items[0].offload));
	} else {
		reply->body.status.agent.has_offload = false;
	}
	return FAKE_REPLY;
}

static void pods_tell_how_far_they_are_offloaded(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, older, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_status *status;
	struct podport_pods *pods;

	assert_int_equal(podport_list_pods(client, &pods, NULL), 0);
	assert_string_equal(podport_pods_get(pods, 0)->offload, "");
	assert_string_equal(podport_pods_get(pods, 0)->offload_reason, "");
	assert_string_equal(podport_pods_get(pods, 1)->offload, "partial");
	assert_string_equal(podport_pods_get(pods, 1)->offload_reason, "table full");
	podport_pods_free(pods);
	assert_int_equal(podport_get_status(client, &status, NULL), 0);
	assert_null(status->agent->offload);
	podport_status_free(status);
	podport_free(client);
	fake_hostd_stop(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_of_several_pages_are_whole),
		cmocka_unit_test(a_list_that_does_not_move_on_ends),
		cmocka_unit_test(a_port_tells_whom_it_serves_and_what_it_dropped),
		cmocka_unit_test(a_rule_tells_what_it_does_and_for_whom),
		cmocka_unit_test(offload_has_the_summary_and_what_the_nic_can_do),
		cmocka_unit_test(pods_tell_how_far_they_are_offloaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
