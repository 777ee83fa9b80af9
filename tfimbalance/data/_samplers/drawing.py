"""The draw of an epoch: a sampler of imbalanced-learn, the data, and a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import bad_value, check_same_length, some_classes
from tfimbalance._labels import as_array
from tfimbalance.data._order.sampling import ClassSampling
from tfimbalance.data._order.words import seed_word
from tfimbalance.data._rows.labels import row_classes
from tfimbalance.data._rows.rows import Rows
from tfimbalance.data._samplers.columns import check_columns, checked_quantities, column_numbers
from tfimbalance.data._samplers.features import features, matrix
from tfimbalance.data._samplers.kinds import ignores_features, is_random, seeded, steps_of
from tfimbalance.data._samplers.origins import Resampled, resample
from tfimbalance.statistics import ClassStatistics


@dataclass(frozen=True)
class Draw:
    """Rows of one epoch: all of ``rows``, or those that ``index`` names."""

    rows: Rows
    index: NDArray[np.int64] | None
    num_rows: int


class Drawing:
    """Draws of epochs, each a function of (seed, epoch) alone; `start` settles their layout."""

    layout: Rows
    class_sampling: ClassSampling

    def __init__(
        self,
        x: Any,
        y: Any,
        sampler: Any,
        sample_weight: Any,
        row_ids: Any,
        quantities: Sequence[Any],
        seed: int,
    ) -> None:
        _check_sampler(sampler)
        self._sampler, self._seed = sampler, seed
        self._quantities = checked_quantities(quantities)
        self._y = y
        remedy = "Pass the classes to resample by, and row_ids= to look other labels up by."
        self._read, ids = row_classes("y", y, remedy=remedy)
        self._class, num_rows = ids.astype(np.int64), len(ids)
        self._weight = None if sample_weight is None else _weights(sample_weight, num_rows)
        self._ids = None if row_ids is None else _checked_row_ids(row_ids, num_rows)
        self._own: Rows | None = None
        self._single, self._checked = steps_of(sampler) is None, False
        self._x_dtype: np.dtype[Any] = np.dtype(np.float32)
        self._blind = ignores_features(sampler)
        if self._blind:
            # Row numbers stand for the rows, whatever those are.
            self._features = np.arange(num_rows)[:, None]
            self._own = self._rows(x, y, self._weight, self._ids)
            return
        self._features = features(x, num_rows, type(sampler).__name__, numbers=self._single)
        if self._single:
            column_numbers(self._features, self._quantities)

    @property
    def varies(self) -> bool:
        """Whether epochs may differ in their rows."""
        return is_random(self._sampler)

    def count(self, epoch: int) -> int:
        """Return how many rows the draw of an epoch has."""
        return len(self._resampled(epoch).y)

    def start(self, epoch: int) -> Draw:
        """Draw the rows of an epoch, and settle the layout of all draws."""
        drawn = self._resampled(epoch)
        if not self._blind:
            if drawn.are_own:
                own = matrix(self._features)
                self._x_dtype = np.dtype(own.dtype)
                self._own = self._rows(own, self._y, self._weight, self._ids)
            else:
                # That of the data, unless it cannot hold what was drawn. (A frame has many.)
                given = getattr(self._features, "dtype", None)
                floats = given is not None and given.kind == "f"
                self._x_dtype = np.dtype(given if floats else matrix(drawn.x).dtype)
        self.layout = self._own or self._made(drawn.first_row())
        counts = np.bincount(drawn.y, minlength=self._read.num_classes)
        self.class_sampling = ClassSampling(self._read, ClassStatistics(counts))
        return self._draw_of(drawn)

    def draw(self, epoch: int) -> Draw:
        """Draw the rows of an epoch."""
        return self._draw_of(self._resampled(epoch))

    def _draw_of(self, drawn: Resampled) -> Draw:
        if self._own is not None and drawn.are_own:
            return Draw(self._own, drawn.origin, len(drawn.y))
        return Draw(self._made(drawn), None, len(drawn.y))

    def _resampled(self, epoch: int) -> Resampled:
        sampler = seeded(self._sampler, lambda place: seed_word(self._seed, epoch, place) % 2**32)
        drawn = resample(sampler, self._features, self._class, self._check)
        self._check_drawn(drawn)
        return drawn

    def _check(self, sampler: Any, x: Any) -> None:
        # The data do not change from one epoch to the next; what steps of a pipeline hand on does.
        if not (self._blind or self._checked):
            check_columns(sampler, x, self._quantities)
            self._checked = self._single

    def _check_drawn(self, drawn: Resampled) -> None:
        name = type(self._sampler).__name__
        present = np.unique(drawn.y)
        if len(present) < 2 or not np.isin(present, self._class).all():
            classes = f"rows of {some_classes(present)}" if len(present) else "no rows"
            raise bad_value(
                "sampler",
                expected="one that draws rows of two classes of `y` or more",
                received=f"{classes} from {name}",
                remedy="Make it milder, for example by its sampling_strategy.",
            )
        if drawn.origin is None and not (self._weight is None and self._ids is None):
            given = "sample_weight" if self._ids is None else "row_ids"
            raise bad_value(
                "sampler",
                expected=f"one whose rows can be traced to those of `x`, because {given} was given",
                received=f"{name}, whose rows cannot",
                remedy=f"Leave out {given}, or use a sampler that selects rows or adds to them.",
            )

    def _made(self, drawn: Resampled) -> Rows:
        """Return rows that a draw holds itself."""
        x = matrix(drawn.x).astype(self._x_dtype, copy=False)
        weight = ids = None
        if drawn.origin is not None:
            # Where -1 leads does not matter: what a sampler made gets something else.
            kept = drawn.origin >= 0
            if self._weight is not None:
                means = self._mean_weights()[drawn.y]
                shape = [-1] + [1] * (means.ndim - 1)
                weight = np.where(kept.reshape(shape), self._weight[drawn.origin], means)
            if self._ids is not None:
                ids = np.where(kept, self._ids[drawn.origin], -1)
        return self._rows(x, self._labels(drawn.y), weight, ids)

    def _mean_weights(self) -> NDArray[Any]:
        assert self._weight is not None
        means = np.zeros((self._read.num_classes, *self._weight.shape[1:]), self._weight.dtype)
        for k in np.unique(self._class):
            means[k] = self._weight[self._class == k].mean(axis=0, dtype=np.float64)
        return means

    def _labels(self, ids: NDArray[np.int64]) -> NDArray[Any]:
        """Return class ids in the form in which labels were given."""
        given = as_array(self._y)
        if given.ndim == 2 and given.shape[1] > 1:
            return np.eye(given.shape[1], dtype=given.dtype)[ids]
        return ids.astype(given.dtype).reshape(-1, *given.shape[1:])

    @staticmethod
    def _rows(x: Any, y: Any, weight: Any, ids: Any) -> Rows:
        return Rows(x if ids is None else (x, ids), y, weight)


def _check_sampler(sampler: Any) -> None:
    methods = ("fit_resample", "get_params")
    if isinstance(sampler, type) or not all(hasattr(sampler, method) for method in methods):
        raise bad_value(
            "sampler",
            expected="a sampler of imbalanced-learn, or like one, with fit_resample and get_params",
            received=repr(sampler),
            remedy="For example sampler=imblearn.over_sampling.SMOTE(). A pipeline must be one of "
            "imbalanced-learn that ends with a sampler.",
        )


def _weights(sample_weight: Any, num_rows: int) -> NDArray[Any]:
    weight = np.asarray(sample_weight)
    if weight.dtype.kind not in "biuf" or weight.ndim == 0:
        raise bad_value(
            "sample_weight", expected="one number a row", received=f"dtype {weight.dtype}"
        )
    check_same_length("sample_weight", len(weight), reference="y", expected=num_rows)
    # The mean of whole numbers need not be one.
    return weight if weight.dtype.kind == "f" else weight.astype(np.float32)


def _checked_row_ids(row_ids: Any, num_rows: int) -> NDArray[np.int64]:
    numbers = np.asarray(row_ids)
    if numbers.dtype.kind not in "iu" or numbers.ndim != 1 or (numbers < 0).any():
        raise bad_value(
            "row_ids",
            expected="one integer a row, of at least 0: -1 stands for rows that a sampler made",
            received=f"{numbers.ravel()[:3].tolist()} ... of dtype {numbers.dtype} and shape "
            f"{numbers.shape}",
            remedy="Number the rows: row_ids=np.arange(len(y)).",
        )
    check_same_length("row_ids", len(numbers), reference="y", expected=num_rows)
    return numbers.astype(np.int64)
