// SPDX-License-Identifier: BSD-3-Clause
//
// The stacks of pods talk to each other by rules alone, while the application sees nothing of it.

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sim/simnic/compat.h"
#include "sim/simnic/test_device.h"
#include "sim/simnic/test_flow.h"

// ---- pods -----------------------------------------------------------------------------------------------

static pid_t pods[2];

// Two pods behind a router that is nothing but rules: addresses 10.9.0.N and fd09::N, MAC 02:00:00:00:00:0N.
static void pods_make(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		pods[i] = netns_new();
		shell("ip link set %s netns %d", netdevs[i], (int)pods[i]);
		netns_shell(pods[i], "ip link set %s name eth0 address 02:00:00:00:00:0%u",
			    netdevs[i], i + 1);
		netns_shell(pods[i], "sysctl -qw net.ipv6.conf.eth0.router_solicitations=0");
		netns_shell(pods[i], "ip addr add 10.9.0.%u/32 dev eth0", i + 1);
		netns_shell(pods[i], "ip addr add fd09::%u/128 dev eth0 nodad", i + 1);
		netns_shell(pods[i], "ip link set eth0 up");
		netns_shell(pods[i], "ip neigh add 169.254.1.1 lladdr 02:00:00:00:00:fe dev eth0");
		netns_shell(pods[i], "ip route add 169.254.1.1 dev eth0");
		netns_shell(pods[i], "ip route add default via 169.254.1.1");
		netns_shell(pods[i], "ip neigh add fe80::fe lladdr 02:00:00:00:00:fe dev eth0");
		netns_shell(pods[i], "ip -6 route add default via fe80::fe dev eth0");
	}
}

static struct rte_flow *routes[2][2]; // to pod, IPv4 and IPv6

static void router_make(void)
{
	const struct rte_ether_addr router = {{0x02, 0, 0, 0, 0, 0xfe}};

	for (unsigned int i = 0; i < 2; i++) {
		const struct rte_ether_addr pod = {{0x02, 0, 0, 0, 0, i + 1}};
		const rte_be32_t address = htonl(0x0a090001 + i);
		const struct rte_flow_item_ipv6 spec6 = {.hdr.dst_addr =
								 IPV6(0xfd, 0x09, [15] = i + 1)};
		struct rte_flow_item_ipv6 mask6 = {0};
		const struct rte_flow_action *actions = ACTIONS(
			ACTION(SET_MAC_SRC, .conf = &router), ACTION(SET_MAC_DST, .conf = &pod),
			ACTION(DEC_TTL), COUNT, TO(ports[i]));

		memset(&mask6.hdr.dst_addr, 0xff, 16);
		rule_of(ports[UPLINK],
			PATTERN(FROM(ports[i]),
				ITEM(ETH, .spec = HDR(eth, .dst_addr = router),
				     .mask = HDR(eth, .dst_addr = {{0xff, 0xff, 0xff, 0xff, 0xff,
								    0xff}}))),
			ACTIONS(JUMP(1)));
		routes[i][0] = rule_at(
			ports[UPLINK], 1, 0,
			PATTERN(ITEM(ETH), ITEM(IPV4, .spec = HDR(ipv4, .dst_addr = address),
						.mask = HDR(ipv4, .dst_addr = UINT32_MAX))),
			actions);
		routes[i][1] = rule_at(
			ports[UPLINK], 1, 0,
			PATTERN(ITEM(ETH), ITEM(IPV6, .spec = &spec6, .mask = &mask6)), actions);
	}
}

// What the pods' own stacks say to nobody: neighbour discovery, multicast listener reports.
static bool is_chatter(const struct rte_mbuf *mbuf)
{
	return rte_pktmbuf_mtod(mbuf, const uint8_t *)[0] & 1;
}

// The application has seen nothing of the pods' talk.
static void expect_no_talk_at_ports(void)
{
	struct rte_mbuf *mbuf;

	for (unsigned int i = 0; i < PORTS; i++) {
		while (rte_eth_rx_burst(ports[i], 0, &mbuf, 1) == 1) {
			assert_true(is_chatter(mbuf));
			rte_pktmbuf_free(mbuf);
		}
	}
}

