# SPDX-License-Identifier: BSD-3-Clause
"""The e-switch forwards what it has rules for; and whatever it does not take, or loses, the pods keep their network."""

import concurrent.futures
import re
import signal

import pytest

from eswitch import (CHATTER, FAMILIES, RULES_PER_POD, Watch, assert_offloaded, assert_reach, counters, flows, function_of,
                     misbehave, netdev_counters, offload, offload_of, wait_full)
from simulation import BIN, wait_until
from traffic import Pinging, in_thread, tcp_transfer, udp_echo

MEGABYTE = 1 << 20


@pytest.fixture
def two(sim):
    a, b = sim.pod().add(), sim.pod().add()
    wait_full(sim, a, b)
    return a, b


@pytest.fixture
def broken(make_sim):
    """A simulation whose NIC may be made to misbehave."""
    return make_sim()


# ---- all is well ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_the_representors_see_nothing_of_a_ping(sim, two, family):
    a, b = two
    with Watch(sim, a, b) as watch:
        a.ping(b.address(family), "-i", "0.005", count=200)
    for pod in two:
        assert watch.moved(pod, "rx") >= 200 and watch.moved(pod, "tx") >= 200
        assert watch.slow(pod) <= CHATTER, watch.__dict__


@pytest.mark.parametrize("family", FAMILIES)
def test_the_representors_see_nothing_of_a_connection(sim, two, family):
    a, b = two
    with Watch(sim, a, b) as watch:
        tcp_transfer(a, b, b.address(family), 32 * MEGABYTE)
    assert watch.moved(a, "rx") >= 32 * MEGABYTE // 1500
    for pod in two:
        assert watch.slow(pod) <= CHATTER, watch.__dict__


def test_rules_say_what_they_match_and_do_and_whom_they_serve(sim, two):
    a, b = two
    a.ping(b.ipv4, count=7)
    rules = flows(sim, b)
    assert len(rules) == RULES_PER_POD
    text = "\n".join(f"{rule['match']} -> {rule['actions']}" for rule in rules)
    for address in (b.ipv4, b.ipv6, b.mac):
        assert address in text, text
    assert a.ipv4 not in text
    output = [rule for rule in rules if f"dst {b.ipv4}" in rule["match"] and rule["packets"] is not None]
    assert len(output) == 1 and output[0]["packets"] == 7 and output[0]["bytes"] == 7 * 98, output
    ids = [rule["id"] for rule in flows(sim)]
    assert ids == sorted(set(ids)) and ids[0] > 0
    answer = sim.podportctl("flows").stdout
    assert b.ipv4 in answer and b.mac in answer, answer


def test_offload_tells_what_the_nic_can_do_and_how_far_it_is_used(sim, two):
    answer = offload(sim)
    assert answer["enabled"] and answer["usable"] and answer["why_not"] == ""
    assert answer["pods_full"] == 2 and answer["pods_partial"] == answer["pods_none"] == answer["rules_missing"] == 0
    assert answer["rules"] == len(flows(sim))
    assert answer["capabilities"] and all(row["supported"] for row in answer["capabilities"] if row["needed"])
    assert answer["api"] in sim.podportctl("offload").stdout


def test_the_last_pod_takes_as_many_rule_operations_as_the_second(make_sim):
    sim = make_sim(functions=32)
    inserted = []
    for _ in range(32):
        before = offload(sim)
        pod = sim.pod().add()
        wait_full(sim, pod)
        after = offload(sim)
        inserted.append((after["inserted"] - before["inserted"], after["removed"] - before["removed"]))
        assert len(flows(sim, pod)) == RULES_PER_POD
    assert set(inserted[1:]) == {(RULES_PER_POD, 0)}, inserted


def test_a_detached_pod_has_no_rules_and_its_address_is_unreachable(sim, two):
    a, b = two
    shared = len([rule for rule in flows(sim) if rule["attachment"] is None])
    address = {family: b.address(family) for family in FAMILIES}
    a.ping(b.ipv4)
    b.delete()
    assert len(flows(sim)) == shared + RULES_PER_POD
    assert not any(each in rule["match"] for rule in flows(sim) for each in address.values())
    for family in FAMILIES:
        output = a.ping(address[family], count=1, check=False)
        assert re.search(rf"From {re.escape(sim.gateway(family))} .*[Uu]nreachable", output), output


