"""Ablations drawn: how variants moved, and where the method is stable."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.reporting.ablation import (
    HELD,
    LOG,
    MARKS,
    MISSED,
    STOPPED,
    UNASKED,
    ablation_page,
    draw_ablation,
    endings,
    least_margin,
    stability_figure,
    trajectory_figure,
)
from mopo_pipeline.reporting.picture import Picture

NAMES = ("help", "harm", "short")
SETTINGS = ("plan.tau=0.1,train.lag=fresh+0.9", "plan.tau=1.0,train.lag=fresh+0.9", "plan.tau=9")
TRAINING = pd.DataFrame(
    {
        "step": [20, 40, 60],
        "multiplier_harm": [0.1, 0.2, 0.3],
        "multiplier_short": [0.0, 0.0, 0.0],
        "kl_to_reference": [np.nan, 0.5, 1.0],
    }
)


@pytest.fixture
def points() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "method": ["tau", "tau", "lag", "reference"],
            "point": [*SETTINGS, "reference"],
            "status": ["done", "done", "failed", "done"],
            "value_harm": [0.5, 0.6, np.nan, 0.5],
            "threshold_harm": [0.45, 0.5, 0.5, np.nan],
            "value_short": [0.6, 0.3, np.nan, 0.5],
            "threshold_short": [0.4, 0.35, 0.4, np.nan],
        }
    )


def test_a_variant_holds_what_the_threshold_nearest_to_being_missed_holds(
    points: pd.DataFrame,
) -> None:
    margin = least_margin(points, NAMES)
    np.testing.assert_allclose(margin, [0.05, -0.05, np.nan, np.nan])
    assert endings(points, margin)[:3] == [HELD, MISSED, STOPPED]


def test_a_policy_of_which_nothing_was_asked_holds_nothing(points: pd.DataFrame) -> None:
    unasked = points.iloc[:1].assign(threshold_short=np.nan)
    assert endings(unasked, least_margin(unasked, NAMES)) == [UNASKED]
    alone = least_margin(points, NAMES[:1])
    assert endings(points, alone)[:3] == [UNASKED, UNASKED, STOPPED]


def test_every_variant_stands_in_its_sweep_with_a_mark_for_how_it_ended(
    points: pd.DataFrame,
) -> None:
    tau, lag = stability_figure(points, NAMES).axes
    assert [axis.get_title(loc="left") for axis in (tau, lag)] == ["tau", "lag"]
    assert [bar.get_height() for bar in tau.patches] == pytest.approx([0.05, -0.05])
    assert [t.get_text() for t in tau.texts] == [MARKS[HELD], MARKS[MISSED]]
    assert [t.get_text() for t in lag.texts] == [MARKS[STOPPED]]
    said = [t.get_text() for t in tau.get_xticklabels()]
    assert said == ["tau=0.1, lag=fresh+0.9", "tau=1.0, lag=fresh+0.9"]


def test_the_title_of_a_single_sweep_is_not_cut(points: pd.DataFrame) -> None:
    figure = stability_figure(points.iloc[:2], NAMES)
    FigureCanvasAgg(figure).draw()
    title = figure._suptitle  # type: ignore[attr-defined]
    assert title.get_window_extent().x1 <= figure.bbox.x1


def test_each_sweep_has_a_row_with_a_line_per_variant() -> None:
    logs = {f"tau/{s}": TRAINING for s in SETTINGS[:2]} | {f"lag/{SETTINGS[2]}": TRAINING}
    axes = trajectory_figure(logs, NAMES).axes
    assert len(axes) == 2 * 3
    assert [len(axis.lines) for axis in axes] == [2, 2, 2, 1, 1, 1]
    np.testing.assert_allclose(np.asarray(axes[0].lines[0].get_ydata(), float), [0.1, 0.2, 0.3])
    assert np.asarray(axes[2].lines[0].get_xdata()).tolist() == [40, 60]


def test_a_sweep_that_left_nothing_says_so(points: pd.DataFrame) -> None:
    for figure in (
        trajectory_figure({}, NAMES),
        stability_figure(points.loc[points["method"] == "reference"], NAMES),
    ):
        assert figure.axes[0].texts[0].get_text().startswith("No variant")


def test_the_page_shows_every_variant_with_its_end_and_loads_nothing(points: pd.DataFrame) -> None:
    table = points.assign(value_help=0.7, kl=1.5, reason=["", "", "multiplier <360>", ""])
    task = TaskParams.model_validate({"objectives": [{"name": name} for name in NAMES]})
    first, second = (Picture(f"<svg>{name}</svg>", b"") for name in ("first", "second"))
    html = ablation_page(table, first, second, task)
    assert "<svg>first</svg>" in html and "<svg>second</svg>" in html
    assert "http" not in html
    text = " ".join(re.sub(r"<style>.*?</style>|<[^>]*>", " ", html, flags=re.S).split())
    assert "tau tau=0.1, lag=fresh+0.9 held 0.700 0.500 of 0.450 0.600 of 0.400 1.500" in text
    assert "lag tau=9 stopped: multiplier &lt;360&gt; 0.700 of 0.500 of 0.400" in text
    assert "reference reference 0.700 0.500 0.500 1.500" in text
    assert "well formed" not in text
    seen = ablation_page(table.assign(well_formed=[0.982, 0.0, np.nan, 1.0]), first, second, task)
    text = " ".join(re.sub(r"<style>.*?</style>|<[^>]*>", " ", seen, flags=re.S).split())
    assert "KL well formed" in text and "Malformed answers are worth nothing" in text
    assert "0.600 of 0.400 1.500 98.2% tau" in text
    assert "0.350 1.500 0.0% lag" in text


def test_logs_are_taken_from_the_runs_that_left_one(tmp_path: Path, points: pd.DataFrame) -> None:
    (tmp_path / LOG).parent.mkdir()
    TRAINING.to_parquet(tmp_path / LOG)
    runs = {f"tau/{SETTINGS[0]}": {"folder": str(tmp_path)}, "lag/x": {"folder": "nowhere"}}
    task = TaskParams.model_validate({"objectives": [{"name": name} for name in NAMES]})
    drawn = draw_ablation(points, runs, task)
    assert set(drawn) == {"trajectories", "stability"}
    assert all(picture.png.startswith(b"\x89PNG") for picture in drawn.values())
