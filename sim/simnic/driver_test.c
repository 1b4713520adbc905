// SPDX-License-Identifier: BSD-3-Clause
//
// The driver as an application sees it, through ethdev alone: enumeration, link, statistics,
// functions that go and come back. Frames are traffic_test.c's; what needs another process is in
// attach_test.c.

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_dev.h>

#include "sim/simnic/card.h"
#include "sim/simnic/test_device.h"

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
		"vfs=2,async=2",
		"vfs=2,async=",
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

// ---- link -----------------------------------------------------------------------------------------------

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

// ---- a card that is not the driver's own ----------------------------------------------------------------

struct outside_card {
	struct card *card;
	pthread_t thread;
};

static void *run_card(void *argument)
{
	card_run(argument);
	return NULL;
}

static void card_begin(struct outside_card *outside)
{
	struct card_config config = {.name = "simnic0", .vfs = 4};
	char path[128], why[128];

	card_config_defaults(&config);
	snprintf(path, sizeof(path), "%s/card.sock", folder);
	assert_int_equal(card_new(&config, &outside->card, why, sizeof(why)), 0);
	assert_int_equal(card_listen(outside->card, path, why, sizeof(why)), 0);
	assert_int_equal(pthread_create(&outside->thread, NULL, run_card, outside->card), 0);
}

static void card_end(struct outside_card *outside)
{
	card_stop(outside->card);
	pthread_join(outside->thread, NULL);
	card_free(outside->card);
}

static void attach(void)
{
	char arguments[192];

	snprintf(arguments, sizeof(arguments), "card=%s/card.sock,representor=vf[0-3,65535]",
		 folder);
	assert_int_equal(rte_eal_hotplug_add("vdev", DEVICE, arguments), 0);
	find_ports();
}

static unsigned int removals[RTE_MAX_ETHPORTS];

static int on_removal(uint16_t port, enum rte_eth_event_type event, void *argument, void *result)
{
	__atomic_fetch_add(&removals[port], 1, __ATOMIC_RELAXED);
	return 0;
}

static void a_card_that_goes_is_told_as_a_removed_device(void **state)
{
	struct outside_card outside;

	card_begin(&outside);
	attach();
	start_all(PORT_OFFLOAD);
	for (unsigned int i = 0; i < PORTS; i++) {
		removals[ports[i]] = 0;
		assert_int_equal(rte_eth_dev_callback_register(ports[i], RTE_ETH_EVENT_INTR_RMV,
							       on_removal, NULL),
				 0);
		assert_int_equal(rte_eth_dev_is_removed(ports[i]), 0);
	}
	card_end(&outside);
	for (unsigned int i = 0; i < PORTS; i++) {
		WAIT_FOR(__atomic_load_n(&removals[ports[i]], __ATOMIC_RELAXED) == 1);
		assert_int_equal(rte_eth_dev_is_removed(ports[i]), 1);
		assert_false(link_is_up(ports[i]));
		assert_int_equal(rte_eth_dev_callback_unregister(ports[i], RTE_ETH_EVENT_INTR_RMV,
								 on_removal, NULL),
				 0);
	}
	// What an application still does with it neither crashes nor blocks.
	port_send(ports[0], 0, pool, "an Ethernet frame, nearly", 24);
	WAIT_FOR(port_xstat(ports[0], "simnic_tx_error_function_gone") == 1);
	assert_int_equal(rte_eth_dev_set_link_down(ports[0]), 0);
	remove_device(state);
	// And with the next card all is well.
	card_begin(&outside);
	attach();
	start_all(PORT_OFFLOAD);
	assert_true(rte_eal_hotplug_remove("vdev", DEVICE) == 0);
	card_end(&outside);
}

static void a_function_that_is_missing_when_the_driver_attaches_comes_later(void **state)
{
	struct outside_card outside;
	pid_t pod = netns_new();

	card_begin(&outside);
	shell("ip link set simnic0v1 netns %d", (int)pod);
	shell("ip tuntap add dev simnic0v1 mode tap"); // in the way of the one to come
	netns_delete(pod);
	WAIT_FOR(!shell_succeeds("ip link show simnic0v1 | grep -q simnic:"));
	usleep(100000);
	attach();
	start_all(PORT_OFFLOAD);
	assert_false(link_is_up(ports[1]));
	shell("ip tuntap del dev simnic0v1 mode tap");
	WAIT_FOR(shell_succeeds(
		"ip link set simnic0v1 up && ip link show simnic0v1 | grep -q simnic:"));
	WAIT_FOR(link_is_up(ports[1]));
	assert_int_equal(rte_eal_hotplug_remove("vdev", DEVICE), 0);
	shell("ip link show simnic0v1 >/dev/null"); // not the driver's to take away
	card_end(&outside);
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

// ---- telemetry ------------------------------------------------------------------------------------------

static void telemetry_tells_about_the_device(void **state)
{
	const char *answer = telemetry_ask("/simnic/info," DEVICE);

	assert_non_null(strstr(answer, "\"vfs\":4"));
	assert_non_null(strstr(answer, "\"ports\":6"));
	assert_non_null(strstr(answer, "\"functions_present\":6"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(representors_are_found_by_the_name_hardware_has_for_them),
		cmocka_unit_test(wrong_device_arguments_are_refused_and_leave_nothing),
		cmocka_unit_test(only_the_representors_asked_for_are_made),
		cmocka_unit_test(twenty_attachments_leave_no_descriptor_behind),
		cmocka_unit_test(ports_may_be_closed_one_by_one_in_any_order),
		TEST(the_link_follows_the_function),
		TEST(link_status_needs_no_interrupt),
		TEST(an_application_can_take_the_functions_link_away),
		TEST(a_function_works_again_after_its_netns_died),
		TEST(frames_to_a_function_that_is_gone_are_counted),
		cmocka_unit_test(a_card_that_goes_is_told_as_a_removed_device),
		cmocka_unit_test(a_function_that_is_missing_when_the_driver_attaches_comes_later),
		TEST(statistics_count_packets_and_bytes_and_can_be_reset),
		TEST(what_the_application_does_not_take_is_missed),
		TEST(an_empty_pool_is_counted),
		TEST(a_port_that_is_not_started_drops),
		TEST(malformed_mbufs_are_counted_and_freed),
		TEST(telemetry_tells_about_the_device),
	};

	return device_tests_run(tests, RTE_DIM(tests));
}
