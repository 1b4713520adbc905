// SPDX-License-Identifier: BSD-3-Clause
//
// See config.h. First each value by itself, in the parsers; then what must hold between keys.

#include "main/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/config.h"
#include "proto/codec.h"
#include "proto/wire_client.h"

enum {
	PACKET_BUFFER_BYTES = 2560, // 2 KiB of data, headroom, rte_mbuf and the pool's own
	BASE_MEMORY_MB = 24,        // rings, tables, graph, mempool caches
};

_Static_assert(CONFIG_FUNCTIONS_MAX + 2 <= DATAPATH_PORTS_MAX, "each function needs a slot");

static const struct mac default_router_mac = {{0x02, 0x70, 0x70, 0x00, 0x00, 0x01}};

// ---- values ----------------------------------------------------------------------------------------

static int parse_functions(const char *text, void *target, struct error *err)
{
	return config_parse_range(text, 1, CONFIG_FUNCTIONS_MAX, target, err);
}

static int parse_offload_connections(const char *text, void *target, struct error *err)
{
	return config_parse_range(text, 0, MASQUERADE_CONNECTIONS_MAX, target, err);
}

static int parse_workers(const char *text, void *target, struct error *err)
{
	return config_parse_range(text, 1, CONFIG_WORKERS_MAX, target, err);
}

static int parse_memory(const char *text, void *target, struct error *err)
{
	return config_parse_range(text, CONFIG_MEMORY_MB_MIN, CONFIG_MEMORY_MB_MAX, target, err);
}

static int parse_packet_buffers(const char *text, void *target, struct error *err)
{
	return config_parse_range(text, CONFIG_PACKET_BUFFERS_MIN, CONFIG_PACKET_BUFFERS_MAX,
				  target, err);
}

static int parse_mtu(const char *text, void *target, struct error *err)
{
	return config_parse_range(text, MTU_MIN, MTU_MAX, target, err);
}

static int parse_ipv4(const char *text, void *target, struct error *err)
{
	return network_parse_ipv4(text, target, err);
}

static int parse_ipv6(const char *text, void *target, struct error *err)
{
	return network_parse_ipv6(text, target, err);
}

static int parse_mac(const char *text, void *target, struct error *err)
{
	return mac_parse(text, target, err);
}

static int parse_uplink_ipv4(const char *text, void *target, struct error *err)
{
	return uplink_parse_ipv4(text, target, err);
}

static int parse_uplink_ipv6(const char *text, void *target, struct error *err)
{
	return uplink_parse_ipv6(text, target, err);
}

static int parse_route(const char *text, void *target, struct error *err)
{
	return uplink_parse_route(text, &((struct agent_config *)target)->uplink, err);
}

static int parse_vlan(const char *text, void *target, struct error *err)
{
	uint32_t vlan = 0;
	int r = config_parse_range(text, 1, 4094, &vlan, err);

	if (r == 0)
		*(uint16_t *)target = (uint16_t)vlan;
	return r;
}

// "none", or a number.
static int parse_limit(const char *text, uint32_t min, uint32_t max, void *target,
		       struct error *err)
{
	if (strcmp(text, "none") != 0)
		return config_parse_range(text, min, max, target, err);
	*(uint32_t *)target = 0;
	return 0;
}

static int parse_pps(const char *text, void *target, struct error *err)
{
	return parse_limit(text, CONFIG_PPS_MIN, CONFIG_PPS_MAX, target, err);
}

static int parse_pod_connections(const char *text, void *target, struct error *err)
{
	return parse_limit(text, 1, MASQUERADE_CONNECTIONS_MAX, target, err);
}

static int parse_unresolved(const char *text, void *target, struct error *err)
{
	return config_parse_range(text, 1, CONFIG_UNRESOLVED_MAX, target, err);
}

