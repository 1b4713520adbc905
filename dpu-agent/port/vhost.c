// SPDX-License-Identifier: BSD-3-Clause
//
// The backend for vhost-user ports: a socket that the agent listens on, and a guest's virtio device
// at its other end (qemu, DPDK's virtio_user). On librte_vhost itself, not on net_vhost: that has a
// fixed number of queues, of which each worker needs one whatever the guest has; its interrupt
// descriptor is another one after each reconnection; and it would cost an ethdev for each port.
//
//     control thread                    thread "vhost-events" (librte_vhost's)     workers
//     vhost_start, vhost_stop           on_… : the guest comes, its queues come    receive, send,
//                                       and go, the guest goes                     arm, disarm
//
// What workers use of a guest is published by `vid`, and taken back in this order: vid = -1, wait until
// no worker is in a walk that has seen the old one, then the rest.
//
// A guest that connects takes the place of the one before, so that one that was killed and started
// again is never refused because the end of its predecessor has not been noticed yet.

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_mbuf.h>
#include <rte_vhost.h>

#include "datapath/datapath_port.h"
#include "port/port_private.h"
#include "port/vhost_private.h"
#include "proto/base/log.h"

_Static_assert(SOCKET_PATH_SIZE <= sizeof(((struct sockaddr_un *)0)->sun_path),
	       "librte_vhost cuts a longer path");

// Of what librte_vhost can do by itself, not: UDP fragmentation offload, which has no place in the graph;
// and ECN in TCP segmentation, which leaves to the NIC in which segment CWR is set.
#define NOT_OFFERED                                                                                \
	(1ull << VIRTIO_NET_F_HOST_UFO | 1ull << VIRTIO_NET_F_GUEST_UFO |                          \
	 1ull << VIRTIO_NET_F_HOST_ECN | 1ull << VIRTIO_NET_F_GUEST_ECN)

static struct {
	pthread_mutex_t lock; // of the list; its members live until librte_vhost has let go of them
	LIST_HEAD(, vhost_device) devices;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

// ---- the guest comes and goes ------------------------------------------------------------------------

static struct vhost_device *find(int vid)
{
	struct vhost_device *device, *found = NULL;
	char path[SOCKET_PATH_SIZE];

	if (rte_vhost_get_ifname(vid, path, sizeof(path)) < 0)
		return NULL;
	pthread_mutex_lock(&all.lock);
	LIST_FOREACH (device, &all.devices, entry)
		if (strcmp(device->path, path) == 0)
			found = device;
	pthread_mutex_unlock(&all.lock);
	return found;
}

static void look_again(struct vhost_device *device)
{
	atomic_store(&device->armed, false);
	datapath_port_wake(device->slot);
}

static uint16_t count_pairs(_Atomic bool enabled[PAIRS_MAX])
{
	uint16_t pairs = PAIRS_MAX;

	while (pairs > 0 && !enabled[pairs - 1])
		pairs--;
	return pairs;
}

static void drop_kick_fd(struct vhost_device *device, uint16_t pair)
{
	int fd = atomic_exchange(&device->kick_fds[pair], -1);

	if (fd < 0)
		return;
	datapath_port_unwatch(device->slot, fd);
	close(fd);
}

// A guest can come and go as often as it likes, and the log is not its to fill.
static bool may_log(void)
{
	static struct log_ratelimit limit = {.interval_ms = 10000, .burst = 20};

	return log_ratelimit_ok(&limit);
}

// Workers use it no more; its queues are as they were.
static void leave_guest(struct vhost_device *device)
{
	if (atomic_exchange(&device->vid, NO_VID) == NO_VID)
		return;
	datapath_wait();
	atomic_store(&device->tx_offloads, 0);
	if (may_log())
		log_info("vhost-user: guest left", "socket=%s", device->path);
}

static void forget_queues(struct vhost_device *device)
{
	for (uint16_t pair = 0; pair < PAIRS_MAX; pair++) {
		device->receive_enabled[pair] = device->send_enabled[pair] = false;
		drop_kick_fd(device, pair);
	}
	device->receive_pairs = device->send_pairs = 0;
}

// With those locks held, too, for which a worker does not wait when it receives. What it could not look at before it fell
// asleep, it looks at now: the guest may have rung for it already.
static enum rte_vhost_msg_result on_message(int vid, void *message)
{
	struct vhost_device *device = find(vid);

