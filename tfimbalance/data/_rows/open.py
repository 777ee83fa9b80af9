"""One array of any kind -> a way to gather its rows by number, without copying the data first."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfimbalance.data._rows.columns import open_frame
from tfimbalance.data._rows.dense import as_numpy, dense_leaf, strings
from tfimbalance.data._rows.files import arrow_leaf, is_arrow, is_sliced, sliced_leaf
from tfimbalance.data._rows.leaf import Leaf, tensor_leaf
from tfimbalance.data._rows.sparse import csr_of, sparse_leaf


def open_leaf(name: str, value: Any) -> Leaf:
    """Describe one array, frame column, sparse matrix, memory map or tensor."""
    if isinstance(value, tf.RaggedTensor):
        return tensor_leaf(value, int(value.nrows()), stackable=False)
    if isinstance(value, tf.SparseTensor):
        return sparse_leaf(csr_of(name, value))
    if hasattr(value, "tocsr"):
        return sparse_leaf(value.tocsr())
    if tf.is_tensor(value) and value.dtype == tf.string:
        return tensor_leaf(value, int(value.shape[0]))
    if is_arrow(value):
        return arrow_leaf(name, value)
    if is_sliced(value):
        return sliced_leaf(name, value)
    if hasattr(value, "iloc"):
        value = open_frame(name, value)
        if isinstance(value, Leaf):
            return value
    array = as_numpy(name, value)
    if array.dtype.kind in "OSU":
        return tensor_leaf(strings(name, array), len(array))
    return dense_leaf(array)
