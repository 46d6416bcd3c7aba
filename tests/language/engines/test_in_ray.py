"""What Ray is asked, and what is kept of its answers; a stand-in with the signatures of its interface."""

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.chat import Chat
from mopo_pipeline.language.engines.choose import check_engine, draw
from mopo_pipeline.language.engines.in_ray import check_ray
from mopo_pipeline.language.generation import Answer
from mopo_pipeline.language.loading import load_model, load_tokenizer
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


class RayError(Exception):
    """Root of what Ray raises."""


@dataclass
class Config:
    """The fields of ``vLLMEngineProcessorConfig`` that are used; another name is a TypeError, there a refusal."""

    model_source: str
    engine_kwargs: dict[str, Any]
    concurrency: int = 1
    batch_size: int = 32
    runtime_env: dict[str, Any] | None = None
    should_continue_on_error: bool = False
    log_engine_metrics: bool = True
    chat_template_stage: bool = True
    tokenize_stage: bool = True
    detokenize_stage: bool = True


@dataclass
class Table:
    """Rows that are made when they are asked for."""

    rows: Iterable[dict[str, Any]]

    def select_columns(self, cols: list[str]) -> "Table":
        return Table({name: row[name] for name in cols} for row in self.rows)

    def iter_rows(self) -> Iterator[dict[str, Any]]:
        yield from self.rows


def from_items(items: list[dict[str, Any]], *, override_num_blocks: int | None = None) -> Table:
    return Table(items)


@dataclass
class Ray:
    """A cluster of one node: what it was asked, how it answers, and how it breaks."""

    says: Callable[[dict[str, Any]], list[int]] = lambda row: [5]
    gpus: float = 1.0
    dead: Exception | None = None
    blind: bool = False
    refuses: set[int] = field(default_factory=set)
    joined: list[str | None] = field(default_factory=list)
    left: int = 0
    configs: list[Config] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def init(self, address: str | None = None, **options: Any) -> None:
        assert set(options) <= {"include_dashboard", "log_to_driver", "logging_level"}
        if self.dead:
            raise self.dead
        self.joined.append(address)

    def shutdown(self) -> None:
        self.left += 1

    def nodes(self) -> list[dict[str, Any]]:
        has = {"CPU": 4.0} | ({"GPU": self.gpus} if self.gpus else {})
        return [
            {"NodeID": "a", "Alive": True, "NodeManagerAddress": "10.0.0.1", "Resources": has},
            {"NodeID": "b", "Alive": False, "NodeManagerAddress": "10.0.0.2", "Resources": {}},
        ]

    def build_processor(self, config: Config) -> Callable[[Table], Table]:
        self.configs.append(config)

        def process(table: Table) -> Table:
            asked = list(table.rows)
            self.rows += asked
            return Table(self.answered(row) for row in reversed(asked))  # Ray keeps no order

        return process

    def answered(self, row: dict[str, Any]) -> dict[str, Any]:
        if row["place"] in self.refuses:
            return {**row, "generated_tokens": [], "__inference_error__": "ValueError: too long"}
        return {**row, "generated_tokens": self.says(row), "__inference_error__": ""}


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Ray:
    cluster = Ray()

    def remote(**options: Any) -> Callable[[Callable[..., Any]], Any]:
        def task(function: Callable[..., Any]) -> Any:
            def on_node(*given: Any) -> Any:
                with monkeypatch.context() as node:
                    if cluster.blind:
                        node.setattr("os.path.isdir", lambda path: False)
                    return function(*given)

            here = SimpleNamespace(remote=on_node)
            return SimpleNamespace(options=lambda scheduling_strategy: here)

        return task

    package, data, llm, util, strategies = (
        ModuleType(name)
        for name in (
            "ray",
            "ray.data",
            "ray.data.llm",
            "ray.util",
            "ray.util.scheduling_strategies",
        )
    )
    data.__dict__.update(
        DataContext=SimpleNamespace(get_current=SimpleNamespace),
        from_items=from_items,
        llm=llm,
    )
    llm.__dict__.update(vLLMEngineProcessorConfig=Config, build_processor=cluster.build_processor)
    strategies.__dict__.update(NodeAffinitySchedulingStrategy=lambda node_id, soft: node_id)
    package.__dict__.update(
        init=cluster.init,
        shutdown=cluster.shutdown,
        is_initialized=lambda: False,
        nodes=cluster.nodes,
        remote=remote,
        get=lambda found, timeout: found,
        data=data,
        exceptions=SimpleNamespace(RayError=RayError),
    )
    for module in (package, data, llm, util, strategies):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    installed(monkeypatch, ray=True, vllm=True)
    return cluster


