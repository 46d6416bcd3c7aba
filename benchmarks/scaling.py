"""Cost per token and memory of training, measured at 1M, 10M and 135M parameters, predicted beyond.

Each point trains a random decoder through the project's own trainer in a process of its own. Two numbers of
the time model (work per second, overhead per layer and step) are fitted where all of 1M and 135M is
trained, and held against the other four points; the memory model has no fitted number. Run: ``python benchmarks/scaling.py``; three minutes on two
cores. ``--predict`` prints the table of docs/scaling.md alone.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from mopo_pipeline.language.output_layer import parts_of

RANK = 16


@dataclass(frozen=True)
class Shape:
    """A Llama-like decoder."""

    layers: int
    width: int
    intermediate: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool = True

    @property
    def key_values(self) -> int:
        """Width of keys (and of values)."""
        return self.width // self.heads * self.kv_heads

    @property
    def block_parameters(self) -> int:
        """Parameters of the matrices every token passes, without the vocabulary's."""
        attention = 2 * self.width**2 + 2 * self.width * self.key_values
        return self.layers * (attention + 3 * self.width * self.intermediate)

    @property
    def parameters(self) -> int:
        """All parameters but the norms'."""
        return self.block_parameters + self.vocabulary * self.width * (1 if self.tied else 2)

    @property
    def adapter_parameters(self) -> int:
        """Low-rank adapters of rank 16 on every matrix of every block."""
        d, kv, f = self.width, self.key_values, self.intermediate
        return RANK * self.layers * (2 * (2 * d) + 2 * (d + kv) + 3 * (d + f))


SHAPES = {
    "1M": Shape(4, 128, 384, 4, 4, 1024),
    "10M": Shape(8, 288, 864, 8, 8, 2048),
    "135M": Shape(30, 576, 1536, 9, 3, 49152),
    "1.3B": Shape(24, 2048, 5461, 16, 16, 32000, tied=False),
    "8B": Shape(32, 4096, 14336, 32, 8, 128256, tied=False),
    "70B": Shape(80, 8192, 28672, 64, 8, 128256, tied=False),
}


@dataclass(frozen=True)
class Load:
    """One step: rows of ``length`` tokens, of which ``scored`` belong to the response."""

    rows: int
    length: int
    scored: int
    lora: bool
    checkpointing: bool = False
    bytes_per_number: int = 4
    load_in_4bit: bool = False

    @property
    def tokens(self) -> int:
        """Tokens of a step."""
        return self.rows * self.length


def operations(shape: Shape, load: Load) -> float:
    """Floating-point operations of one step, forward and backward.

    Twice the parameters per token forward; backward as much again for the activations, and once more
    for the weights unless they are frozen; the vocabulary's matrix meets scored tokens alone.
    """
    factor = (4 if load.lora else 6) + (2 if load.checkpointing else 0)
    blocks = shape.block_parameters * load.tokens
    attention = 2 * shape.layers * shape.width * load.length * load.tokens
    head = shape.vocabulary * shape.width * load.rows * load.scored
    adapters = 6 * shape.adapter_parameters * load.tokens if load.lora else 0
    return factor * (blocks + attention + head) + adapters


FOUR_BITS = 0.5 + 0.127 / 8
"""Bytes of a weight in 4 bits: its own, and its share of scales that are quantised too (QLoRA, section 3)."""


def memory(shape: Shape, load: Load, *, sharded: bool = False) -> dict[str, float]:
    """Bytes of one replica by what they are for, those of weights and their training undivided.

    A base in 4 bits keeps its vocabulary whole and unfolds one matrix at a time. In bfloat16 norms keep copies in single
    precision, and weights trained in single precision a residual stream of it.
    """
    number = load.bytes_per_number
    trained = shape.adapter_parameters if load.lora else shape.parameters
    d, f, kv = shape.width, shape.intermediate, shape.key_values
    norms, stream = 8, 1
    if number == 2:
        norms, stream = (12, 1) if load.lora else (15, 2)
    per_layer = norms * d + 2 * kv + 4 * f
    kept = load.tokens * (
        shape.layers * stream * d + per_layer if load.checkpointing else shape.layers * per_layer
    )
    scored = load.rows * load.scored
    logits = 3 * 4 * scored * shape.vocabulary
    if not sharded:
        logits /= parts_of(scored, shape.vocabulary)
    frozen = float(number * shape.parameters)
    if load.load_in_4bit:
        vocabulary = number * (shape.parameters - shape.block_parameters)
        frozen = vocabulary + FOUR_BITS * shape.block_parameters + number * d * f
    return {
        "weights": frozen + (4 * trained if load.lora else 0),
        "gradients": 4.0 * trained,
        "optimiser": 8.0 * trained,
        "activations": float(number * kept),
        "logits": float(logits),
    }


