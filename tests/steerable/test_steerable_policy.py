"""A steerable policy from its tables to its answers, on a pocket task of a second."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.control import told
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.logprobs import sequence_logprobs
from mopo_pipeline.language.scratch import build_model, build_tokenizer
from mopo_pipeline.parameters.base import Position, TaskParams
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.parameters.fit import LoraParams
from mopo_pipeline.parameters.lag import FreshLag, NoLag
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.parameters.steerable import SteerableParams
from mopo_pipeline.parameters.train import TrainParams
from mopo_pipeline.pocket import task as pocket
from mopo_pipeline.steerable.answers import resolved, steered_answers
from mopo_pipeline.steerable.policy import Steerable, Steered
from mopo_pipeline.steerable.train import Given, _ground, multipliers_of, steerable_policy

NAMES = pocket.OBJECTIVES
PARAMS = SteerableParams(points=4, trainings=1.0, rounds=1, answers=2)
LAG = FreshLag(judge="pocket", fresh_prompts=6, fresh_responses=2, validation_prompts=3)
FIT = {"steps": 4, "batch_size": 8, "device": "cpu", "log_every": 2, "save_every": 2}


def given_of(root: Path, **train: Any) -> Given:
    rng = np.random.default_rng(0)
    responses, _ = pocket.generate(16, 6, 4, rng)
    ids = responses["prompt_id"].unique()
    parts = np.array(["train", "train", "validation", "test"])[np.arange(len(ids)) % 4]
    responses["split"] = responses["prompt_id"].map(dict(zip(ids, parts, strict=True)))
    win_rates = responses[["prompt_id", "response_id", "split"]].copy()
    win_rates[list(NAMES)] = rng.uniform(0.1, 0.9, (len(responses), 3))
    reference = root / "reference"
    tokenizer = build_tokenizer(responses["prompt"].tolist(), responses["response"].tolist())
    model = build_model(tokenizer, layers=1, width=16, heads=2, max_length=128, seed=0)
    model.save_pretrained(reference)
    tokenizer.save_pretrained(reference)
    task = TaskParams.model_validate(
        {"objectives": [{"name": NAMES[0]}, *({"name": n, "threshold": 0.3} for n in NAMES[1:])]}
    )
    plain = {"lag": LAG, "fit": FIT, "work_dir": root / "work"} | train
    params = TrainParams.model_validate(plain)
    multipliers = np.array([[0.0, 0.5], [0.4, 0.0]])
    plan = PlanParams(tau=0.2)
    return Given(responses, win_rates, multipliers, reference, 100, reference, task, plan, params)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    return given_of(tmp_path_factory.mktemp("steerable"))


@pytest.fixture(scope="module")
def made(given: Given) -> Steerable:
    return steerable_policy(given, PARAMS)


def some(given: Given) -> tuple[list[str], list[str]]:
    rows = given.responses.drop_duplicates("prompt").head(3)
    return rows["prompt"].tolist(), rows["response"].tolist()


def test_one_training_is_measured_at_every_point_and_says_what_it_cost(
    made: Steerable, given: Given
) -> None:
    assert [p.levels for p in made.points] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    values, bounds = (np.array([getattr(p, k) for p in made.points]) for k in ("values", "bounds"))
    assert values.shape == (4, 3) and ((values >= 0) & (values <= 1)).all()
    assert (bounds <= values[:, 1:]).all()
    assert made.spent.sequences == 4 * 8
    assert made.spent.judge_calls <= 6 * 2 + 3 * 2 * 4
    assert made.spent.generated_tokens > 0 and made.spent.seconds > 0


def test_what_is_there_is_not_made_again_whatever_is_asked_and_another_seed_is_another_policy(
    made: Steerable, given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mopo_pipeline.steerable.train.train", None)
    asked = PARAMS.model_copy(update={"thresholds": {NAMES[1]: 0.4}})
    assert steerable_policy(given, PARAMS) == steerable_policy(given, asked) == made
    other = replace(given, task=given.task.model_copy(update={"seed": 1}))
    with pytest.raises(TypeError):
        steerable_policy(other, PARAMS)


def test_the_data_s_answers_fill_no_more_than_the_context(given: Given) -> None:
    """Longer ones would ask a model for positions it has no embedding of."""
    long = given.responses.assign(response=given.responses["response"] + " warm" * 300)
    rows = _ground(replace(given, responses=long), PARAMS).encoded
    assert rows.lengths.max() == given.context
    assert rows.truncated.all()


def test_a_mixture_has_the_mean_of_its_words_probabilities(made: Steerable, given: Given) -> None:
    prompts, texts = some(given)
    words = ("<harmlessness:0> <conciseness:1>", "<harmlessness:1> <conciseness:0>")
    mixed = Steered(made.folder, words, (0.25, 0.75), (0.5, 0.5, 0.5), 512)
    model = load_model(made.folder)
    each = [sequence_logprobs(*model, [told(p, w) for p in prompts], texts).logprob for w in words]
    assert not np.array_equal(*each)
    expected = np.log(0.25 * np.exp(each[0]) + 0.75 * np.exp(each[1]))
    np.testing.assert_allclose(mixed.answer_logprobs(prompts, texts), expected, rtol=1e-5)
    drawn = mixed.sample(
        prompts, n=2, max_new_tokens=4, seed=0, batch_size=4, temperature=1.0, top_p=1.0
    )
    assert [len(answers) for answers in drawn] == [2, 2, 2]


@pytest.fixture(scope="module")
def far_apart(made: Steerable, tmp_path_factory: pytest.TempPathFactory) -> Steerable:
    """The same model, its points worth what a trained one's might be."""
    folder = tmp_path_factory.mktemp("far_apart") / "policy"
    shutil.copytree(made.folder, folder)
    values = [(0.8, 0.2, 0.3), (0.6, 0.2, 0.7), (0.5, 0.6, 0.3), (0.3, 0.6, 0.7)]
    points = tuple(
        replace(point, values=value, bounds=value[1:])
        for point, value in zip(made.points, values, strict=True)
    )
    policy = replace(made, folder=folder, points=points)
    policy.write()
    return policy


