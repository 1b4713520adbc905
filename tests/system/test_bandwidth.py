# SPDX-License-Identifier: BSD-3-Clause
"""Pods with a limited bandwidth, measured at the receiver: bytes of Ethernet frames over the time in which they came.

Rates are low enough for a machine that has other things to do. What comes in the first moments is not counted: a pause
before it has filled the bucket. Directions are measured at the same time, each with a pod of its own.
"""

import contextlib
import json
import socket
import subprocess
import threading
import time

import pytest

from eswitch import function_of, misbehave, offload_of, wait_full
from simulation import BUILD, PATIENCE_S, wait_until
from traffic import family_of, in_thread
from world import ADDRESSES, World, uplink_yaml

MBIT = 1000 * 1000
RATE = 20 * MBIT
LIMITS = {"ingressRate": RATE, "egressRate": RATE}
SECONDS = 10 if BUILD.name == "dev" else 5  # sanitizers find what they look for sooner
# Payload and frame: Ethernet, IP, UDP; or TCP with its timestamps.
UDP_PAYLOAD = 1200
UDP_FRAME = {4: UDP_PAYLOAD + 42, 6: UDP_PAYLOAD + 62}
TCP_FRAME_PER_PAYLOAD = {4: 1514 / 1448, 6: 1514 / 1428}
PORT = 5201
# Of IPv4: what has some is the agent's to forward, by no rule.
OPTIONS = b"\x01\x01\x01\x01"
# To the first datagrams: enough for a flow that goes on, and nothing beside what is measured.
ENOUGH_ANSWERS = 20


def limited(sim, **limits):
    return sim.pod().add(runtimeConfig={"bandwidth": limits or LIMITS})


def family(address):
    return 6 if ":" in address else 4


class Sink:
    """Counts the datagrams that arrive at an address, and when; several flows are one sum."""

    def __init__(self, netns, address, port=PORT, answers=0, options=b""):
        self.socket = netns.socket(family_of(address), socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind((address, port))
        self.socket.settimeout(0.1)
        self.frame = UDP_FRAME[family(address)] + len(options)
        self.count, self.answers, self.done = 0, answers, False
        self.thread = threading.Thread(target=self.receive, daemon=True)
        self.thread.start()

    def receive(self):
        while not self.done:
            with contextlib.suppress(TimeoutError):
                _, peer = self.socket.recvfrom(2048)
                self.count += 1
                if self.count <= self.answers:
                    self.socket.sendto(b"", peer)

    def bits(self):
        return self.count * self.frame * 8

    def close(self):
        self.done = True
        self.thread.join(PATIENCE_S)
        self.socket.close()


@contextlib.contextmanager
def flood(source, address, rate, port=PORT, options=b""):
    """UDP at a rate, of the payload that Sink expects, until the end of the block. Nobody need listen for it."""
    with source.socket(family_of(address), socket.SOCK_DGRAM) as sender:
        if options:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, options)
        done = threading.Event()

        def send():
            begin, sent, payload = time.monotonic(), 0, bytes(UDP_PAYLOAD)
            while not done.is_set():
                due = (time.monotonic() - begin) * rate / 8 / UDP_FRAME[family(address)]
                # Behind by more than a tenth of a second, the machine is busy: what was missed is not made up for.
                if due - sent > rate / 80 / UDP_PAYLOAD:
                    begin, sent, due = time.monotonic(), 0, 0
                while sent < due:
                    with contextlib.suppress(OSError):
                        sender.sendto(payload, (address, port))
                    sent += 1
                time.sleep(0.002)

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(PATIENCE_S)


def rates_of(*groups, seconds=SECONDS):
    """Of each group of sinks the bits per second that come in to all of its sinks together, once it flows."""
    for sink in (sink for group in groups for sink in group):
        wait_until(lambda sink=sink: sink.count > 100, "it flows")
    # The burst goes by.
    time.sleep(1)
    begin, before = time.monotonic(), [sum(sink.bits() for sink in group) for group in groups]
    time.sleep(seconds)
    elapsed = time.monotonic() - begin
    return [(sum(sink.bits() for sink in group) - bits) / elapsed for group, bits in zip(groups, before)]


