// SPDX-License-Identifier: BSD-3-Clause
//
// prevResult, checked key by key and compared.

#include "cni/prev_result.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cni/json_field.h"
#include "cni/wishes.h"

static const struct field prev_field = {"prevResult"};

// ---- parse ---------------------------------------------------------------------------------------

static int parse_interface(const json_t *json, const struct field *field,
			   struct prev_interface *ret_interface, struct cni_error *error)
{
	const char *name, *sandbox, *mac, *socket_path, *ignored;
	uint32_t mtu = 0;

	if (field_expect(json, field, JSON_OBJECT, error) < 0 ||
	    field_get_string(json, field, "name", &name, error) < 0 ||
	    field_get_string(json, field, "sandbox", &sandbox, error) < 0 ||
	    field_get_string(json, field, "mac", &mac, error) < 0 ||
	    field_get_string(json, field, "socketPath", &socket_path, error) < 0 ||
	    field_get_string(json, field, "pciID", &ignored, error) < 0 ||
	    field_get_integer(json, field, "mtu", 0, UINT32_MAX, &mtu, error) < 0)
		return -1;
	if (name == NULL || name[0] == '\0')
		return cni_error_set(error, CNI_INVALID_CONFIG, "%s.name: missing", field->name);
	*ret_interface = (struct prev_interface){
		.name = name,
		.sandbox = sandbox != NULL ? sandbox : "",
		.mtu = mtu,
		.socket_path = socket_path != NULL ? socket_path : "",
	};
	// Interfaces of others may have longer ones (InfiniBand); those are not ours.
	ret_interface->has_mac = mac != NULL && mac_parse(mac, &ret_interface->mac) == 0;
	return 0;
}

static int parse_ip(const json_t *json, const struct field *field, size_t interface_count,
		    struct prev_ip *ret_ip, struct cni_error *error)
{
	const char *address, *gateway, *version, *why;
	struct prev_ip ip = {.interface = -1};
	uint8_t gateway_bytes[16];
	unsigned int length;
	int gateway_family;
	json_t *interface;

	if (field_expect(json, field, JSON_OBJECT, error) < 0 ||
	    field_get_string(json, field, "address", &address, error) < 0 ||
	    field_get_string(json, field, "gateway", &gateway, error) < 0 ||
	    field_get_string(json, field, "version", &version, error) < 0 ||
	    field_get(json, field, "interface", JSON_INTEGER, &interface, error) < 0)
		return -1;
	if (address == NULL)
		return cni_error_set(error, CNI_INVALID_CONFIG, "%s.address: missing", field->name);
	if (address_parse(address, &ip.family, ip.address, &length, &why) < 0)
		return cni_error_set(error, CNI_INVALID_CONFIG, "%s.address: '%s' %s", field->name,
				     address, why);
	if (gateway != NULL && gateway[0] != '\0' &&
	    (strchr(gateway, '/') != NULL ||
	     address_parse(gateway, &gateway_family, gateway_bytes, &length, &why) < 0))
		return cni_error_set(error, CNI_INVALID_CONFIG,
				     "%s.gateway: '%s' is no IPv4 or IPv6 address", field->name,
				     gateway);
	if (version != NULL && strcmp(version, ip.family == AF_INET ? "4" : "6") != 0)
		return cni_error_set(error, CNI_INVALID_CONFIG,
				     "%s.version: '%s' does not fit the address", field->name,
				     version);
	if (interface != NULL) {
		ip.interface = json_integer_value(interface);
		if (ip.interface < 0 || ip.interface >= (int64_t)interface_count)
			return cni_error_set(error, CNI_INVALID_CONFIG,
					     "%s.interface: %" JSON_INTEGER_FORMAT
					     " is no index into prevResult.interfaces (%zu)",
					     field->name, json_integer_value(interface),
					     interface_count);
	}
	*ret_ip = ip;
	return 0;
}

static int parse_interfaces(const json_t *json, struct prev_result *result, struct cni_error *error)
{
	struct field field = field_in(&prev_field, "interfaces");
	json_t *list, *item;
	size_t i;

	if (field_get(json, &prev_field, "interfaces", JSON_ARRAY, &list, error) < 0)
		return -1;
	result->interfaces = calloc(json_array_size(list) + 1, sizeof(*result->interfaces));
	if (result->interfaces == NULL)
		return cni_error_from(error, CODE_INTERNAL, "out of memory");
	json_array_foreach(list, i, item)
	{
		struct field at = field_at(&field, i);
		if (parse_interface(item, &at, &result->interfaces[i], error) < 0)
			return -1;
	}
	result->interface_count = json_array_size(list);
	return 0;
}

static int parse_ips(const json_t *json, struct prev_result *result, struct cni_error *error)
{
	struct field field = field_in(&prev_field, "ips");
	json_t *list, *item;
	size_t i;

	if (field_get(json, &prev_field, "ips", JSON_ARRAY, &list, error) < 0)
		return -1;
	result->ips = calloc(json_array_size(list) + 1, sizeof(*result->ips));
	if (result->ips == NULL)
		return cni_error_from(error, CODE_INTERNAL, "out of memory");
	json_array_foreach(list, i, item)
	{
		struct field at = field_at(&field, i);
		if (parse_ip(item, &at, result->interface_count, &result->ips[i], error) < 0)
			return -1;
	}
	result->ip_count = json_array_size(list);
	return 0;
}

