"""Training follows the model: what is not said is what its kind takes, and what cannot be meant is refused."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import PROJECT
from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.by_model import follow_model, laid_over
from mopo_pipeline.parameters.fit import FitParams
from mopo_pipeline.parameters.groups import validate_parameters

HUB = {"model": "org/name"}


def base() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for file in sorted((PROJECT / "conf/base").glob("parameters_*.yml")):
        text = file.read_text(encoding="utf-8")
        found |= yaml.safe_load(
            text.replace("${runtime_params:data_root,${globals:data_root}}", "data")
        )
    return found


def resolved(**own: Any) -> dict[str, Any]:
    return validate_parameters(laid_over(base(), own))


def test_the_pocket_task_trains_from_scratch_as_it_always_did() -> None:
    found = resolved()
    reference, train = found["reference"], found["train"]
    assert (reference["fit"]["steps"], reference["fit"]["learning_rate"]) == (2500, 0.01)
    assert (train["fit"]["steps"], train["fit"]["batch_size"]) == (400, 64)
    assert train["lag"]["mode"] == "fresh"
    assert reference["lora"] is None is train["lora"]


def test_a_pretrained_model_gets_adapters_a_rate_they_bear_and_steps_by_the_rows() -> None:
    found = resolved(reference=HUB)
    for group in ("reference", "train"):
        assert found[group]["lora"]["r"] == 16
        assert 1e-4 <= found[group]["fit"]["learning_rate"] <= 5e-4
        assert found[group]["fit"]["steps"] is None
        assert found[group]["fit"]["epochs"] <= 2
    assert found["train"]["lag"]["mode"] == "none"
    assert found["evaluate"]["sampling"]["batch_size"] < 256


def test_null_adapters_mean_all_weights_at_their_own_rate() -> None:
    found = resolved(reference=HUB | {"lora": None}, train={"lora": None})
    for group in ("reference", "train"):
        assert found[group]["lora"] is None
        assert found[group]["fit"]["learning_rate"] <= 1e-4


def test_what_is_said_counts_more_than_what_the_model_takes() -> None:
    lora = {"r": 4, "alpha": 8}
    found = resolved(
        reference=HUB | {"lora": lora}, train={"lag": {"mode": "offline"}, "fit": {"steps": 7}}
    )
    assert (found["reference"]["lora"]["r"], found["train"]["fit"]["steps"]) == (4, 7)
    assert found["train"]["lag"]["mode"] == "offline"
    assert resolved(train={"lag": {"every": 50}})["train"]["lag"] == (
        resolved()["train"]["lag"] | {"every": 50}
    )


def test_following_the_model_twice_changes_nothing() -> None:
    once = follow_model(laid_over(base(), {"reference": HUB}))
    assert follow_model(once) == once


@pytest.mark.parametrize(
    ("group", "own"),
    [
        ("train", {"fit": {"learning_rate": 0.01}}),
        ("reference", {"fit": {"learning_rate": 0.01}}),
        ("train", {"lora": None, "fit": {"learning_rate": 0.002}}),
    ],
)
def test_a_rate_that_wrecks_a_pretrained_model_is_refused(group: str, own: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"{group}\.fit\.learning_rate is .* wrecks a pretrained"):
        validate_parameters(laid_over(laid_over(base(), {"reference": HUB}), {group: own}))


def test_a_reference_that_is_not_trained_may_have_any_rate() -> None:
    fit = {"learning_rate": 0.01}
    assert resolved(reference=HUB | {"train": False, "fit": fit})["reference"]["train"] is False


@pytest.mark.parametrize("tables", [{"scatch": {}}, {"scratch": 3}, 4])
def test_tables_of_no_kind_are_refused(tables: Any) -> None:
    with pytest.raises(InputError, match="by_model"):
        follow_model({"by_model": tables})


def test_epochs_say_the_steps_and_a_short_run_is_logged_and_saved() -> None:
    fit = FitParams(epochs=2.0).over(216)
    assert fit.steps == math.ceil(2 * 216 / 16)
    assert 1 <= fit.log_every <= fit.steps // 10
    assert fit.save_every % fit.log_every == 0
    assert FitParams(epochs=1.0).over(5).batch_size == 5
    assert FitParams(epochs=1.0, log_every=7).over(30).log_every == 7


def test_steps_that_are_given_stay_and_so_does_everything_else() -> None:
    fit = FitParams(steps=9, batch_size=64)
    assert fit.over(5).model_dump() == fit.model_dump()


def test_every_shipped_environment_is_shorter_than_what_it_needs_to_say() -> None:
    for name in ("topical_chat", "truthfulqa", "smollm2"):
        own = yaml.safe_load((Path(PROJECT) / f"conf/{name}/parameters.yml").read_text())
        found = resolved(**own)
        assert "lora" not in own["reference"]
        assert found["train"]["lora"]["r"] == 16
