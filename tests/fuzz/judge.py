"""Calls that have to end in a right answer, or in an error of this package's three parts."""

import json
import os
import re
import traceback
import warnings
from collections import Counter
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from hypothesis import HealthCheck, settings

import tfimbalance as tfi

PACKAGE = str(Path(tfi.__file__).parent)
OF_THE_HOUSE = re.compile(r"`[^`]+`: expected .+?\. ?Received:", re.DOTALL)
# Keras checks the rank of what layers are given by itself; tf.data wraps what its graphs raise.
OF_KERAS = re.compile("is incompatible with the layer")
# What was found is written here, a JSON line each, instead of ending the run.
LOG = os.environ.get("TFI_FUZZ_LOG")
REFUSED = object()
CALLS: Counter = Counter()


def examples(share=1.0):
    """Settings of a profile's number of examples, or of a share of it for what is dear."""
    share *= 0.25 if settings.default.derandomize else 1.0  # A few in every run, to see it works.
    return settings(
        max_examples=max(1, int(settings.default.max_examples * share)),
        suppress_health_check=list(HealthCheck),
        deadline=None,
    )


def shown(value):
    """Return a value as it would be written, as far as it is short."""
    if keras.ops.is_tensor(value):
        return f"tensor({shown(np.asarray(value))})"
    if isinstance(value, np.ndarray):
        return f"np.array({value.tolist()!r}, {str(value.dtype)!r})"
    if isinstance(value, (tuple, list)):
        inside = ", ".join(map(shown, value))
        return f"({inside},)" if isinstance(value, tuple) else f"[{inside}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, np.generic):
        return f"np.{value.dtype}({value})"
    if type(value).__name__ in ("Series", "DataFrame"):
        return f"{type(value).__name__}({value.to_numpy().tolist()!r}, index={list(value.index)})"
    return repr(value)


def written(call, args, kwargs):
    name = getattr(call, "__qualname__", repr(call))
    owner = getattr(call, "__self__", None)
    if owner is not None and not isinstance(owner, type):
        known = dict(getattr(owner, "_fuzzed", {}).items())
        made = ", ".join(f"{k}={shown(v)}" for k, v in known.items())
        name = f"{type(owner).__name__}({made}).{name}"
    parts = [shown(arg) for arg in args] + [f"{k}={shown(v)}" for k, v in kwargs.items()]
    return f"{name}({', '.join(parts)})"[:1500]


def _place(error):
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(PACKAGE)
    ]
    return f"{Path(frames[-1].filename).relative_to(PACKAGE)}:{frames[-1].name}" if frames else ""


def found(room, kind, what, call, args=(), kwargs=None, place=""):
    """Report a finding: an assertion that fails or, where a log is wanted, a line of it."""
    line = written(call, args, kwargs or {})
    if LOG:
        entry = {"room": room, "kind": kind, "what": what[:400], "place": place, "call": line}
        with Path(LOG).open("a") as file:
            file.write(json.dumps(entry) + "\n")
        return
    raise AssertionError(f"{kind}: {what}\n{place}\n{line}")


def judged(room, call, *args, **kwargs):
    """Return what a call returns, or REFUSED where it raises as it should."""
    CALLS[room] += 1
    if LOG and sum(CALLS.values()) % 500 == 0:
        Path(LOG).with_suffix(".calls").write_text(json.dumps(CALLS))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            result = call(*args, **kwargs)
        except Exception as error:
            kind = type(error).__name__
            own = isinstance(error, (ValueError, TypeError, tf.errors.InvalidArgumentError))
            text = str(error)
            if not (own and (OF_THE_HOUSE.search(text) or OF_KERAS.search(text))):
                found(room, kind, str(error), call, args, kwargs, _place(error))
            return REFUSED
        finally:
            plt.close("all")
    for warning in seen:
        if issubclass(warning.category, RuntimeWarning):
            place = Path(warning.filename).name + f":{warning.lineno}"
            found(room, "warning", str(warning.message), call, args, kwargs, place)
    return result


def holds(room, claim, what, call, *args, **kwargs):
    """Report a result that is not what it should be."""
    if not claim:
        found(room, "wrong", what, call, args, kwargs)
    return claim
