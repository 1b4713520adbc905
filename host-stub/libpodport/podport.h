// SPDX-License-Identifier: BSD-3-Clause
//
// libpodport: asking podport-hostd, from C. The one client of the host daemon: podport-cni,
// podportctl and the Go adapter stand on it.
//
//     struct podport_client *client;
//     struct podport_attachment *attachment;
//     struct podport_error error;
//     struct podport_add_request request = PODPORT_ADD_REQUEST_INIT;
//
//     request.key.network = "pods";
//     request.key.container_id = "c0ffee";
//     request.key.ifname = "eth0";
//     request.netns = "/run/netns/blue";
//     if (podport_connect(NULL, 0, &client, &error) < 0 ||
//         podport_add(client, &request, &attachment, &error) < 0)
//             errx(1, "%s", error.message);
//
// Calls block, at most for the client's time limit. A client may be used by any thread, but by one
// at a time; several clients at once are fine. No threads, no signal handlers, no global state.
//
// Functions return 0 or a negative errno and fill *error (which may be NULL) only on failure;
// outputs (ret_...) are written only on success. Every call is idempotent: after an error that says
// that no answer came, asking the same again is safe.
//
// The interface only grows. Requests carry the size of the struct that the caller was compiled
// with: start from the _INIT macro. What is returned is allocated by the library and handed out by
// pointer: never copy such a struct or put it into an array, since a later library's is longer.
// Strings in it are valid UTF-8 without control characters, never NULL, and live as long as the
// object. IP addresses are in network byte order.

#ifndef PODPORT_H
#define PODPORT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PODPORT_SOCKET_DEFAULT "/run/podport/hostd.sock"

// More than podport-hostd itself waits for the agent (timeout_ms of its configuration, 5 s), so that
// its answer, which says what is wrong, arrives.
#define PODPORT_TIMEOUT_DEFAULT_MS 10000
#define PODPORT_TIMEOUT_MAX_MS     600000

// ---- errors ---------------------------------------------------------------------------------

// What went wrong, for a program. Numbers are never reused; later versions may add some.
enum podport_code {
	PODPORT_OK = 0,
	PODPORT_INTERNAL = 1,          // a bug, or a failing system call that nobody foresaw
	PODPORT_BAD_REQUEST = 2,       // a field is missing, malformed or out of range
	PODPORT_UNSUPPORTED = 3,       // the other side is of another version and does not know it
	PODPORT_AGENT_AWAY = 4,        // hostd is there, the agent did not answer; try again
	PODPORT_NOT_READY = 5,         // e.g. no pod network yet; try again
	PODPORT_NOT_FOUND = 6,         // no such attachment
	PODPORT_CONFLICT = 7,          // one with this key exists and differs, or it is taken
	PODPORT_NO_ADDRESS = 8,        // the pod network is exhausted
	PODPORT_NO_FUNCTION = 9,       // all functions of the NIC, or vhost-user ports, are in use
	PODPORT_STORE = 10,            // a disk failed; nothing was changed
	PODPORT_NIC = 11,              // the NIC or its driver refused
	PODPORT_NETNS = 12,            // the sandbox is not there, or not a network namespace
	PODPORT_WIRING = 13,           // a step in the sandbox failed and was rolled back
	PODPORT_INTERFACE_EXISTS = 14, // the sandbox has an interface of that name
	PODPORT_MISMATCH = 15,         // check: the sandbox is not as it was attached
	PODPORT_LATE = 16,             // the time limit had passed before work began
	PODPORT_PERMISSION = 17,       // the caller may not do this
	PODPORT_BUSY = 18,             // a call for the same attachment is under way; try again
	PODPORT_HOSTD_AWAY = 19,       // podport-hostd is not there or did not answer; try again
};

struct podport_error {
	int code;          // enum podport_code
	const char *name;  // of the code, "no-address"; static
	char message[512]; // one sentence for a person, terminated, no newline
};

// The name of a code: "no-address". "unknown" for a number that is none. Static, never NULL.
const char *podport_code_name(int code);

// The library's version: "0.1.0". Static.
const char *podport_version(void);

// ---- the connection -------------------------------------------------------------------------

struct podport_client;

