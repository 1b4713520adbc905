// SPDX-License-Identifier: BSD-3-Clause
//
// For tests of the whole daemon: see test_daemon.h.

#include "hostd/test_daemon.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/codec.h"

static void must(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	abort();
}

struct test_agent_memory *test_agent_memory_new(int *ret_fd)
{
	struct test_agent_memory *memory;
	struct pod_network *network;
	int fd = memfd_create("agent", 0);

	must(fd >= 0 && ftruncate(fd, sizeof(*memory)) == 0, "memfd_create");
	memory = mmap(NULL, sizeof(*memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(memory != MAP_FAILED, "mmap");
	memory->hello = (struct hello_reply){.protocol_version = PROTOCOL_VERSION,
					     .software_version = "test",
					     .has_pod_network = true,
					     .host_port = true};
	network = &memory->hello.pod_network;
	network->has_ipv4 = network->has_ipv6 = true;
	network->ipv4.s_addr = htonl(0x0a580000);
	network->gateway_ipv4.s_addr = htonl(0x0a580001);
	network->ipv4_prefix_length = 16;
	inet_pton(AF_INET6, "fd88::", &network->ipv6);
	inet_pton(AF_INET6, "fd88::1", &network->gateway_ipv6);
	network->ipv6_prefix_length = 64;
	network->router_mac = (struct mac){{0x02, 0x70, 0x70, 0, 0, 1}};
	network->mtu = 1400;
	*ret_fd = fd;
	return memory;
}

unsigned int test_agent_count(const struct test_agent_memory *memory)
{
	unsigned int count = 0;

	for (int vf = 0; vf < TEST_AGENT_FUNCTIONS; vf++)
		count += memory->functions[vf].used;
	return count;
}

static pid_t start(const char *program, const char *first, const char *second)
{
	pid_t pid = fork();

	must(pid >= 0, "fork");
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getenv("HOSTD_TEST_VERBOSE") == NULL && freopen("/dev/null", "w", stdout) == NULL)
		_exit(126);
	execl(program, program, first, second, (char *)NULL);
	_exit(127);
}

pid_t test_agent_start(const char *program, const char *url, int memory_fd)
{
	char fd[16];

	snprintf(fd, sizeof(fd), "%d", memory_fd);
	return start(program, url, fd);
}

// ---- the daemon ----------------------------------------------------------------------------------

void test_daemon_prepare(struct test_daemon *daemon, char **argv)
{
	memset(daemon, 0, sizeof(*daemon));
	strcpy(daemon->folder, "/tmp/hostd-test-XXXXXX");
	must(mkdtemp(daemon->folder) != NULL, "mkdtemp");
	snprintf(daemon->socket, sizeof(daemon->socket), "%s/hostd.sock", daemon->folder);
	snprintf(daemon->url, sizeof(daemon->url), "ipc://%s/agent.sock", daemon->folder);
	snprintf(daemon->queue, sizeof(daemon->queue), "%s/state/deletes", daemon->folder);
	daemon->hostd_program = argv[1];
	daemon->agent_program = argv[2];
	daemon->memory = test_agent_memory_new(&daemon->memory_fd);
}

void test_daemon_clear(struct test_daemon *daemon)
{
	int status = 0;

	if (daemon->agent != 0)
		test_agent_down(daemon, SIGKILL);
	// In order, so that a sanitizer has its say.
	if (daemon->hostd != 0)
		status = test_hostd_stop(daemon, SIGTERM);
	if (status != 0) {
		fprintf(stderr, "podport-hostd ended with status %#x\n", (unsigned int)status);
		abort();
	}
	munmap(daemon->memory, sizeof(*daemon->memory));
	close(daemon->memory_fd);
	test_run("umount %s/netns 2> /dev/null; rm -rf %s", daemon->folder, daemon->folder);
}

void test_hostd_start(struct test_daemon *daemon, const char *more)
{
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), "%s/hostd.yaml", daemon->folder);
	file = fopen(path, "w");
	must(file != NULL, path);
	fprintf(file,
		"agent: %s\nlisten: %s\nstate_dir: %s/state\nfunction_netdev: %s\n"
		"log_level: debug\n%s\n",
		daemon->url, daemon->socket, daemon->folder, TEST_PATTERN, more);
	fclose(file);
	daemon->hostd = start(daemon->hostd_program, "--config", path);
	for (int tries = 0;; tries++) {
		int connection = test_connect(daemon);

		if (connection >= 0) {
			close(connection);
			return;
		}
		must(tries < 2000 && waitpid(daemon->hostd, NULL, WNOHANG) == 0, "podport-hostd");
		usleep(10000);
	}
}

int test_hostd_stop(struct test_daemon *daemon, int signal)
{
	int status;

	kill(daemon->hostd, signal);
	must(waitpid(daemon->hostd, &status, 0) == daemon->hostd, "waitpid");
	daemon->hostd = 0;
	return status;
}

