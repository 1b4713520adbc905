# SPDX-License-Identifier: BSD-3-Clause
"""A simulated host and DPU for the tests: the real daemons, and pods attached as a container runtime would.

    Simulation   card, agent and hostd of one build, each in its network namespace, with a folder of their own
    Pod          a network namespace attached by running podport-cni with environment and stdin
    Leaks        what there is before a test, to be the same after it

Everything is below /run, which tests/run has made private to the tests. Nothing waits for time: wait_until polls a
condition, and its limit only says when to give up.
"""

import collections
import contextlib
import ctypes
import ipaddress
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("PODPORT_TEST_BUILD", ROOT / "build" / "dev"))
BIN = BUILD / "bin"
SANITIZED = BUILD.name in ("asan", "tsan")
# Sanitizers and a machine with two busy cores are slow; a limit is for what hangs, not for what is slow.
PATIENCE_S = 60 if SANITIZED else 30

_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


def wait_until(condition, what, timeout_s=PATIENCE_S, interval_s=0.02):
    """Poll until condition() is true; its value. Fails with `what` (text, or a function that makes it)."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what() if callable(what) else what}")
        time.sleep(interval_s)


@contextlib.contextmanager
def inside(netns):
    """This thread in a network namespace (a path). Sockets and processes made inside stay there."""
    with open("/proc/thread-self/ns/net", "rb") as here, open(netns, "rb") as there:
        if _libc.setns(there.fileno(), 0x40000000) != 0:  # CLONE_NEWNET
            raise OSError(ctypes.get_errno(), f"cannot enter {netns}")
        try:
            yield
        finally:
            if _libc.setns(here.fileno(), 0x40000000) != 0:
                os.abort()  # the rest of the tests would run in a wrong place


class Netns:
    """A named network namespace."""

    def __init__(self, name):
        self.name = name
        self.path = f"/run/netns/{name}"
        subprocess.run(["ip", "netns", "add", name], check=True)
        self.run("ip", "link", "set", "lo", "up")

    def command(self, *command):
        return ["nsenter", f"--net={self.path}", "--", *map(str, command)]

    def run(self, *command, check=True, **options):
        options = {"capture_output": True, "text": True, "timeout": 4 * PATIENCE_S, **options}
        result = subprocess.run(self.command(*command), check=False, **options)
        if check and result.returncode != 0:
            raise AssertionError(f"in {self.name}: {' '.join(map(str, command))}: status {result.returncode}\n"
                                 f"{result.stdout or ''}{result.stderr or ''}")
        return result

    def popen(self, *command, **options):
        return subprocess.Popen(self.command(*command), **options)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
        with inside(self.path):
            made = socket.socket(family, kind, protocol)
        made.settimeout(PATIENCE_S)
        return made

    def links(self):
        """{name: what `ip -json link` says}."""
        output = self.run("ip", "-json", "-details", "link").stdout
        return {link["ifname"]: link for link in json.loads(output or "[]")}

    def addresses(self, ifname):
        output = self.run("ip", "-json", "address", "show", "dev", ifname).stdout
        return [f"{a['local']}/{a['prefixlen']}" for link in json.loads(output) for a in link.get("addr_info", [])
                if a["scope"] == "global"]

    def ping(self, target, *options, count=3, check=True):
        """The output of ping; fails unless every packet came back."""
        # Without a deadline ping waits for the last answer no longer than an interval, or than the others took twice: on a busy
        # machine that is too short. With one it goes on until so many are answered.
        deadline = ["-w", PATIENCE_S] if check else []
        result = self.run("ping", "-n", "-c", count, "-i", "0.05", "-W", "5", *deadline, *options, target, check=False)
        answered = {int(number) for number in re.findall(r"icmp_seq=(\d+) ttl=", result.stdout)}
        if check and not answered >= set(range(1, count + 1)):
            raise AssertionError(f"{self.name} does not reach {target}:\n{result.stdout}{result.stderr}")
        return result.stdout

    def delete(self):
        subprocess.run(["ip", "netns", "delete", self.name], check=False, capture_output=True)


class Daemon:
    """One of our programs, in a network namespace, with its log."""

    def __init__(self, simulation, name, netns, *command):
        self.simulation, self.name, self.netns, self.command = simulation, name, netns, command
        self.log = simulation.folder / f"{name}.log"
        self.process = None

    def start(self):
        assert not self.alive(), f"{self.name} runs already"
        with open(self.log, "ab") as log:
            self.process = self.netns.popen(*self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.simulation.environment(), start_new_session=True)
        return self

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def send(self, number):
        self.process.send_signal(number)

    def kill(self, number=signal.SIGKILL):
        """End it and wait for that; its exit status."""
        if self.process is None:
            return None
        if self.alive():
            self.send(number)
        try:
            status = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} does not end on signal {number}\n{self.tail()}") from None
        self.process = None
        return status

    def tail(self, lines=25):
        if not self.log.exists():
            return f"--- {self.name} has no log\n"
        text = self.log.read_text(errors="replace").splitlines()
        return f"--- the end of {self.name}.log\n" + "\n".join(text[-lines:]) + "\n"

    def fds(self):
        """What its file descriptors point to, sorted, without numbers that differ each time."""
        names = []
        for entry in pathlib.Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                names.append(re.sub(r"^(socket|pipe):\[\d+\]$", r"\1", os.readlink(entry)))
        return sorted(names)

    def cpu_ticks(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def rss_kb(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0


class CniResult:
    """What one run of the plugin came to."""

    def __init__(self, process, seconds):
        self.status = process.returncode
        self.stdout, self.stderr = process.stdout, process.stderr
        self.seconds = seconds

    @property
    def ok(self):
        return self.status == 0

    @property
    def json(self):
        return json.loads(self.stdout)

    @property
    def code(self):
        """The CNI error code; fails if there was no error in CNI's form."""
        assert self.status != 0, f"no error: {self.stdout}"
        error = self.json
        assert error["cniVersion"] and error["msg"], f"not an error as CNI writes it: {self.stdout}"
        return error["code"]

    def __str__(self):
        return f"status {self.status}, stdout {self.stdout.strip()!r}, stderr {self.stderr.strip()!r}"


