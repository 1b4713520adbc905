# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures: a simulation that tests share, others made to measure, and a check for leaks around every test."""

import os

import pytest

import simulation as simulation_module
from simulation import BIN, BUILD, Leaks, Simulation

PROGRAMS = ["podport-agent", "podport-hostd", "podport-cni", "podportctl", "simnic-card"]


# A build that could be shipped has no crash points (tests/shipped sees to that), so there is nothing to stop at, nor programs
# with something wrong in them.
HOOKS = "PODPORT_TEST_HOOKS:BOOL=ON" in (BUILD / "CMakeCache.txt").read_text()
collect_ignore = [] if HOOKS else ["test_crash.py", "test_random.py", "test_storm.py", "test_worn.py"]
# It runs the programs in an emulated machine: with sanitizers, which have nothing more to see there, for minutes.
if simulation_module.SANITIZED:
    collect_ignore.append("test_virtio_user.py")


def pytest_report_header(config):
    return [] if HOOKS else [f"{BUILD.name} has no crash points, left out: {', '.join(collect_ignore)}"]


def pytest_configure(config):
    # Killing the tests must kill all that they started, and nothing of the machine may be touched.
    if "PODPORT_TEST_NAME" not in os.environ or os.getpid() > 1000:
        pytest.exit("these tests run in namespaces of their own: start them with tests/run system", returncode=2)
    missing = [program for program in PROGRAMS if not (BIN / program).exists()]
    if missing:
        pytest.exit(f"{BIN} lacks {', '.join(missing)}", returncode=2)


@pytest.fixture(scope="session")
def _shared():
    """Holds the shared simulation; replaced when a test has spoilt it."""
    holder = {"simulation": None}
    yield holder
    if holder["simulation"]:
        holder["simulation"].stop()


def _warm_up(simulation):
    """One pod through everything, so that what is opened once and kept is open before descriptors are counted."""
    simulation.pod().add().close()
    if simulation.vhost_dir is not None:
        simulation.pod(version="1.1.0", portKind="vhost-user").add().close()


def _finish(simulation, leaks):
    simulation.alive(*simulation.daemons)
    simulation.close_pods()
    leaks.check()
    reports = simulation.sanitizer_reports()
    assert not reports, reports


@pytest.fixture
def sim(_shared):
    """The shared simulation: 8 functions, both families, MTU 1500. After the test, as it was before."""
    if _shared["simulation"] is None:
        shared = Simulation()
        try:
            _warm_up(shared.start())
        except BaseException:
            shared.abandon()
            raise
        _shared["simulation"] = shared
    simulation = _shared["simulation"]
    leaks = Leaks(simulation)
    yield simulation
    try:
        _finish(simulation, leaks)
    except BaseException:
        # The next test gets a fresh one, so that it fails only for reasons of its own.
        _shared["simulation"] = None
        simulation.abandon()
        raise


@pytest.fixture
def make_sim():
    """make_sim(functions=3, ...): a simulation for this test alone, checked for leaks and stopped in order after it."""
    made = []

    def make(**options):
        simulation = Simulation(**options)
        made.append([simulation, None])
        _warm_up(simulation.start())
        made[-1][1] = Leaks(simulation)
        return simulation

    yield make
    problem = None
    # The last one first: namespaces of a later one are not there when an earlier one is compared.
    for simulation, leaks in reversed(made):
        try:
            if leaks:
                _finish(simulation, leaks)
            simulation.stop()
        except BaseException as error:  # pylint: disable=broad-except
            problem = problem or error
            simulation.abandon()
    if problem:
        raise problem


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """With a failed test comes the end of the daemons' logs."""
    outcome = yield
    report = outcome.get_result()
    if report.failed and call.when == "call":
        for value in item.funcargs.values():
            if isinstance(value, simulation_module.Simulation):
                report.sections.append(("daemons", value.logs()))
