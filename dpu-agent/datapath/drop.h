// SPDX-License-Identifier: BSD-3-Clause
//
// Why packets are dropped: the one list. The names are what podportctl and metrics show, so they stay.

#pragma once

// clang-format off
#define DROP_REASONS(X) \
	X(TRUNCATED,            "truncated")            /* shorter than its headers say */ \
	X(MALFORMED,            "malformed")            /* a header contradicts itself or its RFC */ \
	X(BAD_CHECKSUM,         "bad-checksum")         /* of the IPv4 header, or of ICMP for the router */ \
	X(WRONG_MAC,            "wrong-destination-mac") \
	X(VLAN,                 "vlan-tagged") \
	X(ETHERTYPE,            "unknown-ethertype") \
	X(SPOOFED_MAC,          "spoofed-source-mac") \
	X(SPOOFED_ADDRESS,      "spoofed-source-address") \
	X(MARTIAN_SOURCE,       "martian-source") \
	X(MARTIAN_DESTINATION,  "martian-destination") \
	X(LINK_LOCAL,           "link-local")           /* to or from one that is not the router's: never forwarded */ \
	X(MULTICAST,            "multicast")            /* and broadcast: nobody here listens */ \
	X(ARP_IGNORED,          "arp-ignored")          /* not a question for the router */ \
	X(ND_IGNORED,           "nd-ignored") \
	X(NOT_FOR_ROUTER,       "not-for-router")       /* to the router itself, and nothing it serves */ \
	X(TTL_EXPIRED,          "ttl-expired") \
	X(NO_ROUTE,             "no-route")             /* outside of the pod network, and no route there */ \
	X(NO_SUCH_POD,          "no-such-pod")          /* inside of it, and nobody has the address */ \
	X(TOO_BIG,              "too-big")              /* and must not be fragmented */ \
	X(NO_BUFFER,            "no-buffer") \
	X(TX_FULL,              "tx-queue-full") \
	X(TX_UNSUPPORTED,       "tx-unsupported")       /* neither the port out nor software can send it so */ \
	X(BAD_OFFLOAD,          "bad-offload")          /* offload flags that do not fit the packet */ \
	X(NEIGHBOUR_QUEUE,      "neighbour-queue-full") /* too many wait for a MAC address */ \
	X(NEIGHBOUR_UNREACHABLE, "neighbour-unreachable") /* on the wire, or the host: it does not answer */ \
	X(EGRESS_BANDWIDTH,     "egress-bandwidth")     /* faster than the pod may send */ \
	X(INGRESS_BANDWIDTH,    "ingress-bandwidth")    /* faster than the pod may receive: counted for the receiver */ \
	X(PORT_GONE,            "port-gone")            /* the port out was just removed */ \
	X(UPLINK,               "uplink-no-route")      /* from the wire, and neither to a pod nor to the agent */ \
	X(NAT_UNSUPPORTED,      "nat-unsupported")      /* to be masqueraded, and has neither ports nor an identifier */ \
	X(NAT_INVALID,          "nat-invalid")          /* fits no connection's state or window, or cannot begin one */ \
	X(NAT_FULL,             "nat-table-full")       /* or the pod has its share of it */ \
	X(NAT_NO_PORT,          "nat-no-port")          /* none is left, or none of the pod's share */ \
	X(NAT_FRAGMENT_LOST,    "nat-fragment-lost")    /* its first fragment did not come */ \
	X(NAT_DIRECT,           "nat-direct")           /* from the wire to a pod that is masqueraded towards there */ \
	X(DHCP_SERVER,          "dhcp-server")          /* a pod that answers as one */ \
	X(SLOW_PATH_LIMIT,      "slow-path-limit")      /* more packets of a pod than the agent handles for it */ \
	X(NEIGHBOUR_LIMIT,      "neighbour-limit")      /* a pod has too many neighbours asked for at once */ \
	X(NAT_LIMIT,            "nat-connection-limit") /* a pod has as many connections as it may */
// clang-format on

enum drop_reason {
#define X(name, text) DROP_##name,
	DROP_REASONS(X)
#undef X
		DROP_REASON_COUNT,
};
