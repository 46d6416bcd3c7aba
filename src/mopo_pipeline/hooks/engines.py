"""What draws answers is asked whether it can, before a run computes anything."""

from typing import Any

from kedro.framework.hooks import hook_impl

from mopo_pipeline.errors import InputError
from mopo_pipeline.hooks.guard import one_line
from mopo_pipeline.parameters.engine import EngineParams

DRAWING = {
    "evaluate.sample_completions": ("evaluate", "sampling", "engine"),
    "ingest.ingest_source": ("ingest", "sampled", "engine"),
}
"""Nodes that draw answers, and where their engine stands among the parameters."""

TRAINING = "train.train_policy"
"""Node that makes the policy the evaluation draws from."""


class EngineHook:
    """Stops a run whose answers could not be drawn once it got there."""

    def __init__(self) -> None:
        self._parameters: dict[str, Any] = {}

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Remember the parameters."""
        self._parameters = context.config_loader["parameters"]

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Any) -> None:
        """Check the engine of every node that draws.

        Raises:
            InputError: one cannot serve; says what is missing.
        """
        from mopo_pipeline.language.engines.choose import check_engine

        names = {node.name for node in pipeline.nodes}
        for node, place in DRAWING.items():
            engine = _engine_at(self._parameters, place)
            if node not in names or engine is None:
                continue
            trained = TRAINING not in names or bool(run_params.get("only_missing_outputs"))
            try:
                check_engine(engine, ".".join(place), served=place[0] == "ingest" or trained)
            except InputError as error:
                raise one_line(error) from None


def _engine_at(parameters: Any, place: tuple[str, ...]) -> EngineParams | None:
    """The engine named there; None where none is."""
    found = parameters
    for key in place:
        found = (found or {}).get(key)
    return None if found is None else EngineParams.model_validate(found)
