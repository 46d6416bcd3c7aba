"""What an artifact's fingerprint takes for a change, and what it doesn't."""

import ast
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline

from conftest import PROJECT
from mopo_pipeline import source
from mopo_pipeline.errors import InputError
from mopo_pipeline.hooks import contents as contents_module
from mopo_pipeline.hooks.contents import SMALL, Contents
from mopo_pipeline.hooks.fingerprints import FingerprintHook
from mopo_pipeline.hooks.provenance import Provenance, difference, trace
from mopo_pipeline.parameters.groups import validate_parameters
from mopo_pipeline.pipeline_registry import register_pipelines

FIT = {"steps": 10}
GIVEN: dict[str, Any] = {
    "task": {"objectives": [{"name": "a"}, {"name": "b", "threshold": 0.5}]},
    "ingest": {"source": "files", "path": "data.csv"},
    "preferences": {},
    "plan": {"tau": 0.1},
    "reference": {"fit": FIT, "work_dir": "work"},
    "train": {"fit": FIT, "work_dir": "work"},
    "evaluate": {},
    "report": {},
    "export": {"path": "release"},
    "rows": {},
    "front": {"data_root": "data"},
    "steerable": {},
    "ablation": {"sweeps": {"tau": {"plan.tau": [0.1]}}},
    "synthetic": yaml.safe_load(
        (PROJECT / "conf/base/parameters_synthetic.yml").read_text(encoding="utf-8")
    )["synthetic"],
}

