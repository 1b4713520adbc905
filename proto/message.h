// SPDX-License-Identifier: BSD-3-Clause
//
// The messages of podport.proto as plain C structs: what the rest of podport works on. A struct
// that came out of codec.h has been checked: strings are terminated, in their character set and
// within their limits, sizes and enums in range, sub-messages that must be there are there. Nobody
// checks again.
//
// Everything is held by value, so a request needs no release; a reply owns at most one heap array
// (reply_clear). Addresses are in network byte order. Not thread-safe; no locking needed, they are
// values.

#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/code.h"
#include "proto/base/error.h"

// The version both sides must speak; Hello compares it. It is raised when a message comes to mean
// something else. A new field or call is none of that: the older side skips the field, or answers the
// call with CODE_UNSUPPORTED, so two versions of podport work together while one is being replaced.
#define PROTOCOL_VERSION 1u

enum {
	// One message, encoded. A page of LIMIT_PAGE worst-case attachments fits; protobuf-c
	// allocates up to 45 times this while it unpacks, which is why it is not more.
	LIMIT_MESSAGE_BYTES = 64 * 1024,
	LIMIT_PAGE = 15,       // attachments in one List reply
	LIMIT_PAGE_ASKED = 32, // that a caller may ask for; an older one does
	LIMIT_PORTS_PAGE = 12, // ports in one ListPorts reply: they are larger, with LIMIT_DROPS
	LIMIT_FLOWS_PAGE = 40, // rules in one ListFlows reply
	LIMIT_NEIGHBOURS_PAGE = 128,
	LIMIT_CONNECTIONS_PAGE = 100,
	LIMIT_NAT_PAGE = 100,
	LIMIT_NAT_EXCLUDED = 32,
	LIMIT_PREFIX = 43,       // a prefix as text
	LIMIT_NAT_PORTS = 6,     // two families, three protocols
	LIMIT_CAPABILITIES = 64, // of a NIC, in one GetOffload reply
	LIMIT_NAME = 128,        // network name and container ID; containerd's own limit is 76
	LIMIT_IFNAME = 15,       // IFNAMSIZ - 1
	LIMIT_PATH = 511,        // sandbox path, socket path, URL
	SOCKET_PATH_SIZE = 108,  // sockaddr_un's, with the terminator
	LIMIT_POD_NAME = 253,    // a Kubernetes object name (RFC 1123 subdomain)
	LIMIT_TEXT = 511,        // error sentences, reasons
	LIMIT_ID = 63,           // host, boot and instance IDs, versions, short names
	LIMIT_DROPS = 48,        // drop reasons listed for one port
	LIMIT_VALID = 12,   // attachments in one Gc request: as large as the largest other request
	LIMIT_FAILURES = 8, // in one Gc reply
	LIMIT_ROUTES = 64,  // of the uplink
	LIMIT_PORT_MAPPINGS = 64, // of one pod
	LIMIT_FILTER = 256,       // instructions of a filter
	LIMIT_FRAME = 9216,       // bytes of one frame that are told: a jumbo frame is whole
	// In one ReadWatch reply: packets, and of all together steps and bytes of frames.
	LIMIT_WATCH_PAGE = 48,
	LIMIT_WATCH_STEPS = 80,
	LIMIT_WATCH_BYTES = 20 * 1024,
	LIMIT_STEPS = 20,      // of one packet
	LIMIT_STEP_TEXT = 223, // of one step, or the summary of a packet
	WATCH_SECONDS_MAX = 3600,
	MTU_MIN = 1280, // RFC 8200 section 5; pods may have IPv6
	MTU_MAX = 9000,
	TIMEOUT_MAX_MS = 10 * 60 * 1000,
};

// Of a pod's bandwidth. What Kubernetes lets its annotations say, in bits per second, and the longest burst of
// CNI's plugin bandwidth (4 GiB).
#define RATE_MIN_BPS   UINT64_C(1000)
#define RATE_MAX_BPS   UINT64_C(1000000000000000)
#define BURST_MAX_BITS (UINT64_C(8) * UINT32_MAX)

struct mac {
	uint8_t bytes[6];
};

struct attachment_key {
	char network[LIMIT_NAME + 1];
	char container_id[LIMIT_NAME + 1];
	char ifname[LIMIT_IFNAME + 1];
};

