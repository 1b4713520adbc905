# SPDX-License-Identifier: BSD-3-Clause
"""What an administrator gets wrong is said with file, line and key; and nothing starts half."""

import sqlite3
import subprocess

import pytest

from simulation import BIN, PATIENCE_S, Simulation, wait_until


@pytest.fixture
def files():
    """Configuration files that are right, of a simulation that is not started."""
    simulation = Simulation()
    yield simulation
    for daemon in simulation.daemons:
        daemon.kill()
    simulation.host.delete()
    simulation.dpu.delete()


def check(simulation, program, path):
    return subprocess.run([BIN / program, "--config", path, "--check-config"], capture_output=True, text=True, check=False,
                          env=simulation.environment(), timeout=PATIENCE_S)


def test_a_right_configuration_passes_the_check(files):
    for program, path in (("podport-agent", files.agent_config), ("podport-hostd", files.hostd_config)):
        result = check(files, program, path)
        assert result.returncode == 0, result.stderr


AGENT_MISTAKES = [
    ("functions: 8", "functions: eight", "nic.functions"),
    ("functions: 8", "functions: 0", "nic.functions"),
    ("functions: 8", "functions: 100000", "nic.functions"),
    ("  functions: 8\n", "", "nic.functions"),
    ("ipv4: 10.88.0.0/16", "ipv4: 10.88.0.0/33", "pod_network.ipv4"),
    ("ipv4: 10.88.0.0/16", "ipv4: 10.88.0.5/16", "pod_network.ipv4"),
    ("ipv4: 10.88.0.0/16", "ipv4: ten", "pod_network.ipv4"),
    ("ipv4: 10.88.0.0/16", "ipv4: 10.88.0.0/31", "pod_network.ipv4"),
    ("ipv6: fd00:10:88::/64", "ipv6: fd00:10:88::/129", "pod_network.ipv6"),
    ("mtu: 1500", "mtu: 900", "pod_network.mtu"),
    ("mtu: 1500", "mtu: 90000", "pod_network.mtu"),
    ("mtu: 1500", "mtu: [1500]", "pod_network.mtu"),
    ("mtu: 1500", "mtu: 1500\n  router_mac: 01:00:00:00:00:01", "pod_network.router_mac"),
    ("huge_pages: false", "huge_pages: maybe", "dpdk.huge_pages"),
    ("huge_pages: false", "huge_pagse: false", "dpdk.huge_pagse"),
    ("mtu: 1500", "mtu: 1500\n  mtu: 1500", "pod_network.mtu"),
    ("listen: ipc:", "listen: gopher:", "listen"),
    ("listen: ipc:", "log_level: loud\nlisten: ipc:", "log_level"),
]


@pytest.mark.parametrize("right, wrong, key", AGENT_MISTAKES)
def test_a_mistake_in_the_agents_file_is_named_with_line_and_key(files, right, wrong, key):
    text = files.agent_config.read_text()
    assert right in text
    text = text.replace(right, wrong, 1)
    files.agent_config.write_text(text)
    result = check(files, "podport-agent", files.agent_config)
    assert result.returncode not in (0, 99) and result.returncode > 0, result
    assert f"{files.agent_config}:" in result.stderr and key in result.stderr, result.stderr
    name = key.rsplit(".", 1)[-1] + ":"
    lines = [number for number, line in enumerate(text.splitlines(), 1) if line.strip().startswith(name)]
    if lines:
        assert f"{files.agent_config}:{lines[-1]}:" in result.stderr, result.stderr


HOSTD_MISTAKES = [
    ("timeout_ms: 5000", "timeout_ms: soon", "timeout_ms"),
    ("timeout_ms: 5000", "timeout_ms: 0", "timeout_ms"),
    ('function_netdev: "simnic0v%u"', 'function_netdev: "simnic0"', "function_netdev"),
    ('function_netdev: "simnic0v%u"', 'function_netdev: "simnic0v%s"', "function_netdev"),
    ('function_netdev: "simnic0v%u"', 'function_netdev: "simnic0v%u%n"', "function_netdev"),
    ('function_netdev: "simnic0v%u"\n', "", "function_netdev"),
    ("agent: ipc:", "agent: tcp://192.0.2.1:7001 #", "agent"),
    ("reclaim_grace_s: 1", "reclaim_grace_s: -1", "reclaim_grace_s"),
    ("reclaim_grace_s: 1", "reclaim_grace_s: 1\nallowed_uids: [root]", "allowed_uids"),
    ("reclaim_grace_s: 1", "reclaim_grace_s: 1\ncolour: blue", "colour"),
]


@pytest.mark.parametrize("right, wrong, key", HOSTD_MISTAKES)
def test_a_mistake_in_hostds_file_is_named_with_line_and_key(files, right, wrong, key):
    text = files.hostd_config.read_text()
    assert right in text
    files.hostd_config.write_text(text.replace(right, wrong, 1))
    result = check(files, "podport-hostd", files.hostd_config)
    assert result.returncode not in (0, 99) and result.returncode > 0, result
    assert f"{files.hostd_config}:" in result.stderr and key in result.stderr, result.stderr


