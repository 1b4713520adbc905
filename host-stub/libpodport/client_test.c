// SPDX-License-Identifier: BSD-3-Clause
//
// libpodport.so, as others link it, against a podport-hostd that is not there or answers badly.

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "libpodport/client_test_helpers.h"

static unsigned int open_fds(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count;
}

// ---- connecting ----------------------------------------------------------------------------------

static void without_hostd_the_socket_is_named_and_what_to_start(void **state)
{
	struct podport_client *client = NULL;
	struct podport_error error;

	assert_int_equal(podport_connect("/tmp/no-such-folder/x.sock", 0, &client, &error),
			 -ENOENT);
	assert_null(client);
	assert_int_equal(error.code, PODPORT_HOSTD_AWAY);
	assert_string_equal(error.name, "hostd-away");
	assert_non_null(strstr(error.message, "/tmp/no-such-folder/x.sock"));
	assert_non_null(strstr(error.message, "podport-hostd"));
	// The error is optional.
	assert_int_equal(podport_connect("/tmp/no-such-folder/x.sock", 0, &client, NULL), -ENOENT);
}

static void a_socket_that_nobody_listens_at_is_hostd_away(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	char path[108];
	struct podport_client *client;
	struct podport_error error;

	strcpy(path, fake_hostd_path(fake));
	// As a killed daemon leaves it: the file, without the listener.
	char other[120];
	snprintf(other, sizeof(other), "%s.left", path);
	assert_int_equal(rename(path, other), 0);
	fake_hostd_stop(fake);
	assert_int_equal(podport_connect(other, 0, &client, &error), -ECONNREFUSED);
	assert_int_equal(error.code, PODPORT_HOSTD_AWAY);
	unlink(other);
	*strrchr(other, '/') = '\0';
	rmdir(other);
}

static void bad_arguments_are_named(void **state)
{
	char long_path[200] = "/";
	struct podport_client *client;
	struct podport_error error;

	memset(long_path + 1, 'x', sizeof(long_path) - 2);
	assert_int_equal(podport_connect("relative.sock", 0, &client, &error), -EINVAL);
	assert_int_equal(error.code, PODPORT_BAD_REQUEST);
	assert_non_null(strstr(error.message, "relative.sock"));
	assert_int_equal(podport_connect(long_path, 0, &client, &error), -EINVAL);
	assert_int_equal(podport_connect(NULL, PODPORT_TIMEOUT_MAX_MS + 1, &client, &error),
			 -EINVAL);
	assert_non_null(strstr(error.message, "timeout_ms"));
}

// A listener that never accepts: type, and how many more connections its backlog takes.
static int deaf_listener(int type, struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address->sun_path, sizeof(address->sun_path), "%s/podport-deaf-%d.sock",
		 getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp", getpid());
	unlink(address->sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof(*address)), 0);
	assert_int_equal(listen(fd, 0), 0);
	return fd;
}

static void a_socket_of_another_type_is_told_apart(void **state)
{
	struct sockaddr_un address;
	int listener = deaf_listener(SOCK_STREAM, &address);
	struct podport_client *client;
	struct podport_error error;

	assert_int_equal(podport_connect(address.sun_path, 100, &client, &error), -EPROTOTYPE);
	assert_int_equal(error.code, PODPORT_HOSTD_AWAY);
	assert_non_null(strstr(error.message, address.sun_path));
	close(listener);
	unlink(address.sun_path);
}

static void a_hostd_that_stands_still_does_not_hold_the_caller(void **state)
{
	struct sockaddr_un address;
	int listener = deaf_listener(SOCK_SEQPACKET, &address);
	struct podport_client *client[8];
	struct podport_error error;
	int connected = 0, r;

	while ((r = podport_connect(address.sun_path, 50, &client[connected], &error)) == 0)
		assert_true(++connected < 8);
	assert_int_equal(r, -ETIMEDOUT);
	assert_int_equal(error.code, PODPORT_HOSTD_AWAY);
	while (connected > 0)
		podport_free(client[--connected]);
	close(listener);
	unlink(address.sun_path);
}

static void a_user_who_may_not_is_told_so(void **state)
{
	struct podport_client *client;
	struct podport_error error;
	struct fake_hostd *fake;

	if (geteuid() != 0)
		skip();
	fake = fake_hostd_start(NULL, NULL, NULL); // mkdtemp: 0700
	assert_int_equal(seteuid(65534), 0);
	int r = podport_connect(fake_hostd_path(fake), 0, &client, &error);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(r, -EACCES);
	assert_int_equal(error.code, PODPORT_PERMISSION);
	assert_non_null(strstr(error.message, "65534"));
	fake_hostd_stop(fake);
}

// ---- what goes wrong -----------------------------------------------------------------------------

static enum fake_answer refuse(const struct fake_call *call, struct reply *reply, void *arg)
{
	struct error err = {.code = (enum code)call->number, .message = "because of 42 pods"};

