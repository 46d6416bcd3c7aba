"""Cells as a file gives them, turned into text or numbers; what is neither is refused by its place."""

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.errors import InputError
from mopo_pipeline.paged import CHUNK, paged_texts

Cell = TypeVar("Cell")

PLACES = ("line", "row")
"""Index names of tables that know where their rows stand in a file, counted from 1."""

PLACE = "place"
"""Index name of tables whose index says it in words: ``line 3 of votes.csv``."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NESTED = r"^[\x00-\x20\x7f-\x{10ffff}]*[\[{]"
"""How lists and objects of JSON begin: after white space, of which Unicode has more than ASCII."""
_OTHER_NUMBERS = (
    (re.compile(r"[+-]?\d+,\d+"), "write the decimal point as '.'"),
    (re.compile(r"[+-]?[\d.,]+ ?[%‰]"), "write it without the sign, as a number: 80 % as 0.8"),
    (
        re.compile(r"[+-]?[\d.,]+ ?(/|out of|von) ?\d+"),
        "write it as one number: 4/5 as 0.8 or as 4",
    ),
    (re.compile(r"true|false|yes|no|y|n|t|f", re.IGNORECASE), "write 1 for yes and 0 for no"),
    (
        re.compile(
            r"((response|answer|model|assistant|option)[ _-]?)?[ab12]([-_ ](is|wins|much|slightly|clearly|better)\b.*)?|"
            r"left|right|(tie|draw|both|neither|same|equal)\b.*",
            re.IGNORECASE,
        ),
        "write 1 where response_a wins, 0 where response_b does, 0.5 for a tie",
    ),
    (
        re.compile(r"\[\[[abc]\]\]|a ?[<>=]{1,2} ?b", re.IGNORECASE),
        "write 1 where A, the first answer, wins, 0 where B does, 0.5 for a tie",
    ),
    (
        re.compile(r"chosen|rejected", re.IGNORECASE),
        "write 1 where the chosen answer wins, 0 where the rejected one does, 0.5 for a tie",
    ),
)
"""How people write numbers and winners that are no numbers here, and what to do."""


NESTED = (list, tuple, dict, np.ndarray)
INSIDE = "name what is meant inside it by a path in ingest.columns, as question.text, answers.0 or votes.*.better"
"""What to do about lists and objects where one text or number is meant."""

_TRUTHS = {"": None, "true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def place(table: pd.DataFrame | pd.Series, row: int) -> str:
    """Where the row at this position stands, as a person counts: ``line 3`` or ``row 3``.

    >>> place(pd.DataFrame({"a": [1, 2]}), 0)
    'row 1'
    >>> place(pd.DataFrame({"a": [1, 2]}, index=pd.Index([2, 4], name="line")), 1)
    'line 4'
    """
    if table.index.name == PLACE:
        return str(table.index[row])
    if table.index.name in PLACES:
        return f"{table.index.name} {table.index[row]}"
    return f"row {row + 1}"


def convert_column(
    table: pd.DataFrame, column: str, where: str, convert: Callable[[Any], Cell]
) -> list[Cell]:
    """Convert every cell of a column.

    Raises:
        InputError: what ``convert`` refuses, with file, place and column before it.
    """
    converted = []
    for row, value in enumerate(table[column]):
        try:
            converted.append(convert(value))
        except InputError as error:
            raise InputError(f"{where}: {place(table, row)}, column {column}: {error}") from None
    return converted


def text_column(
    table: pd.DataFrame,
    column: str,
    where: str,
    convert: Callable[[Any], str],
    *,
    keeps_text: bool = False,
) -> pd.Series:
    """Convert a column to text, index kept; a column of text that stays as it is is not copied.

    Args:
        table: cells as written.
        column: its name.
        where: the file.
        convert: a cell's text.
        keeps_text: ``convert`` returns a text as it is, unless it begins as JSON's lists and objects do.

    Raises:
        InputError: what ``convert`` refuses, with file, place and column before it.
    """
    cells = table[column]
    if not isinstance(cells.dtype, pd.StringDtype):
        return pd.Series(convert_column(table, column, where, convert), cells.index, dtype="str")
    if not keeps_text:
        remembered = lru_cache(maxsize=CHUNK)(convert)
        return _by_parts(cells, lambda part: _converted(part, where, remembered))
    if not _missing_or_nested(cells).any():
        return cells

    def kept(part: pd.Series) -> pd.Series:
        unusual = np.flatnonzero(_missing_or_nested(part))
        if len(unusual):
            part = part.copy()
            part.iloc[unusual] = _converted(part.iloc[unusual], where, convert)
        return part

    return _by_parts(cells, kept)


def _by_parts(cells: pd.Series, change: Callable[[pd.Series], pd.Series]) -> pd.Series:
    """A column of text of which CHUNK cells at a time were changed."""
    parts = (change(cells.iloc[i : i + CHUNK]) for i in range(0, len(cells), CHUNK))
    return pd.Series(paged_texts(parts), cells.index, name=cells.name)


def _converted(cells: pd.Series, where: str, convert: Callable[[Any], str]) -> pd.Series:
    given = cells.astype(object).to_frame()
    return pd.Series(
        convert_column(given, str(cells.name), where, convert), cells.index, dtype="str"
    )


def _missing_or_nested(texts: pd.Series) -> NDArray[np.bool_]:
    """Cells (n,) that are missing or may be a list or an object in JSON, seen without making them Python's."""
    return matching(texts, _NESTED, missing=True)


