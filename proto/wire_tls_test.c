// SPDX-License-Identifier: BSD-3-Clause
//
// tls+tcp://: both sides show a certificate of the CA that the other one trusts, or there is no
// connection. Certificates are made by openssl(1) when the test starts.

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/tls/tls.h>

#include "proto/wire_harness.h"
#include "proto/wire_private.h"

// What nng still takes apart in the background is no leak when nng_fini() returns; but that takes memory from connections that
// are being made, if there are some yet.
enum { FINI_S = 1 };

static char folder[] = "/tmp/podport-tls-test-XXXXXX";
static unsigned int port;

// A CA and a stranger's; each with a certificate for localhost, ours also with one for another name
// and one that is over.
static const char make_certificates[] =
	"set -eu; cd %s; "
	"ca() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
	"  -subj /CN=$1 -keyout $1.key -out $1.pem; }; "
	"leaf() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$3 "
	"  -keyout $2.key -out $2.csr; "
	"  printf 'subjectAltName=DNS:%%s' $3 > $2.ext; "
	"  openssl x509 -req -in $2.csr -CA $1.pem -CAkey $1.key -CAcreateserial -extfile $2.ext "
	"  -days $4 -out $2.pem; }; "
	"ca ours; ca stranger; "
	"leaf ours agent localhost 2; leaf ours host host-1 2; leaf ours other other.example 2; "
	"leaf ours expired localhost -1; leaf stranger forged localhost 2; "
	"echo garbage > garbage.pem";

static int make_folder(void **state)
{
	char command[2048];

	if (mkdtemp(folder) == NULL)
		return -1;
	int length = snprintf(command, sizeof(command), "(");
	length += snprintf(command + length, sizeof(command) - (size_t)length, make_certificates,
			   folder);
	snprintf(command + length, sizeof(command) - (size_t)length, ") > %s/openssl.log 2>&1",
		 folder);
	if (system(command) != 0) {
		fprintf(stderr, "openssl failed, see %s/openssl.log\n", folder);
		return -1;
	}
	port = harness_free_port();
	return 0;
}

