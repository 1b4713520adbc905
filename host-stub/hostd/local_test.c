// SPDX-License-Identifier: BSD-3-Clause
//
// The local socket: who may use it, hostile packets, callers that hang up. Arguments as work_test.

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hostd/test_cmocka.h"
#include "hostd/test_daemon.h"
#include "proto/codec.h"

static char **programs;
static struct test_daemon hostd;

static int setup(void **state)
{
	for (unsigned int vf = 0; vf < 4; vf++)
		test_function_new(vf);
	test_daemon_prepare(&hostd, programs);
	return 0;
}

static int teardown(void **state)
{
	test_daemon_clear(&hostd);
	return 0;
}

static void up(const char *more)
{
	test_hostd_start(&hostd, more);
	test_agent_up(&hostd);
}

static struct request status_request(void)
{
	return (struct request){.timeout_ms = 5000, .call = CALL_GET_STATUS};
}

static void assert_serves(int connection)
{
	struct request status = status_request();
	struct reply reply;

	test_send(connection, &status, -1);
	assert_int_equal(test_receive(connection, &reply), CODE_OK);
}

static void assert_undone(int sandbox)
{
	test_wait_for(test_agent_count(hostd.memory) == 0);
	assert_int_equal(test_run_in(sandbox, "test $(ip -o link | wc -l) = 1"), 0);
	assert_int_equal(test_run("ip link show tfn0v0 > /dev/null"), 0);
}

// ---- callers -------------------------------------------------------------------------------------

// Ask for the status as another user. Returns the code, or 100 + errno if there is no connection.
static int ask_as(uid_t uid)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct request request = status_request();
		struct reply reply;
		int connection;

		if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
			_exit(99);
		connection = test_connect(&hostd);
		if (connection < 0)
			_exit(100 + errno);
		test_send(connection, &request, -1);
		_exit(test_receive(connection, &reply) & 0xff);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void only_allowed_users_are_answered(void **state)
{
	up("allowed_uids: [0, 4242]");
	chmod(hostd.folder, 0755);
	assert_int_equal(ask_as(0), CODE_OK);
	assert_int_equal(ask_as(4242), CODE_OK);
	assert_int_equal(ask_as(4243), CODE_PERMISSION);
}

static void root_is_refused_where_it_is_not_listed(void **state)
{
	test_hostd_start(&hostd, "allowed_uids: [4242]");
	assert_int_equal(ask_as(0), CODE_PERMISSION);
}

