// SPDX-License-Identifier: BSD-3-Clause
//
// /metrics as a scraper gets it. The test's main thread is the control thread.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/test_agent.h"
#include "metrics/metrics.h"
#include "metrics/metrics_text.h"

static struct test_agent agent;

static int setup(void **state)
{
	test_agent_init(&agent, 40, "10.88.0.0/24", "fd00:88::/64");
	return 0;
}

static int teardown(void **state)
{
	test_agent_destroy(&agent);
	return 0;
}

static char *write_all(void)
{
	size_t size;
	char *text;

	assert_int_equal(0, metrics_write(agent.control, &text, &size));
	assert_int_equal(strlen(text), size);
	return text;
}

// `line` is a whole line of the text.
static void assert_line(const char *text, const char *line)
{
	size_t length = strlen(line);

	for (const char *at = text; (at = strstr(at, line)) != NULL; at += length)
		if ((at == text || at[-1] == '\n') && at[length] == '\n')
			return;
	fail_msg("no line '%s' in:\n%s", line, text);
}

// ---- the text -----------------------------------------------------------------------------------

static void it_counts_what_there_is(void **state)
{
	char *text;

	test_must_attach(&agent, "a");
	test_must_attach(&agent, "b");
	text = write_all();
	assert_line(text, "podport_attachments 2");
	assert_line(text, "podport_functions 40");
	assert_line(text, "podport_functions_used 2");
	assert_line(text, "podport_agent_ready 1");
	assert_line(text, "podport_addresses_free{family=\"ipv4\"} 251");
	assert_line(text, "podport_addresses_free{family=\"ipv6\"} 65534");
	assert_line(text, "podport_agent_info{version=\"" PODPORT_VERSION
			  "\",nic_driver=\"net_fake\"} 1");
	assert_line(text, "podport_drops_total{reason=\"spoofed\"} 0");
	// fake_nic: as many as the slot's number, 0 to 39, and 1000 and 1001.
	assert_line(text, "podport_drops_total{reason=\"no-route\"} 2781");
	free(text);
}

static void a_pods_packets_are_told_by_direction_and_by_path(void **state)
{
	struct test_call call;
	char *text;

	test_must_attach(&agent, "a");
	test_attach(&call, "b");
	strcpy(call.request.body.attach.pod.namespace_, "shop");
	strcpy(call.request.body.attach.pod.name, "a \"till\" \\ 7");
	test_must_run(&agent, &call);
	fake_offload.slots[1].rx_packets = 500;
	fake_offload.slots[1].tx_packets = 300;
	text = write_all();
#define B                                                                                          \
	"{network=\"podport\",container_id=\"b\",ifname=\"eth0\",namespace=\"shop\","              \
	"pod=\"a \\\"till\\\" \\\\ 7\""
	assert_line(text, "podport_pod_packets_total" B ",direction=\"rx\",path=\"e-switch\"} 500");
	assert_line(text, "podport_pod_packets_total" B ",direction=\"rx\",path=\"agent\"} 2");
	assert_line(text, "podport_pod_packets_total" B ",direction=\"tx\",path=\"e-switch\"} 300");
	assert_line(text, "podport_pod_packets_total" B ",direction=\"tx\",path=\"agent\"} 0");
	assert_line(text, "podport_pod_bytes_total" B ",direction=\"rx\",path=\"e-switch\"} 50000");
	assert_line(text, "podport_pod_bytes_total" B ",direction=\"tx\",path=\"e-switch\"} 30000");
	assert_line(text, "podport_pod_dropped_packets_total" B "} 0");
	assert_line(text, "podport_pod_packets_total{network=\"podport\",container_id=\"a\","
			  "ifname=\"eth0\",namespace=\"\",pod=\"\",direction=\"rx\","
			  "path=\"agent\"} 1");
	free(text);
}

static void attach_by(const char *container_id, enum port_choice port)
{
	struct test_call call;

	test_attach(&call, container_id);
	call.request.body.attach.port = port;
	test_must_run(&agent, &call);
	test_call_clear(&call);
}