def installed(monkeypatch: pytest.MonkeyPatch, **packages: bool) -> None:
    real = find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name: (packages[name] or None) if name in packages else real(name),
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"), chatml_tokenizer())


def engine(folder: Path, **given: Any) -> EngineParams:
    return EngineParams(kind="ray", work_dir=folder / "kept", **given)


def drawn(
    params: EngineParams, model: Path, prompts: list[str] = PROMPTS, **given: Any
) -> list[list[Answer]]:
    return draw(
        params,
        model,
        lambda: pytest.fail("no model is loaded in this process"),
        prompts,
        served=None,
        batch_size=1,
        description="answers",
        **(DECODING | given),
    )


def told_by_seed(model: Path) -> Callable[[dict[str, Any]], list[int]]:
    """Two letters of the request's seed, and an end."""
    chat = Chat(load_tokenizer(model))
    letters = [load_tokenizer(model)(letter)["input_ids"][0] for letter in "abcdefghij"]

    def says(row: dict[str, Any]) -> list[int]:
        seed = row["sampling_params"]["seed"]
        return [letters[seed % 10], letters[seed // 10 % 10], chat.end_id]

    return says


def test_tokens_go_in_and_texts_come_out_in_order_each_answer_with_a_seed_of_its_own(
    ray: Ray, model: Path, tmp_path: Path
) -> None:
    ray.says = told_by_seed(model)
    loaded, tokenizer = load_model(model)
    chat = Chat(tokenizer)
    found = drawn(engine(tmp_path, gpus=1, gpu_memory=0.5, replicas=3), model)
    asked = [chat.prompt(prompt)[0] for prompt in PROMPTS for _ in range(2)]
    assert [row["tokenized_prompt"] for row in ray.rows] == asked
    seeds = [row["sampling_params"].pop("seed") for row in ray.rows]
    assert len(set(seeds)) == 4
    letters = [f"{'abcdefghij'[s % 10]}{'abcdefghij'[s // 10 % 10]}" for s in seeds]
    assert [answer for of in found for answer in of] == [Answer(said, True) for said in letters]
    assert ray.rows[0]["sampling_params"] == {
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 0,
        "max_tokens": 9,
        "stop_token_ids": chat.end_ids(loaded),
        "detokenize": False,
    }
    [config] = ray.configs
    assert config.model_source == str(model) and config.concurrency == 3
    assert (config.engine_kwargs["gpu_memory_utilization"], config.engine_kwargs["dtype"]) == (
        0.5,
        "float32",
    )
    assert config.engine_kwargs["trust_remote_code"] is False
    assert config.runtime_env == {"env_vars": {"VLLM_NO_USAGE_STATS": "1"}}
    assert not config.chat_template_stage and not config.tokenize_stage
    assert "model" not in ray.rows[0], "there is no adapter"


def test_an_adapter_is_named_by_path_beside_its_base(
    ray: Ray, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft import LoraConfig, get_peft_model

    loaded, tokenizer = load_model(model)
    adapted: Any = get_peft_model(loaded, LoraConfig(task_type="CAUSAL_LM", r=24))
    adapted.peft_config["default"].base_model_name_or_path = str(model)
    adapted.save_pretrained(tmp_path / "policy")
    tokenizer.save_pretrained(tmp_path / "policy")
    monkeypatch.chdir(tmp_path)
    drawn(engine(tmp_path), Path("policy"))
    assert {row["model"] for row in ray.rows} == {str(tmp_path / "policy")}, "as nodes find it"
    assert ray.configs[0].model_source == str(model)
    assert ray.configs[0].engine_kwargs["max_lora_rank"] == 32


def test_what_was_drawn_is_not_drawn_again_but_more_of_it_is(
    ray: Ray, model: Path, tmp_path: Path
) -> None:
    ray.says = told_by_seed(model)
    first = drawn(engine(tmp_path), model)
    assert drawn(engine(tmp_path, replicas=5), model) == first and len(ray.configs) == 1
    more = drawn(engine(tmp_path), model, [*PROMPTS, chat_prompt("who")], n=3)
    assert [of[:2] for of in more[:2]] == first and len(ray.rows) == 4 + 5
    drawn(engine(tmp_path), model, seed=2)
    assert len(ray.rows) == 9 + 4


def test_other_weights_are_drawn_from_anew(ray: Ray, model: Path, tmp_path: Path) -> None:
    drawn(engine(tmp_path), model)
    drawn(engine(tmp_path), save_tiny(tmp_path / "other", chatml_tokenizer(), hidden_size=32))
    assert len(ray.rows) == 8


def test_an_answer_that_fails_loses_no_other(ray: Ray, model: Path, tmp_path: Path) -> None:
    ray.refuses = {1}
    with pytest.raises(InputError, match=r"\(ValueError: too long\).*kept in .*run again to go on"):
        drawn(engine(tmp_path), model)
    ray.refuses = set()
    drawn(engine(tmp_path), model)
    assert len(ray.rows) == 4 + 1 and ray.left == len(ray.joined) == 2


def test_a_cluster_that_dies_is_one_line_and_what_was_answered_is_kept(
    ray: Ray, model: Path, tmp_path: Path
) -> None:
    def dies(row: dict[str, Any]) -> list[int]:
        if row["place"] == 0:
            raise RayError(
                "Traceback\n  File x\n\x1b[36mray::A\x1b[39m\nOutOfMemoryError: no room\n"
            )
        return [5]

    whole, ray.says = ray.says, dies
    with pytest.raises(InputError, match=r"^Ray could not draw .*\(OutOfMemoryError: no room\)"):
        drawn(engine(tmp_path), model)
    ray.says = whole
    assert len(drawn(engine(tmp_path), model)) == 2


def test_the_cluster_is_asked_at_the_start_and_left_again(ray: Ray, tmp_path: Path) -> None:
    check_engine(engine(tmp_path), "evaluate.x", served=False)
    assert (ray.joined, ray.left) == ([None], 1)


def test_ray_that_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, ray=False)
    with pytest.raises(InputError, match=r"^evaluate\.x\.kind is ray, which is not installed: pip"):
        check_ray(engine(tmp_path), "evaluate.x")


def test_ray_without_its_processors_is_one_line(
    ray: Ray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray.data.llm", None)
    with pytest.raises(InputError, match=r"^x\.kind is ray, which is installed without .*\[ray\]"):
        check_ray(engine(tmp_path), "x")


def test_an_address_that_is_none_is_one_line(ray: Ray, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^x: 'head:port' is no address such as"):
        check_ray(engine(tmp_path, address="head:port"), "x")


@pytest.mark.parametrize("named", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_an_address_where_no_cluster_answers_is_one_line(
    ray: Ray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    line = rf"^evaluate\.x: no Ray cluster answers at {named} .*ray start --head"
    with pytest.raises(InputError, match=line):
        check_ray(engine(tmp_path, address=named), "evaluate.x")
    monkeypatch.setenv("RAY_ADDRESS", named)
    with pytest.raises(InputError, match=line):
        check_ray(engine(tmp_path), "evaluate.x")
    assert ray.joined == []


def test_a_cluster_that_does_not_let_one_in_is_one_line(ray: Ray, tmp_path: Path) -> None:
    ray.dead = RuntimeError("Version mismatch: Python 3.12 here, 3.11 there")
    with pytest.raises(InputError, match=r"^x: Ray cannot be reached: Version mismatch"):
        check_ray(engine(tmp_path), "x")


def test_a_cluster_without_gpus_for_a_replica_is_one_line(ray: Ray, tmp_path: Path) -> None:
    ray.gpus = 2
    with pytest.raises(InputError, match=r"^x: Ray's cluster has 2 GPUs, and a replica takes 4"):
        check_ray(engine(tmp_path, gpus=4), "x")
    ray.gpus = 0
    with pytest.raises(InputError, match="has 0 GPUs"):
        check_ray(engine(tmp_path), "x")
    assert ray.left == 2


def test_a_node_without_vllm_or_without_the_model_is_named(
    ray: Ray, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, ray=True, vllm=False)
    with pytest.raises(InputError, match=r"^x: node 10\.0\.0\.1 .* has no vLLM \(pip install"):
        check_ray(engine(tmp_path), "x")
    installed(monkeypatch, ray=True, vllm=True)
    ray.blind = True
    with pytest.raises(InputError, match=rf"has no {model} \(put it where every node sees it\)"):
        drawn(engine(tmp_path), model)
