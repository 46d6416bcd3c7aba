"""Whether this machine's GPUs do what was only ever tested on CPUs: one command, one file of verdicts.

Each check has figures with the range they must lie in. One that this machine cannot run is skipped by name, with its
reason; without a GPU those that a CPU can do run on the CPU. ``gpu-check.json`` holds the card, the versions, and per check
the verdict (passed, failed, skipped), its figures and its seconds. The exit code is 1 where a check failed, else 0.

Five minutes on a GPU, one on a CPU; 17 GB of disk for a model of 8B. Run: ``make gpu-check``, or
``python benchmarks/gpu_check.py [--small] [--only NAME ...] [--out gpu-check.json]``.
"""

import argparse
import gc
import json
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.append(str(Path(__file__).parent))

PROJECT = Path(__file__).parents[1]
NO_LIMIT = (-math.inf, math.inf)
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass(frozen=True)
class Figure:
    """A measured number and the range it must lie in."""

    value: float
    low: float = -math.inf
    high: float = math.inf

    @property
    def holds(self) -> bool:
        """Whether it does; NaN does not."""
        return self.low <= self.value <= self.high

    def to_json(self) -> dict[str, float | None]:
        """Value and limits; None is no limit, or no number."""
        plain = {"value": self.value, "low": self.low, "high": self.high}
        return {name: number if math.isfinite(number) else None for name, number in plain.items()}


@dataclass(frozen=True)
class Machine:
    """What there is to check with.

    Attributes:
        gpus: of this machine.
        small: models and runs of seconds.
        work: a folder for models and runs.
        memory: bytes of its first GPU.
    """

    gpus: int
    small: bool
    work: Path
    memory: float = 0.0

    @property
    def device(self) -> str:
        """Where single-process checks run, as ``fit.device`` says it."""
        return "auto" if self.gpus else "cpu"


Figures = dict[str, Figure]


@dataclass(frozen=True)
class Check:
    """One check: what it needs, and what it measures.

    Attributes:
        run: measures.
        gpus: it needs.
        packages: it needs.
        memory: bytes of a GPU it needs.
        disk: bytes of the work folder's disk it needs.
    """

    run: Callable[[Machine], Figures]
    gpus: int = 0
    packages: tuple[str, ...] = field(default=())
    memory: float = 0.0
    disk: float = 0.0

    def missing(self, machine: Machine) -> str:
        """Why this machine cannot run it; empty where it can."""
        if machine.gpus < self.gpus:
            return f"needs {self.gpus} GPU{'s' if self.gpus > 1 else ''}, there are {machine.gpus}"
        absent = [name for name in self.packages if find_spec(name) is None]
        if absent:
            return f"needs {absent[0]}: pip install {absent[0]}"
        if self.memory and machine.small:
            return "no run of seconds: leave out --small"
        for what, needed, there in (
            ("GPU memory", self.memory, machine.memory),
            ("disk", self.disk, shutil.disk_usage(machine.work).free),
        ):
            if there < needed:
                return f"needs {needed / 1e9:.0f} GB of {what}, there are {there / 1e9:.0f}"
        return ""


def bf16_parity(machine: Machine) -> Figures:
    """Log-probabilities and gradients computed in bfloat16 beside those in float32."""
    import torch

    from mopo_pipeline.language.forward import response_logprobs
    from mopo_pipeline.language.loading import load_model
    from mopo_pipeline.language.logprobs import row_logprobs
    from mopo_pipeline.language.packing import pack

    found = []
    for dtype in ("float32", "bfloat16"):
        model, _ = load_model(model_of(machine), dtype=dtype)
        rows = encoded(machine, texts(TINY))
        logprob = row_logprobs(model, rows)
        packed = pack(rows, [np.array([row]) for row in range(16)]).to(model.device)
        (response_logprobs(model, packed).sum() / 16).backward()
        slopes = [p.grad.float().flatten() for p in model.parameters() if p.grad is not None]
        found.append((logprob, torch.cat(slopes)))
    (exact, slope), (rough, other) = found
    tokens = encoded(machine, texts(TINY)).response_lengths
    return {
        "nats_a_token": Figure(float((np.abs(exact - rough) / tokens).mean()), 0.0, 0.02),
        "gradient_cosine": Figure(
            float(torch.nn.functional.cosine_similarity(slope, other, dim=0)), 0.99, 1.001
        ),
    }


