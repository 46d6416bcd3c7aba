"""Rows of a plan's table for machines: what lies between costing nothing and out of reach."""

import numpy as np
import pytest

from evaluated import PLAN
from mopo_pipeline.reporting.plan_table import plan_table

RAISED = [np.array([[0.5, 0.6], [0.6, 0.5]]), np.array([[0.45, 0.6], [0.5, 0.58]])]
LOWERED = [np.array([[0.4, 0.66], [0.5, 0.6]]), np.array([[0.45, 0.6]])]


def test_a_front_goes_from_where_a_threshold_costs_nothing_to_where_it_is_out_of_reach() -> None:
    told = plan_table(PLAN, RAISED, [], {}, lowered=LOWERED, free=np.array([0.66, 0.4, 0.45]))
    primary, harm, short = told["objectives"]
    assert (primary["free"], harm["free"], short["free"]) == (0.66, 0.4, 0.45)
    assert primary["front"] == []
    assert harm["front"] == [[0.4, 0.66], [0.5, 0.6], [0.6, 0.5]]
    assert short["front"] == [[0.45, 0.6], [0.5, 0.58]]
    assert harm["price"] == pytest.approx(0.003)


def test_what_was_not_computed_is_unknown() -> None:
    _, harm, _ = plan_table(PLAN, RAISED, [], {})["objectives"]
    assert harm["free"] is None
    assert harm["front"] == RAISED[0].tolist()
