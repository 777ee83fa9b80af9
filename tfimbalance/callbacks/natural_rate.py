"""A warning for validation data that is not at its natural rate."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfimbalance.callbacks._rates import resampled, warn_of_rates
from tfimbalance.offsets import class_priors
from tfimbalance.statistics import ClassStatistics, class_statistics


class NaturalRate(keras.callbacks.Callback):
    """Warn if the validation data of ``fit`` is not at its natural rate.

    Use it beside balanced batches, class weights and everything else after which probabilities have
    to be corrected: validated on re-sampled rows, every one of them looks fine. It looks at the
    labels of arrays, and at what datasets of this package say of themselves, once, before the
    first validation; of any other dataset it cannot know (`CorrectedValidation`,
    `ThresholdTuner` and `ClassReport`, which read theirs, do).

    Args:
        priors: `ClassStatistics` of the data at its natural rate (those of multi-label data too),
            counts or probabilities of the classes.

    Raises:
        ValueError: for a class of prior 0 (named).

    Example:
        >>> import tfimbalance as tfi
        >>> callback = tfi.callbacks.NaturalRate(tfi.ClassStatistics([950, 50]))
        >>> callback.priors.tolist()
        [0.95, 0.05]
    """

    def __init__(self, priors: Any) -> None:
        super().__init__()
        is_stats = isinstance(priors, ClassStatistics)
        self.multi_label = is_stats and priors.multi_label
        self.priors = priors.priors if self.multi_label else class_priors(priors)
        self.num_samples = priors.num_samples if is_stats else None
        self._looked = False

    def on_test_begin(self, logs: Any = None) -> None:
        """Look at the validation data, the first time."""
        if not self._looked:
            self._looked = True
            stats = self._statistics()
            if stats is not None and stats.num_classes == len(self.priors):
                warn_of_rates(stats, self.priors, self.num_samples, where="validation_data of fit")

    def _statistics(self) -> ClassStatistics | None:
        """Count the labels, where Keras keeps them; where it has moved them, say nothing."""
        adapter = getattr(getattr(self.model, "_eval_epoch_iterator", None), "data_adapter", None)
        dataset = getattr(adapter, "_dataset", None)
        if dataset is not None:
            return resampled(dataset)
        arrays = getattr(adapter, "_inputs", None)
        if not isinstance(arrays, tuple) or len(arrays) < 2 or isinstance(arrays[1], dict):
            return None
        try:
            labels = np.asarray(arrays[1])
            if not self.multi_label and labels.ndim > 1 and labels.shape[-1] != len(self.priors):
                labels = labels.ravel()  # Sequences of ids.
            return class_statistics(
                labels, num_classes=len(self.priors), multi_label=self.multi_label
            )
        except (ValueError, TypeError):  # Labels of a kind that has no classes.
            return None
