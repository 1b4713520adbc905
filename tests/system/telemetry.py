# SPDX-License-Identifier: BSD-3-Clause
"""The agent's DPDK telemetry, which is where the simulated NIC is told to misbehave: /simnic/fault,net_simnic0,..."""

import json
import pathlib
import socket

from simulation import PATIENCE_S, wait_until

DEVICE = "net_simnic0"


class Telemetry:
    """One connection to a process, by DPDK's protocol: a greeting, then an answer for each command (guides/prog_guide,
    telemetry_lib). The socket is of one process: make another one after a restart."""

    def __init__(self, simulation):
        # EAL's runtime folder: /var/run/dpdk or, in an environment that names one, below that.
        path = pathlib.Path(f"/var/run/dpdk/podport-{simulation.id}/dpdk_telemetry.v2")
        wait_until(path.exists, f"there is {path}")
        self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.connection.settimeout(2 * PATIENCE_S)
        self.connection.connect(str(path))
        self.size = json.loads(self.connection.recv(1024))["max_output_len"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def ask(self, command, *parameters):
        """What a command answers: {"/command": answer} without that wrapping."""
        self.connection.send(",".join([command, *map(str, parameters)]).encode())
        return json.loads(self.connection.recv(self.size))[command]


def misbehave(simulation, *faults):
    """misbehave(sim, "table_full=20", "insert_us=off"): the NIC's state then. Fails if it does not understand."""
    with Telemetry(simulation) as telemetry:
        answer = telemetry.ask("/simnic/fault", DEVICE, *faults)
    assert answer and "error" not in answer, f"{faults}: {answer}"
    return answer


def function_of(simulation, pod):
    """The number of the VF that serves a pod."""
    return simulation.port_of(pod)["function"]["vf"]
