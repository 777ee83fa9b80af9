"""What is served leaves as TFLite and ONNX, and says the same there."""

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf

import tfimbalance as tfi
from tfimbalance import calibration as cal

pytestmark = pytest.mark.slow

# The last rows are extreme: there a runtime's own sigmoid is off before a correction sees it.
X = np.concatenate([np.random.default_rng(0).normal(size=(50, 4)), np.eye(4) * 80]).astype("f4")
ORDINARY = slice(50)
LAYERS = {  # By number of outputs.
    1: [
        (cal.PriorCorrection, {"train_priors": 0.5, "target_priors": 0.1}),
        (cal.FocalCalibration, {"gamma": 2.0}),
        (cal.FakeNegativeCalibration, {}),
        (cal.VectorScaling, {"scale": [2.0], "bias": [-1.0]}),
        (cal.TemperatureScaling, {"temperature": 3.0}),
        (
            cal.IsotonicCalibration,
            {"scores": [[-3.0, 0.2, 3.0]], "probabilities": [[0.0, 0.1, 1.0]]},
        ),
        (cal.LossCalibration, {"loss": tfi.losses.BinaryFocalLoss(2.0, label_smoothing=0.1)}),
    ],
    3: [
        (
            cal.PriorCorrection,
            {"train_priors": [0.4, 0.3, 0.3], "target_priors": [0.9, 0.08, 0.02]},
        ),
        (cal.FocalCalibration, {"gamma": 0.5}),
        (cal.VectorScaling, {"scale": [2.0, 1.0, 0.5], "bias": [-1.0, 0.0, 1.0]}),
        (cal.TemperatureScaling, {"temperature": 3.0}),
        (
            cal.IsotonicCalibration,
            {"scores": [[-3.0, 0.2, 3.0]] * 3, "probabilities": [[0.0, 0.1, 1.0]] * 3},
        ),
    ],
}


def served():
    """One model with an output for each correction, of logits or of probabilities, and a plan's."""
    inputs, outputs = keras.Input((4,)), {}

    def head(width, activation=None):
        return keras.Model(inputs, keras.layers.Dense(width, activation)(inputs))

    for width, layers in LAYERS.items():
        for number, (cls, arguments) in enumerate(layers):
            # In turns: a correction that takes logits of one output takes a softmax of three.
            of_logits = (number + width // 2) % 2 == 0
            activation = None if of_logits else "sigmoid" if width == 1 else "softmax"
            layer = cls(from_logits=of_logits, **arguments)
            # Apart, so that no output is another one's input.
            name = f"{cls.__name__}_{width}"
            outputs[name] = cal.calibrated_model(head(width, activation), layer).output
    for counts, width in (([95, 5], 1), ([90, 8, 2], 3)):
        stats = tfi.ClassStatistics(counts)
        plan = tfi.Rebalance(stats, class_shares="balanced", focal_gamma=2.0)
        outputs[f"plan_{width}"] = plan.corrected(head(width))(inputs)
    costs = [[0, 1, 5], [1, 0, 5], [2, 2, 0], [0.9, 0.9, 0.9]]
    outputs["cheapest"] = tfi.layers.MinimumCost(costs)(outputs["plan_3"])
    outputs["decided"] = tfi.layers.Threshold(0.3)(outputs["plan_1"])
    return keras.Model(inputs, outputs)


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_every_correction_converts_and_says_the_same(tmp_path):
    assert {cls.__name__ for each in LAYERS.values() for cls, _ in each} == {
        name for name in cal.__all__ if isinstance(getattr(cal, name), type)
    }
    model = served()
    wanted = model.predict(X, verbose=0)

    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    onnx = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    names = [node.name for node in onnx.get_outputs()]
    of_onnx = dict(zip(names, onnx.run(None, {onnx.get_inputs()[0].name: X}), strict=True))

    model.export(tmp_path / "saved", verbose=False)
    lite = tf.lite.Interpreter(
        model_content=tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved")).convert()
    )
    runner = lite.get_signature_runner("serving_default")
    of_lite = runner(**{next(iter(runner.get_input_details())): X})

    for name, want in wanted.items():
        for kind, got in (("ONNX", of_onnx), ("TFLite", of_lite)):
            assert np.isfinite(got[name]).all(), f"{kind} {name}"
            np.testing.assert_allclose(
                got[name][ORDINARY], want[ORDINARY], atol=2e-6, err_msg=f"{kind} {name}"
            )
