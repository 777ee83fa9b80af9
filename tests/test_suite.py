"""The suite of real rare events, `benchmarks/suite`, on a set that is installed."""

import json
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

WAYS = ["plain", "balanced_25_offset", "keras_class_weight", "boosting"]


@pytest.fixture(scope="module")
def suite():
    folder = str(Path(__file__).parent.parent / "benchmarks" / "suite")
    before = set(sys.modules)
    sys.path.insert(0, folder)
    import report
    import run

    yield run, report
    sys.path.remove(folder)
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and folder in sys.modules[name].__file__:
            del sys.modules[name]


@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_ways_are_trained_measured_and_reported(suite, tmp_path):
    run, report = suite
    out = tmp_path / "suite.jsonl"
    run.run(["liver"], [0], WAYS, "small", 120, out)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    by_way = {(row["way"], row["budget"], row["criterion"]): row for row in rows}
    assert {way for way, *_ in by_way} == {*WAYS, "plain, mean of 2"}
    served = by_way["balanced_25_offset", "short", "own"]
    assert served["ne"] == served["ne_raw"] < 1  # Better than the base rate, with no correction.
    assert by_way["keras_class_weight", "short", "own"]["ne_raw"] > 1.3  # Nothing undoes weights.
    assert all(row["ap"] > 0.15 for row in rows)  # By chance: .08.
    run.run(["liver"], [0], WAYS, "small", 120, out)
    assert len(out.read_text().splitlines()) == len(rows)  # It goes on where it was.
    table = report.read(out)
    found = report.view(table, "short AP").loc[("liver", 0), "plain"]
    assert found == round(by_way["plain", "short", "ap"]["ap"], 4)
    tables = report.markdown(table, report.VIEWS)
    assert all(way.replace("_", " ") in tables for way, *_ in by_way)
    table.to_csv(tmp_path / "results.csv", index=False)  # What is committed says the same.
    assert report.markdown(report.read(tmp_path / "results.csv"), report.VIEWS) == tables
