# SPDX-License-Identifier: BSD-3-Clause
"""What offload brings in the simulator, and what rules cost.

Pod to pod by the e-switch's rules, by the same with a system call for each frame, as where there is no io_uring ("single calls"), by the
agent's graph (offload off), and over a bare veth pair. The e-switch is a thread of the simulated NIC: what it saves on silicon is the
agent's CPU, which here another CPU of the same machine pays for. Then, of the simulated NIC alone: how fast rules go in, and what finding
a frame's rule costs with 1 to 100,000 of them."""

import re
import subprocess

from figures import of_medians
from iperf import tcp_gbps, udp_kpps, veth_pair
from simulation import BUILD, Simulation

GROUP = "data plane"
PEERS = ["bench"]
BUDGET_RATIO = 0.5


def packets_seen(simulation):
    """How many packets pods sent, and how many of them the e-switch forwarded."""
    ports = [port for port in simulation.ask("ports")["ports"] if port["kind"] == "function"]
    return sum(port["rx_packets"] for port in ports), sum(port["offloaded_rx_packets"] for port in ports)


def measure(run):
    left, right, addresses = veth_pair()
    by_rules, single, by_graph = Simulation().start(), Simulation(device_arguments=",uring=0").start(), Simulation(offload=False).start()
    ways = {"veth pair": lambda family, rate: rate(left, right, addresses[family], run.seconds(2, quick=1))}
    for name, simulation in (("e-switch", by_rules), ("single calls", single), ("agent", by_graph)):
        a, b = simulation.pod().add(), simulation.pod().add()
        ways[name] = lambda family, rate, a=a, b=b: rate(a, b, b.address(family), run.seconds(2, quick=1))
    columns = ["e-switch", "single calls", "agent", "veth pair"]
    ratios = [("e-switch", "veth pair"), ("e-switch", "single calls"), ("agent", "veth pair")]
    tcp = run.table("Pod to pod, TCP by iperf3", "Gbit/s of payload", columns, ratios=ratios)
    udp = run.table("Pod to pod, UDP in frames of 64 B", "1,000 packets a second received", columns, ratios=ratios)
    for table, what, family, rate in ((tcp, "IPv4", 4, tcp_gbps), (tcp, "IPv6", 6, tcp_gbps), (udp, "IPv4", 4, udp_kpps)):
        for _, (way, measured) in run.turns(ways.items(), run.rounds(3)):
            table.add(what, way, measured(family, rate))
    run.budget("Simulated NIC, offloaded pod to pod TCP, of a bare veth pair", of_medians(tcp.samples("IPv4", "e-switch"), tcp.samples("IPv4", "veth pair")),
               BUDGET_RATIO, at_most=False)
    sent, offloaded = packets_seen(by_rules)
    run.note(f"With rules the e-switch forwarded {offloaded:,} of {sent:,} packets by itself.")
    for simulation in (by_rules, single, by_graph):
        simulation.close_pods()
        simulation.stop()
    measure_rules(run)


def measure_rules(run):
    """By simnic-flow-bench, which has its own peers in the same run."""
    rates = run.table("100,000 rules into the simulated NIC and out of it", "a second", ["insert", "destroy"])
    lookups = run.table("Finding a frame's rule", "ns", ["rte_hash lookup", "the rules' table", "e-switch, whole"],
                        ratios=[("the rules' table", "rte_hash lookup")], better="lower")
    for turn in range(run.rounds(2, quick=1)):
        run.progress(f"rules, round {turn + 1}")
        output = subprocess.run([BUILD / "unit" / "simnic-flow-bench"], check=True, capture_output=True, text=True).stdout
        for line in output.splitlines():
            words = re.split(r"\s{2,}", line.strip())
            if len(words) > 2 and all(word.isdigit() for word in words[1:]):
                table = rates if len(words) == 3 else lookups
                for column, value in zip(table.data["columns"], words[1:]):
                    table.add(words[0], column, float(value))
    assert rates.data["rows"] and lookups.data["rows"], output
