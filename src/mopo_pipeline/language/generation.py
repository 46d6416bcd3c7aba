"""Sampling responses: batched, left-padded, deterministic in the seed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.chat import Chat
from mopo_pipeline.language.lengths import model_limit
from mopo_pipeline.language.processes import from_all, sharded
from mopo_pipeline.progress import progress_bar
from mopo_pipeline.streams import generation_seed

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


HALF_CHARACTER = "\ufffd"
"""What is decoded where a cut went through a character of several tokens."""


class Answer(NamedTuple):
    """A generated text, and whether the model ended it before it was cut."""

    text: str
    ended: bool


def sample_responses(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: list[str],
    *,
    n: int,
    max_new_tokens: int,
    seed: int,
    batch_size: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    process: tuple[int, int] = (0, 1),
    description: str = "generating",
) -> list[list[Answer]]:
    """Draw ``n`` responses to every prompt.

    Batches are formed from prompts of similar length; each batch draws from its own seed, so a
    result depends on the prompts, the sizes and the seed alone.

    Args:
        model: causal language model.
        tokenizer: its tokenizer.
        prompts: stored prompts.
        n: responses per prompt.
        max_new_tokens: longest response in tokens, end included; less where the model's positions end.
        seed: of every draw.
        batch_size: sequences generated at once.
        temperature: > 0; 1 samples the model as it is.
        top_p: nucleus in (0, 1]; 1 samples the model as it is.
        process: rank and number of processes; each draws its part of the batches, all return all.
        description: what the progress bar says.

    Returns:
        One list of ``n`` answers per prompt, cut at the first of the model's end tokens.

    Raises:
        InputError: a prompt leaves the model no position for an answer.
    """
    chat = Chat(tokenizer)
    encoded = [chat.prompt(prompt)[0] for prompt in prompts]
    settings = {
        "temperature": temperature,
        "top_p": top_p,
        "max_new_tokens": _room(model, encoded, max_new_tokens),
    }
    order = np.argsort([-len(ids) for ids in encoded], kind="stable")
    tasks = np.repeat(order, n)
    starts = range(0, len(tasks), batch_size)
    batches = {k: tasks[start : start + batch_size] for k, start in enumerate(starts)}
    own = {k: batches[k] for k in list(batches)[process[0] :: process[1]]}
    known = _drawn(model, chat, encoded, own, seed, settings, description)
    if process[1] > 1:
        known = {k: found for part in from_all(known) for k, found in part.items()}
    answers: list[list[Answer]] = [[] for _ in prompts]
    for number, batch in batches.items():
        for i, answer in zip(batch, known[number], strict=True):
            answers[i].append(answer)
    return answers


def _drawn(
    model: "PreTrainedModel",
    chat: Chat,
    prompts: list[list[int]],
    batches: dict[int, NDArray[np.int64]],
    seed: int,
    settings: dict[str, Any],
    description: str,
) -> dict[int, list[Answer]]:
    """Answers of each batch of prompts, by the batch's number, which decides its draws."""
    import torch

    ends = chat.end_ids(model)
    pad_id = int(chat.tokenizer.pad_token_id)
    found: dict[int, list[Answer]] = {}
    was_training = model.training
    model.eval()
    with progress_bar() as progress, torch.random.fork_rng(devices=[]), _unaltered(model):
        bar = progress.add_task(description, total=sum(map(len, batches.values())))
        for number, batch in batches.items():
            torch.manual_seed(generation_seed(seed, number))
            drawn = _continued(model, [prompts[i] for i in batch], pad_id, ends, settings)
            found[number] = [_answer(chat, new, ends) for new in drawn]
            progress.advance(bar, len(batch))
    model.train(was_training)
    return found


def _continued(
    model: "PreTrainedModel",
    prompts: list[list[int]],
    pad_id: int,
    ends: list[int],
    settings: dict[str, Any],
) -> list[list[int]]:
    """One draw after each prompt of a batch, ids after the end token included."""
    ids, mask = _left_padded(prompts, pad_id)
    device = next(model.parameters()).device
    owner: Any = model
    out = owner.generate(
        input_ids=ids.to(device),
        attention_mask=mask.to(device),
        do_sample=True,
        top_k=0,
        pad_token_id=pad_id,
        eos_token_id=ends,
        synced_gpus=sharded(model),
        **settings,
    )
    drawn: list[list[int]] = out[:, ids.shape[1] :].tolist()
    return drawn


@contextmanager
def _unaltered(model: Any) -> Iterator[None]:
    """Leave out the model's own generation settings: a repetition penalty samples from another policy."""
    from transformers import GenerationConfig

    owner = model.get_base_model() if hasattr(model, "get_base_model") else model
    own = owner.generation_config
    owner.generation_config = GenerationConfig()
    try:
        yield
    finally:
        owner.generation_config = own


def _left_padded(prompts: list[list[int]], pad_id: int) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Ids and attention mask, both (prompts, longest), of prompts that end together."""
    import torch

    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), pad_id, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    mask = torch.arange(width) >= width - lengths[:, None]
    return ids, mask.long()


def _room(model: "PreTrainedModel", prompts: list[list[int]], wanted: int) -> int:
    """Longest answer to the longest prompt: ``wanted``, or what the model's positions leave."""
    limit = model_limit(model.config.get_text_config())
    longest = max(map(len, prompts), default=0)
    if limit is None or longest + wanted <= limit:
        return wanted
    if longest >= limit:
        raise InputError(
            f"a prompt takes {longest} tokens and leaves no room for an answer: the model's context is {limit}; drop it"
        )
    return limit - longest


def _answer(chat: Chat, ids: list[int], ends: list[int]) -> Answer:
    """The text before the first end token."""
    stop = next((k for k, token in enumerate(ids) if token in ends), len(ids))
    kept = chat.without_control(ids[:stop])
    text, ended = str(chat.tokenizer.decode(kept, skip_special_tokens=True)), stop < len(ids)
    return Answer((text if ended else text.rstrip(HALF_CHARACTER)).strip(), ended)
