// SPDX-License-Identifier: BSD-3-Clause
//
// agent.yaml: what is good is taken, and what is not is refused with file, line and key.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "main/config.h"

static char file[64];

static int load(const char *text, struct agent_config *config, struct error *err)
{
	FILE *stream = fopen(file, "w");

	assert_non_null(stream);
	fputs(text, stream);
	fclose(stream);
	memset(err, 0, sizeof(*err));
	return agent_config_load(file, config, err);
}

// The NIC that every file must have; two lines.
#define NIC    "nic: {device: net_x0, functions: 4}\n"
#define UPLINK "uplink:\n  ipv4: 192.0.2.1/24\n"

static void the_smallest_file_has_the_documented_defaults(void **state)
{
	static const struct mac mac = {{0x02, 0x70, 0x70, 0, 0, 1}};
	struct agent_config config;
	struct error err;

	assert_int_equal(0, load(NIC, &config, &err));
	assert_string_equal("ipc:///run/podport/agent.sock", config.listen);
	assert_string_equal("/var/lib/podport/agent", config.state_dir);
	assert_string_equal("net_x0", config.nic_device);
	assert_string_equal("podport", config.file_prefix);
	assert_string_equal("", config.metrics);
	assert_int_equal(4, config.functions);
	assert_int_equal(LOG_LEVEL_INFO, config.log_level);
	assert_int_equal(256, config.memory_mb);
	assert_int_equal(1, config.workers);
	assert_int_equal(16384, config.packet_buffers);
	assert_int_equal(1000000, config.limits.slow_path_pps);
	assert_int_equal(0, config.limits.connections);
	assert_int_equal(32, config.limits.unresolved_neighbours);
	assert_int_equal(1500, config.network.common.mtu);
	assert_int_equal(0, config.network.link_group);
	assert_memory_equal(&mac, &config.network.common.router_mac, sizeof(mac));
	assert_true(config.host_port && config.offload && config.huge_pages && !config.insecure);
	assert_false(agent_config_has_network(&config));
	assert_int_equal(0, config.cpus.count + config.drivers.count);
}

// Who may use a socket, and how many there are.
static void ports_beside_the_nic_are_had_by_naming_a_folder(void **state)
{
	struct agent_config config;
	struct error err;

	assert_int_equal(0, load("nic: {device: net_x0, functions: 4}\n", &config, &err));
	assert_int_equal(0, config.vhost.ports);
	assert_int_equal(0, load("nic: {device: net_x0, functions: 4}\n"
				 "vhost: {socket_dir: /run/x}\n",
				 &config, &err));
	assert_string_equal("/run/x", config.vhost.socket_dir);
	assert_int_equal(64, config.vhost.ports);
	assert_int_equal(0600, config.vhost.socket_mode);
	assert_int_equal(UINT32_MAX, config.vhost.uid);
	assert_int_equal(0, load("nic: {device: net_x0, functions: 1000}\n"
				 "vhost: {socket_dir: /run/x, socket_mode: 0660, socket_owner: "
				 "\"root:4711\"}\n",
				 &config, &err));
	assert_int_equal(22, config.vhost.ports); // what is left of 1024, less host port and uplink
	assert_int_equal(0660, config.vhost.socket_mode);
	assert_int_equal(0, config.vhost.uid);
	assert_int_equal(4711, config.vhost.gid);
}

