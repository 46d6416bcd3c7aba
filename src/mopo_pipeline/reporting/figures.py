"""Every figure of a run, by name."""

from functools import partial
from typing import Any

import pandas as pd

from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.progress import track
from mopo_pipeline.reporting import fronts, preferences, training, values
from mopo_pipeline.reporting.picture import Picture, drawn
from mopo_pipeline.reporting.style import NARROW


def draw_figures(
    objective_values: pd.DataFrame,
    plan: TrainingPlan,
    exact: dict[str, Any],
    training_log: pd.DataFrame,
    reference_log: pd.DataFrame,
    preference_model_metrics: dict[str, Any],
    agreement_matrix: pd.DataFrame,
    evaluation: dict[str, Any],
    plan_table: dict[str, Any],
) -> dict[str, Picture]:
    """Pictures by name, each drawn once for a screen and once for a telephone: the page shows what is kept.

    ``evaluation`` says which estimator is believed, ``plan_table`` what the data would give at other thresholds.
    """
    objectives, believed = plan.objectives, evaluation["estimator"]
    planned = {row["name"]: row["front"] for row in plan_table["objectives"]}
    made = {
        "value": (
            partial(values.value_figure, objective_values, plan, exact),
            values.value_alt(objective_values, plan, believed),
        ),
        "front": (
            partial(fronts.front_figure, objective_values, plan, exact, believed, planned),
            fronts.front_alt(objective_values, plan, believed, planned),
        ),
        "training": (
            partial(training.training_figure, training_log, reference_log),
            training.training_alt(training_log),
        ),
        "validation": (
            partial(training.validation_figure, training_log, plan),
            training.validation_alt(training_log, plan),
        ),
        "multiplier": (
            partial(training.multiplier_figure, training_log, plan),
            training.multiplier_alt(training_log, plan),
        ),
        "calibration": (
            partial(preferences.calibration_figure, preference_model_metrics, objectives),
            preferences.calibration_alt(preference_model_metrics, objectives),
        ),
        "agreement": (
            partial(preferences.agreement_figure, agreement_matrix, objectives),
            preferences.agreement_alt(agreement_matrix, objectives),
        ),
    }
    return {
        name: drawn(draw(), name, alt, draw(sheet=NARROW))
        for name, (draw, alt) in track(made.items(), "figures")
    }
