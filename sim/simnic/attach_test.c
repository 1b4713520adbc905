// SPDX-License-Identifier: BSD-3-Clause
//
// Card and driver as separate processes, killed, restarted and many functions large.
// Arguments: the executables simnic-card and simnic-forward, and the driver as a plugin.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/simnic/test_support.h"

static const char *card_program, *forward_program;
static char plugin[64];
// Not below /tmp, nor where the build is: DPDK loads no plugin from below a folder that everybody may write to.
static char folder[] = "/run/simnic-attach-test.XXXXXX";
static pid_t card, driver, pods[2]; // 0: none

// ---- processes ------------------------------------------------------------------------------------------

// Start with standard output and error in <folder>/<name>.log.
static pid_t start(const char *name, char *const *arguments)
{
	char path[128];
	pid_t pid;

	snprintf(path, sizeof(path), "%s/%s.log", folder, name);
	(void)unlink(path);
	pid = fork();
	assert_return_code(pid, errno);
	if (pid == 0) {
		int fd = open(path, O_CREAT | O_WRONLY | O_APPEND, 0600);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fd, 1);
		dup2(fd, 2);
		execv(arguments[0], arguments);
		_exit(127);
	}
	return pid;
}

static bool log_has(const char *name, const char *text)
{
	return shell_succeeds("grep -q -e '%s' %s/%s.log", text, folder, name);
}

static bool has_ended(pid_t pid)
{
	siginfo_t information = {0};

	return waitid(P_PID, pid, &information, WEXITED | WNOHANG | WNOWAIT) < 0 ||
	       information.si_pid == pid;
}

static int end(pid_t *pid, int signal)
{
	int status;

	if (signal != 0)
		kill(*pid, signal);
	WAIT_FOR(has_ended(*pid));
	assert_int_equal(waitpid(*pid, &status, 0), *pid);
	*pid = 0;
	return status;
}

static void start_card(unsigned int functions)
{
	char socket[128], count[16];
	char *arguments[] = {(char *)(uintptr_t)card_program,
			     (char[]){"--socket"},
			     socket,
			     (char[]){"--functions"},
			     count,
			     (char[]){"--verbose"},
			     NULL};

	snprintf(socket, sizeof(socket), "%s/card.sock", folder);
	snprintf(count, sizeof(count), "%u", functions);
	card = start("card", arguments);
	WAIT_FOR(access(socket, F_OK) == 0 || has_ended(card));
	assert_false(has_ended(card));
}

static pid_t start_driver(const char *name, unsigned int representors, const char *memory_mb)
{
	char device[256];
	char *arguments[] = {(char *)(uintptr_t)forward_program,
			     (char[]){"-d"},
			     plugin,
			     (char[]){"--no-huge"},
			     (char[]){"-m"},
			     (char *)(uintptr_t)memory_mb,
			     (char[]){"--no-shconf"},
			     (char[]){"--no-telemetry"},
			     (char[]){"--no-pci"},
			     (char[]){"--lcores"},
			     (char[]){"(0)@(0-1)"},
			     (char[]){"--vdev"},
			     device,
			     NULL};

	snprintf(device, sizeof(device), "net_simnic0,card=%s/card.sock,representor=vf[0-%u]",
		 folder, representors - 1);
	return start(name, arguments);
}

static void start_ready_driver(unsigned int representors, const char *memory_mb)
{
	driver = start_driver("driver", representors, memory_mb);
	WAIT_FOR(log_has("driver", "^ready") || has_ended(driver));
	assert_false(has_ended(driver));
}

// VFs first and first + 1 in a pod each, as eth0.
static void start_pods(unsigned int first)
{
	for (unsigned int i = 0; i < 2; i++) {
		pods[i] = netns_new();
		shell("ip link set simnic0v%u netns %d", first + i, (int)pods[i]);
		netns_shell(pods[i], "ip link set simnic0v%u name eth0", first + i);
		netns_shell(pods[i], "ip addr add 10.9.0.%u/24 dev eth0", i + 1);
		netns_shell(pods[i], "ip addr add fd09::%u/64 dev eth0 nodad", i + 1);
		netns_shell(pods[i], "ip link set eth0 up");
	}
}

