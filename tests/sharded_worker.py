"""The training worker with accelerate made to shard (FSDP2) over CPU processes, which it refuses by itself."""

import sys
from pathlib import Path

import torch
from accelerate import state
from accelerate.utils import DistributedType

from mopo_pipeline.language.worker import main


def shard_on_the_cpu() -> None:
    def backend(self: object, *_: object, **__: object) -> tuple[str, DistributedType]:
        return "gloo", DistributedType.MULTI_GPU

    def device(self: object) -> None:
        self.device = torch.device("cpu")

    state.PartialState._prepare_backend = backend
    state.PartialState.set_device = device
    torch.distributed.init_process_group("gloo")


if __name__ == "__main__":
    shard_on_the_cpu()
    main(Path(sys.argv[1]))
    torch.distributed.destroy_process_group()
