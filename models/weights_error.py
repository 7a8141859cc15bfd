"""The one error of everything that reads weights."""

from __future__ import annotations


class WeightsError(ValueError):
    """Weights are missing, broken, or do not fit the network that should take them."""
