"""A rival's grid is judged by validation labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rival_setting import small_setting

from mopo_pipeline.baselines.policies import FolderPolicy
from mopo_pipeline.baselines.registry import train_rival
from mopo_pipeline.baselines.setting import Setting
from mopo_pipeline.baselines.tuning import validation_value
from mopo_pipeline.errors import InputError
from mopo_pipeline.pocket import task as pocket


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """Every sixth prompt is held for validation."""
    made = small_setting(tmp_path_factory.mktemp("tuning"))
    ids = made.responses["prompt_id"].unique()
    for table in (made.responses, made.comparisons):
        table.loc[table["prompt_id"].isin(ids[1::6]), "split"] = "validation"
    return made


class Certain:
    """A policy that gives its whole mass to one kind of answer, whatever the reference says."""

    def __init__(self, setting: Setting, sign: float) -> None:
        self.reference, self.sign = FolderPolicy(setting.reference), sign

    def answer_logprobs(self, prompts: list[str], texts: list[str]) -> np.ndarray:
        places = {answer: i for i, answer in enumerate(pocket.answers())}
        helpful = [
            pocket.scores(p).sum(axis=1)[places[pocket.parse(p, t)]]
            for p, t in zip(prompts, texts, strict=True)
        ]
        return self.reference.answer_logprobs(prompts, texts) + 30 * self.sign * np.array(helpful)


def test_validation_labels_tell_a_good_policy_from_a_bad_one(setting: Setting) -> None:
    good, none, bad = (
        validation_value(setting, policy)  # type: ignore[arg-type]
        for policy in (Certain(setting, 1), FolderPolicy(setting.reference), Certain(setting, -1))
    )
    assert good > none > bad


@pytest.mark.slow
def test_what_is_not_given_is_chosen_and_told(setting: Setting) -> None:
    asked: dict[str, Any] = {
        "weights": ((1.0, 0.0, 0.0),), "beta": 0.4,
        "tuning": {"learning_rates": (0.02, 1e30), "betas": (0.1, 0.2)},
    }  # fmt: skip
    [point] = train_rival("loss_weighted_dpo", setting, asked)
    told = point.hyperparameters["tuned_over"]
    assert [one["learning_rate"] for one in told["grid"]] == [0.02, 1e30]
    assert told["grid"][1]["value"] is None
    assert told["sequences"] > setting.fit.steps * setting.fit.batch_size
    assert (point.hyperparameters["learning_rate"], point.hyperparameters["beta"]) == (0.02, 0.4)
    assert point.hyperparameters["weights"]["helpfulness"] == 1.0


def test_a_rival_without_weights_has_no_even_ones_to_be_tuned_at(setting: Setting) -> None:
    asked = {"thresholds": ({"harmlessness": 0.5, "conciseness": 0.4},), "tuning": {}}
    with pytest.raises(InputError, match="swept over weights"):
        train_rival("lagrangian_grpo", setting, asked)


def test_a_grid_without_validation_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tuned by validation labels"):
        train_rival(
            "amopo",
            small_setting(tmp_path),
            {"tuning": {"learning_rates": (0.01,), "betas": (2.0,)}},
        )
