"""What every policy that is compared offers, however it came about, and what it cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from mopo_pipeline.arrays import Array
from mopo_pipeline.language.generation import Answer


class Policy(Protocol):
    """What can be valued: log pi(y|x) of given answers, and draws."""

    def answer_logprobs(
        self, prompts: list[str], texts: list[str], ended: Sequence[bool] | None = None
    ) -> Array:
        """Log pi of answers to stored prompts, (n,), nats; all of them ended where ``ended`` says nothing."""

    def sample(
        self,
        prompts: list[str],
        *,
        n: int,
        max_new_tokens: int,
        seed: int,
        batch_size: int,
        temperature: float,
        top_p: float,
    ) -> list[list[Answer]]:
        """``n`` answers to every prompt by the decoder all methods share."""


@runtime_checkable
class OfModel(Protocol):
    """A policy that is one causal language model, asked in one way or in several."""

    def load(self) -> tuple[Any, Any]:
        """Model and tokenizer."""

    def ways(self, prompts: list[str]) -> list[tuple[float, list[str]]]:
        """What the model is asked for stored prompts, and the share of the answers it is asked so; shares sum to 1."""


@runtime_checkable
class KnownDivergence(Protocol):
    """A policy whose answers have no probability of their own that one could ask for, but a known divergence."""

    def divergence(self) -> float:
        """KL from the reference, nats per answer, of answers that are too many to be listed."""


@dataclass(frozen=True)
class Budget:
    """What was spent.

    Attributes:
        sequences: gone through forward and backward in training.
        generated_tokens: drawn from a model while training, or for one answer of a decode-time rival.
        judge_calls: answers scored, likewise.
        seconds: wall time.
    """

    sequences: int = 0
    generated_tokens: int = 0
    judge_calls: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Budget") -> "Budget":
        return Budget(
            self.sequences + other.sequences,
            self.generated_tokens + other.generated_tokens,
            self.judge_calls + other.judge_calls,
            self.seconds + other.seconds,
        )