def matching(texts: pd.Series, pattern: str, *, missing: bool) -> NDArray[np.bool_]:
    """Which texts (n,) a regular expression of Arrow's is found in, none of them made Python's; ``missing`` of missing ones."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = [np.empty(0, dtype=np.bool_)]
    for start in range(0, len(texts), CHUNK):
        cells = pa.array(texts.iloc[start : start + CHUNK].array)
        nested = pc.fill_null(pc.match_substring_regex(cells, pattern), missing)
        parts.append(nested.to_numpy(zero_copy_only=False))
    return np.concatenate(parts)


def label_column(cells: pd.Series) -> pd.Series:
    """A column whose cells only tell things apart: ``label`` of each."""
    if isinstance(cells.dtype, pd.StringDtype):
        return cells.fillna("")
    return pd.Series([label(cell) for cell in cells], cells.index, dtype="str")


def chunks(texts: pd.Series) -> Iterator[NDArray[np.object_]]:
    """Cells (CHUNK,) at a time as Python's, so that never all of a column are."""
    for start in range(0, len(texts), CHUNK):
        yield texts.iloc[start : start + CHUNK].to_numpy(dtype=object)


def number_column(table: pd.DataFrame, column: str, where: str) -> NDArray[np.float64]:
    """A column of numbers as (n,) float64, NaN where a cell is empty."""
    if table[column].dtype.kind in "iuf":
        numbers = table[column].to_numpy(dtype=np.float64)
        if not np.isinf(numbers).any():
            return numbers
    return np.array(convert_column(table, column, where, number), dtype=np.float64)


def nearest(name: str, known: Iterable[Any]) -> str:
    """What somebody may have meant, for the end of a message; empty where nothing is near.

    >>> nearest("helpfull", ["prompt", "helpful"])
    " (did you mean 'helpful'?)"
    """
    others = [str(k) for k in known]
    if twins := [k for k in others if k != name and composed(k) == composed(name)]:
        return (
            f" ({twins[0]!r} looks the same and is encoded otherwise: write both in Unicode's NFC)"
        )
    found = difflib.get_close_matches(name, others, n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def composed(name: str) -> str:
    """A name in Unicode's composed form (NFC), in which what looks the same mostly is the same."""
    return unicodedata.normalize("NFC", name)


def spelt(name: str) -> str:
    """What two names have in common that differ in case, white space, ``-``, ``_`` and Unicode's form alone.

    >>> spelt(" Prompt-ID"), spelt("prompt_id")
    ('prompt_id', 'prompt_id')
    """
    return re.sub(r"[\s_-]+", "_", composed(name).strip().casefold())


def is_missing(value: Any) -> bool:
    """None, NaN and pandas' NA are missing; lists and texts never are."""
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)


def text(value: Any) -> str:
    """A cell meant as text. Digits stay as they are written; whole numbers of JSON become their digits.

    >>> text("007"), text(7)
    ('007', '7')

    Raises:
        InputError: missing, a number with a fraction, a truth value, a list, half a surrogate pair.
    """
    if is_missing(value):
        raise InputError("missing value; fill it or drop the row")
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise InputError(f"{value[:40]!r} holds half a surrogate pair; write whole characters")
        return value
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(value)
    written = isinstance(value, float | bool)
    remedy = "put it in quotation marks" if written else "store the column as text"
    if isinstance(value, NESTED):
        remedy = INSIDE
    raise InputError(f"{str(value)[:60]!r} is a {type(value).__name__}, not text; {remedy}")


def label(value: Any) -> str:
    """A cell that only tells things apart, such as an annotator's name: empty where missing, half a surrogate pair as its escape.

    >>> label(7), label(7.0), label(None)
    ('7', '7', '')
    """
    whole = isinstance(value, float) and value.is_integer()
    told = "" if is_missing(value) else str(int(value) if whole else value)
    return told if told.isascii() else told.encode("utf-8", "backslashreplace").decode("utf-8")


def number(value: Any) -> float:
    """A cell meant as a finite number; NaN where it is empty.

    >>> number("0.5"), number(True), number("")
    (0.5, 1.0, nan)

    Raises:
        InputError: any other text, a list, infinity.
    """
    if is_missing(value):
        return float("nan")
    if isinstance(value, str):
        return _parse(value.strip(), value)
    if not isinstance(value, bool | np.bool_ | int | float | np.number | Decimal):
        remedy = f"; {INSIDE}" if isinstance(value, NESTED) else ""
        raise InputError(f"{str(value)[:60]!r} is a {type(value).__name__}, not a number{remedy}")
    try:
        return _finite(float(value), value)
    except OverflowError:
        raise InputError(f"{str(value)[:20]}... is too large a number") from None


def truth(value: Any) -> bool | None:
    """A cell meant as yes or no; None where it is empty.

    >>> truth("True"), truth(0), truth("")
    (True, False, None)

    Raises:
        InputError: anything else than true or false, 1 or 0.
    """
    told = "" if is_missing(value) else str(value).strip().lower()
    if told not in _TRUTHS:
        raise InputError(f"{str(value)[:60]!r} is neither true nor false")
    return _TRUTHS[told]


def _parse(stripped: str, value: str) -> float:
    if not stripped:
        return float("nan")
    if _NUMBER.fullmatch(stripped):
        return _finite(float(stripped), value)
    meant = (hint for form, hint in _OTHER_NUMBERS if form.fullmatch(stripped))
    hint = next(meant, "leave it empty where it is unknown")
    raise InputError(f"{value[:60]!r} is not a number; {hint}")


def _finite(converted: float, value: Any) -> float:
    if not np.isfinite(converted):
        raise InputError(f"{value!r} is not finite; leave it empty where it is unknown")
    return converted
