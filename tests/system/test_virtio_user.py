# SPDX-License-Identifier: BSD-3-Clause
"""virtio-user ports: a netdev of the kernel by way of /dev/vhost-net, in a pod. Few machines that build software have that
device, so one is emulated that has: card, agent, hostd and plugin, as they are built here, with Debian's kernel under qemu."""

import json
import pathlib
import re
import shutil
import subprocess

import pytest

from simulation import BIN, BUILD, PATIENCE_S
from virtio import BOOT_S, Shell, initramfs, kernel

PLUGIN = BUILD / "lib/librte_net_simnic.so"
PROGRAMS = [BIN / name for name in ("podport-agent", "podport-hostd", "podport-cni", "podportctl", "simnic-card")]

AGENT_YAML = f"""
listen: ipc:///run/agent.sock
state_dir: /run/agent
metrics: 127.0.0.1:9437
nic:
  device: net_simnic0,card=/run/card.sock
  functions: 2
dpdk:
  drivers: [{PLUGIN}]
  huge_pages: false
  memory_mb: 128
  packet_buffers: 8192
  workers: 2
pod_network:
  ipv4: 10.88.0.0/24
  ipv6: fd00:10:88::/64
"""

HOSTD_YAML = """
agent: ipc:///run/agent.sock
listen: /run/hostd.sock
state_dir: /run/hostd
timeout_ms: 60000
function_netdev: "simnic0v%u"
reclaim_grace_s: 1
"""


def libraries(programs):
    found = set()
    for program in programs:
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        found.update(re.findall(r"(/\S+) \(0x", listed))
    return found


class Machine(Shell):
    """A host that is a DPU to itself, and can load vhost_net when it is told to."""

    @staticmethod
    def popen(*command, **options):
        return subprocess.Popen(list(map(str, command)), **options)

    def __init__(self, folder):
        image, modules = kernel()
        files = [*PROGRAMS, PLUGIN, pathlib.Path(shutil.which("ip")).resolve()]
        archive = folder / "machine.img"
        archive.write_bytes(initramfs(modules, ["tun", "tap"], ["vhost_iotlb", "vhost", "vhost_net"], [*files, *libraries(files)]))
        super().__init__(self, "qemu-system-x86_64", "-accel", "tcg", "-machine", "pc", "-cpu", "max", "-smp", "2", "-m", "768M",
                         "-kernel", image, "-initrd", archive, "-append", "console=ttyS0 quiet panic=-1",
                         "-display", "none", "-nodefaults", "-no-reboot", "-serial", "stdio")
        self.wait_for("^<up>", BOOT_S)
        self.run("mount -t tmpfs -o mode=755 run /run && mkdir -p /run/agent /run/hostd /var && ln -s /run /var/run")
        self.write("/run/agent.yaml", AGENT_YAML)
        self.write("/run/hostd.yaml", HOSTD_YAML)
        self.ip = files[-1]

    def write(self, path, text):
        for number, line in enumerate(text.strip().splitlines()):
            self.run(f"echo '{line}' {'>>' if number else '>'}{path}")

    def start(self, program, *arguments):
        self.run(f"setsid {BIN / program} {' '.join(arguments)} </dev/null >>/run/{program}.log 2>&1 & echo $! >/run/{program}.pid")

    def kill(self, program=None):
        if program is None:
            return super().kill()
        return self.run(f"kill -9 $(cat /run/{program}.pid); while kill -0 $(cat /run/{program}.pid) 2>/dev/null; do usleep 20000; done")

    def until(self, condition, what):
        """Poll a command until it succeeds: in the machine, as each question costs one."""
        status, output = self.try_run(f"n=0; until {condition} >/run/until 2>&1; do n=$((n+1)); [ $n -lt {10 * PATIENCE_S} ] || break; "
                                      f"usleep 100000; done; {condition}")
        assert status == 0, f"{what}: {output}\n{self.logs()}"

    def ctl(self, command):
        return json.loads(self.run(f"{BIN}/podportctl --socket /run/hostd.sock {command} --json"))

    def logs(self):
        return self.run("tail -n 30 /run/*.log")


class Pod:
    """A network namespace in the machine, and the calls for it."""

    def __init__(self, machine, name, **config):
        self.machine, self.name, self.config, self.result = machine, name, config, None
        machine.run(f"{machine.ip} netns add {name} && {machine.ip} -n {name} link set lo up")

    def call(self, command, **changes):
        config = {"cniVersion": "1.1.0", "name": "test", "type": "podport-cni", "socket": "/run/hostd.sock", **self.config, **changes}
        self.machine.write(f"/run/{self.name}.json", json.dumps(config))
        status, output = self.machine.try_run(
            f"CNI_COMMAND={command} CNI_CONTAINERID={self.name} CNI_NETNS=/run/netns/{self.name} CNI_IFNAME=eth0 CNI_PATH={BIN} "
            f"{BIN}/podport-cni </run/{self.name}.json 2>/run/{self.name}.err")
        return status, json.loads(output) if output.strip() else None

    def add(self):
        status, self.result = self.call("ADD")
        assert status == 0, f"ADD: {self.result}\n{self.machine.logs()}"
        return self

    def check(self):
        status, told = self.call("CHECK", prevResult=self.result)
        assert status == 0, f"CHECK: {told}\n{self.machine.logs()}"

    def delete(self):
        status, told = self.call("DEL", prevResult=self.result)
        assert status == 0, f"DEL: {told}\n{self.machine.logs()}"

    def address(self, family):
        return next(entry["address"].split("/")[0] for entry in self.result["ips"] if (":" in entry["address"]) == (family == 6))

    def inside(self, command):
        return f"nsenter --net=/run/netns/{self.name} {command}"

    def run(self, command):
        return self.machine.run(self.inside(command))

    def ping(self, target):
        for family in (4, 6):
            output = self.run(f"ping -{family} -c 3 -i 0.2 -W 10 {target.address(family)}")
            assert "3 packets received" in output, output

    def until_reaches(self, target):
        for family in (4, 6):
            self.machine.until(self.inside(f"ping -{family} -c 1 -W 2 {target.address(family)}"),
                               f"{self.name} reaches {target.name}")

    def fetch(self, server, family):
        """What the other's web server has, as its checksum."""
        address = server.address(family)
        return self.run(f"wget -q -O - http://{f'[{address}]' if family == 6 else address}/big | md5sum").split()[0]


