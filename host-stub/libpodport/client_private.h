// SPDX-License-Identifier: BSD-3-Clause
//
// Inside libpodport: the connection (client.c), what calls need of it (calls.c), and the objects
// that are handed out (objects.c).

#pragma once

#include "libpodport/podport.h"
#include "proto/message.h"

// From an internal error to the public one; `error` may be NULL. Returns r.
int client_error(struct podport_error *error, const struct error *err, int r);

// One question, one answer, within the client's time limit. request->timeout_ms is filled in here.
// netns_fd travels with it, -1: none.
//
//   0       ret_reply answers this call, and has a code of CODE_OK; the caller runs reply_clear
//   < 0     err says why; an error reply of hostd's is one
int client_call(struct podport_client *client, struct request *request, int netns_fd,
		struct reply *ret_reply, struct error *err);

// Open the network namespace at sandbox->path and fill in sandbox->inode. Errors, all CODE_NETNS:
// -ENOENT and the other errnos of open(2), -EINVAL: it is something else.
int sandbox_open(struct sandbox *sandbox, int *ret_fd, struct error *err);

// Copy a request struct of the caller's, whatever its size: what the caller does not know is zero,
// which is the default of every field. Errors: CODE_BAD_REQUEST.
int take_request(void *to, size_t to_size, const void *from, struct error *err);

// What is handed out, made of what was received. NULL: out of memory. The ports' and pods' arrays
// are copied from; the reply stays the caller's.
struct podport_attachment *object_attachment(const struct attachment *from);
struct podport_status *object_status(const struct status_reply *from);
struct podport_ipam *object_ipam(const struct ipam_reply *from);
struct podport_offload *object_offload(const struct offload_reply *from);

// Append a page; 0 or -ENOMEM, after which the list is as before.
struct podport_pods *object_pods(void);
int object_pods_append(struct podport_pods *pods, const struct list_reply *from);
struct podport_ports *object_ports(void);
int object_ports_append(struct podport_ports *ports, const struct ports_reply *from);
struct podport_flows *object_flows(void);
int object_flows_append(struct podport_flows *flows, const struct flows_reply *from);
struct podport_nat *object_nat(void);
int object_nat_append(struct podport_nat *nat, const struct nat_reply *from);
const char *object_protocol_name(uint8_t protocol);
struct podport_connections *object_connections(void);
int object_connections_append(struct podport_connections *connections,
			      const struct connections_reply *from);
struct podport_neighbours *object_neighbours(void);
int object_neighbours_append(struct podport_neighbours *neighbours,
			     const struct neighbours_reply *from);

// The public view of what `from` holds, which it points into.
void object_fill_network(struct podport_pod_network *to, const struct pod_network *from);
void object_fill_offload(struct podport_offload_summary *to, const struct offload_info *from);
struct podport_key object_key(const struct attachment_key *key);
