# SPDX-License-Identifier: BSD-3-Clause
"""What is routed between pods and the wire, by the e-switch: as the agent does it, with the kernel's stack at both ends."""

import collections
import contextlib
import re
import signal
import socket
import struct

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import (ICMPv6EchoReply, ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment,
                                IPv6ExtHdrHopByHop)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from eswitch import flows, function_of, misbehave, offload, rules_in_nic, wait_full
from packets import ROUTER
from simulation import wait_until
from traffic import in_thread, raw_socket, tcp_transfer, udp_echo
from world import ADDRESSES, ROUTES, World, uplink_yaml

FAMILIES = [4, 6]
MEGABYTE = 1 << 20
# What the slow path may see besides: neighbours, and what a kernel says in a while.
CHATTER = 30


@contextlib.contextmanager
def wired(make_sim, masquerade="", uplink=None, **options):
    keys = uplink or {}
    sim = make_sim(agent_yaml=uplink_yaml(**keys) + masquerade, **options)
    world = World(sim, keys.get("vlan"), keys.get("mtu", 1500))
    try:
        world.wait_for_agent()
        yield sim, world
    finally:
        world.close()


@pytest.fixture
def routed(make_sim):
    """routed(uplink={...}, masquerade=TEXT, **options): a simulation that routes, and the world."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(wired(make_sim, **options))


def uplink(sim):
    return next(port for port in sim.ports() if port["kind"] == "uplink")


def port_of(sim, end):
    """The agent's port of a pod, or of the host."""
    return sim.port_of(end) if end is not sim.host else next(port for port in sim.ports() if port["kind"] == "host")


def slow_packets(sim, *ends):
    """What the agent itself has received and sent for these pods, or the host, and by the uplink."""
    return sum(port[f"{way}_packets"] - port[f"offloaded_{way}_packets"]
               for port in [port_of(sim, end) for end in ends] + [uplink(sim)] for way in ("rx", "tx"))


def until_routed(sim, end, *addresses):
    """Packets to these addresses go by the e-switch, once their next hops are known."""
    def is_offloaded(address):
        before = port_of(sim, end)["offloaded_rx_packets"]
        end.ping(address, count=1, check=False)
        return port_of(sim, end)["offloaded_rx_packets"] > before
    for address in addresses:
        wait_until(lambda address=address: is_offloaded(address), lambda: f"{address} is routed by the e-switch: {flows(sim)}")


def route_host(sim):
    """The host's way to the world is the agent: of its own accord it has none."""
    for family in FAMILIES:
        a = ADDRESSES[family]
        for address in (a.world, a.far, a.peer, a.gate):
            sim.host.run("ip", f"-{family}", "route", "add", address, "via", "169.254.1.1" if family == 4 else "fe80::1", "dev", "podport0",
                         "onlink", "src", sim.gateway(family))


@pytest.mark.parametrize("who", ["a pod", "the host"])
def test_what_the_node_and_the_world_say_passes_the_e_switch(routed, who):
    sim, world = routed()
    end = sim.pod().add() if who == "a pod" else sim.host
    if end is sim.host:
        route_host(sim)
    for family in FAMILIES:
        a = ADDRESSES[family]
        address = sim.gateway(family) if end is sim.host else end.address(family)
        until_routed(sim, end, a.world, a.far, a.peer)
        before = slow_packets(sim, end)
        for there in (a.world, a.far, a.peer):
            end.ping(there, "-i", "0.005", count=50)
        world.ping(address, "-i", "0.005", count=50)
        tcp_transfer(end, world, a.world, 8 * MEGABYTE)
        tcp_transfer(world, end, address, 8 * MEGABYTE)
        udp_echo(end, world, a.far, [0, 1, 1400, 1472, 4000, 20000])
        assert slow_packets(sim, end) - before <= CHATTER, sim.ports()
    port, wire = port_of(sim, end), uplink(sim)
    for way, back in (("rx", "tx"), ("tx", "rx")):
        assert port[f"offloaded_{way}_packets"] == wire[f"offloaded_{back}_packets"] >= 400


