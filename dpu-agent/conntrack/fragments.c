// SPDX-License-Identifier: BSD-3-Clause

#include "conntrack/fragments.h"

#include <stdio.h>
#include <stdlib.h>

#include <rte_hash.h>
#include <rte_jhash.h>

#include "conntrack/random.h"
#include "conntrack/share.h"
#include "conntrack/wheel.h"

enum {
	OWNER_SHARE = 1, // of packets in pieces, and of held ones: one owner may have half
	HOLD_S = 2,      // a first fragment that comes later than this was lost
	NONE = UINT32_MAX,
};

// What RFC 791 and RFC 8200 section 4.5 put a packet together by.
struct key {
	union conntrack_address source, destination;
	uint32_t id;
	uint8_t family;
	uint8_t protocol; // IPv4 only
	uint16_t zero;
};
_Static_assert(sizeof(struct key) == 40, "no padding: it is hashed");

struct entry {
	struct key key;
	struct fragments_route route;
	bool known;
	uint32_t owner;
	uint32_t expires_s;
	uint32_t seen, total; // bytes; total is 0 until the last fragment was there
	uint32_t first, last; // held, NONE
};

struct held {
	void *packet;
	uint32_t next;
};

struct owner {
	uint32_t packets, held;
};

struct fragments {
	struct fragments_config config;
	struct rte_hash *hash; // key -> its position is the entry's index
	struct entry *entries;
	struct wheel_link *links;
	struct wheel wheel;
	struct held *held;
	struct owner *owners;
	uint32_t now_s;
	uint32_t count, held_count;
	uint32_t free_held, released; // lists
	// The next identification: one counter for all that leave with the same address, as one host would have it, so that
	// pieces of two pods' packets are not put together at the receiver (RFC 6864 section 5.3).
	uint16_t next_id;
};

struct fragments *fragments_new(const struct fragments_config *config, int socket, uint32_t now_s)
{
	struct fragments *f = calloc(1, sizeof(*f));
	char name[RTE_HASH_NAMESIZE];

	if (f == NULL)
		return NULL;
	f->config = *config;
	snprintf(name, sizeof(name), "fragments_%llx", (unsigned long long)random_seed());
	f->hash = rte_hash_create(&(struct rte_hash_parameters){
		.name = name,
		.entries = config->packets,
		.key_len = sizeof(struct key),
		.hash_func = rte_jhash,
		.hash_func_init_val = (uint32_t)random_seed(),
		.socket_id = socket,
		.extra_flag = RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
	});
	f->entries = calloc(config->packets, sizeof(*f->entries));
	f->links = calloc(config->packets, sizeof(*f->links));
	f->held = calloc(config->held, sizeof(*f->held));
	f->owners = calloc(config->owners, sizeof(*f->owners));
	f->free_held = f->released = NONE;
	if (f->hash == NULL || f->entries == NULL || f->links == NULL || f->held == NULL ||
	    f->owners == NULL) {
		fragments_free(f);
		return NULL;
	}
	for (uint32_t i = config->held; i-- > 0;) {
		f->held[i].next = f->free_held;
		f->free_held = i;
	}
	f->now_s = now_s;
	f->next_id = (uint16_t)random_seed();
	wheel_init(&f->wheel, f->links, now_s);
	return f;
}

void fragments_set_timeout(struct fragments *fragments, uint32_t timeout_s)
{
	fragments->config.timeout_s = timeout_s;
}

void fragments_free(struct fragments *f)
{
	if (f == NULL)
		return;
	for (uint32_t i = 0; f->held != NULL && i < f->config.held; i++) {
		if (f->held[i].packet != NULL)
			f->config.discard(f->held[i].packet);
	}
	rte_hash_free(f->hash);
	free(f->entries);
	free(f->links);
	free(f->held);
	free(f->owners);
	free(f);
}

static struct key make_key(const struct conntrack_packet *packet)
{
	return (struct key){
		.source = packet->tuple.source,
		.destination = packet->tuple.destination,
		.id = packet->fragment_id,
		.family = packet->tuple.family,
		.protocol = packet->tuple.family == 4 ? packet->tuple.protocol : 0,
	};
}

static struct entry *find(const struct fragments *f, const struct key *key)
{
	int32_t position = rte_hash_lookup(f->hash, key);

	return position >= 0 ? &f->entries[position] : NULL;
}

static uint32_t index_of(const struct fragments *f, const struct entry *entry)
{
	return (uint32_t)(entry - f->entries);
}

static void set_expiry(struct fragments *f, struct entry *entry, uint32_t seconds)
{
	wheel_remove(&f->wheel, index_of(f, entry));
	entry->expires_s = f->now_s + seconds + 1;
	wheel_add(&f->wheel, index_of(f, entry), entry->expires_s);
}

