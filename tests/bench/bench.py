# SPDX-License-Identifier: BSD-3-Clause
"""What the benchmarks share. Each compares podport with a named peer measured in the same run, and prints the ratio."""

import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def isolated(needs=()):
    """Start the calling script again in PID, mount and network namespaces of its own, which end with it."""
    if os.environ.get("PODPORT_BENCH_ISOLATED") != "1":
        if os.geteuid() != 0:
            sys.exit("only root can make network namespaces and devices: run this as root")
        build = pathlib.Path(os.environ.setdefault("PODPORT_TEST_BUILD", str(ROOT / "build" / "release")))
        if not (build / "bin" / "podport-agent").exists():
            sys.exit(f"{build} is not built: cmake --preset {build.name} && cmake --build --preset {build.name}")
        for path in needs:
            if not os.path.exists(path):
                sys.exit(f"{path} is missing: packaging/packages install bench")
        os.environ["PODPORT_BENCH_ISOLATED"] = "1"
        prepare = 'mount --no-mtab -t tmpfs -o mode=755 tmpfs /run && ip link set lo up && exec "$@"'
        os.execvp("setpriv", ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount", "--net",
                              "--mount-proc", "sh", "-c", prepare, "sh", sys.executable, *sys.argv])
    sys.path.insert(0, str(ROOT / "tests" / "system"))
    sys.dont_write_bytecode = True


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="ascii") if line.startswith("model name")), "?")
    kernel = subprocess.run(["uname", "-r"], capture_output=True, text=True, check=True).stdout.strip()
    return f"{os.cpu_count()} CPUs ({model}), Linux {kernel}"


def median(values):
    return statistics.median(values)


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
