"""The evaluation as papers report it: the policy's answers against the reference's own, by every judge, and how judges agree."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array
from mopo_pipeline.evaluation.judge_scale import on_scale
from mopo_pipeline.judges.base import Judge, Scorer, differences
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.pareto.bounds import of_shares
from mopo_pipeline.pareto.intervals import prompt_bootstrap, sum_by
from mopo_pipeline.streams import Stream, generator

DUEL = ["unit", "prompt_id", "completion_id", "opponent_id"]
"""What a duel is called by: what its prompt was drawn as, a policy's answer, and the reference's of the same number."""


def duels(
    completions: pd.DataFrame,
    scores: pd.DataFrame,
    judges: list[Judge],
    quality: dict[str, Any],
    units: pd.Series,
) -> pd.DataFrame:
    """Every answer of the policy against the reference's of the same number to the same prompt, by every judge.

    Args:
        completions: sampled answers of both models.
        scores: of every completion by every judge; a judge that compares is asked again.
        judges: who judges.
        quality: ``judge_quality`` of every judge by name, with its scale where it is known.
        units: what was drawn as one, by prompt_id.

    Returns:
        unit, prompt_id, completion_id, opponent_id, judge, and per objective the probability in [0, 1] that the policy's
        answer is the better one.
    """
    pairs = _paired(completions)
    pairs["unit"] = pairs["prompt_id"].map(units)
    parts = []
    for judge in judges:
        gaps = _gaps(judge, pairs, scores)
        said = {
            name: on_scale(gaps[:, k], judge.link, _scale(quality[judge.name], name))
            for k, name in enumerate(judge.objectives)
        }
        parts.append(pairs[DUEL].assign(judge=judge.name, **said))
    empty = pd.DataFrame({column: pd.Series(dtype=str) for column in [*DUEL, "judge"]})
    return pd.concat(parts, ignore_index=True) if parts else empty


def protocol(
    table: pd.DataFrame,
    objectives: tuple[str, ...],
    quality: dict[str, Any],
    params: EvaluateParams,
    seed: int,
) -> dict[str, Any]:
    """What duels say, with intervals clustered by prompt, or by what was drawn as one.

    Args:
        table: as ``duels`` gives it.
        objectives: names of the K objectives.
        quality: ``judge_quality`` of every judge by name: agreement with people, bias of order.
        params: how answers were drawn, confidence and bootstrap.
        seed: of the bootstrap.

    Returns:
        ``prompts``, ``samples``, the decoder's ``temperature`` and ``top_p``; ``against_reference``: per judge and
        objective the policy's win rate with its interval, and of the judge its accuracy on labels of the test split
        and the bias of order where it has any; ``agreement``: per objective and two judges the share of duels that
        both decide alike, with its interval.
    """
    names = list(dict.fromkeys(table["judge"]))
    by_judge = {name: table.loc[table["judge"] == name].set_index(DUEL) for name in names}
    against = [
        {"judge": judge, "objective": name}
        | _mean(part[name], params, seed)
        | _trust(quality[judge], name)
        for judge, part in by_judge.items()
        for name in objectives
    ]
    agreement = [
        {"objective": name, "judges": [one, other]}
        | _mean(_alike(by_judge[one][name], by_judge[other][name]), params, seed)
        for one, other in combinations(names, 2)
        for name in objectives
    ]
    return {
        "prompts": int(table["prompt_id"].nunique()),
        "samples": params.sampling.samples,
        "temperature": params.sampling.temperature,
        "top_p": params.sampling.top_p,
        "against_reference": against,
        "agreement": agreement,
    }


def _paired(completions: pd.DataFrame) -> pd.DataFrame:
    """The policy's answers beside the reference's of the same number."""
    numbered = completions.assign(number=completions.groupby(["policy", "prompt_id"]).cumcount())
    own, other = (numbered.loc[numbered["policy"] == p] for p in ("policy", "reference"))
    kept = ["prompt_id", "number", "completion_id", "completion"]
    met = other[kept].rename(columns={"completion_id": "opponent_id", "completion": "opponent"})
    return own[[*kept, "prompt"]].merge(met, on=["prompt_id", "number"])


def _gaps(judge: Judge, pairs: pd.DataFrame, scores: pd.DataFrame) -> Array:
    """What speaks for the policy's answers, (D, K)."""
    if isinstance(judge, Scorer):
        own = scores.loc[scores["judge"] == judge.name].set_index("completion_id")
        first, second = (
            own.loc[pairs[side], list(judge.objectives)].to_numpy(dtype=np.float64)
            for side in ("completion_id", "opponent_id")
        )
        return np.asarray(first - second)
    texts = (pairs[column].tolist() for column in ("prompt", "completion", "opponent"))
    return differences(judge, *texts)


def _scale(quality: dict[str, Any], name: str) -> float:
    known = quality["objectives"][name]["calibration"]
    return 1.0 if known is None else float(known["scale"])


def _alike(one: pd.Series, other: pd.Series) -> pd.Series:
    """Whether two judges decide a duel alike: 1, 0, or a half where one of the two sees no difference."""
    signs = [np.sign(said.to_numpy() - 0.5) for said in (one, other.reindex(one.index))]
    return pd.Series(0.5 + 0.5 * signs[0] * signs[1], index=one.index)


def _mean(values: pd.Series, params: EvaluateParams, seed: int) -> dict[str, float | None]:
    """Mean of a value per duel, its interval over prompts, and how many they are."""
    codes, prompts = pd.factorize(values.index.get_level_values("unit"))
    sums = sum_by(
        np.column_stack([values.to_numpy(dtype=np.float64), np.ones(len(values))]),
        codes.astype(np.intp),
        len(prompts),
    )
    found = of_shares(
        prompt_bootstrap(
            sums[:, :1],
            sums[:, 1:],
            confidence=params.confidence,
            draws=params.bootstrap,
            rng=generator(seed, Stream.PROTOCOL),
        )
    )
    told = {"value": found.estimate, "low": found.low, "high": found.high}
    return {k: float(v[0]) if np.isfinite(v[0]) else None for k, v in told.items()} | {
        "prompts": len(prompts)
    }


def _trust(quality: dict[str, Any], name: str) -> dict[str, Any]:
    """A judge's record on people's labels of one objective, and what the order of answers does to it."""
    record = quality["objectives"][name]
    order = (quality["order"] or {}).get(name) or {}
    return {
        "labels": {
            k: record[k] for k in ("accuracy", "accuracy_low", "accuracy_high", "comparisons")
        },
        "first_place": order.get("first_place"),
        "contradicted": order.get("contradicted"),
    }
