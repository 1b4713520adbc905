# SPDX-License-Identifier: BSD-3-Clause
"""What a kubelet asks of containerd, by a containerd with host-stub/gocni in the place of go-cni, and by the
distribution's with podport-cni."""

import json
import pathlib
import signal
import socket
import time

import grpc
import pytest

import cri
from rootfs import private_folders
from simulation import BIN, wait_until
from traffic import in_thread
from world import ADDRESSES, World, uplink_yaml


@pytest.fixture(scope="module")
def running():
    """The containerds that tests share, by kind."""
    containerds = {}
    yield containerds
    for containerd in containerds.values():
        containerd.end()


def shared(running, kind, sim, program):
    """A containerd that stays for the next test, unless a test has spoilt the simulation that it is part of."""
    containerd = running.get(kind)
    if containerd is None or containerd.sim is not sim:
        if containerd is not None:
            containerd.end()
        private_folders()
        containerd = running[kind] = cri.CriContainerd(sim, kind, program).start()
        containerd.import_pause()
    return containerd


@pytest.fixture
def drop_in(sim, running):
    """containerd with host-stub/gocni: no plugin, no configuration."""
    assert cri.DROP_IN, "there is no containerd with host-stub/gocni: tests/run builds it, and said why it could not"
    containerd = shared(running, "drop-in", sim, pathlib.Path(cri.DROP_IN, "containerd"))
    caches = set(pathlib.Path("/var/lib/cni").rglob("*"))
    yield containerd
    assert set(pathlib.Path("/var/lib/cni").rglob("*")) <= caches, "go-cni's caches are not gocni's"
    containerd.remove_sandboxes()


@pytest.fixture
def with_plugin(sim, running):
    """The distribution's containerd, with its own go-cni, which runs podport-cni."""
    containerd = shared(running, "plugin", sim, "containerd")
    for name, program in (("podport-cni", BIN / "podport-cni"), ("loopback", "/usr/lib/cni/loopback")):
        (containerd.plugins / name).symlink_to(program)
    (containerd.networks / "10-podport.conflist").write_text(json.dumps({
        "cniVersion": "1.0.0", "name": "podport",
        "plugins": [{"type": "podport-cni", "socket": str(sim.hostd_socket)}]}))
    wait_until(lambda: containerd.cri.network_ready()[0], lambda: f"the network is ready: {containerd.cri.network_ready()}")
    yield containerd
    containerd.remove_sandboxes()


def two_sandboxes_ping_each_other(sim, containerd):
    one, two = containerd.run("one"), containerd.run("two")
    for sandbox in (one, two):
        attachment = sandbox.attachment()
        assert sandbox.ips() == [attachment["ipv4"], attachment["ipv6"]]
        assert (attachment["namespace"], attachment["name"], attachment["ifname"]) == ("default", sandbox.name, "eth0")
        assert sandbox.addresses("eth0") == [attachment["ipv4"] + "/32", attachment["ipv6"] + "/128"]
        assert "127.0.0.1" in sandbox.ping("127.0.0.1")
        sandbox.ping("::1")
        sim.host.ping(attachment["ipv4"])
    for source, target in ((one, two), (two, one)):
        for address in target.ips():
            source.ping(address)
    one.stop()
    assert [a["container_id"] for a in sim.attachments()] == [two.id]
    one.stop()
    one.remove()
    two.remove()
    assert sim.attachments() == []


def test_two_sandboxes_of_a_containerd_without_cni_ping_each_other(sim, drop_in):
    assert drop_in.cri.network_ready() == (True, "", "")
    two_sandboxes_ping_each_other(sim, drop_in)


def test_two_sandboxes_of_the_distributions_containerd_ping_each_other(sim, with_plugin):
    two_sandboxes_ping_each_other(sim, with_plugin)


def test_a_node_whose_agent_died_is_not_ready_and_says_why(sim, drop_in):
    sandbox = drop_in.run("one")
    sim.agent.kill()
    wait_until(lambda: not drop_in.cri.network_ready()[0], "NetworkReady is false")
    _, reason, text = drop_in.cri.network_ready()
    assert reason == "NetworkPluginNotReady"
    assert f"the agent at ipc://{sim.agent_socket} does not answer" in text, text
    with pytest.raises(grpc.RpcError) as error:
        drop_in.run("late")
    assert str(sim.agent_socket) in error.value.details(), error.value.details()
    sim.agent.start()
    sim.wait_ready()
    wait_until(lambda: drop_in.cri.network_ready()[0], "NetworkReady is true again")
    sim.host.ping(sandbox.ips()[0])
    # Nothing was left behind that would be in the way.
    drop_in.run("late")
    assert len(sim.attachments()) == 2


def test_a_sandbox_is_stopped_while_the_agent_is_away_and_released_later(sim, drop_in):
    sandbox = drop_in.run("one")
    sim.agent.kill()
    began = time.monotonic()
    sandbox.stop()
    assert time.monotonic() - began < 10, "the runtime waits for an agent that is away"
    sandbox.remove()
    assert sim.status()["host"]["queued_deletes"] == 1
    sim.agent.start()
    sim.wait_ready()
    wait_until(lambda: sim.attachments() == [], lambda: f"the release is delivered: {sim.attachments()}")
    assert sim.status()["host"]["queued_deletes"] == 0


