# SPDX-License-Identifier: BSD-3-Clause
"""vhost-user ports: pods without a function of the NIC, at the other end of a socket; alone, with DPDK's testpmd on it, and
with a real Linux guest under qemu."""

import contextlib
import hashlib
import os
import pathlib
import stat
import time

import pytest

from simulation import wait_until
from virtio import Guest, PacketDriver, fetch, interface, vhost_ports, wait_connected

VHOST = {"version": "1.1.0", "portKind": "vhost-user"}
GROUP = 4711  # of nobody


def sockets(folder):
    return {path.name for path in folder.glob("*.sock")}


@pytest.fixture
def folder():
    return pathlib.Path(f"/run/vhost-{os.getpid()}")


@pytest.fixture
def vsim(make_sim, folder):
    """A simulation with 3 functions and 4 vhost-user ports."""
    return make_sim(functions=3, vhost_dir=folder,
                    agent_yaml=f"vhost:\n  socket_dir: {folder}\n  ports: 4\n  socket_mode: 0660\n  socket_owner: :{GROUP}\n")


@pytest.fixture
def at_the_socket():
    """at_the_socket(Guest, pod, ...): one that is gone when the test ends."""
    with contextlib.ExitStack() as stack:
        def begin(kind, *arguments, **options):
            program = kind(*arguments, **options)
            stack.callback(program.kill)
            return program
        yield begin


# ---- the port --------------------------------------------------------------------------------------------


def test_a_pod_gets_a_socket_and_no_function(vsim, folder):
    pod = vsim.pod(**VHOST).add()
    told = interface(pod)
    path = pathlib.Path(told["socketPath"])
    assert path.parent == folder and path.is_socket()
    assert stat.S_IMODE(path.stat().st_mode) == 0o660 and path.stat().st_gid == GROUP and path.stat().st_uid == os.getuid()
    assert told["sandbox"] == pod.netns.path and told["mac"] and len(pod.result["ips"]) == 2
    assert set(pod.links()) == {"lo"}, "nothing of it is in the sandbox"
    [shown] = vsim.ask("pods")["pods"]
    assert (shown["port_kind"], shown["function"], shown["socket_path"]) == ("vhost-user", None, str(path))
    assert shown["offload"] == "none" and "vhost-user port" in shown["offload_reason"]
    assert str(path) in vsim.podportctl("pods").stdout
    status = vsim.status()["agent"]
    assert (status["functions_used"], status["vhost_ports_used"], status["vhost_ports"]) == (0, 1, 4)
    pod.check()
    assert pod.add().result["interfaces"] == [told], "the same again is the same"
    pod.delete()
    assert not path.exists() and vhost_ports(vsim) == {}


def test_a_pod_asks_for_its_socket_in_cni_args_too(vsim):
    arguments = {"environment": {"CNI_ARGS": "IgnoreUnknown=1;PORT_KIND=vhost-user"}}
    assert interface(vsim.pod(version="1.1.0").add(**arguments))["socketPath"]
    assert interface(vsim.pod(version="1.1.0").add(args={"cni": {"portKind": "vhost-user"}}))["socketPath"]
    pod = vsim.pod(version="1.1.0")
    wrong = pod.try_add(portKind="vhostuser")
    assert wrong.code == 7 and "portKind: 'vhostuser' is none of function, vhost-user, virtio-user" in wrong.json["msg"]
    # The configuration's word counts more than an argument's.
    assert "socketPath" not in interface(pod.add(portKind="function", **arguments))


def test_a_pod_is_not_two_kinds_at_once(vsim):
    pod = vsim.pod(version="1.1.0").add()
    refused = pod.try_add(portKind="vhost-user")
    assert not refused.ok and "port_kind" in refused.json["msg"] and "it is a function, not a vhost-user" in refused.json["msg"]
    assert interface(pod.add())["mac"] == pod.mac


def test_an_agent_without_such_ports_says_what_it_takes(sim):
    refused = sim.pod(**VHOST).try_add()
    assert refused.code == 103 and "vhost.socket_dir" in refused.json["msg"]


def test_what_is_not_there_is_refused_by_name(vsim):
    pod = vsim.pod(version="1.1.0", portKind="virtio-user")
    refused = pod.try_add()
    if os.path.exists("/dev/vhost-net"):  # the agent is in another network namespace, as on another machine
        assert refused.code == 111 and "which must be this host" in refused.json["msg"]
    else:
        assert refused.code == 103 and "/dev/vhost-net" in refused.json["msg"] and "modprobe vhost_net" in refused.json["msg"]
        judged = pod.call("STATUS")
        assert judged.code == 50 and "/dev/vhost-net" in judged.json["msg"]
    assert vsim.attachments() == [] and set(pod.links()) == {"lo"}
    pods = [vsim.pod(**VHOST).add() for _ in range(4)]
    refused = vsim.pod(**VHOST).try_add()
    assert not refused.ok and "no vhost-user port is left: 4 of 4" in refused.json["msg"]
    judged = pods[0].call("STATUS")
    assert judged.code == 50 and "no vhost-user port is left: 4 of 4" in judged.json["msg"]
    # Functions are another thing.
    assert vsim.pod(version="1.1.0").call("STATUS").ok
    vsim.pod().add()


def test_check_sees_a_socket_that_is_gone(vsim):
    pod = vsim.pod(**VHOST).add()
    os.unlink(interface(pod)["socketPath"])
    checked = pod.try_check()
    assert not checked.ok and interface(pod)["socketPath"] in checked.json["msg"]
    told = {**pod.result, "interfaces": [{**interface(pod), "socketPath": "/run/other.sock"}]}
    other = vsim.pod(**VHOST).add().try_check(prevResult=told)
    assert not other.ok


