// SPDX-License-Identifier: BSD-3-Clause
//
// The local socket: see local.h.
//
// Whether the caller of an Attach heard the answer matters: if not, the attachment must go. A
// caller that hangs up before is noticed by poll. One that dies with the answer unread leaves an
// ECONNRESET behind, and until then SIOCOUTQ says that it is unread.

#include "hostd/local.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "hostd/local_socket.h"
#include "proto/base/crash_point.h"
#include "proto/base/log.h"
#include "proto/codec.h"

// How soon after an Attach's answer to look whether it was read. It holds the sandbox's fd till
// then, and an fd keeps a netns alive.
enum { CONFIRM_MS = 100 };

// When there is no file descriptor for a caller.
enum { ACCEPT_PAUSE_MS = 100 };

struct connection {
	struct local *local;
	LIST_ENTRY(connection) entry;
	uv_poll_t poll;
	uv_timer_t timer;
	int fd;
	unsigned int handles;   // open libuv handles: 0 means it can be freed
	struct host_call *call; // under way
	bool refused;
	struct error refusal;

	bool unconfirmed; // the last answer was an Attach's, and may be unread:
	struct attachment_key attached;
	int netns_fd; // of the call under way, or of the unconfirmed Attach; -1: none
};

struct local {
	uv_loop_t *loop;
	struct calls *calls;
	struct uid_list allowed;
	char path[LIMIT_PATH + 1];
	int listener_fd;
	uv_poll_t listener;
	uv_timer_t resume; // listening, after a pause for want of file descriptors
	LIST_HEAD(, connection) connections;
	unsigned int count, refused_count;
	uint8_t packet[LIMIT_MESSAGE_BYTES + 1]; // one more, to see what is too long
};

static void watch(struct connection *connection);

// ---- end of a connection -------------------------------------------------------------------------

static void on_handle_closed(uv_handle_t *handle)
{
	struct connection *connection = handle->data;

	if (--connection->handles > 0)
		return;
	close(connection->fd);
	free(connection);
}

static void forget_netns(struct connection *connection)
{
	if (connection->netns_fd >= 0)
		close(connection->netns_fd);
	connection->netns_fd = -1;
	connection->unconfirmed = false;
}

// `unheard`: what was answered last was not read.
static void close_connection(struct connection *connection, bool unheard)
{
	struct local *local = connection->local;

	if (connection->unconfirmed && unheard) {
		calls_undo(local->calls, &connection->attached, connection->netns_fd);
		connection->netns_fd = -1;
	}
	if (connection->call != NULL)
		calls_abandon(local->calls, connection->call);
	connection->call = NULL;
	forget_netns(connection);
	LIST_REMOVE(connection, entry);
	local->count--;
	local->refused_count -= connection->refused;
	uv_close((uv_handle_t *)&connection->poll, on_handle_closed);
	uv_close((uv_handle_t *)&connection->timer, on_handle_closed);
}

// ---- answers -------------------------------------------------------------------------------------

// false: the connection is of no more use, and the caller did not hear it.
static bool send_reply(struct connection *connection, const struct reply *reply)
{
	struct reply broken;
	struct encoded encoded;
	struct error error;
	ssize_t sent;

	if (codec_encode_reply(reply, &encoded, &error) < 0) {
		log_error("an answer cannot be encoded", "error=\"%s\"", error.message);
		error.code = CODE_INTERNAL;
		reply_from_error(&broken, &error);
		if (codec_encode_reply(&broken, &encoded, &error) < 0)
			return false;
	}
	do
		sent = send(connection->fd, encoded.data, encoded.size,
			    MSG_DONTWAIT | MSG_NOSIGNAL | MSG_EOR);
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno != EPIPE && errno != ECONNRESET)
		log_warning("an answer cannot be sent", "error=\"%m\"");
	encoded_clear(&encoded);
	return sent >= 0;
}

static bool send_error(struct connection *connection, const struct error *err)
{
	struct reply reply;

	reply_from_error(&reply, err);
	return send_reply(connection, &reply);
}

static bool answer_is_unread(const struct connection *connection)
{
	int bytes = 0;

	return ioctl(connection->fd, SIOCOUTQ, &bytes) < 0 || bytes > 0;
}

static void on_confirm_timer(uv_timer_t *timer)
{
	struct connection *connection = timer->data;

	if (!connection->unconfirmed || answer_is_unread(connection))
		return;
	forget_netns(connection);
	uv_timer_stop(timer);
}

// Somebody else's call for a key settles what became of an Attach before it. Was there one whose
// answer is unread?
static bool confirm_key(struct local *local, const struct attachment_key *key)
{
	struct connection *connection;
	bool found = false;

	LIST_FOREACH (connection, &local->connections, entry)
		if (connection->unconfirmed && attachment_key_equal(&connection->attached, key)) {
			found |= answer_is_unread(connection);
			forget_netns(connection);
		}
	return found;
}

