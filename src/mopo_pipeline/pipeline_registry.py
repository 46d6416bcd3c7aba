"""Pipelines by name.

Explicit, because in Kedro 1.7 a composite beside ``find_pipelines()`` cannot be run by name.
"""

from importlib import import_module
from importlib.util import find_spec

from kedro.pipeline import Pipeline

STAGES = ("ingest", "preferences", "plan", "reference", "train", "evaluate", "report")
"""The stages in the order data walks through them; ``__default__`` is all of them."""

BY_NAME = ("ablation", "export", "front", "synthetic")
"""Pipelines on top, run only by name."""

UP_TO_POLICY = STAGES[: STAGES.index("train") + 1]
"""``train`` brings everything it needs; ``--tags=train`` narrows it to the stage itself."""

EVALUATION_MODEL = "evaluate.fit_evaluation_model"
"""What of the evaluation no policy moves; ``front`` and ``ablation`` bring it with all before the policy."""


def register_pipelines() -> dict[str, Pipeline]:
    """Return every pipeline under its name; each stage's nodes carry the stage's name as a tag."""
    parts = {name: _create(name) for name in (*STAGES, *BY_NAME)}
    shared = [parts[name] for name in UP_TO_POLICY[:-1]]
    judge = parts["evaluate"].only_nodes(EVALUATION_MODEL)
    return parts | {
        "train": sum((parts[name] for name in UP_TO_POLICY), Pipeline([])),
        "front": sum(shared, judge + parts["front"]),
        "ablation": sum(shared, judge + parts["ablation"]),
        "__default__": sum((parts[name] for name in STAGES), Pipeline([])),
    }


def _create(name: str) -> Pipeline:
    module = f"mopo_pipeline.pipelines.{name}"
    if find_spec(module) is None:  # pragma: no cover
        return Pipeline([])
    created: Pipeline = import_module(module).create_pipeline()
    return created
