"""Answers drawn by vLLM in this process; the prompts' tokens and the answers' texts are made here, as for transformers."""

import gc
import importlib.util
from pathlib import Path
from typing import Any

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.engines.vllm_arguments import served
from mopo_pipeline.language.generation import Answer
from mopo_pipeline.parameters.engine import EngineParams
from mopo_pipeline.streams import request_seed


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

    model = served(engine, spec, seed)
    shared = model.sampling(max_new_tokens, temperature, top_p) | {"n": n}
    llm = LLM(model=str(model.base), **model.arguments)
    settings = [
        SamplingParams(seed=request_seed(seed, prompt, number), **shared)
        for number, prompt in enumerate(prompts)
    ]
    asked = [TokensPrompt(prompt_token_ids=model.prompt(prompt)) for prompt in prompts]
    drawn = llm.generate(asked, settings, lora_request=model.adapter and _request(model.adapter))
    found = [[model.answer(list(one.token_ids)) for one in of.outputs] for of in drawn]
    del llm
    gc.collect()
    return found


def _request(adapter: Path) -> Any:
    from vllm.lora.request import LoRARequest

    return LoRARequest(adapter.name, 1, str(adapter))
