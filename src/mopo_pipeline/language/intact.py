"""Whether weights are all there and fit their tokenizer, told in a line before anything is trained."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mopo_pipeline.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_LFS = b"version https://git-lfs"
_SHOWN = 3


def load_intact(kind: Any, path: str | Path, spec: str | Path, **options: Any) -> "PreTrainedModel":
    """``from_pretrained`` of an auto class, every weight of the model read from its files.

    Args:
        kind: such as ``AutoModelForCausalLM``.
        path: directory or hub id.
        spec: how the user named it.
        **options: of ``from_pretrained``.

    Raises:
        InputError: weights that are missing, cut, or git-lfs pointers. What ``kind`` itself refuses
            passes through.
    """
    from safetensors import SafetensorError

    check_files(Path(path), spec)
    try:
        model, report = kind.from_pretrained(path, output_loading_info=True, **options)
    except SafetensorError as error:
        raise InputError(
            f"{spec}: a weight file cannot be read ({error}); it was probably cut short: download or save it again"
        ) from error
    absent = sorted(report["missing_keys"])
    if absent:
        more = f" and {len(absent) - _SHOWN} more" if len(absent) > _SHOWN else ""
        raise InputError(
            f"{spec} has no weights for {', '.join(absent[:_SHOWN])}{more} of {type(model).__name__}, which would be "
            "random: name a model that was saved with them"
        )
    loaded: PreTrainedModel = model
    return loaded


def check_files(directory: Path, spec: str | Path) -> None:
    """Refuse weight files that git-lfs has not fetched.

    Raises:
        InputError: names the file.
    """
    for path in sorted(directory.glob("*.safetensors")) if directory.is_dir() else []:
        with path.open("rb") as file:
            if file.read(len(_LFS)) == _LFS:
                raise InputError(
                    f"{spec}: {path.name} is a git-lfs pointer, not the weights: run git lfs pull there"
                )


def check_tokens(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", spec: str | Path
) -> None:
    """Refuse a tokenizer whose pad, begin or end token the model has no embedding for.

    Raises:
        InputError: names the token, its id and the size of the embedding.
    """
    embedding: Any = model.get_input_embeddings()
    size = int(embedding.weight.shape[0])
    for name in ("pad_token", "bos_token", "eos_token"):
        token = getattr(tokenizer, f"{name}_id")
        if token is not None and token >= size:
            raise InputError(
                f"{spec}: the tokenizer's {name} {getattr(tokenizer, name)!r} has id {token}, but the model embeds {size} "
                f"tokens: set {name} to one of them, or resize and save the model"
            )
