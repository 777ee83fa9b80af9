"""Configs that are read off constructors: what `__init__` takes is what `get_config` returns."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np


def config_of(instance: Any) -> dict[str, Any]:
    """Return the constructor's arguments of an object, by name, as they are now.

    Each argument is an attribute of the same name. Variables and arrays are numbers and lists in a
    config, and objects of Keras are their own configs. What goes to ``**kwargs`` is the base's.
    """
    parameters = inspect.signature(type(instance)).parameters.values()
    return {
        p.name: _plain(getattr(instance, p.name)) for p in parameters if p.kind is not p.VAR_KEYWORD
    }


def _plain(value: Any) -> Any:
    if isinstance(value, keras.Variable):
        # The shortest decimals that it stands for: .3, not .30000001.
        number = keras.ops.convert_to_numpy(value)
        return [float(str(v)) for v in number] if number.ndim else float(str(number[()]))
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    is_object = hasattr(value, "get_config") or callable(value)
    return keras.saving.serialize_keras_object(value) if is_object else value
