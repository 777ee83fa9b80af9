"""Arguments of a subclass are in its config beside those of its base, however it takes them."""

import keras
import numpy as np
import pytest

import tfimbalance as tfi


@keras.saving.register_keras_serializable("tests_config")
class Passing(tfi.losses.BinaryFocalLoss):
    """Passes what it does not know on."""

    def __init__(self, extra=1.0, **kwargs):
        super().__init__(**kwargs)
        self.extra = extra


@keras.saving.register_keras_serializable("tests_config")
class Private(tfi.losses.BinaryFocalLoss):
    """Keeps its argument under another name, and writes its own config, as Keras' own do."""

    def __init__(self, extra=1.0, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._extra = extra

    def get_config(self):
        return {**super().get_config(), "extra": self._extra}


class Fixed(tfi.losses.BinaryFocalLoss):
    """Sets what its base takes."""

    def __init__(self, name="fixed"):
        super().__init__(gamma=3.0, name=name)


@pytest.mark.parametrize("cls", [Passing, Private])
def test_a_loss_keeps_the_arguments_of_its_base(cls):
    loss = cls(extra=2.0, gamma=5.0, from_logits=True, class_weight=[1.0, 3.0])
    again = cls.from_config(loss.get_config())
    assert again.get_config() == loss.get_config()
    assert loss.get_config()["extra"] == 2.0
    y, z = np.array([[0.0], [1.0]]), np.array([[1.0], [-2.0]])
    assert float(again(y, z)) == float(loss(y, z))


def test_an_argument_that_is_set_is_not_passed_again():
    again = Fixed.from_config(Fixed().get_config())
    assert again.gamma == 3.0


def test_metrics_and_layers_keep_the_arguments_of_their_bases():
    class Metric(tfi.metrics.AUC):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)

    class Layer(tfi.layers.CosineClassifier):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)

    metric = Metric.from_config(Metric(from_logits=True, name="m").get_config())
    assert (metric.from_logits, metric.name) == (True, "m")
    assert Layer.from_config(Layer(units=7, name="c").get_config()).units == 7
