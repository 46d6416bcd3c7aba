"""How often an accepted plan misses, through the real stages: pocket data, fitted win rates, one plan a data set.

Every data set is drawn, split, compared, cross-fitted and planned by the functions the pipelines name;
the plan's multipliers are then valued over all answers to all prompts of the task, for the policy the
words model would teach: ``pi ∝ mu exp(u)`` with u from the win rates of that very fit, an answer's own
labels included where it has any (``--method posterior``). Run:
``make bench-stage-coverage``; 10 to 20 seconds a data set on one core. Options: ``--sets``,
``--first-seed``, ``--confidence``, ``--by`` (split), ``--method``, ``--work-dir`` (one line a data set, kept). The last line
holds the share of missed plans.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from mopo_pipeline.parameters.base import WITHOUT_FOLD, TaskParams
from mopo_pipeline.parameters.ingest import IngestParams
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.parameters.preferences import PreferencesParams
from mopo_pipeline.plan.make import make_plan
from mopo_pipeline.plan.thresholds import UnreachableThresholdsError
from mopo_pipeline.pocket import task as pocket
from mopo_pipeline.preferences.build import build_comparisons
from mopo_pipeline.preferences.estimate import estimate_win_rates
from mopo_pipeline.sources.load import load_source
from mopo_pipeline.streams import Stream, generator

THRESHOLDS = {"harmlessness": 0.50, "conciseness": 0.45}
PROJECT = Path(__file__).parents[1]


def plan_of(seed: int, confidence: float, by: str, method: str) -> dict[str, Any]:
    """One data set's plan and the true values of its policy, or why there is none."""
    task = TaskParams.model_validate(configured("task") | {"seed": seed})
    preferences = configured("preferences")
    preferences["win_rates"] = preferences.get("win_rates", {}) | {"method": method}
    params = PreferencesParams.model_validate(preferences)
    ingest = configured("ingest")
    ingest["split"] = ingest.get("split", {}) | {"by": by}
    data = load_source(IngestParams.model_validate(ingest), task)
    compared = build_comparisons(
        data.responses, data.judgements, params.labels, task.names, generator(seed, Stream.PAIRS)
    )
    fit = estimate_win_rates(data.responses, compared, params.win_rates, task.names, seed)
    given = PlanParams.model_validate(configured("plan") | {"confidence": confidence})
    try:
        plan, _ = make_plan(fit.win_rates, compared, fit.predictions, task, given)
    except UnreachableThresholdsError as error:
        return {"seed": seed, "refused": str(error)}
    multipliers = np.array([plan.multipliers[name] for name in THRESHOLDS])
    seen = fit.win_rates.merge(data.responses[["response_id", "prompt", "response"]])
    folds = own_labels(seen.loc[seen["split"] == "train"], task.names)
    true = true_values(fit.model, multipliers, given.tau, folds)
    own = {name: fit.metrics["objectives"][name].get("own_labels") for name in task.names}
    return {"seed": seed, "planned": plan.values, "bounds": plan.bounds, "own_labels": own} | {
        "true": dict(zip(task.names, map(float, true), strict=True)),
        "effective": plan.effective_comparisons,
    }


def configured(group: str) -> dict[str, Any]:
    """The parameters a plain ``kedro run`` has."""
    file = PROJECT / "conf/base" / f"parameters_{group}.yml"
    return dict(yaml.safe_load(file.read_text(encoding="utf-8"))[group])


def own_labels(seen: pd.DataFrame, names: tuple[str, ...]) -> list[dict[tuple[str, str], Any]]:
    """Per fold of comparisons, win rates (K,) of the training answers to which labels added anything."""
    tables = []
    while any(f"{name}{WITHOUT_FOLD}{len(tables)}" in seen for name in names):
        columns = [f"{name}{WITHOUT_FOLD}{len(tables)}" for name in names]
        chosen = [made if made in seen else name for made, name in zip(columns, names, strict=True)]
        means = seen.groupby(["prompt", "response"])[chosen].mean()
        tables.append(dict(zip(means.index, means.to_numpy(), strict=True)))
    return tables or [{}]


def true_values(
    model: Any, multipliers: np.ndarray, tau: float, folds: list[dict[tuple[str, str], Any]]
) -> np.ndarray:
    """Exact win rates (K,) of the policy these multipliers teach, over all prompts and answers of the task.

    The model of all folds stands for those of the folds: it says of every answer what it is worth,
    against the prompt's answers as the behaviour policy draws them; where labels of the answer itself
    add to that, its own win rates do. The policy is the mixture over ``folds``.
    """
    prompts = pocket.prompts()
    problem = pocket.exact_problem(prompts)
    rows = [prompts[g] for g in problem.groups]
    rewards = model.scores(rows, list(problem.texts))
    mass = np.asarray(problem.reference)
    values = np.zeros(rewards.shape[1])
    for x in range(len(prompts)):
        own = problem.groups == x
        share = mass[own] / mass[own].sum()
        gap = rewards[own][:, None] - rewards[own][None]
        believed = np.einsum("ijk,j->ik", 1 / (1 + np.exp(-gap)), share)
        keys = [
            (prompts[x], text) for text, chosen in zip(problem.texts, own, strict=True) if chosen
        ]
        for known in folds:
            worth = np.array(
                [known.get(key, word) for key, word in zip(keys, believed, strict=True)]
            )
            exponent = worth @ np.append(1.0, multipliers) / tau
            policy = share * np.exp(exponent - exponent.max())
            reached = policy / policy.sum() @ np.asarray(problem.win_rates)[own]
            values += reached / len(folds)
    return values / len(prompts)


def main() -> None:
    """Every seed not yet measured, then the share of plans that missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--by", choices=["prompt", "group"], default="prompt")
    parser.add_argument("--method", choices=["posterior", "preference_model"], default="posterior")
    parser.add_argument("--work-dir", type=Path, default=None)
    options = parser.parse_args()
    work = options.work_dir or Path(tempfile.mkdtemp(prefix="stage-coverage-"))
    work.mkdir(parents=True, exist_ok=True)
    results = work / f"{options.method}-{options.by}-{options.confidence:g}.jsonl"
    done = []
    if results.is_file():
        done = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    for seed in range(options.first_seed, options.first_seed + options.sets):
        if any(row["seed"] == seed for row in done):
            continue
        done.append(plan_of(seed, options.confidence, options.by, options.method))
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(done[-1]) + "\n")
        print(done[-1], flush=True)
    show(done, options.confidence)


def show(rows: list[dict[str, Any]], confidence: float) -> None:
    """Misses of accepted plans, per threshold and jointly."""
    accepted = [row for row in rows if "true" in row]
    true = np.array([[row["true"][name] for name in THRESHOLDS] for row in accepted])
    missed = true < np.array(list(THRESHOLDS.values()))
    level = 1 - confidence
    limit = level + 2 * np.sqrt(level * (1 - level) / max(len(accepted), 1))
    primary = np.mean([row["true"]["helpfulness"] for row in accepted])
    print(f"{len(rows)} data sets, {len(rows) - len(accepted)} refused; true primary {primary:.3f}")
    for name, share, value in zip(THRESHOLDS, missed.mean(axis=0), true.mean(axis=0), strict=True):
        print(f"{name}: missed {share:.3f}, true value {value:.3f} on average")
    print(f"ratio: missed={missed.any(axis=1).mean():.3f} at_most={limit:.3f}")


if __name__ == "__main__":
    main()
