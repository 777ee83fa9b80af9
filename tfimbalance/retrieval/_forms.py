"""The two forms of sampled softmax: formulas of corrected logits, without checks."""

from __future__ import annotations

from typing import Any

from keras import ops

from tfimbalance._checks import bad_value, check_choice, check_number
from tfimbalance._tensors import Tensor, tiny

# The logit of what is no candidate. Finite: a row of nothing else has a value and a gradient.
NEVER = -1e30


def checked_form(form: Any, tau: Any) -> tuple[str, float]:
    """Return the form and the strength of its correction, or raise where they do not go together.

    There is no argument for accidental hits: each form is right with one way alone.
    """
    form = check_choice("form", form, ("nce", "importance"))
    tau = check_number("tau", tau, minimum=0.0)
    if form == "importance" and tau != 1.0:
        raise bad_value(
            "tau",
            expected='1.0 under form="importance", which estimates one sum',
            received=repr(tau),
            remedy='The dial from association (0) to preference (1) is form="nce".',
        )
    return form, tau


def nce(corrected: Tensor, positive: Tensor) -> Tensor:
    """Return the cross-entropy of each row among its candidates, hits kept."""
    return ops.sparse_categorical_crossentropy(positive, corrected, from_logits=True)


def importance(corrected: Tensor, kept: Tensor, score: Tensor, log_q: Tensor) -> Tensor:
    """Return ``log(1 + sum of kept e^(s - log(n' Q / (1 - Q_y))) / e^(s_y))`` of each row.

    ``corrected`` is ``s - log Q`` of all candidates, ``kept`` which of them are left as negatives,
    ``score`` and ``log_q`` are the positive's. What a row's negatives share is moved to it.
    """
    left = ops.sum(ops.cast(kept, score.dtype), axis=-1)
    lead = score + ops.log(ops.maximum(left, 1.0)) - log_of_rest(log_q)
    total = ops.logsumexp(ops.where(kept, corrected, NEVER), axis=-1)
    return ops.softplus(total - lead)


def log_of_rest(log_q: Tensor) -> Tensor:
    """Return ``log(1 - Q)`` to full precision, for small Q as for Q near 1."""
    rest = ops.maximum(-ops.expm1(log_q), tiny(log_q))
    small = ops.minimum(log_q, -0.5)  # Where it is not chosen, too, it is finite.
    return ops.where(log_q < -0.5, ops.log1p(-ops.exp(small)), ops.log(rest))
