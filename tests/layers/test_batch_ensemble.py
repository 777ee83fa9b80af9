"""Members that share kernels: what each computes, how they begin, and how they are trained."""

import keras
import numpy as np
import pytest
from backend import array

import tfimbalance as tfi
from tfimbalance.layers import BatchEnsembleDense

pytestmark = pytest.mark.any_backend(jax_every=2)
RNG = np.random.default_rng(0)


def network(members=4, **kwargs):
    inputs = keras.Input((3,))
    hidden = BatchEnsembleDense(5, members=members, activation="relu")(inputs)
    return keras.Model(inputs, BatchEnsembleDense(1, members=members, **kwargs)(hidden))


@pytest.mark.parametrize("shape", [(6, 3), (6, 4, 3)])
def test_each_member_is_a_dense_layer(shape):
    """Wen et al. 2020, equation 1: the kernel of member m is W * inner outer^T."""
    x = RNG.normal(size=shape).astype("float32")
    layer = BatchEnsembleDense(2, members=4, activation="tanh")
    assert layer(x).shape == (6, 4, 2)
    assert layer.compute_output_shape(shape) == (6, 4, 2)
    for variable in layer.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    kernel, inner, outer, bias = map(array, layer.trainable_variables)
    found = array(layer(x))
    for m in range(4):
        own = kernel * inner[m][:, None] * outer[m]
        wanted = np.tanh((x if len(shape) == 2 else x[:, m]) @ own + bias[m])
        np.testing.assert_allclose(found[:, m], wanted, rtol=1e-4, atol=1e-5)


def test_members_begin_with_signs_of_their_own_and_one_bias():
    keras.utils.set_random_seed(0)
    plan = tfi.Rebalance({0: 98, 1: 2})
    first, last = network(16, bias_initializer=plan.initializer()).layers[1:]
    signs = array(first.inner)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert len(np.unique(signs, axis=0)) > 4
    np.testing.assert_array_equal(array(last.inner), 1.0)
    np.testing.assert_allclose(array(last.bias), np.log(2 / 98), rtol=1e-5)


WIDE = pytest.mark.only_on("tensorflow", why="JAX has no 64 bits by itself")


@pytest.mark.slow
@pytest.mark.parametrize(
    "policy", ["float32", "mixed_bfloat16", pytest.param("float64", marks=WIDE)]
)
def test_a_plan_trains_corrects_and_serves_the_mean(policy, tmp_path):
    keras.utils.set_random_seed(0)
    x = RNG.normal(size=(4_000, 3)).astype("float32")
    y = (RNG.random(4_000) < 1 / (1 + np.exp(3.0 - 2 * x[:, 0]))).astype("int32")
    plan = tfi.Rebalance(y, class_weight="balanced")
    keras.config.set_dtype_policy(policy)
    try:
        model = network(8, bias_initializer=plan.initializer())
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(keras.optimizers.Adam(0.02), plan.loss(from_logits=True))
    repeated = np.repeat(y[:, None, None], 8, axis=1)
    losses = model.fit(x, repeated, batch_size=200, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    corrected = plan.corrected(model)
    mean = keras.layers.GlobalAveragePooling1D()(corrected.output)
    served = keras.Model(corrected.input, mean)
    p = served.predict(x, batch_size=4_000, verbose=0)
    assert p.mean() == pytest.approx(y.mean(), rel=0.2)
    each = corrected.predict(x, batch_size=4_000, verbose=0)
    assert each.std(axis=1).max() > 1e-3  # They differ.
    served.save(tmp_path / "served.keras")
    again = keras.saving.load_model(tmp_path / "served.keras")
    np.testing.assert_array_equal(again.predict(x, batch_size=4_000, verbose=0), p)


def test_config_holds_every_argument():
    plan = tfi.Rebalance({0: 98, 1: 2})
    layer = BatchEnsembleDense(
        3,
        members=5,
        activation="relu",
        kernel_initializer="he_normal",
        kernel_regularizer="l2",
        bias_initializer=plan.initializer(),
        dtype="float64",
        name="some",
    )
    again = BatchEnsembleDense.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.units, again.members, again.name) == (3, 5, "some")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BatchEnsembleDense(0), "`units`"),
        (lambda: BatchEnsembleDense(10**400), "`units`: expected fewer than"),
        (lambda: BatchEnsembleDense(2, members=0), "`members`"),
        (lambda: BatchEnsembleDense(2, members=4)(np.zeros((2, 3, 5))), "as many members"),
        (lambda: BatchEnsembleDense(2, members=4)(np.zeros((2, 4, 5, 1))), "as many members"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
