# SPDX-License-Identifier: BSD-3-Clause
"""Plots as SVG inside a page: bars with their spread, and distributions. Colours are the page's (page.py), by column."""

import html
import math

from figures import figures, number, quantile, shown

BAR, GAP, LABEL, WIDTH, VALUE = 15, 10, 190, 860, 190
FAR_APART = 60  # rows whose values are further apart than this have a scale each
POINTS = 120


def escape(value):
    return html.escape(str(value), quote=True)


def _text(x, y, value, anchor="start", style=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{style}">{escape(value)}</text>'


def _line(x1, y1, x2, y2, style):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>'


def _svg(width, height, parts, title):
    return (f'<svg viewBox="0 0 {width} {height:.0f}" width="{width}" role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>'
            + "".join(parts) + "</svg>")


def legend(columns):
    return '<p class="legend">' + " ".join(f'<span><i class="c{number_}"></i>{escape(column)}</span>' for number_, column in enumerate(columns)) + "</p>"


def bars(table):
    """For each row a bar per column, as long as its median, with a whisker over its spread and, of calls, a mark at p99."""
    cells = {row: [dict(figures(values.get(column, []), table["kind"])) for column in table["columns"]] for row, values in table["rows"].items()}
    ends = {row: max((figure.high for cell in of for name, figure in cell.items() if name != "p99"), default=0) for row, of in cells.items()}
    known = [end for end in ends.values() if end > 0]
    if not known:
        return ""
    shared = max(known) <= FAR_APART * min(known)
    space, parts, y = WIDTH - LABEL - VALUE, [], 4
    for row, of in cells.items():
        end = max(known) if shared else ends[row] or 1
        parts.append(_text(LABEL - 8, y + BAR - 3, row, "end", "row"))
        for column, cell in enumerate(of):
            main = cell.get("", cell.get("p50"))
            if main:
                scale = space / end
                parts.append(f'<rect x="{LABEL}" y="{y}" width="{max(0.5, main.value * scale):.1f}" height="{BAR - 3}" class="c{column}"/>')
                middle = y + (BAR - 3) / 2
                parts.append(_line(LABEL + main.low * scale, middle, LABEL + main.high * scale, middle, "whisker"))
                parts += [_line(LABEL + at * scale, middle - 3, LABEL + at * scale, middle + 3, "whisker") for at in (main.low, main.high)]
                tail = cell.get("p99")
                end_x = LABEL + scale * max(main.high, tail.value if tail and tail.value * scale <= space else 0)
                said = shown(main) + (f", p99 {number(tail.value)}" if tail else "")
                parts.append(_text(end_x + 6, y + BAR - 4, said, "start", "value"))
                if tail and tail.value * scale <= space:
                    parts.append(_line(LABEL + tail.value * scale, y, LABEL + tail.value * scale, y + BAR - 3, "tail"))
                y += BAR
        y += GAP
    remark = "" if shared else '<p class="remark">Each row has a scale of its own.</p>'
    return _svg(WIDTH, y, parts, f"{table['title']}, {table['unit']}") + remark


# ---- distributions --------------------------------------------------------------------------------------


def points_of(samples):
    """(fraction, value) of a distribution, closer together towards its end."""
    ordered = sorted(samples)
    most = math.log10(len(ordered)) if len(ordered) > 1 else 0
    for step in range(POINTS + 1):
        fraction = 1 - 10 ** (-most * step / POINTS)
        yield fraction, quantile(ordered, fraction)


def distribution(title, unit, curves):
    """Value by percentile; curves: {column number: [(fraction, value)]}. The percentiles' axis gives each further nine as much room."""
    width, height, left, bottom, top = 420, 220, 52, 26, 22
    nines = lambda fraction: -math.log10(max(1e-7, 1 - fraction))
    points = [point for curve in curves.values() for point in curve]
    positive = [value for _, value in points if value > 0]
    most = max((nines(fraction) for fraction, _ in points if fraction < 1), default=0)
    if not positive or most == 0:
        return ""
    low, high = math.log10(min(positive)), math.log10(max(positive))
    low, high = (low - 0.1, high + 0.1) if high - low < 0.2 else (low, high)
    x = lambda fraction: left + min(nines(fraction), most) / most * (width - left - 10)
    y = lambda value: height - bottom - (math.log10(max(value, 10 ** low)) - low) / (high - low) * (height - bottom - top)
    parts = [_text(left, 13, f"{title}, {unit}", "start", "row")]
    for fraction, name in ((0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")):
        if nines(fraction) <= most * 1.001:
            parts += [_line(x(fraction), top, x(fraction), height - bottom, "grid"), _text(x(fraction), height - 10, name, "middle", "axis")]
    for step in range(5):
        value = 10 ** (low + (high - low) * step / 4)
        parts += [_line(left, y(value), width - 10, y(value), "grid"), _text(left - 5, y(value) + 4, number(value), "end", "axis")]
    for column, curve in curves.items():
        path = " ".join(f"{x(fraction):.1f},{y(value):.1f}" for fraction, value in curve)
        parts.append(f'<polyline points="{path}" class="l{column}"/>')
    return _svg(width, height, parts, f"{title}: distribution")
