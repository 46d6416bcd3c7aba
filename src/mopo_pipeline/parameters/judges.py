"""Parameters of judges: who may be named, and a chat model with a rubric per objective."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from mopo_pipeline.parameters.base import StrictModel
from mopo_pipeline.parameters.endpoint import EndpointParams

KNOWN = ("preference_model", "reward_models", "chat", "pocket", "text")
"""Judges by name; any other is named by where it is imported from."""

_IMPORT_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def _import_path(value: str) -> str:
    if not _IMPORT_PATH.fullmatch(value):
        raise ValueError(
            "a judge of your own is named by module and name, such as my_judges:Polite"
        )
    return value


def _judge_name(value: str) -> str:
    if value not in KNOWN and not _IMPORT_PATH.fullmatch(value):
        raise ValueError(f"a judge is one of {', '.join(KNOWN)}, or module:name of your own")
    return value


ImportPath = Annotated[str, AfterValidator(_import_path)]
"""``module:name`` of a class or function that makes a judge of objectives."""

JudgeName = Annotated[str, AfterValidator(_judge_name)]
"""One of ``KNOWN``, or ``module:name``."""


class ChatJudgeParams(StrictModel):
    """A chat model that compares two answers by a rubric: ``model`` here, or one behind ``endpoint``."""

    model: str | None = None
    endpoint: EndpointParams | None = None
    rubrics: dict[str, Annotated[str, Field(min_length=1)]]
    opponents: PositiveInt = 4
    max_characters: PositiveInt = 6000
    dtype: Literal["float32", "bfloat16"] = "float32"
    cache: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.model is None) == (self.endpoint is None):
            given = "neither" if self.model is None else "both"
            raise ValueError(
                f"a chat judge has a model or an endpoint, and {given} of them is given"
            )
        return self


def needs_chat(judge: str, chat: ChatJudgeParams | None) -> None:
    """Refuse a chat judge without its model, and a model without its judge.

    Raises:
        ValueError: one is given and the other is not.
    """
    if chat is None and judge == "chat":
        raise ValueError(
            "judge chat needs chat, with a model or an endpoint and a rubric per objective"
        )
    if chat is not None and judge != "chat":
        raise ValueError(f"chat has no effect with judge {judge}: set judge to chat or remove it")
