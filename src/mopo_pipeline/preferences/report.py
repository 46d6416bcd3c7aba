"""Quality of the labels: what a person checks before trusting them."""

from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.preferences.agreement import krippendorff_alpha

ONE_SIDED, SURELY = 0.95, 0.8
"""Share of decided labels that one side wins from which that is told, if its interval begins above the second."""

SINGLE_RATINGS = "every answer has one rating, taken for what people say of it: how far raters differ is not in these data"


def quality_report(
    judgements: pd.DataFrame, comparisons: pd.DataFrame, objectives: tuple[str, ...]
) -> dict[str, Any]:
    """Counts, ties, missing labels, position bias, cycles and how far votes on one pair agree, per objective.

    Position bias is the share of decided raw judgements won by the response shown first, with a 95
    % interval; comparisons made from ratings have no position, and none is reported.
    """
    return {
        "comparisons": len(comparisons),
        "prompts": int(comparisons["prompt_id"].nunique()),
        "assumed": SINGLE_RATINGS if judgements.empty else None,
        "objectives": {
            name: _counts(comparisons[name])
            | {
                "position_bias": _position_bias(judgements, name),
                "cycles": _cycles(comparisons, name),
                "repeated_votes": _repeated_votes(judgements, name),
            }
            for name in objectives
        },
    }


def one_sided(report: dict[str, Any]) -> list[str]:
    """A sentence for each objective whose labels nearly always favour the same side of their pairs.

    Args:
        report: of ``quality_report``.
    """
    told = []
    for name, found in report["objectives"].items():
        bias = found["position_bias"]
        for side, share, low in (
            ()
            if bias is None
            else (
                ("response_a", bias["first_wins"], bias["ci_low"]),
                ("response_b", 1.0 - bias["first_wins"], 1.0 - bias["ci_high"]),
            )
        ):
            if share > ONE_SIDED and low > SURELY:
                told.append(
                    f"{name}: {side} wins {share:.0%} of the decided labels. That is well where the better answer was "
                    "always put on one side; else labels are not read as they are meant (1 says a wins, 0 b wins, .5 a "
                    "tie; signed ones need ingest.strongest)"
                )
    return told


def agreement_matrix(comparisons: pd.DataFrame, objectives: tuple[str, ...]) -> pd.DataFrame:
    """Mean of sign(a) sign(b) over comparisons both objectives decide or tie, in [-1, 1].

    1: the objectives always prefer the same response; -1: always the opposite one.
    """
    signs = np.sign(comparisons[list(objectives)].to_numpy() - 0.5)
    matrix = np.array(
        [
            [np.nanmean(signs[:, i] * signs[:, j]) for j in range(len(objectives))]
            for i in range(len(objectives))
        ]
    )
    return pd.DataFrame(matrix, columns=list(objectives)).assign(objective=list(objectives))


def _counts(labels: pd.Series) -> dict[str, Any]:
    present = labels.dropna()
    ties = int((present == 0.5).sum())
    return {
        "labelled": len(present),
        "missing": int(labels.isna().sum()),
        "ties": ties,
        "tie_share": ties / len(present) if len(present) else None,
    }


def _position_bias(judgements: pd.DataFrame, name: str) -> dict[str, float] | None:
    if name not in judgements:
        return None
    decided = judgements[name].dropna()
    decided = decided[decided != 0.5]
    if decided.empty:
        return None
    from scipy.stats import binomtest

    test = binomtest(int((decided > 0.5).sum()), len(decided))
    interval = test.proportion_ci(0.95, method="wilson")
    return {
        "first_wins": float(test.statistic),
        "ci_low": float(interval.low),
        "ci_high": float(interval.high),
    }


def _repeated_votes(judgements: pd.DataFrame, name: str) -> dict[str, float | None] | None:
    """Pairs with two votes or more, the chance that two of them say the same, and Krippendorff's alpha.

    A person's later votes on a pair are left out of both where annotators have names.
    """
    if name not in judgements:
        return None
    told = judgements.dropna(subset=[name])
    turned = (told["response_a"] > told["response_b"]).to_numpy()
    ends = pd.factorize(pd.concat([told["response_a"], told["response_b"]]))[0].reshape(2, -1)
    pair = ends.min(axis=0) * (int(ends.max(initial=0)) + 1) + ends.max(axis=0)
    labels = told[name].to_numpy(dtype=np.float64)
    votes = pd.DataFrame({"pair": pair, "label": np.where(turned, 1.0 - labels, labels)})
    if "annotator" in told:
        votes["annotator"] = told["annotator"].to_numpy()
        votes = votes[(votes["annotator"] == "") | ~votes.duplicated(["pair", "annotator"])]
    counts = votes.groupby(["pair", "label"]).size()
    total = counts.groupby(level="pair").sum()
    same = (counts * (counts - 1)).groupby(level="pair").sum()
    repeated = total > 1
    if not repeated.any():
        return None
    chance = same[repeated] / (total[repeated] * (total[repeated] - 1))
    alpha = krippendorff_alpha(votes["pair"].to_numpy(), votes["label"].to_numpy())
    return {
        "pairs": int(repeated.sum()),
        "agreement": float(chance.mean()),
        "alpha": None if alpha is None else alpha["alpha"],
    }


def _cycles(comparisons: pd.DataFrame, name: str) -> dict[str, int]:
    """Triples of responses all decided between each other, and those that are intransitive."""
    triples = cycles = 0
    decided = comparisons.loc[comparisons[name].notna() & (comparisons[name] != 0.5)]
    prompts = pd.factorize(decided["prompt_id"])[0]
    ends = pd.factorize(pd.concat([decided["response_a"], decided["response_b"]]))[0]
    won, lost = ends.reshape(2, -1)
    turned = decided[name].to_numpy() < 0.5
    won, lost = np.where(turned, lost, won), np.where(turned, won, lost)
    order = np.argsort(prompts, kind="stable")
    for rows in np.split(order, np.cumsum(np.bincount(prompts))[:-1]):
        ids, codes = np.unique([won[rows], lost[rows]], return_inverse=True)
        winners, losers = codes.reshape(2, -1)
        beats = np.zeros((len(ids), len(ids)))
        beats[winners, losers] = 1.0
        both = np.maximum(beats, beats.T)
        triples += round(np.trace(both @ both @ both) / 6)
        cycles += round(np.trace(beats @ beats @ beats) / 3)
    return {"triples": triples, "intransitive": cycles}
