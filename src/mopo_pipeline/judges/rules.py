"""Measurable rules for free text: brevity, sentiment, readability, cleanliness.

Anyone can check them on a fresh generation. Each rule is one number per text, higher better; the
libraries behind three of them are imported when the rule is first used.
"""

import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import ModuleType

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.judges.base import Link

_MARKUP = re.compile(
    r"<\|[^|>]*\|>"  # control tokens of a chat template
    r"|</?[a-zA-Z][^>]{0,80}>"  # HTML tags
    r"|&[a-z]{2,8};"  # HTML entities
    r"|\[/?INST\]"
    r"|^\s*(?:user|assistant|system)\s*:?\s*$"  # leaked role names
    r"|�",  # undecodable bytes
    re.IGNORECASE | re.MULTILINE,
)

_SENTENCE_END = re.compile(r"[.!?]+(?=\s|$)")

_WORD = re.compile(r"\w+(?:'\w+)?")


def brevity(text: str) -> float:
    """Minus the number of words; an empty text counts as infinitely long, -1000.

    >>> brevity("three short words")
    -3.0
    """
    words = len(text.split())
    return -float(words) if words else -1000.0


def sentiment(text: str) -> float:
    """VADER's compound sentiment in [-1, 1]: positive is friendly (Hutto and Gilbert, 2014)."""
    return float(_analyser().polarity_scores(text)["compound"])


def readability(text: str) -> float:
    """Flesch reading ease, clipped to [-100, 121]: 121 is the easiest, an empty text scores -100.

    Syllables are counted by hyphenation points (pyphen), which need no download.

    >>> readability("The cat sat on the mat.") > readability("Institutional considerations prevail.")
    True
    """
    words = _WORD.findall(text)
    if not words:
        return -100.0
    sentences = max(1, len(_SENTENCE_END.findall(text.strip())))
    syllables = sum(1 + len(_hyphens().positions(word)) for word in words)
    value = 206.835 - 1.015 * len(words) / sentences - 84.6 * syllables / len(words)
    return float(np.clip(value, -100.0, 121.0))


def cleanliness(text: str) -> float:
    """Minus the number of flaws: profane words, stray markup, repeated phrases; 0 is clean.

    A phrase of four words counts each time it returns.

    >>> repeated_phrases("go to the shop and go to the shop now")
    1
    """
    if not text.strip():
        return -10.0
    return -float(profane_words(text) + len(_MARKUP.findall(text)) + repeated_phrases(text))


def profane_words(text: str) -> int:
    """Words censored by better-profanity's list."""
    filter_ = _need("better_profanity").profanity
    return sum(filter_.contains_profanity(word) for word in _WORD.findall(text))


def repeated_phrases(text: str, length: int = 4) -> int:
    """How many runs of ``length`` words already stood earlier in the text."""
    words = [w.lower() for w in _WORD.findall(text)]
    phrases = [tuple(words[i : i + length]) for i in range(len(words) - length + 1)]
    return len(phrases) - len(set(phrases))


RULES: dict[str, Callable[[str], float]] = {
    "brevity": brevity,
    "sentiment": sentiment,
    "readability": readability,
    "cleanliness": cleanliness,
}


class TextRules:
    """Judges text by the named rules; the higher score wins, equal scores tie."""

    name = "rules"
    link: Link = "step"

    def __init__(self, objectives: tuple[str, ...]) -> None:
        unknown = [o for o in objectives if o not in RULES]
        if unknown:
            raise InputError(f"there is no rule {unknown[0]!r}; the rules are {sorted(RULES)}")
        self.objectives = objectives

    def scores(self, prompts: list[str], responses: list[str]) -> Array:
        """One rule per column, (n, K), higher better; prompts are not looked at."""
        table = [[RULES[name](text) for name in self.objectives] for text in responses]
        return np.array(table, dtype=np.float64).reshape(len(responses), len(self.objectives))


@cache
def _need(module: str) -> ModuleType:
    try:
        loaded = import_module(module)
    except ImportError as error:
        raise InputError(
            f"the text rules need {module!r}, which is not installed: "
            "pip install 'mopo_pipeline[smollm2]'"
        ) from error
    if module == "better_profanity":
        loaded.profanity.load_censor_words()
    return loaded


@cache
def _hyphens():  # type: ignore[no-untyped-def]
    return _need("pyphen").Pyphen(lang="en_US")


@cache
def _analyser():  # type: ignore[no-untyped-def]
    return _need("vaderSentiment.vaderSentiment").SentimentIntensityAnalyzer()
