# SPDX-License-Identifier: BSD-3-Clause
"""Our connection tracking beside the Linux kernel's: the same packets through both, what passes and the state after each.

    near (packet socket) ── veth ── the kernel forwards, "ctstate INVALID" is dropped ── veth ── far (packet socket)
    the same bytes ── conntrack-replay ── out and in, with masquerade

Where they differ is written down, with the reason; a difference that is not, or is no more, fails.
"""

import contextlib
import itertools
import random
import socket
import subprocess

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.packet import Raw

from simulation import BIN, PATIENCE_S, Netns

POD = {4: "10.0.0.1", 6: "fd00:1::1"}
PEER = {4: "198.51.100.7", 6: "2001:db8:5::7"}
ROUTER = {4: ("10.0.0.254", "198.51.100.254"), 6: ("fd00:1::fe", "2001:db8:5::fe")}
NEAR_MAC, FAR_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
MARKER_PORT = 9

OUT, IN = "out", "in"
X, Y = 1000, 500_000  # where the pod's and the peer's sequence numbers begin


# ---- sequences --------------------------------------------------------------------------------------------

def tcp(direction, flags, seq, ack=0, length=0, window=10000, options=()):
    return direction, lambda port: TCP(sport=port if direction == OUT else 80, dport=80 if direction == OUT else port, flags=flags,
                                       seq=seq % 2**32, ack=ack % 2**32, window=window, options=list(options)) / Raw(b"x" * length)


def udp(direction):
    return direction, lambda port: UDP(sport=port if direction == OUT else 53, dport=53 if direction == OUT else port) / Raw(b"x")


def echo(direction, family):
    if family == 4:
        return direction, lambda port: ICMP(type=8 if direction == OUT else 0, id=port) / Raw(b"x")
    return direction, lambda port: (ICMPv6EchoRequest if direction == OUT else ICMPv6EchoReply)(id=port, data=b"x")


SCALE = [("WScale", 7)]
HANDSHAKE = [tcp(OUT, "S", X), tcp(IN, "SA", Y, X + 1), tcp(OUT, "A", X + 1, Y + 1)]
SCALED = [tcp(OUT, "S", X, options=SCALE), tcp(IN, "SA", Y, X + 1, options=SCALE), tcp(OUT, "A", X + 1, Y + 1, window=100)]
TALK = [tcp(OUT, "PA", X + 1, Y + 1, 100), tcp(IN, "A", Y + 1, X + 101), tcp(IN, "PA", Y + 1, X + 101, 200), tcp(OUT, "A", X + 101, Y + 201)]
FINISHED = HANDSHAKE + [tcp(OUT, "FA", X + 1, Y + 1), tcp(IN, "FA", Y + 1, X + 2), tcp(OUT, "A", X + 2, Y + 2)]

