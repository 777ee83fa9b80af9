import importlib

import keras
import numpy as np
import pytest

import tfimbalance as tfi
from tfimbalance import _names
from tfimbalance.losses import registry

NAMES = [
    "asymmetric_loss",
    "binary_focal_loss",
    "categorical_focal_loss",
    "pairwise_auc_loss",
    "sparse_categorical_focal_loss",
    "weighted_binary_crossentropy",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_work_in_get_and_compile(name):
    loss = tfi.losses.get(name)
    assert loss.name == name
    assert type(keras.losses.get(name)) is type(loss)
    assert type(tfi.losses.get(type(loss).__name__)) is type(loss)
    assert type(tfi.losses.get(f"tfimbalance>{type(loss).__name__}")) is type(loss)
    config = keras.saving.serialize_keras_object(loss)
    assert tfi.losses.get(config).get_config() == loss.get_config()
    assert tfi.losses.get(loss) is loss
    assert type(tfi.losses.get(type(loss))) is type(loss)


def test_compiles_as_the_seed_article_writes_it(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 3)), rng.integers(0, 2, 64)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("adam", loss="weighted_binary_crossentropy")
    history = model.fit(x, y, class_weight={0: 0.6, 1: 4.0}, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert again.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0))


def test_a_name_that_is_taken_stays_as_it_is(monkeypatch):
    mine = object()
    table = {"binary_focal_loss": mine}
    monkeypatch.setattr(_names, "_table", lambda room: table)
    registry.register(
        binary_focal_loss=tfi.losses.BinaryFocalLoss, other=tfi.losses.BinaryFocalLoss
    )
    assert table == {"binary_focal_loss": mine, "other": tfi.losses.BinaryFocalLoss}
    registry._BY_NAME.pop("other")


@pytest.mark.parametrize("error", [ImportError, AttributeError])
def test_nothing_happens_if_keras_moves_its_table(monkeypatch, error):
    def moved(name):
        raise error(name)

    monkeypatch.setattr(importlib, "import_module", moved)
    assert _names._table("losses") == {}
    registry.register(binary_focal_loss=tfi.losses.BinaryFocalLoss)


def test_none_is_none_as_in_keras():
    assert tfi.losses.get(None) is None is keras.losses.get(None)


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="weighted_binary_crossentropy"):
        tfi.losses.get("wieghted_binary_crossentropy")


@pytest.mark.parametrize("identifier", [int, {0: 1.0}, tfi.losses.LogitAdjustedLoss, 3, len([])])
def test_what_is_no_loss_is_refused(identifier):
    with pytest.raises(ValueError, match="`identifier`: expected a loss"):
        tfi.losses.get(identifier)
