// SPDX-License-Identifier: BSD-3-Clause
//
// What the codec's files share. Bytes pass three gates, each in a file of its own:
//
//     bytes ──► codec_scan.c ──► protobuf-c ──► codec_request.c, codec_reply.c ──► struct request, reply
//               well-formed?     bounded        every field in its range?
//               fields once?     allocator
//
// What the first gate refuses protobuf-c would accept and garble (NULs in strings, numbers cut to
// 32 bits, fields given twice), or refuse without a reason. The third gate has one decode_ function
// per message, which checks what it copies; the encode side is put_ functions that only point into
// the plain struct.

#pragma once

#include "podport.pb-c.h"
#include "proto/codec.h"

// ---- where in a message --------------------------------------------------------------------------

// A field on the way from the root: printed as "list.attachments[3].key". The root has no name.
struct where {
	const struct where *parent;
	const char *name;
	int index; // in a repeated field, -1: is none
};

#define WHERE_ROOT            ((struct where){.parent = NULL, .name = NULL, .index = -1})
#define WHERE(parent_, name_) ((struct where){.parent = (parent_), .name = (name_), .index = -1})
#define WHERE_ITEM(parent_, name_, index_)                                                         \
	((struct where){.parent = (parent_), .name = (name_), .index = (int)(index_)})

// -EBADMSG and "attach.key.ifname: sentence". `name`: the field below `at`, NULL: `at` itself.
int bad_field(struct error *err, enum code code, const struct where *at, const char *name,
	      const char *format, ...) __attribute__((format(printf, 5, 6)));

// ---- gate 1 --------------------------------------------------------------------------------------

// Check `size` bytes to be a message of this type on the wire, down to its innermost fields.
int scan_message(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data, size_t size,
		 struct error *err);

// ---- gate 3: single fields, codec_field.c --------------------------------------------------------
//
// Check a field and copy it out. -EBADMSG with the field's path.

// A printable string of at most `limit` bytes; ret_text has one more.
int take_text(const char *from, const struct where *at, const char *name, size_t limit,
	      char *ret_text, struct error *err);
int take_name(const char *from, const struct where *at, const char *name,
	      char ret_name[LIMIT_NAME + 1], struct error *err);
int take_ifname(const char *from, const struct where *at, const char *name,
		char ret_name[LIMIT_IFNAME + 1], struct error *err);
// Addresses, not all zero: no bytes means none, which is an error unless ret_has is there to say so.
int take_mac(ProtobufCBinaryData from, const struct where *at, const char *name, bool *ret_has,
	     struct mac *ret_mac, struct error *err);
int take_ipv4(ProtobufCBinaryData from, const struct where *at, const char *name, bool *ret_has,
	      struct in_addr *ret_address, struct error *err);
int take_ipv6(ProtobufCBinaryData from, const struct where *at, const char *name, bool *ret_has,
	      struct in6_addr *ret_address, struct error *err);
// Of rows that are of either family: which, and an address of that one, 4 or 16 bytes and not all zero.
int take_family(uint32_t family, const struct where *at, bool *ret_is_ipv6, struct error *err);
int take_family_address(ProtobufCBinaryData from, const struct where *at, const char *name,
			bool is_ipv6, uint8_t ret_address[16], struct error *err);
int take_range(uint64_t value, uint64_t low, uint64_t high, const struct where *at,
	       const char *name, struct error *err);

// The generated structs have no const; they are only read when packing.
char *put_text(const char *text);
ProtobufCBinaryData put_bytes(bool present, const void *data, size_t size);
ProtobufCBinaryData put_mac(const struct mac *mac); // zero: absent

// ---- gate 3: messages in requests and replies, codec_shared.c --------------------------------------

int decode_key(const Podport__Wire__Key *from, const struct where *at,
	       struct attachment_key *ret_key, struct error *err);
int decode_sandbox(const Podport__Wire__Sandbox *from, const struct where *at,
		   struct sandbox *ret_sandbox, struct error *err); // NULL: nothing is known
int decode_pod(const Podport__Wire__Pod *from, const struct where *at, struct pod_name *ret_pod,
	       struct error *err); // NULL: nothing is known
