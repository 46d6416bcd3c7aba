"""A certificate is wrong as rarely as it says; the same figures in full: make bench-certificate-calibration."""

import importlib.util
from types import ModuleType

import pytest

from conftest import PROJECT

SPLITS = 600
FOUR_ERRORS = 4 * (0.05 * 0.95 / SPLITS) ** 0.5


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    place = PROJECT / "benchmarks/certificate_calibration.py"
    spec = importlib.util.spec_from_file_location("certificate_calibration", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("thresholds", [1, 4])
def test_all_thresholds_together_hold_as_often_as_the_joint_level_says(
    bench: ModuleType, thresholds: int
) -> None:
    found = bench.coverage(
        bench.by_prompts, prompts=43, thresholds=thresholds, alphas=[0.05], splits=SPLITS
    )
    assert found == pytest.approx(0.95, abs=FOUR_ERRORS)


def test_answers_taken_for_prompts_would_certify_what_does_not_hold(bench: ModuleType) -> None:
    found = bench.coverage(bench.by_answers, prompts=43, thresholds=2, alphas=[0.05], splits=150)
    assert found < 0.95 - 0.1


@pytest.mark.slow
def test_five_looks_are_wrong_as_rarely_as_one_and_at_full_level_each_they_would_not_be(
    bench: ModuleType,
) -> None:
    size = {"prompts": 43, "thresholds": 2, "splits": 150}
    shared = [bench.alpha_of_look(0.05, number) for number in range(1, 6)]
    assert bench.coverage(bench.by_prompts, alphas=shared, **size) >= 0.95 - 0.04
    assert bench.coverage(bench.by_prompts, alphas=[0.05] * 5, **size) < 0.95 - 0.08
