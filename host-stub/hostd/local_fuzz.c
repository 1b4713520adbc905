// SPDX-License-Identifier: BSD-3-Clause
//
// libFuzzer: what callers may do to the local socket. The bytes are steps of a few callers (connect, send any packet with any
// number of file descriptors, read, hang up) and of the line of calls (answer), on the real local.c and local_socket.c
// over real sockets. The line of calls is this file's own, and knows what it may be told:
//
//     a connection has one call at a time, each is answered or abandoned, never both
//     an Attach is undone if its caller went away without reading the answer, once, and not if it read it
//     no file descriptor is lost

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hostd/local.h"
#include "proto/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CALLERS = 4, IDS = 3, STEPS_MAX = 64 };

static void must(bool holds)
{
	if (!holds)
		abort();
}

// ---- the bytes -----------------------------------------------------------------------------------

static const uint8_t *bytes;
static size_t bytes_left;

static unsigned int take(void)
{
	if (bytes_left == 0)
		return 0;
	bytes_left--;
	return *bytes++;
}

// ---- the line of calls ---------------------------------------------------------------------------

struct host_call {
	struct request request;
	int netns_fd;
	call_done done;
	void *arg;
};

// Of the keys of samples: how often something was begun or answered with it, and Attaches undone.
static unsigned int touched[IDS], undone[IDS];
static struct host_call *pending[CALLERS];
static unsigned int pending_count;

static bool id_of(const struct attachment_key *key, unsigned int *ret_id)
{
	return sscanf(key->container_id, "sample-%u", ret_id) == 1 && *ret_id < IDS;
}

int calls_submit(struct calls *calls, const struct request *request, int netns_fd, call_done done,
		 void *arg, struct host_call **ret_call, struct error *err)
{
	const struct attachment_key *key = request->call == CALL_ATTACH ? &request->body.attach.key
									: &request->body.detach.key;
	struct host_call *call = malloc(sizeof(*call));
	unsigned int id;

	must(call != NULL && pending_count < CALLERS && request->call < CALL_COUNT);
	for (unsigned int i = 0; i < pending_count; i++)
		must(pending[i]->arg != arg);
	if ((request->call == CALL_ATTACH || request->call == CALL_DETACH) && id_of(key, &id))
		touched[id]++;
	*call = (struct host_call){*request, netns_fd, done, arg};
	pending[pending_count++] = call;
	*ret_call = call;
	return 0;
}

static void take_out(struct host_call *call)
{
	unsigned int i = 0;

	while (i < pending_count && pending[i] != call)
		i++;
	must(i < pending_count);
	pending[i] = pending[--pending_count];
	if (call->netns_fd >= 0)
		must(close(call->netns_fd) == 0);
}

void calls_abandon(struct calls *calls, struct host_call *call)
{
	take_out(call);
	free(call);
}

void calls_undo(struct calls *calls, const struct attachment_key *key, int netns_fd)
{
	unsigned int id;

	if (id_of(key, &id))
		undone[id]++;
	if (netns_fd >= 0)
		must(close(netns_fd) == 0);
}

// ---- callers -------------------------------------------------------------------------------------

struct caller {
	int fd; // -1: not connected
	unsigned int sent;
	bool attached; // an Attach with the sample key `id` has been answered ...
	bool unread;   // ... and that is all that waits to be read
	unsigned int id, touched, undone; // as they were then
};

static struct caller callers[CALLERS];
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static uv_loop_t loop;
static struct local *local;
static int some_fd; // what is sent along

