// SPDX-License-Identifier: BSD-3-Clause
//
// What goes in comes out; what is wrong is refused with the path of its field.

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "podport.pb-c.h"
#include "proto/codec.h"
#include "proto/test_samples.h"

static struct encoded encode_request(const struct request *request)
{
	struct encoded encoded = {0};
	struct error err = {0};

	if (codec_encode_request(request, &encoded, &err) < 0)
		fail_msg("%s: %s", call_name(request->call), err.message);
	return encoded;
}

static struct encoded encode_reply(const struct reply *reply)
{
	struct encoded encoded = {0};
	struct error err = {0};

	if (codec_encode_reply(reply, &encoded, &err) < 0)
		fail_msg("%s: %s", call_name(reply->call), err.message);
	return encoded;
}

// ---- what goes in comes out ----------------------------------------------------------------------

static void every_request_comes_out_as_it_went_in(void **state)
{
	for (enum call call = CALL_HELLO; call < CALL_COUNT; call++)
		for (enum sample sample = 0; sample < SAMPLE_COUNT; sample++) {
			struct request in, out;
			struct error err = {0};

			memset(&out, 0xff, sizeof(out));
			sample_request(call, sample, &in);
			struct encoded encoded = encode_request(&in);
			if (codec_decode_request(encoded.data, encoded.size, &out, &err) < 0)
				fail_msg("%s %d: %s", call_name(call), (int)sample, err.message);
			assert_memory_equal(&in, &out, sizeof(in));
			encoded_clear(&encoded);
		}
}

static void check_reply_round_trip(const struct reply *in)
{
	struct error err = {0};
	struct reply out;

	memset(&out, 0xff, sizeof(out));
	struct encoded encoded = encode_reply(in);
	if (codec_decode_reply(encoded.data, encoded.size, &out, &err) < 0)
		fail_msg("%s: %s", call_name(in->call), err.message);
	if (!reply_equal(in, &out))
		fail_msg("%s: another one came out", call_name(in->call));
	encoded_clear(&encoded);
	reply_clear(&out);
}

static void every_reply_comes_out_as_it_went_in(void **state)
{
	for (enum call call = CALL_HELLO; call < CALL_COUNT; call++)
		for (enum sample sample = 0; sample < SAMPLE_COUNT; sample++) {
			struct reply in;

			sample_reply(call, sample, &in);
			check_reply_round_trip(&in);
			reply_clear(&in);
		}
	for (enum code code = CODE_INTERNAL; code < CODE_COUNT; code++)
		for (enum sample sample = 0; sample < SAMPLE_COUNT; sample++) {
			struct reply in;

			sample_error_reply(code, sample, &in);
			check_reply_round_trip(&in);
		}
}

static void an_expected_attachment_may_say_as_little_as_a_runtime_knows(void **state)
{
	struct request in, out;
	struct error err = {0};

	sample_request(CALL_CHECK, SAMPLE_SMALLEST, &in);
	in.body.check.has_expected = true;
	in.body.check.expected.has_ipv4 = true;
	in.body.check.expected.ipv4.s_addr = htonl(0x0a580002);
	struct encoded encoded = encode_request(&in);
	memset(&out, 0, sizeof(out));
	if (codec_decode_request(encoded.data, encoded.size, &out, &err) < 0)
		fail_msg("%s", err.message);
	assert_memory_equal(&in, &out, sizeof(in));
	encoded_clear(&encoded);
}

static void a_limit_of_zero_means_a_full_page(void **state)
{
	struct request in, out;
	struct error err;

	sample_request(CALL_LIST, SAMPLE_SMALLEST, &in);
	in.body.list.limit = 0;
	struct encoded encoded = encode_request(&in);
	assert_int_equal(codec_decode_request(encoded.data, encoded.size, &out, &err), 0);
	assert_int_equal(out.body.list.limit, LIMIT_PAGE);
	encoded_clear(&encoded);
	in.body.list.limit = LIMIT_PAGE_ASKED;
	encoded = encode_request(&in);
	assert_int_equal(codec_decode_request(encoded.data, encoded.size, &out, &err), 0);
	assert_int_equal(out.body.list.limit, LIMIT_PAGE);
	encoded_clear(&encoded);

	sample_request(CALL_LIST_PORTS, SAMPLE_SMALLEST, &in);
	in.body.list_ports.limit = 0;
	encoded = encode_request(&in);
	assert_int_equal(codec_decode_request(encoded.data, encoded.size, &out, &err), 0);
	assert_int_equal(out.body.list_ports.limit, LIMIT_PORTS_PAGE);
	encoded_clear(&encoded);

	sample_request(CALL_LIST_FLOWS, SAMPLE_SMALLEST, &in);
	in.body.list_flows.limit = 0;
	encoded = encode_request(&in);
	assert_int_equal(codec_decode_request(encoded.data, encoded.size, &out, &err), 0);
	assert_int_equal(out.body.list_flows.limit, LIMIT_FLOWS_PAGE);
	encoded_clear(&encoded);
}

