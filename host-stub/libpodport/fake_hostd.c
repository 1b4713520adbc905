// SPDX-License-Identifier: BSD-3-Clause
//
// A podport-hostd for tests: one thread, one poll loop.

#include "libpodport/fake_hostd.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/codec.h"
#include "proto/test_samples.h"

enum { CONNECTIONS_MAX = 16 };

struct fake_hostd {
	char folder[80]; // empty: not ours
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	fake_handler handler;
	void *arg;
	int listener;
	int stop_pipe[2];
	pthread_t thread;
	pthread_mutex_t lock; // over what follows
	unsigned int calls;
	struct fake_call last;
	// Of the thread.
	int connections[CONNECTIONS_MAX]; // -1: free
	unsigned int numbers[CONNECTIONS_MAX];
	unsigned int connection_count;
};

// What cannot go on here is the test's bug or the machine's.
static void die(const char *what)
{
	fprintf(stderr, "fake_hostd: %s: %s\n", what, strerror(errno));
	abort();
}

// ---- one call ------------------------------------------------------------------------------------

static ssize_t receive(int fd, void *buffer, size_t size, uint64_t *ret_inode)
{
	struct iovec data = {.iov_base = buffer, .iov_len = size};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);

	*ret_inode = 0;
	if (got < 0)
		return got;
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (header == NULL)
		return got;
	if (header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
		die("more than one descriptor came");

	struct stat status;
	int netns_fd;
	memcpy(&netns_fd, CMSG_DATA(header), sizeof(netns_fd));
	if (fstat(netns_fd, &status) < 0)
		die("fstat");
	*ret_inode = status.st_ino;
	close(netns_fd);
	return got;
}

static void send_reply(int fd, const struct reply *reply)
{
	struct encoded encoded;
	struct error err;

	if (codec_encode_reply(reply, &encoded, &err) < 0) {
		fprintf(stderr, "fake_hostd: the test's reply is none: %s\n", err.message);
		abort();
	}
	send(fd, encoded.data, encoded.size, MSG_NOSIGNAL);
	encoded_clear(&encoded);
}

// A good reply, then a field that nobody knows, which ends where a receiver's buffer does, and one byte
// more: whoever does not notice that it was cut takes it for good.
static void send_too_long(int fd, const struct reply *reply)
{
	static uint8_t packet[LIMIT_MESSAGE_BYTES + 1];
	static const uint8_t unknown_field[] = {0xfa, 0x3e}; // 1007, bytes
	struct encoded encoded;
	struct error err;

	if (codec_encode_reply(reply, &encoded, &err) < 0)
		die(err.message);
	uint8_t *at = packet;
	memcpy(at, encoded.data, encoded.size);
	at += encoded.size;
	memcpy(at, unknown_field, sizeof(unknown_field));
	at += sizeof(unknown_field);
	// The length, as a varint of three bytes.
	size_t length = LIMIT_MESSAGE_BYTES - (size_t)(at + 3 - packet);
	*at++ = (uint8_t)(0x80 | (length & 0x7f));
	*at++ = (uint8_t)(0x80 | (length >> 7 & 0x7f));
	*at++ = (uint8_t)(length >> 14);
	encoded_clear(&encoded);
	send(fd, packet, sizeof(packet), MSG_NOSIGNAL);
}

// The samples are the codec's; a good answer besides fits what was asked.
static void fit_reply(struct reply *reply, const struct request *request)
{
	switch (request->call) {
	case CALL_ATTACH:
		reply->body.attach.key = request->body.attach.key;
		reply->body.attach.sandbox = request->body.attach.sandbox;
		reply->body.attach.pod = request->body.attach.pod;
		break;
	case CALL_CHECK:
		reply->body.check.key = request->body.check.key;
		reply->body.check.sandbox = request->body.check.sandbox;
		break;
	case CALL_LIST:
		reply->body.list.more = false;
		for (size_t i = 0; i < reply->body.list.count; i++)
			snprintf(reply->body.list.items[i].attachment.key.container_id, 32, "c%zu",
				 i);
		break;
	case CALL_LIST_PORTS:
		reply->body.ports.more = false;
		for (size_t i = 0; i < reply->body.ports.count; i++) {
			reply->body.ports.ports[i].slot = (uint32_t)i;
			snprintf(reply->body.ports.ports[i].key.container_id, 32, "c%zu", i);
		}
		break;
	case CALL_LIST_FLOWS:
		reply->body.flows.more = false;
		for (size_t i = 0; i < reply->body.flows.count; i++)
			snprintf(reply->body.flows.flows[i].key.container_id, 32, "c%zu", i);
		break;
	case CALL_LIST_NEIGHBOURS:
		reply->body.neighbours.more = false;
		break;
	case CALL_LIST_CONNECTIONS:
		reply->body.connections.more = false;
		break;
	case CALL_LIST_NAT:
		reply->body.nat.more = false;
		break;
	case CALL_GC:
		reply->body.gc.has_next = false;
		break;
	default:
		break;
	}
}

