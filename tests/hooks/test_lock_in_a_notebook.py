"""A notebook's kernel outlives its runs: a run that Ctrl-C ends lets go of its data root with its cell."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from mopo_pipeline.hooks.lock import RunLockHook
from mopo_pipeline.locks import HeldError, held


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[InteractiveShell]:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


@pytest.mark.slow
def test_a_run_that_is_interrupted_in_a_notebook_lets_go_with_its_cell(
    shell: InteractiveShell, tmp_path: Path
) -> None:
    root, seen = tmp_path / "root", []
    hook = RunLockHook()
    hook._root = root

    def run() -> None:
        hook.before_pipeline_run(run_params={"run_id": "one"})
        with pytest.raises(HeldError, match="process"), held(root):
            pass
        seen.append("held")
        raise KeyboardInterrupt

    shell.user_ns["run"] = run
    for again in (1, 2):
        shell.run_cell("run()", store_history=False)
        assert len(seen) == again, "it runs, and runs again"
        with held(root):
            pass
