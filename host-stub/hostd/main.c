// SPDX-License-Identifier: BSD-3-Clause
//
// podport-hostd: the host's daemon. Start-up, the event loop, signals, and the table of modules,
// started in order and stopped in reverse.
//
//      main thread     event loop: local socket, the line of calls, events of functions and the host port
//      64 workers      one call each: agent, netlink, disk            (libuv's pool)
//      link            Hello every second, queued releases, host port, reconciliation
//      nng's own       only hand answers over

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "hostd/calls.h"
#include "hostd/hostd.h"
#include "hostd/local.h"
#include "hostd/redress.h"
#include "hostd/upkeep.h"
#include "proto/base/log.h"

// How long calls under way may take after SIGTERM; then the process exits all the same, which is
// safe (hostd.h).
enum { STOP_MS = 10 * 1000 };

enum { WATCH_MS = 10 * 1000 };

struct daemon {
	struct hostd hostd;
	int lock_fd;
	uv_loop_t loop;
	struct calls *calls;
	struct local *local;
	struct upkeep *upkeep;
	uv_poll_t host_port_watch;
	int function_fd;
	uv_poll_t function_watch;
	uv_signal_t sigterm, sigint, sighup;
	uv_timer_t stop_timer, watch;
	bool worn; // ended by itself
};

// ---- modules -------------------------------------------------------------------------------------

struct module {
	const char *name;
	int (*start)(struct daemon *daemon, struct error *err);
	void (*stop)(struct daemon *daemon); // also after a start that failed half-way: no
};

