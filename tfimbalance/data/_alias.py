"""Items drawn with probabilities, in constant time each, as a function of random words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class AliasTable:
    """Walker's method: a bucket for each item, shared with one other item.

    A draw picks a bucket, and its item or the other one. Built by sweeping the items that are too
    few for their bucket against those that are too many, all at once [1, section 4.2].

    Args:
        probabilities: of the items, adding up to 1.

    References:
        [1] Hübschle-Schneider & Sanders, Parallel weighted random sampling, ESA 2019,
        arXiv 1903.00227.
    """

    def __init__(self, probabilities: NDArray[np.float64]) -> None:
        size = len(probabilities)
        share = probabilities * size
        light, heavy = np.flatnonzero(share < 1), np.flatnonzero(share > 1)
        self.alias, self.own = np.arange(size), np.minimum(share, 1.0)  # One that has 1 is done.
        if light.size and heavy.size:
            # What the light ones lack, taken from the heavy ones in turn; a heavy one that has
            # given too much lacks the rest itself, and the next one fills that up.
            lacking, excess = np.cumsum(1 - share[light]), np.cumsum(share[heavy] - 1)
            # Both searches must compare the same sums: another rounding moves a whole bucket.
            giver = np.searchsorted(excess, np.append(0.0, lacking[:-1]), side="right")
            self.alias[light] = heavy[np.minimum(giver, len(heavy) - 1)]
            last = np.searchsorted(lacking, excess)
            spent = last < len(lacking)
            given_too_much = lacking[np.minimum(last, len(lacking) - 1)] - excess
            self.own[heavy] = np.where(spent, 1 - given_too_much, 1.0)
            self.alias[heavy[:-1]] = heavy[1:]
        # Rounding may leave the last bucket without a giver: it keeps what it has.
        self.own[self.alias == np.arange(size)] = 1.0

    def draw(self, words: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return an item for each random word."""
        scaled = (words >> np.uint64(11)) * (2.0**-53 * len(self.own))
        bucket = np.minimum(scaled.astype(np.int64), len(self.own) - 1)
        is_own = scaled - bucket < self.own[bucket]
        return np.asarray(np.where(is_own, bucket, self.alias[bucket]))
