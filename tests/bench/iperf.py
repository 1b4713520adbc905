# SPDX-License-Identifier: BSD-3-Clause
"""Traffic by kernel stacks: iperf3 between two namespaces, and the bare veth pair that a pod is compared with."""

import json
import subprocess

from simulation import Netns, wait_until


def veth_pair():
    """Two namespaces joined by a bare veth pair, and the address of the second by family."""
    left, right = Netns("veth-left"), Netns("veth-right")
    subprocess.run(["ip", "link", "add", "v0", "netns", left.name, "type", "veth", "peer", "name", "v1", "netns", right.name], check=True)
    for netns, name, last in ((left, "v0", 1), (right, "v1", 2)):
        netns.run("ip", "address", "add", f"10.1.1.{last}/24", "dev", name)
        netns.run("ip", "address", "add", f"fd00:1::{last}/64", "dev", name, "nodad")
        netns.run("ip", "link", "set", name, "up")
    return left, right, {4: "10.1.1.2", 6: "fd00:1::2"}


def _iperf(source, destination, address, *options):
    server = destination.popen("iperf3", "--server", "--one-off", "--bind", address, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: ":5201" in destination.run("ss", "-Hltn").stdout, "iperf3 listens")
        output = source.run("iperf3", "--client", address, "--json", *options).stdout
        server.wait(30)
    finally:
        server.kill()
        server.wait()
    return json.loads(output)["end"]


def tcp_gbps(source, destination, address, seconds, *options):
    """What arrived, Gbit/s of payload."""
    return _iperf(source, destination, address, "--time", max(1, round(seconds)), *options)["sum_received"]["bits_per_second"] / 1e9


def udp_kpps(source, destination, address, seconds):
    """What arrived of UDP in frames of 64 bytes (FCS included), 1,000 packets a second; the sender sends as fast as it can."""
    headers = 14 + (20 if "." in address else 40) + 8 + 4
    sum_ = _iperf(source, destination, address, "--udp", "--bitrate", 0, "--length", max(64 - headers, 16), "--time", max(1, round(seconds)))["sum"]
    return (sum_["packets"] - sum_["lost_packets"]) / sum_["seconds"] / 1e3
