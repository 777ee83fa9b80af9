"""What the user says of class shares -> one exact share a class."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import bad_value, check_count, some_classes

IntArray = NDArray[np.int64]
# How far from 1 a sum of shares may be, for the sake of thirds.
_SLACK = Fraction(1, 1_000_000)
# As many rows as make counts of what is known as shares.
MANY_ROWS = 10**12


def resolve_shares(class_shares: Any, counts: IntArray) -> list[Fraction]:
    """Turn the user's ``class_shares`` into one exact share a class, summing to 1."""
    if isinstance(class_shares, str):
        return _named(class_shares, counts)
    if hasattr(class_shares, "items"):  # A mapping or a pandas series: by class, not by position.
        return _shares_of_mapping(class_shares, counts)
    values = np.asarray(class_shares, dtype=object).ravel().tolist()
    check_count("class_shares", len(values), len(counts), "shares")
    shares = [_share(k, value) for k, value in enumerate(values)]
    _check_rows(dict(enumerate(shares)), counts)
    return _normalised(shares)


def _named(name: str, counts: IntArray) -> list[Fraction]:
    total, present = int(counts.sum()), int(np.count_nonzero(counts))
    if name == "natural":
        return [Fraction(int(count), total) for count in counts]
    if name == "balanced":
        return [Fraction(int(count > 0), present) for count in counts]
    raise bad_value(
        "class_shares",
        expected='"balanced", "natural", {class: share} or one share a class',
        received=repr(name),
    )


def _shares_of_mapping(class_shares: Mapping[Any, Any], counts: IntArray) -> list[Fraction]:
    chosen: dict[int, Fraction] = {}
    for key, value in class_shares.items():
        if isinstance(key, bool) or not isinstance(key, numbers.Integral) or key < 0:
            raise bad_value(
                "class_shares", expected="integer class ids as keys", received=f"the key {key!r}"
            )
        chosen[int(key)] = _share(key, value)
    _check_rows(chosen, counts)
    rest = {k: int(count) for k, count in enumerate(counts) if k not in chosen and count > 0}
    if not rest:
        return _normalised([chosen.get(k, Fraction(0)) for k in range(len(counts))])
    left = 1 - sum(chosen.values())
    if left <= _SLACK:
        raise bad_value(
            "class_shares",
            expected="shares that sum to less than 1, because "
            f"{some_classes(list(rest))} share the rest",
            received=f"a sum of {float(1 - left):g}",
            remedy="Name every class, with 0 for those to leave out.",
        )
    total = sum(rest.values())
    return [
        chosen[k] if k in chosen else left * Fraction(rest.get(k, 0), total)
        for k in range(len(counts))
    ]


def _share(k: Any, value: Any) -> Fraction:
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        raise bad_value(
            "class_shares", expected="shares of at least 0", received=f"{value!r} for class {k}"
        )
    share = Fraction(float(value)).limit_denominator(1_000_000_000)
    if share == 0 and value > 0:
        raise bad_value(
            "class_shares", expected="0, or at least 1e-9", received=f"{value!r} for class {k}"
        )
    return share


def _check_rows(shares: Mapping[int, Fraction], counts: IntArray) -> None:
    for k, share in shares.items():
        if share > 0 and (k >= len(counts) or counts[k] == 0):
            raise bad_value(
                "class_shares",
                expected="shares of classes that have rows",
                received=f"a share of {float(share):g} for class {k}, which has none",
                remedy="The labels hold " + some_classes(np.flatnonzero(counts)) + ".",
            )


def _normalised(shares: list[Fraction]) -> list[Fraction]:
    total = sum(shares, Fraction(0))
    if abs(total - 1) > _SLACK:
        raise bad_value(
            "class_shares",
            expected="shares that sum to 1",
            received=f"a sum of {float(total):g}",
            remedy="A mapping may name some classes only: the rest keeps its own proportions.",
        )
    return [share / total for share in shares]


def check_batch_size(batch_size: int, shares: list[Fraction], *, or_turns: bool = False) -> None:
    """Raise unless a batch holds a row of every class that has a share."""
    with_share = sum(share > 0 for share in shares)
    if batch_size < with_share:
        raise bad_value(
            "batch_size",
            expected=f"at least {with_share}, one row for each class that has a share",
            received=batch_size,
            remedy="Raise batch_size, or give fewer classes a share: class_shares={class: share}."
            + (" small_batches=True lets classes take turns." if or_turns else ""),
        )
