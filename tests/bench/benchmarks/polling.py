# SPDX-License-Identifier: BSD-3-Clause
"""What idle pods cost a busy one: 1, 100 and 1,000 ports, and traffic on one pair.

64-byte frames of one flow between two vhost-user ports of an agent that has so many other pods with a function, which send nothing: their
ports are polled as well while the worker is awake. Against the same with none. On silicon an empty poll reads one line of memory of
the NIC's ring; of the simulated NIC it reads an rte_ring's indices."""

import contextlib

import forwarders
from attachments import call, wait_for_rules
from forwarders import Generator, Podport

GROUP = "data plane"
PEERS = ["peers"]
HUGE_PAGES_MB = forwarders.HUGE_PAGES_MB


def measure(run):
    generator = Generator(run)
    amounts = run.count((0, 1, 100, 1000), quick=(0, 1, 50))
    columns = [f"{amount:,} idle" for amount in amounts]
    table = run.table("Two busy ports among idle ones", "millions of packets a second received", columns,
                      ratios=[(column, columns[0]) for column in columns[1:]])
    for _, (amount, column) in run.turns(zip(amounts, columns), run.rounds(3, quick=1)):
        with contextlib.closing(Podport(run.folder, functions=max(2, amount), connections=1024)) as running:
            if amount:
                call(running.simulation, "attach", 1, amount)
                wait_for_rules(running.simulation, amount)
            generator(running, 0.2)
            table.add("64 B, 1 flow", column, generator(running, run.seconds(1))["received_per_s"] / 1e6)
