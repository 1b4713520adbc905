// SPDX-License-Identifier: BSD-3-Clause
//
// Single fields: what a name, an interface name, an MTU, an address may be, for the codec and (the
// check_ functions) for the other edges. The rules are those of CNI's SPEC and of Linux.

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/text.h"
#include "proto/codec_private.h"

// ---- errors --------------------------------------------------------------------------------------

static size_t write_where(const struct where *at, char *path, size_t size)
{
	size_t length = 0;
	int written;

	if (at == NULL || at->name == NULL)
		return 0;
	length = write_where(at->parent, path, size);
	if (at->index >= 0)
		written = snprintf(path + length, size - length, "%s%s[%d]", length > 0 ? "." : "",
				   at->name, at->index);
	else
		written = snprintf(path + length, size - length, "%s%s", length > 0 ? "." : "",
				   at->name);
	length += written > 0 ? (size_t)written : 0;
	return length < size ? length : size - 1;
}

int bad_field(struct error *err, enum code code, const struct where *at, const char *name,
	      const char *format, ...)
{
	char path[160], sentence[ERROR_MESSAGE_SIZE];
	struct where field = WHERE(at, name);
	va_list args;

	path[0] = '\0';
	write_where(name != NULL ? &field : at, path, sizeof(path));
	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	return error_set(err, EBADMSG, code, "%s: %s", path[0] != '\0' ? path : "message",
			 sentence);
}

// ---- the rules -----------------------------------------------------------------------------------
//
// Each returns NULL if the value is good, else what is wrong with it.

