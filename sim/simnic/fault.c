// SPDX-License-Identifier: BSD-3-Clause

#include <errno.h>
#include <string.h>
#include <time.h>

#include <rte_flow_driver.h>

#include "sim/simnic/card_link.h"
#include "sim/simnic/fault.h"
#include "sim/simnic/simnic.h"

void faults_init(struct faults *faults)
{
	pthread_mutex_init(&faults->lock, NULL);
	faults->inserts = (struct fault_inserts){.table_full = FAULT_TABLE_UNLIMITED};
}

void faults_fini(struct faults *faults)
{
	pthread_mutex_destroy(&faults->lock);
}

// ---- inserts --------------------------------------------------------------------------------------------

static void wait_us(uint64_t us)
{
	struct timespec rest = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

	while (nanosleep(&rest, &rest) < 0 && errno == EINTR)
		;
}

static int refuse(struct rte_flow_error *error, int code, const char *why)
{
	return rte_flow_error_set(error, code, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL, why);
}

#define TABLE_FULL "the rule table is full"

static int check(struct fault_inserts *inserts, uint32_t rules_now, struct rte_flow_error *error)
{
	bool nth = inserts->fail_nth > 0 && --inserts->fail_nth == 0;

	if (inserts->fail_all_errno != 0)
		return refuse(error, inserts->fail_all_errno, "the NIC refuses every rule");
	if (rules_now >= inserts->table_full)
		return refuse(error, ENOSPC, TABLE_FULL);
	if (nth)
		return refuse(error, inserts->fail_nth_errno, "the NIC refused the rule");
	return 0;
}

int fault_check_insert(struct device *device, uint32_t rules_now, struct rte_flow_error *error)
{
	struct faults *faults = &device->faults;
	int result;

	if (__atomic_load_n(&device->removed, __ATOMIC_ACQUIRE))
		return refuse(error, EIO, "the device is gone");
	pthread_mutex_lock(&faults->lock);
	result = check(&faults->inserts, rules_now, error);
	faults->tried++;
	faults->failed += result < 0;
	pthread_mutex_unlock(&faults->lock);
	return result;
}

uint32_t fault_table_limit(struct device *device)
{
	uint32_t limit;

	pthread_mutex_lock(&device->faults.lock);
	limit = device->faults.inserts.table_full;
	pthread_mutex_unlock(&device->faults.lock);
	return limit;
}

int fault_check_room(struct device *device, uint32_t rules_now, struct rte_flow_error *error)
{
	struct faults *faults = &device->faults;
	bool full;

	pthread_mutex_lock(&faults->lock);
	full = rules_now >= faults->inserts.table_full;
	faults->tried += full;
	faults->failed += full;
	pthread_mutex_unlock(&faults->lock);
	return full ? refuse(error, ENOSPC, TABLE_FULL) : 0;
}

uint32_t fault_insert_delay_us(struct device *device)
{
	uint32_t delay_us;

	pthread_mutex_lock(&device->faults.lock);
	delay_us = device->faults.inserts.delay_us;
	pthread_mutex_unlock(&device->faults.lock);
	return delay_us;
}

void fault_wait_insert(struct device *device)
{
	uint32_t delay_us = fault_insert_delay_us(device);

	if (delay_us > 0)
		wait_us(delay_us);
}

// ---- functions and the device ---------------------------------------------------------------------------

static void begin_reset(void *function)
{
	function_reset_begin(function);
}

static void end_reset(void *function)
{
	function_reset_end(function);
}

static void unplug(void *function)
{
	function_set_fd(function, -1);
}

// Asked again and again until it says that the fresh netdev is there.
struct replacement {
	struct function *function;
	bool asked, over;
};

static void go_on(void *argument)
{
	struct replacement *replacement = argument;
	struct function *function = replacement->function;
	struct device *device = function->device;

	if (device->card_fd < 0)
		replacement->over = true; // removed meanwhile
	else if (!replacement->asked)
		replacement->asked = card_link_replace(device->card_fd, function->index) == 0;
	else
		replacement->over = function->fd >= 0;
}

static void replace_netdev(struct function *function)
{
	struct replacement replacement = {.function = function};
	struct device *device = function->device;

	pipeline_call(device, unplug, function);
	// The netdev goes with its last descriptor: no duplicate is about while this is held.
	pthread_mutex_lock(&device->dress_lock);
	function_close_old(function);
	pthread_mutex_unlock(&device->dress_lock);
	for (unsigned int ms = 0; ms < FAULT_REPLACE_TIME_MS && !replacement.over; ms++) {
		pipeline_call(device, go_on, &replacement);
		wait_us(1000);
	}
}

void fault_function_reset(struct function *function, bool netdev_lost)
{
	pipeline_call(function->device, begin_reset, function);
	(void)simnic_dress_netdev(function);
	if (netdev_lost)
		replace_netdev(function);
	wait_us(FAULT_RESET_TIME_MS * 1000);
	pipeline_call(function->device, end_reset, function);
	(void)simnic_dress_netdev(function);
}

static void link_down(void *function)
{
	function_hold_down(function, FAULT_DOWN_LINK, true);
}

static void link_up(void *function)
{
	function_hold_down(function, FAULT_DOWN_LINK, false);
}

void fault_link_set(struct function *function, bool down)
{
	pipeline_call(function->device, down ? link_down : link_up, function);
	(void)simnic_dress_netdev(function);
}

static void lose_card(void *argument)
{
	struct device *device = argument;

	SIMNIC_LOG(ERR, "%s: removed", device->name);
	device_lose_card(device);
}

void fault_device_remove(struct device *device)
{
	pipeline_call(device, lose_card, device);
}
