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
    there. What `compile` was given is replaced too, so that a saved model has the loss as it is.
    Where Keras has moved these, what the user gave to ``compile`` is read instead, and a name is
    found not to be a loss that can be driven.
    """
    found = _by_output(model)
    if output is None:
        return found
    if output not in found:
        raise bad_value("output", expected=f"one of {sorted(found)}", received=repr(output))
    sharing = [name for name, loss in found.items() if loss is found[output] and name != output]
    if sharing:
        raise bad_value(
            "output",
            expected="an output with a loss of its own",
            received=f"{output!r}, whose loss is also that of {sharing}",
            remedy="Compile with one loss object an output.",
        )
    return {output: found[output]}


def _by_output(model: keras.Model) -> dict[str, Any]:
    compiled: Any = getattr(model, "_compile_loss", None)
    given = getattr(compiled, "_user_loss", model.loss)
    built = getattr(compiled, "_flat_losses", None)
    if built:
        found = {str(entry.name): entry.loss for entry in built}
        _keep(model, _with_instances(given, found))
        return found
    if hasattr(compiled, "_user_loss"):
        if isinstance(given, str) or inspect.isclass(given):
            name = given
            given = keras.tree.map_structure(lambda _: _instance(name), _outputs(model))
        else:
            given = keras.tree.map_structure(_instance, given)
        compiled._user_loss = given
        _keep(model, given)
    names = getattr(model, "output_names", None)
    if isinstance(given, dict):
        return {str(name): loss for name, loss in given.items()}
    if isinstance(given, (list, tuple)):
        return {str(name): loss for name, loss in zip(names or range(len(given)), given)}
    if names:
        return {str(name): given for name in names}
    return {loss_name(given): given}


def _outputs(model: keras.Model) -> Any:
    """Return the structure of the outputs, where a model knows it before it runs."""
    try:
        return model.output
    except (AttributeError, ValueError):
        return None


def _with_instances(given: Any, found: dict[str, Any]) -> Any:
    """Replace the names of our losses in what `compile` was given by the instances in use."""
    losses = list(found.values())
    if not any(isinstance(loss, ImbalanceLoss) for loss in losses):
        return given
    if isinstance(given, dict):
        return {name: found.get(str(name), loss) for name, loss in given.items()}
    if isinstance(given, (list, tuple)):
        return losses if len(losses) == len(given) else given
    if isinstance(given, str) or inspect.isclass(given):
        return losses[0] if len(losses) == 1 else found
    return given


def _keep(model: keras.Model, loss: Any) -> None:
    config = getattr(getattr(model, "_compile_config", None), "config", None)
    if isinstance(config, dict) and "loss" in config:
        config["loss"] = loss
        model.loss = loss


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
