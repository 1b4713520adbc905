// SPDX-License-Identifier: BSD-3-Clause
//
// The section `masquerade` of agent.yaml: values of its keys, and what must hold between them.

#pragma once

#include "datapath/masquerade.h"
#include "proto/base/error.h"
#include "proto/message.h"

void masquerade_set_defaults(struct masquerade_config *config);

// For the table of keys (config_parse). Targets: the section's struct, but for numbers their own member.
int masquerade_parse_excluded(const char *text, void *target, struct error *err);
int masquerade_parse_ports(const char *text, void *target, struct error *err);
int masquerade_parse_identifiers(const char *text, void *target, struct error *err);
int masquerade_parse_connections(const char *text, void *target, struct error *err);
int masquerade_parse_timeout(const char *text, void *target, struct error *err);

// A family that is masqueraded needs an address on the wire. `file` is what errors call it.
int masquerade_check(const char *file, const struct masquerade_config *config,
		     const struct uplink *uplink, struct error *err);
