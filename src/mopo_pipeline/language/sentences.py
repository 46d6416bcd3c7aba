"""Texts as vectors of a sentence encoder: what it makes of an answer that stands after its prompt."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.intact import load_intact
from mopo_pipeline.language.lengths import tell_read_in_part
from mopo_pipeline.language.places import materialise
from mopo_pipeline.parameters.evaluate import BATCH_TOKENS
from mopo_pipeline.progress import show_hub_progress, track
from mopo_pipeline.tables import chat_messages

CAUSAL = ("ForCausalLM", "LMHeadModel")
"""How the architectures of models end that read from left to right."""


def reads_both_ways(encoder: str) -> bool:
    """Whether a directory or package holds an encoder such as BERT, and no causal language model.

    A hub id is taken for a causal language model: it is downloaded when it is read.
    """
    config = Path(materialise(encoder)) / "config.json"
    if not config.is_file():
        return False
    named = json.loads(config.read_text(encoding="utf-8")).get("architectures") or [""]
    return not str(named[0]).endswith(CAUSAL)


def sentence_vectors(
    encoder: str, prompts: list[str], responses: list[str], *, max_length: int
) -> NDArray[np.float32]:
    """Mean state of the answer's tokens, read after its prompt, (n, width), each row of unit root mean square.

    Args:
        encoder: a directory, or ``package:<name>``.
        prompts: stored prompts, one per response.
        responses: texts.
        max_length: tokens of prompt and answer together, at most what the encoder reads; the prompt's beginning is
            left out first, then the answer's end.

    Returns:
        (n, hidden size); equal rows are computed once.

    Raises:
        InputError: the encoder cannot be read.
    """
    import torch

    from mopo_pipeline.language.logprobs import length_batches

    model, tokenizer = _load(encoder)
    limit = _limit(model, tokenizer, max_length)
    distinct = list(dict.fromkeys(zip(prompts, responses, strict=True)))
    rows, cut = _rows(tokenizer, distinct, limit)
    tell_read_in_part(cut, encoder)
    lengths = np.array([len(ids) for ids, _ in rows])
    vectors = np.empty((len(rows), int(model.config.hidden_size)), dtype=np.float32)
    with torch.inference_mode():
        for batch in track(length_batches(lengths, np.arange(len(rows)), BATCH_TOKENS), "encoding"):
            vectors[batch] = _means(model, [rows[i] for i in batch], int(tokenizer.pad_token_id))
    place = {key: i for i, key in enumerate(distinct)}
    return vectors[[place[key] for key in zip(prompts, responses, strict=True)]]


def longer_than_encoded(
    encoder: str, prompts: list[str], responses: list[str], *, max_length: int
) -> NDArray[np.bool_]:
    """Which responses (n,) ``sentence_vectors`` of the same arguments reads in part."""
    model, tokenizer = _load(encoder)
    pairs = list(zip(prompts, responses, strict=True))
    return _rows(tokenizer, pairs, _limit(model, tokenizer, max_length))[1]


def _limit(model: Any, tokenizer: Any, max_length: int) -> int:
    """Tokens that are read of prompt and answer together."""
    return int(min(max_length, model.config.max_position_embeddings, tokenizer.model_max_length))


def _load(encoder: str) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    path = materialise(encoder)
    show_hub_progress(False)
    options: dict[str, Any] = {"trust_remote_code": False}
    try:
        model = load_intact(AutoModel, path, encoder, use_safetensors=True, **options)
        tokenizer = AutoTokenizer.from_pretrained(path, **options)
    except (OSError, ValueError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{encoder} is no encoder that can be read here: {reason}") from error
    return model.eval(), tokenizer


def _rows(
    tokenizer: Any, pairs: list[tuple[str, str]], limit: int
) -> tuple[list[tuple[list[int], list[bool]]], NDArray[np.bool_]]:
    """Ids of prompt and answer with the encoder's own marks, which of them are the answer's; which answers (n,) were cut."""
    before, between, after = _marks(tokenizer)
    room = limit - len(before) - len(between) - len(after)
    asked, said = (
        tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        for texts in ([_plain(prompt) for prompt, _ in pairs], [answer for _, answer in pairs])
    )
    found = []
    for question, whole in zip(asked, said, strict=True):
        answer = whole[:room]
        shown = question[max(len(question) - room + len(answer), 0) :]
        ids = [*before, *shown, *between, *answer, *after]
        own = len(ids) - len(after) - len(answer)
        found.append((ids, [own <= i < own + max(len(answer), 1) for i in range(len(ids))]))
    return found, np.array([len(whole) > room for whole in said], dtype=np.bool_)


def _marks(tokenizer: Any) -> tuple[list[int], list[int], list[int]]:
    """What the encoder writes before a first text, between two, and after the second."""
    encoded = tokenizer("a", "a")
    ids, side = list(encoded["input_ids"]), encoded.sequence_ids(0)
    first, second = ([i for i, of in enumerate(side) if of == which] for which in (0, 1))
    return ids[: first[0]], ids[first[-1] + 1 : second[0]], ids[second[-1] + 1 :]


def _means(model: Any, rows: list[tuple[list[int], list[bool]]], pad: int) -> NDArray[np.float32]:
    """Mean states (b, width) of the answers' tokens of a batch."""
    import torch

    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([row + [pad] * (width - len(row)) for row, _ in rows])
    own = torch.tensor([mark + [False] * (width - len(mark)) for _, mark in rows])
    mask = torch.arange(width) < torch.tensor([len(row) for row, _ in rows])[:, None]
    states = model(input_ids=ids, attention_mask=mask.long()).last_hidden_state.float()
    mean = (states * own.unsqueeze(-1)).sum(1) / own.sum(1, keepdim=True)
    scale = mean.pow(2).mean(1, keepdim=True).sqrt().clamp(min=1e-6)
    return np.asarray((mean / scale).numpy(), dtype=np.float32)


def _plain(prompt: str) -> str:
    return "\n".join(message["content"] for message in chat_messages(prompt))