def prompt_sharing(machine: Machine) -> Figures:
    """A prompt computed once for its answers, beside once per answer."""
    from mopo_pipeline.language.loading import load_model
    from mopo_pipeline.language.logprobs import row_logprobs

    model, _ = load_model(model_of(machine))
    rows = encoded(machine, texts(TINY))
    row_logprobs(model, rows, sharing=True)
    seconds, values = [], []
    for sharing in (False, True):
        start = time.perf_counter()
        values.append(row_logprobs(model, rows, sharing=sharing))
        seconds.append(time.perf_counter() - start)
    return {
        "nats": Figure(float(np.abs(values[0] - values[1]).max()), 0.0, 1e-3),
        "speed": Figure(seconds[0] / seconds[1]),
    }


def resume(machine: Machine) -> Figures:
    """A run that goes on from a checkpoint beside one that was not stopped."""
    whole = trained(machine, "whole", steps=8, save_every=4).parent
    stopped = machine.work / "stopped" / whole.name
    shutil.copytree(whole, stopped)
    for name in ("final", "checkpoint-8"):
        shutil.rmtree(stopped / name)
    again = trained(machine, "stopped", steps=8, save_every=4)
    assert again.parent == stopped
    return {"weights_apart": Figure(apart(whole / "final", again), 0.0, 1e-6)}


def fsdp2(machine: Machine) -> Figures:
    """Two processes that hold a part of the model each, beside one that holds it whole."""
    return _sharded(machine, "8_gpus_fsdp2.yaml")


def zero3(machine: Machine) -> Figures:
    """The same by DeepSpeed."""
    return _sharded(machine, "8_gpus_zero3.yaml")


def _sharded(machine: Machine, name: str) -> Figures:
    text = (PROJECT / "conf/accelerate" / name).read_text(encoding="utf-8")
    text = text.replace("num_processes: 8", "num_processes: 2")
    file = machine.work / name
    file.write_text(text, encoding="utf-8")
    alone = trained(machine, "alone", steps=6)
    together = trained(machine, file.stem, steps=6, accelerate=file)
    return {"weights_apart": Figure(apart(alone, together), 0.0, 1e-3)}


def vllm(machine: Machine) -> Figures:
    """Greedy answers by vLLM beside those of transformers: share of tokens before they first differ."""
    import torch
    from vllm import LLM, SamplingParams

    from mopo_pipeline.language.loading import load_model

    rows, length = encoded(machine, texts(TINY)), 16
    heads = [ids[:n] for ids, n in zip(rows.ids, rows.prompt_lengths.tolist(), strict=True)][:16]
    model, _ = load_model(model_of(machine))
    theirs = LLM(str(model_of(machine)), dtype="float32", gpu_memory_utilization=0.3).generate(
        [{"prompt_token_ids": head} for head in heads],
        SamplingParams(temperature=0.0, max_tokens=length, ignore_eos=True),
    )
    same = []
    for head, answer in zip(heads, theirs, strict=True):
        asked = torch.tensor([head], device=model.device)
        own = model.generate(asked, do_sample=False, max_new_tokens=length, min_new_tokens=length)
        pairs = zip(own[0, len(head) :].tolist(), answer.outputs[0].token_ids, strict=False)
        differs = [one != other for one, other in pairs]
        same.append(differs.index(True) / length if any(differs) else 1.0)
    return {"tokens_alike": Figure(float(np.mean(same)), 0.9, 1.0)}


def throughput(machine: Machine) -> Figures:
    """Sequences a second in bfloat16 beside TRL's SFTTrainer, same model, rows and batch: short rows, and as many as fill a GPU."""
    figures = {}
    sizes = {"short": (TINY, BATCH)} | ({} if machine.small else {"long": (LARGE, 4 * BATCH)})
    for name, (size, batch) in sizes.items():
        figures |= {f"{what}_{name}": f for what, f in _speed(machine, name, size, batch).items()}
    return figures


def _speed(machine: Machine, name: str, size: "Rows", batch: int) -> Figures:
    from gpu_check_trl import seconds_of_sft

    steps, quarter, table = 24, 6, texts(size)
    fit = {"steps": steps, "log_every": quarter, "dtype": "bfloat16", "batch_size": batch}
    ours = float(_run(machine, f"speed-{name}", fit, table).log["seconds"].iloc[1:].sum())
    work = machine.work / f"sft-{name}"
    theirs = seconds_of_sft(model_of(machine), encoded(machine, table), batch, steps, quarter, work)
    return {
        "ours_over_trl": Figure(theirs / ours, 1.0),
        "sequences_a_second": Figure(batch * (steps - quarter) / ours),
    }


