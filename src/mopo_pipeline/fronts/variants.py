"""Ablations: a sweep is a list of parameter overrides, each a run of its own."""

from collections.abc import Iterable, Mapping
from functools import reduce
from itertools import product
from pathlib import Path
from typing import Any

from mopo_pipeline.fronts.candidates import TRAINED, Candidate, ModelPolicy
from mopo_pipeline.fronts.jobs import DONE, UPSTREAM, Job, folder_name, merged
from mopo_pipeline.fronts.jobs_of_points import NOT_DRAWN
from mopo_pipeline.fronts.sweep import POLICY
from mopo_pipeline.parameters.ablation import AblationParams

SHARED_UNLESS = {
    "ingest": (),
    "task": (),
    "preferences": ("ingest.", "reference."),
    "reference": ("ingest.", "preferences.", "evaluate.fit_evaluation_model"),
}
"""Nodes whose artifacts a variant still shares, by the group it changes; every other group leaves all of them."""


def variants(params: AblationParams) -> dict[str, dict[str, Any]]:
    """Overrides of every run, by sweep and setting, keys written in full.

    >>> sweeps = {"tau": {"plan.tau": [0.1, 1.0], "plan.kappa": [2]}}
    >>> variants(AblationParams.model_validate({"sweeps": sweeps}))
    {'tau/plan.tau=0.1,plan.kappa=2': {'plan.tau': 0.1, 'plan.kappa': 2}, 'tau/plan.tau=1.0,plan.kappa=2': {'plan.tau': 1.0, 'plan.kappa': 2}}
    """
    found = {}
    for sweep, table in params.sweeps.items():
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
            merged(NOT_DRAWN, reduce(merged, (nested(k, v) for k, v in setting.items()))),
            upstream=shared_by(setting),
        )
        for name, setting in variants(params).items()
    ]


def nested(key: str, value: Any) -> dict[str, Any]:
    """A parameter by its full name as nested tables.

    >>> nested("plan.tau", 0.1)
    {'plan': {'tau': 0.1}}
    """
    first, _, rest = key.partition(".")
    return {first: nested(rest, value) if rest else value}


def shared_by(keys: Iterable[str]) -> tuple[str, ...]:
    """Begins of the names of nodes whose artifacts are the same whatever these parameters are.

    >>> shared_by(["plan.tau"]) == UPSTREAM, shared_by(["preferences.win_rates.method", "plan.tau"])
    (True, ('ingest.', 'reference.'))
    """
    kept: tuple[str, ...] = UPSTREAM
    for key in keys:
        left = SHARED_UNLESS.get(key.partition(".")[0], UPSTREAM)
        kept = tuple(begin for begin in kept if begin in left)
    return kept


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
                sweep, TRAINED, point, seed, policy, run["status"], run["reason"],
                hyperparameters=setting, folder=run["folder"],
            )
        )  # fmt: skip
    return found


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return "+".join(str(v) for v in value.values())
    return str(value)
