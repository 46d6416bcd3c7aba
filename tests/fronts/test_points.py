"""A front's points before training: placed, named, skipped where there is a reason."""

import numpy as np
import pandas as pd
import pytest

from conftest import without_nearest
from mopo_pipeline.fronts.points import plan_front
from mopo_pipeline.fronts.tree import starts_of
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.front import FrontParams
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.plan.make import make_plan

NAMES = ("help", "harm", "brief")
PLAN = PlanParams(tau=0.1, confidence=0.5)


def task(*names: str) -> TaskParams:
    objectives = [{"name": n} | ({"threshold": 0.4} if k else {}) for k, n in enumerate(names)]
    return TaskParams.model_validate({"objectives": objectives})


def front(**given: object) -> FrontParams:
    return FrontParams.model_validate({"data_root": ".", **given})


@pytest.fixture(scope="module")
def data() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Win rates of 15 prompts of 8 answers; no labels, so that plans promise values without a bound."""
    rng = np.random.default_rng(3)
    table = rng.uniform(0.1, 0.9, (120, 3))
    table[:, 1] = 0.8 * (1.0 - table[:, 0]) + 0.2 * table[:, 1]
    ids = [f"r{i}" for i in range(120)]
    rows = pd.DataFrame(table, columns=list(NAMES)).assign(
        prompt_id=np.repeat(np.arange(15), 8),
        unit=np.repeat(np.arange(15), 8),
        response_id=ids,
        split="train",
    )
    columns = ["prompt_id", "response_a", "response_b", "split", *NAMES]
    none = pd.DataFrame({name: pd.Series(dtype=float) for name in columns})
    return rows, none, none[list(NAMES)]


@pytest.mark.slow
def test_a_grid_has_as_many_points_as_fit_and_all_can_be_met(data: tuple) -> None:
    found = plan_front(*data, task(*NAMES), PLAN, front(points=9))
    assert [p["status"] for p in found["points"]] == ["planned"] * 9
    for point in found["points"]:
        for name, threshold in point["thresholds"].items():
            assert point["bounds"][name] >= threshold - 1e-6
    eight = plan_front(*data, task(*NAMES), PLAN, front(points=8))
    assert len(eight["points"]) == 4


@pytest.mark.slow
def test_a_point_is_the_plan_that_its_own_run_will_make(data: tuple) -> None:
    found = plan_front(*data, task(*NAMES), PLAN, front(points=4))
    for point in found["points"]:
        own = PLAN.model_copy(update={"thresholds": point["thresholds"]})
        plan, _ = make_plan(*data, task(*NAMES), own)
        assert plan.multipliers == pytest.approx(point["multipliers"], abs=1e-6)
        assert plan.values == pytest.approx(point["values"], abs=1e-6)


@pytest.mark.slow
def test_points_out_of_reach_or_alike_are_skipped_by_name(
    data: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_nearest(monkeypatch)
    given = [{"harm": 0.45, "brief": 0.45}, {"harm": 0.95, "brief": 0.95}, {"harm": 0.4502, "brief": 0.45},
             {"harm": 0.95, "brief": 0.95}, {"harm": 0.02}, {"harm": 0.01}]  # fmt: skip
    found = plan_front(*data, task(*NAMES), PLAN, front(thresholds=given))
    first, far, partial, twin = found["points"]
    assert first["status"] == partial["status"] == "planned"
    assert far["status"] == "skipped"
    assert "thresholds out of reach" in far["reason"]
    assert "asked for harm 0.950, brief 0.950" in far["reason"]
    assert twin["reason"] == "the same plan as harm=0.020,brief=0.400"
    assert partial["point"] == "harm=0.020,brief=0.400"
    assert found["findings"] == []
    assert {p["start"] for p in (first, partial)} >= {None}


def test_a_grid_with_room_for_one_point_says_what_two_positions_take(
    data: tuple, capsys: pytest.CaptureFixture[str]
) -> None:
    found = plan_front(*data, task(*NAMES), PLAN, front(points=3))
    assert len(found["points"]) == 1
    [told] = found["findings"]
    assert (told["name"], told["value"], told["limit"]) == ("a grid of one point", 3.0, 4.0)
    assert "raise front.points to that" in told["remedy"]
    assert "plans of the front" in capsys.readouterr().out


def test_one_objective_has_no_front_and_says_so(data: tuple) -> None:
    found = plan_front(*data, task("help"), PLAN, front())
    assert found["points"] == []
    assert [f["name"] for f in found["findings"]] == ["no front"]


def test_every_point_starts_from_the_nearest_of_those_before_it() -> None:
    values = np.random.default_rng(0).uniform(size=(12, 3))
    starts = starts_of(values)
    middle = starts.index(None)
    assert starts.count(None) == 1
    assert middle == np.linalg.norm(values[:, None] - values[None], axis=2).sum(axis=1).argmin()
    for point in range(12):
        way = [point]
        while (before := starts[way[-1]]) is not None:
            assert before not in way
            way.append(before)
        assert way[-1] == middle
    edges = [(i, s) for i, s in enumerate(starts) if s is not None]
    length = sum(np.linalg.norm(values[i] - values[s]) for i, s in edges)
    from scipy.sparse.csgraph import minimum_spanning_tree
    from scipy.spatial.distance import cdist

    assert length == pytest.approx(minimum_spanning_tree(cdist(values, values)).sum())


def test_a_threshold_that_neither_point_nor_task_names_is_the_plan_s_proposal(data: tuple) -> None:
    open_task = TaskParams.model_validate({"objectives": [{"name": n} for n in NAMES]})
    [point] = plan_front(*data, open_task, PLAN, front(thresholds=({"harm": 0.3},)))["points"]
    plan, _ = make_plan(*data, open_task, PLAN.model_copy(update={"thresholds": {"harm": 0.3}}))
    assert point["status"] == "planned"
    assert point["thresholds"] == pytest.approx(plan.thresholds, abs=5e-4)
