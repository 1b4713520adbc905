// SPDX-License-Identifier: BSD-3-Clause
//
// hostd's share of a vhost-user port: the agent makes the socket, the guest opens it, and hostd sees that
// both can be on this machine. Worker threads.

#pragma once

#include "proto/message.h"

// Is the attachment's socket here? Errors: `code` with the path and what is wrong.
int vhost_socket_check(const struct attachment *attachment, enum code code, struct error *err);
