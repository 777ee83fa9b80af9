"""Names that ``model.compile`` understands beside Keras' own."""

from __future__ import annotations

import importlib
from typing import Any


def name_in_keras(room: str, **classes: type) -> None:
    """Let ``compile`` find losses or metrics, the ``room``, by their snake_case names.

    Keras has no public way to do that: ``compile`` looks strings up in a private table
    (keras#20112). An entry is added there if the table stands where it stood and the name is free.
    """
    table = _table(room)
    for name, cls in classes.items():
        table.setdefault(name, cls)


def _table(room: str) -> dict[str, Any]:
    try:
        table = importlib.import_module(f"keras.src.{room}").ALL_OBJECTS_DICT
    except (ImportError, AttributeError):
        return {}
    return table if isinstance(table, dict) else {}
