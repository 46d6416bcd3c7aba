"""Labelled answers to prompts that nothing is trained on, and what they say of the policy now."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.language.lengths import ended_column
from mopo_pipeline.language.tokens import EncodedRows, encode
from mopo_pipeline.mopo import Comparisons
from mopo_pipeline.mopo.labelled import Seen, cautious_values
from mopo_pipeline.training.run_spec import VALIDATION

_LABELS = "validation_labels.safetensors"

_PAIRS = ("first", "second", "labels", "weights", "clusters")


@dataclass(frozen=True)
class LabelledAnswers:
    """Validation answers with the labels of pairs of them.

    Attributes:
        rows: n answers, encoded.
        prompts: (n,) prompt of each, from 0.
        comparisons: of the answers.
    """

    rows: EncodedRows
    prompts: Index
    comparisons: Comparisons

    def seen(self, logprob: Array, first_logprob: Array) -> Seen:
        """Values of the policy with these log-probabilities (n,), given those of the first reference."""
        return cautious_values(self.comparisons, logprob - first_logprob, self.prompts)


def write_validation(rows: pd.DataFrame, comparisons: Comparisons | None, directory: Path) -> None:
    """Answers and labels as files of a run's directory."""
    rows.to_parquet(directory / VALIDATION)
    if comparisons is not None:
        save_file(validation_arrays(comparisons), str(directory / _LABELS))


def read_labelled(
    directory: Path, tokenizer: Any, context: int | None
) -> tuple[LabelledAnswers, Array] | None:
    """What ``write_validation`` wrote, and log pi_ref (n,) of the answers; None where there are no labels."""
    if not (directory / _LABELS).is_file():
        return None
    arrays: dict[str, Any] = load_file(str(directory / _LABELS))
    table = pd.read_parquet(directory / VALIDATION)
    rows = encode(
        tokenizer,
        table["prompt"].tolist(),
        table["response"].tolist(),
        context,
        ended_column(table),
    )
    prompts = pd.factorize(table["prompt"])[0].astype(np.int64)
    comparisons = Comparisons(**arrays)
    first = table["reference_logprob"].to_numpy(dtype=np.float64)
    return LabelledAnswers(rows, prompts, comparisons), first


def validation_arrays(comparisons: Comparisons) -> dict[str, np.ndarray]:
    """Indices (M,), labels and weights (M, K) of comparisons and clusters (n,) of rows; their predictions are not needed."""
    found = {name: getattr(comparisons, name) for name in _PAIRS}
    return {k: np.ascontiguousarray(v) for k, v in found.items() if v is not None}
