"""The reference's three modes: each takes what has an effect in it, and nothing else."""

from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from conftest import PROJECT
from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.groups import validate_parameters
from mopo_pipeline.parameters.lag import MODES, FreshLag, LagParams, NoLag, OfflineLag

LAG: TypeAdapter[Any] = TypeAdapter(LagParams)


def message(lag: Any) -> str:
    with pytest.raises(InputError) as caught:
        validate_parameters({"train": {"lag": lag, "fit": {"steps": 1}, "work_dir": "work"}})
    found = [
        part
        for part in str(caught.value).removeprefix("parameters: ").split("; ")
        if "train.lag" in part
    ]
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, NoLag()),
        ({"mode": "none", "max_multiplier": 5.0}, NoLag(max_multiplier=5.0)),
        ({"mode": "offline", "every": 3}, OfflineLag(every=3)),
        ({"mode": "fresh", "every": 3, "judge": "text"}, FreshLag(every=3, judge="text")),
    ],
)
def test_the_mode_says_which_parameters_there_are(given: dict[str, Any], expected: Any) -> None:
    assert LAG.validate_python(given) == expected
    assert LAG.validate_python(expected.model_dump(mode="json")) == expected


@pytest.mark.parametrize("mode", MODES)
def test_a_key_of_other_modes_has_no_effect_and_is_an_error_that_names_them(mode: str) -> None:
    needed = {"every": 3} if mode != "none" else {}
    others = {key for model in MODES.values() for key in model.model_fields} - set(
        MODES[mode].model_fields
    )
    assert others or mode == "fresh"
    for key in others:
        takers = " or ".join(name for name, model in MODES.items() if key in model.model_fields)
        assert message({"mode": mode, key: 1} | needed) == (
            f"train.lag.{key} has no effect with train.lag.mode {mode}: remove it, or set the mode to {takers}"
        )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"judge": "text", "rows": 9},
            "rows has no effect with judge text: set judge to preference_model",
        ),
        ({"judge": "text", "max_ratio": 9.0}, "max_ratio has no effect with judge text"),
        ({"reward_models": {"a": "b"}}, "reward_models has no effect with judge preference_model"),
    ],
)
def test_a_key_of_another_judge_is_an_error(given: dict[str, Any], expected: str) -> None:
    assert expected in message({"mode": "fresh", "every": 3} | given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"mode": "fresher"}, "train.lag.mode must be one of none, offline, fresh, got 'fresher'"),
        ({"mode": "offline", "evry": 3, "every": 3}, "did you mean 'train.lag.every'?"),
        ({"mode": "offline", "every": 0}, "train.lag.every is 0: input should be greater than 0"),
        (
            {"every": 3, "on_policy": True, "mode": "fresh"},
            "train.lag.on_policy is now train.lag.mode",
        ),
    ],
)
def test_a_mistake_is_told_by_the_name_the_user_wrote(given: dict[str, Any], expected: str) -> None:
    assert expected in message(given)


def idle(mode: str, **loop: Any) -> list[str]:
    """What is said of keys of the loop that a mode makes no use of."""
    given: dict[str, Any] = {
        name: yaml.safe_load(
            (PROJECT / f"conf/base/parameters_{name}.yml").read_text(encoding="utf-8")
        )[name]
        for name in ("ablation", "front", "ingest", "plan", "preferences", "synthetic", "task")
    }
    fit = {"fit": {"steps": 1}, "work_dir": "work"}
    given |= {
        "reference": fit,
        "evaluate": {},
        "report": {},
        "export": {"path": "out"},
        "rows": {},
        "steerable": {},
    }
    given["train"] = {"lag": {"mode": mode}, "loop": loop} | fit
    try:
        validate_parameters(given)
    except InputError as error:
        return str(error).removeprefix("parameters: ").split("; ")
    return []


def test_what_the_loop_makes_no_use_of_in_a_mode_is_an_error_unless_it_is_the_default() -> None:
    assert idle("none", rounds=5, prompts=9) == []
    assert idle("fresh", rounds=2, prompts=512) == []
    assert idle("offline", prompts=9) == []
    for mode in ("offline", "fresh"):
        [line] = idle(mode, rounds=0)
        assert line.startswith(
            f"train.loop.rounds has no effect with train.lag.mode {mode}: remove it"
        )
    [line] = idle("fresh", prompts=None)
    assert "train.loop.prompts has no effect with train.lag.mode fresh" in line
    assert "train.lag.validation_prompts" in line
