"""Correlation matrices and their factors; they live in `hedgezoo.layers.correlation`."""

from hedgezoo.layers.correlation import check_correlation, correlation_factor

__all__ = ["check_correlation", "correlation_factor"]
