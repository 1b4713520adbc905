# SPDX-License-Identifier: BSD-3-Clause
"""What a pod's packets meet is the same whether the e-switch forwards them or the agent: the table of packets.py is sent with
offload on and with offload off, and everything that arrives anywhere is compared."""

import dataclasses
import socket
import struct

import pytest

from packets import (ANSWERED, ANYTHING, CASES, COMES_BACK, DROPPED, FORWARDED, LARGE, MTU, ROUTER, RULES, SLOW, SMALL, TO_HOST,
                     Scene)
from places import Place
from simulation import measured, wait_until
from traffic import tcp_transfer, udp_echo, udp_segmented
from unfinished import L3, Unfinished, finish_ipv4

MEGABYTE = 1 << 20
FAMILIES = [4, 6]
MADE_BY_ROUTER = {64, 255}  # hop limits of what the router says itself; what it forwards has one less than that


def layer3(frame):
    """Behind the Ethernet header, up to the IP packet's length. Ethernet's padding behind that is no part of the packet:
    the slow path takes it off, a NIC carries it along, and nobody may mind either."""
    kind, packet = frame[12:14], frame[14:]
    if kind == b"\x08\0" and len(packet) >= 4:
        return packet[:struct.unpack_from("!H", packet, 2)[0]]
    if kind == b"\x86\xdd" and len(packet) >= 6:
        return packet[:40 + struct.unpack_from("!H", packet, 4)[0]]
    return packet


def forwarded(packet, receiver):
    """What the router makes of a packet that it forwards."""
    frame = bytearray(packet)
    ipv4 = frame[L3] >> 4 == 4
    frame[L3 + (8 if ipv4 else 7)] -= 1
    if ipv4:
        finish_ipv4(frame)
    return ROUTER, receiver.mac, frame[12:14].hex(), layer3(bytes(frame)).hex()


def is_of_a_kernel(frame, place, sender):
    """Is it what a kernel of the test's says of its own accord, or in answer to a packet? That is not the same twice."""
    ipv4, ipv6 = frame[12:14] == b"\x08\0", frame[12:14] == b"\x86\xdd"
    if place.name == "host" and (frame[12:14] == b"\x08\x06" or ipv6 and frame[20] == 58 and frame[54] in (135, 136)):
        return True
    if place.name != sender or not (ipv4 or ipv6):
        return False
    limit, source = (frame[22], frame[26:30]) if ipv4 else (frame[21], frame[22:38])
    return limit not in MADE_BY_ROUTER and source not in place.own


@dataclasses.dataclass
class Seen:
    """What became of a case: at each place, (source MAC, destination MAC, Ethernet type, layer 3); and what of it the
    e-switch forwarded."""
    at: dict
    frames: int
    sent: list  # the packets that these frames stand for
    refused: int  # frames, by the sender's kernel
    offloaded: int


class Run:
    """One pass through the table."""

    def __init__(self, sim, pods, offload):
        self.sim, self.pods, self.offload = sim, pods, offload
        self.places = [Place(name, pod, "eth0", pod.ipv4, pod.ipv6) for name, pod in pods.items()]
        self.places.append(Place("host", sim.host, "podport0", sim.gateway(4), sim.gateway(6)))
        self.scene = Scene(*self.places)
        self.results = {}
        self.totals = {}

    def counters(self, sender):
        port = self.sim.port_of(self.pods[sender]) if sender in self.pods \
            else next(port for port in self.sim.ports() if port["kind"] == "host")
        return port["rx_packets"], port["offloaded_rx_packets"]

    def offloaded(self, sender):
        # Without offload there is nothing to be told apart, case by case; the totals say that it is so.
        return self.counters(sender)[1] if self.offload else 0

    def collect(self, sender):
        # The sender's line is through the slow path when its question is answered, and what the graph made of it is on its
        # way when a second one is; the others' questions then come behind that.
        frames = {place.name: [] for place in self.places}
        for place in [sender, sender, *self.places]:
            frames[place.name] += place.until_router_answers()
        return {place.name: [(frame[6:12].hex(":"), frame[:6].hex(":"), frame[12:14].hex(), layer3(frame).hex())
                             for frame in frames[place.name] if not is_of_a_kernel(frame, place, sender.name)]
                for place in self.places}

    def send_table(self):
        self.pods["a"].run("ip", "link", "set", "eth0", "mtu", LARGE)  # nobody can keep a pod from that
        try:
            for place in self.places:
                place.until_router_answers()
            if self.offload:  # which begins for the host when it is heard
                wait_until(lambda: any("from pf0 " in flow["match"] for flow in self.sim.ask("flows")["flows"]), "the host has its rules")
            rx, offloaded = self.counters("a")
            before = self.scene.a.sent
            for case in CASES:
                self.results[case.name] = self.send(case)
            rx_after, offloaded_after = self.counters("a")
            # Asked after the counters were, so that nothing that they have is missing.
            self.scene.a.until_router_answers()
            self.totals = {"sent": self.scene.a.sent - before, "offloaded": offloaded_after - offloaded,
                           "slow": rx_after - offloaded_after - (rx - offloaded)}
        finally:
            self.pods["a"].run("ip", "link", "set", "eth0", "mtu", MTU)
            for place in self.places:
                place.close()
        return self

    def send(self, case):
        sender = getattr(self.scene, case.sender)
        frames = case.build(dataclasses.replace(self.scene, a=sender, b=getattr(self.scene, case.receiver)))
        frames = frames if isinstance(frames, list) else [frames]
        sent, refused = [], 0
        before = self.offloaded(case.sender)
        for frame in frames:
            try:
                sender.send(frame)
            except OSError:
                refused += 1
            if case.outcome != ANYTHING:
                sent += frame.packets() if isinstance(frame, Unfinished) else [bytes(frame)]
        try:
            at = self.collect(sender)
        except AssertionError as error:
            raise AssertionError(f"after '{case.name}': {error}; {self.sim.ports()}") from None
        return Seen(at, len(frames), sent, refused, self.offloaded(case.sender) - before)


