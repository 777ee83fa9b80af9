"""Recall, ranking and exposure of recommendations, epoch by epoch."""

from __future__ import annotations

import contextlib
import copy
import sys
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfimbalance._checks import bad_value, check_integer, check_same_length
from tfimbalance._evaluation.predictions import head, words_as_objects
from tfimbalance._labels import is_dataset
from tfimbalance.callbacks.validation import log_values
from tfimbalance.retrieval._judge import Judge
from tfimbalance.retrieval._report import EvaluationReport
from tfimbalance.retrieval._scores import Scores

_INPUTS = "arrays or tensors of as many rows, a dictionary of them, or a finite dataset of batches"


class RetrievalReport(keras.callbacks.Callback):
    """Evaluate recommendations on all items at the end of each epoch, from head to tail.

    Use it while a model of two towers trains: its loss compares an item with the others of a batch,
    and says little of what is recommended. Each epoch costs one pass over the queries and the items
    and their scores; thousands of queries are enough. It is `tfimbalance.retrieval.evaluate` on the
    embeddings of the epoch, and prints its table; logs go to History and, if this callback stands
    before it, to `keras.callbacks.TensorBoard`.

    Args:
        queries: inputs of the query tower: arrays, a dictionary of them, or a dataset of batches of
            inputs alone, in the same order each time.
        items: inputs of the item tower, of all items in the order of their positions, likewise.
        positives: held-out items of each query, in any form that `evaluate` takes.
        query_tower, item_tower: layers, models or functions that return embeddings of inputs.
            None: ``model.query_tower`` and ``model.item_tower``.
        k, seen, counts, bands, tau, temperature: as `evaluate`.
        batch_size: queries that are scored at once, and rows of arrays that are embedded at once.
        every: epochs from one printed table to the next, the first epoch's first; 0 prints none.

    Attributes:
        report: what `evaluate` returns, of the last epoch.

    Logs:
        ``val_recall@<k>``, ``val_ndcg@<k>``, ``val_coverage@<k>``, ``val_gini@<k>``, and with
        counts ``val_average_popularity@<k>`` and ``val_recall@<k>_<band>``. If a metric has such a
        key, ``val_retrieval_report_<name>``.

    Raises:
        ValueError: for what `evaluate` refuses, datasets without end or with labels, and, before
            the first step, for towers that are missing or embed otherwise, and for a
            ``temperature`` other than that of ``model.loss`` beside ``tau``.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> users, films = keras.layers.Embedding(2, 4), keras.layers.Embedding(9, 4)
        >>> report = tfi.callbacks.RetrievalReport(
        ...     np.arange(2), np.arange(9), [[3], [4, 5]], k=5, query_tower=users, item_tower=films
        ... )
        >>> report.report is None  # Until the first epoch ends.
        True
    """

    def __init__(
        self,
        queries: Any,
        items: Any,
        positives: Any,
        *,
        query_tower: Any = None,
        item_tower: Any = None,
        k: Any = (10, 100),
        seen: Any = None,
        counts: Any = None,
        bands: int = 3,
        tau: float = 0.0,
        temperature: float = 1.0,
        batch_size: int = 1024,
        every: int = 1,
    ) -> None:
        super().__init__()
        self.queries, num_queries = _with_size("queries", queries)
        self.items, num_items = _with_size("items", items)
        for argument, tower in (("query_tower", query_tower), ("item_tower", item_tower)):
            if tower is not None and not callable(tower):
                expected = "a layer, a model or a function of inputs, or None"
                raise bad_value(argument, expected=expected, received=repr(tower))
        self.query_tower, self.item_tower = query_tower, item_tower
        self.temperature = temperature
        self.every = check_integer("every", every, minimum=0)
        self.report: EvaluationReport | None = None
        self._towers: list[Embedder] = []
        self._judge = Judge(
            positives,
            num_queries=num_queries,
            num_items=num_items,
            k=k,
            seen=seen,
            counts=counts,
            bands=bands,
            tau=tau,
            temperature=temperature,
            batch_size=batch_size,
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> RetrievalReport:
        # Rows are shared, as datasets cannot be copied, and so are towers: they are being trained.
        memo[id(self)] = copied = copy.copy(self)
        return copied

    def on_train_begin(self, logs: Any = None) -> None:
        """Find the towers, and embed a few rows."""
        self.report = None
        self._towers = [
            Embedder(self._tower("query_tower"), "query_tower"),
            Embedder(self._tower("item_tower"), "item_tower"),
        ]
        used = getattr(getattr(self.model, "loss", None), "temperature", self.temperature)
        if self._judge.tau and used != self.temperature:
            raise bad_value(
                "temperature",
                expected=f"{used}, that of the loss, beside `tau`",
                received=self.temperature,
            )
        self._scores(*(head(x) if is_dataset(x) else head((x,))[0] for x in self._inputs))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Embed, evaluate, log and print."""
        scores = self._scores(*self._inputs)
        for argument in ("num_queries", "num_items"):
            check_same_length(
                argument.removeprefix("num_"),
                getattr(scores, argument),
                reference="positives",
                expected=getattr(self._judge, argument),
            )
        self.report = self._judge.report(scores)
        values = self.report.as_dict()
        # What does not change from epoch to epoch is in the table.
        constant = ("popularity_", "unseen")
        shown = {name: v for name, v in values.items() if not name.startswith(constant)}
        log_values(logs, "retrieval_report", shown, "val_")
        if self.every and epoch % self.every == 0:
            sys.stdout.write(f"\n{self.report}\n")

    @property
    def _inputs(self) -> tuple[Any, Any]:
        return self.queries, self.items

    def _tower(self, argument: str) -> Any:
        given = getattr(self, argument)
        tower = getattr(self.model, argument, None) if given is None else given
        if tower is None:
            raise bad_value(
                argument,
                expected=f"a tower, or a model that has one as model.{argument}",
                received=f"None, beside a {type(self.model).__name__}",
                remedy=f"RetrievalReport(..., {argument}=tower).",
            )
        return tower

    def _scores(self, queries: Any, items: Any) -> Scores:
        pairs = zip(self._towers, (queries, items))
        return Scores(*(tower.embed(x, self._judge.batch_size) for tower, x in pairs))


class Embedder(keras.Model):
    """A tower as a model, for its `predict`: with the inputs as they come, in any precision."""

    def __init__(self, tower: Any, argument: str) -> None:
        super().__init__(autocast=False)
        self.tower, self.argument = tower, argument
        # A function may leave Keras: NumPy, a table.
        self.compile(run_eagerly=not isinstance(tower, keras.Layer))

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the embeddings."""
        return self.tower(inputs)

    def embed(self, x: Any, batch_size: int) -> Any:
        """Return the embeddings of all rows."""
        size = {} if is_dataset(x) else {"batch_size": batch_size}
        try:
            found = self.predict(x, verbose=0, **size)
        except Exception as error:  # Whatever a tower raises that is given what it does not take.
            # Errors of a graph begin with where it was built, and end with what is wrong.
            text = str(error)
            text = text if len(text) < 500 else f"{text[:150]} ... {text[-350:]}"
            raise bad_value(
                self.argument,
                expected="a tower that embeds the inputs that are given for it",
                received=f"{type(error).__name__}: {text}",
            ) from error
        if not hasattr(found, "shape") or len(found.shape) != 2:
            raise bad_value(
                self.argument,
                expected="a tower that returns embeddings, (batch, dim)",
                received=f"one that returns {keras.tree.map_structure(np.shape, found)}",
            )
        return found


def _with_size(argument: str, x: Any) -> tuple[Any, int]:
    """Return inputs, and how many rows they have."""
    if not is_dataset(x):
        if isinstance(x, list) and not any(hasattr(part, "shape") for part in x):
            with contextlib.suppress(ValueError):  # Rows of unequal length.
                x = np.asarray(x)
        x = keras.tree.map_structure(words_as_objects, x)
        shapes = [tuple(getattr(leaf, "shape", ())) for leaf in keras.tree.flatten(x)]
        sizes = {shape[:1] for shape in shapes}
        if len(sizes) != 1 or sizes <= {(), (0,)}:
            received = f"a {type(x).__name__} of shapes {shapes}"
            raise bad_value(argument, expected=_INPUTS, received=received)
        return x, int(shapes[0][0])
    spec = x.element_spec
    if isinstance(spec, tuple) and len(spec) > 1:
        raise bad_value(
            argument,
            expected="a dataset of inputs alone",
            received=f"one of tuples of {len(spec)}",
            remedy="Leave labels out: dataset.map(lambda x, y: x).",
        )
    if any(leaf.shape.rank == 0 for leaf in keras.tree.flatten(spec)):
        remedy = "Batch it: dataset.batch(1024)."
        raise bad_value(argument, expected=_INPUTS, received="one of single rows", remedy=remedy)
    if int(x.cardinality()) == -1:
        remedy = "Leave out .repeat(), or bound it with .take(n)."
        raise bad_value(argument, expected=_INPUTS, received="an infinite dataset", remedy=remedy)
    rows = sum(len(keras.tree.flatten(batch)[0]) for batch in x)
    if not _is_steady(x):
        remedy = "Leave out .shuffle(): rows stand in the order of `positives`."
        raise bad_value(argument, expected=_INPUTS, received="one that shuffles", remedy=remedy)
    if not rows:
        raise bad_value(argument, expected=_INPUTS, received="an empty dataset")
    return x, rows


def _is_steady(dataset: tf.data.Dataset) -> bool:
    """Tell whether a dataset begins with the same rows again."""
    passes = (tf.nest.flatten(next(iter(dataset), ()), expand_composites=True) for _ in range(2))
    for a, b in zip(*([np.asarray(leaf) for leaf in batch] for batch in passes)):
        same = np.array_equal(a, b) if a.dtype.kind == "O" else a.tobytes() == b.tobytes()
        if not same:
            return False
    return True
