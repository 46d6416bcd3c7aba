"""What was read, kept and left out, told and checked to add up; what of the texts may surprise."""

import logging
import re

import numpy as np
import pandas as pd

from mopo_pipeline.alike import first_equal, positions
from mopo_pipeline.columns import chunks, spelt
from mopo_pipeline.sources.raw import Counts, Unit
from mopo_pipeline.tables import SPLITS, chat_messages

log = logging.getLogger(__name__)

CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
NO_WORDS = '"content": "(?:[ \u00a0\u2000-\u200a\u3000]|\\\\[nrt])*"\\}\\]\\Z'
"""How a stored prompt ends whose last message says nothing; without ``\\s``, for which pandas takes texts into memory."""

NO_TEXT = ["nan", "NaN", "None", "null", "NULL", "<NA>", "#N/A", "undefined"]
"""What programs write where a text is missing."""

LONG, TIMES_THE_MEDIAN = 10_000, 50
"""Characters from which an answer is called long, if it is also so many times the median's."""


def account(
    where: str, read: dict[Unit, int], kept: dict[Unit, int], dropped: dict[Unit, Counts]
) -> dict[str, object]:
    """Rows read, kept and dropped by reason, for the report; a line of each is logged.

    Raises:
        RuntimeError: rows are missing without a reason.
    """
    counts: dict[str, object] = {}
    for unit, number in read.items():
        reasons = {r: n for r, n in dropped.get(unit, {}).items() if n > 0}
        if number != kept[unit] + sum(reasons.values()):
            raise RuntimeError(
                f"{where}: {number} {unit} read, but {kept[unit]} kept and {reasons} dropped"
            )
        counts[unit] = {"read": number, "kept": kept[unit], "dropped": sum(reasons.values())}
        log.info(
            "%s: %d %s read, %d kept, %d dropped",
            where,
            number,
            unit,
            kept[unit],
            number - kept[unit],
        )
    return counts


def told(kind: str, counts: Counts, where: str) -> Counts:
    """Counts above zero, each logged with its reason."""
    found = {reason: count for reason, count in counts.items() if count > 0}
    for reason, count in found.items():
        log.warning("%s: %s %d: %s", where, kind, count, reason)
    return found


def text_facts(responses: pd.DataFrame, where: str) -> dict[str, object]:
    """Length of the answers, the longest one's place, how many hold control characters, texts that say nothing; warns.

    Args:
        responses: checked responses, the index saying where they stand.
        where: the file or source.
    """
    lengths = responses["response"].str.len().to_numpy(dtype=np.int64)
    longest, median = int(lengths.argmax()), float(np.median(lengths))
    name = responses["response_id"].iloc[longest]
    if lengths[longest] > max(LONG, TIMES_THE_MEDIAN * median):
        told_of = f"answer {name} has {lengths[longest]} characters, the median {median:.0f}"
        log.warning("%s: %s: one such answer moves what is attainable; look at it", where, told_of)
    asked = responses["prompt"].str.len().to_numpy(dtype=np.int64)
    if asked.max() > max(LONG, TIMES_THE_MEDIAN * float(np.median(asked))):
        row = int(asked.argmax())
        log.warning(
            "%s: the prompt of answer %s has %d characters, over %d times the median: the context that a model needs is that "
            "of the longest; look at it",
            where,
            responses["response_id"].iloc[row],
            sum(len(said["content"]) for said in chat_messages(responses["prompt"].iloc[row])),
            TIMES_THE_MEDIAN,
        )
    control = int(responses["response"].str.contains(CONTROL).sum())
    if control:
        log.warning("%s: %d answers hold control characters; they are kept", where, control)
    silent = int((lengths == 0).sum() + responses["response"].str.isspace().sum())
    absent = responses["response"][responses["response"].isin(NO_TEXT)]
    if len(absent):
        log.warning(
            "%s: %d answers are the word a program writes for a missing text (%r); they are kept, as answers: leave such "
            "cells empty, or drop the rows",
            where,
            len(absent),
            absent.iloc[0],
        )
    unasked = int(responses["prompt"].str.contains(NO_WORDS).sum())
    if silent:
        log.warning("%s: %d answers are empty; they are kept, as answers", where, silent)
    if unasked:
        log.warning("%s: %d answers are to a prompt that is empty; they are kept", where, unasked)
    return {
        "characters_per_response": {
            "median": median,
            "max": int(lengths[longest]),
            "longest_response": str(name),
        },
        "responses_with_control_characters": control,
        "responses_to_empty_prompts": unasked,
    }


