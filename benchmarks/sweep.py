"""A front whose runs and whose parent are killed at random: what is lost, what is trained twice, what two workers are worth.

``make bench-sweep ARGS="--kills 20 --points 4"`` makes the shared artifacts of the ``test`` environment once, sweeps copies of
them undisturbed with one worker and with two, and others under kills until there were as many as asked for: at random moments
SIGKILL ends a sweep, which is then started again, or one of its runs. Told are the steps from which every training began beside the newest checkpoint it
found, and every artifact that differs from those of the undisturbed sweep. The last line holds the ratios: time with one
worker over that with two, points that are there, steps trained over steps needed (those after a last checkpoint not
counted), artifacts that are the same bit for bit.
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parents[1]
MODEL = "model.safetensors"
BEGAN = re.compile(r"policy: (\d+) steps of")
OF_TIME = ("training_log.parquet", ".training_log.fingerprint.json")
"""What says how long something took, and the hash of that."""


def kedro(root: Path, settings: dict[str, Any], *options: str) -> "subprocess.Popen[bytes]":
    """``kedro run`` in the ``test`` environment, its words in ``bench.log``."""
    root.mkdir(parents=True, exist_ok=True)
    params = {"data_root": str(root)} | settings
    config = root / "bench.yml"
    config.write_text(yaml.safe_dump({"run": {"env": "test", "params": params}}), encoding="utf-8")
    with (root / "bench.log").open("ab") as words:
        return subprocess.Popen(
            [sys.executable, "-m", "kedro", "run", f"--config={config}", *options],
            cwd=PROJECT,
            stdout=words,
            stderr=subprocess.STDOUT,
            env=os.environ | {"COLUMNS": "400", "OMP_NUM_THREADS": "1"},
        )


def sweep(root: Path, settings: dict[str, Any]) -> "subprocess.Popen[bytes]":
    """Plan the points and train them, each by a run of its own."""
    nodes = ("--from-nodes=front.plan_points", "--to-nodes=front.train_points")
    return kedro(root, settings, "--pipelines=front", *nodes)


def ended(process: "subprocess.Popen[bytes]", root: Path) -> None:
    """Wait; stops this program where the command failed."""
    if process.wait():
        sys.exit(f"exit code {process.returncode}, see {root / 'bench.log'}")


def points(root: Path) -> list[Path]:
    """Folders of the points' runs."""
    return sorted(path.parent for path in root.glob("front/*/run.yml"))


def newest(point: Path) -> int:
    """Step of a point's newest checkpoint; 0 where there is none."""
    found = (point / "06_models/checkpoints").glob("policy-*/checkpoint-*/manifest.json")
    steps = [int(path.parent.name.rpartition("-")[2]) for path in found]
    return max(steps, default=0)


def artifacts(folder: Path) -> dict[str, bytes]:
    """What a point's run makes and shares, by place; without what holds a time."""
    places = [p for p in folder.glob("0[3-7]_*/**/*") if p.is_file()]
    kept = [p for p in places if "checkpoints" not in p.parts and p.name not in OF_TIME]
    return {str(p.relative_to(folder)): p.read_bytes() for p in kept}


def differing(one: Path, other: Path) -> tuple[list[str], int]:
    """Artifacts of two sweeps' points that are not the same bit for bit, and how many there are."""
    different, of = [], 0
    for point in points(one):
        there, here = artifacts(point), artifacts(other / point.relative_to(one))
        of += len(there)
        names = sorted(there.keys() | here.keys())
        different += [f"{point.name}/{n}" for n in names if there.get(n) != here.get(n)]
    return different, of


