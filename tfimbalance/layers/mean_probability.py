"""The mean probability of several models."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from tfimbalance._checks import bad_value, check_choice, check_flag
from tfimbalance._config import config_of
from tfimbalance._tensors import Tensor, compute_dtype


@keras.saving.register_keras_serializable("tfimbalance")
class MeanProbability(keras.layers.Layer):
    """Mean probability of several models' outputs; of logits, the logits of that mean.

    Use it to serve a few networks as one, a deep ensemble [1]; `EnsembleModel` trains them. The
    mean of *logits* would be another thing: it follows the member that is most sure.

        output = mean over members of p,   or of logits: log of the odds of that mean

    Args:
        from_logits: whether logits come, and leave. Sums are of logarithms then: nothing is cut
            off, however sure the members are.
        activation: of logits, ``"sigmoid"`` or ``"softmax"``. None: one output is a sigmoid's,
            several are a softmax's; several labels a row need ``"sigmoid"``.
        dtype, **kwargs: as `keras.layers.Layer`; float32 whatever the policy of the models.

    Shapes:
        inputs: a list of outputs of one shape, ``(batch, ..., outputs)``. Returns that shape.

    Raises:
        ValueError: for outputs that are no list, or of several shapes.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> layer = tfi.layers.MeanProbability()
        >>> round(float(layer([np.array([[0.1]]), np.array([[0.3]])])[0, 0]), 4)
        0.2

    References:
        [1] Lakshminarayanan, Pritzel and Blundell, Simple and Scalable Predictive Uncertainty
        Estimation using Deep Ensembles, NeurIPS 2017, arXiv 1612.01474.
    """

    def __init__(
        self,
        *,
        from_logits: bool = False,
        activation: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        # Whatever the policy: a probability of one in a million is no number of half precision.
        super().__init__(dtype=dtype or keras.config.floatx(), **kwargs)
        self.from_logits = check_flag("from_logits", from_logits)
        if activation is not None:
            check_choice("activation", activation, ("sigmoid", "softmax"))
        self.activation = activation
        self.supports_masking = True  # Members read the same rows: the first one's mask is all's.

    def build(self, input_shape: Any) -> None:
        """Check that the outputs fit one another."""
        shapes = input_shape if isinstance(input_shape, list) else None
        if not shapes or any(tuple(shape) != tuple(shapes[0]) for shape in shapes):
            raise bad_value(
                "inputs",
                expected="a list of outputs of one shape",
                received=f"shapes {input_shape}",
            )
        if self.activation == "softmax" and shapes[0][-1] == 1:
            raise bad_value(
                "activation", expected='"sigmoid" or None for one output', received='"softmax"'
            )

    def call(self, inputs: Any) -> Tensor:
        """Return the mean."""
        given = [ops.convert_to_tensor(x) for x in inputs]
        kind = keras.backend.standardize_dtype(given[0].dtype)
        z = ops.stack([ops.cast(x, compute_dtype(kind)) for x in given])
        if not self.from_logits:
            mean = ops.mean(z, axis=0)
        elif self.activation == "sigmoid" or z.shape[-1] == 1:
            mean = _log_sum(ops.log_sigmoid(z)) - _log_sum(ops.log_sigmoid(-z))
        else:
            mean = _log_sum(ops.log_softmax(z, axis=-1)) - math.log(len(given))
        return ops.cast(mean, kind)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of one of the outputs."""
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {**super().get_config(), **config_of(self)}


def _log_sum(logs: Tensor) -> Tensor:
    return ops.logsumexp(logs, axis=0)