SEQUENCES = {
    "handshake and talk": HANDSHAKE + TALK,
    "handshake with scaling, then what only a scaled window has room for": SCALED + [tcp(IN, "A", Y + 1 + 12000, X + 1, 500)],
    "the pod closes first": HANDSHAKE + [
        tcp(OUT, "FA", X + 1, Y + 1), tcp(IN, "A", Y + 1, X + 2), tcp(IN, "PA", Y + 1, X + 2, 50), tcp(OUT, "A", X + 2, Y + 51),
        tcp(IN, "FA", Y + 51, X + 2), tcp(OUT, "A", X + 2, Y + 52)],
    "the peer closes first": HANDSHAKE + [
        tcp(IN, "FA", Y + 1, X + 1), tcp(OUT, "A", X + 1, Y + 2), tcp(OUT, "FA", X + 1, Y + 2), tcp(IN, "A", Y + 2, X + 2)],
    "FIN answered by FIN": FINISHED,
    "both close at once": HANDSHAKE + [
        tcp(OUT, "FA", X + 1, Y + 1), tcp(IN, "FA", Y + 1, X + 1), tcp(OUT, "A", X + 2, Y + 2), tcp(IN, "A", Y + 2, X + 2)],
    "the closing side goes on talking": HANDSHAKE + [
        tcp(OUT, "FA", X + 1, Y + 1), tcp(IN, "A", Y + 1, X + 1), tcp(OUT, "FA", X + 1, Y + 1), tcp(IN, "A", Y + 1, X + 2)],
    "everything twice": list(itertools.chain.from_iterable(zip(FINISHED, FINISHED))),
    "both open at once": [
        tcp(OUT, "S", X), tcp(IN, "S", Y), tcp(OUT, "SA", X, Y + 1), tcp(IN, "SA", Y, X + 1), tcp(OUT, "A", X + 1, Y + 1)],
    "refused": [tcp(OUT, "S", X), tcp(IN, "RA", 0, X + 1)],
    "refused by somebody who guesses": [tcp(OUT, "S", X), tcp(IN, "RA", 0, X + 77), tcp(IN, "R", Y)],
    "accepted by somebody who guesses": [tcp(OUT, "S", X), tcp(IN, "SA", Y, X + 77)],
    "half open: the peer still has an older connection": [
        tcp(OUT, "S", X), tcp(IN, "A", Y + 777, X - 50000), tcp(OUT, "R", X - 50000), tcp(OUT, "S", X), tcp(IN, "SA", Y, X + 1)],
    "half open: the pod has forgotten": HANDSHAKE + [
        tcp(OUT, "S", X + 900000), tcp(IN, "A", Y + 1, X + 1), tcp(OUT, "R", X + 1), tcp(OUT, "S", X + 900000), tcp(IN, "SA", Y + 7, X + 900001)],
    "both have forgotten": HANDSHAKE + [
        tcp(OUT, "S", X + 900000), tcp(IN, "SA", Y + 800000, X + 900001), tcp(OUT, "A", X + 900001, Y + 800001)],
    "the peer has forgotten": HANDSHAKE + [tcp(OUT, "S", X + 900000), tcp(IN, "RA", 0, X + 900001)],
    "RST, exact": HANDSHAKE + TALK + [tcp(IN, "R", Y + 201)],
    "RST behind data": HANDSHAKE + [tcp(IN, "PA", Y + 1, X + 1, 100), tcp(IN, "RA", Y + 101, X + 1)],
    "RST in the window": HANDSHAKE + TALK + [tcp(IN, "R", Y + 700), tcp(OUT, "A", X + 101, Y + 201)],
    "RST before the window": HANDSHAKE + TALK + [tcp(IN, "R", Y - 30000)],
    "RST behind the window": HANDSHAKE + TALK + [tcp(IN, "R", Y + 90000)],
    "RST of the pod": HANDSHAKE + TALK + [tcp(OUT, "RA", X + 101, Y + 201)],
    "RST during the handshake": [tcp(OUT, "S", X), tcp(IN, "SA", Y, X + 1), tcp(OUT, "R", X + 1)],
    "data behind the window": HANDSHAKE + TALK + [tcp(IN, "A", Y + 30000, X + 101, 10)],
    "data before the window": HANDSHAKE + TALK + [tcp(IN, "A", Y + 201 - 10100, X + 101, 10)],
    "an acknowledgement of what was not sent": HANDSHAKE + TALK + [tcp(IN, "A", Y + 201, X + 5000)],
    "an acknowledgement from long ago": HANDSHAKE + TALK + [tcp(IN, "A", Y + 201, X + 101 - 70000)],
    "keep-alive": HANDSHAKE + [tcp(OUT, "A", X, Y + 1), tcp(IN, "A", Y + 1, X + 1), tcp(OUT, "A", X, Y + 1, 1)],
    "a closed window is probed": HANDSHAKE + [
        tcp(OUT, "A", X + 1, Y + 1, 1000), tcp(IN, "A", Y + 1, X + 1001, window=0), tcp(OUT, "A", X + 1001, Y + 1, 1), tcp(IN, "A", Y + 1, X + 1001, window=0)],
    "the peer talks before the handshake is over": [
        tcp(OUT, "S", X), tcp(IN, "SA", Y, X + 1), tcp(IN, "PA", Y + 1, X + 1, 10), tcp(OUT, "A", X + 1, Y + 11)],
    "FIN before the handshake is over": [
        tcp(OUT, "S", X), tcp(IN, "SA", Y, X + 1), tcp(IN, "FA", Y + 1, X + 1), tcp(OUT, "A", X + 1, Y + 2), tcp(OUT, "FA", X + 1, Y + 2), tcp(IN, "A", Y + 2, X + 2)],
    "the ports are used again after the end": FINISHED + [
        tcp(OUT, "S", X + 90000), tcp(IN, "SA", Y + 90000, X + 90001), tcp(OUT, "A", X + 90001, Y + 90001)],
    "the ports are used again after a reset": HANDSHAKE + [tcp(IN, "R", Y + 1), tcp(OUT, "S", X + 90000), tcp(IN, "SA", Y + 90000, X + 90001)],
    "the peer opens after the end": FINISHED + [tcp(IN, "S", Y + 90000)],
    "SYN of the peer during a connection": HANDSHAKE + [tcp(IN, "S", Y + 3000)],
    "SYN again during a connection": HANDSHAKE + [tcp(OUT, "S", X)],
    "talk after a reset": HANDSHAKE + [tcp(IN, "R", Y + 1), tcp(OUT, "A", X + 1, Y + 1, 10)],
    "taken up in the middle by the pod": [tcp(OUT, "A", X, Y, 10), tcp(IN, "A", Y, X + 10, 60000), tcp(IN, "R", Y + 60000)],
    "taken up in the middle, and the peer knows nothing of it": [tcp(OUT, "A", X, Y, 10), tcp(IN, "R", Y)],
    "begins with FIN": [tcp(OUT, "FA", X, Y)],
    "begins with RST": [tcp(OUT, "R", X)],
    "begins with SYN+ACK": [tcp(OUT, "SA", X, Y)],
    "sequence numbers wrap": [
        tcp(OUT, "S", -50), tcp(IN, "SA", -1, -49), tcp(OUT, "A", -49, 0), tcp(OUT, "A", -49, 0, 1000), tcp(IN, "A", 0, 951, 1000),
        tcp(OUT, "FA", 951, 1000), tcp(IN, "FA", 1000, 952), tcp(OUT, "A", 952, 1001)],
    "data on the SYN": [tcp(OUT, "S", X, 0, 100), tcp(IN, "SA", Y, X + 101), tcp(OUT, "A", X + 101, Y + 1)],
    "data on the SYN that is not taken": [tcp(OUT, "S", X, 0, 100), tcp(IN, "SA", Y, X + 1), tcp(OUT, "A", X + 1, Y + 1, 100)],
    "no flags": [tcp(OUT, "", X)],
    "SYN and FIN": [tcp(OUT, "SF", X)],
    "UDP": [udp(OUT), udp(OUT), udp(IN), udp(OUT), udp(IN)],
    "UDP that nobody has asked for": [udp(IN)],
}

