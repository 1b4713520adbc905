# SPDX-License-Identifier: BSD-3-Clause
"""podportctl trace: the way of packets that real stacks send, and what was not seen of them."""

import contextlib
import signal
import socket
import subprocess

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Ether

from eswitch import offload_of, wait_full
from simulation import wait_until
from traffic import raw_socket, tcp_transfer
from watching import Watching
from world import ADDRESSES, World, uplink_yaml


def nodes(packet):
    return [step["node"] for step in packet["steps"]]


def text_of(packet, node):
    return next(step["text"] for step in packet["steps"] if step["node"] == node)


def pick(told, direction, words):
    """The packets of one direction in whose description there is this."""
    return [packet for packet in told["packets"] if packet["direction"] == direction and words in packet["packet"]]


def ping(pod, address, count=3):
    pod.run("ping", "-n", "-c", str(count), "-i", "0.05", "-W", "1", address, check=False)


def test_the_way_of_a_ping_is_shown_in_both_directions(make_sim):
    sim = make_sim(offload=False)
    a, b = sim.pod().add(), sim.pod().add()
    for family, name in ((4, "ip4"), (6, "ip6")):
        target = b.address(family)
        with Watching(sim, "trace", a, "--count", 6, "icmp[icmptype] == icmp-echo or icmp[icmptype] == icmp-echoreply"
                      if family == 4 else "icmp6 and (ip6[40] == 128 or ip6[40] == 129)") as watching:
            a.ping(target, count=3)
            told = watching.wait()
        assert told["lost"] == 0 and told["offloaded"] == 0 and not told["withdrawn"]
        way = ["eth_classify", f"{name}_input", f"{name}_lookup", f"{name}_forward", "port_tx"]
        questions, answers = pick(told, "from", " ping,"), pick(told, "to", " answer to a ping,")
        assert len(questions) == 3 and len(answers) == 3, told
        for packet in questions + answers:
            assert nodes(packet) == way and packet["drop"] is None, packet
        assert f"{a.address(family)} > {target}" in questions[0]["packet"]
        assert f"source check passed: {a.address(family)}" in text_of(questions[0], way[1])
        assert b.container_id in text_of(questions[0], way[2])
        assert "64 becomes 63" in text_of(questions[0], way[3])
        assert a.container_id in text_of(answers[0], "port_tx")


def test_what_the_e_switch_forwards_is_counted_and_shown_only_on_request(make_sim):
    sim = make_sim()
    a, b = sim.pod().add(), sim.pod().add()
    wait_full(sim, a, b)
    a.ping(b.ipv4)  # neighbours are known from now on
    with Watching(sim, "trace", a, "icmp") as watching:
        ping(a, b.ipv4, 5)
        told = watching.end()
    assert told["offloaded"] >= 10 and not told["packets"] and not told["withdrawn"], told
    assert offload_of(sim, a) == ("full", "")
    with Watching(sim, "trace", a, "--all", "--count", 4, "icmp") as watching:
        state, reason = offload_of(sim, a)
        assert state == "none" and "withdrawn" in reason
        assert offload_of(sim, b)[0] == "full"
        status = sim.status()["agent"]
        assert status["offload"]["rules_missing"] == 0 and not status["notice"], status
        ping(a, b.ipv4, 5)
        told = watching.wait()
    assert told["withdrawn"] and len(told["packets"]) == 4, told
    assert {nodes(packet)[-1] for packet in told["packets"]} == {"port_tx"}
    wait_full(sim, a, b)


def test_a_packet_that_does_not_arrive_is_shown_with_the_reason(sim):
    pod = sim.pod().add()
    # Nobody has the last address.
    nobody = ".".join(pod.ipv4.split(".")[:2] + ["255", "200"])
    with Watching(sim, "trace", pod, "--count", 2, "icmp") as watching:
        ping(pod, nobody, 1)
        told = watching.wait()
    dropped, error = pick(told, "from", " ping,"), pick(told, "to", "ICMP host unreachable")
    assert len(dropped) == 1 and len(error) == 1, told
    assert dropped[0]["drop"] == "no-such-pod"
    assert "no-such-pod: " in text_of(dropped[0], "ip4_lookup") and nodes(dropped[0])[-2:] == ["icmp4_error", "drop"]
    with Watching(sim, "trace", pod, "--count", 1, "src host 192.0.2.1") as watching:
        with contextlib.closing(raw_socket(pod.netns, pod.ifname)) as raw:
            raw.send(bytes(Ether(src=pod.mac, dst=pod.run("ip", "neigh", "show", sim.gateway(4)).stdout.split()[4])
                           / IP(src="192.0.2.1", dst=sim.gateway(4)) / ICMP()))
        told = watching.wait()
    assert told["packets"][0]["drop"] == "spoofed-source-address", told
    assert nodes(told["packets"][0]) == ["eth_classify", "ip4_input", "drop"]