static bool link_is_up(const struct test_daemon *daemon)
{
	struct request request = {.timeout_ms = 5000, .call = CALL_GET_STATUS};
	struct reply reply;

	return test_call(daemon, &request, -1, &reply) == CODE_OK && reply.body.status.host.link_up;
}

void test_agent_up(struct test_daemon *daemon)
{
	daemon->agent = test_agent_start(daemon->agent_program, daemon->url, daemon->memory_fd);
	for (int tries = 0; daemon->hostd != 0 && !link_is_up(daemon); tries++) {
		must(tries < 2000, "the link to the agent");
		usleep(10000);
	}
}

void test_agent_down(struct test_daemon *daemon, int signal)
{
	kill(daemon->agent, signal);
	waitpid(daemon->agent, NULL, 0);
	daemon->agent = 0;
}

// ---- the client ----------------------------------------------------------------------------------

int test_connect(const struct test_daemon *daemon)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, daemon->socket);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

ssize_t test_send_bytes(int connection, const void *data, size_t size, const int *fds,
			size_t fd_count)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * 64)];
		struct cmsghdr header;
	} control = {{0}};
	struct iovec part = {(void *)(uintptr_t)data, size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	int buffer = 1 << 20;

	(void)setsockopt(connection, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	if (fd_count > 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * fd_count);
	}
	return sendmsg(connection, &message, MSG_NOSIGNAL);
}

void test_send(int connection, const struct request *request, int netns_fd)
{
	struct encoded encoded;
	struct error error;

	must(codec_encode_request(request, &encoded, &error) == 0, "encode");
	must(test_send_bytes(connection, encoded.data, encoded.size, &netns_fd, netns_fd >= 0) ==
		     (ssize_t)encoded.size,
	     "sendmsg");
	encoded_clear(&encoded);
}

int test_receive(int connection, struct reply *ret_reply)
{
	static uint8_t packet[LIMIT_MESSAGE_BYTES];
	struct pollfd poll_fd = {.fd = connection, .events = POLLIN};
	struct error error;
	ssize_t size;

	if (poll(&poll_fd, 1, 20000) != 1)
		return TEST_NOTHING;
	size = recv(connection, packet, sizeof(packet), 0);
	if (size <= 0)
		return TEST_HUNG_UP;
	must(codec_decode_reply(packet, (size_t)size, ret_reply, &error) == 0, "decode");
	return (int)ret_reply->code;
}

int test_call(const struct test_daemon *daemon, const struct request *request, int netns_fd,
	      struct reply *ret_reply)
{
	int connection = test_connect(daemon), code;

	must(connection >= 0, "connect");
	test_send(connection, request, netns_fd);
	code = test_receive(connection, ret_reply);
	close(connection);
	return code;
}

static void set_key(struct attachment_key *key, const char *id)
{
	strcpy(key->network, "pods");
	snprintf(key->container_id, sizeof(key->container_id), "%s", id);
	strcpy(key->ifname, "eth0");
}

struct request test_attach(const char *id)
{
	struct request request = {.timeout_ms = 5000, .call = CALL_ATTACH};

	set_key(&request.body.attach.key, id);
	strcpy(request.body.attach.sandbox.path, "/run/netns/there-is-none");
	return request;
}

struct request test_detach(const char *id)
{
	struct request request = {.timeout_ms = 5000, .call = CALL_DETACH};

	set_key(&request.body.detach.key, id);
	return request;
}

struct request test_check(const char *id)
{
	struct request request = {.timeout_ms = 5000, .call = CALL_CHECK};

	set_key(&request.body.check.key, id);
	return request;
}

// ---- what it holds -------------------------------------------------------------------------------

static unsigned int count_files(const char *path, const char *suffix)
{
	DIR *folder = opendir(path);
	struct dirent *item;
	unsigned int count = 0;

	if (folder == NULL)
		return 0;
	while ((item = readdir(folder)) != NULL) {
		size_t size = strlen(item->d_name);

		if (item->d_name[0] != '.' && size >= strlen(suffix) &&
		    strcmp(item->d_name + size - strlen(suffix), suffix) == 0)
			count++;
	}
	closedir(folder);
	return count;
}

unsigned int test_hostd_fds(const struct test_daemon *daemon)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/fd", daemon->hostd);
	return count_files(path, "");
}

long test_hostd_cpu_ms(const struct test_daemon *daemon)
{
	unsigned long user = 0, system = 0;
	char path[32];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", daemon->hostd);
	file = fopen(path, "r");
	must(file != NULL &&
		     fscanf(file,
			    "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
			    &user, &system) == 2,
	     path);
	fclose(file);
	return (long)((user + system) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK));
}

unsigned int test_queued(const struct test_daemon *daemon)
{
	return count_files(daemon->queue, ".delete");
}
