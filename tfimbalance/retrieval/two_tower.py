"""A query tower and an item tower, trained on positives alone."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import keras
from keras import ops

from tfimbalance._checks import bad_value
from tfimbalance._config import compile_as_saved
from tfimbalance._tensors import Tensor
from tfimbalance.retrieval._backend import Replicas
from tfimbalance.retrieval._hits import HitCounter, HitsCallback
from tfimbalance.retrieval._ids import read_ids
from tfimbalance.retrieval._towers import check_towers, features_of, read_by, unmasked
from tfimbalance.retrieval.item_frequency import ItemFrequency
from tfimbalance.retrieval.mixed import mixed_log_q
from tfimbalance.retrieval.sampled_softmax import SampledSoftmaxLoss


@keras.saving.register_keras_serializable("tfimbalance")
class TwoTower(keras.Model):
    """Two towers that ``fit`` trains on positives alone: users and films, queries and documents.

    Use it to retrieve from catalogues that are too large to score one by one. Each row is a
    positive, and its item is a negative of all other rows. **Shuffle the rows**: only then are
    negatives drawn as often as positives, which is what the correction assumes. Serve
    ``query_tower`` and ``item_tower``: embed all items once, and look for the largest dot product
    with the query's. Do not use it to rank by probability, nor where rows have labels.

        score = query_tower(x) @ item_tower(x') / temperature;    loss = `SampledSoftmaxLoss`

    Log Q of the items is estimated as they come. With a block of uniformly drawn items in the batch
    (`tfimbalance.data.mixed_negatives`), Q is that of both together.

    Args:
        query_tower, item_tower: built models of one output, ``(batch, dim)``. Rows are dictionaries
            of features, and each tower gets those that its inputs are named after.
        item_id: name of the feature that holds the ids of the items. The item tower need not
            read it.
        loss: by default ``SampledSoftmaxLoss()``.
        frequency: by default ``ItemFrequency()``, which takes any ids and hashes them: 55 MB.
            Where ids are 0 to n - 1, ``ItemFrequency(n)`` is exact, at 13 bytes an item.
        **kwargs: as `keras.Model`.

    Call arguments:
        inputs: a dictionary of features. ``"negatives"`` may be one of items, which all rows share,
            and ``"draw_probability"`` that of each of them in one draw, the same for all items.
        training: whether the towers are trained.

    Shapes:
        inputs: ``(batch, ...)`` each, ``inputs[item_id]`` integers ``(batch,)`` of 32 or 64 bits
            (on TensorFlow also strings; then with ``jit_compile=False``). ``inputs["negatives"]``:
            ``(n, ...)``; ``inputs["draw_probability"]``: ``(n,)``.
        Returns embeddings, ``{"query": (batch, dim), "item": (batch, dim)}``, and those of
        ``"negatives"``, ``(n, dim)``, if there are any.

    Raises:
        ValueError: for towers that are not built, embed otherwise or read the same features; a loss
            or a frequency of another kind; labels, rows without a feature, and ids that are no
            integers, before the first step. ``compile`` takes no loss and no metrics.

    Warns:
        UserWarning: once, where more rows of a batch have the same item than chance explains
            (five standard deviations, and a twentieth more): batches are not shuffled.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> def tower(name, size):
        ...     ids = keras.Input((), dtype="int32", name=name)
        ...     return keras.Model(ids, keras.layers.Embedding(size, 4)(ids))
        >>> model = tfi.retrieval.TwoTower(
        ...     tower("user", 3), tower("film", 5), item_id="film",
        ...     frequency=tfi.retrieval.ItemFrequency(5),
        ... )
        >>> model.compile("adam")
        >>> rows = {"user": np.array([0, 1, 2, 2]), "film": np.array([4, 4, 0, 1])}
        >>> history = model.fit(rows, batch_size=2, verbose=0)
        >>> films = model.item_tower.predict(np.arange(5), verbose=0)  # Index these.
        >>> films.shape
        (5, 4)

    References:
        Yi et al., Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations,
        RecSys 2019.
    """

    def __init__(
        self,
        query_tower: keras.Model,
        item_tower: keras.Model,
        *,
        item_id: str,
        loss: SampledSoftmaxLoss | None = None,
        frequency: ItemFrequency | None = None,
        **kwargs: Any,
    ) -> None:
        # Each tower takes features as they come, and casts them as its own policy says.
        super().__init__(**{"autocast": False, **kwargs})
        check_towers({"query_tower": query_tower, "item_tower": item_tower})
        if not isinstance(item_id, str):
            raise bad_value("item_id", expected="the name of a feature", received=repr(item_id))
        loss = SampledSoftmaxLoss() if loss is None else loss
        frequency = ItemFrequency() if frequency is None else frequency
        for argument, given, kind in (
            ("loss", loss, SampledSoftmaxLoss),
            ("frequency", frequency, ItemFrequency),
        ):
            if not isinstance(given, kind):
                expected = f"a tfi.retrieval.{kind.__name__}, or None"
                raise bad_value(argument, expected=expected, received=repr(given))
        self.query_tower, self.item_tower = query_tower, item_tower
        self.item_id, self.loss, self.frequency = item_id, loss, frequency
        self._hits = HitCounter(name="hits")
        self._warned = False
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> dict[str, Tensor]:
        """Return the embeddings of both towers, and of shared negatives."""
        query, item = read_by(self.query_tower), read_by(self.item_tower)
        found = {
            "query": self.query_tower(features_of(query, inputs, "x"), training=training),
            "item": self.item_tower(features_of(item, inputs, "x"), training=training),
        }
        if "negatives" in inputs:
            more = features_of(item, inputs["negatives"], "x['negatives']")
            found["negatives"] = self.item_tower(more, training=training)
        return found

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, **kwargs: Any) -> None:
        """Compile as any Keras model, but for loss and metrics."""
        of_all = "tfi.callbacks.RetrievalReport evaluates on all items; a batch has a few."
        for argument, value, remedy in (
            ("loss", loss, "TwoTower(..., loss=...) takes it."),
            ("metrics", kwargs.get("metrics"), of_all),
            ("weighted_metrics", kwargs.get("weighted_metrics"), of_all),
        ):
            if value is not None:
                raise bad_value(argument, expected="None", received=repr(value), remedy=remedy)
        own = self.loss
        super().compile(optimizer=optimizer, **kwargs)
        self.loss = own  # Which Keras has set to None.

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile a loaded model as it was saved, which Keras leaves to classes with `compile`."""
        compile_as_saved(self, config)

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train on rows that are positives: ``fit(dataset)`` or ``fit(dictionary)``."""
        bound = inspect.signature(super().fit).bind(x, y, *args, **kwargs)
        self._check_rows(bound.arguments)
        given, looking = bound.arguments.get("callbacks"), HitsCallback()
        if isinstance(given, keras.callbacks.CallbackList):
            looking.set_model(self)
            given.callbacks.append(looking)
        else:
            given = given if isinstance(given, (list, tuple)) else [given]
            bound.arguments["callbacks"] = [*filter(None, given), looking]
        return super().fit(*bound.args, **bound.kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Return the loss of rows, in batches as `fit` has them."""
        bound = inspect.signature(super().evaluate).bind(x, y, *args, **kwargs)
        self._check_rows(bound.arguments)
        return super().evaluate(*bound.args, **bound.kwargs)

    def export(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: what is served are the towers, each by itself."""
        raise NotImplementedError(
            "TwoTower: a row of both towers is what training sees. Export what is served: "
            "model.query_tower.export(path) and model.item_tower.export(path)."
        )

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Return the loss of a batch; while training, count its items first."""
        self._refuse_labels(y)
        ids, more = self._ids(x, "x"), {}
        real = unmasked(y_pred["query"], y_pred["item"])
        if "negatives" in y_pred:  # Read before anything is counted, as reading may raise.
            sizes = self._sizes(x, y_pred, real)
            drawn = self._ids(x["negatives"], "x['negatives']")
            more = {"negatives": y_pred["negatives"], "negatives_ids": drawn}
        if training:
            self._hits(ids, self.frequency.log_q(ids), real)
        log_q = self.frequency(ids, training=training, mask=real)
        if more:
            more["negatives_log_q"] = mixed_log_q(self.frequency.log_q(drawn), **sizes)
            log_q = mixed_log_q(log_q, **sizes)
        loss = self.loss(
            y_pred["query"], y_pred["item"], sample_weight, log_q=log_q, ids=ids, **more
        )
        if self.losses:  # What regularises the towers.
            loss = loss + ops.cast(super().compute_loss(x=x, training=training), loss.dtype)
        return loss

    def _ids(self, x: Any, argument: str) -> Tensor:
        return read_ids("ids", features_of(self.item_id, x, argument))

    def _sizes(self, x: Any, y_pred: dict[str, Tensor], real: Tensor | None) -> dict[str, Tensor]:
        """Return of how many negatives of either source a row's are, and of how many items."""
        replicas = Replicas(self.loss.across_replicas)
        probability = ops.cast(features_of("draw_probability", x, "x"), "float32")
        rows = ops.shape(y_pred["item"])[0] if real is None else ops.sum(ops.cast(real, "int32"))
        return {
            "num_in_batch": ops.maximum(replicas.summed(rows) - 1, 0),
            "num_uniform": replicas.summed(ops.shape(y_pred["negatives"])[0]),
            "num_items": 1.0 / ops.mean(probability),
        }

    def _check_rows(self, given: dict[str, Any]) -> None:
        """Raise for what the steps of Keras would not see."""
        x, validation = given["x"], given.get("validation_data")
        self._refuse_labels(given["y"])
        weights = [given.get("sample_weight")]
        if isinstance(validation, (list, tuple)):
            _, label, weight = keras.utils.unpack_x_y_sample_weight(tuple(validation))
            self._refuse_labels(label)
            weights.append(weight)
        if any(weight is not None for weight in weights):
            raise bad_value(
                "sample_weight",
                expected="weights in a dataset, as Keras drops those of arrays without labels",
                received="an array",
                remedy="tf.data.Dataset.from_tensor_slices((x, weight)).batch(...)"
                ".map(lambda x, weight: (x, None, weight)).",
            )
        if isinstance(x, dict) or hasattr(x, "shape"):  # No dataset, that only a step can read.
            for tower in (self.query_tower, self.item_tower):
                features_of(read_by(tower), x, "x")
            # JAX may have 32 bits, and wrap others.
            self._ids(x, "x")

    def _refuse_labels(self, y: Any) -> None:
        if y is not None:
            raise bad_value(
                "y",
                expected="None: each row is a positive, and the other rows are its negatives",
                received="labels",
                remedy="Leave out rows that are no positives, and drop the labels: "
                "dataset.map(lambda x, y: x). Weights of rows follow as (x, None, sample_weight).",
            )

    def warn_of_hits(self) -> None:
        """Warn, once, if the batches do not look shuffled."""
        excess = None if self._warned else self._hits.excess()
        if excess is not None:
            self._warned = True
            warnings.warn(
                f"{excess[0]:,.0f} pairs of rows of a batch had the same {self.item_id!r}, where "
                f"chance explains {excess[1]:,.0f}: the batches are not shuffled. In-batch "
                "negatives are then not drawn as often as positives, and log Q is not theirs. "
                "Shuffle all rows: dataset.shuffle(len(dataset)) before .batch(...).",
                stacklevel=2,
            )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, the towers among them."""
        parts = ("query_tower", "item_tower", "loss", "frequency")
        config: dict[str, Any] = {**super().get_config(), "item_id": self.item_id}
        write = keras.saving.serialize_keras_object
        if {*map(id, self.query_tower.layers)} & {*map(id, self.item_tower.layers)}:
            raise bad_value(
                "item_tower",
                expected="towers without layers in common, as Keras cannot load both from a config",
                received="towers that share layers",
                remedy="They train, and model.save_weights(...) keeps them. To serve them, save "
                "each: model.query_tower.save(...).",
            )
        return {**config, **{name: write(getattr(self, name)) for name in parts}}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> TwoTower:
        """Return what `get_config` describes."""
        read = keras.saving.deserialize_keras_object
        parts = ("query_tower", "item_tower", "loss", "frequency")
        return cls(**{**config, **{name: read(config[name], custom_objects) for name in parts}})
