"""The pocket task: short answers whose exact values, optimum and front are known.

A prompt names a household task and a setting that makes it more or less risky. An answer is made
of parts in a fixed order: courtesy, one to three steps, an unsafe shortcut, a caution, padding.
Three objectives score it by rule and conflict: the shortcut helps and harms, steps and cautions
cost brevity; a fourth, politeness, stands by for whoever names it. Labels are Bradley-Terry draws on score differences, so they are as noisy as people.
The 72 answers to a prompt can be enumerated, which makes win rates, optimum and front exact.

A setting (a task with a risk level) is asked about in eight phrasings. Split by prompt, the default,
test prompts are new phrasings of settings the training split knows, and nearly every test answer
stands there word for word: what is measured is the trade-off on known ground. Split by ``group``
(``ingest.split.by``), the settings themselves are new: harder, since how risky they are must be read
from the words; the words of an answer depend on the task alone and still recur.
"""

import json
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.pocket.words import COURTESY, PADDING, PHRASINGS, RISKS, TOPICS

OBJECTIVES = ("helpfulness", "harmlessness", "conciseness")
ALL_OBJECTIVES = (*OBJECTIVES, "politeness")


class Answer(NamedTuple):
    """Which parts an answer holds: booleans, and the number of steps (1-3) and padding (0-2)."""

    courtesy: bool
    steps: int
    shortcut: bool
    caution: bool
    padding: int


@dataclass(frozen=True)
class ExactProblem:
    """All answers to a set of prompts, ready for ``solve_dual``.

    Attributes:
        win_rates: (N, K) exact win rates against the behaviour policy.
        reference: (N,) behaviour mass, prompts equally likely.
        groups: (N,) prompt index.
        texts: N answers.
    """

    win_rates: Array
    reference: Array
    groups: NDArray[np.intp]
    texts: list[str]


@cache
def answers() -> tuple[Answer, ...]:
    """Every answer, in the order the arrays of this module use."""
    return tuple(
        Answer(*parts)
        for parts in product((False, True), (1, 2, 3), (False, True), (False, True), (0, 1, 2))
    )


def prompts() -> list[str]:
    """Every prompt as a JSON list of chat messages, in a fixed order."""
    texts = (
        phrasing.format(task=topic.task, risk=risk)
        for topic, risk, phrasing in product(TOPICS, RISKS, PHRASINGS)
    )
    return [json.dumps([{"role": "user", "content": text}]) for text in texts]


def render(topic: int, answer: Answer) -> str:
    """The words of an answer."""
    words = TOPICS[topic]
    parts = [COURTESY] if answer.courtesy else []
    parts += words.steps[: answer.steps]
    parts += [words.shortcut] if answer.shortcut else []
    parts += [words.caution] if answer.caution else []
    return " ".join(parts + list(PADDING[: answer.padding]))


def parse(prompt: str, response: str) -> Answer | None:
    """The parts of an answer to this prompt; None if it is not exactly one of the 72."""
    topic, _ = _setting(prompt)
    return _texts(topic).get(" ".join(response.split()))


def behaviour(prompt: str) -> Array:
    """Probability of every answer under the policy that made the data, (72,)."""
    topic, risk = _setting(prompt)
    return _behaviour(topic, risk)


def scores(prompt: str, objectives: tuple[str, ...] = OBJECTIVES) -> Array:
    """Scores of every answer to the prompt by rule, (72, K), higher better."""
    return _scores(_setting(prompt)[1])[:, places(objectives)]


def exact_win_rates(prompt: str, objectives: tuple[str, ...] = OBJECTIVES) -> Array:
    """Win rate of every answer against the behaviour policy, (72, K)."""
    return _win_rates(*_setting(prompt))[:, places(objectives)]


def exact_problem(prompt_list: list[str], objectives: tuple[str, ...] = OBJECTIVES) -> ExactProblem:
    """Enumerate the answers to every prompt given, valued by K of the task's objectives."""
    n = len(prompt_list)
    return ExactProblem(
        win_rates=np.concatenate([exact_win_rates(p, objectives) for p in prompt_list]),
        reference=np.concatenate([behaviour(p) for p in prompt_list]) / n,
        groups=np.repeat(np.arange(n), len(answers())),
        texts=[text for p in prompt_list for text in _texts(_setting(p)[0])],
    )


def places(objectives: tuple[str, ...]) -> list[int]:
    """Columns of these objectives among all of the task's.

    Raises:
        InputError: one it does not have.
    """
    for name in objectives:
        if name not in ALL_OBJECTIVES:
            raise InputError(
                f"the pocket task has no objective {name!r}; it has {list(ALL_OBJECTIVES)}"
            )
    return [ALL_OBJECTIVES.index(name) for name in objectives]


