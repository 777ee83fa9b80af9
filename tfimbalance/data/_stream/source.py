"""The user's dataset as chunks of rows with their classes."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfimbalance._checks import bad_value, check_integer
from tfimbalance.data._rows.labels import RowLabels, check_elements

_ROWS_PER_CHUNK = 8_192
_BYTES_PER_CHUNK = 2**22


class StreamSource:
    """Chunks of rows, and the class of each row."""

    def __init__(
        self,
        source: Any,
        label_fn: Callable[..., Any] | None,
        batched: bool,
        batch_size: int,
        shuffle_size: int,
        num_rows: int | None = None,
    ) -> None:
        of_epoch = callable(source) and not isinstance(source, tf.data.Dataset)
        self._of_epoch = source if of_epoch else lambda epoch: source
        self._batched, self.shuffle_size = batched, shuffle_size
        if of_epoch:
            _check_of_epoch(source)
        dataset = self._of_epoch(0)
        remedy = "Arrays, also on disk, go to balanced_batches(x, y)."
        self.spec = check_elements(dataset, remedy=remedy)
        self._labels = RowLabels(label_fn)
        _check_parts(tf.nest.flatten(self.spec), batched)
        row_bytes = sum(_bytes_of(part, batched) for part in tf.nest.flatten(self.spec))
        fitting = _BYTES_PER_CHUNK // max(1, row_bytes)
        self.rows_per_chunk = max(batch_size, shuffle_size, min(_ROWS_PER_CHUNK, fitting))
        if shuffle_size:
            self.rows_per_chunk -= self.rows_per_chunk % shuffle_size
        rows = int(dataset.cardinality())
        self.is_endless = rows == tf.data.INFINITE_CARDINALITY
        self.num_rows = rows if rows >= 0 and not batched else None
        # Counted while it is read: nothing else says whether it is true.
        self.said_rows = _checked_num_rows(num_rows, self.num_rows, self.is_endless)
        if self.said_rows is not None:
            self.num_rows = self.said_rows
        if not batched:
            self.spec = dataset.batch(self.rows_per_chunk).element_spec
        self.label_spec = self._labels.spec(self.chunks(0), of_batches=batched)

    def chunks(self, epoch: int | tf.Tensor) -> tf.data.Dataset:
        """Return the rows of an epoch, some thousands at a time."""
        if tf.is_tensor(epoch):
            # Of this function's graph alone. Whatever seed the program has, an epoch has its order,
            # and a seed of 0 for all would not let a tensor be the seed of `shuffle`.
            tf.random.set_seed(1)
        dataset = self._of_epoch(epoch)
        if not self._batched:
            return dataset.batch(self.rows_per_chunk)
        return dataset.rebatch(self.rows_per_chunk) if self.shuffle_size else dataset

    def counted(self, read: Any, is_last: Any) -> Any:
        """Return rows of each class, if they are as many as was said, or may become it."""
        rows = tf.reduce_sum(read)
        check = tf.debugging.Assert(
            tf.where(is_last, tf.equal(rows, self.said_rows), rows <= self.said_rows),
            [
                f"`num_rows`: expected the rows of an epoch. Received: {self.said_rows}, of a "
                "dataset that has this many or more:",
                rows,
            ],
        )
        with tf.control_dependencies([check]):
            return tf.identity(read)

    def classes(self, element: Any) -> Any:
        """Return the class of each row of a chunk; -1 where a label is no class."""
        classes = self._labels.classes(element)
        lengths = [
            leaf.dense_shape[0]
            if isinstance(leaf, tf.SparseTensor)
            else tf.shape(leaf, out_type=tf.int64)[0]
            for leaf in tf.nest.flatten(element)
        ]
        check = tf.debugging.Assert(
            tf.reduce_all(tf.stack(lengths) == tf.size(classes, tf.int64)),
            ["`dataset`: expected as many rows in every part of a batch. Received:", lengths],
        )
        with tf.control_dependencies([check]):
            return tf.identity(classes)


def _checked_num_rows(said: int | None, known: int | None, is_endless: bool) -> int | None:
    if said is None:
        return None
    said = check_integer("num_rows", said, minimum=1)
    if is_endless or known not in (None, said):
        raise bad_value(
            "num_rows",
            expected="None for a dataset without end" if is_endless else f"{known} or None",
            received=said,
            remedy="fit(steps_per_epoch=...) makes epochs of it." if is_endless else "",
        )
    return said if known is None else None


def _check_of_epoch(source: Any) -> None:
    try:
        signature = inspect.signature(source)
    except (TypeError, ValueError):  # Some functions of C have none.
        return
    try:
        signature.bind(0)
    except TypeError:
        raise bad_value(
            "dataset",
            expected="a tf.data.Dataset, or a function of the epoch that returns one",
            received=f"a function of {signature}",
            remedy="tf.data.Dataset.from_generator makes a dataset of a generator function.",
        ) from None


def _check_parts(parts: list[Any], batched: bool) -> None:
    for part in parts:
        if not isinstance(part, tf.TensorSpec):
            continue
        if part.shape.rank is None or None in part.shape.as_list()[1 if batched else 0 :]:
            raise bad_value(
                "dataset",
                expected="rows of known shape, or ragged or sparse ones",
                received=f"{part.name or 'a tensor'} of shape {part.shape}",
                remedy="Batches of rows take batched=True. Give single rows a shape in a map, "
                "tf.ensure_shape(x, [...]), or make rows of different lengths ragged: "
                "tf.RaggedTensor.from_tensor(x[None]).",
            )
    shapes = [part.shape for part in parts if batched and part.shape.rank is not None]
    lengths = {shape[0] for shape in shapes if shape.rank} - {None}
    if len(lengths) > 1 or any(shape.rank == 0 for shape in shapes):
        raise bad_value(
            "dataset",
            expected="batches, with as many rows in every part, because batched=True",
            received=f"{parts}",
            remedy="A dataset of single rows takes batched=False.",
        )


def _bytes_of(spec: Any, batched: bool) -> int:
    """Return about how many bytes a row has, 64 for an axis that is unknown."""
    if not isinstance(spec, tf.TensorSpec) or spec.shape.rank is None:
        return 64
    row = spec.shape.as_list()[1 if batched else 0 :]
    return int((spec.dtype.size or 8) * math.prod(64 if n is None else n for n in row))