// Connect to hostd.
//
// socket_path: of its socket, NULL: PODPORT_SOCKET_DEFAULT. timeout_ms: the limit of each call,
// 1..PODPORT_TIMEOUT_MAX_MS, 0: PODPORT_TIMEOUT_DEFAULT_MS. hostd gives up after this long; the
// library waits a little longer for it to say so.
//
// If a later call finds the connection broken before it was sent (hostd was restarted), it connects
// again; after a call that got no answer, the next one does.
//
// Errors: PODPORT_HOSTD_AWAY (-ENOENT, -ECONNREFUSED, -ETIMEDOUT), PODPORT_PERMISSION,
// PODPORT_BAD_REQUEST. On success *ret_client is the caller's to podport_free().
int podport_connect(const char *socket_path, uint32_t timeout_ms,
		    struct podport_client **ret_client, struct podport_error *error);

// Close and free. NULL is fine.
void podport_free(struct podport_client *client);

// Let calls of this client be given up: while `fd` is readable (an eventfd, the end of a pipe) no
// call begins, and one that waits for its answer returns -ECANCELED, with PODPORT_HOSTD_AWAY. hostd
// sees that nobody waits any more: it drops a call that has not begun, and undoes an attachment that
// such a call made, before it serves another call for the same key. fd stays the caller's, and must
// be open while calls are made; -1: calls are not given up, as after podport_connect().
void podport_set_cancel_fd(struct podport_client *client, int fd);

// ---- attachments ----------------------------------------------------------------------------

// The key of an attachment. This struct does not grow.
struct podport_key {
	const char *network;      // 1..128 of [A-Za-z0-9_.-], the first one alphanumeric
	const char *container_id; // likewise
	const char *ifname;       // 1..15 bytes, no '/', ':', space; not "." or ".."
};

// How fast a pod may receive (ingress) and send (egress), in bits per second of Ethernet frames. Rate 0:
// unlimited, and no burst then; burst 0: the agent's choice. This struct does not grow.
struct podport_bandwidth {
	uint64_t ingress_rate_bps, ingress_burst_bits;
	uint64_t egress_rate_bps, egress_burst_bits;
};

#define PODPORT_PORT_MAPPINGS_MAX 64

// A port of the host that leads to one of the pod. This struct does not grow.
struct podport_port_mapping {
	uint16_t host_port, container_port; // 1..65535
	uint8_t protocol;                   // IPPROTO_TCP, IPPROTO_UDP
	uint8_t host_family;                // 4, 6: by addresses of this family only; 0: of both
	uint8_t host_ip
		[16]; // by this address only, of IPv4 the first 4 bytes; zero: by each of the host's
};

// A pod's interface. Allocated by the library.
struct podport_attachment {
	struct podport_key key;
	const char *netns;    // path of the sandbox when it was attached: a hint. "": not known
	uint64_t netns_inode; // 0: not known
	const char *pod_namespace, *pod_name; // "": the runtime did not say
	uint16_t pf, vf;                      // the function of the NIC; see port_kind
	bool has_ipv4, has_ipv6;              // at least one
	struct in_addr ipv4, gateway_ipv4;    // valid if has_ipv4
	struct in6_addr ipv6, gateway_ipv6;   // valid if has_ipv6
	uint8_t mac[6];
	uint8_t gateway_mac[6]; // of the router, for both gateways
	uint32_t mtu;
	uint32_t link_group;
	uint64_t created_unix_ms;
	// How far the NIC's e-switch forwards for it: "off", "none", "partial", "full", and why it is not
	// full. From podport_list_pods() only; else, and from an agent that is older than offload, "".
	const char *offload, *offload_reason;
	const char *pod_uid; // "": the runtime did not say
	// "function": it has a function of the NIC, in its sandbox. "vhost-user": it has none, pf and vf are 0,
	// and at socket_path (else "") a virtio device in user space finds its port. "virtio-user": likewise no
	// function, but a netdev of the kernel's, in its sandbox.
	const char *port_kind, *socket_path;
	struct podport_bandwidth bandwidth;               // as it was asked for
	const struct podport_port_mapping *port_mappings; // port_mapping_count of them
	size_t port_mapping_count;
};

// NULL is fine.
void podport_attachment_free(struct podport_attachment *attachment);

