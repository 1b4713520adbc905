// SPDX-License-Identifier: BSD-3-Clause
//
// The card alone, without DPDK: this test is the driver, and speaks the card's protocol.

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "sim/simnic/card.h"
#include "sim/simnic/card_link.h"
#include "sim/simnic/tap.h"
#include "sim/simnic/test_support.h"

static char folder[] = "/tmp/simnic-card-test.XXXXXX";
static char socket_path[sizeof(folder) + 16];
static char why[CARD_TEXT_SIZE];

// ---- a running card, a driver ---------------------------------------------------------------------------

static struct {
	struct card *card; // NULL: none runs
	pthread_t thread;
} running;

static void *run_card(void *argument)
{
	card_run(argument);
	return NULL;
}

static struct card_config make_config(uint16_t vfs)
{
	struct card_config config = {.name = "nic0", .vfs = vfs};

	card_config_defaults(&config);
	return config;
}

static void card_start(uint16_t vfs)
{
	struct card_config config = make_config(vfs);

	if (card_new(&config, &running.card, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	if (card_listen(running.card, socket_path, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	assert_int_equal(pthread_create(&running.thread, NULL, run_card, running.card), 0);
}

static void card_end(void)
{
	card_stop(running.card);
	pthread_join(running.thread, NULL);
	card_free(running.card);
	running.card = NULL;
}

// What the test holds of the card.
struct driver {
	int link;
	uint16_t count;
	unsigned int told; // how often about any function
	int fds[CARD_INDEX_MAX];
	struct card_function functions[CARD_INDEX_MAX];
};

static void changed(void *argument, const struct card_function *function, int fd)
{
	struct driver *driver = argument;

	if (driver->fds[function->index] >= 0)
		close(driver->fds[function->index]);
	driver->fds[function->index] = fd;
	driver->functions[function->index] = *function;
	driver->told++;
}

static struct driver *driver_attach(void)
{
	struct driver *driver = calloc(1, sizeof(*driver));
	struct card_message hello;

	assert_non_null(driver);
	for (unsigned int i = 0; i < CARD_INDEX_MAX; i++)
		driver->fds[i] = -1;
	if (card_link_connect(socket_path, &driver->link, &hello, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	driver->count = CARD_INDEX_VF0 + hello.hello.vfs;
	while (driver->told < driver->count)
		assert_int_equal(card_link_read(driver->link, driver->count, changed, driver), 0);
	return driver;
}

static void driver_detach(struct driver *driver)
{
	for (unsigned int i = 0; i < driver->count; i++)
		if (driver->fds[i] >= 0)
			close(driver->fds[i]);
	close(driver->link);
	free(driver);
}

// A failed test must not fail those after it.
static int clean_up(void **state)
{
	if (running.card != NULL)
		card_end();
	return 0;
}

static bool netdev_exists(const char *name)
{
	return if_nametoindex(name) != 0;
}

// ---- tests ----------------------------------------------------------------------------------------------

static void the_interfaces_have_their_names_macs_and_descriptions(void **state)
{
	card_start(3);
	shell("ip link show podport0 | grep -q 'alias simnic:nic0:pf'");
	shell("ip link show nic0w | grep -q 'alias simnic:nic0:wire'");
	shell("ip link show nic0v2 | grep -q 'alias simnic:nic0:vf2'");
	// The same at every start: the bytes come from the name.
	shell("ip link show podport0 | grep -q '02:5a:e8:d3:00:00'");
	shell("ip link show nic0v0 | grep -q '02:5a:e8:d3:00:01'");
	shell("ip link show nic0v2 | grep -q '02:5a:e8:d3:00:03'");
	shell("ip link show nic0w | grep -q '02:5a:e8:d3:ff:ff'");
	card_end();
	assert_false(netdev_exists("nic0v0"));
	assert_int_equal(access(socket_path, F_OK), -1);
}

static void an_interface_gets_no_ipv6_address_on_the_host_but_in_a_pod(void **state)
{
	pid_t pod = netns_new();

	card_start(1);
	shell("ip link set nic0v0 up");
	shell("test -z \"$(ip -6 addr show dev nic0v0)\"");
	shell("ip link set nic0v0 netns %d", (int)pod);
	netns_shell(pod, "ip link set nic0v0 up");
	netns_shell(pod, "ip -6 addr show dev nic0v0 | grep -q fe80::");
	netns_delete(pod);
	card_end();
}

static void a_taken_name_is_said_and_nothing_is_left(void **state)
{
	struct card_config config = make_config(3);
	struct card *card;

	shell("ip tuntap add dev nic0v2 mode tap");
	assert_int_equal(card_new(&config, &card, why, sizeof(why)), -EEXIST);
	assert_string_equal(why, "a network interface named nic0v2 exists already");
	assert_false(netdev_exists("nic0v0"));
	assert_false(netdev_exists("podport0"));
	shell("ip link del nic0v2");
}

static void a_second_card_at_the_same_socket_is_refused(void **state)
{
	struct card_config config = {.name = "nic1", .pf = "nic1p", .vfs = 1};
	struct card *card;

	card_start(1);
	card_config_defaults(&config);
	assert_int_equal(card_new(&config, &card, why, sizeof(why)), 0);
	assert_int_equal(card_listen(card, socket_path, why, sizeof(why)), -EADDRINUSE);
	card_free(card);
	driver_detach(driver_attach()); // the first one still answers
	card_end();
}

static void a_dead_cards_socket_is_replaced(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	assert_return_code(bind(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	close(fd);
	card_start(1);
	driver_detach(driver_attach());
	card_end();
}

static void a_driver_gets_every_function(void **state)
{
	struct driver *driver;

	card_start(300); // several messages
	driver = driver_attach();
	assert_int_equal(driver->count, 302);
	assert_int_equal(driver->told, 302);
	assert_string_equal(driver->functions[CARD_INDEX_WIRE].netdev, "nic0w");
	assert_string_equal(driver->functions[CARD_INDEX_PF].netdev, "podport0");
	for (unsigned int i = 0; i < driver->count; i++)
		assert_true(tap_alive(driver->fds[i]));
	assert_string_equal(driver->functions[CARD_INDEX_VF0 + 299].netdev, "nic0v299");
	// And the descriptor is that of this netdev.
	assert_false(tap_is_up(driver->fds[CARD_INDEX_VF0 + 299]));
	shell("ip link set nic0v299 up");
	assert_true(tap_is_up(driver->fds[CARD_INDEX_VF0 + 299]));
	assert_false(tap_is_up(driver->fds[CARD_INDEX_VF0 + 298]));
	driver_detach(driver);
	card_end();
}

static void a_second_driver_is_refused_with_the_reason(void **state)
{
	struct driver *driver;
	struct card_message hello;
	char expected[64];
	int fd;

	card_start(1);
	driver = driver_attach();
	assert_int_equal(card_link_connect(socket_path, &fd, &hello, why, sizeof(why)), -EBUSY);
	snprintf(expected, sizeof(expected), "a driver (pid %d) is attached to nic0 already",
		 (int)getpid());
	assert_string_equal(why, expected);
	driver_detach(driver);
	driver_detach(
		driver_attach()); // at once, also if the card has not seen the first one's end
	card_end();
}

static void no_card_is_said(void **state)
{
	struct card_message hello;
	int fd;

	assert_int_equal(card_link_connect(socket_path, &fd, &hello, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "no card at"));
}

static void functions_stay_where_they_are_when_the_driver_goes(void **state)
{
	struct driver *driver;
	pid_t pod = netns_new();
	unsigned int index;

	card_start(2);
	driver = driver_attach();
	shell("ip link set nic0v1 netns %d", (int)pod);
	netns_shell(pod, "ip link set nic0v1 name eth0 up");
	driver_detach(driver);
	driver = driver_attach();
	netns_shell(pod, "ip link show eth0 >/dev/null");
	index = CARD_INDEX_VF0 + 1;
	assert_true(tap_is_up(driver->fds[index])); // the very netdev in the pod
	driver_detach(driver);
	netns_delete(pod);
	card_end();
}

// Whether a descriptor of this function that is alive has come to the driver.
static bool is_replaced(struct driver *driver, uint16_t index)
{
	while (card_link_read(driver->link, driver->count, changed, driver) == 0)
		;
	return driver->fds[index] >= 0 && tap_alive(driver->fds[index]);
}

static void a_dead_netns_gives_its_function_back_and_tells_the_driver(void **state)
{
	struct driver *driver;
	pid_t pod = netns_new();
	int before;

	card_start(2);
	driver = driver_attach();
	before = dup(driver->fds[CARD_INDEX_VF0]);
	assert_return_code(fcntl(driver->link, F_SETFL, O_NONBLOCK), errno);
	shell("ip link set nic0v0 netns %d", (int)pod);
	netns_shell(pod, "ip link set nic0v0 name eth0 up");
	netns_delete(pod);
	WAIT_FOR(!tap_alive(before));
	WAIT_FOR(is_replaced(driver, CARD_INDEX_VF0));
	shell("ip link show nic0v0 | grep -q '02:5a:e8:d3:00:01'");
	shell("ip link show nic0v0 | grep -q 'simnic:nic0:vf0'");
	close(before);
	driver_detach(driver);
	card_end();
}

static void a_dead_netns_gives_its_function_back_without_a_driver(void **state)
{
	pid_t pod = netns_new();
	struct driver *driver;

	card_start(2);
	shell("ip link set nic0v0 netns %d", (int)pod);
	netns_delete(pod);
	WAIT_FOR(netdev_exists("nic0v0"));
	driver = driver_attach();
	assert_true(tap_alive(driver->fds[CARD_INDEX_VF0]));
	driver_detach(driver);
	card_end();
}

// The host cannot see a netns die that it never moved a netdev to. A driver can.
static void a_drivers_hint_is_enough_to_find_a_dead_function(void **state)
{
	pid_t pod = netns_new(), nested = netns_new();
	struct driver *driver;
	int error;

	card_start(1);
	driver = driver_attach();
	shell("ip link set nic0v0 netns %d", (int)pod);
	netns_shell(pod, "ip link set nic0v0 netns %d", (int)nested);
	usleep(1500000); // the card saw these moves and looks by itself, ever more rarely
	netns_delete(nested);
	WAIT_FOR(!tap_alive(driver->fds[CARD_INDEX_VF0]));
	// The hint, then nonsense: the answer to the first must come before the connection ends.
	driver->told = 0;
	card_link_lost(driver->link, CARD_INDEX_VF0);
	assert_int_equal(send(driver->link, "x", 1, 0), 1);
	do {
		error = card_link_read(driver->link, driver->count, changed, driver);
	} while (error == 0);
	assert_int_equal(error, -ECONNRESET);
	assert_true(driver->told > 0);
	assert_true(tap_alive(driver->fds[CARD_INDEX_VF0]));
	assert_true(netdev_exists("nic0v0"));
	driver_detach(driver);
	netns_delete(pod);
	card_end();
}

static void a_function_whose_name_is_taken_comes_back_when_it_is_free(void **state)
{
	struct driver *driver;
	pid_t pod = netns_new();

	card_start(1);
	driver = driver_attach();
	assert_return_code(fcntl(driver->link, F_SETFL, O_NONBLOCK), errno);
	shell("ip link set nic0v0 netns %d", (int)pod);
	shell("ip tuntap add dev nic0v0 mode tap");
	netns_delete(pod);
	while (driver->fds[CARD_INDEX_VF0] >= 0)
		(void)is_replaced(driver, CARD_INDEX_VF0); // told that it went
	shell("ip link del nic0v0");
	WAIT_FOR(is_replaced(driver, CARD_INDEX_VF0));
	assert_true(netdev_exists("nic0v0"));
	driver_detach(driver);
	card_end();
}

static void a_driver_may_have_a_netdev_replaced_wherever_it_is(void **state)
{
	struct driver *driver;
	pid_t pod = netns_new();

	card_start(2);
	driver = driver_attach();
	assert_return_code(fcntl(driver->link, F_SETFL, O_NONBLOCK), errno);
	shell("ip link set nic0v0 netns %d", (int)pod);
	netns_shell(pod, "ip link set nic0v0 name eth0 up");
	close(driver->fds[CARD_INDEX_VF0]);
	driver->fds[CARD_INDEX_VF0] = -1;
	assert_int_equal(card_link_replace(driver->link, CARD_INDEX_VF0), 0);
	WAIT_FOR(is_replaced(driver, CARD_INDEX_VF0));
	netns_shell(pod, "! ip link show eth0 2>/dev/null");
	shell("ip link show nic0v0 | grep -q '02:5a:e8:d3:00:01'");
	// And at home, where the old one has the name of the new one.
	close(driver->fds[CARD_INDEX_VF0]);
	driver->fds[CARD_INDEX_VF0] = -1;
	assert_int_equal(card_link_replace(driver->link, CARD_INDEX_VF0), 0);
	WAIT_FOR(is_replaced(driver, CARD_INDEX_VF0));
	assert_true(tap_alive(driver->fds[CARD_INDEX_VF0 + 1]));
	driver_detach(driver);
	netns_delete(pod);
	card_end();
}

static void a_deleted_interface_comes_back(void **state)
{
	card_start(1);
	shell("ip link del podport0");
	WAIT_FOR(netdev_exists("podport0"));
	card_end();
}

static void fifty_drivers_leave_no_descriptor_behind(void **state)
{
	unsigned int before;

	card_start(8);
	driver_detach(driver_attach());
	before = descriptor_count(getpid());
	for (unsigned int i = 0; i < 50; i++)
		driver_detach(driver_attach());
	WAIT_FOR(descriptor_count(getpid()) <= before); // the card closes its end in its own time
	card_end();
}

static void a_thousand_functions_come_and_go(void **state)
{
	struct driver *driver;

	card_start(CARD_VFS_MAX);
	driver = driver_attach();
	assert_int_equal(driver->told, CARD_INDEX_MAX);
	for (unsigned int i = 0; i < driver->count; i++)
		assert_true(tap_alive(driver->fds[i]));
	card_end();
	for (unsigned int i = 0; i < driver->count; i++)
		assert_false(tap_alive(driver->fds[i]));
	driver_detach(driver);
}

static void nonsense_from_a_driver_only_costs_it_the_connection(void **state)
{
	struct card_message message = {
		.magic = CARD_MAGIC, .version = CARD_VERSION, .type = CARD_LOST};
	struct driver *driver;
	char byte;

	card_start(1);
	driver = driver_attach();
	message.about.index = 60000;
	assert_int_equal(send(driver->link, &message, sizeof(message), 0), sizeof(message));
	assert_int_equal(recv(driver->link, &byte, 1, 0), 0);
	driver_detach(driver);
	driver = driver_attach();
	assert_int_equal(send(driver->link, "x", 1, 0), 1);
	assert_int_equal(recv(driver->link, &byte, 1, 0), 0);
	driver_detach(driver);
	driver_detach(driver_attach());
	card_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(the_interfaces_have_their_names_macs_and_descriptions,
					  clean_up),
		cmocka_unit_test_teardown(
			an_interface_gets_no_ipv6_address_on_the_host_but_in_a_pod, clean_up),
		cmocka_unit_test_teardown(a_taken_name_is_said_and_nothing_is_left, clean_up),
		cmocka_unit_test_teardown(a_second_card_at_the_same_socket_is_refused, clean_up),
		cmocka_unit_test_teardown(a_dead_cards_socket_is_replaced, clean_up),
		cmocka_unit_test_teardown(a_driver_gets_every_function, clean_up),
		cmocka_unit_test_teardown(a_second_driver_is_refused_with_the_reason, clean_up),
		cmocka_unit_test_teardown(no_card_is_said, clean_up),
		cmocka_unit_test_teardown(functions_stay_where_they_are_when_the_driver_goes,
					  clean_up),
		cmocka_unit_test_teardown(a_dead_netns_gives_its_function_back_and_tells_the_driver,
					  clean_up),
		cmocka_unit_test_teardown(a_dead_netns_gives_its_function_back_without_a_driver,
					  clean_up),
		cmocka_unit_test_teardown(a_drivers_hint_is_enough_to_find_a_dead_function,
					  clean_up),
		cmocka_unit_test_teardown(a_function_whose_name_is_taken_comes_back_when_it_is_free,
					  clean_up),
		cmocka_unit_test_teardown(a_driver_may_have_a_netdev_replaced_wherever_it_is,
					  clean_up),
		cmocka_unit_test_teardown(a_deleted_interface_comes_back, clean_up),
		cmocka_unit_test_teardown(fifty_drivers_leave_no_descriptor_behind, clean_up),
		cmocka_unit_test_teardown(a_thousand_functions_come_and_go, clean_up),
		cmocka_unit_test_teardown(nonsense_from_a_driver_only_costs_it_the_connection,
					  clean_up),
	};
	int failed;

	enter_fresh_netns();
	if (mkdtemp(folder) == NULL)
		return 1;
	snprintf(socket_path, sizeof(socket_path), "%s/card.sock", folder);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	shell("rm -rf %s", folder);
	return failed;
}
