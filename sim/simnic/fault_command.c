// SPDX-License-Identifier: BSD-3-Clause
//
// /simnic/fault,<device>[,key=value]...: what is asked for is read to its end before any of it is done. In telemetry's own
// threads.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/simnic/compat.h"
#include "sim/simnic/simnic.h"

enum { EVENTS_MAX = 16 }; // in one command

struct event {
	struct function *function;
	enum { RESET, RESET_LOST, DOWN, UP } what;
};

// What a command asks for.
struct request {
	struct device *device;
	struct fault_inserts inserts;
	bool links_up; // all of them
	bool remove;
	struct event events[EVENTS_MAX];
	unsigned int event_count;
	bool help;
	char why[RTE_TEL_MAX_STRING_LEN]; // what is wrong with it, for people
};

__attribute__((format(printf, 2, 3))) static int wrong(struct request *request, const char *format,
						       ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(request->why, sizeof(request->why), format, arguments);
	va_end(arguments);
	return -EINVAL;
}

// ---- values ---------------------------------------------------------------------------------------------

// All of the text, up to its end, in decimal digits.
static bool read_number(const char *text, const char *end, uint32_t max, uint32_t *ret_number)
{
	uint64_t number = 0;

	if (text == end)
		return false;
	for (; text < end; text++) {
		if (*text < '0' || *text > '9')
			return false;
		number = number * 10 + (*text - '0');
		if (number > max)
			return false;
	}
	*ret_number = number;
	return true;
}

static int get_number(struct request *request, const char *value, uint32_t min, uint32_t max,
		      uint32_t *ret_number)
{
	uint32_t number;

	if (!read_number(value, value + strlen(value), max, &number) || number < min)
		return wrong(request, "'%s' is not a number from %u to %u", value, min, max);
	*ret_number = number;
	return 0;
}

static const struct {
	const char *name;
	int number;
} errors[] = {
#define E(name)                                                                                    \
	{                                                                                          \
#name, name                                                                        \
	}
	E(EPERM),  E(EIO),    E(ENOMEM), E(EBUSY),   E(EEXIST),    E(ENODEV),
	E(EINVAL), E(ENOSPC), E(EAGAIN), E(ENOTSUP), E(ETIMEDOUT),
#undef E
};

static int get_errno(struct request *request, const char *value, int *ret_errno)
{
	for (unsigned int i = 0; i < RTE_DIM(errors); i++) {
		if (strcmp(value, errors[i].name) == 0) {
			*ret_errno = errors[i].number;
			return 0;
		}
	}
	return wrong(request,
		     "'%.20s' is none of EPERM EIO ENOMEM EBUSY EEXIST ENODEV EINVAL ENOSPC EAGAIN "
		     "ENOTSUP ETIMEDOUT",
		     value);
}

static const char *errno_name(int number)
{
	for (unsigned int i = 0; i < RTE_DIM(errors); i++)
		if (errors[i].number == number)
			return errors[i].name;
	return "?";
}

static bool is_off(const char *value)
{
	return strcmp(value, "off") == 0;
}

// A VF's number, or 65535, of the text up to `end`.
static int get_function(struct request *request, const char *text, const char *end,
			struct function **ret_function)
{
	struct function *function = NULL;
	uint32_t number;

	if (read_number(text, end, SIMNIC_VF_PF, &number))
		function = device_vf(request->device, number);
	if (function == NULL)
		return wrong(request, "'%.*s' is not a VF: 0 to %d, or %u for the host's PF",
			     (int)(end - text), text, request->device->vfs - 1, SIMNIC_VF_PF);
	*ret_function = function;
	return 0;
}

static int add_event(struct request *request, struct function *function, int what)
{
	if (request->event_count == EVENTS_MAX)
		return wrong(request, "more than %u events in a command", EVENTS_MAX);
	request->events[request->event_count++] =
		(struct event){.function = function, .what = what};
	return 0;
}

// ---- keys -----------------------------------------------------------------------------------------------

static int set_table_full(struct request *request, const char *value)
{
	if (!is_off(value))
		return get_number(request, value, 0, UINT32_MAX - 1, &request->inserts.table_full);
	request->inserts.table_full = FAULT_TABLE_UNLIMITED;
	return 0;
}