def test_a_killed_agent_leaves_sockets_that_the_next_one_replaces(vsim, folder):
    pods = [vsim.pod(**VHOST).add() for _ in range(2)]
    before = sockets(folder)
    vsim.agent.kill()
    assert sockets(folder) == before and len(before) == 2
    pods[1].delete()  # the agent is away: queued
    vsim.agent.start()
    vsim.wait_ready()
    wait_until(lambda: sockets(folder) == {pathlib.Path(interface(pods[0])["socketPath"]).name}, "one socket is left")
    pods[0].check()


def test_a_socket_goes_with_its_sandbox(vsim, folder):
    pod = vsim.pod(**VHOST).add()
    pod.gone()
    wait_until(lambda: not vsim.attachments(), "reclaimed")
    assert sockets(folder) == set()
    kept, unknown = vsim.pod(**VHOST).add(), vsim.pod(**VHOST).add()
    valid = [{"containerID": kept.container_id, "ifname": "eth0"}]
    assert kept.call("GC", **{"cni.dev/valid-attachments": valid}).ok
    assert sockets(folder) == {pathlib.Path(interface(kept)["socketPath"]).name}
    unknown.delete()


# ---- DPDK at the other end -------------------------------------------------------------------------------


def test_testpmd_on_virtio_user_is_a_pod_like_any_other(vsim, at_the_socket):
    one, two, vf = vsim.pod(**VHOST).add(), vsim.pod(**VHOST).add(), vsim.pod().add()
    first = at_the_socket(PacketDriver, one)
    at_the_socket(PacketDriver, two, queues=2)
    for pod in (one, two):
        wait_connected(vsim, pod)
        wait_answers(vf, pod)
        vf.ping(pod.ipv4, count=20)
        vf.ping(pod.ipv4, "-s", "1472", "-M", "do")
        vsim.host.ping(pod.ipv4)
    # It goes, and another comes.
    first.kill()
    wait_connected(vsim, one, False)
    assert " 0 received" in vf.ping(one.ipv4, count=1, check=False)
    at_the_socket(PacketDriver, one)
    wait_connected(vsim, one)
    wait_answers(vf, one)
    vf.ping(one.ipv4)
    port = vhost_ports(vsim)[pathlib.Path(interface(one)["socketPath"]).name]
    assert port["rx_packets"] > 0 and port["tx_packets"] > 0
    # With guests that sleep the agent sleeps, too: they wake it.
    wait_until(lambda: idle(vsim.agent), "the agent sleeps while nothing is sent")
    vf.ping(two.ipv4)


def wait_answers(netns, pod):
    """testpmd begins to forward a moment after it has said so."""
    wait_until(lambda: " 1 received" in netns.ping(pod.ipv4, count=1, check=False), f"{pod.ipv4} answers")


def idle(daemon):
    """Has it used less than a tenth of a CPU over half a second?"""
    before = daemon.cpu_ticks()
    time.sleep(0.5)
    return daemon.cpu_ticks() - before <= 0.05 * os.sysconf("SC_CLK_TCK")


def md5(content):
    return hashlib.md5(content).hexdigest()


# ---- a Linux guest at the other end ----------------------------------------------------------------------

CSUM, GUEST_CSUM, GUEST_TSO4, GUEST_TSO6, HOST_TSO4, HOST_TSO6, MRG_RXBUF, MQ = 0, 1, 7, 8, 11, 12, 15, 22


def test_a_linux_guest_is_a_pod_like_any_other(vsim, at_the_socket):
    pod, vf = vsim.pod(**VHOST).add(), vsim.pod().add()
    guest = at_the_socket(Guest, pod, queues=2)
    wait_connected(vsim, pod)
    agreed = guest.features()
    assert {CSUM, GUEST_CSUM, GUEST_TSO4, GUEST_TSO6, HOST_TSO4, HOST_TSO6, MRG_RXBUF, MQ} <= agreed, agreed
    assert len(guest.run("ls -d /sys/class/net/eth0/queues/rx-*").split()) == 2

    for family in (4, 6):
        guest.ping(vf.address(family))
        vf.ping(pod.address(family))
        vsim.host.ping(pod.address(family))

    # The guest serves a page; large enough that segmentation is left to the port.
    guest.run("mkdir -p /tmp/www && cd /tmp/www && echo 'served by a guest' >index.html")
    guest.run("dd if=/dev/urandom of=big bs=65536 count=32 2>/dev/null && md5sum big >big.md5")
    guest.run("httpd -p 80 -h /tmp/www")
    for family in (4, 6):
        assert fetch(vf.netns, pod.address(family)) == b"served by a guest\n"
        big = fetch(vf.netns, pod.address(family), path="/big")
        assert md5(big) == fetch(vf.netns, pod.address(family), path="/big.md5").decode().split()[0]
    # And fetches one.
    (vsim.folder / "www").mkdir()
    (vsim.folder / "www/page").write_bytes(big)
    server = vf.popen("busybox", "httpd", "-f", "-p", "80", "-h", vsim.folder / "www")
    try:
        wait_until(lambda: vf.run("ss", "-Hltn", "sport", "= :80").stdout, "the pod's web server listens")
        assert md5(big) in guest.run(f"wget -q -O - http://{vf.ipv4}/page | md5sum")
    finally:
        server.kill()
        server.wait()

    # The agent dies; the guest finds the next one by itself.
    vsim.restart(vsim.agent)
    wait_connected(vsim, pod)
    guest.ping(vf.ipv4)
    vf.ping(pod.ipv6)

    guest.kill()
    wait_connected(vsim, pod, False)
    guest = at_the_socket(Guest, pod)
    vf.ping(pod.ipv4)
