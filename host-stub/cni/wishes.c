// SPDX-License-Identifier: BSD-3-Clause
//
// Addresses and MACs as runtimes write them.

#include "cni/wishes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "proto/codec.h"

// 0..max in decimal digits, nothing else; -1.
static int parse_length(const char *text, int max)
{
	int length = 0;

	if (text[0] == '\0' || strlen(text) > 3)
		return -1;
	for (const char *c = text; *c != '\0'; c++) {
		if (*c < '0' || *c > '9')
			return -1;
		length = 10 * length + (*c - '0');
	}
	return length <= max ? length : -1;
}

int address_parse(const char *text, int *ret_family, uint8_t ret_address[16],
		  unsigned int *ret_length, const char **ret_why)
{
	const char *slash = strchr(text, '/');
	size_t size = slash != NULL ? (size_t)(slash - text) : strlen(text);
	char address[INET6_ADDRSTRLEN];

	*ret_why = "is no IPv4 or IPv6 address";
	if (size >= sizeof(address))
		return -1;
	memcpy(address, text, size);
	address[size] = '\0';

	int family = memchr(address, ':', size) != NULL ? AF_INET6 : AF_INET;
	int length = family == AF_INET ? 32 : 128;
	uint8_t bytes[16] = {0};
	if (inet_pton(family, address, bytes) != 1)
		return -1;
	if (slash != NULL) {
		length = parse_length(slash + 1, length);
		*ret_why = "has no good prefix length";
		if (length < 0)
			return -1;
	}
	*ret_family = family;
	memcpy(ret_address, bytes, sizeof(bytes));
	*ret_length = (unsigned int)length;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int mac_parse(const char *text, struct mac *ret_mac)
{
	struct mac mac;

	if (strlen(text) != 17)
		return -1;
	for (int i = 0; i < 6; i++) {
		const char *digits = text + 3 * i;
		int high = hex_digit(digits[0]), low = hex_digit(digits[1]);
		if (high < 0 || low < 0)
			return -1;
		if (i < 5 && (digits[2] != text[2] || (digits[2] != ':' && digits[2] != '-')))
			return -1;
		mac.bytes[i] = (uint8_t)(high << 4 | low);
	}
	*ret_mac = mac;
	return 0;
}

int wishes_add_ip(struct wishes *wishes, const char *field, const char *text, struct error *err)
{
	uint8_t address[16];
	unsigned int length;
	const char *why;
	int family;

	if (address_parse(text, &family, address, &length, &why) < 0)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "%s: '%s' %s", field, text, why);
	if (family == AF_INET ? wishes->has_ipv4 : wishes->has_ipv6)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "%s: '%s' is a second IPv%d address; a pod has one of each family",
				 field, text, family == AF_INET ? 4 : 6);
	if (family == AF_INET) {
		wishes->has_ipv4 = true;
		memcpy(&wishes->ipv4, address, sizeof(wishes->ipv4));
	} else {
		wishes->has_ipv6 = true;
		memcpy(&wishes->ipv6, address, sizeof(wishes->ipv6));
	}
	return 0;
}

int wishes_add_mac(struct wishes *wishes, const char *field, const char *text, struct error *err)
{
	struct mac mac;

	if (mac_parse(text, &mac) < 0)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "%s: '%s' is no MAC address (c2:11:22:33:44:55)", field, text);
	int r = check_mac(field, &mac, err);
	if (r < 0)
		return r;
	wishes->has_mac = true;
	wishes->mac = mac;
	return 0;
}

int wishes_add_port(struct wishes *wishes, const char *field, const char *text, struct error *err)
{
	if (!port_choice_parse(text, &wishes->port))
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "%s: '%.32s' is none of function, vhost-user, virtio-user", field,
				 text);
	wishes->has_port = true;
	return 0;
}