Edit = Callable[[str], str]
ChangedBy = Callable[[str, Edit], set[str]]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package whose text is read instead."""
    copy = tmp_path / "copy" / source.OWN
    shutil.copytree(source.ROOT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    memo = source._memo(source.ROOT).file
    monkeypatch.setattr(source, "ROOT", copy)
    forget()
    if memo.is_file():
        (copy / "__pycache__").mkdir()
        shutil.copy(memo, copy / "__pycache__")
    yield copy
    forget()


def forget() -> None:
    for cached in (
        source._memo,
        source._module,
        source._path,
        source._files,
        source.code_of_module,
    ):
        cached.cache_clear()


def codes() -> dict[str, source.Code]:
    forget()
    return {
        node.name: source.code_of(node.func) for node in register_pipelines()["__default__"].nodes
    }


@pytest.fixture(scope="module")
def unedited() -> dict[str, source.Code]:
    return codes()


@pytest.fixture
def changed_by(unedited: dict[str, source.Code], package: Path) -> ChangedBy:
    """Nodes whose code is another after an edit of a file of the package."""

    def changed(file: str, edit: Edit) -> set[str]:
        path = package / file
        text = path.read_text(encoding="utf-8")
        assert edit(text) != text
        path.write_text(edit(text), encoding="utf-8")
        return {name for name, code in codes().items() if code.digest != unedited[name].digest}

    return changed


def test_a_loss_turned_round_changes_the_code_of_every_training(changed_by: ChangedBy) -> None:
    changed = changed_by(
        "training/loss.py",
        lambda text: text.replace("return -(weight * logprob)", "return (weight * logprob)"),
    )
    assert {"reference.train_reference", "train.train_policy"} <= changed
    assert "plan.plan_training" not in changed
    assert "ingest.ingest_source" not in changed


@pytest.mark.parametrize("file", ["judges/pocket.py", "judges/rules.py"])
def test_a_judge_that_is_imported_by_name_changes_the_code_of_what_it_judges(
    changed_by: ChangedBy, file: str
) -> None:
    changed = changed_by(file, lambda text: text + "\nTURNED = -1\n")
    assert {"ingest.ingest_source", "train.train_policy", "evaluate.judge_completions"} <= changed
    assert "plan.plan_training" not in changed


def test_another_solver_changes_the_code_of_the_plan(changed_by: ChangedBy) -> None:
    changed = changed_by("mopo/solvers/newton.py", lambda text: text + "\nSTEP = 1\n")
    assert "plan.plan_training" in changed
    assert "preferences.build_comparisons" not in changed


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace('"""', '"""Said otherwise. ', 1),
        lambda text: "# A remark.\n" + text,
        lambda text: text.replace("\n\n\n", "\n\n\n\n\n"),
    ],
    ids=["docstring", "comment", "layout"],
)
@pytest.mark.slow
def test_what_only_people_read_changes_no_code(changed_by: ChangedBy, edit: Edit) -> None:
    assert changed_by("training/trainer.py", edit) == set()


def test_how_a_report_looks_changes_no_training(changed_by: ChangedBy) -> None:
    changed = changed_by("reporting/page.html.j2", lambda text: text + "<p>")
    assert "report.write_report" in changed
    assert not changed & {
        "reference.train_reference",
        "train.train_policy",
        "evaluate.sample_completions",
    }
    changed = changed_by("reporting/fronts.py", lambda text: text + "\nWIDTH = 3\n")
    assert not changed & {
        "reference.train_reference",
        "train.train_policy",
        "evaluate.sample_completions",
    }


def test_another_node_of_the_same_file_changes_no_code() -> None:
    own = source.code_of(register_pipelines()["evaluate"].nodes[0].func).modules
    assert not [name for name in own if name.endswith((".write_model_card", "evaluate.nodes"))]


def test_a_version_of_the_package_alone_changes_no_code(changed_by: ChangedBy) -> None:
    assert changed_by("__init__.py", lambda text: text + '\n__version__ = "9"\n') == set()


SMALL_MODULE = "pareto/bounds.py"


def code_of_small() -> source.Code:
    """As a process that starts finds it."""
    forget()
    return source.code_of_module(f"{source.OWN}.pareto.bounds")


def test_a_text_that_was_read_once_is_not_read_by_the_next_process(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = code_of_small()
    looked_through: list[str] = []
    read = source._read

    def counted(statements: list[ast.stmt]) -> source.Reached:
        looked_through.append(ast.unparse(statements[-1]))
        return read(statements)

    monkeypatch.setattr(source, "_read", counted)
    assert code_of_small() == before
    assert not looked_through
    file = package / SMALL_MODULE
    file.write_text(file.read_text(encoding="utf-8") + "\nTURNED = -1\n", encoding="utf-8")
    after = code_of_small().modules
    assert looked_through == ["TURNED = -1"]
    assert {name for name in after if after[name] != before.modules[name]} == {
        f"{source.OWN}.pareto.bounds"
    }


def test_what_a_name_means_is_found_anew_where_a_module_is_added(package: Path) -> None:
    file, added = package / SMALL_MODULE, f"{source.OWN}.pareto.added"
    text = f'{file.read_text(encoding="utf-8")}\nBY_NAME = "{added}:Name"\n'
    file.write_text(text, encoding="utf-8")
    assert added not in code_of_small().modules
    (package / "pareto/added.py").write_text("Name = 1\n", encoding="utf-8")
    assert added in code_of_small().modules


@pytest.mark.parametrize("spoilt", ["", "{", "[]", '{"found": {}}', "other"])
def test_a_memo_that_is_none_or_anothers_is_passed_over(package: Path, spoilt: str) -> None:
    file = source._memo(package).file
    file.unlink(missing_ok=True)
    before = code_of_small()
    kept = file.read_text(encoding="utf-8")
    if spoilt == "other":  # of another interpreter, and wrong for this one
        told = json.loads(kept)
        told["found"] = {key: ["0", [], []] for key in told["found"]}
        spoilt = json.dumps(told | {"holds_for": "0"})
    file.write_text(spoilt, encoding="utf-8")
    assert code_of_small() == before
    assert file.read_text(encoding="utf-8") == kept


def test_where_nothing_may_be_written_the_code_is_the_same(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = code_of_small()
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "file"))
    assert code_of_small() == before
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "place"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert code_of_small() == before
    assert not (tmp_path / "place").exists()


@contextmanager
def imported_anew() -> Iterator[Callable[[], dict[str, ModuleType]]]:
    """This package as if nothing of it were imported yet; yields what has been imported since."""

    def own() -> dict[str, ModuleType]:
        return {n: m for n, m in sys.modules.items() if n.split(".")[0] == source.OWN}

    before = own()
    for name in before:
        del sys.modules[name]
    try:
        yield own
    finally:
        for name in own():
            del sys.modules[name]
        sys.modules.update(before)


def test_every_module_that_training_imports_counts() -> None:
    """Held against the interpreter: what is loaded with the module was found by reading."""
    worker = f"{source.OWN}.launching.worker"
    with imported_anew() as loaded:
        import_module(worker)
        files = {name: str(module.__file__) for name, module in loaded().items()}
    found = source.code_of_module(worker).modules
    loaded_names = {name for name, file in files.items() if not file.endswith("__init__.py")}
    assert len(loaded_names) > 20
    assert loaded_names <= found.keys()


@pytest.mark.slow
def test_versions_of_what_computes_a_result_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = codes()
    assert {"torch", "transformers", "numpy", "scipy"} <= before[
        "train.train_policy"
    ].versions.keys()
    assert "torch" not in before["plan.plan_training"].versions
    monkeypatch.setattr(source, "_version", lambda name: "0" if name == "scipy" else "1")
    after = codes()
    assert before["plan.plan_training"].digest != after["plan.plan_training"].digest


def test_versions_count_of_what_draws_answers_asks_models_and_trains_rivals_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(source, "_version", lambda _: "1")
    found = {name: code.versions.keys() for name, code in codes().items()}
    assert {"vllm", "lm_eval"}.isdisjoint(found["plan.plan_training"])
    assert "vllm" in found["evaluate.sample_completions"]
    assert "vllm" in found["ingest.ingest_source"]
    assert "bitsandbytes" in found["train.train_policy"]
    assert any("lm_eval" in versions for name, versions in found.items() if "capability" in name)
    front = {node.name: source.code_of(node.func) for node in register_pipelines()["front"].nodes}
    assert any("trl" in code.versions for code in front.values())


def test_builds_of_one_version_are_the_same_code(monkeypatch: pytest.MonkeyPatch) -> None:
    source._version.cache_clear()
    monkeypatch.setattr(source, "version", lambda _: "2.13.0+cpu")
    assert source._version("torch") == "2.13.0"
    source._version.cache_clear()


def fingerprints(given: dict[str, Any], memo: Path) -> dict[str, str]:
    nodes = register_pipelines()["__default__"].nodes
    made = trace(nodes, validate_parameters(given), Contents(memo))
    return {name: provenance.fingerprint for name, provenance in made.items()}


def with_value(key: str, value: Any) -> dict[str, Any]:
    group, *path, last = key.split(".")
    given: dict[str, Any] = {name: dict(values) for name, values in GIVEN.items()}
    inner = given[group]
    for part in path:
        inner[part] = dict(inner.get(part, {}))
        inner = inner[part]
    inner[last] = value
    return given


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.fit.save_every", 3),
        ("train.fit.log_every", 3),
        ("reference.fit.processes", 2),
        ("train.fit.accelerate", "conf/accelerate/8_gpus.yaml"),
        ("train.fit.device", "cpu"),
        ("train.fit.gradient_checkpointing", True),
        ("train.work_dir", "elsewhere"),
        ("evaluate.batch_tokens", 64),
        ("report.path", "elsewhere.html"),
    ],
)
def test_where_and_how_fast_is_no_part_of_a_fingerprint(
    tmp_path: Path, key: str, value: Any
) -> None:
    memo = tmp_path / "memo"
    assert fingerprints(with_value(key, value), memo) == fingerprints(GIVEN, memo)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value", "first", "untouched"),
    [
        ("train.fit.steps", 11, "policy", "reference_policy"),
        ("train.fit.dtype", "bfloat16", "policy", "win_rates"),
        ("reference.fit.batch_size", 3, "reference_policy", "training_plan"),
        ("evaluate.sampling.batch_size", 3, "completions", "policy"),
        ("evaluate.bootstrap", 3, "objective_values", "policy"),
        ("evaluate.confidence", 0.9, "policy", "reference_policy"),
        ("evaluate.sampling.prompts", 30, "policy", "reference_policy"),
        ("plan.tau", 0.2, "training_plan", "comparisons"),
        ("task.seed", 1, "responses", None),
    ],
)
def test_what_decides_a_result_is_part_of_its_fingerprint(
    tmp_path: Path, key: str, value: Any, first: str, untouched: str | None
) -> None:
    before, after = (fingerprints(g, tmp_path / "memo") for g in (GIVEN, with_value(key, value)))
    differing = [name for name in before if before[name] != after[name]]
    assert first in differing
    assert "run_summary" in differing
    assert untouched not in differing


MODEL_PARAMETERS = {
    "reference.model": "reference_policy",
    "preferences.win_rates.model.encoder": "win_rates",
    "evaluate.judges.reward_models": "scores",
    "train.lag.reward_models": "policy",
    "ingest.path": "responses",
    "ingest.judgements_path": "responses",
}


@pytest.mark.slow
@pytest.mark.parametrize("key", MODEL_PARAMETERS)
def test_what_lies_at_a_named_place_counts_and_where_it_lies_does_not(
    tmp_path: Path, key: str
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    (one / "model.safetensors").write_bytes(b"0" * 100)
    shutil.copytree(one, two)

    def found(place: Path) -> str:
        named = str(place / "model.safetensors" if key.endswith("path") else place)
        value = dict.fromkeys("ab", named) if key.endswith("reward_models") else named
        given = with_value(key, value)
        if key.startswith("train.lag"):
            given["train"]["lag"] |= {"mode": "fresh", "every": 2, "judge": "reward_models"}
        return fingerprints(given, tmp_path / "memo")[MODEL_PARAMETERS[key]]

    before = found(one)
    assert found(two) == before
    (one / "model.safetensors").write_bytes(b"1" * 100)
    assert found(one) != before


def changed_by_writing(file: Path, text: str, given: dict[str, Any], memo: Path) -> set[str]:
    """What is made otherwise once a file says this."""
    before = fingerprints(given, memo)
    file.write_text(text, encoding="utf-8")
    after = fingerprints(given, memo)
    return {name for name in before if before[name] != after[name]}


def judged_by_its_second_logit(place: Path) -> dict[str, Any]:
    (place / "model.safetensors").write_text("0", encoding="utf-8")
    return with_value("evaluate.judges.reward_models", dict.fromkeys("ab", f"{place}#1"))


def adapted(place: Path) -> dict[str, Any]:
    """The reference is an adapter, the file is its base's."""
    adapter = place.parent / "adapter"
    adapter.mkdir()
    named = {"base_model_name_or_path": str(place)}
    (adapter / "adapter_config.json").write_text(json.dumps(named), encoding="utf-8")
    return with_value("reference.model", str(adapter))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "given", "artifact", "untouched"),
    [
        ("model.safetensors", judged_by_its_second_logit, "scores", "policy"),
        ("model.safetensors", adapted, "reference_policy", "training_plan"),
        (
            "harmful.txt",
            lambda place: with_value(
                "evaluate.capability.prompt_sets", {"safety": str(place / "harmful.txt")}
            ),
            "capability",
            "policy",
        ),
        (
            "task.yaml",
            lambda place: with_value("evaluate.capability.task_folder", str(place)),
            "capability",
            "policy",
        ),
    ],
    ids=["logit named", "base of an adapter", "set of prompts", "folder of tasks"],
)
def test_what_lies_at_a_place_named_in_part_counts(
    tmp_path: Path,
    file: str,
    given: Callable[[Path], dict[str, Any]],
    artifact: str,
    untouched: str,
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / file).write_text("0", encoding="utf-8")
    changed = changed_by_writing(place / file, "1", given(place), tmp_path / "memo")
    assert artifact in changed
    assert untouched not in changed


