# SPDX-License-Identifier: BSD-3-Clause
"""Ends of different MTU: what fits goes by the e-switch, of what is too large the sender is told the MTU, and what may be cut is
cut. With kernels' stacks at all ends; and the same by the agent alone."""

import contextlib
import dataclasses
import itertools
import socket

import pytest

from eswitch import flows, wait_full
from resident import ResidentCtl
from simulation import measured, wait_until
from traffic import family_of, tcp_transfer
from world import ADDRESSES, World, uplink_yaml

FAMILIES = [4, 6]
HEADERS = {4: 20 + 8, 6: 40 + 8}  # of IP and UDP
HOST_PORT = 8080
BURST = 20
# What the slow path may see besides a burst: neighbours, and what a kernel says in a while.
CHATTER = 12
MASQUERADE = "masquerade:\n  ipv4: true\n  ipv6: true\n  exclude: [198.51.100.0/24, \"2001:db8:f::/48\"]\n"
# Of linux/in.h and in6.h: the option, and its values that neither look at a path MTU that is known; and what it is known to be.
DISCOVER = {4: (socket.IPPROTO_IP, 10), 6: (socket.IPPROTO_IPV6, 23)}
PROBE, OMIT = 3, 5
PATH_MTU = {4: (socket.IPPROTO_IP, 14), 6: (socket.IPPROTO_IPV6, 24)}


@dataclasses.dataclass
class End:
    """Somebody with an address, and the MTU that packets to and from there have at most."""
    name: str
    netns: object
    addresses: dict
    mtu: int
    pod: object = None


@dataclasses.dataclass
class Scene:
    sim: object
    world: World
    offload: bool
    ends: dict

    def slow(self):
        return sum(port[f"{way}_packets"] - port[f"offloaded_{way}_packets"] for port in self.sim.ports() for way in ("rx", "tx"))

    def rules(self):
        return "\n".join(f"{rule['group']} {rule['priority']} {rule['match']}: {rule['actions']}" for rule in flows(self.sim))

    def forget(self, *ends):
        for end in ends:
            for family in FAMILIES:
                end.netns.run("ip", f"-{family}", "route", "flush", "cache")


# Networks of a smaller MTU than the wire's, and of a larger one.
SCENES = {"large wire": (1500, 9000, None, True), "small wire": (9000, 1500, None, True), "large wire on a VLAN": (1500, 9000, 42, True),
          "without the e-switch": (1500, 9000, None, False)}


@pytest.fixture(scope="module", params=list(SCENES))
def scene(request):
    mtu, wire_mtu, vlan, offload = SCENES[request.param]
    keys = {"mtu": wire_mtu, **({"vlan": vlan} if vlan else {})}
    with measured(mtu=mtu, offload=offload, agent_yaml=uplink_yaml(**keys) + MASQUERADE) as sim, \
            contextlib.closing(World(sim, vlan, wire_mtu)) as world, contextlib.closing(ResidentCtl(sim)):
        world.run("ip", "link", "set", world.ifname, "mtu", wire_mtu)
        world.wait_for_agent()
        ends = {"host": End("host", sim.host, {family: sim.gateway(family) for family in FAMILIES}, mtu),
                "world": End("world", world, {family: ADDRESSES[family].far for family in FAMILIES}, wire_mtu)}
        for name, size in (("usual", None), ("small", 1400), ("large", 9000)):
            pod = sim.pod(mtu=size, capabilities={"portMappings": True}).add(runtimeConfig={"portMappings": [
                {"hostPort": HOST_PORT + len(ends), "containerPort": 80, "protocol": "udp"}]} if name != "usual" else {})
            ends[name] = End(name, pod, {4: pod.ipv4, 6: pod.ipv6}, size or mtu, pod)
        for family in FAMILIES:
            a = ADDRESSES[family]
            world.ping(a.wire, "-I", a.peer)
            world.ping(a.wire, "-I", a.gate)
            sim.host.ping(ends["usual"].addresses[family])
            ends["usual"].netns.ping(a.far, check=False)
        yield Scene(sim, world, offload, ends)


@contextlib.contextmanager
def sockets(family, *ends):
    """A socket of datagrams for each of these, at its address."""
    with contextlib.ExitStack() as stack:
        made = []
        for end in ends:
            made.append(stack.enter_context(end.netns.socket(family_of(end.addresses[family]), socket.SOCK_DGRAM)))
            made[-1].bind((end.addresses[family], 0))
            made[-1].settimeout(10)
        yield made


def discover(sock, family, value):
    sock.setsockopt(*DISCOVER[family], value)


