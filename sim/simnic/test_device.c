// SPDX-License-Identifier: BSD-3-Clause
//
// See test_device.h. Frames of an Ethernet type of our own are told from what the kernel sends by
// itself.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_eal.h>

#include "sim/simnic/test_device.h"

struct rte_mempool *pool;
uint16_t ports[PORTS];
const char *const netdevs[PORTS] = {"simnic0v0", "simnic0v1", "simnic0v2",
				    "simnic0v3", "simnic0w",  "podport0"};
char folder[] = "/tmp/simnic-device-test.XXXXXX";
const char *device_arguments = "";

int device_tests_run(const struct CMUnitTest *tests, size_t count)
{
	int failed;

	enter_fresh_netns();
	if (mkdtemp(folder) == NULL || !eal_start(folder))
		return 1;
	pool = rte_pktmbuf_pool_create("mbufs", 16383, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       SOCKET_ID_ANY);
	if (pool == NULL)
		return 1;
	failed = _cmocka_run_group_tests("simnic", tests, count, NULL, NULL);
	rte_mempool_free(pool);
	rte_eal_cleanup();
	shell("rm -rf %s", folder);
	return failed;
}

void find_ports(void)
{
	for (unsigned int i = 0; i < 4; i++)
		ports[i] = port_of_vf(DEVICE, i);
	ports[PF] = port_of_vf(DEVICE, VF_OF_PF);
	assert_int_equal(rte_eth_dev_get_port_by_name(DEVICE, &ports[UPLINK]), 0);
}

int probe(void **state)
{
	char arguments[100];

	snprintf(arguments, sizeof(arguments), "vfs=4,representor=vf[0-3,65535],%s",
		 device_arguments);
	assert_int_equal(rte_eal_hotplug_add("vdev", DEVICE, arguments), 0);
	find_ports();
	return 0;
}

int remove_device(void **state)
{
	uint16_t port;

	assert_int_equal(rte_eal_hotplug_remove("vdev", DEVICE), 0);
	RTE_ETH_FOREACH_DEV (port)
		fail_msg("port %u is left", port);
	for (unsigned int i = 0; i < PORTS; i++)
		assert_false(shell_succeeds("ip link show %s", netdevs[i]));
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
	return 0;
}

void start_all(enum port_shape shape)
{
	for (unsigned int i = 0; i < PORTS; i++)
		port_start(ports[i], pool, shape, 1);
}

void all_up(void)
{
	for (unsigned int i = 0; i < PORTS; i++)
		shell("ip link set %s up", netdevs[i]);
}

uint16_t make_frame(uint8_t *frame, uint16_t size, uint32_t number)
{
	memset(frame, 0xff, 6);
	memset(frame + 6, 0x02, 6);
	frame[12] = 0x88;
	frame[13] = 0xb5; // local experimental
	for (uint16_t i = 14; i < size; i++)
		frame[i] = i + number;
	memcpy(frame + 14, &number, RTE_MIN(sizeof(number), (size_t)RTE_MAX(size - 14, 0)));
	return size;
}

bool is_ours(const struct rte_mbuf *mbuf)
{
	const uint8_t *data = rte_pktmbuf_mtod(mbuf, const uint8_t *);

	return data[12] == 0x88 && data[13] == 0xb5;
}

struct rte_mbuf *receive_ours(uint16_t port)
{
	for (;;) {
		struct rte_mbuf *mbuf = port_receive(port);

		if (is_ours(mbuf))
			return mbuf;
		rte_pktmbuf_free(mbuf);
	}
}

unsigned int count_ours(uint16_t port)
{
	struct rte_mbuf *mbufs[32];
	unsigned int ours = 0;
	uint16_t count;

	while ((count = rte_eth_rx_burst(port, 0, mbufs, RTE_DIM(mbufs))) > 0) {
		for (uint16_t i = 0; i < count; i++)
			ours += is_ours(mbufs[i]);
		rte_pktmbuf_free_bulk(mbufs, count);
	}
	return ours;
}

ssize_t read_ours(int packet, uint8_t *frame, size_t size)
{
	ssize_t length;

	do {
		length = recv(packet, frame, size, 0);
	} while (length >= 0 && (frame[12] != 0x88 || frame[13] != 0xb5));
	return length;
}

bool link_is_up(uint16_t port)
{
	struct rte_eth_link link;

	assert_int_equal(rte_eth_link_get_nowait(port, &link), 0);
	return link.link_status == RTE_ETH_LINK_UP;
}

const char *telemetry_ask(const char *format, ...)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	static char answer[16384];
	char question[1100];
	va_list arguments;
	ssize_t size;

	va_start(arguments, format);
	vsnprintf(question, sizeof(question), format, arguments);
	va_end(arguments);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/dpdk/rte/dpdk_telemetry.v2",
		 folder);
	assert_return_code(connect(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	assert_true(recv(fd, answer, sizeof(answer), 0) > 0);
	assert_int_equal(send(fd, question, strlen(question), 0), strlen(question));
	size = recv(fd, answer, sizeof(answer) - 1, 0);
	assert_true(size > 0);
	answer[size] = '\0';
	close(fd);
	return answer;
}
