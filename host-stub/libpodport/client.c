// SPDX-License-Identifier: BSD-3-Clause
//
// The connection to podport-hostd: AF_UNIX, SOCK_SEQPACKET, one packet per message. A connection
// carries one call at a time; one that got no good answer is closed, since the answer may still come
// and would be taken for the next call's.

#include "libpodport/client_private.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proto/codec.h"

enum {
	// hostd is told timeout_ms and answers by then; this is for its answer to arrive, and for
	// it to undo what it had begun in the sandbox.
	GRACE_MS = 2000,
};

struct podport_client {
	int fd;        // -1: to be connected by the next call
	int cancel_fd; // of the caller's, -1: none
	uint32_t timeout_ms;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	uint8_t *buffer; // LIMIT_MESSAGE_BYTES
};

int client_error(struct podport_error *error, const struct error *err, int r)
{
	if (error != NULL) {
		error->code = (int)err->code;
		error->name = code_name(err->code);
		snprintf(error->message, sizeof(error->message), "%s", err->message);
	}
	return r;
}

const char *podport_code_name(int code)
{
	return code_name((unsigned int)code);
}

const char *podport_version(void)
{
	return PODPORT_VERSION;
}

// ---- time ----------------------------------------------------------------------------------------

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct timeval timeval_of(int64_t ms)
{
	// All zero would mean no limit.
	if (ms < 1)
		ms = 1;
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

// ---- what can go wrong ---------------------------------------------------------------------------

static void disconnect(struct podport_client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
}

static int away(const struct podport_client *client, int errno_value, struct error *err)
{
	switch (errno_value) {
	case EACCES:
	case EPERM:
		return error_set(err, errno_value, CODE_PERMISSION,
				 "user %u may not use podport-hostd's socket %s", geteuid(),
				 client->path);
	case ENOENT:
	case ENOTDIR:
	case ECONNREFUSED:
		return error_set(err, errno_value, CODE_HOSTD_AWAY,
				 "podport-hostd is not running: nobody listens at %s (start it: "
				 "'systemctl start podport-hostd', or "
				 "'podport-hostd --config FILE')",
				 client->path);
	case EPROTOTYPE:
		return error_set(err, errno_value, CODE_HOSTD_AWAY,
				 "%s is not podport-hostd's: it is a socket of another type",
				 client->path);
	default:
		return error_set(err, errno_value, CODE_HOSTD_AWAY,
				 "podport-hostd at %s cannot be reached: %s", client->path,
				 strerror(errno_value));
	}
}

static int no_answer(struct podport_client *client, const char *call, struct error *err)
{
	disconnect(client);
	return error_set(err, ETIMEDOUT, CODE_HOSTD_AWAY,
			 "podport-hostd at %s has not answered '%s' for %u.%u s; whether it was "
			 "done is not known",
			 client->path, call, (client->timeout_ms + GRACE_MS) / 1000,
			 (client->timeout_ms + GRACE_MS) % 1000 / 100);
}

static int hung_up(struct podport_client *client, const char *call, struct error *err)
{
	disconnect(client);
	return error_set(err, ECONNRESET, CODE_HOSTD_AWAY,
			 "podport-hostd at %s closed the connection before it answered '%s'; "
			 "whether it was done is not known",
			 client->path, call);
}

static int cancelled(struct podport_client *client, const char *call, struct error *err)
{
	disconnect(client);
	return error_set(err, ECANCELED, CODE_HOSTD_AWAY,
			 "the caller gave up before podport-hostd at %s answered '%s'",
			 client->path, call);
}

// ---- connect -------------------------------------------------------------------------------------

// Bounded by the deadline: a daemon that stands still has a full backlog, in which connect(2) waits
// as long as SO_SNDTIMEO says.
static int connect_socket(struct podport_client *client, int64_t deadline_ms, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval limit = timeval_of(deadline_ms - now_ms());
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return error_set(err, errno, CODE_INTERNAL, "socket: %s", strerror(errno));
	memcpy(address.sun_path, client->path, sizeof(address.sun_path));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	while (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		int errno_value = errno;

		if (errno_value == EINTR && now_ms() < deadline_ms)
			continue;
		close(fd);
		if (errno_value == EAGAIN || errno_value == EINTR)
			errno_value = ETIMEDOUT;
		return away(client, errno_value, err);
	}
	client->fd = fd;
	return 0;
}

static int client_new(const char *path, uint32_t timeout_ms, struct podport_client **ret_client,
		      struct error *err)
{
	struct podport_client *client;

	if (path == NULL)
		path = PODPORT_SOCKET_DEFAULT;
	if (path[0] != '/' || strlen(path) >= sizeof(client->path))
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "socket: '%s' is not an absolute path of at most %zu bytes", path,
				 sizeof(client->path) - 1);
	if (timeout_ms > PODPORT_TIMEOUT_MAX_MS)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "timeout_ms: %u is more than %u",
				 timeout_ms, (unsigned int)PODPORT_TIMEOUT_MAX_MS);
	client = calloc(1, sizeof(*client));
	if (client == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
	client->fd = -1;
	client->cancel_fd = -1;
	client->timeout_ms = timeout_ms == 0 ? PODPORT_TIMEOUT_DEFAULT_MS : timeout_ms;
	strcpy(client->path, path);
	client->buffer = malloc(LIMIT_MESSAGE_BYTES);
	if (client->buffer == NULL) {
		podport_free(client);
		return error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
	}
	*ret_client = client;
	return 0;
}

int podport_connect(const char *socket_path, uint32_t timeout_ms,
		    struct podport_client **ret_client, struct podport_error *error)
{
	struct podport_client *client = NULL;
	struct error err;
	int r = client_new(socket_path, timeout_ms, &client, &err);

