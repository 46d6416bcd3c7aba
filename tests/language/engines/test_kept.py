"""Answers kept on disk come back as they were, whatever they hold."""

from pathlib import Path

from mopo_pipeline.language.engines.kept import KeptAnswers
from mopo_pipeline.language.generation import Answer


def test_what_unicode_calls_an_end_of_a_line_parts_no_answer(tmp_path: Path) -> None:
    said = {j: Answer(f"one{end}two", True) for j, end in enumerate("\u2028\u2029\u0085\x0b\x1c\n")}
    KeptAnswers(tmp_path, {"model": "any"}).add("p", said)
    kept = KeptAnswers(tmp_path, {"model": "any"})
    assert {j: kept.get("p", j) for j in said} == said
