// SPDX-License-Identifier: BSD-3-Clause
//
// The driver as an application sees it, through ethdev alone, with a card in this process: four VFs, all
// representors. What needs another process is in attach_test.c.

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_bus_vdev.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "sim/simnic/test_port.h"

#define DEVICE "net_simnic0"

enum { PORTS = 6, UPLINK = 4, PF = 5, VF_OF_PF = 65535 };

static struct rte_mempool *pool;
static uint16_t ports[PORTS]; // VFs 0..3, the uplink, the PF
static const char *const netdevs[PORTS] = {"simnic0v0", "simnic0v1", "simnic0v2",
					   "simnic0v3", "simnic0w",  "podport0"};
static char folder[] = "/tmp/simnic-driver-test.XXXXXX";

// ---- a device for each test -----------------------------------------------------------------------------

static int probe(void **state)
{
	assert_int_equal(rte_eal_hotplug_add("vdev", DEVICE, "vfs=4,representor=vf[0-3,65535]"), 0);
	for (unsigned int i = 0; i < 4; i++)
		ports[i] = port_of_vf(DEVICE, i);
	ports[PF] = port_of_vf(DEVICE, VF_OF_PF);
	assert_int_equal(rte_eth_dev_get_port_by_name(DEVICE, &ports[UPLINK]), 0);
	return 0;
}

static int remove_device(void **state)
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

static void start_all(enum port_shape shape)
{
	for (unsigned int i = 0; i < PORTS; i++)
		port_start(ports[i], pool, shape, 1);
}

static void all_up(void)
{
	for (unsigned int i = 0; i < PORTS; i++)
		shell("ip link set %s up", netdevs[i]);
}

// An Ethernet frame with a type of its own, so that it is not taken for one of the kernel's.
static uint16_t make_frame(uint8_t *frame, uint16_t size, uint32_t number)
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

static bool is_ours(const struct rte_mbuf *mbuf)
{
	const uint8_t *data = rte_pktmbuf_mtod(mbuf, const uint8_t *);

	return data[12] == 0x88 && data[13] == 0xb5;
}

// The next frame of ours at a port; the kernel's own chatter is thrown away.
static struct rte_mbuf *receive_ours(uint16_t port)
{
	for (;;) {
		struct rte_mbuf *mbuf = port_receive(port);

		if (is_ours(mbuf))
			return mbuf;
		rte_pktmbuf_free(mbuf);
	}
}

static unsigned int count_ours(uint16_t port)
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

// ---- enumeration ----------------------------------------------------------------------------------------

static void representors_are_found_by_the_name_hardware_has_for_them(void **state)
{
	static const char *const names[] = {DEVICE "_representor_vf0", DEVICE "_representor_vf1",
					    DEVICE "_representor_vf2", DEVICE "_representor_vf3"};
	struct rte_eth_dev_info uplink, info;
	char name[RTE_ETH_NAME_MAX_LEN];

	assert_int_equal(rte_eth_dev_count_avail(), PORTS);
	assert_int_equal(rte_eth_dev_info_get(ports[UPLINK], &uplink), 0);
	assert_false(*uplink.dev_flags & RTE_ETH_DEV_REPRESENTOR);
	assert_string_equal(uplink.driver_name, "net_simnic");
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(rte_eth_dev_info_get(ports[i], &info), 0);
		assert_true(*info.dev_flags & RTE_ETH_DEV_REPRESENTOR);
		assert_int_equal(info.switch_info.domain_id, uplink.switch_info.domain_id);
		assert_int_not_equal(info.switch_info.port_id, uplink.switch_info.port_id);
		assert_int_equal(rte_eth_dev_get_name_by_port(ports[i], name), 0);
		assert_string_equal(name, names[i]);
		for (unsigned int j = 0; j < i; j++)
			assert_int_not_equal(ports[i], ports[j]);
	}
	assert_int_equal(rte_eth_dev_get_name_by_port(ports[PF], name), 0);
	assert_string_equal(name, DEVICE "_representor_vf65535");
	assert_int_not_equal(uplink.switch_info.domain_id, RTE_ETH_DEV_SWITCH_DOMAIN_ID_INVALID);

	assert_int_equal(ports_matching(DEVICE ",representor=vf4"), 0);
	assert_int_equal(ports_matching(DEVICE ",representor=vf[1-2]"), 2);
	assert_int_equal(ports_matching(DEVICE ",representor=pf0vf2"), 1);
	assert_int_equal(ports_matching(DEVICE ",representor=pf1vf2"), 0);
	assert_int_equal(ports_matching("net_simnic1,representor=vf0"), 0);
}

static void wrong_device_arguments_are_refused_and_leave_nothing(void **state)
{
	static const char *const wrong[] = {
		"",
		"vfs=4,card=/tmp/nowhere",
		"vfs=1001",
		"vfs=x",
		"vfs=-1",
		"vfs=2,colour=red",
		"vfs=2,representor=vf2",
		"vfs=2,representor=vf[0-2]",
		"vfs=2,representor=sf0",
		"vfs=2,representor=pf1vf0",
		"vfs=2,representor=c1pf0vf0",
		"vfs=2,representor=pf0",
		"vfs=2,representor=vf[",
		"vfs=2,name=a-name-that-is-too-long",
		"vfs=2,pf=lo",
		"card=/tmp/nowhere/at/all.sock",
	};
	unsigned int before = descriptor_count(getpid());

	for (unsigned int i = 0; i < RTE_DIM(wrong); i++) {
		if (rte_eal_hotplug_add("vdev", "net_simnic7", wrong[i]) >= 0)
			fail_msg("'%s' was accepted", wrong[i]);
		assert_int_equal(rte_eth_dev_count_avail(), 0);
		assert_false(shell_succeeds("ip link show simnic0v0"));
	}
	assert_int_equal(descriptor_count(getpid()), before);
}

