# SPDX-License-Identifier: BSD-3-Clause
"""What carries packets from one vhost-user socket to another: two pods of podport's, DPDK's testpmd, and Open vSwitch with DPDK.

Each has .name, .sockets (where the generator's virtio-user ports connect), .ends (MAC and IPv4 addresses that the generator writes into
its frames), .pid, and close(). generator.c or handshakes.c is at the other end of the sockets, on a CPU of its own.
"""

import contextlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess

from simulation import Simulation, wait_until
from suite import TOOLS
from virtio import interface

GENERATOR_CPU, MEASURED_CPU, OTHER_CPU = 0, 1, 0
MEMORY_MB, GENERATOR_MB = 512, 64
HUGE_PAGES_MB = 3 * MEMORY_MB  # two of them, one being ended, and the generator
UPLINK = "203.0.113.10"
PORTS = (10000, 10001, 10002)  # that the generator sends to
NEVER_BITS, BURST_BITS = 200 * 10**9, 34 * 10**9  # a limit that nothing here reaches
SOMEBODY = ("02:00:00:00:00:01", "02:00:00:00:00:02", "10.1.0.2", "10.1.0.3")  # who sends to whom; his next hop's MAC
TITLES = {"plain": "plain", "masquerade": "with masquerade", "metering": "with metering"}
FLAGS = ("-Wno-address-of-packed-member", "-lm")
_numbers = itertools.count(1)


def eal(name, *cpus, memory_mb=MEMORY_MB):
    lcores = ",".join(f"{number}@{cpu}" for number, cpu in enumerate(cpus))
    return ["--in-memory", "--single-file-segments", "-m", str(memory_mb), "--no-pci", "--no-telemetry", "--log-level=error", f"--file-prefix=bench-{name}-{next(_numbers)}",
            f"--lcores={lcores}"]


class Podport:
    """Two pods on vhost-user ports. The first one's frames go to the second: plain, or to its published ports."""

    name = "podport"

    def __init__(self, _folder, feature="plain", functions=2, huge_pages=True, agent_yaml="", telemetry=False, connections=262144, memory_mb=MEMORY_MB, build=None):
        self.socket_dir = pathlib.Path(f"/run/vhost-{next(_numbers)}")
        self.simulation = Simulation(functions=functions, vhost_dir=self.socket_dir, memory_mb=memory_mb, agent_yaml=(
            f"vhost:\n  socket_dir: {self.socket_dir}\n  ports: 2\n"
            f"uplink:\n  ipv4: {UPLINK}/24\nmasquerade:\n  ipv4: true\n  connections: {connections}\n  ports: 1024-65535\n{agent_yaml}"
            "limits:\n  slow_path_pps: none\n"))
        text = self.simulation.agent_config.read_text()
        text = text.replace("dpdk:\n", f"dpdk:\n  cpus: {OTHER_CPU},{MEASURED_CPU}\n")
        if huge_pages:
            text = text.replace("huge_pages: false", "huge_pages: true")
        self.simulation.agent_config.write_text(text)
        if build:  # another one's agent, with the driver that it was built with
            self.simulation.agent.command = (pathlib.Path(build) / "bin" / "podport-agent", *self.simulation.agent.command[1:])
            shutil.copy(f"{build}/lib/librte_net_simnic.so", self.simulation.folder)
        self.simulation.start()
        runtime = {"portMappings": [{"hostPort": port, "containerPort": port, "protocol": protocol} for port in PORTS for protocol in ("udp", "tcp")]}
        if feature == "metering":
            runtime = {"bandwidth": {f"{way}{what}": bits for way in ("ingress", "egress") for what, bits in (("Rate", NEVER_BITS), ("Burst", BURST_BITS))}}
        wishes = {"version": "1.1.0", "portKind": "vhost-user"}
        self.pods = [self.simulation.pod(**wishes).add(runtimeConfig=runtime if feature != "plain" and number == 1 else {})
                     for number in range(2)]
        told = [interface(pod) for pod in self.pods]
        addresses = [pod.result["ips"][0]["address"].split("/")[0] for pod in self.pods]
        self.sockets = [entry["socketPath"] for entry in told]
        gateway_mac = self.simulation.ask("pods")["pods"][0]["gateway_mac"]
        self.ends = (told[0]["mac"], gateway_mac, addresses[0], UPLINK if feature == "masquerade" else addresses[1])

    @property
    def pid(self):
        return self.simulation.agent.pid

    def close(self):
        for pod in self.pods:
            pod.delete()
        self.simulation.stop()


