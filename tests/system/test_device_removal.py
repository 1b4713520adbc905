# SPDX-License-Identifier: BSD-3-Clause
"""The NIC goes from its bus under the agent, as when the card is reset or its driver reloaded. The agent ends, says why, and the
next one, whom a service manager starts, finds the device that is there then."""

from eswitch import assert_offloaded, assert_reach, misbehave, wait_full
from simulation import wait_until
from traffic import Pinging


def test_an_agent_whose_nic_is_gone_ends_and_its_successor_serves_the_pods_again(make_sim, tmp_path):
    sim = make_sim(timeout_ms=1500)
    a, b, gone = (sim.pod().add() for _ in range(3))
    wait_full(sim, a, b, gone)
    pings = [Pinging(a, b.ipv4, tmp_path / "4"), Pinging(b, a.ipv6, tmp_path / "6")]
    misbehave(sim, "remove")
    wait_until(lambda: not sim.agent.alive(), lambda: f"the agent ends\n{sim.logs()}")
    # In order, not by a crash; with a status that asks for another start, and a reason for people.
    assert sim.agent.process.returncode == 1, sim.logs()
    log = sim.agent.log.read_text()
    assert "the NIC is gone from its bus" in log and "agent stopped" in log, log
    assert sim.alive(sim.hostd, sim.card)

    # Meanwhile the host says what it is, leaves nothing behind, and lets pods go.
    wait_until(lambda: not sim.ask("status")["host"]["link_up"], "hostd has noticed")
    assert "the agent" in sim.podportctl("status", check=False).stdout
    refused = sim.pod()
    assert refused.try_add().code == 11
    assert refused.links().keys() == {"lo"}
    gone.delete()
    assert sim.ask("status")["host"]["queued_deletes"] >= 1

    sim.agent.start()
    sim.wait_ready()
    for ping in pings:
        ping.wait_for_more()
        ping.stop()
    wait_full(sim, a, b)
    assert_offloaded(sim, a, b)
    wait_until(lambda: sim.ask("status")["host"]["queued_deletes"] == 0, "the release is delivered")
    assert {pod["container_id"] for pod in sim.attachments()} == {a.container_id, b.container_id}
    refused.add()
    assert_reach(a, refused)
    a.check()


def test_an_agent_whose_nic_does_not_come_back_says_so_and_does_not_start(make_sim):
    sim = make_sim()
    pod = sim.pod().add()
    misbehave(sim, "remove")
    wait_until(lambda: not sim.agent.alive(), lambda: f"the agent ends\n{sim.logs()}")
    away = sim.card_socket.rename(sim.folder / "not-on-the-bus")
    sim.agent.kill()
    sim.agent.start()
    wait_until(lambda: not sim.agent.alive(), lambda: f"it does not start\n{sim.logs()}")
    assert sim.agent.process.returncode == 1 and "nic.device: probing" in sim.agent.tail(5), sim.logs()
    away.rename(sim.card_socket)
    sim.agent.kill()
    sim.agent.start()
    sim.wait_ready()
    pod.ping(sim.gateway(4))
    pod.check()
