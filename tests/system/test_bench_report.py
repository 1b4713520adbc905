# SPDX-License-Identifier: BSD-3-Clause
"""What tests/bench makes of samples. The benchmarks themselves are no tests."""

import html.parser
import json
import random
import subprocess
import sys

import pytest

from simulation import ROOT

sys.path.append(str(ROOT / "tests" / "bench"))

import figures  # pylint: disable=wrong-import-position,import-error
import machine  # pylint: disable=wrong-import-position,import-error
import page  # pylint: disable=wrong-import-position,import-error
import tables  # pylint: disable=wrong-import-position,import-error

QUIET = {"others_percent": 0, "steal_percent": 0, "loop_spread_percent": 0}


def document(**changes):
    result = {"name": "some", "title": "Some <thing>", "explanation": "How.", "group": "data plane", "status": "ok", "took_s": 1, "before": QUIET,
              "after": QUIET, "notes": [], "curves": [], "budgets": [{"text": "of a peer", "value": 0.6, "bound": 0.7, "at_most": False}],
              "tables": [{"title": "Speed", "unit": "Mpps", "columns": ["ours", "peer"], "ratios": [["ours", "peer"]], "kind": "rounds",
                          "better": "higher", "rows": {"64 B": {"ours": [3, 1, 2], "peer": [6, 1, 2]}, "IMIX": {"ours": [1]}}},
                         {"title": "Wait", "unit": "ms", "columns": ["ours", "peer"], "ratios": [["ours", "peer"]], "kind": "calls",
                          "better": "lower", "rows": {"ADD": {"ours": list(range(1, 101)), "peer": [2] * 40}}}], **changes}
    return {"begun": "2026-01-01T00:00:00+00:00", "commit": "abc", "options": {"quick": False}, "versions": {"iperf3": "3"},
            "machine": {"cpus": 2, "cpu": "X", "memory_mb": 4096, "kernel": "6", "system": "Debian", "virtual": "no virtual machine"},
            "benchmarks": [result]}


def test_of_rounds_the_median_and_the_range_are_shown_and_each_turn_has_its_own_ratio():
    (_, figure), = figures.figures([3, 1, 2], "rounds")
    assert figure == (2, 1, 3)
    # The slow turn was slow for both: it does not count against either.
    assert figures.ratio([3, 1, 2], [6, 2, 4], "rounds", "") == (0.5, 0.5, 0.5)
    assert figures.ratio([3], [0], "rounds", "") is None and figures.ratio([], [1], "rounds", "") is None


@pytest.mark.parametrize("fraction", [0.5, 0.9])
def test_the_confidence_interval_has_the_true_quantile_in_it_about_as_often_as_it_says(fraction):
    source, hits, tries = random.Random(1), 0, 1000
    for _ in range(tries):
        low, high = figures.interval(sorted(source.random() for _ in range(200)), fraction)
        hits += low <= fraction <= high
    assert 0.93 * tries <= hits <= 0.995 * tries


def test_a_machine_that_is_busy_is_told_by_the_worst_that_was_seen():
    assert machine.problems(QUIET, QUIET) == []
    said = machine.problems(QUIET, {**QUIET, "others_percent": 40}, {"steal_percent": 3})
    assert len(said) == 2 and "40 %" in said[1] and "3.0 %" in said[0]


def test_what_was_missed_and_what_failed_is_in_every_report():
    made = document(status="failed", error="no such peer", after={**QUIET, "others_percent": 40})
    for text in (tables.markdown(made), page.render(made), tables.summary(made) + tables.benchmark(made["benchmarks"][0])):
        assert "no such peer" in text and "failed" in text.lower() and "not met" in text.lower()
        assert "others use 40 %" in text
    assert "2.00 (1.00 – 3.00)" in tables.markdown(made) and "1.00 (0.500 – 1.00)" in tables.markdown(made)


def test_the_page_needs_nothing_besides_itself():
    seen = []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs):
            seen.append(tag)
            assert tag not in ("script", "link", "img", "iframe") and not {"src", "href"} & {key for key, _ in attrs}

    text = page.render(document())
    Reader().feed(text)
    assert "<thing>" not in text and "http" not in text and "@import" not in text and "url(" not in text
    assert seen.count("svg") >= 3 and seen.count("polyline") >= 1  # bars of two tables, a distribution


def test_a_result_file_becomes_markdown_and_a_page_without_measuring_again(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(document()))
    for option, word in (("--markdown", "| 64 B |"), ("--html", "<svg")):
        done = subprocess.run([ROOT / "tests/bench/run", option, tmp_path / "results.json"], capture_output=True, text=True, check=True)
        assert word in done.stdout