@pytest.mark.parametrize("program", ["podport-agent", "podport-hostd"])
@pytest.mark.parametrize("text", [
    pytest.param("", id="empty"),
    pytest.param("- a\n- b\n", id="a list"),
    pytest.param("a: [1\n", id="cut short"),
    pytest.param("\t- x", id="a tab"),
    pytest.param("a: &x {b: *x}\n", id="a circle"),
    pytest.param("\0\0", id="zeros"),
    pytest.param("x" * 100000, id="one long word"),
])
def test_a_file_that_is_no_configuration_is_refused(files, program, text):
    path = files.folder / "bad.yaml"
    path.write_text(text)
    result = check(files, program, path)
    assert result.returncode not in (0, 99) and result.returncode > 0, result
    assert str(path) in result.stderr


@pytest.mark.parametrize("program", ["podport-agent", "podport-hostd"])
def test_a_file_that_is_not_there_is_named(files, program):
    result = check(files, program, "/run/no/such.yaml")
    assert result.returncode not in (0, 99) and "/run/no/such.yaml" in result.stderr


@pytest.mark.parametrize("program", ["podport-agent", "podport-hostd"])
def test_both_daemons_have_the_same_options_and_take_wrong_usage_alike(program):
    def run(*arguments):
        # Nothing of a configuration that this machine may have.
        return subprocess.run(["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /etc && exec "$@"', "sh", BIN / program, *arguments],
                              capture_output=True, text=True, check=False, timeout=PATIENCE_S)

    assert run("--help").stdout == run("-h").stdout != "" and run("--help").returncode == 0
    default = f"/etc/podport/{program.removeprefix('podport-')}.yaml"
    assert default in run("--help").stdout
    for arguments in (["--check-config"], ["-c", default]):
        result = run(*arguments)
        assert result.returncode == 1 and default in result.stderr, result
    for arguments in (["--bogus"], ["--config"], ["extra"]):
        result = run(*arguments)
        assert result.returncode == 2 and not result.stdout, result
        assert result.stderr.endswith(f"Try '{program} --help'.\n"), result


def corrupt_header(path):
    path.write_bytes(b"this is no database" + path.read_bytes()[19:])


def corrupt_middle(path):
    content = bytearray(path.read_bytes())
    for offset in range(4096, len(content)):
        content[offset] ^= 0xA5
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:5000])


def newer(path):
    with sqlite3.connect(path) as database:
        database.execute("pragma user_version = 999")
    database.close()


@pytest.mark.parametrize("harm", [corrupt_header, corrupt_middle, cut, newer])
def test_a_corrupt_store_is_reported_and_never_replaced(make_sim, harm):
    sim = make_sim()
    pods = [sim.pod().add() for _ in range(5)]
    sim.agent.kill()
    store = sim.folder / "agent" / "agent.db"
    with sqlite3.connect(store) as database:  # everything from the log into the file
        database.execute("pragma wal_checkpoint(truncate)")
    database.close()
    good = store.read_bytes()
    harm(store)
    bad = store.read_bytes()

    sim.agent.start()
    wait_until(lambda: not sim.agent.alive(), lambda: f"the agent stops\n{sim.agent.tail()}")
    assert sim.agent.kill() not in (0, 99)
    assert str(store) in sim.agent.log.read_text().splitlines()[-1] or str(store) in sim.agent.tail(5)
    assert store.read_bytes() == bad
    # The pods' side is as it was.
    assert "eth0" in pods[0].links()

    for suffix in ("-wal", "-shm"):
        store.with_name(store.name + suffix).unlink(missing_ok=True)
    store.write_bytes(good)
    sim.agent.start()
    sim.wait_ready()
    assert len(sim.attachments()) == 5
    pods[0].ping(pods[4].ipv4)


def test_a_nic_with_fewer_functions_than_configured_is_an_error_that_says_so(files):
    files.card.start()
    wait_until(files.card_socket.exists, "the card is there")
    files.agent_config.write_text(files.agent_config.read_text().replace("functions: 8", "functions: 20"))
    files.agent.start()
    wait_until(lambda: not files.agent.alive(), "the agent stops")
    assert files.agent.kill() not in (0, 99)
    assert "8" in files.agent.tail(8) and "function" in files.agent.tail(8) or "vf8" in files.agent.tail(8), files.agent.tail()


def test_a_pod_network_that_changes_while_pods_use_it_is_not_taken(make_sim):
    sim = make_sim()
    pods = [sim.pod().add(), sim.pod().add()]
    text = sim.agent_config.read_text()
    sim.agent.kill()
    sim.agent_config.write_text(text.replace("10.88.0.0/16", "10.99.0.0/16"))
    sim.agent.start()
    sim.wait_ready()
    pods[0].ping(pods[1].ipv4)
    assert sim.ask("ipam")["ipv4"]["prefix"] == "10.88.0.0/16"
    sim.close_pods()
    sim.restart(sim.agent)
    assert sim.pod().add().ipv4.startswith("10.99.")
    sim.close_pods()
    sim.agent.kill()
    sim.agent_config.write_text(text)
    sim.agent.start()
    sim.wait_ready()
