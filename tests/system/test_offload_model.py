# SPDX-License-Identifier: BSD-3-Clause
"""Anything in any order: random attachments, faults and restarts, and a dictionary that says what must be there after each.

    PODPORT_SEED=7 PODPORT_STEPS=5000 tests/run test_offload_model     another walk; a failure says how to repeat it
"""

import collections
import os
import random
import re
import signal
import socket

from eswitch import RULES_PER_FAMILY, RULES_PER_POD, Telemetry, flows, function_of, misbehave, offload, rules_in_nic
from resident import Echo, ResidentCtl
from simulation import SANITIZED, inside, wait_until

SEED = int(os.environ.get("PODPORT_SEED", "3"))
STEPS = int(os.environ.get("PODPORT_STEPS", "500" if SANITIZED else "3000"))
FUNCTIONS = 6
FAMILIES = [4, 6]


class Faults:
    """What is the matter with the NIC, as far as that keeps rules out of it."""

    def __init__(self):
        self.room = None  # for so many rules; None: for all
        self.refusing = self.slow = False

    def any(self):
        return self.room is not None or self.refusing or self.slow

    def note(self, what):
        key, _, value = what.partition("=")
        if key == "table_full":
            self.room = int(value)
        self.refusing |= key == "fail_all"
        self.slow |= key == "insert_us"


