"""Reading at scale: a file of labelled pairs to the artifacts responses, judgements and comparisons.

    make bench-data ARGS="--pairs 1000000"

Each size is read in a process of its own, whose peak memory is printed beside its seconds: all that was resident,
pages of files among it, and what the system could not have dropped (Linux tells).
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.ingest import IngestParams
from mopo_pipeline.parameters.preferences import LabelParams

NAMES = ("helpful", "harmless")
PAIRS_PER_PROMPT, BATCH = 10, 100_000
PROMPT_WORDS, RESPONSE_WORDS = 12, 20
STEPS = ("ingest", "build", "write")
SECONDS, GIGABYTES = 60.0, 2.0
"""What a million pairs may take on two cores."""


def write_pairs(path: Path, pairs: int) -> None:
    """Pairs of random texts with two labels, ten pairs to a prompt: parquet in row groups, or lines of JSON."""
    rng = np.random.default_rng(0)
    words = np.array([f"word{i}" for i in range(5000)], dtype=object)

    def texts(n: int, length: int) -> list[str]:
        return [" ".join(row) for row in words[rng.integers(0, len(words), (n, length))]]

    writer = None
    for start in range(0, pairs, BATCH):
        n = min(BATCH, pairs - start)
        asked = texts(-(-n // PAIRS_PER_PROMPT), PROMPT_WORDS)
        table = pa.table(
            {
                "prompt": [asked[i // PAIRS_PER_PROMPT] for i in range(n)],
                "response_a": texts(n, RESPONSE_WORDS),
                "response_b": texts(n, RESPONSE_WORDS),
                **{name: rng.integers(0, 2, n) for name in NAMES},
            }
        )
        if path.suffix == ".jsonl":
            with path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in table.to_pylist())
            continue
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def measure(path: Path) -> dict[str, float]:
    """Seconds (wall, and of this process) and peak gigabytes of ingest, of the comparisons, of writing them."""
    from mopo_pipeline.preferences.build import build_comparisons
    from mopo_pipeline.sources.load import load_source

    objectives = [{"name": NAMES[0]}, {"name": NAMES[1], "threshold": 0.5}]
    task = TaskParams.model_validate({"objectives": objectives})
    params = IngestParams.model_validate({"source": "files", "path": path})
    began, busy = time.perf_counter(), time.process_time()
    data = load_source(params, task)
    found = {
        "ingest_seconds": time.perf_counter() - began,
        "ingest_cpu": time.process_time() - busy,
    }
    found["ingest_gb"] = peak()
    began = time.perf_counter()
    rng = np.random.default_rng(0)
    table = build_comparisons(data.responses, data.judgements, LabelParams(), NAMES, rng)
    found |= {"build_seconds": time.perf_counter() - began, "build_gb": peak()}
    found["build_cpu"] = time.process_time() - busy - found["ingest_cpu"]
    began, busy = time.perf_counter(), time.process_time()
    for name, artifact in (
        ("responses", data.responses),
        ("judgements", data.judgements),
        ("comparisons", table),
    ):
        artifact.to_parquet(path.with_name(f"{name}.parquet"))
    found |= {"write_seconds": time.perf_counter() - began, "write_gb": peak()}
    found["write_cpu"] = time.process_time() - busy
    return found | {"pairs": len(data.judgements), "comparisons": len(table)}


def peak() -> float:
    """Largest resident memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def anonymous(process: int) -> float:
    """Memory that belongs to a process and to no file, in GB; 0 where the system does not tell."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return sum(float(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith("RssAnon"))


def watched(path: Path) -> dict[str, float]:
    """What ``measure`` finds in a process of its own, and the most memory that was no file's."""
    command = [sys.executable, __file__, "--read", str(path)]
    most = 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            most = max(most, anonymous(process.pid))
            time.sleep(0.02)
        told = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(process.returncode)
    return {**json.loads(told.splitlines()[-1]), "anonymous_gb": most}


def main() -> None:
    """Write, read and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--format", choices=["parquet", "jsonl"], default="parquet")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read is not None:
        print(json.dumps(measure(given.read)))
        return
    found = {}
    for pairs in given.pairs:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"pairs.{given.format}")
            write_pairs(path, pairs)
            found = watched(path)
            size = path.stat().st_size / 1e9
        print(f"{pairs} pairs, {size:.2f} GB on disk")
        for step in STEPS:
            print(
                f"  {step}: {found[f'{step}_seconds']:.1f} s, of the processor "
                f"{found[f'{step}_cpu']:.1f} s, peak {found[f'{step}_gb']:.2f} GB"
            )
        print(f"  of its own, no file's: {found['anonymous_gb']:.2f} GB")
    million = found["pairs"] / 1e6
    seconds, busy = (sum(found[f"{step}_{of}"] for step in STEPS) for of in ("seconds", "cpu"))
    print(
        f"ratio: ingest_seconds={found['ingest_seconds'] / SECONDS / million:.2f} "
        f"ingest_cpu={found['ingest_cpu'] / SECONDS / million:.2f} "
        f"ingest_memory={found['ingest_gb'] / GIGABYTES / million:.2f} "
        f"all_seconds={seconds / SECONDS / million:.2f} all_cpu={busy / SECONDS / million:.2f} "
        f"all_memory={found['write_gb'] / GIGABYTES / million:.2f} "
        f"anonymous={found['anonymous_gb'] / GIGABYTES / million:.2f}"
    )


if __name__ == "__main__":
    main()
