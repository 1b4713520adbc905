# SPDX-License-Identifier: BSD-3-Clause
"""Frames with a virtio-net header: what a stack leaves to the NIC (a checksum, cutting into segments), and which packets such a
frame stands for. What the header does not say is taken from the frame; nothing here looks at what the NIC or the agent do.
"""

import dataclasses
import socket
import struct

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6

NEEDS_CSUM, DATA_VALID = 1, 2
GSO_NONE, GSO_TCPV4, GSO_UDP, GSO_TCPV6, GSO_UDP_L4, GSO_ECN = 0, 1, 3, 4, 5, 0x80
HEADER = struct.Struct("=BBHHHH")
SOL_PACKET, PACKET_VNET_HDR = 263, 15
L3 = 14  # frames here have no tags
FIN, PSH, CWR = 0x01, 0x08, 0x80


def total(data):
    """The Internet checksum's sum (RFC 1071), not yet inverted."""
    data = data + b"\0" * (len(data) % 2)
    value = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while value >> 16:
        value = (value & 0xffff) + (value >> 16)
    return value


def put16(data, at, value):
    struct.pack_into("!H", data, at, value)


@dataclasses.dataclass
class Unfinished:
    """A frame and its virtio-net header, as they pass a packet socket."""
    frame: bytes
    flags: int = 0
    gso_type: int = GSO_NONE
    hdr_len: int = 0
    gso_size: int = 0
    csum_start: int = 0
    csum_offset: int = 0

    @classmethod
    def of(cls, data):
        return cls(data[HEADER.size:], *HEADER.unpack_from(data))

    def __bytes__(self):
        return HEADER.pack(self.flags, self.gso_type, self.hdr_len, self.gso_size, self.csum_start, self.csum_offset) + self.frame

    def packets(self):
        """The frames that are on the wire for it."""
        if self.gso_type & ~GSO_ECN != GSO_NONE:
            return self.segments()
        return [self.checksummed()] if self.flags & NEEDS_CSUM else [self.frame]

    def checksummed(self):
        """The field has the sum of the pseudo header; the rest is added."""
        frame, field = bytearray(self.frame), self.csum_start + self.csum_offset
        put16(frame, field, ~total(frame[self.csum_start:]) & 0xffff or 0xffff)
        return bytes(frame)

    def segments(self):
        tcp = self.gso_type & ~GSO_ECN != GSO_UDP_L4
        l4 = self.csum_start
        start = l4 + ((self.frame[l4 + 12] >> 4) * 4 if tcp else 8)
        payload = self.frame[start:]
        cuts = range(0, len(payload), self.gso_size)
        return [self.segment(self.frame[:start], payload[at:at + self.gso_size], at, at == cuts[-1], tcp) for at in cuts]

    def segment(self, headers, payload, at, is_last, tcp):
        l4, field = self.csum_start, self.csum_start + self.csum_offset
        frame = bytearray(headers + payload)
        if tcp:
            struct.pack_into("!I", frame, l4 + 4, struct.unpack_from("!I", headers, l4 + 4)[0] + at & 0xffffffff)
            frame[l4 + 13] &= ~((0 if is_last else FIN | PSH) | (CWR if at else 0))
        else:
            put16(frame, l4 + 4, len(frame) - l4)
        if frame[L3] >> 4 == 4:
            put16(frame, L3 + 2, len(frame) - L3)
            put16(frame, L3 + 4, struct.unpack_from("!H", headers, L3 + 4)[0] + at // self.gso_size & 0xffff)
            finish_ipv4(frame)
        else:
            put16(frame, L3 + 4, len(frame) - L3 - 40)
        # The pseudo header has the length of the whole: out with it, in with that of the segment.
        whole = ~(len(self.frame) - l4) & 0xffff
        put16(frame, field, total(frame[field:field + 2] + struct.pack("!IH", whole, len(frame) - l4)))
        return Unfinished(bytes(frame), NEEDS_CSUM, csum_start=l4, csum_offset=self.csum_offset).checksummed()


def finish_ipv4(frame):
    """Put the right checksum into the IPv4 header."""
    end = L3 + (frame[L3] & 0xf) * 4
    put16(frame, L3 + 10, 0)
    put16(frame, L3 + 10, ~total(frame[L3:end]) & 0xffff)


def leave(packet, mss=0, ecn=False, **changes):
    """What a stack hands to a NIC that computes checksums of TCP and UDP, and with an mss also cuts into segments: for a frame of
    scapy's, whose innermost TCP or UDP is meant. `changes` is for what no stack would do."""
    kind = TCP if TCP in packet else UDP
    layer = packet.getlayer(kind, packet.layers().count(kind))
    ip = layer.underlayer
    while not isinstance(ip, (IP, IPv6)):
        ip = ip.underlayer
    frame = bytearray(bytes(packet))
    start = len(frame) - len(bytes(layer))
    offset = 16 if kind is TCP else 6
    addresses = bytes(ip)[12:20] if isinstance(ip, IP) else bytes(ip)[8:40]
    protocol = socket.IPPROTO_TCP if kind is TCP else socket.IPPROTO_UDP
    put16(frame, start + offset, total(addresses + struct.pack("!HI", protocol, len(frame) - start)))
    header = {"flags": NEEDS_CSUM, "csum_start": start, "csum_offset": offset}
    if mss:
        size = (frame[start + 12] >> 4) * 4 if kind is TCP else 8
        gso_type = GSO_UDP_L4 if kind is UDP else GSO_TCPV4 if isinstance(ip, IP) else GSO_TCPV6
        header |= {"gso_type": gso_type | (GSO_ECN if ecn else 0), "gso_size": mss, "hdr_len": start + size}
    return Unfinished(bytes(frame), **{**header, **changes})
