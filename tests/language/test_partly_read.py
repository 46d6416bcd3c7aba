"""What is counted and told of texts longer than who judges them reads."""

import numpy as np
import pandas as pd

from mopo_pipeline.language.reading import count_read_in_part, told_in_part


def first_letters(prompts: list[str], responses: list[str]) -> np.ndarray:
    assert len(prompts) == len(responses)
    return np.array([len(text) > 3 for text in responses])


def test_different_texts_count_once_and_empty_tables_not_at_all() -> None:
    rows = [("p", "long"), ("p", "long"), ("q", "long"), ("p", "abc"), ("p", "")]
    table = pd.DataFrame(rows, columns=["prompt", "response"])
    counts = count_read_in_part(first_letters, {"train": table, "test": table[:0]})
    assert counts == {"train": {"texts": 4, "in_part": 2}}


def test_what_is_read_whole_is_not_told_and_a_twentieth_only_explains() -> None:
    assert told_in_part("chat", None) == []
    assert told_in_part("chat", {"test": {"texts": 9, "in_part": 0}}) == []
    (few,) = told_in_part("chat", {"test": {"texts": 20, "in_part": 1}})
    assert (few.severity, few.value) == ("info", 0.05)
    assert few.remedy.startswith("1 of 20 test answers are longer than it reads")
    some = {"labelled": {"texts": 9, "in_part": 1}, "train": {"texts": 4, "in_part": 2}}
    (many,) = told_in_part("encoder", some)
    assert (many.severity, many.value) == ("warning", 0.5)
    assert many.remedy.startswith("1 of 9 answers, 2 of 4 training answers are longer")
    assert "name another that reads more" in many.remedy
