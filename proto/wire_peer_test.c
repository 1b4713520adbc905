// SPDX-License-Identifier: BSD-3-Clause
//
// The wire against peers that are not ours, and where it may listen and dial.

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>

#include "proto/codec.h"
#include "proto/wire_harness.h"

// ---- peers that are not ours ---------------------------------------------------------------------

static nng_socket open_raw_client(void)
{
	nng_socket peer;

	assert_int_equal(nng_req0_open(&peer), 0);
	assert_int_equal(nng_socket_set_ms(peer, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE), 0);
	assert_int_equal(nng_socket_set_ms(peer, NNG_OPT_RECVTIMEO, LONG_MS), 0);
	assert_int_equal(nng_dial(peer, harness_url, NULL, 0), 0);
	return peer;
}

// Send bytes, expect an error reply.
static void ask_raw(nng_socket peer, const void *data, size_t size, struct reply *ret_reply)
{
	nng_msg *message;
	struct error err = {0};

	assert_int_equal(nng_msg_alloc(&message, 0), 0);
	assert_int_equal(nng_msg_append(message, data, size), 0);
	assert_int_equal(nng_sendmsg(peer, message, 0), 0);
	assert_int_equal(nng_recvmsg(peer, &message, 0), 0);
	if (codec_decode_reply(nng_msg_body(message), nng_msg_len(message), ret_reply, &err) < 0)
		fail_msg("%s", err.message);
	nng_msg_free(message);
}

static void a_malformed_request_is_answered_with_the_reason(void **state)
{
	struct wire_server *server = start_server(1);
	struct wire_client *client = open_client();
	nng_socket peer = open_raw_client();
	struct reply reply;
	char *large = calloc(1, LIMIT_MESSAGE_BYTES + 1);

	// One context and one connection for all of it: nothing is used up.
	for (int round = 0; round < 3; round++) {
		ask_raw(peer, "garbage", 7, &reply);
		assert_int_equal(reply.code, CODE_BAD_REQUEST);
		assert_true(reply.message[0] != '\0');
		ask_raw(peer, "", 0, &reply);
		assert_int_equal(reply.code, CODE_BAD_REQUEST);
		assert_string_equal(reply.message, "body: missing");
		ask_raw(peer, "\x08\x05\x5a\x00", 4, &reply);
		assert_string_equal(reply.message, "attach.key: missing");
		ask_raw(peer, "\x08\x05\x9a\x06\x00", 5, &reply);
		assert_int_equal(reply.code, CODE_UNSUPPORTED);
		ask_raw(peer, large, LIMIT_MESSAGE_BYTES + 1, &reply);
		assert_int_equal(reply.code, CODE_BAD_REQUEST);
		assert_string_equal(reply.message, "message: 65537 bytes are more than 65536");
	}
	assert_int_equal(atomic_load(&harness_handled), 0);
	free(large);
	call_now(client);
	nng_close(peer);
	wire_client_close(client);
	wire_server_stop(server);
}

// Our client gives up by itself; one that does not must not get what came too late.
static void a_late_answer_is_not_sent(void **state)
{
	struct wire_server *server = start_server(1);
	struct request request = detach("later", 1);
	nng_socket peer = open_raw_client();
	struct encoded encoded;
	struct reply reply;
	struct error err;
	nng_msg *message;

	request.timeout_ms = 1;
	assert_int_equal(codec_encode_request(&request, &encoded, &err), 0);
	assert_int_equal(nng_msg_alloc(&message, 0), 0);
	assert_int_equal(nng_msg_append(message, encoded.data, encoded.size), 0);
	assert_int_equal(nng_sendmsg(peer, message, 0), 0);
	WAIT_FOR(count_held() == 1);
	WAIT_FOR(held_remaining_ms() <= 0);
	answer_held();
	assert_int_equal(nng_socket_set_ms(peer, NNG_OPT_RECVTIMEO, 100), 0);
	assert_int_equal(nng_recvmsg(peer, &message, 0), NNG_ETIMEDOUT);
	encoded_clear(&encoded);

	// The same connection and the same, only, context go on.
	assert_int_equal(nng_socket_set_ms(peer, NNG_OPT_RECVTIMEO, LONG_MS), 0);
	ask_raw(peer, "", 0, &reply);
	assert_int_equal(reply.code, CODE_BAD_REQUEST);
	nng_close(peer);
	wire_server_stop(server);
}

