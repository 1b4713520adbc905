# SPDX-License-Identifier: BSD-3-Clause
"""Ports of the agent's address that lead to pods: from the wire, from pods, from the host; the kernel's stack at all ends."""

import contextlib
import signal
import socket

import pytest

from simulation import Netns, wait_until
from traffic import family_of, in_thread
from world import ADDRESSES, World, uplink_yaml

FAMILIES = [4, 6]
MASQUERADE = "masquerade:\n  ipv4: true\n  ipv6: true\n"
# The network behind the peer sees pods as they are.
EXCLUDE = "  exclude: [198.51.100.0/24, \"2001:db8:f::/48\"]\n"


@pytest.fixture
def wired(make_sim):
    """wired(masquerade=True): a simulation with an uplink, and the world."""
    with contextlib.ExitStack() as stack:
        def make(masquerade=True, **options):
            sim = make_sim(agent_yaml=uplink_yaml() + (MASQUERADE + EXCLUDE if masquerade else ""), **options)
            world = World(sim)
            stack.callback(world.close)
            world.wait_for_agent()
            return sim, world

        yield make


def mapping(host_port, container_port, protocol="tcp", **keys):
    return {"hostPort": host_port, "containerPort": container_port, "protocol": protocol, **keys}


def publishing(sim, *mappings):
    """A pod, not added yet, whose runtime asks for these."""
    return sim.pod(capabilities={"portMappings": True}, runtimeConfig={"portMappings": list(mappings)})


class Server:
    """Who listens in a namespace, on all of its addresses of one family: tells each, once, who it is seen as, and what it has said."""

    def __init__(self, netns, family, port, kind=socket.SOCK_STREAM):
        self.kind = kind
        self.socket = netns.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, kind)
        if family == 6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("::" if family == 6 else "0.0.0.0", port))
        self.leave = False
        if kind == socket.SOCK_STREAM:
            self.socket.listen(16)
        self.done = in_thread(self._run)

    def _answer(self, connection, peer):
        with connection:
            greeting = f"{peer[0]} ".encode()
            while data := connection.recv(1 << 16):
                connection.sendall(greeting + data)
                greeting = b""

    def _run(self):
        while not self.leave:
            try:
                if self.kind == socket.SOCK_STREAM:
                    connection, peer = self.socket.accept()
                    in_thread(lambda connection=connection, peer=peer: self._answer(connection, peer))
                else:
                    data, peer = self.socket.recvfrom(1 << 16)
                    self.socket.sendto(f"{peer[0]} ".encode() + data, peer)
            except TimeoutError:
                continue
            except OSError:
                if self.leave:
                    return
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def ask(client, kind, address, port, text=b"hello", source=None):
    """Who the server sees, after it has told what was said."""
    with client.socket(family_of(address), kind) as connection:
        if source is not None:
            connection.bind(source)
        connection.connect((address, port))
        connection.sendall(text)
        wanted, data = len(text), b""
        while len(data) < wanted or b" " not in data:
            data += connection.recv(1 << 16)
            wanted = len(text) + data.find(b" ") + 1
    seen, said = data.split(b" ", 1)
    assert said == text
    return seen.decode()


def refused(action):
    try:
        action()
    except ConnectionRefusedError:
        return True
    return False


def served(pod, port=80):
    """Servers in the pod, in both families and protocols."""
    stack = contextlib.ExitStack()
    for family in FAMILIES:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            stack.enter_context(Server(pod, family, port, kind))
    return stack


@pytest.mark.parametrize("masquerade", [True, False], ids=["masquerade", "routed"])
def test_the_world_reaches_a_pod_by_the_agents_address(wired, masquerade):
    sim, world = wired(masquerade)
    pod = publishing(sim, mapping(8080, 80), mapping(8080, 80, "udp")).add()
    with served(pod):
        for family in FAMILIES:
            a = ADDRESSES[family]
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                for source in (a.world, a.far, a.peer):
                    # The pod sees who it is.
                    assert ask(world, kind, a.wire, 8080, source=(source, 0)) == source
                assert ask(world, kind, a.wire, 8080, b"x" * 8000, source=(a.world, 0)) == a.world  # in fragments, of UDP
            # Who is not asked for is not there.
            with world.socket(family_of(a.wire)) as client:
                client.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    client.connect((a.wire, 8081))
            world.ping(a.wire)


def test_pods_reach_a_pod_by_the_agents_address_also_itself(wired):
    sim, _ = wired()
    pod = publishing(sim, mapping(8080, 80), mapping(8080, 80, "udp")).add()
    other = sim.pod().add()
    with served(pod):
        for family in FAMILIES:
            wire = ADDRESSES[family].wire
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                for client in (other, pod):
                    # By the agent both ways, so as the agent.
                    assert ask(client, kind, wire, 8080) == wire
                    assert ask(client, kind, wire, 8080, b"x" * 8000) == wire
            # What is not published is as it was.
            other.ping(wire)
            assert refused(lambda wire=wire: ask(other, socket.SOCK_STREAM, wire, 8081))


