import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

import tfimbalance as tfi

COUNTS = st.lists(st.integers(1, 10**6), min_size=2, max_size=20)


def mean_weight(weights, counts):
    return np.average(list(weights.values()), weights=counts)


def test_balanced_equals_scikit_learn():
    y = np.repeat([0, 1, 2], [900, 90, 10])
    found = tfi.class_weights(y)
    wanted = compute_class_weight("balanced", classes=np.unique(y), y=y)
    np.testing.assert_allclose(list(found.values()), wanted, rtol=1e-15)
    assert all(type(k) is int and type(v) is float for k, v in found.items())


@given(COUNTS, st.sampled_from(["balanced", "inverse_sqrt", "effective_number"]))
def test_the_mean_weight_is_one(counts, scheme):
    weights = tfi.class_weights(tfi.ClassStatistics(counts), scheme=scheme)
    assert mean_weight(weights, counts) == pytest.approx(1.0, rel=1e-12)


@given(COUNTS)
def test_limits_of_the_effective_number(counts):
    stats = tfi.ClassStatistics(counts)
    equal = tfi.class_weights(stats, scheme="effective_number", beta=0.0)
    assert set(equal.values()) == {1.0}
    near = tfi.class_weights(stats, scheme="effective_number", beta=1 - 1e-12)
    balanced = tfi.class_weights(stats)
    np.testing.assert_allclose(list(near.values()), list(balanced.values()), rtol=1e-5)


@pytest.mark.parametrize("beta", [0.9, 0.9999, 1 - 1e-9, 1 - 1e-12])
def test_effective_number_without_cancellation(beta):
    counts = [7, 123, 10**6]
    mp.mp.dps = 60
    exact = mp.mpf(beta)
    raw = [(1 - exact) / (1 - exact**n) for n in counts]
    scale = sum(counts) / sum(n * w for n, w in zip(counts, raw, strict=True))
    found = tfi.class_weights(tfi.ClassStatistics(counts), scheme="effective_number", beta=beta)
    for weight, right in zip(found.values(), raw, strict=True):
        assert weight == pytest.approx(float(right * scale), rel=1e-13)


def test_inverse_sqrt():
    weights = tfi.class_weights(tfi.ClassStatistics([400, 100]), scheme="inverse_sqrt")
    assert weights[1] / weights[0] == pytest.approx(2.0)


def test_multi_label_weighs_positives_against_negatives():
    stats = tfi.ClassStatistics([10, 50], num_samples=100, multi_label=True)
    assert tfi.class_weights(stats) == pytest.approx({0: 9.0, 1: 1.0})
    assert tfi.class_weights(stats, scheme="inverse_sqrt") == pytest.approx({0: 3.0, 1: 1.0})


def test_empty_classes():
    stats = tfi.ClassStatistics([5, 0, 15])
    with pytest.raises(ValueError, match=r"no rows for class 1.*empty_classes"):
        tfi.class_weights(stats)
    weights = tfi.class_weights(stats, empty_classes="zero")
    assert weights == pytest.approx({0: 2.0, 1: 0.0, 2: 2 / 3})


@pytest.mark.parametrize(
    "arguments",
    [
        {"scheme": "inverse"},
        {"beta": 0.9},
        {"scheme": "effective_number", "beta": 1.0},
        {"scheme": "effective_number", "beta": -0.1},
        {"empty_classes": "ignore"},
    ],
)
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match="expected"):
        tfi.class_weights([0, 1], **arguments)
