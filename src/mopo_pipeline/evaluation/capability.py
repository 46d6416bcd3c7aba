"""Capability before and after: what the policy says and knows beside the reference, whatever the objectives are."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array
from mopo_pipeline.pareto.bounds import of_shares
from mopo_pipeline.pareto.intervals import Interval, prompt_bootstrap, sum_by
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

    Numbers are means over prompts of what its answers say, the change is taken prompt by prompt; intervals are over what
    was drawn one by one, prompts or groups of them.

    Args:
        completions: sampled answers of both, ``n_tokens`` and both log-probabilities.
        test_logprobs: log-probabilities of the data's test answers under both.
        units: what was drawn as one, by prompt_id.
        confidence: of the intervals, two-sided.
        draws: bootstrap replicates.
        seed: of the task.

    Returns:
        JSON-ready, a row per measure: ``measure``, ``unit``, and for ``reference``, ``policy`` and ``change`` a
        value, ``low`` and ``high``; None where unknown.
    """
    rows = []
    for name, unit, measured, shares in (
        ("length", "tokens per answer", _mean("n_tokens"), False),
        ("repetition", f"share of {REPEATED}-grams said before in the answer", _repetition, True),
        (
            "diversity",
            f"distinct share of {DISTINCT}-grams of a prompt's answers",
            _diversity,
            True,
        ),
        ("entropy", "nats per answer", _entropy, False),
    ):
        tables = {n: completions.loc[completions["policy"] == n] for n in POLICIES}
        per_prompt = {n: measured(part, n) for n, part in tables.items()}
        said = paired(per_prompt, confidence, draws, seed, units, shares=shares)
        rows.append({"measure": name, "unit": unit} | said)
    likelihood = {n: test_logprobs.groupby("prompt_id")[f"logprob_{n}"].mean() for n in POLICIES}
    said = paired(likelihood, confidence, draws, seed, units)
    return [
        *rows,
        {"measure": "test likelihood", "unit": "nats per test answer of the data"} | said,
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
    *,
    shares: bool = False,
) -> dict[str, dict[str, float | None]]:
    """Means with intervals of both models and of the policy less the reference, the same prompts drawn again for all.

    Prompts are drawn with those of their unit, by prompt_id; one by one where none are given. Intervals of ``shares`` in
    [0, 1] do not close where all prompts say the same (``pareto.bounds``).
    """
    shared = per_prompt["reference"].index.intersection(per_prompt["policy"].index)
    first, own = (per_prompt[n].loc[shared].to_numpy(dtype=np.float64) for n in POLICIES)
    columns: Array = np.column_stack([first, own, own - first, np.ones(len(shared))])
    codes, drawn = pd.factorize(shared if units is None else units.loc[shared])
    sums = sum_by(columns, codes.astype(np.intp), len(drawn))
    found = prompt_bootstrap(
        sums[:, :3],
        sums[:, 3:],
        confidence=confidence,
        draws=draws,
        rng=generator(seed, Stream.CAPABILITY),
    )
    if shares:
        found = _of_shares(found)
    return {
        name: {
            "value": known(found.estimate[k]),
            "low": known(found.low[k]),
            "high": known(found.high[k]),
        }
        for k, name in enumerate((*POLICIES, "change"))
    }


def _of_shares(found: Interval) -> Interval:
    """``of_shares`` of two shares and of their difference, which lies in [-1, 1]."""
    lift, span = np.array([0.0, 0.0, 1.0]), np.array([1.0, 1.0, 2.0])
    scaled = of_shares(
        replace(
            found,
            estimate=(found.estimate + lift) / span,
            low=(found.low + lift) / span,
            high=(found.high + lift) / span,
        )
    )
    return replace(found, low=scaled.low * span - lift, high=scaled.high * span - lift)


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
