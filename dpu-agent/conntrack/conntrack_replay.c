// SPDX-License-Identifier: BSD-3-Clause
//
// A table for tests of the whole: reads one step a line, and says what becomes of it.
//
//     out HEX        a packet of a pod, from layer 3 on
//     in HEX         what would be the answer, as the pod is to see it: to the pod's address and port
//     wait SECONDS
//
//     pass STATE     translated and sent on; and what the connection's state is then
//     drop STATE
//
// States: SYN_SENT ... of TCP; UNREPLIED or REPLIED of the others; none.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_memory.h>

#include "conntrack/conntrack.h"

enum { POD = 0, PACKET_MAX = 65536 };

static struct conntrack *table;

static void discard(void *packet)
{
	(void)packet;
}

static bool start(uint32_t now_s)
{
	static const union conntrack_address ipv4 = {.bytes = {192, 0, 2, 10}};
	static const union conntrack_address ipv6 = {.bytes = {0x20, 1, 0x0d, 0xb8, [15] = 10}};
	char *arguments[] = {
		(char[]){"replay"},   (char[]){"--no-huge"},      (char[]){"--no-shconf"},
		(char[]){"--no-pci"}, (char[]){"--no-telemetry"}, (char[]){"-m"},
		(char[]){"64"},       (char[]){"--lcores=0"},     (char[]){"--log-level=4"}};
	const struct conntrack_config config = {
		.connections = 4096,
		.pods = 1,
		.first_port = 1024,
		.last_port = UINT16_MAX,
		.first_identifier = 1,
		.last_identifier = UINT16_MAX,
		.pick_up = true,
		.timeouts = conntrack_default_timeouts,
		.fragmented = CONNTRACK_FRAGMENTED_MIN,
		.held = 1,
		.discard = discard,
	};

	if (rte_eal_init(RTE_DIM(arguments), arguments) < 0 ||
	    (table = conntrack_new(&config, SOCKET_ID_ANY, now_s)) == NULL)
		return false;
	conntrack_set_address(table, 0, 4, &ipv4);
	conntrack_set_address(table, 1, 6, &ipv6);
	return true;
}

// The connection whose packets from the pod look like this.
static bool find(const struct conntrack_tuple *original, struct conntrack_entry *ret_entry)
{
	uint32_t cursor = 0, count;

	do {
		cursor = conntrack_list(table, POD, cursor, UINT32_MAX, ret_entry, 1, &count);
		if (count == 1 && conntrack_tuple_equal(&ret_entry->original, original))
			return true;
	} while (cursor != 0);
	return false;
}

static const char *state_of(const struct conntrack_tuple *original)
{
	struct conntrack_entry entry;

	if (!find(original, &entry))
		return "none";
	return entry.state[0] != '\0' ? entry.state : entry.answered ? "REPLIED" : "UNREPLIED";
}

static void go_out(const struct conntrack_packet *packet)
{
	struct conntrack_rewrite rewrite;
	enum conntrack_verdict verdict =
		conntrack_out(table, POD, packet->tuple.family == 4 ? 0 : 1, packet, &rewrite);

	printf("%s %s\n", verdict == CONNTRACK_PASS ? "pass" : "drop", state_of(&packet->tuple));
}

// To where the pod's packets came from, which is where the peer sends.
static void come_in(const struct conntrack_packet *packet)
{
	struct conntrack_tuple original = conntrack_tuple_invert(&packet->tuple);
	struct conntrack_packet translated = *packet;
	enum conntrack_verdict verdict = CONNTRACK_UNKNOWN;
	struct conntrack_rewrite rewrite;
	struct conntrack_entry entry;

	if (find(&original, &entry)) {
		translated.tuple = entry.reply;
		verdict = conntrack_in(table, &translated, &rewrite);
	}
	printf("%s %s\n", verdict == CONNTRACK_PASS ? "pass" : "drop", state_of(&original));
}

static size_t read_hex(const char *text, uint8_t *ret_bytes)
{
	size_t size = 0;
	unsigned int byte;

	for (; size < PACKET_MAX && sscanf(text, "%2x", &byte) == 1; text += 2)
		ret_bytes[size++] = (uint8_t)byte;
	return size;
}

int main(void)
{
	static char line[2 * PACKET_MAX + 16];
	static uint8_t bytes[PACKET_MAX];
	uint32_t now_s = 0;

	if (!start(now_s))
		return 1;
	while (fgets(line, sizeof(line), stdin) != NULL) {
		char *argument = strchr(line, ' ');
		struct conntrack_packet packet;
		uint32_t size;

		if (argument == NULL)
			return 2;
		*argument++ = '\0';
		if (strcmp(line, "wait") == 0) {
			now_s += (uint32_t)strtoul(argument, NULL, 10);
			while (conntrack_advance(table, now_s, 1000))
				;
			continue;
		}
		size = (uint32_t)read_hex(argument, bytes);
		if (conntrack_packet_parse(bytes, size, size, &packet) < 0)
			printf("drop none\n");
		else if (strcmp(line, "out") == 0)
			go_out(&packet);
		else
			come_in(&packet);
		fflush(stdout);
	}
	conntrack_free(table);
	return 0;
}
