// SPDX-License-Identifier: BSD-3-Clause

#include "conntrack/headers.h"

#include <errno.h>

#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

enum {
	IPV6_EXTENSIONS_MAX = 8,
	ICMP_HEADER_SIZE = 8,
	QUOTED_L4_MIN = 8, // RFC 792: the ports are in there, and the identifier of an echo
	TCP_OPTION_END = 0,
	TCP_OPTION_NOP = 1,
	TCP_OPTION_SCALE = 3,
	TCP_SCALE_MAX = 14, // RFC 7323 section 2.3
};

enum {
	ICMP4_ECHO_REPLY = 0,
	ICMP4_UNREACHABLE = 3,
	ICMP4_ECHO_REQUEST = 8,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP4_PARAMETER_PROBLEM = 12,
	ICMP6_UNREACHABLE = 1,
	ICMP6_PARAMETER_PROBLEM = 4,
	ICMP6_ECHO_REQUEST = 128,
	ICMP6_ECHO_REPLY = 129,
};

// A stretch of contiguous bytes with a layer 3 header at its beginning.
struct view {
	const uint8_t *data;
	uint32_t available; // contiguous
	uint32_t length;    // of the packet
};

// What layer 3 says.
struct l3 {
	uint32_t l4_offset;
	uint32_t length; // of the packet by its own word
	uint32_t fragment_id;
	uint32_t fragment_offset; // bytes
	bool fragment, more_fragments;
	bool routing; // the destination is not the last one, or the addresses are signed
	bool quoted;  // may be cut off
};

static uint16_t get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)get_u16(p) << 16 | get_u16(p + 2);
}

// ---- layer 3 -------------------------------------------------------------------------------------

static int read_ipv4(const struct view *view, struct conntrack_tuple *tuple, struct l3 *l3)
{
	struct rte_ipv4_hdr ip;

	if (view->available < sizeof(ip))
		return -EMSGSIZE;
	memcpy(&ip, view->data, sizeof(ip));
	uint32_t header = (ip.version_ihl & 0xfu) * 4;
	l3->length = rte_be_to_cpu_16(ip.total_length);
	if (header < sizeof(ip) || l3->length < header)
		return -EBADMSG;
	if (view->available < header || (!l3->quoted && l3->length > view->length))
		return -EMSGSIZE;
	uint16_t field = rte_be_to_cpu_16(ip.fragment_offset);
	l3->fragment_offset = (field & RTE_IPV4_HDR_OFFSET_MASK) * 8u;
	l3->more_fragments = (field & RTE_IPV4_HDR_MF_FLAG) != 0;
	l3->fragment = l3->fragment_offset != 0 || l3->more_fragments;
	l3->fragment_id = rte_be_to_cpu_16(ip.packet_id);
	l3->l4_offset = header;
	tuple->family = 4;
	tuple->protocol = ip.next_proto_id;
	tuple->source.ipv4_be = ip.src_addr;
	tuple->destination.ipv4_be = ip.dst_addr;
	return 0;
}

// One extension header (RFC 8200 section 4). Returns 1: there may be more; 0: it is none.
static int read_extension(const struct view *view, struct conntrack_tuple *tuple, struct l3 *l3)
{
	const uint8_t *header = view->data + l3->l4_offset;
	uint32_t size = 8;

	switch (tuple->protocol) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_DSTOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_FRAGMENT:
		break;
	default:
		return 0;
	}
	if (view->available < l3->l4_offset + size)
		return -EMSGSIZE;
	if (tuple->protocol == IPPROTO_FRAGMENT) {
		uint16_t field = get_u16(header + 2);

		if (l3->fragment)
			return -EBADMSG;
		l3->fragment_offset = field & 0xfff8u;
		l3->more_fragments = (field & 1) != 0;
		// Offset 0 and no more: whole, whatever it has the header for (RFC 6946).
		l3->fragment = l3->fragment_offset != 0 || l3->more_fragments;
		l3->fragment_id = get_u32(header + 4);
	} else {
		size += header[1] * 8u;
		l3->routing |= tuple->protocol == IPPROTO_ROUTING && header[3] != 0;
	}
	if (view->available < l3->l4_offset + size)
		return -EMSGSIZE;
	tuple->protocol = header[0];
	l3->l4_offset += size;
	return l3->fragment_offset == 0;
}

