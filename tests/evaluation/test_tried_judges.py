"""Judges of the evaluation, tried before the first fit."""

from pathlib import Path

import pandas as pd
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.evaluation.judging import try_judges
from mopo_pipeline.judges.base import ReadsInPart
from mopo_pipeline.judges.named import own_judge
from mopo_pipeline.parameters.evaluate import JudgeParams
from mopo_pipeline.tables import chat_prompt

OWN = """
import numpy as np
from mopo_pipeline.errors import InputError

class Plain:
    name, link = "plain", "logistic"
    def __init__(self, objectives):
        self.objectives = objectives
    def scores(self, prompts, responses):
        return np.zeros((len(responses), len(self.objectives)))

class Reader(Plain):
    def read_in_part(self, prompts, responses):
        if "spoilt" in responses:
            raise InputError("cannot read 'spoilt'")
        return np.array([len(text) > 9 for text in responses])
"""


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "judges_of_my_own.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)


def answers(split: str, *texts: str) -> pd.DataFrame:
    return pd.DataFrame(
        {"prompt": chat_prompt("why"), "response": texts, "split": split, "source": "files"}
    )


def test_a_judge_of_ones_own_may_say_what_it_reads_in_part() -> None:
    judge = own_judge("judges_of_my_own:Reader", ("good",))
    assert isinstance(judge, ReadsInPart)
    assert judge.read_in_part(["why"] * 2, ["short", "a long answer"]).tolist() == [False, True]
    assert not isinstance(own_judge("judges_of_my_own:Plain", ("good",)), ReadsInPart)


def test_a_text_that_a_judge_cannot_take_is_found_wherever_it_stands() -> None:
    params = JudgeParams(rules="none", own="judges_of_my_own:Reader")
    table = pd.concat([answers("train", "good", "spoilt"), answers("test", "fine", "well")])
    try_judges(table, ("good",), params)
    with pytest.raises(InputError, match="cannot read 'spoilt'"):
        try_judges(pd.concat([table, answers("test", "spoilt")]), ("good",), params)
