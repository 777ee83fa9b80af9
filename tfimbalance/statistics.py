"""Labels -> class statistics. Only this counts labels; everything else takes the counts."""

from __future__ import annotations

from collections.abc import Mapping
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
    some_classes,
)
from tfimbalance._counts import count_array, count_dataset, whole_counts
from tfimbalance._labels import as_array, is_dataset

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
        num_known: of labels that are not known in every row, how many rows they are known in,
            ``(num_labels,)``; None: in all.

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
    num_known: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        counts = whole_counts("counts", self.counts)
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
        if self.num_known is not None:
            object.__setattr__(self, "num_known", self._checked_known(num_samples))

    def _checked_known(self, num_samples: int) -> NDArray[np.int64] | None:
        """Return in how many rows each label is known; None if that is all of them."""
        known = whole_counts("num_known", self.num_known)
        fits = self.multi_label and known.shape == self.counts.shape
        if not fits or (known < self.counts).any() or (known > num_samples).any():
            raise bad_value(
                "num_known",
                expected="None, or beside multi_label=True a number a label, from its count to "
                "num_samples",
                received=f"{self.num_known!r}",
            )
        return None if (known == num_samples).all() else known

    @property
    def num_classes(self) -> int:
        """Number of classes, empty ones included."""
        return int(self.counts.size)

    @property
    def totals(self) -> NDArray[np.int64]:
        """Of how many rows each of the counts is, ``(num_classes,)``."""
        if self.num_known is not None:
            return self.num_known
        return np.full(self.num_classes, self.num_samples)

    @property
    def priors(self) -> NDArray[np.float64]:
        """Share of the rows that are of each class (or carry each label), float64."""
        empty = np.flatnonzero(self.totals == 0)
        if empty.size:
            of_some = f" of {some_classes(empty, word='label')}" * (self.num_samples > 0)
            raise bad_value(
                "priors",
                expected="at least one counted row",
                received=f"statistics of no rows{of_some}",
                remedy="Leave out labels that are known of no row." if of_some else "",
            )
        return np.asarray(self.counts / self.totals, dtype=np.float64)

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
            self.counts + other.counts,
            self.num_samples + other.num_samples,
            self.multi_label,
            self.totals + other.totals if self.multi_label else None,
        )

    def __radd__(self, other: object) -> ClassStatistics:
        # sum() starts from 0.
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ClassStatistics):
            return NotImplemented
        same = (self.num_samples, self.multi_label) == (other.num_samples, other.multi_label)
        same = same and np.array_equal(self.counts, other.counts)
        return same and np.array_equal(self.totals, other.totals)


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
            with all their axes. With ``multi_label=True``, what stands for a label that is not
            known: each label is then counted where it is known.

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
    checked_ignore_class(ignore_class)
    count = partial(
        count_array, num_classes=num_classes, multi_label=multi_label, ignore_class=ignore_class
    )
    if is_dataset(labels):
        found = count_dataset(labels, count, multi_label, ignore_class)
    else:
        found = count(as_array(labels))
    if found.rows == 0:
        raise bad_value("labels", expected="at least one row", received="no rows")
    stats = ClassStatistics(found.counts, found.rows, multi_label, found.known)
    if not multi_label and num_classes is None and np.count_nonzero(stats.counts) < 2:
        raise bad_value(
            "labels",
            expected="rows of at least two classes",
            received=f"{found.rows} rows, all of class {int(stats.counts.argmax())}",
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
