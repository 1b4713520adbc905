// SPDX-License-Identifier: BSD-3-Clause
//
// Reclaim of attachments without a sandbox, and a function for sandboxes that lost it: see reconcile.h. What is remembered between looks is
// only since when an attachment looks gone; a new hostd starts its grace time anew.

#include "hostd/reconcile.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostd/clock.h"
#include "hostd/redress.h"
#include "hostd/release.h"
#include "proto/base/crash_point.h"
#include "proto/base/log.h"

// More suspects than a node has pods are not looked at in one go; the rest waits its turn.
enum { SUSPECTS_MAX = 1024 };

struct suspect {
	struct attachment_key key;
	struct sandbox sandbox;
	enum port_choice port;
	struct function_id function;
	struct mac mac;
	uint64_t created_unix_ms; // tells an attachment from a later one with the same key
	uint64_t since_ms;
	bool seen;           // in this look
	bool process_inside; // in this look
};

struct reconcile {
	struct wiring_home home;        // as of this look
	struct reconcile_counts counts; // likewise
	size_t count;
	struct suspect suspects[SUSPECTS_MAX];
};

int reconcile_open(struct reconcile **ret_reconcile, struct error *err)
{
	*ret_reconcile = calloc(1, sizeof(**ret_reconcile));
	if (*ret_reconcile == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "prepare reconciliation: no memory");
	return 0;
}

void reconcile_close(struct reconcile *reconcile)
{
	free(reconcile);
}

// ---- evidence ------------------------------------------------------------------------------------

// Is the path still the sandbox it was?
static bool path_is_sandbox(const struct hostd *hostd, const struct sandbox *sandbox)
{
	struct stat st;

	if (sandbox->path[0] == '\0' || stat(sandbox->path, &st) < 0)
		// An error other than "not there" proves nothing.
		return sandbox->path[0] != '\0' && errno != ENOENT && errno != ENOTDIR;
	return st.st_ino == sandbox->inode &&
	       !netns_is_another(&hostd->wiring.host, sandbox->path, sandbox);
}

// What has no netdev, has nothing that could be in a sandbox.
static bool is_home(const struct reconcile *reconcile, const struct attachment *attachment)
{
	return !port_choice_has_netdev(attachment->port) ||
	       wiring_is_home(&reconcile->home, attachment);
}

static bool looks_gone(const struct reconcile *reconcile, const struct hostd *hostd,
		       const struct attachment *attachment)
{
	return attachment->sandbox.inode != 0 && is_home(reconcile, attachment) &&
	       !path_is_sandbox(hostd, &attachment->sandbox);
}

static void mark_one(struct reconcile *reconcile, const struct hostd *hostd, const char *path,
		     uint64_t inode)
{
	for (size_t i = 0; i < reconcile->count; i++) {
		struct suspect *suspect = &reconcile->suspects[i];

		if (suspect->sandbox.inode == inode && !suspect->process_inside)
			suspect->process_inside =
				!netns_is_another(&hostd->wiring.host, path, &suspect->sandbox);
	}
}

