"""Callbacks that drive an argument of the compiled losses: find, set, log."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import keras

from tfimbalance._checks import bad_value
from tfimbalance._evaluation.ending import output_names
from tfimbalance.losses import get
from tfimbalance.losses._base import ImbalanceLoss


class DrivingCallback(keras.callbacks.Callback):
    """Base of the callbacks that move an argument of losses from epoch to epoch."""

    def __init__(self, argument: str, *, output: str | None = None, verbose: int = 0) -> None:
        super().__init__()
        self.argument = argument
        self.output = output
        self.verbose = verbose
        self._driven: dict[str, ImbalanceLoss] = {}
        self._current: Any = None

    def value(self, epoch: int) -> Any:
        """Return the value that holds in an epoch."""
        raise NotImplementedError

    def shown(self) -> dict[str, float]:
        """Return what logs show of the value, by name."""
        raise NotImplementedError

    def missing(self, losses: dict[str, Any]) -> ValueError:
        """Return the error for losses of which none has the argument."""
        raise NotImplementedError

    def on_train_begin(self, logs: Any = None) -> None:
        """Find the losses to drive, and refuse a model that has none."""
        self._current = None
        found = compiled_losses(self.model, self.output)
        self._driven = {
            name: loss
            for name, loss in found.items()
            if isinstance(loss, ImbalanceLoss) and self.argument in loss.movable
        }
        if not self._driven:
            raise self.missing(found)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the value that holds in this epoch."""
        value = self.value(epoch)
        if value == self._current:
            return
        fresh = [loss.assign(self.argument, value) for loss in self._driven.values()]
        # A step that was compiled when a loss had no such variable does not read it.
        if any(fresh):
            self.model.make_train_function(force=True)
            self.model.make_test_function(force=True)
        self._current = value
        if self.verbose:
            targets = ", ".join(sorted(self._driven))
            shown = ", ".join(f"{name} {value:.4g}" for name, value in self.shown().items())
            sys.stdout.write(
                f"\n{type(self).__name__}: from epoch {epoch + 1}, {targets}: {shown}\n"
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Report the value of this epoch to History, TensorBoard and the progress bar."""
        if logs is not None and self._current is not None:
            prefix = f"{self.output}_" if self.output else ""
            logs.update({f"{prefix}{name}": value for name, value in self.shown().items()})


def compiled_losses(model: keras.Model, output: str | None = None) -> dict[str, Any]:
    """Return the losses that a model is compiled with, by output: of one output, or of all."""
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
    if not hasattr(model, "loss"):
        raise bad_value(
            "model",
            expected="a Keras model",
            received=type(model).__name__,
            remedy="Callbacks get theirs from fit: fit(..., callbacks=[callback]).",
        )
    given, names = model.loss, output_names(model)
    if isinstance(given, dict):
        return {str(name): loss for name, loss in given.items()}
    if isinstance(given, (list, tuple)):
        names = names or [str(number) for number in range(len(given))]
        return dict(zip(names, given))
    return dict.fromkeys(names or [loss_name(given)], given)


def loss_name(loss: Any) -> str:
    """Return what to call a loss in messages."""
    return str(getattr(loss, "name", None) or getattr(loss, "__name__", loss))


def instance_of(loss: Any) -> Any:
    """Return a loss like that which Keras makes of a name or a class, out of public reach."""
    return get(loss) if isinstance(loss, str) or inspect.isclass(loss) else loss
