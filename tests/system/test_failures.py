# SPDX-License-Identifier: BSD-3-Clause
"""What fails and comes back: daemons killed at any moment, sandboxes that vanish, hosts that boot."""

import concurrent.futures
import os
import signal
import time

import pytest

from simulation import Netns, wait_until
from traffic import Pinging, in_thread, tcp_transfer


def test_pods_keep_their_network_when_the_agent_is_killed_and_comes_back(sim, tmp_path):
    a, b = sim.pod().add(), sim.pod().add()
    pings = [Pinging(a, b.ipv4, tmp_path / "4"), Pinging(a, b.ipv6, tmp_path / "6"),
             Pinging(sim.host, a.ipv4, tmp_path / "host4"), Pinging(b, sim.gateway(6), tmp_path / "host6")]
    before = (a.ipv4, a.ipv6, a.mac, b.mac)
    attachments = sim.attachments()
    for _ in range(3):
        sim.restart(sim.agent, signal.SIGKILL)
        for ping in pings:
            ping.wait_for_more()
    for ping in pings:
        ping.stop()
    assert (a.ipv4, a.ipv6, a.mac, b.mac) == before
    assert sim.attachments() == attachments
    a.check()
    b.check()
    tcp_transfer(a, b, b.ipv4, 4 << 20)


def test_the_pods_interfaces_stay_while_the_agent_is_away(sim):
    pod = sim.pod().add()
    before = pod.links()["eth0"]
    sim.agent.kill()
    after = pod.links()["eth0"]
    assert (before["address"], before["mtu"], before["ifindex"]) == (after["address"], after["mtu"], after["ifindex"])
    sim.agent.start()
    sim.wait_ready()
    pod.ping(sim.gateway(4))


def test_an_orderly_restart_of_the_agent_keeps_the_pods_too(sim):
    a, b = sim.pod().add(), sim.pod().add()
    assert sim.agent.kill(signal.SIGTERM) == 0
    sim.agent.start()
    sim.wait_ready()
    a.ping(b.ipv4)
    a.ping(b.ipv6)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_pods_do_not_notice_a_restart_of_hostd(sim, tmp_path, number):
    a, b = sim.pod().add(), sim.pod().add()
    ping = Pinging(a, b.ipv4, tmp_path / "ping")
    sim.restart(sim.hostd, number)
    ping.wait_for_more()
    ping.stop()
    a.check()
    a.delete()
    sim.pod().add().ping(b.ipv4)


def test_add_without_an_agent_is_refused_in_time_with_code_11(make_sim):
    sim = make_sim(timeout_ms=1500)
    sim.agent.kill()
    pod = sim.pod()
    result = pod.try_add()
    assert result.code == 11, result
    assert str(sim.agent_socket) in result.json["msg"] + result.json.get("details", "")
    # The configured time and the plugin's own start; not the agent's absence for good.
    assert result.seconds < 1.5 + 3
    assert set(pod.links()) == {"lo"}
    sim.agent.start()
    sim.wait_ready()
    assert sim.attachments() == []
    pod.add()


def test_delete_without_an_agent_succeeds_and_is_delivered_later(sim):
    pods = [sim.pod().add() for _ in range(3)]
    sim.agent.kill()
    for pod in pods:
        pod.delete()
        assert set(pod.links()) == {"lo"}
    assert sim.status()["host"]["queued_deletes"] == 3
    # A second DEL for the same is still a success, and not a second entry.
    pods[0].delete()
    assert sim.status()["host"]["queued_deletes"] == 3

    # The queue is on disk: it survives hostd, too.
    sim.hostd.kill()
    sim.hostd.start()
    wait_until(lambda: (sim.status(check=False).get("host") or {}).get("queued_deletes") == 3, "the queue is read again")

    sim.agent.start()
    sim.wait_ready()
    wait_until(lambda: sim.status()["host"]["queued_deletes"] == 0, lambda: f"it is delivered: {sim.status()}")
    assert sim.attachments() == []