@pytest.mark.slow
@pytest.mark.parametrize("file", ["polite_judges.py", "polite_words.py"])
def test_the_code_of_a_judge_of_ones_own_counts_with_what_it_imports_from_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    (tmp_path / "polite_judges.py").write_text("import json\nfrom polite_words import WORDS\n")
    (tmp_path / "polite_words.py").write_text("WORDS = ['please']\n")
    (tmp_path / "unrelated.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    given, memo = with_value("evaluate.judges.own", "polite_judges:Polite"), tmp_path / "memo"
    text = (tmp_path / file).read_text(encoding="utf-8")
    changed = changed_by_writing(tmp_path / file, text + "TURNED = -1\n", given, memo)
    assert "scores" in changed
    assert "win_rates" not in changed
    assert not changed_by_writing(tmp_path / "unrelated.py", "OTHER = 1\n", given, memo)
    other = fingerprints(with_value("evaluate.judges.own", "polite_judges:Rude"), memo)
    assert other["scores"] != fingerprints(given, memo)["scores"], "another name is another judge"


def test_what_calibrates_a_judge_belongs_to_its_folder(tmp_path: Path) -> None:
    (tmp_path / "left_out.parquet").write_bytes(b"0")
    before = Contents(tmp_path / ".memo.json").digest(tmp_path)
    (tmp_path / "left_out.parquet").write_bytes(b"1")
    assert Contents(tmp_path / ".memo.json").digest(tmp_path) != before


def test_the_installed_version_of_a_packaged_model_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = with_value("reference.model", "package:numpy")
    before = fingerprints(given, tmp_path / "memo")
    monkeypatch.setattr("mopo_pipeline.hooks.paths.version", lambda _: "0")
    after = fingerprints(given, tmp_path / "memo")
    assert before["reference_policy"] != after["reference_policy"]


def test_a_large_file_is_read_again_only_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = contents_module.file_digest

    def counting(file: Any, name: str) -> Any:
        read.append(file.name)
        return real(file, name)

    monkeypatch.setattr(contents_module, "file_digest", counting)
    model = tmp_path / "model"
    model.mkdir()
    weights = model / "model.safetensors"
    weights.write_bytes(b"0" * (SMALL + 1))
    first = Contents(tmp_path / "memo.json").digest(model)
    assert Contents(tmp_path / "memo.json").digest(model) == first
    assert len(read) == 1
    state = weights.stat()
    weights.write_bytes(b"1" * (SMALL + 1))
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert Contents(tmp_path / "memo.json").digest(model) != first
    assert len(read) == 2


def test_a_moved_data_root_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "large.parquet").write_bytes(b"0" * (SMALL + 1))
    digest = Contents(root / "memo.json").digest(root / "large.parquet")
    moved = root.rename(tmp_path / "moved")
    monkeypatch.setattr(contents_module, "file_digest", None)
    assert Contents(moved / "memo.json").digest(moved / "large.parquet") == digest