static bool is_alphanumeric(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static const char *name_problem(const char *value)
{
	if (value[0] == '\0')
		return "is empty";
	if (strnlen(value, LIMIT_NAME + 1) > LIMIT_NAME)
		return "is longer than 128 characters";
	if (!is_alphanumeric(value[0]))
		return "does not begin with a letter or digit";
	for (const char *c = value; *c != '\0'; c++)
		if (!is_alphanumeric(*c) && *c != '_' && *c != '.' && *c != '-')
			return "may only have letters, digits, '_', '.' and '-'";
	return NULL;
}

_Static_assert(LIMIT_NAME == 128 && LIMIT_IFNAME == 15, "the sentences here say so");

// dev_valid_name of Linux, which also refuses what isspace() names, and control characters besides:
// they would end up in log lines.
static const char *ifname_problem(const char *value)
{
	if (value[0] == '\0')
		return "is empty";
	if (strnlen(value, LIMIT_IFNAME + 1) > LIMIT_IFNAME)
		return "is longer than 15 characters";
	if (strcmp(value, ".") == 0 || strcmp(value, "..") == 0)
		return "may not be \".\" or \"..\"";
	if (strpbrk(value, "/: ") != NULL)
		return "may not have '/', ':' or spaces";
	if (!text_is_printable(value))
		return "has control characters or is not UTF-8";
	return NULL;
}

static const char *mac_problem(const struct mac *value)
{
	static const struct mac zero;

	if (memcmp(value, &zero, sizeof(zero)) == 0)
		return "is all zero";
	if ((value->bytes[0] & 1) != 0)
		return "is a group address";
	return NULL;
}

int check_name(const char *field, const char *value, struct error *err)
{
	const char *problem = name_problem(value);

	return problem == NULL ? 0
			       : error_set(err, EINVAL, CODE_BAD_REQUEST, "%s: %s", field, problem);
}

int check_ifname(const char *field, const char *value, struct error *err)
{
	const char *problem = ifname_problem(value);

	return problem == NULL ? 0
			       : error_set(err, EINVAL, CODE_BAD_REQUEST, "%s: %s", field, problem);
}

int check_mac(const char *field, const struct mac *value, struct error *err)
{
	const char *problem = mac_problem(value);

	return problem == NULL ? 0
			       : error_set(err, EINVAL, CODE_BAD_REQUEST, "%s: %s", field, problem);
}

int check_mtu(const char *field, uint64_t value, struct error *err)
{
	if (value >= MTU_MIN && value <= MTU_MAX)
		return 0;
	return error_set(err, EINVAL, CODE_BAD_REQUEST, "%s: %llu is not in %d..%d", field,
			 (unsigned long long)value, (int)MTU_MIN, (int)MTU_MAX);
}

// ---- out of a message ----------------------------------------------------------------------------

int take_text(const char *from, const struct where *at, const char *name, size_t limit,
	      char *ret_text, struct error *err)
{
	size_t length = strlen(from);

	if (length > limit)
		return bad_field(err, CODE_BAD_REQUEST, at, name, "%zu bytes are more than %zu",
				 length, limit);
	if (!text_is_printable(from))
		return bad_field(err, CODE_BAD_REQUEST, at, name, "has control characters");
	memcpy(ret_text, from, length + 1);
	return 0;
}

int take_name(const char *from, const struct where *at, const char *name,
	      char ret_name[LIMIT_NAME + 1], struct error *err)
{
	const char *problem = name_problem(from);

	if (problem != NULL)
		return bad_field(err, CODE_BAD_REQUEST, at, name, "%s", problem);
	strcpy(ret_name, from);
	return 0;
}

int take_ifname(const char *from, const struct where *at, const char *name,
		char ret_name[LIMIT_IFNAME + 1], struct error *err)
{
	const char *problem = ifname_problem(from);

	if (problem != NULL)
		return bad_field(err, CODE_BAD_REQUEST, at, name, "%s", problem);
	strcpy(ret_name, from);
	return 0;
}

// An address of `size` bytes, not all zero. Returns 1 if there is one, 0 if there may be none.
static int take_address(ProtobufCBinaryData from, const struct where *at, const char *name,
			const char *kind, size_t size, bool optional, void *ret_address,
			struct error *err)
{
	static const uint8_t zero[16];

	if (from.len == 0 && optional)
		return 0;
	if (from.len == 0)
		return bad_field(err, CODE_BAD_REQUEST, at, name, "missing");
	if (from.len != size)
		return bad_field(err, CODE_BAD_REQUEST, at, name, "%zu bytes are no %s", from.len,
				 kind);
	if (memcmp(from.data, zero, size) == 0)
		return bad_field(err, CODE_BAD_REQUEST, at, name, "is all zero");
	memcpy(ret_address, from.data, size);
	return 1;
}

int take_mac(ProtobufCBinaryData from, const struct where *at, const char *name, bool *ret_has,
	     struct mac *ret_mac, struct error *err)
{
	struct mac mac;
	int r = take_address(from, at, name, "MAC address", sizeof(mac), ret_has != NULL, &mac,
			     err);

	if (r < 0)
		return r;
	if (r == 1) {
		const char *problem = mac_problem(&mac);

		if (problem != NULL)
			return bad_field(err, CODE_BAD_REQUEST, at, name, "%s", problem);
		*ret_mac = mac;
	}
	if (ret_has != NULL)
		*ret_has = r == 1;
	return 0;
}

int take_ipv4(ProtobufCBinaryData from, const struct where *at, const char *name, bool *ret_has,
	      struct in_addr *ret_address, struct error *err)
{
	int r = take_address(from, at, name, "IPv4 address", sizeof(*ret_address), ret_has != NULL,
			     ret_address, err);

	if (r < 0)
		return r;
	if (ret_has != NULL)
		*ret_has = r == 1;
	return 0;
}

int take_ipv6(ProtobufCBinaryData from, const struct where *at, const char *name, bool *ret_has,
	      struct in6_addr *ret_address, struct error *err)
{
	int r = take_address(from, at, name, "IPv6 address", sizeof(*ret_address), ret_has != NULL,
			     ret_address, err);

	if (r < 0)
		return r;
	if (ret_has != NULL)
		*ret_has = r == 1;
	return 0;
}

int take_family(uint32_t family, const struct where *at, bool *ret_is_ipv6, struct error *err)
{
	if (family != 4 && family != 6)
		return bad_field(err, CODE_BAD_REQUEST, at, "family", "is neither 4 nor 6");
	*ret_is_ipv6 = family == 6;
	return 0;
}

int take_family_address(ProtobufCBinaryData from, const struct where *at, const char *name,
			bool is_ipv6, uint8_t ret_address[16], struct error *err)
{
	static const uint8_t none[16];

	if (from.len != (is_ipv6 ? 16u : 4u))
		return bad_field(err, CODE_BAD_REQUEST, at, name, "has %zu bytes", from.len);
	if (memcmp(from.data, none, from.len) == 0)
		return bad_field(err, CODE_BAD_REQUEST, at, name, "is nobody's");
	memcpy(ret_address, from.data, from.len);
	return 0;
}

int take_range(uint64_t value, uint64_t low, uint64_t high, const struct where *at,
	       const char *name, struct error *err)
{
	if (value >= low && value <= high)
		return 0;
	return bad_field(err, CODE_BAD_REQUEST, at, name, "%llu is not in %llu..%llu",
			 (unsigned long long)value, (unsigned long long)low,
			 (unsigned long long)high);
}

// ---- into a message ------------------------------------------------------------------------------

char *put_text(const char *text)
{
	return (char *)(uintptr_t)text;
}

ProtobufCBinaryData put_bytes(bool present, const void *data, size_t size)
{
	return (ProtobufCBinaryData){.len = present ? size : 0,
				     .data = present ? (uint8_t *)(uintptr_t)data : NULL};
}

ProtobufCBinaryData put_mac(const struct mac *mac)
{
	static const struct mac zero;

	return put_bytes(memcmp(mac, &zero, sizeof(zero)) != 0, mac->bytes, sizeof(mac->bytes));
}
