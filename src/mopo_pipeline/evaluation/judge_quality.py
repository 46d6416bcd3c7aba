"""How far a judge can be trusted: what it makes of test comparisons that people labelled."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.judges.base import Judge, preference, score
from mopo_pipeline.judges.preference import PreferenceModelJudge
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.pareto.intervals import prompt_bootstrap, sum_by
from mopo_pipeline.preferences.calibration import calibration
from mopo_pipeline.preferences.features import WordFeatures
from mopo_pipeline.streams import Stream, generator

MIN_COMPARISONS = 30
"""Fewest comparisons, plain or effective, that a verdict may rest on."""


def judge_quality(
    judge: Judge,
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    completions: pd.DataFrame,
    params: EvaluateParams,
    seed: int,
) -> dict[str, Any]:
    """A judge's accuracy and calibration on the labels of the test split.

    Args:
        judge: scores responses; it saw no test label.
        responses: every response.
        comparisons: labelled pairs; those of the test split are used.
        completions: the sampled answers the judge judged.
        params: confidence and bootstrap size of the accuracy's interval over prompts.
        seed: of the bootstrap.

    Returns:
        ``unknown_words``, the share of the answers' words outside a words model's vocabulary (None
        for other judges), and per objective ``comparisons`` (decided ones), ``prompts``,
        ``accuracy`` with ``accuracy_low`` and ``accuracy_high`` (a judge that sees no difference
        is half right), ``brier``, ``ece``; what is unknown is None.
    """
    pairs = comparisons.loc[comparisons["split"] == "test"].reset_index(drop=True)
    text = responses.set_index("response_id")
    prompts = text["prompt"].reindex(pairs["response_a"]).tolist()
    first, second = (
        score(judge, prompts, text["response"].reindex(pairs[side]).tolist())
        for side in ("response_a", "response_b")
    )
    predicted = preference(first, second, judge.link)
    codes = pd.factorize(pairs["prompt_id"])[0].astype(np.intp)
    return {
        "unknown_words": unknown_words(judge, completions),
        "objectives": {
            name: _quality(
                predicted[:, k], pairs[name].to_numpy(dtype=np.float64), codes, params, seed
            )
            for k, name in enumerate(judge.objectives)
        },
    }


def unknown_words(judge: Judge, completions: pd.DataFrame) -> float | None:
    """Share of the policy's words a words model never saw; None for judges of another kind."""
    if not isinstance(judge, PreferenceModelJudge):
        return None
    features = judge.model.features
    if not isinstance(features, WordFeatures):
        return None
    own = completions.loc[completions["policy"] == "policy", "completion"]
    return features.unknown_share(own.tolist())


def doubt(quality: dict[str, Any] | None) -> str:
    """Why a judge cannot be taken at its word for an objective; empty where it can.

    Args:
        quality: one objective's entry of ``judge_quality``; None where the judge never met a label.

    >>> doubt({"comparisons": 400, "accuracy": 0.7, "accuracy_low": 0.64})
    ''
    >>> doubt({"comparisons": 8, "accuracy": 0.17, "accuracy_low": 0.0})
    'judge right in 17% of 8 comparisons'
    """
    if quality is None or not quality["comparisons"]:
        return "judge never held against labels"
    low = quality["accuracy_low"]
    if quality["comparisons"] >= MIN_COMPARISONS and low is not None and low > 0.5:
        return ""
    return f"judge right in {quality['accuracy']:.0%} of {quality['comparisons']} comparisons"


def _quality(
    predicted: Array, labels: Array, codes: NDArray[np.intp], params: EvaluateParams, seed: int
) -> dict[str, Any]:
    """Accuracy, Brier score and ECE of probabilities (M,) on labels (M,), prompts by ``codes`` (M,)."""
    facts = calibration(predicted, labels)
    decided = ~np.isnan(labels) & (labels != 0.5)
    right = np.where(predicted == 0.5, 0.5, (predicted > 0.5) == (labels > 0.5))
    prompts = int(codes.max()) + 1 if len(codes) else 0
    found = prompt_bootstrap(
        sum_by(np.where(decided, right, 0.0)[:, None], codes, prompts),
        sum_by(decided[:, None].astype(np.float64), codes, prompts),
        confidence=params.confidence,
        draws=params.bootstrap,
        rng=generator(seed, Stream.JUDGE_QUALITY),
    )
    return {
        "comparisons": int(decided.sum()),
        "prompts": int(found.n[0]),
        "accuracy": _known(found.estimate[0]),
        "accuracy_low": _known(found.low[0]),
        "accuracy_high": _known(found.high[0]),
        "brier": facts["brier"],
        "ece": facts["ece"] if facts["comparisons"] else None,
    }


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
