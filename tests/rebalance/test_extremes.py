"""Extreme logits through compiled `fit`, and through the models that are served."""

import keras
import numpy as np
import pytest

import tfimbalance as tfi

pytestmark = pytest.mark.slow

GAMMAS = [0.0, 0.5, 1.0, 2.0, 5.0]
LOGITS = np.array([0, 1, 10, 17, 20, 50, 88, 1e4])
LOGITS = np.concatenate([-LOGITS[:0:-1], LOGITS])
# Each logit with either label; a logit is the weight of a row.
ROWS = np.arange(2 * len(LOGITS))
Z, Y = np.tile(LOGITS, 2), np.repeat([0, 1], len(LOGITS))


def logits_of_rows(name, classes=1):
    """A logit for each row, or two that are as far apart."""
    start = Z[:, None] if classes == 1 else np.stack([-Z / 2, Z / 2], axis=1)
    return keras.layers.Embedding(
        len(Z), classes, embeddings_initializer=keras.initializers.Constant(start), name=name
    )


def heads(turn):
    """Half of the heads for each gamma: of logits and probabilities, one output and two classes."""
    rows, outputs, losses = keras.Input((), dtype="int32"), {}, {}
    for number, gamma in enumerate(GAMMAS):
        for from_logits in (True, False):
            for classes in (1, 2):
                if (number + from_logits + classes + turn) % 2:
                    continue
                name = f"{number}_{'logits' if from_logits else 'probabilities'}_{classes}"
                z = logits_of_rows(f"z_{name}", classes)(rows)
                activation = None if from_logits else ("sigmoid" if classes == 1 else "softmax")
                outputs[name] = keras.layers.Activation(activation, name=name)(z)
                cls = "BinaryFocalLoss" if classes == 1 else "SparseCategoricalFocalLoss"
                losses[name] = getattr(tfi.losses, cls)(
                    gamma, from_logits=from_logits, reduction="sum"
                )
    return keras.Model(rows, outputs), losses


@pytest.mark.parametrize(
    ("policy", "xla", "turn"),
    [
        ("float64", False, 0),
        ("float32", True, 0),
        ("mixed_float16", False, 1),
        ("mixed_bfloat16", True, 1),
    ],
)
def test_a_compiled_fit_is_finite_and_moves_every_confident_mistake(policy, xla, turn):
    """4 policies in a graph or under XLA, 5 gammas, 15 logits with 2 labels, 2 heads: 1,200 cases.

    Each compiler has every head of every gamma, and each policy every gamma of every kind.
    (All eight pairs of policy and compiler hold; to run them costs twice as much.)
    """
    keras.config.set_dtype_policy(policy)
    try:
        model, losses = heads(turn)
        before = [weight.numpy() for weight in model.trainable_variables]
        model.compile(keras.optimizers.SGD(1.0), losses, jit_compile=xla, auto_scale_loss=False)
        history = model.fit(
            ROWS, dict.fromkeys(losses, Y), batch_size=len(ROWS), shuffle=False, verbose=0
        ).history
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(list(history.values())).all()
    most = 6.5e4 if policy == "mixed_float16" else np.inf
    for weight, start in zip(model.trainable_variables, before, strict=True):
        name = weight.path
        step = weight.numpy().astype("float64") - start
        step = step[:, -1]  # Of the logit of class 1.
        assert np.isfinite(step).all(), name
        right = np.where(Y == 1, 1.0, -1.0)
        assert (step * right >= 0).all(), name
        mistakes = (np.abs(Z) >= 10) & (Z * right < 0) & (np.abs(Z) < most)
        assert (step * right > 0)[mistakes].all(), name


@pytest.mark.parametrize("xla", [False, True], ids=["graph", "xla"])
def test_what_is_served_is_a_probability(xla):
    """Of each gamma, every kind of model, half of them in a graph and the others under XLA."""
    rows, outputs = keras.Input((), dtype="int32"), {}
    for number, gamma in enumerate(GAMMAS):
        for classes, activation in ((1, "sigmoid"), (2, "softmax")):
            plan = tfi.Rebalance(
                tfi.ClassStatistics([95, 5]), class_shares="balanced", focal_gamma=gamma,
                activation=activation,
            )  # fmt: skip
            for end in (None, activation):
                if (number + classes + (end is None) + xla) % 2:
                    continue
                inner = keras.Input((), dtype="int32")
                z = logits_of_rows("z", classes)(inner)
                model = keras.Model(inner, keras.layers.Activation(end)(z))
                name = f"{gamma:g} {activation} of {end or 'logits'}".replace(".", "_")
                outputs[name] = plan.corrected(model, from_logits=end is None)(rows)
    served = keras.Model(rows, outputs)
    served.compile(jit_compile=xla)
    for name, p in served.predict(ROWS, verbose=0).items():
        p = p[: len(LOGITS), -1]
        assert ((p >= 0) & (p <= 1)).all(), name
        assert (np.diff(p) >= 0).all(), name
        assert p[0] < 1e-6, name
        assert p[-1] > 0.99, name
