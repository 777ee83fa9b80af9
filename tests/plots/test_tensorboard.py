"""Pages in TensorBoard."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from plots.drawn import Shown, dense, endless, gaussians

import tfimbalance as tfi
from tfimbalance import plots

pytestmark = pytest.mark.slow


def pictures(log_dir):
    """Return {step: (tag, width, height, pixels)} of the events in a directory."""
    found = {}
    for path in sorted(Path(log_dir).glob("events*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "images"
                width, height, png = tf.make_ndarray(value.tensor)
                pixels = tf.io.decode_png(png).numpy()
                found[event.step] = (value.tag, int(width), int(height), pixels)
    return found


def test_save_to_tensorboard_writes_what_its_image_plugin_reads(tmp_path):
    ax = plots.class_balance({0: 9, 1: 1})
    plots.save_to_tensorboard(ax.figure, tmp_path, name="balance", step=7)
    plots.save_to_tensorboard(ax.figure, str(tmp_path), step=8)
    found = pictures(tmp_path)
    assert sorted(found) == [7, 8]
    tag, width, height, pixels = found[7]
    assert tag == "balance"
    assert pixels.shape[:2] == (height, width)
    np.testing.assert_allclose([width, height], 110 * ax.figure.get_size_inches(), atol=1)
    assert pixels.std() > 0
    with pytest.raises(ValueError, match=r"`figure`.*ax.figure"):
        plots.save_to_tensorboard(ax, tmp_path)
    with pytest.raises(ValueError, match=r"`step`"):
        plots.save_to_tensorboard(ax.figure, tmp_path, step=-1)


def test_callback_writes_every_other_epoch(tmp_path, monkeypatch):
    y, _, x = gaussians(0.2, 200)
    drawn = []
    monkeypatch.setattr(Figure, "suptitle", lambda self, text, **_: drawn.append(text))
    rows = {
        2: (x, y, np.ones(200)),
        3: tf.data.Dataset.from_tensor_slices((x, y)).batch(50),
        0: tfi.callbacks.Validation((x, y)),
    }
    callbacks = [
        plots.TensorBoardReport(data, tmp_path / str(k), every=k, name="page", title=f"run {k}")
        for k, data in rows.items()
    ]
    model = dense(1)
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(x, y, epochs=3, callbacks=callbacks, verbose=0)
    for every, steps in ((2, [0, 2]), (3, [0])):
        found = pictures(tmp_path / str(every))
        assert sorted(found) == steps
        assert {tag for tag, *_ in found.values()} == {"page"}
        titles = [text.split(":")[0] for text in drawn if text.startswith(f"run {every}")]
        assert titles == [f"run {every}, epoch {k + 1}" for k in steps]
        assert len(list((tmp_path / str(every)).glob("events*"))) == 1
    assert not plt.get_fignums()
    assert not (tmp_path / "0").exists()  # Every 0 epochs is never.


def test_callback_refuses_before_the_first_step(tmp_path):
    y, _, x = gaussians(0.2, 50)
    with pytest.raises(ValueError, match=r"dataset that ends"):
        plots.TensorBoardReport(endless(), tmp_path)
    with pytest.raises(ValueError, match=r"`validation_data`"):
        plots.TensorBoardReport(x, tmp_path)
    with pytest.raises(ValueError, match=r"`every`"):
        plots.TensorBoardReport((x, y), tmp_path, every=-1)
    model = Shown()
    model.compile("sgd", "mse")
    steps = []
    counter = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda *_: steps.append(1))
    callback = plots.TensorBoardReport((x, y), tmp_path)
    with pytest.raises(ValueError, match=r"`from_logits`"):
        model.fit(x, y, callbacks=[callback, counter], verbose=0)
    assert not steps
