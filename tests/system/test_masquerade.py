# SPDX-License-Identifier: BSD-3-Clause
"""Pods behind the uplink's address, with the kernel's stack at both ends. The world has no route to the pods."""

import contextlib
import signal
import socket

import pytest

from simulation import wait_until
from traffic import family_of, in_thread, tcp_transfer, udp_echo
from world import ADDRESSES, World, uplink_yaml

FAMILIES = [4, 6]
MEGABYTE = 1 << 20
# The network behind the peer sees pods as they are.
EXCLUDED = {4: "198.51.100.0/24", 6: "2001:db8:f::/48"}


@pytest.fixture
def masqueraded(make_sim):
    """masqueraded(key=value, ...): a simulation with an uplink, these keys in `masquerade`, and the world."""
    with contextlib.ExitStack() as stack:
        def make(routed=False, **keys):
            keys = {"ipv4": "true", "ipv6": "true", **keys}
            section = "masquerade:\n" + "".join(f"  {key}: {value}\n" for key, value in keys.items())
            sim = make_sim(agent_yaml=uplink_yaml() + section)
            world = World(sim)
            stack.callback(world.close)
            if not routed:
                world.route_pods("del")
            world.wait_for_agent()
            return sim, world

        yield make


def seen_by(pod, server_netns, address, port=0):
    """Who the server sees when the pod speaks to it by UDP: (address, port)."""
    with server_netns.socket(family_of(address), socket.SOCK_DGRAM) as server, pod.socket(family_of(address), socket.SOCK_DGRAM) as client:
        server.bind((address, 0))
        client.bind(("", port))
        client.connect(server.getsockname()[:2])
        client.send(b"who am I?")
        data, peer = server.recvfrom(100)
        server.sendto(data, peer)
        assert client.recv(100) == data
    return peer[:2]


def refused(action):
    try:
        action()
    except ConnectionRefusedError:
        return True
    return False


def test_pods_reach_the_world_and_are_seen_with_the_uplinks_address(masqueraded):
    sim, world = masqueraded()
    pods = [sim.pod().add(), sim.pod().add()]
    for family in FAMILIES:
        address = ADDRESSES[family].world
        seen = set()
        for pod in pods:
            pod.ping(address)
            tcp_transfer(pod, world, address, 8 * MEGABYTE)
            udp_echo(pod, world, address, [0, 1, 1400, 1500, 4000, 20000])  # the last ones in fragments, both ways
            seen.add(seen_by(pod, world, address, 5000))
        # The same port in two pods is two ports outside.
        assert {host for host, _ in seen} == {ADDRESSES[family].wire} and len(seen) == 2, seen
    # The agent is still there itself, and pods still meet each other.
    world.ping(ADDRESSES[4].wire)
    pods[0].ping(pods[1].ipv4)