class Process:
    """A program that makes two vhost-user sockets and carries packets from one to the other."""

    name, ends = "", SOMEBODY

    def __init__(self, folder):
        self.folder = pathlib.Path(folder) / f"{self.name.replace(' ', '-')}-{next(_numbers)}"
        self.folder.mkdir(parents=True)
        self.sockets = [str(self.folder / f"port{number}.sock") for number in range(2)]
        self.processes = []

    @property
    def pid(self):
        return self.processes[-1].pid

    def begin(self, *command, **options):
        self.processes.append(subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                               stdin=subprocess.PIPE, start_new_session=True, **options))

    def wait_sockets(self):
        def there():
            ended = [process.args[0] for process in self.processes if process.poll() is not None]
            assert not ended, f"{self.name}: {ended} ended"
            return all(os.path.exists(path) for path in self.sockets)
        wait_until(there, f"{self.name} has its sockets")

    def close(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()


class Testpmd(Process):
    mode = ""

    def __init__(self, folder, _feature="plain"):
        super().__init__(folder)
        devices = [word for number, path in enumerate(self.sockets) for word in ("--vdev", f"net_vhost{number},iface={path},queues=1")]
        self.begin("dpdk-testpmd", *eal(self.mode, OTHER_CPU, MEASURED_CPU), *devices, "--", "--no-mlockall", "--no-numa", "--auto-start",
                   f"--forward-mode={self.mode}", "--total-num-mbufs=16384", "--txd=256", "--rxd=256", "--stats-period=3600")
        self.wait_sockets()


class TestpmdIo(Testpmd):
    name, mode = "testpmd io", "io"


class TestpmdMacswap(Testpmd):
    name, mode = "testpmd macswap", "macswap"


class OpenVswitch(Process):
    """MACs rewritten and the TTL taken down, as for a pod."""

    name = "Open vSwitch"

    def __init__(self, folder, feature="plain"):
        super().__init__(folder)
        self.environment = {**os.environ, "LD_LIBRARY_PATH": str(TOOLS / "usr/lib/x86_64-linux-gnu"),
                            **{f"OVS_{what}": str(self.folder) for what in ("RUNDIR", "DBDIR", "LOGDIR", "SYSCONFDIR")}}
        database = self.folder / "conf.db"
        self.run("ovsdb-tool", "create", database, TOOLS / "usr/share/openvswitch/vswitch.ovsschema")
        self.begin("ovsdb-server", database, f"--remote=punix:{self.folder}/db.sock", f"--log-file={self.folder}/db.log",
                   env=self.environment)
        wait_until(lambda: (self.folder / "db.sock").exists(), "the database of Open vSwitch")
        extra = f"-m {MEMORY_MB} --no-pci --single-file-segments"
        self.run("ovs-vsctl", f"--db=unix:{self.folder}/db.sock", "--no-wait", "set", "Open_vSwitch", ".",
                 "other_config:dpdk-init=true", f"other_config:dpdk-extra={extra}", f"other_config:dpdk-lcore-mask={1 << OTHER_CPU:#x}",
                 f"other_config:pmd-cpu-mask={1 << MEASURED_CPU:#x}", "other_config:vhost-sock-dir=.")
        self.begin(TOOLS / "usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk", f"unix:{self.folder}/db.sock",
                   f"--log-file={self.folder}/vswitchd.log", env=self.environment)
        ports = [word for number in range(2) for word in
                 ("--", "add-port", "br0", f"port{number}.sock", "--", "set", "Interface", f"port{number}.sock", "type=dpdkvhostuser",
                  f"ofport_request={number + 1}")]
        self.run("ovs-vsctl", f"--db=unix:{self.folder}/db.sock", "--timeout=20", "add-br", "br0", "--", "set", "bridge", "br0",
                 "datapath_type=netdev", "protocols=OpenFlow13", *ports)
        self.open_flow("del-flows")
        if feature == "metering":
            self.open_flow("add-meter", f"meter=1,kbps,burst,band=type=drop,rate={NEVER_BITS // 1000},burst_size={BURST_BITS // 1000}")
        for flow in self.flows(feature):
            self.open_flow("add-flow", flow)
        self.wait_sockets()

    @staticmethod
    def flows(feature):
        rewrite = "set_field:02:00:00:00:00:03->eth_src,set_field:02:00:00:00:00:04->eth_dst,dec_ttl"
        if feature == "masquerade":  # and back, for answers
            return [f"in_port=1,ip,actions=ct(commit,nat(src={UPLINK}:1024-65535),table=1)", f"table=1,in_port=1,ip,actions={rewrite},output:2",
                    "in_port=2,ip,actions=ct(nat,table=1)", f"table=1,in_port=2,ip,actions={rewrite},output:1"]
        if feature == "metering":
            return [f"in_port=1,ip,actions=meter:1,{rewrite},output:2"]
        return [f"in_port=1,ip,actions={rewrite},output:2"]

    def open_flow(self, command, *arguments):
        self.run("ovs-ofctl", "--protocols=OpenFlow13", command, f"unix:{self.folder}/br0.mgmt", *arguments)

    def run(self, *command):
        result = subprocess.run([str(word) for word in command], env=self.environment, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            log = self.folder / "vswitchd.log"
            raise RuntimeError(f"{command[0]}: {result.stderr}{log.read_text()[-2000:] if log.exists() else ''}")
        return result.stdout


class _Tool:
    """A program at the other end of the sockets; prints JSON."""

    source = ""

    def __init__(self, run):
        if os.cpu_count() <= MEASURED_CPU:
            raise RuntimeError("it takes two CPUs: one for what is measured, one for the generator")
        self.program = run.compile(self.source, "libdpdk", flags=FLAGS)

    def run(self, forwarder, timeout_s, *words):
        command = [self.program, *eal("generator", GENERATOR_CPU, memory_mb=GENERATOR_MB), "--", *forwarder.sockets, *forwarder.ends, *words]
        result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=timeout_s)
        if result.returncode != 0:
            raise RuntimeError(f"{self.source} for {forwarder.name}: {result.stdout}{result.stderr}")
        return json.loads(result.stdout.splitlines()[-1])


class Generator(_Tool):
    source = "generator.c"

    def __call__(self, forwarder, seconds, **options):
        """What it counted. Options are the program's: flows=1000, size="imix", ..."""
        words = [word for key, value in options.items() for word in (f"--{key}", value)]
        return self.run(forwarder, 60 + seconds, "--seconds", seconds, *words)


class Handshakes(_Tool):
    source = "handshakes.c"

    def __call__(self, forwarder, count, in_flight):
        """What became of so many TCP connections."""
        return self.run(forwarder, 120, count, in_flight)
