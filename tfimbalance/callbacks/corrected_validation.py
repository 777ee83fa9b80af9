"""Validation of what will be served: after the correction, at the natural rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tfimbalance._checks import bad_value
from tfimbalance._evaluation.predictions import check_rows, predicted_batches
from tfimbalance.callbacks.natural_rate import check_natural
from tfimbalance.metrics import CalibrationRatio, NormalizedEntropy
from tfimbalance.statistics import ClassStatistics


class CorrectedValidation(keras.callbacks.Callback):
    """Measure, at the end of each epoch, the probabilities that will be served.

    Use it to stop or choose a model that is trained on re-balanced data: its raw validation loss is
    that of probabilities that are far off by design, and hides when it starts to overfit.
    ``EarlyStopping("val_corrected_normalized_entropy", mode="min", restore_best_weights=True)``,
    behind this callback in the list, stops on what is served. `tfimbalance.Rebalance.callbacks`
    makes it.

    Args:
        validation_data: ``(x, y)``, ``(x, y, sample_weight)`` or a finite dataset of batches of
            them, at the natural rate. It is read once an epoch.
        correct: a function of the model that returns the corrected one, such as
            `tfimbalance.Rebalance.corrected`.
        metrics: Keras metrics of probabilities; by default `NormalizedEntropy` and, for one
            output, `CalibrationRatio`.
        priors: of the natural rate, to warn if ``validation_data`` is not; or None.
        output: which of several named outputs is measured.
        batch_size: rows of arrays that are predicted at once.

    Logs:
        ``val_corrected_<name of the metric>`` for each of them.

    Raises:
        ValueError: for validation data without labels, of single rows, or without end.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> plan = tfi.Rebalance(tfi.ClassStatistics([950, 50]), class_shares="balanced")
        >>> x, y = np.zeros((100, 2)), np.repeat([0, 1], [95, 5])
        >>> callback = tfi.callbacks.CorrectedValidation((x, y), plan.corrected)
    """

    def __init__(
        self,
        validation_data: Any,
        correct: Callable[[keras.Model], keras.Model],
        *,
        metrics: Sequence[keras.metrics.Metric] | None = None,
        priors: Any = None,
        output: str | None = None,
        batch_size: int = 1024,
    ) -> None:
        super().__init__()
        check_rows(validation_data, argument="validation_data", output=output)
        self.validation_data = validation_data
        self.correct = correct
        self.metrics = None if metrics is None else list(metrics)
        self.priors = priors
        self.output = output
        self.batch_size = batch_size
        self._corrected: keras.Model | None = None
        self._looked = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Correct the model: the result shares its weights, and follows them."""
        self._corrected = self.correct(self.model)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Measure, and log."""
        batches = predicted_batches(
            self._corrected, self.validation_data, output=self.output, batch_size=self.batch_size
        )
        labels = []
        for rows in batches:
            metrics = self._metrics(rows.y_pred)
            for metric in metrics:
                metric.update_state(rows.y_true, rows.y_pred, rows.sample_weight)
            if not self._looked and self.priors is not None:
                sequence = rows.y_true.ndim == rows.y_pred.ndim - 1
                labels.append(rows.y_true.ravel() if sequence else rows.y_true)
        if self.metrics is None:
            raise bad_value(
                "validation_data", expected="at least one batch", received="an empty dataset"
            )
        if not self._looked:
            self._looked = True
            every_label = np.concatenate(labels) if self.priors is not None else None
            check_natural(every_label, self.validation_data, self.priors)
        for metric in self.metrics:
            if logs is not None:
                logs[f"val_corrected_{metric.name}"] = np.asarray(metric.result()).tolist()
            metric.reset_state()

    def _metrics(self, y_pred: Any) -> list[keras.metrics.Metric]:
        if self.metrics is None:
            one_output = np.ndim(y_pred) == 1 or np.shape(y_pred)[-1] == 1
            several = isinstance(self.priors, ClassStatistics) and self.priors.multi_label
            self.metrics = [NormalizedEntropy(multi_label=several)]
            self.metrics += [CalibrationRatio()] if one_output else []
        return self.metrics
