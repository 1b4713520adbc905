// SPDX-License-Identifier: BSD-3-Clause
//
// podport-agent: start-up and end. The table below is started from top to bottom and undone from
// bottom to top; a module that fails ends the start. The listener is last: whoever gets an answer
// gets it from an agent that has restored everything.
//
// The main thread is the control thread: it runs the event loop, and every decision is made there.

#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <uv.h>

#include "control/control.h"
#include "datapath/datapath.h"
#include "datapath/masquerade.h"
#include "main/config.h"
#include "main/connection_loop.h"
#include "main/eal.h"
#include "main/neighbour_loop.h"
#include "main/preflight.h"
#include "metrics/metrics.h"
#include "offload/offload.h"
#include "pod/restore.h"
#include "pod/store.h"
#include "port/port.h"
#include "proto/base/log.h"
#include "rpc/rpc.h"

enum { RETRY_INTERVAL_MS = 2000 }; // what failed and should not have, tried again

struct agent {
	const char *config_file;
	struct agent_config config;
	char instance_id[LIMIT_ID + 1];

	uv_loop_t loop;
	uv_signal_t terminate, interrupt, hangup;
	uv_timer_t retry;
	struct neighbour_loop neighbours;
	struct connection_loop connections;
	struct store *store;
	struct nic *nic;
	struct offload *offload; // NULL from when it is control's
	struct control *control;
	struct metrics *metrics; // NULL: not wanted
	struct rpc *rpc;
	bool worn; // ended by itself, with a status that says: start me again
};

struct module {
	const char *name;
	int (*start)(struct agent *agent, struct error *err);
	void (*stop)(struct agent *agent);
};

// ---- process ---------------------------------------------------------------------------------------

// Functions are file descriptors each, some several: as many as we may have.
static int limits_start(struct agent *agent, struct error *err)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warning("cannot raise the limit of open files", "error=\"%s\"",
			    strerror(errno));
	return 0;
}

static int identity_start(struct agent *agent, struct error *err)
{
	uint8_t random[16];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return error_set(err, errno, CODE_INTERNAL, "no random number: %s",
				 strerror(errno));
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(agent->instance_id + 2 * i, 3, "%02x", random[i]);
	return 0;
}

// ---- event loop ------------------------------------------------------------------------------------

static void on_signal(uv_signal_t *handle, int number)
{
	log_info("stopping", "signal=%d", number);
	uv_stop(handle->loop);
}

static struct wire_tls tls_files(const struct agent *agent)
{
	return (struct wire_tls){.ca_file = agent->config.tls_ca,
				 .certificate_file = agent->config.tls_certificate,
				 .key_file = agent->config.tls_key};
}

static void reread_masquerade(const struct agent_config *fresh)
{
	struct error err = {0};

	if (masquerade_set(&fresh->masquerade, &err) < 0)
		log_error("masquerade stays as it is", "error=\"%s\"", err.message);
	else if (!masquerade_same_table(&fresh->masquerade, masquerade_configuration()))
		log_warning("masquerade.ports, masquerade.identifiers and masquerade.connections "
			    "change when the agent is started again",
			    "connections=%u ports=%u-%u identifiers=%u-%u",
			    masquerade_configuration()->connections,
			    masquerade_configuration()->first_port,
			    masquerade_configuration()->last_port,
			    masquerade_configuration()->first_identifier,
			    masquerade_configuration()->last_identifier);
}

// Of the configuration only this may change while the agent runs.
static void reread_config(struct agent *agent)
{
	static struct agent_config fresh;
	const char *changed;
	struct error err = {0};

	if (agent_config_load(agent->config_file, &fresh, &err) < 0) {
		log_error("the configuration is not taken, it stays as it was", "error=\"%s\"",
			  err.message);
		return;
	}
	reread_masquerade(&fresh); // before pods reach a wire that is not to see them
	control_connections_reconsider(agent->control);
	if (control_set_uplink(agent->control, &fresh.uplink, &err) < 0)
		log_error("the uplink stays as it is", "error=\"%s\"", err.message);
	datapath_set_limits(&fresh.limits);
	changed = agent_config_difference(&agent->config, &fresh);
	if (changed != NULL)
		log_warning("only uplink, masquerade and limits change before the agent is started "
			    "again",
			    "first_other=%s", changed);
	log_info("configuration taken again", "file=%s", agent->config_file);
}

// The names of the certificates stay; what is in the files is new.
static void on_hangup(uv_signal_t *handle, int number)
{
	struct agent *agent = handle->data;
	const struct wire_tls tls = tls_files(agent);
	struct error err = {0};

	if (agent->rpc == NULL)
		return; // not up yet
	reread_config(agent);
	if (tls.ca_file[0] != '\0' && rpc_renew(agent->rpc, &tls, &err) < 0)
		log_error("new certificates are not taken, the old ones stay in use",
			  "error=\"%s\"", err.message);
}

