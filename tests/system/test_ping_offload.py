# SPDX-License-Identifier: BSD-3-Clause
"""Masqueraded pings in the e-switch: those whose identifier is their own on the wire, too, go on there, and the others in software."""

import re
import time

import pytest

from eswitch import rules_in_nic
from simulation import wait_until
from test_connection_offload import (CHATTER, ENOUGH, FAMILIES, GATE, carried, connections, count_carried,  # pylint: disable=unused-import
                                     slow_packets, until_none_carried)
from world import ADDRESSES

IDENTIFIER = 4711
# With both of rte_flow's APIs.
APIS = pytest.mark.parametrize("arguments", ["", ",async=0"], ids=["asynchronous", "synchronous"])


def ping(pod, family, count, identifier=IDENTIFIER, interval=0.01):
    """A program's own: all of them are answered, each once."""
    said = pod.ping(ADDRESSES[family].world, "-e", identifier, "-i", interval, count=count)
    assert f"{count} packets transmitted, {count} received, 0% packet loss" in said and "DUP" not in said, said
    return said


def pings(sim, pod=None):
    return [c for c in connections(sim)["connections"] if c["protocol"].startswith("icmp") and
            (pod is None or c["from"]["address"] in (pod.ipv4, pod.ipv6))]


def until_carried(sim, pod, family):
    ping(pod, family, ENOUGH)

    def is_carried():
        ping(pod, family, 1)
        return any(c["offloaded"] for c in pings(sim, pod) if (":" in c["from"]["address"]) == (family == 6))

    wait_until(is_carried, lambda: f"it is carried: {connections(sim)}\n{sim.logs()}")


@APIS
@pytest.mark.parametrize("family", FAMILIES)
def test_a_ping_goes_on_in_the_e_switch(carried, family, arguments):
    sim, world = carried(device_arguments=arguments)
    pod = sim.pod().add()
    rules = rules_in_nic(sim)
    until_carried(sim, pod, family)
    assert rules_in_nic(sim) == rules + GATE + 2
    connection, = pings(sim)
    assert connection["seen_as"]["port"] == connection["from"]["port"] == IDENTIFIER, connection
    before, seen = slow_packets(sim, pod), connection["packets_sent"]
    said = ping(pod, family, 300)
    assert slow_packets(sim, pod) - before <= CHATTER, sim.ports()
    # A hop is a hop, whoever forwards.
    assert set(re.findall(r"ttl=(\d+)", said)) == {"63"}, said
    wait_until(lambda: pings(sim)[0]["packets_sent"] - seen >= 300 and pings(sim)[0]["packets_received"] >= 300,
               lambda: f"the packets are counted: {connections(sim)}")
    assert sim.port_of(pod)["offloaded_rx_packets"] >= 300
    pod.delete()
    until_none_carried(sim, rules - 6)
    wait_until(lambda: not pings(sim), lambda: f"it is forgotten: {connections(sim)}")