static int read_ipv6(const struct view *view, struct conntrack_tuple *tuple, struct l3 *l3)
{
	struct rte_ipv6_hdr ip;
	int r = 1;

	if (view->available < sizeof(ip))
		return -EMSGSIZE;
	memcpy(&ip, view->data, sizeof(ip));
	l3->length = (uint32_t)sizeof(ip) + rte_be_to_cpu_16(ip.payload_len);
	if (!l3->quoted && l3->length > view->length)
		return -EMSGSIZE;
	l3->l4_offset = sizeof(ip);
	tuple->family = 6;
	tuple->protocol = ip.proto;
	memcpy(&tuple->source, &ip.src_addr, 16);
	memcpy(&tuple->destination, &ip.dst_addr, 16);
	for (unsigned int i = 0; r == 1; i++) {
		if (i == IPV6_EXTENSIONS_MAX)
			return -EBADMSG;
		r = read_extension(view, tuple, l3);
	}
	if (r < 0)
		return r;
	return l3->l4_offset <= l3->length ? 0 : -EBADMSG;
}

static int read_l3(const struct view *view, struct conntrack_tuple *tuple, struct l3 *l3)
{
	if (view->available == 0)
		return -EMSGSIZE;
	switch (view->data[0] >> 4) {
	case 4:
		return read_ipv4(view, tuple, l3);
	case 6:
		return read_ipv6(view, tuple, l3);
	default:
		return -EBADMSG;
	}
}

// ---- layer 4 -------------------------------------------------------------------------------------

// What a TCP sends (RFC 9293 section 3.10): everything else is a probe or an attempt to get past filters.
static bool flags_are_sane(uint8_t flags)
{
	switch (flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK)) {
	case TCP_SYN:
	case TCP_SYN | TCP_ACK:
	case TCP_RST:
	case TCP_RST | TCP_ACK:
	case TCP_FIN | TCP_ACK:
	case TCP_ACK:
		return true;
	default:
		return false;
	}
}

static void read_scale(const uint8_t *option, uint32_t left, struct conntrack_tcp *tcp)
{
	while (left > 0 && option[0] != TCP_OPTION_END) {
		if (option[0] == TCP_OPTION_NOP) {
			option++;
			left--;
			continue;
		}
		if (left < 2 || option[1] < 2 || option[1] > left)
			return;
		if (option[0] == TCP_OPTION_SCALE && option[1] == 3) {
			tcp->has_scale = true;
			tcp->scale = RTE_MIN(option[2], TCP_SCALE_MAX);
		}
		left -= option[1];
		option += option[1];
	}
}

static int read_tcp(const struct view *view, const struct l3 *l3, struct conntrack_packet *packet)
{
	const uint8_t *header = view->data + l3->l4_offset;
	uint32_t left = l3->length - l3->l4_offset;
	struct rte_tcp_hdr tcp;

	if (left < sizeof(tcp) || view->available < l3->l4_offset + sizeof(tcp))
		return l3->fragment ? -EBADMSG : -EMSGSIZE;
	memcpy(&tcp, header, sizeof(tcp));
	uint32_t size = (tcp.data_off >> 4) * 4u;
	if (size < sizeof(tcp) || !flags_are_sane(tcp.tcp_flags))
		return -EBADMSG;
	if (left < size || view->available < l3->l4_offset + size)
		return l3->fragment ? -EBADMSG : -EMSGSIZE;
	packet->kind = CONNTRACK_KIND_TCP;
	packet->tuple.source_port = tcp.src_port;
	packet->tuple.destination_port = tcp.dst_port;
	packet->tcp = (struct conntrack_tcp){
		.sequence = rte_be_to_cpu_32(tcp.sent_seq),
		.acknowledgement = rte_be_to_cpu_32(tcp.recv_ack),
		.payload = left - size,
		.window = rte_be_to_cpu_16(tcp.rx_win),
		.flags = tcp.tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK),
	};
	if (tcp.tcp_flags & TCP_SYN)
		read_scale(header + sizeof(tcp), size - (uint32_t)sizeof(tcp), &packet->tcp);
	return 0;
}

