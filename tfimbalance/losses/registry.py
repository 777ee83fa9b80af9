"""Losses by name: `get`, and the names that ``model.compile(loss=...)`` understands."""

from __future__ import annotations

import inspect
from typing import Any

import keras

from tfimbalance._checks import bad_value
from tfimbalance._names import name_in_keras

_BY_NAME: dict[str, type[keras.losses.Loss]] = {}


def register(**losses: type[keras.losses.Loss]) -> None:
    """Let losses be found by their snake_case names, in `get` and in ``compile``."""
    _BY_NAME.update(losses)
    name_in_keras("losses", **losses)


def get(identifier: Any) -> Any:
    """Return a loss by name, config, class or as it is.

    Args:
        identifier: a name, ``"binary_focal_loss"`` or ``"BinaryFocalLoss"`` or one of Keras', a
            config dict, a class, a function or an instance.

    Returns:
        A loss instance, or a function where one (or Keras' name of one) is given; None for None.

    Raises:
        ValueError: for a name that neither package knows.

    Example:
        >>> import tfimbalance as tfi
        >>> tfi.losses.get("weighted_binary_crossentropy").name
        'weighted_binary_crossentropy'
    """
    if identifier is None:
        return None
    if isinstance(identifier, str):
        plain = identifier.removeprefix("tfimbalance>")
        ours = {**_BY_NAME, **{loss.__name__: loss for loss in _BY_NAME.values()}}
        if plain in ours:
            return ours[plain]()
    try:
        if isinstance(identifier, dict):
            found = keras.saving.deserialize_keras_object(identifier)
        else:
            of_class = inspect.isclass(identifier)
            found = identifier() if of_class else keras.losses.get(identifier)
    except (TypeError, ValueError):
        found = None
    if not callable(found):
        raise bad_value(
            "identifier",
            expected="a loss, or its name: " + ", ".join(sorted(_BY_NAME)) + ", or one of Keras'",
            received=repr(identifier),
            remedy="A loss that needs arguments is passed as an instance.",
        )
    return found
