# SPDX-License-Identifier: BSD-3-Clause
"""What the 1,000th pod costs against the 10th: time, memory, rules.

Two simulated nodes of the same size, one with 9 pods, one with 999 (attachments of the agent alone, with ports and rules); on each one more pod
comes and goes, whole, by podport-cni, by turns. Memory and rules are those of the attachments on the way up. The host has the same number
of functions in both, so what the kernel's own tables cost is in both."""

from attachments import call, wait_for_rules
from simulation import Simulation

GROUP = "control plane"


def operations(simulation, number):
    """Rules in and out for one more attachment."""
    before = simulation.ask("offload")
    call(simulation, "attach", number, 1)
    after = wait_for_rules(simulation, number)
    return after["inserted"] - before["inserted"] + after["removed"] - before["removed"]


def measure(run):
    many = run.count(1000, quick=50)
    few = 10
    names = {few: f"{few}th pod", many: f"{many:,}th pod"}
    columns, ratios = list(names.values()), [(names[many], names[few])]
    times = run.table("One more pod by podport-cni", "ms", columns, ratios=ratios, kind="calls", better="lower")
    memory = run.table("Memory of the agent", "KB for each pod", [f"the first {few}", f"those up to the {many:,}th"], better="lower")
    rules = run.table("Rule operations for one more pod", "operations", columns, ratios=ratios, better="lower")
    for turn in range(run.rounds(2, quick=1)):
        nodes = {}
        for amount, name in names.items():
            run.progress(f"{name}, round {turn + 1}")
            nodes[amount] = simulation = Simulation(functions=many, memory_mb=512, reclaim_grace_s=3600).start()
            at_first = simulation.agent.rss_kb()
            call(simulation, "attach", 1, few - 2)
            wait_for_rules(simulation, few - 2)
            if amount == many:
                memory.add("resident", f"the first {few}", (simulation.agent.rss_kb() - at_first) / (few - 2))
                begin = simulation.agent.rss_kb()
                call(simulation, "attach", few - 1, many - few)
                wait_for_rules(simulation, many - 2)
                memory.add("resident", f"those up to the {many:,}th", (simulation.agent.rss_kb() - begin) / (many - few))
            rules.add("insert and remove", name, operations(simulation, amount - 1))
        for _ in range(run.count(15, quick=2)):
            for amount, simulation in nodes.items():
                pod = simulation.pod()
                for command, act in (("ADD", pod.try_add), ("CHECK", pod.try_check), ("DEL", pod.try_delete)):
                    result = act()
                    assert result.ok, f"{command}: {result}"
                    times.add(command, names[amount], 1000 * result.seconds)
                pod.close()
        for simulation in nodes.values():
            simulation.stop()