def test_a_queued_delete_goes_before_a_new_add_of_the_same_pod(sim):
    pod = sim.pod().add()
    sim.agent.kill()
    pod.delete()
    sim.agent.start()
    # At once: hostd may not have noticed that the agent is back.
    wait_until(lambda: pod.try_add().ok, "ADD succeeds again")
    wait_until(lambda: sim.status()["host"]["queued_deletes"] == 0, "the queue is empty")
    assert [a["container_id"] for a in sim.attachments()] == [pod.container_id]
    pod.check()
    pod.ping(sim.gateway(4))


def test_a_stopped_agent_holds_nobody_up_for_longer_than_configured(make_sim):
    sim = make_sim(timeout_ms=1500)
    pod = sim.pod().add()
    sim.agent.send(signal.SIGSTOP)
    try:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            adds = [pool.submit(sim.pod().try_add) for _ in range(8)]
            delete = pool.submit(pod.try_delete)
            for add in adds:
                assert add.result().code == 11
                assert add.result().seconds < 1.5 + 5
            assert delete.result().ok
    finally:
        sim.agent.send(signal.SIGCONT)
    # What the agent did for callers that had given up is undone.
    wait_until(lambda: sim.ready() and sim.attachments() == [], lambda: f"nothing stays: {sim.attachments()}")


@pytest.mark.parametrize("delay_ms", [0, 2, 4, 7, 11, 16, 22, 30])
def test_hostd_killed_in_the_middle_of_an_add_leaves_nothing_behind(sim, delay_ms):
    pod = sim.pod()
    add = in_thread(pod.try_add)
    time.sleep(delay_ms / 1000)  # not a wait for something: the moment of the crash
    sim.restart(sim.hostd)
    result = add()
    if result.ok:
        pod.check()
        pod.ping(sim.gateway(4))
        return
    assert result.code in (5, 11), result
    # The runtime tries again, for the same container.
    pod.add()
    pod.check()
    pod.ping(sim.gateway(4))
    pod.delete()


@pytest.mark.parametrize("delay_ms", [1, 6, 12, 20])
def test_hostd_killed_in_the_middle_of_an_add_that_is_never_tried_again(sim, delay_ms):
    # The runtime crashed with it, say, and the sandbox is gone: nobody ever calls DEL.
    pod = sim.pod()
    add = in_thread(pod.try_add)
    time.sleep(delay_ms / 1000)
    sim.restart(sim.hostd)
    add()
    pod.gone()
    sim.pods.remove(pod)
    wait_until(lambda: sim.attachments() == [], lambda: f"the attachment is reclaimed\n{sim.logs()}")


@pytest.mark.parametrize("delay_ms", [0, 3, 8, 15, 25, 40])
def test_hostd_killed_in_the_middle_of_a_delete_leaves_nothing_behind(sim, delay_ms):
    pod = sim.pod().add()
    delete = in_thread(pod.try_delete)
    time.sleep(delay_ms / 1000)
    sim.restart(sim.hostd)
    if not delete().ok:
        pod.delete()
    assert set(pod.links()) == {"lo"}
    wait_until(lambda: sim.attachments() == [], "it is released")


@pytest.mark.parametrize("delay_ms", [0, 5, 10, 20, 35, 60])
def test_the_agent_killed_in_the_middle_of_many_adds_comes_back_consistent(make_sim, delay_ms):
    sim = make_sim(functions=24)
    pods = [sim.pod() for _ in range(20)]
    with concurrent.futures.ThreadPoolExecutor(max_workers=20) as pool:
        adds = [pool.submit(pod.try_add) for pod in pods]
        time.sleep(delay_ms / 1000)
        sim.restart(sim.agent)
        results = [add.result() for add in adds]

    attached = [pod for pod, result in zip(pods, results) if result.ok]
    for result in results:
        assert result.ok or result.code == 11, result
    # Who was told yes has a network, who was told no has nothing, without a DEL.
    wait_until(lambda: {a["container_id"] for a in sim.attachments()} == {pod.container_id for pod in attached},
               lambda: f"{len(attached)} attachments: {sim.attachments()}\n{sim.logs()}")
    for pod, result in zip(pods, results):
        if not result.ok:
            assert set(pod.links()) == {"lo"}
    for family in (4, 6):
        assert len({pod.address(family) for pod in attached}) == len(attached)
        for pod in attached:
            pod.ping(sim.gateway(family), count=1)
    # And who was told no can have one now.
    for pod, result in zip(pods, results):
        if not result.ok:
            pod.add()


