"""Parameters of the ingest stage: which source, how much of it, how it is split."""

import os
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, model_validator

from mopo_pipeline.parameters.base import StrictModel
from mopo_pipeline.parameters.engine import EngineParams
from mopo_pipeline.parameters.judges import ChatJudgeParams, JudgeName, needs_chat

HUB_SCHEMAS = ("hh_rlhf", "safe_rlhf", "helpsteer", "ultrafeedback", "beavertails", "summarize")

READ_BY = {
    "path": ("files", "topical_chat", "sampled", *HUB_SCHEMAS),
    "judgements_path": ("files",),
    "parts": ("files", *HUB_SCHEMAS),
    "columns": ("files", "sampled", *HUB_SCHEMAS),
    "chosen": ("files", "hh_rlhf"),
    "strongest": ("files",),
    "values": ("files",),
    "hub_id": HUB_SCHEMAS,
    "hub_revision": HUB_SCHEMAS,
    "hub_data_dir": HUB_SCHEMAS,
}
"""Keys that some sources alone read."""


def _text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


Place = Annotated[str, Field(min_length=1), BeforeValidator(_text)]
"""A path, or an address such as ``s3://bucket/file.parquet``."""


def _words(values: Any) -> Any:
    """Keys of a table as the text they were written as."""
    if not isinstance(values, dict):
        return values
    if any(isinstance(key, bool) for key in values):
        raise ValueError(
            "YAML reads a word such as yes, no or true as a truth value: put it in quotation marks"
        )
    return {str(key).strip(): value for key, value in values.items()}


Values = Annotated[dict[str, float | None], BeforeValidator(_words)]
"""What words and codes mean as numbers; None: that there is none."""


class SplitParams(StrictModel):
    """Shares of what is split; what is left after train and validation is the test split.

    ``by`` says what stays together: a prompt, or every prompt of one ``group``.
    """

    by: Literal["prompt", "group"] = "prompt"
    train: float = Field(default=0.65, gt=0.0, lt=1.0)
    validation: float = Field(default=0.2, ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.train + self.validation >= 1.0:
            raise ValueError(
                f"train + validation must leave a test share; got {self.train} + {self.validation}"
            )
        return self


class PocketParams(StrictModel):
    """Size of the pocket task."""

    n_prompts: PositiveInt = 288
    n_responses: PositiveInt = 64
    n_comparisons: PositiveInt = 72


class SampledParams(StrictModel):
    """Candidates sampled from a causal language model on given prompts."""

    model: str
    judge: JudgeName = "text"
    reward_models: dict[str, str] = {}
    chat: ChatJudgeParams | None = None
    pairs: PositiveInt = 12
    n_responses: PositiveInt = 8
    max_new_tokens: PositiveInt = 48
    temperature: float = Field(default=1.0, gt=0.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    batch_size: PositiveInt = 16
    engine: EngineParams = EngineParams()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.engine.served_reference is not None:
            raise ValueError(
                "engine.served_reference has no effect where candidates are sampled: remove it"
            )
        return self

    @model_validator(mode="after")
    def _judged(self) -> Self:
        if self.judge in ("preference_model", "pocket"):
            raise ValueError(
                f"judge {self.judge} cannot label candidates: it rests on labels of its own"
            )
        needs_chat(self.judge, self.chat)
        return self


class PartParams(StrictModel):
    """One of several files read as one; ``columns`` before those of all, ``chosen`` as in the whole, ``weight`` for each of its labels."""

    path: Place | None = None
    columns: dict[str, str] = {}
    hub_data_dir: str | None = None
    chosen: str | None = None
    weight: PositiveFloat = 1.0


class IngestParams(StrictModel):
    """Where responses and labels come from."""

    source: Literal[
        "pocket",
        "files",
        "topical_chat",
        "sampled",
        "hh_rlhf",
        "safe_rlhf",
        "helpsteer",
        "ultrafeedback",
        "beavertails",
        "summarize",
    ]
    path: Place | None = None
    judgements_path: Place | None = None
    parts: dict[str, PartParams] = {}
    columns: dict[str, str] = {}
    chosen: str | None = None
    strongest: PositiveFloat | None = None
    values: Values = {}
    hub_id: str | None = None
    hub_revision: str | None = None
    hub_data_dir: str | None = None
    hub_split: str = "train"
    limit: PositiveInt | None = None
    split: SplitParams = SplitParams()
    pocket: PocketParams = PocketParams()
    sampled: SampledParams | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, sources in READ_BY.items():
            if getattr(self, name) and self.source not in sources:
                raise ValueError(
                    f"{name} has no effect with source {self.source}: set ingest.source to one that reads it "
                    f"({', '.join(sources)}), or remove {name}"
                )
        alone = {"path": self.path, "judgements_path": self.judgements_path, "chosen": self.chosen}
        given = [name for name, value in alone.items() if value is not None]
        if self.parts and given:
            raise ValueError(
                f"ingest.parts name the files, and so does ingest.{given[0]}; leave one of them out"
            )
        return self
