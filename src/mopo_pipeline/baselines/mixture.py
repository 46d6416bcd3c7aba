"""Experts mixed at every token, as one causal language model: what scores and samples models, scores and samples it.

    log pi(t | x, y_<t) = sum_k w_k log pi_k(t | x, y_<t) - log sum_t' exp(...)

The weights sum to 1, so that all weight on one expert is that expert.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.loading import load_model


@dataclass
class ExpertCaches:
    """Keys and values of every expert.

    Attributes:
        caches: one per expert.
    """

    caches: list[Any]
    is_compileable = False

    def get_seq_length(self) -> int:
        """Tokens known."""
        return int(self.caches[0].get_seq_length())

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Keep these lines (k,), a line as often as it is named."""
        for cache in self.caches:
            cache.reorder_cache(beam_idx)


class Mixture(PreTrainedModel, GenerationMixin):
    """K experts and their weights; it has no weights of its own.

    Attributes:
        experts: causal language models over one vocabulary.
        weights: one per expert, on the simplex.
        mixed: where the mixed log-probabilities pass through, the mixture's output layer.
    """

    _supports_sdpa = True
    _supports_attention_backend = True

    def __init__(self, experts: Sequence[Any], weights: Sequence[float]) -> None:
        super().__init__(experts[0].config)
        self.experts = torch.nn.ModuleList(experts)
        self.weights = tuple(weights)
        self.mixed = torch.nn.Identity()
        self.generation_config = GenerationConfig.from_dict(experts[0].generation_config.to_dict())

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False

    def get_output_embeddings(self) -> Any:
        """What positions are chosen at."""
        return self.mixed

    def forward(
        self,
        input_ids: Any = None,
        past_key_values: ExpertCaches | None = None,
        use_cache: bool = False,
        **inputs: Any,
    ) -> CausalLMOutputWithPast:
        """Mixed log-probabilities (lines, width, vocabulary) as logits.

        An expert of weight 0 is not asked.
        """
        asked = [k for k, weight in enumerate(self.weights) if weight > 0.0]
        total: Any = 0.0
        caches: list[Any] = []
        for place, k in enumerate(asked):
            known = None if past_key_values is None else past_key_values.caches[place]
            found = self.experts[k](
                input_ids=input_ids, past_key_values=known, use_cache=use_cache, **inputs
            )
            total = total + self.weights[k] * found.logits.float().log_softmax(-1)
            caches.append(found.past_key_values)
        logits = self.mixed(total).log_softmax(-1)
        kept: Any = ExpertCaches(caches) if use_cache else None
        return CausalLMOutputWithPast(logits=logits, past_key_values=kept)

    def prepare_inputs_for_generation(
        self,
        input_ids: Any,
        next_sequence_length: int | None = None,
        past_key_values: Any = None,
        attention_mask: Any = None,
        *_: Any,
        **given: Any,
    ) -> dict[str, Any]:
        """The next tokens, their places counted from where each line's padding ends."""
        positions = (attention_mask.cumsum(-1) - 1).clamp(min=0)
        new = slice(None) if past_key_values is None else slice(-1, None)
        return {
            "input_ids": input_ids[:, new],
            "position_ids": positions[:, new],
            "attention_mask": attention_mask,
            "past_key_values": past_key_values,
            "use_cache": given.get("use_cache", False),
        }


def load_mixture(folders: Sequence[Path], weights: Sequence[float]) -> tuple[Mixture, Any]:
    """The mixture of experts on disk, and the tokenizer they share.

    Raises:
        InputError: not a weight per expert, or experts over different vocabularies.
    """
    if len(folders) != len(weights):
        raise InputError(f"{len(folders)} experts have {len(weights)} weights: give one each")
    loaded = [load_model(folder) for folder in folders]
    vocabularies = [tokenizer.get_vocab() for _, tokenizer in loaded]
    odd = [f for f, v in zip(folders, vocabularies, strict=True) if v != vocabularies[0]]
    if odd:
        raise InputError(f"{odd[0]} has another vocabulary than {folders[0]}: experts need one")
    device = next(loaded[0][0].parameters()).device
    mixture: Any = Mixture([model for model, _ in loaded], weights)
    return mixture.eval().to(device), loaded[0][1]
