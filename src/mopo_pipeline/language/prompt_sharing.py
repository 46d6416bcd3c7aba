"""Whether a model computes log-probabilities right when responses share their prompt."""

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from mopo_pipeline.arrays import Index
from mopo_pipeline.language.forward import response_logprobs, unwrapped
from mopo_pipeline.language.packing import pack
from mopo_pipeline.language.tokens import EncodedRows

if TYPE_CHECKING:
    pass

log = logging.getLogger(__name__)


def sharing_allowed(model: Any, rows: EncodedRows) -> bool:
    """Whether rows may share a prompt; says once why not.

    Two responses to one prompt are scored both ways, which also catches what no setting tells.
    """
    pair = _two_responses(rows)
    if pair is None:
        return False
    reason = _obstacle(unwrapped(model), rows) or _disagreement(model, rows, pair)
    if reason:
        log.info("prompts are computed once per response: %s", reason)
    return not reason


def _two_responses(rows: EncodedRows) -> Index | None:
    """Two different rows (2,) of one prompt, each with a token after its first."""
    able = np.unique(rows.representatives)
    able = able[rows.response_lengths[able] > 1]
    order = able[np.argsort(rows.prompts[able], kind="stable")]
    same = np.flatnonzero(np.diff(rows.prompts[order]) == 0)
    return order[same[0] : same[0] + 2] if len(same) else None


def _obstacle(model: Any, rows: EncodedRows) -> str | None:
    config = model.config.get_text_config()
    if config._attn_implementation not in {"sdpa", "eager"}:
        return f"{config._attn_implementation} attention takes no mask of one's own"
    others = set(getattr(config, "layer_types", None) or ()) - {
        "full_attention",
        "sliding_attention",
    }
    if others:
        return f"the model has layers of {', '.join(sorted(others))}"
    window = getattr(config, "sliding_window", None)
    if window is not None and window < rows.lengths.max():
        return f"attention slides over {window} tokens, rows have up to {rows.lengths.max()}"
    return None


def _disagreement(model: Any, rows: EncodedRows, pair: Index) -> str | None:
    """Why the rows ``pair`` (2,) cannot be laid out on one line under this model; None where they can."""
    import torch

    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    try:
        with torch.inference_mode():
            alone = response_logprobs(model, pack(rows, list(pair[:, None])).to(device))
            shared = response_logprobs(model, pack(rows, [pair]).to(device))
    except (TypeError, ValueError, RuntimeError) as error:
        return (
            f"{type(model).__name__} refuses its mask and positions ({str(error).splitlines()[0]})"
        )
    finally:
        model.train(was_training)
    gap = float((shared - alone).abs().max())
    limit = max(1e-4, 8 * torch.finfo(model.dtype).eps * float(alone.abs().max()))
    if gap <= limit:
        return None
    return f"a log-probability moves by {gap:.2g} when prompts are shared"