struct podport_add_request {
	size_t size; // set by PODPORT_ADD_REQUEST_INIT
	struct podport_key key;
	const char *netns;                    // path of the sandbox, opened by the caller's process
	const char *pod_namespace, *pod_name; // who the pod is, for people; NULL: not known
	const struct in_addr *ipv4;           // the address it should have; NULL: any
	const struct in6_addr *ipv6;          // likewise
	const uint8_t *mac;                   // 6 bytes, unicast; NULL: any
	uint32_t mtu;                         // 1280..9000; 0: the pod network's
	const char *pod_uid;                  // as pod_name
	const char *port_kind;                // as in the attachment; NULL or "": "function"
	const struct podport_bandwidth *bandwidth; // NULL: unlimited
	const struct podport_port_mapping *port_mappings;
	size_t port_mapping_count; // at most PODPORT_PORT_MAPPINGS_MAX
};
#define PODPORT_ADD_REQUEST_INIT                                                                   \
	{                                                                                          \
		.size = sizeof(struct podport_add_request)                                         \
	}

// Attach: allocate, program the NIC, dress the sandbox. On return the pod can send. The same again
// returns the stored attachment; with other wishes it is PODPORT_CONFLICT. A failed one leaves
// nothing behind, except that after PODPORT_HOSTD_AWAY with -ETIMEDOUT or -ECONNRESET it is not
// known whether it was done: podport_del() then.
//
// Errors: any code. ret_attachment: podport_attachment_free().
int podport_add(struct podport_client *client, const struct podport_add_request *request,
		struct podport_attachment **ret_attachment, struct podport_error *error);

struct podport_del_request {
	size_t size; // set by PODPORT_DEL_REQUEST_INIT
	struct podport_key key;
	const char *netns; // NULL or a path that is no netns (any more): the sandbox is gone
};
#define PODPORT_DEL_REQUEST_INIT                                                                   \
	{                                                                                          \
		.size = sizeof(struct podport_del_request)                                         \
	}

// Detach. Succeeds if there is no such attachment, and, with the agent away, as soon as the sandbox
// is clean and the release is on hostd's disk.
int podport_del(struct podport_client *client, const struct podport_del_request *request,
		struct podport_error *error);

struct podport_check_request {
	size_t size; // set by PODPORT_CHECK_REQUEST_INIT
	struct podport_key key;
	const char *netns;
	// What the interface's MTU is now, if somebody has lowered it since; 0: as it was attached.
	uint32_t mtu;
};
#define PODPORT_CHECK_REQUEST_INIT                                                                 \
	{                                                                                          \
		.size = sizeof(struct podport_check_request)                                       \
	}

// Is the sandbox as it was attached, and is it served? Returns what was attached, for the caller to
// compare with what it believes. Errors: PODPORT_MISMATCH, PODPORT_NOT_FOUND, PODPORT_NETNS, or as
// podport_add(). ret_attachment: podport_attachment_free().
int podport_check(struct podport_client *client, const struct podport_check_request *request,
		  struct podport_attachment **ret_attachment, struct podport_error *error);

// An attachment within a network. This struct does not grow.
struct podport_endpoint {
	const char *container_id, *ifname; // as in a key
};

#define PODPORT_GC_VALID_MAX 65536

struct podport_gc_request {
	size_t size; // set by PODPORT_GC_REQUEST_INIT
	const char *network;
	// What the caller's runtime has in this network; in any order, twice is fine.
	const struct podport_endpoint *valid;
	size_t valid_count; // at most PODPORT_GC_VALID_MAX
};
#define PODPORT_GC_REQUEST_INIT                                                                    \
	{                                                                                          \
		.size = sizeof(struct podport_gc_request)                                          \
	}

// This struct does not grow.
struct podport_gc_failure {
	struct podport_key key;
	int code; // enum podport_code
	const char *message;
};

struct podport_gc_result {
	uint32_t released;
	size_t failure_count;
	const struct podport_gc_failure *failures;
};

// Release what this host has attached in one network and is not valid, as podport_del() would, and go
// on past failures: they are in the result. Other networks, other hosts, and what another call is
// about at the moment are not touched. The time limit is that of each of several questions. Not to be
// called while the same runtime adds or deletes in that network. Errors: PODPORT_AGENT_AWAY, and as
// podport_list_pods(). ret_result: podport_gc_result_free().
int podport_gc(struct podport_client *client, const struct podport_gc_request *request,
	       struct podport_gc_result **ret_result, struct podport_error *error);
// NULL is fine.
void podport_gc_result_free(struct podport_gc_result *result);

// ---- lists ----------------------------------------------------------------------------------

struct podport_pods;

// All attachments, ordered by network, container ID, interface name. Fetched in pages, which are
// not one snapshot: what is attached or detached meanwhile may or may not be in the list, what stays
// is in it once. ret_pods: podport_pods_free().
int podport_list_pods(struct podport_client *client, struct podport_pods **ret_pods,
		      struct podport_error *error);
