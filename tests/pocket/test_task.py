"""The task whose truth is known: what the exact values rest on, checked by counting and by drawing."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopo_pipeline.errors import InputError
from mopo_pipeline.pocket import task
from mopo_pipeline.pocket.words import COURTESY, TOPICS

PROMPTS = task.prompts()


def topic_of(prompt: str) -> int:
    content = json.loads(prompt)[-1]["content"]
    [found] = [i for i, topic in enumerate(TOPICS) if topic.task in content]
    return found


@given(st.sampled_from(PROMPTS), st.sampled_from(task.answers()))
def test_every_answer_is_read_back_as_the_parts_it_was_made_of(
    prompt: str, answer: task.Answer
) -> None:
    text = task.render(topic_of(prompt), answer)
    assert task.parse(prompt, text) == answer
    assert task.parse(prompt, f"  {text}\n") == answer


@given(st.sampled_from(PROMPTS), st.sampled_from(task.answers()), st.data())
def test_an_answer_cut_short_reordered_or_of_another_topic_is_no_answer(
    prompt: str, answer: task.Answer, data: st.DataObject
) -> None:
    text = task.render(topic_of(prompt), answer)
    words = text.split()
    cut = data.draw(st.integers(1, len(words) - 1))
    prefix = " ".join(words[:cut])
    known = {task.render(topic_of(prompt), other) for other in task.answers()}
    assert (task.parse(prompt, prefix) is None) == (prefix not in known)
    assert task.parse(prompt, text + " " + words[0]) is None
    other = (topic_of(prompt) + 1) % len(TOPICS)
    assert task.parse(prompt, task.render(other, answer)) is None


def test_there_are_72_different_answers_to_a_prompt_and_the_data_gives_each_some_mass() -> None:
    for prompt in PROMPTS[::17]:
        mass = task.behaviour(prompt)
        assert mass.shape == (72,)
        assert mass.min() > 0
        assert mass.sum() == pytest.approx(1)
    assert len({task.render(0, answer) for answer in task.answers()}) == 72


def test_scores_are_those_of_the_rules() -> None:
    """Two steps, shortcut, no caution, at risk 0: 1.3 - .25 + 1.6; -1.2; -.9 - .6."""
    place = task.answers().index(task.Answer(False, 2, True, False, 0))
    risks = {tuple(task.scores(prompt)[place].round(6)) for prompt in PROMPTS}
    assert (2.65, -1.2, -1.5) in risks
    assert {row[0] for row in risks} == {2.65}


def test_a_win_rate_is_the_mean_chance_to_beat_an_answer_of_the_data() -> None:
    prompt = PROMPTS[5]
    scores, mass = task.scores(prompt), task.behaviour(prompt)
    answer = 40
    expected = [
        sum(mass[j] / (1 + math.exp(scores[j, k] - scores[answer, k])) for j in range(72))
        for k in range(3)
    ]
    assert task.exact_win_rates(prompt)[answer].tolist() == pytest.approx(expected)
    assert (mass @ task.exact_win_rates(prompt)).tolist() == pytest.approx([0.5] * 3)


def test_labels_are_drawn_with_the_chances_the_win_rates_are_made_of() -> None:
    """Mean label of 19,200 pairs against its expectation, five standard errors apart at most."""
    responses, pairs = task.generate(24, 16, 800, np.random.default_rng(3))
    parts = dict(zip(responses["response_id"], responses["response"], strict=True))
    prompts = dict(zip(responses["prompt_id"], responses["prompt"], strict=True))
    places = {answer: i for i, answer in enumerate(task.answers())}
    expected = []
    for row in pairs.itertuples():
        prompt = prompts[row.prompt_id]
        first, second = (
            places[task.parse(prompt, parts[name])] for name in (row.response_a, row.response_b)
        )
        table = task.scores(prompt)
        expected.append(1 / (1 + np.exp(table[second] - table[first])))
    chances = np.array(expected)
    gap = pairs[list(task.OBJECTIVES)].to_numpy() - chances
    error = np.sqrt((chances * (1 - chances)).sum(axis=0)) / len(pairs)
    assert (abs(gap.mean(axis=0)) < 5 * error).all()
    assert (pairs["response_a"] != pairs["response_b"]).all()


def test_the_exact_problem_lists_the_answers_of_each_prompt_in_order() -> None:
    problem = task.exact_problem(PROMPTS[:3])
    assert problem.win_rates.shape == (216, 3)
    assert problem.groups.tolist() == [0] * 72 + [1] * 72 + [2] * 72
    assert problem.reference.sum() == pytest.approx(1)
    for i in (0, 100, 215):
        assert task.parse(PROMPTS[i // 72], problem.texts[i]) == task.answers()[i % 72]
        assert problem.win_rates[i].tolist() == pytest.approx(
            task.exact_win_rates(PROMPTS[i // 72])[i % 72].tolist()
        )


def test_a_fourth_objective_is_labelled_and_valued_where_it_is_named_and_moves_no_other() -> None:
    given = (24, 16, 80)
    responses, pairs = task.generate(*given, np.random.default_rng(3))
    named = (*task.OBJECTIVES, "politeness")
    same, more = task.generate(*given, np.random.default_rng(3), named)
    pd.testing.assert_frame_equal(responses, same)
    pd.testing.assert_frame_equal(pairs, more[pairs.columns])
    assert "politeness" not in pairs
    problem = task.exact_problem(PROMPTS[:2], ("politeness", "helpfulness"))
    np.testing.assert_array_equal(problem.win_rates[:72, 1], task.exact_win_rates(PROMPTS[0])[:, 0])
    text = dict(zip(same["response_id"], same["response"], strict=True))
    polite = np.array([text[i].startswith(COURTESY) for i in more["response_a"]], dtype=float)
    polite -= [text[i].startswith(COURTESY) for i in more["response_b"]]
    assert more["politeness"][polite > 0].mean() > 0.7 > 0.3 > more["politeness"][polite < 0].mean()
    with pytest.raises(InputError, match=r"no objective 'wit'; it has .*'politeness'"):
        task.exact_problem(PROMPTS[:1], ("wit",))
