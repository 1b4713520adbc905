# SPDX-License-Identifier: BSD-3-Clause
"""The world at the far end of the uplink's cable: a network namespace that has the card's wire interface.

    pods ── agent (WIRE) ── the cable ── simnic0w: world (PEER), and the gate (GATE), both in one namespace
                                            lo: FAR, a network behind the peer; WORLD, the rest of the world, behind the gate

Kernel stacks on both ends: the world answers pings and serves TCP.
"""

import collections

from simulation import Netns, wait_until

Addresses = collections.namedtuple("Addresses", "wire peer gate far world nobody length")

# Of the agent; of its neighbours; of who is behind them; and on the link, of nobody.
ADDRESSES = {
    4: Addresses("203.0.113.10", "203.0.113.20", "203.0.113.1", "198.51.100.7", "192.0.2.99", "203.0.113.77", 24),
    6: Addresses("2001:db8:1::10", "2001:db8:1::20", "2001:db8:1::1", "2001:db8:f::7", "2001:db8:ffff::99",
                 "2001:db8:1::77", 64),
}
ROUTES = [f"default via {ADDRESSES[4].gate}", f"198.51.100.0/24 via {ADDRESSES[4].peer}",
          f"default via {ADDRESSES[6].gate}", f"2001:db8:f::/48 via {ADDRESSES[6].peer}"]


def uplink_yaml(routes=None, **keys):
    """The section of agent.yaml."""
    lines = {"ipv4": f"{ADDRESSES[4].wire}/24", "ipv6": f"{ADDRESSES[6].wire}/64", **keys}
    text = "uplink:\n" + "".join(f"  {key}: {value}\n" for key, value in lines.items())
    return text + "  routes:\n" + "".join(f"    - {route}\n" for route in (ROUTES if routes is None else routes))


class World(Netns):
    """simnic0w of a simulation, with the addresses above and routes back to the pods. `vlan`: all of that on it."""

    def __init__(self, simulation, vlan=None, mtu=1500):
        super().__init__(f"world-{simulation.id}")
        self.simulation = simulation
        self.wire = self.ifname = "simnic0w"
        simulation.host.run("ip", "link", "set", self.wire, "netns", self.name)
        self.run("ip", "link", "set", self.wire, "mtu", mtu, "up")
        self.run("sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", f"net.ipv6.conf.{self.wire}.accept_dad=0")
        if vlan:
            self.ifname = f"wire.{vlan}"
            self.run("ip", "link", "add", "link", self.wire, "name", self.ifname, "type", "vlan", "id", vlan)
            self.run("ip", "link", "set", self.ifname, "up")
        for family, a in ADDRESSES.items():
            ip = ["ip", f"-{family}"]
            nodad = ["nodad"] if family == 6 else []
            for address in (a.peer, a.gate):
                self.run(*ip, "address", "add", f"{address}/{a.length}", "dev", self.ifname, *nodad)
            for address in (a.far, a.world):
                self.run(*ip, "address", "add", address, "dev", "lo", *nodad)
        self.route_pods()

    def route_pods(self, command="replace"):
        for family, prefix in ((4, self.simulation.ipv4), (6, self.simulation.ipv6)):
            self.run("ip", f"-{family}", "route", command, prefix, "via", ADDRESSES[family].wire)

    def wait_for_agent(self):
        """The agent answers on the wire: its uplink is up."""
        wait_until(lambda: "1 received" in self.ping(ADDRESSES[4].wire, count=1, check=False), "the agent answers on the wire")

    def close(self):
        self.run("ip", "link", "set", self.wire, "netns", self.simulation.host.name)
        self.delete()
