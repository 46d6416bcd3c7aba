"""Answers kept on disk, a line each, so that what was paid for once is not asked for again."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.generation import Answer

log = logging.getLogger(__name__)


class KeptAnswers:
    """Answers to prompts under one model and setting, in ``<folder>/<hash of the setting>.jsonl``.

    Args:
        folder: of all such files; made if need be.
        setting: everything an answer depends on, but its prompt and number; JSON-ready.

    Attributes:
        file: where they are.
    """

    def __init__(self, folder: Path, setting: Mapping[str, Any]) -> None:
        said = json.dumps(setting, sort_keys=True)
        self.file = folder / f"{hashlib.sha256(said.encode()).hexdigest()[:24]}.jsonl"
        self._known: dict[tuple[str, int], Answer] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._read()
        except OSError as error:
            raise InputError(
                f"answers cannot be kept in {self.file} ({error.strerror}): name another place in engine.work_dir"
            ) from error

    def get(self, prompt: str, number: int) -> Answer | None:
        """The answer of that number to a stored prompt; None where it is not known."""
        return self._known.get((prompt_hash(prompt), number))

    def add(self, prompt: str, answers: Mapping[int, Answer]) -> None:
        """Write answers down, by number."""
        key = prompt_hash(prompt)
        lines = [
            json.dumps({"prompt": key, "number": number, **answer._asdict()}, ensure_ascii=False)
            for number, answer in answers.items()
        ]
        try:
            with self.file.open("a", encoding="utf-8", newline="\n") as file:
                file.write("".join(f"{line}\n" for line in lines))
        except OSError as error:
            raise InputError(
                f"answers cannot be written to {self.file} ({error.strerror}): make room, or name another place in "
                "engine.work_dir; what is there is taken up again"
            ) from error
        self._known |= {(key, number): answer for number, answer in answers.items()}

    def missing(self, prompts: list[str], n: int) -> dict[str, list[int]]:
        """Numbers of the answers that are not known, of ``n`` to every prompt, as often as it is repeated."""
        return {
            prompt: [j for j in range(n * times) if self.get(prompt, j) is None]
            for prompt, times in Counter(prompts).items()
        }

    def dealt(self, prompts: list[str], n: int) -> list[list[Answer]]:
        """``n`` answers to every prompt, none twice where a prompt is repeated; all are known."""
        given: Counter[str] = Counter()
        dealt = []
        for prompt in prompts:
            first = given[prompt]
            given[prompt] += n
            found = [self.get(prompt, first + j) for j in range(n)]
            dealt.append([answer for answer in found if answer is not None])
        return dealt

    def _read(self) -> None:
        """Take up what is there; a line that was cut off while it was written is left out, and asked again."""
        if not self.file.is_file():
            return
        text = self.file.read_text(encoding="utf-8", errors="replace")
        broken = 0
        for line in filter(
            None, text.split("\n")
        ):  # an answer may hold what Unicode calls an end of a line
            try:
                one = json.loads(line)
                place = str(one["prompt"]), int(one["number"])
                self._known[place] = Answer(
                    str(one["text"]), bool(one["ended"]), bool(one.get("withheld"))
                )
            except (ValueError, KeyError, TypeError):
                broken += 1
        if broken:
            log.info(
                "%s: %d lines are not whole; their answers are asked for again", self.file, broken
            )
        if text and not text.endswith("\n"):
            with self.file.open("a", encoding="utf-8") as file:
                file.write("\n")


def prompt_hash(prompt: str) -> str:
    """What a stored prompt is called in the file."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:32]


def beside_the_cache() -> Path:
    """Where they are kept unless a place is named."""
    from huggingface_hub.constants import HF_HOME

    return Path(HF_HOME) / "mopo_pipeline" / "answers"
