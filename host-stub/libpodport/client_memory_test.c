// SPDX-License-Identifier: BSD-3-Clause
//
// libpodport out of memory: whichever allocation fails, the call is an error, nothing leaks (under the
// asan preset), and the next call is fine. The failing allocations are this thread's: podport-hostd's
// are in another.

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libpodport/client_test_helpers.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_reallocarray(void *pointer, size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_reallocarray(void *pointer, size_t count, size_t size);

static _Thread_local unsigned int fail_at; // the Nth allocation from now; 0: none

static bool fails(void)
{
	return fail_at > 0 && --fail_at == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_reallocarray(void *pointer, size_t count, size_t size)
{
	return fails() ? NULL : __real_reallocarray(pointer, count, size);
}

static int call_add(struct podport_client *client, struct podport_error *error)
{
	struct podport_add_request request = some_add();
	struct podport_attachment *attachment;
	int r = podport_add(client, &request, &attachment, error);

	if (r == 0)
		podport_attachment_free(attachment);
	return r;
}

static int call_del(struct podport_client *client, struct podport_error *error)
{
	struct podport_del_request request = PODPORT_DEL_REQUEST_INIT;

	request.key = some_key();
	return podport_del(client, &request, error);
}

static int call_pods(struct podport_client *client, struct podport_error *error)
{
	struct podport_pods *pods;
	int r = podport_list_pods(client, &pods, error);

	if (r == 0)
		podport_pods_free(pods);
	return r;
}

static int call_ports(struct podport_client *client, struct podport_error *error)
{
	struct podport_ports *ports;
	int r = podport_list_ports(client, &ports, error);

	if (r == 0)
		podport_ports_free(ports);
	return r;
}

static int call_status(struct podport_client *client, struct podport_error *error)
{
	struct podport_status *status;
	int r = podport_get_status(client, &status, error);

	if (r == 0)
		podport_status_free(status);
	return r;
}

static int call_ipam(struct podport_client *client, struct podport_error *error)
{
	struct podport_ipam *ipam;
	int r = podport_get_ipam(client, &ipam, error);

	if (r == 0)
		podport_ipam_free(ipam);
	return r;
}

static int call_flows(struct podport_client *client, struct podport_error *error)
{
	struct podport_flows *flows;
	int r = podport_list_flows(client, &flows, error);

	if (r == 0)
		podport_flows_free(flows);
	return r;
}

static int call_nat(struct podport_client *client, struct podport_error *error)
{
	struct podport_nat *nat;
	int r = podport_list_nat(client, &nat, error);

	if (r == 0)
		podport_nat_free(nat);
	return r;
}

static int call_connections(struct podport_client *client, struct podport_error *error)
{
	struct podport_connections *connections;
	int r = podport_list_connections(client, &connections, error);

	if (r == 0)
		podport_connections_free(connections);
	return r;
}

static int call_neighbours(struct podport_client *client, struct podport_error *error)
{
	struct podport_neighbours *neighbours;
	int r = podport_list_neighbours(client, &neighbours, error);

	if (r == 0)
		podport_neighbours_free(neighbours);
	return r;
}

static int call_offload(struct podport_client *client, struct podport_error *error)
{
	struct podport_offload *offload;
	int r = podport_get_offload(client, &offload, error);

	if (r == 0)
		podport_offload_free(offload);
	return r;
}

static int call_gc(struct podport_client *client, struct podport_error *error)
{
	const struct podport_endpoint valid[] = {{"b", "eth0"}, {"a", "eth0"}};
	struct podport_gc_request request = PODPORT_GC_REQUEST_INIT;
	struct podport_gc_result *result;

	request.network = "pods";
	request.valid = valid;
	request.valid_count = 2;
	int r = podport_gc(client, &request, &result, error);

	if (r == 0)
		podport_gc_result_free(result);
	return r;
}

static int call_set_network(struct podport_client *client, struct podport_error *error)
{
	struct podport_set_network_request request = PODPORT_SET_NETWORK_REQUEST_INIT;
	const struct in_addr ipv4 = {0x0000580a}; // 10.88.0.0
	struct podport_pod_network *network;

	request.ipv4 = &ipv4;
	request.ipv4_prefix_length = 24;
	int r = podport_set_network(client, &request, &network, error);

	if (r == 0)
		podport_pod_network_free(network);
	return r;
}

static int call_reconcile(struct podport_client *client, struct podport_error *error)
{
	struct podport_reconciliation *reconciliation;
	int r = podport_reconcile(client, &reconciliation, error);

	if (r == 0)
		podport_reconciliation_free(reconciliation);
	return r;
}

static int call_watch(struct podport_client *client, struct podport_error *error)
{
	struct podport_watch_request request = PODPORT_WATCH_REQUEST_INIT;
	struct podport_packets *packets;
	struct podport_watch *watch;

	request.key = some_key();
	int r = podport_watch_begin(client, &request, &watch, error);

	if (r < 0)
		return r;
	r = podport_watch_read(client, watch, false, &packets, error);
	if (r == 0)
		podport_packets_free(packets);
	podport_watch_free(watch);
	return r;
}

static int call_connect(struct podport_client *client, struct podport_error *error)
{
	struct podport_client *another;
	int r = podport_connect(getenv("PODPORT_TEST_SOCKET"), 0, &another, error);

	if (r == 0)
		podport_free(another);
	return r;
}

static void any_allocation_may_fail(void **state)
{
	static int (*const calls[])(struct podport_client *, struct podport_error *) = {
		call_add,        call_del,         call_pods,  call_ports,
		call_status,     call_ipam,        call_flows, call_offload,
		call_neighbours, call_connections, call_gc,    call_set_network,
		call_reconcile,  call_connect,     call_nat,   call_watch,
	};
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_error error;

	setenv("PODPORT_TEST_SOCKET", fake_hostd_path(fake), 1);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		unsigned int failed = 0;

		for (;;) {
			fail_at = failed + 1;
			int r = calls[i](client, &error);
			bool reached = fail_at == 0;
			fail_at = 0;
			if (!reached) {
				// As many allocations as there are have failed once.
				assert_int_equal(r, 0);
				break;
			}
			failed++;
			assert_true(r < 0);
			assert_int_equal(error.code, PODPORT_INTERNAL);
			assert_non_null(strstr(error.message, "memory"));
			if (calls[i](client, &error) < 0)
				fail_msg("call %zu after failure %u: %s", i, failed, error.message);
		}
		assert_true(failed > 0);
	}
	podport_free(client);
	fake_hostd_stop(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
