# SPDX-License-Identifier: BSD-3-Clause
"""podport in a list of plugins, with Debian's own before and behind it, called as libcni calls them."""

import json

import pytest

from libcni import CniError, Network

PODPORT = {"type": "podport-cni"}
LOOPBACK = {"type": "loopback"}
TUNING = {"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}}
PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True}}
# It shapes the host's end of a veth pair. A function has none, so it follows in a list and has nothing to do.
BANDWIDTH = {"type": "bandwidth", "capabilities": {"bandwidth": True}}
LIMIT = {"ingressRate": 10_000_000, "ingressBurst": 1_000_000, "egressRate": 10_000_000, "egressBurst": 1_000_000}
MAPPING = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]

# Those of Debian's that exist today know versions up to 1.0.0.
VERSIONS = ["0.3.1", "0.4.0", "1.0.0"]


def is_checked(network):
    return network.version >= "0.4.0"


def flush_nat(sim):
    """portmap leaves its own chains, empty."""
    for iptables in ("iptables", "ip6tables"):
        sim.host.run(iptables, "-t", "nat", "-F")
        sim.host.run(iptables, "-t", "nat", "-X")


@pytest.mark.parametrize("version", VERSIONS)
def test_plugins_that_follow_get_what_podport_made(sim, version):
    network = Network(sim, [PODPORT, TUNING, PORTMAP, BANDWIDTH], version)
    pod = sim.pod(network="chain")
    result = network.add(pod, portMappings=MAPPING)
    assert {interface["name"] for interface in result["interfaces"]} == {"eth0"}
    assert len(result["ips"]) == 2 and result["cniVersion"] == version
    assert pod.run("sysctl", "-n", "net.core.somaxconn").stdout.strip() == "500"
    # portmap found the pod's address in our result.
    assert f"{pod.ipv4}:80" in sim.host.run("iptables", "-t", "nat", "-S").stdout
    pod.ping(sim.gateway(4))
    if is_checked(network):
        # Debian's portmap (1.1.1) looks for each rule in iptables and in ip6tables, and so fails its own CHECK; bandwidth's
        # wants a veth pair, whether there is a limit or not.
        network.check(pod, without=["portmap", "bandwidth"])
    network.delete(pod)
    assert set(pod.links()) == {"lo"}
    assert pod.container_id not in sim.host.run("iptables", "-t", "nat", "-S").stdout
    assert sim.attachments() == []
    flush_nat(sim)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_plugin_that_came_before_keeps_its_part_of_the_result(sim, version):
    network = Network(sim, [LOOPBACK, PODPORT, TUNING], version)
    pod = sim.pod(network="chain")
    result = network.add(pod)
    names = [interface["name"] for interface in result["interfaces"]]
    assert names == ["lo", "eth0"]
    addresses = {ip["address"]: ip for ip in result["ips"]}
    assert addresses["127.0.0.1/8"]["interface"] == 0
    ours = [ip for address, ip in addresses.items() if ip["interface"] == 1]
    assert len(ours) == 2
    assert all(("version" in ip) == (version < "1.0.0") for ip in result["ips"])
    pod.ping(sim.gateway(6))
    if is_checked(network):
        network.check(pod)
    network.delete(pod)
    network.delete(pod)  # with an empty cache
    assert sim.attachments() == []


def test_what_later_plugins_add_to_the_pod_does_not_fail_check(sim):
    network = Network(sim, [PODPORT])
    pod = sim.pod(network="chain")
    network.add(pod)
    pod.run("ip", "address", "add", "192.0.2.7/32", "dev", "eth0")
    pod.run("ip", "route", "add", "198.51.100.0/24", "via", sim.gateway(4), "dev", "eth0", "onlink")
    pod.run("ip", "link", "add", "extra0", "type", "veth", "peer", "name", "extra1")
    pod.run("ip", "rule", "add", "from", "192.0.2.7", "table", "77")
    network.check(pod)
    network.delete(pod)
    pod.run("ip", "link", "delete", "extra0")


def test_an_mtu_that_a_later_plugin_lowers_is_what_check_expects(sim):
    """By the result: tuning writes its MTU there from 1.1.0 on; Debian's is older, so the test does."""
    network = Network(sim, [PODPORT], "1.1.0")
    pod = sim.pod(network="chain")
    network.add(pod)
    pod.run("ip", "link", "set", "eth0", "mtu", "1400")
    with pytest.raises(CniError) as caught:
        network.check(pod)
    assert "MTU is 1400, should be 1500" in caught.value.result.json["msg"]
    cached = json.loads(network.cached(pod).read_text())
    cached["result"]["interfaces"][0]["mtu"] = 1400
    network.cached(pod).write_text(json.dumps(cached))
    network.check(pod)
    network.delete(pod)


def test_a_plugin_that_fails_behind_podport_leaves_nothing_after_del(sim):
    network = Network(sim, [PODPORT, {"type": "tuning", "sysctl": {"net.core.no_such_key": "1"}}])
    pod = sim.pod(network="chain")
    with pytest.raises(CniError) as caught:
        network.add(pod)
    assert caught.value.plugin == "tuning"
    assert len(sim.attachments()) == 1  # libcni leaves that to the runtime,
    network.delete(pod)                 # which deletes
    assert sim.attachments() == []


