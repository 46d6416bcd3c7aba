"""Answers drawn by vLLM in this process; the prompts' tokens and the answers' texts are made here, as for transformers."""

import gc
import importlib.util
import json
from pathlib import Path
from typing import Any

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.chat import Chat
from mopo_pipeline.language.generation import Answer, answer_of
from mopo_pipeline.language.loading import adapter_base, check_base, load_tokenizer, materialise
from mopo_pipeline.parameters.engine import EngineParams
from mopo_pipeline.streams import request_seed

ADAPTER = "adapter_config.json"

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Greatest ranks of adapters that vLLM can be told."""


def check_vllm(where: str) -> None:
    """Refuse where vLLM or a GPU is not there.

    Raises:
        InputError: what is missing.
    """
    if importlib.util.find_spec("vllm") is None:
        raise InputError(
            f"{where}.kind is vllm, which is not installed: pip install 'mopo_pipeline[vllm]', or set it to transformers"
        )
    import torch

    if not torch.cuda.is_available():
        raise InputError(
            f"{where}.kind is vllm, which needs a GPU, and there is none here: set it to transformers"
        )


def from_vllm(
    engine: EngineParams,
    spec: str | Path,
    prompts: list[str],
    *,
    n: int,
    max_new_tokens: int,
    seed: int,
    temperature: float,
    top_p: float,
) -> list[list[Answer]]:
    """Draw ``n`` answers to every prompt; an adapter is applied to its base by path.

    Args:
        engine: GPUs and memory it may take.
        spec: the model, as ``load_model`` takes it.
        prompts: stored prompts.
        n: answers per prompt.
        max_new_tokens: longest answer in tokens, end included.
        seed: of every draw.
        temperature: > 0.
        top_p: nucleus in (0, 1].
    """
    from vllm import LLM, SamplingParams, TokensPrompt

    path = Path(materialise(spec))
    chat = Chat(load_tokenizer(path))
    base, adapter = _base_and_adapter(path)
    llm = LLM(
        model=str(base),
        tokenizer=str(path),
        tensor_parallel_size=engine.gpus,
        gpu_memory_utilization=engine.gpu_memory,
        seed=seed,
        trust_remote_code=False,
        dtype=_precision(base),
        generation_config="vllm",
        **adapter,
    )
    ends = chat.end_ids_named(_named_ends(base))
    settings = [
        SamplingParams(
            n=n,
            temperature=temperature,
            top_p=top_p,
            top_k=0,
            max_tokens=max_new_tokens,
            stop_token_ids=ends,
            seed=request_seed(seed, prompt, number),
            detokenize=False,
        )
        for number, prompt in enumerate(prompts)
    ]
    asked = [TokensPrompt(prompt_token_ids=chat.prompt(prompt)[0]) for prompt in prompts]
    drawn = llm.generate(asked, settings, lora_request=_request(path) if adapter else None)
    found = [[answer_of(chat, list(one.token_ids), ends) for one in of.outputs] for of in drawn]
    del llm
    gc.collect()
    return found


def _base_and_adapter(path: Path) -> tuple[Path | str, dict[str, Any]]:
    """The model to load, and what vLLM needs to know of its adapter beforehand."""
    if not (path / ADAPTER).is_file():
        return path, {}
    base = materialise(adapter_base(path))
    check_base(path, base)
    rank = int(json.loads((path / ADAPTER).read_text(encoding="utf-8"))["r"])
    return base, {"enable_lora": True, "max_lora_rank": next(r for r in RANKS if r >= rank)}


def _request(path: Path) -> Any:
    from vllm.lora.request import LoRARequest

    return LoRARequest(path.name, 1, str(path))


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
