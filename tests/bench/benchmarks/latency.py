# SPDX-License-Identifier: BSD-3-Clause
"""How long a packet is under way, under load: p50, p99 and p99.9 between two vhost-user ports.

64-byte frames of 1,000 flows at an even rate, the same for podport, testpmd macswap and Open vSwitch: 10 % and 50 % of the least that
any of them forwards, measured first in the same run. Each frame carries the time at which it was given to the ring; the generator, on a CPU
of its own, reads it when the frame comes back to it, so its own turn (some µs) is in all of them. An idle podport worker sleeps and is woken, testpmd never
sleeps: at 10 % that may be seen. A virtual CPU that is taken away for a moment is the tail of all of them."""

import contextlib

import forwarders
from forwarders import Generator, OpenVswitch, Podport, TestpmdMacswap

GROUP = "data plane"
PEERS = ["peers"]
HUGE_PAGES_MB = forwarders.HUGE_PAGES_MB
KINDS = (Podport, TestpmdMacswap, OpenVswitch)
LOADS = (0.1, 0.5)
FRACTIONS = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
FLOWS = 1000


def least(run, generator):
    """Packets a second that all of them forward."""
    rates = []
    for kind in KINDS:
        with contextlib.closing(kind(run.folder)) as running:
            generator(running, 0.2, flows=FLOWS)
            rates.append(generator(running, run.seconds(1), flows=FLOWS)["received_per_s"])
    return min(rates)


def at(points, fraction):
    """The value at a fraction, by the nearest point that is not below it."""
    return next((value for where, value in points if where >= fraction - 1e-9), points[-1][1])


def measure(run):
    generator, names, curves = Generator(run), [kind.name for kind in KINDS], {}
    ratios = [(Podport.name, TestpmdMacswap.name), (Podport.name, OpenVswitch.name)]
    most = least(run, generator)
    tables = {load: run.table(f"Under way at {load:.0%} of {most / 1e6:.2f} million packets a second", "µs", names, ratios=ratios, better="lower")
              for load in LOADS}
    lost = run.table("Lost at that", "% of those sent", names, better="lower")
    for _, kind in run.turns(KINDS, run.rounds(3, quick=1)):
        with contextlib.closing(kind(run.folder)) as running:
            generator(running, 0.2, flows=FLOWS)
            for load, table in tables.items():
                told = generator(running, run.seconds(1), flows=FLOWS, rate=int(load * most))
                points = told["latency"]
                if not points:
                    raise RuntimeError(f"{kind.name}: no packet arrived")
                for name, fraction in FRACTIONS.items():
                    table.add(name, kind.name, at(points, fraction))
                lost.add(f"{load:.0%}", kind.name, 100 * max(0, 1 - told["received"] / max(1, told["sent"])))
                curves[load, kind.name] = points
    for (load, name), points in curves.items():
        run.curve(f"Under way at {load:.0%}, the last round", "µs", name, points)
