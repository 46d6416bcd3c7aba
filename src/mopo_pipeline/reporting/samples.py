"""Answers that a page shows: some drawn, and some sought out because they are what a reader must see."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.evaluation.summary import well_formed
from mopo_pipeline.language.lengths import cut_column
from mopo_pipeline.tables import chat_messages

DRAWN = "drawn, not chosen"


@dataclass(frozen=True)
class _Shown:
    """What a sample needs beside its own row.

    Attributes:
        first: the first answer of each policy to each prompt, by both.
        rates: win rates by objective and completion.
        judge: whose win rates they are; None where nothing judged.
        malformed: completions that have not the form the task asks for; empty where it asks for none.
    """

    first: Mapping[tuple[str, str], pd.Series]
    rates: Mapping[str, Mapping[Any, float]]
    judge: str | None
    malformed: frozenset[Any]

    def answer(self, row: pd.Series) -> dict[str, Any]:
        """An answer with its win rate per objective, where it has them, and whether it is malformed."""
        name = row["completion_id"]
        return {
            "text": row["completion"],
            "malformed": name in self.malformed,
            "win_rates": {k: of[name] for k, of in self.rates.items() if name in of},
        }

    def sample(self, row: pd.Series) -> dict[str, Any]:
        """A policy's answer beside the reference's first to the same prompt."""
        beside = self.first.get((row["prompt_id"], "reference"))
        answers = {} if beside is None else {"reference": self.answer(beside)}
        return {
            "judge": self.judge,
            "messages": chat_messages(row["prompt"]),
            "answers": answers | {row["policy"]: self.answer(row)},
        }


def sample_groups(
    completions: pd.DataFrame,
    scores: pd.DataFrame,
    objectives: tuple[str, ...],
    prompts: int,
    grammar: bool,
) -> list[dict[str, Any]]:
    """Groups of the policy's answers, each beside the reference's first answer to the same prompt.

    Args:
        completions: answers of both models.
        scores: win rates of each by each judge; the first judge's are shown.
        objectives: K names.
        prompts: most samples of a group.
        grammar: whether the task says which answers are malformed.

    Returns:
        Groups with a ``title`` and ``samples``, those drawn first; groups without samples are left out.
    """
    if prompts < 1 or completions.empty:
        return []
    wrong = completions.loc[~well_formed(completions)] if grammar else completions.iloc[:0]
    malformed = frozenset(wrong["completion_id"])
    shown = _shown(completions, scores, objectives, malformed)
    own = completions.loc[completions["policy"] == "policy"]
    groups = [(f"Evenly spaced test prompts, first answers ({DRAWN})", _spaced(own, prompts))]
    for name in objectives:
        judged = own.assign(rate=own["completion_id"].map(shown.rates.get(name, {})))
        worst = judged.dropna(subset=["rate"]).sort_values("rate", kind="stable")
        groups.append((f"Worst on {name}", _one_per_prompt(worst, prompts)))
    for title, rows in (
        ("Malformed", own.loc[own["completion_id"].isin(malformed)]),
        ("Empty", own.loc[own["completion"].str.strip() == ""]),
        ("Cut at the greatest length", own.loc[cut_column(own)]),
        ("Longest", own.sort_values("n_tokens", ascending=False, kind="stable")),
    ):
        groups.append((title, _one_per_prompt(rows, prompts)))
    return [
        {"title": title, "samples": [shown.sample(row) for _, row in rows.iterrows()]}
        for title, rows in groups
        if len(rows)
    ]


def _shown(
    completions: pd.DataFrame,
    scores: pd.DataFrame,
    objectives: tuple[str, ...],
    malformed: frozenset[Any],
) -> _Shown:
    judge = scores["judge"].iloc[0] if len(scores) else None
    judged = scores.loc[scores["judge"] == judge].set_index("completion_id")
    first = completions.drop_duplicates(["prompt_id", "policy"])
    return _Shown(
        {(row["prompt_id"], row["policy"]): row for _, row in first.iterrows()},
        {name: judged[f"{name}_win_rate"].astype(float).to_dict() for name in objectives},
        judge,
        malformed,
    )


def _spaced(own: pd.DataFrame, most: int) -> pd.DataFrame:
    """The first answers to evenly spaced prompts."""
    first = own.drop_duplicates("prompt_id")
    return first.iloc[np.unique(np.linspace(0, len(first) - 1, min(most, len(first))).astype(int))]


def _one_per_prompt(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """The first rows in their order, no prompt twice."""
    return rows.drop_duplicates("prompt_id").head(most)
