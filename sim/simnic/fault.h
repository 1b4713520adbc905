// SPDX-License-Identifier: BSD-3-Clause
//
// Faults on request: a NIC that is full, slow, broken, reset or pulled out. They are asked for by the telemetry command
// /simnic/fault (fault_command.c) in telemetry's own threads, and hit rte_flow on the application's control threads, links
// and functions in the pipeline.

#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct device;
struct function;
struct rte_flow_error;
struct rte_tel_data;

enum {
	FAULT_INSERT_DELAY_MAX_US = 10 * 1000 * 1000,
	// How long a function is away in a reset: what PCIe gives it (PCI Express Base, 6.6.2).
	FAULT_RESET_TIME_MS = 100,
	// What a card is given to make a fresh netdev; later than that it comes by itself.
	FAULT_REPLACE_TIME_MS = 5000,
};

// Why a function's carrier is off, besides what the application asked for.
enum { FAULT_DOWN_LINK = 1, FAULT_DOWN_RESET = 2 };

#define FAULT_TABLE_UNLIMITED UINT32_MAX

struct fault_inserts {
	uint32_t
		table_full; // with this many rules, one more is refused with ENOSPC; FAULT_TABLE_UNLIMITED
	uint32_t
		fail_nth; // the how-manieth insert from now fails; 0: none. Falls back to 0 when it has
	int fail_nth_errno;
	int fail_all_errno; // 0: they do not
	uint32_t delay_us;  // each takes this long
};

struct faults {
	pthread_mutex_t lock;
	struct fault_inserts inserts;
	uint64_t tried;  // inserts
	uint64_t failed; // of them, by a fault
};

void faults_init(struct faults *faults);
void faults_fini(struct faults *faults);

// To be asked before each rule is linked. rules_now: rules in all groups of the device. 0, or a negative errno with
// *error and the calling thread's rte_errno set: the rule is refused.
int fault_check_insert(struct device *device, uint32_t rules_now, struct rte_flow_error *error);
// The same for the asynchronous API, where only what enqueues can say why: is the table full, with that many rules in it or
// on their way there? Need not be asked while the limit is FAULT_TABLE_UNLIMITED.
uint32_t fault_table_limit(struct device *device);
int fault_check_room(struct device *device, uint32_t rules_now, struct rte_flow_error *error);
// How long an insert takes just now, and to wait for that long. Not in the pipeline.
uint32_t fault_insert_delay_us(struct device *device);
void fault_wait_insert(struct device *device);

// Reset a function (FLR), and return when it is back, FAULT_RESET_TIME_MS later: its link goes down and up, frames that
// are on their way are lost, its counters zeroed, rules that name it gone; then the application is told by
// RTE_ETH_EVENT_INTR_RESET. The netdev stays where it is, as with a driver that has reset_prepare and reset_done; or, netdev_lost, goes from
// whatever netns it is in, and a fresh one of its old name is in the card's, as when the driver is unbound and bound again. Any
// thread but the pipeline's.
void fault_function_reset(struct function *function, bool netdev_lost);
// Take the carrier of a function, or the wire, away, or give it back. Any thread but the pipeline's.
void fault_link_set(struct function *function, bool down);
// The device is pulled off its bus, as it looks to the driver: RTE_ETH_EVENT_INTR_RMV, no more frames. The card stays.
void fault_device_remove(struct device *device);

// fault_command.c: carry out "key=value,..." (NULL: nothing), all of it or, with an error in the answer, nothing; and
// answer with the state as it is then. The device must stay meanwhile.
void fault_command(struct device *device, const char *text, struct rte_tel_data *answer);
