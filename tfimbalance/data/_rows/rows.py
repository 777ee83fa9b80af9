"""Anything that holds rows -> batches of them by number, nested as they were given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfimbalance._checks import bad_value, check_same_length, check_weights
from tfimbalance.data._rows.calls import weak
from tfimbalance.data._rows.files import is_arrow, is_arrow_table, is_sliced
from tfimbalance.data._rows.labels import NAME_LABELS, row_classes
from tfimbalance.data._rows.leaf import Leaf
from tfimbalance.data._rows.open import open_leaf
from tfimbalance.statistics import ClassStatistics


class Rows:
    """A nested structure of arrays with a common number of rows, ``(x, y[, sample_weight])``."""

    def __init__(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        as_tensors: bool = False,
        called: tuple[str, str] = ("x", "y"),
    ) -> None:
        given = dict(zip(called, (x, y), strict=True))
        if sample_weight is not None:
            given["sample_weight"] = sample_weight
        # A tuple: tf.nest would sort the names.
        self._structure = tuple(
            _plain(value if name == called[0] else _loaded(value)) for name, value in given.items()
        )
        self.leaves: list[Leaf] = []
        names: list[str] = []
        for name, value in zip(given, self._structure, strict=True):
            items = tf.nest.flatten(value, expand_composites=False)
            if name == "sample_weight":
                for item in items:
                    _check_weights(item)
            if not items:
                raise bad_value(name, expected="at least one array", received=repr(given[name]))
            places = _places(name, value)
            self.leaves += [_opened(*leaf, as_tensors) for leaf in zip(places, items, strict=True)]
            names += [name] * len(items)
        self.num_rows = self.leaves[names.index(called[1])].num_rows
        for name, leaf in zip(names, self.leaves, strict=True):
            check_same_length(name, leaf.num_rows, reference=called[1], expected=self.num_rows)
        # The arrays of `x`, in the order of their leaves.
        self.x = tf.nest.flatten(self._structure[0], expand_composites=False)
        self.row_bytes = sum(leaf.row_bytes for leaf in self.leaves)
        self.stackable = all(leaf.stackable for leaf in self.leaves)
        self.on_disk = any(leaf.on_disk for leaf in self.leaves)

    @property
    def dtypes(self) -> list[tf.DType]:
        """Types of what `gather` returns, in order."""
        return [dtype for leaf in self.leaves for dtype in leaf.dtypes]

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

    def fetch(
        self,
        rows: tf.Tensor,
        block: int = 1,
        gather: Callable[..., Any] | None = None,
        given: Sequence[tf.Tensor] | None = None,
    ) -> tuple[Any, ...]:
        """Make a block of ``(x, y[, sample_weight])`` of row numbers, in a dataset's function.

        A method to call instead of `gather` is given other tensors than the row numbers.
        """
        parts: list[tf.Tensor] = []
        if self.dtypes:
            inputs = [rows] if given is None else given
            call = weak(gather or self.gather)
            parts = list(tf.numpy_function(call, inputs, self.dtypes, stateful=False))
        built = []
        for leaf in self.leaves:
            own = [parts.pop(0) for _ in leaf.dtypes]
            for part, shape in zip(own, leaf.shapes, strict=True):
                part.set_shape([rows.shape[0] if leaf.stackable else None, *shape])
            built.append(in_block(leaf.build(rows, own), block))
        packed: tuple[Any, ...] = tf.nest.pack_sequence_as(self._structure, built)
        return packed


def in_block(batch: Any, block: int) -> Any:
    """Cut rows into ``block`` batches along a leading axis, unless that is one."""
    if block == 1:
        return batch
    return tf.reshape(batch, [block, batch.shape[0] // block, *batch.shape[1:]])


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
        remedy: str = NAME_LABELS,
    ) -> LabelledRows:
        """Open rows and read their classes: ``labels``, or ``y`` itself."""
        rows = Rows(x, y, sample_weight, as_tensors=as_tensors)
        by = ("y", y) if labels is None else ("labels", labels)
        return cls(rows, *row_classes(*by, rows.num_rows, remedy))


def _opened(name: str, item: Any, as_tensors: bool) -> Leaf:
    if item is None:
        raise bad_value(name, expected="an array", received="None")
    leaf = open_leaf(name, item)
    if not (as_tensors and leaf.gather):
        return leaf
    if leaf.as_tensors is None:
        raise bad_value(
            name,
            expected="arrays in memory, because in_graph=True makes tensors of them",
            received="rows that are read from a file or a frame",
            remedy="Without in_graph they are read as they are needed.",
        )
    return leaf.as_tensors()


def _places(name: str, value: Any) -> list[str]:
    """Say where each array is, as errors call it: ``x``, ``x['age']`` or ``x[0]``."""
    if isinstance(value, dict):  # In the order of `tf.nest`.
        return [place for key in sorted(value) for place in _places(f"{name}[{key!r}]", value[key])]
    if isinstance(value, tuple):
        parts = enumerate(value)
        return [place for key, part in parts for place in _places(f"{name}[{key}]", part)]
    return [name]


def _check_weights(weights: Any) -> None:
    """Raise for weights that are no numbers of at least 0."""
    array = np.asarray(weights)
    if array.dtype.kind not in "biuf":
        raise bad_value("sample_weight", expected="numbers", received=f"dtype {array.dtype}")
    check_weights(array)


def _loaded(value: Any) -> Any:
    """Labels and weights are few bytes a row, and labels are read whole in any case."""
    if is_arrow(value) or (is_sliced(value) and len(value.shape) == 1):
        return np.asarray(value)
    return value


def _is_number(item: Any) -> bool:
    is_many = hasattr(item, "tocsr") or isinstance(item, (tf.SparseTensor, tf.RaggedTensor))
    return not is_many and np.ndim(item) == 0


def _listed(value: list[Any]) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except ValueError:  # Rows of several lengths, which are refused by name where they are opened.
        return np.asarray(value, dtype=object)


def _plain(value: Any) -> Any:
    """Turn what tf.data has no notion of into what it has: frames, columns, lists of inputs."""
    if hasattr(value, "tocsr"):
        # One of SciPy's formats is a dictionary, which `tf.nest` would take apart.
        sparse: Any = value
        return sparse.tocsr() if isinstance(value, dict) else sparse
    if is_arrow_table(value):
        return {name: value.column(name) for name in value.column_names}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, list):
        # As in Keras: a list of arrays is several inputs, a list of numbers or of lists is one.
        several = value and not any(isinstance(item, list) or _is_number(item) for item in value)
        return tuple(_plain(item) for item in value) if several else _listed(value)
    return value
