"""What Kedro and the artifacts cost on the pocket task with its default parameters.

A whole ``kedro run`` in a process of its own; what its nodes don't account for (starting Python and
Kedro, loading and saving artifacts, fingerprints, the run record) is overhead. Two and a half minutes a run on two
cores. Run: ``make bench-overhead``, or ``python benchmarks/overhead.py [--rounds 3]``. The last line is
``ratio: overhead=<share of the wall time, median over rounds>``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

PROJECT = Path(__file__).parents[1]


def measure(root: Path) -> tuple[float, dict[str, float]]:
    """Seconds of a whole run, and of each node without loading and saving."""
    command = [sys.executable, "-m", "kedro", "run", f"--params=data_root={root}"]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    whole = time.perf_counter() - start
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    [record] = (root / "08_reporting" / "runs").glob("*.json")
    return whole, json.loads(record.read_text(encoding="utf-8"))["node_seconds"]


def main() -> None:
    """Run, print the slowest nodes and the overhead of each round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    shares = []
    for _ in range(parser.parse_args().rounds):
        load = os.getloadavg()[0]
        with tempfile.TemporaryDirectory(prefix="bench-overhead-") as root:
            whole, nodes = measure(Path(root))
        shares.append(1 - sum(nodes.values()) / whole)
        slowest = sorted(nodes, key=lambda name: -nodes[name])[:5]
        print(
            f"{whole:.1f} s, load average {load:.1f} at the start, overhead {shares[-1]:.1%}; "
            + ", ".join(f"{name} {nodes[name]:.1f} s" for name in slowest),
            flush=True,
        )
    print(f"ratio: overhead={median(shares):.4f}")


if __name__ == "__main__":
    main()