def test_the_successor_of_an_address_gets_its_packets(sim, two):
    a, b = two
    address = b.ipv4
    b.delete()
    c = sim.pod().add(args={"cni": {"ips": [address]}})
    wait_full(sim, c)
    assert c.ipv4 == address and c.mac in "".join(rule["actions"] for rule in flows(sim, c))
    assert_offloaded(sim, a, c)


@pytest.mark.parametrize("mtu", [1400, 9000])
def test_what_fits_a_pod_with_another_mtu_goes_by_the_e_switch(make_sim, mtu):
    sim = make_sim()
    a, pod = sim.pod().add(), sim.pod(mtu=mtu).add()
    wait_full(sim, a, pod)
    assert offload(sim)["rules_missing"] == 0
    with Watch(sim, a, pod) as watch:
        for family in FAMILIES:
            a.ping(pod.address(family), "-i", "0.005", count=50)
    assert watch.slow(pod) <= CHATTER, watch.__dict__
    # What is too large for the way out is told so, as ever.
    sender, receiver, limit = (a, pod, 1400) if mtu < 1500 else (pod, a, 1500)
    output = sender.ping(receiver.ipv4, "-M", "do", "-s", limit - 27, count=1, check=False)
    assert f"mtu = {limit}" in output.lower(), output
    for family in FAMILIES:
        tcp_transfer(sender, receiver, receiver.address(family), MEGABYTE)


def test_without_offload_the_agent_forwards_everything(make_sim):
    sim = make_sim(offload=False)
    a, b = sim.pod().add(), sim.pod().add()
    assert offload_of(sim, a)[0] == "off"
    assert flows(sim) == []
    answer = offload(sim)
    assert not answer["enabled"] and answer["rules"] == answer["rules_missing"] == 0
    with Watch(sim, a, b) as watch:
        a.ping(b.ipv4, count=20)
    assert watch.slow(a) >= 40
    assert_reach(a, b)


def test_offload_is_switched_off_and_on_over_a_restart_and_pods_stay(make_sim, tmp_path):
    sim = make_sim(offload=True)
    a, b = sim.pod().add(), sim.pod().add()
    wait_full(sim, a, b)
    ping = Pinging(a, b.ipv4, tmp_path / "ping")
    for wanted in (False, True):
        sim.configure(offload=wanted)
        sim.restart(sim.agent)
        ping.wait_for_more()
        assert bool(flows(sim)) == wanted
    ping.stop()
    wait_full(sim, a, b)
    assert_offloaded(sim, a, b)


def test_the_preflight_prints_what_the_nic_can_do_and_does_nothing_else(make_sim):
    sim = make_sim()
    pod = sim.pod().add()
    capabilities, table = offload(sim)["capabilities"], sim.podportctl("offload").stdout
    sim.agent.kill(signal.SIGTERM)
    result = sim.dpu.run(BIN / "podport-agent", "--config", sim.agent_config, "--preflight", env=sim.environment())
    for row in capabilities:
        assert row["name"] in result.stdout, f"{row['name']}:\n{result.stdout}{result.stderr}"
    # As 'podportctl offload' calls them.
    header = ["THE NIC CAN", "ANSWER", "NEEDED", "REMARK"]
    assert any(re.findall("THE NIC CAN|[A-Z]+", line) == header for line in result.stdout.splitlines()), result.stdout
    assert any(re.findall("THE NIC CAN|[A-Z]+", line) == header for line in table.splitlines()), table
    sim.agent.start()
    sim.wait_ready()
    wait_full(sim, pod)
    pod.ping(sim.gateway(4))


# ---- counters ---------------------------------------------------------------------------------------------