static void assert_pods_reach_each_other(void)
{
	netns_shell(pods[0], "ping -c 1 -W 10 10.9.0.2 >/dev/null");
	netns_shell(pods[1], "ping -c 1 -W 10 fd09::1 >/dev/null");
}

// Whatever a failed test left running.
static int clean_up(void **state)
{
	pid_t *all[] = {&driver, &card};

	for (unsigned int i = 0; i < 2; i++)
		if (*all[i] != 0)
			(void)end(all[i], SIGKILL);
	for (unsigned int i = 0; i < 2; i++)
		if (pods[i] != 0)
			netns_delete(pods[i]);
	memset(pods, 0, sizeof(pods));
	shell("rm -f %s/card.sock", folder);
	WAIT_FOR(!shell_succeeds("ip link show podport0"));
	return 0;
}

// ---- tests ----------------------------------------------------------------------------------------------

static void a_killed_driver_takes_nothing_away_and_the_next_goes_on(void **state)
{
	start_card(4);
	start_ready_driver(2, "128");
	start_pods(0);
	assert_pods_reach_each_other();
	for (unsigned int i = 0; i < 3; i++) {
		netns_shell(pods[0], "ip -o link show eth0 | cut -d: -f1 >%s/before", folder);
		(void)end(&driver, SIGKILL);
		netns_shell(pods[0], "ip link show eth0 | grep -q LOWER_UP");
		start_ready_driver(2, "128");
		netns_shell(pods[0],
			    "test $(ip -o link show eth0 | cut -d: -f1) = $(cat %s/before)",
			    folder);
		assert_pods_reach_each_other();
	}
	assert_int_equal(end(&driver, SIGTERM), 0);
	netns_shell(pods[0], "ip link show eth0 | grep -q LOWER_UP");
}

static void a_killed_driver_under_traffic_costs_some_packets_only(void **state)
{
	start_card(2);
	start_ready_driver(2, "128");
	start_pods(0);
	assert_pods_reach_each_other();
	// Over TCP nothing may be missing in the end.
	shell("head -c 50000000 /dev/urandom >%s/sent", folder);
	netns_shell(pods[1],
		    "timeout 60 /usr/bin/python3 -c '\n"
		    "import socket\n"
		    "s = socket.create_server((\"10.9.0.2\", 7000)); open(\"%s/listening\", "
		    "\"w\").close()\n"
		    "c, _ = s.accept(); f = open(\"%s/received\", \"wb\")\n"
		    "while True:\n"
		    "    d = c.recv(65536)\n"
		    "    if not d: break\n"
		    "    f.write(d)\n"
		    "f.close(); open(\"%s/complete\", \"w\").close()' &",
		    folder, folder, folder);
	WAIT_FOR(shell_succeeds("test -e %s/listening", folder));
	netns_shell(pods[0],
		    "timeout 60 /usr/bin/python3 -c '\n"
		    "import socket\n"
		    "socket.create_connection((\"10.9.0.2\", 7000)).sendfile(open(\"%s/sent\", "
		    "\"rb\"))' "
		    "&",
		    folder);
	WAIT_FOR(shell_succeeds("test -s %s/received", folder));
	(void)end(&driver, SIGKILL);
	start_ready_driver(2, "128");
	WAIT_FOR(shell_succeeds("test -e %s/complete", folder));
	shell("cmp %s/sent %s/received", folder, folder);
	shell("rm %s/sent %s/received %s/listening %s/complete", folder, folder, folder, folder);
}

static void a_second_driver_is_refused_and_the_first_not_disturbed(void **state)
{
	pid_t second;

	start_card(2);
	start_ready_driver(2, "128");
	start_pods(0);
	second = start_driver("second", 2, "128");
	assert_int_not_equal(end(&second, 0), 0);
	assert_true(log_has("second", "is attached to simnic0 already"));
	assert_pods_reach_each_other();
}