struct sandbox {
	char path[LIMIT_PATH + 1]; // empty: not known
	// Of the netns. The kernel gives a dead one's inode to the next at once; no other has its cookie (SO_NETNS_COOKIE of
	// Linux 5.14) while the host runs. 0: not known.
	uint64_t inode, cookie;
};

struct pod_name {
	char namespace_[64]; // RFC 1123 label; empty: the runtime did not say
	char name[LIMIT_POD_NAME + 1];
	char uid[LIMIT_ID + 1]; // Kubernetes has 36 characters
};

// A key without its network.
struct endpoint {
	char container_id[LIMIT_NAME + 1];
	char ifname[LIMIT_IFNAME + 1];
};

struct function_id {
	uint16_t pf;
	uint16_t vf;
};

// By what a pod is connected. The numbers are on the wire and in the store.
enum port_choice {
	PORT_CHOICE_FUNCTION = 0,    // a function of the NIC, in its sandbox
	PORT_CHOICE_VHOST_USER = 1,  // a socket, for a virtio device in user space
	PORT_CHOICE_VIRTIO_USER = 2, // a netdev by way of the kernel's vhost-net
	PORT_CHOICE_COUNT,
};

// "function", "vhost-user", "virtio-user": as the network configuration's portKind has it.
const char *port_choice_name(enum port_choice choice);
// False: it is none of them.
bool port_choice_parse(const char *name, enum port_choice *ret_choice);

// Is it by a netdev, which hostd moves into the sandbox?
bool port_choice_has_netdev(enum port_choice choice);

// The netdev of a PORT_CHOICE_VIRTIO_USER, as it is called where the agent makes it and hostd looks for
// it: "ppv" and the digits of the pod's MAC address, which no other pod of the agent has.
enum { VIRTIO_NETDEV_SIZE = 16 }; // IFNAMSIZ
void virtio_netdev_name(const struct mac *mac, char ret_name[VIRTIO_NETDEV_SIZE]);
// False: it is no such name.
bool virtio_netdev_parse(const char *name, struct mac *ret_mac);

// How fast a pod may receive and send. All zero: as fast as it can.
struct bandwidth {
	uint64_t ingress_rate_bps; // to the pod; RATE_MIN_BPS..RATE_MAX_BPS, 0: unlimited
	uint64_t
		ingress_burst_bits; // at most BURST_MAX_BITS; 0: the agent's choice, or there is no rate
	uint64_t egress_rate_bps; // by the pod; likewise
	uint64_t egress_burst_bits;
};

bool bandwidth_is_limited(const struct bandwidth *bandwidth);
bool bandwidth_equal(const struct bandwidth *a, const struct bandwidth *b);

// A port of the host that leads to one of the pod.
struct port_mapping {
	uint16_t host_port, container_port; // 1..65535
	uint8_t protocol;                   // IPPROTO_TCP, IPPROTO_UDP
	uint8_t host_family;                // 4, 6: by addresses of this family only; 0: of both
	uint8_t host_ip
		[16]; // by this address only, of IPv4 the first 4 bytes; zero: by each of the host's
};

// No two are equal in protocol, host port, family and address.
struct port_mappings {
	uint32_t count;
	struct port_mapping items[LIMIT_PORT_MAPPINGS];
};

// The same mappings, in whatever order.
bool port_mappings_equal(const struct port_mappings *a, const struct port_mappings *b);
// The index of the first that is in the way of one before it; `count`: none is.
uint32_t port_mappings_twice(const struct port_mappings *mappings);

// What an attachment was given, and keeps: as it is in the agent's store. How it is right now is in
// struct list_item.
struct attachment {
	struct attachment_key key;
	struct sandbox sandbox;
	struct pod_name pod;
	enum port_choice port;
	struct function_id function;        // valid if port is PORT_CHOICE_FUNCTION, else zero
	char socket_path[SOCKET_PATH_SIZE]; // absolute, if port is PORT_CHOICE_VHOST_USER, else ""
	struct mac mac;
	bool has_ipv4, has_ipv6;            // at least one
	struct in_addr ipv4, gateway_ipv4;  // valid if has_ipv4
	struct in6_addr ipv6, gateway_ipv6; // valid if has_ipv6
	struct mac gateway_mac;
	uint32_t mtu;        // bytes of layer 3, MTU_MIN..MTU_MAX
	uint32_t link_group; // IFLA_GROUP of the pod's interface, 0: the default group
	uint64_t created_unix_ms;
	struct bandwidth bandwidth; // as it was asked for
	struct port_mappings port_mappings;
};