// "0000:03:00.0", "net_simnic0,card=/run/podport/card.sock"
static int parse_device(const char *text, void *target, struct error *err)
{
	if (strstr(text, "representor=") != NULL)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "'%s' has representor=, which the agent adds itself "
				 "(nic.functions, nic.host_port)",
				 text);
	if (strpbrk(text, " \t") != NULL || text[0] == ',')
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "'%s' is no DPDK device (name,argument=value,...)", text);
	return config_parse_path(text, target, err);
}

// It becomes part of file names under /run/dpdk.
static int parse_file_prefix(const char *text, void *target, struct error *err)
{
	size_t length = strlen(text);

	if (length == 0 || length > LIMIT_ID || !isalnum((unsigned char)text[0]))
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "'%s' is not 1 to %d letters, digits, - and _", text, LIMIT_ID);
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)text[i]) && text[i] != '-' && text[i] != '_')
			return error_set(err, EINVAL, CODE_BAD_REQUEST,
					 "'%s' is not 1 to %d letters, digits, - and _", text,
					 LIMIT_ID);
	memcpy(target, text, length + 1);
	return 0;
}

static int parse_driver(const char *text, void *target, struct error *err)
{
	struct agent_config *config = target;

	if (config->drivers.count == CONFIG_DRIVERS_MAX)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "more than %d drivers",
				 CONFIG_DRIVERS_MAX);
	if (text[0] != '/')
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "'%s' is not an absolute path of a driver (.so)", text);
	if (access(text, R_OK) < 0)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "cannot read the driver %s: %s",
				 text, strerror(errno));
	return config_parse_path(text, config->drivers.paths[config->drivers.count++], err);
}

static int add_cpu(struct agent_config *config, unsigned long cpu, struct error *err)
{
	for (size_t i = 0; i < config->cpus.count; i++)
		if (config->cpus.numbers[i] == cpu)
			return error_set(err, EINVAL, CODE_BAD_REQUEST, "CPU %lu is named twice",
					 cpu);
	if (config->cpus.count == CONFIG_CPUS_MAX)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "more than %d CPUs",
				 CONFIG_CPUS_MAX);
	config->cpus.numbers[config->cpus.count++] = (uint16_t)cpu;
	return 0;
}

// "0-3", "1,3", or a list of such
static int parse_cpus(const char *text, void *target, struct error *err)
{
	enum { CPU_MAX = 1023 }; // CPU_SETSIZE - 1
	const char *at = text;
	unsigned long first, last;
	char *end;
	int r = 0;

	do {
		if (!isdigit((unsigned char)*at))
			goto malformed;
		first = last = strtoul(at, &end, 10);
		if (*end == '-') {
			if (!isdigit((unsigned char)end[1]))
				goto malformed;
			last = strtoul(end + 1, &end, 10);
		}
		if (first > last || last > CPU_MAX)
			goto malformed;
		for (unsigned long cpu = first; r == 0 && cpu <= last; cpu++)
			r = add_cpu(target, cpu, err);
		if (r < 0)
			return r;
		at = end + 1;
	} while (*end == ',');
	if (*end == '\0')
		return 0;
malformed:
	return error_set(err, EINVAL, CODE_BAD_REQUEST, "'%s' is no list of CPUs (0-3 or 1,3)",
			 text);
}

// ---- keys ------------------------------------------------------------------------------------------

#define AT(member) offsetof(struct agent_config, member)

