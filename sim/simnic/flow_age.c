// SPDX-License-Identifier: BSD-3-Clause

#include <time.h>

#include <rte_alarm.h>

#include "sim/simnic/eswitch.h"
#include "sim/simnic/flow_age.h"

enum { TICK_US = 500000 };

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void rejuvenate(struct flow_age *age, uint64_t now)
{
	age->last_hit_ms = now;
	age->state = AGE_YOUNG;
	age->announced = false;
}

// See whether it was hit, and whether its time is over.
static void look(struct flow_age *age, uint64_t now)
{
	uint64_t hits = counter_read(age->hits);

	if (hits != age->hits_seen) {
		age->hits_seen = hits;
		rejuvenate(age, now);
	}
	if (age->state == AGE_YOUNG && age->timeout_s != 0 &&
	    now - age->last_hit_ms >= age->timeout_s * UINT64_C(1000))
		age->state = AGE_AGED;
}

// ---- the timer ------------------------------------------------------------------------------------------

// The application may call us back from its callback, so that is called without the lock.
static void tick(void *argument)
{
	struct device *device = argument;
	struct eswitch *eswitch = device->eswitch;
	uint64_t owners[RTE_DIM(eswitch->aged_untold)] = {0};
	uint64_t now = now_ms();
	struct flow_age *age;

	pthread_mutex_lock(&eswitch->lock);
	TAILQ_FOREACH (age, &eswitch->ages, next) {
		uint64_t *untold = &eswitch->aged_untold[age->owner / 64];
		uint64_t bit = UINT64_C(1) << (age->owner % 64);

		look(age, now);
		if (age->state != AGE_AGED || age->announced)
			continue;
		age->announced = true;
		if (*untold & bit)
			continue; // it was told that there are some, and has not asked yet
		*untold |= bit;
		owners[age->owner / 64] |= bit;
	}
	eswitch->ticking =
		!TAILQ_EMPTY(&eswitch->ages) && rte_eal_alarm_set(TICK_US, tick, device) == 0;
	pthread_mutex_unlock(&eswitch->lock);
	for (uint16_t i = 0; i < device->function_count; i++)
		if (owners[i / 64] & UINT64_C(1) << (i % 64))
			simnic_port_tell(&device->functions[i], RTE_ETH_EVENT_FLOW_AGED);
}

void flow_age_stop(struct device *device)
{
	(void)rte_eal_alarm_cancel(tick, device);
}

// ---- what ages ------------------------------------------------------------------------------------------

void flow_age_add(struct device *device, struct flow_age *age)
{
	struct eswitch *eswitch = device->eswitch;

	pthread_mutex_lock(&eswitch->lock);
	age->hits_seen = counter_read(age->hits);
	rejuvenate(age, now_ms());
	age->listed = true;
	TAILQ_INSERT_TAIL(&eswitch->ages, age, next);
	if (!eswitch->ticking)
		eswitch->ticking = rte_eal_alarm_set(TICK_US, tick, device) == 0;
	pthread_mutex_unlock(&eswitch->lock);
}

void flow_age_remove(struct device *device, struct flow_age *age)
{
	pthread_mutex_lock(&device->eswitch->lock);
	if (age->listed)
		TAILQ_REMOVE(&device->eswitch->ages, age, next);
	age->listed = false;
	pthread_mutex_unlock(&device->eswitch->lock);
}

void flow_age_update(struct device *device, struct flow_age *age,
		     const struct rte_flow_update_age *update)
{
	uint64_t now = now_ms();

	pthread_mutex_lock(&device->eswitch->lock);
	look(age, now);
	if (update->touch)
		rejuvenate(age, now);
	if (update->timeout_valid) {
		age->timeout_s = update->timeout;
		rejuvenate(age, age->last_hit_ms); // to be judged again
	}
	pthread_mutex_unlock(&device->eswitch->lock);
}

void flow_age_query(struct device *device, struct flow_age *age,
		    struct rte_flow_query_age *ret_answer)
{
	uint64_t now = now_ms();

	pthread_mutex_lock(&device->eswitch->lock);
	look(age, now);
	*ret_answer = (struct rte_flow_query_age){
		.aged = age->state != AGE_YOUNG,
		.sec_since_last_hit_valid = 1,
		.sec_since_last_hit = RTE_MIN((now - age->last_hit_ms) / 1000, UINT64_C(0xffffff)),
	};
	pthread_mutex_unlock(&device->eswitch->lock);
}

int flow_age_get(struct device *device, uint16_t owner, void **contexts, uint32_t count)
{
	struct eswitch *eswitch = device->eswitch;
	struct flow_age *age;
	uint32_t found = 0;

	pthread_mutex_lock(&eswitch->lock);
	eswitch->aged_untold[owner / 64] &= ~(UINT64_C(1) << (owner % 64));
	TAILQ_FOREACH (age, &eswitch->ages, next) {
		if (age->owner != owner || age->state != AGE_AGED)
			continue;
		if (count > 0) {
			if (found == count)
				break;
			contexts[found] = age->context;
			age->state = AGE_TOLD;
		}
		found++;
	}
	pthread_mutex_unlock(&eswitch->lock);
	return found;
}
