"""What a dataset read and what it handed out, class by class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