def random_model(shape: Shape, load: Load, device: str, directory: Path) -> None:
    """A decoder of random weights and its tokenizer of words, in a directory; one that lies there is left."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from mopo_pipeline.language.scratch import build_tokenizer
    from mopo_pipeline.tables import chat_prompt

    if directory.is_dir():
        return
    tokenizer = build_tokenizer(prompts=[chat_prompt(" ".join(words_of(shape)))], responses=[])
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=2 * load.length,
        tie_word_embeddings=shape.tied,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.eos_token_id,
    )
    dtype = torch.bfloat16 if load.bytes_per_number == 2 else torch.float32
    with torch.device(device):
        model = LlamaForCausalLM._from_config(config, dtype=dtype)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def words_of(shape: Shape) -> list[str]:
    """Words of a vocabulary but those that mean something."""
    return [f"w{i}" for i in range(shape.vocabulary - 8)]


def train_once(
    name: str, load: Load, steps: int, directory: Path, device: str = "cpu"
) -> dict[str, float]:
    """Train a random model of this shape; seconds and tokens per step, peak memory of the process, of its GPU if there is one.

    The model in the directory is taken where there is one.
    """
    import pandas as pd
    import torch

    from mopo_pipeline.launching.run import TrainingRun, train
    from mopo_pipeline.parameters.fit import FitParams, LoraParams
    from mopo_pipeline.tables import chat_prompt

    shape = SHAPES[name]
    on_gpu = device != "cpu" and torch.cuda.is_available()
    rng = np.random.default_rng(0)
    words = words_of(shape)
    prompts = [
        " ".join(rng.choice(words, load.length - load.scored - 1)) for _ in range(8 * load.rows)
    ]
    answers = [" ".join(rng.choice(words, load.scored - 1)) for _ in prompts]
    random_model(shape, load, "cuda" if on_gpu else "cpu", directory / "model")
    rows = pd.DataFrame(
        {
            "prompt": [chat_prompt(p) for p in prompts],
            "response": answers,
            "weight": 1.0,
            "reference_logprob": float("nan"),
        }
    )
    fit = FitParams(
        steps=steps,
        batch_size=load.rows,
        learning_rate=1e-4,
        log_every=2,
        save_every=10**6,
        device="auto" if on_gpu else "cpu",
        dtype="bfloat16" if load.bytes_per_number == 2 else "float32",
        gradient_checkpointing=load.checkpointing,
    )

    def peak() -> float:
        if on_gpu:
            return float(torch.cuda.max_memory_allocated())
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0

    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    before = peak()
    lora = LoraParams(load_in_4bit=load.load_in_4bit) if load.lora else None
    log = train(TrainingRun(name, directory / "model", rows, fit, 0, lora=lora), directory).log
    log = log.iloc[1:]
    return {
        "seconds": float(log["seconds"].median() / 2),
        "tokens": float((log["tokens_per_second"] * log["seconds"]).median() / 2),
        "peak": peak(),
        "before": before,
    }


POINTS = {
    ("1M", False): (Load(32, 64, 16, lora=False), 12),
    ("10M", False): (Load(32, 64, 16, lora=False), 10),
    ("135M", False): (Load(4, 64, 16, lora=False), 6),
    ("1M", True): (Load(32, 64, 16, lora=True), 12),
    ("10M", True): (Load(32, 64, 16, lora=True), 10),
    ("135M", True): (Load(4, 64, 16, lora=True), 6),
}


def measure(name: str, lora: bool) -> dict[str, float]:
    """One point of this machine's processor."""
    load, steps = POINTS[name, lora]
    with tempfile.TemporaryDirectory() as directory:
        return alone(name, load, steps, Path(directory), "cpu")


