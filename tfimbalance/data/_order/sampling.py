"""What a dataset read and what it handed out, class by class."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tfimbalance.offsets import prior_shift
from tfimbalance.statistics import ClassStatistics


@dataclass(frozen=True)
class ClassSampling:
    """How many rows of each class a dataset read, and how many it handed out.

    `shift` says what to add to the logits of a model trained on it.

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
        >>> round(float(sampling.shift()), 3)
        -4.595
    """

    read: ClassStatistics
    drawn: ClassStatistics
    lost: int = field(default=0, kw_only=True)

    @property
    def rates(self) -> NDArray[np.float64]:
        """Rows handed out for a row read, of each class; NaN for a class that never came."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.drawn.counts / self.read.counts, np.float64)

    def shift(self) -> NDArray[np.float64]:
        """Return what to add to the logits of a model trained on the dataset, in nats.

        Two classes have one number, for one logit; more have one a class, for a softmax. (A
        softmax of two classes takes ``prior_shift(sampling.drawn, sampling.read)``.)
        """
        if self.read.num_classes == 2:
            return prior_shift(self.drawn.priors[1], self.read.priors[1])
        return prior_shift(self.drawn, self.read)
