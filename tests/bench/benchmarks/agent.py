# SPDX-License-Identifier: BSD-3-Clause
"""What the agent does: attachments a second, and how long it takes to serve again after it was killed.

Attach and Detach by the agent's own interface, so without the host's part. "durable": client and agent over ipc, the store on the disk that the
build is on, no NIC (rpc_bench), against one append of 4 KiB with fdatasync on that disk, which no durable call can beat alone. Disks and file
systems differ much in that. "whole": podport-agent with the simulated NIC, 32 calls in flight, each with its port and rules, the store in
memory. Restart: SIGKILL, a new process, then until the agent takes calls again, and until every rule is back in the e-switch; the card
has lost nothing meanwhile, as silicon has not. Against a restart with no attachments."""

import re
import subprocess
import time

from attachments import call, wait_for_rules
from figures import median
from simulation import BUILD, Simulation, wait_until

GROUP = "control plane"
ALONE_MS, RATE, SERVING_S = 2, 2000, 2


def durable(run):
    latency = run.table("Durable Attach", "ms", ["p50", "p99"], better="lower")
    rate = run.table("Durable Attach and Detach", "of each a second", ["agent"])
    for turn in range(run.rounds(3, quick=1)):
        run.progress(f"durable, round {turn + 1}")
        output = subprocess.run([BUILD / "unit" / "rpc_bench", run.disk, str(run.seconds(2))], check=True, capture_output=True, text=True).stdout
        disk = re.search(r"p50 ([\d.]+) ms$", output, re.M)
        latency.add("append 4 KiB + fdatasync", "p50", float(disk[1]))
        for count, p50, p99, second in re.findall(r"(\d+) in flight: attach p50 ([\d.]+) ms, p99 ([\d.]+) ms; (\d+) attach", output):
            row = "alone" if count == "1" else f"{count} in flight"
            latency.add(row, "p50", float(p50))
            latency.add(row, "p99", float(p99))
            rate.add(row, "agent", float(second))
    run.budget("Attach on the agent, durable, alone, p50, ms", median(latency.samples("alone", "p50")), ALONE_MS)
    run.budget("Attach on the agent, durable, 32 in flight, a second", median(rate.samples("32 in flight", "agent")), RATE, at_most=False)


def whole(run, amounts):
    table = run.table("Attach by the whole agent, 32 in flight", "a second", ["attach", "detach"])
    for turn, count in run.turns(amounts[1:], run.rounds(2, quick=1)):
        simulation = Simulation(functions=count, memory_mb=512, reclaim_grace_s=3600).start()
        row = f"{count:,} pods"
        table.add(row, "attach", count / call(simulation, "attach", 1, count))
        wait_for_rules(simulation, count)
        table.add(row, "detach", count / call(simulation, "detach", 1, count))
        simulation.stop()


def restart(run, amounts):
    table = run.table("Restart after SIGKILL", "s", ["serving", "all rules back"], better="lower")
    rounds = run.rounds(3, quick=1)
    for count in amounts:
        simulation = Simulation(functions=max(amounts), memory_mb=512, reclaim_grace_s=3600).start()
        if count:
            call(simulation, "attach", 1, count)
            wait_for_rules(simulation, count)
        for turn in range(rounds):
            run.progress(f"restart with {count}, round {turn + 1}")
            simulation.agent.kill()
            begin = time.monotonic()
            simulation.agent.start()
            wait_until(lambda s=simulation: s.alive(s.agent) and s.ready(), "the agent serves", timeout_s=120, interval_s=0.002)
            table.add(f"{count:,} attachments", "serving", time.monotonic() - begin)
            wait_for_rules(simulation, count)
            table.add(f"{count:,} attachments", "all rules back", time.monotonic() - begin)
        simulation.stop()
    run.budget(f"Restart with {max(amounts):,} attachments, serving again, s", median(table.samples(f"{max(amounts):,} attachments", "serving")), SERVING_S)


def measure(run):
    amounts = run.count((0, 10, 100, 1000), quick=(0, 10, 50))
    durable(run)
    whole(run, amounts)
    restart(run, amounts)
