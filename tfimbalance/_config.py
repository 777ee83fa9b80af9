"""Configs that are read off constructors: what `__init__` takes is what `get_config` returns."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np


def config_of(instance: Any) -> dict[str, Any]:
    """Return the constructor's arguments of an object, by name, as they are now.

    Each argument is an attribute of the same name. Variables and arrays are numbers and lists in a
    config, and objects of Keras are their own configs. Classes here name all of their arguments but
    those of Keras' base. Where the constructor of a user's subclass passes ``**kwargs`` on, the
    arguments of its base follow; what it keeps under another name is left to its own `get_config`.
    """
    found: dict[str, Any] = {}
    for cls in type(instance).__mro__:
        if "__init__" not in vars(cls):
            continue
        parameters = list(inspect.signature(vars(cls)["__init__"]).parameters.values())[1:]
        is_ours = cls.__module__.startswith("tfimbalance.")
        for p in parameters:
            named = p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
            if named and (is_ours or hasattr(instance, p.name)):
                found.setdefault(p.name, _in_config(getattr(instance, p.name)))
        if is_ours or not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found


def compile_as_saved(model: keras.Model, config: dict[str, Any]) -> None:
    """Do what `compile_from_config` leaves to models with a ``compile`` of their own."""
    model.compile(**keras.saving.deserialize_keras_object(config))
    if model.built:
        model.optimizer.build(model.trainable_variables)


def _in_config(value: Any) -> Any:
    if isinstance(value, keras.Variable):
        # The shortest decimals that it stands for: .3, not .30000001.
        number = keras.ops.convert_to_numpy(value)
        return [float(str(v)) for v in number] if number.ndim else float(str(number[()]))
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_in_config(item) for item in value]
    is_object = hasattr(value, "get_config") or callable(value)
    return keras.saving.serialize_keras_object(value) if is_object else value