def test_a_small_file_is_noticed_whatever_its_time_says(tmp_path: Path) -> None:
    file, contents = tmp_path / "table.parquet", Contents(tmp_path / "memo.json")
    file.write_bytes(b"0")
    state = file.stat()
    before = contents.digest(file)
    file.write_bytes(b"1")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert contents.digest(file) != before


@pytest.mark.slow
def test_where_whole_runs_are_carried_out_is_no_part_of_a_fingerprint(tmp_path: Path) -> None:
    def of_front(given: dict[str, Any]) -> dict[str, str]:
        nodes = register_pipelines()["front"].nodes
        made = trace(nodes, validate_parameters(given), Contents(tmp_path / "memo"))
        return {name: provenance.fingerprint for name, provenance in made.items()}

    there = with_value("front.executor", {"kind": "submitit", "submitit": {"timeout_min": 5}})
    assert of_front(there) == of_front(with_value("front.workers", 3)) == of_front(GIVEN)
    other = of_front(with_value("front.points", 3))
    assert other["front_runs"] != of_front(GIVEN)["front_runs"]


def test_who_makes_an_artifact_is_known_while_it_is_made(tmp_path: Path) -> None:
    """A run that is killed between an artifact and its fingerprint leaves what its sweep may remove."""
    hook = FingerprintHook()
    made = trace(
        register_pipelines()["__default__"].nodes,
        validate_parameters(GIVEN),
        Contents(tmp_path / "memo"),
    )["training_plan"]
    hook._expected = {"training_plan": made}
    hook._catalog = {"training_plan": SimpleNamespace(_filepath=tmp_path / "new/plan.json")}
    hook.before_dataset_saved("training_plan")
    sidecar = tmp_path / "new/.training_plan.fingerprint.json"
    assert json.loads(sidecar.read_text()) == {"node": made.node}
    assert difference(json.loads(sidecar.read_text()), made) is not None
    assert [path.name for path in sidecar.parent.iterdir()] == [sidecar.name]


