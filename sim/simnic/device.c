// SPDX-License-Identifier: BSD-3-Clause
//
// A device from its card's greeting to its end, and the list of all. Application's control thread;
// news for the application is passed on in EAL's interrupt thread, which may take locks and time,
// as the pipeline may not.

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_string_fns.h>

#include "sim/simnic/card_link.h"
#include "sim/simnic/compat.h"
#include "sim/simnic/eswitch.h"
#include "sim/simnic/simnic.h"
#include "sim/simnic/tap.h"

RTE_LOG_REGISTER(simnic_log_type, pmd.net.simnic, NOTICE);

static TAILQ_HEAD(, device) devices = TAILQ_HEAD_INITIALIZER(devices);
static pthread_mutex_t devices_lock = PTHREAD_MUTEX_INITIALIZER;

void device_list_lock(void)
{
	pthread_mutex_lock(&devices_lock);
}

void device_list_unlock(void)
{
	pthread_mutex_unlock(&devices_lock);
}

struct device *device_next(const struct device *device)
{
	return device != NULL ? TAILQ_NEXT(device, next) : TAILQ_FIRST(&devices);
}

struct device *device_find(const struct rte_device *rte_device)
{
	struct device *device;

	device_list_lock();
	for (device = device_next(NULL); device != NULL && device->rte_device != rte_device;)
		device = device_next(device);
	device_list_unlock();
	return device;
}

// ---- the card -------------------------------------------------------------------------------------------

static void card_log(int level, const char *text)
{
	if (level <= LOG_ERR)
		SIMNIC_LOG(ERR, "card: %s", text);
	else if (level <= LOG_WARNING)
		SIMNIC_LOG(WARNING, "card: %s", text);
	else
		SIMNIC_LOG(INFO, "card: %s", text);
}

static control_thread_result card_main(void *argument)
{
	control_thread_begin();
	card_run(argument);
	return CONTROL_THREAD_END;
}

// A card of our own: the same code, in a thread, with a socket pair for the connection.
static int own_card_start(struct device *device, const struct card_config *config, char *ret_why,
			  size_t why_size)
{
	struct card_config with_log = *config;
	int pair[2], error;

	with_log.log = card_log;
	error = card_new(&with_log, &device->card, ret_why, why_size);
	if (error < 0)
		return error;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		error = -errno;
		goto fail;
	}
	device->card_fd = pair[1];
	error = card_adopt(device->card, pair[0]);
	if (error == 0)
		error = control_thread_create(&device->card_thread, "simnic-card", card_main,
					      device->card);
	if (error == 0)
		return 0;
fail:
	snprintf(ret_why, why_size, "starting the card: %s", strerror(-error));
	card_free(device->card);
	device->card = NULL;
	return error;
}

static void own_card_stop(struct device *device)
{
	if (device->card == NULL)
		return;
	card_stop(device->card);
	pthread_join(device->card_thread, NULL);
	card_free(device->card);
}

// ---- functions ------------------------------------------------------------------------------------------

static void add_function(void *argument, const struct card_function *entry, int fd)
{
	struct device *device = argument;
	struct function *function = &device->functions[entry->index];

	if (function->device == NULL) {
		function->device = device;
		function->index = entry->index;
		memcpy(&function->mac, entry->mac, sizeof(function->mac));
		function->carrier = true;
		function->fd = -1;
		function->closing_fd = -1;
		function->port.rx.event_fd = -1;
	}
	strlcpy(function->netdev, entry->netdev, sizeof(function->netdev));
	function_set_fd(function, fd);
}

static int get_functions(struct device *device, char *ret_why, size_t why_size)
{
	for (uint16_t next = 0; next < device->function_count;) {
		int error = card_link_read(device->card_fd, device->function_count, add_function,
					   device);

		if (error < 0) {
			snprintf(ret_why, why_size, "the card stopped after %u of %u functions: %s",
				 next, device->function_count, strerror(-error));
			return error;
		}
		while (next < device->function_count && device->functions[next].device != NULL)
			next++;
	}
	return 0;
}

struct function *device_vf(struct device *device, uint16_t number)
{
	if (number == SIMNIC_VF_PF)
		return &device->functions[CARD_INDEX_PF];
	return number < device->vfs ? &device->functions[CARD_INDEX_VF0 + number] : NULL;
}

void device_lose_card(struct device *device)
{
	if (device->card_fd < 0)
		return;
	close(device->card_fd);
	device->card_fd = -1;
	__atomic_store_n(&device->removed, true, __ATOMIC_RELEASE);
	for (uint16_t i = 0; i < device->function_count; i++)
		function_removed(&device->functions[i]);
}

static void function_close(struct function *function)
{
	if (function->device == NULL)
		return; // the card never named it
	if (function->fd >= 0)
		close(function->fd);
	if (function->closing_fd >= 0)
		close(function->closing_fd);
}

