"""Which way to train on rare events is best, on real data?

Every way trains the same network with `fit`, on the same rows, with the same number of steps and
nothing tuned: 1,200 steps, of which the first 120 are the short budget. It goes on where it was
stopped.

    python benchmarks/suite/run.py --seeds 20 21 22 23 24 --out suite.jsonl   # two hours, one core
    python benchmarks/suite/run.py --tails --out tails.jsonl                  # half an hour
    python benchmarks/suite/run.py --quick                                    # three minutes
    python benchmarks/suite/report.py suite.jsonl
"""

from __future__ import annotations

import os

for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import argparse
import json
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from beyond import BEYOND
from boosting import boosted
from measures import rows
from rare import RARE
from rich.progress import Progress
from splits import split
from tail_measures import tail_rows
from tail_ways import TAIL_WAYS
from tails import TAILS
from training import STEPS, task_of, train
from ways import WAYS

QUICK_SETS, QUICK_WAYS = ("caravan", "liver"), ("plain", "initial_bias", "balanced_25")
BOOSTING = "boosting"


def fitted(name: str, seed: int, way: str, network: str, steps: int) -> Iterator[dict[str, Any]]:
    """Yield the measures of one way on one split of one set."""
    is_tail = name not in RARE
    parts = split(name, seed, "tail" if is_tail else "rare")
    task = task_of(parts, seed, steps)
    labels = parts.valid[1], parts.test[1]
    if way == BOOSTING:
        found = boosted(parts, seed)
        yield from ({"way": way, **row} for row in rows(*labels, found, found))
        return
    made = (TAIL_WAYS if is_tail else {**WAYS, **BEYOND})[way](task)
    if made is None:
        return
    for members, raw, served in train(made, task, parts, network):
        if is_tail:
            found = tail_rows(parts.train[1], *labels, raw, served)
            yield from ({"way": way, **row} for row in found)
            continue
        loss = None
        if made.plan is None and made.loss != "plain":
            loss = np.array([_loss(made.loss, labels[0], z) for z in raw.valid])
        label = way if members == 1 else f"{way}, mean of {members}"
        yield from ({"way": label, **row} for row in rows(*labels, raw, served, loss))


def _loss(loss: Any, y: np.ndarray, z: np.ndarray) -> float:
    return float(loss(y[:, None].astype("float32"), z[:, None].astype("float32")))


def run(
    sets: list[str], seeds: list[int], ways: list[str], network: str, steps: int, out: Path
) -> None:
    """Write a line of JSON for each set, seed, way, budget and criterion that is not there yet."""
    before = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    done = {(row["set"], row["seed"], row["way"], row["network"]) for row in before}
    todo = [(s, seed, way) for s in sets for seed in seeds for way in ways]
    with Progress() as progress, out.open("a") as file:
        for name, seed, way in progress.track(todo):
            if (name, seed, way, network) in done:
                continue
            start = time.perf_counter()
            found = list(fitted(name, seed, way, network, steps))
            seconds = round(time.perf_counter() - start, 2)
            head = {"set": name, "seed": seed, "network": network, "seconds": seconds}
            for row in found or [{"way": way}]:
                rounded = {k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()}
                file.write(json.dumps({**head, **rounded}) + "\n")
            file.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="*", help="names in rare.py, or in tails.py")
    parser.add_argument("--ways", nargs="*", help="names in ways.py, beyond.py, or tail_ways.py")
    parser.add_argument("--tails", action="store_true", help="long tails, not rare events")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--network", default="small", choices=["small", "deep", "momentum"])
    parser.add_argument("--out", type=Path, default=Path("suite.jsonl"))
    parser.add_argument("--quick", action="store_true", help="two sets, three ways, one seed")
    given = parser.parse_args()
    warnings.filterwarnings("ignore", message="Found unknown categories")
    keras.utils.disable_interactive_logging()
    given.sets = given.sets or list(TAILS if given.tails else RARE)
    given.ways = given.ways or (list(TAIL_WAYS) if given.tails else [*WAYS, BOOSTING])
    if given.quick:
        given.sets, given.ways, given.seeds = list(QUICK_SETS), list(QUICK_WAYS), [0]
    run(given.sets, given.seeds, given.ways, given.network, STEPS, given.out)
