# SPDX-License-Identifier: BSD-3-Clause
"""The table of test_offload_parity: packets, what becomes of each, and who is to forward it where the NIC can.

A case is made for a Scene (two pods and the rest of the node) and gives the frames that its sender sends, in order.
"""

import dataclasses
import struct

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_LSRR, IPOption_NOP, IPOption_RR, IPOption_Timestamp
from scapy.layers.inet6 import (ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_Redirect,
                                ICMPv6ND_RS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6, IPv6ExtHdrDestOpt,
                                IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN, RouterAlert)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from unfinished import GSO_TCPV4, GSO_TCPV6, GSO_UDP, GSO_UDP_L4, NEEDS_CSUM, Unfinished, leave

ROUTER = "02:70:70:00:00:01"
MARK = b"podport-test-mark"
MTU = 4000  # of the pod network
SMALL, LARGE = 1500, 9000  # of two pods that have asked for their own

# Who forwards it where the NIC can: rules of the e-switch, the agent's graph, or whoever (only the result counts).
RULES, SLOW, EITHER = "rules", "slow path", "either"
# What becomes of it, with offload or without.
FORWARDED, ANSWERED, DROPPED, TO_HOST, COMES_BACK = "arrives", "is answered by the router", "is dropped", "reaches the host", "comes back"
ANYTHING = "is nobody's business, as long as it is the same"


@dataclasses.dataclass
class Scene:
    """a sends to b; c looks on; small and large have other MTUs; host is the host's port. Each has mac, ipv4 and ipv6."""
    a: object
    b: object
    c: object
    small: object
    large: object
    host: object


@dataclasses.dataclass
class Case:
    name: str
    path: str
    outcome: str
    build: object  # Scene, with sender and receiver as its a and b -> a frame or a list of them: scapy's, bytes, Unfinished
    sender: str = "a"
    receiver: str = "b"
    count: int = None  # packets that arrive, if that is not one for each that was sent


CASES = []


def case(name, path, outcome, build, **options):
    CASES.append(Case(name, path, outcome, build, **options))


def to_router(s, **changes):
    return Ether(**{"src": s.a.mac, "dst": ROUTER, **changes})


def v4(s, **changes):
    return IP(**{"src": s.a.ipv4, "dst": s.b.ipv4, "id": 777, **changes})


def v6(s, **changes):
    return IPv6(**{"src": s.a.ipv6, "dst": s.b.ipv6, **changes})


def ip(family, s, **changes):
    return v4(s, **changes) if family == 4 else v6(s, **changes)


def limit(family, value):
    return {"ttl" if family == 4 else "hlim": value}


def udp(payload=MARK, **changes):
    return UDP(**{"sport": 4000, "dport": 4001, **changes}) / Raw(payload)


def tcp(payload=MARK, **changes):
    return TCP(**{"sport": 4000, "dport": 4001, "flags": "PA", "seq": 1000, "ack": 2000, **changes}) / Raw(payload)


def sized(family, total):
    """UDP that makes an IP packet of so many bytes."""
    return udp(bytes(i % 251 for i in range(total - (28 if family == 4 else 48))))


def padded(frame, padding=b"\xee" * 30):
    return bytes(frame) + padding


def cut(frame, size):
    return bytes(frame)[:size]


def fragments4(packet, size):
    """An IPv4 packet in fragments of `size` bytes of payload each."""
    payload = bytes(packet.payload)
    pieces = []
    for at in range(0, len(payload), size):
        piece = packet.copy()
        piece.remove_payload()
        piece.flags = 1 if at + size < len(payload) else 0
        piece.frag, piece.proto = at // 8, packet.payload.overload_fields.get(IP, {}).get("proto", 17)
        pieces.append(piece / Raw(payload[at:at + size]))
    return pieces


# ---- what is to go by rules -------------------------------------------------------------------------------

