"""How much the values of a policy to come will differ from prompt to prompt, before it is trained (method.md, section 11)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.mopo import Comparisons, tempering_power
from mopo_pipeline.parameters.lag import FreshLag, LagParams, OfflineLag

ROWS_FLOOR = 1e-12
"""Least ratio of a row whose logarithm is taken."""


@dataclass(frozen=True)
class Spread:
    """How a policy's win rates vary, (K,) each.

    Attributes:
        between: variance over prompts, or over groups of prompts drawn as one, of what the policy attains there.
        within: variance of one answer's win rate around its prompt's.
        prompts: of one group, in the mean; 1 where each was drawn by itself.
    """

    between: Array
    within: Array
    prompts: float

    def of_mean(self, answers: int | None) -> Array:
        """Standard deviation (K,) over prompts or groups of a mean of so many answers a prompt; None has all of them."""
        sampled = 0.0 if answers is None else self.within / (answers * self.prompts)
        return np.sqrt(self.between + sampled)


def planned_moves(lag: LagParams, steps: int) -> int:
    """How many times over the planned step is taken: each reference that moved to the policy is stepped from anew.

    Offline the reference is the policy of one lag ago, so that the first refresh takes none.

    >>> planned_moves(FreshLag(every=100), 400), planned_moves(OfflineLag(every=100), 400)
    (4, 3)
    >>> from mopo_pipeline.parameters.lag import NoLag
    >>> planned_moves(NoLag(), 400)
    1
    """
    if not isinstance(lag, FreshLag | OfflineLag):
        return 1
    refreshes = (steps - 1) // lag.every
    return max(refreshes + isinstance(lag, FreshLag), 1)


def moved_weights(row_weights: pd.DataFrame, lag: LagParams, steps: int) -> pd.DataFrame:
    """The row weights with the ratio of the policy that training heads for, its prices taken to stay as planned.

    Args:
        row_weights: prompt_id, response_id and ratio of the training rows, as planned.
        lag: whether the reference moves, and how a step is tempered.
        steps: of training.
    """
    ratio = np.maximum(row_weights["ratio"].to_numpy(dtype=np.float64), ROWS_FLOOR)
    power = tempering_power(ratio, lag.target_ess) if isinstance(lag, FreshLag) else 1.0
    logs = power * planned_moves(lag, steps) * np.log(ratio)
    return row_weights.assign(ratio=np.exp(logs - logs.max()))


def policy_spread(
    win_rates: pd.DataFrame, row_weights: pd.DataFrame, objectives: tuple[str, ...]
) -> Spread:
    """Variances over prompts and within them of the policy that these weights teach.

    What the luck of few responses adds to the variance over prompts is left in: it is these rows that the policy
    is taught, so that their luck becomes its own.

    Args:
        win_rates: one row per response, a column in [0, 1] per objective.
        row_weights: prompt_id, response_id, unit and ratio of the rows.
        objectives: K names.
    """
    values, share, codes = _shared(win_rates, row_weights, objectives)
    means = _summed(values * share[:, None], codes)
    of_units = _by_unit(means, codes, row_weights["unit"])
    around = _summed(share[:, None] * (values - means[codes]) ** 2, codes)
    alone = np.bincount(codes, share**2)[:, None]
    varied = alone[:, 0] < 1.0 - 1e-9
    if len(of_units) < 2 or not varied.any():
        nothing = np.zeros(len(objectives))
        return Spread(nothing, nothing, 1.0)
    within = around[varied] / (1.0 - alone[varied])
    between = of_units.var(axis=0, ddof=1)
    return Spread(between, within.mean(axis=0), len(means) / len(of_units))


def label_spread(
    win_rates: pd.DataFrame,
    row_weights: pd.DataFrame,
    compared: Comparisons,
    objectives: tuple[str, ...],
    max_ratio: float,
) -> Array:
    """Standard deviation (K,) over prompts, or groups of them, of what labels will say of the policy, doubly robustly, with their noise.

    Of each comparison (i, j, I) with the model's probability p the value of its prompt is corrected by
    ``(rho_i - rho_j)(I - p)/2``, rho clipped, as the certificate's estimate corrects it on test prompts.

    Args:
        win_rates: one row per response, a column in [0, 1] per objective.
        row_weights: prompt_id, response_id, unit and ratio of the N rows.
        compared: labelled pairs of these rows, with predictions.
        objectives: K names.
        max_ratio: greatest ratio of a row.

    Returns:
        NaN with fewer than two labelled prompts or groups.
    """
    values, share, codes = _shared(win_rates, row_weights, objectives)
    prompts = int(codes.max()) + 1
    ratio = np.minimum(share * np.bincount(codes)[codes], max_ratio)
    first: Index = np.asarray(compared.first)
    second: Index = np.asarray(compared.second)
    labels = np.asarray(compared.labels, dtype=np.float64)
    predicted = np.asarray(compared.predicted, dtype=np.float64)
    terms = 0.5 * (ratio[first] - ratio[second])[:, None] * (labels - predicted)
    known = ~np.isnan(terms)
    count = _summed(known.astype(np.float64), codes[first], prompts)
    total = _summed(np.where(known, terms, 0.0), codes[first], prompts)
    means = _summed(values * share[:, None], codes, prompts)
    deviation = np.full(len(objectives), np.nan)
    for k in range(len(objectives)):
        kept = count[:, k] > 0
        said = np.full(prompts, np.nan)
        said[kept] = means[kept, k] + total[kept, k] / count[kept, k]
        of_units = _by_unit(said[:, None], codes, row_weights["unit"])
        if len(of_units) > 1:
            deviation[k] = np.std(of_units[:, 0], ddof=1)
    return deviation


def _by_unit(means: Array, codes: Index, units: pd.Series) -> Array:
    """Means (U, K) over the prompts of each unit of what each prompt's mean (P, K) is; NaN says nothing."""
    of_prompt = pd.Series(units.to_numpy()).groupby(codes).first()
    return np.asarray(pd.DataFrame(means).groupby(of_prompt.to_numpy()).mean().dropna())


def _shared(
    win_rates: pd.DataFrame, row_weights: pd.DataFrame, objectives: tuple[str, ...]
) -> tuple[Array, Array, Index]:
    """Win rates (N, K) of the rows, the share (N,) of each in its prompt, and the prompt (N,)."""
    rates = win_rates.set_index("response_id").loc[row_weights["response_id"], list(objectives)]
    codes: Index = pd.factorize(row_weights["prompt_id"])[0].astype(np.int64)
    logs = np.log(np.maximum(row_weights["ratio"].to_numpy(dtype=np.float64), 1e-300))
    peak = np.full(int(codes.max()) + 1, -np.inf)
    np.maximum.at(peak, codes, logs)
    ratio = np.exp(logs - peak[codes])
    return rates.to_numpy(dtype=np.float64), ratio / np.bincount(codes, ratio)[codes], codes


def _summed(values: Array, codes: Index, prompts: int | None = None) -> Array:
    """Sums (P, K) of rows (n, K) by prompt."""
    total = np.zeros((int(codes.max()) + 1 if prompts is None else prompts, values.shape[1]))
    np.add.at(total, codes, values)
    return total
