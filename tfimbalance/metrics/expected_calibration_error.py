"""Expected calibration error over bins of equal mass, and its floor."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._tensors import Tensor
from tfimbalance.metrics._base import RowMetric, mean_where, ratio
from tfimbalance.metrics._grid import check_num_bins, sums_by, sums_over
from tfimbalance.metrics._rows import MetricRows

_CELLS = 8192


@keras.saving.register_keras_serializable("tfimbalance")
class ExpectedCalibrationError(RowMetric):
    """How far probabilities are from the frequencies of what they predict, on average.

    Use it after any correction of probabilities, and compare it with `floor`: a perfectly
    calibrated model does not score 0 on finite data. It says nothing about ranking: always
    predicting the base rate scores 0.

        sum over bins b of  (n_b / N) |mean p in b - mean y in b|

    The bins hold equal shares of the rows, up to one cell of a fine grid of log odds: bins of equal
    width put nearly all rows of rare events in the first one. Classes and labels are taken one by
    one against the rest, and averaged [2].

    Args:
        num_bins: number of bins. Their grid takes 256 KiB a class or label.
        from_logits, multi_label, ignore_class, name, dtype: as `AUC`.

    Shapes:
        y_true, y_pred, sample_weight: as `AUC`. Returns a scalar in [0, 1].

    Raises:
        ValueError: for shapes that do not fit, or class ids outside ``y_pred`` (in a graph the
            result is NaN).

    Example:
        >>> import tfimbalance as tfi
        >>> metric = tfi.metrics.ExpectedCalibrationError(num_bins=2)
        >>> round(float(metric([0, 0, 0, 1], [0.1, 0.1, 0.7, 0.7])), 4)  # (0.1 + 0.2) / 2
        0.15

    References:
        [1] Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning,
            AAAI 2015.
        [2] Nixon et al., Measuring Calibration in Deep Learning, CVPR workshops 2019,
            arXiv 1904.01685.
    """

    _direction = "down"
    _soft = True

    def __init__(
        self,
        *,
        num_bins: int = 15,
        from_logits: bool = False,
        multi_label: bool = False,
        ignore_class: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, multi_label, ignore_class, name, dtype)
        self.num_bins = check_num_bins(num_bins, minimum=1)

    def floor(self) -> Tensor:
        """Return the error to expect of perfectly calibrated predictions like these.

        With variance ``V_b``, the sum of ``p (1 - p)`` over the rows of a bin, frequencies are off
        by ``sqrt(2 V_b / pi)`` rows on average if there are many [normal law], and by ``2 V_b`` if
        less than a fraction of a positive is expected [Poisson's]; the smaller one holds:

            sum over bins of  min(sqrt(2 V_b / pi), 2 V_b) / N

        That is ``sum_b (n_b / N) sqrt(2 p_b (1 - p_b) / (pi n_b))`` where ``p`` varies little
        within a bin and positives are many. Beside weights ``w`` the root is of the sum of
        ``w**2 p (1 - p)``, so that their scale does not matter; a row of weight 2 is not two rows.
        """
        return self._as_result(self._floor)

    def _build(self, rows: MetricRows) -> None:
        self._cells = self._sums("cells", (5, rows.width, _CELLS))

    def _accumulate(self, rows: MetricRows, *more: Tensor) -> None:
        p = ops.cast(rows.probabilities(), rows.weight.dtype)
        weight = rows.weights * ops.ones_like(p)
        y = ops.cast(rows.targets(), weight.dtype)
        variance = p * (1.0 - p)
        values = [weight, weight * p, weight * y, weight * variance, weight**2 * variance]
        column = ops.arange(rows.width, dtype="int32")
        self._cells.assign_add(sums_over(rows.log_odds(), column, values, rows.width, _CELLS))

    def _merged(self) -> Tensor:
        """Return sums of bins of equal mass, ``(5, width, bins)``, as they are accumulated."""
        cells = ops.convert_to_tensor(self._cells)
        weight = cells[0]
        middle = ops.cumsum(weight, axis=-1) - weight / 2
        share = ops.divide_no_nan(middle, ops.sum(weight, axis=-1, keepdims=True))
        place = ops.clip(ops.floor(share * self.num_bins), 0, self.num_bins - 1)
        _, width, _ = cells.shape
        ids = ops.cast(ops.where(ops.isnan(place), 0.0, place), "int32")
        column = ops.expand_dims(ops.arange(width, dtype="int32"), -1)
        return sums_by(ids, column, ops.unstack(cells, 5, axis=0), width, self.num_bins)

    def _value(self) -> Tensor:
        weight, predicted, seen = ops.unstack(self._merged(), 5, axis=0)[:3]
        return _mean_of(ops.abs(predicted - seen), weight)

    def _floor(self) -> Tensor:
        weight, _, _, variance, of_squares = ops.unstack(self._merged(), 5, axis=0)
        return _mean_of(ops.minimum(ops.sqrt(2.0 / np.pi * of_squares), 2.0 * variance), weight)


def _mean_of(gaps: Tensor, weight: Tensor) -> Tensor:
    """Sum over bins, relative to the weight of all rows; mean over the classes."""
    total = ops.sum(weight, axis=-1)
    return mean_where(ratio(ops.sum(gaps, axis=-1), total), total != 0)
