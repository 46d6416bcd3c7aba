"""How long things are in tokens: the run's one context, and how long an answer may get."""

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.tokens import EncodedRows, encode
from mopo_pipeline.mopo.diagnosis.findings import Finding, Severity
from mopo_pipeline.tables import prompt_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)

MAX_CUT = 0.05
"""Share of cut answers from which what is learned and judged is no longer the data's answers."""

ENDED = "ended"
"""Column of responses and completions: whether who wrote an answer ended it; all did where it is absent."""

WITHHELD = "withheld"
"""Column of completions: whether a filter of the server held an answer back, in whole or in part; none was where it is absent."""


class Lengths(NamedTuple):
    """Tokens of a data set: its longest prompt, its answers, the context that is to hold both."""

    prompt: int
    answer: int
    context: int


def ended_column(table: pd.DataFrame) -> list[bool]:
    """Per row whether the answer was ended by who wrote it."""
    return [True] * len(table) if ENDED not in table else table[ENDED].astype(bool).tolist()


def cut_column(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Per row (n,) whether the answer was cut at its greatest length."""
    cut = ~np.array(ended_column(table), dtype=np.bool_)
    return cut & ~table[WITHHELD].to_numpy(dtype=np.bool_) if WITHHELD in table else cut


def typical_longest(lengths: NDArray[np.int64]) -> int:
    """The longest of the lengths, or twice what 99 of 100 stay below where a few are far longer.

    >>> typical_longest(np.array([3, 5, 9])), typical_longest(np.array([10] * 200 + [5000]))
    (9, 20)
    """
    return int(min(lengths.max(), 2 * np.quantile(lengths, 0.99)))


def model_limit(config: object) -> int | None:
    """Tokens a model's positions reach; None where its configuration names no limit."""
    limit = getattr(config, "max_position_embeddings", None)
    return None if limit is None else int(limit)


def encode_all(tokenizer: "PreTrainedTokenizerBase", responses: pd.DataFrame) -> EncodedRows:
    """Every response whole."""
    return encode(
        tokenizer,
        responses["prompt"].tolist(),
        responses["response"].tolist(),
        None,
        ended_column(responses),
    )


def measure(rows: EncodedRows, limit: int | None, wanted: int | None) -> Lengths:
    """Lengths of whole rows, and the context: ``wanted``, or what they need and the model has."""
    prompt = int(rows.prompt_lengths.max())
    answer = typical_longest(rows.response_lengths)
    needed = prompt + answer
    return Lengths(prompt, answer, wanted or min(needed, limit or needed))


def check_context(
    rows: EncodedRows, prompts: list[str], lengths: Lengths, limit: int | None
) -> None:
    """Refuse a context longer than the model's, and prompts that leave no room for an answer.

    Args:
        rows: whole.
        prompts: stored prompt of each row.
        lengths: of the rows.
        limit: of the model.

    Raises:
        InputError: names the context, or the longest prompt.
    """
    if limit is not None and lengths.context > limit:
        raise InputError(
            f"reference.context is {lengths.context}, but the model's context is {limit} tokens: lower it"
        )
    if lengths.prompt >= lengths.context:
        longest = prompts[int(rows.prompt_lengths.argmax())]
        full = rows.prompt_lengths >= lengths.context
        count = len({p for p, over in zip(prompts, full, strict=True) if over})
        raise InputError(
            f"the prompt {prompt_text(longest)[:40]!r}... takes {lengths.prompt} tokens and leaves no room for a response "
            f"in a context of {lengths.context} ({count} of {len(set(prompts))} prompts): raise reference.context or drop "
            "them"
        )


def check_room(name: str, tokens: int | None, prompt: int, room: int | None) -> None:
    """Refuse answers for which the longest prompt leaves no room.

    Args:
        name: what the parameter is called.
        tokens: longest answer; None is one that fits.
        prompt: longest prompt, tokens.
        room: tokens there are; None without a limit.

    Raises:
        InputError: names the parameter.
    """
    if tokens is not None and room is not None and prompt + tokens > room:
        raise InputError(
            f"{name} is {tokens}, but the longest prompt takes {prompt} of {room} tokens: lower it to {room - prompt} or "
            "less, drop the longest prompts, or raise reference.context as far as the model allows"
        )


def cut_finding(
    cut: NDArray[np.bool_], what: str, remedy: str, worst: Severity = "error"
) -> list[Finding]:
    """What to say of answers that were not ended by who wrote them, or not read to their end: nothing where none was cut.

    Args:
        cut: (n,) per answer.
        what: answers these are.
        remedy: what to change.
        worst: how severe it is where many are cut.
    """
    share = float(np.mean(cut)) if len(cut) else 0.0
    if share == 0:
        return []
    name = f"{what} cut short"
    return [Finding(name, share, MAX_CUT, remedy, worst if share > MAX_CUT else "info")]


def tell_read_in_part(cut: NDArray[np.bool_], encoder: str) -> None:
    """Log how many answers (n,) are longer than an encoder reads."""
    remedy = "it does not see their ends: raise preferences.win_rates.model.max_length, or name an encoder that reads more"
    tell(cut_finding(cut, f"answers read by {encoder}", remedy, "warning"))


def tell(findings: list[Finding]) -> None:
    """Log findings as loudly as they are severe."""
    levels = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO}
    for finding in findings:
        log.log(levels[finding.severity], "%s", finding)
