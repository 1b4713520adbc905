# SPDX-License-Identifier: BSD-3-Clause
"""The host's rules in the e-switch, by what happens to it, to its port, to the agent and to the NIC. What they do with packets is
test_offload_parity's and test_routed_offload's."""

import re
import signal

import pytest
from scapy.layers.inet6 import ICMPv6ND_RS, IPv6
from scapy.layers.l2 import ARP, Ether

from eswitch import misbehave, offload, rules_in_nic
from simulation import wait_until
from traffic import first_frame, raw_socket
from world import World, uplink_yaml

FAMILIES = [4, 6]
PF = 65535
STRANGER = "02:00:00:00:99:99"


def host_port(sim):
    return next(port for port in sim.ports() if port["kind"] == "host")


def rules(sim):
    """What the NIC was told of the host."""
    return [f"{flow['match']} > {flow['actions']}" for flow in sim.ask("flows")["flows"] if re.search(r"\bpf0\b", flow["match"] + flow["actions"])]


def until_offloaded(sim, pod):
    """What the host says, and what is said to it, goes by the e-switch: of both families."""
    for family in FAMILIES:
        def is_offloaded(family=family):
            before = host_port(sim)
            pod.ping(sim.gateway(family), count=1, check=False)
            after = host_port(sim)
            return all(after[f"offloaded_{way}_packets"] > before[f"offloaded_{way}_packets"] for way in ("rx", "tx"))
        wait_until(is_offloaded, lambda: f"the host is reached by the e-switch: {rules(sim)}\n{host_port(sim)}\n{sim.agent.tail()}")


def change_configuration(sim, **changes):
    sim.configure(**changes)
    before = sim.agent.log.read_text().count("configuration taken again")
    sim.agent.send(signal.SIGHUP)
    wait_until(lambda: sim.agent.log.read_text().count("configuration taken again") > before, sim.agent.tail)


@pytest.mark.parametrize("arguments", ["", ",async=0"], ids=["asynchronous", "synchronous"])
def test_the_hosts_rules_come_back_after_whatever_ends_them(make_sim, arguments):
    sim = make_sim(agent_yaml=uplink_yaml(), device_arguments=arguments)
    world = World(sim)
    try:
        world.wait_for_agent()
        pod = sim.pod().add()
        until_offloaded(sim, pod)

        sim.restart(sim.hostd)
        until_offloaded(sim, pod)
        for fault in (f"function_reset={PF}:lost", f"function_reset={PF}"):
            misbehave(sim, fault)
            until_offloaded(sim, pod)
        misbehave(sim, f"table_full={rules_in_nic(sim)}", f"function_reset={PF}:lost")
        for family in FAMILIES:
            pod.ping(sim.gateway(family))
        misbehave(sim, "table_full=off")
        until_offloaded(sim, pod)
        for changes in ({"mtu": 1400}, {"vlan": 7}, {}):
            change_configuration(sim, more=uplink_yaml(**changes))
            until_offloaded(sim, pod)
        before = host_port(sim)
        sim.podportctl("network", "set", sim.ipv4, sim.ipv6, "--mtu", "1400")
        assert host_port(sim)["rx_packets"] >= before["rx_packets"]
        assert host_port(sim)["offloaded_rx_packets"] >= before["offloaded_rx_packets"]
        until_offloaded(sim, sim.pod().add())
        assert offload(sim)["rules_missing"] == 0
        sim.restart(sim.agent)
        until_offloaded(sim, sim.pod().add())
        # Another gateway: nothing is left of the first.
        for pod in list(sim.pods):
            pod.delete()
        first, sim.ipv4, sim.ipv6 = sim.gateway(4), "10.99.0.0/16", "fd00:10:99::/64"
        sim.podportctl("network", "set", sim.ipv4, sim.ipv6)
        until_offloaded(sim, sim.pod().add())
        assert not any(first in rule for rule in rules(sim))
    finally:
        world.close()


def test_a_host_that_says_nothing_is_reached_after_somebody_else_was_heard_at_its_port(make_sim):
    sim = make_sim()
    pod = sim.pod().add()
    until_offloaded(sim, pod)
    own = sim.host.links()["podport0"]["address"]

    def asks_for_host(frame):
        return frame[12:14] == b"\x08\x06" and Ether(frame)[ARP].op == 1 and Ether(frame)[ARP].pdst == sim.gateway(4)

    with raw_socket(sim.host, "podport0") as raw:
        raw.send(bytes(Ether(src=STRANGER, dst="33:33:00:00:00:02") / IPv6(src="fe80::99", dst="ff02::2", hlim=255) / ICMPv6ND_RS()))
        first_frame(raw, asks_for_host, "the question where the host is")
    for family in FAMILIES:
        pod.ping(sim.gateway(family))
    wait_until(lambda: sum(own in rule for rule in rules(sim)) == 4 and not any(STRANGER in rule for rule in rules(sim)),
               lambda: f"the e-switch knows where the host is: {rules(sim)}")
    until_offloaded(sim, pod)
