import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")
if "PYTEST_XDIST_WORKER" in os.environ:
    # A worker has a core of its own; threads that wait for each other cost a quarter of the time.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import keras
import pytest
import tensorflow as tf
from hypothesis import settings

# The same examples in every run, so that a change is judged by what it changed; to look for new
# ones: pytest --hypothesis-profile=hunt
settings.register_profile("steady", derandomize=True, max_examples=200, deadline=None)
settings.register_profile("hunt", max_examples=10_000, deadline=None)
settings.load_profile("steady")

# Two devices, so that a distribution strategy has something to distribute over.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration()],
)

# What was imported stays: the collector need not go through it again and again.
gc.collect()
gc.freeze()


@pytest.fixture(autouse=True)
def _same_every_time():
    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session(free_memory=False)