static int start_state(struct daemon *daemon, struct error *err)
{
	const char *folder = daemon->hostd.config.state_dir;
	char path[LIMIT_PATH + 8];

	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return error_set(err, errno, CODE_STORE, "make %s: %m", folder);
	snprintf(path, sizeof(path), "%s/lock", folder);
	daemon->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (daemon->lock_fd < 0)
		return error_set(err, errno, CODE_STORE, "open %s: %m", path);
	if (flock(daemon->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		int r = error_set(err, errno, CODE_STORE, "another podport-hostd uses %s", folder);

		close(daemon->lock_fd);
		return r;
	}
	return 0;
}

static void stop_state(struct daemon *daemon)
{
	close(daemon->lock_fd);
}

static int start_wiring(struct daemon *daemon, struct error *err)
{
	return wiring_open(daemon->hostd.config.function_netdev, &daemon->hostd.wiring, err);
}

static void stop_wiring(struct daemon *daemon)
{
	wiring_close(&daemon->hostd.wiring);
}

static int start_deletes(struct daemon *daemon, struct error *err)
{
	size_t count;
	int r = delete_queue_open(daemon->hostd.config.state_dir, &daemon->hostd.deletes, err);

	if (r < 0)
		return r;
	count = delete_queue_count(daemon->hostd.deletes);
	if (count > 0)
		log_info("releases are queued for the agent", "count=%zu", count);
	return 0;
}

static void stop_deletes(struct daemon *daemon)
{
	delete_queue_close(daemon->hostd.deletes);
}

static int start_calls(struct daemon *daemon, struct error *err)
{
	return calls_open(&daemon->loop, &daemon->hostd, &daemon->calls, err);
}

static void stop_calls(struct daemon *daemon)
{
	calls_close(daemon->calls);
	uv_run(&daemon->loop, UV_RUN_DEFAULT);
	calls_free(daemon->calls);
}

static void wake_calls(void *arg)
{
	calls_wake(arg);
}

static int start_keys(struct daemon *daemon, struct error *err)
{
	if (keys_open(wake_calls, daemon->calls, &daemon->hostd.keys) < 0)
		return error_set(err, ENOMEM, CODE_INTERNAL, "no memory");
	return 0;
}

static void stop_keys(struct daemon *daemon)
{
	keys_close(daemon->hostd.keys);
}

static int start_upkeep(struct daemon *daemon, struct error *err)
{
	int r = upkeep_open(&daemon->hostd, &daemon->upkeep, err);

	if (r == 0)
		daemon->hostd.upkeep = daemon->upkeep;
	return r;
}

static void stop_upkeep(struct daemon *daemon)
{
	upkeep_close(daemon->upkeep);
}

static void on_host_port_event(uv_poll_t *watch, int status, int events)
{
	struct daemon *daemon = watch->data;

	if (!host_port_read_events(daemon->hostd.host_port))
		return;
	upkeep_host_port_changed(daemon->upkeep);
	link_nudge(daemon->hostd.link);
}

static int start_host_port(struct daemon *daemon, struct error *err)
{
	struct hostd *hostd = &daemon->hostd;
	int r;

	if (hostd->config.host_port[0] == '\0')
		return 0;
	r = host_port_open(hostd->config.host_port, &hostd->host_port, err);
	if (r < 0)
		return r;
	r = uv_poll_init(&daemon->loop, &daemon->host_port_watch,
			 host_port_watch_fd(hostd->host_port));
	if (r < 0) {
		host_port_close(hostd->host_port);
		return error_set(err, -r, CODE_INTERNAL, "watch the host port: %s", uv_strerror(r));
	}
	daemon->host_port_watch.data = daemon;
	return 0;
}

static void stop_host_port(struct daemon *daemon)
{
	if (daemon->hostd.host_port == NULL)
		return;
	uv_close((uv_handle_t *)&daemon->host_port_watch, NULL);
	uv_run(&daemon->loop, UV_RUN_NOWAIT);
	host_port_close(daemon->hostd.host_port);
}

// Those that calls under way move about are nothing new.
static void on_function_event(uv_poll_t *watch, int status, int events)
{
	struct daemon *daemon = watch->data;

	if (!redress_watch_read(daemon->function_fd, &daemon->hostd.wiring) ||
	    daemon->hostd.calls_in_flight > 0)
		return;
	upkeep_function_came(daemon->upkeep);
	link_nudge(daemon->hostd.link);
}

static int start_functions(struct daemon *daemon, struct error *err)
{
	int r;

	daemon->function_fd = redress_watch_open(err);
	if (daemon->function_fd < 0)
		return daemon->function_fd;
	r = uv_poll_init(&daemon->loop, &daemon->function_watch, daemon->function_fd);
	if (r < 0) {
		close(daemon->function_fd);
		return error_set(err, -r, CODE_INTERNAL, "watch the functions: %s", uv_strerror(r));
	}
	daemon->function_watch.data = daemon;
	return 0;
}

static void stop_functions(struct daemon *daemon)
{
	uv_close((uv_handle_t *)&daemon->function_watch, NULL);
	uv_run(&daemon->loop, UV_RUN_NOWAIT);
	close(daemon->function_fd);
}

static void read_line(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "re");

	text[0] = '\0';
	if (file != NULL && fgets(text, (int)size, file) != NULL)
		text[strcspn(text, "\n")] = '\0';
	if (file != NULL)
		fclose(file);
}

static void on_link_changed(void *arg)
{
	struct daemon *daemon = arg;

	calls_wake(daemon->calls);
}

static int on_greeted(const struct hello_reply *hello, bool fresh, void *arg, struct error *err)
{
	struct daemon *daemon = arg;

	return upkeep_greeted(hello, fresh, daemon->upkeep, err);
}

static int start_link(struct daemon *daemon, struct error *err)
{
	const struct hostd_config *config = &daemon->hostd.config;
	struct link_config link = {
		.wire = {.url = config->agent,
			 .tls = {config->tls_ca, config->tls_certificate, config->tls_key},
			 .insecure = config->insecure},
		.hello = {.protocol_version = PROTOCOL_VERSION,
			  .software_version = PODPORT_VERSION},
		.greeted = on_greeted,
		.changed = on_link_changed,
		.arg = daemon,
	};
	int r;

	read_line(config->host_id_path, link.hello.host_id, sizeof(link.hello.host_id));
	if (link.hello.host_id[0] == '\0')
		gethostname(link.hello.host_id, sizeof(link.hello.host_id) - 1);
	read_line(config->boot_id_path, link.hello.boot_id, sizeof(link.hello.boot_id));
	if (link.hello.boot_id[0] == '\0')
		return error_set(err, EIO, CODE_BAD_REQUEST, "boot_id_path: %s cannot be read",
				 config->boot_id_path);
	r = link_open(&link, &daemon->hostd.link, err);
	if (r < 0)
		return r;
	if (daemon->hostd.host_port != NULL)
		uv_poll_start(&daemon->host_port_watch, UV_READABLE, on_host_port_event);
	uv_poll_start(&daemon->function_watch, UV_READABLE, on_function_event);
	r = link_start(daemon->hostd.link, err);
	if (r < 0)
		link_close(daemon->hostd.link);
	return r;
}

