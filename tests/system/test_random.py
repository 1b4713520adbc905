# SPDX-License-Identifier: BSD-3-Clause
"""Callers that ADD, DEL and CHECK at random, with a GC now and then, while daemons die at random, beside a model of what they were promised.
One call in four is a podport-cni, the others go by a connection that libpodport keeps, as gocni's do.

    PODPORT_RANDOM_CALLS=1000    how many calls in all: by default 10000, 1000 with sanitizers. The kernel moves some 60 interfaces
                                 a second, one after the other, so ten thousand take some minutes
    PODPORT_RANDOM_SEED=7        the same callers do the same calls in the same order, and the same things fail

What a caller was told holds: an attached pod passes CHECK and keeps its addresses, which nobody else has; a pod whose DEL
succeeded is gone. Of a call that failed nothing is promised but that DEL, or the end of the sandbox, clears up after it.
"""

import contextlib
import os
import random
import socket
import threading
import time

from crash import CrashSimulation, LibraryCaller, PluginCall
from simulation import SANITIZED, Leaks, inside, wait_until
from test_crash import POINTS

CALLERS, PODS_EACH = 16, 2
AWAY = (5, 11)  # hostd does not answer; the agent is away
LIBRARY_AWAY = (4, 5, 16, 18, 19)  # what podport-cni makes these two of


def interfaces(pod):
    with inside(pod.netns.path):
        return {name for _, name in socket.if_nameindex()}


class Promises:
    """Who holds which address, as the runtime knows it. Calls of all callers."""

    def __init__(self):
        self.lock = threading.Lock()
        self.callers = []
        self.turn = threading.Condition()
        self.inside, self.alone = 0, False
        self.holders = {}
        self.calls = {}

    @contextlib.contextmanager
    def call(self):
        with self.turn:
            self.turn.wait_for(lambda: not self.alone)
            self.inside += 1
        try:
            yield
        finally:
            with self.turn:
                self.inside -= 1
                self.turn.notify_all()

    @contextlib.contextmanager
    def call_alone(self):
        """CNI: a runtime has no ADD or DEL under way during a GC."""
        with self.turn:
            self.turn.wait_for(lambda: not self.alone)
            self.alone = True
            self.turn.wait_for(lambda: self.inside == 0)
        try:
            yield
        finally:
            with self.turn:
                self.alone = False
                self.turn.notify_all()

    def count(self, what, good):
        with self.lock:
            done = self.calls.setdefault(what, [0, 0])
            done[0] += 1
            done[1] += bool(good)

    def hold(self, pod):
        with self.lock:
            for address in (pod.ipv4, pod.ipv6):
                holder = self.holders.setdefault(address, pod)
                assert holder is pod, f"{address} of {pod.container_id} is {holder.container_id}'s"

    def let_go(self, pod):
        with self.lock:
            for address in [address for address, holder in self.holders.items() if holder is pod]:
                del self.holders[address]


class Caller(threading.Thread):
    """A runtime's worker: a few pods of its own, one call after the other."""

    ABSENT, ATTACHED, UNKNOWN = range(3)

    def __init__(self, sim, promises, seed, number, calls):
        super().__init__(daemon=True)
        self.sim, self.promises, self.calls = sim, promises, calls
        self.random = random.Random(f"{seed} {number}")
        self.pods = [[sim.pod(), self.ABSENT] for _ in range(PODS_EACH)]
        self.library = LibraryCaller(sim)
        self.problem = None

    def run(self):
        try:
            for _ in range(self.calls):
                if self.random.random() < 0.01:
                    with self.promises.call_alone():
                        self.collect()
                    continue
                with self.promises.call():
                    self.step(self.random.choice(self.pods))
        except BaseException as error:  # pylint: disable=broad-except
            self.problem = error

    def step(self, slot):
        pod, state = slot
        if state == self.ABSENT:
            self.add(slot)
        elif state == self.UNKNOWN:
            # As containerd: DEL, once; then the sandbox is removed, whether it succeeded or not.
            self.delete(slot)
            if slot[1] == self.UNKNOWN or self.random.random() < 0.3:
                self.replace(slot)
        elif self.random.random() < 0.4:
            self.check(pod)
        elif self.random.random() < 0.1:
            self.promises.let_go(pod)
            self.replace(slot)  # it dies without a DEL
        else:
            self.delete(slot)

    def call(self, pod, command):
        """By either way; a CHECK by the one that has the ADD's whole result."""
        by_plugin = self.random.random() < 0.25
        if command == "ADD":
            pod.by_plugin = by_plugin
        elif command == "CHECK" and pod.by_plugin:
            result = pod.try_check()
            assert result.ok or result.code in AWAY, f"CHECK of {pod.container_id}: {result}\n{self.sim.logs()}"
            return result.ok
        if by_plugin and command != "CHECK":
            return PluginCall(pod, command).result(AWAY)
        good = self.library.call(pod, command, LIBRARY_AWAY)
        if not good:
            time.sleep(0.05)  # no runtime asks again at once; without hostd it would be all that is asked
        return good

    def add(self, slot):
        pod = slot[0]
        good = self.call(pod, "ADD")
        self.promises.count("ADD", good)
        slot[1] = self.ATTACHED if good else self.UNKNOWN
        if good:
            self.promises.hold(pod)

    def delete(self, slot):
        pod, state = slot
        self.promises.let_go(pod)
        good = self.call(pod, "DEL")
        self.promises.count("DEL", good)
        slot[1] = self.ABSENT if good else self.UNKNOWN
        if good:
            assert interfaces(pod) == {"lo"}, f"after DEL of {pod.container_id}: {interfaces(pod)}"

    def check(self, pod):
        self.promises.count("CHECK", self.call(pod, "CHECK"))

    def collect(self):
        """GC: what nothing is promised of goes, if it succeeds. The others' CHECKs will tell that they are still there."""
        valid = [{"containerID": pod.container_id, "ifname": pod.ifname} for caller in self.promises.callers
                 for pod, state in caller.pods if state == self.ATTACHED]
        good = PluginCall(self.pods[0][0], "GC", valid=valid).result(AWAY)
        self.promises.count("GC", good)
        if good:
            for caller in self.promises.callers:
                for pod, state in caller.pods:
                    assert state != self.UNKNOWN or interfaces(pod) == {"lo"}, f"after GC: {pod.container_id} has {interfaces(pod)}"

    def replace(self, slot):
        slot[0].gone()
        self.sim.pods.remove(slot[0])
        slot[:] = [self.sim.pod(), self.ABSENT]


