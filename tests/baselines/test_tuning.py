"""A rival's grid is judged by validation labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rival_setting import small_setting

from mopo_pipeline.baselines.policies import FolderPolicy
from mopo_pipeline.baselines.registry import train_rival
from mopo_pipeline.baselines.setting import Setting
from mopo_pipeline.errors import InputError
from mopo_pipeline.pipelines.front.rivals import paid_once
from mopo_pipeline.pocket import task as pocket
from mopo_pipeline.policies.validated import validation_hypervolume


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

    def answer_logprobs(
        self, prompts: list[str], texts: list[str], ended: Sequence[bool] | None = None
    ) -> np.ndarray:
        places = {answer: i for i, answer in enumerate(pocket.answers())}
        helpful = [
            pocket.scores(p).sum(axis=1)[places[pocket.parse(p, t)]]
            for p, t in zip(prompts, texts, strict=True)
        ]
        return self.reference.answer_logprobs(prompts, texts, ended) + 30 * self.sign * np.array(
            helpful
        )


def worth(setting: Setting, corner: float, *policies: object) -> float | None:
    tables = (setting.responses, setting.comparisons, setting.objectives)
    return validation_hypervolume(policies, FolderPolicy(setting.reference), *tables, corner)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_front_is_worth_what_its_policies_dominate_together_by_validation_labels(
    setting: Setting,
) -> None:
    good, none, bad = Certain(setting, 1), FolderPolicy(setting.reference), Certain(setting, -1)
    # a policy that stays is worth one half by every label, but for answers that two labels compare
    alone = worth(setting, 0.1, none)
    assert alone == pytest.approx(0.4**3, rel=0.05)
    assert alone is not None
    for other in (good, bad):
        values = worth(setting, 0.1, other), worth(setting, 0.1, none, other)
        assert max(alone, values[0] or 0.0) < (values[1] or 0.0) < alone + (values[0] or 0.0)
    assert worth(setting, 0.99, none, good) == 0.0
    assert worth(setting, 0.1) is None


@pytest.mark.slow
def test_what_is_not_given_is_chosen_and_told(setting: Setting) -> None:
    asked: dict[str, Any] = {
        "weights": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), "beta": 0.4,
        "tuning": {"learning_rates": (0.02, 1e30), "betas": (0.1, 0.2)},
    }  # fmt: skip
    points = train_rival("loss_weighted_dpo", setting, asked)
    told = points[0].hyperparameters["tuned_over"]
    assert [one["learning_rate"] for one in told] == [0.02, 1e30]
    assert told[0]["hypervolume"] > 0.0
    assert told[1]["hypervolume"] is None
    for point in points:
        chosen = point.hyperparameters["learning_rate"], point.hyperparameters["beta"]
        assert (point.status, chosen) == ("done", (0.02, 0.4))
    assert [point.hyperparameters["weights"]["helpfulness"] for point in points] == [1.0, 0.0]
    first, second = paid_once(points)
    whole = setting.fit.steps * setting.fit.batch_size
    # its own, and those of the other rate, which diverged; what two points rest on is paid by the first
    assert whole < first.spent.sequences <= 3 * whole
    assert second.spent.sequences == whole


def test_a_rival_without_weights_has_no_even_ones_to_be_tuned_at(setting: Setting) -> None:
    asked = {"thresholds": ({"harmlessness": 0.5, "conciseness": 0.4},), "tuning": {}}
    with pytest.raises(InputError, match="swept over weights"):
        train_rival("lagrangian_grpo", setting, asked)


def test_a_grid_without_validation_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="chooses by validation labels, and there is none of helpfulness"
    ):
        train_rival(
            "amopo",
            small_setting(tmp_path),
            {"tuning": {"learning_rates": (0.01,), "betas": (2.0,)}},
        )
