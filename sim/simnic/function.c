// SPDX-License-Identifier: BSD-3-Clause
//
// The function side of the pipeline: its descriptor, its link, its place among those that may have
// frames. Pipeline thread only.

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "sim/simnic/card_link.h"
#include "sim/simnic/eswitch.h"
#include "sim/simnic/simnic.h"
#include "sim/simnic/tap.h"

static void set_bit(uint64_t *bits, uint16_t index)
{
	__atomic_fetch_or(&bits[index / 64], UINT64_C(1) << (index % 64), __ATOMIC_SEQ_CST);
}

static void tell(struct device *device, uint16_t index)
{
	uint64_t one = 1;

	set_bit(device->news_of, index);
	(void)!write(rte_intr_fd_get(device->news), &one, sizeof(one));
}

static void link_set(struct function *function, bool netdev_up)
{
	bool up = netdev_up && function_has_carrier(function);

	if (up == function->link_up)
		return;
	__atomic_store_n(&function->link_up, up, __ATOMIC_RELAXED);
	tell(function->device, function->index);
}

void function_look(struct function *function)
{
	link_set(function, tap_is_up(function->fd));
}

bool function_link_now(struct function *function)
{
	bool up;

	pthread_mutex_lock(&function->device->fd_lock);
	up = tap_is_up(function->fd);
	pthread_mutex_unlock(&function->device->fd_lock);
	return up && function_has_carrier(function);
}

void function_hold_down(struct function *function, unsigned int why, bool down)
{
	__atomic_store_n(&function->down_by,
			 down ? function->down_by | why : function->down_by & ~why,
			 __ATOMIC_RELAXED);
	function_look(function);
}

// Frames that are still on their way, in the TAP or on the representor's Tx rings, meet a carrier that is
// off and are dropped.
void function_reset_begin(struct function *function)
{
	SIMNIC_LOG(INFO, "function reset netdev=%s", function->netdev);
	function_hold_down(function, FAULT_DOWN_RESET, true);
	eswitch_forget_function(function->device, function->index);
}

void function_reset_end(struct function *function)
{
	counters_clear(&function->port.counters);
	function_hold_down(function, FAULT_DOWN_RESET, false);
	set_bit(function->device->resets_of, function->index);
	tell(function->device, function->index);
}

void function_rest(struct function *function)
{
	if (!function->readable)
		return;
	function->readable = false;
	function->device->pipeline.readable_count--;
	TAILQ_REMOVE(&function->device->pipeline.readable, function, readable_next);
}

void function_close_old(struct function *function)
{
	int fd = __atomic_exchange_n(&function->closing_fd, -1, __ATOMIC_SEQ_CST);

	if (fd >= 0)
		close(fd);
}

// To close a TAP takes the kernel's rtnl lock, which those who take netns down hold for long; the
// thread for news can wait.
static void close_later(struct function *function, int fd)
{
	int before = __atomic_exchange_n(&function->closing_fd, fd, __ATOMIC_SEQ_CST);

	if (before >= 0)
		close(before);
}

void function_set_fd(struct function *function, int fd)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET,
				    .data.u32 = function->index};
	struct pipeline *pipeline = &function->device->pipeline;

	function_rest(function);
	if (function->fd >= 0) {
		// Closing is not enough: the card has duplicates.
		(void)epoll_ctl(pipeline->epoll_fd, EPOLL_CTL_DEL, function->fd, NULL);
		close_later(function, function->fd);
	}
	pthread_mutex_lock(&function->device->fd_lock);
	function->fd = fd;
	function->netdevs++;
	pthread_mutex_unlock(&function->device->fd_lock);
	if (fd >= 0 && epoll_ctl(pipeline->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		SIMNIC_LOG(ERR, "cannot watch function netdev=%s: %s", function->netdev,
			   strerror(errno));
	function_look(function);
	tell(function->device, function->index);
}

void function_removed(struct function *function)
{
	set_bit(function->device->removals_of, function->index);
	function_set_fd(function, -1);
}

// Its netns died, or somebody deleted the netdev. The card makes a new one.
void function_lost(struct function *function)
{
	SIMNIC_LOG(INFO, "function gone netdev=%s", function->netdev);
	function_set_fd(function, -1);
	card_link_lost(function->device->card_fd, function->index);
}

void function_event(struct function *function, uint32_t events)
{
	if (events & EPOLLERR) {
		// The event may be of a descriptor that was replaced in the same round.
		if (function->fd >= 0 && !tap_alive(function->fd))
			function_lost(function);
		return;
	}
	link_set(function, events & EPOLLOUT);
	if ((events & EPOLLIN) && !function->readable) {
		function->readable = true;
		function->device->pipeline.readable_count++;
		TAILQ_INSERT_TAIL(&function->device->pipeline.readable, function, readable_next);
	}
}
