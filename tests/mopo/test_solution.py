"""When a threshold counts as met, active or violated."""

import re

import numpy as np
import pytest

from conftest import PROJECT
from mopo_pipeline.mopo.solution import CERTIFIED, MET, statuses


@pytest.mark.parametrize(
    ("price", "slack", "status"),
    [
        (0.0, 0.1, "inactive"),
        (0.0, -0.9 * MET, "inactive"),
        (2.0, -0.9 * MET, "active"),
        (2.0, 0.0, "active"),
        (2.0, -1.1 * MET, "violated"),
    ],
)
def test_a_threshold_missed_by_less_than_the_tolerance_is_met(
    price: float, slack: float, status: str
) -> None:
    assert statuses(np.array([price]), np.array([slack])) == (status,)


def test_no_threshold_is_held_more_exactly_than_the_solution_is_certified() -> None:
    assert MET >= CERTIFIED


def test_no_other_module_has_a_tolerance_for_thresholds_of_its_own() -> None:
    """A value is compared with its threshold less ``MET``, never with a number written there."""
    compared = re.compile(
        r">= (?:thresholds|asked) - (?!MET\b)\w+|< (?:thresholds|asked) - (?!MET\b)\w+"
    )
    root = PROJECT / "src/mopo_pipeline"
    texts = {file: file.read_text(encoding="utf-8") for file in root.rglob("*.py")}
    assert sum("thresholds - MET" in text for text in texts.values()) >= 4
    assert [str(file) for file, text in texts.items() if compared.search(text)] == []