// Has it a guest, how wide is the way to it, and does it take what it is sent?
static void ports_of_virtio_devices_are_told_apart(void **state)
{
	char *text;

	agent.vhosts = 3;
	agent.virtios = 2;
	test_agent_restart(&agent);
	test_must_attach(&agent, "function");
	attach_by("guest", PORT_CHOICE_VHOST_USER);
	attach_by("alone", PORT_CHOICE_VHOST_USER);
	attach_by("netdev", PORT_CHOICE_VIRTIO_USER);
	fake_nic.ports[FAKE_VHOST].queue_pairs = 4;
	fake_nic.ports[FAKE_VHOST].tx_full = 12;
	fake_nic.ports[FAKE_VHOST + 1].link_down = true;
	fake_nic.ports[FAKE_VHOST + 1].tx_full = 5;
	fake_nic.ports[FAKE_VIRTIO].queue_pairs = 2;
	fake_nic.ports[0].tx_full = 99; // a function's is no virtio device's
	text = write_all();
#define OF(pod)                                                                                    \
	"{network=\"podport\",container_id=\"" pod "\",ifname=\"eth0\",namespace=\"\",pod=\"\"} "
	assert_line(text, "podport_vhost_ports{kind=\"vhost-user\"} 3");
	assert_line(text, "podport_vhost_ports_used{kind=\"vhost-user\"} 2");
	assert_line(text, "podport_vhost_ports{kind=\"virtio-user\"} 2");
	assert_line(text, "podport_vhost_ports_used{kind=\"virtio-user\"} 1");
	assert_line(text, "podport_vhost_connected" OF("guest") "1");
	assert_line(text, "podport_vhost_connected" OF("alone") "0");
	assert_line(text, "podport_vhost_connected" OF("netdev") "1");
	assert_line(text, "podport_vhost_queue_pairs" OF("guest") "4");
	assert_line(text, "podport_vhost_queue_pairs" OF("alone") "0");
	assert_line(text, "podport_vhost_queue_pairs" OF("netdev") "2");
	assert_line(text, "podport_vhost_ring_full_packets_total" OF("guest") "12");
	assert_line(text, "podport_vhost_ring_full_packets_total" OF("alone") "5");
	assert_line(text, "podport_vhost_ring_full_packets_total" OF("netdev") "0");
	assert_null(strstr(text, "podport_vhost_connected" OF("function")));
	free(text);
}

static void rules_that_are_missing_are_counted(void **state)
{
	char *text;

	fake_offload.rules_max = 2 * FAKE_POD_RULES + 1;
	test_must_attach(&agent, "a");
	test_must_attach(&agent, "b");
	test_must_attach(&agent, "c");
	control_retry(agent.control);
	text = write_all();
	assert_line(text, "podport_offload_enabled 1");
	assert_line(text, "podport_offload_usable 1");
	assert_line(text, "podport_offload_rules 9");
	assert_line(text, "podport_offload_rules_missing 11");
	assert_line(text, "podport_offload_pods{state=\"full\"} 1");
	assert_line(text, "podport_offload_pods{state=\"partial\"} 1");
	assert_line(text, "podport_offload_pods{state=\"none\"} 1");
	assert_line(text, "podport_offload_rules_inserted_total 9");
	assert_line(text, "podport_offload_rules_removed_total 0");
	assert_line(text, "podport_offload_operations_failed_total 11");
	assert_line(text, "podport_offload_retries_total 1");
	assert_line(text, "podport_offload_connections 2");
	assert_line(text, "podport_offload_connections_max 500");
	assert_line(text, "podport_offload_connections_refused_total{reason=\"nic\"} 7");
	free(text);
}

static void connections_are_counted_by_state_and_refusals_by_reason(void **state)
{
	char *text = write_all();

	assert_line(text,
		    "podport_masquerade_connections{protocol=\"tcp\",state=\"ESTABLISHED\"} 5");
	assert_line(text, "podport_masquerade_connections{protocol=\"udp\",state=\"answered\"} 2");
	assert_line(text, "podport_masquerade_connections_max 1000");
	assert_line(text, "podport_masquerade_opened_total 20");
	assert_line(text, "podport_masquerade_ended_total 13");
	assert_line(text, "podport_masquerade_refused_total{reason=\"table-full\"} 1");
	assert_line(text, "podport_masquerade_refused_total{reason=\"no-port\"} 2");
	assert_line(text, "podport_masquerade_refused_total{reason=\"limit\"} 3");
	assert_line(text, "podport_masquerade_fragments_waiting 4");
	assert_line(text, "podport_masquerade_ports{family=\"ipv4\",protocol=\"udp\"} 100");
	assert_line(text, "podport_masquerade_ports_used{family=\"ipv4\",protocol=\"udp\"} 3");
	assert_null(strstr(text, "family=\"ipv4\",protocol=\"tcp\""));
	free(text);
	// A worker that does not answer costs the scrape no more than this.
	fake_nic.connections_fail = true;
	text = write_all();
	assert_null(strstr(text, "podport_masquerade"));
	assert_line(text, "podport_agent_ready 1");
	free(text);
}

// More pods than one page has of either list, and every sample in the block of its family.
static void all_pods_are_there_and_families_are_whole(void **state)
{
	char name[16], family[128] = "", *text, *rest;
	size_t samples = 0, families = 0;

	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "pod%d", i);
		test_must_attach(&agent, name);
	}
	text = write_all();
	rest = text;
	for (char *line; (line = strsep(&rest, "\n")) != NULL && line[0] != '\0';) {
		if (strncmp(line, "# HELP ", 7) == 0) {
			sscanf(line, "# HELP %127s", family);
			families++;
			continue;
		}
		if (strncmp(line, "# TYPE ", 7) == 0)
			continue;
		size_t length = strlen(family);
		if (strncmp(line, family, length) != 0 ||
		    (line[length] != '{' && line[length] != ' '))
			fail_msg("a sample in the block of %s: %s", family, line);
		samples += strcmp(family, "podport_pod_packets_total") == 0;
	}
	assert_int_equal(40 * 4, samples);
	assert_true(families >= 20);
	free(text);
}

