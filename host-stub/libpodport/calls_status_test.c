// SPDX-License-Identifier: BSD-3-Clause
//
// Status, addresses, the pod network, reconciliation: what the answers have, and what may be missing in them.

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

static void set_network_passes_the_prefixes_and_tells_what_came_of_it(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_set_network_request request = PODPORT_SET_NETWORK_REQUEST_INIT;
	struct podport_pod_network *network;
	struct podport_error error;
	struct fake_call call;
	struct in_addr ipv4;

	assert_int_equal(podport_set_network(client, &request, &network, &error), -EINVAL);
	inet_pton(AF_INET, "10.99.0.0", &ipv4);
	request.ipv4 = &ipv4;
	request.ipv4_prefix_length = 20;
	request.mtu = 9001;
	assert_int_equal(podport_set_network(client, &request, &network, &error), -EINVAL);
	request.mtu = 9000;
	assert_int_equal(podport_set_network(client, &request, &network, &error), 0);
	fake_hostd_calls(fake, &call);
	assert_int_equal(call.request.body.set_pod_network.ipv4.s_addr, ipv4.s_addr);
	assert_int_equal(call.request.body.set_pod_network.ipv4_prefix_length, 20);
	assert_false(call.request.body.set_pod_network.has_ipv6);
	assert_int_equal(call.request.body.set_pod_network.mtu, 9000);
	assert_int_equal(network->ipv4_prefix_length, 24); // the sample's
	assert_int_equal(network->gateway_ipv4.s_addr, inet_addr("10.88.0.1"));
	podport_pod_network_free(network);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void reconcile_tells_all_its_numbers(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_reconciliation *told;

	assert_int_equal(podport_reconcile(client, &told, NULL), 0);
	assert_int_equal(told->attachments, 12);
	assert_int_equal(told->without_port, 1);
	assert_int_equal(told->leaving, 2);
	assert_int_equal(told->rules_missing, 3);
	assert_int_equal(told->suspects, 4);
	assert_int_equal(told->reclaimed, 5);
	assert_int_equal(told->strays, 6);
	assert_int_equal(told->queued_deletes, 7);
	podport_reconciliation_free(told);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void status_has_both_sides(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_status *status;

	assert_int_equal(podport_get_status(client, &status, NULL), 0);
	assert_string_equal(status->host->version, "0.1.0");
	assert_string_equal(status->host->agent_url, "ipc:///run/podport/agent.sock");
	assert_true(status->host->link_up);
	assert_int_equal(status->host->link_changed_ms_ago, 12345);
	assert_string_equal(status->host->link_error, "refused");
	assert_int_equal(status->host->queued_deletes, 2);
	assert_int_equal(status->host->calls_in_flight, 1);
	assert_string_equal(status->host->host_port, "podport0");
	assert_true(status->host->host_port_ready);
	assert_string_equal(status->host->host_port_error, "no such interface");
	assert_non_null(status->agent);
	assert_string_equal(status->agent->version, "0.1.0");
	assert_string_equal(status->agent->instance_id, "3f2504e0");
	assert_int_equal(status->agent->uptime_ms, 777);
	assert_true(status->agent->ready);
	assert_string_equal(status->agent->nic_device, "net_simnic0,card=/run/podport/card.sock");
	assert_string_equal(status->agent->nic_driver, "net_simnic");
	assert_int_equal(status->agent->functions, 256);
	assert_int_equal(status->agent->functions_used, 12);
	assert_int_equal(status->agent->attachments, 12);
	assert_int_equal(status->agent->workers, 2);
	assert_int_equal(status->agent->ipv4_free, 241);
	assert_int_equal(status->agent->ipv6_free, 65000);
	assert_summary(status->agent->offload);
	const struct podport_pod_network *network = status->agent->pod_network;
	assert_non_null(network);
	assert_true(network->has_ipv4 && network->has_ipv6);
	assert_int_equal(network->ipv4.s_addr, inet_addr("10.88.0.0"));
	assert_int_equal(network->gateway_ipv4.s_addr, inet_addr("10.88.0.1"));
	assert_int_equal(network->ipv4_prefix_length, 24);
	podport_status_free(status);
	podport_free(client);
	fake_hostd_stop(fake);
}

static enum fake_answer agent_away(const struct fake_call *call, struct reply *reply, void *arg)
{
	reply->body.status.has_agent = false;
	return FAKE_REPLY;
}

static enum fake_answer no_pod_network(const struct fake_call *call, struct reply *reply, void *arg)
{
	reply->body.status.agent.has_pod_network = false;
	return FAKE_REPLY;
}

static enum fake_answer no_host(const struct fake_call *call, struct reply *reply, void *arg)
{
	reply->body.status.has_host = false;
	return FAKE_REPLY;
}

static void status_without_an_agent_is_an_answer(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, agent_away, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_status *status;

	assert_int_equal(podport_get_status(client, &status, NULL), 0);
	assert_null(status->agent);
	assert_non_null(status->host);
	podport_status_free(status);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void status_without_a_pod_network_or_a_host_is_no_crash(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, no_pod_network, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_status *status;

	assert_int_equal(podport_get_status(client, &status, NULL), 0);
	assert_null(status->agent->pod_network);
	podport_status_free(status);
	podport_free(client);
	fake_hostd_stop(fake);

	fake = fake_hostd_start(NULL, no_host, NULL);
	client = connect_to(fake, 0);
	assert_int_equal(podport_get_status(client, &status, NULL), -EBADMSG);
	podport_free(client);
	fake_hostd_stop(fake);
}

static enum fake_answer no_ipv6(const struct fake_call *call, struct reply *reply, void *arg)
{
	memset(&reply->body.ipam.ipv6, 0, sizeof(reply->body.ipam.ipv6));
	reply->body.ipam.ipv4.has_next = false;
	return FAKE_REPLY;
}

static void ipam_has_the_families_that_there_are(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_ipam *ipam;
	uint8_t address[16];

	assert_int_equal(podport_get_ipam(client, &ipam, NULL), 0);
	assert_int_equal(ipam->ipv4->family, AF_INET);
	assert_int_equal(ipam->ipv6->family, AF_INET6);
	inet_pton(AF_INET, "10.88.0.9", address);
	assert_true(ipam->ipv4->has_next);
	assert_memory_equal(ipam->ipv4->next, address, 4);
	inet_pton(AF_INET6, "fd00:88::1", address);
	assert_memory_equal(ipam->ipv6->gateway, address, 16);
	assert_int_equal(ipam->ipv6->prefix_length, 64);
	assert_int_equal(ipam->ipv4->total, 253);
	assert_int_equal(ipam->ipv4->allocated, 11);
	assert_int_equal(ipam->ipv4->never_used, 200);
	assert_int_equal(ipam->ipv4->released, 42);
	podport_ipam_free(ipam);
	podport_free(client);
	fake_hostd_stop(fake);

	fake = fake_hostd_start(NULL, no_ipv6, NULL);
	client = connect_to(fake, 0);
	assert_int_equal(podport_get_ipam(client, &ipam, NULL), 0);
	assert_non_null(ipam->ipv4);
	assert_false(ipam->ipv4->has_next);
	assert_null(ipam->ipv6);
	podport_ipam_free(ipam);
	podport_free(client);
	fake_hostd_stop(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_network_passes_the_prefixes_and_tells_what_came_of_it),
		cmocka_unit_test(reconcile_tells_all_its_numbers),
		cmocka_unit_test(status_has_both_sides),
		cmocka_unit_test(status_without_an_agent_is_an_answer),
		cmocka_unit_test(status_without_a_pod_network_or_a_host_is_no_crash),
		cmocka_unit_test(ipam_has_the_families_that_there_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
