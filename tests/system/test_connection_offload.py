# SPDX-License-Identifier: BSD-3-Clause
"""Masqueraded connections in the e-switch, with the kernel's stack at both ends: they move there and back, and nobody notices."""

import contextlib
import json
import multiprocessing
import os
import resource
import selectors
import signal
import socket
import struct
import time

import pytest
from scapy.layers.inet import IP, IPOption_NOP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import Dot1Q, Ether

from eswitch import flows, misbehave, rules_in_nic
from packets import ROUTER
from simulation import wait_until
from traffic import family_of, first_frame, in_thread, raw_socket, tcp_transfer, udp_echo
from world import ADDRESSES, World, uplink_yaml

FAMILIES = [4, 6]
MEGABYTE = 1 << 20
# More packets than make a connection worth carrying.
ENOUGH = 12
# What the slow path may see besides: neighbours, and what was on its way.
CHATTER = 30
# Of each pod that has had connections in the e-switch: what leads to them, and on to the pod.
GATE = 3
ROUTES = 8  # their group


MASQUERADE = {"ipv4": "true", "ipv6": "true"}


def masquerade_yaml(masquerade):
    if masquerade is None:
        return ""
    return "masquerade:\n" + "".join(f"  {key}: {value}\n" for key, value in (MASQUERADE | masquerade).items())


@pytest.fixture
def carried(make_sim):
    """carried(connections=..., uplink={...}, masquerade={...}, **options): a simulation that masquerades, but not if that is None, and the world."""
    with contextlib.ExitStack() as stack:
        def make(connections=None, uplink=None, masquerade=MASQUERADE, mtu=1500, vlan=None, **options):
            section = masquerade_yaml(masquerade)
            if connections is not None:
                assert "offload" not in options or options["offload"] == "true"
                options["offload"] = f"true\n  offload_connections: {connections}"
            sim = make_sim(agent_yaml=uplink_yaml(**(uplink or {})) + section, mtu=mtu, **options)
            world = World(sim, mtu=max(mtu, 1500), vlan=vlan)
            stack.callback(world.close)
            world.route_pods("del")
            world.wait_for_agent()
            return sim, world

        yield make


def connections(sim):
    return sim.ask("connections")


def count_carried(sim):
    return sum(c["offloaded"] for c in connections(sim)["connections"])


def uplink(sim):
    return next(port for port in sim.ports() if port["kind"] == "uplink")


def slow_packets(sim, pod):
    """What the agent itself has received and sent for the pod, and by the uplink."""
    return sum(port[f"{way}_packets"] - port[f"offloaded_{way}_packets"]
               for port in (sim.port_of(pod), uplink(sim)) for way in ("rx", "tx"))


class Tcp:
    """A connection from a pod to the world; say() and hear() go there and back."""

    def __init__(self, pod, world, address):
        with world.socket(family_of(address)) as listener:
            listener.bind((address, 0))
            listener.listen(1)
            self.port = listener.getsockname()[1]
            accepted = in_thread(listener.accept)
            self.client = pod.socket(family_of(address))
            self.client.connect((address, self.port))
            self.server, self.peer = accepted()
        for end in (self.client, self.server):
            end.settimeout(30)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def talk(self, times=ENOUGH):
        for i in range(times):
            text = struct.pack("!I", i)
            self.client.sendall(text)
            assert self.server.recv(4) == text
            self.server.sendall(text)
            assert self.client.recv(4) == text

    def close(self):
        self.client.close()
        self.server.close()


class Udp:
    """The same of datagrams."""

    def __init__(self, pod, world, address):
        self.server = world.socket(family_of(address), socket.SOCK_DGRAM)
        self.server.bind((address, 0))
        self.port = self.server.getsockname()[1]
        self.client = pod.socket(family_of(address), socket.SOCK_DGRAM)
        self.client.connect((address, self.port))
        for end in (self.client, self.server):
            end.settimeout(30)

    def talk(self, times=ENOUGH):
        for i in range(times):
            text = struct.pack("!I", i)
            self.client.send(text)
            data, self.peer = self.server.recvfrom(100)
            assert data == text
            self.server.sendto(text, self.peer)
            assert self.client.recv(100) == text

    def close(self):
        self.client.close()
        self.server.close()


