# SPDX-License-Identifier: BSD-3-Clause
"""Masquerade: how many connections a second one core begins, and what each takes of memory.

TCP by three-way handshakes from one vhost-user port to another by way of a published port (podport translates both ends and follows TCP's
states), against Open vSwitch with DPDK by ct(commit, nat), which translates the source. Each connection has ports of its own; 16 or 256
are being made at once, by one program that is both ends (handshakes.c). Each round begins with an empty table. Memory is what the
process grows by (RSS, no huge pages in podport's) while UDP connections are added; what podport takes at its start for each connection
that there is room for is told apart, since it is there whether used or not."""

import contextlib

import forwarders
from forwarders import Generator, Handshakes, OpenVswitch, Podport

GROUP = "data plane"
PEERS = ["peers"]
HUGE_PAGES_MB = forwarders.HUGE_PAGES_MB
KINDS = (Podport, OpenVswitch)
ROOM = (262144, 16384)  # of which one pod may have two thirds
RATE = 100000


def rss_kb(pid):
    return next(int(line.split()[1]) for line in open(f"/proc/{pid}/status", encoding="ascii") if line.startswith("VmRSS"))


def count_of(running):
    """How many connections it has."""
    if running.name == Podport.name:
        return running.simulation.ask("nat")["masquerade"]["connections"]
    control = next(running.folder.glob("ovs-vswitchd*.ctl"))
    shown = running.run("ovs-appctl", f"--target={control}", "dpctl/ct-stats-show", "netdev@ovs-netdev")
    return int(next(line for line in shown.splitlines() if "Total:" in line).split(":")[1])


def measure_rate(run):
    handshakes = Handshakes(run)
    names = [kind.name for kind in KINDS]
    table = run.table("New TCP connections, one core", "1,000 a second", names, ratios=[tuple(names)])
    lost = run.table("New TCP connections that were not made, for want of a packet", "% of those begun", names, better="lower")
    count = run.count(50000, quick=5000)
    for _, (kind, in_flight) in run.turns([(kind, in_flight) for in_flight in (16, 256) for kind in KINDS], run.rounds(3, quick=1)):
        with contextlib.closing(kind(run.folder, "masquerade")) as running:
            told = handshakes(running, count, in_flight)
        row = f"{in_flight} at once"
        table.add(row, kind.name, told["made"] / told["seconds"] / 1e3 if told["seconds"] else 0)
        lost.add(row, kind.name, 100 * (1 - told["made"] / told["begun"]))


def open_connections(generator, running, flows):
    """By packets of so many flows; those that there are already stay."""
    for _ in range(5):
        generator(running, flows / RATE * 1.2, flows=flows, rate=RATE)
        if count_of(running) >= flows:
            return
    raise RuntimeError(f"{running.name} has {count_of(running)} of {flows} connections")


def measure_memory(run):
    generator = Generator(run)
    table = run.table("Memory of a connection", "bytes", [kind.name for kind in KINDS], better="lower")
    amounts = run.count((10000, 100000), quick=(1000, 5000))
    rounds = run.rounds(2, quick=1)
    for _, kind in run.turns(KINDS, rounds):
        options = {"huge_pages": False, "connections": ROOM[0]} if kind is Podport else {}
        with contextlib.closing(kind(run.folder, "masquerade", **options)) as running:
            generator(running, 0.3, flows=10, rate=1000)
            before = rss_kb(running.pid)
            for flows in amounts:
                open_connections(generator, running, flows)
                table.add(f"each of {flows:,}", kind.name, 1024 * (rss_kb(running.pid) - before) / flows)
    for _ in range(rounds):
        at_start = []
        for room in ROOM:
            with contextlib.closing(Podport(run.folder, "masquerade", huge_pages=False, connections=room)) as running:
                at_start.append(rss_kb(running.pid))
        table.add("each that there is room for", Podport.name, 1024 * (at_start[0] - at_start[1]) / (ROOM[0] - ROOM[1]))


def measure(run):
    measure_rate(run)
    measure_memory(run)
