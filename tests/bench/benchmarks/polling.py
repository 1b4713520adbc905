# SPDX-License-Identifier: BSD-3-Clause
"""What idle pods cost a busy one: 1, 100 and 1,000 ports, and traffic on one pair.

64-byte frames of one flow between two vhost-user ports of an agent that has so many other pods with a function, which send nothing.
Against the same with none. All these agents are there all the time, and asleep when it is not their turn, so that turns are short and
near each other. Idle ports rest until they ring; with PODPORT_BENCH_PEER=BUILD, the agent of another build (of a commit before that was so,
say) takes its turns, too. On silicon an empty poll reads one line of memory of the NIC's ring; of the simulated NIC it reads an rte_ring's
indices."""

import contextlib
import os

import forwarders
from attachments import call, wait_for_rules
from forwarders import Generator, Podport

GROUP = "data plane"
PEERS = ["peers"]
HUGE_PAGES_MB = 8 * forwarders.MEMORY_MB + forwarders.GENERATOR_MB
PEER = os.environ.get("PODPORT_BENCH_PEER")


def measure(run):
    generator = Generator(run)
    amounts = run.count((0, 1, 100, 1000), quick=(0, 1, 50))
    ways = {f"{amount:,} idle{text}": (amount, build) for build, text in ((None, ""), (PEER, ", peer")) if build or not text
            for amount in (amounts if not build else (amounts[0], amounts[-1]))}
    first, *others = ways
    ratios = [(column, first if not ways[column][1] else f"{first}, peer") for column in others if column != f"{first}, peer"]
    table = run.table("Two busy ports among idle ones", "millions of packets a second received", ways, ratios=ratios)
    with contextlib.ExitStack() as stack:
        agents = {}
        for column, (amount, build) in ways.items():
            run.progress(f"attaching {column}")
            agents[column] = stack.enter_context(contextlib.closing(Podport(run.folder, functions=max(2, amount), connections=1024, build=build)))
            if amount:
                call(agents[column].simulation, "attach", 1, amount)
                wait_for_rules(agents[column].simulation, amount)
        for _, column in run.turns(ways, run.rounds(6, quick=1)):
            generator(agents[column], 0.2)
            table.add("64 B, 1 flow", column, generator(agents[column], run.seconds(1))["received_per_s"] / 1e6)
