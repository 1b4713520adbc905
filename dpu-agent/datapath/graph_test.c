// SPDX-License-Identifier: BSD-3-Clause
//
// The harness of the graph's tests: its life, and sending and looking. Frames are in graph_test_frame.c.

#include "datapath/graph_test.h"

#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_malloc.h>
#include <rte_ring.h>

#include "datapath/datapath_private.h"
#include "datapath/neighbour.h"

enum {
	PORTS = SLOTS,
	RING_SIZE = 1024,
	BUFFERS = 8191,
	WALKS_MAX = 100000, // more is a loop
};

static struct rte_mempool *pool;
static struct rte_ring *to_port[PORTS], *from_port[PORTS];
static uint16_t port_ids[PORTS];
static struct datapath_counters seen[PORTS];
static unsigned int buffers_before;
static struct worker_start *start;
static bool launched;
static uint64_t now_ms; // of the neighbours

// ---- life ----------------------------------------------------------------------------------------

int __real_rte_eal_remote_launch(lcore_function_t *function, void *argument, unsigned int lcore);
int __wrap_rte_eal_remote_launch(lcore_function_t *function, void *argument, unsigned int lcore);

// The worker stays where it is: the test walks its graph.
int __wrap_rte_eal_remote_launch(lcore_function_t *function, void *argument, unsigned int lcore)
{
	start = argument;
	return 0;
}

void graph_launch_worker(void)
{
	launched = true;
	assert_int_equal(0, __real_rte_eal_remote_launch(worker_main, start, start->worker->lcore));
}

// ---- Rx interrupts, which net_ring has none of -------------------------------------------------------

static bool have_interrupts;
static struct {
	int fd;
	atomic_bool armed;
} interrupts[RTE_MAX_ETHPORTS];

int __wrap_rte_eth_dev_rx_intr_ctl_q_get_fd(uint16_t port_id, uint16_t queue);
int __wrap_rte_eth_dev_rx_intr_enable(uint16_t port_id, uint16_t queue);
int __wrap_rte_eth_dev_rx_intr_disable(uint16_t port_id, uint16_t queue);

int __wrap_rte_eth_dev_rx_intr_ctl_q_get_fd(uint16_t port_id, uint16_t queue)
{
	if (interrupts[port_id].fd == 0)
		interrupts[port_id].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return interrupts[port_id].fd;
}

int __wrap_rte_eth_dev_rx_intr_enable(uint16_t port_id, uint16_t queue)
{
	atomic_store(&interrupts[port_id].armed, true);
	return 0;
}

int __wrap_rte_eth_dev_rx_intr_disable(uint16_t port_id, uint16_t queue)
{
	atomic_store(&interrupts[port_id].armed, false);
	return 0;
}

static void ring_bell(uint16_t port_id)
{
	uint64_t one = 1;

	if (atomic_exchange(&interrupts[port_id].armed, false))
		assert_int_equal(sizeof(one), write(interrupts[port_id].fd, &one, sizeof(one)));
}

void graph_have_interrupts(bool on)
{
	have_interrupts = on;
}

// ---- ports -------------------------------------------------------------------------------------------

static uint16_t make_ethdev(unsigned int slot)
{
	struct rte_eth_conf conf = {0};
	char name[32];

	snprintf(name, sizeof(name), "to_%u", slot);
	to_port[slot] = rte_ring_create(name, RING_SIZE, SOCKET_ID_ANY, 0);
	snprintf(name, sizeof(name), "from_%u", slot);
	from_port[slot] = rte_ring_create(name, RING_SIZE, SOCKET_ID_ANY, 0);
	assert_non_null(to_port[slot]);
	assert_non_null(from_port[slot]);
	snprintf(name, sizeof(name), "slot%u", slot);
	int port_id = rte_eth_from_rings(name, &to_port[slot], 1, &from_port[slot], 1, 0);
	assert_true(port_id >= 0);
	assert_int_equal(0, rte_eth_dev_configure((uint16_t)port_id, 1, 1, &conf));
	assert_int_equal(0, rte_eth_rx_queue_setup((uint16_t)port_id, 0, 64, 0, NULL, pool));
	assert_int_equal(0, rte_eth_tx_queue_setup((uint16_t)port_id, 0, 64, 0, NULL));
	assert_int_equal(0, rte_eth_dev_start((uint16_t)port_id));
	return (uint16_t)port_id;
}

