"""Judges by the names that parameters give them, or by where they are imported from."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.judges.base import Comparer, Judge, Link, ReadsInPart, Scorer
from mopo_pipeline.parameters.judges import ChatJudgeParams

RULES = {
    "pocket": "mopo_pipeline.judges.pocket:PocketRules",
    "text": "mopo_pipeline.judges.rules:TextRules",
}
"""Import paths of what judges by objectives alone."""

OWN = "own"
"""What a user's judge is called in tables."""


def judge_named(
    name: str,
    objectives: tuple[str, ...],
    *,
    preference_model: str | Path | None = None,
    reward_models: Mapping[str, str] | None = None,
    chat: ChatJudgeParams | None = None,
) -> Judge:
    """The judge of that name for these objectives.

    Args:
        name: ``preference_model`` (fitted on labels), ``pocket`` or ``text`` (rules), ``reward_models``,
            ``chat``, or ``module:name`` of any other (``imported_judge``).
        objectives: names of the K scores.
        preference_model: directory of the fitted model, where that is the judge.
        reward_models: a model per objective, where they are the judge.
        chat: the model and its rubrics, where a chat model is the judge.

    Raises:
        InputError: an objective that the judge doesn't know; no such judge.
    """
    if name == "reward_models":
        from mopo_pipeline.judges.hub import RewardModelJudge

        return RewardModelJudge(dict(reward_models or {}), objectives)
    if name == "chat":
        from mopo_pipeline.judges.chat import ChatJudge

        if chat is None:
            raise InputError("judge chat needs a model or an endpoint, and a rubric per objective")
        return ChatJudge(chat, objectives)
    if name == "preference_model":
        from mopo_pipeline.judges.preference import PreferenceModelJudge

        return PreferenceModelJudge(Path(preference_model or ""), objectives)
    return imported_judge(RULES.get(name, name), objectives)


def imported_judge(path: str, objectives: tuple[str, ...]) -> Judge:
    """The judge that ``module:name`` makes when it is called with the objectives.

    Raises:
        InputError: nothing can be imported from there, or what it makes is no judge of these objectives.
    """
    module, _, name = path.partition(":")
    try:
        make = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"no judge can be imported as {path!r}: {error}; its module must lie in src or on PYTHONPATH"
        ) from error
    try:
        judge = make(objectives)
    except TypeError as error:
        raise InputError(
            f"the judge {path!r} is to be made with the objectives' names: {error}"
        ) from error
    if not isinstance(judge, Scorer | Comparer):
        raise InputError(
            f"{path!r} makes {type(judge).__name__}, which is no judge: it needs name, objectives, link and scores"
        )
    if tuple(judge.objectives) != objectives or judge.link not in ("logistic", "step"):
        raise InputError(
            f"the judge {path!r} has objectives {list(judge.objectives)} and link {judge.link!r}; the task's objectives are "
            f"{list(objectives)}, a link is logistic or step"
        )
    if isinstance(judge, Comparer) and (type(judge.opponents) is not int or judge.opponents < 1):
        raise InputError(
            f"the judge {path!r} has opponents {judge.opponents!r}: it says how many answers one is held against, 1 or more"
        )
    return judge


def check_importable(path: str, where: str) -> None:
    """Refuse a judge whose module is not there, without importing it.

    Args:
        path: ``module:name``.
        where: the parameter that names it.

    Raises:
        InputError: there is no such module.
    """
    module = path.partition(":")[0]
    try:
        found = find_spec(module)
    except ModuleNotFoundError:  # of a package above it
        found = None
    if found is None:
        raise InputError(
            f"{where}: no judge can be imported as {path!r}: there is no module {module}; it must lie in src or on "
            "PYTHONPATH"
        )


def own_judge(path: str, objectives: tuple[str, ...]) -> Judge:
    """An imported judge under the name ``own``, whatever it calls itself.

    Raises:
        InputError: see ``imported_judge``.
    """
    judge = imported_judge(path, objectives)
    return (
        _OwnScorer(judge, objectives, judge.link)
        if isinstance(judge, Scorer)
        else _OwnComparer(judge, objectives, judge.link, judge.opponents)
    )


@dataclass
class _OwnScorer:
    """A user's judge that scores."""

    judge: Scorer
    objectives: tuple[str, ...]
    link: Link
    name: str = OWN

    def __post_init__(self) -> None:
        if isinstance(self.judge, ReadsInPart):
            self.read_in_part = self.judge.read_in_part

    def scores(self, prompts: list[str], responses: list[str]) -> Array:
        """Its scores (n, K)."""
        return self.judge.scores(prompts, responses)


@dataclass
class _OwnComparer:
    """A user's judge that compares."""

    judge: Comparer
    objectives: tuple[str, ...]
    link: Link
    opponents: int
    name: str = OWN

    def __post_init__(self) -> None:
        if isinstance(self.judge, ReadsInPart):
            self.read_in_part = self.judge.read_in_part

    def differences(self, prompts: list[str], first: list[str], second: list[str]) -> Array:
        """Its differences (n, K)."""
        return self.judge.differences(prompts, first, second)