static void only_the_representors_asked_for_are_made(void **state)
{
	assert_int_equal(
		rte_eal_hotplug_add("vdev", DEVICE,
				    "vfs=3,name=other,pf=otherpf,wire=otherwire,representor=vf1"),
		0);
	assert_int_equal(rte_eth_dev_count_avail(), 2);
	(void)port_of_vf(DEVICE, 1);
	shell("ip link show otherv1 >/dev/null");
	shell("ip link show otherpf >/dev/null");
	shell("ip link show otherwire >/dev/null");
	assert_int_equal(rte_eal_hotplug_remove("vdev", DEVICE), 0);
}

static void twenty_attachments_leave_no_descriptor_behind(void **state)
{
	unsigned int before = 0;

	for (unsigned int i = 0; i < 20; i++) {
		probe(state);
		start_all(PORT_OFFLOAD);
		remove_device(state);
		if (i == 0)
			before = descriptor_count(getpid());
	}
	assert_int_equal(descriptor_count(getpid()), before);
}

static void ports_may_be_closed_one_by_one_in_any_order(void **state)
{
	probe(state);
	start_all(PORT_PLAIN);
	for (unsigned int i = 0; i < PORTS; i++) {
		unsigned int port = ports[(i + 4) % PORTS]; // the uplink first

		assert_int_equal(rte_eth_dev_stop(port), 0);
		assert_int_equal(rte_eth_dev_close(port), 0);
	}
	remove_device(state);
}

// ---- frames ---------------------------------------------------------------------------------------------

static void a_frame_of_a_function_comes_to_its_port_alone(void **state)
{
	uint8_t frame[200];

	start_all(PORT_PLAIN);
	all_up();
	for (unsigned int i = 0; i < PORTS; i++) {
		int packet = netns_packet_socket(0, netdevs[i]);
		struct rte_mbuf *mbuf;

		assert_int_equal(send(packet, frame, make_frame(frame, sizeof(frame), i), 0),
				 sizeof(frame));
		mbuf = receive_ours(ports[i]);
		assert_int_equal(mbuf->pkt_len, sizeof(frame));
		assert_memory_equal(rte_pktmbuf_mtod(mbuf, uint8_t *), frame, sizeof(frame));
		assert_int_equal(mbuf->port, ports[i]);
		rte_pktmbuf_free(mbuf);
		for (unsigned int j = 0; j < PORTS; j++)
			assert_int_equal(count_ours(ports[j]), 0);
		close(packet);
	}
}

static ssize_t read_ours(int packet, uint8_t *frame, size_t size)
{
	ssize_t length;

	do {
		length = recv(packet, frame, size, 0);
	} while (length >= 0 && (frame[12] != 0x88 || frame[13] != 0xb5));
	return length;
}

static void a_frame_of_a_port_goes_to_its_function_alone(void **state)
{
	uint8_t sent[200], received[300];
	int packets[PORTS];

	start_all(PORT_PLAIN);
	all_up();
	for (unsigned int i = 0; i < PORTS; i++)
		packets[i] = netns_packet_socket(0, netdevs[i]);
	for (unsigned int i = 0; i < PORTS; i++) {
		ssize_t size;

		port_send(ports[i], 0, pool, sent, make_frame(sent, sizeof(sent), i));
		WAIT_FOR((size = read_ours(packets[i], received, sizeof(received))) > 0);
		assert_int_equal(size, sizeof(sent));
		assert_memory_equal(sent, received, sizeof(sent));
		for (unsigned int j = 0; j < PORTS; j++)
			assert_int_equal(read_ours(packets[j], received, sizeof(received)), -1);
	}
	for (unsigned int i = 0; i < PORTS; i++)
		close(packets[i]);
}

enum { SENDERS = 4, FRAMES_EACH = 5000 };

static void *send_many(void *argument)
{
	uint16_t queue = (uintptr_t)argument;

	for (uint32_t i = 0; i < FRAMES_EACH; i++) {
		struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);

		if (mbuf == NULL) {
			i--;
			continue; // all on their way
		}
		mbuf->data_len = mbuf->pkt_len =
			make_frame(rte_pktmbuf_mtod(mbuf, uint8_t *), 64, i);
		rte_pktmbuf_mtod(mbuf, uint8_t *)[6] = 0x02 | queue << 4;
		while (rte_eth_tx_burst(ports[0], queue, &mbuf, 1) == 0)
			usleep(100);
	}
	return NULL;
}

static void each_tx_queue_keeps_its_order_and_loses_nothing(void **state)
{
	pthread_t threads[SENDERS];

	port_start(ports[0], pool, PORT_PLAIN, SENDERS);
	shell("ip link set %s up", netdevs[0]);
	for (uintptr_t i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, send_many, (void *)i), 0);
	for (unsigned int i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	WAIT_FOR(port_stats(ports[0]).opackets == SENDERS * FRAMES_EACH);
	assert_int_equal(port_stats(ports[0]).oerrors, 0);
	assert_int_equal(port_stats(ports[0]).obytes, SENDERS * FRAMES_EACH * 64);
	shell("test $(cat /proc/thread-self/net/dev | awk '/%s:/ { print $3 }') -ge %u", netdevs[0],
	      SENDERS * FRAMES_EACH);
}