int decode_function(const Podport__Wire__Function *from, const struct where *at,
		    struct function_id *ret_function, struct error *err);
// partial: what is absent stays zero (check_request.expected); what is there is checked all the same.
int decode_attachment(const Podport__Wire__Attachment *from, const struct where *at, bool partial,
		      struct attachment *ret_attachment, struct error *err);

void put_key(Podport__Wire__Key *to, const struct attachment_key *from);
void put_sandbox(Podport__Wire__Sandbox *to, const struct sandbox *from);
void put_pod(Podport__Wire__Pod *to, const struct pod_name *from);
void put_function(Podport__Wire__Function *to, const struct function_id *from);

// What a pod may have besides its interface, codec_attachment.c.
int decode_bandwidth(const Podport__Wire__Bandwidth *from, const struct where *at,
		     struct bandwidth *ret_bandwidth, struct error *err); // NULL: unlimited
int decode_port_mappings(Podport__Wire__PortMapping *const *from, size_t count,
			 const struct where *at, struct port_mappings *ret_mappings,
			 struct error *err);

struct port_mappings_wire {
	Podport__Wire__PortMapping items[LIMIT_PORT_MAPPINGS];
	Podport__Wire__PortMapping *pointers[LIMIT_PORT_MAPPINGS];
};
// NULL if there is no limit, else `to`.
Podport__Wire__Bandwidth *put_bandwidth(Podport__Wire__Bandwidth *to, const struct bandwidth *from);
// Returns their number.
size_t put_port_mappings(struct port_mappings_wire *to, const struct port_mappings *from);

struct attachment_wire {
	Podport__Wire__Attachment message; // points at the others
	Podport__Wire__Key key;
	Podport__Wire__Sandbox sandbox;
	Podport__Wire__Pod pod;
	Podport__Wire__Function function;
	Podport__Wire__Bandwidth bandwidth;
	struct port_mappings_wire port_mappings;
};
void put_attachment(struct attachment_wire *to, const struct attachment *from);

// The parts of replies that tell of the e-switch, codec_offload.c.
int decode_attachment_offload(const Podport__Wire__AttachmentOffload *from, const struct where *at,
			      struct attachment_offload *ret_offload, struct error *err);
int decode_offload_summary(const Podport__Wire__OffloadSummary *from, const struct where *at,
			   struct offload_info *ret_info, struct error *err);
int decode_flows(const Podport__Wire__ListFlowsReply *from, const struct where *at,
		 struct flows_reply *ret_flows, struct error *err);
int decode_offload(const Podport__Wire__GetOffloadReply *from, const struct where *at,
		   struct offload_reply *ret_offload, struct error *err);

struct flow_wire {
	Podport__Wire__Flow message; // points at the others
	Podport__Wire__Function function;
	Podport__Wire__Key key;
};
void put_attachment_offload(Podport__Wire__AttachmentOffload *to,
			    const struct attachment_offload *from);
void put_offload_summary(Podport__Wire__OffloadSummary *to, const struct offload_info *from);
void put_flow(struct flow_wire *wire, const struct flow_info *from);
void put_capability(Podport__Wire__Capability *to, const struct capability_info *from);

// The uplink and who is on it, codec_uplink.c.
int decode_uplink(const Podport__Wire__Uplink *from, const struct where *at,
		  struct uplink_status *ret_uplink, struct error *err);
int decode_neighbours(const Podport__Wire__ListNeighboursReply *from, const struct where *at,
		      struct neighbours_reply *ret_neighbours, struct error *err);
// What is masqueraded, codec_connections.c.
// codec_nat.c
struct nat_summary_wire {
	Podport__Wire__NatSummary message;
	Podport__Wire__NatPrefix *prefix_pointers[LIMIT_NAT_EXCLUDED];
	Podport__Wire__NatPrefix prefixes[LIMIT_NAT_EXCLUDED];
	Podport__Wire__NatPorts *ports_pointers[LIMIT_NAT_PORTS];
	Podport__Wire__NatPorts ports[LIMIT_NAT_PORTS];
};
int decode_nat(const Podport__Wire__ListNatReply *from, const struct where *at,
	       struct nat_reply *ret_nat, struct error *err);
