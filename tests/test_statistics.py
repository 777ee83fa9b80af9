import shutil

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tfimbalance as tfi

IDS = np.array([0, 2, 1, 2, 2, 0])
COUNTS = [2, 1, 3]
ONE_HOT = np.eye(3)[IDS]


def datasets():
    x = np.zeros((6, 4), "float32")
    pairs = tf.data.Dataset.from_tensor_slices((x, IDS))
    hot = tf.data.Dataset.from_tensor_slices((x, ONE_HOT.astype("float32")))
    return {
        "rows": pairs,
        "batches": pairs.batch(4),
        "whole batches": pairs.batch(2, drop_remainder=True),
        "with weights": tf.data.Dataset.from_tensor_slices((x, IDS, np.ones(6))).batch(4),
        "labels alone": tf.data.Dataset.from_tensor_slices(IDS),
        "batches of labels": tf.data.Dataset.from_tensor_slices(IDS).batch(4),
        "one-hot batches": hot.batch(4),
        "columns": tf.data.Dataset.from_tensor_slices((x, IDS[:, None])).batch(4),
    }


@pytest.mark.parametrize(
    "labels",
    [
        IDS,
        IDS.tolist(),
        IDS.astype("uint8"),
        IDS.astype("float32"),
        IDS.astype(object),
        IDS[:, None],
        ONE_HOT,
        ONE_HOT.astype(bool),
        pd.Series(IDS),
        pd.Series(IDS, dtype="Int64"),
        pd.Series(IDS).astype("category").cat.codes,
        pd.DataFrame(ONE_HOT),
        tf.constant(IDS),
        *datasets().values(),
    ],
    ids=lambda labels: type(labels).__name__,
)
def test_every_kind_of_label_gives_the_same_counts(labels):
    stats = tfi.class_statistics(labels)
    assert stats.counts.tolist() == COUNTS
    assert stats.counts.dtype == np.int64
    assert stats.priors.dtype == np.float64
    np.testing.assert_allclose(stats.priors, np.array(COUNTS) / 6, rtol=1e-15)
    assert (stats.num_classes, stats.num_samples, stats.imbalance_ratio) == (3, 6, 3.0)


def test_booleans_have_two_classes():
    assert tfi.class_statistics([True, False, True]).counts.tolist() == [1, 2]
    assert tfi.class_statistics(np.array([True]), num_classes=2).counts.tolist() == [0, 1]


@pytest.mark.parametrize("as_dataset", [False, True])
def test_multi_label(as_dataset):
    rows = np.array([[1, 0, 1], [1, 0, 0], [0, 0, 1], [1, 0, 0]])
    labels = tf.data.Dataset.from_tensor_slices((rows, rows)).batch(3) if as_dataset else rows
    stats = tfi.class_statistics(labels, multi_label=True)
    assert stats.counts.tolist() == [3, 0, 2]
    assert stats.priors.tolist() == [0.75, 0.0, 0.5]
    assert stats.num_samples == 4
    assert stats.empty_classes == [1]
    assert stats.imbalance_ratio == float("inf")
    assert tfi.class_statistics(rows[:, ::2], multi_label=True).imbalance_ratio == 1.5


@given(
    hnp.arrays(np.int64, st.integers(1, 60), elements=st.integers(0, 4)),
    st.lists(st.integers(0, 60), max_size=4),
)
def test_shards_add_up(labels, cuts):
    whole = tfi.class_statistics(labels, num_classes=5)
    shards = np.split(labels, sorted(min(c, len(labels)) for c in cuts))
    parts = [tfi.class_statistics(part, num_classes=5) for part in shards if len(part)]
    assert sum(parts) == whole


def test_a_dataset_is_read_once():
    reads = []

    def rows():
        reads.append(1)
        yield from IDS.tolist()

    spec = tf.TensorSpec((), tf.int64)
    dataset = tf.data.Dataset.from_generator(rows, output_signature=spec)
    assert tfi.class_statistics(dataset).counts.tolist() == COUNTS
    assert len(reads) == 1


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "at least one row"),
        (tf.data.Dataset.from_tensor_slices(np.zeros(0, int)), "at least one row"),
        ([0, 0, 0], "all of class 0"),
        ([1, 1], "all of class 1"),
        ([0.0, np.nan], "nan in row 1"),
        (pd.Series([0, 1, None], dtype="Int64"), "in row 2"),
        ([0, -1, 1], "-1 in row 1"),
        ([0, 1, 1.5], r"1\.5.* in row 2"),
        ([[0.9, 0.1], [0.2, 0.8]], "argmax"),
        ([[1, 1, 0], [1, 0, 0]], "multi_label=True"),
        ([[3, 1, 2], [1, 2, 3]], "ravel"),
        (["yes", "no"], "LabelEncoder"),
        ([10**12, 0], "LabelEncoder"),
        (3, "row axis"),
        (tf.data.Dataset.from_tensor_slices(IDS).repeat(), "infinite"),
        (tf.data.Dataset.from_tensors((0, {"a": [1]})), "structure dict"),
        (tf.data.Dataset.from_tensor_slices((np.zeros((6, 4)), ONE_HOT)), "batch"),
        (tf.data.Dataset.from_tensor_slices((np.zeros((6, 3)), ONE_HOT.astype(int))), "batch"),
        (np.ma.array([0, 1, 1], mask=[0, 0, 1]), "masked value in row 2"),
        ([0.0, 1e300], "whole class ids"),
        (np.zeros((3, 0)), "shape"),
    ],
)
def test_bad_labels_are_refused(labels, message):
    with pytest.raises(ValueError, match=message) as error:
        tfi.class_statistics(labels)
    assert "Received" in str(error.value)


