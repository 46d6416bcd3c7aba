"""What vLLM is told, whoever starts it: the model, an adapter by path, prompts as tokens; answers are made of its tokens here."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.chat import Chat
from mopo_pipeline.language.generation import Answer, answer_of
from mopo_pipeline.language.kinds import adapter_base
from mopo_pipeline.language.loading import check_base, load_tokenizer
from mopo_pipeline.language.places import materialise
from mopo_pipeline.parameters.engine import EngineParams

ADAPTER = "adapter_config.json"

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Greatest ranks of adapters that vLLM can be told."""

SILENT = {"VLLM_NO_USAGE_STATS": "1"}
"""Variables without which vLLM reports its use to its makers."""


@dataclass(frozen=True)
class Served:
    """A model as vLLM loads it, and a conversation in its tokens.

    Attributes:
        base: what is loaded, a directory or a hub id.
        adapter: what is applied to it; None where nothing is.
        chat: conversations in the model's tokens.
        ends: tokens at which an answer ends.
        arguments: of the engine, beside the model.
    """

    base: Path | str
    adapter: Path | None
    chat: Chat
    ends: list[int]
    arguments: dict[str, Any]

    def sampling(self, max_new_tokens: int, temperature: float, top_p: float) -> dict[str, Any]:
        """Fields of ``SamplingParams`` that all answers share."""
        return {
            "temperature": temperature,
            "top_p": top_p,
            "top_k": 0,
            "max_tokens": max_new_tokens,
            "stop_token_ids": self.ends,
            "detokenize": False,
        }

    def prompt(self, prompt: str) -> list[int]:
        """Ids of a stored prompt up to where the answer begins."""
        return self.chat.prompt(prompt)[0]

    def answer(self, ids: list[int]) -> Answer:
        """What generated ids say."""
        return answer_of(self.chat, ids, self.ends)


def served(engine: EngineParams, spec: str | Path, seed: int) -> Served:
    """Find out what vLLM needs to know of a model.

    Args:
        engine: GPUs and memory it may take.
        spec: the model, as ``load_model`` takes it.
        seed: of the engine.

    Raises:
        InputError: there is no such model, an adapter's base has changed, or its rank is more than vLLM takes.
    """
    os.environ.update(SILENT)
    path = _absolute(materialise(spec))
    adapted = (Path(path) / ADAPTER).is_file()
    base = _absolute(materialise(adapter_base(Path(path)))) if adapted else path
    chat = Chat(load_tokenizer(path))
    arguments = {
        "tokenizer": str(path),
        "tensor_parallel_size": engine.gpus,
        "gpu_memory_utilization": engine.gpu_memory,
        "seed": seed,
        "trust_remote_code": False,
        "dtype": _precision(base),
        "generation_config": "vllm",
    }
    if adapted:
        check_base(Path(path), base)
        rank = int(json.loads((Path(path) / ADAPTER).read_text(encoding="utf-8"))["r"])
        arguments |= {"enable_lora": True, "max_lora_rank": room_for(rank, f"r of {path}")}
    ends = chat.end_ids_named(_named_ends(base))
    return Served(base, Path(path) if adapted else None, chat, ends, arguments)


def room_for(rank: int, named: str) -> int:
    """The least rank that vLLM can be told and that holds an adapter's.

    Raises:
        InputError: none does; says by which name the rank goes.
    """
    for room in RANKS:
        if room >= rank:
            return room
    raise InputError(
        f"{named} is {rank}, and vLLM takes adapters of rank {RANKS[-1]} at most: lower it, or draw with "
        "evaluate.sampling.engine.kind=transformers"
    )


def _absolute(path: Path | str) -> Path | str:
    """A directory as other processes find it; a hub id as it is."""
    return Path(path).absolute() if Path(path).is_dir() else path


def _precision(base: Path | str) -> str:
    """That of the weights; vLLM by itself halves float32."""
    from transformers import AutoConfig

    found = AutoConfig.from_pretrained(base, trust_remote_code=False).dtype
    return "auto" if found is None else str(found).removeprefix("torch.")


def _named_ends(base: Path | str) -> int | list[int] | None:
    """The end tokens the model's own generation settings name."""
    from transformers import GenerationConfig

    try:
        named: int | list[int] | None = GenerationConfig.from_pretrained(base).eos_token_id
    except OSError:
        return None
    return named