static void begin_pods(enum port_shape shape)
{
	start_all(shape);
	pods_make();
	router_make();
}

static void end_pods(void)
{
	expect_no_talk_at_ports();
	for (unsigned int i = 0; i < 2; i++)
		netns_delete(pods[i]);
}

static void pings_are_routed_by_rules_in_both_families(void **state)
{
	begin_pods(PORT_OFFLOAD);
	netns_shell(pods[0], "ping -nc 5 -i 0.01 -s 1000 10.9.0.2 | grep 'ttl=63' >/dev/null");
	netns_shell(pods[0], "ping -nc 5 -i 0.01 -s 1000 10.9.0.2 | grep ' 5 received' >/dev/null");
	netns_shell(pods[1], "ping -nc 5 -i 0.01 fd09::1 | grep 'ttl=63' >/dev/null");
	// Three parts, each with its own header: later fragments have no layer 4.
	netns_shell(pods[1], "ping -nc 5 -i 0.01 -s 4000 10.9.0.1 | grep ' 5 received' >/dev/null");
	netns_shell(pods[1], "ping -nc 5 -i 0.01 -s 4000 fd09::1 | grep ' 5 received' >/dev/null");
	for (unsigned int i = 0; i < 2; i++) {
		struct rte_flow_query_count ipv4 = rule_count(ports[UPLINK], routes[i][0], true),
					    ipv6 = rule_count(ports[UPLINK], routes[i][1], true);

		assert_int_equal(ipv4.hits, 5 + 5 + 3 * 5);
		assert_int_equal(ipv4.bytes,
				 10 * (14 + 20 + 8 + 1000) + 5 * (3 * (14 + 20) + 8 + 4000));
		assert_int_equal(ipv6.hits, 5 + 3 * 5);
	}
	end_pods();
}

static uint8_t byte_at(size_t position)
{
	return position * 31 + (position >> 13);
}

static socklen_t address_of(int family, unsigned int pod, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in *address4 = (void *)ret_address;
	struct sockaddr_in6 *address6 = (void *)ret_address;
	char text[INET6_ADDRSTRLEN];

	memset(ret_address, 0, sizeof(*ret_address));
	ret_address->ss_family = family;
	snprintf(text, sizeof(text), family == AF_INET ? "10.9.0.%u" : "fd09::%u", pod + 1);
	if (family == AF_INET)
		address4->sin_port = htons(7000);
	else
		address6->sin6_port = htons(7000);
	assert_int_equal(inet_pton(family, text,
				   family == AF_INET ? (void *)&address4->sin_addr
						     : (void *)&address6->sin6_addr),
			 1);
	return family == AF_INET ? sizeof(*address4) : sizeof(*address6);
}

