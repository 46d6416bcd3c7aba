"""Pairs, what a weighted sum of labels prefers, and TRL's DPO on the tokens of this project."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rival_setting import OBJECTIVES, small_setting, small_tables
from trl import DPOTrainer

from datasets import Dataset
from mopo_pipeline.baselines.pair_trainer import PairData, PairFit, PairTrainer, pair_trainer
from mopo_pipeline.baselines.pairs import preferred, training_pairs
from mopo_pipeline.baselines.registry import RIVALS, train_rival
from mopo_pipeline.baselines.scalarised_dpo import prepare, scalarised
from mopo_pipeline.baselines.setting import Setting, total_budget
from mopo_pipeline.baselines.weights import lattice
from mopo_pipeline.errors import InputError
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.logprobs import row_logprobs
from mopo_pipeline.tables import chat_messages

RATE = 0.02
BETA = 0.5


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return small_setting(tmp_path_factory.mktemp("dpo"))


@pytest.fixture
def trainer(setting: Setting) -> PairTrainer:
    ground = prepare(setting)
    pairs = ground.pairs
    data = PairData(pairs.rows, ground.reference, pairs.first, pairs.second, {})
    model, tokenizer = load_model(setting.reference)
    fit = PairFit("dpo", BETA, RATE, None)
    return pair_trainer(setting, data, fit, model, tokenizer, setting.work_dir)


def test_trl_gives_a_response_the_log_probability_this_project_gives_it(
    setting: Setting, trainer: PairTrainer
) -> None:
    model, tokenizer = load_model(setting.reference)
    pairs = training_pairs(setting, tokenizer)
    ours = row_logprobs(model, pairs.rows)
    rows = range(6)
    inputs = trainer.data_collator([trainer.train_dataset[i] for i in rows])
    with torch.no_grad():
        batch = trainer.batch_of(trainer.model, inputs)
    np.testing.assert_allclose(batch.first, ours[pairs.first[:6]], atol=1e-4)
    np.testing.assert_allclose(batch.second, ours[pairs.second[:6]], atol=1e-4)
    np.testing.assert_array_equal(batch.first_tokens, pairs.rows.response_lengths[pairs.first[:6]])


def test_trl_itself_would_cut_a_rendered_prompt_and_its_answers_into_the_same_tokens(
    setting: Setting, trainer: PairTrainer
) -> None:
    tokenizer = trainer.processing_class
    train = setting.responses[setting.responses["split"] == "train"]
    prompt, (chosen, rejected) = train["prompt"].iloc[0], train["response"].iloc[:2]
    text = tokenizer.apply_chat_template(
        chat_messages(prompt), add_generation_prompt=True, tokenize=False
    )
    table = Dataset.from_list([{"prompt": text, "chosen": chosen, "rejected": rejected}])
    [theirs] = DPOTrainer._prepare_dataset(trainer, table, tokenizer, trainer.args, "train")
    from mopo_pipeline.language.tokens import encode

    ours = encode(tokenizer, [prompt] * 2, [chosen, rejected], None)
    assert [
        theirs["prompt_ids"] + theirs[f"{side}_ids"] for side in ("chosen", "rejected")
    ] == ours.ids


def test_the_loss_trl_minimises_is_dpo_s_by_hand(setting: Setting, trainer: PairTrainer) -> None:
    """-log sigma(beta * gap of log-ratios), by numpy, of a policy that is not the reference."""
    model, _ = load_model(setting.reference)
    pairs = prepare(setting).pairs
    before = row_logprobs(model, pairs.rows)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
        for own, other in zip(trainer.model.parameters(), model.parameters(), strict=True):
            own.copy_(other)
    after = row_logprobs(model, pairs.rows)
    gap = (after - before)[pairs.first[:6]] - (after - before)[pairs.second[:6]]
    inputs = trainer.data_collator([trainer.train_dataset[i] for i in range(6)])
    loss = trainer.compute_loss(trainer.model, inputs)
    assert abs(gap).max() > 0.1
    assert loss.item() == pytest.approx(np.log1p(np.exp(-BETA * gap)).mean(), abs=1e-4)


def test_rivals_see_no_pair_of_another_split_and_none_of_equal_texts(tmp_path: Path) -> None:
    responses, comparisons = small_tables()
    train = comparisons[comparisons["split"] == "train"]
    pair = list(train[["response_a", "response_b"]].iloc[0])
    responses.loc[responses["response_id"].isin(pair), "response"] = responses["response"].iloc[0]
    setting = small_setting(tmp_path, responses=responses, comparisons=comparisons)
    pairs = training_pairs(setting, load_model(setting.reference)[1])
    text = responses.set_index("response_id")["response"]
    differ = [
        text[a] != text[b] for a, b in zip(train["response_a"], train["response_b"], strict=True)
    ]
    assert len(pairs.first) == sum(differ) < len(train)
    ids = pairs.rows.ids
    assert all(ids[i] != ids[j] for i, j in zip(pairs.first, pairs.second, strict=True))


def test_a_missing_label_has_no_weight_and_no_side(tmp_path: Path) -> None:
    responses, comparisons = small_tables(missing=True)
    setting = small_setting(tmp_path, responses=responses, comparisons=comparisons)
    pairs = training_pairs(setting, load_model(setting.reference)[1])
    absent = pairs.weights[:, 1] == 0.0
    assert 0 < absent.sum() < len(absent)
    assert (pairs.signs[absent, 1] == 0.0).all() and (pairs.signs[:, 0] != 0.0).all()
    assert pairs.weights[~absent, 1] == pytest.approx(1.0)


def test_the_weighted_sum_of_labels_decides_and_ties_are_left_out() -> None:
    """Three pairs, weights .5, .25, .25: the labels sum to .5+.25-.25 = .5, to -.5+.25+.25 = 0, to -.5."""
    signs = np.array([[1.0, 1.0, -1.0], [-1.0, 1.0, 1.0], [-1.0, 0.0, 0.0]])
    decided, side = preferred(signs, (0.5, 0.25, 0.25))
    assert decided.tolist() == [0, 2]
    assert side.tolist() == [1, -1]


def test_all_weight_on_one_objective_is_its_own_label() -> None:
    signs = np.sign(np.random.default_rng(0).normal(size=(50, 3)))
    decided, side = preferred(signs, (0.0, 1.0, 0.0))
    assert len(decided) == 50
    np.testing.assert_array_equal(side, signs[:, 1])


@pytest.mark.slow
def test_a_training_is_seeded_and_not_repeated(setting: Setting, tmp_path: Path) -> None:
    points = train_rival(
        "scalarised_dpo", setting, {"weights": ((1.0, 0.0, 0.0),), "learning_rate": RATE}
    )
    again = train_rival(
        "scalarised_dpo", setting, {"weights": ((1.0, 0.0, 0.0),), "learning_rate": RATE}
    )
    assert again[0].trainings == points[0].trainings  # seconds, too: it was found, not made
    elsewhere = small_setting(tmp_path)
    fresh = scalarised(elsewhere, prepare(elsewhere), (1.0, 0.0, 0.0), 0.3, RATE)
    folders = [points[0].trainings[0].folder, fresh.folder]
    models = [load_model(folder)[0] for folder in folders if folder is not None]
    assert len(models) == 2 and fresh.key == points[0].trainings[0].key
    first, second = (dict(model.named_parameters()) for model in models)
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    reference = dict(load_model(setting.reference)[0].named_parameters())
    assert any(not torch.equal(tensor, reference[name]) for name, tensor in first.items())


@pytest.mark.slow
def test_a_point_says_what_it_cost_and_what_it_was_trained_with(setting: Setting) -> None:
    [point] = train_rival(
        "scalarised_dpo", setting, {"weights": ((0.5, 0.5, 0.0),), "learning_rate": RATE}
    )
    assert (point.status, point.kind, point.point) == ("done", "trained", "weights=0.5,0.5,0")
    assert point.budget.sequences == setting.fit.steps * setting.fit.batch_size
    assert point.budget.generated_tokens == point.budget.judge_calls == 0
    assert point.hyperparameters["weights"] == dict(zip(OBJECTIVES, (0.5, 0.5, 0.0), strict=True))
    assert point.hyperparameters["learning_rate"] == RATE


@pytest.mark.slow
def test_a_training_that_diverges_is_a_failed_point_with_its_reason(setting: Setting) -> None:
    hyperparameters = {"weights": ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), "learning_rate": 1e30}
    points = train_rival("scalarised_dpo", setting, hyperparameters)
    assert [point.status for point in points] == ["failed", "failed"]
    assert all(point.policy is None and "loss became" in point.reason for point in points)
    assert all(point.budget.sequences > 0 for point in points)
    again = train_rival("scalarised_dpo", setting, hyperparameters)
    assert [p.budget for p in again] == [p.budget for p in points]


@pytest.mark.slow
def test_a_training_that_points_share_is_counted_once(setting: Setting) -> None:
    points = train_rival(
        "mod", setting, {"weights": ((1.0, 0.0, 0.0), (0.5, 0.5, 0.0)), "learning_rate": RATE}
    )
    one = setting.fit.steps * setting.fit.batch_size
    assert [point.budget.sequences for point in points] == [3 * one, 3 * one]
    assert total_budget(points).sequences == 3 * one


@pytest.mark.parametrize(
    ("name", "hyperparameters", "told"),
    [
        ("dpo", {}, "there is no rival 'dpo'"),
        ("scalarised_dpo", {"lambda": 1}, "rival scalarised_dpo: lambda"),
        ("scalarised_dpo", {"weights": ((0.5, 0.4, 0.0),)}, "sum to 1; they sum to 0.9"),
        ("scalarised_dpo", {"weights": ((1.0, 0.0),)}, "are 2, but there are 3 objectives"),
        ("scalarised_dpo", {"weights": ((1.0, 0.0, 0.0), (1.0, 0.0, 0.0))}, "stand there twice"),
    ],
)
def test_a_mistake_in_what_is_asked_for_is_told(
    setting: Setting, name: str, hyperparameters: dict[str, object], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        train_rival(name, setting, hyperparameters)


def test_a_missing_library_is_told_with_how_to_get_it(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    with pytest.raises(InputError, match=r"needs trl.*pip install 'mopo_pipeline\[baselines\]'"):
        train_rival("scalarised_dpo", setting, {"weights": ((1.0, 0.0, 0.0),)})


@pytest.mark.slow
def test_weights_that_decide_too_few_pairs_are_a_failed_point(
    setting: Setting, tmp_path: Path
) -> None:
    """Two objectives that pull apart in every pair: at even weights each is a tie."""
    labels = setting.comparisons
    apart = labels.assign(**{OBJECTIVES[0]: labels.index % 2, OBJECTIVES[1]: 1 - labels.index % 2})
    few = small_setting(tmp_path, comparisons=apart)
    asked = {"weights": ((0.5, 0.5, 0.0), (0.6, 0.4, 0.0))}
    tied, decided = train_rival("scalarised_dpo", few, asked)
    assert (tied.status, decided.status) == ("failed", "done")
    assert "0 pairs of the training split are decided, fewer than the 4 of a batch" in tied.reason


def test_the_lattice_is_every_multiple_once() -> None:
    points = lattice(3, 3)
    assert len(set(points)) == len(points) == math.comb(5, 2)
    assert all(sum(p) == pytest.approx(1.0) and min(p) >= 0.0 for p in points)


def test_every_rival_has_its_page() -> None:
    pages = Path(__file__).parents[2] / "docs/rivals"
    assert {page.stem for page in pages.glob("*.md")} - {"README"} == set(RIVALS)
