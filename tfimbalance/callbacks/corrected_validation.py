"""Validation of what will be served: after the correction, at the natural rate."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfimbalance._checks import bad_value
from tfimbalance._evaluation.labels import UNKNOWN
from tfimbalance._evaluation.rows import Evaluated
from tfimbalance.callbacks.natural_rate import MOST_ERRORS
from tfimbalance.callbacks.validation import ValidationCallback
from tfimbalance.metrics import CalibrationRatio, NormalizedEntropy


class CorrectedValidation(ValidationCallback):
    """Measure, at the end of each epoch, the probabilities that will be served.

    Use it to stop or choose a model that is trained on re-balanced data: its raw probabilities are
    far off by design, and their loss hides when it starts to overfit. Behind this callback,
    ``EarlyStopping("val_corrected_normalized_entropy", mode="min", restore_best_weights=True)``
    stops on what is served. `tfimbalance.Rebalance.callbacks` makes it.

    Args:
        validation_data: a `Validation` with the correction, or rows as it takes them.
        metrics: Keras metrics of probabilities; by default `NormalizedEntropy` and, for one
            output, `CalibrationRatio`. Sequences reach them as rows.

    Logs:
        ``val_corrected_<metric>``; of an output, ``val_<output>_corrected_<metric>``.

    Raises:
        ValueError: for validation data without labels, of single rows, or without end.

    Warns:
        UserWarning: once training has ended, if the corrected probabilities of one output, or of a
            label, are on average four times its rate or a quarter of it, and were far off in all
            epochs: what was trained is then not what the correction undoes.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> plan = tfi.Rebalance(tfi.ClassStatistics([950, 50]), class_shares="balanced")
        >>> x, y = np.zeros((100, 2)), np.repeat([0, 1], [95, 5])
        >>> callback = tfi.callbacks.CorrectedValidation(plan.validation((x, y)))
    """

    def __init__(
        self, validation_data: Any, *, metrics: Sequence[keras.metrics.Metric] | None = None
    ) -> None:
        super().__init__(validation_data)
        if metrics is not None and not (
            isinstance(metrics, (list, tuple))
            and all(isinstance(metric, keras.metrics.Metric) for metric in metrics)
        ):
            raise bad_value("metrics", expected="a list of Keras metrics", received=repr(metrics))
        self.metrics = None if metrics is None else list(metrics)
        self._sums: Any = 0.0  # Expected and found positives of each output, and their variance.
        self._least: Any = np.inf  # By which factor, in powers of 2, the best epoch was off.

    def check(self, rows: Evaluated) -> None:
        """Choose the metrics, if nobody has."""
        if self.metrics is None:
            several = self.validation.multi_label
            unknown = UNKNOWN if several else None
            self.metrics = [NormalizedEntropy(multi_label=several, ignore_class=unknown)]
            self.metrics += [CalibrationRatio()] if rows.given.shape[1] == 1 else []
        for metric in self.metrics:
            _labels_for(metric, rows)

    def starts(self, epoch: int) -> bool:
        """Begin to measure."""
        self._sums = 0.0
        for metric in self.metrics or ():
            metric.reset_state()
        return True

    def take(self, rows: Evaluated) -> None:
        """Measure."""
        for metric in self.metrics or ():
            metric.update_state(_labels_for(metric, rows), rows.probability, rows.weight)
        if self.validation.correct is not None and not rows.is_softmax:
            p, y = rows.probability, rows.targets
            of_each = np.stack([p, y, p * (1.0 - p)])
            of_each = of_each if rows.known is None else of_each * rows.known
            self._sums += of_each.sum(axis=1)

    def finish(self, epoch: int, logs: dict[str, Any] | None) -> None:
        """Log."""
        values = {
            f"corrected_{m.name}": np.asarray(m.result()).tolist() for m in self.metrics or ()
        }
        self.validation.log(logs, "corrected", values)
        if np.ndim(self._sums):
            self._least = np.minimum(self._least, np.abs(self._off()))

    def on_train_begin(self, logs: Any = None) -> None:
        """Correct the model, and forget the fit before."""
        super().on_train_begin(logs)
        self._sums, self._least = 0.0, np.inf

    def on_train_end(self, logs: Any = None) -> None:
        """Forget the model, and say if its correction does not fit it."""
        super().on_train_end(logs)
        if np.ndim(self._sums) == 0 or not self.validation.is_natural:
            return
        off = self._off()
        wrong = (np.abs(off) > 2.0) & (self._least > 1.0)
        if wrong.any():
            k = int(np.argmax(np.where(wrong, np.abs(off), 0.0)))
            of_label = "" if len(off) == 1 else f" of label {k}"
            warnings.warn(
                f"CorrectedValidation: the corrected probabilities{of_label} are on average "
                f"{2.0 ** off[k]:.2g} times the rate of the validation rows. Look whether the "
                "model was trained as the plan says: on plan.dataset, with its loss, and without "
                "another class_weight in fit. Few steps from a bias that plan.prepare(model) did "
                "not set look like this, too.",
                stacklevel=2,
            )

    def _off(self) -> Any:
        """Return by how many powers of 2 probabilities are off; 0 where that may be chance."""
        expected, found, variance = self._sums
        # Where hardly anything is expected, what was found says how it varies.
        spread = np.sqrt(np.maximum(variance, found) * self.validation.steps)
        is_clear = np.abs(expected - found) > MOST_ERRORS * spread
        return np.where(is_clear, np.log2(np.maximum(expected, 1e-9) / np.maximum(found, 1.0)), 0.0)


def _labels_for(metric: keras.metrics.Metric, rows: Evaluated) -> Any:
    """Return labels as a metric takes them, or raise if it would count what is not known."""
    known = rows.known
    y_true = rows.targets if rows.one_hot else rows.labels
    if known is not None:
        mark = getattr(metric, "ignore_class", None)
        if mark in (None, 0, 1):
            raise bad_value(
                "metrics",
                expected="metrics that leave out labels that are not known",
                received=f"{metric.name!r}, whose ignore_class is {mark}",
                remedy="Metrics of tfimbalance take ignore_class=-1.",
            )
        y_true = np.where(known, rows.targets, mark)
    return y_true.astype("int64")
