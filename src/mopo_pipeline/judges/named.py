"""Judges by the names that parameters give them."""

from collections.abc import Mapping
from pathlib import Path

from mopo_pipeline.judges.base import Judge
from mopo_pipeline.parameters.lag import JudgeName


def judge_named(
    name: JudgeName,
    objectives: tuple[str, ...],
    *,
    preference_model: str | Path | None = None,
    reward_models: Mapping[str, str] | None = None,
) -> Judge:
    """The judge of that name for these objectives.

    Args:
        name: ``preference_model`` (fitted on labels), ``pocket`` or ``text`` (rules), or
            ``reward_models``.
        objectives: names of the K scores.
        preference_model: directory of the fitted model, where that is the judge.
        reward_models: a model per objective, where they are the judge.

    Raises:
        InputError: an objective that the judge doesn't know.
    """
    if name == "pocket":
        from mopo_pipeline.judges.pocket import PocketRules

        return PocketRules(objectives)
    if name == "text":
        from mopo_pipeline.judges.rules import TextRules

        return TextRules(objectives)
    if name == "reward_models":
        from mopo_pipeline.judges.hub import RewardModelJudge

        return RewardModelJudge(dict(reward_models or {}), objectives)
    from mopo_pipeline.judges.preference import PreferenceModelJudge

    return PreferenceModelJudge(Path(preference_model or ""), objectives)