size_t podport_pods_count(const struct podport_pods *pods);
// index: below the count; else NULL. Lives as long as the list; do not free.
const struct podport_attachment *podport_pods_get(const struct podport_pods *pods, size_t index);
// NULL is fine.
void podport_pods_free(struct podport_pods *pods);

// This struct does not grow.
struct podport_drop {
	const char *reason; // "ip4_ttl", as the graph names it
	uint64_t packets;
};

// A direction's limit as it is kept, and what has become of the pod's packets. This struct does not grow.
struct podport_meter {
	uint64_t rate_bps, burst_bits;
	uint64_t passed_packets, passed_bytes; // as many as on a wire; of Ethernet frames
	uint64_t dropped_packets, dropped_bytes;
	bool by_nic; // at the moment; else by the agent
};

// A port of the agent. Allocated by the library.
struct podport_port {
	uint32_t slot;          // in the agent's port array
	const char *kind;       // "host", "function", "uplink", "vhost-user" or "virtio-user"
	const char *name;       // of the ethdev, the socket or the netdev
	uint16_t pf, vf;        // the function; of no meaning for the other kinds
	bool has_key;           // it serves an attachment:
	struct podport_key key; // valid if has_key
	bool link_up; // of a vhost-user port: a guest is connected; virtio-user: its netdev is there
	uint32_t mtu;
	uint8_t mac[6];
	uint64_t rx_packets,
		rx_bytes; // from the function, by the agent's graph and by the e-switch
	uint64_t tx_packets, tx_bytes; // to the function
	size_t drop_count;             // reasons that occurred
	const struct podport_drop *drops;
	// Of the above, what the e-switch forwarded by itself.
	uint64_t offloaded_rx_packets, offloaded_rx_bytes;
	uint64_t offloaded_tx_packets, offloaded_tx_bytes;
	// Of a pod whose bandwidth is limited; NULL: it is not. To the pod, and by the pod.
	const struct podport_meter *ingress, *egress;
	uint64_t
		tx_full_packets; // were to go to it and found no room: dropped at those who sent them
	uint32_t queue_pairs;    // of a vhost-user or virtio-user port, that are in use now
};

struct podport_ports;

// All ports of the agent, ordered by slot. ret_ports: podport_ports_free().
int podport_list_ports(struct podport_client *client, struct podport_ports **ret_ports,
		       struct podport_error *error);
size_t podport_ports_count(const struct podport_ports *ports);
// index: below the count; else NULL. Lives as long as the list; do not free.
const struct podport_port *podport_ports_get(const struct podport_ports *ports, size_t index);
// NULL is fine.
void podport_ports_free(struct podport_ports *ports);

// A rule in the NIC's e-switch. Allocated by the library.
struct podport_flow {
	uint64_t id; // ascending, never used again
	uint32_t group, priority;
	const char *match,
		*actions; // for people: "from pf0vf3 ipv4 src 10.88.0.4", "count, jump 3"
	bool counted;
	uint64_t packets, bytes; // if counted
	uint64_t age_ms;         // since it was installed
	bool has_function;       // it serves one function's pod; else all, if not of_host
	uint16_t pf, vf;         // valid if has_function
	bool has_key;
	struct podport_key key; // of the attachment it serves, valid if has_key
	bool of_host;           // it serves the host, and no function's pod
};

struct podport_flows;

// All rules of the agent in the e-switch, ordered by ID, in pages, as podport_list_pods().
// ret_flows: podport_flows_free().
int podport_list_flows(struct podport_client *client, struct podport_flows **ret_flows,
		       struct podport_error *error);
size_t podport_flows_count(const struct podport_flows *flows);
// index: below the count; else NULL. Lives as long as the list; do not free.
const struct podport_flow *podport_flows_get(const struct podport_flows *flows, size_t index);
// NULL is fine.
void podport_flows_free(struct podport_flows *flows);

// A neighbour of the agent on the wire, or the host while it is asked for. This struct does not grow.
struct podport_neighbour {
	const char *port;    // kind of the port it is behind: "uplink", "host"
	int family;          // AF_INET, AF_INET6
	uint8_t address[16]; // of IPv4 the first 4 bytes
	bool has_mac;
	uint8_t mac[6]; // valid if has_mac
	// As RFC 4861 has them: "incomplete", "reachable", "stale", "delay", "probe"; "failed": it did not
	// answer.
	const char *state;
	uint64_t age_ms; // in this state
};