def quiet_counters(sim, pod):
    """The counters of the pod's port and of its netdev with no packet under way between them: they stay the same for a while. A new
    pod's kernel says a word of its own now and then (multicast listener reports)."""
    def look():
        port = sim.port_of(pod)
        return {name: port[name] for name in ("rx_packets", "rx_bytes", "tx_packets", "tx_bytes")}, netdev_counters(pod)
    seen = [look()]

    def quiet():
        seen.append(look())
        return len(seen) >= 4 and all(each == seen[-1] for each in seen[-4:])
    wait_until(quiet, lambda: f"the pod is quiet: {seen[-4:]}")
    return seen[-1]


def test_a_pods_counters_are_what_its_own_interface_counts(sim, two):
    a, b = two
    before = {pod: quiet_counters(sim, pod) for pod in two}
    for family in FAMILIES:
        a.ping(b.address(family), "-i", "0.005", count=50)
        b.ping(a.address(family), "-t", "1", count=2, check=False)  # the slow path's
        a.ping(sim.gateway(family), count=5)
        header = 28 if family == 4 else 48
        udp_echo(a, b, b.address(family), [0, 1, 100, 1500 - header] * 25)

    def differences():
        found = []
        for pod in two:
            (port, (sent, received)), (port_now, (sent_now, received_now)) = before[pod], (sim.port_of(pod), netdev_counters(pod))
            for what, now, then, own_now, own_then in (
                    ("rx", port_now, port, sent_now, sent), ("tx", port_now, port, received_now, received)):
                counted = now[f"{what}_packets"] - then[f"{what}_packets"], now[f"{what}_bytes"] - then[f"{what}_bytes"]
                own = own_now[0] - own_then[0], own_now[1] - own_then[1]
                if counted != own:
                    found.append((pod.container_id, what, counted, own))
        return found
    wait_until(lambda: not differences(), lambda: f"they are equal: {differences()}")


def test_a_pods_counters_never_fall_whatever_happens_to_its_rules(broken, tmp_path):
    sim = broken
    a, b = sim.pod().add(), sim.pod().add()
    pings = [Pinging(a, b.ipv4, tmp_path / "4"), Pinging(a, b.ipv6, tmp_path / "6")]
    vfs = [function_of(sim, a), function_of(sim, b)]
    seen = [(counters(sim, a), counters(sim, b))]
    for vf in vfs * 2:
        last = flows(sim)[-1]["id"]
        misbehave(sim, f"function_reset={vf}")
        wait_until(lambda last=last: flows(sim)[-1]["id"] > last, "rules are made again")
        for ping in pings:
            ping.wait_for_more()
        seen.append((counters(sim, a), counters(sim, b)))
    for ping in pings:
        ping.stop()
    for earlier, later in zip(seen, seen[1:]):
        for before, after in zip(earlier, later):
            assert all(after[what] >= before[what] for what in before), (before, after)
            assert after["rx"] >= before["rx"] + 6, (before, after)


# ---- what fails -------------------------------------------------------------------------------------------


def test_pods_are_offloaded_again_after_the_agent_was_killed_under_traffic(sim, two, tmp_path):
    a, b = two
    pings = [Pinging(a, b.ipv4, tmp_path / "4"), Pinging(b, a.ipv6, tmp_path / "6")]
    before = {(rule["match"], rule["actions"]) for rule in flows(sim)}
    for _ in range(2):
        sim.agent.kill()
        # A card forgets the rules of a driver that is gone.
        assert " 0 received" in a.ping(b.ipv4, "-W", "0.3", count=1, check=False)
        sim.agent.start()
        sim.wait_ready()
        for ping in pings:
            ping.wait_for_more()
        wait_full(sim, a, b)
        assert {(rule["match"], rule["actions"]) for rule in flows(sim)} == before
    for ping in pings:
        ping.stop()
    assert_offloaded(sim, a, b)
    tcp_transfer(a, b, b.ipv6, 4 * MEGABYTE)