class Node:
    """The simulation, and the model of it: who is attached with which addresses, and whether the NIC is in order."""

    def __init__(self, sim, chance):
        self.sim, self.chance = sim, chance
        self.shared = offload(sim)["rules"]
        self.idle = [sim.pod() for _ in range(FUNCTIONS)]
        self.attached = {}  # pod -> (IPv4, IPv6)
        self.released = []  # addresses nobody has
        self.faults = Faults()
        self.states = collections.Counter()  # of pods, when all was settled
        # What asks, and goes on asking.
        self.ctl = ResidentCtl(sim)
        self.telemetry, self.telemetry_of = None, None
        self.echoes = {sim.host: Echo(sim.host), **{pod: Echo(pod.netns) for pod in self.idle}}

    def close(self):
        self.ctl.close()
        self.no_telemetry()
        for echo in self.echoes.values():
            echo.close()

    def no_telemetry(self):
        if self.telemetry:
            self.telemetry.close()
        self.telemetry = None

    def rules_in_nic(self):
        if self.telemetry_of != self.sim.agent.pid:
            self.no_telemetry()
            self.telemetry, self.telemetry_of = Telemetry(self.sim), self.sim.agent.pid
        return rules_in_nic(self.sim, self.telemetry)

    # ---- steps: each says what it did -----------------------------------------------------------------

    def attach(self):
        if not self.idle:
            return self.detach()
        pod = self.idle.pop(self.chance.randrange(len(self.idle))).add()
        addresses = pod.ipv4, pod.ipv6
        assert not set(addresses) & {each for others in self.attached.values() for each in others}, f"{addresses} are in use"
        self.attached[pod] = addresses
        self.released = [each for each in self.released if each not in addresses]
        return f"attach {pod.number}: {addresses}"

    def forget(self, pod):
        self.released = (self.released + list(self.attached.pop(pod)))[-8:]

    def any_pod(self):
        return self.chance.choice(list(self.attached)) if self.attached else None

    def detach(self):
        pod = self.any_pod()
        if pod is None:
            return self.attach()
        pod.delete()
        self.forget(pod)
        self.idle.append(pod)
        return f"detach {pod.number}"

    def detach_without_agent(self):
        pod = self.any_pod()
        self.sim.agent.kill()
        if pod:
            pod.delete()
            self.forget(pod)
            self.idle.append(pod)
        self.sim.agent.start()
        self.sim.wait_ready()
        wait_until(lambda: self.sim.status()["host"]["queued_deletes"] == 0, "the release is delivered")
        self.faults = Faults()  # they go with the NIC's driver
        return f"detach {pod and pod.number} while the agent is away"

    def vanish(self):
        pod = self.any_pod()
        if pod is None:
            return self.attach()
        self.echoes.pop(pod).close()
        pod.gone()
        self.sim.pods.remove(pod)
        self.forget(pod)
        patient = self.chance.random() < 0.2  # hostd looks by itself, but only every second or so

        def reclaimed():
            if not patient:
                self.sim.ask("reconcile")
            return len(self.sim.attachments()) == len(self.attached)
        wait_until(reclaimed, "it is reclaimed")
        new = self.sim.pod()
        self.idle.append(new)
        self.echoes[new] = Echo(new.netns)
        return f"the sandbox of {pod.number} vanishes"

    def fault(self):
        now = self.shared + RULES_PER_POD * len(self.attached)
        what = self.chance.choice([
            *[f"table_full={now + self.chance.randrange(2 * RULES_PER_POD)}"] * 2,
            f"table_full={self.chance.choice([0, self.chance.randrange(now)])}",
            f"fail_nth={self.chance.randrange(1, 2 * RULES_PER_POD)}:{self.chance.choice(['EIO', 'ENOSPC', 'EBUSY'])}",
            f"fail_all={self.chance.choice(['EIO', 'ENOMEM', 'ENOSPC'])}", f"insert_us={self.chance.choice([200, 2000, 20000])}"])
        misbehave(self.sim, what)
        self.faults.note(what)
        return what

    def half_a_pod_fits(self):
        """The next pod has one family's rules, and the other's not: where a walk seldom comes to by chance."""
        if not self.idle or self.faults.any():
            return self.no_faults()
        what = f"table_full={self.shared + RULES_PER_POD * len(self.attached) + RULES_PER_POD // 2}"
        misbehave(self.sim, what)
        self.faults.note(what)
        return f"{what}; {self.attach()}"

    def no_faults(self):
        misbehave(self.sim, "clear")
        self.faults = Faults()
        return "no faults"

    def reset(self):
        pod = self.any_pod()
        vf = function_of(self.sim, pod) if pod else self.chance.randrange(FUNCTIONS)
        misbehave(self.sim, f"function_reset={vf}")
        return f"reset of VF {vf}, of {pod and pod.number}"

    def link_flaps(self):
        pod = self.any_pod()
        if pod is None:
            return self.attach()
        vf = function_of(self.sim, pod)
        misbehave(self.sim, f"function_link={vf}:down")
        misbehave(self.sim, f"function_link={vf}:up")
        wait_until(lambda: self.sim.port_of(pod)["link_up"], "the link is up")
        return f"link of {pod.number} down and up"

    def restart_agent(self):
        number = self.chance.choice([signal.SIGKILL, signal.SIGTERM])
        self.sim.restart(self.sim.agent, number)
        self.faults = Faults()
        return f"agent restarted after {number.name}"

    def restart_hostd(self):
        number = self.chance.choice([signal.SIGKILL, signal.SIGTERM])
        self.sim.restart(self.sim.hostd, number)
        return f"hostd restarted after {number.name}"

    # The last ones take longest.
    WEIGHTS = {attach: 136, detach: 104, fault: 40, no_faults: 32, half_a_pod_fits: 8, reset: 12, link_flaps: 12, restart_hostd: 6,
               restart_agent: 3, detach_without_agent: 2, vanish: 2}

    def step(self):
        return self.chance.choices(list(self.WEIGHTS), list(self.WEIGHTS.values()))[0](self)

    # ---- what must be so after each -------------------------------------------------------------------

    def look(self):
        """{container ID: what is attached}, {container ID: its rules; None: those of all}."""
        pods = {entry["container_id"]: entry for entry in self.sim.attachments()}
        rules = collections.defaultdict(list)
        for rule in flows(self.sim):
            rules[(rule["attachment"] or {}).get("container_id")].append(rule)
        return pods, rules

    def check_at_once(self, pods, rules):
        """What is never otherwise, not even until the agent has looked again."""
        assert set(pods) == {pod.container_id for pod in self.attached}, f"attached are {sorted(pods)}"
        for pod, addresses in self.attached.items():
            entry = pods[pod.container_id]
            assert (entry["ipv4"], entry["ipv6"]) == addresses, f"{pod.number} has not {addresses}: {entry}"
        functions = [(entry["function"]["pf"], entry["function"]["vf"]) for entry in pods.values()]
        assert len(set(functions)) == len(pods), f"a function serves two: {functions}"
        strays = [rule for owner, each in rules.items() for rule in each if owner not in pods and rule["function"]]
        assert not strays, f"rules of who is not attached: {strays}"
        allocated = [pool["allocated"] for pool in self.sim.ask("ipam").values()]
        assert allocated == [len(self.attached)] * len(FAMILIES), f"allocated addresses: {allocated}"

    def differences(self, pods, rules):
        """Of the rules from the model: they go away by themselves, as rules come when there is room."""
        found = []
        for pod in self.attached:
            found += self.differences_of(pod, pods[pod.container_id], rules[pod.container_id])
        count = sum(map(len, rules.values()))
        in_nic, summary = self.rules_in_nic(), offload(self.sim)
        missing = self.shared + RULES_PER_POD * len(self.attached) - count
        if not count == in_nic == summary["rules"] or summary["rules_missing"] != missing:
            found.append(f"the agent lists {count} rules and counts {summary['rules']}, {summary['rules_missing']} missing; "
                         f"in the NIC are {in_nic}")
        return found

    def differences_of(self, pod, entry, rules):
        found = []
        state, reason = entry["offload"], entry["offload_reason"]
        can_lack = self.faults.refusing or (
            self.faults.room is not None and self.faults.room < self.shared + RULES_PER_POD * len(self.attached))
        if (state == "full") == bool(reason) or (state != "full" and not can_lack):
            found.append(f"{pod.number} is {state}: {reason}")
        # A family's rules are in as one. Except while they are being made, by a NIC that takes its time.
        counts = {"full": [RULES_PER_POD], "none": [0],
                  "partial": range(1, RULES_PER_POD) if self.faults.slow else [RULES_PER_FAMILY]}
        if len(rules) not in counts.get(state, []):
            found.append(f"{pod.number} is {state} with {len(rules)} rules")
        words = {word for rule in rules for word in rule["match"].split()}
        if state == "full" and not words >= {*self.attached[pod], f"pf0vf{entry['function']['vf']}"}:
            found.append(f"rules of {pod.number} match {words}")
        return found

    def check(self):
        # Most often the agent is asked to look for what is missing; now and then it must do that by itself.
        patient = self.chance.random() < 0.02
        found = []

        def settled():
            nonlocal found
            pods, rules = self.look()
            self.check_at_once(pods, rules)
            found = self.differences(pods, rules)
            if found and not patient:
                self.sim.ask("reconcile")
            return not found
        wait_until(settled, lambda: f"the rules are as in the model: {found}", interval_s=0.01)
        self.states.update(entry["offload"] for entry in self.sim.attachments())
        self.check_interfaces()
        self.check_reach()

    def check_interfaces(self):
        for pod, wanted in [*((pod, ["lo", "eth0"]) for pod in self.attached), *((pod, ["lo"]) for pod in self.idle)]:
            with inside(pod.netns.path):
                names = [name for _, name in socket.if_nameindex()]
            assert names == wanted, f"{pod.number} has {names}"

    def check_reach(self):
        """Everybody reaches everybody, the host included, and nobody an address that nobody has."""
        sent = []
        for place in [*self.attached, self.sim.host]:
            others = [address for pod, addresses in self.attached.items() if pod is not place for address in addresses]
            others += [self.sim.gateway(family) for family in FAMILIES if place is not self.sim.host]
            sent += [(self.echoes[place], address, self.echoes[place].send(address)) for address in others]
        for echo, address, each in sent:
            assert echo.outcome(each) == ("answered", address), f"{echo.name} to {address}"
        pod = self.any_pod()
        if pod and self.released:
            address = self.chance.choice(self.released)
            says = self.echoes[pod].outcome(self.echoes[pod].send(address))
            assert says == ("unreachable", self.sim.gateway(6 if ":" in address else 4)), f"{pod.number} to {address}: {says}"


def test_whatever_happens_in_whatever_order_node_and_model_agree(make_sim):
    sim = make_sim(functions=FUNCTIONS, reclaim_grace_s=0)
    node = Node(sim, random.Random(SEED))
    done = []
    try:
        for _ in range(STEPS):
            done.append(node.step())
            node.check()
    except BaseException as error:
        raise AssertionError(f"after step {len(done)}: {error}\nthe last steps: " + "; ".join(done[-20:]) +
                             f"\nAgain: PODPORT_SEED={SEED} PODPORT_STEPS={len(done) + 1} tests/run test_offload_model\n") from error
    finally:
        node.close()
    misbehave(sim, "clear")
    # A walk that long has been everywhere.
    assert STEPS < 3000 or set(node.states) == {"full", "partial", "none"}, node.states
