"""What vLLM is asked, and what is made of its tokens; a stand-in with the signatures of its interface."""

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.chat import Chat
from mopo_pipeline.language.engines.in_vllm import check_vllm, from_vllm
from mopo_pipeline.language.generation import Answer
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.parameters.engine import EngineParams
from mopo_pipeline.tables import chat_prompt
from tiny_tokenizers import chatml_tokenizer, save_tiny

PROMPTS = [chat_prompt("how do you do"), chat_prompt("why")]
DECODING: dict[str, Any] = {
    "n": 2,
    "max_new_tokens": 9,
    "seed": 1,
    "temperature": 0.7,
    "top_p": 0.9,
}
ENGINE = EngineParams(kind="vllm", gpus=2, gpu_memory=0.5)


@dataclass
class SamplingParams:
    """The fields of vLLM's that are used here; another name is a TypeError, as there."""

    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop_token_ids: list[int] | None = None
    max_tokens: int | None = 16
    logprobs: int | None = None
    detokenize: bool = True


@dataclass
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str


@dataclass
class Completion:
    index: int
    text: str
    token_ids: tuple[int, ...]
    cumulative_logprob: float | None = None
    finish_reason: str | None = None


@dataclass
class RequestOutput:
    prompt_token_ids: list[int]
    outputs: list[Completion]


@dataclass
class Vllm:
    """What was asked of it, and the tokens it gives."""

    tokens: tuple[tuple[int, ...], ...] = ()
    made: dict[str, Any] = field(default_factory=dict)
    asked: list[Any] = field(default_factory=list)
    settings: list[SamplingParams] = field(default_factory=list)
    adapter: LoRARequest | None = None


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> Vllm:
    seen = Vllm()

    class LLM:
        def __init__(
            self,
            model: str,
            *,
            tokenizer: str | None = None,
            trust_remote_code: bool = False,
            tensor_parallel_size: int = 1,
            dtype: str = "auto",
            seed: int = 0,
            gpu_memory_utilization: float = 0.9,
            **engine: Any,
        ) -> None:
            given = {k: v for k, v in locals().items() if k not in ("self", "engine", "LLM")}
            seen.made = given | engine

        def generate(
            self,
            prompts: Any,
            sampling_params: Any = None,
            *,
            use_tqdm: bool = True,
            lora_request: LoRARequest | None = None,
        ) -> list[RequestOutput]:
            seen.asked, seen.settings, seen.adapter = prompts, sampling_params, lora_request
            return [
                RequestOutput(p["prompt_token_ids"], [Completion(k, "", t) for k, t in drawn])
                for p in prompts
                for drawn in [list(enumerate(seen.tokens))]
            ]

    package, lora, request = (ModuleType(n) for n in ("vllm", "vllm.lora", "vllm.lora.request"))
    package.LLM, package.SamplingParams, package.TokensPrompt = LLM, SamplingParams, dict  # type: ignore[attr-defined]
    request.LoRARequest = LoRARequest  # type: ignore[attr-defined]
    for module in (package, lora, request):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return seen


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"), chatml_tokenizer())


@pytest.mark.slow
def test_tokens_go_in_and_texts_come_out_as_they_do_from_transformers(
    vllm: Vllm, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VLLM_NO_USAGE_STATS", raising=False)
    loaded, tokenizer = load_model(model)
    chat = Chat(tokenizer)
    words, end = tokenizer(" very well")["input_ids"], chat.end_id
    vllm.tokens = ((*words, end), tuple(words))
    found = from_vllm(ENGINE, model, PROMPTS, **DECODING)
    assert found == [[Answer("very well", True), Answer("very well", False)]] * 2
    assert [p["prompt_token_ids"] for p in vllm.asked] == [chat.prompt(p)[0] for p in PROMPTS]
    one = vllm.settings[0]
    assert (one.n, one.temperature, one.top_p, one.top_k) == (2, 0.7, 0.9, 0)
    assert one.max_tokens == 9 and one.stop_token_ids == chat.end_ids(loaded)
    assert one.logprobs is None
    assert vllm.settings[0].seed != vllm.settings[1].seed
    assert (vllm.made["tensor_parallel_size"], vllm.made["gpu_memory_utilization"]) == (2, 0.5)
    assert vllm.made["dtype"] == "float32" and vllm.adapter is None
    assert os.environ["VLLM_NO_USAGE_STATS"] == "1", "its use is reported to nobody"


@pytest.mark.slow
def test_an_adapter_is_given_by_path_beside_its_base(
    vllm: Vllm, model: Path, tmp_path: Path
) -> None:
    from peft import LoraConfig, get_peft_model

    loaded, tokenizer = load_model(model)
    adapted: Any = get_peft_model(loaded, LoraConfig(task_type="CAUSAL_LM", r=24))
    adapted.peft_config["default"].base_model_name_or_path = str(model)
    adapted.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    vllm.tokens = ((5,), (6,))
    from_vllm(ENGINE, tmp_path, PROMPTS, **DECODING)
    assert vllm.adapter == LoRARequest(tmp_path.name, 1, str(tmp_path))
    assert (vllm.made["model"], vllm.made["enable_lora"]) == (str(model), True)
    assert vllm.made["max_lora_rank"] == 32, "the least vLLM takes that holds rank 24"
    config = tmp_path / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"r": 1024}))
    with pytest.raises(InputError, match="is 1024, and vLLM takes adapters of rank 512 at most"):
        from_vllm(ENGINE, tmp_path, PROMPTS, **DECODING)


def test_vllm_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"^evaluate\.x\.kind is vllm, which is not installed: pip"
    ):
        check_vllm("evaluate.x")


def test_a_machine_without_a_gpu_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match="needs a GPU, and there is none here"):
        check_vllm("evaluate.x")