def test_a_stopped_agent_holds_up_no_status_and_no_stop(sim, drop_in):
    """Not dead but standing still: SIGSTOP."""
    sandbox = drop_in.run("one")
    sim.agent.send(signal.SIGSTOP)
    try:
        wait_until(lambda: not drop_in.cri.network_ready()[0], "NetworkReady is false")
        began = time.monotonic()
        drop_in.cri.Status(timeout=5)
        sandbox.remove()
        assert time.monotonic() - began < 20
    finally:
        sim.agent.send(signal.SIGCONT)
    sim.wait_ready()
    wait_until(lambda: sim.attachments() == [], lambda: f"the release is delivered: {sim.attachments()}")


def test_a_sandbox_that_the_kubelet_gives_up_waiting_for_leaves_nothing(sim, drop_in):
    sim.agent.send(signal.SIGSTOP)
    try:
        with pytest.raises(grpc.RpcError) as error:
            drop_in.cri.RunPodSandbox(timeout=1, config=drop_in.config("late"))
        assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    finally:
        sim.agent.send(signal.SIGCONT)
    sim.wait_ready()
    wait_until(lambda: sim.attachments() == [] and not drop_in.cri.ListPodSandbox().items and drop_in.cri.network_ready()[0],
               lambda: f"nothing is left: {sim.attachments()}, {drop_in.cri.ListPodSandbox()}\n{drop_in.daemon.tail()}")
    drop_in.run("late")


def test_sandboxes_outlive_restarts_of_containerd_and_hostd(sim, drop_in):
    one, two = drop_in.run("one"), drop_in.run("two")
    before = one.ips()
    drop_in.restart(signal.SIGKILL)
    sim.restart(sim.hostd)
    assert one.ips() == before
    one.ping(two.ips()[0])
    one.remove()
    assert [a["container_id"] for a in sim.attachments()] == [two.id]


HOST_PORT = [{"protocol": 0, "container_port": 80, "host_port": 8080}]


def test_a_pod_that_asks_for_a_host_port_is_refused_with_a_reason_where_there_is_no_wire(sim, drop_in):
    with pytest.raises(grpc.RpcError) as error:
        drop_in.run("web", port_mappings=HOST_PORT)
    assert "port_mappings: the agent has no address on the wire" in error.value.details(), error.value.details()
    assert sim.attachments() == []
    # A port that is not mapped to the host's is but a remark.
    drop_in.run("web", port_mappings=[{"protocol": 0, "container_port": 80}])


@pytest.fixture
def world(sim):
    """The agent gets an address on the wire while it runs, and loses it again."""
    sim.configure(more=uplink_yaml())
    sim.agent.send(signal.SIGHUP)
    made = World(sim)
    made.wait_for_agent()
    yield made
    sim.configure(more="")
    sim.agent.send(signal.SIGHUP)
    wait_until(lambda: sim.status()["agent"]["uplink"] is None, "the uplink is gone again")
    made.close()


def test_a_pods_host_port_is_reached_from_the_wire(sim, drop_in, world):
    web = drop_in.run("web", port_mappings=HOST_PORT)
    for family, wire in ((4, ADDRESSES[4].wire), (6, ADDRESSES[6].wire)):
        with web.socket(socket.AF_INET6 if family == 6 else socket.AF_INET) as server:
            server.bind((web.attachment()[f"ipv{family}"], 80))
            server.listen(1)
            accepted = in_thread(server.accept)
            with world.socket(server.family) as client:
                client.connect((wire, 8080))
                connection, peer = accepted()
                with connection:
                    assert peer[0] == client.getsockname()[0]
                    client.sendall(b"hello")
                    assert connection.recv(10) == b"hello"
    # The second one that asks for it hears who has it.
    with pytest.raises(grpc.RpcError) as error:
        drop_in.run("other", port_mappings=HOST_PORT)
    assert "8080/tcp is taken by default/web" in error.value.details(), error.value.details()


def test_many_sandboxes_at_once_get_addresses_of_their_own(sim, drop_in):
    futures = [drop_in.cri.channel.unary_unary(
        "/runtime.v1.RuntimeService/RunPodSandbox", request_serializer=lambda request: request.SerializeToString(),
        response_deserializer=cri._types()("RunPodSandboxResponse").FromString,  # pylint: disable=protected-access
    ).future(cri.message("RunPodSandboxRequest", config=drop_in.config(f"pod{i}"))) for i in range(sim.functions)]
    for i, future in enumerate(futures):
        drop_in.sandboxes.append(cri.Sandbox(drop_in, future.result(timeout=60).pod_sandbox_id, f"pod{i}"))
    assert len({sandbox.ips()[0] for sandbox in drop_in.sandboxes}) == sim.functions
    # One more than the NIC has functions: refused with the numbers, and the node stays ready.
    with pytest.raises(grpc.RpcError) as error:
        drop_in.run("too-many")
    assert str(sim.functions) in error.value.details(), error.value.details()
    assert drop_in.cri.network_ready()[0]
