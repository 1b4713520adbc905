# SPDX-License-Identifier: BSD-3-Clause
"""What an operator sees."""

import json
import os
import subprocess

import pytest

from eswitch import Telemetry
from simulation import BIN, ROOT


@pytest.mark.parametrize("what", ["status", "pods", "ports", "ipam", "flows", "offload"])
def test_every_table_exists_for_people_and_for_programs(sim, what):
    pod = sim.pod().add()
    json.loads(sim.podportctl(what, "--json").stdout)
    text = sim.podportctl(what).stdout
    assert text.strip()
    if what == "pods":
        assert pod.ipv4 in text and pod.ipv6 in text


def complete(sim, *words):
    """What bash offers for the last of these words."""
    result = subprocess.run(
        ["bash", "-c", f'. {ROOT}/packaging/podportctl.bash; COMP_WORDS=(podportctl "$@"); COMP_CWORD=$#; _podportctl; printf "%s\\n" "${{COMPREPLY[@]}}"',
         "bash", *words], capture_output=True, text=True, check=True,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "PODPORT_SOCKET": str(sim.hostd_socket)})
    assert not result.stderr, result
    return set(result.stdout.split())


def test_the_shell_completes_commands_options_and_pods(sim):
    pod = sim.pod().add()
    assert {"status", "pods", "capture"} <= complete(sim, "") and complete(sim, "na") == {"nat"} == complete(sim, "--json", "na")
    assert complete(sim, "help", "band") == {"bandwidth"}
    assert "--drops" in complete(sim, "ports", "--") and "--drops" not in complete(sim, "pods", "--")
    for command in "ports", "flows", "trace", "capture", "nat":
        assert pod.container_id in complete(sim, command, ""), command
    assert complete(sim, "trace", pod.container_id[:-1]) == {pod.container_id}
    assert not complete(sim, "ipam", "") and not complete(sim, "trace", "--seconds", "")
    assert complete(sim, "network", "") == {"set"}


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


def test_the_packets_of_two_pods_are_hits_of_their_rules_and_the_agent_sees_none(sim):
    a, b = sim.pod().add(), sim.pod().add()

    def port_of(pod):
        return next(p for p in sim.ports() if p["attachment"] and p["attachment"]["container_id"] == pod.container_id)

    before = port_of(a)
    for address in (b.ipv4, b.ipv6):
        a.netns.ping(address, count=3)
    after = port_of(a)
    assert after["offloaded_rx_packets"] - before["offloaded_rx_packets"] == 6
    assert after["offloaded_tx_packets"] - before["offloaded_tx_packets"] == 6

    flows = json.loads(sim.podportctl("flows", "--json", a.container_id).stdout)["flows"]
    assert flows and all(flow["attachment"]["container_id"] == a.container_id for flow in flows)
    counted = [flow["packets"] for flow in flows if flow["packets"] is not None]
    assert sorted(counted) == [3, 3, 3, 3]  # each family, each direction
    offload = json.loads(sim.podportctl("offload", "--json").stdout)
    assert offload["enabled"] and offload["usable"] and offload["rules_missing"] == 0
    assert {pod["container_id"]: pod["offload"] for pod in sim.attachments()}[a.container_id] == "full"


def test_the_metrics_are_what_podportctl_shows(make_sim):
    sim = make_sim(functions=4, agent_yaml="metrics: 127.0.0.1:9473\n")
    a, b = sim.pod().add(), sim.pod().add()
    a.netns.ping(b.ipv4, count=2)
    get = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9473/metrics').read().decode())"
    lines = sim.dpu.run("/usr/bin/python3", "-c", get).stdout.splitlines()
    assert "podport_attachments 2" in lines
    assert "podport_functions_used 2" in lines
    rules = json.loads(sim.podportctl("offload", "--json").stdout)["rules"]
    assert f"podport_offload_rules {rules}" in lines
    hits = [line for line in lines if line.startswith("podport_pod_packets_total") and 'path="e-switch"' in line
            and f'container_id="{a.container_id}"' in line and 'direction="rx"' in line]
    assert len(hits) == 1 and hits[0].endswith(" 2"), hits


def test_podportctl_explains_a_wrong_command_line(sim):
    result = sim.podportctl("pods", "--jsom", check=False)
    assert result.returncode != 0 and "jsom" in result.stderr
    result = sim.podportctl("podz", check=False)
    assert result.returncode != 0 and "podz" in result.stderr
    result = sim.podportctl("--socket", "/run/no/such.sock", "pods", check=False)
    assert result.returncode != 0 and "/run/no/such.sock" in result.stderr


def test_the_graph_tells_what_each_of_its_nodes_has_done_and_cost(make_sim):
    sim = make_sim(offload=False)
    a, b = sim.pod().add(), sim.pod().add()
    with Telemetry(sim) as telemetry:
        before = telemetry.ask("/podport/graph")
        a.ping(b.ipv4, count=5)
        after = telemetry.ask("/podport/graph", 0)
        assert telemetry.ask("/podport/graph", 1000) is None
    for node in ("ip4_input", "ip4_lookup", "ip4_forward", "port_tx"):
        calls, packets, cycles = (now - then for now, then in zip(after[node], before[node]))
        assert packets >= 10 and 0 < calls <= packets and cycles > 0, (node, before[node], after[node])
