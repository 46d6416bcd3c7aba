"""What labels alone say of a policy: its values normalised within each prompt (method.md, section 3)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.mopo.comparisons import Comparisons, check_weights
from mopo_pipeline.mopo.learned import jackknifed_shares
from mopo_pipeline.mopo.rows import build_rows


@dataclass(frozen=True)
class Seen:
    """A policy's values on prompts that nothing is trained on.

    Attributes:
        values: (K,) win rates in [0, 1]; NaN without labels.
        deviation: (K,) standard deviation over prompts, or over clusters of prompts drawn as one; 0 where one or none
            carries a value.
        prompts: (K,) effective number of them.
    """

    values: Array
    deviation: Array
    prompts: Array

    @property
    def errors(self) -> Array:
        """(K,) standard errors of the values."""
        return np.asarray(self.deviation / np.sqrt(np.maximum(self.prompts, 1.0)))


def label_shares(
    first: Index,
    second: Index,
    weights: Array,
    log_ratio: Array,
    prompts: Index,
    debiased: bool = False,
) -> tuple[Array, Array]:
    """What each label says of its two responses under pi~(y|x) ~ mu pi / pi_ref, both (M, K).

    A prompt's labelled responses have a mass of 1 in proportion to their ratios, and each response's
    mass is divided among its own comparisons, in proportion to their weights.

    Args:
        first: (M,) rows of the first responses.
        second: (M,) rows of the second responses.
        weights: (M, K) of the comparisons, 0 where the label is missing.
        log_ratio: (n,) log pi - log pi_ref, nats.
        prompts: (n,) prompt of each response, from 0.
        debiased: by the jackknife over a prompt's responses (``mopo.learned``), without most of the draw of few of them
            towards who wrote them; some masses are negative. It errs the other way by about as much up to a nat from the
            reference, since a label speaks of its opponent too.
    """
    compared = np.zeros((len(log_ratio), weights.shape[1]))
    np.add.at(compared, first, weights)
    np.add.at(compared, second, weights)
    mass = (_jackknifed if debiased else _normalised)(compared > 0, log_ratio, prompts)
    per_weight = np.divide(mass, compared, out=np.zeros_like(mass), where=compared > 0)
    return per_weight[first] * weights, per_weight[second] * weights


def share_carried(
    first: Index, second: Index, weights: Array, log_ratio: Array, prompts: Index
) -> Array:
    """Mean over prompts (K,) of the share of a prompt's labelled responses that a policy's mass amounts to, in (0, 1].

    Kish's ``(sum m)^2 / sum m^2`` of the masses of ``label_shares``, whose arguments these are, over the number of
    responses. It is 1 where the policy is who drew them; little where one or two of them stand for all it says, which
    then mostly lies beyond them. NaN without labels.
    """
    compared = np.zeros((len(log_ratio), weights.shape[1]))
    np.add.at(compared, first, weights)
    np.add.at(compared, second, weights)
    mass = _normalised(compared > 0, log_ratio, prompts)
    count, squares = np.zeros((2, int(prompts.max()) + 1, weights.shape[1]))
    np.add.at(count, prompts, compared > 0)
    np.add.at(squares, prompts, mass**2)
    known = count > 0
    share = np.divide(1.0, count * squares, out=np.zeros_like(count), where=known)
    nothing = np.full(weights.shape[1], np.nan)
    return np.asarray(
        np.divide(share.sum(axis=0), known.sum(axis=0), out=nothing, where=known.any(axis=0))
    )


def _normalised(kept: NDArray[np.bool_], log_ratio: Array, prompts: Index) -> Array:
    """Mass (n, K) in proportion to the ratios (n,) of the responses kept (n, K), 1 in each prompt."""
    logs = np.where(kept, log_ratio[:, None], -np.inf)
    highest = np.full((prompts.max() + 1, kept.shape[1]), -np.inf)
    np.maximum.at(highest, prompts, logs)
    mass = np.exp(logs - np.where(np.isfinite(highest), highest, 0.0)[prompts])
    total = np.zeros_like(highest)
    np.add.at(total, prompts, mass)
    return np.asarray(np.divide(mass, total[prompts], out=np.zeros_like(mass), where=kept))


def _jackknifed(kept: NDArray[np.bool_], log_ratio: Array, prompts: Index) -> Array:
    """``_normalised`` by the jackknife over a prompt's responses (``mopo.learned``): mass (n, K) of those kept (n, K) by ratios (n,)."""
    mass = np.zeros(kept.shape)
    for k in range(kept.shape[1]):
        own = np.flatnonzero(kept[:, k])
        if own.size:
            rows = build_rows(np.zeros((own.size, 1)), None, prompts[own])
            mass[own, k] = rows.restore(jackknifed_shares(rows, rows.take(log_ratio[own])))
    return mass


def cautious_values(comparisons: Comparisons, log_ratio: Array, prompts: Index) -> Seen:
    """``labelled_values``, without the draw of few responses a prompt towards 0.5 where that lifts them, as a certificate takes them.

    Args:
        comparisons: labels (M, K), as there.
        log_ratio: (n,) as there.
        prompts: (n,) as there.
    """
    plain, debiased = (
        labelled_values(comparisons, log_ratio, prompts, debiased=how) for how in (False, True)
    )
    lower = debiased.values < plain.values
    return Seen(
        values=np.where(lower, debiased.values, plain.values),
        deviation=np.where(lower, debiased.deviation, plain.deviation),
        prompts=np.where(lower, debiased.prompts, plain.prompts),
    )


def labelled_values(
    comparisons: Comparisons, log_ratio: Array, prompts: Index, *, debiased: bool = False
) -> Seen:
    """Values of a policy from the labels of a prompt's own responses; needs no judge and no new text.

    Args:
        comparisons: labels (M, K) of row pairs, and the clusters of the rows; predictions are not looked at.
        log_ratio: (n,) log pi - log pi_ref of the rows, nats.
        prompts: (n,) prompt of each row, from 0.
        debiased: as in ``label_shares``.
    """
    first, second = np.asarray(comparisons.first), np.asarray(comparisons.second)
    labels = np.asarray(comparisons.labels, dtype=np.float64)
    weights = np.where(np.isnan(labels), 0.0, check_weights(comparisons.weights, labels.shape))
    left, right = label_shares(first, second, weights, log_ratio, prompts, debiased)
    known = np.nan_to_num(labels)
    units = prompts if comparisons.clusters is None else np.asarray(comparisons.clusters)
    won, mass = np.zeros((2, int(units.max()) + 1, labels.shape[1]))
    np.add.at(won, units[first], left * known + right * (1.0 - known))
    np.add.at(mass, units[first], left + right)
    total, squares = mass.sum(axis=0), (mass**2).sum(axis=0)
    nothing = np.full(len(total), np.nan)
    values = np.divide(won.sum(axis=0), total, out=nothing, where=total > 0)
    count = np.divide(total**2, squares, out=np.zeros(len(total)), where=squares > 0)
    moved = np.where(mass > 0, won - mass * np.nan_to_num(values), 0.0)
    error = np.divide(
        np.sqrt((moved**2).sum(axis=0)), total, out=np.zeros(len(total)), where=total > 0
    )
    wide = np.sqrt(
        count * np.divide(count, count - 1.0, out=np.zeros_like(count), where=count > 1.0)
    )
    return Seen(values, error * wide, count)
