"""What a dataset read and what it handed out, class by class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfimbalance._checks import bad_value
from tfimbalance.data._pipeline import owners
from tfimbalance.statistics import ClassStatistics


@dataclass(frozen=True)
class ClassSampling:
    """How many rows of each class a dataset read, and how many it handed out.

    What to add to the logits of a model trained on it:

        a softmax:  prior_shift(sampling.drawn, sampling.read)
        one logit:  prior_shift(sampling.drawn.priors[1], sampling.read.priors[1])

    Args:
        read: rows of each class in the data, as they come.
        drawn: rows of each class in the batches.
        lost: rows of a stream that went by unused before all of its classes had come.

    Example:
        >>> import tfimbalance as tfi
        >>> sampling = tfi.data.ClassSampling(
        ...     tfi.ClassStatistics([990, 10]), tfi.ClassStatistics([500, 500])
        ... )
        >>> sampling.rates.round(3).tolist()
        [0.505, 50.0]
        >>> tfi.prior_shift(sampling.drawn, sampling.read).round(3).tolist()
        [0.683, -3.912]
        >>> round(float(tfi.prior_shift(sampling.drawn.priors[1], sampling.read.priors[1])), 3)
        -4.595
    """

    read: ClassStatistics
    drawn: ClassStatistics
    lost: int = 0

    @property
    def rates(self) -> NDArray[np.float64]:
        """Rows handed out for a row read, of each class; NaN for a class that never came."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.drawn.counts / self.read.counts, np.float64)

    def __add__(self, other: ClassSampling) -> ClassSampling:
        return ClassSampling(
            self.read + other.read, self.drawn + other.drawn, self.lost + other.lost
        )


def class_sampling(dataset: tf.data.Dataset) -> ClassSampling:
    """Return how many rows of each class a dataset of this package read and handed out.

    Of arrays that is known beforehand: one epoch (of `weighted_undersampling`, what one pass is
    expected to keep). Of `balanced_stream` it is what was made so far, in all epochs, some batches
    ahead of those that `fit` has taken. `ClassSampling` says what to add to the logits.

    Args:
        dataset: from this package, or made from one by ``map``, ``prefetch`` and the like.

    Raises:
        ValueError: for another dataset, or one of which nothing has been read.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> y = np.repeat([0, 1], [990, 10])
        >>> dataset = tfi.data.balanced_batches(np.arange(1000), y, batch_size=100)
        >>> tfi.data.class_sampling(dataset.prefetch(1)).drawn.counts.tolist()
        [500, 500]
    """
    if isinstance(dataset, tf.data.Dataset):
        for owner in owners(dataset):
            if hasattr(owner, "class_sampling"):
                sampling: ClassSampling = owner.class_sampling()
                return sampling
    raise bad_value(
        "dataset",
        expected="one of this package that changes how often classes come, or made from it",
        received=f"{dataset!r}",
        remedy="Of a dataset that went through a tf.data service, or was made with in_graph=True, "
        "count what arrives: class_statistics(dataset).",
    )
