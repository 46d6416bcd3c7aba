"""Facts about the sampled answers that no single objective shows."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.evaluation.checks import best_estimator
from mopo_pipeline.evaluation.findings import diagnose_policy
from mopo_pipeline.language.lengths import WITHHELD, cut_column, tell
from mopo_pipeline.pareto.intervals import jackknife_error

POLICIES = ("reference", "policy")


def evaluation_summary(
    completions: pd.DataFrame,
    checks: pd.DataFrame,
    model_metrics: dict[str, Any],
    judges: dict[str, Any],
    doubly_robust: dict[str, Any],
    exact: dict[str, Any],
    source: str,
    planned_kl: float,
    farthest_kl: float | None = None,
    rests_on: str | None = None,
    units: pd.Series | None = None,
) -> dict[str, Any]:
    """KL, form, length and diversity of the sampled answers, and who is believed, with findings.

    KL is the mean log-probability gain of the policy's own samples, nats per response: unbiased, so by chance below 0.

    Args:
        completions: sampled answers; ``ended`` says of each whether the model finished it itself.
        checks: every threshold by every estimator.
        model_metrics: how the evaluation preference model was fitted, with findings.
        judges: ``judge_quality`` of every judge by name.
        doubly_robust: facts about the doubly robust estimate.
        exact: exact values, where they are known.
        source: of the data; the pocket task has a grammar.
        planned_kl: of the planned policy from the reference, nats.
        farthest_kl: the same of all moves planned in training, were all one way; None where nothing was logged.
        rests_on: the estimator of the certificate, so that one verdict stands everywhere; None where it has none.
        units: what was drawn as one, by prompt_id; the prompts where nothing is said.
    """
    groups = {name: completions.loc[completions["policy"] == name] for name in POLICIES}
    own = groups["policy"]
    kl, kl_error = _divergence(own, units)
    facts: dict[str, Any] = {
        "prompts": int(completions["prompt_id"].nunique()),
        "samples_per_prompt": int(own.groupby("prompt_id").size().max()),
        "kl_to_reference": kl,
        "kl_to_reference_se": kl_error,
        "kl_planned": planned_kl,
        "kl_farthest": planned_kl if farthest_kl is None else max(farthest_kl, planned_kl),
        "estimator": rests_on or best_estimator(checks),
        "well_formed": {name: well_formed_share(part, source) for name, part in groups.items()},
        "tokens": {name: float(part["n_tokens"].mean()) for name, part in groups.items()},
        "words": {
            name: float(np.mean([len(text.split()) for text in part["completion"]]))
            for name, part in groups.items()
        },
        "distinct_share": {name: distinct_share(part) for name, part in groups.items()},
        "entropy": {name: -float(part[f"logprob_{name}"].mean()) for name, part in groups.items()},
        "empty_share": {name: empty_share(part) for name, part in groups.items()},
        "cut_share": {name: cut_share(part) for name, part in groups.items()},
        "withheld_share": {name: withheld_share(part) for name, part in groups.items()},
        "judges": judges,
        "evaluation_model": {k: v for k, v in model_metrics.items() if k != "findings"},
        "doubly_robust": doubly_robust,
        "exact_well_formed": exact.get("well_formed"),
    }
    facts["length_drift"] = facts["tokens"]["policy"] - facts["tokens"]["reference"]
    tell(found := diagnose_policy(facts, checks))
    return facts | {"findings": [*model_metrics["findings"], *(f.as_dict() for f in found)]}


def _divergence(own: pd.DataFrame, units: pd.Series | None) -> tuple[float, float | None]:
    """Mean gain in log-probability of a policy's own answers, and its error over what was drawn as one; None of one draw."""
    gap = own["logprob_policy"] - own["logprob_reference"]
    per_prompt = gap.groupby(own["prompt_id"]).mean()
    drawn = per_prompt.index if units is None else units.loc[per_prompt.index]
    of_unit = per_prompt.groupby(np.asarray(drawn)).agg(["sum", "size"]).to_numpy(np.float64)
    error = jackknife_error(of_unit[:, 0], of_unit[:, 1]) if len(of_unit) > 1 else None
    return float(per_prompt.mean()), error


def well_formed_share(completions: pd.DataFrame, source: str) -> float | None:
    """Share of answers the pocket task's grammar accepts; None for tasks without a grammar."""
    return float(well_formed(completions).mean()) if source == "pocket" else None


def well_formed(completions: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether the pocket task's grammar accepts each answer, (n,)."""
    from mopo_pipeline.judges.pocket import PocketRules

    return PocketRules.well_formed(
        completions["prompt"].tolist(), completions["completion"].tolist()
    )


def distinct_share(completions: pd.DataFrame) -> float:
    """Mean over prompts of the share of samples that differ from each other, in (0, 1]."""
    groups = completions.groupby("prompt_id")["completion"]
    return float((groups.nunique() / groups.size()).mean())


def empty_share(completions: pd.DataFrame) -> float:
    """Share of answers that say nothing, in [0, 1]."""
    return float((completions["completion"].str.strip() == "").mean())


def cut_share(completions: pd.DataFrame) -> float | None:
    """Share of answers cut at the greatest length; None where it was not recorded."""
    if "ended" not in completions:
        return None
    return float(cut_column(completions).mean())


def withheld_share(completions: pd.DataFrame) -> float:
    """Share of answers that a filter of who served them held back, in whole or in part."""
    return float(completions[WITHHELD].mean()) if WITHHELD in completions else 0.0
