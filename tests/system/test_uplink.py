# SPDX-License-Identifier: BSD-3-Clause
"""Pods and the world: routes, neighbours, errors and VLAN on the uplink, with the kernel's stack at both ends."""

import contextlib
import re
import signal
import socket

import pytest

from eswitch import misbehave
from simulation import inside, wait_until
from traffic import tcp_transfer, udp_echo
from world import ADDRESSES, ROUTES, World, uplink_yaml

FAMILIES = [4, 6]
MEGABYTE = 1 << 20


@pytest.fixture
def wired(make_sim):
    """wired(**keys): a simulation with an uplink that has these keys, and the world."""
    with contextlib.ExitStack() as stack:
        def make(**keys):
            sim = make_sim(agent_yaml=uplink_yaml(**keys))
            world = World(sim, keys.get("vlan"), keys.get("mtu", 1500))
            stack.callback(world.close)
            world.wait_for_agent()
            return sim, world

        yield make


@contextlib.contextmanager
def packets(world):
    """What comes out of the wire from now on: seen() is a list of frames."""
    frames = []
    with inside(world.path):
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))  # ETH_P_ALL
    tap.bind((world.wire, 0))
    tap.setblocking(False)

    def seen():
        with contextlib.suppress(BlockingIOError):
            while True:
                frames.append(tap.recv(2048))
        return frames

    with tap:
        yield seen


def wait_for_announcements(seen):
    wire4, wire6 = (socket.inet_pton(f, ADDRESSES[n].wire) for f, n in ((socket.AF_INET, 4), (socket.AF_INET6, 6)))
    # From and for itself, to all.
    wait_until(lambda: any(p[:6] == b"\xff" * 6 and p[12:14] == b"\x08\x06" and p[28:32] == p[38:42] == wire4 for p in seen()),
               "a gratuitous ARP")
    wait_until(lambda: any(p[:6] == b"\x33\x33\0\0\0\1" and p[54] == 136 and p[62:78] == wire6 for p in seen()),
               "an unsolicited advertisement")


def test_pods_and_the_world_reach_each_other(wired):
    sim, world = wired()
    pod, other = sim.pod().add(), sim.pod().add()
    for family in FAMILIES:
        a = ADDRESSES[family]
        for address in (a.world, a.far, a.peer, a.gate):
            pod.ping(address, count=1)  # the first packet waits for ARP and is not lost
        world.ping(other.address(family))
        world.ping(a.wire)
        pod.ping(a.wire)
        tcp_transfer(pod, world, a.world, 8 * MEGABYTE)
        tcp_transfer(world, pod, pod.address(family), 8 * MEGABYTE)
        udp_echo(pod, world, a.world, [0, 1, 1400, 1500, 4000, 20000])
    neighbours = {n["address"]: n for n in sim.ask("neighbours")["neighbours"]}
    mac = world.links()[world.ifname]["address"]
    for family in FAMILIES:
        assert neighbours[ADDRESSES[family].peer]["mac"] == neighbours[ADDRESSES[family].gate]["mac"] == mac
        assert neighbours[ADDRESSES[family].peer]["port"] == "uplink"
    assert ADDRESSES[4].gate in sim.podportctl("neighbours").stdout
    uplink = sim.status()["agent"]["uplink"]
    assert (uplink["ipv4"], uplink["ipv6"], uplink["routes"]) == ("203.0.113.10/24", "2001:db8:1::10/64", 4)
    assert uplink["link_up"] and uplink["neighbours"] >= 4
    assert "203.0.113.10/24" in sim.podportctl("status").stdout
    # The pods meet each other as before, by the e-switch.
    pod.ping(other.ipv4)


def test_the_routers_on_the_way_show_themselves(wired):
    sim, world = wired()
    pod = sim.pod().add()
    for family in FAMILIES:
        a = ADDRESSES[family]
        output = pod.ping(a.world, "-t", "1", count=1, check=False)
        assert re.search(rf"From {re.escape(sim.gateway(family))} .*(Time to live exceeded|Hop limit)", output), output
        output = world.ping(pod.address(family), "-t", "1", count=1, check=False)
        assert re.search(rf"From {re.escape(a.wire)} .*(Time to live exceeded|Hop limit)", output), output
        # Nobody has it: the pod network's addresses end here.
        nobody = "10.88.200.200" if family == 4 else "fd00:10:88::dead"
        output = world.ping(nobody, count=1, check=False)
        assert re.search(rf"From {re.escape(a.wire)} .*[Uu]nreachable", output), output


def test_the_longest_prefix_decides_and_who_does_not_answer_is_unreachable(wired):
    sim, world = wired()
    for family in FAMILIES:
        world.run("ip", f"-{family}", "address", "delete", f"{ADDRESSES[family].gate}/{ADDRESSES[family].length}",
                  "dev", world.ifname)
    pod = sim.pod().add()
    for family in FAMILIES:
        a = ADDRESSES[family]
        pod.ping(a.far)  # by the peer
        for address in (a.world, a.nobody):  # by the gate, which is gone; and on the link
            output = pod.ping(address, count=1, check=False)
            assert re.search(rf"From {re.escape(sim.gateway(family))} .*[Uu]nreachable", output), output
    assert sim.drops(pod)["neighbour-unreachable"] >= 4
    # A few seconds later it is asked for again.
    for family in FAMILIES:
        world.run("ip", f"-{family}", "address", "add", f"{ADDRESSES[family].gate}/{ADDRESSES[family].length}",
                  "dev", world.ifname, *(["nodad"] if family == 6 else []))
        wait_until(lambda a=ADDRESSES[family].world: "1 received" in pod.ping(a, count=1, check=False),
                   "the gate that came back is found")