static void every_key_is_taken(void **state)
{
	struct agent_config config;
	char text[2048], gateway[INET6_ADDRSTRLEN];
	struct error err;

	snprintf(text, sizeof(text),
		 "listen: tls+tcp://0.0.0.0:7000\n"
		 "insecure: false\n"
		 "tls: {ca: %s, certificate: %s, key: %s}\n"
		 "state_dir: /tmp/x\n"
		 "log_level: debug\n"
		 "metrics: '[::1]:9473'\n"
		 "nic:\n"
		 "  device: net_x0,card=/run/card.sock\n"
		 "  functions: 1000\n"
		 "  host_port: false\n"
		 "  offload: false\n"
		 "  offload_icmp6: true\n"
		 "dpdk:\n"
		 "  drivers: [%s]\n"
		 "  huge_pages: false\n"
		 "  memory_mb: 512\n"
		 "  workers: 2\n"
		 "  cpus: [0-1, \"5\"]\n"
		 "  packet_buffers: 32768\n"
		 "  file_prefix: other-1\n"
		 "uplink:\n"
		 "  ipv4: 192.0.2.10/24\n"
		 "  ipv6: 2001:db8::10/64\n"
		 "  routes: [default via 192.0.2.1, default via fe80::1]\n"
		 "  vlan: 42\n"
		 "  mtu: 1400\n"
		 "masquerade:\n"
		 "  ipv4: true\n"
		 "  exclude: [198.51.100.0/24, \"2001:db8:f::/48\", 203.0.113.7]\n"
		 "  ports: 40000-49999\n"
		 "  identifiers: 1000-9999\n"
		 "  connections: 1000\n"
		 "  tcp_pick_up: false\n"
		 "  timeouts:\n"
		 "    udp: 99\n"
		 "limits:\n"
		 "  slow_path_pps: 20000\n"
		 "  connections: 500\n"
		 "  unresolved_neighbours: 7\n"
		 "pod_network:\n"
		 "  ipv4: 10.88.0.0/16\n"
		 "  ipv6: fd00:88::/64\n"
		 "  mtu: 9000\n"
		 "  link_group: 42\n"
		 "  router_mac: 02:00:00:00:00:99\n",
		 file, file, file, file);
	if (load(text, &config, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal("tls+tcp://0.0.0.0:7000", config.listen);
	assert_string_equal(file, config.tls_ca);
	assert_string_equal("net_x0,card=/run/card.sock", config.nic_device);
	assert_int_equal(LOG_LEVEL_DEBUG, config.log_level);
	assert_string_equal("[::1]:9473", config.metrics);
	assert_int_equal(1000, config.functions);
	assert_false(config.host_port || config.offload || config.huge_pages);
	assert_true(config.offload_icmp6);
	assert_int_equal(1, config.drivers.count);
	assert_string_equal(file, config.drivers.paths[0]);
	assert_int_equal(3, config.cpus.count);
	assert_int_equal(5, config.cpus.numbers[2]);
	assert_int_equal(32768, config.packet_buffers);
	assert_string_equal("other-1", config.file_prefix);
	assert_true(config.uplink.has_ipv4 && config.uplink.has_ipv6);
	assert_int_equal(2, config.uplink.route_count);
	assert_int_equal(42, config.uplink.vlan);
	assert_int_equal(1400, config.uplink.mtu);
	assert_true(config.masquerade.ipv4 && !config.masquerade.ipv6);
	assert_int_equal(3, config.masquerade.excluded_count);
	assert_int_equal(24, config.masquerade.excluded[0].length);
	assert_true(config.masquerade.excluded[1].is_ipv6);
	assert_int_equal(48, config.masquerade.excluded[1].length);
	assert_int_equal(32, config.masquerade.excluded[2].length);
	assert_int_equal(40000, config.masquerade.first_port);
	assert_int_equal(49999, config.masquerade.last_port);
	assert_int_equal(1000, config.masquerade.first_identifier);
	assert_int_equal(9999, config.masquerade.last_identifier);
	assert_int_equal(1000, config.masquerade.connections);
	assert_int_equal(20000, config.limits.slow_path_pps);
	assert_int_equal(500, config.limits.connections);
	assert_int_equal(7, config.limits.unresolved_neighbours);
	assert_false(config.masquerade.pick_up);
	assert_int_equal(99, config.masquerade.timeouts.udp);
	assert_int_equal(7440, config.masquerade.timeouts.tcp_established);
	assert_true(agent_config_has_network(&config));
	assert_string_equal("10.88.0.1", inet_ntop(AF_INET, &config.network.common.gateway_ipv4,
						   gateway, sizeof(gateway)));
	assert_string_equal("fd00:88::1", inet_ntop(AF_INET6, &config.network.common.gateway_ipv6,
						    gateway, sizeof(gateway)));
	assert_int_equal(9000, config.network.common.mtu);
	assert_int_equal(42, config.network.link_group);
	assert_int_equal(0x99, config.network.common.router_mac.bytes[5]);
}

static bool has_vhost_net = true;

int __wrap_virtio_user_probe(struct error *err);
int __wrap_virtio_user_probe(struct error *err)
{
	return has_vhost_net ? 0
			     : error_set(err, ENOENT, CODE_UNSUPPORTED,
					 "no /dev/vhost-net: modprobe vhost_net");
}

static void netdevs_by_vhost_net_are_there_without_a_word_and_checked_if_asked_for(void **state)
{
	static const char without[] = "nic: {device: net_x0, functions: 4}\n";
	static const char full[] = "nic: {device: net_x0, functions: 1000}\n"
				   "vhost: {socket_dir: /run/x, ports: 20}\n";
	static const char with[] =
		"nic: {device: net_x0, functions: 4}\nvirtio_user: {ports: 30}\n";
	static const char none[] = "nic: {device: net_x0, functions: 4}\nvirtio_user: {ports: 0}\n";
	struct agent_config config;
	struct error err = {0};

	assert_int_equal(0, load(full, &config, &err));
	assert_int_equal(2, config.virtio_ports); // what is left
	assert_int_equal(0, load(with, &config, &err));
	assert_int_equal(30, config.virtio_ports);
	has_vhost_net = false;
	assert_true(load(with, &config, &err) < 0);
	assert_non_null(strstr(err.message, ":2: virtio_user.ports: no /dev/vhost-net: modprobe"));
	// Nobody has asked: it may come later, and an ADD says what is missing.
	assert_int_equal(0, load(without, &config, &err));
	assert_int_equal(16, config.virtio_ports);
	assert_int_equal(0, load(none, &config, &err));
	assert_int_equal(0, config.virtio_ports);
	has_vhost_net = true;
}

static void an_error_names_file_line_and_key(void **state)
{
	static const struct {
		const char *text;
		unsigned int line;
		const char *sentence; // after "FILE:LINE: "
	} cases[] = {
		{"nic: {device: net_x0, functions: 4}\nvhost: {ports: 3}\n", 2,
		 "vhost.ports: without vhost.socket_dir"},
		{"nic: {device: net_x0, functions: 4}\nvhost: {socket_dir: x}\n", 2,
		 "vhost.socket_dir: 'x' is not an absolute path"},
		{"nic: {device: net_x0, functions: 4}\n"
		 "vhost: {socket_dir: "
		 "/123456789012345678901234567890123456789012345678901234567890123456"
		 "789012345678901}\n",
		 2, "vhost.socket_dir: '/12345"},
		{"nic: {device: net_x0, functions: 1000}\nvhost: {socket_dir: /x, ports: 23}\n", 2,
		 "vhost.ports: 23 are too many"},
		{"nic: {device: net_x0, functions: 4}\nvhost: {socket_dir: /x, ports: 341}\n", 2,
		 "vhost.ports: 341 is not in 1..340"},
		{"nic: {device: net_x0, functions: 4}\nvhost: {socket_dir: /x, socket_mode: "
		 "0777}\n",
		 2, "vhost.socket_mode: '0777' is no mode"},
		{"nic: {device: net_x0, functions: 4}\nvhost: {socket_dir: /x, socket_mode: rw}\n",
		 2, "vhost.socket_mode: 'rw' is no mode"},
		{"nic: {device: net_x0, functions: 4}\nvhost: {socket_dir: /x, socket_owner: "
		 "nobody-here}\n",
		 2, "vhost.socket_owner: there is no user 'nobody-here'"},
		{"nic: {device: net_x0, functions: 4}\nvhost: {socket_dir: /x, socket_owner: "
		 "\":none-here\"}\n",
		 2, "vhost.socket_owner: there is no group 'none-here'"},
		{"nic: {device: net_x0, functions: 1000}\nvirtio_user: {ports: 23}\n", 2,
		 "virtio_user.ports: 23 are too many"},
		{"nic: {device: net_x0, functions: 4}\nvirtio_user: {ports: 129}\n", 2,
		 "virtio_user.ports: 129 is not in 0..128"},
		{"nic: {functions: 4}\n", 1, "nic.device: "},
		{"nic: {device: net_x0}\n", 1, "nic.functions: "},
		{"nic:\n  device: net_x0\n  functions: 0\n", 3,
		 "nic.functions: 0 is not in 1..1000"},
		{"nic:\n  device: net_x0\n  functions: 1001\n", 3, "nic.functions: 1001 is not in"},
		{"nic:\n  device: net_x0\n  functions: many\n", 3, "nic.functions: "},
		{"nic:\n  device: \"net_x0,representor=vf0\"\n  functions: 1\n", 2,
		 "nic.device: 'net_x0,representor=vf0' has representor="},
		{"nic:\n  device: net x0\n  functions: 1\n", 2, "nic.device: 'net x0' is no DPDK"},
		{NIC "pod_network:\n  ipv4: 10.88.0.0/33\n", 3, "pod_network.ipv4: '10.88.0.0/33'"},
		{NIC "pod_network:\n  ipv4: 10.88.0.5/16\n", 3, "pod_network.ipv4: "},
		{NIC "pod_network:\n  ipv6: fe80::/64\n", 3, "pod_network.ipv6: "},
		{NIC "pod_network:\n  ipv4: 10.88.0.0/16\n  mtu: 900\n", 4,
		 "pod_network.mtu: 900 is not in 1280..9000"},
		{NIC "pod_network:\n  ipv4: 10.88.0.0/16\n  router_mac: 01:00:00:00:00:01\n", 4,
		 "pod_network.router_mac: "},
		{NIC "pod_network:\n  mtu: 1500\n", 2, "pod_network: needs ipv4, ipv6 or both"},
		{NIC "dpdk:\n  workers: 33\n", 3, "dpdk.workers: "},
		{NIC "dpdk:\n  workers: 2\n  cpus: 0-1\n", 4,
		 "dpdk.cpus: 2 CPUs are too few for the control thread and 2 workers"},
		{NIC "dpdk:\n  cpus: 1,0-2\n", 3, "dpdk.cpus: CPU 1 is named twice"},
		{NIC "dpdk:\n  cpus: 3-1\n", 3, "dpdk.cpus: '3-1' is no list of CPUs"},
		{NIC "dpdk:\n  cpus: 1-\n", 3, "dpdk.cpus: '1-' is no list of CPUs"},
		{NIC "dpdk:\n  cpus: 4000\n", 3, "dpdk.cpus: "},
		{NIC "dpdk:\n  memory_mb: 64\n  packet_buffers: 65536\n", 3,
		 "dpdk.memory_mb: 64 MB do not hold 65536 packet buffers"},
		{NIC "dpdk:\n  packet_buffers: 1048576\n", 3,
		 "dpdk.packet_buffers: 256 MB do not hold 1048576 packet buffers"},
		{NIC "dpdk:\n  drivers: [relative.so]\n", 3, "dpdk.drivers: 'relative.so' is not"},
		{NIC "dpdk:\n  drivers: [/nowhere/x.so]\n", 3,
		 "dpdk.drivers: cannot read the driver /nowhere/x.so"},
		{NIC "dpdk:\n  file_prefix: ../x\n", 3, "dpdk.file_prefix: '../x' is not"},
		{NIC "state_dir: relative\n", 2, "state_dir: 'relative' is not an absolute path"},
		{NIC "listen: tls+tcp://10.0.0.1:7000\n", 2,
		 "listen: 'tls+tcp://10.0.0.1:7000' "
		 "needs tls.ca"},
		{NIC "tls:\n  ca: /x\n", 2, "tls: certificates are only for"},
		{NIC "listen: tls+tcp://10.0.0.1:7000\n"
		     "tls: {ca: /nowhere/ca, certificate: /x, key: /x}\n",
		 3, "tls.ca: cannot read /nowhere/ca"},
		{NIC "log_level: loud\n", 2, "log_level: "},
		{"nic:\n  device: net_x0\n  functions: 4\n  offload: perhaps\n", 4,
		 "nic.offload: "},
		{NIC "metrics: 10.0.0.1:9473\n", 2, "metrics: tcp://10.0.0.1:9473"},
		{NIC "metrics: 127.0.0.1\n", 2, "metrics: tcp://127.0.0.1: has no port"},
		{NIC "metrics: 127.0.0.1:9473/metrics\n", 2,
		 "metrics: tcp://127.0.0.1:9473/metrics: "},
		{NIC "metrics: http://127.0.0.1:9473\n", 2,
		 "metrics: 'http://127.0.0.1:9473' is not"},
		{NIC "uplink:\n  ipv4: 192.0.2.0/24\n", 3, "uplink.ipv4: '192.0.2.0/24' is the"},
		{NIC "uplink:\n  vlan: 7\n", 2, "uplink: needs ipv4, ipv6 or both"},
		{NIC "uplink:\n  ipv4: 192.0.2.1/24\n  vlan: 4095\n", 4,
		 "uplink.vlan: 4095 is not in 1..4094"},
		{NIC "uplink:\n  ipv4: 192.0.2.1/24\n  routes: [default via 192.0.3.1]\n", 4,
		 "uplink.routes: 'default via 192.0.3.1' goes by"},
		{NIC "uplink:\n  ipv4: 10.88.7.1/24\npod_network:\n  ipv4: 10.88.0.0/16\n", 2,
		 "uplink: the uplink's 10.88.7.1/24 and the pod network overlap"},
		{NIC "masquerade:\n  ipv4: true\n", 3, "masquerade.ipv4: needs uplink.ipv4"},
		{NIC UPLINK "masquerade:\n  ipv6: true\n", 5, "masquerade.ipv6: needs uplink.ipv6"},
		{NIC "masquerade:\n  exclude: [10.0.0.1/8]\n", 3,
		 "masquerade.exclude: '10.0.0.1/8' has bits set"},
		{NIC "masquerade:\n  exclude: [10.0.0.0/33]\n", 3,
		 "masquerade.exclude: '10.0.0.0/33' is no IPv4 address with a prefix length: the "
		 "length is"},
		{NIC "masquerade:\n  exclude: [10.0.0.0/8x]\n", 3,
		 "masquerade.exclude: '10.0.0.0/8x' is no IPv4 address with a prefix length: what "
		 "follows"},
		{NIC "masquerade:\n  exclude: [all]\n", 3,
		 "masquerade.exclude: 'all' is no IPv4 address with a prefix length: there is no"},
		{NIC "masquerade:\n  ports: 80-4000\n", 3,
		 "masquerade.ports: '80-4000' is not within 1024-65535"},
		{NIC "masquerade:\n  ports: 4000-4001\n", 3,
		 "masquerade.ports: '4000-4001' is not"},
		{NIC "masquerade:\n  ports: many\n", 3, "masquerade.ports: 'many' is no range"},
		{NIC "masquerade:\n  identifiers: 0-4000\n", 3,
		 "masquerade.identifiers: '0-4000' is not within 1-65535"},
		{NIC "masquerade:\n  identifiers: 4000-4001\n", 3,
		 "masquerade.identifiers: '4000-4001' is not"},
		{NIC "masquerade:\n  connections: 3\n", 3,
		 "masquerade.connections: 3 is not in 64.."},
		{NIC "masquerade:\n  timeouts:\n    icmp: 0\n", 4,
		 "masquerade.timeouts.icmp: 0 is not in 1.."},
		{NIC UPLINK "masquerade:\n  ipv4: true\n  connections: 2000000\n", 6,
		 "masquerade.connections: 256 MB do not hold 16384 packet buffers and 2000000 "
		 "conn"},
		{NIC "limits:\n  slow_path_pps: 99\n", 3,
		 "limits.slow_path_pps: 99 is not in 100.."},
		{NIC "limits:\n  slow_path_pps: all\n", 3, "limits.slow_path_pps: "},
		{NIC "limits:\n  connections: 0\n", 3, "limits.connections: 0 is not in 1.."},
		{NIC "limits:\n  unresolved_neighbours: 65\n", 3,
		 "limits.unresolved_neighbours: 65 is not in 1..64"},
		{NIC "nic_device: x\n", 2, "nic_device"},
		{NIC NIC, 2, "nic"},
		{NIC "insecure: maybe\n", 2, "insecure: "},
	};
	struct agent_config config;
	char expected[256];
	struct error err;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(load(cases[i].text, &config, &err) < 0);
		assert_int_equal(CODE_BAD_REQUEST, err.code);
		snprintf(expected, sizeof(expected), "%s:%u: %s", file, cases[i].line,
			 cases[i].sentence);
		if (strncmp(err.message, expected, strlen(expected)) != 0)
			fail_msg("case %zu: got '%s', not '%s'", i, err.message, expected);
	}
}

static void what_only_a_start_takes_is_told_from_what_may_change(void **state)
{
	static const struct {
		const char *text, *key;
	} cases[] = {
		{NIC, NULL},
		{NIC "log_level: info\n" UPLINK "limits: {slow_path_pps: none}\n", NULL},
		{NIC UPLINK "masquerade: {ipv4: true, connections: 4096}\n", NULL},
		{NIC "metrics: 127.0.0.1:9473\n", "metrics"},
		{NIC "log_level: debug\n", "log_level"},
		{"nic: {device: net_x0, functions: 5}\n", "nic.functions"},
		{"nic: {device: net_x0, functions: 4, offload: false}\n", "nic.offload"},
		{"nic: {device: net_x0, functions: 4, offload_icmp6: true}\n", "nic.offload_icmp6"},
		{NIC "dpdk: {workers: 2}\n", "dpdk.workers"},
		{NIC "dpdk: {drivers: [/dev/null]}\n", "dpdk.drivers"},
		{NIC "pod_network: {ipv4: 10.1.0.0/16}\n", "pod_network"},
		{NIC "vhost: {socket_dir: /run/x}\n", "vhost"},
	};
	static struct agent_config before, after;
	struct error err;

	assert_int_equal(0, load(NIC, &before, &err));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *key;

		if (load(cases[i].text, &after, &err) < 0)
			fail_msg("%s", err.message);
		key = agent_config_difference(&before, &after);
		if (cases[i].key == NULL)
			assert_null(key);
		else
			assert_string_equal(cases[i].key, key);
	}
}

