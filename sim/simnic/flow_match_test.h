// SPDX-License-Identifier: BSD-3-Clause
//
// What the tests of patterns share: a device with ports, and ways to write patterns. For one file per program.

#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <rte_errno.h>

#include "sim/simnic/compat.h"
#include "sim/simnic/flow_match.h"

// ---- a device with ports 3 (wire), 4 (PF) and 5 (VF 0); 6 is somebody else's ----------------------------

enum { PORT_WIRE = 3, PORT_PF, PORT_VF0, PORT_FOREIGN, PORT_NONE };

static struct rte_device rte_device, other_rte_device;
static struct function functions[3];
static struct function *private_data[3] = {&functions[0], &functions[1], &functions[2]};
static struct device device __attribute__((unused)) = {
	.rte_device = &rte_device, .functions = functions, .function_count = 3};

static inline int make_ports(void **state)
{
	static struct rte_eth_dev_data data[4];

	for (unsigned int i = 0; i < 4; i++) {
		struct rte_eth_dev *ethdev = &rte_eth_devices[PORT_WIRE + i];

		ethdev->state = RTE_ETH_DEV_ATTACHED;
		ethdev->device = i < 3 ? &rte_device : &other_rte_device;
		ethdev->data = &data[i];
		data[i].dev_private = i < 3 ? &private_data[i] : NULL;
	}
	for (uint16_t i = 0; i < 3; i++)
		functions[i] = (struct function){.device = &device, .index = i};
	return 0;
}

// ---- writing patterns -----------------------------------------------------------------------------------

enum { ITEMS = 12 };

#define ITEM(kind, ...)                                                                            \
	{                                                                                          \
		.type = RTE_FLOW_ITEM_TYPE_##kind, ##__VA_ARGS__                                   \
	}
#define END             ITEM(END)
#define OF(kind, ...)   (&(const struct rte_flow_item_##kind){__VA_ARGS__})
#define HDR(kind, ...)  (&(const struct rte_flow_item_##kind){.hdr = {__VA_ARGS__}})
#define IP4(a, b, c, d) RTE_BE32((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

#define ETH_ANY      ITEM(ETH)
#define IPV4_ANY     ITEM(IPV4)
#define IPV6_ANY     ITEM(IPV6)
#define FROM(port)   ITEM(REPRESENTED_PORT, .spec = OF(ethdev, port))
#define UDP_PORT     ITEM(UDP, .spec = HDR(udp, .dst_port = RTE_BE16(4789)))
#define VXLAN_VNI(v) ITEM(VXLAN, .spec = HDR(vxlan, .vx_vni = RTE_BE32((v) << 8)))

static inline void check_refused(const char *name, int result, const struct rte_flow_error *error,
				 int code, enum rte_flow_error_type type, const void *cause)
{
	if (result != -code || rte_errno != code || error->type != type || error->cause != cause ||
	    error->message == NULL)
		fail_msg("%s: result %d, rte_errno %d, type %d, message %s, %s cause", name, result,
			 rte_errno, error->type, error->message ?: "(none)",
			 error->cause == cause ? "right" : "wrong");
}

#define FIELD(name, m, v)   (match->mask.name = (m), match->value.name = (v))
#define LAYERS(where, bits) FIELD(where.layers, (bits), (bits))

enum { L2 = FLOW_HAS_ETH, IP = FLOW_HAS_IPV4, IP6 = FLOW_HAS_IPV6 };

// ---- what they mean, and why they are refused --------------------------------------------------------------

// Sets a field of the expected match, as a constant in network order.
#define BYTES(name, m, v)                                                                          \
	(memcpy(match->mask.name, (m), sizeof(m) - 1),                                             \
	 memcpy(match->value.name, (v), sizeof(v) - 1))
#define EXPECT(name) static void expect_##name(struct flow_match *match)

struct good_pattern {
	const char *name;
	void (*expect)(struct flow_match *match);
	struct rte_flow_item items[ITEMS];
};

static inline void check_good(const struct good_pattern *patterns, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct good_pattern *good = &patterns[i];
		struct flow_match match, expected;
		struct rte_flow_error error;

		memset(&expected, 0, sizeof(expected));
		good->expect(&expected);
		memset(&match, 0xaa, sizeof(match));
		if (flow_match_compile(&device, good->items, &match, &error) != 0)
			fail_msg("%s: refused: %s", good->name, error.message);
		if (memcmp(&match.mask, &expected.mask, sizeof(match.mask)) != 0 ||
		    memcmp(&match.value, &expected.value, sizeof(match.value)) != 0 ||
		    match.range_count != expected.range_count ||
		    memcmp(match.ranges, expected.ranges, sizeof(match.ranges)) != 0)
			fail_msg("%s: compiled to something else", good->name);
	}
}

struct bad_pattern {
	const char *name;
	int code;
	enum rte_flow_error_type type;
	int cause; // number of the item
	struct rte_flow_item items[ITEMS];
};

#define BAD(name, code, type, cause, ...)                                                          \
	{                                                                                          \
		name, code, RTE_FLOW_ERROR_TYPE_##type, cause,                                     \
		{                                                                                  \
			__VA_ARGS__, END                                                           \
		}                                                                                  \
	}

static inline void check_bad(const struct bad_pattern *patterns, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct bad_pattern *bad = &patterns[i];
		struct rte_flow_error error = {0};
		struct flow_match match, before;
		int result;

		memset(&match, 0xaa, sizeof(match));
		before = match;
		rte_errno = 0;
		result = flow_match_compile(&device, bad->items, &match, &error);
		check_refused(bad->name, result, &error, bad->code, bad->type,
			      &bad->items[bad->cause]);
		assert_memory_equal(&match, &before, sizeof(match));
		// Also where nobody wants to know why.
		assert_int_equal(flow_match_compile(&device, bad->items, &match, NULL), -bad->code);
	}
}
