"""What the rooms of the package promise each other, beside what import-linter holds."""

import ast
import os
import re
import subprocess
import sys
import tomllib

import grimp
import pytest

from conftest import PROJECT
from mopo_pipeline.mopo import run_tabular

LONGEST_FUNCTION = 60
"""Lines, docstring included."""

CYCLE = [[[0.5, 1, 0], [0, 0.5, 1], [1, 0, 0.5]]]


def loaded_by(code: str) -> set[str]:
    """Top-level packages in memory after ``code``, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        encoding="utf-8",
        check=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT / "src")},
    )
    return {name.split(".")[0] for name in done.stdout.split()}


@pytest.mark.slow
def test_the_method_solves_and_runs_without_torch_pandas_or_kedro() -> None:
    loaded = loaded_by(
        "from mopo_pipeline.mopo import run_tabular\n"
        "import mopo_pipeline.pareto.dominance\n"
        f"run_tabular({CYCLE}, [.2, .3, .5], [], tau=.1, lag=1, steps=3)"
    )
    assert "scipy" in loaded
    assert not loaded & {"torch", "transformers", "pandas", "pydantic", "kedro"}


def test_a_run_s_history_is_a_table_of_its_records() -> None:
    run = run_tabular(CYCLE, [0.2, 0.3, 0.5], [], tau=0.1, lag=1, steps=3)
    assert list(run.history["step"]) == [0.0, 1.0, 2.0, 3.0]
    assert run.history.iloc[-1].to_dict() == run.records[-1]


@pytest.mark.slow
def test_the_former_place_of_the_launcher_still_joins_a_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mopo_pipeline.language.launch", "--help"],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env=os.environ | {"PYTHONPATH": str(PROJECT / "src")},
    )
    assert done.returncode == 0, done.stderr
    assert "--machine-rank" in done.stdout


def test_the_architecture_page_shows_the_layers_that_are_linted() -> None:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    [layers] = [c["layers"] for c in contracts if c.get("containers") == ["mopo_pipeline"]]
    page = (PROJECT / "docs/architecture.md").read_text(encoding="utf-8")
    assert "```\n" + "\n".join(layers) + "\n```" in page
    rooms = set(" | ".join(layers).split(" | "))
    assert set(re.findall(r"^\| `(\w+)` \|", page, flags=re.M)) == rooms


def test_the_architecture_page_shows_the_arrows_that_there_are() -> None:
    graph = grimp.build_graph("mopo_pipeline", cache_dir=None)
    arrows: dict[str, set[str]] = {}
    for module in graph.modules - {"mopo_pipeline"}:
        room = module.split(".")[1]
        reached = graph.find_modules_directly_imported_by(module) - {"mopo_pipeline"}
        arrows.setdefault(room, set()).update({name.split(".")[1] for name in reached} - {room})
    page = (PROJECT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*\|([a-z_ ]*)\|$", page, flags=re.M)
    assert {room: set(shown.split()) for room, shown in rows} == arrows


@pytest.mark.slow
def test_no_function_is_too_long_to_be_read_at_once() -> None:
    root = PROJECT / "src/mopo_pipeline"
    lengths = {
        f"{file.relative_to(root)}: {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for file in root.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert len(lengths) > 500
    assert {name: n for name, n in lengths.items() if n > LONGEST_FUNCTION} == {}


def test_only_tables_are_laid_out_by_hand() -> None:
    by_hand = []
    for file in [*(PROJECT / "src").rglob("*.py"), *(PROJECT / "tests").rglob("*.py")]:
        text = file.read_text(encoding="utf-8")
        ends = {n for n, line in enumerate(text.splitlines(), 1) if line.endswith("# fmt: skip")}
        if not ends:
            continue
        tables = {
            node.end_lineno
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Assign | ast.AnnAssign)
        }
        by_hand += [f"{file.relative_to(PROJECT)}:{n}" for n in sorted(ends - tables)]
    assert by_hand == []


def test_the_trainer_fits_on_two_screens() -> None:
    file = PROJECT / "src/mopo_pipeline/training/trainer.py"
    [trainer] = [
        node
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    ]
    assert (trainer.end_lineno or 0) - trainer.lineno + 1 < 120


def test_the_readme_names_every_room() -> None:
    rooms = {
        path.stem
        for path in (PROJECT / "src/mopo_pipeline").iterdir()
        if not path.name.startswith("_") and (path.is_dir() or path.suffix == ".py")
    }
    page = (PROJECT / "README.md").read_text(encoding="utf-8")
    tree = page[page.index("## Layout") : page.index("## Limits")]
    assert rooms - set(re.findall(r"\w+", tree)) == set()
