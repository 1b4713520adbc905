# SPDX-License-Identifier: BSD-3-Clause
"""With several workers there is one table of connections, and one trace: whichever worker has a packet, the same becomes of it. Pods
are on all of them, the uplink on one."""

import contextlib
import socket

import pytest

from simulation import wait_until
from test_masquerade import seen_by
from test_publish import ask, mapping, publishing, served
from traffic import in_thread, tcp_transfer, udp_echo
from watching import Watching
from world import ADDRESSES, World, uplink_yaml

FAMILIES = [4, 6]
MEGABYTE = 1 << 20
PODS = 4  # more than workers


@pytest.fixture
def pods(make_sim, request):
    """(simulation, world, pods), of which each publishes port 8080 and following."""
    sim = make_sim(agent_yaml=uplink_yaml() + "masquerade:\n  ipv4: true\n  ipv6: true\n", workers=request.param)
    with contextlib.closing(World(sim)) as world:
        world.wait_for_agent()
        yield sim, world, [publishing(sim, mapping(8080 + i, 80), mapping(8080 + i, 80, "udp")).add() for i in range(PODS)]


def at_once(*functions):
    for result in [in_thread(function) for function in functions]:
        result()


@pytest.mark.parametrize("pods", [2, 3], indirect=True)
def test_pods_of_all_workers_reach_the_world_and_are_reached(pods):
    sim, world, all_pods = pods
    with contextlib.ExitStack() as stack:
        for pod in all_pods:
            stack.enter_context(served(pod))
        for family in FAMILIES:
            a = ADDRESSES[family]
            # All at the same time, so that workers meet in the table.
            at_once(*(lambda pod=pod: tcp_transfer(pod, world, a.world, 2 * MEGABYTE) for pod in all_pods),
                    *(lambda pod=pod: udp_echo(pod, world, a.world, [0, 1400, 4000, 20000] * 3) for pod in all_pods),
                    *(lambda i=i, kind=kind: ask(world, kind, a.wire, 8080 + i, b"x" * 8000, source=(a.world, 0))
                      for i in range(PODS) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)))
            # By every pod to every one: each pair of workers, also itself.
            at_once(*(lambda pod=pod, i=i, kind=kind: ask(pod, kind, a.wire, 8080 + i, b"x" * 8000)
                      for pod in all_pods for i in range(PODS) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)))
            # The same port of all pods is another one outside for each.
            assert len({seen_by(pod, world, a.world, 5000) for pod in all_pods}) == PODS
    drops = {pod.container_id: {reason: count for reason, count in sim.drops(pod).items() if reason.startswith("nat-")} for pod in all_pods}
    assert not any(drops.values()), drops
    for pod in all_pods:
        pod.delete()
    wait_until(lambda: sim.ask("connections")["total"] == 0, lambda: f"connections go with their pods: {sim.ask('connections')}")


@pytest.mark.parametrize("pods", [3], indirect=True)
def test_a_trace_follows_packets_from_one_worker_to_another(pods):
    sim, world, all_pods = pods
    a, handed_over = ADDRESSES[4], 0
    with contextlib.ExitStack() as stack:
        for pod in all_pods:
            stack.enter_context(served(pod))
        for pod in all_pods:
            with Watching(sim, "trace", pod, "udp and not broadcast and not multicast") as watching:
                assert ask(pod, socket.SOCK_DGRAM, a.wire, 8080) == a.wire
                assert seen_by(pod, world, a.world)[0] == a.wire
                told = watching.end()
            sent = [packet for packet in told["packets"] if packet["direction"] == "from"]
            got = [packet for packet in told["packets"] if packet["direction"] == "to"]
            assert not told["lost"] and not any(packet["drop"] for packet in told["packets"]), told
            # One that another worker goes on with is told by each of them, its part.
            parts = [packet for packet in sent if nodes(packet)[-1] in ("masquerade_hairpin", "masquerade_output")]
            rest = [packet for packet in sent + got if packet not in parts]
            assert len(parts) == sum("seen before" in packet["packet"] for packet in told["packets"]), told
            assert not any(packet.get("unfinished") for packet in told["packets"]), told
            assert [nodes(packet)[-1] for packet in rest] == ["port_tx"] * len(rest), told
            # What it sends to itself is "from", also the answer.
            assert len(sent) - len(parts) == (3 if pod is all_pods[0] else 2) and len(got) == (1 if pod is all_pods[0] else 2), told
            handed_over += len(parts)
    assert handed_over, "all pods are on the uplink's worker"


def nodes(packet):
    return [step["node"] for step in packet["steps"]]
