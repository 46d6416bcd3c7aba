"""The pages hang together: links and anchors, the tree of the site, and its strict build."""

import importlib.util
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
import yaml
from pages import DOCS

from conftest import PROJECT

PAGES = sorted(DOCS.rglob("*.md"))
LINK = re.compile(r"(?<!`)!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as Python-Markdown makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), flags=re.M)
    return {slug(heading) for heading in headings}


def slug(heading: str) -> str:
    """An anchor: letters, digits and hyphens of the heading's text.

    >>> slug("Comparisons: what the plan pays")
    'comparisons-what-the-plan-pays'
    """
    plain = unicodedata.normalize("NFKD", heading.replace("`", "")).encode("ascii", "ignore")
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain.decode()).strip().lower())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if target.startswith(("http:", "https:")):
            continue
        file, _, anchor = target.partition("#")
        other = (page.parent / file).resolve() if file else page
        assert other.exists(), target
        assert not anchor or anchor in anchors(other), target


def test_every_page_has_its_place_in_the_site() -> None:
    site = yaml.safe_load((PROJECT / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = set(re.findall(r"[\w/-]+\.md", str(site["nav"])))
    assert {str(page.relative_to(DOCS)) for page in PAGES} == listed


if importlib.util.find_spec("material"):

    @pytest.mark.slow
    def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "Choosing thresholds" in (tmp_path / "guide/thresholds.html").read_text()
