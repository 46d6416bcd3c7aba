"""Solve the constrained problem: multipliers, ratio, bounds, certificate (method.md, section 2).

>>> solution = solve_dual([[0.7, 0.3], [0.3, 0.7]], [0.5], tau=0.1)
>>> solution.multipliers.round(6).tolist(), solution.ratio.round(6).tolist()
([1.0], [1.0, 1.0])
"""

from typing import Any

from numpy.typing import ArrayLike

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo.bound import check_epsilon
from mopo_pipeline.mopo.checks import check_number, check_start, check_thresholds
from mopo_pipeline.mopo.comparisons import Comparisons
from mopo_pipeline.mopo.estimator import build_estimator
from mopo_pipeline.mopo.rows import build_rows
from mopo_pipeline.mopo.solution import DualSolution
from mopo_pipeline.mopo.solvers.over_comparisons import solve_over_comparisons
from mopo_pipeline.mopo.solvers.over_rows import solve_over_rows
from mopo_pipeline.mopo.solvers.plain import solve_plain

VARIANTS = ("lagrangian", "log_barrier")


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
    start: ArrayLike | None = None,
) -> DualSolution:
    """Maximise the primary win rate minus ``tau`` KL subject to thresholds on the others.

    Eq. (1). Where the rows are all the responses there are (``pooling`` 0, or one prompt), through
    its dual (3), exactly; with ``epsilon`` > 0 for bounds over rows, eq. (5). Where they are a sample
    (``pooling`` above 0) or ``comparisons`` are given, the exponent keeps (2) and the multipliers are
    the smallest at which the bounds of the policy that is learned meet the thresholds.

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
        pooling: kappa >= 0, pseudo-responses of the pooled normaliser of the weights: 0 normalises
            per prompt and takes the rows for all responses there are, inf is one pool, None chooses.
        variant: "lagrangian", or "log_barrier", which keeps the slack sigma / lambda_k above each
            threshold as long as its price stays below 2; a dearer one may be violated.
        start: (K-1,) multipliers where the search begins with sampled rows or comparisons; None is 0.

    Raises:
        InfeasibleThresholdsError: thresholds out of reach, alone or together, by 1e-6 or more.
        NotConvergedError: no point met the optimality conditions.
        InputError: an argument has the wrong shape or range.
    """
    rows = build_rows(win_rates, reference, groups)
    asked = check_thresholds(thresholds, rows.n_objectives - 1)
    begin = check_start(start, asked.size)
    temperature = check_number("tau", tau, above=0)
    radius = check_epsilon(epsilon, asked.size)
    kappa = _checked(pooling, variant, confidence, comparisons)
    logarithmic, sampled = variant == "log_barrier", kappa != 0 and len(rows.starts) > 1
    if comparisons is None and radius.any():
        return solve_over_rows(rows, asked, temperature, radius, logarithmic)
    if comparisons is None and not sampled:
        return solve_plain(rows, asked, temperature, logarithmic)
    sure: dict[str, Any] = {"comparisons": comparisons, "epsilon": radius, "confidence": confidence}
    estimator = build_estimator(rows, temperature, sampled, behaviour=behaviour, **sure)
    return solve_over_comparisons(estimator, asked, kappa, logarithmic, begin)


def _checked(
    pooling: float | None, variant: str, confidence: float | None, comparisons: Comparisons | None
) -> float | None:
    """Kappa, None where it is to be chosen, of options that go together."""
    if variant not in VARIANTS:
        raise InputError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
    if confidence is not None and comparisons is None:
        raise InputError(
            "confidence needs comparisons: without labels nothing says how sure a value is"
        )
    if pooling is None:
        return None
    return check_number("pooling", pooling, at_least=0, infinite=True)
