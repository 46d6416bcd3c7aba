"""What people said of the very responses, beside what the words say of them (``method.md`` section 3, ``posterior``).

A response's utility is ``r_i = a f_i + u_i``: f the cross-fitted model's score, ``u_i ~ N(0, sigma²)`` its
own, fitted to the labels of its own comparisons, ``p(i beats j) = sigmoid(r_i - r_j)``. Probabilities
are posterior means, ``E sigmoid(z) = sigmoid(z / sqrt(1 + pi v / 8))`` for a Gaussian z of variance v,
so that luck in few labels is not taken at its word. The factor ``a = sqrt(1 + pi sigma² / 4)`` undoes that
for two responses without labels: of them the posterior says ``sigmoid(f_i - f_j)``, as calibrated.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.sparse import coo_array, csc_array
from scipy.sparse.linalg import splu
from scipy.special import expit

from mopo_pipeline.arrays import Array, Index

CONVERGED = 1e-9
"""Largest gradient of the log posterior at its mode."""

STEPS = 100
"""Newton steps at most; a handful is the rule."""

BLOCK = 1 << 21
"""Numbers in the Hessians worked on at a time."""

MANY = 256
"""Responses to a prompt from which on Hessians are sparse: few of all the pairs are compared."""


@dataclass(frozen=True)
class Pairs:
    """Labelled comparisons of one objective.

    Attributes:
        first: (M,) rows.
        second: (M,) rows of the same prompts.
        labels: (M,) in [0, 1], NaN missing.
        weights: (M,) mass >= 0 of each, in votes.
    """

    first: Index
    second: Index
    labels: Array
    weights: Array

    def kept(self, chosen: NDArray[np.bool_]) -> "Pairs":
        """Those chosen (M,) that have a label of positive weight."""
        use = chosen & ~np.isnan(self.labels) & (self.weights > 0)
        return Pairs(self.first[use], self.second[use], self.labels[use], self.weights[use])


@dataclass(frozen=True)
class Posterior:
    """Utilities of n responses given labels, Gaussian around the mode within each prompt.

    Attributes:
        prior: (n,) mean without labels.
        mean: (n,) mode given labels.
        sigma: standard deviation of a response's own utility.
        rows: per block, (P, m) rows of prompts with m responses each.
        covariances: per block, (P, m, m).
        place: (n, 3) block, prompt in the block and position in the prompt of each row.
    """

    prior: Array
    mean: Array
    sigma: float
    rows: tuple[Index, ...]
    covariances: tuple[Array, ...]
    place: Index

    def beats(self, first: Index, second: Index) -> Array:
        """Posterior mean (M,) of the probability that one row beats another of its prompt."""
        variance = np.zeros(len(first))
        block, prompt, left = self.place[first].T
        right = self.place[second, 2]
        for b, covariance in enumerate(self.covariances):
            own = block == b
            p, i, j = prompt[own], left[own], right[own]
            variance[own] = covariance[p, i, i] + covariance[p, j, j] - 2 * covariance[p, i, j]
        return probability(self.mean[first] - self.mean[second], variance)

    def win_rates(self, spread: Array, min_opponents: int) -> tuple[Array, Array]:
        """Posterior mean of each row's win rate against the behaviour policy, with its standard error.

        Args:
            spread: (S,) distances of prior utilities from their prompt's mean, of many prompts:
                opponents where a prompt has fewer than ``min_opponents`` others.
            min_opponents: fewest opponents taken from the prompt itself.

        Returns:
            Win rates and standard errors, both (n,).
        """
        values, errors = np.empty(len(self.mean)), np.empty(len(self.mean))
        for rows, covariance in zip(self.rows, self.covariances, strict=True):
            own, size = self.mean[rows], rows.shape[1]
            variances = np.diagonal(covariance, axis1=1, axis2=2)
            others: NDArray[np.bool_]
            if size - 1 < min_opponents:
                centre = self.prior[rows].mean(axis=1, keepdims=True)
                gap = own[..., None] - (centre + spread)[:, None, :]
                beats = probability(gap, variances[..., None] + self.sigma**2)
                others = np.ones(beats.shape[1:], dtype=bool)
            else:
                variance = variances[..., None] + variances[:, None, :] - 2 * covariance
                beats = probability(own[..., None] - own[:, None, :], variance)
                others = ~np.eye(size, dtype=bool)
            count = others.sum(axis=1)
            mean = (beats * others).sum(axis=2) / count
            squares = ((beats - mean[..., None]) ** 2 * others).sum(axis=2)
            values[rows] = mean
            errors[rows] = np.sqrt(squares / np.maximum(count - 1, 1) / count)
        return values, errors


def probability(gap: Array, variance: Array) -> Array:
    """``E sigmoid(z)`` (n,) of Gaussian z, by the probit's scaling; ``variance`` >= 0 up to rounding."""
    return np.asarray(expit(gap / np.sqrt(1 + np.pi / 8 * np.maximum(variance, 0.0))))


