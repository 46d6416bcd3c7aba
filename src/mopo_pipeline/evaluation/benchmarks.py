"""Tasks of the language-model evaluation harness, on both models alike."""

import logging
import math
from pathlib import Path
from typing import Any, TypeGuard

from scipy.special import ndtri

from mopo_pipeline.errors import InputError
from mopo_pipeline.evaluation.capability import POLICIES
from mopo_pipeline.parameters.evaluate import CapabilityParams

log = logging.getLogger(__name__)

SIDE = "_stderr"
"""In the name of a metric's standard error."""


def benchmark_rows(
    models: dict[str, Path], params: CapabilityParams, batch_size: int, confidence: float
) -> list[dict[str, Any]]:
    """Every metric of every task for both models, in the form of ``capability_rows``.

    The change's interval takes the two models' errors for independent, which is wider than the truth: both see the same
    questions. Code of a model or of a task from elsewhere is never run.

    Args:
        models: directories of ``reference`` and ``policy``.
        params: tasks by name, where their files lie, questions per task at most.
        batch_size: sequences at once.
        confidence: of the intervals, two-sided.

    Raises:
        InputError: see ``known_tasks``.
    """
    if not params.tasks:
        return []
    manager = known_tasks(params)
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    from mopo_pipeline.language.loading import load_model

    found = {}
    for name in POLICIES:
        model, tokenizer = load_model(models[name])
        log.info("%s on %s", name, ", ".join(params.tasks))
        harnessed = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)
        found[name] = simple_evaluate(
            model=harnessed,
            tasks=list(params.tasks),
            limit=params.limit,
            task_manager=manager,
            log_samples=False,
            confirm_run_unsafe_code=False,
        )["results"]
    return compared(found["reference"], found["policy"], confidence)


def known_tasks(params: CapabilityParams) -> Any:
    """The harness's ``TaskManager``, which knows every task that is named.

    Raises:
        InputError: the harness is not installed, the folder of tasks is not there, or a task is unknown.
    """
    if params.task_folder is not None and not params.task_folder.is_dir():
        raise InputError(
            f"evaluate.capability.task_folder: there is no folder {params.task_folder}"
        )
    try:
        from lm_eval.tasks import TaskManager
    except ModuleNotFoundError as error:
        raise InputError(
            f"evaluate.capability.tasks needs {error.name}, which is not installed: pip install 'mopo_pipeline[lm_eval]', "
            "or leave the tasks out"
        ) from error
    manager = TaskManager(
        include_path=None if params.task_folder is None else str(params.task_folder)
    )
    if unknown := [task for task in params.tasks if not manager.match_tasks([task])]:
        raise InputError(
            f"evaluate.capability.tasks: the harness knows no task {unknown[0]!r}; set "
            "evaluate.capability.task_folder where its file lies elsewhere"
        )
    return manager


def compared(
    reference: dict[str, dict[str, Any]], policy: dict[str, dict[str, Any]], confidence: float
) -> list[dict[str, Any]]:
    """Metrics that both have, with intervals from the harness's standard errors.

    >>> acc = {"alias": "t", "acc,none": 0.5, "acc_stderr,none": 0.1}
    >>> [row] = compared({"t": acc}, {"t": acc | {"acc,none": 0.75}}, 0.95)
    >>> row["measure"], row["change"]["value"], round(row["change"]["high"], 3)
    ('t acc', 0.25, 0.527)
    """
    reach = float(ndtri(0.5 + confidence / 2.0))
    rows = []
    for task, metrics in reference.items():
        for key, value in metrics.items():
            other = policy.get(task, {}).get(key)
            if SIDE in key or not _number(value) or not _number(other):
                continue
            metric, _, kind = key.partition(",")
            errors = [_error(table.get(task, {}), metric, kind) for table in (reference, policy)]
            rows.append(
                {
                    "measure": f"{task} {metric}" + ("" if kind in ("", "none") else f" ({kind})"),
                    "unit": "by lm-eval",
                    "reference": _interval(float(value), errors[0], reach),
                    "policy": _interval(float(other), errors[1], reach),
                    "change": _interval(float(other) - float(value), math.hypot(*errors), reach),
                }
            )
    return rows


def _error(metrics: dict[str, Any], metric: str, kind: str) -> float:
    """Standard error of a metric; NaN where the harness gives none."""
    found = metrics.get(f"{metric}{SIDE},{kind}")
    return float(found) if _number(found) else math.nan


def _number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _interval(value: float, error: float, reach: float) -> dict[str, float | None]:
    known = math.isfinite(error)
    return {
        "value": value,
        "low": value - reach * error if known else None,
        "high": value + reach * error if known else None,
    }
