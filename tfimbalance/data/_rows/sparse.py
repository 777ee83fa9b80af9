"""Sparse matrices, as rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfimbalance._checks import bad_value
from tfimbalance.data._rows.leaf import Leaf


def csr_of(name: str, tensor: tf.SparseTensor) -> Any:
    from scipy.sparse import csr_matrix  # Comes with scikit-learn.

    if tensor.shape.rank != 2:
        raise bad_value(
            name, expected="sparse tensors of rank 2", received=f"shape {tuple(tensor.shape)}"
        )
    if tensor.dtype not in (tf.float32, tf.float64, tf.bool) and not tensor.dtype.is_integer:
        raise bad_value(
            name,
            expected="sparse tensors of float32, float64, integers or booleans",
            received=f"dtype {tensor.dtype.name}",
            remedy="Cast it, or pass a dense or ragged tensor.",
        )
    row, column = tensor.indices.numpy().T
    return csr_matrix((tensor.values.numpy(), (row, column)), shape=tuple(tensor.shape))


def sparse_leaf(matrix: Any) -> Leaf:
    if not matrix.has_canonical_format:
        # TensorFlow refuses indices that come twice or out of order.
        matrix = matrix.copy()
        matrix.sum_duplicates()
    num_rows, width = matrix.shape

    def gather(rows: NDArray[Any]) -> list[NDArray[Any]]:
        part = matrix[rows]
        index = np.repeat(np.arange(len(rows)), np.diff(part.indptr))
        return [np.stack([index, part.indices], axis=1).astype(np.int64), part.data]

    def build(rows: Any, parts: list[Any]) -> tf.SparseTensor:
        shape = tf.constant([rows.shape[0], width], tf.int64)
        return tf.SparseTensor(parts[0], parts[1], shape)

    return Leaf(
        num_rows=num_rows,
        build=build,
        gather=gather,
        as_tensors=lambda: _sparse_tensor_leaf(matrix),
        dtypes=(tf.int64, tf.as_dtype(matrix.dtype)),
        shapes=((2,), ()),
        stackable=False,
    )


def _sparse_tensor_leaf(matrix: Any) -> Leaf:
    num_rows, width = matrix.shape
    splits = tf.constant(matrix.indptr, tf.int64)
    columns = tf.RaggedTensor.from_row_splits(tf.constant(matrix.indices, tf.int64), splits)
    values = tf.RaggedTensor.from_row_splits(tf.constant(matrix.data), splits)

    def build(rows: Any, parts: list[Any]) -> tf.SparseTensor:
        column, value = tf.gather(columns, rows), tf.gather(values, rows)
        indices = tf.stack([column.value_rowids(), column.flat_values], axis=1)
        return tf.SparseTensor(indices, value.flat_values, [rows.shape[0], width])

    return Leaf(num_rows=num_rows, build=build, stackable=False)
