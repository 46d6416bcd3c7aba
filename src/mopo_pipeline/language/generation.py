"""Sampling responses: batched, left-padded, deterministic in the seed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mopo_pipeline.arrays import Index
from mopo_pipeline.errors import InputError
from mopo_pipeline.language.chat import Chat
from mopo_pipeline.language.decoding import chosen_by_first, decoded, drawn_by, uniforms
from mopo_pipeline.language.lengths import model_limit
from mopo_pipeline.language.processes import from_all, sharded
from mopo_pipeline.progress import progress_bar

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


HALF_CHARACTER = "\ufffd"
"""What is decoded where a cut went through a character of several tokens."""


class Answer(NamedTuple):
    """A generated text, whether the model ended it before it was cut, and whether a server's filter held it back."""

    text: str
    ended: bool
    withheld: bool = False


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

    A prompt is computed once for the answers drawn from it together, with others of similar length. Every answer draws
    from a stream of its own, so the first ones stay what they are whatever else is asked for, in whatever batches and by
    however many processes, up to rounding in the model's arithmetic.

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
    batches = _batches([len(ids) for ids in encoded], n, batch_size)
    own = batches[process[0] :: process[1]]
    known = _drawn(model, chat, encoded, own, seed, settings, description)
    if process[1] > 1:
        known = {place: answer for part in from_all(known) for place, answer in part.items()}
    return [[known[i, j] for j in range(n)] for i in range(len(prompts))]


class Batch(NamedTuple):
    """Answers drawn together: some of those to each of some prompts.

    Attributes:
        prompts: (p,) indices.
        answers: (a,) numbers, the same of every prompt.
    """

    prompts: Index
    answers: Index


def _batches(lengths: list[int], n: int, size: int) -> list[Batch]:
    """Batches of at most ``size`` answers, ``n`` to each prompt, longest prompts first by ``lengths``.

    >>> [(b.prompts.tolist(), b.answers.tolist()) for b in _batches([5, 9, 7], 2, 5)]
    [([1, 2], [0, 1]), ([0], [0, 1])]
    """
    order = np.argsort([-length for length in lengths], kind="stable")
    together = max(1, size // n)
    parts = np.array_split(np.arange(n), -(-n // size))
    groups = [order[start : start + together] for start in range(0, len(order), together)]
    return [Batch(group, part) for group in groups for part in parts]


def _drawn(
    model: "PreTrainedModel",
    chat: Chat,
    prompts: list[list[int]],
    batches: list[Batch],
    seed: int,
    settings: dict[str, Any],
    description: str,
) -> dict[tuple[int, int], Answer]:
    """Answers of batches of prompts, by the prompt's index and the answer's number."""
    ends = chat.end_ids(model)
    pad_id = int(chat.tokenizer.pad_token_id)
    found: dict[tuple[int, int], Answer] = {}
    was_training, apart = model.training, sharded(model)
    model.eval()
    with progress_bar() as progress, _unaltered(model):
        total = sum(len(batch.prompts) * len(batch.answers) for batch in batches)
        bar = progress.add_task(description, total=total)
        for batch in batches:
            places = [(int(i), int(j)) for i in batch.prompts for j in batch.answers]
            uniform = uniforms(seed, places, settings["max_new_tokens"])
            asked = [prompts[i] for i in batch.prompts]
            choose = drawn_by(uniform)
            loop = decoded(len(batch.answers), chosen_by_first(choose) if apart else choose)
            drawn = continued(model, asked, pad_id, ends, loop, do_sample=True, **settings)
            found |= {
                place: answer_of(chat, new, ends) for place, new in zip(places, drawn, strict=True)
            }
            progress.advance(bar, len(places))
    model.train(was_training)
    return found


def continued(
    model: "PreTrainedModel",
    prompts: list[list[int]],
    pad_id: int,
    ends: list[int],
    loop: Callable[..., list[list[int]]],
    **settings: Any,
) -> list[list[int]]:
    """What a decoding loop draws after each prompt of a batch, an end token included.

    Args:
        model: causal language model.
        prompts: token ids.
        pad_id: token that fills a batch.
        ends: tokens at which an answer ends.
        loop: as ``decoded`` makes it.
        settings: for ``generate``.
    """
    ids, mask = _left_padded(prompts, pad_id)
    device = next(model.parameters()).device
    owner: Any = model
    drawn: list[list[int]] = owner.generate(
        input_ids=ids.to(device),
        attention_mask=mask.to(device),
        custom_generate=loop,
        top_k=0,
        pad_token_id=pad_id,
        eos_token_id=ends,
        **settings,
    )
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


def answer_of(chat: Chat, ids: list[int], ends: list[int]) -> Answer:
    """The text before the first end token."""
    stop = next((k for k, token in enumerate(ids) if token in ends), len(ids))
    kept = chat.without_control(ids[:stop])
    text = str(chat.tokenizer.decode(kept, skip_special_tokens=True))
    return tidied(text, stop < len(ids))


def tidied(text: str, ended: bool) -> Answer:
    """An answer without white space around it, and without half a character where it was cut."""
    return Answer((text if ended else text.rstrip(HALF_CHARACTER)).strip(), ended)
