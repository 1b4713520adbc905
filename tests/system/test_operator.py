# SPDX-License-Identifier: BSD-3-Clause
"""What an operator sees."""

import json

import pytest


@pytest.mark.parametrize("what", ["status", "pods", "ports", "ipam", "flows", "offload"])
def test_every_table_exists_for_people_and_for_programs(sim, what):
    pod = sim.pod().add()
    json.loads(sim.podportctl(what, "--json").stdout)
    text = sim.podportctl(what).stdout
    assert text.strip()
    if what == "pods":
        assert pod.ipv4 in text and pod.ipv6 in text


def test_status_tells_how_much_is_used(sim):
    before = sim.status()["agent"]
    pod = sim.pod().add()
    after = sim.status()["agent"]
    assert after["functions"] == sim.functions
    assert after["functions_used"] == before["functions_used"] + 1
    assert after["ipv4_free"] == before["ipv4_free"] - 1
    assert after["ipv6_free"] == before["ipv6_free"] - 1
    assert after["ready"] and after["instance_id"]
    pod.delete()
    assert sim.status()["agent"]["ipv4_free"] == before["ipv4_free"]


def test_an_agent_that_was_restarted_has_another_instance_id(sim):
    before = sim.status()["agent"]["instance_id"]
    sim.restart(sim.agent)
    assert sim.status()["agent"]["instance_id"] != before


def test_status_works_while_the_agent_is_away_and_says_why(sim):
    sim.agent.kill()
    status = sim.status()
    assert not status["host"]["link_up"]
    assert str(sim.agent_socket) in status["host"]["agent_url"]
    result = sim.podportctl("status", check=False)
    assert result.returncode == 1 and "NOT ready" in result.stdout
    result = sim.podportctl("pods", check=False)
    assert result.returncode != 0 and "agent" in result.stderr
    sim.agent.start()
    sim.wait_ready()


def test_more_pods_than_fit_in_one_message_are_all_listed(make_sim):
    sim = make_sim(functions=80)
    pods = [sim.pod().add() for _ in range(70)]
    assert {a["container_id"] for a in sim.attachments()} == {pod.container_id for pod in pods}
    assert len(sim.ports()) >= 70
    names = [a["container_id"] for a in sim.attachments()]
    assert len(names) == len(set(names))


def test_podportctl_explains_a_wrong_command_line(sim):
    result = sim.podportctl("pods", "--jsom", check=False)
    assert result.returncode != 0 and "jsom" in result.stderr
    result = sim.podportctl("podz", check=False)
    assert result.returncode != 0 and "podz" in result.stderr
    result = sim.podportctl("--socket", "/run/no/such.sock", "pods", check=False)
    assert result.returncode != 0 and "/run/no/such.sock" in result.stderr
