"""Responses drawn from the policy as it is, and what a judge says of them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.judges.base import Judge, win_rates_against
from mopo_pipeline.language.processes import from_all, sharded
from mopo_pipeline.language.threads import SMALL
from mopo_pipeline.language.tokens import EncodedRows
from mopo_pipeline.mopo import JudgeError
from mopo_pipeline.mopo.labelled import Seen
from mopo_pipeline.mopo.schedule.margins import prompt_deviation
from mopo_pipeline.streams import Stream, generator

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DRAWN_AT_ONCE, BY_SMALL = 64, 512
"""Fresh responses generated in one batch, and by a small model, whose step costs hardly more for many than for few."""


@dataclass(frozen=True)
class FreshRows:
    """Responses drawn at a refresh.

    Attributes:
        prompts: n stored prompts, one per response.
        responses: n texts.
        ended: per response whether the policy ended it.
        groups: (n,) prompt index.
    """

    prompts: list[str]
    responses: list[str]
    ended: list[bool]
    groups: NDArray[np.int64]


def draw_fresh_rows(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: list[str],
    *,
    n_prompts: int,
    n_responses: int,
    max_new_tokens: int,
    top_p: float,
    seed: int,
    process: tuple[int, int] = (0, 1),
) -> FreshRows:
    """Sample the policy on training prompts.

    Args:
        model: the policy now, the reference from here on.
        tokenizer: its tokenizer.
        prompts: stored prompts to choose from.
        n_prompts: prompts drawn, at most all.
        n_responses: responses per prompt.
        max_new_tokens: longest response.
        top_p: nucleus.
        seed: of prompts and samples.
        process: rank and number of processes that draw together.
    """
    from mopo_pipeline.language.generation import sample_responses

    rng = generator(seed, Stream.FRESH_PROMPTS)
    chosen = np.sort(rng.choice(len(prompts), size=min(n_prompts, len(prompts)), replace=False))
    asked = [prompts[i] for i in chosen]
    samples = sample_responses(
        model,
        tokenizer,
        asked,
        n=n_responses,
        max_new_tokens=max_new_tokens,
        top_p=top_p,
        seed=seed,
        batch_size=at_once(model, process[1]),
        process=process,
        description="fresh responses",
    )
    return FreshRows(
        [prompt for prompt in asked for _ in range(n_responses)],
        [answer.text for answers in samples for answer in answers],
        [answer.ended for answers in samples for answer in answers],
        np.repeat(np.arange(len(asked)), n_responses),
    )


def at_once(model: Any, processes: int) -> int:
    """How many answers a process draws in one batch."""
    if sharded(model) or model.num_parameters() >= SMALL:
        return DRAWN_AT_ONCE
    return max(DRAWN_AT_ONCE, BY_SMALL // processes)


def fresh_win_rates(
    judge: Judge,
    fresh: FreshRows,
    behaviour: dict[str, list[str]],
    known: NDArray[np.bool_],
    process: tuple[int, int] = (0, 1),
) -> Array:
    """Win rates of fresh responses against the original ones; 0 for those that are not ``known``.

    Args:
        judge: scores the known responses and their opponents.
        fresh: n responses.
        behaviour: original responses by stored prompt, the opponents.
        known: (n,) responses to judge; the others lose every comparison.
        process: rank and number of processes that judge together, each its part of the prompts.

    Returns:
        (n, K) in [0, 1].
    """
    own = np.flatnonzero(known & (fresh.groups % process[1] == process[0]))
    found = win_rates_against(
        judge,
        [fresh.prompts[i] for i in own],
        [fresh.responses[i] for i in own],
        [behaviour[fresh.prompts[i]] for i in own],
    )
    win_rates = np.zeros((len(known), len(judge.objectives)))
    for rows, values in from_all((own, found)):
        win_rates[rows] = values
    return win_rates


@dataclass(frozen=True)
class Drawn:
    """Fresh responses with what is known of them.

    Attributes:
        fresh: n responses.
        rows: their tokens.
        known: (n,) responses like the data's own.
        win_rates: (n, K) judged, 0 where not known.
        units: (n,) what the prompt of each was drawn with, the prompt itself where it was drawn alone.
    """

    fresh: FreshRows
    rows: EncodedRows
    known: NDArray[np.bool_]
    win_rates: Array
    units: NDArray[np.int64]


def answered(drawn: Drawn, error: JudgeError) -> Seen:
    """Values (K,) of the policy as the judge sees its answers, less what the judge overrates them by."""
    deviation = prompt_deviation(drawn.win_rates, drawn.units)
    prompts = np.full(len(deviation), float(np.unique(drawn.units).size))
    return Seen(drawn.win_rates.mean(axis=0) - error.bias, deviation, prompts)
