"""Ctrl-C and a scheduler's SIGTERM: told before the run ends, then obeyed."""

import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Calls ``told`` with the name of the signal that ends a run; a second one meanwhile does not cut it short.

    What is ignored stays ignored: a run that a script puts in the background is not meant by Ctrl-C. An
    exception that a signal raised can be lost where it strikes, in a finaliser or in a library that tries an
    import and excepts everything: :meth:`insist` raises it again. A process forked for a node tells nothing.
    """

    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told
        self._before: dict[signal.Signals, Any] = {}
        self._ends: Callable[[], None] | None = None
        self._process = 0

    @property
    def was_told(self) -> bool:
        """Whether a signal has come since it was expected."""
        return self._ends is not None

    def expect(self) -> None:
        """From now on; outside the main thread, which alone gets signals, nothing happens."""
        if threading.current_thread() is threading.main_thread():
            self.forget()
            self._ends, self._process = None, os.getpid()
            heeded = [n for n in SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._handle) for number in heeded}

    def forget(self) -> None:
        """Put back what was there."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def insist(self) -> None:
        """Obey a signal that was told and did not end the run."""
        if self._ends is not None:
            self._ends()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        before = self._before.get(signal.Signals(number))
        for waiting in self._before:
            signal.signal(waiting, signal.SIG_IGN)
        if os.getpid() == self._process:
            self._told(signal.Signals(number).name)
        self.forget()
        self._ends = partial(_obey, before, number, frame)
        self._ends()


def _obey(before: Any, number: int, frame: FrameType | None) -> None:
    if callable(before):
        before(number, frame)
    else:
        raise SystemExit(128 + number)
