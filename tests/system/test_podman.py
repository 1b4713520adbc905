# SPDX-License-Identifier: BSD-3-Clause
"""Real containers by podman with its CNI backend, which calls the plugin through libcni."""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal

import pytest

from rootfs import make_rootfs, private_folders
from simulation import BIN, wait_until
from traffic import family_of
from world import ADDRESSES, World, uplink_yaml

NAMESPACE = os.environ.get("PODPORT_TEST_NAME", "podport-test")
# Where packaging/packages unpacks what it does not install.
TOOLS = pathlib.Path(os.environ.get("PODPORT_CACHE", "/var/cache/podport")) / "tools"


class Podman:
    """podman with all its state in a folder of the test's. It has no daemon: each call is a process of its own."""

    def __init__(self, sim, **capabilities):
        self.sim = sim
        folder = self.folder = sim.folder / "podman"
        folder.mkdir()
        self.rootfs = folder / "rootfs"
        make_rootfs(self.rootfs)
        networks = folder / "net.d"
        networks.mkdir()
        (networks / "10-podport.conflist").write_text(json.dumps({
            "cniVersion": "1.0.0", "name": "podport",
            "plugins": [{"type": "podport-cni", "socket": str(sim.hostd_socket), "capabilities": capabilities}]}))
        (folder / "containers.conf").write_text(
            '[network]\nnetwork_backend = "cni"\ndefault_network = "podport"\n'
            f'cni_plugin_dirs = ["{BIN}"]\nnetwork_config_dir = "{networks}"\n'
            '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\nruntime = "runc"\n'
            f'conmon_path = ["{shutil.which("conmon")}"]\n'
            f'static_dir = "{folder}/static"\ntmp_dir = "{folder}/tmp"\nvolume_path = "{folder}/volumes"\n'
            f'[engine.runtimes]\nrunc = ["{shutil.which("runc")}"]\n')
        (folder / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/root"\nrunroot = "{folder}/run"\n')
        self.environment = {**sim.environment(), "HOME": str(folder), "CONTAINERS_CONF": str(folder / "containers.conf"),
                            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
                            "LD_LIBRARY_PATH": ":".join(map(str, TOOLS.glob("usr/lib/*-linux-gnu*")))}

    def __call__(self, *arguments, check=True):
        return self.sim.host.run("podman", "--root", self.folder / "root", "--runroot", self.folder / "run", *arguments, check=check,
                                 env=self.environment)

    def start(self, name, *command, check=True):
        return self("run", "--detach", "--name", name, "--cgroup-parent", f"/{NAMESPACE}", "--rootfs", self.rootfs,
                    *(command or ("/bin/sleep", "100000")), check=check)

    def exec(self, name, *command):
        return self("exec", name, *command).stdout

    def inspect(self, name):
        (found,) = json.loads(self("inspect", name).stdout)
        return found

    def stop(self):
        self("rm", "--force", "--all", "--time", "0")
        shutil.rmtree(self.folder)


@contextlib.contextmanager
def podman_of(sim, **capabilities):
    private_folders()
    made = Podman(sim, **capabilities)
    try:
        yield made
    finally:
        made.stop()
    wait_until(lambda: sim.attachments() == [], lambda: f"podman's DEL released all: {sim.attachments()}")


@pytest.fixture
def podman(sim):
    with podman_of(sim) as made:
        yield made


def attachment(podman, name):
    container_id = podman.inspect(name)["Id"]
    (found,) = [a for a in podman.sim.attachments() if a["container_id"] == container_id]
    return found


def test_two_containers_of_podmans_ping_each_other(sim, podman):
    podman.start("one")
    podman.start("two")
    for source, target in (("one", "two"), ("two", "one")):
        for family in ("ipv4", "ipv6"):
            output = podman.exec(source, "/bin/ping", "-c", "3", "-i", "0.1", attachment(podman, target)[family])
            assert "3 packets received" in output, output
    settings = podman.inspect("one")["NetworkSettings"]["Networks"]["podport"]
    assert settings["IPAddress"] == attachment(podman, "one")["ipv4"]
    assert settings["GlobalIPv6Address"] == attachment(podman, "one")["ipv6"]
    assert settings["MacAddress"] == attachment(podman, "one")["mac"]


def test_podman_rm_force_releases_a_container_that_crashed(sim, podman):
    podman.start("one")
    podman.start("two")
    pid = podman.inspect("one")["State"]["Pid"]
    os.kill(int(podman.inspect("one")["State"]["ConmonPid"]), signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    podman("rm", "--force", "--time", "0", "one")
    assert [a["container_id"] for a in sim.attachments()] == [podman.inspect("two")["Id"]]
    podman("rm", "--force", "--time", "0", "two")
    assert sim.attachments() == []


def test_podman_rm_force_succeeds_while_the_agent_is_away(sim, podman):
    podman.start("one")
    sim.agent.kill()
    podman("rm", "--force", "--time", "0", "one")
    failed = podman.start("late", check=False)
    assert failed.returncode != 0 and str(sim.agent_socket) in failed.stderr, failed.stderr
    sim.agent.start()
    sim.wait_ready()
    wait_until(lambda: sim.attachments() == [], lambda: f"the release is delivered: {sim.attachments()}")


def test_podmans_wishes_for_address_and_mac_are_granted(sim, podman):
    podman("run", "--detach", "--name", "one", "--cgroup-parent", f"/{NAMESPACE}", "--ip", "10.88.0.77", "--mac-address",
           "02:00:00:00:00:77", "--rootfs", podman.rootfs, "/bin/sleep", "100000")
    assert (attachment(podman, "one")["ipv4"], attachment(podman, "one")["mac"]) == ("10.88.0.77", "02:00:00:00:00:77")
    sim.host.ping("10.88.0.77")


def test_a_container_of_podmans_is_stopped_and_started_again(sim, podman):
    podman.start("one")
    podman("stop", "--time", "0", "one")
    wait_until(lambda: sim.attachments() == [], lambda: f"a stopped container has no network: {sim.attachments()}")
    podman("start", "one")
    sim.host.ping(attachment(podman, "one")["ipv4"])


def test_a_port_that_podman_publishes_is_reached_from_the_wire(make_sim):
    sim = make_sim(agent_yaml=uplink_yaml())
    with contextlib.closing(World(sim)) as world, podman_of(sim, portMappings=True) as podman:
        world.wait_for_agent()
        (podman.rootfs / "index.html").write_text("published by podman")
        podman("run", "--detach", "--name", "web", "--cgroup-parent", f"/{NAMESPACE}", "--publish", "8080:80", "--rootfs", podman.rootfs,
               "/bin/httpd", "-f", "-p", "80", "-h", "/")
        published = sim.ask("nat")["published"]
        assert len(published) == 2, published  # one for each family
        assert all((p["host"]["port"], p["container"]["port"], p["protocol"]) == (8080, 80, "tcp") for p in published), published
        for family in (4, 6):
            client = http.client.HTTPConnection(ADDRESSES[family].wire, 8080)
            client.sock = world.socket(family_of(ADDRESSES[family].wire))
            client.sock.settimeout(30)
            client.sock.connect((ADDRESSES[family].wire, 8080))
            client.request("GET", "/index.html")
            assert client.getresponse().read() == b"published by podman"
            client.close()
        refused = podman("run", "--name", "other", "--cgroup-parent", f"/{NAMESPACE}", "--publish", "8080:80", "--rootfs", podman.rootfs,
                         "/bin/true", check=False)
        assert refused.returncode != 0 and "8080" in refused.stderr, refused.stderr
        podman("rm", "--force", "--time", "0", "web")
        assert sim.ask("nat").get("published", []) == []
