"""Every environment but the base writes to a folder of its own, unless it names one."""

from pathlib import Path

import pytest

from mopo_pipeline.hooks import EnvironmentConfigLoader
from mopo_pipeline.hooks.paths import within
from mopo_pipeline.settings import CONFIG_LOADER_ARGS


def root(conf: Path, env: str | None) -> str:
    loader = EnvironmentConfigLoader(str(conf), env=env, **CONFIG_LOADER_ARGS)
    catalog = loader["catalog"]
    assert catalog["made"]["filepath"] == f"{loader['globals']['data_root']}/made.json"
    return str(loader["globals"]["data_root"])


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    for name in ("base", "local", "mine", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "base/globals.yml").write_text("data_root: data\n")
    made = "made: {type: json.JSONDataset, filepath: '${globals:data_root}/made.json'}\n"
    (tmp_path / "base/catalog.yml").write_text(made)
    (tmp_path / "elsewhere/globals.yml").write_text("data_root: /big/disk\n")
    return tmp_path


def test_an_environment_lies_below_the_root_and_the_base_in_it(conf: Path) -> None:
    assert root(conf, "mine") == "data/mine"
    assert [root(conf, env) for env in (None, "base", "local")] == ["data"] * 3


def test_a_root_that_an_environment_names_is_taken_as_it_is(conf: Path) -> None:
    assert root(conf, "elsewhere") == "/big/disk"


def test_a_root_shared_on_purpose_stays_shared(conf: Path) -> None:
    (conf / "mine/globals.yml").write_text("data_root: data\n")
    assert root(conf, "mine") == "data"


def test_a_root_that_begins_with_a_tilde_is_in_the_users_folder(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    (conf / "elsewhere/globals.yml").write_text("data_root: ~/runs\n")
    assert root(conf, "elsewhere") == "/home/somebody/runs"
    given = {"data_root": "~/others"}
    loader = EnvironmentConfigLoader(
        str(conf), env="mine", runtime_params=given, **CONFIG_LOADER_ARGS
    )
    assert loader.runtime_params["data_root"] == "/home/somebody/others"


def test_a_path_that_begins_with_a_tilde_is_in_the_users_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    given = {"ingest": {"path": "~/votes.csv", "source": "~"}, "reference": {"model": "a/~b"}}
    assert within(Path("/project"), given) == {
        "ingest": {"path": "/home/somebody/votes.csv", "source": "~"},
        "reference": {"model": "a/~b"},
    }


def test_files_and_folders_of_a_capability_and_models_with_a_logit_are_the_projects(
    tmp_path: Path,
) -> None:
    """A run that is started from elsewhere reads the same files."""
    (tmp_path / "reward").mkdir()
    capability = {"prompt_sets": {"safety": "harmful.txt"}, "task_folder": "tasks"}
    models = {"a": "reward#1", "b": "org/name#0"}
    given = {"capability": capability, "judges": {"reward_models": models}}
    assert within(tmp_path, given) == {
        "capability": {
            "prompt_sets": {"safety": str(tmp_path / "harmful.txt")},
            "task_folder": str(tmp_path / "tasks"),
        },
        "judges": {"reward_models": {"a": f"{tmp_path / 'reward'}#1", "b": "org/name#0"}},
    }