// What an agent that is older than offload answers: nothing of it.
static void what_an_older_agent_does_not_tell_is_not_made_up(void **state)
{
	struct reply in, out;
	struct error err;

	sample_reply(CALL_LIST, SAMPLE_TYPICAL, &in);
	memset(&in.body.list.items[1].offload, 0, sizeof(in.body.list.items[1].offload));
	in.body.list.items[1].has_offload = false;
	check_reply_round_trip(&in);
	reply_clear(&in);

	sample_reply(CALL_CHECK, SAMPLE_TYPICAL, &in);
	in.body.check.sandbox.cookie = 0;
	check_reply_round_trip(&in);

	sample_reply(CALL_GET_STATUS, SAMPLE_TYPICAL, &in);
	in.body.status.agent.has_offload = in.body.status.agent.has_uplink = false;
	memset(&in.body.status.agent.offload, 0, sizeof(in.body.status.agent.offload));
	memset(&in.body.status.agent.uplink, 0, sizeof(in.body.status.agent.uplink));
	check_reply_round_trip(&in);

	sample_reply(CALL_LIST_FLOWS, SAMPLE_TYPICAL, &in);
	in.body.flows.flows[0].has_key = in.body.flows.flows[0].has_function = false;
	in.body.flows.flows[0].of_host = true;
	struct encoded encoded = encode_reply(&in);
	assert_int_equal(codec_decode_reply(encoded.data, encoded.size, &out, &err), 0);
	assert_false(out.body.flows.flows[0].has_key || out.body.flows.flows[0].has_function);
	assert_true(out.body.flows.flows[1].has_key && out.body.flows.flows[1].has_function);
	assert_true(out.body.flows.flows[0].of_host && !out.body.flows.flows[1].of_host);
	encoded_clear(&encoded);
	reply_clear(&out);
	reply_clear(&in);
}

static void an_error_arrives_whatever_its_text(void **state)
{
	struct reply in = {.code = CODE_NIC, .message = "line\nline \xff\x1b[31m"}, out;
	struct error err = {0};
	struct encoded encoded = encode_reply(&in);

	assert_int_equal(codec_decode_reply(encoded.data, encoded.size, &out, &err), 0);
	assert_string_equal(out.message, "line?line ??[31m");
	encoded_clear(&encoded);

	in.message[0] = '\0';
	encoded = encode_reply(&in);
	assert_int_equal(codec_decode_reply(encoded.data, encoded.size, &out, &err), 0);
	assert_string_equal(out.message, "nic");
	encoded_clear(&encoded);
}

// ---- no field is forgotten, every page fits ------------------------------------------------------

enum { FIELDS_MAX = 512 };
static const ProtobufCFieldDescriptor *seen[FIELDS_MAX];
static size_t seen_count;

static void see(const ProtobufCFieldDescriptor *field)
{
	for (size_t i = 0; i < seen_count; i++)
		if (seen[i] == field)
			return;
	assert_true(seen_count < FIELDS_MAX);
	seen[seen_count++] = field;
}

static const void *member(const ProtobufCMessage *message, size_t offset)
{
	return (const char *)message + offset;
}

static bool is_unset(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	const void *value = member(message, field->offset);

	if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
	    *(const uint32_t *)member(message, field->quantifier_offset) != field->id)
		return true;
	switch (field->type) {
	case PROTOBUF_C_TYPE_UINT32:
		return *(const uint32_t *)value == 0;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return *(const uint64_t *)value == 0;
	case PROTOBUF_C_TYPE_BOOL:
		return !*(const protobuf_c_boolean *)value;
	case PROTOBUF_C_TYPE_STRING:
		return (*(char *const *)value)[0] == '\0';
	case PROTOBUF_C_TYPE_BYTES:
		return ((const ProtobufCBinaryData *)value)->len == 0;
	default:
		return *(ProtobufCMessage *const *)value == NULL;
	}
}