// Descriptors: a TAP and an Rx interrupt for each function; with a card of our own there are its own, too.
static void raise_descriptor_limit(unsigned int functions)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= 4 * (rlim_t)functions + 256)
		return;
	limit.rlim_cur = RTE_MIN(limit.rlim_max, 4 * (rlim_t)functions + 256);
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

// ---- news for the EAL interrupt thread ------------------------------------------------------------------

static void on_news(void *argument)
{
	struct device *device = argument;
	uint64_t ignored;

	(void)!read(rte_intr_fd_get(device->news), &ignored, sizeof(ignored));
	simnic_ports_notify(device);
}

static int news_create(struct device *device)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	device->news = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
	if (device->news == NULL) {
		close(fd);
		return -ENOMEM;
	}
	rte_intr_fd_set(device->news, fd);
	rte_intr_type_set(device->news, RTE_INTR_HANDLE_EXT);
	return 0;
}

static void news_destroy(struct device *device)
{
	if (device->news == NULL)
		return;
	close(rte_intr_fd_get(device->news));
	rte_intr_instance_free(device->news);
}

// ---- the device -----------------------------------------------------------------------------------------

static int connect_card(struct device *device, const struct device_config *config, char *ret_why,
			size_t why_size)
{
	struct card_message hello;
	int error;

	if (config->card_path != NULL) {
		error = card_link_connect(config->card_path, &device->card_fd, &hello, ret_why,
					  why_size);
	} else {
		error = own_card_start(device, &config->card, ret_why, why_size);
		if (error == 0)
			error = card_link_greet(device->card_fd, &hello, ret_why, why_size);
	}
	if (error < 0)
		return error;
	device->vfs = hello.hello.vfs;
	device->function_count = CARD_INDEX_VF0 + device->vfs;
	device->functions = calloc(device->function_count, sizeof(*device->functions));
	if (device->functions == NULL)
		return -ENOMEM;
	raise_descriptor_limit(device->function_count);
	error = get_functions(device, ret_why, why_size);
	if (error < 0)
		return error;
	return fcntl(device->card_fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static void recursive_mutex_init(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(mutex, &attributes);
	pthread_mutexattr_destroy(&attributes);
}

int device_new(struct rte_device *rte_device, const struct device_config *config,
	       struct device **ret_device, char *ret_why, size_t why_size)
{
	struct device *device = calloc(1, sizeof(*device));
	int error;

	snprintf(ret_why, why_size, "out of memory or descriptors");
	if (device == NULL)
		return -ENOMEM;
	strlcpy(device->name, rte_device->name, sizeof(device->name));
	device->rte_device = rte_device;
	device->async = config->async;
	device->pipeline.uring = config->uring;
	device->card_fd = -1;
	pthread_mutex_init(&device->fd_lock, NULL);
	pthread_mutex_init(&device->dress_lock, NULL);
	recursive_mutex_init(&device->notify_lock);
	faults_init(&device->faults);
	meters_init(&device->meters);
	device->domain_id = RTE_ETH_DEV_SWITCH_DOMAIN_ID_INVALID;
	error = pipeline_init(device);
	if (error == 0)
		error = eswitch_init(device);
	if (error == 0)
		error = news_create(device);
	if (error == 0)
		error = rte_eth_switch_domain_alloc(&device->domain_id);
	if (error == 0)
		error = connect_card(device, config, ret_why, why_size);
	if (error == 0)
		error = pipeline_start(device);
	if (error == 0)
		error = rte_intr_callback_register(device->news, on_news, device);
	device_list_lock();
	TAILQ_INSERT_TAIL(&devices, device, next);
	device_list_unlock();
	if (error < 0) {
		device_free(device);
		return error;
	}
	*ret_device = device;
	return 0;
}

void device_free(struct device *device)
{
	device_list_lock();
	TAILQ_REMOVE(&devices, device, next);
	device_list_unlock();
	// First, as it uses all the rest. Fails with -ENOENT if it was not registered.
	if (device->news != NULL)
		(void)rte_intr_callback_unregister_sync(device->news, on_news, device);
	pipeline_fini(device);
	for (uint16_t i = 0; i < device->function_count && device->functions != NULL; i++)
		function_close(&device->functions[i]);
	if (device->card_fd >= 0)
		close(device->card_fd);
	own_card_stop(device);
	eswitch_fini(device);
	news_destroy(device);
	(void)rte_eth_switch_domain_free(device->domain_id);
	free(device->functions);
	pthread_mutex_destroy(&device->fd_lock);
	pthread_mutex_destroy(&device->dress_lock);
	pthread_mutex_destroy(&device->notify_lock);
	faults_fini(&device->faults);
	meters_fini(&device->meters);
	free(device);
}
