"""Token by token: a prompt is computed once for all its answers, and an answer that has ended costs nothing more.

``decoded`` is a decoding loop that ``transformers`` runs in place of its own (``generate(custom_generate=...)``), so that
a model's inputs, caches and samplers are prepared as ever.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.errors import InputError
from mopo_pipeline.language.cache import with_room
from mopo_pipeline.language.processes import from_first
from mopo_pipeline.streams import Stream, generator

if TYPE_CHECKING:
    import torch

Choose = Callable[["torch.Tensor", Index, int], "torch.Tensor"]
"""From scores (m, vocabulary) of the next token, the places (m,) of their lines and the step to tokens (m,)."""

PER_LINE = ("attention_mask", "position_ids", "token_type_ids")
"""What a model is given for every token of a line."""


def uniforms(seed: int, places: Sequence[tuple[int, int]], longest: int) -> Array:
    """Numbers in [0, 1), (n, longest), each answer's from a stream of its own: what else is drawn does not move them.

    Args:
        seed: of all draws.
        places: n answers, each by the index of its prompt and its number among the answers to that.
        longest: tokens of an answer at most; a greater number adds to the end.
    """
    drawn = [generator(seed, Stream.ANSWERS, i, j).random(longest) for i, j in places]
    return np.array(drawn).reshape(len(places), longest)


def drawn_by(uniform: Array) -> Choose:
    """Draw each token where its number, (lines, longest) of them, falls among the summed probabilities."""

    def choose(scores: "torch.Tensor", lines: Index, step: int) -> "torch.Tensor":
        import torch

        mass = scores.softmax(dim=-1).cumsum(dim=-1, dtype=torch.float64)
        whole = mass[:, -1:]
        if not bool(torch.isfinite(whole).all()):
            raise InputError(
                "the model's probabilities of the next token are not numbers, so nothing can be drawn from it: train it "
                "with a lower learning rate, or load it in float32"
            )
        reached = torch.from_numpy(uniform[lines, step, None]).to(mass.device) * whole
        return torch.searchsorted(mass, reached, right=True).squeeze(1).clamp(max=mass.shape[1] - 1)

    return choose


def chosen_by_first(choose: Choose) -> Choose:
    """What the first process chooses, in every process: those that hold a part of a model each go through the same tokens."""

    def together(scores: "torch.Tensor", lines: Index, step: int) -> "torch.Tensor":
        import torch

        return scores.new_tensor(from_first(choose(scores, lines, step).tolist()), dtype=torch.long)

    return together


def likeliest(scores: "torch.Tensor", lines: Index, step: int) -> "torch.Tensor":
    """The likeliest token of each line, (m,)."""
    return scores.argmax(dim=-1)


@dataclass
class _Open:
    """Lines that have not ended.

    Attributes:
        lines: (m,) their places among all.
        ids: (m, width) prompt and answer so far.
        logits: (m, vocabulary) of the next token.
        state: what the model is given with the next token, its cache among it.
    """

    lines: Index
    ids: "torch.Tensor"
    logits: "torch.Tensor"
    state: dict[str, Any] = field(default_factory=dict)

    def take(self, chosen: "torch.Tensor", lines: Index) -> None:
        """Go on with some of the lines (k,) alone, a line as often as it is named; their new places are ``lines``."""
        self.lines, self.ids, self.logits = lines, self.ids[chosen], self.logits[chosen]
        self.state["past_key_values"].reorder_cache(chosen)
        for name in PER_LINE:
            if self.state.get(name) is not None:
                self.state[name] = self.state[name][chosen]


def decoded(times: int, choose: Choose) -> Callable[..., list[list[int]]]:
    """A decoding loop for ``generate``: ``times`` answers to each line of prompts, prompt by prompt.

    Args:
        times: answers to a prompt.
        choose: what makes a token of scores.
    """

    def loop(
        model: Any,
        input_ids: "torch.Tensor",
        logits_processor: Any,
        stopping_criteria: Any,
        generation_config: Any,
        **state: Any,
    ) -> list[list[int]]:
        import torch

        now = _Open(np.arange(len(input_ids)), input_ids, *_next(model, input_ids, None, state))
        with_room(now.state["past_key_values"])
        copied = torch.arange(len(input_ids), device=input_ids.device).repeat_interleave(times)
        now.take(copied, np.arange(len(copied)))
        drawn: list[list[int]] = [[] for _ in now.lines]
        while True:
            length = now.ids.shape[1] - input_ids.shape[1]
            tokens = choose(logits_processor(now.ids, now.logits.float()), now.lines, length)
            now.ids = torch.cat([now.ids, tokens[:, None]], dim=1)
            for line, token in zip(now.lines, tokens.tolist(), strict=True):
                drawn[line].append(token)
            left = (~stopping_criteria(now.ids, None)).nonzero().squeeze(1)
            if not len(left):
                return drawn
            if len(left) < len(now.lines):
                now.take(left, now.lines[left.cpu().numpy()])
            now.logits, now.state = _next(model, now.ids, 1, now.state)

    return loop


def _next(
    model: Any, ids: "torch.Tensor", new: int | None, state: dict[str, Any]
) -> tuple["torch.Tensor", dict[str, Any]]:
    """Logits (m, vocabulary) behind the last token, and the state with the ``new`` last tokens, None is all, in its cache."""
    inputs = model.prepare_inputs_for_generation(
        ids, next_sequence_length=new, is_first_iteration=new is None, **state
    )
    out = model(**inputs, return_dict=True)
    logits = out.logits[:, -1].clone()
    return logits, model._update_model_kwargs_for_generation(out, state)
