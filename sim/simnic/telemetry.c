// SPDX-License-Identifier: BSD-3-Clause
//
// Telemetry commands of the driver: dpdk-telemetry.py, /simnic/info,<device>. In telemetry's own threads.

#include <errno.h>
#include <string.h>

#include <rte_telemetry.h>

#include "sim/simnic/compat.h"
#include "sim/simnic/eswitch.h"
#include "sim/simnic/simnic.h"

struct summary {
	struct device *device;
	unsigned int present, up, ports, started;
};

static void summarise(void *argument)
{
	struct summary *summary = argument;

	for (uint16_t i = 0; i < summary->device->function_count; i++) {
		const struct function *function = &summary->device->functions[i];

		summary->present += function->fd >= 0;
		summary->up += function->link_up;
		summary->ports += function->port.ethdev != NULL;
		summary->started += function->port.started;
	}
}

static uint64_t total(const struct device *device, size_t offset)
{
	uint64_t sum = 0;

	for (uint16_t i = 0; i < device->function_count; i++)
		sum += counter_read(
			(const uint64_t *)((const char *)&device->functions[i].port.counters +
					   offset));
	return sum;
}

static void add_device(struct device *device, struct rte_tel_data *answer)
{
	struct summary summary = {.device = device};

	pipeline_call(device, summarise, &summary);
	rte_tel_data_add_dict_string(answer, "name", device->name);
	rte_tel_data_add_dict_string(answer, "card", device->card != NULL ? "own" : "process");
	rte_tel_data_add_dict_string(answer, "io",
				     batch_by_uring(&device->pipeline.batch) ? "io_uring"
									     : "single calls");
	rte_tel_data_add_dict_uint(answer, "io_calls",
				   counter_read(&device->pipeline.batch.system_calls));
	rte_tel_data_add_dict_uint(answer, "vfs", device->vfs);
	rte_tel_data_add_dict_uint(answer, "functions_present", summary.present);
	rte_tel_data_add_dict_uint(answer, "functions_up", summary.up);
	rte_tel_data_add_dict_uint(answer, "ports", summary.ports);
	rte_tel_data_add_dict_uint(answer, "ports_started", summary.started);
#define X(name, class)                                                                             \
	rte_tel_data_add_dict_uint(answer, #name, total(device, offsetof(struct counters, name)));
	SIMNIC_COUNTERS(X)
#undef X
}

// Hand the device that `parameters` begin with to a command, with what follows the comma (NULL: nothing does). It stays
// as long as that takes.
static int with_device(const char *parameters, struct rte_tel_data *answer,
		       void (*run)(struct device *device, const char *rest,
				   struct rte_tel_data *answer))
{
	const char *comma = parameters != NULL ? strchr(parameters, ',') : NULL;
	size_t length = comma != NULL ? (size_t)(comma - parameters)
				      : strlen(parameters != NULL ? parameters : "");
	struct device *device;

	device_list_lock();
	for (device = device_next(NULL); device != NULL; device = device_next(device))
		if (strlen(device->name) == length && length > 0 &&
		    memcmp(device->name, parameters, length) == 0)
			break;
	if (device != NULL) {
		rte_tel_data_start_dict(answer);
		run(device, comma != NULL ? comma + 1 : NULL, answer);
	}
	device_list_unlock();
	return device != NULL ? 0 : -ENODEV;
}

static void answer_info(struct device *device, const char *rest, struct rte_tel_data *answer)
{
	add_device(device, answer);
}

static int info(const char *command, const char *parameters, struct rte_tel_data *answer)
{
	return with_device(parameters, answer, answer_info);
}

static int fault(const char *command, const char *parameters, struct rte_tel_data *answer)
{
	return with_device(parameters, answer, fault_command);
}

// ---- rules ----------------------------------------------------------------------------------------------

enum { GROUPS_SHOWN = 64 }; // an answer holds 16 KB

struct rules_summary {
	struct device *device;
	uint32_t rules;
	uint64_t misses;
	uint32_t group_count; // all of them
	struct {
		uint32_t id, rules, masks;
		struct group_counters counters;
	} groups[GROUPS_SHOWN];
};

static void summarise_rules(void *argument)
{
	struct rules_summary *summary = argument;
	const struct eswitch *eswitch = summary->device->eswitch;
	uint32_t ids[GROUPS_SHOWN];

	summary->rules = flow_tables_total(eswitch->tables);
	summary->misses = eswitch->misses;
	summary->group_count = flow_tables_groups(eswitch->tables, ids, GROUPS_SHOWN);
	for (uint32_t i = 0; i < RTE_MIN(summary->group_count, (uint32_t)GROUPS_SHOWN); i++) {
		summary->groups[i].id = ids[i];
		summary->groups[i].rules = flow_tables_count(eswitch->tables, ids[i]);
		summary->groups[i].masks = flow_tables_masks(eswitch->tables, ids[i]);
		summary->groups[i].counters = eswitch->groups[ids[i]];
	}
}

static void answer_rules(struct device *device, const char *rest, struct rte_tel_data *answer)
{
	struct rules_summary summary = {.device = device};
	char name[16];

	pipeline_call(device, summarise_rules, &summary);
	rte_tel_data_add_dict_uint(answer, "rules", summary.rules);
	rte_tel_data_add_dict_uint(answer, "default_way", summary.misses);
	rte_tel_data_add_dict_uint(answer, "groups", summary.group_count);
	for (uint32_t i = 0; i < RTE_MIN(summary.group_count, (uint32_t)GROUPS_SHOWN); i++) {
		struct rte_tel_data *group = rte_tel_data_alloc();

		if (group == NULL)
			break;
		rte_tel_data_start_dict(group);
		rte_tel_data_add_dict_uint(group, "rules", summary.groups[i].rules);
		rte_tel_data_add_dict_uint(group, "masks", summary.groups[i].masks);
		rte_tel_data_add_dict_uint(group, "hits", summary.groups[i].counters.hits);
		rte_tel_data_add_dict_uint(group, "bytes", summary.groups[i].counters.bytes);
		rte_tel_data_add_dict_uint(group, "misses", summary.groups[i].counters.misses);
		snprintf(name, sizeof(name), "group_%u", summary.groups[i].id);
		if (rte_tel_data_add_dict_container(answer, name, group, 0) < 0)
			rte_tel_data_free(group);
	}
}

static int rules(const char *command, const char *parameters, struct rte_tel_data *answer)
{
	return with_device(parameters, answer, answer_rules);
}

// ---- registration ---------------------------------------------------------------------------------------

static int list(const char *command, const char *parameters, struct rte_tel_data *answer)
{
	struct device *device;

	rte_tel_data_start_array(answer, RTE_TEL_STRING_VAL);
	device_list_lock();
	for (device = device_next(NULL); device != NULL; device = device_next(device))
		rte_tel_data_add_array_string(answer, device->name);
	device_list_unlock();
	return 0;
}

RTE_INIT(simnic_telemetry_init)
{
	rte_telemetry_register_cmd("/simnic/list", list,
				   "Names of the simulated NICs. No parameters");
	rte_telemetry_register_cmd(
		"/simnic/info", info,
		"Functions, ports and counter totals of a simulated NIC. Parameters: device name");
	rte_telemetry_register_cmd(
		"/simnic/rules", rules,
		"Rules of the e-switch by group, and what they met. Parameters: device name");
	rte_telemetry_register_cmd(
		"/simnic/fault", fault,
		"Misbehave. Parameters: device name[,key=value]... (or ,help for the keys)");
}
