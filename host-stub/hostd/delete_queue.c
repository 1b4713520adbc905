// SPDX-License-Identifier: BSD-3-Clause
//
// The delete queue on disk: see delete_queue.h. In memory only the file names' hashes, in the order
// the releases came (for those found at start-up: of the files' times).

#include "hostd/delete_queue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/crash_point.h"
#include "proto/base/log.h"
#include "proto/codec.h"

// FNV-1a of 128 bits; two keys that share it are refused, not mixed up (see put).
struct hash {
	uint64_t high, low;
};

struct entry {
	struct hash hash;
	uint64_t age; // lower: older
};

struct delete_queue {
	pthread_mutex_t mutex;
	int directory_fd;
	char path[LIMIT_PATH + 16];
	uint64_t last_age;
	size_t count;
	struct entry entries[DELETE_QUEUE_MAX]; // oldest first
};

enum { NAME_SIZE = 32 + sizeof(".temporary") };

static const char queued[] = ".delete", temporary[] = ".temporary", corrupt[] = ".corrupt";

static void hash_string(unsigned __int128 *hash, const char *text)
{
	const unsigned __int128 prime = ((unsigned __int128)1 << 88) + 0x13b;

	// With its end, so that ("ab", "c") and ("a", "bc") differ.
	do
		*hash = (*hash ^ (unsigned char)*text) * prime;
	while (*text++ != '\0');
}

static struct hash hash_key(const struct attachment_key *key)
{
	unsigned __int128 hash = ((unsigned __int128)0x6c62272e07bb0142 << 64) | 0x62b821756295c58d;

	hash_string(&hash, key->network);
	hash_string(&hash, key->container_id);
	hash_string(&hash, key->ifname);
	return (struct hash){(uint64_t)(hash >> 64), (uint64_t)hash};
}

static void format_name(const struct hash *hash, const char *suffix, char ret_name[NAME_SIZE])
{
	snprintf(ret_name, NAME_SIZE, "%016" PRIx64 "%016" PRIx64 "%s", hash->high, hash->low,
		 suffix);
}

static bool parse_name(const char *name, const char *suffix, struct hash *ret_hash)
{
	char again[NAME_SIZE];

	if (strlen(name) != 32 + strlen(suffix) ||
	    sscanf(name, "%16" SCNx64 "%16" SCNx64, &ret_hash->high, &ret_hash->low) != 2)
		return false;
	format_name(ret_hash, suffix, again);
	return strcmp(again, name) == 0;
}

static struct entry *find(struct delete_queue *queue, const struct hash *hash)
{
	for (size_t i = 0; i < queue->count; i++)
		if (queue->entries[i].hash.low == hash->low &&
		    queue->entries[i].hash.high == hash->high)
			return &queue->entries[i];
	return NULL;
}

static void forget(struct delete_queue *queue, struct entry *entry)
{
	size_t after = queue->count - (size_t)(entry - queue->entries) - 1;

	memmove(entry, entry + 1, after * sizeof(*entry));
	queue->count--;
}

// ---- files ---------------------------------------------------------------------------------------

// Read and check one release. -EBADMSG: corrupt.
static int read_file(struct delete_queue *queue, const struct hash *hash,
		     struct detach_request *ret_detach)
{
	char name[NAME_SIZE];
	uint8_t data[8192]; // a Detach request is under 1 KiB
	struct request request;
	struct error error;
	struct hash actual;
	ssize_t size;
	int fd;

