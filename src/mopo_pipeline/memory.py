"""Memory that did not suffice: how an error shows it, and which parameters ask for less."""

from mopo_pipeline.errors import MopoError

FIT = (
    "set {0}.gradient_checkpointing=true, with which the run goes on from its last checkpoint, or lower {0}.batch_size and "
    "raise {0}.accumulation as much"
)

SMALLER = {
    "reference": FIT.format("reference.fit"),
    "train": FIT.format("train.fit"),
    "evaluate": "lower evaluate.batch_tokens or evaluate.sampling.batch_size",
}
"""What asks for less, by stage."""

ELSEWHERE = "read less (ingest.limit), or run it on a machine with more memory"

SAID = ("not enough memory", "can't allocate memory", "out of memory")
"""What a plain RuntimeError of torch says of it, in lower case."""


class MemoryExhaustedError(MopoError, MemoryError):
    """A run asked for more memory than there is."""


def exhausted(error: BaseException) -> bool:
    """Whether an error says that memory, the machine's or an accelerator's, did not suffice; not one that is a line already.

    >>> exhausted(MemoryError()), exhausted(RuntimeError("CUDA out of memory.")), exhausted(ValueError("few"))
    (True, True, False)
    """
    if isinstance(error, MopoError):
        return False
    said = isinstance(error, RuntimeError) and any(words in str(error).lower() for words in SAID)
    return said or isinstance(error, MemoryError)


def memory_error(stage: str, error: BaseException) -> MemoryExhaustedError:
    """One line for it: where memory did not suffice, what was asked for, and what asks for less.

    >>> print(memory_error("evaluate", MemoryError("Unable to allocate 9.31 GiB")))
    evaluate: memory did not suffice (Unable to allocate 9.31 GiB): lower evaluate.batch_tokens or evaluate.sampling.batch_size
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return MemoryExhaustedError(
        f"{stage}: memory did not suffice ({lines[0]}): {SMALLER.get(stage, ELSEWHERE)}"
    )