for F in (4, 6):
    V = f"IPv{F}"
    case(f"{V} UDP", RULES, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / udp())
    case(f"{V} UDP without payload", RULES, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / udp(b""))
    case(f"{V} UDP of odd length", RULES, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / udp(b"odd"))
    case(f"{V} UDP with a checksum of zero", RULES, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / udp(chksum=0))
    case(f"{V} UDP with a wrong checksum", RULES, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / udp(chksum=0x1234))
    case(f"{V} UDP that says it is longer", EITHER, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / udp(len=999))
    case(f"{V} UDP that says it is shorter than its header", EITHER, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / udp(len=3))
    case(f"{V} VXLAN", RULES, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / UDP(sport=5, dport=4789)
         / Raw(b"\x08\0\0\0\0\0\x07\0" + bytes(to_router(s) / v4(s, src="192.0.2.1", dst=s.b.ipv4, ttl=1) / udp())))
    case(f"{V} TCP", RULES, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / tcp())
    case(f"{V} TCP of odd length", RULES, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / tcp(b"odd"))
    case(f"{V} TCP SYN with options", RULES, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / tcp(
        b"", flags="S", options=[("MSS", 1460), ("NOP", None), ("WScale", 7), ("SAckOK", b""), ("Timestamp", (1, 0))]))
    case(f"{V} TCP RST", RULES, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / tcp(b"", flags="R"))
    case(f"{V} TCP with a wrong checksum", RULES, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / tcp(chksum=1))
    case(f"{V} TCP whose header is longer than it", EITHER, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / tcp(b"", dataofs=15))
    case(f"{V} TCP whose header is shorter than one", EITHER, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / tcp(dataofs=2))
    case(f"{V} TCP cut short", EITHER, FORWARDED, lambda s, F=F: to_router(s) / (
        v4(s, proto=6) if F == 4 else v6(s, nh=6)) / Raw(bytes(tcp())[:9]))
    case(f"{V} UDP cut short", EITHER, FORWARDED, lambda s, F=F: to_router(s) / (
        v4(s, proto=17) if F == 4 else v6(s, nh=17)) / Raw(b"\x0f\xa0\x0f"))
    case(f"{V} SCTP", RULES, FORWARDED, lambda s, F=F: to_router(s) / (
        v4(s, proto=132) if F == 4 else v6(s, nh=132)) / Raw(MARK))
    case(f"{V} of a protocol nobody knows", RULES, FORWARDED, lambda s, F=F: to_router(s) / (
        v4(s, proto=253) if F == 4 else v6(s, nh=253)) / Raw(MARK))
    case(f"{V} without payload", RULES, FORWARDED, lambda s, F=F: to_router(s) / (v4(s, proto=253) if F == 4 else v6(s, nh=59)))
    case(f"{V} in {V}", RULES, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / ip(F, s, **limit(F, 1)) / udp())
    case(f"{V} with every bit of its traffic class", RULES, FORWARDED, lambda s, F=F: to_router(s) / ip(
        F, s, **({"tos": 0xff} if F == 4 else {"tc": 0xff, "fl": 0xfffff})) / udp())
    for TTL in (2, 3, 64, 128, 255):
        case(f"{V} with {TTL} hops to go", RULES, FORWARDED,
             lambda s, F=F, TTL=TTL: to_router(s) / ip(F, s, **limit(F, TTL)) / udp())
    case(f"{V} as long as the MTU", RULES, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / sized(F, MTU))
    case(f"{V} with padding behind it", RULES, FORWARDED, lambda s, F=F: padded(to_router(s) / ip(F, s) / udp()))
    case(f"{V} with one byte of padding", RULES, FORWARDED, lambda s, F=F: padded(to_router(s) / ip(F, s) / udp(), b"\0"))
    case(f"{V} a hundred in a row", RULES, FORWARDED, lambda s, F=F: [
        to_router(s) / ip(F, s) / udp(MARK + bytes([n])) for n in range(100)])
    case(f"{V} from the host to a pod", RULES, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / udp(), sender="host")
    case(f"{V} as long as the MTU from the host", RULES, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / sized(F, MTU), sender="host")
    case(f"{V} in segments from the host", RULES, FORWARDED,
         lambda s, F=F: leave(to_router(s) / ip(F, s) / tcp(bytes(i % 251 for i in range(5000))), mss=1000), sender="host")
    case(f"{V} from another address of the host's", SLOW, FORWARDED,
         lambda s, F=F: to_router(s) / ip(F, s, src="192.0.2.77" if F == 4 else "2001:db8::77") / udp(), sender="host")
    case(f"{V} from the host by another pod's address", SLOW, DROPPED,
         lambda s, F=F: to_router(s) / ip(F, s, src=s.c.address(F)) / udp(), sender="host")
    case(f"{V} from the host to itself", EITHER, ANYTHING, lambda s, F=F: to_router(s) / ip(F, s, dst=s.a.address(F)) / udp(), sender="host")
    case(f"{V} from the host to a smaller pod", RULES, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / udp(), sender="host", receiver="small")
    case(f"{V} with no hop to go from the host", SLOW, ANSWERED,
         lambda s, F=F: to_router(s) / ip(F, s, **limit(F, 1)) / udp(), sender="host")

case("IPv4 echo request", RULES, FORWARDED, lambda s: to_router(s) / v4(s) / ICMP(id=5, seq=6) / Raw(MARK))
case("IPv4 echo reply", RULES, FORWARDED, lambda s: to_router(s) / v4(s) / ICMP(type=0, id=5, seq=6) / Raw(MARK))
case("IPv4 echo request with a wrong ICMP checksum", RULES, FORWARDED, lambda s: to_router(s) / v4(s) / ICMP(chksum=7) / Raw(MARK))
case("IPv4 ICMP error between pods", RULES, FORWARDED,
     lambda s: to_router(s) / v4(s) / ICMP(type=3, code=3) / IP(src=s.b.ipv4, dst=s.a.ipv4) / UDP(sport=4001, dport=4000))
case("IPv4 ICMP cut short", EITHER, FORWARDED, lambda s: to_router(s) / v4(s, proto=1) / Raw(b"\x08\0"))
case("IPv6 echo request", RULES, FORWARDED, lambda s: to_router(s) / v6(s) / ICMPv6EchoRequest(id=5, seq=6, data=MARK))
case("IPv6 echo reply", RULES, FORWARDED, lambda s: to_router(s) / v6(s) / ICMPv6EchoReply(id=5, seq=6, data=MARK))
case("IPv6 ICMP cut short", EITHER, FORWARDED, lambda s: to_router(s) / v6(s, nh=58) / Raw(b"\x80\0"))
case("IPv6 ICMP without a byte", EITHER, FORWARDED, lambda s: to_router(s) / v6(s, nh=58))

case("IPv4 in fragments", RULES, FORWARDED, lambda s: [
    to_router(s) / piece for piece in fragments4(v4(s) / sized(4, 4000), 1480)])
case("IPv4 in fragments, backwards", RULES, FORWARDED, lambda s: [
    to_router(s) / piece for piece in reversed(fragments4(v4(s) / sized(4, 4000), 1480))])
case("IPv4 in fragments of eight bytes, the UDP header alone in the first", RULES, FORWARDED, lambda s: [
    to_router(s) / piece for piece in fragments4(v4(s) / udp(), 8)])
case("IPv4 first fragment of TCP with part of its header", EITHER, FORWARDED, lambda s: [
    to_router(s) / v4(s, proto=6, flags="MF") / Raw(bytes(tcp())[:8])])
case("IPv4 a later fragment alone", RULES, FORWARDED, lambda s: to_router(s) / v4(s, proto=17, frag=100) / Raw(MARK))
case("IPv4 a middle fragment alone", RULES, FORWARDED, lambda s: to_router(s) / v4(s, proto=17, frag=100, flags="MF") / Raw(MARK * 8))
case("IPv4 fragments that overlap", RULES, FORWARDED, lambda s: [
    to_router(s) / v4(s, proto=17, flags="MF") / Raw(b"\x0f\xa0\x0f\xa1\0\x40\0\0" + b"x" * 24),
    to_router(s) / v4(s, proto=17, frag=1) / Raw(b"y" * 32)])
case("IPv4 fragment with DF", RULES, FORWARDED, lambda s: to_router(s) / v4(s, proto=17, frag=9, flags="DF+MF") / Raw(MARK * 8))
case("IPv4 with the reserved flag", RULES, FORWARDED, lambda s: to_router(s) / v4(s, flags="evil") / udp())
case("IPv4 with DF", RULES, FORWARDED, lambda s: to_router(s) / v4(s, flags="DF") / udp())
case("IPv4 fragment with no hop to go", SLOW, ANSWERED, lambda s: to_router(s) / v4(s, ttl=1, flags="MF") / udp(b"x" * 16))
case("IPv4 later fragment with no hop to go", SLOW, DROPPED, lambda s: to_router(s) / v4(s, ttl=1, proto=17, frag=9) / Raw(MARK))

