"""Every figure of a run, by name."""

from typing import Any

import pandas as pd

from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.reporting import fronts, preferences, training, values
from mopo_pipeline.reporting.style import png


def draw_figures(
    objective_values: pd.DataFrame,
    plan: TrainingPlan,
    exact: dict[str, Any],
    training_log: pd.DataFrame,
    reference_log: pd.DataFrame,
    preference_model_metrics: dict[str, Any],
    agreement_matrix: pd.DataFrame,
    evaluation: dict[str, Any],
) -> dict[str, bytes]:
    """Pictures (PNG) by name, each drawn once: the page shows the files that are kept.

    ``evaluation`` says which estimator is believed.
    """
    objectives = plan.objectives
    drawn = {
        "value": values.value_figure(objective_values, plan, exact),
        "front": fronts.front_figure(objective_values, plan, exact, evaluation["estimator"]),
        "training": training.training_figure(training_log, reference_log),
        "validation": training.validation_figure(training_log, plan),
        "multiplier": training.multiplier_figure(training_log, plan),
        "calibration": preferences.calibration_figure(preference_model_metrics, objectives),
        "agreement": preferences.agreement_figure(agreement_matrix, objectives),
    }
    return {name: png(figure) for name, figure in drawn.items()}
