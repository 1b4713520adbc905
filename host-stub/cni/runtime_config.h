// SPDX-License-Identifier: BSD-3-Clause
//
// runtimeConfig: what the runtime asks for through capabilities (CONVENTIONS). A runtime sends only what
// the plugin's "capabilities" declare, so whatever is here somebody wanted to have an effect:
//
//     ips, mac, portMappings, bandwidth
//                       honoured; of portMappings those without a host port map nothing, of bandwidth a
//                       burst without a rate limits nothing
//     dns               into the result; its lists replace those of the configuration's dns
//     ipRanges, aliases, deviceID, infinibandGUID
//                       refused with CNI code 2, unless they ask for nothing (an empty list), which
//                       runtimes do send
//     cgroupPath        informs only: fine, without effect
//     others            as the specification has it: not ours to judge

#pragma once

#include <jansson.h>

#include "cni/cni_error.h"
#include "cni/json_field.h"
#include "cni/wishes.h"

// Into `wishes` (which it overrides) and *dns (which it replaces, where the runtime has something to
// say). Errors: CNI_INVALID_CONFIG, CNI_UNSUPPORTED_FIELD with key and value.
int runtime_config_parse(const json_t *netconf, struct wishes *wishes, json_t **dns,
			 struct cni_error *error);

// The lists and values `ips`, `mac` and `portKind`, which args.cni has, too.
int wishes_parse(const json_t *object, const struct field *parent, struct wishes *wishes,
		 struct cni_error *error);
// Of these, `portKind` alone, which the configuration itself has.
int wishes_parse_port(const json_t *object, const struct field *parent, struct wishes *wishes,
		      struct cni_error *error);

// CNI_UNSUPPORTED_FIELD with the field's name and value. Returns -1.
int refuse_field(const struct field *field, const json_t *value, const char *instead,
		 struct cni_error *error);
