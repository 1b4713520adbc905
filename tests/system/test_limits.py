# SPDX-License-Identifier: BSD-3-Clause
"""When there is no more of something, and who gets it next."""

import concurrent.futures
import random
import socket
import subprocess
import time

import pytest

from simulation import BIN, SANITIZED, wait_until


def test_when_addresses_run_out_the_runtime_is_told_how_many_there_were(make_sim):
    # /29: eight, without the network, the host's own and the last: five.
    sim = make_sim(ipv4="10.77.0.0/29", ipv6="fd00:77::/64")
    pods = [sim.pod().add() for _ in range(5)]
    assert {pod.ipv4 for pod in pods} == {f"10.77.0.{n}" for n in range(2, 7)}
    late = sim.pod()
    result = late.try_add()
    assert not result.ok
    text = result.json["msg"] + result.json.get("details", "")
    assert "5" in text and "address" in text, text
    assert set(late.links()) == {"lo"}
    assert sim.status()["agent"]["ipv4_free"] == 0
    # The IPv6 address that it could have had is not lost.
    assert sim.ask("ipam")["ipv6"]["allocated"] == 5

    released = pods[2].ipv4
    pods[2].delete()
    assert late.add().ipv4 == released


def test_when_functions_run_out_the_runtime_is_told_how_many_there_were(make_sim):
    sim = make_sim(functions=3)
    pods = [sim.pod().add() for _ in range(3)]
    late = sim.pod()
    result = late.try_add()
    assert not result.ok
    text = result.json["msg"] + result.json.get("details", "")
    assert "3" in text and "function" in text, text
    assert set(late.links()) == {"lo"}
    assert sim.ask("ipam")["ipv4"]["allocated"] == 3
    pods[0].delete()
    late.add().ping(pods[1].ipv4)


def test_a_released_address_is_the_last_to_be_given_out_again(make_sim):
    sim = make_sim(ipv4="10.77.0.0/29", ipv6="fd00:77::/125", functions=8)
    order = []
    for _ in range(5):
        pod = sim.pod().add()
        order.append((pod.ipv4, pod.ipv6))
        pod.delete()
    assert len(set(order)) == 5
    # Now the one released longest ago.
    again = []
    for _ in range(3):
        pod = sim.pod().add()
        again.append(pod.ipv4)
        pod.delete()
    assert again == [ipv4 for ipv4, _ in order[:3]]


def test_the_order_of_release_survives_a_restart_of_the_agent(make_sim):
    sim = make_sim(ipv4="10.77.0.0/29", ipv6=None)
    for _ in range(3):
        sim.pod().add().close()
    next_one = sim.ask("ipam")["ipv4"]["next"]
    sim.restart(sim.agent)
    assert sim.ask("ipam")["ipv4"]["next"] == next_one
    assert sim.pod().add().ipv4 == next_one


def test_attaching_and_detaching_at_random_keeps_every_address_and_function_single(make_sim):
    sim = make_sim(functions=12, ipv4="10.77.0.0/28")
    pods = [sim.pod() for _ in range(16)]
    chance = random.Random(7)

    def live(pod):
        for _ in range(6):
            if pod.try_add().ok and chance.random() < 0.3:
                pod.check()
            pod.delete()
        pod.try_add()

    with concurrent.futures.ThreadPoolExecutor(max_workers=16) as pool:
        list(pool.map(live, pods))
    attached = [pod for pod in pods if pod.result]
    assert len(attached) == 12
    assert len({pod.ipv4 for pod in attached}) == len({pod.ipv6 for pod in attached}) == 12
    functions = [(a["function"]["pf"], a["function"]["vf"]) for a in sim.attachments()]
    assert len(set(functions)) == 12
    for pod in attached:
        pod.ping(sim.gateway(4), count=1)


def test_two_hundred_and_fifty_six_functions_come_up_and_can_be_used(make_sim):
    sim = make_sim(functions=256)
    assert sim.status()["agent"]["functions"] == 256
    assert len([name for name in sim.host.links() if name.startswith("simnic0v")]) == 256
    a, b = sim.pod().add(), sim.pod().add()
    a.ping(b.ipv4)
    a.ping(b.ipv6)