static const struct config_key keys[] = {
	{"listen", config_parse_path, AT(listen), false, false},
	{"insecure", config_parse_bool, AT(insecure), false, false},
	{"tls.ca", config_parse_path, AT(tls_ca), false, false},
	{"tls.certificate", config_parse_path, AT(tls_certificate), false, false},
	{"tls.key", config_parse_path, AT(tls_key), false, false},
	{"state_dir", config_parse_path, AT(state_dir), false, false},
	{"log_level", config_parse_log_level, AT(log_level), false, false},
	{"metrics", config_parse_path, AT(metrics), false, false},
	{"nic.device", parse_device, AT(nic_device), true, false},
	{"nic.functions", parse_functions, AT(functions), true, false},
	{"nic.host_port", config_parse_bool, AT(host_port), false, false},
	{"nic.offload", config_parse_bool, AT(offload), false, false},
	{"nic.offload_connections", parse_offload_connections, AT(offload_connections), false,
	 false},
	{"nic.offload_loopback", config_parse_bool, AT(offload_loopback), false, false},
	{"nic.offload_icmp6", config_parse_bool, AT(offload_icmp6), false, false},
	{"vhost.socket_dir", config_parse_path, AT(vhost.socket_dir), false, false},
	{"vhost.ports", vhost_parse_ports, AT(vhost.ports), false, false},
	{"vhost.socket_mode", vhost_parse_mode, AT(vhost.socket_mode), false, false},
	{"vhost.socket_owner", vhost_parse_owner, AT(vhost), false, false},
	{"virtio_user.ports", virtio_parse_ports, AT(virtio_ports), false, false},
	{"dpdk.drivers", parse_driver, 0, false, true},
	{"dpdk.huge_pages", config_parse_bool, AT(huge_pages), false, false},
	{"dpdk.memory_mb", parse_memory, AT(memory_mb), false, false},
	{"dpdk.workers", parse_workers, AT(workers), false, false},
	{"dpdk.cpus", parse_cpus, 0, false, true},
	{"dpdk.packet_buffers", parse_packet_buffers, AT(packet_buffers), false, false},
	{"dpdk.file_prefix", parse_file_prefix, AT(file_prefix), false, false},
	{"uplink.ipv4", parse_uplink_ipv4, AT(uplink), false, false},
	{"uplink.ipv6", parse_uplink_ipv6, AT(uplink), false, false},
	{"uplink.routes", parse_route, 0, false, true},
	{"uplink.vlan", parse_vlan, AT(uplink.vlan), false, false},
	{"uplink.mtu", parse_mtu, AT(uplink.mtu), false, false},
	{"masquerade.ipv4", config_parse_bool, AT(masquerade.ipv4), false, false},
	{"masquerade.ipv6", config_parse_bool, AT(masquerade.ipv6), false, false},
	{"masquerade.exclude", masquerade_parse_excluded, AT(masquerade), false, true},
	{"masquerade.ports", masquerade_parse_ports, AT(masquerade), false, false},
	{"masquerade.identifiers", masquerade_parse_identifiers, AT(masquerade), false, false},
	{"masquerade.connections", masquerade_parse_connections, AT(masquerade.connections), false,
	 false},
	{"masquerade.tcp_pick_up", config_parse_bool, AT(masquerade.pick_up), false, false},
	{"masquerade.timeouts.tcp_opening", masquerade_parse_timeout,
	 AT(masquerade.timeouts.tcp_opening), false, false},
	{"masquerade.timeouts.tcp_established", masquerade_parse_timeout,
	 AT(masquerade.timeouts.tcp_established), false, false},
	{"masquerade.timeouts.tcp_closing", masquerade_parse_timeout,
	 AT(masquerade.timeouts.tcp_closing), false, false},
	{"masquerade.timeouts.tcp_time_wait", masquerade_parse_timeout,
	 AT(masquerade.timeouts.tcp_time_wait), false, false},
	{"masquerade.timeouts.tcp_close", masquerade_parse_timeout,
	 AT(masquerade.timeouts.tcp_close), false, false},
	{"masquerade.timeouts.udp", masquerade_parse_timeout, AT(masquerade.timeouts.udp), false,
	 false},
	{"masquerade.timeouts.udp_answered", masquerade_parse_timeout,
	 AT(masquerade.timeouts.udp_answered), false, false},
	{"masquerade.timeouts.udp_dns", masquerade_parse_timeout, AT(masquerade.timeouts.udp_dns),
	 false, false},
	{"masquerade.timeouts.icmp", masquerade_parse_timeout, AT(masquerade.timeouts.icmp), false,
	 false},
	{"masquerade.timeouts.fragment", masquerade_parse_timeout, AT(masquerade.timeouts.fragment),
	 false, false},
	{"limits.slow_path_pps", parse_pps, AT(limits.slow_path_pps), false, false},
	{"limits.connections", parse_pod_connections, AT(limits.connections), false, false},
	{"limits.unresolved_neighbours", parse_unresolved, AT(limits.unresolved_neighbours), false,
	 false},
	{"pod_network.ipv4", parse_ipv4, AT(network), false, false},
	{"pod_network.ipv6", parse_ipv6, AT(network), false, false},
	{"pod_network.mtu", parse_mtu, AT(network.common.mtu), false, false},
	{"pod_network.link_group", config_parse_uint32, AT(network.link_group), false, false},
	{"pod_network.router_mac", parse_mac, AT(network.common.router_mac), false, false},
	{0},
};