// NULL: no room for it.
static struct entry *add(struct fragments *f, uint32_t owner, const struct key *key)
{
	if (!share_allows(f->owners[owner].packets, f->config.packets - f->count, OWNER_SHARE))
		return NULL;
	int32_t position = rte_hash_add_key(f->hash, key);
	if (position < 0)
		return NULL;
	struct entry *entry = &f->entries[position];
	*entry = (struct entry){.key = *key, .owner = owner, .first = NONE, .last = NONE};
	entry->expires_s = f->now_s + HOLD_S + 1;
	wheel_add(&f->wheel, (uint32_t)position, entry->expires_s);
	f->owners[owner].packets++;
	f->count++;
	return entry;
}

// Out of the table, not of the wheel.
static void forget(struct fragments *f, struct entry *entry)
{
	uint32_t next;

	for (uint32_t i = entry->first; i != NONE; i = next) {
		next = f->held[i].next;
		f->config.discard(f->held[i].packet);
		f->held[i] = (struct held){.next = f->free_held};
		f->free_held = i;
		f->owners[entry->owner].held--;
		f->held_count--;
	}
	rte_hash_del_key(f->hash, &entry->key);
	f->owners[entry->owner].packets--;
	f->count--;
}

// All pieces have been there: nothing more will come. (One that came twice has it forgotten too early; then
// the last one is lost, as it may be on any link.)
static void count_bytes(struct fragments *f, struct entry *entry,
			const struct conntrack_packet *packet)
{
	uint32_t size = packet->length - packet->l4_offset;

	entry->seen += size;
	if (!packet->more_fragments)
		entry->total = packet->fragment_offset + size;
	if (entry->total > 0 && entry->seen >= entry->total) {
		wheel_remove(&f->wheel, index_of(f, entry));
		forget(f, entry);
	}
}

// The held ones count when they come again.
static bool release_held(struct fragments *f, struct entry *entry)
{
	bool any = entry->first != NONE;

	while (entry->first != NONE) {
		uint32_t i = entry->first;

		entry->first = f->held[i].next;
		f->held[i].next = f->released;
		f->released = i;
		f->owners[entry->owner].held--;
		f->held_count--;
	}
	entry->last = NONE;
	return any;
}

bool fragments_learn(struct fragments *f, uint32_t owner, const struct conntrack_packet *packet,
		     struct fragments_route *route)
{
	struct key key = make_key(packet);
	struct entry *entry = find(f, &key);

	if (entry == NULL)
		entry = add(f, owner, &key);
	if (entry == NULL)
		return false; // the others will find no room either
	// The first one again has the number that it had.
	route->id = entry->known && entry->route.renumber ? entry->route.id : f->next_id++;
	entry->route = *route;
	entry->known = true;
	entry->seen = entry->total = 0;
	set_expiry(f, entry, f->config.timeout_s);
	bool released = release_held(f, entry);
	count_bytes(f, entry, packet);
	return released;
}

const struct fragments_route *fragments_find(struct fragments *f,
					     const struct conntrack_packet *packet)
{
	struct key key = make_key(packet);
	struct entry *entry = find(f, &key);

	if (entry == NULL || !entry->known)
		return NULL;
	// What the entry has stays readable until the next one is added.
	count_bytes(f, entry, packet);
	return &entry->route;
}

bool fragments_hold(struct fragments *f, uint32_t number, const struct conntrack_packet *packet,
		    void *mbuf)
{
	struct key key = make_key(packet);
	struct entry *entry = find(f, &key);

	if (f->free_held == NONE || (entry != NULL && entry->known))
		return false;
	if (entry == NULL)
		entry = add(f, number, &key);
	if (entry == NULL)
		return false;
	struct owner *owner = &f->owners[entry->owner];
	if (!share_allows(owner->held, f->config.held - f->held_count, OWNER_SHARE))
		return false;
	uint32_t i = f->free_held;
	f->free_held = f->held[i].next;
	f->held[i] = (struct held){.packet = mbuf, .next = NONE};
	if (entry->last != NONE)
		f->held[entry->last].next = i;
	else
		entry->first = i;
	entry->last = i;
	owner->held++;
	f->held_count++;
	return true;
}

uint32_t fragments_release(struct fragments *f, void **ret_packets, uint32_t size)
{
	uint32_t count = 0;

	while (count < size && f->released != NONE) {
		uint32_t i = f->released;

		f->released = f->held[i].next;
		ret_packets[count++] = f->held[i].packet;
		f->held[i] = (struct held){.next = f->free_held};
		f->free_held = i;
	}
	return count;
}

void fragments_advance(struct fragments *f, uint32_t now_s, uint32_t budget)
{
	f->now_s = now_s;
	for (uint32_t i = 0; i < budget; i++) {
		uint32_t index = wheel_turn(&f->wheel, now_s);

		if (index == WHEEL_NONE)
			return;
		if ((int32_t)(f->entries[index].expires_s - now_s) > 0)
			wheel_add(&f->wheel, index, f->entries[index].expires_s);
		else
			forget(f, &f->entries[index]);
	}
}

uint32_t fragments_held(const struct fragments *f)
{
	return f->held_count;
}
