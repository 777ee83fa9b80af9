"""Labels of any kind -> class ids, or an error that says what is wrong with them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfimbalance._checks import bad_entry, bad_value

# More classes than this, and than ten a row, are taken for ids that were never numbered.
_MOST_CLASSES_INFERRED = 1_000_000

_NO_GAPS: dict[str, Any] = {
    "expected": "a class id in every row",
    "remedy": "Drop or fill them first (of several labels a row: with -1, and ignore_class=-1).",
}
_FLAT = (
    "Ids of masks or sequences are counted with all their axes beside the id of void pixels or "
    "padding, ignore_class=...; where there is none, flat: labels.ravel()."
)


def is_dataset(data: Any) -> bool:
    """Tell a tf.data.Dataset without importing TensorFlow."""
    return hasattr(data, "element_spec") and hasattr(data, "as_numpy_iterator")


def named(parts: dict[Any, Any], output: Any) -> Any:
    """Return an output's part of a mapping, or raise naming those that there are."""
    if output not in parts:
        expected = f"one of {', '.join(map(str, parts))}"
        raise bad_value("output", expected=expected, received=repr(output))
    return parts[output]


def check_dataset(dataset: Any, *, argument: str, output: str | None = None) -> Any:
    """Return the spec of a dataset's labels; raise if it has no end, or labels of a structure."""
    if int(dataset.cardinality()) == -1:
        raise bad_value(
            argument,
            expected="a dataset that ends",
            received="an infinite one",
            remedy="Leave out .repeat(), or bound it with .take(n).",
        )
    spec = dataset.element_spec
    if hasattr(spec, "_fields"):
        raise bad_value(
            argument,
            expected="elements (x, y) or (x, y, sample_weight)",
            received=f"the named tuple {type(spec).__name__}",
            remedy="dataset.map(lambda element: (element.x, element.y)).",
        )
    target = spec[1] if isinstance(spec, tuple) and len(spec) > 1 else spec
    if output is not None and isinstance(target, dict):
        target = named(target, output)
    elif output is not None and isinstance(target, (tuple, list)):
        target = target[0]  # The model knows the order of its outputs; one stands for all here.
    if not hasattr(target, "shape"):
        raise bad_value(
            argument,
            expected="one tensor of labels",
            received=f"labels of structure {type(target).__name__}",
            remedy='Choose one output: dataset.map(lambda x, y: (x, y["click"])).',
        )
    return target


def class_ids(
    labels: Any, *, num_classes: int | None = None, argument: str = "labels"
) -> tuple[NDArray[Any], int]:
    """Return labels as ``(class ids, num_classes)``: integers, ``(rows, ...)``.

    Takes what `class_statistics` takes, but for datasets and multi-label rows.
    """
    array = as_array(labels, argument=argument)
    if array.ndim >= 2 and array.shape[-1] > 1:
        return _ids_from_one_hot(array, num_classes, argument)
    ids = _whole_numbers(array.reshape(array.shape[:-1]) if array.ndim >= 2 else array, argument)
    if ids.size == 0:
        return ids.astype(np.int64), num_classes or 0
    lowest, highest = int(ids.min()), int(ids.max())
    if lowest < 0:
        two = np.isin(ids, (-1, 1)).all()
        remedy = "Map labels such as -1/+1 to 0/1 first: (labels > 0).astype(int)."
        if not two:
            remedy = (
                f"If {lowest} is a label that is not known, pass ignore_class={lowest} where that "
                f"is an argument, and keep such rows out of what is sampled: y != {lowest}."
            )
        expected = "class ids of at least 0"
        raise bad_entry(argument, ids, ids < 0, expected=expected, remedy=remedy)
    least = max(highest + 1, 2 if array.dtype.kind == "b" else 1)
    if num_classes is not None and highest >= num_classes:
        expected = f"class ids below num_classes={num_classes}"
        raise bad_entry(argument, ids, ids == highest, expected=expected)
    if num_classes is None and least > max(_MOST_CLASSES_INFERRED, 10 * ids.size):
        raise bad_value(
            argument,
            expected="class ids 0, 1, 2, ...",
            received=f"the id {highest}",
            remedy="Number the classes (sklearn.preprocessing.LabelEncoder), or give num_classes.",
        )
    return ids, num_classes or least