def test_a_pod_whose_sandbox_is_gone_is_reclaimed_without_a_delete(sim):
    pod, other = sim.pod().add(), sim.pod().add()
    pod.gone()
    wait_until(lambda: [a["container_id"] for a in sim.attachments()] == [other.container_id],
               lambda: f"only the other is left: {sim.attachments()}")
    assert len([name for name in sim.host.links() if name.startswith("simnic0v")]) == sim.functions - 1
    other.check()


def test_a_new_sandbox_in_a_dead_ones_place_gets_nothing_of_it_and_holds_nothing_up(sim):
    pod, later = sim.pod().add(), sim.pod()
    name, inode = pod.netns.name, os.stat(pod.netns.path).st_ino
    pod.gone()
    later.netns.delete()
    # The kernel gives inodes of dead namespaces to new ones. Where somebody else was faster, it is another at the same path still.
    for _ in range(50):
        later.netns = Netns(name)
        if os.stat(later.netns.path).st_ino == inode:
            break
        later.netns.delete()
    else:
        later.netns = Netns(name)
    wait_until(lambda: sim.attachments() == [], lambda: f"the dead one is reclaimed: {sim.attachments()}\n{sim.logs()}")
    assert set(later.links()) == {"lo"}
    later.add().ping(sim.gateway(4))
    later.delete()


def test_a_pod_whose_sandbox_has_lost_its_name_but_lives_is_not_reclaimed(sim):
    pod, gone = sim.pod().add(), sim.pod().add()
    holder = pod.popen("sleep", "1000")
    sandbox = os.stat(pod.netns.path).st_ino
    wait_until(lambda: os.stat(f"/proc/{holder.pid}/ns/net").st_ino == sandbox, "the holder is inside")
    pod.netns.delete()
    # The other one's reclaim shows that the time for it has come and gone.
    gone.gone()
    wait_until(lambda: len(sim.attachments()) == 1, "the other is reclaimed")
    try:
        assert [a["container_id"] for a in sim.attachments()] == [pod.container_id]
        sim.host.ping(pod.ipv4)
    finally:
        holder.kill()
        holder.wait()
    wait_until(lambda: sim.attachments() == [], "it is reclaimed once it is really gone")


def test_after_a_boot_of_the_host_its_old_pods_are_released(make_sim):
    # With this grace time only the new boot ID can be the reason.
    sim = make_sim(reclaim_grace_s=3600)
    pods = [sim.pod().add() for _ in range(3)]
    sim.hostd.kill()
    for pod in pods:
        pod.gone()
    sim.boot_id.write_text("99999999-8888-7777-6666-555555555555\n")
    sim.hostd.start()
    sim.wait_ready()
    wait_until(lambda: sim.attachments() == [], lambda: f"they are released: {sim.attachments()}\n{sim.logs()}")
    assert sim.status()["agent"]["functions_used"] == 0
    sim.pod().add().ping(sim.gateway(4))


def test_the_whole_node_without_power_comes_back(make_sim):
    sim = make_sim(reclaim_grace_s=3600)
    pods = [sim.pod().add() for _ in range(3)]
    for daemon in (sim.hostd, sim.agent, sim.card):
        daemon.kill()
    for pod in pods:
        pod.gone()
    sim.card_socket.unlink(missing_ok=True)
    sim.boot_id.write_text("99999999-8888-7777-6666-555555555555\n")
    sim.start()
    wait_until(lambda: sim.attachments() == [], lambda: f"they are released: {sim.attachments()}\n{sim.logs()}")
    sim.pod().add().ping(sim.gateway(4))


def test_daemons_started_in_the_wrong_order_find_each_other(make_sim):
    sim = make_sim()
    sim.hostd.kill()
    sim.agent.kill()
    sim.hostd.start()
    wait_until(lambda: sim.status(check=False).get("host"), "hostd answers without an agent")
    status = sim.status()
    assert not status["host"]["link_up"] and status["host"]["link_error"]
    assert not status.get("agent")
    sim.agent.start()
    sim.wait_ready()
    sim.pod().add().ping(sim.gateway(4))
