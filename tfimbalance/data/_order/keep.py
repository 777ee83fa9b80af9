"""The probability that a row is kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import bad_value, check_number, check_same_length, per_class
from tfimbalance.data._order.sampling import ClassSampling
from tfimbalance.statistics import ClassStatistics

MOST_PER_CHUNK = 2**20
_LEAST = 1e-9
# Of the rarest class; then rounding changes no share by more than a hundredth.
_ROWS_EXPECTED = 50
Weights = Callable[[NDArray[Any]], NDArray[np.float64]]


class Keep:
    """The probability that a row is kept, in each class, and in its own."""

    def __init__(self, weight: Any, ids: NDArray[Any], num_classes: int) -> None:
        self._ids, self.num_classes = ids, num_classes
        self._of = self._reader(weight)
        of_class, variance = np.zeros(num_classes), 0.0
        for start in range(0, len(ids), MOST_PER_CHUNK):
            rows = np.arange(start, min(start + MOST_PER_CHUNK, len(ids)))
            own = self.own(rows)
            of_class += np.bincount(ids[rows], weights=own, minlength=num_classes)
            variance += (own * (1 - own)).sum()
        self.expected, self.deviation = float(of_class.sum()), math.sqrt(variance)
        # Of so many passes that a whole number of rows is what is expected, but for a hundredth.
        fewest = float(of_class[of_class > 0].min(initial=np.inf))
        passes = 10 ** max(0, math.ceil(math.log10(_ROWS_EXPECTED / fewest)))
        read = ClassStatistics(np.bincount(ids, minlength=num_classes) * passes)
        self.sampling = ClassSampling(read, ClassStatistics(np.rint(of_class * passes)))

    def _reader(self, weight: Any) -> Weights:
        if callable(weight):
            return lambda rows: self._matrix(self._called(weight, rows), len(rows))
        if hasattr(weight, "items") and not hasattr(weight, "to_numpy"):
            vector = per_class("keep_weight", weight)
            if len(vector) != self.num_classes:
                raise bad_value(
                    "keep_weight",
                    expected=f"a probability for each of {self.num_classes} classes",
                    received=f"{len(vector)} of them",
                )
            self._check(vector)
            return lambda rows: np.broadcast_to(vector, (len(rows), len(vector)))
        array = np.asarray(weight)
        if array.ndim == 0 or array.dtype.kind not in "biuf":
            number = check_number("keep_weight", weight, minimum=0.0, maximum=1.0)
            return lambda rows: self._matrix(np.full(len(rows), number), len(rows))
        check_same_length("keep_weight", len(array), reference="y", expected=len(self._ids))
        return lambda rows: self._matrix(np.asarray(array[rows], np.float64), len(rows))

    @staticmethod
    def _called(weight: Any, rows: NDArray[Any]) -> NDArray[np.float64]:
        try:
            return np.asarray(weight(rows), np.float64)
        except (TypeError, ValueError) as error:
            raise bad_value(
                "keep_weight",
                expected="a function of an array of row numbers, which returns their probabilities",
                received=f"one that raises: {error}",
            ) from error

    def _matrix(self, weights: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
        if weights.shape == (rows,):
            if self.num_classes > 2:
                raise bad_value(
                    "keep_weight",
                    expected=f"{{class: probability}} or (rows, {self.num_classes}) probabilities, "
                    "because more than two classes have no one negative",
                    received="one probability a row",
                )
            weights = np.stack([weights, np.ones(rows)], axis=1)
        if weights.shape != (rows, self.num_classes):
            raise bad_value(
                "keep_weight",
                expected=f"shape (rows,) or (rows, {self.num_classes})",
                received=f"shape {weights.shape} for {rows} rows",
            )
        self._check(weights)
        return weights

    def _check(self, weights: NDArray[np.float64]) -> None:
        outside = ~((weights >= _LEAST) & (weights <= 1))
        if outside.any():
            raise bad_value(
                "keep_weight",
                expected=f"probabilities of at least {_LEAST:g} and up to 1",
                received=f"{weights[outside][0]}",
                remedy="Scale scores first: np.clip(score * rate, 1e-6, 1.0).",
            )

    def own(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Return the probability that each row is kept, being of its class."""
        return np.asarray(np.take_along_axis(self._of(rows), self._ids[rows][:, None], 1)[:, 0])

    def offset(self, rows: NDArray[Any], per_class: bool) -> NDArray[np.float32]:
        """Return what keeping adds to the logit of each row, or to those of its classes."""
        logs = np.log(self._of(rows))
        return (logs if per_class else logs[:, 1:] - logs[:, :1]).astype(np.float32)