static void see_fields(const ProtobufCMessage *message)
{
	for (unsigned int i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];

		if (field->label == PROTOBUF_C_LABEL_REPEATED) {
			size_t count = *(const size_t *)member(message, field->quantifier_offset);
			ProtobufCMessage *const *items =
				*(ProtobufCMessage *const *const *)member(message, field->offset);

			if (count > 0)
				see(field);
			for (size_t j = 0; j < count; j++)
				see_fields(items[j]);
		} else if (!is_unset(message, field)) {
			see(field);
			if (field->type == PROTOBUF_C_TYPE_MESSAGE)
				see_fields(
					*(ProtobufCMessage *const *)member(message, field->offset));
		}
	}
}

static void check_all_seen(const ProtobufCMessageDescriptor *descriptor)
{
	for (unsigned int i = 0; i < descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
		bool found = false;

		for (size_t j = 0; j < seen_count; j++)
			found = found || seen[j] == field;
		if (!found)
			fail_msg("%s.%s is never encoded", descriptor->name, field->name);
		if (field->type == PROTOBUF_C_TYPE_MESSAGE)
			check_all_seen(field->descriptor);
	}
}

static void see_encoded(const ProtobufCMessageDescriptor *descriptor, struct encoded *encoded)
{
	ProtobufCMessage *message =
		protobuf_c_message_unpack(descriptor, NULL, encoded->size, encoded->data);

	assert_non_null(message);
	see_fields(message);
	protobuf_c_message_free_unpacked(message, NULL);
	encoded_clear(encoded);
}

static void no_field_of_the_schema_is_forgotten(void **state)
{
	struct request request;
	struct reply reply;
	struct encoded encoded;

	static const enum sample samples[] = {SAMPLE_TYPICAL,
					      SAMPLE_LARGEST}; // with a function, with a socket

	seen_count = 0;
	for (size_t i = 0; i < 2 * (CALL_COUNT - CALL_HELLO); i++) {
		const enum call call = CALL_HELLO + i / 2;

		sample_request(call, samples[i % 2], &request);
		encoded = encode_request(&request);
		see_encoded(&podport__wire__request__descriptor, &encoded);
		sample_reply(call, samples[i % 2], &reply);
		encoded = encode_reply(&reply);
		see_encoded(&podport__wire__reply__descriptor, &encoded);
		reply_clear(&reply);
	}
	sample_error_reply(CODE_NIC, SAMPLE_LARGEST, &reply);
	encoded = encode_reply(&reply);
	see_encoded(&podport__wire__reply__descriptor, &encoded);
	check_all_seen(&podport__wire__request__descriptor);
	check_all_seen(&podport__wire__reply__descriptor);
}

static void the_largest_of_every_message_fits(void **state)
{
	for (enum call call = CALL_HELLO; call < CALL_COUNT; call++) {
		struct request request;
		struct reply reply;

		sample_request(call, SAMPLE_LARGEST, &request);
		struct encoded encoded = encode_request(&request);
		assert_in_range(encoded.size, 1, LIMIT_MESSAGE_BYTES);
		encoded_clear(&encoded);
		sample_reply(call, SAMPLE_LARGEST, &reply);
		encoded = encode_reply(&reply);
		assert_in_range(encoded.size, 1, LIMIT_MESSAGE_BYTES);
		encoded_clear(&encoded);
		reply_clear(&reply);
	}
}

static void a_page_over_its_limit_is_not_encoded(void **state)
{
	struct encoded encoded;
	struct error err = {0};
	struct reply reply;

	sample_reply(CALL_LIST, SAMPLE_LARGEST, &reply);
	reply.body.list.count = LIMIT_PAGE + 1;
	assert_int_equal(codec_encode_reply(&reply, &encoded, &err), -EMSGSIZE);
	assert_string_equal(err.message, "list: 16 attachments are more than 15");
	reply_clear(&reply);

	sample_reply(CALL_LIST_PORTS, SAMPLE_LARGEST, &reply);
	reply.body.ports.count = LIMIT_PORTS_PAGE + 1;
	assert_int_equal(codec_encode_reply(&reply, &encoded, &err), -EMSGSIZE);
	assert_string_equal(err.message, "ports: 13 are more than 12");
	reply.body.ports.count = LIMIT_PORTS_PAGE;
	reply.body.ports.ports[2].drop_count = LIMIT_DROPS + 1;
	assert_int_equal(codec_encode_reply(&reply, &encoded, &err), -EMSGSIZE);
	assert_string_equal(err.message, "ports[2].drops: 49 are more than 48");
	reply_clear(&reply);

	sample_reply(CALL_LIST_FLOWS, SAMPLE_LARGEST, &reply);
	reply.body.flows.count = LIMIT_FLOWS_PAGE + 1;
	assert_int_equal(codec_encode_reply(&reply, &encoded, &err), -EMSGSIZE);
	assert_string_equal(err.message, "flows: 41 are more than 40");
	reply_clear(&reply);

	sample_reply(CALL_GC, SAMPLE_LARGEST, &reply);
	reply.body.gc.failure_count = LIMIT_FAILURES + 1;
	assert_int_equal(codec_encode_reply(&reply, &encoded, &err), -EMSGSIZE);
	assert_string_equal(err.message, "gc.failures: 9 are more than 8");

	sample_reply(CALL_GET_OFFLOAD, SAMPLE_LARGEST, &reply);
	reply.body.offload.count = LIMIT_CAPABILITIES + 1;
	assert_int_equal(codec_encode_reply(&reply, &encoded, &err), -EMSGSIZE);
	assert_string_equal(err.message, "offload.capabilities: 65 are more than 64");
	reply_clear(&reply);
}

