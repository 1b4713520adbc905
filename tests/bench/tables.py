# SPDX-License-Identifier: BSD-3-Clause
"""Results as tables for a terminal, and as Markdown for docs/benchmarks.md."""

import textwrap

import machine
from figures import figures, number, ratio, shown

SPREAD = {"rounds": "median of the rounds (lowest – highest)",
          "calls": "p50 of all calls (quartiles); p99 (its 95 % confidence interval)"}
BETTER = {"higher": ", more is better", "lower": ", less is better", "": ""}


def caption(table):
    return f"{table['title']}, {table['unit']}{BETTER[table['better']]}"


def counted(table):
    """How many samples a cell has: "3 rounds", "40 to 160 calls"."""
    counts = {len(samples) for cells in table["rows"].values() for samples in cells.values() if samples}
    if not counts:
        return "nothing measured"
    kind = table["kind"]
    if counts == {1}:
        return f"1 {kind[:-1]}"
    return f"{min(counts)} {kind}" if len(counts) == 1 else f"{min(counts)} to {max(counts)} {kind}"


def lines(table):
    """The header, and the lines of cells."""
    header = ["", *table["columns"], *(f"{ours} / {theirs}" for ours, theirs in table["ratios"])]
    rows = []
    for row, cells in table["rows"].items():
        known = {column: dict(figures(cells.get(column, []), table["kind"])) for column in table["columns"]}
        for name in ("",) if table["kind"] == "rounds" else ("p50", "p99"):
            line = [f"{row} {name}".strip()]
            line += [shown(known[column].get(name)) for column in table["columns"]]
            line += [shown(ratio(cells.get(ours), cells.get(theirs), table["kind"], name)) for ours, theirs in table["ratios"]]
            rows.append(line)
    return header, rows


def _aligned(table):
    header, rows = lines(table)
    widths = [max(len(line[column]) for line in (header, *rows)) for column in range(len(header))]
    for line in (header, *rows):
        yield "    " + "  ".join(cell.ljust(width) if column == 0 else cell.rjust(width)
                                 for column, (cell, width) in enumerate(zip(line, widths))).rstrip()


def measured(result):
    """Tables that have something in them: a benchmark that failed may not have come so far."""
    return [table for table in result["tables"] if table["rows"]]


def budget(entry):
    sign = "≤" if entry["at_most"] else "≥"
    return f"{entry['text']}: {number(entry['value'])}, wanted {sign} {number(entry['bound'])}, {'met' if met(entry) else 'NOT met'}"


def met(entry):
    return entry["value"] <= entry["bound"] if entry["at_most"] else entry["value"] >= entry["bound"]


def noise(result):
    """What speaks against the figures of a benchmark."""
    return machine.problems(result["before"], result["after"], {"steal_percent": result.get("meanwhile", {}).get("steal_percent", 0)})


def benchmark(result):
    parts = []
    for table in measured(result):
        parts += [f"\n  {caption(table)}; {counted(table)}", *_aligned(table)]
    parts += [*(f"  {note}" for note in result["notes"]), *(f"  {budget(entry)}" for entry in result["budgets"])]
    if noise(result):
        parts.append(f"  too noisy to say: {'; '.join(noise(result))}")
    if result["status"] != "ok":
        parts.append(textwrap.indent(f"{result['status'].upper()}: {result.get('error', '')}", "  "))
    parts.append(f"  in {result['took_s']:.0f} s")
    return "\n".join(parts)


def summary(document):
    parts = []
    for result in document["benchmarks"]:
        parts.append(f"  {result['name']:12} {result['status']:12} {result['took_s']:6.0f} s"
                     + ("   too noisy to say" if noise(result) else ""))
        parts += [f"               {budget(entry)}" for entry in result["budgets"]]
    return "\n".join(parts)


# ---- Markdown -------------------------------------------------------------------------------------------


def _cell(value):
    return value.replace("|", "\\|")


def markdown(document):
    """The part of docs/benchmarks.md that has results."""
    options = document["options"]
    parts = [f"Measured {document['begun'][:16].replace('T', ' ')} UTC at commit `{document['commit']}` on {machine.sentence(document['machine'])}, with "
             + ", ".join(f"{name} {version}" for name, version in document["versions"].items()) + ".",
             f"Spread: of rounds, {SPREAD['rounds']}; of calls, {SPREAD['calls']}."]
    if options["quick"]:
        parts.append("**With `--quick`: these figures are worth nothing.**")
    entries = [(entry, result) for result in document["benchmarks"] for entry in result["budgets"]]
    if entries:
        parts.append("| what the design wants | bound | measured | |\n|---|---|---|---|\n" + "\n".join(
            f"| {_cell(entry['text'])} | {'≤' if entry['at_most'] else '≥'} {number(entry['bound'])} | {number(entry['value'])} | "
            f"{'met' if met(entry) else '**not met**'} |" for entry, _ in entries))
    for result in document["benchmarks"]:
        parts.append(f"### `{result['name']}`: {result['title']}")
        if noise(result):
            parts.append("Noisy while this was measured: " + "; ".join(noise(result)) + ".")
        if result["status"] != "ok":
            parts.append(f"**{result['status']}**: {result.get('error', '').splitlines()[0] if result.get('error') else ''}")
        for table in measured(result):
            header, rows = lines(table)
            parts.append(f"{caption(table)}; {counted(table)}")
            parts.append("\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |"
                                   for line in (header, ["---", *["---:"] * (len(header) - 1)], *rows)))
        if result["notes"]:
            parts.append("\n".join(f"* {note}" for note in result["notes"]))
    return "\n\n".join(parts)
