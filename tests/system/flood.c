// SPDX-License-Identifier: BSD-3-Clause
//
// flood IFNAME MILLISECONDS CHECKSUM [OFFSET...] < frame: send the frame as fast as a packet socket takes it, with other
// random bytes in the 16-bit fields at these offsets each time. IPv4's header checksum is kept right, and so is the checksum at
// CHECKSUM, that of the layer above, unless it is 0. Prints how many frames were taken.

#define _GNU_SOURCE // sendmmsg
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	BATCH = 64,
	FRAME_MAX = 1600,
	FIELDS_MAX = 16,
	L3 = 14,
	IPV4_CHECKSUM = L3 + 10,
	IPV4_END = L3 + 20
};

static unsigned int fields[FIELDS_MAX], field_count, checksum;
static uint64_t state = 0x9e3779b97f4a7c15;

// Marsaglia's xorshift64.
static uint16_t random_number(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint16_t)(state >> 32);
}

// RFC 1624, equation 3.
static void mend(uint8_t *frame, unsigned int at, uint16_t before, uint16_t after)
{
	uint16_t sum;

	memcpy(&sum, frame + at, sizeof(sum));
	uint32_t folded = (uint16_t)~sum + (uint32_t)(uint16_t)~before + after;
	folded = (folded & 0xffff) + (folded >> 16);
	folded = (folded & 0xffff) + (folded >> 16);
	sum = (uint16_t)~folded;
	memcpy(frame + at, &sum, sizeof(sum));
}

static void vary(uint8_t *frame)
{
	const int ipv4 = frame[12] == 8 && frame[13] == 0;

	for (unsigned int i = 0; i < field_count; i++) {
		const unsigned int at = fields[i];
		const uint16_t value = random_number();
		uint16_t before;

		memcpy(&before, frame + at, sizeof(before));
		memcpy(frame + at, &value, sizeof(value));
		if (ipv4 && at < IPV4_END)
			mend(frame, IPV4_CHECKSUM, before, value);
		// IPv4's identification and flags are not in the layer above's sum, all else that is varied is.
		if (checksum != 0 && (!ipv4 || at >= L3 + 12))
			mend(frame, checksum, before, value);
	}
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
	static uint8_t frames[BATCH][FRAME_MAX];
	static struct iovec parts[BATCH];
	static struct mmsghdr messages[BATCH];
	uint64_t sent = 0;

	if (argc < 4 || argc - 4 > FIELDS_MAX)
		return 2;
	const ssize_t size = read(STDIN_FILENO, frames[0], FRAME_MAX);
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
				      .sll_ifindex = (int)if_nametoindex(argv[1])};
	const int fd = socket(AF_PACKET, SOCK_RAW, 0), bypass = 1;
	if (size <= 0 || fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &bypass, sizeof(bypass)) < 0) {
		perror("flood");
		return 1;
	}
	checksum = (unsigned int)atoi(argv[3]);
	for (int i = 4; i < argc; i++)
		fields[field_count++] = (unsigned int)atoi(argv[i]);
	for (unsigned int i = 0; i < BATCH; i++) {
		memcpy(frames[i], frames[0], (size_t)size);
		parts[i] = (struct iovec){frames[i], (size_t)size};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
	}
	for (const int64_t end_ms = now_ms() + atoi(argv[2]); now_ms() < end_ms;) {
		for (unsigned int i = 0; i < BATCH; i++)
			vary(frames[i]);
		const int taken = sendmmsg(fd, messages, BATCH, 0);
		if (taken < 0 && errno != ENOBUFS && errno != EAGAIN) {
			perror("flood");
			return 1;
		}
		sent += taken > 0 ? (unsigned int)taken : 0;
	}
	printf("%llu\n", (unsigned long long)sent);
	return 0;
}
