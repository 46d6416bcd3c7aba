"""Errors whose message is one line that says what was found, where, and what to do."""

import sys
from types import TracebackType


class MopoError(Exception):
    """Base of every error a user can act on; the command line prints its message alone."""


class InputError(MopoError, ValueError):
    """Something the user gave (a file, a table, an array, a parameter) cannot be used."""


def abort_in_one_line() -> None:
    """End on Ctrl-C without a traceback where nobody catches it, as while imports that take seconds go on."""
    told = sys.excepthook

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            print("\nAborted!", file=sys.stderr)
        else:
            told(kind, error, trace)

    sys.excepthook = tell


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its type where it has none."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
