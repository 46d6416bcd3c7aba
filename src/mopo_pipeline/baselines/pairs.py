"""Labelled pairs of the training split, encoded once, and which of the two a weighted sum of labels prefers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.baselines.setting import Setting
from mopo_pipeline.errors import InputError
from mopo_pipeline.language.lengths import ended_column
from mopo_pipeline.language.tokens import EncodedRows, encode
from mopo_pipeline.tables import comparison_weights

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TIE = 1e-9
"""A weighted sum of labels this close to none prefers neither."""


@dataclass(frozen=True)
class Pairs:
    """Compared responses of the training split.

    Attributes:
        rows: n encoded responses.
        first: (M,) row of each pair's first response.
        second: (M,) row of its second response.
        signs: (M, K) in [-1, 1]: 1 the first wins, -1 the second, 0 a tie or no label.
        weights: (M, K) >= 0, mean 1 over an objective's labels; 0 where there is no label.
    """

    rows: EncodedRows
    first: Index
    second: Index
    signs: Array
    weights: Array


def training_pairs(setting: Setting, tokenizer: "PreTrainedTokenizerBase") -> Pairs:
    """The pairs every rival trains on.

    Pairs of equal texts, which no policy tells apart, are left out for all.

    Raises:
        InputError: the training split has no pair, or an objective no label.
    """
    train = setting.responses.loc[setting.responses["split"] == "train"].reset_index(drop=True)
    place = {name: i for i, name in enumerate(train["response_id"])}
    text = train["response"].to_numpy()
    table = setting.comparisons.loc[setting.comparisons["split"] == "train"]
    first = table["response_a"].map(place).to_numpy(dtype=np.int64)
    second = table["response_b"].map(place).to_numpy(dtype=np.int64)
    differ = text[first] != text[second]
    names = list(setting.objectives)
    labels = table[names].to_numpy(dtype=np.float64)[differ]
    weights = np.where(np.isnan(labels), 0.0, comparison_weights(table, names)[differ])
    unlabelled = [n for n, total in zip(names, weights.sum(axis=0), strict=True) if total == 0.0]
    if unlabelled:
        raise InputError(
            f"objective {unlabelled[0]!r} has no label on a pair of different answers in the training split: rivals "
            "trained on pairs need one"
        )
    mean = weights.sum(axis=0) / (weights > 0.0).sum(axis=0)
    used, index = np.unique(np.concatenate([first[differ], second[differ]]), return_inverse=True)
    seen = train.iloc[used]
    rows = encode(
        tokenizer,
        seen["prompt"].tolist(),
        seen["response"].tolist(),
        setting.context,
        ended_column(seen),
    )
    half = len(index) // 2
    signs = np.where(weights > 0.0, 2.0 * np.nan_to_num(labels) - 1.0, 0.0)
    return Pairs(rows, index[:half], index[half:], signs, weights / mean)


def preferred(signs: Array, weights: tuple[float, ...]) -> tuple[Index, Index]:
    """Pairs that a weighted sum of labels decides, and which side it prefers.

    Args:
        signs: (M, K) in [-1, 1].
        weights: of the K objectives.

    Returns:
        Indices (m,) of the decided pairs, and 1 or -1 for each, (m,).
    """
    total = signs @ np.asarray(weights)
    decided = np.flatnonzero(np.abs(total) > TIE)
    return decided, np.sign(total[decided]).astype(np.int64)
