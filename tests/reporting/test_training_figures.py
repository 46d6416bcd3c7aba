"""The page shows what validation prompts said while the policy was trained."""

import numpy as np
import pandas as pd

from evaluated import PLAN
from mopo_pipeline.reporting.training import validation_figure

LOG = pd.DataFrame(
    {"step": [20, 40, 60, 80]}
    | {
        f"{key}_{name}": value
        for name in PLAN.objectives
        for key, value in {
            "validation": [np.nan, 0.5, np.nan, 0.55],
            "validation_se": [np.nan, 0.01, np.nan, 0.01],
            "required": [np.nan, 0.52, np.nan, 0.53],
            "threshold": 0.5,
            "raised": [0.0, 0.0, 0.02, 0.02],
        }.items()
    }
).rename(columns={f"validation_se_{name}": f"validation_{name}_se" for name in PLAN.objectives})


def test_looks_stand_with_their_intervals_beside_what_was_asked_and_aimed_at() -> None:
    figure = validation_figure(LOG, PLAN)
    assert [axis.get_title(loc="left") for axis in figure.axes] == list(PLAN.objectives)
    help_, harm, _ = figure.axes
    drawn = {line.get_label(): line for line in harm.lines}
    assert {"threshold", "wanted, for a certificate", "aimed at by labels"} <= set(drawn)
    for name, expected in {
        "aimed at by labels": [0.5, 0.5, 0.52, 0.52],
        "wanted, for a certificate": [0.52, 0.53],
    }.items():
        np.testing.assert_allclose(np.asarray(drawn[name].get_ydata(), float), expected)
    assert "threshold" not in [line.get_label() for line in help_.lines]
    [bars] = harm.containers
    (_, (low, high), _) = bars
    ends = [np.asarray(cap.get_ydata(), dtype=float) for cap in (low, high)]
    np.testing.assert_allclose(ends[1] - ends[0], 2 * 1.96 * 0.01)


def test_a_run_without_looks_says_so() -> None:
    figure = validation_figure(LOG[["step"]], PLAN)
    assert "not looked at" in figure.axes[0].texts[0].get_text()
