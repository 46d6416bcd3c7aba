"""What a training run is told beside its rows: the certificate to come, and the scale on which it will be judged."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo.problem import DualProblem
from mopo_pipeline.mopo.schedule.fresh import threshold_margins
from mopo_pipeline.mopo.schedule.margins import JudgeError
from mopo_pipeline.parameters.evaluate import EvaluateParams, SamplingParams
from mopo_pipeline.parameters.lag import FreshLag
from mopo_pipeline.parameters.train import LoopParams
from mopo_pipeline.pareto.bounds import alpha_of_look
from mopo_pipeline.policies import extract
from mopo_pipeline.policies.extract import to_be_certified
from mopo_pipeline.policies.training_rows import judged_comparisons
from mopo_pipeline.training import fresh_judge
from mopo_pipeline.training.assemble import initial_state

ZERO, ONE = np.zeros(1), np.ones(1)
GROUPS = np.repeat(np.arange(20), 8)
WIN_RATES = np.random.default_rng(0).uniform(0.1, 0.9, (160, 2))
PROBLEM = DualProblem(
    ("help", "harm"),
    WIN_RATES,
    GROUPS,
    np.array([0.55]),
    0.3,
    0.0,
    0.0,
    "lagrangian",
    None,
    ONE,
    np.array([0.55]),
    np.array([0.55]),
)
RESPONSES = pd.DataFrame({"prompt_id": np.arange(40), "split": ["test"] * 30 + ["train"] * 10})


@pytest.mark.parametrize(("asked", "expected"), [(None, 30), (12, 12), (99, 30)])
def test_the_loop_aims_at_the_certificate_that_the_evaluation_will_give(
    asked: int | None, expected: int
) -> None:
    evaluate = EvaluateParams(confidence=0.9, sampling=SamplingParams(prompts=asked))
    found = to_be_certified(PROBLEM, RESPONSES, LoopParams(), evaluate)
    assert found.test_prompts == expected
    assert found.level == pytest.approx(0.9)
    assert found.certificate_level == pytest.approx(1.0 - alpha_of_look(0.1, 1))


def test_validation_prompts_may_be_seen_at_a_level_of_their_own_and_one_half_adds_nothing() -> None:
    surer = to_be_certified(PROBLEM, RESPONSES, LoopParams(confidence=0.99), EvaluateParams())
    assert surer.level == pytest.approx(0.99)
    assert surer.certificate_level == pytest.approx(1.0 - alpha_of_look(0.05, 1))
    plain = to_be_certified(PROBLEM, RESPONSES, LoopParams(confidence=0.5), EvaluateParams())
    assert (plain.level, plain.certificate_level) == (0.5, 0.5)


def test_a_policy_at_its_first_target_falls_short_of_nothing_however_flat_its_judge() -> None:
    """Labels of the very answers say .4 more than the judge's words: that is no shortfall of the policy."""
    flat = 0.5 + 0.2 * (WIN_RATES - 0.5)
    weights = np.exp(WIN_RATES.sum(axis=1) / PROBLEM.tau)
    weights /= (np.bincount(GROUPS, weights) / 8)[GROUPS]
    table = pd.DataFrame({"weight": weights, "reference_logprob": 0.0})
    lag, none = FreshLag(target_ess=0.0), JudgeError(ZERO, ZERO)
    shares = np.round(weights / weights.max() * 400).astype(int)
    said, asked = (np.repeat(values, shares, axis=0) for values in (flat[:, 1:], GROUPS))
    margins = {
        name: threshold_margins(
            initial_state(table, problem, lag).targets, said, asked, none, problem
        )[0]
        for name, problem in (("apart", PROBLEM), ("one", replace(PROBLEM, judged=flat)))
    }
    assert margins["one"] < 0.02
    assert margins["apart"] > 0.1


