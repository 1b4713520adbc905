// SPDX-License-Identifier: BSD-3-Clause
//
// See config_vhost.h.

#include "main/config_vhost.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/datapath.h"
#include "port/port.h"
#include "proto/base/config.h"

enum { PORTS_DEFAULT = 64, VIRTIO_PORTS_DEFAULT = 16 };

void vhost_set_defaults(struct vhost_section *section)
{
	section->socket_mode = 0600;
	section->uid = section->gid = UINT32_MAX;
}

int vhost_parse_ports(const char *text, void *target, struct error *err)
{
	return config_parse_range(text, 1, NIC_VHOST_PORTS_MAX, target, err);
}

// "0660", as chmod takes it.
int vhost_parse_mode(const char *text, void *target, struct error *err)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	if (!isdigit((unsigned char)text[0]) || *end != '\0' || mode > 0777 || (mode & 0111) != 0)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "'%s' is no mode of a socket, in octal (0660)", text);
	*(uint32_t *)target = (uint32_t)mode;
	return 0;
}

static bool parse_id(const char *text, uint32_t *ret_id)
{
	struct error ignored;

	return isdigit((unsigned char)text[0]) &&
	       config_parse_uint32(text, ret_id, &ignored) == 0 && *ret_id != UINT32_MAX;
}

// "user", "user:group", ":group"; names or numbers
int vhost_parse_owner(const char *text, void *target, struct error *err)
{
	struct vhost_section *section = target;
	const char *colon = strchr(text, ':');
	char user[LIMIT_ID + 1];
	const struct passwd *passwd;
	const struct group *group;

	snprintf(user, sizeof(user), "%.*s", (int)(colon != NULL ? colon - text : LIMIT_ID), text);
	if (user[0] != '\0' && !parse_id(user, &section->uid)) {
		passwd = getpwnam(user);
		if (passwd == NULL)
			return error_set(err, EINVAL, CODE_BAD_REQUEST, "there is no user '%s'",
					 user);
		section->uid = passwd->pw_uid;
	}
	if (colon != NULL && colon[1] != '\0' && !parse_id(colon + 1, &section->gid)) {
		group = getgrnam(colon + 1);
		if (group == NULL)
			return error_set(err, EINVAL, CODE_BAD_REQUEST, "there is no group '%s'",
					 colon + 1);
		section->gid = group->gr_gid;
	}
	return 0;
}

int vhost_check(const char *file, struct vhost_section *section, uint32_t functions,
		struct error *err)
{
	static const char *const others[] = {"vhost.ports", "vhost.socket_mode",
					     "vhost.socket_owner"};
	const uint32_t slots = DATAPATH_PORTS_MAX - 2 - functions;

	if (section->socket_dir[0] == '\0') {
		for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
			if (config_line(others[i]) != 0)
				return config_error(file, others[i], err,
						    "without vhost.socket_dir there are no "
						    "vhost-user ports");
		return 0;
	}
	if (section->socket_dir[0] != '/' || strlen(section->socket_dir) > VHOST_FOLDER_MAX)
		return config_error(file, "vhost.socket_dir", err,
				    "'%s' is not an absolute path of at most %d bytes",
				    section->socket_dir, (int)VHOST_FOLDER_MAX);
	if (section->ports == 0)
		section->ports = slots < PORTS_DEFAULT ? slots : PORTS_DEFAULT;
	if (section->ports > slots)
		return config_error(file, "vhost.ports", err,
				    "%u are too many: with %u functions the agent has room for %u",
				    section->ports, functions, slots);
	return 0;
}

// ---- virtio_user -------------------------------------------------------------------------------------

int virtio_parse_ports(const char *text, void *target, struct error *err)
{
	return config_parse_range(text, 0, NIC_VIRTIO_PORTS_MAX, target, err);
}

int virtio_check(const char *file, uint32_t *ports, uint32_t others, struct error *err)
{
	static const char key[] = "virtio_user.ports";
	const uint32_t slots = DATAPATH_PORTS_MAX - 2 - others;
	struct error why;

	if (config_line(key) == 0) {
		*ports = slots < VIRTIO_PORTS_DEFAULT ? slots : VIRTIO_PORTS_DEFAULT;
		return 0;
	}
	if (*ports > slots)
		return config_error(
			file, key, err,
			"%u are too many: with %u functions and vhost-user ports the agent has "
			"room for %u",
			*ports, others, slots);
	if (*ports > 0 && virtio_user_probe(&why) < 0)
		return config_error(file, key, err, "%.400s", why.message);
	return 0;
}
