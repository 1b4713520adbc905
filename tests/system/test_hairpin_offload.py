# SPDX-License-Identifier: BSD-3-Clause
"""Connections that never see the wire, of a pod or the host to a port that a pod publishes on the node's address: in the e-switch as
those with the wire are. That packets meet the same there is test_connection_parity's."""

import contextlib
import socket
import struct

import pytest

from eswitch import flows
from simulation import wait_until
from test_connection_offload import CHATTER, ENOUGH, FAMILIES, CallTcp, CallUdp, connections, publishing, uplink
from traffic import family_of, first_frame, in_thread, raw_socket
from watching import Watching
from world import ADDRESSES, World, uplink_yaml

PORT = 8080
MEGABYTE = 1 << 20


def call(kind, client, server, family):
    """A connection from a pod to the port that another one publishes."""
    return kind(server, client, family, PORT, PORT, client.address(family))


@pytest.fixture
def node(make_sim):
    """node(**options): a simulation with an uplink, and nobody on it that matters."""
    with contextlib.ExitStack() as stack:
        def make(**options):
            sim = make_sim(agent_yaml=uplink_yaml() + "masquerade:\n  ipv4: true\n  ipv6: true\n", **options)
            world = World(sim)
            stack.callback(world.close)
            world.wait_for_agent()
            return sim

        yield make


def of_call(sim, talk):
    return next((c for c in connections(sim)["connections"] if c["from"]["port"] == talk.port), None)


def until_carried(sim, talk):
    def is_carried():
        talk.talk(1)
        return (of_call(sim, talk) or {"offloaded": False})["offloaded"]

    talk.talk(ENOUGH)
    wait_until(is_carried, lambda: f"it is carried: {connections(sim)}\n{sim.podportctl('offload').stdout}\n{sim.logs()}")


def until_none_carried(sim):
    wait_until(lambda: connections(sim)["offload"]["carried"] == 0, lambda: f"none is carried: {connections(sim)}")


def bulk(talk, size):
    """So many bytes through a connection that is open, each way."""
    for sender, receiver in ((talk.client, talk.server), (talk.server, talk.client)):
        def receive(end=receiver):
            got = bytearray()
            while len(got) < size:
                got += end.recv(1 << 18)
            return bytes(got)

        payload = bytes(i * 7 % 251 for i in range(1 << 16)) * (size >> 16)
        received = in_thread(receive)
        sender.sendall(payload)
        assert received() == payload


def port_of(sim, end):
    """The agent's port of a pod, or of the host."""
    return sim.port_of(end) if end is not sim.host else next(port for port in sim.ports() if port["kind"] == "host")


def slow(sim, *ends):
    """What the agent itself has received and sent for each of them, and for the wire."""
    return [sum(port[f"{way}_packets"] - port[f"offloaded_{way}_packets"] for way in ("rx", "tx"))
            for port in [port_of(sim, end) for end in ends] + [uplink(sim)]]


def gate_of(sim, end):
    if end is not sim.host:
        return [flow["actions"] for flow in flows(sim, end) if "connections" in flow["actions"]]
    return [flow["actions"] for flow in sim.ask("flows")["flows"] if "connections" in flow["actions"] and
            ("from pf0 " in flow["match"] or "to pf0," in flow["actions"])]


