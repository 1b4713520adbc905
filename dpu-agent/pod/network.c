// SPDX-License-Identifier: BSD-3-Clause
//
// See network.h.

#include "pod/network.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pod/prefix.h"

// Checked as the IPAM will want it.
static int parse_prefix(int family, const char *text, struct ipam_prefix *ret_prefix,
			struct error *err)
{
	struct prefix prefix;
	int r = prefix_parse(family, text, false, &prefix, err);

	if (r < 0)
		return r;
	r = ipam_prefix_init(ret_prefix, family, prefix.address, prefix.length, err);
	if (r < 0)
		error_prefix(err, "'%s'", text);
	return r;
}

// True if the two IPv4 prefixes (host order) share an address.
static bool overlaps(uint32_t a, unsigned int a_length, uint32_t b, unsigned int b_length)
{
	unsigned int shorter = a_length < b_length ? a_length : b_length;

	return shorter == 0 || ((a ^ b) >> (32 - shorter)) == 0;
}

int network_parse_ipv4(const char *text, struct network *network, struct error *err)
{
	static const struct {
		uint32_t address;
		unsigned int length;
		const char *what;
	} reserved[] = {
		{0x00000000, 8, "0.0.0.0/8 (this network)"},
		{0x7f000000, 8, "127.0.0.0/8 (loopback)"},
		{0xa9fe0000, 16, "169.254.0.0/16 (link-local, where the router has its own)"},
		{0xe0000000, 3, "224.0.0.0/3 (multicast and reserved)"},
	};
	struct ipam_prefix prefix;
	struct in_addr address;
	int r;

	r = parse_prefix(AF_INET, text, &prefix, err);
	if (r < 0)
		return r;
	memcpy(&address, prefix.network, sizeof(address));
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		if (overlaps(ntohl(address.s_addr), prefix.length, reserved[i].address,
			     reserved[i].length))
			return error_set(err, EINVAL, CODE_BAD_REQUEST, "'%s' overlaps %s", text,
					 reserved[i].what);
	}
	network->common.has_ipv4 = true;
	network->common.ipv4 = address;
	network->common.ipv4_prefix_length = prefix.length;
	ipam_gateway(&prefix, &network->common.gateway_ipv4);
	return 0;
}

int network_parse_ipv6(const char *text, struct network *network, struct error *err)
{
	struct ipam_prefix prefix;
	struct in6_addr address;
	int r;

	r = parse_prefix(AF_INET6, text, &prefix, err);
	if (r < 0)
		return r;
	memcpy(&address, prefix.network, sizeof(address));
	if (IN6_IS_ADDR_MULTICAST(&address) || IN6_IS_ADDR_LINKLOCAL(&address) ||
	    IN6_IS_ADDR_V4MAPPED(&address) || IN6_IS_ADDR_UNSPECIFIED(&address))
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "'%s' is no prefix of unicast addresses that can be routed", text);
	network->common.has_ipv6 = true;
	network->common.ipv6 = address;
	network->common.ipv6_prefix_length = prefix.length;
	ipam_gateway(&prefix, &network->common.gateway_ipv6);
	return 0;
}

void network_ipv4_text(const struct network *network, char ret_text[NETWORK_TEXT_SIZE])
{
	char address[INET_ADDRSTRLEN];

	ret_text[0] = '\0';
	if (!network->common.has_ipv4)
		return;
	inet_ntop(AF_INET, &network->common.ipv4, address, sizeof(address));
	snprintf(ret_text, NETWORK_TEXT_SIZE, "%s/%u", address, network->common.ipv4_prefix_length);
}

void network_ipv6_text(const struct network *network, char ret_text[NETWORK_TEXT_SIZE])
{
	char address[INET6_ADDRSTRLEN];

	ret_text[0] = '\0';
	if (!network->common.has_ipv6)
		return;
	inet_ntop(AF_INET6, &network->common.ipv6, address, sizeof(address));
	snprintf(ret_text, NETWORK_TEXT_SIZE, "%s/%u", address, network->common.ipv6_prefix_length);
}

void network_text(const struct network *network, char ret_text[2 * NETWORK_TEXT_SIZE])
{
	char ipv4[NETWORK_TEXT_SIZE], ipv6[NETWORK_TEXT_SIZE];

	network_ipv4_text(network, ipv4);
	network_ipv6_text(network, ipv6);
	snprintf(ret_text, 2 * NETWORK_TEXT_SIZE, "%s%s%s", ipv4,
		 ipv4[0] != '\0' && ipv6[0] != '\0' ? " " : "", ipv6);
}