def as_array(labels: Any, *, argument: str = "labels") -> NDArray[Any]:
    """View anything array-like as NumPy, refusing what has no numeric meaning."""
    if isinstance(labels, np.ma.MaskedArray) and (masked := np.ma.getmaskarray(labels)).any():
        found = f"a masked value in row {first_row(masked)}"
        raise bad_value(argument, received=found, **_NO_GAPS)
    array = _as_one_array(labels, argument)
    if array.dtype.kind == "O" and hasattr(labels, "isna"):
        missing = np.asarray(labels.isna())
        if missing.any():
            found = f"a missing value in row {first_row(missing)}"
            raise bad_value(argument, received=found, **_NO_GAPS)
    if array.dtype.kind == "O" and array.size:
        # Numbers kept as objects, such as pandas' nullable integers, say their own type.
        with contextlib.suppress(ValueError):
            array = np.asarray(array.tolist())
    if array.dtype.kind not in "biuf":
        raise bad_value(
            argument,
            expected="integer class ids, booleans, one-hot or multi-label rows",
            received=f"values of dtype {array.dtype}",
            remedy="Number the classes first: sklearn.preprocessing.LabelEncoder, or .cat.codes "
            "of a pandas category.",
        )
    if array.ndim == 0:
        raise bad_value(argument, expected="an array with a row axis", received=repr(labels))
    if array.ndim > 1 and array.shape[-1] == 0:
        raise bad_value(argument, expected="labels", received=f"shape {array.shape}")
    return array


def _as_one_array(labels: Any, argument: str) -> NDArray[Any]:
    """Return one dense array, or an error of ours where NumPy has one of its own."""
    if not (hasattr(labels, "tocsr") or type(labels).__name__ in ("SparseTensor", "RaggedTensor")):
        with contextlib.suppress(TypeError, ValueError):
            return np.asarray(labels)
    raise bad_value(
        argument,
        expected="one dense array of labels, or a tf.data.Dataset",
        received=f"a {type(labels).__name__}",
        remedy="Pass y alone. Of an object that yields batches: "
        "np.concatenate([y for x, y in batches]). Of sparse rows: y.toarray().",
    )


def _whole_numbers(array: NDArray[Any], argument: str) -> NDArray[Any]:
    if array.dtype.kind == "b":
        return array.view(np.uint8)
    if array.dtype.kind in "iu":
        return array
    broken = ~np.isfinite(array)
    if broken.any():
        raise bad_entry(argument, array, broken, **_NO_GAPS)
    with np.errstate(invalid="ignore"):
        ids = array.astype(np.int64)
    fractional = ids != array
    if fractional.any():
        raise bad_entry(
            argument,
            array,
            fractional,
            expected="whole class ids",
            remedy="Soft labels and scores have no class: use (labels > 0.5).astype(int), "
            "or labels.argmax(axis=-1).",
        )
    return ids


def zero_one(
    array: NDArray[Any],
    *,
    kind: str,
    remedy: str,
    argument: str = "labels",
    ignore_class: int | None = None,
) -> NDArray[np.bool_]:
    """Return which numbers of rows of 0, 1 and ``ignore_class`` are 1, ``(rows, width)``."""
    rows = array.reshape(-1, array.shape[-1])
    hit = rows == 1
    odd = ~(hit | (rows == 0))
    if ignore_class is not None:
        odd &= rows != ignore_class
    if odd.any():
        row = first_row(odd)
        raise bad_value(
            argument,
            expected=f"{kind} rows of zeros and ones",
            received=f"{rows[row][:8].tolist()} in row {row} of shape {array.shape}",
            remedy=remedy,
        )
    return np.asarray(hit)


