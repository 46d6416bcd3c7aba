"""Refresh by resampling: new responses from the policy, judged, weighted against the original data."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Array = NDArray[np.float64]


class Scorer(Protocol):
    """Anything that gives Bradley-Terry rewards (n, K) for new text."""

    def scores(self, prompts: list[str], responses: list[str]) -> Array:
        """Rewards, higher better, comparable within a prompt."""


@dataclass(frozen=True)
class FreshRows:
    """Responses drawn at a refresh with their estimated win rates."""

    prompts: list[str]
    responses: list[str]
    win_rates: Array
    groups: NDArray[np.int64]


def draw_fresh_rows(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    scorer: Scorer,
    behaviour: dict[str, list[str]],
    *,
    n_prompts: int,
    n_responses: int,
    max_new_tokens: int,
    top_p: float,
    seed: int,
    share: tuple[int, int] = (0, 1),
) -> FreshRows:
    """Sample the policy on training prompts and estimate win rates against the original responses.

    Args:
        model: the policy now, the reference from here on.
        tokenizer: its tokenizer.
        scorer: preference model or judge.
        behaviour: original responses by stored prompt, the opponents.
        n_prompts: prompts drawn, at most all.
        n_responses: responses per prompt.
        max_new_tokens: longest response.
        top_p: nucleus.
        seed: of prompts and samples.
        share: rank and number of processes that draw together.
    """
    from mopo_pipeline.language.generation import sample_responses

    everything = list(behaviour)
    rng = np.random.default_rng([seed, 11])
    chosen = np.sort(
        rng.choice(len(everything), size=min(n_prompts, len(everything)), replace=False)
    )
    prompts = [everything[i] for i in chosen]
    samples = sample_responses(
        model,
        tokenizer,
        prompts,
        n=n_responses,
        max_new_tokens=max_new_tokens,
        top_p=top_p,
        seed=seed,
        share=share,
        description="fresh responses",
    )
    flat_prompts = [p for p, texts in zip(prompts, samples, strict=True) for _ in texts]
    flat = [text for texts in samples for text in texts]
    groups = np.repeat(np.arange(len(prompts)), [len(texts) for texts in samples])
    rewards = scorer.scores(flat_prompts, flat)
    win_rates = np.empty_like(rewards)
    for group, prompt in enumerate(prompts):
        opponents = scorer.scores([prompt] * len(behaviour[prompt]), behaviour[prompt])
        own = rewards[groups == group]
        win_rates[groups == group] = expit(own[:, None, :] - opponents[None, :, :]).mean(axis=1)
    return FreshRows(flat_prompts, flat, win_rates, groups)
