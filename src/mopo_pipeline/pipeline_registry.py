"""Pipelines by name.

Explicit, because in Kedro 1.7 a composite beside ``find_pipelines()`` cannot be run by name.
"""

from importlib import import_module
from importlib.util import find_spec

from kedro.pipeline import Pipeline

STAGES = ("ingest", "preferences", "plan", "reference", "train", "evaluate", "report")
"""The stages in the order data walks through them; ``__default__`` is all of them."""

BY_NAME = ("explore", "export", "synthetic")
"""Pipelines on top, run only by name."""

UP_TO_POLICY = STAGES[: STAGES.index("train") + 1]
"""``train`` brings everything it needs; ``--tags=train`` narrows it to the stage itself."""

UP_TO_WIN_RATES = STAGES[: STAGES.index("plan")]
"""What ``explore`` brings: all that a plan is solved from, and no plan, so that it opens where thresholds are out of reach."""


def register_pipelines() -> dict[str, Pipeline]:
    """Return every pipeline under its name; each stage's nodes carry the stage's name as a tag."""
    parts = {name: _create(name) for name in (*STAGES, *BY_NAME)}
    return parts | {
        "train": sum((parts[name] for name in UP_TO_POLICY), Pipeline([])),
        "explore": sum((parts[name] for name in UP_TO_WIN_RATES), parts["explore"]),
        "__default__": sum((parts[name] for name in STAGES), Pipeline([])),
    }


def _create(name: str) -> Pipeline:
    module = f"mopo_pipeline.pipelines.{name}"
    if find_spec(module) is None:  # pragma: no cover
        return Pipeline([])
    created: Pipeline = import_module(module).create_pipeline()
    return created
