"""Prompts and responses as token ids, the prompt masked, truncation counted."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.errors import InputError
from mopo_pipeline.tables import chat_messages, prompt_text

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class EncodedRows:
    """Token ids of every row.

    Attributes:
        ids: per row prompt and response token ids, the response closed by the end token.
        prompt_lengths: (n,) tokens of the prompt, never scored.
        truncated: (n,) whether the response was cut to fit.
        pad_id: token that fills a batch.
        prompts: (n,) which prompt a row answers; rows of one prompt begin with the same tokens.
    """

    ids: list[list[int]]
    prompt_lengths: NDArray[np.int64]
    truncated: NDArray[np.bool_]
    pad_id: int
    prompts: NDArray[np.int64]

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) tokens of prompt and response."""
        return np.array([len(row) for row in self.ids], dtype=np.int64)

    @cached_property
    def response_lengths(self) -> NDArray[np.int64]:
        """(n,) scored tokens."""
        return self.lengths - self.prompt_lengths

    @cached_property
    def representatives(self) -> NDArray[np.int64]:
        """(n,) the first row with the same prompt and response."""
        first: dict[tuple[int, ...], int] = {}
        keys = zip(self.prompts.tolist(), map(tuple, self.ids), strict=True)
        return np.array(
            [first.setdefault((p, *ids), i) for i, (p, ids) in enumerate(keys)], dtype=np.int64
        )

    def subset(self, rows: NDArray[np.int64]) -> "EncodedRows":
        """Some of the rows, in the order given."""
        return replace(
            self,
            ids=[self.ids[i] for i in rows],
            prompt_lengths=self.prompt_lengths[rows],
            truncated=self.truncated[rows],
            prompts=self.prompts[rows],
        )

    def batch(self, rows: NDArray[np.int64] | list[int]) -> dict[str, "torch.Tensor"]:
        """Right-padded tensors of some rows: input_ids, attention_mask, scored (response tokens)."""
        import torch

        width = max(len(self.ids[r]) for r in rows)
        ids = torch.full((len(rows), width), self.pad_id, dtype=torch.long)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        scored = torch.zeros((len(rows), width), dtype=torch.bool)
        for i, r in enumerate(rows):
            row = self.ids[r]
            ids[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = 1
            scored[i, int(self.prompt_lengths[r]) : len(row)] = True
        return {"input_ids": ids, "attention_mask": mask, "scored": scored}


def prompt_ids(tokenizer: "PreTrainedTokenizerBase", prompt: str) -> list[int]:
    """Token ids of a stored prompt up to where the answer begins."""
    text: Any = tokenizer.apply_chat_template(
        chat_messages(prompt), add_generation_prompt=True, tokenize=False
    )
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def encode(
    tokenizer: "PreTrainedTokenizerBase", prompts: list[str], responses: list[str], max_length: int
) -> EncodedRows:
    """Tokenise rows, cutting responses that do not fit into ``max_length`` tokens.

    Raises:
        InputError: a prompt that alone fills the context, with its row and length.
    """
    cache: dict[str, tuple[int, list[int]]] = {}
    ids, lengths, truncated, numbers = [], [], [], []
    answers = tokenizer(responses, add_special_tokens=False)["input_ids"] if responses else []
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        if prompt not in cache:
            cache[prompt] = len(cache), prompt_ids(tokenizer, prompt)
        number, head = cache[prompt]
        if len(head) >= max_length:
            raise InputError(
                f"row {row}: the prompt {prompt_text(prompt)[:40]!r}... takes {len(head)} tokens and leaves no room "
                f"in a context of {max_length}; raise max_length or drop the prompt"
            )
        whole = [*head, *answer, tokenizer.eos_token_id]
        ids.append(whole[:max_length])
        truncated.append(len(whole) > max_length)
        lengths.append(len(head))
        numbers.append(number)
    return EncodedRows(
        ids,
        np.array(lengths, dtype=np.int64),
        np.array(truncated, dtype=bool),
        int(tokenizer.pad_token_id),
        np.array(numbers, dtype=np.int64),
    )
