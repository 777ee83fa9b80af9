"""What tests do with tensors, on the backend that Keras runs on."""

import keras
import numpy as np
from keras import ops

NAME = keras.backend.backend()
# On other backends Keras takes float64 and float64 to float32: `keras.backend.result_type`.
DTYPES = [*["float64"] * (NAME == "tensorflow"), "float32", "float16", "bfloat16"]


def tensor(x, dtype=None):
    return ops.convert_to_tensor(x, dtype=dtype)


def array(x):
    """A tensor as an array; what NumPy has no type for in float32."""
    found = np.asarray(ops.convert_to_numpy(x))
    return found.astype("float32") if found.dtype.name == "bfloat16" else found


def value_and_gradient(f, *given):
    """What ``f`` returns, and the gradient of its sum with respect to the last argument."""
    *fixed, x = given
    if NAME == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            value = f(*fixed, x)
        return value, tape.gradient(value, x)
    if NAME == "jax":
        import jax

        value, back = jax.vjp(lambda x: f(*fixed, x), x)
        return value, back(ops.ones_like(value))[0]
    import torch

    x = x.detach().requires_grad_()
    value = f(*fixed, x)
    return value.detach(), torch.autograd.grad(value.sum(), x)[0]


def compiled(f, xla=False, autograph=False):
    """The function as a compiled step runs it: in a graph, under XLA; eagerly on PyTorch."""
    if NAME == "tensorflow":
        import tensorflow as tf

        return tf.function(f, jit_compile=xla, autograph=autograph)
    if NAME == "jax":
        import jax

        return jax.jit(f)
    return f


def at_once(f, *given):
    """What ``f`` returns: as one program on JAX, which takes seconds to compile each operation."""
    return compiled(f)(*given) if NAME == "jax" else f(*given)


TRACES = NAME != "torch"  # Whether a compiled step is traced, where no value is known.


def update_in_graph(metric, y, p, **more):
    """Update a metric in a compiled step."""
    if NAME == "tensorflow":
        compiled(metric.update_state)(tensor(y), tensor(p), **more)
        return
    # JAX has no variables of which it does not know before.
    metric.update_state(y, p, sample_weight=np.zeros(len(y)), **more)
    step = compiled(metric.stateless_update_state)
    state = step([variable.value for variable in metric.variables], y, p, **more)
    for variable, value in zip(metric.variables, state, strict=True):
        variable.assign(value)
