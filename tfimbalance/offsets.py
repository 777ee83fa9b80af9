"""Class priors -> what to add to logits: adjustment, prior shift, log odds. All in float64 nats."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfimbalance._checks import (
    FloatArray,
    bad_entry,
    bad_value,
    check_count,
    check_number,
    per_class,
    refuse_classes,
)
from tfimbalance.statistics import ClassStatistics

# How far from 1 probabilities may add up to: float32 over many classes.
_ROUNDING = 1e-3


def class_priors(priors: Any, *, argument: str = "priors") -> FloatArray:
    """Return the share of each class, none of them 0: of statistics, counts or probabilities."""
    if isinstance(priors, ClassStatistics):
        if priors.multi_label:
            raise bad_value(
                argument,
                expected="priors of classes that exclude one another",
                received="multi-label statistics",
                remedy="Labels with a logit each take BinaryLogitAdjustedLoss.",
            )
        priors = priors.counts
    vector = per_class(argument, priors)
    if vector.size < 2:
        raise bad_value(argument, expected="at least two classes", received=f"{priors!r}")
    refuse_classes(
        argument,
        vector == 0,
        expected="a count or probability above 0 for every class",
        remedy="log(0) has no finite value: number the classes without gaps, or leave a class "
        "that was never seen out. If these are labels: tfi.class_statistics(labels).",
    )
    return add_up(argument, vector, what="priors")


def add_up(argument: str, vector: FloatArray, *, what: str) -> FloatArray:
    """Return counts as shares, and shares that add up to 1 (in float32) as they are."""
    total = vector.sum()
    are_counts = total > 0 and bool((vector == np.floor(vector)).all())
    if not are_counts and abs(total - 1.0) > _ROUNDING:
        raise bad_value(
            argument,
            expected=f"counts, or {what} that add up to 1",
            received=f"numbers up to {vector.max():g} that add up to {total:g}",
            remedy=f"Weights are no {what}; weighted counts are, divided by their sum.",
        )
    return np.asarray(vector / total)


def natural_priors(priors: Any, *, argument: str = "priors") -> FloatArray:
    """Return the share of each class; one number is that of the positives of two classes."""
    if isinstance(priors, ClassStatistics) or not is_per_label(priors):
        return class_priors(priors, argument=argument)
    rate = float(positive_priors(priors, argument=argument))
    return np.array([1.0 - rate, rate])


def positive_priors(priors: Any, *, argument: str = "priors") -> FloatArray:
    """Return the probability of a positive, in (0, 1): one number, or one a label."""
    if isinstance(priors, ClassStatistics):
        if not priors.multi_label and priors.num_classes != 2:
            raise bad_value(
                argument,
                expected="statistics of two classes, or of several labels (multi_label=True)",
                received=f"statistics of {priors.num_classes} classes",
                remedy="Classes that exclude one another take LogitAdjustedLoss.",
            )
        priors = priors.priors if priors.multi_label else priors.priors[1]
    if is_per_label(priors):
        return np.asarray(check_number(argument, priors, minimum=0.0, maximum=1.0, exclusive=True))
    vector = per_class(argument, priors)
    outside = (vector <= 0) | (vector >= 1)
    if outside.any():
        raise bad_entry(
            argument,
            vector,
            outside,
            expected="the probability of a positive, one number or one a label, in (0, 1)",
            where="for label",
            remedy="Counts go in as tfi.ClassStatistics(counts), or as tfi.class_statistics(y).",
        )
    return vector


def log_priors(priors: Any, *, argument: str = "priors") -> FloatArray:
    """Return ``log(pi_k)`` of each class; arguments and errors as `class_priors`."""
    return np.asarray(np.log(class_priors(priors, argument=argument)))


def log_odds(priors: Any, *, argument: str = "priors") -> FloatArray:
    """Return ``log(pi / (1 - pi))``; arguments and errors as `positive_priors`."""
    pi = positive_priors(priors, argument=argument)
    return np.asarray(np.log(pi) - np.log1p(-pi))


def prior_shift(train_priors: Any, target_priors: Any) -> FloatArray:
    """Return what to add to logits trained under one prior so that they hold under another.

    The same offset undoes any re-balancing: ``train_priors`` are then the effective ones, the class
    shares of the sampler, or ``priors * class_weight`` divided by its sum.

        offset_k = log(target_k) - log(train_k)                                [1, eq. 4]

    Args:
        train_priors: the (effective) prior of training: `ClassStatistics`, counts or
            probabilities, one a class; or one number, of the positives, for one logit.
        target_priors: the prior where the model is used, likewise.

    Returns:
        Float64 nats, ``(num_classes,)`` for a softmax. For one logit, take the difference of its
        two, or pass two numbers.

    Raises:
        ValueError: for a class of prior 0 (named), or two different numbers of classes.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> # Even odds in training are 1 : 99 outside.
        >>> odds = np.exp(tfi.calibration.prior_shift(0.5, 0.01))
        >>> round(float(odds / (1 + odds)), 4)
        0.01
        >>> np.exp(tfi.calibration.prior_shift([0.5, 0.5], [0.99, 0.01])).round(2).tolist()
        [1.98, 0.02]

    References:
        [1] Saerens, Latinne and Decaestecker, Adjusting the Outputs of a Classifier to New a
        Priori Probabilities, Neural Computation 2002.
    """
    if is_per_label(train_priors) and is_per_label(target_priors):
        train = log_odds(train_priors, argument="train_priors")
        return np.asarray(log_odds(target_priors, argument="target_priors") - train)
    train = log_priors(train_priors, argument="train_priors")
    target = log_priors(target_priors, argument="target_priors")
    why = "as many as `train_priors`"
    check_count("target_priors", target.size, train.size, "classes", why=why)
    return np.asarray(target - train)


def adjust_logits(logits: Any, priors: Any, *, tau: float = 1.0) -> Any:
    """Adjust the logits of a trained model, so that its largest one is fair to rare classes.

    Use it on a model that was trained with plain cross-entropy: nothing is trained again, and
    ``tau`` may be chosen on validation data. Logits of a re-balanced model would be adjusted twice.
    The result ranks classes; it is not a probability at the natural rate.

        z_k - tau * log(pi_k)                                                   [1, eq. 9]

    Args:
        logits: of a softmax (or log probabilities), ``(..., num_classes)``; or one logit a row or
            label, ``(..., 1)`` or ``(..., num_labels)``. An array, or a tensor of any backend.
        priors: `ClassStatistics`, counts or probabilities, one a class; of two classes beside a
            last axis of 1, the log odds of class 1 are taken. Of labels, one number (the prior of
            the positives of each) or multi-label statistics.
        tau: strength; 1 targets the balanced error, 0 changes nothing.

    Returns:
        The same type, shape and (floating-point) dtype as ``logits``.

    Raises:
        ValueError: for a class of prior 0 (named), or a number of classes that does not fit.

    Example:
        >>> import tfimbalance as tfi
        >>> tfi.calibration.adjust_logits([[1.0, 0.0]], [0.9, 0.1]).round(4).tolist()
        [[1.1054, 2.3026]]
        >>> tfi.calibration.adjust_logits([[-2.0]], 0.05).round(4).tolist()
        [[0.9444]]

    References:
        [1] Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021, arXiv 2007.07314.
    """
    tau = check_number("tau", tau)
    if not hasattr(logits, "shape") or not hasattr(logits, "dtype"):
        try:
            logits = np.asarray(logits, dtype=np.float64)
        except (TypeError, ValueError):
            raise _no_logits(f"a {type(logits).__name__}") from None
    kind = getattr(logits.dtype, "name", str(logits.dtype))
    if type(logits).__name__ in ("SparseTensor", "RaggedTensor"):
        raise _no_logits(f"a {type(logits).__name__}")
    if not any(word in kind for word in ("float", "int", "bool")):
        raise _no_logits(f"values of dtype {kind}")
    if len(logits.shape) < 2 and (isinstance(priors, ClassStatistics) or not is_per_label(priors)):
        raise bad_value(
            "logits",
            expected="shape (..., num_classes), or (..., 1) beside two classes",
            received=f"shape {tuple(logits.shape)}",
            remedy="One row of several classes is logits[None, :]; rows of one logit are "
            "logits[:, None].",
        )
    width = logits.shape[-1] if len(logits.shape) else 1
    offset = tau * _log_priors_or_odds(priors, width)
    if "int" in str(logits.dtype) and not isinstance(logits, np.ndarray):
        raise bad_value("logits", expected="floating-point logits", received=str(logits.dtype))
    if isinstance(logits, np.ndarray):
        _warn_of_probabilities(logits)
        dtype = logits.dtype if logits.dtype.kind not in "biu" else np.dtype(np.float64)
        return np.asarray(logits - offset).astype(dtype)
    # A tensor meets the array with its own arithmetic; only PyTorch wants one of its own.
    to_own = getattr(logits, "new_tensor", None)
    return logits - (to_own(offset) if to_own else offset.astype(_numpy_dtype(logits)))


def _no_logits(received: str) -> ValueError:
    expected = "an array of real numbers, or a tensor"
    return bad_value("logits", expected=expected, received=received)


def _warn_of_probabilities(logits: NDArray[Any]) -> None:
    inside = ((logits >= 0) & (logits <= 1)).all() and ((logits > 0) & (logits < 1)).any()
    if inside and logits.shape[-1] > 1 and np.allclose(logits.sum(axis=-1), 1.0, atol=1e-2):
        warnings.warn(
            "adjust_logits: these look like probabilities, all in [0, 1] and adding up to 1. Pass "
            "logits, or np.log(probabilities).",
            stacklevel=3,
        )


def is_per_label(priors: Any) -> bool:
    """Tell a prior of labels (one number, or multi-label statistics) from priors of classes."""
    if isinstance(priors, ClassStatistics):
        return priors.multi_label
    if isinstance(priors, (list, tuple)):
        return False
    return np.ndim(priors) == 0 and not hasattr(priors, "items")


def as_list(priors: Any) -> Any:
    """Return priors as they were given, for a config: numbers and lists."""
    if isinstance(priors, ClassStatistics):
        priors = priors.counts
    if hasattr(priors, "items"):
        priors = [value for _, value in sorted(priors.items())]
    return np.asarray(priors).tolist()


def _log_priors_or_odds(priors: Any, width: int | None) -> FloatArray:
    if is_per_label(priors):
        offset = log_odds(priors)
    else:
        offset = log_priors(priors)
        if width == 1 and offset.size == 2:
            offset = offset[1:] - offset[:1]
    if offset.ndim and width is not None:
        check_count("priors", offset.size, width, "classes", why="the last axis of the logits")
    return offset


def _numpy_dtype(tensor: Any) -> Any:
    return getattr(tensor.dtype, "as_numpy_dtype", tensor.dtype)
