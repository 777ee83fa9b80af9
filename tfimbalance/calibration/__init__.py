"""Probabilities that hold after re-balancing: corrections as functions and as Keras layers."""

__all__: list[str] = []