static void a_huge_message_ends_that_connection_only(void **state)
{
	struct wire_server *server = start_server(1);
	struct wire_client *client = open_client();
	nng_socket peer = open_raw_client();
	nng_msg *message;

	call_now(client);
	assert_int_equal(nng_msg_alloc(&message, 1024 * 1024), 0);
	assert_int_equal(nng_sendmsg(peer, message, 0), 0);
	assert_int_equal(nng_recvmsg(peer, &message, 0), NNG_ECONNRESET);
	call_now(client);
	assert_int_equal(atomic_load(&harness_ups), 1);
	nng_close(peer);
	wire_client_close(client);
	wire_server_stop(server);
}

static int connect_raw(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", harness_socket);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void what_does_not_speak_nng_does_no_harm(void **state)
{
	static const char req_header[] = "\0SP\0\0\x30\0\0";
	// ipc: a type byte, 8 bytes of length, the REQ ID with its last-hop bit, the body.
	static const char no_id[] = "\x01\0\0\0\0\0\0\0\x02xx";
	static const char no_hop[] = "\x01\0\0\0\0\0\0\0\x04\0\0\0\1";
	static const char length_lie[] = "\x01\x7f\xff\xff\xff\xff\xff\xff\xff";
	struct wire_server *server = start_server(2);
	struct wire_client *client = open_client();
	int fds[8];
	size_t count = 0;

	fds[count++] = connect_raw(); // says nothing
	fds[count] = connect_raw();
	assert_true(write(fds[count++], "GET / HTTP/1.1\r\n\r\n", 18) == 18);
	fds[count] = connect_raw();
	assert_true(write(fds[count++], req_header, 4) == 4);
	fds[count] = connect_raw();
	assert_true(write(fds[count], req_header, 8) == 8);
	assert_true(write(fds[count++], no_id, sizeof(no_id) - 1) == sizeof(no_id) - 1);
	fds[count] = connect_raw();
	assert_true(write(fds[count], req_header, 8) == 8);
	assert_true(write(fds[count++], no_hop, sizeof(no_hop) - 1) == sizeof(no_hop) - 1);
	fds[count] = connect_raw();
	assert_true(write(fds[count], req_header, 8) == 8);
	assert_true(write(fds[count++], length_lie, sizeof(length_lie) - 1) ==
		    sizeof(length_lie) - 1);
	for (int i = 0; i < 20; i++)
		call_now(client);
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	call_now(client);
	assert_int_equal(atomic_load(&harness_handled), 21);
	wire_client_close(client);
	wire_server_stop(server);
}

// A server that answers what is no answer.
static void answer_raw(nng_socket peer, const void *data, size_t size)
{
	nng_msg *message;

	assert_int_equal(nng_recvmsg(peer, &message, 0), 0);
	nng_msg_clear(message);
	assert_int_equal(nng_msg_append(message, data, size), 0);
	assert_int_equal(nng_sendmsg(peer, message, 0), 0);
}

// nng then writes to nobody, which it takes for its own end.
static void who_comes_and_is_gone_at_once_does_not_deafen_the_server(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct wire_server *server = start_server(2);
	struct wire_client *client;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", harness_url + strlen("ipc://"));
	for (unsigned int i = 0; i < 20; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)),
				 0);
		close(fd);
	}
	client = open_client();
	call_now(client);
	wire_client_close(client);
	wire_server_stop(server);
}