class CallTcp(Tcp):
    """A connection from the world, or from a caller with that source, to a port that a pod publishes."""

    def __init__(self, pod, caller, family, host_port, port, source=None):  # pylint: disable=super-init-not-called
        with pod.socket(family_of(ADDRESSES[family].world)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((pod.address(family), port))
            listener.listen(1)
            accepted = in_thread(listener.accept)
            self.client = caller.socket(family_of(ADDRESSES[family].world))
            self.client.bind((source or ADDRESSES[family].world, 0))
            self.client.connect((ADDRESSES[family].wire, host_port))
            self.server, self.peer = accepted()
        self.port = self.client.getsockname()[1]
        for end in (self.client, self.server):
            end.settimeout(30)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class CallUdp(Udp):
    """The same of datagrams."""

    def __init__(self, pod, caller, family, host_port, port, source=None):  # pylint: disable=super-init-not-called
        self.server = pod.socket(family_of(ADDRESSES[family].world), socket.SOCK_DGRAM)
        self.server.bind((pod.address(family), port))
        self.client = caller.socket(family_of(ADDRESSES[family].world), socket.SOCK_DGRAM)
        self.client.bind((source or ADDRESSES[family].world, 0))
        self.client.connect((ADDRESSES[family].wire, host_port))
        self.port = self.client.getsockname()[1]
        for end in (self.client, self.server):
            end.settimeout(30)


def publishing(sim, *ports):
    """A pod behind these ports of the agent's address, both protocols, by the same port of its own."""
    mappings = [{"hostPort": port, "containerPort": port, "protocol": protocol} for port in ports for protocol in ("tcp", "udp")]
    return sim.pod(capabilities={"portMappings": True}, runtimeConfig={"portMappings": mappings}).add()


def is_carried(sim, talk):
    """Is this one? Lets it talk once more."""
    talk.talk(1)
    return any(c["offloaded"] for c in connections(sim)["connections"] if c["to"]["port"] == talk.port)


def until_carried(sim, *talks):
    for talk in talks:
        talk.talk()
        wait_until(lambda talk=talk: is_carried(sim, talk), lambda: f"it is carried: {connections(sim)}\n{sim.logs()}")


def assert_masqueraded_in_the_e_switch(sim, pod, talk, family):
    """This connection of the pod's with the world goes on there; it is over then."""
    until_carried(sim, talk)
    before = slow_packets(sim, pod)
    talk.talk(200)
    assert slow_packets(sim, pod) - before <= CHATTER, sim.ports()
    assert talk.peer[0] == ADDRESSES[family].wire
    talk.close()


def rules_but_routes(sim):
    """Rules in the NIC, without those that come and go with a neighbour on the wire: to it, and the routes."""
    return rules_in_nic(sim) - sum(flow["group"] == ROUTES or flow["actions"].endswith("to the wire") for flow in flows(sim))


def until_none_carried(sim, rules):
    wait_until(lambda: count_carried(sim) == 0 and rules_but_routes(sim) == rules,
               lambda: f"no connection is carried: {connections(sim)}, {rules_but_routes(sim)} rules of {rules}")


@pytest.mark.parametrize("kind", [Tcp, Udp])
def test_an_established_connection_stays_in_the_e_switch(carried, kind):
    sim, world = carried()
    pod = sim.pod().add()
    rules = rules_in_nic(sim)
    for family in FAMILIES:
        talk = kind(pod, world, ADDRESSES[family].world)
        until_carried(sim, talk)
        assert rules_in_nic(sim) == rules + GATE + 2
        before = slow_packets(sim, pod)
        talk.talk(500)
        assert slow_packets(sim, pod) - before <= CHATTER, sim.ports()
        # What the e-switch counts is told as if the agent had forwarded it.
        wait_until(lambda talk=talk: all(c["packets_sent"] >= 500 and c["packets_received"] >= 500 for c in connections(sim)["connections"]
                                         if c["to"]["port"] == talk.port), lambda: f"the packets are counted: {connections(sim)}")
        assert sim.port_of(pod)["offloaded_rx_packets"] >= 500 and uplink(sim)["offloaded_tx_packets"] >= 500
        assert talk.peer[0] == ADDRESSES[family].wire
        talk.close()
        if kind is Tcp:
            until_none_carried(sim, rules + GATE)  # by its FIN, long before its time is up
        else:  # nothing says that it is over, but that its pod goes
            pod.delete()
            until_none_carried(sim, rules - 6)
            pod = sim.pod().add()
    assert connections(sim)["offload"]["why_not"] == ""


# Where the world is masqueraded to, and where it sees pods as they are: then only answers by the published port are translated,
# and nothing is followed at all before the first port is published if nobody is masqueraded.
@pytest.mark.parametrize("masquerade", [{}, {"exclude": "[192.0.2.0/24, \"2001:db8:ffff::/48\"]"}, None], ids=["masqueraded", "seen", "off"])
@pytest.mark.parametrize("offload", ["true", "false"])
def test_who_calls_a_published_port_stays_in_the_e_switch(carried, masquerade, offload):
    sim, world = carried(masquerade=masquerade, offload=offload)
    pod = publishing(sim, 8080)
    rules = rules_but_routes(sim)
    for family in FAMILIES:
        for kind in CallTcp, CallUdp:
            talk = kind(pod, world, family, 8080, 8080)
            talk.talk()
            if offload == "true":
                until_carried(sim, talk)
                assert rules_but_routes(sim) == rules + GATE + 2
            before = slow_packets(sim, pod)
            talk.talk(200)
            slow = slow_packets(sim, pod) - before
            assert slow <= CHATTER if offload == "true" else slow >= 800, sim.ports()
            assert talk.peer[0] == ADDRESSES[family].world
            wait_until(lambda talk=talk: any(c["packets_sent"] >= 200 and c["packets_received"] >= 200 for c in connections(sim)["connections"]
                                             if c["to"]["port"] == talk.port), lambda: f"the packets are counted: {connections(sim)}")
            talk.close()
            if kind is CallTcp and offload == "true":
                until_none_carried(sim, rules + GATE)
        # What nobody ends goes with the pod, and its port is another one's at once.
        pod.delete()
        pod = publishing(sim, 8080)
        talk = CallUdp(pod, world, family, 8080, 8080)
        talk.talk()
        talk.close()
        pod.delete()
        pod = publishing(sim, 8080)
        if offload == "true":
            until_none_carried(sim, rules)


def test_who_is_masqueraded_only_later_has_connections_in_the_e_switch_too(carried):
    sim, world = carried(masquerade=None)
    pod = sim.pod().add()
    assert connections(sim)["offload"]["why_not"] == ""
    sim.configure(more=uplink_yaml() + masquerade_yaml({}))
    sim.agent.send(signal.SIGHUP)
    wait_until(lambda: "configuration taken again" in sim.agent.log.read_text(), sim.agent.tail)
    for family in FAMILIES:
        assert_masqueraded_in_the_e_switch(sim, pod, Udp(pod, world, ADDRESSES[family].world), family)


def test_bytes_arrive_unchanged_while_connections_move(carried):
    sim, world = carried()
    pod = sim.pod().add()
    for family in FAMILIES:
        address = ADDRESSES[family].world
        before = sim.port_of(pod)["offloaded_rx_bytes"]
        tcp_transfer(pod, world, address, 16 * MEGABYTE)
        udp_echo(pod, world, address, [100] * 50 + [0, 1400, 1500, 4000, 20000] + [100] * 20)  # some of it in fragments
        wait_until(lambda before=before: sim.port_of(pod)["offloaded_rx_bytes"] - before > 8 * MEGABYTE,
                   lambda: f"most of it went by the e-switch: {sim.port_of(pod)}")


def test_a_reset_ends_it_at_once(carried):
    sim, world = carried()
    pod = sim.pod().add()
    rules = rules_in_nic(sim)
    talk = Tcp(pod, world, ADDRESSES[4].world)
    until_carried(sim, talk)
    talk.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    talk.server.close()
    until_none_carried(sim, rules + GATE)
    with pytest.raises(ConnectionResetError):
        talk.client.recv(1)
    talk.close()


def test_ageing_removes_both_halves_and_not_before_its_time(carried):
    sim, world = carried(masquerade={"timeouts": "\n    udp_answered: 6\n    udp: 6"})
    pod = sim.pod().add()
    rules = rules_in_nic(sim)
    talk = Udp(pod, world, ADDRESSES[4].world)
    until_carried(sim, talk)
    seen = talk.peer
    # Twice as long as its timeout, with packets that the agent does not see.
    for _ in range(16):
        time.sleep(0.5)
        talk.talk(1)
        assert talk.peer == seen
    assert is_carried(sim, talk)
    talk.close()
    until_none_carried(sim, rules + GATE)
    wait_until(lambda: connections(sim)["total"] == 0, lambda: f"it is forgotten: {connections(sim)}")


def test_there_are_never_more_than_there_may_be(carried):
    sim, world = carried(connections=4)
    pod = sim.pod().add()
    rules = rules_in_nic(sim)
    talks = [Udp(pod, world, ADDRESSES[4].world) for _ in range(8)]
    for talk in talks:
        talk.talk()
    wait_until(lambda: count_carried(sim) == 4, lambda: f"four are carried: {connections(sim)}\n{sim.logs()}")
    for talk in talks:
        talk.talk()
    told = connections(sim)["offload"]
    assert told["carried"] == told["most"] == 4 and told["refused_full"] >= 4, told
    assert rules_in_nic(sim) == rules + GATE + 8
    assert "4 of at most 4 in the e-switch" in sim.podportctl("connections").stdout
    for talk in talks:
        talk.close()


def test_a_full_nic_leaves_connections_to_software(carried):
    sim, world = carried()
    pod = sim.pod().add()
    rules = rules_in_nic(sim)
    misbehave(sim, f"table_full={rules + GATE + 1}")  # room for one half
    talk = Tcp(pod, world, ADDRESSES[6].world)
    talk.talk()
    wait_until(lambda: connections(sim)["offload"]["refused_nic"] > 0, lambda: f"the NIC refuses: {connections(sim)}")
    talk.talk()
    assert count_carried(sim) == 0 and rules_in_nic(sim) == rules + GATE
    misbehave(sim, "table_full=off")
    until_carried(sim, talk)
    talk.talk()
    talk.close()


def test_a_next_hop_with_another_address_is_followed(carried):
    sim, world = carried()
    pod = sim.pod().add()
    talk = Tcp(pod, world, ADDRESSES[4].world)
    until_carried(sim, talk)
    world.run("ip", "link", "set", world.wire, "address", "02:00:5e:00:00:77")
    world.run("ip", "neigh", "flush", "dev", world.wire)
    # It asks for the agent, who learns by that; what was under way to the old address is sent again by TCP.
    wait_until(lambda: "1 received" in world.ping(ADDRESSES[4].wire, "-I", ADDRESSES[4].gate, count=1, check=False), "the agent knows")
    talk.talk()
    until_carried(sim, talk)
    talk.close()


def test_connections_leave_with_their_pod_and_others_stay(carried):
    sim, world = carried()
    pod, other = sim.pod().add(), sim.pod().add()
    rules = rules_in_nic(sim)
    talks = [Udp(pod, world, ADDRESSES[family].world) for family in FAMILIES for _ in range(5)]
    stays = Tcp(other, world, ADDRESSES[4].world)
    until_carried(sim, stays, *talks)
    assert rules_in_nic(sim) == rules + 2 * GATE + 2 * 11
    for talk in talks:
        talk.close()
    pod.delete()
    wait_until(lambda: rules_in_nic(sim) == rules - 6 + GATE + 2, lambda: f"{rules_in_nic(sim)} rules of {rules}, {connections(sim)}")
    assert is_carried(sim, stays)
    # Whoever comes next on that function has none of it.
    newcomer = sim.pod().add()
    tcp_transfer(newcomer, world, ADDRESSES[4].world, MEGABYTE)
    stays.talk()
    stays.close()


def test_an_agent_that_is_started_again_has_none_and_begins_anew(carried):
    sim, world = carried()
    pod = sim.pod().add()
    talk = Udp(pod, world, ADDRESSES[4].world)
    until_carried(sim, talk)
    sim.restart(sim.agent)
    world.wait_for_agent()
    talk.talk()
    until_carried(sim, talk)
    talk.close()


def from_world(world, talk, sim, mark, hops=64, vlan=42):
    """A frame as the world would send it to the pod by this flow, with that tag on the wire; None: without one."""
    seen = next(c["seen_as"] for c in connections(sim)["connections"] if c["to"]["port"] == talk.port)
    a = ADDRESSES[4]
    ip = IP(src=a.world, dst=a.wire, ttl=hops) / UDP(sport=talk.port, dport=seen["port"]) / mark
    link = json.loads(world.run("ip", "-json", "link", "show", "dev", world.ifname).stdout)[0]["address"]
    agent = json.loads(world.run("ip", "-json", "neigh", "show", a.wire).stdout)[0]["lladdr"]
    ether = Ether(src=link, dst=agent)
    return bytes(ether / (Dot1Q(vlan=vlan) / ip if vlan is not None else ip))


def test_on_a_vlan_connections_are_carried_with_its_tag(carried):
    sim, world = carried(uplink={"vlan": 42}, vlan=42)
    pod = sim.pod().add()
    rules = rules_in_nic(sim)
    assert connections(sim)["offload"]["why_not"] == "", sim.podportctl("offload").stdout
    for family in FAMILIES:
        for kind in Tcp, Udp:
            assert_masqueraded_in_the_e_switch(sim, pod, kind(pod, world, ADDRESSES[family].world), family)
        tcp_transfer(pod, world, ADDRESSES[family].world, MEGABYTE)
    # Only what has that tag is the flow's; and what expires is answered, also with it.
    talk = Udp(pod, world, ADDRESSES[4].world)
    until_carried(sim, talk)
    with raw_socket(world, world.wire) as raw:
        for mark, vlan in ((b"none", None), (b"zero", 0), (b"other", 43)):
            raw.send(from_world(world, talk, sim, mark, vlan=vlan))
        raw.send(from_world(world, talk, sim, b"expires", hops=1))
        first_frame(raw, lambda frame: expired(untagged(frame)), "time exceeded")
        raw.send(from_world(world, talk, sim, b"two hops", hops=2))
    assert talk.client.recv(100) == b"two hops"
    talk.close()
    # Without it they go on, and anew.
    world.run("ip", "address", "flush", "dev", world.ifname)
    for family, a in ADDRESSES.items():
        for address in (a.peer, a.gate):
            world.run("ip", f"-{family}", "address", "add", f"{address}/{a.length}", "dev", world.wire, *(["nodad"] if family == 6 else []))
    sim.configure(more=uplink_yaml() + "masquerade:\n  ipv4: true\n  ipv6: true\n")
    sim.agent.send(signal.SIGHUP)
    world.wait_for_agent()
    talk = Udp(pod, world, ADDRESSES[4].world)
    until_carried(sim, talk)
    talk.talk(50)
    talk.close()
    pod.delete()
    wait_until(lambda: rules_in_nic(sim) == rules - 6 - 4, lambda: f"{rules_in_nic(sim)} rules of {rules}")


def untagged(frame):
    """The kernel has taken the tag off, or not."""
    return frame[:12] + frame[16:] if frame[12:14] == b"\x81\0" else frame


def too_big(client, size):
    """The MTU that the kernel has learned for this peer when so many bytes do not go, or 0: they go."""
    try:
        client.send(bytes(size))
        return 0
    except OSError:
        level, option = (socket.IPPROTO_IP, 14) if client.family == socket.AF_INET else (socket.IPPROTO_IPV6, 24)
        return client.getsockopt(level, option)


@pytest.mark.parametrize("offload", ["true", "false"])
def test_path_mtu_is_told_with_offload_and_without(carried, offload):
    """A pod network of 9000 behind an uplink of 1500; and both of 9000, where large packets go."""
    sim, world = carried(mtu=9000, uplink={"mtu": 1500}, offload=offload)
    pod = sim.pod().add()
    for family in FAMILIES:
        address = ADDRESSES[family].world
        talk = Udp(pod, world, address)
        talk.talk(30)
        # IP_MTU_DISCOVER, IPV6_MTU_DISCOVER: always
        talk.client.setsockopt(*((socket.IPPROTO_IP, 10, 2) if family == 4 else (socket.IPPROTO_IPV6, 23, 2)))
        wait_until(lambda talk=talk: too_big(talk.client, 8000) == 1500, "the pod is told that the wire takes 1500 bytes")
        talk.client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # what it was told since
        talk.talk()
        talk.close()
        tcp_transfer(pod, world, address, 2 * MEGABYTE)


@pytest.mark.parametrize("offload", ["true", "false"])
def test_packets_of_nine_thousand_bytes_go_with_offload_and_without(carried, offload):
    sim, world = carried(mtu=9000, offload=offload)
    pod = sim.pod().add()
    for family in FAMILIES:
        address = ADDRESSES[family].world
        talk = Udp(pod, world, address)
        talk.talk()
        if offload == "true":
            until_carried(sim, talk)
        talk.client.setsockopt(*((socket.IPPROTO_IP, 10, 2) if family == 4 else (socket.IPPROTO_IPV6, 23, 2)))
        size = 9000 - (28 if family == 4 else 48)
        for _ in range(20):
            talk.client.send(bytes(size))
            data, peer = talk.server.recvfrom(10000)
            assert len(data) == size
            talk.server.sendto(data, peer)
            assert len(talk.client.recv(10000)) == size
        assert too_big(talk.client, size + 1) == 9000
        talk.close()
        tcp_transfer(pod, world, address, 4 * MEGABYTE)


def odd_packets(pod, world, talk):
    """Packets of a connection that no rule may forward, or not as they are: what becomes of each, as the world and the pod see it."""
    family = 4 if talk.client.family == socket.AF_INET else 6
    link = Ether(src=pod.mac, dst=ROUTER)
    local, peer = talk.client.getsockname()[:2], talk.client.getpeername()[:2]

    def packet(hops=64, extra=None, payload=b"odd", sport=local[1]):
        if family == 4:
            ip = IP(src=local[0], dst=peer[0], ttl=hops, **(extra or {}))
        else:
            ip = IPv6(src=local[0], dst=peer[0], hlim=hops)
            ip = ip / extra if extra else ip
        return link / ip / UDP(sport=sport, dport=peer[1]) / payload

    options = {"options": [IPOption_NOP()] * 4} if family == 4 else IPv6ExtHdrDestOpt()
    spoofed = packet(payload=b"spoofed")
    spoofed[Ether].src = "02:00:00:00:00:99"
    tagged = Ether(src=pod.mac, dst=ROUTER) / Dot1Q(vlan=5) / packet(payload=b"tagged").payload
    broken = packet(payload=b"broken")
    if family == 4:
        broken[IP].chksum = 0x1234
    cases = {"two hops": packet(hops=2, payload=b"two hops"), "options": packet(extra=options, payload=b"options"),
             "spoofed": spoofed, "tagged": tagged}
    if family == 4:
        cases["broken"] = broken
    seen = {}
    with raw_socket(pod, pod.ifname) as raw:
        for name, frame in cases.items():
            raw.send(bytes(frame))
        # Behind them; and the answer to one that expires.
        raw.send(bytes(packet(hops=1)))
        first_frame(raw, lambda data: data[:6] == mac_bytes(pod.mac) and expired(data), "time exceeded")
    talk.client.send(b"last")
    while (data := talk.server.recvfrom(100)[0]) != b"last":
        seen[data.decode()] = seen.get(data.decode(), 0) + 1
    return seen


def mac_bytes(mac):
    return bytes.fromhex(mac.replace(":", ""))


def expired(frame):
    kind = frame[12:14]
    return (kind == b"\x08\0" and frame[23] == 1 and frame[34] == 11) or (kind == b"\x86\xdd" and frame[20] == 58 and frame[54] == 3)


def test_odd_packets_of_a_connection_meet_the_same_with_offload_and_without(carried):
    sim, world = carried()
    pod = sim.pod().add()
    for offload in ("true", "false"):
        for family in FAMILIES:
            talk = Udp(pod, world, ADDRESSES[family].world)
            talk.talk()
            if offload == "true":
                until_carried(sim, talk)
            assert odd_packets(pod, world, talk) == {"two hops": 1, "options": 1}, (offload, family)
            talk.close()
        assert sim.drops(pod).get("spoofed-source-mac") and sim.drops(pod).get("vlan-tagged"), sim.drops(pod)
        sim.configure(offload="false")
        sim.restart(sim.agent)
        world.wait_for_agent()


class Sequence:
    """Numbered datagrams there and back, as fast as is asked for: what is lost, and what comes after a later one."""

    def __init__(self, pod, world, address, per_second):
        self.udp = Udp(pod, world, address)
        self.udp.talk(2)  # neighbours are known, and it is not yet worth carrying
        self.interval = 1 / per_second
        for end in (self.udp.client, self.udp.server):
            end.settimeout(0.2)
            end.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        self.numbers, self.sent, self.enough, self.leave = [], 0, False, False
        self.echo, self.listen = in_thread(self._echo), in_thread(self._listen)
        self.send = in_thread(self._send)

    def _echo(self):
        while not self.leave:
            with contextlib.suppress(TimeoutError):
                self.udp.server.sendto(*self.udp.server.recvfrom(100))

    def _listen(self):
        while not self.leave:
            with contextlib.suppress(TimeoutError):
                self.numbers.append(struct.unpack("!I", self.udp.client.recv(100))[0])

    def _send(self):
        due = time.monotonic()
        while not self.enough:
            self.udp.client.send(struct.pack("!I", self.sent))
            self.sent += 1
            # Who was kept from it does not catch up: a burst loses packets anywhere.
            due = max(due + self.interval, time.monotonic())
            time.sleep(max(0, due - time.monotonic()))

    def end(self):
        """(sent, lost, out of order)"""
        self.enough = True
        self.send()
        with contextlib.suppress(AssertionError):
            wait_until(lambda: len(self.numbers) >= self.sent, "all are back", timeout_s=2)
        self.leave = True
        self.echo()
        self.listen()
        self.udp.close()
        highest, late = -1, 0
        for number in self.numbers:
            late += number < highest
            highest = max(highest, number)
        missing = sorted(set(range(self.sent)) - set(self.numbers))
        return self.sent, len(missing), late


def test_moving_a_flow_neither_loses_nor_reorders_noticeably(carried):
    sim, world = carried()
    pod = sim.pod().add()
    for family in FAMILIES:
        sequence = Sequence(pod, world, ADDRESSES[family].world, 5000)
        wait_until(lambda: count_carried(sim) == 1, "it is carried")
        wait_until(lambda: sequence.sent > 5000, "it goes on for a while")  # pylint: disable=cell-var-from-loop
        sent, lost, late = sequence.end()
        print(f"UDP over IPv{family}: {sent} datagrams there and back while the flow moves: {lost} lost, {late} out of order")
        assert lost <= sent // 100 and late <= sent // 100
        pod.delete()
        pod = sim.pod().add()


def test_iperf3_does_not_notice_the_move(carried):
    sim, world = carried()
    pod = sim.pod().add()
    for family in FAMILIES:
        address = ADDRESSES[family].world
        server = world.popen("iperf3", "-s", "-1", "-B", address)
        wait_until(lambda: world.run("ss", "-ltn", "sport", "=", ":5201").stdout.count("5201"), "iperf3 listens")
        result = json.loads(pod.run("iperf3", "-c", address, "-t", "3", "-J").stdout)
        server.wait(60)
        end = result["end"]
        print(f"iperf3 over IPv{family}: {end['sum_received']['bits_per_second'] / 1e9:.2f} Gbit/s, "
              f"{end['sum_sent']['retransmits']} segments sent again in {end['sum_sent']['seconds']:.1f} s with the move")
        assert end["sum_received"]["bytes"] > MEGABYTE


class Crowd:
    """Many UDP flows of a pod: each of some sockets to each of some peers in the world, which answer."""

    def __init__(self, pod, world, count):
        peers = min(100, max(4, count // 500))
        self.peers = [f"192.0.2.{100 + i}" for i in range(peers)]
        for address in self.peers:
            world.run("ip", "address", "add", f"{address}/32", "dev", "lo")
        self.servers = [world.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in self.peers]
        for server, address in zip(self.servers, self.peers):
            server.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
            server.bind((address, 9000))
            server.setblocking(False)
        self.clients = [pod.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count // peers)]
        for client in self.clients:
            client.bind(("", 0))
            client.setblocking(False)
        self.count = len(self.clients) * peers
        # In processes of their own: what is measured beside has this one.
        self.processes = [multiprocessing.get_context("fork").Process(target=target, daemon=True) for target in (self._answer, self._talk)]
        for process in self.processes:
            process.start()

    def _answer(self):
        with selectors.DefaultSelector() as selector:
            for server in self.servers:
                selector.register(server, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    with contextlib.suppress(BlockingIOError):
                        while True:
                            key.fileobj.sendto(*key.fileobj.recvfrom(100))

    def _talk(self):
        while True:
            for client in self.clients:
                for address in self.peers:
                    with contextlib.suppress(BlockingIOError):
                        client.sendto(b"hello", (address, 9000))
                with contextlib.suppress(BlockingIOError):
                    while True:
                        client.recv(100)

    def close(self):
        for process in self.processes:
            process.kill()
            process.join()
        for end in self.clients + self.servers:
            end.close()


@pytest.mark.parametrize("offload", ["true", "false"])
def test_attaching_goes_on_while_connections_move(carried, offload):
    """Pods come and go while another one's connections move, PODPORT_TEST_CONNECTIONS of them (default 300): that is in no call's
    way. How long calls take is printed, and beside it the same with offload switched off."""
    count = int(os.environ.get("PODPORT_TEST_CONNECTIONS", "300"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(8192, count // 50), ) * 2)
    sim, world = carried(connections=count if offload == "true" else None, masquerade={"connections": max(1000, 2 * count)},
                         memory_mb=128 + count // 500, offload=offload)
    pod = sim.pod().add()
    took = []

    def attach():
        begin = time.monotonic()
        other = sim.pod().add()
        took.append(time.monotonic() - begin)
        other.delete()

    def carried_now():  # by the NIC, since a list of very many takes a while
        return (rules_in_nic(sim) - rules - GATE) // 2

    for _ in range(10):
        attach()
    quiet, took[:] = sorted(took), []
    rules = rules_in_nic(sim)
    begin = time.monotonic()
    crowd = Crowd(pod, world, count)
    try:
        while len(took) < 10 or (offload == "true" and carried_now() < 0.9 * crowd.count):
            attach()
            assert time.monotonic() - begin < 60 + count / 100, f"{carried_now()} are carried"
    finally:
        crowd.close()
    moved_s, busy, moved = time.monotonic() - begin, sorted(took), carried_now()
    begin = time.monotonic()
    pod.delete()
    took_s = time.monotonic() - begin
    newcomer = sim.pod().add()  # at once, while their rules leave
    newcomer.delete()
    after_s = time.monotonic() - begin - took_s
    wait_until(lambda: rules_in_nic(sim) == max(0, rules - 6), lambda: f"{rules_in_nic(sim)} rules of {rules - 6}")
    print(f"offload {offload}: ADD: median {quiet[len(quiet) // 2] * 1000:.1f} ms, longest {quiet[-1] * 1000:.1f} ms; while {moved} of {crowd.count} "
          f"connections move within {moved_s:.1f} s: {busy[len(busy) // 2] * 1000:.1f} ms, {busy[-1] * 1000:.1f} ms ({len(busy)} pods); "
          f"DEL of their pod: {took_s * 1000:.1f} ms, ADD and DEL of another one then: {after_s * 1000:.1f} ms, "
          f"their rules are gone after {time.monotonic() - begin:.2f} s")
