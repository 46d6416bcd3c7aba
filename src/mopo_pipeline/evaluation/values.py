"""Objective values of the reference and the policy, each with an interval over prompts."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from mopo_pipeline.evaluation.intervals import Interval, prompt_bootstrap, sum_by
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.preferences.estimate import model_win_rates
from mopo_pipeline.preferences.model import PreferenceModel
from mopo_pipeline.tables import comparison_weights

Array = NDArray[np.float64]

DOUBLY_ROBUST = "doubly_robust"
EXACT = "exact"
COLUMNS = ["policy", "objective", "estimator", "value", "se", "ci_low", "ci_high"]


def judged_values(
    completions: pd.DataFrame,
    scores: pd.DataFrame,
    objectives: tuple[str, ...],
    params: EvaluateParams,
    seed: int,
) -> pd.DataFrame:
    """Mean win rate of sampled answers per policy, objective and judge."""
    table = scores.merge(
        completions[["completion_id", "prompt_id", "policy"]],
        on="completion_id",
        validate="many_to_one",
    )
    columns = [f"{name}_win_rate" for name in objectives]
    parts = []
    for (judge, policy), part in table.groupby(["judge", "policy"], sort=False):
        codes, ids = pd.factorize(part["prompt_id"])
        values = part[columns].to_numpy(dtype=np.float64)
        interval = prompt_bootstrap(
            sum_by(values, codes, len(ids)),
            np.bincount(codes)[:, None].astype(np.float64),
            confidence=params.confidence,
            draws=params.bootstrap,
            rng=np.random.default_rng([seed, 32]),
        )
        parts.append(value_rows(str(policy), str(judge), objectives, interval))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def doubly_robust_values(
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    logprobs: pd.DataFrame,
    model: PreferenceModel | None,
    objectives: tuple[str, ...],
    params: EvaluateParams,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Values of the policy from held-out labels alone, without generating anything.

    Test comparisons (i, j, I) are re-weighted by the policy's ratio ``rho = pi / pi_ref``
    (``method.md``, section 4, setting 2)::

        f_c = (rho_i s_i + rho_j s_j)/2 + (rho_i - rho_j)(I_c - p_c)/2

    with win rates s and probabilities p of a model that saw neither; without a model
    ``f_c = (rho_i I_c + rho_j (1 - I_c))/2``. Divided by the mean of ``(rho_i + rho_j)/2``.

    Args:
        responses: every response.
        comparisons: labelled pairs; those of the test split are used.
        logprobs: test responses under both models, as ``held_out_logprobs`` gives them.
        model: evaluation preference model; None is the plain weighted label mean.
        objectives: names of the K objectives.
        params: confidence and bootstrap size.
        seed: of the bootstrap.

    Returns:
        Rows of objective values (none without test comparisons), and facts: comparisons used, the
        effective share of the responses under the weights, the largest weight's share.
    """
    test = responses.loc[responses["split"] == "test"].reset_index(drop=True)
    pairs = comparisons.loc[comparisons["split"] == "test"].reset_index(drop=True)
    facts: dict[str, Any] = {"comparisons": len(pairs), "ess": None, "largest_weight": None}
    if pairs.empty:
        return pd.DataFrame(columns=COLUMNS), facts
    ratio = importance_ratio(test["response_id"], logprobs)
    facts["ess"] = float(ratio.sum() ** 2 / (ratio**2).sum() / len(ratio))
    facts["largest_weight"] = float(ratio.max() / ratio.sum())
    place = pd.Series(np.arange(len(test)), index=test["response_id"])
    first = place.loc[pairs["response_a"]].to_numpy()
    second = place.loc[pairs["response_b"]].to_numpy()
    labels = pairs[list(objectives)].to_numpy(dtype=np.float64)
    terms = comparison_terms(test, first, second, labels, ratio, model)
    present = ~np.isnan(labels) * comparison_weights(pairs, objectives)
    codes, ids = pd.factorize(pairs["prompt_id"])
    interval = prompt_bootstrap(
        sum_by(np.where(present > 0, terms * present, 0.0), codes, len(ids)),
        sum_by(0.5 * (ratio[first] + ratio[second])[:, None] * present, codes, len(ids)),
        confidence=params.confidence,
        draws=params.bootstrap,
        rng=np.random.default_rng([seed, 33]),
    )
    return value_rows("policy", DOUBLY_ROBUST, objectives, interval), facts


def importance_ratio(response_ids: pd.Series, logprobs: pd.DataFrame) -> Array:
    """Pi / pi_ref of each response, (n,), scaled to mean 1."""
    gaps = logprobs.set_index("response_id").loc[response_ids]
    gap = (gaps["logprob_policy"] - gaps["logprob_reference"]).to_numpy(dtype=np.float64)
    ratio = np.exp(gap - gap.max())
    return ratio / ratio.mean()


def comparison_terms(
    test: pd.DataFrame,
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    labels: Array,
    ratio: Array,
    model: PreferenceModel | None,
) -> Array:
    """f_c of every comparison and objective, (M, K); NaN where the label is missing."""
    left, right = ratio[first][:, None], ratio[second][:, None]
    if model is None:
        return 0.5 * (left * labels + right * (1.0 - labels))
    rewards = model.scores(test["prompt"].tolist(), test["response"].tolist())
    win_rates, _ = model_win_rates(rewards, test["prompt_id"], 4)
    predicted = expit(rewards[first] - rewards[second])
    return 0.5 * (
        left * win_rates[first] + right * win_rates[second] + (left - right) * (labels - predicted)
    )


def value_rows(
    policy: str, estimator: str, objectives: tuple[str, ...], interval: Interval
) -> pd.DataFrame:
    """One row per objective, in the columns of ``objective_values``."""
    return pd.DataFrame(
        {
            "policy": policy,
            "objective": list(objectives),
            "estimator": estimator,
            "value": interval.value,
            "se": interval.se,
            "ci_low": interval.low,
            "ci_high": interval.high,
        }
    )