def send_burst(sender, receiver, size, count=BURST):
    for number in range(count):
        sender.send(number.to_bytes(2, "big") * (size // 2) + b"!" * (size % 2))
        assert len(receiver.recv(65536)) == size, "it arrives as large as it was"


def told_mtu(sender, receiver, family, size):
    """Sends something that is too large, with DF; the MTU that its sender is told then."""
    sender.send(bytes(size))
    with pytest.raises(OSError) as refusal:
        sender.recv(1)
    assert refusal.value.errno == 90, "EMSGSIZE"
    receiver.setblocking(False)
    with pytest.raises(BlockingIOError):
        receiver.recv(65536)
    receiver.settimeout(10)
    return sender.getsockopt(*PATH_MTU[family])


def check_way(scene, family, sender, receiver, mtus, carried):
    """Both are connected sockets; mtus: the sender's, and the receiver's. `carried`: what fits goes by the e-switch."""
    own, others = mtus
    largest = min(own, others)
    discover(sender, family, PROBE)
    for size in (8, largest - HEADERS[family]):
        before = scene.slow()
        send_burst(sender, receiver, size)
        slow = scene.slow() - before
        if carried:
            assert slow < CHATTER, f"the agent has received and sent {slow} packets of {BURST} of {size} bytes:\n{scene.rules()}"
    if own <= others:
        return
    discover(sender, family, OMIT)
    if family == 4:
        send_burst(sender, receiver, largest - HEADERS[family] + 1, 3)
        send_burst(sender, receiver, own - HEADERS[family], 3)
    discover(sender, family, PROBE)
    for size in (largest + 1, own):
        assert told_mtu(sender, receiver, family, size - HEADERS[family]) == largest


def until_offloaded(scene, sender, receiver):
    """What one sends to the other goes by the e-switch."""
    def goes():
        before = scene.slow()
        send_burst(sender, receiver, 100)
        return scene.slow() - before < CHATTER
    wait_until(goes, lambda: f"it goes by the e-switch:\n{scene.rules()}\n{scene.sim.ask('connections')}")


WAYS = [(a, b) for a, b in itertools.permutations(("usual", "small", "large", "host", "world"), 2) if {a, b} != {"host", "world"}]


@pytest.mark.parametrize("family", FAMILIES, ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("a,b", WAYS, ids=str)
def test_what_is_routed(scene, family, a, b):
    """Between pods, the host and the wire, without translation."""
    a, b = scene.ends[a], scene.ends[b]
    scene.forget(a)
    with sockets(family, a, b) as (sender, receiver):
        sender.connect(receiver.getsockname()[:2])
        receiver.connect(sender.getsockname()[:2])
        if scene.offload:
            until_offloaded(scene, sender, receiver)
        check_way(scene, family, sender, receiver, (a.mtu, b.mtu), scene.offload)


def converse(scene, family, client, server, target, port):
    """(client's socket, server's socket) of datagrams that are exchanged by `target`, and carried; both connected."""
    client.connect((target, port))
    client.send(b"hello")
    _, peer = server.recvfrom(65536)
    server.connect(peer[:2])
    for _ in range(12):
        send_burst(client, server, 100, 1)
        send_burst(server, client, 100, 1)
    if scene.offload:
        until_offloaded(scene, client, server)
        until_offloaded(scene, server, client)


@pytest.mark.parametrize("family", FAMILIES, ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("pod", ["usual", "small", "large"])
def test_what_is_masqueraded(scene, family, pod):
    pod, world = scene.ends[pod], scene.ends["world"]
    outside = dataclasses.replace(world, addresses={each: ADDRESSES[each].world for each in FAMILIES})
    scene.forget(pod, world)
    with sockets(family, pod, outside) as (client, server):
        converse(scene, family, client, server, *server.getsockname()[:2])
        check_way(scene, family, client, server, (pod.mtu, world.mtu), scene.offload)
        check_way(scene, family, server, client, (world.mtu, pod.mtu), scene.offload)
        # And the connection has not suffered.
        send_burst(client, server, 100)
        send_burst(server, client, 100)


@pytest.mark.parametrize("family", FAMILIES, ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("caller,pod", [("world", "small"), ("world", "large"), ("usual", "small"), ("usual", "large"), ("large", "small"),
                                        ("host", "small"), ("host", "large")])
def test_what_goes_by_a_published_port(scene, family, caller, pod):
    names = list(scene.ends)
    caller, port, pod = scene.ends[caller], HOST_PORT + names.index(pod), scene.ends[pod]
    scene.forget(caller, pod)
    with sockets(family, caller) as (client, ), pod.netns.socket(family_of(pod.addresses[family]), socket.SOCK_DGRAM) as server:
        server.bind((pod.addresses[family], 80))
        server.settimeout(10)
        converse(scene, family, client, server, ADDRESSES[family].wire, port)
        check_way(scene, family, client, server, (caller.mtu, pod.mtu), scene.offload)
        check_way(scene, family, server, client, (pod.mtu, caller.mtu), scene.offload)


@pytest.mark.parametrize("family", FAMILIES, ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("a,b", [("large", "small"), ("usual", "world")], ids=str)
def test_a_stream_goes_by_the_e_switch(scene, family, a, b):
    """Its segments are what the other end takes, also while they are yet to be cut by the NIC."""
    a, b = scene.ends[a], scene.ends[b]
    scene.forget(a, b)
    before = scene.slow()
    tcp_transfer(a.netns, b.netns, b.addresses[family], 4 << 20)
    if scene.offload:
        slow = scene.slow() - before
        assert slow < 100, f"the agent has received and sent {slow} packets"


def test_every_pod_has_all_its_rules(scene):
    if scene.offload:
        wait_full(scene.sim, *(end.pod for end in scene.ends.values() if end.pod))