static int read_udp(const struct view *view, const struct l3 *l3, struct conntrack_packet *packet)
{
	uint32_t left = l3->length - l3->l4_offset;
	struct rte_udp_hdr udp;

	if (left < sizeof(udp) || view->available < l3->l4_offset + sizeof(udp))
		return l3->fragment ? -EBADMSG : -EMSGSIZE;
	memcpy(&udp, view->data + l3->l4_offset, sizeof(udp));
	// What is behind the UDP length, or missing of it, is the receiver's business (RFC 9868).
	if (rte_be_to_cpu_16(udp.dgram_len) < sizeof(udp))
		return -EBADMSG;
	packet->kind = CONNTRACK_KIND_UDP;
	packet->tuple.source_port = udp.src_port;
	packet->tuple.destination_port = udp.dst_port;
	return 0;
}

static bool is_icmp(const struct conntrack_tuple *tuple)
{
	return tuple->family == 4 ? tuple->protocol == IPPROTO_ICMP
				  : tuple->protocol == IPPROTO_ICMPV6;
}

// An echo puts its identifier into the tuple. Returns false for other types.
static bool read_echo(const uint8_t *header, struct conntrack_tuple *tuple)
{
	uint8_t request = tuple->family == 4 ? ICMP4_ECHO_REQUEST : ICMP6_ECHO_REQUEST;
	uint8_t reply = tuple->family == 4 ? ICMP4_ECHO_REPLY : ICMP6_ECHO_REPLY;
	rte_be16_t identifier;

	memcpy(&identifier, header + 4, sizeof(identifier));
	if (header[1] != 0)
		return false;
	if (header[0] == request)
		tuple->source_port = identifier;
	else if (header[0] == reply)
		tuple->destination_port = identifier;
	else
		return false;
	return true;
}

static bool is_error(const struct conntrack_tuple *tuple, uint8_t type)
{
	// Neither source quench, which nobody may send (RFC 6633), nor redirects, which stay on their link.
	return tuple->family == 4 ? type == ICMP4_UNREACHABLE || type == ICMP4_TIME_EXCEEDED ||
					    type == ICMP4_PARAMETER_PROBLEM
				  : type >= ICMP6_UNREACHABLE && type <= ICMP6_PARAMETER_PROBLEM;
}

// The packet in an ICMP error, of which at least the ports must be there.
static int read_quote(const struct view *outer, uint32_t offset, struct conntrack_packet *packet)
{
	struct view view = {
		.data = outer->data + offset,
		.available = outer->available - offset,
		.length = outer->length - offset,
	};
	struct conntrack_quote *quote = &packet->quote;
	struct l3 l3 = {.quoted = true};
	int r = read_l3(&view, &quote->tuple, &l3);

	if (r < 0)
		return r;
	if (quote->tuple.family != packet->tuple.family || l3.routing)
		return -EBADMSG;
	if (view.available < l3.l4_offset + QUOTED_L4_MIN)
		return -EMSGSIZE;
	const uint8_t *header = view.data + l3.l4_offset;
	if (l3.fragment_offset != 0) {
		quote->kind = CONNTRACK_KIND_OTHER;
	} else if (quote->tuple.protocol == IPPROTO_TCP || quote->tuple.protocol == IPPROTO_UDP) {
		quote->kind = quote->tuple.protocol == IPPROTO_TCP ? CONNTRACK_KIND_TCP
								   : CONNTRACK_KIND_UDP;
		memcpy(&quote->tuple.source_port, header, sizeof(rte_be16_t));
		memcpy(&quote->tuple.destination_port, header + 2, sizeof(rte_be16_t));
		quote->has_sequence = quote->kind == CONNTRACK_KIND_TCP;
		quote->sequence = quote->has_sequence ? get_u32(header + 4) : 0;
	} else if (is_icmp(&quote->tuple) && read_echo(header, &quote->tuple)) {
		quote->kind = CONNTRACK_KIND_ECHO;
	} else {
		quote->kind = CONNTRACK_KIND_OTHER;
	}
	quote->l3_offset = (uint16_t)offset;
	quote->l4_offset = (uint16_t)(offset + l3.l4_offset);
	quote->end = (uint16_t)(offset + RTE_MIN(view.available, l3.length));
	return 0;
}

