// SPDX-License-Identifier: BSD-3-Clause
//
// See vhost_socket.h.

#include "hostd/vhost_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

int vhost_socket_check(const struct attachment *attachment, enum code code, struct error *err)
{
	const char *path = attachment->socket_path;
	struct stat st;

	if (stat(path, &st) < 0)
		return error_set(
			err, errno, code,
			"the agent's vhost-user socket %s is not on this host: %s; agent and pod "
			"must share a machine",
			path, strerror(errno));
	// Connecting would take the guest's place.
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, ENOTSOCK, code, "the vhost-user port's %s is not a socket",
				 path);
	return 0;
}
