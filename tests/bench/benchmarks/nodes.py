# SPDX-License-Identifier: BSD-3-Clause
"""What a packet costs in each node of the graph.

Cycles of each node by rte_graph's own counters (the telemetry's /podport/graph) while 64-byte frames of 1,000 flows go from one vhost-user
port to another as fast as they are taken: plain, and by a published port, which is masquerade's way. port_rx and port_tx include vhost's copy of
each packet. port_rx is called, and costs, also when there is nothing: under less load its figure rises. Cycles are of the time-stamp
counter, so of the CPU's nominal clock. The counters themselves cost two readings of it for each call of a node. No peer: this
says where the time of `slowpath` goes."""

import contextlib
import threading
import time

import forwarders
from eswitch import Telemetry
from forwarders import Generator, Podport

GROUP = "data plane"
PEERS = ["peers"]
HUGE_PAGES_MB = forwarders.HUGE_PAGES_MB


def difference(after, before):
    """{node: (calls, packets, cycles)} in between, of those that did something."""
    return {node: tuple(now - then for now, then in zip(after[node], before.get(node, (0, 0, 0)))) for node in after
            if after[node][1] > before.get(node, (0, 0, 0))[1]}


def measure(run):
    generator = Generator(run)
    features = ("plain", "masquerade")
    cost = run.table("Cycles for each packet of the node", "cycles", features, better="lower")
    batch = run.table("Packets in a call of the node", "packets", features)
    share = run.table("All nodes together", "cycles for each packet forwarded", features, better="lower")
    for _, feature in run.turns(features, run.rounds(3)):
        with contextlib.closing(Podport(run.folder, feature)) as running, Telemetry(running.simulation) as telemetry:
            generator(running, 0.2, flows=1000)
            seconds = run.seconds(1.5, quick=0.5)
            sending = threading.Thread(target=generator, args=(running, seconds + 2), kwargs={"flows": 1000})
            sending.start()
            time.sleep(1.2)  # until it has started
            before = telemetry.ask("/podport/graph")
            time.sleep(seconds)
            seen = difference(telemetry.ask("/podport/graph"), before)
            sending.join()
            forwarded = seen["port_tx"][1]
            for node, (calls, packets, cycles) in seen.items():
                if packets * 100 > forwarded:  # not what comes once in a while
                    cost.add(node, feature, cycles / packets)
                    batch.add(node, feature, packets / calls)
            share.add("sum", feature, sum(cycles for _, _, cycles in seen.values()) / forwarded)
