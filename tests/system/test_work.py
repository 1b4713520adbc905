# SPDX-License-Identifier: BSD-3-Clause
"""How much is done for a pod, counted in system calls and rules, so that it does not depend on the machine. A change that
takes a fifth more fails; one that takes less is to be written down here, so that it is held. (Instructions per packet:
tests/instructions.)"""

import collections
import contextlib
import json
import pathlib
import re
import subprocess

from eswitch import RULES_PER_POD, offload, wait_full
from simulation import BIN, BUILD, PATIENCE_S, wait_until

PODS = 6
TOLERANCE = 1.15

# By which a thread waits, and is woken: how often depends on who else runs.
WAITING = {"futex", "epoll_wait", "epoll_pwait2", "poll", "restart_syscall", "sched_yield", "clock_nanosleep", "gettid"}

# Per pod: what must not become more at all, and "all" that is not waiting, which varies a little.
EXPECTED = {
    "ADD": {"agent": {"fdatasync": 1, "pwrite64": 12, "ioctl": 2, "all": 57},
            "hostd": {"setns": 6, "openat": 4, "socket": 3, "sendto": 5, "sendmsg": 4, "pwrite64": 2, "all": 93}},
    "DEL": {"agent": {"fdatasync": 2, "pwrite64": 18, "ioctl": 1, "all": 51},
            "hostd": {"setns": 2, "openat": 0, "socket": 1, "sendto": 2, "sendmsg": 2, "pwrite64": 0, "all": 49}},
}

CACHE = (BUILD / "CMakeCache.txt").read_text()
# Sanitizers make calls of their own.
SANITIZED = re.search(r"^PODPORT_SANITIZE:\w+=.", CACHE, re.M) is not None
# Of podport-cni from exec to exit, in an ADD. Where there are no archives to link it statically, the loader makes the half of them.
PLUGIN_CALLS = 37 if re.search(r"^PODPORT_STATIC_PLUGIN:INTERNAL=1$", CACHE, re.M) else 73


def is_traced(daemon):
    return all("TracerPid:\t0\n" not in (task / "status").read_text()
               for task in pathlib.Path(f"/proc/{daemon.pid}/task").iterdir())


def calls_in(log):
    """The calls in strace's log. One that another thread interrupts has a second line, of another form."""
    for line in log.read_text(errors="replace").splitlines():
        match = re.match(r"^\d+ +(\w+)\(", line)
        if match:
            yield match.group(1)


@contextlib.contextmanager
def traced(sim, *daemons):
    """{name: Counter} of each daemon's calls while the block runs; complete after it."""
    counted = {daemon.name: collections.Counter() for daemon in daemons}
    with contextlib.ExitStack() as stack:
        tracers = {}
        for daemon in daemons:
            tracers[daemon] = subprocess.Popen(["strace", "-f", "-qq", "-o", sim.folder / f"strace-{daemon.name}", "-p", str(daemon.pid)],
                                               stdin=subprocess.DEVNULL)
            stack.callback(tracers[daemon].wait, PATIENCE_S)
            stack.callback(tracers[daemon].terminate)  # it lets go of the daemon
        for daemon in daemons:
            wait_until(lambda daemon=daemon: is_traced(daemon), f"{daemon.name} is traced")
        yield counted
    for daemon in daemons:
        log = sim.folder / f"strace-{daemon.name}"
        counted[daemon.name].update(calls_in(log))
        log.unlink()


def assert_no_more(counted, expected):
    problems, shown = [], {}
    for name, limits in expected.items():
        calls = counted[name]
        shown[name] = {call: round(count / PODS, 1) for call, count in calls.most_common()}
        for call, limit in limits.items():
            if call == "all":
                if SANITIZED:
                    continue
                now, most = sum(count for kind, count in calls.items() if kind not in WAITING) / PODS, limit * TOLERANCE
            else:
                now, most = calls[call] // PODS, limit  # what comes once for all, now and then, is not a pod's
            if now > most:
                problems.append(f"{name}: {call} {now:.1f} times per pod, {limit} expected")
    assert not problems, f"{problems}\n{shown}"


def test_a_pod_takes_so_many_system_calls_and_rules(make_sim):
    sim = make_sim(functions=PODS)
    pods = [sim.pod() for _ in range(PODS)]
    before = offload(sim)
    with traced(sim, sim.agent, sim.hostd) as counted:
        for pod in pods:
            pod.add()
    assert_no_more(counted, EXPECTED["ADD"])
    wait_full(sim, *pods)
    between = offload(sim)
    assert between["inserted"] - before["inserted"] == PODS * RULES_PER_POD
    assert between["removed"] == before["removed"]
    with traced(sim, sim.agent, sim.hostd) as counted:
        for pod in pods:
            pod.delete()
    assert_no_more(counted, EXPECTED["DEL"])
    after = offload(sim)
    assert after["removed"] - between["removed"] == PODS * RULES_PER_POD
    assert after["inserted"] == between["inserted"]


if not SANITIZED:
    def test_the_plugin_takes_so_many_system_calls(sim):
        pod = sim.pod()
        log = sim.folder / "strace-plugin"
        subprocess.run(["strace", "-f", "-qq", "-o", log, BIN / "podport-cni"], input=json.dumps(pod.configuration()),
                       text=True, env=pod.environment("ADD"), check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE_S)
        calls = collections.Counter(calls_in(log))
        log.unlink()
        assert sum(calls.values()) <= PLUGIN_CALLS * TOLERANCE, calls
