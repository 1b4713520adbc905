// SPDX-License-Identifier: BSD-3-Clause
//
// Masquerade as configured anew. The table of connections stays what it is: its size and its ports are of
// the agent's start.

#include <errno.h>
#include <stdlib.h>

#include "datapath/datapath_private.h"
#include "datapath/masquerade_private.h"

bool masquerade_same_table(const struct masquerade_config *a, const struct masquerade_config *b)
{
	return a->connections == b->connections && a->first_port == b->first_port &&
	       a->last_port == b->last_port && a->first_identifier == b->first_identifier &&
	       a->last_identifier == b->last_identifier;
}

int masquerade_set(const struct masquerade_config *config, struct error *err)
{
	struct masquerade_config *running = datapath_masquerade_config();
	const struct masquerade_config before = *running;
	int r = 0;

	*running = *config;
	if (datapath_masquerade() != NULL) {
		running->connections = before.connections;
		running->first_port = before.first_port;
		running->last_port = before.last_port;
		running->first_identifier = before.first_identifier;
		running->last_identifier = before.last_identifier;
	} else if (masquerade_is_configured(config)) {
		r = datapath_make_masquerade(err);
	}
	struct snapshot *s = r == 0 ? datapath_copy_snapshot() : NULL;
	if (s == NULL) {
		*running = before;
		return r < 0 ? r
			     : error_set(err, ENOMEM, CODE_INTERNAL, "masquerade: out of memory");
	}
	s->masquerade = datapath_masquerade();
	s->masquerading = *running;
	datapath_publish(s);
	return 0;
}
