# SPDX-License-Identifier: BSD-3-Clause
"""The programs: how long each takes to start, and how large it is.

Start: from its beginning until the card, the agent and hostd are ready (a new node, huge pages off), and for the programs that end by
themselves the whole of `podport-cni` with CNI_COMMAND=VERSION and of `podportctl --help`, against `/bin/true` and against ptp's VERSION. Most of the
agent's start is EAL's memory and the NIC's preflight. Size: the file, and without its symbols (by strip), of the preset release."""

import os
import pathlib
import shutil
import subprocess
import time

from simulation import BIN, BUILD, Simulation, wait_until

GROUP = "footprint"
PEERS = ["bench"]


def until(condition, what):
    begin = time.monotonic()
    wait_until(condition, what, interval_s=0.001)
    return 1000 * (time.monotonic() - begin)


def daemons(run):
    table = run.table("Until a daemon is ready", "ms", ["simnic-card", "podport-agent", "podport-hostd"], better="lower")
    for turn in range(run.rounds(5)):
        run.progress(f"daemons, round {turn + 1}")
        simulation = Simulation()
        simulation.card.start()
        table.add("from its start", "simnic-card", until(simulation.card_socket.exists, "the card is ready"))
        simulation.agent.start()
        table.add("from its start", "podport-agent", until(lambda s=simulation: s.alive(s.agent) and "agent ready" in s.agent.log.read_text(), "the agent is ready"))
        simulation.hostd.start()
        table.add("from its start", "podport-hostd", until(lambda s=simulation: s.alive(s.hostd) and "is ready" in s.hostd.log.read_text(), "hostd is ready"))
        simulation.stop()


def commands(run):
    version = '{"cniVersion": "1.0.0"}'
    programs = {"podport-cni": ([BIN / "podport-cni"], {"CNI_COMMAND": "VERSION"}), "podportctl": ([BIN / "podportctl", "--help"], {}),
                "ptp": (["/usr/lib/cni/ptp"], {"CNI_COMMAND": "VERSION"}), "/bin/true": (["/bin/true"], {})}
    table = run.table("A program, from start to end", "ms", programs, ratios=[("podport-cni", "ptp"), ("podport-cni", "/bin/true")], kind="calls", better="lower")
    for turn, (name, (command, environment)) in run.turns(programs.items(), run.count(100, quick=5) + 1):
        begin = time.monotonic()
        subprocess.run(command, env={**os.environ, **environment}, input=version, text=True, capture_output=True, check=True)
        if turn > 0:
            table.add("whole process", name, 1000 * (time.monotonic() - begin))


def sizes(run):
    table = run.table("Size of the files", "KB", ["as built", "without symbols"], better="lower")
    for path in [*(BIN / name for name in ("podport-agent", "podport-hostd", "podport-cni", "podportctl", "simnic-card")), BUILD / "lib/libpodport.so",
                 BUILD / "lib/librte_net_simnic.so", pathlib.Path("/usr/lib/cni/ptp")]:
        stripped = run.folder / "stripped"
        shutil.copy(path, stripped)
        subprocess.run(["strip", "--strip-all" if path.suffix != ".so" else "--strip-unneeded", stripped], check=True)
        table.add(path.name, "as built", path.stat().st_size / 1024)
        table.add(path.name, "without symbols", stripped.stat().st_size / 1024)


def measure(run):
    daemons(run)
    commands(run)
    sizes(run)