// ---- TCP between two functions, the test in between -----------------------------------------------------

struct stream {
	pid_t pods[2];
	int sender, receiver;
	size_t sent, received, size;
	unsigned int long_segments, unfinished, frames;
	uint32_t longest;
	bool mismatch;
};

static uint8_t byte_at(size_t position)
{
	return position * 31 + (position >> 13);
}

static void stream_pump(struct stream *stream)
{
	static uint8_t buffer[65536];
	ssize_t size;

	if (stream->sent < stream->size) {
		size_t wanted = RTE_MIN(sizeof(buffer), stream->size - stream->sent);

		for (size_t i = 0; i < wanted; i++)
			buffer[i] = byte_at(stream->sent + i);
		size = send(stream->sender, buffer, wanted, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (size > 0)
			stream->sent += size;
	}
	size = recv(stream->receiver, buffer, sizeof(buffer), MSG_DONTWAIT);
	for (ssize_t i = 0; i < size; i++)
		stream->mismatch |= buffer[i] != byte_at(stream->received + i);
	if (size > 0)
		stream->received += size;
}

// The checksum of layer 4 is right as it stands in the frame.
static bool is_checksum_good(const struct rte_mbuf *mbuf)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(mbuf, const struct rte_ether_hdr *);

	if (ether->ether_type == htons(RTE_ETHER_TYPE_IPV4)) {
		const struct rte_ipv4_hdr *ip = (const void *)(ether + 1);

		return ip->next_proto_id != IPPROTO_TCP ||
		       rte_ipv4_udptcp_cksum_mbuf_verify(mbuf, ip, 34) == 0;
	}
	if (ether->ether_type == htons(RTE_ETHER_TYPE_IPV6)) {
		const struct rte_ipv6_hdr *ip = (const void *)(ether + 1);

		return ip->proto != IPPROTO_TCP ||
		       rte_ipv6_udptcp_cksum_mbuf_verify(mbuf, ip, 54) == 0;
	}
	return true;
}

static void stream_forward(struct stream *stream, unsigned int from, enum port_shape shape)
{
	struct rte_mbuf *mbufs[32];
	uint16_t count = rte_eth_rx_burst(ports[from], 0, mbufs, RTE_DIM(mbufs)), sent = 0;

	for (uint16_t i = 0; i < count; i++) {
		stream->frames++;
		stream->longest = RTE_MAX(stream->longest, mbufs[i]->pkt_len);
		stream->long_segments += !!(mbufs[i]->ol_flags & RTE_MBUF_F_RX_LRO);
		if ((mbufs[i]->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) ==
		    RTE_MBUF_F_RX_L4_CKSUM_NONE)
			stream->unfinished++;
		else
			assert_true(is_checksum_good(mbufs[i]));
		if (shape == PORT_PLAIN)
			mbufs[i]->ol_flags = 0;
		else
			mbuf_keep_offloads(mbufs[i]);
	}
	while (sent < count)
		sent += rte_eth_tx_burst(ports[from ^ 1], 0, mbufs + sent, count - sent);
}

static void pods_make(struct stream *stream)
{
	for (unsigned int i = 0; i < 2; i++) {
		stream->pods[i] = netns_new();
		shell("ip link set %s netns %d", netdevs[i], (int)stream->pods[i]);
		netns_shell(stream->pods[i], "ip link set %s name eth0", netdevs[i]);
		netns_shell(stream->pods[i], "ip addr add 10.9.0.%u/24 dev eth0", i + 1);
		netns_shell(stream->pods[i], "ip addr add fd09::%u/64 dev eth0 nodad", i + 1);
		netns_shell(stream->pods[i], "ip link set eth0 up");
	}
}

static void stream_connect(struct stream *stream, enum port_shape shape, int family)
{
	struct sockaddr_in6 address6 = {.sin6_family = AF_INET6, .sin6_port = htons(7000)};
	struct sockaddr_in address4 = {.sin_family = AF_INET, .sin_port = htons(7000)};
	struct sockaddr *address = family == AF_INET ? (void *)&address4 : (void *)&address6;
	socklen_t size = family == AF_INET ? sizeof(address4) : sizeof(address6);
	int listener = netns_socket(stream->pods[1], family, SOCK_STREAM | SOCK_NONBLOCK, 0);

	inet_pton(AF_INET, "10.9.0.2", &address4.sin_addr);
	inet_pton(AF_INET6, "fd09::2", &address6.sin6_addr);
	assert_return_code(bind(listener, address, size), errno);
	assert_return_code(listen(listener, 1), errno);
	stream->sender = netns_socket(stream->pods[0], family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(connect(stream->sender, address, size), -1);
	assert_int_equal(errno, EINPROGRESS);
	stream->receiver = -1;
	for (uint64_t until = now_ms() + 20000; stream->receiver < 0 && now_ms() < until;) {
		stream_forward(stream, 0, shape);
		stream_forward(stream, 1, shape);
		stream->receiver = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	}
	assert_true(stream->receiver >= 0);
	close(listener);
}

static void stream_run(struct stream *stream, enum port_shape shape, int family)
{
	uint64_t until = now_ms() + 60000;

	stream_connect(stream, shape, family);
	while (stream->received < stream->size && now_ms() < until) {
		stream_pump(stream);
		stream_forward(stream, 0, shape);
		stream_forward(stream, 1, shape);
	}
	assert_int_equal(stream->received, stream->size);
	assert_false(stream->mismatch);
	close(stream->sender);
	close(stream->receiver);
}

static void long_tcp_segments_pass_whole(void **state)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct stream pods = {0};

	start_all(PORT_OFFLOAD);
	pods_make(&pods);
	for (unsigned int i = 0; i < 2; i++) {
		struct stream stream = pods;

		stream.size = 32 << 20;
		stream_run(&stream, PORT_OFFLOAD, families[i]);
		assert_true(stream.long_segments > 100);
		assert_true(stream.longest > 30000);
		// Far fewer frames, acknowledgements included, than 1,500-byte ones would have been.
		assert_in_range(stream.frames, 1, stream.size / 1500 / 2);
	}
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(port_stats(ports[i]).ierrors, 0);
		assert_int_equal(port_stats(ports[i]).oerrors, 0);
		netns_delete(pods.pods[i]);
	}
}