HEADERS = {
    "hop-by-hop options": lambda: IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]),
    "a router alert": lambda: IPv6ExtHdrHopByHop(options=[RouterAlert(value=0)]),
    "destination options": lambda: IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 12)]),
    "a routing header that is used up": lambda: IPv6ExtHdrRouting(type=0, segleft=0, addresses=["2001:db8::1"]),
    "a routing header": lambda: IPv6ExtHdrRouting(type=0, segleft=1, addresses=["2001:db8::1"]),
    "a segment routing header": lambda: IPv6ExtHdrRouting(type=4, segleft=0, addresses=["2001:db8::1"]),
    "an atomic fragment header": lambda: IPv6ExtHdrFragment(id=7),
}
for WHAT, HEADER in HEADERS.items():
    case(f"IPv6 UDP behind {WHAT}", RULES, FORWARDED, lambda s, H=HEADER: to_router(s) / v6(s) / H() / udp())
    case(f"IPv6 echo request behind {WHAT}", RULES, FORWARDED,
         lambda s, H=HEADER: to_router(s) / v6(s) / H() / ICMPv6EchoRequest(data=MARK))
    case(f"IPv6 with no hop to go behind {WHAT}", SLOW, ANSWERED, lambda s, H=HEADER: to_router(s) / v6(s, hlim=1) / H() / tcp())
case("IPv6 TCP behind all extension headers at once", RULES, FORWARDED, lambda s: to_router(s) / v6(s) / IPv6ExtHdrHopByHop()
     / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting(type=0, segleft=0, addresses=["2001:db8::1"]) / IPv6ExtHdrDestOpt() / tcp())
case("IPv6 first fragment", RULES, FORWARDED, lambda s: to_router(s) / v6(s) / IPv6ExtHdrFragment(m=1, id=7) / udp(b"x" * 16))
case("IPv6 later fragment", RULES, FORWARDED, lambda s: to_router(s) / v6(s) / IPv6ExtHdrFragment(offset=9, nh=17, id=7) / Raw(MARK))
case("IPv6 middle fragment", RULES, FORWARDED,
     lambda s: to_router(s) / v6(s) / IPv6ExtHdrFragment(offset=9, m=1, nh=17, id=7) / Raw(b"x" * 32))
case("IPv6 behind ten destination options headers", EITHER, FORWARDED,
     lambda s: to_router(s) / v6(s, nh=60) / Raw(b"\x3c\0\x01\x04\0\0\0\0" * 9 + b"\x11\0\x01\x04\0\0\0\0" + bytes(udp())))
case("IPv6 extension header longer than the packet", EITHER, FORWARDED,
     lambda s: to_router(s) / v6(s, nh=60) / Raw(b"\x11\xff\x01\x04\0\0\0\0" + bytes(udp())))
case("IPv6 extension header cut short", EITHER, FORWARDED, lambda s: to_router(s) / v6(s, nh=0) / Raw(b"\x11\0\x01"))
case("IPv6 fragment header cut short", EITHER, FORWARDED, lambda s: to_router(s) / v6(s, nh=44) / Raw(b"\x11\0\0\x01"))
case("IPv6 authentication header", EITHER, FORWARDED,
     lambda s: to_router(s) / v6(s, nh=51) / Raw(b"\x11\x04\0\0" + b"\0" * 20 + bytes(udp())))
case("IPv6 ESP", RULES, FORWARDED, lambda s: to_router(s) / v6(s, nh=50) / Raw(b"\0\0\0\1\0\0\0\2" + MARK))

# ---- what the rules leave to the slow path ----------------------------------------------------------------

