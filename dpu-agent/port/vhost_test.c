// SPDX-License-Identifier: BSD-3-Clause
//
// vhost-user ports with a real guest, DPDK's virtio_user in this process, and the real graph with a worker's thread.

#include "datapath/graph_test.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <rte_bus_vdev.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_graph.h>
#include <rte_graph_worker.h>
#include <rte_mempool.h>

#include "port/port_private.h"

enum {
	PATIENCE_MS = 20000, // for a loaded machine; what is lost never comes
	GUEST_QUEUES_MAX = 4,
	GUEST_BUFFERS = 2047,
};

#define GUEST4 "10.88.0.20"
#define GUEST6 "fd00:88::20"

static char folder[] = "/tmp/vhost_test.XXXXXX";
static struct vhost_config sockets = {.mode = 0640, .owner = (uid_t)-1, .group = 4711};
static struct port port;
static struct port_config config;
static struct rte_mempool *guest_pool;
static struct frame f;

// ---- the NIC that the port believes to have -----------------------------------------------------------

struct rte_mempool *nic_packet_pool(const struct nic *nic)
{
	return rte_mempool_lookup("packets");
}

const struct vhost_config *nic_vhost_config(const struct nic *nic)
{
	return &sockets;
}

// ---- a guest ----------------------------------------------------------------------------------------

struct guest {
	char name[32];
	uint16_t port_id, queues;
};

static void guest_begin(struct guest *guest, const char *name, unsigned int queues)
{
	struct rte_eth_conf conf = {
		.txmode.offloads = RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |
				   RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS,
		.rxmode.offloads = RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM,
	};
	char arguments[256];
	const uint8_t *mac = port_mac(EXTRA);

	guest->queues = (uint16_t)queues;
	snprintf(guest->name, sizeof(guest->name), "net_virtio_user_%s", name);
	snprintf(arguments, sizeof(arguments),
		 "path=%s,queues=%u,mrg_rxbuf=1,mac=%02x:%02x:%02x:%02x:%02x:%02x",
		 config.socket_path, queues, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	assert_int_equal(0, rte_vdev_init(guest->name, arguments));
	assert_int_equal(0, rte_eth_dev_get_port_by_name(guest->name, &guest->port_id));
	assert_int_equal(0, rte_eth_dev_configure(guest->port_id, (uint16_t)queues,
						  (uint16_t)queues, &conf));
	for (uint16_t queue = 0; queue < queues; queue++) {
		assert_int_equal(
			0, rte_eth_rx_queue_setup(guest->port_id, queue, 256, 0, NULL, guest_pool));
		assert_int_equal(0, rte_eth_tx_queue_setup(guest->port_id, queue, 256, 0, NULL));
	}
	assert_int_equal(0, rte_eth_dev_start(guest->port_id));
}

static void guest_end(struct guest *guest)
{
	assert_int_equal(0, rte_eth_dev_stop(guest->port_id));
	assert_int_equal(0, rte_vdev_uninit(guest->name));
}

static struct rte_mbuf *guest_mbuf(const struct frame *frame)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(guest_pool);

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)frame->size), frame->bytes, frame->size);
	return m;
}

static void guest_send(const struct guest *guest, uint16_t queue, const struct frame *frame)
{
	struct rte_mbuf *m = guest_mbuf(frame);

	assert_int_equal(1, rte_eth_tx_burst(guest->port_id, queue, &m, 1));
}