static void tcp_transfer(int family, size_t size)
{
	static uint8_t out[65536], in[65536];
	struct sockaddr_storage address;
	socklen_t length = address_of(family, 1, &address);
	int listener = netns_socket(pods[1], family, SOCK_STREAM, 0),
	    sender = netns_socket(pods[0], family, SOCK_STREAM, 0), receiver;
	size_t sent = 0, received = 0;

	assert_return_code(bind(listener, (struct sockaddr *)&address, length), errno);
	assert_return_code(listen(listener, 1), errno);
	assert_return_code(connect(sender, (struct sockaddr *)&address, length), errno);
	receiver = accept(listener, NULL, NULL);
	assert_return_code(receiver, errno);
	for (uint64_t until = now_ms() + 60000; received < size && now_ms() < until;) {
		size_t wanted = RTE_MIN(sizeof(out), size - sent);
		ssize_t count;

		for (size_t i = 0; i < wanted; i++)
			out[i] = byte_at(sent + i);
		count = wanted > 0 ? send(sender, out, wanted, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
		sent += count > 0 ? count : 0;
		count = recv(receiver, in, sizeof(in), MSG_DONTWAIT);
		for (ssize_t i = 0; i < count; i++)
			assert_int_equal(in[i], byte_at(received + i));
		received += count > 0 ? count : 0;
	}
	assert_int_equal(received, size);
	close(sender);
	close(receiver);
	close(listener);
}

static void tcp_goes_by_rules_in_both_families(enum port_shape shape, size_t size)
{
	static const int families[] = {AF_INET, AF_INET6};

	begin_pods(shape);
	for (unsigned int i = 0; i < 2; i++) {
		struct rte_flow_query_count count;
		uint32_t header = 14 + (i == 0 ? 20 : 40) + 32;

		tcp_transfer(families[i], size);
		count = rule_count(ports[UPLINK], routes[1][i], false);
		// On a wire it would have been packets of the MTU.
		assert_true(count.hits >= size / (1514 - header));
		assert_true(count.bytes >= size + size / (1514 - header) * header);
		assert_true(count.bytes < size + size / 10);
	}
	end_pods();
}

static void tcp_in_long_segments_goes_by_rules(void **state)
{
	tcp_goes_by_rules_in_both_families(PORT_OFFLOAD, 32 << 20);
}

static void tcp_without_offloads_goes_by_rules(void **state)
{
	tcp_goes_by_rules_in_both_families(PORT_PLAIN, 4 << 20);
}

static void udp_goes_by_rules(void **state)
{
	static const int families[] = {AF_INET, AF_INET6};

	begin_pods(PORT_OFFLOAD);
	for (unsigned int i = 0; i < 2; i++) {
		struct sockaddr_storage address;
		socklen_t length = address_of(families[i], 1, &address);
		int receiver = netns_socket(pods[1], families[i], SOCK_DGRAM | SOCK_NONBLOCK, 0),
		    sender = netns_socket(pods[0], families[i], SOCK_DGRAM, 0);
		uint8_t out[3000], in[3100];

		assert_return_code(bind(receiver, (struct sockaddr *)&address, length), errno);
		assert_return_code(connect(sender, (struct sockaddr *)&address, length), errno);
		for (unsigned int j = 1; j < 200; j++) {
			size_t size = j * 15;

			for (size_t k = 0; k < size; k++)
				out[k] = byte_at(k + j);
			assert_int_equal(send(sender, out, size, 0), size);
			WAIT_FOR(recv(receiver, in, sizeof(in), 0) == (ssize_t)size);
			assert_memory_equal(in, out, size);
		}
		close(sender);
		close(receiver);
	}
	end_pods();
}

// ---- a tunnel -------------------------------------------------------------------------------------------

static const struct rte_ether_addr our_mac = {{0x02, 0, 0, 0, 0x20, 1}};

// Rules between a pod and a VXLAN endpoint of the kernel's on the wire, each of which knows nothing of the other side.
static void tunnel_make(const struct rte_flow_item *l3)
{
	const struct rte_flow_item_eth eth = {
		.hdr = {.dst_addr = {{0x02, 0, 0, 0, 0x20, 2}}, .src_addr = our_mac}};
	struct rte_flow_item definition[] = {
		ITEM(ETH, .spec = &eth), *l3, ITEM(UDP, .spec = HDR(udp, .dst_port = 0)),
		ITEM(VXLAN, .spec = HDR(vxlan, .vx_vni = RTE_BE32(42 << 8))), ITEM(END)};
	const struct rte_flow_action_vxlan_encap encap = {.definition = definition};

	rule_of(ports[UPLINK], PATTERN(FROM(ports[0])),
		ACTIONS(ACTION(VXLAN_ENCAP, .conf = &encap), TO(ports[UPLINK])));
	rule_of(ports[UPLINK],
		PATTERN(FROM(ports[UPLINK]), ITEM(UDP),
			ITEM(VXLAN, .spec = HDR(vxlan, .vx_vni = RTE_BE32(42 << 8)))),
		ACTIONS(ACTION(VXLAN_DECAP), TO(ports[0])));
}

static void endpoint_make(pid_t peer, const char *ours, const char *theirs)
{
	netns_shell(peer, "ip addr add %s", theirs);
	netns_shell(peer, "ip neigh add %s lladdr 02:00:00:00:20:01 dev eth0", ours);
	netns_shell(peer, "ip link add vx0 type vxlan id 42 remote %s dstport 4789 dev eth0", ours);
	netns_shell(peer, "ip link set vx0 mtu 1400 up");
	netns_shell(peer, "ip addr add 10.9.0.2/24 dev vx0");
	netns_shell(peer, "ip addr add fd09::2/64 dev vx0 nodad");
}

static void pod_and_endpoint_talk(enum port_shape shape, const struct rte_flow_item *l3,
				  const char *ours, const char *theirs)
{
	pid_t peer = netns_new(), pod = netns_new();

	start_all(shape);
	shell("ip link set %s netns %d", netdevs[UPLINK], (int)peer);
	netns_shell(peer, "ip link set %s name eth0 address 02:00:00:00:20:02", netdevs[UPLINK]);
	netns_shell(peer, "ip link set eth0 up");
	endpoint_make(peer, ours, theirs);
	shell("ip link set %s netns %d", netdevs[0], (int)pod);
	netns_shell(pod, "ip link set %s name eth0 mtu 1400", netdevs[0]);
	// Segmentation is not for tunnels; unfinished checksums are.
	netns_shell(pod, "ip link set eth0 gso_max_segs 1");
	netns_shell(pod, "ip addr add 10.9.0.1/24 dev eth0");
	netns_shell(pod, "ip addr add fd09::1/64 dev eth0 nodad");
	netns_shell(pod, "ip link set eth0 up");
	tunnel_make(l3);
	pods[0] = pod;
	pods[1] = peer;
	netns_shell(pod,
		    "ping -nc 3 -i 0.05 -w 20 -s 1300 10.9.0.2 | grep ' 3 received' >/dev/null");
	netns_shell(peer,
		    "ping -nc 3 -i 0.05 -w 20 -s 1300 fd09::1 | grep ' 3 received' >/dev/null");
	tcp_transfer(AF_INET, 1 << 20);
	tcp_transfer(AF_INET6, 1 << 20);
	assert_int_equal(port_xstat(ports[0], "simnic_rule_error_encap"), 0);
	assert_int_equal(port_xstat(ports[UPLINK], "simnic_rule_error_encap"), 0);
	netns_delete(peer);
	netns_delete(pod);
}

static void a_pod_talks_to_a_vxlan_endpoint_over_ipv4(void **state)
{
	pod_and_endpoint_talk(PORT_OFFLOAD,
			      &ITEM(IPV4, .spec = HDR(ipv4, .src_addr = RTE_BE32(0xc0000201),
						      .dst_addr = RTE_BE32(0xc0000202))),
			      "192.0.2.1", "192.0.2.2/24 dev eth0");
}

// The kernel takes no packets without a checksum here.
static void a_pod_talks_to_a_vxlan_endpoint_over_ipv6(void **state)
{
	const struct rte_flow_item_ipv6 spec = {.hdr = {.src_addr = IPV6(0xfd, 0x20, [15] = 1),
							.dst_addr = IPV6(0xfd, 0x20, [15] = 2)}};

	pod_and_endpoint_talk(PORT_PLAIN, &ITEM(IPV6, .spec = &spec), "fd20::1",
			      "fd20::2/64 dev eth0 nodad");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pings_are_routed_by_rules_in_both_families),
		TEST(tcp_in_long_segments_goes_by_rules),
		TEST(tcp_without_offloads_goes_by_rules),
		TEST(udp_goes_by_rules),
		TEST(a_pod_talks_to_a_vxlan_endpoint_over_ipv4),
		TEST(a_pod_talks_to_a_vxlan_endpoint_over_ipv6),
	};

	return device_tests_run(tests, RTE_DIM(tests));
}
