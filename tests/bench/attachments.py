# SPDX-License-Identifier: BSD-3-Clause
"""Many attachments of the agent, whose sandboxes nobody wires; and what daemons use."""

import pathlib
import subprocess

from simulation import BUILD, wait_until


def call(simulation, what, first, count):
    """what: "attach" or "detach"; those with the numbers from `first` on, 32 calls at a time. Seconds that it took."""
    done = subprocess.run([BUILD / "unit" / "rpc-attach", f"ipc://{simulation.agent_socket}", what, str(first), str(count)], check=True,
                          env=simulation.environment(), capture_output=True, text=True)
    return float(done.stdout.split(" in ")[1].split()[0])


def wait_for_rules(simulation, pods):
    """All of them are in the e-switch. What the agent tells of offload then."""
    def look():
        offload = simulation.ask("offload")
        return offload if offload["pods_full"] == pods and offload["rules_missing"] == 0 else None
    return wait_until(look, lambda: f"{pods} pods have their rules: {simulation.ask('offload')}", timeout_s=300)


def cpu_s(pid):
    """Processor time of all its threads, to the nanosecond."""
    spent = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        spent += int((task / "schedstat").read_text(encoding="ascii").split()[0])
    return spent / 1e9


def huge_mb(pid):
    """Of its mappings, in huge pages."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(("Private_Hugetlb", "Shared_Hugetlb"))) / 1024
