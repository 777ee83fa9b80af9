"""How often cells are drawn: the gaps between draws, averaged; draws of a batch, counted."""

from __future__ import annotations

import numpy as np
from keras import ops

from tfimbalance._tensors import Tensor
from tfimbalance.retrieval._ids import integer_dtype


def counted(cells: Tensor, draws: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the cells sorted, and beside each how often it occurs and its last draw.

    Cells of ``(num_hashes, num_draws)``, flat, and the number of each draw, ``(num_draws,)``. By
    sort and segments, as XLA knows no array of unknown size. Repeated cells have the same numbers
    beside them, and whoever writes them all writes the same.
    """
    order = ops.argsort(cells)
    cell = ops.take(cells, order)
    run = ops.cumsum(ops.cast(cell[1:] != cell[:-1], "int32"))
    run = ops.concatenate([ops.zeros_like(cell[:1]), run])
    size = ops.shape(cells)[0]
    times = ops.segment_sum(ops.ones_like(run), run, size)
    draw = ops.take(draws, ops.cast(order, "int32") % ops.shape(draws)[0])
    last = ops.segment_max(draw, run, size)
    return cell, ops.take(times, run), ops.take(last, run)


def gaps_alike(rate: float) -> int:
    """Return how many first gaps weigh alike, before those of long ago begin to fade."""
    return min(int(1 / rate), 10**9)


def mean_gap(gap: Tensor, seen: Tensor, since: Tensor, times: Tensor, rate: float) -> Tensor:
    """Return the mean gap after ``seen`` gaps, once ``times`` more fill ``since`` draws.

    The i-th gap ever weighs ``max(1 / i, rate)``: all alike at first, then those before fade.
    """
    seen, since, times = (ops.cast(number, "float32") for number in (seen, since, times))
    alike = ops.minimum(seen + times, float(gaps_alike(rate)))
    # Of log 0 remains 0: the first gaps ever are all there is.
    kept = ops.log(seen / alike) + (seen + times - alike) * np.log1p(-rate)
    return gap - ops.expm1(kept) * (since / times - gap)


def log_of_gaps(gap: Tensor, seen: Tensor, open_gap: Tensor, rate: float) -> Tensor:
    """Return log Q of mean gaps; one still open counts once it is longer than the mean."""
    weight = ops.maximum(1.0 / (ops.cast(seen, "float32") + 1.0), rate)
    gap = gap + weight * ops.maximum(ops.cast(open_gap, "float32") - gap, 0.0)
    return -ops.log(ops.maximum(gap, 1.0))


def log_of_counts(times: Tensor, num_draws: Tensor) -> Tensor:
    """Return log Q of counts, of half a draw more each: their logs are then right on average."""
    return ops.log((ops.cast(times, "float32") + 0.5) / (num_draws + 1.0))


def hashed(ids: Tensor, num_cells: int, num_hashes: int, seed: int) -> Tensor:
    """Return a cell of each id in each table, ``(num_hashes, num_ids)``.

    The finaliser of MurmurHash3, over the low half of an id and then the high one.
    """
    keys = np.random.SeedSequence(seed).generate_state(2 * num_hashes).reshape(2, num_hashes, 1)
    low, high = _halves(ids)
    word = low.dtype
    state = _mixed(ops.bitwise_xor(low, ops.convert_to_tensor(keys[0], word)))
    key = ops.convert_to_tensor(keys[1], word)
    state = _mixed(ops.bitwise_xor(ops.bitwise_xor(state, key), high))
    return ops.cast(state % ops.cast(num_cells, word), "int32")


def _halves(ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return the low and the high 32 bits, in a dtype that holds them without a sign."""
    if integer_dtype() == "int64":
        return ops.bitwise_and(ids, 2**32 - 1), ops.bitwise_and(
            ops.bitwise_right_shift(ids, 32), 2**32 - 1
        )
    return ops.cast(ids, "uint32"), ops.cast(ops.bitwise_right_shift(ids, 31), "uint32")


def _mixed(word: Tensor) -> Tensor:
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, None)):
        word = ops.bitwise_xor(word, ops.bitwise_right_shift(word, shift))
        if factor is not None:
            word = word * ops.convert_to_tensor(factor, word.dtype)
            if integer_dtype() == "int64":  # 32 bits of the product, which may have overflowed.
                word = ops.bitwise_and(word, 2**32 - 1)
    return word
