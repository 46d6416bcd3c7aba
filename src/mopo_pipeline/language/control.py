"""Words behind a prompt that say what answer is wanted, and a model that can read them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mopo_pipeline.language.lengths import model_limit
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.tables import chat_messages


def control_words(names: Sequence[str], levels: Sequence[int]) -> str:
    """A word per name with its level.

    >>> control_words(["help", "harm"], [7, 0])
    '<help:7> <harm:0>'
    """
    return " ".join(f"<{name}:{level}>" for name, level in zip(names, levels, strict=True))


def told(prompt: str, words: str) -> str:
    """A stored prompt with words behind its last message."""
    messages = chat_messages(prompt)
    last = messages[-1] | {"content": f"{messages[-1]['content']} {words}"}
    return json.dumps([*messages[:-1], last], ensure_ascii=False)


def context_with(directory: Path, words: str, context: int) -> int:
    """Tokens of prompt, control words and response, where those of prompt and response are ``context``; no more than the model reads.

    Args:
        directory: of a model that can read the words.
        words: behind every prompt.
        context: of the run.
    """
    model, tokenizer = load_model(directory, device="cpu")
    more = context + len(tokenizer(" " + words, add_special_tokens=False)["input_ids"])
    limit = model_limit(model.config)
    return more if limit is None else min(more, limit)


def with_words(directory: Path, names: Sequence[str], levels: int, seed: int, target: Path) -> Path:
    """A model that can read a level of every name: words of their own where its tokenizer cannot spell them.

    A closed vocabulary gets new words with embeddings of their own, and as many positions more as there are names.

    Args:
        directory: of the model.
        names: what has levels.
        levels: from 0, below this number.
        seed: of new embeddings.
        target: directory the model is written to.
    """
    import torch

    model, tokenizer = load_model(directory.resolve(), device="cpu")
    words = [control_words([name], [level]) for name in names for level in range(levels)]
    unknown = tokenizer.unk_token_id
    spelled = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
    if unknown is not None and any(unknown in ids for ids in spelled):
        owner: Any = model
        tokenizer.add_tokens(words)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            owner.resize_token_embeddings(len(tokenizer))
        owner.config.max_position_embeddings += len(names)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    return target
