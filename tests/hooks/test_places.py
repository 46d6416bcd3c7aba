"""What a run needs later is looked for before it computes anything, each by the parameter that names it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from transformers import LlamaConfig

from mopo_pipeline.errors import InputError
from mopo_pipeline.hooks.places import PlacesHook
from mopo_pipeline.language import places
from mopo_pipeline.pipeline_registry import register_pipelines
from mopo_pipeline.pipelines.stage import has_effect, order_only, reads, reads_only

RUN: dict[str, Any] = {"only_missing_outputs": False}


def node(group: str, *tags: str) -> Node:
    return Node(lambda params: params, f"params:{group}", "made", name="make", tags=tags)


def look(
    parameters: dict[str, Any],
    *tags: str,
    run: dict[str, Any] = RUN,
    catalog: DataCatalog | None = None,
) -> None:
    hook = PlacesHook()
    hook._parameters = parameters
    [group] = parameters
    hook.before_pipeline_run(run, Pipeline([node(group, *tags)]), catalog or DataCatalog())


def cases(folder: Path) -> dict[str, dict[str, Any]]:
    (folder / "empty").mkdir()
    (folder / "prompts.csv").write_text("text\nhello\n")
    sets = {"capability": {"prompt_sets": {"safety": str(folder / "absent.txt")}}}
    other = {"capability": {"prompt_sets": {"safety": str(folder / "prompts.csv")}}}
    tasks = {"capability": {"tasks": ["arc"], "task_folder": str(folder / "absent")}}
    rewards = {"judges": {"reward_models": {"harmless": "./nowhere#1"}}}
    tiny = folder / "tiny"
    LlamaConfig(hidden_size=8, intermediate_size=8, num_attention_heads=1).save_pretrained(tiny)
    (tiny / "model.safetensors").touch()
    adapters = {"model": str(tiny), "lora": {"target_modules": ["q_proj", "v_projj"]}}
    return {
        "names 'v_projj', which no layer of this model is called; its linear layers are down_proj": {
            "reference": adapters
        },
        "reference.model: no model at ./nowhere": {"reference": {"model": "./nowhere"}},
        "empty is not a model": {"reference": {"model": str(folder / "empty")}},
        "package absent_package is not installed": {
            "preferences": {"preference_model": {"encoder": "package:absent_package"}}
        },
        "evaluate.judges.reward_models.harmless: no model at ./nowhere:": {"evaluate": rewards},
        "evaluate.judges.own: no judge can be imported as 'absent_module:Mine'": {
            "evaluate": {"judges": {"own": "absent_module:Mine"}}
        },
        "train.lag.judge: no judge can be imported as 'absent.module:Mine'": {
            "train": {"lag": {"judge": "absent.module:Mine"}}
        },
        "evaluate.capability.prompt_sets.safety: there is no file": {"evaluate": sets},
        "prompts.csv has no column 'prompt'": {"evaluate": other},
        "evaluate.capability.task_folder: there is no folder": {"evaluate": tasks},
    }


def test_what_is_not_there_is_named_before_the_first_node(tmp_path: Path) -> None:
    for said, parameters in cases(tmp_path).items():
        with pytest.raises(InputError, match=said):
            look(parameters)


def test_only_what_a_node_reads_and_makes_now_is_looked_for(tmp_path: Path) -> None:
    absent = {"reference": {"model": "./nowhere"}}
    look(absent, *order_only("params:reference"))
    look(absent, *reads_only("reference", "context"))
    made = DataCatalog({"made": MemoryDataset(1)})
    look(absent, run={"only_missing_outputs": True}, catalog=made)
    with pytest.raises(InputError):
        look(absent, *reads_only("reference", "model"))
    with pytest.raises(InputError):
        look(absent, run={"only_missing_outputs": True})


@pytest.mark.parametrize(
    "parameters",
    [
        {"reference": {"model": "scratch"}},
        {"evaluate": {"judges": {"chat": {"endpoint": {"model": "served"}}}}},
        {"preferences": {"preference_model": {"encoder": None}}},
    ],
    ids=["from scratch", "a server's", "none"],
)
def test_what_is_no_place_is_not_looked_for(parameters: dict[str, Any]) -> None:
    look(parameters)


def test_a_hub_id_that_cannot_be_had_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def download(raising: Exception | None) -> Callable[[str, str], str]:
        def fetch(repo: str, name: str) -> str:
            asked.append(f"{repo}/{name}")
            if raising is not None:
                raise raising
            return name

        return fetch

    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, RemoteEntryNotFoundError

    gated, absent = (
        kind.__new__(kind, "401: ask for access\nand more")
        for kind in (GatedRepoError, RemoteEntryNotFoundError)
    )
    rewards = {"evaluate": {"judges": {"reward_models": {"a": "harmless", "b": "org/model#1"}}}}
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download(None))
    look(rewards)
    assert asked == [
        "Ray2333/gpt2-large-harmless-reward_model/config.json",
        "org/model/config.json",
    ]
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download(absent))
    places.check_on_hub("org/adapter", "reference.model")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download(gated))
    with pytest.raises(
        InputError,
        match=r"reference\.model: org/model is not on this machine and cannot be had from the hub",
    ):
        look({"reference": {"model": "org/model"}})


@pytest.mark.parametrize(
    "key",
    [
        "reference.model",
        "preferences.preference_model.encoder",
        "train.lag.judge",
        "evaluate.judges.own",
        "evaluate.judges.reward_models.harmless",
        "evaluate.capability.prompt_sets.safety",
        "evaluate.capability.tasks",
    ],
)
def test_the_default_run_looks_for_it(key: str) -> None:
    """Tags that say what a node reads must not keep it from being looked for."""
    group = f"params:{key.split('.', maxsplit=1)[0]}"
    nodes = [n for n in register_pipelines()["__default__"].nodes if group in n.inputs]
    assert any(has_effect(n, group) and reads(n, key) for n in nodes)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{", "the configuration of {} cannot be read"),
        ('{"model_type": "foo"}', "the configuration of {} cannot be read"),
        (
            '{"model_type": "bert", "architectures": ["BertForMaskedLM"]}',
            "{} is no causal language model: it was saved as BertForMaskedLM",
        ),
    ],
)
def test_a_reference_that_is_no_language_model_is_told_before_the_data_is_read(
    config: str, said: str, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(config)
    (model / "model.safetensors").touch()
    with pytest.raises(InputError) as told:
        look({"reference": {"model": str(model)}})
    assert str(told.value).startswith(said.format(model)) and "\n" not in str(told.value)
    look({"preferences": {"win_rates": {"model": {"encoder": str(model)}}}})


def test_the_base_of_an_adapter_is_looked_for_too(tmp_path: Path) -> None:
    (tmp_path / "adapter_model.safetensors").touch()
    for named, said in (
        ('{"base_model_name_or_path": "/gone/base"}', "no model at /gone/base"),
        ('{"base_model_name_or_path": null}', "names no base: write it there"),
        ("[]", "cannot be read"),
    ):
        (tmp_path / "adapter_config.json").write_text(named)
        with pytest.raises(InputError, match=said):
            look({"reference": {"model": str(tmp_path)}})
