"""What draws answers is asked whether it can, before a run computes anything."""

from typing import Any

from kedro.framework.hooks import hook_impl

from mopo_pipeline.errors import InputError
from mopo_pipeline.hooks.guard import one_line
from mopo_pipeline.parameters.engine import EngineParams
from mopo_pipeline.pipelines.stage import drawing

POLICY = "policy"
"""Dataset no endpoint serves before a run has made it."""


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

        there = POLICY not in pipeline.all_outputs() or bool(run_params.get("only_missing_outputs"))
        for node, place in drawing(pipeline.nodes):
            engine = _engine_at(self._parameters, place)
            if engine is None:
                continue
            try:
                check_engine(engine, place, served=there or POLICY not in node.inputs)
            except InputError as error:
                raise one_line(error) from None


def _engine_at(parameters: Any, place: str) -> EngineParams | None:
    """The engine named there; None where none is."""
    found = parameters
    for key in place.split("."):
        found = (found or {}).get(key)
    return None if found is None else EngineParams.model_validate(found)
