"""Published reward models as judges.

The table holds the six reward models of the RiC evaluation protocol (Yang et al., 2024; used by MOD
and by the MOPO paper), with the way each wants its input. Any other sequence-classification model
is judged on (prompt, response) pairs by its only logit, or by the one named: ``org/model#1``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.errors import InputError
from mopo_pipeline.judges.base import Link
from mopo_pipeline.language.intact import load_intact
from mopo_pipeline.progress import show_hub_progress, track
from mopo_pipeline.tables import chat_messages

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Texts = tuple[str, str | None]


def _pair(prompt: str, response: str, bos: str) -> Texts:
    return prompt, response


def _response_only(prompt: str, response: str, bos: str) -> Texts:
    return response, None


def _response_first(prompt: str, response: str, bos: str) -> Texts:
    return response, prompt


def _one_text(prompt: str, response: str, bos: str) -> Texts:
    return f"{response} {bos} {prompt}", None


@dataclass(frozen=True)
class RewardModel:
    """A published reward model.

    Attributes:
        model: hub id or directory.
        arrange: (prompt, response, bos token) to the text and its pair.
        logit: index of the logit that is the score; None is the only one.
        special: whether control tokens in the arranged text are the model's own.
    """

    model: str
    arrange: Callable[[str, str, str], Texts] = _pair
    logit: int | None = None
    special: bool = False


REWARD_MODELS = {
    "harmless": RewardModel("Ray2333/gpt2-large-harmless-reward_model"),
    "helpful": RewardModel("Ray2333/gpt2-large-helpful-reward_model"),
    "humor": RewardModel("mohameddhiab/humor-no-humor", _response_only, 1),
    "summary": RewardModel("Tristan/gpt2_reward_summarization", _one_text, special=True),
    "deberta": RewardModel("OpenAssistant/reward-model-deberta-v3-large-v2"),
    "faithful": RewardModel("CogComp/bart-faithful-summary-detector", _response_first, 1),
}
"""By short name; every other name is taken as a hub id or a directory."""

MAX_TOKENS, BATCH_ROWS = 1024, 16
"""Longest text a reward model reads, and texts it reads at once."""


class RewardModelJudge:
    """One published reward model per objective; the raw logit is the score, never rounded.

    The link is ``step`` unless said otherwise: a win is a higher score, and scales differ too much
    between models to be read as Bradley-Terry logits.
    """

    name = "reward_models"

    def __init__(
        self,
        models: dict[str, str],
        objectives: tuple[str, ...],
        *,
        link: Link = "step",
        device: str = "auto",
    ) -> None:
        absent = [o for o in objectives if o not in models]
        if absent:
            raise InputError(
                f"reward_models names no model for objective {absent[0]!r}; short names are "
                f"{sorted(REWARD_MODELS)}, or give a hub id"
            )
        self.objectives = objectives
        self.link = link
        self._models = [named_model(models[o]) for o in objectives]
        self._device = device

    def scores(self, prompts: list[str], responses: list[str]) -> Array:
        """Raw logits (n, K), higher better; one model is in memory at a time."""
        columns = [self._column(spec, prompts, responses) for spec in self._models]
        return np.column_stack(columns) if responses else np.empty((0, len(columns)))

    def _column(self, spec: RewardModel, prompts: list[str], responses: list[str]) -> Array:
        """Rewards (n,) of one model."""
        import torch

        loaded, tokenizer = load_reward_model(spec.model)
        model: Any = loaded
        logit = chosen_logit(spec, int(model.config.num_labels), model.config.id2label)
        cuda = self._device == "auto" and torch.cuda.is_available()
        model = model.to("cuda" if cuda else "cpu")
        bos = tokenizer.bos_token or ""
        texts = [spec.arrange(_plain(p), r, bos) for p, r in zip(prompts, responses, strict=True)]
        order = by_length(texts)
        batches = [order[i : i + BATCH_ROWS] for i in range(0, len(order), BATCH_ROWS)]
        values = np.empty(len(texts))
        limit = min(tokenizer.model_max_length, MAX_TOKENS)
        with torch.inference_mode():
            for batch in track(batches, f"reward model {spec.model}"):
                paired = texts[0][1] is not None
                encoded = tokenizer(
                    [texts[i][0] for i in batch],
                    [texts[i][1] for i in batch] if paired else None,
                    truncation=True,
                    max_length=limit,
                    split_special_tokens=not spec.special,
                    padding=True,
                    return_tensors="pt",
                ).to(model.device)
                logits = model(**encoded).logits.float().cpu().numpy()
                values[batch] = logits[:, logit]
        return values


def by_length(texts: list[Texts]) -> Index:
    """Order (n,) from the longest to the shortest, so that little of a batch is padding."""
    return np.argsort([-len(a) - len(b or "") for a, b in texts], kind="stable").astype(np.int64)


def named_model(name: str) -> RewardModel:
    """A model by short name, hub id or directory, its logit after ``#``.

    Raises:
        InputError: what follows ``#`` is no number.

    >>> named_model("org/model#1").logit
    1
    """
    known = REWARD_MODELS.get(name)
    if known is not None:
        return known
    model, mark, logit = name.partition("#")
    if mark and not logit.isdigit():
        raise InputError(
            f"reward model {name!r}: {logit!r} is no number of a logit; write org/model#1"
        )
    return RewardModel(model, logit=int(logit) if mark else None)


def chosen_logit(spec: RewardModel, count: int, labels: dict[int, str]) -> int:
    """Index of the logit that is the score.

    Raises:
        InputError: a model of several logits without one named, or no such logit.
    """
    named = ", ".join(f"{i} {labels.get(i, '')}".strip() for i in range(count))
    if spec.logit is None and count != 1:
        raise InputError(
            f"{spec.model} has {count} logits ({named}): say which is the score, such as {spec.model}#0"
        )
    logit = spec.logit or 0
    if logit >= count:
        raise InputError(f"{spec.model} has no logit {logit}; it has {named}")
    return logit


def load_reward_model(spec: str) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """Load a sequence-classification model: safetensors weights only, no remote code.

    Raises:
        InputError: no such model, or none with safetensors weights for every part of it, its head above
            all.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    show_hub_progress(not Path(spec).is_dir())
    options: dict[str, Any] = {"trust_remote_code": False}
    try:
        model = load_intact(
            AutoModelForSequenceClassification, spec, spec, use_safetensors=True, **options
        )
        tokenizer = AutoTokenizer.from_pretrained(spec, **options)
    except (OSError, ValueError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{spec} is not a reward model with safetensors weights that can be read here: {reason}"
        ) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    return model.eval(), tokenizer


def _plain(prompt: str) -> str:
    """A stored prompt as the text reward models were trained on: its messages, one per line."""
    return "\n".join(message["content"] for message in chat_messages(prompt))