int graph_start(void **state)
{
	char prefix[64];
	char *arguments[] = {
		(char[]){"graph_test"},
		(char[]){"--no-huge"},
		(char[]){"--no-shconf"},
		(char[]){"--no-pci"},
		(char[]){"-m"},
		(char[]){"256"},
		(char[]){"--no-telemetry"},
		(char[]){"--lcores"},
		(char[]){"(0-1)@(0-1)"},
		(char[]){"--log-level=4"},
		prefix,
	};

	snprintf(prefix, sizeof(prefix), "--file-prefix=graph_test_%d", getpid());
	if (rte_eal_init(RTE_DIM(arguments), arguments) < 0)
		return -1;
	pool = rte_pktmbuf_pool_create("packets", BUFFERS, 0, DATAPATH_MBUF_PRIVATE_SIZE,
				       RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	assert_non_null(pool);
	for (unsigned int slot = 0; slot < PORTS; slot++)
		port_ids[slot] = make_ethdev(slot);
	return 0;
}

int graph_stop(void **state)
{
	for (unsigned int slot = 0; slot < PORTS; slot++) {
		rte_eth_dev_stop(port_ids[slot]);
		rte_eth_dev_close(port_ids[slot]);
	}
	return rte_eal_cleanup();
}

static void parse4(const char *text, struct in_addr *ret_address)
{
	assert_int_equal(1, inet_pton(AF_INET, text, ret_address));
}

static void parse6(const char *text, struct in6_addr *ret_address)
{
	assert_int_equal(1, inet_pton(AF_INET6, text, ret_address));
}

const uint8_t router_mac[6] = {0x02, 0, 0, 0, 0, 0x01};

const uint8_t *port_mac(unsigned int slot)
{
	static uint8_t macs[PORTS][6];

	memcpy(macs[slot], (uint8_t[]){0x02, 0, 0, 0, 0x01, (uint8_t)slot}, 6);
	return macs[slot];
}

struct datapath_port graph_port_config(unsigned int slot)
{
	static const char *const ip4[PORTS] = {
		[HOST] = GATEWAY4,          [POD_A] = A4, [POD_B] = B4, [POD_SMALL] = SMALL4,
		[POD_IP4_ONLY] = IP4_ONLY4,
	};
	static const char *const ip6[PORTS] = {
		[HOST] = GATEWAY6,
		[POD_A] = A6,
		[POD_B] = B6,
		[POD_SMALL] = SMALL6,
	};
	struct datapath_port config = {
		.slot = slot,
		.role = slot == UPLINK ? DATAPATH_ROLE_UPLINK
			: slot == HOST ? DATAPATH_ROLE_HOST
				       : DATAPATH_ROLE_POD,
		.port_id = port_ids[slot],
		.pool = pool,
		.rx_interrupts = have_interrupts,
		.tx_ipv4_checksum = true,
		.tx_l4_checksum = true,
		.tx_tso = true,
		.tx_multi_segs = true,
		.mtu = slot == POD_SMALL ? MTU_MIN : 1500,
		.has_ipv4 = ip4[slot] != NULL,
		.has_ipv6 = ip6[slot] != NULL,
	};

	if (slot != HOST)
		memcpy(config.mac.bytes, port_mac(slot), 6);
	if (config.has_ipv4)
		parse4(ip4[slot], &config.ipv4);
	if (config.has_ipv6)
		parse6(ip6[slot], &config.ipv6);
	return config;
}

void graph_replace_port(const struct datapath_port *config)
{
	struct error err;

	datapath_port_remove(config->slot);
	assert_int_equal(0, datapath_port_add(config, &err));
}

struct uplink graph_uplink(void)
{
	static const struct {
		const char *prefix, *next_hop;
		uint8_t length;
		bool is_ipv6;
	} routes[] = {
		{"0.0.0.0", GATE4, 0, false},
		{"198.51.100.0", PEER4, 24, false},
		{"::", GATE6, 0, true},
		{"2001:db8:f::", PEER6, 48, true},
	};
	struct uplink uplink = {
		.has_ipv4 = true,
		.has_ipv6 = true,
		.ipv4_prefix_length = 24,
		.ipv6_prefix_length = 64,
		.route_count = RTE_DIM(routes),
	};

	parse4(WIRE4, &uplink.ipv4);
	parse6(WIRE6, &uplink.ipv6);
	for (size_t i = 0; i < RTE_DIM(routes); i++) {
		struct uplink_route *route = &uplink.routes[i];
		int family = routes[i].is_ipv6 ? AF_INET6 : AF_INET;

		route->is_ipv6 = routes[i].is_ipv6;
		route->prefix_length = routes[i].length;
		assert_int_equal(1, inet_pton(family, routes[i].prefix, route->prefix));
		assert_int_equal(1, inet_pton(family, routes[i].next_hop, route->next_hop));
	}
	return uplink;
}

static void set_router(void)
{
	struct datapath_router router = {
		.has_ipv4 = true,
		.has_ipv6 = true,
		.ipv4_prefix_length = 24,
		.ipv6_prefix_length = 64,
	};

	memcpy(router.mac.bytes, router_mac, 6);
	parse4(GATEWAY4, &router.gateway_ipv4);
	parse4("10.88.0.0", &router.network_ipv4);
	parse6(GATEWAY6, &router.gateway_ipv6);
	parse6("fd00:88::", &router.network_ipv6);
	datapath_set_router(&router);
}

static const struct masquerade_config *masquerade;

void graph_masquerade(const struct masquerade_config *config)
{
	masquerade = config;
}

int graph_set_up(void **state)
{
	static struct frame f;
	struct error err;

	buffers_before = rte_mempool_in_use_count(pool);
	launched = false;
	assert_int_equal(
		0, datapath_start(&(struct datapath_config){.workers = 1, .masquerade = masquerade},
				  &err));
	set_router();
	for (unsigned int slot = 0; slot < TEST_PORTS; slot++) {
		struct datapath_port config = graph_port_config(slot);

		assert_int_equal(0, datapath_port_add(&config, &err));
	}
	// The host says something, so that its MAC is known.
	frame_arp(&f, HOST, 2, GATEWAY4, "169.254.1.1");
	inject(HOST, &f);
	memset(seen, 0, sizeof(seen));
	for (unsigned int slot = 0; slot < PORTS; slot++)
		datapath_clear_counters(slot);
	return 0;
}

int graph_tear_down(void **state)
{
	if (!launched)
		run();
	for (unsigned int slot = 0; slot < PORTS; slot++)
		datapath_port_remove(slot);
	datapath_stop();
	// The rings are emptied also if a test failed, so that the next one begins afresh.
	unsigned int left = 0;
	struct rte_mbuf *m;
	for (unsigned int slot = 0; slot < PORTS; slot++) {
		drain(slot);
		while ((m = pull(slot)) != NULL) {
			left++;
			rte_pktmbuf_free(m);
		}
	}
	unsigned int lost = rte_mempool_in_use_count(pool) - buffers_before;
	if (left > 0 || lost > 0)
		print_error("%u packets came out that nobody looked at, %u buffers are lost\n",
			    left, lost);
	return left > 0 || lost > 0 ? -1 : 0;
}

// ---- sending and looking -------------------------------------------------------------------------

struct rte_mbuf *frame_to_mbuf(const struct frame *f, size_t segment)
{
	struct rte_mbuf *head = NULL, *last = NULL;

	for (size_t offset = 0; offset < f->size || head == NULL;) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
		assert_non_null(m);
		size_t part = RTE_MIN(f->size - offset, (size_t)rte_pktmbuf_tailroom(m));

		if (segment > 0)
			part = RTE_MIN(part, segment);
		memcpy(rte_pktmbuf_append(m, (uint16_t)part), f->bytes + offset, part);
		offset += part;
		if (head == NULL) {
			head = m;
		} else {
			last->next = m;
			head->nb_segs++;
			head->pkt_len += m->data_len;
		}
		last = m;
	}
	return head;
}

