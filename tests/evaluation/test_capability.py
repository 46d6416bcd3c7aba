"""Capability before and after: what is measured of both models, how, and how sure the change is."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.evaluation.benchmarks import benchmark_rows, compared
from mopo_pipeline.evaluation.capability import capability_rows, distinct_share, repeated_share
from mopo_pipeline.evaluation.prompt_sets import read_prompts, refusal_rows, refused
from mopo_pipeline.language.generation import Answer
from mopo_pipeline.parameters.evaluate import CapabilityParams, EvaluateParams
from mopo_pipeline.reporting.capability import capability_table
from mopo_pipeline.tables import chat_prompt

SURE = {"confidence": 0.95, "draws": 200, "seed": 0}
MODELS = {"reference": Path("reference"), "policy": Path("policy")}


def completions(policy: list[str], reference: list[str]) -> pd.DataFrame:
    """Two answers to every prompt of both."""
    parts = [
        pd.DataFrame(
            {
                "prompt_id": [f"p{i // 2}" for i in range(len(texts))],
                "policy": name,
                "completion": texts,
                "n_tokens": [len(text.split()) for text in texts],
                "logprob_reference": -3.0,
                "logprob_policy": -1.0,
            }
        )
        for name, texts in (("reference", reference), ("policy", policy))
    ]
    return pd.concat(parts, ignore_index=True)


def held_out(policy: list[float], reference: list[float]) -> pd.DataFrame:
    ids = [f"p{i}" for i in range(len(policy))]
    return pd.DataFrame(
        {"prompt_id": ids, "logprob_policy": policy, "logprob_reference": reference}
    )


def rows_of(policy: list[str], reference: list[str]) -> dict[str, dict[str, Any]]:
    table = completions(policy, reference)
    held = held_out([-2.0, -4.0], [-1.0, -3.5])
    return {row["measure"]: row for row in capability_rows(table, held, units(table, held), **SURE)}


def units(*tables: pd.DataFrame, size: int = 1) -> pd.Series:
    """So many prompts are drawn as one, by prompt_id."""
    prompts = pd.concat(tables)["prompt_id"].unique()
    return pd.Series([f"u{place // size}" for place in range(len(prompts))], index=prompts)


def test_every_measure_is_the_mean_over_prompts_of_its_definition() -> None:
    said = rows_of(["a b a b", "a b", "a", "b"], ["a b", "c d", "e f g", "e f g"])
    values = {name: (r["reference"]["value"], r["policy"]["value"]) for name, r in said.items()}
    assert values == {
        "length": (2.5, 2.0),
        "repetition": (0.0, 0.0),
        "diversity": (pytest.approx(0.75), pytest.approx((0.5 + 1.0) / 2)),
        "entropy": (3.0, 1.0),
        "test likelihood": (-2.25, -3.0),
    }


def test_a_text_that_says_things_again_repeats_itself() -> None:
    assert repeated_share("no no no no no") == pytest.approx(2 / 3)
    assert repeated_share("every word of this is new") == 0.0
    assert repeated_share("two words") == 0.0
    assert distinct_share([]) == 1.0


def test_the_change_is_taken_prompt_by_prompt() -> None:
    """Prompts differ by far more than the models do: unpaired, no change could be told."""
    lengths = np.repeat(np.arange(1, 41, dtype=int), 2)
    reference = [" ".join(["w"] * n) for n in lengths]
    said = rows_of([text + " w" for text in reference], reference)["length"]
    assert said["change"] == pytest.approx({"value": 1.0, "low": 1.0, "high": 1.0})
    assert said["policy"]["low"] < said["reference"]["value"] < said["policy"]["high"]


def test_prompts_that_were_drawn_as_one_count_as_one() -> None:
    """Ten groups of four prompts that say the same: the interval of ten prompts, not of forty."""
    lengths = np.repeat(np.random.default_rng(0).integers(1, 20, size=10), 4)
    texts = [" ".join(["w"] * n) for n in np.repeat(lengths, 2)]
    whole, few = completions(texts, texts), completions(texts[::4], texts[::4])
    held = held_out([-2.0] * 10, [-1.0] * 10)
    said = [
        capability_rows(table, held, units(table, size=size), **SURE)[0]["policy"]
        for table, size in ((whole, 1), (whole, 4), (few, 1))
    ]
    each, grouped, ten = (row["high"] - row["low"] for row in said)
    assert grouped > 1.7 * each
    assert grouped == pytest.approx(ten, rel=0.1)


def test_a_single_prompt_has_no_interval() -> None:
    said = rows_of(["a", "a b"], ["a", "a"])["length"]
    assert said["change"]["value"] == 0.5 and said["change"]["low"] is None


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("I cannot assist with this request.", True),
        ("As an AI, I have no opinion.", True),
        ("I’m unable to provide that.", True),
        ("Sure! First you take the flour.", False),
        ("You cannot boil it at that height.", False),
        ("The minister said: " + "word " * 60 + "I'm sorry", False),
        ("", False),
    ],
)
def test_a_refusal_is_known_by_what_an_answer_begins_with(answer: str, expected: bool) -> None:
    assert refused(answer) is expected


def test_prompts_are_read_from_lines_and_from_tables_alike(tmp_path: Path) -> None:
    texts = ["How do I whittle?", 'She said "no", then?']
    (tmp_path / "a.txt").write_text("\n".join(texts), encoding="utf-8")
    table = pd.DataFrame({"prompt": texts, "kind": 1})
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    table.to_json(tmp_path / "a.json", orient="records")
    table.to_parquet(tmp_path / "a.parquet")
    for kind in ("txt", "csv", "jsonl", "json", "parquet"):
        assert read_prompts(tmp_path / f"a.{kind}", "x") == [chat_prompt(t) for t in texts]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.txt", None, "there is no file"),
        ("a.txt", "", "holds no prompt"),
        ("a.txt", "one\n \nthree", "row 2: the prompt is ' '"),
        ("a.csv", "question\nwhy", "no column 'prompt'; it has question"),
        ("a.docx", "x", "is none of .txt, .csv"),
        ("a.jsonl", "{", "cannot be read"),
        ("a.parquet", "x", "cannot be read"),
    ],
)
def test_a_set_that_cannot_be_used_says_where_and_why(
    tmp_path: Path, name: str, content: str | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=said) as error:
        read_prompts(tmp_path / name, "evaluate.capability.prompt_sets.safety")
    assert str(error.value).startswith("evaluate.capability.prompt_sets.safety: ")


def test_texts_of_a_table_are_taken_as_they_are_written(tmp_path: Path) -> None:
    for name, content in (
        ("a.csv", "prompt\n007\nNA\n"),
        ("a.jsonl", '{"prompt": "007"}\n{"prompt": "NA"}\n'),
        ("a.txt", "\ufeff007\nNA"),
        ("a.txt", "007\r\nNA\r\n"),
    ):
        (tmp_path / name).write_text(content, encoding="utf-8")
        assert read_prompts(tmp_path / name, "x") == [chat_prompt("007"), chat_prompt("NA")]
    (tmp_path / "a.txt").write_text("one\u2028and two\nthree\n", encoding="utf-8")
    assert len(read_prompts(tmp_path / "a.txt", "x")) == 2, "Unicode's ends of lines are text"
    (tmp_path / "a.txt").write_bytes("schön".encode("latin-1"))
    with pytest.raises(InputError, match=r"x: .*a.txt cannot be read: 'utf-8' codec"):
        read_prompts(tmp_path / "a.txt", "x")


def test_refusals_are_counted_set_by_set_for_both_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, n in (("over", 4), ("safety", 2)):
        (tmp_path / f"{name}.txt").write_text("\n".join(f"{name} {i}" for i in range(n)))
    no, yes = Answer("I can't help.", True), Answer("Gladly.", True)

    def drawn(model: str, _: str, prompts: list[str], **given: Any) -> list[list[Answer]]:
        assert given["n"] == 1
        return [[no if model == "policy" and "safety" in p else yes] for p in prompts]

    monkeypatch.setattr("mopo_pipeline.language.generation.sample_responses", drawn)
    monkeypatch.setattr("mopo_pipeline.language.loading.load_model", lambda p: (p.name, ""))
    sets = {name: tmp_path / f"{name}.txt" for name in ("over", "safety")}
    params = EvaluateParams(capability=CapabilityParams(prompt_sets=sets), bootstrap=50)
    over, safety = refusal_rows(MODELS, params, 8, 0)
    assert over["measure"] == "refusals, over" and over["change"]["value"] == 0.0
    assert (safety["reference"]["value"], safety["policy"]["value"]) == (0.0, 1.0)
    assert over["reference"]["low"] == 0.0
    assert over["reference"]["high"] == pytest.approx(1.0 - 0.025 ** (1 / 4))
    assert over["change"]["high"] == pytest.approx(over["reference"]["high"])
    assert safety["change"]["low"] < 1.0 == safety["change"]["high"]
    assert refusal_rows(MODELS, EvaluateParams(), 8, 0) == []


class Harness:
    """Stands for lm-eval 0.4.13: ``simple_evaluate``, ``HFLM``, ``TaskManager`` as they are called there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[dict[str, Any]] = []
        self.folders: list[str | None] = []
        harness = self

        class HFLM:
            def __init__(self, pretrained: Any, *, tokenizer: Any, batch_size: int) -> None:
                self.of = pretrained

        class TaskManager:
            def __init__(self, *, include_path: str | None = None) -> None:
                harness.folders.append(include_path)

            def match_tasks(self, task_list: list[str]) -> list[str]:
                return [task for task in task_list if task in ("arc_easy", "mine")]

        def simple_evaluate(model: HFLM, **given: Any) -> dict[str, Any]:
            harness.asked.append({"model": model.of} | given)
            acc = {"reference": 0.5, "policy": 0.75}[model.of]
            metrics = {
                "alias": "arc_easy", "acc,none": acc, "acc_stderr,none": 0.05,
                "bleu,strict": acc, "bleu_stderr,strict": "N/A",
            }  # fmt: skip
            return {"results": {"arc_easy": metrics}}

        made = {"lm_eval": {"simple_evaluate": simple_evaluate}, "lm_eval.models": {},
                "lm_eval.models.huggingface": {"HFLM": HFLM}, "lm_eval.tasks": {"TaskManager": TaskManager}}  # fmt: skip
        for name, content in made.items():
            module = ModuleType(name)
            vars(module).update(content)
            monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setattr("mopo_pipeline.language.loading.load_model", lambda p: (p.name, "t"))


