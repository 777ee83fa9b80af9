"""Argument checks that every room shares: one phrasing for every error."""

from __future__ import annotations

import math
import numbers
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def bad_value(argument: str, *, expected: str, received: object, remedy: str = "") -> ValueError:
    """Build the error that quotes what was expected, what was received and the next step."""
    text = f"`{argument}`: expected {expected}. Received: {received}."
    return ValueError(f"{text} {remedy}" if remedy else text)


def bad_entry(
    argument: str,
    values: NDArray[Any],
    wrong: NDArray[np.bool_],
    *,
    expected: str,
    remedy: str = "",
    where: str = "in row",
    numbers: NDArray[Any] | None = None,
) -> ValueError:
    """Build the error that quotes the first wrong entry of an array and says where it stands."""
    at = tuple(np.argwhere(wrong)[0])
    value = f"{values[at]:g}" if values.dtype.kind == "f" else f"{values[at]}"
    if at:
        value += f" {where} {at[0] if numbers is None else numbers[at[0]]}"
    return bad_value(argument, expected=expected, received=value, remedy=remedy)


def check_number(
    argument: str,
    value: object,
    *,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    exclusive: bool = False,
) -> float:
    """Return ``value`` as a float, or raise if it is not a finite number within the bounds."""
    low, high = ("(", ")") if exclusive else ("[", "]")
    bounds = f" in {low}{minimum:g}, {maximum:g}{high}"
    expected = "a finite number" + (bounds if math.isfinite(minimum + maximum) else "")
    if math.isinf(minimum + maximum) and math.isfinite(minimum):
        expected += f" {'above' if exclusive else 'of at least'} {minimum:g}"
    if hasattr(value, "dtype") and getattr(value, "shape", None) == ():
        value = np.asarray(value).item()  # What a Keras schedule returns, or NumPy's reductions.
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    try:
        number = float(value) if is_real else math.nan  # type: ignore[arg-type]
    except (OverflowError, TypeError):  # Too large; or a time span, which NumPy takes for whole.
        number = math.inf
    inside = minimum < number < maximum if exclusive else minimum <= number <= maximum
    if not (math.isfinite(number) and inside):
        raise bad_value(argument, expected=expected, received=repr(value))
    return number


def check_share(argument: str, value: object) -> float:
    """Return ``value`` as a float, or raise if it is not in (0, 1]."""
    number = check_number(argument, value, minimum=0.0, maximum=1.0)
    if number == 0.0:
        raise bad_value(argument, expected="a number in (0, 1]", received=repr(value))
    return number


def check_integer(argument: str, value: object, *, minimum: int) -> int:
    """Return ``value`` as an int, or raise if it is not a whole number of at least ``minimum``."""
    whole = value if isinstance(value, numbers.Integral) else None
    odd = isinstance(value, (bool, np.timedelta64))  # Both are whole numbers to Python.
    if whole is None or odd or int(whole) < minimum:
        raise bad_value(
            argument, expected=f"an integer of at least {minimum}", received=repr(value)
        )
    return int(whole)


def check_flag(argument: str, value: object) -> bool:
    """Return ``value`` as a bool, or raise if it is neither true nor false: any word would be."""
    is_flag = isinstance(value, (bool, np.bool_)) or (type(value) is int and value in (0, 1))
    if not is_flag:
        raise bad_value(argument, expected="True or False", received=repr(value))
    return bool(value)


def check_choice(argument: str, value: object, choices: tuple[str, ...]) -> str:
    """Return ``value`` if it is one of ``choices``, or raise naming them."""
    if not isinstance(value, str) or value not in choices:
        names = ", ".join(f'"{choice}"' for choice in choices)
        raise bad_value(argument, expected=f"one of {names}", received=repr(value))
    return value


def per_class(argument: str, values: object) -> FloatArray:
    """Turn ``{class: number}`` or one number a class into a float64 vector.

    A mapping must name every class from 0 to its largest key, so that no class quietly gets a
    default.
    """
    if hasattr(values, "items"):  # A mapping or a pandas series: by class, not by position.
        pairs = list(values.items())
        twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
        if twice:
            raise bad_value(
                argument,
                expected="each class once",
                received=f"{twice[0]!r} more than once in the index",
                remedy="Add up what belongs together: series.groupby(level=0).sum().",
            )
        values = _in_order(argument, dict(pairs))
    vector = _as_float_vector(argument, values)
    bad = np.flatnonzero(~np.isfinite(vector) | (vector < 0))
    if bad.size:
        received = f"{vector[bad[0]]} for class {bad[0]}"
        raise bad_value(argument, expected="finite numbers of at least 0", received=received)
    return vector


