"""Derivatives of a loss in its logits, on the backend that runs: the one place that names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

Tensor = Any


def slopes(values: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """Return the derivative of ``values(z)``, each of which depends on its own ``z`` alone."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(z)
            total = tf.reduce_sum(values(z))
        return tape.gradient(total, z, unconnected_gradients="zero")
    if backend == "jax":
        import jax

        return jax.grad(lambda given: values(given).sum())(z)
    if backend == "torch":
        import torch

        with torch.enable_grad():
            given = z.detach().requires_grad_()
            return torch.autograd.grad(values(given).sum(), given)[0]
    raise NotImplementedError(f"No derivative of a loss on the {backend!r} backend.")
