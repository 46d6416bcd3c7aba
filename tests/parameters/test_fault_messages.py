"""A mistake in the configuration is one sentence about the key as it was written."""

from typing import Any

import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.by_model import laid_over
from mopo_pipeline.parameters.groups import validate_parameters
from parameters.test_by_model import base


def said(own: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        validate_parameters(laid_over(base(), own))
    return str(caught.value).removeprefix("parameters: ")


def with_threshold(**second: Any) -> dict[str, Any]:
    return {"task": {"objectives": [{"name": "a"}, {"name": "b", **second}]}}


NUMBER = "input should be a valid number, unable to parse string as a number"
THRESHOLD = "task.objectives.1.threshold"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            with_threshold(threshold="high"),
            f"{THRESHOLD} is 'high': {NUMBER}, or {{position: 0 to 1}}",
        ),
        (
            with_threshold(threshold=1.7),
            f"{THRESHOLD} is 1.7: input should be less than or equal to 1, or {{position: 0 to 1}}",
        ),
        (
            with_threshold(threshold={"position": 7}),
            f"{THRESHOLD}.position is 7: input should be less than or equal to 1",
        ),
        (
            with_threshold(treshold=0.7),
            f"unknown parameter 'task.objectives.1.treshold', did you mean '{THRESHOLD}'?",
        ),
        (
            {"preferences": {"win_rates": {"model": {"encodr": "x"}}}},
            "unknown parameter 'preferences.win_rates.model.encodr', did you mean "
            "'preferences.win_rates.model.encoder'?",
        ),
        (
            {"train": {"lora": {"alhpa": 1}}},
            "unknown parameter 'train.lora.alhpa', did you mean 'train.lora.alpha'?",
        ),
        (
            {"train": {"lora": {"target_modules": 3}}},
            "train.lora.target_modules is 3: input should be a list, or should be 'all-linear'",
        ),
        (
            {"preferences": {"labels": {"tie_margin": "x"}}},
            f"preferences.labels.tie_margin is 'x': {NUMBER}, or a table",
        ),
        (
            {"train": {"lag": {"mode": "fresh", "evry": 3}}},
            "unknown parameter 'train.lag.evry', did you mean 'train.lag.every'?",
        ),
        (
            {"train": {"lag": {"mode": "none", "every": 3}}},
            "train.lag.every has no effect with train.lag.mode none: remove it, or set the mode to "
            "offline or fresh",
        ),
        ({"train": 3}, "train is 3: input should be a table"),
        ({"task": {"objectives": 3}}, "task.objectives is 3: input should be a list"),
        (
            with_threshold() | {"plan": {"thresholds": {"bb": 0.5}}},
            "unknown parameter 'plan.thresholds.bb', did you mean 'plan.thresholds.b'?",
        ),
        (
            with_threshold() | {"plan": {"margins": {"zzz": 0.01}}},
            "unknown parameter 'plan.margins.zzz', known: plan.margins.b",
        ),
        (
            with_threshold() | {"plan": {"thresholds": {"a": 0.5}}},
            "plan.thresholds has no threshold to set for 'a', the primary, which is maximised",
        ),
        (
            with_threshold() | {"front": {"thresholds": [{"b": 0.5}, {"bb": 0.5}]}},
            "unknown parameter 'front.thresholds.1.bb', did you mean 'front.thresholds.1.b'?",
        ),
        (
            {"front": {"methods": ["reference", "scalarized_dpo"]}},
            "unknown method 'scalarized_dpo', did you mean 'scalarised_dpo'?",
        ),
        (
            {"front": {"rivals": {"radco": {}}}},
            "unknown parameter 'front.rivals.radco', did you mean 'front.rivals.raco'?",
        ),
        (
            with_threshold() | {"front": {"rivals": {"amopo": {"beta": -1}}}},
            "front.rivals: rival amopo: beta: Input should be greater than 0; it takes weights, divisions, "
            "learning_rate, beta, margin",
        ),
        (
            with_threshold() | {"front": {"rivals": {"raco": {"weights": [[0.5, 0.25, 0.25]]}}}},
            "front.rivals: weights [0.5, 0.25, 0.25] are 3, but there are 2 objectives: a, b",
        ),
        (
            with_threshold() | {"front": {"rivals": {"modpo": {"tuning": {"beta": [1]}}}}},
            "front.rivals: rival modpo.tuning: beta: Extra inputs are not permitted; it takes learning_rates, betas",
        ),
        (
            with_threshold() | {"front": {"methods": ["lagrangian_grpo"]}},
            "front.rivals: rival lagrangian_grpo: thresholds: Field required; it takes thresholds, "
            "learning_rate, beta, multiplier_rate, answers",
        ),
        (
            with_threshold()
            | {"front": {"rivals": {"lagrangian_grpo": {"thresholds": [{"a": 0.5}]}}}},
            "front.rivals: a threshold for each of b is needed, and for nothing else; given were a",
        ),
        (
            with_threshold() | {"preferences": {"labels": {"tie_margin": {"a": 0.1, "bb": 0.1}}}},
            "unknown parameter 'preferences.labels.tie_margin.bb', did you mean "
            "'preferences.labels.tie_margin.b'?",
        ),
    ],
)
def test_a_value_that_fits_no_kind_and_a_key_that_is_mistyped_are_told_once(
    own: dict[str, Any], message: str
) -> None:
    assert said(own) == message
