# SPDX-License-Identifier: BSD-3-Clause
"""Packets of connections meet the same whether the e-switch carries them or the agent: for each kind of connection the same frames
are sent from both ends, once with offload and once without, and all that arrives anywhere is compared byte for byte. Ends are
sockets on the interfaces: no stack that says anything of its own. The external port of a masqueraded connection is another one each
time, so it is put aside, and what checksums have of it; so is the number of IPv4 fragments. A ping's identifier is the same on
both sides."""

import contextlib
import dataclasses
import ipaddress
import itertools
import struct

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPv6,
                                IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop)
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from packets import fragments4
from places import Place, WirePlace
from simulation import measured, wait_until
from unfinished import Unfinished, leave
from world import ADDRESSES, World, uplink_yaml

MTU, VLAN, HOST_PORT = 1500, 42, 8080
FAMILIES = [4, 6]
YAML = "masquerade:\n  ipv4: true\n  ipv6: true\n  exclude: [198.51.100.0/24, \"2001:db8:f::/48\"]\n"
# What a case is known by: IPv4's identification, IPv6's flow label.
FIRST = 0x5000
STRIDE = 16  # who cuts a frame into segments numbers them
WARM_UP = 12  # packets of each end, more than make a connection worth carrying
# What becomes of a case: it arrives (in as many packets as it has), or its sender is told, or nothing.
ARRIVES, ANSWERED, DROPPED = "arrives", "is answered", "is dropped"


@dataclasses.dataclass
class Kind:
    """A kind of connection: the places of who begins it and who answers, and the latter's address as the former knows it. `carried`:
    it is known to go by the e-switch, untagged or with a VLAN."""
    name: str
    client: str
    server: str
    target: object  # family -> address
    port: int = 7000   # of the target
    server_port: int = 7000
    masqueraded: bool = True
    carried: tuple = ()  # of "untagged", "VLAN"
    vlan: bool = True    # the same on a VLAN, too: of each kind of way to and from the wire
    routed: bool = False  # without a translation: the e-switch has it at once
    far: bool = False    # the world is whom nothing is masqueraded towards

    def __str__(self):
        return self.name

    @property
    def protocols(self):
        """Pings are answered by who is asked: nobody publishes them."""
        return ("udp", "tcp", "icmp") if self.server == "world" and self.masqueraded else ("udp", "tcp")


KINDS = [
    Kind("masqueraded", "pod", "world", lambda f: ADDRESSES[f].world, carried=("untagged", )),
    Kind("published", "world", "publisher", lambda f: ADDRESSES[f].wire, HOST_PORT, 80, masqueraded=False),
    Kind("published to a pod", "pod", "publisher", lambda f: ADDRESSES[f].wire, HOST_PORT, 80, carried=("untagged", "VLAN")),
    Kind("published to a limited pod", "limited", "publisher", lambda f: ADDRESSES[f].wire, HOST_PORT, 80, carried=("untagged", ), vlan=False),
    Kind("published by a limited pod to a pod", "pod", "limited", lambda f: ADDRESSES[f].wire, HOST_PORT + 1, 80, carried=("untagged", ),
         vlan=False),
    Kind("published to itself", "publisher", "publisher", lambda f: ADDRESSES[f].wire, HOST_PORT, 80, carried=("untagged", ), vlan=False),
    Kind("published to the host", "host", "publisher", lambda f: ADDRESSES[f].wire, HOST_PORT, 80, carried=("untagged", ), vlan=False),
    Kind("published by a limited pod to the host", "host", "limited", lambda f: ADDRESSES[f].wire, HOST_PORT + 1, 80, carried=("untagged", ),
         vlan=False),
    Kind("masqueraded of a limited pod", "limited", "world", lambda f: ADDRESSES[f].world, vlan=False),
    Kind("published by a limited pod", "world", "limited", lambda f: ADDRESSES[f].wire, HOST_PORT + 1, 80, masqueraded=False, vlan=False),
    Kind("published to who sees the pods' addresses", "world", "publisher", lambda f: ADDRESSES[f].wire, HOST_PORT, 80, masqueraded=False, far=True),
    Kind("routed", "pod", "world", lambda f: ADDRESSES[f].far, masqueraded=False, routed=True),
    Kind("routed from the world", "world", "pod", None, masqueraded=False, routed=True, far=True),
    Kind("routed from a publisher", "publisher", "world", lambda f: ADDRESSES[f].far, masqueraded=False, routed=True),
    Kind("routed to a publisher", "world", "publisher", None, masqueraded=False, routed=True, far=True, vlan=False),
    # What it says from there may be an answer.
    Kind("routed to what is published", "world", "publisher", None, 80, 80, masqueraded=False, far=True, vlan=False),
]


