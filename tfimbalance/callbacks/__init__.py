"""Keras callbacks for ``model.fit``."""

from tfimbalance.callbacks.class_weight import ClassWeight

__all__ = ["ClassWeight"]
