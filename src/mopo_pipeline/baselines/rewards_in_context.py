"""Rewards in context: answers are learned behind the scores they have, and asked for with the scores one wants."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.baselines.best_of_n import judge_of
from mopo_pipeline.baselines.policies import FolderPolicy, ToldPolicy, whole_model
from mopo_pipeline.baselines.setting import RivalPolicy, Setting, Training
from mopo_pipeline.baselines.sweep import swept
from mopo_pipeline.baselines.trained import DivergedError, stored
from mopo_pipeline.baselines.weights import Weights
from mopo_pipeline.errors import MopoError
from mopo_pipeline.judges.base import score
from mopo_pipeline.language.control import context_with, control_words, told, with_words
from mopo_pipeline.language.lengths import ENDED, ended_column
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.launching.run import TrainingRun
from mopo_pipeline.launching.run import train as train_rows
from mopo_pipeline.parameters.baselines import InContextParams
from mopo_pipeline.policies.valued import Budget
from mopo_pipeline.streams import Stream, generator, refresh_seed

NAME = "rewards_in_context"
Levels = NDArray[np.int64]


@dataclass(frozen=True)
class Scale:
    """Scores in levels.

    Attributes:
        low: (K,) least score of the training split's answers.
        high: (K,) greatest.
        levels: how many there are.
    """

    low: Array
    high: Array
    levels: int

    def level(self, scores: Array) -> Levels:
        """Levels (n, K) from 0 of scores (n, K)."""
        width = np.where(self.high > self.low, self.high - self.low, 1.0)
        share = ((scores - self.low) / width).clip(0.0, 1.0)
        return np.asarray(np.rint(share * (self.levels - 1)), dtype=np.int64)


def wanted(weights: Weights, levels: int) -> list[int]:
    """Levels asked for with these weights: weights of Euclidean length 1 along each score's range.

    >>> wanted((1.0, 0.0), 8), wanted((0.5, 0.5), 8)
    ([7, 0], [5, 5])
    """
    w = np.asarray(weights)
    return [int(level) for level in np.rint(w / np.linalg.norm(w) * (levels - 1))]


def train(setting: Setting, params: InContextParams) -> tuple[RivalPolicy, ...]:
    """One training for all weights.

    Raises:
        InputError: the setting has no judge.
    """
    judge = judge_of(setting, NAME)
    rows = setting.responses.loc[setting.responses["split"] == "train"].reset_index(drop=True)
    identity = params.model_dump(mode="json", exclude={"weights", "divisions"})
    scores = score(judge, rows["prompt"].tolist(), rows["response"].tolist())
    texts = pd.util.hash_pandas_object(rows[["prompt", "response"]], index=False).to_numpy()
    data = {"scores": scores, "texts": texts.astype(np.float64)}
    trained = stored(
        setting,
        NAME,
        "mopo_pipeline.baselines.rewards_in_context",
        identity,
        data,
        lambda target: _make(setting, params, rows, scores, target),
    )
    shared: list[Training] = [trained]

    def policy(weights: Weights, folders: list[Path]) -> tuple[FolderPolicy, Budget]:
        words = control_words(setting.objectives, wanted(weights, params.levels))
        return ToldPolicy(folders[0], words), Budget()

    return swept(NAME, "trained", setting, params, lambda _: shared, policy)


def _make(
    setting: Setting, params: InContextParams, rows: pd.DataFrame, scores: Array, target: Path
) -> Budget:
    """Train on the data's answers, then on those and the policy's own, rounds alike in steps; scores are (n, K)."""
    scale = Scale(scores.min(axis=0), scores.max(axis=0), params.levels)
    model = with_words(
        setting.reference,
        setting.objectives,
        params.levels,
        setting.seed,
        target.parent / "initial",
    )
    steps = max(1, setting.fit.steps // (params.rounds + 1))
    data = _rows(setting, rows, ended_column(rows), scale.level(scores))
    floor = np.quantile(scores, params.quantile, axis=0)
    best = data.iloc[np.flatnonzero((scores >= floor).any(axis=1))]
    spent = Budget(judge_calls=len(rows))
    own: list[pd.DataFrame] = []
    for round_ in range(params.rounds + 1):
        if round_:
            drawn, cost = _drawn(setting, params, rows, scale, floor, model, round_)
            own, spent = [*own, drawn], spent + cost
            data = pd.concat([best, *own], ignore_index=True)
        model = _fitted(setting, params, data, model, steps, target.parent, spent)
        spent += Budget(sequences=steps * setting.fit.batch_size * setting.fit.accumulation)
    trained, tokenizer = load_model(model, device="cpu")
    trained.save_pretrained(target)
    tokenizer.save_pretrained(target)
    return spent


def _fitted(
    setting: Setting,
    params: InContextParams,
    data: pd.DataFrame,
    model: Path,
    steps: int,
    work: Path,
    spent: Budget,
) -> Path:
    """A model trained further on rows of equal weight, an adapter folded in.

    Raises:
        DivergedError: training stopped.
    """
    fit = setting.fit.model_copy(update={"steps": steps, "learning_rate": params.learning_rate})
    words = control_words(setting.objectives, [params.levels - 1] * len(setting.objectives))
    known = setting.context
    context = None if known is None else context_with(model, words, known)
    run = TrainingRun(NAME, model, data, fit, setting.seed, lora=setting.lora, context=context)
    try:
        left = train_rows(run, work).directory
    except MopoError as error:
        raise DivergedError(str(error), spent) from error
    if not (left / "adapter_config.json").is_file():
        return left
    whole, tokenizer = whole_model(left)
    whole.save_pretrained(left.parent / "whole")
    tokenizer.save_pretrained(left.parent / "whole")
    return left.parent / "whole"


def _rows(
    setting: Setting, table: pd.DataFrame, ended: Sequence[bool], levels: Levels
) -> pd.DataFrame:
    """Rows of the trainer, each prompt telling the levels (n, K) of its answer."""
    asked = [
        told(prompt, control_words(setting.objectives, level))
        for prompt, level in zip(table["prompt"], levels.tolist(), strict=True)
    ]
    return pd.DataFrame(
        {
            "prompt": asked,
            "response": table["response"].tolist(),
            ENDED: list(ended),
            "weight": 1.0,
            "reference_logprob": np.nan,
        }
    )


def goals(levels: int, objectives: int, n: int, rng: np.random.Generator) -> Levels:
    """Levels (n, K) to ask for: all the highest but one, which is drawn."""
    drawn = rng.integers(levels, size=(n, objectives))
    lowest = drawn.argmin(axis=1)
    asked = np.full((n, objectives), levels - 1)
    asked[np.arange(n), lowest] = drawn[np.arange(n), lowest]
    return asked


def _drawn(
    setting: Setting,
    params: InContextParams,
    rows: pd.DataFrame,
    scale: Scale,
    floor: Array,
    model: Path,
    round_: int,
) -> tuple[pd.DataFrame, Budget]:
    """The policy's own answers to high goals, those kept that are above ``floor`` (K,) somewhere, with the levels they have."""
    from mopo_pipeline.language.lengths import typical_longest
    from mopo_pipeline.language.tokens import encode

    rng = generator(setting.seed, Stream.FRESH_PROMPTS, round_)
    unique = rows["prompt"].unique()
    n = min(params.prompts, len(unique))
    prompts = [str(unique[i]) for i in np.sort(rng.choice(len(unique), size=n, replace=False))]
    asked = goals(scale.levels, len(setting.objectives), n, rng)
    questions = [
        told(p, control_words(setting.objectives, level))
        for p, level in zip(prompts, asked.tolist(), strict=True)
    ]
    policy = FolderPolicy(model)
    tokenizer = policy.load()[1]
    known = encode(tokenizer, rows["prompt"].tolist(), rows["response"].tolist(), None)
    answers = policy.sample(
        questions,
        n=params.answers,
        max_new_tokens=typical_longest(known.response_lengths),
        seed=refresh_seed(setting.seed, round_, validation=False),
        batch_size=setting.fit.batch_size,
        temperature=1.0,
        top_p=1.0,
    )
    pairs = [(p, a) for p, given in zip(prompts, answers, strict=True) for a in given]
    table = pd.DataFrame({"prompt": [p for p, _ in pairs], "response": [a.text for _, a in pairs]})
    found = score(judge_of(setting, NAME), table["prompt"].tolist(), table["response"].tolist())
    tokens = encode(
        tokenizer,
        table["prompt"].tolist(),
        table["response"].tolist(),
        None,
        [a.ended for _, a in pairs],
    ).response_lengths
    keep: Index = np.flatnonzero((found >= floor).any(axis=1))
    ended = [pairs[i][1].ended for i in keep]
    kept = _rows(setting, table.iloc[keep], ended, scale.level(found[keep]))
    return kept, Budget(generated_tokens=int(tokens.sum()), judge_calls=len(pairs))