def keeps_to(measure, wanted=RATE, tries=5):
    """Within 5 %: never more, and as much once a busy machine lets the programs use it. measure() gives rates."""
    for left in reversed(range(tries)):
        rates = measure()
        assert all(rate <= 1.05 * wanted for rate in rates), [f"{rate / MBIT:.2f} Mbit/s" for rate in rates]
        if all(rate >= 0.95 * wanted for rate in rates):
            return
        assert left, [f"{rate / MBIT:.2f} Mbit/s" for rate in rates]


def tcp_rate(source, destination, address):
    """What iperf3's receiver says, in Ethernet frames."""
    with destination.popen("iperf3", "-s", "-1", "-J", "-B", address, "-p", str(PORT), stdout=subprocess.PIPE, text=True) as server:
        wait_until(lambda: f":{PORT}" in destination.run("ss", "-Hltn").stdout, "iperf3 listens")
        # -O: the burst goes by.
        source.run("iperf3", "-c", address, "-p", str(PORT), "-t", str(SECONDS), "-O", "1")
        result = json.loads(server.communicate(timeout=4 * PATIENCE_S)[0])["end"]["sum_received"]
    return result["bytes"] * 8 / result["seconds"] * TCP_FRAME_PER_PAYLOAD[family(address)]


def bandwidth_of(sim, pod):
    for row in sim.ask("bandwidth")["bandwidth"]:
        if row["container_id"] == pod.container_id:
            return row
    return None


@contextlib.contextmanager
def sinks(*where):
    """Sinks at (netns, address[, port])."""
    with contextlib.ExitStack() as stack:
        made = [Sink(*place) for place in where]
        for sink in made:
            stack.callback(sink.close)
        yield made


@pytest.fixture(params=[True, False], ids=["offloaded", "software"])
def path(request, make_sim):
    """A simulation with the e-switch and without, and what has to say so."""
    sim = make_sim(offload=request.param)
    return sim, "nic" if request.param else "agent"


# ---- one path ------------------------------------------------------------------------------------------------------------


def test_tcp_keeps_to_the_limit_in_both_directions(path):
    sim, by = path
    sender, receiver, peer = limited(sim), limited(sim), sim.pod().add()
    if by == "nic":
        wait_full(sim, sender, receiver, peer)

    def measure():
        egress = in_thread(lambda: tcp_rate(sender, peer, peer.ipv4))
        ingress = in_thread(lambda: tcp_rate(peer, receiver, receiver.ipv6))
        return [egress(), ingress()]

    keeps_to(measure)
    for pod, direction in ((sender, "egress"), (receiver, "ingress")):
        row = bandwidth_of(sim, pod)[direction]
        assert row["by"] == by and row["rate_bps"] == RATE and row["burst_bits"] == RATE // 5, row
        assert row["passed_bytes"] * 8 > 0.9 * RATE * SECONDS and 0 < row["dropped_packets"] < row["passed_packets"], row
        # The agent counts a frame of many segments once, as all its drops.
        assert 0 < sim.drops(pod)[f"{direction}-bandwidth"] <= row["dropped_packets"], (sim.drops(pod), row)
    assert bandwidth_of(sim, peer) is None and not any("bandwidth" in reason for reason in sim.drops(peer))
    assert f"{RATE // MBIT} Mbit/s" in sim.podportctl("bandwidth").stdout


def test_udp_keeps_to_the_limit_in_both_directions(path):
    sim, by = path
    sender, receiver, peer = limited(sim), limited(sim), sim.pod().add()
    if by == "nic":
        wait_full(sim, sender, receiver, peer)
    with sinks((peer, peer.ipv6), (receiver, receiver.ipv4)) as (at_peer, at_receiver), \
            flood(sender, peer.ipv6, 1.8 * RATE), flood(peer, receiver.ipv4, 1.8 * RATE):
        keeps_to(lambda: rates_of([at_peer], [at_receiver]))
    assert bandwidth_of(sim, sender)["egress"]["by"] == by


# ---- both at once --------------------------------------------------------------------------------------------------------


def by_agent(before, after, way):
    """Packets that the agent has forwarded between two looks at a port, and the e-switch."""
    whole, offloaded = (after[key] - before[key] for key in (f"{way}_packets", f"offloaded_{way}_packets"))
    return whole - offloaded, offloaded


