"""Every dataset of the data room on the same rows, for tests of what all of them promise.

Also run by processes of their own, which build the same datasets.
"""

import numpy as np
import tensorflow as tf
from imblearn.over_sampling import SMOTE, RandomOverSampler

import tfimbalance as tfi

ROWS, POSITIVES, BATCH = 600, 40, 20


def rows():
    x = np.random.default_rng(0).normal(size=(ROWS, 3)).astype("float32")
    return x, np.repeat([0, 1], [ROWS - POSITIVES, POSITIVES])


def _noise(x, seed):
    return x + tf.random.stateless_normal(tf.shape(x), seed)


def _balanced(**arguments):
    return tfi.data.balanced_batches(*rows(), batch_size=BATCH, **arguments)


def _stream(**arguments):
    source = tf.data.Dataset.from_tensor_slices(rows())
    return tfi.data.balanced_stream(source, batch_size=BATCH, shuffle_size=100, **arguments)


def _undersampled(**arguments):
    return tfi.data.weighted_undersampling(
        *rows(), keep_weight=0.3, batch_size=BATCH, correction=None, **arguments
    )


def _resampled(sampler):
    return lambda **arguments: tfi.data.resampled_batches(
        *rows(), sampler, batch_size=BATCH, **arguments
    )


def _negatives(**arguments):
    x, _ = rows()
    pairs = {"user": np.arange(ROWS) % 20, "item": np.arange(ROWS) % 30, "x": x}
    dataset = tfi.data.with_negatives(
        pairs, num_items=30, num_negatives=1, batch_size=BATCH // 2, **arguments
    )
    return dataset.map(lambda x, y: (x["x"] + tf.cast(x["item"], tf.float32)[:, None] / 30.0, y))


def _mixed(**arguments):
    x, y = rows()
    positives = tfi.data.balanced_batches(
        {"x": x, "item": np.arange(ROWS)}, y, batch_size=BATCH // 2, **arguments
    ).map(lambda x, y: x)
    dataset = tfi.data.mixed_negatives(
        positives,
        {"x": x[:30] + 1, "item": np.arange(30)},
        item="item",
        num_uniform=BATCH // 2,
        **arguments,
    )
    labels = np.repeat([1, 0], BATCH // 2)
    return dataset.map(lambda x: (tf.concat([x["x"], x["negatives"]["x"]], 0), labels))


# Whole datasets, by functions of such arguments as `initial_epoch`.
DATASETS = {
    "balanced_batches": _balanced,
    "balanced_stream": _stream,
    "weighted_undersampling": _undersampled,
    "resampled_batches_by_index": _resampled(RandomOverSampler()),
    "resampled_batches_generated": _resampled(SMOTE()),
    "smote_batches": lambda **kw: tfi.data.smote_batches(*rows(), batch_size=BATCH, **kw),
    "augment": lambda **kw: tfi.data.augment(_balanced(**kw), _noise, **kw),
    "smote_mixup": lambda **kw: tfi.data.smote_mixup(_balanced(**kw), **kw),
    "with_negatives": _negatives,
    "mixed_negatives": _mixed,
}