static void set_defaults(struct agent_config *config)
{
	memset(config, 0, sizeof(*config));
	snprintf(config->listen, sizeof(config->listen), "ipc:///run/podport/agent.sock");
	snprintf(config->state_dir, sizeof(config->state_dir), "/var/lib/podport/agent");
	snprintf(config->file_prefix, sizeof(config->file_prefix), "podport");
	config->log_level = LOG_LEVEL_INFO;
	config->host_port = true;
	config->offload = true;
	config->offload_connections = 65536;
	config->huge_pages = true;
	vhost_set_defaults(&config->vhost);
	config->memory_mb = 256;
	config->workers = 1;
	config->packet_buffers = 16384;
	masquerade_set_defaults(&config->masquerade);
	// A worker handles some millions a second, and a function at 10 Gb/s sends 0.8 million of 1500 bytes.
	config->limits = (struct datapath_limits){
		.slow_path_pps = 1000000,
		.unresolved_neighbours = 32,
	};
	config->network.common.mtu = 1500;
	config->network.common.router_mac = default_router_mac;
}

// ---- across keys -----------------------------------------------------------------------------------

bool agent_config_has_network(const struct agent_config *config)
{
	return config->network.common.has_ipv4 || config->network.common.has_ipv6;
}

bool agent_config_has_tls(const struct agent_config *config)
{
	return config->tls_ca[0] != '\0' || config->tls_certificate[0] != '\0' ||
	       config->tls_key[0] != '\0';
}

static int check_tls(const char *file, const struct agent_config *config, struct error *err)
{
	static const char scheme[] = "tls+tcp://";
	bool wants_tls = strncmp(config->listen, scheme, sizeof(scheme) - 1) == 0;
	const struct {
		const char *path, *value;
	} parts[] = {
		{"tls.ca", config->tls_ca},
		{"tls.certificate", config->tls_certificate},
		{"tls.key", config->tls_key},
	};

	if (!wants_tls)
		return agent_config_has_tls(config)
			       ? config_error(file, "tls", err,
					      "certificates are only for listen: %s...", scheme)
			       : 0;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (parts[i].value[0] == '\0')
			return config_error(file, "listen", err,
					    "'%s' needs %s: both sides show a certificate",
					    config->listen, parts[i].path);
		if (access(parts[i].value, R_OK) < 0)
			return config_error(file, parts[i].path, err, "cannot read %s: %s",
					    parts[i].value, strerror(errno));
	}
	return 0;
}

// Whoever reaches it sees who runs here: as plain tcp://, on loopback only unless that is wanted.
static int check_metrics(const char *file, const struct agent_config *config, struct error *err)
{
	char url[LIMIT_PATH + sizeof("tcp://")];
	struct error why = {0};

	if (config->metrics[0] == '\0')
		return 0;
	if (strstr(config->metrics, "://") != NULL)
		return config_error(file, "metrics", err, "'%s' is not ADDRESS:PORT",
				    config->metrics);
	snprintf(url, sizeof(url), "tcp://%s", config->metrics);
	if (wire_check_url(url, config->insecure, &why) < 0)
		return config_error(file, "metrics", err, "%.400s", why.message);
	return 0;
}