	reply_clear(reply);
	reply_from_error(reply, &err);
	return FAKE_REPLY;
}

static void every_code_of_an_error_arrives_with_its_sentence(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, refuse, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_del_request request = PODPORT_DEL_REQUEST_INIT;
	struct podport_error error;

	request.key = some_key();
	for (unsigned int code = 1; code < CODE_COUNT; code++) {
		assert_true(podport_del(client, &request, &error) < 0);
		assert_int_equal(error.code, code);
		assert_string_equal(error.name, podport_code_name((int)code));
		assert_string_equal(error.message, "because of 42 pods");
	}
	assert_string_equal(podport_code_name(9999), "unknown");
	podport_free(client);
	fake_hostd_stop(fake);
}

static enum fake_answer as_told(const struct fake_call *call, struct reply *reply, void *arg)
{
	return call->number == 1 ? *(enum fake_answer *)arg : FAKE_REPLY;
}

// A first call that is answered badly is an error of `code`, `says`; the next call is answered well.
static void answered_badly(enum fake_answer how, int r, int code, const char *says)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, as_told, &how);
	struct podport_client *client = connect_to(fake, 20);
	struct podport_status *status;
	struct podport_error error;
	struct fake_call call;

	assert_int_equal(podport_get_status(client, &status, &error), r);
	assert_int_equal(error.code, code);
	if (strstr(error.message, says) == NULL)
		fail_msg("'%s' does not say '%s'", error.message, says);
	assert_non_null(strstr(error.message, fake_hostd_path(fake)));

	// On a new connection: an answer to the first could still come on the old one.
	assert_int_equal(podport_get_status(client, &status, &error), 0);
	fake_hostd_calls(fake, &call);
	assert_int_equal(call.connection, 2);
	podport_status_free(status);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void a_hang_up_is_hostd_away(void **state)
{
	answered_badly(FAKE_HANG_UP, -ECONNRESET, PODPORT_HOSTD_AWAY, "closed the connection");
}

static void silence_ends_when_the_time_is_up(void **state)
{
	answered_badly(FAKE_SILENCE, -ETIMEDOUT, PODPORT_HOSTD_AWAY, "has not answered");
}

static void garbage_is_no_answer(void **state)
{
	answered_badly(FAKE_GARBAGE, -EBADMSG, PODPORT_INTERNAL, "no reply");
}

static void an_answer_without_a_body_is_none(void **state)
{
	answered_badly(FAKE_EMPTY, -EBADMSG, PODPORT_INTERNAL, "no reply");
}

static void an_answer_of_a_newer_hostd_is_called_that(void **state)
{
	answered_badly(FAKE_NEWER, -EBADMSG, PODPORT_UNSUPPORTED, "127");
}

static void an_answer_that_is_too_long_is_none(void **state)
{
	answered_badly(FAKE_TOO_LONG, -EBADMSG, PODPORT_INTERNAL, "no reply");
}

static enum fake_answer answer_another_call(const struct fake_call *call, struct reply *reply,
					    void *arg)
{
	reply->call = CALL_DETACH;
	memset(&reply->body, 0, sizeof(reply->body));
	return FAKE_REPLY;
}

static void the_answer_to_another_call_is_none(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, answer_another_call, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_ipam *ipam;
	struct podport_error error;

	assert_int_equal(podport_get_ipam(client, &ipam, &error), -EBADMSG);
	assert_int_equal(error.code, PODPORT_INTERNAL);
	assert_non_null(strstr(error.message, "detach"));
	podport_free(client);
	fake_hostd_stop(fake);
}

static void a_client_outlives_a_restart_of_hostd(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_error error;
	struct podport_ipam *ipam;
	char path[108], kept[120];

	assert_int_equal(podport_get_ipam(client, &ipam, NULL), 0);
	podport_ipam_free(ipam);
	strcpy(path, fake_hostd_path(fake));
	snprintf(kept, sizeof(kept), "%s.kept", path);
	fclose(fopen(kept, "w")); // keeps the folder
	fake_hostd_stop(fake);
	assert_int_equal(podport_get_ipam(client, &ipam, &error), -ENOENT);
	assert_int_equal(error.code, PODPORT_HOSTD_AWAY);

	fake = fake_hostd_start(path, NULL, NULL);
	assert_int_equal(podport_get_ipam(client, &ipam, NULL), 0);
	podport_ipam_free(ipam);
	fake_hostd_stop(fake);
	// Also without a failed call in between.
	fake = fake_hostd_start(path, NULL, NULL);
	assert_int_equal(podport_get_ipam(client, &ipam, NULL), 0);
	podport_ipam_free(ipam);
	fake_hostd_stop(fake);
	podport_free(client);
	unlink(kept);
	*strrchr(kept, '/') = '\0';
	rmdir(kept);
}

// The caller gives up while hostd has the call.
static enum fake_answer gives_up(const struct fake_call *call, struct reply *reply, void *arg)
{
	assert_int_equal(eventfd_write(*(int *)arg, 1), 0);
	return FAKE_SILENCE;
}