static void what_is_no_call_is_not_encoded(void **state)
{
	struct request request = {.timeout_ms = 1, .call = CALL_NONE};
	struct reply reply = {.code = CODE_OK, .call = CALL_COUNT};
	struct encoded encoded;
	struct error err;

	assert_int_equal(codec_encode_request(&request, &encoded, &err), -EINVAL);
	assert_int_equal(codec_encode_reply(&reply, &encoded, &err), -EINVAL);
}

// ---- single values -------------------------------------------------------------------------------

static void names_follow_the_cni_specification(void **state)
{
	struct error err = {0};
	char name[LIMIT_NAME + 2];

	memset(name, 'a', sizeof(name));
	name[LIMIT_NAME + 1] = '\0';
	assert_int_equal(check_name("network", name, &err), -EINVAL);
	assert_string_equal(err.message, "network: is longer than 128 characters");
	name[LIMIT_NAME] = '\0';
	assert_int_equal(check_name("network", name, &err), 0);
	assert_int_equal(check_name("network", "a", &err), 0);
	assert_int_equal(check_name("network", "0A_.-z", &err), 0);
	assert_int_equal(check_name("network", "", &err), -EINVAL);
	assert_string_equal(err.message, "network: is empty");
	assert_int_equal(check_name("network", "-a", &err), -EINVAL);
	assert_int_equal(check_name("network", ".a", &err), -EINVAL);
	assert_int_equal(check_name("network", "a/b", &err), -EINVAL);
	assert_int_equal(check_name("network", "a b", &err), -EINVAL);
	assert_int_equal(check_name("network", "\xc3\xa4", &err), -EINVAL);
	assert_int_equal(err.code, CODE_BAD_REQUEST);
}

static void interface_names_are_what_linux_takes(void **state)
{
	struct error err = {0};

	assert_int_equal(check_ifname("ifname", "eth0", &err), 0);
	assert_int_equal(check_ifname("ifname", "fifteen-letters", &err), 0);
	assert_int_equal(check_ifname("ifname", "sixteen-letters-", &err), -EINVAL);
	assert_string_equal(err.message, "ifname: is longer than 15 characters");
	assert_int_equal(check_ifname("ifname", "", &err), -EINVAL);
	assert_int_equal(check_ifname("ifname", ".", &err), -EINVAL);
	assert_int_equal(check_ifname("ifname", "..", &err), -EINVAL);
	assert_int_equal(check_ifname("ifname", "...", &err), 0);
	assert_int_equal(check_ifname("ifname", "a/b", &err), -EINVAL);
	assert_int_equal(check_ifname("ifname", "a:b", &err), -EINVAL);
	assert_int_equal(check_ifname("ifname", "a b", &err), -EINVAL);
	assert_int_equal(check_ifname("ifname", "a\tb", &err), -EINVAL);
	assert_int_equal(check_ifname("ifname", "a\x7f", &err), -EINVAL);
}

static void numbers_and_macs_keep_their_ranges(void **state)
{
	struct error err = {0};
	struct mac mac = {{2, 0, 0, 0, 0, 1}};

	assert_int_equal(check_mtu("mtu", MTU_MIN, &err), 0);
	assert_int_equal(check_mtu("mtu", MTU_MAX, &err), 0);
	assert_int_equal(check_mtu("mtu", MTU_MIN - 1, &err), -EINVAL);
	assert_string_equal(err.message, "mtu: 1279 is not in 1280..9000");
	assert_int_equal(check_mtu("mtu", MTU_MAX + 1, &err), -EINVAL);
	assert_int_equal(check_mtu("mtu", UINT64_MAX, &err), -EINVAL);
	assert_int_equal(check_mac("mac", &mac, &err), 0);
	mac.bytes[0] = 1;
	assert_int_equal(check_mac("mac", &mac, &err), -EINVAL);
	assert_string_equal(err.message, "mac: is a group address");
	memset(&mac, 0, sizeof(mac));
	assert_int_equal(check_mac("mac", &mac, &err), -EINVAL);
	assert_string_equal(err.message, "mac: is all zero");
}

