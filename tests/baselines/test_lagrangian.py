"""A policy gradient under thresholds: rewards are win rates, multipliers weigh them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from rival_setting import WordCounts, small_setting

from mopo_pipeline.baselines.grpo import Multipliers, fit_grpo, grpo_trainer
from mopo_pipeline.baselines.lagrangian import thresholds_of
from mopo_pipeline.baselines.multipliers import WinRates, next_multipliers
from mopo_pipeline.baselines.policies import FolderPolicy
from mopo_pipeline.baselines.registry import train_rival
from mopo_pipeline.baselines.setting import RivalPolicy, Setting
from mopo_pipeline.baselines.trained import DivergedError
from mopo_pipeline.errors import InputError
from mopo_pipeline.judges.base import win_rates_against
from mopo_pipeline.judges.pocket import PocketRules
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.tokens import prompt_ids
from mopo_pipeline.parameters.baselines import LagrangianParams

THRESHOLDS = {"harmlessness": 0.5, "conciseness": 0.45}
PARAMS = LagrangianParams(
    thresholds=(THRESHOLDS,), learning_rate=1e-4, answers=4, multiplier_rate=0.5
)


def folder_of(point: RivalPolicy) -> Path:
    assert isinstance(point.policy, FolderPolicy)
    return point.policy.folder


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return small_setting(tmp_path_factory.mktemp("lagrangian"), judge=WordCounts())


def test_a_multiplier_rises_by_what_is_missed_and_never_below_nothing() -> None:
    moved = next_multipliers(
        np.array([0.1, 0.1]), np.array([0.5, 0.45]), np.array([0.3, 0.95]), 0.5
    )
    assert moved.tolist() == pytest.approx([0.2, 0.0])


def test_an_answer_is_judged_once_for_all_objectives(setting: Setting) -> None:
    rows = setting.responses.iloc[:4]
    prompts, texts = rows["prompt"].tolist(), rows["response"].tolist()
    opponents = {prompts[0]: texts}
    rates = WinRates(PocketRules(), opponents)
    said = [{"role": "assistant", "content": text + " "} for text in texts]
    batch = {"completions": [[s] for s in said], "completion_ids": [[1, 2]] * 4, "stored": prompts}
    columns = [rates.of(k)(**batch) for k in range(3)]
    expected = win_rates_against(PocketRules(), prompts, texts, [texts] * 4)
    np.testing.assert_allclose(np.transpose(columns), expected)
    assert (rates.judged, rates.tokens) == (4, 8)


def test_trl_asks_the_prompts_this_project_asks(setting: Setting, tmp_path: Path) -> None:
    trainer, _ = grpo_trainer(setting, PARAMS, tmp_path)
    stored = [trainer.train_dataset[i]["stored"] for i in range(3)]
    asked = trainer._tokenize_prompts([trainer.train_dataset[i]["prompt"] for i in range(3)])
    assert asked[0] == prompt_ids(trainer.processing_class, stored)


def test_a_step_weighs_the_rewards_by_the_new_multipliers(setting: Setting, tmp_path: Path) -> None:
    trainer, rates = grpo_trainer(setting, PARAMS, tmp_path)
    rates.last = np.array([[0.9, 0.2, 0.45], [0.7, 0.4, 0.65]])
    moving = Multipliers(trainer, rates, np.array([0.5, 0.45]), 0.5)
    moving.on_step_end()
    torch.testing.assert_close(trainer.reward_weights, torch.tensor([1.0, 0.1, 0.0]) / 1.1)
    assert moving.history == [[pytest.approx(0.1), 0.0]]


@pytest.mark.slow
def test_a_run_of_it_leaves_a_policy_and_its_cost_and_says_nothing_of_its_libraries(
    setting: Setting, recwarn: pytest.WarningsRecorder
) -> None:
    asked = {"thresholds": (THRESHOLDS,), "answers": 4, "learning_rate": 1e-3}
    [point] = train_rival("lagrangian_grpo", setting, asked)
    assert [str(w.message) for w in recwarn if issubclass(w.category, FutureWarning)] == []
    size = setting.fit.steps * setting.fit.batch_size
    assert (point.status, point.kind) == ("done", "trained")
    assert point.point == "harmlessness=0.5,conciseness=0.45"
    assert point.budget.sequences == point.budget.judge_calls == size
    assert size <= point.budget.generated_tokens
    assert point.hyperparameters["thresholds"] == THRESHOLDS
    trained, reference = (
        load_model(folder)[0].state_dict() for folder in (folder_of(point), setting.reference)
    )
    assert any(not torch.equal(tensor, reference[name]) for name, tensor in trained.items())


@pytest.mark.slow
def test_a_diverging_one_says_so(setting: Setting, tmp_path: Path) -> None:
    wild = PARAMS.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(
        DivergedError, match=r"the loss became|a weight is no number|no word could be drawn"
    ):
        fit_grpo(setting, wild, np.array([0.5, 0.45]), tmp_path / "model")


@pytest.mark.parametrize("given", [{"harmlessness": 0.5}, THRESHOLDS | {"helpfulness": 0.5}])
def test_thresholds_are_those_of_the_constrained_objectives(
    setting: Setting, given: dict[str, float]
) -> None:
    with pytest.raises(InputError, match="a threshold for each of harmlessness, conciseness"):
        thresholds_of(setting, given)