def test_the_host_reaches_a_pod_by_the_agents_address(wired):
    sim, _ = wired()
    pod = publishing(sim, mapping(8080, 80), mapping(8080, 80, "udp")).add()
    with served(pod):
        for family in FAMILIES:
            wire = ADDRESSES[family].wire
            # hostd has laid the way there over the host's port.
            wait_until(lambda family=family, wire=wire: sim.host.run("ip", f"-{family}", "route", "get", wire, check=False)
                       .stdout.find("dev podport0") >= 0, "the host has a route to the agent's address")
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                assert ask(sim.host, kind, wire, 8080) == wire
                assert ask(sim.host, kind, wire, 8080, b"x" * 8000) == wire
            assert refused(lambda wire=wire: ask(sim.host, socket.SOCK_STREAM, wire, 8081))
            sim.host.ping(wire)


def test_errors_are_told_across_a_mapping(wired):
    sim, world = wired()
    pod, other = publishing(sim, mapping(8080, 80), mapping(8080, 80, "udp")).add(), sim.pod().add()
    for family in FAMILIES:
        wire = ADDRESSES[family].wire
        for client in (world, other, pod):
            # Nobody listens in the pod: an RST, and an ICMP error of the pod's.
            assert refused(lambda client=client, wire=wire: ask(client, socket.SOCK_STREAM, wire, 8080))
            with client.socket(family_of(wire), socket.SOCK_DGRAM) as asking:
                asking.connect((wire, 8080))

                def send(asking=asking):
                    asking.send(b"anybody?")
                    asking.recv(100)

                wait_until(lambda send=send: refused(send), "it is told that nobody listens")


@contextlib.contextmanager
def behind(sim, world):
    """Somebody behind a router whose further link has a smaller MTU, of which it knows nothing but by what the router says."""
    netns = Netns(f"behind-{sim.id}")
    world.run("ip", "link", "add", "further", "mtu", "1300", "type", "veth", "peer", "name", "eth0", "mtu", "1500", "netns", netns.name)
    world.run("ip", "link", "set", "further", "up")
    world.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    netns.run("ip", "link", "set", "eth0", "up")
    for family, prefix, advmss in ((4, "172.31.0.", 1460), (6, "2001:db8:31::", 1440)):
        ip, nodad = ["ip", f"-{family}"], ["nodad"] if family == 6 else []
        world.run(*ip, "address", "add", f"{prefix}1/{24 if family == 4 else 64}", "dev", "further", *nodad)
        netns.run(*ip, "address", "add", f"{prefix}2/{24 if family == 4 else 64}", "dev", "eth0", *nodad)
        # It sends what fits, and takes what does not.
        netns.run(*ip, "route", "add", "default", "via", f"{prefix}1", "mtu", "1200", "advmss", str(advmss))
    try:
        yield netns
    finally:
        world.run("ip", "link", "delete", "further")
        netns.delete()


def test_a_smaller_mtu_on_the_way_back_is_told_to_the_pod(wired):
    sim, world = wired()
    pod = publishing(sim, mapping(8080, 80)).add()
    with served(pod), behind(sim, world) as client:
        for family, address in ((4, "172.31.0.2"), (6, "2001:db8:31::2")):
            assert ask(client, socket.SOCK_STREAM, ADDRESSES[family].wire, 8080, b"x" * 100000) == address
            assert "mtu 1300" in pod.run("ip", f"-{family}", "route", "get", address).stdout


def test_a_port_that_is_taken_is_refused_with_its_holders_name(wired):
    sim, _ = wired()
    pod = publishing(sim, mapping(8080, 80)).add()
    pod.add()  # again, by the runtime: nothing changes
    pod.check()
    for taken in (mapping(8080, 81), mapping(8080, 80, hostIP=ADDRESSES[4].wire), mapping(8080, 80, hostIP="::")):
        result = publishing(sim, taken).try_add()
        assert not result.ok and f"8080/tcp is taken by {pod.container_id}" in result.json["msg"], result
    result = publishing(sim, mapping(8080, 80, hostIP="203.0.113.11")).try_add()
    assert not result.ok and "203.0.113.11 is not the agent's" in result.json["msg"], result
    result = publishing(sim, mapping(8080, 80, "sctp")).try_add()
    assert not result.ok and "sctp" in result.json["msg"], result
    other = publishing(sim, mapping(8080, 80, "udp")).add()
    other.delete()
    pod.delete()
    publishing(sim, mapping(8080, 81)).add().delete()


