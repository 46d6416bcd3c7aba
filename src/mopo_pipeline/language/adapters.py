"""Adapters: wrapped around a base, folded into it, and held against the model that was trained."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.kinds import read_config
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.logprobs import row_logprobs
from mopo_pipeline.language.quiet import while_adapting
from mopo_pipeline.language.sealed import handed_over
from mopo_pipeline.language.tokens import EncodedRows
from mopo_pipeline.parameters.fit import LoraParams
from mopo_pipeline.progress import show_hub_progress

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOLERANCE = 0.01
"""Nats by which a sequence's log-probability may move, and a thousandth of it for long ones."""


def check_mergeable(model: Any) -> None:
    """Refuse adapters on an output layer that shares its weights with the embedding.

    Merged, they would change the embedding too.

    Raises:
        InputError: names the layer.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    base = model.get_base_model()
    tied = base.config.get_text_config().tie_word_embeddings
    heads = (base.get_output_embeddings(), base.get_input_embeddings())
    if tied and any(isinstance(layer, BaseTunerLayer) for layer in heads):
        raise InputError(
            "reference.lora.target_modules names the output layer or the embedding, which this model shares: merging "
            "would change both; leave them out"
        )


def save_merged(
    model: Any, tokenizer: "PreTrainedTokenizerBase", rows: EncodedRows, work_dir: Path
) -> Path:
    """Fold the adapter of ``model`` into its base, save that, and compare the two on ``rows``.

    Raises:
        InputError: the saved model gives other log-probabilities than the one with the adapter.
    """
    before = row_logprobs(model, rows, description="log-probabilities before merging")
    target = handed_over(".reference-", work_dir)
    show_hub_progress(False)
    model.merge_and_unload().save_pretrained(target)
    tokenizer.save_pretrained(target)
    saved, _ = load_model(target, device="cpu")
    after = row_logprobs(saved, rows, description="log-probabilities after merging")
    gap = np.abs(after - before)
    worst = int(gap.argmax())
    if gap[worst] > TOLERANCE + 1e-3 * abs(before[worst]):
        raise InputError(
            f"merging the adapter changed a log-probability from {before[worst]:.2f} to {after[worst]:.2f} nats: leave "
            "layers that share weights out of lora.target_modules"
        )
    return target


def check_installed() -> None:
    """Refuse adapters where the library is missing.

    Raises:
        InputError: says how to install it, and how to do without.
    """
    if find_spec("peft") is None:
        raise InputError(
            "adapters, which a pretrained model is trained with, need peft: pip install 'mopo_pipeline[lora]', or train all "
            "weights with reference.lora=null,train.lora=null"
        )


def check_targets(model: torch.nn.Module, targets: str | Sequence[str]) -> None:
    """Refuse names that no layer has: PEFT passes over them without a word where another one is found.

    Raises:
        InputError: the first such name, and what layers there are.
    """
    if isinstance(targets, str):
        return
    layers = dict(model.named_modules())
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in layers):
            linear = (torch.nn.Linear, Conv1D)
            there = {
                n.rpartition(".")[2] for n, layer in layers.items() if isinstance(layer, linear)
            }
            raise InputError(
                f"lora.target_modules names {target!r}, which no layer of this model is called; its linear layers are "
                f"{', '.join(sorted(there))}"
            )


def check_targets_of(folder: Path, targets: str | Sequence[str]) -> None:
    """``check_targets`` of a model by its configuration alone; a folder without one passes.

    Raises:
        InputError: see ``check_targets`` and ``read_config``.
    """
    if (folder / "config.json").is_file():
        with torch.device("meta"):
            check_targets(AutoModelForCausalLM.from_config(read_config(folder, folder)), targets)


def add_adapter(model: Any, params: LoraParams, seed: int) -> Any:
    """Wrap a frozen base with a fresh low-rank adapter.

    Raises:
        InputError: the library is missing, or no layer has a name that is asked for.
    """
    check_installed()
    from peft import LoraConfig, get_peft_model

    targets = params.target_modules
    check_targets(model, targets)
    config = LoraConfig(
        r=params.r,
        lora_alpha=params.alpha,
        lora_dropout=params.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]), while_adapting():
        torch.manual_seed(seed)
        return get_peft_model(model, config)