def test_ids_beyond_num_classes_are_refused():
    with pytest.raises(ValueError, match=r"below num_classes=2.*Received: 2 in row 1"):
        tfi.class_statistics(IDS, num_classes=2)
    with pytest.raises(ValueError, match="num_classes"):
        tfi.class_statistics(IDS, num_classes=0)


def test_different_statistics_do_not_add():
    with pytest.raises(ValueError, match="3 classes"):
        tfi.ClassStatistics([1, 2]) + tfi.ClassStatistics([1, 2, 3])


@pytest.mark.parametrize(
    "counts", [[1.5, 2], [-1, 2], [], [[1, 2]], "ab", [float("inf"), 1], [1e30, 1]]
)
def test_bad_counts_are_refused(counts):
    with pytest.raises(ValueError, match="`counts`"):
        tfi.ClassStatistics(counts)


def test_counts_by_class_not_by_position():
    y = np.repeat([0, 1, 2], [10, 1000, 100])
    counted = pd.Series(y).value_counts()
    assert counted.tolist() == [1000, 100, 10]
    for counts in (counted, {2: 100, 0: 10, 1: 1000}):
        assert tfi.ClassStatistics(counts).counts.tolist() == [10, 1000, 100]
    with pytest.raises(ValueError, match="class 1"):
        tfi.ClassStatistics({0: 10, 2: 100})


def test_a_void_class_is_not_counted():
    masks = np.array([[[0, 1, 255], [0, 0, 2]], [[255, 0, 1], [0, 0, 0]]], "uint8")
    expected = [7, 2, 1]
    assert tfi.class_statistics(masks, ignore_class=255).counts.tolist() == expected
    dataset = tf.data.Dataset.from_tensor_slices((np.zeros((2, 1)), masks))
    for each in (dataset, dataset.batch(2)):
        assert tfi.class_statistics(each, ignore_class=255).counts.tolist() == expected
    weights = tfi.class_weights(masks, ignore_class=255)
    assert weights == tfi.class_weights(tfi.ClassStatistics(expected))
    assert tfi.callbacks.ClassWeight(masks, ignore_class=255).class_weight == weights
    plan = tfi.Rebalance(masks, class_weight="balanced", ignore_class=255)
    assert plan.class_weight == weights
    assert plan.loss().ignore_class == plan.validation((np.zeros(2), masks)).ignore_class == 255
    with pytest.raises(ValueError, match=r"`ignore_class`: expected None beside counts"):
        tfi.class_weights({0: 3, 1: 1}, ignore_class=255)
    with pytest.raises(ValueError, match=r"`ignore_class`: expected None beside one-hot"):
        tfi.class_weights(np.eye(3)[[0, 1, 2]], ignore_class=-1)


@pytest.mark.parametrize("label_mode", ["int", "categorical", "binary"])
def test_folders_of_images_are_counted_without_decoding_them(label_mode, tmp_path):
    """The images are none: to read one would fail."""
    for name, files in (("cat", 3), ("dog", 5)):
        (tmp_path / "cats and dogs" / name / "nested").mkdir(parents=True)
        for number in range(files):
            (tmp_path / "cats and dogs" / name / "nested" / f"{number}.png").write_bytes(b"none")
    directory = keras.utils.image_dataset_from_directory(
        tmp_path / "cats and dogs", label_mode=label_mode, verbose=False
    )
    assert tfi.class_statistics(directory).counts.tolist() == [3, 5]
    # A folder above of the same name leaves it open.
    shutil.copytree(tmp_path / "cats and dogs", tmp_path / "cat" / "all")
    directory = keras.utils.image_dataset_from_directory(tmp_path / "cat" / "all", verbose=False)
    with pytest.raises(tf.errors.InvalidArgumentError):
        tfi.class_statistics(directory)


def test_arguments_that_numpy_would_refuse_in_its_own_words():
    for wrong in (np.zeros(0), np.ones(2), np.timedelta64(1, "D"), 0.5):
        with pytest.raises(ValueError, match="`num_samples`: expected an integer"):
            tfi.ClassStatistics([1, 3], wrong)
    with pytest.raises(ValueError, match="`counts`: expected one whole number of rows a class"):
        tfi.ClassStatistics([[1], [1, 2]])
    for many in (2**31, 2**63):  # 2**31 counts took 16 GB.
        with pytest.raises(ValueError, match=r"`num_classes`: expected fewer than 2\*\*31"):
            tfi.class_statistics([0, 1], num_classes=many)
    for flag in ("yes", None, np.ones(2)):
        with pytest.raises(ValueError, match="`multi_label`: expected True or False"):
            tfi.class_statistics([[0, 1]], multi_label=flag)
    for number in (2**31, 10**400):
        with pytest.raises(ValueError, match=r"`ignore_class`: expected an integer below 2\*\*31"):
            tfi.class_statistics([0, 1], ignore_class=number)


def test_a_class_that_stands_twice_in_an_index_is_refused():
    twice = pd.concat([pd.Series({0: 90, 1: 10}), pd.Series({0: 900, 1: 30})])
    with pytest.raises(ValueError, match=r"each class once.*groupby\(level=0\)"):
        tfi.ClassStatistics(twice)
    assert tfi.ClassStatistics(twice.groupby(level=0).sum()).counts.tolist() == [990, 40]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([-1, 1, 1], r"Map labels such as -1/\+1"),
        ([-1, 0, 1], "pass ignore_class=-1"),
        ([[0, 255, 1], [0, 0, 2]], "beside the id of void pixels or padding, ignore_class"),
        ([[0.5, 0.5], [1.0, 0.0]], "Soft labels"),
    ],
)
def test_remedies_are_those_of_the_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        tfi.class_statistics(labels)