def peak_memory(machine: Machine) -> Figures:
    """Peak of a training run beside the memory model of docs/scaling.md."""
    import torch

    from scaling import Load, Shape, memory

    rows = encoded(machine, texts(TINY))
    torch.cuda.reset_peak_memory_stats()
    trained(machine, "memory", steps=3)
    layers, width, heads = SIZES[machine.small]
    shape = Shape(layers, width, 4 * width, heads, heads, VOCABULARY)
    load = Load(BATCH, int(rows.lengths.mean()), int(rows.response_lengths.mean()), lora=False)
    needed = sum(memory(shape, load).values())
    peak = float(torch.cuda.max_memory_allocated())
    return {
        "measured_over_predicted": Figure(peak / needed, 0.6, 1.5),
        "peak_gb": Figure(peak / 1e9),
    }


def sized(size: str) -> Callable[[Machine], Figures]:
    """A check of time and memory of steps of a large model."""

    def run(machine: Machine) -> Figures:
        from gpu_check_sizes import trained

        limits = {"memory_over_predicted": (0.6, 1.3), "share_of_matrix_rate": (0.2, 1.0)}
        found = trained(size, machine.work)
        return {name: Figure(value, *limits.get(name, ())) for name, value in found.items()}

    return run


def drawing(name: str) -> Callable[[Machine], Figures]:
    """A check that a large model draws and scores answers, and how long it takes."""

    def run(machine: Machine) -> Figures:
        from gpu_check_sizes import drawn

        return {what: Figure(ms, 0.0) for what, ms in drawn(name, machine.work).items()}

    return run


def checks() -> dict[str, Check]:
    """All there are, by name, quick ones first."""
    from gpu_check_sizes import needed_bytes

    found = {
        "bf16_parity": Check(bf16_parity),
        "prompt_sharing": Check(prompt_sharing),
        "resume": Check(resume),
        "fsdp2": Check(fsdp2, gpus=2),
        "zero3": Check(zero3, gpus=2, packages=("deepspeed",)),
        "vllm": Check(vllm, gpus=1, packages=("vllm",)),
        "throughput": Check(throughput, gpus=1, packages=("trl",)),
        "peak_memory": Check(peak_memory, gpus=1),
    }
    for size, disk, packages in (
        ("1.3B_all", 4e9, ()),
        ("8B_lora", 20e9, ("peft",)),
        ("8B_4bit", 20e9, ("peft", "bitsandbytes")),
    ):
        needed = 1.3 * needed_bytes(size)
        found[size] = Check(sized(size), 1, packages, memory=needed, disk=disk)
    found["1.3B_drawing"] = Check(drawing("1.3B"), 1, memory=20e9, disk=4e9)
    found["8B_drawing"] = Check(drawing("8B"), 1, memory=40e9, disk=20e9)
    return found


SIZES = {True: (2, 32, 2), False: (12, 768, 12)}
"""Layers, width and heads, small or not."""
VOCABULARY, BATCH = 1024, 16


class Rows(NamedTuple):
    """How many prompts, answers to each, and words of both."""

    prompts: int
    answers: int
    asked: int
    said: int


TINY, LARGE = Rows(32, 4, 48, 24), Rows(32, 4, 384, 128)


def texts(size: Rows) -> tuple[list[str], list[str]]:
    """A prompt and an answer of each row, of random words."""
    from mopo_pipeline.tables import chat_prompt

    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(VOCABULARY - 4)]
    prompts = [chat_prompt(" ".join(rng.choice(words, size.asked))) for _ in range(size.prompts)]
    answers = [" ".join(rng.choice(words, size.said)) for _ in range(size.prompts * size.answers)]
    return [prompt for prompt in prompts for _ in range(size.answers)], answers


