"""Labels -> class statistics. Only this counts labels; everything else takes the counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import (
    bad_value,
    check_flag,
    check_integer,
    checked_ignore_class,
    per_class,
)
from tfimbalance._labels import (
    as_array,
    check_dataset,
    class_ids,
    classes_of_files,
    is_dataset,
    is_one_row,
    refuse_one_hot,
    zero_one,
)

_ROWS_PER_READ = 65_536
_NO_COUNTS = 2**31


@dataclass(frozen=True, eq=False)
class ClassStatistics:
    """How many rows each class has, and what follows from it.

    Usually made by `class_statistics`; make it directly when the counts are already known. Counts
    of shards add up: ``class_statistics(a) + class_statistics(b)`` is the statistics of both.

    Args:
        counts: rows of each class, ``(num_classes,)`` non-negative integers or ``{class: rows}``
            (a pandas ``value_counts()`` too); with ``multi_label=True``, of each label.
        num_samples: rows counted. Defaults to the sum of ``counts``; needed for multi-label data,
            where a row counts for none, one or many labels.
        multi_label: whether ``counts`` are of labels that do not exclude one another.

    Raises:
        ValueError: if the counts are not whole, negative, or more than ``num_samples``.

    Example:
        >>> import tfimbalance as tfi
        >>> stats = tfi.ClassStatistics([950, 50])
        >>> stats.priors.tolist(), stats.imbalance_ratio, stats.num_classes
        ([0.95, 0.05], 19.0, 2)
        >>> (stats + stats).counts.tolist()
        [1900, 100]
    """

    counts: NDArray[np.int64]
    num_samples: int = -1
    multi_label: bool = False

    def __post_init__(self) -> None:
        # A mapping or a pandas series, as value_counts() makes it, is by class, not by position.
        counts_of: Any = self.counts
        by_class = hasattr(counts_of, "items")
        counts_of = per_class("counts", counts_of) if by_class else counts_of
        try:
            given: NDArray[Any] = np.asarray(counts_of)
        except ValueError:  # Rows of unequal length.
            given = np.zeros(0)
        whole = given.dtype.kind in "iuf" and bool(np.all(np.floor(given) == given))
        is_list = given.ndim == 1 and given.size > 0
        if not (is_list and whole and ((given >= 0) & (given < 2**62)).all()):
            raise bad_value(
                "counts",
                expected="one whole number of rows a class, at least 0",
                received=f"{self.counts!r}",
                remedy="Count labels with tfi.class_statistics(labels).",
            )
        counts = given.astype(np.int64)
        counts.setflags(write=False)
        check_flag("multi_label", self.multi_label)
        num_samples = check_integer("num_samples", self.num_samples, minimum=-1)
        if num_samples < 0 and self.multi_label:
            raise bad_value(
                "num_samples",
                expected="the number of rows, because labels do not exclude one another",
                received=self.num_samples,
            )
        num_samples = int(counts.sum()) if num_samples < 0 else num_samples
        most = int(counts.max() if self.multi_label else counts.sum())
        if most > num_samples or (not self.multi_label and most != num_samples):
            raise bad_value(
                "num_samples",
                expected=f"a number of rows that fits counts of {most}",
                received=num_samples,
            )
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "num_samples", num_samples)

    @property
    def num_classes(self) -> int:
        """Number of classes, empty ones included."""
        return int(self.counts.size)

    @property
    def priors(self) -> NDArray[np.float64]:
        """Share of the rows that are of each class (or carry each label), float64."""
        if self.num_samples == 0:
            raise bad_value(
                "priors", expected="at least one counted row", received="statistics of no rows"
            )
        return np.asarray(self.counts / self.num_samples, dtype=np.float64)

    @property
    def imbalance_ratio(self) -> float:
        """Rows of the largest class for one of the smallest; infinite if a class is empty."""
        smallest = int(self.counts.min())
        return float(self.counts.max() / smallest) if smallest else float("inf")

    @property
    def empty_classes(self) -> list[int]:
        """Ids of the classes that have no row."""
        return [int(k) for k in np.flatnonzero(self.counts == 0)]

    def __add__(self, other: object) -> ClassStatistics:
        if not isinstance(other, ClassStatistics):
            return NotImplemented
        if (self.num_classes, self.multi_label) != (other.num_classes, other.multi_label):
            raise bad_value(
                "other",
                expected=f"{self.num_classes} classes, multi_label={self.multi_label}",
                received=f"{other.num_classes} classes, multi_label={other.multi_label}",
                remedy="Count every shard with the same num_classes.",
            )
        return ClassStatistics(
            self.counts + other.counts, self.num_samples + other.num_samples, self.multi_label
        )

    def __radd__(self, other: object) -> ClassStatistics:
        # sum() starts from 0.
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ClassStatistics):
            return NotImplemented
        same = (self.num_samples, self.multi_label) == (other.num_samples, other.multi_label)
        return same and np.array_equal(self.counts, other.counts)


def class_statistics(
    labels: Any,
    *,
    num_classes: int | None = None,
    multi_label: bool = False,
    ignore_class: int | None = None,
) -> ClassStatistics:
    """Count the rows of each class.

    Args:
        labels: one of

            - integer, boolean or whole floating-point class ids, ``(rows,)`` or ``(rows, 1)``
              (NumPy, pandas, a tensor, a list);
            - one-hot rows, ``(rows, ..., num_classes)``;
            - with ``multi_label=True``, rows of zeros and ones, ``(rows, ..., num_labels)``;
            - a finite ``tf.data.Dataset`` of ``y``, ``(x, y)`` or ``(x, y, sample_weight)``,
              batched or not, which is read once and never kept (of folders of images, as Keras
              makes it, the file names are read).

            Ids of masks or sequences are counted after ``ids.ravel()``.
        num_classes: how many classes there are. By default one more than the largest id; give it
            when a class may be missing from these rows (a shard, a small sample).
        multi_label: whether a row may carry several labels.
        ignore_class: an id that does not count, such as the void class of masks; those are counted
            with all their axes.

    Raises:
        ValueError: for no rows, labels of one class, NaN, negative or fractional ids, ids that are
            not below ``num_classes``, soft labels, strings, or an infinite dataset.

    Example:
        >>> import tfimbalance as tfi
        >>> tfi.class_statistics([0, 0, 0, 1]).counts.tolist()
        [3, 1]
        >>> tfi.class_statistics([[1, 0], [1, 1]], multi_label=True).priors.tolist()
        [1.0, 0.5]
    """
    check_flag("multi_label", multi_label)
    if num_classes is not None:
        check_integer("num_classes", num_classes, minimum=1)
        if num_classes >= _NO_COUNTS:
            raise bad_value("num_classes", expected="fewer than 2**31", received=num_classes)
    if checked_ignore_class(ignore_class) is not None and multi_label:
        raise bad_value(
            "ignore_class",
            expected="None beside multi_label=True",
            received=ignore_class,
            remedy="Each label has a number of known rows of its own: count labels[:, k].",
        )
    count = partial(
        _count, num_classes=num_classes, multi_label=multi_label, ignore_class=ignore_class
    )
    if is_dataset(labels):
        counts, rows = _count_dataset(labels, count, multi_label, ignore_class is not None)
    else:
        counts, rows = count(as_array(labels))
    if rows == 0:
        raise bad_value("labels", expected="at least one row", received="no rows")
    stats = ClassStatistics(counts, rows, multi_label)
    if not multi_label and num_classes is None and np.count_nonzero(stats.counts) < 2:
        raise bad_value(
            "labels",
            expected="rows of at least two classes",
            received=f"{rows} rows, all of class {int(stats.counts.argmax())}",
            remedy="If these rows are one shard of the data, say how many classes there are: "
            "num_classes=2.",
        )
    return stats


def as_statistics(labels: Any, ignore_class: int | None = None) -> ClassStatistics:
    """Return the statistics of labels, of a dataset, of ``{class: rows}``, or as they are."""
    if ignore_class is not None and isinstance(labels, (ClassStatistics, Mapping)):
        raise bad_value(
            "ignore_class",
            expected="None beside counts",
            received=ignore_class,
            remedy="Leave the class out where labels are counted: class_statistics(labels, "
            "ignore_class=...).",
        )
    if isinstance(labels, ClassStatistics):
        return labels
    # A pandas series has items, too, but is one of labels.
    if isinstance(labels, Mapping):
        return ClassStatistics(labels)  # type: ignore[arg-type]
    return class_statistics(labels, ignore_class=ignore_class)


def _count(
    array: NDArray[Any], *, num_classes: int | None, multi_label: bool, ignore_class: int | None
) -> tuple[NDArray[np.int64], int]:
    if multi_label:
        if array.ndim < 2:
            raise bad_value(
                "labels",
                expected="multi-label rows of shape (rows, num_labels)",
                received=f"shape {array.shape}",
            )
        if num_classes not in (None, array.shape[-1]):
            raise bad_value(
                "num_classes", expected=f"{array.shape[-1]} labels", received=num_classes
            )
        hit = zero_one(array, kind="multi-label", remedy="Threshold soft labels: labels > 0.5.")
        return hit.sum(axis=0, dtype=np.int64), len(hit)
    if ignore_class is not None:
        refuse_one_hot(array, ignore_class)
        array = array[array != ignore_class]
        if not array.size:
            return np.zeros(num_classes or 1, np.int64), 0
    ids, width = class_ids(array, num_classes=num_classes)
    return np.bincount(ids.ravel(), minlength=width).astype(np.int64), int(ids.size)


def _count_dataset(
    dataset: Any,
    count: Callable[[NDArray[Any]], tuple[NDArray[np.int64], int]],
    multi_label: bool,
    is_flat: bool,
) -> tuple[NDArray[np.int64], int]:
    target, spec = check_dataset(dataset, argument="labels"), dataset.element_spec
    of_files = classes_of_files(dataset, target)
    if of_files is not None:
        return count(of_files)
    only_y = dataset if target is spec else dataset.map(lambda *element: element[1])
    if target.shape.rank == 0 or (not is_flat and is_one_row(target, spec, multi_label)):
        only_y = only_y.batch(_ROWS_PER_READ)
    counts, rows = np.zeros(0, np.int64), 0
    for batch in only_y.as_numpy_iterator():
        found, size = count(as_array(batch))
        wider = np.zeros(max(len(found), len(counts)), np.int64)
        wider[: len(counts)] += counts
        wider[: len(found)] += found
        counts, rows = wider, rows + size
    return counts if counts.size else np.zeros(1, np.int64), rows
