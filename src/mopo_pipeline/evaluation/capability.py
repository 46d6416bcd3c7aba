"""Capability before and after: what the policy says and knows beside the reference, whatever the objectives are."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array
from mopo_pipeline.pareto.intervals import prompt_bootstrap, sum_by
from mopo_pipeline.streams import Stream, generator

POLICIES = ("reference", "policy")

REPEATED = 3
"""Words of an n-gram that counts as repeated within an answer."""

DISTINCT = 2
"""Words of an n-gram that is counted over all answers to a prompt."""


def capability_rows(
    completions: pd.DataFrame,
    test_logprobs: pd.DataFrame,
    units: pd.Series,
    *,
    confidence: float,
    draws: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Length, repetition, diversity, entropy and test likelihood of both models, and what changed.

    Numbers are means over prompts of what its answers say, the change is taken prompt by prompt; what was drawn as one is
    drawn again as one.

    Args:
        completions: sampled answers of both, ``n_tokens`` and both log-probabilities.
        test_logprobs: log-probabilities of the data's test answers under both.
        units: by prompt_id what the prompt was drawn as.
        confidence: of the intervals, two-sided.
        draws: bootstrap replicates.
        seed: of the task.

    Returns:
        JSON-ready, a row per measure: ``measure``, ``unit``, and for ``reference``, ``policy`` and ``change`` a
        value, ``low`` and ``high``; None where unknown.
    """
    measures = []
    for name, unit, measured in (
        ("length", "tokens per answer", _mean("n_tokens")),
        ("repetition", f"share of {REPEATED}-grams said before in the answer", _repetition),
        ("diversity", f"distinct share of {DISTINCT}-grams of a prompt's answers", _diversity),
        ("entropy", "nats per answer", _entropy),
    ):
        tables = {n: completions.loc[completions["policy"] == n] for n in POLICIES}
        per_prompt = {n: measured(part, n) for n, part in tables.items()}
        measures.append((name, unit, per_prompt))
    likelihood = {n: test_logprobs.groupby("prompt_id")[f"logprob_{n}"].mean() for n in POLICIES}
    measures.append(("test likelihood", "nats per test answer of the data", likelihood))
    return [
        {"measure": name, "unit": unit} | paired(found, confidence, draws, seed, units)
        for name, unit, found in measures
    ]


def repeated_share(text: str, n: int = REPEATED) -> float:
    """Share of an answer's n-grams of words that it has said before; 0 where it has none.

    >>> repeated_share("a b c a b c", 3)
    0.25
    """
    grams = ngrams(text, n)
    return 1.0 - len(set(grams)) / len(grams) if grams else 0.0


def distinct_share(texts: list[str], n: int = DISTINCT) -> float:
    """Distinct over all n-grams of words of some answers (Li et al. 2016, distinct-n); 1 where they have none.

    >>> distinct_share(["a b", "a b", "a c"], 2)
    0.6666666666666666
    """
    grams = [gram for text in texts for gram in ngrams(text, n)]
    return len(set(grams)) / len(grams) if grams else 1.0


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    """Runs of n words.

    >>> ngrams("one two three", 2)
    [('one', 'two'), ('two', 'three')]
    """
    words = text.split()
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def paired(
    per_prompt: dict[str, "pd.Series[float]"],
    confidence: float,
    draws: int,
    seed: int,
    units: pd.Series | None = None,
) -> dict[str, dict[str, float | None]]:
    """Means over prompts with intervals of both models and of the policy less the reference, the same units drawn again for all.

    Args:
        per_prompt: of both models, by prompt.
        confidence: of the intervals, two-sided.
        draws: bootstrap replicates.
        seed: of the draws.
        units: by prompt what it was drawn as; None is each alone.
    """
    shared = per_prompt["reference"].index.intersection(per_prompt["policy"].index)
    first, own = (per_prompt[n].loc[shared].to_numpy(dtype=np.float64) for n in POLICIES)
    columns: Array = np.column_stack([first, own, own - first])
    codes, drawn = pd.factorize(shared if units is None else units.loc[shared])
    found = prompt_bootstrap(
        sum_by(columns, codes, len(drawn)),
        np.bincount(codes, minlength=len(drawn))[:, None].astype(np.float64),
        confidence=confidence,
        draws=draws,
        rng=generator(seed, Stream.CAPABILITY),
    )
    return {
        name: {
            "value": known(found.estimate[k]),
            "low": known(found.low[k]),
            "high": known(found.high[k]),
        }
        for k, name in enumerate((*POLICIES, "change"))
    }


def known(value: float) -> float | None:
    """A number for JSON; None where it is none."""
    return float(value) if np.isfinite(value) else None


def _mean(column: str) -> Callable[[pd.DataFrame, str], "pd.Series[float]"]:
    return lambda part, _: part.groupby("prompt_id")[column].mean()


def _repetition(part: pd.DataFrame, _: str) -> "pd.Series[float]":
    shares = part["completion"].map(repeated_share)
    return shares.groupby(part["prompt_id"]).mean()


def _diversity(part: pd.DataFrame, _: str) -> "pd.Series[float]":
    return part.groupby("prompt_id")["completion"].agg(lambda texts: distinct_share(list(texts)))


def _entropy(part: pd.DataFrame, name: str) -> "pd.Series[float]":
    return -part.groupby("prompt_id")[f"logprob_{name}"].mean()
