"""Pipelines by name.

Explicit, because in Kedro 1.7 a composite beside ``find_pipelines()`` cannot be run by name.
"""

from importlib import import_module
from importlib.util import find_spec

from kedro.pipeline import Pipeline

STAGES = ("ingest", "preferences", "plan", "reference", "train", "evaluate", "report")
"""The stages in the order data walks through them; ``__default__`` is all of them."""

BY_NAME = ("ablation", "explore", "export", "front", "rows", "steerable", "synthetic")
"""Pipelines on top, run only by name."""

WHOLE = ("plan", "train")
"""Pipelines that bring everything they need; ``--namespaces=train`` narrows one to the stage itself."""

UP_TO_WIN_RATES = STAGES[: STAGES.index("plan")]
"""What ``explore`` brings: all that a plan is solved from, and no plan, so that it opens where thresholds are out of reach."""

UP_TO_REFERENCE = STAGES[: STAGES.index("train")]
"""What ``front``, ``ablation`` and ``rows`` bring: all before the policy."""

EVALUATION_MODEL = "evaluate.fit_evaluation_model"
"""What of the evaluation no policy moves; ``front`` and ``ablation`` bring it with all before the policy."""

FRONT_PLAN = "front.plan_points"
"""What of the front a steerable policy is spanned by."""


def register_pipelines() -> dict[str, Pipeline]:
    """Return every pipeline under its name; each stage's nodes carry the stage's name as a tag."""
    parts = {name: _create(name) for name in (*STAGES, *BY_NAME)}
    up_to = {name: STAGES[: STAGES.index(name) + 1] for name in WHOLE}
    up_to |= {"explore": (*UP_TO_WIN_RATES, "explore"), "rows": (*UP_TO_REFERENCE, "rows")}
    shared = [parts[name] for name in UP_TO_REFERENCE]
    judge = parts["evaluate"].only_nodes(EVALUATION_MODEL)
    return parts | {
        **{
            name: sum((parts[part] for part in needed), Pipeline([]))
            for name, needed in up_to.items()
        },
        **{name: sum(shared, judge + parts[name]) for name in ("ablation", "front")},
        "steerable": sum(shared, parts["front"].only_nodes(FRONT_PLAN) + parts["steerable"]),
        "__default__": sum((parts[name] for name in STAGES), Pipeline([])),
    }


def _create(name: str) -> Pipeline:
    module = f"mopo_pipeline.pipelines.{name}"
    if find_spec(module) is None:  # pragma: no cover
        return Pipeline([])
    created: Pipeline = import_module(module).create_pipeline()
    return created
