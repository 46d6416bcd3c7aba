"""What a sweep stands on is looked for before a run computes anything: who carries out its runs, and its rivals' libraries."""

from typing import Any

from kedro.framework.hooks import hook_impl

from mopo_pipeline.errors import InputError
from mopo_pipeline.hooks.guard import one_line
from mopo_pipeline.parameters.executor import ExecutorParams
from mopo_pipeline.pipelines.stage import SWEEPS, TRAINS_RIVALS


class ExecutorHook:
    """Stops a sweep that could not be carried out once it got there."""

    def __init__(self) -> None:
        self._front: dict[str, Any] = {}

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Remember what is swept, and by whom."""
        self._front = context.config_loader["parameters"].get("front", {})

    @hook_impl
    def before_pipeline_run(self, pipeline: Any) -> None:
        """Check what the run will need.

        Raises:
            InputError: something is missing; says what.
        """
        try:
            if pipeline.only_nodes_with_tags(TRAINS_RIVALS).nodes:
                from mopo_pipeline.baselines.registry import check_rivals

                check_rivals(self._front.get("methods", ()))
            if pipeline.only_nodes_with_tags(SWEEPS).nodes:
                from mopo_pipeline.fronts.executors.choose import check_executor

                check_executor(ExecutorParams.model_validate(self._front.get("executor", {})))
        except InputError as error:
            raise one_line(error) from None
