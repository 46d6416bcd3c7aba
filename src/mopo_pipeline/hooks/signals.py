"""Ctrl-C and a scheduler's SIGTERM: told before the run ends, then obeyed."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Calls ``told`` with the name of the signal that ends a run; a second one meanwhile does not cut it short.

    What is ignored stays ignored: a run that a script puts in the background is not meant by Ctrl-C.
    """

    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told
        self._before: dict[signal.Signals, Any] = {}

    def expect(self) -> None:
        """From now on; outside the main thread, which alone gets signals, nothing happens."""
        if threading.current_thread() is threading.main_thread():
            self.forget()
            heeded = [n for n in SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._handle) for number in heeded}

    def forget(self) -> None:
        """Put back what was there."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        before = self._before.get(signal.Signals(number))
        for waiting in self._before:
            signal.signal(waiting, signal.SIG_IGN)
        self._told(signal.Signals(number).name)
        self.forget()
        if callable(before):
            before(number, frame)
        else:
            raise SystemExit(128 + number)
