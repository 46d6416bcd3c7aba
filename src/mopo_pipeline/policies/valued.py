"""What every policy that is compared offers, however it came about, and what it cost."""

from dataclasses import dataclass
from typing import Protocol

from mopo_pipeline.arrays import Array
from mopo_pipeline.language.generation import Answer


class Policy(Protocol):
    """What can be valued: log pi(y|x) of given answers, and draws."""

    def answer_logprobs(self, prompts: list[str], texts: list[str]) -> Array:
        """Log pi of ended answers to stored prompts, (n,), nats."""

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
