"""Thresholds as users give them: numbers, positions, overrides, and the ones nothing can meet."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.base import ObjectiveParams, Position, TaskParams
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.planning import UnreachableThresholdsError, make_plan, resolve_thresholds

NAMES = ["good", "safe", "short"]
ATTAINABLE = np.array([[0.2, 0.9], [0.3, 0.7], [0.1, 0.6]])


def objectives(safe: Any = 0.5, short: Any = 0.45) -> tuple[ObjectiveParams, ...]:
    return (
        ObjectiveParams(name="good"),
        ObjectiveParams(name="safe", threshold=safe),
        ObjectiveParams(name="short", threshold=short),
    )


def test_numbers_stay_and_positions_lie_in_their_own_attainable_range() -> None:
    given = objectives(safe=Position(position=0.25), short=0.45)
    np.testing.assert_allclose(resolve_thresholds(given, {}, ATTAINABLE), [0.4, 0.45])


def test_an_override_replaces_the_threshold_of_its_name_alone() -> None:
    found = resolve_thresholds(objectives(), {"short": 0.2}, ATTAINABLE)
    np.testing.assert_allclose(found, [0.5, 0.2])


@pytest.mark.parametrize("name", ["good", "shrot"])
def test_an_override_of_no_constrained_objective_is_named(name: str) -> None:
    with pytest.raises(InputError, match=rf"\['{name}'\], but the constrained objectives are"):
        resolve_thresholds(objectives(), {name: 0.2}, ATTAINABLE)


def planned(safe: float, split: str = "train") -> tuple[dict[str, Any], pd.DataFrame]:
    """A plan on eight prompts whose answers trade one objective for another, without labels."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.uniform(0.1, 0.9, (160, 3)), columns=NAMES)
    rows["safe"] = 1 - rows["good"]
    rows["prompt_id"] = np.repeat([f"p{i}" for i in range(8)], 20)
    rows["response_id"] = [f"r{i}" for i in range(160)]
    pairs = pd.DataFrame(columns=["prompt_id", "response_a", "response_b", *NAMES, "weight"])
    task = TaskParams(objectives=objectives(safe=safe, short=0.3))
    return make_plan(rows.assign(split=split), pairs, pairs[NAMES], task, PlanParams(tau=0.1))


def test_a_plan_names_every_objective_in_every_part() -> None:
    plan, weights = planned(0.55)
    assert plan["objectives"] == NAMES
    assert set(plan["values"]) == set(plan["attainable"]) == set(NAMES)
    for part in ("thresholds", "bounds", "multipliers", "status"):
        assert list(plan[part]) == NAMES[1:]
    assert plan["values"]["safe"] >= 0.55 - 1e-6
    assert weights["weight"].mean() == pytest.approx(1.0)


def test_thresholds_out_of_reach_are_refused_with_the_nearest_that_work() -> None:
    with pytest.raises(UnreachableThresholdsError) as caught:
        planned(0.97)
    said = str(caught.value)
    assert "asked for safe 0.970, short 0.300" in said
    assert "--params plan.thresholds.safe=0." in said
    nearest = float(said.split("plan.thresholds.safe=")[1].split(",", maxsplit=1)[0])
    plan, _ = planned(nearest - 0.01)
    assert plan["thresholds"]["safe"] == pytest.approx(nearest - 0.01)


def test_a_training_split_without_responses_is_named() -> None:
    with pytest.raises(InputError, match="training split holds no responses"):
        planned(0.5, split="test")
