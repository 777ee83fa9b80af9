"""Balanced batches of a stream against raw reading and against what `tf.data` has for the same.

Ratios of medians of interleaved runs in one process, of rows a second handed out in batches of
1,024; rows of 16 float32, read in a graph. Above 1, `balanced_stream` is faster.

- raw: the same source in plain batches, which is what reading costs;
- filter: a dataset a class, ``filter`` then ``repeat``, in ``sample_from_datasets``;
- rejection: ``rejection_resample`` to one in two, told the shares of the data. Slow: few rows.

The source is rows in memory one by one, the same in batches of 4,096 (``batched=True``), or
TFRecord files of `tf.train.Example`, parsed 4,096 together. "Read" is how many rows are read of
the source for a row handed out, counted. Memory is that of a fresh process, beyond what reading the
same source takes; it must not grow with the rows.

    python benchmarks/streams.py             # about three minutes on two cores
    python benchmarks/streams.py --quick     # one minute
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from _measure import medians, peak_megabytes
from rich.console import Console
from rich.progress import track
from rich.table import Table

import tfimbalance as tfi

tf.get_logger().setLevel("ERROR")  # Every dataset is consumed by a function of its own.

WIDTH = 16
BATCH_SIZE = 1024
TOGETHER = 4096
FEATURES = {
    "x": tf.io.FixedLenFeature([WIDTH], tf.float32),
    "y": tf.io.FixedLenFeature([], tf.int64),
}


def make(rows: int, positives: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.zeros(rows, np.int64)
    y[rng.choice(rows, int(rows * positives), replace=False)] = 1
    return rng.random((rows, WIDTH), dtype=np.float32), y


def in_graph(dataset: tf.data.Dataset) -> Callable[[], object]:
    @tf.function(autograph=False)
    def consume(dataset: tf.data.Dataset) -> tf.Tensor:
        return dataset.reduce(tf.constant(0.0), lambda total, batch: total + batch[0][0, 0])

    return lambda: consume(dataset).numpy()


def filtered(rows: tf.data.Dataset) -> tf.data.Dataset:
    by_class = [rows.filter(lambda x, y, k=k: tf.equal(y, k)).repeat() for k in (0, 1)]
    return tf.data.Dataset.sample_from_datasets(by_class, [0.5, 0.5], seed=0)


def rejected(rows: tf.data.Dataset, positives: float) -> tf.data.Dataset:
    resampled = rows.repeat().rejection_resample(
        lambda x, y: tf.cast(y, tf.int32), [0.5, 0.5], [1 - positives, positives], seed=0
    )
    return resampled.map(lambda label, row: row)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """`rejection_resample` prints what it rejects, from C++."""
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class Counted:
    """A dataset of single rows that counts how many are read, 64 at a time."""

    def __init__(self, rows: tf.data.Dataset) -> None:
        self.read = 0
        together = rows.batch(64).map(
            lambda x, y: (tf.numpy_function(self._count, [y], tf.int64, stateful=True), x, y)
        )
        self.dataset = together.map(
            lambda n, x, y: (
                tf.ensure_shape(x, [None, WIDTH]),
                tf.ensure_shape(y + 0 * n, [None]),
            )
        ).unbatch()

    def _count(self, labels: np.ndarray) -> np.int64:
        self.read += len(labels)
        return np.int64(0)


def reads(positives: float, handed_out: int) -> dict[str, float]:
    """Rows read for a row handed out; of a stream over all of its one epoch."""
    rows = 65_536
    x, y = make(rows, positives)
    found = {}
    for name in ("ours", "filter", "rejection"):
        counted = Counted(tf.data.Dataset.from_tensor_slices((x, y)))
        if name == "ours":
            dataset = tfi.data.balanced_stream(counted.dataset, batch_size=BATCH_SIZE)
            out = rows
        else:
            single = (
                filtered(counted.dataset)
                if name == "filter"
                else rejected(counted.dataset, positives)
            )
            dataset, out = single.batch(handed_out).take(1), handed_out
        in_graph(dataset)()
        found[name] = counted.read / out
    return found


def in_memory(console: Console, quick: bool) -> None:
    table = Table(title="Rows in memory: rows a second of balanced_stream relative to others")
    columns = (
        "positives", "ours, 1e6 rows/s", "/ raw", "batched, 1e6 rows/s", "/ raw batched",
        "/ filter", "/ rejection", "read: ours", "filter", "rejection",
    )  # fmt: skip
    for column in columns:
        table.add_column(column, justify="right")
    rows = TOGETHER * (32 if quick else 128)
    for positives in track((0.01, 0.001), "in memory", console=console):
        x, y = make(rows, positives)
        single = tf.data.Dataset.from_tensor_slices((x, y))
        blocks = tf.data.Dataset.from_tensor_slices(
            (x.reshape(-1, TOGETHER, WIDTH), y.reshape(-1, TOGETHER))
        )
        few = 256 if quick else 1024
        fewer = int(few * positives / 0.01)  # The rarer, the slower.
        stream = tfi.data.balanced_stream(single, batch_size=BATCH_SIZE)
        batched = tfi.data.balanced_stream(blocks, batch_size=BATCH_SIZE, batched=True)
        out = {"ours": rows, "batched": rows, "raw": rows, "raw batched": rows}
        out |= {"filter": fewer, "rejection": fewer}
        candidates = {
            "ours": stream,
            "batched": batched,
            "raw": single.batch(BATCH_SIZE),
            "raw batched": blocks,
            "filter": filtered(single).batch(fewer).take(1),
            "rejection": rejected(single, positives).batch(fewer).take(1),
        }
        with silence():
            seconds = medians({name: in_graph(each) for name, each in candidates.items()}, 3)
            read = reads(positives, fewer)
        speed = {name: out[name] / seconds[name] for name in seconds}
        ours = speed["ours"]
        table.add_row(
            f"{positives:.1%}",
            f"{ours / 1e6:.2f}",
            f"{ours / speed['raw']:.2f}",
            f"{speed['batched'] / 1e6:.2f}",
            f"{speed['batched'] / speed['raw batched']:.2f}",
            f"{ours / speed['filter']:,.0f}",
            f"{ours / speed['rejection']:,.0f}",
            f"{read['ours']:.2f}",
            f"{read['filter']:,.0f}",
            f"{read['rejection']:,.0f}",
        )
    console.print(table)


def parse(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    row = tf.io.parse_example(serialized, FEATURES)
    return row["x"], row["y"]


def write_records(folder: Path, rows: int, positives: float, shards: int) -> list[str]:
    x, y = make(rows, positives)
    paths = [str(folder / f"{positives}-{shard}.tfrecord") for shard in range(shards)]
    for shard, path in enumerate(paths):
        with tf.io.TFRecordWriter(path) as writer:
            for row, label in zip(x[shard::shards], y[shard::shards], strict=True):
                feature = {
                    "x": tf.train.Feature(float_list=tf.train.FloatList(value=row)),
                    "y": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                }
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())
    return paths


def records(console: Console, quick: bool) -> None:
    table = Table(title="TFRecord files: rows a second relative to raw parsing, 4,096 together")
    columns = ("positives", "raw, 1e6 rows/s", "batched", "single rows", "single rows, raw")
    for column in columns:
        table.add_column(column, justify="right")
    rows = TOGETHER * (16 if quick else 64)
    with tempfile.TemporaryDirectory() as folder:
        for positives in track((0.01, 0.001), "records", console=console):
            paths = write_records(Path(folder), rows, positives, shards=4)
            raw = tf.data.TFRecordDataset(paths).batch(TOGETHER).map(parse)
            single = tf.data.TFRecordDataset(paths).map(
                lambda one: tf.nest.map_structure(lambda part: part[0], parse(one[None]))
            )
            candidates = {
                "raw": raw,
                "batched": tfi.data.balanced_stream(raw, batch_size=BATCH_SIZE, batched=True),
                "single": tfi.data.balanced_stream(raw.unbatch(), batch_size=BATCH_SIZE),
                "raw single": single.batch(BATCH_SIZE),
            }
            seconds = medians({name: in_graph(each) for name, each in candidates.items()}, 3)
            table.add_row(
                f"{positives:.1%}",
                f"{rows / seconds['raw'] / 1e6:.2f}",
                *(
                    f"{seconds['raw'] / seconds[name]:.2f}"
                    for name in ("batched", "single", "raw single")
                ),
            )
    console.print(table)


def made_up(chunks: int) -> tf.data.Dataset:
    """Chunks of rows that no memory holds."""

    def chunk(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x = tf.random.stateless_uniform([TOGETHER, WIDTH], tf.stack([index, 0]))
        y = tf.cast(x[:, 0] < 0.01, tf.int64)
        return x, y

    return tf.data.Dataset.range(chunks).map(chunk)


def print_memory(which: str, chunks: int) -> None:
    def stream(chunks: int) -> tf.data.Dataset:
        source = made_up(chunks)
        if which == "raw":
            return source
        return tfi.data.balanced_stream(source, batch_size=BATCH_SIZE, batched=True)

    # What TensorFlow loads at its first dataset is not the dataset's.
    in_graph(made_up(10))()
    sys.stdout.write(f"{peak_megabytes(in_graph(stream(chunks)), times=1):.1f}\n")


def memory(console: Console, quick: bool) -> None:
    table = Table(title="Memory at the peak, MB, whatever the source holds (buffer of 4,096 rows)")
    for column in ("rows", "reading alone", "balanced_stream"):
        table.add_column(column, justify="right")
    for chunks in (50, 500) if quick else (50, 500, 2500):
        row = [f"{chunks * TOGETHER:,}"]
        for which in ("raw", "ours"):
            command = [sys.executable, __file__, "--memory", which, str(chunks)]
            found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            row.append(found.split()[-1])
        table.add_row(*row)
    console.print(table)


def main(quick: bool) -> None:
    console = Console(width=None if sys.stdout.isatty() else 130)
    in_memory(console, quick)
    records(console, quick)
    memory(console, quick)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        print_memory(options.memory[0], int(options.memory[1]))
    else:
        main(options.quick)