static enum fake_answer answers_and_gives_up(const struct fake_call *call, struct reply *reply,
					     void *arg)
{
	gives_up(call, reply, arg);
	return FAKE_REPLY;
}

static void a_call_that_is_given_up_ends_at_once(void **state)
{
	int cancel_fd = eventfd(0, EFD_CLOEXEC);
	struct fake_hostd *fake = fake_hostd_start(NULL, gives_up, &cancel_fd);
	struct podport_client *client = connect_to(fake, PODPORT_TIMEOUT_MAX_MS);
	struct podport_add_request request = some_add();
	struct podport_attachment *attachment;
	struct podport_error error;

	podport_set_cancel_fd(client, cancel_fd);
	assert_int_equal(podport_add(client, &request, &attachment, &error), -ECANCELED);
	assert_int_equal(error.code, PODPORT_HOSTD_AWAY);
	assert_non_null(strstr(error.message, "gave up"));
	// Nor is another one begun.
	assert_int_equal(podport_add(client, &request, &attachment, &error), -ECANCELED);
	assert_int_equal(fake_hostd_calls(fake, NULL), 1);
	podport_free(client);
	fake_hostd_stop(fake);
	close(cancel_fd);
}

static void giving_up_while_the_answer_comes_is_one_or_the_other(void **state)
{
	int cancel_fd = eventfd(0, EFD_CLOEXEC);
	struct fake_hostd *fake = fake_hostd_start(NULL, answers_and_gives_up, &cancel_fd);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_del_request request = PODPORT_DEL_REQUEST_INIT;
	struct podport_error error;

	request.key = some_key();
	podport_set_cancel_fd(client, cancel_fd);
	int r = podport_del(client, &request, &error);
	// The fake answers a moment after it gives up, so that either may come first; what must not
	// be is an error of another kind, or a client that is of no use any more.
	assert_true(r == 0 || r == -ECANCELED);
	podport_set_cancel_fd(client, -1);
	assert_int_equal(podport_del(client, &request, &error), 0);
	podport_free(client);
	fake_hostd_stop(fake);
	close(cancel_fd);
}

static void no_descriptor_is_left_open(void **state)
{
	enum fake_answer how = FAKE_HANG_UP;
	unsigned int before = open_fds();
	struct fake_hostd *fake = fake_hostd_start(NULL, as_told, &how);
	struct podport_client *client = connect_to(fake, 20);
	struct podport_add_request request = some_add();
	struct podport_attachment *attachment;

	assert_true(podport_add(client, &request, &attachment, NULL) < 0);
	assert_int_equal(podport_add(client, &request, &attachment, NULL), 0);
	podport_attachment_free(attachment);
	request.netns = "/etc/hostname";
	assert_true(podport_add(client, &request, &attachment, NULL) < 0);
	podport_free(client);
	fake_hostd_stop(fake);
	assert_int_equal(open_fds(), before);
}

static void nothing_but_the_interface_is_exported(void **state)
{
	void *library = dlopen("libpodport.so.0", RTLD_NOW | RTLD_NOLOAD);

	assert_non_null(library);
	assert_non_null(dlsym(library, "podport_add"));
	assert_null(dlsym(library, "client_call"));
	assert_null(dlsym(library, "codec_decode_reply"));
	assert_null(dlsym(library, "podport__wire__reply__descriptor"));
	dlclose(library);
	assert_string_equal(podport_version(), PODPORT_VERSION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_hostd_the_socket_is_named_and_what_to_start),
		cmocka_unit_test(a_socket_that_nobody_listens_at_is_hostd_away),
		cmocka_unit_test(bad_arguments_are_named),
		cmocka_unit_test(a_socket_of_another_type_is_told_apart),
		cmocka_unit_test(a_hostd_that_stands_still_does_not_hold_the_caller),
		cmocka_unit_test(a_user_who_may_not_is_told_so),
		cmocka_unit_test(every_code_of_an_error_arrives_with_its_sentence),
		cmocka_unit_test(a_hang_up_is_hostd_away),
		cmocka_unit_test(silence_ends_when_the_time_is_up),
		cmocka_unit_test(garbage_is_no_answer),
		cmocka_unit_test(an_answer_without_a_body_is_none),
		cmocka_unit_test(an_answer_of_a_newer_hostd_is_called_that),
		cmocka_unit_test(an_answer_that_is_too_long_is_none),
		cmocka_unit_test(the_answer_to_another_call_is_none),
		cmocka_unit_test(a_client_outlives_a_restart_of_hostd),
		cmocka_unit_test(a_call_that_is_given_up_ends_at_once),
		cmocka_unit_test(giving_up_while_the_answer_comes_is_one_or_the_other),
		cmocka_unit_test(no_descriptor_is_left_open),
		cmocka_unit_test(nothing_but_the_interface_is_exported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
