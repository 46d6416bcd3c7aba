"""Log-probabilities of many rows, each process of a run scoring its prompts."""

from typing import Any

import numpy as np
import torch
from accelerate.utils import reduce

from mopo_pipeline.arrays import Array
from mopo_pipeline.language.logprobs import row_logprobs
from mopo_pipeline.language.processes import rank_and_world
from mopo_pipeline.language.tokens import EncodedRows


def logprobs_of_all(
    model: Any,
    rows: EncodedRows,
    device: torch.device | str,
    *,
    sharing: bool,
    description: str,
) -> Array:
    """Log pi of rows (n,), each process scoring its prompts, all of them in every process.

    Args:
        model: causal language model.
        rows: n encoded rows.
        device: processes exchange tensors on.
        sharing: whether responses share their prompt.
        description: what the progress bar says.
    """
    rank, world = rank_and_world()
    own = np.flatnonzero(rows.prompts % world == rank)
    full = torch.zeros(len(rows.ids), dtype=torch.float64)
    full[own] = torch.from_numpy(
        row_logprobs(model, rows.subset(own), sharing=sharing, description=description)
    )
    if world > 1:
        full = reduce(full.to(device), "sum")
    return full.cpu().numpy()