static int fail_uv(struct error *err, int r)
{
	return error_set(err, -r, CODE_INTERNAL, "event loop: %s", uv_strerror(r));
}

// Early, so that a signal during start-up ends the agent in order as soon as it is up.
static int loop_start(struct agent *agent, struct error *err)
{
	int r = uv_loop_init(&agent->loop);

	if (r < 0)
		return fail_uv(err, r);
	uv_signal_init(&agent->loop, &agent->terminate);
	uv_signal_init(&agent->loop, &agent->interrupt);
	uv_signal_init(&agent->loop, &agent->hangup);
	agent->hangup.data = agent;
	r = uv_signal_start(&agent->terminate, on_signal, SIGTERM);
	if (r == 0)
		r = uv_signal_start(&agent->interrupt, on_signal, SIGINT);
	if (r == 0)
		r = uv_signal_start(&agent->hangup, on_hangup, SIGHUP);
	signal(SIGPIPE, SIG_IGN);
	return r < 0 ? fail_uv(err, r) : 0;
}

static void loop_stop(struct agent *agent)
{
	uv_close((uv_handle_t *)&agent->terminate, NULL);
	uv_close((uv_handle_t *)&agent->interrupt, NULL);
	uv_close((uv_handle_t *)&agent->hangup, NULL);
	uv_run(&agent->loop, UV_RUN_DEFAULT); // until all handles are closed
	uv_loop_close(&agent->loop);
}

// ---- modules ---------------------------------------------------------------------------------------

// Make the folders of a path, all but the last, which is its owner's to make.
static int make_parents(const char *path, mode_t mode, struct error *err)
{
	char folder[LIMIT_PATH + 1];

	snprintf(folder, sizeof(folder), "%s", path);
	for (char *slash = strchr(folder + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(folder, mode) < 0 && errno != EEXIST)
			return error_set(err, errno, CODE_STORE, "cannot make the folder %s: %s",
					 folder, strerror(errno));
		*slash = '/';
	}
	return 0;
}

static int store_start(struct agent *agent, struct error *err)
{
	int r = make_parents(agent->config.state_dir, 0755, err);

	return r < 0 ? r : store_open(agent->config.state_dir, &agent->store, err);
}

static void store_stop(struct agent *agent)
{
	store_close(agent->store);
}

static int eal_module_start(struct agent *agent, struct error *err)
{
	return eal_start(&agent->config, err);
}

static void eal_module_stop(struct agent *agent)
{
	eal_stop();
}

static int nic_start(struct agent *agent, struct error *err)
{
	const struct nic_config config = {
		.device = agent->config.nic_device,
		.functions = agent->config.functions,
		.host_port = agent->config.host_port,
		.packet_buffers = agent->config.packet_buffers,
		.workers = agent->config.workers,
		.vhost_ports = agent->config.vhost.ports,
		.virtio_ports = agent->config.virtio_ports,
		.vhost =
			{
				.folder = agent->config.vhost.ports > 0
						  ? agent->config.vhost.socket_dir
						  : NULL,
				.mode = (mode_t)agent->config.vhost.socket_mode,
				.owner = agent->config.vhost.uid,
				.group = agent->config.vhost.gid,
			},
	};
	int r = 0;

	if (config.vhost_ports > 0)
		r = make_parents(agent->config.vhost.socket_dir, 0755, err);
	return r < 0 ? r : nic_open(&config, &agent->nic, err);
}

static void nic_stop(struct agent *agent)
{
	nic_close(agent->nic);
}

static int datapath_module_start(struct agent *agent, struct error *err)
{
	const struct datapath_config config = {
		.workers = agent->config.workers,
		.masquerade = &agent->config.masquerade,
	};

	int r = datapath_start(&config, err);

	if (r == 0)
		datapath_set_limits(&agent->config.limits);
	return r;
}

static void datapath_module_stop(struct agent *agent)
{
	datapath_stop();
}

// Before control starts the uplink: what the NIC can do is configured while it is stopped.
static int offload_module_start(struct agent *agent, struct error *err)
{
	const struct offload_config config = {
		.nic = agent->nic,
		.enabled = agent->config.offload,
		// Whatever is configured just now: a port can be published, or masquerade be configured, later.
		.places = agent->config.masquerade.connections,
		.connections = agent->config.offload_connections,
		.loopback = agent->config.offload_loopback,
		.icmp6 = agent->config.offload_icmp6,
	};

	return offload_new(&config, &agent->offload, err);
}

static void offload_module_stop(struct agent *agent)
{
	offload_free(agent->offload);
}

