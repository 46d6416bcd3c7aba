"""KL along drawn answers, beside that of whole distributions over answers."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mopo_pipeline.language.divergence import Way, answer_divergences, answering
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.logprobs import row_logprobs
from mopo_pipeline.language.tokens import EncodedRows, encode
from mopo_pipeline.tables import chat_prompt
from tiny_training import tiny_model

PROMPTS = [chat_prompt("red"), chat_prompt("warm blue")]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Any]:
    """Two models far enough apart, and their tokenizer."""
    root = tmp_path_factory.mktemp("two")
    (own, tokenizer), (first, _) = (
        load_model(tiny_model(root / str(seed), seed=seed), device="cpu") for seed in (0, 1)
    )
    with torch.no_grad():
        for model in (own, first):
            for parameter in model.parameters():
                parameter.mul_(4.0)
    return own, first, tokenizer


def every_answer(tokenizer: Any, prompts: list[str], words: int) -> EncodedRows:
    """All answers of two tokens, cut there, or ended before, to each prompt."""
    end = encode(tokenizer, [PROMPTS[0]], [""], None).ids[0][-1]
    rest = [token for token in range(words) if token != end]
    answers = [[end], *([one, two] for one, two in product(rest, range(words)))]
    heads = [ids[:-1] for ids in encode(tokenizer, prompts, [""] * len(prompts), None).ids]
    ids = [[*head, *answer] for head in heads for answer in answers]
    each = len(answers)
    return EncodedRows(
        ids,
        np.repeat([len(head) for head in heads], each),
        np.zeros(len(ids), dtype=bool),
        int(tokenizer.pad_token_id),
        np.repeat(np.arange(len(prompts)), each),
    )


def test_its_mean_over_all_answers_is_the_exact_divergence(models: tuple[Any, Any, Any]) -> None:
    """Oracle: sum over every answer of pi log pi/pi_ref; no answer's own share is below 0."""
    own, first, tokenizer = models
    rows = every_answer(tokenizer, PROMPTS, len(tokenizer))
    log_own, log_first = row_logprobs(own, rows), row_logprobs(first, rows)
    mass = np.exp(log_own).reshape(2, -1)
    np.testing.assert_allclose(mass.sum(axis=1), 1.0, atol=1e-5)
    exact = (mass * (log_own - log_first).reshape(2, -1)).sum(axis=1)
    found = answer_divergences(own, [Way(1.0, rows)], first, rows)
    assert exact.min() > 0.1 and found.min() >= 0.0
    np.testing.assert_allclose((mass * found.reshape(2, -1)).sum(axis=1), exact, rtol=1e-4)
    gains = log_own - log_first
    assert gains.min() < 0.0
    spread = [
        (mass * (x - exact[:, None]) ** 2).sum()
        for x in (found.reshape(2, -1), gains.reshape(2, -1))
    ]
    assert spread[0] < 0.5 * spread[1]


def test_a_mixture_of_ways_is_one_policy(models: tuple[Any, Any, Any]) -> None:
    """Oracle: the mixture of both distributions over answers; each answer's way is not known once it is given."""
    own, first, tokenizer = models
    rows = every_answer(tokenizer, PROMPTS[:1], len(tokenizer))
    other = answering(every_answer(tokenizer, PROMPTS[1:], len(tokenizer)), rows)
    each = np.exp([row_logprobs(own, rows), row_logprobs(own, other)])
    mass = np.array([0.3, 0.7]) @ each
    exact = mass @ (np.log(mass) - row_logprobs(first, rows))
    found = answer_divergences(own, [Way(0.3, rows), Way(0.7, other)], first, rows)
    assert mass @ found == pytest.approx(exact, rel=1e-4)
    alone = [each[k] @ (np.log(each[k]) - row_logprobs(first, rows)) for k in (0, 1)]
    assert exact < 0.3 * alone[0] + 0.7 * alone[1] - 1e-3


def test_a_model_has_not_left_itself_and_cut_answers_count_no_end(
    models: tuple[Any, Any, Any],
) -> None:
    own, first, tokenizer = models
    rows = encode(tokenizer, PROMPTS * 2, ["blue old", "new", "red", "red"], None)
    np.testing.assert_allclose(answer_divergences(own, [Way(1.0, rows)], own, rows), 0.0, atol=1e-6)
    cut = replace(rows, ids=[ids[:-1] for ids in rows.ids])
    ended = answer_divergences(own, [Way(1.0, rows)], first, rows)
    assert (answer_divergences(own, [Way(1.0, cut)], first, cut) < ended).all()


def test_words_that_one_model_alone_has_are_left_out(
    models: tuple[Any, Any, Any], tmp_path: Path
) -> None:
    own, first, tokenizer = models
    rows = encode(tokenizer, PROMPTS, ["blue old", "new"], None)
    more, spelling = load_model(tiny_model(tmp_path / "more", seed=0), device="cpu")
    with torch.no_grad():
        for parameter in more.parameters():
            parameter.mul_(4.0)
    spelling.add_tokens(["<help:1>"])
    more.resize_token_embeddings(len(spelling))
    behind = encode(spelling, PROMPTS, ["blue old", "new"], None)
    expected = answer_divergences(own, [Way(1.0, rows)], first, rows)
    found = answer_divergences(more, [Way(1.0, behind)], first, rows)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