static void by_default_nobody_but_root_gets_to_the_socket(void **state)
{
	struct stat st;

	up("");
	chmod(hostd.folder, 0755);
	assert_int_equal(stat(hostd.socket, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(ask_as(4242), 100 + EACCES);
}

static void refused_callers_keep_nobody_out(void **state)
{
	int idle[64];

	up("allowed_uids: [0, 4242]");
	chmod(hostd.folder, 0755);
	if (fork() == 0) {
		if (setresuid(4243, 4243, 4243) < 0)
			_exit(1);
		for (int i = 0; i < 64; i++)
			idle[i] = test_connect(&hostd);
		_exit(idle[63] < 0);
	}
	wait(NULL);
	assert_int_equal(ask_as(4242), CODE_OK);
}

static void many_connections_are_bounded_and_told_so(void **state)
{
	struct rlimit files = {4096, 4096};
	struct request status = status_request();
	static int connections[600];
	struct reply reply;
	int busy = 0;

	setrlimit(RLIMIT_NOFILE, &files);
	up("");
	for (int i = 0; i < 600; i++) {
		connections[i] = test_connect(&hostd);
		assert_true(connections[i] >= 0);
	}
	for (int i = 0; i < 600; i++) {
		int code = TEST_HUNG_UP;
		struct encoded encoded;
		struct error error;

		assert_int_equal(codec_encode_request(&status, &encoded, &error), 0);
		if (test_send_bytes(connections[i], encoded.data, encoded.size, NULL, 0) > 0)
			code = test_receive(connections[i], &reply);
		encoded_clear(&encoded);
		assert_true(code == CODE_OK || code == CODE_BUSY || code == TEST_HUNG_UP);
		busy += code != CODE_OK;
	}
	assert_int_equal(busy, 600 - 512);
	for (int i = 0; i < 600; i++)
		close(connections[i]);
	test_wait_for(ask_as(0) == CODE_OK);
}

static void a_hostd_out_of_file_descriptors_recovers(void **state)
{
	static int connections[100];
	struct rlimit few = {60, 60}, many = {4096, 4096};
	long spent;

	setrlimit(RLIMIT_NOFILE, &many);
	up("");
	assert_int_equal(prlimit(hostd.hostd, RLIMIT_NOFILE, &few, NULL), 0);
	for (int i = 0; i < 100; i++)
		connections[i] = test_connect(&hostd);
	usleep(300000);
	spent = test_hostd_cpu_ms(&hostd);
	sleep(1);
	assert_true(test_hostd_cpu_ms(&hostd) - spent < 300); // it does not turn in circles
	for (int i = 0; i < 100; i++)
		close(connections[i]);
	test_wait_for(ask_as(0) == CODE_OK);
}

// ---- packets -------------------------------------------------------------------------------------

static void hostile_packets_get_an_error_and_the_connection_goes_on(void **state)
{
	static uint8_t packet[LIMIT_MESSAGE_BYTES + 100];
	struct request attach = test_attach("a");
	struct encoded encoded;
	struct error error;
	struct reply reply;
	int connection;

	up("");
	connection = test_connect(&hostd);
	memset(packet, 0xff, sizeof(packet));
	for (size_t size = 1; size <= sizeof(packet); size = size * 3 + 1) {
		assert_int_equal(test_send_bytes(connection, packet, size, NULL, 0), size);
		assert_int_equal(test_receive(connection, &reply), CODE_BAD_REQUEST);
	}
	assert_int_equal(test_send_bytes(connection, packet, sizeof(packet), NULL, 0),
			 sizeof(packet));
	assert_int_equal(test_receive(connection, &reply), CODE_BAD_REQUEST);
	assert_non_null(strstr(reply.message, "65536 bytes"));
	// Every truncation of a good one.
	assert_int_equal(codec_encode_request(&attach, &encoded, &error), 0);
	for (size_t size = 1; size < encoded.size; size++) {
		assert_int_equal(test_send_bytes(connection, encoded.data, size, NULL, 0), size);
		assert_int_not_equal(test_receive(connection, &reply), CODE_OK);
		assert_int_not_equal(reply.code, CODE_INTERNAL);
	}
	encoded_clear(&encoded);
	assert_int_equal(hostd.memory->calls[CALL_ATTACH], 0);
	assert_serves(connection);
	close(connection);
}

static void file_descriptors_nobody_asked_for_are_closed(void **state)
{
	struct request status = status_request(), attach = test_attach("a");
	int many[64], connection, sandbox = test_sandbox_new();
	struct encoded encoded;
	struct error error;
	struct reply reply;
	unsigned int before;

	up("");
	connection = test_connect(&hostd);
	assert_serves(connection);
	before = test_hostd_fds(&hostd);
	for (int i = 0; i < 64; i++)
		many[i] = sandbox;
	assert_int_equal(codec_encode_request(&attach, &encoded, &error), 0);
	for (size_t count = 2; count <= 64; count++) {
		assert_int_equal(
			test_send_bytes(connection, encoded.data, encoded.size, many, count),
			encoded.size);
		assert_int_equal(test_receive(connection, &reply), CODE_BAD_REQUEST);
		assert_non_null(strstr(reply.message, "file descriptor"));
	}
	encoded_clear(&encoded);
	// With a call that needs none, with garbage, and with nothing at all.
	test_send(connection, &status, sandbox);
	assert_int_equal(test_receive(connection, &reply), CODE_OK);
	assert_int_equal(test_send_bytes(connection, "\xff", 1, many, 1), 1);
	assert_int_equal(test_receive(connection, &reply), CODE_BAD_REQUEST);
	assert_int_equal(test_send_bytes(connection, "", 0, many, 1), 0);
	assert_int_equal(test_receive(connection, &reply), TEST_HUNG_UP);
	close(connection);
	test_wait_for(test_hostd_fds(&hostd) == before - 1);
	assert_int_equal(test_agent_count(hostd.memory), 0);
	close(sandbox);
}

static void calls_leave_no_file_descriptor_open(void **state)
{
	struct request attach = test_attach("a"), detach = test_detach("a"),
		       check = test_check("a");
	int sandbox = test_sandbox_new(), connection;
	struct reply reply;
	unsigned int before = 0;

	up("");
	connection = test_connect(&hostd);
	for (int i = 0; i < 20; i++) {
		test_send(connection, &attach, sandbox);
		assert_int_equal(test_receive(connection, &reply), CODE_OK);
		test_send(connection, &check, sandbox);
		assert_int_equal(test_receive(connection, &reply), CODE_OK);
		test_send(connection, &detach, sandbox);
		assert_int_equal(test_receive(connection, &reply), CODE_OK);
		if (i == 0)
			before = test_hostd_fds(&hostd);
	}
	test_wait_for(test_hostd_fds(&hostd) <=
		      before); // the link's thread may have one for a moment
	close(connection);
	close(sandbox);
}

static void an_idle_client_does_not_keep_a_sandbox_alive(void **state)
{
	struct request attach = test_attach("a");
	int sandbox = test_sandbox_new(), connection;
	struct reply reply;

	up("");
	connection = test_connect(&hostd);
	test_send(connection, &attach, sandbox);
	assert_int_equal(test_receive(connection, &reply), CODE_OK);
	close(sandbox);
	// What is left is the host's.
	test_wait_for(test_run("test $(ls -l /proc/%d/fd | grep -c 'net:') = 1", hostd.hostd) == 0);
	close(connection);
}

// ---- hanging up ----------------------------------------------------------------------------------

static void an_add_whose_caller_hung_up_is_undone(void **state)
{
	struct request attach = test_attach("a");
	int sandbox = test_sandbox_new(), connection;

	up("");
	hostd.memory->delay_ms[CALL_ATTACH] = 300;
	connection = test_connect(&hostd);
	test_send(connection, &attach, sandbox);
	test_wait_for(test_agent_count(hostd.memory) == 1);
	close(connection);
	assert_undone(sandbox);
	close(sandbox);
}

static void an_add_whose_caller_died_before_reading_the_answer_is_undone(void **state)
{
	struct request attach = test_attach("a");
	int sandbox = test_sandbox_new(), connection;
	struct pollfd poll_fd;

	up("");
	connection = test_connect(&hostd);
	test_send(connection, &attach, sandbox);
	poll_fd = (struct pollfd){.fd = connection, .events = POLLIN};
	assert_int_equal(poll(&poll_fd, 1, 20000), 1);
	usleep(300000); // longer than hostd waits before it looks for the first time
	assert_int_equal(test_agent_count(hostd.memory), 1);
	close(connection);
	assert_undone(sandbox);
	close(sandbox);
}

static void an_add_whose_caller_read_the_answer_stays(void **state)
{
	struct request attach = test_attach("a");
	int sandbox = test_sandbox_new();
	struct reply reply;

	up("");
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_OK); // closes at once
	usleep(300000);
	assert_int_equal(test_agent_count(hostd.memory), 1);
	assert_int_equal(test_run_in(sandbox, "ip link show eth0 > /dev/null"), 0);
	close(sandbox);
}

static void a_repeated_add_that_is_hung_up_on_does_not_take_down_the_pod(void **state)
{
	struct request attach = test_attach("a");
	int sandbox = test_sandbox_new(), connection;
	struct reply reply;

	up("");
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_OK);
	hostd.memory->delay_ms[CALL_ATTACH] = 200;
	connection = test_connect(&hostd);
	test_send(connection, &attach, sandbox);
	test_wait_for(hostd.memory->calls[CALL_ATTACH] == 2);
	close(connection);
	usleep(500000);
	assert_int_equal(test_agent_count(hostd.memory), 1);
	assert_int_equal(test_run_in(sandbox, "ip link show up eth0 | grep -q eth0"), 0);
	close(sandbox);
}

