# SPDX-License-Identifier: BSD-3-Clause
"""podportctl capture: what is in the file is what went over the pod's interface, whoever forwards it."""

import contextlib
import shutil
import signal
import socket
import subprocess
import time

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.utils import PcapNgReader

from eswitch import offload_of, wait_full
from simulation import wait_until
from traffic import first_frame, raw_socket, tcp_transfer
from watching import Watching, read_pcapng
from world import ADDRESSES, World, uplink_yaml


def collect(raw):
    """All frames that wait at the packet socket: [(comes in, bytes)]."""
    found = []
    raw.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            data, address = raw.recvfrom(65536)
            found.append((address[2] != socket.PACKET_OUTGOING, data))
    return found


def echoes(frames):
    """{(comes in, ICMP type, identifier, sequence, payload)} of pings among (comes in, bytes)."""
    found = set()
    for inbound, data in frames:
        frame = Ether(data)
        if ICMP in frame and frame[ICMP].type in (0, 8):
            icmp = frame[ICMP]
            found.add((inbound, icmp.type, icmp.id, icmp.seq, bytes(icmp.payload)))
    return found


def stream(frames, inbound, port):
    """The bytes of a TCP stream to that port, put together by sequence."""
    pieces = {}
    for way, data in frames:
        frame = Ether(data)
        if way == inbound and TCP in frame and frame[TCP].dport == port:
            ip = frame[IP]
            payload = bytes(ip)[ip.ihl * 4 + frame[TCP].dataofs * 4:ip.len]
            if payload:
                pieces[frame[TCP].seq] = payload
    return b"".join(pieces[seq] for seq in sorted(pieces))


@pytest.mark.parametrize("offload", [True, False])
def test_the_file_has_the_packets_of_the_pods_interface(make_sim, offload):
    sim = make_sim(offload=offload)
    a, b = sim.pod().add(), sim.pod().add()
    if offload:
        wait_full(sim, a, b)
    message = bytes(range(256)) * 20
    with contextlib.closing(raw_socket(a.netns, a.ifname)) as raw, \
            Watching(sim, "capture", a, "--snap", 9216, "icmp or tcp port 5001") as capture:
        a.ping(b.ipv4, count=4)
        b.ping(a.ipv4, count=4)
        with b.socket(socket.AF_INET, socket.SOCK_STREAM) as listener, a.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            listener.bind((b.ipv4, 5001))
            listener.listen()
            client.connect((b.ipv4, 5001))
            with listener.accept()[0] as server:
                client.sendall(message)
                left = len(message)
                while left:
                    left -= len(server.recv(left))
        told = capture.end()
        on_interface = collect(raw)
    assert told["withdrawn"] == offload and told["offloaded"] == 0 and told["lost"] == 0, told
    interface, packets, statistics = read_pcapng(capture.file)
    assert interface.name.startswith("pf0vf") and a.container_id in interface.description and interface.linktype == 1
    assert interface.filter == "icmp or tcp port 5001"
    assert statistics == {"received": len(packets), "lost": 0} and told["packets"] == len(packets)
    in_file = [(packet.inbound, packet.data) for packet in packets]
    assert echoes(in_file) == echoes(on_interface) and len(echoes(in_file)) == 16
    assert stream(in_file, False, 5001) == message
    assert not any(packet.comment for packet in packets)
    now = time.time_ns()
    assert all(now - 600e9 < packet.time_ns <= now for packet in packets)
    # And other programs read it.
    with PcapNgReader(str(capture.file)) as reader:
        assert [bytes(frame) for frame in reader] == [packet.data for packet in packets]
    if shutil.which("tcpdump"):
        lines = subprocess.run(["tcpdump", "-nr", capture.file], capture_output=True, text=True, check=True).stdout
        assert len(lines.splitlines()) == len(packets)
    if offload:
        wait_full(sim, a, b)


def test_what_is_answered_or_dropped_by_the_agent_is_there_with_the_reason(sim):
    pod = sim.pod().add()
    nobody = ".".join(pod.ipv4.split(".")[:2] + ["255", "200"])
    with Watching(sim, "capture", pod) as capture:
        pod.run("ping", "-n", "-c", "1", "-W", "1", nobody, check=False)
        with contextlib.closing(raw_socket(pod.netns, pod.ifname)) as raw:
            raw.send(bytes(Ether(src=pod.mac, dst="ff:ff:ff:ff:ff:ff")
                           / ARP(hwsrc=pod.mac, psrc=pod.ipv4, pdst=sim.gateway(4))))
            first_frame(raw, lambda frame: Ether(frame).haslayer(ARP) and Ether(frame)[ARP].op == 2, "the router's answer")
        capture.end()
    packets = read_pcapng(capture.file)[1]
    dropped = [packet for packet in packets if packet.comment]
    assert [packet.comment for packet in dropped if Ether(packet.data).haslayer(ICMP)] == ["dropped by podport: no-such-pod"], packets
    errors = [packet for packet in packets if packet.inbound and ICMP in Ether(packet.data) and Ether(packet.data)[ICMP].type == 3]
    assert len(errors) == 1
    arp = [packet.inbound for packet in packets if Ether(packet.data).haslayer(ARP)]
    assert arp == [False, True], packets  # question and answer


