"""Looks at a test split are counted, whoever asks, and the level is shared out over all of them."""

import json
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import pytest

from evaluated import EVIDENCE, PLAN, checked, estimate
from mopo_pipeline.errors import InputError
from mopo_pipeline.evaluation import looks as module
from mopo_pipeline.evaluation.certify import certify
from mopo_pipeline.evaluation.evidence import take_look
from mopo_pipeline.evaluation.looks import (
    SKETCH,
    DamagedLooksError,
    Look,
    LooksFile,
    prompt_sketch,
    question,
    split_fingerprint,
)
from mopo_pipeline.locks import held
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.pareto.bounds import alpha_of_look

ASKED = {"policy": "p", "plan": {"thresholds": {"harm": 0.5}}, "seed": 0}
RESPONSES = pd.DataFrame(
    {
        "prompt_id": ["p0", "p0", "p1", "p1", "p2"],
        "response_id": ["r0", "r1", "r2", "r3", "r4"],
        "prompt": ["a", "a", "b", "b", "c"],
        "response": ["x", "v", "y", "w", "z"],
        "split": ["test", "test", "test", "test", "train"],
    }
)
PAIRS = pd.DataFrame(
    {
        "prompt_id": ["p0", "p1"],
        "response_a": ["r0", "r2"],
        "response_b": ["r1", "r3"],
        "harm": [1.0, 0.0],
        "split": ["test", "test"],
    }
)


@pytest.fixture
def looks(tmp_path: Path) -> LooksFile:
    return LooksFile(tmp_path / "looks")


def test_the_same_question_is_the_same_look_and_another_one_is_a_new_look(looks: LooksFile) -> None:
    first = question(**ASKED)
    assert looks.take("split", first) == Look(1, 1)
    assert looks.take("split", first) == Look(1, 1)
    assert looks.take("split", question(**ASKED | {"policy": "q"})) == Look(2, 2)
    weaker = ASKED | {"plan": {"thresholds": {"harm": 0.49}}}
    assert looks.take("split", question(**weaker)) == Look(3, 3)
    assert looks.take("split", first) == Look(1, 3)


def test_a_judge_that_now_says_something_else_is_a_new_look(looks: LooksFile) -> None:
    """Its code, its weights or its scale changed behind the same parameters; so did who is drawn with whom."""

    def taken(value: float, units: int = 40) -> Look | None:
        checks = checked(estimate("rules", [0.6, value, 0.5]), estimate("chat", [0.6, 0.3, 0.5]))
        evidence = replace(EVIDENCE, units=units)
        return take_look(looks, evidence, checks, PLAN, EvaluateParams(), 0)[0]

    assert taken(0.52) == Look(1, 1, 0.95)
    assert taken(0.52 + 1e-7) == Look(1, 1, 0.95)
    assert taken(0.55) == Look(2, 2, 0.95)
    assert taken(0.55, units=20) == Look(3, 3, 0.95)
    assert taken(0.52) == Look(1, 3, 0.95)


def test_a_confidence_raised_between_looks_is_that_of_those_asked_at_it(looks: LooksFile) -> None:
    """Looks at .95 and at .99 are false by .030 and .0015: all of them by more than .01, those asked at .99 by less."""
    checks = checked(estimate("rules", [0.6, 0.6, 0.6]))

    def taken(confidence: float) -> Look:
        params = EvaluateParams(confidence=confidence)
        look, _ = take_look(looks, EVIDENCE, checks, PLAN, params, 0)
        assert look is not None
        return look

    assert [taken(c) for c in (0.99, 0.95, 0.99)] == [
        Look(1, 1, 0.99),
        Look(2, 2, 0.95),
        Look(1, 2, 0.95),
    ]
    spent = [alpha_of_look(1.0 - c, i) for i, c in enumerate((0.99, 0.95), start=1)]
    assert sum(spent) < 0.05
    raised, same = (
        certify(checks, PLAN, EVIDENCE, Look(2, 2, 0.95), confidence=c) for c in (0.99, 0.95)
    )
    (said,) = [text for text in raised.assumed if "all of them together are no surer" in text]
    assert said.startswith("0.99 is the confidence of the looks") and "asked at 0.95" in said
    assert not any("no surer" in text for text in same.assumed)


def test_every_split_has_its_own_looks(looks: LooksFile) -> None:
    looks.take("one", "asked")
    assert looks.take("other", "something else") == Look(1, 1)