static void an_answer_left_unread_does_not_undo_a_newer_add(void **state)
{
	struct request attach = test_attach("a"), detach = test_detach("a");
	int sandbox = test_sandbox_new(), connection;
	struct pollfd poll_fd;
	struct reply reply;

	up("");
	connection = test_connect(&hostd);
	test_send(connection, &attach, sandbox);
	poll_fd = (struct pollfd){.fd = connection, .events = POLLIN};
	assert_int_equal(poll(&poll_fd, 1, 20000), 1);
	assert_int_equal(test_call(&hostd, &detach, sandbox, &reply), CODE_OK);
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_OK);
	close(connection); // of the first one, unread
	usleep(300000);
	assert_int_equal(test_agent_count(hostd.memory), 1);
	assert_int_equal(test_run_in(sandbox, "ip link show up eth0 | grep -q eth0"), 0);
	close(sandbox);
}

static void a_del_whose_caller_hung_up_is_finished(void **state)
{
	struct request attach = test_attach("a"), detach = test_detach("a");
	int sandbox = test_sandbox_new(), connection;
	struct reply reply;

	up("");
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_OK);
	hostd.memory->delay_ms[CALL_DETACH] = 200;
	connection = test_connect(&hostd);
	test_send(connection, &detach, sandbox);
	close(connection);
	assert_undone(sandbox);
	close(sandbox);
}

