"""One call for every engine."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mopo_pipeline.language.loading import model_digest
from mopo_pipeline.parameters.engine import ENDPOINT, RAY, VLLM, EngineParams

if TYPE_CHECKING:
    from mopo_pipeline.language.generation import Answer


def draw(
    engine: EngineParams,
    spec: str | Path,
    load: Callable[[], tuple[Any, Any]],
    prompts: list[str],
    *,
    served: str | None,
    batch_size: int,
    description: str,
    **decoding: Any,
) -> "list[list[Answer]]":
    """Draw answers to every prompt from a model.

    Args:
        engine: what draws them.
        spec: the model, as ``load_model`` takes it.
        load: the model and its tokenizer; called by the engine that computes with them alone.
        prompts: stored prompts.
        served: name of the model at an endpoint.
        batch_size: sequences generated at once, by transformers.
        description: what the progress bar says.
        decoding: ``n``, ``max_new_tokens``, ``temperature``, ``top_p`` and ``seed`` as ``sample_responses`` takes them.

    Raises:
        InputError: the engine cannot serve, in a line.
    """
    if engine.kind == ENDPOINT:
        from mopo_pipeline.language.engines.endpoint import from_endpoint

        return from_endpoint(
            engine, str(served), _version(spec), prompts, description=description, **decoding
        )
    if engine.kind == RAY:
        from mopo_pipeline.language.engines.in_ray import from_ray

        return from_ray(engine, spec, _version(spec), prompts, description=description, **decoding)
    if engine.kind == VLLM:
        from mopo_pipeline.language.engines.in_vllm import from_vllm

        return from_vllm(engine, spec, prompts, **decoding)
    from mopo_pipeline.language.generation import sample_responses

    return sample_responses(
        *load(), prompts, batch_size=batch_size, description=description, **decoding
    )


def _version(spec: str | Path) -> str:
    """Of a model's weights, as far as known: their hash, or the name of what is not here."""
    return model_digest(Path(spec)) if Path(spec).is_dir() else str(spec)


def check_engine(engine: EngineParams, where: str, *, served: bool) -> None:
    """Find what would keep an engine from drawing, before anything is computed.

    Args:
        engine: to be used.
        where: what its parameters are called.
        served: whether the models it is to draw from exist by now.

    Raises:
        InputError: vLLM, Ray or a GPU is not there, a cluster or an endpoint does not answer, or it cannot serve a model still
            to be made.
    """
    if engine.kind == VLLM:
        from mopo_pipeline.language.engines.in_vllm import check_vllm

        check_vllm(where)
    if engine.kind == RAY:
        from mopo_pipeline.language.engines.in_ray import check_ray

        check_ray(engine, where)
    if engine.kind == ENDPOINT:
        from mopo_pipeline.language.engines.endpoint import check_endpoint

        check_endpoint(engine, where, served=served)
