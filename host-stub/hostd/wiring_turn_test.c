// SPDX-License-Identifier: BSD-3-Clause
//
// Many sandboxes dressed at once, against the real kernel, in netns of the test's own.

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hostd/clock.h"
#include "hostd/test_cmocka.h"
#include "hostd/test_netns.h"
#include "hostd/wiring.h"

enum { PODS = 6, CHANGES_MAX = 16 * PODS };

static struct wiring wiring;

// Who has sent changes to the kernel, in their order.
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_t senders[CHANGES_MAX];
static unsigned int sent;

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	pthread_mutex_lock(&mutex);
	if (sent < CHANGES_MAX)
		senders[sent++] = pthread_self();
	pthread_mutex_unlock(&mutex);
	return __real_sendmsg(fd, message, flags);
}

struct pod {
	pthread_t thread;
	pthread_barrier_t *begin;
	int sandbox;
	struct attachment attachment;
	int result;
	struct error error;
};

static void *dress(void *arg)
{
	struct pod *pod = arg;
	bool created;

	pthread_barrier_wait(pod->begin);
	pod->result = wiring_dress(&wiring, pod->sandbox, &pod->attachment, clock_ms() + 60000,
				   &created, &pod->error);
	return NULL;
}

// What somebody sent is followed by what others sent: so often.
static unsigned int count_changes_of_hands(void)
{
	unsigned int count = 0;

	for (unsigned int i = 1; i < sent; i++)
		count += !pthread_equal(senders[i], senders[i - 1]);
	return count;
}

static void of_many_pods_at_once_each_is_ready_before_the_next_begins(void **state)
{
	struct pod pods[PODS];
	pthread_barrier_t begin;

	pthread_barrier_init(&begin, NULL, PODS);
	for (unsigned int i = 0; i < PODS; i++) {
		test_function_new(i);
		pods[i] = (struct pod){.begin = &begin,
				       .sandbox = test_sandbox_new(),
				       .attachment = test_attachment(i)};
		assert_int_equal(pthread_create(&pods[i].thread, NULL, dress, &pods[i]), 0);
	}
	for (unsigned int i = 0; i < PODS; i++)
		pthread_join(pods[i].thread, NULL);
	pthread_barrier_destroy(&begin);

	for (unsigned int i = 0; i < PODS; i++) {
		if (pods[i].result < 0 ||
		    wiring_check(&wiring, pods[i].sandbox, &pods[i].attachment, &pods[i].error) < 0)
			fail_msg("pod %u: %s", i, pods[i].error.message);
		close(pods[i].sandbox);
	}
	// The alias, the move, the addresses: more than one each, and none of another pod's between them.
	assert_in_range(sent, 2 * PODS, CHANGES_MAX - 1);
	assert_int_equal(count_changes_of_hands(), PODS - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_many_pods_at_once_each_is_ready_before_the_next_begins),
	};
	struct error error;

	test_host_enter();
	if (wiring_open(TEST_PATTERN, &wiring, &error) < 0)
		return 1;
	// On a loaded machine a turn may take longer than usual.
	turn_close(wiring.turn);
	if (turn_open(60000, &wiring.turn, &error) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
