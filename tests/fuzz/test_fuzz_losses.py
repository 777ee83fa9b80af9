"""Losses, eagerly, on anything."""

import inspect

import numpy as np
from fuzz.arguments import OF_LOSSES, arguments_of, finite, read
from fuzz.given import JUNK
from fuzz.judge import REFUSED, examples, holds, judged
from fuzz.rows import rows
from hypothesis import given
from hypothesis import strategies as st

import tfimbalance as tfi

LOSSES = [getattr(tfi.losses, name) for name in tfi.losses.__all__]
LOSSES = [cls for cls in LOSSES if inspect.isclass(cls)]


def reduced(values, case, reduction):
    weight = case.weight if case.sample_weight is not None else np.ones(case.size)
    values = values * weight
    if reduction in (None, "none"):
        return values
    if reduction == "sum":
        return values.sum()
    if reduction == "mean_with_sample_weight" and case.sample_weight is not None:
        return values.sum() / weight.sum() if weight.sum() else 0.0
    return values.mean()


def expected_loss(cls, case, kwargs):
    """The loss in float64, of those whose formula is short; None of others."""
    if cls.__name__ not in (
        "WeightedBinaryCrossentropy",
        "BinaryFocalLoss",
        "SparseCategoricalFocalLoss",
    ):
        return None
    if set(kwargs) - {"gamma", "from_logits", "reduction", "pos_weight"}:
        return None
    if np.ndim(kwargs.get("pos_weight", 0)) or not kwargs.get("from_logits"):
        return None
    z, gamma = read(case), float(kwargs.get("gamma", 2.0))
    if cls.__name__ == "SparseCategoricalFocalLoss":
        log_p = z - np.logaddexp.reduce(z, axis=-1, keepdims=True)
        log_p = np.take_along_axis(log_p, case.y[:, None], -1)[:, 0]
        return (-np.expm1(log_p)) ** gamma * -log_p
    y = case.y.reshape(z.shape)
    m = np.where(y == 1, z, -z)
    values = np.logaddexp(0, -m) * np.where(y == 1, float(kwargs.get("pos_weight", 1.0)), 1.0)
    if cls.__name__ == "BinaryFocalLoss":
        values = values * np.exp(-gamma * np.logaddexp(0, m))
    return values.mean(-1) if values.ndim > 1 else values


@st.composite
def losses(draw):
    cls = draw(st.sampled_from(LOSSES))
    kwargs, spoilt = draw(arguments_of(cls, OF_LOSSES))
    kinds = {"binary": ["binary", "column", "labels"], "sparse": ["sparse"], "one_hot": ["one_hot"]}
    of = [kind for target in cls.targets for kind in kinds[target]]
    of = of if draw(st.integers(0, 9)) else ["binary", "column", "sparse", "one_hot", "labels"]
    case = draw(rows(of))
    if "from_logits" in kwargs and spoilt != "from_logits":
        kwargs["from_logits"] = case.from_logits
    return cls, kwargs, spoilt, case, of


@examples()
@given(losses())
def test_losses(drawn):
    cls, kwargs, spoilt, case, _ = drawn
    loss = judged("losses", cls, **kwargs)
    if loss is REFUSED:
        return
    loss._fuzzed = kwargs
    call = loss.__call__
    args = (case.y_true, case.y_pred, case.sample_weight)
    value = judged("losses", call, *args)
    if value is REFUSED:
        plain = (
            not spoilt and not case.spoilt and set(kwargs) <= {"from_logits", "reduction", "gamma"}
        )
        right = ["column", "binary"] if cls.targets == ("binary",) else cls.targets
        from_logits = kwargs.get("from_logits", False) == case.from_logits
        refused = (
            plain and case.kind in right and from_logits and cls is not tfi.losses.PairwiseAUCLoss
        )
        holds("losses", not refused, "refused what is right", call, *args)
        return
    value = np.asarray(value, np.float64)
    if case.must:
        holds("losses", not finite(value), f"takes {case.spoilt} {case.how}: {value}", call, *args)
        return
    if case.spoilt == "y_pred" or (case.spoilt == "weight" and case.how in ("nan", "inf")):
        return
    taken = kwargs.get(
        "from_logits",
        inspect.signature(cls).parameters.get("from_logits", 0) and cls is tfi.losses.LDAMLoss,
    )
    if case.from_logits and not taken and cls is not tfi.losses.PairwiseAUCLoss:
        return  # Logits passed for probabilities: NaN, as README says.
    huge = max([abs(float(v)) for v in kwargs.values() if isinstance(v, (int, float))] + [0]) > 1e4
    if not huge:
        holds("losses", finite(value), f"not finite: {value}", call, *args)
    if kwargs.get("reduction", 1) in (None, "none"):
        inner = case.kind == "labels" or case.spoilt
        holds("losses", inner or value.shape == (case.size,), f"shape {value.shape}", call, *args)
    else:
        holds("losses", value.shape == (), f"shape {value.shape}", call, *args)
    if spoilt or case.spoilt or case.kind == "one_hot":
        return
    wanted = (
        expected_loss(cls, case, kwargs) if kwargs.get("from_logits") == case.from_logits else None
    )
    if wanted is not None and not (case.kind == "labels" and case.sample_weight is not None):
        wanted = reduced(
            wanted,
            case,
            kwargs.get("reduction" if "reduction" in kwargs else "", "mean")
            if "reduction" in kwargs
            else "mean",
        )
        close = np.allclose(value, wanted, rtol=2e-3, atol=1e-5 * (1 + np.abs(read(case)).max()))
        holds("losses", close, f"{value} instead of {wanted}", call, *args)


NAMED = [getattr(tfi.losses, n) for n in tfi.losses.__all__ if n.islower() and n != "get"]


@st.composite
def named_losses(draw):
    call = draw(st.sampled_from(NAMED))
    kwargs, spoilt = draw(arguments_of(call, OF_LOSSES))
    kinds = (
        ["column", "labels"] if "binary" in call.__name__ or "weighted" in call.__name__ else None
    )
    kinds = kinds or (["sparse"] if "sparse" in call.__name__ else ["one_hot"])
    return call, kwargs, spoilt, draw(rows(kinds))


@examples(0.5)
@given(named_losses())
def test_loss_functions(drawn):
    call, kwargs, _, case = drawn
    value = judged("losses", call, case.y_true, case.y_pred, **kwargs)
    if value is REFUSED:
        return
    bad = case.must and case.spoilt != "weight"
    holds(
        "losses",
        not bad or not finite(value),
        f"takes {case.how}: {value}",
        call,
        case.y_true,
        case.y_pred,
        **kwargs,
    )


@examples(0.1)
@given(JUNK)
def test_get(identifier):
    judged("losses", tfi.losses.get, identifier)
