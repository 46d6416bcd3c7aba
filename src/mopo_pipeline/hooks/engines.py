"""What draws answers is asked whether it can, before a run computes anything."""

from typing import Any

from kedro.framework.hooks import hook_impl

from mopo_pipeline.errors import InputError
from mopo_pipeline.hooks.guard import one_line
from mopo_pipeline.parameters.engine import RAY, VLLM, EngineParams
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
                if POLICY in node.inputs and engine.kind in (VLLM, RAY):
                    _check_rank(self._parameters)
                check_engine(engine, place, served=there or POLICY not in node.inputs)
            except InputError as error:
                raise one_line(error) from None


def _check_rank(parameters: Any) -> None:
    """Refuse to train an adapter that vLLM could not draw with.

    Raises:
        InputError: names the parameter.
    """
    from mopo_pipeline.language.engines.vllm_arguments import room_for

    rank = ((parameters.get("train") or {}).get("lora") or {}).get("r")
    if rank is not None:
        room_for(rank, "train.lora.r")


def _engine_at(parameters: Any, place: str) -> EngineParams | None:
    """The engine named there; None where none is."""
    found = parameters
    for key in place.split("."):
        found = (found or {}).get(key)
    return None if found is None else EngineParams.model_validate(found)
