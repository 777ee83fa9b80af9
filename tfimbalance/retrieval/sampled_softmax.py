"""Softmax over sampled candidates, corrected for how they were drawn."""

from __future__ import annotations

import functools
from typing import Any

import keras
from keras import ops

from tfimbalance._checks import bad_value, check_flag, check_number
from tfimbalance._config import config_of
from tfimbalance._tensors import Tensor, as_float, compute_dtype, row_weights
from tfimbalance.retrieval._backend import Replicas
from tfimbalance.retrieval._candidates import (
    as_mask,
    at,
    known_ids,
    of_candidates,
    read_columns,
    read_log_q,
)
from tfimbalance.retrieval._forms import NEVER, checked_form, importance, nce
from tfimbalance.retrieval._ids import differs
from tfimbalance.retrieval._items import Items, read_negatives, real_rows


def sampled_softmax_loss(
    logits: Any,
    log_q: Any,
    *,
    positive: Any = None,
    form: str = "nce",
    tau: float = 1.0,
    ids: Any = None,
    mask: Any = None,
) -> Tensor:
    """Compute the sampled softmax loss of each row, from the scores of any model.

    Use it where scores are no dot products, or where negatives come from elsewhere; `form`,
    ``tau`` and what they learn as `SampledSoftmaxLoss`, which computes scores of embeddings itself.

    Args:
        logits: scores of a row's candidates; one of them is its positive.
        log_q: log Q of each candidate, the positive included. None is possible where ``tau=0``.
        positive: column of each row's positive. By default row i's is column i, as in a batch
            whose rows are each other's negatives.
        form: ``"nce"`` or ``"importance"``.
        tau: strength of the correction under ``"nce"``.
        ids: the candidates' ids. ``"importance"`` requires them, to remove every candidate that is
            the positive itself; ``"nce"`` keeps those, and takes no notice of ids.
        mask: which candidates are real. Padding is no one's negative, and a row whose positive is
            padding costs 0.

    Shapes:
        logits: ``(batch, candidates)``.
        log_q, ids, mask: ``(candidates,)``, or ``(batch, candidates)``.
        positive: ``(batch,)``. Returns nats, ``(batch,)``, in float32 (float64 for float64).

    Raises:
        ValueError: as `SampledSoftmaxLoss`, and for columns that do not exist.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> scores = np.array([[2.0, 0.0], [0.0, 1.0]], "float32")  # Of two rows for two items.
        >>> loss = tfi.retrieval.sampled_softmax_loss(scores, np.log([0.5, 0.1]))
        >>> [round(float(value), 4) for value in loss]  # log(1 + exp(0 - 2 + log(.5 / .1))), ...
        [0.5168, 0.071]
    """
    form, tau = checked_form(form, tau)
    logits = as_float(logits, "logits")
    if len(logits.shape) != 2:
        raise bad_value(
            "logits",
            expected="shape (batch, candidates)",
            received=f"shape {tuple(logits.shape)}",
        )
    z = ops.cast(logits, compute_dtype(keras.backend.standardize_dtype(logits.dtype)))
    columns = read_columns("positive", positive, z)
    valid = None
    if mask is not None:
        mask = of_candidates("mask", as_mask("mask", mask), z)
        valid = at(mask, columns)
        mask = ops.logical_and(mask, valid[:, None])
        z = ops.where(mask, z, NEVER)
    corrected = z
    if log_q is not None or tau:
        log_q = read_log_q("log_q", log_q, z.dtype, lambda x: of_candidates("log_q", x, z), mask)
        corrected = z - tau * log_q if tau else z
    if form == "nce":
        values = nce(corrected, columns)
    else:
        ids = of_candidates("ids", known_ids("ids", ids), z)
        kept = differs(at(ids, columns)[:, None], ids)
        kept = kept if mask is None else ops.logical_and(kept, mask)
        values = importance(corrected, kept, at(z, columns), at(log_q, columns))
    return values if valid is None else ops.where(valid, values, 0.0)


