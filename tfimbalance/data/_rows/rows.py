"""Anything that holds rows -> batches of them by number, nested as they were given."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfimbalance._checks import bad_value, check_same_length
from tfimbalance.data._rows.calls import weak
from tfimbalance.data._rows.files import is_arrow, is_arrow_table, is_sliced
from tfimbalance.data._rows.labels import row_classes
from tfimbalance.data._rows.leaf import Leaf
from tfimbalance.data._rows.open import open_leaf
from tfimbalance.statistics import ClassStatistics


class Rows:
    """A nested structure of arrays with a common number of rows.

    Args:
        structure: the arguments, by name; the first that is "y" says how many rows there are.
        as_tensors: whether rows are gathered in TensorFlow alone.
    """

    def __init__(self, structure: dict[str, Any], *, as_tensors: bool = False) -> None:
        # A tuple: tf.nest would sort the names.
        self._structure = tuple(_plain(_loaded(name, value)) for name, value in structure.items())
        self.leaves: list[Leaf] = []
        self._sizes: dict[str, int] = {}
        lengths: list[tuple[str, int]] = []
        for name, value in zip(structure, self._structure, strict=True):
            self._sizes[name] = len(tf.nest.flatten(value, expand_composites=False))
            for item in tf.nest.flatten(value, expand_composites=False):
                if item is None:
                    raise bad_value(name, expected="an array", received="None")
                leaf = open_leaf(name, item)
                if as_tensors and leaf.gather:
                    leaf = _as_tensors(name, leaf)
                self.leaves.append(leaf)
                lengths.append((name, leaf.num_rows))
        for name in structure:
            if name not in dict(lengths):
                raise bad_value(name, expected="at least one array", received=repr(structure[name]))
        reference, expected = next((n, r) for n, r in lengths if n == "y")
        for name, length in lengths:
            check_same_length(name, length, reference=reference, expected=expected)
        self.num_rows = expected
        self.row_bytes = sum(leaf.row_bytes for leaf in self.leaves)
        self.stackable = all(leaf.stackable for leaf in self.leaves)
        self.on_disk = any(leaf.on_disk for leaf in self.leaves)

    @property
    def dtypes(self) -> list[tf.DType]:
        """Types of what `gather` returns, in order."""
        return [dtype for leaf in self.leaves for dtype in leaf.dtypes]

    def size_of(self, name: str) -> int:
        """Return how many leaves an argument has."""
        return self._sizes[name]

    def features(self, rows: NDArray[Any], leaves: list[int]) -> NDArray[Any]:
        """Return some leaves of some rows as one matrix."""
        starts = np.cumsum([0, *(len(leaf.dtypes) for leaf in self.leaves)])
        parts = self.gather(rows)
        flat = [parts[starts[leaf]].reshape(len(rows), -1) for leaf in leaves]
        return np.concatenate(flat, axis=1)

    def gather(self, rows: NDArray[Any]) -> list[NDArray[Any]]:
        """Gather rows of every NumPy leaf."""
        gathered = []
        if self.on_disk:
            # A disk sees each row once, and in order.
            distinct, back = np.unique(rows, return_inverse=True)
        for leaf in self.leaves:
            if leaf.gather is None:
                continue
            if leaf.on_disk:
                gathered += [part[back] for part in leaf.gather(distinct)]
            else:
                gathered += leaf.gather(rows)
        return gathered

    def build(self, rows: tf.Tensor, parts: list[tf.Tensor], block: int) -> tuple[Any, ...]:
        """Make a block of ``(x, y[, sample_weight])`` of row numbers and what `gather` gave."""
        remaining, built = list(parts), []
        num_rows = rows.shape[0]
        for leaf in self.leaves:
            own = [remaining.pop(0) for _ in leaf.dtypes]
            for part, shape in zip(own, leaf.shapes, strict=True):
                part.set_shape([num_rows if leaf.stackable else None, *shape])
            batch = leaf.build(rows, own)
            if block > 1:
                batch = tf.reshape(batch, [block, num_rows // block, *batch.shape[1:]])
            built.append(batch)
        packed: tuple[Any, ...] = tf.nest.pack_sequence_as(self._structure, built)
        return packed

    def fetch(self, rows: tf.Tensor, block: int = 1) -> tuple[Any, ...]:
        """Make a block of ``(x, y[, sample_weight])`` of row numbers, in a dataset's function."""
        parts = []
        if self.dtypes:
            parts = tf.numpy_function(weak(self.gather), [rows], self.dtypes, stateful=False)
        return self.build(rows, list(parts), block)


class LabelledRows(NamedTuple):
    """Rows, how many each class has, and the class of each."""

    rows: Rows
    statistics: ClassStatistics
    ids: NDArray[Any]

    @classmethod
    def read(
        cls,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        labels: Any = None,
        *,
        as_tensors: bool = False,
    ) -> LabelledRows:
        """Open rows and read their classes: ``labels``, or ``y`` itself."""
        structure = {"x": x, "y": y}
        if sample_weight is not None:
            structure["sample_weight"] = sample_weight
        rows = Rows(structure, as_tensors=as_tensors)
        by = ("y", y) if labels is None else ("labels", labels)
        return cls(rows, *row_classes(*by, rows.num_rows))


def _as_tensors(name: str, leaf: Leaf) -> Leaf:
    if leaf.as_tensors is None:
        raise bad_value(
            name,
            expected="arrays in memory, because in_graph=True makes tensors of them",
            received="rows that are read from a file or a frame",
            remedy="Without in_graph they are read as they are needed.",
        )
    return leaf.as_tensors()


def _loaded(name: str, value: Any) -> Any:
    """Labels and weights are few bytes a row, and labels are read whole in any case."""
    if name != "x" and (is_arrow(value) or (is_sliced(value) and len(value.shape) == 1)):
        return np.asarray(value)
    return value


def _plain(value: Any) -> Any:
    """Turn what tf.data has no notion of into what it has: frames, columns, lists of inputs."""
    if hasattr(value, "tocsr"):
        return value  # Before dictionaries: one of SciPy's formats is a dictionary, too.
    if is_arrow_table(value):
        return {name: value.column(name) for name in value.column_names}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, list):
        # As in Keras: a list of arrays is several inputs, a list of numbers or of lists is one.
        several = value and not any(isinstance(item, list) or np.ndim(item) == 0 for item in value)
        return tuple(_plain(item) for item in value) if several else np.asarray(value)
    return value