static void an_add_waiting_for_the_agent_is_dropped_when_its_caller_goes(void **state)
{
	struct request attach = test_attach("a");
	int sandbox = test_sandbox_new(), connection;

	test_hostd_start(&hostd, "");
	connection = test_connect(&hostd);
	test_send(connection, &attach, sandbox);
	usleep(100000);
	close(connection);
	usleep(100000);
	test_agent_up(&hostd);
	assert_int_equal(hostd.memory->calls[CALL_ATTACH], 0);
	close(sandbox);
}

// ---- other hostds --------------------------------------------------------------------------------

static int run_second(const char *socket, const char *state_dir)
{
	test_run("sed -e 's,^listen:.*,listen: %s,' -e 's,^state_dir:.*,state_dir: %s,' "
		 "%s/hostd.yaml > %s/second.yaml",
		 socket, state_dir, hostd.folder, hostd.folder);
	return test_run("timeout 5 %s --config %s/second.yaml 2> %s/second.log", programs[1],
			hostd.folder, hostd.folder);
}

static void a_second_hostd_is_refused(void **state)
{
	char path[128];

	up("");
	snprintf(path, sizeof(path), "%s/other.sock", hostd.folder);
	assert_int_equal(run_second(hostd.socket, "/nonexistent/state"), 1);
	snprintf(path, sizeof(path), "%s/state2", hostd.folder);
	assert_int_equal(run_second(hostd.socket, path), 1);
	assert_int_equal(test_run("grep -q 'another podport-hostd' %s/second.log", hostd.folder),
			 0);
	snprintf(path, sizeof(path), "%s/state", hostd.folder);
	assert_int_equal(run_second("/tmp/hostd-test-never.sock", path), 1);
	assert_int_equal(test_run("grep -q 'another podport-hostd' %s/second.log", hostd.folder),
			 0);
	assert_int_equal(ask_as(0), CODE_OK); // the first is unharmed
}

static void the_socket_of_a_killed_hostd_is_replaced(void **state)
{
	up("");
	test_hostd_stop(&hostd, SIGKILL);
	assert_int_equal(access(hostd.socket, F_OK), 0);
	test_hostd_start(&hostd, "");
	assert_int_equal(ask_as(0), CODE_OK);
}

static void a_file_that_is_no_socket_is_not_replaced(void **state)
{
	test_hostd_start(&hostd, "");
	test_run("echo precious > %s/file", hostd.folder);
	char file[128], folder[128];

	snprintf(file, sizeof(file), "%s/file", hostd.folder);
	snprintf(folder, sizeof(folder), "%s/state2", hostd.folder);
	assert_int_equal(run_second(file, folder), 1);
	assert_int_equal(test_run("grep -q precious %s", file), 0);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(only_allowed_users_are_answered),
		TEST(root_is_refused_where_it_is_not_listed),
		TEST(by_default_nobody_but_root_gets_to_the_socket),
		TEST(refused_callers_keep_nobody_out),
		TEST(many_connections_are_bounded_and_told_so),
		TEST(a_hostd_out_of_file_descriptors_recovers),
		TEST(hostile_packets_get_an_error_and_the_connection_goes_on),
		TEST(file_descriptors_nobody_asked_for_are_closed),
		TEST(calls_leave_no_file_descriptor_open),
		TEST(an_idle_client_does_not_keep_a_sandbox_alive),
		TEST(an_add_whose_caller_hung_up_is_undone),
		TEST(an_add_whose_caller_died_before_reading_the_answer_is_undone),
		TEST(an_add_whose_caller_read_the_answer_stays),
		TEST(a_repeated_add_that_is_hung_up_on_does_not_take_down_the_pod),
		TEST(an_answer_left_unread_does_not_undo_a_newer_add),
		TEST(a_del_whose_caller_hung_up_is_finished),
		TEST(an_add_waiting_for_the_agent_is_dropped_when_its_caller_goes),
		TEST(a_second_hostd_is_refused),
		TEST(the_socket_of_a_killed_hostd_is_replaced),
		TEST(a_file_that_is_no_socket_is_not_replaced),
	};

	if (argc != 3)
		return 2;
	programs = argv;
	test_host_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
