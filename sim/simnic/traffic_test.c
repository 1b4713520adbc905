// SPDX-License-Identifier: BSD-3-Clause
//
// Frames between functions and the application, as both see them: the kernel's sockets on one side,
// ethdev on the other.

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "sim/simnic/test_device.h"

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
	int64_t last[SENDERS] = {-1, -1, -1, -1};
	pthread_t threads[SENDERS];
	uint8_t frame[100];
	uint32_t number;
	int packet;

	port_start(ports[0], pool, PORT_PLAIN, SENDERS);
	shell("ip link set %s up", netdevs[0]);
	packet = netns_packet_socket(0, netdevs[0]);
	for (uintptr_t i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, send_many, (void *)i), 0);
	while (port_stats(ports[0]).opackets < SENDERS * FRAMES_EACH) {
		// The socket may drop some when this thread is slow, but not change their order.
		while (read_ours(packet, frame, sizeof(frame)) > 0) {
			memcpy(&number, frame + 14, sizeof(number));
			assert_true(number > last[frame[6] >> 4]);
			last[frame[6] >> 4] = number;
		}
	}
	for (unsigned int i = 0; i < SENDERS; i++) {
		pthread_join(threads[i], NULL);
		assert_true(last[i] > 0);
	}
	assert_int_equal(port_stats(ports[0]).opackets, SENDERS * FRAMES_EACH);
	assert_int_equal(port_stats(ports[0]).oerrors, 0);
	assert_int_equal(port_stats(ports[0]).obytes, SENDERS * FRAMES_EACH * 64);
	close(packet);
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
	struct rte_eth_conf config = {.rxmode.mtu = 9000};
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
	// Also set before the queues are.
	assert_int_equal(rte_eth_dev_stop(ports[0]), 0);
	assert_int_equal(rte_eth_dev_set_mtu(ports[0], 9000), 0);
	port_start(ports[0], pool, PORT_OFFLOAD, 1);
	assert_int_equal(rte_eth_dev_set_mtu(ports[0], 9000), 0);
	config.rxmode.offloads = RTE_ETH_RX_OFFLOAD_SCATTER;
	assert_int_equal(rte_eth_dev_configure(ports[2], 1, 1, &config), 0);
	assert_int_equal(rte_eth_rx_queue_setup(ports[2], 0, 512, SOCKET_ID_ANY, NULL, pool), 0);
	config.rxmode.offloads = 0;
	assert_int_equal(rte_eth_dev_configure(ports[2], 1, 1, &config), 0);
	assert_int_equal(rte_eth_rx_queue_setup(ports[2], 0, 512, SOCKET_ID_ANY, NULL, pool),
			 -EINVAL);
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
	enum { FRAMES = 30000, BATCH = 64, LIMIT_MS = 3000 };
	struct rte_mbuf *mbufs[BATCH];
	uint32_t random = 1, sent = 0;
	uint64_t end = now_ms() + LIMIT_MS; // a busy machine takes long to wake a thread

	port_start(ports[0], pool, PORT_PLAIN, 1);
	shell("ip link set %s up", netdevs[0]);
	for (; sent < FRAMES && now_ms() < end; sent++) {
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
	rte_pktmbuf_free_bulk(mbufs + sent % BATCH, sent % BATCH ? BATCH - sent % BATCH : 0);
	WAIT_FOR(port_stats(ports[0]).opackets == sent);
}

// With the device's arguments, if there is more to say about it.
int main(int argument_count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		TEST(a_frame_of_a_function_comes_to_its_port_alone),
		TEST(a_frame_of_a_port_goes_to_its_function_alone),
		TEST(each_tx_queue_keeps_its_order_and_loses_nothing),
		TEST(long_tcp_segments_pass_whole),
		TEST(an_application_without_offloads_gets_whole_checksums_and_short_frames),
		TEST(lro_without_room_for_long_segments_is_no_lro),
		TEST(the_mtu_holds_in_both_directions),
		TEST(the_mtu_has_its_limits),
		TEST(offloads_are_set_again_on_a_function_that_came_back),
		TEST(an_interrupt_comes_only_when_it_is_armed),
		TEST(no_wakeup_is_lost),
		TEST(no_frame_waits_for_the_next_one),
	};

	if (argument_count > 1)
		device_arguments = arguments[1];
	return device_tests_run(tests, RTE_DIM(tests));
}