struct pod_network {
	bool has_ipv4, has_ipv6; // at least one, where a pod_network is known at all
	struct in_addr ipv4, gateway_ipv4;
	uint8_t ipv4_prefix_length; // 8..30
	struct in6_addr ipv6, gateway_ipv6;
	uint8_t ipv6_prefix_length; // 48..126
	struct mac router_mac;
	uint32_t mtu;
};

// A route over the uplink. Addresses are in network order; of IPv4 the first four bytes.
struct uplink_route {
	bool is_ipv6;
	uint8_t prefix_length; // 0: the default route
	uint8_t prefix[16];    // without host bits
	uint8_t next_hop[16];  // on the wire
};

// Who the agent is on the wire. Without an address of a family nothing of that family goes there.
struct uplink {
	bool has_ipv4, has_ipv6;
	struct in_addr ipv4; // its own; the prefix is on the link
	uint8_t ipv4_prefix_length;
	struct in6_addr ipv6;
	uint8_t ipv6_prefix_length;
	uint16_t vlan; // 1..4094, 0: untagged
	uint32_t mtu;  // 0: the pod network's
	uint32_t route_count;
	struct uplink_route routes[LIMIT_ROUTES];
};

// ---- requests ----------------------------------------------------------------------------------

enum call {
	CALL_NONE = 0,
	CALL_HELLO,
	CALL_ATTACH,
	CALL_DETACH,
	CALL_CHECK,
	CALL_LIST,
	CALL_GET_STATUS,
	CALL_LIST_PORTS,
	CALL_GET_IPAM,
	CALL_LIST_FLOWS,
	CALL_GET_OFFLOAD,
	CALL_SET_POD_NETWORK,
	CALL_RECONCILE,
	CALL_GC, // hostd's; the agent does not know it
	CALL_LIST_NEIGHBOURS,
	CALL_LIST_CONNECTIONS,
	CALL_LIST_NAT,
	CALL_WATCH,
	CALL_READ_WATCH,
	CALL_COUNT,
};

// "attach", for logs. Never NULL.
const char *call_name(unsigned int call);

struct hello_request {
	// Not checked by the codec: the answer to another version is an error reply.
	uint32_t protocol_version;
	char host_id[LIMIT_ID + 1];
	char boot_id[LIMIT_ID + 1];
	char software_version[LIMIT_ID + 1];
};

struct attach_request {
	struct attachment_key key;
	struct sandbox sandbox;
	struct pod_name pod;
	bool wants_ipv4, wants_ipv6, wants_mac; // the requested_ field below is valid
	struct in_addr requested_ipv4;
	struct in6_addr requested_ipv6;
	struct mac requested_mac; // unicast, not zero
	uint32_t requested_mtu;   // 0: the pod network's
	enum port_choice port;
	struct bandwidth bandwidth;
	struct port_mappings port_mappings;
};

struct detach_request {
	struct attachment_key key;
	struct sandbox sandbox;
	uint64_t created_unix_ms; // the attachment of this time and no later one; 0: whichever
};

struct check_request {
	struct attachment_key key;
	struct sandbox sandbox;
	bool has_expected;
	struct attachment expected; // what the runtime did not tell is zero, also its key
};

struct list_request {
	bool has_after;
	struct attachment_key after;
	uint32_t limit; // 1..LIMIT_PAGE; the codec turns 0, and what is more, into LIMIT_PAGE
	char network[LIMIT_NAME + 1]; // of this only; "": of all
};

struct list_ports_request {
	uint32_t after; // slot + 1 of the last port seen, 0: from the start
	uint32_t limit; // 1..LIMIT_PORTS_PAGE; the codec turns 0 into LIMIT_PORTS_PAGE
};

struct list_flows_request {
	uint64_t after; // ID of the last rule seen, 0: from the start
	uint32_t limit; // 1..LIMIT_FLOWS_PAGE; the codec turns 0 into LIMIT_FLOWS_PAGE
};

struct list_connections_request {
	uint32_t after; // number of the last one seen, 0: from the start
	uint32_t limit; // 1..LIMIT_CONNECTIONS_PAGE; the codec turns 0 into LIMIT_CONNECTIONS_PAGE
};

