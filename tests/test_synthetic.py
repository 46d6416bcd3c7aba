"""The synthetic experiment: the lagged reference on the true front, coverage near the confidence."""

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from conftest import PROJECT
from mopo_pipeline.experiments.synthetic import coverage, sweep
from mopo_pipeline.parameters.synthetic import SyntheticParams

GIVEN = yaml.safe_load((PROJECT / "conf/base/parameters_synthetic.yml").read_text())["synthetic"]


def params(**changes: object) -> SyntheticParams:
    return SyntheticParams.model_validate(GIVEN | changes)


def test_lagged_runs_reach_the_linear_programme_on_every_structure() -> None:
    found = sweep(params(thresholds=3))
    assert set(found["structure"]) == set(GIVEN["structures"])
    lagged = found[found["reference"] == "lagged"]
    assert lagged["shortfall"].abs().max() < 1e-3
    for k in (1, 2):
        part = found.dropna(subset=f"threshold_{k}")
        assert (part[f"value_{k}"] >= part[f"threshold_{k}"] - 1e-6).all()
    static = found[found["reference"] == "static"]
    assert (static["shortfall"] >= -1e-6).all()


def test_coverage_follows_the_confidence() -> None:
    antichain = {"antichain": GIVEN["structures"]["antichain"]}
    found = coverage(params(structures=antichain, comparisons=[2000], replicates=60))
    held = found.set_index("confidence")["held"]
    assert held[0.5] < held[0.95]
    assert held[0.95] >= 0.85
    again = coverage(params(structures=antichain, comparisons=[2000], replicates=60))
    np.testing.assert_array_equal(found.to_numpy(), again.to_numpy())


@pytest.mark.parametrize(
    ("structure", "expected"),
    [
        ({"behaviour": [0.5, 0.5], "preferences": [[[0.5, 0.6], [0.6, 0.5]]] * 2}, "must sum to 1"),
        ({"behaviour": [0.5, 0.6], "preferences": [[[0.5, 0.6], [0.4, 0.5]]] * 2}, "behaviour"),
        ({"behaviour": [1.0], "preferences": [[[0.5, 0.6], [0.4, 0.5]]] * 2}, "must be 1 x 1"),
    ],
)
def test_a_structure_that_is_none_is_refused(structure: dict[str, object], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        params(structures={"mine": structure})