def test_a_card_beside_weights_is_no_content(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    contents = Contents(tmp_path / ".memo.json")
    before = contents.digest(tmp_path)
    (tmp_path / "README.md").write_text("attained", encoding="utf-8")
    assert contents.digest(tmp_path) == before


def test_a_key_that_was_not_there_is_called_unset_and_its_empty_table_is_passed_over(
    tmp_path: Path,
) -> None:
    nodes = register_pipelines()["__default__"].nodes

    def made(**plan: Any) -> Provenance:
        given = validate_parameters(GIVEN | {"plan": GIVEN["plan"] | plan})
        return trace(nodes, given, Contents(tmp_path / "memo"))["training_plan"]

    before, now = made(), made(margins={"b": 0.01})
    said = difference(asdict(before), now)
    assert said == "was made with plan.margins.b=unset and now is 0.01"


def test_a_difference_names_parameters_versions_and_modules(tmp_path: Path) -> None:
    nodes = register_pipelines()["__default__"].nodes
    now = trace(nodes, validate_parameters(GIVEN), Contents(tmp_path / "memo"))["training_plan"]
    before = {
        "fingerprint": "other",
        "parameters": now.parameters | {"plan.tau": 0.3},
        "versions": now.versions | {"scipy": "1.0"},
        "code": now.code | {"mopo_pipeline.plan.make": "0"},
    }
    said = difference(before, now)
    assert said is not None
    assert "plan.tau=0.3 and now is 0.1" in said
    assert f"scipy=1.0 and now is {now.versions['scipy']}" in said
    assert "other code (mopo_pipeline.plan.make)" in said
    assert difference({}, now) == "carries no fingerprint of what made it"
    assert difference(asdict(now), now) is None


def test_what_is_installed_later_makes_nothing_stale_and_another_version_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = register_pipelines()["__default__"].nodes

    def made(**versions: str) -> Provenance:
        monkeypatch.setattr(source, "_version", versions.get)
        return trace(nodes, validate_parameters(GIVEN), Contents(tmp_path / "memo"))["policy"]

    plain, both = made(torch="1"), made(torch="1", peft="1")
    assert difference(asdict(plain), both) is None
    assert difference(asdict(plain), made(torch="2", peft="1")) == (
        "was made with torch=1 and now is 2"
    )
    assert difference(asdict(both), plain) == "was made with peft=1 and now is unset"


@pytest.mark.parametrize(
    ("there", "command"),
    [
        ((), "kedro run"),
        (("policy", "answers"), "kedro run --from-nodes=judge,score"),
        (("policy", "answers", "scores"), "kedro run --from-nodes=judge"),
    ],
)
def test_what_a_run_takes_and_nobody_has_made_names_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: tuple[str, ...], command: str
) -> None:
    before = Pipeline(
        [
            Node(made, None, "policy", name="train"),
            Node(made, "policy", "answers", name="ask"),
            Node(made, "answers", "scores", name="score"),
            Node(made, "answers", "verdicts", name="judge"),
            Node(made, ["scores", "verdicts"], "certificate", name="certify"),
        ]
    )
    release = Pipeline([Node(made, ["policy", "certificate"], "release", name="release")])
    for name in there:
        (tmp_path / name).touch()
    said = refused(tmp_path, monkeypatch, before, release)
    assert "certificate has not been made yet" in said
    assert f"run `{command}` first" in said


