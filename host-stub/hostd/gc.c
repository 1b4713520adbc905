// SPDX-License-Identifier: BSD-3-Clause
//
// See gc.h. The agent's list is walked by key, page by page, with the valid ones beside it.

#include "hostd/gc.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostd/clock.h"
#include "hostd/release.h"
#include "proto/base/crash_point.h"
#include "proto/base/log.h"

// Kept of the caller's time for the answer: nothing new is begun then.
enum { RESERVE_MS = 300 };

struct gc {
	struct hostd *hostd;
	const struct gc_request *request;
	uint64_t deadline_ms;
	struct wiring_home home; // which functions are on the host, at the beginning
	struct gc_reply *reply;
	struct attachment_key after; // what was listed up to
	bool has_after;
	struct endpoint cursor; // the last of the network that was looked at
	unsigned int looked_at;
};

// ---- the sandbox ---------------------------------------------------------------------------------

// By a process that is inside, when its path is not ours to see or gone.
static int open_netns_of_process(const struct hostd *hostd, const struct sandbox *sandbox)
{
	DIR *processes = opendir("/proc");
	struct dirent *item;
	int fd = -1;

	while (processes != NULL && fd < 0 && (item = readdir(processes)) != NULL) {
		char path[sizeof(item->d_name) + 16];
		struct stat st;

		if (!isdigit((unsigned char)item->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/ns/net", item->d_name);
		if (stat(path, &st) == 0 && st.st_ino == sandbox->inode)
			fd = netns_open_path(&hostd->wiring.host, path, sandbox);
	}
	if (processes != NULL)
		closedir(processes);
	return fd;
}

static int undress(struct gc *gc, const struct attachment *attachment, struct error *err)
{
	const struct sandbox *sandbox = &attachment->sandbox;
	int fd = -1, r;

	if (!port_choice_has_netdev(attachment->port))
		return 0; // nothing of it is in the sandbox
	if (sandbox->inode == 0 || wiring_is_home(&gc->home, attachment))
		return 0;
	if (sandbox->path[0] != '\0')
		fd = netns_open_path(&gc->hostd->wiring.host, sandbox->path, sandbox);
	if (fd < 0)
		fd = open_netns_of_process(gc->hostd, sandbox);
	if (fd < 0)
		return 0; // no way in: it comes home when the sandbox ends
	r = wiring_undress(&gc->hostd->wiring, fd, &attachment->key, err);
	close(fd);
	return r;
}

// ---- one attachment ------------------------------------------------------------------------------

static int release(struct gc *gc, const struct attachment *attachment, bool *ret_released,
		   struct error *err)
{
	const struct attachment_key *key = &attachment->key;
	struct detach_request detach = {
		.key = *key,
		.sandbox = attachment->sandbox,
		// It may have been deleted and added since the list was made.
		.created_unix_ms = attachment->created_unix_ms};
	uint32_t left_ms = clock_left_ms(gc->deadline_ms);
	int r;

	if (!keys_try_take(gc->hostd->keys, key))
		return 0;
	r = undress(gc, attachment, err);
	crash_point("hostd:gc:undressed");
	if (r == 0)
		r = release_attachment(gc->hostd, &detach, left_ms - left_ms / 10, NULL, err);
	keys_release(gc->hostd->keys, key);
	*ret_released = r == 0;
	return r;
}

static void collect(struct gc *gc, const struct attachment *attachment)
{
	const struct attachment_key *key = &attachment->key;
	struct gc_reply *reply = gc->reply;
	bool released = false;
	struct error error;

	if (release(gc, attachment, &released, &error) < 0) {
		struct gc_failure *failure = &reply->failures[reply->failure_count++];

		failure->key = *key;
		failure->code = error.code;
		snprintf(failure->message, sizeof(failure->message), "%.*s", LIMIT_TEXT,
			 error.message);
		log_warning("an attachment that the runtime does not know could not be released",
			    "network=%s container=%s ifname=%s error=\"%s\"", key->network,
			    key->container_id, key->ifname, error.message);
	} else if (released) {
		reply->released++;
		log_info("attachment released, the runtime does not know it",
			 "network=%s container=%s ifname=%s", key->network, key->container_id,
			 key->ifname);
	}
}

// ---- the walk ------------------------------------------------------------------------------------

static struct endpoint endpoint_of(const struct attachment_key *key)
{
	struct endpoint endpoint;

	memcpy(endpoint.container_id, key->container_id, sizeof(endpoint.container_id));
	memcpy(endpoint.ifname, key->ifname, sizeof(endpoint.ifname));
	return endpoint;
}

static bool is_valid(const struct gc_request *request, const struct endpoint *endpoint)
{
	for (size_t i = 0; i < request->count; i++)
		if (endpoint_compare(&request->valid[i], endpoint) == 0)
			return true;
	return false;
}

// Beyond what this request is about?
static bool is_beyond(const struct gc_request *request, const struct attachment_key *key)
{
	struct endpoint endpoint = endpoint_of(key);

	if (strcmp(key->network, request->network) != 0)
		return strcmp(key->network, request->network) > 0;
	return request->more &&
	       endpoint_compare(&endpoint, &request->valid[request->count - 1]) > 0;
}

static bool must_stop(const struct gc *gc)
{
	return gc->looked_at > 0 &&
	       (gc->reply->failure_count == LIMIT_FAILURES ||
		clock_left_ms(gc->deadline_ms) < RESERVE_MS || link_stopping(gc->hostd->link));
}

static void stop_here(struct gc *gc)
{
	gc->reply->has_next = true;
	gc->reply->next = gc->cursor;
}

// One page. True: that was all.
static bool walk_page(struct gc *gc, const struct list_reply *page)
{
	for (size_t i = 0; i < page->count; i++) {
		const struct attachment *attachment = &page->items[i].attachment;
		struct endpoint endpoint = endpoint_of(&attachment->key);

		if (is_beyond(gc->request, &attachment->key))
			return true;
		// An older agent lists all networks.
		if (strcmp(attachment->key.network, gc->request->network) == 0) {
			if (must_stop(gc)) {
				stop_here(gc);
				return true;
			}
			if (!is_valid(gc->request, &endpoint))
				collect(gc, attachment);
			gc->cursor = endpoint;
			gc->looked_at++;
		}
		gc->after = attachment->key;
		gc->has_after = true;
	}
	return !page->more || page->count == 0;
}

static int walk(struct gc *gc, struct error *err)
{
	struct request request = {.call = CALL_LIST, .body.list.limit = LIMIT_PAGE};
	struct list_request *list = &request.body.list;
	bool done = false;

	strcpy(list->network, gc->request->network);
	while (!done) {
		struct reply reply;
		int r;

		list->has_after = gc->has_after;
		list->after = gc->after;
		r = link_call(gc->hostd->link, &request, clock_left_ms(gc->deadline_ms), &reply,
			      err);
		if (r < 0)
			return r;
		if (reply.code != CODE_OK) {
			r = reply_to_error(&reply, err);
			reply_clear(&reply);
			return r;
		}
		done = walk_page(gc, &reply.body.list);
		reply_clear(&reply);
		if (!done && must_stop(gc)) {
			stop_here(gc);
			done = true;
		}
	}
	return 0;
}

int gc_run(struct hostd *hostd, const struct gc_request *request, uint64_t deadline_ms,
	   struct gc_reply *ret_reply, struct error *err)
{
	struct gc_reply reply = {0};
	struct gc gc = {
		.hostd = hostd, .request = request, .deadline_ms = deadline_ms, .reply = &reply};
	int r = wiring_read_home(&hostd->wiring, &gc.home, err);

	if (r < 0)
		return r;
	if (request->has_after) {
		strcpy(gc.after.network, request->network);
		strcpy(gc.after.container_id, request->after.container_id);
		strcpy(gc.after.ifname, request->after.ifname);
		gc.has_after = true;
	}
	r = walk(&gc, err);
	if (r == 0)
		*ret_reply = reply;
	return r;
}
