"""Labels -> how many rows each class has: of arrays, and of datasets batch by batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import bad_value, check_mark, per_class
from tfimbalance._labels import (
    as_array,
    check_dataset,
    class_ids,
    classes_of_files,
    is_one_row,
    refuse_one_hot,
    zero_one,
)

_ROWS_PER_READ = 65_536


class Counts(NamedTuple):
    """What was counted."""

    counts: NDArray[np.int64]  # Of each class or label.
    rows: int
    known: NDArray[np.int64] | None = None  # Rows in which each label is known; None: all.


def whole_counts(argument: str, counts: Any) -> NDArray[np.int64]:
    """Return a whole number of rows for each class."""
    try:
        # A mapping or a pandas series, as value_counts() makes it, is by class, not by position.
        by_class = hasattr(counts, "items")
        given: NDArray[Any] = np.asarray(per_class(argument, counts) if by_class else counts)
    except ValueError:  # Rows of unequal length.
        if by_class:
            raise
        given = np.zeros(0)
    whole = given.dtype.kind in "iuf" and bool(np.all(np.floor(given) == given))
    is_list = given.ndim == 1 and given.size > 0
    if not (is_list and whole and ((given >= 0) & (given < 2**62)).all()):
        raise bad_value(
            argument,
            expected="one whole number of rows a class, at least 0",
            received=f"{counts!r}",
            remedy="Count labels with tfi.class_statistics(labels).",
        )
    found = given.astype(np.int64)
    found.setflags(write=False)
    return found


def count_array(
    array: NDArray[Any], *, num_classes: int | None, multi_label: bool, ignore_class: int | None
) -> Counts:
    """Count the labels of an array; see `tfimbalance.class_statistics`."""
    if multi_label:
        return _count_labels(array, num_classes, ignore_class)
    if ignore_class is not None:
        refuse_one_hot(array, ignore_class)
        array = array[array != ignore_class]
        if not array.size:
            return Counts(np.zeros(num_classes or 1, np.int64), 0)
    ids, width = class_ids(array, num_classes=num_classes)
    return Counts(np.bincount(ids.ravel(), minlength=width).astype(np.int64), int(ids.size))


def _count_labels(array: NDArray[Any], num_classes: int | None, ignore_class: int | None) -> Counts:
    check_mark(ignore_class)
    if array.ndim < 2:
        raise bad_value(
            "labels",
            expected="multi-label rows of shape (rows, num_labels)",
            received=f"shape {array.shape}",
        )
    if num_classes not in (None, array.shape[-1]):
        raise bad_value("num_classes", expected=f"{array.shape[-1]} labels", received=num_classes)
    remedy = (
        "Threshold soft labels: labels > 0.5. Labels that are not known: ignore_class=-1 (of NaN, "
        "np.nan_to_num(labels, nan=-1) first). Labels of -1 and 1: labels > 0."
    )
    hit = zero_one(array, kind="multi-label", remedy=remedy, ignore_class=ignore_class)
    counts = hit.sum(axis=0, dtype=np.int64)
    if ignore_class is None:
        return Counts(counts, len(hit))
    known = array.reshape(hit.shape) != ignore_class
    return Counts(counts, int(known.any(axis=1).sum()), known.sum(axis=0, dtype=np.int64))


def count_dataset(
    dataset: Any,
    count: Callable[[NDArray[Any]], Counts],
    multi_label: bool,
    ignore_class: int | None,
) -> Counts:
    """Count the labels of a dataset, which is read once, with a function of an array."""
    target, spec = check_dataset(dataset, argument="labels"), dataset.element_spec
    of_files = classes_of_files(dataset, target)
    if of_files is not None:
        return count(of_files)
    only_y = dataset if target is spec else dataset.map(lambda *element: element[1])
    # Beside an id that does not count, ids are counted with all their axes.
    is_flat = ignore_class is not None and not multi_label
    if target.shape.rank == 0 or (not is_flat and is_one_row(target, spec, multi_label)):
        only_y = only_y.batch(_ROWS_PER_READ)
    total = Counts(np.zeros(1, np.int64), 0)
    for batch in only_y.as_numpy_iterator():
        found = count(as_array(batch))
        known = found.known
        if known is not None and total.known is not None:
            known = known + total.known
        total = Counts(_sum(total.counts, found.counts), total.rows + found.rows, known)
    return total


def _sum(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sum of counts of which one may have more classes."""
    total = np.zeros(max(len(one), len(other)), np.int64)
    total[: len(one)] += one
    total[: len(other)] += other
    return total
