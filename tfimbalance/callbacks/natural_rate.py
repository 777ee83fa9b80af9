"""A warning for validation data that is not at its natural rate."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import keras
import numpy as np

from tfimbalance._checks import FloatArray, check_integer, checked_ignore_class
from tfimbalance._labels import is_dataset
from tfimbalance.data import class_sampling
from tfimbalance.offsets import natural_priors
from tfimbalance.statistics import ClassStatistics, class_statistics

_ADVICE = (
    "Re-sampled rows say nothing of probabilities, thresholds or precision: validate at the "
    "natural rate. If it is another population, take its priors: target_priors."
)
# Standard errors between a rate and its prior: chance exceeds it once in two million.
MOST_ERRORS = 5.0


def rate_z(
    stats: ClassStatistics, priors: FloatArray, totals: Any = None, steps: int = 1
) -> FloatArray:
    """Return by how many standard errors each rate differs from a prior of so many rows each.

    The pixels of a mask, or the steps of a sequence, may all be alike: ``steps`` are one draw.
    """
    # In square roots of counts, whose spread is 1/2 however few they are: the binomial's own
    # standard error calls one row of a class that chance gave .01 a wonder, which a long tail has
    # always.
    rows = stats.totals / steps
    # Of a frequent class, the rows of the others: both have the same error.
    flipped = priors > 0.5
    counts = np.where(flipped, stats.totals - stats.counts, stats.counts) / steps
    expected = np.where(flipped, 1.0 - priors, priors) * rows
    ratio = 0.0 if totals is None else stats.totals / np.maximum(totals, 1)
    # The prior's own count is as uncertain: 3/8 makes its root as steady (Anscombe).
    found = np.sqrt(counts + 0.375)
    wanted = np.sqrt(expected + 0.375 * np.maximum(ratio, 1.0))
    return np.asarray(2.0 * np.abs(found - wanted) / np.sqrt(1.0 + ratio))


def resampled(data: Any) -> ClassStatistics | None:
    """Return what a re-balanced dataset of this package hands out, without reading it."""
    if not is_dataset(data):
        return None
    try:
        sampling = class_sampling(data)
    except ValueError:  # Another dataset, or one of which nothing has been read.
        return None
    return sampling.drawn if sampling.drawn != sampling.read else None


class NaturalRate(keras.callbacks.Callback):
    """Warn if the validation data of ``fit`` is not at its natural rate.

    Use it beside balanced batches, class weights and everything else after which probabilities have
    to be corrected: on re-sampled rows, they all look fine. Before the first validation it looks at
    the labels of arrays, and at what datasets of this package say of themselves. Other datasets it
    cannot judge; `Validation`, which reads their rows, can. `check` looks at labels at once.

    Args:
        priors: `ClassStatistics` of the data at its natural rate (those of multi-label data too),
            counts or probabilities of the classes, or the prior of the positives of two.
        ignore_class: label that does not count; of several a row, what is not known.

    Raises:
        ValueError: for a class of prior 0 (named).

    Example:
        >>> import tfimbalance as tfi
        >>> callback = tfi.callbacks.NaturalRate(tfi.ClassStatistics([950, 50]))
        >>> callback.priors.tolist()
        [0.95, 0.05]
    """

    def __init__(self, priors: Any, *, ignore_class: int | None = None) -> None:
        super().__init__()
        self.ignore_class = checked_ignore_class(ignore_class)
        is_stats = isinstance(priors, ClassStatistics)
        self.multi_label = is_stats and priors.multi_label
        self.priors = priors.priors if self.multi_label else natural_priors(priors)
        self._totals = priors.totals if is_stats and priors.num_samples else None
        self._has_looked = False

    def check(
        self,
        labels: Any,
        *,
        where: str = "validation_data",
        advice: str = _ADVICE,
        steps: int = 1,
    ) -> float:
        """Warn if rows are not at the natural rate; return the most standard errors of a class.

        Args:
            labels: labels, ``(x, y)``, or a dataset, as `class_statistics` takes them.
            where: what the warning calls the rows.
            advice: what the warning says to do.
            steps: how many labels stand or fall together: the pixels of a mask, the steps of a
                sequence.
        """
        steps = check_integer("steps", steps, minimum=1)
        found = labels if isinstance(labels, ClassStatistics) else resampled(labels)
        if found is None:
            labels = labels[1] if isinstance(labels, tuple) else labels
            found = class_statistics(
                labels,
                num_classes=len(self.priors),
                multi_label=self.multi_label,
                ignore_class=self.ignore_class,
            )
        z = rate_z(found, self.priors, self._totals, steps)
        # Of two classes with the same distance, the rarer.
        off = int(np.lexsort((self.priors, -z.round(6)))[0])
        if z[off] > MOST_ERRORS:
            share = found.counts[off] / found.totals[off]
            warnings.warn(
                f"{where}: class {off} is {share:.3g} of the rows, and "
                f"{self.priors[off]:.3g} of the data that the priors are of, {z[off]:.0f} standard "
                f"errors apart. {advice}",
                stacklevel=2,
            )
        return float(z[off])

    def on_train_begin(self, logs: Any = None) -> None:
        """Look again in another fit."""
        self._has_looked = False

    def on_test_begin(self, logs: Any = None) -> None:
        """Look at the validation data, the first time."""
        if self._has_looked:
            return
        self._has_looked = True
        labels, steps = self._labels(), 1
        if isinstance(labels, np.ndarray) and not self.multi_label and labels.ndim > 1:
            if labels.shape[-1] == len(self.priors):  # One-hot.
                steps = int(np.prod(labels.shape[1:-1]))
            else:
                steps, labels = int(np.prod(labels.shape[1:])), labels.ravel()
            if steps > 1 and _masks(self.model):  # Which steps are padding, a callback cannot see.
                return
        # Labels of another kind, or of none, say nothing.
        with contextlib.suppress(ValueError, TypeError):
            if labels is not None:
                self.check(labels, where="validation_data of fit", steps=max(steps, 1))

    def _labels(self) -> Any:
        """Return the labels, where Keras keeps them; where it has moved them, say nothing."""
        adapter = getattr(getattr(self.model, "_eval_epoch_iterator", None), "data_adapter", None)
        dataset = getattr(adapter, "_dataset", None)
        if dataset is not None:
            return dataset if resampled(dataset) is not None else None
        arrays = getattr(adapter, "_inputs", None)
        # Labels of several outputs are not those of one plan.
        if not isinstance(arrays, tuple) or len(arrays) < 2 or not hasattr(arrays[1], "shape"):
            return None
        return np.asarray(arrays[1])


def _masks(model: keras.Model) -> bool:
    """Tell whether a layer of a model makes a mask."""
    layers = model._flatten_layers()
    return any(
        getattr(layer, "mask_zero", False) or isinstance(layer, keras.layers.Masking)
        for layer in layers
    )