def test_a_full_table_leaves_the_pod_to_the_agent_until_there_is_room(broken):
    sim = broken
    a = sim.pod().add()
    wait_full(sim, a)
    misbehave(sim, f"table_full={offload(sim)['rules'] + RULES_PER_POD // 2}")
    b, c = sim.pod().add(), sim.pod().add()
    # What fits goes in, by whole address families.
    assert offload_of(sim, b) == ("partial", "table full") and len(flows(sim, b)) == RULES_PER_POD // 2
    assert offload_of(sim, c) == ("none", "table full") and not flows(sim, c)
    shown = sim.podportctl("pods").stdout
    assert "partial (table full)" in shown and "none (table full)" in shown, shown
    assert_reach(a, b)
    assert_reach(b, c)
    answer = offload(sim)
    assert answer["rules_missing"] == RULES_PER_POD // 2 + RULES_PER_POD and "table full" in answer["missing_reason"], answer
    assert (answer["pods_full"], answer["pods_partial"], answer["pods_none"]) == (1, 1, 1), answer
    assert "table full" in sim.podportctl("offload").stdout
    families = {re.search(r"ipv[46]", rule["match"])[0] for rule in flows(sim, b)}
    assert len(families) == 1, families
    by_rules, by_agent = (b.ipv4, b.ipv6) if families == {"ipv4"} else (b.ipv6, b.ipv4)
    for address, slow in (by_rules, False), (by_agent, True):
        with Watch(sim, a, b) as watch:
            a.ping(address, count=20)
        assert (watch.slow(a) >= 20) == slow, (address, watch.slow(a))

    misbehave(sim, "table_full=off")
    wait_full(sim, a, b, c)
    assert offload(sim)["rules_missing"] == 0
    assert_offloaded(sim, a, b)


def test_room_that_a_pod_leaves_goes_to_one_that_waits_for_it(broken):
    sim = broken
    a, b = sim.pod().add(), sim.pod().add()
    wait_full(sim, a, b)
    misbehave(sim, f"table_full={offload(sim)['rules']}")
    c = sim.pod().add()
    assert offload_of(sim, c)[0] == "none"
    a.delete()
    wait_full(sim, b, c)
    assert_offloaded(sim, b, c)


def test_a_table_without_room_for_anything_is_no_reason_not_to_start(broken, tmp_path):
    sim = broken
    a, b = sim.pod().add(), sim.pod().add()
    ping = Pinging(a, b.ipv4, tmp_path / "ping")
    misbehave(sim, "table_full=0")
    c = sim.pod().add()
    assert_reach(a, c)
    c.delete()
    ping.wait_for_more()
    ping.stop()
    misbehave(sim, "clear")
    wait_full(sim, a, b)


def test_whichever_insert_fails_the_pod_works_and_is_repaired(make_sim):
    sim = make_sim(functions=12)
    first = sim.pod().add()
    wait_full(sim, first)
    pods, seen = [], []
    for nth in range(1, RULES_PER_POD + 1):
        # The agent's next try of an earlier pod may come first and take this failure, so what is seen differs.
        misbehave(sim, f"fail_nth={nth}:EBUSY")
        pods.append(sim.pod().add())
        seen.append(offload_of(sim, pods[-1]))
        assert_reach(first, pods[-1])
    assert any(state == "partial" and reason for state, reason in seen), seen
    assert offload(sim)["failed"] > 0
    misbehave(sim, "clear")
    wait_full(sim, first, *pods)
    # Nothing of what was rolled back is left.
    answer, rules = offload(sim), flows(sim)
    assert len(rules) == answer["rules"] and len({(rule["group"], rule["match"]) for rule in rules}) == len(rules)
    for pod in pods:
        assert len(flows(sim, pod)) == RULES_PER_POD
    assert_offloaded(sim, first, pods[-1])


def test_a_nic_that_refuses_every_rule_costs_pods_nothing_but_speed(broken):
    sim = broken
    misbehave(sim, "fail_all=EIO")
    a, b, c = (sim.pod().add() for _ in range(3))
    for pod in (a, b, c):
        state, reason = offload_of(sim, pod)
        assert state == "none" and reason, (state, reason)
    assert_reach(a, b)
    tcp_transfer(a, b, b.ipv4, MEGABYTE)
    c.delete()
    misbehave(sim, "fail_all=off")
    wait_full(sim, a, b)
    assert_offloaded(sim, a, b)


