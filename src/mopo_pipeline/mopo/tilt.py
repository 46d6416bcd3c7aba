"""The tilted policy of equation (2) and the dual function of equation (3), one pass per evaluation.

With ``pooling`` kappa > 0 a prompt's reference is its own n responses plus kappa pseudo-responses of the pool,
so that its normaliser is Z(x) = (n Z_x + kappa Z_pool) / (n + kappa) (``method.md`` section 2) and the
dual stays convex with an exact gradient. A row's ratio then collects what every prompt lends to it.
"""

from dataclasses import dataclass

import numpy as np

from mopo_pipeline.mopo.groups import Problem
from mopo_pipeline.mopo.validation import Array


@dataclass(frozen=True)
class Tilt:
    """One evaluation at given multipliers.

    Attributes:
        dual: tau E_x log E[exp(score / tau)], without the linear term.
        values: (K,) E[ratio * s_k].
        covariance: (K-1, K-1) mean conditional covariance of the constrained scores under the policy.
        ratio: (n,) importance ratio in the problem's row order, mean 1.
        kl: E_x KL(policy || reference).
    """

    dual: float
    values: Array
    covariance: Array
    ratio: Array
    kl: float


def tilt(problem: Problem, multipliers: Array, tau: float) -> Tilt:
    """Evaluate the closed form at ``multipliers`` (K-1,)."""
    scores = problem.scores
    log_weight = scores[:, 1:] @ multipliers
    log_weight += scores[:, 0]
    log_weight /= tau
    peak = problem.max(log_weight)
    own = np.exp(log_weight - problem.spread(peak))
    own *= problem.mass
    own_total = problem.sum(own)
    log_z = np.log(own_total / problem.prompt_mass) + peak
    own *= problem.spread(1.0 / own_total)
    if problem.pooling == 0.0:
        share, pool, pool_mean = np.ones_like(log_z), None, None
        joint = own * problem.spread(problem.prompt_mass)
    else:
        pool = own * problem.spread(np.exp(np.log(own_total) + peak - peak.max()))
        log_pool = np.log(pool.sum()) + peak.max()
        pool /= pool.sum()
        log_own, log_lent = np.log(problem.sizes) + log_z, np.log(problem.pooling) + log_pool
        log_both = np.logaddexp(log_own, log_lent)
        share = np.exp(log_own - log_both)
        log_z = log_both - np.log(problem.sizes + problem.pooling)
        joint = own * problem.spread(problem.prompt_mass * share)
        joint += float(problem.prompt_mass @ (1.0 - share)) * pool
    mean_log_z = float(problem.prompt_mass @ log_z)
    return Tilt(
        dual=tau * mean_log_z,
        values=joint @ scores,
        covariance=_covariance(problem, joint, own, share, pool),
        ratio=joint / problem.mass,
        kl=float(joint @ log_weight) - mean_log_z,
    )


def _covariance(
    problem: Problem, joint: Array, own: Array, share: Array, pool: Array | None
) -> Array:
    """E_x Cov(constrained scores | x) under the policy: total second moment less that of the means."""
    columns = problem.scores[:, 1:].T
    if len(columns) == 0:
        return np.zeros((0, 0))
    second = np.array([[joint @ (a * b) for b in columns] for a in columns])
    means = np.array([problem.sum(own * column) for column in columns]) * share
    if pool is not None:
        means += np.outer(columns @ pool, 1.0 - share)
    return np.asarray(second - (means * problem.prompt_mass) @ means.T)


