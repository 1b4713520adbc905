// SPDX-License-Identifier: BSD-3-Clause
//
// EAL's arguments, its log lines into ours, and what it leaves behind.
//
//     huge pages       --in-memory: nothing in hugetlbfs that a crash would leave
//     ordinary memory  --no-huge --no-shconf; not --in-memory, which excludes --no-huge (it implies
//                      legacy memory)

#include "main/eal.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <regex.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/log.h"

enum { ARGUMENTS_MAX = 32 + 2 * CONFIG_DRIVERS_MAX };

struct arguments {
	int count;
	char *values[ARGUMENTS_MAX + 1];
};

__attribute__((format(printf, 2, 3))) static void add(struct arguments *arguments,
						      const char *format, ...)
{
	va_list args;

	if (arguments->count == ARGUMENTS_MAX)
		return; // cannot be: the table is sized for all there are
	va_start(args, format);
	if (vasprintf(&arguments->values[arguments->count], format, args) >= 0)
		arguments->count++;
	va_end(args);
}

// ---- log lines -------------------------------------------------------------------------------------

// What DPDK complained of first: why it does not start it says only in its log, and what follows is
// what follows from it.
static struct {
	pthread_mutex_t lock;
	char text[256];
} complaint = {.lock = PTHREAD_MUTEX_INITIALIZER};

static enum log_level level_of(int rte_level)
{
	if (rte_level <= (int)RTE_LOG_ERR)
		return LOG_LEVEL_ERROR;
	if (rte_level == (int)RTE_LOG_WARNING)
		return LOG_LEVEL_WARNING;
	return LOG_LEVEL_DEBUG; // its "info" is for those who debug
}

// One call is one line: rte_vlog flushes after each.
static ssize_t write_line(void *cookie, const char *data, size_t size)
{
	enum log_level level = level_of(rte_log_cur_msg_loglevel());
	char line[512];
	size_t length = size < sizeof(line) ? size : sizeof(line) - 1;

	memcpy(line, data, length);
	while (length > 0 && line[length - 1] == '\n')
		length--;
	line[length] = '\0';
	for (char *c = line; *c != '\0'; c++)
		if (*c == '"')
			*c = '\'';
	if (length == 0)
		return (ssize_t)size;
	if (level == LOG_LEVEL_ERROR) {
		pthread_mutex_lock(&complaint.lock);
		if (complaint.text[0] == '\0')
			snprintf(complaint.text, sizeof(complaint.text), "%.255s", line);
		pthread_mutex_unlock(&complaint.lock);
	}
	log_write(level, "dpdk", "text=\"%s\"", line);
	return (ssize_t)size;
}

static void redirect_log(void)
{
	static const cookie_io_functions_t functions = {.write = write_line};
	FILE *stream = fopencookie(NULL, "w", functions);

	if (stream == NULL)
		return; // its lines go to standard error as they are
	setvbuf(stream, NULL, _IOFBF, 4096);
	rte_openlog_stream(stream);
}

static const char *rte_level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARNING:
	case LOG_LEVEL_INFO:
		return "warning";
	case LOG_LEVEL_DEBUG:
		break;
	}
	return "info";
}

// ---- arguments -------------------------------------------------------------------------------------

