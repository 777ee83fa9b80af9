"""Towers: which of the features they read, by name, and which rows they embed."""

from __future__ import annotations

import functools
from typing import Any

import keras
from keras import ops

from tfimbalance._checks import bad_value
from tfimbalance._tensors import Tensor, mask_of

ADDED = ("negatives", "draw_probability")


def read_by(tower: keras.Model) -> Any:
    """Return the names of a tower's features, in the structure in which it takes them."""
    given = tower.inputs[0] if isinstance(tower, keras.Sequential) else tower.input
    if isinstance(given, dict):
        return {name: name for name in given}
    return keras.tree.map_structure(lambda tensor: tensor.name, given)


def features_of(names: Any, x: Any, argument: str) -> Any:
    """Return a tower's features out of a dictionary, or raise."""
    found = list(x) if isinstance(x, dict) else f"a {type(x).__name__}"
    missing = [
        name for name in keras.tree.flatten(names) if not isinstance(x, dict) or name not in x
    ]
    if missing:
        raise bad_value(
            argument,
            expected=f"a dictionary with the features {', '.join(map(repr, missing))}",
            received=found,
            remedy="Features go to the towers by the names of their inputs: "
            'keras.Input(..., name="user").',
        )
    return keras.tree.map_structure(lambda name: x[name], names)


def unmasked(*embeddings: Tensor) -> Tensor | None:
    """Return which rows no tower masks, or None where none masks any."""
    masks = [mask for mask in map(mask_of, embeddings) if mask is not None]
    return functools.reduce(ops.logical_and, masks) if masks else None


def check_towers(towers: dict[str, Any]) -> None:
    """Raise unless both embed features of their own, in one space."""
    for argument, tower in towers.items():
        outputs = getattr(tower, "outputs", None)
        shape = tuple(outputs[0].shape) if outputs and len(outputs) == 1 else None
        if not isinstance(tower, keras.Model) or shape is None or len(shape) != 2:
            shapes = [tuple(output.shape) for output in outputs or []]
            returns = f" that returns {shapes}" if shapes else ""
            raise bad_value(
                argument,
                expected="a built model of named inputs that returns embeddings, (batch, dim)",
                received=f"a {type(tower).__name__}{returns}",
                remedy="keras.Model(inputs, embeddings), or keras.Sequential([keras.Input(...), "
                "...]).",
            )
    names = {argument: keras.tree.flatten(read_by(tower)) for argument, tower in towers.items()}
    query, item = names.values()
    if set(query) == set(item):
        raise bad_value(
            "item_tower",
            expected="features other than those of the query tower, as rows give both",
            received=f"inputs {item} of either",
            remedy='Name the inputs after features: keras.Input(..., name="film").',
        )
    for argument, tower in names.items():
        taken = [name for name in tower if name in ADDED]
        if taken:
            raise bad_value(
                argument,
                expected=f"no inputs {' and '.join(map(repr, ADDED))}, which are negatives",
                received=f"inputs {tower}",
            )
    dims = [tower.outputs[0].shape[-1] for tower in towers.values()]
    if dims[0] != dims[1]:
        raise bad_value(
            "item_tower",
            expected=f"embeddings of {dims[0]} dimensions, as the query tower's",
            received=f"embeddings of {dims[1]}",
        )
