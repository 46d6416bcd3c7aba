"""What every parameter group shares, and the task: its objectives and its seed."""

import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Self, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

RESERVED_COLUMNS = frozenset(
    {
        "prompt_id", "response_id", "response_a", "response_b", "prompt", "response",
        "split", "group", "unit", "source", "annotator", "weight", "fold", "ratio", "objective",
        "chosen", "rejected", "completions", "ended", "judge", "completion_id", "opponent_id", "point", "estimator",
        "non_dominated", "hypervolume",
    }
)  # fmt: skip
UNWRITABLE = ".,=[]{}/\\$|\n\t"
"""Characters no objective's name may hold: commands say ``plan.thresholds.<name>=0.5``, files are called by it, figures read
what stands between two ``$`` as mathematics, and a card's tables end a cell at ``|``."""

UNDRAWN = "_"
"""What no objective's name may begin with: figures leave it out of their legends."""

LONGEST_NAME = 100
"""Characters of an objective's name at most: files are called by it."""

OF_MODEL = "_of_model"

MADE_SUFFIXES = ("_se", "_weight", OF_MODEL, "_win_rate", "_win_rate_from", "_win_rate_to")
"""Columns made of an objective's name: the standard error of its win rate, the weight of its labels, what the
preference model alone predicts of them, and the win rate that a judge gives, with its ends."""

WITHOUT_FOLD = "_without_"
"""Between an objective's name and a number: its win rates from the labels outside that fold of comparisons."""


class StrictModel(BaseModel):
    """An immutable parameter group in which an unknown key is an error, and true is no number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML reads yes, no, on, off, true and false as truth values, which would pass for 1 and 0."""
        kind = cls.model_fields[str(info.field_name)].annotation
        table = isinstance(value, Mapping) and _is_table(kind)
        given = value.values() if table else [value]
        if any(isinstance(one, bool) for one in given) and not _takes_truth(kind):
            raise ValueError(
                "a truth value (YAML reads yes, no, on, off, true and false as one) where none is meant; write a "
                "number, or put a text in quotation marks"
            )
        return value


def _takes_truth(annotation: Any) -> bool:
    """Whether a truth value is one of the kinds an annotation names, inside unions and tables too."""
    return annotation in (bool, Any) or any(_takes_truth(part) for part in get_args(annotation))


def _is_table(annotation: Any) -> bool:
    """Whether an annotation is a table of names a user chooses, or may be one."""
    return get_origin(annotation) is dict or any(_is_table(part) for part in get_args(annotation))


class Position(StrictModel):
    """A threshold given as a place in the attainable range: 0 its low end, 1 its high end."""

    position: float = Field(ge=0.0, le=1.0)


Threshold = Annotated[float, Field(ge=0.0, le=1.0)] | Position
"""A win rate against the behaviour policy, or a position in the attainable range."""


class ObjectiveParams(StrictModel):
    """One objective: the name of its label column and, unless it is the primary, its threshold.

    Where a threshold is left out, the plan proposes one.
    """

    name: str = Field(min_length=1, max_length=LONGEST_NAME)
    threshold: Threshold | None = None


def _held(name: str) -> str | None:
    """What an objective's name holds that it may not; None where it is one."""
    if wrong := [letter for letter in name if letter in UNWRITABLE]:
        return repr(wrong[0])
    if name != name.strip():
        return "white space at an end"
    return f"{UNDRAWN!r} at its beginning" if name.startswith(UNDRAWN) else None


class TaskParams(StrictModel):
    """The objectives, first the primary, and the seed every stage derives its randomness from."""

    objectives: tuple[ObjectiveParams, ...] = Field(min_length=1)
    seed: int = Field(default=0, ge=0)

    @property
    def names(self) -> tuple[str, ...]:
        """Objective names, index 0 the primary."""
        return tuple(objective.name for objective in self.objectives)

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = self.names
        if len({unicodedata.normalize("NFC", name) for name in names}) != len(names):
            raise ValueError(f"objective names must differ, got {list(names)}")
        for name in names:
            if (held := _held(name)) is not None:
                raise ValueError(
                    f"objective {name!r} holds {held}, which commands, figures or tables could not name; give it another "
                    "name here, and its column by ingest.columns: {name: column}"
                )
        if clash := RESERVED_COLUMNS.intersection(names):
            raise ValueError(
                f"{sorted(clash)} cannot name an objective: the tables use it as a column; give it another name here, and its "
                "column by ingest.columns: {name: column}"
            )
        for name in names:
            for made in names:
                tail = made.removeprefix(name)
                numbered = tail.startswith(WITHOUT_FOLD) and tail[len(WITHOUT_FOLD) :].isdigit()
                if tail != made and (tail in MADE_SUFFIXES or numbered):
                    raise ValueError(
                        f"objective {made!r} has the name of a column made for {name!r}; rename it here "
                        "and in the data"
                    )
        if self.objectives[0].threshold is not None:
            raise ValueError(
                f"the first objective, {names[0]!r}, is the primary and takes no threshold"
            )
        return self
