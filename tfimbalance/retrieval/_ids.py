"""Ids of items: integers (or words, on TensorFlow) that are compared and hashed as they are."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfimbalance._checks import bad_value
from tfimbalance._tensors import Tensor, as_numbers


def integer_dtype() -> str:
    """Return the widest dtype of ids: int64, but int32 on JAX without ``jax_enable_x64``."""
    return str(keras.backend.standardize_dtype(ops.convert_to_tensor(np.zeros(1, "int64")).dtype))


def read_ids(argument: str, ids: Any) -> Tensor:
    """Return a tensor of the widest integers, or of words; raise where ids would change."""
    if isinstance(ids, keras.KerasTensor):
        _check_kind(argument, keras.backend.standardize_dtype(ids.dtype))
        return ids
    if type(ids).__name__ not in ("SparseTensor", "RaggedTensor"):
        if not (ops.is_tensor(ids) or hasattr(ids, "assign")):
            ids = _readable(argument, ids)
        if keras.backend.standardize_dtype(ids.dtype) == "string":
            return ids
    ids = as_numbers(argument, ids)
    _check_kind(argument, keras.backend.standardize_dtype(ids.dtype))
    return ops.cast(ids, integer_dtype())


def differs(ids: Tensor, others: Tensor) -> Tensor:
    """Return which ids are not equal, broadcast."""
    kinds = {keras.backend.standardize_dtype(x.dtype) for x in (ids, others)}
    if len(kinds) > 1:
        raise bad_value(
            "negatives_ids",
            expected="ids of one kind, integers or words",
            received=" and ".join(sorted(kinds)),
        )
    return ids != others


def _readable(argument: str, ids: Any) -> Tensor:
    """Return lists and arrays as a tensor."""
    try:
        array = np.asarray(ids)
    except ValueError:  # Rows of unequal length.
        raise _no_ids(argument, "rows of unequal length") from None
    if array.dtype.kind not in "iuOSU":
        raise _no_ids(argument, f"values of dtype {array.dtype}")
    if array.dtype.kind in "OSU" and keras.backend.backend() != "tensorflow":
        raise _no_ids(argument, "words, which TensorFlow alone has")
    bits = np.iinfo(integer_dtype())
    if array.dtype.kind in "iu" and array.size and bits.bits < 64:
        largest = max(abs(int(array.max())), abs(int(array.min())))
        if largest > bits.max:
            raise bad_value(
                argument,
                expected="ids below 2**31 on JAX without 64-bit integers",
                received=largest,
                remedy='Start with jax.config.update("jax_enable_x64", True).',
            )
    try:
        return ops.convert_to_tensor(array)
    except (TypeError, ValueError):
        raise _no_ids(argument, f"objects such as {array.flat[0]!r}") from None


def _check_kind(argument: str, kind: str) -> None:
    if "int" not in kind and kind != "string":
        raise _no_ids(argument, f"values of dtype {kind}")


def _no_ids(argument: str, received: str) -> ValueError:
    return bad_value(
        argument,
        expected="a dense array of integers",
        received=received,
        remedy="Keep them integers from the dataset on: a float32 holds whole numbers to "
        "16,777,216 only.",
    )
