"""Answers of the reference and of the policy to test prompts, with both log-probabilities."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.evaluate import EvaluateParams, SamplingParams
from mopo_pipeline.streams import Stream, completion_seed, generator

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

POLICIES = ("reference", "policy")


def prompts_of_test_split(responses: pd.DataFrame, limit: int | None, seed: int) -> pd.DataFrame:
    """Distinct test prompts (prompt_id, prompt), at most ``limit`` of them, drawn by seed.

    Raises:
        InputError: the test split holds no prompt.
    """
    test = responses.loc[responses["split"] == "test", ["prompt_id", "prompt"]]
    test = test.drop_duplicates("prompt_id").reset_index(drop=True)
    if test.empty:
        raise InputError(
            "the test split holds no prompts, so nothing can be evaluated: lower ingest.split.train "
            "or ingest.split.validation, or add prompts"
        )
    if limit is None or limit >= len(test):
        return test
    rng = generator(seed, Stream.TEST_PROMPTS)
    chosen = np.sort(rng.choice(len(test), size=limit, replace=False))
    return test.iloc[chosen].reset_index(drop=True)


def sample_completions(
    reference_policy: Path,
    policy: Path,
    responses: pd.DataFrame,
    task: TaskParams,
    params: EvaluateParams,
) -> pd.DataFrame:
    """Draw completions from both models and score each under both.

    Returns:
        prompt_id, completion_id, policy (reference or policy), prompt, completion, ended (whether the
        model ended it, else it was cut), withheld (by a filter of who served it), n_tokens, logprob_policy,
        logprob_reference (nats, summed over the completion's tokens; the end token counts where there is one).
    """
    from mopo_pipeline.language.lengths import ENDED, WITHHELD
    from mopo_pipeline.language.loading import load_model, load_tokenizer
    from mopo_pipeline.language.logprobs import sequence_logprobs

    asked = prompts_of_test_split(responses, params.sampling.prompts, task.seed)
    folders = {"reference": reference_policy, "policy": policy}
    models = {name: cache(partial(load_model, folder)) for name, folder in folders.items()}
    longest = params.sampling.max_new_tokens
    longest = longest or longest_answer(load_tokenizer(reference_policy), responses)
    parts = [
        _drawn(
            models[name],
            folders[name],
            name,
            asked,
            params.sampling,
            longest,
            completion_seed(task.seed, policy=name == "policy"),
        )
        for name in POLICIES
    ]
    table = pd.concat(parts, ignore_index=True)
    for name in reversed(POLICIES):
        scored = sequence_logprobs(
            *models[name](),
            table["prompt"].tolist(),
            table["completion"].tolist(),
            ended=table[ENDED].tolist(),
            batch_tokens=params.batch_tokens,
            description=f"log-probabilities, {name}",
        )
        table["n_tokens"] = scored.n_tokens
        table[f"logprob_{name}"] = scored.logprob
    said = ["prompt_id", "completion_id", "policy", "prompt", "completion", ENDED, WITHHELD]
    return table[[*said, "n_tokens", "logprob_policy", "logprob_reference"]]


def longest_answer(tokenizer: "PreTrainedTokenizerBase", responses: pd.DataFrame) -> int:
    """Tokens of the longest answer of the data."""
    from mopo_pipeline.language.lengths import encode_all, typical_longest

    return typical_longest(encode_all(tokenizer, responses).response_lengths)


def _drawn(
    load: Callable[[], tuple["PreTrainedModel", "PreTrainedTokenizerBase"]],
    folder: Path,
    name: str,
    asked: pd.DataFrame,
    size: SamplingParams,
    longest: int,
    seed: int,
) -> pd.DataFrame:
    """Answers of one model: prompt_id, prompt, completion_id, completion, ended, withheld, policy."""
    from mopo_pipeline.language.engines.choose import draw
    from mopo_pipeline.language.lengths import ENDED, WITHHELD

    drawn = draw(
        size.engine,
        folder,
        load,
        asked["prompt"].tolist(),
        served=size.engine.served if name == "policy" else size.engine.served_reference,
        n=size.samples,
        max_new_tokens=longest,
        temperature=size.temperature,
        top_p=size.top_p,
        seed=seed,
        batch_size=size.batch_size,
        description=f"answers of the {name}",
    )
    part = asked.loc[asked.index.repeat(size.samples)].reset_index(drop=True)
    numbers = np.tile(np.arange(size.samples), len(asked))
    identity = zip(part["prompt_id"], numbers, strict=True)
    answers = [answer for answers in drawn for answer in answers]
    part["completion_id"] = [f"{name}-{p}-{n:02d}" for p, n in identity]
    part["completion"] = [answer.text for answer in answers]
    part[ENDED] = [answer.ended for answer in answers]
    part[WITHHELD] = [answer.withheld for answer in answers]
    return part.assign(policy=name)


def logprobs_of_test_split(
    policy: Path,
    responses: pd.DataFrame,
    reference_logprobs: pd.DataFrame,
    params: EvaluateParams,
) -> pd.DataFrame:
    """Log pi of the data's own test responses under policy and reference, for re-weighting them.

    Both are of the same tokens: the context is the one the reference was scored in.

    Returns:
        prompt_id, response_id, logprob_policy, logprob_reference, truncated.

    Raises:
        InputError: ``reference_logprobs`` misses a test response.
    """
    from mopo_pipeline.language.lengths import ended_column
    from mopo_pipeline.language.loading import load_model
    from mopo_pipeline.language.logprobs import sequence_logprobs

    test = responses.loc[responses["split"] == "test"].reset_index(drop=True)
    known = reference_logprobs.set_index("response_id")
    absent = test.loc[~test["response_id"].isin(known.index), "response_id"]
    if len(absent):
        raise InputError(
            f"reference_logprobs holds no row for response {absent.iloc[0]!r}; run "
            "kedro run --nodes=reference.score_reference"
        )
    scored = sequence_logprobs(
        *load_model(policy),
        test["prompt"].tolist(),
        test["response"].tolist(),
        max_length=int(known["context"].iloc[0]),
        ended=ended_column(test),
        batch_tokens=params.batch_tokens,
        description="log-probabilities of test responses",
    )
    own = known.loc[test["response_id"]]
    return test[["prompt_id", "response_id"]].assign(
        logprob_policy=scored.logprob,
        logprob_reference=own["logprob"].to_numpy(),
        truncated=scored.truncated | own["truncated"].to_numpy(),
    )