def processes() -> Iterator[tuple[int, int]]:
    """Every process that runs, with its parent, from ``/proc``."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            yield int(stat.parent.name), int(fields[1])


def runs_of(parent: int) -> list[int]:
    """Runs that a sweep started, by their process."""
    found = []
    for process, starter in processes():
        if starter == parent:
            with suppress(OSError):
                if b"--config=" in Path(f"/proc/{process}/cmdline").read_bytes():
                    found.append(process)
    return found


@dataclass
class Trainings:
    """From which steps trainings began.

    Attributes:
        steps: of a whole one.
        known: step of the newest checkpoint by point, when the sweep in progress began.
        trained: steps by point, up to the checkpoints they left.
        again: trainings that began before a checkpoint that was there.
    """

    steps: int
    known: dict[str, int] = field(default_factory=dict)
    trained: Counter[str] = field(default_factory=Counter)
    again: list[str] = field(default_factory=list)

    def count(self, root: Path) -> None:
        """Take in what the runs of a sweep that has ended say, before another one writes over it."""
        for point in points(root):
            log, before = point / "run.log", self.known.get(point.name, 0)
            words = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
            for left in BEGAN.findall(words):
                begun = self.steps - int(left)
                if begun < before:
                    self.again.append(f"{point.name} from step {begun} beside checkpoint {before}")
                self.trained[point.name] += max(newest(point), begun) - begun
            log.unlink(missing_ok=True)
            self.known[point.name] = newest(point)


def policies(root: Path) -> int:
    """How many points have their policy."""
    return sum((point / "06_models/policy" / MODEL).is_file() for point in points(root))


def disturbed(
    root: Path,
    settings: dict[str, Any],
    kills: int,
    seconds: float,
    trainings: Trainings,
    rng: random.Random,
) -> Counter[str]:
    """Sweep under at most so many kills until every point is there; how many of each there were."""
    done = Counter[str]()
    while done.total() < kills and policies(root) < settings["front"]["points"]:
        process, runs = sweep(root, settings), []
        while process.poll() is None and not runs_of(process.pid):
            time.sleep(0.1)
        while process.poll() is None and done.total() < kills:
            time.sleep(rng.uniform(0.0, seconds))
            runs = runs_of(process.pid)
            if process.poll() is None and runs:
                victim = rng.choice(["sweep", "run"])
                os.kill(process.pid if victim == "sweep" else rng.choice(runs), signal.SIGKILL)
                done[victim] += 1
                print(f"kill {done.total()}: a {victim}", flush=True)
                if victim == "sweep":
                    break
        process.wait()
        while set(runs) & {run for run, _ in processes()}:
            time.sleep(0.1)
        trainings.count(root)
    ended(sweep(root, settings), root)
    trainings.count(root)
    return done


@dataclass
class Disturbed:
    """What kills did to sweeps.

    Attributes:
        killed: how many of what.
        sweeps: that came to their end.
        there: points that are there, and all that should be.
        trained: steps trained, and steps needed.
        again: trainings that began before a checkpoint that was there.
        different: artifacts that are not those of the undisturbed sweep.
        compared: artifacts held against those.
    """

    killed: Counter[str] = field(default_factory=Counter)
    sweeps: int = 0
    there: Counter[str] = field(default_factory=Counter)
    trained: Counter[str] = field(default_factory=Counter)
    again: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    compared: int = 0

    def add(self, undisturbed: Path, root: Path, trainings: Trainings) -> None:
        """Take in a sweep that came to its end."""
        wanted = policies(undisturbed)
        different, compared = differing(undisturbed, root)
        self.sweeps += 1
        self.there += Counter(found=policies(root), wanted=wanted)
        self.trained += Counter(done=trainings.trained.total(), needed=trainings.steps * wanted)
        self.again += trainings.again
        self.different += different
        self.compared += compared

    def words(self) -> str:
        """Two lines for people."""
        return (
            f"killed: {dict(self.killed)} in {self.sweeps} sweeps; begun before a checkpoint that was there: {self.again or 'none'}\n"
            f"artifacts that differ: {self.different or 'none'} of {self.compared}"
        )

    def ratios(self) -> str:
        """The end of the last line."""
        return (
            f"points_there={self.there['found'] / self.there['wanted']:.3f} "
            f"steps_trained={self.trained['done'] / self.trained['needed']:.3f} "
            f"artifacts_equal={1 - len(self.different) / self.compared:.3f}"
        )


def timed(base: Path, root: Path, settings: dict[str, Any]) -> float:
    """Seconds of an undisturbed sweep in a copy of the shared artifacts."""
    shutil.copytree(base, root)
    began = time.monotonic()
    ended(sweep(root, settings), root)
    return time.monotonic() - began


def main() -> None:
    """Sweep three times, then print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, help="0 only takes times")
    parser.add_argument("--points", type=int, default=4)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--work-dir", type=Path)
    asked = parser.parse_args()
    work = (asked.work_dir or Path(tempfile.mkdtemp(prefix="sweep-"))).resolve()
    train = {"fit": {"steps": asked.steps, "save_every": 10, "log_every": 10}}
    base = work / "base"
    if not base.is_dir():
        ended(kedro(base, {"train": train}), base)
    front: dict[str, Any] = {"points": asked.points, "share_of_steps": None, "methods": []}
    settings = {"train": train, "front": front | {"workers": 2}}
    one = timed(base, work / "one", {"train": train, "front": front | {"workers": 1}})
    two = timed(base, work / "two", settings)
    print(f"one worker {one:.0f} s, two {two:.0f} s", flush=True)
    rng, seen = random.Random(0), Disturbed()
    while seen.killed.total() < asked.kills:
        root = work / f"killed-{seen.sweeps}"
        shutil.copytree(base, root)
        trainings = Trainings(asked.steps)
        left = asked.kills - seen.killed.total()
        seen.killed += disturbed(root, settings, left, two / 4, trainings, rng)
        seen.add(work / "two", root, trainings)
    if seen.sweeps:
        print(seen.words())
    print(f"ratio: sweep_two_workers={one / two:.2f} {seen.ratios() if seen.sweeps else ''}")


if __name__ == "__main__":
    main()
