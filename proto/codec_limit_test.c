// SPDX-License-Identifier: BSD-3-Clause
//
// Numbers of requests and replies at their limits and one past them.

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/codec.h"
#include "proto/test_samples.h"

static void check_request(const struct request *request, const char *message)
{
	struct encoded encoded;
	struct error err = {0};

	assert_int_equal(codec_encode_request(request, &encoded, &err), 0);
	struct request out;
	int r = codec_decode_request(encoded.data, encoded.size, &out, &err);
	encoded_clear(&encoded);
	assert_int_equal(r, message == NULL ? 0 : -EBADMSG);
	assert_string_equal(err.message, message == NULL ? "" : message);
}

static void check_reply(const struct reply *reply, const char *message)
{
	struct encoded encoded;
	struct error err = {0};

	assert_int_equal(codec_encode_reply(reply, &encoded, &err), 0);
	struct reply out;
	int r = codec_decode_reply(encoded.data, encoded.size, &out, &err);
	if (r == 0)
		reply_clear(&out);
	encoded_clear(&encoded);
	assert_int_equal(r, message == NULL ? 0 : -EBADMSG);
	assert_string_equal(err.message, message == NULL ? "" : message);
}

static void numbers_of_requests_pass_up_to_their_limits(void **state)
{
	struct request request;

	sample_request(CALL_ATTACH, SAMPLE_TYPICAL, &request);
	request.timeout_ms = TIMEOUT_MAX_MS;
	check_request(&request, NULL);
	request.timeout_ms = TIMEOUT_MAX_MS + 1;
	check_request(&request, "timeout_ms: 600001 is not in 1..600000");
	request.timeout_ms = 1;
	check_request(&request, NULL);
	request.body.attach.requested_mtu = MTU_MAX + 1;
	check_request(&request, "attach.requested_mtu: 9001 is not in 1280..9000");
	request.body.attach.requested_mtu = MTU_MIN - 1;
	check_request(&request, "attach.requested_mtu: 1279 is not in 1280..9000");
	request.body.attach.requested_mtu = MTU_MIN;
	check_request(&request, NULL);
	request.body.attach.requested_mac.bytes[0] |= 1;
	check_request(&request, "attach.requested_mac: is a group address");
	sample_request(CALL_ATTACH, SAMPLE_TYPICAL, &request);
	request.body.attach.port = PORT_CHOICE_VIRTIO_USER;
	check_request(&request, NULL);
	request.body.attach.port = PORT_CHOICE_COUNT;
	check_request(&request, "attach.port_kind: 3 is not in 0..2");

	sample_request(CALL_LIST, SAMPLE_TYPICAL, &request);
	request.body.list.limit = LIMIT_PAGE;
	check_request(&request, NULL);
	request.body.list.limit = LIMIT_PAGE_ASKED; // as an older caller asks
	check_request(&request, NULL);
	request.body.list.limit = LIMIT_PAGE_ASKED + 1;
	check_request(&request, "list.limit: 33 is not in 0..32");

	sample_request(CALL_LIST_PORTS, SAMPLE_TYPICAL, &request);
	request.body.list_ports.limit = LIMIT_PORTS_PAGE;
	check_request(&request, NULL);
	request.body.list_ports.limit = LIMIT_PORTS_PAGE + 1;
	check_request(&request, "list_ports.limit: 13 is not in 0..12");

	sample_request(CALL_LIST_FLOWS, SAMPLE_TYPICAL, &request);
	request.body.list_flows.limit = LIMIT_FLOWS_PAGE;
	check_request(&request, NULL);
	request.body.list_flows.limit = LIMIT_FLOWS_PAGE + 1;
	check_request(&request, "list_flows.limit: 41 is not in 0..40");

	sample_request(CALL_LIST_NEIGHBOURS, SAMPLE_TYPICAL, &request);
	request.body.list_neighbours.limit = LIMIT_NEIGHBOURS_PAGE + 1;
	check_request(&request, "list_neighbours.limit: 129 is not in 0..128");

	sample_request(CALL_LIST_CONNECTIONS, SAMPLE_TYPICAL, &request);
	request.body.list_connections.limit = LIMIT_CONNECTIONS_PAGE + 1;
	check_request(&request, "list_connections.limit: 101 is not in 0..100");

	sample_request(CALL_WATCH, SAMPLE_TYPICAL, &request);
	request.body.watch.frame_bytes = LIMIT_FRAME + 1;
	check_request(&request, "watch.frame_bytes: 9217 is not in 0..9216");
	request.body.watch.frame_bytes = 0;
	request.body.watch.packets = 0;
	check_request(&request, "watch.packets: 0 is not in 1..18446744073709551615");
	request.body.watch.packets = 1;
	request.body.watch.bytes = 0;
	check_request(&request, "watch.bytes: 0 is not in 1..18446744073709551615");
	request.body.watch.bytes = 1;
	request.body.watch.seconds = 0;
	check_request(&request, "watch.seconds: 0 is not in 1..3600");
	request.body.watch.seconds = WATCH_SECONDS_MAX + 1;
	check_request(&request, "watch.seconds: 3601 is not in 1..3600");
	sample_request(CALL_READ_WATCH, SAMPLE_TYPICAL, &request);
	request.body.read_watch.id = 0;
	check_request(&request, "read_watch.id: is 0");

	sample_request(CALL_SET_POD_NETWORK, SAMPLE_TYPICAL, &request);
	request.body.set_pod_network.ipv4_prefix_length = 31;
	check_request(&request, "set_pod_network.ipv4_prefix_length: 31 is not in 8..30");
	request.body.set_pod_network.has_ipv4 = false;
	check_request(&request, NULL);
	request.body.set_pod_network.ipv6_prefix_length = 127;
	check_request(&request, "set_pod_network.ipv6_prefix_length: 127 is not in 48..126");
	request.body.set_pod_network.has_ipv6 = false;
	check_request(&request, "set_pod_network: has neither ipv4 nor ipv6");

	sample_request(CALL_CHECK, SAMPLE_TYPICAL, &request);
	request.body.check.expected.mtu = MTU_MAX + 1;
	check_request(&request, "check.expected.mtu: 9001 is not in 1280..9000");
}

