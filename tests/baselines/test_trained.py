"""Trainings on disk: found when whole, made again when not, failures kept."""

from pathlib import Path

import numpy as np
import pytest
from rival_setting import small_setting

from mopo_pipeline.baselines.setting import Budget, Setting, Training
from mopo_pipeline.baselines.trained import DivergedError, stored
from mopo_pipeline.errors import InputError
from mopo_pipeline.language.sealed import MANIFEST

CODE = "mopo_pipeline.baselines.trained"


class Maker:
    """Writes a file for a model and counts how often it was asked to; may fail."""

    def __init__(self, error: Exception | None = None) -> None:
        self.made, self.error = 0, error

    def __call__(self, target: Path) -> Budget:
        self.made += 1
        (target.parent / "checkpoint").mkdir()
        target.mkdir()
        (target / "weights").write_text("1")
        if self.error is not None:
            raise self.error
        return Budget(sequences=5)


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return small_setting(tmp_path)


def trained(setting: Setting, make: Maker, rate: float = 0.1, value: float = 0.0) -> Training:
    return stored(setting, "some", CODE, {"rate": rate}, {"x": np.array([value])}, make)


def test_a_whole_training_is_found_with_its_cost(setting: Setting) -> None:
    make = Maker()
    first, second = trained(setting, make), trained(setting, make)
    assert make.made == 1
    assert first == second and first.budget.sequences == 5
    assert first.folder is not None and (first.folder / "weights").read_text() == "1"
    assert sorted(p.name for p in setting.work_dir.iterdir()) == [first.key]
    assert not (first.folder.parent / "checkpoint").exists()


@pytest.mark.parametrize(("rate", "value"), [(0.2, 0.0), (0.1, 1.0)])
def test_another_rate_or_other_data_are_another_training(
    setting: Setting, rate: float, value: float
) -> None:
    make = Maker()
    assert trained(setting, make).key != trained(setting, make, rate, value).key
    assert make.made == 2


def test_a_training_that_was_cut_off_is_made_again(setting: Setting) -> None:
    make = Maker()
    folder = trained(setting, make).folder
    assert folder is not None
    (folder.parent / MANIFEST).unlink()
    assert trained(setting, make).folder == folder
    assert make.made == 2


def test_one_that_diverged_is_kept_with_its_reason_and_nothing_else(setting: Setting) -> None:
    make = Maker(DivergedError("the loss became nan at step 3", Budget(sequences=3)))
    first, second = trained(setting, make), trained(setting, make)
    assert make.made == 1 and first == second
    assert (first.folder, first.failure) == (None, "the loss became nan at step 3")
    assert first.budget.sequences == 3
    assert not (setting.work_dir / first.key / "model").exists()


def test_an_error_leaves_nothing_behind(setting: Setting) -> None:
    with pytest.raises(InputError):
        trained(setting, Maker(InputError("too few pairs")))
    assert list(setting.work_dir.iterdir()) == []
