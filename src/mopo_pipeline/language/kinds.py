"""What kind of model a configuration is of, told in a line before its weights are read."""

import json
import os
from pathlib import Path
from typing import Any

from mopo_pipeline.errors import InputError, first_line
from mopo_pipeline.language.places import check_model

OTHER_HEADS = (
    "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice",
    "ForNextSentencePrediction", "ForPreTraining", "ForRewardModeling",
)  # fmt: skip
"""How architectures end that score or mark texts: some load as language models, and say nothing then."""

ADAPTER = "adapter_config.json"
"""What a folder of an adapter holds."""

OWN_CODE = "custom code"
"""Words of transformers about a model that brings code of its own."""


def read_config(path: str | Path, spec: str | Path) -> Any:
    """The configuration of a causal language model.

    Args:
        path: directory or hub id.
        spec: how the user named it.

    Raises:
        InputError: it cannot be read, or the model is no causal language model.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(path, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        if OWN_CODE in str(error):
            raise InputError(
                f"{spec} brings code of its own, which is never run here: name a model that transformers knows"
            ) from error
        raise InputError(
            f"the configuration of {spec} cannot be read: {first_line(error)}"
        ) from error
    if (other := other_kind(config)) is not None:
        raise InputError(
            f"{spec} is no causal language model: {other}; name a model that writes from left to right"
        )
    return config


def check_kind(spec: str | Path) -> None:
    """Refuse a directory that holds no causal language model, or an adapter without its base; hub ids and packages pass.

    Raises:
        InputError: see ``read_config`` and ``adapter_base``.
    """
    if not os.path.isdir(spec):
        return
    if (Path(spec) / ADAPTER).is_file():
        base = adapter_base(Path(spec))
        check_model(base)
        check_kind(base)
    else:
        read_config(spec, spec)


def other_kind(config: Any) -> str | None:
    """Why a model does not write from left to right, though it may load as one that does; None where it does."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    saved_as = str((getattr(config, "architectures", None) or [""])[0])
    if getattr(config, "is_encoder_decoder", False):
        return "it reads the prompt by an encoder, which would be left out"
    if saved_as.endswith(OTHER_HEADS):
        return f"it was saved as {saved_as}"
    reads_both_ways = config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if reads_both_ways and not getattr(config, "is_decoder", False):
        return f"{config.model_type} reads texts from both ends"
    return None


def named_base(path: Path) -> str | Path | None:
    """The base an adapter names: a directory beside the adapter, or whatever a model is named by; None where it names none.

    Raises:
        InputError: its ``adapter_config.json`` cannot be read.
    """
    file = path / ADAPTER
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        named = said.get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{file} cannot be read: {first_line(error)}") from error
    if not isinstance(named, str) or not named:
        return None
    beside = path.resolve().parent / named
    return beside if beside.is_dir() else named


def adapter_base(path: Path) -> str | Path:
    """The base an adapter names: a directory beside the adapter, or whatever ``load_model`` takes.

    Raises:
        InputError: it names none.
    """
    named = named_base(path)
    if named is None:
        raise InputError(
            f"{path} is an adapter whose adapter_config.json names no base: write it there as base_model_name_or_path"
        )
    return named
