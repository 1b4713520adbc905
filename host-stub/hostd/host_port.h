// SPDX-License-Identifier: BSD-3-Clause
//
// The host's own port to the pods, the PF's netdev:
//
//      podport0   10.88.0.1/32  fd88::1/128                    (the gateway addresses are the host's)
//                 10.88.0.0/16 via 169.254.1.1 onlink src 10.88.0.1
//                 fd88::/64    via fe80::1     onlink src fd88::1
//                 203.0.113.10/32 via 169.254.1.1 onlink src 10.88.0.1   (the agent's address on the wire, and
//                                                                 with it the ports that pods publish)
//                 169.254.1.1, fe80::1 lladdr <router MAC> PERMANENT
//
// Dressed when the agent says what the pod network is, and again whenever the netdev comes anew or
// was changed. What podport put there for an earlier pod network goes: host addresses that are no
// gateway, and routes by podport's own route protocol. Dressing is the link thread's; watching for
// changes the event loop's.

#pragma once

#include <stdbool.h>

#include "hostd/netlink.h"
#include "proto/message.h"

// rtm_protocol of podport's routes on the host (0x70 'p'; /etc/iproute2/rt_protos has no such number).
enum { HOST_PORT_ROUTE_PROTOCOL = NETLINK_PROTOCOL_PODPORT };

struct host_port;

int host_port_open(const char *ifname, struct host_port **ret_port, struct error *err);
void host_port_close(struct host_port *port); // NULL is fine

// Make it as the agent's Hello says (no pod network: nothing is done). Idempotent. Failures are kept for
// host_port_status and logged when they change.
void host_port_dress(struct host_port *port, const struct hello_reply *hello);
// The agent does not serve the host's port: leave it as it is, and say so.
void host_port_not_served(struct host_port *port);

// A netlink socket that becomes readable when something about interfaces or their addresses changes.
int host_port_watch_fd(struct host_port *port);
// Read what is there. True if it was about the host port: dress it again.
bool host_port_read_events(struct host_port *port);

// Fill the host_port members of *status.
void host_port_status(struct host_port *port, struct host_status *status);
