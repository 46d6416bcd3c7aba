"""Which cells of a column are the same, with little beside the column: texts by hashes, never all in one table."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.paged import CHUNK

TOGETHER, MOST_PARTS = 1 << 18, 1 << 8
"""Codes that are looked up in one table; the parts that more of them are taken apart into, at most."""

SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""An odd number that puts codes which follow each other far apart, 2^64 over the golden ratio."""


def first_of_each(codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of codes (n,) stand there for the first time.

    >>> first_of_each(np.array([0, 1, 0, 2]))
    array([ True,  True, False,  True])
    """
    return np.asarray(first_equal(codes) == np.arange(len(codes)))


def first_equal(codes: NDArray[np.int64]) -> NDArray[np.intp]:
    """Where the first equal to each of codes (n,) stands, (n,), in tables of a part of them at a time.

    >>> first_equal(np.array([7, 9, 7, 8]))
    array([0, 1, 0, 3])
    """
    first = np.empty(len(codes), dtype=np.intp)
    for rows in _apart(codes):
        same, known = pd.factorize(codes[rows])
        earliest = np.empty(len(known), dtype=np.intp)
        earliest[same[::-1]] = rows[::-1]
        first[rows] = earliest[same]
    return first


def _apart(codes: NDArray[np.int64]) -> Iterator[NDArray[np.intp]]:
    """Rows (m,), ascending, of which no two parts hold the same code of codes (n,)."""
    if len(codes) <= TOGETHER:
        yield np.arange(len(codes))
        return
    bits = min((len(codes) - 1) // TOGETHER, MOST_PARTS - 1).bit_length()
    mixed = codes.astype(np.uint64)
    mixed *= SPREAD
    mixed >>= np.uint64(64 - bits)
    part = mixed.astype(np.uint8)
    del mixed
    order = np.argsort(part, kind="stable")
    ends = np.cumsum(np.bincount(part))
    for start, end in pairwise([0, *ends.tolist()]):
        yield order[start:end]


def codes_of(first: NDArray[np.intp]) -> NDArray[np.intp]:
    """Numbers (n,) from 0 by first appearance of what ``first_equal`` (n,) found equal.

    >>> codes_of(np.array([0, 1, 0, 3]))
    array([0, 1, 0, 2])
    """
    new = first == np.arange(len(first))
    return (np.cumsum(new) - 1)[first]


def text_hashes(texts: pd.Series) -> NDArray[np.int64]:
    """Hashes (n,) of a column of text, equal for equal texts; of two others with a chance of 2^-64."""
    found = np.empty(len(texts), dtype=np.int64)
    for start in range(0, len(texts), CHUNK):
        part = texts.iloc[start : start + CHUNK].to_numpy(dtype=object)
        found[start : start + len(part)] = np.fromiter(map(hash, part), np.int64, len(part))
    return found


def said_alike(values: pd.Series) -> NDArray[np.intp]:
    """Numbers (n,) from 0 by first appearance, equal for equal cells; texts by their hashes, what is missing as one.

    >>> said_alike(pd.Series(["a", None, "a", None], dtype="str"))
    array([0, 1, 0, 1])
    """
    if isinstance(values.dtype, pd.StringDtype) and not values.hasnans:
        return codes_of(first_equal(text_hashes(values)))
    return np.asarray(pd.factorize(values, use_na_sentinel=False)[0], dtype=np.intp)


def positions(values: pd.Series, known: pd.Series) -> NDArray[np.intp]:
    """Where each of the values (n,) first stands among those ``known``, -1 where it does not; texts by their hashes.

    >>> positions(pd.Series(["b", "c"]), pd.Series(["a", "b"]))
    array([ 1, -1])
    """
    if not isinstance(values.dtype, pd.StringDtype) or not isinstance(known.dtype, pd.StringDtype):
        return np.asarray(pd.Index(known).get_indexer(pd.Index(values)), dtype=np.intp)
    if values is known:
        return first_equal(text_hashes(values))
    hashes = np.concatenate([text_hashes(known), text_hashes(values)])
    found = first_equal(hashes)[len(known) :]
    return np.where(found < len(known), found, -1)


def repeats(values: pd.Series) -> NDArray[np.intp]:
    """Positions (m,) at which a column says something again; texts by their hashes."""
    if isinstance(values.dtype, pd.StringDtype):
        first = first_equal(text_hashes(values))
        return np.flatnonzero(first != np.arange(len(first)))
    return np.flatnonzero(values.duplicated().to_numpy())
