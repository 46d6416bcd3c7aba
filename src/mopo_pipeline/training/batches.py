"""From a step's positions in the run to the batch the model sees.

A data loader fetches ahead; a refresh between two steps changes rows and weights. So the loader hands
out positions alone, and which rows stand there is decided, and collated, when their step comes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.language.packing import PackedRows, pack, split_by_prompt
from mopo_pipeline.language.tokens import EncodedRows
from mopo_pipeline.mopo.schedule.state import LagState
from mopo_pipeline.training.loss import merge_rows
from mopo_pipeline.training.row_schedule import RowSchedule, responses_together


class Positions(torch.utils.data.Dataset[int]):
    """Positions of the run, 0 to ``size`` - 1, each an item that says only itself."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, position: int) -> int:
        return position


def collate_positions(positions: list[int]) -> dict[str, NDArray[np.int64]]:
    """What the trainer takes of a step from its loader: (B,) positions, in an array, which no GPU takes to itself."""
    return {"position": np.array(positions)}


class RowSampler:
    """Rows and weights of each position, in the order the schedule gives them.

    With ``resampling`` rows are drawn in proportion to their weight and every draw counts alike; with
    ``loss`` rows are drawn uniformly and the weight multiplies. Both have the same expected gradient.

    Args:
        schedule: order of the draws.
        weighting: ``resampling`` or ``loss``.
        sharing: the model computes a prompt once for several responses.
    """

    def __init__(self, schedule: RowSchedule, weighting: str, sharing: bool) -> None:
        self.schedule, self.sharing = schedule, sharing
        self.in_loss = weighting == "loss"

    def take(self, rows: EncodedRows, state: LagState) -> None:
        """Draw from these rows by these weights from the next position asked for."""
        self._weights = state.weights
        weights = state.active.astype(np.float64) if self.in_loss else state.weights
        together = 1
        if self.sharing:
            together = responses_together(
                rows.prompts,
                rows.prompt_lengths,
                rows.response_lengths,
                weights,
                self.schedule.batch_size,
            )
        self.schedule.reset(rows.lengths, weights, rows.prompts, together)

    def draw(self, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], Array]:
        """Row of each position (B,), and what each draw counts in the loss (B,)."""
        drawn = self.schedule.rows(positions)
        return drawn, self._weights[drawn] if self.in_loss else np.ones(len(drawn))


@dataclass(frozen=True)
class WeightedBatch:
    """Distinct rows of one step.

    Attributes:
        packed: their tokens.
        rows: (rows,) which they are, in the order of ``packed``.
        weight: (rows,) float32, the sum of what their draws count.
        draws: how many draws they stand for.
    """

    packed: PackedRows
    rows: NDArray[np.int64]
    weight: torch.Tensor
    draws: int


def collate(
    rows: EncodedRows,
    drawn: NDArray[np.int64],
    counts: Array,
    hidden: int | None,
    device: torch.device | str,
) -> WeightedBatch:
    """Lay out the drawn rows, each once, prompts once where they are shared.

    Args:
        rows: all rows of the data.
        drawn: (B,) indices, with repetitions.
        counts: (B,) what each draw counts, >= 0.
        hidden: width of the model; None shares no prompt.
        device: where the batch goes.
    """
    chosen, weights = merge_rows(rows.representatives[drawn], counts)
    pieces = split_by_prompt(rows, chosen, hidden)
    order = np.concatenate(pieces)
    weight = torch.as_tensor(weights[np.searchsorted(chosen, order)], dtype=torch.float32)
    return WeightedBatch(pack(rows, pieces).to(device), order, weight.to(device), len(drawn))