	if (r < 0)
		return client_error(error, &err, r);
	r = connect_socket(client, now_ms() + client->timeout_ms, &err);
	if (r < 0) {
		podport_free(client);
		return client_error(error, &err, r);
	}
	*ret_client = client;
	return 0;
}

void podport_free(struct podport_client *client)
{
	if (client == NULL)
		return;
	disconnect(client);
	free(client->buffer);
	free(client);
}

void podport_set_cancel_fd(struct podport_client *client, int fd)
{
	client->cancel_fd = fd;
}

// ---- one call ------------------------------------------------------------------------------------

static ssize_t send_packet(int fd, const struct encoded *packet, int netns_fd)
{
	struct iovec data = {.iov_base = packet->data, .iov_len = packet->size};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
	union {
		struct cmsghdr header; // for its alignment
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	ssize_t sent;

	if (netns_fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &netns_fd, sizeof(int));
	}
	do
		sent = sendmsg(fd, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent;
}

// Connect if need be and send. A connection kept from an earlier call may have died since; nothing
// was delivered on it then, so that once more on a new one is safe.
static int send_request(struct podport_client *client, const struct encoded *packet, int netns_fd,
			const char *call, int64_t deadline_ms, struct error *err)
{
	bool kept = client->fd >= 0;

	for (;;) {
		if (client->fd < 0) {
			int r = connect_socket(client, deadline_ms, err);
			if (r < 0)
				return r;
		}
		struct timeval limit = timeval_of(deadline_ms - now_ms());
		setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		if (send_packet(client->fd, packet, netns_fd) >= 0)
			return 0;

		int errno_value = errno;
		if (errno_value == EAGAIN)
			return no_answer(client, call, err);
		disconnect(client);
		if (!kept ||
		    (errno_value != EPIPE && errno_value != ECONNRESET && errno_value != ENOTCONN))
			return away(client, errno_value, err);
		kept = false;
	}
}

// 0: there is an answer. -ETIMEDOUT; -ECANCELED; another errno of poll's.
static int wait_readable(const struct podport_client *client, int64_t deadline_ms)
{
	// poll passes over a descriptor of -1.
	struct pollfd poll_fds[] = {{.fd = client->cancel_fd, .events = POLLIN},
				    {.fd = client->fd, .events = POLLIN}};

	for (;;) {
		int64_t left_ms = deadline_ms - now_ms();
		if (left_ms <= 0)
			return -ETIMEDOUT;
		int r = poll(poll_fds, 2, (int)left_ms);
		if (r > 0)
			return poll_fds[1].revents != 0 ? 0 : -ECANCELED;
		if (r < 0 && errno != EINTR)
			return -errno;
	}
}

static bool is_cancelled(const struct podport_client *client)
{
	struct pollfd poll_fd = {.fd = client->cancel_fd, .events = POLLIN};

	return client->cancel_fd >= 0 && poll(&poll_fd, 1, 0) > 0;
}

static int receive_reply(struct podport_client *client, const char *call, int64_t deadline_ms,
			 struct reply *ret_reply, struct error *err)
{
	struct iovec data = {.iov_base = client->buffer, .iov_len = LIMIT_MESSAGE_BYTES};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
	ssize_t size;
	int r = wait_readable(client, deadline_ms);

	if (r == -ETIMEDOUT)
		return no_answer(client, call, err);
	if (r == -ECANCELED)
		return cancelled(client, call, err);
	if (r < 0) {
		disconnect(client);
		return away(client, -r, err);
	}
	do
		size = recvmsg(client->fd, &message, MSG_CMSG_CLOEXEC);
	while (size < 0 && errno == EINTR);
	if (size == 0 || (size < 0 && errno == ECONNRESET))
		return hung_up(client, call, err);
	if (size < 0) {
		int errno_value = errno;
		disconnect(client);
		return away(client, errno_value, err);
	}
	if (message.msg_flags & MSG_TRUNC)
		r = error_set(err, EMSGSIZE, CODE_INTERNAL, "more than %d bytes",
			      (int)LIMIT_MESSAGE_BYTES);
	else
		r = codec_decode_reply(client->buffer, (size_t)size, ret_reply, err);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		disconnect(client);
		// A newer hostd's answer is no bug: who reads it should look at the versions.
		if (err->code != CODE_UNSUPPORTED)
			err->code = CODE_INTERNAL;
		error_prefix(err, "podport-hostd at %s answered '%s' with what is no reply",
			     client->path, call);
		return -EBADMSG;
	}
	return 0;
}

int client_call(struct podport_client *client, struct request *request, int netns_fd,
		struct reply *ret_reply, struct error *err)
{
	int64_t deadline_ms = now_ms() + client->timeout_ms + GRACE_MS;
	const char *call = call_name(request->call);
	struct encoded packet;
	struct reply reply;
	int r;

	if (is_cancelled(client))
		return cancelled(client, call, err);
	request->timeout_ms = client->timeout_ms;
	r = codec_encode_request(request, &packet, err);
	if (r < 0)
		return r;
	r = send_request(client, &packet, netns_fd, call, deadline_ms, err);
	encoded_clear(&packet);
	if (r < 0)
		return r;
	r = receive_reply(client, call, deadline_ms, &reply, err);
	if (r < 0)
		return r;
	if (reply.code != CODE_OK) {
		r = reply_to_error(&reply, err);
		reply_clear(&reply);
		return r;
	}
	if (reply.call != request->call) {
		disconnect(client);
		r = error_set(err, EBADMSG, CODE_INTERNAL,
			      "podport-hostd at %s answered '%s' with a reply to '%s'",
			      client->path, call, call_name(reply.call));
		reply_clear(&reply);
		return r;
	}
	*ret_reply = reply;
	return 0;
}