static void a_limited_bandwidth_is_one_that_can_be_kept(void **state)
{
	struct request request;
	struct bandwidth *bandwidth = &request.body.attach.bandwidth;

	sample_request(CALL_ATTACH, SAMPLE_TYPICAL, &request);
	*bandwidth = (struct bandwidth){.egress_rate_bps = RATE_MIN_BPS};
	check_request(&request, NULL);
	bandwidth->egress_burst_bits = BURST_MAX_BITS;
	check_request(&request, NULL);
	bandwidth->egress_burst_bits++;
	check_request(&request, "attach.bandwidth.egress_burst_bits: 34359738361 is not in "
				"0..34359738360");
	bandwidth->egress_burst_bits = 0;
	bandwidth->ingress_burst_bits = 1;
	check_request(&request, "attach.bandwidth.ingress_burst_bits: 1 is not in 0..0");
	bandwidth->ingress_rate_bps = RATE_MAX_BPS;
	check_request(&request, NULL);
	bandwidth->ingress_rate_bps++;
	check_request(&request, "attach.bandwidth.ingress_rate_bps: 1000000000000001 is not in "
				"1000..1000000000000000");
	bandwidth->ingress_rate_bps = RATE_MIN_BPS;
	bandwidth->egress_rate_bps = RATE_MIN_BPS - 1;
	check_request(&request, "attach.bandwidth.egress_rate_bps: 999 is not in "
				"1000..1000000000000000");
}

static void a_mapped_port_is_one_and_given_once(void **state)
{
	struct request request;
	struct port_mappings *mappings = &request.body.attach.port_mappings;

	sample_request(CALL_ATTACH, SAMPLE_TYPICAL, &request);
	mappings->items[1] = mappings->items[0];
	mappings->items[1].container_port = 81;
	check_request(&request, "attach.port_mappings[1].host_port: 8080 is given twice");
	mappings->items[1].protocol = IPPROTO_UDP;
	check_request(&request, NULL);
	mappings->items[1] = mappings->items[0];
	mappings->items[1].host_family =
		6; // whose it is that both families' is as well, the agent says
	check_request(&request, NULL);
	mappings->items[1].host_ip[15] = 1;
	check_request(&request, NULL);
	mappings->items[1].protocol = IPPROTO_SCTP;
	check_request(&request, "attach.port_mappings[1].protocol: 132 is neither TCP's nor UDP's");
	mappings->items[1].protocol = IPPROTO_TCP;
	mappings->items[1].host_family = 5;
	check_request(&request, "attach.port_mappings[1].host_family: 5 is none of 0, 4, 6");
	mappings->items[1].host_family = 4;
	mappings->items[1].host_port = 0;
	check_request(&request, "attach.port_mappings[1].host_port: 0 is not in 1..65535");
	mappings->items[1].host_port = 1;
	mappings->items[1].container_port = 0;
	check_request(&request, "attach.port_mappings[1].container_port: 0 is not in 1..65535");
}

