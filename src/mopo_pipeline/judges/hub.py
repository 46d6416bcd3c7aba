"""Published reward models as judges.

The table holds the six reward models of the RiC evaluation protocol (Yang et al., 2024; used by MOD
and by the MOPO paper), with the way each wants its input. Any other sequence-classification model
reads conversations in its own chat template, or (prompt, response) pairs where it has none; its only
logit is the score, or the one named: ``org/model#1``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.errors import InputError
from mopo_pipeline.judges.base import Link
from mopo_pipeline.language.chat import Chat
from mopo_pipeline.language.intact import load_intact
from mopo_pipeline.language.lengths import cut_finding, model_limit, tell
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
        arrange: (prompt, response, bos token) to the text and its pair; None is the model's own chat
            template, or prompt and response as a pair where it has none.
        logit: index of the logit that is the score; None is the only one.
        special: whether control tokens in the arranged text are the model's own.
    """

    model: str
    arrange: Callable[[str, str, str], Texts] | None = None
    logit: int | None = None
    special: bool = False


REWARD_MODELS = {
    "harmless": RewardModel("Ray2333/gpt2-large-harmless-reward_model", _pair),
    "helpful": RewardModel("Ray2333/gpt2-large-helpful-reward_model", _pair),
    "humor": RewardModel("mohameddhiab/humor-no-humor", _response_only, 1),
    "summary": RewardModel("Tristan/gpt2_reward_summarization", _one_text, special=True),
    "deberta": RewardModel("OpenAssistant/reward-model-deberta-v3-large-v2", _pair),
    "faithful": RewardModel("CogComp/bart-faithful-summary-detector", _response_first, 1),
}
"""By short name; every other name is taken as a hub id or a directory."""

MAX_TOKENS, BATCH_ROWS = 4096, 16
"""Longest text a reward model is given, and texts it reads at once."""

_TOO_LONG = (
    "it reads {} tokens of prompt and answer together and judged a part of them: name a model that reads more, or drop "
    "the longest"
)


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

    def read_in_part(self, prompts: list[str], responses: list[str]) -> NDArray[np.bool_]:
        """Whether any of the models reads each text (n,) in part."""
        from transformers import AutoConfig, AutoTokenizer

        cut = np.zeros(len(responses), dtype=np.bool_)
        for spec in dict.fromkeys(self._models):
            config, tokenizer = (
                kind.from_pretrained(spec.model, trust_remote_code=False)
                for kind in (AutoConfig, AutoTokenizer)
            )
            cut |= _inputs(spec, tokenizer, prompts, responses, _reads(config, tokenizer))[1]
        return cut

    def _column(self, spec: RewardModel, prompts: list[str], responses: list[str]) -> Array:
        """Rewards (n,) of one model."""
        import torch

        loaded, tokenizer = load_reward_model(spec.model)
        model: Any = loaded
        logit = chosen_logit(spec, int(model.config.num_labels), model.config.id2label)
        cuda = self._device == "auto" and torch.cuda.is_available()
        model = model.to("cuda" if cuda else "cpu")
        limit = _reads(model.config, tokenizer)
        rows, cut = _inputs(spec, tokenizer, prompts, responses, limit)
        tell(cut_finding(cut, f"texts judged by {spec.model}", _TOO_LONG.format(limit), "warning"))
        order = by_length([len(row["input_ids"]) for row in rows])
        batches = [order[i : i + BATCH_ROWS] for i in range(0, len(order), BATCH_ROWS)]
        values = np.empty(len(rows))
        with torch.inference_mode():
            for batch in track(batches, f"reward model {spec.model}"):
                padded = tokenizer.pad([rows[i] for i in batch], return_tensors="pt", verbose=False)
                logits = model(**padded.to(model.device)).logits.float().cpu().numpy()
                values[batch] = logits[:, logit]
        return values


def _reads(config: Any, tokenizer: Any) -> int:
    """Tokens that a reward model reads at most."""
    positions = model_limit(config.get_text_config()) or MAX_TOKENS
    return min(positions, int(tokenizer.model_max_length), MAX_TOKENS)


def _inputs(
    spec: RewardModel, tokenizer: Any, prompts: list[str], responses: list[str], limit: int
) -> tuple[list[dict[str, list[int]]], NDArray[np.bool_]]:
    """What a model reads of each answer, and which (n,) were cut for it: pairs at the end, conversations at the beginning."""
    if spec.arrange is None and tokenizer.chat_template is not None:
        chat = Chat(tokenizer)
        heads = {prompt: chat.prompt(prompt) for prompt in dict.fromkeys(prompts)}
        answers = chat.answers([heads[prompt][1] for prompt in prompts], responses)
        whole = [
            [*heads[prompt][0], *answer, *chat.closing_ids]
            for prompt, answer in zip(prompts, answers, strict=True)
        ]
        cut = np.array([len(ids) > limit for ids in whole], dtype=np.bool_)
        return [{"input_ids": ids[-limit:]} for ids in whole], cut
    arrange, bos = spec.arrange or _pair, tokenizer.bos_token or ""
    texts = [arrange(_plain(p), r, bos) for p, r in zip(prompts, responses, strict=True)]
    rows, lengths = [], []
    for first, second in texts:
        asked = {"text_pair": second, "split_special_tokens": not spec.special}
        lengths.append(len(tokenizer(first, **asked, verbose=False)["input_ids"]))
        rows.append(dict(tokenizer(first, **asked, truncation=True, max_length=limit)))
    return rows, np.array(lengths) > limit


def by_length(lengths: list[int]) -> Index:
    """Order (n,) from the longest to the shortest, so that little of a batch is padding."""
    return np.argsort([-length for length in lengths], kind="stable").astype(np.int64)


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