def test_thresholds_are_answered_without_training(far_apart: Steerable, given: Given) -> None:
    params = EvaluateParams.model_validate({"sampling": {"max_new_tokens": 4}})
    asked = [{NAMES[1]: 0.4, NAMES[2]: 0.3}, {NAMES[1]: Position(position=1.0)}]
    first, second = (
        steered_answers(far_apart.folder, given.responses, given.task, params, thresholds)
        for thresholds in asked
    )
    assert len(first) == 3
    said = "<harmlessness:0> <conciseness:0> 50%; <harmlessness:1> <conciseness:0> 50%"
    assert set(first["words"]) == {said}
    assert [first[f"value_{name}"][0] for name in NAMES] == pytest.approx([0.65, 0.4, 0.3])
    assert set(second["words"]) == {"<harmlessness:1> <conciseness:0> 100%"}
    assert second[f"threshold_{NAMES[1]}"][0] == 0.6


def test_thresholds_left_out_are_the_tasks_and_positions_lie_between_measured_bounds(
    made: Steerable, given: Given
) -> None:
    found = resolved(made, given.task, {NAMES[2]: Position(position=0.5)})
    bounds = [point.bounds[1] for point in made.points]
    assert found == {NAMES[1]: 0.3, NAMES[2]: pytest.approx((min(bounds) + max(bounds)) / 2)}
    with pytest.raises(InputError, match=r"steerable\.thresholds names 'speed'"):
        resolved(made, given.task, {"speed": 0.5})


def test_no_answers_are_drawn_for_training_where_the_separate_policies_draw_none(
    given: Given,
) -> None:
    offline = replace(given, train=given.train.model_copy(update={"lag": NoLag()}))
    assert (given.rounds(PARAMS), offline.rounds(PARAMS)) == (1, 0)


@pytest.mark.slow
def test_an_adapter_is_folded_into_the_model_that_is_left(tmp_path: Path) -> None:
    adapted = given_of(tmp_path, lora=LoraParams(r=2, alpha=4))
    folder = steerable_policy(adapted, PARAMS).folder
    assert not (folder / "adapter_config.json").exists()
    assert (folder / "config.json").is_file()


def test_one_objective_alone_has_nothing_to_steer_by(given: Given) -> None:
    alone = TaskParams.model_validate({"objectives": [{"name": NAMES[0]}]})
    with pytest.raises(InputError, match="no thresholds to steer by"):
        steerable_policy(replace(given, task=alone), PARAMS)


def test_plans_that_were_skipped_span_nothing() -> None:
    plan = {"points": [{"multipliers": {}}, {"multipliers": {"b": 0.5, "c": 0.1}}]}
    assert multipliers_of(plan, ("a", "b", "c")).tolist() == [[0.5, 0.1]]
    assert multipliers_of({"points": []}, ("a", "b", "c")).shape == (0, 2)


def test_the_table_of_steered_answers_says_words_thresholds_and_values(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from mopo_pipeline.reporting.steered import steered_table

    task = TaskParams.model_validate({"objectives": [{"name": "help"}, {"name": "harm"}]})
    row = {"words": "<harm:3> 100%", "seconds": 0.002, "threshold_harm": 0.5,
           "value_help": 0.61, "value_harm": 0.52}  # fmt: skip
    steered_table(pd.DataFrame([row]), task)
    said = capsys.readouterr().out
    assert "<harm:3> 100%" in said and "0.500" in said and "0.520" in said and "primary" in said