static int set_fail_nth(struct request *request, const char *value)
{
	const char *colon = strchr(value, ':');
	char number[16];
	int error;

	if (is_off(value)) {
		request->inserts.fail_nth = 0;
		return 0;
	}
	snprintf(number, sizeof(number), "%.*s",
		 (int)(colon != NULL ? colon - value : (ptrdiff_t)strlen(value)), value);
	error = get_number(request, number, 1, UINT32_MAX, &request->inserts.fail_nth);
	request->inserts.fail_nth_errno = EIO;
	if (error == 0 && colon != NULL)
		error = get_errno(request, colon + 1, &request->inserts.fail_nth_errno);
	return error;
}

static int set_fail_all(struct request *request, const char *value)
{
	if (!is_off(value))
		return get_errno(request, value, &request->inserts.fail_all_errno);
	request->inserts.fail_all_errno = 0;
	return 0;
}

static int set_insert_us(struct request *request, const char *value)
{
	if (!is_off(value))
		return get_number(request, value, 0, FAULT_INSERT_DELAY_MAX_US,
				  &request->inserts.delay_us);
	request->inserts.delay_us = 0;
	return 0;
}

static int set_function_reset(struct request *request, const char *value)
{
	const char *colon = strchr(value, ':');
	struct function *function;
	int error;

	if (colon != NULL && strcmp(colon, ":lost") != 0)
		return wrong(request, "'%s' is not <vf> or <vf>:lost", value);
	error = get_function(request, value, colon != NULL ? colon : value + strlen(value),
			     &function);
	return error == 0 ? add_event(request, function, colon != NULL ? RESET_LOST : RESET)
			  : error;
}

static int add_link_event(struct request *request, struct function *function, const char *state)
{
	if (strcmp(state, "down") != 0 && strcmp(state, "up") != 0)
		return wrong(request, "'%s' is neither 'up' nor 'down'", state);
	return add_event(request, function, state[0] == 'd' ? DOWN : UP);
}

static int set_function_link(struct request *request, const char *value)
{
	const char *colon = strchr(value, ':');
	struct function *function;
	int error;

	if (colon == NULL)
		return wrong(request, "'%s' is not <vf>:up or <vf>:down", value);
	error = get_function(request, value, colon, &function);
	return error == 0 ? add_link_event(request, function, colon + 1) : error;
}

static int set_uplink(struct request *request, const char *value)
{
	return add_link_event(request, &request->device->functions[CARD_INDEX_WIRE], value);
}

static int set_remove(struct request *request, const char *value)
{
	request->remove = true;
	return 0;
}

static int set_clear(struct request *request, const char *value)
{
	request->inserts = (struct fault_inserts){.table_full = FAULT_TABLE_UNLIMITED};
	request->links_up = true;
	request->event_count = 0;
	return 0;
}

static int set_help(struct request *request, const char *value)
{
	request->help = true;
	return 0;
}

static const struct {
	const char *name;
	bool has_value;
	int (*set)(struct request *request, const char *value);
	const char *help;
} keys[] = {
	{"table_full", true, set_table_full,
	 "RULES|off: with so many, one more is refused with ENOSPC"},
	{"fail_nth", true, set_fail_nth,
	 "N[:ERRNO]|off: the Nth insert from now is refused, once; with EIO if not said"},
	{"fail_all", true, set_fail_all, "ERRNO|off: every insert is refused"},
	{"insert_us", true, set_insert_us, "MICROSECONDS|off: each insert takes this long"},
	{"function_reset", true, set_function_reset,
	 "VF[:lost]: FLR; 65535 is the host's PF. lost: its netdev goes, and a fresh one comes"},
	{"function_link", true, set_function_link, "VF:down|up"},
	{"uplink", true, set_uplink, "down|up"},
	{"remove", false, set_remove, "the device is pulled off its bus, for good"},
	{"clear", false, set_clear, "no faults any more, links up"},
	{"help", false, set_help, "this"},
};

static int read_word(struct request *request, char *word)
{
	char *value = strchr(word, '=');

	if (value != NULL)
		*value++ = '\0';
	for (unsigned int i = 0; i < RTE_DIM(keys); i++) {
		if (strcmp(word, keys[i].name) != 0)
			continue;
		if (keys[i].has_value != (value != NULL))
			return wrong(request, "'%s' is written %s a value", word,
				     keys[i].has_value ? "with" : "without");
		return keys[i].set(request, value);
	}
	return wrong(request, "'%s' is unknown", word);
}