	if (device != NULL)
		look_again(device);
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED; // librte_vhost's result stands
}

static const struct rte_vhost_user_extern_ops messages = {.post_msg_handle = on_message};

static int on_connection(int vid)
{
	struct vhost_device *device = find(vid);

	if (device == NULL)
		return -1;
	leave_guest(device);
	forget_queues(device);
	if (rte_vhost_extern_callback_register(vid, &messages, NULL) < 0)
		return -1;
	device->connection = vid;
	return 0;
}

static void on_disconnection(int vid)
{
	struct vhost_device *device = find(vid);

	if (device == NULL || device->connection != vid)
		return;
	leave_guest(device);
	forget_queues(device);
	device->connection = NO_VID;
}

// With librte_vhost's locks on the queues held: nothing here may wait for a worker.
static int on_queue(int vid, uint16_t queue, int enable)
{
	struct vhost_device *device = find(vid);
	uint16_t pair = queue / 2;
	struct rte_vhost_vring ring = {.kickfd = -1};

	if (device == NULL || device->connection != vid || pair >= PAIRS_MAX)
		return 0;
	if (queue % 2 == 0) {
		device->send_enabled[pair] = enable != 0;
		device->send_pairs = count_pairs(device->send_enabled);
		return 0;
	}
	// Our own descriptor: the guest's end keeps the one that librte_vhost will close registered with epoll.
	drop_kick_fd(device, pair);
	if (enable && rte_vhost_get_vhost_vring(vid, queue, &ring) == 0 && ring.kickfd >= 0) {
		int fd = dup(ring.kickfd);

		if (fd >= 0 && datapath_port_watch(device->slot, fd) == 0) {
			device->kick_fds[pair] = fd;
		} else {
			log_warning("vhost-user: a queue cannot wake its worker and is polled",
				    "socket=%s queue=%u error=\"%m\"", device->path, queue);
			if (fd >= 0)
				close(fd);
		}
	}
	device->receive_enabled[pair] = enable != 0;
	device->receive_pairs = count_pairs(device->receive_enabled);
	look_again(device);
	return 0;
}

static int on_guest(int vid)
{
	struct vhost_device *device = find(vid);
	uint64_t features = 0;
	uint32_t offloads = 0;

	if (device == NULL || device->connection != vid)
		return -1;
	rte_vhost_get_negotiated_features(vid, &features);
	if (features & 1ull << VIRTIO_NET_F_GUEST_CSUM) {
		offloads |= DATAPATH_TX_L4_CHECKSUM;
		if ((features & 1ull << VIRTIO_NET_F_GUEST_TSO4) &&
		    (features & 1ull << VIRTIO_NET_F_GUEST_TSO6))
			offloads |= DATAPATH_TX_TSO;
	}
	atomic_store(&device->tx_offloads, offloads);
	atomic_store(&device->vid, vid);
	look_again(device);
	if (!may_log())
		return 0;
	log_info("vhost-user: guest connected",
		 "socket=%s features=%#llx queue_pairs=%u checksum=%s segmentation=%s mergeable=%s",
		 device->path, (unsigned long long)features, (unsigned int)device->receive_pairs,
		 offloads & DATAPATH_TX_L4_CHECKSUM ? "yes" : "no",
		 offloads & DATAPATH_TX_TSO ? "yes" : "no",
		 features & 1ull << VIRTIO_NET_F_MRG_RXBUF ? "yes" : "no");
	return 0;
}

// Its queues stop; it may go on without a new connection.
static void on_guest_stopped(int vid)
{
	struct vhost_device *device = find(vid);

	if (device != NULL && device->connection == vid)
		leave_guest(device);
}

static const struct rte_vhost_device_ops guest_ops = {
	.new_connection = on_connection,
	.vring_state_changed = on_queue,
	.new_device = on_guest,
	.destroy_device = on_guest_stopped,
	.destroy_connection = on_disconnection,
};

// ---- start and stop --------------------------------------------------------------------------------

static struct vhost_device *make_device(const struct port *port, const char *path)
{
	struct vhost_device *device = calloc(1, sizeof(*device));

