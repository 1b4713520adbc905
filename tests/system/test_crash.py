# SPDX-License-Identifier: BSD-3-Clause
"""The crash matrix: at each point of ADD and DEL, hostd, agent or both die, or the link breaks; then the runtime goes on as
containerd does. Nothing may be left of it: no function, address, rule, interface, namespace, file or descriptor.

    PODPORT_CRASH_ROUNDS=1   each row so often, every time with another order of events: by default 3 times, once with sanitizers
    PODPORT_CRASH_POINT=TEXT only points with this in their name

The rows are the points in the source; docs/architecture.md has them as a table, and a test below compares the three.
"""

import concurrent.futures
import contextlib
import os
import re
import time

from crash import CrashSimulation, PluginCall
from simulation import ROOT, SANITIZED, Leaks, wait_until

WALKERS = 3
VICTIMS = ("hostd", "agent", "both", "link")

# Of each point: how a call gets there.
ADD = ("hostd:add:begun", "agent:add:planned", "agent:add:recorded", "agent:add:started", "agent:add:offloaded",
       "agent:add:answered", "hostd:add:asked", "hostd:add:marked", "hostd:add:moved", "hostd:add:dressed", "hostd:add:answered")
ADD_FAILS = ("hostd:add:rolled-back",)
ADD_ABANDONED = ("hostd:undo:begun", "hostd:undo:undressed", "hostd:undo:released")
DEL = ("hostd:del:begun", "hostd:del:undressed", "agent:del:planned", "agent:del:recorded", "agent:del:unoffloaded",
       "agent:del:stopped", "agent:del:released", "agent:del:answered", "hostd:del:told", "hostd:del:answered")
DEL_QUEUED = ("hostd:del:written", "hostd:del:queued")
DELIVERY = ("hostd:deliver:told",)
RECLAIM = ("hostd:reclaim:begun",)
GC = ("hostd:gc:undressed",)
POINTS = ADD + ADD_FAILS + ADD_ABANDONED + DEL + DEL_QUEUED + DELIVERY + RECLAIM + GC


