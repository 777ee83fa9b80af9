"""Statistics, class weights and plans of anything."""

import keras
import numpy as np
from fuzz.arguments import PRIORS, WEIGHTS, arguments_of, finite, labels
from fuzz.given import FLAGS, NUMBERS, SHARES, mostly
from fuzz.judge import REFUSED, examples, holds, judged
from fuzz.rows import rows
from hypothesis import given
from hypothesis import strategies as st

import tfimbalance as tfi


@examples()
@given(
    labels(),
    mostly(st.sampled_from([None, None, 2, 3, 4, 5])),
    mostly(st.just(False)),
    mostly(st.sampled_from([None, None, -1, 0, 255])),
)
def test_statistics(drawn, num_classes, multi_label, ignore_class):
    ids, _, y, spoilt = drawn
    kwargs = {"num_classes": num_classes, "multi_label": multi_label, "ignore_class": ignore_class}
    call = tfi.class_statistics
    stats = judged("statistics", call, y, **kwargs)
    if stats is REFUSED:
        return
    if spoilt is not None and spoilt[0] == str(ignore_class):
        return  # What is spoilt does not count.
    if spoilt is not None:
        holds("statistics", not spoilt[1], f"counts {spoilt[0]}: {stats}", call, y, **kwargs)
    elif multi_label is False:
        counted = ids[ids != ignore_class] if isinstance(ignore_class, (int, np.integer)) else ids
        wanted = np.bincount(counted, minlength=stats.num_classes)
        holds("statistics", np.array_equal(stats.counts, wanted), f"{stats}", call, y, **kwargs)
    for name in ("priors", "imbalance_ratio", "empty_classes", "num_classes"):
        getattr(stats, name)
    judged("statistics", stats.__add__, stats)


@examples()
@given(st.one_of(labels(), PRIORS.map(lambda p: (None, None, p, ("priors", False)))), st.data())
def test_weights(drawn, data):
    likely = {
        "scheme": st.sampled_from(["balanced", "inverse_sqrt", "effective_number"]),
        "beta": st.sampled_from([None, 0.9, 0.0]),
        "empty_classes": st.sampled_from(["raise", "zero"]),
        "ignore_class": st.sampled_from([None, -1, 0]),
    }
    kwargs, _ = data.draw(arguments_of(tfi.class_weights, likely))
    _, _, y, spoilt = drawn
    weights = judged("statistics", tfi.class_weights, y, **kwargs)
    if weights is REFUSED:
        return
    values = np.array(list(weights.values()))
    right = finite(values) and (values >= 0).all() and list(weights) == list(range(len(values)))
    holds("statistics", right, f"{weights}", tfi.class_weights, y, **kwargs)
    if spoilt is not None:
        holds(
            "statistics",
            not spoilt[1],
            f"weighs {spoilt[0]}: {weights}",
            tfi.class_weights,
            y,
            **kwargs,
        )


@examples(0.5)
@given(
    mostly(st.one_of(WEIGHTS, st.lists(st.integers(0, 100), min_size=1, max_size=4))),
    mostly(st.just(-1)),
    mostly(FLAGS),
)
def test_records(counts, num_samples, multi_label):
    call = tfi.ClassStatistics
    stats = judged("statistics", call, counts, num_samples, multi_label)
    if stats is REFUSED:
        return
    right = stats.counts.dtype == np.int64 and stats.num_samples >= stats.counts.max()
    holds("statistics", right, f"{stats}", call, counts, num_samples, multi_label)
    if stats.num_samples:
        holds(
            "statistics", finite(stats.priors), f"{stats}", call, counts, num_samples, multi_label
        )


OF_PLANS = {
    "class_shares": SHARES,
    "class_weight": st.one_of(
        WEIGHTS, st.sampled_from(["balanced", "inverse_sqrt", "effective_number"])
    ),
    "tau": NUMBERS,
    "focal_gamma": NUMBERS,
    "activation": st.sampled_from([None, "sigmoid", "softmax"]),
    "ignore_class": st.sampled_from([None, -1]),
}


@st.composite
def plans(draw):
    kwargs, spoilt = draw(arguments_of(tfi.Rebalance, OF_PLANS))
    source = draw(st.one_of(labels(6).map(lambda drawn: drawn[2]), PRIORS))
    return source, kwargs, spoilt


@examples()
@given(plans(), rows(), st.one_of(st.none(), PRIORS), mostly(FLAGS))
def test_plans(drawn, case, target_priors, from_logits):
    source, kwargs, _ = drawn
    plan = judged("rebalance", tfi.Rebalance, source, **kwargs)
    if plan is REFUSED:
        return
    plan._fuzzed = {"labels": source, **kwargs}
    judged("rebalance", str, plan.audit())
    right = finite(plan.effective_priors) and (plan.effective_priors > 0).all()
    holds("rebalance", right, f"{plan.effective_priors}", tfi.Rebalance, source, **kwargs)
    loss = judged("rebalance", plan.loss, from_logits=from_logits)
    if loss is not REFUSED and not case.spoilt:
        judged("rebalance", loss.__call__, case.y_true, case.y_pred, case.sample_weight)
    layers = judged("rebalance", plan.layers, from_logits=from_logits, target_priors=target_priors)
    if layers is REFUSED or case.spoilt or isinstance(case.y_pred, list):
        return
    value = case.y_pred
    for layer in layers:
        value = judged("rebalance", layer.__call__, value)
        if value is REFUSED:
            return
    if from_logits is case.from_logits:
        holds(
            "rebalance",
            finite(keras.ops.convert_to_numpy(value).astype(float)),
            f"{value}",
            plan.layers,
            from_logits=from_logits,
            target_priors=target_priors,
        )
