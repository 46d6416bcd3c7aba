"""How far a judge can be trusted: what it makes of comparisons that people labelled."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.evaluation.judge_reach import judge_reach
from mopo_pipeline.evaluation.judge_scale import (
    LEFT_OUT,
    MIN_COMPARISONS,
    calibrating_comparisons,
    on_scale,
    pair_texts,
    score_gaps,
)
from mopo_pipeline.judges.base import Judge, ReadsInPart
from mopo_pipeline.judges.chat import ChatJudge
from mopo_pipeline.judges.preference import PreferenceModelJudge
from mopo_pipeline.language.reading import Counts, count_read_in_part
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.pareto.bounds import of_shares
from mopo_pipeline.pareto.intervals import prompt_bootstrap, sum_by
from mopo_pipeline.preferences.calibration import calibration
from mopo_pipeline.preferences.features import WordFeatures
from mopo_pipeline.sampling_units import sampling_units
from mopo_pipeline.streams import Stream, generator

MIN_SLOPE = 0.1
"""Least slope of judged on labelled win rates: below it a gain of .1 moves what is judged by less than .01, which is
less than the interval of some hundred prompts."""


UNCALIBRATED = "judge uncalibrated"

DEPENDENT = "judge is the model that trained the policy"

BLIND = "judge cannot tell"
"""How every reason of ``Blind`` begins."""


@dataclass(frozen=True)
class Blind:
    """Why a judge cannot tell whether a threshold is held.

    Attributes:
        said: in words.
        value: what was seen.
        limit: what it was held against.
    """

    said: str
    value: float
    limit: float


def judge_quality(
    judge: Judge,
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    completions: pd.DataFrame,
    params: EvaluateParams,
    seed: int,
    model: Path | None = None,
    steered: bool = False,
) -> dict[str, Any]:
    """A judge's scale on the labels of the validation split, and its record on those of the test split.

    Args:
        judge: scores responses; it saw no test label.
        responses: every response.
        comparisons: labelled pairs.
        completions: the sampled answers the judge judged.
        params: confidence and bootstrap size of the intervals over prompts.
        seed: of the bootstrap.
        model: directory of the evaluation model, which says what its folds left out made of the
            validation split.
        steered: whether the policy was trained on this judge's word.

    Returns:
        ``unknown_words``, the share of the answers' words outside a words model's vocabulary (None
        for other judges), and per objective ``comparisons`` (decided ones), ``prompts``,
        ``accuracy`` with ``accuracy_low`` and ``accuracy_high`` (a judge that sees no difference
        is half right), ``brier``, ``ece`` of the judge at its word; ``independent``, False for a model that
        trained the policy, such as one that stands in for want of labels; ``calibration`` (``fit_scale``);
        slope and ceilings (``judge_reach``) on that scale; ``order``, a chat model's ``order_bias`` (None for
        other judges); and what is ``read_in_part``. What is unknown is None.
    """
    pairs = comparisons.loc[comparisons["split"] == "test"].reset_index(drop=True)
    gap = score_gaps(judge, responses, pairs)
    pairs["unit"] = pairs["prompt_id"].map(sampling_units(responses))
    codes = pd.factorize(pairs["unit"])[0].astype(np.intp)
    independent, left_out = _fitted_on_validation(judge, model)
    known = calibrating_comparisons(judge, responses, comparisons, left_out)
    objectives = {}
    for k, name in enumerate(judge.objectives):
        labels = pairs[name].to_numpy(dtype=np.float64)
        found = known.scale(k, judge.link, params, seed)
        said = on_scale(gap[:, k], judge.link, 1.0 if found is None else found["scale"])
        objectives[name] = (
            _quality(on_scale(gap[:, k], judge.link, 1.0), labels, codes, params, seed)
            | {"independent": independent and not steered, "calibration": found}
            | judge_reach(said, labels, pairs, params, seed)
        )
    return {
        "unknown_words": unknown_words(judge, completions),
        "order": order_bias(judge, responses, pairs),
        "read_in_part": read_in_part(judge, responses, completions),
        "objectives": objectives,
    }


def _fitted_on_validation(judge: Judge, model: Path | None) -> tuple[bool, Path | None]:
    """Whether a judge trained no policy, and where what its folds left out is kept if it was fitted on the validation split."""
    if not isinstance(judge, PreferenceModelJudge) or model is None:
        return True, None
    left_out = Path(model) / LEFT_OUT
    return (True, left_out) if left_out.is_file() else (False, None)


def order_bias(
    judge: Judge, responses: pd.DataFrame, pairs: pd.DataFrame
) -> dict[str, dict[str, float]] | None:
    """What the order of two answers does to a chat model's word on labelled pairs; None for judges that score."""
    if not isinstance(judge, ChatJudge):
        return None
    return judge.order_bias(*pair_texts(responses, pairs))