def made(*_: Any) -> None: ...


def refused(folder: Path, monkeypatch: pytest.MonkeyPatch, whole: Pipeline, asked: Pipeline) -> str:
    """What is said of a run that takes what nobody has made."""
    catalog = DataCatalog.from_config(
        {
            name: {"type": "pickle.PickleDataset", "filepath": str(folder / name)}
            for name in (whole + asked).all_outputs()
        }
    )
    monkeypatch.setattr("kedro.framework.project.pipelines", {"__default__": whole})
    with pytest.raises(InputError) as caught:
        FingerprintHook().before_pipeline_run(
            run_params={"only_missing_outputs": False}, pipeline=asked, catalog=catalog
        )
    return str(caught.value)


def test_what_is_told_to_be_run_first_takes_nothing_that_the_run_itself_would_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Pipeline(
        [
            Node(made, None, "data", name="ingest"),
            Node(made, "data", "judge", name="fit"),
            Node(made, "data", "policy", name="train"),
            Node(made, ["policy", "judge"], "verdicts", name="judge_policy"),
        ]
    )
    (tmp_path / "data").touch()
    said = refused(tmp_path, monkeypatch, whole, whole.from_nodes("train"))
    assert "judge has not been made yet: run `kedro run --from-nodes=fit --to-nodes=fit`" in said


