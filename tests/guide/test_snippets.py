"""The code of the guide runs as it stands, page by page."""

from pathlib import Path

import pytest
from pages import GUIDE, blocks

WITH_CODE = [page for page in GUIDE if blocks(page, "python")]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": page.stem}
    for number, block in enumerate(blocks(page, "python"), start=1):
        exec(compile(block, f"{page.name}, block {number}", "exec"), names)


def test_the_pages_that_promise_code_have_it() -> None:
    assert {"data", "extending", "from_trl"} <= {page.stem for page in WITH_CODE}
