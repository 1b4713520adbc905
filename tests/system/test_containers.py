# SPDX-License-Identifier: BSD-3-Clause
"""Real containers under a real containerd, which calls the plugin itself."""

import json
import os
import pathlib
import shutil
import signal

import pytest

from rootfs import make_rootfs, private_folders
from simulation import BIN, Daemon, wait_until
from traffic import in_thread

NAMESPACE = os.environ.get("PODPORT_TEST_NAME", "podport-test")


class Containerd:
    """A containerd of the tests' own. The fixed places where ctr looks for networks are private to the tests."""

    def __init__(self, sim):
        self.sim = sim
        folder = self.folder = sim.folder / "containerd"
        self.socket = folder / "containerd.sock"
        self.rootfs = folder / "rootfs"
        make_rootfs(self.rootfs)
        plugins = ", ".join(f'"io.containerd.{name}"' for name in (
            "grpc.v1.cri", "internal.v1.opt", "snapshotter.v1.aufs", "snapshotter.v1.btrfs", "snapshotter.v1.devmapper",
            "snapshotter.v1.zfs"))
        config = folder / "config.toml"
        config.write_text(f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
                          f'disabled_plugins = [{plugins}]\n[grpc]\n  address = "{self.socket}"\n')
        self.daemon = Daemon(sim, "containerd", sim.host, "containerd", "--config", config)
        self.daemon.start()
        wait_until(lambda: self.ctr("version", check=False).returncode == 0, lambda: f"containerd answers\n{self.daemon.tail()}")
        self.running = {}

    def ctr(self, *arguments, check=True):
        result = self.sim.host.run("ctr", "--address", self.socket, "--namespace", NAMESPACE, *arguments, check=False)
        if check:
            assert result.returncode == 0, f"ctr {arguments}: {result.stderr}\n{self.sim.logs()}"
        return result

    def start(self, name, *command):
        """In the foreground of a process beside, so that ctr calls DEL when the container ends."""
        self.running[name] = in_thread(lambda: self.ctr(
            "run", "--rm", "--cni", "--null-io", "--env", "PATH=/bin", "--cgroup", f"/{NAMESPACE}/{name}",
            "--rootfs", self.rootfs, name, *(command or ("/bin/sleep", "100000")), check=False))
        wait_until(lambda: any(line.split()[:1] == [name] and "RUNNING" in line for line in self.ctr("task", "ls").stdout.splitlines()),
                   lambda: f"container {name} runs\n{self.sim.logs()}{self.daemon.tail()}")

    def run(self, name, *command, check=True):
        return self.ctr("task", "exec", "--exec-id", f"exec-{name}-{len(command)}-{os.urandom(4).hex()}", name, *command, check=check)

    def end(self, name):
        self.ctr("task", "kill", "--signal", "SIGKILL", name, check=False)
        return self.running.pop(name)()

    def stop(self):
        for name in list(self.running):
            self.end(name)
        self.daemon.kill(signal.SIGTERM)
        shutil.rmtree(self.folder)


@pytest.fixture
def containerd(sim):
    private_folders()
    networks = pathlib.Path("/etc/cni/net.d")
    plugins = pathlib.Path("/opt/cni/bin")
    for folder in (networks, plugins):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    (plugins / "podport-cni").symlink_to(BIN / "podport-cni")
    (networks / "10-podport.conflist").write_text(json.dumps({
        "cniVersion": "1.0.0", "name": "podport",
        "plugins": [{"type": "podport-cni", "socket": str(sim.hostd_socket)}]}))
    containerd = Containerd(sim)
    yield containerd
    containerd.stop()
    wait_until(lambda: sim.attachments() == [], lambda: f"containerd's DEL released all: {sim.attachments()}")


def attachment(sim, name):
    (found,) = [a for a in sim.attachments() if a["container_id"] == f"{NAMESPACE}-{name}"]
    return found


def test_two_containers_ping_each_other_over_ipv4_and_ipv6(sim, containerd):
    containerd.start("one")
    containerd.start("two")
    for source, target in (("one", "two"), ("two", "one")):
        for family in ("ipv4", "ipv6"):
            output = containerd.run(source, "/bin/ping", "-c", "3", "-i", "0.1", attachment(sim, target)[family]).stdout
            assert "3 packets received" in output, output
    assert attachment(sim, "one")["ifname"] == "eth0"


def test_a_container_that_ends_gives_everything_back(sim, containerd):
    containerd.start("one")
    sim.host.ping(attachment(sim, "one")["ipv4"])
    assert "failed" not in containerd.end("one").stderr
    assert sim.attachments() == []
    assert len([name for name in sim.host.links() if name.startswith("simnic0v")]) == sim.functions


def test_a_container_talks_tcp_to_another(sim, containerd):
    containerd.start("server", "/bin/sh", "-c", "mkdir -p /tmp/www; echo from the server >/tmp/www/page; exec httpd -f -p 80 -h /tmp/www")
    containerd.start("client")
    address = attachment(sim, "server")["ipv4"]
    wait_until(lambda: containerd.run("client", "/bin/wget", "-q", "-O", "-", f"http://{address}/page", check=False).stdout
               == "from the server\n", "the page arrives")


def test_containers_keep_their_network_over_a_restart_of_agent_and_hostd(sim, containerd):
    containerd.start("one")
    containerd.start("two")
    address = attachment(sim, "two")["ipv4"]
    sim.restart(sim.agent)
    sim.restart(sim.hostd)
    output = containerd.run("one", "/bin/ping", "-c", "3", "-i", "0.1", address).stdout
    assert "3 packets received" in output, output


def test_a_container_is_not_started_when_the_agent_is_away(sim, containerd):
    sim.agent.kill()
    result = containerd.ctr("run", "--rm", "--cni", "--null-io", "--cgroup", f"/{NAMESPACE}/late", "--rootfs", containerd.rootfs,
                            "late", "/bin/busybox", "true", check=False)
    assert result.returncode != 0
    assert str(sim.agent_socket) in result.stderr, result.stderr
    sim.agent.start()
    sim.wait_ready()
    containerd.ctr("container", "rm", "late", check=False)
    containerd.start("one")
