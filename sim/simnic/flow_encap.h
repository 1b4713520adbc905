// SPDX-License-Identifier: BSD-3-Clause
//
// Headers that come in front of frames, and go again: tunnels and VLAN tags.
//
// Of what is put in front, lengths and the IPv4 checksum are filled in for each frame; of UDP, the source port by a hash of
// the frame's addresses and ports, from 49152 on, if the definition has 0 there (RFC 7348, section 5), and the checksum: none
// over IPv4 as hardware has it, computed over IPv6. A checksum of the frame that was still to be computed is
// computed before; a frame that is still to be segmented cannot be carried on in a tunnel and is dropped.

#pragma once

#include <rte_flow.h>

#include "sim/simnic/flow_rewrite.h"

enum { FLOW_ENCAP_MAX = 256 }; // bytes of a definition

struct flow_encap {
	uint16_t size;
	uint16_t l3, l4; // offsets; 0: there is none that is known
	uint16_t layers; // enum flow_layer_bits
	bool hash_port;  // UDP's source port is to be filled in
	uint8_t data[];
};

// Understand a raw header; data is copied. NULL: out of memory.
struct flow_encap *flow_encap_raw(const uint8_t *data, uint16_t size);
// What a definition of VXLAN_ENCAP says, as bytes. -EINVAL: the items are not as the API has them; -ENOMEM.
int flow_encap_vxlan(const struct rte_flow_item *definition, struct flow_encap **ret_encap);
// Whether a raw header is a tunnel's, as the parser knows them.
bool flow_encap_is_tunnel(const struct flow_encap *encap);

// False: it cannot be done to this frame.
bool flow_encap(struct flow_packet *packet, const struct flow_encap *encap);
// Take the Ethernet header away; the next that is done is flow_encap().
bool flow_cut(struct flow_packet *packet, uint32_t size);
bool flow_decap_tunnel(struct flow_packet *packet);
// A tag in front of others, which has their TCI (OpenFlow 1.3, section 5.12); 0 if there is none.
bool flow_push_vlan(struct flow_packet *packet, const uint8_t ether_type[2]);
bool flow_pop_vlan(struct flow_packet *packet);
// The first tag's TCI, in host order.
void flow_set_vlan(struct flow_packet *packet, uint16_t value, uint16_t mask);
