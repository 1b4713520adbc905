# SPDX-License-Identifier: BSD-3-Clause
"""A node's worst moment: all its pods at once, and beside them some whose sandboxes do not get on."""

import concurrent.futures
import contextlib
import math
import pathlib
import re
import statistics
import threading
import time

import pytest

from crash import CrashSimulation, PluginCall
from simulation import ROOT, SANITIZED, Leaks, wait_until

PODS = 200
# Where the calls of pods get stuck: in the middle of each step that hostd takes in a sandbox or at the agent.
ADD_POINTS = ("hostd:add:begun", "hostd:add:asked", "hostd:add:marked", "hostd:add:moved", "hostd:add:dressed")
DEL_POINTS = ("hostd:del:begun", "hostd:del:undressed", "hostd:del:told")


def constant(file, name):
    """A number of the sources, as `64` or `64 * 1024`."""
    return math.prod(map(int, re.search(rf"\b{name} = ([\d *]+),", (ROOT / file).read_text()).group(1).split("*")))


class Watch(threading.Thread):
    """The most threads and memory that hostd has had."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.daemon_watched, self.threads, self.rss_kb, self.ended = daemon, 0, 0, threading.Event()
        self.start()

    def look(self):
        text = pathlib.Path(f"/proc/{self.daemon_watched.pid}/status").read_text()
        return [int(re.search(rf"^{key}:\s+(\d+)", text, re.M).group(1)) for key in ("Threads", "VmRSS")]

    def run(self):
        while not self.ended.wait(0.01):
            threads, rss_kb = self.look()
            self.threads, self.rss_kb = max(self.threads, threads), max(self.rss_kb, rss_kb)

    def end(self):
        self.ended.set()
        self.join()


@pytest.fixture(scope="module", name="crowd")
def _crowd():
    # A loaded machine, or a sanitizer, takes long for what the kernel does one by one; so does a runtime's minute.
    sim = CrashSimulation(functions=PODS + 10, memory_mb=256, timeout_ms=60000)
    try:
        sim.start()
        sim.pod().add().close()
        yield sim
        sim.close_pods()
        sim.stop()
    except BaseException:
        sim.abandon()
        raise


@contextlib.contextmanager
def nothing_leaks(sim):
    leaks = Leaks(sim)
    yield
    leaks.check()


def all_at_once(pods, command):
    """A process for each, all started before the first is waited for; seconds that each took."""
    def one(pod):
        begin = time.monotonic()
        call = PluginCall(pod, command)
        good = call.result(codes=())
        assert good, f"{command} of {pod.container_id}"
        return time.monotonic() - begin

    with concurrent.futures.ThreadPoolExecutor(len(pods)) as pool:
        return list(pool.map(one, pods))


def test_two_hundred_pods_at_once_are_all_served_with_bounded_threads_and_memory(crowd, capsys):
    pods = [crowd.pod() for _ in range(PODS)]
    with nothing_leaks(crowd):
        watch = Watch(crowd.hostd)
        threads, rss_kb = watch.look()
        adds = all_at_once(pods, "ADD")
        watch.end()
        # The workers are there since the first call, and no call makes a thread of its own.
        workers = constant("host-stub/hostd/calls.h", "CALLS_THREADS")
        assert workers <= watch.threads <= threads, f"{watch.threads} threads, {threads} before; {workers} are workers"
        # Of a call hostd holds the request and the reply, and of a worker the stack that netlink has been through.
        bound_kb = (PODS + workers) * 2 * constant("proto/message.h", "LIMIT_MESSAGE_BYTES") // 1024
        if not SANITIZED:
            assert watch.rss_kb - rss_kb < bound_kb, f"{watch.rss_kb} KB, {rss_kb} KB before"
        assert len({pod.ipv4 for pod in pods}) == len({pod.ipv6 for pod in pods}) == PODS
        assert len({item["function"]["vf"] for item in crowd.attachments()}) == PODS
        for pod in pods[::20]:
            pod.check()
            pod.ping(crowd.gateway(4), count=1)
        dels = all_at_once(pods, "DEL")
        assert all(set(pod.links()) == {"lo"} for pod in pods[::20])
        assert crowd.attachments() == []
    for pod in pods:
        pod.netns.delete()
        crowd.pods.remove(pod)
    with capsys.disabled():
        print(f"\n{PODS} at once: ADD p50 {statistics.median(adds):.1f} s, slowest {max(adds):.1f} s; DEL p50 {statistics.median(dels):.1f} s, "
              f"slowest {max(dels):.1f} s; hostd: {watch.threads} threads, {watch.rss_kb - rss_kb} KB more than before")


def test_a_pod_whose_sandbox_does_not_get_on_holds_up_no_other(crowd):
    stuck = []
    with nothing_leaks(crowd):
        for point in ADD_POINTS:
            crowd.arm(point)
            stuck.append(PluginCall(crowd.pod(), "ADD"))
            crowd.wait_reached(point, stuck[-1])
        for point in DEL_POINTS:
            pod = crowd.pod().add()
            crowd.arm(point)
            stuck.append(PluginCall(pod, "DEL"))
            crowd.wait_reached(point, stuck[-1])
        assert crowd.status()["host"]["calls_in_flight"] == len(stuck)
        # None of this waits for them: it would wait for ever.
        others = [crowd.pod() for _ in range(32)]
        all_at_once(others, "ADD")
        for pod in others[::8]:
            pod.check()
            pod.ping(crowd.gateway(4), count=1)
        all_at_once(others, "DEL")
        for call in stuck:
            assert call.running(), f"{call.command} of {call.pod.container_id} stands at its point"
        # One for the same pod does, and is next.
        deletion = PluginCall(stuck[0].pod, "DEL")
        wait_until(lambda: crowd.status()["host"]["calls_in_flight"] == len(stuck) + 1, "its DEL is in the line")
        crowd.disarm()
        for call in stuck:
            assert call.result(codes=()), f"{call.command} of {call.pod.container_id} goes on"
        assert deletion.result(codes=())
        assert set(stuck[0].pod.links()) == {"lo"}
        stuck[0].pod.result = None
        for call in stuck[1:len(ADD_POINTS)]:
            call.pod.check()
        crowd.close_pods()