static int check_dpdk(const char *file, const struct agent_config *config, struct error *err)
{
	uint64_t buffers_mb = (uint64_t)config->packet_buffers * PACKET_BUFFER_BYTES / 1024 / 1024;
	uint64_t connections_mb = masquerade_is_configured(&config->masquerade)
					  ? (uint64_t)config->masquerade.connections *
						    MASQUERADE_CONNECTION_BYTES / 1024 / 1024
					  : 0;
	uint64_t needed_mb = buffers_mb + BASE_MEMORY_MB;

	if (config->memory_mb < needed_mb)
		return config_error(file,
				    config_line("dpdk.memory_mb") != 0 ? "dpdk.memory_mb"
								       : "dpdk.packet_buffers",
				    err, "%u MB do not hold %u packet buffers, which need %llu",
				    config->memory_mb, config->packet_buffers,
				    (unsigned long long)needed_mb);
	if (config->memory_mb < needed_mb + connections_mb)
		return config_error(file,
				    config_line("dpdk.memory_mb") != 0 ? "dpdk.memory_mb"
								       : "masquerade.connections",
				    err,
				    "%u MB do not hold %u packet buffers and %u connections, "
				    "which need %llu",
				    config->memory_mb, config->packet_buffers,
				    config->masquerade.connections,
				    (unsigned long long)(needed_mb + connections_mb));
	if (config->cpus.count > 0 && config->cpus.count < config->workers + 1)
		return config_error(file, "dpdk.cpus", err,
				    "%zu CPUs are too few for the control thread and %u workers: "
				    "one each",
				    config->cpus.count, config->workers);
	return 0;
}

static int check_uplink(const char *file, const struct agent_config *config, struct error *err)
{
	struct error why = {0};

	if (!uplink_is_configured(&config->uplink))
		return config_line("uplink") == 0
			       ? 0
			       : config_error(file, "uplink", err,
					      "needs ipv4, ipv6 or both: the agent's own addresses "
					      "on the wire");
	if (uplink_check(&config->uplink, &why) < 0)
		return config_error(file, "uplink.routes", err, "%.400s", why.message);
	if (uplink_suits_network(&config->uplink, &config->network.common, &why) < 0)
		return config_error(file, "uplink", err, "%.400s", why.message);
	return 0;
}

int agent_config_load(const char *file, struct agent_config *ret_config, struct error *err)
{
	struct agent_config *config = ret_config;
	int r;

	set_defaults(config);
	r = config_load(file, keys, config, err);
	if (r < 0)
		return r;
	if (config->state_dir[0] != '/')
		return config_error(file, "state_dir", err, "'%s' is not an absolute path",
				    config->state_dir);
	struct error why = {0};
	if (wire_check_url(config->listen, config->insecure, &why) < 0)
		return config_error(file, "listen", err, "%.400s", why.message);
	r = check_tls(file, config, err);
	if (r == 0)
		r = check_metrics(file, config, err);
	if (r == 0)
		r = check_dpdk(file, config, err);
	if (r == 0)
		r = check_uplink(file, config, err);
	if (r == 0)
		r = masquerade_check(file, &config->masquerade, &config->uplink, err);
	if (r == 0)
		r = vhost_check(file, &config->vhost, config->functions, err);
	if (r == 0)
		r = virtio_check(file, &config->virtio_ports,
				 config->functions + config->vhost.ports, err);
	if (r == 0 && !agent_config_has_network(config) &&
	    (config_line("pod_network.mtu") != 0 || config_line("pod_network.link_group") != 0 ||
	     config_line("pod_network.router_mac") != 0))
		r = config_error(file, "pod_network", err,
				 "needs ipv4, ipv6 or both: the pods' prefixes");
	return r;
}
