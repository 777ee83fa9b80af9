"""Keras metrics that stay right when positives are rare."""

__all__: list[str] = []
