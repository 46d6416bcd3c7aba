"""What a run's folder says of the job that carries it out, for a sweep that goes on and for ``kedro sweep``."""

import json
import os
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

JOB = "job.json"


@dataclass(frozen=True)
class JobRecord:
    """A run as a job of a cluster.

    Attributes:
        cluster: "slurm", "local" or "debug".
        job_id: the cluster's name for it.
        log: the job's own words, beside those of the run.
        settings: digest of the run's parameters at submission.
        lost: why it ended without a word of the run; empty where it did not.
    """

    cluster: str
    job_id: str
    log: str
    settings: str
    lost: str = ""

    def write(self, folder: Path) -> None:
        """Leave it in a run's folder, whole or not at all."""
        staging = folder / f".{JOB}.tmp"
        staging.write_text(json.dumps(asdict(self)), encoding="utf-8")
        os.replace(staging, folder / JOB)

    def __str__(self) -> str:
        """Where it runs, and where its log lies."""
        return f"{self.cluster} job {self.job_id}, log {self.log}"


def read_record(folder: Path) -> JobRecord | None:
    """The record in a run's folder; None where there is none that can be read."""
    try:
        return JobRecord(**json.loads((folder / JOB).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def settings_digest(config: Path) -> str:
    """Digest of a run's file of parameters; that of nothing where there is none."""
    return sha256(config.read_bytes() if config.is_file() else b"").hexdigest()[:16]