for F in (4, 6):
    V = f"IPv{F}"
    for TTL in (0, 1):
        case(f"{V} UDP with {TTL} hops to go", SLOW, ANSWERED, lambda s, F=F, TTL=TTL: to_router(s) / ip(F, s, **limit(F, TTL)) / udp())
        case(f"{V} TCP with {TTL} hops to go", SLOW, ANSWERED, lambda s, F=F, TTL=TTL: to_router(s) / ip(F, s, **limit(F, TTL)) / tcp())
    case(f"{V} as long as the MTU with no hop to go", SLOW, ANSWERED, lambda s, F=F: to_router(s) / ip(F, s, **limit(F, 1)) / sized(F, MTU))
    case(f"{V} padded with no hop to go", SLOW, ANSWERED, lambda s, F=F: padded(to_router(s) / ip(F, s, **limit(F, 1)) / udp()))
    NOBODY, OUTSIDE = ("10.88.200.200", "192.0.2.1") if F == 4 else ("fd00:10:88::dead", "2001:db8::1")
    case(f"{V} to an address nobody has", SLOW, ANSWERED, lambda s, F=F, D=NOBODY: to_router(s) / ip(F, s, dst=D) / udp())
    case(f"{V} to outside of the pod network", SLOW, ANSWERED, lambda s, F=F, D=OUTSIDE: to_router(s) / ip(F, s, dst=D) / udp())
    case(f"{V} to the gateway", RULES, TO_HOST, lambda s, F=F: to_router(s) / ip(F, s, dst=s.host.address(F)) / udp())
    case(f"{V} to the gateway with no hop to go", SLOW, ANSWERED,
         lambda s, F=F: to_router(s) / ip(F, s, dst=s.host.address(F), **limit(F, 1)) / udp())
    case(f"{V} to itself", EITHER, COMES_BACK, lambda s, F=F: to_router(s) / ip(F, s, dst=s.a.address(F)) / udp())
    case(f"{V} to the router's link-local address", SLOW, ANSWERED,
         lambda s, F=F: to_router(s) / ip(F, s, dst="169.254.1.1" if F == 4 else "fe80::1") / udp())
    # The NIC takes no frame that is beyond its function's MTU, whatever the pod has set its interface to.
    for SIZE in (MTU + 1, LARGE):
        case(f"{V} of {SIZE} bytes, beyond the sender's own MTU", SLOW, DROPPED,
             lambda s, F=F, N=SIZE: to_router(s) / ip(F, s) / sized(F, N))
    case(f"{V} as long as the MTU of a smaller pod", RULES, FORWARDED,
         lambda s, F=F: to_router(s) / ip(F, s) / sized(F, SMALL), receiver="small")
    case(f"{V} one byte beyond the MTU of a smaller pod", SLOW, FORWARDED if F == 4 else ANSWERED,
         lambda s, F=F: to_router(s) / ip(F, s) / sized(F, SMALL + 1), receiver="small", count=2)
    case(f"{V} jumbo to a smaller pod", SLOW, FORWARDED if F == 4 else ANSWERED,
         lambda s, F=F: to_router(s) / ip(F, s) / sized(F, MTU), receiver="small", count=3)
    case(f"{V} from a smaller pod", RULES, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / sized(F, SMALL), sender="small")
    case(f"{V} from a larger pod", RULES, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / udp(), sender="large")
    case(f"{V} one byte beyond the receiver's MTU from a larger pod", SLOW, FORWARDED if F == 4 else ANSWERED,
         lambda s, F=F: to_router(s) / ip(F, s) / sized(F, MTU + 1), sender="large", count=2)
    case(f"{V} jumbo from a larger pod", SLOW, FORWARDED if F == 4 else ANSWERED,
         lambda s, F=F: to_router(s) / ip(F, s) / sized(F, LARGE), sender="large", count=3)
    case(f"{V} jumbo from a larger pod to a smaller one", SLOW, FORWARDED if F == 4 else ANSWERED,
         lambda s, F=F: to_router(s) / ip(F, s) / sized(F, LARGE), sender="large", receiver="small", count=7)
    case(f"{V} jumbo from a larger pod with no hop to go", SLOW, ANSWERED,
         lambda s, F=F: to_router(s) / ip(F, s, **limit(F, 1)) / sized(F, LARGE), sender="large")
    case(f"{V} to a larger pod", RULES, FORWARDED, lambda s, F=F: to_router(s) / ip(F, s) / sized(F, MTU), receiver="large")
    case(f"{V} from a smaller to a larger pod", RULES, FORWARDED,
         lambda s, F=F: to_router(s) / ip(F, s) / sized(F, SMALL), sender="small", receiver="large")
    # Sources that are not the sender's.
    for WHO, ADDRESS in {"another pod's": lambda s, F: s.c.address(F), "the receiver's": lambda s, F: s.b.address(F),
                         "the gateway's": lambda s, F: s.host.address(F),
                         "outside": lambda s, F: "192.0.2.1" if F == 4 else "2001:db8::1",
                         "a free one": lambda s, F: "10.88.123.123" if F == 4 else "fd00:10:88::bad",
                         "loopback": lambda s, F: "127.0.0.1" if F == 4 else "::1",
                         "unspecified": lambda s, F: "0.0.0.0" if F == 4 else "::",
                         "multicast": lambda s, F: "224.0.0.1" if F == 4 else "ff02::1",
                         "link-local": lambda s, F: "169.254.7.7" if F == 4 else "fe80::7",
                         "the router's link-local": lambda s, F: "169.254.1.1" if F == 4 else "fe80::1"}.items():
        case(f"{V} with a forged source address: {WHO}", SLOW, DROPPED, lambda s, F=F, A=ADDRESS: to_router(s) / ip(F, s, src=A(s, F)) / udp())
    case(f"{V} with source MAC and address of another pod", SLOW, DROPPED,
         lambda s, F=F: to_router(s, src=s.c.mac) / ip(F, s, src=s.c.address(F)) / udp())
    for WHO, MAC in {"another pod's": lambda s: s.c.mac, "the receiver's": lambda s: s.b.mac, "the router's": lambda s: ROUTER,
                     "nobody's": lambda s: "02:00:00:00:00:99", "zero": lambda s: "00:00:00:00:00:00",
                     "broadcast": lambda s: "ff:ff:ff:ff:ff:ff", "the group of its own": lambda s: "03" + s.a.mac[2:]}.items():
        case(f"{V} with a forged source MAC: {WHO}", SLOW, DROPPED, lambda s, F=F, M=MAC: to_router(s, src=M(s)) / ip(F, s) / udp())
    for WHO, MAC in {"the receiver's": lambda s: s.b.mac, "another pod's": lambda s: s.c.mac, "the sender's": lambda s: s.a.mac,
                     "the host's": lambda s: s.host.mac, "nobody's": lambda s: "02:00:00:00:00:42",
                     "broadcast": lambda s: "ff:ff:ff:ff:ff:ff", "multicast": lambda s: "01:00:5e:00:00:05",
                     "the group of the router's": lambda s: "03" + ROUTER[2:]}.items():
        case(f"{V} with a wrong destination MAC: {WHO}", SLOW, DROPPED, lambda s, F=F, M=MAC: to_router(s, dst=M(s)) / ip(F, s) / udp())
    TYPE = 0x0800 if F == 4 else 0x86dd
    for WHAT, TAGS in {"a VLAN tag": lambda T: Dot1Q(vlan=5, type=T), "priority without VLAN": lambda T: Dot1Q(vlan=0, prio=5, type=T),
                       "a provider's VLAN tag": lambda T: Dot1AD(vlan=5, type=T),
                       "two VLAN tags": lambda T: Dot1AD(vlan=5) / Dot1Q(vlan=6, type=T),
                       "three VLAN tags": lambda T: Dot1Q(vlan=5) / Dot1Q(vlan=6) / Dot1Q(vlan=7, type=T)}.items():
        case(f"{V} with {WHAT}", SLOW, DROPPED, lambda s, F=F, T=TYPE, G=TAGS: to_router(s) / G(T) / ip(F, s) / udp())
    case(f"{V} called IPv{10 - F} by Ethernet", SLOW, DROPPED,
         lambda s, F=F: to_router(s, type=0x86dd if F == 4 else 0x0800) / Raw(bytes(ip(F, s) / udp())))
    for VERSION in (0, 5, 7, 15):
        case(f"{V} called version {VERSION}", SLOW, DROPPED, lambda s, F=F, N=VERSION: to_router(s) / ip(F, s, version=N) / udp())
    HEADER = 20 if F == 4 else 40
    for SIZE in (14, 15, 20, 14 + HEADER // 2, 14 + HEADER - 1):
        case(f"{V} cut to {SIZE} bytes", SLOW, DROPPED, lambda s, F=F, N=SIZE: cut(to_router(s) / ip(F, s) / udp(), N))
    case(f"{V} cut behind its header", SLOW, DROPPED, lambda s, F=F, H=HEADER: cut(to_router(s) / ip(F, s) / udp(), 14 + H))
    case(f"{V} cut by one byte", SLOW, DROPPED, lambda s, F=F: bytes(to_router(s) / ip(F, s) / udp())[:-1])
    case(f"{V} whose length is beyond the frame", SLOW, DROPPED,
         lambda s, F=F: to_router(s) / ip(F, s, **({"len": 1400} if F == 4 else {"plen": 1400})) / udp())
    case(f"{V} whose length is the largest there is", SLOW, DROPPED,
         lambda s, F=F: to_router(s) / ip(F, s, **({"len": 65535} if F == 4 else {"plen": 65535})) / udp())
    case(f"{V} whose length ends in the middle of UDP", EITHER, FORWARDED,
         lambda s, F=F: to_router(s) / ip(F, s, **({"len": 24} if F == 4 else {"plen": 4})) / udp())
    case(f"{V} to multicast", SLOW, DROPPED, lambda s, F=F: to_router(
        s, dst="01:00:5e:00:00:05" if F == 4 else "33:33:00:00:00:05") / ip(F, s, dst="224.0.0.5" if F == 4 else "ff02::5") / udp())
    case(f"{V} to multicast by the router", SLOW, DROPPED,
         lambda s, F=F: to_router(s) / ip(F, s, dst="239.1.2.3" if F == 4 else "ff0e::5") / udp())
    case(f"{V} to loopback", SLOW, DROPPED, lambda s, F=F: to_router(s) / ip(F, s, dst="127.0.0.1" if F == 4 else "::1") / udp())
    case(f"{V} to a link-local address", SLOW, DROPPED, lambda s, F=F: to_router(s) / ip(F, s, dst="169.254.7.7" if F == 4 else "fe80::7") / udp())
    case(f"{V} to the unspecified address", SLOW, DROPPED, lambda s, F=F: to_router(s) / ip(F, s, dst="0.0.0.0" if F == 4 else "::") / udp())

OPTIONS = {"record route": IPOption_RR(pointer=4, routers=["0.0.0.0"] * 3), "a timestamp": IPOption_Timestamp(),
           "a loose source route": IPOption_LSRR(pointer=4, routers=["192.0.2.1"]), "nothing but NOPs": [IPOption_NOP()] * 40,
           "a router alert": Raw(b"\x94\x04\0\0"), "an option that is malformed": Raw(b"\x07\xff\x04\0")}
for WHAT, OPTION in OPTIONS.items():
    case(f"IPv4 with options: {WHAT}", SLOW, FORWARDED,
         lambda s, O=OPTION: to_router(s) / v4(s, options=O if isinstance(O, list) else [O]) / udp())
case("IPv4 with options and no hop to go", SLOW, ANSWERED, lambda s: to_router(s) / v4(s, ttl=1, options=[IPOption_NOP()] * 4) / udp())
case("IPv4 with options beyond the frame", SLOW, DROPPED, lambda s: cut(to_router(s) / v4(s, options=[IPOption_NOP()] * 40), 50))
case("IPv4 whose header says it is below five words", SLOW, DROPPED, lambda s: to_router(s) / v4(s, ihl=4) / udp())
case("IPv4 whose header says it is longer than the packet", SLOW, DROPPED, lambda s: to_router(s) / v4(s, ihl=15) / udp(b""))
case("IPv4 whose length is below its header's", SLOW, DROPPED, lambda s: to_router(s) / v4(s, len=19) / udp())
case("IPv4 whose length is zero", SLOW, DROPPED, lambda s: to_router(s) / v4(s, len=0) / udp())
case("IPv4 with a wrong header checksum", SLOW, DROPPED, lambda s: to_router(s) / v4(s, chksum=0x1234) / udp())
case("IPv4 with a header checksum of zero", SLOW, DROPPED, lambda s: to_router(s) / v4(s, chksum=0) / udp())
case("IPv4 with a wrong header checksum and no hop to go", SLOW, DROPPED, lambda s: to_router(s) / v4(s, ttl=1, chksum=0x1234) / udp())
case("IPv4 jumbo with DF to a smaller pod", SLOW, ANSWERED,
     lambda s: to_router(s) / v4(s, flags="DF") / sized(4, MTU), receiver="small")
case("IPv4 jumbo with DF from a larger pod", SLOW, ANSWERED,
     lambda s: to_router(s) / v4(s, flags="DF") / sized(4, LARGE), sender="large")
case("IPv4 fragment beyond the MTU of a smaller pod", SLOW, FORWARDED,
     lambda s: to_router(s) / v4(s, flags="MF") / sized(4, 2004), receiver="small", count=2)
case("IPv4 later fragment beyond the MTU of a smaller pod", SLOW, FORWARDED,
     lambda s: to_router(s) / v4(s, proto=17, frag=100) / Raw(b"x" * 3000), receiver="small", count=3)
case("IPv4 broadcast", SLOW, DROPPED, lambda s: to_router(s, dst="ff:ff:ff:ff:ff:ff") / v4(s, dst="255.255.255.255") / udp())
case("IPv4 broadcast by the router", SLOW, DROPPED, lambda s: to_router(s) / v4(s, dst="255.255.255.255") / udp())
case("IPv4 to the pod network's broadcast address", SLOW, DROPPED, lambda s: to_router(s) / v4(s, dst="10.88.255.255") / udp())
case("IPv4 to the pod network's own address", SLOW, DROPPED, lambda s: to_router(s) / v4(s, dst="10.88.0.0") / udp())
case("IPv4 echo request to the gateway", RULES, TO_HOST, lambda s: to_router(s) / v4(s, dst=s.host.ipv4) / ICMP(id=5) / Raw(MARK))
case("IPv6 echo request to the gateway", RULES, TO_HOST, lambda s: to_router(s) / v6(s, dst=s.host.ipv6) / ICMPv6EchoRequest(data=MARK))
case("IPv4 ICMP error with no hop to go", SLOW, DROPPED,
     lambda s: to_router(s) / v4(s, ttl=1) / ICMP(type=3, code=3) / IP(src=s.b.ipv4, dst=s.a.ipv4) / UDP())
case("IPv6 flow label and TTL 1 in IPv6", SLOW, ANSWERED, lambda s: to_router(s) / v6(s, hlim=1, fl=0x12345, tc=0xb8) / udp())

# Neighbour discovery stays on its link, whomever it is addressed to.
for WHAT, MESSAGE in {"a neighbour solicitation": lambda s: ICMPv6ND_NS(tgt=s.b.ipv6) / ICMPv6NDOptSrcLLAddr(lladdr=s.a.mac),
                      "a neighbour advertisement": lambda s: ICMPv6ND_NA(tgt=s.host.ipv6, R=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=s.a.mac),
                      "a router solicitation": lambda s: ICMPv6ND_RS(), "a router advertisement": lambda s: ICMPv6ND_RA(),
                      "a redirect": lambda s: ICMPv6ND_Redirect(tgt=s.a.ipv6, dst=s.host.ipv6)}.items():
    case(f"{WHAT} to a pod's address", SLOW, DROPPED, lambda s, M=MESSAGE: to_router(s) / v6(s, hlim=255) / M(s))
    case(f"{WHAT} to a pod's address, not from this link", SLOW, DROPPED, lambda s, M=MESSAGE: to_router(s) / v6(s, hlim=64) / M(s))
    case(f"{WHAT} to everybody", SLOW, DROPPED,
         lambda s, M=MESSAGE: to_router(s, dst="33:33:00:00:00:01") / v6(s, hlim=255, dst="ff02::1") / M(s))

# What a DHCP server says to a client, and what looks like it.
for F in (4, 6):
    V, (SERVER, CLIENT) = f"IPv{F}", (67, 68) if F == 4 else (547, 546)
    ANSWER = {"sport": SERVER, "dport": CLIENT}
    case(f"{V} answer of a DHCP server", SLOW, DROPPED, lambda s, F=F, A=ANSWER: to_router(s) / ip(F, s) / udp(**A))
    case(f"{V} answer of a DHCP server without payload", SLOW, DROPPED, lambda s, F=F, A=ANSWER: to_router(s) / ip(F, s) / udp(b"", **A))
    case(f"{V} question of a DHCP client", RULES, FORWARDED,
         lambda s, F=F, A=ANSWER: to_router(s) / ip(F, s) / udp(sport=A["dport"], dport=A["sport"]))
    case(f"{V} of a DHCP relay", RULES, FORWARDED,
         lambda s, F=F, A=ANSWER: to_router(s) / ip(F, s) / udp(sport=A["sport"], dport=A["sport"]))
    case(f"{V} TCP with a DHCP server's ports", RULES, FORWARDED, lambda s, F=F, A=ANSWER: to_router(s) / ip(F, s) / tcp(**A))
    case(f"{V} answer of a DHCP server, cut within its ports", EITHER, FORWARDED, lambda s, F=F, A=ANSWER: to_router(s) / (
        v4(s, proto=17) if F == 4 else v6(s, nh=17)) / Raw(bytes(udp(**A))[:7]))
case("IPv4 first fragment of a DHCP server's answer", SLOW, DROPPED,
     lambda s: to_router(s) / v4(s, flags="MF") / udp(MARK * 4, sport=67, dport=68))
case("IPv4 later fragment that looks like a DHCP server's answer", RULES, FORWARDED,
     lambda s: to_router(s) / v4(s, frag=9, proto=17) / Raw(bytes(udp(sport=67, dport=68))))
case("IPv4 answer of a DHCP server behind options", SLOW, DROPPED,
     lambda s: to_router(s) / v4(s, options=[IPOption_NOP()] * 4) / udp(sport=67, dport=68))
for WHAT, EXTENSION, BECOMES in (
        ("hop-by-hop options", lambda: IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]), DROPPED),
        ("destination options", lambda: IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)]), DROPPED),
        ("a fragment header", lambda: IPv6ExtHdrFragment(m=1, nh=17), DROPPED),
        ("a later fragment's header", lambda: IPv6ExtHdrFragment(offset=9, nh=17), FORWARDED)):
    case(f"IPv6 answer of a DHCP server behind {WHAT}", SLOW if BECOMES == DROPPED else EITHER, BECOMES,
         lambda s, E=EXTENSION: to_router(s) / v6(s) / E() / udp(sport=547, dport=546))
