# SPDX-License-Identifier: BSD-3-Clause
"""Ends of the node where frames are sent and seen as they are: with virtio-net headers, so that what is unfinished can be sent, and
what arrives so is seen as the packets that it stands for; and with VLAN tags."""

import itertools
import json
import socket
import struct

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Ether

from packets import ROUTER
from simulation import PATIENCE_S
from traffic import raw_socket
from unfinished import L3, NEEDS_CSUM, PACKET_VNET_HDR, SOL_PACKET, Unfinished, put16, total
from world import ADDRESSES

ROUTER_IPV4 = "169.254.1.1"
PACKET_AUXDATA, VLAN_VALID = 8, 0x10


def tagged(frame, tci):
    """A frame with a VLAN tag."""
    return frame[:12] + struct.pack("!HH", 0x8100, tci) + frame[12:]


class Place:
    """A pod's or the host's end: `ifname` of a namespace, and the addresses that it has there."""

    numbers = itertools.count(1)

    def __init__(self, name, netns, ifname, ipv4, ipv6):
        self.name, self.ipv4, self.ipv6 = name, ipv4, ipv6
        self.mac = netns.links()[ifname]["address"]
        self.own = {socket.inet_aton(ipv4), socket.inet_pton(socket.AF_INET6, ipv6)}
        # Two sockets, because one does not see what it has sent itself.
        self.out, self.into = raw_socket(netns, ifname), raw_socket(netns, ifname)
        self.into.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        self.into.settimeout(PATIENCE_S)
        for each in (self.out, self.into):
            each.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self.into.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.sent = 0  # packets, by us and by the kernel
        self.asking = None

    def address(self, family):
        return self.ipv4 if family == 4 else self.ipv6

    def router(self):
        """(MAC address, IPv4 address) of the router as it is seen from here."""
        return ROUTER, ROUTER_IPV4

    def close(self):
        self.out.close()
        self.into.close()

    def send(self, frame):
        self.out.send(bytes(frame if isinstance(frame, Unfinished) else Unfinished(bytes(frame))))

    def receive(self):
        """The next frame as it passes the socket, its tag or None, and whether the kernel here has sent it."""
        data, ancillary, _, source = self.into.recvmsg(1 << 17, 256)
        tci = None
        for level, kind, value in ancillary:
            if level == SOL_PACKET and kind == PACKET_AUXDATA:
                status, _, _, _, _, tag, _ = struct.unpack("=IIIHHHH", value[:20])
                tci = tag if status & VLAN_VALID else None
        return Unfinished.of(data), tci, source[2] == socket.PACKET_OUTGOING

    def question(self, mark):
        """A ping of the router with this payload; made by scapy once, because it is asked thousands of times."""
        if self.asking is None:
            mac, address = self.router()
            self.asking = bytes(Ether(src=self.mac, dst=mac) / IP(src=self.ipv4, dst=address) / ICMP(id=9, chksum=0) / bytes(len(mark)))
        frame = bytearray(self.asking[:-len(mark)] + mark)
        put16(frame, L3 + 22, ~total(frame[L3 + 20:]) & 0xffff)
        return bytes(frame)

    def until_router_answers(self):
        """What was received before the router answered a question that is asked now. There is no rule for the router's own
        address, so that the question stands in line behind whatever went to the slow path before it."""
        mark = b"barrier!" + next(self.numbers).to_bytes(8, "big")
        self.send(self.question(mark))
        seen = []
        while True:
            try:
                unfinished, tci, outgoing = self.receive()
            except TimeoutError:
                raise AssertionError(f"the router does not answer {self.name}") from None
            if outgoing:
                self.sent += len(unfinished.packets())
            elif mark in unfinished.frame and unfinished.frame[34] == 0:
                return seen
            elif b"barrier" not in unfinished.frame:
                seen += [frame if tci is None else tagged(frame, tci) for frame in unfinished.packets()]


class WirePlace(Place):
    """The world's end of the uplink's cable; with `vlan` all that is sent is on it."""

    def __init__(self, world, vlan=None):
        super().__init__("world", world, world.wire, ADDRESSES[4].peer, ADDRESSES[6].peer)
        self.vlan = vlan
        neighbours = json.loads(world.run("ip", "-json", "neigh", "show", ADDRESSES[4].wire).stdout)
        self.agent_mac = neighbours[0]["lladdr"]

    def router(self):
        return self.agent_mac, ADDRESSES[4].wire

    def send(self, frame):
        if self.vlan:
            frame = frame if isinstance(frame, Unfinished) else Unfinished(bytes(frame))
            moved = 4 if frame.flags & NEEDS_CSUM else 0
            frame = Unfinished(tagged(frame.frame, self.vlan), frame.flags, frame.gso_type, frame.hdr_len + moved, frame.gso_size,
                               frame.csum_start + moved, frame.csum_offset)
        super().send(frame)
