"""How often each item is drawn, learned while a model trains."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tfimbalance._checks import FloatArray, bad_value, check_integer, check_number
from tfimbalance._tensors import Tensor, is_class, refuse_values
from tfimbalance.retrieval._arguments import checked_size, read_counts
from tfimbalance.retrieval._backend import Replicas, add, number_words, read, write
from tfimbalance.retrieval._candidates import as_mask, fitted
from tfimbalance.retrieval._frequency import (
    counted,
    gaps_alike,
    hashed,
    log_of_counts,
    log_of_gaps,
    mean_gap,
)
from tfimbalance.retrieval._ids import integer_dtype, read_ids

_AT_ONCE = 2**20


@keras.saving.register_keras_serializable("tfimbalance")
class ItemFrequency(keras.layers.Layer):
    """Estimate log Q, the log frequency of each item among those drawn, while a model trains.

    Use it for in-batch negatives, which are drawn as often as they are clicked: a sampled softmax
    needs log Q of each. It follows frequencies that change. Where the training data can be counted
    beforehand, ``counts`` starts it from there; ``rate=None`` counts on, and never forgets.

    It averages the gaps between draws of an item, and counts *draws*. With ``t`` the number of the
    draw, ``A`` that of the item's last draw, and ``m`` occurrences in the batch, each of which is
    the item's i-th ever:

        Q = 1 / B,    B <- (1 - k) B + k (t - A) / m,    A <- t
        k = 1 - product of (1 - max(rate, 1 / i))

    After many occurrences the standard deviation of Q is ``sqrt(rate / (2 - rate))`` of its mean.
    Algorithm 2 of [1] counts batches instead, and starts from zeros: Q is 2 times too high for
    an item of a fifth of the draws in batches of 64, and 5 nats off where an item is new. While an
    item is not drawn, its open gap counts as one as soon as it is longer than the mean, so that an
    item that vanishes fades. One that was never drawn has half a draw: ``Q = .5 / (t + 1)``.

    Args:
        num_items: ids are 0 to ``num_items - 1``, and each has a place of its own: 13 bytes (20
            for ``rate < 1 / 255``, 8 for ``rate=None``). None takes any ids, and hashes them.
        rate: weight of the newest gap. After ``4 / rate`` occurrences, 2% of what was is left.
            None counts draws: ``Q = (count + .5) / (t + 1)``.
        num_cells: of each hash table, by default 2**20. Ids rarer than about ``1 / num_cells`` are
            over-estimated, as all they share cells with: of a million ids by Zipf's law .11 nats
            on average in the rarer half, 1.3 with 2**18.
        num_hashes: hash tables; the least frequent of an id's cells counts.
        counts: draws of each item in the training data: ``(num_items,)``, ``{id: draws}`` or
            `ClassStatistics`. They become part of the weights, not of the config: a clone starts
            without them.
        seed: of the hashes.
        **kwargs: as `keras.layers.Layer`.

    Shapes:
        ids: integers of any shape, drawn in the order in which they stand. On TensorFlow also
            strings, which are hashed; compile with ``jit_compile=False`` then. On JAX, ids from
            2**31 on need ``jax_enable_x64``.
        mask: booleans of that shape, False where an id is padding: it is not counted, and its log Q
            means nothing. The mask that Keras carries with the ids is one, too.
        Returns log Q of each in nats, float32 whatever the policy, and below 0. With
        ``training=True`` the ids are counted first; replicas of `tf.distribute` count all of them.
        In a graph, log Q of an id that is none of the ``num_items`` is NaN.

    Raises:
        ValueError: for ids that are no integers, or none of the ``num_items``; for sizes, a rate or
            counts that cannot be.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> frequency = tfi.retrieval.ItemFrequency(num_items=3)
        >>> ids = np.random.default_rng(0).choice(3, p=[0.7, 0.2, 0.1], size=(40, 500))
        >>> for batch in ids:
        ...     log_q = frequency(batch, training=True)
        >>> [round(float(q), 1) for q in np.exp(frequency.log_q([0, 1, 2]))]
        [0.7, 0.2, 0.1]
        >>> frequency.num_draws
        20000

    References:
        [1] Yi et al., Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
        Recommendations, RecSys 2019.
    """

    def __init__(
        self,
        num_items: int | None = None,
        *,
        rate: float | None = 0.01,
        num_cells: int | None = None,
        num_hashes: int = 4,
        counts: Any = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.num_items = None if num_items is None else checked_size("num_items", num_items)
        if rate is not None:
            rate = check_number("rate", rate, minimum=0.0, maximum=1.0, exclusive=True)
        self.rate = rate
        if num_items is not None and num_cells is not None:
            raise bad_value(
                "num_cells",
                expected="None beside num_items, which gives each item a place of its own",
                received=num_cells,
                remedy="Leave out num_items to hash ids.",
            )
        self.num_cells = None if num_cells is None else checked_size("num_cells", num_cells)
        self.num_hashes = check_integer("num_hashes", num_hashes, minimum=1)
        self.seed = check_integer("seed", seed, minimum=0)
        self._size = self.num_items or self.num_cells or 2**20
        self._tables = 1 if self.num_items else self.num_hashes
        if self._size * self._tables >= 2**31 - 1:
            raise bad_value(
                "num_items" if self.num_items else "num_cells",
                expected="fewer than 2**31 places in all tables",
                received=self._size * self._tables,
            )
        starting = None if counts is None else self._counts_of_places(counts)
        self._make_tables()
        if starting is not None:
            self._start(starting)
        self.built = True

    def _make_tables(self) -> None:
        def table(name: str, dtype: str, shape: tuple[int, ...]) -> keras.Variable:
            kind = {"dtype": dtype, "autocast": False, "trainable": False}
            return self.add_weight(name=name, shape=shape, initializer="zeros", **kind)

        # Without 64 bits, numbers of draws start again at 2**32; gaps between them stay right.
        wide = "int64" if integer_dtype() == "int64" else "uint32"
        # One place more, for ids that are none.
        shape = (self._size * self._tables + 1,)
        self._draws = table("num_draws", wide, ())
        few = self.rate is not None and gaps_alike(self.rate) <= 255
        self._seen = table("occurrences", "uint8" if few else wide, shape)
        if self.rate is not None:
            self._last = table("last_draw", wide, shape)
            self._gap = table("gap", "float32", shape)

    def __call__(self, ids: Any, *args: Any, **kwargs: Any) -> Any:
        """Take lists and arrays, too, before Keras makes other numbers of them."""
        return super().__call__(read_ids("ids", ids), *args, **kwargs)

    def call(self, ids: Tensor, training: bool = False, mask: Any = None) -> Tensor:
        """Return log Q of the ids, which are counted first if ``training``."""
        flat, real = self._flat(ids, mask)
        replicas = Replicas(gather=True)
        every = replicas.gathered(flat) if training else flat
        places = self._places(every)
        if training:
            self._count(places, None if real is None else replicas.gathered(real))
        log_q = self._log_q(places if every is flat else self._places(flat))
        return ops.reshape(log_q, ops.shape(ids))

    def update(self, ids: Any, mask: Any = None) -> None:
        """Count ids as drawn, in the order in which they stand, without those of padding."""
        self(ids, training=True, mask=mask)

    def log_q(self, ids: Any) -> Tensor:
        """Return log Q of ids, and count nothing."""
        return self.call(read_ids("ids", ids))

    @property
    def num_draws(self) -> int:
        """Ids that were counted."""
        return int(ops.convert_to_numpy(self._draws.value))

    def counts(self, ids: Any = None) -> FloatArray:
        """Return how many of all draws are of each id: Q of it, times `num_draws`.

        With ``rate=None`` as they were counted. Without ``ids``, of all items in their order.
        """
        if ids is None:
            if self.num_items is None:
                raise bad_value(
                    "ids",
                    expected="the ids to look up, as hashes do not keep them",
                    received="None",
                    remedy="Give them, or num_items to the constructor.",
                )
            ids = np.arange(self.num_items)
        flat, _ = self._flat(read_ids("ids", ids))
        parts = [self._counts(flat[i : i + _AT_ONCE]) for i in range(0, len(flat), _AT_ONCE)]
        return np.concatenate([np.zeros(0), *parts]).reshape(np.shape(ids))

    def _counts(self, ids: Tensor) -> FloatArray:
        places = self._places(ids)
        if self.rate is None:
            found = ops.convert_to_numpy(read(self._seen, places)).min(axis=0)
            return np.asarray(found, np.float64)
        log_q = np.asarray(ops.convert_to_numpy(self._log_q(places)), np.float64)
        return np.exp(log_q) * self.num_draws

    def _flat(self, ids: Tensor, mask: Any = None) -> tuple[Tensor, Tensor | None]:
        """Return numbers of the ids, 0 where they are padding, and which are not."""
        flat = number_words(ops.reshape(ids, (-1,)), self.num_items)
        if mask is None:
            return flat, None
        real = ops.reshape(fitted("mask", as_mask("mask", mask), ops.shape(ids)), (-1,))
        return ops.where(real, flat, ops.zeros_like(flat)), real

    def _places(self, ids: Tensor) -> Tensor:
        """Return where each id stands in each table, ``(tables, num_ids)``."""
        if self.num_items is None:
            first = self._size * np.arange(self._tables, dtype="int32")[:, None]
            return hashed(ids, self._size, self._tables, self.seed) + first
        known = is_class(ids, self.num_items)
        refuse_values(
            "ids",
            ids,
            ops.logical_not(known),
            f"integers from 0 to {self.num_items - 1}",
            "Number the items anew (keras.layers.IntegerLookup), or leave out num_items to hash.",
        )
        place = ops.where(known, ids, ops.full_like(ids, self.num_items))
        return ops.cast(place, "int32")[None]

    def _count(self, places: Tensor, real: Tensor | None) -> None:
        if 0 in places.shape:
            return
        num_draws = ops.shape(places)[1]
        draws = ops.arange(1, num_draws + 1, dtype="int32")
        if real is not None:  # The rest is written where nobody reads.
            draws = ops.cumsum(ops.cast(real, "int32"))
            num_draws = draws[-1]
            places = ops.where(real, places, self._size * self._tables)
        place, times, draw = counted(ops.reshape(places, (-1,)), draws)
        seen = ops.cast(read(self._seen, place), self._draws.dtype)
        total = seen + ops.cast(times, seen.dtype)
        if self.rate is None:
            write(self._seen, place, total)
        else:
            draw = ops.cast(draw, self._draws.dtype) + ops.convert_to_tensor(self._draws)
            before = read(self._last, place)
            since = draw - before
            gap = mean_gap(read(self._gap, place), seen, since, times, self.rate)
            write(self._gap, place, gap)
            # The sum tells XLA to read before it writes: else it reads a copy of the table.
            write(self._last, place, before + since)
            write(self._seen, place, ops.minimum(total, gaps_alike(self.rate)))
        add(self._draws, num_draws)

    def _log_q(self, places: Tensor) -> Tensor:
        num_draws = ops.cast(self._draws, "float32")
        seen = read(self._seen, places)
        log_q = log_of_counts(seen, num_draws)
        if self.rate is not None:
            open_gap = ops.convert_to_tensor(self._draws) - read(self._last, places)
            of_gaps = log_of_gaps(read(self._gap, places), seen, open_gap, self.rate)
            log_q = ops.where(seen > 0, of_gaps, log_q)
        # At most what was always drawn has by counts.
        most = ops.log1p(-0.5 / (num_draws + 1.0))
        log_q = functools.reduce(ops.minimum, ops.unstack(log_q, self._tables), most)
        if self.num_items is None:
            return log_q
        return ops.where(places[0] == self.num_items, np.nan, log_q)

    def _counts_of_places(self, counts: Any) -> NDArray[np.int64]:
        """Return how often each place was drawn, in tables of one after another."""
        ids, draws = read_counts(counts, self.num_items, whole=True)
        places = ops.convert_to_numpy(self._places(self._flat(read_ids("counts", ids))[0]))
        found = np.zeros(self._size * self._tables + 1, np.int64)
        for table in places:
            np.add.at(found, table, draws.astype(np.int64))
        return found

    def _start(self, counts: NDArray[np.int64]) -> None:
        total = int(counts.sum()) // self._tables
        self._draws.assign(total)
        if self.rate is None:
            self._seen.assign(counts)
            return
        self._seen.assign(np.minimum(counts, gaps_alike(self.rate)))
        self._last.assign(np.where(counts > 0, total, 0))
        self._gap.assign(np.where(counts > 0, total / np.maximum(counts, 1), 0.0))

    def compute_output_spec(self, ids: Any, **kwargs: Any) -> keras.KerasTensor:
        """Return the shape of the ids, in float32 whatever the policy."""
        return keras.KerasTensor(ids.shape, "float32")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments but ``counts``, which are in the weights."""
        names = ("num_items", "rate", "num_cells", "num_hashes", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
