"""Rows of ``front_points``, ``front_values`` and ``front_samples``."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.errors import InputError
from mopo_pipeline.fronts.candidates import Candidate
from mopo_pipeline.fronts.values import Ground, Valued
from mopo_pipeline.pareto.bounds import of_shares
from mopo_pipeline.pareto.intervals import prompt_bootstrap, sum_by
from mopo_pipeline.progress import track
from mopo_pipeline.streams import Stream, generator

NO_NUMBERS = "its values, or its divergence from the reference, are no numbers"


def front_tables(
    candidates: Sequence[Candidate], ground: Ground
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Value every candidate that is done.

    Args:
        candidates: of all methods, the reference among them.
        ground: what they are valued on.

    Returns:
        ``front_points``, a row per candidate; ``front_values``, a row per candidate and prompt with the unit the
        prompt was drawn as and a column per objective; ``front_samples``, a few answers each beside the reference's.

    Raises:
        InputError: no candidate is done.
    """
    candidates = [_with_value(c, ground) for c in candidates]
    valued = {
        (c.method, c.point, c.seed): ground.value(c.policy)
        for c in track(candidates, "values of policies")
        if c.policy is not None
    }
    candidates = [_with_numbers(c, valued) for c in candidates]
    if all(c.policy is None for c in candidates):
        first = next((f": {c.point}, {c.reason}" for c in candidates if c.status == "failed"), "")
        raise InputError(f"no policy of the front was trained{first}; nothing can be compared")
    points = [point_row(c, valued.get((c.method, c.point, c.seed)), ground) for c in candidates]
    values = [
        _identity(c, ground.asked["prompt_id"]).assign(
            unit=ground.units.to_numpy(),
            **{n: found.per_prompt[:, k] for k, n in enumerate(ground.objectives)},
        )
        for c in candidates
        if (found := valued.get((c.method, c.point, c.seed))) is not None
    ]
    return pd.DataFrame(points), pd.concat(values, ignore_index=True), _samples(candidates, valued)


def _with_value(candidate: Candidate, ground: Ground) -> Candidate:
    """The candidate; failed where it is of a kind that has no value on this ground."""
    reason = "" if candidate.policy is None else ground.refuses(candidate.policy)
    return replace(candidate, policy=None, status="failed", reason=reason) if reason else candidate


def _with_numbers(candidate: Candidate, valued: dict[tuple[str, str, int], Valued]) -> Candidate:
    """The candidate; failed, and without values, where its values are no numbers."""
    key = candidate.method, candidate.point, candidate.seed
    found = valued.get(key)
    if found is None or (np.isfinite(found.per_prompt).all() and np.isfinite(found.kl).all()):
        return candidate
    del valued[key]
    return replace(candidate, policy=None, status="failed", reason=NO_NUMBERS)


def point_row(candidate: Candidate, valued: Valued | None, ground: Ground) -> dict[str, Any]:
    """A row of ``front_points``; NaN where nothing is known."""
    names, spent = ground.objectives, candidate.spent
    row: dict[str, Any] = {
        "method": candidate.method, "kind": candidate.kind, "point": candidate.point,
        "seed": candidate.seed, "status": candidate.status, "reason": candidate.reason,
    }  # fmt: skip
    wanted = [
        *(f"threshold_{n}" for n in names[1:]), *(f"planned_{n}" for n in names),
        *(f"multiplier_{n}" for n in names[1:]), *(f"price_{n}" for n in names[1:]), "kl_planned",
    ]  # fmt: skip
    row |= {key: _number(candidate.planned.get(key)) for key in wanted}
    row |= _measured(valued, ground) | {"estimator": ground.estimator}
    return row | {
        "certified": candidate.certified,
        "hyperparameters": json.dumps(dict(candidate.hyperparameters), sort_keys=True),
        "sequences": spent.sequences,
        "generated_tokens": spent.generated_tokens,
        "judge_calls": spent.judge_calls,
        "seconds": spent.seconds,
        "folder": candidate.folder,
    }


def _measured(valued: Valued | None, ground: Ground) -> dict[str, float]:
    objectives = [
        f"{part}_{name}" for name in ground.objectives for part in ("value", "low", "high")
    ]
    keys = [*objectives, "kl", "kl_low", "kl_high"]
    if valued is None:
        return dict.fromkeys([*keys, "well_formed", "carried"], np.nan)
    codes, units = pd.factorize(ground.units)
    interval = prompt_bootstrap(
        sum_by(np.column_stack([valued.per_prompt, valued.kl]), codes, len(units)),
        np.bincount(codes)[:, None].astype(np.float64),
        confidence=ground.params.confidence,
        draws=ground.params.bootstrap,
        rng=generator(ground.seed, Stream.FRONT_VALUES),
    )
    shares = of_shares(interval)
    is_share = np.arange(len(interval.estimate)) < len(ground.objectives)
    low = np.where(is_share, shares.low, interval.low)
    high = np.where(is_share, shares.high, interval.high)
    ends = np.column_stack([interval.estimate, low, high]).ravel()
    numbers = dict(zip(keys, map(float, ends), strict=True))
    return numbers | {"well_formed": valued.well_formed, "carried": valued.carried}


def _samples(
    candidates: Iterable[Candidate], valued: dict[tuple[str, str, int], Valued]
) -> pd.DataFrame:
    """A few answers of every policy, the reference's beside them."""
    known = [c for c in candidates if (c.method, c.point, c.seed) in valued]
    beside: dict[str, str] = {}
    for c in known:
        if c.method == "reference":
            shown = valued[(c.method, c.point, c.seed)].samples
            beside = dict(zip(shown["prompt_id"], shown["response"], strict=True))
    parts = []
    for c in known:
        shown = valued[(c.method, c.point, c.seed)].samples.reset_index(drop=True)
        told = shown.drop(columns="prompt_id").assign(
            reference_response=shown["prompt_id"].map(beside).astype("str")
        )
        parts.append(pd.concat([_identity(c, shown["prompt_id"]), told], axis=1))
    return pd.concat(parts, ignore_index=True)


def _identity(candidate: Candidate, prompt_ids: pd.Series) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "method": candidate.method,
            "point": candidate.point,
            "seed": candidate.seed,
            "prompt_id": prompt_ids.to_numpy(),
        }
    )


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)
