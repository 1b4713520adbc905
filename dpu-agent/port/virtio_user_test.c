// SPDX-License-Identifier: BSD-3-Clause
//
// virtio-user ports where they cannot be: what a start that fails leaves. (How they work where there is vhost-net:
// tests/system/test_virtio_user.py.) DPDK's driver is real, and is told that there is a vhost-net when there is none.

#include "datapath/graph_test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <rte_ethdev.h>

#include "port/port_private.h"

#define NETDEV "ppv02aabbccddee"

static struct port port;
static struct port_config config;

// ---- the NIC that the port believes to have, and a machine that is said to have vhost-net -------------------

struct rte_mempool *nic_packet_pool(const struct nic *nic)
{
	return rte_mempool_lookup("packets");
}

uint32_t nic_worker_count(const struct nic *nic)
{
	return 1;
}

void nic_call_uplink_hook(const struct nic *nic)
{
}

static bool has_vhost_net;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
	if (strcmp(path, "/dev/vhost-net") != 0)
		return __real_open(path, flags, 0600);
	errno = ENOENT;
	return has_vhost_net ? __real_open("/dev/null", flags) : -1;
}

// ---- tests --------------------------------------------------------------------------------------------

static int group_set_up(void **state)
{
	return unshare(CLONE_NEWNET) < 0 ? -1 : graph_start(state);
}

static int set_up(void **state)
{
	port = (struct port){.ops = &port_virtio_user_ops, .kind = PORT_VIRTIO, .slot = EXTRA};
	config = (struct port_config){
		.mtu = 1500, .has_ipv4 = true, .mac = {{0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee}}};
	inet_pton(AF_INET, "10.88.0.20", &config.ipv4);
	has_vhost_net = true;
	return graph_set_up(state);
}

static void fails(const char *sentence_part, enum code code)
{
	uint16_t ports = rte_eth_dev_count_avail();
	struct error err = {0};

	assert_true(port_start(&port, &config, &err) < 0);
	assert_int_equal(code, err.code);
	assert_non_null(strstr(err.message, sentence_part));
	assert_null(port.virtio);
	assert_false(port.started || port_is_lost(&port));
	assert_int_equal(ports, rte_eth_dev_count_avail());
}

static void without_vhost_net_nothing_is_begun(void **state)
{
	has_vhost_net = false;
	fails("modprobe vhost_net", CODE_UNSUPPORTED);
	assert_int_equal(0, if_nametoindex(NETDEV));
}

static void a_device_that_dpdk_cannot_make_leaves_no_netdev(void **state)
{
	for (int i = 0; i < 3; i++) { // the second time is not refused for what the first one left
		fails("virtio-user port " NETDEV ": DPDK cannot make it", CODE_NIC);
		assert_int_equal(0, if_nametoindex(NETDEV));
	}
}

// A queue of somebody else's TAP would take packets from it.
static void a_netdev_that_is_there_is_neither_joined_nor_removed(void **state)
{
	struct ifreq request = {.ifr_name = NETDEV,
				.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	unsigned int index;

	assert_int_equal(0, ioctl(fd, TUNSETIFF, &request));
	index = if_nametoindex(NETDEV);
	assert_int_not_equal(0, index);
	fails("virtio-user port " NETDEV ": make the netdev: ", CODE_NIC);
	assert_int_equal(index, if_nametoindex(NETDEV));
	close(fd);
	assert_int_equal(0, if_nametoindex(NETDEV)); // nor does anything of ours hold it
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, graph_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(without_vhost_net_nothing_is_begun),
		TEST(a_device_that_dpdk_cannot_make_leaves_no_netdev),
		TEST(a_netdev_that_is_there_is_neither_joined_nor_removed),
	};

	return cmocka_run_group_tests(tests, group_set_up, graph_stop);
}