static int read_request(struct request *request, const char *text)
{
	char copy[1024], *rest = copy, *word;
	int error = 0;

	if (text == NULL)
		return 0;
	if (strlen(text) >= sizeof(copy))
		return wrong(request, "too long");
	strcpy(copy, text);
	while (error == 0 && (word = strsep(&rest, ",")) != NULL)
		error = read_word(request, word);
	if (error == 0 && (request->event_count > 0 || request->remove) &&
	    __atomic_load_n(&request->device->removed, __ATOMIC_ACQUIRE))
		error = wrong(request, "the device is removed");
	return error;
}

// ---- doing it, and the answer ---------------------------------------------------------------------------

static void carry_out(struct request *request)
{
	struct device *device = request->device;

	for (uint16_t i = 0; request->links_up && i < device->function_count; i++)
		if (device->functions[i].down_by & FAULT_DOWN_LINK)
			fault_link_set(&device->functions[i], false);
	for (unsigned int i = 0; i < request->event_count; i++) {
		struct function *function = request->events[i].function;

		switch (request->events[i].what) {
		case RESET:
		case RESET_LOST:
			fault_function_reset(function, request->events[i].what == RESET_LOST);
			break;
		case DOWN:
		case UP:
			fault_link_set(function, request->events[i].what == DOWN);
			break;
		}
	}
	if (request->remove)
		fault_device_remove(device);
}

static void function_name(const struct function *function, char *ret_name, size_t size)
{
	if (function->index == CARD_INDEX_WIRE)
		snprintf(ret_name, size, "uplink");
	else
		snprintf(ret_name, size, "vf%u",
			 function->index == CARD_INDEX_PF ? SIMNIC_VF_PF
							  : function->index - CARD_INDEX_VF0);
}

static void add_links(const struct device *device, struct rte_tel_data *answer)
{
	struct rte_tel_data *links = rte_tel_data_alloc();
	char name[16];

	if (links == NULL)
		return;
	rte_tel_data_start_array(links, RTE_TEL_STRING_VAL);
	for (uint16_t i = 0; i < device->function_count; i++) {
		if (__atomic_load_n(&device->functions[i].down_by, __ATOMIC_RELAXED) == 0)
			continue;
		function_name(&device->functions[i], name, sizeof(name));
		if (rte_tel_data_add_array_string(links, name) < 0)
			break; // it takes 512
	}
	rte_tel_data_add_dict_container(answer, "links_down", links, 0);
}

static void add_number(struct rte_tel_data *answer, const char *name, bool on, uint32_t value)
{
	if (on)
		rte_tel_data_add_dict_uint(answer, name, value);
	else
		rte_tel_data_add_dict_string(answer, name, "off");
}

static void add_state(struct device *device, struct rte_tel_data *answer)
{
	struct fault_inserts inserts;
	uint64_t tried, failed;

	pthread_mutex_lock(&device->faults.lock);
	inserts = device->faults.inserts;
	tried = device->faults.tried;
	failed = device->faults.failed;
	pthread_mutex_unlock(&device->faults.lock);
	add_number(answer, "table_full", inserts.table_full != FAULT_TABLE_UNLIMITED,
		   inserts.table_full);
	add_number(answer, "fail_nth", inserts.fail_nth > 0, inserts.fail_nth);
	rte_tel_data_add_dict_string(
		answer, "fail_all",
		inserts.fail_all_errno != 0 ? errno_name(inserts.fail_all_errno) : "off");
	add_number(answer, "insert_us", inserts.delay_us > 0, inserts.delay_us);
	add_links(device, answer);
	rte_tel_data_add_dict_uint(answer, "removed",
				   __atomic_load_n(&device->removed, __ATOMIC_ACQUIRE));
	rte_tel_data_add_dict_uint(answer, "inserts", tried);
	rte_tel_data_add_dict_uint(answer, "inserts_failed", failed);
}

void fault_command(struct device *device, const char *text, struct rte_tel_data *answer)
{
	struct request request = {.device = device};
	struct faults *faults = &device->faults;
	int error;

	// Inserts count fail_nth down meanwhile; held, so that none is counted twice.
	pthread_mutex_lock(&faults->lock);
	request.inserts = faults->inserts;
	error = read_request(&request, text);
	if (error == 0 && !request.help)
		faults->inserts = request.inserts;
	pthread_mutex_unlock(&faults->lock);
	if (request.help) {
		for (unsigned int i = 0; i < RTE_DIM(keys); i++)
			rte_tel_data_add_dict_string(answer, keys[i].name, keys[i].help);
		return;
	}
	if (error == 0)
		carry_out(&request);
	else
		rte_tel_data_add_dict_string(answer, "error", request.why);
	add_state(device, answer);
}
