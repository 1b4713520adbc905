# SPDX-License-Identifier: BSD-3-Clause
"""The world at the far end of the uplink's cable: a network namespace that has the card's wire interface.

    pods ── agent (WIRE) ── the cable ── simnic0w: world (PEER), and the gate (GATE), both in one namespace
                                            lo: FAR, a network behind the peer; WORLD, the rest of the world, behind the gate

Kernel stacks on both ends: the world answers pings and serves TCP; and, when asked, names (dnsmasq) and pages (busybox httpd).
"""

import collections
import contextlib
import fcntl
import os
import selectors
import socket
import struct
import threading

from simulation import Netns, inside, wait_until

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


class Vlan:
    """A VLAN interface, as 8021q would make it, which not every kernel has: a TAP, and a thread that takes tags off and
    puts them on. With headers of virtio-net on both sides, so that checksums and segments are left to the NIC."""

    # Of linux/if_tun.h and linux/if_packet.h.
    TUNSETIFF, TUNSETVNETHDRSZ, TUNSETOFFLOAD = 0x400454CA, 0x400454D8, 0x400454D0
    IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x2, 0x1000, 0x4000
    TUN_F_ALL = 0x01 | 0x02 | 0x04  # CSUM, TSO4, TSO6
    SOL_PACKET, PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_OUTGOING = 263, 8, 15, 4
    HEADER = struct.Struct("=BBHHHH")  # flags, gso_type, hdr_len, gso_size, csum_start, csum_offset

    def __init__(self, netns, vlan):
        self.vlan, self.ifname = vlan, f"wire.{vlan}"
        with inside(netns.path):
            self.tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(self.tap, self.TUNSETIFF, struct.pack("16sH22x", self.ifname.encode(),
                                                               self.IFF_TAP | self.IFF_NO_PI | self.IFF_VNET_HDR))
            self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        fcntl.ioctl(self.tap, self.TUNSETVNETHDRSZ, struct.pack("i", self.HEADER.size))
        fcntl.ioctl(self.tap, self.TUNSETOFFLOAD, self.TUN_F_ALL)
        self.wire.setsockopt(self.SOL_PACKET, self.PACKET_AUXDATA, 1)
        self.wire.setsockopt(self.SOL_PACKET, self.PACKET_VNET_HDR, 1)
        self.wire.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        self.wire.bind((netns.wire, 3))  # ETH_P_ALL
        self.wire.setblocking(False)
        self.leave, self.told = os.pipe()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _from_wire(self):
        data, ancillary, _, source = self.wire.recvmsg(1 << 17, 256)
        tci = [struct.unpack("=IIIHHHH", value[:20])[5] for level, kind, value in ancillary
               if level == self.SOL_PACKET and kind == self.PACKET_AUXDATA]
        if source[2] != self.PACKET_OUTGOING and tci and tci[0] & 0xFFF == self.vlan:
            os.write(self.tap, data)  # the kernel has taken the tag off

    def _from_tap(self):
        data = os.read(self.tap, 1 << 17)
        flags, gso, length, size, start, offset = self.HEADER.unpack_from(data)
        frame = data[self.HEADER.size:]
        header = self.HEADER.pack(flags, gso, length + 4 if gso else length, size, start + 4 if flags & 1 else start, offset)
        self.wire.send(header + frame[:12] + struct.pack("!HH", 0x8100, self.vlan) + frame[12:])

    def _run(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self.wire, selectors.EVENT_READ, self._from_wire)
            selector.register(self.tap, selectors.EVENT_READ, self._from_tap)
            selector.register(self.leave, selectors.EVENT_READ, None)
            while True:
                for key, _ in selector.select():
                    if key.data is None:
                        return
                    try:
                        key.data()
                    except OSError:
                        pass  # full, or down just now: a wire loses packets, too

    def close(self):
        os.write(self.told, b"x")
        self.thread.join()
        self.wire.close()
        for fd in (self.tap, self.leave, self.told):
            os.close(fd)


class World(Netns):
    """simnic0w of a simulation, with the addresses above and routes back to the pods. `vlan`: all of that on it."""

    def __init__(self, simulation, vlan=None, mtu=1500):
        super().__init__(f"world-{simulation.id}")
        self.simulation = simulation
        self.wire = self.ifname = "simnic0w"
        simulation.host.run("ip", "link", "set", self.wire, "netns", self.name)
        self.run("ip", "link", "set", self.wire, "mtu", mtu, "up")
        self.run("sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", f"net.ipv6.conf.{self.wire}.accept_dad=0")
        self.vlans = []
        if vlan:
            self.ifname = self.add_vlan(vlan)
        for family, a in ADDRESSES.items():
            ip = ["ip", f"-{family}"]
            nodad = ["nodad"] if family == 6 else []
            for address in (a.peer, a.gate):
                self.run(*ip, "address", "add", f"{address}/{a.length}", "dev", self.ifname, *nodad)
            for address in (a.far, a.world):
                self.run(*ip, "address", "add", address, "dev", "lo", *nodad)
        self.route_pods()

    def add_vlan(self, vlan):
        """An interface of that VLAN on the wire."""
        self.vlans.append(Vlan(self, vlan))
        self.run("ip", "link", "set", self.vlans[-1].ifname, "up")
        return self.vlans[-1].ifname

    def route_pods(self, command="replace"):
        for family, prefix in ((4, self.simulation.ipv4), (6, self.simulation.ipv6)):
            self.run("ip", f"-{family}", "route", command, prefix, "via", ADDRESSES[family].wire)

    def wait_for_agent(self):
        """The agent answers on the wire: its uplink is up."""
        wait_until(lambda: "1 received" in self.ping(ADDRESSES[4].wire, count=1, check=False), "the agent answers on the wire")

    @contextlib.contextmanager
    def names(self, **records):
        """A DNS server at the world's addresses that knows these: {name: addresses}."""
        addresses = [ADDRESSES[family].world for family in (4, 6)]
        server = self.popen("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file=", "--no-resolv", "--no-hosts",
                            "--bind-interfaces", *(f"--listen-address={address}" for address in addresses),
                            *(f"--host-record={name},{','.join(known)}" for name, known in records.items()))
        try:
            wait_until(lambda: server.poll() is None and
                       all(self.run("ss", option, "sport", "=", ":53").stdout.count(address) for option in ("-lun", "-ltn")
                           for address in addresses), "dnsmasq listens")
            yield addresses
        finally:
            server.terminate()
            server.wait()

    @contextlib.contextmanager
    def pages(self, folder):
        """A web server for this folder at the world's addresses."""
        servers = [self.popen("busybox", "httpd", "-f", "-p", f"{address}:80", "-h", folder)
                   for address in (ADDRESSES[4].world, f"[{ADDRESSES[6].world}]")]
        try:
            wait_until(lambda: self.run("ss", "-ltn", "sport", "=", ":80").stdout.count(":80") == 2, "httpd listens")
            yield
        finally:
            for server in servers:
                server.terminate()
                server.wait()

    def close(self):
        for vlan in self.vlans:
            vlan.close()
        self.run("ip", "link", "set", self.wire, "netns", self.simulation.host.name)
        self.delete()
