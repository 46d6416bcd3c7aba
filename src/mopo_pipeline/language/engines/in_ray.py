"""Answers drawn by vLLM on the nodes of a Ray cluster (``ray.data.llm``), each kept on disk as soon as it is there."""

import importlib.util
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.engines.kept import KeptAnswers, beside_the_cache
from mopo_pipeline.language.engines.vllm_arguments import SILENT, Served, served
from mopo_pipeline.language.generation import Answer
from mopo_pipeline.parameters.engine import EngineParams
from mopo_pipeline.progress import progress_bar
from mopo_pipeline.streams import request_seed

ROWS = 64
"""Answers a replica is handed at once, and gives back at once."""

PATIENCE = 5.0
"""Seconds until an address counts as down; Ray itself takes minutes."""


def check_ray(engine: EngineParams, where: str) -> None:
    """Refuse where Ray, its cluster, its GPUs or vLLM on its nodes are not there.

    Args:
        engine: address of the cluster, and GPUs of a replica.
        where: what its parameters are called.

    Raises:
        InputError: what is missing.
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError(
            f"{where}.kind is ray, which is not installed: pip install 'mopo_pipeline[ray]', or set it to transformers"
        )
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray.data.llm  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"{where}.kind is ray, which is installed without what draws answers ({error}): pip install 'mopo_pipeline[ray]'"
        ) from None
    try:
        with _cluster(engine):
            pass
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def from_ray(
    engine: EngineParams,
    spec: str | Path,
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

    Every answer is a request with a seed of its own, so it doesn't matter which replica draws it, or beside which others.

    Args:
        engine: the cluster, how many replicas it runs, GPUs and memory of each.
        spec: the model, as ``load_model`` takes it; a directory lies where every node sees it.
        version: of its weights; another one is drawn from anew.
        prompts: stored prompts.
        n: answers per prompt.
        max_new_tokens: longest answer in tokens, end included.
        seed: of every draw.
        temperature: > 0.
        top_p: nucleus in (0, 1].
        description: what the progress bar says.

    Raises:
        InputError: the cluster is not there or fails; what was answered is kept.
    """
    model = served(engine, spec, seed)
    setting = model.sampling(max_new_tokens, temperature, top_p)
    kept = KeptAnswers(
        engine.work_dir or beside_the_cache(),
        setting | {"engine": "vllm", "version": version, "seed": seed},
    )
    missing = kept.missing(prompts, n)
    asked = [(prompt, number) for prompt, numbers in missing.items() for number in numbers]
    rows = _rows(model, asked, setting, seed)
    failed = ""
    with progress_bar() as progress:
        bar = progress.add_task(description, total=len(rows))
        try:
            for place, tokens, error in _drawn(engine, model, rows) if rows else ():
                prompt, number = asked[place]
                if not error:
                    kept.add(prompt, {number: model.answer(tokens)})
                    progress.advance(bar)
                failed = failed or error
        except RayFailed as error:
            failed = str(error)
    if failed:
        raise InputError(
            f"Ray could not draw all answers ({failed}); what was answered is kept in {kept.file}: run again to go on"
        )
    return kept.dealt(prompts, n)


def _rows(
    model: Served, asked: list[tuple[str, int]], setting: dict[str, Any], seed: int
) -> list[dict[str, Any]]:
    """Requests as the processor takes them, one per answer: a prompt and the number of an answer to it."""
    ids = {prompt: model.prompt(prompt) for prompt, _ in asked}
    adapter = {} if model.adapter is None else {"model": str(model.adapter)}
    return [
        {
            "place": place,
            "tokenized_prompt": ids[prompt],
            "sampling_params": setting | {"seed": request_seed(seed, prompt, number)},
            **adapter,
        }
        for place, (prompt, number) in enumerate(asked)
    ]


class RayFailed(RuntimeError):
    """A cluster that stopped drawing."""


