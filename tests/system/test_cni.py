# SPDX-License-Identifier: BSD-3-Clause
"""What a container runtime is promised: the calls of the CNI specification, and its errors."""

import ipaddress
import json
import subprocess

import pytest

from simulation import BIN, wait_until

VERSIONS = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]
BEFORE_CHECK = ["0.3.0", "0.3.1"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_runtime_adds_checks_and_deletes_a_pod(sim, version):
    pod = sim.pod(version=version).add()
    result = pod.result
    assert result["cniVersion"] == version

    (index,) = [i for i, interface in enumerate(result["interfaces"]) if interface.get("sandbox")]
    interface = result["interfaces"][index]
    assert interface["name"] == "eth0"
    assert interface["sandbox"] == pod.netns.path
    assert interface["mac"] == pod.mac
    assert {ipaddress.ip_interface(ip["address"]).version for ip in result["ips"]} == {4, 6}
    for ip in result["ips"]:
        assert ip["interface"] == index
        address = ipaddress.ip_interface(ip["address"])
        assert address.network.num_addresses == 1
        assert ip["gateway"] == sim.gateway(address.version)
        # Only versions before 1.0.0 have the field.
        assert ip.get("version") == (str(address.version) if version < "1.0.0" else None)
    assert {route["dst"] for route in result["routes"]} >= {"0.0.0.0/0", "::/0"}
    if version == "1.1.0":
        assert interface["mtu"] == 1500

    # What was promised is there.
    assert sorted(pod.addresses("eth0")) == sorted([f"{pod.ipv4}/32", f"{pod.ipv6}/128"])
    link = pod.links()["eth0"]
    assert link["mtu"] == 1500 and "UP" in link["flags"]
    if version in BEFORE_CHECK:
        assert pod.try_check().code == 1
    else:
        pod.check()
    pod.ping(sim.gateway(4))
    pod.ping(sim.gateway(6))

    pod.delete()
    assert set(pod.links()) == {"lo"}
    assert not pod.try_check(prevResult=result).ok


def test_version_names_what_is_supported():
    process = subprocess.run([BIN / "podport-cni"], input='{"cniVersion":"1.1.0"}', capture_output=True, text=True,
                             check=False, env={"CNI_COMMAND": "VERSION"})
    assert process.returncode == 0, process.stderr
    assert set(VERSIONS) <= set(json.loads(process.stdout)["supportedVersions"])


def test_a_repeated_add_gives_the_same_answer(sim):
    pod = sim.pod().add()
    first = pod.result
    # The specification lets a plugin refuse, too; what must not be is a second address or a changed pod.
    again = pod.try_add()
    assert again.ok, again
    assert again.json == first
    assert len(sim.attachments()) == 1
    pod.check()
    pod.ping(sim.gateway(4))


def test_a_repeated_delete_succeeds(sim):
    pod = sim.pod().add()
    pod.delete()
    pod.delete()
    # Also for one that never was.
    sim.pod().delete()


def test_a_delete_without_a_namespace_releases_the_pod(sim):
    pod = sim.pod().add()
    pod.delete(environment={"CNI_NETNS": None})
    assert sim.attachments() == []
    pod = sim.pod().add()
    pod.delete(environment={"CNI_NETNS": ""})
    assert sim.attachments() == []


def test_a_delete_after_the_namespace_is_gone_gives_the_function_back(sim):
    functions = {name for name in sim.host.links() if name.startswith("simnic0v")}
    assert len(functions) == sim.functions
    pod = sim.pod().add()
    pod.gone()
    pod.delete()
    assert sim.attachments() == []
    wait_until(lambda: {name for name in sim.host.links() if name.startswith("simnic0v")} == functions, "it is on the host again")


def test_the_same_container_can_be_added_again_after_a_delete(sim):
    pod = sim.pod().add()
    pod.delete()
    pod.add()
    pod.check()
    pod.ping(sim.gateway(4))


def test_one_container_can_have_two_interfaces(sim):
    pod = sim.pod().add()
    second = sim.pod(ifname="net1")
    second.container_id = pod.container_id
    second.netns.delete()
    second.netns = pod.netns
    # Both want the default route of the sandbox; the runtime is told, and the first is not hurt.
    result = second.try_add()
    pod.check()
    pod.ping(sim.gateway(4))
    if result.ok:
        assert second.ipv4 != pod.ipv4
        assert set(pod.links()) == {"lo", "eth0", "net1"}
    else:
        assert result.code >= 100 or result.code in (4, 7)
        assert set(pod.links()) == {"lo", "eth0"}
    second.delete()
    pod.check()
    pod.delete()


CHANGES = {
    "the interface is down": lambda pod: ("ip", "link", "set", "eth0", "down"),
    "the IPv4 address is gone": lambda pod: ("ip", "address", "del", f"{pod.ipv4}/32", "dev", "eth0"),
    "the IPv6 address is gone": lambda pod: ("ip", "address", "del", f"{pod.ipv6}/128", "dev", "eth0"),
    "the default route is gone": lambda pod: ("ip", "route", "del", "default"),
    "the route to the gateway is gone": lambda pod: ("ip", "route", "del", pod.simulation.gateway(4), "dev", "eth0"),
    "the gateway's neighbour entry is gone": lambda pod: ("ip", "neigh", "del", pod.simulation.gateway(4), "dev", "eth0"),
    "the gateway's neighbour entry is another": lambda pod: ("ip", "neigh", "replace", pod.simulation.gateway(4), "lladdr",
                                                             "02:00:00:00:00:99", "nud", "permanent", "dev", "eth0"),
    "the MTU is another": lambda pod: ("ip", "link", "set", "eth0", "mtu", "1400"),
    "the IPv6 default route is gone": lambda pod: ("ip", "-6", "route", "del", "default"),
    "the MAC address is another": lambda pod: ("ip", "link", "set", "eth0", "address", "02:00:00:00:00:99"),
    "the interface has another name": lambda pod: ("ip", "link", "set", "eth0", "name", "eth7"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_check_notices_what_was_changed_in_the_sandbox(sim, change):
    pod = sim.pod().add()
    pod.check()
    pod.run(*CHANGES[change](pod))
    result = pod.try_check()
    assert not result.ok, f"CHECK did not notice that {change}"
    assert result.code >= 100 and "eth0" in result.json["msg"] + result.json.get("details", ""), result
    # DEL copes with all of it, and what was changed does not stay with the function.
    pod.delete()
    assert set(pod.links()) == {"lo"}


def test_check_fails_for_a_pod_that_was_never_added(sim):
    pod = sim.pod()
    template = sim.pod().add()
    result = pod.try_check(prevResult=template.result)
    assert not result.ok
    assert pod.container_id in result.json["msg"] + result.json.get("details", "")


def test_an_interface_that_exists_already_is_not_touched(sim):
    pod = sim.pod()
    pod.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")
    before = pod.links()["eth0"]["address"]
    result = pod.try_add()
    assert not result.ok and "eth0" in result.json["msg"]
    assert pod.links()["eth0"]["address"] == before
    assert sim.attachments() == []
    # The DEL that a runtime sends after a failed ADD leaves it alone, too.
    pod.delete()
    assert pod.links()["eth0"]["address"] == before


REQUESTS = {
    "args.cni": lambda pod, ipv4, ipv6: pod.add(args={"cni": {"ips": [ipv4, ipv6]}}),
    "runtimeConfig": lambda pod, ipv4, ipv6: pod.add(capabilities={"ips": True}, runtimeConfig={"ips": [ipv4 + "/16", ipv6 + "/64"]}),
    "CNI_ARGS": lambda pod, ipv4, ipv6: pod.add(environment={"CNI_ARGS": f"IgnoreUnknown=1;IP={ipv4}"}),
}


@pytest.mark.parametrize("how", REQUESTS)
def test_a_pod_gets_the_address_it_asks_for(sim, how):
    pod = REQUESTS[how](sim.pod(), "10.88.77.7", "fd00:10:88::77:7")
    assert pod.ipv4 == "10.88.77.7"
    if how != "CNI_ARGS":
        assert pod.ipv6 == "fd00:10:88::77:7"
    pod.ping(sim.gateway(4))

    # Another pod cannot have it, and is told whose it is not.
    other = sim.pod()
    result = other.try_add(args={"cni": {"ips": ["10.88.77.7"]}})
    assert not result.ok and "10.88.77.7" in result.json["msg"]


@pytest.mark.parametrize("address", ["10.88.0.0", "10.88.0.1", "10.88.255.255", "192.0.2.1", "fd00:10:88::", "fd00:10:88::1", "2001:db8::1"])
def test_an_address_that_no_pod_may_have_is_refused(sim, address):
    result = sim.pod().try_add(args={"cni": {"ips": [address]}})
    assert not result.ok
    assert address.rstrip(":") in result.json["msg"]


def test_a_pod_gets_the_mac_address_it_asks_for(sim):
    pod = sim.pod().add(args={"cni": {"mac": "02:00:5e:10:00:07"}})
    assert pod.mac == "02:00:5e:10:00:07"
    pod.ping(sim.gateway(4))
    pod.ping(sim.gateway(6))
    pod.delete()
    # The next one with that function does not inherit it.
    for _ in range(sim.functions):
        assert sim.pod().add().mac != "02:00:5e:10:00:07"


def test_the_name_of_the_pod_is_shown_to_the_operator(sim):
    pod = sim.pod().add(environment={"CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=till-7"})
    (attachment,) = sim.attachments()
    assert "till-7" in json.dumps(attachment) and "shop" in json.dumps(attachment)
    assert "till-7" in sim.podportctl("pods").stdout
    pod.delete()


# ---- bad input: the code that the specification gives it, and the name of what is wrong ----------------------


@pytest.mark.parametrize("stdin, code, named", [
    ("", 6, ""),
    ("{", 6, ""),
    ("[]", 6, ""),
    ('{"cniVersion":"1.0.0","name":"n","type":"podport-cni"', 6, ""),
    ('{"cniVersion":"0.2.0","name":"n","type":"podport-cni"}', 1, "0.2.0"),
    ('{"cniVersion":"9.0.0","name":"n","type":"podport-cni"}', 1, "9.0.0"),
    ('{"cniVersion":"1.0.0","type":"podport-cni"}', 7, "name"),
    ('{"cniVersion":"1.0.0","name":"../x","type":"podport-cni"}', 7, "name"),
    ('{"cniVersion":"1.0.0","name":7,"type":"podport-cni"}', 7, "name"),
    ('{"cniVersion":"1.0.0","name":"n","type":"podport-cni","mtu":"big"}', 7, "mtu"),
    ('{"cniVersion":"1.0.0","name":"n","type":"podport-cni","mtu":99999}', 7, "mtu"),
    ('{"cniVersion":"1.0.0","name":"n","type":"podport-cni","socket":5}', 7, "socket"),
    ('{"cniVersion":"1.0.0","name":"n","type":"podport-cni","args":{"cni":{"ips":["300.1.1.1"]}}}', 7, "ips"),
    ('{"cniVersion":"1.0.0","name":"n","type":"podport-cni","args":{"cni":{"mac":"zz"}}}', 7, "mac"),
])
def test_a_malformed_network_configuration_is_refused_by_name(sim, stdin, code, named):
    result = sim.pod().try_add(stdin=stdin)
    assert result.code == code, result
    assert named in result.json["msg"] + result.json.get("details", ""), result
    assert sim.attachments() == []


@pytest.mark.parametrize("variable, value", [
    ("CNI_COMMAND", None), ("CNI_COMMAND", "FETCH"),
    ("CNI_CONTAINERID", None), ("CNI_CONTAINERID", ""), ("CNI_CONTAINERID", "../etc"), ("CNI_CONTAINERID", "-x"),
    ("CNI_NETNS", None), ("CNI_NETNS", ""),
    ("CNI_IFNAME", None), ("CNI_IFNAME", ""), ("CNI_IFNAME", "sixteen-letters-"), ("CNI_IFNAME", "a/b"),
    ("CNI_IFNAME", "a b"), ("CNI_IFNAME", "."), ("CNI_IFNAME", ".."), ("CNI_IFNAME", "a:b"),
    ("CNI_ARGS", "IP=300.0.0.1"), ("CNI_ARGS", "nonsense"),
])
def test_a_malformed_environment_is_refused_by_name(sim, variable, value):
    result = sim.pod().try_add(environment={variable: value})
    assert result.code == 4, result
    assert variable in result.json["msg"] + result.json.get("details", ""), result
    assert sim.attachments() == []


@pytest.mark.parametrize("path", ["/run/netns/no-such", "/etc/hostname", "/run", "/dev/null", "relative/path"])
def test_a_sandbox_that_is_no_network_namespace_is_refused(sim, path):
    pod = sim.pod()
    result = pod.try_add(environment={"CNI_NETNS": path})
    assert not result.ok and result.code in (4, 8) or result.code >= 100, result
    assert path in result.json["msg"] + result.json.get("details", "")
    assert sim.attachments() == []


def test_hostd_away_is_an_error_that_names_its_socket(sim):
    pod = sim.pod()
    for command in ("ADD", "DEL", "CHECK"):
        result = pod.call(command, socket="/run/no-such-socket", prevResult={"cniVersion": "1.0.0", "ips": []})
        assert not result.ok
        assert result.code in (5, 11), result
        assert "/run/no-such-socket" in result.json["msg"] + result.json.get("details", "")
