"""Labels that other columns, or their own name, say mean another thing than they are read as: told, and read all the same."""

import logging
import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from mopo_pipeline.sources.pairs import SIDES
from mopo_pipeline.sources.raw import RANK_PREFIX
from mopo_pipeline.tables import SCORE_PREFIX

log = logging.getLogger(__name__)

LESS_IS_BETTER = re.compile(
    r"(^|[\W_])(rank|toxic|harmful|unsafe|error|loss|cost|perplex|violat|hallucinat|sever|risk|danger|offens|insult|"
    r"threat|profan|hate|bias|penalt|mistake|flaw|worst)",
    re.IGNORECASE,
)
"""How columns are called of which the lowest value may be the best."""

WHICH = {"id", "idx", "index", "choice", "which", "winner", "preferred", "better", "best", "chosen"}
"""Words by which a column says which answer won."""

FIRST_IS_NEGATIVE = {"overall_preference", "individual_preference", "preference_strength"}
"""Signed labels of published sets (HelpSteer) in which a negative one says that the first answer is better."""

WINNER = {"winner", "winners", "preference", "preferred", "choice", "vote", "votes", "better"}
"""Words by which a column beside two answers says which one won."""

A_TIE = {"tie", "ties", "tied", "draw", "bothbad"}
A_TURN = ("turn", "turns", "turn_id", "turn_idx", "turn_index")


def tell_turned(
    table: pd.DataFrame, columns: Mapping[str, str], names: tuple[str, ...], where: str
) -> None:
    """Warn of labels of pairs whose column is called as one of which 0, or a negative one, says that the first answer won.

    Args:
        table: pairs; columns under the names they are read by.
        columns: names here to names in the file.
        names: the objectives.
        where: the file.
    """
    first, second = (columns.get(side, side) for side in SIDES)
    own, other = _words(first) - _words(second), _words(second) - _words(first)
    if min(own, default="") > min(other, default=""):
        return  # the second of the file stands first here
    for name in (n for n in names if n in table and n in columns):
        there = columns[name]
        called = _words(there)
        if called & own:
            continue
        found = set(_numbers(table[name]).dropna().unique())
        signed = FIRST_IS_NEGATIVE & set(there.split(".")) and min(found, default=0.0) < 0.0
        index = found <= {0.0, 1.0} and (called & WHICH or (own, other) == ({"0"}, {"1"}))
        if signed or index or called & other:
            log.warning(
                "%s: a %s %s (%s) is read as %s (response_a) wins: where it says that %s does, exchange response_a and "
                "response_b in ingest.columns",
                where,
                "positive" if signed else "1 in",
                name,
                there,
                first,
                second,
            )


def tell_ties(table: pd.DataFrame, unread: list[str], names: tuple[str, ...], where: str) -> None:
    """Warn of columns that say which pairs tie, where no label of the pairs does."""
    ties = [column for column in unread if _words(column) & A_TIE]
    given = [_numbers(table[n]) for n in names if n in table]
    if ties and given and not any((values == 0.5).any() for values in given):
        log.warning(
            "%s: %s is not read, and no label is a tie: write 0.5 as the label of a tie, for 0 is read as response_b wins",
            where,
            " and ".join(ties),
        )


def tell_winner(unread: list[str], where: str) -> None:
    """Warn of a column that says who won, beside a choice that is read as always one's."""
    if told := [
        column for column in unread if _words(column) & WINNER and "score" not in column.lower()
    ]:
        log.warning(
            "%s: %s is not read, and the answer in the column chosen is read as the better one of every row: where it says which "
            "one won, map it to an objective (ingest.columns, ingest.values) and leave ingest.chosen out",
            where,
            " and ".join(told),
        )


def tell_marks_of_choice(table: pd.DataFrame, unread: list[str], where: str) -> None:
    """Warn of chosen answers whose own mark is not above the rejected one's, by columns such as ``score_chosen``."""
    for column in unread:
        mate = column.replace("chosen", "rejected")
        if mate == column or mate not in unread:
            continue
        chosen, rejected = (_numbers(table[c]) for c in (column, mate))
        equal, lower = int((chosen == rejected).sum()), int((chosen < rejected).sum())
        if equal or lower:
            log.warning(
                "%s: of %d rows %d have equal %s and %s, and of %d the chosen one is lower: each is read as a win of the chosen "
                "answer; drop them if they are ties",
                where,
                len(table),
                equal,
                column,
                mate,
                lower,
            )


def tell_turns(table: pd.DataFrame, unread: list[str], where: str) -> None:
    """Warn of rows that are later turns of conversations."""
    for column in (c for c in unread if c.lower() in A_TURN):
        if np.unique(table[column].astype(str)).size > 1:
            log.warning(
                "%s: %s differs from row to row and is not read: what was said before must stand in the column prompt, as "
                "messages, or answers to another conversation count as answers to the same prompt",
                where,
                column,
            )


def tell_direction(columns: Mapping[str, str], names: tuple[str, ...], where: str) -> None:
    """Warn of ratings that are called as what is better when there is less of it; ``columns`` are names here to names there."""
    for name in names:
        there = columns.get(name, columns.get(SCORE_PREFIX + name, name))
        if RANK_PREFIX + name not in columns and LESS_IS_BETTER.search(there):
            log.warning(
                "%s: of two ratings of %s (%s) the higher one wins; where less is better, set ingest.columns: {%s: %s}",
                where,
                name,
                there,
                RANK_PREFIX + name,
                there,
            )


def _numbers(column: pd.Series) -> pd.Series:
    """What numbers a column holds, NaN for all else; none where one is too large to be a float: it is refused where it is read."""
    try:
        return pd.to_numeric(column, errors="coerce")
    except OverflowError:
        return pd.Series(np.nan, index=column.index)


def _words(name: str) -> set[str]:
    """What a column's name is made of.

    >>> sorted(_words("human_ref_A"))
    ['a', 'human', 'ref']
    """
    return set(re.split(r"[\W_]+", name.lower()))
