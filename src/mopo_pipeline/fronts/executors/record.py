"""What a run's folder says of the job that carries it out, for a sweep that goes on and for ``kedro sweep``."""

import json
import os
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from mopo_pipeline.fronts.jobs import CONFIG, SIDECAR

JOB = "job.json"


@dataclass(frozen=True)
class JobRecord:
    """A run as a job of a cluster.

    Attributes:
        cluster: "slurm", "local" or "debug".
        job_id: the cluster's name for it.
        log: the job's own words, beside those of the run.
        given: digests of what lay in the run's folder at submission.
        lost: why it ended without a word of the run; empty where it did not.
    """

    cluster: str
    job_id: str
    log: str
    given: dict[str, str]
    lost: str = ""

    def write(self, folder: Path) -> None:
        """Leave it in a run's folder, whole or not at all."""
        staging = folder / f".{JOB}.tmp"
        staging.write_text(json.dumps(asdict(self)), encoding="utf-8")
        os.replace(staging, folder / JOB)

    def still_given(self, folder: Path) -> bool:
        """Whether the job does what would be submitted now: what it was given lies there unchanged."""
        return self.given.items() <= given_to(folder).items()

    def __str__(self) -> str:
        """Where it runs, and where its log lies."""
        return f"{self.cluster} job {self.job_id}, log {self.log}"


def read_record(folder: Path) -> JobRecord | None:
    """The record in a run's folder; None where there is none that can be read."""
    try:
        return JobRecord(**json.loads((folder / JOB).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def given_to(folder: Path) -> dict[str, str]:
    """Digests of what a run's folder holds when it is submitted: its parameters, and the fingerprints of its artifacts."""
    files = [folder / CONFIG, *sorted(folder.glob(f"*/.*{SIDECAR}"))]
    return {
        str(file.relative_to(folder)): sha256(file.read_bytes()).hexdigest()[:16]
        for file in files
        if file.is_file()
    }
