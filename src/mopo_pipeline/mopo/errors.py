"""Errors of the method: thresholds out of reach, solvers without a solution, training without a use."""

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import MopoError


class InfeasibleThresholdsError(MopoError, ValueError):
    """No policy on this data meets the thresholds, alone or together.

    Attributes:
        thresholds: (K-1,) what was asked.
        attainable: (K-1,) the most each constrained objective can reach alone.
        relaxed: (K-1,) the nearest thresholds (Euclidean, none raised) that can all be met;
            ``solve_dual`` accepts them.
    """

    def __init__(self, thresholds: Array, attainable: Array, relaxed: Array) -> None:
        self.thresholds = np.array(thresholds, dtype=np.float64)
        self.attainable = np.array(attainable, dtype=np.float64)
        self.relaxed = np.array(relaxed, dtype=np.float64)
        beyond = np.flatnonzero(self.thresholds > self.attainable)
        named = ", ".join(str(k + 1) for k in beyond)
        why = (
            f"threshold{'s' * (beyond.size > 1)} {named} {'is' if beyond.size == 1 else 'are'} out of reach even alone"
            if beyond.size
            else "each can be met alone, but not all together"
        )
        super().__init__(
            f"no policy on this data meets the thresholds {_show(self.thresholds)}: {why}; alone "
            f"each reaches at most {_show(self.attainable)}, and the nearest thresholds that can "
            f"all be met are {_show(self.relaxed)}"
        )

    def __reduce__(self) -> tuple[type, tuple[Array, Array, Array]]:
        return type(self), (self.thresholds, self.attainable, self.relaxed)


class NotConvergedError(MopoError, RuntimeError):
    """No point meets the optimality conditions to the solver's tolerance; the message says by how much.

    Attributes:
        relaxed: (K-1,) nearby thresholds that were solved; None where none were looked for.
    """

    def __init__(self, message: str, relaxed: Array | None = None) -> None:
        self.relaxed = relaxed
        super().__init__(message)


def _show(values: Array) -> str:
    """Values (m,) to four digits."""
    return "(" + ", ".join(f"{round(float(value), 4) + 0.0:.4f}" for value in values) + ")"


class TrainingStoppedError(MopoError, RuntimeError):
    """Training stopped early because going on could not help; the last checkpoint is kept."""