struct podport_neighbours;

// All neighbours, in no order, in pages, as podport_list_pods(). ret_neighbours:
// podport_neighbours_free(). Errors: as podport_list_ports(); PODPORT_UNSUPPORTED from an older agent.
int podport_list_neighbours(struct podport_client *client,
			    struct podport_neighbours **ret_neighbours,
			    struct podport_error *error);
size_t podport_neighbours_count(const struct podport_neighbours *neighbours);
// index: below the count; else NULL. Lives as long as the list; do not free.
const struct podport_neighbour *podport_neighbours_get(const struct podport_neighbours *neighbours,
						       size_t index);
// NULL is fine.
void podport_neighbours_free(struct podport_neighbours *neighbours);

// A connection of a pod's that is translated. Ports are in host order. This struct does not grow.
struct podport_connection {
	const char *protocol; // "tcp", "udp", "icmp", "icmpv6"
	int family;           // AF_INET, AF_INET6
	uint8_t pod[16];      // addresses: of IPv4 the first 4 bytes
	uint16_t pod_port;    // of a ping its identifier
	uint8_t peer[16];
	uint16_t peer_port;   // of a ping 0
	uint8_t external[16]; // what the peer sees
	uint16_t external_port;
	const char *state; // of TCP, as the Linux kernel calls them; else ""
	bool answered;
	uint32_t expires_s; // if nothing more is sent
	uint64_t packets_sent, bytes_sent, packets_received, bytes_received; // by the pod
};

// Of the whole table. This struct does not grow.
struct podport_connections_summary {
	uint32_t total, most;   // how many there are, and may be; most is 0: nothing is masqueraded
	uint64_t refused_full;  // new ones since the agent's start: no room, or not for that pod
	uint64_t refused_ports; // and no port
};

struct podport_connections;

// All connections that are translated, in no order, in pages, as podport_list_pods(): one that comes or
// goes meanwhile may be missing. ret_connections: podport_connections_free(). Errors: as
// podport_list_ports(); PODPORT_UNSUPPORTED from an older agent.
int podport_list_connections(struct podport_client *client,
			     struct podport_connections **ret_connections,
			     struct podport_error *error);
size_t podport_connections_count(const struct podport_connections *connections);
// index: below the count; else NULL. Lives as long as the list; do not free.
const struct podport_connection *
podport_connections_get(const struct podport_connections *connections, size_t index);
// "masqueraded": from the pod to the wire; "published": from the wire to the pod, by a published port, which
// is the external one; "within": from the pod, or the host, to a published port, where peer is the pod behind
// it. NULL: no such index.
const char *podport_connections_kind(const struct podport_connections *connections, size_t index);
// As it was when the last page was made. Lives as long as the list; do not free.
const struct podport_connections_summary *
podport_connections_summary(const struct podport_connections *connections);
// Does the NIC's e-switch carry this one? Its packets and bytes then lag by some seconds. index: below the count; else false.
bool podport_connections_offloaded(const struct podport_connections *connections, size_t index);

// What the e-switch carries of the connections. This struct does not grow.
struct podport_connections_offload {
	uint32_t carried, most; // how many, and how many it may; most is 0: none ever
	// Refused since the agent's start, and so forwarded in software: there were as many as there may be; by the NIC.
	uint64_t refused_full, refused_nic;
	const char *why_not; // "" if it can
};
// As it was when the last page was made. Lives as long as the list; do not free.
const struct podport_connections_offload *
podport_connections_offload(const struct podport_connections *connections);
// NULL is fine.
void podport_connections_free(struct podport_connections *connections);

// ---- published ports ------------------------------------------------------------------------

// A port that a pod has mapped, by one family. Ports are in host order. This struct may grow.
struct podport_published {
	const char *protocol; // "tcp", "udp"
	int family;           // AF_INET, AF_INET6
	bool served;          // false: the agent has no address on the wire that it is for
	uint8_t host[16];     // if served; addresses: of IPv4 the first 4 bytes
	uint16_t host_port;
	uint8_t pod[16];
	uint16_t container_port;
	uint32_t connections;                                  // at present
	uint64_t opened;                                       // since it was published
	uint64_t packets_in, bytes_in, packets_out, bytes_out; // to the pod, from it
};

