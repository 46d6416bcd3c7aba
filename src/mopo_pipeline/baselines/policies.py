"""Policies a rival leaves: log-probabilities of given answers, and draws by the decoder all methods share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mopo_pipeline.arrays import Array
from mopo_pipeline.language.control import told
from mopo_pipeline.language.generation import Answer, sample_responses
from mopo_pipeline.language.logprobs import sequence_logprobs


class _OfModel(ABC):
    """A policy that is a causal language model with a tokenizer."""

    @abstractmethod
    def load(self) -> tuple[Any, Any]:
        """Model and tokenizer."""

    def asked(self, prompts: list[str]) -> list[str]:
        """What the model is asked for each stored prompt."""
        return prompts

    def ways(self, prompts: list[str]) -> list[tuple[float, list[str]]]:
        """What the model is asked for stored prompts: this alone."""
        return [(1.0, self.asked(prompts))]

    def answer_logprobs(
        self, prompts: list[str], texts: list[str], ended: Sequence[bool] | None = None
    ) -> Array:
        """Log pi of answers to stored prompts, (n,), nats; all of them ended where ``ended`` says nothing."""
        return sequence_logprobs(*self.load(), self.asked(prompts), texts, ended=ended).logprob

    def sample(self, prompts: list[str], **decoding: Any) -> list[list[Answer]]:
        """``n`` answers to every prompt, as ``sample_responses`` takes it."""
        return sample_responses(*self.load(), self.asked(prompts), **decoding)


@dataclass(frozen=True)
class FolderPolicy(_OfModel):
    """A model, or an adapter, on disk."""

    folder: Path

    def load(self) -> tuple[Any, Any]:
        """Model and tokenizer."""
        from mopo_pipeline.language.loading import load_model

        return load_model(self.folder)


@dataclass(frozen=True)
class MixedPolicy(_OfModel):
    """Experts whose next-token log-probabilities are mixed while decoding.

    Attributes:
        folders: of the experts, in the order of the objectives.
        weights: one per expert.
    """

    folders: tuple[Path, ...]
    weights: tuple[float, ...]

    def load(self) -> tuple[Any, Any]:
        """The mixture as a model, and the tokenizer its experts share."""
        from mopo_pipeline.baselines.mixture import load_mixture

        return load_mixture(self.folders, self.weights)


@dataclass(frozen=True)
class ToldPolicy(FolderPolicy):
    """A model that is told behind every prompt what answer is wanted.

    Attributes:
        suffix: words added to the last message.
    """

    suffix: str

    def asked(self, prompts: list[str]) -> list[str]:
        """The prompts with what is wanted behind them."""
        return [told(prompt, self.suffix) for prompt in prompts]


def whole_model(folder: Path) -> tuple[Any, Any]:
    """A model with its adapter, where it is one, folded into the base; its tokenizer."""
    from mopo_pipeline.language.loading import load_model

    model, tokenizer = load_model(folder, device="cpu")
    owner: Any = model
    return (owner.merge_and_unload() if hasattr(owner, "merge_and_unload") else model), tokenizer