def test_without_an_uplink_a_mapped_port_is_refused_with_the_reason(sim):
    result = publishing(sim, mapping(8080, 80)).try_add()
    assert not result.ok and "no address on the wire" in result.json["msg"], result
    assert "the agent has no address on the wire" in sim.podportctl("nat").stdout


def test_what_is_published_is_shown(wired):
    sim, world = wired()
    pod = publishing(sim, mapping(8080, 80), mapping(40000, 53, "udp", hostIP="0.0.0.0")).add()
    other = sim.pod().add()
    a = ADDRESSES[4]
    with served(pod):
        assert ask(world, socket.SOCK_STREAM, a.wire, 8080)
        assert ask(other, socket.SOCK_STREAM, a.wire, 8080)
        told = sim.ask("nat")
    rows = {(row["protocol"], row["family"], row["host"]["port"]): row for row in told["published"]}
    assert set(rows) == {("tcp", 4, 8080), ("tcp", 6, 8080), ("udp", 4, 40000)}
    row = rows["tcp", 4, 8080]
    assert row["host"]["address"] == a.wire and row["container"] == {"address": pod.ipv4, "port": 80}
    assert row["opened"] == 2 and row["packets_in"] >= 8 and row["bytes_out"] > 0
    kinds = {c["kind"] for c in sim.ask("connections")["connections"] if c["protocol"] == "tcp"}
    assert kinds == {"published", "within"}
    ports = {(row["protocol"], row["family"]): row for row in told["masquerade"]["ports"]}
    udp = ports["udp", 4]
    # The range is 32768 to 65535; a published port in it is nobody's.
    assert (udp["size"], udp["used"], udp["published"], udp["available"]) == (32768, 0, 1, 32767)
    assert ports["tcp", 4]["used"] == 1  # of who called from within
    assert told["masquerade"]["exclude"] == ["198.51.100.0/24", "2001:db8:f::/48"]
    output = sim.podportctl("nat").stdout
    assert f"{a.wire}:8080" in output and f"{pod.ipv4}:80" in output and "pods are masqueraded as" in output
    assert a.wire + ":" not in sim.podportctl("nat", other.container_id).stdout


def test_what_a_pod_publishes_goes_with_it(wired):
    sim, world = wired()
    pod = publishing(sim, mapping(8080, 80)).add()
    a = ADDRESSES[4]
    with served(pod), world.socket() as client:
        client.connect((a.wire, 8080))
        client.sendall(b"hello")
        assert client.recv(100).endswith(b"hello")
        assert [c for c in sim.ask("connections")["connections"] if c["kind"] == "published"]
        pod.delete()
        wait_until(lambda: sim.ask("connections")["total"] == 0, "the connection has gone with the pod")
        with world.socket() as late:
            late.settimeout(0.3)
            with pytest.raises(TimeoutError):
                late.connect((a.wire, 8080))
    # The next one with the same port has nothing to do with it.
    other = publishing(sim, mapping(8080, 8000)).add()
    with served(other, 8000):
        assert ask(world, socket.SOCK_STREAM, a.wire, 8080, source=(a.world, 0)) == a.world


def test_a_restart_of_the_agent_ends_neither_ports_nor_connections(wired):
    sim, world = wired()
    pod = publishing(sim, mapping(8080, 80)).add()
    with served(pod), contextlib.ExitStack() as stack:
        clients = []
        for family in FAMILIES:
            client = stack.enter_context(world.socket(family_of(ADDRESSES[family].wire)))
            client.bind((ADDRESSES[family].world, 0))
            client.connect((ADDRESSES[family].wire, 8080))
            client.sendall(b"before")
            assert client.recv(100).endswith(b"before")
            clients.append(client)
        sim.restart(sim.agent)
        sim.wait_ready()
        for client in clients:
            client.sendall(b"after")
            assert client.recv(100).endswith(b"after")
        for family in FAMILIES:
            assert ask(world, socket.SOCK_STREAM, ADDRESSES[family].wire, 8080)


def test_mappings_follow_the_agents_address(wired):
    sim, world = wired()
    pod = publishing(sim, mapping(8080, 80)).add()
    with served(pod):
        assert ask(world, socket.SOCK_STREAM, ADDRESSES[4].wire, 8080)
        sim.configure(more=uplink_yaml(ipv4="203.0.113.11/24"))
        sim.agent.send(signal.SIGHUP)
        wait_until(lambda: "1 received" in world.ping("203.0.113.11", count=1, check=False), "the agent has its new address")
        assert ask(world, socket.SOCK_STREAM, "203.0.113.11", 8080)
        assert ask(world, socket.SOCK_STREAM, ADDRESSES[6].wire, 8080)
