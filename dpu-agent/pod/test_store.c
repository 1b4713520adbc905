// SPDX-License-Identifier: BSD-3-Clause
//
// See test_store.h.

#include "pod/test_store.h"

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pod/fault_vfs.h"

void test_command(const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	assert_int_equal(0, system(line));
}

int store_setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	// In memory: what is slow or fails here is made to, by fault_vfs.
	strcpy(fixture->dir, "/dev/shm/podport-store-XXXXXX");
	strcpy(fixture->crash_dir, "/dev/shm/podport-crash-XXXXXX");
	if (mkdtemp(fixture->dir) == NULL || mkdtemp(fixture->crash_dir) == NULL)
		return -1;
	*state = fixture;
	fault_vfs_clear();
	return 0;
}

int store_teardown(void **state)
{
	struct fixture *fixture = *state;

	fault_vfs_clear();
	test_command("rm -rf %s %s", fixture->dir, fixture->crash_dir);
	free(fixture);
	return 0;
}

struct store *test_open_store(const char *dir)
{
	struct store *store = NULL;
	struct error err = {0};

	if (store_open(dir, &store, &err) < 0)
		fail_msg("%s: %s", dir, err.message);
	return store;
}

struct store_record test_record(unsigned int n)
{
	struct store_record record = {
		.state = STORE_ATTACHED,
		.host_id = "host",
		.boot_id = "boot",
		.attachment =
			{
				.key = {.network = "podport", .ifname = "eth0"},
				.sandbox = {.path = "/run/netns/a", .inode = UINT64_MAX - n},
				.pod = {.namespace_ = "default", .name = "web", .uid = "6f9d1c2e"},
				.function = {.pf = 0, .vf = (uint16_t)n},
				.mac = {{2, 0, 0, 0, (uint8_t)(n >> 8), (uint8_t)n}},
				.has_ipv4 = true,
				.has_ipv6 = n % 2 == 0,
				.gateway_mac = {{2, 0x70, 0x70, 0, 0, 1}},
				.mtu = 1500,
				.link_group = UINT32_MAX,
				.created_unix_ms = 1700000000000,
			},
	};
	struct attachment *a = &record.attachment;

	snprintf(a->key.container_id, sizeof(a->key.container_id), "container%u", n);
	a->ipv4.s_addr = htonl(0x0a580002 + n);
	a->gateway_ipv4.s_addr = htonl(0x0a580001);
	if (a->has_ipv6) {
		inet_pton(AF_INET6, "fd00::2", &a->ipv6);
		a->ipv6.s6_addr[15] = (uint8_t)(n + 2);
		a->ipv6.s6_addr[14] = (uint8_t)((n + 2) >> 8);
		inet_pton(AF_INET6, "fd00::1", &a->gateway_ipv6);
	}
	// What older schemata had no place for.
	if (n % 3 == 2) {
		a->sandbox.cookie = UINT64_MAX - 100 - n;
		a->bandwidth = (struct bandwidth){.ingress_rate_bps = 10000000 + n,
						  .egress_rate_bps = RATE_MAX_BPS,
						  .egress_burst_bits = BURST_MAX_BITS};
		a->port_mappings.count = 2;
		a->port_mappings.items[0] = (struct port_mapping){.protocol = IPPROTO_TCP,
								  .host_port = (uint16_t)(8000 + n),
								  .container_port = 80};
		a->port_mappings.items[1] = (struct port_mapping){.protocol = IPPROTO_UDP,
								  .host_port = (uint16_t)(8000 + n),
								  .container_port = UINT16_MAX,
								  .host_family = 4,
								  .host_ip = {192, 0, 2, 1}};
	}
	return record;
}

struct store_released test_released_ipv4(unsigned int n)
{
	return (struct store_released){.pool = STORE_POOL_IPV4,
				       .ipv4.s_addr = htonl(0x0a580002 + n)};
}

void test_must(int r)
{
	assert_int_equal(0, r);
}

void test_add(struct store *store, unsigned int n)
{
	struct store_record record = test_record(n);

	test_must(store_begin(store, NULL));
	test_must(store_add(store, &record, NULL));
	test_must(store_commit(store, NULL));
}

// ---- reading back ----------------------------------------------------------------------------------

static int take_record(const struct store_record *record, void *arg, struct error *err)
{
	struct contents *contents = arg;

	assert_true(contents->record_count < 64);
	contents->records[contents->record_count++] = *record;
	return 0;
}

static int take_released(const struct store_released *released, void *arg, struct error *err)
{
	struct contents *contents = arg;

	assert_true(contents->released_count < 64);
	contents->released[contents->released_count++] = *released;
	return 0;
}

struct contents *test_read(struct store *store)
{
	static struct contents contents;

	memset(&contents, 0, sizeof(contents));
	test_must(store_each_record(store, take_record, &contents, NULL));
	test_must(store_each_released(store, take_released, &contents, NULL));
	return &contents;
}

struct contents *test_read_after_crash(const struct fixture *fixture)
{
	struct contents *contents;
	struct store *store;

	test_command("rm -rf %s/* && cp %s/agent.db* %s/", fixture->crash_dir, fixture->dir,
		     fixture->crash_dir);
	store = test_open_store(fixture->crash_dir);
	contents = test_read(store);
	store_close(store);
	return contents;
}
