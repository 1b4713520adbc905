// SPDX-License-Identifier: BSD-3-Clause
//
// The pod network: the prefixes pods get their addresses from, and what every pod on it gets
// besides. Text forms as in the configuration file and the store. Values; no I/O.

#pragma once

#include "pod/ipam.h"
#include "proto/message.h"

struct network {
	struct pod_network common; // as the host is told; its gateways follow from the prefixes
	uint32_t link_group;       // IFLA_GROUP of the pods' interfaces, 0: the default group
};

enum { NETWORK_TEXT_SIZE = 64, MAC_TEXT_SIZE = 18 };

// "10.88.0.0/16" or "fd00:88::/64" into the family's members of `network`, gateway included; the
// rest stays. Errors: -EINVAL with CODE_BAD_REQUEST and what is wrong with it.
int network_parse_ipv4(const char *text, struct network *network, struct error *err);
int network_parse_ipv6(const char *text, struct network *network, struct error *err);

// The other way; "" if the network has none.
void network_ipv4_text(const struct network *network, char ret_text[NETWORK_TEXT_SIZE]);
void network_ipv6_text(const struct network *network, char ret_text[NETWORK_TEXT_SIZE]);

// Both, as people write them: "10.88.0.0/16 fd00:88::/64".
void network_text(const struct network *network, char ret_text[2 * NETWORK_TEXT_SIZE]);

// "02:70:6f:64:00:01". Errors: -EINVAL: not six pairs of hex digits, multicast or zero.
int mac_parse(const char *text, struct mac *ret_mac, struct error *err);
void mac_text(const struct mac *mac, char ret_text[MAC_TEXT_SIZE]);
bool mac_equal(const struct mac *a, const struct mac *b);

bool network_equal(const struct network *a, const struct network *b);

// May a pod that runs with this attachment go on when `network` becomes the pod network? Errors:
// -EBUSY with CODE_CONFLICT and what is in the way ("has the address 10.88.0.7").
int network_suits(const struct network *network, const struct attachment *attachment,
		  struct error *err);

// For people: of the attachments that network_suits refuses, as many as fit into `list` (at first
// empty), "container/eth0 (has the address 10.88.0.7), …".
void network_list_blocker(char *list, size_t size, const struct attachment_key *key,
			  const struct error *why);

// The prefixes as the IPAM takes them. Only for a family that the network has.
struct ipam_prefix network_ipv4_prefix(const struct network *network);
struct ipam_prefix network_ipv6_prefix(const struct network *network);