def netdevs(machine):
    return re.findall(r"ppv[0-9a-f]{12}", machine.run(f"{machine.ip} link"))


@pytest.fixture
def machine(tmp_path):
    made = Machine(tmp_path)
    yield made
    Shell.kill(made)


def start(machine):
    machine.start("simnic-card", "--socket=/run/card.sock", "--functions=2")
    machine.until("[ -S /run/card.sock ]", "the card is ready")
    machine.start("podport-agent", "--config /run/agent.yaml")
    machine.start("podport-hostd", "--config /run/hostd.yaml")
    machine.until(f"{BIN}/podportctl --socket /run/hostd.sock status", "agent and hostd are ready")


def test_a_pod_with_a_netdev_of_the_kernel_is_a_pod_like_any_other(machine):
    start(machine)
    pod, vf = Pod(machine, "pod", portKind="virtio-user"), Pod(machine, "vf")

    # The module is not loaded: that is said. It need not be there when the agent starts.
    status, told = pod.call("ADD")
    assert status != 0 and told["code"] == 103 and "/dev/vhost-net" in told["msg"] and "modprobe vhost_net" in told["msg"], told
    status, told = pod.call("STATUS")
    assert status != 0 and told["code"] == 50 and "/dev/vhost-net" in told["msg"], told
    assert machine.ctl("pods")["pods"] == []
    machine.run("for m in vhost_iotlb vhost vhost_net; do insmod /modules/$m.ko; done")
    assert pod.call("STATUS")[0] == 0

    pod.add()
    vf.add()
    told = pod.result["interfaces"][0]
    assert "socketPath" not in told and told["sandbox"] == "/run/netns/pod"
    netdev = "ppv" + told["mac"].replace(":", "")
    assert netdevs(machine) == [], "it is the pod's"
    assert f"alias podport:{netdev}:test/pod/eth0" in machine.run(f"{machine.ip} -n pod link show eth0")
    [shown] = [p for p in machine.ctl("pods")["pods"] if p["container_id"] == "pod"]
    assert (shown["port_kind"], shown["function"], shown["offload"]) == ("virtio-user", None, "none")
    pod.ping(vf)
    vf.ping(pod)
    pod.check()
    vf.check()

    # TCP both ways, in both families, segmented by nobody: the frames are larger than the MTU.
    machine.run("mkdir -p /run/www && dd if=/dev/urandom of=/run/www/big bs=65536 count=16 2>/dev/null")
    wanted = machine.run("md5sum /run/www/big").split()[0]
    for server, client in ((pod, vf), (vf, pod)):
        server.run("httpd -p 80 -h /run/www")
        for family in (4, 6):
            assert client.fetch(server, family) == wanted
    machine.run("killall httpd")  # a process inside keeps a sandbox
    [port] = [p for p in machine.ctl("ports")["ports"] if p["kind"] == "virtio-user"]
    assert port["name"] == netdev and port["link_up"]
    assert port["rx_bytes"] / port["rx_packets"] > 1600 and port["tx_bytes"] > 2 << 20, port
    metrics = machine.run("wget -q -O - http://127.0.0.1:9437/metrics | grep podport_vhost")
    for name, number in (("connected", 1), ("queue_pairs", 2)):
        assert re.search(f'^podport_vhost_{name}{{[^}}]*container_id="pod"[^}}]*}} {number}$', metrics, re.M), metrics
    log = machine.run("cat /run/podport-agent.log")
    assert re.search(f"netdev={netdev} queue_pairs=2 checksum=yes segmentation=yes", log), log

    # Its netdev ends with the agent, and comes again with the next one, in the pod.
    machine.kill("podport-agent")
    assert machine.try_run(f"{machine.ip} -n pod link show eth0")[0] != 0
    machine.start("podport-agent", "--config /run/agent.yaml")
    pod.until_reaches(vf)
    pod.check()
    vf.ping(pod)

    # Nor does it stay away when it ends for another reason.
    files = "ls /proc/$(cat /run/podport-agent.pid)/fd | wc -l"
    before = machine.run(files)
    pod.run(f"{machine.ip} link del eth0")
    pod.until_reaches(vf)
    pod.check()
    assert machine.run(files) == before

    pod.delete()
    vf.delete()
    assert netdevs(machine) == [] and "eth0" not in machine.run(f"{machine.ip} -n pod link")
    # A sandbox that ends without a word.
    pod.add()
    machine.run(f"{machine.ip} netns del pod")
    machine.until(f"{BIN}/podportctl --socket /run/hostd.sock pods | grep -q 'no pod is attached'", "reclaimed")
    machine.until(f"! {machine.ip} link | grep -q ppv", "its netdev is gone")