# ---- the same with and without --------------------------------------------------------------------------

MARK = b"routed-case-"
RULES, SLOW = "rules", "slow path"
Case = collections.namedtuple("Case", "name path build")  # build(scene, mark): a frame, or several
CASES = {"pod": [], "world": []}  # by who sends


def case(sender, name, path, build):
    CASES[sender].append(Case(name, path, build))


class HostEnd:
    """The host, where a case says pod."""

    def __init__(self, sim):
        self.host, self.addresses, self.ifname = sim.host, {family: sim.gateway(family) for family in FAMILIES}, "podport0"
        route_host(sim)
        self.host.run("ip", "route", "add", "169.254.1.1", "dev", self.ifname, "src", sim.gateway(4))

    def __getattr__(self, name):
        return getattr(self.host, name)

    def address(self, family):
        return self.addresses[family]


class Scene:
    """Who is there; `ours` and `theirs` are the addresses of the sender and its peer."""

    def __init__(self, sim, pod, world):
        self.pod, self.world, self.sim = pod, world, sim
        self.pod_mac = pod.links()[pod.ifname]["address"]
        self.world_mac = world.links()[world.wire]["address"]
        self.wire_mac = sim.status()["agent"]["uplink"]["mac"]
        # As they are told: these differ from one simulation to the other.
        self.names = {self.pod_mac: "pod", self.world_mac: "world", self.wire_mac: "wire", ROUTER: "router"}

    def mac(self, data):
        text = ":".join(f"{byte:02x}" for byte in data)
        return self.names.get(text, text)


def out(s, **changes):
    return Ether(**{"src": s.pod_mac, "dst": ROUTER, **changes})


def into(s, **changes):
    return Ether(**{"src": s.world_mac, "dst": s.wire_mac, **changes})


def packet(family, source, destination, **changes):
    return (IP if family == 4 else IPv6)(**{"src": source, "dst": destination, **({"id": 777} if family == 4 else {}), **changes})


def udp(mark, **changes):
    return UDP(**{"sport": 4000, "dport": 4001, **changes}) / Raw(mark)


def hops(family, value):
    return {"ttl" if family == 4 else "hlim": value}


