"""Files and model directories appear whole or not at all; a failed save leaves the old one."""

import json
import math
import shutil
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluated import PLAN
from mopo_pipeline import paged
from mopo_pipeline.datasets import (
    AtomicJSONDataset,
    AtomicParquetDataset,
    AtomicTextDataset,
    ModelCardDataset,
    ModelDirectoryDataset,
    PageDataset,
    PictureDataset,
    RecordDataset,
)
from mopo_pipeline.reporting.picture import Picture

TABLE = pd.DataFrame({"name": ["a", "b"], "value": [0.1, np.nan]})


class Unwritable(pd.DataFrame):
    """Writes half of itself, then fails, as on a full disk."""

    def to_parquet(self, path: Any, **_: Any) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("No space left on device")


def test_a_table_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    dataset = AtomicParquetDataset(filepath=str(tmp_path / "deep/table.parquet"))
    assert not dataset.exists()
    dataset.save(TABLE)
    assert dataset.exists()
    pd.testing.assert_frame_equal(dataset.load(), TABLE)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["table.parquet"]


@pytest.mark.slow
@pytest.mark.parametrize("held", [0, paged.HELD])
@pytest.mark.parametrize("rows", [0, 1, 40_000])
def test_a_table_is_loaded_as_pandas_reads_it_whether_it_fits_memory_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int, rows: int
) -> None:
    monkeypatch.setattr(paged, "HELD", held)
    number = np.arange(rows)
    table = pd.DataFrame(
        {
            "text": [None if i % 3 else f"é{i}" for i in number],
            "whole": number,
            "part": np.where(number % 2, np.nan, number / 3),
            "yes": number % 2 == 0,
            "list": [[f"{i}", "x"] for i in number],
            "mixed": [None if i % 2 else float(i) for i in number],
            "kind": pd.Categorical(["a", "b"] * (rows // 2) + ["a"] * (rows % 2)),
        }
    )
    dataset = AtomicParquetDataset(filepath=str(tmp_path / "table.parquet"))
    dataset.save(table)
    pd.testing.assert_frame_equal(dataset.load(), pd.read_parquet(tmp_path / "table.parquet"))


def test_a_failed_save_leaves_the_old_table_and_nothing_beside_it(tmp_path: Path) -> None:
    dataset = AtomicParquetDataset(filepath=str(tmp_path / "table.parquet"))
    dataset.save(TABLE)
    with pytest.raises(Exception, match="No space left"):
        dataset.save(Unwritable(TABLE))
    pd.testing.assert_frame_equal(dataset.load(), TABLE)
    assert [p.name for p in tmp_path.iterdir()] == ["table.parquet"]


def test_numpy_values_become_json_s_own(tmp_path: Path) -> None:
    dataset = AtomicJSONDataset(filepath=str(tmp_path / "facts.json"))
    dataset.save({"a": np.float64(0.5), "b": np.array([1, 2]), 3: (True, None), "c": "ü"})
    assert dataset.load() == {"a": 0.5, "b": [1, 2], "3": [True, None], "c": "ü"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, "facts.json/a/1 is nan"),
        (np.inf, "facts.json/a/1 is inf"),
        (Path("x"), "facts.json/a/1 is a P"),
    ],
)
def test_what_json_cannot_hold_is_named_and_the_old_file_stays(
    tmp_path: Path, value: Any, expected: str
) -> None:
    dataset = AtomicJSONDataset(filepath=str(tmp_path / "facts.json"))
    dataset.save({"a": [0, 1]})
    with pytest.raises(Exception, match=expected):
        dataset.save({"a": [0, value]})
    assert json.loads((tmp_path / "facts.json").read_text()) == {"a": [0, 1]}


def test_text_is_replaced_whole(tmp_path: Path) -> None:
    dataset = AtomicTextDataset(filepath=str(tmp_path / "page.html"))
    dataset.save("<p>long – text</p>")
    dataset.save("<p>é</p>")
    assert dataset.load() == "<p>é</p>"
    assert (tmp_path / "page.html").read_bytes() == "<p>é</p>".encode()


def model(directory: Path, weights: str) -> Path:
    directory.mkdir(parents=True)
    (directory / "config.json").write_text("{}")
    (directory / "model.safetensors").write_text(weights)
    return directory


def test_a_model_directory_is_replaced_whole(tmp_path: Path) -> None:
    dataset = ModelDirectoryDataset(filepath=str(tmp_path / "models/policy"))
    assert not dataset.exists()
    old = model(tmp_path / "one", "old")
    (old / "extra.bin").write_text("left over")
    dataset.save(old)
    dataset.save(model(tmp_path / "two", "new"))
    found = dataset.load()
    assert {p.name for p in found.iterdir()} == {"config.json", "model.safetensors"}
    assert (found / "model.safetensors").read_text() == "new"
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["policy"]


