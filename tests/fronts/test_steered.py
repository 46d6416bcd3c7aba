"""A steerable policy beside a front: asked for every point's thresholds, paid for once."""

from pathlib import Path

import pandas as pd
import pytest

from mopo_pipeline.fronts.steered import steered_candidates
from mopo_pipeline.mopo.errors import TrainingStoppedError
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.parameters.steerable import SteerableParams
from mopo_pipeline.parameters.train import TrainParams
from mopo_pipeline.policies.valued import Budget
from mopo_pipeline.steerable.policy import Point, Steerable
from mopo_pipeline.steerable.train import Given

PLAN = {"points": [
    {"point": "harm=0.300", "thresholds": {"harm": 0.3}, "status": "planned", "multipliers": {"harm": 0.1}},
    {"point": "harm=0.500", "thresholds": {"harm": 0.5}, "status": "planned", "multipliers": {"harm": 0.4}},
    {"point": "harm=0.990", "thresholds": {"harm": 0.99}, "status": "skipped", "multipliers": {}},
]}  # fmt: skip
TASK = TaskParams.model_validate({"objectives": [{"name": "help"}, {"name": "harm"}]})
GIVEN = Given.of(
    PLAN,
    (pd.DataFrame(), pd.DataFrame(), pd.DataFrame({"context": [9]})),
    (Path("reference"), Path("judge")),
    (TASK, PlanParams(tau=0.1), TrainParams(work_dir=Path("w"))),
)
POINTS = (
    Point((0,), (0.0,), (0.8, 0.2), (0.2,)),
    Point((1,), (0.6,), (0.6, 0.4), (0.4,)),
)


def test_what_it_is_made_from_is_what_the_artifacts_say() -> None:
    assert (GIVEN.context, GIVEN.reference, GIVEN.preference_model) == (
        9,
        Path("reference"),
        Path("judge"),
    )
    assert GIVEN.multipliers.tolist() == [[0.1], [0.4]]


def test_every_planned_point_is_asked_of_one_policy_that_is_paid_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Steerable(Path("p"), TASK.names, POINTS, Budget(sequences=50))
    monkeypatch.setattr("mopo_pipeline.fronts.steered.steerable_policy", lambda *_: made)
    first, second = steered_candidates(GIVEN, PLAN, SteerableParams(), 512)
    assert {(c.method, c.kind, c.status) for c in (first, second)} == {
        ("steerable", "steered", "done")
    }
    assert [c.point for c in (first, second)] == ["harm=0.300", "harm=0.500"]
    assert [c.spent.sequences for c in (first, second)] == [50, 0]
    assert first.planned == {"threshold_harm": 0.3}
    assert first.hyperparameters["words"] == ["<harm:0>", "<harm:1>"]
    assert second.hyperparameters["words"] == ["<harm:1>"], "the nearest it can hold"


def test_a_policy_that_diverged_leaves_a_failed_point_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def diverged(*_: object) -> None:
        raise TrainingStoppedError("the loss became nan")

    monkeypatch.setattr("mopo_pipeline.fronts.steered.steerable_policy", diverged)
    found = steered_candidates(GIVEN, PLAN, SteerableParams(), 512)
    assert [(c.status, c.reason, c.policy) for c in found] == [
        ("failed", "the loss became nan", None)
    ] * 2


def test_a_front_without_plans_has_no_steerable_points() -> None:
    assert steered_candidates(GIVEN, {"points": PLAN["points"][2:]}, SteerableParams(), 512) == []