static void stop_link(struct daemon *daemon)
{
	if (daemon->hostd.host_port != NULL)
		uv_poll_stop(&daemon->host_port_watch);
	uv_poll_stop(&daemon->function_watch);
	link_close(daemon->hostd.link);
}

static int start_local(struct daemon *daemon, struct error *err)
{
	return local_open(&daemon->loop, &daemon->hostd.config, daemon->calls, &daemon->local, err);
}

static void stop_local(struct daemon *daemon)
{
	local_close(daemon->local);
	uv_run(&daemon->loop, UV_RUN_NOWAIT);
	local_free(daemon->local);
}

static const struct module modules[] = {
	{"state", start_state, stop_state},
	{"wiring", start_wiring, stop_wiring},
	{"deletes", start_deletes, stop_deletes},
	{"calls", start_calls, stop_calls},
	{"keys", start_keys, stop_keys},
	{"upkeep", start_upkeep, stop_upkeep},
	{"host_port", start_host_port, stop_host_port},
	{"functions", start_functions, stop_functions},
	{"link", start_link, stop_link},
	{"local", start_local, stop_local},
};

enum { MODULE_COUNT = sizeof(modules) / sizeof(modules[0]) };

// ---- running -------------------------------------------------------------------------------------

static void on_idle(void *arg)
{
	struct daemon *daemon = arg;

	uv_stop(&daemon->loop);
}

static void on_stop_timer(uv_timer_t *timer)
{
	struct daemon *daemon = timer->data;

	// Workers cannot be taken back, and what they use must not be freed under them.
	log_warning("calls under way are left behind", "count=%u", daemon->hostd.calls_in_flight);
	_exit(EXIT_SUCCESS);
}

static void stop(struct daemon *daemon)
{
	local_stop_listening(daemon->local);
	link_stop(daemon->hostd.link);
	uv_timer_start(&daemon->stop_timer, on_stop_timer, STOP_MS, 0);
	calls_stop(daemon->calls, on_idle, daemon);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct daemon *daemon = handle->data;

	log_info("stopping", "signal=%s calls=%u", strsignal(number),
		 daemon->hostd.calls_in_flight);
	stop(daemon);
}

static void on_watch(uv_timer_t *timer)
{
	struct daemon *daemon = timer->data;

	if (!wire_is_worn() || daemon->worn)
		return;
	log_error("ending, to be started again: connections that end are not freed any more", "%s",
		  "");
	daemon->worn = true;
	stop(daemon);
}

// The names in the configuration stay; what is in the files is new.
static void on_hangup(uv_signal_t *handle, int number)
{
	struct daemon *daemon = handle->data;
	struct error error;

	if (daemon->hostd.config.tls_ca[0] == '\0')
		log_info("signal without effect: there are no certificates to read", "signal=%s",
			 strsignal(number));
	else if (link_renew(daemon->hostd.link, &error) < 0)
		log_error("new certificates are not taken, the old ones stay in use",
			  "error=\"%s\"", error.message);
	else
		log_info("certificates read again", "%s", "");
}

static void run(struct daemon *daemon)
{
	uv_signal_init(&daemon->loop, &daemon->sigterm);
	uv_signal_init(&daemon->loop, &daemon->sigint);
	uv_signal_init(&daemon->loop, &daemon->sighup);
	uv_timer_init(&daemon->loop, &daemon->stop_timer);
	uv_timer_init(&daemon->loop, &daemon->watch);
	daemon->watch.data = daemon;
	uv_timer_start(&daemon->watch, on_watch, WATCH_MS, WATCH_MS);
	daemon->sigterm.data = daemon->sigint.data = daemon->sighup.data = daemon->stop_timer.data =
		daemon;
	uv_signal_start(&daemon->sigterm, on_signal, SIGTERM);
	uv_signal_start(&daemon->sigint, on_signal, SIGINT);
	uv_signal_start(&daemon->sighup, on_hangup, SIGHUP);
	log_info("podport-hostd is ready", "version=%s listen=%s agent=%s", PODPORT_VERSION,
		 daemon->hostd.config.listen, daemon->hostd.config.agent);
	uv_run(&daemon->loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&daemon->sigterm, NULL);
	uv_close((uv_handle_t *)&daemon->sigint, NULL);
	uv_close((uv_handle_t *)&daemon->sighup, NULL);
	uv_close((uv_handle_t *)&daemon->stop_timer, NULL);
	uv_close((uv_handle_t *)&daemon->watch, NULL);
}

