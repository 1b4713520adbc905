# SPDX-License-Identifier: BSD-3-Clause
"""A thousand pods. Figures are printed, and judged by nobody's clock; what is judged is that the cost of a pod does not grow."""

import subprocess
import time

from eswitch import RULES_PER_POD, offload, rules_in_nic
from simulation import BUILD, PATIENCE_S, wait_until

PODS = 1000


def call(sim, what, first, count):
    """Attachments by the agent's own interface: nobody wires a thousand sandboxes here."""
    subprocess.run([BUILD / "unit" / "rpc-attach", f"ipc://{sim.agent_socket}", what, str(first), str(count)], check=True,
                   env=sim.environment(), timeout=8 * PATIENCE_S)


def test_a_thousand_pods_have_their_rules_and_the_last_costs_what_the_second_did(make_sim, capsys):
    sim = make_sim(functions=PODS, memory_mb=512, reclaim_grace_s=3600)
    figures = []

    def operations(number):
        before = offload(sim)
        call(sim, "attach", number, 1)
        wait_until(lambda: offload(sim)["pods_full"] == number, lambda: f"pod {number} has its rules: {offload(sim)}")
        after = offload(sim)
        return after["inserted"] - before["inserted"], after["removed"] - before["removed"], after["failed"] - before["failed"]

    def all_rules():
        answer = offload(sim)
        return answer if answer["pods_full"] == PODS else None

    shared = offload(sim)["rules"]
    operations(1)
    second = operations(2)
    memory = sim.agent.rss_kb()
    start = time.monotonic()
    call(sim, "attach", 3, PODS - 3)
    wait_until(lambda: offload(sim)["pods_full"] == PODS - 1, lambda: f"all have their rules: {offload(sim)}", timeout_s=4 * PATIENCE_S)
    took = time.monotonic() - start
    figures.append(f"{PODS - 3} attachments with {RULES_PER_POD * (PODS - 3)} rules: {took:.2f} s, {(PODS - 3) / took:.0f} a second; "
                   f"the agent grew from {memory >> 10} to {sim.agent.rss_kb() >> 10} MB")
    last = operations(PODS)
    assert second == last == (RULES_PER_POD, 0, 0)

    answer = all_rules()
    assert answer["rules"] == shared + RULES_PER_POD * PODS and answer["rules_missing"] == 0, answer
    assert rules_in_nic(sim) == answer["rules"]

    sim.agent.kill()
    start = time.monotonic()
    sim.agent.start()
    sim.wait_ready()
    ready = time.monotonic() - start
    answer = wait_until(all_rules, lambda: f"all rules are back: {offload(sim)}", timeout_s=4 * PATIENCE_S)
    figures.append(f"restart with {PODS} attachments: serving again after {ready:.2f} s, with all {answer['rules']} rules "
                   f"after {time.monotonic() - start:.2f} s, {sim.agent.rss_kb() >> 10} MB")
    assert answer["rules"] == shared + RULES_PER_POD * PODS

    start = time.monotonic()
    call(sim, "detach", 1, PODS)
    figures.append(f"{PODS} detached in {time.monotonic() - start:.2f} s")
    assert offload(sim)["rules"] == shared
    with capsys.disabled():
        print("\n  " + "\n  ".join(figures))
