// SPDX-License-Identifier: BSD-3-Clause
//
// What virtio-user ports need of the machine, asked before anything is begun: at start-up by the configuration, and by
// each ADD, as a module may be loaded at any time. Control thread.

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "port/port_private.h"

static int fail(int errno_value, struct error *err)
{
	const char *remedy =
		errno_value == EACCES || errno_value == EPERM
			? "let the agent open it, it must be root or have the device's group"
			: "load the module on the agent's machine, 'modprobe vhost_net'";

	return error_set(err, errno_value, CODE_UNSUPPORTED,
			 "virtio-user ports need the kernel's vhost-net, and the agent cannot "
			 "open " VHOST_NET ": %s; %s",
			 strerror(errno_value), remedy);
}

int virtio_user_probe(struct error *err)
{
	int fd = open(VHOST_NET, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return fail(errno, err);
	close(fd);
	return 0;
}

int virtio_user_look(struct error *err)
{
	return access(VHOST_NET, R_OK | W_OK) < 0 ? fail(errno, err) : 0;
}