def _in_order(argument: str, values: Mapping[Any, Any]) -> list[Any]:
    for key in values:
        if isinstance(key, bool) or not isinstance(key, numbers.Integral) or key < 0:
            raise bad_value(
                argument,
                expected="integer class ids 0, 1, 2, ... as keys",
                received=f"the key {key!r} of type {type(key).__name__}",
                remedy="Convert the keys, {int(k): v for k, v in ....items()}, or give one number "
                "a class in order, list(....values()).",
            )
    size = max((int(key) for key in values), default=-1) + 1
    missing = sorted(set(range(size)) - {int(key) for key in values})
    if not values or missing:
        raise bad_value(
            argument,
            expected=f"an entry for every class 0 to {max(size - 1, 0)}",
            received=f"no entry for {some_classes(missing) if values else 'any class'}",
            remedy="Give each class its number. As a weight, 1.0 leaves a class as it is, and 0.0 "
            "leaves it out.",
        )
    return [values[key] for key in sorted(values)]


def _as_float_vector(argument: str, values: object) -> FloatArray:
    expected = "one number a class, as {class: number} or a sequence"
    try:
        if np.asarray(values).dtype.kind in "US":
            raise TypeError
        vector = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise bad_value(argument, expected=expected, received=repr(values)) from None
    if vector.ndim != 1 or vector.size == 0:
        raise bad_value(argument, expected=expected, received=f"{values!r} of shape {vector.shape}")
    return vector


def check_same_length(argument: str, length: int, *, reference: str, expected: int) -> None:
    """Raise unless two arrays that belong together have as many rows."""
    if length != expected:
        raise bad_value(
            argument,
            expected=f"{expected} rows, as many as `{reference}`",
            received=f"{length} rows",
            remedy="Every array must describe the same rows in the same order.",
        )


def check_count(
    argument: str, found: int, size: int, what: str, *, why: str = "one a class"
) -> None:
    """Raise unless there are as many of ``what`` (such as ``"names"``) as there have to be."""
    if found != size:
        expected = f"{size} {what}, {why}"
        raise bad_value(argument, expected=expected, received=f"{found} {what}")


def named_classes(names: Iterable[Any] | None, size: int) -> list[str]:
    """Return a name for each class, by default its number."""
    if names is None:
        names = range(size)
    if not np.iterable(names) or isinstance(names, (str, bytes)):
        raise bad_value("class_names", expected="a name for each class", received=repr(names))
    named = [str(name) for name in names]
    check_count("class_names", len(named), size, "names")
    for name, classes in Counter(named).most_common(1):
        if classes > 1:
            raise bad_value(
                "class_names",
                expected="a name of its own for each class, as logs and legends go by it",
                received=f"{name!r} for {classes} classes",
            )
    return named


def refuse_classes(
    argument: str, wrong: NDArray[np.bool_], *, expected: str, found: str = "0", remedy: str = ""
) -> None:
    """Raise if something is wrong with a class, naming all of them."""
    if wrong.any():
        received = f"{found} for {some_classes(np.flatnonzero(wrong))}"
        raise bad_value(argument, expected=expected, received=received, remedy=remedy)


def some_classes(items: ArrayLike | list[Any], limit: int = 5, *, word: str = "class") -> str:
    """Name a few offenders and count the rest: ``class 3, 7, ... (120 in all)``."""
    values = [int(item) for item in np.asarray(items)]
    shown = ", ".join(str(value) for value in values[:limit])
    if len(values) > 1:
        word += "es" if word.endswith("s") else "s"
    return f"{word} {shown}" + (f", ... ({len(values)} in all)" if len(values) > limit else "")


def check_weights(weights: NDArray[Any]) -> None:
    """Raise for sample weights that are not finite numbers of at least 0."""
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        raise bad_entry("sample_weight", weights, bad, expected="finite weights of at least 0")


def check_mark(ignore_class: int | None) -> None:
    """Raise for a mark of labels that are not known which is a label itself."""
    if ignore_class in (0, 1):
        raise bad_value(
            "ignore_class",
            expected="neither 0 nor 1 beside several labels a row, which those are",
            received=ignore_class,
            remedy="Mark labels that are not known by another number, such as -1.",
        )


def checked_ignore_class(ignore_class: Any) -> int | None:
    """Return the label that does not count, or None."""
    if ignore_class is None:
        return None
    number = check_integer("ignore_class", ignore_class, minimum=-(2**31))
    if number >= 2**31:
        raise bad_value("ignore_class", expected="an integer below 2**31", received=number)
    return number
