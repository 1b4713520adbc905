# SPDX-License-Identifier: BSD-3-Clause
"""What a pod may not do to others, and that it is counted."""

import pytest
from scapy.layers.inet import ICMP, IP, UDP, IPOption_NOP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from simulation import wait_until
from traffic import first_frame, frames, raw_socket

MARK = b"podport-test-mark"
ROUTER = "02:70:70:00:00:01"


@pytest.fixture
def two(sim):
    return sim.pod().add(), sim.pod().add()


def packet(a, b, family, **changes):
    """A datagram from a to b as its kernel would send it, but for the changes."""
    mac, source = changes.get("mac", a.mac), changes.get("source", a.address(family))
    ip = IP(src=source, dst=b.address(family)) if family == 4 else IPv6(src=source, dst=b.address(family))
    return Ether(src=mac, dst=changes.get("to", ROUTER)) / ip / UDP(sport=4000, dport=4001) / Raw(MARK)


def send_and_listen(a, b, frame, count=1):
    """Send frames from a; then a proper one that must arrive. What else arrived at b that carries the mark."""
    end = b"the end of the test"
    # With options, so that it takes the slow path behind the others: a rule's frame would overtake them.
    last = Ether(src=a.mac, dst=ROUTER) / IP(src=a.ipv4, dst=b.ipv4, options=[IPOption_NOP()] * 4) / UDP(sport=1, dport=2) / Raw(end)
    with raw_socket(a, "eth0") as out, raw_socket(b, "eth0") as into:
        for _ in range(count):
            out.send(bytes(frame))
        out.send(bytes(last))
        seen = []
        for arrived in frames(into, 30):
            if end in arrived:
                return seen
            # What b itself sends is seen here, too: an ICMP error quotes the mark.
            if MARK in arrived and arrived[6:12] == bytes.fromhex(ROUTER.replace(":", "")):
                seen.append(arrived)
    raise AssertionError("the last, proper packet did not arrive")


@pytest.mark.parametrize("family", [4, 6])
def test_a_proper_packet_arrives(two, family):
    # Without this, the tests below could not fail.
    a, b = two
    assert len(send_and_listen(a, b, packet(a, b, family))) == 1


@pytest.mark.parametrize("family, changes", [
    (4, {"mac": "02:00:00:00:00:99"}),
    (6, {"mac": "02:00:00:00:00:99"}),
    (4, {"mac": "01:00:5e:00:00:01"}),
    (4, {"source": "10.88.123.123"}),
    (4, {"source": "192.0.2.1"}),
    (4, {"source": "0.0.0.0"}),
    (4, {"source": "127.0.0.1"}),
    (6, {"source": "fd00:10:88::bad"}),
    (6, {"source": "2001:db8::1"}),
    (6, {"source": "::1"}),
])
def test_a_forged_source_is_dropped_and_counted(sim, two, family, changes):
    a, b = two
    before = sum(sim.drops(a).values())
    assert send_and_listen(a, b, packet(a, b, family, **changes), count=5) == []
    wait_until(lambda: sum(sim.drops(a).values()) >= before + 5, lambda: f"five drops are counted: {sim.drops(a)}")


def test_a_pod_cannot_pose_as_another_pod(sim, two):
    a, b = two
    c = sim.pod().add()
    assert send_and_listen(a, b, packet(a, b, 4, source=c.ipv4)) == []
    assert send_and_listen(a, b, packet(a, b, 4, source=c.ipv4, mac=c.mac)) == []
    assert send_and_listen(a, b, packet(a, b, 6, source=c.ipv6)) == []
    assert send_and_listen(a, b, packet(a, b, 4, source=sim.gateway(4))) == []