# ---- the table ----------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Way:
    """One direction of a connection, as its sender sees it: who it is, and whom it speaks to. Of pings, whose identifier is the port of
    who asks, the requests or the replies."""
    family: int
    protocol: str
    place: Place
    own: tuple
    peer: tuple
    seq: int = 0
    ack: int = 0
    number: int = 0  # of the case
    asks: bool = True

    def link(self, **changes):
        return Ether(**{"src": self.place.mac, "dst": self.place.router()[0], **changes})

    def ip(self, **changes):
        if self.family == 4:
            return IP(**{"src": self.own[0], "dst": self.peer[0], "id": self.number, **changes})
        return IPv6(**{"src": self.own[0], "dst": self.peer[0], "fl": self.number, **changes})

    def l4(self, payload=b"even", **changes):
        ports = {"sport": self.own[1], "dport": self.peer[1]}
        if self.protocol == "icmp":
            return self.echo(**changes) / Raw(payload)
        if self.protocol == "udp":
            return UDP(**{**ports, **changes}) / Raw(payload)
        return TCP(**{**ports, "flags": "PA", "seq": self.seq, "ack": self.ack, "window": 65000, **changes}) / Raw(payload)

    def identifier(self):
        return (self.own if self.asks else self.peer)[1]

    def echo(self, asks=None, **changes):
        asks = self.asks if asks is None else asks
        values = {"id": self.identifier(), "seq": 7, **changes}
        if self.family == 4:
            return ICMP(**{"type": 8 if asks else 0, "code": 0, **values})
        return (ICMPv6EchoRequest if asks else ICMPv6EchoReply)(**values)

    def packet(self, payload=b"even", hops=64, **changes):
        return self.link() / self.ip(**{"ttl" if self.family == 4 else "hlim": hops}) / self.l4(payload, **changes)

    def quoted(self, size=None, **changes):
        """What the peer has sent, as it came here: the beginning of it, for an error about it."""
        back = dataclasses.replace(self, own=self.peer, peer=self.own, seq=self.ack, ack=self.seq, asks=not self.asks)
        data = bytes(back.ip() / back.l4(b"quoted" * 4, **changes))
        return Raw(data[:size or len(data)])

    def error(self, layer, quote=None):
        return self.link() / self.ip() / layer / (quote or self.quoted())


@dataclasses.dataclass
class Case:
    name: str
    build: object  # Way -> a frame of scapy's or Unfinished, or several
    outcome: str = ARRIVES
    family: int = None    # this one only
    protocol: str = None  # this one only, or these
    plain: bool = False   # what rules are made for
    pods_only: bool = False
    word: bytes = None    # IPv4 fragments: what is in each of them
    count: int = None     # packets that arrive, if not one for each frame


HEADER = {(4, "udp"): 28, (6, "udp"): 48, (4, "tcp"): 40, (6, "tcp"): 60, (4, "icmp"): 28, (6, "icmp"): 48}
CHECKSUM = {"tcp": 16, "udp": 6, "icmp": 2}
UNREACHABLE = {4: lambda: ICMP(type=3, code=3), 6: lambda: ICMPv6DestUnreach(code=4)}
EXPIRED = {4: lambda: ICMP(type=11, code=0), 6: lambda: ICMPv6TimeExceeded(code=0)}
TOO_BIG = {4: lambda: ICMP(type=3, code=4, nexthopmtu=1300), 6: lambda: ICMPv6PacketTooBig(mtu=1300)}


