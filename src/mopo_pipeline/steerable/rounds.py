"""Rows of a training round: the data's own answers first, then the policy's own, each told its multipliers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.judges.base import Judge, win_rates_against
from mopo_pipeline.language.control import control_words, told
from mopo_pipeline.language.lengths import ENDED, ended_column, typical_longest
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.logprobs import row_logprobs
from mopo_pipeline.language.tokens import EncodedRows, encode
from mopo_pipeline.mopo.schedule.tempering import tempered
from mopo_pipeline.parameters.lag import FreshLag
from mopo_pipeline.policies.valued import Budget
from mopo_pipeline.steerable.lattice import Lattice, drawn_in_turn, row_weights
from mopo_pipeline.streams import Stream, generator, refresh_seed
from mopo_pipeline.training.support import like_data

AT_ONCE = 64
"""Answers generated in one batch."""


@dataclass(frozen=True)
class Told:
    """Answers of the policy to told prompts, judged.

    Attributes:
        prompts: n stored prompts, without what was said behind them.
        levels: (n,) point of the lattice each was told.
        responses: n texts.
        ended: per response whether the policy ended it.
        win_rates: (n, K) judged against the data's answers; 0 for those unlike the data.
        spent: on drawing and judging.
    """

    prompts: list[str]
    levels: Index
    responses: list[str]
    ended: list[bool]
    win_rates: Array
    spent: Budget


@dataclass(frozen=True)
class Ground:
    """What all rounds rest on.

    Attributes:
        rows: training responses, prompt_id, prompt, response, ended; a row each of ``win_rates``.
        win_rates: (N, K).
        objectives: K names, the primary first.
        lattice: of multipliers.
        model: directory of the first reference, able to read control words.
        judge: of fresh answers.
        lag: how much is drawn, and what counts as like the data.
        tau: temperature.
        pooling: of the weights' normaliser; None is chosen by the data.
        context: tokens of prompt and response, nothing said between them; longer responses are cut.
        seed: of the task.
    """

    rows: pd.DataFrame
    win_rates: Array
    objectives: tuple[str, ...]
    lattice: Lattice
    model: Path
    judge: Judge
    lag: FreshLag
    tau: float
    pooling: float | None
    context: int
    seed: int

    @cached_property
    def opponents(self) -> dict[str, list[str]]:
        """The data's training answers by stored prompt."""
        return by_prompt(self.rows)

    @cached_property
    def encoded(self) -> EncodedRows:
        """Tokens of the training answers, nothing said behind their prompts."""
        tokenizer = load_model(self.model)[1]
        texts = (self.rows["prompt"].tolist(), self.rows["response"].tolist())
        return encode(tokenizer, *texts, self.context, ended_column(self.rows))

    @cached_property
    def own_logprobs(self) -> Array:
        """Log-probabilities (N,) of the training answers under the first reference."""
        return row_logprobs(load_model(self.model)[0], self.encoded)

    def words(self, levels: Index) -> list[str]:
        """What is said behind prompts at points (n,) of the lattice."""
        names, of = self.objectives[1:], self.lattice.levels
        return [control_words(names, of[j].tolist()) for j in levels]

    def table(
        self,
        prompts: Sequence[str],
        levels: Index,
        responses: Sequence[str],
        ended: Sequence[bool],
        weights: Array,
    ) -> pd.DataFrame:
        """Rows of the trainer, points (n,) of the lattice told behind the prompts, weights (n,)."""
        said = zip(prompts, self.words(levels), strict=True)
        return pd.DataFrame(
            {
                "prompt": [told(prompt, words) for prompt, words in said],
                "response": list(responses),
                ENDED: list(ended),
                "weight": weights,
                "reference_logprob": np.nan,
            }
        )


