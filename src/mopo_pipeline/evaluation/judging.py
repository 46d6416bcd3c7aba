"""Which judges look at the completions, and what they say."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.evaluation.judge_quality import read_in_part
from mopo_pipeline.evaluation.judge_scale import on_scale, save_left_out
from mopo_pipeline.judges.base import Judge, against, try_on
from mopo_pipeline.judges.named import OWN, judge_named, own_judge
from mopo_pipeline.judges.rules import RULES
from mopo_pipeline.mopo.diagnosis.findings import Finding
from mopo_pipeline.parameters.evaluate import JudgeParams
from mopo_pipeline.parameters.judges import ChatJudgeParams
from mopo_pipeline.parameters.lag import FreshLag, LagParams
from mopo_pipeline.parameters.preferences import PreferenceModelParams
from mopo_pipeline.preferences.model import PreferenceModel
from mopo_pipeline.sampling_units import sampling_units

log = logging.getLogger(__name__)

MODEL_FILE = "preference_model.json"
MIN_PROMPTS = 4


def fit_evaluation_model(
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    preference_model: Path,
    objectives: tuple[str, ...],
    params: PreferenceModelParams,
    seed: int,
    directory: Path,
) -> dict[str, Any]:
    """Fit a preference model on the validation split, which no policy was trained on.

    With comparisons of too few validation prompts, or groups of prompts, the training-split model stands in, and a
    finding says so.

    Args:
        responses: every response with its split.
        comparisons: labelled pairs with their split.
        preference_model: directory of the model the plan was made with; it may hold none.
        objectives: names of the heads.
        params: sizes and rates of the model.
        seed: of folds, initial weights and batches.
        directory: where the model is written, with what its folds left out say of their comparisons; it
            stays empty when there is no model at all.

    Returns:
        Facts: comparisons, calibration per objective on the folds left out, findings.
    """
    from mopo_pipeline.preferences.calibration import calibration
    from mopo_pipeline.preferences.fit import cross_fit

    chosen = comparisons["split"] == "validation"
    labels = comparisons.loc[chosen, list(objectives)]
    prompts, drawn = _drawn(comparisons.loc[chosen, "prompt_id"], responses)
    unlabelled = [name for name in objectives if labels[name].isna().all()]
    if drawn < MIN_PROMPTS or unlabelled:
        return _fall_back(preference_model, directory, prompts, drawn, unlabelled)
    folds = min(params.folds, drawn)
    fit = cross_fit(
        responses,
        comparisons,
        objectives,
        params.model_copy(update={"folds": folds}),
        seed,
        split="validation",
    )
    fit.model.save(directory)
    held = fit.predictions[chosen.to_numpy()]
    save_left_out(held, comparisons.loc[chosen], objectives, directory)
    return {
        "split": "validation",
        "prompts": prompts,
        "comparisons": int(chosen.sum()),
        "objectives": {
            name: calibration(held[:, k], labels[name].to_numpy(dtype=np.float64))
            for k, name in enumerate(objectives)
        },
        "findings": [],
    }


def _drawn(compared: pd.Series, responses: pd.DataFrame) -> tuple[int, int]:
    """How many prompts are compared, and how many of them, or groups, were drawn one by one; ``compared`` (m,) are their ids."""
    prompts = int(compared.nunique())
    if prompts < MIN_PROMPTS:
        return prompts, prompts
    return prompts, int(compared.map(sampling_units(responses)).nunique())


def _fall_back(
    preference_model: Path, directory: Path, prompts: int, drawn: int, unlabelled: list[str]
) -> dict[str, Any]:
    groups = "" if drawn == prompts else f" in {drawn} groups"
    reason = (
        f"objective {unlabelled[0]!r} has no label in the validation split"
        if unlabelled and drawn >= MIN_PROMPTS
        else f"the validation split has comparisons for {prompts} prompts{groups}, fewer than {MIN_PROMPTS}"
    )
    source = Path(preference_model)
    split = None
    consequence = "no preference model judges the policy"
    if (source / MODEL_FILE).is_file():
        PreferenceModel.load(source).save(directory)
        split, consequence = "train", "the model that trained the policy also judges it"
    log.warning("%s: %s", reason, consequence)
    finding = Finding(
        "judge not independent" if split else "no preference judge",
        float(drawn),
        float(MIN_PROMPTS),
        f"{reason}, so {consequence}: raise ingest.split.validation or add labels",
    )
    return {
        "split": split,
        "prompts": prompts,
        "comparisons": 0,
        "objectives": {},
        "findings": [finding.as_dict()],
    }


def evaluation_model(directory: Path) -> PreferenceModel | None:
    """The fitted evaluation model, or None where there was nothing to fit it on."""
    path = Path(directory)
    return PreferenceModel.load(path) if (path / MODEL_FILE).is_file() else None


def choose_judges(
    source: str, model: PreferenceModel | None, objectives: tuple[str, ...], params: JudgeParams
) -> list[Judge]:
    """The judges of a run, most trusted first: rules, reward models, a chat model, the user's own, the evaluation model.

    ``rules: auto`` takes the pocket task's rules for its source, the text rules for ``sampled`` where every objective
    is one of them.
    """
    automatic = {"pocket": "pocket", "sampled": "text"}.get(source, "none")
    if automatic == "text" and not set(objectives) <= set(RULES):
        automatic = "none"
    kind = automatic if params.rules == "auto" else params.rules
    judges: list[Judge] = []
    if kind != "none":
        judges.append(judge_named(kind, objectives))
    if params.reward_models:
        judges.append(judge_named("reward_models", objectives, reward_models=params.reward_models))
    if params.chat is not None:
        judges.append(judge_named("chat", objectives, chat=params.chat))
    if params.own is not None:
        judges.append(own_judge(params.own, objectives))
    if params.preference_model and model is not None:
        from mopo_pipeline.judges.preference import PreferenceModelJudge

        judges.append(PreferenceModelJudge(model, objectives))
    return judges


def try_judges(responses: pd.DataFrame, objectives: tuple[str, ...], params: JudgeParams) -> None:
    """Ask every judge about one answer, and whether it can read those of the data: one that cannot judge says so here.

    Raises:
        InputError: says what a judge lacks, or which text it cannot take.
    """
    first = responses.iloc[:1]
    source = str(first["source"].iloc[0])
    for judge in choose_judges(source, None, objectives, params):
        try_on(judge, first["prompt"].tolist(), first["response"].tolist())
        read_in_part(judge, responses, None)


def steered_by(judge: Judge, params: JudgeParams, lag: LagParams) -> bool:
    """Whether a model that judges the policy also judged what it was trained on; rules are the objectives themselves."""
    if not isinstance(lag, FreshLag):
        return False
    if judge.name == "reward_models":
        return bool(set(params.reward_models.values()) & set(lag.reward_models.values()))
    if judge.name == "chat" and params.chat is not None and lag.chat is not None:
        return asked_model(params.chat) == asked_model(lag.chat)
    return judge.name == OWN and params.own == lag.judge


def asked_model(chat: ChatJudgeParams) -> str:
    """Which model a chat judge asks."""
    return str(chat.model if chat.endpoint is None else chat.endpoint.model)


def judge_completions(
    completions: pd.DataFrame,
    responses: pd.DataFrame,
    judges: list[Judge],
    quality: dict[str, Any],
) -> pd.DataFrame:
    """Scores and win rates of every completion by every judge, on the scale of the labels where it is known.

    A completion's opponents are the data's own responses to its prompt.

    Args:
        completions: sampled answers.
        responses: every response.
        judges: who judges.
        quality: ``judge_quality`` of every judge by name.

    Returns:
        completion_id, judge, one score column per objective, one ``<objective>_win_rate``, and
        ``<objective>_win_rate_from`` and ``_to``: the same at the two ends of the scale's interval.
    """
    answers = responses.groupby("prompt_id")["response"].agg(list)
    opponents = answers.reindex(completions["prompt_id"]).tolist()
    parts = []
    for judge in judges:
        scores, gaps, mean = against(
            judge, completions["prompt"].tolist(), completions["completion"].tolist(), opponents
        )
        columns = {name: scores[:, k] for k, name in enumerate(judge.objectives)}
        for k, name in enumerate(judge.objectives):
            known = quality[judge.name]["objectives"][name]["calibration"]
            for suffix, end in {"": "scale", "_from": "low", "_to": "high"}.items():
                beats = on_scale(gaps[:, k], judge.link, 1.0 if known is None else known[end])
                columns[f"{name}_win_rate{suffix}"] = mean(beats)
        identity = {"completion_id": completions["completion_id"], "judge": judge.name}
        parts.append(pd.DataFrame(identity | columns))
    if not parts:
        return pd.DataFrame({"completion_id": pd.Series(dtype=str), "judge": pd.Series(dtype=str)})
    return pd.concat(parts, ignore_index=True)
