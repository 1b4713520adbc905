# SPDX-License-Identifier: BSD-3-Clause
"""Offload on a card that has rte_flow's synchronous API alone: the same for pods, whichever way rules are made."""

import pytest

from eswitch import (CHATTER, FAMILIES, RULES_PER_POD, Watch, assert_offloaded, assert_reach, flows, misbehave, offload,
                     offload_of, rules_in_nic, wait_full)
from traffic import Pinging, tcp_transfer

MEGABYTE = 1 << 20


@pytest.fixture
def plain(make_sim):
    return make_sim(device_arguments=",async=0")


def test_pods_are_offloaded_by_the_synchronous_api_and_leave_no_rule(plain):
    sim = plain
    a, b = sim.pod().add(), sim.pod().add()
    wait_full(sim, a, b)
    answer = offload(sim)
    assert answer["api"] == "synchronous" and answer["usable"] and answer["pods_full"] == 2, answer
    row, = [row for row in answer["capabilities"] if row["name"] == "asynchronous API"]
    assert not row["supported"] and not row["needed"] and row["remark"], row
    assert "synchronous" in sim.podportctl("offload").stdout
    assert_offloaded(sim, a, b)
    with Watch(sim, a, b) as watch:
        for family in FAMILIES:
            tcp_transfer(a, b, b.address(family), 8 * MEGABYTE)
    for pod in (a, b):
        assert watch.slow(pod) <= CHATTER, watch.__dict__

    shared = len([rule for rule in flows(sim) if rule["attachment"] is None])
    before = offload(sim)
    b.delete()
    after = offload(sim)
    assert after["removed"] - before["removed"] == RULES_PER_POD and after["inserted"] == before["inserted"], (before, after)
    assert len(flows(sim)) == rules_in_nic(sim) == shared + RULES_PER_POD
    a.delete()
    assert len(flows(sim)) == rules_in_nic(sim) == shared


def test_without_queues_a_full_table_and_a_killed_agent_are_survived(plain, tmp_path):
    sim = plain
    a = sim.pod().add()
    wait_full(sim, a)
    misbehave(sim, f"table_full={offload(sim)['rules'] + RULES_PER_POD - 2}")
    b = sim.pod().add()
    state, reason = offload_of(sim, b)
    assert state in ("none", "partial") and "table full" in reason, (state, reason)
    # Of what was refused in the midst, nothing is left.
    assert len(flows(sim, b)) == 0 and rules_in_nic(sim) == offload(sim)["rules"]
    assert_reach(a, b)
    misbehave(sim, "table_full=off")
    wait_full(sim, a, b)
    assert_offloaded(sim, a, b)

    pings = [Pinging(a, b.ipv4, tmp_path / "4"), Pinging(b, a.ipv6, tmp_path / "6")]
    before = {(rule["match"], rule["actions"]) for rule in flows(sim)}
    sim.agent.kill()
    sim.agent.start()
    sim.wait_ready()
    for ping in pings:
        ping.wait_for_more()
        ping.stop()
    wait_full(sim, a, b)
    assert offload(sim)["api"] == "synchronous"
    assert {(rule["match"], rule["actions"]) for rule in flows(sim)} == before
    assert_offloaded(sim, a, b)
