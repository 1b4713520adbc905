// SPDX-License-Identifier: BSD-3-Clause
//
// Between netlink.c (sockets) and netlink_message.c (messages).

#pragma once

#include "hostd/netlink.h"

int netlink_ask(struct netlink *netlink, struct nl_msg *request, bool dump,
		bool (*visit)(struct nlmsghdr *header, void *arg), void *arg);
