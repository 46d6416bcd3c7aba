"""Errors whose message is one line that says what was found, where, and what to do."""


class MopoError(Exception):
    """Base of every error a user can act on; the command line prints its message alone."""


class InputError(MopoError, ValueError):
    """Something the user gave (a file, a table, an array, a parameter) cannot be used."""
