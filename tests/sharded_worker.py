"""The training worker with accelerate made to shard (FSDP2) over CPU processes, which it ignores by itself."""

import os
import sys
from pathlib import Path

import torch
from accelerate import state
from accelerate.utils import DistributedType

from mopo_pipeline.language import logprobs
from mopo_pipeline.launching.worker import main


def shard_on_the_cpu() -> None:
    def backend(self: object, *_: object, **__: object) -> tuple[str, DistributedType]:
        return "gloo", DistributedType.MULTI_GPU

    def device(self: object) -> None:
        self.device = torch.device("cpu")

    state.PartialState._prepare_backend = backend
    state.PartialState.set_device = device
    torch.distributed.init_process_group("gloo")


def score_in_uneven_batches() -> None:
    """The first process scores in one batch, the second row by row: both must run as many passes."""
    cut = logprobs.length_batches
    if os.environ["RANK"] == "1":
        logprobs.length_batches = lambda lengths, rows, tokens: cut(lengths, rows, 1)


if __name__ == "__main__":
    shard_on_the_cpu()
    score_in_uneven_batches()
    main(Path(sys.argv[1]))
    torch.distributed.destroy_process_group()