def _drawn(
    engine: EngineParams, model: Served, rows: list[dict[str, Any]]
) -> Iterator[tuple[int, list[int], str]]:
    """Tokens of answers by the place of their row, in the order they come; or what kept one from being drawn.

    Raises:
        InputError: the cluster is not there.
        RayFailed: it was, until now.
    """
    local = [path for path in (model.base, model.adapter) if isinstance(path, Path)]
    with _cluster(engine, *local):
        import ray
        from ray.data.llm import build_processor, vLLMEngineProcessorConfig

        ray.data.DataContext.get_current().enable_progress_bars = False
        config = vLLMEngineProcessorConfig(
            model_source=str(model.base),
            engine_kwargs=model.arguments,
            concurrency=engine.replicas,
            batch_size=ROWS,
            runtime_env={"env_vars": SILENT},
            should_continue_on_error=True,
            log_engine_metrics=False,
            chat_template_stage=False,
            tokenize_stage=False,
            detokenize_stage=False,
        )
        table = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // ROWS))
        answered = build_processor(config)(table).select_columns(
            ["place", "generated_tokens", "__inference_error__"]
        )
        _quiet()
        try:
            for row in answered.iter_rows():
                tokens = [int(token) for token in row["generated_tokens"]]
                yield int(row["place"]), tokens, str(row["__inference_error__"])
        except ray.exceptions.RayError as error:
            raise RayFailed(_last_line(error)) from error


def _quiet() -> None:
    """What Ray tells of itself goes to its own files alone."""
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("ray")]:
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setLevel(logging.CRITICAL)


@contextmanager
def _cluster(engine: EngineParams, *paths: Path) -> Iterator[None]:
    """Ray's cluster, left again unless it was joined before; the signals keep their handlers.

    Raises:
        InputError: it cannot be reached, or lacks GPUs, vLLM or one of ``paths``.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    joined = ray.is_initialized()
    if not joined:
        _check_address(engine)
        before = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(
                address=engine.address,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="error",
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(f"Ray cannot be reached: {_last_line(error)}") from None
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)
    try:
        _check_nodes(engine, paths)
        yield
    finally:
        if not joined:
            ray.shutdown()


def _check_address(engine: EngineParams) -> None:
    """Knock at the cluster's door, wherever it is named."""
    named = engine.address or os.environ.get("RAY_ADDRESS", "")
    try:
        found = urlsplit(named if "//" in named else f"//{named}")
        if found.port is None:  # "auto", or nothing: Ray looks for one on this machine
            return
        socket.create_connection((found.hostname or "", found.port), PATIENCE).close()
    except ValueError as error:
        raise InputError(f"{named!r} is no address such as 10.0.0.1:6379 ({error})") from None
    except OSError as error:
        raise InputError(
            f"no Ray cluster answers at {named} ({error}): start one (ray start --head), or name another in address"
        ) from None


def _check_nodes(engine: EngineParams, paths: tuple[Path, ...]) -> None:
    """See that there are GPUs for a replica, and on their nodes vLLM and what is to be loaded."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU", 0)]
    gpus = int(sum(node["Resources"]["GPU"] for node in nodes))
    if gpus < engine.gpus:
        raise InputError(
            f"Ray's cluster has {gpus} GPUs, and a replica takes {engine.gpus}: add nodes that have some, name another cluster "
            "in address, or set kind to transformers"
        )

    def lacking(wanted: list[str]) -> list[str]:  # within, so that nodes need no mopo_pipeline
        import importlib.util
        import os

        found = importlib.util.find_spec("vllm") is not None
        return ([] if found else ["vLLM (pip install 'ray[llm]')"]) + [
            f"{path} (put it where every node sees it)"
            for path in wanted
            if not os.path.isdir(path)
        ]

    task: Any = ray.remote(num_cpus=0)(lacking)
    asked = {
        node["NodeManagerAddress"]: task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote([str(path) for path in paths])
        for node in nodes
    }
    try:
        found = {address: ray.get(answer, timeout=60) for address, answer in asked.items()}
    except ray.exceptions.RayError as error:
        raise InputError(f"a node of Ray's cluster does not answer: {_last_line(error)}") from None
    for address, missing in found.items():
        if missing:
            raise InputError(f"node {address} of Ray's cluster has no {', no '.join(missing)}")


def _last_line(error: Exception) -> str:
    """What went wrong: Ray tells it at the end of a traceback."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
