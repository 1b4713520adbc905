# SPDX-License-Identifier: BSD-3-Clause
"""Results as one HTML page that needs nothing besides itself."""

import plots
import suite
import tables
from figures import number
from machine import sentence
from plots import escape

COLOURS = ["#0b6bcb", "#d9822b", "#7a4bb8", "#3d9a50", "#c2384f", "#6b7a86"]
STYLE = """
:root { color-scheme: light dark; --ink: #1c2530; --paper: #fff; --soft: #5c6b7a; --line: #d8dee5; --warn: #a33; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ee; --paper: #14191f; --soft: #9aa8b5; --line: #333d47; --warn: #f88; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1000px; margin: 2em auto; padding: 0 1em; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 2em; border-bottom: 1px solid var(--line); } h3 { margin-top: 2em; }
table { border-collapse: collapse; font-size: 13px; } td, th { padding: 2px 10px; text-align: right; border-bottom: 1px solid var(--line); }
td:first-child, th:first-child { text-align: left; } th { font-weight: 600; } .wide { overflow-x: auto; }
.warn { color: var(--warn); } .remark, .explanation, footer { color: var(--soft); } .explanation { white-space: pre-line; max-width: 48em; }
svg { max-width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: var(--ink); } svg .value, svg .axis { fill: var(--soft); font-size: 11px; }
.whisker { stroke: var(--ink); } .tail { stroke: var(--ink); stroke-dasharray: 2 1; } .grid { stroke: var(--line); }
.legend span { margin-right: 1.2em; } .legend i { display: inline-block; width: 11px; height: 11px; margin-right: 5px; }
polyline { fill: none; stroke-width: 1.6; } summary { cursor: pointer; color: var(--soft); } .plots { display: flex; flex-wrap: wrap; gap: 8px; }
""" + "".join(f".c{n} {{ fill: {colour}; background: {colour}; }} .l{n} {{ stroke: {colour}; }}\n" for n, colour in enumerate(COLOURS))


def _table(header, rows):
    cells = lambda line, tag: "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in line) + "</tr>"
    return '<div class="wide"><table>' + cells(header, "th") + "".join(cells(row, "td") for row in rows) + "</table></div>"


def _budgets(document):
    entries = [(result["name"], entry) for result in document["benchmarks"] for entry in result["budgets"]]
    if not entries:
        return ""
    rows = [(entry["text"], f"{'≤' if entry['at_most'] else '≥'} {number(entry['bound'])}", number(entry["value"]),
             "met" if tables.met(entry) else "not met", name) for name, entry in entries]
    return "<h2>What the design wants</h2>" + _table(("", "bound", "measured", "", "benchmark"), rows)


def _measured(table):
    parts = [f"<h4>{escape(tables.caption(table))}</h4>", plots.legend(table["columns"]), plots.bars(table)]
    if table["kind"] == "calls":
        plotted = [plots.distribution(row, table["unit"], {table["columns"].index(column): list(plots.points_of(samples))
                                                         for column, samples in cells.items() if len(samples) > 1})
                 for row, cells in table["rows"].items()]
        parts.append('<div class="plots">' + "".join(plotted) + "</div>")
    parts.append(f"<details><summary>figures; {escape(tables.counted(table))}: {escape(tables.SPREAD[table['kind']])}</summary>"
                 + _table(*tables.lines(table)) + "</details>")
    return "".join(parts)


def _curves(curves):
    """Curves of one title are one plot."""
    plotted = []
    for title in dict.fromkeys(curve["title"] for curve in curves):
        of = [curve for curve in curves if curve["title"] == title]
        columns = list(dict.fromkeys(curve["column"] for curve in of))
        shown = plots.distribution(title, of[0]["unit"], {columns.index(curve["column"]): curve["points"] for curve in of})
        plotted.append(f"<div>{plots.legend(columns)}{shown}</div>")
    return '<div class="plots">' + "".join(plotted) + "</div>"


def _benchmark(result):
    parts = [f'<h3 id="{escape(result["name"])}">{escape(result["title"])}</h3>', f'<p class="explanation">{escape(result["explanation"])}</p>']
    if tables.noise(result):
        parts.append(f'<p class="warn">Too noisy to say: {escape("; ".join(tables.noise(result)))}.</p>')
    if result["status"] != "ok":
        parts.append(f'<p class="warn">{escape(result["status"])}: {escape(result.get("error", ""))}</p>')
    parts += [_measured(table) for table in tables.measured(result)]
    parts.append(_curves(result["curves"]))
    parts += [f"<p>{escape(note)}</p>" for note in result["notes"]]
    parts += [f"<p>{escape(tables.budget(entry))}</p>" for entry in result["budgets"]]
    parts.append(f'<p class="remark">Again: <code>tests/bench/run {escape(result["name"])}</code>; it took {result["took_s"]:.0f} s.</p>')
    return "".join(parts)


def render(document):
    options = document["options"]
    parts = ['<!doctype html><html lang="en"><head><meta charset="utf-8"><title>podport: benchmarks</title>',
             '<meta name="viewport" content="width=device-width, initial-scale=1">', f"<style>{STYLE}</style></head><body>",
             "<h1>podport: benchmarks</h1>",
             f"<p>{escape(document['begun'])}, commit <code>{escape(document['commit'])}</code>, on {escape(sentence(document['machine']))}; with "
             + escape(", ".join(f"{name} {version}" for name, version in document["versions"].items()))
             + ". Each figure is measured with its peers by turns in the same run. docs/benchmarks.md says how each can mislead.</p>"]
    if options["quick"]:
        parts.append('<p class="warn">With --quick: these figures are worth nothing.</p>')
    parts.append(_budgets(document))
    for group in suite.GROUPS:
        of = [result for result in document["benchmarks"] if result["group"] == group]
        if of:
            parts.append(f"<h2>{escape(group.capitalize())}</h2>" + "".join(_benchmark(result) for result in of))
    parts.append("<footer><p>Made by tests/bench/run. results.json beside it has every sample.</p></footer></body></html>\n")
    return "".join(parts)