class Pod:
    """A sandbox (a network namespace), and the runtime's calls for it."""

    def __init__(self, simulation, network="test", version="1.0.0", ifname="eth0", **config):
        self.simulation = simulation
        self.number = next(_numbers)
        self.container_id = f"container-{simulation.id}-{self.number}"
        self.network, self.version, self.ifname, self.config = network, version, ifname, config
        self.netns = Netns(f"pod-{simulation.id}-{self.number}")
        self.result = None
        simulation.pods.append(self)

    # What a pod does is done in its namespace.
    def __getattr__(self, attribute):
        if attribute in ("run", "popen", "ping", "socket", "links", "addresses"):
            return getattr(self.netns, attribute)
        raise AttributeError(attribute)

    def environment(self, command, **changes):
        """The plugin's environment; a value of None takes the variable away."""
        environment = {"CNI_COMMAND": command, "CNI_CONTAINERID": self.container_id, "CNI_NETNS": self.netns.path,
                       "CNI_IFNAME": self.ifname, "CNI_PATH": str(BIN), **self.simulation.environment()}
        environment.update(changes)
        return {key: value for key, value in environment.items() if value is not None}

    def configuration(self, **changes):
        config = {"cniVersion": self.version, "name": self.network, "type": "podport-cni",
                  "socket": str(self.simulation.hostd_socket), **self.config}
        config.update(changes)
        return {key: value for key, value in config.items() if value is not None}

    def call(self, command, stdin=None, environment=None, **changes):
        """Run the plugin as a runtime does. `stdin` (text) in place of the configuration with `changes`."""
        if stdin is None:
            stdin = json.dumps(self.configuration(**changes))
        begin = time.monotonic()
        process = subprocess.run([BIN / "podport-cni"], input=stdin, capture_output=True, text=True, check=False,
                                 env=self.environment(command, **(environment or {})), timeout=4 * PATIENCE_S)
        return CniResult(process, time.monotonic() - begin)

    def add(self, **options):
        """ADD that must succeed; the pod."""
        result = self.try_add(**options)
        assert result.ok, f"ADD: {result}\n{self.simulation.logs()}"
        return self

    def try_add(self, **options):
        result = self.call("ADD", **options)
        if result.ok:
            self.result = result.json
        return result

    def try_delete(self, **options):
        if self.result is not None and self.version >= "0.4.0":
            options = {"prevResult": self.result, **options}
        result = self.call("DEL", **options)
        if result.ok:
            self.result = None
        return result

    def delete(self, **options):
        result = self.try_delete(**options)
        assert result.ok and result.stdout == "", f"DEL: {result}\n{self.simulation.logs()}"
        return self

    def try_check(self, **options):
        return self.call("CHECK", **{"prevResult": self.result, **options})

    def check(self):
        result = self.try_check()
        assert result.ok and result.stdout == "", f"CHECK: {result}\n{self.simulation.logs()}"

    def address(self, family):
        for entry in (self.result or {}).get("ips", []):
            interface = ipaddress.ip_interface(entry["address"])
            if interface.version == family:
                return str(interface.ip)
        return None

    @property
    def ipv4(self):
        return self.address(4)

    @property
    def ipv6(self):
        return self.address(6)

    @property
    def mac(self):
        return self.links()[self.ifname]["address"]

    def gone(self):
        """End the sandbox without telling anyone."""
        self.netns.delete()

    def close(self):
        """Undo whatever is left of it."""
        if self in self.simulation.pods:
            self.simulation.pods.remove(self)
        result = self.try_delete()
        self.netns.delete()
        assert result.ok, f"DEL: {result}\n{self.simulation.logs()}"


