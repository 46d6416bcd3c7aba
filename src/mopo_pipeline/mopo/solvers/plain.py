"""The dual (3) of exact win rates: Newton, and a certificate where it has no minimum."""

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.errors import InfeasibleThresholdsError, NotConvergedError
from mopo_pipeline.mopo.ratio import Tilted, effective_share, sorted_ratio, tilt
from mopo_pipeline.mopo.rows import Rows, subsample
from mopo_pipeline.mopo.solution import (
    CERTIFIED,
    MET,
    DualSolution,
    kl_from_reference,
    lowest_objective,
    statuses,
)
from mopo_pipeline.mopo.solvers import barrier
from mopo_pipeline.mopo.solvers.feasibility import ROUNDING, attainable_alone, nearest_attainable
from mopo_pipeline.mopo.solvers.newton import Minimum, minimise

LARGE = 200_000
"""Rows above which a sample of the prompts gives Newton its first point."""


def solve_plain(rows: Rows, thresholds: Array, tau: float, logarithmic: bool) -> DualSolution:
    """Newton on the dual (3) at thresholds (K-1,), with a certificate where it has no minimum."""
    start = np.full(thresholds.size, barrier.START) if logarithmic else np.zeros(thresholds.size)
    if len(rows.mass) > LARGE and len(rows.starts) > 1000 and thresholds.size:
        sample = subsample(rows, LARGE // 10)
        rough = _newton(sample, thresholds, tau, logarithmic, start)[0]
        start = start if rough.unbounded else rough.point
    found, tilted = _newton(rows, thresholds, tau, logarithmic, start)
    bounds = tilted.values[1:]
    solution = assemble(
        rows,
        found.point,
        tilted,
        bounds,
        np.full(bounds.size, np.inf),
        thresholds,
        tau,
        logarithmic,
    )
    held = bool((bounds >= thresholds - MET).all())
    optimal = found.converged or (abs(solution.duality_gap) <= CERTIFIED and (held or logarithmic))
    if not optimal or not held:
        relaxed, certificate = nearest_attainable(rows, thresholds)
        if certificate > ROUNDING:
            raise InfeasibleThresholdsError(thresholds, attainable_alone(rows), relaxed)
    if not optimal:
        raise NotConvergedError(
            f"the dual did not converge: thresholds {thresholds} against values {bounds}, duality gap "
            f"{solution.duality_gap:.1e} after {found.evaluations} evaluations; raise tau (now {tau:g})"
        )
    return solution


def _newton(
    rows: Rows, thresholds: Array, tau: float, logarithmic: bool, start: Array
) -> tuple[Minimum, Tilted]:
    """Minimise the dual from ``start`` (K-1,); returns where, and the rows tilted there."""
    latest: dict[bytes, Tilted] = {}

    def oracle(point: Array) -> tuple[float, Array, Array]:
        tilted = tilt(rows, point, tau)
        latest.clear()
        latest[point.tobytes()] = tilted
        value = tau * tilted.log_normaliser - float(point @ thresholds)
        gradient = tilted.values[1:] - thresholds
        hessian = tilted.covariance[1:, 1:] / tau
        if logarithmic:
            return barrier.add(point, value, gradient, hessian)
        return value, gradient, hessian

    found = minimise(oracle, start, floor=lowest_objective(rows, tau) - 1.0)
    kept = latest.get(found.point.tobytes())
    return found, kept if kept is not None else tilt(rows, found.point, tau)


def assemble(
    rows: Rows,
    multipliers: Array,
    tilted: Tilted,
    bounds: Array,
    chi: Array,
    thresholds: Array,
    tau: float,
    logarithmic: bool,
) -> DualSolution:
    """Everything a caller reads, from the solved multipliers, bounds and chi, (K-1,) each."""
    ratio = sorted_ratio(rows, tilted.weights)
    dual = tau * tilted.log_normaliser - float(multipliers @ thresholds)
    kl = kl_from_reference(rows, ratio)
    gap = dual - (float(tilted.values[0]) - tau * kl)
    if logarithmic:
        gap += barrier.conjugate(multipliers) - barrier.utility(bounds - thresholds)
    return DualSolution(
        multipliers=multipliers,
        ratio=rows.restore(ratio),
        values=tilted.values,
        bounds=bounds,
        chi=chi,
        duality_gap=gap,
        ess=effective_share(ratio, rows.mass),
        status=statuses(multipliers, bounds - thresholds),
        kl=kl,
        epsilon=np.zeros(bounds.size),
        effective_comparisons=np.full(bounds.size, np.nan),
        effective_if_alike=np.full(bounds.size, np.nan),
        pooling=0.0,
        row_values=tilted.values,
    )
