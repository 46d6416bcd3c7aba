"""What rivals take follows the model as what ours takes does."""

from typing import Any

import pytest

from mopo_pipeline.parameters.baselines import (
    HYPERPARAMETERS,
    rival_faults,
    rival_params,
    tuning_params,
)

POCKET = 0.002
SHARES = {"rewards_in_context": 1.0, "lagrangian_grpo": 0.05}


def taken(name: str, rate: float, **given: Any) -> dict[str, Any]:
    if name == "lagrangian_grpo":
        given = {"thresholds": [{"b": 0.5}]} | given
    return rival_params(name, given, rate).model_dump()


@pytest.mark.parametrize("name", [n for n in HYPERPARAMETERS if n != "best_of_n"])
def test_a_rival_learns_at_its_share_of_our_rate_unless_it_is_given_one(name: str) -> None:
    for rate in (POCKET, 0.0003, 0.00001):
        wanted = rate * SHARES.get(name, 0.5)
        assert taken(name, rate)["learning_rate"] == pytest.approx(wanted)
    assert taken(name, POCKET, learning_rate=0.7)["learning_rate"] == 0.7


def test_a_grid_lies_about_our_rate() -> None:
    assert tuning_params("raco", {}, POCKET).learning_rates == (0.0005, 0.002)
    assert tuning_params("raco", {"learning_rates": [0.1]}, POCKET).learning_rates == (0.1,)


def test_what_is_not_trained_is_checked_where_it_is_given_and_only_there() -> None:
    assert rival_faults({}, ["amopo"], ["a", "b"], POCKET, 16) == []
    raco = {"raco": {"weights": [[1.0]]}}
    assert len(rival_faults(raco, ["amopo"], ["a", "b"], POCKET, 16)) == 1


def test_answers_to_a_prompt_fill_a_batch_or_are_refused_with_a_number_that_does() -> None:
    grpo = {"lagrangian_grpo": {"thresholds": [{"b": 0.5}]}}
    assert rival_faults(grpo, [], ["a", "b"], POCKET, 24) == []
    [told] = rival_faults(grpo, [], ["a", "b"], POCKET, 20)
    assert "8 answers to a prompt do not fill a batch of 20" in told
    assert told.endswith("set answers to 10")