// Passed on, not used: only what would make the result unreadable for the next plugin is refused.
static int check_routes_and_dns(const json_t *json, struct cni_error *error)
{
	struct field field = field_in(&prev_field, "routes");
	json_t *routes, *dns, *item;
	size_t i;

	if (field_get(json, &prev_field, "routes", JSON_ARRAY, &routes, error) < 0 ||
	    field_get(json, &prev_field, "dns", JSON_OBJECT, &dns, error) < 0)
		return -1;
	json_array_foreach(routes, i, item)
	{
		struct field at = field_at(&field, i);
		const char *dst;
		if (field_expect(item, &at, JSON_OBJECT, error) < 0 ||
		    field_get_string(item, &at, "dst", &dst, error) < 0)
			return -1;
		if (dst == NULL)
			return cni_error_set(error, CNI_INVALID_CONFIG, "%s.dst: missing", at.name);
	}
	return 0;
}

int prev_result_parse(const json_t *json, struct prev_result *ret_result, struct cni_error *error)
{
	struct prev_result result = {0};

	if (parse_interfaces(json, &result, error) < 0 || parse_ips(json, &result, error) < 0 ||
	    check_routes_and_dns(json, error) < 0) {
		prev_result_clear(&result);
		return -1;
	}
	*ret_result = result;
	return 0;
}

void prev_result_clear(struct prev_result *result)
{
	free(result->interfaces);
	free(result->ips);
	*result = (struct prev_result){0};
}

// ---- compare -------------------------------------------------------------------------------------

static int mismatch(struct cni_error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int mismatch(struct cni_error *error, const char *format, ...)
{
	char message[ERROR_MESSAGE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	return cni_error_from(error, CODE_MISMATCH, message);
}

// /run/netns/blue and /var/run/netns/blue are one.
static bool same_sandbox(const char *a, const char *b)
{
	struct stat status_a, status_b;

	if (strcmp(a, b) == 0)
		return true;
	return stat(a, &status_a) == 0 && stat(b, &status_b) == 0 &&
	       status_a.st_dev == status_b.st_dev && status_a.st_ino == status_b.st_ino;
}

static int compare_address(const struct prev_result *result, int64_t index, int family,
			   const void *address, struct cni_error *error)
{
	char text[INET6_ADDRSTRLEN];

	for (size_t i = 0; i < result->ip_count; i++) {
		const struct prev_ip *ip = &result->ips[i];
		if ((ip->interface == index || ip->interface == -1) && ip->family == family &&
		    memcmp(ip->address, address, family == AF_INET ? 4 : 16) == 0)
			return 0;
	}
	inet_ntop(family, address, text, sizeof(text));
	return mismatch(error, "prevResult.ips: the interface has %s, which is not among them",
			text);
}

// The pod's interface; interface_count: there is none.
static size_t find_interface(const struct prev_result *result, const char *ifname,
			     const char *netns)
{
	size_t index;

	for (index = 0; index < result->interface_count; index++) {
		const struct prev_interface *interface = &result->interfaces[index];

		if (strcmp(interface->name, ifname) == 0 && interface->sandbox[0] != '\0' &&
		    same_sandbox(interface->sandbox, netns))
			break;
	}
	return index;
}

uint32_t prev_result_mtu(const struct prev_result *result, const char *ifname, const char *netns)
{
	size_t index = find_interface(result, ifname, netns);

	return index < result->interface_count ? result->interfaces[index].mtu : 0;
}

int prev_result_compare(const struct prev_result *result, const char *netns,
			const struct podport_attachment *attachment, struct cni_error *error)
{
	const char *ifname = attachment->key.ifname;
	const uint8_t *mac = attachment->mac;
	size_t index = find_interface(result, ifname, netns);

	if (index == result->interface_count)
		return mismatch(error, "prevResult.interfaces: no '%s' in sandbox %s", ifname,
				netns);
	if (result->interfaces[index].has_mac &&
	    memcmp(result->interfaces[index].mac.bytes, mac, 6) != 0)
		return mismatch(error,
				"prevResult.interfaces[%zu].mac: the interface has "
				"%02x:%02x:%02x:%02x:%02x:%02x",
				index, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	if (result->interfaces[index].socket_path[0] != '\0' &&
	    strcmp(result->interfaces[index].socket_path, attachment->socket_path) != 0)
		return mismatch(error,
				"prevResult.interfaces[%zu].socketPath: the interface has '%s'",
				index, attachment->socket_path);
	if (attachment->has_ipv4 &&
	    compare_address(result, (int64_t)index, AF_INET, &attachment->ipv4, error) < 0)
		return -1;
	if (attachment->has_ipv6 &&
	    compare_address(result, (int64_t)index, AF_INET6, &attachment->ipv6, error) < 0)
		return -1;
	return 0;
}