// Ports of the agent's address, for one family and protocol.
struct podport_nat_ports {
	const char *protocol; // "tcp", "udp", "icmp", "icmpv6": of pings the identifiers
	int family;
	uint32_t size, used;
	uint32_t published; // of those in the range: given to nobody
};

// How connections are translated. This struct may grow.
struct podport_nat_summary {
	bool has_ipv4, has_ipv6; // the agent's address on the wire
	struct in_addr ipv4;
	struct in6_addr ipv6;
	bool masquerade_ipv4, masquerade_ipv6;
	size_t excluded_count;
	const char *const *excluded;    // not towards these: "198.51.100.0/24"
	uint16_t first_port, last_port; // that connections are given
	size_t ports_count;             // 0: nothing is translated yet
	const struct podport_nat_ports *ports;
	uint32_t connections, most; // that there are, and may be
	uint64_t refused_full;  // new ones since the agent's start: no room, or not for that pod
	uint64_t refused_ports; // and no port
	// The same as first_port and last_port, of pings. Of an older agent both are those.
	uint16_t first_identifier, last_identifier;
};

struct podport_nat;

// What is published, by family, protocol and port, in pages, as podport_list_pods(). ret_nat: podport_nat_free().
// Errors: as podport_list_ports(); PODPORT_UNSUPPORTED from an older agent.
int podport_list_nat(struct podport_client *client, struct podport_nat **ret_nat,
		     struct podport_error *error);
size_t podport_nat_count(const struct podport_nat *nat);
// index: below the count; else NULL. Lives as long as the list; do not free.
const struct podport_published *podport_nat_get(const struct podport_nat *nat, size_t index);
// As it was when the last page was made. Lives as long as the list; do not free.
const struct podport_nat_summary *podport_nat_summary(const struct podport_nat *nat);
// NULL is fine.
void podport_nat_free(struct podport_nat *nat);

// ---- status and addresses -------------------------------------------------------------------

// Who the agent is on the wire.
struct podport_uplink {
	bool has_ipv4, has_ipv6; // at least one
	struct in_addr ipv4;
	uint8_t ipv4_prefix_length;
	struct in6_addr ipv6;
	uint8_t ipv6_prefix_length;
	uint16_t vlan; // 0: untagged
	uint32_t mtu;
	uint8_t mac[6];
	bool link_up;
	uint32_t routes; // besides those of the link itself
	uint32_t neighbours;
};

struct podport_pod_network {
	bool has_ipv4, has_ipv6; // at least one
	struct in_addr ipv4, gateway_ipv4;
	uint8_t ipv4_prefix_length;
	struct in6_addr ipv6, gateway_ipv6;
	uint8_t ipv6_prefix_length;
	uint8_t router_mac[6];
	uint32_t mtu;
};

struct podport_host_status {
	const char *version; // of podport-hostd
	const char *agent_url;
	bool link_up;                 // to the agent
	uint64_t link_changed_ms_ago; // how long it has been so
	const char *link_error;       // why it is not up, "" if it is
	uint32_t queued_deletes;      // waiting on disk for the agent
	uint32_t calls_in_flight;
	const char *host_port; // the host's own interface, "": none configured
	bool host_port_ready;
	const char *host_port_error; // why it is not ready, "" if it is
};

// How far the NIC's e-switch forwards by itself.
struct podport_offload_summary {
	bool enabled; // nic.offload of the agent's configuration
	bool usable;
	const char *why_not;        // if enabled and not usable, else ""
	const char *api;            // "asynchronous", "synchronous", "": neither
	uint32_t rules;             // installed
	uint32_t rules_missing;     // wanted by pods, not installed
	const char *missing_reason; // of the last refusal, while rules are missing
	uint32_t pods_full, pods_partial, pods_none;
	uint64_t inserted, removed, failed; // rule operations since the agent started
};

struct podport_agent_status {
	const char *version;
	const char *instance_id; // new at each start of the agent
	uint64_t uptime_ms;
	bool ready;                   // to attach pods
	const char *not_ready_reason; // "" if ready
	const char *notice;           // what needs attention although ready, "": nothing
	const char *nic_device;
	const char *nic_driver;
	uint32_t functions; // of the NIC, for pods
	uint32_t functions_used;
	uint32_t attachments;
	uint32_t workers;
	const struct podport_pod_network *pod_network; // NULL: not known yet
	uint32_t ipv4_free, ipv6_free;                 // addresses that can be allocated now
	const struct podport_offload_summary *offload; // NULL: the agent is older than offload
	uint32_t attachments_without_port;             // their port could not be started
	const char *uplink_error; // why the uplink is not started, "": it is, or no pod network yet
	const struct podport_uplink *uplink;      // NULL: no address on the wire, or an older agent
	uint32_t vhost_ports, vhost_ports_used;   // for pods that ask for them
	uint32_t virtio_ports, virtio_ports_used; // likewise
	const char *virtio_error; // why no virtio port can be had, "": nothing is in the way
};

