"""Pocket answers of a policy whose exact values are known, and judges that are flat, deaf or contrary by design."""

import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from mopo_pipeline.judges.pocket import PocketRules
from mopo_pipeline.pocket import task as pocket
from pocket_world import LIKES, World, world


@cache
def everything() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every prompt of the task: scores (P, 72, 3), behaviour (P, 72), policy tilted to ``LIKES`` (P, 72)."""
    prompts = pocket.prompts()
    scores = np.array([pocket.scores(p) for p in prompts])
    behaviour = np.array([pocket.behaviour(p) for p in prompts])
    policy = behaviour * np.exp(scores @ LIKES)
    return scores, behaviour, policy / policy.sum(axis=1, keepdims=True)


@cache
def truth() -> np.ndarray:
    """Exact values (3,) of the policy over all prompts."""
    _, _, policy = everything()
    rates = np.array([pocket.exact_win_rates(p) for p in pocket.prompts()])
    return np.einsum("pa,pak->k", policy, rates) / len(rates)


@dataclass(frozen=True)
class Judged:
    """A labelled world in three splits and the policy's answers to its test prompts."""

    given: World
    completions: pd.DataFrame


def judged_world(seed: int, validation: int = 40, test: int = 40, answers: int = 16) -> Judged:
    made = world(seed, validation + test, answers)
    ids = made.responses["prompt_id"].unique()
    split = dict(zip(ids, ["validation"] * validation + ["test"] * test, strict=True))
    responses, comparisons = (
        table.assign(split=table["prompt_id"].map(split))
        for table in (made.responses, made.comparisons)
    )
    rng = np.random.default_rng([seed, 1])
    place = {prompt: i for i, prompt in enumerate(pocket.prompts())}
    asked = responses.loc[responses["split"] == "test", ["prompt_id", "prompt"]].drop_duplicates()
    rows = []
    for prompt_id, prompt in asked.itertuples(index=False):
        texts = pocket.exact_problem([prompt]).texts
        drawn = rng.choice(72, size=8, p=everything()[2][place[prompt]])
        rows += [(prompt_id, prompt, "policy", texts[i]) for i in drawn]
    completions = pd.DataFrame(rows, columns=["prompt_id", "prompt", "policy", "completion"])
    completions["completion_id"] = [f"c{i}" for i in range(len(rows))]
    return Judged(World(responses, comparisons, made.logprobs, made.truth), completions)


class Scaled(PocketRules):
    """The task's rules, every score times a factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def scores(self, prompts: list[str], responses: list[str]) -> np.ndarray:
        return self.factor * super().scores(prompts, responses)


class Deaf(PocketRules):
    """Its scores have nothing to do with what is said."""

    def scores(self, prompts: list[str], responses: list[str]) -> np.ndarray:
        seeds = [zlib.crc32(f"{p}|{r}".encode()) for p, r in zip(prompts, responses, strict=True)]
        return np.array([np.random.default_rng(seed).normal(size=3) for seed in seeds])