def test_what_is_saved_stays_where_it_was_and_may_change_without_the_artifact(
    tmp_path: Path,
) -> None:
    given = model(tmp_path / "given", "weights")
    (given / "model.safetensors").chmod(0o600)
    dataset = ModelDirectoryDataset(filepath=str(tmp_path / "models/policy"))
    dataset.save(given)
    dataset.save(given)
    assert (given / "model.safetensors").stat().st_mode & 0o777 == 0o600
    (given / "model.safetensors").write_text("other")
    assert (dataset.load() / "model.safetensors").read_text() == "weights"


def test_a_picture_is_loaded_as_it_was_saved_and_shown_by_kedro_viz(tmp_path: Path) -> None:
    dataset = PictureDataset(filepath=str(tmp_path / "figures/front.svg"))
    assert not dataset.exists()
    dataset.save(Picture("<svg>τ</svg>", b"\x89PNG"))
    assert dataset.load() == Picture("<svg>τ</svg>", b"\x89PNG")
    assert b64decode(dataset.preview()) == b"\x89PNG"
    assert {p.name for p in (tmp_path / "figures").iterdir()} == {"front.svg", "front.png"}
    (tmp_path / "figures/front.png").unlink()
    assert not dataset.exists()


def test_a_picture_for_a_telephone_lies_beside_and_goes_with_the_picture_that_had_it(
    tmp_path: Path,
) -> None:
    dataset = PictureDataset(filepath=str(tmp_path / "front.svg"))
    both = Picture("<svg>wide</svg>", b"\x89PNG", "<svg>narrow</svg>")
    dataset.save(both)
    assert dataset.load() == both
    assert (tmp_path / "front_narrow.svg").read_text(encoding="utf-8") == "<svg>narrow</svg>"
    dataset.save(Picture("<svg>wide</svg>", b"\x89PNG"))
    assert dataset.load().narrow == ""


def test_kedro_viz_shows_a_page_without_its_style_and_a_card_as_it_is_written(
    tmp_path: Path,
) -> None:
    page = PageDataset(filepath=str(tmp_path / "report.html"))
    page.save(
        "<html><head><title>A run</title><style>\nbody { }\n</style></head><b>held</b></html>"
    )
    assert page.preview() == "<html><head></head><b>held</b></html>"
    card = ModelCardDataset(filepath=str(tmp_path / "README.md"))
    card.save("# Card\n1 < 2")
    assert card.preview() == "<pre># Card\n1 &lt; 2</pre>"


def test_a_plan_is_loaded_as_the_record_it_was_saved_as(tmp_path: Path) -> None:
    dataset = RecordDataset(
        filepath=str(tmp_path / "plan.json"), record="mopo_pipeline.plan.training_plan.TrainingPlan"
    )
    dataset.save(PLAN)
    assert dataset.load() == PLAN
    assert json.loads(dataset.preview())["objectives"] == list(PLAN.objectives)


def test_a_failed_copy_leaves_the_old_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = ModelDirectoryDataset(filepath=str(tmp_path / "models/policy"))
    dataset.save(model(tmp_path / "one", "old"))

    def fail(source: str, target: Path) -> None:
        target.mkdir()
        raise OSError("No space left on device")

    monkeypatch.setattr(shutil, "copytree", fail)
    with pytest.raises(Exception, match="No space left"):
        dataset.save(model(tmp_path / "two", "new"))
    assert (dataset.load() / "model.safetensors").read_text() == "old"
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["policy"]


def test_a_model_that_cannot_be_put_in_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last rename fails, after the old directory has stepped aside."""
    dataset = ModelDirectoryDataset(filepath=str(tmp_path / "models/policy"))
    dataset.save(model(tmp_path / "one", "old"))
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError("Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(Exception, match="Input/output error"):
        dataset.save(model(tmp_path / "two", "new"))
    assert (dataset.load() / "model.safetensors").read_text() == "old"


def test_a_directory_without_a_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "policy").mkdir()
    with pytest.raises(Exception, match="holds no model; run the stage that makes it"):
        ModelDirectoryDataset(filepath=str(tmp_path / "policy")).load()


def test_a_card_counts_once_it_says_what_was_attained(tmp_path: Path) -> None:
    policy = model(tmp_path / "policy", "weights")
    dataset = ModelCardDataset(filepath=str(policy / "README.md"))
    assert not dataset.exists()
    dataset.save("What the policy attains is measured by the evaluate stage")
    assert not dataset.exists()
    dataset.save("What it was made of\n\n- measured on 2026-03-01, on answers sampled")
    assert dataset.exists()
    assert (policy / "model.safetensors").read_text() == "weights"