static int control_start(struct agent *agent, struct error *err)
{
	const struct control_config config = {
		.nic = agent->nic,
		.offload = agent->offload,
		.store = agent->store,
		.instance_id = agent->instance_id,
		.nic_device = agent->config.nic_device,
		.workers = agent->config.workers,
		.host_port = agent->config.host_port,
		.vhost_socket_dir = agent->config.vhost.socket_dir,
		.network = &agent->config.network,
		.uplink = &agent->config.uplink,
	};
	const struct network *network =
		agent_config_has_network(&agent->config) ? &agent->config.network : NULL;
	struct restored restored = {0};
	int r;

	const struct pods_ports ports = {.functions = nic_function_count(agent->nic),
					 .vhosts = nic_vhost_count(agent->nic),
					 .virtios = nic_virtio_count(agent->nic)};

	r = restore(agent->store, &ports, network, &restored, err);
	if (r < 0)
		return r;
	if (restored.notice.code != CODE_OK)
		log_error("pod network", "notice=\"%s\"", restored.notice.message);
	r = control_new(&config, &restored, &agent->control, err);
	if (r < 0)
		pods_free(restored.pods);
	else
		agent->offload = NULL;
	return r;
}

static void control_stop(struct agent *agent)
{
	control_free(agent->control);
}

static void end_worn(struct agent *agent)
{
	agent->worn = true;
	uv_stop(&agent->loop);
}

static void on_retry(uv_timer_t *timer)
{
	struct agent *agent = timer->data;

	if (nic_is_gone(agent->nic)) {
		// Everything that this process has is of a device that does not come back to it. The next one opens
		// what is on the bus then, and restores the pods; until there is something, it cannot start, and says
		// so. To stay would only keep hosts from seeing it.
		log_error("ending, to be started again: the NIC is gone from its bus",
			  "device=\"%s\"", agent->config.nic_device);
		end_worn(agent);
		return;
	}
	control_retry(agent->control);
	if (!rpc_watch(agent->rpc))
		return;
	// Any moment does for that: pods keep what they have, and hosts ask again.
	log_error("ending, to be started again: connections that end are not freed any more",
		  "listen=%s", agent->config.listen);
	end_worn(agent);
}

static int retry_start(struct agent *agent, struct error *err)
{
	int r;

	uv_timer_init(&agent->loop, &agent->retry);
	agent->retry.data = agent;
	r = uv_timer_start(&agent->retry, on_retry, RETRY_INTERVAL_MS, RETRY_INTERVAL_MS);
	return r < 0 ? fail_uv(err, r) : 0;
}

static void retry_stop(struct agent *agent)
{
	uv_close((uv_handle_t *)&agent->retry, NULL);
}

static int neighbours_module_start(struct agent *agent, struct error *err)
{
	return neighbour_loop_start(&agent->neighbours, &agent->loop, agent->control, err);
}

static void neighbours_module_stop(struct agent *agent)
{
	neighbour_loop_stop(&agent->neighbours);
}

static int connections_module_start(struct agent *agent, struct error *err)
{
	return connection_loop_start(&agent->connections, &agent->loop, agent->control, err);
}

static void connections_module_stop(struct agent *agent)
{
	connection_loop_stop(&agent->connections);
}

static int metrics_module_start(struct agent *agent, struct error *err)
{
	if (agent->config.metrics[0] == '\0')
		return 0;
	return metrics_start(agent->config.metrics, &agent->loop, agent->control, &agent->metrics,
			     err);
}

static void metrics_module_stop(struct agent *agent)
{
	metrics_stop(agent->metrics);
}

static int rpc_module_start(struct agent *agent, struct error *err)
{
	static const char ipc[] = "ipc://";
	const struct agent_config *config = &agent->config;
	const struct rpc_config rpc = {
		.url = config->listen,
		.tls = tls_files(agent),
		.insecure = config->insecure,
		.instance_id = agent->instance_id,
	};
	int r = 0;

	// Only root gets near the socket, also before its mode is set.
	if (strncmp(config->listen, ipc, sizeof(ipc) - 1) == 0)
		r = make_parents(config->listen + sizeof(ipc) - 1, 0700, err);
	return r < 0 ? r : rpc_start(&rpc, &agent->loop, agent->control, &agent->rpc, err);
}

static void rpc_module_stop(struct agent *agent)
{
	rpc_stop(agent->rpc);
	agent->rpc = NULL;
}

static const struct module modules[] = {
	{"limits", limits_start, NULL},
	{"identity", identity_start, NULL},
	{"loop", loop_start, loop_stop},
	{"store", store_start, store_stop},
	{"dpdk", eal_module_start, eal_module_stop},
	{"nic", nic_start, nic_stop},
	{"datapath", datapath_module_start, datapath_module_stop},
	{"offload", offload_module_start, offload_module_stop},
	{"control", control_start, control_stop}, // restores
	{"neighbours", neighbours_module_start, neighbours_module_stop},
	{"connections", connections_module_start, connections_module_stop},
	{"retry", retry_start, retry_stop},
	{"metrics", metrics_module_start, metrics_module_stop},
	{"rpc", rpc_module_start, rpc_module_stop},
};

