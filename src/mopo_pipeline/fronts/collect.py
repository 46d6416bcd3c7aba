"""Candidates from what runs left on disk, and those made between them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from mopo_pipeline.evaluation.certificate import CERTIFIED
from mopo_pipeline.fronts.candidates import (
    INTERPOLATED,
    INTERPOLATED_KIND,
    MOPO,
    PRIMARY_ONLY,
    REFERENCE,
    TRAINED,
    Candidate,
    ModelPolicy,
)
from mopo_pipeline.fronts.honest import honest
from mopo_pipeline.fronts.interpolate import between
from mopo_pipeline.fronts.jobs import DONE
from mopo_pipeline.fronts.jobs_of_points import job_name
from mopo_pipeline.fronts.made import hyperparameters, own_plan, planned_columns, read_json, spent
from mopo_pipeline.fronts.points import SKIPPED, point_name
from mopo_pipeline.fronts.sweep import POLICY
from mopo_pipeline.fronts.tuning import spent_on
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.parameters.front import FrontParams


def reference_candidate(reference_policy: Path, seed: int, evaluate: EvaluateParams) -> Candidate:
    """The reference as it is."""
    policy = ModelPolicy(Path(reference_policy), evaluate.batch_tokens)
    return Candidate(REFERENCE, TRAINED, REFERENCE, seed, policy)


def trained_candidates(
    plan: Mapping[str, Any],
    front_runs: Mapping[str, Any],
    seed: int,
    evaluate: EvaluateParams,
    variants: Mapping[str, Mapping[str, Any]],
    asked: Collection[str],
) -> list[Candidate]:
    """Ours, its variants and the plan without thresholds: a candidate per point, skipped and failed ones with their reason.

    Args:
        plan: as ``plan_front`` left it.
        front_runs: outcomes by name of the job, and what ours was tuned over.
        seed: of the task.
        evaluate: batch of scoring.
        variants: ours with other parameters, by name.
        asked: prompts that all are valued on.
    """
    runs, tuning = front_runs["points"], front_runs["tuning"]
    methods: dict[str, Mapping[str, Any]] = {MOPO: {}, **variants}
    found = []
    for point in plan["points"]:
        name, planned = point["point"], planned_columns(point)
        if point["status"] == SKIPPED:
            found.append(
                Candidate(MOPO, TRAINED, name, seed, None, "skipped", point["reason"], planned)
            )
        for method, setting in methods.items():
            if (run := runs.get(job_name(method, name))) is not None:
                status, reason = honest(run, setting, asked)
                ended = dict(run) | {"status": status, "reason": reason}
                if method != MOPO or tuning["setting"]:  # may have planned otherwise
                    planned_there = _asked(planned) | own_plan(Path(run["folder"]))
                else:
                    planned_there = planned
                found.append(_of_run(method, name, ended, planned_there, seed, evaluate))
    if PRIMARY_ONLY in runs:
        run = runs[PRIMARY_ONLY]
        found.append(_of_run(PRIMARY_ONLY, PRIMARY_ONLY, run, {}, seed, evaluate))
    return _paying(found, tuning) if tuning["grid"] else found


def _paying(candidates: list[Candidate], tuning: Mapping[str, Any]) -> list[Candidate]:
    """The candidates, those of ours with what they were tuned over, which the first of them pays for."""
    told = {
        "tuned_over": [
            {**one["setting"], "hypervolume": one["hypervolume"]} for one in tuning["grid"]
        ]
    }
    ours = [c for c in candidates if c.method == MOPO and c.status == DONE]
    return [
        replace(
            c,
            hyperparameters={**c.hyperparameters, **told},
            spent=c.spent + spent_on(tuning) if c is ours[0] else c.spent,
        )
        if c in ours
        else c
        for c in candidates
    ]


def _asked(planned: Mapping[str, float | None]) -> dict[str, float | None]:
    """The thresholds alone of what is planned."""
    return {name: value for name, value in planned.items() if name.startswith("threshold_")}


def interpolated_candidates(
    trained: Sequence[Candidate],
    plan: Mapping[str, Any],
    params: FrontParams,
    evaluate: EvaluateParams,
    names: Sequence[str],
) -> list[Candidate]:
    """Policies between neighbours, by averaging weights; a kind of its own, never mixed with trained ones."""
    done = {c.point: c for c in trained if c.method == MOPO and c.status == DONE}
    made: list[Candidate] = []
    for point in plan["points"]:
        ends = [done.get(point["start"] or ""), done.get(point["point"])]
        if ends[0] is None or ends[1] is None:
            continue
        first, last = ends[0], ends[1]
        for share in params.interpolated:
            asked = {
                name: (1 - share) * float(first.planned[f"threshold_{name}"] or 0.0)
                + share * float(last.planned[f"threshold_{name}"] or 0.0)
                for name in names[1:]
            }
            name = f"{point_name(asked)} ({share:g} of the way)"
            if any(name == other.point for other in made):
                name = f"{name}, from {first.point} to {last.point}"
            folder = params.folder / "interpolated" / f"{len(made):03d}"
            assert isinstance(first.policy, ModelPolicy)
            assert isinstance(last.policy, ModelPolicy)
            between(first.policy.folder, last.policy.folder, share, folder)
            candidate = Candidate(
                INTERPOLATED,
                INTERPOLATED_KIND,
                name,
                first.seed,
                ModelPolicy(folder, evaluate.batch_tokens),
                planned={f"threshold_{n}": value for n, value in asked.items()},
                hyperparameters={"from": first.point, "to": last.point, "share": share},
            )
            made.append(candidate)
    return made


def tables_of_seeds(runs: Mapping[str, Any]) -> tuple[list[pd.DataFrame], ...]:
    """``front_points``, ``front_values`` and ``front_samples`` of the other seeds whose front was made."""
    folders = _folders_of_seeds(runs)
    return tuple(
        [
            pd.read_parquet(folder / "07_model_output" / f"{name}.parquet")
            for folder in folders.values()
        ]
        for name in ("front_points", "front_values", "front_samples")
    )


def responses_of_seeds(runs: Mapping[str, Any]) -> dict[int, pd.DataFrame]:
    """The data of the other seeds."""
    return {
        seed: pd.read_parquet(folder / "03_primary" / "responses.parquet")
        for seed, folder in _folders_of_seeds(runs).items()
    }


def _folders_of_seeds(runs: Mapping[str, Any]) -> dict[int, Path]:
    done = {name: run for name, run in runs["seeds"].items() if run["status"] == DONE}
    return {int(name.rpartition("-")[2]): Path(run["folder"]) for name, run in done.items()}


def _of_run(
    method: str,
    name: str,
    run: Mapping[str, Any],
    planned: Mapping[str, float | None],
    seed: int,
    evaluate: EvaluateParams,
) -> Candidate:
    folder = Path(run["folder"])
    if run["status"] != DONE:
        return Candidate(
            method,
            TRAINED,
            name,
            seed,
            None,
            run["status"],
            run["reason"],
            planned,
            folder=str(folder),
        )
    certificate = read_json(folder / "08_reporting" / "certificate.json")
    said = "certified" if certificate["verdict"] == CERTIFIED else "not certified"
    return Candidate(
        method,
        TRAINED,
        name,
        seed,
        ModelPolicy(folder / POLICY, evaluate.batch_tokens),
        planned=planned,
        hyperparameters=hyperparameters(folder) | {"start": run["start"]},
        spent=spent(folder, run["seconds"]),
        folder=str(folder),
        certified=said if planned else "",
    )
