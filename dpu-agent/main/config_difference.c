// SPDX-License-Identifier: BSD-3-Clause
//
// What of agent.yaml only the next start takes: everything but the sections that reread_config (main.c) knows.

#include <stddef.h>
#include <string.h>

#include "main/config.h"

#define KEY(name, member)                                                                          \
	{                                                                                          \
		name, offsetof(struct agent_config, member),                                       \
			sizeof(((struct agent_config *)0)->member)                                 \
	}

// Both were loaded over zeroes, so what is equal is equal in each byte.
const char *agent_config_difference(const struct agent_config *a, const struct agent_config *b)
{
	static const struct {
		const char *name;
		size_t offset, size;
	} fixed[] = {
		KEY("listen", listen),
		KEY("insecure", insecure),
		KEY("tls.ca", tls_ca),
		KEY("tls.certificate", tls_certificate),
		KEY("tls.key", tls_key),
		KEY("state_dir", state_dir),
		KEY("log_level", log_level),
		KEY("metrics", metrics),
		KEY("nic.device", nic_device),
		KEY("nic.functions", functions),
		KEY("nic.host_port", host_port),
		KEY("nic.offload", offload),
		KEY("nic.offload_connections", offload_connections),
		KEY("nic.offload_loopback", offload_loopback),
		KEY("nic.offload_icmp6", offload_icmp6),
		KEY("vhost", vhost),
		KEY("virtio_user", virtio_ports),
		KEY("dpdk.drivers", drivers),
		KEY("dpdk.huge_pages", huge_pages),
		KEY("dpdk.memory_mb", memory_mb),
		KEY("dpdk.workers", workers),
		KEY("dpdk.cpus", cpus),
		KEY("dpdk.packet_buffers", packet_buffers),
		KEY("dpdk.file_prefix", file_prefix),
		KEY("pod_network", network),
	};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		if (memcmp((const char *)a + fixed[i].offset, (const char *)b + fixed[i].offset,
			   fixed[i].size) != 0)
			return fixed[i].name;
	}
	return NULL;
}
