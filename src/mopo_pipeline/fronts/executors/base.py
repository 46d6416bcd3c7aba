"""What a sweep asks of whoever carries out its runs."""

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from mopo_pipeline.errors import MopoError


class LostRunError(MopoError):
    """A run ended without a word of its own; says where it ran and where its log lies."""


class Executor(Protocol):
    """Runs Python commands side by side; the shape is that of ``concurrent.futures``."""

    def submit(self, command: Sequence[str], log: Path, folder: Path) -> "Future[int]":
        """Run a Python command in ``folder``, its words in ``log``.

        Returns:
            Its exit code, negative where a signal ended it; or what kept it from running, an ``OSError`` or a
            ``LostRunError``.
        """
        ...

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for all commands; end them where the sweep itself was stopped."""
        ...
