"""Solve the constrained problem: multipliers, ratio, bounds, certificate (method.md, section 2)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import barrier
from mopo_pipeline.mopo.bound import check_epsilon
from mopo_pipeline.mopo.checks import check_number, check_thresholds
from mopo_pipeline.mopo.comparisons import Comparisons
from mopo_pipeline.mopo.errors import InfeasibleThresholdsError, NotConvergedError
from mopo_pipeline.mopo.feasibility import TOLERANCE, attainable_alone, nearest_attainable
from mopo_pipeline.mopo.newton import Minimum, minimise
from mopo_pipeline.mopo.ratio import Tilted, sorted_ratio, tilt
from mopo_pipeline.mopo.rows import Rows, build_rows, subsample
from mopo_pipeline.mopo.statistical import build_estimator

Array = NDArray[np.float64]

VARIANTS = ("lagrangian", "log_barrier")
VIOLATED = 1e-6
"""Win rate by which a bound may miss its threshold and still count as met."""
CERTIFIED = 1e-6
"""Duality gap up to which a point counts as optimal."""
LARGE = 200_000
"""Rows above which a sample of the prompts gives Newton its first point."""


@dataclass(frozen=True)
class DualSolution:
    """The solved problem.

    Attributes:
        multipliers: (K-1,) price of each threshold, >= 0.
        ratio: (N,) weights that teach the target policy, in the caller's row order; 0 where the
            reference has no mass. With ``pooling`` 0 it is target over reference, of mean 1 in each
            prompt; else only proportional to that within a prompt, of mean 1 over all rows.
        values: (K,) win rates of the target policy, debiased where rows are a sample and corrected
            by labels where there are any.
        bounds: (K-1,) what is held against the thresholds: the values themselves with ``epsilon``
            0, else their lower bounds.
        chi: (K-1,) temperature of each bound; inf where the bound is the plain mean.
        duality_gap: dual minus primal objective, 0 at the optimum. With comparisons or sampled
            rows, where no dual exists, the complementarity residual ``sum lambda_k (bound_k - b_k)``.
        ess: effective sample size, ``1 / E[ratio²]`` in (0, 1], a share of the rows.
        status: "active" or "inactive" per constraint; "violated" where the log barrier, whose price
            is finite, falls short of a threshold at the edge of what is attainable.
        kl: KL of the target from the reference over the rows, nats.
        dual_value: the dual objective, an upper bound on ``G_0 - tau KL``; nan where there is none.
        epsilon: (K-1,) radius of each bound.
        effective_comparisons: (K-1,) independent comparisons as informative as those given; nan
            without any.
        pooling: kappa of the ratio.
        row_values: (K,) win rates of the target over the rows alone, neither debiased nor corrected; what
            few responses leave uncertain lies between them and ``values``.
    """

    multipliers: Array
    ratio: Array
    values: Array
    bounds: Array
    chi: Array
    duality_gap: float
    ess: float
    status: tuple[str, ...]
    kl: float
    dual_value: float
    epsilon: Array
    effective_comparisons: Array
    pooling: float
    row_values: Array


def solve_dual(
    win_rates: ArrayLike,
    thresholds: ArrayLike,
    *,
    tau: float,
    reference: ArrayLike | None = None,
    behaviour: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    epsilon: float | ArrayLike = 0.0,
    confidence: float | None = None,
    comparisons: Comparisons | None = None,
    pooling: float | None = 0.0,
    variant: str = "lagrangian",
) -> DualSolution:
    """Maximise the primary win rate minus ``tau`` KL subject to thresholds on the others.

    Eq. (1). Where the rows are all the responses there are (``pooling`` 0, or one prompt) it is
    solved through its dual (3), exactly; with ``epsilon`` > 0 for bounds over rows, eq. (5). Where
    they are a sample (``pooling`` above 0), or ``comparisons`` are given, the exponent keeps (2) and
    the multipliers are the smallest at which the bounds of the policy that is learned meet the
    thresholds.

    Args:
        win_rates: (N, K) in [0, 1]; column 0 is the primary objective.
        thresholds: (K-1,) win rates the other columns must reach.
        tau: KL temperature > 0.
        reference: (N,) mass >= 0, uniform if None. A prompt weighs the mass of its rows.
        behaviour: (N,) mass of the policy that drew the rows and the compared pairs; None is the
            reference. Where rows are a sample, a prompt weighs its behaviour mass.
        groups: (N,) integer prompt ids, in any order; None is one prompt.
        epsilon: radius >= 0 of the lower bound; one number, or one per constraint.
        confidence: in [.5, 1), one-sided, that all thresholds hold together; each is held at
            ``1 - (1 - confidence) / (K - 1)``. Needs comparisons and excludes ``epsilon``.
        comparisons: labelled pairs of rows; bounds are then taken over them.
        pooling: kappa >= 0, pseudo-responses of the pooled normaliser of the weights; 0 normalises
            per prompt and takes the rows for all responses there are; inf is one pool; None chooses.
            It decides which prompts are dwelt on, not what is learned.
        variant: "lagrangian", or "log_barrier", which keeps the slack sigma / lambda_k above each
            threshold as long as its price stays below 2; a dearer one may be violated.

    Raises:
        InfeasibleThresholdsError: thresholds out of reach, alone or together. A threshold within
            1e-9 of the attainable maximum counts as met.
        NotConvergedError: no point met the optimality conditions.
        InputError: an argument has the wrong shape or range.

    >>> solution = solve_dual([[0.7, 0.3], [0.3, 0.7]], [0.5], tau=0.1)
    >>> solution.multipliers.round(6).tolist(), solution.ratio.round(6).tolist()
    ([1.0], [1.0, 1.0])
    """
    rows = build_rows(win_rates, reference, groups)
    asked = check_thresholds(thresholds, rows.n_objectives - 1)
    temperature = check_number("tau", tau, above=0)
    kappa = None
    if pooling is not None:
        kappa = check_number("pooling", pooling, at_least=0, infinite=True)
    radius = check_epsilon(epsilon, asked.size)
    if variant not in VARIANTS:
        raise InputError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
    logarithmic = variant == "log_barrier"
    sampled = kappa != 0 and len(rows.starts) > 1
    if confidence is not None and comparisons is None:
        raise InputError(
            "confidence needs comparisons: without labels nothing says how sure a value is"
        )
    if comparisons is None and (not sampled or radius.any()):
        if radius.any():
            from mopo_pipeline.mopo.robust import solve_over_rows

            return solve_over_rows(rows, asked, temperature, radius, logarithmic)
        return _solve_plain(rows, asked, temperature, logarithmic)
    from mopo_pipeline.mopo.estimated import solve_estimated

    estimator = build_estimator(
        rows, temperature, sampled, behaviour=behaviour, comparisons=comparisons, epsilon=radius,
        confidence=confidence,
    )  # fmt: skip
    return solve_estimated(estimator, asked, kappa, logarithmic)


def _solve_plain(rows: Rows, thresholds: Array, tau: float, logarithmic: bool) -> DualSolution:
    """Newton on the dual (3), with a certificate where it has no minimum."""
    start = np.full(thresholds.size, barrier.START) if logarithmic else np.zeros(thresholds.size)
    if len(rows.mass) > LARGE and len(rows.starts) > 1000 and thresholds.size:
        sample = subsample(rows, LARGE // 10)
        rough = _newton(sample, thresholds, tau, logarithmic, start)[0]
        start = start if rough.unbounded else rough.point
    found, tilted = _newton(rows, thresholds, tau, logarithmic, start)
    bounds = tilted.values[1:]
    if (bounds < thresholds - TOLERANCE).any():
        relaxed, certificate = nearest_attainable(rows, thresholds)
        if certificate > TOLERANCE:
            raise InfeasibleThresholdsError(thresholds, attainable_alone(rows), relaxed)
    solution = assemble(rows, found.point, tilted, bounds, np.full(bounds.size, np.inf), thresholds,
                        tau, logarithmic)  # fmt: skip
    if not found.converged and abs(solution.duality_gap) > CERTIFIED:
        raise NotConvergedError(
            f"the dual did not converge: thresholds {thresholds} against values {bounds}, duality gap "
            f"{solution.duality_gap:.1e} after {found.evaluations} evaluations; raise tau (now {tau:g})"
        )
    return solution


def _newton(
    rows: Rows, thresholds: Array, tau: float, logarithmic: bool, start: Array
) -> tuple[Minimum, Tilted]:
    """Minimise the dual; returns where, and the rows tilted there."""
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


def lowest_objective(rows: Rows, tau: float) -> float:
    """A value below ``G_0 - tau KL`` of every policy: a dual below it has no primal solution."""
    return float(rows.columns[0].min() + tau * np.log(rows.mass.min()))


def assemble(
    rows: Rows, multipliers: Array, tilted: Tilted, bounds: Array, chi: Array, thresholds: Array,
    tau: float, logarithmic: bool,
) -> DualSolution:  # fmt: skip
    """Everything a caller reads, from the solved multipliers."""
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
        ess=effective_share(rows, ratio),
        status=statuses(multipliers, bounds - thresholds),
        kl=kl,
        dual_value=dual,
        epsilon=np.zeros(bounds.size),
        effective_comparisons=np.full(bounds.size, np.nan),
        pooling=0.0,
        row_values=tilted.values,
    )


def effective_share(rows: Rows, ratio: Array) -> float:
    """``E[ratio]² / E[ratio²]``, in (0, 1]."""
    return float((rows.mass @ ratio) ** 2 / (rows.mass @ ratio**2))


def kl_from_reference(rows: Rows, ratio: Array) -> float:
    """``E[ratio log ratio]`` in nats."""
    logs = np.log(ratio, where=ratio > 0, out=np.zeros_like(ratio))
    return max(float(rows.mass @ (ratio * logs)), 0.0)


def statuses(multipliers: Array, slack: Array) -> tuple[str, ...]:
    """A constraint is active where its price exceeds its slack, violated where it has none."""
    return tuple(
        "violated"
        if room < -VIOLATED
        else "active"
        if price > max(room, 0.0) and price > 1e-9
        else "inactive"
        for price, room in zip(multipliers, slack, strict=True)
    )
