"""Nodes of the plan stage that join rooms."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.parameters.report import ReportParams
from mopo_pipeline.parameters.train import TrainParams

if TYPE_CHECKING:
    from mopo_pipeline.plan.training_plan import TrainingPlan

BEFORE_TRAINING = frozenset({"ingest", "preferences", "plan"})
"""Stages of a run that ends with its plan."""


def foresee_certificate(
    responses: pd.DataFrame,
    win_rates: pd.DataFrame,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    training_plan: "TrainingPlan",
    row_weights: pd.DataFrame,
    train: TrainParams,
    evaluate: EvaluateParams,
) -> dict[str, Any]:
    """How wide the certificate will be with the test prompts at hand; an artifact of its own, so that training rests on none of it."""
    import numpy as np

    from mopo_pipeline.plan.power import certificate_power, tell
    from mopo_pipeline.plan.problem import row_comparisons
    from mopo_pipeline.plan.spread import label_spread, moved_weights
    from mopo_pipeline.sampling_units import drawn_as, sampling_units, units_of_test_split

    units = sampling_units(responses)
    test = responses.loc[responses["split"] == "test", "prompt_id"].unique()
    names, enumerated = training_plan.objectives, responses["source"].iloc[0] == "pocket"
    moved = moved_weights(row_weights, train.lag, train.fit.over(len(row_weights)).steps)
    held = comparisons.loc[comparisons["split"] == "test", list(names)]
    labelled, carried, asked = None, None, units_of_test_split(responses, evaluate.sampling.prompts)
    if not enumerated and held.notna().any().all():
        compared = row_comparisons(
            moved[["prompt_id", "response_id", "unit"]], comparisons, predictions, names
        )
        if compared is not None and compared.predicted is not None:
            labelled = label_spread(win_rates, moved, compared, names, evaluate.max_ratio)
            drawn = comparisons.loc[held.index, "prompt_id"].map(units)
            carried = np.array([drawn.loc[held[name].notna()].nunique() for name in names])
            asked = int(drawn.loc[held.notna().any(axis=1)].nunique())
    power = certificate_power(
        win_rates,
        moved,
        training_plan,
        prompts=asked,
        answers=None if enumerated else evaluate.sampling.samples,
        confidence=evaluate.confidence,
        labelled=labelled,
        carried=carried,
        drawn=drawn_as(len(test), units.loc[test].nunique()),
    )
    tell(power)
    return power


def tabulate_plan(
    win_rates: pd.DataFrame,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    training_plan: "TrainingPlan",
    certificate_power: dict[str, Any],
    task: TaskParams,
    params: PlanParams,
) -> dict[str, Any]:
    """What was asked, what can be had and at what price; an artifact of its own, so that training rests on none of it."""
    from mopo_pipeline.mopo import lowered_alone, raised_alone, without_thresholds
    from mopo_pipeline.plan.posed import pose
    from mopo_pipeline.progress import progress_bar
    from mopo_pipeline.reporting.plan_table import plan_table

    plan = training_plan
    posed = pose(win_rates, comparisons, predictions, task, params)
    solved = plan.of_constrained(plan.targets), plan.of_constrained(plan.multipliers)
    highest = [plan.attainable[name][1] for name in plan.constrained]
    with progress_bar() as progress:
        bar = progress.add_task("plans at other thresholds", total=3)
        raised = raised_alone(posed.values, *solved, highest, **posed.given)
        progress.advance(bar)
        lowered = lowered_alone(posed.values, *solved, **posed.given)
        progress.advance(bar)
        free = without_thresholds(posed.values, **posed.given)
        progress.advance(bar)
    left_out = [o.name for o in task.objectives[1:] if o.threshold is None]
    proposed = [name for name in left_out if name not in params.thresholds]
    return plan_table(plan, raised, proposed, certificate_power, lowered=lowered, free=free)


def print_plan(plan_table: dict[str, Any], params: ReportParams) -> None:
    """The table that a plan ends with, and where it ends a run how to go on."""
    from mopo_pipeline.reporting.plan_table import print_plan_table

    alone = set(params.stages) <= BEFORE_TRAINING and params.command
    go_on = "--from-nodes=train.train_policy" if params.trained else "--only-missing-outputs"
    print_plan_table(plan_table, f"{params.command} {go_on}" if alone else "")
