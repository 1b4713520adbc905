# SPDX-License-Identifier: BSD-3-Clause
"""Who reaches whom, with what sizes; and what answers when there is no way."""

import concurrent.futures
import re

import pytest

from traffic import tcp_transfer, udp_echo

FAMILIES = [4, 6]
MEGABYTE = 1 << 20


@pytest.fixture
def two(sim):
    return sim.pod().add(), sim.pod().add()


@pytest.mark.parametrize("family", FAMILIES)
def test_pods_ping_each_other(two, family):
    a, b = two
    a.ping(b.address(family))
    b.ping(a.address(family))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_host_pings_a_pod_and_a_pod_the_host(sim, family):
    pod = sim.pod().add()
    sim.host.ping(pod.address(family))
    pod.ping(sim.gateway(family))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_big_file_goes_from_pod_to_pod_unharmed(two, family):
    a, b = two
    tcp_transfer(a, b, b.address(family), 64 * MEGABYTE)
    tcp_transfer(b, a, a.address(family), 3 * MEGABYTE + 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_big_file_goes_between_host_and_pod_unharmed(sim, family):
    pod = sim.pod().add()
    tcp_transfer(sim.host, pod, pod.address(family), 16 * MEGABYTE)
    tcp_transfer(pod, sim.host, sim.gateway(family), 16 * MEGABYTE)


@pytest.mark.parametrize("family", FAMILIES)
def test_datagrams_of_all_sizes_arrive_unharmed(two, family):
    a, b = two
    header = 28 if family == 4 else 48
    # Empty, odd and even, around the MTU, fragmented, the largest.
    udp_echo(a, b, b.address(family), [0, 1, 2, 3, 17, 18, 512, 1500 - header - 1, 1500 - header, 1500 - header + 1,
                                       4000, 9000, 65507 if family == 4 else 65487])


@pytest.mark.parametrize("family", FAMILIES)
def test_many_connections_at_once_do_not_disturb_each_other(two, family):
    a, b = two
    with concurrent.futures.ThreadPoolExecutor(max_workers=16) as pool:
        list(pool.map(lambda size: tcp_transfer(a, b, b.address(family), MEGABYTE + size), range(16)))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_full_size_packet_passes_and_a_larger_one_is_refused(two, family):
    a, b = two
    payload = 1500 - (28 if family == 4 else 48)
    a.ping(b.address(family), "-M", "do", "-s", payload)
    output = a.ping(b.address(family), "-M", "do", "-s", payload + 1, count=1, check=False)
    assert "mtu" in output.lower() or "1 received" not in output


@pytest.mark.parametrize("family", FAMILIES)
def test_jumbo_frames_pass_where_the_pod_network_has_them(make_sim, family):
    sim = make_sim(mtu=9000)
    a, b = sim.pod().add(), sim.pod().add()
    payload = 9000 - (28 if family == 4 else 48)
    assert a.links()["eth0"]["mtu"] == 9000
    a.ping(b.address(family), "-M", "do", "-s", payload)
    sim.host.ping(b.address(family), "-M", "do", "-s", 1400)
    tcp_transfer(a, b, b.address(family), 16 * MEGABYTE)
    udp_echo(a, b, b.address(family), [payload - 1, payload, payload + 1, 30000])


@pytest.fixture
def unequal(make_sim):
    """A pod with MTU 9000 and one with 1500 on the same network."""
    sim = make_sim(mtu=9000)
    return sim, sim.pod().add(), sim.pod(mtu=1500).add()


def test_a_sender_learns_the_smaller_mtu_on_the_way_ipv4(unequal):
    sim, large, small = unequal
    assert small.links()["eth0"]["mtu"] == 1500
    output = large.ping(small.ipv4, "-M", "do", "-s", 4000, count=1, check=False)
    assert re.search(rf"From {re.escape(sim.gateway(4))} .*[Ff]rag needed.*mtu ?= ?1500", output), output
    # The kernel has taken it to heart.
    assert "mtu 1500" in large.run("ip", "route", "get", small.ipv4).stdout


def test_a_sender_learns_the_smaller_mtu_on_the_way_ipv6(unequal):
    sim, large, small = unequal
    output = large.ping(small.ipv6, "-M", "do", "-s", 4000, count=1, check=False)
    assert re.search(rf"From {re.escape(sim.gateway(6))} .*[Pp]acket too big.*mtu ?= ?1500", output), output
    assert "mtu 1500" in large.run("ip", "-6", "route", "get", small.ipv6).stdout


def test_what_may_be_fragmented_is_fragmented(unequal):
    _, large, small = unequal
    large.ping(small.ipv4, "-M", "dont", "-s", 4000)
    large.ping(small.ipv4, "-M", "dont", "-s", 8972)


@pytest.mark.parametrize("family", FAMILIES)
def test_connections_work_between_unequal_mtus(unequal, family):
    _, large, small = unequal
    tcp_transfer(large, small, small.address(family), 4 * MEGABYTE)
    tcp_transfer(small, large, large.address(family), 4 * MEGABYTE)
    # The kernel fragments, or sends what it must send again in smaller pieces, as for any path.
    large.ping(small.address(family), "-s", 4000, count=3, check=False)
    udp_echo(large, small, small.address(family), [100, 1400, 8000, 20000])


@pytest.mark.parametrize("family", FAMILIES)
def test_traceroute_shows_the_router(two, sim, family):
    a, b = two
    output = a.ping(b.address(family), "-t", "1", count=1, check=False)
    assert re.search(rf"From {re.escape(sim.gateway(family))} .*(Time to live exceeded|Hop limit)", output), output
    a.ping(b.address(family), "-t", "2")


@pytest.mark.parametrize("family, address", [(4, "10.88.200.200"), (6, "fd00:10:88::dead"), (4, "192.0.2.1"), (6, "2001:db8::1")])
def test_an_address_that_nobody_has_is_unreachable_at_once(sim, family, address):
    pod = sim.pod().add()
    output = pod.ping(address, count=1, check=False)
    assert re.search(rf"From {re.escape(sim.gateway(family))} .*[Uu]nreachable", output), output


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pod_that_is_gone_is_unreachable_and_its_successor_is_not(two, family):
    a, b = two
    address = b.address(family)
    a.ping(address)
    b.delete()
    assert " 0 received" in a.ping(address, count=1, check=False)
    b.add(args={"cni": {"ips": [address]}})
    assert b.address(family) == address
    a.ping(address)


@pytest.mark.parametrize("families", [4, 6])
def test_a_pod_network_of_one_family_works(make_sim, families):
    sim = make_sim(ipv4="10.99.0.0/24" if families == 4 else None, ipv6="fd00:99::/112" if families == 6 else None)
    a, b = sim.pod().add(), sim.pod().add()
    assert len(a.result["ips"]) == 1
    a.ping(b.address(families))
    sim.host.ping(a.address(families))
    a.ping(sim.gateway(families))
    tcp_transfer(a, b, b.address(families), MEGABYTE)


def test_fifty_pods_attached_at_once_reach_each_other(make_sim):
    sim = make_sim(functions=64)
    pods = [sim.pod() for _ in range(50)]
    with concurrent.futures.ThreadPoolExecutor(max_workers=50) as pool:
        list(pool.map(lambda pod: pod.add(), pods))
        for family in FAMILIES:
            assert len({pod.address(family) for pod in pods}) == 50
        assert len({pod.mac for pod in pods}) == 50
        assert sim.status()["agent"]["functions_used"] == 50

        sample = pods[::7]
        pairs = [(a, b) for a in sample for b in sample if a is not b]
        pairs += [(pods[i], pods[(i + 1) % 50]) for i in range(50)]
        list(pool.map(lambda pair: [pair[0].ping(pair[1].address(family), count=1) for family in FAMILIES], pairs))

        list(pool.map(lambda pod: pod.delete(), pods))
    assert sim.attachments() == []