// What the preflight needs: no store, nobody to answer, no pod touched.
static const struct module preflight_modules[] = {
	{"limits", limits_start, NULL},
	{"dpdk", eal_module_start, eal_module_stop},
	{"nic", nic_start, nic_stop},
	{"datapath", datapath_module_start, datapath_module_stop},
};

enum {
	MODULE_COUNT = sizeof(modules) / sizeof(modules[0]),
	PREFLIGHT_MODULE_COUNT = sizeof(preflight_modules) / sizeof(preflight_modules[0]),
};

static void stop_modules(struct agent *agent, const struct module *table, size_t started)
{
	while (started-- > 0) {
		log_debug("stopping module", "name=%s", table[started].name);
		if (table[started].stop != NULL)
			table[started].stop(agent);
	}
}

// False: one failed, why is logged, and those before it are stopped.
static bool start_modules(struct agent *agent, const struct module *table, size_t count)
{
	struct error err = {0};

	for (size_t i = 0; i < count; i++) {
		log_debug("starting module", "name=%s", table[i].name);
		if (table[i].start(agent, &err) < 0) {
			log_error("start failed", "module=%s error=\"%s\"", table[i].name,
				  err.message);
			stop_modules(agent, table, i);
			return false;
		}
	}
	return true;
}

static int run(struct agent *agent)
{
	if (!start_modules(agent, modules, MODULE_COUNT))
		return EXIT_FAILURE;
	log_info("agent ready", "version=%s instance=%s listen=%s device=%s functions=%u",
		 PODPORT_VERSION, agent->instance_id, agent->config.listen,
		 agent->config.nic_device, agent->config.functions);
	uv_run(&agent->loop, UV_RUN_DEFAULT);
	stop_modules(agent, modules, MODULE_COUNT);
	log_info("agent stopped", "instance=%s", agent->instance_id);
	return agent->worn ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_preflight(struct agent *agent)
{
	struct error err = {0};
	int r;

	if (!start_modules(agent, preflight_modules, PREFLIGHT_MODULE_COUNT))
		return EXIT_FAILURE;
	r = preflight(agent->nic, agent->config.network.common.mtu, agent->config.offload_icmp6,
		      &err);
	if (r < 0 && r != -ENOTSUP) // which the table says
		log_error("preflight failed", "error=\"%s\"", err.message);
	stop_modules(agent, preflight_modules, PREFLIGHT_MODULE_COUNT);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

// ---- command line ----------------------------------------------------------------------------------

static void print_help(void)
{
	puts("Usage: podport-agent --config FILE [--check-config | --preflight]\n"
	     "\n"
	     "The DPU agent of podport: it answers the host's calls and programs the NIC.\n"
	     "\n"
	     "  -c, --config FILE    the configuration, YAML (default /etc/podport/agent.yaml)\n"
	     "      --check-config   read the configuration, say what is wrong, and end\n"
	     "      --preflight      ask the NIC what it can forward by itself, print the "
	     "answers,\n"
	     "                       and end; while no agent runs on it\n"
	     "      --version        print the version and end\n"
	     "  -h, --help           print this and end");
}

enum { OPTION_CHECK = 256, OPTION_PREFLIGHT, OPTION_VERSION };

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check-config", no_argument, NULL, OPTION_CHECK},
		{"preflight", no_argument, NULL, OPTION_PREFLIGHT},
		{"version", no_argument, NULL, OPTION_VERSION},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	static struct agent agent = {.config_file = "/etc/podport/agent.yaml"};
	struct error err = {0};
	bool check = false, ask_only = false;
	int option;

	while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			agent.config_file = optarg;
			break;
		case OPTION_CHECK:
			check = true;
			break;
		case OPTION_PREFLIGHT:
			ask_only = true;
			break;
		case OPTION_VERSION:
			puts("podport-agent " PODPORT_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			print_help();
			return EXIT_SUCCESS;
		default:
			fputs("Try 'podport-agent --help'.\n", stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr,
			"podport-agent: '%s' is not an option\nTry 'podport-agent --help'.\n",
			argv[optind]);
		return 2;
	}
	if (agent_config_load(agent.config_file, &agent.config, &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		return EXIT_FAILURE;
	}
	if (check) {
		printf("%s: good\n", agent.config_file);
		return EXIT_SUCCESS;
	}
	log_set_level(agent.config.log_level);
	umask(077); // the store says which pods run here
	return ask_only ? run_preflight(&agent) : run(&agent);
}
