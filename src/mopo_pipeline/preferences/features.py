"""What the preference model sees of a prompt and a response: word counts, or a frozen encoder."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.tables import chat_messages

Features = NDArray[np.float32]

_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class WordFeatures:
    """Counts of known words: those of the response, beside whether each stands in the prompt."""

    vocabulary: tuple[str, ...]

    @classmethod
    def fit(cls, prompts: list[str], responses: list[str], max_words: int) -> "WordFeatures":
        """Keep the most frequent words, ties in alphabetical order."""
        counts: Counter[str] = Counter()
        for text in [*responses, *map(_plain, prompts)]:
            counts.update(_words(text))
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        return cls(tuple(ranked[:max_words]))

    def __call__(self, prompts: list[str], responses: list[str]) -> Features:
        """(n, 2 * words) float32."""
        index = {word: i for i, word in enumerate(self.vocabulary)}
        size = len(index)
        table = np.zeros((len(responses), 2 * size), dtype=np.float32)
        for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
            for word in _words(response):
                if word in index:
                    table[row, index[word]] += 1.0
            for word in _words(_plain(prompt)):
                if word in index:
                    table[row, size + index[word]] = 1.0
        return table

    def unknown_share(self, texts: list[str]) -> float:
        """Share of the texts' words outside the vocabulary, in [0, 1]; 0 where there is no word."""
        known = set(self.vocabulary)
        words = [word for text in texts for word in _words(text)]
        return sum(word not in known for word in words) / max(len(words), 1)

    def state(self) -> dict[str, Any]:
        """JSON-ready description, enough to rebuild the features."""
        return {"kind": "words", "vocabulary": list(self.vocabulary)}


@dataclass(frozen=True)
class EncoderFeatures:
    """Mean hidden state of a frozen pretrained model over the response's tokens."""

    encoder: str
    max_length: int

    def __call__(self, prompts: list[str], responses: list[str]) -> Features:
        """(n, hidden size) float32."""
        from mopo_pipeline.language.embedding import mean_hidden_states

        return mean_hidden_states(self.encoder, prompts, responses, max_length=self.max_length)

    def state(self) -> dict[str, Any]:
        """JSON-ready description, enough to rebuild the features."""
        return {"kind": "encoder", "encoder": self.encoder, "max_length": self.max_length}


def features_from_state(state: dict[str, Any]) -> WordFeatures | EncoderFeatures:
    """Rebuild features from what ``state`` returned."""
    if state["kind"] == "words":
        return WordFeatures(tuple(state["vocabulary"]))
    return EncoderFeatures(state["encoder"], state["max_length"])


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _plain(prompt: str) -> str:
    return " ".join(message["content"] for message in chat_messages(prompt))