struct podport_status {
	const struct podport_host_status *host;
	const struct podport_agent_status *agent; // NULL: the agent is away
};

// How hostd and agent are. Succeeds also if the agent is away. ret_status: podport_status_free().
int podport_get_status(struct podport_client *client, struct podport_status **ret_status,
		       struct podport_error *error);
// NULL is fine.
void podport_status_free(struct podport_status *status);

// The addresses of one family. An IPv4 address is in the first 4 bytes.
struct podport_pool {
	int family; // AF_INET, AF_INET6
	uint8_t network[16];
	uint8_t prefix_length;
	uint8_t gateway[16];
	uint32_t total; // addresses that can ever be allocated: allocated + never_used + released
	uint32_t allocated;
	uint32_t never_used; // free and never allocated: taken first
	uint32_t released;   // free and used before: then, least recently released first
	bool has_next;
	uint8_t next[16]; // the next to be allocated, valid if has_next
};

struct podport_ipam {
	const struct podport_pool *ipv4; // NULL: the pod network has no IPv4
	const struct podport_pool *ipv6; // NULL: the pod network has no IPv6
};

// ret_ipam: podport_ipam_free().
int podport_get_ipam(struct podport_client *client, struct podport_ipam **ret_ipam,
		     struct podport_error *error);
// NULL is fine.
void podport_ipam_free(struct podport_ipam *ipam);

// ---- the pod network ------------------------------------------------------------------------

struct podport_set_network_request {
	size_t size; // set by PODPORT_SET_NETWORK_REQUEST_INIT
	// The prefixes, at least one; without host bits. NULL: none of that family.
	const struct in_addr *ipv4;
	uint8_t ipv4_prefix_length; // 8..30
	const struct in6_addr *ipv6;
	uint8_t ipv6_prefix_length; // 48..126
	uint32_t mtu;               // 1280..9000; 0: as it is
};
#define PODPORT_SET_NETWORK_REQUEST_INIT                                                           \
	{                                                                                          \
		.size = sizeof(struct podport_set_network_request)                                 \
	}

// Make this the pod network from now on, also after a restart of the agent, until its configuration's
// is changed. PODPORT_CONFLICT with a list while attachments have addresses that the new one has not;
// nothing is changed then. ret_network: podport_pod_network_free().
int podport_set_network(struct podport_client *client,
			const struct podport_set_network_request *request,
			struct podport_pod_network **ret_network, struct podport_error *error);
// NULL is fine.
void podport_pod_network_free(struct podport_pod_network *network);

// ---- looking at packets ---------------------------------------------------------------------

// An instruction of a filter: classic BPF over the Ethernet frame, as bpf(4), and libpcap's struct
// bpf_insn, have it. This struct does not grow.
struct podport_filter_instruction {
	uint16_t code;
	uint8_t jump_true, jump_false;
	uint32_t value;
};

struct podport_watch_request {
	size_t size; // set by PODPORT_WATCH_REQUEST_INIT
	struct podport_key key;
	bool path;            // also each packet's way through the agent's graph
	bool withdraw;        // the e-switch forwards none of them meanwhile, so that all are seen
	uint32_t frame_bytes; // to be told of each frame, 0..9216
	uint64_t packets;     // at most, 0: any number
	uint64_t bytes;       // of frames, at most, 0: any number
	uint32_t seconds;     // 1..3600, 0: 3600
	// 0: every packet. At most 256 instructions, none of which jumps backwards.
	const struct podport_filter_instruction *filter;
	size_t filter_count;
};
#define PODPORT_WATCH_REQUEST_INIT                                                                 \
	{                                                                                          \
		.size = sizeof(struct podport_watch_request)                                       \
	}

struct podport_watch;

struct podport_watch_info {
	const char *port; // "pf0vf3"
	bool withdrawn;   // the pod had rules in the e-switch; they come back when the watch ends
};