def test_the_translation_of_a_masqueraded_connection_is_shown(make_sim):
    sim = make_sim(agent_yaml=uplink_yaml() + "masquerade:\n  ipv4: true\n")
    with contextlib.closing(World(sim)) as world:
        world.wait_for_agent()
        pod = sim.pod().add()
        address = ADDRESSES[4].world
        with Watching(sim, "trace", pod, "--count", 8, f"host {address} and tcp") as watching:
            tcp_transfer(pod, world, address, 1000)
            told = watching.wait()
        syn, answer = pick(told, "from", "TCP SYN")[0], pick(told, "to", "TCP SYN ACK")[0]
        assert f"{pod.ipv4}:" in syn["packet"] and address in syn["packet"]
        assert ADDRESSES[4].gate in text_of(syn, "route4")
        assert f"becomes {ADDRESSES[4].wire}:" in text_of(syn, "masquerade_output")
        assert "translated: " in text_of(answer, "masquerade_input")
        assert f"> {pod.ipv4}:" in text_of(answer, "masquerade_input")
        # What the table says of it is what the trace has shown.
        seen_as = text_of(syn, "masquerade_output").split(" becomes ")[1].split(" > ")[0]
        ports = [c["seen_as"]["port"] for c in sim.ask("connections")["connections"] if c["protocol"] == "tcp"]
        assert int(seen_as.split(":")[1]) in ports, (seen_as, ports)


def test_traces_that_are_killed_leave_nothing_behind(make_sim):
    sim = make_sim()
    a, b = sim.pod().add(), sim.pod().add()
    wait_full(sim, a, b)
    with contextlib.ExitStack() as stack:
        # As many as there may be at once.
        all_four = [stack.enter_context(Watching(sim, "trace", a, "--all", "--count", 1000)) for _ in range(4)]
        assert offload_of(sim, a)[0] == "none"
        for watching in all_four:
            watching.process.send_signal(signal.SIGKILL)
            watching.process.wait()
    wait_full(sim, a, b)
    a.ping(b.ipv4)
    with Watching(sim, "trace", a, "tcp") as watching:
        watching.end()


def test_a_packet_that_waits_is_shown_when_the_trace_ends(make_sim):
    sim = make_sim(agent_yaml=uplink_yaml())
    with contextlib.closing(World(sim)) as world:
        world.wait_for_agent()
        pod = sim.pod().add()
        with Watching(sim, "trace", pod, "icmp[icmptype] == icmp-echo") as watching, pod.popen(
                "ping", "-n", "-c", "1", "-W", "1", ADDRESSES[4].nobody, stdout=subprocess.DEVNULL) as pinging:
            wait_until(lambda: any(neighbour["address"] == ADDRESSES[4].nobody for neighbour in sim.ask("neighbours")["neighbours"]),
                       "the agent asks for the neighbour")
            told = watching.end()
            pinging.wait()
    # Unless the machine is so slow that it has been given up already.
    assert nodes(told["packets"][0])[-1] in ("neighbour_resolve", "drop"), told
    assert ADDRESSES[4].nobody in text_of(told["packets"][0], "ip4_forward")


def test_a_trace_ends_with_its_pod_and_with_its_time(sim):
    pod = sim.pod().add()
    with Watching(sim, "trace", pod) as watching:
        pod.delete()
        assert watching.wait()["reason"] == "the pod's port was stopped"
    pod.add()
    with Watching(sim, "trace", pod, "--seconds", 1, "tcp") as watching:
        assert watching.wait()["reason"] == "1 s are over"


def test_what_is_wrong_is_said(sim):
    pod = sim.pod().add()

    def refused(*arguments):
        result = sim.podportctl(*arguments, check=False)
        assert result.returncode in (1, 2), result
        return result.stderr + result.stdout

    assert "no pod is called" in refused("trace", "nobody")
    assert "pcap-filter(7)" in refused("trace", pod.container_id, "tcp", "prot", "80")
    assert "jumps backwards" in refused("trace", pod.container_id, "ip6 protochain 17")
    assert "--count: '0'" in refused("trace", pod.container_id, "--count", "0")
    assert "go with 'trace' or 'capture'" in refused("pods", "--count", "3")
    assert "POD -w FILE" in refused("capture", pod.container_id)
    sim.agent.kill()
    assert "agent" in refused("trace", pod.container_id)
    sim.agent.start()
    sim.wait_ready()


def test_no_more_than_a_few_are_traced_at_once(sim):
    pod = sim.pod().add()
    with contextlib.ExitStack() as stack:
        four = [stack.enter_context(Watching(sim, "trace", pod, "--count", 100, "udp port 7")) for _ in range(4)]
        result = sim.podportctl("trace", pod.container_id, check=False)
        assert result.returncode == 1 and "4 traces and captures are running" in result.stderr
        with pod.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect((sim.gateway(4), 7))
            client.send(b"x")
            with pytest.raises(ConnectionRefusedError):  # it has gone all its way
                client.recv(1)
        for watching in four:
            told = watching.end()
            wait_until(lambda told=told: told["packets"] is not None, "it has told")
            assert len(pick(told, "from", " UDP")) == 1, told
    assert sim.podportctl("trace", pod.container_id, "--seconds", "1", "tcp").returncode == 0
