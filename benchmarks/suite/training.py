"""One way, trained with `fit`, and what it says of held-out rows at each checkpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
from scipy.special import expit, logit
from splits import Split
from ways import Task, Way

import tfimbalance as tfi

STEPS, SHORT, EVERY = 1_200, 120, 12
CHECKPOINTS = (*range(12, 121, 12), *range(180, 1_201, 60))
LARGE = 8_000  # Rows from which batches are of 256, not of 128.

NETWORKS = {
    "small": ([64, 32], 0.0, lambda **ema: keras.optimizers.Adam(2e-3, **ema)),
    "deep": (
        [128, 128, 64],
        0.2,
        lambda **ema: keras.optimizers.AdamW(1e-3, weight_decay=1e-3, **ema),
    ),
    "momentum": ([64, 32], 0.0, lambda **ema: keras.optimizers.SGD(0.05, momentum=0.9, **ema)),
}


class Predicted(NamedTuple):
    """Logits of held-out rows at each checkpoint, ``(checkpoints, rows)`` or one a class."""

    valid: np.ndarray
    test: np.ndarray


def task_of(parts: Split, seed: int, steps: int = STEPS) -> Task:
    """Return what a way gets to see."""
    x, y = parts.train
    return Task(x, y, parts.num_quantities, steps, 256 if len(y) >= LARGE else 128, seed)


def train(
    way: Way, task: Task, parts: Split, network: str
) -> Iterator[tuple[int, Predicted, Predicted]]:
    """Yield logits as trained and as they are served, of one network, then of the mean of some."""
    raw, served = [], []
    for member in range(way.members):
        raw.append(_fit(way, task, parts, network, task.seed + 1_000 * member))
        served.append(Predicted(*(_corrected(way, z) for z in raw[-1])))
        yield member + 1, _mean(raw), _mean(served)


def _fit(way: Way, task: Task, parts: Split, network: str, seed: int) -> Predicted:
    keras.utils.set_random_seed(seed)
    widths, dropout, _ = NETWORKS[network]
    classes = task.statistics.num_classes
    units = 1 if classes == 2 else classes
    fresh = (way.network or dense)(task.x.shape[1], widths, dropout, units)
    if way.with_bias and way.plan is not None:
        way.plan.prepare(fresh)
    model, whole = _compiled(way, fresh, network, units)
    found: list[tuple[np.ndarray, np.ndarray]] = []

    def look(epoch: int, logs: Any) -> None:
        if (epoch + 1) * EVERY in CHECKPOINTS:
            held = (model(x, training=False) for x in (parts.valid[0], parts.test[0]))
            found.append(tuple(_one_logit(np.asarray(z, np.float64)) for z in held))

    whole.fit(
        way.data,
        epochs=task.steps // EVERY,
        steps_per_epoch=EVERY,
        class_weight=way.class_weight,
        callbacks=[
            *([keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if way.average_weights else []),
            keras.callbacks.LambdaCallback(on_epoch_end=look),
        ],
        verbose=0,
    )
    return Predicted(*(np.stack(part) for part in zip(*found, strict=True)))


_MODELS: dict[Any, tuple[keras.Model, keras.Model, list[np.ndarray]]] = {}


def _compiled(
    way: Way, fresh: keras.Model, network: str, units: int
) -> tuple[keras.Model, keras.Model]:
    """Return a compiled model in the state of a fresh one, and the model inside.

    TensorFlow takes as long to trace a step as to take hundreds: models that only differ in their
    weights are compiled once, for all ways and seeds of a set.
    """
    kind = "Binary" if units == 1 else "SparseCategorical"
    plain = getattr(keras.losses, f"{kind}Crossentropy")(from_logits=True)
    loss = plain if isinstance(way.loss, str) else way.loss
    shape = (network, fresh.input_shape, units)
    if _MODELS and next(iter(_MODELS))[0] != shape:
        _MODELS.clear()
        keras.backend.clear_session()
    key = (shape, way.network and way, way.with_offset, way.average_weights, _text(loss))
    if key not in _MODELS:
        ema = {"use_ema": True, "ema_momentum": 0.99} if way.average_weights else {}
        whole = tfi.layers.OffsetModel(fresh) if way.with_offset else fresh
        whole.compile(NETWORKS[network][2](**ema), loss, steps_per_execution=EVERY)
        whole.optimizer.build(whole.trainable_variables)
        _MODELS[key] = fresh, whole, [np.array(v) for v in whole.optimizer.variables]
    model, whole, start = _MODELS[key]
    for variable, value in zip(model.variables, fresh.variables, strict=True):
        variable.assign(value)
    for variable, value in zip(whole.optimizer.variables, start, strict=True):
        variable.assign(value)
    return model, whole


def _text(loss: keras.losses.Loss) -> str:
    return json.dumps(keras.saving.serialize_keras_object(loss), sort_keys=True, default=str)


def dense(width: int, widths: list[int], dropout: float, units: int) -> keras.Model:
    """Return the network that all ways share."""
    layers: list[Any] = [keras.Input((width,))]
    for hidden in widths:
        layers.append(keras.layers.Dense(hidden, "relu"))
        layers += [keras.layers.Dropout(dropout)] if dropout else []
    return keras.Sequential([*layers, keras.layers.Dense(units)])


def _one_logit(z: np.ndarray) -> np.ndarray:
    if z.ndim == 3:  # A logit of each member, (rows, members, 1).
        z = _logit(expit(z).mean(axis=1))
    return z[:, 0] if z.shape[1] == 1 else z


def _logit(p: np.ndarray) -> np.ndarray:
    sure = 40.0  # A probability of 1 has no finite logit.
    return np.clip(logit(p), -sure, sure)


def _corrected(way: Way, z: np.ndarray) -> np.ndarray:
    if way.plan is None:
        return z
    out: Any = z.reshape(-1, 1 if z.ndim == 2 else z.shape[-1])
    for layer in way.plan.layers(from_logits=True):
        out = np.asarray(layer(out.astype("float32")))
    return np.asarray(out, np.float64).reshape(z.shape)


def _mean(members: list[Predicted]) -> Predicted:
    if len(members) == 1:
        return members[0]
    means = (np.mean([expit(z) for z in part], axis=0) for part in zip(*members, strict=True))
    return Predicted(*(_logit(p) for p in means))