def test_the_limit_is_that_of_what_the_e_switch_forwards_and_what_the_agent_does_together(sim):
    sender, receiver, peer = limited(sim), limited(sim), sim.pod().add()
    wait_full(sim, sender, receiver, peer)
    before = sim.port_of(sender), sim.port_of(receiver)
    with sinks((peer, peer.ipv6), (peer, peer.ipv4, PORT + 1, 0, OPTIONS), (receiver, receiver.ipv6),
               (receiver, receiver.ipv4, PORT + 1, 0, OPTIONS)) as made, \
            flood(sender, peer.ipv6, 0.9 * RATE), flood(sender, peer.ipv4, 0.9 * RATE, PORT + 1, OPTIONS), \
            flood(peer, receiver.ipv6, 0.9 * RATE), flood(peer, receiver.ipv4, 0.9 * RATE, PORT + 1, OPTIONS):
        keeps_to(lambda: rates_of(made[:2], made[2:]))
    after = sim.port_of(sender), sim.port_of(receiver)
    enough = 0.2 * RATE * SECONDS / 8 / UDP_FRAME[6]
    for port, way in ((0, "rx"), (1, "tx")):
        assert min(by_agent(before[port], after[port], way)) > enough, (before[port], after[port])


def test_connections_with_the_world_keep_to_the_limit_in_the_e_switch(make_sim):
    """What a pod sends to the world, and what comes to it by a published port; beside both something that the agent forwards."""
    sim = make_sim(agent_yaml=uplink_yaml() + "masquerade:\n  ipv4: true\n  ipv6: true\n")
    a = ADDRESSES[4]
    with contextlib.closing(World(sim)) as world:
        world.wait_for_agent()
        mappings = [{"hostPort": PORT, "containerPort": PORT, "protocol": "udp"}]
        receiver = sim.pod(capabilities={"portMappings": True, "bandwidth": True}).add(runtimeConfig={"bandwidth": LIMITS, "portMappings": mappings})
        sender = limited(sim)
        wait_full(sim, sender, receiver)
        peer = sim.pod().add()
        with sinks((world, a.world, PORT, ENOUGH_ANSWERS), (peer, peer.ipv4, PORT, 0, OPTIONS), (receiver, receiver.ipv4, PORT, ENOUGH_ANSWERS),
                   (receiver, receiver.ipv4, PORT + 1, 0, OPTIONS)) as made, \
                flood(sender, a.world, 0.9 * RATE), flood(sender, peer.ipv4, 0.9 * RATE, PORT, OPTIONS), \
                flood(world, a.wire, 0.9 * RATE), flood(peer, receiver.ipv4, 0.9 * RATE, PORT + 1, OPTIONS):
            wait_until(lambda: sum(c["offloaded"] for c in sim.ask("connections")["connections"]) == 2,
                       lambda: f"both are in the e-switch: {sim.ask('connections')}")
            before = sim.port_of(sender), sim.port_of(receiver)
            keeps_to(lambda: rates_of(made[:2], made[2:]))
            after = sim.port_of(sender), sim.port_of(receiver)
        enough = 0.2 * RATE * SECONDS / 8 / UDP_FRAME[6]
        for port, way in ((0, "rx"), (1, "tx")):
            assert min(by_agent(before[port], after[port], way)) > enough, (before[port], after[port])


# ---- what becomes of it --------------------------------------------------------------------------------------------------


