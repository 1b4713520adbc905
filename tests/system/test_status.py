# SPDX-License-Identifier: BSD-3-Clause
"""STATUS: can a pod be attached, and if not, why, with the numbers; at once, whatever hangs."""

import signal

import pytest

from simulation import BIN, Daemon, wait_until


def status(sim, **options):
    """STATUS as a runtime asks: without a container."""
    pod = sim.pod(version="1.1.0")
    try:
        return pod.call("STATUS", environment={"CNI_CONTAINERID": None, "CNI_NETNS": None, "CNI_IFNAME": None}, **options)
    finally:
        sim.pods.remove(pod)
        pod.netns.delete()


def text_of(result):
    return result.json["msg"] + " " + result.json.get("details", "")


def test_status_is_silent_success_while_pods_can_be_attached(sim):
    result = status(sim)
    assert result.ok and result.stdout == "", result


def test_a_configuration_before_1_1_0_has_no_status(sim):
    assert status(sim, cniVersion="1.0.0").code == 1


def test_an_agent_that_is_gone_is_status_50_with_its_url(make_sim):
    sim = make_sim()
    sim.agent.kill()
    wait_until(lambda: not sim.status()["host"]["link_up"], "hostd has noticed")
    result = status(sim)
    assert result.code == 50 and str(sim.agent_socket) in text_of(result)
    sim.agent.start()
    sim.wait_ready()
    assert status(sim).ok


def test_a_hanging_agent_is_told_at_once_and_nothing_hangs_with_it(make_sim):
    sim = make_sim(timeout_ms=2000)
    pod = sim.pod().add()
    sim.agent.send(signal.SIGSTOP)
    try:
        # Before hostd itself has noticed, and after.
        for _ in range(2):
            result = status(sim)
            assert result.code == 50 and str(sim.agent_socket) in text_of(result)
            assert result.seconds < 1.5
            wait_until(lambda: not sim.status()["host"]["link_up"], "hostd has noticed")
        late = sim.pod().try_add()
        assert late.code == 11 and late.seconds < 4, late
        pod.delete()  # into the queue
        assert sim.status()["host"]["queued_deletes"] == 1
        assert "releases that wait for the agent: 1" in text_of(status(sim))
    finally:
        sim.agent.send(signal.SIGCONT)
    sim.wait_ready()
    wait_until(lambda: sim.status()["host"]["queued_deletes"] == 0, "the release is delivered")
    assert status(sim).ok
    assert sim.attachments() == []


def test_a_hanging_hostd_does_not_hold_up_status_for_long(make_sim):
    sim = make_sim()
    sim.hostd.send(signal.SIGSTOP)
    try:
        result = status(sim)
    finally:
        sim.hostd.send(signal.SIGCONT)
    assert result.code == 50 and str(sim.hostd_socket) in text_of(result)
    assert result.seconds < 5  # what kubelet waits between two


def test_no_function_left_is_status_50_with_the_numbers(make_sim):
    sim = make_sim(functions=2)
    sim.pod().add()
    assert status(sim).ok
    pod = sim.pod().add()
    result = status(sim)
    assert result.code == 50 and "2 of 2 in use" in result.json["msg"]
    assert "attachments: 2" in result.json["details"]
    pod.delete()
    assert status(sim).ok


@pytest.mark.parametrize("family, prefixes", [("IPv4", {"ipv4": "10.88.0.0/30", "ipv6": None}), ("IPv6", {"ipv4": None, "ipv6": "fd00:10:88::/126"})])
def test_no_address_left_is_status_50_with_the_numbers(make_sim, family, prefixes):
    sim = make_sim(**prefixes)
    pods = [sim.pod().add() for _ in range(1 if family == "IPv4" else 2)]
    result = status(sim)
    assert result.code == 50, result
    assert f"no {family} address left" in result.json["msg"] and (prefixes["ipv4"] or prefixes["ipv6"]) in result.json["msg"]
    pods[0].delete()
    assert status(sim).ok


def test_a_host_cut_off_from_its_pods_is_status_51(make_sim):
    sim = make_sim()
    sim.host.run("ip", "link", "set", "podport0", "name", "elsewhere0")
    try:
        wait_until(lambda: not sim.status()["host"]["host_port_ready"], "hostd has noticed")
        result = status(sim)
        assert result.code == 51 and "podport0" in result.json["msg"]
    finally:
        sim.host.run("ip", "link", "set", "elsewhere0", "down")
        sim.host.run("ip", "link", "set", "elsewhere0", "name", "podport0")
    sim.wait_ready()
    assert status(sim).ok


# ---- the pod network ---------------------------------------------------------------------------------------------------------


