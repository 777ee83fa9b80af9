"""How the cost of a balanced batch grows with rows, with classes, and with imbalance.

Ratios of medians of interleaved runs in one process; rows of 16 float32, read in a graph. The cost
of a batch is told relative to one line of each table, the reference:

- rows: a memory map whose pages are all in memory, 1% positives, batches of 1,024; relative to 1e6
  rows. Beside it the same rows by ``np.take`` into a buffer that is kept: what the memory allows,
  and how it grows by itself, since caches hold less and less of the data;
- classes: 1e7 rows, relative to 2 classes, in batches of 102,400 with every class in each, and in
  batches of 1,024 in which the classes take turns (``small_batches=True``);
- imbalance: 1e7 rows of 2 classes, batches of 1,024; relative to 10 rows for one.

Memory is that of a fresh process, at the peak and when the dataset is ready, beyond data of which
no page is in memory.

    python benchmarks/growth.py              # four minutes; 6.4 GB of disk, 12 of memory
    python benchmarks/growth.py --quick      # rows to 1e7, one minute
    python benchmarks/growth.py --directory /mnt/scratch
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from _measure import medians, peak_megabytes
from rich.console import Console
from rich.progress import track
from rich.table import Table

import tfimbalance as tfi

tf.get_logger().setLevel("ERROR")  # Every dataset is consumed by a function of its own.

WIDTH = 16
POSITIVES = 0.01
CHUNK = 2**20
MANY_ROWS = 10_000_000


def in_graph(dataset: tf.data.Dataset) -> Callable[[], object]:
    @tf.function(autograph=False)
    def consume(dataset: tf.data.Dataset) -> tf.Tensor:
        return dataset.reduce(tf.constant(0.0), lambda total, batch: total + batch[0][0, 0])

    return lambda: consume(dataset).numpy()


def write(path: Path, rows: int, console: Console) -> np.memmap:
    """Write rows by chunks; each is read again, so that its pages are in memory."""
    file = np.memmap(path, np.float32, "w+", shape=(rows, WIDTH))
    rng = np.random.default_rng(0)
    for start in track(range(0, rows, CHUNK), f"{file.nbytes / 1e9:.1f} GB", console=console):
        part = file[start : start + CHUNK]
        part[:] = rng.random(part.shape, dtype=np.float32)
    file.flush()
    return np.memmap(path, np.float32, "r", shape=(rows, WIDTH))


def touch(array: np.ndarray) -> None:
    for start in range(0, len(array), CHUNK):
        array[start : start + CHUNK].max()


def two_classes(rows: int, positives: int) -> np.ndarray:
    y = np.zeros(rows, np.int32)
    y[np.random.default_rng(0).choice(rows, positives, replace=False)] = 1
    return y


def many_classes(rows: int, classes: int) -> np.ndarray:
    """As many rows of each, in no order."""
    y = np.arange(rows, dtype=np.int32) % classes
    np.random.default_rng(0).shuffle(y)
    return y


def make(x: Any, y: np.ndarray, batch_size: int, steps: int, **arguments: Any) -> tuple:
    """Return a dataset, and the seconds until it is there and until its first batch."""
    start = time.perf_counter()
    dataset = tfi.data.balanced_batches(
        x, y, batch_size=batch_size, steps_per_epoch=steps, **arguments
    )
    built = time.perf_counter() - start
    next(iter(dataset))
    return dataset, built, time.perf_counter() - start


def taken(x: np.ndarray, y: np.ndarray, batch_size: int, steps: int) -> Callable[[], object]:
    """What memory allows: rows of both classes alike, at random places."""
    rng = np.random.default_rng(0)
    positive = np.flatnonzero(y)
    halves = (steps, batch_size // 2)
    anywhere, rare = rng.integers(0, len(y), halves), rng.choice(positive, halves)
    rows = np.concatenate([anywhere, rare], axis=1)
    buffer = np.empty((batch_size, *x.shape[1:]), x.dtype)
    return lambda: [np.take(x, each, axis=0, out=buffer, mode="clip") for each in rows]


def table_of(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def rows(console: Console, directory: Path, quick: bool, rounds: int) -> None:
    sizes = [10**5, 10**6, 10**7] + ([] if quick else [10**8])
    batch_size, steps = 1024, 1500
    path = directory / "growth.npy"
    try:
        whole = write(path, sizes[-1], console)
        touch(whole)
        labels = [two_classes(size, int(size * POSITIVES)) for size in sizes]
        made, candidates = {}, {}
        for size, y in zip(sizes, labels, strict=True):
            made[size] = make(whole[:size], y, batch_size, steps)
            candidates[f"ours {size}"] = in_graph(made[size][0])
            candidates[f"take {size}"] = taken(whole[:size], y, batch_size, steps)
        seconds = medians(candidates, rounds)
        memory_of = [memory(size, 2, batch_size, False) for size in sizes]
    finally:
        path.unlink(missing_ok=True)
    table = table_of(
        "Rows (memory map in the page cache, 1% positives, batch 1,024)",
        "rows", "us a batch", "x 1e6 rows", "np.take, us", "np.take, x 1e6 rows",
        "made, s", "first batch, s", "bytes a row, peak", "bytes a row, kept",
    )  # fmt: skip
    for size, (peak, kept) in zip(sizes, memory_of, strict=True):
        ours, take = seconds[f"ours {size}"] / steps, seconds[f"take {size}"] / steps
        table.add_row(
            f"{size:,}",
            f"{ours * 1e6:.0f}",
            f"{ours * steps / seconds['ours 1000000']:.2f}",
            f"{take * 1e6:.0f}",
            f"{take * steps / seconds['take 1000000']:.2f}",
            f"{made[size][1]:.2f}",
            f"{made[size][2]:.2f}",
            f"{peak / size:.1f}",
            f"{kept / size:.1f}",
        )
    console.print(table)


def classes(
    console: Console, x: np.ndarray, quick: bool, rounds: int, batch_size: int, every: bool
) -> None:
    numbers = (2, 100, 10_000, 100_000) if quick else (2, 100, 1_000, 10_000, 100_000)
    steps = max(20, (4_000_000 if quick else 8_000_000) // batch_size)
    made = {
        k: make(x, many_classes(len(x), k), batch_size, steps, small_batches=not every)
        for k in numbers
    }
    seconds = medians({k: in_graph(made[k][0]) for k in numbers}, rounds)
    how = "every class in each" if every else "classes take turns"
    table = table_of(
        f"Classes ({len(x):,} rows, batch {batch_size:,}, {how})",
        "classes", "us a batch", "x 2 classes", "made, s", "first batch, s",
        "bytes a row, peak", "bytes a row, kept",
    )  # fmt: skip
    for k in numbers:
        peak, kept = memory(len(x), k, batch_size, every)
        table.add_row(
            f"{k:,}",
            f"{seconds[k] / steps * 1e6:.0f}",
            f"{seconds[k] / seconds[2]:.2f}",
            f"{made[k][1]:.2f}",
            f"{made[k][2]:.2f}",
            f"{peak / len(x):.1f}",
            f"{kept / len(x):.1f}",
        )
    console.print(table)


def imbalance(console: Console, x: np.ndarray, quick: bool, rounds: int) -> None:
    ratios, batch_size, steps = (10, 1_000, 100_000), 1024, 1500 if quick else 4000
    made = {r: make(x, two_classes(len(x), len(x) // (r + 1)), batch_size, steps) for r in ratios}
    seconds = medians({r: in_graph(made[r][0]) for r in ratios}, rounds)
    table = table_of(
        f"Imbalance ({len(x):,} rows of 2 classes, batch 1,024)",
        "rows for one", "us a batch", "x 10 for one", "made, s", "first batch, s",
    )  # fmt: skip
    for r in ratios:
        table.add_row(
            f"{r:,}",
            f"{seconds[r] / steps * 1e6:.0f}",
            f"{seconds[r] / seconds[ratios[0]]:.2f}",
            f"{made[r][1]:.2f}",
            f"{made[r][2]:.2f}",
        )
    console.print(table)


def memory(num_rows: int, num_classes: int, batch_size: int, every: bool) -> tuple[float, float]:
    """Bytes at the peak, and once the dataset is there, in a fresh process."""
    arguments = [str(n) for n in (num_rows, num_classes, batch_size, int(every))]
    command = [sys.executable, __file__, "--memory", *arguments]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(found[-2]) * 2**20, float(found[-1]) * 2**20


def print_memory(num_rows: int, num_classes: int, batch_size: int, every: bool) -> None:
    def labels(size: int) -> np.ndarray:
        if num_classes == 2:
            return two_classes(size, int(size * POSITIVES))
        return many_classes(size, num_classes)

    # Pages that are read before they are written take no memory: the data weigh nothing here.
    x, y = np.zeros((num_rows, WIDTH), np.float32), labels(num_rows)
    few = max(10_000, num_classes)
    # What TensorFlow loads at its first dataset is not the dataset's.
    in_graph(make(x[:few], labels(few), batch_size, 20, small_batches=not every)[0])()
    made: list[Any] = []

    def run() -> None:
        made.append(make(x, y, batch_size, 20, small_batches=not every))
        in_graph(made[0][0])()

    def kept() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    before = kept()
    peak = peak_megabytes(run, times=1)
    sys.stdout.write(f"{peak} {kept() - before}\n")


def main(quick: bool, directory: Path | None, only: str) -> None:
    console = Console(width=None if sys.stdout.isatty() else 150)
    rounds = 3 if quick else 5
    if only in ("", "rows"):
        with tempfile.TemporaryDirectory(dir=directory) as folder:
            rows(console, Path(folder), quick, rounds)
    x = np.random.default_rng(0).random((MANY_ROWS, WIDTH), dtype=np.float32)
    if only in ("", "classes"):
        classes(console, x, quick, rounds, 102_400, True)
        classes(console, x, quick, rounds, 1_024, False)
    if only in ("", "imbalance"):
        imbalance(console, x, quick, rounds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--directory", type=Path, help="where the large file is written")
    parser.add_argument("--only", choices=("rows", "classes", "imbalance"), default="")
    parser.add_argument("--memory", nargs=4, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        print_memory(*options.memory[:3], bool(options.memory[3]))
    else:
        main(options.quick, options.directory, options.only)