// Look at the pod's packets from now on. The watch ends by itself when a limit is reached, when the
// pod leaves, or when it has not been read for 5 seconds, as after the end of this process. Errors:
// PODPORT_NOT_FOUND, PODPORT_NOT_READY (the pod has no port), PODPORT_BUSY (too many at once),
// PODPORT_BAD_REQUEST (the filter), PODPORT_UNSUPPORTED (an older agent). ret_watch:
// podport_watch_free().
int podport_watch_begin(struct podport_client *client, const struct podport_watch_request *request,
			struct podport_watch **ret_watch, struct podport_error *error);
// Lives as long as the watch; do not free.
const struct podport_watch_info *podport_watch_info(const struct podport_watch *watch);
// Of this process's side only: see podport_watch_read(). NULL is fine.
void podport_watch_free(struct podport_watch *watch);

struct podport_packet_step {
	const char *node; // of the graph
	const char *text; // what it decided, and why
};

struct podport_packet {
	uint64_t number;      // ascending
	uint64_t unix_ns;     // when it was seen
	bool to_pod;          // else from it
	uint32_t length;      // of the frame
	const uint8_t *frame; // its first frame_bytes
	uint32_t frame_bytes;
	const char *drop;    // the reason, "": it was not dropped
	const char *summary; // "" without path, as are the steps
	size_t step_count;
	const struct podport_packet_step *steps;
};

struct podport_packets_summary {
	bool more;  // there are more already
	bool ended; // nothing comes any more
	const char *reason;
	// Since the beginning.
	uint64_t taken;     // by the agent, those that are still to be read among them
	uint64_t lost;      // it had no room for these: they were not read fast enough
	uint64_t offloaded; // of the pod, forwarded by the e-switch, and so not seen
};

struct podport_packets;

// What was seen since the last read. `end`: the watch is to end; read on until `ended`, with no packets,
// if what was seen until now matters. After an error that says that no answer came, the next read has
// what this one would have had. Errors: PODPORT_NOT_FOUND: the watch is no more, since the agent was
// restarted or was not asked for too long. ret_packets: podport_packets_free().
int podport_watch_read(struct podport_client *client, struct podport_watch *watch, bool end,
		       struct podport_packets **ret_packets, struct podport_error *error);
size_t podport_packets_count(const struct podport_packets *packets);
// index: below the count; else NULL. Lives as long as the packets; do not free.
const struct podport_packet *podport_packets_get(const struct podport_packets *packets,
						 size_t index);
// Lives as long as the packets; do not free.
const struct podport_packets_summary *
podport_packets_summary(const struct podport_packets *packets);
// NULL is fine.
void podport_packets_free(struct podport_packets *packets);

// ---- reconciliation -------------------------------------------------------------------------

struct podport_reconciliation {
	uint32_t attachments;    // of this host
	uint32_t without_port;   // of these: the agent could not start their port
	uint32_t leaving;        // released, waiting for the agent's disk
	uint32_t rules_missing;  // in the NIC's e-switch
	uint32_t suspects;       // attachments that look as if their sandbox were gone
	uint32_t reclaimed;      // those that were released for it, having been so for long enough
	uint32_t strays;         // functions that had come home under a foreign name
	uint32_t queued_deletes; // releases that wait for the agent
};

// Look now at what is otherwise looked at every few seconds, mend what can be mended, and tell what is
// left. ret_reconciliation: podport_reconciliation_free().
int podport_reconcile(struct podport_client *client,
		      struct podport_reconciliation **ret_reconciliation,
		      struct podport_error *error);
// NULL is fine.
void podport_reconciliation_free(struct podport_reconciliation *reconciliation);

// ---- the e-switch ---------------------------------------------------------------------------

// What the agent found out about the NIC at its start. This struct does not grow.
struct podport_capability {
	const char *name; // "decrement TTL"
	bool supported;
	bool needed;        // without it nothing is offloaded
	const char *remark; // what the NIC said, or what is done without it
};

struct podport_offload {
	const struct podport_offload_summary *summary;
	size_t capability_count;
	const struct podport_capability *capabilities;
};

// ret_offload: podport_offload_free(). Errors: as podport_list_ports(); PODPORT_UNSUPPORTED from an
// agent that is older than offload.
int podport_get_offload(struct podport_client *client, struct podport_offload **ret_offload,
			struct podport_error *error);
// NULL is fine.
void podport_offload_free(struct podport_offload *offload);

#ifdef __cplusplus
}
#endif

#endif