static void an_answer_that_is_none_is_an_error(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		const char *message;
	} answers[] = {
		{"garbage", 7, "the answer of the agent at %s: "},
		{"", 0, "the answer of the agent at %s: body: missing"},
		{"\x7a\x00", 2, "the agent at %s answered get-status to a call of detach"},
		{"\x08\xe7\x07\x12\x03why", 8,
		 "the answer of the agent at %s: code: 999 is not known here; it says: why"},
	};
	struct wire_client *client = open_client();
	nng_socket peer;

	assert_int_equal(nng_rep0_open(&peer), 0);
	assert_int_equal(nng_listen(peer, harness_url, NULL, 0), 0);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct caller caller;
		char expected[512];

		start_caller(&caller, client, "now", 1, LONG_MS);
		answer_raw(peer, answers[i].bytes, answers[i].size);
		pthread_join(caller.thread, NULL);
		assert_int_equal(caller.r, -EBADMSG);
		assert_true(caller.err.code == CODE_INTERNAL ||
			    caller.err.code == CODE_UNSUPPORTED);
		// nng's own sanitizers: the format is one of the constants above.
		char *at = strstr(answers[i].message, "%s");
		snprintf(expected, sizeof(expected), "%.*s%s%s", (int)(at - answers[i].message),
			 answers[i].message, harness_url, at + 2);
		assert_memory_equal(caller.err.message, expected, strlen(expected));
	}
	nng_close(peer);
	wire_client_close(client);
}

// ---- where it may listen -------------------------------------------------------------------------