# ---- the two of them --------------------------------------------------------------------------------------

class Ours:
    """conntrack-replay."""

    def __init__(self):
        self.process = subprocess.Popen([BIN / "conntrack-replay"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def step(self, direction, packet):
        self.process.stdin.write(f"{direction} {bytes(packet).hex()}\n")
        self.process.stdin.flush()
        verdict, state = self.process.stdout.readline().split()
        return verdict == "pass", state

    def close(self):
        self.process.stdin.close()
        status = self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        assert status == 0


class Linux:
    """nf_conntrack of a namespace that forwards between two interfaces."""

    def __init__(self):
        self.netns = Netns("conntrack-linux")
        self.sockets = {}
        # The ends' own MAC addresses are others than what is sent to, so that nothing of it is forwarded again.
        for direction, near in ((OUT, "near"), (IN, "far")):
            self.netns.run("ip", "link", "add", near, "type", "veth", "peer", "name", f"{near}-end")
            for name in (near, f"{near}-end"):
                # Nothing but our packets: no neighbour discovery, no router solicitations.
                self.netns.run("sysctl", "-qw", f"net.ipv6.conf.{name}.accept_dad=0", f"net.ipv6.conf.{name}.addr_gen_mode=1")
                self.netns.run("ip", "link", "set", name, "mtu", 65500, "up")
            self.sockets[direction] = self.netns.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
            self.sockets[direction].bind((f"{near}-end", 0x0003))
        self.mac = {direction: self.netns.links()[name]["address"] for direction, name in ((OUT, "near"), (IN, "far"))}
        for family in (4, 6):
            for name, router, other, mac in (("near", ROUTER[family][0], POD[family], NEAR_MAC),
                                             ("far", ROUTER[family][1], PEER[family], FAR_MAC)):
                self.netns.run("ip", f"-{family}", "address", "add", f"{router}/{24 if family == 4 else 64}", "dev", name)
                self.netns.run("ip", f"-{family}", "neigh", "add", other, "lladdr", mac, "dev", name)
        self.netns.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for iptables in ("iptables", "ip6tables"):
            self.netns.run(iptables, "-A", "FORWARD", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP")
            # As masquerade has it: nothing begins from the far side.
            self.netns.run(iptables, "-A", "FORWARD", "-i", "far", "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP")
        self.markers = itertools.count()

    def _send(self, direction, packet):
        kind = b"\x08\x00" if packet.version == 4 else b"\x86\xdd"
        mac = bytes.fromhex((self.mac[direction] + (NEAR_MAC if direction == OUT else FAR_MAC)).replace(":", ""))
        self.sockets[direction].send(mac + kind + bytes(packet))

    def _mark(self, family):
        """A packet that always passes, to see that what was sent before it has passed, or never will."""
        payload = b"marker %d" % next(self.markers)
        layer = IP(src=POD[4], dst=PEER[4]) if family == 4 else IPv6(src=POD[6], dst=PEER[6])
        self._send(OUT, layer / UDP(sport=MARKER_PORT, dport=MARKER_PORT) / Raw(payload))
        return payload

    def _arrived(self, direction, wanted, family):
        """Was `wanted` (layer 4 on) forwarded? Each direction has a queue of its own: the marker goes the same way."""
        receiver = self.sockets[IN if direction == OUT else OUT]
        marker = self._mark(family) if direction == OUT else None
        if direction == IN:
            # The same flow back: an answer to the marker's, which the connection that it has lets pass.
            marker = b"answer %d" % next(self.markers)
            layer = IP(src=PEER[4], dst=POD[4]) if family == 4 else IPv6(src=PEER[6], dst=POD[6])
            self._send(IN, layer / UDP(sport=MARKER_PORT, dport=MARKER_PORT) / Raw(marker))
        seen = False
        while True:
            frame = receiver.recv(65536)
            if marker in frame:
                return seen
            seen |= wanted in frame

    def _state(self, family, protocol, port):
        entries = self.netns.run("cat", "/proc/self/net/nf_conntrack").stdout.splitlines()
        key = "id=%d " if protocol.startswith("icmp") else "sport=%d "
        for entry in entries:
            fields = entry.split()
            if fields[0] == f"ipv{family}" and fields[2] == protocol and key % port in entry.split(" src=", 2)[1] + " ":
                return fields[5] if protocol == "tcp" else "UNREPLIED" if "[UNREPLIED]" in entry else "REPLIED"
        return "none"

    def step(self, direction, packet, family, port, state):
        protocol = {TCP: "tcp", UDP: "udp"}.get(type(packet.payload), "icmp" if family == 4 else "icmpv6")
        self._send(direction, packet)
        passed = self._arrived(direction, bytes(packet.payload), family)
        return passed, self._state(family, protocol, port) if state else None

    def open_marker(self):
        for family in (4, 6):
            self._arrived(OUT, b"nothing", family)

    def close(self):
        for opened in self.sockets.values():
            opened.close()
        self.netns.delete()


@pytest.fixture(scope="module")
def both():
    with contextlib.ExitStack() as stack:
        ours = Ours()
        stack.callback(ours.close)
        linux = Linux()
        stack.callback(linux.close)
        linux.open_marker()
        ports = itertools.count(20000)

        def run(steps, family, states=True):
            """[(ours, the kernel's)], each (passed, state); without `states` the kernel's only of the last step."""
            port, results = next(ports), []
            for number, (direction, build) in enumerate(steps, 1):
                source, destination = (POD, PEER) if direction == OUT else (PEER, POD)
                layer = IP if family == 4 else IPv6
                packet = layer(bytes(layer(src=source[family], dst=destination[family]) / build(port)))
                results.append((ours.step(direction, packet), linux.step(direction, packet, family, port, states or number == len(steps))))
            return results

        yield run


def shown(result):
    return f"{'passes' if result[0] else 'is dropped'}, {result[1]}"


# ---- the comparison ---------------------------------------------------------------------------------------

FINS = "Linux takes any ACK after a FIN for that FIN's, and any second FIN for the other side's; we look at its number"
GONE = "Linux forgets at once what can be of no use any more; we keep it for the timeout of its state"

# (sequence, step): what ours and Linux's do there, and why they may.
DIFFERENCES = {
    ("the closing side goes on talking", 5): ("FIN_WAIT", "CLOSE_WAIT", FINS),
    ("the closing side goes on talking", 6): ("FIN_WAIT", "LAST_ACK", FINS),
    ("the closing side goes on talking", 7): ("CLOSE_WAIT", "TIME_WAIT", FINS),
    ("everything twice", 8): ("FIN_WAIT", "LAST_ACK", FINS),
    ("both close at once", 6): ("LAST_ACK", "TIME_WAIT", FINS),
    ("refused", 2): ("CLOSE", "none", GONE),
    ("taken up in the middle, and the peer knows nothing of it", 2): ("CLOSE", "none", GONE),
    ("the peer opens after the end", 7): (
        "TIME_WAIT", "none", "Linux makes room for what it takes for a new connection before the rule drops that; here nothing is "
        "ever begun from outside"),
    ("both open at once", 4): (
        "ESTABLISHED", "SYN_RECV", "each side has acknowledged the other's SYN; Linux waits for an ACK without SYN"),
    ("the ports are used again after a reset", 5): (
        "SYN_SENT", "CLOSE", "Linux lets the SYN pass and believes it when it is answered"),
}


@pytest.mark.parametrize("family", [4, 6])
def test_states_are_those_of_linux(both, family):
    sequences = dict(SEQUENCES)
    sequences["echo"] = [echo(OUT, family), echo(IN, family), echo(OUT, family)]
    found, verdicts = {}, {}
    for name, steps in sequences.items():
        for number, (ours, linux) in enumerate(both(steps, family), 1):
            if ours[0] != linux[0]:
                verdicts[name, number] = f"ours {shown(ours)}; Linux's {shown(linux)}"
            elif ours != linux:
                found[name, number] = (ours[1], linux[1])
    assert not verdicts
    assert found == {step: difference[:2] for step, difference in DIFFERENCES.items()}


# ---- generated --------------------------------------------------------------------------------------------

class Endpoint:
    """One side of a TCP connection that keeps to the rules, as far as a network that loses, repeats and delays lets it."""

    def __init__(self, direction, rng, first):
        self.direction, self.rng = direction, rng
        self.una = self.next = first  # not acknowledged yet; to be sent next
        self.received = None          # what it expects next of the other
        self.window = rng.choice([2000, 20000, 65535])
        self.peer_window = 0
        self.to_send = rng.randrange(4) * rng.choice([100, 1460, 3000])
        self.sent_fin = self.got_fin = False

    def segment(self, flags, seq, length=0):
        ack = 0 if self.received is None else self.received
        return tcp(self.direction, flags, seq, ack, length, self.window)

    def transmit(self):
        """The next thing it would send: again what is not acknowledged, data, FIN, or a bare ACK."""
        data = self.next - self.sent_fin - self.una  # not acknowledged yet
        if data > 0 and (self.sent_fin or self.rng.random() < 0.3):
            length = min(data, 1460)
            return self.segment("A", self.una, length), (self.una, length, False)
        room = self.una + self.peer_window - self.next
        if self.to_send and room > 0 and not self.sent_fin:
            length = min(self.to_send, room, 1460)
            self.to_send -= length
            self.next += length
            return self.segment("PA", self.next - length, length), (self.next - length, length, False)
        if not self.to_send and not self.sent_fin:
            self.sent_fin = True
            self.next += 1
            return self.segment("FA", self.next - 1), (self.next - 1, 0, True)
        if self.una != self.next:
            return self.segment("FA", self.next - 1), (self.next - 1, 0, True)
        return self.segment("A", self.next), None

    def receive(self, sent, other):
        """In order only; what is not comes again."""
        self.una, self.peer_window = max(self.una, other.received or 0), other.window
        if sent and sent[0] <= self.received < sent[0] + sent[1] + sent[2]:
            self.received = sent[0] + sent[1] + sent[2]
            self.got_fin |= sent[2]


def conversation(rng):
    pod, peer = Endpoint(OUT, rng, X), Endpoint(IN, rng, Y)
    steps = [pod.segment("S", X)]
    pod.next = pod.una = X + 1
    peer.received, peer.peer_window = X + 1, pod.window
    steps.append(peer.segment("SA", Y))
    peer.next = peer.una = Y + 1
    pod.received, pod.peer_window = Y + 1, peer.window
    steps.append(pod.segment("A", X + 1))
    for _ in range(200):
        if pod.got_fin and peer.got_fin and pod.una == pod.next and peer.una == peer.next:
            break
        sender, receiver = (pod, peer) if rng.random() < 0.5 else (peer, pod)
        segment, sent = sender.transmit()
        steps += [segment] * (2 if rng.random() < 0.1 else 1)
        if rng.random() < 0.8:  # else it is lost behind the firewall
            receiver.receive(sent, sender)
    assert pod.got_fin and peer.got_fin
    steps += [pod.segment("A", pod.next), peer.segment("A", peer.next)]
    return steps


@pytest.mark.parametrize("family", [4, 6])
def test_nothing_that_a_sane_tcp_sends_is_dropped(both, family):
    for seed in range(10):
        results = both(conversation(random.Random(seed)), family, states=False)
        for number, (ours, linux) in enumerate(results, 1):
            assert ours[0] and linux[0], f"seed {seed}, step {number}: ours {shown(ours)}; Linux's {shown(linux)}"
        assert results[-1] == ((True, "TIME_WAIT"), (True, "TIME_WAIT")), seed
