// SPDX-License-Identifier: BSD-3-Clause
//
// What virtio-user ports need of the machine, asked before anything is begun: at start-up by the configuration, and by
// each ADD, as a module may be loaded at any time. Control thread.

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "port/port_private.h"

int virtio_user_probe(struct error *err)
{
	int fd = open(VHOST_NET, O_RDWR | O_CLOEXEC);
	const char *remedy;

	if (fd >= 0) {
		close(fd);
		return 0;
	}
	remedy = errno == EACCES || errno == EPERM
			 ? "let the agent open it, it must be root or have the device's group"
			 : "load the module on the agent's machine, 'modprobe vhost_net'";
	return error_set(err, errno, CODE_UNSUPPORTED,
			 "virtio-user ports need the kernel's vhost-net, and the agent cannot "
			 "open " VHOST_NET ": %m; %s",
			 remedy);
}
