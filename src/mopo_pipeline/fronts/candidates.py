"""What is held against a front: policies of any origin with what they cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mopo_pipeline.arrays import Array
from mopo_pipeline.language.generation import Answer, sample_responses
from mopo_pipeline.language.logprobs import sequence_logprobs
from mopo_pipeline.policies.valued import Budget, Policy

MOPO, INTERPOLATED, STEERABLE, REFERENCE, PRIMARY_ONLY = (
    "mopo", "mopo_interpolated", "steerable", "reference", "primary_only",
)  # fmt: skip
TRAINED, INTERPOLATED_KIND, STEERED = "trained", "interpolated", "steered"


@dataclass(frozen=True)
class ModelPolicy:
    """A model, or an adapter, in a folder.

    Attributes:
        folder: of the model.
        batch_tokens: padded tokens per scoring batch.
    """

    folder: Path
    batch_tokens: int

    def load(self) -> tuple[Any, Any]:
        """Model and tokenizer."""
        from mopo_pipeline.language.loading import load_model

        return load_model(self.folder)

    def ways(self, prompts: list[str]) -> list[tuple[float, list[str]]]:
        """What the model is asked for stored prompts: these alone."""
        return [(1.0, prompts)]

    def answer_logprobs(
        self, prompts: list[str], texts: list[str], ended: Sequence[bool] | None = None
    ) -> Array:
        """Log pi of answers to stored prompts, (n,), nats; all of them ended where ``ended`` says nothing."""
        scored = sequence_logprobs(
            *self.load(),
            prompts,
            texts,
            ended=ended,
            batch_tokens=self.batch_tokens,
            description=f"answers under {self.folder.name}",
        )
        return scored.logprob

    def sample(self, prompts: list[str], **decoding: Any) -> list[list[Answer]]:
        """``n`` answers to every prompt, as ``sample_responses`` takes it."""
        return sample_responses(*self.load(), prompts, **decoding)


@dataclass(frozen=True)
class Candidate:
    """A point before it is valued.

    Attributes:
        method: whose point it is.
        kind: "trained", "interpolated", "steered" or "decode_time".
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
    spent: Budget = field(default_factory=Budget)
    folder: str = ""
    certified: str = ""
