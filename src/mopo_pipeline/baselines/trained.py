"""Trainings on disk: named after everything that decides them, reused when whole, failures kept with their reason."""

import hashlib
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mopo_pipeline.arrays import Array
from mopo_pipeline.baselines.setting import Setting, Training
from mopo_pipeline.language.loading import model_digest
from mopo_pipeline.language.sealed import damage, seal
from mopo_pipeline.mopo.errors import TrainingStoppedError
from mopo_pipeline.parameters.fit import FIT_WITHOUT_EFFECT
from mopo_pipeline.policies.valued import Budget
from mopo_pipeline.source import code_of_module

log = logging.getLogger(__name__)

FACTS, MODEL = "rival.json", "model"


class DivergedError(TrainingStoppedError):
    """A rival's training became useless; it is a failed point, not an error of the run.

    Attributes:
        budget: spent until then, seconds apart.
    """

    def __init__(self, message: str, budget: Budget) -> None:
        super().__init__(message)
        self.budget = budget


def stored(
    setting: Setting,
    name: str,
    code: str,
    identity: Mapping[str, Any],
    data: Mapping[str, Array],
    make: Callable[[Path], Budget],
) -> Training:
    """A training, made now or found whole.

    Args:
        setting: where it starts, how long it takes, where it lies.
        name: of the training, first part of its directory's.
        code: module that trains; a training whose code has changed is another one.
        identity: JSON-ready, what decides it beside setting and data.
        data: arrays (n, ...) it is trained on.
        make: writes a model directory and says what it cost; raises ``DivergedError`` where it can't.
    """
    key = f"{name}-{_digest(setting, code, identity, data)}"
    target = setting.work_dir / key
    if damage(target) is None:
        log.info("%s is up to date, reusing %s", name, target)
        return _read(target)
    setting.work_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{name}-", dir=setting.work_dir, ignore_cleanup_errors=True
    ) as made:
        staging = Path(made)
        _write(staging, name, identity, make)
        if target.exists() and damage(target) is not None:
            shutil.rmtree(target)
        try:
            staging.rename(target)
        except OSError:
            if damage(target) is not None:  # else another process was faster
                raise
    return _read(target)


def _write(
    staging: Path, name: str, identity: Mapping[str, Any], make: Callable[[Path], Budget]
) -> None:
    """Train into a directory, say what it cost or why it failed, and seal it; checkpoints and the like go."""
    start, failure = time.perf_counter(), ""
    try:
        budget = make(staging / MODEL)
    except DivergedError as error:
        budget, failure = error.budget, str(error)
        log.warning("%s failed: %s", name, failure)
    for left in staging.iterdir():
        if left.is_dir() and (failure or left.name != MODEL):
            shutil.rmtree(left)
    budget = replace(budget, seconds=time.perf_counter() - start)
    facts = {"budget": asdict(budget), "failure": failure, "identity": dict(identity)}
    (staging / FACTS).write_text(json.dumps(facts, indent=1), encoding="utf-8")
    seal(staging)


def _read(target: Path) -> Training:
    facts = json.loads((target / FACTS).read_text(encoding="utf-8"))
    folder = None if facts["failure"] else target / MODEL
    return Training(target.name, folder, Budget(**facts["budget"]), facts["failure"])


def _digest(
    setting: Setting, code: str, identity: Mapping[str, Any], data: Mapping[str, Array]
) -> str:
    """Twelve hex digits of everything that decides a training on arrays (n, ...)."""
    fit = setting.fit.model_dump(mode="json", exclude=set(FIT_WITHOUT_EFFECT))
    lora = None if setting.lora is None else setting.lora.model_dump(mode="json")
    told = [
        code_of_module(code).digest,
        dict(identity),
        fit | {"learning_rate": None},
        lora,
        setting.seed,
        setting.context,
        model_digest(setting.reference),
    ]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for column, array in sorted(data.items()):
        digest.update(column.encode() + array.tobytes())
    return digest.hexdigest()[:12]
