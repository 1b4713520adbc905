// SPDX-License-Identifier: BSD-3-Clause

#include "ctl/pcapng.h"

#include <errno.h>
#include <string.h>

enum {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_STATISTICS = 5,
	BLOCK_PACKET = 6,
	BYTE_ORDER_MAGIC = 0x1a2b3c4d,
	LINKTYPE_ETHERNET = 1,
	OPTION_END = 0,
	OPTION_COMMENT = 1,
	SECTION_APPLICATION = 4,
	INTERFACE_NAME = 2,
	INTERFACE_DESCRIPTION = 3,
	INTERFACE_RESOLUTION = 9,
	INTERFACE_FILTER = 11,
	PACKET_FLAGS = 2,
	FLAG_INBOUND = 1,
	FLAG_OUTBOUND = 2,
	STATISTICS_RECEIVED = 4,
	STATISTICS_LOST = 5,
	RESOLUTION_NS = 9, // 10^-9 s
	OPTIONS_MAX = 2048,
	TEXT_MAX = 500, // of one option
};

// Options of one block, as they will be written.
struct options {
	uint8_t bytes[OPTIONS_MAX];
	size_t size;
};

static size_t padded(size_t size)
{
	return (size + 3) & ~(size_t)3;
}

static void put(struct options *options, uint16_t code, const void *value, size_t size)
{
	uint16_t head[2] = {code, (uint16_t)size};

	if (options->size + sizeof(head) + padded(size) > sizeof(options->bytes))
		return;
	memcpy(options->bytes + options->size, head, sizeof(head));
	memset(options->bytes + options->size + sizeof(head), 0, padded(size));
	if (size > 0)
		memcpy(options->bytes + options->size + sizeof(head), value, size);
	options->size += sizeof(head) + padded(size);
}

static void put_text(struct options *options, uint16_t code, const char *text)
{
	if (text != NULL && text[0] != '\0')
		put(options, code, text, strnlen(text, TEXT_MAX));
}

static int write_all(FILE *file, const void *data, size_t size)
{
	errno = 0;
	if (size == 0 || fwrite(data, size, 1, file) == 1)
		return 0;
	return errno != 0 ? -errno : -EIO;
}

// A block of a body, perhaps with bytes that are padded, and options.
static int write_block(FILE *file, uint32_t type, const void *body, size_t size,
		       const uint8_t *bytes, size_t byte_count, struct options *options)
{
	static const uint8_t zeros[3];
	size_t padding = padded(byte_count) - byte_count;
	uint32_t total, head[2];
	int r;

	put(options, OPTION_END, NULL, 0);
	total = (uint32_t)(sizeof(head) + size + padded(byte_count) + options->size +
			   sizeof(total));
	head[0] = type;
	head[1] = total;
	if ((r = write_all(file, head, sizeof(head))) < 0 ||
	    (r = write_all(file, body, size)) < 0 || (r = write_all(file, bytes, byte_count)) < 0 ||
	    (r = write_all(file, zeros, padding)) < 0 ||
	    (r = write_all(file, options->bytes, options->size)) < 0)
		return r;
	return write_all(file, &total, sizeof(total));
}

int pcapng_begin(FILE *file, const struct pcapng_interface *interface)
{
	// Magic, version 1.0, length of the section: not known.
	const struct {
		uint32_t magic;
		uint16_t major, minor;
		uint64_t length;
	} section = {BYTE_ORDER_MAGIC, 1, 0, UINT64_MAX};
	const struct {
		uint16_t linktype, reserved;
		uint32_t snap;
	} description = {LINKTYPE_ETHERNET, 0, interface->snap};
	const uint8_t resolution = RESOLUTION_NS;
	struct options options = {.size = 0};
	char filter[TEXT_MAX];
	int r;

	put_text(&options, SECTION_APPLICATION, interface->application);
	r = write_block(file, BLOCK_SECTION, &section, sizeof(section), NULL, 0, &options);
	if (r < 0)
		return r;
	options.size = 0;
	put_text(&options, INTERFACE_NAME, interface->name);
	put_text(&options, INTERFACE_DESCRIPTION, interface->description);
	put(&options, INTERFACE_RESOLUTION, &resolution, sizeof(resolution));
	if (interface->filter != NULL) {
		filter[0] = '\0'; // as libpcap's filters are: a string
		size_t size = strnlen(interface->filter, sizeof(filter) - 1);

		memcpy(filter + 1, interface->filter, size);
		put(&options, INTERFACE_FILTER, filter, size + 1);
	}
	return write_block(file, BLOCK_INTERFACE, &description, sizeof(description), NULL, 0,
			   &options);
}

int pcapng_put(FILE *file, const struct pcapng_packet *packet)
{
	const uint32_t body[] = {
		0, // the interface
		(uint32_t)(packet->unix_ns >> 32),
		(uint32_t)packet->unix_ns,
		packet->captured,
		packet->length,
	};
	const uint32_t flags = packet->inbound ? FLAG_INBOUND : FLAG_OUTBOUND;
	struct options options = {.size = 0};

	put(&options, PACKET_FLAGS, &flags, sizeof(flags));
	put_text(&options, OPTION_COMMENT, packet->comment);
	return write_block(file, BLOCK_PACKET, body, sizeof(body), packet->frame, packet->captured,
			   &options);
}

int pcapng_end(FILE *file, uint64_t unix_ns, uint64_t received, uint64_t lost)
{
	const uint32_t body[] = {0, (uint32_t)(unix_ns >> 32), (uint32_t)unix_ns};
	struct options options = {.size = 0};

	put(&options, STATISTICS_RECEIVED, &received, sizeof(received));
	put(&options, STATISTICS_LOST, &lost, sizeof(lost));
	return write_block(file, BLOCK_STATISTICS, body, sizeof(body), NULL, 0, &options);
}