def without_pod_network(sim):
    """The agent, restarted with a configuration that has none."""
    text = sim.agent_config.read_text()
    sim.agent_config.write_text(text[:text.index("pod_network:")])
    sim.agent.kill(signal.SIGTERM)
    sim.agent.start()
    wait_until(lambda: sim.status().get("agent") and sim.status()["host"]["link_up"], "the agent is there")


def test_a_pod_network_can_arrive_and_change_while_the_agent_runs(make_sim):
    sim = make_sim()
    without_pod_network(sim)
    result = status(sim)
    assert result.code == 50 and "no pod network" in result.json["msg"]
    late = sim.pod().try_add()
    assert late.code == 11 and "no pod network" in late.json["msg"]
    assert sim.ask("network")["pod_network"] is None

    sim.podportctl("network", "set", "10.99.0.0/24", "fd00:10:99::/64")
    sim.ipv4, sim.ipv6 = "10.99.0.0/24", "fd00:10:99::/64"
    sim.wait_ready()
    assert status(sim).ok
    pod, other = sim.pod().add(), sim.pod().add()
    assert pod.ipv4 == "10.99.0.2"
    for target in (sim.gateway(4), sim.gateway(6), other.ipv4, other.ipv6):
        pod.ping(target)

    # Another one has to wait for the pods of this one, which are named; one that has room for them has not.
    refused = sim.podportctl("network", "set", "10.77.0.0/24", check=False)
    assert refused.returncode == 1 and pod.container_id in refused.stderr and "10.99.0.2" in refused.stderr
    sim.podportctl("network", "set", "10.99.0.0/16", "fd00:10:99::/64")
    pod.check()
    pod.ping(other.ipv4)
    sim.restart(sim.agent)
    assert sim.ask("network")["pod_network"]["ipv4"] == "10.99.0.0/16"
    pod.check()
    pod.ping(other.ipv6)
    pod.delete()
    other.delete()

    sim.podportctl("network", "set", "10.77.0.0/24", "--mtu", "9000")
    sim.ipv4, sim.ipv6 = "10.77.0.0/24", None
    wait_until(lambda: "10.77.0.1/24" in " ".join(sim.host.addresses("podport0")) or "10.77.0.1/32" in
               " ".join(sim.host.addresses("podport0")), lambda: f"the host's port has the new gateway: {sim.host.addresses('podport0')}")
    sim.wait_ready()
    pod, other = sim.pod().add(), sim.pod().add()
    assert pod.ipv4.startswith("10.77.0.") and pod.ipv6 is None
    assert pod.links()["eth0"]["mtu"] == 9000
    pod.ping(sim.gateway(4))
    pod.ping(other.ipv4, "-s", "8900", "-M", "do")
    pod.delete()
    other.delete()
    sim.podportctl("network", "set", "10.88.0.0/16", "fd00:10:88::/64", "--mtu", "1500")
    sim.wait_ready()


# ---- more than one host --------------------------------------------------------------------------------------------------------


def test_one_hosts_stub_neither_sees_nor_releases_anothers_pods(make_sim):
    sim = make_sim()
    pod = sim.pod(version="1.1.0").add()
    (sim.folder / "host_id2").write_text("another-host\n")
    (sim.folder / "hostd2").mkdir(mode=0o700)
    config = sim.folder / "hostd2.yaml"
    config.write_text(sim.hostd_config.read_text().replace(str(sim.hostd_socket), str(sim.folder / "hostd2.sock"))
                      .replace(f"{sim.folder}/hostd\n", f"{sim.folder}/hostd2\n")
                      + f"host_id_path: {sim.folder}/host_id2\nhost_port: ''\n")
    second = Daemon(sim, "hostd2", sim.host, BIN / "podport-hostd", "--config", config).start()
    socket = str(sim.folder / "hostd2.sock")
    try:
        wait_until(lambda: '"link_up": true' in sim.podportctl("status", "--json", "--socket", socket, check=False).stdout,
                   lambda: "the second host is there\n" + second.tail())
        assert '"pods": []' in sim.podportctl("pods", "--json", "--socket", socket).stdout
        assert pod.container_id not in sim.podportctl("ports", "--json", "--socket", socket).stdout
        assert pod.call("GC", socket=socket, **{"cni.dev/valid-attachments": []}).ok
        assert pod.call("DEL", socket=socket, environment={"CNI_NETNS": ""}).ok
        assert not pod.call("CHECK", socket=socket, prevResult=pod.result).ok
        # Its own pods are as well hidden from the first.
        mine = sim.pod().add(socket=socket)
        assert mine.container_id not in sim.podportctl("pods", "--json").stdout
        mine.ping(pod.ipv4)
        assert mine.call("DEL", socket=socket).ok
        pod.check()
        pod.ping(sim.gateway(4))
    finally:
        second.kill(signal.SIGTERM)
    assert [a["container_id"] for a in sim.attachments()] == [pod.container_id]
