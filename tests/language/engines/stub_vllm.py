"""A stand-in for vLLM's asynchronous interface, as Ray's workers import it: a file ``vllm.py`` on their path.

It writes down what it is asked, one line of JSON each, into ``$STUB_VLLM/asked.jsonl``, and breaks after as many requests as
``$STUB_VLLM/breaks`` says, if there is such a file.
"""

import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

FOLDER = Path(os.environ.get("STUB_VLLM", ""))


@dataclass
class SamplingParams:
    """The fields of vLLM's that are used; another name is a TypeError, as there."""

    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop_token_ids: list[int] | None = None
    max_tokens: int | None = 16
    detokenize: bool = True
    structured_outputs: Any = None


@dataclass
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str


@dataclass
class AsyncEngineArgs:
    model: str
    runner: str
    enable_log_requests: bool
    distributed_executor_backend: str
    tokenizer: str | None = None
    trust_remote_code: bool = False
    tensor_parallel_size: int = 1
    dtype: str = "auto"
    seed: int = 0
    gpu_memory_utilization: float = 0.9
    generation_config: str = "auto"
    enable_lora: bool = False
    max_lora_rank: int = 16

    def create_engine_config(self) -> Any:
        return SimpleNamespace(
            scheduler_config=SimpleNamespace(max_num_seqs=256),
            parallel_config=SimpleNamespace(pipeline_parallel_size=1),
        )


@dataclass
class Completion:
    token_ids: tuple[int, ...]
    text: str = ""
    logprobs: None = None


@dataclass
class RequestOutput:
    prompt_token_ids: list[int]
    outputs: list[Completion]
    prompt: str | None = None
    finished: bool = True
    metrics: None = None
    prompt_logprobs: None = None


@dataclass
class AsyncLLMEngine:
    """Says the last token of the prompt, the remainder of its seed, and an end."""

    args: AsyncEngineArgs
    given: int = field(default=0)

    @classmethod
    def from_engine_args(cls, args: AsyncEngineArgs, stat_loggers: Any = None) -> "AsyncLLMEngine":
        if (FOLDER / "breaks").is_file() and int((FOLDER / "breaks").read_text()) < 0:
            raise ValueError("No available memory for the cache blocks.")
        return cls(args)

    async def generate(
        self,
        prompt: dict[str, Any],
        sampling_params: SamplingParams,
        request_id: str,
        *,
        lora_request: LoRARequest | None = None,
    ) -> AsyncIterator[RequestOutput]:
        breaks = FOLDER / "breaks"
        if breaks.is_file() and self.given >= int(breaks.read_text()):
            raise RuntimeError("CUDA out of memory")
        self.given += 1
        ids = prompt["prompt_token_ids"]
        wish = {"prompt": ids, "sampling": asdict(sampling_params), "engine": asdict(self.args)}
        said = wish | {
            "lora": lora_request and asdict(lora_request),
            "process": os.getpid(),
            "quiet": os.environ.get("VLLM_NO_USAGE_STATS"),
        }
        with (FOLDER / "asked.jsonl").open("a") as file:
            file.write(json.dumps(said) + "\n")
        ends = sampling_params.stop_token_ids or [0]
        seed = sampling_params.seed or 0
        yield RequestOutput(ids, [Completion((100 + seed % 100, 100 + seed // 100 % 100, ends[0]))])

    async def do_log_stats(self) -> None:
        pass

    def shutdown(self) -> None:
        pass


def _submodule(name: str, **names: Any) -> ModuleType:
    module = ModuleType(f"vllm.{name}")
    module.__dict__.update(names)
    sys.modules[f"vllm.{name}"] = module
    return module


if __name__ == "vllm":
    outputs = _submodule("outputs", RequestOutput=RequestOutput, PoolingRequestOutput=type(None))
    inputs = _submodule("inputs", TokensPrompt=dict, TextPrompt=dict)
    lora = _submodule("lora", request=_submodule("lora.request", LoRARequest=LoRARequest))
