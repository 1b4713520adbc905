# SPDX-License-Identifier: BSD-3-Clause
"""What the benchmarks share. Each compares podport with a named peer measured in the same run, and prints the ratio."""

import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def isolated(needs=(), purpose="bench"):
    """Start the calling script again in PID, mount and network namespaces of its own, which end with it."""
    if os.environ.get("PODPORT_BENCH_ISOLATED") != "1":
        if os.geteuid() != 0:
            sys.exit("only root can make network namespaces and devices: run this as root")
        build = pathlib.Path(os.environ.setdefault("PODPORT_TEST_BUILD", str(ROOT / "build" / "release")))
        if not (build / "bin" / "podport-agent").exists():
            sys.exit(f"{build} is not built: cmake --preset {build.name} && cmake --build --preset {build.name}")
        for path in needs:
            if not os.path.exists(path):
                sys.exit(f"{path} is missing: packaging/packages install {purpose}")
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


# ---- traffic; after isolated() ------------------------------------------------------------------------------


def veth_pair():
    """Two namespaces joined by a bare veth pair, and the address of the second by family: what a pod is compared with."""
    from simulation import Netns  # pylint: disable=import-outside-toplevel
    left, right = Netns("veth-left"), Netns("veth-right")
    subprocess.run(["ip", "link", "add", "v0", "netns", left.name, "type", "veth", "peer", "name", "v1", "netns", right.name], check=True)
    for netns, name, last in ((left, "v0", 1), (right, "v1", 2)):
        netns.run("ip", "address", "add", f"10.1.1.{last}/24", "dev", name)
        netns.run("ip", "address", "add", f"fd00:1::{last}/64", "dev", name, "nodad")
        netns.run("ip", "link", "set", name, "up")
    return left, right, {4: "10.1.1.2", 6: "fd00:1::2"}


def _iperf(source, destination, address, *options):
    from simulation import wait_until  # pylint: disable=import-outside-toplevel
    server = destination.popen("iperf3", "--server", "--one-off", "--bind", address, stdout=subprocess.DEVNULL)
    wait_until(lambda: ":5201" in destination.run("ss", "-Hltn").stdout, "iperf3 listens")
    output = source.run("iperf3", "--client", address, "--json", *options).stdout
    server.wait()
    return json.loads(output)["end"]


def tcp_gbps(source, destination, address, seconds, *options):
    """What arrived, Gbit/s of payload."""
    return _iperf(source, destination, address, "--time", seconds, *options)["sum_received"]["bits_per_second"] / 1e9


def udp_kpps(source, destination, address, seconds):
    """What arrived of UDP in frames of 64 bytes (FCS included), 1,000 packets a second; the sender sends as fast as it can."""
    headers = 14 + (20 if "." in address else 40) + 8 + 4
    sum_ = _iperf(source, destination, address, "--udp", "--bitrate", 0, "--length", max(64 - headers, 16), "--time", seconds)["sum"]
    return (sum_["packets"] - sum_["lost_packets"]) / sum_["seconds"] / 1e3