static void the_socket_has_the_mode_that_was_asked_for(void **state)
{
	mode_t before = umask(0);
	struct wire_server *server = start_server(1);
	struct stat st;

	umask(before);
	assert_int_equal(stat(harness_socket, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	wire_server_stop(server);
	assert_int_equal(access(harness_socket, F_OK), -1);
}

static void a_stale_socket_is_taken_over_a_live_one_is_not(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	// As a killed agent leaves it.
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", harness_socket);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	struct wire_server *server = start_server(1);
	struct wire_client *client = open_client();
	call_now(client);

	struct wire_server_config config = {.url = harness_url,
					    .contexts = 1,
					    .socket_mode = 0600,
					    .handler = handle,
					    .arg = &harness_handled};
	struct wire_server *second = NULL;
	struct error err = {0};
	char expected[128];
	assert_int_equal(wire_server_start(&config, &second, &err), -EADDRINUSE);
	snprintf(expected, sizeof(expected), "cannot listen on %s: Address in use", harness_url);
	assert_string_equal(err.message, expected);
	assert_null(second);
	call_now(client);
	wire_client_close(client);
	wire_server_stop(server);
}

static const struct {
	const char *url;
	bool insecure;
	const char *message; // NULL: allowed
} urls[] = {
	{"ipc:///run/podport/agent.sock", false, NULL},
	{"tcp://127.0.0.1:4711", false, NULL},
	{"tcp://127.8.9.1:4711", false, NULL},
	{"tcp://[::1]:4711", false, NULL},
	{"tcp://localhost:4711", false, NULL},
	{"tcp://192.0.2.1:4711", true, NULL},
	{"tcp://192.0.2.1:4711", false, "plain tcp:// is only for loopback"},
	{"tcp://[2001:db8::1]:4711", false, "plain tcp:// is only for loopback"},
	{"tcp://0.0.0.0:4711", false, "plain tcp:// is only for loopback"},
	{"tcp://*:4711", false, "plain tcp:// is only for loopback"},
	{"tcp://127.0.0.1.example.com:4711", false, "plain tcp:// is only for loopback"},
	{"tcp://dpu:4711", false, "plain tcp:// is only for loopback"},
	{"tcp://127.0.0.1", false, "has no port of 1..65535"},
	{"tcp://127.0.0.1:0", false, "has no port of 1..65535"},
	{"tcp://127.0.0.1:65536", false, "has no port of 1..65535"},
	{"tcp://127.0.0.1:http", false, "has no port of 1..65535"},
	{"tcp://127.0.0.1:1/path", false, "there is more than host:port"},
	{"tcp://dpu@127.0.0.1:1", false, "there is more than host:port"},
	{"tls+tcp://dpu:4711", false, "needs tls.ca, tls.certificate and tls.key"},
	{"ipc://relative.sock", false, "the path of an ipc:// URL must be absolute"},
	{"inproc://name", false, "begins with none of ipc://, tls+tcp://, tcp://"},
	{"ws://127.0.0.1:80", false, "begins with none of ipc://, tls+tcp://, tcp://"},
	{"abstract://name", false, "begins with none of ipc://, tls+tcp://, tcp://"},
	{"/run/agent.sock", false, "is not a URL"},
	{"", false, "is not a URL"},
	{"ipc:///xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
	 false, "a socket's path may have at most 107 bytes"},
};

static void plain_tcp_leaves_the_machine_only_if_told_so(void **state)
{
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct wire_client_config config = {.url = urls[i].url,
						    .insecure = urls[i].insecure,
						    .reconnect_min_ms = 1000,
						    .reconnect_max_ms = 1000};
		struct wire_client *client = NULL;
		struct error err = {0};
		int r = wire_client_open(&config, &client, &err);

		if (urls[i].message == NULL) {
			if (r < 0)
				fail_msg("%s", err.message);
			wire_client_close(client);
			continue;
		}
		if (r != -EINVAL || client != NULL || strstr(err.message, urls[i].message) == NULL)
			fail_msg("%s: %d, %s", urls[i].url, r, err.message);
		assert_int_equal(err.code, CODE_BAD_REQUEST);

		struct wire_server_config server_config = {.url = urls[i].url,
							   .insecure = urls[i].insecure,
							   .contexts = 1,
							   .handler = handle};
		struct wire_server *server = NULL;
		assert_int_equal(wire_server_start(&server_config, &server, &err), -EINVAL);
		assert_null(server);
	}
}

static void certificates_for_a_url_that_uses_none_are_an_error(void **state)
{
	struct wire_client_config config = {.url = harness_url, .tls.ca_file = "/etc/ca.pem"};
	struct wire_client *client = NULL;
	struct error err = {0};

	assert_int_equal(wire_client_open(&config, &client, &err), -EINVAL);
	assert_non_null(strstr(err.message, "only tls+tcp:// uses them"));
}

static void loopback_tcp_works_as_ipc_does(void **state)
{
	char tcp_url[64];
	struct wire_server_config server_config = {
		.url = tcp_url, .contexts = 1, .handler = handle, .arg = &harness_handled};
	struct wire_client_config config = {
		.url = tcp_url, .reconnect_min_ms = 10, .reconnect_max_ms = 50};
	struct wire_server *server = NULL;
	struct wire_client *client = NULL;
	struct error err = {0};

	snprintf(tcp_url, sizeof(tcp_url), "tcp://127.0.0.1:%u", harness_free_port());
	if (wire_server_start(&server_config, &server, &err) < 0 ||
	    wire_client_open(&config, &client, &err) < 0)
		fail_msg("%s", err.message);
	call_now(client);
	wire_client_close(client);
	wire_server_stop(server);
}

static void a_server_needs_contexts(void **state)
{
	struct wire_server_config config = {.url = harness_url, .handler = handle};
	struct wire_server *server;
	struct error err;

	assert_int_equal(wire_server_start(&config, &server, &err), -EINVAL);
	config.contexts = 1025;
	assert_int_equal(wire_server_start(&config, &server, &err), -EINVAL);
	assert_string_equal(err.message, "contexts: 1025 is not in 1..1024");
	wire_server_stop(NULL);
	wire_client_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_malformed_request_is_answered_with_the_reason),
		cmocka_unit_test(a_late_answer_is_not_sent),
		cmocka_unit_test(a_huge_message_ends_that_connection_only),
		cmocka_unit_test(what_does_not_speak_nng_does_no_harm),
		cmocka_unit_test(who_comes_and_is_gone_at_once_does_not_deafen_the_server),
		cmocka_unit_test(an_answer_that_is_none_is_an_error),
		cmocka_unit_test(the_socket_has_the_mode_that_was_asked_for),
		cmocka_unit_test(a_stale_socket_is_taken_over_a_live_one_is_not),
		cmocka_unit_test(plain_tcp_leaves_the_machine_only_if_told_so),
		cmocka_unit_test(certificates_for_a_url_that_uses_none_are_an_error),
		cmocka_unit_test(loopback_tcp_works_as_ipc_does),
		cmocka_unit_test(a_server_needs_contexts),
	};

	return cmocka_run_group_tests_name("wire, peers", tests, harness_set_up, harness_tear_down);
}