class Chaos(threading.Thread):
    """Lets fail one thing after the other, and starts again what is dead, as a service manager does."""

    def __init__(self, sim, seed):
        super().__init__(daemon=True)
        self.sim, self.random = sim, random.Random(f"{seed} chaos")
        self.stopping = threading.Event()
        self.kills = {}
        self.problem = None

    def run(self):
        try:
            while not self.stopping.wait(self.random.uniform(0.2, 1.0)):
                what = self.random.choice(["point", "point", "point", "hostd", "agent", "both", "cut", "hold"])
                self.kills[what] = self.kills.get(what, 0) + 1
                getattr(self, what)()
                self.sim.revive()
        except BaseException as error:  # pylint: disable=broad-except
            self.problem = error

    def point(self):
        point = self.random.choice([point for point in POINTS if ":undo:" not in point and "rolled" not in point])
        self.sim.arm(point, "kill", self.random.randint(1, 4))
        if point.startswith("hostd:deliver") or point in ("hostd:del:written", "hostd:del:queued"):
            self.sim.relay.hold()
        until = time.monotonic() + 0.5
        while time.monotonic() < until and self.sim.hostd.alive() and self.sim.agent.alive():
            time.sleep(0.005)
        self.sim.relay.let_go()
        self.sim.disarm()

    def hostd(self):
        self.sim.hostd.kill()

    def agent(self):
        self.sim.agent.kill()

    def both(self):
        self.hostd()
        self.agent()

    def cut(self):
        self.sim.relay.cut()

    def hold(self):
        self.sim.relay.hold()
        time.sleep(self.random.uniform(0.05, 0.5))


def settle(sim, callers):
    """All is well again: what is attached is exactly what was promised, and works."""
    for caller in callers:
        for slot in caller.pods:
            if slot[1] == Caller.UNKNOWN:
                caller.delete(slot)
    attached = {pod.container_id: pod for caller in callers for pod, state in caller.pods if state == Caller.ATTACHED}
    wait_until(lambda: {item["container_id"] for item in sim.attachments()} == set(attached),
               lambda: f"attached are {sorted(attached)}: {sim.attachments()}\n{sim.logs()}")
    for pod in attached.values():
        promised = (pod.ipv4, pod.ipv6)
        if not pod.by_plugin:
            pod.result = None
            pod.add()  # again, by the other way
        assert (pod.ipv4, pod.ipv6) == promised
        pod.check()
        for family in (4, 6):
            pod.ping(sim.gateway(family), count=1)
    return attached


def test_random_calls_beside_random_failures_keep_every_promise_and_leak_nothing(capsys):
    calls = int(os.environ.get("PODPORT_RANDOM_CALLS", "1000" if SANITIZED else "10000"))
    seed = os.environ.get("PODPORT_RANDOM_SEED", "1")
    begin = time.monotonic()
    sim = CrashSimulation(functions=CALLERS * PODS_EACH * 2, reclaim_grace_s=0)
    try:
        sim.start()
        sim.pod().add().close()
        leaks = Leaks(sim)
        promises = Promises()
        callers = promises.callers = [Caller(sim, promises, seed, number, calls // CALLERS) for number in range(CALLERS)]
        chaos = Chaos(sim, seed)
        for thread in [chaos, *callers]:
            thread.start()
        for caller in callers:
            caller.join()
        chaos.stopping.set()
        chaos.join()
        problems = [thread.problem for thread in [*callers, chaos] if thread.problem]
        if problems:
            raise problems[0]
        sim.revive()
        attached = settle(sim, callers)
        for caller in callers:
            caller.library.close()
        # Some go in order, the others with their sandboxes.
        for index, pod in enumerate(attached.values()):
            if index % 2:
                pod.delete()
            else:
                pod.gone()
                sim.pods.remove(pod)
        sim.close_pods()
        leaks.pids = {daemon.name: daemon.pid for daemon in sim.daemons}
        leaks.check()
        sim.stop()
    except BaseException:
        sim.abandon()
        raise
    with capsys.disabled():
        counts = ", ".join(f"{total} {what} ({good} succeeded)" for what, (total, good) in sorted(promises.calls.items()))
        kills = ", ".join(f"{what} {number}" for what, number in sorted(chaos.kills.items()))
        print(f"\nseed {seed}, {time.monotonic() - begin:.0f} s: {counts}; failures: {kills}; {len(attached)} attached in the end; nothing leaked")