def test_a_pod_cannot_take_the_address_of_another_by_arp_or_neighbour_discovery(two):
    a, b = two
    with raw_socket(a, "eth0") as out, raw_socket(b, "eth0") as into:
        out.send(bytes(Ether(src=a.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=2, hwsrc=a.mac, psrc="10.88.0.1", hwdst=b.mac, pdst=b.ipv4)))
        out.send(bytes(Ether(src=a.mac, dst="33:33:00:00:00:01") / IPv6(src=a.ipv6, dst="ff02::1", hlim=255)
                       / ICMPv6ND_NA(tgt="fd00:10:88::1", R=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=a.mac)))
        out.send(bytes(packet(a, b, 4)))
        for arrived in frames(into, 30):
            if MARK in arrived:
                break
            decoded = Ether(arrived)
            assert not (ARP in decoded and decoded[ARP].hwsrc == a.mac)
            assert ICMPv6ND_NA not in decoded or decoded[ICMPv6NDOptDstLLAddr].lladdr != a.mac
    b.ping("10.88.0.1")
    b.ping("fd00:10:88::1")


HOSTILE = {
    "runt": lambda a, b: bytes(packet(a, b, 4))[:20],
    "cut in the IPv4 header": lambda a, b: bytes(packet(a, b, 4))[:30],
    "cut in the IPv6 header": lambda a, b: bytes(packet(a, b, 6))[:40],
    "IPv4 total length beyond the frame": lambda a, b: bytes(Ether(src=a.mac, dst=ROUTER) / IP(src=a.ipv4, dst=b.ipv4, len=1400) / UDP() / Raw(MARK)),
    "IPv4 total length below the header": lambda a, b: bytes(Ether(src=a.mac, dst=ROUTER) / IP(src=a.ipv4, dst=b.ipv4, len=8) / UDP() / Raw(MARK)),
    "IPv4 header length below five words": lambda a, b: bytes(Ether(src=a.mac, dst=ROUTER) / IP(src=a.ipv4, dst=b.ipv4, ihl=3) / UDP() / Raw(MARK)),
    "IPv4 header length beyond the frame": lambda a, b: bytes(Ether(src=a.mac, dst=ROUTER) / IP(src=a.ipv4, dst=b.ipv4, ihl=15))[:40],
    "IPv4 with a wrong header checksum": lambda a, b: bytes(Ether(src=a.mac, dst=ROUTER) / IP(src=a.ipv4, dst=b.ipv4, chksum=0x1234) / UDP() / Raw(MARK)),
    "IPv4 called version 7": lambda a, b: bytes(Ether(src=a.mac, dst=ROUTER) / IP(src=a.ipv4, dst=b.ipv4, version=7) / UDP() / Raw(MARK)),
    "IPv6 payload length beyond the frame": lambda a, b: bytes(Ether(src=a.mac, dst=ROUTER) / IPv6(src=a.ipv6, dst=b.ipv6, plen=1400) / UDP() / Raw(MARK)),
    "IPv6 called version 4": lambda a, b: bytes(Ether(src=a.mac, dst=ROUTER) / IPv6(src=a.ipv6, dst=b.ipv6, version=4) / UDP() / Raw(MARK)),
    "a VLAN tag": lambda a, b: bytes(Ether(src=a.mac, dst=ROUTER) / Dot1Q(vlan=5) / IP(src=a.ipv4, dst=b.ipv4) / UDP() / Raw(MARK)),
    "an unknown ethertype": lambda a, b: bytes(Ether(src=a.mac, dst=ROUTER, type=0x88B5) / Raw(MARK * 4)),
    "another MAC address as destination": lambda a, b: bytes(packet(a, b, 4, to="02:00:00:00:00:42")),
    "IPv4 broadcast": lambda a, b: bytes(Ether(src=a.mac, dst="ff:ff:ff:ff:ff:ff") / IP(src=a.ipv4, dst="255.255.255.255") / UDP() / Raw(MARK)),
    "IPv4 multicast": lambda a, b: bytes(Ether(src=a.mac, dst="01:00:5e:00:00:05") / IP(src=a.ipv4, dst="224.0.0.5") / UDP() / Raw(MARK)),
    "IPv4 to loopback": lambda a, b: bytes(Ether(src=a.mac, dst=ROUTER) / IP(src=a.ipv4, dst="127.0.0.1") / UDP() / Raw(MARK)),
    "IPv6 to loopback": lambda a, b: bytes(Ether(src=a.mac, dst=ROUTER) / IPv6(src=a.ipv6, dst="::1") / UDP() / Raw(MARK)),
    "ARP cut short": lambda a, b: bytes(Ether(src=a.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(psrc=a.ipv4, pdst="10.88.0.1"))[:30],
    "TTL zero": lambda a, b: bytes(Ether(src=a.mac, dst=ROUTER) / IP(src=a.ipv4, dst=b.ipv4, ttl=0) / UDP() / Raw(MARK)),
    "hop limit zero": lambda a, b: bytes(Ether(src=a.mac, dst=ROUTER) / IPv6(src=a.ipv6, dst=b.ipv6, hlim=0) / UDP() / Raw(MARK)),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_malformed_packet_does_not_pass_and_harms_nothing(two, what):
    a, b = two
    assert send_and_listen(a, b, HOSTILE[what](a, b), count=3) == []
    a.ping(b.ipv4)
    a.ping(b.ipv6)


def test_a_packet_that_was_forwarded_is_right_in_every_field(two):
    a, b = two
    with raw_socket(a, "eth0") as out, raw_socket(b, "eth0") as into:
        out.send(bytes(Ether(src=a.mac, dst=ROUTER) / IP(src=a.ipv4, dst=b.ipv4, ttl=17, tos=0x28, id=777) / ICMP(id=5, seq=6) / Raw(MARK)))
        arrived = Ether(first_frame(into, lambda frame: MARK in frame and bytes([8, 0]) in frame, "the ping"))
        assert arrived.src == ROUTER and arrived.dst == b.mac
        assert (arrived[IP].src, arrived[IP].dst, arrived[IP].ttl, arrived[IP].tos, arrived[IP].id) == (a.ipv4, b.ipv4, 16, 0x28, 777)
        for layer in (IP, ICMP):
            checksum = arrived[layer].chksum
            again = arrived.copy()
            del again[layer].chksum
            assert Ether(bytes(again))[layer].chksum == checksum

        out.send(bytes(Ether(src=a.mac, dst=ROUTER) / IPv6(src=a.ipv6, dst=b.ipv6, hlim=17, tc=0x28, fl=0x12345)
                       / ICMPv6EchoRequest(id=5, seq=6, data=MARK)))
        arrived = Ether(first_frame(into, lambda frame: MARK in frame and frame[12:14] == b"\x86\xdd", "the IPv6 ping"))
        assert arrived.src == ROUTER and arrived.dst == b.mac
        assert (arrived[IPv6].src, arrived[IPv6].dst, arrived[IPv6].hlim, arrived[IPv6].tc, arrived[IPv6].fl) == (a.ipv6, b.ipv6, 16, 0x28, 0x12345)


def test_the_gateway_answers_arp_for_itself_and_for_nobody_else(two):
    a, b = two
    with raw_socket(a, "eth0") as raw:
        raw.send(bytes(Ether(src=a.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=a.mac, psrc=a.ipv4, pdst=b.ipv4)))
        raw.send(bytes(Ether(src=a.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=a.mac, psrc=a.ipv4, pdst="10.88.0.1")))
        answer = Ether(first_frame(raw, lambda frame: frame[12:14] == b"\x08\x06" and frame[20:22] == b"\x00\x02", "an ARP reply"))
        assert (answer[ARP].psrc, answer[ARP].hwsrc, answer[ARP].pdst, answer[ARP].hwdst) == ("10.88.0.1", ROUTER, a.ipv4, a.mac)


def test_packets_are_counted_for_the_pod_that_sent_and_the_pod_that_got_them(sim, two):
    a, b = two
    before_a, before_b = sim.port_of(a), sim.port_of(b)
    a.ping(b.ipv4, count=10)
    wait_until(lambda: sim.port_of(a)["rx_packets"] >= before_a["rx_packets"] + 10, "ten packets from a")
    wait_until(lambda: sim.port_of(b)["tx_packets"] >= before_b["tx_packets"] + 10, "ten packets to b")
    assert sim.port_of(b)["tx_bytes"] >= before_b["tx_bytes"] + 10 * 84