static void an_application_without_offloads_gets_whole_checksums_and_short_frames(void **state)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct stream pods = {0};

	// The functions were used with offloads before: nothing of that may stay.
	start_all(PORT_OFFLOAD);
	pods_make(&pods);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(rte_eth_dev_stop(ports[i]), 0);
		port_start(ports[i], pool, PORT_PLAIN, 1);
	}
	for (unsigned int i = 0; i < 2; i++) {
		struct stream stream = pods;

		stream.size = 4 << 20;
		stream_run(&stream, PORT_PLAIN, families[i]);
		assert_int_equal(stream.long_segments, 0);
		assert_int_equal(stream.unfinished, 0);
		assert_in_range(stream.longest, 1000, 1514);
	}
	for (unsigned int i = 0; i < 2; i++)
		netns_delete(pods.pods[i]);
}

// max_lro_pkt_size at its default is the MTU's frame: an application that reserved no more must not
// be given more.
static void lro_without_room_for_long_segments_is_no_lro(void **state)
{
	struct rte_eth_conf config = {.rxmode.offloads = RTE_ETH_RX_OFFLOAD_TCP_LRO |
							 RTE_ETH_RX_OFFLOAD_TCP_CKSUM |
							 RTE_ETH_RX_OFFLOAD_UDP_CKSUM};
	struct stream stream = {.size = 2 << 20};

	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(rte_eth_dev_configure(ports[i], 1, 1, &config), 0);
		assert_int_equal(
			rte_eth_rx_queue_setup(ports[i], 0, 512, SOCKET_ID_ANY, NULL, pool), 0);
		assert_int_equal(rte_eth_tx_queue_setup(ports[i], 0, 512, SOCKET_ID_ANY, NULL), 0);
		assert_int_equal(rte_eth_dev_start(ports[i]), 0);
	}
	pods_make(&stream);
	stream_run(&stream, PORT_OFFLOAD, AF_INET);
	assert_int_equal(stream.long_segments, 0);
	assert_in_range(stream.longest, 1000, 1514);
	assert_true(stream.unfinished > 0);
	for (unsigned int i = 0; i < 2; i++)
		netns_delete(stream.pods[i]);
}

// ---- MTU ------------------------------------------------------------------------------------------------

static void the_mtu_holds_in_both_directions(void **state)
{
	int packet;
	uint8_t frame[9100];
	struct rte_mbuf *mbuf;

	port_start(ports[0], pool, PORT_OFFLOAD, 1);
	assert_int_equal(rte_eth_dev_set_mtu(ports[0], 9000), 0);
	shell("ip link set %s mtu 9050 up", netdevs[0]);
	packet = netns_packet_socket(0, netdevs[0]);
	assert_int_equal(send(packet, frame, make_frame(frame, 9015, 0), 0), 9015);
	assert_int_equal(send(packet, frame, make_frame(frame, 9014, 1), 0), 9014);
	mbuf = receive_ours(ports[0]);
	assert_int_equal(mbuf->pkt_len, 9014);
	assert_true(mbuf->nb_segs > 1);
	assert_int_equal(port_stats(ports[0]).ierrors, 1);
	assert_int_equal(port_xstat(ports[0], "simnic_rx_error_oversize"), 1);

	assert_int_equal(rte_eth_dev_set_mtu(ports[0], 8000), 0);
	assert_int_equal(rte_eth_tx_burst(ports[0], 0, &mbuf, 1), 1);
	WAIT_FOR(port_stats(ports[0]).oerrors == 1);
	assert_int_equal(port_xstat(ports[0], "simnic_tx_error_oversize"), 1);
	assert_int_equal(port_stats(ports[0]).opackets, 0);
	close(packet);
}

static void the_mtu_has_its_limits(void **state)
{
	struct rte_eth_dev_info info;

	assert_int_equal(rte_eth_dev_info_get(ports[0], &info), 0);
	assert_int_equal(info.min_mtu, 68);
	assert_int_equal(info.max_mtu, 9000);
	port_start(ports[0], pool, PORT_OFFLOAD, 1);
	port_start(ports[1], pool, PORT_PLAIN, 1);
	assert_int_equal(rte_eth_dev_set_mtu(ports[0], 68), 0);
	assert_int_equal(rte_eth_dev_set_mtu(ports[0], 9000), 0);
	assert_int_equal(rte_eth_dev_set_mtu(ports[0], 67), -EINVAL);
	assert_int_equal(rte_eth_dev_set_mtu(ports[0], 9001), -EINVAL);
	assert_int_equal(rte_eth_dev_set_mtu(ports[1], 9000),
			 -EINVAL); // its mbufs hold 2,048 bytes, and no scatter
	assert_int_equal(rte_eth_dev_set_mtu(ports[1], 2030), 0);
}

