// SPDX-License-Identifier: BSD-3-Clause
//
// An attachment as a CNI result.

#include "cni/result.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "cni/json_field.h"

// jansson's functions take the NULL of a failed one and fail themselves, so that running out of memory
// is looked for once, where each of these returns: 0 or -1.

// A list of prevResult's, copied so that it can grow; empty if there is none.
static json_t *copy_list(const struct netconf *netconf, const char *key)
{
	const json_t *list =
		netconf->prev_result != NULL ? json_member(netconf->prev_result, key) : NULL;

	return list != NULL ? json_deep_copy(list) : json_array();
}

static int append_interface(json_t *interfaces, enum cni_version version, const char *netns,
			    const struct podport_attachment *attachment)
{
	const uint8_t *mac = attachment->mac;
	char text[18];
	json_t *interface;
	int r = 0;

	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		 mac[3], mac[4], mac[5]);
	interface = json_pack("{s:s, s:s}", "name", attachment->key.ifname, "mac", text);
	if (version >= CNI_1_1_0)
		r |= json_object_set_new(interface, "mtu", json_integer(attachment->mtu));
	if (version >= CNI_1_1_0 && attachment->socket_path[0] != '\0')
		r |= json_object_set_new(interface, "socketPath",
					 json_string(attachment->socket_path));
	r |= json_object_set_new(interface, "sandbox", json_string(netns));
	r |= json_array_append_new(interfaces, interface);
	return r;
}

static int append_ip(json_t *ips, enum cni_version version, size_t index, int family,
		     const void *address, const void *gateway)
{
	char address_text[INET6_ADDRSTRLEN], gateway_text[INET6_ADDRSTRLEN];
	json_t *ip = json_object();
	int r = 0;

	inet_ntop(family, address, address_text, sizeof(address_text));
	inet_ntop(family, gateway, gateway_text, sizeof(gateway_text));
	if (version < CNI_1_0_0)
		r |= json_object_set_new(ip, "version", json_string(family == AF_INET ? "4" : "6"));
	r |= json_object_set_new(ip, "address",
				 json_sprintf("%s/%d", address_text, family == AF_INET ? 32 : 128));
	r |= json_object_set_new(ip, "gateway", json_string(gateway_text));
	r |= json_object_set_new(ip, "interface", json_integer((json_int_t)index));
	r |= json_array_append_new(ips, ip);
	return r;
}

static int append_default_route(json_t *routes, int family, const void *gateway)
{
	const char *dst = family == AF_INET ? "0.0.0.0/0" : "::/0";
	char text[INET6_ADDRSTRLEN];

	inet_ntop(family, gateway, text, sizeof(text));
	return json_array_append_new(routes, json_pack("{s:s, s:s}", "dst", dst, "gw", text));
}

// Plugins before us in the chain may have been loose about ips[].version.
static int fit_versions(json_t *ips, enum cni_version version)
{
	json_t *ip;
	size_t i;
	int r = 0;

	json_array_foreach(ips, i, ip)
	{
		const char *address = json_string_value(json_member(ip, "address"));
		if (version >= CNI_1_0_0)
			json_object_del(ip, "version"); // -1 if there is none
		else if (json_member(ip, "version") == NULL)
			r |= json_object_set_new(ip, "version",
						 json_string(strchr(address, ':') ? "6" : "4"));
	}
	return r;
}

// The configuration's, or else prevResult's. Sets it in `result` if there is any.
static int set_dns(json_t *result, const struct netconf *netconf)
{
	const json_t *dns = netconf->dns;

	if (dns == NULL && netconf->prev_result != NULL)
		dns = json_member(netconf->prev_result, "dns");
	return dns != NULL ? json_object_set_new(result, "dns", json_deep_copy(dns)) : 0;
}

json_t *result_json(const struct netconf *netconf, const char *netns,
		    const struct podport_attachment *attachment)
{
	const char *version_name = cni_version_name(netconf->version);
	json_t *interfaces = copy_list(netconf, "interfaces");
	json_t *ips = copy_list(netconf, "ips");
	json_t *routes = copy_list(netconf, "routes");
	json_t *result = json_object();
	size_t index = json_array_size(interfaces);
	int r = 0;

	r |= fit_versions(ips, netconf->version);
	r |= append_interface(interfaces, netconf->version, netns, attachment);
	if (attachment->has_ipv4) {
		r |= append_ip(ips, netconf->version, index, AF_INET, &attachment->ipv4,
			       &attachment->gateway_ipv4);
		r |= append_default_route(routes, AF_INET, &attachment->gateway_ipv4);
	}
	if (attachment->has_ipv6) {
		r |= append_ip(ips, netconf->version, index, AF_INET6, &attachment->ipv6,
			       &attachment->gateway_ipv6);
		r |= append_default_route(routes, AF_INET6, &attachment->gateway_ipv6);
	}
	r |= json_object_set_new(result, "cniVersion", json_string(version_name));
	r |= json_object_set_new(result, "interfaces", interfaces);
	r |= json_object_set_new(result, "ips", ips);
	r |= json_object_set_new(result, "routes", routes);
	r |= set_dns(result, netconf);
	if (r < 0) {
		json_decref(result);
		return NULL;
	}
	return result;
}
