# SPDX-License-Identifier: BSD-3-Clause
"""How long a pod waits for its network: ADD, CHECK and DEL by podport-cni, whole process.

Against ptp + host-local, and against the bare netlink operations that the kernel must do for a podport pod (netlink_ops.c, on a card of
the same kind); alone, 16 and 100 at once; with IPv4 and with both families. Most of an ADD that moves a netdev is the kernel's
rcu_barrier() in the move: one or two grace periods, by what the machine did in the milliseconds before. So that all meet the same, the
machine rests before each call, the plugins take turns in who is first, and the bare program is measured twice: as it is, and with its move
begun 2 ms later, about when podport's is ("bare, later"). With IPv6, ptp's ADD waits until duplicate address detection has
ended; a podport address needs none. ptp makes a veth pair where podport moves a function that is there."""

import concurrent.futures
import json
import subprocess
import time

from figures import median
from simulation import BIN, Daemon, Netns, Simulation, inside, wait_until

GROUP = "control plane"
PEERS = ["bench"]
RANGES = {"IPv4": [[{"subnet": "10.2.0.0/16"}]], "both": [[{"subnet": "10.2.0.0/16"}], [{"subnet": "fd00:2::/64"}]]}
REST_S = 0.1
MOVE_BEGINS_MS = 2  # between the plugin's start and the move: hostd, the agent's answer (docs/benchmarks.md)
COMMANDS = ("ADD", "CHECK", "DEL")
BUDGET_MS, BUDGET_PTP = 3, 1
# At once, rounds (and with --quick), families.
AMOUNTS = ((1, 25, 2, ("IPv4", "both")), (16, 3, 1, ("IPv4", "both")), (100, 1, 1, ("IPv4",)))


class Plugin:
    """A CNI plugin: ADD, CHECK with ADD's result, DEL."""

    def __init__(self, program, config):
        self.program, self.config = program, config
        self.results = {}

    def call(self, command, number, netns):
        """Milliseconds."""
        config = dict(self.config)
        if command != "ADD":
            config["prevResult"] = self.results[number]
        environment = {"CNI_COMMAND": command, "CNI_CONTAINERID": f"bench-{number}", "CNI_NETNS": netns.path, "CNI_IFNAME": "eth0",
                       "CNI_PATH": "/usr/lib/cni", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        begin = time.monotonic()
        result = subprocess.run([self.program], input=json.dumps(config), capture_output=True, text=True, check=False, env=environment)
        taken = time.monotonic() - begin
        if result.returncode != 0:
            raise RuntimeError(f"{self.program} {command}: {result.stdout}{result.stderr}")
        if command == "ADD":
            self.results[number] = json.loads(result.stdout)
        return 1000 * taken


class Bare:
    """The netlink operations alone, on a card of the same kind. It has nothing to check."""

    def __init__(self, simulation, program, families, functions, wait_ms):
        self.program, self.families, self.functions = program, families, functions
        self.environment = {"NETLINK_OPS_WAIT_US": str(1000 * wait_ms)} if wait_ms else {}
        self.host = Netns(f"bare{wait_ms}-{simulation.id}")
        socket = simulation.folder / f"bare{wait_ms}.sock"
        self.card = Daemon(simulation, f"bare{wait_ms}", self.host, BIN / "simnic-card", f"--socket={socket}", f"--functions={functions}")
        self.card.start()
        wait_until(lambda: f"simnic0v{functions - 1}" in self.host.links(), "the card is ready")

    def call(self, command, number, netns):
        if command == "CHECK":
            return None
        function = number % self.functions
        arguments = [f"simnic0v{function}", netns.path]
        if command == "ADD":
            arguments += [f"10.3.0.{function + 2}", "10.3.0.1", *((f"fd00:3::{function + 2:x}", "fd00:3::1") if self.families == "both" else "--")]
        with inside(self.host.path):
            begin = time.monotonic()
            result = subprocess.run([self.program, command.lower(), *arguments], capture_output=True, text=True, check=False,
                                    env=self.environment)
            taken = time.monotonic() - begin
        if result.returncode != 0:
            raise RuntimeError(f"netlink_ops {command}: {result.stderr}")
        return 1000 * taken

    def end(self):
        self.card.kill()
        self.host.delete()


def one(run, table, families, at_once, rounds):
    simulation = Simulation(functions=at_once, **({"ipv6": None} if families == "IPv4" else {})).start()
    program = run.compile("netlink_ops.c")
    podport = {"cniVersion": "1.0.0", "name": "bench", "type": "podport-cni", "socket": str(simulation.hostd_socket)}
    ptp = {"cniVersion": "1.0.0", "name": f"peer-{families}-{at_once}", "type": "ptp",
           "ipam": {"type": "host-local", "dataDir": "/run/host-local", "ranges": RANGES[families]}}
    bare, later = (Bare(simulation, program, families, at_once, wait_ms) for wait_ms in (0, MOVE_BEGINS_MS))
    plugins = {"podport-cni": Plugin(BIN / "podport-cni", podport), "ptp + host-local": Plugin("/usr/lib/cni/ptp", ptp), "bare netlink": bare,
               "bare, later": later}
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for turn, (name, plugin) in run.turns(plugins.items(), rounds + (at_once == 1)):
            numbers = range(turn * at_once, (turn + 1) * at_once)
            sandboxes = [Netns(f"bench-{families}-{number}-{name.replace(' ', '')}") for number in numbers]
            for command in COMMANDS:
                time.sleep(REST_S)
                taken = list(pool.map(lambda number, netns, plugin=plugin, command=command: plugin.call(command, number, netns),
                                      numbers, sandboxes))
                if turn > 0 or at_once > 1:  # the first one warms caches
                    table.add(f"{command}, {families}", name, *(ms for ms in taken if ms is not None))
            for netns in sandboxes:
                netns.delete()
    bare.end()
    later.end()
    simulation.stop()


def measure(run):
    for at_once, rounds, quick, families in AMOUNTS:
        title = "One call, alone" if at_once == 1 else f"{at_once} calls at once"
        table = run.table(title, "ms", ["podport-cni", "ptp + host-local", "bare netlink", "bare, later"],
                          ratios=[("podport-cni", "ptp + host-local"), ("podport-cni", "bare netlink")], kind="calls", better="lower")
        for of in families:
            one(run, table, of, at_once, run.rounds(rounds, quick))
        if at_once == 1:
            for command in ("ADD", "DEL"):
                ours, theirs, bare = (median(table.samples(f"{command}, IPv4", name)) for name in ("podport-cni", "ptp + host-local", "bare netlink"))
                run.budget(f"{command} by podport-cni above bare netlink, ms", ours - bare, BUDGET_MS)
                run.budget(f"{command} by podport-cni, of ptp + host-local", ours / theirs, BUDGET_PTP)