struct list_nat_request {
	uint32_t after; // number of the last port seen, 0: from the start
	uint32_t limit; // 1..LIMIT_NAT_PAGE; the codec turns 0 into LIMIT_NAT_PAGE
};

struct list_neighbours_request {
	uint32_t after; // number of the last neighbour seen, 0: from the start
	uint32_t limit; // 1..LIMIT_NEIGHBOURS_PAGE; the codec turns 0 into LIMIT_NEIGHBOURS_PAGE
};

struct set_pod_network_request {
	bool has_ipv4, has_ipv6; // at least one
	struct in_addr ipv4;     // host bits and reserved ranges are not checked by the codec
	uint8_t ipv4_prefix_length;
	struct in6_addr ipv6;
	uint8_t ipv6_prefix_length;
	uint32_t mtu; // 0: as it is
};

struct gc_request {
	char network[LIMIT_NAME + 1];
	bool has_after;
	struct endpoint after; // look at what comes after it
	bool more;             // only up to the last of `valid`, of which there is one then
	size_t count;
	struct endpoint valid[LIMIT_VALID]; // ascending, after `after`
};

// Of classic BPF, as bpf(4) has it.
struct filter_instruction {
	uint16_t code;
	uint8_t jump_true, jump_false;
	uint32_t value;
};

struct watch_request {
	struct attachment_key key;
	bool path, withdraw;
	uint32_t frame_bytes;                           // 0..LIMIT_FRAME
	uint64_t packets;                               // 1..
	uint64_t bytes;                                 // 1..
	uint32_t seconds;                               // 1..WATCH_SECONDS_MAX
	uint32_t filter_size;                           // 0: every packet
	struct filter_instruction filter[LIMIT_FILTER]; // not checked by the codec
};

struct read_watch_request {
	uint64_t id; // never 0
	uint64_t after;
	bool end;
};

struct request {
	uint32_t timeout_ms; // 1..TIMEOUT_MAX_MS
	char instance_id[LIMIT_ID + 1];
	char host_id[LIMIT_ID + 1]; // "": of the host that said Hello last
	enum call call;             // which member of body is valid
	union {
		struct hello_request hello;
		struct attach_request attach;
		struct detach_request detach;
		struct check_request check;
		struct list_request list;
		struct list_ports_request list_ports;
		struct list_flows_request list_flows;
		struct list_neighbours_request list_neighbours;
		struct list_connections_request list_connections;
		struct list_nat_request list_nat;
		struct set_pod_network_request set_pod_network;
		struct gc_request gc;
		struct watch_request watch;
		struct read_watch_request read_watch;
	} body;
};

// ---- replies -----------------------------------------------------------------------------------

struct hello_reply {
	uint32_t protocol_version;
	char software_version[LIMIT_ID + 1];
	bool has_pod_network;
	struct pod_network pod_network;
	bool host_port;
	bool has_uplink_ipv4, has_uplink_ipv6; // the agent's own addresses on the wire
	struct in_addr uplink_ipv4;
	struct in6_addr uplink_ipv6;
};

struct detach_reply {
	bool existed;
	struct function_id function; // valid if existed; zero if it had none
};

// How far the e-switch forwards for one attachment.
struct attachment_offload {
	char state[LIMIT_ID + 1];    // "off", "none", "partial", "full"
	char reason[LIMIT_TEXT + 1]; // why it is not full; "": it is, or it was not wanted
};

struct list_item {
	struct attachment attachment;
	bool has_offload; // false: an agent that is older than offload
	struct attachment_offload offload;
};

struct list_reply {
	struct list_item *items; // heap, freed by reply_clear
	size_t count;
	bool more;
};

struct host_status {
	char software_version[LIMIT_ID + 1];
	char agent_url[LIMIT_PATH + 1];
	bool link_up;
	uint64_t link_changed_ms_ago;
	char link_error[LIMIT_TEXT + 1];
	uint32_t queued_deletes;
	uint32_t calls_in_flight;
	char host_port[LIMIT_IFNAME + 1]; // empty: none configured
	bool host_port_ready;
	char host_port_error[LIMIT_TEXT + 1];
};

