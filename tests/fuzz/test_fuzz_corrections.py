"""Corrections, layers and initializers on anything."""

import keras
import numpy as np
from fuzz.arguments import OF_LAYERS, PRIORS, arguments_of, finite, read
from fuzz.given import JUNK, NUMBERS, mostly
from fuzz.judge import REFUSED, examples, holds, judged
from fuzz.rows import rows
from hypothesis import given
from hypothesis import strategies as st

import tfimbalance as tfi


def judge_spoilt(room, case, out, call, **kwargs):
    """Predictions that had to be refused may at most give what is not finite."""
    bad = case.must and case.how not in ("0-d", "shorter", "longer")
    claim = not bad or not finite(out)
    holds(room, claim, f"takes {case.how}: {out}", call, case.y_pred, **kwargs)


LAYERS = [
    tfi.calibration.FakeNegativeCalibration,
    tfi.calibration.FocalCalibration,
    tfi.calibration.IsotonicCalibration,
    tfi.calibration.PriorCorrection,
    tfi.calibration.TemperatureScaling,
    tfi.calibration.VectorScaling,
    tfi.calibration.LossCalibration,
    tfi.layers.CosineClassifier,
    tfi.layers.Threshold,
]


_READ_BY_KERAS = ("nothing", "0-d", "function", "lists")


@st.composite
def layers(draw):
    cls = draw(st.sampled_from(LAYERS))
    kwargs, spoilt = draw(arguments_of(cls, OF_LAYERS))
    case = draw(rows())
    if "from_logits" in kwargs and spoilt != "from_logits":
        kwargs["from_logits"] = case.from_logits
    return cls, kwargs, spoilt, case


@examples()
@given(layers(), st.booleans())
def test_layers(drawn, fit):
    cls, kwargs, spoilt, case = drawn
    layer = judged("layers", cls, **kwargs)
    if layer is REFUSED:
        return
    layer._fuzzed = kwargs
    if fit and hasattr(layer, "fit"):
        found = judged(
            "layers", layer.fit, case.y_true, case.y_pred, sample_weight=case.sample_weight
        )
        if found is not REFUSED:
            good = not case.must or case.how in ("words",)
            holds(
                "layers",
                good,
                f"fits {case.spoilt} {case.how}",
                layer.fit,
                case.y_true,
                case.y_pred,
                sample_weight=case.sample_weight,
            )
    kind = getattr(getattr(case.y_pred, "dtype", None), "kind", "f")
    if isinstance(case.y_pred, (list, dict)) or kind in "OM" or case.how in _READ_BY_KERAS:
        return  # Keras reads those before the layer does.
    value = judged("layers", layer.__call__, case.y_pred)
    if value is REFUSED:
        return
    out = np.asarray(keras.ops.convert_to_numpy(value), np.float64)
    if case.spoilt == "y_pred":
        judge_spoilt("layers", case, out, layer.__call__)
        return
    holds(
        "layers", out.shape[:1] == (case.size,), f"shape {out.shape}", layer.__call__, case.y_pred
    )
    if (
        kwargs.get("from_logits", cls is tfi.calibration.LossCalibration) == case.from_logits
        and not spoilt
    ):
        holds("layers", finite(out), f"not finite: {out}", layer.__call__, case.y_pred)


ARRAYS = {
    tfi.calibration.prior_correction: (
        "train_priors",
        "target_priors",
        "from_logits",
        "activation",
    ),
    tfi.calibration.focal_calibration: ("gamma", "from_logits", "activation"),
    tfi.calibration.adjust_logits: ("priors", "tau"),
    tfi.calibration.estimate_priors: (
        "train_priors",
        "held_out",
        "from_logits",
        "activation",
        "tolerance",
    ),
}
PARTS = {
    **OF_LAYERS,
    "tau": NUMBERS,
    "tolerance": st.sampled_from([1e-9, 1e-3]),
    "held_out": st.none(),
}


@st.composite
def functions(draw):
    call = draw(st.sampled_from(list(ARRAYS)))
    kwargs, spoilt = draw(arguments_of(call, {k: PARTS[k] for k in ARRAYS[call]}))
    case = draw(rows())
    if "from_logits" in kwargs and spoilt != "from_logits":
        kwargs["from_logits"] = case.from_logits
    if call is tfi.calibration.estimate_priors and draw(st.integers(0, 3)) == 0:
        kwargs["held_out"] = (case.y_true, case.y_pred)
    return call, kwargs, spoilt, case


@examples()
@given(functions())
def test_functions_of_predictions(drawn):
    call, kwargs, spoilt, case = drawn
    value = judged("functions", call, case.y_pred, **kwargs)
    if value is REFUSED:
        return
    out = np.asarray(keras.ops.convert_to_numpy(value), np.float64)
    if case.spoilt == "y_pred":
        judge_spoilt("functions", case, out, call, **kwargs)
        return
    if call is tfi.calibration.estimate_priors:
        holds(
            "functions",
            finite(out) and (out > 0).all() and (out < 1).all(),
            f"{out}",
            call,
            case.y_pred,
            **kwargs,
        )
        return
    same = out.shape == read(case).shape
    holds("functions", same, f"shape {out.shape}", call, case.y_pred, **kwargs)
    if not spoilt and (kwargs.get("from_logits", False) == case.from_logits or "priors" in kwargs):
        holds("functions", finite(out), f"not finite: {out}", call, case.y_pred, **kwargs)


@examples(0.3)
@given(
    st.one_of(PRIORS, JUNK), st.one_of(PRIORS, JUNK), mostly(st.sampled_from([None, True, False]))
)
def test_priors(train, target, per_label):
    shift = judged("functions", tfi.calibration.prior_shift, train, target)
    if shift is not REFUSED:
        holds("functions", finite(shift), f"{shift}", tfi.calibration.prior_shift, train, target)
    bias = judged("functions", tfi.initializers.PriorBias, train, per_label=per_label)
    if bias is not REFUSED:
        for shape in ((1,), (2,), (3,), (2, 2)):
            value = judged("functions", bias, shape)
            if value is not REFUSED:
                right = tuple(value.shape) == shape and finite(value)
                holds(
                    "functions",
                    right,
                    f"{value}",
                    tfi.initializers.PriorBias,
                    train,
                    per_label=per_label,
                )
