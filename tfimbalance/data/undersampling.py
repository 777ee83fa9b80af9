"""Rows kept with probabilities of their own, and the offset that undoes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfimbalance._checks import check_choice
from tfimbalance.data._epochs.batches import ROWS_PER_PLAN, Blocks
from tfimbalance.data._epochs.schedule import Schedule
from tfimbalance.data._order.arrays import NumPyOps
from tfimbalance.data._order.keep import MOST_PER_CHUNK, Keep
from tfimbalance.data._order.sampling import ClassSampling
from tfimbalance.data._order.shuffle import in_passes
from tfimbalance.data._order.words import seed_word, uniforms, words
from tfimbalance.data._rows.calls import call
from tfimbalance.data._rows.offset import is_per_class, refuse_beside
from tfimbalance.data._rows.rows import LabelledRows, Rows, in_block

# So many standard deviations above the expected number of rows, an epoch holds all that are kept.
_MARGIN = 4.0


def weighted_undersampling(
    x: Any,
    y: Any,
    *,
    keep_weight: Any,
    correction: str | None = "offset",
    batch_size: int = 256,
    sample_weight: Any = None,
    per_class_offset: bool | None = None,
    steps_per_epoch: int | None = None,
    seed: int = 0,
    initial_epoch: int = 0,
    num_shards: int = 1,
    shard_index: int = 0,
) -> tf.data.Dataset:
    """Keep each row with a probability of its own, and say what that does to its logit.

    Use it where negatives are so many that training on all of them buys nothing: an epoch then
    takes a fraction of the time. Trained with the offset, a model needs no correction when it is
    served, and is about twice as precise as one trained with weights of 1 / probability [1]:

        logit of the model + offset = logit in what was kept
        offset = log w(x, 1) - log w(x, 0)        w: the probability that (x, y) is kept

    `tfimbalance.layers.OffsetModel` adds the offset while training. Rows are drawn anew in each
    epoch, as a function of ``seed``, the epoch and the row alone.

    Args:
        keep_weight: probabilities in (0, 1]:

            - a number: that of a negative; positives are all kept;
            - ``{class: number}``, every class named;
            - ``(rows,)``: that of each row if it is a negative, by a score or the popularity of its
              item; positives are all kept;
            - ``(rows, num_classes)``: that of each row in each class. A pilot model's
              probability ``p`` gives local case-control sampling [2]:
              ``np.stack([p, 1 - p], axis=1)``;
            - a function of row numbers that returns one of the last two, for data so large that
              the weights do not fit in memory.
        correction: ``"offset"``: elements are ``((x, offset), y)``. ``"weight"``: they are
            ``(x, y, weight)`` with weight 1 / probability. None: ``(x, y)``, and the logits are off
            by the offset.
        sample_weight: one weight a row, the third component of every element (times 1 /
            probability, if that is the correction); or None.
        per_class_offset: whether the offset is one number for each class, for a softmax:
            ``(batch_size, num_classes)`` instead of ``(batch_size, 1)`` for one logit. By default
            it is for one-hot ``y`` and more than two classes.
        steps_per_epoch: batches an epoch, in place of those of one pass. Passes follow one another
            within an epoch, and each epoch starts with a new one: fewer batches than a pass holds
            leave out the rest of it. Where a pass holds few batches, longer epochs are faster.
        x, y, batch_size, seed, initial_epoch, num_shards, shard_index: as `balanced_batches`;
            ``seed`` decides which rows are kept, too.

    Returns:
        A `tf.data.Dataset` of known cardinality. Each epoch starts a pass through
        all rows in a new order.
        How many are kept varies by chance; the number of batches does not: it leaves room for
        four standard deviations more than expected, which a second pass fills. Of 100,000 rows
        expected that is 1%; of 300 it is 20%, and rows that are always kept come 1.2 times.

    Shapes:
        every array ``(rows, ...)`` becomes ``(batch_size, ...)``; the offset is
        ``(batch_size, 1)`` or ``(batch_size, num_classes)``, nats, float32.

    Raises:
        ValueError: for probabilities outside (0, 1], a class without one, lengths that differ, or
            one number for more than two classes.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> x, y = np.arange(1000.0), np.repeat([0, 1], [980, 20])
        >>> dataset = tfi.data.weighted_undersampling(x, y, keep_weight=0.05, batch_size=40)
        >>> (rows, offset), labels = next(iter(dataset))
        >>> offset.shape, round(float(offset[0, 0]), 4)  # -log(0.05)
        (TensorShape([40, 1]), 2.9957)

    References:
        [1] Wang, Zhang & Wang, Nonuniform negative sampling and log odds correction with rare
        events data, NeurIPS 2021, arXiv 2110.13048.
        [2] Fithian & Hastie, Local case-control sampling, Annals of Statistics 2014,
        arXiv 1306.3706.
    """
    schedule = Schedule.of(
        batch_size, steps_per_epoch, seed, initial_epoch, num_shards, shard_index
    )
    if correction is not None:
        check_choice("correction", correction, ("offset", "weight"))
    rows, stats, ids = LabelledRows.read(
        x, y, sample_weight, remedy="Rows of several labels have no class to thin by."
    )
    if correction != "offset":
        refuse_beside(per_class_offset=per_class_offset)
    per_class = is_per_class(per_class_offset, np.shape(y), stats.num_classes)
    keep = Keep(keep_weight, ids, stats.num_classes)
    # An epoch holds all rows that are kept, as often as `_MARGIN` says.
    schedule = schedule.over(keep.expected + _MARGIN * keep.deviation)
    return _Undersampled(rows, keep, schedule, correction, per_class).dataset()


class _Undersampled(Blocks):
    """Passes over all rows in a random order, the kept ones as batches."""

    def __init__(
        self, rows: Rows, keep: Keep, schedule: Schedule, correction: str | None, per_class: bool
    ) -> None:
        super().__init__(rows, schedule)
        self._keep, self._correction, self._per_class = keep, correction, per_class
        of_all = keep.expected / rows.num_rows
        self._chunk = min(MOST_PER_CHUNK, rows.num_rows, int(ROWS_PER_PLAN / of_all))

    def class_sampling(self) -> ClassSampling:
        """Return the rows of each class, and how many of them a pass is expected to keep."""
        return self._keep.sampling

    def blocks(self, epoch: tf.Tensor) -> tf.data.Dataset:
        kept = tf.data.Dataset.counter().map(call(self._kept, tf.int64, epoch, shape=[None]))
        size = self._block * self._schedule.batch_size * self._schedule.num_shards
        return kept.rebatch(size, drop_remainder=True)

    def _kept(self, epoch: np.int64, chunk: np.int64) -> NDArray[np.int64]:
        """Return the rows kept of one stretch of an epoch's passes."""
        places = np.arange(int(chunk) * self._chunk, (int(chunk) + 1) * self._chunk)
        kept = []
        word = seed_word(self._schedule.seed, int(epoch))
        for rows, key in in_passes(word, places, self._rows.num_rows):
            drawn = words(NumPyOps, key, NumPyOps.unsigned(rows) + np.uint64(1))
            kept.append(rows[uniforms(drawn) < self._keep.own(rows)])
        return np.concatenate(kept)

    def fetch(self, epoch: tf.Tensor, numbers: tf.Tensor) -> tuple[Any, ...]:
        block, size, shards = self._block, self._schedule.batch_size, self._schedule.num_shards
        mine = tf.reshape(numbers, [block, shards, size])[:, self._schedule.shard_index]
        numbers = tf.ensure_shape(tf.reshape(mine, [-1]), [block * size])
        x, y, *weight = self._rows.fetch(numbers, block)
        if self._correction is None:
            return (x, y, *weight)
        width = self._keep.num_classes if self._per_class else 1
        shape = [block * size, width] if self._correction == "offset" else [block * size]
        value = in_block(call(self._corrections, tf.float32, shape=shape)(numbers), block)
        if self._correction == "offset":
            return ((x, value), y, *weight)
        if not weight:
            return x, y, value

        def weighed(given: tf.Tensor) -> tf.Tensor:
            ones = [1] * (given.shape.rank - value.shape.rank)
            return tf.cast(given, tf.float32) * tf.reshape(value, [*value.shape, *ones])

        return x, y, tf.nest.map_structure(weighed, weight[0])

    def _corrections(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        if self._correction == "offset":
            return self._keep.offset(rows, self._per_class)
        return (1.0 / self._keep.own(rows)).astype(np.float32)
