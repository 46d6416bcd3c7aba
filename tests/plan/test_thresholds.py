"""Thresholds as users give them: numbers, positions, overrides, and the ones nothing can meet."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mopo_pipeline.datasets import AtomicJSONDataset
from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import NotConvergedError, solve_dual
from mopo_pipeline.parameters.base import ObjectiveParams, Position, TaskParams
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.plan.make import make_plan
from mopo_pipeline.plan.problem import dual_problem
from mopo_pipeline.plan.thresholds import (
    UnreachableThresholdsError,
    resolve_thresholds,
    unsolved,
)
from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.tables import weight_columns

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


def planned(safe: float | None, split: str = "train") -> tuple[TrainingPlan, pd.DataFrame]:
    """A plan on eight prompts whose answers trade one objective for another, without labels."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.uniform(0.1, 0.9, (160, 3)), columns=NAMES)
    rows["safe"] = 1 - rows["good"]
    rows["prompt_id"] = np.repeat([f"p{i}" for i in range(8)], 20)
    rows["unit"] = rows["prompt_id"]
    rows["response_id"] = [f"r{i}" for i in range(160)]
    pairs = pd.DataFrame(columns=["prompt_id", "response_a", "response_b", *NAMES, "weight"])
    task = TaskParams(objectives=objectives(safe=safe, short=0.3))
    return make_plan(rows.assign(split=split), pairs, pairs[NAMES], task, PlanParams(tau=0.1))


def test_a_plan_names_every_objective_in_every_part() -> None:
    plan, weights = planned(0.55)
    assert plan.objectives == tuple(NAMES)
    assert set(plan.values) == set(plan.attainable) == set(NAMES)
    for part in ("thresholds", "bounds", "multipliers", "status"):
        assert list(getattr(plan, part)) == NAMES[1:]
    assert plan.values["safe"] >= 0.55 - 1e-6
    assert weights["weight"].mean() == pytest.approx(1.0)


@pytest.mark.slow
def test_thresholds_out_of_reach_are_refused_with_the_nearest_that_work() -> None:
    with pytest.raises(UnreachableThresholdsError) as caught:
        planned(0.97)
    said = str(caught.value)
    assert "asked for safe 0.970, short 0.300" in said
    assert "--params plan.thresholds.safe=0." in said
    nearest = float(said.split("plan.thresholds.safe=")[1].split(",", maxsplit=1)[0])
    plan, _ = planned(nearest - 0.01)
    assert plan.thresholds["safe"] == pytest.approx(nearest - 0.01)


def test_a_training_split_without_responses_is_named() -> None:
    with pytest.raises(InputError, match="training split holds no responses"):
        planned(0.5, split="test")