def prior_mean(scores: Array, sigma: float) -> Array:
    """``a f`` (n,): utilities without labels whose posterior probabilities are those of the scores."""
    return np.asarray(scores * np.sqrt(1 + np.pi / 4 * sigma**2))


def fit_posterior(scores: Array, prompts: Index, pairs: Pairs, sigma: float) -> Posterior:
    """Mode and curvature of the log posterior of all utilities, prompt by prompt.

    Args:
        scores: (n,) calibrated scores of a model that saw no label of the row's prompt.
        prompts: (n,) integer prompt ids.
        pairs: labelled comparisons within prompts.
        sigma: >= 0, standard deviation of a response's own utility; 0 leaves the scores as they are.
    """
    prior = prior_mean(scores, sigma)
    place, blocks = _blocks(prompts)
    used = pairs.kept(np.ones(len(pairs.labels), dtype=bool))
    mean = prior.copy()
    covariances: list[Array] = []
    for b, rows in enumerate(blocks):
        shape = (*rows.shape, rows.shape[1])
        own = np.flatnonzero(place[used.first, 0] == b)
        if sigma == 0 or not own.size:
            flat = np.broadcast_to(sigma**2 * np.eye(rows.shape[1]), shape)
            covariances.append(flat)
            continue
        at = place[used.first[own], 1], place[used.first[own], 2], place[used.second[own], 2]
        block = _Block(prior[rows], at, used.labels[own], used.weights[own], sigma)
        utility = block.mode()
        mean[rows] = utility
        covariances.append(block.covariance(utility))
    return Posterior(prior, mean, sigma, tuple(blocks), tuple(covariances), place)


