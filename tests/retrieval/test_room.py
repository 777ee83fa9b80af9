"""The contract of the room, found by iterating ``tfi.retrieval.__all__``."""

import inspect

import keras
import pytest

import tfimbalance as tfi

pytestmark = pytest.mark.any_backend
PUBLIC = {name: getattr(tfi.retrieval, name) for name in tfi.retrieval.__all__}


def tower(name):
    return keras.Sequential([keras.Input((2,), name=name), keras.layers.Dense(2)])


# By class: what its constructor cannot do without.
REQUIRED: dict = {
    "TwoTower": {
        "query_tower": tower("user"),
        "item_tower": tower("film"),
        "item_id": "film",
        "frequency": tfi.retrieval.ItemFrequency(3),
    }
}
each = pytest.mark.parametrize("thing", PUBLIC.values(), ids=PUBLIC)
CLASSES = [thing for thing in PUBLIC.values() if hasattr(thing, "get_config")]


@each
def test_every_argument_is_documented(thing):
    for part in ("Args:", "Raises:", "Example:"):
        assert part in thing.__doc__
    calls = [thing]
    if isinstance(vars(thing).get("__call__"), type(lambda: None)):
        calls.append(vars(thing)["__call__"])
    for call in calls:
        for argument in inspect.signature(call).parameters:
            assert argument == "self" or argument in thing.__doc__, argument


@pytest.mark.parametrize("cls", CLASSES)
def test_config_round_trip(cls):
    made = cls(**REQUIRED.get(cls.__name__, {}), name="mine")
    config = made.get_config()
    # What a base class takes has other names; counts become weights.
    assert set(inspect.signature(cls).parameters) - {"kwargs", "counts"} <= set(config)
    stored = keras.saving.serialize_keras_object(made)
    assert stored["registered_name"] == f"tfimbalance>{cls.__name__}"
    again = keras.saving.deserialize_keras_object(stored)
    assert again.get_config() == config