@pytest.mark.parametrize("kind", [CallTcp, CallUdp])
@pytest.mark.parametrize("who", ["another pod", "the host", "itself"])
def test_who_calls_a_pod_by_the_nodes_address_stays_in_the_e_switch(node, who, kind):
    sim = node()
    server = publishing(sim, PORT)

    def caller():
        return {"another pod": lambda: sim.pod().add(), "the host": lambda: sim.host, "itself": lambda: server}[who]()

    client = caller()
    for family in FAMILIES:
        talk = kind(server, client, family, PORT, PORT, sim.gateway(family) if client is sim.host else client.address(family))
        until_carried(sim, talk)
        assert talk.peer[0] == ADDRESSES[family].wire  # who has called is not seen
        ends = [client] if client is server else [client, server]
        for end in ends:
            gate = gate_of(sim, end)
            assert len(gate) == 3 and all("of 1 connections" in actions for actions in gate), gate
        before, wire = slow(sim, *ends), uplink(sim)["tx_packets"]
        ports = [port_of(sim, end) for end in ends]
        talk.talk(500)
        if kind is CallTcp:
            bulk(talk, MEGABYTE)
        after = slow(sim, *ends)
        assert all(new - old <= CHATTER for old, new in zip(before, after)), (before, after, sim.ports())
        assert uplink(sim)["tx_packets"] - wire <= CHATTER
        # What the e-switch counts is told as if the agent had forwarded it: of the connection, of its port, of both ends.
        wait_until(lambda talk=talk: of_call(sim, talk)["packets_sent"] >= 500 and of_call(sim, talk)["packets_received"] >= 500,
                   lambda: f"the packets are counted: {connections(sim)}")
        for end, old in zip(ends, ports):
            new = port_of(sim, end)
            assert all(new[f"offloaded_{way}_packets"] - old[f"offloaded_{way}_packets"] >= 1000 // len(ends) for way in ("rx", "tx")), (old, new)
        talk.close()
        if kind is CallTcp:  # by its FIN, long before its time is up
            until_none_carried(sim)
        else:  # nothing says that it is over, but that either pod goes
            gone = client if family == 4 and client is not sim.host else server
            gone.delete()
            until_none_carried(sim)
            if gone is server:
                server = publishing(sim, PORT)
            client = caller()
    assert connections(sim)["offload"]["why_not"] == ""


def test_nothing_arrives_any_more_when_the_pod_that_publishes_is_gone(node):
    sim = node(functions=2)
    for family in FAMILIES:
        client, server = sim.pod().add(), publishing(sim, PORT)
        talk = call(CallUdp, client, server, family)
        until_carried(sim, talk)
        function = sim.port_of(server)["function"]
        server.delete()
        newcomer = sim.pod().add()
        assert sim.port_of(newcomer)["function"] == function
        with raw_socket(newcomer, newcomer.ifname) as raw, client.socket(family_of(ADDRESSES[family].wire), socket.SOCK_DGRAM) as other:
            for i in range(100):
                with contextlib.suppress(ConnectionRefusedError):
                    talk.client.send(struct.pack("!I", i) + b"late")
            # The router answers behind all that went to the agent; what follows by the e-switch comes behind what went by that.
            client.ping(sim.gateway(4), count=1)
            other.sendto(b"last", (newcomer.address(family), PORT))
            late = []
            first_frame(raw, lambda frame, late=late: late.append(frame) or frame.endswith(b"last"), "what is sent last")
            assert not any(frame.endswith(b"late") for frame in late)
        talk.close()
        until_none_carried(sim)
        # Its port leads nowhere, and to the next one that publishes it.
        newcomer.delete()
        talk = call(CallUdp, client, publishing(sim, PORT), family)
        until_carried(sim, talk)
        talk.close()
        for pod in list(sim.pods):
            if pod.result:
                pod.try_delete()


@pytest.mark.parametrize("caller,traced", [("a pod", "client"), ("a pod", "server"), ("the host", "server")])
def test_a_trace_of_either_pod_sees_what_was_carried(node, caller, traced):
    sim = node()
    client, server = sim.pod().add() if caller == "a pod" else sim.host, publishing(sim, PORT)
    talk = CallTcp(server, client, 4, PORT, PORT, sim.gateway(4) if client is sim.host else client.ipv4)
    until_carried(sim, talk)
    with Watching(sim, "trace", client if traced == "client" else server, "--all", "--count", 4, "tcp") as watching:
        talk.talk(4)
        told = watching.wait()
    assert len(told["packets"]) == 4 and told["withdrawn"] and "masquerade_hairpin" in str(told), told
    # What has been carried is so again.
    until_carried(sim, talk)
    talk.close()
    until_none_carried(sim)


def test_a_host_that_changes_its_address_goes_on_and_is_carried_again(node):
    sim = node()
    server = publishing(sim, PORT)
    talk = CallTcp(server, sim.host, 4, PORT, PORT, sim.gateway(4))
    until_carried(sim, talk)
    sim.host.run("ip", "link", "set", "podport0", "address", "02:00:00:00:77:01")
    talk.talk(50)
    wait_until(lambda: any("02:00:00:00:77:01" in flow["match"] + flow["actions"] for flow in sim.ask("flows")["flows"]) or talk.talk(1),
               lambda: f"the e-switch knows it: {sim.ask('flows')}")

    def passes_the_e_switch():  # by the rules of now: those of before are told of a moment longer
        before = slow(sim, sim.host)
        talk.talk(200)
        return all(new - old <= CHATTER for old, new in zip(before, slow(sim, sim.host)))

    wait_until(passes_the_e_switch, lambda: f"the e-switch carries it again: {connections(sim)}, {sim.ports()}")
    talk.close()
    until_none_carried(sim)


def test_who_calls_itself_stays_in_software_where_the_nic_sends_nothing_back(node):
    sim = node(loopback=False)
    other, server = sim.pod().add(), publishing(sim, PORT)
    for client, carried in ((other, True), (server, False)):
        talk = CallTcp(server, client, 4, PORT, PORT, client.address(4))
        if carried:
            until_carried(sim, talk)
        talk.talk(500)
        assert of_call(sim, talk)["offloaded"] == carried
        talk.close()
        until_none_carried(sim)
