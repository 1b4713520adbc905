# SPDX-License-Identifier: BSD-3-Clause
"""Pods and the world: routes, neighbours, errors and VLAN on the uplink, with the kernel's stack at both ends."""

import contextlib
import re
import signal

import pytest

from simulation import wait_until
from traffic import tcp_transfer, udp_echo
from world import ADDRESSES, ROUTES, World, uplink_yaml

FAMILIES = [4, 6]
MEGABYTE = 1 << 20


@pytest.fixture
def wired(make_sim):
    """wired(**keys): a simulation with an uplink that has these keys, and the world."""
    with contextlib.ExitStack() as stack:
        def make(vlan=None, mtu=1500, simulation=None, **keys):
            keys.update({"vlan": vlan} if vlan else {})
            sim = make_sim(agent_yaml=uplink_yaml(**keys), **(simulation or {}))
            world = World(sim, vlan, mtu)
            stack.callback(world.close)
            world.wait_for_agent()
            return sim, world

        yield make


def test_pods_and_the_world_reach_each_other(wired):
    sim, world = wired()
    pod, other = sim.pod().add(), sim.pod().add()
    for family in FAMILIES:
        a = ADDRESSES[family]
        for address in (a.world, a.far, a.peer, a.gate):
            pod.ping(address, count=1)  # the first packet waits for ARP and is not lost
        world.ping(other.address(family))
        world.ping(a.wire)
        pod.ping(a.wire)
        tcp_transfer(pod, world, a.world, 8 * MEGABYTE)
        tcp_transfer(world, pod, pod.address(family), 8 * MEGABYTE)
        udp_echo(pod, world, a.world, [0, 1, 1400, 1500, 4000, 20000])
    # The pods meet each other as before, by the e-switch.
    pod.ping(other.ipv4)