class Simulation:
    """A host and its DPU. Options are the keys of the two configuration files that tests change."""

    def __init__(self, functions=8, ipv4="10.88.0.0/16", ipv6="fd00:10:88::/64", mtu=1500, reclaim_grace_s=1,
                 timeout_ms=5000, offload=None, loopback=True, icmp6=True, memory_mb=128, device_arguments="", vhost_dir=None, agent_yaml="",
                 hostd_yaml="", workers=1):
        self.id = f"{os.getpid()}x{next(_numbers)}"
        self.functions, self.ipv4, self.ipv6 = functions, ipv4, ipv6
        self.vhost_dir = vhost_dir  # of sockets: None if agent_yaml has none
        self.folder = pathlib.Path(f"/run/podport-{self.id}")
        self.folder.mkdir(mode=0o700)
        (self.folder / "sanitizer").mkdir()
        for state in ("agent", "hostd"):
            (self.folder / state).mkdir(mode=0o700)
        # DPDK loads no plugin from below a folder that everybody may write to, as a clone in /tmp is.
        shutil.copy(f"{BUILD}/lib/librte_net_simnic.so", self.folder)
        self.agent_socket = self.folder / "agent.sock"
        self.hostd_socket = self.folder / "hostd.sock"
        self.card_socket = self.folder / "card.sock"
        self.boot_id = self.folder / "boot_id"
        self.boot_id.write_text("11111111-2222-3333-4444-555555555555\n")
        self.pods = []
        self.resident_ctl = None  # ResidentCtl, while a test has one

        self.agent_config = self.folder / "agent.yaml"
        self.agent_options = {"mtu": mtu, "offload": offload, "loopback": loopback, "icmp6": icmp6, "memory_mb": memory_mb,
                              "device_arguments": device_arguments, "workers": workers, "more": agent_yaml}
        self.configure()
        self.hostd_config = self.folder / "hostd.yaml"
        self.hostd_config.write_text(
            f"agent: ipc://{self.agent_socket}\n"
            f"listen: {self.hostd_socket}\n"
            f"state_dir: {self.folder}/hostd\n"
            f"timeout_ms: {timeout_ms}\n"
            'function_netdev: "simnic0v%u"\n'
            f"reclaim_grace_s: {reclaim_grace_s}\n"
            f"boot_id_path: {self.boot_id}\n{hostd_yaml}")

        self.host = Netns(f"host-{self.id}")
        self.dpu = Netns(f"dpu-{self.id}")
        self.card = Daemon(self, "card", self.host, BIN / "simnic-card", f"--socket={self.card_socket}",
                           f"--functions={functions}")
        # The agent needs nothing of the host's network, so it gets a namespace where there is nothing.
        self.agent = Daemon(self, "agent", self.dpu, BIN / "podport-agent", "--config", self.agent_config)
        self.hostd = Daemon(self, "hostd", self.host, BIN / "podport-hostd", "--config", self.hostd_config)
        self.daemons = [self.card, self.agent, self.hostd]

    def configure(self, **changes):
        """Write the agent's configuration, with other values of its options; read when the agent starts."""
        options = self.agent_options
        options.update(changes)
        pod_network = "".join(f"  {key}: {value}\n" for key, value in
                              (("ipv4", self.ipv4), ("ipv6", self.ipv6), ("mtu", options["mtu"])) if value)
        # None: as it is when nobody says anything.
        offload = "" if options["offload"] is None else f"  offload: {str(options['offload']).lower()}\n"
        self.agent_config.write_text(
            f"listen: ipc://{self.agent_socket}\n"
            f"state_dir: {self.folder}/agent\n"
            "nic:\n"
            f"  device: net_simnic0,card={self.card_socket}{options['device_arguments']}\n"
            f"  functions: {self.functions}\n  offload_loopback: {str(options['loopback']).lower()}\n"
            f"  offload_icmp6: {str(options['icmp6']).lower()}\n{offload}"
            "dpdk:\n"
            f"  drivers: [{self.folder}/librte_net_simnic.so]\n"
            "  huge_pages: false\n"
            f"  memory_mb: {options['memory_mb']}\n"
            f"  workers: {options['workers']}\n"
            "  packet_buffers: 8192\n"
            f"  file_prefix: podport-{self.id}\n"
            f"pod_network:\n{pod_network}{options['more']}")

    def environment(self):
        options = f"log_path={self.folder}/sanitizer/report:abort_on_error=0:exitcode=99"
        return {"PATH": os.environ["PATH"],  # tests/run knows where programs were unpacked to
                "ASAN_OPTIONS": options + ":detect_leaks=1", "UBSAN_OPTIONS": options + ":print_stacktrace=1",
                "TSAN_OPTIONS": f"{options}:suppressions={ROOT}/tests/tsan.supp", "LSAN_OPTIONS": f"suppressions={ROOT}/tests/lsan.supp:print_suppressions=0"}

    def start(self):
        self.card.start()
        wait_until(lambda: self.alive(self.card) and self.card_socket.exists(), lambda: "the card is ready\n" + self.logs())
        self.agent.start()
        self.hostd.start()
        self.wait_ready()
        return self

    def alive(self, *daemons):
        for daemon in daemons:
            if not daemon.alive():
                raise AssertionError(f"{daemon.name} ended with status {daemon.process and daemon.process.returncode}\n"
                                     + self.logs())
        return True

    def ready(self):
        status = self.status(check=False)
        agent, host = status.get("agent") or {}, status.get("host") or {}
        return bool(status.get("ready") and agent.get("ready") and host.get("link_up") and host.get("host_port_ready"))

    def wait_ready(self):
        """Agent and hostd answer, know each other, and have brought up the host's port."""
        wait_until(lambda: self.alive(*self.daemons) and self.ready(),
                   lambda: f"agent and hostd are ready: {self.status(check=False)}\n{self.logs()}")

    def restart(self, daemon, number=signal.SIGKILL):
        daemon.kill(number)
        daemon.start()
        self.wait_ready()

    def podportctl(self, *arguments, check=True):
        result = subprocess.run([BIN / "podportctl", "--socket", self.hostd_socket, *arguments], capture_output=True, text=True, check=False,
                                env=self.environment(), timeout=4 * PATIENCE_S)
        if check:
            assert result.returncode == 0, f"podportctl {arguments}: {result.stderr}{result.stdout}\n{self.logs()}"
        return result

    def ask(self, what, check=True):
        """podportctl's answer as JSON. `status` answers with status 1 while no pod can be attached."""
        if self.resident_ctl:
            status, output = self.resident_ctl.ask(what)
        else:
            result = self.podportctl(what, "--json", check=False)
            status, output = result.returncode, result.stdout
        answer = json.loads(output or "{}")
        if check:
            assert status == 0 or (what == "status" and "host" in answer), f"podportctl {what}: {output}\n{self.logs()}"
        return answer

    def status(self, check=True):
        """What podportctl status tells; the agent's part is None while it is away."""
        return self.ask("status", check)

    def attachments(self):
        return self.ask("pods")["pods"]

    def ports(self):
        return self.ask("ports")["ports"]

    def port_of(self, pod):
        for port in self.ports():
            if (port.get("attachment") or {}).get("container_id") == pod.container_id:
                return port
        raise AssertionError(f"no port serves {pod.container_id}: {self.ports()}")

    def drops(self, pod):
        """{reason: packets} of what the pod sent."""
        return self.port_of(pod).get("drops") or {}

    def gateway(self, family):
        prefix = ipaddress.ip_network(self.ipv4 if family == 4 else self.ipv6)
        return str(prefix[1])

    def pod(self, **options):
        """A sandbox; attach it with .add()."""
        return Pod(self, **options)

    def logs(self):
        return "".join(daemon.tail() for daemon in self.daemons) + self.sanitizer_reports()

    def sanitizer_reports(self):
        return "".join(f"--- {report.name}\n{report.read_text(errors='replace')[:6000]}\n"
                       for report in sorted((self.folder / "sanitizer").iterdir()))

    def close_pods(self):
        """DEL for every pod a test has left, and their sandboxes away."""
        problems = []
        for pod in list(self.pods):
            try:
                pod.close()
            except AssertionError as error:
                problems.append(str(error))
        assert not problems, "\n".join(problems)

    def abandon(self):
        """End all at once, without a look at how."""
        for daemon in self.daemons:
            daemon.kill()
        for pod in self.pods:
            pod.netns.delete()
        self.host.delete()
        self.dpu.delete()

    def stop(self):
        """End all, in order, as a service manager would; whoever does not end cleanly fails the test."""
        problems = []
        for daemon in (self.hostd, self.agent, self.card):
            try:
                alive = daemon.alive()
                status = daemon.kill(signal.SIGTERM)
                if alive and status != 0:
                    problems.append(f"{daemon.name} ended with status {status} on SIGTERM\n{daemon.tail()}")
            except AssertionError as error:
                problems.append(str(error))
        problems += [self.sanitizer_reports()] if self.sanitizer_reports() else []
        for pod in list(self.pods):
            pod.netns.delete()
        self.host.delete()
        self.dpu.delete()
        assert not problems, "\n".join(problems)