case("IPv6 answer of a DHCP server behind what no NIC looks behind", EITHER, FORWARDED,
     lambda s: to_router(s) / v6(s, nh=51) / Raw(bytes([17, 4]) + bytes(22)) / udp(sport=547, dport=546))
case("neighbour solicitation with another pod's MAC inside", SLOW, DROPPED,
     lambda s: to_router(s, dst="33:33:ff:00:00:01") / v6(s, dst="ff02::1:ff00:1", hlim=255) /
     ICMPv6ND_NS(tgt=s.host.ipv6) / ICMPv6NDOptSrcLLAddr(lladdr=s.b.mac))
case("ARP for another pod", SLOW, DROPPED,
     lambda s: to_router(s, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=s.a.mac, psrc=s.a.ipv4, pdst=s.b.ipv4))
case("ARP for the gateway", SLOW, ANSWERED,
     lambda s: to_router(s, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=s.a.mac, psrc=s.a.ipv4, pdst=s.host.ipv4))
case("ARP that poses as the gateway", SLOW, DROPPED,
     lambda s: to_router(s, dst="ff:ff:ff:ff:ff:ff") / ARP(op=2, hwsrc=s.a.mac, psrc=s.host.ipv4, hwdst=s.b.mac, pdst=s.b.ipv4))
