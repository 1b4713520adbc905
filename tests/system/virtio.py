# SPDX-License-Identifier: BSD-3-Clause
"""Who sits at the other end of a vhost-user socket.

    Guest           a Linux under qemu, by software emulation: Debian's kernel and an initramfs of busybox, made on the spot
    PacketDriver    DPDK's own testpmd on virtio_user, which answers pings

Both are told by the pod's CNI result where its socket is and what they are to be.
"""

import contextlib
import gzip
import json
import os
import pathlib
import queue
import re
import shutil
import socket
import subprocess
import threading
import time

from simulation import PATIENCE_S, wait_until

CACHE = pathlib.Path(os.environ.get("PODPORT_CACHE", "/var/cache/podport"))
BOOT_S = 4 * PATIENCE_S  # of a machine that is emulated, on one that is loaded

# In the order in which they need each other. A kernel may have some of them built in.
MODULES = ["virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "failover", "net_failover",
           "virtio_net"]

# Reads commands from the serial line, and says how each ended.
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in {modules}; do [ ! -e /modules/$module.ko ] || insmod /modules/$module.ko; done
exec </dev/ttyS0 >/dev/ttyS0 2>&1
stty -echo -onlcr
ip link set lo up
echo '<up>'
while read -r line; do eval "$line" </dev/null; echo "<status $?>"; done
"""


def kernel():
    for folder in (CACHE / "tools/boot", pathlib.Path("/boot")):
        kernels = sorted(folder.glob("vmlinuz-*-cloud-amd64"))
        if kernels:
            version = kernels[-1].name.removeprefix("vmlinuz-")
            return kernels[-1], folder.parent / "lib/modules" / version
    raise AssertionError("there is no kernel for the guest: packaging/packages install tests")


def cpio(entries):
    """An archive as the kernel takes it (newc); entries: (name, mode, content)."""
    parts = []
    for number, (name, mode, content) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        parts += [header, b"\0" * (-len(header) % 4), content, b"\0" * (-len(content) % 4)]
    return b"".join(parts)


def initramfs(folder, modules, later=(), files=()):
    """What a machine begins with: busybox, modules of the kernel's folder, of which it loads some by itself and can load the `later`
    ones, and `files`, at the paths they have here."""
    entries = {name: (0o40755, b"") for name in (".", "bin", "dev", "proc", "sys", "tmp", "run", "modules")}
    for path in map(pathlib.Path, files):
        entries.update((str(parent)[1:], (0o40755, b"")) for parent in reversed(path.parents[:-1]))
        entries[str(path)[1:]] = (0o100755, path.read_bytes())
    entries["bin/busybox"] = (0o100755, pathlib.Path(shutil.which("busybox")).read_bytes())
    entries["init"] = (0o100755, INIT.format(modules=" ".join(modules)).encode())
    for path in folder.rglob("*.ko"):
        if path.stem in (*modules, *later):
            entries[f"modules/{path.name}"] = (0o100644, path.read_bytes())
    return cpio([(name, mode, content) for name, (mode, content) in entries.items()])


def interface(pod):
    """The pod's own in its CNI result."""
    return next(entry for entry in pod.result["interfaces"] if entry["name"] == pod.ifname and entry["sandbox"])


class Program:
    """A process of which every line of output is kept."""

    def __init__(self, pod, *command):
        self.lines, self.heard = queue.Queue(), []
        self.process = pod.popen(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 text=True, errors="replace", bufsize=1, start_new_session=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\r\n"))
        self.lines.put(None)

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def wait_for(self, pattern, timeout_s):
        """The first match in a line that comes from now on, and the lines before it."""
        deadline, before = time.monotonic() + timeout_s, []
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                line = ""
            self.heard.append(line)
            match = re.search(pattern, line or "")
            if match:
                return match, before
            assert line is not None and time.monotonic() < deadline, \
                f"no '{pattern}' of the guest:\n" + "\n".join(map(str, self.heard[-40:]))
            before.append(line)

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE_S)
        self.reader.join(PATIENCE_S)
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()


class Shell(Program):
    """A machine whose INIT takes commands."""

    def try_run(self, command, timeout_s=BOOT_S):
        """(status, output) of a command in the guest."""
        self.say(command)
        match, output = self.wait_for(r"^(.*)<status (\d+)>$", timeout_s)
        return int(match.group(2)), "\n".join([*output, match.group(1)])

    def run(self, command, timeout_s=BOOT_S):
        status, output = self.try_run(command, timeout_s)
        assert status == 0, f"in the guest: {command}: status {status}\n{output}"
        return output