static void a_card_that_ends_takes_its_interfaces_along(void **state)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGKILL};

	for (unsigned int i = 0; i < 3; i++) {
		start_card(4);
		start_ready_driver(2, "128");
		start_pods(0);
		assert_int_equal(end(&card, signals[i]), signals[i] == SIGKILL ? SIGKILL : 0);
		WAIT_FOR(!shell_succeeds("ip link show podport0"));
		WAIT_FOR(!shell_succeeds("ip link show simnic0v3"));
		WAIT_FOR(!shell_succeeds("nsenter -t %d -n ip link show eth0", (int)pods[0]));
		if (signals[i] != SIGKILL)
			assert_false(shell_succeeds("test -e %s/card.sock", folder));
		WAIT_FOR(log_has("driver", "the card is gone"));
		assert_int_equal(end(&driver, SIGTERM),
				 0); // the application lives on, without its device
		netns_delete(pods[0]);
		netns_delete(pods[1]);
		memset(pods, 0, sizeof(pods));
	}
}

// Voluntary and involuntary context switches of all threads of a process with this name (NULL: any).
static uint64_t context_switches(pid_t pid, const char *thread)
{
	char path[300], line[256];
	uint64_t sum = 0;
	struct dirent *entry;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	assert_non_null(tasks);
	while ((entry = readdir(tasks)) != NULL) {
		bool counted = thread == NULL;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)pid, entry->d_name);
		file = entry->d_name[0] != '.' ? fopen(path, "r") : NULL;
		while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
			if (strncmp(line, "Name:\t", 6) == 0 && thread != NULL)
				counted = strncmp(line + 6, thread, strlen(thread)) == 0 &&
					  line[6 + strlen(thread)] == '\n';
			if (strstr(line, "ctxt_switches:") != NULL && counted)
				sum += strtoull(strchr(line, ':') + 1, NULL, 10);
		}
		if (file != NULL)
			fclose(file);
	}
	closedir(tasks);
	return sum;
}

// A second in which neither card nor pipeline ran at all.
static bool is_quiet_for_a_second(void)
{
	uint64_t before = context_switches(card, NULL) + context_switches(driver, "simnic");

	sleep(1);
	return context_switches(card, NULL) + context_switches(driver, "simnic") == before;
}

static void an_idle_card_and_pipeline_do_not_run_at_all(void **state)
{
	uint64_t before;

	start_card(256);
	start_ready_driver(256, "256");
	start_pods(254);
	assert_pods_reach_each_other();
	assert_true(context_switches(driver, "simnic") > 0); // the pipeline's thread is found
	WAIT_FOR(is_quiet_for_a_second());
	before = cpu_time_ms(card) + cpu_time_ms(driver);
	sleep(2);
	print_message(
		"256 functions, idle: card + application %lu ms of CPU in 2 s; card RSS %lu kB\n",
		cpu_time_ms(card) + cpu_time_ms(driver) - before, status_kb(card, "VmRSS"));
}

static void a_thousand_functions_work(void **state)
{
	struct rlimit limit, usual = {.rlim_cur = 1024};
	uint64_t begin = now_ms(), made, attached;

	// What a shell or a service usually has is fewer descriptors than functions.
	assert_return_code(getrlimit(RLIMIT_NOFILE, &limit), errno);
	usual.rlim_max = limit.rlim_max;
	assert_return_code(setrlimit(RLIMIT_NOFILE, &usual), errno);
	start_card(1000);
	made = now_ms();
	start_ready_driver(1000, "512");
	attached = now_ms();
	start_pods(998);
	assert_pods_reach_each_other();
	print_message(
		"1000 functions: card ready after %lu ms, all representors started after %lu ms; "
		"RSS card %lu kB, application %lu kB\n",
		made - begin, attached - made, status_kb(card, "VmRSS"),
		status_kb(driver, "VmRSS"));
	(void)end(&driver, SIGKILL);
	start_ready_driver(2, "128");
	begin = now_ms();
	assert_int_equal(end(&card, SIGTERM), 0);
	print_message("1000 functions: removed after %lu ms\n", now_ms() - begin);
	assert_return_code(setrlimit(RLIMIT_NOFILE, &limit), errno);
}

static void fifty_killed_drivers_leak_no_descriptor_of_the_card(void **state)
{
	unsigned int before;

	start_card(8);
	start_ready_driver(8, "128");
	before = descriptor_count(card);
	for (unsigned int i = 0; i < 50; i++) {
		(void)end(&driver, i % 2 ? SIGKILL : SIGTERM);
		start_ready_driver(8, "128");
	}
	assert_int_equal(descriptor_count(card), before);
}

