// SPDX-License-Identifier: BSD-3-Clause
//
// hostd's own work after each Hello: see upkeep.h.

#include "hostd/upkeep.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostd/clock.h"
#include "hostd/release.h"
#include "proto/base/log.h"

// How often attachments are compared with sandboxes: a few times in the grace time, and one List
// every ten seconds is nothing.
enum { RECONCILE_MS = 10 * 1000, RECONCILE_MIN_MS = 1000 };

struct upkeep {
	struct hostd *hostd;
	struct reconcile *reconcile; // under the mutex
	pthread_mutex_t mutex;
	uint64_t next_reconcile_ms;
	uint64_t last_reconcile_ms;
	_Atomic bool function_came;
	_Atomic bool host_port_changed;
	struct hello_reply dressed; // what the host port was dressed for
};

int upkeep_open(struct hostd *hostd, struct upkeep **ret_upkeep, struct error *err)
{
	struct upkeep *upkeep = calloc(1, sizeof(*upkeep));
	int r;

	if (upkeep == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "prepare upkeep: no memory");
	upkeep->hostd = hostd;
	pthread_mutex_init(&upkeep->mutex, NULL);
	r = reconcile_open(&upkeep->reconcile, err);
	if (r < 0) {
		free(upkeep);
		return r;
	}
	*ret_upkeep = upkeep;
	return 0;
}

void upkeep_close(struct upkeep *upkeep)
{
	if (upkeep == NULL)
		return;
	reconcile_close(upkeep->reconcile);
	pthread_mutex_destroy(&upkeep->mutex);
	free(upkeep);
}

int upkeep_reconcile(struct upkeep *upkeep, struct reconcile_counts *ret_counts, struct error *err)
{
	int r;

	pthread_mutex_lock(&upkeep->mutex);
	r = reconcile_run(upkeep->reconcile, upkeep->hostd, ret_counts, err);
	pthread_mutex_unlock(&upkeep->mutex);
	return r;
}

void upkeep_function_came(struct upkeep *upkeep)
{
	upkeep->function_came = true;
}

void upkeep_host_port_changed(struct upkeep *upkeep)
{
	upkeep->host_port_changed = true;
}

// Is it by this very address that the agent is spoken to? Then it has it elsewhere as well, and the way there
// must not be led over its own data path.
static bool is_control_address(const struct hostd *hostd, int family, const void *address)
{
	char text[INET6_ADDRSTRLEN], end[INET6_ADDRSTRLEN + 8];

	inet_ntop(family, address, text, sizeof(text));
	snprintf(end, sizeof(end), family == AF_INET ? "//%s:" : "//[%s]:", text);
	return strstr(hostd->config.agent, end) != NULL;
}

// In what the host port is dressed by. What is not there is zero.
static bool differs(const struct hello_reply *a, const struct hello_reply *b)
{
	return a->has_pod_network != b->has_pod_network ||
	       memcmp(&a->pod_network, &b->pod_network, sizeof(a->pod_network)) != 0 ||
	       a->has_uplink_ipv4 != b->has_uplink_ipv4 ||
	       a->has_uplink_ipv6 != b->has_uplink_ipv6 ||
	       memcmp(&a->uplink_ipv4, &b->uplink_ipv4, sizeof(a->uplink_ipv4)) != 0 ||
	       memcmp(&a->uplink_ipv6, &b->uplink_ipv6, sizeof(a->uplink_ipv6)) != 0;
}

static void care_for_host_port(struct upkeep *upkeep, const struct hello_reply *told, bool fresh)
{
	struct hello_reply copy = *told, *hello = &copy;
	struct host_port *port = upkeep->hostd->host_port;
	struct host_status status = {0};
	bool changed;

	if (port == NULL)
		return;
	hello->has_uplink_ipv4 &= !is_control_address(upkeep->hostd, AF_INET, &hello->uplink_ipv4);
	hello->has_uplink_ipv6 &= !is_control_address(upkeep->hostd, AF_INET6, &hello->uplink_ipv6);
	host_port_status(port, &status);
	changed = atomic_exchange(&upkeep->host_port_changed, false) ||
		  differs(hello, &upkeep->dressed);
	if (!fresh && !changed && status.host_port_ready)
		return;
	upkeep->dressed = *hello;
	if (hello->host_port)
		host_port_dress(port, hello);
	else
		host_port_not_served(port);
}

static uint64_t reconcile_interval_ms(const struct hostd *hostd)
{
	uint64_t third_ms = (uint64_t)hostd->config.reclaim_grace_s * 1000 / 3;

	return third_ms < RECONCILE_MIN_MS ? RECONCILE_MIN_MS
	       : third_ms > RECONCILE_MS   ? RECONCILE_MS
					   : third_ms;
}

// Functions come home all the time, most of them because their pods have ended: not for each of them.
static bool is_due(const struct upkeep *upkeep)
{
	uint64_t now_ms = clock_ms();

	return now_ms >= upkeep->next_reconcile_ms ||
	       (upkeep->function_came && now_ms - upkeep->last_reconcile_ms >= RECONCILE_MIN_MS);
}

int upkeep_greeted(const struct hello_reply *hello, bool fresh, void *arg, struct error *err)
{
	struct upkeep *upkeep = arg;
	struct hostd *hostd = upkeep->hostd;
	struct error error;
	int r = 0;

	if (delete_queue_count(hostd->deletes) > 0)
		r = release_flush(hostd, err);
	if (r < 0)
		return r;
	care_for_host_port(upkeep, hello, fresh);
	if (!fresh && !is_due(upkeep))
		return 0;
	// Who asked for it does it now; the Hellos must not wait for that.
	if (pthread_mutex_trylock(&upkeep->mutex) != 0)
		return 0;
	upkeep->function_came = false;
	upkeep->last_reconcile_ms = clock_ms();
	upkeep->next_reconcile_ms = upkeep->last_reconcile_ms + reconcile_interval_ms(hostd);
	r = reconcile_run(upkeep->reconcile, hostd, NULL, &error);
	pthread_mutex_unlock(&upkeep->mutex);
	if (r < 0 && error.code == CODE_AGENT_AWAY)
		return error_set(err, -r, error.code, "%s", error.message);
	if (r < 0)
		log_warning("attachments could not be compared with sandboxes", "error=\"%s\"",
			    error.message);
	return 0;
}