static int remove_folder(void **state)
{
	char command[128];

	nanosleep(&(const struct timespec){.tv_sec = FINI_S}, NULL);
	nng_fini();
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

// Files of the folder, by their names without .pem.
struct files {
	char ca[128], certificate[128], key[128];
};

static struct wire_tls tls_of(struct files *files, const char *ca, const char *certificate,
			      const char *key)
{
	snprintf(files->ca, sizeof(files->ca), "%s/%s.pem", folder, ca);
	snprintf(files->certificate, sizeof(files->certificate), "%s/%s.pem", folder, certificate);
	snprintf(files->key, sizeof(files->key), "%s/%s.key", folder, key);
	return (struct wire_tls){.ca_file = files->ca,
				 .certificate_file = files->certificate,
				 .key_file = files->key};
}

static int start(const char *ca, const char *certificate, const char *key,
		 struct wire_server **ret_server, struct error *err)
{
	struct files files;
	char url[64];
	struct wire_server_config config = {.url = url,
					    .tls = tls_of(&files, ca, certificate, key),
					    .contexts = 2,
					    .handler = handle,
					    .arg = &harness_handled};

	snprintf(url, sizeof(url), "tls+tcp://127.0.0.1:%u", port);
	atomic_store(&harness_handled, 0);
	return wire_server_start(&config, ret_server, err);
}

static int open_to(const char *host, const char *ca, const char *certificate, const char *key,
		   struct wire_client **ret_client, struct error *err)
{
	struct files files;
	char url[64];
	struct wire_client_config config = {.url = url,
					    .tls = tls_of(&files, ca, certificate, key),
					    .reconnect_min_ms = 10,
					    .reconnect_max_ms = 50};

	snprintf(url, sizeof(url), "tls+tcp://%s:%u", host, port);
	return wire_client_open(&config, ret_client, err);
}

// What comes of a call: 0, or the error of wire_client_call. The client is told in the end how the
// server fares: it has seen the call, or nothing.
static int try(const char *host, const char *client_ca, const char *client_certificate,
	       const char *server_ca, const char *server_certificate)
{
	struct request request = detach("now", 4);
	struct wire_server *server = NULL;
	struct wire_client *client = NULL;
	struct error err = {0};
	struct reply reply;

	if (start(server_ca, server_certificate, server_certificate, &server, &err) < 0)
		fail_msg("%s", err.message);
	if (open_to(host, client_ca, client_certificate, client_certificate, &client, &err) < 0)
		fail_msg("%s", err.message);
	int r = wire_client_call(client, &request, 500, &reply, &err);
	// A slow machine is no refusal: what should succeed has all the time.
	if (r < 0 && strcmp(client_ca, "ours") == 0 && strcmp(server_ca, "ours") == 0 &&
	    strcmp(client_certificate, "host") == 0 && strcmp(server_certificate, "agent") == 0)
		r = wire_client_call(client, &request, LONG_MS, &reply, &err);
	assert_int_equal(atomic_load(&harness_handled) > 0, r == 0);
	if (r == 0)
		assert_int_equal(reply.body.detach.function.vf, 4);
	wire_client_close(client);
	wire_server_stop(server);
	return r;
}

static void sides_that_trust_each_other_talk(void **state)
{
	assert_int_equal(try("localhost", "ours", "host", "ours", "agent"), 0);
	// An address cannot be compared with a certificate's names: the CA decides alone.
	assert_int_equal(try("127.0.0.1", "ours", "host", "ours", "agent"), 0);
}

static void a_strangers_certificate_is_refused_by_the_server(void **state)
{
	assert_int_equal(try("localhost", "ours", "forged", "ours", "agent"), -ETIMEDOUT);
}

static void a_strangers_certificate_is_refused_by_the_client(void **state)
{
	assert_int_equal(try("localhost", "ours", "host", "ours", "forged"), -ETIMEDOUT);
	assert_int_equal(try("127.0.0.1", "ours", "host", "ours", "forged"), -ETIMEDOUT);
}

static void an_expired_certificate_is_refused(void **state)
{
	assert_int_equal(try("localhost", "ours", "host", "ours", "expired"), -ETIMEDOUT);
	assert_int_equal(try("localhost", "ours", "expired", "ours", "agent"), -ETIMEDOUT);
}

static void a_server_of_another_name_is_refused(void **state)
{
	assert_int_equal(try("localhost", "ours", "host", "ours", "other"), -ETIMEDOUT);
}

static void a_client_without_certificate_is_refused(void **state)
{
	struct wire_server *server = NULL;
	struct error err = {0};
	nng_tls_config *config;
	nng_dialer dialer;
	nng_socket peer;
	nng_msg *message;
	char url[64];

	if (start("ours", "agent", "agent", &server, &err) < 0)
		fail_msg("%s", err.message);
	snprintf(url, sizeof(url), "tls+tcp://127.0.0.1:%u", port);
	assert_int_equal(nng_req0_open(&peer), 0);
	assert_int_equal(nng_tls_config_alloc(&config, NNG_TLS_MODE_CLIENT), 0);
	assert_int_equal(nng_tls_config_auth_mode(config, NNG_TLS_AUTH_MODE_NONE), 0);
	assert_int_equal(nng_dialer_create(&dialer, peer, url), 0);
	assert_int_equal(nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, config), 0);
	nng_dialer_start(dialer, NNG_FLAG_NONBLOCK);
	assert_int_equal(nng_socket_set_ms(peer, NNG_OPT_RECVTIMEO, 500), 0);
	assert_int_equal(nng_socket_set_ms(peer, NNG_OPT_SENDTIMEO, 500), 0);
	assert_int_equal(nng_msg_alloc(&message, 16), 0);
	if (nng_sendmsg(peer, message, 0) != 0)
		nng_msg_free(message);
	assert_int_not_equal(nng_recvmsg(peer, &message, 0), 0);
	nng_close(peer);
	nng_tls_config_free(config);
	wire_server_stop(server);
}

static void bytes_in_the_clear_do_no_harm(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct wire_server *server = NULL;
	struct wire_client *client = NULL;
	struct error err = {0};
	int fds[4];

	address.sin_port = htons((uint16_t)port);
	if (start("ours", "agent", "agent", &server, &err) < 0 ||
	    open_to("localhost", "ours", "host", "host", &client, &err) < 0)
		fail_msg("%s", err.message);
	for (int i = 0; i < 4; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(fds[i], (struct sockaddr *)&address, sizeof(address)), 0);
		if (i > 0) // one says nothing
			assert_int_equal(send(fds[i], "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL),
					 18);
	}
	for (int i = 0; i < 10; i++)
		call_now(client);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	call_now(client);
	wire_client_close(client);
	wire_server_stop(server);
}

static void a_client_finds_a_restarted_tls_server(void **state)
{
	struct wire_server *server = NULL;
	struct wire_client *client = NULL;
	struct error err = {0};

	if (open_to("localhost", "ours", "host", "host", &client, &err) < 0)
		fail_msg("%s", err.message);
	for (int round = 0; round < 3; round++) {
		if (start("ours", "agent", "agent", &server, &err) < 0)
			fail_msg("%s", err.message);
		// The first may meet the end of the old connection.
		struct request request = detach("now", 1);
		struct reply reply;
		if (wire_client_call(client, &request, LONG_MS, &reply, &err) < 0)
			assert_int_equal(err.code, CODE_AGENT_AWAY);
		call_now(client);
		wire_server_stop(server);
	}
	wire_client_close(client);
}