def labelled(seed: int = 0, prompts: int = 40, n: int = 6) -> tuple[pd.DataFrame, ...]:
    """Rated answers, all their pairs with labels, and a model's predictions of them."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(rng.uniform(0.2, 0.8, (prompts * n, 3)), columns=NAMES)
    rows["safe"] = 1 - rows["good"] + rng.normal(0, 0.05, len(rows))
    rows = rows.clip(0, 1).assign(split="train")
    rows["prompt_id"] = np.repeat([f"p{i}" for i in range(prompts)], n)
    rows["unit"] = rows["prompt_id"]
    rows["response_id"] = [f"r{i}" for i in range(len(rows))]
    pairs = [(x * n + i, x * n + j) for x in range(prompts) for i in range(n) for j in range(i)]
    first, second = np.array(pairs).T
    values = rows[NAMES].to_numpy()
    predicted = 0.5 + (values[first] - values[second]) / 2
    labels = (rng.random(predicted.shape) < predicted).astype(float)
    table = pd.DataFrame(
        {
            "response_a": rows["response_id"].to_numpy()[first],
            "response_b": rows["response_id"].to_numpy()[second],
        }
    ).assign(**dict(zip(NAMES, labels.T, strict=True)), **dict.fromkeys(weight_columns(NAMES), 1.0))
    return rows, table, pd.DataFrame(predicted, columns=NAMES)


def plan_with(params: PlanParams, predictions: bool = True, **given: Any) -> TrainingPlan:
    rows, pairs, predicted = labelled()
    task = TaskParams(objectives=objectives(safe=given.get("safe", 0.5), short=0.45))
    known = predicted if predictions else predicted * np.nan
    return make_plan(rows, pairs, known, task, params)[0]


@pytest.mark.slow
@pytest.mark.parametrize("given", [{"confidence": 0.5}, {"epsilon": 0.0}, {"confidence": 0.9}])
def test_every_plan_can_be_saved(tmp_path: Path, given: dict[str, float]) -> None:
    """A plain mean has a temperature of infinity, which JSON cannot hold."""
    dataset = AtomicJSONDataset(filepath=str(tmp_path / "plan.json"))
    plan = plan_with(PlanParams(tau=0.3, **given))
    dataset.save(plan.to_json())
    assert TrainingPlan.from_json(dataset.load()) == plan


@pytest.mark.slow
@pytest.mark.parametrize(
    "given", [{"confidence": 0.5}, {"epsilon": 0.0}, {"epsilon": 0.01}, {"confidence": 0.9}]
)
def test_a_reference_that_has_not_moved_is_solved_for_what_was_planned(
    given: dict[str, float],
) -> None:
    """A radius of 0 takes away the margin of the labels, not what they correct."""
    rows, pairs, predicted = labelled()
    plan = plan_with(PlanParams(tau=0.3, **given))
    problem = dual_problem(rows, rows, pairs, predicted, plan)
    found = solve_dual(
        problem.win_rates,
        problem.thresholds,
        tau=problem.tau,
        groups=problem.groups,
        epsilon=problem.epsilon,
        confidence=problem.confidence,
        comparisons=problem.comparisons,
        pooling=problem.pooling,
    )
    np.testing.assert_allclose(found.values, list(plan.values.values()), atol=1e-6)
    np.testing.assert_allclose(found.multipliers, list(plan.multipliers.values()), atol=1e-5)


def test_labels_that_make_the_weights_correct_no_later_value_either() -> None:
    rows, pairs, predicted = labelled()
    plan = plan_with(PlanParams(tau=0.3), predictions=False)
    assert dual_problem(rows, rows, pairs, predicted * np.nan, plan).comparisons is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("params", "predictions", "sure", "other"),
    [
        ({"confidence": 0.9}, True, " at 90% joint confidence: ", " or lower plan.confidence"),
        ({"epsilon": 0.01}, True, "out of reach: ", " or lower plan.epsilon"),
        ({"epsilon": 0.0}, True, "out of reach: ", ""),
        ({}, False, "out of reach: ", ""),
    ],
)
def test_what_else_gives_way_is_what_the_plan_was_solved_with(
    params: dict[str, float], predictions: bool, sure: str, other: str
) -> None:
    with pytest.raises(UnreachableThresholdsError) as caught:
        plan_with(PlanParams(tau=0.3, **params), predictions, safe=0.99)
    said = str(caught.value)
    assert sure in said
    assert said.partition("--params ")[2].partition(" ")[2] == other.strip()


@pytest.mark.slow
def test_a_margin_is_planned_for_and_the_threshold_stays() -> None:
    plain, raised = (
        plan_with(PlanParams(tau=0.3, margins=margins)) for margins in ({}, {"safe": 0.02})
    )
    assert (raised.thresholds, plain.targets) == (plain.thresholds, plain.thresholds)
    assert raised.targets["safe"] == pytest.approx(0.52)
    assert raised.bounds["safe"] == pytest.approx(0.52, abs=1e-6)
    assert raised.multipliers["safe"] > plain.multipliers["safe"]


def test_a_margin_of_no_constrained_objective_is_named() -> None:
    with pytest.raises(InputError, match=r"plan\.margins names \['good'\]"):
        plan_with(PlanParams(tau=0.3, margins={"good": 0.1}))


@pytest.mark.slow
def test_a_margin_out_of_reach_is_answered_with_a_threshold_that_works_with_it() -> None:
    with pytest.raises(UnreachableThresholdsError, match=r"asked for safe 0\.8") as error:
        plan_with(PlanParams(tau=0.3, margins={"safe": 0.3}))
    [given] = re.findall(r"plan\.thresholds\.safe=([\d.]+)", str(error.value))
    nearest = {"safe": float(given), "short": 0.3}
    plan = plan_with(PlanParams(tau=0.3, margins={"safe": 0.3}, thresholds=nearest))
    assert plan.thresholds["safe"] < 0.5


def test_confidence_lowers_what_is_attainable_and_raises_what_is_planned() -> None:
    plain, sure = (plan_with(PlanParams(tau=0.3, confidence=c)) for c in (0.5, 0.95))
    assert sure.attainable["safe"][1] < plain.attainable["safe"][1]
    assert sure.values["safe"] > plain.values["safe"] == pytest.approx(0.5, abs=1e-6)
    assert sure.bounds["safe"] == pytest.approx(0.5, abs=1e-6)
    for plan in (plain, sure):
        for name in NAMES:
            low, high = plan.attainable[name]
            assert 0 <= low <= high <= 1
            held = plan.bounds.get(name, plan.values[name])
            assert held <= high + 1e-9


@pytest.mark.parametrize(("objective_count", "seed", "prompts", "n"), [(1, 0, 8, 2), (2, 4, 14, 3)])
def test_what_few_labels_plan_lies_between_the_ends_they_tell(
    objective_count: int, seed: int, prompts: int, n: int
) -> None:
    """Few pairs may say that what is followed gets worse, and that another policy has less of it than one that shuns it."""
    task = TaskParams(objectives=objectives(safe=0.3)[:objective_count])
    data = labelled(seed, prompts=prompts, n=n)
    plan, _ = make_plan(*data, task, PlanParams(tau=0.2, confidence=0.5))
    for name, planned_for in {**plan.values, **plan.bounds}.items():
        low, high = plan.attainable[name]
        assert planned_for is not None
        assert 0 <= low <= planned_for <= high <= 1


def test_labels_that_make_the_weights_assure_nothing_and_the_plan_says_so() -> None:
    plan = plan_with(PlanParams(tau=0.3, confidence=0.95), predictions=False)
    assert plan.confidence is None
    assert plan.bounds["safe"] == plan.values["safe"]
    assert plan.assurance.startswith("no confidence")
    assert plan.findings[0].name.startswith("no confidence: the labels")
    quiet = plan_with(PlanParams(tau=0.3, confidence=0.5), predictions=False)
    assert not any(f.name.startswith("no confidence") for f in quiet.findings)


@pytest.mark.slow
def test_a_position_lies_between_what_bounds_reach_at_either_end() -> None:
    found = [
        plan_with(PlanParams(tau=0.3), safe=Position(position=place)).thresholds["safe"]
        for place in (0.0, 0.5, 0.9)
    ]
    low, high = plan_with(PlanParams(tau=0.3)).attainable["safe"]
    np.testing.assert_allclose(found, [low, (low + high) / 2, low + 0.9 * (high - low)], atol=1e-6)


def test_a_threshold_left_out_is_proposed_as_good_as_the_data_and_planned_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plan, _ = planned(None)
    assert plan.thresholds == {"safe": 0.5, "short": 0.3}
    assert "no threshold given for safe: planned for 0.500 (as good as the data)" in caplog.text
    assert "--params=plan.thresholds.safe=..." in caplog.text


def test_a_proposal_that_cannot_be_held_with_what_is_asked_gives_way_to_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.uniform(0.1, 0.9, (160, 3)), columns=NAMES)
    rows["safe"] = 1 - rows["short"]
    rows["prompt_id"] = np.repeat([f"p{i}" for i in range(8)], 20)
    rows["unit"] = rows["prompt_id"]
    rows["response_id"] = [f"r{i}" for i in range(160)]
    pairs = pd.DataFrame(columns=["prompt_id", "response_a", "response_b", *NAMES, "weight"])
    task = TaskParams(objectives=objectives(safe=None, short=0.7))
    plan, _ = make_plan(rows.assign(split="train"), pairs, pairs[NAMES], task, PlanParams(tau=0.1))
    assert plan.thresholds["short"] == 0.7
    assert 0.2 < plan.thresholds["safe"] < 0.31
    assert "the data's own .5 is out of reach" in caplog.text
    with pytest.raises(UnreachableThresholdsError):
        both = TaskParams(objectives=objectives(safe=0.5, short=0.7))
        make_plan(rows.assign(split="train"), pairs, pairs[NAMES], both, PlanParams(tau=0.1))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (0.97, "thresholds out of reach: asked for b 0.970, c 0.500"),
        (0.95, "thresholds that these data are too few to plan for: asked for b 0.950, c 0.500"),
    ],
)
def test_a_threshold_above_what_is_attainable_alone_is_not_blamed_on_few_data(
    asked: float, said: str
) -> None:
    error = NotConvergedError("no point", np.array([0.93, 0.47]))
    given: dict[str, Any] = {"confidence": 0.95, "comparisons": None, "epsilon": None}
    targets, alone = np.array([asked, 0.5]), np.array([0.964, 0.967])
    told = str(unsolved(error, ["a", "b", "c"], targets, PlanParams(tau=0.1), given, alone))
    assert told.startswith(f"{said}; attainable, each alone: b 0.964, c 0.967; the nearest")
