"""Multi-objective preference optimisation with thresholds instead of weights."""

__version__ = "0.1.0"
