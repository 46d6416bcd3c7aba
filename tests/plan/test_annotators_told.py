"""Who labelled a comparison reaches the plan, and the plan says what it costs that annotators differ."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.plan import make
from mopo_pipeline.plan.problem import row_comparisons


def compared(who: list[str]) -> Any:
    pairs = pd.DataFrame({"response_a": ["a", "a", "b"], "response_b": ["b", "c", "c"]})
    labels = pairs.assign(good=1.0, good_weight=1.0, annotator=who)
    rows = pd.DataFrame({"prompt_id": "p", "response_id": ["a", "b", "c"], "good": 0.5})
    return row_comparisons(rows, labels, pairs.assign(good=np.nan, fold=-1), ("good",))


def test_comparisons_carry_who_labelled_them_where_it_is_known() -> None:
    assert compared(["x", "", "y"]).annotators.tolist() == [0, -1, 1]
    assert compared(["", "", ""]).annotators is None


def test_the_plan_says_how_many_comparisons_would_count_if_annotators_were_alike() -> None:
    solution: Any = SimpleNamespace(
        effective_comparisons=np.array([120.0, 300.0]), effective_if_alike=np.array([800.0, 300.2])
    )
    said = make._assured(
        solution, ["safe", "short"], {"comparisons": 1, "confidence": 0.95, "epsilon": 0.0}
    )
    assert said.endswith("safe 120 (800 if annotators were alike), short 300")