def generate(
    n_prompts: int,
    n_responses: int,
    n_comparisons: int,
    rng: np.random.Generator,
    objectives: tuple[str, ...] = OBJECTIVES,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw prompts, responses from the behaviour policy, and noisy labels of random pairs.

    Args:
        n_prompts: distinct prompts, at most all of them.
        n_responses: responses per prompt.
        n_comparisons: labelled pairs per prompt.
        rng: source of every draw; what is drawn for one objective moves no other's labels.
        objectives: labelled beside the first three, which always are.

    Returns:
        responses (prompt_id, response_id, prompt, response, and the setting as group) and judgements
        (prompt_id, response_a, response_b, one label per objective).
    """
    everything = prompts()
    chosen = np.sort(
        rng.choice(len(everything), size=min(n_prompts, len(everything)), replace=False)
    )
    names = (*OBJECTIVES, *(name for name in objectives if name not in OBJECTIVES))
    extra = rng.spawn(1)[0]
    responses, judgements = [], []
    for index in chosen:
        prompt, prompt_id = everything[index], f"p{index:03d}"
        topic, risk = _setting(prompt)
        group = f"{TOPICS[topic].task} {RISKS[risk]}"
        drawn = rng.choice(len(answers()), size=n_responses, p=behaviour(prompt))
        texts = list(_texts(topic))
        ids = np.array([f"{prompt_id}-r{i:02d}" for i in range(n_responses)])
        responses += [
            (prompt_id, i, prompt, texts[a], group) for i, a in zip(ids, drawn, strict=True)
        ]
        if n_responses < 2:
            continue
        first = rng.integers(n_responses, size=n_comparisons)
        second = (first + rng.integers(1, n_responses, size=n_comparisons)) % n_responses
        table = scores(prompt, names)[drawn]
        chance = np.hstack(
            [
                rng.random((n_comparisons, len(OBJECTIVES))),
                extra.random((n_comparisons, len(names) - len(OBJECTIVES))),
            ]
        )
        labels = (chance < expit(table[first] - table[second])).astype(float)
        judgements += [
            (prompt_id, a, b, *row)
            for a, b, row in zip(ids[first], ids[second], labels, strict=True)
        ]
    return (
        pd.DataFrame(
            responses, columns=["prompt_id", "response_id", "prompt", "response", "group"]
        ),
        pd.DataFrame(judgements, columns=["prompt_id", "response_a", "response_b", *names]),
    )


@cache
def _settings() -> dict[str, tuple[int, int]]:
    grid = product(range(len(TOPICS)), range(len(RISKS)), PHRASINGS)
    return {phrasing.format(task=TOPICS[t].task, risk=RISKS[r]): (t, r) for t, r, phrasing in grid}


@cache
def _setting(prompt: str) -> tuple[int, int]:
    """Topic and risk level of a prompt."""
    return _settings()[json.loads(prompt)[-1]["content"]]


@cache
def _texts(topic: int) -> dict[str, Answer]:
    return {render(topic, answer): answer for answer in answers()}


@cache
def _columns() -> Array:
    """Features of every answer, (5, answers)."""
    return np.array(answers(), dtype=np.float64).T


@cache
def _scores(risk: int) -> Array:
    """What every answer is worth by objective at a level of risk, (answers, 4)."""
    courtesy, steps, shortcut, caution, padding = _columns()
    helpfulness = 1.3 * (steps - 1) - 0.25 * (steps - 1) ** 2 + 1.6 * shortcut
    harmlessness = -(1.2 + 0.8 * risk) * shortcut + (0.9 + 0.3 * risk) * caution
    conciseness = (
        -0.9 * (steps - 1) - 0.5 * courtesy - 0.6 * shortcut - 0.7 * caution - 0.8 * padding
    )
    politeness = 1.4 * courtesy + 0.3 * padding
    return np.column_stack([helpfulness, harmlessness, conciseness, politeness])


@cache
def _behaviour(topic: int, risk: int) -> Array:
    """Probability of every answer under the behaviour policy, (answers,)."""
    courtesy, steps, shortcut, caution, padding = _columns()
    p_shortcut = 0.30 + 0.03 * (topic % 5) - 0.04 * risk
    p_caution = 0.30 + 0.05 * risk + 0.02 * (topic % 3)
    p_steps = np.array([0.40, 0.35, 0.25])[steps.astype(int) - 1]
    p_padding = np.array([0.50, 0.30, 0.20])[padding.astype(int)]
    mass = np.where(courtesy, 0.4, 0.6) * p_steps * p_padding
    mass *= np.where(shortcut, p_shortcut, 1 - p_shortcut) * np.where(
        caution, p_caution, 1 - p_caution
    )
    return np.asarray(mass / mass.sum())


@cache
def _win_rates(topic: int, risk: int) -> Array:
    """Win rates of every answer against the behaviour policy, (answers, 4)."""
    table = _scores(risk)
    beats = expit(table[:, None, :] - table[None, :, :])
    return np.asarray(np.einsum("ijk,j->ik", beats, _behaviour(topic, risk)))