static int read_icmp(const struct view *view, const struct l3 *l3, struct conntrack_packet *packet)
{
	const uint8_t *header = view->data + l3->l4_offset;
	// Padding behind the packet is not quoted.
	struct view inside = *view;

	inside.available = RTE_MIN(view->available, l3->length);
	if (l3->length - l3->l4_offset < ICMP_HEADER_SIZE ||
	    view->available < l3->l4_offset + ICMP_HEADER_SIZE)
		return l3->fragment ? -EBADMSG : -EMSGSIZE;
	packet->icmp_type = header[0];
	if (read_echo(header, &packet->tuple)) {
		packet->kind = CONNTRACK_KIND_ECHO;
		return 0;
	}
	if (!is_error(&packet->tuple, header[0]))
		return 0;
	// An error is never cut: it is smaller than any link's MTU (RFC 1812 section 4.3.2.3, RFC 4443 section 2.4).
	if (l3->fragment)
		return -EBADMSG;
	packet->kind = CONNTRACK_KIND_ERROR;
	return read_quote(&inside, l3->l4_offset + ICMP_HEADER_SIZE, packet);
}

// RFC 1858 and RFC 3128: a later fragment so early that it would overwrite a TCP header.
static bool overlaps_header(const struct conntrack_tuple *tuple, const struct l3 *l3)
{
	return tuple->protocol == IPPROTO_TCP && l3->fragment_offset < sizeof(struct rte_tcp_hdr);
}

int conntrack_packet_parse(const uint8_t *data, uint32_t available, uint32_t length,
			   struct conntrack_packet *ret_packet)
{
	struct view view = {.data = data,
			    .available = RTE_MIN(available, CONNTRACK_HEADERS_MAX),
			    .length = length};
	struct conntrack_packet packet = {.kind = CONNTRACK_KIND_OTHER};
	struct l3 l3 = {0};
	int r = read_l3(&view, &packet.tuple, &l3);

	if (r < 0)
		return r;
	packet.length = l3.length;
	packet.l4_offset = (uint16_t)l3.l4_offset;
	packet.fragment = l3.fragment;
	packet.more_fragments = l3.more_fragments;
	packet.fragment_id = l3.fragment_id;
	packet.fragment_offset = l3.fragment_offset;
	if (l3.routing) {
		// Cannot be translated, and who answers is not who was asked.
	} else if (l3.fragment_offset != 0) {
		if (overlaps_header(&packet.tuple, &l3))
			return -EBADMSG;
		packet.kind = CONNTRACK_KIND_FRAGMENT;
	} else if (packet.tuple.protocol == IPPROTO_TCP) {
		r = read_tcp(&view, &l3, &packet);
	} else if (packet.tuple.protocol == IPPROTO_UDP) {
		r = read_udp(&view, &l3, &packet);
	} else if (is_icmp(&packet.tuple)) {
		r = read_icmp(&view, &l3, &packet);
	}
	if (r == 0)
		*ret_packet = packet;
	return r;
}
