"""What the end of a run means in words, and the one command that is worth trying next."""

import math
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from mopo_pipeline.evaluation.certificate import Certificate
from mopo_pipeline.pareto.verdicts import (
    HELD,
    HELD_WITHIN_NOISE,
    MISSED,
    MISSED_WITHIN_NOISE,
    UNDECIDED,
)
from mopo_pipeline.plan.power import WIDTH

ROOM = 0.005
"""Win rate aimed at beyond what was short: training is not exact either."""

FROM_PLAN = "--from-nodes=plan.plan_training"
"""From where a run is made again when what it aims at has changed."""


def meaning(summary: Mapping[str, Any]) -> list[str]:
    """One sentence per threshold that does not hold for sure, undecided ones first, then the worst, or what a certificate takes.

    Where errors make the result worthless they are what to mend, and nothing else is advised. A certificate needs no
    words, even where the table's two-sided interval does not reach a threshold that its one-sided bound does.
    """
    if summary["certified"] is not False:
        return []
    rows = sorted(_constrained(summary), key=lambda row: (not _undecided(row), _room(row)))
    told = (_of_threshold(row, summary["drawn"], remedy=not summary["errors"]) for row in rows)
    lines = [text for text in told if text]
    if not lines and not summary["errors"]:
        lines = [text for row in rows for text in row["helps"]][:1]
    return lines


def next_step(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """Options of the run that is worth trying next; empty where only a person can say.

    While a judge cannot tell of one threshold no policy is worth training: it would be judged by the same.
    """
    if summary["errors"]:
        return ()
    if summary["certified"] is not False:
        return ("--pipelines=export",)
    rows = [row for row in _constrained(summary) if row["achieved"] is not None]
    short = sorted((row for row in rows if row["verdict"] != HELD), key=_room)
    if not short or any(_undecided(row) for row in short):
        return ()
    return (FROM_PLAN, "--params=" + ",".join(_remedy(row) for row in short))


def still_open(
    foreseen: Iterable[dict[str, Any]], certificate: Certificate
) -> list[dict[str, Any]]:
    """Findings made before training, less those that feared no decision on a threshold which came out as held."""
    settled = {f"{WIDTH}: {one.objective}" for one in certificate.thresholds if one.verdict == HELD}
    return [finding for finding in foreseen if finding["name"] not in settled]


def joined(command: str, options: tuple[str, ...]) -> str:
    """A command with further options; what it says of parameters already comes first, in one ``--params``.

    >>> joined("kedro run --env=mine --params=data_root=x", ("--params=plan.tau=0.2",))
    'kedro run --env=mine --params=data_root=x,plan.tau=0.2'
    >>> joined("kedro run --params=plan.thresholds.Tone2=0.4,data_root=x", ("--params=plan.thresholds.Tone2=0.5",))
    'kedro run --params=plan.thresholds.Tone2=0.5,data_root=x'
    """
    words, given = [], []
    for word in (*shlex.split(command), *options):
        if word.startswith("--params="):
            given.append(word.removeprefix("--params="))
        else:
            words.append(word)
    merged = {
        part.split("=")[0]: part for part in re.split(r",(?=[^\W\d][\w.-]*=)", ",".join(given))
    }
    if given:
        words.append("--params=" + ",".join(merged.values()))
    return shlex.join(words)


def _constrained(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [row for row in summary["objectives"] if row["role"] != "primary"]


def _undecided(row: Mapping[str, Any]) -> bool:
    return (row["verdict"] or "").startswith(UNDECIDED)


def _room(row: Mapping[str, Any]) -> float:
    known = row["achieved"] is not None and row["threshold"] is not None
    return row["achieved"] - row["threshold"] if known else math.inf


def _of_threshold(row: Mapping[str, Any], drawn: str, *, remedy: bool) -> str:
    """What happened to one threshold, and a remedy where one is wanted; empty where it holds."""
    name, verdict, achieved, asked = (row[k] for k in ("name", "verdict", "achieved", "threshold"))
    if _undecided(row):
        helps = row["helps"][:1] if remedy else []
        return "; ".join((f"{name} is undecided, which no training changes", *helps)) + "."
    if achieved is None or verdict not in (HELD_WITHIN_NOISE, MISSED, MISSED_WITHIN_NOISE):
        return ""
    said = f"{name} {_short(achieved)} for {_short(asked)}"
    if verdict == HELD_WITHIN_NOISE:
        return f"{said}: held, by less than {row['n']} {drawn} can tell."
    lost, planned = row["planned"] - achieved, row["planned"]
    noise = "" if verdict == MISSED else f", within what the {drawn} can tell"
    if lost > 0:
        said += f": training lost {_short(lost)} of the planned {_short(planned)}{noise}"
    else:
        said += f": as planned ({_short(planned)}), but below the threshold{noise}"
    return f"{said}; {_what_to_do(row)}." if remedy else f"{said}."


def _what_to_do(row: Mapping[str, Any]) -> str:
    if _reachable(row):
        return (
            f"aim higher with {_remedy(row)}, or train longer (train.fit.steps, train.fit.epochs)"
        )
    return f"it lies at the end of what these data attain: ask for less with {_remedy(row)}, or add labels"


def _remedy(row: Mapping[str, Any]) -> str:
    """The parameter that makes up for what was short of a sure threshold."""
    short = row["threshold"] - (row["ci_low"] if row["ci_low"] is not None else row["achieved"])
    if _reachable(row):
        margin = (row["margin"] or 0.0) + max(short, 0.0) + ROOM
        return f"plan.margins.{row['name']}={_up(margin)}"
    lower = math.floor((row["threshold"] - max(short, 0.0) - ROOM) * 1000) / 1000
    return f"plan.thresholds.{row['name']}={max(lower, 0.0):.3f}"


def _reachable(row: Mapping[str, Any]) -> bool:
    """Whether what was short can be planned for on top."""
    low = row["ci_low"] if row["ci_low"] is not None else row["achieved"]
    aim = row["threshold"] + (row["margin"] or 0.0) + max(row["threshold"] - low, 0.0) + ROOM
    return row["attainable_high"] is None or aim < row["attainable_high"]


def _up(value: float) -> str:
    return f"{math.ceil(round(value * 1000, 6)) / 1000:.3f}"


def _short(value: float) -> str:
    """Three digits without the leading zero.

    >>> _short(0.486), _short(1.0)
    ('.486', '1.000')
    """
    return f"{value:.3f}".removeprefix("0")