class Lengths:
    name, objectives, link = "length", ("help", "harm"), "step"

    def scores(self, prompts: list[str], responses: list[str]) -> np.ndarray:
        return np.array([[len(text), -len(text)] for text in responses], dtype=float)


def test_training_rows_are_valued_by_the_judge_of_fresh_responses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The preference model by folds that saw no label of the row; any other judge by its own word."""
    monkeypatch.setattr(fresh_judge, "judge_named", lambda *_, **__: Lengths())
    rows = pd.DataFrame(
        {"response_id": ["b", "a", "c"], "prompt": ["p", "p", "q"], "response": ["xx", "x", "x"]}
    )
    table = pd.DataFrame({"response_id": ["a", "b", "c"], "help": 0.9, "harm": 0.9}).assign(
        help_of_model=[0.1, 0.2, 0.3], harm_of_model=[0.4, 0.5, 0.6]
    )

    def judged(lag: FreshLag) -> np.ndarray:
        judge = fresh_judge.try_judge(lag, ("help", "harm"), None, rows)
        return fresh_judge.judged_win_rates(judge, lag, rows, table)

    np.testing.assert_allclose(judged(FreshLag()), [[0.2, 0.5], [0.1, 0.4], [0.3, 0.6]])
    by_rules = judged(FreshLag(judge="text"))
    np.testing.assert_allclose(by_rules, [[0.75, 0.25], [0.25, 0.75], [0.5, 0.5]])


class Nearsighted(Lengths):
    def read_in_part(self, prompts: list[str], responses: list[str]) -> np.ndarray:
        return np.array([len(text) > 1 for text in responses])


def test_what_the_judge_of_fresh_answers_reads_in_part_is_found_once() -> None:
    """Of the preference model it is told beside the win rates it made."""
    rows = pd.DataFrame({"prompt": ["p", "p", "q"], "response": ["xx", "x", "x"]})
    (found,) = fresh_judge.told_of_judge(Nearsighted(), FreshLag(judge="text"), rows)
    assert found["name"] == "texts read in part: judge of fresh answers"
    assert found["remedy"].startswith("1 of 3 training answers are longer than it reads")
    assert fresh_judge.told_of_judge(Nearsighted(), FreshLag(), rows) == []
    assert fresh_judge.told_of_judge(Lengths(), FreshLag(judge="text"), rows) == []


def test_log_probabilities_of_every_answer_that_steers_are_checked_and_of_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    splits = pd.DataFrame({"split": ["train", "validation", "test"]})
    checked: list[str] = []

    def refuse(logprobs: pd.DataFrame, rows: pd.DataFrame, model: Path) -> int:
        checked.extend(rows["split"])
        raise InputError("stale")

    monkeypatch.setattr(extract, "training_rows", lambda *_: splits)
    monkeypatch.setattr(extract, "check_logprobs", refuse)
    given: list[Any] = [splits, *[None] * 11]
    with pytest.raises(InputError, match="stale"):
        extract.extract_policy(*given)
    assert checked == ["train", "validation"]


def test_a_judge_s_error_is_measured_on_what_it_says_itself_wherever_it_was_fitted() -> None:
    """What labels of the very answers added to the predictions is no part of it, and no confidence is asked for."""
    rows = pd.DataFrame({"prompt_id": "p", "response_id": ["a", "b"], "unit": "p"})
    pairs = pd.DataFrame({"response_a": ["a"], "response_b": ["b"], "help": [1.0], "harm": [0.0]})
    pairs = pairs.assign(help_weight=1.0, harm_weight=1.0)
    said = pd.DataFrame({"help": [0.9], "harm": [0.1], "fold": [0]})
    of_model = said.assign(help_of_model=[0.6], harm_of_model=[0.4])
    found = judged_comparisons(rows, pairs, of_model, ("help", "harm"))
    assert found is not None
    np.testing.assert_allclose(np.asarray(found.predicted), [[0.6, 0.4]])
    assert judged_comparisons(rows, pairs, said, ("help", "harm")) is None