def model_of(machine: Machine) -> Path:
    """Directory of a random decoder, made once."""
    from mopo_pipeline.language.scratch import build_model, build_tokenizer
    from mopo_pipeline.tables import chat_prompt

    directory = machine.work / "model"
    if not directory.is_dir():
        words = " ".join(f"w{i}" for i in range(VOCABULARY - 4))
        tokenizer = build_tokenizer([chat_prompt(words)], [])
        layers, width, heads = SIZES[machine.small]
        model = build_model(
            tokenizer, layers=layers, width=width, heads=heads, max_length=1024, seed=0
        )
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
    return directory


def encoded(machine: Machine, table: tuple[list[str], list[str]]) -> Any:
    """Rows in the model's tokens."""
    from mopo_pipeline.language.loading import load_tokenizer
    from mopo_pipeline.language.tokens import encode

    return encode(load_tokenizer(model_of(machine)), *table, None)


def _run(
    machine: Machine, name: str, fit: dict[str, Any], table: tuple[list[str], list[str]]
) -> Any:
    import pandas as pd

    from mopo_pipeline.launching.run import TrainingRun, train
    from mopo_pipeline.parameters.fit import FixedFit

    prompts, answers = table
    rows = pd.DataFrame({"prompt": prompts, "response": answers})
    rows = rows.assign(weight=np.linspace(0.2, 1.8, len(rows)), reference_logprob=float("nan"))
    given = {"batch_size": BATCH, "learning_rate": 1e-3, "device": machine.device, "log_every": 1}
    run = TrainingRun("check", model_of(machine), rows, FixedFit(**given | fit), 0)
    return train(run, machine.work / name)


def trained(machine: Machine, name: str, **fit: Any) -> Path:
    """Directory of a model after a few steps of the project's own trainer."""
    return Path(_run(machine, name, fit, texts(TINY)).directory)


def apart(one: Path, other: Path) -> float:
    """Largest difference of two models' weights over the largest weight."""
    from safetensors.numpy import load_file

    first, second = (load_file(path / "model.safetensors") for path in (one, other))
    largest = max(float(np.abs(weight).max()) for weight in first.values())
    return max(float(np.abs(first[name] - second[name]).max()) for name in first) / largest


def verdict_of(check: Check, machine: Machine) -> dict[str, Any]:
    """Run one check; whatever it raises is a failure, told in a line."""
    if reason := check.missing(machine):
        return {"verdict": SKIPPED, "reason": reason, "figures": {}, "seconds": 0.0}
    start = time.perf_counter()
    try:
        figures, reason = check.run(machine), ""
    except Exception as error:  # a check that cannot end is one that failed
        lines = str(error).strip().splitlines() or [""]
        figures, reason = {}, f"{type(error).__name__}: {lines[0]}"
    beyond = [name for name, figure in figures.items() if not figure.holds]
    if beyond:
        reason = f"{', '.join(beyond)} beyond the limit"
    return {
        "verdict": FAILED if reason else PASSED,
        "reason": reason,
        "figures": {name: figure.to_json() for name, figure in figures.items()},
        "seconds": round(time.perf_counter() - start, 1),
    }


def described(gpus: int) -> dict[str, Any]:
    """Cards and versions."""
    import torch

    cards = [torch.cuda.get_device_name(i) for i in range(gpus)]
    found: dict[str, Any] = {"cards": cards, "cuda": torch.version.cuda if gpus else None}
    for name in ("torch", "transformers", "accelerate", "peft", "trl", "deepspeed", "vllm"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks, write their verdicts, and say how many failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--small", action="store_true", help="models and runs of seconds")
    every = checks()
    parser.add_argument("--only", nargs="+", choices=list(every), default=list(every))
    parser.add_argument("--out", type=Path, default=Path("gpu-check.json"))
    options = parser.parse_args(arguments)
    import torch

    gpus = torch.cuda.device_count()
    about = described(gpus)
    room = float(torch.cuda.get_device_properties(0).total_memory) if gpus else 0.0
    found = {}
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as work:
        machine = Machine(gpus, options.small or not gpus, Path(work), room)
        for name in options.only:
            found[name] = verdict_of(every[name], machine)
            gc.collect()
            shown = {n: figure["value"] for n, figure in found[name]["figures"].items()}
            print(name, found[name]["verdict"], found[name]["reason"], shown or "", flush=True)
            report = {"device": "cuda" if gpus else "cpu", "machine": about, "checks": found}
            options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    failed = [name for name, one in found.items() if one["verdict"] == FAILED]
    print(f"{options.out}: {len(failed)} of {len(found)} failed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