def test_a_limit_outlives_the_agent_and_ends_with_the_pod(make_sim):
    sim = make_sim()
    pod, peer = limited(sim, egressRate=RATE), sim.pod().add()
    wait_full(sim, pod, peer)
    sim.restart(sim.agent)
    wait_full(sim, pod, peer)
    asked = {"ingress_rate_bps": 0, "ingress_burst_bits": 0, "egress_rate_bps": RATE, "egress_burst_bits": 0}
    assert [a["bandwidth"] for a in sim.attachments()] == [asked, None]
    row = bandwidth_of(sim, pod)
    assert row["ingress"] is None and row["egress"]["by"] == "nic" and row["egress"]["rate_bps"] == RATE
    with sinks((peer, peer.ipv4)) as made, flood(pod, peer.ipv4, 2 * RATE):
        keeps_to(lambda: rates_of(made, seconds=4))
    # The same again is the same; another limit is another attachment.
    pod.add(runtimeConfig={"bandwidth": {"egressRate": RATE}})
    refused = pod.try_add(runtimeConfig={"bandwidth": {"egressRate": 2 * RATE}})
    assert not refused.ok and "bandwidth: the attachment" in refused.json["msg"], refused
    # Its function's next pod has none of it.
    function = function_of(sim, pod)
    pod.close()
    others = [sim.pod().add() for _ in range(sim.functions - 1)]
    heir = next(other for other in others if function_of(sim, other) == function)
    wait_full(sim, heir, peer)
    assert sim.ask("bandwidth")["bandwidth"] == [] and "no pod has a limit" in sim.podportctl("bandwidth").stdout
    with sinks((peer, peer.ipv4)) as made, flood(heir, peer.ipv4, 2 * RATE):
        wait_until(lambda: made[0].count > 1000, "it flows")
        begin, before = time.monotonic(), made[0].bits()
        wait_until(lambda: (made[0].bits() - before) / (time.monotonic() - begin) > 1.5 * RATE,
                   lambda: f"more than the limit comes: {(made[0].bits() - before) / (time.monotonic() - begin)}")


def test_where_the_nic_refuses_the_meters_rules_the_agent_keeps_the_limit(make_sim):
    sim = make_sim()
    peer = sim.pod().add()
    wait_full(sim, peer)
    misbehave(sim, "fail_all=ENOTSUP")
    pod = limited(sim)
    state, reason = offload_of(sim, pod)
    assert state == "none" and "refuses the rule" in reason, (state, reason)
    assert bandwidth_of(sim, pod)["egress"]["by"] == "agent"
    with sinks((peer, peer.ipv4)) as made, flood(pod, peer.ipv4, 2 * RATE):
        keeps_to(lambda: rates_of(made, seconds=4))
        # It goes over to the NIC under traffic, and stays what it is.
        misbehave(sim, "clear")
        wait_full(sim, pod, peer)
        assert bandwidth_of(sim, pod)["egress"]["by"] == "nic"
        keeps_to(lambda: rates_of(made, seconds=4))
    assert sim.drops(pod)["egress-bandwidth"] > 1000


def test_a_function_that_is_reset_has_its_limit_all_the_while(make_sim):
    sim = make_sim()
    pod, peer = limited(sim), sim.pod().add()
    wait_full(sim, pod, peer)
    with sinks((peer, peer.ipv4)) as made, flood(pod, peer.ipv4, 2 * RATE):
        rates_of(made, seconds=0.2)
        begin, before = time.monotonic(), made[0].bits()
        misbehave(sim, f"function_reset={function_of(sim, pod)}")
        wait_until(lambda: bandwidth_of(sim, pod)["egress"]["by"] == "nic" and offload_of(sim, pod)[0] == "full",
                   lambda: f"its rules are made again: {offload_of(sim, pod)}")
        elapsed, bits = time.monotonic() - begin, made[0].bits() - before
    # At most a burst more, for each of the two meters that had a full bucket.
    assert bits <= 1.05 * RATE * elapsed + 2 * 0.2 * RATE, (bits / MBIT, elapsed)


def test_bandwidths_that_cannot_be_are_refused_with_the_key(sim):
    for bandwidth, says in (({"egressRate": 999}, "runtimeConfig.bandwidth.egressRate: 999 is not in 1000.."),
                            ({"ingressRate": "1M"}, "runtimeConfig.bandwidth.ingressRate: is a string")):
        result = sim.pod().try_add(runtimeConfig={"bandwidth": bandwidth})
        assert result.code == 7 and says in result.json["msg"], result
    # What containerd sends for a pod that has no limit.
    pod = sim.pod().add(runtimeConfig={"bandwidth": {"IngressRate": 0, "IngressBurst": 4294967295, "EgressRate": 0,
                                                     "EgressBurst": 4294967295}})
    assert bandwidth_of(sim, pod) is None
