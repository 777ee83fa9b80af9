"""What class shares do to the logits, as a number beside the inputs of each row."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import tensorflow as tf

from tfimbalance._checks import bad_value, check_flag, refuse_classes


class ShareOffset:
    """``log(share / prior)`` of each class, or its log odds: what sampling adds to the logits."""

    def __init__(self, shares: Sequence[Fraction], priors: Any, per_class: bool) -> None:
        priors = np.asarray(priors, np.float64)
        of_class = np.array([float(share) for share in shares])
        refuse_classes(
            "class_shares",
            (of_class == 0) & (priors > 0),
            expected="a share above 0 for every class, beside an offset",
            remedy="What is never seen has no offset: leave those rows out first.",
        )
        # A class without rows is in no batch, and whatever stands for it is never learnt from.
        ratio = np.where(priors > 0, of_class / np.where(priors > 0, priors, 1.0), 1.0)
        logs = np.log(ratio)
        self.values = logs if per_class else logs[1:] - logs[:1]

    @property
    def num_bytes(self) -> int:
        """Bytes of the offset of a row."""
        return 4 * len(self.values)

    def beside(self, element: tuple[Any, ...], *lead: Any) -> tuple[Any, ...]:
        """Return ``((x, offset), ...)`` for ``(x, ...)`` of so many rows."""
        x, *others = element
        offset = tf.constant(self.values, tf.float32)
        return ((x, tf.broadcast_to(offset, [*lead, len(self.values)])), *others)


def refuse_beside(**given: Any) -> None:
    """Raise for arguments of an offset where there is none."""
    for name, value in given.items():
        if value is not None:
            raise bad_value(name, expected="None without an offset", received=repr(value))


def is_per_class(per_class_offset: bool | None, label_shape: Any, num_classes: int) -> bool:
    """Tell offsets of a softmax, one for each class, from that of one logit."""
    one_hot = len(label_shape) == 2 and label_shape[-1] != 1
    if per_class_offset is None:
        return one_hot or num_classes > 2
    if not check_flag("per_class_offset", per_class_offset) and num_classes > 2:
        raise bad_value(
            "per_class_offset",
            expected=f"True for {num_classes} classes, which have a logit each",
            received=False,
        )
    return per_class_offset