// ---- the command line of simnic-card --------------------------------------------------------------------

static void wrong_options_are_explained(void **state)
{
	static const struct {
		const char *options, *says;
	} cases[] = {
		{"", "socket is missing"},
		{"--socket /tmp/x --functions 1001", "not a number in the allowed range"},
		{"--socket /tmp/x --functions -1", "not a number in the allowed range"},
		{"--socket /tmp/x --name a-very-long-name", "not an interface name"},
		{"--socket /tmp/x --wire a/b", "not an interface name"},
		{"--socket /tmp/x --mac-base 01:00:00:00:00:00", "not a unicast MAC"},
		{"--socket /tmp/x --mac-base 02:00", "not a unicast MAC"},
		{"--socket /tmp/x surplus", "unexpected argument"},
		{"--colour", "unrecognized option"},
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		shell("out=$(%s %s 2>&1); test $? = 2 && echo \"$out\" | grep -q \"%s\"",
		      card_program, cases[i].options, cases[i].says);
	shell("%s --help | grep -q ready-fd", card_program);
}

static void what_prevents_the_card_is_said(void **state)
{
	shell("out=$(%s --socket /nowhere/at/all 2>&1); test $? = 1 && echo \"$out\" | grep -q 'No "
	      "such file'",
	      card_program);
	shell("out=$(%s --socket %s/x --pf lo 2>&1); test $? = 1 && echo \"$out\" | grep -q "
	      "'interface named lo exists'",
	      card_program, folder);
	shell("cp %s %s/card && chmod 755 %s %s/card", card_program, folder, folder, folder);
	shell("out=$(setpriv --reuid 65534 --regid 65534 --clear-groups %s/card --socket /tmp/x "
	      "2>&1); test $? = 1 && "
	      "echo \"$out\" | grep -q 'not permitted'",
	      folder);
	shell("rm %s/card", folder);
	assert_false(shell_succeeds("ip link show podport0"));
}

static void readiness_is_told_when_the_interfaces_exist(void **state)
{
	shell("mkfifo %s/ready; %s --socket %s/card.sock --functions 2 --ready-fd 3 3>%s/ready & "
	      "pid=$!; "
	      "read line <%s/ready; test \"$line\" = ready && ip link show simnic0v1 >/dev/null && "
	      "test -S %s/card.sock; "
	      "result=$?; kill $pid; wait $pid; rm %s/ready; exit $result",
	      folder, card_program, folder, folder, folder, folder, folder);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_killed_driver_takes_nothing_away_and_the_next_goes_on,
					  clean_up),
		cmocka_unit_test_teardown(a_killed_driver_under_traffic_costs_some_packets_only,
					  clean_up),
		cmocka_unit_test_teardown(a_second_driver_is_refused_and_the_first_not_disturbed,
					  clean_up),
		cmocka_unit_test_teardown(a_card_that_ends_takes_its_interfaces_along, clean_up),
		cmocka_unit_test_teardown(an_idle_card_and_pipeline_do_not_run_at_all, clean_up),
		cmocka_unit_test_teardown(a_thousand_functions_work, clean_up),
		cmocka_unit_test_teardown(fifty_killed_drivers_leak_no_descriptor_of_the_card,
					  clean_up),
		cmocka_unit_test_teardown(wrong_options_are_explained, clean_up),
		cmocka_unit_test_teardown(what_prevents_the_card_is_said, clean_up),
		cmocka_unit_test_teardown(readiness_is_told_when_the_interfaces_exist, clean_up),
	};
	int failed;

	if (argc != 4) {
		fprintf(stderr, "usage: attach_test CARD FORWARD PLUGIN\n");
		return 2;
	}
	card_program = argv[1];
	forward_program = argv[2];
	enter_fresh_netns();
	if (mkdtemp(folder) == NULL)
		return 1;
	shell("cp %s %s/driver.so", argv[3], folder);
	snprintf(plugin, sizeof(plugin), "%s/driver.so", folder);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	shell("rm -rf %s", folder);
	return failed;
}