void push(unsigned int slot, struct rte_mbuf *m)
{
	unsigned int waits = 0;

	while (rte_ring_enqueue(to_port[slot], m) < 0) { // the worker's thread has a busy machine
		assert_true(launched && ++waits < 10000);
		rte_delay_us_sleep(1000);
	}
	if (have_interrupts)
		ring_bell(port_ids[slot]);
}

void run(void)
{
	struct publication *publication = start->publication;
	struct worker *w = start->worker;
	unsigned int walks = 0;

	for (unsigned int round = 0; round < 3; round++) {
		rte_rcu_qsbr_thread_online(publication->qsbr, w->thread_id);
		w->waiting.looked_tsc = 0;
		while (worker_walk(w, publication) > 0)
			assert_true(++walks < WALKS_MAX);
		rte_rcu_qsbr_thread_offline(publication->qsbr, w->thread_id);
		neighbours_run(now_ms);
	}
}

uint64_t walk_once(void)
{
	struct publication *publication = start->publication;
	struct worker *w = start->worker;

	rte_rcu_qsbr_thread_online(publication->qsbr, w->thread_id);
	uint64_t packets = worker_walk(w, publication);
	rte_rcu_qsbr_thread_offline(publication->qsbr, w->thread_id);
	return packets;
}

unsigned int polled_ports(void)
{
	return start->worker->polled_count;
}