def repeated_pairs(judgements: pd.DataFrame, names: tuple[str, ...]) -> dict[str, int]:
    """Pairs judged more than once, those of them whose labels differ on some objective, and rows that repeat another one."""
    if judgements.empty:
        return {"pairs": 0, "contradicting": 0, "repeated": 0}
    ends = pd.concat([judgements["response_a"], judgements["response_b"]], ignore_index=True)
    a, b = positions(ends, ends).reshape(2, -1)
    pair = first_equal(np.minimum(a, b) * len(ends) + np.maximum(a, b))
    again = np.zeros(len(pair), dtype=np.bool_)
    later = pair != np.arange(len(pair))
    again[later] = again[pair[later]] = True
    labels = judgements.loc[again, list(names)].to_numpy(dtype=np.float64)
    turned = np.where((a > b)[again, None], 1.0 - labels, labels)
    spread = pd.DataFrame(turned).groupby(pair[again]).agg(["min", "max"])
    low, high = (spread.xs(end, axis=1, level=1).to_numpy() for end in ("min", "max"))
    votes = pd.DataFrame(turned).assign(pair=pair[again])
    votes["annotator"] = judgements.loc[again, "annotator"].to_numpy()
    return {
        "pairs": len(spread),
        "contradicting": int((high > low).any(axis=1).sum()),
        "repeated": int(votes.duplicated().sum()),
    }


def tell_repeats(count: int, judgements: pd.DataFrame, where: str) -> None:
    """Warn of rows that say of a pair what another one says, ``count`` of them."""
    if count:
        log.warning(
            "%s: %d rows say of a pair what another one says%s, and each counts as a vote: drop them, unless so many "
            "people said so",
            where,
            count,
            " by the same annotator" if judgements["annotator"].any() else "",
        )


_OF_A_WHOLE = re.compile(r"(?<=\d)\.0+$")
"""What another program writes behind a whole number where cells of its column are empty."""


def tell_other_spellings(names: pd.Series, what: str, where: str) -> None:
    """Warn of names, of people or groups, that differ in case, blanks or marks between words alone, and count as different.

    Args:
        names: cells as they are told apart; an empty one names nobody.
        what: whom or what they name.
        where: the file or source.
    """
    first: dict[str, str] = {}
    different = list(map(str, names.unique()))
    if nobody := [name for name in different if name in NO_TEXT]:
        log.warning(
            "%s: %r among the %s counts as a name: where it means nobody, leave the cell empty",
            where,
            nobody[0],
            what,
        )
    twins = [
        (first[key], name)
        for name in different
        if first.setdefault(key := _OF_A_WHOLE.sub("", spelt(name)), name) != name
    ]
    if twins:
        log.warning(
            "%s: %d names of %s are other spellings of an earlier one (%r and %r), and count as different: write them alike if "
            "they mean the same",
            where,
            len(twins),
            what,
            *twins[0],
        )


def table_facts(responses: pd.DataFrame, judgements: pd.DataFrame, where: str) -> dict[str, object]:
    """Sizes of the tables by split and per prompt."""
    per_prompt = responses.groupby("prompt_id").size()
    words = np.concatenate(
        [[len(text.split()) for text in c] for c in chunks(responses["response"])]
    )
    return {
        "source": where,
        "prompts": {
            s: int(responses.loc[responses["split"] == s, "prompt_id"].nunique()) for s in SPLITS
        },
        "responses": {s: int((responses["split"] == s).sum()) for s in SPLITS},
        "judgements": len(judgements),
        "responses_per_prompt": {"min": int(per_prompt.min()), "max": int(per_prompt.max())},
        "prompts_with_one_response": int((per_prompt == 1).sum()),
        "words_per_response": float(words.mean()),
        "empty_responses": int((words == 0).sum()),
    }
