# SPDX-License-Identifier: BSD-3-Clause
"""The machine that is measured on: what it is, and whether it is quiet enough to say anything."""

import os
import pathlib
import platform
import time

# Beyond these a figure says more about the machine's neighbours than about a program.
LOOP_SPREAD_PERCENT = 10  # the same loop, the slow ones (90th percentile) over the fastest
STEAL_PERCENT = 1
OTHERS_PERCENT = 5  # of all CPUs, while we do nothing
LOOPS, LOOP_TURNS = 25, 100000


def _field(path, key):
    for line in pathlib.Path(path).read_text(encoding="ascii", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return "?"


def _distribution():
    for line in pathlib.Path("/etc/os-release").read_text(encoding="utf-8").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.split("=", 1)[1].strip('"')
    return "?"


def _virtual():
    for path in ("/sys/class/dmi/id/sys_vendor", "/sys/hypervisor/type"):
        if os.path.exists(path) and "hypervisor" in _field("/proc/cpuinfo", "flags").split():
            return f"a virtual machine ({pathlib.Path(path).read_text(encoding='utf-8').strip()})"
    return "a virtual machine" if "hypervisor" in _field("/proc/cpuinfo", "flags").split() else "no virtual machine"


def describe():
    return {"cpus": os.cpu_count(), "cpu": _field("/proc/cpuinfo", "model name"), "memory_mb": int(_field("/proc/meminfo", "MemTotal").split()[0]) >> 10,
            "kernel": platform.release(), "system": _distribution(), "virtual": _virtual(), "c_library": " ".join(platform.libc_ver())}


def sentence(machine):
    return (f"{machine['cpus']} CPUs ({machine['cpu']}), {machine['memory_mb'] / 1024:.0f} GB, Linux {machine['kernel']}, {machine['system']}, "
            f"{machine['virtual']}")


def processor_times():
    """(busy, stolen, all), in clock ticks since boot, of all CPUs."""
    ticks = [int(word) for word in pathlib.Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    idle, stolen = ticks[3] + ticks[4], ticks[7]
    return sum(ticks) - idle - stolen, stolen, sum(ticks)


class Watch:
    """Of the CPU time since it was made, what was stolen by the hypervisor and what was used, in percent of all CPUs."""

    def __init__(self):
        self.begin = processor_times()

    def look(self):
        busy, stolen, total = (after - before for after, before in zip(processor_times(), self.begin))
        return {"busy_percent": round(100 * busy / max(1, total), 1), "steal_percent": round(100 * stolen / max(1, total), 2)}


def _loop_ms():
    begin = time.perf_counter_ns()
    value = 0
    for number in range(LOOP_TURNS):
        value += number
    return (time.perf_counter_ns() - begin) / 1e6


def _loops():
    """The slow ones over the fastest, in percent, on the worst CPU; and that fastest, in ms, on the slowest CPU."""
    allowed = os.sched_getaffinity(0)
    worst, slowest = 0, 0
    try:
        for cpu in sorted(allowed)[:8]:
            os.sched_setaffinity(0, {cpu})
            _loop_ms()
            times = sorted(_loop_ms() for _ in range(LOOPS))
            worst = max(worst, 100 * (times[len(times) * 9 // 10] / times[0] - 1))
            slowest = max(slowest, times[0])
    finally:
        os.sched_setaffinity(0, allowed)
    return worst, slowest


def look(patience_s=5):
    """How quiet it is now. What has just ended may still be tidied up after: it gets some seconds for that."""
    deadline = time.monotonic() + patience_s
    while True:
        watch = Watch()
        time.sleep(1)
        seen = watch.look()
        if seen["busy_percent"] <= OTHERS_PERCENT or time.monotonic() > deadline:
            break
    watch = Watch()
    spread, loop_ms = _loops()
    return {"others_percent": seen["busy_percent"], "steal_percent": max(seen["steal_percent"], watch.look()["steal_percent"]),
            "loop_spread_percent": round(spread, 1), "loop_ms": round(loop_ms, 3), "load": os.getloadavg()[0]}


def problems(*looks):
    """What speaks against measuring, by the worst of them: a list of sentences."""
    worst = {key: max(each.get(key, 0) for each in looks) for key in ("others_percent", "steal_percent", "loop_spread_percent")}
    said = []
    if worst["loop_spread_percent"] > LOOP_SPREAD_PERCENT:
        said.append(f"the same loop takes {worst['loop_spread_percent']:.0f} % longer at times")
    if worst["steal_percent"] > STEAL_PERCENT:
        said.append(f"{worst['steal_percent']:.1f} % of the CPU time is stolen by the hypervisor")
    if worst["others_percent"] > OTHERS_PERCENT:
        said.append(f"others use {worst['others_percent']:.0f} % of the CPUs")
    return said