// ---- link -----------------------------------------------------------------------------------------------

static bool link_is_up(uint16_t port)
{
	struct rte_eth_link link;

	assert_int_equal(rte_eth_link_get_nowait(port, &link), 0);
	return link.link_status == RTE_ETH_LINK_UP;
}

static unsigned int events[RTE_MAX_ETHPORTS];

static int on_link(uint16_t port, enum rte_eth_event_type event, void *argument, void *result)
{
	__atomic_fetch_add(&events[port], 1, __ATOMIC_RELAXED);
	return 0;
}

static unsigned int event_count(uint16_t port)
{
	return __atomic_load_n(&events[port], __ATOMIC_RELAXED);
}

static void the_link_follows_the_function(void **state)
{
	uint16_t port = ports[0];
	unsigned int before;

	events[port] = 0;
	assert_int_equal(rte_eth_dev_callback_register(port, RTE_ETH_EVENT_INTR_LSC, on_link, NULL),
			 0);
	port_start(port, pool, PORT_OFFLOAD, 1);
	assert_false(link_is_up(port));
	shell("ip link set %s up", netdevs[0]);
	WAIT_FOR(event_count(port) == 1); // told by itself
	assert_true(link_is_up(port));

	shell("ip link set %s down", netdevs[0]);
	// Not told, but found when a frame is sent.
	port_send(port, 0, pool, "an Ethernet frame, nearly", 24);
	WAIT_FOR(!link_is_up(port));
	assert_int_equal(port_stats(port).oerrors, 1);
	assert_int_equal(port_xstat(port, "simnic_tx_error_function_down"), 1);

	shell("ip link set %s up", netdevs[0]);
	WAIT_FOR(link_is_up(port));
	before = event_count(port);
	shell("ip link del %s", netdevs[0]); // goes, and comes back down
	WAIT_FOR(event_count(port) > before && !link_is_up(port));
	WAIT_FOR(shell_succeeds("ip link set %s up", netdevs[0]));
	WAIT_FOR(link_is_up(port));
	assert_int_equal(
		rte_eth_dev_callback_unregister(port, RTE_ETH_EVENT_INTR_LSC, on_link, NULL), 0);
}

static void link_status_needs_no_interrupt(void **state)
{
	struct rte_eth_conf config = {0};

	assert_int_equal(rte_eth_dev_configure(ports[0], 1, 1, &config), 0);
	assert_false(link_is_up(ports[0]));
	shell("ip link set %s up", netdevs[0]);
	assert_true(link_is_up(ports[0]));
	shell("ip link set %s down", netdevs[0]);
	assert_false(link_is_up(ports[0]));
}

static void an_application_can_take_the_functions_link_away(void **state)
{
	pid_t pod = netns_new();

	port_start(ports[0], pool, PORT_OFFLOAD, 1);
	shell("ip link set %s netns %d", netdevs[0], (int)pod);
	netns_shell(pod, "ip link set %s up", netdevs[0]);
	WAIT_FOR(link_is_up(ports[0]));
	assert_int_equal(rte_eth_dev_set_link_down(ports[0]), 0);
	WAIT_FOR(!link_is_up(ports[0]));
	netns_shell(pod, "ip link show %s | grep -q NO-CARRIER", netdevs[0]);
	assert_int_equal(rte_eth_dev_set_link_up(ports[0]), 0);
	WAIT_FOR(link_is_up(ports[0]));
	netns_shell(pod, "ip link show %s | grep -q LOWER_UP", netdevs[0]);
	assert_int_equal(rte_eth_dev_stop(ports[0]), 0);
	// A stopped application is no reason for a pod to lose its carrier.
	netns_shell(pod, "ip link show %s | grep -q LOWER_UP", netdevs[0]);
	netns_delete(pod);
}

// ---- a netns that dies ----------------------------------------------------------------------------------

static void a_function_works_again_after_its_netns_died(void **state)
{
	uint16_t port = ports[0];
	uint8_t frame[100];
	pid_t pod = netns_new();
	unsigned int before;
	int packet;

	events[port] = 0;
	assert_int_equal(rte_eth_dev_callback_register(port, RTE_ETH_EVENT_INTR_LSC, on_link, NULL),
			 0);
	port_start(port, pool, PORT_OFFLOAD, 1);
	shell("ip link set %s netns %d", netdevs[0], (int)pod);
	netns_shell(pod, "ip link set %s up", netdevs[0]);
	WAIT_FOR(link_is_up(port));
	before = event_count(port);
	netns_delete(pod);
	WAIT_FOR(event_count(port) > before);
	WAIT_FOR(shell_succeeds("ip link show %s", netdevs[0]));
	assert_false(link_is_up(port));

	// As it was: name, MAC, offloads, and frames in both directions, in the host or the next pod.
	pod = netns_new();
	shell("ip link set %s netns %d", netdevs[0], (int)pod);
	netns_shell(pod, "ip link set %s up", netdevs[0]);
	packet = netns_packet_socket(pod, netdevs[0]);
	WAIT_FOR(link_is_up(port));
	assert_int_equal(send(packet, frame, make_frame(frame, sizeof(frame), 1), 0),
			 sizeof(frame));
	rte_pktmbuf_free(receive_ours(port));
	port_send(port, 0, pool, frame, sizeof(frame));
	WAIT_FOR(read_ours(packet, frame, sizeof(frame)) == sizeof(frame));
	close(packet);
	netns_delete(pod);
	assert_int_equal(
		rte_eth_dev_callback_unregister(port, RTE_ETH_EVENT_INTR_LSC, on_link, NULL), 0);
}

