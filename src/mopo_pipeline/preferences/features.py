"""What the preference model sees of a prompt and a response: words and pairs of words, or a frozen encoder."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mopo_pipeline.tables import chat_messages

Features = NDArray[np.float32] | sparse.csr_matrix
"""(n, features) float32: dense of an encoder, sparse of words."""

LEAST_SEEN = 2
"""Answers a pair of words must stand in to be known."""

_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class WordFeatures:
    """Counts of the response's known words and pairs of words, its length, what it shares with the prompt.

    Beside them stands whether each known word is in the prompt: nothing to linear rewards, which
    compare answers to one prompt, and what hidden layers need to tell prompts apart.
    """

    label: ClassVar[str] = "words"

    vocabulary: tuple[str, ...]
    bigrams: tuple[str, ...] = ()

    @classmethod
    def fit(cls, prompts: list[str], responses: list[str], max_words: int) -> "WordFeatures":
        """Keep the most frequent words and as many pairs of words, ties in alphabetical order."""
        counts: Counter[str] = Counter()
        for text in [*responses, *map(_plain, prompts)]:
            counts.update(_words(text))
        seen: Counter[str] = Counter()
        for text in responses:
            seen.update(set(_bigrams(_words(text))))
        pairs = {pair: n for pair, n in seen.items() if n >= LEAST_SEEN}
        return cls(_most_frequent(counts, max_words), _most_frequent(pairs, max_words))

    def __call__(self, prompts: list[str], responses: list[str]) -> sparse.csr_matrix:
        """Counts and lengths (n, F), float32; F is twice the words, plus the pairs, plus 2."""
        words = {word: i for i, word in enumerate(self.vocabulary)}
        pairs = {pair: 2 * len(words) + i for i, pair in enumerate(self.bigrams)}
        size = 2 * len(words) + len(pairs)
        shown = {prompt: set(_words(_plain(prompt))) for prompt in set(prompts)}
        values: list[float] = []
        columns: list[int] = []
        ends = [0]
        for prompt, response in zip(prompts, responses, strict=True):
            said = _words(response)
            row = Counter(words[word] for word in said if word in words)
            row.update(pairs[pair] for pair in _bigrams(said) if pair in pairs)
            row.update(len(words) + words[word] for word in shown[prompt] if word in words)
            distinct = set(said)
            shared = len(distinct & shown[prompt]) / max(len(distinct), 1)
            columns += [*row, size, size + 1]
            values += [*row.values(), float(np.log1p(len(said))), shared]
            ends.append(len(columns))
        shape = (len(responses), size + 2)
        return sparse.csr_matrix((np.array(values, dtype=np.float32), columns, ends), shape=shape)

    def unknown_share(self, texts: list[str]) -> float:
        """Share of the texts' words outside the vocabulary, in [0, 1]; 0 where there is no word."""
        known = set(self.vocabulary)
        words = [word for text in texts for word in _words(text)]
        return sum(word not in known for word in words) / max(len(words), 1)

    def state(self) -> dict[str, Any]:
        """JSON-ready description, enough to rebuild the features."""
        return {
            "kind": "words",
            "vocabulary": list(self.vocabulary),
            "bigrams": list(self.bigrams),
        }


@dataclass(frozen=True)
class EncoderFeatures:
    """Mean hidden state of a frozen pretrained model, causal or a sentence encoder, over the response's tokens."""

    encoder: str
    max_length: int

    @property
    def label(self) -> str:
        """What it is called in reports."""
        return self.encoder

    def __call__(self, prompts: list[str], responses: list[str]) -> NDArray[np.float32]:
        """Mean hidden states (n, F), float32."""
        from mopo_pipeline.language.embedding import mean_hidden_states
        from mopo_pipeline.language.sentences import reads_both_ways, sentence_vectors

        if reads_both_ways(self.encoder):
            return sentence_vectors(self.encoder, prompts, responses, max_length=self.max_length)
        return mean_hidden_states(self.encoder, prompts, responses, max_length=self.max_length)

    def read_in_part(self, prompts: list[str], responses: list[str]) -> NDArray[np.bool_]:
        """Whether the encoder reads each response (n,) in part."""
        from mopo_pipeline.language.embedding import longer_than_read
        from mopo_pipeline.language.sentences import longer_than_encoded, reads_both_ways

        longer = longer_than_encoded if reads_both_ways(self.encoder) else longer_than_read
        return longer(self.encoder, prompts, responses, max_length=self.max_length)

    def state(self) -> dict[str, Any]:
        """JSON-ready description, enough to rebuild the features."""
        return {"kind": "encoder", "encoder": self.encoder, "max_length": self.max_length}


def features_from_state(state: dict[str, Any]) -> WordFeatures | EncoderFeatures:
    """Rebuild features from what ``state`` returned."""
    if state["kind"] == "words":
        return WordFeatures(tuple(state["vocabulary"]), tuple(state["bigrams"]))
    return EncoderFeatures(state["encoder"], state["max_length"])


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _bigrams(words: list[str]) -> list[str]:
    """Neighbours, the start and the end among them."""
    return [f"{a} {b}" for a, b in pairwise(["", *words, ""])]


def _most_frequent(counts: Mapping[str, int], size: int) -> tuple[str, ...]:
    return tuple(sorted(counts, key=lambda text: (-counts[text], text))[:size])


def _plain(prompt: str) -> str:
    return " ".join(message["content"] for message in chat_messages(prompt))
