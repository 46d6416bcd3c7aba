"""What the processes of one run say to each other."""

import os
from typing import Any, TypeVar

T = TypeVar("T")


def rank_and_world() -> tuple[int, int]:
    """This process's number and how many there are, as the launcher says."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def from_first(value: T) -> T:
    """The value the first process holds, in every process."""
    from accelerate.utils import broadcast_object_list

    box: list[T] = broadcast_object_list([value])
    return box[0]


def from_all(value: T) -> list[T]:
    """The values of all processes, by rank."""
    from accelerate.utils import gather_object

    values: list[T] = gather_object([value])
    return values


def sharded(model: Any) -> bool:
    """Whether processes hold a part of ``model`` each (FSDP, ZeRO-3)."""
    from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel
    from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

    return isinstance(model, FSDPModule | FullyShardedDataParallel) or is_deepspeed_zero3_enabled()


def in_step(model: Any, batches: list[T]) -> list[T]:
    """Batches for this process, as many as for every other where they hold a part of ``model`` each.

    Each forward pass of such a model gathers weights from all processes and waits for them; the last
    batch is repeated where a process has fewer.
    """
    if not sharded(model):
        return batches
    most = max(from_all(len(batches)))
    return batches + batches[-1:] * (most - len(batches))
