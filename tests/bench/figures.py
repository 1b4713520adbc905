# SPDX-License-Identifier: BSD-3-Clause
"""From samples to figures. No figure without its spread:

    rounds    a sample is the figure of one round: the median, and from the lowest to the highest
    calls     a sample is one call: the median with its quartiles, and the 99th percentile with its 95 % confidence interval

Confidence intervals are those of order statistics, which suppose nothing about the distribution.
"""

import collections
import math

# How it is shown and in what range it lies.
Figure = collections.namedtuple("Figure", "value low high")

Z_95 = 1.96


def quantile(ordered, fraction):
    """Of sorted values, between two neighbours by how near they are."""
    position = fraction * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def median(values):
    return quantile(sorted(values), 0.5)


def of_medians(samples, peer):
    """Their ratio; None if there is none."""
    return median(samples) / median(peer) if samples and peer and median(peer) else None


def interval(ordered, fraction):
    """Where a quantile of the population is, with 95 % confidence, as far as the sample can tell."""
    count = len(ordered)
    spread = Z_95 * math.sqrt(count * fraction * (1 - fraction))
    low = math.floor(count * fraction - spread) - 1
    high = math.ceil(count * fraction + spread)
    return ordered[max(0, low)], ordered[min(count - 1, high)]


def figures(samples, kind):
    """[(name, Figure)] of a cell of a table; none of one that was not measured."""
    if not samples:
        return []
    ordered = sorted(samples)
    if kind == "rounds":
        return [("", Figure(quantile(ordered, 0.5), ordered[0], ordered[-1]))]
    return [("p50", Figure(quantile(ordered, 0.5), quantile(ordered, 0.25), quantile(ordered, 0.75))),
            ("p99", Figure(quantile(ordered, 0.99), *interval(ordered, 0.99)))]


def ratio(samples, peer, kind, name):
    """A Figure, or None. Of rounds each turn's own ratio counts; of calls the interval is what those of both sides allow."""
    if not samples or not peer:
        return None
    if kind == "rounds" and len(samples) == len(peer):
        turns = sorted(a / b for a, b in zip(samples, peer) if b)
        if not turns:
            return None
        return Figure(quantile(turns, 0.5), turns[0], turns[-1])
    fraction = 0.99 if name == "p99" else 0.5
    ours, theirs = sorted(samples), sorted(peer)
    (low, high), (peer_low, peer_high) = interval(ours, fraction), interval(theirs, fraction)
    if not peer_low or not peer_high:
        return None
    return Figure(quantile(ours, fraction) / quantile(theirs, fraction), low / peer_high, high / peer_low)


def number(value):
    """Three significant digits, and whole numbers whole."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def shown(figure):
    if figure is None:
        return "-"
    if figure.low == figure.value == figure.high:
        return number(figure.value)
    return f"{number(figure.value)} ({number(figure.low)} – {number(figure.high)})"
