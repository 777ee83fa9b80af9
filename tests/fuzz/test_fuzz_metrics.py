"""Metrics on anything."""

import inspect

import numpy as np
import sklearn.metrics as sk
from fuzz.arguments import PRIORS, arguments_of, finite, read
from fuzz.given import FLAGS, NUMBERS, UNIT
from fuzz.judge import REFUSED, examples, holds, judged
from fuzz.rows import rows
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

import tfimbalance as tfi

METRICS = [getattr(tfi.metrics, name) for name in tfi.metrics.__all__]


OF_METRICS = {
    "class_id": st.sampled_from([None, None, 0, 1]),
    "num_bins": st.sampled_from([2, 15, 100]),
    "exact": FLAGS,
    "max_rows": st.just(1000),
    "from_logits": FLAGS,
    "multi_label": FLAGS,
    "ignore_class": st.sampled_from([None, -1, 255]),
    "threshold": UNIT,
    "skill": FLAGS,
    "num_groups": st.just(3),
    "share": UNIT,
    "precision": UNIT,
    "priors": PRIORS,
    "class_counts": PRIORS,
    "many": NUMBERS,
    "few": NUMBERS,
    "group": st.sampled_from([None, "many", "medium", "few"]),
    "dtype": st.sampled_from([None, "float32", "float64", "float16"]),
}


@st.composite
def metrics(draw):
    cls = draw(st.sampled_from(METRICS))
    kwargs, spoilt = draw(arguments_of(cls, OF_METRICS))
    case = draw(rows())
    if draw(st.integers(0, 7)):
        if spoilt != "from_logits":
            kwargs["from_logits"] = case.from_logits
        if "multi_label" in inspect.signature(cls).parameters and spoilt != "multi_label":
            kwargs["multi_label"] = case.kind == "labels"
    return cls, kwargs, spoilt, case


def expected_metric(cls, case, kwargs):
    """The metric by scikit-learn; None of others."""
    if (
        set(kwargs) - {"from_logits", "multi_label", "exact", "dtype"}
        or kwargs.get("dtype") == "float16"
    ):
        return None
    if (
        case.kind not in ("binary", "column")
        or kwargs.get("from_logits", False) != case.from_logits
    ):
        return None
    score, y, weight = read(case).ravel(), case.y.ravel(), case.weight
    if len(set(y[weight > 0].tolist())) < 2:
        return None
    if cls is tfi.metrics.AUC and kwargs.get("exact"):
        return sk.roc_auc_score(y, score, sample_weight=weight)
    if cls is tfi.metrics.AveragePrecision and kwargs.get("exact"):
        return sk.average_precision_score(y, score, sample_weight=weight)
    if cls is tfi.metrics.BalancedAccuracy:
        hit = (score > (0 if case.from_logits else 0.5)) == (y == 1)
        if (np.isclose(score, 0 if case.from_logits else 0.5)).any():
            return None
        return np.mean([np.average(hit[y == k], weights=weight[y == k]) for k in (0, 1)])
    if cls is tfi.metrics.BrierScore:
        p = expit(score) if case.from_logits else score
        return np.average((p - y) ** 2, weights=weight)
    return None


@examples()
@given(metrics())
def test_metrics(drawn):
    cls, kwargs, spoilt, case = drawn
    metric = judged("metrics", cls, **kwargs)
    if metric is REFUSED:
        return
    metric._fuzzed = kwargs
    more = {}
    if cls is tfi.metrics.GroupAUC:
        more = {"groups": np.arange(case.size) % 3}
    args = (case.y_true, case.y_pred, case.sample_weight)
    if judged("metrics", metric.update_state, *args, **more) is REFUSED:
        plain = set(kwargs) <= {
            "from_logits",
            "multi_label",
            "exact",
            "dtype",
            "num_groups",
            "share",
            "precision",
            "threshold",
        }
        right = plain and not spoilt and not case.spoilt and cls is not tfi.metrics.GroupAUC
        right = right and kwargs.get("multi_label", False) == (case.kind == "labels")
        right = right and kwargs.get("from_logits", False) == case.from_logits
        holds("metrics", not right, "refused what is right", metric.update_state, *args, **more)
        return
    value = judged("metrics", metric.result)
    for extra in ("error_bound", "coverage", "floor"):
        if hasattr(metric, extra):
            judged("metrics", getattr(metric, extra))
    if value is REFUSED:
        return
    values = value if isinstance(value, dict) else {"": value}
    flat = np.array([np.asarray(v, np.float64) for v in values.values()]).ravel()
    if case.must:
        holds(
            "metrics",
            not finite(flat),
            f"takes {case.spoilt} {case.how}: {flat}",
            metric.update_state,
            *args,
            **more,
        )
        return
    if not case.spoilt and not spoilt:
        holds(
            "metrics",
            not np.isinf(flat).any(),
            f"infinite: {flat}",
            metric.update_state,
            *args,
            **more,
        )
        wanted = expected_metric(cls, case, kwargs)
        if wanted is not None:
            close = np.allclose(flat, wanted, rtol=1e-4, atol=1e-5)
            holds(
                "metrics", close, f"{flat} instead of {wanted}", metric.update_state, *args, **more
            )