static void offloads_are_set_again_on_a_function_that_came_back(void **state)
{
	struct stream stream = {.size = 8 << 20};
	pid_t pod = netns_new();

	start_all(PORT_OFFLOAD);
	shell("ip link set %s netns %d", netdevs[0], (int)pod);
	netns_delete(pod);
	WAIT_FOR(shell_succeeds("ip link show %s", netdevs[0]));
	pods_make(&stream);
	stream_run(&stream, PORT_OFFLOAD, AF_INET);
	assert_true(stream.long_segments > 20);
	for (unsigned int i = 0; i < 2; i++)
		netns_delete(stream.pods[i]);
}

static void frames_to_a_function_that_is_gone_are_counted(void **state)
{
	uint8_t frame[100];
	pid_t pod = netns_new();

	port_start(ports[0], pool, PORT_OFFLOAD, 1);
	shell("ip link set %s netns %d", netdevs[0], (int)pod);
	shell("ip tuntap add dev %s mode tap", netdevs[0]); // so that it cannot come back
	netns_delete(pod);
	make_frame(frame, sizeof(frame), 0);
	for (uint64_t until = now_ms() + 10000; now_ms() < until;) {
		port_send(ports[0], 0, pool, frame, sizeof(frame));
		nap();
		if (port_xstat(ports[0], "simnic_tx_error_function_gone") > 0)
			break;
	}
	assert_true(port_xstat(ports[0], "simnic_tx_error_function_gone") > 0);
	shell("ip tuntap del dev %s mode tap", netdevs[0]);
	WAIT_FOR(shell_succeeds("ip link show %s | grep -q simnic:", netdevs[0]));
}

// ---- statistics -----------------------------------------------------------------------------------------

static void statistics_count_packets_and_bytes_and_can_be_reset(void **state)
{
	struct rte_eth_stats stats, before;
	uint8_t frame[100];
	int packet;

	port_start(ports[0], pool, PORT_PLAIN, 1);
	shell("sysctl -qw net.ipv6.conf.%s.disable_ipv6=1 && ip link set %s up", netdevs[0],
	      netdevs[0]);
	packet = netns_packet_socket(0, netdevs[0]);
	before = port_stats(ports[0]);
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(send(packet, frame, make_frame(frame, sizeof(frame), i), 0),
				 sizeof(frame));
	for (unsigned int i = 0; i < 10; i++)
		rte_pktmbuf_free(receive_ours(ports[0]));
	for (unsigned int i = 0; i < 7; i++)
		port_send(ports[0], 0, pool, frame, 80);
	WAIT_FOR(port_stats(ports[0]).opackets == 7);
	stats = port_stats(ports[0]);
	assert_int_equal(stats.ipackets - before.ipackets, 10);
	assert_int_equal(stats.ibytes - before.ibytes, 1000);
	assert_int_equal(stats.obytes, 560);
	assert_int_equal(port_xstat(ports[0], "simnic_tx_packets"), 7);
	assert_int_equal(rte_eth_stats_reset(ports[0]), 0);
	stats = port_stats(ports[0]);
	assert_int_equal(stats.ipackets + stats.ibytes + stats.opackets + stats.obytes, 0);
	close(packet);
}

static void what_the_application_does_not_take_is_missed(void **state)
{
	uint8_t frame[100];
	int packet;

	port_start(ports[0], pool, PORT_PLAIN, 1);
	shell("ip link set %s up", netdevs[0]);
	packet = netns_packet_socket(0, netdevs[0]);
	for (unsigned int i = 0; i < 700; i++) {
		assert_int_equal(send(packet, frame, make_frame(frame, sizeof(frame), i), 0),
				 sizeof(frame));
		if (i % 50 == 0)
			usleep(1000); // the netdev's own queue must not overflow
	}
	WAIT_FOR(port_stats(ports[0]).ipackets + port_stats(ports[0]).imissed >= 700);
	assert_int_equal(port_stats(ports[0]).ipackets, 512); // the ring's size
	assert_int_equal(rte_eth_rx_queue_count(ports[0], 0), 512);
	close(packet);
}

