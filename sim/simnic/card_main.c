// SPDX-License-Identifier: BSD-3-Clause
//
// simnic-card: the simulated NIC's power. Makes the functions' netdevs in its netns and lends them
// to the driver net_simnic that connects; when it ends, by whatever way, they vanish. See card.h.

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "sim/simnic/card.h"
#include "sim/simnic/card_protocol.h"

static struct card *running;

static const char usage[] =
	"usage: simnic-card --socket PATH [options]\n"
	"\n"
	"A simulated SmartNIC: its functions appear as network interfaces here, and the DPDK "
	"driver\n"
	"net_simnic (--vdev net_simnic0,card=PATH,representor=vf[0-3]) drives it. Ends on "
	"SIGTERM.\n"
	"\n"
	"  --socket PATH      where the driver connects; appears when all interfaces exist\n"
	"  --name NAME        the card's name: VFs are NAMEv0, NAMEv1, ...    (default simnic0)\n"
	"  --functions N      number of VFs, 0 to 1000                        (default 16)\n"
	"  --pf NAME          interface of the physical function              (default podport0)\n"
	"  --wire NAME        interface at the far end of the uplink          (default <card's "
	"name>w)\n"
	"  --mac-base MAC     PF's MAC; VF n has base + 1 + n                 (default from the "
	"name)\n"
	"  --ready-fd N       write a line here when ready, then close it\n"
	"  --verbose          log every attach, detach and replaced function\n";

static int log_threshold = LOG_WARNING;

static void log_stderr(int level, const char *text)
{
	if (level <= log_threshold)
		fprintf(stderr, "simnic-card: %s\n", text);
}

static void on_signal(int signal)
{
	card_stop(running);
}

__attribute__((noreturn)) static void fail(const char *format, const char *argument)
{
	fprintf(stderr, "simnic-card: ");
	fprintf(stderr, format, argument);
	fprintf(stderr, "\n");
	exit(2);
}

static void set_name(char *name, const char *value, size_t limit)
{
	if (value[0] == '\0' || strlen(value) > limit || strpbrk(value, "/: \t%") != NULL ||
	    value[0] == '.')
		fail("'%s' is not an interface name, or too long", value);
	snprintf(name, IF_NAMESIZE, "%s", value);
}

static unsigned long number(const char *value, unsigned long limit)
{
	char *end;
	unsigned long result;

	errno = 0;
	result = strtoul(value, &end, 10);
	if (errno != 0 || end == value || *end != '\0' || result > limit)
		fail("'%s' is not a number in the allowed range (--help)", value);
	return result;
}

static void set_mac(uint8_t mac[6], const char *value)
{
	char rest;

	if (sscanf(value, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &mac[0], &mac[1], &mac[2],
		   &mac[3], &mac[4], &mac[5], &rest) != 6 ||
	    (mac[0] & 1) != 0)
		fail("--mac-base: '%s' is not a unicast MAC address", value);
}

struct options {
	struct card_config card;
	const char *socket;
	int ready_fd;
};

static void parse(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{"socket", required_argument, NULL, 's'},
		{"name", required_argument, NULL, 'n'},
		{"functions", required_argument, NULL, 'f'},
		{"pf", required_argument, NULL, 'p'},
		{"wire", required_argument, NULL, 'w'},
		{"mac-base", required_argument, NULL, 'm'},
		{"ready-fd", required_argument, NULL, 'r'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 's':
			options->socket = optarg;
			break;
		case 'n':
			set_name(options->card.name, optarg, IF_NAMESIZE - 1 - strlen("v999"));
			break;
		case 'f':
			options->card.vfs = number(optarg, CARD_VFS_MAX);
			break;
		case 'p':
			set_name(options->card.pf, optarg, IF_NAMESIZE - 1);
			break;
		case 'w':
			set_name(options->card.wire, optarg, IF_NAMESIZE - 1);
			break;
		case 'm':
			set_mac(options->card.mac_base, optarg);
			break;
		case 'r':
			options->ready_fd = number(optarg, 1 << 20);
			break;
		case 'v':
			log_threshold = LOG_DEBUG;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind != argc)
		fail("unexpected argument '%s' (--help)", argv[optind]);
	if (options->socket == NULL)
		fail("%s is missing (--help)", "--socket");
}

int main(int argc, char **argv)
{
	struct options options = {.card = {.name = "simnic0", .vfs = 16, .log = log_stderr},
				  .ready_fd = -1};
	struct sigaction action = {.sa_handler = on_signal};
	char why[CARD_TEXT_SIZE] = "";
	sigset_t signals;

	parse(argc, argv, &options);
	card_config_defaults(&options.card);

	// A signal that arrives while the interfaces are made is taken after, so that none is left
	// behind half made.
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);

	if (card_new(&options.card, &running, why, sizeof(why)) < 0 ||
	    card_listen(running, options.socket, why, sizeof(why)) < 0) {
		card_free(running);
		fprintf(stderr, "simnic-card: %s\n", why);
		return 1;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	sigprocmask(SIG_UNBLOCK, &signals, NULL);
	if (options.ready_fd >= 0) {
		if (write(options.ready_fd, "ready\n", 6) < 0)
			log_stderr(LOG_WARNING, "--ready-fd: cannot write to it");
		close(options.ready_fd);
	}
	card_run(running);
	card_free(running);
	return 0;
}
