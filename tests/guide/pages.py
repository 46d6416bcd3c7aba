"""The pages a reader copies from, and what stands in them."""

import re
from pathlib import Path

from conftest import PROJECT

DOCS = PROJECT / "docs"
GUIDE = sorted((DOCS / "guide").glob("*.md"))
READ = [PROJECT / "README.md", *GUIDE]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", flags=re.M | re.S)
_COMMAND = re.compile(r"kedro run\b[^`\n]*")


def blocks(page: Path, language: str) -> list[str]:
    """Fenced blocks of a language, in order."""
    found = _FENCE.findall(page.read_text(encoding="utf-8"))
    return [text for kind, text in found if kind == language]


def commands(page: Path) -> list[str]:
    """Every complete ``kedro run`` of a page: in shell blocks, in code between backticks, in comments of YAML."""
    text = page.read_text(encoding="utf-8")
    prose = _FENCE.sub("", text)
    found = [code for code in re.findall(r"`([^`]+)`", prose) if code.startswith("kedro run")]
    for language in ("bash", "yaml"):
        for block in blocks(page, language):
            found += _COMMAND.findall(block.replace("\\\n", " "))
    return [command.split("  #")[0].strip() for command in found]