def test_an_idle_node_uses_hardly_any_processor(make_sim):
    sim = make_sim(functions=32)
    a, b = sim.pod().add(), sim.pod().add()
    a.ping(b.ipv4)
    ticks = {daemon.name: daemon.cpu_ticks() for daemon in sim.daemons}
    time.sleep(3)  # what is looked at is what happens while nothing happens
    for daemon in sim.daemons:
        # A tick is 10 ms. A worker that polls would use 300.
        assert daemon.cpu_ticks() - ticks[daemon.name] < 90, f"{daemon.name} is busy while idle"


def test_the_local_socket_refuses_those_who_may_not(sim):
    result = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", BIN / "podportctl",
                             "--socket", sim.hostd_socket, "status"],
                            env=sim.environment(), capture_output=True, text=True, check=False)
    assert result.returncode != 0


@pytest.mark.parametrize("what", ["garbage", "empty", "largest", "many"])
def test_nonsense_on_the_local_socket_harms_nobody(sim, what):
    chance = random.Random(11)
    pod = sim.pod().add()
    for size in {"garbage": [1, 7, 100, 4000], "empty": [0], "largest": [65536, 100000], "many": [300] * 500}[what]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(str(sim.hostd_socket))
            try:
                connection.send(chance.randbytes(size))
            except OSError:
                pass  # refused, or too long for the socket: as good
    pod.check()
    sim.alive(sim.hostd, sim.agent)


def test_callers_that_hang_do_not_hold_up_others(sim):
    held = []
    for _ in range(64):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect(str(sim.hostd_socket))
        held.append(connection)
    sim.pod().add().check()
    for connection in held:
        connection.close()


def test_nonsense_on_the_agents_socket_harms_nobody(make_sim):
    sim = make_sim()
    chance = random.Random(13)
    pod = sim.pod().add()
    for size in (0, 1, 8, 9, 100, 70000):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(sim.agent_socket))
            connection.settimeout(10)
            try:
                # nng's own greeting (protocol REQ), then a frame with a length that is a lie, then anything.
                connection.sendall(b"\0SP\0\0\x30\0\0" + b"\x01" + (1 << 40).to_bytes(8, "big") + chance.randbytes(size))
                # It is the agent that hangs up. (A peer that closes in the middle can catch a defect of nng 1.5: its
                # thread that buries connections never comes back.)
                while connection.recv(4096):
                    pass
            except ConnectionError:
                pass
    pod.check()
    sim.restart(sim.hostd)
    pod.check()
    # nng 1.5 may keep the descriptor of a peer that closes at such a moment (its reaper hangs); not with a new agent.
    sim.restart(sim.agent)
    pod.check()


def test_a_full_disk_makes_the_call_fail_and_nothing_half_done(make_sim):
    sim = make_sim()
    pod = sim.pod().add()
    # The folder of the store becomes a tiny file system in the agent's eyes: fill what is left of it.
    state = sim.folder / "agent"
    sim.agent.kill()
    copy = {path.name: path.read_bytes() for path in state.iterdir() if path.is_file()}
    subprocess.run(["mount", "--no-mtab", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", state], check=True)
    try:
        for name, content in copy.items():
            (state / name).write_bytes(content)
        sim.agent.start()
        sim.wait_ready()
        filler = state / "filler"
        with open(filler, "wb", buffering=0) as out:
            try:
                while True:
                    out.write(b"\0" * 4096)
            except OSError:
                pass
        refused = None
        for _ in range(6):  # SQLite may have room in pages that it has already
            late = sim.pod()
            result = late.try_add()
            if not result.ok:
                refused = late
                break
        assert refused, "the disk is full and ADD succeeds"
        assert set(refused.links()) == {"lo"}
        pod.ping(sim.gateway(4))
        filler.unlink()
        refused.add().ping(pod.ipv4)
        sim.close_pods()
    finally:
        sim.agent.kill()
        files = {path.name: path.read_bytes() for path in state.iterdir() if path.is_file()}
        wait_until(lambda: subprocess.run(["umount", "--no-mtab", state], check=False, capture_output=True).returncode == 0, "umount")
        for path in state.iterdir():
            path.unlink()
        for name, content in files.items():
            if name != "filler":
                (state / name).write_bytes(content)
    sim.agent.start()
    sim.wait_ready()
    assert sim.attachments() == []


if SANITIZED:
    # Counting ticks says nothing about a build that does five times the work.
    del test_an_idle_node_uses_hardly_any_processor
