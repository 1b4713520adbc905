# SPDX-License-Identifier: BSD-3-Clause
"""What a benchmark is, and what it is given.

A benchmark is a module in benchmarks/. Its docstring is the explanation that reports carry: the first line is the title, the
rest says what is compared and how. Besides it has

    GROUP = "control plane"     under which heading it is shown
    PEERS = ["bench"]           purposes of packaging/packages that it needs, if any
    HUGE_PAGES_MB = 512         so much more of 2 MB pages while it runs, if any
    ON_REQUEST = True           is not run unless it is named, if so
    def measure(run): ...       with a Run

measure() is called in namespaces of its own, with a private /run: what it starts and makes there is gone when it ends,
however it ends. An exception is the end of this benchmark, and not of the suite. Whatever was added to its tables by then is kept.
"""

import importlib
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TOOLS = pathlib.Path(os.environ.get("PODPORT_CACHE", "/var/cache/podport")) / "tools"
GROUPS = ["control plane", "data plane", "footprint"]


def build_folder():
    return pathlib.Path(os.environ.get("PODPORT_TEST_BUILD", ROOT / "build" / "release"))


class Table:
    """Rows of what was measured, columns of what was measured so, and each cell's samples."""

    def __init__(self, run, title, unit, columns, ratios=(), kind="rounds", better="higher"):
        """ratios: pairs of columns. kind: see figures.py. better: "higher", "lower" or "" (neither)."""
        assert kind in ("rounds", "calls") and better in ("higher", "lower", "")
        assert all(column in columns for pair in ratios for column in pair)
        self.run = run
        self.data = {"title": title, "unit": unit, "columns": list(columns), "ratios": [list(pair) for pair in ratios],
                     "kind": kind, "better": better, "rows": {}}

    def add(self, row, column, *samples):
        assert column in self.data["columns"], column
        cells = self.data["rows"].setdefault(row, {})
        if samples:
            cells.setdefault(column, []).extend(float(f"{sample:.6g}") for sample in samples)
        self.run.save()

    def samples(self, row, column):
        return self.data["rows"].get(row, {}).get(column, [])


class Run:
    """One benchmark being run: how long, and where results go."""

    def __init__(self, name, result_path, rounds=None, seconds=None, quick=False, progress=None):
        self.name, self.result_path = name, pathlib.Path(result_path)
        self.quick, self._progress = quick, progress
        self._rounds, self._seconds = rounds, seconds
        self.tables, self.curves, self.notes, self.budgets = [], [], [], []
        self.folder = pathlib.Path("/run/bench")  # in memory
        self.folder.mkdir()
        self.disk = self.result_path.with_suffix(".disk")  # what is written here is written; taken away afterwards
        self.disk.mkdir()

    # ---- how much ----

    def rounds(self, usual, quick=2):
        """How many turns: as the caller wants it, or `usual`."""
        return self._rounds or (quick if self.quick else usual)

    def seconds(self, usual, quick=0.3):
        """How long a measurement lasts."""
        return self._seconds or (quick if self.quick else usual)

    def count(self, usual, quick):
        """How many of what is not a round, such as pods. --rounds and --seconds do not change that."""
        return quick if self.quick else usual

    def turns(self, things, rounds):
        """(round, thing), each thing once a round, another one first each time: all meet the same moods of the machine."""
        things = list(things)
        for turn in range(rounds):
            for offset in range(len(things)):
                self.progress(f"round {turn + 1} of {rounds}")
                yield turn, things[(turn + offset) % len(things)]

    # ---- what came out ----

    def table(self, title, unit, columns, **options):
        self.tables.append(Table(self, title, unit, columns, **options))
        return self.tables[-1]

    def curve(self, title, unit, column, points):
        """A distribution that is not kept as samples: points (fraction of all, value)."""
        self.curves.append({"title": title, "unit": unit, "column": column,
                            "points": [[round(fraction, 6), float(f"{value:.6g}")] for fraction, value in points]})
        self.save()

    def note(self, text):
        self.notes.append(text)
        self.save()

    def budget(self, text, value, bound, at_most=True):
        """What the design allows, and what was measured (None: it could not be). Never a failure."""
        if value is None:
            return self.note(f"Could not be measured: {text}.")
        self.budgets.append({"text": text, "value": float(f"{value:.6g}"), "bound": bound, "at_most": at_most})
        return self.save()

    def save(self, **more):
        """So that an interruption loses nothing that was measured."""
        result = {"tables": [table.data for table in self.tables], "curves": self.curves, "notes": self.notes, "budgets": self.budgets,
                  **more}
        partial = self.result_path.with_suffix(".partial")
        partial.write_text(json.dumps(result), encoding="utf-8")
        partial.replace(self.result_path)

    def progress(self, text):
        """For who waits at a terminal."""
        if self._progress:
            print(f"\r\033[K  {self.name}: {text}\r", end="", file=self._progress, flush=True)

    # ---- programs of the suite's own ----

    def compile(self, source, *packages, flags=()):
        """A C program of this folder, by the machine's compiler and, of DPDK, the distribution's package."""
        program = self.folder / pathlib.Path(source).stem
        if program.exists():
            return program
        found = []
        if packages:
            found = subprocess.run(["pkg-config", "--cflags", "--libs", *packages], capture_output=True, text=True, check=True).stdout.split()
        subprocess.run(["cc", "-O3", "-march=native", "-D_GNU_SOURCE", "-o", program, HERE / source, *found, *flags], check=True)
        return program


def load(name):
    sys.path[:0] = [path for path in (str(HERE), str(ROOT / "tests" / "system")) if path not in sys.path]
    return importlib.import_module(f"benchmarks.{name}")


def names():
    return sorted(path.stem for path in (HERE / "benchmarks").glob("[a-z]*.py"))


def describe(name):
    """What reports carry of a benchmark besides its results."""
    module = load(name)
    title, _, explanation = module.__doc__.strip().partition("\n")
    return {"name": name, "title": title.rstrip("."), "explanation": explanation.strip(), "group": module.GROUP,
            "peers": getattr(module, "PEERS", []), "huge_pages_mb": getattr(module, "HUGE_PAGES_MB", 0),
            "on_request": getattr(module, "ON_REQUEST", False)}