def run_sockets(pods):
    """What programs send: segmented and checksummed by the NIC, or by nobody, as the kernel likes it."""
    a, b = pods["a"], pods["b"]
    for family in FAMILIES:
        header = 28 if family == 4 else 48
        tcp_transfer(a, b, b.address(family), 16 * MEGABYTE)
        tcp_transfer(b, a, a.address(family), 16 * MEGABYTE + 1)
        udp_echo(a, b, b.address(family), [0, 1, 17, MTU - header, MTU - header + 1, 9000, 65507 if family == 4 else 65487])
        udp_segmented(a, b, b.address(family), 1400, 20)


@dataclasses.dataclass
class Outcome:
    on: Run
    off: Run
    sockets: dict  # of the programs' traffic with offload on: what of it went to the slow path, what did not


def both_passes(sim):
    pods = {name: sim.pod(mtu=mtu).add() for name, mtu in
            {"a": None, "b": None, "c": None, "small": SMALL, "large": LARGE}.items()}
    for place in [sim.host, *pods.values()]:
        # Some tell the sender of a packet that it could not put together, half a minute later: amid another case.
        place.run("sysctl", "-q", "net.ipv4.ipfrag_time=3600", "net.ipv6.ip6frag_time=3600")
    on = Run(sim, pods, True).send_table()
    rx, offloaded = on.counters("a")
    run_sockets(pods)
    rx_after, offloaded_after = on.counters("a")
    sockets = {"slow": rx_after - offloaded_after - (rx - offloaded), "offloaded": offloaded_after - offloaded}

    sim.configure(offload=False)
    sim.restart(sim.agent)
    off = Run(sim, pods, False).send_table()
    run_sockets(pods)
    return Outcome(on, off, sockets)


@pytest.fixture(scope="module")
def outcome():
    with measured(mtu=MTU, offload=True) as sim:
        return both_passes(sim)


def describe(at):
    return "\n".join(f"  at {name}: {' '.join(frame)}" for name, frames in at.items() for frame in frames) or "  nothing"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_offload_makes_no_difference_to(outcome, case):
    on, off = outcome.on.results[case.name], outcome.off.results[case.name]
    assert on.at == off.at, f"{case.name}:\nwith offload\n{describe(on.at)}\nwithout\n{describe(off.at)}"
    if case.outcome == ANYTHING:
        return
    # And it is not the same by nothing ever arriving.
    assert on.refused == off.refused == 0
    nothing, packets = dict.fromkeys(off.at, 0), len(off.sent)
    expected = {FORWARDED: {case.receiver: case.count or packets}, DROPPED: {}, TO_HOST: {"host": packets},
                ANSWERED: {case.sender: off.frames}, COMES_BACK: {case.sender: packets}}[case.outcome]
    assert {name: len(frames) for name, frames in off.at.items()} == {**nothing, **expected}, \
        f"{case.name} {case.outcome}:\n{describe(off.at)}"
    if case.path == RULES:
        assert on.offloaded == len(on.sent), f"{case.name}: the e-switch forwarded {on.offloaded} of {len(on.sent)}"
        receiver = getattr(outcome.on.scene, "host" if case.outcome == TO_HOST else case.receiver)
        assert on.at[receiver.name] == [forwarded(packet, receiver) for packet in on.sent], \
            f"{case.name}: what arrives is not what was sent:\n{describe(on.at)}"
    elif case.path == SLOW:
        assert on.offloaded == 0, f"{case.name}: the e-switch forwarded {on.offloaded}"


def test_the_representor_sees_nothing_that_the_e_switch_forwards(outcome):
    totals = outcome.on.totals
    assert totals["slow"] <= totals["sent"] - totals["offloaded"], totals
    assert totals["offloaded"] >= sum(case.path == RULES for case in CASES), totals
    assert outcome.off.totals["offloaded"] == 0, outcome.off.totals


def test_programs_send_and_receive_the_same_by_rules_alone(outcome):
    # Their content was compared on the way. What may go to the slow path: a neighbour that is asked for, a group joined.
    assert outcome.sockets["offloaded"] > 16 * MEGABYTE // MTU, outcome.sockets
    assert outcome.sockets["slow"] < 50, outcome.sockets