// How far the NIC's e-switch forwards by itself.
struct offload_info {
	bool enabled; // nic.offload of the agent's configuration
	bool usable;
	char why_not[LIMIT_TEXT + 1]; // if enabled and not usable
	char api[LIMIT_ID + 1];       // "asynchronous", "synchronous", "": neither
	uint32_t rules;               // installed
	uint32_t rules_missing;       // wanted by pods, not installed
	char missing_reason[LIMIT_TEXT + 1];
	uint32_t pods_full, pods_partial, pods_none;
	uint64_t inserted, removed, failed; // rule operations since the agent started
};

// Who the agent is on the wire.
struct uplink_status {
	bool has_ipv4, has_ipv6; // at least one
	struct in_addr ipv4;
	uint8_t ipv4_prefix_length;
	struct in6_addr ipv6;
	uint8_t ipv6_prefix_length;
	uint16_t vlan; // 0: untagged
	uint32_t mtu;
	struct mac mac; // zero: not known
	bool link_up;
	uint32_t routes; // besides those of the link itself
	uint32_t neighbours;
};

struct agent_status {
	char software_version[LIMIT_ID + 1];
	char instance_id[LIMIT_ID + 1];
	uint64_t uptime_ms;
	bool ready;
	char not_ready_reason[LIMIT_TEXT + 1];
	char notice[LIMIT_TEXT + 1]; // what needs attention although ready; "": nothing
	char nic_device[LIMIT_TEXT + 1];
	char nic_driver[LIMIT_ID + 1];
	uint32_t functions;
	uint32_t functions_used;
	uint32_t attachments;
	uint32_t workers;
	bool has_pod_network;
	struct pod_network pod_network;
	uint32_t ipv4_free;
	uint32_t ipv6_free;
	bool has_offload; // false: an agent that is older than offload
	struct offload_info offload;
	uint32_t attachments_without_port; // they have no network
	char uplink_error[LIMIT_TEXT + 1]; // "": it is started, or there is no pod network
	bool has_uplink;                   // false: no address on the wire, or an older agent
	struct uplink_status uplink;
	uint32_t vhost_ports, vhost_ports_used;   // 0: none
	uint32_t virtio_ports, virtio_ports_used; // likewise, of PORT_CHOICE_VIRTIO_USER
	char virtio_error[LIMIT_TEXT +
			  1]; // why none of them can be had now; "": nothing is in the way
};

struct status_reply {
	bool has_host, has_agent;
	struct host_status host;
	struct agent_status agent;
};

struct drop_count {
	char reason[LIMIT_ID + 1];
	uint64_t packets;
};

// A direction's limit as it is kept, and what has become of the pod's packets.
struct meter_info {
	uint64_t rate_bps; // 0: unlimited, and the rest is 0, too
	uint64_t burst_bits;
	uint64_t passed_packets, passed_bytes; // as many as on a wire; of Ethernet frames
	uint64_t dropped_packets, dropped_bytes;
	bool by_nic;
};

struct port_info {
	uint32_t slot;
	char kind[LIMIT_ID + 1];
	char name[LIMIT_ID + 1];
	struct function_id function;
	bool has_key;
	struct attachment_key key;
	bool link_up;
	uint32_t mtu;
	struct mac mac;
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	// Of these, what the e-switch forwarded by itself.
	uint64_t offloaded_rx_packets, offloaded_rx_bytes;
	uint64_t offloaded_tx_packets, offloaded_tx_bytes;
	uint64_t
		tx_full_packets; // were to be sent to it and found no room; dropped at who sent them
	uint32_t queue_pairs;    // of a vhost-user or virtio-user port, that are in use now
	struct meter_info ingress, egress;
	struct drop_count drops[LIMIT_DROPS];
	size_t drop_count;
};

struct ports_reply {
	struct port_info *ports; // heap, freed by reply_clear
	size_t count;
	bool more;
};

struct ipam_info {
	bool present;
	uint8_t prefix_length;
	struct in6_addr network, gateway, next; // an IPv4 address is in the first 4 bytes
	bool has_next;
	uint32_t total, allocated, never_used, released;
};

struct ipam_reply {
	struct ipam_info ipv4, ipv6;
};

