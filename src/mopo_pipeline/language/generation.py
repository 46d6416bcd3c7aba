"""Sampling responses: batched, left-padded, deterministic in the seed."""

from typing import TYPE_CHECKING

import numpy as np

from mopo_pipeline.language.processes import from_all, shared_out
from mopo_pipeline.language.tokens import prompt_ids
from mopo_pipeline.progress import progress_bar

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def sample_responses(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: list[str],
    *,
    n: int,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    batch_size: int = 64,
    share: tuple[int, int] = (0, 1),
    description: str = "generating",
) -> list[list[str]]:
    """Draw ``n`` responses to every prompt.

    Batches are formed from prompts of similar length; each batch draws from its own seed, so a
    result depends on the prompts, the sizes and the seed alone.

    Args:
        model: causal language model.
        tokenizer: its tokenizer.
        prompts: stored prompts.
        n: responses per prompt.
        max_new_tokens: longest response in tokens.
        temperature: > 0; 1 samples the model as it is.
        top_p: nucleus in (0, 1]; 1 samples the model as it is.
        seed: of every draw.
        batch_size: sequences generated at once.
        share: rank and number of processes; each draws its share of the batches, all return all.
        description: what the progress bar says.

    Returns:
        One list of ``n`` texts per prompt, special tokens removed.
    """
    import torch

    encoded = [prompt_ids(tokenizer, prompt) for prompt in prompts]
    order = np.argsort([-len(ids) for ids in encoded], kind="stable")
    tasks = np.repeat(order, n)
    own: dict[int, str] = {}
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    with progress_bar() as progress, torch.random.fork_rng(devices=[]):
        starts = list(enumerate(range(0, len(tasks), batch_size)))[share[0] :: share[1]]
        bar = progress.add_task(
            description, total=sum(len(tasks[s:][:batch_size]) for _, s in starts)
        )
        for number, start in starts:
            chunk = tasks[start : start + batch_size]
            width = max(len(encoded[i]) for i in chunk)
            ids = torch.full((len(chunk), width), int(tokenizer.pad_token_id), dtype=torch.long)
            mask = torch.zeros_like(ids)
            for row, i in enumerate(chunk):
                ids[row, width - len(encoded[i]) :] = torch.tensor(encoded[i])
                mask[row, width - len(encoded[i]) :] = 1
            torch.manual_seed(seed * 1_000_003 + number)
            out = model.generate(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                do_sample=True,
                temperature=temperature,
                top_p=top_p,
                top_k=0,
                max_new_tokens=max_new_tokens,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=tokenizer.eos_token_id,
                synced_gpus=shared_out(model),
            )
            decoded = tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)
            own |= {start + k: text.strip() for k, text in enumerate(decoded)}
            progress.advance(bar, len(chunk))
    model.train(was_training)
    drawn = {
        k: text for part in (from_all(own) if share[1] > 1 else [own]) for k, text in part.items()
    }
    texts: list[list[str]] = [[] for _ in prompts]
    for k, i in enumerate(tasks):
        texts[i].append(drawn[k])
    return texts