def test_slow_inserts_do_not_keep_calls_waiting(make_sim):
    # One pod's rules take a third of what `podportctl status` waits, those of all pods longer than an ADD may take.
    sim = make_sim(functions=18)
    misbehave(sim, "insert_us=60000")
    pods = [sim.pod() for _ in range(16)]
    with concurrent.futures.ThreadPoolExecutor(max_workers=16) as pool:
        adds = [pool.submit(pod.try_add) for pod in pods]
        wait_until(lambda: sim.status()["agent"], lambda: f"the agent answers meanwhile: {sim.status()}")
        for add in adds:
            result = add.result()
            assert result.ok, f"{result}\n{sim.logs()}"
    # They have their network, and other calls their answers, while rules are still to be made.
    assert offload(sim)["rules_missing"] > 0
    assert_reach(pods[0], pods[-1])
    misbehave(sim, "insert_us=off")
    wait_full(sim, *pods)
    assert_offloaded(sim, pods[0], pods[-1])


def test_a_pod_that_leaves_while_its_rules_are_being_made_leaves_none(make_sim):
    sim = make_sim(functions=10)
    stays = sim.pod().add()
    wait_full(sim, stays)
    before = len(flows(sim))
    misbehave(sim, "insert_us=100000")
    pods = [sim.pod().add() for _ in range(3)]
    for pod in pods:
        pod.delete()
    misbehave(sim, "insert_us=off")
    wait_until(lambda: len(flows(sim)) == before, lambda: f"no rule is left over: {flows(sim)}")
    wait_full(sim, stays)


@pytest.mark.parametrize("who", ["sender", "receiver"])
def test_after_a_reset_of_its_function_a_pod_has_its_rules_again(broken, tmp_path, who):
    sim = broken
    a, b = sim.pod().add(), sim.pod().add()
    wait_full(sim, a, b)
    pings = [Pinging(a, b.ipv4, tmp_path / "4"), Pinging(a, b.ipv6, tmp_path / "6")]
    pod = a if who == "sender" else b
    last = flows(sim)[-1]["id"]
    misbehave(sim, f"function_reset={function_of(sim, pod)}")
    for ping in pings:
        ping.wait_for_more()
    wait_until(lambda: len([rule for rule in flows(sim, pod) if rule["id"] > last]) == RULES_PER_POD,
               lambda: f"new rules for it: {flows(sim, pod)}\n{sim.logs()}")
    wait_full(sim, a, b)
    for ping in pings:
        ping.stop()
    assert_offloaded(sim, a, b)
    tcp_transfer(a, b, b.ipv4, MEGABYTE)


def test_a_function_whose_link_was_down_works_when_it_is_up_again(broken):
    sim = broken
    a, b = sim.pod().add(), sim.pod().add()
    vf = function_of(sim, b)
    misbehave(sim, f"function_link={vf}:down")
    wait_until(lambda: not sim.port_of(b)["link_up"], "the port is down")
    assert " 0 received" in a.ping(b.ipv4, "-W", "0.3", count=1, check=False)
    misbehave(sim, f"function_link={vf}:up")
    wait_until(lambda: sim.port_of(b)["link_up"], "the port is up")
    wait_full(sim, a, b)
    assert_offloaded(sim, a, b)


def test_pods_do_not_notice_that_the_wire_is_down(broken, tmp_path):
    sim = broken
    a, b = sim.pod().add(), sim.pod().add()
    ping = Pinging(a, b.ipv4, tmp_path / "ping")
    misbehave(sim, "uplink=down")
    ping.wait_for_more()
    c = sim.pod().add()
    wait_full(sim, a, b, c)
    assert_offloaded(sim, a, c)
    misbehave(sim, "uplink=up")
    ping.wait_for_more()
    ping.stop()


def test_rules_come_and_go_while_others_talk(sim, two):
    a, b = two
    transfer = in_thread(lambda: [tcp_transfer(a, b, b.address(family), 64 * MEGABYTE) for family in FAMILIES])
    for _ in range(4):
        others = [sim.pod().add() for _ in range(3)]
        assert_reach(others[0], others[1])
        for pod in others:
            pod.close()
    transfer()
    assert len(flows(sim, a)) == len(flows(sim, b)) == RULES_PER_POD