// A rule in the e-switch.
struct flow_info {
	uint64_t id; // ascending, never 0, never used again
	uint32_t group, priority;
	char match[LIMIT_TEXT + 1];
	char actions[LIMIT_TEXT + 1];
	bool counted;
	uint64_t packets, bytes; // if counted
	uint64_t age_ms;         // since it was installed
	bool of_host;            // it serves the host
	bool has_function;       // false, and not of_host: it serves all
	struct function_id function;
	bool has_key; // false: it serves no attachment
	struct attachment_key key;
};

struct flows_reply {
	struct flow_info *flows; // heap, freed by reply_clear
	size_t count;
	bool more;
};

// A neighbour on the wire, or the host while it is asked for.
struct neighbour_row {
	uint32_t number;         // ascending, never 0; another may have it later
	char port[LIMIT_ID + 1]; // kind: "uplink", "host"
	bool has_ipv4, has_ipv6; // one of them
	struct in_addr ipv4;
	struct in6_addr ipv6;
	bool has_mac;
	struct mac mac;
	char state[LIMIT_ID + 1]; // "incomplete", "reachable", …
	uint64_t age_ms;          // in this state
};

enum connection_kind {
	CONNECTION_MASQUERADED = 0, // from the pod to the wire
	CONNECTION_PUBLISHED = 1,   // from the wire to the pod, by a published port
	CONNECTION_WITHIN =
		2, // from the pod, or the host, to a published port: peer is the pod behind it
	CONNECTION_KIND_COUNT,
};

// A connection that is translated. Addresses: of IPv4 the first 4 bytes; ports in host order.
struct connection_row {
	enum connection_kind kind;
	uint32_t number;  // ascending, never 0; another may have it later
	uint8_t protocol; // IPPROTO_TCP, _UDP, _ICMP, _ICMPV6
	bool is_ipv6;
	uint8_t pod[16], peer[16], external[16];
	uint16_t pod_port, peer_port, external_port; // of a ping its identifier, and the peer's 0
	char state[LIMIT_ID + 1];                    // of TCP, else ""
	bool answered;
	bool offloaded; // packets and bytes then lag by some seconds
	uint32_t expires_s;
	uint64_t packets_sent, bytes_sent, packets_received, bytes_received; // by the pod
};

// What the e-switch carries of them.
struct connections_offload {
	uint32_t carried, most;             // most: that it may
	uint64_t refused_full, refused_nic; // there were as many as there may be; by the NIC
	char why_not[LIMIT_TEXT + 1];       // "": it can
};

struct connections_reply {
	struct connection_row *connections; // heap, freed by reply_clear
	size_t count;
	bool more;
	uint32_t total, most; // in the table, and that there may be; 0: nothing is masqueraded
	uint64_t refused_full, refused_ports;
	struct connections_offload offload;
};

struct watch_reply {
	uint64_t id;             // never 0
	char port[LIMIT_ID + 1]; // "pf0vf3"
	bool withdrawn;
};

struct watch_step {
	char node[LIMIT_ID + 1];
	char text[LIMIT_STEP_TEXT + 1];
};

struct watch_packet {
	uint64_t number; // ascending, never 0
	uint64_t unix_ns;
	bool to_pod;
	uint32_t length;                   // of the frame, as it was
	char drop[LIMIT_ID + 1];           // "": it was not dropped
	char summary[LIMIT_STEP_TEXT + 1]; // "" without path
	uint32_t first_byte, byte_count;   // in bytes of the page
	uint32_t first_step, step_count;   // in steps of the page
};

struct watch_page {
	size_t count, step_count, byte_count;
	struct watch_packet packets[LIMIT_WATCH_PAGE];
	struct watch_step steps[LIMIT_WATCH_STEPS];
	uint8_t bytes[LIMIT_WATCH_BYTES];
};

struct read_watch_reply {
	struct watch_page *page; // heap, freed by reply_clear; NULL: nothing
	bool more;
	uint64_t taken, lost, offloaded;
	bool ended;
	char reason[LIMIT_TEXT + 1];
};

// A port that a pod has mapped, by one family.
struct published_row {
	uint32_t number;  // ascending, never 0
	uint8_t protocol; // IPPROTO_TCP, _UDP
	bool is_ipv6;
	bool served;               // host is valid; else the agent has no address it is for
	uint8_t host[16], pod[16]; // of IPv4 the first 4 bytes
	uint16_t host_port, container_port; // never 0
	uint32_t connections;
	uint64_t opened;                                       // since it was published
	uint64_t packets_in, bytes_in, packets_out, bytes_out; // to the pod, from it
};

