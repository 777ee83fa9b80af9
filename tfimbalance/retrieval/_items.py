"""Embeddings of candidates -> corrected scores of all rows."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops

from tfimbalance._checks import bad_value
from tfimbalance._tensors import Tensor, as_float, mask_of
from tfimbalance.retrieval._candidates import as_mask, fitted, known_ids, read_log_q
from tfimbalance.retrieval._forms import NEVER
from tfimbalance.retrieval._ids import differs


class Items(NamedTuple):
    """Candidates of all rows, ``(n, dim)``, or of each row, ``(batch, n, dim)``.

    What is known of them has that shape without ``dim``; None is not known, or not needed.
    """

    embeddings: Tensor
    log_q: Tensor | None
    ids: Tensor | None
    mask: Tensor | None = None

    @classmethod
    def read(
        cls,
        embeddings: Tensor,
        log_q: Any,
        ids: Any,
        mask: Tensor | None = None,
        *,
        form: str,
        tau: float,
        prefix: str = "",
    ) -> Items:
        """Read what a form needs to know; a prefix makes the names of the arguments."""

        def fit(x: Tensor, argument: str) -> Tensor:
            return fitted(prefix + argument, x, ops.shape(embeddings)[:-1])

        found = known = None
        if log_q is not None or tau:
            shape = functools.partial(fit, argument="log_q")
            found = read_log_q(f"{prefix}log_q", log_q, embeddings.dtype, shape, mask)
        if form == "importance":
            known = fit(known_ids(f"{prefix}ids", ids), "ids")
        return cls(embeddings, found, known, mask)

    def joined(self, others: Items) -> Items:
        """Return these shared items and others."""
        joined: list[Tensor | None] = [
            None if a is None or b is None else ops.concatenate([a, b])
            for a, b in zip(self[:3], others[:3], strict=True)
        ]
        if self.mask is not None or others.mask is not None:
            masks = [
                ops.ones(ops.shape(items.embeddings)[:1], "bool")
                if items.mask is None
                else items.mask
                for items in (self, others)
            ]
            joined.append(ops.concatenate(masks))
        return Items(*joined)

    def gathered(self, gather: Callable[[Tensor], Tensor]) -> Items:
        """Return the items of all replicas."""
        return Items(*(None if x is None else gather(x) for x in self))

    def scores(self, query: Tensor, tau: float, *, spare: bool = False) -> Tensor:
        """Return ``query @ item - tau * log Q``, ``(batch, n)``.

        Log Q stays outside of the product, which accelerators may round to 10 bits or fewer. A
        spare candidate, which nobody is, stands at the end where there may be no other: a replica
        may have no rows, and TensorFlow's cross-entropy refuses rows without candidates.
        """
        items = self.embeddings
        offset = None if self.log_q is None or not tau else -tau * self.log_q
        if self.mask is not None:
            none = ops.zeros_like(items[..., 0])
            offset = ops.where(self.mask, none if offset is None else offset, NEVER)
        if len(items.shape) == 3:
            scores = ops.matmul(items, query[:, :, None])[..., 0]
        else:
            if spare and items.shape[0] in (None, 0):
                offset = ops.zeros_like(items[:, 0]) if offset is None else offset
                offset = ops.pad(offset, ((0, 1),), constant_values=NEVER)
                items = ops.pad(items, ((0, 1), (0, 0)))
            scores = ops.matmul(query, ops.transpose(items))
        return scores if offset is None else scores + offset

    def others(self, ids: Tensor) -> Tensor:
        """Return which items are not each row's own, ``(batch, n)``, nor padding."""
        known: Tensor = self.ids
        kept = differs(ids[:, None], known if len(known.shape) == 2 else known[None])
        return kept if self.mask is None else ops.logical_and(kept, self.mask)


def _embeddings(argument: str, x: Any, dtype: str, ranks: tuple[int, ...], dim: Any) -> Tensor:
    """Return embeddings in a dtype, of a rank and width that fit."""
    x = as_float(x, argument)
    if len(x.shape) not in ranks or (None not in (x.shape[-1], dim) and x.shape[-1] != dim):
        shapes = {2: "(rows, {})", 3: "(batch, n, {})"}
        raise bad_value(
            argument,
            expected="shape " + " or ".join(shapes[r].format(dim or "dim") for r in ranks),
            received=f"shape {tuple(x.shape)}",
            remedy="Reshape steps of sequences to rows: ops.reshape(x, (-1, dim)).",
        )
    return ops.cast(x, dtype)


def real_rows(
    query: Any, positive: Any, mask: Any, dtype: str
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the embeddings of all rows, 0 where they are padding, and which rows are real."""
    masks = [("query", mask_of(query)), ("positive", mask_of(positive)), ("mask", mask)]
    query = _embeddings("query", query, dtype, (2,), None)
    positive = _embeddings("positive", positive, dtype, (2,), query.shape[1])
    positive = fitted("positive", positive, ops.shape(query))
    valid = None
    for name, flags in masks:
        if flags is not None:
            flags = fitted(name, as_mask(name, flags), ops.shape(query)[:1])
            valid = flags if valid is None else ops.logical_and(valid, flags)
    if valid is None:
        return query, positive, None
    query, positive = (ops.where(valid[:, None], x, 0.0) for x in (query, positive))
    return query, positive, valid


def read_negatives(
    negatives: Any, query: Tensor, valid: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Return the embeddings of negatives, 0 where they are padding, and which are real.

    They are shared, or of each row; those of rows that are padding are so, too.
    """
    mask = mask_of(negatives)
    negatives = _embeddings("negatives", negatives, query.dtype, (2, 3), query.shape[1])
    of_rows = len(negatives.shape) == 3
    if of_rows:
        shape = (ops.shape(query)[0], *ops.shape(negatives)[1:])
        negatives = fitted("negatives", negatives, shape)
    if mask is not None:
        mask = fitted("negatives", as_mask("negatives", mask), ops.shape(negatives)[:-1])
    if of_rows and valid is not None:
        real = ops.broadcast_to(valid[:, None], ops.shape(negatives)[:2])
        mask = real if mask is None else ops.logical_and(mask, real)
    if mask is not None:
        negatives = ops.where(mask[..., None], negatives, 0.0)
    return negatives, mask