class Guest(Shell):
    """A booted Linux with the pod's addresses on its virtio device."""

    def __init__(self, pod, queues=1, memory_mb=128):
        told, kernel_modules = interface(pod), kernel()
        image = pod.simulation.folder / f"guest-{pod.number}.img"
        if not image.exists():
            image.write_bytes(gzip.compress(initramfs(kernel_modules[1], MODULES), 1))
        self.pod, self.queues = pod, queues
        multi = ",mq=on" if queues > 1 else ""
        super().__init__(
            pod, "qemu-system-x86_64", "-accel", "tcg", "-machine", "pc", "-cpu", "max", "-smp", queues, "-m", f"{memory_mb}M",
            "-object", f"memory-backend-memfd,id=memory,size={memory_mb}M,share=on", "-numa", "node,memdev=memory",
            # The agent listens; after a restart of the agent qemu connects again by itself.
            "-chardev", f"socket,id=socket,path={told['socketPath']},reconnect=1",
            "-netdev", f"vhost-user,id=net,chardev=socket,queues={queues}",
            # vectors=0: without KVM, qemu 7.2 dies of a vhost-user device with MSI-X (a segmentation fault).
            "-device", f"virtio-net-pci,netdev=net,mac={told['mac']},mrg_rxbuf=on,vectors=0{multi}",
            "-kernel", kernel_modules[0], "-initrd", image, "-append", "console=ttyS0 quiet panic=-1",
            "-display", "none", "-nodefaults", "-no-reboot", "-serial", "stdio")
        self.wait_for("^<up>", BOOT_S)
        self.set_up(told["mtu"])

    def set_up(self, mtu):
        """What the host does in a sandbox, the guest does for itself."""
        self.run("echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad")
        self.run(f"ip link set eth0 up mtu {mtu}")
        for entry in self.pod.result["ips"]:
            family = "-6" if ":" in entry["address"] else "-4"
            self.run(f"ip {family} address add {entry['address']} dev eth0")
            self.run(f"ip {family} route add {entry['gateway']} dev eth0")
            self.run(f"ip {family} route add default via {entry['gateway']} dev eth0")

    def ping(self, address, count=3):
        output = self.run(f"ping -c {count} -W 10 {address}")
        assert f"{count} packets received" in output, output

    def features(self):
        """The bits that device and driver agreed on."""
        bits = self.run("cat /sys/class/net/eth0/device/features").strip()
        return {number for number, bit in enumerate(bits) if bit == "1"}


class PacketDriver(Program):
    """Answers echo requests (IPv4) and ARP for any address, on as many queues as asked for."""

    def __init__(self, pod, queues=1):
        told = interface(pod)
        prefix = f"testpmd-{pod.simulation.id}-{pod.number}-{time.monotonic_ns()}"
        super().__init__(
            pod, "stdbuf", "-oL", "dpdk-testpmd", "--no-huge", "-m", 256, "--no-pci", "--no-telemetry", "--no-shconf", f"--file-prefix={prefix}",
            "--lcores=(0-1)@(0-1)" if os.cpu_count() > 1 else "--lcores=(0-1)@0",
            "--vdev", f"net_virtio_user0,path={told['socketPath']},mac={told['mac']},queues={queues},mrg_rxbuf=1",
            "--", "--interactive", "--forward-mode=icmpecho", "--no-mlockall", "--no-numa", "--total-num-mbufs=4096",
            f"--rxq={queues}", f"--txq={queues}")
        self.say("start")
        self.wait_for("icmpecho packet forwarding", BOOT_S)


def fetch(netns, address, port=80, path="/"):
    """What a web server answers to a client in that namespace."""
    with netns.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as client:
        client.settimeout(BOOT_S)
        client.connect((address, port))
        client.sendall(f"GET {path} HTTP/1.0\r\nHost: pod\r\n\r\n".encode())
        answer = b""
        while chunk := client.recv(1 << 16):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head.splitlines()[0], head
    return body


def vhost_ports(simulation):
    """The agent's vhost-user ports, as podportctl has them, by socket name."""
    return {port["name"]: port for port in simulation.ask("ports")["ports"] if port["kind"] == "vhost-user"}


def wait_connected(simulation, pod, connected=True):
    name = pathlib.Path(interface(pod)["socketPath"]).name
    wait_until(lambda: vhost_ports(simulation)[name]["link_up"] is connected,
               lambda: f"{name}: guest {'connected' if connected else 'gone'}: {json.dumps(vhost_ports(simulation))}")
