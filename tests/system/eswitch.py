# SPDX-License-Identifier: BSD-3-Clause
"""What the e-switch does for pods, by podportctl; and how the simulated NIC is made to misbehave, by DPDK's telemetry."""

import contextlib
import json
import pathlib
import socket

from simulation import PATIENCE_S, wait_until

DEVICE = "net_simnic0"
RULES_PER_FAMILY = 3
RULES_PER_POD = 6   # of a pod with both families and the pod network's MTU
FAMILIES = [4, 6]
# What a kernel says besides in a while: a group it joins, a neighbour it looks for.
CHATTER = 10


def offload(sim):
    """What podportctl offload tells."""
    return sim.ask("offload")


def flows(sim, pod=None):
    """The rules, or those that serve a pod."""
    return [flow for flow in sim.ask("flows")["flows"]
            if pod is None or (flow["attachment"] or {}).get("container_id") == pod.container_id]


def offload_of(sim, pod):
    """("full", "") and the like."""
    for attachment in sim.attachments():
        if attachment["container_id"] == pod.container_id:
            return attachment["offload"], attachment["offload_reason"]
    raise AssertionError(f"{pod.container_id} is not attached")


def wait_full(sim, *pods):
    """All these pods are forwarded by the e-switch alone, whenever that is so by itself."""
    def states():
        names = {pod.container_id for pod in pods}
        return [(a["offload"], a["offload_reason"]) for a in sim.attachments() if a["container_id"] in names]
    wait_until(lambda: states() == [("full", "")] * len(pods), lambda: f"all rules are there: {states()}\n{sim.logs()}")


def counters(sim, pod):
    """{packets from and to the pod: all, and those of the slow path}."""
    port = sim.port_of(pod)
    return {"rx": port["rx_packets"], "tx": port["tx_packets"],
            "slow_rx": port["rx_packets"] - port["offloaded_rx_packets"],
            "slow_tx": port["tx_packets"] - port["offloaded_tx_packets"]}


class Watch:
    """with Watch(sim, a, b) as watch: ...; then watch.slow(a) is what a's representor saw meanwhile, both ways."""

    def __init__(self, sim, *pods):
        self.sim, self.pods = sim, pods
        self.before, self.after = {}, {}

    def look(self):
        return {pod.container_id: counters(self.sim, pod) for pod in self.pods}

    def __enter__(self):
        self.before = self.look()
        return self

    def __exit__(self, *_):
        self.after = self.look()

    def moved(self, pod, what):
        return self.after[pod.container_id][what] - self.before[pod.container_id][what]

    def slow(self, pod):
        return self.moved(pod, "slow_rx") + self.moved(pod, "slow_tx")


def assert_reach(a, b):
    """Both ways, by both families."""
    for family in FAMILIES:
        a.ping(b.address(family), count=2)
        b.ping(a.address(family), count=2)


def assert_offloaded(sim, a, b):
    """Between these two the representors see nothing."""
    with Watch(sim, a, b) as watch:
        for family in FAMILIES:
            a.ping(b.address(family), "-i", "0.005", count=50)
    for pod in (a, b):
        assert watch.moved(pod, "rx") >= 100 and watch.moved(pod, "tx") >= 100
        assert watch.slow(pod) <= CHATTER, watch.__dict__


class Telemetry:
    """One connection to the agent's telemetry, by DPDK's protocol: a greeting, then an answer for each command. The socket is
    of one process: make another one after a restart."""

    def __init__(self, simulation):
        path = pathlib.Path(f"/var/run/dpdk/podport-{simulation.id}/dpdk_telemetry.v2")
        wait_until(path.exists, f"there is {path}")
        self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.connection.settimeout(2 * PATIENCE_S)
        self.connection.connect(str(path))
        self.size = json.loads(self.connection.recv(1024))["max_output_len"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.connection.close()

    def ask(self, command, *parameters):
        """The answer, without the {command: ...} around it."""
        self.connection.send(",".join([command, *map(str, parameters)]).encode())
        return json.loads(self.connection.recv(self.size))[command]


def misbehave(sim, *faults):
    """misbehave(sim, "table_full=20", "insert_us=off"): the NIC's state then. Fails if it does not understand."""
    with Telemetry(sim) as telemetry:
        answer = telemetry.ask("/simnic/fault", DEVICE, *faults)
    assert answer and "error" not in answer, f"{faults}: {answer}"
    return answer


def rules_in_nic(sim, telemetry=None):
    """How many rules the NIC itself says that it has; by a connection of its own, or this one."""
    with contextlib.nullcontext(telemetry) if telemetry else Telemetry(sim) as connection:
        return connection.ask("/simnic/rules", DEVICE)["rules"]


def function_of(sim, pod):
    """The number of the VF that serves a pod."""
    return sim.port_of(pod)["function"]["vf"]


def netdev_counters(pod):
    """What the pod's own interface has sent and received, as its kernel counts: (packets, bytes) each."""
    output = pod.run("ip", "-s", "-json", "link", "show", "dev", pod.ifname).stdout
    stats = json.loads(output)[0]["stats64"]
    return (stats["tx"]["packets"], stats["tx"]["bytes"]), (stats["rx"]["packets"], stats["rx"]["bytes"])
