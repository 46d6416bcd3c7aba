"""The notebooks run on the artifacts of a run and are stored without outputs."""

import os
import re
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import yaml
from nbclient import NotebookClient

from conftest import PROJECT, kedro
from own_ratings import rated

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_without_outputs(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_page_in_the_docs_shows_it_as_it_is(path: Path) -> None:
    """A page is made again by ``make notebook-pages`` when its notebook has changed."""
    page = (PROJECT / "docs/notebooks" / path.with_suffix(".md").name).read_text(encoding="utf-8")
    cells = nbformat.read(path, as_version=4).cells
    for cell in cells:
        for part in re.split(r"\n\n+", cell.source):
            assert part in page
    assert page.count("```python") == sum(cell.cell_type == "code" for cell in cells)
    assert page.count("<table>") + page.count("![") >= 3
    assert "<style" not in page and "Traceback" not in page


def executed(path: Path) -> nbformat.NotebookNode:
    book = nbformat.read(path, as_version=4)
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    return book


def check_shown(book: nbformat.NotebookNode) -> None:
    """Tables and pictures, no line of a log, and no prompt as it is stored."""
    outputs = [o for cell in book.cells for o in cell.get("outputs", [])]
    assert [o.text for o in outputs if o.output_type == "stream"] == []
    shown = [o.data.get("text/plain", "") for o in outputs]
    assert len(shown) >= 3
    assert all(text.strip() for text in shown)
    assert not [text for text in shown if "INFO" in text or '"role"' in text]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "KEDRO_ENV", "test")
    monkeypatch.setitem(os.environ, "MOPO_DATA_ROOT", str(tiny_run))
    check_shown(executed(path))


@pytest.mark.slow
def test_page_and_notebooks_of_own_data_with_one_objective_say_nothing_of_thresholds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rated(tmp_path / "mine.jsonl")
    given = {"ingest": {"source": "files", "path": str(tmp_path / "mine.jsonl")}}
    given |= {"task": {"objectives": [{"name": "helpful"}]}}
    given |= {"evaluate": {"bootstrap": 50, "sampling": {"samples": 2}}}
    test = yaml.safe_load((PROJECT / "conf/test/parameters.yml").read_text(encoding="utf-8"))
    conf = shutil.copytree(PROJECT / "conf", tmp_path / "conf")
    (conf / "test/parameters.yml").write_text(yaml.safe_dump(test | given))
    root = tmp_path / "data"
    done = kedro(f"--conf-source={conf}", data_root=root)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (root / "08_reporting/report.html").read_text(encoding="utf-8")
    assert "there was no threshold to hold" in page
    assert "What the thresholds cost" not in page
    log = root / "06_models/training_log.parquet"
    pd.read_parquet(log)[["truncated_rows"]].head(0).to_parquet(log)  # as where no step is logged
    monkeypatch.setitem(os.environ, "KEDRO_ENV", "test")
    monkeypatch.setitem(os.environ, "MOPO_DATA_ROOT", str(root))
    for path in NOTEBOOKS:
        check_shown(executed(path))
