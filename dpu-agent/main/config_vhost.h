// SPDX-License-Identifier: BSD-3-Clause
//
// The sections `vhost` and `virtio_user` of agent.yaml: values of their keys, and what must hold between them.

#pragma once

#include <stdint.h>

#include "proto/base/error.h"
#include "proto/message.h"

struct vhost_section {
	char socket_dir[LIMIT_PATH + 1]; // "": no vhost-user ports
	uint32_t ports;                  // 0 then
	uint32_t socket_mode;
	uint32_t uid, gid; // of the sockets; UINT32_MAX: as the agent is
};

void vhost_set_defaults(struct vhost_section *section);

// For the table of keys (config_parse). Targets: of ports and mode their own member, of owner the section.
int vhost_parse_ports(const char *text, void *target, struct error *err);
int vhost_parse_mode(const char *text, void *target, struct error *err);
int vhost_parse_owner(const char *text, void *target, struct error *err);

// Beside `functions` there must be room for the ports. Fills in how many there are where nobody says. `file` is what
// errors call it.
int vhost_check(const char *file, struct vhost_section *section, uint32_t functions,
		struct error *err);

int virtio_parse_ports(const char *text, void *target, struct error *err);
// Likewise, beside `others`, which are functions and vhost-user ports. Who asks for some must have what they take,
// which is /dev/vhost-net; without a word, there are some for when it is there.
int virtio_check(const char *file, uint32_t *ports, uint32_t others, struct error *err);
