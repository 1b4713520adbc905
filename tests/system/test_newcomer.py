# SPDX-License-Identifier: BSD-3-Clause
"""The two commands of the README, as someone runs them who sees podport for the first time."""

import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

import pytest

from simulation import BUILD, PATIENCE_S, ROOT, wait_until

# Its name is also that of cgroups, which no namespace of ours keeps apart from those of another run of the tests.
RUN = pathlib.Path("/run") / os.environ.get("PODPORT_TEST_NAME", "podport-newcomer")


def state():
    """What sim/up and sim/down must leave as they were."""
    processes = sorted(pathlib.Path(f"/proc/{p}/comm").read_text() for p in os.listdir("/proc") if p.isdigit())
    return {
        "processes": processes,
        "namespaces": sorted(os.listdir("/run/netns")) if os.path.exists("/run/netns") else [],
        "netdevs": subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout.count("\n"),
        "mounts": pathlib.Path("/proc/self/mountinfo").read_text().count("\n"),
        "files": sorted(os.listdir("/run")),
        "cni": [os.path.exists(path) for path in ("/etc/cni", "/opt/cni", "/var/lib/cni")],
        "cgroups": [str(path) for pattern in (RUN.name, f"*/{RUN.name}") for path in pathlib.Path("/sys/fs/cgroup").glob(pattern)],
        "hugepages": pathlib.Path("/proc/sys/vm/nr_hugepages").read_text(),
        "forwarding": pathlib.Path("/proc/sys/net/ipv4/ip_forward").read_text(),
    }


def environment():
    return {**os.environ, "PODPORT_SIM_DIR": str(RUN)}


def run(script, *arguments, check=True):
    result = subprocess.run([ROOT / "sim" / script, *arguments], env=environment(), capture_output=True, text=True, check=False,
                            timeout=6 * PATIENCE_S)
    if check:
        assert result.returncode == 0, f"sim/{script}: status {result.returncode}\n{result.stdout}{result.stderr}"
    return result


def up(*arguments, check=True):
    return run("up", "--build-dir", str(BUILD), "--functions", "8", *arguments, check=check)


def settled(before):
    wait_until(lambda: state() == before, lambda: f"as it was: { {key: (before[key], value) for key, value in state().items() if before[key] != value} }")


@pytest.fixture
def untouched():
    before = state()
    yield before
    run("down", check=False)
    settled(before)


def test_sim_up_shows_two_pods_that_reach_each_other_and_sim_down_leaves_nothing(untouched):
    output = up().stdout
    assert re.search(r"pod1 +10\.88\.\d+\.\d+ +fd00:10:88::\w+ ", output), output
    assert re.search(r"pod1 +pod2 +10\.88\.\d+\.\d+ +0 of 5 +[\d.]+ / [\d.]+ / [\d.]+ ms", output), output
    assert re.search(r"pod2 +pod1 +fd00:10:88::\w+ +0 of 5 ", output), output
    assert re.search(r"pod1 +world +198\.51\.100\.7 +0 of 5 ", output) and re.search(r"pod1 +world +2001:db8:f::7 +0 of 5 ", output), output
    # Two pods, two families, five questions and five answers each way: the agent saw none of these.
    assert re.search(r"Of \d+ packets that the pods sent meanwhile, the NIC's e-switch forwarded 60 by itself, the agent \d+", output), output
    assert "sim/down" in output and "podportctl pods" in output

    # Again: it is up, and says so.
    again = run("up").stdout
    assert "up already" in again and "pod2" in again
    # More, without a word about the ones that are there.
    assert "pod3" in run("up", "--pods", "3").stdout

    # What it cannot be any more.
    refused = run("up", "--no-offload", check=False)
    assert refused.returncode == 1 and "nic.offload: true" in refused.stderr and "sim/down" in refused.stderr

    # What it told to try next.
    assert "10.88.0." in run("enter", "podportctl", "pods").stdout
    address = re.search(r"pod1 +(10\.88\.\d+\.\d+)", output)[1]
    assert " 0% packet loss" in run("enter", "ping", "-c", "2", "-i", "0.1", address).stdout
    # On a busy machine ctr, now and then, ends before it has passed on what the command said.
    wait_until(lambda: address in run("enter", "--pod", "pod1", "/bin/ip", "addr").stdout, "the pod's address")
    wait_until(lambda: " 0% packet loss" in run("enter", "--pod", "pod1", "ping", "-c", "1", "198.51.100.7").stdout, "the pod reaches the world")
    assert " 0% packet loss" in run("enter", "--world", "ping", "-c", "1", "203.0.113.10").stdout
    assert "masqueraded" in run("enter", "podportctl", "connections").stdout
    refused = run("enter", "--wrold", "ls", check=False)
    assert refused.returncode == 1 and "--wrold" in refused.stderr
    # Not only from within, and beside a pod that is not containerd's.
    run("enter", "sh", "-c", """ip netns add other && CNI_COMMAND=ADD CNI_CONTAINERID=other CNI_NETNS=/run/netns/other CNI_IFNAME=eth0 \
        CNI_PATH=/opt/cni/bin podport-cni <<'END'
        {"cniVersion": "1.0.0", "name": "podport", "type": "podport-cni"}
END""")
    assert "other" in run("enter", "podportctl", "pods").stdout
    assert re.search(r"pod2 +pod3 +fd00:10:88::\w+ +0 of 5 ", run("report").stdout)
    run("enter", "pkill", "-9", "podport-agent")
    wait_until(lambda: " 0% packet loss" in run("enter", "ping", "-c", "1", "-W", "1", address, check=False).stdout, "the agent is back")

    assert "nothing is left" in run("down").stdout
    settled(untouched)
    assert "nothing was up" in run("down").stdout


