// SPDX-License-Identifier: BSD-3-Clause
//
// agent.yaml: the keys, their defaults and what they must agree on. docs/configuration.md is the
// same for people.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datapath/datapath.h"
#include "main/config_masquerade.h"
#include "main/config_vhost.h"
#include "pod/network.h"
#include "pod/uplink.h"
#include "proto/base/log.h"

enum {
	CONFIG_DRIVERS_MAX = 16,
	CONFIG_CPUS_MAX = 128,       // RTE_MAX_LCORE of the DPDK we build
	CONFIG_FUNCTIONS_MAX = 1000, // DATAPATH_PORTS_MAX less host port and uplink, rounded
	CONFIG_WORKERS_MAX = 32,
	CONFIG_MEMORY_MB_MIN = 64,
	CONFIG_MEMORY_MB_MAX = 1024 * 1024,
	CONFIG_PACKET_BUFFERS_MIN = 1024,
	CONFIG_PACKET_BUFFERS_MAX = 16 * 1024 * 1024,
	CONFIG_PPS_MIN = 100, // less would keep a pod's own ARP and DNS from it
	CONFIG_PPS_MAX = 100 * 1000 * 1000,
	CONFIG_UNRESOLVED_MAX = 64, // of whose packets none could wait
};

struct agent_config {
	char listen[LIMIT_PATH + 1];
	bool insecure;
	char tls_ca[LIMIT_PATH + 1];
	char tls_certificate[LIMIT_PATH + 1];
	char tls_key[LIMIT_PATH + 1];
	char state_dir[LIMIT_PATH + 1];
	enum log_level log_level;
	char metrics[LIMIT_PATH + 1]; // "": none; ADDRESS:PORT

	char nic_device[LIMIT_PATH + 1];
	uint32_t functions;
	bool host_port;
	bool offload;
	uint32_t offload_connections; // that the e-switch carries at once; 0: none
	bool offload_loopback;        // the NIC sends a packet back to where it came from
	bool offload_icmp6;           // and corrects ICMPv6's checksums when it writes an address

	struct vhost_section vhost;
	uint32_t virtio_ports;

	struct {
		size_t count;
		char paths[CONFIG_DRIVERS_MAX][LIMIT_PATH + 1];
	} drivers;
	bool huge_pages;
	uint32_t memory_mb;
	uint32_t workers;
	struct {
		size_t count; // 0: not pinned
		uint16_t numbers[CONFIG_CPUS_MAX];
	} cpus; // the first is the control thread's
	uint32_t packet_buffers;
	char file_prefix[LIMIT_ID + 1];

	struct uplink uplink; // without addresses: the wire is not served
	struct masquerade_config masquerade;
	struct datapath_limits limits; // of each pod
	struct network network;        // common.has_ipv4, has_ipv6 both false: not configured
};

// Load and check. Errors: -EINVAL with file, line and key; the errno of reading it.
int agent_config_load(const char *file, struct agent_config *ret_config, struct error *err);

// The first key or section that differs, of those that are only taken at a start; NULL: none. The others
// (uplink, masquerade, limits) may change while the agent runs.
const char *agent_config_difference(const struct agent_config *a, const struct agent_config *b);

bool agent_config_has_network(const struct agent_config *config);
bool agent_config_has_tls(const struct agent_config *config);