static void on_done(struct host_call *call, const struct reply *reply, bool created, void *arg)
{
	struct connection *connection = arg;
	bool heard;

	connection->call = NULL;
	// Two Attaches at once: the second's caller is who must hear of it from now on.
	if (reply->call == CALL_ATTACH && reply->code == CODE_OK &&
	    confirm_key(connection->local, &reply->body.attach.key))
		created = true;
	if (created && reply->code == CODE_OK) {
		connection->unconfirmed = true;
		connection->attached = reply->body.attach.key;
	} else {
		forget_netns(connection);
	}
	heard = send_reply(connection, reply);
	if (reply->call == CALL_ATTACH)
		crash_point("hostd:add:answered");
	if (reply->call == CALL_DETACH)
		crash_point("hostd:del:answered");
	if (!heard) {
		close_connection(connection, true);
		return;
	}
	if (connection->unconfirmed)
		uv_timer_start(&connection->timer, on_confirm_timer, CONFIRM_MS, CONFIRM_MS);
	watch(connection);
}

// ---- requests ------------------------------------------------------------------------------------

static int begin_call(struct connection *connection, const struct request *request, int netns_fd,
		      struct error *err)
{
	int copy = -1, r;

	if (request->call == CALL_ATTACH || request->call == CALL_DETACH)
		(void)confirm_key(connection->local, request->call == CALL_ATTACH
							     ? &request->body.attach.key
							     : &request->body.detach.key);
	// An Attach's is kept for undoing it, should the caller not read the answer.
	if (request->call == CALL_ATTACH && netns_fd >= 0) {
		copy = fcntl(netns_fd, F_DUPFD_CLOEXEC, 0);
		if (copy < 0) {
			r = error_set(err, errno, CODE_BUSY, "no file descriptor is free: %m");
			close(netns_fd);
			return r;
		}
	}
	connection->netns_fd = copy;
	r = calls_submit(connection->local->calls, request, netns_fd, on_done, connection,
			 &connection->call, err);
	if (r < 0)
		forget_netns(connection);
	return r;
}

static int take_request(struct connection *connection, size_t size, int flags,
			struct local_fds *fds, struct error *err)
{
	struct request request;
	int netns_fd;
	int r = 0;

	if ((flags & MSG_TRUNC) || size > LIMIT_MESSAGE_BYTES)
		r = error_set(err, EMSGSIZE, CODE_BAD_REQUEST, "the request has more than %d bytes",
			      LIMIT_MESSAGE_BYTES);
	else if ((flags & MSG_CTRUNC) || fds->count > 1)
		r = error_set(err, EINVAL, CODE_BAD_REQUEST,
			      "the request comes with more file descriptors than can be taken");
	if (r == 0)
		r = codec_decode_request(connection->local->packet, size, &request, err);
	if (r < 0) {
		local_fds_close(fds);
		return r;
	}
	netns_fd = fds->count == 1 ? fds->fds[0] : -1;
	return begin_call(connection, &request, netns_fd, err);
}

static void on_packet(struct connection *connection, size_t size, int flags, struct local_fds *fds)
{
	struct error error;

	uv_timer_stop(&connection->timer);
	forget_netns(connection); // who asks again has read the answer
	if (connection->refused) {
		local_fds_close(fds);
		(void)send_error(connection, &connection->refusal);
		close_connection(connection, false);
		return;
	}
	if (take_request(connection, size, flags, fds, &error) == 0)
		watch(connection); // for hanging up
	else if (!send_error(connection, &error))
		close_connection(connection, false);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
	struct connection *connection = poll->data;
	struct local_fds fds = {0};
	ssize_t size;
	int flags;

	if (connection->call != NULL) { // hung up in the middle of a call
		close_connection(connection, true);
		return;
	}
	size = local_receive(connection->fd, connection->local->packet,
			     sizeof(connection->local->packet), &flags, &fds);
	if (size < 0 && (errno == EAGAIN || errno == EINTR) && status == 0)
		return;
	if (size > 0) {
		on_packet(connection, (size_t)size, flags, &fds);
		return;
	}
	local_fds_close(&fds); // an empty packet may bring some, and is taken for the end
	// ECONNRESET: it closed with the answer unread.
	close_connection(connection, size < 0);
}

// One call at a time: during it only for the end. (The next request waits in the socket.)
static void watch(struct connection *connection)
{
	int events = UV_DISCONNECT | (connection->call == NULL ? UV_READABLE : 0);

	uv_poll_start(&connection->poll, events, on_event);
}

// ---- new connections -----------------------------------------------------------------------------

static void on_refusal_timer(uv_timer_t *timer)
{
	close_connection(timer->data, false);
}

