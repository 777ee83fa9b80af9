"""Which items are drawn for a positive, and with which probability."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import bad_value
from tfimbalance.data._order.arrays import NumPyOps
from tfimbalance.data._order.words import seed_word, uniforms, words


class AliasTable:
    """Walker's method: a bucket for each item, shared with one other item.

    Built by sweeping the items that are too few for their bucket against those that are too many,
    all at once: Hübschle-Schneider & Sanders, Parallel weighted random sampling, ESA 2019, arXiv
    1903.00227, section 4.2.
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


# Draws that hit a known positive are drawn again so often; what is left is drawn from the others.
_TRIES = 32
_LEAST_LEFT = 1e-9
_USERS_KEPT = 256


class Known:
    """Which items each user has."""

    def __init__(
        self, users: NDArray[Any], items: NDArray[Any], probabilities: NDArray[np.float64]
    ) -> None:
        names, self._of_row = np.unique(users, return_inverse=True)
        self._width, self._probabilities = len(probabilities), probabilities
        self._others: dict[int, tuple[NDArray[Any], NDArray[np.float64]]] = {}
        self._pairs = np.unique(self._of_row * self._width + items.astype(np.int64))
        owner = self._pairs // self._width
        # What a draw must not give, as a probability.
        self.mass = np.bincount(owner, weights=probabilities[self._pairs % self._width])
        full = np.flatnonzero(1 - self.mass < _LEAST_LEFT)
        if full.size:
            raise bad_value(
                "exclude_positives",
                expected="items left to draw for every user",
                received=f"user {names[full[0]]}, whose positives are all that is ever drawn",
                remedy='Leave such users out, or draw from more items: distribution="uniform".',
            )

    def user(self, rows: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(self._of_row[rows])

    def has(self, user: NDArray[Any], items: NDArray[Any]) -> NDArray[np.bool_]:
        pair = user * self._width + items
        at = np.minimum(np.searchsorted(self._pairs, pair), len(self._pairs) - 1)
        return np.asarray(self._pairs[at] == pair)

    def of(self, user: int) -> NDArray[np.int64]:
        """Return the items of a user."""
        ends = np.searchsorted(self._pairs, [user * self._width, (user + 1) * self._width])
        return np.asarray(self._pairs[ends[0] : ends[1]] % self._width)

    def most(self, counted: NDArray[np.bool_]) -> int:
        """Return how many of the items that count the user has who has most of them."""
        pairs = self._pairs[counted[self._pairs % self._width]]
        return int(np.bincount(pairs // self._width, minlength=1).max())

    def others(self, user: int) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Return what a user does not have and is ever drawn, and its cumulated probabilities."""
        found = self._others.get(user)
        if found is None:
            is_left = self._probabilities > 0
            is_left[self.of(user)] = False
            left = np.flatnonzero(is_left)
            found = (left, np.cumsum(self._probabilities[left]))
            if len(self._others) >= _USERS_KEPT:
                self._others.clear()
            self._others[user] = found
        return found


class NegativeDraws:
    """Negatives of a positive, as a function of the seed and its place in the order."""

    def __init__(
        self,
        probabilities: NDArray[np.float64],
        items: NDArray[Any],
        num_negatives: int,
        known: Known | None,
        seed: int,
        *,
        replace: bool = True,
    ) -> None:
        self._probabilities, self._items, self._known = probabilities, items, known
        self._table = AliasTable(probabilities)
        self.num_negatives, self._replace = num_negatives, replace
        self._word = np.array([seed_word(seed, 1)], np.uint64)
        if not replace:
            self._check_enough()

    def draw(
        self, rows: NDArray[np.int64], places: NDArray[np.int64]
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Return items ``(rows, 1 + num_negatives)``, the positive first, and probabilities."""
        of_place = words(NumPyOps, self._word, places.astype(np.uint64))
        number = np.arange(self.num_negatives, dtype=np.uint64)
        word = words(NumPyOps, of_place[:, None], number)
        drawn = self._table.draw(word)
        positive = self._items[rows][:, None]
        scale = np.ones((len(rows), 1))
        user = None
        if self._known is not None:
            user = self._known.user(rows)
            scale = 1 / (1 - self._known.mass[user])[:, None]
        if user is not None or not self._replace:
            self._redraw(drawn, word, user)
        probability = np.concatenate(
            [self._probabilities[positive], self._probabilities[drawn] * scale], axis=1
        )
        items = np.concatenate([positive, drawn], axis=1).astype(self._items.dtype)
        return items, probability.astype(np.float32)

    def _check_enough(self) -> None:
        drawable = int(np.count_nonzero(self._probabilities))
        taken = self._known.most(self._probabilities > 0) if self._known else 0
        if drawable - taken < self.num_negatives:
            of_user = ", and not the positives of a user, for every user" if taken else ""
            raise bad_value(
                "num_negatives",
                expected=f"at most {drawable - taken} different items that are ever drawn{of_user}",
                received=self.num_negatives,
                remedy="replace=True draws an item more than once.",
            )

    def _redraw(self, drawn: NDArray[np.int64], word: Any, user: NDArray[Any] | None) -> None:
        """Draw again what must not be drawn: a known positive, or an item a second time.

        What is accepted are the first different ones of an endless sequence of draws, which is
        what drawing without replacement gives.
        """
        row, column = (part.ravel() for part in np.indices(drawn.shape))
        for attempt in range(_TRIES):
            if attempt:
                again = words(NumPyOps, word[row, column], np.array([attempt], np.uint64))
                drawn[row, column] = self._table.draw(again)
            wrong = self._wrong(drawn, row, column, user)
            row, column = row[wrong], column[wrong]
            if not row.size:
                return
        # Few items are left, or one that is drawn nearly always: by cumulated probabilities.
        fresh = words(NumPyOps, word[row, column], np.array([_TRIES], np.uint64))
        fraction = uniforms(fresh)
        if self._replace:
            assert self._known is not None
            assert user is not None
            for one in np.unique(user[row]):
                own = user[row] == one
                left, ends = self._known.others(int(one))
                drawn[row[own], column[own]] = left[
                    np.searchsorted(ends, fraction[own] * ends[-1], side="right")
                ]
            return
        for one in np.unique(row):
            own = row == one
            left = self._left(None if user is None else int(user[one]))
            left[np.delete(drawn[one], column[own])] = 0.0
            for at, share in zip(column[own], fraction[own], strict=True):
                ends = np.cumsum(left)
                drawn[one, at] = np.searchsorted(ends, share * ends[-1], side="right")
                left[drawn[one, at]] = 0.0

    def _wrong(
        self, drawn: NDArray[np.int64], row: Any, column: Any, user: NDArray[Any] | None
    ) -> NDArray[np.bool_]:
        wrong = np.zeros(len(row), bool)
        if self._known is not None and user is not None:
            wrong |= self._known.has(user[row], drawn[row, column])
        if not self._replace:
            touched, at = np.unique(row, return_inverse=True)
            is_new = np.zeros((len(touched), drawn.shape[1]), np.int64)
            is_new[at, column] = 1
            wrong |= _repeats(drawn[touched], is_new)[at, column]
        return wrong

    def _left(self, user: int | None) -> NDArray[np.float64]:
        """Return the probabilities of the items that a user does not have."""
        left = self._probabilities.copy()
        if self._known is not None and user is not None:
            left[self._known.of(user)] = 0.0
        return left


def _repeats(items: NDArray[np.int64], is_new: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which items of each row stand there already, those that are not new coming first."""
    order = np.argsort(2 * items + is_new, axis=1, kind="stable")
    by_item = np.take_along_axis(items, order, 1)
    again = np.zeros(items.shape, bool)
    again[:, 1:] = by_item[:, 1:] == by_item[:, :-1]
    repeats = np.empty_like(again)
    np.put_along_axis(repeats, order, again, 1)
    return repeats
