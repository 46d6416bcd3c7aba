"""Krippendorff's alpha against the numbers of his own page, and as it must behave."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopo_pipeline.preferences.agreement import krippendorff_alpha
from mopo_pipeline.preferences.report import quality_report

NONE = np.nan
OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NONE, NONE, NONE],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NONE, 3],
        [NONE, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NONE],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NONE],
    ]
)
"""Four observers, twelve units: example D of Krippendorff (2011), interval alpha .849."""


def long(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.tile(np.arange(table.shape[1]), len(table)), table.ravel()


def test_the_published_example_of_interval_data() -> None:
    found = krippendorff_alpha(*long(OBSERVERS))
    assert found is not None
    assert round(found["alpha"], 3) == 0.849
    assert (found["units"], found["values"]) == (11, 40)


def slow_alpha(units: np.ndarray, values: np.ndarray) -> float:
    """Every pair of values, as the definition says."""
    of = [values[(units == u) & ~np.isnan(values)] for u in np.unique(units)]
    of = [v for v in of if len(v) > 1]
    every = np.concatenate(of)
    n = len(every)
    within = sum(((v[:, None] - v) ** 2).sum() / (len(v) - 1) for v in of) / n
    return float(1 - within / (((every[:, None] - every) ** 2).sum() / (n * (n - 1))))


@given(
    st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0, NONE]), min_size=4, max_size=4), min_size=2)
)
def test_it_is_what_counting_every_pair_gives_and_units_have_no_order(
    rows: list[list[float]],
) -> None:
    units, values = long(np.array(rows).T)
    found = krippendorff_alpha(units, values)
    if found is None:
        return
    assert found["alpha"] == pytest.approx(slow_alpha(units, values), abs=1e-9)
    turned = krippendorff_alpha(units[::-1] * 7, 3.0 - 2.0 * values[::-1])
    assert turned is not None
    assert turned["alpha"] == pytest.approx(found["alpha"], abs=1e-9)


@pytest.mark.parametrize("values", [[1.0, 0.0, NONE, NONE], [1.0, 1.0, 1.0, 1.0], []])
def test_nothing_is_said_where_nobody_judged_twice_or_nothing_differs(values: list[float]) -> None:
    units = np.array([0, 1, 0, 1])[: len(values)]
    assert krippendorff_alpha(units, np.array(values)) is None


def votes(rows: list[tuple[str, str, float, str]]) -> pd.DataFrame:
    columns = ["response_a", "response_b", "good", "annotator"]
    return pd.DataFrame(rows, columns=columns).assign(prompt_id="p", weight=1.0)


def alpha(rows: list[tuple[str, str, float, str]]) -> float:
    table = votes(rows)
    report = quality_report(table, table.assign(good_weight=1.0), ("good",))
    return float(report["objectives"]["good"]["repeated_votes"]["alpha"])


def test_votes_from_either_side_agree_and_one_person_counts_once() -> None:
    ann = [("x", "y", 1.0, "ann"), ("u", "v", 0.0, "ann"), ("s", "t", 0.5, "ann")]
    bob = [("y", "x", 0.0, "bob"), ("v", "u", 1.0, "bob"), ("t", "s", 0.5, "bob")]
    assert alpha(ann + bob) == pytest.approx(1.0)
    against = [("x", "y", 0.0, "bob"), ("u", "v", 1.0, "bob"), ("s", "t", 0.5, "bob")]
    contrary = alpha(ann + against)
    assert contrary < 0
    assert alpha(ann * 3 + against) == pytest.approx(contrary)
    nameless = [(a, b, label, "") for a, b, label, _ in ann * 3 + against]
    assert alpha(nameless) > contrary
