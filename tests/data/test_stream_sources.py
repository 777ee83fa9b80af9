"""What streams take: sources, labels, structures; and what they refuse."""

import numpy as np
import pytest
import tensorflow as tf
from data.streams import rare, read, stream_of

import tfimbalance as tfi

pytestmark = pytest.mark.slow


@pytest.mark.slow
def test_parts_of_different_lengths_are_refused():
    parts = tf.data.Dataset.from_generator(
        lambda: [(np.zeros(3), np.zeros(2, int))],
        output_signature=(tf.TensorSpec([None]), tf.TensorSpec([None], tf.int64)),
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="as many rows in every part"):
        list(tfi.data.balanced_stream(parts, batched=True))


@pytest.mark.slow
def test_the_source_is_read_once_an_epoch():
    x, y = rare(3_000)
    passed = []

    def watch(row, label):
        passed.append(int(row))
        return row

    source = stream_of(x, y).map(
        lambda row, label: (
            tf.ensure_shape(tf.py_function(watch, [row, label], tf.int64), []),
            label,
        )
    )
    dataset = tfi.data.balanced_stream(source, batch_size=64)
    for epoch in (1, 2):
        read(dataset)
        assert len(passed) == epoch * len(x)


def test_nested_sparse_ragged_and_weights():
    n = 500
    y = np.arange(n) % 50 == 3
    nested = {
        "row": np.arange(n),
        "image": np.arange(n, dtype="float32")[:, None, None] * np.ones((1, 2, 2), "float32"),
        "ragged": tf.ragged.constant([list(range(i % 4)) for i in range(n)]),
        "sparse": tf.sparse.from_dense(np.diag(np.arange(n) % 7 + 1)),
        "text": np.array([f"row {i}" for i in range(n)]),
        "nothing": np.zeros((n, 0)),
    }
    rows = tf.data.Dataset.from_tensor_slices((nested, y, np.arange(n) / 2))
    dataset = tfi.data.balanced_stream(rows, batch_size=10)
    count = 0
    for x, labels, weight in dataset:
        row = x["row"].numpy()
        np.testing.assert_array_equal(labels, y[row])
        assert labels.numpy().sum() == 5
        np.testing.assert_array_equal(weight, row / 2)
        np.testing.assert_array_equal(x["image"][:, 1, 1], row)
        assert x["ragged"].to_list() == [list(range(i % 4)) for i in row]
        dense = tf.sparse.to_dense(x["sparse"]).numpy()
        np.testing.assert_array_equal(dense[np.arange(10), row], row % 7 + 1)
        assert (dense != 0).sum() == 10
        assert x["text"].numpy()[0].decode() == f"row {row[0]}"
        assert x["nothing"].shape == (10, 0)
        count += 1
    assert count == n // 10


@pytest.mark.parametrize("kind", ["one-hot", "column of floats", "bool"])
def test_labels_of_any_kind(kind):
    x, y = rare(1_000, 0.1)
    given = {
        "one-hot": np.eye(2, dtype="float32")[y],
        "column of floats": y[:, None].astype("float32"),
        "bool": y.astype(bool),
    }[kind]
    for rows, labels in tfi.data.balanced_stream(stream_of(x, given), batch_size=16):
        np.testing.assert_array_equal(labels, given[rows.numpy()])
        assert y[rows.numpy()].sum() == 8


@pytest.mark.slow
def test_several_outputs_are_balanced_by_the_labels_named():
    x, y = rare(3_000)
    rows = tf.data.Dataset.from_tensor_slices((x, {"click": y, "seconds": x * 0.5}))
    with pytest.raises(ValueError, match="label_fn=lambda"):
        tfi.data.balanced_stream(rows)
    dataset = tfi.data.balanced_stream(rows, batch_size=16, label_fn=lambda x, y: y["click"])
    assert all(out["click"].numpy().sum() == 8 for _, out in dataset)


@pytest.mark.slow
def test_tfrecord_files(tmp_path):
    """Serialized examples pass through, and are parsed batch by batch."""
    x, y = rare(2_000)
    for shard in (0, 1):
        with tf.io.TFRecordWriter(str(tmp_path / f"{shard}.tfrecord")) as writer:
            for row in x[shard::2]:
                feature = {
                    "row": tf.train.Feature(int64_list=tf.train.Int64List(value=[row])),
                    "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[y[row]])),
                }
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())
    spec = {name: tf.io.FixedLenFeature([], tf.int64) for name in ("row", "label")}
    files = tf.data.Dataset.list_files(str(tmp_path / "*.tfrecord"), seed=0)
    records = files.interleave(tf.data.TFRecordDataset).batch(256)
    parsed = records.map(lambda record: tf.io.parse_example(record, spec)).map(
        lambda example: (example["row"], example["label"])
    )
    batches = read(tfi.data.balanced_stream(parsed, batch_size=20, batched=True))
    assert len(batches) == 100
    assert all(labels.sum() == 10 and (y[rows] == labels).all() for rows, labels in batches)