struct nat_prefix {
	char text[LIMIT_PREFIX + 1]; // "198.51.100.0/24"
};

struct nat_ports {
	uint8_t protocol; // IPPROTO_TCP, _UDP, _ICMP, _ICMPV6
	bool is_ipv6;
	uint32_t size, used, published;
};

struct nat_summary {
	bool has_ipv4, has_ipv6; // of the agent on the wire
	struct in_addr ipv4;
	struct in6_addr ipv6;
	bool masquerade_ipv4, masquerade_ipv6;
	size_t excluded_count;
	struct nat_prefix excluded[LIMIT_NAT_EXCLUDED];
	uint16_t first_port, last_port;
	uint16_t first_identifier, last_identifier; // 0: an older agent's, the same as of ports
	size_t ports_count;
	struct nat_ports ports[LIMIT_NAT_PORTS];
	uint32_t connections, most; // most is 0: there is no table
	uint64_t refused_full, refused_ports;
};

struct nat_reply {
	struct published_row *ports; // heap, freed by reply_clear
	size_t count;
	bool more;
	struct nat_summary summary;
};

struct neighbours_reply {
	struct neighbour_row *neighbours; // heap, freed by reply_clear
	size_t count;
	bool more;
};

// One row of what the agent found out about the NIC.
struct capability_info {
	char name[LIMIT_ID + 1];
	bool supported;
	bool needed; // without it nothing is offloaded
	char remark[LIMIT_TEXT + 1];
};

struct offload_reply {
	struct offload_info summary;
	struct capability_info *capabilities; // heap, freed by reply_clear
	size_t count;
};

struct reconcile_reply {
	uint32_t attachments;  // of the caller's host
	uint32_t without_port; // of these: the agent could not start their port
	uint32_t leaving;      // released, waiting for the agent's disk
	uint32_t rules_missing;
	// hostd's:
	uint32_t suspects;  // attachments that look as if their sandbox were gone
	uint32_t reclaimed; // those that were released for it
	uint32_t strays; // functions that came home under a foreign name and have their own again
	uint32_t queued_deletes;
};

struct gc_failure {
	struct attachment_key key;
	enum code code; // never CODE_OK
	char message[LIMIT_TEXT + 1];
};

struct gc_reply {
	uint32_t released;
	size_t failure_count;
	struct gc_failure failures[LIMIT_FAILURES];
	bool has_next; // it stopped here: go on with this as `after`
	struct endpoint next;
};

struct reply {
	enum code code;
	char message[LIMIT_TEXT + 1]; // empty if, and only if, code is CODE_OK
	char instance_id[LIMIT_ID + 1];
	enum call call; // which member of body is valid; CALL_NONE if code is not CODE_OK
	bool repeated; // CALL_ATTACH: the attachment was there before; an older agent never says so
	union {
		struct hello_reply hello;
		struct attachment attach; // CALL_ATTACH
		struct detach_reply detach;
		struct attachment check; // CALL_CHECK
		struct list_reply list;
		struct status_reply status;
		struct ports_reply ports;
		struct ipam_reply ipam;
		struct neighbours_reply neighbours;   // CALL_LIST_NEIGHBOURS
		struct connections_reply connections; // CALL_LIST_CONNECTIONS
		struct nat_reply nat;                 // CALL_LIST_NAT
		struct flows_reply flows;
		struct offload_reply offload;
		struct pod_network set_pod_network; // CALL_SET_POD_NETWORK
		struct reconcile_reply reconcile;
		struct gc_reply gc;
		struct watch_reply watch;
		struct read_watch_reply read_watch;
	} body;
};

// Free what a reply owns and zero it. A zeroed reply is fine.
void reply_clear(struct reply *reply);

// Turn *err into an error reply (zeroed but for code and message).
void reply_from_error(struct reply *ret_reply, const struct error *err);

// The other way: *err from an error reply. Returns a negative errno that fits the code.
int reply_to_error(const struct reply *reply, struct error *err);

bool attachment_key_equal(const struct attachment_key *a, const struct attachment_key *b);
// Total order by network, container ID, interface name: List's. <0, 0, >0.
int attachment_key_compare(const struct attachment_key *a, const struct attachment_key *b);
// The same order within a network.
int endpoint_compare(const struct endpoint *a, const struct endpoint *b);