def test_without_offload_every_packet_goes_through_the_agent(untouched):
    output = up("--no-offload").stdout
    assert re.search(r"Of (\d+) packets .* forwarded 0 by itself, the agent \1\.", output), output
    assert "--no-offload" in output
    assert run("enter", "podportctl", "offload").stdout.startswith("offload     off ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment_ms", [50, 400, 900, 1600, 2400])
def test_sim_up_interrupted_at_any_moment_undoes_itself(untouched, number, moment_ms):
    process = subprocess.Popen([ROOT / "sim" / "up", "--build-dir", str(BUILD), "--functions", "8"], env=environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    time.sleep(moment_ms / 1000)  # the moment, not a wait for something
    # As a terminal does on control-C: to the whole group.
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    output, _ = process.communicate(timeout=2 * PATIENCE_S)
    if process.returncode != 0:
        settled(untouched)
    else:
        assert "what to try next" in output


def test_sim_up_killed_outright_is_cleared_by_the_next_command(untouched):
    process = subprocess.Popen([ROOT / "sim" / "up", "--build-dir", str(BUILD)], env=environment(), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    wait_until((RUN / "machine").exists, "the machine starts")
    process.kill()
    process.wait()
    assert "pod2" in up().stdout
    run("down")
    settled(untouched)


def test_sim_up_that_fails_says_why_and_undoes_itself(untouched):
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:  # not below /run, which the simulated machine has for itself
        programs = pathlib.Path(folder) / "bin"
        programs.mkdir()
        for program in ("podport-hostd", "podport-cni", "podportctl", "simnic-card"):
            (programs / program).symlink_to(BUILD / "bin" / program)
        (pathlib.Path(folder) / "lib").symlink_to(BUILD / "lib")
        agent = programs / "podport-agent"
        agent.write_text("#!/bin/sh\necho the dog has eaten the agent >&2\nexit 3\n")
        agent.chmod(0o755)
        result = run("up", "--build-dir", folder, check=False)
    assert result.returncode != 0
    assert "the dog has eaten the agent" in result.stderr
    settled(untouched)


def test_both_commands_say_so_when_they_are_not_run_as_root():
    for command in (["sim/up"], ["sim/down"], ["tests/run"]):
        result = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", *command], cwd=ROOT, capture_output=True, text=True,
                                check=False, env={"PATH": os.environ["PATH"]})
        assert result.returncode != 0
        assert "root" in result.stderr, result.stderr


# What is hidden, how, and the word for it that both commands must use.
MISSING = {
    "/dev/net/tun": "mount --no-mtab -t tmpfs tmpfs /dev/net",
    "MB of memory are available": "sed 's/^MemAvailable:.*/MemAvailable: 200000 kB/' /proc/meminfo >/run/meminfo && "
                                  "mount --no-mtab --bind /run/meminfo /proc/meminfo",
}


@pytest.mark.parametrize("command", ["sim/up", "tests/run"])
@pytest.mark.parametrize("missing", MISSING)
def test_both_commands_say_what_the_machine_lacks(untouched, command, missing):
    result = subprocess.run(["unshare", "--mount", "bash", "-c", f"{MISSING[missing]} && exec {command}"], cwd=ROOT, env=environment(),
                            capture_output=True, text=True, check=False)
    pathlib.Path("/run/meminfo").unlink(missing_ok=True)
    assert result.returncode == 1 and missing in result.stderr, result
    assert not result.stdout and not RUN.exists()
