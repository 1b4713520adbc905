// SPDX-License-Identifier: BSD-3-Clause
//
// What libpodport.so asks of ADD, DEL and CHECK, and what it makes of good answers.

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

static void add_passes_every_wish_and_the_sandbox_itself(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 1234);
	struct podport_add_request request = some_add();
	const uint8_t mac[6] = {0x02, 0, 0x5e, 0, 0, 7};
	const struct podport_bandwidth bandwidth = {.ingress_rate_bps = 1000000,
						    .ingress_burst_bits = 9000};
	const struct podport_port_mapping mappings[] = {
		{.host_port = 8080, .container_port = 80, .protocol = IPPROTO_TCP},
		{.host_port = 8080,
		 .container_port = 81,
		 .protocol = IPPROTO_UDP,
		 .host_family = 4,
		 .host_ip = {192, 0, 2, 9}}};
	struct podport_attachment *attachment;
	struct podport_error error;
	struct in6_addr ipv6;
	struct in_addr ipv4;
	struct fake_call call;
	struct stat netns;

	inet_pton(AF_INET, "10.88.0.7", &ipv4);
	inet_pton(AF_INET6, "fd00:88::7", &ipv6);
	request.pod_namespace = "shop";
	request.pod_name = "till-7";
	request.pod_uid = "6f9d1c2e";
	request.ipv4 = &ipv4;
	request.ipv6 = &ipv6;
	request.mac = mac;
	request.mtu = 1400;
	request.bandwidth = &bandwidth;
	request.port_mappings = mappings;
	request.port_mapping_count = 2;
	if (podport_add(client, &request, &attachment, &error) < 0)
		fail_msg("%s", error.message);

	fake_hostd_calls(fake, &call);
	const struct attach_request *asked = &call.request.body.attach;
	assert_int_equal(call.request.call, CALL_ATTACH);
	assert_int_equal(call.request.timeout_ms, 1234);
	assert_string_equal(asked->key.network, "pods");
	assert_string_equal(asked->key.container_id, "c0ffee");
	assert_string_equal(asked->key.ifname, "eth0");
	assert_string_equal(asked->pod.namespace_, "shop");
	assert_string_equal(asked->pod.name, "till-7");
	assert_string_equal(asked->pod.uid, "6f9d1c2e");
	assert_true(asked->wants_ipv4 && asked->wants_ipv6 && asked->wants_mac);
	assert_memory_equal(&asked->requested_ipv4, &ipv4, sizeof(ipv4));
	assert_memory_equal(&asked->requested_ipv6, &ipv6, sizeof(ipv6));
	assert_memory_equal(asked->requested_mac.bytes, mac, sizeof(mac));
	assert_int_equal(asked->requested_mtu, 1400);
	assert_int_equal(asked->bandwidth.ingress_rate_bps, 1000000);
	assert_int_equal(asked->bandwidth.ingress_burst_bits, 9000);
	assert_int_equal(asked->port_mappings.count, 2);
	assert_int_equal(asked->port_mappings.items[0].container_port, 80);
	assert_int_equal(asked->port_mappings.items[1].protocol, IPPROTO_UDP);
	assert_int_equal(asked->port_mappings.items[1].host_family, 4);
	assert_memory_equal(asked->port_mappings.items[1].host_ip, mappings[1].host_ip, 16);
	assert_int_equal(stat(OWN_NETNS, &netns), 0);
	assert_string_equal(asked->sandbox.path, OWN_NETNS);
	assert_int_equal(asked->sandbox.inode, netns.st_ino);
	assert_int_equal(call.netns_inode, netns.st_ino);

	// What the samples of the codec answer.
	assert_string_equal(attachment->key.container_id, "c0ffee");
	assert_string_equal(attachment->pod_name, "till-7");
	assert_string_equal(attachment->pod_uid, "6f9d1c2e");
	assert_string_equal(attachment->netns, OWN_NETNS);
	assert_int_equal(attachment->netns_inode, netns.st_ino);
	assert_int_equal(attachment->pf, 1);
	assert_int_equal(attachment->vf, 7);
	assert_true(attachment->has_ipv4 && attachment->has_ipv6);
	assert_int_equal(attachment->ipv4.s_addr, inet_addr("10.88.0.2"));
	assert_int_equal(attachment->gateway_ipv4.s_addr, inet_addr("10.88.0.1"));
	inet_pton(AF_INET6, "fd00:88::2", &ipv6);
	assert_memory_equal(&attachment->ipv6, &ipv6, sizeof(ipv6));
	inet_pton(AF_INET6, "fd00:88::1", &ipv6);
	assert_memory_equal(&attachment->gateway_ipv6, &ipv6, sizeof(ipv6));
	assert_memory_equal(attachment->mac, "\x02\x00\x5e\x10\x20\x30", 6);
	assert_memory_equal(attachment->gateway_mac, "\x02\x00\x5e\x10\x20\x30", 6);
	assert_int_equal(attachment->mtu, 1500);
	assert_int_equal(attachment->link_group, 42);
	assert_int_equal(attachment->created_unix_ms, 1795900000000);
	assert_int_equal(attachment->bandwidth.ingress_rate_bps, 50000000);
	assert_int_equal(attachment->port_mapping_count, 2);
	assert_int_equal(attachment->port_mappings[1].host_port, 8081);
	assert_memory_equal(attachment->port_mappings[1].host_ip, "\xc0\x00\x02\x01", 4);
	podport_attachment_free(attachment);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void limits_that_nobody_can_keep_are_refused_without_asking(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_add_request request = some_add();
	struct podport_bandwidth bandwidth = {.ingress_rate_bps = 999};
	struct podport_port_mapping mapping = {.host_port = 80, .container_port = 80};
	struct podport_attachment *attachment;
	struct podport_error error;

	request.bandwidth = &bandwidth;
	assert_int_equal(podport_add(client, &request, &attachment, &error), -EINVAL);
	assert_string_equal(error.message, "bandwidth.ingress_rate_bps: 999 is not in "
					   "1000..1000000000000000");
	request.bandwidth = NULL;
	request.port_mappings = &mapping;
	request.port_mapping_count = 1;
	assert_int_equal(podport_add(client, &request, &attachment, &error), -EINVAL);
	assert_string_equal(error.message, "port_mappings[0].protocol: is neither TCP's nor UDP's");
	request.port_mapping_count = PODPORT_PORT_MAPPINGS_MAX + 1;
	assert_int_equal(podport_add(client, &request, &attachment, &error), -EINVAL);
	assert_string_equal(error.message, "port_mappings: 65 are more than 64");
	podport_free(client);
	fake_hostd_stop(fake);
}

