// SPDX-License-Identifier: BSD-3-Clause
//
// What the tests of libpodport share.

#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "libpodport/fake_hostd.h"
#include "libpodport/podport.h"

#define OWN_NETNS "/proc/self/ns/net"

static inline struct podport_client *connect_to(const struct fake_hostd *fake, uint32_t timeout_ms)
{
	struct podport_client *client;
	struct podport_error error;

	if (podport_connect(fake_hostd_path(fake), timeout_ms, &client, &error) < 0)
		fail_msg("%s", error.message);
	return client;
}

static inline struct podport_key some_key(void)
{
	return (struct podport_key){"pods", "c0ffee", "eth0"};
}

static inline struct podport_add_request some_add(void)
{
	struct podport_add_request request = PODPORT_ADD_REQUEST_INIT;

	request.key = some_key();
	request.netns = OWN_NETNS;
	return request;
}

// The summary that fake_hostd answers with.
static inline void assert_summary(const struct podport_offload_summary *summary)
{
	assert_non_null(summary);
	assert_true(summary->enabled && summary->usable);
	assert_string_equal(summary->why_not, "the NIC cannot match ethernet");
	assert_string_equal(summary->api, "asynchronous");
	assert_int_equal(summary->rules, 74);
	assert_int_equal(summary->rules_missing, 2);
	assert_string_equal(summary->missing_reason, "table full");
	assert_int_equal(summary->pods_full, 11);
	assert_int_equal(summary->pods_partial, 1);
	assert_int_equal(summary->pods_none, 3);
	assert_int_equal(summary->inserted, 80);
	assert_int_equal(summary->removed, 6);
	assert_int_equal(summary->failed, 4);
}
