# SPDX-License-Identifier: BSD-3-Clause
"""From git clone to the first pings between two containers.

`git clone` of this repository (what is committed), then `sim/up`, which builds the preset release without ccache, starts a simulated host and
DPU and a containerd, and has two containers ping each other and the host. Warm: packages are installed, and DPDK is built already
(PODPORT_CACHE). Cold, with all downloads, is for a machine that has not seen podport: see docs/benchmarks.md. No peer."""

import os
import subprocess
import time

from suite import ROOT

GROUP = "footprint"
ON_REQUEST = True  # it builds everything


def measure(run):
    table = run.table("Warm", "s", ["git clone", "sim/up", "sim/up again", "together"], better="lower")
    for turn in range(run.rounds(3, quick=1)):
        run.progress(f"round {turn + 1}")
        clone = run.disk / f"podport{turn}"
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("CCACHE", "CMAKE", "PODPORT_TEST"))}
        environment["PODPORT_SIM_DIR"] = str(run.folder / f"sim{turn}")
        taken = []
        for command, folder in ((["git", "clone", "--quiet", ROOT, clone], "/"), (["sim/up"], clone), (["sim/down"], clone), (["sim/up"], clone),
                                (["sim/down"], clone)):
            begin = time.monotonic()
            done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            if done.returncode != 0:
                raise RuntimeError(f"{command}: {done.stdout[-3000:]}")
            taken.append(time.monotonic() - begin)
        for column, seconds in zip(("git clone", "sim/up", "sim/up again", "together"), (taken[0], taken[1], taken[3], taken[0] + taken[1])):
            table.add("warm", column, seconds)
