# SPDX-License-Identifier: BSD-3-Clause
"""When nng has lost its way (proto/wire_private.h), a daemon ends by itself, to be started again. Here it believes so from the
start: the programs are the real ones but for the function that tells."""

from simulation import BUILD, PATIENCE_S


def start_worn(daemon):
    """In place of the one that runs, which a service manager does not know."""
    daemon.kill()
    program, *arguments = daemon.command
    daemon.command = (BUILD / "unit" / f"{program.name}-worn", *arguments)
    daemon.start()
    daemon.command = (program, *arguments)


def test_daemons_whose_link_is_worn_out_end_and_are_started_again_without_a_pod_noticing(make_sim):
    sim = make_sim()
    a, b = sim.pod().add(), sim.pod().add()
    for daemon in (sim.agent, sim.hostd):
        start_worn(daemon)
        # By itself, in order, and with a status that Restart=on-failure takes for one.
        assert daemon.process.wait(PATIENCE_S) == 1, daemon.tail()
        assert "to be started again" in daemon.log.read_text()
        daemon.start()
    sim.wait_ready()
    for pod in (a, b):
        pod.check()
    a.ping(b.ipv4)
    a.ping(b.ipv6)
