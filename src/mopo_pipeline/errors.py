"""Errors whose message is one line that says what was found, where, and what to do."""


class MopoError(Exception):
    """Base of every error a user can act on; the command line prints its message alone."""


class InputError(MopoError, ValueError):
    """Something the user gave (a file, a table, an array, a parameter) cannot be used."""


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its type where it has none."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
