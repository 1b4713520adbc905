# SPDX-License-Identifier: BSD-3-Clause
"""The host's rules in the e-switch, by what happens to it, to its port, to the agent and to the NIC. What they do with packets is
test_offload_parity's and test_routed_offload's."""

import re
import signal

import pytest

from eswitch import misbehave, offload, rules_in_nic
from simulation import wait_until
from world import World, uplink_yaml

FAMILIES = [4, 6]
PF = 65535


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
            pod.ping(sim.gateway(family), count=1)
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
    finally:
        world.close()
