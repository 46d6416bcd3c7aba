"""A plan promises nothing that so few labels could say by luck, and advises nothing that cannot be asked for."""

import re
import shlex
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import InfeasibleThresholdsError
from mopo_pipeline.mopo.confidence import fewest_units
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.plan.make import make_plan
from mopo_pipeline.plan.thresholds import UnreachableThresholdsError, proposal, unreachable
from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.tables import weight_columns

NAMES = ["good", "safe"]


def lucky(
    labelled: int, units: int = 30, threshold: float = 0.6, agree: float = 1.0, **params: Any
) -> TrainingPlan:
    """A plan for safe on the first so many of 30 prompts whose coin flips came out for what a model prefers, all or a share of them."""
    rng = np.random.default_rng(0)
    prompts, n = 30, 6
    scores = rng.normal(0, 1.5, (prompts, n, 2))
    beats = 1 / (1 + np.exp(scores[:, None] - scores[:, :, None]))
    rows = pd.DataFrame(((beats.sum(axis=2) - 0.5) / (n - 1)).reshape(-1, 2), columns=NAMES)
    rows["prompt_id"] = np.repeat([f"p{i}" for i in range(prompts)], n)
    rows["unit"] = np.repeat([f"u{i % units}" for i in range(prompts)], n)
    rows["response_id"], rows["split"] = [f"r{i}" for i in range(len(rows))], "train"
    first = np.arange(prompts) * n
    predicted = beats[:, 0, 1]
    says = rng.random(predicted.shape) < agree
    labels = np.where((predicted > 0.5) == says, 1.0, 0.0)
    labels[labelled:, 1] = np.nan
    pairs = pd.DataFrame(
        {"response_a": [f"r{i}" for i in first], "response_b": [f"r{i + 1}" for i in first]}
    )
    pairs[NAMES], pairs[weight_columns(NAMES)] = labels, 1.0 - np.isnan(labels)
    task = TaskParams.model_validate(
        {"objectives": [{"name": "good"}, {"name": "safe", "threshold": threshold}]}
    )
    given = PlanParams.model_validate({"tau": 0.1} | params)
    return make_plan(rows, pairs, pd.DataFrame(predicted, columns=NAMES), task, given)[0]


@pytest.mark.parametrize("labelled", [1, 2, 4])
def test_a_handful_of_lucky_labels_assures_no_threshold(labelled: int) -> None:
    with pytest.raises(
        InputError, match=rf"'safe' is labelled on {labelled} training prompts.* takes 5 at least"
    ):
        lucky(labelled)


def test_labels_of_one_group_of_prompts_are_one_draw() -> None:
    with pytest.raises(
        InputError, match="'safe' is labelled on 3 training prompts, or groups of them"
    ):
        lucky(30, units=3)


def test_the_remedy_of_few_labels_plans_without_a_promise() -> None:
    plan = lucky(2, confidence=0.5)
    assert plan.bounds["safe"] == pytest.approx(plan.values["safe"])


def test_enough_labelled_prompts_are_planned_for_as_before() -> None:
    assert lucky(30).bounds["safe"] == pytest.approx(0.6, abs=1e-6)


@pytest.mark.parametrize("level", [0.6, 0.9, 0.95, 0.975, 0.99])
def test_so_many_labels_agree_by_luck_no_oftener_than_a_bound_may_fail(level: float) -> None:
    fewest = fewest_units(level)
    assert 0.5**fewest <= 1 - level < 0.5 ** (fewest - 1)


def refused(relaxed: list[float], names: list[str]) -> UnreachableThresholdsError:
    asked = np.full(len(relaxed), 0.6)
    error = InfeasibleThresholdsError(asked, np.array(relaxed), np.array(relaxed))
    return unreachable(
        error, names, asked, PlanParams(tau=0.1), {"confidence": 0.95, "epsilon": 0.0}
    )


def test_no_threshold_below_0_is_advised_for_none_can_be_asked_for() -> None:
    said = str(refused([-0.2, 0.3], ["good", "safe", "short"]))
    assert "promise nothing of safe, not even a threshold of 0: add comparisons" in said
    assert not re.search(r"-0\.|--params", said)


def test_what_is_advised_can_be_copied_into_a_shell() -> None:
    said = str(refused([0.4001], ["good", "not rude"]))
    advised = shlex.split(said.split("Try ")[1])
    assert advised[:2] == ["--params", "plan.thresholds.not rude=0.400"]
    assert "--params='plan.thresholds.not rude=...'" in proposal("not rude", 0.5)


def test_a_threshold_that_a_gentler_policy_promises_is_answered_with_the_temperature_that_reaches_it() -> (
    None
):
    """At a small temperature weights move far, and few labels promise little of a policy that does."""
    with pytest.raises(UnreachableThresholdsError) as caught:
        lucky(30, threshold=0.47, agree=0.5)
    said = str(caught.value)
    assert re.search(r", raise plan\.tau \(policies nearer to the data promise safe 0\.\d+\)", said)
    bound = lucky(30, threshold=0.47, agree=0.5, tau=1.0).bounds["safe"]
    assert bound is not None
    assert bound >= 0.47 - 1e-6
