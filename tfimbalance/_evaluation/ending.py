"""What the end of a model is, by its structure: logits, one probability, or a distribution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from tfimbalance._checks import bad_value, check_flag

# These hand on what they get, at least when the model predicts.
_PASSING = ("Activation", "Dropout", "Flatten", "Identity", "Reshape", "ActivityRegularization")

# Layers whose ``activation`` is the last thing that they do.
_ENDING = (
    "Dense",
    "EinsumDense",
    "BatchEnsembleDense",
    "Conv",
    "DepthwiseConv",
    "SeparableConv",
    "Activation",
)

# These may stand behind a correction.
_ENDS = (*_PASSING, "Softmax", "Sigmoid", "Threshold")

# How the name ends of the activation that makes logits of an output probabilities.
PROBABILITY = "_probability"


def last_activation(model: keras.Model, output: str | None = None) -> str | None:
    """Return "sigmoid", "softmax" or "linear", None where the structure does not show it."""
    # `calibrated_model` says the order of a model without symbolic outputs.
    chain = getattr(model, "in_order", None)
    if isinstance(model, keras.Sequential):
        chain = model.layers
    if chain is not None:
        for layer in reversed(chain):
            if _passes(layer):
                continue
            return _activation(layer)
        return None
    outputs, names = getattr(model, "outputs", None), output_names(model)
    if not outputs or (len(outputs) > 1 and output not in names):
        return None
    tensor = outputs[names.index(str(output)) if output in names else 0]
    for operation, _ in _operations(tensor):
        if not _passes(operation):
            return _activation(operation)
    return None


def endings(tensor: Any) -> Iterator[Any]:
    """Yield the layers at the end of an output, the last one first, up to what was trained."""
    for operation, index in _operations(tensor):
        if isinstance(operation, keras.Model) and getattr(operation, "outputs", None):
            yield from endings(operation.outputs[index])
            return
        yield operation
        if not hasattr(operation, "gives_probabilities") and type(operation).__name__ not in _ENDS:
            return


def output_of(model: keras.Model, output: str | None) -> Any:
    """Return the symbolic tensor of an output, or raise if there is none of that name."""
    names = output_names(model)
    if (output is not None or names) and output not in names:
        raise bad_value(
            "output",
            expected=f"one of the outputs {names}" if names else "None for a model of one output",
            received=repr(output),
        )
    return model.outputs[names.index(str(output)) if names else 0]


def check_no_threshold(model: keras.Model, output: str | None) -> None:
    """Raise for an output of decisions, behind which no other threshold is found."""
    if not getattr(model, "outputs", None):
        return
    if "Threshold" in [type(layer).__name__ for layer in endings(output_of(model, output))]:
        raise bad_value(
            "model",
            expected="a model of logits or probabilities",
            received="one that has a threshold already",
            remedy="Give what was wrapped: its threshold is found once more.",
        )


def heads(tensor: Any) -> Iterator[Any]:
    """Yield the layers of an output that were trained last; several, if they stand side by side."""
    history = tensor._keras_history
    operation = history.operation
    arguments = operation._inbound_nodes[history.node_index].input_tensors
    kind = type(operation).__name__
    if isinstance(operation, keras.Model) and getattr(operation, "outputs", None):
        yield from heads(operation.outputs[history.tensor_index])
    elif kind == "Concatenate" or (kind in _ENDS and len(arguments) == 1):
        for argument in arguments:
            yield from heads(argument)
    else:
        yield operation


def _operations(tensor: Any) -> Iterator[tuple[Any, int]]:
    """Yield what made a tensor, and which of its outputs it is, back to the first of two inputs.

    Where Keras moves this mark, nothing is shown, and the user says it.
    """
    while (history := getattr(tensor, "_keras_history", None)) is not None:
        yield history.operation, history.tensor_index
        arguments = history.operation._inbound_nodes[history.node_index].input_tensors
        if len(arguments) != 1:
            return
        tensor = arguments[0]


def output_names(model: keras.Model) -> list[str]:
    """Return the names of several outputs, in the order of ``model.outputs``; [] of one."""
    if isinstance(model, keras.Sequential) or not getattr(model, "outputs", None):
        return []
    if isinstance(model.output, dict):
        return sorted(map(str, model.output))
    several = isinstance(model.output, (list, tuple))
    return [_trained_name(tensor) for tensor in model.outputs] if several else []


def _trained_name(tensor: Any) -> str:
    """Return the name of an output as it was trained: what was put behind it does not rename it."""
    operations = (operation for operation, _ in _operations(tensor))
    last = trained = next(operations)
    name = str(last.name).rstrip("_")  # The name without may have been taken.
    is_end = isinstance(last, keras.layers.Activation) and name.endswith(PROBABILITY)
    if is_end:
        trained = next(operations)
    while hasattr(trained, "gives_probabilities"):
        trained = next(operations)
    is_users = is_end and name != f"{trained.name}{PROBABILITY}"
    return str(last.name if is_users else trained.name)


def check_from_logits(
    model: keras.Model, from_logits: bool | None, output: str | None = None
) -> bool:
    """Return whether an output is one of logits, or raise where that has to be said."""
    names = output_names(model)
    if names and output not in names:
        raise bad_value("output", expected=f"one of the outputs {names}", received=repr(output))
    found = last_activation(model, output)
    if from_logits is not None:
        from_logits = check_flag("from_logits", from_logits)
        if found is not None and from_logits != (found == "linear"):
            raise bad_value(
                "from_logits",
                expected=f"{found == 'linear'}, because the output is that of a {found} layer",
                received=repr(from_logits),
            )
        return from_logits
    if found is None:
        # What the end does not show, the loss that it was compiled with says.
        said = getattr(getattr(model, "loss", None), "from_logits", None)
        if output is None and isinstance(said, bool):
            return said
        raise bad_value(
            "from_logits",
            expected="True or False, because the last layer of the model does not show whether it "
            "returns logits",
            received=None,
            remedy="Pass from_logits=True for logits, from_logits=False for probabilities.",
        )
    return found == "linear"


def _passes(operation: Any) -> bool:
    if hasattr(operation, "gives_probabilities"):  # A correction: what comes, leaves.
        return not _makes_probabilities(operation)
    kind = type(operation).__name__
    if kind == "Activation":
        return _function_name(getattr(operation, "activation", None)) == "linear"
    return kind in _PASSING


def _activation(operation: Any) -> str | None:
    if isinstance(operation, keras.Model):
        return last_activation(operation)
    if _makes_probabilities(operation):
        return str(operation.activation or "softmax")
    kind = type(operation).__name__
    if kind in ("Sigmoid", "Softmax"):  # Of keras.ops and keras.layers alike.
        return kind.lower()
    if not kind.startswith(_ENDING):  # That of an LSTM, say, is not what it returns.
        return None
    name = _function_name(getattr(operation, "activation", None))
    return name if name in ("sigmoid", "softmax", "linear") else None


def _makes_probabilities(operation: Any) -> bool:
    return bool(getattr(operation, "gives_probabilities", False) and operation.from_logits)


def _function_name(activation: Any) -> str:
    return str(getattr(activation, "__name__", activation))
