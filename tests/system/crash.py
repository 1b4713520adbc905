# SPDX-License-Identifier: BSD-3-Clause
"""Daemons that die at a chosen point (proto/base/crash_point.h), a link that breaks on demand, a plugin that can be killed.

    CrashSimulation   a Simulation whose daemons know a folder of crash points, and whose link goes through a Relay
    Relay             stands between hostd and agent: passes everything on, until it is told to break or to hold the link
    PluginCall        podport-cni as a process of its own
    LibraryCaller     a process that calls by libpodport
"""

import contextlib
import json
import os
import select
import socket
import subprocess
import threading
import time

from simulation import BIN, BUILD, PATIENCE_S, Simulation, wait_until


class Relay:
    """A Unix socket in front of the agent's, served by one thread. It is there while the agent's is: a hostd that comes too
    early is refused, as it would be by the agent itself."""

    def __init__(self, listen, target):
        self.listen, self.target = listen, target
        self.held = self.ended = False
        self.listener = self.spare = None
        self.pairs = []
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def hold(self):
        """Break the link and let no new one come."""
        self.held = True
        wait_until(lambda: self.listener is None, "the relay listens no more")

    def cut(self):
        """Break the link, in the middle of whatever is on its way; a new one may come at once."""
        with self.lock:
            for pair in self.pairs:
                for end in pair:
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)

    def let_go(self):
        self.held = False

    def close(self):
        self.ended = True
        self.thread.join(PATIENCE_S)

    # ---- the thread ----

    def _open(self):
        far = socket.socket(socket.AF_UNIX)
        try:
            far.connect(str(self.target))
        except OSError:
            far.close()
            return
        self.spare = far
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.listen))
        self.listener.listen(16)

    def _shut(self):
        if self.listener is None:
            return
        with contextlib.suppress(OSError):
            os.unlink(self.listen)
        self.listener.close()
        if self.spare:
            self.spare.close()
        self.listener = self.spare = None
        self.cut()

    def _accept(self):
        near, _ = self.listener.accept()
        far, self.spare = self.spare, None
        try:
            if far is None:
                far = socket.socket(socket.AF_UNIX)
                far.connect(str(self.target))
        except OSError:
            near.close()
            far.close()
            self._shut()
            return
        with self.lock:
            self.pairs.append((near, far))

    def _pass_on(self, pair, source):
        with contextlib.suppress(OSError):
            data = source.recv(65536)
            if data:
                pair[pair[0] is source].sendall(data)
                return
        self._drop(pair)

    def _drop(self, pair):
        with self.lock:
            self.pairs.remove(pair)
        for end in pair:
            end.close()

    def _serve(self):
        while not self.ended:
            if self.held:
                self._shut()
            elif self.listener is None:
                self._open()
            ends = {end: pair for pair in self.pairs for end in pair}
            fixed = [item for item in (self.listener, self.spare) if item]
            ready, _, _ = select.select([*fixed, *ends], [], [], 0.01)
            for item in ready:
                if item is self.listener:
                    self._accept()
                elif item is self.spare:  # the agent speaks first, or has died
                    if not self.spare.recv(1, socket.MSG_PEEK):
                        self._shut()
                    else:
                        time.sleep(0.001)
                elif item in ends and ends[item] in self.pairs:
                    self._pass_on(ends[item], item)
        self._shut()
        for pair in list(self.pairs):
            self._drop(pair)


