"""Probabilities of one class distribution -> those of another."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._checks import FloatArray, bad_value, check_count
from tfimbalance._tensors import Tensor
from tfimbalance.calibration._base import CalibrationLayer, check_output_count, width_of
from tfimbalance.offsets import as_list, is_per_label, log_odds, positive_priors, prior_shift
from tfimbalance.statistics import ClassStatistics


def prior_correction(
    y_pred: Any,
    train_priors: Any,
    target_priors: Any,
    *,
    from_logits: bool = False,
    activation: str | None = None,
) -> Any:
    """Move predictions to another class distribution, as `PriorCorrection`; arrays give arrays.

    Example:
        >>> import tfimbalance as tfi
        >>> p = tfi.calibration.prior_correction([[0.5], [0.9]], 0.5, 0.01)
        >>> p[:, 0].round(4).tolist()
        [0.01, 0.0833]
    """
    options: dict[str, Any] = {"from_logits": from_logits, "activation": activation}
    return PriorCorrection(train_priors, target_priors, **options).call(y_pred)


@keras.saving.register_keras_serializable("tfimbalance")
class PriorCorrection(CalibrationLayer):
    """Turn predictions made for one class distribution into those for another.

    Use it after training on re-balanced data (``train_priors`` is then the effective prior of
    training, ``target_priors`` that of the data), and on a population with other class rates. The
    ranking within a class stays. Predictions must be calibrated: after focal loss, put
    `FocalCalibration` in front.

        odds_k = odds_k * target_k / train_k                                    [1, theorem 2]

    Args:
        train_priors: the (effective) prior of training: `ClassStatistics`, counts or
            probabilities, one a class; one number is the prior of the positives of one output.
        target_priors: the prior where predictions are used, likewise.
        from_logits, **kwargs: as `FocalCalibration`.
        activation: ``"sigmoid"`` if outputs stand for themselves: priors are then one number, or
            one a label, of the positives. Multi-label statistics imply it.

    Shapes:
        inputs: ``(batch, ..., num_classes)``; ``(batch, ..., 1)`` or ``(batch,)`` beside priors of
            two classes or one number; ``(batch, ..., num_labels)`` with ``activation="sigmoid"``.
            Returns the same shape.

    Raises:
        ValueError: for a class of prior 0 (named), priors outside (0, 1), or numbers of classes
            that do not fit.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> layer = tfi.calibration.PriorCorrection([0.5, 0.5], [0.99, 0.01])
        >>> layer(np.array([[0.5, 0.5]], "float32")).numpy().round(2).tolist()[0][1] < 0.011
        True

    References:
        [1] Elkan, The Foundations of Cost-Sensitive Learning, IJCAI 2001.
    """

    def __init__(
        self,
        train_priors: Any,
        target_priors: Any,
        *,
        from_logits: bool = False,
        activation: str | None = None,
        **kwargs: Any,
    ) -> None:
        given = _alike(train_priors, target_priors)
        if any(isinstance(p, ClassStatistics) and p.multi_label for p in given):
            activation = "sigmoid"
        super().__init__(from_logits=from_logits, activation=activation, **kwargs)
        of_labels = self.activation == "sigmoid"
        if of_labels:
            train, target = (positive_priors(p, argument=name) for name, p in zip(_NAMES, given))
            if train.ndim and target.ndim:
                why = "as many as `train_priors`"
                check_count("target_priors", target.size, train.size, "labels", why=why)
        self.train_priors, self.target_priors = (_prior_list(p, of_labels) for p in given)
        self._offset = (
            log_odds(given[1], argument="target_priors")
            - log_odds(given[0], argument="train_priors")
            if of_labels
            else prior_shift(*given)
        )

    def change(self, z: Tensor) -> Tensor:
        """Return ``z`` with the difference of the log priors added."""
        return z + ops.convert_to_tensor(self._fitted(z), dtype=z.dtype)

    def _fitted(self, z: Tensor) -> FloatArray:
        offset, width = self._offset, width_of(z.shape)
        if offset.ndim == 0:
            if self.activation != "sigmoid" and width != 1:
                raise bad_value(
                    "train_priors",
                    expected=f"one prior for each of the {width} classes",
                    received="one number",
                    remedy='The prior of every label of several: activation="sigmoid".',
                )
            return offset
        if width == 1 and offset.size == 2 and self.activation != "sigmoid":
            return np.asarray(offset[1] - offset[0])
        check_output_count("train_priors", offset.size, z)
        return offset


_NAMES = ("train_priors", "target_priors")


def _alike(train: Any, target: Any) -> tuple[Any, Any]:
    """Write one number as the priors of two classes, where the other prior is of those."""
    of_labels = [is_per_label(p) for p in (train, target)]
    if sum(of_labels) == 1:
        number, other = (train, target) if of_labels[0] else (target, train)
        size = other.num_classes if isinstance(other, ClassStatistics) else len(other)
        if size == 2 and not isinstance(number, ClassStatistics):
            rate = float(positive_priors(number))
            pair = [1.0 - rate, rate]
            return (pair, target) if of_labels[0] else (train, pair)
    return train, target


def _prior_list(priors: Any, of_labels: bool) -> Any:
    """Return priors as they may stand in a config."""
    if of_labels or is_per_label(priors):
        return positive_priors(priors).tolist()
    return as_list(priors.priors if isinstance(priors, ClassStatistics) else priors)
