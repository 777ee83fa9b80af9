"""Processes of their own, forked from one that has imported TensorFlow: most of what they cost."""

import multiprocessing
import os
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
# TensorFlow alone: what else is imported, and by whom, is what some tests are about.
_CONTEXT.set_forkserver_preload(["tensorflow"])


def _run(log, job, arguments):
    with Path(log).open("w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    job(*arguments)


def start(log, job, *arguments):
    """Start a job, a function of a module that can be imported; what it prints goes to a file."""
    process = _CONTEXT.Process(target=_run, args=(log, job, arguments), daemon=True)
    process.log = log
    process.start()
    return process


def finish(process, code=0):
    process.join(timeout=300)
    assert process.exitcode == code, Path(process.log).read_text()[-3000:]


def modules_after_import(dear, path):
    """Write down what importing tfimbalance adds to TensorFlow and Keras, and which dear ones."""
    import sys

    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    # Keras imports some of them, where they are installed, and no import would show again.
    for name in [*sys.modules]:
        if name.split(".")[0] in dear:
            del sys.modules[name]
    before = set(sys.modules)
    import tfimbalance  # noqa: F401

    Path(path).write_text(" ".join({name.split(".")[0] for name in {*sys.modules} - before}))


def serve_exported(model, rows, path):
    """Predict with an exported model where nothing of this package can be imported."""
    import sys

    import numpy as np
    import tensorflow as tf

    assert not any(name.startswith("tfimbalance") for name in sys.modules)
    sys.modules["tfimbalance"] = None
    served = tf.saved_model.load(str(model))
    np.save(path, served.serve(np.load(rows)).numpy())
