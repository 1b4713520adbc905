# SPDX-License-Identifier: BSD-3-Clause
"""The link by TLS, as a first deployment makes it: certificates of packaging/make-certs, hostd and agent on two machines
(network namespaces joined by a veth pair)."""

import contextlib
import shutil
import signal
import subprocess
import threading

import pytest

from simulation import ROOT, Simulation, wait_until

HOST, DPU, PORT = "10.9.0.1", "10.9.0.2", 7437
MAKE_CERTS = ROOT / "packaging" / "make-certs"


def make_certs(*arguments, check=True):
    result = subprocess.run([MAKE_CERTS, *map(str, arguments)], capture_output=True, text=True, check=False)
    if check:
        assert result.returncode == 0, result.stderr
    return result


class TlsSimulation(Simulation):
    def __init__(self, **options):
        super().__init__(**options)
        self.authority = self.folder / "authority"
        make_certs("--agent-name", DPU, self.authority)
        self.certificates = self.folder / "certificates"
        self.certificates.mkdir()
        self.install("ca.pem", "agent.pem", "agent.key", "host.pem", "host.key")
        self.edit(self.hostd_config, f"agent: ipc://{self.agent_socket}\n", f"agent: {self.url}\n", "host")
        self.host.run("ip", "link", "add", "wire0", "type", "veth", "peer", "name", "wire0", "netns", self.dpu.name)
        for netns, address in ((self.host, HOST), (self.dpu, DPU)):
            netns.run("ip", "address", "add", f"{address}/24", "dev", "wire0")
            netns.run("ip", "link", "set", "wire0", "up")

    @property
    def url(self):
        return f"tls+tcp://{DPU}:{PORT}"

    def edit(self, config, old, new, name):
        text = config.read_text()
        assert old in text
        config.write_text(text.replace(old, new) + f"tls:\n  ca: {self.folder}/certificates/ca.pem\n"
                          f"  certificate: {self.folder}/certificates/{name}.pem\n  key: {self.folder}/certificates/{name}.key\n")

    def configure(self, **changes):
        super().configure(**changes)
        self.edit(self.agent_config, f"listen: ipc://{self.agent_socket}\n", f"listen: {self.url}\n", "agent")

    def install(self, *files, source=None):
        for file in files:
            shutil.copy((source or self.authority) / file, self.certificates)

    def log_of(self, daemon):
        return daemon.log.read_text()

    def wait_log(self, daemon, *words, since=0):
        def look():
            return any(all(word in line for word in words) for line in self.log_of(daemon)[since:].splitlines())
        wait_until(look, lambda: f"{daemon.name} says {words}\n{self.logs()}")

    def served_certificate(self):
        """The serial number of what the agent shows who connects now."""
        arguments = ["openssl", "s_client", "-connect", f"{DPU}:{PORT}", "-CAfile", self.certificates / "ca.pem",
                     "-cert", self.certificates / "host.pem", "-key", self.certificates / "host.key"]
        shown = self.host.run(*arguments, stdin=subprocess.DEVNULL, check=False).stdout
        return self.serial(shown)

    @staticmethod
    def serial(pem):
        return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pem, capture_output=True, text=True, check=True).stdout


@pytest.fixture(name="tls")
def _tls():
    simulation = TlsSimulation()
    try:
        simulation.start()
        yield simulation
        simulation.close_pods()
        simulation.stop()
    except BaseException:
        simulation.abandon()
        raise


@contextlib.contextmanager
def calls_beside(sim, count):
    """Callers that ADD and DEL all the time. Every call must succeed; yields a function: how many have."""
    stopping, problems, done = threading.Event(), [], [0] * count

    def call(index, pod):
        try:
            while not stopping.is_set():
                pod.add()
                pod.delete()
                done[index] += 1
        except BaseException as error:  # pylint: disable=broad-except
            problems.append(error)

    threads = [threading.Thread(target=call, args=(index, sim.pod()), daemon=True) for index in range(count)]
    for thread in threads:
        thread.start()

    def more(than):
        wait_until(lambda: problems or sum(done) >= than + 2 * count, "calls go on")
        assert not problems, problems[0]
        return sum(done)

    try:
        yield lambda: more(sum(done))
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    assert not problems, problems[0]


