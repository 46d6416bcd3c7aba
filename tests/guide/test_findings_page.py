"""Every finding that the source can make has its paragraph in the guide, and no paragraph is about one that cannot be."""

import re

import pytest
from findings_in_source import names_made

from conftest import PROJECT
from mopo_pipeline.pareto.verdicts import MISSED, MISSED_WITHIN_NOISE

PAGE = (PROJECT / "docs/guide/findings.md").read_text(encoding="utf-8")
PARAGRAPHS = {
    heading.removesuffix("…").strip(): text.strip()
    for heading, text in re.findall(r"^### (.+)\n((?:(?!^#).*\n?)*)", PAGE, flags=re.M)
}
MADE = names_made()


def belongs(heading: str, name: str) -> bool:
    """Whether a paragraph is about a finding whose name begins so."""
    return heading.startswith(name.strip()) or name.strip().startswith(heading)


@pytest.mark.parametrize("name", sorted(MADE))
def test_every_finding_of_the_source_has_its_paragraph(name: str) -> None:
    assert any(belongs(heading, name) for heading in PARAGRAPHS), f"{name!r} of {MADE[name]}"


@pytest.mark.parametrize("verdict", [MISSED, MISSED_WITHIN_NOISE])
def test_every_missed_verdict_has_its_paragraph(verdict: str) -> None:
    assert f"threshold {verdict}:" in PARAGRAPHS


@pytest.mark.parametrize("heading", sorted(PARAGRAPHS))
def test_every_paragraph_is_about_a_finding_that_can_be_made_and_says_something(
    heading: str,
) -> None:
    assert any(belongs(heading, name) for name in MADE)
    assert len(PARAGRAPHS[heading].split()) >= 10


def test_findings_are_found_wherever_their_name_is_made() -> None:
    assert {"rows repeat", "judge uncalibrated: ", "judge not independent"} <= set(MADE)
    assert {"sampled answers cut short", "threshold at the edge: ", "no preference judge"} <= set(
        MADE
    )