@dataclass(frozen=True)
class _Block:
    """Prompts with m responses each: (P, m) utilities, their labels, the prior."""

    prior: Array
    at: tuple[Index, Index, Index]
    labels: Array
    weights: Array
    sigma: float

    def mode(self) -> Array:
        """Utilities (P, m), by Newton on the concave log posterior; a step that would lower it is halved, prompt by prompt."""
        utility = self.prior.copy()
        level = self._level(utility)
        for _ in range(STEPS):
            slope = self._slope(utility)
            if np.abs(slope).max() < CONVERGED:
                break
            step = self._step(utility, slope)
            length = np.ones(len(utility))
            for _ in range(30):
                trial = utility + length[:, None] * step
                reached = self._level(trial)
                worse = reached < level - 1e-12 * np.abs(level)
                if not worse.any():
                    break
                length[worse] /= 2
            utility, level = trial, reached
        return utility

    def covariance(self, utility: Array) -> Array:
        """Inverse (P, m, m) of minus the Hessian of the log posterior."""
        count, m = utility.shape
        if m < MANY:
            return np.asarray(np.linalg.inv(self.curvature(utility)), dtype=np.float64)
        curved = self._sparse_curvature(utility)
        owns = (slice(p * m, (p + 1) * m) for p in range(count))
        return np.stack([_inverse(curved[own, own].toarray(order="F")) for own in owns])

    def _step(self, utility: Array, slope: Array) -> Array:
        """Newton's step (P, m) at utilities (P, m) of slope (P, m)."""
        if utility.shape[1] < MANY:
            return np.asarray(np.linalg.solve(self.curvature(utility), slope[..., None])[..., 0])
        factors = splu(
            self._sparse_curvature(utility),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
        return np.asarray(factors.solve(slope.ravel()).reshape(slope.shape))

    def _sparse_curvature(self, utility: Array) -> csc_array:
        """``curvature`` of all prompts at utilities (P, m), one after another on the diagonal of a (P m, P m) matrix."""
        prompt, i, j = self.at
        p = expit(self._gap(utility))
        w = self.weights * p * (1 - p)
        i, j, each = (
            prompt * utility.shape[1] + i,
            prompt * utility.shape[1] + j,
            np.arange(utility.size),
        )
        values = np.concatenate([w, w, -w, -w, np.full(utility.size, 1 / self.sigma**2)])
        places = np.concatenate([i, j, i, j, each]), np.concatenate([i, j, j, i, each])
        return coo_array((values, places), shape=(utility.size, utility.size)).tocsc()

    def curvature(self, utility: Array) -> Array:
        """Minus the Hessian (P, m, m) of the log posterior, positive definite."""
        prompt, i, j = self.at
        p = expit(self._gap(utility))
        w = self.weights * p * (1 - p)
        count, m = utility.shape
        flat = np.bincount((prompt * m + i) * m + i, w, count * m * m)
        flat = flat + np.bincount((prompt * m + j) * m + j, w, count * m * m)
        flat = flat - np.bincount((prompt * m + i) * m + j, w, count * m * m)
        flat = flat - np.bincount((prompt * m + j) * m + i, w, count * m * m)
        return flat.reshape(count, m, m) + np.eye(m) / self.sigma**2

    def _gap(self, utility: Array) -> Array:
        """Difference (M,) of the utilities (P, m) of each comparison's sides."""
        prompt, i, j = self.at
        return np.asarray(utility[prompt, i] - utility[prompt, j])

    def _level(self, utility: Array) -> Array:
        """Log posterior (P,) of utilities (P, m), up to a constant."""
        gap = self._gap(utility)
        each = self.weights * (self.labels * gap - np.logaddexp(0.0, gap))
        own = ((utility - self.prior) ** 2).sum(axis=1) / (2 * self.sigma**2)
        return np.asarray(np.bincount(self.at[0], each, len(utility)) - own)

    def _slope(self, utility: Array) -> Array:
        """Its gradient (P, m)."""
        prompt, i, j = self.at
        surprise = self.weights * (self.labels - expit(self._gap(utility)))
        count, m = utility.shape
        flat = np.bincount(prompt * m + i, surprise, count * m)
        flat = flat - np.bincount(prompt * m + j, surprise, count * m)
        return np.asarray(flat.reshape(count, m) - (utility - self.prior) / self.sigma**2)


def _inverse(matrix: Array) -> Array:
    """Inverse of a positive definite (m, m) matrix by Cholesky, a third of the work of a general one."""
    factor, failed = lapack.dpotrf(matrix, lower=1, overwrite_a=1)
    if not failed:
        lower, failed = lapack.dpotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise np.linalg.LinAlgError("a Hessian that is not positive definite")
    whole = lower + lower.T
    np.fill_diagonal(whole, lower.diagonal())
    return np.asarray(whole)


def _blocks(prompts: Index) -> tuple[Index, list[Index]]:
    """Rows of prompts of one size, (P, m) each, and where every row stands among them."""
    codes = np.unique(prompts, return_inverse=True)[1]
    counts = np.bincount(codes)
    order = np.argsort(codes, kind="stable")
    starts = np.cumsum(counts) - counts
    place = np.zeros((len(prompts), 3), dtype=np.int64)
    blocks: list[Index] = []
    for chosen in _of_one_size(counts):
        rows = order[starts[chosen, None] + np.arange(counts[chosen[0]])]
        place[rows, 0] = len(blocks)
        place[rows, 1] = np.arange(len(chosen))[:, None]
        place[rows, 2] = np.arange(rows.shape[1])
        blocks.append(rows)
    return place, blocks


def _of_one_size(counts: Index) -> Iterator[Index]:
    """Prompts (b,) with equally many responses, in blocks, by the counts (P,)."""
    for m in np.unique(counts):
        chosen = np.flatnonzero(counts == m)
        size = max(1, BLOCK // int(m) ** 2)
        for start in range(0, len(chosen), size):
            yield chosen[start : start + size]
