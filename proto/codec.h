// SPDX-License-Identifier: BSD-3-Clause
//
// Between bytes and the structs of message.h. The only user of the generated protobuf-c code.
// Decoding checks everything message.h promises and names the field that is wrong
// ("attach.key.ifname: empty"). Stateless; any thread.

#pragma once

#include "proto/message.h"

struct encoded {
	uint8_t *data; // heap; encoded_clear frees
	size_t size;   // at most LIMIT_MESSAGE_BYTES
};

void encoded_clear(struct encoded *encoded);

// Errors: -EMSGSIZE if it would pass LIMIT_MESSAGE_BYTES, -ENOMEM. (A struct that message.h calls
// valid always fits.)
int codec_encode_request(const struct request *request, struct encoded *ret_encoded,
			 struct error *err);
int codec_encode_reply(const struct reply *reply, struct encoded *ret_encoded, struct error *err);

// Errors: -EMSGSIZE (checked before anything is unpacked), -EBADMSG with CODE_BAD_REQUEST and the
// field in the message, -ENOMEM. A call this side does not know: -EBADMSG with CODE_UNSUPPORTED.
// ret_ is written only on success.
int codec_decode_request(const void *data, size_t size, struct request *ret_request,
			 struct error *err);
int codec_decode_reply(const void *data, size_t size, struct reply *ret_reply, struct error *err);

// The same checks on single values, for the other edges (CNI's JSON, YAML, the command line).
// Each returns 0 or -EINVAL with a sentence that begins with `field`.
int check_name(const char *field, const char *value,
	       struct error *err); // [A-Za-z0-9][A-Za-z0-9_.-]*, 1..LIMIT_NAME
int check_ifname(const char *field, const char *value,
		 struct error *err); // CNI SPEC: 1..15, no / : space, not . or ..
int check_mtu(const char *field, uint64_t value, struct error *err);          // MTU_MIN..MTU_MAX
int check_mac(const char *field, const struct mac *value, struct error *err); // unicast, not zero
int check_bandwidth(const char *field, const struct bandwidth *value, struct error *err);
int check_port_mappings(const char *field, const struct port_mappings *value, struct error *err);