static void an_empty_pool_is_counted(void **state)
{
	struct rte_mempool *tiny =
		rte_pktmbuf_pool_create("tiny", 3, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	uint8_t frame[100];
	int packet;

	assert_non_null(tiny);
	port_start(ports[0], tiny, PORT_PLAIN, 1);
	shell("ip link set %s up", netdevs[0]);
	packet = netns_packet_socket(0, netdevs[0]);
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(send(packet, frame, make_frame(frame, sizeof(frame), i), 0),
				 sizeof(frame));
	WAIT_FOR(port_stats(ports[0]).rx_nombuf >= 7);
	assert_int_equal(port_stats(ports[0]).ipackets, 3);
	assert_int_equal(rte_eth_dev_stop(ports[0]), 0);
	assert_int_equal(rte_mempool_in_use_count(tiny), 0); // a stopped port holds none
	assert_int_equal(rte_eth_dev_close(ports[0]), 0);
	rte_mempool_free(tiny);
	close(packet);
}

static void a_port_that_is_not_started_drops(void **state)
{
	uint8_t frame[100];
	int packet;

	shell("ip link set %s up", netdevs[0]);
	packet = netns_packet_socket(0, netdevs[0]);
	assert_int_equal(send(packet, frame, make_frame(frame, sizeof(frame), 1), 0),
			 sizeof(frame));
	WAIT_FOR(port_xstat(ports[0], "simnic_rx_dropped_stopped") > 0);
	port_start(ports[0], pool, PORT_PLAIN, 1);
	assert_int_equal(send(packet, frame, make_frame(frame, sizeof(frame), 2), 0),
			 sizeof(frame));
	rte_pktmbuf_free(receive_ours(ports[0]));
	assert_int_equal(count_ours(ports[0]), 0); // the first one is not kept
	close(packet);
}

static void malformed_mbufs_are_counted_and_freed(void **state)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);

	port_start(ports[0], pool, PORT_OFFLOAD, 1);
	shell("ip link set %s up", netdevs[0]);
	mbuf->data_len = mbuf->pkt_len = make_frame(rte_pktmbuf_mtod(mbuf, uint8_t *), 100, 0);
	mbuf->ol_flags = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IPV4;
	mbuf->l2_len = 127;
	mbuf->l3_len = 511;
	assert_int_equal(rte_eth_tx_prepare(ports[0], 0, &mbuf, 1), 0);
	assert_int_equal(rte_errno, EINVAL);
	assert_int_equal(rte_eth_tx_burst(ports[0], 0, &mbuf, 1), 1);
	WAIT_FOR(port_xstat(ports[0], "simnic_tx_error_offload") == 1);
	port_send(ports[0], 0, pool, "short", 5);
	WAIT_FOR(port_xstat(ports[0], "simnic_tx_error_runt") == 1);
	assert_int_equal(port_stats(ports[0]).oerrors, 2);
}

// ---- Rx interrupts --------------------------------------------------------------------------------------

static int wait_for_interrupt(int timeout_ms)
{
	struct rte_epoll_event event;

	return rte_epoll_wait(RTE_EPOLL_PER_THREAD, &event, 1, timeout_ms);
}

static void an_interrupt_comes_only_when_it_is_armed(void **state)
{
	uint8_t frame[100];
	int packet;

	port_start(ports[0], pool, PORT_PLAIN, 1);
	shell("sysctl -qw net.ipv6.conf.%s.disable_ipv6=1 && ip link set %s up", netdevs[0],
	      netdevs[0]);
	packet = netns_packet_socket(0, netdevs[0]);
	assert_int_equal(rte_eth_dev_rx_intr_ctl_q(ports[0], 0, RTE_EPOLL_PER_THREAD,
						   RTE_INTR_EVENT_ADD, NULL),
			 0);
	assert_int_equal(wait_for_interrupt(0), 0);

	assert_int_equal(send(packet, frame, make_frame(frame, sizeof(frame), 1), 0),
			 sizeof(frame));
	WAIT_FOR(rte_eth_rx_queue_count(ports[0], 0) == 1);
	assert_int_equal(wait_for_interrupt(50), 0); // not armed
	assert_int_equal(rte_eth_dev_rx_intr_enable(ports[0], 0), 0);
	assert_int_equal(wait_for_interrupt(10000), 1); // came before it was armed
	rte_pktmbuf_free(receive_ours(ports[0]));

	assert_int_equal(rte_eth_dev_rx_intr_enable(ports[0], 0), 0);
	assert_int_equal(wait_for_interrupt(50), 0);
	assert_int_equal(send(packet, frame, make_frame(frame, sizeof(frame), 2), 0),
			 sizeof(frame));
	assert_int_equal(wait_for_interrupt(10000), 1);
	rte_pktmbuf_free(receive_ours(ports[0]));
	assert_int_equal(wait_for_interrupt(50), 0); // one for one

	assert_int_equal(rte_eth_dev_rx_intr_enable(ports[0], 0), 0);
	assert_int_equal(rte_eth_dev_rx_intr_disable(ports[0], 0), 0);
	assert_int_equal(send(packet, frame, make_frame(frame, sizeof(frame), 3), 0),
			 sizeof(frame));
	rte_pktmbuf_free(receive_ours(ports[0]));
	assert_int_equal(wait_for_interrupt(50), 0);
	assert_int_equal(rte_eth_dev_rx_intr_ctl_q(ports[0], 0, RTE_EPOLL_PER_THREAD,
						   RTE_INTR_EVENT_DEL, NULL),
			 0);
	close(packet);
}

static void *send_slowly(void *argument)
{
	int packet = *(int *)argument;
	uint8_t frame[100];
	uint32_t random = 1;

	for (uint32_t i = 0; i < 20000; i++) {
		(void)!send(packet, frame, make_frame(frame, sizeof(frame), i), 0);
		random = random * 1664525 + 1013904223;
		for (volatile uint32_t spin = 0; spin < random >> 18; spin++)
			;
		if (i % 256 == 255)
			usleep(500);
	}
	return NULL;
}

