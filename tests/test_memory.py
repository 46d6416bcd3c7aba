"""Memory that does not suffice ends a run with one line that says what asks for less."""

import pytest

from mopo_pipeline.launching.failures import TrainingFailedError
from mopo_pipeline.memory import exhausted, memory_error


@pytest.mark.parametrize(
    ("stage", "parameter"),
    [
        ("reference", "reference.fit.batch_size"),
        ("train", "train.fit.gradient_checkpointing"),
        ("evaluate", "evaluate.batch_tokens"),
        ("ingest", "ingest.limit"),
    ],
)
def test_what_asks_for_less_is_named_by_stage(stage: str, parameter: str) -> None:
    assert parameter in str(memory_error(stage, MemoryError()))


def test_an_accelerators_error_is_told_by_its_first_line_alone() -> None:
    import torch

    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee the docs.")
    assert exhausted(error)
    assert "2.00 GiB" in str(memory_error("train", error))
    assert "docs" not in str(memory_error("train", error))


def test_what_torch_says_of_the_machines_own_memory_is_known() -> None:
    import torch

    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**56)
    assert exhausted(raised.value)


def test_another_fault_is_none_of_memory() -> None:
    assert not exhausted(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not exhausted(KeyError("memory"))


def test_what_a_training_process_said_already_is_not_said_again() -> None:
    said = memory_error("train", MemoryError())
    assert not exhausted(said)
    assert not exhausted(TrainingFailedError(f"training failed on rank 1: {said}; out of memory"))