static int serve(struct daemon *daemon, struct error *err)
{
	size_t started = 0;
	int r = 0;

	while (started < MODULE_COUNT && r == 0) {
		r = modules[started].start(daemon, err);
		started += r == 0;
	}
	if (r == 0)
		run(daemon);
	while (started > 0)
		modules[--started].stop(daemon);
	return r;
}

// As many files as the administrator allows: a caller takes up to three, and the soft limit is often
// as low as 1024 for programs that use select, which this is none of.
static void raise_file_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
}

// ---- command line --------------------------------------------------------------------------------

#define CONFIG_FILE "/etc/podport/hostd.yaml"
enum { EXIT_USAGE = 2 };

static void print_usage(FILE *file)
{
	fputs("Usage: podport-hostd --config FILE [--check-config]\n"
	      "\n"
	      "The host's side of podport: answers podport-cni and podportctl on a local socket, "
	      "asks\n"
	      "the agent, and moves functions into pods.\n"
	      "\n"
	      "  -c, --config FILE    the configuration, YAML (default " CONFIG_FILE ")\n"
	      "      --check-config   read it, say whether it is good, and end\n"
	      "      --version        print the version and end\n"
	      "  -h, --help           print this and end\n",
	      file);
}

// 0: go on with *ret_config; else exit with *ret_status.
static int parse_arguments(int argc, char **argv, const char **ret_config, bool *ret_check,
			   int *ret_status)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check-config", no_argument, NULL, 'k'},
		{"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	*ret_config = CONFIG_FILE;
	*ret_check = false;
	while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		if (option == 'c') {
			*ret_config = optarg;
		} else if (option == 'k') {
			*ret_check = true;
		} else {
			*ret_status = option == '?' ? EXIT_USAGE : EXIT_SUCCESS;
			if (option == 'v')
				puts("podport-hostd " PODPORT_VERSION);
			else if (option == 'h')
				print_usage(stdout);
			else
				fputs("Try 'podport-hostd --help'.\n", stderr);
			return -1;
		}
	}
	if (optind != argc) {
		fprintf(stderr,
			"podport-hostd: '%s' is not an option\nTry 'podport-hostd --help'.\n",
			argv[optind]);
		*ret_status = EXIT_USAGE;
		return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static struct daemon daemon;
	const char *config_file;
	struct error error;
	char threads[16];
	bool check;
	int status, r;

	if (parse_arguments(argc, argv, &config_file, &check, &status) < 0)
		return status;
	if (hostd_config_load(config_file, &daemon.hostd.config, &error) < 0) {
		fprintf(stderr, "podport-hostd: %s\n", error.message);
		return EXIT_FAILURE;
	}
	if (check) {
		printf("%s: good\n", config_file);
		return EXIT_SUCCESS;
	}
	log_set_level(daemon.hostd.config.log_level);
	signal(SIGPIPE, SIG_IGN);
	raise_file_limit();
	// Many threads, little memory: they hold a request and a netlink message each.
	mallopt(M_ARENA_MAX, 2);
	snprintf(threads, sizeof(threads), "%d", CALLS_THREADS);
	setenv("UV_THREADPOOL_SIZE", threads, 1);
	uv_loop_init(&daemon.loop);
	r = serve(&daemon, &error);
	uv_run(&daemon.loop, UV_RUN_DEFAULT);
	uv_loop_close(&daemon.loop);
	if (r < 0) {
		log_error("podport-hostd cannot start", "error=\"%s\"", error.message);
		return EXIT_FAILURE;
	}
	log_info("stopped", "%s", "");
	return daemon.worn ? EXIT_FAILURE : EXIT_SUCCESS;
}