class Row:
    """A point, who fails there, and when the failed come back: before the runtime's next call, or after its last one."""

    def __init__(self, sim, point, victim, late):
        self.sim, self.point, self.victim, self.late = sim, point, victim, late
        self.pod = sim.pod()
        self.answers = []

    @property
    def order(self):
        return "late" if self.late else "soon"

    def strike(self):
        if self.victim in ("hostd", "both"):
            self.sim.hostd.kill()
        if self.victim in ("agent", "both"):
            self.sim.agent.kill()
        if self.victim == "link":
            self.sim.relay.hold() if self.late else self.sim.relay.cut()
        self.sim.disarm()

    def fail_at(self, call=None):
        """Wait until the point is reached, let fail what is to fail, and bring it back unless it comes late."""
        self.sim.wait_reached(self.point, call)
        self.strike()
        if not self.late:
            self.sim.revive(ready=False)

    def note(self, command, good):
        self.answers.append(command if good else command.lower())
        return good

    def end_as_containerd(self):
        """After a failed ADD: DEL once, whatever becomes of it, and the sandbox is removed."""
        if not self.late:
            self.sim.revive()
        self.note("DEL", PluginCall(self.pod, "DEL").result())
        self.end_sandbox()

    def end_sandbox(self):
        self.pod.gone()
        self.sim.pods.remove(self.pod)
        self.sim.revive()

    # ---- how a call gets to the point ----

    def add(self):
        self.sim.arm(self.point)
        call = PluginCall(self.pod, "ADD")
        self.fail_at(call)
        if self.note("ADD", call.result()) and not self.late:
            self.sim.revive()
            self.pod.check()
            self.pod.ping(self.sim.gateway(4), count=1)
        self.end_as_containerd()

    def add_fails(self):
        """The sandbox makes trouble after the function has come into it: somebody renames it."""
        self.sim.arm("hostd:add:moved")
        self.sim.arm(self.point)
        call = PluginCall(self.pod, "ADD")
        self.sim.wait_reached("hostd:add:moved", call)
        self.pod.run("ip", "link", "set", "eth0", "name", "other")
        (self.sim.points / "hostd:add:moved.reached").unlink()
        self.fail_at(call)
        assert not self.note("ADD", call.result(codes=(5, 11, 113)))  # 113: the sandbox
        self.end_as_containerd()

    def add_abandoned(self):
        """The runtime kills the plugin when all is done but the answer."""
        self.sim.arm("hostd:add:dressed")
        self.sim.arm(self.point)
        call = PluginCall(self.pod, "ADD")
        self.sim.wait_reached("hostd:add:dressed", call)
        call.kill()
        (self.sim.points / "hostd:add:dressed.reached").unlink()
        self.fail_at()
        self.end_as_containerd()

    def delete(self):
        self.pod.add()
        self.sim.arm(self.point)
        call = PluginCall(self.pod, "DEL")
        self.fail_at(call)
        # The runtime knows the pod, so it repeats DEL until it succeeds. That takes hostd, not the agent.
        good = self.note("DEL", call.result())
        if not self.late:
            self.sim.revive()
        elif not good and not self.sim.hostd.alive():
            self.sim.hostd.start()
        if not good:
            wait_until(lambda: PluginCall(self.pod, "DEL").result(), lambda: f"DEL succeeds\n{self.sim.logs()}")
            self.note("DEL", True)
        assert set(self.pod.links()) == {"lo"}
        self.end_sandbox()

    def delete_queued(self):
        self.sim.relay.hold()
        wait_until(lambda: not self.sim.status()["host"]["link_up"], "hostd has noticed")
        self.delete_prepared()

    def delete_prepared(self):
        self.sim.arm(self.point)
        call = PluginCall(self.pod, "DEL")
        self.fail_at(call)
        good = self.note("DEL", call.result())
        if not self.sim.hostd.alive():
            self.sim.hostd.start()
        if not good:
            wait_until(lambda: PluginCall(self.pod, "DEL").result(), lambda: f"DEL succeeds\n{self.sim.logs()}")
            self.note("DEL", True)
        self.end_sandbox()

    def delivery(self):
        self.pod.add()
        self.sim.relay.hold()
        wait_until(lambda: not self.sim.status()["host"]["link_up"], "hostd has noticed")
        assert self.note("DEL", PluginCall(self.pod, "DEL").result())
        self.sim.arm(self.point)
        self.sim.relay.let_go()
        self.fail_at()
        self.end_sandbox()

    def reclaim(self):
        self.pod.add()
        self.sim.arm(self.point)
        self.pod.gone()
        self.fail_at()
        self.end_sandbox()

    def collect(self):
        """The runtime has forgotten the pod, whose sandbox is still there."""
        self.pod.add()
        valid = [{"containerID": pod.container_id, "ifname": pod.ifname} for pod in self.sim.pods if pod is not self.pod]
        self.sim.arm(self.point)
        call = PluginCall(self.pod, "GC", valid=valid)
        self.fail_at(call)
        good = self.note("GC", call.result())
        self.sim.revive()
        if not good:
            wait_until(lambda: PluginCall(self.pod, "GC", valid=valid).result(), lambda: f"GC succeeds\n{self.sim.logs()}")
            self.note("GC", True)
        assert set(self.pod.links()) == {"lo"}
        self.end_sandbox()

    def run(self):
        ways = ((ADD, self.add), (ADD_FAILS, self.add_fails), (ADD_ABANDONED, self.add_abandoned), (DEL, self.delete),
                (DELIVERY, self.delivery), (RECLAIM, self.reclaim), (GC, self.collect))
        for points, way in ways:
            if self.point in points:
                return way()
        self.pod.add()
        return self.delete_queued()


class LeaksOfOne(Leaks):
    """Of one simulation among several that are at work."""

    def look(self):
        seen = super().look()
        seen["network namespaces"] = [name for name in seen["network namespaces"] if f"-{self.simulation.id}" in name]
        del seen["plugin processes"]  # a row waits for its own
        return seen


