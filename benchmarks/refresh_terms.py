"""What a refresh and a plan cost, term by term, each measured at three sizes and held against the model of docs/scaling.md.

Scoring, a forward pass over rows of 64 tokens of which 16 are scored; generation, 16 tokens after 48 with a key-value
cache; the plan, its multipliers over comparisons. Work per second and the overhead of a layer and pass are fitted at 1M and
135M parameters (a plan's seconds and bytes per comparison at the least and the greatest size), and held against the size between.
Processor seconds of one thread, so that other jobs matter little. Run: ``make bench-refresh-terms`` (two minutes);
``--predict`` prints the refreshes on GPUs of docs/scaling.md alone. The last line holds predicted over measured of the
sizes between.
"""

import json
import math
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
from scipy.special import expit

from mopo_pipeline.mopo import Comparisons, solve_dual
from mopo_pipeline.training.fresh_rows import DRAWN_AT_ONCE
from scaling import NVLINK, SHAPES, Load, Shape, operations
from sizes import THRESHOLDS, World

PROMPT, ANSWER, ROWS = 48, 16, 16
NAMES = ("1M", "10M", "135M")
PLANS = (10_000, 100_000, 1_000_000)
RESPONSES = 8

BANDWIDTH, WORK = 3.35e12, 989e12 * 0.35
"""Bytes and operations a second of an H100, the latter at the share of docs/scaling.md."""


def scoring_work(shape: Shape) -> tuple[float, int]:
    """Operations and layer passes of scoring ROWS rows: every token through the blocks, scored ones to the words."""
    tokens = ROWS * (PROMPT + ANSWER)
    attention = 2 * shape.layers * shape.width * (PROMPT + ANSWER) * tokens
    head = shape.vocabulary * shape.width * ROWS * ANSWER
    return 2.0 * (shape.block_parameters * tokens + attention + head), shape.layers


def generation_work(shape: Shape) -> tuple[float, int]:
    """Operations and layer passes of ROWS answers: the prompts once, then a pass per token; words where one is drawn."""
    tokens = ROWS * (PROMPT + ANSWER)
    head = shape.vocabulary * shape.width * ROWS * ANSWER
    return 2.0 * (shape.block_parameters * tokens + head), shape.layers * ANSWER


def measure_model(name: str) -> dict[str, float]:
    """Processor seconds of scoring ROWS rows and of generating ROWS answers with a random model."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from mopo_pipeline.language.generation import sample_responses
    from mopo_pipeline.language.logprobs import sequence_logprobs
    from mopo_pipeline.language.scratch import build_tokenizer
    from mopo_pipeline.tables import chat_prompt

    torch.set_num_threads(1)
    shape, rng = SHAPES[name], np.random.default_rng(0)
    words = [f"w{i}" for i in range(shape.vocabulary - 8)]
    prompts = [chat_prompt(" ".join(rng.choice(words, PROMPT - 1))) for _ in range(ROWS)]
    answers = [" ".join(rng.choice(words, ANSWER - 1)) for _ in prompts]
    tokenizer = build_tokenizer(prompts=[chat_prompt(" ".join(words))], responses=[])
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.width,
            intermediate_size=shape.intermediate,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            max_position_embeddings=256,
            tie_word_embeddings=shape.tied,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=tokenizer.eos_token_id,
        )
    )

    def generate() -> object:
        return sample_responses(
            model, tokenizer, prompts, n=1, max_new_tokens=ANSWER, seed=0, batch_size=ROWS
        )

    def score() -> object:
        return sequence_logprobs(model, tokenizer, prompts, answers)

    return {"scoring": seconds_of(score), "generation": seconds_of(generate)}


def seconds_of(work: Callable[[], object]) -> float:
    """The lesser processor seconds of two; the first one warms up."""
    found = []
    for _ in range(2):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def measure_plan(count: int) -> dict[str, float]:
    """Processor seconds and bytes of a plan over so many comparisons, one for each response."""
    world, rng = World.build(), np.random.default_rng(0)
    prompts = count // RESPONSES
    setting = rng.integers(len(world.mass), size=prompts)
    reached = np.cumsum(world.mass, axis=1)[setting]
    answer = (rng.random((prompts, RESPONSES, 1)) > reached[:, None]).sum(axis=2).clip(max=71)
    rates = world.win_rates[setting[:, None], answer].reshape(-1, 3)
    scores = world.scores[setting[:, None], answer].reshape(-1, 3)
    first = rng.integers(RESPONSES, size=(prompts, RESPONSES))
    second = (first + rng.integers(1, RESPONSES, size=first.shape)) % RESPONSES
    start = np.arange(prompts)[:, None] * RESPONSES
    first, second = (first + start).ravel(), (second + start).ravel()
    chance = expit(scores[first] - scores[second])
    labels = (rng.random(chance.shape) < chance).astype(float)
    groups = np.repeat(np.arange(prompts), RESPONSES)
    compared = Comparisons(first, second, labels, chance)
    tracemalloc.start()
    began = time.process_time()
    solve_dual(
        rates,
        THRESHOLDS,
        tau=0.1,
        groups=groups,
        pooling=None,
        comparisons=compared,
        confidence=0.95,
    )
    return {"plan": time.process_time() - began, "bytes": tracemalloc.get_traced_memory()[1]}


def measure(kind: str, size: str) -> dict[str, float]:
    """One point in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, kind, size], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare_models() -> dict[str, float]:
    """Print scoring and generation beside their prediction; predicted over measured at the size between."""
    found = {name: measure("model", name) for name in NAMES}
    ratios = {}
    for what, work in (("scoring", scoring_work), ("generation", generation_work)):
        system = np.array([work(SHAPES[name]) for name in NAMES])
        measured = np.array([found[name][what] for name in NAMES])
        rate, overhead = np.linalg.solve(system[[0, 2]], measured[[0, 2]])
        print(f"{what}: {1e-9 / rate:.0f} GFLOP/s, {1e3 * overhead:.2f} ms a layer and pass")
        for name, seconds, said in zip(NAMES, measured, system @ [rate, overhead], strict=True):
            print(f"| {what} | {name} | {seconds:.3f} | {said:.3f} |")
        ratios[f"{what}_10M"] = float((system @ [rate, overhead])[1] / measured[1])
    return ratios


