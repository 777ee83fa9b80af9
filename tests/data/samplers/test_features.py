"""Features that samplers look at: categories, quantities, frames; and what is refused."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf
from data.samplers.sampled import (
    COUNTS,
    NUMBERS,
    ROWS,
    Y,
    batches,
    features,
    mixed,
    numbers,
    together,
)
from imblearn import FunctionSampler
from imblearn.combine import SMOTEENN, SMOTETomek
from imblearn.over_sampling import (
    ADASYN,
    SMOTE,
    SMOTENC,
    SVMSMOTE,
    BorderlineSMOTE,
    KMeansSMOTE,
    RandomOverSampler,
)
from imblearn.pipeline import make_pipeline
from imblearn.under_sampling import (
    ClusterCentroids,
    RandomUnderSampler,
    TomekLinks,
)
from sklearn.preprocessing import OneHotEncoder, StandardScaler

pytestmark = pytest.mark.slow


def mixed_frame():
    x = mixed()
    frame = pd.DataFrame({"amount": x[:, 0], "rate": x[:, 1]})
    frame["city"] = pd.Categorical(x[:, 2].astype(int))
    frame["flag"] = x[:, 0] > 0
    frame["age"] = np.random.default_rng(4).integers(20, 60, ROWS)
    return frame


def test_a_frame_reaches_the_sampler_as_a_frame():
    """By names and categories; a batch is one array of its columns."""
    frame = mixed_frame()
    by_name = SMOTENC(categorical_features=["city", "flag"])
    dataset = batches(frame, sampler=by_name, quantities=["age"], row_ids=NUMBERS)
    drawn, ids, _ = together(dataset)
    assert drawn.dtype == np.float64
    expected = np.stack([np.asarray(frame[name]) for name in frame], axis=1)
    kept = ids >= 0
    np.testing.assert_array_equal(drawn[kept], expected[ids[kept]])
    assert set(drawn[:, 2]) == {0, 1, 2}
    assert set(drawn[:, 3]) == {0, 1}
    assert not set(drawn[~kept, 0]) & set(expected[:, 0])
    auto = batches(frame.drop(columns=["flag", "age"]), sampler=SMOTENC("auto"))
    assert set(together(auto)[0][:, 2]) == {0, 1, 2}
    # The same layout where rows are selected.
    selected, ids, _ = together(batches(frame, sampler=TomekLinks(), row_ids=NUMBERS))
    np.testing.assert_array_equal(selected, expected[ids])


INTEGERS = np.random.default_rng(5).integers(0, 5, (ROWS, 8))


@pytest.mark.parametrize(
    ("x", "sampler", "message"),
    [
        (mixed(), SMOTE(), r"column 2 of whole.*SMOTENC\(categorical_features=\[2\]\)"),
        (mixed(), BorderlineSMOTE(), "BorderlineSMOTE makes rows between"),
        (mixed(), SVMSMOTE(), "column 2"),
        (mixed(), KMeansSMOTE(), "column 2"),
        (mixed(), ADASYN(), "column 2"),
        (mixed(), ClusterCentroids(), r'voting="hard"'),
        (mixed(), RandomOverSampler(shrinkage=1.0), "shrinkage=None"),
        (mixed(), SMOTEENN(), r"SMOTEENN\(smote=SMOTENC"),
        (mixed(), SMOTETomek(smote=SMOTE()), "column 2"),
        (mixed(), make_pipeline(RandomUnderSampler(), SMOTE()), "column 2"),
        (mixed(), make_pipeline(FunctionSampler(validate=False), SMOTE()), "column 2"),
        (mixed(), make_pipeline(OneHotEncoder(sparse_output=False), SMOTE()), "in all"),
        (mixed(), SMOTENC([0]), r"column 2.*Add them to its categorical_features: \[2\]"),
        (mixed(), SMOTENC([True, False, False]), "column 2"),
        (mixed() > 0.5, SMOTE(), r"columns 0, 1, 2 .*SMOTEN\(\)"),
        (INTEGERS, SMOTE(), r"columns 0, 1, 2, 3, 4, \.\.\. \(8 in all\).*quantities=\[\.\.\.\]"),
        (scipy.sparse.csr_matrix(mixed()), SMOTE(), "column 2"),
        (scipy.sparse.csc_array(INTEGERS), SMOTE(), "8 in all"),
        (pd.DataFrame(mixed(), columns=["a", "b", "c"]), SMOTE(), r"'c' .*\['c'\]"),
        (mixed_frame(), SMOTE(), "columns 'city', 'flag', 'age'"),
        (mixed_frame(), SMOTENC(["city", "age"]), "column 'flag'"),
        (mixed_frame(), SMOTENC("auto"), "columns 'flag', 'age'"),
    ],
)
def test_categories_are_never_interpolated(x, sampler, message):
    with pytest.raises(ValueError, match=f"`x`: .*{message}"):
        batches(x, sampler=sampler)


def test_quantities_may_be():
    x = np.column_stack([features(), INTEGERS[:, 0]])
    for quantities in ([3], [-1], np.array([3])):
        assert len(together(batches(x, sampler=SMOTE(), quantities=quantities))[0]) == 208
    ages = batches(INTEGERS, sampler=SMOTE(), quantities=range(8))
    assert together(ages)[0].dtype == INTEGERS.dtype
    frame = pd.DataFrame(x, columns=list("abcd"))
    for quantities in (["d"], [3]):
        list(batches(frame, sampler=SMOTE(), quantities=quantities))
    with pytest.raises(ValueError, match=r"`quantities`.*'e'.*'a', 'b', 'c', 'd'"):
        batches(frame, sampler=SMOTE(), quantities=["e"])
    with pytest.raises(ValueError, match=r"`quantities`.*4, where `x` has 4 columns"):
        batches(x, sampler=SMOTE(), quantities=[4])


def test_what_does_not_vary_is_no_category():
    x = np.column_stack([features(), np.ones(ROWS), np.zeros(ROWS)])
    for each in (x, pd.DataFrame(x), scipy.sparse.csr_matrix(x)):
        assert len(list(batches(each, sampler=SMOTE()))) == math.ceil(2 * COUNTS[0] / 16)


def test_late_fractions_are_found():
    """A column of whole numbers but for its last row is one of measurements."""
    x = np.column_stack([features(), np.arange(ROWS)])
    x[-1, 3] = 0.5
    assert len(list(batches(x, sampler=SMOTE()))) == math.ceil(2 * COUNTS[0] / 16)


def test_a_pipeline_transforms():
    x = features("float64") * 3 + 7
    dataset = batches(x, sampler=make_pipeline(StandardScaler(), SMOTE()), row_ids=NUMBERS)
    drawn, ids, _ = together(dataset)
    kept = ids >= 0
    expected = (x - x.mean(axis=0)) / x.std(axis=0)
    np.testing.assert_allclose(drawn[kept], expected[ids[kept]], rtol=1e-9)
    # Strings are for a transformer to encode.
    words = np.array([["a"], ["b"], ["c"]])[INTEGERS[:, 0] % 3]
    encoded = make_pipeline(OneHotEncoder(sparse_output=False), RandomUnderSampler())
    assert together(batches(words, sampler=encoded))[0].shape[1] == 3


class NoSampler:
    pass


def one_class(x, y):
    return x[:50], y[:50]


def nothing(x, y):
    return x[:0], y[:0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": np.zeros(ROWS, int)}, "`y`.*at least two classes.*class 0 alone"),
        ({"x": np.zeros((0, 3)), "y": np.zeros(0, int)}, "`y`.*no rows"),
        ({"y": np.repeat([0.0, np.nan], 60)}, "nan in row 60"),
        ({"y": {"click": Y}}, "`y`.*several outputs"),
        ({"y": np.zeros((ROWS, 4, 1), int)}, "`y`.*one class a row"),
        ({"x": features()[1:]}, "`x`.*119 rows"),
        ({"x": features()[1:], "sampler": RandomOverSampler()}, "`x`.*119 rows"),
        ({"sample_weight": np.ones(3)}, "`sample_weight`.*3 rows"),
        ({"sample_weight": np.array(["a"] * ROWS)}, "`sample_weight`.*one number"),
        ({"row_ids": NUMBERS[1:]}, "`row_ids`.*119 rows"),
        ({"row_ids": NUMBERS - 1}, "`row_ids`.*at least 0.*np.arange"),
        ({"row_ids": NUMBERS / 2}, "`row_ids`.*float64"),
        ({"sampler": NoSampler()}, "`sampler`.*fit_resample"),
        ({"sampler": SMOTE}, "`sampler`.*fit_resample"),
        ({"sampler": make_pipeline(SMOTE(), StandardScaler())}, "ends with a sampler"),
        ({"sampler": FunctionSampler(func=one_class)}, "class 0 from FunctionSampler"),
        ({"sampler": FunctionSampler(func=nothing, validate=False)}, "no rows from Function"),
        (
            {"sampler": FunctionSampler(), "row_ids": NUMBERS},
            "because row_ids was given.*Leave out row_ids",
        ),
        (
            {"sampler": ClusterCentroids(), "sample_weight": np.ones(ROWS)},
            "because sample_weight was given",
        ),
        ({"x": features()[:, 0]}, r"shape \(120,\).*reshape\(-1, 1\)"),
        ({"x": np.zeros((ROWS, 4, 4))}, r"reshape\(len\(x\), -1\).*RandomOverSampler"),
        ({"x": {"a": features()}}, "SMOTE looks at features.*a dict"),
        ({"x": tf.RaggedTensor.from_row_lengths(NUMBERS, np.ones(ROWS, int))}, "RaggedTensor"),
        ({"x": np.array([["a"]] * ROWS)}, "`x`.*numbers or flags"),
        ({"x": pd.DataFrame({"a": NUMBERS / 7, "b": ["x"] * ROWS})}, r"column 'b'.*cat\.codes"),
        ({"x": np.where(features() > 2, np.nan, features())}, "NaN"),
        ({"sampler": SMOTE(k_neighbors=50)}, "n_neighbors"),
        ({"batch_size": 0}, "batch_size"),
        ({"steps_per_epoch": 0}, "steps_per_epoch"),
        ({"seed": -1}, "seed"),
        ({"initial_epoch": -1}, "initial_epoch"),
        ({"shard_index": 1}, "below num_shards=1"),
    ],
)
def test_bad_input_is_refused_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        batches(**{"x": features(), "sampler": SMOTE(), **arguments})


def test_missing_text_does_not_hide_where_a_row_is_from():
    """An encoder comes after the sampler, so that strings and gaps reach it."""
    frame = pd.DataFrame({"size": features()[:, 0], "word": ["a", None, "b", "b"] * 30})
    frame["other"] = pd.array(["u", pd.NA, "v", "u"] * 30, dtype="string").astype(object)
    rows = RandomUnderSampler(sampling_strategy=0.9)
    select = FunctionSampler(func=lambda x, y: (x, y), validate=False)
    encode = OneHotEncoder(sparse_output=False)
    with pytest.raises(ValueError, match="because row_ids was given"):
        batches(frame, sampler=make_pipeline(encode, select, rows), row_ids=NUMBERS)
    pipeline = make_pipeline(rows, encode, TomekLinks())
    ids = numbers(batches(frame, sampler=pipeline, row_ids=NUMBERS))
    assert (ids >= 0).all()
    assert len(set(ids)) > 20
