"""Pocket data under a policy whose values are known exactly, and a judge that is wrong by design."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mopo_pipeline.pocket import task as pocket
from mopo_pipeline.preferences.model import PreferenceModel
from mopo_pipeline.tables import weight_columns

OBJECTIVES = pocket.OBJECTIVES
LIKES = np.array([0.8, 0.5, 0.0])
"""How much the policy likes what each objective scores: log pi/mu per unit of score."""


@dataclass(frozen=True)
class World:
    """Test tables, and the policy's exact values (3,) on their prompts."""

    responses: pd.DataFrame
    comparisons: pd.DataFrame
    logprobs: pd.DataFrame
    truth: np.ndarray


class PleasedJudge(PreferenceModel):
    """The task's own scores, and more of every objective for what the policy likes."""

    def __init__(self, wrong: float) -> None:
        self.objectives, self.wrong = OBJECTIVES, wrong

    def scores(self, prompts: list[str], responses: list[str]) -> np.ndarray:
        places = {answer: i for i, answer in enumerate(pocket.answers())}
        rows = [places[pocket.parse(p, r)] for p, r in zip(prompts, responses, strict=True)]
        tables = np.array([pocket.scores(p)[row] for p, row in zip(prompts, rows, strict=True)])
        return tables + self.wrong * (tables @ LIKES)[:, None]


def world(seed: int, prompts: int = 36, answers: int = 16, pairs: int = 24) -> World:
    """Labelled pocket data, all of it test split, every prompt a draw of its own, and a policy tilted towards ``LIKES``."""
    rng = np.random.default_rng(seed)
    responses, comparisons = pocket.generate(prompts, answers, pairs, rng)
    responses = responses.drop(columns="group")
    place = {answer: i for i, answer in enumerate(pocket.answers())}
    logs, truth = {}, []
    for prompt in responses["prompt"].unique():
        behaviour = pocket.behaviour(prompt)
        tilt = pocket.scores(prompt) @ LIKES
        tilt -= np.log(behaviour @ np.exp(tilt))
        logs[prompt] = tilt
        truth.append((behaviour * np.exp(tilt)) @ pocket.exact_win_rates(prompt))
    gap = [
        logs[p][place[pocket.parse(p, r)]]
        for p, r in zip(responses["prompt"], responses["response"], strict=True)
    ]
    logprobs = responses[["response_id"]].assign(logprob_policy=gap, logprob_reference=0.0)
    split = {"split": "test"}
    return World(
        responses.assign(**split),
        comparisons.assign(**dict.fromkeys(weight_columns(pocket.OBJECTIVES), 1.0), **split),
        logprobs,
        np.mean(truth, axis=0),
    )
