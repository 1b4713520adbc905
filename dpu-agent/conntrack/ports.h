// SPDX-License-Identifier: BSD-3-Clause
//
// The ports of one external address for one protocol, and who has them. A port belongs to one pod as
// long as a connection uses it; that pod may use it for several connections to different peers.
//
// Who gets one is decided by a dynamic threshold (Choudhury and Hahne, "Dynamic Queue Length Thresholds
// for Shared-Memory Packet Switches", 1998), as in share.h: a pod alone may have most, and the more the
// others take the less each may have, so that a newcomer always finds some. One worker.

#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { PORTS_SHARE = 2 }; // a pod may hold this times what is free: alone two thirds

struct port_space;

// Ports first..last for pods 0..pods-1. NULL: no memory.
struct port_space *port_space_new(uint16_t first, uint16_t last, uint32_t pods);
void port_space_free(struct port_space *space);

// One that nobody has, any of them as likely (RFC 6056), for the pod. `random` is from all of its range.
// Returns false if there is none, or the pod has its share. The port has one user then.
bool port_space_take(struct port_space *space, uint32_t pod, uint64_t random, uint16_t *ret_port);

// This one, if nobody has it: else as port_space_take().
bool port_space_take_this(struct port_space *space, uint32_t pod, uint16_t port);

// One that the pod has already: each call gives the next. False: it has none.
bool port_space_next_own(struct port_space *space, uint32_t pod, uint16_t *ret_port);

// Take this one, if it is the pod's or, within its share, nobody's, and not reserved. The port has a user
// more then.
bool port_space_use(struct port_space *space, uint32_t pod, uint16_t port);

// Give it to nobody from now on, as it is somebody's by other means; who has it keeps it until it is
// released, but for nothing new. And the end of that. A port that is not in the range: no effect.
void port_space_reserve(struct port_space *space, uint16_t port);
void port_space_unreserve(struct port_space *space, uint16_t port);

// A user less. `pod` may have been forgotten meanwhile.
void port_space_release(struct port_space *space, uint16_t port);

// The pod is gone: its ports stay in use until they are released, but are not those of the next pod
// with this number. Constant time.
void port_space_forget(struct port_space *space, uint32_t pod);

uint32_t port_space_held(const struct port_space *space, uint32_t pod);
uint32_t port_space_size(const struct port_space *space);
uint32_t port_space_available(const struct port_space *space); // that anybody may have
uint32_t port_space_used(const struct port_space *space);      // by anybody
uint32_t port_space_reserved(const struct port_space *space);  // also those still used
