"""The weight of positives beside sampled negatives, by which gBCE is weighted cross-entropy."""

from __future__ import annotations

from tfimbalance._checks import bad_value, check_integer, check_number


def gbce_weight(num_negatives: int, num_items: int, *, t: float = 0.75) -> float:
    """Return the weight of a positive beside uniformly sampled negatives: gBCE [1].

    Use it for models with one logit an item, trained with a few negatives for each positive: few
    negatives make every probability too high. It is a weight and no loss of its own, since
    ``log(sigmoid(s)**beta) = beta * log(sigmoid(s))``. For negatives that are drawn by popularity,
    take `SampledSoftmaxLoss`.

        beta  = alpha * (t * (1 - 1 / alpha) + 1 / alpha) = 1 - t * (1 - alpha)      [1]
        alpha = num_negatives / (num_items - 1)

    The model then learns ``sigmoid(s) = beta p / (beta p + alpha (1 - p))``: ``t=1`` is calibrated,
    ``t=0`` is plain cross-entropy, and neither moves the ranking.

    Args:
        num_negatives: negatives a positive, drawn from all items but the positive itself.
        num_items: items of the catalogue.
        t: how far probabilities are corrected, in [0, 1]; .75 is that of [1].

    Returns:
        The weight, a number in (0, 1].

    Raises:
        ValueError: for ``t`` outside [0, 1], or not 1 to ``num_items - 1`` negatives.

    Example:
        >>> import tfimbalance as tfi
        >>> beta = tfi.retrieval.gbce_weight(2, 5, t=0.75)
        >>> beta
        0.625
        >>> loss = tfi.losses.WeightedBinaryCrossentropy(pos_weight=beta, from_logits=True)

    References:
        [1] Petrov and Macdonald, gSASRec: Reducing Overconfidence in Sequential Recommendation
        Trained with Negative Sampling, RecSys 2023, arXiv 2308.07192.
    """
    num_items = check_integer("num_items", num_items, minimum=2)
    negatives = check_integer("num_negatives", num_negatives, minimum=1)
    t = check_number("t", t, minimum=0.0, maximum=1.0)
    if negatives >= num_items:
        raise bad_value(
            "num_negatives",
            expected=f"fewer than the {num_items} items, as the positive is none of them",
            received=repr(num_negatives),
        )
    return 1.0 - t * (1.0 - negatives / (num_items - 1))