def compare_plans() -> dict[str, float]:
    """Print plans beside their prediction, linear in the comparisons; predicted over measured at the size between."""
    found = {count: measure("plan", str(count)) for count in PLANS}
    each = found[PLANS[-1]]["plan"] / PLANS[-1]
    size = found[PLANS[-1]]["bytes"] / PLANS[-1]
    print(f"plan: {1e6 * each:.1f} µs and {size:.0f} bytes a comparison")
    for count, point in found.items():
        print(
            f"| {count:,} | {point['plan']:.2f} | {each * count:.2f} | {point['bytes'] / 1e6:.0f} | {size * count / 1e6:.0f} |"
        )
    return {"plan_1e5": each * PLANS[1] / found[PLANS[1]]["plan"]}


def predict() -> None:
    """Seconds of a refresh with fresh responses on H100s, data parallel or sharded over 8, beside the training between two.

    A prompt is computed once for all its answers. A pass that adds a token to each sequence of a batch reads every weight once and the
    keys and values of every sequence (bandwidth), or multiplies the weights with every sequence (work), whichever takes longer; a
    sharded model gathers its weights for it, and all processes draw the same.
    """
    prompts, answers, length, scored = 256, 16, 1024, 256
    for name, gpus, is_sharded in (
        ("1.3B", 1, False),
        ("8B", 1, False),
        ("8B", 8, False),
        ("70B", 8, True),
    ):
        shape = SHAPES[name]
        shares = 1 if is_sharded else gpus
        batches = math.ceil(prompts * answers / DRAWN_AT_ONCE / shares)
        weights = 2.0 * shape.parameters
        cached = 2 * 2.0 * shape.layers * shape.key_values * (length - scored / 2) * DRAWN_AT_ONCE
        one = max((weights + cached) / BANDWIDTH, DRAWN_AT_ONCE * weights / WORK)
        one = max(one, weights / NVLINK) if is_sharded else one
        reading = 2.0 * shape.block_parameters * prompts * (length - scored) / WORK / shares
        generating = reading + batches * scored * one
        load = Load(prompts * answers, length, scored, lora=True, bytes_per_number=2)
        forward = operations(shape, load) / 2 / WORK / gpus
        step = operations(shape, Load(8, length, scored, lora=True, checkpointing=True)) / WORK
        print(f"| {name} | {gpus} | {generating:.0f} | {3 * forward:.0f} | {500 * step:.0f} |")


def main() -> None:
    """Measure everything, or one point for the process that asks."""
    if "--predict" in sys.argv:
        return predict()
    if len(sys.argv) > 2:
        kind, size = sys.argv[1:]
        found = measure_model(size) if kind == "model" else measure_plan(int(size))
        print(json.dumps(found))
        return
    ratios = compare_models() | compare_plans()
    print("ratio:", *(f"{name}={value:.2f}" for name, value in ratios.items()))


if __name__ == "__main__":
    main()
