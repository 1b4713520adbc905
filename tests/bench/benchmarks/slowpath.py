# SPDX-License-Identifier: BSD-3-Clause
"""What one core of the slow path forwards between two vhost-user ports.

Against DPDK's testpmd (io, macswap) and Open vSwitch with DPDK that does the same rewrite, all on the same kind of ports, with the
same generator on a CPU of its own, by turns. Plain; with masquerade (podport: to a published port, so that both addresses and both
ports are translated and the connection is tracked; Open vSwitch: ct(nat) of source address and port, which is less); and with metering
(a limit that is never reached). Frames of 64 bytes, and IMIX (of 12 frames 7 of 64, 4 of 594, one of 1518). testpmd io does not look at
the packet, macswap at its first 12 bytes: neither routes, checks, counts by pod or rewrites the TTL."""

import contextlib
import time

from figures import of_medians
import forwarders
from forwarders import TITLES, Generator, OpenVswitch, Podport, TestpmdIo, TestpmdMacswap

GROUP = "data plane"
PEERS = ["peers"]
HUGE_PAGES_MB = forwarders.HUGE_PAGES_MB
SIZES = {"64 B": "64", "IMIX": "imix"}
FLOWS = (1, 1000, 100000)
MACSWAP_BUDGET, OVS_BUDGET = 0.7, 2
WARM_UP_S = 0.2  # Open vSwitch makes up its mind about the first packet


def measure(run):
    generator, tables, kinds = Generator(run), {}, []
    for feature, title in TITLES.items():
        of = (Podport, TestpmdIo, TestpmdMacswap, OpenVswitch) if feature == "plain" else (Podport, OpenVswitch)
        names = [kind.name for kind in of]
        peers = [name for name in names if name in (TestpmdMacswap.name, OpenVswitch.name)]
        tables[feature] = run.table(f"Slow path, one core, {title}", "millions of packets a second received", names,
                                    ratios=[(Podport.name, peer) for peer in peers])
        kinds += [(kind, feature) for kind in of]
    for _, (kind, feature) in run.turns(kinds, run.rounds(3, quick=1)):
        with contextlib.closing(kind(run.folder, feature)) as running:
            generator(running, WARM_UP_S)
            for title, size in SIZES.items():
                for flows in FLOWS:
                    time.sleep(0.2)
                    counted = generator(running, run.seconds(1), flows=flows, size=size)
                    tables[feature].add(f"{title}, {flows:,} flow{'s' if flows > 1 else ''}", kind.name, counted["received_per_s"] / 1e6)
            if kind is Podport:
                refused = running.simulation.ask("nat")["masquerade"]
                assert refused["refused_full"] == refused["refused_ports"] == 0, f"flows were refused, so their packets did not count: {refused}"
    ours, macswap, ovs = (tables["plain"].samples("64 B, 1 flow", kind.name) for kind in (Podport, TestpmdMacswap, OpenVswitch))
    run.budget("Slow path, one core, 64 B, of testpmd macswap", of_medians(ours, macswap), MACSWAP_BUDGET, at_most=False)
    run.budget("Slow path, one core, 64 B, of Open vSwitch with DPDK", of_medians(ours, ovs), OVS_BUDGET, at_most=False)