def test_a_limit_that_the_bandwidth_plugin_cannot_set_is_its_error_and_leaves_nothing(sim):
    network = Network(sim, [PODPORT, BANDWIDTH])
    pod = sim.pod(network="chain")
    with pytest.raises(CniError) as caught:
        network.add(pod, bandwidth=LIMIT)
    assert caught.value.plugin == "bandwidth"
    network.delete(pod)
    assert sim.attachments() == []


def test_del_without_a_sandbox_goes_through_the_whole_list(sim):
    network = Network(sim, [PODPORT, TUNING, PORTMAP])
    pod = sim.pod(network="chain")
    network.add(pod, portMappings=MAPPING)
    pod.gone()
    network.delete(pod, netns="")
    assert sim.attachments() == []
    flush_nat(sim)


# ---- capabilities --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capability, value", [
    ("ipRanges", [[{"subnet": "10.1.0.0/16"}]]),
    ("aliases", ["web"]),
    ("deviceID", "0000:03:00.2"),
    ("infinibandGUID", "c2:11:22:33:44:55:66:77"),
])
def test_what_podport_cannot_do_is_refused_with_key_and_value(sim, capability, value):
    network = Network(sim, [dict(PODPORT, capabilities={capability: True})])
    pod = sim.pod(network="chain")
    with pytest.raises(CniError) as caught:
        network.add(pod, **{capability: value})
    assert caught.value.result.code == 2
    message = caught.value.result.json["msg"]
    assert f"runtimeConfig.{capability}: " in message and json.dumps(value, separators=(",", ":")) in message
    assert sim.attachments() == []
    # A plugin that has not declared it is not asked.
    network = Network(sim, [PODPORT])
    network.add(pod, **{capability: value})
    network.delete(pod)


def test_what_containerd_always_sends_is_accepted_and_dns_is_in_the_result(sim):
    declared = dict.fromkeys(["portMappings", "bandwidth", "dns", "cgroupPath", "ips", "mac", "io.kubernetes.cri.pod-annotations"], True)
    network = Network(sim, [dict(PODPORT, capabilities=declared, dns={"domain": "cluster.local"})])
    pod = sim.pod(network="chain")
    result = network.add(pod, **{
        "portMappings": [], "bandwidth": {"IngressRate": 0, "IngressBurst": 4294967295, "EgressRate": 0, "EgressBurst": 4294967295},
        "dns": {"Servers": ["192.0.2.53"], "Searches": ["shop.svc"], "Options": None}, "cgroupPath": "/kubepods/pod1",
        "ips": ["10.88.9.9/16"], "mac": "02:00:5e:10:00:09", "io.kubernetes.cri.pod-annotations": {"a": "b"}})
    assert result["dns"] == {"domain": "cluster.local", "nameservers": ["192.0.2.53"], "search": ["shop.svc"]}
    assert pod.ipv4 == "10.88.9.9" and pod.mac == "02:00:5e:10:00:09"
    network.delete(pod)


def test_the_uid_of_a_pod_is_stored_and_shown(sim):
    uid = "6f9d1c2e-7b1a-4c55-9f0e-2d3c4b5a6978"
    pod = sim.pod().add(environment={"CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=till-7;"
                                     f"K8S_POD_INFRA_CONTAINER_ID=c0ffee;K8S_POD_UID={uid}"})
    (attachment,) = sim.attachments()
    assert (attachment["namespace"], attachment["name"], attachment["uid"]) == ("shop", "till-7", uid)
    sim.restart(sim.agent)
    (attachment,) = sim.attachments()
    assert attachment["uid"] == uid
    pod.delete()


# ---- GC ------------------------------------------------------------------------------------------------------------------


def test_gc_deletes_what_the_runtime_has_forgotten_and_nothing_else(sim):
    network, other = Network(sim, [PODPORT], "1.1.0"), Network(sim, [PODPORT], "1.1.0", "other")
    kept, lost, stranger = (sim.pod(network=name) for name in ("chain", "chain", "other"))
    network.add(kept)
    network.add(lost)
    other.add(stranger)
    # A runtime that crashed before it wrote its cache: DEL will never come.
    network.cached(lost).unlink()
    network.gc([kept])
    assert {a["container_id"] for a in sim.attachments()} == {kept.container_id, stranger.container_id}
    assert set(lost.links()) == {"lo"}
    assert set(kept.links()) == {"lo", "eth0"}
    network.check(kept)
    kept.ping(stranger.ipv4)
    network.gc([])
    assert [a["container_id"] for a in sim.attachments()] == [stranger.container_id]
    other.delete(stranger)


def test_gc_of_more_than_one_request_holds(make_sim):
    sim = make_sim(functions=40)
    network = Network(sim, [PODPORT], "1.1.0")
    pods = [sim.pod(network="chain") for _ in range(40)]
    for pod in pods:
        network.add(pod)
    for pod in pods[1::2]:
        network.cached(pod).unlink()
    network.gc(pods[::2])
    assert {a["container_id"] for a in sim.attachments()} == {pod.container_id for pod in pods[::2]}
    for pod in pods[::2]:
        network.check(pod)
    network.gc([])
    assert sim.attachments() == []
