"""Independent answers to compare with: cone programmes, linear programmes, brute force."""

import contextlib
import warnings

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog, minimize

Array = NDArray[np.float64]


def instance(
    seed: int, k: int = 3, groups: int = 6, largest: int = 7
) -> tuple[Array, Array, Array]:
    """Win rates, mass and groups of prompts that differ in size and weight."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, largest + 1, groups)
    ids = np.repeat(np.arange(groups), sizes)
    return rng.random((len(ids), k)), rng.random(len(ids)) + 0.05, ids


def mixture(win_rates: Array, mass: Array, ids: Array, place: float) -> Array:
    """Ratio of a policy part of the way from the reference to each prompt's best constrained row."""
    share = mass / mass.sum()
    best = np.zeros(len(mass))
    for g in np.unique(ids):
        rows = np.flatnonzero(ids == g)
        chosen = rows[win_rates[rows][:, 1:].sum(1).argmax()]
        best[chosen] = share[rows].sum() / share[chosen]
    return 1 + place * (best - 1)


def barrier_optimum(
    win_rates: Array, thresholds: Array, tau: float, strength: float, small: float
) -> tuple[float, Array]:
    """Objective of the log-barrier variant on one uniform prompt and the ratio, by direct search."""

    def loss(logits: Array) -> tuple[float, Array]:
        policy = np.exp(logits - logits.max())
        policy /= policy.sum()
        slack = policy @ win_rates[:, 1:] - thresholds
        near = (slack - small) / small
        low = np.log(small) + near - near**2 / 2
        utility = np.where(slack >= small, np.log(np.maximum(slack, small)), low)
        steepness = np.where(slack >= small, 1 / np.maximum(slack, small), (1 - near) / small)
        logs = np.log(np.maximum(policy, 1e-300) * len(policy))
        value = policy @ win_rates[:, 0] - tau * policy @ logs + strength * utility.sum()
        pull = win_rates[:, 0] - tau * logs + strength * win_rates[:, 1:] @ steepness
        return -float(value), -policy * (pull - policy @ pull)

    best = np.zeros(len(win_rates))
    for share in (0.0, 0.5, 0.1, 0.01, 0.001):
        # A step too long leaves an answer without mass and so without gradient: it is lent some again.
        policy = np.exp(best - best.max())
        start = np.log(np.maximum((1 - share) * policy / policy.sum() + share / len(policy), 1e-30))
        found = minimize(
            loss, start, jac=True, method="BFGS", options={"gtol": 1e-11, "maxiter": 5000}
        ).x
        best = min(best, found, key=lambda logits: loss(logits)[0])
    policy = np.exp(best - best.max())
    return -loss(best)[0], policy / policy.sum() * len(policy)


def regularised_optimum(
    win_rates: Array, thresholds: Array, tau: float, mass: Array, ids: Array, epsilon: float = 0.0
) -> tuple[float, Array]:
    """Objective of problem (1) and the ratio, by an exponential-cone solver.

    With ``epsilon`` the constraint is the worst case over rows: the mean of ``ratio * s`` under any
    weights within KL ``epsilon`` of the mass, written through its dual.
    """
    mass = mass / mass.sum()
    ratio = cp.Variable(len(mass), nonneg=True)
    constraints = [mass[ids == g] @ ratio[ids == g] == mass[ids == g].sum() for g in np.unique(ids)]
    for k, b in enumerate(thresholds, start=1):
        values = cp.multiply(ratio, win_rates[:, k])
        if epsilon == 0:
            constraints.append(mass @ values >= b)
            continue
        chi, level = cp.Variable(nonneg=True), cp.Variable()
        shares = cp.Variable(len(mass), nonneg=True)
        constraints += [
            cp.constraints.ExpCone(-values - level, chi * np.ones(len(mass)), shares),
            mass @ shares <= chi,
            -level - chi * epsilon >= b,
        ]
    divergence = -mass @ cp.entr(ratio)
    problem = cp.Problem(
        cp.Maximize(mass @ cp.multiply(ratio, win_rates[:, 0]) - tau * divergence), constraints
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an inaccurate solution is not taken
        with contextlib.suppress(cp.SolverError):
            problem.solve(solver=cp.CLARABEL)
    if problem.status != cp.OPTIMAL:
        problem.solve(solver=cp.SCS, eps=1e-9, max_iters=200_000)
    return float(problem.value), np.asarray(ratio.value)


def linear_optimum(
    win_rates: Array, thresholds: Array, mass: Array, ids: Array, objective: int = 0
) -> float | None:
    """Greatest value of one objective over all policies on the rows; None where thresholds fail."""
    mass = mass / mass.sum()
    groups = np.unique(ids)
    equal = np.array([np.where(ids == g, 1.0, 0.0) for g in groups])
    weighted = win_rates * np.array([mass[ids == g].sum() for g in ids])[:, None]
    found = linprog(
        -weighted[:, objective],
        A_ub=-weighted[:, 1:].T if len(thresholds) else None,
        b_ub=-np.asarray(thresholds) if len(thresholds) else None,
        A_eq=equal,
        b_eq=np.ones(len(groups)),
    )
    return float(-found.fun) if found.success else None