// ---- message.c -----------------------------------------------------------------------------------

static void errors_become_replies_and_back(void **state)
{
	for (enum code code = CODE_INTERNAL; code < CODE_COUNT; code++) {
		struct error in = {.code = code, .message = "why"}, out = {0};
		struct reply reply;

		memset(&reply, 0xff, sizeof(reply));
		reply_from_error(&reply, &in);
		assert_int_equal(reply.call, CALL_NONE);
		assert_true(reply_to_error(&reply, &out) < 0);
		assert_int_equal(out.code, code);
		assert_string_equal(out.message, "why");
		assert_string_not_equal(code_name(code), "unknown");
	}
	assert_string_equal(code_name(CODE_COUNT), "unknown");
	assert_string_equal(call_name(CALL_COUNT), "unknown");
	for (unsigned int call = CALL_NONE; call < CALL_COUNT; call++)
		assert_string_not_equal(call_name(call), "unknown");
}

static void an_error_without_a_code_does_not_pass_for_success(void **state)
{
	struct error err = {.code = CODE_OK, .message = "forgot the code"};
	struct reply reply;

	reply_from_error(&reply, &err);
	assert_int_equal(reply.code, CODE_INTERNAL);
}

static void keys_are_ordered_by_network_container_interface(void **state)
{
	static const struct attachment_key keys[] = {{"a", "a", "a"},  {"a", "a", "b"},
						     {"a", "ab", "a"}, {"a", "b", "a"},
						     {"ab", "a", "a"}, {"b", "a", "a"}};
	const int count = sizeof(keys) / sizeof(keys[0]);

	for (int i = 0; i < count; i++)
		for (int j = 0; j < count; j++) {
			int r = attachment_key_compare(&keys[i], &keys[j]);

			assert_int_equal((r > 0) - (r < 0), (i > j) - (i < j));
			assert_int_equal(attachment_key_equal(&keys[i], &keys[j]), i == j);
		}
}

// hostd finds by it what the agent has made, and takes nothing else for it.
static void the_name_of_a_virtio_users_netdev_is_its_pods_mac(void **state)
{
	static const char *const others[] = {
		"ppv",  "ppv0270000000f",  "ppv0270000000ff0", "ppv0270000000FF", "ppv0x70000000ff",
		"eth0", "ppx0270000000ff", "ppv 270000000ff"};
	const struct mac mac = {{0x02, 0x70, 0, 0, 0, 0xff}};
	char name[VIRTIO_NETDEV_SIZE];
	struct mac again;

	virtio_netdev_name(&mac, name);
	assert_string_equal("ppv0270000000ff", name);
	assert_true(virtio_netdev_parse(name, &again));
	assert_memory_equal(&mac, &again, sizeof(mac));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(virtio_netdev_parse(others[i], &again));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_request_comes_out_as_it_went_in),
		cmocka_unit_test(every_reply_comes_out_as_it_went_in),
		cmocka_unit_test(an_expected_attachment_may_say_as_little_as_a_runtime_knows),
		cmocka_unit_test(a_limit_of_zero_means_a_full_page),
		cmocka_unit_test(what_an_older_agent_does_not_tell_is_not_made_up),
		cmocka_unit_test(an_error_arrives_whatever_its_text),
		cmocka_unit_test(no_field_of_the_schema_is_forgotten),
		cmocka_unit_test(the_largest_of_every_message_fits),
		cmocka_unit_test(a_page_over_its_limit_is_not_encoded),
		cmocka_unit_test(the_name_of_a_virtio_users_netdev_is_its_pods_mac),
		cmocka_unit_test(what_is_no_call_is_not_encoded),
		cmocka_unit_test(names_follow_the_cni_specification),
		cmocka_unit_test(interface_names_are_what_linux_takes),
		cmocka_unit_test(numbers_and_macs_keep_their_ranges),
		cmocka_unit_test(errors_become_replies_and_back),
		cmocka_unit_test(an_error_without_a_code_does_not_pass_for_success),
		cmocka_unit_test(keys_are_ordered_by_network_container_interface),
	};

	return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
