// SPDX-License-Identifier: BSD-3-Clause
//
// See ipam.h. All arithmetic is on the low 32 bits of an address: the pool's window is at most
// 65,538 wide and begins at a network address, whose host bits are zero, so nothing carries past
// them.

#include "pod/ipam.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_OFFSET = 2 }; // past the network address and the gateway

static size_t address_size(int family)
{
	return family == AF_INET ? 4 : 16;
}

static uint32_t low_word(const uint8_t *address, size_t size)
{
	uint32_t word_be;

	memcpy(&word_be, address + size - sizeof(word_be), sizeof(word_be));
	return ntohl(word_be);
}

static void set_low_word(uint8_t *address, size_t size, uint32_t word)
{
	uint32_t word_be = htonl(word);

	memcpy(address + size - sizeof(word_be), &word_be, sizeof(word_be));
}

// address & ~prefix == 0
static bool host_bits_zero(const uint8_t *address, size_t size, unsigned int prefix_length)
{
	for (size_t i = 0; i < size; i++) {
		unsigned int kept = prefix_length > i * 8 ? prefix_length - (unsigned int)i * 8 : 0;

		if (kept < 8 && (address[i] & (0xff >> kept)) != 0)
			return false;
	}
	return true;
}

static bool in_prefix(const struct ipam_prefix *prefix, const uint8_t *address)
{
	size_t whole = prefix->length / 8;
	unsigned int rest = prefix->length % 8;

	if (memcmp(address, prefix->network, whole) != 0)
		return false;
	return rest == 0 ||
	       ((address[whole] ^ prefix->network[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

// How many addresses the prefix has; saturated at what no pool reaches.
static uint32_t prefix_span(int family, unsigned int length)
{
	unsigned int host_bits = (unsigned int)address_size(family) * 8 - length;

	return host_bits >= 32 ? UINT32_MAX : UINT32_C(1) << host_bits;
}

int ipam_prefix_init(struct ipam_prefix *prefix, int family, const void *network, uint8_t length,
		     struct error *err)
{
	unsigned int min = family == AF_INET ? IPAM_IPV4_PREFIX_MIN : IPAM_IPV6_PREFIX_MIN;
	unsigned int max = family == AF_INET ? IPAM_IPV4_PREFIX_MAX : IPAM_IPV6_PREFIX_MAX;
	struct ipam_prefix new = {.family = family, .length = length};
	size_t size = address_size(family);

	if (length < min || length > max)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "the prefix length %u is not in %u..%u", length, min, max);
	memcpy(new.network, network, size);
	if (!host_bits_zero(new.network, size, length))
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "the address has bits set beyond the prefix length %u", length);
	new.usable = prefix_span(family, length) - FIRST_OFFSET;
	if (family == AF_INET)
		new.usable--; // the last: broadcast
	if (new.usable > IPAM_POOL_MAX)
		new.usable = IPAM_POOL_MAX;
	*prefix = new;
	return 0;
}

size_t ipam_address_size(const struct ipam_prefix *prefix)
{
	return address_size(prefix->family);
}

void ipam_prefix_text(const struct ipam_prefix *prefix, char ret_text[IPAM_TEXT_SIZE])
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(prefix->family, prefix->network, text, sizeof(text));
	snprintf(ret_text, IPAM_TEXT_SIZE, "%s/%u", text, prefix->length);
}

static void address_at(const struct ipam_prefix *prefix, uint32_t offset, void *ret_address)
{
	size_t size = ipam_address_size(prefix);
	uint8_t address[16];

	memcpy(address, prefix->network, size);
	set_low_word(address, size, low_word(address, size) + offset);
	memcpy(ret_address, address, size);
}

void ipam_gateway(const struct ipam_prefix *prefix, void *ret_gateway)
{
	address_at(prefix, 1, ret_gateway);
}

// The pool's index of an address, LRU_POOL_NONE beyond it. Returns NULL, or why no pod may have it.
static const char *index_of(const struct ipam_prefix *prefix, const uint8_t *address,
			    uint32_t *ret_index)
{
	size_t size = ipam_address_size(prefix);
	uint32_t offset = low_word(address, size) - low_word(prefix->network, size);

	if (!in_prefix(prefix, address))
		return "is outside of the pod network";
	// A prefix shorter than /96 may differ above the low word as well.
	if (size == 16 && memcmp(address, prefix->network, 12) != 0) {
		*ret_index = LRU_POOL_NONE;
		return NULL;
	}
	if (offset == 0)
		return "is the network address of the pod network";
	if (offset == 1)
		return "is the gateway of the pod network";
	if (size == 4 && offset == prefix_span(AF_INET, prefix->length) - 1)
		return "is the last (broadcast) address of the pod network";
	offset -= FIRST_OFFSET;
	*ret_index = offset < prefix->usable ? offset : LRU_POOL_NONE;
	return NULL;
}

static int checked_index(const struct ipam_prefix *prefix, const void *address, uint32_t *ret_index,
			 struct error *err)
{
	const char *why_not = index_of(prefix, address, ret_index);
	char text[INET6_ADDRSTRLEN], prefix_text[IPAM_TEXT_SIZE];

	if (why_not == NULL)
		return 0;
	inet_ntop(prefix->family, address, text, sizeof(text));
	ipam_prefix_text(prefix, prefix_text);
	return error_set(err, EINVAL, CODE_BAD_REQUEST, "%s %s %s", text, why_not, prefix_text);
}

int ipam_check(const struct ipam_prefix *prefix, const void *address, struct error *err)
{
	uint32_t index;

	return checked_index(prefix, address, &index, err);
}

int ipam_init(struct ipam *ipam, const struct ipam_prefix *prefix)
{
	struct ipam new = {.prefix = *prefix};
	int r;

	r = lru_pool_init(&new.pool, prefix->usable);
	if (r < 0)
		return r;
	*ipam = new;
	return 0;
}

void ipam_destroy(struct ipam *ipam)
{
	lru_pool_destroy(&ipam->pool);
	*ipam = (struct ipam){0};
}

// The index of an address that has been checked.
static uint32_t known_index(const struct ipam_prefix *prefix, const void *address)
{
	uint32_t index = LRU_POOL_NONE;
	const char *why_not = index_of(prefix, address, &index);

	assert(why_not == NULL);
	(void)why_not;
	return index;
}

bool ipam_in_pool(const struct ipam_prefix *prefix, const void *address)
{
	return known_index(prefix, address) != LRU_POOL_NONE;
}

bool ipam_is_allocated(const struct ipam *ipam, const void *address)
{
	uint32_t index = known_index(&ipam->prefix, address);

	return index != LRU_POOL_NONE && lru_pool_is_taken(&ipam->pool, index);
}

int ipam_alloc(struct ipam *ipam, void *ret_address, struct lru_pool_undo *ret_undo,
	       struct error *err)
{
	uint32_t index = lru_pool_head(&ipam->pool);
	char prefix[IPAM_TEXT_SIZE];

	if (index == LRU_POOL_NONE) {
		ipam_prefix_text(&ipam->prefix, prefix);
		return error_set(err, ENOSPC, CODE_NO_ADDRESS,
				 "no address is left in the pod network %s: %u of %u in use",
				 prefix, ipam->pool.taken, ipam->pool.size);
	}
	*ret_undo = lru_pool_take(&ipam->pool, index);
	address_at(&ipam->prefix, FIRST_OFFSET + index, ret_address);
	return 0;
}

int ipam_alloc_requested(struct ipam *ipam, const void *address, struct lru_pool_undo *ret_undo,
			 struct error *err)
{
	char text[INET6_ADDRSTRLEN];
	uint32_t index = LRU_POOL_NONE;
	int r;

	r = checked_index(&ipam->prefix, address, &index, err);
	if (r < 0)
		return r;
	if (index == LRU_POOL_NONE) {
		*ret_undo = (struct lru_pool_undo){.index = LRU_POOL_NONE};
		return 0;
	}
	if (lru_pool_is_taken(&ipam->pool, index)) {
		inet_ntop(ipam->prefix.family, address, text, sizeof(text));
		return error_set(err, EADDRINUSE, CODE_CONFLICT, "%s is taken", text);
	}
	*ret_undo = lru_pool_take(&ipam->pool, index);
	return 0;
}

void ipam_undo(struct ipam *ipam, const struct lru_pool_undo *undo)
{
	if (undo->index != LRU_POOL_NONE)
		lru_pool_untake(&ipam->pool, undo);
}

void ipam_release(struct ipam *ipam, const void *address)
{
	uint32_t index = known_index(&ipam->prefix, address);

	if (index != LRU_POOL_NONE)
		lru_pool_release(&ipam->pool, index);
}

void ipam_mark_released(struct ipam *ipam, const void *address)
{
	uint32_t index = known_index(&ipam->prefix, address);

	assert(index != LRU_POOL_NONE);
	lru_pool_mark_released(&ipam->pool, index);
}

bool ipam_next(const struct ipam *ipam, void *ret_address)
{
	uint32_t index = lru_pool_head(&ipam->pool);

	if (index == LRU_POOL_NONE)
		return false;
	address_at(&ipam->prefix, FIRST_OFFSET + index, ret_address);
	return true;
}

bool ipam_next_released(const struct ipam *ipam, uint32_t *cursor, void *ret_address)
{
	uint32_t index = *cursor;

	if (ipam->pool.size == 0)
		return false;
	do {
		index = lru_pool_next(&ipam->pool, index);
		if (index == LRU_POOL_NONE)
			return false;
	} while (!lru_pool_is_released(&ipam->pool, index));
	*cursor = index;
	address_at(&ipam->prefix, FIRST_OFFSET + index, ret_address);
	return true;
}