@pytest.mark.parametrize(
    ("asked", "ends", "kept"),
    [
        (["plan"], None, " --pipelines=plan"),
        (["report"], ["draw"], ""),
        ([], ["solve"], " --to-nodes=solve"),
    ],
)
def test_what_is_stale_is_remade_by_no_more_than_was_asked_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: list[str],
    ends: list[str] | None,
    kept: str,
) -> None:
    def make(*_: Any) -> None: ...

    plan = Pipeline(
        [Node(make, None, "rates", name="fit"), Node(make, "rates", "plan", name="solve")]
    )
    report = Pipeline([Node(make, "plan", "page", name="draw")])
    entries = {
        name: {"type": "pickle.PickleDataset", "filepath": str(tmp_path / name)}
        for name in ("rates", "plan", "page")
    }
    for name in entries:
        (tmp_path / name).touch()
    whole = {"__default__": plan + report, "plan": plan, "report": report}
    monkeypatch.setattr("kedro.framework.project.pipelines", whole)
    given = {"only_missing_outputs": True, "pipeline_names": asked, "to_nodes": ends}
    with pytest.raises(InputError, match="carries no fingerprint") as caught:
        FingerprintHook().before_pipeline_run(
            run_params=given,
            pipeline=whole["".join(asked) or "__default__"],
            catalog=DataCatalog.from_config(entries),
        )
    assert f"--from-nodes=fit{kept}`" in str(caught.value)


def laid_out(
    root: Path, pipelines: dict[str, Pipeline], monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[str, Any]], FingerprintHook]:
    """Every artifact as an empty file; makes hooks of runs with given parameters, which find what the first one left."""
    monkeypatch.setattr("kedro.framework.project.pipelines", pipelines)
    nodes = sum(pipelines.values(), Pipeline([])).nodes
    entry = {"type": "pickle.PickleDataset"}
    files = {name: name for node in nodes for name in node.outputs} | {"report": "report.html"}
    catalog = DataCatalog.from_config(
        {name: entry | {"filepath": str(root / file)} for name, file in files.items()}
    )

    def hook(given: dict[str, Any]) -> FingerprintHook:
        made = FingerprintHook()
        made._parameters, made._contents = given, Contents(root / ".memo")
        made._catalog, made._expected = catalog, trace(nodes, given, made._contents)
        return made

    return hook


def save(hook: FingerprintHook, pipeline: Pipeline) -> None:
    for name in pipeline.all_outputs():
        Path(hook._catalog.get(name)._filepath).write_text("")
        hook.after_dataset_saved(name)


def starts(
    hook: FingerprintHook, pipeline: Pipeline, names: list[str], *, missing: bool = False
) -> None:
    """As Kedro starts a run of a pipeline, of those that were asked for by name."""
    given = {"only_missing_outputs": missing, "pipeline_names": names}
    hook.before_pipeline_run(run_params=given, pipeline=pipeline, catalog=hook._catalog)