def by_prompt(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Responses by stored prompt, in the order in which prompts first stand."""
    grouped = rows.groupby("prompt", sort=False)["response"].agg(list)
    return {str(prompt): list(responses) for prompt, responses in grouped.items()}


def first_round(ground: Ground, size: int) -> pd.DataFrame:
    """``size`` of the data's answers, as many for every point of the lattice, drawn with the weights they have there."""
    rng = generator(ground.seed, Stream.STEERABLE_ROWS)
    points = len(ground.lattice.levels)
    groups = pd.factorize(ground.rows["prompt_id"])[0].astype(np.int64)
    given: dict[str, Any] = {"tau": ground.tau, "pooling": ground.pooling}
    parts, levels = [], []
    for j, share in enumerate(np.array_split(np.arange(max(size, points)), points)):
        weights = row_weights(ground.win_rates, groups, ground.lattice.multipliers[j], **given)
        parts.append(drawn_in_turn(weights, len(share), rng))
        levels.append(np.full(len(share), j))
    chosen = ground.rows.iloc[np.concatenate(parts)]
    return ground.table(
        chosen["prompt"].tolist(),
        np.concatenate(levels),
        chosen["response"].tolist(),
        ended_column(chosen),
        np.ones(len(chosen)),
    )


def next_round(ground: Ground, model: Path, number: int) -> tuple[pd.DataFrame, Budget]:
    """The policy's own answers, each prompt told one point of the lattice, with the weights of a step further that way."""
    rng = generator(ground.seed, Stream.STEERABLE_ROWS, number)
    unique = list(ground.opponents)
    n, points = min(ground.lag.fresh_prompts, len(unique)), len(ground.lattice.levels)
    chosen = [unique[i] for i in rng.choice(len(unique), size=n, replace=False)]
    levels = np.arange(n) % points
    seed = refresh_seed(ground.seed, number, validation=False)
    drawn = draw(ground, model, chosen, levels, ground.lag.fresh_responses, seed, ground.opponents)
    return ground.table(
        drawn.prompts, drawn.levels, drawn.responses, drawn.ended, step_weights(ground, drawn)
    ), drawn.spent


def step_weights(ground: Ground, drawn: Told) -> Array:
    """Weights (n,) of drawn answers, of mean 1 at every point of the lattice, tempered there as at a refresh."""
    weights = np.ones(len(drawn.levels))
    groups = pd.factorize(pd.Series(drawn.prompts))[0].astype(np.int64)
    for j in np.unique(drawn.levels):
        own = np.flatnonzero(drawn.levels == j)
        ratio = row_weights(
            drawn.win_rates[own],
            groups[own],
            ground.lattice.multipliers[j],
            tau=ground.tau,
            pooling=ground.pooling,
        )
        weights[own] = tempered(ratio, ground.lag.target_ess)
    return weights


def draw(
    ground: Ground,
    model: Path,
    prompts: Sequence[str],
    levels: Index,
    n: int,
    seed: int,
    opponents: dict[str, list[str]],
) -> Told:
    """``n`` answers to each prompt told its point (P,) of the lattice, judged against the data's answers to it."""
    from mopo_pipeline.language.generation import sample_responses

    asked = [told(p, words) for p, words in zip(prompts, ground.words(levels), strict=True)]
    policy, tokenizer = load_model(model)
    given: dict[str, Any] = {"seed": seed, "batch_size": AT_ONCE, "top_p": ground.lag.top_p}
    longest = ground.lag.max_new_tokens or typical_longest(ground.encoded.response_lengths)
    answers = [
        answer
        for some in sample_responses(policy, tokenizer, asked, n=n, max_new_tokens=longest, **given)
        for answer in some
    ]
    texts, ended = [a.text for a in answers], [a.ended for a in answers]
    plain = np.repeat(np.array(prompts, dtype=object), n).tolist()
    rows = encode(tokenizer, plain, texts, ground.context, ended)
    known = _like_the_data(ground, rows)
    rates = np.zeros((len(texts), len(ground.objectives)))
    judged = np.flatnonzero(known)
    rates[judged] = win_rates_against(
        ground.judge,
        [plain[i] for i in judged],
        [texts[i] for i in judged],
        [opponents[plain[i]] for i in judged],
    )
    spent = Budget(generated_tokens=int(rows.response_lengths.sum()), judge_calls=len(judged))
    return Told(plain, np.repeat(levels, n), texts, ended, rates, spent)


def _like_the_data(ground: Ground, rows: EncodedRows) -> NDArray[np.bool_]:
    """Which answers (n,) the first reference finds no less likely than almost all of the data's own."""
    quantile = ground.lag.support_quantile
    if quantile is None:
        return np.ones(len(rows.ids), dtype=bool)
    logprob = row_logprobs(load_model(ground.model)[0], rows)
    return like_data(ground.own_logprobs, ground.encoded, logprob, rows, quantile)