def test_make_certs_makes_what_is_safe_to_use_and_overwrites_nothing(tmp_path):
    folder = tmp_path / "certs"
    make_certs(folder)
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {**{f"{name}.key": 0o600 for name in ("ca", "agent", "host")}, **{f"{name}.pem": 0o644 for name in ("ca", "agent", "host")}}
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for arguments in ((folder,), ("--add", "host", folder)):
        result = make_certs(*arguments, check=False)
        assert result.returncode != 0 and "is there already" in result.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    # Neither does for the other's part.
    for purpose, name, good in (("sslserver", "agent", True), ("sslclient", "host", True), ("sslserver", "host", False), ("sslclient", "agent", False)):
        verified = subprocess.run(["openssl", "verify", "-purpose", purpose, "-CAfile", folder / "ca.pem", folder / f"{name}.pem"],
                                  capture_output=True, check=False)
        assert (verified.returncode == 0) == good, (purpose, name)
    make_certs("--add", "host2", folder)
    make_certs("--renew", "agent", folder)
    assert (folder / "agent.pem").read_bytes() != before["agent.pem"]
    assert (folder / "ca.pem").read_bytes() == before["ca.pem"]
    assert make_certs("--add", "../host3", folder, check=False).returncode != 0
    assert make_certs(check=False).returncode != 0
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_pods_are_attached_by_tls_between_two_machines(tls):
    a, b = tls.pod().add(), tls.pod().add()
    a.ping(b.ipv4)
    a.ping(tls.gateway(6))
    tls.restart(tls.agent)
    a.ping(b.ipv4)
    b.delete()


def test_certificates_are_renewed_without_losing_a_call_or_an_attachment(tls):
    pod = tls.pod().add()
    instance = tls.status()["agent"]["instance_id"]
    with calls_beside(tls, 4) as more:
        for _ in range(2):
            before = tls.served_certificate()
            hostd_log, agent_log = len(tls.log_of(tls.hostd)), len(tls.log_of(tls.agent))
            make_certs("--renew", "agent", tls.authority)
            make_certs("--renew", "host", tls.authority)
            tls.install("agent.pem", "agent.key", "host.pem", "host.key")
            tls.agent.send(signal.SIGHUP)
            tls.wait_log(tls.agent, "certificates renewed", since=agent_log)
            tls.hostd.send(signal.SIGHUP)
            tls.wait_log(tls.hostd, "link renewed", since=hostd_log)
            more()
            assert tls.served_certificate() not in (before, "")
            assert tls.served_certificate() == tls.serial((tls.certificates / "agent.pem").read_text())
    assert tls.status()["agent"]["instance_id"] == instance
    assert "connection was lost" not in tls.log_of(tls.hostd)
    assert [attachment["container_id"] for attachment in tls.attachments()] == [pod.container_id]
    pod.check()
    pod.ping(tls.gateway(4))


def test_the_authority_is_replaced_in_three_steps_without_losing_a_call(tls):
    other = tls.folder / "other"
    make_certs("--agent-name", DPU, other)
    old, new = (tls.authority / "ca.pem").read_text(), (other / "ca.pem").read_text()

    def renew_all():
        for daemon, words in ((tls.agent, "certificates renewed"), (tls.hostd, "link renewed")):
            since = len(tls.log_of(daemon))
            daemon.send(signal.SIGHUP)
            tls.wait_log(daemon, words, since=since)

    with calls_beside(tls, 2) as more:
        (tls.certificates / "ca.pem").write_text(old + new)
        renew_all()
        tls.install("agent.pem", "agent.key", "host.pem", "host.key", source=other)
        renew_all()
        (tls.certificates / "ca.pem").write_text(new)
        renew_all()
        more()
    # And the old one's certificates are worth nothing any more.
    tls.install("host.pem", "host.key")
    tls.hostd.kill()
    tls.hostd.start()
    tls.wait_log(tls.agent, "a peer was refused")
    assert not tls.status()["host"]["link_up"]
    tls.install("host.pem", "host.key", source=other)
    tls.restart(tls.hostd)


