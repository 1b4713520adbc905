# SPDX-License-Identifier: BSD-3-Clause
"""TCP from pod to pod through the simulated NIC, against a bare veth pair.

One stream by iperf3 in each family, and four at once. The pods' packets cross two TAP devices and the e-switch's thread, those of
the veth pair one function call of the kernel: the ratio is the price of a NIC that is made of software, not podport's on silicon."""

import itertools

from iperf import tcp_gbps, veth_pair
from simulation import Simulation

GROUP = "data plane"
PEERS = ["bench"]
STREAMS = (("IPv4, 1 connection", 4, []), ("IPv6, 1 connection", 6, []), ("IPv4, 4 connections", 4, ["--parallel", "4"]))


def measure(run):
    left, right, addresses = veth_pair()
    simulation = Simulation().start()
    a, b = simulation.pod().add(), simulation.pod().add()
    seconds = run.seconds(1)
    ways = {"pod to pod": lambda family, flags: tcp_gbps(a, b, b.address(family), seconds, *flags),
            "veth pair": lambda family, flags: tcp_gbps(left, right, addresses[family], seconds, *flags)}
    table = run.table("TCP by iperf3", "Gbit/s of payload", ways, ratios=[("pod to pod", "veth pair")])
    # All in the same turns: what differs between families is not the machine's mood.
    cells = list(itertools.product(STREAMS, ways.items()))
    for _, ((what, family, flags), (way, gbps)) in run.turns(cells, run.rounds(5)):
        table.add(what, way, gbps(family, flags))
    simulation.close_pods()
    simulation.stop()