static void calls_under_way_survive_a_renewal_of_both_ends(void **state)
{
	struct wire_server *server = NULL;
	struct wire_client *client = NULL;
	struct files files;
	struct wire_tls tls;
	struct error err = {0};

	if (start("ours", "agent", "agent", &server, &err) < 0 ||
	    open_to("localhost", "ours", "host", "host", &client, &err) < 0)
		fail_msg("%s", err.message);
	call_now(client);
	for (int round = 0; round < 10; round++) {
		struct caller caller;

		start_caller(&caller, client, "later", 5, LONG_MS);
		WAIT_FOR(count_held() == 1);
		tls = tls_of(&files, "ours", "agent", "agent");
		assert_int_equal(wire_server_renew(server, &tls, &err), 0);
		tls = tls_of(&files, "ours", "host", "host");
		assert_int_equal(wire_client_renew(client, &tls, &err), 0);
		for (int i = 0; i < 5; i++)
			call_now(client);
		answer_held();
		pthread_join(caller.thread, NULL);
		assert_int_equal(caller.r, 0);
		assert_int_equal(caller.reply.body.detach.function.vf, 5);
	}
	wire_client_close(client);
	wire_server_stop(server);
}

static void new_certificates_that_the_server_refuses_leave_the_old_connection(void **state)
{
	struct wire_server *server = NULL;
	struct wire_client *client = NULL;
	struct files files;
	struct wire_tls tls = tls_of(&files, "ours", "forged", "forged");
	struct error err = {0};

	if (start("ours", "agent", "agent", &server, &err) < 0 ||
	    open_to("localhost", "ours", "host", "host", &client, &err) < 0)
		fail_msg("%s", err.message);
	call_now(client);
	assert_int_equal(wire_client_renew(client, &tls, &err), 0);
	for (int i = 0; i < 300; i++) { // longer than it takes to replace a link that is down
		struct timespec moment = {.tv_nsec = 5000000};

		call_now(client);
		nanosleep(&moment, NULL);
	}
	wire_client_close(client);
	wire_server_stop(server);
}

static void files_that_do_not_do_are_named(void **state)
{
	static const struct {
		const char *ca, *certificate, *key, *message;
	} bad[] = {
		{"missing", "host", "host", "tls.ca: %s/missing.pem cannot be read: No such file"},
		{"ours", "missing", "host",
		 "tls.certificate: %s/missing.pem cannot be read: No such file"},
		{"ours", "host", "missing", "tls.key: %s/missing.key cannot be read: No such file"},
		{"garbage", "host", "host",
		 "tls.ca: %s/garbage.pem holds no certificates in PEM form"},
		{"ours", "garbage", "host", "tls.certificate, tls.key: %s/garbage.pem and "},
		{"ours", "host", "agent",
		 "tls.key: %s/agent.key is not the key of the certificate "},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct wire_client *client = NULL;
		struct wire_server *server = NULL;
		struct error err = {0};
		char expected[256];
		const char *rest = strstr(bad[i].message, "%s") + 2;

		snprintf(expected, sizeof(expected), "%.*s%s%s", (int)(rest - 2 - bad[i].message),
			 bad[i].message, folder, rest);
		assert_int_equal(open_to("localhost", bad[i].ca, bad[i].certificate, bad[i].key,
					 &client, &err),
				 -EINVAL);
		assert_int_equal(err.code, CODE_BAD_REQUEST);
		if (strncmp(err.message, expected, strlen(expected)) != 0)
			fail_msg("\"%s\", not \"%s\"", err.message, expected);
		assert_int_equal(start(bad[i].ca, bad[i].certificate, bad[i].key, &server, &err),
				 -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sides_that_trust_each_other_talk),
		cmocka_unit_test(a_strangers_certificate_is_refused_by_the_server),
		cmocka_unit_test(a_strangers_certificate_is_refused_by_the_client),
		cmocka_unit_test(an_expired_certificate_is_refused),
		cmocka_unit_test(a_server_of_another_name_is_refused),
		cmocka_unit_test(a_client_without_certificate_is_refused),
		cmocka_unit_test(bytes_in_the_clear_do_no_harm),
		cmocka_unit_test(a_client_finds_a_restarted_tls_server),
		cmocka_unit_test(calls_under_way_survive_a_renewal_of_both_ends),
		cmocka_unit_test(new_certificates_that_the_server_refuses_leave_the_old_connection),
		cmocka_unit_test(files_that_do_not_do_are_named),
	};

	return cmocka_run_group_tests_name("wire, TLS", tests, make_folder, remove_folder);
}