def test_new_files_that_do_not_do_are_refused_and_the_old_ones_stay_in_use(tls):
    pod = tls.pod().add()
    since = len(tls.log_of(tls.hostd))
    (tls.certificates / "host.pem").write_text("not a certificate\n")
    tls.hostd.send(signal.SIGHUP)
    tls.wait_log(tls.hostd, "new certificates are not taken", "host.pem", since=since)
    # Half of a pair: the key was copied, the certificate not yet.
    make_certs("--add", "half", tls.authority)
    shutil.copy(tls.authority / "host.pem", tls.certificates / "host.pem")
    shutil.copy(tls.authority / "half.key", tls.certificates / "host.key")
    tls.hostd.send(signal.SIGHUP)
    tls.wait_log(tls.hostd, "is not the key of the certificate", since=since)
    (tls.certificates / "agent.pem").unlink()
    tls.agent.send(signal.SIGHUP)
    tls.wait_log(tls.agent, "new certificates are not taken", "agent.pem", "No such file")
    tls.pod().add()
    # Files in order, but the agent will have none of them: the link that is there goes on.
    stranger = tls.folder / "stranger"
    make_certs(stranger)
    tls.install("host.pem", "host.key", source=stranger)
    tls.hostd.send(signal.SIGHUP)
    tls.wait_log(tls.hostd, "not of our authority", "host.pem", since=since)
    tls.wait_log(tls.agent, "a peer was refused")
    tls.wait_log(tls.hostd, "no connection by TLS")
    pod.delete()
    tls.pod().add()
    assert "connection was lost" not in tls.log_of(tls.hostd)


@pytest.mark.parametrize("whose", ["expired", "foreign"])
def test_a_host_is_refused_with_a_line_that_says_why(tls, whose):
    tls.hostd.kill()
    bad = tls.folder / "bad"
    if whose == "foreign":
        make_certs(bad)
        tls.install("host.pem", "host.key", source=bad)
    else:
        make_certs("--days", "-1", "--add", "old", tls.authority)
        for suffix in ("pem", "key"):
            shutil.copy(tls.authority / f"old.{suffix}", tls.certificates / f"host.{suffix}")
    tls.hostd.start()
    tls.wait_log(tls.hostd, "has expired" if whose == "expired" else "not of our authority", "host.pem")
    tls.wait_log(tls.agent, "a peer was refused")
    assert not tls.status()["host"]["link_up"]
    why = f"{tls.certificates}/host.pem " + ("has expired" if whose == "expired" else "is not of our authority")
    wait_until(lambda: why in tls.status()["host"]["link_error"], lambda: f"the status says why: {tls.status()['host']}")
    result = tls.pod().try_add()
    assert result.code == 11 and why in result.json["msg"], result
    tls.install("host.pem", "host.key")
    tls.hostd.send(signal.SIGHUP)  # a restart is not needed to come out of it
    tls.wait_ready()


def test_an_agent_of_another_authority_is_refused(tls):
    stranger = tls.folder / "stranger"
    make_certs("--agent-name", DPU, stranger)
    tls.agent.kill()
    tls.install("agent.pem", "agent.key", source=stranger)
    tls.agent.start()
    tls.wait_log(tls.hostd, "no connection by TLS")
    assert not tls.status()["host"]["link_up"]
    wait_until(lambda: "its own is of another authority" in tls.status()["host"]["link_error"],
               lambda: f"the status says why: {tls.status()['host']}")
    tls.install("agent.pem", "agent.key")
    tls.agent.send(signal.SIGHUP)
    tls.wait_ready()
    assert tls.status()["host"]["link_error"] == ""


def test_a_peer_without_a_certificate_is_refused_and_the_agent_says_so(tls):
    tls.host.run("openssl", "s_client", "-connect", f"{DPU}:{PORT}", "-CAfile", tls.certificates / "ca.pem",
                 stdin=subprocess.DEVNULL, check=False)
    tls.wait_log(tls.agent, "a peer was refused")
    tls.pod().add()


@pytest.mark.parametrize("file", ["ca.pem", "agent.pem", "agent.key"])
def test_an_agent_does_not_start_without_its_files_and_names_the_missing_one(tls, file):
    tls.agent.kill()
    (tls.certificates / file).unlink()
    tls.agent.start()
    assert tls.agent.process.wait(30) != 0
    tls.wait_log(tls.agent, "cannot read", file, "No such file")
    tls.install(file)
    tls.agent.process = None
    tls.agent.start()
    tls.wait_ready()