@pytest.mark.slow
def test_a_source_of_each_epoch():
    """Whatever seed the program has."""
    x, y = rare(1_000)
    source = stream_of(x, y)

    def make(**arguments):
        return tfi.data.balanced_stream(
            lambda epoch: source.shuffle(200, seed=epoch), batch_size=20, **arguments
        )

    dataset = make()
    first, second = (np.stack([rows for rows, _ in read(dataset)]) for _ in (0, 1))
    assert (np.sort(first, axis=None) != np.sort(second, axis=None)).any()
    tf.random.set_seed(5)  # That of tests is 0.
    np.testing.assert_array_equal([rows for rows, _ in read(make(initial_epoch=1))], second)


@pytest.mark.slow
def test_bad_labels_are_refused_while_reading():
    epochs = [
        (np.zeros(500, int), "none of class"),
        (np.zeros(0, int), "none of class"),
        (np.repeat([0, 3], 250), "class ids from 0 to 1"),
        (np.repeat([0, -1], 250), "class ids from 0 to 1"),
    ]
    given = tf.ragged.constant([y for y, _ in epochs], dtype=tf.int64)
    dataset = tfi.data.balanced_stream(
        lambda epoch: tf.data.Dataset.from_tensor_slices((given[epoch], given[epoch])).batch(10),
        batched=True,
    )
    at = tfi.callbacks.DatasetEpochs(dataset)
    for epoch, (_, message) in enumerate(epochs):
        at.on_epoch_begin(epoch)
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            list(dataset)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("y", "arguments", "message"),
    [
        (np.repeat([0, 1], 250), {"max_warmup": 20, "batch_size": 8}, "max_warmup"),
        (np.repeat([0.0, 0.5], 250), {}, "class ids from 0 to 1"),
    ],
)
def test_other_labels_that_are_refused_while_reading(y, arguments, message):
    chunks = stream_of(np.arange(len(y)), y).batch(10)
    dataset = tfi.data.balanced_stream(chunks, batched=True, **arguments)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        list(dataset)


@pytest.mark.parametrize(
    ("dataset", "arguments", "message"),
    [
        ([1, 2], {}, "balanced_batches"),
        (stream_of(np.zeros(0), np.zeros(0, int)), {}, "at least one row"),
        (tf.data.Dataset.range(9), {}, r"\(x, y\)"),
        (stream_of(np.arange(9), np.arange(9) % 2).batch(3), {}, "batched=True"),
        (stream_of(np.arange(9), np.arange(9) % 2), {"batched": True}, "batched=False"),
        (stream_of(np.arange(9), np.arange(9) % 2), {"batch_size": 1}, "at least 2"),
        (stream_of(np.arange(9), np.arange(9) % 2), {"class_shares": [0.5, 0.6]}, "sum to 1"),
        (stream_of(np.arange(9), np.arange(9) % 2), {"rate": 0}, "rate"),
        (stream_of(np.arange(9), np.arange(9) % 2), {"rate": 1e-7}, "at least 1e-6"),
        (stream_of(np.arange(9), np.arange(9) % 2), {"buffer_size": 0}, "buffer_size"),
        (stream_of(np.ones((9, 5)), np.eye(3)[np.arange(9) % 3]), {"batched": True}, "batches"),
        (stream_of(np.arange(9), np.arange(9) % 2), {"num_classes": 1}, "num_classes"),
        (stream_of(np.arange(9), np.arange(9) % 2), {"buffer_size": -1}, "buffer_size"),
        (stream_of(np.arange(9), np.array(["a"] * 9)), {}, "one class a row"),
        (
            tf.data.Dataset.range(9).map(lambda i: (tf.fill([i], 1.0), i % 2)),
            {},
            r"shape \(None,\).*ragged",
        ),
    ],
)
def test_bad_input_is_refused_at_once(dataset, arguments, message):
    with pytest.raises(ValueError, match=message):
        tfi.data.balanced_stream(dataset, **arguments)