@keras.saving.register_keras_serializable("tfimbalance")
class SampledSoftmaxLoss(keras.losses.Loss):
    """Softmax over the items of a batch, corrected for how often each is drawn (log Q).

    Use it to train a retrieval model on positives alone, such as two towers on clicks: row i's item
    is every other row's negative, and more negatives may be passed. Rows have to be shuffled, or
    items are not drawn with Q. It is no loss for ``compile``, which passes no log Q: `TwoTower`
    calls it, or a ``train_step`` of your own. Serve the plain dot product.

    With Q the probability of *drawing* an item as a negative, and a row's candidates d:

        "nce":        loss = -log softmax(s_d - tau * log(Q_d))[y], hits kept           [1, 2]
        "importance": loss = -log(e^{s_y} / (e^{s_y} + sum over d != y of e^{s_d} / E_d))
                      E_d = n' * Q_d / (1 - Q_y), n' = negatives that are not y

    with ``s = query @ item / temperature``. A hit is a negative that is the row's own positive.
    The form decides whether hits stay, as each is wrong with the other's way:

    - ``"nce"`` learns ``s = log p(item | query)`` for any number of negatives. With its hits
      removed, it would over-predict popular items.
    - ``"importance"`` only approaches that: take it for 64 negatives or more, not for few. Its
      gradient is that of [3].

    ``tau`` is a dial: ``"nce"`` learns ``log p - (1 - tau) * log Q``. At 1 that is preference. At 0
    it is association: how much more often an item goes with this query than with any. **The
    correction takes from the tail**: expect more recall overall, and less of rare items.

    Args:
        form: ``"nce"`` or ``"importance"``.
        tau: strength of the correction, at least 0. Other than 1 under ``"nce"`` alone.
        temperature: what scores are divided by, above 0. Embeddings of length 1 need one, such as
            .05: their products end at 1.
        across_replicas: whether rows of all replicas of `tf.distribute` are each other's negatives:
            with two replicas of 512 rows, 1,023 instead of 511. Gradients flow back to each, and
            the mean is that of the global batch. Ids are integers then. On JAX it is not needed:
            sharded steps see the global batch. On PyTorch it is refused.
        reduction, name, dtype: as `keras.losses.Loss`. Scores and loss are float32 whatever the
            policy of the model; ``dtype="float64"`` makes them float64.

    Call arguments:
        query, positive: embeddings of each row's query and of its item.
        sample_weight: weight of each row's loss. Its item remains a negative of the others.
        log_q: logarithm, below 0, of the probability with which each row's item is drawn as an
            in-batch negative; `ItemFrequency` estimates it. Not needed where ``tau=0``.
        ids: of each row's item, integers (in TensorFlow also words, but not under XLA). They are
            compared as they are: 64-bit ids stay 64-bit. ``"importance"`` requires them, ``"nce"``
            takes no notice of them. JAX keeps 32 bits of integers, unless told otherwise.
        negatives, negatives_log_q, negatives_ids: more negatives, shared by all rows or of each
            row. Then ``log_q`` and ``negatives_log_q`` are both of the mixture: `mixed_log_q`.
        mask: which rows are real, beside Keras' masks of the embeddings (of ``negatives``, too).
            Padding costs nothing, is no one's negative, and leaves the mean.

    Shapes:
        query, positive: ``(batch, dim)``. Rows of sequences: reshape them to ``(-1, dim)``.
        log_q, ids, mask, sample_weight: ``(batch,)``, or ``(batch, 1)``.
        negatives: ``(n, dim)`` shared, or ``(batch, n, dim)``; its log Q and ids without ``dim``.
        Returns nats, ``(batch,)`` before reduction.

    Raises:
        ValueError: for ``tau`` other than 1 or no ids under ``"importance"``, ids that are no
            integers or do not fit the backend's, shapes that do not fit, or a log Q that is not
            finite and below 0: probabilities, log counts, a positive that is left uncorrected. Of
            those the value is NaN in a compiled step.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> query = item = np.eye(3, dtype="float32")
        >>> log_q = np.log([0.7, 0.2, 0.1])
        >>> loss = tfi.retrieval.SampledSoftmaxLoss(temperature=0.5)
        >>> round(float(loss(query, item, log_q=log_q)), 4)
        0.4124

    References:
        [1] Ma and Collins, Noise Contrastive Estimation and Negative Sampling for Conditional
        Models, EMNLP 2018, arXiv 1809.01812.
        [2] Yi et al., Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
        Recommendations, RecSys 2019.
        [3] Khrylchenko et al., Correcting the LogQ Correction: Revisiting Sampled Softmax for
        Large-Scale Retrieval, RecSys 2025, arXiv 2507.09331.
    """

    def __init__(
        self,
        form: str = "nce",
        *,
        tau: float = 1.0,
        temperature: float = 1.0,
        across_replicas: bool = False,
        reduction: str | None = "sum_over_batch_size",
        name: str = "sampled_softmax_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.form, self.tau = checked_form(form, tau)
        self.temperature = check_number("temperature", temperature, minimum=0.0, exclusive=True)
        self.across_replicas = check_flag("across_replicas", across_replicas)
        if self.across_replicas and keras.backend.backend() == "torch":
            raise bad_value(
                "across_replicas",
                expected="False on PyTorch, whose processes know nothing of each other here",
                received="True",
                remedy="Gather the embeddings before, or train with the batch of one process.",
            )

    @property
    def dtype(self) -> str:
        """What scores are computed in, and the loss returned: half precision is none for them."""
        return compute_dtype(super().dtype)

    def __call__(
        self,
        query: Any,
        positive: Any,
        sample_weight: Any = None,
        *,
        log_q: Any = None,
        ids: Any = None,
        negatives: Any = None,
        negatives_log_q: Any = None,
        negatives_ids: Any = None,
        mask: Any = None,
    ) -> Tensor:
        """Return the loss of the batch, reduced."""
        with keras.name_scope(self.name):
            read = functools.partial(Items.read, form=self.form, tau=self.tau)
            query, positive, valid = real_rows(query, positive, mask, self.dtype)
            query = query / self.temperature
            own = read(positive, log_q, ids, valid)
            replicas = Replicas(self.across_replicas)
            blocks = [own.gathered(replicas.gathered)]
            if negatives is not None:
                negatives, real = read_negatives(negatives, query, valid)
                others = read(negatives, negatives_log_q, negatives_ids, real, prefix="negatives_")
                if len(negatives.shape) == 2:
                    blocks = [blocks[0].joined(others.gathered(replicas.gathered))]
                else:
                    blocks.append(others)
            elif negatives_log_q is not None or negatives_ids is not None:
                raise bad_value(
                    "negatives",
                    expected="embeddings of the items that have this log Q or these ids",
                    received="None",
                )
            spare = self.form == "nce"
            z = _beside([block.scores(query, self.tau, spare=spare) for block in blocks])
            if self.form == "nce":
                diagonal = ops.arange(ops.shape(query)[0], dtype="int32")
                values = nce(z, diagonal + replicas.before(query))
            else:
                kept = _beside([block.others(own.ids) for block in blocks])
                values = importance(z, kept, ops.sum(query * positive, axis=-1), own.log_q)
            if valid is not None:
                values = ops.where(valid, values, 0.0)
            return self._reduced(values, valid, sample_weight, replicas)

    def _reduced(
        self, values: Tensor, valid: Tensor | None, sample_weight: Any, replicas: Replicas
    ) -> Tensor:
        """Return what Keras' reductions are of rows that are real, on one replica or on all."""
        counts = ops.ones_like(values)
        if valid is not None:
            counts = ops.cast(valid, values.dtype)
        if sample_weight is not None:
            weight = ops.cast(row_weights(sample_weight, values), values.dtype)
            weight = weight if valid is None else ops.where(valid, weight, 0.0)
            values = values * weight
            if self.reduction == "mean_with_sample_weight":
                counts = counts * weight
        if self.reduction in (None, "none"):
            return values
        total = ops.sum(values)
        if self.reduction == "sum":
            return total
        return ops.divide_no_nan(total, replicas.total(ops.sum(counts)))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return config_of(self)


def _beside(blocks: list[Tensor]) -> Tensor:
    return blocks[0] if len(blocks) == 1 else ops.concatenate(blocks, axis=1)