static void no_wakeup_is_lost(void **state)
{
	unsigned int received = 0, sleeps = 0;
	pthread_t sender;
	int packet;

	port_start(ports[0], pool, PORT_PLAIN, 1);
	shell("sysctl -qw net.ipv6.conf.%s.disable_ipv6=1 && ip link set %s up", netdevs[0],
	      netdevs[0]);
	packet = netns_packet_socket(0, netdevs[0]);
	assert_int_equal(rte_eth_dev_rx_intr_ctl_q(ports[0], 0, RTE_EPOLL_PER_THREAD,
						   RTE_INTR_EVENT_ADD, NULL),
			 0);
	assert_int_equal(pthread_create(&sender, NULL, send_slowly, &packet), 0);
	while (received + port_stats(ports[0]).imissed < 20000) {
		unsigned int count = count_ours(ports[0]);

		received += count;
		if (count > 0)
			continue;
		assert_int_equal(rte_eth_dev_rx_intr_enable(ports[0], 0), 0);
		if (received < 20000)
			assert_int_equal(wait_for_interrupt(20000), 1);
		sleeps++;
	}
	pthread_join(sender, NULL);
	assert_true(sleeps > 100);
	assert_int_equal(rte_eth_dev_rx_intr_ctl_q(ports[0], 0, RTE_EPOLL_PER_THREAD,
						   RTE_INTR_EVENT_DEL, NULL),
			 0);
	close(packet);
}

// Each frame comes just when the pipeline is done with the one before and goes to sleep, or a moment later.
static void no_frame_waits_for_the_next_one(void **state)
{
	enum { FRAMES = 30000, BATCH = 64 };
	struct rte_mbuf *mbufs[BATCH];
	uint32_t random = 1;

	port_start(ports[0], pool, PORT_PLAIN, 1);
	shell("ip link set %s up", netdevs[0]);
	for (uint32_t sent = 0; sent < FRAMES; sent++) {
		uint64_t until;

		if (sent % BATCH == 0)
			assert_int_equal(rte_pktmbuf_alloc_bulk(pool, mbufs, BATCH), 0);
		mbufs[sent % BATCH]->data_len = mbufs[sent % BATCH]->pkt_len =
			make_frame(rte_pktmbuf_mtod(mbufs[sent % BATCH], uint8_t *), 60, sent);
		random = random * 1664525 + 1013904223;
		until = rte_get_tsc_hz() * 20;
		for (uint64_t begin = rte_get_tsc_cycles(); port_stats(ports[0]).opackets < sent;)
			if (rte_get_tsc_cycles() - begin > until)
				fail_msg("frame %u was not sent", sent);
		for (uint64_t begin = rte_get_tsc_cycles();
		     rte_get_tsc_cycles() - begin < random >> 22;)
			;
		assert_int_equal(rte_eth_tx_burst(ports[0], 0, &mbufs[sent % BATCH], 1), 1);
	}
	rte_pktmbuf_free_bulk(mbufs + FRAMES % BATCH, FRAMES % BATCH ? BATCH - FRAMES % BATCH : 0);
	WAIT_FOR(port_stats(ports[0]).opackets == FRAMES);
}

// ---- telemetry ------------------------------------------------------------------------------------------

static void telemetry_tells_about_the_device(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	static const char question[] = "/simnic/info," DEVICE;
	char answer[16384];
	ssize_t size;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/dpdk/rte/dpdk_telemetry.v2",
		 folder);
	assert_return_code(connect(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	assert_true(recv(fd, answer, sizeof(answer), 0) > 0);
	assert_int_equal(send(fd, question, strlen(question), 0), strlen(question));
	size = recv(fd, answer, sizeof(answer) - 1, 0);
	assert_true(size > 0);
	answer[size] = '\0';
	assert_non_null(strstr(answer, "\"vfs\":4"));
	assert_non_null(strstr(answer, "\"ports\":6"));
	assert_non_null(strstr(answer, "\"functions_present\":6"));
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, probe, remove_device)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(representors_are_found_by_the_name_hardware_has_for_them),
		cmocka_unit_test(wrong_device_arguments_are_refused_and_leave_nothing),
		cmocka_unit_test(only_the_representors_asked_for_are_made),
		cmocka_unit_test(twenty_attachments_leave_no_descriptor_behind),
		cmocka_unit_test(ports_may_be_closed_one_by_one_in_any_order),
		TEST(a_frame_of_a_function_comes_to_its_port_alone),
		TEST(a_frame_of_a_port_goes_to_its_function_alone),
		TEST(each_tx_queue_keeps_its_order_and_loses_nothing),
		TEST(long_tcp_segments_pass_whole),
		TEST(an_application_without_offloads_gets_whole_checksums_and_short_frames),
		TEST(lro_without_room_for_long_segments_is_no_lro),
		TEST(the_mtu_holds_in_both_directions),
		TEST(the_mtu_has_its_limits),
		TEST(the_link_follows_the_function),
		TEST(link_status_needs_no_interrupt),
		TEST(an_application_can_take_the_functions_link_away),
		TEST(a_function_works_again_after_its_netns_died),
		TEST(offloads_are_set_again_on_a_function_that_came_back),
		TEST(frames_to_a_function_that_is_gone_are_counted),
		TEST(statistics_count_packets_and_bytes_and_can_be_reset),
		TEST(what_the_application_does_not_take_is_missed),
		TEST(an_empty_pool_is_counted),
		TEST(a_port_that_is_not_started_drops),
		TEST(malformed_mbufs_are_counted_and_freed),
		TEST(an_interrupt_comes_only_when_it_is_armed),
		TEST(no_wakeup_is_lost),
		TEST(no_frame_waits_for_the_next_one),
		TEST(telemetry_tells_about_the_device),
	};
	int failed;

	enter_fresh_netns();
	if (mkdtemp(folder) == NULL || !eal_start(folder))
		return 1;
	pool = rte_pktmbuf_pool_create("mbufs", 16383, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       SOCKET_ID_ANY);
	if (pool == NULL)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rte_mempool_free(pool);
	rte_eal_cleanup();
	shell("rm -rf %s", folder);
	return failed;
}