case("ARP to another pod's MAC", SLOW, DROPPED,
     lambda s: to_router(s, dst=s.b.mac) / ARP(op=1, hwsrc=s.a.mac, psrc=s.a.ipv4, pdst=s.b.ipv4))
case("ARP cut short", SLOW, DROPPED,
     lambda s: cut(to_router(s, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=s.a.mac, psrc=s.a.ipv4, pdst=s.host.ipv4), 30))
case("an Ethernet type nobody knows", SLOW, DROPPED, lambda s: to_router(s, type=0x88b5) / Raw(MARK * 4))
case("LLDP", SLOW, DROPPED, lambda s: to_router(s, dst="01:80:c2:00:00:0e", type=0x88cc) / Raw(b"\x02\x07\x04" + MARK))
case("an IEEE 802.3 length in place of a type", SLOW, DROPPED, lambda s: to_router(s, type=40) / Raw(b"\xaa\xaa\x03" + MARK * 3))
case("MPLS", SLOW, DROPPED, lambda s: to_router(s, type=0x8847) / Raw(struct.pack("!I", 16 << 12 | 1 << 8 | 64) + bytes(v4(s) / udp())))
case("an Ethernet header and no more", SLOW, DROPPED, lambda s: to_router(s, type=0x88b5))

# ---- what a stack leaves to the NIC -----------------------------------------------------------------------


