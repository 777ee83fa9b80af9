"""What a callback finds in a compiled model: the losses that it may drive."""

from __future__ import annotations

import inspect
from typing import Any

import keras

from tfimbalance._checks import bad_value
from tfimbalance.losses import get
from tfimbalance.losses._base import ImbalanceLoss


def compiled_losses(model: keras.Model, output: str | None = None) -> dict[str, Any]:
    """Return the compiled losses by the names of their outputs: of one output, or of all.

    Keras has no public way to reach the instance behind a loss compiled by name. It makes one in
    its compiled loss, when the first step is traced; until then the name is replaced by an instance
    there. Where Keras has moved these, what the user gave to ``compile`` is read instead, and a
    name is found not to be a loss that can be driven.
    """
    found = _by_output(model)
    if output is None:
        return found
    if output not in found:
        raise bad_value("output", expected=f"one of {sorted(found)}", received=repr(output))
    return {output: found[output]}


def _by_output(model: keras.Model) -> dict[str, Any]:
    compiled: Any = getattr(model, "_compile_loss", None)
    built = getattr(compiled, "_flat_losses", None)
    if built:
        return {str(entry.name): entry.loss for entry in built}
    if hasattr(compiled, "_user_loss"):
        compiled._user_loss = keras.tree.map_structure(_instance, compiled._user_loss)
    given = getattr(compiled, "_user_loss", model.loss)
    names = getattr(model, "output_names", None)
    if isinstance(given, dict):
        return {str(name): loss for name, loss in given.items()}
    if isinstance(given, (list, tuple)):
        return {str(name): loss for name, loss in zip(names or range(len(given)), given)}
    return {str(names[0]) if names and len(names) == 1 else loss_name(given): given}


def _instance(loss: Any) -> Any:
    """Return an instance for the name or the class of a loss of this package."""
    if isinstance(loss, str) or inspect.isclass(loss):
        found = get(loss)
        return found if isinstance(found, ImbalanceLoss) else loss
    return loss


def loss_name(loss: Any) -> str:
    """Return what to call a loss in messages."""
    return str(getattr(loss, "name", None) or getattr(loss, "__name__", loss))


def compile_again(model: keras.Model) -> None:
    """Make the compiled steps anew, where they cannot see that a loss has changed."""
    model.make_train_function(force=True)
    model.make_test_function(force=True)


def sees_changes() -> bool:
    """Tell whether a compiled step reads the variables of a loss; JAX compiles the values in."""
    return bool(keras.backend.backend() != "jax")