static void without_wishes_none_are_sent(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_add_request request = some_add();
	struct podport_attachment *attachment;
	struct fake_call call;

	assert_int_equal(podport_add(client, &request, &attachment, NULL), 0);
	podport_attachment_free(attachment);
	fake_hostd_calls(fake, &call);
	const struct attach_request *asked = &call.request.body.attach;
	assert_false(asked->wants_ipv4 || asked->wants_ipv6 || asked->wants_mac);
	assert_int_equal(asked->requested_mtu, 0);
	assert_string_equal(asked->pod.name, "");
	assert_int_equal(call.request.timeout_ms, PODPORT_TIMEOUT_DEFAULT_MS);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void a_caller_of_an_older_library_is_understood(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_add_request request = some_add();
	struct podport_attachment *attachment;
	struct podport_error error;
	struct fake_call call;

	// It knew nothing behind netns; what is there is none of ours.
	memset(&request.pod_namespace, 0xff,
	       sizeof(request) - offsetof(struct podport_add_request, pod_namespace));
	request.size = offsetof(struct podport_add_request, pod_namespace);
	if (podport_add(client, &request, &attachment, &error) < 0)
		fail_msg("%s", error.message);
	podport_attachment_free(attachment);
	fake_hostd_calls(fake, &call);
	assert_false(call.request.body.attach.wants_mac);
	request.size = 0;
	assert_int_equal(podport_add(client, &request, &attachment, &error), -EINVAL);
	assert_int_equal(error.code, PODPORT_BAD_REQUEST);
	assert_int_equal(podport_add(client, NULL, &attachment, &error), -EINVAL);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void what_is_wrong_in_a_request_is_named_and_not_sent(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	const uint8_t multicast[6] = {1, 0, 0x5e, 0, 0, 1};
	char too_long[600];
	const struct {
		const char *named;
		struct podport_key key;
		const char *pod_name;
		const uint8_t *mac;
		uint32_t mtu;
	} cases[] = {
		{"network", {NULL, "c", "eth0"}, NULL, NULL, 0},
		{"network", {"../x", "c", "eth0"}, NULL, NULL, 0},
		{"network", {too_long, "c", "eth0"}, NULL, NULL, 0},
		{"container_id", {"n", "", "eth0"}, NULL, NULL, 0},
		{"ifname", {"n", "c", "sixteen-letters-"}, NULL, NULL, 0},
		{"ifname", {"n", "c", NULL}, NULL, NULL, 0},
		{"pod_name", {"n", "c", "eth0"}, too_long, NULL, 0},
		{"pod_name", {"n", "c", "eth0"}, "a\nb", NULL, 0},
		{"pod_name", {"n", "c", "eth0"}, "\xff", NULL, 0},
		{"mac", {"n", "c", "eth0"}, NULL, multicast, 0},
		{"mtu", {"n", "c", "eth0"}, NULL, NULL, 1279},
		{"mtu", {"n", "c", "eth0"}, NULL, NULL, 9001},
	};
	struct podport_attachment *attachment;
	struct podport_error error;

	memset(too_long, 'x', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = '\0';
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct podport_add_request request = some_add();

		request.key = cases[i].key;
		request.pod_name = cases[i].pod_name;
		request.mac = cases[i].mac;
		request.mtu = cases[i].mtu;
		assert_int_equal(podport_add(client, &request, &attachment, &error), -EINVAL);
		assert_int_equal(error.code, PODPORT_BAD_REQUEST);
		if (strncmp(error.message, cases[i].named, strlen(cases[i].named)) != 0)
			fail_msg("case %zu: '%s' does not begin with %s", i, error.message,
				 cases[i].named);
	}
	assert_int_equal(fake_hostd_calls(fake, NULL), 0);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void a_sandbox_that_is_none_is_refused_before_anything_is_done(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	char fifo[128], too_long[700];
	struct podport_attachment *attachment;
	struct podport_error error;

	memset(too_long, 'x', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = '\0';
	snprintf(fifo, sizeof(fifo), "%s.fifo", fake_hostd_path(fake));
	assert_int_equal(mkfifo(fifo, 0600), 0);
	// A FIFO: opening it must not wait for a writer.
	const char *const paths[] = {"/run/no/such", "/etc/hostname",    "/run", "/dev/null",
				     fifo,           "/proc/self/ns/mnt"};
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct podport_add_request request = some_add();

		request.netns = paths[i];
		assert_true(podport_add(client, &request, &attachment, &error) < 0);
		assert_int_equal(error.code, PODPORT_NETNS);
		assert_non_null(strstr(error.message, paths[i]));
	}

	struct podport_add_request request = some_add();
	request.netns = too_long;
	assert_true(podport_add(client, &request, &attachment, &error) < 0);
	assert_non_null(strstr(error.message, "netns"));
	request.netns = NULL;
	assert_true(podport_add(client, &request, &attachment, &error) < 0);
	assert_int_equal(error.code, PODPORT_NETNS);
	assert_int_equal(fake_hostd_calls(fake, NULL), 0);
	unlink(fifo);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void del_goes_on_without_a_sandbox(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_del_request request = PODPORT_DEL_REQUEST_INIT;
	const char *const gone[] = {NULL, "", "/run/no/such", "/etc/hostname"};
	struct podport_error error;
	struct fake_call call;

	request.key = some_key();
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		request.netns = gone[i];
		if (podport_del(client, &request, &error) < 0)
			fail_msg("%s", error.message);
		fake_hostd_calls(fake, &call);
		assert_int_equal(call.request.call, CALL_DETACH);
		assert_int_equal(call.netns_inode, 0);
		assert_int_equal(call.request.body.detach.sandbox.inode, 0);
		assert_string_equal(call.request.body.detach.sandbox.path,
				    gone[i] != NULL ? gone[i] : "");
	}
	request.netns = OWN_NETNS;
	assert_int_equal(podport_del(client, &request, &error), 0);
	fake_hostd_calls(fake, &call);
	assert_int_not_equal(call.netns_inode, 0);
	assert_int_equal(call.request.body.detach.sandbox.inode, call.netns_inode);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void check_returns_what_was_attached(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_check_request request = PODPORT_CHECK_REQUEST_INIT;
	struct podport_attachment *attachment;
	struct podport_error error;
	struct fake_call call;

	request.key = some_key();
	request.netns = OWN_NETNS;
	if (podport_check(client, &request, &attachment, &error) < 0)
		fail_msg("%s", error.message);
	assert_string_equal(attachment->key.container_id, "c0ffee");
	assert_int_equal(attachment->ipv4.s_addr, inet_addr("10.88.0.2"));
	fake_hostd_calls(fake, &call);
	assert_int_equal(call.request.call, CALL_CHECK);
	assert_int_not_equal(call.netns_inode, 0);
	podport_attachment_free(attachment);
	podport_free(client);
	fake_hostd_stop(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(add_passes_every_wish_and_the_sandbox_itself),
		cmocka_unit_test(limits_that_nobody_can_keep_are_refused_without_asking),
		cmocka_unit_test(without_wishes_none_are_sent),
		cmocka_unit_test(a_caller_of_an_older_library_is_understood),
		cmocka_unit_test(what_is_wrong_in_a_request_is_named_and_not_sent),
		cmocka_unit_test(a_sandbox_that_is_none_is_refused_before_anything_is_done),
		cmocka_unit_test(del_goes_on_without_a_sandbox),
		cmocka_unit_test(check_returns_what_was_attached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
