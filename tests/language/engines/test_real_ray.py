"""Ray itself, with its processors and two pretended GPUs; vLLM on its workers is a stand-in."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.chat import Chat
from mopo_pipeline.language.engines.in_ray import ROWS, check_ray, from_ray
from mopo_pipeline.language.loading import load_tokenizer
from mopo_pipeline.parameters.engine import EngineParams
from mopo_pipeline.streams import request_seed
from mopo_pipeline.tables import chat_prompt
from tiny_tokenizers import chatml_tokenizer, save_tiny

pytest.importorskip("ray.data.llm", reason="the extra ray is not installed", exc_type=ImportError)
pytestmark = pytest.mark.slow

HEAD = """
import sys, ray
ray.init(num_cpus=4, num_gpus=2, include_dashboard=False, object_store_memory=200 * 2**20)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
ray.shutdown()
"""
DECODING: dict[str, Any] = {"max_new_tokens": 9, "seed": 1, "temperature": 0.7, "top_p": 0.9}


class Cluster(NamedTuple):
    """A cluster in other processes.

    Attributes:
        address: where it is.
        folder: where its workers find the stand-in, and write what they are asked.
    """

    address: str
    folder: Path

    def asked(self) -> list[dict[str, Any]]:
        file = self.folder / "asked.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("workers")
    shutil.copy(Path(__file__).with_name("stub_vllm.py"), folder / "vllm.py")
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    with pytest.MonkeyPatch.context() as here:
        for name, value in quiet.items():
            here.setenv(name, value)
        own = {"STUB_VLLM": str(folder), "PYTHONPATH": str(folder)}
        head = subprocess.Popen(
            [sys.executable, "-c", HEAD],
            env=os.environ | own,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert head.stdin is not None and head.stdout is not None
        yield Cluster(head.stdout.readline().strip(), folder)
        head.stdin.close()
        head.wait(120)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"), chatml_tokenizer())


def engine(cluster: Cluster, folder: Path, **given: Any) -> EngineParams:
    return EngineParams(kind="ray", address=cluster.address, work_dir=folder / "kept", **given)


def test_a_run_that_breaks_goes_on_where_it_stopped_and_every_answer_is_the_one_of_its_seed(
    cluster: Cluster, model: Path, tmp_path: Path
) -> None:
    prompts, n, before = [chat_prompt(f"how {i}") for i in range(2 * ROWS)], 2, ROWS + 5
    options = DECODING | {"n": n, "description": "answers"}
    (cluster.folder / "breaks").write_text(str(before))
    with pytest.raises(
        InputError, match=r"\(RuntimeError: CUDA out of memory\).*run again to go on"
    ):
        from_ray(engine(cluster, tmp_path), model, "v1", prompts, **options)
    (cluster.folder / "breaks").unlink()
    assert len(cluster.asked()) == before
    found = from_ray(engine(cluster, tmp_path, replicas=2), model, "v1", prompts, **options)
    assert len(cluster.asked()) == len(prompts) * n, "nothing is drawn twice"
    chat = Chat(load_tokenizer(model))
    for prompt, answers in zip(prompts, found, strict=True):
        for number, answer in enumerate(answers):
            seed = request_seed(1, prompt, number)
            ids = [100 + seed % 100, 100 + seed // 100 % 100]
            assert answer.text == chat.tokenizer.decode(ids).strip() and answer.ended
    one = cluster.asked()[0]
    assert one["sampling"] == one["sampling"] | {"top_k": 0, "max_tokens": 9, "detokenize": False}
    assert {tuple(line["prompt"]) for line in cluster.asked()} == {
        tuple(chat.prompt(prompt)[0]) for prompt in prompts
    }
    assert one["engine"]["dtype"] == "float32" and one["quiet"] == "1" and one["lora"] is None


def test_an_adapter_reaches_the_nodes_by_path(
    cluster: Cluster, model: Path, tmp_path: Path
) -> None:
    from peft import LoraConfig, get_peft_model

    from mopo_pipeline.language.loading import load_model

    loaded, tokenizer = load_model(model)
    adapted: Any = get_peft_model(loaded, LoraConfig(task_type="CAUSAL_LM", r=8))
    adapted.peft_config["default"].base_model_name_or_path = str(model)
    adapted.save_pretrained(tmp_path / "policy")
    tokenizer.save_pretrained(tmp_path / "policy")
    options = DECODING | {"n": 1, "description": "answers"}
    from_ray(engine(cluster, tmp_path), tmp_path / "policy", "v1", [chat_prompt("why")], **options)
    last = cluster.asked()[-1]
    assert last["lora"]["lora_path"] == str(tmp_path / "policy")
    assert last["engine"]["model"] == str(model) and last["engine"]["enable_lora"]


def test_an_engine_that_does_not_start_is_one_line(
    cluster: Cluster, model: Path, tmp_path: Path
) -> None:
    (cluster.folder / "breaks").write_text("-1")
    with pytest.raises(InputError, match=r"\(ValueError: No available memory for the cache blocks"):
        options = DECODING | {"n": 1, "description": "answers"}
        from_ray(engine(cluster, tmp_path), model, "v1", [chat_prompt("why")], **options)
    (cluster.folder / "breaks").unlink()


def test_the_cluster_is_looked_at_and_left(cluster: Cluster, tmp_path: Path) -> None:
    import ray

    check_ray(engine(cluster, tmp_path, gpus=2), "x")
    with pytest.raises(InputError, match="has 2 GPUs, and a replica takes 3"):
        check_ray(engine(cluster, tmp_path, gpus=3), "x")
    (cluster.folder / "vllm.py").rename(cluster.folder / "gone.py")
    shutil.rmtree(cluster.folder / "__pycache__", ignore_errors=True)
    with pytest.raises(InputError, match=r"^x: node .* has no vLLM"):
        check_ray(engine(cluster, tmp_path), "x")
    (cluster.folder / "gone.py").rename(cluster.folder / "vllm.py")
    assert not ray.is_initialized()
