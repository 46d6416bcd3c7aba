"""Ablations: a sweep is a list of parameter overrides, each a run of its own."""

import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from mopo_pipeline.fronts.candidates import TRAINED, Candidate, ModelPolicy
from mopo_pipeline.fronts.collect import planned_columns
from mopo_pipeline.fronts.jobs import DONE, Job, folder_name
from mopo_pipeline.fronts.overrides import overrides, shared_by
from mopo_pipeline.fronts.sweep import POLICY
from mopo_pipeline.parameters.ablation import AblationParams


def variants(params: AblationParams) -> dict[str, dict[str, Any]]:
    """Overrides of every run, by sweep and setting, keys written in full.

    >>> sweeps = {"tau": {"plan.tau": [0.1, 1.0], "plan.kappa": [2]}}
    >>> variants(AblationParams.model_validate({"sweeps": sweeps}))
    {'tau/plan.tau=0.1,plan.kappa=2': {'plan.tau': 0.1, 'plan.kappa': 2}, 'tau/plan.tau=1.0,plan.kappa=2': {'plan.tau': 1.0, 'plan.kappa': 2}}
    """
    found = {}
    for sweep, table in params.sweeps.items():
        if table is None:
            continue
        for values in product(*table.values()):
            setting = dict(zip(table, values, strict=True))
            name = ",".join(f"{key}={_said(value)}" for key, value in setting.items())
            found[f"{sweep}/{name}"] = setting
    return found


def jobs_of_variants(params: AblationParams, folder: Path) -> list[Job]:
    """A job per variant, trained from the reference with all steps."""
    return [
        Job(
            name,
            folder / folder_name(name),
            overrides(setting),
            upstream=shared_by(setting),
        )
        for name, setting in variants(params).items()
    ]


def variant_candidates(
    params: AblationParams, runs: Mapping[str, Any], seed: int, batch_tokens: int
) -> list[Candidate]:
    """A candidate per variant; a sweep is a method."""
    found = []
    for name, setting in variants(params).items():
        sweep, _, point = name.partition("/")
        run = runs[name]
        done = run["status"] == DONE
        policy = ModelPolicy(Path(run["folder"]) / POLICY, batch_tokens) if done else None
        found.append(
            Candidate(
                sweep,
                TRAINED,
                point,
                seed,
                policy,
                run["status"],
                run["reason"],
                _planned(Path(run["folder"])),
                hyperparameters=setting,
                folder=run["folder"],
            )
        )
    return found


def _planned(folder: Path) -> dict[str, float | None]:
    """What a run's own plan says, by column; nothing where it failed before."""
    place = folder / "05_model_input" / "training_plan.json"
    return planned_columns(json.loads(place.read_text(encoding="utf-8"))) if place.is_file() else {}


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return "+".join(str(v) for v in value.values())
    return str(value)
