// SPDX-License-Identifier: BSD-3-Clause
//
// See loopback.h. Addresses come by themselves: the kernel gives the interface 127.0.0.1 and ::1 when it
// goes up.

#define _GNU_SOURCE
#include "loopback.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct work {
	int netns_fd;
	bool bring_up;
	struct loopback loopback;
	const char *step;
	int r;
};

static int fail(struct work *work, const char *step)
{
	work->step = step;
	return -errno;
}

static int look_at_addresses(struct work *work)
{
	struct ifaddrs *addresses;

	if (getifaddrs(&addresses) < 0)
		return fail(work, "listing addresses");
	for (const struct ifaddrs *one = addresses; one != NULL; one = one->ifa_next) {
		if (one->ifa_addr == NULL || strcmp(one->ifa_name, "lo") != 0)
			continue;
		work->loopback.has_ipv4 |= one->ifa_addr->sa_family == AF_INET;
		work->loopback.has_ipv6 |= one->ifa_addr->sa_family == AF_INET6;
	}
	freeifaddrs(addresses);
	return 0;
}

static int look_at_flags(struct work *work, int fd)
{
	struct ifreq request = {.ifr_name = "lo"};

	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		return fail(work, "looking at lo");
	if (work->bring_up && !(request.ifr_flags & IFF_UP)) {
		request.ifr_flags |= IFF_UP;
		if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
			return fail(work, "bringing up lo");
	}
	work->loopback.up = request.ifr_flags & IFF_UP;
	return look_at_addresses(work);
}

static void *run(void *arg)
{
	struct work *work = arg;

	if (setns(work->netns_fd, CLONE_NEWNET) < 0) {
		work->r = fail(work, "entering the network namespace");
		return NULL;
	}
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		work->r = fail(work, "making a socket");
		return NULL;
	}
	work->r = look_at_flags(work, fd);
	close(fd);
	return NULL;
}

int loopback_look(const char *path, bool bring_up, struct loopback *ret_loopback,
		  const char **ret_step)
{
	struct work work = {.bring_up = bring_up};
	pthread_t thread;

	work.netns_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (work.netns_fd < 0) {
		*ret_step = "opening it";
		return -errno;
	}
	int r = pthread_create(&thread, NULL, run, &work);
	if (r == 0)
		pthread_join(thread, NULL);
	close(work.netns_fd);
	if (r != 0) {
		*ret_step = "starting a thread";
		return -r;
	}
	if (work.r < 0)
		*ret_step = work.step;
	else
		*ret_loopback = work.loopback;
	return work.r;
}
