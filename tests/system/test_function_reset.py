# SPDX-License-Identifier: BSD-3-Clause
"""A function is reset so that its netdev goes, as when its driver is unbound and bound again. The pod's network comes back without
anyone asking: its interface as ADD had made it, and its rules."""

import pytest

from eswitch import (FAMILIES, RULES_PER_POD, assert_offloaded, assert_reach, counters, flows, function_of, misbehave,
                     wait_full)
from simulation import PATIENCE_S, wait_until
from traffic import Pinging, tcp_transfer

MEGABYTE = 1 << 20


def dressed(pod):
    """What of the pod's interface podport has made, as `ip` tells it; without numbers that differ each time."""
    link = pod.links().get(pod.ifname)
    if link is None or "UP" not in link["flags"]:
        return None
    return {"link": (link["address"], link["mtu"], link.get("group"), link.get("ifalias")),
            "addresses": sorted(pod.addresses(pod.ifname)),
            "routes": sorted(pod.run("ip", "route").stdout.splitlines()),
            "routes6": sorted(line for line in pod.run("ip", "-6", "route").stdout.splitlines() if "fe80" not in line),
            "neighbours": sorted(pod.run("ip", "neighbour", "show", "nud", "permanent").stdout.splitlines())}


def lose(sim, pod):
    """The netdev of the pod's function goes; returns when podport has dressed the pod with the fresh one as with that."""
    before, index = dressed(pod), pod.links()[pod.ifname]["ifindex"]
    assert before["addresses"] and before["routes"] and before["routes6"] and before["neighbours"], before
    misbehave(sim, f"function_reset={function_of(sim, pod)}:lost")
    wait_until(lambda: dressed(pod) == before, lambda: f"{before} is again: {dressed(pod)}\n{sim.logs()}")
    assert pod.links()[pod.ifname]["ifindex"] != index  # it is a fresh one


@pytest.fixture
def two(sim):
    a, b = sim.pod().add(), sim.pod().add()
    wait_full(sim, a, b)
    return a, b


@pytest.mark.parametrize("who", ["sender", "receiver"])
def test_a_pod_whose_function_was_lost_has_its_network_again_without_anyone_asking(sim, two, tmp_path, who):
    a, b = two
    pod = a if who == "sender" else b
    pings = [Pinging(a, b.ipv4, tmp_path / "4"), Pinging(a, b.ipv6, tmp_path / "6")]
    seen, last = counters(sim, pod), flows(sim)[-1]["id"]
    lose(sim, pod)
    for ping in pings:
        ping.wait_for_more()
        ping.stop()
    assert_reach(a, b)
    for family in FAMILIES:
        pod.ping(sim.gateway(family))
    # By rules, which were made anew.
    wait_until(lambda: len([rule for rule in flows(sim, pod) if rule["id"] > last]) == RULES_PER_POD,
               lambda: f"new rules for it: {flows(sim, pod)}\n{sim.logs()}")
    wait_full(sim, a, b)
    assert_offloaded(sim, a, b)
    tcp_transfer(a, b, b.ipv6, 4 * MEGABYTE)
    a.check()
    b.check()
    now = counters(sim, pod)
    assert all(now[what] >= seen[what] for what in seen), (seen, now)

    # It is a whole attachment still: it can lose its function again, and go.
    vf = function_of(sim, pod)
    lose(sim, pod)
    assert_reach(a, b)
    pod.delete()
    assert f"simnic0v{vf}" in sim.host.links() and pod.links().keys() == {"lo"}


def test_a_connection_survives_the_loss_of_a_function(sim, two):
    a, b = two
    with b.socket() as listener, a.socket() as client:
        listener.bind((b.ipv4, 0))
        listener.listen(1)
        client.connect(listener.getsockname())
        server, _ = listener.accept()
        with server:
            server.settimeout(PATIENCE_S)
            lose(sim, b)
            client.sendall(b"still there?")
            assert server.recv(64) == b"still there?"
            server.sendall(b"yes")
            assert client.recv(64) == b"yes"


def test_the_hosts_port_comes_back_when_it_was_lost(sim):
    pod = sim.pod().add()
    misbehave(sim, "function_reset=65535:lost")
    for family in FAMILIES:
        wait_until(lambda family=family: sim.gateway(family) in " ".join(sim.host.addresses("podport0")),
                   lambda: f"the gateway addresses are back: {sim.host.addresses('podport0')}\n{sim.logs()}")
    sim.wait_ready()
    for family in FAMILIES:
        sim.host.ping(pod.address(family))
        pod.ping(sim.gateway(family))


def test_a_function_lost_while_hostd_and_agent_were_away_is_put_back(sim, two):
    a, b = two
    before, vf = dressed(a), function_of(sim, a)
    sim.hostd.kill()
    misbehave(sim, f"function_reset={vf}:lost")
    assert a.ifname not in a.links() and f"simnic0v{vf}" in sim.host.links()
    sim.agent.kill()
    sim.hostd.start()
    sim.agent.start()
    sim.wait_ready()
    wait_until(lambda: dressed(a) == before, lambda: f"{before} is again: {dressed(a)}\n{sim.logs()}")
    wait_full(sim, a, b)
    assert_offloaded(sim, a, b)
    a.check()