void pass_ms(uint64_t ms)
{
	now_ms += ms;
	neighbours_run(now_ms);
	run();
}

void expire_waiting(void)
{
	struct waiting *waiting = &start->worker->waiting;

	for (uint16_t i = 0; i < waiting->count; i++)
		waiting->packets[i].since_tsc -= rte_get_tsc_hz() / 1000 * (WAITING_MS + 1);
	run();
}

void inject(unsigned int slot, const struct frame *f)
{
	push(slot, frame_to_mbuf(f, 0));
	run();
}

struct rte_mbuf *pull(unsigned int slot)
{
	struct rte_mbuf *m = NULL;

	rte_ring_dequeue(from_port[slot], (void **)&m);
	if (m != NULL)
		rte_mbuf_sanity_check(m, 1);
	return m;
}

bool pull_frame(unsigned int slot, struct frame *ret_frame)
{
	struct rte_mbuf *m = pull(slot);

	if (m == NULL)
		return false;
	assert_true(m->pkt_len <= FRAME_MAX);
	ret_frame->size = m->pkt_len;
	const void *bytes = rte_pktmbuf_read(m, 0, m->pkt_len, ret_frame->bytes);
	assert_non_null(bytes);
	if (bytes != ret_frame->bytes)
		memcpy(ret_frame->bytes, bytes, m->pkt_len);
	bool header_left_to_port = (m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) != 0;
	rte_pktmbuf_free(m);
	ret_frame->l3 = 14;
	if (header_left_to_port)
		frame_fix_ip4(ret_frame);
	bool ipv6 = ret_frame->bytes[12] == 0x86;
	ret_frame->l4 = ret_frame->l3 + (ipv6 ? 40u : (ret_frame->bytes[14] & 15u) * 4u);
	ret_frame->payload = ret_frame->l4 + 8;
	return true;
}

void drain(unsigned int slot)
{
	struct rte_mbuf *m;

	while (rte_ring_dequeue(to_port[slot], (void **)&m) == 0)
		rte_pktmbuf_free(m);
}

void refill_icmp_budget(unsigned int slot)
{
	start->worker->icmp[slot] = (struct icmp_budget){0};
}

void assert_nothing_out(void)
{
	for (unsigned int slot = 0; slot < PORTS; slot++)
		if (rte_ring_count(from_port[slot]) != 0)
			fail_msg("a packet came out of slot %u", slot);
}

