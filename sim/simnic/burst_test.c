// SPDX-License-Identifier: BSD-3-Clause
//
// How many system calls a burst of frames takes, with io_uring and without. The pipeline is held until the burst is there, so
// that it does not depend on who is faster.

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/io_uring.h>

#include "sim/simnic/simnic.h"
#include "sim/simnic/test_device.h"
#include "sim/simnic/test_flow.h"

enum {
	FRAMES = 256,
	// Reads begin with 2 and double up to 32: 2 + 4 + 8 + 16 + 8 * 32, and the last finds the end.
	READS_BY_URING = 13,
	WRITES_BY_URING = FRAMES / BATCH_MAX,
	MORE = 3, // for what the kernel sends by itself
};

static int probe_single(void **state)
{
	device_arguments = "uring=0";
	return probe(state);
}

// Whether this kernel can do it, and lets us.
static bool kernel_has_uring(void)
{
	struct io_uring_params params = {0};
	int ring = syscall(SYS_io_uring_setup, 1, &params), tap;
	struct iovec iov = {&params, sizeof(params)};
	bool has = false;

	if (ring < 0)
		return false;
	close(ring);
	tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	assert_return_code(tap, errno);
	has = preadv2(tap, &iov, 1, -1, RWF_NOWAIT) < 0 && errno != EOPNOTSUPP;
	close(tap);
	return has;
}

// ---- holding the pipeline -------------------------------------------------------------------------------

struct hold {
	struct device *device;
	sem_t held, go;
	pthread_t thread;
};

static void wait_to_go(void *argument)
{
	struct hold *hold = argument;

	sem_post(&hold->held);
	sem_wait(&hold->go);
}

static void *hold_main(void *argument)
{
	struct hold *hold = argument;

	pipeline_call(hold->device, wait_to_go, hold);
	return NULL;
}

static void hold_begin(struct hold *hold)
{
	hold->device = device_next(NULL);
	sem_init(&hold->held, 0, 0);
	sem_init(&hold->go, 0, 0);
	assert_int_equal(pthread_create(&hold->thread, NULL, hold_main, hold), 0);
	sem_wait(&hold->held);
}

static void hold_end(struct hold *hold)
{
	sem_post(&hold->go);
	pthread_join(hold->thread, NULL);
	sem_destroy(&hold->held);
	sem_destroy(&hold->go);
}

static uint64_t system_calls(void)
{
	return counter_read(&device_next(NULL)->pipeline.batch.system_calls);
}

// ---- bursts ---------------------------------------------------------------------------------------------

// System calls that it takes to bring a burst of a function to its port, in their order.
static uint64_t receive_burst(void)
{
	int packet = netns_packet_socket(0, netdevs[0]);
	uint8_t frame[64], expected[64];
	struct hold hold;
	uint64_t before;

	hold_begin(&hold);
	before = system_calls();
	for (uint32_t i = 0; i < FRAMES; i++)
		assert_int_equal(send(packet, frame, make_frame(frame, sizeof(frame), i), 0),
				 sizeof(frame));
	hold_end(&hold);
	for (uint32_t i = 0; i < FRAMES; i++) {
		struct rte_mbuf *mbuf = receive_ours(ports[0]);

		make_frame(expected, sizeof(expected), i);
		assert_memory_equal(rte_pktmbuf_mtod(mbuf, uint8_t *), expected, sizeof(expected));
		rte_pktmbuf_free(mbuf);
	}
	close(packet);
	return system_calls() - before;
}

// The other way.
static uint64_t transmit_burst(void)
{
	int packet = netns_packet_socket(0, netdevs[0]);
	uint8_t frame[64], expected[64];
	struct hold hold;
	uint64_t before;

	hold_begin(&hold);
	before = system_calls();
	for (uint32_t i = 0; i < FRAMES; i++)
		port_send(ports[0], 0, pool, frame, make_frame(frame, sizeof(frame), i));
	hold_end(&hold);
	for (uint32_t i = 0; i < FRAMES; i++) {
		make_frame(expected, sizeof(expected), i);
		WAIT_FOR(read_ours(packet, frame, sizeof(frame)) == sizeof(frame));
		assert_memory_equal(frame, expected, sizeof(frame));
	}
	close(packet);
	return system_calls() - before;
}

