"""Rows laid out in lines of tokens: a prompt once, then the responses that share it.

A line holds one or more prompts, each followed by its responses. A token sees the earlier tokens of
its own prompt and of its own response, and nothing else; every response counts its positions from
where its prompt ends. So each row's log-probability is what it would be alone in a batch.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mopo_pipeline.arrays import Index
from mopo_pipeline.language.tokens import EncodedRows

if TYPE_CHECKING:
    import torch

PADDING, PROMPT = -1, -1
"""What ``prompt`` says of a padding token, and ``response`` of a prompt's."""


@dataclass(frozen=True)
class PackedRows:
    """A batch for the model, and where in it the scored tokens are predicted.

    Attributes:
        input_ids, position_ids: (lines, width).
        prompt, response: (lines, width) which piece and which row a token belongs to.
        source: (scored tokens,) flat position, line * width + column, that predicts each.
        target: (scored tokens,) their ids, row by row.
        scored: (rows, longest response) which of a row's response tokens there are.
        plain: every line is one row, and ordinary causal attention is enough.
        n_tokens: computed, padding apart.
    """

    input_ids: "torch.Tensor"
    position_ids: "torch.Tensor"
    prompt: "torch.Tensor"
    response: "torch.Tensor"
    source: "torch.Tensor"
    target: "torch.Tensor"
    scored: "torch.Tensor"
    plain: bool
    n_tokens: int

    def to(self, device: Any) -> "PackedRows":
        """The same batch on a device."""
        tensors = {k: v.to(device) for k, v in vars(self).items() if hasattr(v, "to")}
        return replace(self, **tensors)

    def inputs(self, dtype: "torch.dtype | None") -> dict[str, "torch.Tensor"]:
        """What the model takes, (lines, width) each; the mask of ``attention`` where lines hold several rows."""
        if self.plain:
            mask = (self.prompt != PADDING).long()
            return {"input_ids": self.input_ids, "attention_mask": mask}
        return {
            "input_ids": self.input_ids,
            "position_ids": self.position_ids,
            "attention_mask": self.attention(dtype),
        }

    def attention(self, dtype: "torch.dtype | None") -> "torch.Tensor":
        """(lines, 1, width, width): which earlier tokens a token sees."""
        import torch

        own = self.prompt[:, :, None] == self.prompt[:, None, :]
        seen = (self.response[:, None, :] == PROMPT) | (
            self.response[:, :, None] == self.response[:, None, :]
        )
        mask = (own & seen).tril().unsqueeze(1)
        if dtype is None:
            return mask
        return torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)


def pack(rows: EncodedRows, pieces: list[Index]) -> PackedRows:
    """Lay out rows; the last token of a response predicts nothing and is left out.

    Args:
        rows: encoded.
        pieces: distinct rows (r,) that share a copy of their prompt, from ``split_by_prompt``. The
            result's rows are these, one piece after the other. If none has a second row, every
            row gets a line of its own.
    """
    import torch

    lengths = [piece_length(rows, piece) for piece in pieces]
    plain = all(len(piece) == 1 for piece in pieces)
    lines = [[i] for i in range(len(pieces))] if plain else fill_lines(lengths)
    width = max(sum(lengths[i] for i in line) for line in lines)
    first = np.cumsum([0, *map(len, pieces)])
    answers = rows.response_lengths[np.concatenate(pieces)]
    ids = np.full((len(lines), width), rows.pad_id, dtype=np.int64)
    positions = np.zeros_like(ids)
    prompt, response = np.full_like(ids, PADDING), np.full_like(ids, PROMPT)
    scored = np.arange(answers.max()) < answers[:, None]
    source, target = np.zeros(scored.shape, dtype=np.int64), np.zeros(scored.shape, dtype=np.int64)
    for number, line in enumerate(lines):
        end = 0
        for i in line:
            head = int(rows.prompt_lengths[pieces[i][0]])
            start, end = end, end + head
            prompt[number, start : start + lengths[i]] = i
            ids[number, start:end] = rows.ids[pieces[i][0]][:head]
            positions[number, start:end] = np.arange(head)
            for k, row in enumerate(pieces[i], start=first[i]):
                answer = rows.ids[row][head:]
                source[k, 0] = number * width + start + head - 1
                begin, end = end, end + len(answer) - 1
                source[k, 1 : len(answer)] = number * width + np.arange(begin, end)
                target[k, : len(answer)] = answer
                ids[number, begin:end] = answer[:-1]
                positions[number, begin:end] = np.arange(head, head + end - begin)
                response[number, begin:end] = k
    arrays = (ids, positions, prompt, response, source[scored], target[scored], scored)
    names = ("input_ids", "position_ids", "prompt", "response", "source", "target", "scored")
    tensors = {name: torch.from_numpy(a) for name, a in zip(names, arrays, strict=True)}
    return PackedRows(**tensors, plain=plain, n_tokens=sum(lengths))


def split_by_prompt(rows: EncodedRows, chosen: Index, hidden: int | None) -> list[Index]:
    """Distinct rows in pieces (r,) that share a prompt.

    Args:
        rows: encoded.
        chosen: (n,) distinct rows.
        hidden: width of the model, which decides how many responses a line should hold; None
            shares nothing.
    """
    if hidden is None:
        return list(chosen[:, None])
    order = chosen[np.argsort(rows.prompts[chosen], kind="stable")]
    starts = np.flatnonzero(np.diff(rows.prompts[order])) + 1
    pieces = []
    for group in np.split(order, starts):
        answer = float(rows.response_lengths[group].mean())
        together = responses_per_line(int(rows.prompt_lengths[group[0]]), answer, hidden)
        pieces += np.array_split(group, -(-len(group) // together))
    return pieces


def responses_per_line(prompt: int, answer: float, hidden: int) -> int:
    """How many responses of ``answer`` tokens one copy of a prompt should serve, at least 1.

    A line of L = P + kR tokens costs about 24 H² L in matrices and 4 H L² in attention, for k rows;
    least per row at k = (P/R) sqrt(1 + 6H/P).

    >>> responses_per_line(128, 32, hidden=128), responses_per_line(10, 30, hidden=96)
    (11, 3)
    """
    best: float = prompt / answer * (1 + 6 * hidden / prompt) ** 0.5
    return max(1, round(best))


def piece_length(rows: EncodedRows, piece: Index) -> int:
    """Tokens computed for a prompt and its responses, rows (r,)."""
    answers = rows.response_lengths[piece] - 1
    return int(rows.prompt_lengths[piece[0]] + answers.sum())


def fill_lines(lengths: list[int]) -> list[list[int]]:
    """Put pieces, longest first, into the first line with room; the longest piece sets the width.

    >>> fill_lines([2, 5, 3, 4])
    [[1], [3], [2, 0]]
    """
    lines: list[list[int]] = []
    room: list[int] = []
    for i in np.argsort([-n for n in lengths], kind="stable").tolist():
        line = next((j for j, free in enumerate(room) if free >= lengths[i]), len(lines))
        if line == len(lines):
            lines.append([])
            room.append(max(lengths))
        lines[line].append(i)
        room[line] -= lengths[i]
    return lines