int mac_parse(const char *text, struct mac *ret_mac, struct error *err)
{
	static const struct mac zero;
	struct mac mac;
	int end = 0;

	if (strlen(text) != MAC_TEXT_SIZE - 1 ||
	    strspn(text, "0123456789abcdefABCDEF:") != MAC_TEXT_SIZE - 1 ||
	    sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac.bytes[0], &mac.bytes[1],
		   &mac.bytes[2], &mac.bytes[3], &mac.bytes[4], &mac.bytes[5], &end) != 6 ||
	    end != MAC_TEXT_SIZE - 1)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "'%s' is no MAC address (02:70:6f:64:00:01)", text);
	if ((mac.bytes[0] & 1) != 0 || mac_equal(&mac, &zero))
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "'%s' is no unicast MAC address",
				 text);
	*ret_mac = mac;
	return 0;
}

void mac_text(const struct mac *mac, char ret_text[MAC_TEXT_SIZE])
{
	const uint8_t *b = mac->bytes;

	snprintf(ret_text, MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3],
		 b[4], b[5]);
}

bool mac_equal(const struct mac *a, const struct mac *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static bool ipv4_equal(const struct pod_network *a, const struct pod_network *b)
{
	if (a->has_ipv4 != b->has_ipv4)
		return false;
	return !a->has_ipv4 ||
	       (a->ipv4.s_addr == b->ipv4.s_addr && a->ipv4_prefix_length == b->ipv4_prefix_length);
}

static bool ipv6_equal(const struct pod_network *a, const struct pod_network *b)
{
	if (a->has_ipv6 != b->has_ipv6)
		return false;
	return !a->has_ipv6 || (IN6_ARE_ADDR_EQUAL(&a->ipv6, &b->ipv6) &&
				a->ipv6_prefix_length == b->ipv6_prefix_length);
}

bool network_equal(const struct network *a, const struct network *b)
{
	return ipv4_equal(&a->common, &b->common) && ipv6_equal(&a->common, &b->common) &&
	       mac_equal(&a->common.router_mac, &b->common.router_mac) &&
	       a->common.mtu == b->common.mtu && a->link_group == b->link_group;
}

static struct ipam_prefix prefix_of(int family, const void *address, uint8_t length)
{
	struct ipam_prefix prefix = {0};
	int r = ipam_prefix_init(&prefix, family, address, length, NULL);

	assert(r == 0); // it was parsed
	(void)r;
	return prefix;
}

struct ipam_prefix network_ipv4_prefix(const struct network *network)
{
	return prefix_of(AF_INET, &network->common.ipv4, network->common.ipv4_prefix_length);
}

struct ipam_prefix network_ipv6_prefix(const struct network *network)
{
	return prefix_of(AF_INET6, &network->common.ipv6, network->common.ipv6_prefix_length);
}

static bool has_ipv4_for(const struct network *network, const struct attachment *attachment)
{
	struct ipam_prefix prefix;

	if (!attachment->has_ipv4)
		return true;
	if (!network->common.has_ipv4)
		return false;
	prefix = network_ipv4_prefix(network);
	return ipam_check(&prefix, &attachment->ipv4, NULL) == 0;
}

static bool has_ipv6_for(const struct network *network, const struct attachment *attachment)
{
	struct ipam_prefix prefix;

	if (!attachment->has_ipv6)
		return true;
	if (!network->common.has_ipv6)
		return false;
	prefix = network_ipv6_prefix(network);
	return ipam_check(&prefix, &attachment->ipv6, NULL) == 0;
}

int network_suits(const struct network *network, const struct attachment *attachment,
		  struct error *err)
{
	const struct pod_network *new = &network->common;
	char text[INET6_ADDRSTRLEN];

	if (!has_ipv4_for(network, attachment)) {
		inet_ntop(AF_INET, &attachment->ipv4, text, sizeof(text));
		return error_set(err, EBUSY, CODE_CONFLICT, "has the address %s", text);
	}
	if (!has_ipv6_for(network, attachment)) {
		inet_ntop(AF_INET6, &attachment->ipv6, text, sizeof(text));
		return error_set(err, EBUSY, CODE_CONFLICT, "has the address %s", text);
	}
	if ((attachment->has_ipv4 && attachment->gateway_ipv4.s_addr != new->gateway_ipv4.s_addr) ||
	    (attachment->has_ipv6 &&
	     !IN6_ARE_ADDR_EQUAL(&attachment->gateway_ipv6, &new->gateway_ipv6)))
		return error_set(err, EBUSY, CODE_CONFLICT, "has another gateway");
	if (!mac_equal(&attachment->gateway_mac, &new->router_mac))
		return error_set(err, EBUSY, CODE_CONFLICT, "knows the router by another MAC");
	return 0;
}

void network_list_blocker(char *list, size_t size, const struct attachment_key *key,
			  const struct error *why)
{
	size_t length = strlen(list);
	int n = snprintf(list + length, size - length, "%s%s/%s (%s)", length > 0 ? ", " : "",
			 key->container_id, key->ifname, why->message);

	if (n < 0 || (size_t)n >= size - length)
		list[length] = '\0'; // whole entries only
}
