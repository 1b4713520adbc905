# SPDX-License-Identifier: BSD-3-Clause
"""What a node costs that does nothing: processor time and memory of the daemons.

With no pods, 100 and 1,000, on a simulated NIC with as many functions. All but two of the pods are attachments of the agent alone,
with ports and rules but without a sandbox on the host; the two have pinged each other. "card" is the simulated NIC's keeper, which
hardware needs not. Memory is what is resident (RSS), libraries included; in the second table the agent keeps packets in huge pages, of
which it takes dpdk.memory_mb when it starts (set here: 128 MB, with 1,000 pods 512). No peer: agents of other networks do other things."""

import time

from attachments import call, cpu_s, huge_mb, wait_for_rules
from figures import median
from simulation import Simulation

GROUP = "footprint"
HUGE_PAGES_MB = 1024
BUDGET_PERCENT, BUDGET_MB = 3, 150


def start(pods, huge_pages):
    simulation = Simulation(functions=max(8, pods), memory_mb=128 if pods <= 100 else 512, reclaim_grace_s=3600)
    if huge_pages:
        simulation.agent_config.write_text(simulation.agent_config.read_text().replace("huge_pages: false", "huge_pages: true"))
    simulation.start()
    if pods:
        pair = [simulation.pod().add() for _ in range(2)]
        call(simulation, "attach", 1, pods - 2)
        pair[0].ping(pair[1].ipv4)
        wait_for_rules(simulation, pods)
    return simulation


def measure(run):
    names = ["card", "agent", "hostd"]
    cpu = run.table("Idle, processor time", "% of one core", names, better="lower")
    memory = run.table("Idle, memory", "MB resident", names, better="lower")
    huge = run.table("Idle, memory of an agent with huge pages", "MB", ["resident", "huge pages"], better="lower")
    for pods in run.count((0, 2, 100, 1000), quick=(0, 2, 20)):
        row = f"{pods:,} pods"
        simulation = start(pods, False)
        time.sleep(run.seconds(2, quick=1))  # the last timers of the start
        for turn in range(run.rounds(3)):
            run.progress(f"{row}, round {turn + 1}")
            before, begin = {daemon.name: cpu_s(daemon.pid) for daemon in simulation.daemons}, time.monotonic()
            time.sleep(run.seconds(3))
            for daemon in simulation.daemons:
                cpu.add(row, daemon.name, 100 * (cpu_s(daemon.pid) - before[daemon.name]) / (time.monotonic() - begin))
                memory.add(row, daemon.name, daemon.rss_kb() / 1024)
        if pods == 2:
            run.budget("Idle simulated host, % of one core", sum(median(cpu.samples(row, name)) for name in names), BUDGET_PERCENT)
            run.budget("Agent of an idle host, MB", median(memory.samples(row, "agent")), BUDGET_MB)
        simulation.close_pods()
        simulation.stop()
        for _ in range(run.rounds(2)):
            simulation = start(pods, True)
            huge.add(row, "resident", simulation.agent.rss_kb() / 1024)
            huge.add(row, "huge pages", huge_mb(simulation.agent.pid))
            simulation.close_pods()
            simulation.stop()
