"""Who carries out a sweep's runs is asked whether it can, before a run computes anything."""

from typing import Any

from kedro.framework.hooks import hook_impl

from mopo_pipeline.errors import InputError
from mopo_pipeline.hooks.guard import one_line
from mopo_pipeline.parameters.executor import ExecutorParams
from mopo_pipeline.pipelines.stage import SWEEPS


class ExecutorHook:
    """Stops a sweep whose runs nobody could carry out once it got there."""

    def __init__(self) -> None:
        self._executor = ExecutorParams()

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Remember the executor."""
        front = context.config_loader["parameters"].get("front", {})
        self._executor = ExecutorParams.model_validate(front.get("executor", {}))

    @hook_impl
    def before_pipeline_run(self, pipeline: Any) -> None:
        """Check it where the run sweeps.

        Raises:
            InputError: it cannot serve; says what is missing.
        """
        if not pipeline.only_nodes_with_tags(SWEEPS).nodes:
            return
        from mopo_pipeline.fronts.executors.choose import check_executor

        try:
            check_executor(self._executor)
        except InputError as error:
            raise one_line(error) from None
