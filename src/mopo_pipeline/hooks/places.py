"""Models, files and tools that a run needs later are looked for before it computes anything."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl

from mopo_pipeline.errors import InputError
from mopo_pipeline.hooks.guard import one_line
from mopo_pipeline.hooks.paths import BY_NAME, JUDGES, LOGIT, NO_MODEL, names_model
from mopo_pipeline.language.kinds import check_kind
from mopo_pipeline.language.places import check_model, check_on_hub
from mopo_pipeline.parameters.evaluate import CapabilityParams
from mopo_pipeline.pipelines.stage import has_effect, reads

SERVED = "endpoint"
"""A table whose model is a server's, known to it alone."""

WRITES = ("model", "policy", "start")
"""Last keys of models that write from left to right; encoders and reward models do not."""

TARGETS = "target_modules"
"""Layers that adapters are put on, by name."""

TASKS = ("evaluate", "capability", "tasks")
"""Tasks of the evaluation harness."""


class PlacesHook:
    """Stops a run that would miss something once it got there."""

    def __init__(self) -> None:
        self._parameters: dict[str, Any] = {}

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Remember the parameters."""
        self._parameters = context.config_loader["parameters"]

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Any, catalog: Any) -> None:
        """Look for what the nodes of the run read by name; those whose outputs are there and stay read nothing.

        Raises:
            InputError: something is not there; names the parameter.
        """
        stay = bool(run_params.get("only_missing_outputs"))
        nodes = [
            node
            for node in pipeline.nodes
            if not (stay and node.outputs and all(map(catalog.exists, node.outputs)))
        ]
        for parts, value in _flat(self._parameters):
            group = f"params:{parts[0]}"
            if any(
                group in n.inputs and has_effect(n, group) and reads(n, ".".join(parts))
                for n in nodes
            ):
                try:
                    self._check(parts, value)
                except InputError as error:
                    raise one_line(error) from None

    def _check(self, parts: tuple[str, ...], value: Any) -> None:
        where = ".".join(parts)
        if BY_NAME in parts[:-1]:
            from mopo_pipeline.evaluation.prompt_sets import read_prompts

            read_prompts(Path(value), where)
        elif parts == TASKS and value:
            from mopo_pipeline.evaluation.benchmarks import known_tasks

            known_tasks(CapabilityParams.model_validate(self._parameters["evaluate"]["capability"]))
        elif parts[-1] == TARGETS and isinstance(value, list):
            from mopo_pipeline.language.adapters import check_targets_of

            check_targets_of(Path(str(self._parameters["reference"]["model"])), value)
        elif parts[-1] in JUDGES and ":" in str(value):
            from mopo_pipeline.judges.named import check_importable

            check_importable(value, where)
        elif names_model(parts) and isinstance(value, str) and SERVED not in parts:
            from mopo_pipeline.judges.hub import REWARD_MODELS

            if value == NO_MODEL:
                return
            known = REWARD_MODELS.get(value)
            model = known.model if known else value.partition(LOGIT)[0]
            check_model(model, where)
            if parts[-1] in WRITES:
                check_kind(model)
            check_on_hub(model, where)


def _flat(value: Any, parts: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every parameter that is no table, with its keys."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, (*parts, str(key)))
    elif parts:
        yield parts, value
