// SPDX-License-Identifier: BSD-3-Clause
//
// The keys being worked on: see keys.h. A list, because there are never more than worker threads
// plus one.

#include "hostd/keys.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct taken {
	struct attachment_key key;
	struct taken *next;
};

struct keys {
	pthread_mutex_t mutex;
	struct taken *first;
	void (*released)(void *arg);
	void *arg;
};

int keys_open(void (*released)(void *arg), void *arg, struct keys **ret_keys)
{
	struct keys *keys = calloc(1, sizeof(*keys));

	if (keys == NULL)
		return -ENOMEM;
	pthread_mutex_init(&keys->mutex, NULL);
	keys->released = released;
	keys->arg = arg;
	*ret_keys = keys;
	return 0;
}

void keys_close(struct keys *keys)
{
	if (keys == NULL)
		return;
	while (keys->first != NULL) {
		struct taken *taken = keys->first;

		keys->first = taken->next;
		free(taken);
	}
	pthread_mutex_destroy(&keys->mutex);
	free(keys);
}

bool keys_try_take(struct keys *keys, const struct attachment_key *key)
{
	struct taken *mine = malloc(sizeof(*mine)), *other;

	if (mine == NULL)
		return false; // as if it were taken: tried again
	mine->key = *key;
	pthread_mutex_lock(&keys->mutex);
	for (other = keys->first; other != NULL; other = other->next)
		if (attachment_key_equal(&other->key, key))
			break;
	if (other == NULL) {
		mine->next = keys->first;
		keys->first = mine;
	}
	pthread_mutex_unlock(&keys->mutex);
	if (other != NULL)
		free(mine);
	return other == NULL;
}

void keys_release(struct keys *keys, const struct attachment_key *key)
{
	struct taken **place, *mine = NULL;

	pthread_mutex_lock(&keys->mutex);
	for (place = &keys->first; *place != NULL; place = &(*place)->next)
		if (attachment_key_equal(&(*place)->key, key)) {
			mine = *place;
			*place = mine->next;
			break;
		}
	pthread_mutex_unlock(&keys->mutex);
	free(mine);
	if (keys->released != NULL)
		keys->released(keys->arg);
}
