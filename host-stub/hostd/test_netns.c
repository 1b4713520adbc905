// SPDX-License-Identifier: BSD-3-Clause
//
// For tests: see test_netns.h.

#include "hostd/test_netns.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static int open_own_netns(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	must(fd >= 0, "open /proc/thread-self/ns/net");
	return fd;
}

void test_host_enter(void)
{
	must(geteuid() == 0, "this test needs root");
	must(unshare(CLONE_NEWNET) == 0, "unshare");
	must(test_run("ip link set lo up") == 0, "ip link set lo up");
}

void test_own_mounts(void)
{
	must(unshare(CLONE_NEWNS) == 0, "unshare");
	must(test_run("mount --make-rprivate /") == 0, "mount --make-rprivate /");
}

int test_sandbox_new(void)
{
	int host = open_own_netns(), fd;

	must(unshare(CLONE_NEWNET) == 0, "unshare");
	fd = open_own_netns();
	must(test_run("ip link set lo up") == 0, "ip link set lo up");
	must(setns(host, CLONE_NEWNET) == 0, "setns");
	close(host);
	return fd;
}

uint64_t test_netns_cookie(int netns_fd)
{
	int host = open_own_netns(), fd;
	socklen_t size = sizeof(uint64_t);
	uint64_t cookie = 0;

	must(setns(netns_fd, CLONE_NEWNET) == 0, "setns");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	must(fd >= 0, "socket");
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) < 0)
		cookie = 0;
	must(setns(host, CLONE_NEWNET) == 0, "setns");
	close(fd);
	close(host);
	return cookie;
}

static int run(const char *format, va_list args)
{
	char command[1024];
	int status;

	vsnprintf(command, sizeof(command), format, args);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

int test_run(const char *format, ...)
{
	va_list args;
	int status;

	va_start(args, format);
	status = run(format, args);
	va_end(args);
	return status;
}

int test_run_in(int netns_fd, const char *format, ...)
{
	int host = open_own_netns(), status;
	va_list args;

	must(setns(netns_fd, CLONE_NEWNET) == 0, "setns");
	va_start(args, format);
	status = run(format, args);
	va_end(args);
	must(setns(host, CLONE_NEWNET) == 0, "setns");
	close(host);
	return status;
}

static void make_tap(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	must(fd >= 0, "/dev/net/tun");
	must(ioctl(fd, TUNSETIFF, &request) == 0 && ioctl(fd, TUNSETPERSIST, 1) == 0, "make a TAP");
	close(fd);
}

void test_function_new(unsigned int vf)
{
	char name[IFNAMSIZ];

	snprintf(name, sizeof(name), TEST_PATTERN, vf);
	make_tap(name);
}

void test_virtio_new(const struct mac *mac)
{
	char name[VIRTIO_NETDEV_SIZE];

	virtio_netdev_name(mac, name);
	make_tap(name);
}

struct attachment test_attachment(unsigned int vf)
{
	struct attachment attachment = {
		.key = {.network = "pods", .ifname = "eth0"},
		.function = {.vf = (uint16_t)vf},
		.mac = {{0x02, 0x70, 0, 0, 0, (uint8_t)vf}},
		.gateway_mac = {{0x02, 0x70, 0x70, 0, 0, 1}},
		.has_ipv4 = true,
		.has_ipv6 = true,
		.mtu = 1400,
		.link_group = 77,
		.created_unix_ms = 1000 + vf,
	};

	snprintf(attachment.key.container_id, sizeof(attachment.key.container_id), "c%u", vf);
	attachment.ipv4.s_addr = htonl(0x0a580005 + vf);
	attachment.gateway_ipv4.s_addr = htonl(0x0a580001);
	inet_pton(AF_INET6, "fd88::5", &attachment.ipv6);
	attachment.ipv6.s6_addr[15] = (uint8_t)(5 + vf);
	inet_pton(AF_INET6, "fd88::1", &attachment.gateway_ipv6);
	return attachment;
}
