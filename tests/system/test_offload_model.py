# SPDX-License-Identifier: BSD-3-Clause
"""Anything in any order: random attachments, faults and restarts, and a dictionary that says what must be there after each.

    PODPORT_SEED=7 PODPORT_STEPS=5000 tests/run test_offload_model     another walk; a failure says how to repeat it
"""

import os
import random
import re
import signal

from eswitch import RULES_PER_POD, flows, function_of, misbehave, offload, rules_in_nic
from simulation import SANITIZED, wait_until

SEED = int(os.environ.get("PODPORT_SEED", "3"))
STEPS = int(os.environ.get("PODPORT_STEPS", "100" if SANITIZED else "250"))
FUNCTIONS = 6
FAMILIES = [4, 6]


class Node:
    """The simulation, and the model of it: who is attached with which addresses, and whether the NIC is in order."""

    def __init__(self, sim, chance):
        self.sim, self.chance = sim, chance
        self.shared = offload(sim)["rules"]
        self.idle = [sim.pod() for _ in range(FUNCTIONS)]
        self.attached = {}  # pod -> (IPv4, IPv6)
        self.released = []  # addresses nobody has
        self.faulty = False

    # ---- steps: each says what it did -----------------------------------------------------------------

    def attach(self):
        if not self.idle:
            return self.detach()
        pod = self.idle.pop(self.chance.randrange(len(self.idle))).add()
        addresses = pod.ipv4, pod.ipv6
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
        self.faulty = False  # the NIC's faults go with its driver
        return f"detach {pod and pod.number} while the agent is away"

    def vanish(self):
        pod = self.any_pod()
        if pod is None:
            return self.attach()
        pod.gone()
        self.sim.pods.remove(pod)
        self.forget(pod)
        wait_until(lambda: len(self.sim.attachments()) == len(self.attached), "it is reclaimed")
        self.idle.append(self.sim.pod())
        return f"the sandbox of {pod.number} vanishes"

    def fault(self):
        what = self.chance.choice([
            f"table_full={self.shared + self.chance.randrange(RULES_PER_POD * FUNCTIONS)}", "table_full=0",
            f"fail_nth={self.chance.randrange(1, 2 * RULES_PER_POD)}:{self.chance.choice(['EIO', 'ENOSPC', 'EBUSY'])}",
            f"fail_all={self.chance.choice(['EIO', 'ENOMEM', 'ENOSPC'])}", f"insert_us={self.chance.randrange(20000)}"])
        misbehave(self.sim, what)
        self.faulty = True
        return what

    def no_faults(self):
        misbehave(self.sim, "clear")
        self.faulty = False
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
        self.faulty = False
        return f"agent restarted after {number.name}"

    def restart_hostd(self):
        number = self.chance.choice([signal.SIGKILL, signal.SIGTERM])
        self.sim.restart(self.sim.hostd, number)
        return f"hostd restarted after {number.name}"

    WEIGHTS = {attach: 34, detach: 26, fault: 10, no_faults: 8, reset: 6, link_flaps: 3, restart_agent: 2, restart_hostd: 2,
               detach_without_agent: 1, vanish: 1}

    def step(self):
        return self.chance.choices(list(self.WEIGHTS), list(self.WEIGHTS.values()))[0](self)

    # ---- what must be so after each -------------------------------------------------------------------

    def differences(self):
        """From the model; some go away by themselves, as rules that come when there is room."""
        found = []
        pods = {entry["container_id"]: entry for entry in self.sim.attachments()}
        rules = flows(self.sim)
        if set(pods) != {pod.container_id for pod in self.attached}:
            return [f"attached are {sorted(pods)}, not {sorted(pod.container_id for pod in self.attached)}"]
        for pod, (ipv4, ipv6) in self.attached.items():
            entry = pods[pod.container_id]
            # podportctl shows addresses as people write them, without a prefix or with one.
            for address in (ipv4, ipv6):
                if address not in (entry["ipv4"].split("/")[0], entry["ipv6"].split("/")[0]):
                    found.append(f"{pod.number} has not {address}: {entry}")
            state, reason = entry["offload"], entry["offload_reason"]
            own = [rule for rule in rules if (rule["attachment"] or {}).get("container_id") == pod.container_id]
            if (state == "full") == bool(reason) or (state != "full" and not self.faulty):
                found.append(f"{pod.number} is {state}: {reason}")
            # Partial: its rules are being made, by a NIC that takes its time.
            if len(own) not in {"full": [RULES_PER_POD], "none": [0], "partial": range(1, RULES_PER_POD)}.get(state, []):
                found.append(f"{pod.number} is {state} with {len(own)} rules")
        foreign = [rule for rule in rules if rule["attachment"] and rule["attachment"]["container_id"] not in pods]
        if foreign:
            found.append(f"rules of nobody: {foreign}")
        if len(rules) != rules_in_nic(self.sim):
            found.append(f"the agent has {len(rules)} rules, the NIC {rules_in_nic(self.sim)}")
        return found

    def check(self):
        wait_until(lambda: not self.differences(), lambda: f"all is as in the model: {self.differences()}")
        family = self.chance.choice(FAMILIES)
        if len(self.attached) >= 2:
            a, b = self.chance.sample(list(self.attached), 2)
            a.ping(b.address(family), count=1)
        if self.attached and self.released and self.chance.random() < 0.3:
            a, address = self.any_pod(), self.chance.choice(self.released)
            output = a.ping(address, count=1, check=False)
            assert re.search(r"From .*[Uu]nreachable", output), f"{a.number} to {address}, which nobody has:\n{output}"


def test_whatever_happens_in_whatever_order_node_and_model_agree(make_sim):
    sim = make_sim(functions=FUNCTIONS)
    node = Node(sim, random.Random(SEED))
    done = []
    try:
        for _ in range(STEPS):
            done.append(node.step())
            node.check()
    except BaseException as error:
        raise AssertionError(f"after step {len(done)}: {error}\nthe last steps: " + "; ".join(done[-20:]) +
                             f"\nAgain: PODPORT_SEED={SEED} PODPORT_STEPS={len(done) + 1} tests/run test_offload_model\n") from error
    misbehave(sim, "clear")
