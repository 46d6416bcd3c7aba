"""The pages a reader copies from, and what stands in them."""

import re
from pathlib import Path

from conftest import PROJECT

DOCS = PROJECT / "docs"
GUIDE = sorted((DOCS / "guide").glob("*.md"))
READ = [PROJECT / "README.md", *GUIDE]
BESIDE = [
    PROJECT / "CONTRIBUTING.md",
    *(DOCS / f"{name}.md" for name in ("method", "results", "scaling", "truthfulqa_answers")),
    *sorted((DOCS / "decisions").glob("*.md")),
    *sorted((DOCS / "sources").glob("*.md")),
    *sorted((DOCS / "rivals").glob("*.md")),
    *sorted((PROJECT / "conf").glob("*/*.yml")),
]
"""Other pages with commands, and the comments of the configuration."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", flags=re.M | re.S)
COMMAND = re.compile(r"kedro run\b[^`\n]*")
_IN_A_COMMENT = re.compile(r"^\s*#.*?(kedro run(?: --\S+)*\w)", flags=re.M)


def blocks(page: Path, language: str) -> list[str]:
    """Fenced blocks of a language, in order."""
    found = _FENCE.findall(page.read_text(encoding="utf-8"))
    return [text for kind, text in found if kind == language]


def code(page: Path) -> list[str]:
    """All code of a page: fenced blocks, then what stands between backticks."""
    text = page.read_text(encoding="utf-8")
    return [block for _, block in _FENCE.findall(text)] + re.findall(
        r"`([^`\n]+)`", _FENCE.sub("", text)
    )


def commands(page: Path) -> list[str]:
    """Every complete ``kedro run`` of a page: in shell blocks, in code between backticks, in comments of YAML."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".yml":
        return _IN_A_COMMENT.findall(text)
    prose = _FENCE.sub("", text)
    found = [code for code in re.findall(r"`([^`]+)`", prose) if code.startswith("kedro run")]
    for language in ("bash", "yaml"):
        for block in blocks(page, language):
            found += COMMAND.findall(block.replace("\\\n", " "))
    return [" ".join(command.split("  #")[0].split()) for command in found]