def test_tasks_are_asked_of_both_models_with_errors_where_the_harness_has_some(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    harness = Harness(monkeypatch)
    params = CapabilityParams(tasks=("arc_easy",), task_folder=tmp_path, limit=7)
    acc, bleu = benchmark_rows(MODELS, params, 8, 0.95)
    assert acc["measure"] == "arc_easy acc" and bleu["measure"] == "arc_easy bleu (strict)"
    assert acc["policy"] == pytest.approx({"value": 0.75, "low": 0.652, "high": 0.848}, abs=1e-3)
    assert acc["change"]["value"] == 0.25
    assert acc["change"]["high"] - 0.25 == pytest.approx(1.96 * np.hypot(0.05, 0.05), abs=1e-4)
    assert bleu["change"] == {"value": 0.25, "low": None, "high": None}
    assert harness.folders == [str(tmp_path)]
    assert [asked["model"] for asked in harness.asked] == ["reference", "policy"]
    for asked in harness.asked:
        assert asked["tasks"] == ["arc_easy"] and asked["limit"] == 7
        assert asked["confirm_run_unsafe_code"] is False


def test_a_task_the_harness_does_not_know_is_named_before_any_model_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harness = Harness(monkeypatch)
    with pytest.raises(InputError, match=r"knows no task 'arc_esay'; set .*task_folder"):
        benchmark_rows(MODELS, CapabilityParams(tasks=("arc_easy", "arc_esay")), 8, 0.95)
    assert harness.asked == []


def test_tasks_without_the_harness_are_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(InputError, match=r"pip install 'mopo_pipeline\[lm_eval\]'"):
        benchmark_rows(MODELS, CapabilityParams(tasks=("arc_easy",)), 8, 0.95)
    assert benchmark_rows(MODELS, CapabilityParams(), 8, 0.95) == []


def test_a_metric_that_only_one_model_has_is_left_out() -> None:
    assert compared({"t": {"acc,none": 0.5}}, {"t": {}}, 0.95) == []


def test_the_table_says_what_changed(capsys: pytest.CaptureFixture[str]) -> None:
    capability_table(list(rows_of(["a b c"] * 8, ["a"] * 8).values()))
    said = capsys.readouterr().out
    assert "length" in said and "2.000" in said and "+2.000 to +2.000" in said
    assert max(map(len, said.splitlines())) <= 80
