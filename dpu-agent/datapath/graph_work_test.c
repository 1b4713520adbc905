// SPDX-License-Identifier: BSD-3-Clause
//
// How much the graph does for a packet whose way is known: no memory is allocated, the packet comes out in the mbuf
// it came in with; and under callgrind, each case's instructions are written down for tests/instructions, which knows
// how many are too many.
//
// Counted is what a worker's walk does, with rings for devices: per burst of 32 packets of 32 flows, and the polling
// of the other ports with it.

#include <netinet/in.h>

#include <rte_common.h>

#include "datapath/masquerade.h"
#include "datapath/wire_test.h"

#ifdef HAVE_CALLGRIND
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_TOGGLE_COLLECT
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(name) (void)(name)
#endif

#define WORLD4 "192.0.2.99" // behind the gate
#define WORLD6 "2001:db8:ffff::99"
#define FAR4   "198.51.100.7" // not masqueraded, behind the peer
#define FAR6   "2001:db8:f::7"

enum {
	BURST = 32,
	BURSTS = 32, // that are counted
	WARM_BURSTS = 2,
	PAYLOAD = 18, // an Ethernet frame of 60 bytes by IPv4
	POD_PORT = 80,
	FIRST_HOST_PORT = 8000,
};

static const struct masquerade_config config = {
	.ipv4 = true,
	.ipv6 = true,
	.excluded_count = 2,
	.excluded = {{.length = 24, .prefix = {198, 51, 100}},
		     {.is_ipv6 = true, .length = 48, .prefix = {0x20, 1, 0x0d, 0xb8, 0, 0x0f}}},
	.first_port = 40000,
	.last_port = 40999,
	.first_identifier = 1,
	.last_identifier = UINT16_MAX,
	.connections = 1024,
	.pick_up = true,
	.timeouts = {240, 7440, 240, 120, 10, 120, 300, 30, 60, 30},
};

static struct frame frames[BURST], out;

// ---- allocations -------------------------------------------------------------------------------------

static bool counting;
static unsigned int allocations;

#define COUNTED(type, name, parameters, arguments)                                                 \
	type __real_##name parameters;                                                             \
	type __wrap_##name parameters;                                                             \
	type __wrap_##name parameters                                                              \
	{                                                                                          \
		allocations += counting;                                                           \
		return __real_##name arguments;                                                    \
	}

COUNTED(void *, malloc, (size_t size), (size))
COUNTED(void *, calloc, (size_t count, size_t size), (count, size))
COUNTED(void *, realloc, (void *old, size_t size), (old, size))
COUNTED(void *, rte_malloc, (const char *type, size_t size, unsigned int align),
	(type, size, align))
COUNTED(void *, rte_zmalloc, (const char *type, size_t size, unsigned int align),
	(type, size, align))
COUNTED(void *, rte_malloc_socket, (const char *type, size_t size, unsigned int align, int socket),
	(type, size, align, socket))
COUNTED(void *, rte_zmalloc_socket, (const char *type, size_t size, unsigned int align, int socket),
	(type, size, align, socket))

// ---- a burst -------------------------------------------------------------------------------------------

// Each flow's packet in at `from`, all in one walk, out at `to`; ret_out: what the packets then are, NULL: nobody asks.
static void pass_burst(unsigned int from, unsigned int to, struct frame *ret_out)
{
	struct rte_mbuf *in[BURST], *m;

	for (unsigned int i = 0; i < BURST; i++)
		push(from, in[i] = frame_to_mbuf(&frames[i], 0));
	counting = true;
	CALLGRIND_TOGGLE_COLLECT;
	uint64_t packets = walk_once();
	CALLGRIND_TOGGLE_COLLECT;
	counting = false;
	assert_int_equal(BURST, packets);
	for (unsigned int i = 0; i < BURST; i++) {
		if (ret_out != NULL) {
			assert_true(pull_frame(to, &ret_out[i]));
			continue;
		}
		m = pull(to);
		assert_ptr_equal(in[i], m);
		rte_pktmbuf_free(m);
	}
}

static void count_work(const char *name, unsigned int from, unsigned int to)
{
	for (unsigned int i = 0; i < WARM_BURSTS; i++)
		pass_burst(from, to, NULL);
	allocations = 0;
	CALLGRIND_ZERO_STATS;
	for (unsigned int i = 0; i < BURSTS; i++)
		pass_burst(from, to, NULL);
	CALLGRIND_DUMP_STATS_AT(name);
	assert_int_equal(0, allocations);
	assert_nothing_out();
}

static void put16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

// Flows from consecutive ports; each to a port of its own from `to_port` on, or all to that one.
static void make_flows(unsigned int slot, const char *from, const char *to, uint16_t to_port,
		       bool own)
{
	for (unsigned int i = 0; i < BURST; i++) {
		struct frame *f = &frames[i];

		if (strchr(from, ':') != NULL)
			frame_udp6(f, slot, from, to, PAYLOAD);
		else
			frame_udp4(f, slot, from, to, PAYLOAD);
		put16(f->bytes + f->l4, (uint16_t)(5000 + i));
		put16(f->bytes + f->l4 + 2, (uint16_t)(own ? to_port + i : to_port));
		frame_finish(f);
	}
}

