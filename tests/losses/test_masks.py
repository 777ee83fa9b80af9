"""A mask says which rows count, in whatever shape it comes."""

import keras
import numpy as np
import pytest
from keras import ops

import tfimbalance as tfi

pytestmark = pytest.mark.any_backend(jax_every=4)
MASK = np.array([True, False, True, True])


def masked(y_pred, mask):
    y_pred = ops.convert_to_tensor(y_pred)
    y_pred._keras_mask = ops.convert_to_tensor(mask)
    return y_pred


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_mask_of_rows_never_broadcasts(shape, ignored, weighted):
    z = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    y, weight = np.array([0, 2, 1, 2]), np.array([1.0, 2.0, 3.0, 4.0], "float32")
    given = {"ignore_class": 2} if ignored else {}
    losses = [
        tfi.losses.SparseCategoricalFocalLoss(from_logits=True, **given),
        tfi.losses.LogitAdjustedLoss([5, 3, 2], from_logits=True, **given),
    ]
    counts = MASK & (y != 2) if ignored else MASK
    for loss in losses:
        each = type(loss).from_config({**loss.get_config(), "reduction": None})(y, z)
        each = np.asarray(each) * (weight if weighted else 1.0)
        found = loss(y, masked(z, MASK.reshape(shape)), sample_weight=weight if weighted else None)
        assert float(found) == pytest.approx(each[counts].sum() / counts.sum(), rel=1e-6)


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
@pytest.mark.parametrize("weight", [None, np.array([1.0, 2.0, 3.0, 4.0], "float32")])
def test_masked_rows_are_in_no_pair(shape, weight):
    z, y = np.array([0.3, 9.0, -0.2, 0.1], "float32"), np.array([1, 1, 0, 0])
    loss = tfi.losses.PairwiseAUCLoss()
    kept = None if weight is None else weight[MASK]
    found = loss(y, masked(z, MASK.reshape(shape)), sample_weight=weight)
    assert float(found) == pytest.approx(
        float(loss(y[MASK], z[MASK], sample_weight=kept)), rel=1e-5
    )
    assert keras.ops.is_tensor(found)