def test_masqueraded_packets_are_as_the_pod_has_them(make_sim):
    sim = make_sim(agent_yaml=uplink_yaml() + "masquerade:\n  ipv4: true\n")
    with contextlib.closing(World(sim)) as world:
        world.wait_for_agent()
        pod = sim.pod().add()
        address = ADDRESSES[4].world
        with Watching(sim, "capture", pod, "--snap", 100, f"host {address}") as capture:
            tcp_transfer(pod, world, address, 1 << 20)
            pod.ping(address)
            told = capture.end()
        interface, packets, _ = read_pcapng(capture.file)
        assert interface.snap == 100 and max(len(packet.data) for packet in packets) == 100
        assert told["packets"] == len(packets) and max(packet.length for packet in packets) > 1000
        for packet in packets:
            ip = Ether(packet.data)[IP]
            assert (ip.src, ip.dst) == ((address, pod.ipv4) if packet.inbound else (pod.ipv4, address))


def test_two_captures_do_not_disturb_each_other(make_sim):
    sim = make_sim()
    a, b = sim.pod().add(), sim.pod().add()
    wait_full(sim, a, b)
    with Watching(sim, "capture", a, "icmp") as at_a, Watching(sim, "capture", b, "icmp") as at_b, \
            Watching(sim, "capture", a, "--count", 2, "icmp") as short:
        a.ping(b.ipv4, count=3)
        assert short.wait()["packets"] == 2
        assert offload_of(sim, a)[0] == "none"  # the first one still looks
        a.ping(b.ipv4, count=3)
        at_a.end()
        wait_full(sim, a)
        assert offload_of(sim, b)[0] == "none"
        at_b.end()
    wait_full(sim, a, b)
    seen_a, seen_b = (echoes((packet.inbound, packet.data) for packet in read_pcapng(capture.file)[1]) for capture in (at_a, at_b))
    # What one has sent the other has received.
    assert len(seen_a) == 12 and {(not inbound, *rest) for inbound, *rest in seen_a} == seen_b


def test_a_capture_that_is_killed_leaves_a_good_file_and_the_rules_come_back(make_sim):
    sim = make_sim()
    a, b = sim.pod().add(), sim.pod().add()
    wait_full(sim, a, b)
    with Watching(sim, "capture", a) as capture:
        a.ping(b.ipv4, count=3)
        wait_until(lambda: len(read_pcapng(capture.file)[1]) >= 6, "packets are in the file while it is written")
        capture.process.send_signal(signal.SIGKILL)
        capture.process.wait()
        assert len(read_pcapng(capture.file)[1]) >= 6
    wait_full(sim, a, b)


def test_an_agent_that_is_restarted_ends_the_capture_and_has_all_its_rules(make_sim):
    sim = make_sim()
    a, b = sim.pod().add(), sim.pod().add()
    wait_full(sim, a, b)
    with Watching(sim, "capture", a) as capture:
        a.ping(b.ipv4, count=3)
        sim.agent.kill()
        sim.agent.start()
        output = capture.end(number=None, status=1)
        assert "agent" in output + capture.messages()
        read_pcapng(capture.file)
    sim.wait_ready()
    wait_full(sim, a, b)
    a.ping(b.ipv4)


def test_a_reader_that_is_too_slow_is_told_what_it_has_lost(make_sim):
    sim = make_sim()
    pod = sim.pod().add()
    enough = 1500  # records for whole frames the agent has some 900

    def received():
        return sim.port_of(pod)["rx_packets"]

    def flood_until(count):
        """Packets may be lost on their way to the agent."""
        with pod.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect((sim.gateway(4), 9))
            while received() < count:
                for _ in range(300):
                    with contextlib.suppress(ConnectionRefusedError):
                        client.send(b"x" * 100)

    for _ in range(5):  # on a machine where this takes longer than the agent waits for a reader, once more
        with Watching(sim, "capture", pod, "--snap", 9216, "udp") as capture:
            capture.process.send_signal(signal.SIGSTOP)
            flood_until(received() + enough)
            capture.process.send_signal(signal.SIGCONT)
            capture.process.send_signal(signal.SIGINT)
            capture.process.wait()
            if capture.process.returncode != 0:
                assert "has not been asked" in capture.messages()
                continue
            told = capture.end()
        packets, statistics = read_pcapng(capture.file)[1:]
        assert told["lost"] > 0 and statistics["lost"] == told["lost"]
        sent = sum(1 for packet in packets if UDP in Ether(packet.data) and not packet.inbound)
        assert sent + told["lost"] >= enough - 50, told  # what its kernel says besides is not UDP
        return
    raise AssertionError("it never came back in time")
