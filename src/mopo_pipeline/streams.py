"""Everything random in a run, by name: each use has a stream of its own, derived from the task's seed.

What one use draws, and how often, does not move another one's numbers. The numbers behind the names
are part of every result ever made: none is changed, none is used again.
"""

from enum import IntEnum
from zlib import crc32

import numpy as np


class Stream(IntEnum):
    """What is drawn."""

    SPLITS = 1  # of prompts into train, validation and test, and what a source draws
    FOLDS = 2  # of prompts in cross-fitting
    PAIRS = 3  # of responses that are compared
    LABEL_FOLDS = 5  # of comparisons whose labels are held against win rates that never saw them
    ROWS = 7  # a block of training rows and their order
    CYCLES = 8  # first coordinates of answers that beat each other in a circle
    FRESH_PROMPTS = 11  # asked at a refresh
    ANSWERS = 12  # tokens of one answer to one prompt
    PERIODS = 13  # order in which prompts take turns between refreshes
    VALIDATION_PROMPTS = 14  # whose labels are looked at during training
    TEST_PROMPTS = 31  # asked in the evaluation
    JUDGED_VALUES = 32  # prompts drawn again for an interval, here and below
    DOUBLY_ROBUST_VALUES = 33
    EXACT_VALUES = 34
    LABEL_VALUES = 35
    JUDGE_QUALITY = 36
    JUDGE_SCALE = 37
    JUDGE_HALVES = 38  # of an answer's comparisons
    JUDGE_REACH = 39
    FRONT_VALUES = 40  # prompts drawn again for a point of a front
    FRONT_VERDICT = 41  # seeds and prompts drawn again for a comparison of fronts
    STEERABLE_ROWS = 42  # rows and prompts of a steerable policy, round by round
    STEERED_WORDS = 43  # what is said behind each prompt once thresholds are given
    CAPABILITY = 44  # prompts drawn again for a measure of capability
    MEAN_RATIO = 45  # prompts drawn again for the mean ratio of the data's answers
    EXPORTED_ROWS = 50  # rows drawn for other trainers
    PROTOCOL = 60  # prompts drawn again for wins against the reference


def generator(seed: int, stream: Stream, *parts: int) -> np.random.Generator:
    """The stream of one use, or of one part of it.

    Args:
        seed: of the run, >= 0.
        stream: what is drawn.
        parts: numbers of the part, each >= 0, such as a block's; part 0 is the stream itself.

    >>> bool(generator(0, Stream.FOLDS).random() == generator(0, Stream.PAIRS).random())
    False
    """
    return np.random.default_rng([seed, int(stream), *parts])


def generator_of(name: str, *parts: int) -> np.random.Generator:
    """The stream of something known by name alone, such as a structure of the synthetic experiment."""
    return np.random.default_rng([crc32(name.encode()), *parts])


def fold_seed(seed: int, fold: int) -> int:
    """Initial weights and batch order of a fold's preference model."""
    return seed + fold


def refresh_seed(seed: int, refresh: int, *, validation: bool) -> int:
    """Prompts asked and responses drawn at a refresh, counted from 1."""
    return 1009 * seed + 2 * refresh + int(validation)


def completion_seed(seed: int, *, policy: bool) -> int:
    """Answers of the evaluation, of the reference or of the policy."""
    return 2 * seed + int(policy)


def candidate_seed(seed: int) -> int:
    """Answers of a model that become a run's data."""
    return 1_000_003 * seed + 500_000


def request_seed(seed: int, prompt: str, number: int) -> int:
    """An answer that another engine draws, below 2**31."""
    parts = [seed, int(Stream.ANSWERS), crc32(prompt.encode()), number]
    return int(np.random.default_rng(parts).integers(2**31))