// What came out of the uplink, with its ends swapped, as the gate answers it.
static void make_answers(void)
{
	for (unsigned int i = 0; i < BURST; i++) {
		struct frame *f = &frames[i];
		bool ipv6 = f->bytes[12] == 0x86;
		size_t source = ipv6 ? 8 : 12, size = ipv6 ? 16 : 4;
		uint8_t *ip = f->bytes + f->l3, *l4 = f->bytes + f->l4, swap[16];

		memcpy(swap, ip + source, size);
		memcpy(ip + source, ip + source + size, size);
		memcpy(ip + source + size, swap, size);
		memcpy(swap, l4, 2);
		memcpy(l4, l4 + 2, 2);
		memcpy(l4 + 2, swap, 2);
		ip[ipv6 ? 7 : 8] = 64;
		if (!ipv6)
			frame_fix_ip4(f);
		to_agent(f, gate_mac);
	}
}

// ---- cases -----------------------------------------------------------------------------------------------

static void pod_to_pod(void **state)
{
	make_flows(POD_A, A4, B4, 7, false);
	count_work("pod_to_pod_ipv4", POD_A, POD_B);
	make_flows(POD_A, A6, B6, 7, false);
	count_work("pod_to_pod_ipv6", POD_A, POD_B);
}

// Pods that have nothing to say cost nothing once they rest.
static void among_idle_pods(void **state)
{
	for (unsigned int slot = EXTRA; slot < SLOTS; slot++) {
		struct datapath_port port = graph_port_config(slot);

		graph_replace_port(&port);
	}
	make_flows(POD_A, A4, B4, 7, false);
	for (unsigned int i = 0; i < 1100; i++)
		pass_burst(POD_A, POD_B, NULL);
	count_work("among_idle_pods_ipv4", POD_A, POD_B);
}

static void to_a_pod_with_a_limit(void **state)
{
	struct datapath_port port = graph_port_config(POD_B);

	for (unsigned int i = 0; i < BANDWIDTH_DIRECTIONS; i++)
		port.limits[i] = (struct bandwidth_limit){.bytes_per_s = 1000000000,
							  .burst_bytes = 1000000000};
	graph_replace_port(&port);
	make_flows(POD_A, A4, B4, 7, false);
	count_work("to_a_limited_pod_ipv4", POD_A, POD_B);
}

static void pod_to_the_host(void **state)
{
	make_flows(POD_A, A4, GATEWAY4, 7, false);
	count_work("pod_to_host_ipv4", POD_A, HOST);
}

static void routed(void **state)
{
	make_flows(POD_A, A4, FAR4, 7, false);
	count_work("routed_out_ipv4", POD_A, UPLINK);
	make_flows(POD_A, A6, FAR6, 7, false);
	count_work("routed_out_ipv6", POD_A, UPLINK);
}

static void masqueraded(void **state)
{
	static const struct {
		const char *out, *in, *pod, *world;
	} families[] = {
		{"masqueraded_out_ipv4", "masqueraded_in_ipv4", A4, WORLD4},
		{"masqueraded_out_ipv6", "masqueraded_in_ipv6", A6, WORLD6},
	};

	for (size_t i = 0; i < RTE_DIM(families); i++) {
		make_flows(POD_A, families[i].pod, families[i].world, 53, false);
		pass_burst(POD_A, UPLINK, frames);
		make_answers();
		count_work(families[i].in, UPLINK, POD_A);
		make_flows(POD_A, families[i].pod, families[i].world, 53, false);
		count_work(families[i].out, POD_A, UPLINK);
	}
}

static void published(void **state)
{
	struct masquerade_publication list[BURST];
	struct error err;

	for (unsigned int i = 0; i < BURST; i++) {
		list[i] = (struct masquerade_publication){.owner = 1,
							  .protocol = IPPROTO_UDP,
							  .port = (uint16_t)(FIRST_HOST_PORT + i),
							  .slot = POD_A,
							  .pod_port = POD_PORT};
		assert_int_equal(1, inet_pton(AF_INET, A4, list[i].pod));
	}
	assert_int_equal(0, masquerade_publish(list, BURST, &err));
	run();
	make_flows(UPLINK, WORLD4, WIRE4, FIRST_HOST_PORT, true);
	for (unsigned int i = 0; i < BURST; i++)
		to_agent(&frames[i], gate_mac);
	count_work("published_in_ipv4", UPLINK, POD_A);
	assert_int_equal(0, masquerade_publish(NULL, 0, &err));
	run();
}

// ---- life ------------------------------------------------------------------------------------------------

static int set_up(void **state)
{
	static const struct {
		const char *pod, *peer, *next_hop;
		const uint8_t *mac;
	} known[] = {{B4, WORLD4, GATE4, gate_mac},
		     {B6, WORLD6, GATE6, gate_mac},
		     {B4, FAR4, PEER4, peer_mac},
		     {B6, FAR6, PEER6, peer_mac}};
	int r = wire_set_up(state);

	for (size_t i = 0; i < RTE_DIM(known); i++) {
		meet(POD_B, known[i].pod, known[i].peer, known[i].next_hop, known[i].mac);
		assert_true(pull_frame(UPLINK, &out));
	}
	return r;
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, graph_tear_down)

static int set_up_with_interrupts(void **state)
{
	graph_have_interrupts(true);
	return set_up(state);
}

static int tear_down_with_interrupts(void **state)
{
	graph_have_interrupts(false);
	return graph_tear_down(state);
}

static int start(void **state)
{
	graph_masquerade(&config);
	return graph_start(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pod_to_pod),
		cmocka_unit_test_setup_teardown(among_idle_pods, set_up_with_interrupts,
						tear_down_with_interrupts),
		TEST(to_a_pod_with_a_limit),
		TEST(pod_to_the_host),
		TEST(routed),
		TEST(masqueraded),
		TEST(published),
	};

	return cmocka_run_group_tests_name("the graph's work", tests, start, graph_stop);
}
