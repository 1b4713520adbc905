// SPDX-License-Identifier: BSD-3-Clause
//
// How fast a durable Attach is: client and agent over ipc://, the store on a real disk, no NIC.
//
//     rpc_bench [FOLDER [SECONDS]]     FOLDER: on the disk to measure (default: the working folder)
//
// Prints latency for one caller and rate for 32, and, for comparison, what one 4 KiB append with
// fdatasync costs on the same disk in the same run: no durable call can be cheaper alone.

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "control/control.h"
#include "control/fake_nic.h"
#include "control/fake_offload.h"
#include "proto/base/log.h"
#include "proto/wire_client.h"
#include "rpc/rpc.h"

enum { FUNCTIONS = 1000, CALLERS = 32, SAMPLES_MAX = 200000, TIMEOUT_MS = 10000 };

struct caller {
	pthread_t thread;
	unsigned int number;
	double *attach_us; // samples
	size_t count;
};

static struct wire_client *wire;
static double seconds = 5;
static atomic_uint callers_left;
static uv_async_t all_done;

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void die(const char *what, const struct error *err)
{
	fprintf(stderr, "rpc_bench: %s: %s\n", what, err->message);
	exit(EXIT_FAILURE);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double percentile(double *samples, size_t count, double part)
{
	qsort(samples, count, sizeof(*samples), compare);
	return count == 0 ? 0 : samples[(size_t)((double)(count - 1) * part)];
}

static void call(const struct request *request)
{
	struct reply reply = {0};
	struct error err = {0};

	if (wire_client_call(wire, request, TIMEOUT_MS, &reply, &err) < 0)
		die("call", &err);
	if (reply.code != CODE_OK) {
		fprintf(stderr, "rpc_bench: %s\n", reply.message);
		exit(EXIT_FAILURE);
	}
	reply_clear(&reply);
}

static void *run_caller(void *arg)
{
	struct caller *caller = arg;
	struct request attach = {.timeout_ms = TIMEOUT_MS, .call = CALL_ATTACH};
	struct request detach = {.timeout_ms = TIMEOUT_MS, .call = CALL_DETACH};
	struct attachment_key *key = &attach.body.attach.key;
	double end = now_us() + seconds * 1e6;

	strcpy(key->network, "podport");
	snprintf(key->container_id, sizeof(key->container_id), "bench%u", caller->number);
	strcpy(key->ifname, "eth0");
	detach.body.detach.key = *key;
	while (now_us() < end && caller->count < SAMPLES_MAX) {
		double start = now_us();

		call(&attach);
		caller->attach_us[caller->count++] = now_us() - start;
		call(&detach);
	}
	if (atomic_fetch_sub(&callers_left, 1) == 1)
		uv_async_send(&all_done);
	return NULL;
}

static void on_all_done(uv_async_t *handle)
{
	uv_stop(handle->loop);
}

// Attaches per second, and their latency over all callers.
static void measure(uv_loop_t *loop, unsigned int count)
{
	static struct caller callers[CALLERS];
	double *all = calloc(SAMPLES_MAX, sizeof(double)), p50, p99, start, took;
	size_t total = 0, kept = 0;

	if (all == NULL)
		exit(EXIT_FAILURE);
	atomic_store(&callers_left, count);
	start = now_us();
	for (unsigned int i = 0; i < count; i++) {
		callers[i] = (struct caller){.number = i};
		callers[i].attach_us = calloc(SAMPLES_MAX, sizeof(double));
		if (callers[i].attach_us == NULL ||
		    pthread_create(&callers[i].thread, NULL, run_caller, &callers[i]) != 0)
			exit(EXIT_FAILURE);
	}
	uv_run(loop, UV_RUN_DEFAULT);
	took = (now_us() - start) / 1e6;
	for (unsigned int i = 0; i < count; i++) {
		pthread_join(callers[i].thread, NULL);
		total += callers[i].count;
		for (size_t s = 0; s < callers[i].count && kept < SAMPLES_MAX; s++)
			all[kept++] = callers[i].attach_us[s];
		free(callers[i].attach_us);
	}
	p50 = percentile(all, kept, 0.5);
	p99 = percentile(all, kept, 0.99);
	printf("%2u in flight: attach p50 %.2f ms, p99 %.2f ms; %.0f attach + %.0f detach per "
	       "second\n",
	       count, p50 / 1e3, p99 / 1e3, (double)total / took, (double)total / took);
	free(all);
}

static void measure_disk(const char *folder)
{
	static double samples[SAMPLES_MAX];
	char path[512], page[4096] = "x";
	double end = now_us() + 1e6;
	size_t count = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/append", folder);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	while (now_us() < end && count < SAMPLES_MAX) {
		double start = now_us();

		if (write(fd, page, sizeof(page)) != (ssize_t)sizeof(page) || fdatasync(fd) < 0) {
			perror(path);
			exit(EXIT_FAILURE);
		}
		samples[count++] = now_us() - start;
	}
	close(fd);
	unlink(path);
	printf("append 4 KiB + fdatasync on this disk: p50 %.2f ms\n",
	       percentile(samples, count, 0.5) / 1e3);
}

int main(int argc, char **argv)
{
	static const struct network no_network;
	struct control_config control_config = {.network = &no_network,
						.instance_id = "bench",
						.nic_device = "none",
						.host_port = true};
	struct network network = {
		.common = {.mtu = 1500, .router_mac = {{0x02, 0x70, 0x70, 0, 0, 1}}}};
	struct restored restored = {0};
	struct wire_client_config client = {.reconnect_min_ms = 10, .reconnect_max_ms = 100};
	struct rpc_config rpc_config = {.instance_id = "bench"};
	struct control *control = NULL;
	struct store *store = NULL;
	struct error err = {0};
	struct rpc *rpc = NULL;
	uv_loop_t loop;
	char folder[256], url[300], line[300];

	snprintf(folder, sizeof(folder), "%s/podport-bench-XXXXXX", argc > 1 ? argv[1] : ".");
	if (argc > 2)
		seconds = strtod(argv[2], NULL);
	if (mkdtemp(folder) == NULL) {
		perror(folder);
		return EXIT_FAILURE;
	}
	snprintf(url, sizeof(url), "ipc:///tmp/podport-bench-%d.sock", (int)getpid());
	log_set_level(LOG_LEVEL_WARNING);
	fake_nic_reset(FUNCTIONS);
	fake_offload_reset();
	network_parse_ipv4("10.88.0.0/16", &network, NULL);
	network_parse_ipv6("fd00:88::/64", &network, NULL);
	if (store_open(folder, &store, &err) < 0)
		die("store", &err);
	control_config.store = store;
	control_config.nic = fake_nic_handle();
	control_config.offload = fake_offload_new();
	rpc_config.url = client.url = url;
	rpc_config.tls = client.tls = (struct wire_tls){"", "", ""};
	uv_loop_init(&loop);
	uv_async_init(&loop, &all_done, on_all_done);
	if (restore(store, &(struct pods_ports){.functions = FUNCTIONS}, &network, &restored,
		    &err) < 0 ||
	    control_new(&control_config, &restored, &control, &err) < 0 ||
	    rpc_start(&rpc_config, &loop, control, &rpc, &err) < 0 ||
	    wire_client_open(&client, &wire, &err) < 0)
		die("start", &err);

	measure_disk(folder);
	measure(&loop, 1);
	measure(&loop, CALLERS);

	wire_client_close(wire);
	rpc_stop(rpc);
	uv_close((uv_handle_t *)&all_done, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	control_free(control);
	store_close(store);
	snprintf(line, sizeof(line), "rm -rf '%s'", folder);
	return system(line) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