def test_what_the_wire_may_not_is_dropped_and_counted(wired):
    sim, world = wired()
    pod = sim.pod().add()
    # Not a pod, and not to others on the wire; nor does the agent listen.
    world.run("ip", "address", "add", sim.gateway(4), "dev", "lo")
    world.ping(pod.ipv4, "-I", sim.gateway(4), "-W", "1", count=1, check=False)
    world.run("ip", "route", "add", "100.64.0.0/10", "via", ADDRESSES[4].wire)
    world.ping("100.64.0.1", "-W", "1", count=1, check=False)
    with world.socket() as connection:
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.connect((ADDRESSES[4].wire, 22))
    drops = next(port for port in sim.ports() if port["kind"] == "uplink")["drops"]
    assert drops["spoofed-source-address"] >= 1 and drops["uplink-no-route"] >= 1 and drops["not-for-router"] >= 1, drops


@pytest.mark.parametrize("family", FAMILIES)
def test_a_smaller_mtu_of_the_wire_is_told(wired, family):
    sim, world = wired(mtu=1400)
    pod = sim.pod().add()
    a = ADDRESSES[family]
    output = pod.ping(a.world, "-M", "do", "-s", 1440, count=1, check=False)
    assert re.search(rf"From {re.escape(sim.gateway(family))} .*([Ff]rag needed|too big).*mtu ?= ?1400", output), output
    tcp_transfer(pod, world, a.world, 2 * MEGABYTE)
    tcp_transfer(world, pod, pod.address(family), 2 * MEGABYTE)
    udp_echo(pod, world, a.world, [1300, 1440, 5000])


def test_a_vlan_on_the_uplink(wired):
    sim, world = wired(vlan=42)
    pod = sim.pod().add()
    for family in FAMILIES:
        a = ADDRESSES[family]
        pod.ping(a.world)
        pod.ping(a.peer, "-M", "do", "-s", 1500 - (28 if family == 4 else 48))
        world.ping(pod.address(family))
        tcp_transfer(pod, world, a.world, 4 * MEGABYTE)
        tcp_transfer(world, pod, pod.address(family), 4 * MEGABYTE)


def test_a_restart_is_announced_and_breaks_no_connection(wired):
    sim, world = wired()
    pod = sim.pod().add()
    with world.socket() as listener, pod.socket() as connection, packets(world) as seen:
        listener.bind((ADDRESSES[4].world, 0))
        listener.listen(1)
        connection.connect(listener.getsockname())
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(60)
            sim.restart(sim.agent)
            connection.sendall(b"after the restart")
            assert peer.recv(100) == b"after the restart"
        wait_for_announcements(seen)


def test_a_cable_that_is_in_again_is_told_who_is_here(wired):
    sim, world = wired()
    pod = sim.pod().add()
    misbehave(sim, "uplink=down")
    wait_until(lambda: "the uplink's link is down" in sim.agent.tail(), sim.agent.tail)
    with packets(world) as seen:
        misbehave(sim, "uplink=up")
        wait_for_announcements(seen)
    pod.ping(ADDRESSES[4].world)


def test_the_uplink_changes_while_pods_talk(wired):
    sim, world = wired()
    pod = sim.pod().add()
    pod.ping(ADDRESSES[4].world)
    # A mistake changes nothing, and is told.
    sim.configure(more=uplink_yaml(routes=["default via 192.0.2.77"]))
    sim.agent.send(signal.SIGHUP)
    wait_until(lambda: "the configuration is not taken" in sim.agent.tail(), lambda: sim.agent.tail())
    pod.ping(ADDRESSES[4].world)
    # Another address and route, on a VLAN.
    sim.configure(more=uplink_yaml(routes=ROUTES, ipv4="203.0.113.30/24", vlan=7))
    sim.agent.send(signal.SIGHUP)
    world.run("ip", "address", "flush", "dev", world.wire)
    world.add_vlan(7)
    for address in (ADDRESSES[4].peer, ADDRESSES[4].gate):
        world.run("ip", "address", "add", f"{address}/24", "dev", "wire.7")
    world.run("ip", "route", "replace", sim.ipv4, "via", "203.0.113.30")
    wait_until(lambda: "1 received" in pod.ping(ADDRESSES[4].world, count=1, check=False), "the new uplink is used")
    world.ping("203.0.113.30")
    assert " 0 received" in world.ping(ADDRESSES[4].wire, "-W", "1", count=1, check=False)
    # And none at all.
    sim.configure(more="")
    sim.agent.send(signal.SIGHUP)
    wait_until(lambda: "Net Unreachable" in pod.ping(ADDRESSES[4].world, count=1, check=False), "the wire is left alone")
    world.ping(pod.ipv4, "-W", "1", count=1, check=False)
