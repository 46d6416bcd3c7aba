"""What is held against a front: policies of any origin with what they cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mopo_pipeline.arrays import Array
from mopo_pipeline.language.generation import Answer, sample_responses
from mopo_pipeline.language.logprobs import sequence_logprobs

MOPO, INTERPOLATED, REFERENCE, PRIMARY_ONLY = (
    "mopo", "mopo_interpolated", "reference", "primary_only",
)  # fmt: skip
TRAINED, INTERPOLATED_KIND = "trained", "interpolated"


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
        """``n`` answers to every prompt."""


@dataclass(frozen=True)
class ModelPolicy:
    """A model, or an adapter, in a folder.

    Attributes:
        folder: of the model.
        batch_tokens: padded tokens per scoring batch.
    """

    folder: Path
    batch_tokens: int

    def answer_logprobs(self, prompts: list[str], texts: list[str]) -> Array:
        """Log pi of ended answers to stored prompts, (n,), nats."""
        from mopo_pipeline.language.loading import load_model

        scored = sequence_logprobs(
            *load_model(self.folder),
            prompts,
            texts,
            batch_tokens=self.batch_tokens,
            description=f"answers under {self.folder.name}",
        )
        return scored.logprob

    def sample(self, prompts: list[str], **decoding: Any) -> list[list[Answer]]:
        """``n`` answers to every prompt, as ``sample_responses`` takes it."""
        from mopo_pipeline.language.loading import load_model

        return sample_responses(*load_model(self.folder), prompts, **decoding)


@dataclass(frozen=True)
class Spent:
    """What a point cost.

    Attributes:
        sequences: gone through forward and backward in training.
        generated_tokens: drawn from a model.
        judge_calls: answers scored.
        seconds: of training.
    """

    sequences: int = 0
    generated_tokens: int = 0
    judge_calls: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Candidate:
    """A point before it is valued.

    Attributes:
        method: whose point it is.
        kind: "trained", "interpolated" or "decode_time".
        point: unique within method and seed.
        seed: of the task.
        policy: None unless done.
        status: "done", "failed" or "skipped".
        reason: why it is not done.
        planned: what a plan says, by column of ``front_points``.
        hyperparameters: JSON-ready.
        spent: what it cost.
        folder: data root of its run; empty where it has none.
        certified: what its certificate says; empty where it has none.
    """

    method: str
    kind: str
    point: str
    seed: int
    policy: Policy | None
    status: str = "done"
    reason: str = ""
    planned: Mapping[str, float | None] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)
    folder: str = ""
    certified: str = ""