	if (device == NULL)
		return NULL;
	snprintf(device->path, sizeof(device->path), "%s", path);
	device->slot = port->slot;
	device->pool = nic_packet_pool(port->nic);
	device->connection = NO_VID;
	device->vid = NO_VID;
	for (uint16_t pair = 0; pair < PAIRS_MAX; pair++)
		device->kick_fds[pair] = -1;
	pthread_mutex_lock(&all.lock);
	LIST_INSERT_HEAD(&all.devices, device, entry);
	pthread_mutex_unlock(&all.lock);
	return device;
}

static void free_device(struct vhost_device *device)
{
	pthread_mutex_lock(&all.lock);
	LIST_REMOVE(device, entry);
	pthread_mutex_unlock(&all.lock);
	forget_queues(device);
	free(device);
}

static int hand_over(const struct port *port, const struct port_config *config,
		     struct vhost_device *device, struct error *err)
{
	struct datapath_port datapath_port = {
		.slot = port->slot,
		.role = DATAPATH_ROLE_POD,
		.ops = &vhost_device_ops,
		.device = device,
		.tx_multi_segs = true,
	};

	port_describe(config, &datapath_port);
	return datapath_port_add(&datapath_port, err);
}

static int fail(struct error *err, const char *path, const char *what, int errno_value)
{
	return error_set(err, errno_value, CODE_NIC, "vhost-user socket %s: %s: %s", path, what,
			 strerror(errno_value));
}

// An earlier agent's, killed: it would be in the way.
static int remove_old(const char *path, struct error *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : fail(err, path, "look at it", errno);
	if (!S_ISSOCK(st.st_mode))
		return fail(err, path, "something else is there", EEXIST);
	return unlink(path) < 0 ? fail(err, path, "remove it", errno) : 0;
}

// librte_vhost binds with our umask, 077, so that until here it is root's alone.
static int open_to_owner(const char *path, const struct vhost_config *config, struct error *err)
{
	if (chown(path, config->owner, config->group) < 0)
		return fail(err, path, "set its owner", errno);
	return chmod(path, config->mode) < 0 ? fail(err, path, "set its mode", errno) : 0;
}

static int vhost_start(struct port *port, const struct port_config *config, struct error *err)
{
	const char *path = config->socket_path;
	int r = remove_old(path, err);

	if (r < 0)
		return r;
	port->device = make_device(port, path);
	if (port->device == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
	if (rte_vhost_driver_register(path, RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS) != 0) {
		r = fail(err, path, "DPDK does not take it", EIO);
		goto free;
	}
	if (rte_vhost_driver_disable_features(path, NOT_OFFERED) != 0 ||
	    rte_vhost_driver_callback_register(path, &guest_ops) != 0) {
		r = fail(err, path, "DPDK does not take its features", EIO);
		goto unregister;
	}
	r = hand_over(port, config, port->device, err);
	if (r < 0)
		goto unregister;
	if (rte_vhost_driver_start(path) != 0) {
		r = fail(err, path, "listen", errno != 0 ? errno : EIO);
		goto take_back;
	}
	r = open_to_owner(path, nic_vhost_config(port->nic), err);
	if (r == 0)
		return 0;

take_back:
	datapath_port_remove(port->slot);
unregister:
	rte_vhost_driver_unregister(path);
free:
	free_device(port->device);
	port->device = NULL;
	return r;
}

// When rte_vhost_driver_unregister() returns, the connection and the socket are gone and no callback runs or
// will.
static void vhost_stop(struct port *port)
{
	struct vhost_device *device = port->device;

	datapath_port_remove(port->slot);
	if (rte_vhost_driver_unregister(device->path) != 0)
		log_warning("vhost-user socket could not be closed", "socket=%s", device->path);
	free_device(device);
	port->device = NULL;
}

static void vhost_read_state(const struct port *port, struct port_state *ret_state)
{
	const char *name;

	if (port->device == NULL)
		return;
	name = strrchr(port->device->path, '/');
	snprintf(ret_state->name, sizeof(ret_state->name), "%.*s", LIMIT_ID,
		 name != NULL ? name + 1 : port->device->path);
	ret_state->link_up = atomic_load(&port->device->vid) != NO_VID;
	if (ret_state->link_up)
		ret_state->queue_pairs = atomic_load(&port->device->receive_pairs);
	ret_state->mtu = port->config.mtu;
	ret_state->mac = port->config.mac;
}

const struct port_ops vhost_ops = {
	.name = "vhost-user",
	.start = vhost_start,
	.stop = vhost_stop,
	.read_state = vhost_read_state,
};