	format_name(hash, queued, name);
	fd = openat(queue->directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	size = read(fd, data, sizeof(data));
	close(fd);
	if (size < 0)
		return -errno;
	if (size == (ssize_t)sizeof(data) ||
	    codec_decode_request(data, (size_t)size, &request, &error) < 0 ||
	    request.call != CALL_DETACH)
		return -EBADMSG;
	// The name is the content's checksum, as far as it matters whose pod is released.
	actual = hash_key(&request.body.detach.key);
	if (actual.high != hash->high || actual.low != hash->low)
		return -EBADMSG;
	*ret_detach = request.body.detach;
	return 0;
}

static void set_file_aside(struct delete_queue *queue, const struct hash *hash, const char *why)
{
	char from[NAME_SIZE], to[NAME_SIZE];

	format_name(hash, queued, from);
	format_name(hash, corrupt, to);
	if (renameat(queue->directory_fd, from, queue->directory_fd, to) < 0 && errno != ENOENT)
		log_error("a queued release cannot be set aside", "file=%s/%s error=\"%m\"",
			  queue->path, from);
	else
		log_error("a queued release was set aside", "file=%s/%s reason=\"%s\"", queue->path,
			  to, why);
}

static int write_all(int fd, const uint8_t *data, size_t size)
{
	while (size > 0) {
		ssize_t written = write(fd, data, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		data += written;
		size -= (size_t)written;
	}
	return 0;
}

// On success the file is on the disk under its name; on failure there is none that was not before.
static int write_file(struct delete_queue *queue, const struct hash *hash,
		      const struct encoded *encoded, struct error *err)
{
	char aside[NAME_SIZE], name[NAME_SIZE];
	bool existed = find(queue, hash) != NULL;
	const char *step = "open";
	int fd, r = 0;

	format_name(hash, temporary, aside);
	format_name(hash, queued, name);
	fd = openat(queue->directory_fd, aside,
		    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		r = -errno;
	if (r == 0 && (step = "write", r = write_all(fd, encoded->data, encoded->size)) == 0 &&
	    (step = "sync", fsync(fd)) < 0)
		r = -errno;
	if (fd >= 0 && close(fd) < 0 && r == 0)
		r = -errno;
	crash_point("hostd:del:written");
	if (r == 0 &&
	    (step = "rename", renameat(queue->directory_fd, aside, queue->directory_fd, name)) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(queue->directory_fd, aside, 0);
	} else if ((step = "sync", fsync(queue->directory_fd)) < 0) {
		r = -errno;
		// It was not promised, so it must not be delivered either: the runtime asks again.
		if (!existed)
			unlinkat(queue->directory_fd, name, 0);
	}
	if (r < 0)
		return error_set(err, -r, CODE_STORE, "queue the release: %s %s/%s: %s", step,
				 queue->path, name, strerror(-r));
	return 0;
}

// ---- start-up ------------------------------------------------------------------------------------

static int by_age(const void *a, const void *b)
{
	const struct entry *first = a, *second = b;

	return (first->age > second->age) - (first->age < second->age);
}

static void load_file(struct delete_queue *queue, const char *name)
{
	struct detach_request detach;
	struct hash hash;
	struct stat st;
	int r;

	if (parse_name(name, temporary, &hash)) {
		unlinkat(queue->directory_fd, name, 0);
		return;
	}
	if (!parse_name(name, queued, &hash))
		return;
	r = read_file(queue, &hash, &detach);
	if (r == -EBADMSG) {
		set_file_aside(queue, &hash, "corrupt");
		return;
	}
	if (r < 0 || fstatat(queue->directory_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		log_error("a queued release cannot be read and is left for the next start",
			  "file=%s/%s error=\"%s\"", queue->path, name, strerror(-r));
		return;
	}
	if (queue->count == DELETE_QUEUE_MAX) {
		log_error("too many queued releases, one is left for the next start", "file=%s/%s",
			  queue->path, name);
		return;
	}
	queue->entries[queue->count++] = (struct entry){
		hash, (uint64_t)st.st_mtim.tv_sec * 1000000 + (uint64_t)st.st_mtim.tv_nsec / 1000};
}

static int load(struct delete_queue *queue, struct error *err)
{
	int fd = dup(queue->directory_fd);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *item;

	if (directory == NULL) {
		int r = error_set(err, errno, CODE_STORE, "read %s: %m", queue->path);

		if (fd >= 0)
			close(fd);
		return r;
	}
	while ((item = readdir(directory)) != NULL)
		load_file(queue, item->d_name);
	closedir(directory);
	qsort(queue->entries, queue->count, sizeof(queue->entries[0]), by_age);
	// From here on ages are counted, so that no two are equal.
	for (size_t i = 0; i < queue->count; i++)
		queue->entries[i].age = ++queue->last_age;
	return 0;
}

int delete_queue_open(const char *state_dir, struct delete_queue **ret_queue, struct error *err)
{
	struct delete_queue *queue = calloc(1, sizeof(*queue));
	int r = 0;

	if (queue == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "open the delete queue: no memory");
	pthread_mutex_init(&queue->mutex, NULL);
	snprintf(queue->path, sizeof(queue->path), "%s/deletes", state_dir);
	if (mkdir(queue->path, 0700) < 0 && errno != EEXIST)
		r = -errno;
	queue->directory_fd = open(queue->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (queue->directory_fd < 0 && r == 0)
		r = -errno;
	if (r < 0)
		error_set(err, -r, CODE_STORE, "open %s: %s", queue->path, strerror(-r));
	else
		r = load(queue, err);
	if (r < 0) {
		delete_queue_close(queue);
		return r;
	}
	*ret_queue = queue;
	return 0;
}

void delete_queue_close(struct delete_queue *queue)
{
	if (queue == NULL)
		return;
	if (queue->directory_fd >= 0)
		close(queue->directory_fd);
	pthread_mutex_destroy(&queue->mutex);
	free(queue);
}

// ---- use -----------------------------------------------------------------------------------------

static int put_locked(struct delete_queue *queue, const struct detach_request *detach,
		      const struct encoded *encoded, struct error *err)
{
	struct hash hash = hash_key(&detach->key);
	struct entry *entry = find(queue, &hash);
	struct detach_request other;
	int r;

	if (entry == NULL && queue->count == DELETE_QUEUE_MAX)
		return error_set(
			err, ENOSPC, CODE_STORE,
			"queue the release: %d are queued already, until the agent is back",
			DELETE_QUEUE_MAX);
	if (entry != NULL && read_file(queue, &hash, &other) == 0 &&
	    !attachment_key_equal(&other.key, &detach->key))
		return error_set(err, EEXIST, CODE_STORE,
				 "queue the release: another one has the same hash");
	r = write_file(queue, &hash, encoded, err);
	if (r == 0 && entry == NULL)
		queue->entries[queue->count++] = (struct entry){hash, ++queue->last_age};
	return r;
}

int delete_queue_put(struct delete_queue *queue, const struct detach_request *detach,
		     struct error *err)
{
	struct request request = {.timeout_ms = 1, .call = CALL_DETACH, .body.detach = *detach};
	struct encoded encoded;
	int r = codec_encode_request(&request, &encoded, err);

	if (r < 0)
		return r;
	pthread_mutex_lock(&queue->mutex);
	r = put_locked(queue, detach, &encoded, err);
	pthread_mutex_unlock(&queue->mutex);
	encoded_clear(&encoded);
	return r;
}

bool delete_queue_has(struct delete_queue *queue, const struct attachment_key *key)
{
	struct hash hash = hash_key(key);
	bool has;

	pthread_mutex_lock(&queue->mutex);
	has = find(queue, &hash) != NULL;
	pthread_mutex_unlock(&queue->mutex);
	return has;
}

static void take_out(struct delete_queue *queue, const struct attachment_key *key, bool aside)
{
	struct hash hash = hash_key(key);
	char name[NAME_SIZE];
	struct entry *entry;

	pthread_mutex_lock(&queue->mutex);
	entry = find(queue, &hash);
	if (entry != NULL) {
		format_name(&hash, queued, name);
		if (aside)
			set_file_aside(queue, &hash, "refused by the agent");
		else if (unlinkat(queue->directory_fd, name, 0) < 0)
			log_error("a delivered release cannot be removed",
				  "file=%s/%s error=\"%m\"", queue->path, name);
		forget(queue, entry);
	}
	pthread_mutex_unlock(&queue->mutex);
}

void delete_queue_remove(struct delete_queue *queue, const struct attachment_key *key)
{
	take_out(queue, key, false);
}

void delete_queue_set_aside(struct delete_queue *queue, const struct attachment_key *key)
{
	take_out(queue, key, true);
}

size_t delete_queue_count(struct delete_queue *queue)
{
	size_t count;

	pthread_mutex_lock(&queue->mutex);
	count = queue->count;
	pthread_mutex_unlock(&queue->mutex);
	return count;
}

bool delete_queue_next(struct delete_queue *queue, uint64_t *cursor,
		       struct detach_request *ret_detach)
{
	bool found = false;
	size_t i = 0;

	pthread_mutex_lock(&queue->mutex);
	while (!found && i < queue->count) {
		struct entry *entry = &queue->entries[i];
		int r = entry->age <= *cursor ? -EAGAIN
					      : read_file(queue, &entry->hash, ret_detach);

		if (r == -EBADMSG)
			set_file_aside(queue, &entry->hash, "corrupt");
		if (r == -EBADMSG || r == -ENOENT) { // ENOENT: somebody removed it by hand
			forget(queue, entry);
			continue;
		}
		if (r == 0)
			*cursor = entry->age;
		found = r == 0;
		i++;
	}
	pthread_mutex_unlock(&queue->mutex);
	return found;
}