// Mark the suspects that some process is inside of. Negative: /proc cannot be read, and nothing is
// proven.
static int mark_inhabited(struct reconcile *reconcile, const struct hostd *hostd)
{
	DIR *processes = opendir("/proc");
	struct dirent *item;

	if (processes == NULL)
		return -errno;
	while ((item = readdir(processes)) != NULL) {
		char path[sizeof(item->d_name) + 16];
		struct stat st;

		if (!isdigit((unsigned char)item->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/ns/net", item->d_name);
		if (stat(path, &st) < 0)
			continue; // has exited, or is a zombie: it is in no netns
		mark_one(reconcile, hostd, path, st.st_ino);
	}
	closedir(processes);
	return 0;
}

// ---- one look ------------------------------------------------------------------------------------

static void suspect_one(struct reconcile *reconcile, const struct attachment *attachment)
{
	struct suspect *suspect = NULL;

	for (size_t i = 0; i < reconcile->count && suspect == NULL; i++)
		if (attachment_key_equal(&reconcile->suspects[i].key, &attachment->key) &&
		    reconcile->suspects[i].created_unix_ms == attachment->created_unix_ms)
			suspect = &reconcile->suspects[i];
	if (suspect == NULL && reconcile->count < SUSPECTS_MAX) {
		suspect = &reconcile->suspects[reconcile->count++];
		*suspect = (struct suspect){.key = attachment->key,
					    .sandbox = attachment->sandbox,
					    .port = attachment->port,
					    .function = attachment->function,
					    .mac = attachment->mac,
					    .created_unix_ms = attachment->created_unix_ms,
					    .since_ms = clock_ms()};
	}
	if (suspect != NULL)
		suspect->seen = true;
}

static void look_at_one(struct reconcile *reconcile, struct hostd *hostd,
			const struct attachment *attachment)
{
	// What is being worked on, or will be released anyway, is not looked at.
	if (!keys_try_take(hostd->keys, &attachment->key))
		return;
	if (!delete_queue_has(hostd->deletes, &attachment->key)) {
		if (looks_gone(reconcile, hostd, attachment))
			suspect_one(reconcile, attachment);
		else if (port_choice_has_netdev(attachment->port))
			reconcile->counts.redressed +=
				redress_if_lost(hostd, &reconcile->home, attachment);
	}
	keys_release(hostd->keys, &attachment->key);
}

// Show every attachment the agent has to `visit`.
static int each_attachment(struct reconcile *reconcile, struct hostd *hostd,
			   void (*visit)(struct reconcile *reconcile, struct hostd *hostd,
					 const struct attachment *attachment),
			   struct error *err)
{
	struct request request = {.call = CALL_LIST, .body.list.limit = LIMIT_PAGE};
	bool more = true;

	while (more && !link_stopping(hostd->link)) {
		struct reply reply;
		struct list_reply *list = &reply.body.list;
		int r = link_call(hostd->link, &request, hostd->config.timeout_ms, &reply, err);

		if (r < 0)
			return r;
		if (reply.code != CODE_OK) {
			r = reply_to_error(&reply, err);
			reply_clear(&reply);
			return r;
		}
		for (size_t i = 0; i < list->count; i++)
			visit(reconcile, hostd, &list->items[i].attachment);
		more = list->more && list->count > 0;
		if (more) {
			request.body.list.has_after = true;
			request.body.list.after = list->items[list->count - 1].attachment.key;
		}
		reply_clear(&reply);
	}
	return 0;
}

// The kernel gives the inode of a dead netns to the next one at once. If a later container's sandbox
// has a suspect's inode, and its function in it, the processes inside are that one's. (Needed only of
// suspects without a cookie; of others it is certain already who is inside.)
static void look_for_heir(struct reconcile *reconcile, struct hostd *hostd,
			  const struct attachment *attachment)
{
	for (size_t i = 0; i < reconcile->count; i++) {
		struct suspect *suspect = &reconcile->suspects[i];

		if (suspect->process_inside &&
		    suspect->sandbox.inode == attachment->sandbox.inode &&
		    suspect->sandbox.cookie == 0 &&
		    attachment->created_unix_ms >= suspect->created_unix_ms &&
		    strcmp(attachment->key.container_id, suspect->key.container_id) != 0 &&
		    !is_home(reconcile, attachment))
			suspect->process_inside = false;
	}
}

static int look_for_heirs(struct reconcile *reconcile, struct hostd *hostd, struct error *err)
{
	for (size_t i = 0; i < reconcile->count; i++)
		if (reconcile->suspects[i].process_inside)
			return each_attachment(reconcile, hostd, look_for_heir, err);
	return 0;
}

// The attachment as the agent's Check has it now. One whose port the agent could not start is no less
// gone for that; of it the reply has nothing, and what was listed counts: had it been attached anew
// since, its function would not be at home.
static bool is_still_gone(const struct reconcile *reconcile, const struct hostd *hostd,
			  const struct suspect *suspect, const struct reply *reply)
{
	struct attachment attachment = {.sandbox = suspect->sandbox,
					.port = suspect->port,
					.function = suspect->function,
					.mac = suspect->mac};

	if (reply->code == CODE_OK) {
		attachment = reply->body.check;
		return attachment.created_unix_ms == suspect->created_unix_ms &&
		       looks_gone(reconcile, hostd, &attachment);
	}
	return reply->code == CODE_MISMATCH && looks_gone(reconcile, hostd, &attachment);
}

// Gone for the grace time: release it, unless a call for it has begun, or it is not the one that
// was looked at any more.
static int reclaim(struct reconcile *reconcile, struct hostd *hostd, const struct suspect *suspect,
		   struct error *err)
{
	struct request request = {.call = CALL_CHECK, .body.check.key = suspect->key};
	struct detach_request detach = {.key = suspect->key,
					.sandbox = suspect->sandbox,
					.created_unix_ms = suspect->created_unix_ms};
	struct reply reply;
	int r;

	if (!keys_try_take(hostd->keys, &suspect->key))
		return 0;
	request.body.check.sandbox = suspect->sandbox;
	r = wiring_read_home(&hostd->wiring, &reconcile->home, err); // now that nobody changes it
	if (r == 0)
		r = link_call(hostd->link, &request, hostd->config.timeout_ms, &reply, err);
	if (r == 0) {
		if (is_still_gone(reconcile, hostd, suspect, &reply)) {
			crash_point("hostd:reclaim:begun");
			r = release_attachment(hostd, &detach, hostd->config.timeout_ms, NULL, err);
			reconcile->counts.reclaimed += r == 0;
			if (r == 0)
				log_warning("attachment reclaimed, its sandbox is gone",
					    "network=%s container=%s ifname=%s sandbox=%s",
					    suspect->key.network, suspect->key.container_id,
					    suspect->key.ifname, suspect->sandbox.path);
		}
		reply_clear(&reply);
	}
	keys_release(hostd->keys, &suspect->key);
	return r;
}

static int reclaim_due(struct reconcile *reconcile, struct hostd *hostd, struct error *err)
{
	uint64_t now_ms = clock_ms();
	size_t kept = 0;
	int result = 0;

	for (size_t i = 0; i < reconcile->count; i++) {
		struct suspect *suspect = &reconcile->suspects[i];
		uint64_t grace_ms = (uint64_t)hostd->config.reclaim_grace_s * 1000;
		struct error error;
		int r = 0;

		if (!suspect->seen || suspect->process_inside)
			continue; // not gone after all: if it ever is, the grace time begins anew
		if (result == 0 && now_ms - suspect->since_ms >= grace_ms)
			r = reclaim(reconcile, hostd, suspect, &error);
		if (r < 0 && error.code == CODE_AGENT_AWAY)
			result = error_set(err, -r, error.code, "%s", error.message);
		else if (r < 0)
			log_warning("an attachment without a sandbox could not be reclaimed",
				    "network=%s container=%s ifname=%s error=\"%s\"",
				    suspect->key.network, suspect->key.container_id,
				    suspect->key.ifname, error.message);
		reconcile->suspects[kept++] = *suspect;
	}
	reconcile->count = kept;
	return result;
}

static int look(struct reconcile *reconcile, struct hostd *hostd, struct error *err)
{
	int r;

	for (size_t i = 0; i < reconcile->count; i++)
		reconcile->suspects[i].seen = reconcile->suspects[i].process_inside = false;
	reconcile->counts.strays = wiring_adopt_strays(&hostd->wiring);
	r = wiring_read_home(&hostd->wiring, &reconcile->home, err);
	if (r == 0)
		r = each_attachment(reconcile, hostd, look_at_one, err);
	if (r < 0)
		return r; // what was not seen is not forgotten by that
	if (reconcile->count == 0)
		return 0;
	if (mark_inhabited(reconcile, hostd) < 0) {
		log_warning("processes cannot be listed, nothing is reclaimed", "error=\"%m\"");
		return 0;
	}
	r = look_for_heirs(reconcile, hostd, err);
	if (r < 0)
		return r;
	return reclaim_due(reconcile, hostd, err);
}

int reconcile_run(struct reconcile *reconcile, struct hostd *hostd,
		  struct reconcile_counts *ret_counts, struct error *err)
{
	int r;

	reconcile->counts = (struct reconcile_counts){0};
	r = look(reconcile, hostd, err);
	// Those that were reclaimed are forgotten by the next look, which does not see them.
	reconcile->counts.suspects = (uint32_t)reconcile->count - reconcile->counts.reclaimed;
	if (r == 0 && ret_counts != NULL)
		*ret_counts = reconcile->counts;
	return r;
}