class Leaks:
    """What a test must leave as it was: functions, addresses, namespaces, netdevs, descriptors, files, processes."""

    def __init__(self, simulation):
        self.simulation = simulation
        self.pids = {daemon.name: daemon.process and daemon.pid for daemon in simulation.daemons}
        self.before = self.look()

    def look(self):
        simulation = self.simulation
        status, ipam = simulation.status(), simulation.ask("ipam")
        seen = {
            "functions in use": status["agent"]["functions_used"],
            "attachments": status["agent"]["attachments"],
            "queued deletes": status["host"]["queued_deletes"],
            "calls in flight": status["host"]["calls_in_flight"],
            "addresses": {family: pool["allocated"] for family, pool in ipam.items() if pool},
            "network namespaces": sorted(os.listdir("/run/netns")),
            "netdevs of the host": sorted(simulation.host.links()),
            "netdevs of the DPU": sorted(simulation.dpu.links()),
            "files": sorted(str(path.relative_to(simulation.folder)) for state in ("agent", "hostd")
                            for path in (simulation.folder / state).rglob("*")),
            "plugin processes": [process for process in self.processes() if process.startswith("podport-cni")],
        }
        for daemon in simulation.daemons:
            # After a restart other numbers are right: a new process is only compared with itself.
            if daemon.alive() and self.pids[daemon.name] == daemon.pid:
                seen[f"descriptors of {daemon.name}"] = self.descriptors(daemon)
        return seen

    def descriptors(self, daemon):
        """Without the interrupt descriptor that each function's queue gets when it is first used, and keeps."""
        names = daemon.fds()
        events = names.count("anon_inode:[eventfd]")
        if daemon is self.simulation.agent and events <= self.simulation.functions + 16:
            names = [name for name in names if name != "anon_inode:[eventfd]"]
        return names

    @staticmethod
    def processes():
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    yield pathlib.Path(f"/proc/{entry}/comm").read_text().strip()

    def differences(self):
        after = self.look()
        return {what: (self.before[what], value) for what, value in after.items()
                if what in self.before and self.differ(what, self.before[what], value)}

    @staticmethod
    def differ(what, before, after):
        # A connection that was just being closed when the test began is no descriptor that the test has lost.
        if what.startswith("descriptors of"):
            return bool(collections.Counter(after) - collections.Counter(before))
        return before != after

    def check(self):
        """Fails with what differs, if that does not go away by itself."""
        def describe():
            lines = []
            for what, (before, after) in self.differences().items():
                if isinstance(before, list):
                    gone, new = list(before), []
                    for item in after:
                        gone.remove(item) if item in gone else new.append(item)
                    lines.append(f"{what}: new {new}, gone {gone}")
                else:
                    lines.append(f"{what}: {before} before, {after} after")
            return "nothing is leaked: " + "; ".join(lines) + "\n" + self.simulation.logs()

        wait_until(lambda: not self.differences(), describe)


@contextlib.contextmanager
def measured(**options):
    """A simulation for a module's fixture, which looks once for many tests: gone after the block, and nothing is leaked."""
    simulation = Simulation(**options)
    try:
        simulation.start()
        simulation.pod().add().close()
        leaks = Leaks(simulation)
        yield simulation
        simulation.close_pods()
        leaks.check()
        simulation.stop()
    except BaseException:
        simulation.abandon()
        raise
