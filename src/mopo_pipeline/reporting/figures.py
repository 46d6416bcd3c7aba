"""Every figure of a run, by name."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.reporting import fronts, preferences, training

NAMES = ("value", "front", "training", "multiplier", "calibration", "agreement")


def draw_figures(
    objective_values: pd.DataFrame,
    plan: TrainingPlan,
    exact: dict[str, Any],
    training_log: pd.DataFrame,
    reference_log: pd.DataFrame,
    preference_model_metrics: dict[str, Any],
    agreement_matrix: pd.DataFrame,
    estimator: str | None,
) -> dict[str, Figure]:
    """Figures by the names in ``NAMES``, in their order; matplotlib objects without pyplot.

    Each is laid out once, here, not again whenever it is saved. ``estimator`` is the one that is
    believed.
    """
    objectives = plan.objectives
    drawn = {
        "value": fronts.value_figure(objective_values, plan, exact),
        "front": fronts.front_figure(objective_values, plan, exact, estimator),
        "training": training.training_figure(training_log, reference_log),
        "multiplier": training.multiplier_figure(training_log, plan),
        "calibration": preferences.calibration_figure(preference_model_metrics, objectives),
        "agreement": preferences.agreement_figure(agreement_matrix, objectives),
    }
    for figure in drawn.values():
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return drawn
