// SPDX-License-Identifier: BSD-3-Clause
//
// See test_support.h. Namespaces are entered by the calling thread alone (setns), so that EAL's
// threads and the card stay where they are.

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim/simnic/test_support.h"

void enter_fresh_netns(void)
{
	if (unshare(CLONE_NEWNET) < 0) {
		fprintf(stderr, "these tests need root: unshare(CLONE_NEWNET): %s\n",
			strerror(errno));
		exit(1);
	}
	if (access("/dev/net/tun", R_OK | W_OK) < 0) {
		fprintf(stderr, "these tests need /dev/net/tun: %s\n", strerror(errno));
		exit(1);
	}
	if (system("ip link set lo up") != 0) {
		fprintf(stderr, "these tests need 'ip' (iproute2)\n");
		exit(1);
	}
}

static int run(bool quiet, const char *format, va_list arguments)
{
	char command[2048];
	int length = vsnprintf(command, sizeof(command), format, arguments);

	if (quiet)
		snprintf(command + length, sizeof(command) - length, " >/dev/null 2>&1");
	return system(command);
}

void shell(const char *format, ...)
{
	va_list arguments;
	int status;

	va_start(arguments, format);
	status = run(false, format, arguments);
	va_end(arguments);
	if (status != 0)
		fail_msg("command failed: %s", format);
}

bool shell_succeeds(const char *format, ...)
{
	va_list arguments;
	int status;

	va_start(arguments, format);
	status = run(true, format, arguments);
	va_end(arguments);
	return status == 0;
}

pid_t netns_new(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_return_code(pipe2(ready, O_CLOEXEC), errno);
	pid = fork();
	assert_return_code(pid, errno);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		// A network namespace lives as long as the descriptors of its devices' sockets:
		// keep none but the pipe.
		for (int fd = 3; fd < 4096; fd++)
			if (fd != ready[1])
				close(fd);
		if (unshare(CLONE_NEWNET) < 0 || system("ip link set lo up") != 0 ||
		    write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

void netns_delete(pid_t netns)
{
	kill(netns, SIGKILL);
	assert_int_equal(waitpid(netns, NULL, 0), netns);
}

static int netns_open(pid_t netns)
{
	char path[64];
	int fd;

	if (netns == 0)
		snprintf(path, sizeof(path), "/proc/thread-self/ns/net");
	else
		snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_return_code(fd, errno);
	return fd;
}

// Only this thread, and what it starts, moves.
static int netns_enter(pid_t netns)
{
	int home = netns_open(0), away = netns_open(netns);

	assert_return_code(setns(away, CLONE_NEWNET), errno);
	close(away);
	return home;
}

static void netns_leave(int home)
{
	assert_return_code(setns(home, CLONE_NEWNET), errno);
	close(home);
}

void netns_shell(pid_t netns, const char *format, ...)
{
	int home = netns_enter(netns), status;
	va_list arguments;

	va_start(arguments, format);
	status = run(false, format, arguments);
	va_end(arguments);
	netns_leave(home);
	if (status != 0)
		fail_msg("command failed in netns: %s", format);
}

bool netns_shell_succeeds(pid_t netns, const char *format, ...)
{
	int home = netns_enter(netns), status;
	va_list arguments;

	va_start(arguments, format);
	status = run(true, format, arguments);
	va_end(arguments);
	netns_leave(home);
	return status == 0;
}

int netns_socket(pid_t netns, int domain, int type, int protocol)
{
	int home = netns_enter(netns), fd = socket(domain, type | SOCK_CLOEXEC, protocol);

	assert_return_code(fd, errno);
	netns_leave(home);
	return fd;
}

int netns_packet_socket(pid_t netns, const char *netdev)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd = netns_socket(netns, AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0), on = 1;
	int home = netns_enter(netns);

	address.sll_ifindex = if_nametoindex(netdev);
	netns_leave(home);
	assert_int_not_equal(address.sll_ifindex, 0);
	assert_return_code(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)),
			   errno);
	assert_return_code(bind(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	return fd;
}

unsigned int descriptor_count(pid_t pid)
{
	unsigned int count = 0;
	char path[64];
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	folder = opendir(path);
	assert_non_null(folder);
	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count;
}

uint64_t cpu_time_ms(pid_t pid)
{
	unsigned long user, system;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file,
				"%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
				&user, &system),
			 2);
	fclose(file);
	return (user + system) * 1000 / sysconf(_SC_CLK_TCK);
}

uint64_t status_kb(pid_t pid, const char *key)
{
	char path[64], line[256];
	uint64_t value = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':')
			value = strtoull(line + strlen(key) + 1, NULL, 10);
	fclose(file);
	return value;
}

uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void nap(void)
{
	usleep(1000);
}
