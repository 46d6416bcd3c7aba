"""Answers drawn by an OpenAI-compatible address (``/chat/completions``), each kept on disk as soon as it is there."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager
from typing import Any, NamedTuple

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.dialects import complete
from mopo_pipeline.language.endpoint import FILTERED, content_of
from mopo_pipeline.language.engines.kept import KeptAnswers, beside_the_cache
from mopo_pipeline.language.generation import Answer, tidied
from mopo_pipeline.language.requests import Address, EndpointError, key_of
from mopo_pipeline.parameters.engine import EngineParams
from mopo_pipeline.progress import progress_bar
from mopo_pipeline.streams import request_seed
from mopo_pipeline.tables import chat_messages, prompt_text

log = logging.getLogger(__name__)

pause: Callable[[float], object] | None = None
"""How it waits between two tries; None does until nothing is awaited any more."""

PARTING = 2.0
"""Seconds that what is under way is still waited for when a user ends the draw: it is paid for."""

WITHHELD = "were held back by its filter, in whole or in part"
WORDLESS = (
    "have no text; they count as empty answers. Where the model thinks before it answers, let it have more tokens, or serve "
    "it without thinking"
)


def check_endpoint(engine: EngineParams, where: str, *, served: bool) -> None:
    """Ask an endpoint what it serves, before anything else is done.

    Args:
        engine: its address and the names to be asked for.
        where: what its parameters are called.
        served: whether the models exist by now.

    Raises:
        InputError: the models are still to be made, its key is not there, it does not answer, or does not know a name.
    """
    if not served:
        raise InputError(
            f"{where}.kind is endpoint, which cannot serve a policy that this run is still to train: run "
            "--namespaces=ingest,preferences,plan,reference,train, serve that policy, then run "
            "--namespaces=evaluate,report; or take transformers"
        )
    try:
        known = address_of(engine).get("/models")
    except EndpointError as error:
        if error.status in (404, 405, 501):  # not every server lists what it has
            return
        raise InputError(f"{where}: {error}") from None
    listed = known.get("data") if isinstance(known, dict) else known  # some list them bare
    models = listed if isinstance(listed, list) else []
    names = [str(model["id"]) for model in models if isinstance(model, dict) and "id" in model]
    for name in filter(None, (engine.served, engine.served_reference)):
        if names and name not in names:
            raise InputError(
                f"{where}: {engine.base_url} serves {', '.join(names)}, but no {name!r}"
            )


def address_of(engine: EngineParams) -> Address:
    """Where to ask, with the key the environment holds.

    Raises:
        InputError: the environment has no such variable.
    """
    key = key_of(engine.key_variable, str(engine.base_url))
    return Address(str(engine.base_url), key, engine.timeout, engine.retries, pause)


def from_endpoint(
    engine: EngineParams,
    served: str,
    version: str,
    prompts: list[str],
    *,
    n: int,
    max_new_tokens: int,
    seed: int,
    temperature: float,
    top_p: float,
    description: str,
) -> list[list[Answer]]:
    """Draw ``n`` answers to every prompt; those that were drawn before are taken from disk.

    Args:
        engine: address, and how patiently it is asked.
        served: name of the model there.
        version: of its weights, as far as known; another one is asked anew.
        prompts: stored prompts.
        n: answers per prompt.
        max_new_tokens: longest answer in tokens.
        seed: of every draw, where the server heeds it.
        temperature: > 0.
        top_p: nucleus in (0, 1].
        description: what the progress bar says.

    Raises:
        InputError: the endpoint refuses, or fails as often as it is tried; what was answered is kept.
    """
    address = address_of(engine)
    setting = dict[str, Any](temperature=temperature, top_p=top_p, max_tokens=max_new_tokens)
    kept = KeptAnswers(
        engine.work_dir or beside_the_cache(),
        setting | {"url": engine.base_url, "model": served, "version": version, "seed": seed},
    )
    wanted = {prompt: numbers for prompt, numbers in kept.missing(prompts, n).items() if numbers}
    told: Counter[str] = Counter()
    with progress_bar() as progress, ThreadPoolExecutor(engine.at_once) as pool:
        bar = progress.add_task(description, total=sum(map(len, wanted.values())))
        setting |= {"model": served}
        jobs = {
            pool.submit(_asked, address, setting, prompt, numbers, seed): prompt
            for prompt, numbers in wanted.items()
        }
        with _parting(pool, address, jobs, kept):
            for job in as_completed(jobs):
                found = _keep(kept, jobs.pop(job), job.result())
                told += found.troubles
                progress.advance(bar, len(found.answers))
    _tell(told, f"{engine.base_url}, model {served}")
    return kept.dealt(prompts, n)


@contextmanager
def _parting(
    pool: ThreadPoolExecutor,
    address: Address,
    jobs: Mapping[Future["Drawn"], str],
    kept: KeptAnswers,
) -> Iterator[None]:
    """However it ends nothing more is asked, and what was paid for is kept: a user is not kept waiting for it."""
    patience: float | None = None
    try:
        yield
    except BaseException as error:
        patience = None if isinstance(error, Exception) else PARTING
        raise
    finally:
        address.over.set()
        pool.shutdown(wait=False, cancel_futures=True)
        try:
            wait([job for job in jobs if not job.cancelled()], patience)
        finally:
            address.cut.set()
        _keep_rest(kept, jobs)


class Drawn(NamedTuple):
    """Answers to a prompt by number, what is odd about how many of them, and what kept the rest from being drawn."""

    answers: dict[int, Answer]
    troubles: Counter[str]
    failed: EndpointError | None = None


def _keep(kept: KeptAnswers, prompt: str, drawn: Drawn) -> Drawn:
    """Write down what was drawn.

    Raises:
        InputError: it is not all that was asked for.
    """
    kept.add(prompt, drawn.answers)
    if drawn.failed is not None:
        raise InputError(
            f"{drawn.failed}, asked {prompt_text(prompt)[:40]!r}...; what was answered is kept in {kept.file}: run again "
            "to go on"
        ) from None
    return drawn


def _keep_rest(kept: KeptAnswers, jobs: Mapping[Future[Drawn], str]) -> None:
    """Write down what came while a fault or a user ended the draw."""
    for job, prompt in jobs.items():
        if not job.cancelled() and job.exception() is None and job.result().answers:
            kept.add(prompt, job.result().answers)


def _asked(
    address: Address, setting: Mapping[str, Any], prompt: str, numbers: list[int], seed: int
) -> Drawn:
    """Answers of these numbers to a prompt, as many at once as the server gives."""
    found: dict[int, Answer] = {}
    troubles: Counter[str] = Counter()
    while left := [number for number in numbers if number not in found]:
        body = {
            **setting,
            "messages": chat_messages(prompt),
            "n": len(left),
            "seed": request_seed(seed, prompt, left[0]),
        }
        try:
            given = complete(address, body, _answers)
        except EndpointError as error:
            return Drawn(found, troubles, error)
        for number, (answer, trouble) in zip(left, given, strict=False):
            found[number] = answer
            troubles.update(filter(None, [trouble]))
    return Drawn(found, troubles)


def _answers(reply: Any) -> list[tuple[Answer, str | None]]:
    """At least one answer of a reply, each with what is odd about it.

    Raises:
        ValueError: it holds none.
    """
    try:
        said = [(content_of(c["message"]), c["finish_reason"]) for c in reply["choices"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"no choices with message and finish_reason in {str(reply)[:80]}"
        ) from error
    if not said:
        raise ValueError("no choices")
    return [
        (
            tidied(text or "", reason == "stop")._replace(withheld=reason == FILTERED),
            _trouble(text, reason == FILTERED),
        )
        for text, reason in said
    ]


def _tell(troubles: Counter[str], where: str) -> None:
    for trouble, count in troubles.items():
        log.warning("%s: %d answers %s", where, count, trouble)


def _trouble(text: str | None, filtered: bool) -> str | None:
    if filtered:
        return WITHHELD
    return WORDLESS if text is None else None