# As a program would, with the C library's resolver: by UDP, or by TCP.
FETCH = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=30).read().decode(), end="")
"""


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pod_asks_for_a_name_and_fetches_the_page(masqueraded, tmp_path, family):
    sim, world = masqueraded()
    pod, a = sim.pod().add(), ADDRESSES[family]
    (tmp_path / "index.html").write_text("a page of the world\n" * 5000)
    with world.names(**{"web.example": [a.world]}) as servers, world.pages(tmp_path):
        resolver = tmp_path / "resolv.conf"
        resolver.write_text(f"nameserver {servers[FAMILIES.index(family)]}\noptions timeout:30 attempts:1\n")
        for options in ("", "use-vc"):
            told = pod.run("unshare", "--mount", "sh", "-c", f"mount --bind {resolver} /etc/resolv.conf && exec \"$@\"", "sh",
                           "env", f"RES_OPTIONS={options}", "/usr/bin/python3", "-c", FETCH, "http://web.example/").stdout
            assert told == (tmp_path / "index.html").read_text()
        asked = {c["protocol"] for c in sim.ask("connections")["connections"] if c["to"]["port"] == 53}
        assert asked == {"udp", "tcp"}, sim.ask("connections")


def test_an_endpoint_is_seen_with_the_same_port_by_all(masqueraded):
    sim, world = masqueraded()
    pod = sim.pod().add()
    for family in FAMILIES:
        a = ADDRESSES[family]
        assert len({seen_by(pod, world, address, 5000) for address in (a.world, a.peer, a.far)}) == 1


def test_errors_are_told_in_both_directions(masqueraded):
    sim, world = masqueraded()
    pod = sim.pod().add()
    for family in FAMILIES:
        address = ADDRESSES[family].world
        with pod.socket(family_of(address), socket.SOCK_DGRAM) as client:
            client.connect((address, 9))  # nobody listens there

            def ask(client=client):
                client.send(b"anybody?")
                client.recv(100)

            wait_until(lambda ask=ask: refused(ask), "the pod is told that nobody listens")
        with world.socket(family_of(address), socket.SOCK_DGRAM) as server:
            server.bind((address, 0))
            with pod.socket(family_of(address), socket.SOCK_DGRAM) as client:
                client.connect(server.getsockname()[:2])
                client.send(b"hello")
                peer = server.recvfrom(100)[1]
            server.connect(peer)  # who has gone

            def answer(server=server):
                server.send(b"hello?")
                server.settimeout(0.5)
                with contextlib.suppress(TimeoutError):
                    server.recv(100)

            wait_until(lambda answer=answer: refused(answer), "the world is told that the pod does not listen any more")


def test_excluded_networks_see_pods_as_they_are(masqueraded):
    sim, world = masqueraded(routed=True, exclude=f"[{EXCLUDED[4]}, \"{EXCLUDED[6]}\"]")
    pod = sim.pod().add()
    for family in FAMILIES:
        a = ADDRESSES[family]
        assert seen_by(pod, world, a.far)[0] == pod.address(family)
        assert seen_by(pod, world, a.world)[0] == a.wire
        world.ping(pod.address(family), "-I", a.far)
        output = world.run("ping", "-n", "-c", "2", "-i", "0.05", "-W", "1", "-I", a.world, pod.address(family), check=False).stdout
        assert "0 received" in output, output
    # Counted for the wire, where they came from.
    wire = next(port for port in sim.ports() if port["kind"] == "uplink")
    assert wire["drops"].get("nat-direct"), wire


def test_a_pod_that_takes_all_it_can_leaves_room_for_others(masqueraded):
    sim, world = masqueraded(connections=64)
    greedy, modest = sim.pod().add(), sim.pod().add()
    address = ADDRESSES[4].world
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(greedy.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(100)]
        for client in clients:
            client.connect((address, 9))

        def is_refused():
            # More than once: as long as the next hop is being asked for, only a few packets wait.
            for client in clients:
                with contextlib.suppress(ConnectionRefusedError):
                    client.send(b"x")
            return sim.drops(greedy).get("nat-table-full")

        wait_until(is_refused, lambda: f"the greedy one is refused: {sim.drops(greedy)}")
        assert seen_by(modest, world, address)[0] == ADDRESSES[4].wire
        assert not sim.drops(modest).get("nat-table-full")


def test_connections_are_shown(masqueraded):
    sim, world = masqueraded()
    pod, other = sim.pod().add(), sim.pod().add()
    a = ADDRESSES[4]
    with contextlib.ExitStack() as stack:
        # More than a page of them.
        sockets = [stack.enter_context(pod.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(150)]
        server = stack.enter_context(world.socket(socket.AF_INET, socket.SOCK_DGRAM))
        server.bind((a.world, 0))
        wanted = set()
        for client in sockets:
            client.connect(server.getsockname())
            client.send(b"x")
            wanted.add((client.getsockname()[1], server.recvfrom(10)[1][1]))
        told = sim.ask("connections")
        mine = [c for c in told["connections"] if c["to"]["port"] == server.getsockname()[1]]
        assert {(c["from"]["port"], c["seen_as"]["port"]) for c in mine} == wanted
        assert len(mine) == 150 and told["total"] >= 150 and told["most"] == 65536
        assert {(c["protocol"], c["answered"], c["seen_as"]["address"], c["from"]["address"]) for c in mine} == {
            ("udp", False, a.wire, pod.ipv4)}
        output = sim.podportctl("connections", pod.container_id).stdout
        assert output.count("unanswered") == 150
        assert sim.podportctl("connections", other.container_id).stdout.count(a.wire) == 0
    pod.delete()
    wait_until(lambda: sim.ask("connections")["total"] == 0, "the pod's connections have gone with it")


def test_connections_survive_what_their_pods_do_not_notice(masqueraded):
    """A pod comes and goes beside; a route changes; the connection stays."""
    sim, world = masqueraded()
    pod = sim.pod().add()
    address = ADDRESSES[4].world
    with world.socket() as listener, pod.socket() as client:
        listener.bind((address, 0))
        listener.listen(1)
        accepted = in_thread(listener.accept)
        client.connect(listener.getsockname())
        server, _ = accepted()
        with server:
            sim.pod().add().delete()
            for text in (b"one", b"two"):
                client.sendall(text)
                assert server.recv(10) == text
                server.sendall(text)
                assert client.recv(10) == text


def test_what_is_masqueraded_may_change_while_pods_talk(masqueraded):
    sim, world = masqueraded(routed=True)
    pod = sim.pod().add()
    a = ADDRESSES[4]

    def reread(**keys):
        before = sim.agent.log.read_text().count("configuration taken again")
        section = "masquerade:\n" + "".join(f"  {key}: {value}\n" for key, value in keys.items())
        sim.configure(more=uplink_yaml() + section)
        sim.agent.send(signal.SIGHUP)
        wait_until(lambda: sim.agent.log.read_text().count("configuration taken again") > before, sim.agent.tail)

    with world.socket() as listener, pod.socket() as client:
        listener.bind((a.world, 0))
        listener.listen(1)
        accepted = in_thread(listener.accept)
        client.connect(listener.getsockname())
        server, (seen, _) = accepted()
        assert seen == a.wire
        with server:
            # One network more is excluded, and another port range is for the next start.
            reread(ipv4="true", ipv6="true", exclude=f"[{EXCLUDED[4]}]", ports="50000-51000")
            assert "masquerade.ports, masquerade.identifiers and masquerade.connections change when" in sim.agent.tail()
            assert seen_by(pod, world, a.far)[0] == pod.ipv4
            world.ping(pod.ipv4, "-I", a.far)
            for text in (b"one", b"two"):
                client.sendall(text)
                assert server.recv(10) == text
                server.sendall(text)
                assert client.recv(10) == text
    reread(ipv4="false", ipv6="false")
    assert seen_by(pod, world, a.world)[0] == pod.ipv4
    reread(ipv4="true", ipv6="true")
    assert seen_by(pod, world, a.world)[0] == a.wire
    # A mistake changes nothing.
    reread_count = sim.agent.log.read_text().count("the configuration is not taken")
    sim.configure(more=uplink_yaml() + "masquerade:\n  ipv4: perhaps\n")
    sim.agent.send(signal.SIGHUP)
    wait_until(lambda: sim.agent.log.read_text().count("the configuration is not taken") > reread_count, sim.agent.tail)
    assert seen_by(pod, world, a.world)[0] == a.wire


def test_connections_are_in_the_metrics(masqueraded):
    sim, world = masqueraded()
    pod = sim.pod().add()
    sim.configure(more=sim.agent_options["more"] + "metrics: 127.0.0.1:9473\n")
    sim.restart(sim.agent)
    world.wait_for_agent()
    assert seen_by(pod, world, ADDRESSES[4].world)[0] == ADDRESSES[4].wire
    with sim.dpu.socket() as scraper:
        scraper.connect(("127.0.0.1", 9473))
        scraper.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        text = b"".join(iter(lambda: scraper.recv(65536), b"")).decode()
    assert 'podport_masquerade_connections{protocol="udp",state="answered"} 1\n' in text, text
    assert 'podport_masquerade_connections{protocol="tcp",state="ESTABLISHED"} 0\n' in text
    assert 'podport_masquerade_ports_used{family="ipv4",protocol="udp"} 1\n' in text
    assert "podport_masquerade_opened_total 1\n" in text