def _ids_from_one_hot(
    array: NDArray[Any], num_classes: int | None, argument: str
) -> tuple[NDArray[np.int64], int]:
    width = int(array.shape[-1])
    if num_classes not in (None, width):
        raise bad_value(
            "num_classes",
            expected=f"{width}, the width of the one-hot rows",
            received=num_classes,
            remedy=_FLAT,
        )
    whole = np.issubdtype(array.dtype, np.integer)
    soft = "Soft labels have no class: take labels.argmax(axis=-1). "
    hit = zero_one(array, kind="one-hot", argument=argument, remedy=soft * (not whole) + _FLAT)
    per_row = hit.sum(axis=-1)
    if (per_row != 1).any():
        row = first_row(per_row != 1)
        raise bad_value(
            argument,
            expected="one-hot rows with a single 1",
            received=f"{int(per_row[row])} ones in row {row}",
            remedy="If a row may carry several labels: tfi.class_statistics(y, multi_label=True), "
            'and activation="sigmoid" or multi_label=True where that is an argument. ' + _FLAT,
        )
    return hit.argmax(axis=-1).reshape(array.shape[:-1]), width


def refuse_one_hot(array: NDArray[Any], ignore_class: int) -> None:
    """Raise for one-hot rows beside a class id that does not count: they would be read as ids."""
    several = array.ndim > 1 and array.shape[-1] > 1
    if several and ((array == 0) | (array == 1)).all() and (array.sum(axis=-1) == 1).all():
        raise bad_value("ignore_class", expected="None beside one-hot rows", received=ignore_class)


def first_row(where: ArrayLike) -> int:
    """Return the number of the first row in which something holds."""
    flat = np.asarray(where)
    return int(np.flatnonzero(flat.reshape(len(flat), -1).any(axis=1))[0])


def has_steps(labels: Any) -> bool:
    """Tell whether ids, of arrays or of a dataset of batches, are those of sequences or masks."""
    of_batches = is_dataset(labels)
    shape = check_dataset(labels, argument="labels").shape if of_batches else np.shape(labels)
    return any(size != 1 for size in shape[1:])


def is_one_row(target: Any, spec: Any, multi_label: bool) -> bool:
    """Tell one row's label from a batch of labels by static shape and dtype alone."""
    rank = target.shape.rank
    if rank is None:
        raise bad_value(
            "labels", expected="labels of a known rank", received=f"a dataset of {target}"
        )
    if rank == 0:
        return True
    if rank > 1 or target.shape[0] is None:
        return False
    if multi_label:
        return True
    if target.dtype.is_integer or target.dtype.is_bool:
        size = target.shape[0]
        leaves = _leaves(spec[0]) if isinstance(spec, tuple) else []
        # Features of rank 2 that are as many as the labels make it a batch; a vector might be one
        # row's features, as wide as there are classes.
        batched = all(leaf.shape.rank and leaf.shape[0] == size for leaf in leaves)
        if batched and any(leaf.shape.rank > 1 for leaf in leaves):
            return False
    raise bad_value(
        "labels",
        expected="a dataset whose label shape tells rows from classes",
        received=f"labels of static shape {tuple(target.shape)}: ids, or one one-hot row?",
        remedy="Batch rows first, dataset.batch(1024); batches of a fixed size lose it after "
        "dataset.unbatch().batch(1024).",
    )


def _leaves(spec: Any) -> list[Any]:
    if isinstance(spec, dict):
        return [leaf for item in spec.values() for leaf in _leaves(item)]
    if isinstance(spec, (tuple, list)):
        return [leaf for item in spec for leaf in _leaves(item)]
    return [spec]


def classes_of_files(dataset: Any, target: Any) -> NDArray[np.int64] | None:
    """Return the classes that file names of a Keras directory dataset say, or None.

    To read the labels themselves would decode every image.
    """
    names = getattr(dataset, "class_names", None)
    paths = getattr(dataset, "file_paths", None)
    is_class = target.shape.rank in (0, 1) or target.shape[-1] in (1, len(names or ()))
    if not names or not paths or len(set(names)) != len(names) or not is_class:
        return None
    number = {name: k for k, name in enumerate(names)}
    found = [[number[part] for part in Path(path).parts[:-1] if part in number] for path in paths]
    # A folder above that is called like a class would leave it open which it is.
    return np.array(found, np.int64)[:, 0] if all(len(each) == 1 for each in found) else None
