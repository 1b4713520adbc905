# SPDX-License-Identifier: BSD-3-Clause
"""Three ways to podport-hostd: podport-cni as a process for each call, libpodport, and gocni in the caller's process.

ADD, CHECK and DEL; alone, 16 and 100 at once. libpodport's callers are threads that keep a connection each; gocni makes one for each call.
Of podport-cni the whole process is measured, as a runtime starts it; of the others the call. Most of an ADD is the kernel's (see cni),
so what differs is what a runtime saves that has podport in it."""

import concurrent.futures
import json
import os
import subprocess
import time

from simulation import BIN, BUILD, Netns, Simulation
from suite import HERE, ROOT

GROUP = "control plane"
PEERS = ["go"]
COMMANDS = ("ADD", "CHECK", "DEL")
REST_S = 0.1
AMOUNTS = ((1, 20, 2), (16, 2, 1), (100, 1, 1))  # at once, rounds (and with --quick)


class Exec:
    """podport-cni."""

    def __init__(self, simulation):
        self.config = {"cniVersion": "1.0.0", "name": "bench", "type": "podport-cni", "socket": str(simulation.hostd_socket)}
        self.results = {}
        self.pool = concurrent.futures.ThreadPoolExecutor(max(at_once for at_once, *_ in AMOUNTS))

    def one(self, command, container, netns):
        config = self.config if command == "ADD" else {**self.config, "prevResult": self.results[container]}
        environment = {"CNI_COMMAND": command, "CNI_CONTAINERID": container, "CNI_NETNS": netns, "CNI_IFNAME": "eth0", "CNI_PATH": str(BIN)}
        begin = time.monotonic()
        result = subprocess.run([BIN / "podport-cni"], input=json.dumps(config), capture_output=True, text=True, check=False, env=environment)
        taken = time.monotonic() - begin
        if result.returncode != 0:
            raise RuntimeError(f"podport-cni {command}: {result.stdout}{result.stderr}")
        if command == "ADD":
            self.results[container] = json.loads(result.stdout)
        return 1000 * taken

    def batch(self, command, sandboxes):
        return list(self.pool.map(lambda sandbox: self.one(command, *sandbox), sandboxes))

    def close(self):
        self.pool.shutdown()


class Resident:
    """A program of ours that stays, and makes the calls that it is told."""

    def __init__(self, program, simulation):
        self.process = subprocess.Popen([program, simulation.hostd_socket], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "LD_LIBRARY_PATH": str(BUILD / "lib")})

    def batch(self, command, sandboxes):
        self.process.stdin.write(f"{command} {len(sandboxes)}\n" + "".join(f"{container} {netns}\n" for container, netns in sandboxes))
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"{self.process.args[0]} ended with status {self.process.wait(10)}"
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


def build_gocni(run):
    """In GOPATH a package is where its name says."""
    package, ours = run.folder / "gopath/src/github.com/containerd", run.folder / "gopath/src/gocni_calls"
    package.mkdir(parents=True)
    (package / "go-cni").symlink_to(ROOT / "host-stub/gocni")
    ours.symlink_to(HERE / "gocni_calls")
    environment = {**os.environ, "GO111MODULE": "off", "GOFLAGS": "", "GOPATH": f"{run.folder}/gopath:/usr/share/gocode", "CGO_ENABLED": "1",
                   "GOCACHE": str(BUILD / "gocni/cache"), "PKG_CONFIG_PATH": str(BUILD / "gocni"), "TMPDIR": "/tmp"}
    program = run.folder / "gocni-calls"
    subprocess.run(["go", "build", "-o", program, "gocni_calls"], env=environment, check=True)
    return program


def measure(run):
    libpodport = run.compile("libpodport_calls.c", flags=[f"-I{ROOT}/host-stub/libpodport", f"-L{BUILD}/lib", "-lpodport", "-pthread"])
    gocni = build_gocni(run)
    simulation = Simulation(functions=max(at_once for at_once, *_ in AMOUNTS)).start()
    ways = {"podport-cni": Exec(simulation), "libpodport": Resident(libpodport, simulation), "gocni": Resident(gocni, simulation)}
    for at_once, rounds, quick in AMOUNTS:
        table = run.table("One call, alone" if at_once == 1 else f"{at_once} calls at once", "ms", ways, kind="calls", better="lower",
                          ratios=[("libpodport", "podport-cni"), ("gocni", "podport-cni")])
        for turn, (name, way) in run.turns(ways.items(), run.rounds(rounds, quick) + (at_once == 1)):
            sandboxes = [Netns(f"{name}-{at_once}-{turn}-{number}") for number in range(at_once)]
            for command in COMMANDS:
                time.sleep(REST_S)
                taken = way.batch(command, [(netns.name, netns.path) for netns in sandboxes])
                if turn > 0 or at_once > 1:  # the first one warms caches
                    table.add(command, name, *taken)
            for netns in sandboxes:
                netns.delete()
    for way in ways.values():
        way.close()
    simulation.stop()
