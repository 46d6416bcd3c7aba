"""How often a test split was looked at, and what is left of a level after that (method.md, section 11).

Every certificate computed on a split is a look at it: whoever changes the policy, the plan or a threshold
after a look and asks again has two chances to be lucky. The level is shared out, so that all looks
together are wrong as rarely as one alone.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from mopo_pipeline.errors import InputError, MopoError
from mopo_pipeline.locks import HeldError, held

FILE = "looks.json"
SKETCH = 64
"""Prompts kept of a split, those of the smallest hashes: two splits that share a twentieth share one of them at 96 %."""

PATIENCE = 30.0
"""Seconds to wait for another run that writes down its look."""


class DamagedLooksError(MopoError, ValueError):
    """The record of looks cannot be read, so nobody knows how many there were."""


@dataclass(frozen=True)
class Look:
    """One look at a test split.

    Attributes:
        number: which one it is, from 1; the same question has the same number again.
        total: how many different ones the split, or one that shares prompts with it, has carried, this one included.
        least: confidence that the least sure of them was asked at, as far as they say.
    """

    number: int
    total: int
    least: float = 1.0


def split_fingerprint(responses: pd.DataFrame, comparisons: pd.DataFrame) -> str:
    """Content hash of the test split, 16 hex digits: prompts, responses and labels in any order, whatever they are called.

    Args:
        responses: with response_id, prompt, response and split.
        comparisons: labelled pairs with their split; every column but the ids counts.
    """
    test = responses.loc[responses["split"] == "test"]
    said = pd.util.hash_pandas_object(test[["prompt", "response"]], index=False)
    of = dict(zip(test["response_id"], said, strict=True))
    pairs = comparisons.loc[comparisons["split"] == "test"].drop(columns=["split", "prompt_id"])
    pairs = pairs.assign(**{side: pairs[side].map(of) for side in ("response_a", "response_b")})
    digest = hashlib.sha256()
    for rows in (said, pd.util.hash_pandas_object(pairs[sorted(pairs.columns)], index=False)):
        digest.update(rows.sort_values().to_numpy().tobytes() + b"|")
    return digest.hexdigest()[:16]


def prompt_sketch(responses: pd.DataFrame) -> tuple[str, ...]:
    """The test split's prompts by which one with some prompts or labels more is known again: at most ``SKETCH`` hashes."""
    prompts = responses.loc[responses["split"] == "test", "prompt"].drop_duplicates()
    smallest = pd.util.hash_pandas_object(prompts, index=False).nsmallest(SKETCH)
    return tuple(f"{value:016x}" for value in smallest)


def question(**facts: Any) -> str:
    """Hash of what was asked: the policy, what was planned, and how it is measured."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class LooksFile:
    """The record of looks in a folder of its own.

    Attributes:
        folder: holds ``looks.json``; made when the first look is written down.
    """

    folder: Path

    @property
    def path(self) -> Path:
        """Where the record lies."""
        return self.folder / FILE

    def take(self, split: str, asked: str, prompts: Sequence[str] = (), **told: Any) -> Look:
        """Write down a look before its result is known, and say which one it is.

        Args:
            split: fingerprint of the test split.
            asked: fingerprint of the question; one asked before is the same look.
            prompts: ``prompt_sketch`` of the split; looks at others that share any are looks at this one.
            told: what a reader of the record may want to know; of it the ``confidence`` is read again.

        Raises:
            DamagedLooksError: the record is no record; nothing is written.
            InputError: another run holds the record.
        """
        try:
            with held(self.folder, PATIENCE, does="counts looks at a test split"):
                looks = self._read()
                of_split = looks.setdefault(split, [])
                numbers = {
                    look["asked"]: look.get("number", i + 1) for i, look in enumerate(of_split)
                }
                others = _of_others(looks, split, prompts)
                total = len(of_split) + len(others)
                if asked not in numbers:
                    numbers[asked] = total = total + 1
                    when = datetime.now(UTC).isoformat(timespec="seconds")
                    record = {
                        "asked": asked,
                        "when": when,
                        "number": total,
                        "prompts": list(prompts),
                    }
                    of_split.append(record | told)
                    self._write(looks)
        except HeldError as error:
            raise InputError(
                f"{self.folder} is held by {error}: wait until that run has ended and run "
                "kedro run --from-nodes=evaluate.certify"
            ) from None
        least = min(float(look.get("confidence", 1.0)) for look in (*of_split, *others))
        return Look(numbers[asked], total, least)

    def _read(self) -> dict[str, list[dict[str, Any]]]:
        if not self.path.exists():
            return {}
        try:
            looks = json.loads(self.path.read_text(encoding="utf-8"))
            for of_split in looks.values():
                _check([str(look["asked"]) for look in of_split])
                _check([int(look["number"]) for look in of_split if "number" in look])
                _levels([float(look["confidence"]) for look in of_split if "confidence" in look])
        except (OSError, ValueError, AttributeError, TypeError, KeyError) as error:
            raise DamagedLooksError(
                f"{self.path} is damaged ({type(error).__name__}), so nobody knows how often this test split was looked "
                "at: put back a copy of it, or delete it if nobody has looked at this split before, or draw new test "
                "prompts; then kedro run --from-nodes=evaluate.certify"
            ) from error
        return dict(looks)

    def _write(self, looks: Mapping[str, Any]) -> None:
        staging = self.path.with_name(f".{FILE}.tmp")
        staging.write_text(json.dumps(looks, indent=1) + "\n", encoding="utf-8")
        os.replace(staging, self.path)


def _of_others(
    looks: Mapping[str, list[dict[str, Any]]], split: str, prompts: Sequence[str]
) -> list[dict[str, Any]]:
    """Looks at other splits that share a prompt with this one."""
    own = set(prompts)
    others = (look for name, of_split in looks.items() if name != split for look in of_split)
    return [look for look in others if not own.isdisjoint(look.get("prompts", ()))]


def _check(asked: Sequence[str | int]) -> None:
    if len(set(asked)) != len(asked):
        raise ValueError("a look is written down twice")


def _levels(confidences: Sequence[float]) -> None:
    if not all(0.0 < confidence < 1.0 for confidence in confidences):
        raise ValueError("a confidence is no probability")
