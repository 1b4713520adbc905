// SPDX-License-Identifier: BSD-3-Clause

#include <errno.h>
#include <stdlib.h>

#include "sim/simnic/eswitch.h"
#include "sim/simnic/flow_shared.h"

void flow_count_query(const uint64_t *hits, const uint64_t *bytes, struct flow_count_base *base,
		      struct rte_flow_query_count *count)
{
	uint64_t hits_now = counter_read(hits), bytes_now = counter_read(bytes);

	count->hits_set = 1;
	count->bytes_set = 1;
	count->hits = hits_now - base->hits;
	count->bytes = bytes_now - base->bytes;
	if (count->reset)
		*base = (struct flow_count_base){.hits = hits_now, .bytes = bytes_now};
}

// ---- references -----------------------------------------------------------------------------------------

void flow_shared_get(struct rte_flow_action_handle *handle)
{
	struct eswitch *eswitch = handle->device->eswitch;

	pthread_mutex_lock(&eswitch->lock);
	handle->references++;
	pthread_mutex_unlock(&eswitch->lock);
}

void flow_shared_put(struct rte_flow_action_handle *handle)
{
	struct eswitch *eswitch = handle->device->eswitch;
	bool last;

	pthread_mutex_lock(&eswitch->lock);
	last = --handle->references == 0;
	pthread_mutex_unlock(&eswitch->lock);
	if (!last)
		return;
	flow_age_remove(handle->device, &handle->age);
	free(handle);
}

// ---- operations -----------------------------------------------------------------------------------------

static int refuse_shared(struct rte_flow_error *error, int code, enum rte_flow_error_type type,
			 const void *cause, const char *why)
{
	return rte_flow_error_set(error, code, type, cause, why);
}

static int check_action(const struct rte_flow_indir_action_conf *conf,
			const struct rte_flow_action *action, struct rte_flow_error *error)
{
	const struct rte_flow_action_age *age;

	if (conf == NULL || !conf->transfer || conf->ingress || conf->egress)
		return refuse_shared(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR_TRANSFER, conf,
				     "only transfer actions are supported");
	if (action == NULL)
		return refuse_shared(error, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_NUM, NULL,
				     "no action");
	if (action->type == RTE_FLOW_ACTION_TYPE_COUNT)
		return 0;
	if (action->type != RTE_FLOW_ACTION_TYPE_AGE)
		return refuse_shared(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ACTION, action,
				     "only COUNT and AGE can be shared");
	age = action->conf;
	if (age == NULL || age->timeout == 0 || age->reserved != 0)
		return refuse_shared(error, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF, action,
				     "AGE needs a timeout");
	return 0;
}

struct rte_flow_action_handle *flow_shared_create(struct rte_eth_dev *dev,
						  const struct rte_flow_indir_action_conf *conf,
						  const struct rte_flow_action *action,
						  struct rte_flow_error *error)
{
	struct function *function = function_of(dev);
	struct eswitch *eswitch = function->device->eswitch;
	struct rte_flow_action_handle *handle;

	if (check_action(conf, action, error) < 0)
		return NULL;
	handle = calloc(1, sizeof(*handle));
	if (handle == NULL) {
		(void)refuse_shared(error, ENOMEM, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL,
				    "out of memory");
		return NULL;
	}
	handle->device = function->device;
	handle->owner = function->index;
	handle->type = action->type;
	handle->references = 1;
	if (action->type == RTE_FLOW_ACTION_TYPE_AGE) {
		const struct rte_flow_action_age *age = action->conf;

		handle->age.owner = function->index;
		handle->age.timeout_s = age->timeout;
		handle->age.context = age->context != NULL ? age->context : handle;
		handle->age.hits = &handle->hits;
		flow_age_add(function->device, &handle->age);
	}
	pthread_mutex_lock(&eswitch->lock);
	TAILQ_INSERT_TAIL(&eswitch->shared, handle, next);
	pthread_mutex_unlock(&eswitch->lock);
	return handle;
}

static int check_handle(struct rte_eth_dev *dev, const struct rte_flow_action_handle *handle,
			struct rte_flow_error *error)
{
	const struct function *function = function_of(dev);

	if (handle != NULL && handle->device == function->device &&
	    handle->owner == function->index)
		return 0;
	return refuse_shared(error, ENOENT, RTE_FLOW_ERROR_TYPE_HANDLE, handle,
			     "the action was not made through this port");
}

int flow_shared_destroy(struct rte_eth_dev *dev, struct rte_flow_action_handle *handle,
			struct rte_flow_error *error)
{
	struct eswitch *eswitch = function_of(dev)->device->eswitch;
	bool used;

	if (check_handle(dev, handle, error) < 0)
		return -rte_errno;
	pthread_mutex_lock(&eswitch->lock);
	used = handle->references > 1;
	if (!used)
		TAILQ_REMOVE(&eswitch->shared, handle, next);
	pthread_mutex_unlock(&eswitch->lock);
	if (used)
		return refuse_shared(error, EBUSY, RTE_FLOW_ERROR_TYPE_HANDLE, handle,
				     "rules or templates still use the action");
	flow_shared_put(handle);
	return 0;
}

int flow_shared_update(struct rte_eth_dev *dev, struct rte_flow_action_handle *handle,
		       const void *update, struct rte_flow_error *error)
{
	if (check_handle(dev, handle, error) < 0)
		return -rte_errno;
	if (handle->type != RTE_FLOW_ACTION_TYPE_AGE)
		return refuse_shared(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ACTION, handle,
				     "only AGE can be updated");
	if (update == NULL || ((const struct rte_flow_update_age *)update)->reserved != 0)
		return refuse_shared(error, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF, update,
				     "no update, or reserved bits");
	flow_age_update(handle->device, &handle->age, update);
	return 0;
}

int flow_shared_query(struct rte_eth_dev *dev, const struct rte_flow_action_handle *handle,
		      void *data, struct rte_flow_error *error)
{
	struct rte_flow_action_handle *own = (void *)(uintptr_t)handle;

	if (check_handle(dev, handle, error) < 0)
		return -rte_errno;
	if (data == NULL)
		return refuse_shared(error, EINVAL, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL,
				     "no place for the answer");
	if (handle->type == RTE_FLOW_ACTION_TYPE_AGE)
		flow_age_query(own->device, &own->age, data);
	else
		flow_count_query(&own->hits, &own->bytes, &own->base, data);
	return 0;
}

void flow_shared_port_closed(struct function *function)
{
	struct eswitch *eswitch = function->device->eswitch;
	struct rte_flow_action_handle *handle, *next;
	struct flow_shared_list own;

	TAILQ_INIT(&own);
	pthread_mutex_lock(&eswitch->lock);
	for (handle = TAILQ_FIRST(&eswitch->shared); handle != NULL; handle = next) {
		next = TAILQ_NEXT(handle, next);
		if (handle->owner != function->index)
			continue;
		TAILQ_REMOVE(&eswitch->shared, handle, next);
		TAILQ_INSERT_TAIL(&own, handle, next);
	}
	pthread_mutex_unlock(&eswitch->lock);
	while ((handle = TAILQ_FIRST(&own)) != NULL) {
		TAILQ_REMOVE(&own, handle, next);
		flow_age_remove(handle->device, &handle->age); // nobody could be told
		flow_shared_put(handle);
	}
}