// Why not, if not.
static bool is_refused(const struct local *local, int fd, struct error *ret_why)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
		error_set(ret_why, errno, CODE_PERMISSION, "who you are cannot be told: %m");
		return true;
	}
	for (size_t i = 0; i < local->allowed.count; i++)
		if (local->allowed.uids[i] == peer.uid) {
			if (local->count - local->refused_count < LOCAL_CONNECTIONS_MAX)
				return false;
			error_set(ret_why, EBUSY, CODE_BUSY, "%d callers are connected already",
				  LOCAL_CONNECTIONS_MAX);
			return true;
		}
	error_set(ret_why, EPERM, CODE_PERMISSION,
		  "user %u is not among the allowed_uids of podport-hostd", peer.uid);
	return true;
}

static void add_connection(struct local *local, int fd)
{
	static struct log_ratelimit limit = {.interval_ms = 10000, .burst = 5};
	struct connection *connection = calloc(1, sizeof(*connection));
	int size = 4 * LIMIT_MESSAGE_BYTES; // the kernel's bookkeeping counts too

	if (connection == NULL || uv_poll_init(local->loop, &connection->poll, fd) < 0) {
		free(connection);
		close(fd);
		return;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	uv_timer_init(local->loop, &connection->timer);
	connection->poll.data = connection->timer.data = connection;
	connection->handles = 2;
	connection->local = local;
	connection->fd = fd;
	connection->netns_fd = -1;
	connection->refused = is_refused(local, fd, &connection->refusal);
	LIST_INSERT_HEAD(&local->connections, connection, entry);
	local->count++;
	if (connection->refused) {
		local->refused_count++;
		uv_timer_start(&connection->timer, on_refusal_timer, LOCAL_REFUSAL_MS, 0);
		if (log_ratelimit_ok(&limit))
			log_warning("caller refused", "reason=\"%s\"", connection->refusal.message);
		if (local->refused_count > LOCAL_REFUSALS_MAX) {
			close_connection(connection, false);
			return;
		}
	}
	watch(connection);
}

static void on_listener(uv_poll_t *poll, int status, int events);

static void on_resume(uv_timer_t *timer)
{
	struct local *local = timer->data;

	uv_poll_start(&local->listener, UV_READABLE, on_listener);
}

static void on_listener(uv_poll_t *poll, int status, int events)
{
	static struct log_ratelimit limit = {.interval_ms = 10000, .burst = 1};
	struct local *local = poll->data;

	// A few at a time, so that a flood of connections does not keep answers waiting.
	for (int i = 0; i < 16; i++) {
		int fd = accept4(local->listener_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0)
			add_connection(local, fd);
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR && errno != ECONNABORTED) {
			if (log_ratelimit_ok(&limit))
				log_error("cannot accept a caller", "error=\"%m\"");
			// It stays readable: not to be asked again at once.
			uv_poll_stop(&local->listener);
			uv_timer_start(&local->resume, on_resume, ACCEPT_PAUSE_MS, 0);
			return;
		}
	}
}

// ---- life ----------------------------------------------------------------------------------------

int local_open(uv_loop_t *loop, const struct hostd_config *config, struct calls *calls,
	       struct local **ret_local, struct error *err)
{
	struct local *local = calloc(1, sizeof(*local));
	bool only_root = config->allowed_uids.count == 1 && config->allowed_uids.uids[0] == 0;
	int r;

	if (local == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "listen: no memory");
	local->loop = loop;
	local->calls = calls;
	local->allowed = config->allowed_uids;
	LIST_INIT(&local->connections);
	snprintf(local->path, sizeof(local->path), "%s", config->listen);
	r = local_listen(local->path, only_root ? 0600 : 0666, &local->listener_fd, err);
	if (r == 0) {
		r = uv_poll_init(loop, &local->listener, local->listener_fd);
		if (r < 0) {
			close(local->listener_fd);
			r = error_set(err, -r, CODE_INTERNAL, "listen on %s: %s", local->path,
				      uv_strerror(r));
		}
	}
	if (r < 0) {
		free(local);
		return r;
	}
	uv_timer_init(loop, &local->resume);
	local->listener.data = local->resume.data = local;
	uv_poll_start(&local->listener, UV_READABLE, on_listener);
	*ret_local = local;
	return 0;
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct local *local = handle->data;

	close(local->listener_fd);
	local->listener_fd = -1;
}

void local_stop_listening(struct local *local)
{
	if (uv_is_closing((uv_handle_t *)&local->listener))
		return;
	unlink(local->path);
	uv_close((uv_handle_t *)&local->listener, on_listener_closed);
	uv_close((uv_handle_t *)&local->resume, NULL);
}

void local_close(struct local *local)
{
	local_stop_listening(local);
	while (!LIST_EMPTY(&local->connections))
		close_connection(LIST_FIRST(&local->connections), false);
}

void local_free(struct local *local)
{
	free(local);
}