void assert_dropped_(unsigned int slot, enum drop_reason reason, uint64_t count, const char *file,
		     int line)
{
	struct datapath_counters now, before = seen[slot];

	datapath_read_counters(slot, &now);
	seen[slot] = now;
	for (size_t i = 0; i < DROP_REASON_COUNT; i++) {
		uint64_t drops = now.drops[i] - before.drops[i];
		uint64_t expected = i == reason ? count : 0;

		if (drops != expected) {
			print_error("slot %u: %lu drops for %s, expected %lu for %s\n", slot, drops,
				    datapath_drop_reason_name(i), count,
				    datapath_drop_reason_name(reason));
			_fail(file, line);
		}
	}
}

void assert_drops(unsigned int slot, const struct frame *f, enum drop_reason reason)
{
	inject(slot, f);
	assert_dropped(slot, reason);
	assert_nothing_out();
}

void assert_forwards(unsigned int from, const struct frame *f, unsigned int to)
{
	static struct frame expected, got;

	expected = *f;
	frame_as_forwarded(&expected, to);
	inject(from, f);
	assert_no_drops(from);
	assert_true(pull_frame(to, &got));
	assert_int_equal(expected.size, got.size);
	assert_memory_equal(expected.bytes, got.bytes, got.size);
	assert_nothing_out();
}

// What both families have in common: back to where it came from, with as much of the cause as fits.
static void check_error(unsigned int from, const struct frame *cause, const struct frame *error,
			size_t most)
{
	size_t quoted = RTE_MIN(cause->size - cause->l3, most);

	assert_memory_equal(port_mac(from), error->bytes, 6);
	assert_memory_equal(router_mac, error->bytes + 6, 6);
	assert_int_equal(error->payload + quoted, error->size);
	assert_memory_equal(cause->bytes + cause->l3, error->bytes + error->payload, quoted);
	assert_true(l4_checksum_good(error));
}

void assert_error4(unsigned int from, const struct frame *f, enum drop_reason reason, uint8_t type,
		   uint8_t code, uint32_t value, const char *source)
{
	static struct frame error;
	struct in_addr address;

	inject(from, f);
	assert_dropped(from, reason);
	assert_true(pull_frame(from, &error));
	assert_nothing_out();
	const uint8_t *ip = error.bytes + error.l3, *icmp = error.bytes + error.l4;
	assert_int_equal(0x08, error.bytes[12]);
	assert_int_equal(0x45, ip[0]);
	assert_int_equal(0xc0, ip[1]); // RFC 1812 section 4.3.2.5
	assert_int_equal(error.size - error.l3, ip[2] << 8 | ip[3]);
	assert_int_equal(64, ip[8]);
	assert_int_equal(IPPROTO_ICMP, ip[9]);
	assert_int_equal(0xffff, reference_sum(ip, 20, 0));
	parse4(source, &address);
	assert_memory_equal(&address, ip + 12, 4);
	assert_memory_equal(f->bytes + f->l3 + 12, ip + 16, 4);
	assert_int_equal(type, icmp[0]);
	assert_int_equal(code, icmp[1]);
	value = htonl(value);
	assert_memory_equal(&value, icmp + 4, 4);
	check_error(from, f, &error, 576 - 28);
}

void assert_error6(unsigned int from, const struct frame *f, enum drop_reason reason, uint8_t type,
		   uint8_t code, uint32_t value, const char *source)
{
	static struct frame error;
	struct in6_addr address;

	inject(from, f);
	assert_dropped(from, reason);
	assert_true(pull_frame(from, &error));
	assert_nothing_out();
	const uint8_t *ip = error.bytes + error.l3, *icmp = error.bytes + error.l4;
	assert_int_equal(0x86, error.bytes[12]);
	assert_int_equal(0x60, ip[0]);
	assert_int_equal(error.size - error.l4, ip[4] << 8 | ip[5]);
	assert_int_equal(IPPROTO_ICMPV6, ip[6]);
	assert_int_equal(64, ip[7]);
	parse6(source, &address);
	assert_memory_equal(&address, ip + 8, 16);
	assert_memory_equal(f->bytes + f->l3 + 8, ip + 24, 16);
	assert_int_equal(type, icmp[0]);
	assert_int_equal(code, icmp[1]);
	value = htonl(value);
	assert_memory_equal(&value, icmp + 4, 4);
	check_error(from, f, &error, 1280 - 48);
}