def test_a_split_with_some_prompts_more_goes_on_counting(looks: LooksFile) -> None:
    more = pd.concat([RESPONSES, RESPONSES.iloc[2:3].assign(prompt="d")])
    strangers = RESPONSES.assign(prompt="new " + RESPONSES["prompt"])
    before, after, none = (prompt_sketch(table) for table in (RESPONSES, more, strangers))
    assert (len(before), len(after)) == (2, 3)
    assert looks.take("split", "asked", before) == Look(1, 1)
    assert looks.take("more", "asked", after) == Look(2, 2)
    assert looks.take("strangers", "asked", none) == Look(1, 1)
    assert looks.take("split", "something else", before) == Look(3, 3)
    assert looks.take("split", "asked", before) == Look(1, 3)
    assert looks.take("more", "asked", after) == Look(2, 3)


def test_a_split_is_found_again_by_few_of_its_prompts() -> None:
    prompts = pd.DataFrame({"prompt": [f"p{i}" for i in range(4000)], "split": "test"})
    found = [set(prompt_sketch(prompts.iloc[start : start + 2000])) for start in (0, 1800, 2000)]
    assert [len(sketch) for sketch in found] == [SKETCH] * 3
    assert found[0] & found[1]
    assert not found[0] & found[2]


def test_a_split_is_its_prompts_answers_and_labels_in_any_order() -> None:
    known = split_fingerprint(RESPONSES, PAIRS)
    assert split_fingerprint(RESPONSES[::-1], PAIRS[::-1]) == known
    assert split_fingerprint(RESPONSES[:4], PAIRS) == known
    for table, column, value in (
        ("r", "prompt", "new"),
        ("r", "response", "new"),
        ("p", "harm", 0.5),
    ):
        changed = {"r": RESPONSES.copy(), "p": PAIRS.copy()}
        changed[table].loc[0, column] = value
        assert split_fingerprint(changed["r"], changed["p"]) != known


def test_a_split_is_the_same_whatever_its_rows_are_called() -> None:
    """Rows are numbered as they stand in a file: one more training prompt before them renames them all."""
    ids = ["prompt_id", "response_id", "response_a", "response_b"]
    responses, pairs = (
        table.assign(**{name: "n" + table[name] for name in ids if name in table})
        for table in (RESPONSES, PAIRS)
    )
    assert split_fingerprint(responses, pairs) == split_fingerprint(RESPONSES, PAIRS)
    turned = PAIRS.assign(response_a=PAIRS["response_b"], response_b=PAIRS["response_a"])
    assert split_fingerprint(RESPONSES, turned) != split_fingerprint(RESPONSES, PAIRS)


def test_all_looks_together_spend_alpha() -> None:
    shares = [alpha_of_look(0.05, number) for number in range(1, 20_000)]
    assert 0.0499 < sum(shares) <= 0.05
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        '{"split": [{"when": "now"}]}',
        '{"split": 3}',
        "\x80",
        '{"split": [{"asked": "a"}, {"asked": "a"}]}',
        '{"split": [{"asked": "a", "confidence": 95}]}',
    ],
)
def test_a_damaged_record_is_refused_with_how_to_go_on_and_left_as_it_is(
    looks: LooksFile, text: str
) -> None:
    looks.folder.mkdir()
    looks.path.write_bytes(text.encode("latin-1"))
    with pytest.raises(
        DamagedLooksError, match=r"looks\.json is damaged.*put back a copy"
    ) as error:
        looks.take("split", "asked")
    assert "\n" not in str(error.value)
    assert looks.path.read_bytes() == text.encode("latin-1")


def test_a_look_that_could_not_be_written_leaves_the_record_whole(
    looks: LooksFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks.take("split", "first")
    before = looks.path.read_bytes()

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(module.os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        looks.take("split", "second")
    assert looks.path.read_bytes() == before


def test_a_record_held_by_another_run_is_named(
    looks: LooksFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    with held(looks.folder), pytest.raises(InputError, match="is held by process"):
        looks.take("split", "asked")


def _take(folder: Path, number: int) -> None:
    LooksFile(folder).take("split", f"question {number}")


def test_two_runs_at_once_lose_no_look(looks: LooksFile) -> None:
    context = get_context("fork")
    runs = [context.Process(target=_take, args=(looks.folder, number)) for number in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
    assert [run.exitcode for run in runs] == [0, 0, 0]
    record = json.loads(looks.path.read_text())
    assert {look["asked"] for look in record["split"]} == {f"question {n}" for n in range(3)}
