"""Rewards in context: scores told behind the prompt, asked for as one wants them."""

from pathlib import Path

import numpy as np
import pytest
from rival_setting import OBJECTIVES, small_setting

from mopo_pipeline.baselines import rewards_in_context
from mopo_pipeline.baselines.policies import ToldPolicy
from mopo_pipeline.baselines.registry import train_rival
from mopo_pipeline.baselines.rewards_in_context import Scale, goals, wanted
from mopo_pipeline.baselines.setting import Setting, total_budget
from mopo_pipeline.errors import InputError
from mopo_pipeline.language.control import control_words, told, with_words
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.tokens import encode
from mopo_pipeline.launching.run import TrainingRun
from mopo_pipeline.parameters.fit import LoraParams
from mopo_pipeline.tables import prompt_text


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return small_setting(tmp_path_factory.mktemp("told"))


def test_levels_run_from_the_least_score_to_the_greatest() -> None:
    scale = Scale(np.array([-1.0, 0.0]), np.array([1.0, 0.0]), 5)
    levels = scale.level(np.array([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [9.0, 0.0]]))
    assert levels[:, 0].tolist() == [0, 2, 4, 4]
    assert levels[:, 1].tolist() == [0, 0, 0, 0]


def test_all_weight_on_one_objective_asks_for_its_best_and_nothing_else() -> None:
    assert wanted((0.0, 1.0, 0.0), 8) == [0, 7, 0]
    assert wanted((1 / 3, 1 / 3, 1 / 3), 8) == [4, 4, 4]


def test_goals_are_the_highest_but_for_one_objective() -> None:
    asked = goals(6, 3, 200, np.random.default_rng(0))
    assert ((asked == 5).sum(axis=1) >= 2).all()
    assert set(range(5)) <= set(asked.min(axis=1).tolist())


def test_a_closed_vocabulary_learns_a_word_for_every_level(
    setting: Setting, tmp_path: Path
) -> None:
    model, tokenizer = load_model(with_words(setting.reference, OBJECTIVES, 4, 0, tmp_path))
    words = [control_words([name], [level]) for name in OBJECTIVES for level in range(4)]
    ids = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
    assert all(len(one) == 1 for one in ids)
    assert len({one[0] for one in ids} | {tokenizer.unk_token_id}) == len(words) + 1
    assert model.get_input_embeddings().weight.shape[0] == len(tokenizer)


def test_a_told_prompt_is_the_prompt_and_a_word_per_objective(
    setting: Setting, tmp_path: Path
) -> None:
    _, tokenizer = load_model(with_words(setting.reference, OBJECTIVES, 4, 0, tmp_path))
    row = setting.responses.iloc[0]
    asked = told(row["prompt"], control_words(OBJECTIVES, [3, 0, 1]))
    rows = encode(tokenizer, [row["prompt"], asked], [row["response"]] * 2, None)
    plain, longer = rows.ids
    head = int(rows.prompt_lengths[0])
    assert prompt_text(asked).startswith(prompt_text(row["prompt"]))
    assert len(longer) == len(plain) + 3 and longer[head + 3 :] == plain[head:]
    assert tokenizer.unk_token_id not in longer


@pytest.mark.slow
def test_one_training_serves_every_weight_and_counts_what_it_drew(setting: Setting) -> None:
    asked = {"weights": ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)), "levels": 4, "prompts": 3, "answers": 2}
    first, second = train_rival("rewards_in_context", setting, asked)
    rows = (setting.responses["split"] == "train").sum()
    assert (first.status, second.status) == ("done", "done")
    assert first.trainings == second.trainings
    cost = total_budget([first, second])
    assert cost.sequences == setting.fit.steps * setting.fit.batch_size
    assert cost.judge_calls == rows + 3 * 2
    assert cost.generated_tokens >= 6
    assert isinstance(first.policy, ToldPolicy) and isinstance(second.policy, ToldPolicy)
    prompts = setting.responses["prompt"].unique()[:2].tolist()
    texts = setting.responses.drop_duplicates("prompt")["response"].iloc[:2].tolist()
    said = [p.answer_logprobs(prompts, texts) for p in (first.policy, second.policy)]
    assert np.isfinite(said).all() and not np.array_equal(said[0], said[1])
    drawn = first.policy.sample(
        prompts, n=2, max_new_tokens=4, seed=0, batch_size=4, temperature=1.0, top_p=1.0
    )
    assert [len(answers) for answers in drawn] == [2, 2]


@pytest.mark.slow
def test_an_adapter_is_folded_in_before_the_next_round_and_rows_fill_the_context_of_all(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapted = small_setting(
        tmp_path, reference=setting.reference, lora=LoraParams(r=2, alpha=4), context=30
    )
    asked = {"weights": ((1.0, 0.0, 0.0),), "levels": 4, "prompts": 3, "answers": 2}
    seen: list[TrainingRun] = []
    begun = rewards_in_context.train_rows
    monkeypatch.setattr(
        rewards_in_context, "train_rows", lambda run, work: (seen.append(run), begun(run, work))[1]
    )
    [point] = train_rival("rewards_in_context", adapted, asked)
    assert [run.context for run in seen] == [30 + len(OBJECTIVES)] * 2
    [training] = point.trainings
    assert point.status == "done" and training.folder is not None
    assert not (training.folder / "adapter_config.json").exists()
    assert sorted(p.name for p in training.folder.parent.iterdir()) == [
        "manifest.json",
        "model",
        "rival.json",
    ]


def test_it_asks_for_a_judge(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rewards_in_context needs scores"):
        train_rival("rewards_in_context", small_setting(tmp_path, judge=None), {})
