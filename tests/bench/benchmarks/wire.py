# SPDX-License-Identifier: BSD-3-Clause
"""A round trip between host and agent: ipc, tcp on loopback, tls between two namespaces.

A call that needs no disk (GetStatus), one after the other by libpodport's sibling on the wire, against a byte there and back between two
threads over a bare AF_UNIX or TCP socket: what the kernel's wake-ups cost. The rest is nng's threads (each end hands a message on twice),
protobuf, and the agent's control thread. TLS goes over a veth pair, the others do not."""

import json
import subprocess

from simulation import BUILD, ROOT, Simulation, wait_until

GROUP = "control plane"
PORT = 7437
HOST, DPU = "10.9.0.1", "10.9.0.2"


def start(scheme):
    """A simulation whose agent listens so; the URL; and the certificates for it."""
    simulation = Simulation()
    url, certificates = f"ipc://{simulation.agent_socket}", []
    folder = simulation.folder / "certificates"
    if scheme != "ipc":
        url = f"tcp://127.0.0.1:{PORT}" if scheme == "tcp" else f"tls+tcp://{DPU}:{PORT}"
        text = simulation.agent_config.read_text().replace(f"listen: ipc://{simulation.agent_socket}\n", f"listen: {url}\n")
        if scheme == "tls":
            subprocess.run([ROOT / "packaging/make-certs", "--agent-name", DPU, folder], check=True, capture_output=True)
            text += f"tls:\n  ca: {folder}/ca.pem\n  certificate: {folder}/agent.pem\n  key: {folder}/agent.key\n"
            certificates = [folder / name for name in ("ca.pem", "host.pem", "host.key")]
        simulation.agent_config.write_text(text)
        simulation.host.run("ip", "link", "add", "wire0", "type", "veth", "peer", "name", "wire0", "netns", simulation.dpu.name)
        for netns, address in ((simulation.host, HOST), (simulation.dpu, DPU)):
            netns.run("ip", "address", "add", f"{address}/24", "dev", "wire0")
            netns.run("ip", "link", "set", "wire0", "up")
    simulation.card.start()
    wait_until(simulation.card_socket.exists, "the card is ready")
    simulation.agent.start()
    wait_until(lambda: simulation.alive(simulation.agent) and "agent ready" in simulation.agent.log.read_text(), lambda: "the agent is ready\n" + simulation.logs())
    return simulation, url, certificates


def measure(run):
    program, count = BUILD / "unit" / "rpc-roundtrip", str(run.count(1000, quick=100))
    columns = ["ipc", "tcp", "tls", "bare AF_UNIX", "bare TCP"]
    table = run.table("Round trip, one after the other", "µs", columns, kind="calls", better="lower",
                      ratios=[("ipc", "bare AF_UNIX"), ("tcp", "bare TCP"), ("tls", "tcp")])
    agents = {scheme: start(scheme) for scheme in ("ipc", "tcp", "tls")}
    ways = {scheme: (simulation.host if scheme == "tls" else simulation.dpu, [url, *certificates])
            for scheme, (simulation, url, certificates) in agents.items()}
    anywhere = agents["ipc"][0].host
    ways.update({"bare AF_UNIX": (anywhere, ["bare", "unix"]), "bare TCP": (anywhere, ["bare", "tcp"])})
    for _, (name, (netns, arguments)) in run.turns(ways.items(), run.rounds(3, quick=1)):
        table.add("GetStatus", name, *json.loads(netns.run(program, count, *arguments).stdout))
    for simulation, *_ in agents.values():
        simulation.stop()