// ---- waiting ------------------------------------------------------------------------------------------

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#define WAIT_UNTIL(condition)                                                                      \
	do {                                                                                       \
		for (uint64_t start = now_ms(); !(condition);) {                                   \
			if (now_ms() - start > PATIENCE_MS)                                        \
				fail_msg("line %d: not within %d ms: %s", __LINE__, PATIENCE_MS,   \
					 #condition);                                              \
			rte_delay_us_sleep(100);                                                   \
		}                                                                                  \
	} while (0)

static bool link_is_up(void)
{
	struct port_state state;

	port_read_state(&port, &state);
	return state.link_up;
}

static uint32_t queue_pairs(void)
{
	struct port_state state;

	port_read_state(&port, &state);
	return state.queue_pairs;
}

static struct rte_mbuf *await(unsigned int slot)
{
	struct rte_mbuf *m = NULL;

	WAIT_UNTIL((m = pull(slot)) != NULL);
	return m;
}

// From any of the guest's queues; which.
static bool guest_receive(const struct guest *guest, struct rte_mbuf **ret_m, uint16_t *ret_queue)
{
	for (uint16_t queue = 0; queue < guest->queues; queue++)
		if (rte_eth_rx_burst(guest->port_id, queue, ret_m, 1) == 1) {
			*ret_queue = queue;
			return true;
		}
	return false;
}

static struct rte_mbuf *guest_await(const struct guest *guest)
{
	struct rte_mbuf *m = NULL;
	uint16_t queue;

	WAIT_UNTIL(guest_receive(guest, &m, &queue));
	return m;
}

// From guest to function and back.
static void talk(const struct guest *guest, uint16_t queue)
{
	static struct frame expected;
	struct rte_mbuf *m;

	frame_udp4(&f, EXTRA, GUEST4, A4, 100);
	guest_send(guest, queue, &f);
	m = await(POD_A);
	expected = f;
	frame_as_forwarded(&expected, POD_A);
	assert_int_equal(expected.size, rte_pktmbuf_pkt_len(m));
	assert_memory_equal(expected.bytes, rte_pktmbuf_mtod(m, void *), expected.size);
	rte_pktmbuf_free(m);

	frame_udp4(&f, POD_A, A4, GUEST4, 1400);
	push(POD_A, frame_to_mbuf(&f, 0));
	m = guest_await(guest);
	expected = f;
	frame_as_forwarded(&expected, EXTRA);
	assert_int_equal(expected.size, rte_pktmbuf_pkt_len(m));
	assert_memory_equal(expected.bytes, rte_pktmbuf_mtod(m, void *), expected.size);
	rte_pktmbuf_free(m);
}

// ---- life ---------------------------------------------------------------------------------------------

static int group_set_up(void **state)
{
	if (graph_start(state) < 0 || mkdtemp(folder) == NULL)
		return -1;
	umask(077); // as the agent's
	signal(SIGPIPE, SIG_IGN);
	guest_pool = rte_pktmbuf_pool_create("guest", GUEST_BUFFERS, 0, 0,
					     RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	return guest_pool != NULL ? 0 : -1;
}

static int group_tear_down(void **state)
{
	rmdir(folder);
	return graph_stop(state);
}

static int set_up(void **state)
{
	struct error err = {0};
	int r = graph_set_up(state);

	port = (struct port){.ops = &vhost_ops, .kind = PORT_VHOST, .slot = EXTRA};
	config = (struct port_config){.mtu = 1500, .has_ipv4 = true, .has_ipv6 = true};
	memcpy(config.mac.bytes, port_mac(EXTRA), sizeof(config.mac.bytes));
	inet_pton(AF_INET, GUEST4, &config.ipv4);
	inet_pton(AF_INET6, GUEST6, &config.ipv6);
	snprintf(config.socket_path, sizeof(config.socket_path), "%s/guest.sock", folder);
	if (r == 0 && port_start(&port, &config, &err) < 0)
		fail_msg("%s", err.message);
	graph_launch_worker();
	return r;
}

static int tear_down(void **state)
{
	port_stop(&port);
	assert_int_not_equal(0, access(config.socket_path, F_OK)); // the socket goes with the port
	return graph_tear_down(state);
}

static int set_up_with_interrupts(void **state)
{
	graph_have_interrupts(true);
	return set_up(state);
}

static int tear_down_with_interrupts(void **state)
{
	graph_have_interrupts(false);
	return tear_down(state);
}

// ---- tests --------------------------------------------------------------------------------------------

static void a_guest_and_a_function_talk(void **state)
{
	struct guest guest;

	assert_false(link_is_up());
	guest_begin(&guest, "one", 1);
	WAIT_UNTIL(link_is_up());
	talk(&guest, 0);
	guest_end(&guest);
	WAIT_UNTIL(!link_is_up());
}

static void all_of_a_guests_queues_are_heard(void **state)
{
	struct guest guest;

	guest_begin(&guest, "many", GUEST_QUEUES_MAX);
	WAIT_UNTIL(link_is_up());
	for (unsigned int i = 0; i < 50; i++)
		talk(&guest, (uint16_t)(i % GUEST_QUEUES_MAX));
	guest_end(&guest);
}

enum { FLOWS = 32, OF_EACH = 4 };

// Some packets of each flow to the guest, each flow's numbered. Which queues they came in, and how
// many not in their turn.
static uint16_t send_flows(const struct guest *guest, uint16_t ret_queue_of[FLOWS],
			   unsigned int *ret_late)
{
	enum { FLOW_OFFSET = 14 + 20 + 1, NUMBER_OFFSET = 14 + 20 + 8 };
	unsigned int next_of[FLOWS] = {0};
	uint16_t used = 0, queue;
	struct rte_mbuf *m = NULL;

	*ret_late = 0;
	for (unsigned int i = 0; i < FLOWS * OF_EACH; i++) {
		frame_udp4(&f, POD_A, A4, GUEST4, 20);
		f.bytes[FLOW_OFFSET] = (uint8_t)(i % FLOWS);
		f.bytes[NUMBER_OFFSET] = (uint8_t)(i / FLOWS);
		frame_finish(&f);
		push(POD_A, frame_to_mbuf(&f, 0));
	}
	for (unsigned int i = 0; i < FLOWS * OF_EACH; i++) {
		const uint8_t *bytes;

		WAIT_UNTIL(guest_receive(guest, &m, &queue));
		bytes = rte_pktmbuf_mtod(m, const uint8_t *);
		assert_in_range(bytes[FLOW_OFFSET], 0, FLOWS - 1);
		*ret_late += next_of[bytes[FLOW_OFFSET]]++ != bytes[NUMBER_OFFSET];
		ret_queue_of[bytes[FLOW_OFFSET]] = queue;
		used |= (uint16_t)(1 << queue);
		rte_pktmbuf_free(m);
	}
	return used;
}

static void a_flow_stays_in_one_of_a_guests_queues_and_in_order(void **state)
{
	const uint16_t all_queues = (1 << GUEST_QUEUES_MAX) - 1;
	uint16_t first[FLOWS], again[FLOWS];
	unsigned int late;
	struct guest guest;

	guest_begin(&guest, "spread", GUEST_QUEUES_MAX);
	WAIT_UNTIL(link_is_up());
	WAIT_UNTIL(send_flows(&guest, first, &late) ==
		   all_queues); // it enables one after the other, the last perhaps meanwhile
	send_flows(&guest, first, &late);
	for (unsigned int i = 0; i < 20; i++) {
		assert_int_equal(all_queues, send_flows(&guest, again, &late));
		assert_int_equal(0, late);
		assert_memory_equal(first, again, sizeof(first));
	}
	guest_end(&guest);
}

// All ports ring, so that the worker sleeps without a bound: only the guest's kick wakes it.
static void a_sleeping_worker_wakes_for_every_packet_of_a_guest(void **state)
{
	struct guest guest;

	guest_begin(&guest, "waker", 2);
	WAIT_UNTIL(link_is_up());
	frame_udp4(&f, EXTRA, GUEST4, A4, 20);
	for (unsigned int i = 0; i < 2000; i++) {
		guest_send(&guest, (uint16_t)(i % 2), &f);
		rte_pktmbuf_free(await(POD_A));
		if (i % 3 == 0)
			rte_delay_us_block(i % 90);
		else if (i % 100 == 1)
			rte_delay_us_sleep(1000);
	}
	guest_end(&guest);
}

static uint64_t walks(void)
{
	return __atomic_load_n(
		&rte_graph_node_get_by_name("worker0", "podport_port_rx")->total_calls,
		__ATOMIC_RELAXED);
}

// Librte_vhost holds the queues' locks meanwhile, and a worker that meets one sees no packet.
static void a_sleeping_worker_looks_again_after_what_a_guest_says(void **state)
{
	// VHOST_USER_GET_FEATURES, version 1, without a payload
	static const uint32_t question[] = {1, 1, 0};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	uint8_t answer[20];

	snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", config.socket_path);
	assert_int_equal(0, connect(fd, (struct sockaddr *)&address, sizeof(address)));
	for (unsigned int i = 0; i < 20; i++) {
		uint64_t before;

		do { // until it sleeps
			before = walks();
			rte_delay_us_sleep(20000);
		} while (walks() != before);
		assert_int_equal(sizeof(question), write(fd, question, sizeof(question)));
		WAIT_UNTIL(walks() != before);
		assert_int_equal(sizeof(answer), recv(fd, answer, sizeof(answer), MSG_WAITALL));
	}
	close(fd);
}

static void a_guest_may_go_and_come_again(void **state)
{
	struct guest guest;

	for (unsigned int i = 0; i < 5; i++) {
		guest_begin(&guest, "again", 1 + i % 2);
		WAIT_UNTIL(link_is_up());
		WAIT_UNTIL(queue_pairs() == guest.queues);
		talk(&guest, 0);
		guest_end(&guest);
		WAIT_UNTIL(!link_is_up());
		assert_int_equal(0, queue_pairs());
	}
	// Nobody is there: what is for it is dropped, and counted where it came in.
	struct datapath_counters before, after, port_before, port_after;
	datapath_read_counters(POD_A, &before);
	datapath_read_counters(EXTRA, &port_before);
	frame_udp4(&f, POD_A, A4, GUEST4, 20);
	push(POD_A, frame_to_mbuf(&f, 0));
	WAIT_UNTIL((datapath_read_counters(POD_A, &after), after.drops[DROP_TX_FULL]) ==
		   before.drops[DROP_TX_FULL] + 1);
	assert_dropped(POD_A, DROP_TX_FULL);
	datapath_read_counters(EXTRA, &port_after);
	assert_int_equal(port_before.tx_full + 1, port_after.tx_full);
}

// As one that is started again before the end of its predecessor has been noticed.
static void a_guest_takes_the_place_of_the_one_before(void **state)
{
	struct guest first, second;

	guest_begin(&first, "first", 1);
	WAIT_UNTIL(link_is_up());
	talk(&first, 0);
	guest_begin(&second, "second", 1);
	WAIT_UNTIL(link_is_up());
	talk(&second, 0);
	guest_end(&first); // is no news
	talk(&second, 0);
	guest_end(&second);
	WAIT_UNTIL(!link_is_up());
}

static void a_port_may_be_stopped_under_a_guest(void **state)
{
	struct error err = {0};
	struct guest guest;

	for (unsigned int i = 0; i < 3; i++) {
		char name[] = "under0";

		name[5] = (char)('0' + i);
		guest_begin(&guest, name, 2);
		WAIT_UNTIL(link_is_up());
		talk(&guest, 1);
		port_stop(&port);
		rte_eth_dev_stop(guest.port_id); // finds nobody
		rte_vdev_uninit(guest.name);
		assert_int_equal(0, port_start(&port, &config, &err));
	}
}

static void what_a_guest_leaves_to_the_port_is_done(void **state)
{
	struct guest guest;
	struct rte_mbuf *m;

	guest_begin(&guest, "offload", 1);
	WAIT_UNTIL(link_is_up());
	frame_udp4(&f, EXTRA, GUEST4, A4, 333);
	f.bytes[f.l4 + 6] ^= 0x55; // is to be filled
	m = guest_mbuf(&f);
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM;
	m->l2_len = 14;
	m->l3_len = 20;
	assert_int_equal(1, rte_eth_tx_prepare(guest.port_id, 0, &m, 1));
	assert_int_equal(1, rte_eth_tx_burst(guest.port_id, 0, &m, 1));
	m = await(POD_A);
	// The ring port says that it fills checksums: then it is left to it, with what it needs.
	assert_true(m->ol_flags & RTE_MBUF_F_TX_UDP_CKSUM);
	assert_int_equal(20, m->l3_len);
	rte_pktmbuf_free(m);
	guest_end(&guest);
}

static void a_guest_sends_from_its_own_addresses_only(void **state)
{
	struct datapath_counters counters;
	struct guest guest;

	guest_begin(&guest, "spoofer", 1);
	WAIT_UNTIL(link_is_up());
	frame_udp4(&f, EXTRA, B4, A4, 20);
	guest_send(&guest, 0, &f);
	frame_udp4(&f, POD_B, GUEST4, A4, 20);
	guest_send(&guest, 0, &f);
	WAIT_UNTIL((datapath_read_counters(EXTRA, &counters),
		    counters.drops[DROP_SPOOFED_MAC] + counters.drops[DROP_SPOOFED_ADDRESS]) == 2);
	guest_end(&guest);
	datapath_read_counters(EXTRA, &counters);
	assert_int_equal(2, counters.rx_packets);
	assert_nothing_out();
}

static void a_socket_is_its_owners(void **state)
{
	struct stat st;

	assert_int_equal(0, stat(config.socket_path, &st));
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(0640, st.st_mode & 07777);
	assert_int_equal(4711, st.st_gid);
	assert_int_equal(getuid(), st.st_uid);
}

static void a_socket_that_is_left_over_is_replaced_and_nothing_else(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct error err = {0};
	int fd;

	port_stop(&port);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(address.sun_path, config.socket_path);
	assert_int_equal(0, bind(fd, (struct sockaddr *)&address, sizeof(address)));
	close(fd);
	assert_int_equal(0, port_start(&port, &config, &err));
	port_stop(&port);

	fd = open(config.socket_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(-EEXIST, port_start(&port, &config, &err));
	assert_non_null(strstr(err.message, config.socket_path));
	unlink(config.socket_path);

	// Nor does a failure leave anything behind.
	struct port_config nowhere = config;
	strcpy(nowhere.socket_path, "/nonexistent/guest.sock");
	assert_true(port_start(&port, &nowhere, &err) < 0);
	assert_int_equal(CODE_NIC, err.code);
	assert_int_equal(0, port_start(&port, &config, &err));
}

static void a_folder_is_one_agents(void **state)
{
	struct vhost_config folder_config = {.folder = folder};
	struct error err = {0};
	char path[sizeof(folder) + 16];
	int lock_fd = -1, other = -1;
	struct stat st;

	port_stop(&port);
	snprintf(path, sizeof(path), "%s/note", folder);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	strcpy(address.sun_path, config.socket_path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(0, bind(fd, (struct sockaddr *)&address, sizeof(address)));
	close(fd);

	assert_int_equal(0, vhost_open(&folder_config, &lock_fd, &err));
	assert_int_not_equal(0, access(config.socket_path, F_OK)); // of an agent that was killed
	assert_int_equal(0, access(path, F_OK));                   // whoever's
	assert_int_equal(0, stat(folder, &st));
	assert_int_equal(0711, st.st_mode & 07777);
	assert_int_equal(-EBUSY, vhost_open(&folder_config, &other, &err));
	assert_non_null(strstr(err.message, "another agent"));
	close(lock_fd);
	unlink(path);
	snprintf(path, sizeof(path), "%s/lock", folder);
	unlink(path);
	folder_config.folder = "/nonexistent/vhost";
	assert_true(vhost_open(&folder_config, &other, &err) < 0);
	assert_int_equal(0, port_start(&port, &config, &err));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define WITH_INTERRUPTS(name)                                                                      \
	cmocka_unit_test_setup_teardown(name, set_up_with_interrupts, tear_down_with_interrupts)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_guest_and_a_function_talk),
		TEST(all_of_a_guests_queues_are_heard),
		TEST(a_flow_stays_in_one_of_a_guests_queues_and_in_order),
		WITH_INTERRUPTS(a_sleeping_worker_wakes_for_every_packet_of_a_guest),
		WITH_INTERRUPTS(a_sleeping_worker_looks_again_after_what_a_guest_says),
		TEST(a_guest_may_go_and_come_again),
		TEST(a_guest_takes_the_place_of_the_one_before),
		TEST(a_port_may_be_stopped_under_a_guest),
		TEST(what_a_guest_leaves_to_the_port_is_done),
		TEST(a_guest_sends_from_its_own_addresses_only),
		TEST(a_socket_is_its_owners),
		TEST(a_socket_that_is_left_over_is_replaced_and_nothing_else),
		TEST(a_folder_is_one_agents),
	};

	return cmocka_run_group_tests(tests, group_set_up, group_tear_down);
}
