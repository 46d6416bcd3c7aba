"""Best of n: n answers of the reference, the one the judge's weighted score likes best is given."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.baselines.policies import FolderPolicy
from mopo_pipeline.baselines.setting import RivalPolicy, Setting
from mopo_pipeline.baselines.sweep import swept
from mopo_pipeline.baselines.weights import Weights
from mopo_pipeline.errors import InputError
from mopo_pipeline.judges.base import Scorer, score
from mopo_pipeline.language.generation import Answer
from mopo_pipeline.parameters.baselines import BestOfNParams
from mopo_pipeline.policies.valued import Budget


@dataclass(frozen=True)
class BestOfN:
    """A policy that draws n answers and gives one.

    Attributes:
        folder: model the answers are drawn from.
        judge: scores them.
        weights: of its K objectives, each divided by the objective's spread already.
        n: answers drawn for one.
    """

    folder: Path
    judge: Scorer = field(repr=False)
    weights: tuple[float, ...]
    n: int

    def liked(self, prompts: list[str], texts: list[str]) -> Array:
        """Weighted score of every answer, (m,)."""
        return np.asarray(score(self.judge, prompts, texts) @ np.asarray(self.weights))

    def answer_logprobs(
        self, prompts: list[str], texts: list[str], ended: Sequence[bool] | None = None
    ) -> Array:
        """Log of the probability that an answer is given, (m,), nats.

        The answers listed for a prompt must be all that can be drawn, but for what is drawn instead: that
        mass counts as liked less than every answer listed. An answer is given where all n draws are liked no
        more than it and not all less; answers liked alike share the probability in proportion to their mass.

        Args:
            prompts: stored prompts, one per answer.
            texts: answers, none twice for one prompt.
            ended: per answer whether the model ended it; None says all were.
        """
        mass = np.exp(FolderPolicy(self.folder).answer_logprobs(prompts, texts, ended))
        liked, given = self.liked(prompts, texts), np.empty(len(texts))
        codes = np.unique(np.array(prompts), return_inverse=True)[1]
        for code in range(codes.max() + 1):
            rows = np.flatnonzero(codes == code)
            given[rows] = best_of(mass[rows], liked[rows], self.n)
        with np.errstate(divide="ignore"):
            return np.log(given)

    def divergence(self) -> float:
        """KL from the reference, nats per answer, where no two draws are liked alike; less where some are.

        Of listed answers ``answer_logprobs`` says it exactly. A few drawn ones do not: each of them alone seems n
        times as likely as under the reference, log n nats.
        """
        return float(np.log(self.n) - (self.n - 1) / self.n)

    def sample(
        self, prompts: list[str], *, n: int, seed: int, **decoding: Any
    ) -> list[list[Answer]]:
        """``n`` answers to every prompt, each the best of its own draws."""
        drawn = FolderPolicy(self.folder).sample(prompts, n=n * self.n, seed=seed, **decoding)
        flat = [(p, a) for p, answers in zip(prompts, drawn, strict=True) for a in answers]
        liked = self.liked([p for p, _ in flat], [a.text for _, a in flat])
        best = liked.reshape(len(prompts), n, self.n).argmax(axis=2)
        return [
            [answers[k * self.n + i] for k, i in enumerate(chosen)]
            for answers, chosen in zip(drawn, best, strict=True)
        ]


def best_of(mass: Array, liked: Array, n: int) -> Array:
    """Probability (m,) that each of m answers is the best of n draws.

    >>> best_of(np.array([0.5, 0.5]), np.array([0.0, 1.0]), 2).tolist()
    [0.25, 0.75]

    Args:
        mass: (m,) probability of a draw; what is missing to 1 is liked less than all of them.
        liked: (m,) higher better.
        n: draws.
    """
    levels, of = np.unique(liked, return_inverse=True)
    at = np.bincount(of, weights=mass, minlength=len(levels))
    below = max(0.0, 1.0 - float(mass.sum())) + np.concatenate([[0.0], np.cumsum(at)[:-1]])
    with np.errstate(divide="ignore", invalid="ignore"):
        won = np.where(below > 0.0, below**n * np.expm1(n * np.log1p(at / below)), at**n)
    share = np.divide(mass, at[of], out=np.zeros_like(mass), where=at[of] > 0.0)
    return np.asarray(won[of] * share)


def train(setting: Setting, params: BestOfNParams) -> tuple[RivalPolicy, ...]:
    """Nothing is trained; every answer costs n of the reference's, and n scores.

    Raises:
        InputError: the setting has no judge.
    """
    judge = judge_of(setting, "best_of_n")
    spread = score_spread(setting, judge)
    tokens = mean_tokens(setting)

    def policy(weights: Weights, _: list[Path]) -> tuple[BestOfN, Budget]:
        scaled = tuple((np.asarray(weights) / spread).tolist())
        cost = Budget(generated_tokens=round(params.n * tokens), judge_calls=params.n)
        return BestOfN(setting.reference, judge, scaled, params.n), cost

    return swept("best_of_n", "decode_time", setting, params, lambda _: [], policy)


def judge_of(setting: Setting, method: str) -> Scorer:
    """The setting's judge.

    Raises:
        InputError: it has none, or one that compares answers and scores none.
    """
    if setting.judge is None:
        raise InputError(
            f"{method} needs scores of answers, but the task has no judge: leave it out of the methods"
        )
    if not isinstance(setting.judge, Scorer):
        raise InputError(
            f"{method} needs scores of answers, but the judge {setting.judge.name!r} compares two of them: leave it out "
            "of the methods, or name a judge that scores"
        )
    return setting.judge


def score_spread(setting: Setting, judge: Scorer) -> Array:
    """Standard deviation of each objective's score over the training split's answers, (K,); 1 where all are alike."""
    train_rows = setting.responses.loc[setting.responses["split"] == "train"]
    table = score(judge, train_rows["prompt"].tolist(), train_rows["response"].tolist())
    spread = table.std(axis=0)
    return np.where(spread > 0.0, spread, 1.0)


def mean_tokens(setting: Setting) -> float:
    """Tokens of the data's mean answer, end included."""
    from mopo_pipeline.language.lengths import encode_all
    from mopo_pipeline.language.loading import load_tokenizer

    return float(
        encode_all(load_tokenizer(setting.reference), setting.responses).response_lengths.mean()
    )