def wrong(way):
    """A checksum that is beside the right one by as much whatever the ports are."""
    frame = bytearray(bytes(way.packet()))
    at = layer4(frame, 14)[1] + CHECKSUM[way.protocol]
    checksum = struct.unpack_from("!H", frame, at)[0] + 0x1234
    struct.pack_into("!H", frame, at, (checksum & 0xffff) + (checksum >> 16))
    return bytes(frame)


def fragments6(way, payload, size):
    data = bytes(way.ip() / way.l4(payload))[40:]
    kind = 17 if way.protocol == "udp" else 58
    return [way.link() / way.ip(nh=44) / IPv6ExtHdrFragment(nh=kind, id=0x777, offset=at // 8, m=int(at + size < len(data)))
            / Raw(data[at:at + size]) for at in range(0, len(data), size)]


CASES = [
    Case("data", lambda w: w.packet(), plain=True),
    Case("data of odd length", lambda w: w.packet(b"odd"), plain=True),
    Case("no payload", lambda w: w.packet(b"", **({"flags": "A"} if w.protocol == "tcp" else {})), plain=True),
    Case("as long as the MTU", lambda w: w.packet(bytes(i % 251 for i in range(MTU - HEADER[w.family, w.protocol]))), plain=True),
    Case("ten in a row", lambda w: [w.packet(b"row %d" % i) for i in range(10)], plain=True),
    Case("two hops to go", lambda w: w.packet(hops=2), plain=True),
    Case("255 hops to go", lambda w: w.packet(hops=255), plain=True),
    Case("every bit of the traffic class", lambda w: w.link() / w.ip(**{"tos" if w.family == 4 else "tc": 0xff}) / w.l4(), plain=True),
    Case("padding behind it", lambda w: bytes(w.packet()) + b"\xee" * 10, plain=True),
    Case("don't fragment", lambda w: w.link() / w.ip(flags="DF") / w.l4(), family=4, plain=True),
    Case("a checksum of zero", lambda w: w.packet(chksum=0), family=4, protocol="udp", plain=True),
    Case("TCP with options", lambda w: w.packet(options=[("NOP", None), ("NOP", None), ("Timestamp", (1, 0))]), protocol="tcp", plain=True),
    Case("TCP that says congestion", lambda w: w.packet(flags="PAEC"), protocol="tcp", plain=True),
    Case("a checksum that is left to the NIC", lambda w: leave(w.packet(b"left")), protocol="udp tcp"),
    Case("segments that are left to the NIC", lambda w: leave(w.packet(bytes(i % 251 for i in range(3500)), flags="A"), 1000),
         protocol="tcp", count=4),
    Case("datagrams that are left to the NIC", lambda w: leave(w.packet(bytes(i % 251 for i in range(3500))), 1000),
         protocol="udp", count=4),
    Case("a wrong checksum", wrong, outcome=None),
    Case("no hop to go", lambda w: w.packet(b"expires", hops=1), ANSWERED),
    Case("no hop at all to go", lambda w: w.packet(b"has expired", hops=0), ANSWERED),
    Case("IPv4 options", lambda w: w.link() / w.ip(options=[IPOption_NOP()] * 4) / w.l4(), family=4),
    Case("the reserved flag", lambda w: w.link() / w.ip(flags="evil") / w.l4(), family=4),
    Case("a wrong checksum of the IPv4 header", lambda w: w.link() / w.ip(chksum=0x1234) / w.l4(), DROPPED, family=4),
    Case("hop-by-hop options", lambda w: w.link() / w.ip() / IPv6ExtHdrHopByHop() / w.l4(), family=6),
    Case("destination options", lambda w: w.link() / w.ip() / IPv6ExtHdrDestOpt() / w.l4(), family=6),
    Case("IPv4 fragments", lambda w: [w.link() / piece for piece in fragments4(w.ip() / w.l4(b"fragment" * 100), 400)], family=4,
         protocol="udp icmp", word=b"fragment"),
    Case("IPv4 fragments, backwards", lambda w: [w.link() / piece for piece in reversed(fragments4(w.ip() / w.l4(b"backward" * 100), 400))],
         family=4, protocol="udp icmp", word=b"backward"),
    Case("IPv6 fragments", lambda w: fragments6(w, b"fragment" * 100, 400), family=6, protocol="udp icmp"),
    Case("another sequence number", lambda w: w.packet(seq=0xffff), protocol="icmp", plain=True),
    Case("another code", lambda w: w.packet(code=1), DROPPED, protocol="icmp"),
    Case("another identifier", lambda w: w.packet(id=w.identifier() ^ 1), outcome=None, protocol="icmp"),
    Case("the other way round", lambda w: w.packet(asks=not w.asks), outcome=None, protocol="icmp"),
    Case("port unreachable", lambda w: w.error(UNREACHABLE[w.family]())),
    Case("time exceeded", lambda w: w.error(EXPIRED[w.family]())),
    Case("too big", lambda w: w.error(TOO_BIG[w.family]())),
    Case("an error that quotes eight bytes", lambda w: w.error(UNREACHABLE[w.family](), w.quoted((20 if w.family == 4 else 40) + 8))),
    Case("a forged source MAC", lambda w: w.link(src="02:00:00:00:00:99") / w.ip() / w.l4(), DROPPED, pods_only=True),
    Case("a forged source address", lambda w: w.link() / w.ip(src="10.88.9.9" if w.family == 4 else "fd00:10:88::99") / w.l4(), DROPPED,
         pods_only=True),
    Case("a VLAN tag of a pod's", lambda w: w.link() / Dot1Q(vlan=5) / w.ip() / w.l4(), DROPPED, pods_only=True),
]
for INDEX, CASE in enumerate(CASES):
    CASE.number = FIRST + INDEX * STRIDE


# ---- what was seen ------------------------------------------------------------------------------------------


def layer3_at(frame):
    return 18 if frame[12:14] == b"\x81\0" else 14


def layer4(data, at):
    """(protocol, where it begins or None) of an IP packet at `at`."""
    if data[at] >> 4 == 4:
        first = struct.unpack_from("!H", data, at + 6)[0] & 0x1fff == 0
        return data[at + 9], at + (data[at] & 0xf) * 4 if first else None
    kind, at = data[at + 6], at + 40
    while kind in (0, 43, 44, 60):
        if kind == 44 and struct.unpack_from("!H", data, at + 2)[0] & 0xfff8:
            return data[at], None
        kind, at = data[at], at + (8 if kind == 44 else 8 + data[at + 1] * 8)
    return kind, at


def is_fragment4(data, at):
    """Those are numbered anew on their way to the wire."""
    return data[at] >> 4 == 4 and struct.unpack_from("!H", data, at + 6)[0] & 0x3fff


def is_error(protocol, kind):
    return kind in (3, 11, 12) if protocol == 1 else protocol == 58 and kind < 128


def number_of(frame):
    """The case that a frame belongs to: an error belongs to that of the packet that it quotes. 0: none."""
    at = layer3_at(frame)
    if frame[at - 2:at] not in (b"\x08\0", b"\x86\xdd"):
        return 0
    if is_fragment4(frame, at):
        return next((case.number for case in CASES if case.word and case.word in frame), 0)
    protocol, behind = layer4(frame, at)
    if behind is not None and is_error(protocol, frame[behind]):
        at = behind + 8
    return struct.unpack_from("!H", frame, at + 4)[0] if frame[at] >> 4 == 4 else struct.unpack_from("!I", frame, at)[0] & 0xfffff


def without(data, field, port, checksum):
    """Takes a port away from a checksum (RFC 1624), if both are there, and from its place."""
    value, = struct.unpack_from("!H", data, field)
    if value != port:
        return
    struct.pack_into("!H", data, field, 0)
    if len(data) >= checksum + 2:
        before, = struct.unpack_from("!H", data, checksum)
        total = (~before & 0xffff) + (~port & 0xffff)
        total = (total & 0xffff) + (total >> 16)
        struct.pack_into("!H", data, checksum, before and (~total & 0xffff or 0xffff))


def canonical(frame, port):
    """A frame as it would be with an external port of zero; without Ethernet's padding."""
    data, at = bytearray(frame), layer3_at(frame)
    length = struct.unpack_from("!H", data, at + 2)[0] if data[at] >> 4 == 4 else 40 + struct.unpack_from("!H", data, at + 4)[0]
    del data[at + length:]
    if is_fragment4(data, at):
        without(data, at + 4, struct.unpack_from("!H", data, at + 4)[0], at + 10)
    protocol, behind = layer4(data, at)
    outer = None
    if behind is not None and is_error(protocol, data[behind]):
        outer = behind
        protocol, behind = layer4(data, behind + 8)
    if port and behind is not None and protocol in (6, 17):
        checksum = behind + (16 if protocol == 6 else 6)
        for field in (behind, behind + 2):
            # Of what an error quotes too little of, the error's own checksum knows it.
            without(data, field, port, checksum if len(data) >= checksum + 2 or not outer else outer + 2)
    if outer:
        struct.pack_into("!H", data, outer + 2, struct.unpack_from("!H", data, outer + 2)[0] or 0xffff)
    return bytes(data).hex()


# ---- a connection -------------------------------------------------------------------------------------------


class Talk:
    """A connection of a kind, whose two ends are here."""

    def __init__(self, run, kind, family, protocol):
        self.run, self.kind, self.family, self.protocol = run, kind, family, protocol
        self.client, self.server = run.places[kind.client], run.places[kind.server]
        address = {place.name: place.address(family) for place in run.places.values()}
        address["world"] = kind.target(family) if kind.server == "world" else ADDRESSES[family].far if kind.far \
            else ADDRESSES[family].world
        own = (address[kind.client], next(run.client_ports))
        target = (kind.target(family) if kind.target else address[kind.server], kind.port)
        self.there = Way(family, protocol, self.client, own, target, 1000, 5000, FIRST - 1)
        self.back = Way(family, protocol, self.server, (address[kind.server], kind.server_port), own, 5000, 1000, FIRST - 1, asks=False)
        self.external = 0
        self.begin()

    def exchange(self, way, frames):
        """Sends them; everything that arrives anywhere, by place, with the numbers of its cases."""
        for frame in frames:
            way.place.send(frame)
        return self.run.collect(way.place)

    def begin(self):
        tcp = self.protocol == "tcp"
        first = dataclasses.replace(self.there, seq=999, ack=0).packet(b"", flags="S") if tcp else self.there.packet()
        arrived = [f for f in self.exchange(self.there, [first])[self.server.name] if number_of(f) == FIRST - 1]
        assert len(arrived) == 1, f"{self.kind}: the first packet arrives: {arrived}"
        at = layer3_at(arrived[0])
        _, behind = layer4(arrived[0], at)
        port, = struct.unpack_from("!H", arrived[0], behind + (4 if self.protocol == "icmp" else 0))
        source = arrived[0][at + 12:at + 16] if self.family == 4 else arrived[0][at + 8:at + 24]
        self.back.peer = (str(ipaddress.ip_address(source)), port)
        if self.protocol == "icmp":
            assert port == self.there.own[1], f"{self.kind}: an identifier that nobody has stays"
        elif self.kind.masqueraded:
            self.external = port
        if tcp:
            answer = dataclasses.replace(self.back, seq=4999).packet(b"", flags="SA")
            assert any(number_of(f) == FIRST - 1 for f in self.exchange(self.back, [answer])[self.client.name])
            self.exchange(self.there, [self.there.packet(b"", flags="A")])
        for way in (self.back, self.there):
            seen = self.exchange(way, [way.packet(b"warm") for _ in range(WARM_UP)])
            other = self.server if way is self.there else self.client
            assert sum(number_of(f) == FIRST - 1 for f in seen[other.name]) >= WARM_UP, f"{self.kind}: {way} goes on"

    def is_carried(self):
        port = self.there.own[1]
        return any(c["offloaded"] for c in self.run.sim.ask("connections")["connections"] if port in (c["from"]["port"], c["to"]["port"]))

    def send(self, way, cases):
        """{case: {place: frames}}"""
        seen = {case.name: {} for case in cases}
        frames = []
        for case in cases:
            built = case.build(dataclasses.replace(way, number=case.number))
            built = built if isinstance(built, list) else [built]
            frames += [frame if isinstance(frame, Unfinished) else bytes(frame) for frame in built]
            self.run.packets[case.name] = case.count or len(built)
        names = {case.number: case.name for case in cases}
        for place, arrived in self.exchange(way, frames).items():
            for frame in arrived:
                if name := names.get(number_of(frame) // STRIDE * STRIDE):
                    seen[name].setdefault(place, []).append(canonical(frame, self.external))
        return {name: {place: sorted(frames) for place, frames in at.items()} for name, at in seen.items()}

    def end(self):
        """What becomes of its end, and of what comes after it."""
        if self.protocol != "tcp":
            return {}
        seen = {}
        for name, way, flags in (("FIN", self.there, "FA"), ("the other's FIN", self.back, "FA"), ("RST", self.there, "R")):
            case = Case(name, lambda w, flags=flags: w.packet(b"", flags=flags))
            case.number = FIRST + (len(CASES) + len(seen)) * STRIDE
            seen |= self.send(way, [case])
            way.seq += 1
            (self.back if way is self.there else self.there).ack += 1
        return seen


def fits(case, family, protocol, sender):
    return case.family in (None, family) and (case.protocol is None or protocol in case.protocol.split()) and not (case.pods_only and sender in ("world", "host"))


@dataclasses.dataclass
class Seen:
    there: dict
    back: dict
    end: dict
    carried: bool
    slow: int  # of what is plain, packets that the agent had


class Run:
    """One pass: all kinds of connections, on the uplink as it is now."""

    def __init__(self, sim, world, pods, vlan, offload):
        self.sim, self.vlan, self.offload = sim, vlan, offload
        self.places = {name: Place(name, pod, pod.ifname, pod.ipv4, pod.ipv6) for name, pod in pods.items()}
        self.places["host"] = Place("host", sim.host, "podport0", sim.gateway(4), sim.gateway(6))
        self.places["world"] = WirePlace(world, vlan)
        self.results = {}
        self.packets = {}  # how many each case has, whatever the connection
        self.client_ports = itertools.count(20000)  # the same in each pass

    def collect(self, sender):
        # As test_offload_parity does: the sender's line is empty, then everybody's.
        frames = {name: [] for name in self.places}
        for place in [sender, sender, *self.places.values()]:
            frames[place.name] += place.until_router_answers()
        return frames

    def slow(self):
        return sum(port["rx_packets"] - port["offloaded_rx_packets"] for port in self.sim.ports())

    def all(self):
        with contextlib.ExitStack() as stack:
            for place in self.places.values():
                stack.callback(place.close)
            for kind in (kind for kind in KINDS if kind.vlan or not self.vlan):
                for family in FAMILIES:
                    for protocol in kind.protocols:
                        self.results[kind.name, family, protocol] = self.one(kind, family, protocol)
        return self

    def one(self, kind, family, protocol):
        talk = Talk(self, kind, family, protocol)
        wanted = self.offload and ("VLAN" if self.vlan else "untagged") in kind.carried
        if wanted:
            wait_until(talk.is_carried, lambda: f"{kind} is carried: {self.sim.ask('connections')}\n{self.sim.logs()}")
        seen, slow = {}, 0
        for name, way in (("there", talk.there), ("back", talk.back)):
            cases = [case for case in CASES if fits(case, family, protocol, way.place.name)]
            before = self.slow()
            seen[name] = talk.send(way, [case for case in cases if case.plain])
            slow += self.slow() - before
            seen[name] |= talk.send(way, [case for case in cases if not case.plain])
        carried = talk.is_carried() if wanted else False
        return Seen(**seen, end=talk.end(), carried=carried, slow=slow)


@dataclasses.dataclass
class Outcome:
    runs: dict  # (VLAN or None, offload) -> Run


def silence(netns):
    """Its kernel says nothing about packets to who is not there."""
    for family in FAMILIES:
        netns.run("ip", f"-{family}", "route", "add", "blackhole", "default", "metric", "1")


@contextlib.contextmanager
def silent_host(sim):
    """The same of the host, which needs its addresses when hostd sets up its port: they are there, but nothing is for them."""
    def change(*words):
        for family in FAMILIES:
            sim.host.run("ip", f"-{family}", "route", *words, sim.gateway(family), "dev", "podport0", "table", "local")

    change("del", "local")
    try:
        yield
    finally:
        change("add", "local")


def all_passes(sim):
    def pod(*mappings, **limits):
        return sim.pod(capabilities={"portMappings": True, "bandwidth": True}).add(runtimeConfig={"portMappings": [
            {"hostPort": host, "containerPort": 80, "protocol": protocol} for host in mappings for protocol in ("tcp", "udp")],
            **({"bandwidth": limits} if limits else {})})

    runs = {}
    pods = {"pod": pod(), "publisher": pod(HOST_PORT), "limited": pod(HOST_PORT + 1, ingressRate=10 ** 7, egressRate=10 ** 7)}
    for each in pods.values():
        # Its kernel has no address, and so nothing to say.
        each.run("ip", "address", "flush", "dev", each.ifname)
        silence(each)
    for vlan in (None, VLAN):
        with contextlib.closing(World(sim, vlan=vlan)) as world:
            world.run("ip", "address", "flush", "dev", "lo")
            silence(world)
            for offload in (True, False):
                sim.configure(offload=offload, more=uplink_yaml(**({"vlan": vlan} if vlan else {})) + YAML)
                sim.restart(sim.agent)
                world.wait_for_agent()
                for a in ADDRESSES.values():
                    for neighbour in (a.gate, a.peer):  # so that no packet waits for its MAC address
                        world.ping(a.wire, "-I", neighbour)
                with silent_host(sim):
                    runs[vlan, offload] = Run(sim, world, pods, vlan, offload).all()
    return Outcome(runs)


@pytest.fixture(scope="module")
def outcome():
    with measured(mtu=MTU, agent_yaml=uplink_yaml() + YAML) as sim:
        return all_passes(sim)


def describe(seen):
    return "\n".join(f"  at {place}: {frame}" for place, frames in seen.items() for frame in frames) or "  nothing"


@pytest.mark.parametrize("family", FAMILIES, ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("kind,vlan,protocol", [(kind, vlan, protocol) for kind in KINDS for vlan in (None, VLAN) if kind.vlan or not vlan
                                                for protocol in kind.protocols],
                         ids=lambda value: str(value or "untagged") if value != VLAN else "VLAN")
def test_offload_makes_no_difference_to_a_connection(outcome, kind, family, protocol, vlan):
    on, off = (outcome.runs[vlan, offload].results[kind.name, family, protocol] for offload in (True, False))
    for way, sender, receiver in (("there", kind.client, kind.server), ("back", kind.server, kind.client), ("end", None, None)):
        with_offload, without_offload = getattr(on, way), getattr(off, way)
        assert with_offload.keys() == without_offload.keys()
        for name, seen in without_offload.items():
            assert with_offload[name] == seen, \
                f"{name}, {way}:\nwith offload\n{describe(with_offload[name])}\nwithout\n{describe(seen)}"
        if way == "end":
            continue
        # And it is not the same by nothing ever arriving.
        for case in CASES:
            if case.outcome is None or not fits(case, family, protocol, sender):
                continue
            counts = {place: len(frames) for place, frames in without_offload[case.name].items()}
            assert counts == {ARRIVES: {receiver: outcome.runs[vlan, False].packets[case.name]}, ANSWERED: {sender: 1}, DROPPED: {}}[case.outcome], \
                f"{case.name}, {way}, {case.outcome}:\n{describe(without_offload[case.name])}"
    carried = ("VLAN" if vlan else "untagged") in kind.carried
    if carried or kind.routed:
        plain = sum(10 if case.name == "ten in a row" else 1 for case in CASES if case.plain and fits(case, family, protocol, "world"))
        assert on.carried == carried and on.slow < plain, f"{on.slow} packets of {2 * plain} went through the agent"
