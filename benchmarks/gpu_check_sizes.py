"""Steps, draws and scores of models of 1.3B and 8B on one GPU, beside what docs/scaling.md predicts of them.

Each runs in a process of its own, so that its memory is its own. ``gpu_check.py`` calls it.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from scaling import SHAPES, Load, alone, memory, operations, random_model, words_of

SIZED = {
    "1.3B_all": ("1.3B", Load(8, 1024, 256, lora=False, checkpointing=True, bytes_per_number=2)),
    "8B_lora": ("8B", Load(8, 1024, 256, lora=True, checkpointing=True, bytes_per_number=2)),
    "8B_4bit": ("8B", Load(8, 1024, 256, True, True, bytes_per_number=2, load_in_4bit=True)),
}
"""Model and load of each size that is trained; rows as the table of docs/scaling.md has them."""
STEPS = 8
DRAWN = 64
"""Answers of one batch."""


def needed_bytes(size: str) -> float:
    """GPU memory that a training of this size takes by the memory model, master weights in float32 beside."""
    name, load = SIZED[size]
    shape = SHAPES[name]
    return sum(memory(shape, load).values()) + (0 if load.lora else 4 * shape.parameters)


def trained(size: str, work: Path) -> dict[str, float]:
    """Seconds a step and the share of this card's matrix rate they are, peak memory, and that over the predicted."""
    name, load = SIZED[size]
    found = alone(name, load, STEPS, work / name, "auto")
    rate = operations(SHAPES[name], load) / found["seconds"]
    return {
        "memory_over_predicted": found["peak"] / needed_bytes(size),
        "peak_gb": found["peak"] / 1e9,
        "seconds_a_step": found["seconds"],
        "share_of_matrix_rate": rate / matrix_rate(),
    }


def matrix_rate() -> float:
    """Operations a second of large products in bfloat16, the median of ten."""
    import torch

    one, other = torch.randn(2, 8192, 8192, device="cuda", dtype=torch.bfloat16)
    seconds = []
    for _ in range(13):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        one @ other
        end.record()
        torch.cuda.synchronize()
        seconds.append(start.elapsed_time(end) / 1e3)
    return 2 * 8192**3 / sorted(seconds[3:])[5]


def drawn(name: str, work: Path) -> dict[str, float]:
    """Milliseconds of a pass that adds a token to each of 64 answers, and of scoring a row, of a model made here."""
    done = subprocess.run(
        [sys.executable, __file__, name, str(work)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def draw_and_score(name: str, work: Path) -> dict[str, float]:
    """The same in this process."""
    import numpy as np
    import torch

    from mopo_pipeline.language.generation import sample_responses
    from mopo_pipeline.language.loading import load_model
    from mopo_pipeline.language.logprobs import row_logprobs
    from mopo_pipeline.language.tokens import encode
    from mopo_pipeline.tables import chat_prompt

    shape, (_, load) = SHAPES[name], SIZED["8B_lora"]
    random_model(shape, load, "cuda", work / name / "model")
    model, tokenizer = load_model(work / name / "model", dtype="bfloat16")
    rng, words = np.random.default_rng(0), words_of(shape)
    heads = [
        chat_prompt(" ".join(rng.choice(words, load.length - load.scored - 1)))
        for _ in range(DRAWN)
    ]
    answers = [" ".join(rng.choice(words, load.scored - 1)) for _ in heads]
    rows = encode(tokenizer, heads, answers, None)

    def draw(tokens: int) -> Any:
        return sample_responses(
            model, tokenizer, heads, n=1, max_new_tokens=tokens, seed=0, batch_size=DRAWN
        )

    def seconds(work: Any) -> float:
        work()
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        return time.perf_counter() - start

    few, many = (seconds(lambda n=n: draw(n)) for n in (16, 80))
    return {
        "ms_a_pass": 1e3 * (many - few) / 64,
        "ms_a_row_scored": 1e3 * seconds(lambda: row_logprobs(model, rows)) / DRAWN,
    }


if __name__ == "__main__":
    print(json.dumps(draw_and_score(sys.argv[1], Path(sys.argv[2]))))