class PluginCall:
    """One run of podport-cni that goes on beside us."""

    def __init__(self, pod, command, timeout_ms=60000, valid=None):
        config = pod.configuration(timeout_ms=timeout_ms)
        if command == "GC":
            config |= {"cniVersion": "1.1.0", "cni.dev/valid-attachments": valid}
        if command == "DEL" and pod.result is not None:
            config["prevResult"] = pod.result
        self.pod, self.command = pod, command
        self.process = subprocess.Popen([BIN / "podport-cni"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=pod.environment(command))
        self.process.stdin.write(json.dumps(config))
        self.process.stdin.close()

    def running(self):
        return self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def result(self, codes=(5, 11)):
        """True: success. An ADD's result is the pod's from then on. `codes`: what an error may be."""
        output = self.process.stdout.read()
        status = self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        if status == 0 and self.command != "GC":
            self.pod.result = json.loads(output) if self.command == "ADD" else None
        elif status != 0:
            assert json.loads(output)["code"] in codes, f"{self.command}: {output}"
        return status == 0


class LibraryCaller:
    """A runtime that calls by libpodport, as gocni does: one process and one connection for all its calls. What went wrong is
    told by libpodport's codes."""

    def __init__(self, sim):
        self.process = subprocess.Popen([BUILD / "unit" / "podport-caller", sim.hostd_socket], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=sim.environment())

    def call(self, pod, command, codes):
        """True: success. An ADD's addresses are the pod's from then on; a CHECK's must be. `codes`: what an error may be."""
        self.process.stdin.write(f"{command} {pod.network} {pod.container_id} {pod.ifname} {pod.netns.path}\n")
        self.process.stdin.flush()
        good, *rest = self.process.stdout.readline().split()
        if good != "ok":
            assert int(rest[0]) in codes, f"{command} of {pod.container_id}: {rest}"
        elif command == "ADD":
            pod.result = {"cniVersion": pod.version, "ips": [{"address": f"{rest[0]}/32"}, {"address": f"{rest[1]}/128"}]}
        elif command == "CHECK":
            assert rest == [pod.ipv4, pod.ipv6], f"{pod.container_id} has {rest}, not {pod.ipv4} {pod.ipv6}"
        else:
            pod.result = None
        return good == "ok"

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(PATIENCE_S) == 0
        self.process.stdout.close()


class CrashSimulation(Simulation):
    """The daemons of a build with PODPORT_TEST_HOOKS. Without .points nothing is armed."""

    def __init__(self, **options):
        super().__init__(**options)
        self.points = self.folder / "points"
        self.points.mkdir()
        self.armed = {}  # point -> what happens there
        link = self.folder / "link.sock"
        text = self.hostd_config.read_text()
        self.hostd_config.write_text(text.replace(f"agent: ipc://{self.agent_socket}", f"agent: ipc://{link}"))
        self.relay = Relay(link, self.agent_socket)

    def environment(self):
        return {**super().environment(), "PODPORT_CRASH_POINTS": str(self.points)}

    def arm(self, point, action="stop", passing=1):
        aside = self.points / "aside"
        aside.write_text(f"{action} {passing}\n")
        aside.rename(self.points / point)
        self.armed[point] = action

    def disarm(self):
        """All of them; who stands at one goes on. When this returns, nobody will die of one any more: either we take the
        file away or a daemon renames it, and one that was first is dead before we go on."""
        for point, action in self.armed.items():
            try:
                (self.points / point).unlink()
            except FileNotFoundError:
                if action == "kill":
                    self.wait_dead(self.hostd if point.startswith("hostd:") else self.agent, point)
            (self.points / f"{point}.reached").unlink(missing_ok=True)
        self.armed.clear()

    def wait_dead(self, daemon, point):
        wait_until(lambda: not daemon.alive(), lambda: f"{daemon.name} dies at {point}\n{self.logs()}")

    def reached(self, point):
        return (self.points / f"{point}.reached").exists()

    def wait_reached(self, point, call=None):
        """Until somebody stands at the point."""
        def describe():
            ended = "" if call is None or call.running() else f"; the call has ended: {call.process.stdout.read()}"
            return f"{point} is passed{ended}\n{self.logs()}"
        wait_until(lambda: self.reached(point), describe, interval_s=0.002)

    def revive(self, ready=True):
        """Start again whoever is dead, let the link be, and wait until all is well."""
        self.relay.let_go()
        for daemon in (self.agent, self.hostd):
            if not daemon.alive():
                daemon.start()
        if ready:
            self.wait_ready()

    def stop(self):
        super().stop()
        self.relay.close()

    def abandon(self):
        super().abandon()
        self.relay.close()
