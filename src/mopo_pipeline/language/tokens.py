"""Prompts and responses as token ids, the prompt masked, truncation counted."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.chat import Chat
from mopo_pipeline.tables import prompt_text

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class EncodedRows:
    """Token ids of every row.

    Attributes:
        ids: per row prompt and response token ids, the response closed by the end token where it was ended.
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

    def cut(self, context: int) -> "EncodedRows":
        """The same rows in a context of so many tokens."""
        return replace(
            self,
            ids=[ids[:context] for ids in self.ids],
            truncated=self.truncated | (self.lengths > context),
        )

    def fingerprints(self) -> list[str]:
        """A hash of each row's tokens, prompt and response apart."""
        pairs = zip(self.prompt_lengths.tolist(), self.ids, strict=True)
        return [hashlib.sha256(repr((head, ids)).encode()).hexdigest()[:24] for head, ids in pairs]

    def subset(self, rows: NDArray[np.int64]) -> "EncodedRows":
        """Some of the rows (m,), in the order given."""
        return replace(
            self,
            ids=[self.ids[i] for i in rows],
            prompt_lengths=self.prompt_lengths[rows],
            truncated=self.truncated[rows],
            prompts=self.prompts[rows],
        )

    def batch(self, rows: NDArray[np.int64] | list[int]) -> dict[str, "torch.Tensor"]:
        """Right-padded tensors (m, width) of some rows: input_ids, attention_mask, scored (response tokens)."""
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


def prompt_ids(tokenizer: "PreTrainedTokenizerBase", prompts: list[str]) -> list[list[int]]:
    """Token ids of stored prompts up to where the answers begin."""
    chat = Chat(tokenizer)
    return [chat.prompt(prompt)[0] for prompt in prompts]


def encode(
    tokenizer: "PreTrainedTokenizerBase",
    prompts: list[str],
    responses: list[str],
    max_length: int | None,
    ended: Sequence[bool] | None = None,
) -> EncodedRows:
    """Tokenise rows, cutting responses that do not fit into ``max_length`` tokens.

    A response that was cut, here or where it was generated, has no end token: nobody ended it. An
    empty one is its end token.

    Args:
        tokenizer: with a chat template.
        prompts: stored prompts, one per response.
        responses: texts.
        max_length: context in tokens; None cuts nothing.
        ended: per response whether it was ended by who wrote it; None says all were.

    Raises:
        InputError: a prompt that alone fills the context, with its row and length; a control token
            that cannot be written as text.
    """
    chat = Chat(tokenizer)
    known: dict[str, tuple[int, list[int], str]] = {}
    for row, prompt in enumerate(prompts):
        if prompt not in known:
            head, text = chat.prompt(prompt)
            if max_length is not None and len(head) >= max_length:
                raise InputError(
                    f"row {row}: the prompt {prompt_text(prompt)[:40]!r}... takes {len(head)} tokens and leaves no room "
                    f"in a context of {max_length}; raise reference.context or drop the prompt"
                )
            known[prompt] = len(known), head, text
    answers = chat.answers([known[prompt][2] for prompt in prompts], responses)
    ids = []
    for prompt, answer, closed in zip(
        prompts, answers, [True] * len(prompts) if ended is None else ended, strict=True
    ):
        close = [chat.end_id] if closed or not answer else []
        ids.append([*known[prompt][1], *answer, *close])
    rows = EncodedRows(
        ids,
        np.array([len(known[prompt][1]) for prompt in prompts], dtype=np.int64),
        np.zeros(len(ids), dtype=bool),
        int(tokenizer.pad_token_id),
        np.array([known[prompt][0] for prompt in prompts], dtype=np.int64),
    )
    return rows if max_length is None else rows.cut(max_length)
