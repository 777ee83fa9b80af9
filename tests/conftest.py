import collections
import gc
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")
if "PYTEST_XDIST_WORKER" in os.environ:
    # A worker has a core of its own; threads that wait for each other cost a quarter of the time.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")

if os.environ.get("KERAS_BACKEND") == "jax":
    # Most of the time goes to compiling.
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_parallel_codegen_split_count=1")

import keras
import pytest
from backend import NAME
from hypothesis import settings

# The same examples in every run, so that a change is judged by what it changed; to look for new
# ones: pytest --hypothesis-profile=hunt
settings.register_profile("steady", derandomize=True, max_examples=200, deadline=None)
settings.register_profile("hunt", max_examples=10_000, deadline=None)
settings.load_profile("steady")

if NAME == "tensorflow":
    import tensorflow as tf

    # Two devices, so that a distribution strategy has something to distribute over.
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration()],
    )


def pytest_ignore_collect(collection_path):
    """On another backend than TensorFlow, leave out rooms that need it."""
    rooms = Path(__file__).parent
    others = [rooms / name for name in ("callbacks", "data", "fuzz", "plots", "rebalance")]
    return True if NAME != "tensorflow" and collection_path in others else None


TURNS = collections.Counter()


def _is_of_backend(item):
    """Whether a test runs here: on JAX, which compiles every operation, a part of the cases."""
    marker = item.get_closest_marker("any_backend")
    if marker is None:
        return False
    every = marker.kwargs.get("jax_every", 1) if NAME == "jax" and hasattr(item, "callspec") else 1
    TURNS[item.function] += 1
    return (TURNS[item.function] + len(TURNS)) % every == 0


def pytest_collection_modifyitems(config, items):
    """Leave out what is not of any backend, and skip what a backend cannot do, with the reason."""
    if NAME != "tensorflow":
        kept = [item for item in items if _is_of_backend(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept
    for item in items:
        for marker in item.iter_markers("only_on"):
            if NAME not in marker.args:
                item.add_marker(pytest.mark.skip(reason=marker.kwargs["why"]))


# What was imported stays: the collector need not go through it again and again.
gc.collect()
gc.freeze()


@pytest.fixture(autouse=True)
def _same_every_time():
    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session(free_memory=False)