static void what_is_valid_comes_in_order(void **state)
{
	struct request request;
	struct gc_request *gc = &request.body.gc;
	struct encoded encoded;
	struct error err = {0};

	sample_request(CALL_GC, SAMPLE_TYPICAL, &request);
	gc->valid[2] = gc->valid[1];
	check_request(&request, "gc.valid[2]: is out of order");
	gc->count = 2;
	gc->valid[0] = gc->after;
	check_request(&request, "gc.valid[0]: is out of order");
	gc->has_after = false;
	memset(&gc->after, 0, sizeof(gc->after));
	check_request(&request, NULL);
	gc->count = 0;
	check_request(&request, "gc.more: without any that is valid");
	gc->more = false;
	check_request(&request, NULL);
	gc->count = LIMIT_VALID + 1;
	assert_int_equal(codec_encode_request(&request, &encoded, &err), -EMSGSIZE);
}

static void numbers_of_replies_pass_up_to_their_limits(void **state)
{
	struct reply reply;

	sample_reply(CALL_HELLO, SAMPLE_TYPICAL, &reply);
	struct pod_network *network = &reply.body.hello.pod_network;
	network->ipv4_prefix_length = 8;
	network->ipv6_prefix_length = 48;
	check_reply(&reply, NULL);
	network->ipv4_prefix_length = 30;
	network->ipv6_prefix_length = 126;
	check_reply(&reply, NULL);
	network->ipv4_prefix_length = 31;
	check_reply(&reply, "hello.pod_network.ipv4_prefix_length: 31 is not in 8..30");
	network->ipv4_prefix_length = 7;
	check_reply(&reply, "hello.pod_network.ipv4_prefix_length: 7 is not in 8..30");
	network->ipv4_prefix_length = 8;
	network->ipv6_prefix_length = 127;
	check_reply(&reply, "hello.pod_network.ipv6_prefix_length: 127 is not in 48..126");
	network->ipv6_prefix_length = 47;
	check_reply(&reply, "hello.pod_network.ipv6_prefix_length: 47 is not in 48..126");
	network->ipv6_prefix_length = 64;
	network->mtu = MTU_MIN - 1;
	check_reply(&reply, "hello.pod_network.mtu: 1279 is not in 1280..9000");
	network->mtu = MTU_MIN;
	network->has_ipv4 = network->has_ipv6 = false;
	check_reply(&reply, "hello.pod_network: has neither ipv4 nor ipv6");

	sample_reply(CALL_ATTACH, SAMPLE_TYPICAL, &reply);
	reply.body.attach.mtu = MTU_MAX + 1;
	check_reply(&reply, "attach.attachment.mtu: 9001 is not in 1280..9000");
	reply.body.attach.mtu = 0;
	check_reply(&reply, "attach.attachment.mtu: 0 is not in 1280..9000");
	reply.body.attach.mtu = MTU_MAX;
	check_reply(&reply, NULL);
	memset(&reply.body.attach.gateway_ipv4, 0, sizeof(struct in_addr));
	check_reply(&reply, "attach.attachment.gateway_ipv4: missing");
	reply.body.attach.has_ipv4 = false;
	check_reply(&reply, NULL);
	reply.body.attach.has_ipv6 = false;
	check_reply(&reply, "attach.attachment: has neither ipv4 nor ipv6");

	sample_reply(CALL_GET_IPAM, SAMPLE_TYPICAL, &reply);
	reply.body.ipam.ipv4.prefix_length = 31;
	check_reply(&reply, "ipam.ipv4.prefix_length: 31 is not in 8..30");

	sample_reply(CALL_LIST_FLOWS, SAMPLE_TYPICAL, &reply);
	reply.body.flows.flows[1].id = 0;
	check_reply(&reply, "flows.flows[1].id: is 0");
	reply.body.flows.flows[1].id = 1;
	check_reply(&reply, NULL);
	reply_clear(&reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_of_requests_pass_up_to_their_limits),
		cmocka_unit_test(a_limited_bandwidth_is_one_that_can_be_kept),
		cmocka_unit_test(a_mapped_port_is_one_and_given_once),
		cmocka_unit_test(what_is_valid_comes_in_order),
		cmocka_unit_test(numbers_of_replies_pass_up_to_their_limits),
	};

	return cmocka_run_group_tests_name("codec, limits", tests, NULL, NULL);
}