def data(size):
    return bytes(i % 251 for i in range(size))


def leave_zero(headers, l4):
    """With two bytes of payload for which the checksum comes out as zero."""
    probe = leave(headers / l4(b"\0" * 18))
    field = probe.csum_start + probe.csum_offset
    return leave(headers / l4(probe.packets()[0][field:field + 2] + b"\0" * 16))


for F in (4, 6):
    V = f"IPv{F}"
    for WHAT, SEGMENT in {"UDP": udp, "TCP": tcp}.items():
        case(f"{V} {WHAT}, its checksum left to the NIC", RULES, FORWARDED, lambda s, F=F, L4=SEGMENT: leave(to_router(s) / ip(F, s) / L4()))
        case(f"{V} {WHAT} of odd length, its checksum left to the NIC", RULES, FORWARDED,
             lambda s, F=F, L4=SEGMENT: leave(to_router(s) / ip(F, s) / L4(b"odd")))
        case(f"{V} {WHAT} without payload, its checksum left to the NIC", RULES, FORWARDED,
             lambda s, F=F, L4=SEGMENT: leave(to_router(s) / ip(F, s) / L4(b"")))
        case(f"{V} {WHAT} as long as the MTU, its checksum left to the NIC", RULES, FORWARDED,
             lambda s, F=F, L4=SEGMENT: leave(to_router(s) / ip(F, s) / L4(data(MTU - (20 if F == 4 else 40) - (8 if L4 is udp else 20)))))
        case(f"{V} {WHAT} with no hop to go, its checksum left to the NIC", SLOW, ANSWERED,
             lambda s, F=F, L4=SEGMENT: leave(to_router(s) / ip(F, s, **limit(F, 1)) / L4()))
        case(f"{V} {WHAT} to the gateway, its checksum left to the NIC", RULES, TO_HOST,
             lambda s, F=F, L4=SEGMENT: leave(to_router(s) / ip(F, s, dst=s.host.address(F)) / L4()))
        case(f"{V} {WHAT} from another pod's address, its checksum left to the NIC", SLOW, DROPPED,
             lambda s, F=F, L4=SEGMENT: leave(to_router(s) / ip(F, s, src=s.c.address(F)) / L4()))
        case(f"{V} {WHAT} from a larger pod, its checksum left to the NIC", RULES, FORWARDED,
             lambda s, F=F, L4=SEGMENT: leave(to_router(s) / ip(F, s) / L4()), sender="large")
        case(f"{V} {WHAT} in VXLAN, its checksum left to the NIC", RULES, FORWARDED, lambda s, F=F, L4=SEGMENT: leave(
            to_router(s) / ip(F, s) / UDP(sport=5, dport=4789, chksum=0) / VXLAN(vni=7) / Ether(src=s.a.mac, dst=s.b.mac) / ip(F, s) / L4()))
        # What becomes UDP's checksum when it is zero.
        case(f"{V} {WHAT} whose checksum comes out as zero, left to the NIC", RULES, FORWARDED,
             lambda s, F=F, L4=SEGMENT: leave_zero(to_router(s) / ip(F, s), L4))
    case(f"{V} TCP with options, its checksum left to the NIC", RULES, FORWARDED, lambda s, F=F: leave(
        to_router(s) / ip(F, s) / tcp(b"", flags="S", options=[("MSS", 1460), ("NOP", None), ("WScale", 7), ("SAckOK", b"")])))

    for WHAT, SEGMENT in {"TCP": tcp, "UDP": udp}.items():
        for SIZE, MSS in ((3500, 1000), (3000, 1000), (1001, 1000), (1000, 1000), (200, 7), (60000, 1400), (20000, MTU - 80)):
            case(f"{V} {WHAT} of {SIZE} bytes in segments of {MSS}", RULES, FORWARDED,
                 lambda s, F=F, L4=SEGMENT, N=SIZE, M=MSS: leave(to_router(s) / ip(F, s) / L4(data(N)), mss=M))
        case(f"{V} {WHAT} in segments of one byte", RULES, FORWARDED,
             lambda s, F=F, L4=SEGMENT: leave(to_router(s) / ip(F, s) / L4(data(40)), mss=1))
        case(f"{V} {WHAT} in segments to a larger pod", RULES, FORWARDED,
             lambda s, F=F, L4=SEGMENT: leave(to_router(s) / ip(F, s) / L4(data(20000)), mss=3000), receiver="large")
        case(f"{V} {WHAT} in segments from a smaller pod", RULES, FORWARDED,
             lambda s, F=F, L4=SEGMENT: leave(to_router(s) / ip(F, s) / L4(data(20000)), mss=1400), sender="small")
        case(f"{V} {WHAT} in segments from a larger pod", RULES, FORWARDED,
             lambda s, F=F, L4=SEGMENT: leave(to_router(s) / ip(F, s) / L4(data(20000)), mss=3000), sender="large")
        case(f"{V} {WHAT} in segments to a smaller pod", RULES, FORWARDED,
             lambda s, F=F, L4=SEGMENT: leave(to_router(s) / ip(F, s) / L4(data(20000)), mss=1400), receiver="small")
        case(f"{V} {WHAT} in segments to the gateway", RULES, TO_HOST,
             lambda s, F=F, L4=SEGMENT: leave(to_router(s) / ip(F, s, dst=s.host.address(F)) / L4(data(5000)), mss=1000))
        case(f"{V} {WHAT} in segments beyond the sender's MTU", SLOW, DROPPED,
             lambda s, F=F, L4=SEGMENT: leave(to_router(s) / ip(F, s) / L4(data(5 * (MTU + 10))), mss=MTU + 10))
        case(f"{V} {WHAT} in segments from another pod's address", SLOW, DROPPED,
             lambda s, F=F, L4=SEGMENT: leave(to_router(s) / ip(F, s, src=s.c.address(F)) / L4(data(5000)), mss=1000))
    for FLAGS in ("FPA", "A", "UPA", "ECA", "CPA", "SFRPAUECN"):
        case(f"{V} TCP with flags {FLAGS} in segments", RULES, FORWARDED,
             lambda s, F=F, G=FLAGS: leave(to_router(s) / ip(F, s) / tcp(data(3500), flags=G), mss=1000))
    case(f"{V} TCP in segments with ECN", RULES, FORWARDED, lambda s, F=F: leave(
        to_router(s) / ip(F, s, **{"tos" if F == 4 else "tc": 2}) / tcp(data(3500), flags="CPA"), mss=1000, ecn=True))
    case(f"{V} TCP in segments with ECN from a larger pod", RULES, FORWARDED, lambda s, F=F: leave(
        to_router(s) / ip(F, s, **{"tos" if F == 4 else "tc": 2}) / tcp(data(9500), flags="CPA"), mss=3000, ecn=True), sender="large")
    case(f"{V} TCP in segments over the end of its sequence numbers", RULES, FORWARDED,
         lambda s, F=F: leave(to_router(s) / ip(F, s) / tcp(data(3500), seq=0xfffffc00), mss=1000))
    case(f"{V} TCP with timestamps in segments", RULES, FORWARDED, lambda s, F=F: leave(
        to_router(s) / ip(F, s) / tcp(data(3500), options=[("NOP", None), ("NOP", None), ("Timestamp", (7, 9))]), mss=1000))
    case(f"{V} TCP in segments with no hop to go", SLOW, ANSWERED,
         lambda s, F=F: leave(to_router(s) / ip(F, s, **limit(F, 1)) / tcp(data(3500)), mss=1000))
    case(f"{V} TCP in segments beyond the MTU of a smaller pod", SLOW, FORWARDED if F == 4 else ANSWERED,
         lambda s, F=F: leave(to_router(s) / ip(F, s) / tcp(data(9000)), mss=3000), receiver="small", count=7)

    # How long the headers are is only a hint.
    for WHAT, HINT in {"of nothing": 0, "of one byte": 1, "up to the middle of its own": 40, "up to its end": 500}.items():
        case(f"{V} with headers {WHAT}", RULES, FORWARDED,
             lambda s, F=F, N=HINT: leave(to_router(s) / ip(F, s) / tcp(data(501 - 14 - 20 - (20 if F == 4 else 40))), hdr_len=N))
        case(f"{V} in segments, with headers {WHAT}", RULES, FORWARDED,
             lambda s, F=F, N=HINT: leave(to_router(s) / ip(F, s) / tcp(data(501 - 14 - 20 - (20 if F == 4 else 40))), mss=100, hdr_len=N))
    # What no stack would leave: refused by the sender's kernel, dropped by the NIC, or put right.
    for WHAT, CHANGES in {
            "a checksum from beyond the frame": {"csum_start": 60000}, "a checksum into beyond the frame": {"csum_offset": 60000},
            "a checksum whose field ends beyond the frame": {"csum_start": 14, "csum_offset": 65535 - 14},
            "a checksum from the frame's last byte": {"csum_start": 500},
            "headers longer than the frame": {"hdr_len": 65535}, "flags that nobody knows": {"flags": NEEDS_CSUM | 0xf0}}.items():
        case(f"{V} with {WHAT}", EITHER, ANYTHING,
             lambda s, F=F, C=CHANGES: leave(to_router(s) / ip(F, s) / tcp(data(501 - 14 - 20 - (20 if F == 4 else 40))), **C))
        case(f"{V} in segments, with {WHAT}", EITHER, ANYTHING,
             lambda s, F=F, C=CHANGES: leave(to_router(s) / ip(F, s) / tcp(data(501 - 14 - 20 - (20 if F == 4 else 40))), mss=100, **C))
    OTHER = GSO_TCPV6 if F == 4 else GSO_TCPV4
    for WHAT, CHANGES in {
            "of no size": {"gso_size": 0}, "of the largest size": {"gso_size": 65535}, "without a checksum": {"flags": 0},
            "that say they are of the other family": {"gso_type": OTHER}, "of UDP that are of TCP": {"gso_type": GSO_UDP_L4},
            "by fragments of UDP": {"gso_type": GSO_UDP}, "of a kind nobody knows": {"gso_type": 0x7f},
            "with the checksum where UDP has it": {"csum_offset": 6}, "with the checksum from layer 3 on": {"csum_start": 14},
            "with the checksum from within TCP": {"csum_start": 14 + (20 if F == 4 else 40) + 8}}.items():
        case(f"{V} TCP in segments {WHAT}", EITHER, ANYTHING,
             lambda s, F=F, C=CHANGES: leave(to_router(s) / ip(F, s) / tcp(data(3500)), mss=1000, **C))
    case(f"{V} TCP in segments whose header says it is shorter than one", EITHER, ANYTHING,
         lambda s, F=F: leave(to_router(s) / ip(F, s) / tcp(data(3500), dataofs=2), mss=1000))
    case(f"{V} TCP in segments whose header is as long as it can be", RULES, FORWARDED,
         lambda s, F=F: leave(to_router(s) / ip(F, s) / tcp(data(3500), dataofs=15), mss=1000))
    case(f"{V} fragment with its checksum left to the NIC", EITHER, ANYTHING, lambda s, F=F: leave(
        to_router(s) / (v4(s, flags="MF") if F == 4 else v6(s) / IPv6ExtHdrFragment(m=1, id=7)) / udp(data(800))))
    case(f"{V} fragment in segments", EITHER, ANYTHING, lambda s, F=F: leave(
        to_router(s) / (v4(s, flags="MF") if F == 4 else v6(s) / IPv6ExtHdrFragment(m=1, id=7)) / tcp(data(3500)), mss=1000))
case("IPv4 with options, its checksum left to the NIC", SLOW, FORWARDED,
     lambda s: leave(to_router(s) / v4(s, options=[IPOption_NOP()] * 8) / udp()))
case("IPv4 with options in segments", SLOW, FORWARDED,
     lambda s: leave(to_router(s) / v4(s, options=[IPOption_NOP()] * 8) / tcp(data(3500)), mss=1000))
case("IPv6 behind destination options, its checksum left to the NIC", RULES, FORWARDED,
     lambda s: leave(to_router(s) / v6(s) / HEADERS["destination options"]() / udp()))
case("IPv6 behind destination options in segments", RULES, FORWARDED,
     lambda s: leave(to_router(s) / v6(s) / HEADERS["destination options"]() / tcp(data(3500)), mss=1000))
case("an Ethernet header and a virtio-net header", SLOW, DROPPED, lambda s: Unfinished(bytes(to_router(s, type=0x88b5))))
case("an Ethernet type nobody knows in segments", EITHER, ANYTHING, lambda s: Unfinished(
    bytes(to_router(s, type=0x88b5)) + data(3000), NEEDS_CSUM, GSO_TCPV4, 54, 1000, 34, 16))