def read_in_part(
    judge: Judge, responses: pd.DataFrame, completions: pd.DataFrame | None
) -> Counts | None:
    """How many different texts a judge meets, by split and of the models' answers, and how many of them it reads in part.

    None of a judge that does not say; ``completions`` are None where there are none yet.
    """
    if not isinstance(judge, ReadsInPart):
        return None
    met = {split: responses.loc[responses["split"] == split] for split in ("validation", "test")}
    if completions is not None:
        met["answers"] = completions.assign(response=completions["completion"])
    return count_read_in_part(judge.read_in_part, met)


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

    >>> able = {"comparisons": 400, "accuracy": 0.7, "accuracy_low": 0.64, "independent": True}
    >>> doubt(able | {"calibration": {"scale": 1.0}})
    ''
    >>> doubt(able | {"calibration": None})
    'judge uncalibrated'
    >>> doubt(able | {"independent": False, "calibration": {"scale": 1.0}})
    'judge is the model that trained the policy'
    >>> doubt(able | {"comparisons": 8, "accuracy": 0.17, "accuracy_low": 0.0})
    'judge right in 17% of 8 comparisons'
    """
    if quality is not None and not quality["independent"]:
        return DEPENDENT
    if quality is None or not quality["comparisons"]:
        return "judge never held against labels"
    low = quality["accuracy_low"]
    if quality["comparisons"] < MIN_COMPARISONS or low is None or not low > 0.5:
        return f"judge right in {quality['accuracy']:.0%} of {quality['comparisons']} comparisons"
    return "" if quality["calibration"] else UNCALIBRATED


def blindness(quality: dict[str, Any] | None, threshold: float) -> Blind | None:
    """Why a judge cannot tell whether a threshold is held; None where it can, or labels do not say.

    Its word must rise with the labels, surely and by enough to be seen, and answers that reach the threshold by
    the labels must not surely miss it by the judge.

    Args:
        quality: one objective's entry of ``judge_quality``; None where the judge never met a label.
        threshold: win rate; NaN of the primary.
    """
    if quality is None:
        return None
    known = quality["calibration"]
    if known is not None and not known["low"] > 0:
        return Blind(
            f"{BLIND}: its scale on {known['comparisons']} validation labels is {known['scale']:.2f} "
            f"[{known['low']:.2f}, {known['high']:.2f}]",
            known["low"],
            0.0,
        )
    low = quality["slope_low"]
    if low is not None and not low > MIN_SLOPE:
        return Blind(
            f"{BLIND}: a gain of 1 by test labels is one of {quality['slope']:.2f} "
            f"[{low:.2f}, {quality['slope_high']:.2f}] to it",
            low,
            MIN_SLOPE,
        )
    if quality["ceiling"] is None:
        return None
    if quality["ceiling_high"] < threshold <= quality["ceiling_labels_low"]:
        return Blind(
            f"{BLIND}: the best answers, worth {quality['ceiling_labels']:.3f} by test labels, are worth "
            f"{quality['ceiling']:.3f} to it",
            quality["ceiling"],
            threshold,
        )
    return None


def _quality(
    predicted: Array, labels: Array, codes: NDArray[np.intp], params: EvaluateParams, seed: int
) -> dict[str, Any]:
    """Accuracy, Brier score and ECE of probabilities (M,) on labels (M,), what was drawn as one by ``codes`` (M,)."""
    facts = calibration(predicted, labels)
    decided = ~np.isnan(labels) & (labels != 0.5)
    right = np.where(predicted == 0.5, 0.5, (predicted > 0.5) == (labels > 0.5))
    count = int(codes.max()) + 1 if len(codes) else 0
    found = of_shares(
        prompt_bootstrap(
            sum_by(np.where(decided, right, 0.0)[:, None], codes, count),
            sum_by(decided[:, None].astype(np.float64), codes, count),
            confidence=params.confidence,
            draws=params.bootstrap,
            rng=generator(seed, Stream.JUDGE_QUALITY),
        )
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
