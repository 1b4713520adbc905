// SPDX-License-Identifier: BSD-3-Clause
//
// See prefix.h.

#include "pod/prefix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { DIGITS_MAX = 3 }; // of a length

static unsigned int bits_of(int family)
{
	return family == AF_INET ? 32 : 128;
}

static const char *name_of(int family)
{
	return family == AF_INET ? "IPv4" : "IPv6";
}

// NULL: it is one.
static const char *read_length(const char *text, unsigned int max, uint8_t *ret_length)
{
	size_t digits = strspn(text, "0123456789");
	unsigned int length = 0;

	if (digits == 0 || text[digits] != '\0')
		return "what follows the '/' is no number";
	if (digits <= DIGITS_MAX)
		sscanf(text, "%3u", &length);
	if (digits > DIGITS_MAX || length > max)
		return max == 32 ? "the length is not in 0..32" : "the length is not in 0..128";
	*ret_length = (uint8_t)length;
	return NULL;
}

int prefix_parse(int family, const char *text, bool alone, struct prefix *ret_prefix,
		 struct error *err)
{
	struct prefix prefix = {.family = family};
	const char *slash = strchr(text, '/'), *wrong = NULL;
	size_t size = slash != NULL ? (size_t)(slash - text) : strlen(text);
	char address[INET6_ADDRSTRLEN];

	if (family == AF_UNSPEC)
		prefix.family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	snprintf(address, sizeof(address), "%.*s", (int)size, text);
	prefix.length = (uint8_t)bits_of(prefix.family);
	if (size >= sizeof(address) || inet_pton(prefix.family, address, prefix.address) != 1)
		wrong = "there is no such address";
	else if (slash != NULL)
		wrong = read_length(slash + 1, bits_of(prefix.family), &prefix.length);
	else if (!alone)
		wrong = "it has no length (address/length)";
	if (wrong != NULL)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "'%.200s' is no %s address with a prefix length: %s", text,
				 name_of(prefix.family), wrong);
	*ret_prefix = prefix;
	return 0;
}

bool prefix_has_host_bits(const struct prefix *prefix)
{
	for (unsigned int bit = prefix->length; bit < bits_of(prefix->family); bit++) {
		if (prefix->address[bit / 8] & (0x80 >> bit % 8))
			return true;
	}
	return false;
}

bool prefix_bits_equal(const uint8_t *a, const uint8_t *b, unsigned int length)
{
	unsigned int bytes = length / 8, bits = length % 8;

	if (memcmp(a, b, bytes) != 0)
		return false;
	return bits == 0 || ((a[bytes] ^ b[bytes]) & (0xff << (8 - bits)) & 0xff) == 0;
}