def pieces(s, family, mark, ether, source, destination):
    """A packet in three fragments, each with the mark."""
    payload = mark + bytes(24 - len(mark) % 8)
    if family == 4:
        return [ether(s) / packet(4, source, destination, proto=253, frag=len(payload) // 8 * i, flags=1 if i < 2 else 0) / Raw(payload)
                for i in range(3)]
    return [ether(s) / packet(6, source, destination) / IPv6ExtHdrFragment(nh=253, id=9, offset=len(payload) // 8 * i, m=int(i < 2))
            / Raw(payload) for i in range(3)]


for F in FAMILIES:
    A, V = ADDRESSES[F], f"IPv{F}"
    for SENDER, ETHER in (("pod", out), ("world", into)):
        def ends(s, f=F, sender=SENDER):
            return (s.pod.address(f), ADDRESSES[f].world) if sender == "pod" else (ADDRESSES[f].world, s.pod.address(f))

        def whole(s, f=F, ends=ends, **changes):
            return packet(f, *ends(s), **changes)

        case(SENDER, f"{V} UDP", RULES, lambda s, m, e=ETHER, w=whole: e(s) / w(s) / udp(m))
        case(SENDER, f"{V} TCP SYN", RULES, lambda s, m, e=ETHER, w=whole: e(s) / w(s) / TCP(
            sport=5, dport=6, flags="A", options=[("Timestamp", (1, 0))]) / Raw(m))
        case(SENDER, f"{V} of a protocol nobody knows", RULES,
             lambda s, m, e=ETHER, w=whole, f=F: e(s) / w(s, **({"proto": 253} if f == 4 else {"nh": 253})) / Raw(m))
        case(SENDER, f"{V} with two hops to go", RULES, lambda s, m, e=ETHER, w=whole, f=F: e(s) / w(s, **hops(f, 2)) / udp(m))
        case(SENDER, f"{V} with one hop to go", SLOW, lambda s, m, e=ETHER, w=whole, f=F: e(s) / w(s, **hops(f, 1)) / udp(m))
        case(SENDER, f"{V} with no hop to go", SLOW, lambda s, m, e=ETHER, w=whole, f=F: e(s) / w(s, **hops(f, 0)) / udp(m))
        case(SENDER, f"{V} as long as the MTU", RULES, lambda s, m, e=ETHER, w=whole, f=F: e(s) / w(s) / udp(
            m + bytes(1500 - (28 if f == 4 else 48) - len(m))))
        case(SENDER, f"{V} in fragments", RULES, lambda s, m, e=ETHER, ends=ends, f=F: pieces(s, f, m, e, *ends(s)))
        case(SENDER, f"{V} with padding", RULES, lambda s, m, e=ETHER, w=whole: bytes(e(s) / w(s) / udp(m)) + bytes(30))
        case(SENDER, f"{V} echo", RULES, lambda s, m, e=ETHER, w=whole, f=F: e(s) / w(s) / (
            ICMP(type=0, id=3) if f == 4 else ICMPv6EchoReply(id=3)) / Raw(m))
        case(SENDER, f"{V} cut short", SLOW, lambda s, m, e=ETHER, w=whole, f=F: e(s) / w(
            s, **({"len": 400} if f == 4 else {"plen": 400})) / udp(m))
        case(SENDER, f"{V} to another MAC address", SLOW, lambda s, m, e=ETHER, w=whole: e(s, dst="02:00:00:00:99:99") / w(s) / udp(m))
        case(SENDER, f"{V} to all on the link", SLOW, lambda s, m, e=ETHER, w=whole: e(s, dst="ff:ff:ff:ff:ff:ff") / w(s) / udp(m))
        for TAG in (0, 5):
            case(SENDER, f"{V} on VLAN {TAG}", SLOW, lambda s, m, e=ETHER, w=whole, t=TAG: e(s) / Dot1Q(vlan=t) / w(s) / udp(m))
        for FROM in (("127.0.0.1", "169.254.3.3", "224.0.0.9", "0.0.0.0", "10.88.77.77", "203.0.113.10", "255.255.255.255") if F == 4 else
                     ("::1", "fe80::9", "ff02::9", "::", "fd00:10:88::77", "2001:db8:1::10")):
            case(SENDER, f"{V} from {FROM}", SLOW, lambda s, m, e=ETHER, f=F, ends=ends, a=FROM: e(s) / packet(f, a, ends(s)[1]) / udp(m))
    case("pod", f"{V} from another MAC address", SLOW, lambda s, m, f=F: out(s, src="02:00:00:00:99:99") / packet(
        f, s.pod.address(f), ADDRESSES[f].world) / udp(m))
    case("pod", f"{V} behind the peer", RULES, lambda s, m, f=F: out(s) / packet(f, s.pod.address(f), ADDRESSES[f].far) / udp(m))
    case("pod", f"{V} to the peer", RULES, lambda s, m, f=F: out(s) / packet(f, s.pod.address(f), ADDRESSES[f].peer) / udp(m))
    case("pod", f"{V} from a DHCP server", SLOW, lambda s, m, f=F: out(s) / packet(f, s.pod.address(f), ADDRESSES[f].world) / udp(
        m, sport=67 if f == 4 else 547, dport=68 if f == 4 else 546))
    for TO in (("127.0.0.1", "169.254.3.3", "224.0.0.9", "0.0.0.0", "10.88.77.77", "203.0.113.0", "203.0.113.255", "255.255.255.255",
                "240.0.0.1") if F == 4 else ("::1", "fe80::9", "ff02::9", "::", "fd00:10:88::77")):
        case("pod", f"{V} to {TO}", SLOW, lambda s, m, f=F, a=TO: out(s) / packet(f, s.pod.address(f), a) / udp(m))
    for FROM in ("01:00:5e:00:00:09", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"):
        case("world", f"{V} from {FROM}", SLOW, lambda s, m, f=F, a=FROM: into(s, src=a) / packet(
            f, ADDRESSES[f].world, s.pod.address(f)) / udp(m))
    case("world", f"{V} from the agent's own MAC address", SLOW, lambda s, m, f=F: into(s, src=s.wire_mac) / packet(
        f, ADDRESSES[f].world, s.pod.address(f)) / udp(m))
    case("world", f"{V} to the router's MAC address", SLOW, lambda s, m, f=F: into(s, dst=ROUTER) / packet(
        f, ADDRESSES[f].world, s.pod.address(f)) / udp(m))
    case("world", f"{V} to nobody", SLOW, lambda s, m, f=F: into(s) / packet(
        f, ADDRESSES[f].world, "10.88.77.77" if f == 4 else "fd00:10:88::77") / udp(m))
    case("world", f"{V} not for pods", SLOW, lambda s, m, f=F: into(s) / packet(
        f, ADDRESSES[f].world, "192.0.2.1" if f == 4 else "2001:db8:77::1") / udp(m))
for SENDER, ETHER, SOURCE, TARGET in (("pod", out, lambda s, f: s.pod.address(f), lambda s, f: ADDRESSES[f].world),
                                      ("world", into, lambda s, f: ADDRESSES[f].world, lambda s, f: s.pod.address(f))):
    case(SENDER, "IPv4 with options", SLOW, lambda s, m, e=ETHER, a=SOURCE, b=TARGET: e(s) / packet(
        4, a(s, 4), b(s, 4), options=[IPOption_NOP()] * 4) / udp(m))
    case(SENDER, "IPv4 with a wrong checksum", SLOW, lambda s, m, e=ETHER, a=SOURCE, b=TARGET: e(s) / packet(
        4, a(s, 4), b(s, 4), chksum=1) / udp(m))
    case(SENDER, "IPv6 with options for the destination", RULES, lambda s, m, e=ETHER, a=SOURCE, b=TARGET: e(s) / packet(
        6, a(s, 6), b(s, 6)) / IPv6ExtHdrDestOpt() / udp(m))
    case(SENDER, "IPv6 with options hop by hop", RULES, lambda s, m, e=ETHER, a=SOURCE, b=TARGET: e(s) / packet(
        6, a(s, 6), b(s, 6)) / IPv6ExtHdrHopByHop() / udp(m))
    case(SENDER, "a neighbour's advertisement", SLOW, lambda s, m, e=ETHER, a=SOURCE, b=TARGET: e(s) / packet(
        6, a(s, 6), b(s, 6), hlim=255) / ICMPv6ND_NA(tgt="2001:db8:7::7") / Raw(m))


class Table:
    """What becomes of all cases: {name: (frames at the pod, frames in the world)}, and how many frames went by rules."""

    def __init__(self, sim, world, pod):
        self.sim, self.scene, self.seen, self.by_rules = sim, Scene(sim, pod, world), {}, {}
        self.ends = {"pod": raw_socket(pod, pod.ifname), "world": raw_socket(world, world.wire)}
        self.listeners = [place.socket(family, socket.SOCK_DGRAM) for place in (pod, world)
                          for family in (socket.AF_INET, socket.AF_INET6)]  # so that no kernel says that nobody listens
        for end in self.ends.values():
            end.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        for listener in self.listeners:
            if listener.family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(("", 4001))

    def close(self):
        for each in [*self.ends.values(), *self.listeners]:
            each.close()

    def barrier(self):
        """All that was sent before has come to where it goes: what the slow path is asked now stands in line behind it."""
        for _ in range(2):
            self.scene.pod.ping("169.254.1.1", count=1)
            self.scene.world.ping(ADDRESSES[4].wire, count=1)

    def told(self, frame):
        """A frame so that it can be compared; what is behind the packet is no part of it."""
        kind, rest = frame[12:14], frame[14:]
        if kind == b"\x08\0":
            rest = rest[:struct.unpack_from("!H", rest, 2)[0]]
        elif kind == b"\x86\xdd":
            rest = rest[:40 + struct.unpack_from("!H", rest, 4)[0]]
        return self.scene.mac(frame[:6]), self.scene.mac(frame[6:12]), kind.hex(), rest.hex()

    def received(self, where):
        """{case's number: frames}, without those that this end has sent itself."""
        frames = collections.defaultdict(list)
        with contextlib.suppress(TimeoutError):
            while True:
                data, address = self.ends[where].recvfrom(1 << 17)
                mark = re.search(MARK + rb"(\d{4})", data)
                if mark and address[2] != socket.PACKET_OUTGOING and not self.is_of_a_kernel(where, data):
                    frames[int(mark[1])].append(self.told(data))
        return frames

    @staticmethod
    def is_of_a_kernel(where, data):
        """An answer of the other end's kernel to what has reached it: TCP's reset has no mark, an ICMP error has, and comes
        from that end's own address, which no router has."""
        if where == "pod":
            own = [socket.inet_aton(ADDRESSES[4].world), socket.inet_pton(socket.AF_INET6, ADDRESSES[6].world)]
            ipv4, source = data[12:14] == b"\x08\0", data[26:30] if data[12:14] == b"\x08\0" else data[22:38]
            return source in own and (ipv4 and data[23] == 1 and data[34] == 3 or not ipv4 and data[20] == 58 and data[54] < 128)
        ipv4 = data[12:14] == b"\x08\0"
        return (ipv4 and data[26:29] == b"\x0a\x58\x00" and data[23] == 1 and data[34] == 3
                or not ipv4 and data[22:24] == b"\xfd\0" and data[20] == 58 and data[54] < 128)

    def offloaded(self, sender):
        port = uplink(self.sim) if sender == "world" else port_of(self.sim, getattr(self.scene.pod, "host", self.scene.pod))
        return port["offloaded_rx_packets"]

    def run(self, sender, path):
        """Send all of these, and see what comes where."""
        chosen = [(number, c) for number, c in enumerate(CASES[sender]) if c.path == path]
        before, count = self.offloaded(sender), 0
        for number, each in chosen:
            made = each.build(self.scene, MARK + b"%04d" % number)
            for frame in made if isinstance(made, list) else [made]:
                self.ends[sender].send(bytes(frame))
                count += 1
        self.barrier()
        seen = {where: self.received(where) for where in self.ends}
        for number, each in chosen:
            assert (sender, each.name) not in self.seen, f"two cases are called {each.name}"
            self.seen[sender, each.name] = {where: sorted(frames[number]) for where, frames in seen.items()}
        self.by_rules[sender, path] = self.offloaded(sender) - before, count


def run_all_cases(sim, world, who, routed_names, by_rules):
    pod = HostEnd(sim) if who == "the host" else sim.pod().add()
    for family in FAMILIES:
        for address in [getattr(ADDRESSES[family], name) for name in routed_names]:
            pod.ping(address, count=1)
            if by_rules:
                until_routed(sim, getattr(pod, "host", pod), address)
    table = Table(sim, world, pod)
    for path in (RULES, SLOW):  # of these some tell of another host's MAC address
        for sender in CASES:
            table.run(sender, path)
    table.close()
    return table


MASQUERADE = f"masquerade:\n  ipv4: true\n  ipv6: true\n  exclude: [{ADDRESSES[4].far}/32, {ADDRESSES[6].far}/128]\n"


@pytest.mark.parametrize("who,masquerade", [("a pod", ""), ("the host", ""), ("the host", MASQUERADE)],
                         ids=["a pod", "the host", "the host beside masqueraded pods"])
def test_the_agent_and_the_e_switch_do_the_same(make_sim, who, masquerade):
    tables = {}
    for by_rules in ("true", "false"):
        with wired(make_sim, offload=by_rules, masquerade=masquerade) as (sim, world):
            tables[by_rules] = run_all_cases(sim, world, who, ["far"] if masquerade else ["world", "far", "peer"], by_rules == "true")
    for key, with_rules in tables["true"].seen.items():
        assert with_rules == tables["false"].seen[key], key
        if masquerade:
            continue
        path = next(c.path for c in CASES[key[0]] if c.name == key[1])
        assert with_rules["world" if key[0] == "pod" else "pod"] or path == SLOW, f"{key} arrives nowhere"
        assert with_rules[key[0]] or not key[1].endswith(("with one hop to go", "to nobody")), f"{key} is not answered"
    for (sender, path), (by_rules, count) in tables["true"].by_rules.items():
        # A kernel says something besides at times.
        assert (masquerade or count <= by_rules) if path == RULES else by_rules <= 4, (sender, path, by_rules, count)
    assert all(by_rules == 0 for by_rules, _ in tables["false"].by_rules.values())


# ---- what changes -----------------------------------------------------------------------------------------

def change(sim, text):
    before = sim.agent.log.read_text().count("configuration taken again")
    sim.configure(more=text)
    sim.agent.send(signal.SIGHUP)
    wait_until(lambda: sim.agent.log.read_text().count("configuration taken again") > before, sim.agent.tail)


def to_wire(sim):
    """{prefix: actions} of the rules that send to the wire."""
    return {flow["match"].split()[-1]: flow["actions"] for flow in flows(sim) if flow["actions"].endswith("to the wire")}


def test_another_route_is_taken_at_once(routed):
    sim, world = routed()
    pod = sim.pod().add()
    a = ADDRESSES[4]
    until_routed(sim, pod, a.world, a.far, ADDRESSES[6].world)
    assert {"0.0.0.0/0", "198.51.100.0/24", "::/0", f"{a.gate}/32"} <= set(to_wire(sim))
    # One less: the default takes over, and by the e-switch; one more to nobody: nothing else takes what is its.
    change(sim, uplink_yaml(routes=[ROUTES[0], ROUTES[2], f"192.0.2.0/24 via {a.nobody}"]))
    assert "198.51.100.0/24" not in to_wire(sim)
    until_routed(sim, pod, a.far)
    assert "192.0.2.0/24" not in to_wire(sim)
    before = sim.port_of(pod)["offloaded_rx_packets"]
    assert "nreachable" in pod.ping(a.world, "-W", "5", count=1, check=False)
    assert sim.port_of(pod)["offloaded_rx_packets"] == before
    # No uplink, no rules for it.
    change(sim, "")
    # But for what may be a connection's packet, which has no rule either.
    assert not to_wire(sim) and not any("from the wire" in flow["match"] and not flow["actions"].startswith("jump 5") for flow in flows(sim))
    assert "Net Unreachable" in pod.ping(a.far, count=1, check=False)
    world.ping(pod.ipv4, "-W", "1", count=1, check=False)


def test_only_who_is_excluded_from_masquerade_is_routed(routed):
    sim, world = routed(masquerade=f"masquerade:\n  ipv4: true\n  exclude: [{ADDRESSES[4].far}/32]\n")
    pod = sim.pod().add()
    a = ADDRESSES[4]
    until_routed(sim, pod, a.far, ADDRESSES[6].world)
    assert f"{a.far}/32" in to_wire(sim) and "0.0.0.0/0" not in to_wire(sim)
    for address, expected in ((a.far, pod.ipv4), (a.world, a.wire)):
        with world.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, pod.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            server.bind((address, 0))
            server.settimeout(30)
            client.sendto(b"who am I", server.getsockname())
            assert server.recvfrom(100)[1][0] == expected
    # Beside a connection that the e-switch carries.
    with world.socket() as listener, pod.socket() as client:
        listener.bind((a.world, 0))
        listener.listen(1)
        accepted = in_thread(listener.accept)
        client.connect(listener.getsockname())
        server, _ = accepted()
        with server:
            def is_carried():
                for one, other in ((client, server), (server, client)):
                    one.sendall(b"once more")
                    assert other.recv(100) == b"once more"
                return any(c["offloaded"] for c in sim.ask("connections")["connections"])
            wait_until(is_carried, lambda: f"{sim.ask('connections')}")
            until_routed(sim, pod, a.far)
            before = slow_packets(sim, pod)
            pod.ping(a.far, "-i", "0.005", count=50)
            assert slow_packets(sim, pod) - before <= CHATTER, sim.ports()
            assert is_carried()
    # Who does not see pods does not get to them.
    world.ping(pod.ipv4, "-I", a.far, count=2)
    assert " 0 received" in world.ping(pod.ipv4, "-I", a.world, "-W", "1", count=1, check=False)
    assert uplink(sim)["drops"]["nat-direct"] >= 1
    # And all are, when it is so configured, at once.
    change(sim, uplink_yaml())
    until_routed(sim, pod, a.world)


def announce(world, mac):
    """The gate and the peer say that they have this MAC address."""
    with raw_socket(world, world.wire) as wire:
        for address in (ADDRESSES[4].gate, ADDRESSES[4].peer):
            wire.send(bytes(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=mac, psrc=address, pdst=address)))
        for address in (ADDRESSES[6].gate, ADDRESSES[6].peer):
            wire.send(bytes(Ether(src=mac, dst="33:33:00:00:00:01") / IPv6(src=address, dst="ff02::1", hlim=255)
                            / ICMPv6ND_NA(tgt=address, R=1, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=mac)))


def test_a_neighbour_is_followed_confirmed_and_forgotten_while_packets_go_to_it(routed):
    sim, world = routed()
    pod = sim.pod().add()
    a = ADDRESSES[4]
    for family in FAMILIES:
        until_routed(sim, pod, ADDRESSES[family].world)

    def gate():
        return next((n["state"] for n in sim.ask("neighbours")["neighbours"] if n["address"] == a.gate), "forgotten")

    mac = "02:00:00:00:0a:0b"
    world.run("ip", "link", "set", world.wire, "address", mac)
    announce(world, mac)
    wait_until(lambda: all(mac in actions for actions in to_wire(sim).values()), lambda: f"rules have the new one: {to_wire(sim)}")
    for family in FAMILIES:
        until_routed(sim, pod, ADDRESSES[family].world)
    with pod.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        def becomes(*states):
            client.sendto(b"on and on, by the e-switch", (a.world, 9))
            return gate() in states

        # What the agent has only been told is confirmed, under traffic that it does not see.
        wait_until(lambda: becomes("reachable"), lambda: f"the gate is {gate()}")
        assert "0.0.0.0/0" in to_wire(sim)
        # Nobody answers any more.
        world.run("ip", "address", "delete", f"{a.gate}/{a.length}", "dev", world.ifname)
        announce(world, "02:00:00:00:0a:0c")
        wait_until(lambda: becomes("forgotten", "incomplete", "failed"), lambda: f"the gate is {gate()}")
    wait_until(lambda: "0.0.0.0/0" not in to_wire(sim), lambda: f"{to_wire(sim)}")
    assert "::/0" in to_wire(sim)


def test_a_vlan_on_the_uplink(routed):
    sim, world = routed(uplink={"vlan": 42})
    pod = sim.pod().add()
    row = next(c for c in offload(sim)["capabilities"] if c["name"] == "route to a wire on a VLAN")
    assert row["supported"], row
    for family in FAMILIES:
        a = ADDRESSES[family]
        until_routed(sim, pod, a.world)
        before = slow_packets(sim, pod)
        pod.ping(a.world, "-i", "0.01", count=40)
        pod.ping(a.world, "-M", "do", "-s", 1500 - (28 if family == 4 else 48), count=2)
        world.ping(pod.address(family), "-i", "0.01", count=40)
        tcp_transfer(pod, world, a.world, 2 * MEGABYTE)
        tcp_transfer(world, pod, pod.address(family), 2 * MEGABYTE)
        assert slow_packets(sim, pod) - before <= CHATTER, sim.ports()
        # What rules do not forward is answered as ever.
        for end, address, router in ((pod, a.world, sim.gateway(family)), (world, pod.address(family), a.wire)):
            output = end.ping(address, "-t", "1", count=1, check=False)
            assert re.search(rf"From {re.escape(router)} .*(Time to live exceeded|Hop limit)", output), output
    # Another one, and none.
    change(sim, uplink_yaml())
    assert all("vlan" not in flow["match"] + flow["actions"] for flow in flows(sim))


def test_it_comes_back_after_a_restart_a_reset_and_a_cut_cable(routed):
    sim, world = routed()
    pod = sim.pod().add()
    a = ADDRESSES[4]
    until_routed(sim, pod, a.world)
    sim.restart(sim.agent)
    until_routed(sim, pod, a.world)
    world.ping(pod.ipv4)
    misbehave(sim, f"function_reset={function_of(sim, pod)}:lost")
    wait_full(sim, pod)
    until_routed(sim, pod, a.world)
    misbehave(sim, "uplink=down")
    wait_until(lambda: "the uplink's link is down" in sim.agent.tail(), sim.agent.tail)
    misbehave(sim, "uplink=up")
    until_routed(sim, pod, a.world)
    before = uplink(sim)["offloaded_rx_packets"]
    world.ping(pod.ipv4, count=3)
    assert uplink(sim)["offloaded_rx_packets"] >= before + 3


def test_a_full_table_is_told_and_packets_go_on_in_software(routed):
    sim, world = routed()
    pod = sim.pod().add()
    a = ADDRESSES[4]
    # Not even for what comes in the place of what has to go.
    misbehave(sim, f"table_full={rules_in_nic(sim) // 2}")
    pod.ping(a.world, count=2)
    wait_until(lambda: offload(sim)["rules_missing"] > 0, lambda: f"{offload(sim)}")
    assert "table full" in offload(sim)["missing_reason"]
    before = sim.port_of(pod)["offloaded_rx_packets"]
    pod.ping(a.world, count=3)
    assert sim.port_of(pod)["offloaded_rx_packets"] == before
    misbehave(sim, "table_full=off")
    until_routed(sim, pod, a.world)
    wait_until(lambda: offload(sim)["rules_missing"] == 0, lambda: f"{offload(sim)}")
    world.ping(pod.ipv4)


def test_a_limited_pods_packets_pass_its_meters(routed):
    sim, world = routed()
    pod = sim.pod().add(runtimeConfig={"bandwidth": {"ingressRate": 50_000_000, "egressRate": 50_000_000}})
    a = ADDRESSES[4]
    until_routed(sim, pod, a.world)
    rows = [next(row for row in sim.ask("bandwidth")["bandwidth"])]
    tcp_transfer(pod, world, a.world, 2 * MEGABYTE)
    tcp_transfer(world, pod, pod.ipv4, 2 * MEGABYTE)
    rows.append(next(row for row in sim.ask("bandwidth")["bandwidth"]))
    for direction in ("ingress", "egress"):
        assert rows[1][direction]["by"] == "nic"
        assert rows[1][direction]["passed_packets"] - rows[0][direction]["passed_packets"] > 1400
    assert sim.port_of(pod)["offloaded_rx_packets"] > 1400 and sim.port_of(pod)["offloaded_tx_packets"] > 1400


def test_answers_of_a_published_port_are_translated_beside_routes(routed):
    sim, world = routed()
    pod = sim.pod().add(runtimeConfig={"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]})
    other = sim.pod().add()
    a = ADDRESSES[4]
    until_routed(sim, other, a.world)
    with pod.socket() as server:
        server.bind((pod.ipv4, 80))
        server.listen(2)
        for address, port in ((a.wire, 8080), (pod.ipv4, 80)):
            accepted = in_thread(server.accept)
            with world.socket() as client:
                client.connect((address, port))
                peer, _ = accepted()
                peer.settimeout(30)
                for _ in range(20):
                    client.sendall(b"ping")
                    assert peer.recv(10) == b"ping"
                    peer.sendall(b"pong")
                    assert client.recv(10) == b"pong"
                peer.close()
    assert sim.port_of(pod)["offloaded_tx_packets"] >= 20  # what comes in by its own address
    # And what it sends from elsewhere goes by the routes.
    before = slow_packets(sim, pod)
    tcp_transfer(pod, world, a.world, MEGABYTE)
    assert slow_packets(sim, pod) - before < CHATTER
