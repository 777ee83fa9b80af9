"""Values of a loss that move in training, in steps that are compiled already, too."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


class Movable(keras.Variable):
    """A variable of a loss: a compiled step reads what it holds now, on every backend."""

    def assign(self, value: Any) -> Any:
        """Set the value."""
        before = self.value
        assigned = super().assign(value)
        if keras.backend.backend() == "jax" and not np.array_equal(before, self.value):
            compile_again()
        return assigned


def compile_again() -> None:
    """Let JAX compile all steps again: in those it has, variables of no model are constants."""
    if keras.backend.backend() == "jax":
        import jax

        jax.clear_caches()
