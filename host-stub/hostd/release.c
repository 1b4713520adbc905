// SPDX-License-Identifier: BSD-3-Clause
//
// Releases, told or queued: see release.h. Worker threads and the link's thread.

#include "hostd/release.h"

#include <errno.h>

#include "proto/base/crash_point.h"
#include "proto/base/log.h"

// Would the agent answer the same to the same release next time?
static bool is_final(enum code code)
{
	return code == CODE_BAD_REQUEST || code == CODE_UNSUPPORTED;
}

static int tell(struct hostd *hostd, const struct detach_request *detach, uint32_t timeout_ms,
		struct detach_reply *ret_detach, struct error *err)
{
	struct request request = {.call = CALL_DETACH, .body.detach = *detach};
	struct reply reply;
	int r = link_call(hostd->link, &request, timeout_ms, &reply, err);

	if (r < 0)
		return r;
	if (reply.code != CODE_OK)
		r = reply_to_error(&reply, err);
	else if (ret_detach != NULL)
		*ret_detach = reply.body.detach;
	reply_clear(&reply);
	return r;
}

int release_attachment(struct hostd *hostd, const struct detach_request *detach,
		       uint32_t timeout_ms, struct detach_reply *ret_detach, struct error *err)
{
	const struct attachment_key *key = &detach->key;
	struct error error;
	int r = tell(hostd, detach, timeout_ms, ret_detach, &error);

	if (r == 0) {
		crash_point("hostd:del:told");
		delete_queue_remove(hostd->deletes, key);
		return 0;
	}
	if (is_final(error.code))
		return error_set(err, -r, error.code, "%s", error.message);
	r = delete_queue_put(hostd->deletes, detach, err);
	if (r < 0)
		return r;
	crash_point("hostd:del:queued");
	log_info("release queued until the agent takes it",
		 "network=%s container=%s ifname=%s reason=\"%s\"", key->network, key->container_id,
		 key->ifname, error.message);
	if (ret_detach != NULL)
		*ret_detach = (struct detach_reply){0};
	return 0;
}

// One release of the queue.
static int deliver(struct hostd *hostd, const struct detach_request *detach, uint32_t timeout_ms,
		   struct error *err)
{
	const struct attachment_key *key = &detach->key;
	struct error error;
	int r = tell(hostd, detach, timeout_ms, NULL, &error);

	if (r == 0) {
		crash_point("hostd:deliver:told");
		delete_queue_remove(hostd->deletes, key);
		log_info("queued release delivered", "network=%s container=%s ifname=%s",
			 key->network, key->container_id, key->ifname);
		return 0;
	}
	if (is_final(error.code)) {
		log_error("the agent refuses a queued release",
			  "network=%s container=%s ifname=%s error=\"%s\"", key->network,
			  key->container_id, key->ifname, error.message);
		delete_queue_set_aside(hostd->deletes, key);
		return 0;
	}
	return error_set(err, -r, error.code, "%s", error.message);
}

int release_deliver(struct hostd *hostd, const struct attachment_key *key, uint32_t timeout_ms,
		    struct error *err)
{
	struct detach_request detach = {.key = *key};

	// The key says it all; the sandbox was only ever a hint.
	if (!delete_queue_has(hostd->deletes, key))
		return 0;
	return deliver(hostd, &detach, timeout_ms, err);
}

int release_flush(struct hostd *hostd, struct error *err)
{
	struct detach_request detach;
	uint64_t cursor = 0;

	while (!link_stopping(hostd->link) && delete_queue_next(hostd->deletes, &cursor, &detach)) {
		struct error error;
		int r = 0;

		if (!keys_try_take(hostd->keys, &detach.key))
			continue;
		// Its holder may have delivered it between the two.
		if (delete_queue_has(hostd->deletes, &detach.key))
			r = deliver(hostd, &detach, hostd->config.timeout_ms, &error);
		keys_release(hostd->keys, &detach.key);
		if (r < 0 && error.code == CODE_AGENT_AWAY)
			return error_set(err, -r, error.code, "%s", error.message);
		if (r < 0) // e.g. its disk is full; the others may still go
			log_warning("a queued release was not taken, it stays queued",
				    "network=%s container=%s ifname=%s error=\"%s\"",
				    detach.key.network, detach.key.container_id, detach.key.ifname,
				    error.message);
	}
	return 0;
}
