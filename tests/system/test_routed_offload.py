# SPDX-License-Identifier: BSD-3-Clause
"""What is routed between pods and the wire, by the e-switch: as the agent does it, with the kernel's stack at both ends."""

import contextlib

import pytest

from eswitch import flows
from simulation import wait_until
from traffic import tcp_transfer, udp_echo
from world import ADDRESSES, World, uplink_yaml

FAMILIES = [4, 6]
MEGABYTE = 1 << 20
# What the slow path may see besides: neighbours, and what a kernel says in a while.
CHATTER = 30


@pytest.fixture
def routed(make_sim):
    """routed(uplink={...}, masquerade=TEXT, **options): a simulation that routes, and the world."""
    with contextlib.ExitStack() as stack:
        def make(uplink=None, masquerade="", **options):
            keys = uplink or {}
            sim = make_sim(agent_yaml=uplink_yaml(**keys) + masquerade, **options)
            world = World(sim, keys.get("vlan"), keys.get("mtu", 1500))
            stack.callback(world.close)
            world.wait_for_agent()
            return sim, world

        yield make


def uplink(sim):
    return next(port for port in sim.ports() if port["kind"] == "uplink")


def slow_packets(sim, *pods):
    """What the agent itself has received and sent for these pods, and by the uplink."""
    return sum(port[f"{way}_packets"] - port[f"offloaded_{way}_packets"]
               for port in [sim.port_of(pod) for pod in pods] + [uplink(sim)] for way in ("rx", "tx"))


def until_routed(sim, pod, *addresses):
    """Packets to these addresses go by the e-switch, once their next hops are known."""
    def is_offloaded(address):
        before = sim.port_of(pod)["offloaded_rx_packets"]
        pod.ping(address, count=1, check=False)
        return sim.port_of(pod)["offloaded_rx_packets"] > before
    for address in addresses:
        wait_until(lambda address=address: is_offloaded(address), lambda: f"{address} is routed by the e-switch: {flows(sim)}")


def test_what_pods_and_the_world_say_passes_the_e_switch(routed):
    sim, world = routed()
    pod = sim.pod().add()
    for family in FAMILIES:
        a = ADDRESSES[family]
        until_routed(sim, pod, a.world, a.far, a.peer)
        before = slow_packets(sim, pod)
        for address in (a.world, a.far, a.peer):
            pod.ping(address, "-i", "0.005", count=50)
        world.ping(pod.address(family), "-i", "0.005", count=50)
        tcp_transfer(pod, world, a.world, 8 * MEGABYTE)
        tcp_transfer(world, pod, pod.address(family), 8 * MEGABYTE)
        udp_echo(pod, world, a.far, [0, 1, 1400, 1472, 4000, 20000])
        assert slow_packets(sim, pod) - before <= CHATTER, sim.ports()
    port, wire = sim.port_of(pod), uplink(sim)
    for way, back in (("rx", "tx"), ("tx", "rx")):
        assert port[f"offloaded_{way}_packets"] == wire[f"offloaded_{back}_packets"] >= 400
