# SPDX-License-Identifier: BSD-3-Clause
"""Masqueraded pings in the e-switch: those whose identifier is their own on the wire, too, go on there, and the others in software.
What each packet meets is compared in test_connection_parity.py."""

import re

import pytest

from simulation import wait_until
from test_connection_offload import (CHATTER, ENOUGH, FAMILIES, GATE, carried, connections, count_carried,  # pylint: disable=unused-import
                                     rules_but_routes, slow_packets, until_none_carried)
from traffic import in_thread
from world import ADDRESSES

IDENTIFIER = 4711


def ping(pod, family, count, interval=0.01):
    """A program's own, with that identifier: every one is answered, and none twice."""
    said = pod.ping(ADDRESSES[family].world, "-e", IDENTIFIER, "-i", interval, count=count)
    assert "DUP" not in said, said
    return said


def pings(sim, pod=None, family=None):
    protocols = {4: ("icmp", ), 6: ("icmpv6", ), None: ("icmp", "icmpv6")}[family]
    return [c for c in connections(sim)["connections"]
            if c["protocol"] in protocols and (pod is None or c["from"]["address"] in (pod.ipv4, pod.ipv6))]


def until_carried(sim, pod, family):
    ping(pod, family, ENOUGH)

    def is_carried():
        ping(pod, family, 1)
        return any(c["offloaded"] for c in pings(sim, pod, family))

    wait_until(is_carried, lambda: f"it is carried: {connections(sim)}\n{sim.logs()}")


# With both of rte_flow's APIs.
@pytest.mark.parametrize("arguments", ["", ",async=0"], ids=["asynchronous", "synchronous"])
def test_a_ping_goes_on_in_the_e_switch(carried, arguments):
    sim, world = carried(device_arguments=arguments)
    pod = sim.pod().add()
    rules = rules_but_routes(sim)
    for carried_before, family in enumerate(FAMILIES):
        until_carried(sim, pod, family)
        assert rules_but_routes(sim) == rules + GATE + 2 * (carried_before + 1)
        connection, = pings(sim, family=family)
        assert connection["seen_as"]["port"] == connection["from"]["port"] == IDENTIFIER, connection
        before, forwarded, sent = slow_packets(sim, pod), sim.port_of(pod)["offloaded_rx_packets"], connection["packets_sent"]
        said = ping(pod, family, 100)
        assert slow_packets(sim, pod) - before <= CHATTER, sim.ports()
        # A hop is a hop, whoever forwards.
        assert set(re.findall(r"ttl=(\d+)", said)) == {"63"}, said
        wait_until(lambda family=family, sent=sent, forwarded=forwarded:
                   all(c["packets_sent"] - sent >= 100 and c["packets_received"] >= 100 for c in pings(sim, family=family)) and
                   sim.port_of(pod)["offloaded_rx_packets"] - forwarded >= 100,
                   lambda: f"the packets are counted: {connections(sim)}, {sim.ports()}")
    pod.delete()
    until_none_carried(sim, rules - 6)
    wait_until(lambda: not pings(sim), lambda: f"they are forgotten: {connections(sim)}")


def test_who_comes_second_with_an_identifier_stays_in_software(carried):
    sim, world = carried()
    first, second = sim.pod().add(), sim.pod().add()
    for family in FAMILIES:
        until_carried(sim, first, family)
        ping(second, family, 50)
        connection, = pings(sim, second, family)
        assert connection["from"]["port"] == IDENTIFIER != connection["seen_as"]["port"] and not connection["offloaded"], connection
        before = slow_packets(sim, first)
        ping(first, family, 50)
        assert slow_packets(sim, first) - before <= CHATTER, sim.ports()
    assert count_carried(sim) == 2
    # Nor is it carried when the first one has gone: an endpoint keeps what it has.
    first.delete()
    wait_until(lambda: len(pings(sim)) == 2, lambda: f"those of the first are forgotten: {connections(sim)}")
    ping(second, 4, 50)
    assert count_carried(sim) == 0


def test_a_ping_that_has_ended_leaves_and_one_that_goes_on_slowly_does_not(carried):
    sim, world = carried(masquerade={"timeouts": "\n    icmp: 6"})
    pod = sim.pod().add()
    rules = rules_but_routes(sim)
    for family in FAMILIES:
        until_carried(sim, pod, family)
    forwarded = sim.port_of(pod)["offloaded_rx_packets"]
    # For longer than their timeout, and the agent does not see them.
    for finish in [in_thread(lambda family=family: ping(pod, family, 9, interval=1)) for family in FAMILIES]:
        finish()
    wait_until(lambda: sim.port_of(pod)["offloaded_rx_packets"] - forwarded >= 18, lambda: f"the e-switch had them: {sim.ports()}")
    until_none_carried(sim, rules + GATE)
    wait_until(lambda: not pings(sim), lambda: f"they are forgotten: {connections(sim)}")


def test_where_the_nic_is_not_said_to_correct_icmpv6_only_ipv4_is_carried(carried):
    sim, world = carried(icmp6=False)
    pod = sim.pod().add()
    until_carried(sim, pod, 4)
    ping(pod, 6, 50)
    connection, = pings(sim, pod, 6)
    assert not connection["offloaded"], connection
    told = {row["name"]: row for row in sim.ask("offload")["capabilities"]}
    assert told["carry masqueraded pings over IPv4"]["supported"]
    row = told["carry masqueraded pings over IPv6"]
    assert not row["supported"] and not row["needed"] and "nic.offload_icmp6" in row["remark"], row