def follow(hook: FingerprintHook, pipelines: dict[str, Pipeline], names: list[str]) -> list[str]:
    """Do what a run of the pipelines that are asked for is told, until it is told nothing; the nodes each was begun from."""
    asked = sum((pipelines[name] for name in names or ["__default__"]), Pipeline([]))
    begun: list[str] = []
    while len(begun) < 9:
        try:
            starts(hook, asked, names, missing=True)
        except InputError as told:
            command = shlex.split(str(told).split("`")[1])
        else:
            return begun
        [first] = [part.partition("=")[2] for part in command if part.startswith("--from-nodes=")]
        named = [p.partition("=")[2].split(",") for p in command if p.startswith("--pipelines=")]
        chosen = named[0] if named else ["__default__"]
        run = sum((pipelines[name] for name in chosen), Pipeline([])).from_nodes(*first.split(","))
        starts(hook, run, chosen)
        save(hook, run)
        begun.append(first)
    raise AssertionError(begun)


def test_one_command_remakes_what_is_stale_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first stale node alone what lies beside it would be taken as it is, and refused again by the same command."""

    def make(*_: Any) -> None: ...

    whole = Pipeline(
        [
            Node(make, None, "policy", name="train"),
            Node(make, ["policy", "params:evaluate"], "answers", name="ask"),
            Node(make, ["policy", "params:evaluate"], "sizes", name="count"),
            Node(make, "answers", "scores", name="score"),
            Node(make, ["scores", "sizes"], "verdict", name="judge"),
        ]
    )
    pipelines = {"__default__": whole}
    hook = laid_out(tmp_path, pipelines, monkeypatch)
    save(hook({"evaluate": {"samples": 8}}), whole)
    assert follow(hook({"evaluate": {"samples": 8}}), pipelines, []) == []
    assert follow(hook({"evaluate": {"samples": 4}}), pipelines, []) == ["ask,count"]


@pytest.mark.slow
@pytest.mark.parametrize("asked", [[], ["evaluate"], ["report"]])
@pytest.mark.parametrize("key", ["evaluate.bootstrap", "evaluate.sampling.samples"])
def test_what_a_run_is_told_leaves_nothing_stale_of_what_it_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, asked: list[str]
) -> None:
    pipelines = register_pipelines()
    named = {name: pipelines[name] for name in ("__default__", "evaluate", "report")}
    hook = laid_out(tmp_path, named, monkeypatch)
    save(hook(validate_parameters(GIVEN)), sum(named.values(), Pipeline([])))
    assert len(follow(hook(validate_parameters(with_value(key, 3))), named, asked)) <= 1


@pytest.mark.slow
def test_a_judge_edited_in_place_is_asked_again_and_nothing_is_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "judge").mkdir()
    weights = tmp_path / "judge/model.safetensors"
    weights.write_text("0")
    judges = dict.fromkeys("ab", str(weights.parent))
    given = validate_parameters(with_value("evaluate.judges.reward_models", judges))
    pipelines = {"__default__": register_pipelines()["__default__"]}
    hook = laid_out(tmp_path, pipelines, monkeypatch)
    save(hook(given), pipelines["__default__"])
    weights.write_text("1")
    assert follow(hook(given), pipelines, []) == ["evaluate.judge_completions"]


def test_a_page_that_a_run_leaves_behind_is_named_with_the_command_that_makes_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def make(*_: Any) -> None: ...

    judged = Pipeline([Node(make, "params:evaluate", "scores", name="judge")])
    whole = judged + Pipeline([Node(make, "scores", "report", name="draw")])
    hook = laid_out(tmp_path, {"__default__": whole, "evaluate": judged}, monkeypatch)
    save(hook({"evaluate": {"samples": 8}}), whole)
    again = hook({"evaluate": {"samples": 4}})
    starts(again, judged, ["evaluate"])
    save(again, judged)
    again.after_pipeline_run(judged)
    page = tmp_path / "report.html"
    said = f"{page} shows what was there before: `kedro run --from-nodes=draw` makes it again\n"
    assert capsys.readouterr().err == said
    starts(again, whole, [])
    save(again, whole)
    again.after_pipeline_run(whole)
    assert capsys.readouterr().err == ""
