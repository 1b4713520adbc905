// SPDX-License-Identifier: BSD-3-Clause
//
// Whom an attachment's key means.

#include "ctl/lookup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct podport_attachment *lookup_pod(const struct podport_pods *pods,
					    const struct podport_key *key)
{
	for (size_t i = 0; i < podport_pods_count(pods); i++) {
		const struct podport_attachment *pod = podport_pods_get(pods, i);

		if (strcmp(pod->key.network, key->network) == 0 &&
		    strcmp(pod->key.container_id, key->container_id) == 0 &&
		    strcmp(pod->key.ifname, key->ifname) == 0)
			return pod;
	}
	return NULL;
}

const char *lookup_name(const struct podport_pods *pods, const struct podport_key *key,
			struct text *text)
{
	const struct podport_attachment *pod = lookup_pod(pods, key);

	return pod != NULL ? format_pod(text, pod) : format_container(text, key->container_id);
}

bool lookup_is(const struct podport_attachment *pod, const char *name)
{
	struct text text;

	return strcmp(format_pod(&text, pod), name) == 0 ||
	       strcmp(format_container(&text, pod->key.container_id), name) == 0 ||
	       strcmp(pod->key.container_id, name) == 0 ||
	       (pod->pod_name[0] != '\0' && strcmp(pod->pod_name, name) == 0);
}

static bool has_part(const struct podport_attachment *pod, const char *name)
{
	struct text text;

	return strstr(format_pod(&text, pod), name) != NULL ||
	       strstr(pod->key.container_id, name) != NULL;
}

// The only one whose name has this in it: the pod of a Deployment, or a container of ctr's, whose ID begins
// with containerd's namespace. NULL: none, or several.
static const struct podport_attachment *find_similar(const struct podport_pods *pods,
						     const char *name)
{
	const struct podport_attachment *found = NULL;

	for (size_t i = 0; i < podport_pods_count(pods); i++) {
		const struct podport_attachment *pod = podport_pods_get(pods, i);

		if (!has_part(pod, name))
			continue;
		if (found != NULL && strcmp(found->key.container_id, pod->key.container_id) != 0)
			return NULL;
		found = pod;
	}
	return found;
}

int lookup_fail(const struct podport_pods *pods, const char *name, struct podport_error *error)
{
	const struct podport_attachment *similar = find_similar(pods, name);
	struct text text;

	error->code = PODPORT_NOT_FOUND;
	error->name = podport_code_name(PODPORT_NOT_FOUND);
	if (similar != NULL)
		snprintf(error->message, sizeof(error->message),
			 "no pod is called '%.200s'; did you mean '%.200s'?", name,
			 format_pod(&text, similar));
	else
		snprintf(error->message, sizeof(error->message),
			 "no pod is called '%.300s'; see 'podportctl pods'", name);
	return -ENOENT;
}

bool lookup_wants(const struct podport_pods *pods, const struct podport_key *key, const char *name)
{
	const struct podport_attachment *pod;

	if (name == NULL)
		return true;
	pod = key != NULL ? lookup_pod(pods, key) : NULL;
	return pod != NULL && lookup_is(pod, name);
}

int lookup_check(const struct podport_pods *pods, const char *name, struct podport_error *error)
{
	if (name == NULL)
		return 0;
	for (size_t i = 0; i < podport_pods_count(pods); i++)
		if (lookup_is(podport_pods_get(pods, i), name))
			return 0;
	return lookup_fail(pods, name, error);
}
