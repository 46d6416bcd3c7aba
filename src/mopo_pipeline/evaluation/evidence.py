"""What lies behind a certificate: counts of the test split, and the look that is taken at it."""

from pathlib import Path
from typing import Any

import pandas as pd

from mopo_pipeline.evaluation.certify import Evidence, choose_estimator
from mopo_pipeline.evaluation.label_bias import compared, labelled_per_prompt
from mopo_pipeline.evaluation.looks import (
    DamagedLooksError,
    Look,
    LooksFile,
    prompt_sketch,
    question,
    split_fingerprint,
)
from mopo_pipeline.evaluation.reweighting import lost_share
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.sampling_units import divided_groups, sampling_units

HOW = {"sampling", "judges", "max_ratio", "confidence"}
"""Parameters of the evaluation that say what is measured; the others say how fast or what is drawn."""


def gather(
    policy: Path,
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    completions: pd.DataFrame,
    doubly_robust: dict[str, Any],
    objectives: tuple[str, ...],
) -> Evidence:
    """Count prompts, answers and labels of the test split; fingerprint it and the policy, and say where that was trained.

    Of labelled answers per prompt those of the objective count that has the fewest.
    """
    from mopo_pipeline.language.loading import model_digest, trained_elsewhere

    names = list(objectives)
    pairs = comparisons.loc[comparisons["split"] == "test"].dropna(subset=names, how="all")
    labelled = compared(pairs)
    per_prompt = labelled.groupby("prompt_id").size()
    units = sampling_units(responses)
    return Evidence(
        prompts=int(completions["prompt_id"].nunique()),
        units=int(completions["prompt_id"].map(units).nunique()),
        answers=int((completions["policy"] == "policy").sum()),
        labelled=len(labelled),
        labelled_prompts=len(per_prompt),
        labelled_units=int(per_prompt.index.to_series().map(units).nunique()),
        labelled_per_prompt=labelled_per_prompt(pairs, names),
        comparisons=len(pairs),
        clipped=doubly_robust["clipped"],
        mean_ratio=doubly_robust["mean_ratio_low"],
        split=split_fingerprint(responses, comparisons),
        sketch=prompt_sketch(responses),
        policy=model_digest(Path(policy))[:16],
        elsewhere=trained_elsewhere(Path(policy)),
        divided=divided_groups(responses),
        lost=lost_share(doubly_robust["mean_ratio"]),
        drawn=max((doubly_robust["drawn"][name] for name in names[1:]), default=0.0),
        carried=min(
            (share for name in names[1:] if (share := doubly_robust["carried"][name]) is not None),
            default=1.0,
        ),
    )


def take_look(
    looks: LooksFile,
    evidence: Evidence,
    checks: pd.DataFrame,
    plan: TrainingPlan,
    params: EvaluateParams,
    seed: int,
) -> tuple[Look | None, str]:
    """Write down this look at the test split.

    The same policy, plan and thresholds measured in the same way are the same look, where the estimator that the
    certificate rests on says the same again, to three digits: a judge of the same name may have changed, and answers
    drawn anew are another chance.

    Args:
        looks: where they are counted.
        evidence: behind the estimates.
        checks: every threshold by every estimator.
        plan: names the objectives and their thresholds.
        params: how it is measured.
        seed: of the draws.

    Returns:
        The look, and why none could be counted; a plan without thresholds asks nothing and takes none.
    """
    if not plan.constrained:
        return None, ""
    estimator, _ = choose_estimator(checks, evidence)
    values = [] if estimator is None else checks[f"{estimator}_value"].round(3).tolist()
    asked = question(
        policy=evidence.policy,
        found=[estimator, *evidence.counted(estimator)[:2], *values],
        plan={k: v for k, v in plan.to_json().items() if k != "findings"},
        measured=params.model_dump(mode="json", include=HOW),
        seed=seed,
    )
    told = {
        "policy": evidence.policy,
        "thresholds": dict(plan.thresholds),
        "confidence": params.confidence,
    }
    try:
        return looks.take(evidence.split, asked, evidence.sketch, **told), ""
    except DamagedLooksError as error:
        return None, str(error)