// Returns false if the connection is to be closed.
static bool answer(struct fake_hostd *fake, int fd, const struct fake_call *call)
{
	static const char garbage[] = "\xff\xff\xff\xff no message";
	static const char empty[] = {0x08, 0x00};             // code: 0
	static const char newer[] = {(char)0xfa, 0x07, 0x00}; // field 127, empty
	enum fake_answer how = FAKE_REPLY;
	struct reply reply;

	sample_reply(call->request.call, SAMPLE_TYPICAL, &reply);
	fit_reply(&reply, &call->request);
	if (fake->handler != NULL)
		how = fake->handler(call, &reply, fake->arg);
	switch (how) {
	case FAKE_REPLY:
		send_reply(fd, &reply);
		break;
	case FAKE_GARBAGE:
		send(fd, garbage, sizeof(garbage), MSG_NOSIGNAL);
		break;
	case FAKE_EMPTY:
		send(fd, empty, sizeof(empty), MSG_NOSIGNAL);
		break;
	case FAKE_NEWER:
		send(fd, newer, sizeof(newer), MSG_NOSIGNAL);
		break;
	case FAKE_TOO_LONG:
		send_too_long(fd, &reply);
		break;
	case FAKE_SILENCE:
	case FAKE_HANG_UP:
		break;
	}
	reply_clear(&reply);
	return how != FAKE_HANG_UP;
}

static void serve(struct fake_hostd *fake, size_t slot)
{
	static char buffer[LIMIT_MESSAGE_BYTES];
	int fd = fake->connections[slot];
	struct fake_call call = {.connection = fake->numbers[slot]};
	struct error err;
	ssize_t got = receive(fd, buffer, sizeof(buffer), &call.netns_inode);

	if (got > 0) {
		if (codec_decode_request(buffer, (size_t)got, &call.request, &err) < 0) {
			fprintf(stderr, "fake_hostd: what came is no request: %s\n", err.message);
			abort();
		}
		pthread_mutex_lock(&fake->lock);
		call.number = ++fake->calls;
		fake->last = call;
		pthread_mutex_unlock(&fake->lock);
		if (answer(fake, fd, &call))
			return;
	}
	close(fd);
	fake->connections[slot] = -1;
}

// ---- the thread ----------------------------------------------------------------------------------

static void accept_connection(struct fake_hostd *fake)
{
	int fd = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		if (fake->connections[i] < 0) {
			fake->connections[i] = fd;
			fake->numbers[i] = ++fake->connection_count;
			return;
		}
	}
	die("too many connections");
}

static void *run(void *arg)
{
	struct fake_hostd *fake = arg;
	struct pollfd poll_fds[2 + CONNECTIONS_MAX];

	for (;;) {
		poll_fds[0] = (struct pollfd){.fd = fake->stop_pipe[0], .events = POLLIN};
		poll_fds[1] = (struct pollfd){.fd = fake->listener, .events = POLLIN};
		for (size_t i = 0; i < CONNECTIONS_MAX; i++)
			poll_fds[2 + i] =
				(struct pollfd){.fd = fake->connections[i], .events = POLLIN};
		if (poll(poll_fds, 2 + CONNECTIONS_MAX, -1) < 0)
			continue;
		if (poll_fds[0].revents != 0)
			return NULL;
		for (size_t i = 0; i < CONNECTIONS_MAX; i++)
			if (poll_fds[2 + i].revents != 0)
				serve(fake, i);
		if (poll_fds[1].revents != 0)
			accept_connection(fake);
	}
}

struct fake_hostd *fake_hostd_start(const char *path, fake_handler handler, void *arg)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct fake_hostd *fake = calloc(1, sizeof(*fake));

	if (fake == NULL)
		die("calloc");
	fake->handler = handler;
	fake->arg = arg;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		fake->connections[i] = -1;
	if (path == NULL) {
		const char *parent = getenv("TMPDIR");
		snprintf(fake->folder, sizeof(fake->folder), "%s/podport-fake-XXXXXX",
			 parent != NULL ? parent : "/tmp");
		if (mkdtemp(fake->folder) == NULL)
			die(fake->folder);
		snprintf(fake->path, sizeof(fake->path), "%s/hostd.sock", fake->folder);
	} else {
		snprintf(fake->path, sizeof(fake->path), "%s", path);
	}
	memcpy(address.sun_path, fake->path, sizeof(address.sun_path));
	fake->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fake->listener < 0 ||
	    bind(fake->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fake->listener, CONNECTIONS_MAX) < 0)
		die(fake->path);
	if (pipe(fake->stop_pipe) < 0 || pthread_mutex_init(&fake->lock, NULL) != 0 ||
	    pthread_create(&fake->thread, NULL, run, fake) != 0)
		die("thread");
	return fake;
}

const char *fake_hostd_path(const struct fake_hostd *fake)
{
	return fake->path;
}

unsigned int fake_hostd_calls(struct fake_hostd *fake, struct fake_call *ret_last)
{
	pthread_mutex_lock(&fake->lock);
	unsigned int calls = fake->calls;
	if (ret_last != NULL)
		*ret_last = fake->last;
	pthread_mutex_unlock(&fake->lock);
	return calls;
}

void fake_hostd_stop(struct fake_hostd *fake)
{
	if (write(fake->stop_pipe[1], "", 1) != 1)
		die("stop");
	pthread_join(fake->thread, NULL);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (fake->connections[i] >= 0)
			close(fake->connections[i]);
	close(fake->listener);
	close(fake->stop_pipe[0]);
	close(fake->stop_pipe[1]);
	pthread_mutex_destroy(&fake->lock);
	unlink(fake->path);
	if (fake->folder[0] != '\0')
		rmdir(fake->folder);
	free(fake);
}