static void turn(void)
{
	// A closed handle is freed one turn after.
	for (int i = 0; i < 3; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
}

static void begin(struct caller *caller)
{
	if (caller->fd >= 0)
		return;
	*caller = (struct caller){.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
	must(connect(caller->fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	turn();
}

static void end(struct caller *caller)
{
	if (caller->fd < 0)
		return;
	must(close(caller->fd) == 0);
	turn();
	// Nobody else has called or got an answer for the key since, and this caller not again.
	if (caller->attached && caller->sent == 1 && touched[caller->id] == caller->touched)
		must(undone[caller->id] == caller->undone + caller->unread);
	caller->fd = -1;
}

static void read_answer(struct caller *caller)
{
	static uint8_t packet[LIMIT_MESSAGE_BYTES];
	struct reply reply;
	struct error error;
	ssize_t size;

	if (caller->fd < 0)
		return;
	size = recv(caller->fd, packet, sizeof(packet), MSG_DONTWAIT);
	if (size <= 0)
		return;
	must(codec_decode_reply(packet, (size_t)size, &reply, &error) == 0);
	reply_clear(&reply);
	caller->unread = false;
}

static void send_packet(struct caller *caller, const void *data, size_t size, unsigned int fd_count)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * 8)];
		struct cmsghdr align;
	} control = {0};
	struct iovec part = {(void *)(uintptr_t)data, size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	int fds[8];

	if (caller->fd < 0)
		return;
	for (unsigned int i = 0; i < fd_count; i++)
		fds[i] = some_fd;
	if (fd_count > 0) {
		struct cmsghdr *header;

		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
	}
	// It may have been hung up on, or be stuffed.
	if (sendmsg(caller->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		caller->sent++;
	turn();
}

static void send_bytes(struct caller *caller, unsigned int fd_count)
{
	size_t size = take();

	if (size > bytes_left)
		size = bytes_left;
	send_packet(caller, bytes, size, fd_count);
	bytes += size;
	bytes_left -= size;
}

static void send_too_much(struct caller *caller, unsigned int fd_count)
{
	static const uint8_t zeros[LIMIT_MESSAGE_BYTES + 2];

	send_packet(caller, zeros, LIMIT_MESSAGE_BYTES + take() % 3, fd_count);
}

static void send_sample(struct caller *caller, unsigned int fd_count)
{
	static const enum call calls[] = {CALL_ATTACH, CALL_ATTACH, CALL_DETACH, CALL_GET_STATUS};
	struct request request = {.timeout_ms = 1000, .call = calls[take() % 4]};
	struct attachment_key *key =
		request.call == CALL_ATTACH ? &request.body.attach.key : &request.body.detach.key;
	struct encoded encoded;
	struct error error;

	if (request.call != CALL_GET_STATUS) {
		strcpy(key->network, "podport");
		snprintf(key->container_id, sizeof(key->container_id), "sample-%u", take() % IDS);
		strcpy(key->ifname, "eth0");
	}
	must(codec_encode_request(&request, &encoded, &error) == 0);
	send_packet(caller, encoded.data, encoded.size, fd_count);
	encoded_clear(&encoded);
}

// ---- answers -------------------------------------------------------------------------------------

static int waiting_bytes(const struct caller *caller)
{
	int size = 0;

	if (caller->fd >= 0)
		must(ioctl(caller->fd, FIONREAD, &size) == 0);
	return size;
}

static void make_reply(const struct host_call *call, unsigned int kind, struct reply *ret_reply)
{
	struct error error;

	*ret_reply = (struct reply){.call = call->request.call};
	if (kind == 0) {
		error_set(&error, EIO, CODE_AGENT_AWAY, "the agent is away");
		reply_from_error(ret_reply, &error);
	} else if (call->request.call == CALL_ATTACH) {
		ret_reply->body.attach = (struct attachment){.key = call->request.body.attach.key,
							     .mac = {{2, 0, 0, 0, 0, 5}},
							     .gateway_mac = {{2, 0, 0, 0, 0, 1}},
							     .has_ipv4 = true,
							     .ipv4.s_addr = 0x0500580a,
							     .gateway_ipv4.s_addr = 0x0100580a,
							     .mtu = 1500,
							     .created_unix_ms = 1};
	}
	// else zeros, which may be no answer at all: the caller must be told something all the same
}

static void answer(unsigned int which, unsigned int kind)
{
	int before[CALLERS];
	struct host_call *call;
	struct reply reply;
	unsigned int id = IDS, heard = CALLERS;
	bool created;

	if (pending_count == 0)
		return;
	call = pending[which % pending_count];
	created = call->request.call == CALL_ATTACH && kind == 2;
	make_reply(call, kind, &reply);
	for (unsigned int i = 0; i < CALLERS; i++)
		before[i] = waiting_bytes(&callers[i]);
	take_out(call);
	call->done(call, &reply, created, call->arg);
	for (unsigned int i = 0; i < CALLERS; i++)
		if (waiting_bytes(&callers[i]) > before[i])
			heard = i;
	must(heard < CALLERS); // who had gone has been noticed, and the call abandoned
	if (call->request.call == CALL_ATTACH && id_of(&call->request.body.attach.key, &id))
		touched[id]++;
	if (created && id < IDS) {
		callers[heard].attached = callers[heard].unread = true;
		callers[heard].id = id;
		callers[heard].touched = touched[id];
		callers[heard].undone = undone[id];
	}
	free(call);
	turn();
}

// ---- one run -------------------------------------------------------------------------------------

static void step(void)
{
	unsigned int what = take();
	struct caller *caller = &callers[what % CALLERS];
	unsigned int fd_count = what / 32; // 0 to 7, the socket takes 4

	begin(caller);
	switch (what / CALLERS % 8) {
	case 0:
		send_bytes(caller, fd_count);
		break;
	case 1:
	case 2:
		send_sample(caller, fd_count);
		break;
	case 3:
	case 4:
		answer(what % CALLERS, fd_count % 3);
		break;
	case 5:
		read_answer(caller);
		break;
	case 6:
		end(caller);
		break;
	default:
		send_too_much(caller, fd_count);
		break;
	}
}

static void remove_socket(void)
{
	unlink(address.sun_path);
}

static void open_once(void)
{
	static struct hostd_config config = {.allowed_uids.count = 1};
	const char *folder = getenv("TMPDIR");
	struct error error;

	if (local != NULL)
		return;
	log_set_level(LOG_LEVEL_ERROR);
	config.allowed_uids.uids[0] = getuid();
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/podport-fuzz-%d.sock",
		 folder != NULL ? folder : "/tmp", getpid());
	memcpy(config.listen, address.sun_path, sizeof(address.sun_path));
	must(uv_loop_init(&loop) == 0 && local_open(&loop, &config, NULL, &local, &error) == 0);
	some_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	atexit(remove_socket);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int lowest, after;

	open_once();
	bytes = data;
	bytes_left = size;
	memset(callers, 0, sizeof(callers));
	for (unsigned int i = 0; i < CALLERS; i++)
		callers[i].fd = -1;
	lowest = dup(0);
	close(lowest);
	for (unsigned int i = 0; i < STEPS_MAX && bytes_left > 0; i++)
		step();
	for (unsigned int i = 0; i < CALLERS; i++)
		end(&callers[i]);
	turn();
	must(pending_count == 0);
	after = dup(0);
	close(after);
	must(after == lowest);
	return 0;
}
