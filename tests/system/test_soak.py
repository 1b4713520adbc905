# SPDX-License-Identifier: BSD-3-Clause
"""Pods that come, talk and go, for a while: to each other, to the world, behind the uplink's address. Nothing of it stays.

    PODPORT_SOAK_S=300     for so long; 20 by default
"""

import itertools
import os
import random
import socket
import threading
import time

from simulation import SANITIZED, Leaks, wait_until
from traffic import family_of, tcp_transfer, udp_echo
from world import ADDRESSES, World, uplink_yaml

SECONDS = float(os.environ.get("PODPORT_SOAK_S", "20"))
CALLERS = 4
FUNCTIONS = 64  # a pod that is gone without DEL holds its own for seconds
GROWTH_KB = 8 << 10  # of the agent, between the first third and the end; where a sanitizer keeps what was freed, not looked at


class Churn:
    """Callers that each have a pod or two for a moment, again and again."""

    def __init__(self, sim, world):
        self.sim, self.world = sim, world
        self.resident = sim.pod().add()
        self.counts = {"pods": 0, "connections": 0, "datagrams": 0, "refused": 0}
        self.lock = threading.Lock()
        self.errors = []
        self.end = time.monotonic() + SECONDS

    def count(self, **counts):
        with self.lock:
            for key, value in counts.items():
                self.counts[key] += value

    def refused_by_the_world(self, pod, address):
        """ICMP to a pod behind the uplink's address."""
        with pod.socket(family_of(address), socket.SOCK_DGRAM) as client:
            client.connect((address, 9))
            client.settimeout(0.2)  # the world's kernel limits how many errors it sends to one address

            def ask():
                try:
                    client.send(b"?")
                    client.recv(10)
                except TimeoutError:
                    return False
                except ConnectionRefusedError:
                    return True
                return False

            wait_until(ask, "the world says that nobody listens")

    def one_pod(self, rng):
        pod = self.sim.pod().add()
        for family in rng.sample((4, 6), 2):
            outside = rng.choice((ADDRESSES[family].world, ADDRESSES[family].far, ADDRESSES[family].peer))
            tcp_transfer(pod, self.world, outside, rng.choice((1, 3000, 200000)))
            udp_echo(pod, self.world, outside, [rng.choice((0, 700, 1400, 5000))])
            tcp_transfer(pod, self.resident, self.resident.address(family), 20000)
            udp_echo(self.resident, pod, pod.address(family), [1200])
            self.count(connections=2, datagrams=2)
            if rng.random() < 0.3:
                self.refused_by_the_world(pod, outside)
                self.count(refused=1)
        if rng.random() < 0.2:
            pod.gone()  # without DEL: reclaimed
        else:
            pod.close()
        self.count(pods=1)

    def run(self, number):
        rng = random.Random(number)
        try:
            for _ in itertools.takewhile(lambda _: time.monotonic() < self.end and not self.errors, itertools.count()):
                self.one_pod(rng)
        except BaseException as error:  # pylint: disable=broad-except
            self.errors.append(error)

    def all(self):
        callers = [threading.Thread(target=self.run, args=(number,), daemon=True) for number in range(CALLERS)]
        for caller in callers:
            caller.start()
        time.sleep(SECONDS / 3)
        early_kb = self.sim.agent.rss_kb()
        for caller in callers:
            caller.join()
        if self.errors:
            raise self.errors[0]
        return early_kb


def leaked(leaks):
    return {what: (leaks.before.get(what), now) for what, now in leaks.look().items() if now != leaks.before.get(what)}


def test_pods_and_connections_come_and_go_and_leave_nothing(make_sim, capsys):
    sim = make_sim(functions=FUNCTIONS, agent_yaml=uplink_yaml() + "masquerade:\n  ipv4: true\n  ipv6: true\n")
    world = World(sim)
    try:
        world.route_pods("del")
        world.wait_for_agent()
        churn = Churn(sim, world)
        leaks = Leaks(sim)
        early_kb = churn.all()
        late_kb = sim.agent.rss_kb()
        wait_until(lambda: not leaked(leaks), lambda: f"nothing has leaked; what differs, before and now: {leaked(leaks)}")
        churn.resident.delete()
        wait_until(lambda: sim.ask("connections")["total"] == 0, "connections have gone with their pods")
        with capsys.disabled():
            print(f"\n{SECONDS:.0f} s: {churn.counts}; the agent: {early_kb >> 10} MB after a third, {late_kb >> 10} MB in the end")
        assert all(churn.counts.values()), churn.counts
        assert SANITIZED or late_kb - early_kb < GROWTH_KB, f"the agent grew from {early_kb} to {late_kb} kB"
        # And there is still room for packets: a burst larger than what could have been lost of the buffers.
        pods = [sim.pod().add() for _ in range(2)]
        tcp_transfer(pods[0], pods[1], pods[1].ipv4, 4 << 20)
    finally:
        world.close()
