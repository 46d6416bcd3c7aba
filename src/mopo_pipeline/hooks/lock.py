"""A data root has one run at a time."""

import sys
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl

from mopo_pipeline.errors import InputError
from mopo_pipeline.hooks.guard import data_root, one_line
from mopo_pipeline.locks import HeldError, held


class RunLockHook:
    """Holds the data root from before a run compares anything until its end."""

    def __init__(self) -> None:
        self._root = Path()
        self._held = ExitStack()

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Remember where the run's artifacts lie."""
        self._root = data_root(context)

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Take the lock.

        Raises:
            InputError: another run has it; names the run, its process and its start.
        """
        self._held.close()
        try:
            self._held.enter_context(held(self._root, run_id=run_params["run_id"]))
        except OSError as error:
            message = (
                f"data_root {self._root} cannot be written: {error.strerror or error}; give another place with "
                "--params=data_root=..."
            )
            raise one_line(InputError(message)) from None
        except HeldError as error:
            run = error.holder.get("run_id", "unknown")
            message = (
                f"run {run} ({error}) is going on in {self._root}: wait for it, end it, or give this one "
                "another place with --params=data_root=..."
            )
            raise one_line(InputError(message)) from None
        self._let_go_with_the_cell()

    def _let_go_with_the_cell(self) -> None:
        """Let go at the end of a notebook's cell: its kernel outlives a run that Ctrl-C ends, and Kedro tells nobody of that."""
        shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        if shell is not None:
            shell.events.register("post_run_cell", self._cell_ended)

    def _cell_ended(self, _: Any) -> None:
        self._held.close()

    @hook_impl(specname="before_pipeline_run", wrapper=True)
    def let_go_where_refused(self) -> Generator[None, Any, Any]:
        """Let go where a later hook refuses the run: Kedro tells nobody, and the process may live on, as a notebook's does."""
        try:
            return (yield)
        except BaseException:
            self._held.close()
            raise

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Let go."""
        self._held.close()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Let go."""
        self._held.close()