class Witness:
    """What must be as it was after each row: Leaks, also of new processes; rules; and a pod that was there all the time."""

    def __init__(self, sim):
        self.sim = sim
        self.pod = sim.pod().add()
        self.attachments = sim.attachments()
        self.rules = self.count_rules()
        self.leaks = LeaksOfOne(sim)

    def count_rules(self):
        flows = self.sim.ask("flows")
        return len(flows["flows"])

    def check(self):
        # A new process may have fewer descriptors than one that has been through everything, but not more.
        self.leaks.pids = {daemon.name: daemon.pid for daemon in self.sim.daemons}
        self.leaks.check()
        assert self.sim.attachments() == self.attachments
        wait_until(lambda: self.count_rules() == self.rules, lambda: f"{self.rules} rules: {self.sim.ask('flows')}")
        assert not list(self.sim.points.iterdir()), "a point is still armed"
        self.pod.check()
        self.pod.ping(self.sim.gateway(4), count=1)


@contextlib.contextmanager
def crash_simulation():
    # No grace time: what is gone is gone, and a row need not wait for it.
    simulation = CrashSimulation(reclaim_grace_s=0)
    try:
        simulation.start()
        simulation.pod().add().close()
        yield simulation
        simulation.close_pods()
        simulation.stop()
    except BaseException:
        simulation.abandon()
        raise


def points_in_source():
    return {point for folder in ("host-stub", "dpu-agent", "proto") for path in (ROOT / folder).rglob("*.c")
            for point in re.findall(r'crash_point\("([^"]+)"\)', path.read_text())}


def test_every_crash_point_is_a_row_of_the_matrix_and_of_the_documentation():
    documented = set(re.findall(r"^\| `((?:hostd|agent):[a-z:-]+)` ", (ROOT / "docs" / "architecture.md").read_text(), re.M))
    assert set(POINTS) == points_in_source()
    assert set(POINTS) == documented


def walk(rows):
    """Run rows, taken from the list that several share; {(point, victim, number): outcome}."""
    outcomes = {}
    with crash_simulation() as sim:
        witness = Witness(sim)
        while rows:
            try:
                point, victim, number, late = rows.pop(0)
            except IndexError:
                break
            row = Row(sim, point, victim, late)
            try:
                row.run()
                witness.check()
            except AssertionError as error:
                rows.clear()
                raise AssertionError(f"at {point}, {victim} fails, {row.order}: {error}") from error
            outcomes[point, victim, number] = f"{' '.join(row.answers)} {row.order}"
        witness.pod.close()
    return outcomes


def test_nothing_is_leaked_whatever_dies_at_any_point_of_add_and_del(capsys):
    rounds = int(os.environ.get("PODPORT_CRASH_ROUNDS", "1" if SANITIZED else "3"))
    wanted = os.environ.get("PODPORT_CRASH_POINT", "")
    points = [point for point in POINTS if wanted in point]
    rows = [(point, victim, number, (POINTS.index(point) + VICTIMS.index(victim) + number) % 2 == 1)
            for number in range(rounds) for point in points for victim in VICTIMS]
    begin = time.monotonic()
    outcomes = {}
    # Most of a row is waiting for a daemon to start or to find the other.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for walker in [pool.submit(walk, rows) for _ in range(WALKERS)]:
            outcomes.update(walker.result())
    lines = [f"{'POINT':24}" + "".join(f"{victim.upper():{18 * rounds}}" for victim in VICTIMS)]
    for point in points:
        cells = (", ".join(outcomes[point, victim, number] for number in range(rounds)) for victim in VICTIMS)
        lines.append(f"{point:24}" + "".join(f"{cell:{18 * rounds}}" for cell in cells))
    with capsys.disabled():
        print(f"\n{rounds} x {len(points)} points x {len(VICTIMS)} in {time.monotonic() - begin:.0f} s, nothing leaked. What the runtime "
              "was told: success in\ncapitals. soon: the failed were back before the runtime's next call; late: after its last one.\n\n"
              + "\n".join(lines))