// From a function to another by a rule, in and out.
static uint64_t forward_burst(void)
{
	int from = netns_packet_socket(0, netdevs[0]), to = netns_packet_socket(0, netdevs[1]);
	uint8_t frame[64], expected[64];
	struct hold hold;
	uint64_t before;

	rule_of(ports[UPLINK], PATTERN(FROM(ports[0]), OURS), ACTIONS(TO(ports[1])));
	hold_begin(&hold);
	before = system_calls();
	for (uint32_t i = 0; i < FRAMES; i++)
		assert_int_equal(send(from, frame, make_frame(frame, sizeof(frame), i), 0),
				 sizeof(frame));
	hold_end(&hold);
	for (uint32_t i = 0; i < FRAMES; i++) {
		make_frame(expected, sizeof(expected), i);
		WAIT_FOR(read_ours(to, frame, sizeof(frame)) == sizeof(frame));
		assert_memory_equal(frame, expected, sizeof(frame));
	}
	close(from);
	close(to);
	return system_calls() - before;
}

// A frame of each VF, which are read together.
static uint64_t receive_one_of_each(void)
{
	int packets[4];
	uint8_t frame[64];
	struct hold hold;
	uint64_t before;

	for (unsigned int i = 0; i < RTE_DIM(packets); i++)
		packets[i] = netns_packet_socket(0, netdevs[i]);
	hold_begin(&hold);
	before = system_calls();
	for (uint32_t i = 0; i < RTE_DIM(packets); i++)
		assert_int_equal(send(packets[i], frame, make_frame(frame, sizeof(frame), i), 0),
				 sizeof(frame));
	hold_end(&hold);
	for (uint32_t i = 0; i < RTE_DIM(packets); i++) {
		rte_pktmbuf_free(receive_ours(ports[i]));
		close(packets[i]);
	}
	return system_calls() - before;
}

static void up(void)
{
	start_all(PORT_PLAIN);
	all_up();
	for (unsigned int i = 0; i < PORTS; i++)
		WAIT_FOR(link_is_up(ports[i]));
}

static void a_burst_takes_few_system_calls(void **state)
{
	up();
	// The first frames tell whether TAPs take RWF_NOWAIT.
	receive_burst();
	assert_int_equal(batch_by_uring(&device_next(NULL)->pipeline.batch), kernel_has_uring());
	if (!kernel_has_uring())
		skip();
	assert_in_range(receive_burst(), 1, READS_BY_URING + MORE);
	assert_in_range(transmit_burst(), 1, WRITES_BY_URING + MORE);
	assert_in_range(receive_one_of_each(), 1, 1 + MORE);
	assert_in_range(forward_burst(), 1, 2 * READS_BY_URING + MORE);
}

static void without_io_uring_a_burst_takes_a_system_call_for_each_frame(void **state)
{
	up();
	assert_false(batch_by_uring(&device_next(NULL)->pipeline.batch));
	assert_in_range(receive_burst(), FRAMES, FRAMES + 2 * READS_BY_URING);
	assert_in_range(transmit_burst(), FRAMES, FRAMES + MORE);
	assert_in_range(receive_one_of_each(), 4, 8 + MORE);
	assert_in_range(forward_burst(), 2 * FRAMES, 2 * FRAMES + 2 * READS_BY_URING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_burst_takes_few_system_calls),
		cmocka_unit_test_setup_teardown(
			without_io_uring_a_burst_takes_a_system_call_for_each_frame, probe_single,
			remove_device),
	};

	return device_tests_run(tests, RTE_DIM(tests));
}
