"""What a run changes of the parameters, and what it may share all the same."""

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any

from mopo_pipeline.fronts.jobs import UPSTREAM, merged

NOT_DRAWN = {"evaluate": {"front_points": 0}}
"""A point's own exact fronts would be those of every other point."""

SHARED_UNLESS = {
    "ingest": (),
    "task": (),
    "preferences": ("ingest.", "reference."),
    "reference": ("ingest.", "preferences.", "evaluate.fit_evaluation_model"),
}
"""Nodes whose artifacts a variant still shares, by the group it changes; every other group leaves all of them."""


def overrides(setting: Mapping[str, Any]) -> dict[str, Any]:
    """A setting, keys written in full, as nested tables beside what every run of a sweep leaves out."""
    return reduce(merged, (nested(key, value) for key, value in setting.items()), NOT_DRAWN)


def nested(key: str, value: Any) -> dict[str, Any]:
    """A parameter by its full name as nested tables.

    >>> nested("plan.tau", 0.1)
    {'plan': {'tau': 0.1}}
    """
    first, _, rest = key.partition(".")
    return {first: nested(rest, value) if rest else value}


def shared_by(keys: Iterable[str]) -> tuple[str, ...]:
    """Begins of the names of nodes whose artifacts are the same whatever these parameters are.

    >>> shared_by(["plan.tau"]) == UPSTREAM, shared_by(["preferences.win_rates.method", "plan.tau"])
    (True, ('ingest.', 'reference.'))
    """
    kept: tuple[str, ...] = UPSTREAM
    for key in keys:
        left = SHARED_UNLESS.get(key.partition(".")[0], UPSTREAM)
        kept = tuple(begin for begin in kept if begin in left)
    return kept


def moving(keys: Iterable[str]) -> list[str]:
    """Those of these parameters that may move a prompt from one split to another.

    >>> moving(["plan.tau", "task.seed"])
    ['task.seed']
    """
    return [key for key in keys if "ingest." not in shared_by([key])]