void put_published(Podport__Wire__PublishedPort *to, const struct published_row *from);
void put_nat_summary(struct nat_summary_wire *to, const struct nat_summary *from);

int decode_connections(const Podport__Wire__ListConnectionsReply *from, const struct where *at,
		       struct connections_reply *ret_connections, struct error *err);
void put_connection(Podport__Wire__Connection *to, const struct connection_row *from);
void put_connections_offload(Podport__Wire__ConnectionsOffload *to,
			     const struct connections_offload *from);
void put_uplink(Podport__Wire__Uplink *to, const struct uplink_status *from);
void put_neighbour(Podport__Wire__Neighbour *to, const struct neighbour_row *from);

// Gc, both ways, codec_gc.c.
int decode_gc(const Podport__Wire__Gc *from, const struct where *at, struct gc_request *ret_gc,
	      struct error *err);
int decode_gc_reply(const Podport__Wire__GcReply *from, const struct where *at,
		    struct gc_reply *ret_gc, struct error *err);

struct gc_wire {
	Podport__Wire__Gc message; // points at the others
	Podport__Wire__Endpoint after;
	Podport__Wire__Endpoint valid[LIMIT_VALID];
	Podport__Wire__Endpoint *valid_pointers[LIMIT_VALID];
};
struct gc_reply_wire {
	Podport__Wire__GcReply message; // points at the others
	Podport__Wire__Endpoint next;
	Podport__Wire__GcFailure failures[LIMIT_FAILURES];
	Podport__Wire__Key keys[LIMIT_FAILURES];
	Podport__Wire__GcFailure *failure_pointers[LIMIT_FAILURES];
};
int put_gc(struct gc_wire *wire, const struct gc_request *from, struct error *err);
int put_gc_reply(struct gc_reply_wire *wire, const struct gc_reply *from, struct error *err);

// Looking at packets, both ways, codec_watch.c.
struct watch_wire {
	Podport__Wire__Watch message; // points at the others
	Podport__Wire__Key key;
	uint8_t filter[8 * LIMIT_FILTER];
};
struct watch_page_wire {
	Podport__Wire__WatchPacket *packet_pointers[LIMIT_WATCH_PAGE];
	Podport__Wire__WatchPacket packets[LIMIT_WATCH_PAGE];
	Podport__Wire__WatchStep *step_pointers[LIMIT_WATCH_STEPS];
	Podport__Wire__WatchStep steps[LIMIT_WATCH_STEPS];
};
int decode_watch(const Podport__Wire__Watch *from, const struct where *at,
		 struct watch_request *ret_watch, struct error *err);
int decode_read_watch(const Podport__Wire__ReadWatch *from, const struct where *at,
		      struct read_watch_request *ret_read, struct error *err);
int decode_watch_reply(const Podport__Wire__WatchReply *from, const struct where *at,
		       struct watch_reply *ret_watch, struct error *err);
int decode_read_watch_reply(const Podport__Wire__ReadWatchReply *from, const struct where *at,
			    struct read_watch_reply *ret_read, struct error *err);
int put_watch(struct watch_wire *wire, const struct watch_request *from, struct error *err);
void put_read_watch(Podport__Wire__ReadWatch *to, const struct read_watch_request *from);
void put_watch_reply(Podport__Wire__WatchReply *to, const struct watch_reply *from);
int put_read_watch_reply(Podport__Wire__ReadWatchReply *to, struct watch_page_wire *wire,
			 const struct read_watch_reply *from, struct error *err);

// ---- whole messages --------------------------------------------------------------------------------

int decode_request(const Podport__Wire__Request *from, struct request *ret_request,
		   struct error *err);
int decode_reply(const Podport__Wire__Reply *from, struct reply *ret_reply, struct error *err);

// A oneof of which no member is set: absent, or one of a newer peer (the first field number from 10).
int bad_body(const ProtobufCMessage *message, struct error *err);

int pack_message(const ProtobufCMessage *message, const char *what, struct encoded *ret_encoded,
		 struct error *err);