static void a_limit_may_be_none(void **state)
{
	struct agent_config config;
	struct error err;

	assert_int_equal(
		0, load(NIC "limits: {slow_path_pps: none, connections: none}\n", &config, &err));
	assert_int_equal(0, config.limits.slow_path_pps);
	assert_int_equal(0, config.limits.connections);
}

static void the_example_in_packaging_is_good(void **state)
{
	struct agent_config config;
	struct error err = {0};

	if (agent_config_load(PODPORT_EXAMPLE, &config, &err) < 0)
		fail_msg("%s", err.message);
	assert_true(agent_config_has_network(&config));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_smallest_file_has_the_documented_defaults),
		cmocka_unit_test(ports_beside_the_nic_are_had_by_naming_a_folder),
		cmocka_unit_test(
			netdevs_by_vhost_net_are_there_without_a_word_and_checked_if_asked_for),
		cmocka_unit_test(every_key_is_taken),
		cmocka_unit_test(what_only_a_start_takes_is_told_from_what_may_change),
		cmocka_unit_test(a_limit_may_be_none),
		cmocka_unit_test(the_example_in_packaging_is_good),
		cmocka_unit_test(an_error_names_file_line_and_key),
	};
	int failed, fd;

	strcpy(file, "/tmp/podport-config-XXXXXX");
	fd = mkstemp(file);
	if (fd < 0)
		return 1;
	close(fd);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(file);
	return failed;
}