static bool is_pci(const char *device)
{
	regex_t pattern;
	bool matches;

	if (strncmp(device, "pci:", 4) == 0)
		return true;
	if (regcomp(&pattern, "^([0-9a-fA-F]{1,8}:)?[0-9a-fA-F]{1,2}:[0-9a-fA-F]{1,2}\\.[0-7](,|$)",
		    REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	matches = regexec(&pattern, device, 0, NULL, 0) == 0;
	regfree(&pattern);
	return matches;
}

// All CPUs that we may run on, as "0,1,5".
static void allowed_cpus(char *ret_text, size_t size)
{
	size_t length = 0;
	cpu_set_t set;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		CPU_SET(0, &set);
	ret_text[0] = '\0';
	for (int cpu = 0; cpu < CPU_SETSIZE && length + 8 < size; cpu++)
		if (CPU_ISSET(cpu, &set))
			length += (size_t)snprintf(ret_text + length, size - length, "%s%d",
						   length > 0 ? "," : "", cpu);
}

// Not pinned, all threads float over all CPUs: several agents share a small machine. Pinned, the
// first CPU is the control thread's, the next the workers'.
static void add_lcores(struct arguments *arguments, const struct agent_config *config)
{
	char cpus[CPU_SETSIZE * 5], lcores[CONFIG_WORKERS_MAX * 16];
	size_t length = 0;

	if (config->cpus.count == 0) {
		allowed_cpus(cpus, sizeof(cpus));
		add(arguments, "--lcores=(0-%u)@(%s)", config->workers, cpus);
	} else {
		for (uint32_t i = 0; i <= config->workers; i++)
			length += (size_t)snprintf(lcores + length, sizeof(lcores) - length,
						   "%s%u@%u", i > 0 ? "," : "", i,
						   config->cpus.numbers[i]);
		add(arguments, "--lcores=%s", lcores);
	}
	add(arguments, "--main-lcore=0");
}

static void compose(struct arguments *arguments, const struct agent_config *config)
{
	add(arguments, "podport-agent");
	add(arguments, "--file-prefix=%s", config->file_prefix);
	add(arguments, "--log-level=*:%s", rte_level_name(config->log_level));
	add_lcores(arguments, config);
	if (config->huge_pages) {
		add(arguments, "--in-memory");
	} else {
		add(arguments, "--no-huge");
		add(arguments, "--no-shconf");
	}
	add(arguments, "-m");
	add(arguments, "%u", config->memory_mb);
	if (is_pci(config->nic_device)) {
		// An allow list of nobody: devices are probed by name, when the NIC is opened, and
		// not all that happen to be there.
		add(arguments, "-a");
		add(arguments, "0000:00:00.0");
	} else {
		add(arguments, "--no-pci");
	}
	for (size_t i = 0; i < config->drivers.count; i++) {
		add(arguments, "-d");
		add(arguments, "%s", config->drivers.paths[i]);
	}
}

// ---- what is left behind ---------------------------------------------------------------------------

// DPDK removes its telemetry socket in an exit handler of its own and leaves the folder. Registered
// before DPDK's, this one runs after it.
static void remove_runtime_dir(void)
{
	const char *path = rte_eal_get_runtime_dir();

	if (path != NULL && path[0] == '/')
		rmdir(path); // with what is another agent's in it, it stays
}

static int check_cpus(const struct agent_config *config, struct error *err)
{
	char text[CPU_SETSIZE * 5];
	cpu_set_t set;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 0; // EAL will say
	for (size_t i = 0; i < config->cpus.count; i++) {
		if (CPU_ISSET(config->cpus.numbers[i], &set))
			continue;
		allowed_cpus(text, sizeof(text));
		return error_set(err, EINVAL, CODE_NIC,
				 "dpdk.cpus: the agent may not run on CPU %u, only on %.200s",
				 config->cpus.numbers[i], text);
	}
	return 0;
}

int eal_start(const struct agent_config *config, struct error *err)
{
	struct arguments arguments = {0};
	char *scratch[ARGUMENTS_MAX + 1];
	int r;

	r = check_cpus(config, err);
	if (r < 0)
		return r;
	redirect_log();
	atexit(remove_runtime_dir);
	compose(&arguments, config);
	memcpy(scratch, arguments.values, sizeof(scratch)); // EAL reorders them
	r = rte_eal_init(arguments.count, scratch);
	for (int i = 0; i < arguments.count; i++)
		free(arguments.values[i]);
	if (r >= 0)
		return 0;
	r = rte_errno > 0 ? rte_errno : EIO;
	return error_set(err, r, CODE_NIC, "DPDK did not start: %s (%s)%s",
			 complaint.text[0] != '\0' ? complaint.text : "it does not say why",
			 rte_strerror(r),
			 strstr(complaint.text, "hugepage") != NULL
				 ? "; reserve huge pages (vm.nr_hugepages), or set "
				   "dpdk.huge_pages: false"
				 : "");
}

void eal_stop(void)
{
	rte_eal_cleanup();
}