def alone(name: str, load: Load, steps: int, directory: Path, device: str) -> dict[str, float]:
    """``train_once`` in a process of its own.

    Raises:
        RuntimeError: it failed; the end of what it said.
    """
    argument = json.dumps([name, asdict(load), steps, str(directory), device])
    done = subprocess.run(
        [sys.executable, __file__, "--child", argument],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(console: Console) -> None:
    """Measured beside predicted, and the ratios as the last line."""
    found = {point: measure(*point) for point in POINTS}
    ratios = {}
    table = Table(title="Measured and predicted, this machine")
    for heading in (
        "model",
        "trained",
        "tokens a step",
        "s a step",
        "predicted",
        "ms a token",
        "peak GB",
        "predicted",
    ):
        table.add_column(heading, justify="right")
    base = min(entry["before"] for entry in found.values())
    ends = [("1M", False), ("135M", False)]
    system = [[operations(SHAPES[end[0]], POINTS[end][0]), SHAPES[end[0]].layers] for end in ends]
    rate, overhead = np.linalg.solve(system, [found[end]["seconds"] for end in ends])
    for lora in (False, True):
        for name in ("1M", "10M", "135M"):
            point, load = found[name, lora], POINTS[name, lora][0]
            seconds = rate * operations(SHAPES[name], load) + overhead * SHAPES[name].layers
            needed = base + sum(memory(SHAPES[name], load).values())
            table.add_row(
                name,
                "LoRA" if lora else "all",
                f"{point['tokens']:.0f}",
                f"{point['seconds']:.3f}",
                f"{seconds:.3f}",
                f"{1e3 * point['seconds'] / point['tokens']:.2f}",
                f"{point['peak'] / 1e9:.2f}",
                f"{needed / 1e9:.2f}",
            )
            kind = f"{name}_{'lora' if lora else 'full'}"
            ratios[f"time_{kind}"] = seconds / point["seconds"]
            ratios[f"memory_{kind}"] = needed / point["peak"]
    console.print(f"{1e-9 / rate:.0f} GFLOP/s, {1e3 * overhead:.2f} ms a layer and step")
    console.print(table)
    print("ratio:", *(f"{name}={value:.2f}" for name, value in ratios.items()))


QLORA = Load(4, 1024, 256, True, checkpointing=True, bytes_per_number=2, load_in_4bit=True)
"""Adapters on a base in 4 bits, as it fits one card of 24 GB."""

NVLINK, NETWORK = 450e9, 50e9
"""Bytes a second and GPU, within a node of eight and between nodes."""
ROWS, SEQUENCES = 8, 80_000


def predict(console: Console, flops: float, share: float) -> None:
    """What 1.3B, 8B and 70B take on 1, 8 and 64 GPUs of 80 GB, everything sharded (FSDP2).

    Sharded weights are gathered forward, backward and once more for the recomputation; a step takes the
    longer of computing and gathering.
    """
    table = Table(
        title=f"{ROWS} rows of 1024 tokens a GPU, 256 scored, bf16, {flops / 1e12:.0f} TFLOP/s at {share:.0%}"
    )
    for heading in (
        "model",
        "trained",
        "GPUs",
        "GB a GPU",
        "fits 80 GB",
        "s a step",
        "bound by",
        "hours",
    ):
        table.add_column(heading, justify="right")
    for name in ("1.3B", "8B", "70B"):
        shape = SHAPES[name]
        for lora in (True, False):
            load = Load(ROWS, 1024, 256, lora, checkpointing=True, bytes_per_number=2)
            parts = memory(shape, load)
            whole = memory(shape, load, sharded=True)["logits"]
            master = 0 if lora else 4 * shape.parameters
            state = parts["weights"] + parts["gradients"] + parts["optimiser"] + master
            for gpus in (1, 8, 64):
                gathered = 2 * 2 * shape.parameters / shape.layers if gpus > 1 else 0
                needed = state / gpus + gathered + parts["activations"]
                needed += parts["logits"] if gpus == 1 else whole
                computing = operations(shape, load) / (flops * share)
                link = NVLINK if gpus <= 8 else NETWORK
                moving = 0.0 if gpus == 1 else 3 * 2 * shape.parameters / link
                seconds = max(computing, moving)
                fits = needed < 0.9 * 80e9
                table.add_row(
                    name,
                    "LoRA" if lora else "all",
                    str(gpus),
                    f"{needed / 1e9:.0f}",
                    "yes" if fits else "no",
                    f"{seconds:.2f}" if fits else "",
                    ("network" if moving > computing else "computing") if fits else "",
                    f"{seconds * SEQUENCES / (ROWS * gpus) / 3600:.1f}" if fits else "",
                )
    console.print(table)
    for rows in (1, 2, 4, 8):
        load = replace(QLORA, rows=rows)
        needed = sum(memory(SHAPES["8B"], load).values())
        console.print(f"8B in 4 bits, LoRA, one GPU, {rows} rows: {needed / 1e9:.1f} GB")
    console.print(f"hours: for {SEQUENCES} sequences (the paper's 10 000 steps of 8)")


def main() -> None:
    """Measure and predict, or one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predict", action="store_true", help="only the predictions")
    parser.add_argument("--tflops", type=float, default=989.0, help="peak of a GPU, bf16, dense")
    parser.add_argument(
        "--share", type=float, default=0.35, help="share of the peak that is reached"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, load, steps, directory, device = json.loads(options.child)
        print(json.dumps(train_once(name, Load(**load), steps, Path(directory), device)))
        return
    console = Console(width=120)
    predict(console, options.tflops * 1e12, options.share)
    if not options.predict:
        compare(console)


if __name__ == "__main__":
    main()
