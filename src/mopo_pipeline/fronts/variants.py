"""Ablations: a sweep is a list of parameter overrides, each a run of its own."""

import json
from collections.abc import Callable, Collection, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from mopo_pipeline.fronts.candidates import TRAINED, Candidate, ModelPolicy
from mopo_pipeline.fronts.honest import honest, warn_of_moving
from mopo_pipeline.fronts.jobs import DONE, Job, digest_of, folder_name, merged
from mopo_pipeline.fronts.made import own_plan
from mopo_pipeline.fronts.overrides import overrides, shared_by
from mopo_pipeline.fronts.sweep import POLICY
from mopo_pipeline.parameters.ablation import AblationParams


def variants(params: AblationParams) -> dict[str, dict[str, Any]]:
    """Overrides of every run, by sweep and setting, keys written in full; tables by their values alone where these tell them apart.

    >>> sweeps = {"tau": {"plan.tau": [0.1, 1.0], "plan.kappa": [2]}}
    >>> variants(AblationParams.model_validate({"sweeps": sweeps}))
    {'tau/plan.tau=0.1,plan.kappa=2': {'plan.tau': 0.1, 'plan.kappa': 2}, 'tau/plan.tau=1.0,plan.kappa=2': {'plan.tau': 1.0, 'plan.kappa': 2}}
    """
    found = {}
    for sweep, table in params.sweeps.items():
        if table is None:
            continue
        settings = [dict(zip(table, values, strict=True)) for values in product(*table.values())]
        names = [_named(setting, _said) for setting in settings]
        for name, setting in zip(names, settings, strict=True):
            told = name if names.count(name) == 1 else _named(setting, _whole)
            found[f"{sweep}/{told}"] = setting
    return found


def jobs_of_variants(
    params: AblationParams, folder: Path, thresholds: Mapping[str, float | None]
) -> list[Job]:
    """A job per variant, trained from the reference with all steps, at the same thresholds unless it sets them.

    Args:
        params: the sweeps.
        folder: of their runs.
        thresholds: of the task's own plan, as win rates: a position, or a proposal, would be another threshold for
            every temperature and confidence.
    """
    held = {name: value for name, value in thresholds.items() if value is not None}
    made = variants(params)
    for name, setting in made.items():
        warn_of_moving(name, setting)
    places = [folder_name(name) for name in made]
    return [
        Job(
            name,
            folder / (place if places.count(place) == 1 else f"{place}-{digest_of(name)}"),
            overrides(setting) if "task.objectives" in setting else _at(held, setting),
            upstream=shared_by(setting),
        )
        for place, (name, setting) in zip(places, made.items(), strict=True)
    ]


def _at(thresholds: Mapping[str, float], setting: Mapping[str, Any]) -> dict[str, Any]:
    """A setting as nested tables, at these thresholds where it sets none."""
    return merged({"plan": {"thresholds": dict(thresholds)}}, overrides(setting))


def variant_candidates(
    params: AblationParams,
    runs: Mapping[str, Any],
    seed: int,
    batch_tokens: int,
    asked: Collection[str],
) -> list[Candidate]:
    """A candidate per variant; a sweep is a method.

    Args:
        params: the sweeps.
        runs: outcomes by name of the job.
        seed: of the task.
        batch_tokens: padded tokens per scoring batch.
        asked: prompts that all are valued on.
    """
    found = []
    for name, setting in variants(params).items():
        sweep, _, point = name.partition("/")
        run = runs[name]
        status, reason = honest(run, setting, asked)
        done = status == DONE
        policy = ModelPolicy(Path(run["folder"]) / POLICY, batch_tokens) if done else None
        found.append(
            Candidate(
                sweep,
                TRAINED,
                point,
                seed,
                policy,
                status,
                reason,
                own_plan(Path(run["folder"])),
                hyperparameters=setting,
                folder=run["folder"],
            )
        )
    return found


def _named(setting: Mapping[str, Any], said: Callable[[Any], str]) -> str:
    return ",".join(f"{key}={said(value)}" for key, value in setting.items())


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return "+".join(str(v) for v in value.values())
    return str(value)


def _whole(value: Any) -> str:
    """A value that no other one is written like; a table by its keys too."""
    if isinstance(value, Mapping):
        return "+".join(f"{key}:{_whole(inner)}" for key, inner in value.items())
    return json.dumps(value, ensure_ascii=False, default=str)