// ---- by HTTP ------------------------------------------------------------------------------------

struct client {
	pthread_t thread;
	uint16_t port;
	const char *request;
	char answer[65536];
	uv_async_t *done;
};

static int connect_to(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void *run_client(void *arg)
{
	struct client *client = arg;
	size_t length = strlen(client->request), got = 0;
	int fd = connect_to(client->port);
	ssize_t r = fd < 0 ? -1 : send(fd, client->request, length, MSG_NOSIGNAL);

	while (r > 0) {
		r = recv(fd, client->answer + got, sizeof(client->answer) - 1 - got, 0);
		got += r > 0 ? (size_t)r : 0;
	}
	client->answer[got] = '\0';
	close(fd);
	uv_async_send(client->done);
	return NULL;
}

static uv_loop_t loop;
static uv_async_t done;

static void on_done(uv_async_t *handle)
{
	uv_stop(&loop);
}

static struct metrics *start(void)
{
	struct metrics *metrics;
	struct error err;

	uv_loop_init(&loop);
	uv_async_init(&loop, &done, on_done);
	if (metrics_start("127.0.0.1:0", &loop, agent.control, &metrics, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_not_equal(0, metrics_port(metrics));
	return metrics;
}

static void finish(void)
{
	uv_close((uv_handle_t *)&done, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(0, uv_loop_close(&loop));
}

static struct client *ask(const struct metrics *metrics, const char *request)
{
	struct client *client = calloc(1, sizeof(*client));

	assert_non_null(client);
	client->port = metrics_port(metrics);
	client->request = request;
	client->done = &done;
	assert_int_equal(0, pthread_create(&client->thread, NULL, run_client, client));
	return client;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

// The answer to a request, while the loop runs.
static struct client *answer_of(const struct metrics *metrics, const char *request)
{
	struct client *client = ask(metrics, request);

	uv_run(&loop, UV_RUN_DEFAULT); // until it is done
	pthread_join(client->thread, NULL);
	return client;
}

static void a_scraper_gets_the_text_and_nothing_else(void **state)
{
	static const struct {
		const char *request, *status;
	} cases[] = {
		{GET("/metrics"), "HTTP/1.1 200 "},
		{GET("/"), "HTTP/1.1 404 "},
		{GET("/metrics/x"), "HTTP/1.1 404 "},
		{"POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 405 "},
		{"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: "
		 "9\r\n\r\n",
		 "HTTP/1.1 400 "},
		{"nonsense\r\n\r\n", ""},
		{GET("/metrics"), "HTTP/1.1 200 "}, // still there
	};
	struct metrics *metrics = start();

	test_must_attach(&agent, "a");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct client *client = answer_of(metrics, cases[i].request);
		bool good = strstr(cases[i].status, " 200 ") != NULL;

		if (strncmp(client->answer, cases[i].status, strlen(cases[i].status)) != 0)
			fail_msg("case %zu: %s", i, client->answer);
		assert_int_equal(good, strstr(client->answer, "\npodport_attachments 1\n") != NULL);
		assert_int_equal(good, strstr(client->answer, "text/plain; version=0.0.4") != NULL);
		free(client);
	}
	metrics_stop(metrics);
	finish();
}

// The loop does not run while they ask. Whether queued, refused or cut off when the agent stops: each of them
// comes back, or this test does not.
static void an_agent_that_stops_leaves_no_scraper_waiting(void **state)
{
	enum { CLIENTS = 30 };
	struct metrics *metrics = start();
	struct client *clients[CLIENTS];

	for (size_t i = 0; i < CLIENTS; i++)
		clients[i] = ask(metrics, GET("/metrics"));
	usleep(50000); // some are queued by then; how many does not matter
	metrics_stop(metrics);
	for (size_t i = 0; i < CLIENTS; i++) {
		pthread_join(clients[i]->thread, NULL);
		free(clients[i]);
	}
	finish();
}

static void an_address_that_is_taken_is_named(void **state)
{
	struct metrics *metrics = start(), *second;
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct error err = {0};
	char text[64];

	assert_int_equal(0, bind(fd, (struct sockaddr *)&address, size));
	assert_int_equal(0, listen(fd, 1));
	assert_int_equal(0, getsockname(fd, (struct sockaddr *)&address, &size));
	snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(address.sin_port));
	assert_int_equal(-EADDRINUSE, metrics_start(text, &loop, agent.control, &second, &err));
	assert_non_null(strstr(err.message, text));
	close(fd);
	metrics_stop(metrics);
	finish();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(it_counts_what_there_is),
		TEST(a_pods_packets_are_told_by_direction_and_by_path),
		TEST(ports_of_virtio_devices_are_told_apart),
		TEST(rules_that_are_missing_are_counted),
		TEST(connections_are_counted_by_state_and_refusals_by_reason),
		TEST(all_pods_are_there_and_families_are_whole),
		TEST(a_scraper_gets_the_text_and_nothing_else),
		TEST(an_agent_that_stops_leaves_no_scraper_waiting),
		TEST(an_address_that_is_taken_is_named),
	};

	test_quiet(true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
